// SPDX-License-Identifier: BSD-3-Clause
//
// Which netns is it? The kernel gives the inode of a dead one to the next at once, and hostd must not take that for the
// sandbox it knew.

#include "hostd/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hostd/test_cmocka.h"
#include "hostd/test_netns.h"

static struct host_netns host;
static bool old_kernel; // before 5.14
static int locked = -1; // a netns that nobody is let into

int __real_getsockopt(int fd, int level, int name, void *value, socklen_t *size);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *size);

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
	if (old_kernel && level == SOL_SOCKET && name == SO_NETNS_COOKIE) {
		errno = ENOPROTOOPT;
		return -1;
	}
	return __real_getsockopt(fd, level, name, value, size);
}

int __real_setns(int fd, int type);
int __wrap_setns(int fd, int type);

static ino_t inode_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

int __wrap_setns(int fd, int type)
{
	if (locked >= 0 && inode_of(fd) == inode_of(locked)) {
		errno = EPERM;
		return -1;
	}
	return __real_setns(fd, type);
}

static struct sandbox sandbox_of(int fd)
{
	struct sandbox sandbox = {.inode = inode_of(fd), .cookie = netns_cookie(&host, fd)};

	snprintf(sandbox.path, sizeof(sandbox.path), "/proc/self/fd/%d", fd);
	return sandbox;
}

static bool opens(const struct sandbox *sandbox)
{
	int fd = netns_open_path(&host, sandbox->path, sandbox);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

static bool is_another(const struct sandbox *sandbox)
{
	return netns_is_another(&host, sandbox->path, sandbox);
}

static int setup(void **state)
{
	struct error error;

	old_kernel = false;
	locked = -1;
	return host_netns_open(&host, &error);
}

static int teardown(void **state)
{
	host_netns_close(&host);
	return 0;
}

static void a_netns_has_a_cookie_of_its_own_and_keeps_it(void **state)
{
	int first = test_sandbox_new(), second = test_sandbox_new();
	uint64_t cookie = netns_cookie(&host, first), own = netns_cookie(&host, host.fd);

	if (test_netns_cookie(first) == 0)
		skip(); // a kernel before 5.14
	assert_int_equal(test_netns_cookie(first), cookie);
	assert_int_equal(netns_cookie(&host, first), cookie);
	assert_int_not_equal(netns_cookie(&host, second), cookie);
	assert_int_not_equal(own, cookie);
	// And who asked is where it was.
	assert_int_equal(
		test_run("test $(stat -Lc %%i /proc/self/ns/net) = %lu", (unsigned long)host.inode),
		0);
	close(first);
	close(second);
}

static void what_has_a_dead_sandboxs_inode_is_not_the_sandbox(void **state)
{
	enum { TRIES = 20, INTERVAL_US = 5000 };
	int fd = test_sandbox_new(), next = -1;
	struct sandbox dead = sandbox_of(fd), alive = dead;

	if (test_netns_cookie(fd) == 0)
		skip();
	assert_true(opens(&dead));
	assert_false(is_another(&dead));
	close(fd);
	// The kernel takes its time to end it, and somebody else may be faster than we are: then it is only as if.
	for (unsigned int i = 0; i < TRIES; i++) {
		next = test_sandbox_new();
		if (inode_of(next) == dead.inode || i == TRIES - 1)
			break;
		close(next);
		usleep(INTERVAL_US);
	}
	alive = sandbox_of(next);
	dead.inode = alive.inode;
	strcpy(dead.path, alive.path);
	assert_int_not_equal(dead.cookie, alive.cookie);
	assert_false(opens(&dead));
	assert_true(is_another(&dead));
	assert_true(opens(&alive));
	assert_false(is_another(&alive));
	close(next);
}

// Of what was recorded by an older hostd, or where the kernel does not tell, or does not let us in.
static void without_a_cookie_the_inode_decides(void **state)
{
	int fd = test_sandbox_new();
	struct sandbox sandbox = sandbox_of(fd), wrong = sandbox;

	wrong.cookie = sandbox.cookie + 1;
	sandbox.cookie = 0;
	assert_true(opens(&sandbox));
	assert_false(is_another(&sandbox));
	old_kernel = true;
	assert_int_equal(netns_cookie(&host, fd), 0);
	assert_true(opens(&wrong));
	assert_false(is_another(&wrong));
	old_kernel = false;
	locked = fd;
	assert_int_equal(netns_cookie(&host, fd), 0);
	assert_true(opens(&wrong));
	assert_false(is_another(&wrong));
	locked = -1;
	// The inode decides alone, but it does.
	sandbox.inode++;
	assert_false(opens(&sandbox));
	close(fd);
}

static void what_is_no_sandbox_is_not_opened(void **state)
{
	struct sandbox sandbox = {.path = "/proc/self/ns/uts", .cookie = 1};
	struct stat st;

	assert_int_equal(stat(sandbox.path, &st), 0);
	sandbox.inode = st.st_ino;
	assert_false(opens(&sandbox));
	assert_true(is_another(&sandbox));
	strcpy(sandbox.path, "/proc/self/ns/net");
	sandbox.inode = host.inode;
	sandbox.cookie = netns_cookie(&host, host.fd);
	assert_false(opens(&sandbox));
	// Nothing there, and so nothing that could be another one.
	strcpy(sandbox.path, "/run/netns/there-is-none");
	assert_false(opens(&sandbox));
	assert_false(is_another(&sandbox));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_netns_has_a_cookie_of_its_own_and_keeps_it),
		TEST(what_has_a_dead_sandboxs_inode_is_not_the_sandbox),
		TEST(without_a_cookie_the_inode_decides),
		TEST(what_is_no_sandbox_is_not_opened),
	};

	test_host_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
