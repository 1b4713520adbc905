// SPDX-License-Identifier: BSD-3-Clause
//
// The client's links: see wire_client.c. nng dials, and dials again when a connection breaks. Where that fails for good
// (wire_private.h), a thread of the client's own, the keeper, replaces the whole socket.
//
// The keeper also renews certificates. A link with the new ones is made beside the old one, which serves until the new one is
// up, and after that until the last of its calls has ended. If the peer refuses the new ones, the old link goes on.
//
// It does the same with a link that is up, and takes calls, but answers nothing, as one to a listener that accepts no more.
// The peer may as well be slow, so calls under way keep their link. While one link is
// being left, the next waits for that to end, unless the one between them answers nothing.

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>

#include "proto/base/log.h"
#include "proto/wire_client_private.h"

enum {
	RENEW_DOUBLINGS = 5,
	RENEW_MIN_MS = 1000, // a link is not replaced before it was down for so long
	// Nor before so many times the longest wait of nng's dialer, which dials again by itself but where it takes an error for
	// its own end.
	RENEW_BACKOFFS = 2,
};

pthread_mutex_t wire_client_mutex = PTHREAD_MUTEX_INITIALIZER;

// ---- the link ------------------------------------------------------------------------------------

// Under the mutex.
static void report_link(struct wire_client *client, bool up)
{
	pthread_cond_broadcast(&client->changed);
	if (client->on_link != NULL && !client->closing)
		client->on_link(up, client->arg);
}

// nng's threads. Of a pipe that lives shortly both events may come at once, in any order.
static void pipe_event(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
	struct link *link = arg;
	int id = nng_pipe_id(pipe);

	pthread_mutex_lock(&wire_client_mutex);
	if (link->client != NULL) {
		bool before = link->up;

		if (event == NNG_PIPE_EV_ADD_POST && id != link->removed_pipe) {
			link->up = link->was_up = true;
			link->client->refusal[0] = '\0';
			link->pipe = id;
		} else if (event == NNG_PIPE_EV_REM_POST) {
			link->removed_pipe = id;
			if (link->up && link->pipe == id) {
				link->up = false;
				link->down_since_ms = wire_now_ms();
			}
		}
		if (link->up != before && link == link->client->link)
			report_link(link->client, link->up);
		else if (link->up != before)
			pthread_cond_broadcast(&link->client->changed); // the keeper's affair
	}
	pthread_mutex_unlock(&wire_client_mutex);
}

int wire_link_open(struct wire_client *client, struct link **ret_link)
{
	struct link *link = calloc(1, sizeof(*link));
	int rv;

	if (link == NULL)
		return NNG_ENOMEM;
	link->client = client;
	link->down_since_ms = wire_now_ms();
	LIST_INIT(&link->calls);
	rv = nng_req0_open(&link->socket);
	if (rv != 0) {
		free(link);
		return rv;
	}
	*ret_link = link;
	return 0;
}

// Options first, then the dialer, which inherits them, then the dialling.
int wire_link_start(const struct wire_client *client, nng_tls_config *tls_config, struct link *link)
{
	nng_socket socket = link->socket;
	int rv;

	if ((rv = nng_socket_set_ms(socket, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE)) != 0 ||
	    (rv = nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, WIRE_RECV_BYTES_MAX)) != 0 ||
	    (rv = nng_socket_set_ms(socket, NNG_OPT_RECONNMINT,
				    (nng_duration)client->reconnect_min_ms)) != 0 ||
	    (rv = nng_socket_set_ms(socket, NNG_OPT_RECONNMAXT,
				    (nng_duration)client->reconnect_max_ms)) != 0 ||
	    (rv = nng_pipe_notify(socket, NNG_PIPE_EV_ADD_POST, pipe_event, link)) != 0 ||
	    (rv = nng_pipe_notify(socket, NNG_PIPE_EV_REM_POST, pipe_event, link)) != 0 ||
	    (rv = nng_dialer_create(&link->dialer, socket, client->url)) != 0)
		return rv;
	if (tls_config != NULL &&
	    (rv = nng_dialer_set_ptr(link->dialer, NNG_OPT_TLS_CONFIG, tls_config)) != 0)
		return rv;
	return nng_dialer_start(link->dialer, NNG_FLAG_NONBLOCK);
}

void wire_link_close(struct link *link)
{
	pthread_mutex_lock(&wire_client_mutex);
	link->client = NULL;
	pthread_mutex_unlock(&wire_client_mutex);
	wire_close_socket(link->socket, link); // until it is closed, events may come
}

void wire_link_end_calls(struct wire_client *client, struct link *link, int nng_error)
{
	struct client_call *call;

	link->ended = true;
	LIST_FOREACH (call, &link->calls, entry)
		nng_aio_abort(call->aio, nng_error);
	while (!LIST_EMPTY(&link->calls))
		pthread_cond_wait(&client->changed, &wire_client_mutex);
}

// ---- the keeper ----------------------------------------------------------------------------------

// A link has not come up for long: was it TLS? nng does not tell, but its statistics do.
static void warn_of_tls(struct wire_client *client, const struct link *link)
{
	static struct log_ratelimit limit = {.interval_ms = 60000, .burst = 3};
	static const char either[] =
		"the peer refuses our certificate, or its own is of another authority, for another "
		"name or out of date";
	char ca[LIMIT_PATH + 1], certificate[LIMIT_PATH + 1], fault[LIMIT_TEXT + 1];
	const struct wire_tls files = {.ca_file = ca, .certificate_file = certificate};
	uint64_t failures;
	bool ours;

	if (client->tls_config == NULL || link->was_up)
		return;
	failures = wire_statistic("dialer", nng_dialer_id(link->dialer), "auth");
	if (failures == 0)
		return;
	pthread_mutex_lock(&wire_client_mutex);
	memcpy(ca, client->ca_file, sizeof(ca));
	memcpy(certificate, client->certificate_file, sizeof(certificate));
	pthread_mutex_unlock(&wire_client_mutex);
	ours = wire_certificate_fault(&files, fault);
	pthread_mutex_lock(&wire_client_mutex);
	if (!client->link->up)
		snprintf(client->refusal, sizeof(client->refusal), "no connection by TLS: %.450s",
			 ours ? fault : either);
	pthread_mutex_unlock(&wire_client_mutex);
	if (log_ratelimit_ok(&limit))
		log_warning("no connection by TLS", "url=%s times=%llu reason=\"%s\"", client->url,
			    (unsigned long long)failures, ours ? fault : either);
}

// A new link that dials, with the certificates as they are now. Not under the mutex. Returns 0 or an error of nng's.
static int make_link(struct wire_client *client, struct link **ret_link)
{
	nng_tls_config *tls_config;
	struct link *link;
	int rv = wire_link_open(client, &link);

	if (rv != 0)
		return rv;
	pthread_mutex_lock(&wire_client_mutex);
	tls_config = client->tls_config;
	if (tls_config != NULL)
		nng_tls_config_hold(tls_config);
	pthread_mutex_unlock(&wire_client_mutex);
	rv = wire_link_start(client, tls_config, link);
	if (tls_config != NULL)
		nng_tls_config_free(tls_config);
	if (rv != 0)
		log_warning("dialling failed", "url=%s error=\"%s\"", client->url,
			    nng_strerror(rv));
	*ret_link = link; // it is replaced in its turn if it does not dial
	return 0;
}

static void replace_link(struct wire_client *client)
{
	struct link *link = NULL, *old = client->link;
	int rv;

	warn_of_tls(client, old);
	rv = make_link(client, &link);
	pthread_mutex_lock(&wire_client_mutex);
	if (rv == 0) {
		client->link = link;
		old->client = NULL;
		if (old->up != link->up)
			report_link(client, link->up);
		wire_link_end_calls(client, old, NNG_ECONNRESET);
	} else { // no memory, no file descriptors: again after the same time
		old->down_since_ms = wire_now_ms();
		old->suspect = false;
	}
	pthread_mutex_unlock(&wire_client_mutex);
	if (rv != 0)
		return;
	log_debug("link replaced", "url=%s", client->url);
	wire_link_close(old);
}

// New certificates: a link with them beside the one that is there.
static void begin_next(struct wire_client *client)
{
	struct link *link, *old = client->next;

	if (old != NULL) {
		warn_of_tls(client, old);
		pthread_mutex_lock(&wire_client_mutex);
		client->next = NULL;
		pthread_mutex_unlock(&wire_client_mutex);
		wire_link_close(old);
	}
	if (make_link(client, &link) != 0)
		return;
	pthread_mutex_lock(&wire_client_mutex);
	client->next = link;
	pthread_mutex_unlock(&wire_client_mutex);
}

// Under the mutex. New calls go by the next link from here on; those under way stay where they are.
static void take_over(struct wire_client *client)
{
	struct link *former = client->link;

	client->link = client->next;
	client->next = NULL;
	SLIST_INSERT_HEAD(&client->formers, former, former);
	if (former->up != client->link->up)
		report_link(client, client->link->up);
	log_info("link renewed", "url=%s", client->url);
}

// A link that was taken over from and has no calls any more. Under the mutex.
static struct link *idle_former(const struct wire_client *client)
{
	struct link *former;

	SLIST_FOREACH (former, &client->formers, former) {
		if (LIST_EMPTY(&former->calls))
			return former;
	}
	return NULL;
}

static void end_former(struct wire_client *client)
{
	struct link *former;

	pthread_mutex_lock(&wire_client_mutex);
	former = idle_former(client);
	SLIST_REMOVE(&client->formers, former, link, former);
	pthread_mutex_unlock(&wire_client_mutex);
	wire_link_close(former);
}

static void replace_deaf(struct wire_client *client)
{
	log_warning("the connection answers nothing: making another one", "url=%s", client->url);
	begin_next(client);
}

// What the keeper is to do now; NULL: wait, until something changes or *ret_until_ms. Under the mutex.
static void (*next_step(struct wire_client *client, int64_t *ret_until_ms))(struct wire_client *)
{
	int64_t renew_ms = (int64_t)client->reconnect_max_ms * RENEW_BACKOFFS, until_ms = INT64_MAX;
	const struct link *link = client->link, *next = client->next;

	if (renew_ms < RENEW_MIN_MS)
		renew_ms = RENEW_MIN_MS;
	// Where nng closes nothing any more, each replacement leaves a socket and a thread behind.
	renew_ms <<= wire_left_behind() < RENEW_DOUBLINGS ? wire_left_behind() : RENEW_DOUBLINGS;
	if (client->renew) {
		client->renew = false;
		return begin_next;
	}
	if (idle_former(client) != NULL)
		return end_former;
	if (next != NULL && (next->up || !link->up) &&
	    (SLIST_EMPTY(&client->formers) || (next->up && (link->unanswered || !link->up))))
		take_over(client);
	link = client->link;
	next = client->next;
	if (link->suspect)
		return replace_link;
	if (!link->up)
		until_ms = link->down_since_ms + renew_ms;
	if (!link->up && wire_now_ms() >= until_ms)
		return replace_link;
	if (next == NULL && link->up && link->unanswered && !link->answered) {
		if (wire_now_ms() >= client->deaf_until_ms) {
			client->deaf_until_ms = wire_now_ms() + renew_ms;
			return replace_deaf;
		}
		until_ms = client->deaf_until_ms;
	}
	if (next != NULL && !next->up && next->down_since_ms + renew_ms < until_ms)
		until_ms = next->down_since_ms + renew_ms;
	if (next != NULL && !next->up && wire_now_ms() >= next->down_since_ms + renew_ms)
		return begin_next;
	*ret_until_ms = until_ms;
	return NULL;
}

void *wire_link_keep(void *arg)
{
	struct wire_client *client = arg;
	void (*step)(struct wire_client *);
	int64_t until_ms;

	pthread_mutex_lock(&wire_client_mutex);
	while (!client->closing) {
		step = next_step(client, &until_ms);
		if (step != NULL) {
			pthread_mutex_unlock(&wire_client_mutex);
			step(client);
			pthread_mutex_lock(&wire_client_mutex);
		} else if (until_ms == INT64_MAX) {
			pthread_cond_wait(&client->changed, &wire_client_mutex);
		} else {
			wire_wait_until(&client->changed, &wire_client_mutex, until_ms);
		}
	}
	pthread_mutex_unlock(&wire_client_mutex);
	return NULL;
}
