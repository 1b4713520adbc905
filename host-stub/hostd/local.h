// SPDX-License-Identifier: BSD-3-Clause
//
// The local socket: AF_UNIX SOCK_SEQPACKET, one packet one request, at most one file descriptor with
// it (the sandbox), one packet back. One call at a time on a connection, any number one after
// another. Event loop thread.
//
// Who may connect is decided by the peer's credentials, so that a refused caller gets a sentence and
// not just "Permission denied".

#pragma once

#include <uv.h>

#include "hostd/calls.h"
#include "hostd/config.h"

enum {
	// Each waits for an answer or is kept by a long-lived client (the Go adapter, a monitor).
	LOCAL_CONNECTIONS_MAX = 512,
	// Callers being refused: few at a time, so that they cannot keep others out.
	LOCAL_REFUSALS_MAX = 16,
	LOCAL_REFUSAL_MS = 1000,
};

struct local;

// Listen. A socket file that nobody listens on is replaced. Errors: -EADDRINUSE if another hostd
// does, others with CODE_INTERNAL and the path.
int local_open(uv_loop_t *loop, const struct hostd_config *config, struct calls *calls,
	       struct local **ret_local, struct error *err);

// Take no more connections and remove the socket file; calls under way go on.
void local_stop_listening(struct local *local);

// Close the connections. Their handles close on the loop, which must be run once more before
// local_free.
void local_close(struct local *local);
void local_free(struct local *local);
