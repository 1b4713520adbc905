// SPDX-License-Identifier: BSD-3-Clause
//
// IPv6 as a router takes it in (RFC 8200, RFC 4291): is the header whole, may this port send from this address, and is
// the packet to be routed, for the router, or for nobody. Extension headers are not a router's to look at.

#include <netinet/in.h>

#include "datapath/icmp.h"
#include "datapath/worker.h"

enum { EDGE_LOOKUP = 1, EDGE_LOCAL, EDGES };

static bool is_unspecified(const uint8_t *address)
{
	static const uint8_t zero[16];

	return memcmp(address, zero, sizeof(zero)) == 0;
}

static bool is_loopback(const uint8_t *address)
{
	return IN6_IS_ADDR_LOOPBACK((const struct in6_addr *)address);
}

static bool is_link_local(const uint8_t *address)
{
	return address[0] == 0xfe && (address[1] & 0xc0) == 0x80;
}

// Returns EDGES if the header is good, else the drop edge.
static rte_edge_t check_header(struct rte_mbuf *m)
{
	if (!packet_pullup(m, sizeof(struct rte_ipv6_hdr)))
		return drop(m, DROP_TRUNCATED);
	const struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *);
	if (rte_be_to_cpu_32(ip->vtc_flow) >> 28 != 6)
		return drop(m, DROP_MALFORMED);
	uint32_t length = (uint32_t)sizeof(*ip) + rte_be_to_cpu_16(ip->payload_len);
	if (length > rte_pktmbuf_pkt_len(m))
		return drop(m, DROP_TRUNCATED);
	packet_trim(m, length); // Ethernet's padding
	return EDGES;
}

// Returns EDGES if the port may send from this address.
static rte_edge_t check_source(struct worker *w, struct rte_mbuf *m, const struct graph_port *port,
			       const struct rte_ipv6_hdr *ip)
{
	const uint8_t *source = ip->src_addr;
	uint16_t owner;

	if (source[0] == 0xff || is_loopback(source))
		return drop(m, DROP_MARTIAN_SOURCE);
	if (is_unspecified(source)) // duplicate address detection: nothing that is for the router
		return drop(m, ip->proto == IPPROTO_ICMPV6 ? DROP_ND_IGNORED : DROP_MARTIAN_SOURCE);
	if (memcmp(source, router_link_local_ipv6, 16) == 0)
		return drop(m, DROP_SPOOFED_ADDRESS);
	if (is_link_local(source))
		return EDGES; // stays on the link: only the router itself is asked from there
	if (port->config.role == DATAPATH_ROLE_POD) {
		if (!port->config.has_ipv6 || memcmp(source, port->config.ipv6.s6_addr, 16) != 0)
			return drop(m, DROP_SPOOFED_ADDRESS);
	} else if (route_ipv6(w, source, &owner) && owner != port->config.slot) {
		return drop(m, DROP_SPOOFED_ADDRESS);
	}
	return EDGES;
}

static bool is_solicitation(struct rte_mbuf *m, const struct rte_ipv6_hdr *ip)
{
	uint8_t type_buffer;

	if (ip->proto != IPPROTO_ICMPV6)
		return false;
	const uint8_t *type = rte_pktmbuf_read(m, sizeof(*ip), 1, &type_buffer);
	return type != NULL && *type == ICMP6_NEIGHBOR_SOLICITATION;
}

static rte_edge_t ip6_input_one(struct worker *w, struct rte_mbuf *m)
{
	rte_edge_t edge = check_header(m);
	if (edge != EDGES)
		return edge;

	const struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *);
	edge = check_source(w, m, packet_in_port(w, m), ip);
	if (edge != EDGES)
		return edge;

	// A solicitation may go to a group or to the very address it asks for, also the gateway's, which is
	// the host's: icmp6_local sorts them out.
	if (is_solicitation(m, ip) || memcmp(ip->dst_addr, router_link_local_ipv6, 16) == 0)
		return EDGE_LOCAL;
	if (ip->dst_addr[0] == 0xff || packet_meta(m)->link_multicast)
		return drop(m, DROP_MULTICAST);
	if (is_link_local(ip->dst_addr) || is_link_local(ip->src_addr))
		return drop(m, DROP_LINK_LOCAL);
	if (is_unspecified(ip->dst_addr) || is_loopback(ip->dst_addr))
		return drop(m, DROP_MARTIAN_DESTINATION);
	return EDGE_LOOKUP;
}

static uint16_t ip6_input(struct rte_graph *graph, struct rte_node *node, void **objs,
			  uint16_t count)
{
	return each_packet(graph, node, objs, count, ip6_input_one);
}

static struct rte_node_register ip6_input_node = {
	.name = NODE("ip6_input"),
	.process = ip6_input,
	.nb_edges = EDGES,
	.next_nodes = {[EDGE_DROP] = NODE("drop"),
		       [EDGE_LOOKUP] = NODE("ip6_lookup"),
		       [EDGE_LOCAL] = NODE("icmp6_local")},
};
RTE_NODE_REGISTER(ip6_input_node)
