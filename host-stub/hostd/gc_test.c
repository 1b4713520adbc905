// SPDX-License-Identifier: BSD-3-Clause
//
// What the runtime does not know (any more) goes, everywhere, and nothing else does. Arguments as
// work_test.

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hostd/test_cmocka.h"
#include "hostd/test_daemon.h"

enum { FUNCTIONS = 40 };

static char **programs;
static struct test_daemon hostd;

static int setup(void **state)
{
	for (unsigned int vf = 0; vf < FUNCTIONS; vf++)
		test_function_new(vf);
	test_daemon_prepare(&hostd, programs);
	test_hostd_start(&hostd, "");
	test_agent_up(&hostd);
	return 0;
}

static int teardown(void **state)
{
	test_daemon_clear(&hostd);
	return 0;
}

static const char *network_of(const char *id)
{
	static struct request request;

	request = test_attach(id);
	return request.body.attach.key.network;
}

// Attach; the path names the sandbox by a descriptor of ours, as a path of the runtime's would.
static int attach_in(const char *id, const char *network)
{
	struct request attach = test_attach(id);
	int sandbox = test_sandbox_new();
	struct reply reply;

	if (network != NULL)
		strcpy(attach.body.attach.key.network, network);
	snprintf(attach.body.attach.sandbox.path, sizeof(attach.body.attach.sandbox.path),
		 "/proc/%d/fd/%d", getpid(), sandbox);
	assert_int_equal(test_call(&hostd, &attach, sandbox, &reply), CODE_OK);
	return sandbox;
}

static struct request gc_request(const char *network)
{
	struct request request = {.timeout_ms = 5000, .call = CALL_GC};

	strcpy(request.body.gc.network, network);
	return request;
}

static void add_valid(struct request *request, const char *id)
{
	struct endpoint *endpoint = &request->body.gc.valid[request->body.gc.count++];

	strcpy(endpoint->container_id, id);
	strcpy(endpoint->ifname, "eth0");
}

static bool agent_has(const char *id)
{
	for (int vf = 0; vf < TEST_AGENT_FUNCTIONS; vf++)
		if (hostd.memory->functions[vf].used &&
		    strcmp(hostd.memory->functions[vf].attachment.key.container_id, id) == 0)
			return true;
	return false;
}

static bool is_dressed(int sandbox)
{
	return test_run_in(sandbox, "ip link show dev eth0 > /dev/null 2>&1") == 0;
}

static void what_the_runtime_does_not_know_is_released_everywhere(void **state)
{
	struct request gc = gc_request(network_of("a"));
	int a = attach_in("a", NULL), b = attach_in("b", NULL), c = attach_in("c", NULL);
	struct reply reply;

	add_valid(&gc, "b");
	assert_int_equal(test_call(&hostd, &gc, -1, &reply), CODE_OK);
	assert_int_equal(reply.body.gc.released, 2);
	assert_int_equal(reply.body.gc.failure_count, 0);
	assert_false(reply.body.gc.has_next);
	assert_true(agent_has("b") && !agent_has("a") && !agent_has("c"));
	assert_true(is_dressed(b) && !is_dressed(a) && !is_dressed(c));
	assert_int_equal(test_run("ip link show dev tfn0v0 > /dev/null"), 0);
	assert_int_equal(test_run("ip link show dev tfn0v2 > /dev/null"), 0);
	// Again: nothing is left to do.
	assert_int_equal(test_call(&hostd, &gc, -1, &reply), CODE_OK);
	assert_int_equal(reply.body.gc.released, 0);
	assert_true(is_dressed(b));
	close(a);
	close(b);
	close(c);
}

static void other_networks_are_not_touched(void **state)
{
	int a = attach_in("a", "amber"), b = attach_in("b", "blue"), c = attach_in("c", "cyan");
	struct request gc = gc_request("blue");
	struct reply reply;

	for (int old = 0; old < 2; old++) {
		hostd.memory->old_lists = old;
		assert_int_equal(test_call(&hostd, &gc, -1, &reply), CODE_OK);
		assert_int_equal(reply.body.gc.released, old == 0);
		assert_true(agent_has("a") && !agent_has("b") && agent_has("c"));
	}
	assert_true(is_dressed(a) && is_dressed(c));
	close(a);
	close(b);
	close(c);
}

static void a_request_is_about_its_range_only(void **state)
{
	static const char *const ids[] = {"a", "b", "c", "d", "e"};
	struct request gc = gc_request(network_of("a"));
	int sandboxes[5];
	struct reply reply;

	for (int i = 0; i < 5; i++)
		sandboxes[i] = attach_in(ids[i], NULL);
	gc.body.gc.has_after = gc.body.gc.more = true;
	strcpy(gc.body.gc.after.container_id, "b");
	strcpy(gc.body.gc.after.ifname, "eth0");
	add_valid(&gc, "d");
	assert_int_equal(test_call(&hostd, &gc, -1, &reply), CODE_OK);
	assert_int_equal(reply.body.gc.released, 1);
	assert_true(agent_has("a") && agent_has("b") && !agent_has("c") && agent_has("d") &&
		    agent_has("e"));
	for (int i = 0; i < 5; i++)
		close(sandboxes[i]);
}

static void a_sandbox_whose_path_is_gone_is_found_by_its_process(void **state)
{
	struct request attach = test_attach("a"), gc = gc_request(network_of("a"));
	int sandbox = test_sandbox_new();
	struct reply reply;
	char command[128];
	FILE *pid_file;
	int pid;

	strcpy(attach.body.attach.sandbox.path, "/run/no/such/path");
	assert_int_equal(test_call(&hostd, &attach, sandbox, &reply), CODE_OK);
	snprintf(command, sizeof(command), "sleep 60 > /dev/null 2>&1 & echo $! > %s/pid",
		 hostd.folder);
	assert_int_equal(test_run_in(sandbox, "%s", command), 0);
	assert_int_equal(test_call(&hostd, &gc, -1, &reply), CODE_OK);
	assert_int_equal(reply.body.gc.released, 1);
	assert_false(is_dressed(sandbox));
	assert_int_equal(test_run("ip link show dev tfn0v0 > /dev/null"), 0);

	snprintf(command, sizeof(command), "%s/pid", hostd.folder);
	pid_file = fopen(command, "r");
	assert_non_null(pid_file);
	assert_int_equal(fscanf(pid_file, "%d", &pid), 1);
	fclose(pid_file);
	kill(pid, SIGKILL);
	close(sandbox);
}

// Another netns that has the path by now is none of ours.
static void a_path_that_leads_elsewhere_by_now_is_not_followed(void **state)
{
	struct request gc = gc_request(network_of("a")), attach = test_attach("a");
	int sandbox = test_sandbox_new(), other = test_sandbox_new();
	struct reply reply;

	snprintf(attach.body.attach.sandbox.path, sizeof(attach.body.attach.sandbox.path),
		 "/proc/%d/fd/%d", getpid(), other);
	assert_int_equal(test_call(&hostd, &attach, sandbox, &reply), CODE_OK);
	assert_int_equal(test_run_in(other, "ip tuntap add dev eth0 mode tap"), 0);
	assert_int_equal(test_call(&hostd, &gc, -1, &reply), CODE_OK);
	assert_int_equal(reply.body.gc.released, 1);
	assert_true(is_dressed(other));
	assert_false(agent_has("a"));
	close(sandbox);
	close(other);
}

static void failures_do_not_end_it_and_each_is_told(void **state)
{
	struct request gc = gc_request(network_of("a"));
	int sandboxes[12];
	struct reply reply;
	char id[16];

	for (int i = 0; i < 12; i++) {
		snprintf(id, sizeof(id), "x%02d", i);
		sandboxes[i] = attach_in(id, NULL);
	}
	hostd.memory->refuse[CALL_DETACH] = CODE_UNSUPPORTED;
	assert_int_equal(test_call(&hostd, &gc, -1, &reply), CODE_OK);
	assert_int_equal(reply.body.gc.released, 0);
	assert_int_equal(reply.body.gc.failure_count, LIMIT_FAILURES);
	assert_int_equal(reply.body.gc.failures[0].code, CODE_UNSUPPORTED);
	assert_string_equal(reply.body.gc.failures[0].key.container_id, "x00");
	assert_non_null(strstr(reply.body.gc.failures[7].message, "refuses"));
	assert_true(reply.body.gc.has_next);
	assert_string_equal(reply.body.gc.next.container_id, "x07");

	gc.body.gc.has_after = true;
	gc.body.gc.after = reply.body.gc.next;
	assert_int_equal(test_call(&hostd, &gc, -1, &reply), CODE_OK);
	assert_int_equal(reply.body.gc.failure_count, 4);
	assert_false(reply.body.gc.has_next);

	hostd.memory->refuse[CALL_DETACH] = CODE_OK;
	gc.body.gc.has_after = false;
	assert_int_equal(test_call(&hostd, &gc, -1, &reply), CODE_OK);
	assert_int_equal(reply.body.gc.released, 12);
	for (int i = 0; i < 12; i++)
		close(sandboxes[i]);
}

static void a_release_the_agent_does_not_take_is_queued_as_that_of_a_del(void **state)
{
	struct request gc = gc_request(network_of("a"));
	int a = attach_in("a", NULL);
	struct reply reply;

	hostd.memory->refuse[CALL_DETACH] = CODE_STORE;
	assert_int_equal(test_call(&hostd, &gc, -1, &reply), CODE_OK);
	assert_int_equal(reply.body.gc.released, 1);
	assert_int_equal(test_queued(&hostd), 1);
	assert_false(is_dressed(a));
	hostd.memory->refuse[CALL_DETACH] = CODE_OK;
	test_wait_for(test_queued(&hostd) == 0);
	assert_false(agent_has("a"));
	close(a);
}

static void what_a_call_is_under_way_for_is_left_alone(void **state)
{
	struct request gc = gc_request(network_of("a")), attach = test_attach("a");
	int sandbox = test_sandbox_new(), adder = test_connect(&hostd);
	struct reply reply;

	hostd.memory->delay_ms[CALL_ATTACH] = 500;
	test_send(adder, &attach, sandbox);
	test_wait_for(test_agent_count(hostd.memory) == 1);
	assert_int_equal(test_call(&hostd, &gc, -1, &reply), CODE_OK);
	assert_int_equal(reply.body.gc.released, 0);
	assert_int_equal(test_receive(adder, &reply), CODE_OK);
	assert_true(agent_has("a") && is_dressed(sandbox));
	close(adder);
	close(sandbox);
}

static void without_the_agent_nothing_is_done(void **state)
{
	struct request gc = gc_request(network_of("a"));
	int a = attach_in("a", NULL);
	struct reply reply;

	test_agent_down(&hostd, SIGKILL);
	assert_int_equal(test_call(&hostd, &gc, -1, &reply), CODE_AGENT_AWAY);
	assert_true(is_dressed(a));
	assert_int_equal(test_queued(&hostd), 0);
	close(a);
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_the_runtime_does_not_know_is_released_everywhere),
		TEST(other_networks_are_not_touched),
		TEST(a_request_is_about_its_range_only),
		TEST(a_sandbox_whose_path_is_gone_is_found_by_its_process),
		TEST(a_path_that_leads_elsewhere_by_now_is_not_followed),
		TEST(failures_do_not_end_it_and_each_is_told),
		TEST(a_release_the_agent_does_not_take_is_queued_as_that_of_a_del),
		TEST(what_a_call_is_under_way_for_is_left_alone),
		TEST(without_the_agent_nothing_is_done),
	};

	if (argc != 3)
		return 2;
	programs = argv;
	test_host_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
