// SPDX-License-Identifier: BSD-3-Clause
//
// The caller's end of the link between podport-hostd and podport-agent: nng REQ. One dialer that is
// kept and re-made with back-off; any number of calls at once, each in a context of its own. One
// send, one answer or one error: nng never resends (NNG_OPT_REQ_RESENDTIME infinite).

#pragma once

#include "proto/message.h"

// Certificates for tls+tcp://. All three, or all empty.
struct wire_tls {
	const char *ca_file;
	const char *certificate_file;
	const char *key_file;
};

// Is this the URL of an endpoint that may be used, of client or server? For a configuration, before there is a link.
// Errors: -EINVAL with CODE_BAD_REQUEST (no URL, another scheme, plain tcp:// to other than loopback).
int wire_check_url(const char *url, bool insecure, struct error *err);

struct wire_client_config {
	const char *url; // ipc://, tls+tcp://, or tcp:// (loopback only unless insecure)
	struct wire_tls tls;
	bool insecure;             // allow tcp:// to other than loopback
	uint32_t reconnect_min_ms; // first wait before dialling again
	uint32_t reconnect_max_ms; // the wait doubles up to this
	// Called from a thread of nng, or of the client's own, when a connection comes (up) or
	// goes. Must not block nor call back into this library. Not called any more once
	// wire_client_close has begun. May be NULL.
	void (*on_link)(bool up, void *arg);
	void *arg;
};

struct wire_client;

// Start dialling in the background; the peer need not be there. Errors: -EINVAL (URL, certificates,
// plain tcp) with CODE_BAD_REQUEST. The strings of config are copied.
int wire_client_open(const struct wire_client_config *config, struct wire_client **ret_client,
		     struct error *err);

// Ask and wait, at most timeout_ms (also written into the request sent). Any number of threads at
// once. Waits for a connection if there is none.
//
//   0                     ret_reply is filled; its code may be an error of the peer's. The caller
//                         runs reply_clear.
//   -ETIMEDOUT, -ECONNRESET, -ECANCELED
//                         CODE_AGENT_AWAY; whether the peer acted is not known.
//   -EBADMSG              the peer answered what is no reply, or one to another call.
//   -EMSGSIZE, -EINVAL, -ENOMEM
//                         not sent.
int wire_client_call(struct wire_client *client, const struct request *request, uint32_t timeout_ms,
		     struct reply *ret_reply, struct error *err);

// Has nng left so much behind in this process that it should be restarted (wire_private.h)? Any thread.
bool wire_is_worn(void);

// Read the files anew, and connect with them. The connection that is there serves until the new one is up, and its calls end in
// peace; if the peer refuses the new certificates it stays, and that is logged. On error (-EINVAL, CODE_BAD_REQUEST, names the
// file) all stays as it was; so it does without TLS.
int wire_client_renew(struct wire_client *client, const struct wire_tls *tls, struct error *err);

// Has TLS come to nothing since there was a connection? Why, as far as can be told from here. Any thread.
bool wire_client_refusal(struct wire_client *client, char ret_why[LIMIT_TEXT + 1]);

// Calls under way return -ECANCELED; returns when they have. None may begin any more. NULL is fine.
void wire_client_close(struct wire_client *client);
