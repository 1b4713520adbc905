// SPDX-License-Identifier: BSD-3-Clause
//
// Packets to the router itself: it answers neighbour solicitations (RFC 4861 section 7.2) for the
// gateway to pods, for the pods' addresses to the host, for its link-local address to both, for
// the uplink's own to the wire; and echo requests. Of TCP and UDP it says that nobody listens, but not
// to the wire. What neighbours on the wire say of themselves goes to the control thread.

#include <netinet/in.h>

#include "datapath/icmp.h"
#include "datapath/neighbour_private.h"
#include "datapath/worker.h"

enum { EDGE_TX = 1, EDGE_WIRE, EDGE_CONSUME, EDGE_ERROR, EDGES };

enum {
	HOP_LIMIT = 64,
	OPTION_SOURCE_MAC = 1,
	OPTION_TARGET_MAC = 2,
	FLAG_ROUTER = 1u << 31,
	FLAG_SOLICITED = 1 << 30,
	FLAG_OVERRIDE = 1 << 29,
};

struct advertisement {
	struct rte_ipv6_hdr ip;
	struct nd_header nd;
	struct nd_option_mac option;
} __rte_packed __rte_aligned(2);

static const uint8_t unspecified[16];
static const uint8_t all_nodes[16] = {0xff, 0x02, [15] = 1};

static bool is_solicited_node(const uint8_t address[16])
{
	static const uint8_t prefix[13] = {0xff, 0x02, [11] = 1, 0xff};

	return memcmp(address, prefix, sizeof(prefix)) == 0;
}

// Over the pseudo header and the whole payload, which is not cut up.
static bool checksum_good(struct rte_mbuf *m)
{
	const struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *);
	uint32_t sum = (uint32_t)packet_sum(m, sizeof(*ip), rte_be_to_cpu_16(ip->payload_len)) +
		       rte_ipv6_phdr_cksum(ip, 0);
	return ((sum >> 16) + (sum & 0xffff)) % 0xffff == 0;
}

static bool answers_for(const struct snapshot *s, const struct graph_port *port,
			const uint8_t *target)
{
	const uint8_t *gateway = s->router.gateway_ipv6.s6_addr;

	if (port->config.role == DATAPATH_ROLE_UPLINK)
		return is_wire_ipv6(s, target);
	if (ipv6_equal(target, router_link_local_ipv6))
		return true;
	if (!s->router.has_ipv6)
		return false;
	if (port->config.role == DATAPATH_ROLE_HOST)
		return in_network_ipv6(s, target) && !ipv6_equal(target, gateway);
	return ipv6_equal(target, gateway);
}

// Go through the options. False: they are malformed. The MAC address in the first option of the type
// `wanted`; it stays as it is if there is none.
static bool read_options(struct rte_mbuf *m, uint8_t wanted, struct rte_ether_addr *ret_mac,
			 bool *ret_found)
{
	uint32_t offset = sizeof(struct rte_ipv6_hdr) + sizeof(struct nd_header);
	bool found = false;

	while (offset < rte_pktmbuf_pkt_len(m)) {
		struct nd_option_mac buffer;
		const struct nd_option_mac *option = rte_pktmbuf_read(m, offset, 8, &buffer);

		if (option == NULL || option->length == 0)
			return false;
		if (option->type == wanted && !found) {
			memcpy(ret_mac, option->mac, sizeof(*ret_mac));
			found = true;
		}
		offset += 8u * option->length;
	}
	*ret_found = found;
	return offset == rte_pktmbuf_pkt_len(m);
}

// RFC 4861 section 7.1.1, but for the checksum. With a MAC address, if it says one.
static bool solicitation_good(struct rte_mbuf *m, const struct rte_ipv6_hdr *ip,
			      const struct nd_header *nd, struct rte_ether_addr *ret_mac,
			      bool *ret_has_mac)
{
	bool probe = ipv6_equal(ipv6_source(ip), unspecified);

	if (ip->hop_limits != ND_HOP_LIMIT || nd->code != 0 || nd->target[0] == 0xff ||
	    (probe && !is_solicited_node(ipv6_destination(ip))))
		return false;
	return read_options(m, OPTION_SOURCE_MAC, ret_mac, ret_has_mac) && !(probe && *ret_has_mac);
}

static void fill_advertisement(struct advertisement *reply, const struct rte_ether_addr *own,
			       const uint8_t *asker, const uint8_t *target)
{
	bool probe = ipv6_equal(asker, unspecified);

	reply->ip = (struct rte_ipv6_hdr){
		.vtc_flow = RTE_BE32(6u << 28),
		.payload_len = RTE_BE16(sizeof(*reply) - sizeof(reply->ip)),
		.proto = IPPROTO_ICMPV6,
		.hop_limits = ND_HOP_LIMIT,
	};
	memcpy(&reply->ip.src_addr, target, 16);
	memcpy(&reply->ip.dst_addr, probe ? all_nodes : asker, 16);
	reply->nd = (struct nd_header){
		.type = ICMP6_NEIGHBOR_ADVERTISEMENT,
		.flags = rte_cpu_to_be_32(FLAG_ROUTER | FLAG_OVERRIDE |
					  (probe ? 0u : FLAG_SOLICITED)),
	};
	memcpy(reply->nd.target, target, 16);
	reply->option = (struct nd_option_mac){.type = OPTION_TARGET_MAC, .length = 1};
	memcpy(reply->option.mac, own->addr_bytes, sizeof(reply->option.mac));
	reply->nd.checksum = rte_ipv6_udptcp_cksum(&reply->ip, &reply->nd);
}

// In the packet that asked.
static rte_edge_t advertise(struct worker *w, struct rte_mbuf *m)
{
	const struct graph_port *port = packet_in_port(w, m);
	struct packet_meta *meta = packet_meta(m);
	struct advertisement *reply;
	uint8_t asker[16], target[16];

	reply = rte_pktmbuf_mtod(m, struct advertisement *);
	memcpy(asker, ipv6_source(&reply->ip), sizeof(asker));
	memcpy(target, reply->nd.target, sizeof(target));
	packet_trim(m, sizeof(reply->ip) + sizeof(reply->nd)); // contiguous: one segment is left
	if (rte_pktmbuf_append(m, sizeof(reply->option)) == NULL)
		return drop(m, DROP_NO_BUFFER);
	reply = rte_pktmbuf_mtod(m, struct advertisement *);
	fill_advertisement(reply,
			   port->config.role == DATAPATH_ROLE_UPLINK ? &port->mac
								     : &w->snapshot->router_mac,
			   asker, target);
	meta->ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV6);
	meta->out_slot = meta->in_slot;
	meta->out_group = ipv6_equal(asker, unspecified);
	return EDGE_TX;
}

static rte_edge_t solicitation(struct worker *w, struct rte_mbuf *m)
{
	const struct rte_ipv6_hdr *ip;
	const struct nd_header *nd;
	struct rte_ether_addr mac;
	bool has_mac;

	if (!packet_pullup(m, sizeof(*ip) + sizeof(*nd)))
		return drop(m, DROP_TRUNCATED);
	ip = rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *);
	nd = rte_pktmbuf_mtod_offset(m, const struct nd_header *, sizeof(*ip));
	if (!solicitation_good(m, ip, nd, &mac, &has_mac))
		return drop(m, DROP_MALFORMED);
	if (!checksum_good(m))
		return drop(m, DROP_BAD_CHECKSUM);
	const struct graph_port *port = packet_in_port(w, m);
	if (port->config.role == DATAPATH_ROLE_POD && has_mac &&
	    !rte_is_same_ether_addr(&mac, &port->mac))
		return drop(m, DROP_SPOOFED_MAC);
	if (from_wire(w, m) && has_mac) {
		if (!rte_is_valid_assigned_ether_addr(&mac))
			return drop(m, DROP_SPOOFED_MAC);
		neighbour_heard(w, m, true, ipv6_source(ip), mac.addr_bytes, HEARD_OVERRIDE);
	}
	if (!answers_for(w->snapshot, port, nd->target))
		return drop(m, DROP_ND_IGNORED);
	return advertise(w, m);
}

// From the wire: RFC 4861 section 7.1.2.
static rte_edge_t advertisement(struct worker *w, struct rte_mbuf *m)
{
	const struct rte_ipv6_hdr *ip;
	const struct nd_header *nd;
	struct rte_ether_addr mac;
	uint8_t heard = 0;
	uint32_t flags;
	bool has_mac;

	if (!packet_pullup(m, sizeof(*ip) + sizeof(*nd)))
		return drop(m, DROP_TRUNCATED);
	ip = rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *);
	nd = rte_pktmbuf_mtod_offset(m, const struct nd_header *, sizeof(*ip));
	flags = rte_be_to_cpu_32(nd->flags);
	if (ip->hop_limits != ND_HOP_LIMIT || nd->code != 0 || nd->target[0] == 0xff ||
	    (ipv6_destination(ip)[0] == 0xff && (flags & FLAG_SOLICITED)) ||
	    !read_options(m, OPTION_TARGET_MAC, &mac, &has_mac))
		return drop(m, DROP_MALFORMED);
	if (!checksum_good(m))
		return drop(m, DROP_BAD_CHECKSUM);
	if (is_wire_ipv6(w->snapshot, nd->target) || in_network_ipv6(w->snapshot, nd->target))
		return drop(m, DROP_SPOOFED_ADDRESS);
	if (has_mac && !rte_is_valid_assigned_ether_addr(&mac))
		return drop(m, DROP_SPOOFED_MAC);
	heard |= flags & FLAG_SOLICITED ? HEARD_SOLICITED : 0;
	heard |= flags & FLAG_OVERRIDE ? HEARD_OVERRIDE : 0;
	neighbour_heard(w, m, true, nd->target, has_mac ? mac.addr_bytes : NULL, heard);
	return EDGE_CONSUME;
}

static rte_edge_t echo(struct worker *w, struct rte_mbuf *m, struct rte_ipv6_hdr *ip,
		       struct icmp_header *icmp)
{
	struct packet_meta *meta = packet_meta(m);
	uint8_t address[16];

	// The addresses change places and the type grows by one, so the checksum shrinks by that (RFC 1624).
	uint32_t sum = (uint16_t)~icmp->checksum + (uint32_t)RTE_BE16(0x0100);
	sum = (sum & 0xffff) + (sum >> 16);
	icmp->checksum = (uint16_t)~sum;
	icmp->type = ICMP6_ECHO_REPLY;
	memcpy(address, ipv6_destination(ip), sizeof(address));
	memcpy(&ip->dst_addr, ipv6_source(ip), sizeof(address));
	memcpy(&ip->src_addr, address, sizeof(address));
	ip->hop_limits = HOP_LIMIT;
	meta->ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV6);
	meta->out_slot = meta->in_slot;
	return from_wire(w, m) ? EDGE_WIRE : EDGE_TX;
}

static rte_edge_t icmp6_local_one(struct worker *w, struct rte_mbuf *m)
{
	struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv6_hdr *);

	if ((ip->proto == IPPROTO_TCP || ip->proto == IPPROTO_UDP) && !from_wire(w, m))
		return drop_and_tell(m, EDGE_ERROR, DROP_NOT_FOR_ROUTER, ICMP6_UNREACHABLE,
				     ICMP6_PORT_UNREACHABLE, 0);
	if (ip->proto != IPPROTO_ICMPV6)
		return drop(m, DROP_NOT_FOR_ROUTER);
	if (!packet_pullup(m, sizeof(*ip) + sizeof(struct icmp_header)))
		return drop(m, DROP_TRUNCATED);
	ip = rte_pktmbuf_mtod(m, struct rte_ipv6_hdr *);
	struct icmp_header *icmp = rte_pktmbuf_mtod_offset(m, struct icmp_header *, sizeof(*ip));
	if (icmp->type == ICMP6_NEIGHBOR_SOLICITATION)
		return solicitation(w, m);
	if (icmp->type == ICMP6_NEIGHBOR_ADVERTISEMENT && from_wire(w, m))
		return advertisement(w, m);
	if (icmp->type >= ICMP6_ROUTER_SOLICITATION && icmp->type <= ICMP6_REDIRECT)
		return drop(m, DROP_ND_IGNORED);
	if (icmp->type != ICMP6_ECHO_REQUEST || icmp->code != 0)
		return drop(m, DROP_NOT_FOR_ROUTER);
	if (!checksum_good(m))
		return drop(m, DROP_BAD_CHECKSUM);
	return echo(w, m, ip, icmp);
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
	.next_nodes = {[EDGE_DROP] = NODE("drop"),
		       [EDGE_TX] = NODE("port_tx"),
		       [EDGE_WIRE] = NODE("wire_reply"),
		       [EDGE_CONSUME] = NODE("consume"),
		       [EDGE_ERROR] = NODE("icmp6_error")},
};
RTE_NODE_REGISTER(icmp6_local_node)
