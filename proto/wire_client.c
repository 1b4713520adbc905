// SPDX-License-Identifier: BSD-3-Clause
//
// The caller's end. Each call has a context and an aio of nng's to itself and is made by the thread
// that asks; nng's threads only carry bytes and report the connection. A call goes through
//
//     wait for a connection ──► send ──► receive
//
// each within what is left of its time. Waiting for the connection is done here and not in nng's
// send queue, so that the request says how long the caller really still waits.
//
// The connections are wire_client_link.c's.

#include "proto/wire_client.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nng/nng.h>

#include "proto/codec.h"
#include "proto/wire_client_private.h"

enum {
	SEND_SUSPECT_MS = 900, // a connected link that takes no request for so long is none
};

// ---- open ----------------------------------------------------------------------------------------

static void free_client(struct wire_client *client)
{
	if (client->tls_config != NULL)
		nng_tls_config_free(client->tls_config);
	pthread_cond_destroy(&client->changed);
	free(client->url);
	free(client);
}

static void note_files(struct wire_client *client, const struct wire_tls *tls)
{
	snprintf(client->ca_file, sizeof(client->ca_file), "%s", tls->ca_file);
	snprintf(client->certificate_file, sizeof(client->certificate_file), "%s",
		 tls->certificate_file);
}

static struct wire_client *make_client(const struct wire_client_config *config,
				       nng_tls_config *tls_config)
{
	struct wire_client *client = calloc(1, sizeof(*client));
	char *url = strdup(config->url);

	if (client == NULL || url == NULL) {
		free(client);
		free(url);
		return NULL;
	}
	client->url = url;
	client->tls_config = tls_config;
	client->reconnect_min_ms = config->reconnect_min_ms;
	client->reconnect_max_ms = config->reconnect_max_ms;
	client->on_link = config->on_link;
	client->arg = config->arg;
	if (tls_config != NULL)
		note_files(client, &config->tls);
	wire_init_condition(&client->changed);
	return client;
}

int wire_client_open(const struct wire_client_config *config, struct wire_client **ret_client,
		     struct error *err)
{
	nng_tls_config *tls_config;
	int r = wire_endpoint_check(config->url, &config->tls, config->insecure,
				    NNG_TLS_MODE_CLIENT, &tls_config, err);

	if (r < 0)
		return r;

	struct wire_client *client = make_client(config, tls_config);
	if (client == NULL) {
		if (tls_config != NULL)
			nng_tls_config_free(tls_config);
		return error_set(err, ENOMEM, CODE_INTERNAL, "%s: out of memory", config->url);
	}
	int rv = wire_link_open(client, &client->link);
	if (rv == 0 && ((rv = wire_link_start(client, tls_config, client->link)) != 0 ||
			(rv = pthread_create(&client->keeper, NULL, wire_link_keep, client)) != 0))
		wire_link_close(client->link);
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

// Wait for a connection and join the calls on it. Returns 0, -ENOMEM, -ETIMEDOUT or -ECANCELED.
static int open_call(struct wire_client *client, struct client_call *call)
{
	int r = 0;

	if (nng_aio_alloc(&call->aio, NULL, NULL) != 0)
		return -ENOMEM;
	pthread_mutex_lock(&wire_client_mutex);
	while (!client->link->up && !client->closing && r == 0)
		r = wire_wait_until(&client->changed, &wire_client_mutex, call->deadline_ms);
	if (client->closing)
		r = -ECANCELED;
	else if (!client->link->up)
		r = -ETIMEDOUT;
	else
		r = nng_ctx_open(&call->ctx, client->link->socket) == 0 ? 0 : -ENOMEM;
	if (r == 0) {
		call->link = client->link;
		LIST_INSERT_HEAD(&call->link->calls, call, entry);
	}
	pthread_mutex_unlock(&wire_client_mutex);
	if (r < 0)
		nng_aio_free(call->aio);
	return r;
}

static void close_call(struct wire_client *client, struct client_call *call)
{
	nng_ctx_close(call->ctx);
	pthread_mutex_lock(&wire_client_mutex);
	if (call->answered) {
		call->link->answered = true;
		call->link->unanswered = false;
	} else if (call->unanswered) {
		call->link->unanswered = true;
	}
	LIST_REMOVE(call, entry);
	// Whoever waits does so for the calls of a link that is being left, or for one that answers nothing. The others are
	// not woken: they would take the processor before the caller has its answer.
	if (call->unanswered || call->link != client->link || call->link->ended)
		pthread_cond_broadcast(&client->changed);
	pthread_mutex_unlock(&wire_client_mutex);
	nng_aio_free(call->aio);
}

// Begin an operation and wait for its end. Begun under the mutex: who ends the calls of a link either
// sees this one with its operation under way, and cancels it, or is seen here.
static int run(struct wire_client *client, struct client_call *call,
	       void (*operation)(nng_ctx, nng_aio *))
{
	nng_duration left = remaining_ms(call);
	int r = 0;

	if (left == 0)
		return -ETIMEDOUT;
	pthread_mutex_lock(&wire_client_mutex);
	if (client->closing) {
		r = -ECANCELED;
	} else if (call->link->ended) {
		r = -ECONNRESET;
	} else {
		nng_aio_set_timeout(call->aio, left);
		operation(call->ctx, call->aio);
	}
	pthread_mutex_unlock(&wire_client_mutex);
	if (r < 0)
		return r;
	nng_aio_wait(call->aio);
	return -wire_errno(nng_aio_result(call->aio));
}

// A request that a connected link did not take: the connection may be gone without nng's telling.
static void suspect_link(struct wire_client *client, struct link *link)
{
	pthread_mutex_lock(&wire_client_mutex);
	if (link == client->link && link->up) {
		link->suspect = true;
		pthread_cond_broadcast(&client->changed);
	}
	pthread_mutex_unlock(&wire_client_mutex);
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
	int64_t begin_ms = wire_now_ms();
	nng_aio_set_msg(call->aio, message);
	r = run(client, call, nng_ctx_send);
	if (r < 0) { // the message is ours again, if it was not sent
		message = nng_aio_get_msg(call->aio);
		nng_aio_set_msg(call->aio, NULL);
		if (message != NULL)
			nng_msg_free(message);
		if (r == -ETIMEDOUT && wire_now_ms() - begin_ms >= SEND_SUSPECT_MS)
			suspect_link(client, call->link);
		return r;
	}
	r = run(client, call, nng_ctx_recv);
	call->answered = r == 0;
	call->unanswered = r == -ETIMEDOUT;
	if (r < 0)
		return r;
	message = nng_aio_get_msg(call->aio);
	nng_aio_set_msg(call->aio, NULL);
	r = read_answer(client, request, message, ret_reply, err);
	nng_msg_free(message);
	return r;
}

// The sentence for an error that came without one.
static int explain(struct wire_client *client, int r, uint32_t timeout_ms, struct error *err)
{
	pthread_mutex_lock(&wire_client_mutex);
	bool link_up = client->link->up;
	pthread_mutex_unlock(&wire_client_mutex);

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
	struct client_call call = {0};
	int r;

	if (timeout_ms > TIMEOUT_MAX_MS)
		timeout_ms = TIMEOUT_MAX_MS;
	call.deadline_ms = wire_now_ms() + timeout_ms;

	pthread_mutex_lock(&wire_client_mutex);
	client->callers++;
	pthread_mutex_unlock(&wire_client_mutex);

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
	pthread_mutex_lock(&wire_client_mutex);
	if (--client->callers == 0 && client->closing)
		pthread_cond_broadcast(&client->changed);
	pthread_mutex_unlock(&wire_client_mutex);
	return r;
}

void wire_client_close(struct wire_client *client)
{
	struct link *former;

	if (client == NULL)
		return;
	pthread_mutex_lock(&wire_client_mutex);
	client->closing = true;
	pthread_cond_broadcast(&client->changed);
	pthread_mutex_unlock(&wire_client_mutex);
	pthread_join(client->keeper, NULL); // from here on the link stays the same
	pthread_mutex_lock(&wire_client_mutex);
	wire_link_end_calls(client, client->link, NNG_ECANCELED);
	SLIST_FOREACH (former, &client->formers, former)
		wire_link_end_calls(client, former, NNG_ECANCELED);
	while (client->callers > 0)
		pthread_cond_wait(&client->changed, &wire_client_mutex);
	pthread_mutex_unlock(&wire_client_mutex);
	wire_link_close(client->link);
	if (client->next != NULL)
		wire_link_close(client->next);
	while ((former = SLIST_FIRST(&client->formers)) != NULL) {
		SLIST_REMOVE_HEAD(&client->formers, former);
		wire_link_close(former);
	}
	free_client(client);
}

bool wire_is_worn(void)
{
	// Each is a thread and some file descriptors; one comes in a minute at most.
	enum { LEFT_BEHIND_MAX = 32 };

	return wire_left_behind() >= LEFT_BEHIND_MAX;
}

int wire_client_renew(struct wire_client *client, const struct wire_tls *tls, struct error *err)
{
	nng_tls_config *config, *old;
	int r;

	// Whether there is TLS never changes.
	if (client->tls_config == NULL)
		return 0;
	r = wire_endpoint_check(client->url, tls, false, NNG_TLS_MODE_CLIENT, &config, err);
	if (r < 0)
		return r;
	pthread_mutex_lock(&wire_client_mutex);
	old = client->tls_config;
	client->tls_config = config;
	note_files(client, tls);
	client->renew = true;
	pthread_cond_broadcast(&client->changed);
	pthread_mutex_unlock(&wire_client_mutex);
	nng_tls_config_free(old);
	return 0;
}

bool wire_client_refusal(struct wire_client *client, char ret_why[LIMIT_TEXT + 1])
{
	bool refused;

	pthread_mutex_lock(&wire_client_mutex);
	refused = client->refusal[0] != '\0';
	if (refused)
		snprintf(ret_why, LIMIT_TEXT + 1, "%s", client->refusal);
	pthread_mutex_unlock(&wire_client_mutex);
	return refused;
}
