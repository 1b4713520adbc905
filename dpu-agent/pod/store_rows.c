// SPDX-License-Identifier: BSD-3-Clause
//
// The store's tables and the statements on them. The schema repeats what the agent guarantees (an
// address, a function, a MAC belongs to one attachment), so that a bug is refused before it is
// recorded.

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pod/store_private.h"
#include "proto/codec.h"

// A pod has a function or a socket. (Schema 3; 4 has BANDWIDTH_COLUMNS besides, 5 COOKIE_COLUMN.)
#define ATTACHMENT_TABLE(name)                                                                     \
	"CREATE TABLE " name " ("                                                                  \
	" network TEXT NOT NULL, container_id TEXT NOT NULL, ifname TEXT NOT NULL,"                \
	" state INTEGER NOT NULL CHECK (state IN (1, 2)),"                                         \
	" pf INTEGER, vf INTEGER,"                                                                 \
	" mac BLOB NOT NULL UNIQUE CHECK (length(mac) = 6),"                                       \
	" ipv4 BLOB UNIQUE CHECK (length(ipv4) = 4),"                                              \
	" ipv6 BLOB UNIQUE CHECK (length(ipv6) = 16),"                                             \
	" gateway_ipv4 BLOB CHECK (length(gateway_ipv4) = 4),"                                     \
	" gateway_ipv6 BLOB CHECK (length(gateway_ipv6) = 16),"                                    \
	" gateway_mac BLOB NOT NULL CHECK (length(gateway_mac) = 6),"                              \
	" mtu INTEGER NOT NULL, link_group INTEGER NOT NULL, created_unix_ms INTEGER NOT NULL,"    \
	" sandbox_path TEXT NOT NULL, sandbox_inode INTEGER NOT NULL,"                             \
	" pod_namespace TEXT NOT NULL, pod_name TEXT NOT NULL,"                                    \
	" host_id TEXT NOT NULL, boot_id TEXT NOT NULL,"                                           \
	" pod_uid TEXT NOT NULL DEFAULT '',"                                                       \
	" port INTEGER NOT NULL CHECK (port IN (0, 1, 2))," /* enum port_choice */                 \
	" socket_path TEXT UNIQUE,"                                                                \
	" PRIMARY KEY (network, container_id, ifname),"                                            \
	" UNIQUE (pf, vf),"                                                                        \
	" CHECK ((port = 0) = (pf IS NOT NULL AND vf IS NOT NULL)),"                               \
	" CHECK ((port = 1) = (socket_path IS NOT NULL)),"                                         \
	" CHECK (ipv4 IS NOT NULL OR ipv6 IS NOT NULL),"                                           \
	" CHECK ((ipv4 IS NULL) = (gateway_ipv4 IS NULL)),"                                        \
	" CHECK ((ipv6 IS NULL) = (gateway_ipv6 IS NULL))"                                         \
	") STRICT, WITHOUT ROWID;"

// What was asked for: bits per second and bits, 0: none.
#define BANDWIDTH_COLUMNS                                                                          \
	"ALTER TABLE attachment ADD COLUMN ingress_rate_bps INTEGER NOT NULL DEFAULT 0;"           \
	"ALTER TABLE attachment ADD COLUMN ingress_burst_bits INTEGER NOT NULL DEFAULT 0;"         \
	"ALTER TABLE attachment ADD COLUMN egress_rate_bps INTEGER NOT NULL DEFAULT 0;"            \
	"ALTER TABLE attachment ADD COLUMN egress_burst_bits INTEGER NOT NULL DEFAULT 0;"

// The sandbox's, 0: not known.
#define COOKIE_COLUMN "ALTER TABLE attachment ADD COLUMN sandbox_cookie INTEGER NOT NULL DEFAULT 0;"

// A port of the host is one pod's. host_family 0 is both; host_ip is zero where it is each of the host's.
#define PORT_MAPPING_TABLE                                                                         \
	"CREATE TABLE port_mapping ("                                                              \
	" network TEXT NOT NULL, container_id TEXT NOT NULL, ifname TEXT NOT NULL,"                \
	" position INTEGER NOT NULL,"                                                              \
	" protocol INTEGER NOT NULL CHECK (protocol IN (6, 17)),"                                  \
	" host_family INTEGER NOT NULL CHECK (host_family IN (0, 4, 6)),"                          \
	" host_ip BLOB NOT NULL CHECK (length(host_ip) = 16),"                                     \
	" host_port INTEGER NOT NULL CHECK (host_port BETWEEN 1 AND 65535),"                       \
	" container_port INTEGER NOT NULL CHECK (container_port BETWEEN 1 AND 65535),"             \
	" PRIMARY KEY (network, container_id, ifname, position),"                                  \
	" UNIQUE (protocol, host_port, host_family, host_ip)"                                      \
	") STRICT, WITHOUT ROWID;"

// seq grows with each release: SQLite gives an INTEGER PRIMARY KEY the largest that is there plus one.
const char *const store_schema =
	"CREATE TABLE meta ("
	" name TEXT PRIMARY KEY,"
	" value TEXT NOT NULL"
	") STRICT, WITHOUT ROWID;" ATTACHMENT_TABLE(
		"attachment") "CREATE TABLE released ("
			      " seq INTEGER PRIMARY KEY,"
			      " pool INTEGER NOT NULL CHECK (pool IN (1, 4, 6))," // enum store_pool
			      " value BLOB NOT NULL," // the address, or the VF in 4 bytes, big endian
			      " UNIQUE (pool, value)"
			      ") STRICT;"
			      "CREATE TABLE host ("
			      " seq INTEGER PRIMARY KEY,"
			      " host_id TEXT NOT NULL UNIQUE, boot_id TEXT NOT NULL"
			      ") STRICT;" BANDWIDTH_COLUMNS PORT_MAPPING_TABLE COOKIE_COLUMN;

#define COLUMNS_2                                                                                  \
	"network, container_id, ifname, state, pf, vf, mac, ipv4, ipv6, gateway_ipv4, "            \
	"gateway_ipv6, gateway_mac, mtu, link_group, created_unix_ms, sandbox_path, "              \
	"sandbox_inode, pod_namespace, pod_name, host_id, boot_id, pod_uid"
#define COLUMNS                                                                                    \
	COLUMNS_2 ", port, socket_path, ingress_rate_bps, ingress_burst_bits, egress_rate_bps, "   \
		  "egress_burst_bits, sandbox_cookie"

const char *const store_migrations[SCHEMA_VERSION] = {
	// One host was known, which was in meta.
	[1] = "ALTER TABLE attachment ADD COLUMN pod_uid TEXT NOT NULL DEFAULT '';"
	      "CREATE TABLE host ("
	      " seq INTEGER PRIMARY KEY,"
	      " host_id TEXT NOT NULL UNIQUE, boot_id TEXT NOT NULL"
	      ") STRICT;"
	      "INSERT INTO host (host_id, boot_id)"
	      " SELECT h.value, b.value FROM meta h, meta b"
	      " WHERE h.name = 'host_id' AND b.name = 'boot_id' AND h.value <> '';"
	      "DELETE FROM meta WHERE name IN ('host_id', 'boot_id')",
	// All had a function. SQLite cannot take a NOT NULL away, so the table is made anew.
	[2] = ATTACHMENT_TABLE("attachment_3") "INSERT INTO attachment_3 (" COLUMNS_2
					       ", port) SELECT " COLUMNS_2 ", 0 FROM attachment;"
					       "DROP TABLE attachment;"
					       "ALTER TABLE attachment_3 RENAME TO attachment",
	// None was limited, none had ports of the host.
	[3] = BANDWIDTH_COLUMNS PORT_MAPPING_TABLE,
	// Sandboxes were known by their inodes only.
	[4] = COOKIE_COLUMN,
};

const char *const store_statement_texts[STATEMENT_COUNT] = {
	[STATEMENT_BEGIN] = "BEGIN IMMEDIATE",
	[STATEMENT_COMMIT] = "COMMIT",
	[STATEMENT_ROLLBACK] = "ROLLBACK",
	[STATEMENT_ADD] =
		"INSERT INTO attachment (" COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, "
		"?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, "
		"?26, ?27, ?28, ?29)",
	[STATEMENT_UPDATE] =
		"UPDATE attachment SET state = ?4, sandbox_path = ?5, sandbox_inode = ?6, "
		"pod_namespace = ?7, pod_name = ?8, host_id = ?9, boot_id = ?10, "
		"pod_uid = ?11, sandbox_cookie = ?12 "
		"WHERE network = ?1 AND container_id = ?2 AND ifname = ?3",
	[STATEMENT_DELETE] =
		"DELETE FROM attachment WHERE network = ?1 AND container_id = ?2 AND ifname = ?3",
	[STATEMENT_ADD_MAPPING] =
		"INSERT INTO port_mapping (network, container_id, ifname, position, protocol, "
		"host_family, host_ip, host_port, container_port) "
		"VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
	[STATEMENT_DELETE_MAPPINGS] =
		"DELETE FROM port_mapping WHERE network = ?1 AND container_id = ?2 AND ifname = ?3",
	[STATEMENT_EACH_MAPPING] =
		"SELECT protocol, host_family, host_ip, host_port, container_port "
		"FROM port_mapping WHERE network = ?1 AND container_id = ?2 AND ifname = ?3 "
		"ORDER BY position",
	[STATEMENT_PUT_RELEASED] = "REPLACE INTO released (pool, value) VALUES (?1, ?2)",
	[STATEMENT_DELETE_RELEASED] = "DELETE FROM released WHERE pool = ?1 AND value = ?2",
	[STATEMENT_CLEAR_RELEASED] = "DELETE FROM released WHERE pool = ?1",
	[STATEMENT_PUT_META] = "REPLACE INTO meta (name, value) VALUES (?1, ?2)",
	[STATEMENT_PUT_HOST] = "REPLACE INTO host (host_id, boot_id) VALUES (?1, ?2)",
	[STATEMENT_DELETE_HOST] = "DELETE FROM host WHERE host_id = ?1",
	[STATEMENT_EACH_HOST] = "SELECT host_id, boot_id FROM host ORDER BY seq",
	[STATEMENT_GET_META] = "SELECT value FROM meta WHERE name = ?1",
	[STATEMENT_EACH_RECORD] =
		"SELECT " COLUMNS " FROM attachment ORDER BY network, container_id, ifname",
	[STATEMENT_EACH_RELEASED] = "SELECT pool, value FROM released ORDER BY seq",
};

// ---- writing ---------------------------------------------------------------------------------------

// Binding fails only for want of memory, which the step that follows then reports as a constraint
// (NOT NULL) or an error; SQLITE_STATIC: values outlive the step.
static void bind_text(sqlite3_stmt *stmt, int index, const char *text)
{
	sqlite3_bind_text(stmt, index, text, -1, SQLITE_STATIC);
}

static void bind_blob(sqlite3_stmt *stmt, int index, bool present, const void *data, size_t size)
{
	if (present)
		sqlite3_bind_blob(stmt, index, data, (int)size, SQLITE_STATIC);
	else
		sqlite3_bind_null(stmt, index);
}

static void bind_key(sqlite3_stmt *stmt, const struct attachment_key *key)
{
	bind_text(stmt, 1, key->network);
	bind_text(stmt, 2, key->container_id);
	bind_text(stmt, 3, key->ifname);
}

static int add_mappings(struct store *store, const struct attachment *a, struct error *err)
{
	sqlite3_stmt *stmt = store->statements[STATEMENT_ADD_MAPPING];

	for (uint32_t i = 0; i < a->port_mappings.count; i++) {
		const struct port_mapping *mapping = &a->port_mappings.items[i];
		int r;

		bind_key(stmt, &a->key);
		sqlite3_bind_int(stmt, 4, (int)i);
		sqlite3_bind_int(stmt, 5, mapping->protocol);
		sqlite3_bind_int(stmt, 6, mapping->host_family);
		bind_blob(stmt, 7, true, mapping->host_ip, sizeof(mapping->host_ip));
		sqlite3_bind_int(stmt, 8, mapping->host_port);
		sqlite3_bind_int(stmt, 9, mapping->container_port);
		r = store_run(store, STATEMENT_ADD_MAPPING,
			      "cannot record a port mapping of the attachment", err);
		if (r < 0)
			return r;
	}
	return 0;
}

int store_add(struct store *store, const struct store_record *record, struct error *err)
{
	sqlite3_stmt *stmt = store->statements[STATEMENT_ADD];
	const struct attachment *a = &record->attachment;
	int r;

	bind_key(stmt, &a->key);
	sqlite3_bind_int(stmt, 4, (int)record->state);
	if (a->port == PORT_CHOICE_FUNCTION) {
		sqlite3_bind_int(stmt, 5, a->function.pf);
		sqlite3_bind_int(stmt, 6, a->function.vf);
	}
	bind_blob(stmt, 7, true, &a->mac, sizeof(a->mac));
	bind_blob(stmt, 8, a->has_ipv4, &a->ipv4, sizeof(a->ipv4));
	bind_blob(stmt, 9, a->has_ipv6, &a->ipv6, sizeof(a->ipv6));
	bind_blob(stmt, 10, a->has_ipv4, &a->gateway_ipv4, sizeof(a->gateway_ipv4));
	bind_blob(stmt, 11, a->has_ipv6, &a->gateway_ipv6, sizeof(a->gateway_ipv6));
	bind_blob(stmt, 12, true, &a->gateway_mac, sizeof(a->gateway_mac));
	sqlite3_bind_int64(stmt, 13, a->mtu);
	sqlite3_bind_int64(stmt, 14, a->link_group);
	sqlite3_bind_int64(stmt, 15, (sqlite3_int64)a->created_unix_ms);
	bind_text(stmt, 16, a->sandbox.path);
	sqlite3_bind_int64(stmt, 17, (sqlite3_int64)a->sandbox.inode);
	bind_text(stmt, 18, a->pod.namespace_);
	bind_text(stmt, 19, a->pod.name);
	bind_text(stmt, 20, record->host_id);
	bind_text(stmt, 21, record->boot_id);
	bind_text(stmt, 22, a->pod.uid);
	sqlite3_bind_int(stmt, 23, (int)a->port);
	if (a->port == PORT_CHOICE_VHOST_USER)
		bind_text(stmt, 24, a->socket_path);
	sqlite3_bind_int64(stmt, 25, (sqlite3_int64)a->bandwidth.ingress_rate_bps);
	sqlite3_bind_int64(stmt, 26, (sqlite3_int64)a->bandwidth.ingress_burst_bits);
	sqlite3_bind_int64(stmt, 27, (sqlite3_int64)a->bandwidth.egress_rate_bps);
	sqlite3_bind_int64(stmt, 28, (sqlite3_int64)a->bandwidth.egress_burst_bits);
	sqlite3_bind_int64(stmt, 29, (sqlite3_int64)a->sandbox.cookie);
	r = store_run(store, STATEMENT_ADD, "cannot record the attachment", err);
	return r < 0 ? r : add_mappings(store, a, err);
}

int store_update(struct store *store, const struct store_record *record, struct error *err)
{
	sqlite3_stmt *stmt = store->statements[STATEMENT_UPDATE];
	const struct attachment *a = &record->attachment;
	int r;

	bind_key(stmt, &a->key);
	sqlite3_bind_int(stmt, 4, (int)record->state);
	bind_text(stmt, 5, a->sandbox.path);
	sqlite3_bind_int64(stmt, 6, (sqlite3_int64)a->sandbox.inode);
	bind_text(stmt, 7, a->pod.namespace_);
	bind_text(stmt, 8, a->pod.name);
	bind_text(stmt, 9, record->host_id);
	bind_text(stmt, 10, record->boot_id);
	bind_text(stmt, 11, a->pod.uid);
	sqlite3_bind_int64(stmt, 12, (sqlite3_int64)a->sandbox.cookie);
	r = store_run(store, STATEMENT_UPDATE, "cannot record the change of the attachment", err);
	if (r == 0 && sqlite3_changes(store->db) != 1)
		r = error_set(err, ENOENT, CODE_STORE, "the attachment %s/%s/%s is not in %s",
			      a->key.network, a->key.container_id, a->key.ifname, store->path);
	return r;
}

int store_delete(struct store *store, const struct attachment_key *key, struct error *err)
{
	int r;

	bind_key(store->statements[STATEMENT_DELETE_MAPPINGS], key);
	r = store_run(store, STATEMENT_DELETE_MAPPINGS, "cannot record the release", err);
	if (r < 0)
		return r;
	bind_key(store->statements[STATEMENT_DELETE], key);
	return store_run(store, STATEMENT_DELETE, "cannot record the release", err);
}

static size_t released_value(const struct store_released *released, uint8_t ret_value[16])
{
	uint32_t vf_be = htonl(released->vf);

	switch (released->pool) {
	case STORE_POOL_IPV4:
		memcpy(ret_value, &released->ipv4, sizeof(released->ipv4));
		return sizeof(released->ipv4);
	case STORE_POOL_IPV6:
		memcpy(ret_value, &released->ipv6, sizeof(released->ipv6));
		return sizeof(released->ipv6);
	case STORE_POOL_FUNCTION:
		break;
	}
	memcpy(ret_value, &vf_be, sizeof(vf_be));
	return sizeof(vf_be);
}

static int run_released(struct store *store, enum store_statement statement,
			const struct store_released *released, struct error *err)
{
	sqlite3_stmt *stmt = store->statements[statement];
	uint8_t value[16];
	size_t size = released_value(released, value);

	sqlite3_bind_int(stmt, 1, (int)released->pool);
	sqlite3_bind_blob(stmt, 2, value, (int)size, SQLITE_STATIC);
	return store_run(store, statement, "cannot record the release", err);
}

int store_put_released(struct store *store, const struct store_released *released,
		       struct error *err)
{
	return run_released(store, STATEMENT_PUT_RELEASED, released, err);
}

int store_delete_released(struct store *store, const struct store_released *released,
			  struct error *err)
{
	return run_released(store, STATEMENT_DELETE_RELEASED, released, err);
}

int store_clear_released(struct store *store, enum store_pool pool, struct error *err)
{
	sqlite3_bind_int(store->statements[STATEMENT_CLEAR_RELEASED], 1, (int)pool);
	return store_run(store, STATEMENT_CLEAR_RELEASED, "cannot begin a new pool", err);
}

int store_put_meta(struct store *store, const char *name, const char *value, struct error *err)
{
	sqlite3_stmt *stmt = store->statements[STATEMENT_PUT_META];

	bind_text(stmt, 1, name);
	bind_text(stmt, 2, value);
	return store_run(store, STATEMENT_PUT_META, "cannot record", err);
}

int store_put_host(struct store *store, const char *host_id, const char *boot_id, struct error *err)
{
	sqlite3_stmt *stmt = store->statements[STATEMENT_PUT_HOST];

	bind_text(stmt, 1, host_id);
	bind_text(stmt, 2, boot_id);
	return store_run(store, STATEMENT_PUT_HOST, "cannot record the host", err);
}

int store_delete_host(struct store *store, const char *host_id, struct error *err)
{
	bind_text(store->statements[STATEMENT_DELETE_HOST], 1, host_id);
	return store_run(store, STATEMENT_DELETE_HOST, "cannot forget the host", err);
}

int store_put_network_origin(struct store *store, bool set, const struct network *over,
			     struct error *err)
{
	char text[2 * NETWORK_TEXT_SIZE] = "";
	int r = store_put_meta(store, "network_was_set", set ? "1" : "", err);

	if (over != NULL)
		network_text(over, text);
	return r < 0 ? r : store_put_meta(store, "network_set_over", text, err);
}

int store_put_network(struct store *store, const struct network *network, struct error *err)
{
	char ipv4[NETWORK_TEXT_SIZE], ipv6[NETWORK_TEXT_SIZE], mac[MAC_TEXT_SIZE];
	char mtu[16], link_group[16];
	const char *const rows[][2] = {
		{"network_ipv4", ipv4}, {"network_ipv6", ipv6},
		{"network_mtu", mtu},   {"network_link_group", link_group},
		{"network_mac", mac},
	};
	int r = 0;

	network_ipv4_text(network, ipv4);
	network_ipv6_text(network, ipv6);
	mac_text(&network->common.router_mac, mac);
	snprintf(mtu, sizeof(mtu), "%u", network->common.mtu);
	snprintf(link_group, sizeof(link_group), "%u", network->link_group);
	for (size_t i = 0; r == 0 && i < sizeof(rows) / sizeof(rows[0]); i++)
		r = store_put_meta(store, rows[i][0], rows[i][1], err);
	return r;
}

// ---- reading ---------------------------------------------------------------------------------------

// The value, "" where there is none.
static int get_meta(struct store *store, const char *name, char *ret_value, size_t size,
		    struct error *err)
{
	sqlite3_stmt *stmt = store->statements[STATEMENT_GET_META];
	int r = 0, step;

	ret_value[0] = '\0';
	bind_text(stmt, 1, name);
	step = sqlite3_step(stmt);
	if (step == SQLITE_ROW) {
		if ((size_t)sqlite3_column_bytes(stmt, 0) >= size)
			r = store_fail_damaged(store->path, err, name);
		else
			snprintf(ret_value, size, "%s", (const char *)sqlite3_column_text(stmt, 0));
	} else if (step != SQLITE_DONE) {
		r = store_fail(store, err, "cannot read");
	}
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	return r;
}

static int read_network(struct store *store, struct store_header *header, struct error *err)
{
	char ipv4[NETWORK_TEXT_SIZE], ipv6[NETWORK_TEXT_SIZE], mac[MAC_TEXT_SIZE], mtu[16],
		link_group[16];
	struct network *network = &header->network;
	int r;

	r = get_meta(store, "network_ipv4", ipv4, sizeof(ipv4), err);
	if (r == 0)
		r = get_meta(store, "network_ipv6", ipv6, sizeof(ipv6), err);
	if (r == 0)
		r = get_meta(store, "network_mac", mac, sizeof(mac), err);
	if (r == 0)
		r = get_meta(store, "network_mtu", mtu, sizeof(mtu), err);
	if (r == 0)
		r = get_meta(store, "network_link_group", link_group, sizeof(link_group), err);
	if (r < 0)
		return r;
	if (ipv4[0] == '\0' && ipv6[0] == '\0')
		return 0;
	if ((ipv4[0] != '\0' && network_parse_ipv4(ipv4, network, NULL) < 0) ||
	    (ipv6[0] != '\0' && network_parse_ipv6(ipv6, network, NULL) < 0) ||
	    mac_parse(mac, &network->common.router_mac, NULL) < 0)
		return store_fail_damaged(store->path, err, "the pod network in it is none");
	network->common.mtu = (uint32_t)strtoul(mtu, NULL, 10);
	network->link_group = (uint32_t)strtoul(link_group, NULL, 10);
	header->has_network = true;
	return 0;
}

// Each take_ returns false if the column does not hold what we write there.
static bool take_text(sqlite3_stmt *stmt, int column, char *ret_text, size_t size)
{
	const char *text = (const char *)sqlite3_column_text(stmt, column);
	size_t length = (size_t)sqlite3_column_bytes(stmt, column);

	if (text == NULL || length >= size || strlen(text) != length)
		return false;
	memcpy(ret_text, text, length + 1);
	return true;
}

static int read_hosts(struct store *store, struct store_header *header, struct error *err)
{
	sqlite3_stmt *stmt = store->statements[STATEMENT_EACH_HOST];
	int r = 0, step = SQLITE_DONE;

	while (r == 0 && (step = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct store_host *host = &header->hosts[header->host_count];

		if (header->host_count < STORE_HOSTS_MAX &&
		    take_text(stmt, 0, host->host_id, sizeof(host->host_id)) &&
		    take_text(stmt, 1, host->boot_id, sizeof(host->boot_id)))
			header->host_count++;
		else
			r = store_fail_damaged(store->path, err, "a row of table host");
	}
	if (r == 0 && step != SQLITE_DONE)
		r = store_fail(store, err, "cannot read");
	sqlite3_reset(stmt);
	return r;
}

int store_read_header(struct store *store, struct store_header *ret_header, struct error *err)
{
	struct store_header header = {0};
	char was_set[2] = "";
	int r;

	r = read_hosts(store, &header, err);
	if (r == 0)
		r = get_meta(store, "network_was_set", was_set, sizeof(was_set), err);
	if (r == 0)
		r = get_meta(store, "network_set_over", header.network_set_over,
			     sizeof(header.network_set_over), err);
	header.network_was_set = was_set[0] != '\0';
	if (r == 0)
		r = read_network(store, &header, err);
	if (r == 0)
		*ret_header = header;
	return r;
}

static bool take_blob(sqlite3_stmt *stmt, int column, void *ret_data, size_t size)
{
	const void *data = sqlite3_column_blob(stmt, column);

	if (data == NULL || (size_t)sqlite3_column_bytes(stmt, column) != size)
		return false;
	memcpy(ret_data, data, size);
	return true;
}

static bool take_optional_blob(sqlite3_stmt *stmt, int column, bool *ret_present, void *ret_data,
			       size_t size)
{
	*ret_present = sqlite3_column_type(stmt, column) != SQLITE_NULL;
	return !*ret_present || take_blob(stmt, column, ret_data, size);
}

static bool take_uint(sqlite3_stmt *stmt, int column, uint32_t max, uint32_t *ret_value)
{
	sqlite3_int64 value = sqlite3_column_int64(stmt, column);

	if (value < 0 || value > max)
		return false;
	*ret_value = (uint32_t)value;
	return true;
}

static bool take_bandwidth(sqlite3_stmt *stmt, int column, struct bandwidth *ret_bandwidth)
{
	const struct bandwidth bandwidth = {
		.ingress_rate_bps = (uint64_t)sqlite3_column_int64(stmt, column),
		.ingress_burst_bits = (uint64_t)sqlite3_column_int64(stmt, column + 1),
		.egress_rate_bps = (uint64_t)sqlite3_column_int64(stmt, column + 2),
		.egress_burst_bits = (uint64_t)sqlite3_column_int64(stmt, column + 3),
	};

	if (check_bandwidth("", &bandwidth, NULL) < 0)
		return false;
	*ret_bandwidth = bandwidth;
	return true;
}

static bool take_mapping(sqlite3_stmt *stmt, struct port_mapping *ret_mapping)
{
	uint32_t protocol, host_family, host_port, container_port;

	if (!take_uint(stmt, 0, UINT8_MAX, &protocol) || !take_uint(stmt, 1, 6, &host_family) ||
	    !take_blob(stmt, 2, ret_mapping->host_ip, sizeof(ret_mapping->host_ip)) ||
	    !take_uint(stmt, 3, UINT16_MAX, &host_port) ||
	    !take_uint(stmt, 4, UINT16_MAX, &container_port))
		return false;
	ret_mapping->protocol = (uint8_t)protocol;
	ret_mapping->host_family = (uint8_t)host_family;
	ret_mapping->host_port = (uint16_t)host_port;
	ret_mapping->container_port = (uint16_t)container_port;
	return true;
}

static int read_mappings(struct store *store, struct attachment *a, struct error *err)
{
	sqlite3_stmt *stmt = store->statements[STATEMENT_EACH_MAPPING];
	struct port_mappings *mappings = &a->port_mappings;
	int r = 0, step = SQLITE_DONE;

	bind_key(stmt, &a->key);
	while (r == 0 && (step = sqlite3_step(stmt)) == SQLITE_ROW) {
		if (mappings->count < LIMIT_PORT_MAPPINGS &&
		    take_mapping(stmt, &mappings->items[mappings->count]))
			mappings->count++;
		else
			r = store_fail_damaged(store->path, err, "a row of table port_mapping");
	}
	if (r == 0 && step != SQLITE_DONE)
		r = store_fail(store, err, "cannot read");
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	if (r == 0 && check_port_mappings("", mappings, NULL) < 0)
		r = store_fail_damaged(store->path, err, "the rows of table port_mapping");
	return r;
}

#define TAKE_TEXT(column, field) take_text(stmt, column, field, sizeof(field))

static bool take_record(sqlite3_stmt *stmt, struct store_record *ret_record)
{
	struct attachment *a = &ret_record->attachment;
	uint32_t state, pf, vf, choice;
	bool gateway;

	if (!TAKE_TEXT(0, a->key.network) || !TAKE_TEXT(1, a->key.container_id) ||
	    !TAKE_TEXT(2, a->key.ifname) || !TAKE_TEXT(15, a->sandbox.path) ||
	    !TAKE_TEXT(17, a->pod.namespace_) || !TAKE_TEXT(18, a->pod.name) ||
	    !TAKE_TEXT(19, ret_record->host_id) || !TAKE_TEXT(20, ret_record->boot_id) ||
	    !TAKE_TEXT(21, a->pod.uid) || !take_uint(stmt, 22, PORT_CHOICE_COUNT - 1, &choice) ||
	    (choice == PORT_CHOICE_VHOST_USER && !TAKE_TEXT(23, a->socket_path)))
		return false;
	if (!take_uint(stmt, 3, STORE_DETACHING, &state) || !take_uint(stmt, 4, UINT16_MAX, &pf) ||
	    !take_uint(stmt, 5, UINT16_MAX, &vf) || !take_uint(stmt, 12, MTU_MAX, &a->mtu) ||
	    !take_uint(stmt, 13, UINT32_MAX, &a->link_group))
		return false;
	if (!take_blob(stmt, 6, &a->mac, sizeof(a->mac)) ||
	    !take_optional_blob(stmt, 7, &a->has_ipv4, &a->ipv4, sizeof(a->ipv4)) ||
	    !take_optional_blob(stmt, 8, &a->has_ipv6, &a->ipv6, sizeof(a->ipv6)) ||
	    !take_optional_blob(stmt, 9, &gateway, &a->gateway_ipv4, sizeof(a->gateway_ipv4)) ||
	    !take_optional_blob(stmt, 10, &gateway, &a->gateway_ipv6, sizeof(a->gateway_ipv6)) ||
	    !take_blob(stmt, 11, &a->gateway_mac, sizeof(a->gateway_mac)) ||
	    !take_bandwidth(stmt, 24, &a->bandwidth))
		return false;
	ret_record->state = (enum store_state)state;
	a->port = (enum port_choice)choice;
	a->function = (struct function_id){.pf = (uint16_t)pf, .vf = (uint16_t)vf};
	a->created_unix_ms = (uint64_t)sqlite3_column_int64(stmt, 14);
	a->sandbox.inode = (uint64_t)sqlite3_column_int64(stmt, 16);
	a->sandbox.cookie = (uint64_t)sqlite3_column_int64(stmt, 28);
	return true;
}

int store_each_record(struct store *store, store_visit_record visit, void *arg, struct error *err)
{
	sqlite3_stmt *stmt = store->statements[STATEMENT_EACH_RECORD];
	int r = 0, step = SQLITE_DONE;

	while (r == 0 && (step = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct store_record record = {0};

		if (!take_record(stmt, &record))
			r = store_fail_damaged(store->path, err, "a row of table attachment");
		else if ((r = read_mappings(store, &record.attachment, err)) == 0)
			r = visit(&record, arg, err);
	}
	if (r == 0 && step != SQLITE_DONE)
		r = store_fail(store, err, "cannot read");
	sqlite3_reset(stmt);
	return r;
}

static bool take_released(sqlite3_stmt *stmt, struct store_released *ret_released)
{
	uint32_t vf_be;

	ret_released->pool = (enum store_pool)sqlite3_column_int(stmt, 0);
	switch (ret_released->pool) {
	case STORE_POOL_IPV4:
		return take_blob(stmt, 1, &ret_released->ipv4, sizeof(ret_released->ipv4));
	case STORE_POOL_IPV6:
		return take_blob(stmt, 1, &ret_released->ipv6, sizeof(ret_released->ipv6));
	case STORE_POOL_FUNCTION:
		if (!take_blob(stmt, 1, &vf_be, sizeof(vf_be)))
			return false;
		ret_released->vf = ntohl(vf_be);
		return true;
	}
	return false;
}

int store_each_released(struct store *store, store_visit_released visit, void *arg,
			struct error *err)
{
	sqlite3_stmt *stmt = store->statements[STATEMENT_EACH_RELEASED];
	int r = 0, step = SQLITE_DONE;

	while (r == 0 && (step = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct store_released released = {0};

		if (take_released(stmt, &released))
			r = visit(&released, arg, err);
		else
			r = store_fail_damaged(store->path, err, "a row of table released");
	}
	if (r == 0 && step != SQLITE_DONE)
		r = store_fail(store, err, "cannot read");
	sqlite3_reset(stmt);
	return r;
}
