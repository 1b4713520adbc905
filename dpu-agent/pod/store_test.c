// SPDX-License-Identifier: BSD-3-Clause
//
// The store: what is committed stays, what fails leaves nothing, and no file is ever replaced. Each
// test has a fresh folder; a "crash" is a copy of the files as they are at that moment, opened.

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pod/fault_vfs.h"
#include "pod/store.h"
#include "proto/base/log.h"

struct fixture {
	char dir[64], crash_dir[64];
};

__attribute__((format(printf, 1, 2))) static void command(const char *format, ...)
{
	char line[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	assert_int_equal(0, system(line));
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	// In memory: what is slow or fails here is made to, by fault_vfs.
	strcpy(fixture->dir, "/dev/shm/podport-store-XXXXXX");
	strcpy(fixture->crash_dir, "/dev/shm/podport-crash-XXXXXX");
	if (mkdtemp(fixture->dir) == NULL || mkdtemp(fixture->crash_dir) == NULL)
		return -1;
	*state = fixture;
	fault_vfs_clear();
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	fault_vfs_clear();
	command("rm -rf %s %s", fixture->dir, fixture->crash_dir);
	free(fixture);
	return 0;
}

static struct store *open_store(const char *dir)
{
	struct store *store = NULL;
	struct error err = {0};

	if (store_open(dir, &store, &err) < 0)
		fail_msg("%s: %s", dir, err.message);
	return store;
}

static struct store_record make_record(unsigned int n)
{
	struct store_record record = {
		.state = STORE_ATTACHED,
		.host_id = "host",
		.boot_id = "boot",
		.attachment =
			{
				.key = {.network = "podport", .ifname = "eth0"},
				.sandbox = {.path = "/run/netns/a", .inode = UINT64_MAX - n},
				.pod = {.namespace_ = "default", .name = "web"},
				.function = {.pf = 0, .vf = (uint16_t)n},
				.mac = {{2, 0, 0, 0, (uint8_t)(n >> 8), (uint8_t)n}},
				.has_ipv4 = true,
				.has_ipv6 = n % 2 == 0,
				.gateway_mac = {{2, 0x70, 0x70, 0, 0, 1}},
				.mtu = 1500,
				.link_group = UINT32_MAX,
				.created_unix_ms = 1700000000000,
			},
	};
	struct attachment *a = &record.attachment;

	snprintf(a->key.container_id, sizeof(a->key.container_id), "container%u", n);
	a->ipv4.s_addr = htonl(0x0a580002 + n);
	a->gateway_ipv4.s_addr = htonl(0x0a580001);
	if (a->has_ipv6) {
		inet_pton(AF_INET6, "fd00::2", &a->ipv6);
		a->ipv6.s6_addr[15] = (uint8_t)(n + 2);
		a->ipv6.s6_addr[14] = (uint8_t)((n + 2) >> 8);
		inet_pton(AF_INET6, "fd00::1", &a->gateway_ipv6);
	}
	return record;
}

static struct store_released released_ipv4(unsigned int n)
{
	return (struct store_released){.pool = STORE_POOL_IPV4,
				       .ipv4.s_addr = htonl(0x0a580002 + n)};
}

static void must(int r)
{
	assert_int_equal(0, r);
}

static void add(struct store *store, unsigned int n)
{
	struct store_record record = make_record(n);

	must(store_begin(store, NULL));
	must(store_add(store, &record, NULL));
	must(store_commit(store, NULL));
}

// ---- reading back ----------------------------------------------------------------------------------

struct contents {
	struct store_record records[64];
	struct store_released released[64];
	size_t record_count, released_count;
};

static int take_record(const struct store_record *record, void *arg, struct error *err)
{
	struct contents *contents = arg;

	assert_true(contents->record_count < 64);
	contents->records[contents->record_count++] = *record;
	return 0;
}

static int take_released(const struct store_released *released, void *arg, struct error *err)
{
	struct contents *contents = arg;

	assert_true(contents->released_count < 64);
	contents->released[contents->released_count++] = *released;
	return 0;
}

static struct contents *read_store(struct store *store)
{
	static struct contents contents;

	memset(&contents, 0, sizeof(contents));
	must(store_each_record(store, take_record, &contents, NULL));
	must(store_each_released(store, take_released, &contents, NULL));
	return &contents;
}

// What a crash now would leave.
static struct contents *read_after_crash(const struct fixture *fixture)
{
	struct contents *contents;
	struct store *store;

	command("rm -rf %s/* && cp %s/agent.db* %s/", fixture->crash_dir, fixture->dir,
		fixture->crash_dir);
	store = open_store(fixture->crash_dir);
	contents = read_store(store);
	store_close(store);
	return contents;
}

// ---- tests -----------------------------------------------------------------------------------------

static void what_was_committed_is_there_after_a_restart(void **state)
{
	struct fixture *fixture = *state;
	struct store_record two = make_record(2), three = make_record(3);
	struct store *store = open_store(fixture->dir);
	struct network network = {.link_group = 7, .common.mtu = 9000};
	struct store_header header;
	struct contents *contents;

	must(network_parse_ipv4("10.88.0.0/16", &network, NULL));
	must(mac_parse("02:70:70:00:00:01", &network.common.router_mac, NULL));
	must(store_begin(store, NULL));
	must(store_add(store, &three, NULL));
	must(store_add(store, &two, NULL));
	must(store_put_host(store, "host", "boot", NULL));
	must(store_put_network(store, &network, NULL));
	must(store_commit(store, NULL));

	for (int round = 0; round < 2; round++) {
		contents = round == 0 ? read_after_crash(fixture) : read_store(store);
		assert_int_equal(2, contents->record_count);
		assert_memory_equal(&two, &contents->records[0], sizeof(two)); // by key
		assert_memory_equal(&three, &contents->records[1], sizeof(three));
		store_close(store);
		store = open_store(fixture->dir);
	}
	must(store_read_header(store, &header, NULL));
	assert_string_equal("host", header.host_id);
	assert_string_equal("boot", header.boot_id);
	assert_true(header.has_network);
	assert_true(network_equal(&network, &header.network));
	store_close(store);
}

static void what_was_not_committed_is_gone(void **state)
{
	struct fixture *fixture = *state;
	struct store *store = open_store(fixture->dir);
	struct store_record record = make_record(1);

	must(store_begin(store, NULL));
	must(store_add(store, &record, NULL));
	store_rollback(store);
	assert_int_equal(0, read_store(store)->record_count);
	must(store_begin(store, NULL));
	must(store_add(store, &record, NULL));
	store_close(store);
	store = open_store(fixture->dir);
	assert_int_equal(0, read_store(store)->record_count);
	store_close(store);
}

static void an_update_changes_hints_and_state_and_nothing_else(void **state)
{
	struct fixture *fixture = *state;
	struct store *store = open_store(fixture->dir);
	struct store_record changed = make_record(1), other = make_record(9);

	add(store, 1);
	changed.state = STORE_DETACHING;
	strcpy(changed.attachment.sandbox.path, "/run/netns/b");
	changed.attachment.sandbox.inode = 5;
	strcpy(changed.boot_id, "other boot");
	must(store_begin(store, NULL));
	must(store_update(store, &changed, NULL));
	assert_int_equal(-ENOENT, store_update(store, &other, NULL));
	must(store_commit(store, NULL));
	assert_memory_equal(&changed, &read_store(store)->records[0], sizeof(changed));
	must(store_begin(store, NULL));
	must(store_delete(store, &changed.attachment.key, NULL));
	must(store_commit(store, NULL));
	assert_int_equal(0, read_store(store)->record_count);
	store_close(store);
}

static void nothing_is_recorded_for_two_attachments(void **state)
{
	struct fixture *fixture = *state;
	struct store *store = open_store(fixture->dir);
	struct store_record base = make_record(2);

	add(store, 2);
	for (int what = 0; what < 5; what++) {
		struct store_record record = make_record(4);
		struct error err = {0};

		if (what == 0)
			record.attachment.key = base.attachment.key;
		else if (what == 1)
			record.attachment.function = base.attachment.function;
		else if (what == 2)
			record.attachment.mac = base.attachment.mac;
		else if (what == 3)
			record.attachment.ipv4 = base.attachment.ipv4;
		else
			record.attachment.ipv6 = base.attachment.ipv6;
		must(store_begin(store, NULL));
		assert_int_equal(-EEXIST, store_add(store, &record, &err));
		assert_int_equal(CODE_STORE, err.code);
		store_rollback(store);
	}
	assert_int_equal(1, read_store(store)->record_count);
	store_close(store);
}

static void the_order_of_releases_is_kept(void **state)
{
	struct fixture *fixture = *state;
	struct store *store = open_store(fixture->dir);
	struct store_released vf = {.pool = STORE_POOL_FUNCTION, .vf = 700};
	struct contents *contents;

	must(store_begin(store, NULL));
	for (unsigned int n = 5; n > 0; n--) {
		struct store_released released = released_ipv4(n);

		must(store_put_released(store, &released, NULL));
	}
	must(store_put_released(store, &vf, NULL));
	must(store_commit(store, NULL));
	must(store_begin(store, NULL));
	struct store_released again = released_ipv4(4), taken = released_ipv4(2);
	must(store_put_released(store, &again, NULL)); // moves to the end
	must(store_delete_released(store, &taken, NULL));
	must(store_commit(store, NULL));
	store_close(store);

	store = open_store(fixture->dir);
	contents = read_store(store);
	const unsigned int expected[] = {5, 3, 1, 700, 4};
	assert_int_equal(5, contents->released_count);
	for (size_t i = 0; i < 5; i++) {
		struct store_released released = released_ipv4(expected[i]);

		if (expected[i] == 700)
			released = vf;
		assert_memory_equal(&released, &contents->released[i], sizeof(released));
	}
	store_close(store);
}

static void two_agents_never_share_a_store(void **state)
{
	struct fixture *fixture = *state;
	struct store *store = open_store(fixture->dir), *second = NULL;
	struct error err = {0};
	char process[32];

	snprintf(process, sizeof(process), "process %d", getpid());
	assert_int_equal(-EBUSY, store_open(fixture->dir, &second, &err));
	assert_null(second);
	assert_non_null(strstr(err.message, process));
	assert_non_null(strstr(err.message, fixture->dir));
	store_close(store);
	store_close(open_store(fixture->dir));
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

	command("rm -rf %s/* && cp %s/agent.db* %s/", fixture->crash_dir, fixture->dir,
		fixture->crash_dir);
	assert_int_equal(-EUCLEAN, store_open(fixture->dir, &store, &err));
	assert_null(store);
	assert_int_equal(CODE_STORE, err.code);
	if (strstr(err.message, why) == NULL)
		fail_msg("'%s' does not say '%s'", err.message, why);
	assert_non_null(strstr(err.message, fixture->dir));
	// Not a byte was changed.
	command("rm -f %s/lock && diff -r %s %s", fixture->dir, fixture->dir, fixture->crash_dir);
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

	store_close(open_store(fixture->dir));
	snprintf(path, sizeof(path), "%s/agent.db", fixture->dir);
	assert_int_equal(SQLITE_OK, sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, "unix"));
	assert_int_equal(SQLITE_OK, sqlite3_exec(db, "PRAGMA user_version=2", NULL, NULL, NULL));
	sqlite3_close(db);
	assert_refused(fixture, "another version of podport");
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
	struct store *store = open_store(fixture->dir);
	char path[PATH_MAX], page[4096];
	struct stat st;
	int fd;

	for (unsigned int n = 0; n < 40; n++)
		add(store, n);
	store_close(store);
	snprintf(path, sizeof(path), "%s/agent.db", fixture->dir);
	must(stat(path, &st));
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
	must(truncate(path, st.st_size - 4096));
	assert_refused(fixture, "never replaces it");
}

// ---- a disk that fails -----------------------------------------------------------------------------

// One transaction as an attach makes it; 0 only if it is committed.
static int change(struct store *store, struct error *err)
{
	struct store_released released = released_ipv4(1);
	struct store_record record = make_record(1);
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
	struct store_released released = released_ipv4(1);
	struct store *store = open_store(fixture->dir);
	struct error err = {0};
	bool hit;
	int r;

	add(store, 0);
	must(store_begin(store, NULL));
	must(store_put_released(store, &released, NULL));
	must(store_commit(store, NULL));

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
	assert_contents(read_store(store), r == 0);
	if (r == 0 || !stays || kind == FAULT_WRITE_FULL)
		assert_contents(read_after_crash(fixture), r == 0);
	if (r < 0)
		must(change(store, NULL));
	assert_contents(read_after_crash(fixture), true);
	store_close(store);
	store = open_store(fixture->dir);
	assert_contents(read_store(store), true);
	store_close(store);
	command("rm -rf %s/* %s/*", fixture->dir, fixture->crash_dir);
	return hit;
}

static void a_failing_disk_leaves_nothing_half_done(void **state)
{
	static const enum fault_kind kinds[] = {FAULT_WRITE_FULL, FAULT_IO};
	struct fixture *fixture = *state;

	log_set_level(LOG_LEVEL_ERROR);
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
			store = open_store(fixture->dir);
			add(store, 1);
			store_close(store);
			command("rm -rf %s/*", fixture->dir);
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
		struct store_record record = make_record(n);

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

		must(pipe(report));
		child = fork();
		if (child == 0)
			die_while_writing(fixture, nth, report[1]);
		close(report[1]);
		assert_int_equal(child, waitpid(child, &status, 0));
		assert_true(WIFEXITED(status));
		assert_true(WEXITSTATUS(status) == FAULT_EXIT_STATUS || status == 0);
		count = read(report[0], sure, sizeof(sure));
		close(report[0]);

		store = open_store(fixture->dir);
		contents = read_store(store);
		// All that were told of, and at most the one that was under way.
		assert_true(contents->record_count == (size_t)count ||
			    contents->record_count == (size_t)count + 1);
		store_close(store);
		command("rm -rf %s/*", fixture->dir);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_was_committed_is_there_after_a_restart),
		TEST(what_was_not_committed_is_gone),
		TEST(an_update_changes_hints_and_state_and_nothing_else),
		TEST(nothing_is_recorded_for_two_attachments),
		TEST(the_order_of_releases_is_kept),
		TEST(two_agents_never_share_a_store),
		TEST(a_file_that_is_no_database_is_refused_and_kept),
		TEST(another_programs_database_is_refused_and_kept),
		TEST(a_store_of_a_newer_podport_is_refused_and_kept),
		TEST(a_wal_without_its_file_is_refused_and_kept),
		TEST(a_damaged_store_is_refused_and_kept),
		TEST(a_failing_disk_leaves_nothing_half_done),
		TEST(a_store_that_could_not_be_made_is_made_at_the_next_start),
		TEST(a_killed_agent_loses_nothing_it_was_sure_of),
	};

	fault_vfs_install();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
