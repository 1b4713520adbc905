// SPDX-License-Identifier: BSD-3-Clause
//
// What comes from the wire, whose headers are good and whose source is nobody's here: for the agent's
// own address, for a pod, or for nobody. Nothing goes from the wire to the wire.

#include "datapath/worker.h"

enum { EDGE_LOOKUP4 = 1, EDGE_LOOKUP6, EDGE_LOCAL4, EDGE_LOCAL6, EDGES };

static rte_edge_t wire_input_one(struct worker *w, struct rte_mbuf *m)
{
	const struct snapshot *s = w->snapshot;

	if (packet_is_ipv4(m)) {
		rte_be32_t address = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *)->dst_addr;

		if (is_wire_ipv4(s, address))
			return EDGE_LOCAL4;
		if (s->wire->config.has_ipv4 && in_network_ipv4(s, address))
			return EDGE_LOOKUP4;
	} else {
		const uint8_t *address =
			ipv6_destination(rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *));

		if (is_wire_ipv6(s, address))
			return EDGE_LOCAL6;
		if (s->wire->config.has_ipv6 && in_network_ipv6(s, address))
			return EDGE_LOOKUP6;
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
		       [EDGE_LOCAL6] = NODE("icmp6_local")},
};
RTE_NODE_REGISTER(wire_input_node)
