// SPDX-License-Identifier: BSD-3-Clause
//
// The caller's end. Each call has a context and an aio of nng's to itself and is made by the thread
// that asks; nng's threads only carry bytes and report the connection. A call goes through
//
//     wait for a connection ──► send ──► receive
//
// each within what is left of its time. Waiting for the connection is done here and not in nng's
// send queue, so that the request says how long the caller really still waits.

#include "proto/wire_client.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>

#include "proto/codec.h"
#include "proto/wire_private.h"

struct client_call {
	nng_ctx ctx;
	nng_aio *aio;
	int64_t deadline_ms; // of wire_now_ms
	LIST_ENTRY(client_call) entry;
};

struct wire_client {
	char *url;
	nng_socket socket;
	nng_tls_config *tls_config; // NULL: none
	void (*on_link)(bool up, void *arg);
	void *arg;

	// Held while nng is told to begin or cancel an operation, never while waiting for one, and
	// while on_link runs, so that ups and downs come in their order.
	pthread_mutex_t mutex;
	pthread_cond_t changed; // link_up, closing, callers
	bool link_up;
	int link_pipe;    // of link_up
	int removed_pipe; // the last one gone: its "added" may come later, from another thread
	bool closing;
	unsigned int callers; // threads in wire_client_call
	LIST_HEAD(, client_call) calls;
};

// ---- the link ------------------------------------------------------------------------------------

// nng's threads. Of a pipe that lives shortly both events may come at once, in any order.
static void pipe_event(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
	struct wire_client *client = arg;
	int id = nng_pipe_id(pipe);

	pthread_mutex_lock(&client->mutex);
	bool before = client->link_up;
	if (event == NNG_PIPE_EV_ADD_POST && id != client->removed_pipe) {
		client->link_up = true;
		client->link_pipe = id;
	} else if (event == NNG_PIPE_EV_REM_POST) {
		client->removed_pipe = id;
		if (client->link_pipe == id)
			client->link_up = false;
	}
	if (client->link_up != before && !client->closing) {
		pthread_cond_broadcast(&client->changed);
		if (client->on_link != NULL)
			client->on_link(client->link_up, client->arg);
	}
	pthread_mutex_unlock(&client->mutex);
}

// Options first, then the dialer, which inherits them, then the dialling.
static int start_dialer(struct wire_client *client, const struct wire_client_config *config)
{
	nng_dialer dialer;
	int rv;

	if ((rv = nng_socket_set_ms(client->socket, NNG_OPT_REQ_RESENDTIME,
				    NNG_DURATION_INFINITE)) != 0 ||
	    (rv = nng_socket_set_size(client->socket, NNG_OPT_RECVMAXSZ, WIRE_RECV_BYTES_MAX)) !=
		    0 ||
	    (rv = nng_socket_set_ms(client->socket, NNG_OPT_RECONNMINT,
				    (nng_duration)config->reconnect_min_ms)) != 0 ||
	    (rv = nng_socket_set_ms(client->socket, NNG_OPT_RECONNMAXT,
				    (nng_duration)config->reconnect_max_ms)) != 0 ||
	    (rv = nng_pipe_notify(client->socket, NNG_PIPE_EV_ADD_POST, pipe_event, client)) != 0 ||
	    (rv = nng_pipe_notify(client->socket, NNG_PIPE_EV_REM_POST, pipe_event, client)) != 0 ||
	    (rv = nng_dialer_create(&dialer, client->socket, client->url)) != 0)
		return rv;
	if (client->tls_config != NULL &&
	    (rv = nng_dialer_set_ptr(dialer, NNG_OPT_TLS_CONFIG, client->tls_config)) != 0)
		return rv;
	return nng_dialer_start(dialer, NNG_FLAG_NONBLOCK);
}

static void free_client(struct wire_client *client)
{
	if (client->tls_config != NULL)
		nng_tls_config_free(client->tls_config);
	pthread_cond_destroy(&client->changed);
	pthread_mutex_destroy(&client->mutex);
	free(client->url);
	free(client);
}

int wire_client_open(const struct wire_client_config *config, struct wire_client **ret_client,
		     struct error *err)
{
	nng_tls_config *tls_config;
	int r = wire_endpoint_check(config->url, &config->tls, config->insecure,
				    NNG_TLS_MODE_CLIENT, &tls_config, err);

	if (r < 0)
		return r;

	struct wire_client *client = calloc(1, sizeof(*client));
	char *url = strdup(config->url);
	if (client == NULL || url == NULL) {
		if (tls_config != NULL)
			nng_tls_config_free(tls_config);
		free(client);
		free(url);
		return error_set(err, ENOMEM, CODE_INTERNAL, "%s: out of memory", config->url);
	}
	client->url = url;
	client->tls_config = tls_config;
	client->on_link = config->on_link;
	client->arg = config->arg;
	LIST_INIT(&client->calls);
	pthread_mutex_init(&client->mutex, NULL);
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&client->changed, &attributes);
	pthread_condattr_destroy(&attributes);

	int rv = nng_req0_open(&client->socket);
	if (rv == 0 && (rv = start_dialer(client, config)) != 0)
		nng_close(client->socket);
	if (rv != 0) {
		r = error_set(err, wire_errno(rv), CODE_BAD_REQUEST, "%s: %s", client->url,
			      nng_strerror(rv));
		free_client(client);
		return r;
	}
	*ret_client = client;
	return 0;
}

// ---- a call --------------------------------------------------------------------------------------

static nng_duration remaining_ms(const struct client_call *call)
{
	int64_t left = call->deadline_ms - wire_now_ms();

	return left > 0 ? (nng_duration)left : 0;
}

// Returns 0, -ETIMEDOUT or -ECANCELED.
static int wait_for_link(struct wire_client *client, const struct client_call *call)
{
	struct timespec until = {.tv_sec = call->deadline_ms / 1000,
				 .tv_nsec = call->deadline_ms % 1000 * 1000000};
	int r = 0;

	pthread_mutex_lock(&client->mutex);
	while (!client->link_up && !client->closing && r == 0)
		r = pthread_cond_timedwait(&client->changed, &client->mutex, &until);
	if (client->closing)
		r = -ECANCELED;
	else if (client->link_up)
		r = 0;
	else
		r = -ETIMEDOUT;
	pthread_mutex_unlock(&client->mutex);
	return r;
}

// Begin an operation and wait for its end. Begun under the mutex: wire_client_close either sees the
// call in its list with the operation under way, and cancels it, or is seen here.
static int run(struct wire_client *client, struct client_call *call,
	       void (*operation)(nng_ctx, nng_aio *))
{
	nng_duration left = remaining_ms(call);

	if (left == 0)
		return -ETIMEDOUT;
	pthread_mutex_lock(&client->mutex);
	bool closing = client->closing;
	if (!closing) {
		nng_aio_set_timeout(call->aio, left);
		operation(call->ctx, call->aio);
	}
	pthread_mutex_unlock(&client->mutex);
	if (closing)
		return -ECANCELED;
	nng_aio_wait(call->aio);
	return -wire_errno(nng_aio_result(call->aio));
}

static int make_message(const struct request *request, const struct client_call *call,
			nng_msg **ret_message, struct error *err)
{
	struct request timed = *request;
	struct encoded encoded;
	nng_msg *message;

	timed.timeout_ms = (uint32_t)remaining_ms(call);
	if (timed.timeout_ms == 0)
		timed.timeout_ms = 1; // run will see that it is late
	int r = codec_encode_request(&timed, &encoded, err);
	if (r < 0)
		return r;
	int rv = nng_msg_alloc(&message, 0);
	if (rv == 0 && (rv = nng_msg_append(message, encoded.data, encoded.size)) != 0)
		nng_msg_free(message);
	encoded_clear(&encoded);
	if (rv != 0)
		return error_set(err, ENOMEM, CODE_INTERNAL, "%s: out of memory",
				 call_name(request->call));
	*ret_message = message;
	return 0;
}

static int read_answer(const struct wire_client *client, const struct request *request,
		       nng_msg *message, struct reply *ret_reply, struct error *err)
{
	struct error why = {0};
	struct reply reply;
	int r = codec_decode_reply(nng_msg_body(message), nng_msg_len(message), &reply, &why);

	if (r < 0) {
		// A bad request is the caller's fault; a bad answer is not.
		if (err != NULL)
			*err = why;
		if (err != NULL && why.code == CODE_BAD_REQUEST)
			err->code = CODE_INTERNAL;
		error_prefix(err, "the answer of the agent at %s", client->url);
		return r == -ENOMEM ? r : -EBADMSG;
	}
	if (reply.code == CODE_OK && reply.call != request->call) {
		error_set(err, EBADMSG, CODE_INTERNAL,
			  "the agent at %s answered %s to a call of %s", client->url,
			  call_name(reply.call), call_name(request->call));
		reply_clear(&reply);
		return -EBADMSG;
	}
	*ret_reply = reply;
	return 0;
}

static int exchange(struct wire_client *client, struct client_call *call,
		    const struct request *request, struct reply *ret_reply, struct error *err)
{
	nng_msg *message = NULL;
	int r = make_message(request, call, &message, err);

	if (r < 0)
		return r;
	nng_aio_set_msg(call->aio, message);
	r = run(client, call, nng_ctx_send);
	if (r < 0) { // the message is ours again, if it was not sent
		message = nng_aio_get_msg(call->aio);
		nng_aio_set_msg(call->aio, NULL);
		if (message != NULL)
			nng_msg_free(message);
		return r;
	}
	r = run(client, call, nng_ctx_recv);
	if (r < 0)
		return r;
	message = nng_aio_get_msg(call->aio);
	nng_aio_set_msg(call->aio, NULL);
	r = read_answer(client, request, message, ret_reply, err);
	nng_msg_free(message);
	return r;
}

static int open_call(struct wire_client *client, struct client_call *call)
{
	if (nng_ctx_open(&call->ctx, client->socket) != 0)
		return -ENOMEM;
	if (nng_aio_alloc(&call->aio, NULL, NULL) != 0) {
		nng_ctx_close(call->ctx);
		return -ENOMEM;
	}
	pthread_mutex_lock(&client->mutex);
	LIST_INSERT_HEAD(&client->calls, call, entry);
	pthread_mutex_unlock(&client->mutex);
	return 0;
}

static void close_call(struct wire_client *client, struct client_call *call)
{
	pthread_mutex_lock(&client->mutex);
	LIST_REMOVE(call, entry);
	pthread_mutex_unlock(&client->mutex);
	nng_ctx_close(call->ctx);
	nng_aio_free(call->aio);
}

// The sentence for an error that came without one.
static int explain(struct wire_client *client, int r, uint32_t timeout_ms, struct error *err)
{
	pthread_mutex_lock(&client->mutex);
	bool link_up = client->link_up;
	pthread_mutex_unlock(&client->mutex);

	switch (r) {
	case -ETIMEDOUT:
		return error_set(err, ETIMEDOUT, CODE_AGENT_AWAY,
				 "the agent at %s has not answered for %u.%03u s%s", client->url,
				 timeout_ms / 1000, timeout_ms % 1000,
				 link_up ? "" : ": there is no connection to it");
	case -ECONNRESET:
		return error_set(err, ECONNRESET, CODE_AGENT_AWAY,
				 "the connection to the agent at %s broke before it answered",
				 client->url);
	case -ECANCELED:
		return error_set(err, ECANCELED, CODE_AGENT_AWAY,
				 "the link to the agent at %s is being closed", client->url);
	default:
		return error_set(err, -r, CODE_INTERNAL, "the link to the agent at %s: %s",
				 client->url, strerror(-r));
	}
}

int wire_client_call(struct wire_client *client, const struct request *request, uint32_t timeout_ms,
		     struct reply *ret_reply, struct error *err)
{
	struct error why = {0};
	struct client_call call;
	int r;

	if (timeout_ms > TIMEOUT_MAX_MS)
		timeout_ms = TIMEOUT_MAX_MS;
	call.deadline_ms = wire_now_ms() + timeout_ms;

	pthread_mutex_lock(&client->mutex);
	client->callers++;
	pthread_mutex_unlock(&client->mutex);

	r = wait_for_link(client, &call);
	if (r == 0)
		r = open_call(client, &call);
	if (r == 0) {
		r = exchange(client, &call, request, ret_reply, &why);
		close_call(client, &call);
	}
	if (r < 0 && why.message[0] != '\0') {
		if (err != NULL)
			*err = why;
	} else if (r < 0) {
		r = explain(client, r, timeout_ms, err);
	}

	// From here on the client may be gone.
	pthread_mutex_lock(&client->mutex);
	if (--client->callers == 0)
		pthread_cond_broadcast(&client->changed);
	pthread_mutex_unlock(&client->mutex);
	return r;
}

void wire_client_close(struct wire_client *client)
{
	struct client_call *call;

	if (client == NULL)
		return;
	// nng_close beside an operation under way can hang in nng 1.5: end them all first.
	pthread_mutex_lock(&client->mutex);
	client->closing = true;
	pthread_cond_broadcast(&client->changed);
	LIST_FOREACH (call, &client->calls, entry)
		nng_aio_cancel(call->aio);
	while (client->callers > 0)
		pthread_cond_wait(&client->changed, &client->mutex);
	pthread_mutex_unlock(&client->mutex);
	nng_close(client->socket); // also waits for pipe_event to be over
	free_client(client);
}
