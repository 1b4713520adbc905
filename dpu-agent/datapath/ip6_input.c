// SPDX-License-Identifier: BSD-3-Clause
//
// IPv6 as a router takes it in (RFC 8200, RFC 4291): is the header whole, may this port send from
// this address, and is the packet to be routed, for the router, or for nobody. Extension headers
// are not a router's to look at.

#include <netinet/in.h>

#include "datapath/icmp.h"
#include "datapath/worker.h"

enum { EDGE_LOOKUP = 1, EDGE_LOCAL, EDGE_WIRE, EDGES };

static const uint8_t unspecified[16];

static bool is_loopback(const uint8_t address[16])
{
	static const uint8_t loopback[16] = {[15] = 1};

	return ipv6_equal(address, loopback);
}

static bool is_multicast(const uint8_t address[16])
{
	return address[0] == 0xff;
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

// Returns EDGES if the port may send from this address. Sources that are valid on their link only,
// or those of a node that has no address yet, may speak to the router, so they are let in here.
static rte_edge_t check_source(struct worker *w, struct rte_mbuf *m, const struct graph_port *port,
			       const uint8_t *source)
{
	uint16_t owner;

	if (is_multicast(source) || is_loopback(source))
		return drop(m, DROP_MARTIAN_SOURCE);
	if (ipv6_equal(source, router_link_local_ipv6) &&
	    port->config.role != DATAPATH_ROLE_UPLINK) // there it is somebody else's
		return drop(m, DROP_SPOOFED_ADDRESS);
	if (ipv6_is_link_local(source) || ipv6_equal(source, unspecified))
		return EDGES;
	if (port->config.role == DATAPATH_ROLE_POD) {
		if (!port->config.has_ipv6 || !ipv6_equal(source, port->config.ipv6.s6_addr))
			return drop(m, DROP_SPOOFED_ADDRESS);
	} else if (port->config.role == DATAPATH_ROLE_UPLINK &&
		   (in_network_ipv6(w->snapshot, source) || is_wire_ipv6(w->snapshot, source))) {
		return drop(m, DROP_SPOOFED_ADDRESS);
	} else if (address6_find(w->snapshot->addresses, source, &owner) &&
		   owner != port->config.slot) {
		return drop(m, DROP_SPOOFED_ADDRESS);
	}
	return EDGES;
}

static uint8_t icmp_type(const struct rte_mbuf *m)
{
	uint8_t buffer;
	const uint8_t *type = rte_pktmbuf_read(m, sizeof(struct rte_ipv6_hdr), 1, &buffer);

	return type != NULL ? *type : 0;
}

// Neighbour discovery stays on its link, whomever it is addressed to: a solicitation may go to a
// group, or to the very address it asks for, also the gateway's, which is the host's; and on the wire
// who has moved tells all.
static bool is_neighbour_discovery(const struct worker *w, const struct rte_mbuf *m,
				   const struct rte_ipv6_hdr *ip)
{
	if (likely(ip->proto != IPPROTO_ICMPV6))
		return false;
	uint8_t type = icmp_type(m);
	return type == ICMP6_NEIGHBOR_SOLICITATION ||
	       (type == ICMP6_NEIGHBOR_ADVERTISEMENT && from_wire(w, m)) ||
	       (type >= ICMP6_ROUTER_SOLICITATION && type <= ICMP6_REDIRECT &&
		!is_multicast(ipv6_destination(ip)));
}

// What a DHCPv6 server says to a client (RFC 8415 section 7.2), as far as a NIC can see it too.
static bool is_dhcp_answer(const struct rte_mbuf *m, const struct rte_ipv6_hdr *ip)
{
	struct ipv6_upper upper;

	if (likely(ip->proto == IPPROTO_TCP || ip->proto == IPPROTO_ICMPV6))
		return false;
	if (!packet_find_upper(m, &upper) || upper.protocol != IPPROTO_UDP ||
	    upper.later_fragment || upper.secured)
		return false;
	return packet_is_udp(m, upper.offset, RTE_BE16(547), RTE_BE16(546));
}

static bool read_offload(struct rte_mbuf *m)
{
	struct ipv6_upper upper;

	return packet_find_upper(m, &upper) && !upper.fragment && !upper.routing &&
	       packet_read_offload(m, upper.protocol, upper.offset);
}

static rte_edge_t ip6_input_one(struct worker *w, struct rte_mbuf *m)
{
	rte_edge_t edge = check_header(m);
	if (edge != EDGES)
		return edge;

	const struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *);
	const uint8_t *source = ipv6_source(ip), *destination = ipv6_destination(ip);
	const struct graph_port *port = packet_in_port(w, m);
	edge = check_source(w, m, port, source);
	if (edge != EDGES)
		return edge;
	if (port->config.role == DATAPATH_ROLE_POD && is_dhcp_answer(m, ip))
		return drop(m, DROP_DHCP_SERVER);
	if (is_neighbour_discovery(w, m, ip))
		return EDGE_LOCAL;
	if (is_multicast(destination) || packet_meta(m)->link_multicast)
		return drop(m, DROP_MULTICAST);
	if (ipv6_equal(source, unspecified))
		return drop(m, DROP_MARTIAN_SOURCE);
	if (packet_has_offload(m) && !read_offload(m))
		return drop(m, DROP_BAD_OFFLOAD);
	if (ipv6_equal(destination, router_link_local_ipv6) && !from_wire(w, m))
		return EDGE_LOCAL;
	if (ipv6_is_link_local(destination) || ipv6_is_link_local(source))
		return drop(m, DROP_LINK_LOCAL);
	if (ipv6_equal(destination, unspecified) || is_loopback(destination))
		return drop(m, DROP_MARTIAN_DESTINATION);
	return from_wire(w, m) ? EDGE_WIRE : EDGE_LOOKUP;
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
		       [EDGE_LOCAL] = NODE("icmp6_local"),
		       [EDGE_WIRE] = NODE("wire_input")},
};
RTE_NODE_REGISTER(ip6_input_node)
