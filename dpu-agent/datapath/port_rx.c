// SPDX-License-Identifier: BSD-3-Clause
//
// The source of the graph: polls the ports that are this worker's, and notes on each packet where
// it came in. A walk takes in what the graph's streams hold without growing; the next one goes on
// with the port after the last, so that busy ports starve none; and no port gets more than a burst of it.

#include "datapath/limits.h"
#include "datapath/poll.h"

enum { EDGE_CLASSIFY = 1, EDGES };

enum { BURST = 32 };

static void take_in(struct worker *w, const struct graph_port *port, struct rte_mbuf **packets,
		    uint16_t count)
{
	uint16_t slot = (uint16_t)port->config.slot;
	struct port_counters *counters = &w->counters[slot];

	for (uint16_t i = 0; i < count; i++) {
		*packet_meta(packets[i]) = (struct packet_meta){.in_slot = slot};
		counters->rx_bytes += rte_pktmbuf_pkt_len(packets[i]);
	}
	counters->rx_packets += count;
}

static uint16_t port_rx(struct rte_graph *graph, struct rte_node *node, void **objs,
			uint16_t unused)
{
	struct worker *w = worker_self;
	uint16_t total = 0;

	for (uint16_t left = w->polled_count; left > 0 && total + BURST <= RTE_GRAPH_BURST_SIZE;
	     left--) {
		struct rte_mbuf **packets = (struct rte_mbuf **)&objs[total];
		const struct graph_port *port;
		uint16_t count = poll_next(w, w->snapshot, packets, BURST, &port);

		if (count > 0) {
			take_in(w, port, packets, count);
			w->walk_packets += count;
			count = limits_admit(w, port, packets, count);
		}
		total = (uint16_t)(total + count);
	}
	if (total > 0) {
		node->idx = total;
		rte_node_next_stream_move(graph, node, EDGE_CLASSIFY);
	}
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
