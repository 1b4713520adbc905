// SPDX-License-Identifier: BSD-3-Clause
//
// The agent's listener: calls off the wire, from nng's threads, into the control thread's event
// loop, and answers back. It decides nothing.
//
//     nng thread: decode ─► queue (RPC_HELD_MAX) ─► wake   │   loop: drain ─► control_process ─► reply

#pragma once

#include <uv.h>

#include "control/control.h"
#include "proto/wire_server.h"

struct rpc_config {
	const char *url;
	struct wire_tls tls;
	bool insecure;
	const char *instance_id; // outlives the rpc
};

struct rpc;

// Listen. Answers come once the loop runs. Errors: as wire_server_start, whose CODE_ they carry.
int rpc_start(const struct rpc_config *config, uv_loop_t *loop, struct control *control,
	      struct rpc **ret_rpc, struct error *err);

// Loop thread. As wire_server_renew and wire_server_watch; the latter copes with NULL.
int rpc_renew(struct rpc *rpc, const struct wire_tls *tls, struct error *err);
bool rpc_watch(struct rpc *rpc);

// Loop thread. Calls that are queued are answered, new ones refused; then the socket is closed. The
// loop has to run once more for its handle to go. NULL is fine.
void rpc_stop(struct rpc *rpc);
