// SPDX-License-Identifier: BSD-3-Clause
//
// The agent's end. Each context of nng's serves one call after the other:
//
//     receive ──► decode ──► handler … wire_call_reply ──► send ──► receive
//        │           └── malformed: answered at once ───────┘          (late: straight to receive)
//        └── nng's threads ──┘           any thread        └── nng's threads
//
// Two aios a context: its next receive may complete while the thread that replied is still on its
// way out of the send.

#include "proto/wire_server.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>

#include "proto/base/log.h"
#include "proto/codec.h"
#include "proto/wire_private.h"

enum {
	CONTEXTS_MAX = 1024,
	CONNECTIONS_SUSPECT = 256, // a host has one, two while it renews its certificate
	SEND_TIMEOUT_MS = 5000,    // for a peer that stopped reading; also bounds wire_server_stop
};

struct wire_call {
	struct wire_server *server;
	nng_ctx ctx;
	nng_aio *recv_aio;
	nng_aio *send_aio;
	bool open; // ctx is

	struct request request; // while lent
	int64_t arrived_ms;
};

struct wire_server {
	nng_socket socket;
	nng_listener listener;
	nng_tls_config *tls_config; // NULL: none
	char *url;
	uint64_t tls_failures; // that were logged
	uint64_t connections_suspect;
	wire_handler handler;
	void *arg;

	pthread_mutex_t mutex;
	pthread_cond_t returned;
	unsigned int lent; // calls between handler and wire_call_reply

	uint32_t call_count;
	struct wire_call *calls;
};

// ---- a call, in nng's threads --------------------------------------------------------------------

static void begin_receive(struct wire_call *call)
{
	nng_ctx_recv(call->ctx, call->recv_aio); // no effect once the aio is stopped
}

// Send, or drop if there is nothing to send with. The call may serve the next request before this
// returns.
static void send_reply(struct wire_call *call, const struct reply *reply)
{
	struct error why = {0};
	struct encoded encoded = {0};
	nng_msg *message = NULL;

	if (codec_encode_reply(reply, &encoded, &why) < 0) {
		struct reply broken;

		log_error("reply cannot be encoded", "call=%s error=\"%s\"", call_name(reply->call),
			  why.message);
		reply_from_error(&broken, &why);
		memcpy(broken.instance_id, reply->instance_id, sizeof(broken.instance_id));
		broken.code = CODE_INTERNAL;
		if (codec_encode_reply(&broken, &encoded, NULL) < 0) {
			begin_receive(call);
			return;
		}
	}
	if (nng_msg_alloc(&message, 0) != 0 ||
	    nng_msg_append(message, encoded.data, encoded.size) != 0) {
		log_error("reply dropped", "call=%s error=\"out of memory\"",
			  call_name(reply->call));
		if (message != NULL)
			nng_msg_free(message);
		encoded_clear(&encoded);
		begin_receive(call);
		return;
	}
	encoded_clear(&encoded);
	nng_aio_set_msg(call->send_aio, message);
	nng_aio_set_timeout(call->send_aio, SEND_TIMEOUT_MS);
	nng_ctx_send(call->ctx, call->send_aio);
}

static void sent(void *arg)
{
	struct wire_call *call = arg;

	if (nng_aio_result(call->send_aio) != 0) { // the message was not taken
		nng_msg *message = nng_aio_get_msg(call->send_aio);

		nng_aio_set_msg(call->send_aio, NULL);
		if (message != NULL)
			nng_msg_free(message);
	}
	begin_receive(call);
}

static void refuse(struct wire_call *call, const struct error *why)
{
	static struct log_ratelimit limit = {.interval_ms = 10000, .burst = 10};
	struct reply reply;

	if (log_ratelimit_ok(&limit))
		log_warning("malformed request refused", "error=\"%s\"", why->message);
	reply_from_error(&reply, why);
	send_reply(call, &reply);
}

static void received(void *arg)
{
	struct wire_call *call = arg;
	struct wire_server *server = call->server;
	int rv = nng_aio_result(call->recv_aio);
	struct error why = {0};

	if (rv != 0) {
		if (rv != NNG_ECANCELED && rv != NNG_ECLOSED)
			log_error("receiving failed, one call less can be served", "error=\"%s\"",
				  nng_strerror(rv));
		return;
	}
	nng_msg *message = nng_aio_get_msg(call->recv_aio);
	nng_aio_set_msg(call->recv_aio, NULL);
	call->arrived_ms = wire_now_ms();
	int r = codec_decode_request(nng_msg_body(message), nng_msg_len(message), &call->request,
				     &why);
	nng_msg_free(message);
	if (r < 0) {
		refuse(call, &why);
		return;
	}
	pthread_mutex_lock(&server->mutex);
	server->lent++;
	pthread_mutex_unlock(&server->mutex);
	server->handler(call, server->arg);
}

// ---- a call, for the handler ---------------------------------------------------------------------

const struct request *wire_call_request(const struct wire_call *call)
{
	return &call->request;
}

int64_t wire_call_remaining_ms(const struct wire_call *call)
{
	return call->arrived_ms + call->request.timeout_ms - wire_now_ms();
}

void wire_call_reply(struct wire_call *call, const struct reply *reply)
{
	struct wire_server *server = call->server;

	if (wire_call_remaining_ms(call) <= 0)
		begin_receive(call); // nobody waits for it any more
	else
		send_reply(call, reply);

	// After this the server may be gone.
	pthread_mutex_lock(&server->mutex);
	if (--server->lent == 0)
		pthread_cond_signal(&server->returned);
	pthread_mutex_unlock(&server->mutex);
}

// ---- start and stop ------------------------------------------------------------------------------

static int open_contexts(struct wire_server *server)
{
	for (uint32_t i = 0; i < server->call_count; i++) {
		struct wire_call *call = &server->calls[i];
		int rv;

		call->server = server;
		if ((rv = nng_aio_alloc(&call->recv_aio, received, call)) != 0 ||
		    (rv = nng_aio_alloc(&call->send_aio, sent, call)) != 0 ||
		    (rv = nng_ctx_open(&call->ctx, server->socket)) != 0)
			return rv;
		call->open = true;
	}
	return 0;
}

static int start_listener(struct wire_server *server, const struct wire_server_config *config)
{
	int rv;

	if ((rv = nng_socket_set_size(server->socket, NNG_OPT_RECVMAXSZ, WIRE_RECV_BYTES_MAX)) !=
		    0 ||
	    (rv = nng_listener_create(&server->listener, server->socket, config->url)) != 0)
		return rv;
	if (strncmp(config->url, "ipc:", 4) == 0 &&
	    (rv = nng_listener_set_int(server->listener, NNG_OPT_IPC_PERMISSIONS,
				       (int)config->socket_mode)) != 0)
		return rv;
	if (server->tls_config != NULL &&
	    (rv = nng_listener_set_ptr(server->listener, NNG_OPT_TLS_CONFIG, server->tls_config)) !=
		    0)
		return rv;
	return nng_listener_start(server->listener, 0);
}

// In the order that nng 1.5 takes well: nothing received any more, everything sent, then close.
static void quiesce(struct wire_server *server)
{
	for (uint32_t i = 0; i < server->call_count; i++)
		if (server->calls[i].recv_aio != NULL)
			nng_aio_stop(server->calls[i].recv_aio);
	pthread_mutex_lock(&server->mutex);
	while (server->lent > 0)
		pthread_cond_wait(&server->returned, &server->mutex);
	pthread_mutex_unlock(&server->mutex);
	for (uint32_t i = 0; i < server->call_count; i++)
		if (server->calls[i].send_aio != NULL)
			nng_aio_wait(server->calls[i].send_aio);
}

static void free_server(struct wire_server *server)
{
	for (uint32_t i = 0; i < server->call_count; i++) {
		struct wire_call *call = &server->calls[i];

		if (call->open)
			nng_ctx_close(call->ctx);
		nng_aio_free(call->recv_aio); // NULL is fine
		nng_aio_free(call->send_aio);
	}
	wire_close_socket(server->socket, NULL); // nothing of ours hangs on it any more
	if (server->tls_config != NULL)
		nng_tls_config_free(server->tls_config);
	pthread_cond_destroy(&server->returned);
	pthread_mutex_destroy(&server->mutex);
	free(server->calls);
	free(server->url);
	free(server);
}

static int make_server(const struct wire_server_config *config, struct wire_server **ret_server)
{
	struct wire_server *server = calloc(1, sizeof(*server));

	if (server == NULL)
		return -ENOMEM;
	server->calls = calloc(config->contexts, sizeof(*server->calls));
	server->url = strdup(config->url);
	if (server->calls == NULL || server->url == NULL || nng_rep0_open(&server->socket) != 0) {
		free(server->calls);
		free(server->url);
		free(server);
		return -ENOMEM;
	}
	server->call_count = config->contexts;
	server->handler = config->handler;
	server->connections_suspect = CONNECTIONS_SUSPECT;
	server->arg = config->arg;
	pthread_mutex_init(&server->mutex, NULL);
	pthread_cond_init(&server->returned, NULL);
	*ret_server = server;
	return 0;
}

int wire_server_start(const struct wire_server_config *config, struct wire_server **ret_server,
		      struct error *err)
{
	struct wire_server *server = NULL;
	nng_tls_config *tls_config = NULL;
	int r, rv;

	if (config->contexts < 1 || config->contexts > CONTEXTS_MAX)
		return error_set(err, EINVAL, CODE_BAD_REQUEST, "contexts: %u is not in 1..%d",
				 config->contexts, (int)CONTEXTS_MAX);
	r = wire_endpoint_check(config->url, &config->tls, config->insecure, NNG_TLS_MODE_SERVER,
				&tls_config, err);
	if (r < 0)
		return r;
	r = make_server(config, &server);
	if (r < 0) {
		if (tls_config != NULL)
			nng_tls_config_free(tls_config);
		return error_set(err, -r, CODE_INTERNAL, "%s: out of memory", config->url);
	}
	server->tls_config = tls_config;
	if ((rv = open_contexts(server)) != 0 || (rv = start_listener(server, config)) != 0) {
		free_server(server);
		return error_set(err, wire_errno(rv), CODE_BAD_REQUEST, "cannot listen on %s: %s",
				 config->url, nng_strerror(rv));
	}
	// Only now: a handler never runs in a server that failed to start.
	for (uint32_t i = 0; i < server->call_count; i++)
		begin_receive(&server->calls[i]);
	*ret_server = server;
	return 0;
}

// ---- certificates --------------------------------------------------------------------------------

// nng already waits for the next connection, with the certificate that was in force when it began to. A connection of our own
// takes that place.
static void use_up_accept(const struct wire_server *server)
{
	nng_stream_dialer *dialer;
	const char *address = strstr(server->url, "tcp://");
	nng_stream *stream;
	nng_aio *aio;

	if (address == NULL || nng_stream_dialer_alloc(&dialer, address) != 0)
		return;
	if (nng_aio_alloc(&aio, NULL, NULL) == 0) {
		nng_aio_set_timeout(aio, SEND_TIMEOUT_MS);
		nng_stream_dialer_dial(dialer, aio);
		nng_aio_wait(aio);
		if (nng_aio_result(aio) == 0) {
			stream = nng_aio_get_output(aio, 0);
			nng_stream_close(stream);
			nng_stream_free(stream);
		}
		nng_aio_free(aio);
	}
	nng_stream_dialer_close(dialer);
	nng_stream_dialer_free(dialer);
}

int wire_server_renew(struct wire_server *server, const struct wire_tls *tls, struct error *err)
{
	nng_tls_config *config;
	int r, rv;

	if (server->tls_config == NULL)
		return 0;
	r = wire_endpoint_check(server->url, tls, false, NNG_TLS_MODE_SERVER, &config, err);
	if (r < 0)
		return r;
	rv = nng_listener_set_ptr(server->listener, NNG_OPT_TLS_CONFIG, config);
	if (rv != 0) {
		nng_tls_config_free(config);
		return error_set(err, wire_errno(rv), CODE_INTERNAL, "%s: TLS: %s", server->url,
				 nng_strerror(rv));
	}
	use_up_accept(server);
	// Only now: until then nng may just have been taking it for a connection.
	nng_tls_config_free(server->tls_config);
	server->tls_config = config;
	log_info("certificates renewed", "url=%s", server->url);
	return 0;
}

static void warn_of_tls(struct wire_server *server)
{
	static struct log_ratelimit limit = {.interval_ms = 60000, .burst = 5};
	uint64_t failures = wire_statistic("listener", nng_listener_id(server->listener), "auth");

	if (failures == server->tls_failures)
		return;
	if (log_ratelimit_ok(&limit))
		log_warning(
			"a peer was refused: it has no certificate that is of our authority and "
			"in date, or refuses ours",
			"url=%s times=%llu", server->url,
			(unsigned long long)(failures - server->tls_failures));
	server->tls_failures = failures;
}

bool wire_server_watch(struct wire_server *server)
{
	uint64_t connections;

	if (server->tls_config != NULL)
		warn_of_tls(server);
	connections = wire_statistic("listener", nng_listener_id(server->listener), "pipes");
	if (connections < server->connections_suspect)
		return false;
	// Asked again only when there are as many again: so many may be there by right.
	server->connections_suspect = connections + CONNECTIONS_SUSPECT;
	return !wire_reaper_works();
}

void wire_server_stop(struct wire_server *server)
{
	if (server == NULL)
		return;
	quiesce(server);
	free_server(server);
}
