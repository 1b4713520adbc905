// SPDX-License-Identifier: BSD-3-Clause
//
// Connections that the e-switch is to carry: what the worker tells the control thread of them, and what it hears.

#include <netinet/in.h>
#include <poll.h>

#include "datapath/carry.h"
#include "datapath/masquerade.h"
#include "datapath/wire_test.h"

#define WORLD4 "192.0.2.99" // behind the gate

enum { STEADY = 8 }; // there and back so often, and it is

static const struct masquerade_config config = {
	.ipv4 = true,
	.first_port = 40000,
	.last_port = 40999,
	.first_identifier = 1,
	.last_identifier = UINT16_MAX,
	.connections = 256,
	.timeouts = {240, 7440, 240, 120, 10, 120, 300, 30, 60, 30},
};

static struct frame f, got, answer;

static void frame_to_world(void)
{
	frame_ether(&f, POD_A);
	frame_ip4(&f, A4, WORLD4, IPPROTO_UDP);
	frame_udp(&f, 443);
	frame_payload(&f, 100);
	frame_finish(&f);
}

static int set_up(void **state)
{
	int r = wire_set_up(state);

	frame_udp4(&f, POD_B, B4, WORLD4, 1);
	inject(POD_B, &f);
	assert_asked4(GATE4, NULL);
	answer4(GATE4, gate_mac);
	assert_true(pull_frame(UPLINK, &got));
	carry_accept(true);
	return r;
}

static int tear_down(void **state)
{
	struct carry_event event;

	carry_accept(false);
	while (carry_take(&event))
		;
	return graph_tear_down(state);
}

static void make_answer(void)
{
	uint8_t *ip = answer.bytes + got.l3, *l4 = answer.bytes + got.l4;

	answer = got;
	memcpy(ip + 12, got.bytes + got.l3 + 16, 4);
	memcpy(ip + 16, got.bytes + got.l3 + 12, 4);
	memcpy(l4, got.bytes + got.l4 + 2, 2);
	memcpy(l4 + 2, got.bytes + got.l4, 2);
	ip[8] = 64;
	frame_fix_ip4(&answer);
	to_agent(&answer, gate_mac);
}

static void talk(unsigned int times)
{
	for (unsigned int i = 0; i < times; i++) {
		frame_to_world();
		inject(POD_A, &f);
		assert_true(pull_frame(UPLINK, &got));
		make_answer();
		inject(UPLINK, &answer);
		assert_true(pull_frame(POD_A, &f));
	}
}

static bool rings(void)
{
	struct pollfd fd = {.fd = carry_event_fd(), .events = POLLIN};

	return poll(&fd, 1, 0) == 1;
}

static void nothing_is_offered_that_is_not_wanted(void **state)
{
	struct carry_event event;

	carry_accept(false);
	talk(STEADY);
	assert_false(rings());
	assert_false(carry_take(&event));
}

static void a_steady_connection_is_offered_once_with_all_that_its_rules_need(void **state)
{
	struct carry_event event;
	uint8_t address[4];

	talk(STEADY);
	assert_true(rings());
	assert_true(carry_take(&event));
	assert_int_equal(event.kind, CARRY_OFFERED);
	assert_int_equal(event.protocol, IPPROTO_UDP);
	assert_int_equal(event.slots[0], POD_A);
	assert_int_equal(event.slots[1], CARRY_WIRE);
	assert_int_equal(event.wire, datapath_wire_generation());
	assert_false(event.is_ipv6);
	inet_pton(AF_INET, A4, address);
	assert_memory_equal(event.sent[0].source, address, 4);
	inet_pton(AF_INET, WORLD4, address);
	assert_memory_equal(event.sent[0].destination, address, 4);
	assert_memory_equal(event.sent[1].source, address, 4);
	inet_pton(AF_INET, WIRE4, address);
	assert_memory_equal(event.sent[1].destination, address, 4);
	inet_pton(AF_INET, GATE4, address);
	assert_memory_equal(event.next_hop, address, 4);
	// As it is on the wire.
	assert_memory_equal(&event.sent[1].destination_port_be, got.bytes + got.l4, 2);
	talk(STEADY);
	assert_false(carry_take(&event));
	assert_false(rings());
}

// Of the pod to the world; the answer to it back.
static void ping(uint16_t identifier)
{
	const uint8_t bytes[2] = {(uint8_t)(identifier >> 8), (uint8_t)identifier};

	frame_ether(&f, POD_A);
	frame_ip4(&f, A4, WORLD4, IPPROTO_ICMP);
	frame_icmp(&f, 8, 0);
	memcpy(f.bytes + f.l4 + 4, bytes, sizeof(bytes));
	frame_payload(&f, 56);
	frame_finish(&f);
	inject(POD_A, &f);
	assert_true(pull_frame(UPLINK, &got));
	answer = got;
	memcpy(answer.bytes + got.l3 + 12, got.bytes + got.l3 + 16, 4);
	memcpy(answer.bytes + got.l3 + 16, got.bytes + got.l3 + 12, 4);
	answer.bytes[got.l4] = 0;
	answer.bytes[got.l3 + 8] = 64;
	frame_fix_ip4(&answer);
	to_agent(&answer, gate_mac);
	inject(UPLINK, &answer);
	assert_true(pull_frame(POD_A, &f));
	assert_memory_equal(f.bytes + f.l4 + 4, bytes, sizeof(bytes));
}

static void a_ping_is_offered_by_its_identifier_if_that_is_its_own_outside(void **state)
{
	struct carry_event event;

	for (unsigned int i = 0; i < STEADY; i++)
		ping(77);
	assert_true(carry_take(&event));
	assert_int_equal(event.kind, CARRY_OFFERED);
	assert_int_equal(event.protocol, IPPROTO_ICMP);
	assert_int_equal(event.slots[1], CARRY_WIRE);
	assert_int_equal(event.sent[0].source_port_be, htons(77));
	assert_int_equal(event.sent[0].destination_port_be, 0);
	assert_int_equal(event.sent[1].source_port_be, 0);
	assert_int_equal(event.sent[1].destination_port_be, htons(77));
	// None that is out of the range.
	for (unsigned int i = 0; i < STEADY; i++)
		ping(0);
	assert_false(carry_take(&event));
}

static void what_is_answered_is_heard_in_the_next_walk(void **state)
{
	struct carry_event event;

	talk(STEADY);
	assert_true(carry_take(&event));
	const size_t room = carry_room();
	carry_answer(&(struct carry_answer){.place = event.place, .kind = CARRY_BEGUN});
	carry_answer(
		&(struct carry_answer){.place = event.place, .kind = CARRY_NOTED, .packets = {5}});
	assert_int_equal(carry_room(), room - 2);
	run();
	assert_int_equal(carry_room(), room);
	// Let go, it is offered again.
	carry_answer(&(struct carry_answer){.place = event.place, .kind = CARRY_ENDED});
	run();
	talk(1);
	assert_true(carry_take(&event));
	assert_int_equal(event.kind, CARRY_OFFERED);
}

static void one_that_was_told_to_pause_is_not_offered_before(void **state)
{
	struct carry_event event;

	talk(STEADY);
	assert_true(carry_take(&event));
	carry_answer(
		&(struct carry_answer){.place = event.place, .kind = CARRY_ENDED, .pause_s = 3600});
	run();
	talk(STEADY);
	assert_false(carry_take(&event));
}

static void who_follows_a_pod_speaks_by_its_ports_only_when_they_are_let_go(void **state)
{
	struct datapath_port port = graph_port_config(POD_A);
	struct carry_event event;

	talk(STEADY);
	assert_true(carry_take(&event));
	const uint32_t place = event.place;
	carry_answer(&(struct carry_answer){.place = place, .kind = CARRY_BEGUN});
	run();
	graph_replace_port(&port); // another pod, with the same number and the same address
	run();
	assert_true(carry_take(&event));
	assert_int_equal(event.kind, CARRY_RECALL);
	assert_int_equal(event.place, place);
	frame_to_world();
	assert_drops(POD_A, &f, DROP_NAT_INVALID);
	carry_answer(&(struct carry_answer){.place = place, .kind = CARRY_ENDED});
	run();
	talk(1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static int start(void **state)
{
	graph_masquerade(&config);
	return graph_start(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_offered_that_is_not_wanted),
		TEST(a_steady_connection_is_offered_once_with_all_that_its_rules_need),
		TEST(a_ping_is_offered_by_its_identifier_if_that_is_its_own_outside),
		TEST(what_is_answered_is_heard_in_the_next_walk),
		TEST(one_that_was_told_to_pause_is_not_offered_before),
		TEST(who_follows_a_pod_speaks_by_its_ports_only_when_they_are_let_go),
	};

	return cmocka_run_group_tests_name("carried connections", tests, start, graph_stop);
}
