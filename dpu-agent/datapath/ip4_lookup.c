// SPDX-License-Identifier: BSD-3-Clause
//
// Whose address is it. Every address of the pod network leads to its port; what leads nowhere is an error
// to the sender. Other addresses are for route4.

#include "datapath/icmp.h"
#include "datapath/worker.h"

enum { EDGE_FORWARD = 1, EDGE_ROUTE, EDGE_LOCAL, EDGE_ERROR, EDGES };

static rte_edge_t not_found(const struct snapshot *s, struct rte_mbuf *m, rte_be32_t destination)
{
	if (!in_network_ipv4(s, destination))
		return EDGE_ROUTE;
	// The gateway's address is the host's; while it has no port, the router answers for it.
	if (destination == s->router.gateway_ipv4.s_addr)
		return EDGE_LOCAL;
	return drop_and_tell(m, EDGE_ERROR, DROP_NO_SUCH_POD, ICMP4_UNREACHABLE,
			     ICMP4_HOST_UNREACHABLE, 0);
}

static rte_edge_t ip4_lookup_one(struct worker *w, struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);

	if (likely(address4_find(w->snapshot->addresses, ip->dst_addr, &packet_meta(m)->out_slot)))
		return EDGE_FORWARD;
	return not_found(w->snapshot, m, ip->dst_addr);
}

static uint16_t ip4_lookup(struct rte_graph *graph, struct rte_node *node, void **objs,
			   uint16_t count)
{
	return each_packet(graph, node, objs, count, ip4_lookup_one);
}

static struct rte_node_register ip4_lookup_node = {
	.name = NODE("ip4_lookup"),
	.process = ip4_lookup,
	.nb_edges = EDGES,
	.next_nodes = {[EDGE_DROP] = NODE("drop"),
		       [EDGE_FORWARD] = NODE("ip4_forward"),
		       [EDGE_ROUTE] = NODE("route4"),
		       [EDGE_LOCAL] = NODE("icmp4_local"),
		       [EDGE_ERROR] = NODE("icmp4_error")},
};
RTE_NODE_REGISTER(ip4_lookup_node)
