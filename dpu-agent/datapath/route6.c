// SPDX-License-Identifier: BSD-3-Clause
//
// The way to an address outside of the pod network: by the uplink's routes, to a neighbour on the wire.

#include "datapath/icmp.h"
#include "datapath/worker.h"

enum { EDGE_FORWARD = 1, EDGE_LOCAL, EDGE_HAIRPIN, EDGE_ERROR, EDGES };

static rte_edge_t route6_one(struct worker *w, struct rte_mbuf *m)
{
	const struct snapshot *s = w->snapshot;
	const uint8_t *destination =
		ipv6_destination(rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *));

	if (is_wire_ipv6(s, destination))
		return w->masquerade != NULL ? EDGE_HAIRPIN : EDGE_LOCAL;
	if (!wire_route_ipv6(s, m, destination))
		return drop_and_tell(m, EDGE_ERROR, DROP_NO_ROUTE, ICMP6_UNREACHABLE,
				     ICMP6_NO_ROUTE, 0);
	return EDGE_FORWARD;
}

static uint16_t route6(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t count)
{
	return each_packet(graph, node, objs, count, route6_one);
}

static struct rte_node_register route6_node = {
	.name = NODE("route6"),
	.process = route6,
	.nb_edges = EDGES,
	.next_nodes = {[EDGE_DROP] = NODE("drop"),
		       [EDGE_FORWARD] = NODE("ip6_forward"),
		       [EDGE_LOCAL] = NODE("icmp6_local"),
		       [EDGE_HAIRPIN] = NODE("masquerade_hairpin"),
		       [EDGE_ERROR] = NODE("icmp6_error")},
};
RTE_NODE_REGISTER(route6_node)
