// SPDX-License-Identifier: BSD-3-Clause
//
// What the agent says of its own accord to neighbours: questions and announcements. The control
// thread makes the packets, a worker sends them (node control_output).

#include <netinet/in.h>

#include <rte_arp.h>

#include "datapath/datapath_private.h"
#include "datapath/icmp.h"
#include "datapath/neighbour_private.h"

enum {
	OPTION_SOURCE_MAC = 1,
	OPTION_TARGET_MAC = 2,
	FLAG_ROUTER = 1u << 31,
	FLAG_OVERRIDE = 1 << 29,
};

static const uint8_t all_nodes[16] = {0xff, 0x02, [15] = 1};

struct nd_packet {
	struct rte_ipv6_hdr ip;
	struct nd_header nd;
	struct nd_option_mac option;
} __rte_packed __rte_aligned(2);

// Who asks or tells, on one port.
struct speaker {
	const struct graph_port *port;
	const struct rte_ether_addr *mac;
	rte_be32_t ipv4;
	const uint8_t *ipv6;
};

// False: there is nobody on that port to speak as.
static bool find_speaker(const struct snapshot *s, uint32_t slot, bool is_ipv6,
			 struct speaker *ret_speaker)
{
	const struct graph_port *port = s->ports[slot];

	if (port == NULL || port->config.role == DATAPATH_ROLE_POD)
		return false;
	if (port->config.role == DATAPATH_ROLE_HOST) {
		*ret_speaker = (struct speaker){port, &s->router_mac, ROUTER_LINK_LOCAL_IPV4_BE,
						router_link_local_ipv6};
		return true;
	}
	if (s->wire == NULL || !(is_ipv6 ? s->wire->config.has_ipv6 : s->wire->config.has_ipv4))
		return false;
	*ret_speaker = (struct speaker){port, &port->mac, s->wire->config.ipv4.s_addr,
					s->wire->config.ipv6.s6_addr};
	return true;
}

static void *new_packet(const struct graph_port *port, uint16_t size, rte_be16_t ether_type,
			struct rte_mbuf **ret_packet)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(port->config.pool);
	uint16_t slot = (uint16_t)port->config.slot;
	void *data;

	if (m == NULL)
		return NULL;
	*packet_meta(m) = (struct packet_meta){
		.in_slot = slot,
		.out_slot = slot,
		.ether_type = ether_type,
	};
	data = rte_pktmbuf_append(m, size);
	if (data == NULL) {
		rte_pktmbuf_free(m);
		return NULL;
	}
	*ret_packet = m;
	return data;
}

static void send_arp(const struct speaker *speaker, rte_be32_t target, const uint8_t *mac)
{
	struct rte_mbuf *m;
	struct rte_arp_hdr *arp =
		new_packet(speaker->port, sizeof(*arp), RTE_BE16(RTE_ETHER_TYPE_ARP), &m);

	if (arp == NULL)
		return;
	*arp = (struct rte_arp_hdr){
		.arp_hardware = RTE_BE16(RTE_ARP_HRD_ETHER),
		.arp_protocol = RTE_BE16(RTE_ETHER_TYPE_IPV4),
		.arp_hlen = RTE_ETHER_ADDR_LEN,
		.arp_plen = sizeof(rte_be32_t),
		.arp_opcode = RTE_BE16(RTE_ARP_OP_REQUEST),
		.arp_data = {.arp_sha = *speaker->mac, .arp_sip = speaker->ipv4, .arp_tip = target},
	};
	if (mac == NULL)
		packet_meta(m)->out_group = true;
	else
		memcpy(&packet_meta(m)->wire_mac, mac, sizeof(packet_meta(m)->wire_mac));
	datapath_send(m);
}

static struct nd_packet *new_nd(const struct speaker *speaker, uint8_t type, uint8_t option,
				const uint8_t *target, struct rte_mbuf **ret_packet)
{
	struct nd_packet *nd =
		new_packet(speaker->port, sizeof(*nd), RTE_BE16(RTE_ETHER_TYPE_IPV6), ret_packet);

	if (nd == NULL)
		return NULL;
	*nd = (struct nd_packet){
		.ip = {.vtc_flow = RTE_BE32(6u << 28),
		       .payload_len = RTE_BE16(sizeof(*nd) - sizeof(nd->ip)),
		       .proto = IPPROTO_ICMPV6,
		       .hop_limits = ND_HOP_LIMIT},
		.nd = {.type = type},
		.option = {.type = option, .length = 1},
	};
	memcpy(&nd->ip.src_addr, speaker->ipv6, 16);
	memcpy(nd->nd.target, target, 16);
	memcpy(nd->option.mac, speaker->mac->addr_bytes, sizeof(nd->option.mac));
	return nd;
}

static void send_nd(struct rte_mbuf *m, struct nd_packet *nd)
{
	nd->nd.checksum = rte_ipv6_udptcp_cksum(&nd->ip, &nd->nd);
	datapath_send(m);
}

static void send_solicitation(const struct speaker *speaker, const uint8_t *target,
			      const uint8_t *mac)
{
	static const uint8_t solicited_node[13] = {0xff, 0x02, [11] = 1, 0xff};
	struct rte_mbuf *m;
	struct nd_packet *nd =
		new_nd(speaker, ICMP6_NEIGHBOR_SOLICITATION, OPTION_SOURCE_MAC, target, &m);

	if (nd == NULL)
		return;
	memcpy(&nd->ip.dst_addr, target, 16);
	if (mac != NULL) {
		memcpy(&packet_meta(m)->wire_mac, mac, sizeof(packet_meta(m)->wire_mac));
	} else {
		memcpy(&nd->ip.dst_addr, solicited_node, sizeof(solicited_node));
		packet_meta(m)->out_group = true;
	}
	send_nd(m, nd);
}

static void send_advertisement(const struct speaker *speaker)
{
	struct rte_mbuf *m;
	struct nd_packet *nd =
		new_nd(speaker, ICMP6_NEIGHBOR_ADVERTISEMENT, OPTION_TARGET_MAC, speaker->ipv6, &m);

	if (nd == NULL)
		return;
	memcpy(&nd->ip.dst_addr, all_nodes, 16);
	nd->nd.flags = rte_cpu_to_be_32(FLAG_ROUTER | FLAG_OVERRIDE);
	packet_meta(m)->out_group = true;
	send_nd(m, nd);
}

void neighbour_ask(const struct neighbour_key *key, const uint8_t *mac)
{
	struct speaker speaker;
	rte_be32_t target;

	if (!find_speaker(datapath_current(), key->slot, key->is_ipv6, &speaker))
		return;
	memcpy(&target, key->address, sizeof(target));
	if (key->is_ipv6)
		send_solicitation(&speaker, key->address, mac);
	else
		send_arp(&speaker, target, mac);
}

void neighbour_send_announcements(void)
{
	const struct snapshot *s = datapath_current();
	struct speaker speaker;

	if (s->uplink_slot == NO_SLOT)
		return;
	if (find_speaker(s, s->uplink_slot, false, &speaker))
		send_arp(&speaker, speaker.ipv4, NULL);
	if (find_speaker(s, s->uplink_slot, true, &speaker))
		send_advertisement(&speaker);
}
