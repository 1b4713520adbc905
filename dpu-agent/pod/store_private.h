// SPDX-License-Identifier: BSD-3-Clause
//
// What store.c (the file, transactions, errors) and store_rows.c (statements) share.

#pragma once

#include <sqlite3.h>
#include <stdbool.h>

#include "pod/store.h"

enum store_statement {
	STATEMENT_BEGIN,
	STATEMENT_COMMIT,
	STATEMENT_ROLLBACK,
	STATEMENT_ADD,
	STATEMENT_UPDATE,
	STATEMENT_DELETE,
	STATEMENT_ADD_MAPPING,
	STATEMENT_DELETE_MAPPINGS,
	STATEMENT_EACH_MAPPING,
	STATEMENT_PUT_RELEASED,
	STATEMENT_DELETE_RELEASED,
	STATEMENT_CLEAR_RELEASED,
	STATEMENT_PUT_META,
	STATEMENT_PUT_HOST,
	STATEMENT_DELETE_HOST,
	STATEMENT_EACH_HOST,
	STATEMENT_GET_META,
	STATEMENT_EACH_RECORD,
	STATEMENT_EACH_RELEASED,
	STATEMENT_COUNT,
};

struct store {
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENT_COUNT];
	int lock_fd;
	char *path; // of agent.db
};

enum { SCHEMA_VERSION = 5 }; // PRAGMA user_version

extern const char *const store_schema;
// What makes a store of schema version i + 1 of one of version i.
extern const char *const store_migrations[SCHEMA_VERSION];
extern const char *const store_statement_texts[STATEMENT_COUNT];

// *err and a negative errno from SQLite's last error. what: "cannot record the attachment".
int store_fail(struct store *store, struct error *err, const char *what);
// The store holds what we never wrote there.
int store_fail_damaged(const char *path, struct error *err, const char *why);

// Step a statement that gives no rows, and reset it.
int store_run(struct store *store, enum store_statement statement, const char *what,
	      struct error *err);
int store_put_meta(struct store *store, const char *name, const char *value, struct error *err);
