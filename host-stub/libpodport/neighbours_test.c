// SPDX-License-Identifier: BSD-3-Clause
//
// podport_list_neighbours(): what is asked page by page, and what is made of the answers.

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libpodport/client_test_helpers.h"

enum { MANY = 300 };

// MANY neighbours with the odd numbers, in pages as the agent makes them.
static enum fake_answer many(const struct fake_call *call, struct reply *reply, void *arg)
{
	const struct list_neighbours_request *asked = &call->request.body.list_neighbours;
	struct neighbours_reply *body = &reply->body.neighbours;
	struct neighbour_row model = body->neighbours[0];
	uint32_t number = asked->after + 1 + asked->after % 2;

	free(body->neighbours);
	body->neighbours = calloc(asked->limit, sizeof(model));
	body->count = 0;
	for (; number < 2 * MANY && body->count < asked->limit; number += 2) {
		model.number = number;
		model.ipv4.s_addr = htonl(0x0a000000 + number);
		body->neighbours[body->count++] = model;
	}
	body->more = number < 2 * MANY;
	return FAKE_REPLY;
}

static void a_list_of_several_pages_is_whole(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, many, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_neighbours *neighbours;
	struct podport_error error;

	if (podport_list_neighbours(client, &neighbours, &error) < 0)
		fail_msg("%s", error.message);
	assert_int_equal(podport_neighbours_count(neighbours), MANY);
	for (size_t i = 0; i < MANY; i++) {
		in_addr_t address = htonl(0x0a000001 + 2 * (uint32_t)i);

		assert_memory_equal(podport_neighbours_get(neighbours, i)->address, &address, 4);
	}
	assert_null(podport_neighbours_get(neighbours, MANY));
	assert_int_equal(fake_hostd_calls(fake, NULL), 3);
	podport_neighbours_free(neighbours);
	podport_free(client);
	fake_hostd_stop(fake);
}

static void a_neighbour_is_told_as_the_agent_has_it(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct podport_client *client = connect_to(fake, 0);
	const struct podport_neighbour *n;
	struct podport_neighbours *neighbours;
	uint8_t ipv6[16];

	assert_int_equal(0, podport_list_neighbours(client, &neighbours, NULL));
	assert_int_equal(3, podport_neighbours_count(neighbours));
	n = podport_neighbours_get(neighbours, 0);
	assert_int_equal(AF_INET, n->family);
	assert_string_equal("uplink", n->port);
	assert_string_equal("reachable", n->state);
	assert_true(n->has_mac);
	assert_memory_equal(n->mac, ((uint8_t[]){0x02, 0, 0x5e, 0x10, 0x20, 0x30}), 6);
	assert_int_equal(1234, n->age_ms);
	n = podport_neighbours_get(neighbours, 1);
	inet_pton(AF_INET6, "2001:db8::1", ipv6);
	assert_int_equal(AF_INET6, n->family);
	assert_memory_equal(n->address, ipv6, 16);
	assert_false(n->has_mac);
	podport_neighbours_free(neighbours);
	podport_free(client);
	fake_hostd_stop(fake);
}

static enum fake_answer nothing_and_more(const struct fake_call *call, struct reply *reply,
					 void *arg)
{
	reply->body.neighbours.more = true;
	return FAKE_REPLY;
}

static void a_list_that_does_not_move_on_ends(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, nothing_and_more, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_neighbours *neighbours;
	struct podport_error error;

	assert_int_equal(podport_list_neighbours(client, &neighbours, &error), -EBADMSG);
	assert_int_equal(error.code, PODPORT_INTERNAL);
	assert_int_equal(fake_hostd_calls(fake, NULL), 2);
	podport_free(client);
	fake_hostd_stop(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_of_several_pages_is_whole),
		cmocka_unit_test(a_neighbour_is_told_as_the_agent_has_it),
		cmocka_unit_test(a_list_that_does_not_move_on_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
