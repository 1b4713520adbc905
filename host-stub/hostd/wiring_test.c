// SPDX-License-Identifier: BSD-3-Clause
//
// Wiring against the real kernel, in netns of the test's own. TAPs stand in for functions.

#include "hostd/wiring.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hostd/clock.h"
#include "hostd/test_cmocka.h"
#include "hostd/test_netns.h"

static struct wiring wiring;

// ---- faults --------------------------------------------------------------------------------------

// Of the netlink changes sent from now on, the Nth (from 1) becomes one that the kernel refuses, and
// the rest goes on: what a kernel that fails in the middle does. 0: none.
static unsigned int fail_change;
static unsigned int changes_seen;

ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
	for (size_t i = 0; i < message->msg_iovlen; i++)
		if (++changes_seen == fail_change)
			((struct nlmsghdr *)message->msg_iov[i].iov_base)->nlmsg_type =
				RTM_GETNSID + 2;
	return __real_sendmsg(fd, message, flags);
}

// The same for sysctls: the Nth open of one fails.
static unsigned int fail_open, opens_seen;

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);

int __wrap_open(const char *path, int flags, ...)
{
	if (strncmp(path, "/proc/sys/net", 13) == 0 && ++opens_seen == fail_open) {
		errno = EROFS;
		return -1;
	}
	return __real_open(path, flags, 0600);
}

// ---- helpers -------------------------------------------------------------------------------------

static int dress(int sandbox, const struct attachment *attachment, struct error *err)
{
	bool created;

	return wiring_dress(&wiring, sandbox, attachment, clock_ms() + 200, &created, err);
}

static void assert_dressed(int sandbox, const struct attachment *attachment)
{
	struct error error = {0};

	if (wiring_check(&wiring, sandbox, attachment, &error) < 0)
		fail_msg("%s", error.message);
}

static void assert_home(unsigned int vf)
{
	// There, down, in the default group, without an alias.
	assert_int_equal(
		test_run("ip -d link show dev tfn0v%u | grep -q 'state DOWN.* group default'", vf),
		0);
	assert_int_not_equal(test_run("ip link show dev tfn0v%u | grep -q alias", vf), 0);
}

static void assert_empty(int sandbox)
{
	assert_int_equal(test_run_in(sandbox, "test $(ip -o link | wc -l) = 1"), 0);
	assert_int_equal(test_run_in(sandbox, "test -z \"$(ip -4 route)\""), 0);
}

// ---- dressing ------------------------------------------------------------------------------------

static void a_pod_gets_its_interface_addresses_and_routes(void **state)
{
	struct attachment attachment = test_attachment(0);
	int sandbox = test_sandbox_new();
	struct error error = {0};
	bool created = false;

	test_function_new(0);
	assert_int_equal(
		wiring_dress(&wiring, sandbox, &attachment, clock_ms() + 200, &created, &error), 0);
	assert_true(created);
	// By a second opinion: iproute2.
	assert_int_equal(test_run_in(sandbox, "ip link show eth0 | grep -q 'mtu 1400 .* group 77'"),
			 0);
	assert_int_equal(test_run_in(sandbox, "ip link show eth0 | grep -q 02:70:00:00:00:00"), 0);
	assert_int_equal(
		test_run_in(sandbox,
			    "ip link show eth0 | grep -q 'alias podport:tfn0v0:pods/c0/eth0'"),
		0);
	assert_int_equal(test_run_in(sandbox, "ip link show up eth0 | grep -q eth0"), 0);
	assert_int_equal(test_run_in(sandbox, "ip -4 addr show eth0 | grep -q 10.88.0.5/32"), 0);
	assert_int_equal(
		test_run_in(sandbox, "ip -6 addr show eth0 -tentative | grep -q fd88::5/128"), 0);
	assert_int_equal(
		test_run_in(sandbox,
			    "ip route | grep -q '^default via 10.88.0.1 dev eth0.* src 10.88.0.5'"),
		0);
	assert_int_equal(
		test_run_in(sandbox, "ip route | grep -q '^10.88.0.1 dev eth0.* scope link'"), 0);
	assert_int_equal(
		test_run_in(sandbox, "ip -6 route | grep -q '^default via fd88::1 dev eth0'"), 0);
	assert_int_equal(test_run_in(sandbox, "ip -6 route | grep -q '^fd88::1 dev eth0'"), 0);
	assert_int_equal(
		test_run_in(sandbox,
			    "ip neigh | grep -q '10.88.0.1 .*02:70:70:00:00:01 PERMANENT'"),
		0);
	assert_int_equal(
		test_run_in(sandbox, "ip neigh | grep -q 'fd88::1 .*02:70:70:00:00:01 PERMANENT'"),
		0);
	assert_int_equal(
		test_run_in(sandbox, "test $(cat /proc/sys/net/ipv6/conf/eth0/accept_ra) = 0"), 0);
	assert_dressed(sandbox, &attachment);

	assert_int_equal(wiring_undress(&wiring, sandbox, &attachment.key, &error), 0);
	assert_home(0);
	assert_empty(sandbox);
	close(sandbox);
}

static void a_pod_with_ipv6_gets_it_where_the_runtime_turned_it_off(void **state)
{
	struct attachment attachment = test_attachment(1);
	int sandbox = test_sandbox_new();
	struct error error = {0};

	test_function_new(1);
	test_run_in(sandbox, "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6");
	assert_int_equal(dress(sandbox, &attachment, &error), 0);
	assert_dressed(sandbox, &attachment);
	assert_int_equal(test_run_in(sandbox, "ping -6 -c 1 -W 1 fd88::6 > /dev/null"),
			 0); // itself
	close(sandbox);
}

static void a_pod_without_ipv6_has_no_ipv6_address_at_all(void **state)
{
	struct attachment attachment = test_attachment(2);
	int sandbox = test_sandbox_new();
	struct error error = {0};

	test_function_new(2);
	attachment.has_ipv6 = false;
	assert_int_equal(dress(sandbox, &attachment, &error), 0);
	assert_dressed(sandbox, &attachment);
	assert_int_equal(test_run_in(sandbox, "test -z \"$(ip -6 addr show dev eth0)\""), 0);
	close(sandbox);
}

static void a_pod_with_only_ipv6_gets_no_ipv4_route(void **state)
{
	struct attachment attachment = test_attachment(3);
	int sandbox = test_sandbox_new();
	struct error error = {0};

	test_function_new(3);
	attachment.has_ipv4 = false;
	assert_int_equal(dress(sandbox, &attachment, &error), 0);
	assert_dressed(sandbox, &attachment);
	assert_int_equal(test_run_in(sandbox, "test -z \"$(ip -4 route)\""), 0);
	close(sandbox);
}

static void a_repeated_add_completes_what_was_cut_short(void **state)
{
	struct attachment attachment = test_attachment(4);
	int sandbox = test_sandbox_new();
	struct error error = {0};
	bool created = true;

	test_function_new(4);
	assert_int_equal(dress(sandbox, &attachment, &error), 0);
	test_run_in(sandbox, "ip link set eth0 down mtu 1500; ip addr flush dev eth0");
	assert_int_equal(wiring_check(&wiring, sandbox, &attachment, &error), -ESTALE);
	assert_int_equal(
		wiring_dress(&wiring, sandbox, &attachment, clock_ms() + 200, &created, &error), 0);
	assert_false(created);
	assert_dressed(sandbox, &attachment);
	close(sandbox);
}

static void an_interface_that_is_not_ours_is_refused_and_left_alone(void **state)
{
	struct attachment attachment = test_attachment(5);
	int sandbox = test_sandbox_new();
	struct error error = {0};

	test_function_new(5);
	test_run_in(sandbox, "ip tuntap add eth0 mode tap; ip link set eth0 up alias podport-like");
	assert_int_equal(dress(sandbox, &attachment, &error), -EEXIST);
	assert_int_equal(error.code, CODE_INTERFACE_EXISTS);
	assert_non_null(strstr(error.message, "eth0"));
	assert_home(5);
	// DEL does not touch it either.
	assert_int_equal(wiring_undress(&wiring, sandbox, &attachment.key, &error), 0);
	assert_int_equal(test_run_in(sandbox, "ip link show up eth0 | grep -q podport-like"), 0);
	close(sandbox);
}

static void an_interface_of_another_attachment_is_not_ours(void **state)
{
	struct attachment mine = test_attachment(6), other = test_attachment(7);
	int sandbox = test_sandbox_new();
	struct error error = {0};

	test_function_new(6);
	test_function_new(7);
	assert_int_equal(dress(sandbox, &other, &error), 0);
	assert_int_equal(dress(sandbox, &mine, &error), -EEXIST);
	assert_int_equal(wiring_undress(&wiring, sandbox, &mine.key, &error), 0);
	assert_dressed(sandbox, &other);
	assert_home(6);
	close(sandbox);
}

static void a_function_the_agent_has_since_changed_is_exchanged(void **state)
{
	struct attachment old = test_attachment(8), new = test_attachment(9);
	int sandbox = test_sandbox_new();
	struct error error = {0};

	test_function_new(8);
	test_function_new(9);
	new.key = old.key;
	assert_int_equal(dress(sandbox, &old, &error), 0);
	assert_int_equal(dress(sandbox, &new, &error), 0);
	assert_dressed(sandbox, &new);
	assert_home(8);
	close(sandbox);
}

static void a_second_attachment_leaves_the_default_route_to_the_first(void **state)
{
	struct attachment first = test_attachment(10), second = test_attachment(11);
	int sandbox;
	struct error error = {0};

	strcpy(second.key.ifname, "net1");
	// With the same gateway, and with one of its own.
	for (int i = 0; i < 2; i++) {
		sandbox = test_sandbox_new();
		test_function_new(10);
		test_function_new(11);
		assert_int_equal(dress(sandbox, &first, &error), 0);
		if (dress(sandbox, &second, &error) < 0)
			fail_msg("%s", error.message);
		assert_dressed(sandbox, &first);
		assert_dressed(sandbox, &second);
		assert_int_equal(
			test_run_in(sandbox,
				    "ip route get 192.0.2.1 | grep -q 'dev eth0 src 10.88.0.15'"),
			0);
		assert_int_equal(test_run_in(sandbox, "ip route get 192.0.2.1 oif net1 | grep -q "
						      "'dev net1 src 10.88.0.16'"),
				 0);
		assert_int_equal(
			test_run_in(sandbox, "ip -6 route get 2001:db8::1 | grep -q 'dev eth0'"),
			0);
		assert_int_equal(test_run_in(sandbox, "test $(ip -6 route | grep -c ^default) = 1"),
				 0);
		// Again: nothing doubles.
		assert_int_equal(dress(sandbox, &second, &error), 0);
		assert_int_equal(test_run_in(sandbox, "test $(ip route | wc -l) = 4"), 0);
		assert_int_equal(wiring_undress(&wiring, sandbox, &second.key, &error), 0);
		assert_dressed(sandbox, &first);
		close(sandbox);
		second.gateway_ipv4.s_addr = htonl(0x0a590001);
		second.gateway_ipv6.s6_addr[1] = 0x89;
	}
}

static void a_default_route_of_somebody_elses_stays_in_use(void **state)
{
	struct attachment attachment = test_attachment(23);
	int sandbox = test_sandbox_new();
	struct error error = {0};

	test_function_new(23);
	test_run_in(sandbox,
		    "ip tuntap add other mode tap; ip link set other up;"
		    "ip addr add 192.0.2.2/24 dev other; ip route add default via 192.0.2.1;"
		    "ip -6 addr add 2001:db8::2/64 dev other nodad; ip -6 route add default via "
		    "2001:db8::1");
	assert_int_equal(dress(sandbox, &attachment, &error), 0);
	assert_dressed(sandbox, &attachment);
	assert_int_equal(test_run_in(sandbox, "ip route get 198.51.100.1 | grep -q 'dev other'"),
			 0);
	assert_int_equal(
		test_run_in(sandbox, "ip -6 route get 2001:db8:1::1 | grep -q 'dev other'"), 0);
	assert_int_equal(test_run_in(sandbox, "ip route get 10.88.0.1 | grep -q 'dev eth0'"), 0);
	close(sandbox);
}

// ---- failures ------------------------------------------------------------------------------------

static void wherever_a_dress_fails_nothing_is_left_behind(void **state)
{
	struct attachment attachment = test_attachment(12);
	int sandbox = test_sandbox_new();
	struct error error;
	unsigned int step;
	int r;

	test_function_new(12);
	for (step = 1; step < 50; step++) {
		memset(&error, 0, sizeof(error));
		changes_seen = 0;
		fail_change = step;
		r = dress(sandbox, &attachment, &error);
		fail_change = 0;
		if (r == 0)
			break;
		assert_int_equal(error.code, CODE_WIRING);
		assert_non_null(strstr(error.message, "Operation not supported"));
		assert_home(12);
		assert_empty(sandbox);
	}
	// Alias, MAC, move; up; and per family address, neighbour, two routes.
	assert_int_equal(step, 3 + 1 + 2 * 4 + 1);
	assert_dressed(sandbox, &attachment);
	close(sandbox);
}

static void an_ipv6_setting_that_cannot_be_written_undoes_the_dress(void **state)
{
	struct attachment attachment = test_attachment(13);
	int sandbox = test_sandbox_new();
	unsigned int step;
	struct error error;

	test_function_new(13);
	for (step = 1; step < 10; step++) {
		memset(&error, 0, sizeof(error));
		opens_seen = 0;
		fail_open = step;
		if (dress(sandbox, &attachment, &error) == 0)
			break;
		assert_non_null(strstr(error.message, "net.ipv6.conf."));
		assert_home(13);
		assert_empty(sandbox);
	}
	fail_open = 0;
	assert_int_equal(step, 5);
	close(sandbox);
}

static void a_failure_names_the_step_and_the_reason(void **state)
{
	struct attachment attachment = test_attachment(14);
	int sandbox = test_sandbox_new();
	struct error error = {0};

	test_function_new(14);
	attachment.ipv6.s6_addr[0] = 0xff; // multicast
	assert_true(dress(sandbox, &attachment, &error) < 0);
	assert_non_null(
		strstr(error.message, "add address ff88::13/128: Cannot assign requested address"));
	assert_home(14);
	assert_empty(sandbox);
	close(sandbox);
}

static void a_function_that_is_not_there_is_named(void **state)
{
	struct attachment attachment = test_attachment(200);
	int sandbox = test_sandbox_new();
	struct error error = {0};

	assert_int_equal(dress(sandbox, &attachment, &error), -ENODEV);
	assert_int_equal(error.code, CODE_NIC);
	assert_non_null(strstr(error.message, "tfn0v200"));
	assert_empty(sandbox);
	close(sandbox);
}

static void a_function_on_its_way_back_is_waited_for(void **state)
{
	struct attachment attachment = test_attachment(15);
	int sandbox = test_sandbox_new();
	struct error error = {0};
	bool created;

	// (In a netns of its own, as forking a shell with & would be.)
	test_run("(sleep 0.2; ip tuntap add dev tfn0v15 mode tap) &");
	assert_int_equal(
		wiring_dress(&wiring, sandbox, &attachment, clock_ms() + 5000, &created, &error),
		0);
	assert_dressed(sandbox, &attachment);
	close(sandbox);
}

static void what_is_no_netns_is_refused(void **state)
{
	uint64_t inode;
	struct error error = {0};
	int fds[] = {open("/dev/null", O_RDONLY), open("/proc/self/ns/mnt", O_RDONLY),
		     open("/proc/self/ns/net", O_RDONLY), -1};

	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(netns_verify(&wiring.host, fds[i], &inode, &error), -EINVAL);
		assert_int_equal(error.code, CODE_NETNS);
		close(fds[i]);
	}
}

// ---- undressing ----------------------------------------------------------------------------------

static void undressing_twice_is_fine(void **state)
{
	struct attachment attachment = test_attachment(16);
	int sandbox = test_sandbox_new();
	struct error error = {0};

	test_function_new(16);
	assert_int_equal(dress(sandbox, &attachment, &error), 0);
	assert_int_equal(wiring_undress(&wiring, sandbox, &attachment.key, &error), 0);
	assert_int_equal(wiring_undress(&wiring, sandbox, &attachment.key, &error), 0);
	assert_home(16);
	close(sandbox);
}

static void an_interface_the_pod_renamed_is_found_by_its_alias(void **state)
{
	struct attachment attachment = test_attachment(17);
	int sandbox = test_sandbox_new();
	struct error error = {0};

	test_function_new(17);
	assert_int_equal(dress(sandbox, &attachment, &error), 0);
	test_run_in(sandbox,
		    "ip link set eth0 down; ip link set eth0 name wan; ip link set wan up");
	assert_int_equal(wiring_undress(&wiring, sandbox, &attachment.key, &error), 0);
	assert_home(17);
	close(sandbox);
}

static void undressing_works_where_the_host_has_the_same_interface_name(void **state)
{
	struct attachment attachment = test_attachment(18);
	int sandbox = test_sandbox_new();
	struct error error = {0};

	test_function_new(18);
	test_run("ip tuntap add eth0 mode tap");
	assert_int_equal(dress(sandbox, &attachment, &error), 0);
	assert_int_equal(wiring_undress(&wiring, sandbox, &attachment.key, &error), 0);
	assert_home(18);
	test_run("ip link del eth0");
	close(sandbox);
}

static void a_very_long_key_is_found_again(void **state)
{
	struct attachment attachment = test_attachment(19);
	int sandbox = test_sandbox_new();
	struct error error = {0};

	test_function_new(19);
	memset(attachment.key.network, 'n', LIMIT_NAME);
	memset(attachment.key.container_id, 'c', LIMIT_NAME);
	assert_int_equal(dress(sandbox, &attachment, &error), 0);
	assert_dressed(sandbox, &attachment);
	assert_int_equal(wiring_undress(&wiring, sandbox, &attachment.key, &error), 0);
	assert_home(19);
	close(sandbox);
}

static void a_function_back_under_a_foreign_name_gets_its_own_again(void **state)
{
	struct attachment attachment = test_attachment(20);
	int sandbox = test_sandbox_new();
	struct error error = {0};
	struct wiring_home home;

	// As a real VF looks whose netns died: the sandbox's name, our alias, perhaps up.
	test_function_new(20);
	test_run("ip link set tfn0v20 name dev7 alias podport:tfn0v20:pods/gone/eth0 group 5 up");
	assert_int_equal(wiring_read_home(&wiring, &home, &error), 0);
	assert_true(wiring_is_home(&home, &attachment));
	assert_int_equal(wiring_adopt_strays(&wiring), 1);
	assert_home(20);
	assert_int_equal(wiring_read_home(&wiring, &home, &error), 0);
	assert_true(wiring_is_home(&home, &attachment));
	assert_false(wiring_is_home(&home, &(struct attachment){.function = {.vf = 999}}));
	assert_false(wiring_is_home(&home, &(struct attachment){.function = {.pf = 1, .vf = 20}}));
	assert_int_equal(wiring_adopt_strays(&wiring), 0);

	// And an ADD that comes before that finds it as it is.
	test_run("ip link set tfn0v20 name dev7 alias podport:tfn0v20:pods/gone/eth0 up");
	assert_int_equal(dress(sandbox, &attachment, &error), 0);
	assert_dressed(sandbox, &attachment);
	assert_int_equal(wiring_read_home(&wiring, &home, &error), 0);
	assert_false(wiring_is_home(&home, &attachment));
	close(sandbox);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pod_gets_its_interface_addresses_and_routes),
		cmocka_unit_test(a_pod_with_ipv6_gets_it_where_the_runtime_turned_it_off),
		cmocka_unit_test(a_pod_without_ipv6_has_no_ipv6_address_at_all),
		cmocka_unit_test(a_pod_with_only_ipv6_gets_no_ipv4_route),
		cmocka_unit_test(a_repeated_add_completes_what_was_cut_short),
		cmocka_unit_test(an_interface_that_is_not_ours_is_refused_and_left_alone),
		cmocka_unit_test(an_interface_of_another_attachment_is_not_ours),
		cmocka_unit_test(a_function_the_agent_has_since_changed_is_exchanged),
		cmocka_unit_test(a_second_attachment_leaves_the_default_route_to_the_first),
		cmocka_unit_test(a_default_route_of_somebody_elses_stays_in_use),
		cmocka_unit_test(wherever_a_dress_fails_nothing_is_left_behind),
		cmocka_unit_test(an_ipv6_setting_that_cannot_be_written_undoes_the_dress),
		cmocka_unit_test(a_failure_names_the_step_and_the_reason),
		cmocka_unit_test(a_function_that_is_not_there_is_named),
		cmocka_unit_test(a_function_on_its_way_back_is_waited_for),
		cmocka_unit_test(what_is_no_netns_is_refused),
		cmocka_unit_test(undressing_twice_is_fine),
		cmocka_unit_test(an_interface_the_pod_renamed_is_found_by_its_alias),
		cmocka_unit_test(undressing_works_where_the_host_has_the_same_interface_name),
		cmocka_unit_test(a_very_long_key_is_found_again),
		cmocka_unit_test(a_function_back_under_a_foreign_name_gets_its_own_again),
	};
	struct error error;

	test_host_enter();
	if (wiring_open(TEST_PATTERN, &wiring, &error) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
