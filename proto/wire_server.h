// SPDX-License-Identifier: BSD-3-Clause
//
// The agent's end of the link: nng REP with a fixed number of contexts, so that a slow call does
// not hold up others. A request is decoded and checked on a thread of nng; what is malformed is
// answered there, what is late (its timeout_ms passed since it arrived) is dropped when it is
// answered. The handler hands a good one on.

#pragma once

#include "proto/message.h"
#include "proto/wire_client.h"

struct wire_call; // one request in flight; owned by the server, lent to the handler until
		  // wire_call_reply

// Runs on a thread of nng, several at once. Must not block. Somebody must call wire_call_reply
// exactly once for each call, from any thread, now or later.
typedef void (*wire_handler)(struct wire_call *call, void *arg);

struct wire_server_config {
	const char *url;
	struct wire_tls tls;
	bool insecure;
	uint32_t contexts;    // calls in flight; more wait in the socket. 1..1024
	uint32_t socket_mode; // of an ipc:// socket, e.g. 0600
	wire_handler handler;
	void *arg;
};

struct wire_server;

// Listen and serve. Errors: -EINVAL (CODE_BAD_REQUEST: URL, certificates, plain tcp), -EADDRINUSE,
// -EACCES with the URL.
int wire_server_start(const struct wire_server_config *config, struct wire_server **ret_server,
		      struct error *err);

// Read the files anew: who connects from now on meets the new certificate and is measured by the new authority. Connections
// that are there stay. One thread at a time. On error (-EINVAL, CODE_BAD_REQUEST, names the file) all stays as it was; so it
// does without TLS.
int wire_server_renew(struct wire_server *server, const struct wire_tls *tls, struct error *err);

// To be called every second or so, by the thread of wire_server_renew: says in the log if peers were refused by TLS. True: nng
// keeps the connections that end (wire_private.h), so many by now that the process should be restarted before it is out of
// file descriptors.
bool wire_server_watch(struct wire_server *server);

// Valid until wire_call_reply.
const struct request *wire_call_request(const struct wire_call *call);

// Milliseconds that the caller will still wait, <= 0: late; work not begun should answer CODE_LATE.
int64_t wire_call_remaining_ms(const struct wire_call *call);

// Answer. Copies what it needs; the caller still owns the reply. A reply that cannot be encoded
// becomes CODE_INTERNAL.
void wire_call_reply(struct wire_call *call, const struct reply *reply);

// Stop taking requests, then wait until every call lent out has been answered. The owner of the
// queue behind the handler must therefore still be answering. NULL is fine.
void wire_server_stop(struct wire_server *server);
