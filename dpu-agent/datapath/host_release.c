// SPDX-License-Identifier: BSD-3-Clause
//
// The packets that host_resolve keeps: they go on as soon as the host's MAC address is known, and are
// dropped if it does not become known in time. Looked at in each walk.

#include <rte_cycles.h>

#include "datapath/worker.h"

enum { EDGE_IP4 = 1, EDGE_IP6, EDGES };

static bool expired(const struct waiting *waiting)
{
	return rte_rdtsc() - waiting->since_tsc > rte_get_tsc_hz() / 1000 * WAITING_MS;
}

// EDGES: it goes on waiting.
static rte_edge_t release_one(const struct worker *w, struct rte_mbuf *m, uint32_t generation,
			      bool late)
{
	const struct graph_port *in = packet_in_port(w, m),
				*out = w->snapshot->ports[packet_meta(m)->out_slot];

	// Its sender may have gone meanwhile, and another come in its place.
	if (in == NULL || in->generation != generation || out == NULL)
		return drop(m, DROP_PORT_GONE);
	if (port_is_known(out))
		return packet_is_ipv4(m) ? EDGE_IP4 : EDGE_IP6;
	return late ? drop(m, DROP_HOST_UNKNOWN) : EDGES;
}

static uint16_t host_release(struct rte_graph *graph, struct rte_node *node, void **objs,
			     uint16_t unused)
{
	struct worker *w = worker_self;
	struct waiting *waiting = &w->waiting;
	uint16_t kept = 0, count = waiting->count;

	if (likely(count == 0))
		return 0;
	bool late = expired(waiting);
	for (uint16_t i = 0; i < count; i++) {
		struct rte_mbuf *m = waiting->packets[i];
		rte_edge_t edge = release_one(w, m, waiting->generations[i], late);

		if (edge != EDGES) {
			rte_node_enqueue_x1(graph, node, edge, m);
			continue;
		}
		waiting->packets[kept] = m;
		waiting->generations[kept++] = waiting->generations[i];
	}
	waiting->count = kept;
	w->walk_packets += count - kept;
	return count - kept;
}

static struct rte_node_register host_release_node = {
	.flags = RTE_NODE_SOURCE_F,
	.name = NODE("host_release"),
	.process = host_release,
	.nb_edges = EDGES,
	.next_nodes = {[EDGE_DROP] = NODE("drop"),
		       [EDGE_IP4] = NODE("ip4_forward"),
		       [EDGE_IP6] = NODE("ip6_forward")},
};
RTE_NODE_REGISTER(host_release_node)
