// SPDX-License-Identifier: BSD-3-Clause
//
// Where packets end: counts the reason for the port they came in on, and frees them.

#include "datapath/worker.h"

static uint16_t drop_process(struct rte_graph *graph, struct rte_node *node, void **objs,
			     uint16_t count)
{
	struct worker *w = worker_self;

	for (uint16_t i = 0; i < count; i++) {
		const struct packet_meta *meta = packet_meta(objs[i]);

		count_drop(w, meta->in_slot, meta->reason);
	}
	rte_pktmbuf_free_bulk((struct rte_mbuf **)objs, count);
	return count;
}

static struct rte_node_register drop_node = {
	.name = NODE("drop"),
	.process = drop_process,
};
RTE_NODE_REGISTER(drop_node)
