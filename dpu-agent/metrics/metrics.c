// SPDX-License-Identifier: BSD-3-Clause
//
// See metrics.h. `lock` guards what both sides touch. nng takes its server apart in a thread of its own, after
// metrics_stop has returned, and its handler may still be called meanwhile: so handler and loop each hold a
// reference, and the last one frees.

#include "metrics/metrics.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nng/nng.h>
#include <nng/supplemental/http/http.h>

#include "metrics/metrics_text.h"
#include "proto/base/log.h"

enum {
	// Questions that wait for the control thread; the text is written once for all of them. Beyond,
	// the answer is 503, at once.
	METRICS_QUEUE_MAX = 16,
};

struct metrics {
	nng_http_server *server;
	struct control *control;
	uint16_t port;
	uv_async_t wake;
	pthread_mutex_t lock;
	nng_aio *queue[METRICS_QUEUE_MAX];
	size_t queued;
	bool stopping;
	unsigned int references;
};

static void unreference(void *arg)
{
	struct metrics *metrics = arg;
	bool last;

	pthread_mutex_lock(&metrics->lock);
	last = --metrics->references == 0;
	pthread_mutex_unlock(&metrics->lock);
	if (!last)
		return;
	pthread_mutex_destroy(&metrics->lock);
	free(metrics);
}

// ---- answers ---------------------------------------------------------------------------------------

static void answer_error(nng_aio *aio, uint16_t status)
{
	nng_http_res *response;
	int r = nng_http_res_alloc_error(&response, status);

	if (r == 0)
		nng_aio_set_output(aio, 0, response);
	nng_aio_finish(aio, r);
}

static void answer_text(nng_aio *aio, const char *text, size_t size)
{
	nng_http_res *response;

	if (nng_http_res_alloc(&response) != 0) {
		nng_aio_finish(aio, NNG_ENOMEM);
		return;
	}
	if (nng_http_res_copy_data(response, text, size) != 0 ||
	    nng_http_res_set_header(response, "Content-Type",
				    "text/plain; version=0.0.4; charset=utf-8") != 0) {
		nng_http_res_free(response);
		nng_aio_finish(aio, NNG_ENOMEM);
		return;
	}
	nng_aio_set_output(aio, 0, response);
	nng_aio_finish(aio, 0);
}

// On a thread of nng, which waits for nng_aio_finish before it frees the connection.
static void on_request(nng_aio *aio)
{
	nng_http_handler *handler = nng_aio_get_input(aio, 1);
	struct metrics *metrics = nng_http_handler_get_data(handler);
	bool queued = false;

	pthread_mutex_lock(&metrics->lock);
	if (!metrics->stopping && metrics->queued < METRICS_QUEUE_MAX) {
		metrics->queue[metrics->queued++] = aio;
		uv_async_send(&metrics->wake);
		queued = true;
	}
	pthread_mutex_unlock(&metrics->lock);
	if (!queued)
		answer_error(aio, NNG_HTTP_STATUS_SERVICE_UNAVAILABLE);
}

// Loop thread.
static void drain(struct metrics *metrics)
{
	nng_aio *queue[METRICS_QUEUE_MAX];
	size_t queued, size;
	char *text;
	int r;

	pthread_mutex_lock(&metrics->lock);
	queued = metrics->queued;
	memcpy(queue, metrics->queue, sizeof(queue));
	metrics->queued = 0;
	pthread_mutex_unlock(&metrics->lock);
	if (queued == 0)
		return;
	r = metrics_write(metrics->control, &text, &size);
	for (size_t i = 0; i < queued; i++) {
		if (r < 0)
			answer_error(queue[i], NNG_HTTP_STATUS_INTERNAL_SERVER_ERROR);
		else
			answer_text(queue[i], text, size);
	}
	if (r == 0)
		free(text);
}

static void on_wake(uv_async_t *handle)
{
	drain(handle->data);
}

static void on_closed(uv_handle_t *handle)
{
	unreference(handle->data);
}

// ---- start and stop --------------------------------------------------------------------------------

static int add_handler(struct metrics *metrics)
{
	nng_http_handler *handler;
	int r = nng_http_handler_alloc(&handler, "/metrics", on_request);

	if (r != 0)
		return r;
	// A GET has no body; one that has is answered 400.
	r = nng_http_handler_collect_body(handler, true, 0);
	if (r == 0)
		r = nng_http_handler_set_data(handler, metrics, unreference);
	if (r == 0) {
		metrics->references++;
		r = nng_http_server_add_handler(metrics->server, handler);
	}
	if (r != 0)
		nng_http_handler_free(handler);
	return r;
}

static int listen_at(struct metrics *metrics, const char *address)
{
	char text[LIMIT_PATH + sizeof("http://")];
	nng_sockaddr bound;
	nng_url *url;
	int r;

	snprintf(text, sizeof(text), "http://%s", address);
	r = nng_url_parse(&url, text);
	if (r != 0)
		return r;
	r = nng_http_server_hold(&metrics->server, url);
	nng_url_free(url);
	if (r != 0)
		return r;
	r = add_handler(metrics);
	if (r == 0)
		r = nng_http_server_start(metrics->server);
	if (r == 0)
		r = nng_http_server_get_addr(metrics->server, &bound);
	if (r != 0) {
		nng_http_server_release(metrics->server);
		return r;
	}
	metrics->port =
		ntohs(bound.s_family == NNG_AF_INET6 ? bound.s_in6.sa_port : bound.s_in.sa_port);
	return 0;
}

int metrics_start(const char *address, uv_loop_t *loop, struct control *control,
		  struct metrics **ret_metrics, struct error *err)
{
	struct metrics *metrics = calloc(1, sizeof(*metrics));
	int r;

	if (metrics == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "out of memory");
	metrics->control = control;
	metrics->references = 1;
	r = uv_async_init(loop, &metrics->wake, on_wake);
	if (r < 0) {
		free(metrics);
		return error_set(err, -r, CODE_INTERNAL, "event loop: %s", uv_strerror(r));
	}
	metrics->wake.data = metrics;
	pthread_mutex_init(&metrics->lock, NULL);
	r = listen_at(metrics, address);
	if (r != 0) {
		uv_close((uv_handle_t *)&metrics->wake, on_closed);
		return error_set(err, r == NNG_EADDRINUSE ? EADDRINUSE : EINVAL, CODE_BAD_REQUEST,
				 "metrics: cannot listen at %s: %s", address, nng_strerror(r));
	}
	*ret_metrics = metrics;
	return 0;
}

void metrics_stop(struct metrics *metrics)
{
	if (metrics == NULL)
		return;
	pthread_mutex_lock(&metrics->lock);
	metrics->stopping = true;
	pthread_mutex_unlock(&metrics->lock);
	drain(metrics);
	nng_http_server_stop(metrics->server);
	nng_http_server_release(metrics->server);
	uv_close((uv_handle_t *)&metrics->wake, on_closed);
}

uint16_t metrics_port(const struct metrics *metrics)
{
	return metrics->port;
}
