// SPDX-License-Identifier: BSD-3-Clause
//
// An ADD that is repeated for a pod which is running, and fails: the pod keeps what an earlier ADD has given it. Through
// a real podport-hostd, with a real kernel below and a test's agent above. Arguments: the executables of
// both.

#include <signal.h>
#include <unistd.h>

#include "hostd/test_cmocka.h"
#include "hostd/test_daemon.h"

static char **programs;
static struct test_daemon hostd;

static int setup(void **state)
{
	test_function_new(0);
	test_daemon_prepare(&hostd, programs);
	test_hostd_start(&hostd, "timeout_ms: 1000");
	test_agent_up(&hostd);
	return 0;
}

static int teardown(void **state)
{
	test_daemon_clear(&hostd);
	return 0;
}

// The sandbox of a pod "a" that is attached.
static int running_pod(void)
{
	struct request attach = test_attach("a");
	int sandbox = test_sandbox_new();
	struct reply reply;

	assert_int_equal(test_call(&hostd, &attach, sandbox, &reply), CODE_OK);
	return sandbox;
}

static void assert_untouched(int sandbox)
{
	assert_int_equal(test_agent_count(hostd.memory), 1);
	assert_int_equal(hostd.memory->calls[CALL_DETACH], 0);
	assert_int_equal(test_queued(&hostd), 0);
	assert_int_equal(test_run_in(sandbox, "ip -o link show eth0 up | grep -q eth0"), 0);
}

// The runtime still has its way with it.
static void assert_usable(int sandbox)
{
	struct request attach = test_attach("a"), check = test_check("a"),
		       detach = test_detach("a");
	struct reply reply;

	assert_int_equal(test_call(&hostd, &attach, sandbox, &reply), CODE_OK);
	assert_int_equal(test_call(&hostd, &check, sandbox, &reply), CODE_OK);
	assert_int_equal(test_call(&hostd, &detach, sandbox, &reply), CODE_OK);
	assert_true(reply.body.detach.existed);
	assert_int_equal(test_run_in(sandbox, "test $(ip -o link | wc -l) = 1"), 0);
	assert_int_equal(test_agent_count(hostd.memory), 0);
	assert_int_equal(test_queued(&hostd), 0);
}

static void a_running_pod_outlives_a_repeated_add_that_the_agent_does_not_answer(void **state)
{
	struct request attach = test_attach("a");
	int sandbox = running_pod();
	struct reply reply;

	hostd.memory->silent[CALL_ATTACH] = true;
	assert_int_equal(test_call(&hostd, &attach, sandbox, &reply), CODE_AGENT_AWAY);
	hostd.memory->silent[CALL_ATTACH] = false;
	assert_untouched(sandbox);
	assert_usable(sandbox);
	close(sandbox);
}

static void a_running_pod_outlives_a_repeated_add_in_which_the_agent_dies(void **state)
{
	struct request attach = test_attach("a");
	int sandbox = running_pod(), connection = test_connect(&hostd);
	struct reply reply;

	hostd.memory->silent[CALL_ATTACH] = true;
	test_send(connection, &attach, sandbox);
	test_wait_for(hostd.memory->calls[CALL_ATTACH] == 2);
	test_agent_down(&hostd, SIGKILL);
	assert_int_equal(test_receive(connection, &reply), CODE_AGENT_AWAY);
	assert_untouched(sandbox);
	hostd.memory->silent[CALL_ATTACH] = false;
	test_agent_up(&hostd);
	assert_untouched(sandbox);
	assert_usable(sandbox);
	close(connection);
	close(sandbox);
}

static void a_running_pod_outlives_a_repeated_add_whose_caller_goes_away(void **state)
{
	struct request attach = test_attach("a");
	int sandbox = running_pod(), connection = test_connect(&hostd);

	hostd.memory->silent[CALL_ATTACH] = true;
	test_send(connection, &attach, sandbox);
	test_wait_for(hostd.memory->calls[CALL_ATTACH] == 2);
	close(connection);
	test_agent_down(&hostd, SIGKILL);
	hostd.memory->silent[CALL_ATTACH] = false;
	test_agent_up(&hostd);
	assert_usable(sandbox);
	assert_int_equal(hostd.memory->calls[CALL_DETACH], 1); // the runtime's own
	close(sandbox);
}

static void a_running_pod_outlives_a_repeated_add_that_cannot_dress_it(void **state)
{
	struct request attach = test_attach("a");
	int sandbox = running_pod();
	struct reply reply;

	// Below an MTU of 1280 an interface has no IPv6, nor settings for it.
	assert_int_equal(test_run_in(sandbox, "ip link set eth0 mtu 1000"), 0);
	assert_int_equal(test_call(&hostd, &attach, sandbox, &reply), CODE_WIRING);
	assert_untouched(sandbox);
	assert_int_equal(test_run_in(sandbox, "ip link set eth0 mtu 1500"), 0);
	assert_usable(sandbox);
	close(sandbox);
}

static void a_pod_that_has_lost_its_function_outlives_a_repeated_add(void **state)
{
	struct request attach = test_attach("a");
	int sandbox = running_pod();
	struct reply reply;

	// Its driver is unbound: there is nothing to dress the sandbox with, and nothing in it.
	assert_int_equal(test_run_in(sandbox, "ip link del eth0"), 0);
	attach.timeout_ms = 300;
	assert_int_equal(test_call(&hostd, &attach, sandbox, &reply), CODE_NIC);
	assert_int_equal(hostd.memory->calls[CALL_DETACH], 0);
	assert_int_equal(test_agent_count(hostd.memory), 1);
	assert_int_equal(test_queued(&hostd), 0);
	// And bound again.
	test_function_new(0);
	attach.timeout_ms = 5000;
	assert_int_equal(test_call(&hostd, &attach, sandbox, &reply), CODE_OK);
	assert_usable(sandbox);
	close(sandbox);
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_running_pod_outlives_a_repeated_add_that_the_agent_does_not_answer),
		TEST(a_running_pod_outlives_a_repeated_add_in_which_the_agent_dies),
		TEST(a_running_pod_outlives_a_repeated_add_whose_caller_goes_away),
		TEST(a_running_pod_outlives_a_repeated_add_that_cannot_dress_it),
		TEST(a_pod_that_has_lost_its_function_outlives_a_repeated_add),
	};

	if (argc != 3)
		return 2;
	programs = argv;
	test_host_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
