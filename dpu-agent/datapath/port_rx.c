// SPDX-License-Identifier: BSD-3-Clause
//
// The source of the graph: polls the ports that are this worker's, and notes on each packet where it came in.

#include <rte_ethdev.h>

#include "datapath/worker.h"

enum { EDGE_CLASSIFY = 1, EDGES };

enum { BURST = 64 };

static uint16_t port_rx(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t count)
{
	struct worker *w = worker_self;
	const struct snapshot *s = w->snapshot;
	uint16_t total = 0;

	for (uint16_t i = 0; i < s->poll_count; i++) {
		uint16_t slot = s->poll[i];
		struct rte_mbuf *packets[BURST];

		if (slot % w->stride != w->index)
			continue;
		uint16_t n = rte_eth_rx_burst(s->ports[slot]->config.port_id, 0, packets, BURST);
		if (n == 0)
			continue;
		struct port_counters *counters = &w->counters[slot];
		for (uint16_t p = 0; p < n; p++) {
			*packet_meta(packets[p]) = (struct packet_meta){.in_slot = slot};
			counters->rx_bytes += rte_pktmbuf_pkt_len(packets[p]);
		}
		counters->rx_packets += n;
		rte_node_enqueue(graph, node, EDGE_CLASSIFY, (void **)packets, n);
		total = (uint16_t)(total + n);
	}
	w->walk_packets += total;
	return total;
}

static struct rte_node_register port_rx_node = {
	.flags = RTE_NODE_SOURCE_F,
	.name = NODE("port_rx"),
	.process = port_rx,
	.nb_edges = EDGES,
	.next_nodes = {[EDGE_DROP] = NODE("drop"), [EDGE_CLASSIFY] = NODE("eth_classify")},
};
RTE_NODE_REGISTER(port_rx_node)
