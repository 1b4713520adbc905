// SPDX-License-Identifier: BSD-3-Clause
//
// A running pod whose function is lost and comes back has its network again, and nobody else gets anything. Arguments as
// work_test.

#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hostd/test_cmocka.h"
#include "hostd/test_daemon.h"

static char **programs;
static struct test_daemon hostd;
static char path[128]; // of the pod's sandbox
static int sandbox;

static void bind_path(int netns_fd)
{
	assert_int_equal(test_run("touch %s && mount --bind /proc/%d/fd/%d %s", path, getpid(),
				  netns_fd, path),
			 0);
}

static void remove_path(void)
{
	test_run("umount %s; rm %s", path, path);
}

static void attach(const char *id, int netns_fd)
{
	struct request request = test_attach(id);
	struct reply reply;

	strcpy(request.body.attach.sandbox.path, path);
	assert_int_equal(test_call(&hostd, &request, netns_fd, &reply), CODE_OK);
}

static int setup(void **state)
{
	for (unsigned int vf = 0; vf < 4; vf++)
		test_function_new(vf);
	test_daemon_prepare(&hostd, programs);
	snprintf(path, sizeof(path), "%s/netns", hostd.folder);
	sandbox = test_sandbox_new();
	bind_path(sandbox);
	test_hostd_start(&hostd, "reclaim_grace_s: 1");
	test_agent_up(&hostd);
	return 0;
}

static int teardown(void **state)
{
	test_run("umount %s 2>/dev/null", path);
	close(sandbox);
	test_daemon_clear(&hostd);
	return 0;
}

// As its driver does when it is unbound, and bound again.
static void unbind(void)
{
	assert_int_equal(test_run_in(sandbox, "ip link del eth0"), 0);
}

static bool is_at_home(unsigned int vf)
{
	return test_run("ip link show tfn0v%u >/dev/null 2>&1", vf) == 0;
}

static bool has_eth0(int netns_fd)
{
	return test_run_in(netns_fd, "ip link show eth0 >/dev/null 2>&1") == 0;
}

// Dressing ends with the neighbours and routes; without a call, which would keep hostd's hands off the key.
static void wait_until_dressed(void)
{
	struct request request = test_check("a");
	struct reply reply;

	test_wait_for(test_run_in(sandbox, "ip -6 route | grep -q '^default .*dev eth0'") == 0);
	assert_int_equal(test_call(&hostd, &request, sandbox, &reply), CODE_OK);
}

// hostd compares everything with everything: what it does not do by then it does not do.
static void have_it_look(void)
{
	struct request request = {.timeout_ms = 5000, .call = CALL_RECONCILE};
	struct reply reply;

	assert_int_equal(test_call(&hostd, &request, -1, &reply), CODE_OK);
}

static void a_pod_whose_function_comes_back_is_dressed_as_it_was(void **state)
{
	static const char *const shows[] = {
		"address",
		"route",
		"-6 route",
		"neigh show nud permanent",
		"-o link show eth0 | sed 's/^[0-9]*//; s/qlen.*//'",
	};

	attach("a", sandbox);
	for (unsigned int i = 0; i < sizeof(shows) / sizeof(shows[0]); i++)
		test_run_in(sandbox, "ip %s | sed 's/^[0-9]*:/:/' | grep -v qdisc >%s/before%u",
			    shows[i], hostd.folder, i);
	unbind();
	test_function_new(0);
	wait_until_dressed();
	for (unsigned int i = 0; i < sizeof(shows) / sizeof(shows[0]); i++)
		assert_int_equal(test_run_in(sandbox,
					     "ip %s | sed 's/^[0-9]*:/:/' | grep -v qdisc | "
					     "diff %s/before%u -",
					     shows[i], hostd.folder, i),
				 0);
	assert_false(is_at_home(0));
	// As often as it happens.
	unbind();
	test_function_new(0);
	wait_until_dressed();
}

static void a_function_lost_while_hostd_was_away_is_put_back(void **state)
{
	attach("a", sandbox);
	test_hostd_stop(&hostd, SIGKILL);
	unbind();
	test_function_new(0);
	test_hostd_start(&hostd, "");
	wait_until_dressed();
}

static void it_waits_for_the_agent(void **state)
{
	attach("a", sandbox);
	test_agent_down(&hostd, SIGKILL);
	unbind();
	test_function_new(0);
	test_agent_up(&hostd);
	wait_until_dressed();
}

static void a_function_that_does_not_come_back_is_waited_for(void **state)
{
	attach("a", sandbox);
	unbind();
	have_it_look();
	assert_false(has_eth0(sandbox));
	test_function_new(0);
	wait_until_dressed();
}

static void another_netns_at_the_path_gets_nothing(void **state)
{
	int other = test_sandbox_new();

	attach("a", sandbox);
	unbind();
	remove_path();
	bind_path(other);
	test_function_new(0);
	have_it_look();
	assert_false(has_eth0(other));
	assert_false(has_eth0(sandbox));
	close(other);
}

// The sandbox ends without a DEL, and the runtime makes another where it was. The kernel gives inodes of dead netns to new
// ones at once; whether it has or not, the agent has it so here.
static void a_later_netns_with_the_sandboxs_path_and_inode_gets_nothing(void **state)
{
	int next = test_sandbox_new();
	struct request add = test_attach("b");
	struct reply reply;
	struct stat st;

	if (test_netns_cookie(next) == 0)
		skip(); // a kernel before 5.14
	attach("a", sandbox);
	unbind();
	remove_path();
	bind_path(next);
	assert_int_equal(fstat(next, &st), 0);
	hostd.memory->functions[0].attachment.sandbox.inode = st.st_ino;
	test_function_new(0);
	have_it_look();
	assert_true(is_at_home(0));
	assert_false(has_eth0(next));
	// And the next pod does not keep what the last one had.
	test_wait_for(test_agent_count(hostd.memory) == 0);
	strcpy(add.body.attach.sandbox.path, path);
	assert_int_equal(test_call(&hostd, &add, next, &reply), CODE_OK);
	assert_true(has_eth0(next));
	close(next);
}

static void what_is_being_deleted_is_left_alone(void **state)
{
	struct request detach = test_detach("a");
	struct reply reply;
	int connection;

	attach("a", sandbox);
	hostd.memory->delay_ms[CALL_DETACH] = 1500;
	connection = test_connect(&hostd);
	test_send(connection, &detach, sandbox);
	test_wait_for(is_at_home(0));
	have_it_look();
	assert_false(has_eth0(sandbox));
	assert_int_equal(test_receive(connection, &reply), CODE_OK);
	close(connection);
}

static void what_waits_to_be_released_is_left_alone(void **state)
{
	struct request detach = test_detach("a");
	struct reply reply;

	attach("a", sandbox);
	hostd.memory->refuse[CALL_DETACH] = CODE_STORE; // its disk is full
	assert_int_equal(test_call(&hostd, &detach, sandbox, &reply), CODE_OK);
	assert_int_equal(test_queued(&hostd), 1);
	assert_int_equal(test_agent_count(hostd.memory), 1);
	have_it_look();
	assert_true(is_at_home(0));
	assert_false(has_eth0(sandbox));
	hostd.memory->refuse[CALL_DETACH] = CODE_OK;
	test_wait_for(test_agent_count(hostd.memory) == 0);
}

static void what_the_agent_does_not_confirm_is_left_alone(void **state)
{
	attach("a", sandbox);
	unbind();
	hostd.memory->refuse[CALL_CHECK] = CODE_NOT_FOUND;
	test_function_new(0);
	have_it_look();
	assert_true(is_at_home(0));
	assert_false(has_eth0(sandbox));
	hostd.memory->refuse[CALL_CHECK] = CODE_OK;
	wait_until_dressed();
}

static void an_interface_that_is_not_podports_stays(void **state)
{
	attach("a", sandbox);
	unbind();
	test_run_in(sandbox, "ip tuntap add eth0 mode tap");
	test_function_new(0);
	have_it_look();
	assert_int_equal(test_run_in(sandbox, "ip -d link show eth0 | grep -q 'tun type tap'"), 0);
	assert_true(is_at_home(0));
	test_run_in(sandbox, "ip link del eth0");
	wait_until_dressed();
}

static void others_are_not_touched(void **state)
{
	int other = test_sandbox_new(), lo_only = test_sandbox_new();

	attach("a", sandbox);
	attach("b", other);
	unbind();
	test_function_new(0);
	wait_until_dressed();
	assert_true(has_eth0(other));
	assert_int_equal(test_run_in(other, "ip address show eth0 | grep -q 10.88.0.6/32"), 0);
	assert_false(has_eth0(lo_only));
	assert_true(is_at_home(2) && is_at_home(3));
	close(other);
	close(lo_only);
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_pod_whose_function_comes_back_is_dressed_as_it_was),
		TEST(a_function_lost_while_hostd_was_away_is_put_back),
		TEST(it_waits_for_the_agent),
		TEST(a_function_that_does_not_come_back_is_waited_for),
		TEST(another_netns_at_the_path_gets_nothing),
		TEST(a_later_netns_with_the_sandboxs_path_and_inode_gets_nothing),
		TEST(what_is_being_deleted_is_left_alone),
		TEST(what_waits_to_be_released_is_left_alone),
		TEST(what_the_agent_does_not_confirm_is_left_alone),
		TEST(an_interface_that_is_not_podports_stays),
		TEST(others_are_not_touched),
	};

	if (argc != 3)
		return 2;
	programs = argv;
	test_host_enter();
	test_own_mounts();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
