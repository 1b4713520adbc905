// SPDX-License-Identifier: BSD-3-Clause
//
// The listener with real clients on real sockets: nobody is lost, whatever comes at once and
// whenever the agent stops. The test's main thread is the control thread.

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/test_agent.h"
#include "proto/wire_client.h"
#include "rpc/rpc.h"

enum { CLIENTS = 300 }; // more than the agent holds

struct client {
	pthread_t thread;
	unsigned int number;
	unsigned int ok, busy, not_ready, away, other;
	unsigned int rounds;
};

static struct test_agent agent;
static uv_loop_t loop;
static struct rpc *rpc;
static char url[128];
static struct wire_client *wire;
static unsigned int timeout_ms = 20000;
static atomic_uint clients_left;
static atomic_bool stopped; // the agent: clients make no more calls
static atomic_bool refused; // somebody was: the agent held enough
static uv_async_t all_done;

static void on_all_done(uv_async_t *handle)
{
	uv_stop(handle->loop);
}

static void start(uint32_t functions)
{
	struct rpc_config config = {.url = url, .instance_id = agent.instance_id};
	struct wire_client_config client = {
		.url = url, .reconnect_min_ms = 10, .reconnect_max_ms = 100};
	struct error err = {0};

	test_agent_init(&agent, functions, "10.88.0.0/16", "fd00:88::/64");
	snprintf(url, sizeof(url), "ipc://%s/agent.sock", agent.dir);
	client.tls = config.tls = (struct wire_tls){"", "", ""};
	assert_int_equal(0, uv_loop_init(&loop));
	uv_async_init(&loop, &all_done, on_all_done);
	if (rpc_start(&config, &loop, agent.control, &rpc, &err) < 0 ||
	    wire_client_open(&client, &wire, &err) < 0)
		fail_msg("%s", err.message);
}

static void finish(void)
{
	wire_client_close(wire);
	rpc_stop(rpc);
	uv_close((uv_handle_t *)&all_done, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(0, uv_loop_close(&loop));
	fake_nic.on_change = NULL;
	test_agent_destroy(&agent);
}

static void count_answer(struct client *client, const struct request *request)
{
	struct reply reply = {0};
	struct error err = {0};

	if (wire_client_call(wire, request, timeout_ms, &reply, &err) < 0) {
		client->away++;
		return;
	}
	if (reply.code == CODE_BUSY)
		atomic_store(&refused, true);
	if (reply.code == CODE_OK)
		client->ok++;
	else if (reply.code == CODE_BUSY)
		client->busy++;
	else if (reply.code == CODE_NOT_READY)
		client->not_ready++;
	else
		client->other++;
	reply_clear(&reply);
}

static void *run_client(void *arg)
{
	struct client *client = arg;
	struct test_call attach, detach;
	char name[32];

	snprintf(name, sizeof(name), "pod%u", client->number);
	test_attach(&attach, name);
	test_detach(&detach, name);
	for (unsigned int round = 0; round < client->rounds && !atomic_load(&stopped); round++) {
		count_answer(client, &attach.request);
		if (round + 1 < client->rounds || client->number % 2 == 0)
			count_answer(client, &detach.request);
	}
	if (atomic_fetch_sub(&clients_left, 1) == 1)
		uv_async_send(&all_done);
	return NULL;
}

static struct client *start_clients(unsigned int count, unsigned int rounds)
{
	struct client *clients = calloc(count, sizeof(*clients));

	assert_non_null(clients);
	atomic_store(&clients_left, count);
	for (unsigned int i = 0; i < count; i++) {
		clients[i].number = i;
		clients[i].rounds = rounds;
		assert_int_equal(0,
				 pthread_create(&clients[i].thread, NULL, run_client, &clients[i]));
	}
	return clients;
}

static struct client join_clients(struct client *clients, unsigned int count)
{
	struct client sum = {0};

	for (unsigned int i = 0; i < count; i++) {
		pthread_join(clients[i].thread, NULL);
		sum.ok += clients[i].ok;
		sum.busy += clients[i].busy;
		sum.not_ready += clients[i].not_ready;
		sum.away += clients[i].away;
		sum.other += clients[i].other;
	}
	free(clients);
	return sum;
}

static void many_calls_at_once_are_each_answered(void **state)
{
	enum { COUNT = 32, ROUNDS = 8 };
	struct client *clients, sum;

	start(64);
	clients = start_clients(COUNT, ROUNDS);
	uv_run(&loop, UV_RUN_DEFAULT);
	sum = join_clients(clients, COUNT);
	assert_int_equal(COUNT * ROUNDS * 2 - COUNT / 2, sum.ok);
	assert_int_equal(COUNT / 2, fake_nic_started_functions());
	test_assert_consistent(&agent, true);
	finish();
}

static void slow_down(void)
{
	usleep(20000);
}

static void stand_still(void)
{
	for (int ms = 0; ms < 20000 && !atomic_load(&refused); ms++)
		usleep(1000);
}

// A NIC that stands still, whatever batch it stands in: who comes beyond the limit hears so at once.
static void a_full_agent_says_come_again(void **state)
{
	struct client *clients, sum;

	start(CLIENTS);
	fake_nic.on_change = stand_still;
	clients = start_clients(CLIENTS, 1);
	uv_run(&loop, UV_RUN_DEFAULT);
	sum = join_clients(clients, CLIENTS);
	assert_true(sum.busy > 0);
	assert_true(sum.ok > 0);
	assert_int_equal(0, sum.away + sum.other + sum.not_ready);
	test_assert_consistent(&agent, true);
	finish();
}

static void on_stop_timer(uv_timer_t *timer)
{
	uv_stop(timer->loop);
}

// Stopping answers what was taken on, and refuses the rest in words. Nobody waits for his timeout.
static void an_agent_that_stops_leaves_nobody_waiting(void **state)
{
	enum { COUNT = 64 };
	struct client *clients, sum;
	uv_timer_t timer;

	start(COUNT);
	timeout_ms = 2000; // for a call made as the socket closes
	fake_nic.on_change = slow_down;
	uv_timer_init(&loop, &timer);
	uv_timer_start(&timer, on_stop_timer, 100, 0);
	clients = start_clients(COUNT, 20);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_close((uv_handle_t *)&timer, NULL);
	atomic_store(&stopped, true);
	rpc_stop(rpc);
	rpc = NULL;
	sum = join_clients(clients, COUNT);
	assert_true(sum.ok > 0);
	assert_int_equal(0, sum.other);
	test_assert_consistent(&agent, true);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_calls_at_once_are_each_answered),
		cmocka_unit_test(a_full_agent_says_come_again),
		cmocka_unit_test(an_agent_that_stops_leaves_nobody_waiting),
	};

	test_quiet(true);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
