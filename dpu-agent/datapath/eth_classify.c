// SPDX-License-Identifier: BSD-3-Clause
//
// Layer 2: is the frame for the router, is its sender who it says, and what is inside. Takes the
// Ethernet header off.

#include "datapath/worker.h"

enum { EDGE_ARP = 1, EDGE_IP4, EDGE_IP6, EDGES };

static uint64_t mac_as_number(const struct rte_ether_addr *mac)
{
	uint64_t number = 0;

	memcpy(&number, mac->addr_bytes, sizeof(mac->addr_bytes));
	return number;
}

// False: the frame does not come from whom it may come.
static bool check_sender(const struct snapshot *s, const struct graph_port *port,
			 const struct rte_ether_addr *source)
{
	if (port->config.role == DATAPATH_ROLE_POD)
		return rte_is_same_ether_addr(source, &port->mac);
	if (!rte_is_unicast_ether_addr(source) || rte_is_zero_ether_addr(source) ||
	    rte_is_same_ether_addr(source, &s->router_mac))
		return false;
	// Of the host only one MAC address is behind the port: the last one heard.
	uint64_t number = mac_as_number(source);
	_Atomic uint64_t *learned = &s->ports[port->config.slot]->learned_mac;
	if (atomic_load_explicit(learned, memory_order_relaxed) != number)
		atomic_store_explicit(learned, number, memory_order_relaxed);
	return true;
}

static rte_edge_t eth_classify_one(struct worker *w, struct rte_mbuf *m)
{
	const struct snapshot *s = w->snapshot;
	const struct graph_port *port = packet_in_port(w, m);
	struct packet_meta *meta = packet_meta(m);

	if (!packet_pullup(m, RTE_ETHER_HDR_LEN))
		return drop(m, DROP_TRUNCATED);
	if (port->config.role == DATAPATH_ROLE_UPLINK)
		return drop(m, DROP_UPLINK);

	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	meta->link_multicast = rte_is_multicast_ether_addr(&eth->dst_addr);
	if (!meta->link_multicast && !rte_is_same_ether_addr(&eth->dst_addr, &s->router_mac))
		return drop(m, DROP_WRONG_MAC);
	if (!check_sender(s, port, &eth->src_addr))
		return drop(m, DROP_SPOOFED_MAC);

	rte_be16_t type = eth->ether_type;
	rte_pktmbuf_adj(m, RTE_ETHER_HDR_LEN);
	switch (rte_be_to_cpu_16(type)) {
	case RTE_ETHER_TYPE_ARP:
		return EDGE_ARP;
	case RTE_ETHER_TYPE_IPV4:
		return EDGE_IP4;
	case RTE_ETHER_TYPE_IPV6:
		return EDGE_IP6;
	case RTE_ETHER_TYPE_VLAN:
	case RTE_ETHER_TYPE_QINQ:
		return drop(m, DROP_VLAN);
	default:
		return drop(m, DROP_ETHERTYPE);
	}
}

static uint16_t eth_classify(struct rte_graph *graph, struct rte_node *node, void **objs,
			     uint16_t count)
{
	return each_packet(graph, node, objs, count, eth_classify_one);
}

static struct rte_node_register eth_classify_node = {
	.name = NODE("eth_classify"),
	.process = eth_classify,
	.nb_edges = EDGES,
	.next_nodes = {[EDGE_DROP] = NODE("drop"),
		       [EDGE_ARP] = NODE("arp_input"),
		       [EDGE_IP4] = NODE("ip4_input"),
		       [EDGE_IP6] = NODE("ip6_input")},
};
RTE_NODE_REGISTER(eth_classify_node)
