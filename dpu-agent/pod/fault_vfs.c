// SPDX-License-Identifier: BSD-3-Clause
//
// See fault_vfs.h. Its files have version 1 of SQLite's methods only: no shared memory, which the
// store must not need, since it holds its file exclusively.

#include "pod/fault_vfs.h"

#include <assert.h>
#include <sqlite3.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

struct fault_file {
	sqlite3_file base;
	sqlite3_file *real; // in the same allocation, behind this
};

static struct {
	enum fault_kind kind;
	unsigned int nth;
	bool stays, hit;
	unsigned int operations, syncs;
} fault;

static sqlite3_vfs vfs;
static sqlite3_vfs *real_vfs;

void fault_vfs_set(enum fault_kind kind, unsigned int nth, bool stays)
{
	memset(&fault, 0, sizeof(fault));
	fault.kind = kind;
	fault.nth = nth;
	fault.stays = stays;
}

void fault_vfs_clear(void)
{
	fault_vfs_set(FAULT_NONE, 0, false);
}

unsigned int fault_vfs_operations(void)
{
	return fault.operations;
}

unsigned int fault_vfs_syncs(void)
{
	return fault.syncs;
}

bool fault_vfs_hit(void)
{
	return fault.hit;
}

// Is this operation to fail?
static bool strikes(void)
{
	fault.operations++;
	if (fault.kind == FAULT_NONE || fault.operations < fault.nth ||
	    (fault.operations > fault.nth && !fault.stays))
		return false;
	fault.hit = true;
	if (fault.kind == FAULT_EXIT)
		_exit(FAULT_EXIT_STATUS);
	return true;
}

static sqlite3_file *real_of(sqlite3_file *file)
{
	return ((struct fault_file *)file)->real;
}

static int file_close(sqlite3_file *file)
{
	return real_of(file)->pMethods->xClose(real_of(file));
}

static int file_read(sqlite3_file *file, void *data, int size, sqlite3_int64 offset)
{
	return real_of(file)->pMethods->xRead(real_of(file), data, size, offset);
}

static int file_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 offset)
{
	if (strikes()) {
		if (fault.kind == FAULT_WRITE_FULL)
			return SQLITE_FULL;
		real_of(file)->pMethods->xWrite(real_of(file), data, size / 2, offset);
		return SQLITE_IOERR_WRITE;
	}
	return real_of(file)->pMethods->xWrite(real_of(file), data, size, offset);
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	if (strikes())
		return fault.kind == FAULT_WRITE_FULL ? SQLITE_FULL : SQLITE_IOERR_TRUNCATE;
	return real_of(file)->pMethods->xTruncate(real_of(file), size);
}

static int file_sync(sqlite3_file *file, int flags)
{
	fault.syncs++;
	if (strikes() && fault.kind == FAULT_IO)
		return SQLITE_IOERR_FSYNC;
	return real_of(file)->pMethods->xSync(real_of(file), flags);
}

static int file_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
	return real_of(file)->pMethods->xFileSize(real_of(file), ret_size);
}

static int file_lock(sqlite3_file *file, int level)
{
	return real_of(file)->pMethods->xLock(real_of(file), level);
}

static int file_unlock(sqlite3_file *file, int level)
{
	return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int file_check_lock(sqlite3_file *file, int *ret_locked)
{
	return real_of(file)->pMethods->xCheckReservedLock(real_of(file), ret_locked);
}

static int file_control(sqlite3_file *file, int operation, void *arg)
{
	return real_of(file)->pMethods->xFileControl(real_of(file), operation, arg);
}

static int file_sector_size(sqlite3_file *file)
{
	return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int file_characteristics(sqlite3_file *file)
{
	return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static int vfs_open(sqlite3_vfs *self, const char *name, sqlite3_file *file, int flags,
		    int *ret_flags)
{
	static const sqlite3_io_methods methods = {
		.iVersion = 1,
		.xClose = file_close,
		.xRead = file_read,
		.xWrite = file_write,
		.xTruncate = file_truncate,
		.xSync = file_sync,
		.xFileSize = file_size,
		.xLock = file_lock,
		.xUnlock = file_unlock,
		.xCheckReservedLock = file_check_lock,
		.xFileControl = file_control,
		.xSectorSize = file_sector_size,
		.xDeviceCharacteristics = file_characteristics,
	};
	struct fault_file *fault_file = (struct fault_file *)file;
	int r;

	memset(fault_file, 0, sizeof(*fault_file));
	fault_file->real = (sqlite3_file *)(fault_file + 1);
	r = real_vfs->xOpen(real_vfs, name, fault_file->real, flags, ret_flags);
	if (fault_file->real->pMethods != NULL)
		fault_file->base.pMethods = &methods;
	return r;
}

void fault_vfs_install(void)
{
	int r;

	if (real_vfs != NULL)
		return;
	real_vfs = sqlite3_vfs_find(NULL);
	vfs = *real_vfs;
	vfs.zName = "podport-fault";
	vfs.szOsFile += (int)sizeof(struct fault_file);
	vfs.xOpen = vfs_open;
	r = sqlite3_vfs_register(&vfs, 1);
	assert(r == SQLITE_OK);
	(void)r;
}
