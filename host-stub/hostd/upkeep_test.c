// SPDX-License-Identifier: BSD-3-Clause
//
// What hostd does by itself: the host's port, and reclaim of what has no sandbox any more. Arguments
// as work_test.

#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hostd/clock.h"
#include "hostd/test_cmocka.h"
#include "hostd/test_daemon.h"

static char **programs;
static struct test_daemon hostd;

static int setup(void **state)
{
	for (unsigned int vf = 0; vf < 4; vf++)
		test_function_new(vf);
	test_run("ip link del podport0 2> /dev/null");
	test_daemon_prepare(&hostd, programs);
	return 0;
}

static int teardown(void **state)
{
	test_daemon_clear(&hostd);
	return 0;
}

static bool run(const char *command)
{
	return test_run("%s", command) == 0;
}

static struct host_status host_status(void)
{
	struct request request = {.timeout_ms = 5000, .call = CALL_GET_STATUS};
	struct reply reply;

	if (test_call(&hostd, &request, -1, &reply) != CODE_OK)
		memset(&reply, 0, sizeof(reply));
	return reply.body.status.host;
}

// ---- the host's port -----------------------------------------------------------------------------

static bool port_is_dressed(void)
{
	return run("ip -4 addr show podport0 | grep -q 'inet 10.88.0.1/32'") &&
	       run("ip -6 addr show podport0 | grep -q 'inet6 fd88::1/128'") &&
	       run("ip link show up podport0 | grep -q 'mtu 1400'") &&
	       run("ip route | grep -q '10.88.0.0/16 via 169.254.1.1 dev podport0.* src "
		   "10.88.0.1.* onlink'") &&
	       run("ip -6 route | grep -q 'fd88::/64 via fe80::1 dev podport0.* src fd88::1'") &&
	       run("ip neigh | grep -q '169.254.1.1 dev podport0 lladdr 02:70:70:00:00:01 "
		   "PERMANENT'") &&
	       run("ip neigh | grep -q 'fe80::1 dev podport0 lladdr 02:70:70:00:00:01.*PERMANENT'");
}

static void the_hosts_port_is_dressed_when_the_agent_comes(void **state)
{
	test_run("ip tuntap add podport0 mode tap");
	test_hostd_start(&hostd, "");
	assert_false(host_status().host_port_ready);
	test_agent_up(&hostd);
	assert_true(port_is_dressed());
	assert_true(host_status().host_port_ready);
	assert_string_equal(host_status().host_port, "podport0");
	assert_string_equal(host_status().host_port_error, "");
}

static void a_port_that_comes_late_or_anew_is_dressed(void **state)
{
	test_hostd_start(&hostd, "");
	test_agent_up(&hostd);
	assert_false(host_status().host_port_ready);
	assert_string_equal(host_status().host_port_error, "the host has no interface podport0");
	test_run("ip tuntap add podport0 mode tap");
	test_wait_for(port_is_dressed());
	test_wait_for(host_status().host_port_ready);
	test_run("ip link del podport0");
	test_wait_for(!host_status().host_port_ready);
	test_run("ip tuntap add podport0 mode tap");
	test_wait_for(port_is_dressed());
	test_run("ip link set podport0 down");
	test_wait_for(port_is_dressed());
}

static void a_new_pod_network_replaces_the_old_one_also_after_a_restart(void **state)
{
	struct pod_network *network = &hostd.memory->hello.pod_network;

	test_run("ip tuntap add podport0 mode tap");
	test_hostd_start(&hostd, "");
	test_agent_up(&hostd);
	assert_true(port_is_dressed());
	test_run(
		"ip addr add 192.0.2.1/24 dev podport0; ip route add 198.51.100.0/24 dev podport0");
	test_hostd_stop(&hostd, SIGKILL);
	network->ipv4.s_addr = htonl(0x0a590000);
	network->gateway_ipv4.s_addr = htonl(0x0a590001);
	network->has_ipv6 = false;
	test_hostd_start(&hostd, "");
	test_wait_for(host_status().host_port_ready);
	assert_true(run("ip -4 addr show podport0 | grep -q 'inet 10.89.0.1/32'"));
	assert_true(run("ip route | grep -q '10.89.0.0/16 via 169.254.1.1'"));
	assert_false(run("ip addr show podport0 | grep -q 10.88"));
	assert_false(run("ip route | grep -q 10.88"));
	assert_false(run("ip -6 addr show podport0 | grep -q fd88"));
	assert_false(run("ip -6 route | grep -q fd88"));
	// What somebody else put there is theirs.
	assert_true(run("ip addr show podport0 | grep -q 192.0.2.1/24"));
	assert_true(run("ip route | grep -q 198.51.100.0/24"));
	// And while both run.
	network->gateway_ipv4.s_addr = htonl(0x0a590002);
	test_wait_for(run("ip -4 addr show podport0 | grep -q 'inet 10.89.0.2/32'"));
	assert_false(run("ip -4 addr show podport0 | grep -q 10.89.0.1"));
}

static void the_agents_address_on_the_wire_is_behind_the_port(void **state)
{
	struct hello_reply *hello = &hostd.memory->hello;

	test_run("ip tuntap add podport0 mode tap");
	hello->has_uplink_ipv4 = hello->has_uplink_ipv6 = true;
	inet_pton(AF_INET, "203.0.113.10", &hello->uplink_ipv4);
	inet_pton(AF_INET6, "2001:db8:1::10", &hello->uplink_ipv6);
	test_hostd_start(&hostd, "");
	test_agent_up(&hostd);
	test_wait_for(host_status().host_port_ready);
	assert_true(run("ip route get 203.0.113.10 | grep -q 'via 169.254.1.1 dev podport0 src "
			"10.88.0.1'"));
	assert_true(run("ip -6 route get 2001:db8:1::10 | grep -q 'via fe80::1 dev podport0'"));
	// It follows, and goes.
	inet_pton(AF_INET, "203.0.113.11", &hello->uplink_ipv4);
	hello->has_uplink_ipv6 = false;
	test_wait_for(run("ip route | grep -q '203.0.113.11 via 169.254.1.1 dev podport0'"));
	test_wait_for(!run("ip route | grep -q '203.0.113.10 '") &&
		      !run("ip -6 route | grep -q 2001:db8"));
	assert_true(port_is_dressed());
}

static void without_a_pod_network_or_a_port_nothing_is_done(void **state)
{
	hostd.memory->hello.has_pod_network = false;
	test_run("ip tuntap add podport0 mode tap");
	test_hostd_start(&hostd, "");
	test_agent_up(&hostd);
	assert_string_equal(host_status().host_port_error, "the agent has no pod network yet");
	hostd.memory->hello.has_pod_network = true;
	hostd.memory->hello.host_port = false;
	test_wait_for(strstr(host_status().host_port_error, "does not serve") != NULL);
	assert_false(run("ip addr show podport0 | grep -q 10.88"));
	hostd.memory->hello.host_port = true;
	test_wait_for(port_is_dressed());
	test_hostd_stop(&hostd, SIGTERM);
	assert_true(port_is_dressed()); // a restart of hostd is no reason to cut anybody off
	test_hostd_start(&hostd, "host_port: ''");
	assert_string_equal(host_status().host_port, "");
}

// ---- reclaim -------------------------------------------------------------------------------------

// What the runtime knows of the sandbox: a path that is there as long as the sandbox is.
static int sandbox_at(char path[128])
{
	int sandbox = test_sandbox_new();

	snprintf(path, 128, "%s/netns", hostd.folder);
	test_run("touch %s && mount --bind /proc/%d/fd/%d %s", path, getpid(), sandbox, path);
	return sandbox;
}

static void remove_path(const char *path)
{
	test_run("umount %s; rm %s", path, path);
}

static void attach(const char *id, const char *path, int sandbox)
{
	struct request request = test_attach(id);
	struct reply reply;

	strcpy(request.body.attach.sandbox.path, path);
	assert_int_equal(test_call(&hostd, &request, sandbox, &reply), CODE_OK);
}

// A process that is in the netns until it is killed.
static pid_t live_in(int netns_fd)
{
	int ready[2];
	char byte = 0;
	pid_t inside;

	assert_int_equal(pipe(ready), 0);
	inside = fork();
	if (inside == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (setns(netns_fd, CLONE_NEWNET) == 0 && write(ready[1], &byte, 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return inside;
}

static void leave(pid_t inside)
{
	kill(inside, SIGKILL);
	waitpid(inside, NULL, 0);
}

static void a_dead_sandbox_is_reclaimed_after_the_grace_time(void **state)
{
	char path[128];
	int sandbox = sandbox_at(path);
	uint64_t begun_ms;

	test_hostd_start(&hostd, "reclaim_grace_s: 2");
	test_agent_up(&hostd);
	attach("a", path, sandbox);
	attach("b", "/run/netns/there-is-none", test_sandbox_new());
	attach("c", "/run/netns/there-is-none", test_sandbox_new());
	// The sandbox of "a" dies; its function comes back (the card makes the TAP again).
	remove_path(path);
	close(sandbox);
	test_wait_for(!run("ip link show tfn0v0 2> /dev/null | grep -q alias"));
	test_sandbox_new(); // gets its inode, before somebody's does who has processes inside
	begun_ms = clock_ms();
	test_function_new(0);
	test_wait_for(test_agent_count(hostd.memory) == 2);
	assert_true(clock_ms() - begun_ms >= 1900);
	// The others live, though nobody is inside and their path is unknown: their functions are away.
	usleep(3500000);
	assert_int_equal(test_agent_count(hostd.memory), 2);
}

// The agent's Check fails for it.
static void a_dead_sandbox_is_reclaimed_also_if_its_port_never_started(void **state)
{
	struct request reconcile = {.timeout_ms = 5000, .call = CALL_RECONCILE};
	int sandbox = test_sandbox_new();
	struct reply reply;

	test_hostd_start(&hostd, "reclaim_grace_s: 1");
	test_agent_up(&hostd);
	attach("a", "/run/netns/there-is-none", sandbox);
	hostd.memory->refuse[CALL_CHECK] = CODE_MISMATCH;
	test_run_in(sandbox, "ip link del eth0");
	close(sandbox);
	test_function_new(0);
	// An operator who does not want to wait sees that it is suspected.
	assert_int_equal(test_call(&hostd, &reconcile, -1, &reply), CODE_OK);
	assert_int_equal(reply.body.reconcile.suspects, 1);
	assert_int_equal(reply.body.reconcile.reclaimed, 0);
	test_wait_for(test_agent_count(hostd.memory) == 0);
	assert_int_equal(test_call(&hostd, &reconcile, -1, &reply), CODE_OK);
	assert_int_equal(reply.body.reconcile.suspects, 0);
}

static void a_sandbox_that_may_be_alive_is_not_reclaimed(void **state)
{
	char path[128];
	int sandbox = sandbox_at(path), fd = test_sandbox_new();
	pid_t inside;

	test_hostd_start(&hostd, "reclaim_grace_s: 1");
	test_agent_up(&hostd);
	// "a" has its path, "b" a process; the functions of both are at home. That of "a" will be put back (redress.h), and
	// of "b" nobody can tell whether it is the same netns still.
	attach("a", path, sandbox);
	attach("b", "/run/netns/there-is-none", fd);
	inside = live_in(fd);
	test_run_in(sandbox, "ip link del eth0");
	test_run_in(fd, "ip link del eth0");
	close(fd);
	test_function_new(0);
	test_function_new(1);
	usleep(3500000);
	assert_int_equal(test_agent_count(hostd.memory), 2);
	assert_true(run("ip link show tfn0v1 >/dev/null"));
	test_wait_for(!run("ip link show tfn0v0 >/dev/null 2>&1"));
	// Without either they are gone.
	test_run_in(sandbox, "ip link del eth0");
	close(sandbox);
	remove_path(path);
	test_function_new(0);
	leave(inside);
	test_wait_for(test_agent_count(hostd.memory) == 0);
}

// hostd has compared everything with everything, a few times.
static void have_it_look(void)
{
	struct request request = {.timeout_ms = 5000, .call = CALL_RECONCILE};
	struct reply reply;

	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(test_call(&hostd, &request, -1, &reply), CODE_OK);
}

// Attach "a", whose sandbox then ends without a DEL. As if the kernel had given its inode to another netns, which it
// does as it likes. Returns the sandbox as it was recorded.
static struct sandbox *attach_and_give_inode_to(int other)
{
	struct sandbox *recorded = &hostd.memory->functions[0].attachment.sandbox;
	int sandbox = test_sandbox_new();
	struct stat st;

	attach("a", "/run/netns/there-is-none", sandbox);
	test_run_in(sandbox, "ip link del eth0");
	close(sandbox);
	assert_int_equal(fstat(other, &st), 0);
	recorded->inode = st.st_ino;
	return recorded;
}

static void a_sandbox_whose_inode_somebody_has_by_now_is_reclaimed(void **state)
{
	int other = test_sandbox_new();
	pid_t inside = live_in(other);

	if (test_netns_cookie(other) == 0)
		skip(); // a kernel before 5.14
	test_hostd_start(&hostd, "reclaim_grace_s: 1");
	test_agent_up(&hostd);
	attach_and_give_inode_to(other);
	test_function_new(0);
	test_wait_for(test_agent_count(hostd.memory) == 0);
	assert_int_equal(kill(inside, 0), 0); // who had no part in it
	leave(inside);
	close(other);
}

// It was attached by an older hostd, or on a kernel that has no cookies.
static void without_a_cookie_whoever_has_the_inode_keeps_it(void **state)
{
	int other = test_sandbox_new();
	pid_t inside = live_in(other);

	test_hostd_start(&hostd, "reclaim_grace_s: 0");
	test_agent_up(&hostd);
	attach_and_give_inode_to(other)->cookie = 0;
	test_function_new(0);
	have_it_look();
	assert_int_equal(test_agent_count(hostd.memory), 1);
	leave(inside);
	test_wait_for(test_agent_count(hostd.memory) == 0);
	close(other);
}

// Two containers attach in one sandbox: that the later one's function is there says nothing against the earlier one.
static void a_sandbox_that_another_container_shares_is_not_reclaimed(void **state)
{
	struct request other = test_attach("b");
	int sandbox = test_sandbox_new();
	pid_t inside = live_in(sandbox);
	struct reply reply;

	if (test_netns_cookie(sandbox) == 0)
		skip();
	test_hostd_start(&hostd, "reclaim_grace_s: 0");
	test_agent_up(&hostd);
	attach("a", "/run/netns/there-is-none", sandbox);
	strcpy(other.body.attach.key.ifname, "net1");
	assert_int_equal(test_call(&hostd, &other, sandbox, &reply), CODE_OK);
	test_run_in(sandbox, "ip link del eth0");
	test_function_new(0);
	have_it_look();
	assert_int_equal(test_agent_count(hostd.memory), 2);
	leave(inside);
	test_wait_for(test_agent_count(hostd.memory) == 1);
	close(sandbox);
}

static void without_a_cookie_a_later_pods_inode_is_not_the_sandboxs(void **state)
{
	int second = test_sandbox_new();
	struct request net1 = test_attach("a");
	pid_t inside = live_in(second);
	struct reply reply;

	test_hostd_start(&hostd, "reclaim_grace_s: 0");
	test_agent_up(&hostd);
	attach_and_give_inode_to(second)->cookie = 0;
	test_function_new(0);
	// Another interface of the same container there would prove that it is no other sandbox.
	strcpy(net1.body.attach.key.ifname, "net1");
	assert_int_equal(test_call(&hostd, &net1, second, &reply), CODE_OK);
	have_it_look();
	assert_int_equal(test_agent_count(hostd.memory), 2);
	// One of another container proves that it is.
	attach("b", "/run/netns/there-is-none", second);
	test_wait_for(!hostd.memory->functions[0].used);
	have_it_look();
	assert_int_equal(test_agent_count(hostd.memory), 2);
	leave(inside);
	close(second);
}

static void what_is_being_attached_is_not_reclaimed(void **state)
{
	struct request request = test_attach("a");
	int sandbox = test_sandbox_new(), connection;
	struct reply reply;

	// Recorded at the agent, the function still at home, no process, no path.
	test_hostd_start(&hostd, "reclaim_grace_s: 1");
	test_agent_up(&hostd);
	hostd.memory->delay_ms[CALL_ATTACH] = 3500;
	connection = test_connect(&hostd);
	test_send(connection, &request, sandbox);
	assert_int_equal(test_receive(connection, &reply), CODE_OK);
	assert_int_equal(test_agent_count(hostd.memory), 1);
	assert_int_equal(hostd.memory->calls[CALL_DETACH], 0);
	close(connection);
	close(sandbox);
}

static void an_attachment_left_by_a_killed_hostd_is_reclaimed(void **state)
{
	struct request request = test_attach("a");
	int sandbox = test_sandbox_new(), connection;

	test_hostd_start(&hostd, "reclaim_grace_s: 1");
	test_agent_up(&hostd);
	hostd.memory->delay_ms[CALL_ATTACH] = 500;
	connection = test_connect(&hostd);
	test_send(connection, &request, sandbox);
	test_wait_for(test_agent_count(hostd.memory) == 1);
	test_hostd_stop(&hostd, SIGKILL);
	close(connection);
	close(sandbox); // the runtime gave up on it, too
	test_hostd_start(&hostd, "reclaim_grace_s: 1");
	test_wait_for(test_agent_count(hostd.memory) == 0);
}

static void a_function_back_under_a_foreign_name_is_renamed(void **state)
{
	test_run("ip link set tfn0v3 name dev7 alias podport:tfn0v3:pods/gone/eth0");
	test_hostd_start(&hostd, "");
	test_agent_up(&hostd);
	assert_true(run("ip link show tfn0v3 > /dev/null"));
	assert_false(run("ip link show tfn0v3 | grep -q alias"));
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_hosts_port_is_dressed_when_the_agent_comes),
		TEST(a_port_that_comes_late_or_anew_is_dressed),
		TEST(a_new_pod_network_replaces_the_old_one_also_after_a_restart),
		TEST(the_agents_address_on_the_wire_is_behind_the_port),
		TEST(without_a_pod_network_or_a_port_nothing_is_done),
		TEST(a_dead_sandbox_is_reclaimed_after_the_grace_time),
		TEST(a_dead_sandbox_is_reclaimed_also_if_its_port_never_started),
		TEST(a_sandbox_that_may_be_alive_is_not_reclaimed),
		TEST(a_sandbox_whose_inode_somebody_has_by_now_is_reclaimed),
		TEST(without_a_cookie_whoever_has_the_inode_keeps_it),
		TEST(a_sandbox_that_another_container_shares_is_not_reclaimed),
		TEST(without_a_cookie_a_later_pods_inode_is_not_the_sandboxs),
		TEST(what_is_being_attached_is_not_reclaimed),
		TEST(an_attachment_left_by_a_killed_hostd_is_reclaimed),
		TEST(a_function_back_under_a_foreign_name_is_renamed),
	};

	if (argc != 3)
		return 2;
	programs = argv;
	test_host_enter();
	test_own_mounts();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
