// SPDX-License-Identifier: BSD-3-Clause
//
// The router's part of forwarding (RFC 1812 section 5.3.1): time to live, MTU of the way out, checksum.

#include "datapath/icmp.h"
#include "datapath/worker.h"

enum { EDGE_TX = 1, EDGE_FRAGMENT, EDGE_ERROR, EDGES };

static rte_edge_t error(struct rte_mbuf *m, enum drop_reason reason, uint8_t type, uint8_t code,
			uint32_t value)
{
	struct packet_meta *meta = packet_meta(m);

	meta->reason = (uint8_t)reason;
	meta->icmp_type = type;
	meta->icmp_code = code;
	meta->icmp_value = value;
	return EDGE_ERROR;
}

static rte_edge_t ip4_forward_one(struct worker *w, struct rte_mbuf *m)
{
	struct packet_meta *meta = packet_meta(m);
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);
	const struct graph_port *out = w->snapshot->ports[meta->out_slot];

	if (out == NULL)
		return drop(m, DROP_PORT_GONE);
	if (ip->time_to_live <= 1)
		return error(m, DROP_TTL_EXPIRED, ICMP4_TIME_EXCEEDED, 0, 0);

	bool too_big = rte_pktmbuf_pkt_len(m) > out->config.mtu &&
		       packet_wire_size(m, false) > out->config.mtu;
	if (too_big && (packet_is_large(m) ||
			(ip->fragment_offset & rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG)) != 0))
		return error(m, DROP_TOO_BIG, ICMP4_UNREACHABLE, ICMP4_FRAGMENTATION_NEEDED,
			     out->config.mtu);

	ip->time_to_live--;
	// RFC 1624 equation 3 for a word that became 0x0100 less.
	uint32_t sum = (uint32_t)ip->hdr_checksum + rte_cpu_to_be_16(0x0100);
	ip->hdr_checksum = (uint16_t)(sum + (sum >> 16));
	meta->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
	return too_big ? EDGE_FRAGMENT : EDGE_TX;
}

static uint16_t ip4_forward(struct rte_graph *graph, struct rte_node *node, void **objs,
			    uint16_t count)
{
	return each_packet(graph, node, objs, count, ip4_forward_one);
}

static struct rte_node_register ip4_forward_node = {
	.name = NODE("ip4_forward"),
	.process = ip4_forward,
	.nb_edges = EDGES,
	.next_nodes = {[EDGE_DROP] = NODE("drop"),
		       [EDGE_TX] = NODE("port_tx"),
		       [EDGE_FRAGMENT] = NODE("ip4_fragment"),
		       [EDGE_ERROR] = NODE("icmp4_error")},
};
RTE_NODE_REGISTER(ip4_forward_node)
