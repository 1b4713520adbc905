// SPDX-License-Identifier: BSD-3-Clause
//
// What pods and the host send to the uplink's own address: to a published port, and so to a pod; or an
// answer of such a pod's; the rest is for the agent. The caller is given the uplink's address and a port of
// its own: the answer to its own address would go straight to it, by the e-switch even past the agent, from
// somebody it has not called. So a pod can also call itself.

#include "datapath/icmp.h"
#include "datapath/masquerade_private.h"

enum {
	EDGE_LOOKUP4 = 1,
	EDGE_LOOKUP6,
	EDGE_LOCAL4,
	EDGE_LOCAL6,
	EDGE_ERROR4,
	EDGE_ERROR6,
	EDGES,
};

enum { BURST = 32 };

// The agent's own echo is as near as the gateway is; what is behind a published port is one hop further.
static bool is_last_hop(const struct rte_mbuf *m)
{
	if (packet_is_ipv4(m)) {
		const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);

		return ip->time_to_live <= 1 && ip->next_proto_id != IPPROTO_ICMP;
	}
	const struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *);
	return ip->hop_limits <= 1 && ip->proto != IPPROTO_ICMPV6;
}

static rte_edge_t expire(struct rte_mbuf *m)
{
	if (packet_is_ipv4(m))
		return drop_and_tell(m, EDGE_ERROR4, DROP_TTL_EXPIRED, ICMP4_TIME_EXCEEDED, 0, 0);
	return drop_and_tell(m, EDGE_ERROR6, DROP_TTL_EXPIRED, ICMP6_TIME_EXCEEDED, 0, 0);
}

static rte_edge_t to_agent(struct rte_mbuf *m)
{
	if (packet_meta(m)->own) // an error of its own about nothing that it knows
		return drop(m, DROP_NAT_INVALID);
	return packet_is_ipv4(m) ? EDGE_LOCAL4 : EDGE_LOCAL6;
}

static void hairpin(struct worker *w, struct rte_graph *graph, struct rte_node *node,
		    struct rte_mbuf *m, bool *ret_release)
{
	enum masquerade_way way = packet_meta(m)->own ? MASQUERADE_HAIRPIN_OWN : MASQUERADE_HAIRPIN;
	enum conntrack_verdict verdict;
	rte_edge_t edge;

	*ret_release = false;
	if (way == MASQUERADE_HAIRPIN && is_last_hop(m)) {
		rte_node_enqueue_x1(graph, node, expire(m), m);
		return;
	}
	verdict = masquerade_translate(w->masquerade, m, way, ret_release);
	if (verdict == CONNTRACK_HOLD)
		return;
	if (verdict == CONNTRACK_UNKNOWN) {
		edge = to_agent(m);
	} else if (verdict == CONNTRACK_PASS) {
		packet_meta(m)->own = false; // it is forwarded from here on as any other
		edge = packet_is_ipv4(m) ? EDGE_LOOKUP4 : EDGE_LOOKUP6;
	} else {
		edge = drop(m, masquerade_drop_reason(verdict));
	}
	rte_node_enqueue_x1(graph, node, edge, m);
}

// Those that have waited for their first fragment; their port may have gone meanwhile.
static void hairpin_released(struct worker *w, struct rte_graph *graph, struct rte_node *node)
{
	void *packets[BURST];
	uint32_t count;
	bool none;

	while ((count = conntrack_released(w->masquerade->table, packets, BURST)) > 0) {
		for (uint32_t i = 0; i < count; i++) {
			if (packet_in_port(w, packets[i]) == NULL)
				rte_node_enqueue_x1(graph, node, drop(packets[i], DROP_PORT_GONE),
						    packets[i]);
			else
				hairpin(w, graph, node, packets[i], &none);
		}
	}
}

static uint16_t masquerade_hairpin(struct rte_graph *graph, struct rte_node *node, void **objs,
				   uint16_t count)
{
	struct worker *w = worker_self;

	for (uint16_t i = 0; i < count; i++) {
		bool release = false;

		if (w->snapshot->uplink_slot == NO_SLOT)
			rte_node_enqueue_x1(graph, node, to_agent(objs[i]), objs[i]);
		else if (likely(masquerade_is_mine(w)))
			hairpin(w, graph, node, objs[i], &release);
		else if (!masquerade_hand_over(w, objs[i]))
			rte_node_enqueue_x1(graph, node, drop(objs[i], DROP_TX_FULL), objs[i]);
		if (unlikely(release))
			hairpin_released(w, graph, node);
	}
	return count;
}

static struct rte_node_register masquerade_hairpin_node = {
	.name = NODE("masquerade_hairpin"),
	.process = masquerade_hairpin,
	.nb_edges = EDGES,
	.next_nodes = {[EDGE_DROP] = NODE("drop"),
		       [EDGE_LOOKUP4] = NODE("ip4_lookup"),
		       [EDGE_LOOKUP6] = NODE("ip6_lookup"),
		       [EDGE_LOCAL4] = NODE("icmp4_local"),
		       [EDGE_LOCAL6] = NODE("icmp6_local"),
		       [EDGE_ERROR4] = NODE("icmp4_error"),
		       [EDGE_ERROR6] = NODE("icmp6_error")},
};
RTE_NODE_REGISTER(masquerade_hairpin_node)
