// SPDX-License-Identifier: BSD-3-Clause
//
// Batches of calls, by io_uring and without, on sockets, which take RWF_NOWAIT as TAPs do. What the kernel does to
// io_uring where it does not work is done by a syscall(2) of ours.

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <rte_common.h>

#include "sim/simnic/batch.h"
#include "sim/simnic/test_support.h"

static struct {
	int setup_error;             // of io_uring_setup(2)
	int enter_error;             // of io_uring_enter(2), after so many that work
	unsigned int enters;         // that work
	unsigned int submit_at_most; // of them; 0: all
	unsigned int entered;
} kernel;

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

long __wrap_syscall(long number, ...)
{
	long arguments[6];
	va_list list;

	va_start(list, number);
	for (unsigned int i = 0; i < RTE_DIM(arguments); i++)
		arguments[i] = va_arg(list, long);
	va_end(list);
	if (number == SYS_io_uring_setup && kernel.setup_error != 0) {
		errno = kernel.setup_error;
		return -1;
	}
	if (number == SYS_io_uring_enter) {
		if (kernel.enter_error != 0 && kernel.entered >= kernel.enters) {
			errno = kernel.enter_error;
			return -1;
		}
		kernel.entered++;
		if (kernel.submit_at_most != 0 && arguments[1] > kernel.submit_at_most) {
			arguments[1] = kernel.submit_at_most;
			arguments[2] =
				0; // as the kernel, it does not wait when it has not taken all
		}
	}
	return __real_syscall(number, arguments[0], arguments[1], arguments[2], arguments[3],
			      arguments[4], arguments[5]);
}

// ---- one batch of everything ----------------------------------------------------------------------------

enum { MESSAGES = 5, READS = 8 };

struct pair {
	int ends[2];
};

static int setup(void **state)
{
	memset(&kernel, 0, sizeof(kernel));
	return 0;
}

static struct pair pair_new(void)
{
	struct pair pair;

	assert_return_code(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair.ends),
		errno);
	return pair;
}

static void pair_close(struct pair pair)
{
	close(pair.ends[0]);
	close(pair.ends[1]);
}

// Messages of one part and of two, written in one batch, are there in their order and are read in one batch, after which there
// are no more.
static void write_and_read(struct batch *batch)
{
	struct pair pair = pair_new();
	struct batch_call calls[BATCH_MAX];
	char texts[MESSAGES][16], read_back[READS][16];
	struct iovec iov[READS][2];

	for (unsigned int i = 0; i < MESSAGES; i++) {
		snprintf(texts[i], sizeof(texts[i]), "message %u", i);
		iov[i][0] = (struct iovec){texts[i], i % 2 ? 3 : strlen(texts[i])};
		iov[i][1] = (struct iovec){texts[i] + 3, strlen(texts[i]) - 3};
		calls[i] = (struct batch_call){
			.fd = pair.ends[0], .write = true, .iov = iov[i], .parts = 1 + i % 2};
	}
	batch_run(batch, calls, MESSAGES);
	for (unsigned int i = 0; i < MESSAGES; i++)
		assert_int_equal(calls[i].result, strlen(texts[i]));
	for (unsigned int i = 0; i < READS; i++) {
		iov[i][0] = (struct iovec){read_back[i], i % 2 ? 4 : sizeof(read_back[i])};
		iov[i][1] = (struct iovec){read_back[i] + 4, sizeof(read_back[i]) - 4};
		calls[i] =
			(struct batch_call){.fd = pair.ends[1], .iov = iov[i], .parts = 1 + i % 2};
	}
	batch_run(batch, calls, READS);
	for (unsigned int i = 0; i < READS; i++) {
		if (i >= MESSAGES) {
			assert_int_equal(calls[i].result, -EAGAIN);
			continue;
		}
		assert_int_equal(calls[i].result, strlen(texts[i]));
		assert_memory_equal(read_back[i], texts[i], strlen(texts[i]));
	}
	pair_close(pair);
}

static void a_burst_is_one_call_by_io_uring(void **state)
{
	struct batch batch = {0};

	batch_init(&batch, true);
	assert_true(batch_by_uring(&batch));
	// Over and over, around the rings.
	for (unsigned int i = 1; i <= 100; i++) {
		write_and_read(&batch);
		assert_int_equal(batch.system_calls, 2 * i);
	}
	batch_fini(&batch);
}

static void without_io_uring_it_is_a_call_each(void **state)
{
	struct batch batch = {0};

	batch_init(&batch, false);
	assert_false(batch_by_uring(&batch));
	write_and_read(&batch);
	// The first read that finds nothing is the last.
	assert_int_equal(batch.system_calls, MESSAGES + MESSAGES + 1);
	batch_fini(&batch);
}

static void a_full_batch_of_several_descriptors_keeps_them_apart(void **state)
{
	struct pair pairs[3] = {pair_new(), pair_new(), pair_new()};
	struct batch_call calls[BATCH_MAX];
	uint32_t numbers[BATCH_MAX];
	struct iovec iov[BATCH_MAX];

	for (unsigned int with = 0; with < 2; with++) {
		struct batch batch = {0};

		batch_init(&batch, with);
		for (unsigned int i = 0; i < BATCH_MAX; i++) {
			numbers[i] = i;
			iov[i] = (struct iovec){&numbers[i], sizeof(numbers[i])};
			calls[i] = (struct batch_call){.fd = pairs[i % 3].ends[0],
						       .write = true,
						       .iov = &iov[i],
						       .parts = 1};
		}
		batch_run(&batch, calls, BATCH_MAX);
		memset(numbers, 0xff, sizeof(numbers));
		for (unsigned int i = 0; i < BATCH_MAX; i++)
			calls[i] = (struct batch_call){
				.fd = pairs[i % 3].ends[1], .iov = &iov[i], .parts = 1};
		batch_run(&batch, calls, BATCH_MAX);
		for (unsigned int i = 0; i < BATCH_MAX; i++) {
			assert_int_equal(calls[i].result, sizeof(numbers[i]));
			assert_int_equal(numbers[i], i);
		}
		batch_fini(&batch);
	}
	for (unsigned int i = 0; i < RTE_DIM(pairs); i++)
		pair_close(pairs[i]);
}

static void a_call_that_fails_says_why_and_others_do_not(void **state)
{
	for (unsigned int with = 0; with < 2; with++) {
		struct pair pair = pair_new(), closed = pair_new();
		char text[] = "text";
		struct iovec iov = {text, 4};
		struct batch_call calls[3];
		struct batch batch = {0};

		batch_init(&batch, with);
		pair_close(closed);
		for (unsigned int i = 0; i < RTE_DIM(calls); i++)
			calls[i] = (struct batch_call){
				.fd = pair.ends[0], .write = true, .iov = &iov, .parts = 1};
		calls[1].fd = closed.ends[0];
		batch_run(&batch, calls, RTE_DIM(calls));
		assert_int_equal(calls[0].result, 4);
		assert_int_equal(calls[1].result, -EBADF);
		assert_int_equal(calls[2].result, 4);
		assert_int_equal(batch_by_uring(&batch), with);
		batch_fini(&batch);
		pair_close(pair);
	}
}

// ---- where io_uring does not work -----------------------------------------------------------------------

static void a_kernel_that_forbids_io_uring_is_done_without_it(void **state)
{
	static const int errors[] = {EPERM, ENOSYS, ENOMEM, EMFILE};

	for (unsigned int i = 0; i < RTE_DIM(errors); i++) {
		struct batch batch = {0};

		kernel.setup_error = errors[i];
		batch_init(&batch, true);
		assert_false(batch_by_uring(&batch));
		write_and_read(&batch);
		batch_fini(&batch);
	}
}

static void a_ring_that_fails_midway_loses_nothing_and_does_nothing_twice(void **state)
{
	for (unsigned int works = 0; works < MESSAGES; works++) {
		unsigned int descriptors = descriptor_count(getpid());
		struct batch batch = {0};

		memset(&kernel, 0, sizeof(kernel));
		kernel.enter_error = ENOMEM;
		kernel.enters = works;
		kernel.submit_at_most = 1;
		batch_init(&batch, true);
		assert_true(batch_by_uring(&batch));
		write_and_read(&batch);
		assert_false(batch_by_uring(&batch));
		assert_int_equal(descriptor_count(getpid()), descriptors);
		batch_fini(&batch);
	}
}

static void a_kernel_that_takes_less_than_all_gets_the_rest(void **state)
{
	struct batch batch = {0};

	kernel.submit_at_most = 2;
	batch_init(&batch, true);
	write_and_read(&batch);
	assert_true(batch_by_uring(&batch));
	assert_int_equal(batch.system_calls, (MESSAGES + 1) / 2 + READS / 2);
	batch_fini(&batch);
}

// As TAPs before Linux 6.4. A file of /proc never waits, and does not take the flag.
static void a_descriptor_that_does_not_take_the_flag_is_read_without(void **state)
{
	int fd = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
	char names[2][32];
	struct iovec iov[2] = {{names[0], sizeof(names[0])}, {names[1], sizeof(names[1])}};
	struct batch_call calls[2] = {{.fd = fd, .iov = &iov[0], .parts = 1},
				      {.fd = fd, .iov = &iov[1], .parts = 1}};
	struct batch batch = {0};

	assert_return_code(fd, errno);
	assert_int_equal(preadv2(fd, iov, 1, 0, RWF_NOWAIT), -1);
	assert_int_equal(errno, EOPNOTSUPP);
	batch_init(&batch, true);
	assert_true(batch_by_uring(&batch));
	batch_run(&batch, calls, 2);
	assert_false(batch_by_uring(&batch));
	assert_true(calls[0].result > 0);
	assert_int_equal(names[0][calls[0].result - 1], '\n');
	assert_int_equal(calls[1].result, 0); // the end
	write_and_read(&batch);
	batch_fini(&batch);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_burst_is_one_call_by_io_uring, setup),
		cmocka_unit_test_setup(without_io_uring_it_is_a_call_each, setup),
		cmocka_unit_test_setup(a_full_batch_of_several_descriptors_keeps_them_apart, setup),
		cmocka_unit_test_setup(a_call_that_fails_says_why_and_others_do_not, setup),
		cmocka_unit_test_setup(a_kernel_that_forbids_io_uring_is_done_without_it, setup),
		cmocka_unit_test_setup(
			a_ring_that_fails_midway_loses_nothing_and_does_nothing_twice, setup),
		cmocka_unit_test_setup(a_kernel_that_takes_less_than_all_gets_the_rest, setup),
		cmocka_unit_test_setup(a_descriptor_that_does_not_take_the_flag_is_read_without,
				       setup),
	};

	return cmocka_run_group_tests_name("simnic batch", tests, NULL, NULL);
}
