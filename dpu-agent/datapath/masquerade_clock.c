// SPDX-License-Identifier: BSD-3-Clause
//
// A source of the graph, of the worker that polls the uplink: lets time pass for the connections, and
// takes what other workers have for the wire, or for a published port.

#include "datapath/masquerade_private.h"

enum { EDGE_OUTPUT = 1, EDGE_HAIRPIN, EDGES };

enum { BURST = 32 };

static bool is_to_agent(const struct snapshot *s, const struct rte_mbuf *m)
{
	return packet_is_ipv4(m)
		       ? is_wire_ipv4(s, rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *)->dst_addr)
		       : is_wire_ipv6(s, ipv6_destination(
						 rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *)));
}

static rte_edge_t check(const struct worker *w, struct rte_mbuf *m)
{
	// Ports may have gone on the way from the other worker.
	if (packet_in_port(w, m) == NULL)
		return drop(m, DROP_PORT_GONE);
	if (is_to_agent(w->snapshot, m))
		return EDGE_HAIRPIN;
	if (w->snapshot->ports[packet_meta(m)->out_slot] == NULL)
		return drop(m, DROP_PORT_GONE);
	return EDGE_OUTPUT;
}

static uint16_t masquerade_clock(struct rte_graph *graph, struct rte_node *node, void **objs,
				 uint16_t unused)
{
	struct worker *w = worker_self;
	struct masquerade *masquerade = w->masquerade;
	void *packets[BURST];
	unsigned int count = 0;

	w->ticking = false;
	if (masquerade == NULL || !masquerade_is_mine(w))
		return 0;
	masquerade_follow(masquerade, w->snapshot);
	masquerade_answer(masquerade);
	w->ticking = masquerade->busy || !conntrack_is_idle(masquerade->table);
	if (masquerade->handover != NULL)
		count = rte_ring_sc_dequeue_burst(masquerade->handover, packets, BURST, NULL);
	for (unsigned int i = 0; i < count; i++)
		rte_node_enqueue_x1(graph, node, check(w, packets[i]), packets[i]);
	w->walk_packets += count;
	return (uint16_t)count;
}

static struct rte_node_register masquerade_clock_node = {
	.flags = RTE_NODE_SOURCE_F,
	.name = NODE("masquerade_clock"),
	.process = masquerade_clock,
	.nb_edges = EDGES,
	.next_nodes = {[EDGE_DROP] = NODE("drop"),
		       [EDGE_OUTPUT] = NODE("masquerade_output"),
		       [EDGE_HAIRPIN] = NODE("masquerade_hairpin")},
};
RTE_NODE_REGISTER(masquerade_clock_node)
