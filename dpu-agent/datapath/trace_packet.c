// SPDX-License-Identifier: BSD-3-Clause
//
// A packet as an operator is shown it: its headers in a step, its bytes as a frame. Reads, never
// changes. Workers.

#include <netinet/in.h>

#include "datapath/trace_private.h"

enum { HEADERS = 128 }; // of a packet that are looked at

// ---- headers -------------------------------------------------------------------------------------

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void read_layer4(const uint8_t *p, uint32_t size, struct trace_step *step)
{
	switch (step->protocol) {
	case IPPROTO_TCP:
		if (size < 14)
			return;
		step->type = p[13];
		break;
	case IPPROTO_UDP:
		if (size < 4)
			return;
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if (size < 6)
			return;
		step->type = p[0];
		step->code = p[1];
		// Echo: RFC 792, RFC 4443 section 4.1.
		if (step->protocol == IPPROTO_ICMP ? p[0] == 8 || p[0] == 0
						   : p[0] == 128 || p[0] == 129)
			step->source_port = get16(p + 4);
		return;
	default:
		return;
	}
	step->source_port = get16(p);
	step->destination_port = get16(p + 2);
}

static void read_ipv4(const uint8_t *p, uint32_t size, struct trace_step *step)
{
	uint32_t header = (p[0] & 0xfu) * 4;

	if (size < sizeof(struct rte_ipv4_hdr))
		return;
	step->family = TRACE_IPV4;
	step->hops = p[8];
	step->protocol = p[9];
	memcpy(step->source, p + 12, 4);
	memcpy(step->destination, p + 16, 4);
	step->later_piece = (get16(p + 6) & RTE_IPV4_HDR_OFFSET_MASK) != 0;
	if (!step->later_piece && header >= sizeof(struct rte_ipv4_hdr) && size > header)
		read_layer4(p + header, size - header, step);
}

// Extension headers are not followed: the protocol is the first one's.
static void read_ipv6(const uint8_t *p, uint32_t size, struct trace_step *step)
{
	const uint32_t header = sizeof(struct rte_ipv6_hdr);

	if (size < header)
		return;
	step->family = TRACE_IPV6;
	step->protocol = p[6];
	step->hops = p[7];
	memcpy(step->source, p + 8, 16);
	memcpy(step->destination, p + 24, 16);
	if (size > header)
		read_layer4(p + header, size - header, step);
}

static void read_arp(const uint8_t *p, uint32_t size, struct trace_step *step)
{
	if (size < 28)
		return;
	step->family = TRACE_ARP;
	step->type = p[7];
	memcpy(step->source, p + 14, 4);
	memcpy(step->destination, p + 24, 4);
}

void trace_read_step(const struct rte_mbuf *m, bool layer2, struct trace_step *ret_step)
{
	uint32_t size = RTE_MIN(rte_pktmbuf_pkt_len(m), (uint32_t)HEADERS);
	const struct packet_meta *meta = packet_meta(m);
	uint16_t type = rte_be_to_cpu_16(meta->ether_type);
	uint8_t buffer[HEADERS];
	const uint8_t *p = rte_pktmbuf_read(m, 0, size, buffer);

	*ret_step = (struct trace_step){
		.out_slot = meta->out_slot,
		.reason = meta->reason,
		.own = meta->own,
		.error_type = meta->icmp_type,
		.error_code = meta->icmp_code,
		.error_value = meta->icmp_value,
		.length = rte_pktmbuf_pkt_len(m),
	};
	memcpy(ret_step->next_hop, meta->next_hop, sizeof(ret_step->next_hop));
	memcpy(ret_step->wire_mac, &meta->wire_mac, sizeof(ret_step->wire_mac));
	if (p == NULL || size == 0)
		return;
	if (layer2) {
		uint32_t header = RTE_ETHER_HDR_LEN;

		if (size < header + RTE_VLAN_HLEN)
			return;
		type = get16(p + 12);
		if (type == RTE_ETHER_TYPE_VLAN) {
			type = get16(p + 16);
			header += RTE_VLAN_HLEN;
		}
		p += header;
		size -= header;
		if (size == 0)
			return;
	} else if (p[0] >> 4 == 4) {
		type = RTE_ETHER_TYPE_IPV4;
	} else if (p[0] >> 4 == 6) {
		type = RTE_ETHER_TYPE_IPV6;
	} else if (size >= 2 && get16(p) == 1) { // Ethernet's, before ARP's other fields
		type = RTE_ETHER_TYPE_ARP;
	}
	if (type == RTE_ETHER_TYPE_IPV4)
		read_ipv4(p, size, ret_step);
	else if (type == RTE_ETHER_TYPE_IPV6)
		read_ipv6(p, size, ret_step);
	else if (type == RTE_ETHER_TYPE_ARP)
		read_arp(p, size, ret_step);
}

// ---- frames --------------------------------------------------------------------------------------

static void copy(const struct rte_mbuf *m, uint8_t *to, uint32_t size)
{
	const void *from = rte_pktmbuf_read(m, 0, size, to);

	if (from != NULL && from != to)
		memcpy(to, from, size);
}

// RFC 2464 section 7: the group that an IPv6 packet is for.
static struct rte_ether_addr group_mac(const struct rte_mbuf *m)
{
	const uint8_t *group = ipv6_destination(rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *));

	return (struct rte_ether_addr){{0x33, 0x33, group[12], group[13], group[14], group[15]}};
}

static uint16_t type_of(const struct rte_mbuf *m)
{
	uint8_t version =
		rte_pktmbuf_data_len(m) > 0 ? *rte_pktmbuf_mtod(m, const uint8_t *) >> 4 : 0;

	return version == 4   ? RTE_BE16(RTE_ETHER_TYPE_IPV4)
	       : version == 6 ? RTE_BE16(RTE_ETHER_TYPE_IPV6)
			      : packet_meta(m)->ether_type;
}

uint32_t trace_copy_frame(const struct snapshot *s, const struct graph_port *port,
			  const struct rte_mbuf *m, bool layer2, bool to_port, uint8_t *to,
			  uint32_t size, uint32_t *ret_length)
{
	uint32_t packet = rte_pktmbuf_pkt_len(m);
	struct rte_ether_hdr header;

	if (layer2) {
		*ret_length = packet;
		size = RTE_MIN(size, packet);
		copy(m, to, size);
		return size;
	}
	header.dst_addr = to_port ? port->mac : s->router_mac;
	header.src_addr = to_port ? s->router_mac : port->mac;
	if (packet_meta(m)->out_group && rte_pktmbuf_data_len(m) >= sizeof(struct rte_ipv6_hdr))
		header.dst_addr = group_mac(m);
	header.ether_type = type_of(m);
	*ret_length = (uint32_t)sizeof(header) + packet;
	if (size < sizeof(header))
		return 0;
	memcpy(to, &header, sizeof(header));
	size = RTE_MIN(size - (uint32_t)sizeof(header), packet);
	copy(m, to + sizeof(header), size);
	return (uint32_t)sizeof(header) + size;
}
