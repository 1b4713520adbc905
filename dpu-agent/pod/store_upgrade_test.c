// SPDX-License-Identifier: BSD-3-Clause
//
// A store that an earlier podport wrote: nothing in it is lost, whenever the upgrade is interrupted.

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "pod/fault_vfs.h"
#include "pod/test_store.h"

// Schema 1, to the letter.
static const char schema_1[] =
	"PRAGMA journal_mode=WAL;"
	"BEGIN;"
	"PRAGMA application_id=1886348400; PRAGMA user_version=1;"
	"CREATE TABLE meta ("
	" name TEXT PRIMARY KEY,"
	" value TEXT NOT NULL"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE attachment ("
	" network TEXT NOT NULL, container_id TEXT NOT NULL, ifname TEXT NOT NULL,"
	" state INTEGER NOT NULL CHECK (state IN (1, 2)),"
	" pf INTEGER NOT NULL, vf INTEGER NOT NULL,"
	" mac BLOB NOT NULL UNIQUE CHECK (length(mac) = 6),"
	" ipv4 BLOB UNIQUE CHECK (length(ipv4) = 4),"
	" ipv6 BLOB UNIQUE CHECK (length(ipv6) = 16),"
	" gateway_ipv4 BLOB CHECK (length(gateway_ipv4) = 4),"
	" gateway_ipv6 BLOB CHECK (length(gateway_ipv6) = 16),"
	" gateway_mac BLOB NOT NULL CHECK (length(gateway_mac) = 6),"
	" mtu INTEGER NOT NULL, link_group INTEGER NOT NULL, created_unix_ms INTEGER NOT NULL,"
	" sandbox_path TEXT NOT NULL, sandbox_inode INTEGER NOT NULL,"
	" pod_namespace TEXT NOT NULL, pod_name TEXT NOT NULL,"
	" host_id TEXT NOT NULL, boot_id TEXT NOT NULL,"
	" PRIMARY KEY (network, container_id, ifname),"
	" UNIQUE (pf, vf),"
	" CHECK (ipv4 IS NOT NULL OR ipv6 IS NOT NULL),"
	" CHECK ((ipv4 IS NULL) = (gateway_ipv4 IS NULL)),"
	" CHECK ((ipv6 IS NULL) = (gateway_ipv6 IS NULL))"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE released ("
	" seq INTEGER PRIMARY KEY,"
	" pool INTEGER NOT NULL CHECK (pool IN (1, 4, 6)),"
	" value BLOB NOT NULL,"
	" UNIQUE (pool, value)"
	") STRICT;"
	"INSERT INTO attachment VALUES ('podport', 'container1', 'eth0', 1, 0, 1,"
	" x'020000000001', x'0a580003', NULL, x'0a580001', NULL, x'027070000001',"
	" 1500, 4294967295, 1700000000000, '/run/netns/a', -2, 'default', 'web', 'host', 'boot');"
	"INSERT INTO attachment VALUES ('podport', 'container3', 'eth0', 2, 0, 3,"
	" x'020000000003', x'0a580005', NULL, x'0a580001', NULL, x'027070000001',"
	" 1500, 4294967295, 1700000000000, '/run/netns/a', -4, 'default', 'web', 'host', 'boot');"
	"INSERT INTO released (pool, value) VALUES (4, x'0a580009'), (4, x'0a580007');";

static const char known_host[] = "INSERT INTO meta VALUES ('host_id', 'host'), ('boot_id', 'boot'),"
				 " ('network_ipv4', '10.88.0.0/24'), ('network_ipv6', ''),"
				 " ('network_mac', '02:70:70:00:00:01'), ('network_mtu', '1500'),"
				 " ('network_link_group', '0');";

static void write_store_1(const char *dir, const char *more)
{
	char path[PATH_MAX];
	sqlite3 *db;

	test_command("rm -rf %s/*", dir);
	snprintf(path, sizeof(path), "%s/agent.db", dir);
	assert_int_equal(
		SQLITE_OK,
		sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "unix"));
	assert_int_equal(SQLITE_OK, sqlite3_exec(db, schema_1, NULL, NULL, NULL));
	assert_int_equal(SQLITE_OK, sqlite3_exec(db, more, NULL, NULL, NULL));
	assert_int_equal(SQLITE_OK, sqlite3_exec(db, "COMMIT", NULL, NULL, NULL));
	sqlite3_close(db);
}

// What version 2 had besides: two hosts, the pod's UID.
static const char to_schema_2[] =
	"ALTER TABLE attachment ADD COLUMN pod_uid TEXT NOT NULL DEFAULT '';"
	"CREATE TABLE host ("
	" seq INTEGER PRIMARY KEY,"
	" host_id TEXT NOT NULL UNIQUE, boot_id TEXT NOT NULL"
	") STRICT;"
	"INSERT INTO host (host_id, boot_id) VALUES ('host', 'boot');"
	"DELETE FROM meta WHERE name IN ('host_id', 'boot_id');"
	"UPDATE attachment SET pod_uid = '6f9d1c2e';"
	"PRAGMA user_version=2;";

static void assert_all_is_there(struct store *store)
{
	struct contents *contents = test_read(store);
	struct store_record one = test_record(1), three = test_record(3);
	struct store_header header;

	three.state = STORE_DETACHING;
	one.attachment.pod.uid[0] = three.attachment.pod.uid[0] = '\0'; // was not known
	memset(one.attachment.pod.uid, 0, sizeof(one.attachment.pod.uid));
	memset(three.attachment.pod.uid, 0, sizeof(three.attachment.pod.uid));
	assert_int_equal(2, contents->record_count);
	assert_memory_equal(&one, &contents->records[0], sizeof(one));
	assert_memory_equal(&three, &contents->records[1], sizeof(three));
	assert_int_equal(2, contents->released_count);
	assert_int_equal(htonl(0x0a580009), contents->released[0].ipv4.s_addr);
	test_must(store_read_header(store, &header, NULL));
	assert_int_equal(1, header.host_count);
	assert_string_equal("host", header.hosts[0].host_id);
	assert_string_equal("boot", header.hosts[0].boot_id);
	assert_true(header.has_network);
	assert_false(header.network_was_set);
	assert_int_equal(24, header.network.common.ipv4_prefix_length);
}

static void an_upgrade_keeps_what_the_earlier_version_recorded(void **state)
{
	struct fixture *fixture = *state;
	struct store_record changed = test_record(1);
	struct store *store;

	write_store_1(fixture->dir, known_host);
	store = test_open_store(fixture->dir);
	assert_all_is_there(store);
	// It is a store like any other now.
	test_must(store_begin(store, NULL));
	test_must(store_update(store, &changed, NULL));
	test_must(store_put_host(store, "other", "boot7", NULL));
	test_must(store_commit(store, NULL));
	store_close(store);
	store = test_open_store(fixture->dir);
	assert_memory_equal(&changed, &test_read(store)->records[0], sizeof(changed));
	test_add(store, 8);
	store_close(store);
}

static void an_upgrade_of_a_later_version_keeps_as_much(void **state)
{
	struct fixture *fixture = *state;
	struct store_record one = test_record(1), socket = test_record(6);
	struct attachment *a = &socket.attachment;
	char more[sizeof(known_host) + sizeof(to_schema_2)];
	struct store *store;

	snprintf(more, sizeof(more), "%s%s", known_host, to_schema_2);
	write_store_1(fixture->dir, more);
	store = test_open_store(fixture->dir);
	assert_int_equal(2, test_read(store)->record_count);
	assert_memory_equal(&one, &test_read(store)->records[0], sizeof(one));
	assert_int_equal(2, test_read(store)->released_count);
	// It takes what it could not before: a pod without a function.
	a->port = PORT_CHOICE_VHOST_USER;
	a->function = (struct function_id){0};
	strcpy(a->socket_path, "/run/vhost/0123456789abcdef.sock");
	test_must(store_begin(store, NULL));
	test_must(store_add(store, &socket, NULL));
	test_must(store_commit(store, NULL));
	store_close(store);
	store = test_open_store(fixture->dir);
	assert_int_equal(3, test_read(store)->record_count);
	assert_memory_equal(&socket, &test_read(store)->records[2], sizeof(socket));
	// A socket is one pod's, and who has a function has none.
	struct store_record other = test_record(8);
	other.attachment.port = PORT_CHOICE_VHOST_USER;
	strcpy(other.attachment.socket_path, a->socket_path);
	test_must(store_begin(store, NULL));
	assert_int_equal(-EEXIST, store_add(store, &other, NULL));
	store_rollback(store);
	store_close(store);
}

// What version 3 had: sockets; and neither bandwidths nor mapped ports.
static const char to_schema_3[] =
	"CREATE TABLE attachment_3 ("
	" network TEXT NOT NULL, container_id TEXT NOT NULL, ifname TEXT NOT NULL,"
	" state INTEGER NOT NULL CHECK (state IN (1, 2)),"
	" pf INTEGER, vf INTEGER,"
	" mac BLOB NOT NULL UNIQUE CHECK (length(mac) = 6),"
	" ipv4 BLOB UNIQUE CHECK (length(ipv4) = 4),"
	" ipv6 BLOB UNIQUE CHECK (length(ipv6) = 16),"
	" gateway_ipv4 BLOB CHECK (length(gateway_ipv4) = 4),"
	" gateway_ipv6 BLOB CHECK (length(gateway_ipv6) = 16),"
	" gateway_mac BLOB NOT NULL CHECK (length(gateway_mac) = 6),"
	" mtu INTEGER NOT NULL, link_group INTEGER NOT NULL, created_unix_ms INTEGER NOT NULL,"
	" sandbox_path TEXT NOT NULL, sandbox_inode INTEGER NOT NULL,"
	" pod_namespace TEXT NOT NULL, pod_name TEXT NOT NULL,"
	" host_id TEXT NOT NULL, boot_id TEXT NOT NULL,"
	" pod_uid TEXT NOT NULL DEFAULT '',"
	" port INTEGER NOT NULL CHECK (port IN (0, 1, 2)),"
	" socket_path TEXT UNIQUE,"
	" PRIMARY KEY (network, container_id, ifname),"
	" UNIQUE (pf, vf),"
	" CHECK ((port = 0) = (pf IS NOT NULL AND vf IS NOT NULL)),"
	" CHECK ((port = 1) = (socket_path IS NOT NULL)),"
	" CHECK (ipv4 IS NOT NULL OR ipv6 IS NOT NULL),"
	" CHECK ((ipv4 IS NULL) = (gateway_ipv4 IS NULL)),"
	" CHECK ((ipv6 IS NULL) = (gateway_ipv6 IS NULL))"
	") STRICT, WITHOUT ROWID;"
	"INSERT INTO attachment_3 SELECT network, container_id, ifname, state, pf, vf, mac, ipv4, "
	"ipv6, gateway_ipv4, gateway_ipv6, gateway_mac, mtu, link_group, created_unix_ms, "
	"sandbox_path, sandbox_inode, pod_namespace, pod_name, host_id, boot_id, pod_uid, 0, NULL "
	"FROM attachment;"
	"DROP TABLE attachment;"
	"ALTER TABLE attachment_3 RENAME TO attachment;"
	"INSERT INTO attachment (network, container_id, ifname, state, mac, ipv4, gateway_ipv4, "
	"gateway_mac, mtu, link_group, created_unix_ms, sandbox_path, sandbox_inode, "
	"pod_namespace, pod_name, host_id, boot_id, pod_uid, port, socket_path)"
	" SELECT network, 'container7', ifname, 1, x'020000000007', x'0a580009', gateway_ipv4,"
	" gateway_mac, mtu, link_group, created_unix_ms, sandbox_path, -8, pod_namespace,"
	" pod_name, host_id, boot_id, pod_uid, 1, '/run/vhost/7.sock'"
	" FROM attachment WHERE container_id = 'container1';"
	"PRAGMA user_version=3;";

static void an_upgrade_of_version_3_keeps_functions_and_sockets_and_takes_limits(void **state)
{
	struct fixture *fixture = *state;
	struct store_record one = test_record(1), seven = test_record(7), limited = test_record(8);
	char more[sizeof(known_host) + sizeof(to_schema_2) + sizeof(to_schema_3)];
	struct store *store;

	assert_true(limited.attachment.port_mappings.count > 0);
	seven.attachment.port = PORT_CHOICE_VHOST_USER;
	seven.attachment.function = (struct function_id){0};
	strcpy(seven.attachment.socket_path, "/run/vhost/7.sock");
	snprintf(more, sizeof(more), "%s%s%s", known_host, to_schema_2, to_schema_3);
	write_store_1(fixture->dir, more);
	store = test_open_store(fixture->dir);
	assert_int_equal(3, test_read(store)->record_count);
	assert_memory_equal(&one, &test_read(store)->records[0], sizeof(one));
	assert_memory_equal(&seven, &test_read(store)->records[2], sizeof(seven));
	assert_int_equal(2, test_read(store)->released_count);
	test_add(store, 8);
	store_close(store);
	store = test_open_store(fixture->dir);
	assert_memory_equal(&limited, &test_read(store)->records[3], sizeof(limited));
	store_close(store);
}

// What version 4 had: bandwidths and mapped ports; and no cookies of sandboxes.
static const char to_schema_4[] =
	"ALTER TABLE attachment ADD COLUMN ingress_rate_bps INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE attachment ADD COLUMN ingress_burst_bits INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE attachment ADD COLUMN egress_rate_bps INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE attachment ADD COLUMN egress_burst_bits INTEGER NOT NULL DEFAULT 0;"
	"CREATE TABLE port_mapping ("
	" network TEXT NOT NULL, container_id TEXT NOT NULL, ifname TEXT NOT NULL,"
	" position INTEGER NOT NULL,"
	" protocol INTEGER NOT NULL CHECK (protocol IN (6, 17)),"
	" host_family INTEGER NOT NULL CHECK (host_family IN (0, 4, 6)),"
	" host_ip BLOB NOT NULL CHECK (length(host_ip) = 16),"
	" host_port INTEGER NOT NULL CHECK (host_port BETWEEN 1 AND 65535),"
	" container_port INTEGER NOT NULL CHECK (container_port BETWEEN 1 AND 65535),"
	" PRIMARY KEY (network, container_id, ifname, position),"
	" UNIQUE (protocol, host_port, host_family, host_ip)"
	") STRICT, WITHOUT ROWID;"
	"UPDATE attachment SET ingress_rate_bps = 5000 WHERE container_id = 'container1';"
	"INSERT INTO port_mapping VALUES ('podport', 'container1', 'eth0', 0, 6, 0, zeroblob(16), "
	"8080, 80);"
	"PRAGMA user_version=4;";

static void an_upgrade_of_version_4_keeps_limits_and_ports_and_takes_cookies(void **state)
{
	struct fixture *fixture = *state;
	struct store_record one = test_record(1), cookie = test_record(8);
	char more[sizeof(known_host) + sizeof(to_schema_2) + sizeof(to_schema_3) +
		  sizeof(to_schema_4)];
	struct store *store;

	assert_int_equal(0, one.attachment.sandbox.cookie); // was not known
	assert_int_not_equal(0, cookie.attachment.sandbox.cookie);
	one.attachment.bandwidth.ingress_rate_bps = 5000;
	one.attachment.port_mappings.count = 1;
	one.attachment.port_mappings.items[0] = (struct port_mapping){
		.protocol = IPPROTO_TCP, .host_port = 8080, .container_port = 80};
	snprintf(more, sizeof(more), "%s%s%s%s", known_host, to_schema_2, to_schema_3, to_schema_4);
	write_store_1(fixture->dir, more);
	store = test_open_store(fixture->dir);
	assert_int_equal(3, test_read(store)->record_count);
	assert_memory_equal(&one, &test_read(store)->records[0], sizeof(one));
	test_add(store, 8);
	store_close(store);
	store = test_open_store(fixture->dir);
	assert_memory_equal(&cookie, &test_read(store)->records[3], sizeof(cookie));
	store_close(store);
}

static void a_store_that_knew_no_host_knows_none_after_the_upgrade(void **state)
{
	struct fixture *fixture = *state;
	struct store_header header;
	struct store *store;

	write_store_1(fixture->dir, "");
	store = test_open_store(fixture->dir);
	test_must(store_read_header(store, &header, NULL));
	assert_int_equal(0, header.host_count);
	assert_false(header.has_network);
	store_close(store);
}

// The Nth write of an upgrade fails: the old store is what is left, or the new one.
static void an_upgrade_that_fails_is_done_at_the_next_start(void **state)
{
	static const enum fault_kind kinds[] = {FAULT_WRITE_FULL, FAULT_IO};
	struct fixture *fixture = *state;

	for (size_t kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++) {
		unsigned int failed = 0;

		for (unsigned int nth = 1; nth < 100; nth++) {
			struct store *store = NULL;
			struct error err = {0};
			int r;

			write_store_1(fixture->dir, known_host);
			fault_vfs_set(kinds[kind], nth, true);
			r = store_open(fixture->dir, &store, &err);
			if (r == 0)
				store_close(store);
			else
				assert_int_equal(CODE_STORE, err.code);
			fault_vfs_clear();
			failed += r < 0;
			store = test_open_store(fixture->dir);
			assert_all_is_there(store);
			store_close(store);
			if (r == 0)
				break;
		}
		assert_true(failed > 0);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)
	const struct CMUnitTest tests[] = {
		TEST(an_upgrade_keeps_what_the_earlier_version_recorded),
		TEST(an_upgrade_of_a_later_version_keeps_as_much),
		TEST(an_upgrade_of_version_3_keeps_functions_and_sockets_and_takes_limits),
		TEST(an_upgrade_of_version_4_keeps_limits_and_ports_and_takes_cookies),
		TEST(a_store_that_knew_no_host_knows_none_after_the_upgrade),
		TEST(an_upgrade_that_fails_is_done_at_the_next_start),
	};

	fault_vfs_install();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
