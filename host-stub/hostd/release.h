// SPDX-License-Identifier: BSD-3-Clause
//
// Telling the agent that an attachment is over, now or later. The caller holds the key.

#pragma once

#include "hostd/hostd.h"

// Detach at the agent; what it cannot be told now is queued on disk. The sandbox must be clean.
// ret_detach (may be NULL): the agent's answer, `existed` false if it was queued.
// Errors: CODE_STORE if it could be neither told nor queued; CODE_BAD_REQUEST and
// CODE_UNSUPPORTED of the agent's, which no repetition would change.
int release_attachment(struct hostd *hostd, const struct detach_request *detach,
		       uint32_t timeout_ms, struct detach_reply *ret_detach, struct error *err);

// Deliver the release queued for `key`, if there is one, before something new is done with the key.
// Errors: as link_call, or the agent's.
int release_deliver(struct hostd *hostd, const struct attachment_key *key, uint32_t timeout_ms,
		    struct error *err);

// Deliver all of the queue, on the link's thread, which holds no key. Keys that are taken are left
// to their holder. Negative only if the agent does not answer.
int release_flush(struct hostd *hostd, struct error *err);
