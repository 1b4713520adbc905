// SPDX-License-Identifier: BSD-3-Clause
//
// Attachments whose sandbox is gone for good, released without a DEL: the runtime crashed, or gave
// up on one. Never by a list that may lag. An attachment is reclaimed when all of these have held
// for the grace time, in every look:
//
//   - the function's netdev is back in the host's netns: whatever sandbox there was has let go of it
//   - the sandbox's path is not there, or is another netns by now
//   - no process is in the sandbox
//   - nobody is working on its key, and its release is not queued already
//
// A sandbox is known by its netns's inode and cookie. The kernel gives the inode of a dead netns to the next one at once: of
// an attachment that was recorded without a cookie (by an older hostd or agent, or on a kernel before 5.14), whoever has that
// inode counts as its sandbox, unless that is provably a later container's. One that was recorded without
// an inode can never be proven gone, and stays.
//
// And the other way round, sandboxes whose function came home without them: redress.h.
//
// One thread at a time (upkeep.h).

#pragma once

#include "hostd/hostd.h"

struct reconcile;

int reconcile_open(struct reconcile **ret_reconcile, struct error *err);
void reconcile_close(struct reconcile *reconcile); // NULL is fine

// What one look came to.
struct reconcile_counts {
	uint32_t suspects;  // attachments that look gone, those that were reclaimed not among them
	uint32_t reclaimed; // released for it
	uint32_t strays;    // functions that came home under a foreign name
	uint32_t redressed; // running pods that have lost their function and have it again
};

// Look at all attachments once. ret_counts may be NULL. Negative (CODE_AGENT_AWAY) only if the agent does not answer;
// everything else is logged.
int reconcile_run(struct reconcile *reconcile, struct hostd *hostd,
		  struct reconcile_counts *ret_counts, struct error *err);
