// SPDX-License-Identifier: BSD-3-Clause
//
// The link to the agent as a lease: a Hello when a connection comes and every second after, on a
// thread of its own. It knows since when the agent is away, so that nobody else waits to find out.
//
//      DOWN ── Hello answered ──► STARTING ── greeted() done ──► UP
//       ▲                            │                            │
//       └── connection lost, or Hello not answered in time ◄──────┘   (another instance: STARTING)
//
// Calls are possible from STARTING on; ADDs are held back until UP by whoever starts them.

#pragma once

#include <stdbool.h>

#include "proto/wire_client.h"

// The lease. A second is short against what an operator or kubelet notices, and one small message
// costs nothing.
enum { LINK_HELLO_MS = 1000, LINK_HELLO_TIMEOUT_MS = 2000 };

struct link_config {
	struct wire_client_config wire; // on_link, arg and reconnect times are the link's own
	struct hello_request hello;

	// Called on the link's thread after each answered Hello; `fresh`: the first of a connection
	// or of an agent instance. May make calls. A negative return with CODE_AGENT_AWAY puts the
	// link down.
	int (*greeted)(const struct hello_reply *hello, bool fresh, void *arg, struct error *err);
	// The state changed. Any thread; must not block.
	void (*changed)(void *arg);
	void *arg;
};

struct agent_link;

// Errors: -EINVAL with CODE_BAD_REQUEST (URL, certificates). Nothing is called back before
// link_start.
int link_open(const struct link_config *config, struct agent_link **ret_link, struct error *err);
int link_start(struct agent_link *link, struct error *err);
// Ask the thread to end; greeted() in progress should look at link_stopping.
void link_stop(struct agent_link *link);
bool link_stopping(const struct agent_link *link);
// Stops, waits for the thread (a call of its own may have to time out) and frees. No call of
// others may be under way. NULL is fine.
void link_close(struct agent_link *link);

bool link_is_up(struct agent_link *link);

// New files of certificates under the same names: see wire_client_renew. The loop's thread.
int link_renew(struct agent_link *link, struct error *err);

// Run greeted() (not fresh) now rather than at the next Hello. Any thread.
void link_nudge(struct agent_link *link);

// Ask the agent, at most timeout_ms, as this host; the request is changed to say so. Any thread, any number at
// once.
//   0              ret_reply is filled (reply_clear it); its code may be an error of the agent's
//   -ENOTCONN      CODE_AGENT_AWAY; nothing was sent
//   -ETIMEDOUT, -ECONNRESET, -ECANCELED   CODE_AGENT_AWAY; whether the agent acted is not known
//   -EBADMSG       the answer made no sense; whether the agent acted is not known
int link_call(struct agent_link *link, struct request *request, uint32_t timeout_ms,
	      struct reply *ret_reply, struct error *err);

// "the agent at URL has not answered for N s (why)", with CODE_AGENT_AWAY. Returns -ENOTCONN.
int link_away_error(struct agent_link *link, struct error *err);

// Fill the link_ members and agent_url of *status.
void link_status(struct agent_link *link, struct host_status *status);
