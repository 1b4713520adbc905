// SPDX-License-Identifier: BSD-3-Clause
//
// Inside the client: its calls (wire_client.c) and its links (wire_client_link.c).

#pragma once

#include <sys/queue.h>

#include "proto/wire_private.h"

struct client_call {
	struct link *link;
	bool answered, unanswered; // neither: it was not sent, or its connection broke
	nng_ctx ctx;
	nng_aio *aio;
	int64_t deadline_ms; // of wire_now_ms
	LIST_ENTRY(client_call) entry;
};

// A socket with its dialer, and the one connection that it has or has not.
struct link {
	struct wire_client *client; // NULL: the link was replaced, or its client is closed
	nng_socket socket;
	bool up, was_up;
	int pipe;         // while up
	int removed_pipe; // the last one gone: its "added" may come later, from another thread
	bool suspect;
	bool answered;   // it has, whenever
	bool unanswered; // a call's time ended without an answer, and there was none since
	bool ended;      // no operation may begin on it any more
	nng_dialer dialer;
	int64_t down_since_ms;
	LIST_HEAD(, client_call) calls;
	SLIST_ENTRY(link) former; // of the client's
};

struct wire_client {
	char *url;
	nng_tls_config *tls_config; // NULL: none
	// What it was made of; and why TLS has come to nothing since there was a connection, "": it has not.
	char ca_file[LIMIT_PATH + 1], certificate_file[LIMIT_PATH + 1];
	char refusal[LIMIT_TEXT + 1];
	uint32_t reconnect_min_ms, reconnect_max_ms;
	void (*on_link)(bool up, void *arg);
	void *arg;
	pthread_t keeper;

	struct link *link;
	// While certificates are renewed, or when the link answers nothing: the one that is to take over once it is up; and those that
	// were taken over from, until their calls have ended.
	struct link *next;
	SLIST_HEAD(, link) formers;
	int64_t deaf_until_ms; // not before that is another one made because the link answers nothing
	bool renew;
	bool closing;
	unsigned int callers;   // threads in wire_client_call
	pthread_cond_t changed; // any of the above, also in the link
};

// Guards all clients and links: an event of a link may come when its client is long gone. Held while
// nng is told to begin or cancel an operation, never while waiting for one, and while on_link runs,
// so that ups and downs come in their order.
extern pthread_mutex_t wire_client_mutex;

// A link that does not dial yet. Returns 0 or an error of nng's.
int wire_link_open(struct wire_client *client, struct link **ret_link);
// Begin to dial. Returns 0 or an error of nng's.
int wire_link_start(const struct wire_client *client, nng_tls_config *tls_config,
		    struct link *link);
// Nobody calls on it any more.
void wire_link_close(struct link *link);
// End the calls on a link, so that it can be closed. Under the mutex, which is let go of meanwhile.
void wire_link_end_calls(struct wire_client *client, struct link *link, int nng_error);
// The keeper's thread; arg: the client.
void *wire_link_keep(void *arg);
