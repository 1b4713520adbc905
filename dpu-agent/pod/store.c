// SPDX-License-Identifier: BSD-3-Clause
//
// The store's file: locking, making, checking and opening it, transactions, and what SQLite's errors
// mean. The rows are in store_rows.c.
//
// A new store is built as agent.db.new and renamed into place, so that a crash cannot leave an
// agent.db that is only half made: an empty or truncated one is damage and nothing else.

#include "pod/store.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pod/store_private.h"
#include "proto/base/log.h"

enum {
	APPLICATION_ID = 0x706f6470, // "podp"; PRAGMA application_id
	LOCK_WAIT_MS = 3000, // for a predecessor that was killed and is still being torn down
	LOCK_POLL_MS = 20,
};

// ---- errors --------------------------------------------------------------------------------------

static int errno_of(sqlite3 *db)
{
	int saved = sqlite3_system_errno(db);

	switch (sqlite3_errcode(db) & 0xff) {
	case SQLITE_FULL:
		return ENOSPC;
	case SQLITE_NOMEM:
		return ENOMEM;
	case SQLITE_CONSTRAINT:
		return EEXIST;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return EBUSY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return EUCLEAN;
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN:
	case SQLITE_READONLY:
		return saved > 0 ? saved : EIO;
	default:
		return EIO;
	}
}

int store_fail_damaged(const char *path, struct error *err, const char *why)
{
	return error_set(
		err, EUCLEAN, CODE_STORE,
		"%s is damaged or not podport's (%s). podport never replaces it: put a copy "
		"back, or, to begin with no attachments, stop the pods and move %s* away",
		path, why, path);
}

int store_fail(struct store *store, struct error *err, const char *what)
{
	int errno_value = errno_of(store->db);
	const char *message = sqlite3_errmsg(store->db);

	if (errno_value == EUCLEAN)
		return store_fail_damaged(store->path, err, message);
	if (errno_value == ENOSPC)
		return error_set(err, ENOSPC, CODE_STORE,
				 "%s: the file system of %s is full; nothing was changed", what,
				 store->path);
	return error_set(err, errno_value, CODE_STORE, "%s in %s: %s; nothing was changed", what,
			 store->path, message);
}

// ---- transactions --------------------------------------------------------------------------------

int store_run(struct store *store, enum store_statement statement, const char *what,
	      struct error *err)
{
	sqlite3_stmt *stmt = store->statements[statement];
	int r = 0;

	if (sqlite3_step(stmt) != SQLITE_DONE)
		r = store_fail(store, err, what);
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	return r;
}

int store_begin(struct store *store, struct error *err)
{
	return store_run(store, STATEMENT_BEGIN, "cannot begin to record", err);
}

// A commit can fail after its frames are in the WAL (the fsync failed), and a crash would then find
// them and take them for committed. Any later transaction overwrites them, so make one. If this
// fails too there is nothing more to do: the disk neither keeps nor forgets.
static void overwrite_failed_commit(struct store *store)
{
	struct error err = {0};
	char stamp[32];

	snprintf(stamp, sizeof(stamp), "%d", sqlite3_total_changes(store->db));
	if (store_begin(store, &err) == 0 &&
	    store_put_meta(store, "failed_commit", stamp, &err) == 0 &&
	    store_run(store, STATEMENT_COMMIT, "cannot overwrite a failed commit", &err) == 0)
		return;
	store_rollback(store);
	log_error("store: what failed to be recorded may come back after a crash", "error=\"%s\"",
		  err.message);
}

int store_commit(struct store *store, struct error *err)
{
	int r = store_run(store, STATEMENT_COMMIT, "cannot record", err);

	if (r < 0)
		store_rollback(store);
	if (r < 0 && r != -ENOSPC) // without space the last frame, which commits, is not there
		overwrite_failed_commit(store);
	return r;
}

void store_rollback(struct store *store)
{
	// Autocommit is back already where SQLite itself had to roll back (a full disk).
	if (sqlite3_get_autocommit(store->db) == 0)
		store_run(store, STATEMENT_ROLLBACK, "cannot roll back", NULL);
}

// ---- the file --------------------------------------------------------------------------------------

static int fail_errno(struct error *err, const char *what, const char *path)
{
	int errno_value = errno;

	return error_set(err, errno_value, CODE_STORE, "%s %s: %s", what, path,
			 strerror(errno_value));
}

static int take_lock(const char *state_dir, int *ret_fd, struct error *err)
{
	char path[PATH_MAX], holder[16] = "";
	int fd;

	snprintf(path, sizeof(path), "%s/lock", state_dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail_errno(err, "cannot open", path);
	for (int waited_ms = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; waited_ms += LOCK_POLL_MS) {
		if (errno != EWOULDBLOCK && errno != EINTR) {
			fail_errno(err, "cannot lock", path);
			close(fd);
			return -EIO;
		}
		if (waited_ms >= LOCK_WAIT_MS) {
			ssize_t n = pread(fd, holder, sizeof(holder) - 1, 0);

			close(fd);
			holder[n > 0 ? strspn(holder, "0123456789") : 0] = '\0';
			return error_set(err, EBUSY, CODE_STORE,
					 "%s is in use by another agent (process %s): give each "
					 "agent a state_dir of its own",
					 state_dir, holder[0] != '\0' ? holder : "unknown");
		}
		usleep(LOCK_POLL_MS * 1000);
	}
	// Only for the sentence above: who cannot write it down does not fail for it.
	if (ftruncate(fd, 0) < 0 || dprintf(fd, "%ld\n", (long)getpid()) < 0)
		log_debug("store: cannot note the process in the lock file", "path=%s", path);
	*ret_fd = fd;
	return 0;
}

static int execute(struct store *store, const char *sql, const char *what, struct error *err)
{
	if (sqlite3_exec(store->db, sql, NULL, NULL, NULL) != SQLITE_OK)
		return store_fail(store, err, what);
	return 0;
}

// The first value of the first row of `sql`, as text cut to size.
static int query_text(struct store *store, const char *sql, char *ret_text, size_t size,
		      struct error *err)
{
	sqlite3_stmt *stmt = NULL;
	int r = 0;

	if (sqlite3_prepare_v2(store->db, sql, -1, &stmt, NULL) != SQLITE_OK ||
	    sqlite3_step(stmt) != SQLITE_ROW)
		r = store_fail(store, err, "cannot read");
	else
		snprintf(ret_text, size, "%s", (const char *)sqlite3_column_text(stmt, 0));
	sqlite3_finalize(stmt);
	return r;
}

// Exclusive locking keeps the WAL's index in memory, not in a file that others map: nobody else
// reads this store while the agent runs.
static int open_file(struct store *store, const char *path, int flags, struct error *err)
{
	if (sqlite3_open_v2(path, &store->db, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		return store_fail(store, err, "cannot open the store");
	sqlite3_extended_result_codes(store->db, 1);
	sqlite3_busy_timeout(store->db, LOCK_WAIT_MS);
	return execute(store, "PRAGMA locking_mode=EXCLUSIVE", "cannot open the store", err);
}

static int sync_directory_of(const char *path, struct error *err)
{
	char copy[PATH_MAX];
	int fd, r = 0;

	snprintf(copy, sizeof(copy), "%s", path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		r = fail_errno(err, "cannot sync the folder of", path);
	if (fd >= 0)
		close(fd);
	return r;
}

static int make_new(struct store *store, struct error *err)
{
	char path[PATH_MAX], wal[PATH_MAX + 8], sql[64];
	int r;

	snprintf(path, sizeof(path), "%s.new", store->path);
	snprintf(wal, sizeof(wal), "%s-wal", path);
	unlink(path); // an earlier attempt's
	unlink(wal);
	snprintf(sql, sizeof(sql), "PRAGMA application_id=%d; PRAGMA user_version=%d",
		 APPLICATION_ID, SCHEMA_VERSION);

	r = open_file(store, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err);
	if (r == 0)
		r = execute(store, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL",
			    "cannot make the store", err);
	if (r == 0)
		r = execute(store, "BEGIN IMMEDIATE", "cannot make the store", err);
	if (r == 0)
		r = execute(store, sql, "cannot make the store", err);
	if (r == 0)
		r = execute(store, store_schema, "cannot make the store", err);
	if (r == 0)
		r = execute(store, "COMMIT; PRAGMA wal_checkpoint(TRUNCATE)",
			    "cannot make the store", err);
	// Closing the last connection folds the WAL into the file and deletes it.
	sqlite3_close(store->db);
	store->db = NULL;
	if (r == 0 && access(wal, F_OK) == 0)
		r = error_set(err, EIO, CODE_STORE, "cannot make the store: %s stays", wal);
	if (r == 0 && rename(path, store->path) < 0)
		r = fail_errno(err, "cannot rename to", store->path);
	if (r == 0)
		r = sync_directory_of(store->path, err);
	if (r < 0) {
		unlink(path);
		unlink(wal);
	}
	return r;
}

// What can be told without opening it. Returns 1 if there is none, 0 if there is one.
static int look_at_file(const struct store *store, struct error *err)
{
	char wal[PATH_MAX + 8];
	struct stat st;

	snprintf(wal, sizeof(wal), "%s-wal", store->path);
	if (stat(store->path, &st) == 0) {
		if (!S_ISREG(st.st_mode))
			return store_fail_damaged(store->path, err, "not a regular file");
		if (st.st_size == 0)
			return store_fail_damaged(store->path, err, "the file is empty");
		return 0;
	}
	if (errno != ENOENT)
		return fail_errno(err, "cannot read", store->path);
	// SQLite would take a WAL that is left over for the new file's.
	if (stat(wal, &st) == 0 && st.st_size > 0)
		return store_fail_damaged(store->path, err,
					  "the file is missing, but its -wal is there");
	unlink(wal);
	return 1;
}

static int check_contents(struct store *store, int *ret_version, struct error *err)
{
	char text[128], why[160];
	int r;

	r = query_text(store, "PRAGMA application_id", text, sizeof(text), err);
	if (r < 0)
		return r;
	if (atol(text) != APPLICATION_ID)
		return store_fail_damaged(store->path, err, "another program's database");
	r = query_text(store, "PRAGMA user_version", text, sizeof(text), err);
	if (r < 0)
		return r;
	*ret_version = atoi(text);
	if (*ret_version < 1 || *ret_version > SCHEMA_VERSION)
		return error_set(
			err, EUCLEAN, CODE_STORE,
			"%s was written by a later version of podport (schema %s, this one "
			"has %d): run that version",
			store->path, text, SCHEMA_VERSION);
	r = query_text(store, "PRAGMA integrity_check(1)", text, sizeof(text), err);
	if (r < 0)
		return r;
	if (strcmp(text, "ok") != 0) {
		snprintf(why, sizeof(why), "integrity check: %s", text);
		return store_fail_damaged(store->path, err, why);
	}
	return 0;
}

// From an older schema to ours, in one transaction: a crash leaves the one or the other.
static int migrate(struct store *store, int version, struct error *err)
{
	static const char what[] = "cannot bring the store to this version's form";
	char sql[64];
	int r;

	if (version == SCHEMA_VERSION)
		return 0;
	snprintf(sql, sizeof(sql), "PRAGMA user_version=%d", SCHEMA_VERSION);
	r = execute(store, "BEGIN IMMEDIATE", what, err);
	for (int from = version; r == 0 && from < SCHEMA_VERSION; from++)
		r = execute(store, store_migrations[from], what, err);
	if (r == 0)
		r = execute(store, sql, what, err);
	if (r == 0)
		r = execute(store, "COMMIT", what, err);
	if (r == 0)
		log_info("store: brought to this version's form", "path=%s from=%d to=%d",
			 store->path, version, SCHEMA_VERSION);
	return r; // on failure the connection is closed, which rolls back
}

static int open_existing(struct store *store, struct error *err)
{
	int r, version = 0;

	r = open_file(store, store->path, SQLITE_OPEN_READWRITE, err);
	if (r == 0)
		r = check_contents(store, &version, err);
	if (r == 0)
		r = execute(store, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL",
			    "cannot set up the store", err);
	if (r == 0)
		r = migrate(store, version, err);
	for (size_t i = 0; r == 0 && i < STATEMENT_COUNT; i++)
		if (sqlite3_prepare_v3(store->db, store_statement_texts[i], -1,
				       SQLITE_PREPARE_PERSISTENT, &store->statements[i],
				       NULL) != SQLITE_OK)
			r = store_fail(store, err, "cannot prepare");
	return r;
}

int store_open(const char *state_dir, struct store **ret_store, struct error *err)
{
	struct store *store;
	int r;

	if (mkdir(state_dir, 0700) < 0 && errno != EEXIST)
		return fail_errno(err, "cannot make the folder", state_dir);
	store = calloc(1, sizeof(*store));
	if (store == NULL)
		return error_set(err, ENOMEM, CODE_STORE, "out of memory");
	store->lock_fd = -1;
	r = asprintf(&store->path, "%s/agent.db", state_dir);
	if (r < 0) {
		store->path = NULL;
		store_close(store);
		return error_set(err, ENOMEM, CODE_STORE, "out of memory");
	}
	r = take_lock(state_dir, &store->lock_fd, err);
	if (r == 0)
		r = look_at_file(store, err);
	if (r == 1)
		r = make_new(store, err);
	if (r == 0)
		r = open_existing(store, err);
	if (r < 0) {
		store_close(store);
		return r;
	}
	*ret_store = store;
	return 0;
}

void store_close(struct store *store)
{
	if (store == NULL)
		return;
	for (size_t i = 0; i < STATEMENT_COUNT; i++)
		sqlite3_finalize(store->statements[i]);
	sqlite3_close(store->db);
	if (store->lock_fd >= 0)
		close(store->lock_fd);
	free(store->path);
	free(store);
}
