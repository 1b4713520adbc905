// SPDX-License-Identifier: BSD-3-Clause
//
// The store: what is committed stays, and no file is ever replaced.

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pod/fault_vfs.h"
#include "pod/test_store.h"

static void what_was_committed_is_there_after_a_restart(void **state)
{
	struct fixture *fixture = *state;
	struct store_record two = test_record(2), three = test_record(3);
	struct store *store = test_open_store(fixture->dir);
	struct network network = {.link_group = 7, .common.mtu = 9000};
	struct store_header header;
	struct contents *contents;

	test_must(network_parse_ipv4("10.88.0.0/16", &network, NULL));
	test_must(mac_parse("02:70:70:00:00:01", &network.common.router_mac, NULL));
	test_must(store_begin(store, NULL));
	test_must(store_add(store, &three, NULL));
	test_must(store_add(store, &two, NULL));
	test_must(store_put_host(store, "host", "boot", NULL));
	test_must(store_put_network(store, &network, NULL));
	test_must(store_commit(store, NULL));

	for (int round = 0; round < 2; round++) {
		contents = round == 0 ? test_read_after_crash(fixture) : test_read(store);
		assert_int_equal(2, contents->record_count);
		assert_memory_equal(&two, &contents->records[0], sizeof(two)); // by key
		assert_memory_equal(&three, &contents->records[1], sizeof(three));
		store_close(store);
		store = test_open_store(fixture->dir);
	}
	test_must(store_read_header(store, &header, NULL));
	assert_int_equal(1, header.host_count);
	assert_string_equal("host", header.hosts[0].host_id);
	assert_string_equal("boot", header.hosts[0].boot_id);
	assert_false(header.network_was_set);
	assert_true(header.has_network);
	assert_true(network_equal(&network, &header.network));
	store_close(store);
}

static void what_was_not_committed_is_gone(void **state)
{
	struct fixture *fixture = *state;
	struct store *store = test_open_store(fixture->dir);
	struct store_record record = test_record(1);

	test_must(store_begin(store, NULL));
	test_must(store_add(store, &record, NULL));
	store_rollback(store);
	assert_int_equal(0, test_read(store)->record_count);
	test_must(store_begin(store, NULL));
	test_must(store_add(store, &record, NULL));
	store_close(store);
	store = test_open_store(fixture->dir);
	assert_int_equal(0, test_read(store)->record_count);
	store_close(store);
}

static void an_update_changes_hints_and_state_and_nothing_else(void **state)
{
	struct fixture *fixture = *state;
	struct store *store = test_open_store(fixture->dir);
	struct store_record changed = test_record(1), other = test_record(9);

	test_add(store, 1);
	changed.state = STORE_DETACHING;
	strcpy(changed.attachment.sandbox.path, "/run/netns/b");
	changed.attachment.sandbox.inode = 5;
	changed.attachment.sandbox.cookie = 6;
	strcpy(changed.boot_id, "other boot");
	test_must(store_begin(store, NULL));
	test_must(store_update(store, &changed, NULL));
	assert_int_equal(-ENOENT, store_update(store, &other, NULL));
	test_must(store_commit(store, NULL));
	assert_memory_equal(&changed, &test_read(store)->records[0], sizeof(changed));
	test_must(store_begin(store, NULL));
	test_must(store_delete(store, &changed.attachment.key, NULL));
	test_must(store_commit(store, NULL));
	assert_int_equal(0, test_read(store)->record_count);
	store_close(store);
}

static void nothing_is_recorded_for_two_attachments(void **state)
{
	struct fixture *fixture = *state;
	struct store *store = test_open_store(fixture->dir);
	struct store_record base = test_record(2);

	test_add(store, 2);
	for (int what = 0; what < 6; what++) {
		struct store_record record = test_record(4);
		struct error err = {0};

		if (what == 0)
			record.attachment.key = base.attachment.key;
		else if (what == 1)
			record.attachment.function = base.attachment.function;
		else if (what == 2)
			record.attachment.mac = base.attachment.mac;
		else if (what == 3)
			record.attachment.ipv4 = base.attachment.ipv4;
		else if (what == 4)
			record.attachment.ipv6 = base.attachment.ipv6;
		else
			record.attachment.port_mappings = base.attachment.port_mappings;
		test_must(store_begin(store, NULL));
		assert_int_equal(-EEXIST, store_add(store, &record, &err));
		assert_int_equal(CODE_STORE, err.code);
		store_rollback(store);
	}
	assert_int_equal(1, test_read(store)->record_count);
	store_close(store);
}

static void what_a_pod_had_of_the_host_is_free_when_it_is_gone(void **state)
{
	struct fixture *fixture = *state;
	struct store *store = test_open_store(fixture->dir);
	struct store_record gone = test_record(2), next = test_record(4);

	next.attachment.port_mappings = gone.attachment.port_mappings;
	assert_int_equal(2, next.attachment.port_mappings.count);
	test_add(store, 2);
	test_must(store_begin(store, NULL));
	test_must(store_delete(store, &gone.attachment.key, NULL));
	test_must(store_add(store, &next, NULL));
	test_must(store_commit(store, NULL));
	assert_memory_equal(&next, &test_read(store)->records[0], sizeof(next));
	store_close(store);
}

static void the_order_of_releases_is_kept(void **state)
{
	struct fixture *fixture = *state;
	struct store *store = test_open_store(fixture->dir);
	struct store_released vf = {.pool = STORE_POOL_FUNCTION, .vf = 700};
	struct contents *contents;

	test_must(store_begin(store, NULL));
	for (unsigned int n = 5; n > 0; n--) {
		struct store_released released = test_released_ipv4(n);

		test_must(store_put_released(store, &released, NULL));
	}
	test_must(store_put_released(store, &vf, NULL));
	test_must(store_commit(store, NULL));
	test_must(store_begin(store, NULL));
	struct store_released again = test_released_ipv4(4), taken = test_released_ipv4(2);
	test_must(store_put_released(store, &again, NULL)); // moves to the end
	test_must(store_delete_released(store, &taken, NULL));
	test_must(store_commit(store, NULL));
	store_close(store);

	store = test_open_store(fixture->dir);
	contents = test_read(store);
	const unsigned int expected[] = {5, 3, 1, 700, 4};
	assert_int_equal(5, contents->released_count);
	for (size_t i = 0; i < 5; i++) {
		struct store_released released = test_released_ipv4(expected[i]);

		if (expected[i] == 700)
			released = vf;
		assert_memory_equal(&released, &contents->released[i], sizeof(released));
	}
	store_close(store);
}

static void two_agents_never_share_a_store(void **state)
{
	struct fixture *fixture = *state;
	struct store *store = test_open_store(fixture->dir), *second = NULL;
	struct error err = {0};
	char process[32];

	snprintf(process, sizeof(process), "process %d", getpid());
	assert_int_equal(-EBUSY, store_open(fixture->dir, &second, &err));
	assert_null(second);
	assert_non_null(strstr(err.message, process));
	assert_non_null(strstr(err.message, fixture->dir));
	store_close(store);
	store_close(test_open_store(fixture->dir));
}

// ---- files that are not ours -----------------------------------------------------------------------

static void write_file(const struct fixture *fixture, const char *name, const char *data,
		       size_t size)
{
	char path[PATH_MAX];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", fixture->dir, name);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(size, fwrite(data, 1, size, file));
	fclose(file);
}

static void assert_refused(const struct fixture *fixture, const char *why)
{
	struct store *store = NULL;
	struct error err = {0};

	test_command("rm -rf %s/* && cp %s/agent.db* %s/", fixture->crash_dir, fixture->dir,
		     fixture->crash_dir);
	assert_int_equal(-EUCLEAN, store_open(fixture->dir, &store, &err));
	assert_null(store);
	assert_int_equal(CODE_STORE, err.code);
	if (strstr(err.message, why) == NULL)
		fail_msg("'%s' does not say '%s'", err.message, why);
	assert_non_null(strstr(err.message, fixture->dir));
	// Not a byte was changed.
	test_command("rm -f %s/lock && diff -r %s %s", fixture->dir, fixture->dir,
		     fixture->crash_dir);
}

static void a_file_that_is_no_database_is_refused_and_kept(void **state)
{
	struct fixture *fixture = *state;
	char garbage[8192];

	memset(garbage, 'x', sizeof(garbage));
	write_file(fixture, "agent.db", garbage, sizeof(garbage));
	assert_refused(fixture, "never replaces it");
	write_file(fixture, "agent.db", "short", 5);
	assert_refused(fixture, "never replaces it");
	write_file(fixture, "agent.db", "", 0);
	assert_refused(fixture, "the file is empty");
}

static void another_programs_database_is_refused_and_kept(void **state)
{
	struct fixture *fixture = *state;
	char path[PATH_MAX];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/agent.db", fixture->dir);
	assert_int_equal(SQLITE_OK, sqlite3_open(path, &db));
	assert_int_equal(SQLITE_OK, sqlite3_exec(db, "CREATE TABLE t (x); INSERT INTO t VALUES (1)",
						 NULL, NULL, NULL));
	sqlite3_close(db);
	assert_refused(fixture, "another program's database");
}

static void a_store_of_a_newer_podport_is_refused_and_kept(void **state)
{
	struct fixture *fixture = *state;
	char path[PATH_MAX];
	sqlite3 *db;

	store_close(test_open_store(fixture->dir));
	snprintf(path, sizeof(path), "%s/agent.db", fixture->dir);
	assert_int_equal(SQLITE_OK, sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, "unix"));
	assert_int_equal(SQLITE_OK, sqlite3_exec(db, "PRAGMA user_version=6", NULL, NULL, NULL));
	sqlite3_close(db);
	assert_refused(fixture, "a later version of podport");
}

static void a_wal_without_its_file_is_refused_and_kept(void **state)
{
	struct fixture *fixture = *state;

	write_file(fixture, "agent.db-wal", "something", 9);
	assert_refused(fixture, "its -wal is there");
}

static void a_damaged_store_is_refused_and_kept(void **state)
{
	struct fixture *fixture = *state;
	struct store *store = test_open_store(fixture->dir);
	char path[PATH_MAX], page[4096];
	struct stat st;
	int fd;

	for (unsigned int n = 0; n < 40; n++)
		test_add(store, n);
	store_close(store);
	snprintf(path, sizeof(path), "%s/agent.db", fixture->dir);
	test_must(stat(path, &st));
	assert_true(st.st_size > 8 * 4096);
	memset(page, 0xa5, sizeof(page));
	// Each page in its turn, but the first, which is the case above.
	for (off_t at = 4096; at < st.st_size; at += 4096) {
		char saved[4096];

		fd = open(path, O_RDWR);
		assert_int_equal(4096, pread(fd, saved, sizeof(saved), at));
		assert_int_equal(4096, pwrite(fd, page, sizeof(page), at));
		close(fd);
		assert_refused(fixture, "never replaces it");
		fd = open(path, O_RDWR);
		assert_int_equal(4096, pwrite(fd, saved, sizeof(saved), at));
		close(fd);
	}
	test_must(truncate(path, st.st_size - 4096));
	assert_refused(fixture, "never replaces it");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_was_committed_is_there_after_a_restart),
		TEST(what_was_not_committed_is_gone),
		TEST(an_update_changes_hints_and_state_and_nothing_else),
		TEST(nothing_is_recorded_for_two_attachments),
		TEST(what_a_pod_had_of_the_host_is_free_when_it_is_gone),
		TEST(the_order_of_releases_is_kept),
		TEST(two_agents_never_share_a_store),
		TEST(a_file_that_is_no_database_is_refused_and_kept),
		TEST(another_programs_database_is_refused_and_kept),
		TEST(a_store_of_a_newer_podport_is_refused_and_kept),
		TEST(a_wal_without_its_file_is_refused_and_kept),
		TEST(a_damaged_store_is_refused_and_kept),
	};

	fault_vfs_install();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
