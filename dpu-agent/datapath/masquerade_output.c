// SPDX-License-Identifier: BSD-3-Clause
//
// What is on its way to the wire, with its next hop's MAC address and its time to live counted: pods'
// packets get the uplink's address, if their destination is not excluded; and so do packets that an ICMP
// error of the router's own quotes.

#include "datapath/datapath_private.h"
#include "datapath/masquerade_private.h"

enum { EDGE_WIRE = 1, EDGES };

enum { BURST = 32 };

static const void *destination(const struct rte_mbuf *m)
{
	return packet_is_ipv4(m)
		       ? (const void *)&rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *)->dst_addr
		       : ipv6_destination(rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *));
}

static bool is_wanted(const struct worker *w, const struct rte_mbuf *m)
{
	if (w->masquerade == NULL)
		return false;
	if (unlikely(packet_meta(m)->own))
		return from_wire(w, m);
	return packet_in_port(w, m)->config.role == DATAPATH_ROLE_POD &&
	       masquerade_reaches(w->masquerade, packet_is_ipv4(m), destination(m));
}

// To the worker that has the table.
static void hand_over(struct worker *w, struct rte_graph *graph, struct rte_node *node,
		      struct rte_mbuf *m)
{
	const struct masquerade *masquerade = w->masquerade;

	if (w->snapshot->uplink_slot == NO_SLOT ||
	    rte_ring_mp_enqueue(masquerade->handover, m) != 0) {
		rte_node_enqueue_x1(graph, node, drop(m, DROP_TX_FULL), m);
		return;
	}
	worker_wake(masquerade->workers[w->snapshot->uplink_slot % w->stride]);
}

static void output(struct worker *w, struct rte_graph *graph, struct rte_node *node,
		   struct rte_mbuf *m, bool *ret_release)
{
	bool own = packet_meta(m)->own;
	enum conntrack_verdict verdict = masquerade_translate(
		w->masquerade, m, own ? MASQUERADE_OUT_OWN : MASQUERADE_OUT, ret_release);

	if (verdict == CONNTRACK_HOLD)
		return;
	// Of the router's own only what quotes a packet of a connection is translated.
	rte_edge_t edge = verdict == CONNTRACK_PASS || own
				  ? (rte_edge_t)EDGE_WIRE
				  : drop(m, masquerade_drop_reason(verdict));
	rte_node_enqueue_x1(graph, node, edge, m);
}

// Those that have waited for their first fragment; the uplink, or the pod, may have gone meanwhile.
static void output_released(struct worker *w, struct rte_graph *graph, struct rte_node *node)
{
	void *packets[BURST];
	uint32_t count;
	bool none;

	while ((count = conntrack_released(w->masquerade->table, packets, BURST)) > 0) {
		for (uint32_t i = 0; i < count; i++) {
			struct rte_mbuf *m = packets[i];

			if (w->snapshot->ports[packet_meta(m)->out_slot] == NULL)
				rte_node_enqueue_x1(graph, node, drop(m, DROP_PORT_GONE), m);
			else
				output(w, graph, node, m, &none);
		}
	}
}

static uint16_t masquerade_output(struct rte_graph *graph, struct rte_node *node, void **objs,
				  uint16_t count)
{
	struct worker *w = worker_self;

	for (uint16_t i = 0; i < count; i++) {
		bool release = false;

		if (!is_wanted(w, objs[i]))
			rte_node_enqueue_x1(graph, node, EDGE_WIRE, objs[i]);
		else if (likely(masquerade_is_mine(w)))
			output(w, graph, node, objs[i], &release);
		else
			hand_over(w, graph, node, objs[i]);
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
