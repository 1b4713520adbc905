// SPDX-License-Identifier: BSD-3-Clause
//
// See wire_harness.h.

#include "proto/wire_harness.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>
#include <nng/nng.h>

#include "proto/wire_private.h"

enum { HELD_MAX = 128 };

char harness_url[80];
char harness_socket[64];
bool harness_nng_is_stuck;
static char folder[] = "/tmp/podport-wire-test-XXXXXX";

// nng 1.5 loses a listener that is closed while a connection to it is being set up. Read by
// LeakSanitizer, where there is one; what is allocated by ourselves still counts.
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libnng.so";
}

int harness_set_up(void **state)
{
	if (mkdtemp(folder) == NULL)
		return -1;
	snprintf(harness_socket, sizeof(harness_socket), "%s/agent.sock", folder);
	snprintf(harness_url, sizeof(harness_url), "ipc://%s", harness_socket);
	return 0;
}

int harness_tear_down(void **state)
{
	if (!harness_nng_is_stuck)
		nng_fini(); // what it still takes apart in the background is no leak
	unlink(harness_socket);
	return rmdir(folder);
}

unsigned int harness_free_port(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	close(fd);
	return ntohs(address.sin_port);
}

// ---- the server's end ----------------------------------------------------------------------------

static pthread_mutex_t held_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct wire_call *held[HELD_MAX];
static unsigned int held_count;
atomic_uint harness_handled;
_Atomic int64_t harness_seen_remaining_ms;

static void answer(struct wire_call *call)
{
	const struct request *request = wire_call_request(call);
	struct reply reply;

	sample_reply(request->call, SAMPLE_TYPICAL, &reply);
	// Something of the request, so that answers cannot be mixed up unseen.
	if (request->call == CALL_DETACH)
		reply.body.detach.function.vf = (uint16_t)request->body.detach.sandbox.inode;
	wire_call_reply(call, &reply);
	reply_clear(&reply);
}

void handle(struct wire_call *call, void *arg)
{
	const struct request *request = wire_call_request(call);
	const char *what = request->body.detach.key.container_id;

	assert_ptr_equal(arg, &harness_handled);
	atomic_fetch_add(&harness_handled, 1);
	atomic_store(&harness_seen_remaining_ms, wire_call_remaining_ms(call));
	if (request->call == CALL_DETACH && (strcmp(what, "later") == 0)) {
		pthread_mutex_lock(&held_mutex);
		assert_true(held_count < HELD_MAX);
		held[held_count++] = call;
		pthread_mutex_unlock(&held_mutex);
	} else if (request->call == CALL_DETACH && strcmp(what, "huge") == 0) {
		struct reply reply = {.call = CALL_LIST};

		reply.body.list.count = LIMIT_PAGE + 1;
		wire_call_reply(call, &reply);
	} else {
		answer(call);
	}
}

unsigned int count_held(void)
{
	pthread_mutex_lock(&held_mutex);
	unsigned int count = held_count;
	pthread_mutex_unlock(&held_mutex);
	return count;
}

int64_t held_remaining_ms(void)
{
	pthread_mutex_lock(&held_mutex);
	assert_true(held_count > 0);
	int64_t left = wire_call_remaining_ms(held[0]);
	pthread_mutex_unlock(&held_mutex);
	return left;
}

void answer_held(void)
{
	struct wire_call *calls[HELD_MAX];

	pthread_mutex_lock(&held_mutex);
	unsigned int count = held_count;
	memcpy(calls, held, sizeof(calls));
	held_count = 0;
	pthread_mutex_unlock(&held_mutex);
	for (unsigned int i = 0; i < count; i++)
		answer(calls[i]);
}

struct wire_server *start_server(uint32_t contexts)
{
	struct wire_server_config config = {.url = harness_url,
					    .contexts = contexts,
					    .socket_mode = 0600,
					    .handler = handle,
					    .arg = &harness_handled};
	struct wire_server *server = NULL;
	struct error err = {0};

	atomic_store(&harness_handled, 0);
	if (wire_server_start(&config, &server, &err) < 0)
		fail_msg("%s", err.message);
	return server;
}

atomic_int harness_ups, harness_downs;

static void on_link(bool up, void *arg)
{
	assert_ptr_equal(arg, &harness_ups);
	atomic_fetch_add(up ? &harness_ups : &harness_downs, 1);
}

struct wire_client *open_client(void)
{
	struct wire_client_config config = {.url = harness_url,
					    .reconnect_min_ms = 10,
					    .reconnect_max_ms = 50,
					    .on_link = on_link,
					    .arg = &harness_ups};
	struct wire_client *client = NULL;
	struct error err = {0};

	atomic_store(&harness_ups, 0);
	atomic_store(&harness_downs, 0);
	if (wire_client_open(&config, &client, &err) < 0)
		fail_msg("%s", err.message);
	return client;
}

struct request detach(const char *what, uint64_t inode)
{
	struct request request;

	sample_request(CALL_DETACH, SAMPLE_TYPICAL, &request);
	snprintf(request.body.detach.key.container_id, LIMIT_NAME, "%s", what);
	request.body.detach.sandbox.inode = inode;
	return request;
}

// A call that must succeed.
void call_now(struct wire_client *client)
{
	struct request request = detach("now", 77);
	struct error err = {0};
	struct reply reply;

	if (wire_client_call(client, &request, LONG_MS, &reply, &err) < 0)
		fail_msg("%s%s", err.message,
			 wire_reaper_works() ? "" : " (nng's reaper is stuck: wire_private.h)");
	assert_int_equal(reply.code, CODE_OK);
	assert_int_equal(reply.body.detach.function.vf, 77);
}

// The first thing a call does with nng (-Wl,--wrap): it is then past the point from which
// wire_client_close waits for it.
int __real_nng_aio_alloc(nng_aio **ret_aio, void (*callback)(void *), void *arg);
int __wrap_nng_aio_alloc(nng_aio **ret_aio, void (*callback)(void *), void *arg);
static atomic_uint entered;

int __wrap_nng_aio_alloc(nng_aio **ret_aio, void (*callback)(void *), void *arg)
{
	if (callback == NULL) // not the server's
		atomic_fetch_add(&entered, 1);
	return __real_nng_aio_alloc(ret_aio, callback, arg);
}

static void *run_caller(void *arg)
{
	struct caller *caller = arg;

	caller->r = wire_client_call(caller->client, &caller->request, caller->timeout_ms,
				     &caller->reply, &caller->err);
	return NULL;
}

void start_caller(struct caller *caller, struct wire_client *client, const char *what,
		  uint64_t inode, uint32_t timeout_ms)
{
	memset(caller, 0, sizeof(*caller));
	caller->client = client;
	caller->request = detach(what, inode);
	caller->timeout_ms = timeout_ms;
	unsigned int before = atomic_load(&entered);
	assert_int_equal(pthread_create(&caller->thread, NULL, run_caller, caller), 0);
	WAIT_FOR(atomic_load(&entered) != before);
}
