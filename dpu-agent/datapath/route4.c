// SPDX-License-Identifier: BSD-3-Clause
//
// The way to an address outside of the pod network: by the uplink's routes, to a neighbour on the wire.

#include "datapath/icmp.h"
#include "datapath/worker.h"

enum { EDGE_FORWARD = 1, EDGE_LOCAL, EDGE_HAIRPIN, EDGE_ERROR, EDGES };

// The link's own broadcast addresses: not for others to send to (RFC 2644).
static bool is_directed_broadcast(const struct wire *wire, rte_be32_t address)
{
	rte_be32_t host = ~wire->mask_ipv4;

	return wire->config.has_ipv4 && wire->config.ipv4_prefix_length < 31 &&
	       ((address ^ wire->config.ipv4.s_addr) & wire->mask_ipv4) == 0 &&
	       ((address & host) == 0 || (address & host) == host);
}

static rte_edge_t route4_one(struct worker *w, struct rte_mbuf *m)
{
	const struct snapshot *s = w->snapshot;
	rte_be32_t destination = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *)->dst_addr;

	if (is_wire_ipv4(s, destination))
		return w->masquerade != NULL ? EDGE_HAIRPIN : EDGE_LOCAL;
	if (s->wire != NULL && is_directed_broadcast(s->wire, destination))
		return drop(m, DROP_MULTICAST);
	if (!wire_route_ipv4(s, m, destination))
		return drop_and_tell(m, EDGE_ERROR, DROP_NO_ROUTE, ICMP4_UNREACHABLE,
				     ICMP4_NET_UNREACHABLE, 0);
	return EDGE_FORWARD;
}

static uint16_t route4(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t count)
{
	return each_packet(graph, node, objs, count, route4_one);
}

static struct rte_node_register route4_node = {
	.name = NODE("route4"),
	.process = route4,
	.nb_edges = EDGES,
	.next_nodes = {[EDGE_DROP] = NODE("drop"),
		       [EDGE_FORWARD] = NODE("ip4_forward"),
		       [EDGE_LOCAL] = NODE("icmp4_local"),
		       [EDGE_HAIRPIN] = NODE("masquerade_hairpin"),
		       [EDGE_ERROR] = NODE("icmp4_error")},
};
RTE_NODE_REGISTER(route4_node)
