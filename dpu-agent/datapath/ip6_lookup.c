// SPDX-License-Identifier: BSD-3-Clause
//
// Whose address is it. Every address of the pod network has its own route; what has none is an error
// to the sender. Other addresses are for route6.

#include "datapath/icmp.h"
#include "datapath/worker.h"

enum { EDGE_FORWARD = 1, EDGE_ROUTE, EDGE_LOCAL, EDGE_ERROR, EDGES };

static rte_edge_t not_found(const struct snapshot *s, struct rte_mbuf *m,
			    const uint8_t *destination)
{
	if (!in_network_ipv6(s, destination))
		return EDGE_ROUTE;
	// The gateway's address is the host's; while it has no port, the router answers for it.
	if (ipv6_equal(destination, s->router.gateway_ipv6.s6_addr))
		return EDGE_LOCAL;
	return drop_and_tell(m, EDGE_ERROR, DROP_NO_SUCH_POD, ICMP6_UNREACHABLE,
			     ICMP6_ADDRESS_UNREACHABLE, 0);
}

static void lookup(struct worker *w, struct rte_graph *graph, struct rte_node *node,
		   struct rte_mbuf **packets, uint16_t count)
{
	struct in6_addr keys[RTE_HASH_LOOKUP_BULK_MAX];
	const void *key_pointers[RTE_HASH_LOOKUP_BULK_MAX];
	void *slots[RTE_HASH_LOOKUP_BULK_MAX];
	uint64_t hits = 0;

	for (uint16_t i = 0; i < count; i++) {
		memcpy(&keys[i],
		       ipv6_destination(rte_pktmbuf_mtod(packets[i], const struct rte_ipv6_hdr *)),
		       sizeof(keys[i]));
		key_pointers[i] = &keys[i];
	}
	rte_hash_lookup_bulk_data(w->routes_ipv6, key_pointers, count, &hits, slots);
	for (uint16_t i = 0; i < count; i++) {
		rte_edge_t edge = EDGE_FORWARD;

		if (likely(hits & (1ull << i)))
			packet_meta(packets[i])->out_slot = (uint16_t)(uintptr_t)slots[i];
		else
			edge = not_found(w->snapshot, packets[i], keys[i].s6_addr);
		rte_node_enqueue_x1(graph, node, edge, packets[i]);
	}
}

static uint16_t ip6_lookup(struct rte_graph *graph, struct rte_node *node, void **objs,
			   uint16_t count)
{
	for (uint16_t i = 0; i < count; i += RTE_HASH_LOOKUP_BULK_MAX)
		lookup(worker_self, graph, node, (struct rte_mbuf **)&objs[i],
		       (uint16_t)RTE_MIN(count - i, RTE_HASH_LOOKUP_BULK_MAX));
	return count;
}

static struct rte_node_register ip6_lookup_node = {
	.name = NODE("ip6_lookup"),
	.process = ip6_lookup,
	.nb_edges = EDGES,
	.next_nodes = {[EDGE_DROP] = NODE("drop"),
		       [EDGE_FORWARD] = NODE("ip6_forward"),
		       [EDGE_ROUTE] = NODE("route6"),
		       [EDGE_LOCAL] = NODE("icmp6_local"),
		       [EDGE_ERROR] = NODE("icmp6_error")},
};
RTE_NODE_REGISTER(ip6_lookup_node)
