// SPDX-License-Identifier: BSD-3-Clause
//
// Whose address is it. Every address has its own route; what has none is an error to the sender.

#include "datapath/icmp.h"
#include "datapath/worker.h"

enum { EDGE_FORWARD = 1, EDGE_ERROR, EDGES };

static rte_edge_t ip4_lookup_one(struct worker *w, struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	struct packet_meta *meta = packet_meta(m);

	if (route_ipv4(w, ip->dst_addr, &meta->out_slot))
		return EDGE_FORWARD;
	bool inside = in_network_ipv4(w->snapshot, ip->dst_addr);
	meta->reason = inside ? DROP_NO_SUCH_POD : DROP_NO_ROUTE;
	meta->icmp_type = ICMP4_UNREACHABLE;
	meta->icmp_code = inside ? ICMP4_HOST_UNREACHABLE : ICMP4_NET_UNREACHABLE;
	meta->icmp_value = 0;
	return EDGE_ERROR;
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
		       [EDGE_ERROR] = NODE("icmp4_error")},
};
RTE_NODE_REGISTER(ip4_lookup_node)
