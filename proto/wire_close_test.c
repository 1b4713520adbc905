// SPDX-License-Identifier: BSD-3-Clause
//
// Closing, and what goes on when nng 1.5 does not (wire_private.h). In a process of its own, because
// afterwards nng may be of little use in it.

#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>

#include "proto/wire_harness.h"
#include "proto/wire_private.h"

// ---- nng's reaper, stuck -------------------------------------------------------------------------
//
// Its callbacks run in it: one that does not return is as good as the defect itself, and certain.

static sem_t let_go;

static void get_stuck(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
	while (sem_wait(&let_go) != 0)
		continue;
}

static nng_socket left, right;

static void stick_reaper(void)
{
	assert_int_equal(sem_init(&let_go, 0, 0), 0);
	assert_int_equal(nng_pair0_open(&left), 0);
	assert_int_equal(nng_pair0_open(&right), 0);
	assert_int_equal(nng_pipe_notify(left, NNG_PIPE_EV_REM_POST, get_stuck, NULL), 0);
	assert_int_equal(nng_listen(left, "inproc://stuck", NULL, 0), 0);
	nng_dialer dialer;
	assert_int_equal(nng_dial(right, "inproc://stuck", &dialer, 0), 0);
	nng_dialer_close(dialer); // its pipe goes to the reaper, which calls get_stuck
}

static void unstick_reaper(void)
{
	assert_int_equal(sem_post(&let_go), 0);
	nng_close(left);
	nng_close(right);
	sem_destroy(&let_go);
}

static void a_client_finds_a_restarted_server_though_the_reaper_is_stuck(void **state)
{
	struct wire_server *server = start_server(2);
	struct wire_client *client = open_client();

	call_now(client);
	stick_reaper();
	for (int round = 0; round < 2; round++) {
		struct request request = detach("now", 1);
		struct reply reply;
		struct error err;
		int r, tries = 0;

		wire_server_stop(server); // takes its 2 s: it is left behind
		server = start_server(2);
		// The old connection is gone and nobody said so: the first call finds out.
		do {
			r = wire_client_call(client, &request, 1500, &reply, &err);
		} while (r < 0 && ++tries < 10);
		assert_int_equal(r, 0);
		assert_int_equal(reply.body.detach.function.vf, 1);
	}
	unstick_reaper();
	wire_client_close(client);
	wire_server_stop(server);
}

static int connect_and_leave(void)
{
	static const uint8_t hello[8] = {0, 'S', 'P', 0, 0, 0x30}; // a REQ
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct pollfd peer = {.events = POLLIN};
	uint8_t answer[8];

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", harness_socket);
	peer.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (peer.fd < 0 || connect(peer.fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    send(peer.fd, hello, sizeof(hello), MSG_NOSIGNAL) != sizeof(hello) ||
	    poll(&peer, 1, LONG_MS) != 1 || recv(peer.fd, answer, sizeof(answer), 0) < 0)
		return -1;
	return close(peer.fd);
}

static void
a_server_whose_connections_are_not_freed_asks_for_a_restart_and_still_serves(void **state)
{
	enum { PEERS = 300 };
	struct wire_server *server = start_server(2);
	struct wire_client *client;
	bool worn = false;

	for (int i = 0; i < PEERS; i++) {
		assert_int_equal(connect_and_leave(), 0);
		assert_false(wire_server_watch(server));
	}
	stick_reaper();
	// On a slow machine the first ones may have been many at a time, so that it takes as many more.
	for (int i = 0; i < 2 * PEERS && !worn; i++) {
		assert_int_equal(connect_and_leave(), 0);
		worn = wire_server_watch(server);
	}
	assert_true(worn);
	client = open_client();
	call_now(client);
	unstick_reaper();
	wire_client_close(client);
	wire_server_stop(server);
}

static void closing_takes_seconds_though_the_reaper_is_stuck(void **state)
{
	struct wire_server *server = start_server(2);
	struct wire_client *client = open_client();
	struct timespec begin, end;

	call_now(client);
	stick_reaper();
	clock_gettime(CLOCK_MONOTONIC, &begin);
	wire_client_close(client);
	wire_server_stop(server);
	clock_gettime(CLOCK_MONOTONIC, &end);
	assert_in_range(end.tv_sec - begin.tv_sec, 0, 15);
	unstick_reaper();
}

// nng takes the broken pipe for its own end and would never dial again.
static void a_client_comes_back_though_a_peer_took_its_connection_and_left(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct wire_server *server;
	struct wire_client *client;
	struct pollfd listener = {.events = POLLIN};
	int64_t begin_ms;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", strchr(harness_url, '/') + 2);
	for (int round = 0; round < 5; round++) {
		unlink(address.sun_path);
		listener.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(bind(listener.fd, (struct sockaddr *)&address, sizeof(address)),
				 0);
		// Nobody takes the connection out of the queue; closing the listener ends it.
		assert_int_equal(listen(listener.fd, 1), 0);
		client = open_client();
		assert_int_equal(poll(&listener, 1, LONG_MS), 1);
		close(listener.fd);
		server = start_server(2);
		begin_ms = wire_now_ms();
		call_now(client);
		assert_in_range(wire_now_ms() - begin_ms, 0, 4000);
		wire_client_close(client);
		wire_server_stop(server);
	}
}

// ---- closing in the midst of traffic -------------------------------------------------------------

// Over and over: it is a matter of moments. Where nng's reaper gets stuck on it (and it does), that is
// the test that the rest goes on without it.
static void closing_beside_calls_does_not_hang(void **state)
{
	enum { CALLERS = 4, ROUNDS = 50, SLOW_ROUNDS = 3 };
	int slow_rounds = 0;

	for (int round = 0; round < ROUNDS && slow_rounds < SLOW_ROUNDS; round++) {
		struct wire_server *server = start_server(2);
		struct wire_client *client = open_client();
		struct caller callers[CALLERS];
		time_t begin = time(NULL);

		for (int i = 0; i < CALLERS; i++)
			start_caller(&callers[i], client, "now", 1, LONG_MS);
		if (round % 2 == 0)
			wire_client_close(client);
		wire_server_stop(server);
		if (round % 2 != 0)
			wire_client_close(client);
		for (int i = 0; i < CALLERS; i++) {
			pthread_join(callers[i].thread, NULL);
			assert_true(callers[i].r == 0 || callers[i].r == -ECANCELED ||
				    callers[i].r == -ECONNRESET);
		}
		slow_rounds += time(NULL) - begin >= 2;
	}
	harness_nng_is_stuck = slow_rounds > 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		// First: what the others leave behind makes the client slow to try again.
		cmocka_unit_test(a_client_comes_back_though_a_peer_took_its_connection_and_left),
		cmocka_unit_test(a_client_finds_a_restarted_server_though_the_reaper_is_stuck),
		cmocka_unit_test(closing_takes_seconds_though_the_reaper_is_stuck),
		cmocka_unit_test(
			a_server_whose_connections_are_not_freed_asks_for_a_restart_and_still_serves),
		cmocka_unit_test(closing_beside_calls_does_not_hang),
	};

	return cmocka_run_group_tests_name("wire, closing", tests, harness_set_up,
					   harness_tear_down);
}
