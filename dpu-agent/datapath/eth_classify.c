// SPDX-License-Identifier: BSD-3-Clause
//
// Layer 2: may the pod send so much, is the frame for the router, is its sender who it says, and what is inside. Takes the
// Ethernet header off, on the uplink with its VLAN tag.

#include "datapath/meter.h"
#include "datapath/neighbour_private.h"
#include "datapath/worker.h"

enum { EDGE_ARP = 1, EDGE_IP4, EDGE_IP6, EDGES };

static uint64_t mac_as_number(const struct rte_ether_addr *mac)
{
	uint64_t number = 0;

	memcpy(&number, mac->addr_bytes, sizeof(mac->addr_bytes));
	return number;
}

// False: the frame does not come from whom it may come.
static bool check_sender(struct worker *w, const struct graph_port *port,
			 const struct rte_ether_addr *source)
{
	if (port->config.role == DATAPATH_ROLE_POD)
		return rte_is_same_ether_addr(source, &port->mac);
	if (!rte_is_unicast_ether_addr(source) || rte_is_zero_ether_addr(source) ||
	    rte_is_same_ether_addr(source, &w->snapshot->router_mac))
		return false;
	// Of the host only one MAC address is behind the port: the last one heard.
	uint64_t number = mac_as_number(source);
	_Atomic uint64_t *learned = &w->snapshot->ports[port->config.slot]->learned_mac;
	if (unlikely(atomic_load_explicit(learned, memory_order_relaxed) != number)) {
		atomic_store_explicit(learned, number, memory_order_relaxed);
		neighbour_host_moved(w);
	}
	return true;
}

// 802.1Q: a tag with the VLAN 0 says only a priority.
enum { TAG_VLAN = 0xfff };

// Of the uplink's VLAN? Takes the tag off, so that the Ethernet header alone is before layer 3.
static bool take_off_tag(struct rte_mbuf *m, uint16_t vlan)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	const struct rte_vlan_hdr *tag = (const void *)(eth + 1);

	if (eth->ether_type != RTE_BE16(RTE_ETHER_TYPE_VLAN))
		return vlan == 0;
	if (!packet_pullup(m, RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN))
		return false;
	eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	tag = (const void *)(eth + 1);
	if ((rte_be_to_cpu_16(tag->vlan_tci) & TAG_VLAN) != vlan)
		return false;
	struct rte_ether_hdr without = *eth;
	without.ether_type = tag->eth_proto;
	memcpy(rte_pktmbuf_adj(m, RTE_VLAN_HLEN), &without, sizeof(without));
	return true;
}

// Returns EDGES if the frame is one that the agent may see.
static rte_edge_t check_wire(const struct snapshot *s, struct rte_mbuf *m,
			     const struct graph_port *port)
{
	struct packet_meta *meta = packet_meta(m);

	if (s->wire == NULL)
		return drop(m, DROP_UPLINK);
	if (!take_off_tag(m, s->wire->config.vlan))
		return drop(m, DROP_VLAN);
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	meta->link_multicast = rte_is_multicast_ether_addr(&eth->dst_addr);
	if (!meta->link_multicast && !rte_is_same_ether_addr(&eth->dst_addr, &port->mac))
		return drop(m, DROP_WRONG_MAC);
	if (!rte_is_valid_assigned_ether_addr(&eth->src_addr) ||
	    rte_is_same_ether_addr(&eth->src_addr, &port->mac))
		return drop(m, DROP_SPOOFED_MAC);
	meta->wire_mac = eth->src_addr;
	return EDGES;
}

// The same of all other ports.
static rte_edge_t check_function(struct worker *w, struct rte_mbuf *m,
				 const struct graph_port *port)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	struct packet_meta *meta = packet_meta(m);

	meta->link_multicast = rte_is_multicast_ether_addr(&eth->dst_addr);
	if (!meta->link_multicast &&
	    !rte_is_same_ether_addr(&eth->dst_addr, &w->snapshot->router_mac))
		return drop(m, DROP_WRONG_MAC);
	if (!check_sender(w, port, &eth->src_addr))
		return drop(m, DROP_SPOOFED_MAC);
	return EDGES;
}

static rte_edge_t eth_classify_one(struct worker *w, struct rte_mbuf *m)
{
	const struct snapshot *s = w->snapshot;
	const struct graph_port *port = packet_in_port(w, m);
	rte_edge_t edge;

	if (!packet_pullup(m, RTE_ETHER_HDR_LEN))
		return drop(m, DROP_TRUNCATED);
	if (port_is_metered(port, BANDWIDTH_EGRESS) && !meter_egress(w, port, m))
		return drop(m, DROP_EGRESS_BANDWIDTH);
	if (unlikely(port->config.role == DATAPATH_ROLE_UPLINK))
		edge = check_wire(s, m, port);
	else
		edge = check_function(w, m, port);
	if (unlikely(edge != EDGES))
		return edge;

	rte_be16_t type = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *)->ether_type;
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
