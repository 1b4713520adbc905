// SPDX-License-Identifier: BSD-3-Clause
//
// ADD, DEL, CHECK and status through a real podport-hostd, with a real kernel below and a test's agent
// above. Arguments: the executables of hostd and of the test's agent.

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hostd/clock.h"
#include "hostd/test_cmocka.h"
#include "hostd/test_daemon.h"

enum { FUNCTIONS = 64 };

static char **programs;
static struct test_daemon hostd;

static int setup(void **state)
{
	for (unsigned int vf = 0; vf < FUNCTIONS; vf++)
		test_function_new(vf); // those that a test's sandbox took along
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

static void assert_home(unsigned int vf)
{
	assert_int_equal(test_run("ip link show dev tfn0v%u > /dev/null", vf), 0);
	assert_int_not_equal(test_run("ip link show dev tfn0v%u | grep -q alias", vf), 0);
}

static void assert_empty(int sandbox)
{
	assert_int_equal(test_run_in(sandbox, "test $(ip -o link | wc -l) = 1"), 0);
}

static void a_pod_is_attached_checked_and_detached(void **state)
{
	struct request attach = test_attach("a"), detach = test_detach("a"),
		       check = test_check("a");
	int sandbox = test_sandbox_new();
	struct reply reply;

	strcpy(attach.body.attach.pod.name, "web-0");
	strcpy(attach.body.attach.pod.namespace_, "shop");
	attach.body.attach.sandbox.inode = attach.body.attach.sandbox.cookie =
		4711; // it sees for itself
	assert_int_equal(test_call(&hostd, &attach, sandbox, &reply), CODE_OK);
	assert_int_equal(reply.call, CALL_ATTACH);
	assert_string_equal(reply.body.attach.pod.name, "web-0");
	assert_int_not_equal(reply.body.attach.sandbox.inode, 0);
	assert_int_equal(reply.body.attach.sandbox.cookie, test_netns_cookie(sandbox));
	assert_int_equal(test_run_in(sandbox, "ip -4 addr show eth0 | grep -q 10.88.0.5"), 0);

	check.body.check.has_expected = true;
	check.body.check.expected = reply.body.attach;
	assert_int_equal(test_call(&hostd, &check, sandbox, &reply), CODE_OK);

	assert_int_equal(test_call(&hostd, &detach, sandbox, &reply), CODE_OK);
	assert_true(reply.body.detach.existed);
	assert_int_equal(test_agent_count(hostd.memory), 0);
	assert_home(0);
	assert_empty(sandbox);

	// And again, and without the sandbox.
	assert_int_equal(test_call(&hostd, &detach, sandbox, &reply), CODE_OK);
	assert_false(reply.body.detach.existed);
	assert_int_equal(test_call(&hostd, &detach, -1, &reply), CODE_OK);
	close(sandbox);
}

static void a_repeated_attach_gives_the_same_and_changes_nothing(void **state)
{
	struct request attach = test_attach("a");
	int sandbox = test_sandbox_new();
	struct reply first, second;

	assert_int_equal(test_call(&hostd, &attach, sandbox, &first), CODE_OK);
	assert_int_equal(test_call(&hostd, &attach, sandbox, &second), CODE_OK);
	assert_int_equal(first.body.attach.ipv4.s_addr, second.body.attach.ipv4.s_addr);
	assert_int_equal(test_agent_count(hostd.memory), 1);
	close(sandbox);
}

static void a_failed_wiring_leaves_nothing_at_the_agent(void **state)
{
	struct request attach = test_attach("a");
	int sandbox = test_sandbox_new();
	struct reply reply;

	test_run_in(sandbox, "ip tuntap add dev eth0 mode tap");
	assert_int_equal(test_call(&hostd, &attach, sandbox, &reply), CODE_INTERFACE_EXISTS);
	assert_int_equal(test_agent_count(hostd.memory), 0);
	assert_int_equal(hostd.memory->calls[CALL_DETACH], 1);
	assert_home(0);
	close(sandbox);
}

static void a_refusal_of_the_agent_is_passed_on(void **state)
{
	struct request attach = test_attach("a");
	int sandbox = test_sandbox_new();
	struct reply reply;

	hostd.memory->refuse[CALL_ATTACH] = CODE_NO_ADDRESS;
	assert_int_equal(test_call(&hostd, &attach, sandbox, &reply), CODE_NO_ADDRESS);
	assert_string_equal(reply.message, "the test's agent refuses: no-address");
	assert_empty(sandbox);
	assert_int_equal(hostd.memory->calls[CALL_DETACH], 0);
	assert_int_equal(test_queued(&hostd), 0);
	close(sandbox);
}

// It would attach the pod without what it was asked for, and not say so.
static void an_older_agent_that_would_swallow_a_wish_is_found_out(void **state)
{
	struct request limited = test_attach("a"), mapped = test_attach("a");
	int sandbox = test_sandbox_new();
	struct reply reply;

	limited.body.attach.bandwidth.egress_rate_bps = 1000000;
	mapped.body.attach.port_mappings.count = 1;
	mapped.body.attach.port_mappings.items[0] = (struct port_mapping){
		.protocol = IPPROTO_TCP, .host_port = 8080, .container_port = 80};
	hostd.memory->old_attach = true;
	assert_int_equal(test_call(&hostd, &limited, sandbox, &reply), CODE_UNSUPPORTED);
	assert_string_equal(reply.message, "bandwidth: the agent is an older one and limits none");
	assert_int_equal(test_call(&hostd, &mapped, sandbox, &reply), CODE_UNSUPPORTED);
	assert_string_equal(reply.message,
			    "port_mappings: the agent is an older one and maps no ports");
	assert_empty(sandbox);
	assert_int_equal(test_agent_count(hostd.memory), 0);
	hostd.memory->old_attach = false;
	limited.body.attach.port_mappings = mapped.body.attach.port_mappings;
	assert_int_equal(test_call(&hostd, &limited, sandbox, &reply), CODE_OK);
	assert_int_equal(reply.body.attach.bandwidth.egress_rate_bps, 1000000);
	assert_int_equal(reply.body.attach.port_mappings.items[0].host_port, 8080);
	close(sandbox);
}

static void a_sandbox_that_is_none_is_refused_before_the_agent_is_asked(void **state)
{
	struct request attach = test_attach("a");
	int pipe_fds[2], host = test_run("true");
	struct reply reply;

	(void)host;
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(test_call(&hostd, &attach, pipe_fds[0], &reply), CODE_NETNS);
	assert_int_equal(test_call(&hostd, &attach, -1, &reply), CODE_BAD_REQUEST);
	assert_int_equal(hostd.memory->calls[CALL_ATTACH], 0);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void detach_copes_with_a_path_that_is_no_netns_any_more(void **state)
{
	struct request attach = test_attach("a"), detach = test_detach("a");
	int sandbox = test_sandbox_new(), pipe_fds[2];
	struct reply reply;

	assert_int_equal(test_call(&hostd, &attach, sandbox, &reply), CODE_OK);
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(test_call(&hostd, &detach, pipe_fds[0], &reply), CODE_OK);
	assert_int_equal(test_agent_count(hostd.memory), 0);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	close(sandbox);
}

static void check_tells_what_the_runtime_believes_wrongly(void **state)
{
	struct request attach = test_attach("a"), check = test_check("a");
	int sandbox = test_sandbox_new();
	struct reply reply, answer;

	assert_int_equal(test_call(&hostd, &check, sandbox, &reply), CODE_NOT_FOUND);
	assert_int_equal(test_call(&hostd, &attach, sandbox, &reply), CODE_OK);
	check.body.check.has_expected = true;
	check.body.check.expected = reply.body.attach;
	check.body.check.expected.ipv4.s_addr ^= htonl(1);
	assert_int_equal(test_call(&hostd, &check, sandbox, &answer), CODE_MISMATCH);
	assert_non_null(strstr(answer.message, "IPv4"));
	check.body.check.expected = reply.body.attach;
	check.body.check.expected.ipv6.s6_addr[15] ^= 1;
	assert_int_equal(test_call(&hostd, &check, sandbox, &answer), CODE_MISMATCH);
	assert_non_null(strstr(answer.message, "IPv6"));
	check.body.check.expected = reply.body.attach;
	check.body.check.expected.mac.bytes[5] ^= 1;
	assert_int_equal(test_call(&hostd, &check, sandbox, &answer), CODE_MISMATCH);
	assert_non_null(strstr(answer.message, "MAC"));
	// What the runtime does not tell is not compared; an MTU that was lowered since is what counts.
	memset(&check.body.check.expected, 0, sizeof(check.body.check.expected));
	check.body.check.expected.mtu = reply.body.attach.mtu - 100;
	assert_int_equal(test_call(&hostd, &check, sandbox, &answer), CODE_MISMATCH);
	assert_non_null(strstr(answer.message, "MTU"));
	test_run_in(sandbox, "ip link set eth0 mtu %u", reply.body.attach.mtu - 100);
	assert_int_equal(test_call(&hostd, &check, sandbox, &answer), CODE_OK);
	check.body.check.expected.mtu = reply.body.attach.mtu + 100;
	assert_int_equal(test_call(&hostd, &check, sandbox, &answer), CODE_MISMATCH);
	check.body.check.has_expected = false;
	assert_int_equal(test_call(&hostd, &check, sandbox, &answer), CODE_MISMATCH);
	assert_non_null(strstr(answer.message, "MTU"));
	test_run_in(sandbox, "ip link set eth0 mtu %u", reply.body.attach.mtu);
	assert_int_equal(test_call(&hostd, &check, sandbox, &answer), CODE_OK);
	test_run_in(sandbox, "ip route del default");
	assert_int_equal(test_call(&hostd, &check, sandbox, &answer), CODE_MISMATCH);
	assert_non_null(strstr(answer.message, "default route"));
	close(sandbox);
}

static void calls_for_one_attachment_wait_for_each_other(void **state)
{
	struct request attach = test_attach("a"), detach = test_detach("a");
	int sandbox = test_sandbox_new(), adder = test_connect(&hostd),
	    deleter = test_connect(&hostd);
	struct reply reply;

	hostd.memory->delay_ms[CALL_ATTACH] = 300;
	test_send(adder, &attach, sandbox);
	test_wait_for(hostd.memory->calls[CALL_ATTACH] == 1);
	test_send(deleter, &detach, sandbox);
	assert_int_equal(test_receive(adder, &reply), CODE_OK);
	assert_int_equal(test_receive(deleter, &reply), CODE_OK);
	assert_true(reply.body.detach.existed);
	assert_int_equal(test_agent_count(hostd.memory), 0);
	assert_empty(sandbox);
	assert_home(0);
	close(adder);
	close(deleter);
	close(sandbox);
}

static void a_call_behind_one_that_takes_too_long_is_told_busy(void **state)
{
	struct request attach = test_attach("a"), detach = test_detach("a");
	int sandbox = test_sandbox_new(), adder = test_connect(&hostd);
	struct reply reply;

	detach.timeout_ms = 200;
	hostd.memory->delay_ms[CALL_ATTACH] = 1000;
	test_send(adder, &attach, sandbox);
	test_wait_for(hostd.memory->calls[CALL_ATTACH] == 1);
	assert_int_equal(test_call(&hostd, &detach, sandbox, &reply), CODE_BUSY);
	assert_int_equal(test_receive(adder, &reply), CODE_OK);
	close(adder);
	close(sandbox);
}

static void many_pods_at_once_are_attached_and_detached(void **state)
{
	int connections[FUNCTIONS], sandboxes[FUNCTIONS];
	struct reply reply;
	char id[16];

	for (int i = 0; i < FUNCTIONS; i++) {
		sandboxes[i] = test_sandbox_new();
		connections[i] = test_connect(&hostd);
	}
	for (int i = 0; i < FUNCTIONS; i++) {
		struct request attach;

		snprintf(id, sizeof(id), "m%d", i);
		attach = test_attach(id);
		test_send(connections[i], &attach, sandboxes[i]);
	}
	for (int i = 0; i < FUNCTIONS; i++) {
		int code = test_receive(connections[i], &reply);

		if (code != CODE_OK)
			fail_msg("%d: %d %s", i, code, reply.message);
	}
	assert_int_equal(test_agent_count(hostd.memory), FUNCTIONS);
	for (int i = 0; i < FUNCTIONS; i++) {
		struct request detach;

		assert_int_equal(
			test_run_in(sandboxes[i], "ip -o -4 addr show eth0 | grep -q 10.88"), 0);
		snprintf(id, sizeof(id), "m%d", i);
		detach = test_detach(id);
		test_send(connections[i], &detach, sandboxes[i]);
	}
	for (int i = 0; i < FUNCTIONS; i++) {
		assert_int_equal(test_receive(connections[i], &reply), CODE_OK);
		assert_home((unsigned int)i);
		assert_empty(sandboxes[i]);
		close(sandboxes[i]);
		close(connections[i]);
	}
	assert_int_equal(test_agent_count(hostd.memory), 0);
}

static void status_and_list_show_both_sides(void **state)
{
	struct request status = {.timeout_ms = 5000, .call = CALL_GET_STATUS};
	struct request list = {
		.timeout_ms = 5000, .call = CALL_LIST, .body.list.limit = LIMIT_PAGE};
	struct request flows = {.timeout_ms = 5000,
				.call = CALL_LIST_FLOWS,
				.body.list_flows = {.after = 7, .limit = 1}};
	struct request offload = {.timeout_ms = 5000, .call = CALL_GET_OFFLOAD};
	struct request hello = {.timeout_ms = 5000, .call = CALL_HELLO};
	struct request reconcile = {.timeout_ms = 5000, .call = CALL_RECONCILE};
	struct request network = {.timeout_ms = 5000,
				  .call = CALL_SET_POD_NETWORK,
				  .body.set_pod_network = {.has_ipv4 = true,
							   .ipv4.s_addr = htonl(0x0a630000),
							   .ipv4_prefix_length = 24}};
	struct request attach = test_attach("a");
	int sandbox = test_sandbox_new();
	struct reply reply;

	assert_int_equal(test_call(&hostd, &attach, sandbox, &reply), CODE_OK);
	assert_int_equal(test_call(&hostd, &status, -1, &reply), CODE_OK);
	assert_true(reply.body.status.has_host && reply.body.status.has_agent);
	assert_true(reply.body.status.host.link_up);
	assert_string_equal(reply.body.status.host.agent_url, hostd.url);
	assert_string_equal(reply.body.status.agent.instance_id, "test");
	assert_int_equal(reply.body.status.host.calls_in_flight, 0);
	assert_int_equal(test_call(&hostd, &list, -1, &reply), CODE_OK);
	assert_int_equal(reply.body.list.count, 1);
	assert_string_equal(reply.body.list.items[0].attachment.key.container_id, "a");
	reply_clear(&reply);
	assert_int_equal(test_call(&hostd, &flows, -1, &reply), CODE_OK);
	assert_int_equal(reply.body.flows.count, 1);
	assert_int_equal(reply.body.flows.flows[0].id, 8); // the one after what was asked for
	reply_clear(&reply);
	assert_int_equal(test_call(&hostd, &offload, -1, &reply), CODE_OK);
	assert_int_equal(reply.body.offload.summary.rules, 1);
	reply_clear(&reply);
	assert_int_equal(test_call(&hostd, &reconcile, -1, &reply), CODE_OK);
	assert_int_equal(reply.body.reconcile.without_port, 3); // the agent's word
	assert_int_equal(reply.body.reconcile.suspects, 0);
	assert_int_equal(test_call(&hostd, &network, -1, &reply), CODE_OK);
	assert_true(reply.body.set_pod_network.has_ipv4);
	strcpy(hello.body.hello.boot_id, "x");
	strcpy(hello.body.hello.host_id, "x");
	assert_int_equal(test_call(&hostd, &hello, -1, &reply), CODE_UNSUPPORTED);
	close(sandbox);
}

// ---- hostd dies ----------------------------------------------------------------------------------

static void a_killed_hostd_leaves_an_add_that_can_be_repeated_or_undone(void **state)
{
	struct request attach = test_attach("a"), other = test_attach("b"),
		       detach = test_detach("b");
	int sandbox = test_sandbox_new(), second = test_sandbox_new();
	int one = test_connect(&hostd), two = test_connect(&hostd);
	struct reply reply;

	hostd.memory->delay_ms[CALL_ATTACH] = 300;
	test_send(one, &attach, sandbox);
	test_send(two, &other, second);
	test_wait_for(test_agent_count(hostd.memory) == 2);
	test_hostd_stop(&hostd, SIGKILL);
	assert_int_equal(test_receive(one, &reply), TEST_HUNG_UP);
	close(one);
	close(two);
	hostd.memory->delay_ms[CALL_ATTACH] = 0;
	test_hostd_start(&hostd, "");
	assert_int_equal(test_call(&hostd, &attach, sandbox, &reply), CODE_OK);
	assert_int_equal(test_call(&hostd, &detach, second, &reply), CODE_OK);
	assert_int_equal(test_agent_count(hostd.memory), 1);
	assert_empty(second);
	close(sandbox);
	close(second);
}

static void sigterm_finishes_what_is_under_way(void **state)
{
	struct request attach = test_attach("a");
	int sandbox = test_sandbox_new(), connection = test_connect(&hostd), status;
	struct reply reply;

	hostd.memory->delay_ms[CALL_ATTACH] = 300;
	test_send(connection, &attach, sandbox);
	test_wait_for(hostd.memory->calls[CALL_ATTACH] == 1);
	kill(hostd.hostd, SIGTERM);
	assert_int_equal(test_receive(connection, &reply), CODE_OK);
	status = test_hostd_stop(&hostd, 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(access(hostd.socket, F_OK), -1);
	close(connection);
	close(sandbox);
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_pod_is_attached_checked_and_detached),
		TEST(a_repeated_attach_gives_the_same_and_changes_nothing),
		TEST(a_failed_wiring_leaves_nothing_at_the_agent),
		TEST(a_refusal_of_the_agent_is_passed_on),
		TEST(an_older_agent_that_would_swallow_a_wish_is_found_out),
		TEST(a_sandbox_that_is_none_is_refused_before_the_agent_is_asked),
		TEST(detach_copes_with_a_path_that_is_no_netns_any_more),
		TEST(check_tells_what_the_runtime_believes_wrongly),
		TEST(calls_for_one_attachment_wait_for_each_other),
		TEST(a_call_behind_one_that_takes_too_long_is_told_busy),
		TEST(many_pods_at_once_are_attached_and_detached),
		TEST(status_and_list_show_both_sides),
		TEST(a_killed_hostd_leaves_an_add_that_can_be_repeated_or_undone),
		TEST(sigterm_finishes_what_is_under_way),
	};

	if (argc != 3)
		return 2;
	programs = argv;
	test_host_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
