// SPDX-License-Identifier: BSD-3-Clause
//
// For tests: a SQLite VFS over the system's that makes the disk fail, or the process end, at the Nth
// write, sync or truncate. One thread.

#pragma once

#include <stdbool.h>

enum fault_kind {
	FAULT_NONE,
	FAULT_WRITE_FULL, // writes and truncates: no space left. Syncs work
	FAULT_IO,         // whatever it is fails with an I/O error; a write writes half of it
	FAULT_EXIT,       // _exit(FAULT_EXIT_STATUS) before it is done
};

enum { FAULT_EXIT_STATUS = 77 };

// Become SQLite's default VFS. Once a process.
void fault_vfs_install(void);

// From now on, operation number `nth` (from 1) fails, and with `stays` all after it.
void fault_vfs_set(enum fault_kind kind, unsigned int nth, bool stays);
void fault_vfs_clear(void);

// Operations since fault_vfs_set or fault_vfs_clear.
unsigned int fault_vfs_operations(void);
// Of these, syncs; what a commit costs.
unsigned int fault_vfs_syncs(void);
// Has the fault happened?
bool fault_vfs_hit(void);
