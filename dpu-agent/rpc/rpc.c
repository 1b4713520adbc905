// SPDX-License-Identifier: BSD-3-Clause
//
// See rpc.h. `lock` guards the queue, `held` and `stopping`; waking the loop happens under it too, so that
// nobody wakes a handle that rpc_stop has closed.

#include "rpc/rpc.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "proto/base/log.h"

enum {
	// Calls taken off the wire at once. Above hostd's worker threads; each holds a decoded request.
	RPC_CONTEXTS = 192,
	// Calls taken on and not yet answered. Beyond, the caller is told to come again, at once; the
	// contexts above are left to say so. At 2,000 calls a second this is 60 ms of waiting.
	RPC_HELD_MAX = 128,
	SOCKET_MODE = 0600, // of ipc://: root's
};

struct rpc_call {
	struct control_call base;
	struct wire_call *wire;
	struct rpc *rpc;
	STAILQ_ENTRY(rpc_call) next;
};

struct rpc {
	struct wire_server *server;
	struct control *control;
	const char *instance_id;
	uv_async_t wake;
	pthread_mutex_t lock;
	STAILQ_HEAD(, rpc_call) queue;
	size_t held; // in the queue, or with control
	bool stopping;
};

static struct rpc_call *rpc_call_of(struct control_call *call)
{
	return (struct rpc_call *)((char *)call - offsetof(struct rpc_call, base));
}

static int64_t remaining_ms(const struct control_call *call)
{
	const struct rpc_call *rpc_call =
		(const struct rpc_call *)((const char *)call - offsetof(struct rpc_call, base));

	return wire_call_remaining_ms(rpc_call->wire);
}

static void send_reply(struct control_call *call, const struct reply *reply)
{
	struct rpc_call *rpc_call = rpc_call_of(call);

	pthread_mutex_lock(&rpc_call->rpc->lock);
	rpc_call->rpc->held--;
	pthread_mutex_unlock(&rpc_call->rpc->lock);
	wire_call_reply(rpc_call->wire, reply);
	free(rpc_call);
}

static void refuse(const struct rpc *rpc, struct wire_call *wire, enum code code, const char *why)
{
	struct reply reply;
	struct error err;

	error_set(&err, EBUSY, code, "%s", why);
	reply_from_error(&reply, &err);
	snprintf(reply.instance_id, sizeof(reply.instance_id), "%s", rpc->instance_id);
	wire_call_reply(wire, &reply);
}

// On a thread of nng.
static void on_call(struct wire_call *wire, void *arg)
{
	static struct log_ratelimit limit = {.interval_ms = 10000, .burst = 1};
	struct rpc_call *call = malloc(sizeof(*call));
	bool queued = false, stopping;
	struct rpc *rpc = arg;

	if (call == NULL) {
		refuse(rpc, wire, CODE_BUSY, "the agent is out of memory; try again");
		return;
	}
	*call = (struct rpc_call){
		.base = {.request = wire_call_request(wire),
			 .remaining_ms = remaining_ms,
			 .reply = send_reply},
		.wire = wire,
		.rpc = rpc,
	};
	pthread_mutex_lock(&rpc->lock);
	stopping = rpc->stopping;
	if (!stopping && rpc->held < RPC_HELD_MAX) {
		STAILQ_INSERT_TAIL(&rpc->queue, call, next);
		rpc->held++;
		uv_async_send(&rpc->wake);
		queued = true;
	}
	pthread_mutex_unlock(&rpc->lock);
	if (queued)
		return;
	free(call);
	if (stopping) {
		refuse(rpc, wire, CODE_NOT_READY, "the agent is stopping; try again");
		return;
	}
	if (log_ratelimit_ok(&limit))
		log_warning("calls refused: too many wait for an answer", "waiting=%d",
			    RPC_HELD_MAX);
	refuse(rpc, wire, CODE_BUSY, "too many calls wait in the agent; try again");
}

// Loop thread. One pass takes what is there; what comes meanwhile has its own wake-up, so that
// signals and timers get their turn.
static void drain(struct rpc *rpc)
{
	struct control_call *calls[RPC_HELD_MAX];
	struct rpc_call *call;
	size_t count = 0;

	pthread_mutex_lock(&rpc->lock);
	while ((call = STAILQ_FIRST(&rpc->queue)) != NULL) {
		STAILQ_REMOVE_HEAD(&rpc->queue, next);
		calls[count++] = &call->base;
	}
	pthread_mutex_unlock(&rpc->lock);
	control_process(rpc->control, calls, count);
}

static void on_wake(uv_async_t *handle)
{
	drain(handle->data);
}

static void on_closed(uv_handle_t *handle)
{
	struct rpc *rpc = handle->data;

	pthread_mutex_destroy(&rpc->lock);
	free(rpc);
}

int rpc_start(const struct rpc_config *config, uv_loop_t *loop, struct control *control,
	      struct rpc **ret_rpc, struct error *err)
{
	struct wire_server_config server = {
		.url = config->url,
		.tls = config->tls,
		.insecure = config->insecure,
		.contexts = RPC_CONTEXTS,
		.socket_mode = SOCKET_MODE,
		.handler = on_call,
	};
	struct rpc *rpc = calloc(1, sizeof(*rpc));
	int r;

	if (rpc == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "out of memory");
	rpc->control = control;
	rpc->instance_id = config->instance_id;
	STAILQ_INIT(&rpc->queue);
	r = uv_async_init(loop, &rpc->wake, on_wake);
	if (r < 0) {
		free(rpc);
		return error_set(err, -r, CODE_INTERNAL, "event loop: %s", uv_strerror(r));
	}
	rpc->wake.data = rpc;
	pthread_mutex_init(&rpc->lock, NULL);
	server.arg = rpc;
	r = wire_server_start(&server, &rpc->server, err);
	if (r < 0) {
		uv_close((uv_handle_t *)&rpc->wake, on_closed);
		return r;
	}
	*ret_rpc = rpc;
	return 0;
}

int rpc_renew(struct rpc *rpc, const struct wire_tls *tls, struct error *err)
{
	return wire_server_renew(rpc->server, tls, err);
}

bool rpc_watch(struct rpc *rpc)
{
	return rpc != NULL && wire_server_watch(rpc->server);
}

void rpc_stop(struct rpc *rpc)
{
	if (rpc == NULL)
		return;
	pthread_mutex_lock(&rpc->lock);
	rpc->stopping = true;
	pthread_mutex_unlock(&rpc->lock);
	drain(rpc);
	wire_server_stop(rpc->server);
	uv_close((uv_handle_t *)&rpc->wake, on_closed);
}
