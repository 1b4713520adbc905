// SPDX-License-Identifier: BSD-3-Clause
//
// The router's own packets to somebody on the wire, answers to pings and ICMP errors: by route and
// neighbour as all others, but no time to live is counted and no error is sent about them.

#include "datapath/neighbour_private.h"
#include "datapath/worker.h"

enum { EDGE_OUTPUT = 1, EDGE_RESOLVE, EDGES };

static bool find_route(const struct snapshot *s, struct rte_mbuf *m)
{
	if (packet_is_ipv4(m))
		return wire_route_ipv4(s, m,
				       rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *)->dst_addr);
	return wire_route_ipv6(s, m,
			       ipv6_destination(rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *)));
}

static rte_edge_t wire_reply_one(struct worker *w, struct rte_mbuf *m)
{
	const struct snapshot *s = w->snapshot;

	packet_meta(m)->own = true;
	if (!find_route(s, m))
		return drop(m, DROP_NO_ROUTE);
	switch (neighbour_find(w, m, s->ports[s->uplink_slot])) {
	case ANSWER_WAIT:
		return EDGE_RESOLVE;
	case ANSWER_UNREACHABLE:
		return drop(m, DROP_NEIGHBOUR_UNREACHABLE);
	case ANSWER_KNOWN:
		break;
	}
	return EDGE_OUTPUT;
}

static uint16_t wire_reply(struct rte_graph *graph, struct rte_node *node, void **objs,
			   uint16_t count)
{
	return each_packet(graph, node, objs, count, wire_reply_one);
}

static struct rte_node_register wire_reply_node = {
	.name = NODE("wire_reply"),
	.process = wire_reply,
	.nb_edges = EDGES,
	.next_nodes = {[EDGE_DROP] = NODE("drop"),
		       [EDGE_OUTPUT] = NODE("masquerade_output"),
		       [EDGE_RESOLVE] = NODE("neighbour_resolve")},
};
RTE_NODE_REGISTER(wire_reply_node)
