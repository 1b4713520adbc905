// SPDX-License-Identifier: BSD-3-Clause
//
// The router's part of forwarding (RFC 1812 section 5.3.1): time to live, MTU of the way out, checksum.

#include "datapath/icmp.h"
#include "datapath/neighbour_private.h"
#include "datapath/worker.h"

enum { EDGE_TX = 1, EDGE_WIRE, EDGE_FRAGMENT, EDGE_RESOLVE, EDGE_ERROR, EDGES };

static void decrement_ttl(struct rte_ipv4_hdr *ip)
{
	// RFC 1624 equation 3 for a word that became 0x0100 less.
	uint32_t sum = (uint32_t)ip->hdr_checksum + RTE_BE16(0x0100);

	ip->hdr_checksum = (uint16_t)(sum + (sum >> 16));
	ip->time_to_live--;
}

static rte_edge_t ip4_forward_one(struct worker *w, struct rte_mbuf *m)
{
	struct packet_meta *meta = packet_meta(m);
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);
	const struct graph_port *out = w->snapshot->ports[meta->out_slot];
	rte_edge_t edge = EDGE_TX;

	if (unlikely(out == NULL))
		return drop(m, DROP_PORT_GONE);
	if (unlikely(ip->time_to_live <= 1))
		return drop_and_tell(m, EDGE_ERROR, DROP_TTL_EXPIRED, ICMP4_TIME_EXCEEDED, 0, 0);
	if (unlikely(packet_wire_size(m) > out->config.mtu)) {
		if (ip->fragment_offset & RTE_BE16(RTE_IPV4_HDR_DF_FLAG))
			return drop_and_tell(m, EDGE_ERROR, DROP_TOO_BIG, ICMP4_UNREACHABLE,
					     ICMP4_FRAGMENTATION_NEEDED, out->config.mtu);
		if (meta->offload == OFFLOAD_TSO) // smaller segments are as good as fragments
			m->tso_segsz =
				(uint16_t)(out->config.mtu - meta->l4_offset - meta->l4_size);
		else
			edge = EDGE_FRAGMENT;
	}
	switch (neighbour_find(w, m, out)) {
	case ANSWER_WAIT:
		return EDGE_RESOLVE;
	case ANSWER_UNREACHABLE:
		return drop_and_tell(m, EDGE_ERROR, DROP_NEIGHBOUR_UNREACHABLE, ICMP4_UNREACHABLE,
				     ICMP4_HOST_UNREACHABLE, 0);
	case ANSWER_KNOWN:
		break;
	}
	decrement_ttl(ip);
	meta->ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	// It is cut, if it must be, after all that wire_output's predecessors do to the whole.
	return out->config.role == DATAPATH_ROLE_UPLINK ? (rte_edge_t)EDGE_WIRE : edge;
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
		       [EDGE_WIRE] = NODE("masquerade_output"),
		       [EDGE_FRAGMENT] = NODE("ip4_fragment"),
		       [EDGE_RESOLVE] = NODE("neighbour_resolve"),
		       [EDGE_ERROR] = NODE("icmp4_error")},
};
RTE_NODE_REGISTER(ip4_forward_node)
