// SPDX-License-Identifier: BSD-3-Clause
//
// IPv4 as a router takes it in (RFC 1812 section 5.2.2): is the header whole and true, may this
// port send from this address, and is the packet to be routed, for the router, or for nobody.

#include "datapath/worker.h"

enum { EDGE_LOOKUP = 1, EDGE_LOCAL, EDGE_WIRE, EDGES };

// Returns EDGES if the header is good, else the drop edge.
static rte_edge_t check_header(struct rte_mbuf *m)
{
	if (!packet_pullup(m, sizeof(struct rte_ipv4_hdr)))
		return drop(m, DROP_TRUNCATED);
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	uint8_t header_length = rte_ipv4_hdr_len(ip);
	if (ip->version_ihl >> 4 != 4 || header_length < sizeof(*ip))
		return drop(m, DROP_MALFORMED);
	uint16_t total_length = rte_be_to_cpu_16(ip->total_length);
	if (total_length < header_length)
		return drop(m, DROP_MALFORMED);
	if (total_length > rte_pktmbuf_pkt_len(m) || !packet_pullup(m, header_length))
		return drop(m, DROP_TRUNCATED);
	ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	if ((m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) != RTE_MBUF_F_RX_IP_CKSUM_GOOD &&
	    rte_raw_cksum(ip, header_length) != 0xffff)
		return drop(m, DROP_BAD_CHECKSUM);
	packet_trim(m, total_length); // Ethernet's padding
	return EDGES;
}

static bool is_martian_source(rte_be32_t address)
{
	uint32_t a = rte_be_to_cpu_32(address);

	// 0/8, 127/8, 224/4 and 240/4 with the broadcast address (RFC 1812 section 5.3.7)
	return a >> 24 == 0 || a >> 24 == 127 || a >> 28 >= 0xe;
}

// Returns EDGES if the port may send from this address.
static rte_edge_t check_source(struct worker *w, struct rte_mbuf *m, const struct graph_port *port,
			       rte_be32_t source)
{
	uint16_t owner;

	if (is_martian_source(source))
		return drop(m, DROP_MARTIAN_SOURCE);
	if (port->config.role == DATAPATH_ROLE_POD) {
		if (!port->config.has_ipv4 || source != port->config.ipv4.s_addr)
			return drop(m, DROP_SPOOFED_ADDRESS);
	} else if (port->config.role == DATAPATH_ROLE_UPLINK &&
		   (in_network_ipv4(w->snapshot, source) || is_wire_ipv4(w->snapshot, source))) {
		return drop(m, DROP_SPOOFED_ADDRESS);
	} else if (source == ROUTER_LINK_LOCAL_IPV4_BE ||
		   (address4_find(w->snapshot->addresses, source, &owner) &&
		    owner != port->config.slot)) {
		return drop(m, DROP_SPOOFED_ADDRESS);
	}
	return EDGES;
}

// What a DHCP server says to a client (RFC 2131 section 4.1). Pods have their addresses from the
// agent; one that offers some wants to be somebody's gateway.
static bool is_dhcp_answer(const struct rte_mbuf *m, const struct rte_ipv4_hdr *ip)
{
	if (ip->next_proto_id != IPPROTO_UDP ||
	    (ip->fragment_offset & RTE_BE16(RTE_IPV4_HDR_OFFSET_MASK)) != 0)
		return false;
	return packet_is_udp(m, rte_ipv4_hdr_len(ip), RTE_BE16(67), RTE_BE16(68));
}

// The pod network's own broadcast addresses (RFC 1812 section 5.3.5).
static bool is_directed_broadcast(const struct snapshot *s, rte_be32_t address)
{
	rte_be32_t host = ~s->mask_ipv4.s_addr;

	return in_network_ipv4(s, address) && ((address & host) == 0 || (address & host) == host);
}

static bool read_offload(struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);

	return !(ip->fragment_offset & RTE_BE16(RTE_IPV4_HDR_OFFSET_MASK | RTE_IPV4_HDR_MF_FLAG)) &&
	       packet_read_offload(m, ip->next_proto_id, rte_ipv4_hdr_len(ip));
}

static rte_edge_t ip4_input_one(struct worker *w, struct rte_mbuf *m)
{
	rte_edge_t edge = check_header(m);
	if (edge != EDGES)
		return edge;

	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	const struct graph_port *port = packet_in_port(w, m);
	edge = check_source(w, m, port, ip->src_addr);
	if (edge != EDGES)
		return edge;
	if (port->config.role == DATAPATH_ROLE_POD && is_dhcp_answer(m, ip))
		return drop(m, DROP_DHCP_SERVER);

	uint32_t destination = rte_be_to_cpu_32(ip->dst_addr);
	if (destination >> 28 == 0xe || destination == UINT32_MAX ||
	    packet_meta(m)->link_multicast || is_directed_broadcast(w->snapshot, ip->dst_addr))
		return drop(m, DROP_MULTICAST);
	if (packet_has_offload(m) && !read_offload(m))
		return drop(m, DROP_BAD_OFFLOAD);
	if (ip->dst_addr == ROUTER_LINK_LOCAL_IPV4_BE && !from_wire(w, m))
		return EDGE_LOCAL;
	if (destination >> 24 == 0 || destination >> 24 == 127 || destination >> 28 == 0xf)
		return drop(m, DROP_MARTIAN_DESTINATION);
	// 169.254/16 is never routed (RFC 3927 section 7).
	if (destination >> 16 == 0xa9fe || rte_be_to_cpu_32(ip->src_addr) >> 16 == 0xa9fe)
		return drop(m, DROP_LINK_LOCAL);
	return from_wire(w, m) ? EDGE_WIRE : EDGE_LOOKUP;
}

static uint16_t ip4_input(struct rte_graph *graph, struct rte_node *node, void **objs,
			  uint16_t count)
{
	return each_packet(graph, node, objs, count, ip4_input_one);
}

static struct rte_node_register ip4_input_node = {
	.name = NODE("ip4_input"),
	.process = ip4_input,
	.nb_edges = EDGES,
	.next_nodes = {[EDGE_DROP] = NODE("drop"),
		       [EDGE_LOOKUP] = NODE("ip4_lookup"),
		       [EDGE_LOCAL] = NODE("icmp4_local"),
		       [EDGE_WIRE] = NODE("wire_input")},
};
RTE_NODE_REGISTER(ip4_input_node)
