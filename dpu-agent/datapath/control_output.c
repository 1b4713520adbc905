// SPDX-License-Identifier: BSD-3-Clause
//
// Packets that the control thread has made: questions for neighbours, and announcements. A source of
// the graph, of the first worker only.

#include <rte_ring.h>

#include "datapath/worker.h"

enum { EDGE_TX = 1, EDGES };

enum { BURST = 32 };

static uint16_t control_output(struct rte_graph *graph, struct rte_node *node, void **objs,
			       uint16_t unused)
{
	struct worker *w = worker_self;
	void *packets[BURST];
	unsigned int count;

	if (w->control_output == NULL)
		return 0;
	count = rte_ring_sc_dequeue_burst(w->control_output, packets, BURST, NULL);
	for (unsigned int i = 0; i < count; i++) {
		struct rte_mbuf *m = packets[i];
		bool there = w->snapshot->ports[packet_meta(m)->out_slot] != NULL;

		rte_node_enqueue_x1(graph, node, there ? EDGE_TX : drop(m, DROP_PORT_GONE), m);
	}
	w->walk_packets += count;
	return (uint16_t)count;
}

static struct rte_node_register control_output_node = {
	.flags = RTE_NODE_SOURCE_F,
	.name = NODE("control_output"),
	.process = control_output,
	.nb_edges = EDGES,
	.next_nodes = {[EDGE_DROP] = NODE("drop"), [EDGE_TX] = NODE("port_tx")},
};
RTE_NODE_REGISTER(control_output_node)
