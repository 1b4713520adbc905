// SPDX-License-Identifier: BSD-3-Clause
//
// What a call does, on a worker thread: may block, until its deadline. The caller (calls.c) has put
// the key in the call's hands, if it has one.

#pragma once

#include "hostd/hostd.h"

struct work {
	struct request request;
	int netns_fd; // of the sandbox; -1: the client gave none
	uint64_t deadline_ms;

	struct reply reply; // the answer
	// An Attach: what undoing it would have to undo.
	bool maybe_attached; // the agent may have recorded it
	bool repeated;       // it was attached before this call
	bool created;        // it is this call that put the interface into the sandbox
	bool silent;         // it did not answer in time
	bool again;          // the agent went away under it: worth another try when it is back
};

// Which member of the request is the key? NULL: it has none.
const struct attachment_key *work_key(const struct request *request);

void work_run(struct hostd *hostd, struct work *work);

// Undo an Attach that nobody will hear of: the function back to the host, the attachment released.
// Leaves the reply alone.
void work_undo(struct hostd *hostd, struct work *work);

// Fill work->reply with an error and log it if it is an Attach or Detach.
void work_fail(struct work *work, const struct error *err);
