// SPDX-License-Identifier: BSD-3-Clause
//
// Who asks for a virtio-user port where there can be none is told what to do about it.

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "port/port_private.h"

static int open_errno; // 0: it can be opened
static int opened;     // the descriptor

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);

int __wrap_open(const char *path, int flags, ...)
{
	if (strcmp(path, "/dev/vhost-net") != 0)
		return __real_open(path, flags);
	assert_int_equal(O_RDWR, flags & O_ACCMODE);
	errno = open_errno;
	opened = open_errno == 0 ? __real_open("/dev/null", flags) : -1;
	return opened;
}

static void fails(int errno_value, const char *remedy)
{
	struct error err = {0};

	open_errno = errno_value;
	assert_int_equal(-errno_value, virtio_user_probe(&err));
	assert_int_equal(CODE_UNSUPPORTED, err.code);
	assert_non_null(strstr(err.message, "/dev/vhost-net"));
	assert_non_null(strstr(err.message, strerror(errno_value)));
	assert_non_null(strstr(err.message, remedy));
}

static void without_the_module_one_is_told_to_load_it(void **state)
{
	fails(ENOENT, "modprobe vhost_net");
	fails(ENODEV, "modprobe vhost_net"); // the file is there, the module is not
}

static void who_may_not_open_it_is_told_so(void **state)
{
	fails(EACCES, "let the agent open it");
	fails(EPERM, "let the agent open it");
}

// It may load the module, which an operator who looks has not asked for.
static void a_look_does_not_open_it(void **state)
{
	struct error err = {0};

	open_errno = 0;
	opened = -2;
	if (access("/dev/vhost-net", F_OK) < 0) {
		assert_int_equal(-ENOENT, virtio_user_look(&err));
		assert_int_equal(CODE_UNSUPPORTED, err.code);
		assert_non_null(strstr(err.message, "modprobe vhost_net"));
	} else {
		assert_int_equal(0, virtio_user_look(&err));
	}
	assert_int_equal(-2, opened);
}

static void where_it_can_be_opened_it_is_closed_again(void **state)
{
	struct error err = {0};

	open_errno = 0;
	assert_int_equal(0, virtio_user_probe(&err));
	assert_int_equal(CODE_OK, err.code);
	assert_int_equal(-1, fcntl(opened, F_GETFD));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_the_module_one_is_told_to_load_it),
		cmocka_unit_test(who_may_not_open_it_is_told_so),
		cmocka_unit_test(a_look_does_not_open_it),
		cmocka_unit_test(where_it_can_be_opened_it_is_closed_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
