// SPDX-License-Identifier: BSD-3-Clause
//
// What is on its way to the wire, with its next hop's MAC address and its time to live counted: pods'
// packets get the uplink's address, if their destination is not excluded, or if they answer who has come by
// a published port; and so do packets that an ICMP error of the router's own quotes.

#include "datapath/masquerade_private.h"

enum { EDGE_WIRE = 1, EDGES };

enum { BURST = 32 };

static const void *destination(const struct rte_mbuf *m)
{
	return packet_is_ipv4(m)
		       ? (const void *)&rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *)->dst_addr
		       : ipv6_destination(rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *));
}

// False: it goes on as it is.
static bool find_way(const struct worker *w, const struct rte_mbuf *m, enum masquerade_way *ret_way)
{
	if (w->masquerade == NULL)
		return false;
	*ret_way = MASQUERADE_OUT_OWN;
	if (unlikely(packet_meta(m)->own))
		return from_wire(w, m);
	if (packet_in_port(w, m)->config.role != DATAPATH_ROLE_POD)
		return false;
	*ret_way = MASQUERADE_OUT;
	if (masquerade_reaches(w->snapshot, packet_is_ipv4(m), destination(m)))
		return true;
	*ret_way = MASQUERADE_REPLY;
	return publishes(w->snapshot, packet_meta(m)->in_slot);
}

static void output(struct worker *w, struct rte_graph *graph, struct rte_node *node,
		   struct rte_mbuf *m, enum masquerade_way way, bool *ret_release)
{
	enum conntrack_verdict verdict = masquerade_translate(w->masquerade, m, way, ret_release);

	if (verdict == CONNTRACK_HOLD)
		return;
	// Of the router's own only what quotes a packet of a connection is translated.
	bool passes = verdict == CONNTRACK_PASS || way == MASQUERADE_OUT_OWN ||
		      (way == MASQUERADE_REPLY && verdict == CONNTRACK_UNKNOWN);
	rte_node_enqueue_x1(
		graph, node,
		passes ? (rte_edge_t)EDGE_WIRE : drop(m, masquerade_drop_reason(verdict)), m);
}

// Those that have waited for their first fragment; the uplink, or the pod, may have gone meanwhile.
static void output_released(struct worker *w, struct rte_graph *graph, struct rte_node *node)
{
	void *packets[BURST];
	enum masquerade_way way;
	uint32_t count;
	bool none;

	while ((count = conntrack_released(w->masquerade->table, packets, BURST)) > 0) {
		for (uint32_t i = 0; i < count; i++) {
			struct rte_mbuf *m = packets[i];

			if (w->snapshot->ports[packet_meta(m)->out_slot] == NULL ||
			    packet_in_port(w, m) == NULL)
				rte_node_enqueue_x1(graph, node, drop(m, DROP_PORT_GONE), m);
			else if (find_way(w, m, &way))
				output(w, graph, node, m, way, &none);
			else
				rte_node_enqueue_x1(graph, node, EDGE_WIRE, m);
		}
	}
}

static uint16_t masquerade_output(struct rte_graph *graph, struct rte_node *node, void **objs,
				  uint16_t count)
{
	struct worker *w = worker_self;

	for (uint16_t i = 0; i < count; i++) {
		enum masquerade_way way;
		bool release = false;

		if (!find_way(w, objs[i], &way))
			rte_node_enqueue_x1(graph, node, EDGE_WIRE, objs[i]);
		else if (likely(masquerade_is_mine(w)))
			output(w, graph, node, objs[i], way, &release);
		else if (!masquerade_hand_over(w, objs[i]))
			rte_node_enqueue_x1(graph, node, drop(objs[i], DROP_TX_FULL), objs[i]);
		if (unlikely(release))
			output_released(w, graph, node);
	}
	return count;
}

static struct rte_node_register masquerade_output_node = {
	.name = NODE("masquerade_output"),
	.process = masquerade_output,
	.nb_edges = EDGES,
	.next_nodes = {[EDGE_DROP] = NODE("drop"), [EDGE_WIRE] = NODE("wire_output")},
};
RTE_NODE_REGISTER(masquerade_output_node)
