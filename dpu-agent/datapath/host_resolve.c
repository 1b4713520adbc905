// SPDX-License-Identifier: BSD-3-Clause
//
// Packets for the host while its MAC address is not known, as after a restart of the agent: they
// wait, as many as there is room for, and the host is asked. Its answer is dropped, but eth_classify
// has learned from it, and host_release lets them go on.

#include <netinet/in.h>

#include <rte_arp.h>
#include <rte_cycles.h>

#include "datapath/icmp.h"
#include "datapath/worker.h"

enum { EDGE_TX = 1, EDGES };

static struct rte_mbuf *ask_by_arp(const struct snapshot *s, const struct rte_mbuf *cause)
{
	struct rte_mbuf *m = packet_new(cause, sizeof(struct rte_arp_hdr));

	if (m == NULL)
		return NULL;
	*rte_pktmbuf_mtod(m, struct rte_arp_hdr *) = (struct rte_arp_hdr){
		.arp_hardware = RTE_BE16(RTE_ARP_HRD_ETHER),
		.arp_protocol = RTE_BE16(RTE_ETHER_TYPE_IPV4),
		.arp_hlen = RTE_ETHER_ADDR_LEN,
		.arp_plen = sizeof(rte_be32_t),
		.arp_opcode = RTE_BE16(RTE_ARP_OP_REQUEST),
		.arp_data = {.arp_sha = s->router_mac,
			     .arp_sip = ROUTER_LINK_LOCAL_IPV4_BE,
			     .arp_tip = s->router.gateway_ipv4.s_addr},
	};
	packet_meta(m)->ether_type = RTE_BE16(RTE_ETHER_TYPE_ARP);
	return m;
}

struct solicitation {
	struct rte_ipv6_hdr ip;
	struct nd_header nd;
	struct nd_option_mac option;
} __rte_packed;

static struct rte_mbuf *ask_by_solicitation(const struct snapshot *s, const struct rte_mbuf *cause)
{
	static const uint8_t solicited_node[13] = {0xff, 0x02, [11] = 1, 0xff};
	const uint8_t *target = s->router.gateway_ipv6.s6_addr;
	struct rte_mbuf *m = packet_new(cause, sizeof(struct solicitation));
	struct solicitation *ask;

	if (m == NULL)
		return NULL;
	ask = rte_pktmbuf_mtod(m, struct solicitation *);
	*ask = (struct solicitation){
		.ip = {.vtc_flow = RTE_BE32(6u << 28),
		       .payload_len = RTE_BE16(sizeof(*ask) - sizeof(ask->ip)),
		       .proto = IPPROTO_ICMPV6,
		       .hop_limits = ND_HOP_LIMIT},
		.nd = {.type = ICMP6_NEIGHBOR_SOLICITATION},
		.option = {.type = 1 /* source link-layer address */, .length = 1},
	};
	memcpy(&ask->ip.src_addr, router_link_local_ipv6, 16);
	memcpy(&ask->ip.dst_addr, solicited_node, 13);
	memcpy((uint8_t *)&ask->ip.dst_addr + 13, target + 13, 3);
	memcpy(ask->nd.target, target, 16);
	memcpy(ask->option.mac, s->router_mac.addr_bytes, sizeof(ask->option.mac));
	ask->nd.checksum = rte_ipv6_udptcp_cksum(&ask->ip, &ask->nd);
	packet_meta(m)->ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV6);
	packet_meta(m)->out_group = true;
	return m;
}

// False: there is no room.
static bool wait_for_host(struct worker *w, struct rte_mbuf *m)
{
	struct waiting *waiting = &w->waiting;

	if (waiting->count == WAITING_MAX)
		return false;
	if (waiting->count == 0)
		waiting->since_tsc = rte_rdtsc();
	waiting->packets[waiting->count] = m;
	waiting->generations[waiting->count++] = packet_in_port(w, m)->generation;
	return true;
}

static uint16_t host_resolve(struct rte_graph *graph, struct rte_node *node, void **objs,
			     uint16_t count)
{
	struct worker *w = worker_self;

	for (uint16_t i = 0; i < count; i++) {
		struct rte_mbuf *m = objs[i], *question = NULL;
		uint16_t out_slot = packet_meta(m)->out_slot;

		if (icmp_error_allowed(w, out_slot))
			question = packet_is_ipv4(m) ? ask_by_arp(w->snapshot, m)
						     : ask_by_solicitation(w->snapshot, m);
		if (question != NULL) {
			packet_meta(question)->out_slot = out_slot;
			rte_node_enqueue_x1(graph, node, EDGE_TX, question);
		}
		if (!wait_for_host(w, m))
			rte_node_enqueue_x1(graph, node, drop(m, DROP_HOST_UNKNOWN), m);
	}
	return count;
}

static struct rte_node_register host_resolve_node = {
	.name = NODE("host_resolve"),
	.process = host_resolve,
	.nb_edges = EDGES,
	.next_nodes = {[EDGE_DROP] = NODE("drop"), [EDGE_TX] = NODE("port_tx")},
};
RTE_NODE_REGISTER(host_resolve_node)
