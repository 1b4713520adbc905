// SPDX-License-Identifier: BSD-3-Clause
//
// Calls over the wire, in time and late, while the link comes and goes. Peers that are not ours:
// wire_peer_test.c; closing in the midst of traffic: wire_close_test.c; TLS: wire_tls_test.c.

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>

#include "proto/wire_harness.h"

// ---- calls ---------------------------------------------------------------------------------------

static void every_call_is_answered(void **state)
{
	struct wire_server *server = start_server(4);
	struct wire_client *client = open_client();

	for (enum call call = CALL_HELLO; call < CALL_COUNT; call++) {
		struct request request;
		struct reply reply, expected;
		struct error err = {0};

		sample_request(call, SAMPLE_LARGEST, &request);
		if (wire_client_call(client, &request, LONG_MS, &reply, &err) < 0)
			fail_msg("%s: %s", call_name(call), err.message);
		sample_reply(call, SAMPLE_TYPICAL, &expected);
		if (call == CALL_DETACH)
			expected.body.detach.function.vf =
				(uint16_t)request.body.detach.sandbox.inode;
		assert_true(reply_equal(&reply, &expected));
		reply_clear(&reply);
		reply_clear(&expected);
	}
	wire_client_close(client);
	wire_server_stop(server);
}

static void a_slow_call_does_not_hold_up_others(void **state)
{
	struct wire_server *server = start_server(2);
	struct wire_client *client = open_client();
	struct caller slow;

	start_caller(&slow, client, "later", 1, LONG_MS);
	WAIT_FOR(count_held() == 1);
	for (int i = 0; i < 100; i++)
		call_now(client);
	assert_int_equal(count_held(), 1);
	answer_held();
	pthread_join(slow.thread, NULL);
	assert_int_equal(slow.r, 0);
	assert_int_equal(slow.reply.body.detach.function.vf, 1);
	wire_client_close(client);
	wire_server_stop(server);
}

static void more_calls_than_contexts_wait_their_turn(void **state)
{
	enum { CONTEXTS = 2, CALLERS = 12 };
	struct wire_server *server = start_server(CONTEXTS);
	struct wire_client *client = open_client();
	struct caller callers[CALLERS];

	for (int i = 0; i < CALLERS; i++)
		start_caller(&callers[i], client, "later", 100 + (uint64_t)i, LONG_MS);
	for (int done = 0; done < CALLERS; done += CONTEXTS) {
		WAIT_FOR(count_held() == CONTEXTS);
		assert_int_equal(atomic_load(&harness_handled), done + CONTEXTS);
		answer_held();
	}
	for (int i = 0; i < CALLERS; i++) {
		pthread_join(callers[i].thread, NULL);
		assert_int_equal(callers[i].r, 0);
		assert_int_equal(callers[i].reply.body.detach.function.vf, 100 + i);
	}
	wire_client_close(client);
	wire_server_stop(server);
}

enum { THREADS = 64, CALLS_PER_THREAD = 100 };
static atomic_int wrong_answers;

static void *call_often(void *arg)
{
	struct wire_client *client = arg;
	static atomic_uint next_number;
	struct reply reply;
	struct error err;

	for (int i = 0; i < CALLS_PER_THREAD; i++) {
		uint16_t number = (uint16_t)atomic_fetch_add(&next_number, 1);
		struct request request = detach("now", number);

		if (wire_client_call(client, &request, LONG_MS, &reply, &err) < 0 ||
		    reply.body.detach.function.vf != number)
			atomic_fetch_add(&wrong_answers, 1);
	}
	return NULL;
}

static void many_threads_get_each_its_own_answer(void **state)
{
	struct wire_server *server = start_server(16);
	struct wire_client *client = open_client();
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, call_often, client), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&wrong_answers), 0);
	assert_int_equal(atomic_load(&harness_handled), THREADS * CALLS_PER_THREAD);
	wire_client_close(client);
	wire_server_stop(server);
}

static void a_reply_that_cannot_be_encoded_becomes_an_error(void **state)
{
	struct wire_server *server = start_server(1);
	struct wire_client *client = open_client();
	struct request request = detach("huge", 1);
	struct error err = {0};
	struct reply reply;

	assert_int_equal(wire_client_call(client, &request, LONG_MS, &reply, &err), 0);
	assert_int_equal(reply.code, CODE_INTERNAL);
	assert_string_equal(reply.message, "list: 16 attachments are more than 15");
	call_now(client);
	wire_client_close(client);
	wire_server_stop(server);
}

// ---- time ----------------------------------------------------------------------------------------

static void a_call_with_nobody_there_ends_in_time_and_says_so(void **state)
{
	struct wire_client *client = open_client();
	struct request request = detach("now", 1);
	struct error err = {0};
	struct reply reply;
	char expected[256];

	assert_int_equal(wire_client_call(client, &request, 50, &reply, &err), -ETIMEDOUT);
	assert_int_equal(err.code, CODE_AGENT_AWAY);
	snprintf(expected, sizeof(expected),
		 "the agent at %s has not answered for 0.050 s: there is no connection to it",
		 harness_url);
	assert_string_equal(err.message, expected);
	assert_int_equal(wire_client_call(client, &request, 0, &reply, &err), -ETIMEDOUT);
	assert_int_equal(atomic_load(&harness_ups), 0);
	wire_client_close(client);
}

static void a_call_waits_for_the_connection(void **state)
{
	struct wire_client *client = open_client();
	struct caller caller;

	start_caller(&caller, client, "now", 5, LONG_MS);
	usleep(100 * 1000);
	struct wire_server *server = start_server(1);
	pthread_join(caller.thread, NULL);
	assert_int_equal(caller.r, 0);
	assert_int_equal(caller.reply.body.detach.function.vf, 5);
	// The server is told what is left, not what there was.
	assert_in_range(atomic_load(&harness_seen_remaining_ms), 1, LONG_MS - 100);
	wire_client_close(client);
	wire_server_stop(server);
}

static void a_late_answer_is_dropped_and_reaches_nobody(void **state)
{
	struct wire_server *server = start_server(1);
	struct wire_client *client = open_client();
	struct request request = detach("later", 1);
	struct error err = {0};
	struct reply reply;

	assert_int_equal(wire_client_call(client, &request, 100, &reply, &err), -ETIMEDOUT);
	assert_int_equal(err.code, CODE_AGENT_AWAY);
	assert_non_null(strstr(err.message, "has not answered for 0.100 s"));
	assert_null(strstr(err.message, "no connection"));
	WAIT_FOR(count_held() == 1);
	WAIT_FOR(held_remaining_ms() <= 0);
	answer_held();
	call_now(client); // with the only context, which is free again; and gets its own answer
	wire_client_close(client);
	wire_server_stop(server);
}

// ---- the link comes and goes ---------------------------------------------------------------------

static void a_client_finds_a_restarted_server(void **state)
{
	struct wire_server *server = start_server(2);
	struct wire_client *client = open_client();

	for (int round = 1; round <= 3; round++) {
		call_now(client);
		assert_int_equal(atomic_load(&harness_ups), round);
		wire_server_stop(server);
		WAIT_FOR(atomic_load(&harness_downs) == round);
		server = start_server(2);
	}
	call_now(client);
	wire_client_close(client);
	assert_int_equal(atomic_load(&harness_downs), 3); // closing is no news to who closes
	wire_server_stop(server);
}

// A peer that takes a request and goes away without an answer: nng's own socket, closed.
static void a_call_is_never_sent_twice(void **state)
{
	struct wire_client *client = open_client();
	struct caller caller;
	nng_socket peer;
	nng_msg *message;

	assert_int_equal(nng_rep0_open(&peer), 0);
	assert_int_equal(nng_listen(peer, harness_url, NULL, 0), 0);
	start_caller(&caller, client, "now", 1, LONG_MS);
	assert_int_equal(nng_recvmsg(peer, &message, 0), 0);
	nng_msg_free(message);
	nng_close(peer);
	// The next peer is there at once, and hears of the next call only.
	struct wire_server *server = start_server(1);
	pthread_join(caller.thread, NULL);
	assert_int_equal(caller.r, -ECONNRESET);
	assert_int_equal(caller.err.code, CODE_AGENT_AWAY);
	assert_non_null(strstr(caller.err.message, "broke before it answered"));
	call_now(client);
	assert_int_equal(atomic_load(&harness_handled), 1);
	wire_client_close(client);
	wire_server_stop(server);
}

static void closing_a_client_ends_its_calls(void **state)
{
	enum { CALLERS = 8 };
	struct wire_server *server = start_server(CALLERS);
	struct wire_client *client = open_client();
	struct caller callers[CALLERS];

	for (int i = 0; i < CALLERS; i++)
		start_caller(&callers[i], client, "later", 1, LONG_MS);
	WAIT_FOR(count_held() == CALLERS);
	wire_client_close(client);
	for (int i = 0; i < CALLERS; i++) {
		pthread_join(callers[i].thread, NULL);
		assert_int_equal(callers[i].r, -ECANCELED);
		assert_int_equal(callers[i].err.code, CODE_AGENT_AWAY);
	}
	answer_held();
	wire_server_stop(server);

	// The same with calls that still wait for a connection.
	client = open_client();
	for (int i = 0; i < CALLERS; i++)
		start_caller(&callers[i], client, "now", 1, LONG_MS);
	wire_client_close(client);
	for (int i = 0; i < CALLERS; i++) {
		pthread_join(callers[i].thread, NULL);
		assert_int_equal(callers[i].r, -ECANCELED);
	}
}

static void *stop_server(void *arg)
{
	wire_server_stop(arg);
	return NULL;
}

static void stopping_a_server_waits_for_calls_that_are_lent_out(void **state)
{
	struct wire_server *server = start_server(2);
	struct wire_client *client = open_client();
	struct caller caller;
	pthread_t stopper;

	start_caller(&caller, client, "later", 9, LONG_MS);
	WAIT_FOR(count_held() == 1);
	assert_int_equal(pthread_create(&stopper, NULL, stop_server, server), 0);
	usleep(50 * 1000);
	assert_int_equal(pthread_tryjoin_np(stopper, NULL), EBUSY);
	answer_held();
	pthread_join(stopper, NULL);
	pthread_join(caller.thread, NULL);
	assert_int_equal(caller.r, 0); // and the answer went out
	assert_int_equal(caller.reply.body.detach.function.vf, 9);
	wire_client_close(client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_call_is_answered),
		cmocka_unit_test(a_slow_call_does_not_hold_up_others),
		cmocka_unit_test(more_calls_than_contexts_wait_their_turn),
		cmocka_unit_test(many_threads_get_each_its_own_answer),
		cmocka_unit_test(a_reply_that_cannot_be_encoded_becomes_an_error),
		cmocka_unit_test(a_call_with_nobody_there_ends_in_time_and_says_so),
		cmocka_unit_test(a_call_waits_for_the_connection),
		cmocka_unit_test(a_late_answer_is_dropped_and_reaches_nobody),
		cmocka_unit_test(a_client_finds_a_restarted_server),
		cmocka_unit_test(a_call_is_never_sent_twice),
		cmocka_unit_test(closing_a_client_ends_its_calls),
		cmocka_unit_test(stopping_a_server_waits_for_calls_that_are_lent_out),
	};

	return cmocka_run_group_tests_name("wire", tests, harness_set_up, harness_tear_down);
}
