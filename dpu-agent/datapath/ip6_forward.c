// SPDX-License-Identifier: BSD-3-Clause
//
// The router's part of forwarding (RFC 8200): hop limit and the MTU of the way out. IPv6 routers do
// not fragment.

#include "datapath/icmp.h"
#include "datapath/neighbour_private.h"
#include "datapath/worker.h"

enum { EDGE_TX = 1, EDGE_WIRE, EDGE_RESOLVE, EDGE_ERROR, EDGES };

static rte_edge_t ip6_forward_one(struct worker *w, struct rte_mbuf *m)
{
	struct packet_meta *meta = packet_meta(m);
	struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv6_hdr *);
	const struct graph_port *out = w->snapshot->ports[meta->out_slot];

	if (unlikely(out == NULL))
		return drop(m, DROP_PORT_GONE);
	if (unlikely(ip->hop_limits <= 1))
		return drop_and_tell(m, EDGE_ERROR, DROP_TTL_EXPIRED, ICMP6_TIME_EXCEEDED, 0, 0);
	if (unlikely(packet_wire_size(m) > out->config.mtu))
		return drop_and_tell(m, EDGE_ERROR, DROP_TOO_BIG, ICMP6_PACKET_TOO_BIG, 0,
				     out->config.mtu);
	switch (neighbour_find(w, m, out)) {
	case ANSWER_WAIT:
		return EDGE_RESOLVE;
	case ANSWER_UNREACHABLE:
		return drop_and_tell(m, EDGE_ERROR, DROP_NEIGHBOUR_UNREACHABLE, ICMP6_UNREACHABLE,
				     ICMP6_ADDRESS_UNREACHABLE, 0);
	case ANSWER_KNOWN:
		break;
	}
	ip->hop_limits--;
	meta->ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV6);
	return out->config.role == DATAPATH_ROLE_UPLINK ? EDGE_WIRE : EDGE_TX;
}

static uint16_t ip6_forward(struct rte_graph *graph, struct rte_node *node, void **objs,
			    uint16_t count)
{
	return each_packet(graph, node, objs, count, ip6_forward_one);
}

static struct rte_node_register ip6_forward_node = {
	.name = NODE("ip6_forward"),
	.process = ip6_forward,
	.nb_edges = EDGES,
	.next_nodes = {[EDGE_DROP] = NODE("drop"),
		       [EDGE_TX] = NODE("port_tx"),
		       [EDGE_WIRE] = NODE("masquerade_output"),
		       [EDGE_RESOLVE] = NODE("neighbour_resolve"),
		       [EDGE_ERROR] = NODE("icmp6_error")},
};
RTE_NODE_REGISTER(ip6_forward_node)
