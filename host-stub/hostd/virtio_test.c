// SPDX-License-Identifier: BSD-3-Clause
//
// Pods with virtio-user ports: the netdev that the agent has made on the host is the pod's, for as long as the pod is.
// Arguments as work_test.

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "hostd/test_cmocka.h"
#include "hostd/test_daemon.h"

static char **programs;
static struct test_daemon hostd;
static char path[128]; // of the pod's sandbox
static int sandbox;
static const struct mac mac = {{0x02, 0x70, 0, 0, 0, 0}}; // of the first pod
#define NETDEV "ppv027000000000"

static void make_netdev(void)
{
	test_virtio_new(&mac);
}

static bool is_at_home(void)
{
	return test_run("ip link show " NETDEV " >/dev/null 2>&1") == 0;
}

// The agent's part, before it is asked and after it has forgotten.
static void remove_netdev(void)
{
	test_run("ip link del " NETDEV " 2>/dev/null");
}

static bool is_empty(int netns_fd)
{
	return test_run_in(netns_fd, "test $(ip -o link | wc -l) = 1") == 0;
}

static bool is_dressed(void)
{
	return test_run_in(sandbox, "ip -6 route | grep -q '^default .*dev eth0'") == 0;
}

static int setup(void **state)
{
	test_function_new(0); // which is never to be touched
	test_daemon_prepare(&hostd, programs);
	snprintf(path, sizeof(path), "%s/netns", hostd.folder);
	sandbox = test_sandbox_new();
	assert_int_equal(test_run("touch %s && mount --bind /proc/%d/fd/%d %s", path, getpid(),
				  sandbox, path),
			 0);
	test_hostd_start(&hostd, "reclaim_grace_s: 1");
	test_agent_up(&hostd);
	return 0;
}

static int teardown(void **state)
{
	test_run("umount %s 2>/dev/null", path);
	close(sandbox);
	test_daemon_clear(&hostd);
	remove_netdev();
	assert_int_equal(0, test_run("ip link show tfn0v0 >/dev/null"));
	assert_int_not_equal(0, test_run("ip link show tfn0v0 | grep -q alias"));
	return 0;
}

static enum code attach(struct reply *ret_reply)
{
	struct request request = test_attach("a");

	request.body.attach.port = PORT_CHOICE_VIRTIO_USER;
	strcpy(request.body.attach.sandbox.path, path);
	return (enum code)test_call(&hostd, &request, sandbox, ret_reply);
}

static void the_agents_netdev_is_dressed_checked_and_taken_back(void **state)
{
	struct request check = test_check("a"), detach = test_detach("a");
	struct reply reply;

	make_netdev();
	assert_int_equal(attach(&reply), CODE_OK);
	assert_false(is_at_home());
	assert_int_equal(0, test_run_in(sandbox, "ip -4 addr show eth0 | grep -q 10.88.0.5/32"));
	assert_int_equal(0, test_run_in(sandbox, "ip link show eth0 | grep -q 'mtu 1400 .*'"));
	assert_int_equal(0, test_run_in(sandbox, "ip link show eth0 | grep -q 02:70:00:00:00:00"));
	assert_int_equal(0,
			 test_run_in(sandbox, "ip link show eth0 | grep -q 'alias podport:" NETDEV
					      ":.*/a/eth0'"));
	assert_int_equal(test_call(&hostd, &check, sandbox, &reply), CODE_OK);
	assert_int_equal(attach(&reply), CODE_OK); // again: the same
	assert_int_equal(0, test_run_in(sandbox, "ip link set eth0 down"));
	assert_int_equal(test_call(&hostd, &check, sandbox, &reply), CODE_MISMATCH);
	assert_int_equal(test_call(&hostd, &detach, sandbox, &reply), CODE_OK);
	assert_true(is_at_home() && is_empty(sandbox));
	assert_int_not_equal(0, test_run("ip link show " NETDEV " | grep -q alias"));
	assert_int_equal(test_agent_count(hostd.memory), 0);
}

static void an_agent_on_another_machine_is_found_out_and_nothing_stays(void **state)
{
	struct reply reply;

	assert_int_equal(attach(&reply), CODE_NIC);
	assert_non_null(strstr(reply.message, NETDEV));
	assert_non_null(strstr(reply.message, "which must be this host"));
	assert_int_equal(test_agent_count(hostd.memory), 0);
	assert_int_equal(test_queued(&hostd), 0);
	assert_true(is_empty(sandbox));
}

static void a_netdev_that_cannot_be_dressed_goes_back_before_the_agent_is_told(void **state)
{
	struct reply reply;

	make_netdev();
	test_run_in(sandbox, "ip tuntap add dev eth0 mode tap");
	assert_int_equal(attach(&reply), CODE_INTERFACE_EXISTS);
	assert_int_equal(test_agent_count(hostd.memory), 0);
	assert_true(is_at_home());
	assert_int_not_equal(0, test_run("ip link show " NETDEV " | grep -q alias"));
}

// As it goes when the agent is killed, and comes with the next one.
static void a_netdev_that_was_made_anew_is_the_pods_again(void **state)
{
	struct reply reply;

	make_netdev();
	assert_int_equal(attach(&reply), CODE_OK);
	test_agent_down(&hostd, SIGKILL);
	assert_int_equal(0, test_run_in(sandbox, "ip link del eth0"));
	test_agent_up(&hostd);
	assert_false(is_dressed());
	make_netdev();
	test_wait_for(is_dressed());
	assert_false(is_at_home());
	// And with hostd away.
	test_hostd_stop(&hostd, SIGKILL);
	assert_int_equal(0, test_run_in(sandbox, "ip link del eth0"));
	make_netdev();
	test_hostd_start(&hostd, "reclaim_grace_s: 1");
	test_wait_for(is_dressed());
}

static void a_sandbox_that_is_gone_is_released_once_the_netdev_is_back(void **state)
{
	struct reply reply;

	make_netdev();
	assert_int_equal(attach(&reply), CODE_OK);
	assert_int_equal(0, test_run("umount %s && rm %s", path, path));
	// Its end takes the netdev along; a TAP that stays, as the test's, comes back by itself.
	close(sandbox);
	sandbox = test_sandbox_new();
	make_netdev();
	test_wait_for(test_agent_count(hostd.memory) == 0);
}

static void what_the_runtime_does_not_know_is_taken_back_and_released(void **state)
{
	struct request gc = {.timeout_ms = 5000, .call = CALL_GC};
	struct reply reply;

	make_netdev();
	assert_int_equal(attach(&reply), CODE_OK);
	strcpy(gc.body.gc.network, reply.body.attach.key.network);
	assert_int_equal(test_call(&hostd, &gc, -1, &reply), CODE_OK);
	assert_int_equal(reply.body.gc.released, 1);
	assert_true(is_at_home() && is_empty(sandbox));
	assert_int_equal(test_agent_count(hostd.memory), 0);
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_agents_netdev_is_dressed_checked_and_taken_back),
		TEST(an_agent_on_another_machine_is_found_out_and_nothing_stays),
		TEST(a_netdev_that_cannot_be_dressed_goes_back_before_the_agent_is_told),
		TEST(a_netdev_that_was_made_anew_is_the_pods_again),
		TEST(a_sandbox_that_is_gone_is_released_once_the_netdev_is_back),
		TEST(what_the_runtime_does_not_know_is_taken_back_and_released),
	};

	if (argc != 3)
		return 2;
	programs = argv;
	test_host_enter();
	test_own_mounts();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
