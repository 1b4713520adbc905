// SPDX-License-Identifier: BSD-3-Clause
//
// The last step of a packet to the wire: it has its next hop's MAC address, its time to live is
// counted, and it is of a size that can be sent, or is IPv4 and may be cut. What changes addresses
// on the way out belongs before this node.

#include "datapath/worker.h"

enum { EDGE_TX = 1, EDGE_FRAGMENT, EDGES };

static rte_edge_t wire_output_one(struct worker *w, struct rte_mbuf *m)
{
	const struct packet_meta *meta = packet_meta(m);
	const struct graph_port *out = w->snapshot->ports[meta->out_slot];

	if (unlikely(meta->offload != OFFLOAD_TSO && rte_pktmbuf_pkt_len(m) > out->config.mtu))
		return EDGE_FRAGMENT;
	return EDGE_TX;
}

static uint16_t wire_output(struct rte_graph *graph, struct rte_node *node, void **objs,
			    uint16_t count)
{
	return each_packet(graph, node, objs, count, wire_output_one);
}

static struct rte_node_register wire_output_node = {
	.name = NODE("wire_output"),
	.process = wire_output,
	.nb_edges = EDGES,
	.next_nodes = {[EDGE_DROP] = NODE("drop"),
		       [EDGE_TX] = NODE("port_tx"),
		       [EDGE_FRAGMENT] = NODE("ip4_fragment")},
};
RTE_NODE_REGISTER(wire_output_node)
