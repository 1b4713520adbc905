// SPDX-License-Identifier: BSD-3-Clause
//
// What actions do to frames: bytes and checksums as one would compute them from scratch, and the key as it would be read
// from the new frame.

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>

#include "sim/simnic/flow_action.h"
#include "sim/simnic/test_packet.h"

static struct device device;

// ---- frames ---------------------------------------------------------------------------------------------

enum checksum { WHOLE, WRONG, PARTIAL, SEGMENTED, NONE };
enum fragment { NO_FRAGMENT, FIRST_FRAGMENT, LATER_FRAGMENT };

enum { GSO_SIZE = 1200 };

static uint32_t l4_checksum_at(void)
{
	if (packet.protocol == IPPROTO_ICMPV6 || packet.protocol == IPPROTO_ICMP)
		return packet.l4 + 2;
	return packet.l4 + checksum_offset();
}

static void put16(uint32_t at, uint16_t value)
{
	packet.data[at] = value >> 8;
	packet.data[at + 1] = value & 0xff;
}

static uint16_t get16(uint32_t at)
{
	return packet.data[at] << 8 | packet.data[at + 1];
}

static void finish_ipv4(void)
{
	struct rte_ipv4_hdr *ip = (void *)(packet.data + packet.l3);

	if (!packet.ipv4)
		return;
	ip->hdr_checksum = 0;
	ip->hdr_checksum = rte_ipv4_cksum(ip);
}

static void finish_l4(enum checksum checksum)
{
	uint32_t at = l4_checksum_at();
	uint16_t sum;

	put16(at, 0);
	if (checksum == NONE)
		return;
	if (checksum == PARTIAL || checksum == SEGMENTED) {
		put16(at, reference_sum(packet.data, true));
		return;
	}
	sum = ~reference_sum(packet.data, false);
	if (packet.protocol == IPPROTO_UDP && sum == 0)
		sum = 0xffff;
	put16(at, sum);
}

// The packet in packet.data as a frame of a function.
static void receive_from_function(enum checksum checksum)
{
	struct virtio_net_hdr vnet = {0};

	if (checksum == PARTIAL || checksum == SEGMENTED) {
		vnet.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		vnet.csum_start = packet.l4;
		vnet.csum_offset = checksum_offset();
	}
	if (checksum == SEGMENTED) {
		vnet.gso_type = packet.ipv4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
		vnet.gso_size = GSO_SIZE;
	}
	memcpy(buffer->received.vnet, &vnet, sizeof(buffer->received.vnet));
	memcpy(buffer->received.data, packet.data, packet.length);
	assert_int_equal(
		frame_from_netdev(buffer, &function, packet.length + CARD_VNET_HEADER_SIZE),
		FRAME_OK);
}

// The packet as a chain of mbufs that a port sends.
static struct rte_mbuf *send_by_port(enum checksum checksum)
{
	struct rte_mbuf *first = NULL;
	uint32_t at = 0;

	while (at < packet.length) {
		struct rte_mbuf *mbuf = rte_pktmbuf_alloc(pool);
		uint32_t size =
			RTE_MIN(packet.length - at, random_below(1500) + (at == 0 ? 14 : 1));

		assert_non_null(mbuf);
		memcpy(rte_pktmbuf_append(mbuf, size), packet.data + at, size);
		at += size;
		if (first == NULL)
			first = mbuf;
		else
			assert_int_equal(rte_pktmbuf_chain(first, mbuf), 0);
	}
	if (checksum == PARTIAL || checksum == SEGMENTED) {
		first->l2_len = packet.l3;
		first->l3_len = packet.l4 - packet.l3;
		first->ol_flags = packet.ipv4 ? RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM
					      : RTE_MBUF_F_TX_IPV6;
		first->ol_flags |= packet.protocol == IPPROTO_TCP ? RTE_MBUF_F_TX_TCP_CKSUM
								  : RTE_MBUF_F_TX_UDP_CKSUM;
	}
	if (checksum == SEGMENTED) {
		first->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
		first->l4_len = sizeof(struct rte_tcp_hdr);
		first->tso_segsz = GSO_SIZE;
	}
	assert_int_equal(frame_from_mbuf(buffer, &function, first), FRAME_OK);
	return first;
}

static void assert_frame_is_packet(void)
{
	const struct frame *frame = &buffer->frame;
	uint32_t at = 0;

	assert_int_equal(frame->length, packet.length);
	for (unsigned int i = 1; i < frame->parts; i++) {
		for (size_t j = 0; j < frame->iov[i].iov_len; j++)
			if (((uint8_t *)frame->iov[i].iov_base)[j] != packet.data[at + j])
				fail_msg(
					"byte %zu (layer 3 at %u, layer 4 at %u) is %02x, not %02x",
					at + j, packet.l3, packet.l4,
					((uint8_t *)frame->iov[i].iov_base)[j],
					packet.data[at + j]);
		at += frame->iov[i].iov_len;
	}
	assert_int_equal(at, packet.length);
}

// ---- actions --------------------------------------------------------------------------------------------

static struct rte_flow_action list[16];
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

// One action.
static void set_list(enum rte_flow_action_type type, const void *conf)
{
	list[0] = (struct rte_flow_action){.type = type, .conf = conf};
	list[1] = (struct rte_flow_action){.type = RTE_FLOW_ACTION_TYPE_DROP};
	list[2] = (struct rte_flow_action){.type = RTE_FLOW_ACTION_TYPE_END};
}

// Run the list on the frame in the buffer.
static void run_list(struct flow_packet *ret_packet)
{
	struct flow_packet run = {.buffer = buffer};
	struct flow_match match = {0};
	struct flow_actions *actions;
	struct rte_flow_error error;
	struct flow_key again;
	struct flow_offsets offsets;

	flow_key_read(&buffer->frame, &run.key, &run.offsets);
	match.mask.outer.layers = match.value.outer.layers = run.key.outer.layers;
	if (flow_actions_compile(&device, &match, 0, list, &actions, &error) < 0)
		fail_msg("refused: %s", error.message);
	assert_int_equal(flow_actions_run(actions, &run)->kind, FLOW_DROP);
	flow_packet_refresh(&run);
	flow_key_read(&buffer->frame, &again, &offsets);
	assert_memory_equal(&run.key, &again, sizeof(again));
	assert_memory_equal(&run.offsets, &offsets, sizeof(offsets));
	flow_actions_free(actions);
	*ret_packet = run;
}

// ---- tests ----------------------------------------------------------------------------------------------

static void build_random(enum checksum *ret_checksum, enum fragment *ret_fragment)
{
	static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMPV6, IPPROTO_SCTP};
	enum checksum checksum = random_below(5);
	unsigned int options = random_below(8);
	uint8_t protocol = protocols[random_below(4)];
	uint32_t payload = random_below(1200);

	*ret_fragment = NO_FRAGMENT;
	if (protocol == IPPROTO_ICMPV6 && !(options & IPV6))
		protocol = IPPROTO_ICMP;
	if (protocol != IPPROTO_TCP && checksum == SEGMENTED)
		checksum = PARTIAL;
	if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP && checksum == PARTIAL)
		checksum = WHOLE;
	if (protocol != IPPROTO_UDP && checksum == NONE)
		checksum = WHOLE;
	if (checksum == SEGMENTED)
		payload = GSO_SIZE + 1 + random_below(20000);
	build(protocol, payload, options);
	packet.data[packet.l3 + (packet.ipv4 ? 8 : 7)] = random_below(256); // TTL
	if (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP)
		for (unsigned int i = 0; i < 4; i++)
			packet.data[packet.l4 + i] = random_below(256);
	if (packet.ipv4 && (checksum == WHOLE || checksum == WRONG) && random_below(3) == 0) {
		*ret_fragment = 1 + random_below(2);
		put16(packet.l3 + 6, *ret_fragment == FIRST_FRAGMENT ? 0x2000 : 0x2000 | 185);
	}
	*ret_checksum = checksum;
}

// Where the packet, as read_l4() sees it, has a checksum that a change of addresses changes.
static bool has_checksum(enum fragment fragment)
{
	return fragment != LATER_FRAGMENT &&
	       (packet.protocol == IPPROTO_TCP || packet.protocol == IPPROTO_UDP ||
		packet.protocol == IPPROTO_ICMPV6);
}

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
		struct rte_mbuf *mbuf = NULL;

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
		TEST(a_udp_packet_that_becomes_a_tunnels_is_read_as_one),
		TEST(modify_does_what_the_action_of_its_own_does),
		TEST(a_ttl_is_added_to_and_wraps),
		TEST(a_frame_to_be_segmented_counts_as_its_segments),
	};

	return frame_tests_run(tests, RTE_DIM(tests));
}
