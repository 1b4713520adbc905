// SPDX-License-Identifier: BSD-3-Clause
//
// Packets to the router itself: it answers neighbour solicitations (RFC 4861 section 7.2) for the gateway to pods, for the pods'
// addresses to the host, and for its link-local address to everybody; and echo requests.

#include <netinet/in.h>

#include "datapath/icmp.h"
#include "datapath/worker.h"

enum { EDGE_TX = 1, EDGES };

enum {
	HOP_LIMIT = 64,
	ND_HOP_LIMIT = 255, // proves that no router passed it on
	OPTION_TARGET_MAC = 2,
	FLAG_ROUTER = 1u << 31,
	FLAG_SOLICITED = 1 << 30,
	FLAG_OVERRIDE = 1 << 29,
};

struct advertisement {
	struct rte_ipv6_hdr ip;
	struct nd_header nd;
	struct nd_option_mac option;
} __rte_packed;

// Over the pseudo header and the whole payload, which is not cut up.
static bool checksum_good(struct rte_mbuf *m)
{
	const struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *);
	uint16_t raw;

	if (rte_raw_cksum_mbuf(m, sizeof(*ip), rte_be_to_cpu_16(ip->payload_len), &raw) < 0)
		return false;
	uint32_t sum = (uint32_t)raw + rte_ipv6_phdr_cksum(ip, 0);
	return ((sum >> 16) + (sum & 0xffff)) % 0xffff == 0;
}

static bool answers_for(const struct snapshot *s, const struct graph_port *port,
			const uint8_t *target)
{
	const uint8_t *gateway = s->router.gateway_ipv6.s6_addr;

	if (memcmp(target, router_link_local_ipv6, 16) == 0)
		return true;
	if (!s->router.has_ipv6)
		return false;
	if (port->config.role == DATAPATH_ROLE_HOST)
		return in_network_ipv6(s, target) && memcmp(target, gateway, 16) != 0;
	return memcmp(target, gateway, 16) == 0;
}

// RFC 4861 section 7.1.1: no option may have length 0.
static bool options_good(struct rte_mbuf *m, uint32_t offset)
{
	while (offset < rte_pktmbuf_pkt_len(m)) {
		uint8_t buffer[2];
		const uint8_t *option = rte_pktmbuf_read(m, offset, 2, buffer);

		if (option == NULL || option[1] == 0)
			return false;
		offset += 8u * option[1];
	}
	return offset == rte_pktmbuf_pkt_len(m);
}

static rte_edge_t advertise(struct worker *w, struct rte_mbuf *m, const uint8_t *target)
{
	struct packet_meta *meta = packet_meta(m);
	struct advertisement *reply;
	struct rte_ipv6_hdr asked = *rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *);
	uint8_t address[16];

	memcpy(address, target, sizeof(address));
	packet_trim(m, sizeof(struct rte_ipv6_hdr) + sizeof(struct nd_header));
	if (!packet_pullup(m, rte_pktmbuf_pkt_len(m)) ||
	    rte_pktmbuf_append(m, sizeof(struct nd_option_mac)) == NULL)
		return drop(m, DROP_NO_BUFFER);
	reply = rte_pktmbuf_mtod(m, struct advertisement *);
	reply->ip = (struct rte_ipv6_hdr){
		.vtc_flow = rte_cpu_to_be_32(6u << 28),
		.payload_len = rte_cpu_to_be_16(sizeof(*reply) - sizeof(reply->ip)),
		.proto = IPPROTO_ICMPV6,
		.hop_limits = ND_HOP_LIMIT,
	};
	memcpy(reply->ip.src_addr, address, 16);
	memcpy(reply->ip.dst_addr, asked.src_addr, 16);
	reply->nd = (struct nd_header){
		.type = ICMP6_NEIGHBOR_ADVERTISEMENT,
		.flags = rte_cpu_to_be_32(FLAG_ROUTER | FLAG_SOLICITED | FLAG_OVERRIDE),
	};
	memcpy(reply->nd.target, address, 16);
	reply->option = (struct nd_option_mac){.type = OPTION_TARGET_MAC, .length = 1};
	memcpy(reply->option.mac, w->snapshot->router_mac.addr_bytes, 6);
	reply->nd.checksum = rte_ipv6_udptcp_cksum(&reply->ip, &reply->nd);
	meta->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV6);
	meta->out_slot = meta->in_slot;
	return EDGE_TX;
}

static rte_edge_t solicitation(struct worker *w, struct rte_mbuf *m)
{
	const struct graph_port *port = packet_in_port(w, m);
	const uint32_t size = sizeof(struct rte_ipv6_hdr) + sizeof(struct nd_header);

	if (!packet_pullup(m, size))
		return drop(m, DROP_TRUNCATED);
	const struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *);
	const struct nd_header *nd =
		rte_pktmbuf_mtod_offset(m, const struct nd_header *, sizeof(*ip));
	if (ip->hop_limits != ND_HOP_LIMIT || nd->code != 0 || nd->target[0] == 0xff ||
	    !options_good(m, size))
		return drop(m, DROP_MALFORMED);
	if (!checksum_good(m))
		return drop(m, DROP_BAD_CHECKSUM);
	if (!answers_for(w->snapshot, port, nd->target))
		return drop(m, DROP_ND_IGNORED);
	return advertise(w, m, nd->target);
}

static rte_edge_t echo(struct rte_mbuf *m, struct rte_ipv6_hdr *ip, struct icmp_header *icmp)
{
	struct packet_meta *meta = packet_meta(m);
	uint8_t address[16];

	// The addresses change places and the type grows by one, so the checksum shrinks by that (RFC 1624).
	uint32_t sum = (uint16_t)~icmp->checksum + (uint32_t)rte_cpu_to_be_16(0x0100);
	sum = (sum & 0xffff) + (sum >> 16);
	icmp->checksum = (uint16_t)~sum;
	icmp->type = ICMP6_ECHO_REPLY;
	memcpy(address, ip->dst_addr, sizeof(address));
	memcpy(ip->dst_addr, ip->src_addr, sizeof(address));
	memcpy(ip->src_addr, address, sizeof(address));
	ip->hop_limits = HOP_LIMIT;
	meta->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV6);
	meta->out_slot = meta->in_slot;
	return EDGE_TX;
}

static rte_edge_t icmp6_local_one(struct worker *w, struct rte_mbuf *m)
{
	struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv6_hdr *);

	if (ip->proto != IPPROTO_ICMPV6)
		return drop(m, DROP_NOT_FOR_ROUTER);
	if (!packet_pullup(m, sizeof(*ip) + sizeof(struct icmp_header)))
		return drop(m, DROP_TRUNCATED);
	ip = rte_pktmbuf_mtod(m, struct rte_ipv6_hdr *);
	struct icmp_header *icmp = rte_pktmbuf_mtod_offset(m, struct icmp_header *, sizeof(*ip));
	if (icmp->type == ICMP6_NEIGHBOR_SOLICITATION)
		return solicitation(w, m);
	if (icmp->type != ICMP6_ECHO_REQUEST || icmp->code != 0)
		return drop(m, DROP_NOT_FOR_ROUTER);
	if (!checksum_good(m))
		return drop(m, DROP_BAD_CHECKSUM);
	return echo(m, ip, icmp);
}

static uint16_t icmp6_local(struct rte_graph *graph, struct rte_node *node, void **objs,
			    uint16_t count)
{
	return each_packet(graph, node, objs, count, icmp6_local_one);
}

static struct rte_node_register icmp6_local_node = {
	.name = NODE("icmp6_local"),
	.process = icmp6_local,
	.nb_edges = EDGES,
	.next_nodes = {[EDGE_DROP] = NODE("drop"), [EDGE_TX] = NODE("port_tx")},
};
RTE_NODE_REGISTER(icmp6_local_node)
