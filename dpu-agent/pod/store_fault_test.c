// SPDX-License-Identifier: BSD-3-Clause
//
// The store when the disk fails at any operation, or the process ends there: nothing is half done.

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pod/fault_vfs.h"
#include "pod/test_store.h"
#include "proto/base/log.h"

// ---- a disk that fails -----------------------------------------------------------------------------

// One transaction as an attach makes it; 0 only if it is committed.
static int change(struct store *store, struct error *err)
{
	struct store_released released = test_released_ipv4(1);
	struct store_record record = test_record(1);
	int r = store_begin(store, err);

	if (r == 0)
		r = store_add(store, &record, err);
	if (r == 0)
		r = store_delete_released(store, &released, err);
	if (r == 0)
		r = store_commit(store, err);
	if (r < 0)
		store_rollback(store);
	return r;
}

static void assert_contents(const struct contents *contents, bool changed)
{
	assert_int_equal(changed ? 2 : 1, contents->record_count);
	assert_int_equal(changed ? 0 : 1, contents->released_count);
}

// Returns false when the fault came too late to be met.
static bool change_with_fault(struct fixture *fixture, enum fault_kind kind, unsigned int nth,
			      bool stays)
{
	struct store_released released = test_released_ipv4(1);
	struct store *store = test_open_store(fixture->dir);
	struct error err = {0};
	bool hit;
	int r;

	test_add(store, 0);
	test_must(store_begin(store, NULL));
	test_must(store_put_released(store, &released, NULL));
	test_must(store_commit(store, NULL));

	fault_vfs_set(kind, nth, stays);
	r = change(store, &err);
	hit = fault_vfs_hit();
	if (r < 0) {
		assert_true(hit);
		assert_int_equal(CODE_STORE, err.code);
		if (kind == FAULT_WRITE_FULL)
			assert_non_null(strstr(err.message, "is full; nothing was changed"));
	}
	// It is as it was said to be: now, after a crash, after trying again, after a restart. A
	// disk that goes on failing cannot be written to undo what it took half of.
	fault_vfs_clear();
	assert_contents(test_read(store), r == 0);
	if (r == 0 || !stays || kind == FAULT_WRITE_FULL)
		assert_contents(test_read_after_crash(fixture), r == 0);
	if (r < 0)
		test_must(change(store, NULL));
	assert_contents(test_read_after_crash(fixture), true);
	store_close(store);
	store = test_open_store(fixture->dir);
	assert_contents(test_read(store), true);
	store_close(store);
	test_command("rm -rf %s/* %s/*", fixture->dir, fixture->crash_dir);
	return hit;
}

static void a_failing_disk_leaves_nothing_half_done(void **state)
{
	static const enum fault_kind kinds[] = {FAULT_WRITE_FULL, FAULT_IO};
	struct fixture *fixture = *state;

	log_set_level((enum log_level)(LOG_LEVEL_ERROR - 1)); // failures that are meant
	for (size_t k = 0; k < 2; k++) {
		for (int stays = 0; stays < 2; stays++) {
			unsigned int nth = 1;

			while (change_with_fault(fixture, kinds[k], nth, stays))
				nth++;
			assert_true(nth > 4); // a commit is several operations
		}
	}
}

// The same for making the store.
static void a_store_that_could_not_be_made_is_made_at_the_next_start(void **state)
{
	static const enum fault_kind kinds[] = {FAULT_WRITE_FULL, FAULT_IO};
	struct fixture *fixture = *state;

	for (size_t k = 0; k < 2; k++) {
		bool hit = true;

		for (unsigned int nth = 1; hit; nth++) {
			struct store *store = NULL;
			struct error err = {0};
			int r;

			fault_vfs_set(kinds[k], nth, true);
			r = store_open(fixture->dir, &store, &err);
			hit = fault_vfs_hit();
			assert_true(hit || r == 0);
			store_close(store);
			fault_vfs_clear();
			store = test_open_store(fixture->dir);
			test_add(store, 1);
			store_close(store);
			test_command("rm -rf %s/*", fixture->dir);
		}
	}
}

// ---- a process that dies ---------------------------------------------------------------------------

// Make the store, add ten records, one transaction each; tell of each commit. Ends at operation nth.
static void die_while_writing(const struct fixture *fixture, unsigned int nth, int report)
{
	struct store *store = NULL;

	fault_vfs_set(FAULT_EXIT, nth, false);
	if (store_open(fixture->dir, &store, NULL) < 0)
		_exit(1);
	for (uint8_t n = 0; n < 10; n++) {
		struct store_record record = test_record(n);

		if (store_begin(store, NULL) < 0 || store_add(store, &record, NULL) < 0 ||
		    store_commit(store, NULL) < 0 || write(report, &n, 1) != 1)
			_exit(1);
	}
	store_close(store);
	_exit(0);
}

static void a_killed_agent_loses_nothing_it_was_sure_of(void **state)
{
	struct fixture *fixture = *state;
	int status = -1;

	for (unsigned int nth = 1; status != 0; nth++) {
		struct contents *contents;
		struct store *store;
		uint8_t sure[16];
		int report[2];
		ssize_t count;
		pid_t child;

		test_must(pipe(report));
		child = fork();
		if (child == 0)
			die_while_writing(fixture, nth, report[1]);
		close(report[1]);
		assert_int_equal(child, waitpid(child, &status, 0));
		assert_true(WIFEXITED(status));
		assert_true(WEXITSTATUS(status) == FAULT_EXIT_STATUS || status == 0);
		count = read(report[0], sure, sizeof(sure));
		close(report[0]);

		store = test_open_store(fixture->dir);
		contents = test_read(store);
		// All that were told of, and at most the one that was under way.
		assert_true(contents->record_count == (size_t)count ||
			    contents->record_count == (size_t)count + 1);
		store_close(store);
		test_command("rm -rf %s/*", fixture->dir);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_failing_disk_leaves_nothing_half_done),
		TEST(a_store_that_could_not_be_made_is_made_at_the_next_start),
		TEST(a_killed_agent_loses_nothing_it_was_sure_of),
	};

	fault_vfs_install();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
