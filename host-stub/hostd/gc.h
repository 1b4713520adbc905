// SPDX-License-Identifier: BSD-3-Clause
//
// The runtime's own garbage collection (CNI SPEC 1.1.0, GC): it says which attachments of a network
// it has, all others of this host in that network are released. It is the runtime's word that counts,
// not what sandboxes look like (that is reconcile.h). Worker threads.

#pragma once

#include "hostd/hostd.h"

// Release what the agent has in request->network, in the range that the request is about, and what
// is not among the valid: the sandbox undressed if it can be found, then the agent told, or the
// release queued, as DEL does it. An attachment that another call is about is left alone: the runtime
// knows it. Goes on past failures. Stops before the deadline, or when the reply is full, and says
// where; each call makes some progress. Errors: as link_call, or the agent's, when its list cannot
// be had.
int gc_run(struct hostd *hostd, const struct gc_request *request, uint64_t deadline_ms,
	   struct gc_reply *ret_reply, struct error *err);
