// SPDX-License-Identifier: BSD-3-Clause
//
// What comes from the wire to the uplink's address: answers to what was masqueraded are for the pod
// that has asked, the rest is for the agent.

#include "datapath/masquerade_private.h"

enum { EDGE_LOOKUP4 = 1, EDGE_LOOKUP6, EDGE_LOCAL4, EDGE_LOCAL6, EDGES };

enum { BURST = 32 };

static void input(struct worker *w, struct rte_graph *graph, struct rte_node *node,
		  struct rte_mbuf *m, bool *ret_release)
{
	enum conntrack_verdict verdict =
		masquerade_translate(w->masquerade, m, MASQUERADE_IN, ret_release);
	rte_edge_t edge;

	if (verdict == CONNTRACK_HOLD)
		return;
	if (verdict == CONNTRACK_PASS)
		edge = packet_is_ipv4(m) ? EDGE_LOOKUP4 : EDGE_LOOKUP6;
	else if (verdict == CONNTRACK_UNKNOWN)
		edge = packet_is_ipv4(m) ? EDGE_LOCAL4 : EDGE_LOCAL6;
	else
		edge = drop(m, masquerade_drop_reason(verdict));
	rte_node_enqueue_x1(graph, node, edge, m);
}

static uint16_t masquerade_input(struct rte_graph *graph, struct rte_node *node, void **objs,
				 uint16_t count)
{
	struct worker *w = worker_self;
	void *packets[BURST];
	uint32_t released;
	bool release;

	for (uint16_t i = 0; i < count; i++) {
		input(w, graph, node, objs[i], &release);
		while (unlikely(release) &&
		       (released = conntrack_released(w->masquerade->table, packets, BURST)) > 0) {
			bool none;

			for (uint32_t j = 0; j < released; j++)
				input(w, graph, node, packets[j], &none);
		}
	}
	return count;
}

static struct rte_node_register masquerade_input_node = {
	.name = NODE("masquerade_input"),
	.process = masquerade_input,
	.nb_edges = EDGES,
	.next_nodes = {[EDGE_DROP] = NODE("drop"),
		       [EDGE_LOOKUP4] = NODE("ip4_lookup"),
		       [EDGE_LOOKUP6] = NODE("ip6_lookup"),
		       [EDGE_LOCAL4] = NODE("icmp4_local"),
		       [EDGE_LOCAL6] = NODE("icmp6_local")},
};
RTE_NODE_REGISTER(masquerade_input_node)
