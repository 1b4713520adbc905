// SPDX-License-Identifier: BSD-3-Clause
//
// What must survive the agent: attachments, the order in which addresses and functions were
// released, the pod network, who the host is. One SQLite file, state_dir/agent.db, in WAL mode
// with synchronous=FULL: what store_commit has returned 0 for is on the disk. A file that is
// damaged, foreign or of a newer podport is never replaced: store_open says what to do and fails.
//
// All changes are made between store_begin and store_commit. Any error inside means: the caller
// rolls back and nothing has changed, neither now nor after a crash. Control thread only; calls
// block on the disk. Errors carry CODE_STORE.

#pragma once

#include <stddef.h>
#include <stdint.h>

#include "pod/network.h"
#include "proto/message.h"

enum store_state {
	STORE_ATTACHED = 1,  // to be served
	STORE_DETACHING = 2, // its release was decided; what is left of it goes
};

struct store_record {
	struct attachment attachment;
	enum store_state state;
	char host_id[LIMIT_ID + 1]; // of the host that attached it, "" if none had said Hello
	char boot_id[LIMIT_ID + 1];
};

enum store_pool { STORE_POOL_IPV4 = 4, STORE_POOL_IPV6 = 6, STORE_POOL_FUNCTION = 1 };

// Something that was released: an address, or a function (then its VF).
struct store_released {
	enum store_pool pool;
	struct in_addr ipv4;
	struct in6_addr ipv6;
	uint32_t vf;
};

struct store;

// Open, or make a new one where there is none; `state_dir` is made too (0700), its parent is not.
// Takes a lock: two agents never share a store (-EBUSY, after waiting for LOCK_WAIT_MS). Errors:
// -EUCLEAN: damaged, foreign or newer; else the errno of what failed.
int store_open(const char *state_dir, struct store **ret_store, struct error *err);

// NULL is fine. What was not committed is gone.
void store_close(struct store *store);

int store_begin(struct store *store, struct error *err);
// On failure the transaction is still to be rolled back.
int store_commit(struct store *store, struct error *err);
// Fine where no transaction is open.
void store_rollback(struct store *store);

// New record. Errors: also -EEXIST if its key, function, MAC, an address or a mapped port of the host is in
// the store.
int store_add(struct store *store, const struct store_record *record, struct error *err);
// The record's state, sandbox, pod, host and boot ID, by its key. -ENOENT.
int store_update(struct store *store, const struct store_record *record, struct error *err);
int store_delete(struct store *store, const struct attachment_key *key, struct error *err);

// Remember that this was released later than all else of its pool; forget it, as it is given out.
int store_put_released(struct store *store, const struct store_released *released,
		       struct error *err);
int store_delete_released(struct store *store, const struct store_released *released,
			  struct error *err);
// Forget all of a pool, of which a new one begins.
int store_clear_released(struct store *store, enum store_pool pool, struct error *err);

// A host that said Hello, and its boot: it is the last of them then.
int store_put_host(struct store *store, const char *host_id, const char *boot_id,
		   struct error *err);
int store_delete_host(struct store *store, const char *host_id, struct error *err);
int store_put_network(struct store *store, const struct network *network, struct error *err);
// The pod network of the store is one that was set by a call, while the configuration had `over`
// ("" if it had none: NULL). NULL, false: it is the configuration's.
int store_put_network_origin(struct store *store, bool set, const struct network *over,
			     struct error *err);

// What is in the store, for restore. Errors: -EUCLEAN if a value is not one we would have written.
enum {
	// An agent serves the hosts of one card: one, or the few of a multi-host card.
	STORE_HOSTS_MAX = 16,
};
struct store_host {
	char host_id[LIMIT_ID + 1];
	char boot_id[LIMIT_ID + 1];
};
struct store_header {
	struct store_host hosts[STORE_HOSTS_MAX]; // in the order in which they became known
	size_t host_count;
	bool has_network;
	struct network network;
	bool network_was_set; // by a call; over what:
	char network_set_over[2 * NETWORK_TEXT_SIZE];
};
int store_read_header(struct store *store, struct store_header *ret_header, struct error *err);

// Each record, by key; each released, least recently first. A visitor's negative errno ends it and
// is returned.
typedef int (*store_visit_record)(const struct store_record *record, void *arg, struct error *err);
typedef int (*store_visit_released)(const struct store_released *released, void *arg,
				    struct error *err);
int store_each_record(struct store *store, store_visit_record visit, void *arg, struct error *err);
int store_each_released(struct store *store, store_visit_released visit, void *arg,
			struct error *err);
