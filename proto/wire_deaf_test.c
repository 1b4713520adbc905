// SPDX-License-Identifier: BSD-3-Clause
//
// A connection that is up, takes calls, and answers none: by a server that accepts, and does nothing more.

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>

#include "proto/wire_client_private.h"
#include "proto/wire_harness.h"

enum { SHORT_MS = 200, TRIES = 100 };

static atomic_int accepted;

static void count_accepted(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
	atomic_fetch_add(&accepted, 1);
}

// In the place of whoever listens at the URL; connections that there are stay.
static nng_socket start_deaf(void)
{
	nng_socket socket;

	unlink(harness_socket);
	assert_int_equal(nng_rep0_open(&socket), 0);
	atomic_store(&accepted, 0);
	assert_int_equal(nng_pipe_notify(socket, NNG_PIPE_EV_ADD_POST, count_accepted, NULL), 0);
	assert_int_equal(nng_listen(socket, harness_url, NULL, 0), 0);
	return socket;
}

static bool is_answered(struct wire_client *client)
{
	struct request request = detach("now", 77);
	struct error err;
	struct reply reply;
	int r = wire_client_call(client, &request, SHORT_MS, &reply, &err);

	assert_true(r == 0 || r == -ETIMEDOUT);
	return r == 0;
}

static void until_answered(struct wire_client *client)
{
	for (int i = 0; i < TRIES; i++) {
		if (is_answered(client))
			return;
	}
	fail_msg("no call is answered");
}

// What wire_client_renew does, where there are no certificates.
static void renew(struct wire_client *client)
{
	pthread_mutex_lock(&wire_client_mutex);
	client->renew = true;
	pthread_cond_broadcast(&client->changed);
	pthread_mutex_unlock(&wire_client_mutex);
}

static struct link *link_of(struct wire_client *client)
{
	pthread_mutex_lock(&wire_client_mutex);
	struct link *link = client->link;
	pthread_mutex_unlock(&wire_client_mutex);
	return link;
}

static void a_connection_that_never_answers_gives_way_to_another(void **state)
{
	nng_socket deaf = start_deaf();
	struct wire_client *client = open_client();

	assert_false(is_answered(client));
	unlink(harness_socket);
	struct wire_server *server = start_server(2);
	until_answered(client);
	// Nobody was told of it: there was a connection all the time.
	assert_int_equal(atomic_load(&harness_downs), 0);
	wire_client_close(client);
	wire_server_stop(server);
	nng_close(deaf);
}

static void a_call_under_way_elsewhere_does_not_keep_one_that_answers_nothing(void **state)
{
	struct wire_server *first = start_server(2);
	struct wire_client *client = open_client();
	struct link *link = link_of(client);
	struct caller caller;

	call_now(client);
	start_caller(&caller, client, "later", 5, LONG_MS);
	WAIT_FOR(count_held() == 1);
	nng_socket deaf = start_deaf();
	renew(client);
	WAIT_FOR(link_of(client) != link);
	assert_false(is_answered(client));
	unlink(harness_socket);
	struct wire_server *second = start_server(2);
	renew(client);
	until_answered(client);
	// All this time the first connection had its call.
	assert_int_equal(count_held(), 1);
	answer_held();
	pthread_join(caller.thread, NULL);
	assert_int_equal(caller.r, 0);
	assert_int_equal(caller.reply.body.detach.function.vf, 5);
	wire_client_close(client);
	wire_server_stop(first);
	wire_server_stop(second);
	nng_close(deaf);
}

static void a_slow_answer_is_no_reason_to_leave_a_connection_that_has_answered(void **state)
{
	struct wire_server *server = start_server(2);
	struct wire_client *client = open_client();
	struct link *link = link_of(client);
	struct request request = detach("later", 5);
	struct error err;
	struct reply reply;

	call_now(client);
	assert_int_equal(wire_client_call(client, &request, SHORT_MS, &reply, &err), -ETIMEDOUT);
	answer_held();
	call_now(client);
	assert_ptr_equal(link_of(client), link);
	wire_client_close(client);
	wire_server_stop(server);
}

static void calls_that_nobody_answers_make_no_crowd_of_connections(void **state)
{
	nng_socket deaf = start_deaf();
	struct wire_client *client = open_client();
	struct caller callers[20];
	int64_t begin_ms = wire_now_ms();

	for (size_t i = 0; i < 20; i++)
		start_caller(&callers[i], client, "now", 5, SHORT_MS);
	for (size_t i = 0; i < 20; i++) {
		pthread_join(callers[i].thread, NULL);
		assert_int_equal(callers[i].r, -ETIMEDOUT);
	}
	for (int i = 0; i < 5; i++)
		assert_false(is_answered(client));
	// One in a second, besides the first; on a slow machine this takes longer, too.
	assert_in_range(atomic_load(&accepted), 2, 3 + (wire_now_ms() - begin_ms) / 1000);
	wire_client_close(client);
	nng_close(deaf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connection_that_never_answers_gives_way_to_another),
		cmocka_unit_test(a_call_under_way_elsewhere_does_not_keep_one_that_answers_nothing),
		cmocka_unit_test(
			a_slow_answer_is_no_reason_to_leave_a_connection_that_has_answered),
		cmocka_unit_test(calls_that_nobody_answers_make_no_crowd_of_connections),
	};

	return cmocka_run_group_tests_name("wire, no answer", tests, harness_set_up,
					   harness_tear_down);
}
