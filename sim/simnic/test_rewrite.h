// SPDX-License-Identifier: BSD-3-Clause
//
// Random packets as frames of functions and of ports, and lists of actions to be run on them. For one file per program.

#pragma once

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

static inline uint32_t l4_checksum_at(void)
{
	if (packet.protocol == IPPROTO_ICMPV6 || packet.protocol == IPPROTO_ICMP)
		return packet.l4 + 2;
	return packet.l4 + checksum_offset();
}

static inline void put16(uint32_t at, uint16_t value)
{
	packet.data[at] = value >> 8;
	packet.data[at + 1] = value & 0xff;
}

static inline uint16_t get16(uint32_t at)
{
	return packet.data[at] << 8 | packet.data[at + 1];
}

static inline void finish_ipv4(void)
{
	struct rte_ipv4_hdr *ip = (void *)(packet.data + packet.l3);

	if (!packet.ipv4)
		return;
	ip->hdr_checksum = 0;
	ip->hdr_checksum = rte_ipv4_cksum(ip);
}

static inline void finish_l4(enum checksum checksum)
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
static inline void receive_from_function(enum checksum checksum)
{
	struct virtio_net_hdr vnet = {0};

	if (checksum == PARTIAL || checksum == SEGMENTED) {
		vnet.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		vnet.csum_start = packet.l4;
		vnet.csum_offset = l4_checksum_at() - packet.l4;
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
static inline struct rte_mbuf *send_by_port(enum checksum checksum)
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

static inline void assert_frame_is_packet(void)
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

// One action.
static inline void set_list(enum rte_flow_action_type type, const void *conf)
{
	list[0] = (struct rte_flow_action){.type = type, .conf = conf};
	list[1] = (struct rte_flow_action){.type = RTE_FLOW_ACTION_TYPE_DROP};
	list[2] = (struct rte_flow_action){.type = RTE_FLOW_ACTION_TYPE_END};
}

// Run the list on the frame in the buffer, as a rule whose pattern asks for all that it has. False: it could not be done.
static inline bool try_list(struct flow_packet *ret_packet)
{
	struct flow_packet run = {.buffer = buffer};
	struct frame_on_wire on_wire;
	const struct flow_op *fate;
	bool done;
	struct flow_match match = {0};
	struct flow_actions *actions;
	struct rte_flow_error error;
	struct flow_key again;
	struct flow_offsets offsets;

	assert_int_equal(frame_measure(&buffer->frame, &run.on_wire), FRAME_OK);
	flow_key_read(&buffer->frame, run.on_wire.longest, &run.key, &run.offsets);
	match.mask.outer.layers = match.value.outer.layers = run.key.outer.layers;
	match.mask.inner.layers = match.value.inner.layers = run.key.inner.layers;
	match.mask.tunnel = UINT8_MAX;
	match.value.tunnel = run.key.tunnel;
	if (flow_actions_compile(&device, &match, 0, list, &actions, &error) < 0)
		fail_msg("refused: %s", error.message);
	fate = flow_actions_run(actions, &run);
	done = fate != NULL && fate->kind == FLOW_DROP;
	flow_actions_free(actions);
	if (!done)
		return false;
	flow_packet_refresh(&run);
	// What is counted is what one would count now.
	assert_int_equal(frame_measure(&buffer->frame, &on_wire), FRAME_OK);
	assert_memory_equal(&run.on_wire, &on_wire, sizeof(on_wire));
	flow_key_read(&buffer->frame, on_wire.longest, &again, &offsets);
	assert_memory_equal(&run.key, &again, sizeof(again));
	assert_memory_equal(&run.offsets, &offsets, sizeof(offsets));
	*ret_packet = run;
	return true;
}

static inline void run_list(struct flow_packet *ret_packet)
{
	assert_true(try_list(ret_packet));
}

static inline void build_random(enum checksum *ret_checksum, enum fragment *ret_fragment)
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
static inline bool has_checksum(enum fragment fragment)
{
	return fragment != LATER_FRAGMENT &&
	       (packet.protocol == IPPROTO_TCP || packet.protocol == IPPROTO_UDP ||
		packet.protocol == IPPROTO_ICMPV6);
}
