// SPDX-License-Identifier: BSD-3-Clause
//
// The delete queue with every system call of a put failing in turn, corrupt files, and restarts.

#include "hostd/delete_queue.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hostd/test_cmocka.h"

static char folder[64];
static struct delete_queue *queue;

// ---- faults --------------------------------------------------------------------------------------

// The Nth of these calls from now on fails (from 1), or is short. 0: none.
static unsigned int fail_call, calls_seen;
static bool fail_short; // the failing write writes one byte first, as a full disk does

static bool fails(void)
{
	if (++calls_seen != fail_call)
		return false;
	errno = ENOSPC;
	return true;
}

int __real_openat(int directory, const char *path, int flags, ...);
int __wrap_openat(int directory, const char *path, int flags, ...);
ssize_t __real_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_renameat(int from, const char *from_path, int to, const char *to_path);
int __wrap_renameat(int from, const char *from_path, int to, const char *to_path);

int __wrap_openat(int directory, const char *path, int flags, ...)
{
	return (flags & O_CREAT) && fails() ? -1 : __real_openat(directory, path, flags, 0600);
}

ssize_t __wrap_write(int fd, const void *data, size_t size)
{
	if (fd == STDERR_FILENO)
		return __real_write(fd, data, size);
	if (fail_short && calls_seen + 1 == fail_call) {
		fail_call++; // then the next one fails
		calls_seen++;
		return __real_write(fd, data, 1);
	}
	return fails() ? -1 : __real_write(fd, data, size);
}

int __wrap_fsync(int fd)
{
	return fails() ? -1 : __real_fsync(fd);
}

int __wrap_renameat(int from, const char *from_path, int to, const char *to_path)
{
	return fails() ? -1 : __real_renameat(from, from_path, to, to_path);
}

// ---- helpers -------------------------------------------------------------------------------------

static struct detach_request detach_of(const char *id)
{
	struct detach_request detach = {.key = {.network = "pods", .ifname = "eth0"},
					.sandbox = {.path = "/run/netns/x", .inode = 4711}};

	snprintf(detach.key.container_id, sizeof(detach.key.container_id), "%s", id);
	return detach;
}

static int put(const char *id)
{
	struct detach_request detach = detach_of(id);
	struct error error = {0};
	int r = delete_queue_put(queue, &detach, &error);

	if (r < 0) {
		assert_int_equal(error.code, CODE_STORE);
		assert_non_null(strstr(error.message, "queue the release"));
	}
	return r;
}

static bool has(const char *id)
{
	struct detach_request detach = detach_of(id);

	return delete_queue_has(queue, &detach.key);
}

static void reopen(void)
{
	struct error error;

	delete_queue_close(queue);
	assert_int_equal(delete_queue_open(folder, &queue, &error), 0);
}

static unsigned int files(const char *suffix)
{
	char path[96];
	unsigned int count = 0;
	struct dirent *item;
	DIR *directory;

	snprintf(path, sizeof(path), "%s/deletes", folder);
	directory = opendir(path);
	while ((item = readdir(directory)) != NULL)
		count += strstr(item->d_name, suffix) != NULL;
	closedir(directory);
	return count;
}

static int setup(void **state)
{
	struct error error;

	strcpy(folder, "/tmp/delete-queue-test-XXXXXX");
	if (mkdtemp(folder) == NULL)
		return -1;
	return delete_queue_open(folder, &queue, &error);
}

static int teardown(void **state)
{
	char command[128];

	fail_call = 0;
	delete_queue_close(queue);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

// ---- tests ---------------------------------------------------------------------------------------

static void a_queued_release_survives_a_restart(void **state)
{
	struct detach_request detach, expected = detach_of("a");
	uint64_t cursor = 0;

	assert_int_equal(put("a"), 0);
	reopen();
	assert_true(has("a"));
	assert_false(has("b"));
	assert_int_equal(delete_queue_count(queue), 1);
	assert_true(delete_queue_next(queue, &cursor, &detach));
	assert_true(attachment_key_equal(&detach.key, &expected.key));
	assert_string_equal(detach.sandbox.path, "/run/netns/x");
	assert_int_equal(detach.sandbox.inode, 4711);
	assert_false(delete_queue_next(queue, &cursor, &detach));
	delete_queue_remove(queue, &detach.key);
	assert_int_equal(delete_queue_count(queue), 0);
	reopen();
	assert_int_equal(delete_queue_count(queue), 0);
	assert_int_equal(files(".delete"), 0);
}

static void releases_are_delivered_oldest_first(void **state)
{
	struct detach_request detach, b = detach_of("b");
	char order[8] = "";
	uint64_t cursor = 0;

	put("c");
	put("b");
	put("a");
	put("c"); // again: keeps its place
	assert_int_equal(delete_queue_count(queue), 3);
	while (delete_queue_next(queue, &cursor, &detach)) {
		strcat(order, detach.key.container_id);
		if (strcmp(order, "c") == 0)
			delete_queue_remove(queue, &detach.key); // the rest is not passed over
	}
	assert_string_equal(order, "cba");
	delete_queue_remove(queue, &b.key);
	delete_queue_remove(queue, &b.key); // twice is fine
	put("b");                           // new: the last now, and seen by the same cursor
	assert_true(delete_queue_next(queue, &cursor, &detach));
	assert_string_equal(detach.key.container_id, "b");
}

static void a_put_that_fails_anywhere_changes_nothing(void **state)
{
	unsigned int step;

	for (step = 1; step < 20; step++) {
		calls_seen = 0;
		fail_call = step;
		if (put("a") == 0)
			break;
		assert_false(has("a"));
		fail_call = 0;
		reopen();
		assert_false(has("a")); // success was not promised, so it must not be delivered
		assert_int_equal(files(".temporary"), 0);
	}
	assert_int_equal(step, 6); // open, write, fsync, rename, fsync of the folder
	fail_call = 0;
	reopen();
	assert_true(has("a"));
}

static void a_disk_that_fills_up_in_the_middle_of_a_write_changes_nothing(void **state)
{
	fail_short = true;
	calls_seen = 0;
	fail_call = 2;
	assert_int_equal(put("a"), -ENOSPC);
	fail_short = false;
	fail_call = 0;
	reopen();
	assert_int_equal(delete_queue_count(queue), 0);
	assert_int_equal(files("."), 2); // . and ..
}

static void a_failed_replacement_keeps_what_was_queued(void **state)
{
	assert_int_equal(put("a"), 0);
	for (unsigned int step = 1; step <= 5; step++) {
		calls_seen = 0;
		fail_call = step;
		assert_int_equal(put("a"), -ENOSPC);
		fail_call = 0;
		reopen();
		assert_true(has("a"));
	}
}

static void corrupt_files_are_set_aside_and_block_nobody(void **state)
{
	char command[512];

	put("a");
	put("b");
	put("c");
	put("d");
	// One truncated to nothing, one garbage, one whose content is another pod's, foreign files.
	snprintf(command, sizeof(command),
		 "cd %s/deletes && set -- *.delete && : > $1 && head -c 100 /dev/urandom > $2 && "
		 "cp $4 $3 && echo hello > README && touch %032d.temporary",
		 folder, 7);
	assert_int_equal(system(command), 0);
	reopen();
	assert_int_equal(delete_queue_count(queue), 1);
	assert_int_equal(files(".corrupt"), 3);
	assert_int_equal(files(".temporary"), 0);
	assert_int_equal(files("README"), 1);
	assert_int_equal(put("e"), 0);
	reopen();
	assert_int_equal(delete_queue_count(queue), 2);
}

static void a_file_that_goes_bad_while_running_is_passed_over(void **state)
{
	struct detach_request detach;
	char command[256];
	uint64_t cursor = 0;

	put("a");
	put("b");
	snprintf(command, sizeof(command), "cd %s/deletes && rm $(grep -l ^ * | head -1)", folder);
	assert_int_equal(system(command), 0);
	assert_true(delete_queue_next(queue, &cursor, &detach));
	assert_int_equal(delete_queue_count(queue), 1);
	snprintf(command, sizeof(command), "cd %s/deletes && echo x > $(ls)", folder);
	assert_int_equal(system(command), 0);
	cursor = 0;
	assert_false(delete_queue_next(queue, &cursor, &detach));
	assert_int_equal(delete_queue_count(queue), 0);
	assert_int_equal(files(".corrupt"), 1);
}

static void a_release_the_agent_refuses_is_set_aside(void **state)
{
	struct detach_request a = detach_of("a");

	put("a");
	delete_queue_set_aside(queue, &a.key);
	assert_false(has("a"));
	assert_int_equal(files(".corrupt"), 1);
	reopen();
	assert_false(has("a"));
}

static void a_full_queue_refuses_and_recovers(void **state)
{
	struct detach_request detach = detach_of("0");
	char id[16];

	for (unsigned int i = 0; i < DELETE_QUEUE_MAX; i++) {
		snprintf(id, sizeof(id), "%u", i);
		assert_int_equal(put(id), 0);
	}
	assert_int_equal(put("one-more"), -ENOSPC);
	assert_int_equal(put("17"), 0); // one that is there may be replaced
	delete_queue_remove(queue, &detach.key);
	assert_int_equal(put("one-more"), 0);
	reopen();
	assert_int_equal(delete_queue_count(queue), DELETE_QUEUE_MAX);
}

static void keys_that_join_to_the_same_text_are_different(void **state)
{
	struct detach_request one = detach_of("ab"), other = detach_of("b");
	struct error error;

	strcpy(one.key.network, "x");
	strcpy(other.key.network, "xa");
	assert_int_equal(delete_queue_put(queue, &one, &error), 0);
	assert_false(delete_queue_has(queue, &other.key));
}

static void a_folder_that_cannot_be_is_named(void **state)
{
	struct delete_queue *none;
	struct error error = {0};

	assert_true(delete_queue_open("/proc/nonexistent", &none, &error) < 0);
	assert_int_equal(error.code, CODE_STORE);
	assert_non_null(strstr(error.message, "/proc/nonexistent/deletes"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_queued_release_survives_a_restart),
		TEST(releases_are_delivered_oldest_first),
		TEST(a_put_that_fails_anywhere_changes_nothing),
		TEST(a_disk_that_fills_up_in_the_middle_of_a_write_changes_nothing),
		TEST(a_failed_replacement_keeps_what_was_queued),
		TEST(corrupt_files_are_set_aside_and_block_nobody),
		TEST(a_file_that_goes_bad_while_running_is_passed_over),
		TEST(a_release_the_agent_refuses_is_set_aside),
		TEST(a_full_queue_refuses_and_recovers),
		TEST(keys_that_join_to_the_same_text_are_different),
		TEST(a_folder_that_cannot_be_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
