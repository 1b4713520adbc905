// SPDX-License-Identifier: BSD-3-Clause
//
// ARP (RFC 826): answers for the gateway to pods, for the pods' addresses to the host, for the
// router's link-local address to both, and for the uplink's own address to the wire; in the packet
// that asked. What neighbours on the wire say of themselves goes to the control thread.

#include <rte_arp.h>

#include "datapath/neighbour_private.h"
#include "datapath/worker.h"

enum { EDGE_TX = 1, EDGE_CONSUME, EDGES };

static bool answers_for(const struct snapshot *s, const struct graph_port *port, rte_be32_t target)
{
	if (port->config.role == DATAPATH_ROLE_UPLINK)
		return is_wire_ipv4(s, target);
	if (target == ROUTER_LINK_LOCAL_IPV4_BE)
		return true;
	if (!s->router.has_ipv4)
		return false;
	if (port->config.role == DATAPATH_ROLE_HOST)
		return in_network_ipv4(s, target) && target != s->router.gateway_ipv4.s_addr;
	return target == s->router.gateway_ipv4.s_addr;
}

// Returns EDGES if the sender may be who it says. A sender of 0 is a probe for duplicates (RFC 5227).
static rte_edge_t check_wire_sender(struct worker *w, struct rte_mbuf *m,
				    const struct rte_arp_ipv4 *data)
{
	const struct snapshot *s = w->snapshot;

	if (!rte_is_valid_assigned_ether_addr(&data->arp_sha))
		return drop(m, DROP_SPOOFED_MAC);
	// The agent's own, or a pod's: somebody else has taken it.
	if (is_wire_ipv4(s, data->arp_sip) || in_network_ipv4(s, data->arp_sip))
		return drop(m, DROP_SPOOFED_ADDRESS);
	return EDGES;
}

// A reply to the agent is what it has asked for; else the sender has said by the way where it is.
static bool hear_wire(struct worker *w, const struct rte_mbuf *m, const struct rte_arp_hdr *arp)
{
	const struct rte_arp_ipv4 *data = &arp->arp_data;
	bool solicited = arp->arp_opcode == RTE_BE16(RTE_ARP_OP_REPLY) &&
			 is_wire_ipv4(w->snapshot, data->arp_tip) &&
			 !packet_meta(m)->link_multicast;

	if (data->arp_sip != 0)
		neighbour_heard(w, m, false, &data->arp_sip, data->arp_sha.addr_bytes,
				HEARD_OVERRIDE | (solicited ? HEARD_SOLICITED : 0));
	return solicited;
}

static rte_edge_t arp_input_one(struct worker *w, struct rte_mbuf *m)
{
	const struct snapshot *s = w->snapshot;
	const struct graph_port *port = packet_in_port(w, m);
	struct packet_meta *meta = packet_meta(m);

	if (!packet_pullup(m, sizeof(struct rte_arp_hdr)))
		return drop(m, DROP_TRUNCATED);
	struct rte_arp_hdr *arp = rte_pktmbuf_mtod(m, struct rte_arp_hdr *);
	if (arp->arp_hardware != rte_cpu_to_be_16(RTE_ARP_HRD_ETHER) ||
	    arp->arp_protocol != rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4) ||
	    arp->arp_hlen != RTE_ETHER_ADDR_LEN || arp->arp_plen != sizeof(rte_be32_t))
		return drop(m, DROP_MALFORMED);

	struct rte_arp_ipv4 *data = &arp->arp_data;
	if (port->config.role == DATAPATH_ROLE_POD) {
		if (!rte_is_same_ether_addr(&data->arp_sha, &port->mac))
			return drop(m, DROP_SPOOFED_MAC);
		// A sender of 0 is a probe for duplicates (RFC 5227).
		if (data->arp_sip != 0 &&
		    (!port->config.has_ipv4 || data->arp_sip != port->config.ipv4.s_addr))
			return drop(m, DROP_SPOOFED_ADDRESS);
	}
	if (port->config.role == DATAPATH_ROLE_UPLINK) {
		rte_edge_t edge = check_wire_sender(w, m, data);

		if (edge != EDGES)
			return edge;
		if (hear_wire(w, m, arp))
			return EDGE_CONSUME;
	}
	if (arp->arp_opcode != rte_cpu_to_be_16(RTE_ARP_OP_REQUEST) ||
	    !answers_for(s, port, data->arp_tip))
		return drop(m, DROP_ARP_IGNORED);

	rte_be32_t asked = data->arp_tip;
	arp->arp_opcode = rte_cpu_to_be_16(RTE_ARP_OP_REPLY);
	data->arp_tha = data->arp_sha;
	data->arp_tip = data->arp_sip;
	data->arp_sha = port->config.role == DATAPATH_ROLE_UPLINK ? port->mac : s->router_mac;
	data->arp_sip = asked;
	packet_trim(m, sizeof(*arp));
	meta->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_ARP);
	meta->out_slot = meta->in_slot;
	return EDGE_TX;
}

static uint16_t arp_input(struct rte_graph *graph, struct rte_node *node, void **objs,
			  uint16_t count)
{
	return each_packet(graph, node, objs, count, arp_input_one);
}

static struct rte_node_register arp_input_node = {
	.name = NODE("arp_input"),
	.process = arp_input,
	.nb_edges = EDGES,
	.next_nodes = {[EDGE_DROP] = NODE("drop"),
		       [EDGE_TX] = NODE("port_tx"),
		       [EDGE_CONSUME] = NODE("consume")},
};
RTE_NODE_REGISTER(arp_input_node)
