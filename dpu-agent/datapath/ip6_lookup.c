// SPDX-License-Identifier: BSD-3-Clause
//
// Whose address is it. Every address has its own route; what has none is an error to the sender.

#include "datapath/icmp.h"
#include "datapath/worker.h"

enum { EDGE_FORWARD = 1, EDGE_ERROR, EDGES };

static rte_edge_t ip6_lookup_one(struct worker *w, struct rte_mbuf *m)
{
	const struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *);
	struct packet_meta *meta = packet_meta(m);

	if (route_ipv6(w, ip->dst_addr, &meta->out_slot))
		return EDGE_FORWARD;
	bool inside = in_network_ipv6(w->snapshot, ip->dst_addr);
	meta->reason = inside ? DROP_NO_SUCH_POD : DROP_NO_ROUTE;
	meta->icmp_type = ICMP6_UNREACHABLE;
	meta->icmp_code = inside ? ICMP6_ADDRESS_UNREACHABLE : ICMP6_NO_ROUTE;
	meta->icmp_value = 0;
	return EDGE_ERROR;
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
		       [EDGE_ERROR] = NODE("icmp6_error")},
};
RTE_NODE_REGISTER(ip6_lookup_node)
