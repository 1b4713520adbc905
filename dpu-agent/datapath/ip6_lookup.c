// SPDX-License-Identifier: BSD-3-Clause
//
// Whose address is it. Every address of the pod network leads to its port; what leads nowhere is an error
// to the sender. Other addresses are for route6.

#include "datapath/icmp.h"
#include "datapath/worker.h"

enum { EDGE_FORWARD = 1, EDGE_ROUTE, EDGE_LOCAL, EDGE_ERROR, EDGES };

static rte_edge_t not_found(const struct snapshot *s, struct rte_mbuf *m,
			    const uint8_t *destination)
{
	if (!in_network_ipv6(s, destination))
		return EDGE_ROUTE;
	// The gateway's address is the host's; while it has no port, the router answers for it.
	if (ipv6_equal(destination, s->router.gateway_ipv6.s6_addr))
		return EDGE_LOCAL;
	return drop_and_tell(m, EDGE_ERROR, DROP_NO_SUCH_POD, ICMP6_UNREACHABLE,
			     ICMP6_ADDRESS_UNREACHABLE, 0);
}

static rte_edge_t ip6_lookup_one(struct worker *w, struct rte_mbuf *m)
{
	const struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *);

	if (likely(address6_find(w->snapshot->addresses, ipv6_destination(ip),
				 &packet_meta(m)->out_slot)))
		return EDGE_FORWARD;
	return not_found(w->snapshot, m, ipv6_destination(ip));
}

static uint16_t ip6_lookup(struct rte_graph *graph, struct rte_node *node, void **objs,
			   uint16_t count)
{
	return each_packet(graph, node, objs, count, ip6_lookup_one);
}

static struct rte_node_register ip6_lookup_node = {
	.name = NODE("ip6_lookup"),
	.process = ip6_lookup,
	.nb_edges = EDGES,
	.next_nodes = {[EDGE_DROP] = NODE("drop"),
		       [EDGE_FORWARD] = NODE("ip6_forward"),
		       [EDGE_ROUTE] = NODE("route6"),
		       [EDGE_LOCAL] = NODE("icmp6_local"),
		       [EDGE_ERROR] = NODE("icmp6_error")},
};
RTE_NODE_REGISTER(ip6_lookup_node)
