// SPDX-License-Identifier: BSD-3-Clause
//
// What the runtime sees while the agent is away, hangs or comes back. Arguments as work_test.

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hostd/clock.h"
#include "hostd/test_cmocka.h"
#include "hostd/test_daemon.h"

enum { FUNCTIONS = 16 };

static char **programs;
static struct test_daemon hostd;

static int setup(void **state)
{
	for (unsigned int vf = 0; vf < FUNCTIONS; vf++)
		test_function_new(vf);
	test_daemon_prepare(&hostd, programs);
	return 0;
}

static int teardown(void **state)
{
	test_daemon_clear(&hostd);
	return 0;
}

static struct request status_request(void)
{
	return (struct request){.timeout_ms = 5000, .call = CALL_GET_STATUS};
}

static bool link_is(bool up)
{
	struct request status = status_request();
	struct reply reply;

	return test_call(&hostd, &status, -1, &reply) == CODE_OK &&
	       reply.body.status.host.link_up == up;
}

static void assert_empty(int sandbox)
{
	assert_int_equal(test_run_in(sandbox, "test $(ip -o link | wc -l) = 1"), 0);
}

// ---- ADD -----------------------------------------------------------------------------------------

static void add_with_the_agent_away_fails_in_time_and_says_which_agent(void **state)
{
	struct request attach = test_attach("a");
	int sandbox = test_sandbox_new();
	uint64_t begun_ms = clock_ms();
	struct reply reply;

	test_hostd_start(&hostd, "timeout_ms: 1000");
	assert_int_equal(test_call(&hostd, &attach, sandbox, &reply), CODE_AGENT_AWAY);
	assert_in_range(clock_ms() - begun_ms, 900, 3000);
	assert_non_null(strstr(reply.message, hostd.url));
	assert_non_null(strstr(reply.message, "has not answered for "));
	assert_empty(sandbox);
	assert_int_equal(test_queued(&hostd), 0);
	close(sandbox);
}

static void add_waits_for_an_agent_that_is_just_restarting(void **state)
{
	struct request attach = test_attach("a");
	int sandbox = test_sandbox_new(), connection;
	struct reply reply;

	test_hostd_start(&hostd, "");
	connection = test_connect(&hostd);
	test_send(connection, &attach, sandbox);
	usleep(200000);
	test_agent_up(&hostd);
	assert_int_equal(test_receive(connection, &reply), CODE_OK);
	close(connection);
	close(sandbox);
}

static void an_agent_killed_in_an_add_and_restarted_is_not_noticed(void **state)
{
	struct request attach = test_attach("a");
	int sandbox = test_sandbox_new(), connection;
	struct reply reply;

	test_hostd_start(&hostd, "");
	test_agent_up(&hostd);
	hostd.memory->silent[CALL_ATTACH] = true;
	connection = test_connect(&hostd);
	test_send(connection, &attach, sandbox);
	test_wait_for(test_agent_count(hostd.memory) == 1);
	test_agent_down(&hostd, SIGKILL);
	hostd.memory->silent[CALL_ATTACH] = false;
	test_agent_up(&hostd);
	assert_int_equal(test_receive(connection, &reply), CODE_OK);
	assert_int_equal(test_agent_count(hostd.memory), 1);
	assert_int_equal(hostd.memory->calls[CALL_DETACH], 0);
	close(connection);
	close(sandbox);
}

static void an_add_the_agent_never_answered_is_released_when_it_is_back(void **state)
{
	struct request attach = test_attach("a");
	int sandbox = test_sandbox_new();
	struct reply reply;

	test_hostd_start(&hostd, "timeout_ms: 500");
	test_agent_up(&hostd);
	hostd.memory->silent[CALL_ATTACH] = true;
	hostd.memory->refuse[CALL_DETACH] = CODE_STORE; // so that it is seen in the queue
	assert_int_equal(test_call(&hostd, &attach, sandbox, &reply), CODE_AGENT_AWAY);
	assert_int_equal(test_agent_count(hostd.memory), 1);
	assert_int_equal(test_queued(&hostd), 1);
	assert_empty(sandbox);
	hostd.memory->refuse[CALL_DETACH] = CODE_OK;
	test_wait_for(test_agent_count(hostd.memory) == 0);
	test_wait_for(test_queued(&hostd) == 0);
	close(sandbox);
}

static void an_agent_killed_in_an_add_for_good_has_its_release_queued(void **state)
{
	struct request attach = test_attach("a");
	int sandbox = test_sandbox_new(), connection;
	struct reply reply;

	test_hostd_start(&hostd, "timeout_ms: 1000");
	test_agent_up(&hostd);
	hostd.memory->silent[CALL_ATTACH] = true;
	connection = test_connect(&hostd);
	test_send(connection, &attach, sandbox);
	test_wait_for(test_agent_count(hostd.memory) == 1);
	test_agent_down(&hostd, SIGKILL);
	assert_int_equal(test_receive(connection, &reply), CODE_AGENT_AWAY);
	assert_int_equal(test_queued(&hostd), 1);
	hostd.memory->silent[CALL_ATTACH] = false;
	test_agent_up(&hostd);
	assert_int_equal(test_agent_count(hostd.memory), 0);
	close(connection);
	close(sandbox);
}

static void wiring_that_fails_with_the_agent_gone_queues_the_release(void **state)
{
	struct request attach = test_attach("a");
	int sandbox = test_sandbox_new(), connection;
	struct reply reply;

	// The function is missing, so wiring waits for it; meanwhile the agent goes.
	test_run("ip link del tfn0v0");
	test_hostd_start(&hostd, "timeout_ms: 1500");
	test_agent_up(&hostd);
	connection = test_connect(&hostd);
	test_send(connection, &attach, sandbox);
	test_wait_for(test_agent_count(hostd.memory) == 1);
	usleep(100000);
	test_agent_down(&hostd, SIGKILL);
	assert_int_equal(test_receive(connection, &reply), CODE_NIC);
	assert_non_null(strstr(reply.message, "tfn0v0"));
	test_wait_for(test_queued(&hostd) == 1);
	test_agent_up(&hostd);
	assert_int_equal(test_agent_count(hostd.memory), 0);
	close(connection);
	close(sandbox);
}

static void calls_for_one_pod_stay_in_order_while_they_wait(void **state)
{
	struct request attach = test_attach("a"), detach = test_detach("a");
	int sandbox = test_sandbox_new(), adder, deleter;
	struct reply reply;

	test_hostd_start(&hostd, "");
	adder = test_connect(&hostd);
	deleter = test_connect(&hostd);
	test_send(adder, &attach, sandbox);
	usleep(50000);
	test_send(deleter, &detach, sandbox); // which alone would not wait for the agent
	usleep(50000);
	test_agent_up(&hostd);
	assert_int_equal(test_receive(adder, &reply), CODE_OK);
	assert_int_equal(test_receive(deleter, &reply), CODE_OK);
	assert_int_equal(test_agent_count(hostd.memory), 0);
	assert_empty(sandbox);

	// And one behind a call whose caller gives up goes on.
	test_agent_down(&hostd, SIGKILL);
	test_wait_for(link_is(false));
	test_send(adder, &attach, sandbox);
	usleep(50000);
	test_send(deleter, &detach, sandbox);
	usleep(50000);
	close(adder);
	assert_int_equal(test_receive(deleter, &reply), CODE_OK);
	close(deleter);
	close(sandbox);
}

// ---- DEL -----------------------------------------------------------------------------------------

static void del_with_the_agent_away_succeeds_and_is_delivered_later(void **state)
{
	struct request attach = test_attach("a"), detach = test_detach("a");
	int sandbox = test_sandbox_new();
	uint64_t begun_ms;
	struct reply reply;

	test_hostd_start(&hostd, "");
	test_agent_up(&hostd);
	assert_int_equal(test_call(&hostd, &attach, sandbox, &reply), CODE_OK);
	test_agent_down(&hostd, SIGKILL);
	test_wait_for(link_is(false));
	begun_ms = clock_ms();
	assert_int_equal(test_call(&hostd, &detach, sandbox, &reply), CODE_OK);
	assert_true(clock_ms() - begun_ms < 1000); // it is known to be away
	assert_int_equal(test_queued(&hostd), 1);
	assert_empty(sandbox);
	assert_int_equal(test_run("ip link show tfn0v0 > /dev/null"), 0);

	// Also by the next hostd.
	test_hostd_stop(&hostd, SIGKILL);
	test_hostd_start(&hostd, "");
	test_agent_up(&hostd);
	assert_int_equal(test_agent_count(hostd.memory), 0);
	assert_int_equal(test_queued(&hostd), 0);
	close(sandbox);
}

static void a_queued_release_comes_before_a_new_add_of_the_same_pod(void **state)
{
	struct request attach = test_attach("a"), detach = test_detach("a");
	int sandbox = test_sandbox_new();
	struct reply reply;

	test_hostd_start(&hostd, "");
	test_agent_up(&hostd);
	assert_int_equal(test_call(&hostd, &attach, sandbox, &reply), CODE_OK);
	hostd.memory->refuse[CALL_DETACH] = CODE_STORE;
	assert_int_equal(test_call(&hostd, &detach, sandbox, &reply), CODE_OK);
	assert_int_equal(test_queued(&hostd), 1);
	// While it cannot be delivered, nothing new is done with the key ...
	assert_int_equal(test_call(&hostd, &attach, sandbox, &reply), CODE_STORE);
	assert_int_equal(hostd.memory->calls[CALL_ATTACH], 1);
	// ... and then it is delivered, and does not hit the new one.
	hostd.memory->refuse[CALL_DETACH] = CODE_OK;
	assert_int_equal(test_call(&hostd, &attach, sandbox, &reply), CODE_OK);
	assert_int_equal(test_queued(&hostd), 0);
	usleep(1500000); // more than a Hello's period
	assert_int_equal(test_agent_count(hostd.memory), 1);
	close(sandbox);
}

static void a_hanging_agent_keeps_no_del_waiting_behind_adds(void **state)
{
	struct request attach = test_attach("a"), detach = test_detach("a");
	int sandbox = test_sandbox_new(), others[100];
	uint64_t begun_ms;
	struct reply reply;
	char id[16];

	test_hostd_start(&hostd, "timeout_ms: 3000");
	test_agent_up(&hostd);
	assert_int_equal(test_call(&hostd, &attach, sandbox, &reply), CODE_OK);
	hostd.memory->silent[CALL_ATTACH] = true;
	for (int i = 0; i < 100; i++) {
		snprintf(id, sizeof(id), "w%d", i);
		attach = test_attach(id);
		others[i] = test_connect(&hostd);
		test_send(others[i], &attach, sandbox);
	}
	test_wait_for(hostd.memory->calls[CALL_ATTACH] >= 48);
	begun_ms = clock_ms();
	assert_int_equal(test_call(&hostd, &detach, sandbox, &reply), CODE_OK);
	assert_true(reply.body.detach.existed);
	assert_true(clock_ms() - begun_ms < 2000);
	for (int i = 0; i < 100; i++) {
		int code = test_receive(others[i], &reply);

		// Those that found no thread in time are told so; nobody is left without an answer.
		assert_true(code == CODE_AGENT_AWAY || code == CODE_BUSY);
		close(others[i]);
	}
	hostd.memory->silent[CALL_ATTACH] = false;
	test_wait_for(test_agent_count(hostd.memory) == 0);
	test_wait_for(test_queued(&hostd) == 0);
	close(sandbox);
}

static void a_stopped_agent_is_noticed_by_the_lease(void **state)
{
	struct request status = status_request(), detach = test_detach("a"), ipam = status;
	struct reply reply;
	const char *told;

	test_hostd_start(&hostd, "");
	test_agent_up(&hostd);
	kill(hostd.agent, SIGSTOP);
	// The connection stands, only nobody answers.
	test_wait_for(link_is(false));
	assert_int_equal(test_call(&hostd, &detach, -1, &reply), CODE_OK);
	assert_int_equal(test_queued(&hostd), 1);
	assert_int_equal(test_call(&hostd, &status, -1, &reply), CODE_OK);
	assert_false(reply.body.status.has_agent);
	assert_non_null(strstr(reply.body.status.host.link_error, "agent"));
	assert_int_equal(reply.body.status.host.queued_deletes, 1);
	// Said once, with the time since the last answer.
	ipam.call = CALL_GET_IPAM;
	assert_int_equal(test_call(&hostd, &ipam, -1, &reply), CODE_AGENT_AWAY);
	told = strstr(reply.message, "has not answered for ");
	assert_non_null(told);
	assert_null(strstr(told + 1, "has not answered"));
	assert_non_null(strstr(reply.message, hostd.url));
	kill(hostd.agent, SIGCONT);
	test_wait_for(link_is(true));
	test_wait_for(test_queued(&hostd) == 0);
}

static void a_release_the_agent_will_never_take_does_not_block_the_others(void **state)
{
	struct request a = test_detach("a"), b = test_detach("b");
	struct reply reply;

	test_hostd_start(&hostd, "");
	assert_int_equal(test_call(&hostd, &a, -1, &reply), CODE_OK);
	assert_int_equal(test_call(&hostd, &b, -1, &reply), CODE_OK);
	assert_int_equal(test_queued(&hostd), 2);
	hostd.memory->refuse[CALL_DETACH] = CODE_BAD_REQUEST;
	test_agent_up(&hostd);
	test_wait_for(test_queued(&hostd) == 0);
	assert_int_equal(hostd.memory->calls[CALL_DETACH], 2);
	assert_int_equal(test_run("test $(ls %s/*.corrupt | wc -l) = 2", hostd.queue), 0);
}

static void del_fails_if_the_release_can_be_neither_told_nor_queued(void **state)
{
	struct request detach = test_detach("a");
	struct reply reply;

	test_hostd_start(&hostd, "");
	test_run("rmdir %s", hostd.queue); // the open folder takes no more files
	assert_int_equal(test_call(&hostd, &detach, -1, &reply), CODE_STORE);
	assert_non_null(strstr(reply.message, hostd.queue));
}

// ---- Hello ---------------------------------------------------------------------------------------

static void an_agent_of_another_version_is_not_used_and_status_says_why(void **state)
{
	struct request status = status_request(), attach = test_attach("a");
	int sandbox = test_sandbox_new();
	struct reply reply;

	hostd.memory->refuse[CALL_HELLO] = CODE_UNSUPPORTED;
	test_hostd_start(&hostd, "timeout_ms: 500");
	hostd.agent = test_agent_start(programs[2], hostd.url, hostd.memory_fd);
	test_wait_for(hostd.memory->calls[CALL_HELLO] > 0);
	assert_int_equal(test_call(&hostd, &attach, sandbox, &reply), CODE_AGENT_AWAY);
	assert_non_null(strstr(reply.message, "the test's agent refuses: unsupported"));
	assert_int_equal(test_call(&hostd, &status, -1, &reply), CODE_OK);
	assert_false(reply.body.status.host.link_up);
	assert_non_null(strstr(reply.body.status.host.link_error, "unsupported"));
	// A refusal is not asked for in a busy loop.
	hostd.memory->calls[CALL_HELLO] = 0;
	usleep(500000);
	assert_true(hostd.memory->calls[CALL_HELLO] < 20);
	hostd.memory->refuse[CALL_HELLO] = CODE_OK;
	test_wait_for(link_is(true));
	close(sandbox);
}

static void another_instance_on_the_same_connection_is_noticed(void **state)
{
	unsigned int lists;

	test_hostd_start(&hostd, "");
	test_agent_up(&hostd);
	lists = hostd.memory->calls[CALL_LIST];
	assert_int_equal(lists,
			 1); // looked once what was left behind; the next time in ten seconds
	hostd.memory->instance++;
	usleep(2500000);
	assert_int_equal(hostd.memory->calls[CALL_LIST], lists + 1);
	test_wait_for(link_is(true));
}

static void releases_go_out_before_anything_new_comes_in(void **state)
{
	struct request detach = test_detach("old"), attach = test_attach("new");
	int sandbox = test_sandbox_new(), connection;
	struct reply reply;
	unsigned int order = 0;

	test_hostd_start(&hostd, "");
	assert_int_equal(test_call(&hostd, &detach, -1, &reply), CODE_OK);
	connection = test_connect(&hostd);
	test_send(connection, &attach, sandbox);
	usleep(100000);
	test_agent_up(&hostd);
	assert_int_equal(test_receive(connection, &reply), CODE_OK);
	while (hostd.memory->order[order] == CALL_GET_STATUS) // the test's own
		order++;
	assert_int_equal(hostd.memory->order[order], CALL_DETACH);
	close(connection);
	close(sandbox);
}

static void the_operators_questions_do_not_wait_long(void **state)
{
	struct request list = {.timeout_ms = 5000, .call = CALL_LIST, .body.list.limit = 8};
	uint64_t begun_ms;
	struct reply reply;

	test_hostd_start(&hostd, "");
	begun_ms = clock_ms();
	assert_int_equal(test_call(&hostd, &list, -1, &reply), CODE_AGENT_AWAY);
	assert_true(clock_ms() - begun_ms < 3000);
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(add_with_the_agent_away_fails_in_time_and_says_which_agent),
		TEST(add_waits_for_an_agent_that_is_just_restarting),
		TEST(an_agent_killed_in_an_add_and_restarted_is_not_noticed),
		TEST(an_add_the_agent_never_answered_is_released_when_it_is_back),
		TEST(an_agent_killed_in_an_add_for_good_has_its_release_queued),
		TEST(wiring_that_fails_with_the_agent_gone_queues_the_release),
		TEST(calls_for_one_pod_stay_in_order_while_they_wait),
		TEST(del_with_the_agent_away_succeeds_and_is_delivered_later),
		TEST(a_queued_release_comes_before_a_new_add_of_the_same_pod),
		TEST(a_hanging_agent_keeps_no_del_waiting_behind_adds),
		TEST(a_stopped_agent_is_noticed_by_the_lease),
		TEST(a_release_the_agent_will_never_take_does_not_block_the_others),
		TEST(del_fails_if_the_release_can_be_neither_told_nor_queued),
		TEST(an_agent_of_another_version_is_not_used_and_status_says_why),
		TEST(another_instance_on_the_same_connection_is_noticed),
		TEST(releases_go_out_before_anything_new_comes_in),
		TEST(the_operators_questions_do_not_wait_long),
	};

	if (argc != 3)
		return 2;
	programs = argv;
	test_host_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
