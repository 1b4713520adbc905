// SPDX-License-Identifier: BSD-3-Clause
//
// podport_list_nat(): what is asked page by page, and what is made of the answers.

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

// MANY ports with the odd numbers, in pages as the agent makes them.
static enum fake_answer many(const struct fake_call *call, struct reply *reply, void *arg)
{
	const struct list_nat_request *asked = &call->request.body.list_nat;
	struct nat_reply *body = &reply->body.nat;
	struct published_row model = body->ports[0];
	uint32_t number = asked->after + 1 + asked->after % 2;

	free(body->ports);
	body->ports = calloc(asked->limit, sizeof(model));
	body->count = 0;
	for (; number < 2 * MANY && body->count < asked->limit; number += 2) {
		model.number = number;
		model.host_port = (uint16_t)number;
		body->ports[body->count++] = model;
	}
	body->more = number < 2 * MANY;
	return FAKE_REPLY;
}

static void a_list_of_several_pages_is_whole(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, many, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_error error;
	struct podport_nat *nat;

	if (podport_list_nat(client, &nat, &error) < 0)
		fail_msg("%s", error.message);
	assert_int_equal(podport_nat_count(nat), MANY);
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(2 * i + 1, podport_nat_get(nat, i)->host_port);
	assert_null(podport_nat_get(nat, MANY));
	assert_int_equal(fake_hostd_calls(fake, NULL), 3);
	podport_nat_free(nat);
	podport_free(client);
	fake_hostd_stop(fake);
}

static void it_is_told_as_the_agent_has_it(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct podport_client *client = connect_to(fake, 0);
	const struct podport_nat_summary *summary;
	const struct podport_published *p;
	struct podport_nat *nat;

	assert_int_equal(0, podport_list_nat(client, &nat, NULL));
	assert_int_equal(3, podport_nat_count(nat));
	summary = podport_nat_summary(nat);
	assert_true(summary->has_ipv4 && summary->masquerade_ipv4 && !summary->masquerade_ipv6);
	assert_int_equal(2, summary->excluded_count);
	assert_string_equal("198.51.100.0/24", summary->excluded[1]);
	assert_int_equal(1, summary->ports_count);
	assert_string_equal("tcp", summary->ports[0].protocol);
	assert_int_equal(100, summary->ports[0].used);
	assert_int_equal(1000, summary->most);
	assert_int_equal(1, summary->first_identifier);
	assert_int_equal(UINT16_MAX, summary->last_identifier);
	p = podport_nat_get(nat, 0);
	assert_int_equal(AF_INET, p->family);
	assert_string_equal("tcp", p->protocol);
	assert_true(p->served);
	assert_memory_equal(p->host, ((uint8_t[]){12, 12, 12, 12}), 4);
	assert_int_equal(8080, p->host_port);
	assert_int_equal(80, p->container_port);
	assert_int_equal(7, p->connections);
	assert_int_equal(2000, p->bytes_out);
	p = podport_nat_get(nat, 1);
	assert_int_equal(AF_INET6, p->family);
	assert_string_equal("udp", p->protocol);
	assert_false(podport_nat_get(nat, 2)->served);
	podport_nat_free(nat);
	podport_free(client);
	fake_hostd_stop(fake);
}

// It does not say so, and gives pings what it gives TCP.
static enum fake_answer without_identifiers(const struct fake_call *call, struct reply *reply,
					    void *arg)
{
	reply->body.nat.summary.first_identifier = reply->body.nat.summary.last_identifier = 0;
	return FAKE_REPLY;
}

static void an_older_agents_identifiers_are_as_its_ports(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, without_identifiers, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_nat *nat;

	assert_int_equal(0, podport_list_nat(client, &nat, NULL));
	assert_int_equal(32768, podport_nat_summary(nat)->first_identifier);
	assert_int_equal(UINT16_MAX, podport_nat_summary(nat)->last_identifier);
	podport_nat_free(nat);
	podport_free(client);
	fake_hostd_stop(fake);
}

static enum fake_answer nothing_and_more(const struct fake_call *call, struct reply *reply,
					 void *arg)
{
	reply->body.nat.more = true;
	return FAKE_REPLY;
}

static void a_list_that_does_not_move_on_ends(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, nothing_and_more, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_error error;
	struct podport_nat *nat;

	assert_int_equal(podport_list_nat(client, &nat, &error), -EBADMSG);
	assert_int_equal(error.code, PODPORT_INTERNAL);
	assert_int_equal(fake_hostd_calls(fake, NULL), 2);
	podport_free(client);
	fake_hostd_stop(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_of_several_pages_is_whole),
		cmocka_unit_test(it_is_told_as_the_agent_has_it),
		cmocka_unit_test(an_older_agents_identifiers_are_as_its_ports),
		cmocka_unit_test(a_list_that_does_not_move_on_ends),
	};

	return cmocka_run_group_tests_name("nat", tests, NULL, NULL);
}
