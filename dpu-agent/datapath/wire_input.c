// SPDX-License-Identifier: BSD-3-Clause
//
// What comes from the wire, whose headers are good and whose source is nobody's here: for the agent's
// own address, for a pod, or for nobody. Nothing goes from the wire to the wire.

#include "datapath/masquerade_private.h"
#include "datapath/worker.h"

enum { EDGE_LOOKUP4 = 1, EDGE_LOOKUP6, EDGE_LOCAL4, EDGE_LOCAL6, EDGE_MASQUERADE, EDGES };

// To a pod's own address: not from those who do not see it.
static rte_edge_t to_pod(const struct worker *w, struct rte_mbuf *m, bool ipv4, const void *source)
{
	if (w->masquerade != NULL && masquerade_reaches(w->snapshot, ipv4, source))
		return drop(m, DROP_NAT_DIRECT);
	return ipv4 ? EDGE_LOOKUP4 : EDGE_LOOKUP6;
}

static rte_edge_t wire_input_one(struct worker *w, struct rte_mbuf *m)
{
	const struct snapshot *s = w->snapshot;

	if (packet_is_ipv4(m)) {
		const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
		rte_be32_t address = ip->dst_addr;

		if (is_wire_ipv4(s, address))
			return w->masquerade != NULL ? EDGE_MASQUERADE : EDGE_LOCAL4;
		if (s->wire->config.has_ipv4 && in_network_ipv4(s, address))
			return to_pod(w, m, true, &ip->src_addr);
	} else {
		const struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *);
		const uint8_t *address = ipv6_destination(ip);

		if (is_wire_ipv6(s, address))
			return w->masquerade != NULL ? EDGE_MASQUERADE : EDGE_LOCAL6;
		if (s->wire->config.has_ipv6 && in_network_ipv6(s, address))
			return to_pod(w, m, false, ipv6_source(ip));
	}
	return drop(m, DROP_UPLINK);
}

static uint16_t wire_input(struct rte_graph *graph, struct rte_node *node, void **objs,
			   uint16_t count)
{
	return each_packet(graph, node, objs, count, wire_input_one);
}

static struct rte_node_register wire_input_node = {
	.name = NODE("wire_input"),
	.process = wire_input,
	.nb_edges = EDGES,
	.next_nodes = {[EDGE_DROP] = NODE("drop"),
		       [EDGE_LOOKUP4] = NODE("ip4_lookup"),
		       [EDGE_LOOKUP6] = NODE("ip6_lookup"),
		       [EDGE_LOCAL4] = NODE("icmp4_local"),
		       [EDGE_LOCAL6] = NODE("icmp6_local"),
		       [EDGE_MASQUERADE] = NODE("masquerade_input")},
};
RTE_NODE_REGISTER(wire_input_node)
