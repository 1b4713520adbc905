// SPDX-License-Identifier: BSD-3-Clause
//
// podport_list_connections(): what is asked page by page, and what is made of the answers.

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libpodport/client_test_helpers.h"

enum { MANY = 250 };

// MANY connections with the odd numbers, in pages as the agent makes them.
static enum fake_answer many(const struct fake_call *call, struct reply *reply, void *arg)
{
	const struct list_connections_request *asked = &call->request.body.list_connections;
	struct connections_reply *body = &reply->body.connections;
	struct connection_row model = body->connections[0];
	uint32_t number = asked->after + 1 + asked->after % 2;

	free(body->connections);
	body->connections = calloc(asked->limit, sizeof(model));
	body->count = 0;
	for (; number < 2 * MANY && body->count < asked->limit; number += 2) {
		model.number = number;
		model.pod_port = (uint16_t)number;
		body->connections[body->count++] = model;
	}
	body->more = number < 2 * MANY;
	return FAKE_REPLY;
}

static void a_list_of_several_pages_is_whole(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, many, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_connections *connections;
	struct podport_error error;

	if (podport_list_connections(client, &connections, &error) < 0)
		fail_msg("%s", error.message);
	assert_int_equal(podport_connections_count(connections), MANY);
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(2 * i + 1, podport_connections_get(connections, i)->pod_port);
	assert_null(podport_connections_get(connections, MANY));
	assert_int_equal(fake_hostd_calls(fake, NULL), 3);
	podport_connections_free(connections);
	podport_free(client);
	fake_hostd_stop(fake);
}

static void a_connection_is_told_as_the_agent_has_it(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct podport_client *client = connect_to(fake, 0);
	const struct podport_connection *c;
	struct podport_connections *connections;

	assert_int_equal(0, podport_list_connections(client, &connections, NULL));
	assert_int_equal(3, podport_connections_count(connections));
	assert_int_equal(1000, podport_connections_summary(connections)->most);
	assert_int_equal(5, podport_connections_summary(connections)->refused_ports);
	c = podport_connections_get(connections, 0);
	assert_int_equal(AF_INET, c->family);
	assert_string_equal("tcp", c->protocol);
	assert_string_equal("ESTABLISHED", c->state);
	assert_memory_equal(c->peer, ((uint8_t[]){11, 11, 11, 11}), 4);
	assert_int_equal(50000, c->external_port);
	assert_int_equal(299, c->expires_s);
	assert_int_equal(2000, c->bytes_received);
	c = podport_connections_get(connections, 1);
	assert_int_equal(AF_INET6, c->family);
	assert_string_equal("udp", c->protocol);
	assert_string_equal("", c->state);
	podport_connections_free(connections);
	podport_free(client);
	fake_hostd_stop(fake);
}

static enum fake_answer nothing_and_more(const struct fake_call *call, struct reply *reply,
					 void *arg)
{
	reply->body.connections.more = true;
	return FAKE_REPLY;
}

static void a_list_that_does_not_move_on_ends(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, nothing_and_more, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_connections *connections;
	struct podport_error error;

	assert_int_equal(podport_list_connections(client, &connections, &error), -EBADMSG);
	assert_int_equal(error.code, PODPORT_INTERNAL);
	assert_int_equal(fake_hostd_calls(fake, NULL), 2);
	podport_free(client);
	fake_hostd_stop(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_of_several_pages_is_whole),
		cmocka_unit_test(a_connection_is_told_as_the_agent_has_it),
		cmocka_unit_test(a_list_that_does_not_move_on_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
