// SPDX-License-Identifier: BSD-3-Clause
//
// What actions do to frames: bytes and checksums as one would compute them from scratch, and the key as it would be read
// from the new frame.

#include "sim/simnic/test_rewrite.h"

// ---- actions --------------------------------------------------------------------------------------------

static unsigned int list_size;
static uint8_t values[16][16];

// Append an action with a random value; the same is done to the packet at `at`.
static void add_set(enum rte_flow_action_type type, uint32_t at, uint32_t size)
{
	uint8_t *value = values[list_size];

	for (uint32_t i = 0; i < size; i++)
		value[i] = random_below(4) == 0 ? 0xff * random_below(2) : random_below(256);
	list[list_size++] = (struct rte_flow_action){.type = type, .conf = value};
	memcpy(packet.data + at, value, size);
}

static void add_addresses(void)
{
	if (packet.ipv4) {
		if (random_below(2))
			add_set(RTE_FLOW_ACTION_TYPE_SET_IPV4_SRC, packet.l3 + 12, 4);
		if (random_below(2))
			add_set(RTE_FLOW_ACTION_TYPE_SET_IPV4_DST, packet.l3 + 16, 4);
	} else {
		if (random_below(2))
			add_set(RTE_FLOW_ACTION_TYPE_SET_IPV6_SRC, packet.l3 + 8, 16);
		if (random_below(2))
			add_set(RTE_FLOW_ACTION_TYPE_SET_IPV6_DST, packet.l3 + 24, 16);
	}
}

static void add_random_actions(bool with_ports)
{
	list_size = 0;
	if (random_below(2))
		add_set(RTE_FLOW_ACTION_TYPE_SET_MAC_DST, 0, 6);
	if (random_below(2))
		add_set(RTE_FLOW_ACTION_TYPE_SET_MAC_SRC, 6, 6);
	add_addresses();
	if (random_below(2)) {
		list[list_size++] = (struct rte_flow_action){.type = RTE_FLOW_ACTION_TYPE_DEC_TTL};
		packet.data[packet.l3 + (packet.ipv4 ? 8 : 7)]--;
	}
	if (random_below(4) == 0)
		add_set(RTE_FLOW_ACTION_TYPE_SET_TTL, packet.l3 + (packet.ipv4 ? 8 : 7), 1);
	if (with_ports && random_below(2))
		add_set(RTE_FLOW_ACTION_TYPE_SET_TP_SRC, packet.l4, 2);
	if (with_ports && random_below(2))
		add_set(RTE_FLOW_ACTION_TYPE_SET_TP_DST, packet.l4 + 2, 2);
	list[list_size++] = (struct rte_flow_action){.type = RTE_FLOW_ACTION_TYPE_DROP};
	list[list_size] = (struct rte_flow_action){.type = RTE_FLOW_ACTION_TYPE_END};
}

// ---- tests ----------------------------------------------------------------------------------------------

// Add to a one's complement sum in place; never to zero, which UDP takes for none.
static void spoil(uint32_t at, uint16_t error)
{
	uint16_t sum = ((uint32_t)get16(at) + error) % 0xffff;

	put16(at, sum != 0 ? sum : 0xffff);
}

// A packet, actions, and the packet as it should be then. A checksum that was wrong is to be wrong by as much.
static void rewrite_one(bool by_port)
{
	enum checksum checksum;
	enum fragment fragment;
	struct rte_mbuf *mbuf = NULL;
	struct flow_packet run;
	uint8_t before[256];
	uint16_t error;
	bool ports;

	build_random(&checksum, &fragment);
	error = checksum == WRONG ? 1 + random_below(0xfffe) : 0;
	ports = fragment != LATER_FRAGMENT &&
		(packet.protocol == IPPROTO_TCP || packet.protocol == IPPROTO_UDP);
	finish_ipv4();
	if (has_checksum(fragment))
		finish_l4(checksum);
	if (has_checksum(fragment) && error != 0)
		spoil(l4_checksum_at(), error);
	if (by_port)
		mbuf = send_by_port(checksum);
	else
		receive_from_function(checksum);
	if (mbuf != NULL)
		memcpy(before, rte_pktmbuf_mtod(mbuf, void *), RTE_MIN(mbuf->data_len, 256));
	add_random_actions(ports);
	run_list(&run);
	finish_ipv4();
	if (has_checksum(fragment))
		finish_l4(checksum);
	if (has_checksum(fragment) && error != 0)
		spoil(l4_checksum_at(), error);
	assert_frame_is_packet();
	if (packet.ipv4)
		assert_true(run.key.outer.layers & FLOW_L3_OK);
	if (mbuf != NULL)
		assert_memory_equal(before, rte_pktmbuf_mtod(mbuf, void *),
				    RTE_MIN(mbuf->data_len, 256));
	rte_pktmbuf_free(mbuf);
}

static void a_rewritten_frame_of_a_function_is_as_if_it_had_been_made_so(void **state)
{
	for (unsigned int i = 0; i < 30000; i++)
		rewrite_one(false);
}

static void a_rewritten_frame_of_a_port_too_and_its_mbufs_are_not_written_to(void **state)
{
	for (unsigned int i = 0; i < 30000; i++)
		rewrite_one(true);
}

// RFC 1624's example, and the values at which the two zeros of one's complement sums matter.
static void the_two_zeros_of_a_checksum_are_told_apart(void **state)
{
	for (uint32_t source = 0; source < 0x10000; source++) {
		struct flow_packet run;
		uint8_t port[2] = {source >> 8, source & 0xff};

		build(IPPROTO_UDP, 2, 0);
		finish_l4(WHOLE);
		receive_from_function(WHOLE);
		set_list(RTE_FLOW_ACTION_TYPE_SET_TP_SRC, port);
		run_list(&run);
		memcpy(packet.data + packet.l4, port, sizeof(port));
		finish_l4(WHOLE);
		assert_frame_is_packet();
	}
}

static void a_wrong_ipv4_checksum_stays_wrong(void **state)
{
	for (unsigned int i = 0; i < 2000; i++) {
		struct flow_packet run;

		build(IPPROTO_TCP, 10, 0);
		put16(packet.l3 + 10, get16(packet.l3 + 10) + 1 + random_below(0xfffd));
		receive_from_function(WHOLE);
		add_random_actions(true);
		run_list(&run);
		assert_false(run.key.outer.layers & FLOW_L3_OK);
	}
}

enum { ECHO_REPLY = 0, ECHO_REQUEST = 8, ECHO_REQUEST6 = 128, ECHO_REPLY6 = 129 };

// An echo with all kinds of payload, and what it is when it was given addresses.
static void readdress_echo(uint8_t type, enum checksum checksum, enum fragment fragment)
{
	bool ipv6 = type == ECHO_REQUEST6 || type == ECHO_REPLY6;
	bool covered = ipv6 && fragment != LATER_FRAGMENT;
	struct flow_packet run;

	build(ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, random_below(100),
	      (ipv6 ? IPV6 : 0) | (fragment != NO_FRAGMENT ? EXTENSIONS : 0));
	if (fragment != NO_FRAGMENT) { // a fragment header in the place of the second
		packet.data[packet.l4 - 16] = IPPROTO_FRAGMENT;
		put16(packet.l4 - 6, fragment == FIRST_FRAGMENT ? 1 : 8 << 3);
	}
	packet.data[packet.l4] = type;
	put16(packet.l4 + 2, random_below(0x10000));
	put16(packet.l4 + 4, random_below(0x10000));
	if (covered)
		finish_l4(checksum);
	receive_from_function(checksum);
	list_size = 0;
	add_addresses();
	list[list_size++] = (struct rte_flow_action){.type = RTE_FLOW_ACTION_TYPE_DROP};
	list[list_size] = (struct rte_flow_action){.type = RTE_FLOW_ACTION_TYPE_END};
	run_list(&run);
	finish_ipv4();
	if (covered)
		finish_l4(checksum);
	assert_frame_is_packet();
}

static void an_icmpv6_echos_checksum_follows_its_addresses_and_an_icmp_echos_does_not(void **state)
{
	static const uint8_t types[] = {ECHO_REQUEST6, ECHO_REPLY6};

	for (unsigned int i = 0; i < 2000; i++) {
		readdress_echo(types[i % 2], WHOLE, NO_FRAGMENT);
		readdress_echo(types[i % 2], WHOLE, FIRST_FRAGMENT);
		readdress_echo(types[i % 2], WHOLE, LATER_FRAGMENT);
		readdress_echo(types[i % 2], PARTIAL, NO_FRAGMENT);
		readdress_echo(i % 2 ? ECHO_REQUEST : ECHO_REPLY, WHOLE, NO_FRAGMENT);
	}
}

static void a_udp_packet_that_becomes_a_tunnels_is_read_as_one(void **state)
{
	static const rte_be16_t vxlan = RTE_BE16(4789), other = RTE_BE16(4000);
	struct flow_packet run;

	build(IPPROTO_UDP, 60, 0);
	memset(packet.data + packet.l4 + 8, 0, 60);
	packet.data[packet.l4 + 8] = 0x08; // VXLAN, VNI 0x010203
	memcpy(packet.data + packet.l4 + 12, "\1\2\3", 3);
	set_list(RTE_FLOW_ACTION_TYPE_SET_TP_DST, &vxlan);
	receive_from_function(WHOLE);
	run_list(&run);
	assert_int_equal(run.key.tunnel, FLOW_TUNNEL_VXLAN);
	assert_memory_equal(run.key.vni, "\1\2\3", 3);
	list[0].conf = &other;
	run_list(&run);
	assert_int_equal(run.key.tunnel, FLOW_TUNNEL_NONE);
}

// ---- MODIFY_FIELD ---------------------------------------------------------------------------------------

static void modify_does_what_the_action_of_its_own_does(void **state)
{
	static uint8_t expected[SIMNIC_FRAME_MAX];
	static const struct {
		enum rte_flow_field_id field;
		enum rte_flow_action_type type;
		unsigned int options;
		uint8_t protocol, width;
	} cases[] = {
		{RTE_FLOW_FIELD_MAC_DST, RTE_FLOW_ACTION_TYPE_SET_MAC_DST, 0, IPPROTO_TCP, 48},
		{RTE_FLOW_FIELD_MAC_SRC, RTE_FLOW_ACTION_TYPE_SET_MAC_SRC, 0, IPPROTO_TCP, 48},
		{RTE_FLOW_FIELD_IPV4_TTL, RTE_FLOW_ACTION_TYPE_SET_TTL, 0, IPPROTO_TCP, 8},
		{RTE_FLOW_FIELD_IPV4_SRC, RTE_FLOW_ACTION_TYPE_SET_IPV4_SRC, 0, IPPROTO_TCP, 32},
		{RTE_FLOW_FIELD_IPV4_DST, RTE_FLOW_ACTION_TYPE_SET_IPV4_DST, 0, IPPROTO_UDP, 32},
		{RTE_FLOW_FIELD_IPV6_HOPLIMIT, RTE_FLOW_ACTION_TYPE_SET_TTL, IPV6, IPPROTO_TCP, 8},
		{RTE_FLOW_FIELD_IPV6_SRC, RTE_FLOW_ACTION_TYPE_SET_IPV6_SRC, IPV6, IPPROTO_TCP,
		 128},
		{RTE_FLOW_FIELD_IPV6_DST, RTE_FLOW_ACTION_TYPE_SET_IPV6_DST, IPV6, IPPROTO_UDP,
		 128},
		{RTE_FLOW_FIELD_TCP_PORT_SRC, RTE_FLOW_ACTION_TYPE_SET_TP_SRC, 0, IPPROTO_TCP, 16},
		{RTE_FLOW_FIELD_TCP_PORT_DST, RTE_FLOW_ACTION_TYPE_SET_TP_DST, 0, IPPROTO_TCP, 16},
		{RTE_FLOW_FIELD_UDP_PORT_SRC, RTE_FLOW_ACTION_TYPE_SET_TP_SRC, 0, IPPROTO_UDP, 16},
		{RTE_FLOW_FIELD_UDP_PORT_DST, RTE_FLOW_ACTION_TYPE_SET_TP_DST, 0, IPPROTO_UDP, 16},
	};

	static const uint8_t value[16] = {7, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

	for (unsigned int i = 0; i < 2 * RTE_DIM(cases); i++) {
		const unsigned int at = i / 2;
		struct rte_flow_action_modify_field modify = {
			.operation = RTE_FLOW_MODIFY_SET,
			.dst = {.field = cases[at].field, .level = i % 2},
			.src = {.field = RTE_FLOW_FIELD_VALUE},
			.width = cases[at].width,
		};
		struct flow_packet run;

		memcpy(modify.src.value, value, sizeof(value));
		if (i % 2) {
			modify.src.field = RTE_FLOW_FIELD_POINTER;
			modify.src.pvalue = (void *)(uintptr_t)value;
		}
		build(cases[at].protocol, 100, cases[at].options);
		finish_l4(WHOLE);
		set_list(cases[at].type, value);
		receive_from_function(WHOLE);
		run_list(&run);
		assert_memory_not_equal(packet.data, buffer->received.data, packet.length);
		memcpy(expected, buffer->received.data, packet.length);
		set_list(RTE_FLOW_ACTION_TYPE_MODIFY_FIELD, &modify);
		receive_from_function(WHOLE);
		run_list(&run);
		assert_memory_equal(expected, buffer->received.data, packet.length);
	}
}

static void a_ttl_is_added_to_and_wraps(void **state)
{
	static const struct {
		enum rte_flow_modify_op operation;
		uint8_t value, expected;
	} cases[] = {{RTE_FLOW_MODIFY_ADD, 3, 67},
		     {RTE_FLOW_MODIFY_ADD, 255, 63},
		     {RTE_FLOW_MODIFY_SUB, 1, 63},
		     {RTE_FLOW_MODIFY_SUB, 65, 255}};

	for (unsigned int i = 0; i < RTE_DIM(cases); i++) {
		struct rte_flow_action_modify_field modify = {
			.operation = cases[i].operation,
			.dst = {.field = RTE_FLOW_FIELD_IPV4_TTL},
			.src = {.field = RTE_FLOW_FIELD_VALUE, .value = {cases[i].value}},
			.width = 8,
		};
		struct flow_packet run;

		build(IPPROTO_TCP, 5, 0);
		receive_from_function(WHOLE);
		set_list(RTE_FLOW_ACTION_TYPE_MODIFY_FIELD, &modify);
		run_list(&run);
		assert_int_equal(run.key.outer.ttl, cases[i].expected);
		assert_true(run.key.outer.layers & FLOW_L3_OK);
	}
}

// ---- what is counted ------------------------------------------------------------------------------------

static void a_frame_to_be_segmented_counts_as_its_segments(void **state)
{
	for (unsigned int i = 0; i < 200; i++) {
		uint32_t payload = 1 + random_below(60000), segments, header;
		struct frame_on_wire on_wire;
		struct flow_offsets offsets;
		struct rte_mbuf *mbuf = NULL;
		struct flow_key key;

		build(IPPROTO_TCP, payload, random_below(8));
		finish_l4(SEGMENTED);
		finish_ipv4();
		header = packet.l4 + 20;
		segments = (payload + GSO_SIZE - 1) / GSO_SIZE;
		if (i % 2)
			mbuf = send_by_port(SEGMENTED);
		else
			receive_from_function(SEGMENTED);
		assert_int_equal(frame_measure(&buffer->frame, &on_wire), FRAME_OK);
		assert_int_equal(on_wire.packets, segments);
		assert_int_equal(on_wire.bytes, payload + segments * header);
		assert_int_equal(on_wire.longest, header + RTE_MIN(payload, (uint32_t)GSO_SIZE));
		// And has the length of the longest of them.
		flow_key_read(&buffer->frame, on_wire.longest, &key, &offsets);
		assert_int_equal(rte_be_to_cpu_16(key.outer.length),
				 on_wire.longest - packet.l3 - (packet.ipv4 ? 0 : 40));
		rte_pktmbuf_free(mbuf);
	}
}

// RAW_DECAP can cut anything off.
static void a_frame_that_lost_its_tcp_header_is_no_longer_to_be_segmented(void **state)
{
	for (unsigned int i = 0; i < 2; i++) {
		struct flow_packet run = {.buffer = buffer};
		struct rte_mbuf *mbuf = NULL;

		build(IPPROTO_TCP, 10 * GSO_SIZE, 0);
		finish_l4(SEGMENTED);
		if (i == 0)
			receive_from_function(SEGMENTED);
		else
			mbuf = send_by_port(SEGMENTED);
		assert_int_equal(frame_measure(&buffer->frame, &run.on_wire), FRAME_OK);
		assert_int_equal(run.on_wire.packets, 10);
		flow_key_read(&buffer->frame, run.on_wire.longest, &run.key, &run.offsets);
		assert_true(flow_cut(&run, packet.l4 + 4));
		assert_int_equal(run.on_wire.packets, 1);
		assert_int_equal(run.on_wire.bytes, packet.length - packet.l4 - 4);
		assert_int_equal(run.on_wire.longest, packet.length - packet.l4 - 4);
		rte_pktmbuf_free(mbuf);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_rewritten_frame_of_a_function_is_as_if_it_had_been_made_so),
		TEST(a_rewritten_frame_of_a_port_too_and_its_mbufs_are_not_written_to),
		TEST(the_two_zeros_of_a_checksum_are_told_apart),
		TEST(a_wrong_ipv4_checksum_stays_wrong),
		TEST(an_icmpv6_echos_checksum_follows_its_addresses_and_an_icmp_echos_does_not),
		TEST(a_udp_packet_that_becomes_a_tunnels_is_read_as_one),
		TEST(modify_does_what_the_action_of_its_own_does),
		TEST(a_ttl_is_added_to_and_wraps),
		TEST(a_frame_to_be_segmented_counts_as_its_segments),
		TEST(a_frame_that_lost_its_tcp_header_is_no_longer_to_be_segmented),
	};

	return frame_tests_run(tests, RTE_DIM(tests));
}
