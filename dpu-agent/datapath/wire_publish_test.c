// SPDX-License-Identifier: BSD-3-Clause
//
// Ports of the uplink's address that lead to a pod, through the whole graph; nothing is masqueraded, so that
// what is translated is so for this reason alone.

#include <netinet/in.h>
#include <poll.h>

#include <rte_common.h>

#include "datapath/carry.h"
#include "datapath/masquerade.h"
#include "datapath/neighbour.h"
#include "datapath/wire_test.h"

#define WORLD4 "192.0.2.99" // behind the gate
#define WORLD6 "2001:db8:ffff::99"

enum { HOST_PORT = 8080, POD_PORT = 80 };

static const struct masquerade_config config = {
	.first_port = 40000,
	.last_port = 40999,
	.first_identifier = 1,
	.last_identifier = UINT16_MAX,
	.connections = 256,
	.pick_up = true,
	.timeouts = {240, 7440, 240, 120, 10, 120, 300, 30, 60, 30},
};

static struct frame f, got;

static void put16(uint8_t *p, uint16_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

// A UDP packet to this port.
static void make_udp(unsigned int slot, const char *from, const char *to, uint16_t from_port,
		     uint16_t to_port)
{
	if (strchr(from, ':') != NULL)
		frame_udp6(&f, slot, from, to, 100);
	else
		frame_udp4(&f, slot, from, to, 100);
	put16(f.bytes + f.l4, from_port);
	put16(f.bytes + f.l4 + 2, to_port);
	frame_finish(&f);
}

static void assert_address(size_t at, const char *text)
{
	bool ipv6 = strchr(text, ':') != NULL;
	uint8_t address[16];

	assert_int_equal(1, inet_pton(ipv6 ? AF_INET6 : AF_INET, text, address));
	assert_memory_equal(address, got.bytes + got.l3 + at, ipv6 ? 16 : 4);
}

// What came out there is whole, and between these ends. A port of 0: any. Returns the source port.
static uint16_t assert_out(unsigned int slot, const char *from, const char *to, uint16_t from_port,
			   uint16_t to_port)
{
	bool ipv6 = strchr(from, ':') != NULL;

	assert_true(pull_frame(slot, &got));
	assert_address(ipv6 ? 8 : 12, from);
	assert_address(ipv6 ? 24 : 16, to);
	assert_true(l4_checksum_good(&got));
	if (!ipv6)
		assert_int_equal(0xffff, reference_sum(got.bytes + got.l3, 20, 0));
	if (from_port != 0)
		assert_int_equal(from_port, get16(got.bytes + got.l4));
	if (to_port != 0)
		assert_int_equal(to_port, get16(got.bytes + got.l4 + 2));
	return get16(got.bytes + got.l4);
}

static void publish(uint64_t owner)
{
	struct masquerade_publication list[2] = {{.owner = owner,
						  .protocol = IPPROTO_UDP,
						  .port = HOST_PORT,
						  .slot = POD_A,
						  .pod_port = POD_PORT},
						 {.owner = owner,
						  .is_ipv6 = true,
						  .protocol = IPPROTO_UDP,
						  .port = HOST_PORT,
						  .slot = POD_A,
						  .pod_port = POD_PORT}};
	struct error err;

	assert_int_equal(1, inet_pton(AF_INET, A4, list[0].pod));
	assert_int_equal(1, inet_pton(AF_INET6, A6, list[1].pod));
	assert_int_equal(0, masquerade_publish(list, owner != 0 ? 2 : 0, &err));
	run();
}

static int set_up(void **state)
{
	int r = wire_set_up(state);

	// The gate is known to all tests.
	meet(POD_B, B4, WORLD4, GATE4, gate_mac);
	assert_true(pull_frame(UPLINK, &got));
	meet(POD_B, B6, WORLD6, GATE6, gate_mac);
	assert_true(pull_frame(UPLINK, &got));
	publish(1);
	return r;
}
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, graph_tear_down)

static void call_from_wire(const char *world, const char *wire)
{
	make_udp(UPLINK, world, wire, 4000, HOST_PORT);
	to_agent(&f, gate_mac);
	inject(UPLINK, &f);
}

static void the_world_reaches_the_pod_and_gets_its_answer(void **state)
{
	call_from_wire(WORLD4, WIRE4);
	assert_out(POD_A, WORLD4, A4, 4000, POD_PORT);
	make_udp(POD_A, A4, WORLD4, POD_PORT, 4000);
	inject(POD_A, &f);
	assert_out(UPLINK, WIRE4, WORLD4, HOST_PORT, 4000);
	call_from_wire(WORLD6, WIRE6);
	assert_out(POD_A, WORLD6, A6, 4000, POD_PORT);
	make_udp(POD_A, A6, WORLD6, POD_PORT, 4000);
	inject(POD_A, &f);
	assert_out(UPLINK, WIRE6, WORLD6, HOST_PORT, 4000);
	// What is no answer leaves as it is.
	make_udp(POD_A, A4, WORLD4, POD_PORT, 4001);
	inject(POD_A, &f);
	assert_out(UPLINK, A4, WORLD4, POD_PORT, 4001);
	assert_no_drops(UPLINK);
	assert_no_drops(POD_A);
}

static void call_from_within(unsigned int slot, const char *caller, const char *wire,
			     const char *server)
{
	make_udp(slot, caller, wire, 4000, HOST_PORT);
	inject(slot, &f);
	uint16_t port = assert_out(POD_A, wire, server, 0, POD_PORT);
	assert_in_range(port, config.first_port, config.last_port);
	make_udp(POD_A, server, wire, POD_PORT, port);
	inject(POD_A, &f);
	assert_out(slot, wire, caller, HOST_PORT, 4000);
}

static void pods_and_the_host_reach_it_by_the_agent_both_ways(void **state)
{
	call_from_within(POD_B, B4, WIRE4, A4);
	call_from_within(POD_B, B6, WIRE6, A6);
	call_from_within(POD_A, A4, WIRE4, A4); // itself
	call_from_within(POD_A, A6, WIRE6, A6);
	call_from_within(HOST, GATEWAY4, WIRE4, A4);
	call_from_within(HOST, GATEWAY6, WIRE6, A6);
}

static void what_is_not_published_is_answered_as_before(void **state)
{
	frame_echo4(&f, POD_B, B4, WIRE4, 40);
	inject(POD_B, &f);
	assert_true(pull_frame(POD_B, &got));
	assert_int_equal(0, got.bytes[got.l4]); // an echo reply
	make_udp(POD_B, B4, WIRE4, 4000, HOST_PORT + 1);
	inject(POD_B, &f);
	assert_true(pull_frame(POD_B, &got));
	assert_int_equal(3, got.bytes[got.l4]); // port unreachable
	assert_int_equal(3, got.bytes[got.l4 + 1]);
	assert_dropped(POD_B, DROP_NOT_FOR_ROUTER);
	make_udp(UPLINK, WORLD4, WIRE4, 4000, HOST_PORT + 1);
	to_agent(&f, gate_mac);
	assert_drops(UPLINK, &f, DROP_NOT_FOR_ROUTER);
}

// About what it had sent, not about what that became.
static void the_agents_own_errors_find_back(void **state)
{
	call_from_wire(WORLD4, WIRE4);
	assert_out(POD_A, WORLD4, A4, 4000, POD_PORT);
	make_udp(UPLINK, WORLD4, WIRE4, 4000, HOST_PORT);
	f.bytes[f.l3 + 8] = 1; // its time is over behind the mapping
	frame_fix_ip4(&f);
	to_agent(&f, gate_mac);
	struct frame sent = f;
	inject(UPLINK, &f);
	assert_true(pull_frame(UPLINK, &got));
	assert_address(12, WIRE4);
	assert_address(16, WORLD4);
	assert_int_equal(11, got.bytes[got.l4]);
	assert_true(l4_checksum_good(&got));
	assert_memory_equal(sent.bytes + sent.l3, got.bytes + got.l4 + 8, 28);
	assert_dropped(UPLINK, DROP_TTL_EXPIRED);
	make_udp(POD_B, B4, WIRE4, 4000, HOST_PORT);
	f.bytes[f.l3 + 8] = 1;
	frame_fix_ip4(&f);
	sent = f;
	inject(POD_B, &f);
	assert_true(pull_frame(POD_B, &got));
	assert_address(16, B4);
	assert_int_equal(11, got.bytes[got.l4]);
	assert_memory_equal(sent.bytes + sent.l3, got.bytes + got.l4 + 8, 28);
	assert_dropped(POD_B, DROP_TTL_EXPIRED);
}

static void the_pods_error_reaches_who_has_called(void **state)
{
	make_udp(POD_B, B4, WIRE4, 4000, HOST_PORT);
	struct frame sent = f;
	inject(POD_B, &f);
	assert_out(POD_A, WIRE4, A4, 0, POD_PORT);
	frame_ether(&f, POD_A);
	frame_ip4(&f, A4, WIRE4, IPPROTO_ICMP);
	frame_icmp(&f, 3, 3);
	frame_append(&f, got.bytes + got.l3, 28);
	frame_finish(&f);
	inject(POD_A, &f);
	assert_true(pull_frame(POD_B, &got));
	assert_address(12, WIRE4);
	assert_address(16, B4);
	assert_memory_equal(sent.bytes + sent.l3 + 12, got.bytes + got.l4 + 8 + 12, 16);
}

// What goes on is offered to the e-switch from where its next hop is known: with the pod's answers.
static void who_calls_on_and_on_is_offered_to_the_e_switch(void **state)
{
	struct carry_event event;
	uint8_t address[4];

	carry_accept(true);
	for (unsigned int i = 0; i < 8; i++) {
		call_from_wire(WORLD4, WIRE4);
		assert_out(POD_A, WORLD4, A4, 4000, POD_PORT);
		make_udp(POD_A, A4, WORLD4, POD_PORT, 4000);
		inject(POD_A, &f);
		assert_out(UPLINK, WIRE4, WORLD4, HOST_PORT, 4000);
	}
	carry_accept(false);
	assert_true(carry_take(&event));
	assert_int_equal(event.kind, CARRY_OFFERED);
	assert_int_equal(event.slots[0], POD_A);
	assert_int_equal(event.slots[1], CARRY_WIRE);
	assert_int_equal(1, inet_pton(AF_INET, A4, address));
	assert_memory_equal(event.sent[0].source, address, 4);
	assert_int_equal(event.sent[0].source_port_be, RTE_BE16(POD_PORT));
	assert_int_equal(event.sent[1].destination_port_be, RTE_BE16(HOST_PORT));
	assert_int_equal(1, inet_pton(AF_INET, GATE4, address));
	assert_memory_equal(event.next_hop, address, 4);
	assert_false(carry_take(&event));
}

// And so is what never sees the wire: with the ports of both, and no next hop.
static void who_calls_from_within_is_offered_with_both_ends(void **state)
{
	static const struct {
		uint16_t slot;
		const char *address;
	} callers[] = {{POD_B, B4}, {HOST, GATEWAY4}, {POD_A, A4}};
	static const uint8_t none[16];

	for (size_t i = 0; i < sizeof(callers) / sizeof(callers[0]); i++) {
		struct carry_event event;
		uint8_t address[4];

		carry_accept(true);
		for (unsigned int packets = 0; packets < 16; packets += 2)
			call_from_within(callers[i].slot, callers[i].address, WIRE4, A4);
		carry_accept(false);
		assert_true(carry_take(&event));
		assert_int_equal(event.kind, CARRY_OFFERED);
		assert_int_equal(event.protocol, IPPROTO_UDP);
		assert_int_equal(event.wire, datapath_wire_generation());
		assert_int_equal(event.slots[0], callers[i].slot);
		assert_int_equal(event.slots[1], POD_A);
		assert_int_equal(1, inet_pton(AF_INET, callers[i].address, address));
		assert_memory_equal(event.sent[0].source, address, 4);
		assert_int_equal(event.sent[0].source_port_be, RTE_BE16(4000));
		assert_int_equal(event.sent[0].destination_port_be, RTE_BE16(HOST_PORT));
		assert_int_equal(1, inet_pton(AF_INET, A4, address));
		assert_memory_equal(event.sent[1].source, address, 4);
		assert_int_equal(event.sent[1].source_port_be, RTE_BE16(POD_PORT));
		assert_int_equal(1, inet_pton(AF_INET, WIRE4, address));
		assert_memory_equal(event.sent[1].destination, address, 4);
		assert_memory_equal(event.next_hop, none, sizeof(none));
		assert_false(carry_take(&event));
	}
}

static bool neighbours_ring(void)
{
	struct pollfd fd = {.fd = neighbours_event_fd(), .events = POLLIN};

	return poll(&fd, 1, 0) == 1;
}

// As whom the e-switch addresses the host.
static void the_host_is_known_by_what_it_sent_last(void **state)
{
	static const struct mac another = {{2, 0, 0, 0, 0x77, 1}};
	struct mac mac, before;

	assert_false(datapath_host_mac(POD_A, &mac));
	assert_false(datapath_host_mac(DATAPATH_PORTS_MAX - 1, &mac));
	assert_true(datapath_host_mac(HOST, &before));
	call_from_within(HOST, GATEWAY4, WIRE4, A4);
	assert_true(datapath_host_mac(HOST, &mac));
	assert_memory_equal(&mac, &before, sizeof(mac));
	make_udp(HOST, GATEWAY4, WIRE4, 4000, HOST_PORT);
	memcpy(f.bytes + 6, another.bytes, 6);
	assert_false(neighbours_ring());
	push(HOST, frame_to_mbuf(&f, 0));
	walk_once();
	assert_true(neighbours_ring()); // for control to follow
	run();
	assert_out(POD_A, WIRE4, A4, 0, POD_PORT);
	assert_true(datapath_host_mac(HOST, &mac));
	assert_memory_equal(&mac, &another, sizeof(mac));
}

static void what_is_published_no_more_ends_at_once(void **state)
{
	call_from_wire(WORLD4, WIRE4);
	assert_out(POD_A, WORLD4, A4, 4000, POD_PORT);
	publish(0);
	make_udp(UPLINK, WORLD4, WIRE4, 4000, HOST_PORT);
	to_agent(&f, gate_mac);
	assert_drops(UPLINK, &f, DROP_NOT_FOR_ROUTER);
	make_udp(POD_A, A4, WORLD4, POD_PORT, 4000);
	inject(POD_A, &f);
	assert_out(UPLINK, A4, WORLD4, POD_PORT, 4000);
	publish(2);
	call_from_wire(WORLD4, WIRE4);
	assert_out(POD_A, WORLD4, A4, 4000, POD_PORT);
}

static int start(void **state)
{
	graph_masquerade(&config);
	return graph_start(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_world_reaches_the_pod_and_gets_its_answer),
		TEST(pods_and_the_host_reach_it_by_the_agent_both_ways),
		TEST(what_is_not_published_is_answered_as_before),
		TEST(the_agents_own_errors_find_back),
		TEST(the_pods_error_reaches_who_has_called),
		TEST(who_calls_on_and_on_is_offered_to_the_e_switch),
		TEST(who_calls_from_within_is_offered_with_both_ends),
		TEST(the_host_is_known_by_what_it_sent_last),
		TEST(what_is_published_no_more_ends_at_once),
	};

	return cmocka_run_group_tests_name("published ports on the wire", tests, start, graph_stop);
}
