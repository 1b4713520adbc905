// SPDX-License-Identifier: BSD-3-Clause
//
// Where packets end that have done what they came for: neighbours' answers.

#include "datapath/worker.h"

static uint16_t consume(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t count)
{
	rte_pktmbuf_free_bulk((struct rte_mbuf **)objs, count);
	return count;
}

static struct rte_node_register consume_node = {
	.name = NODE("consume"),
	.process = consume,
};
RTE_NODE_REGISTER(consume_node)
