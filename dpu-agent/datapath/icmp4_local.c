// SPDX-License-Identifier: BSD-3-Clause
//
// Packets to the router itself: it answers echo requests (RFC 1812 section 4.3.3.6), in the packet
// that asked, and says of TCP and UDP that nobody listens; but not to the wire.

#include <netinet/in.h>

#include "datapath/icmp.h"
#include "datapath/worker.h"

enum { EDGE_TX = 1, EDGE_WIRE, EDGE_ERROR, EDGES };

enum { TTL = 64 };

static bool is_fragment(const struct rte_ipv4_hdr *ip)
{
	return (ip->fragment_offset &
		rte_cpu_to_be_16(RTE_IPV4_HDR_OFFSET_MASK | RTE_IPV4_HDR_MF_FLAG)) != 0;
}

static rte_edge_t icmp4_local_one(struct worker *w, struct rte_mbuf *m)
{
	struct packet_meta *meta = packet_meta(m);
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);
	uint8_t header_length = rte_ipv4_hdr_len(ip);

	if (is_fragment(ip))
		return drop(m, DROP_NOT_FOR_ROUTER);
	if ((ip->next_proto_id == IPPROTO_TCP || ip->next_proto_id == IPPROTO_UDP) &&
	    !from_wire(w, m))
		return drop_and_tell(m, EDGE_ERROR, DROP_NOT_FOR_ROUTER, ICMP4_UNREACHABLE,
				     ICMP4_PORT_UNREACHABLE, 0);
	if (ip->next_proto_id != IPPROTO_ICMP)
		return drop(m, DROP_NOT_FOR_ROUTER);
	if (!packet_pullup(m, header_length + sizeof(struct icmp_header)))
		return drop(m, DROP_TRUNCATED);
	ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);
	struct icmp_header *icmp = rte_pktmbuf_mtod_offset(m, struct icmp_header *, header_length);
	if (icmp->type != ICMP4_ECHO_REQUEST || icmp->code != 0)
		return drop(m, DROP_NOT_FOR_ROUTER);
	uint32_t size = rte_pktmbuf_pkt_len(m) - header_length;
	if (packet_sum(m, header_length, size) != 0xffff)
		return drop(m, DROP_BAD_CHECKSUM);

	icmp->type = ICMP4_ECHO_REPLY;
	icmp->checksum = 0;
	icmp->checksum = (uint16_t)~packet_sum(m, header_length, size);

	rte_be32_t asked = ip->dst_addr;
	ip->dst_addr = ip->src_addr;
	ip->src_addr = asked;
	ip->time_to_live = TTL;
	ip->hdr_checksum = 0;
	ip->hdr_checksum = (uint16_t)~rte_raw_cksum(ip, header_length);
	meta->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
	meta->out_slot = meta->in_slot;
	return from_wire(w, m) ? EDGE_WIRE : EDGE_TX;
}

static uint16_t icmp4_local(struct rte_graph *graph, struct rte_node *node, void **objs,
			    uint16_t count)
{
	return each_packet(graph, node, objs, count, icmp4_local_one);
}

static struct rte_node_register icmp4_local_node = {
	.name = NODE("icmp4_local"),
	.process = icmp4_local,
	.nb_edges = EDGES,
	.next_nodes = {[EDGE_DROP] = NODE("drop"),
		       [EDGE_TX] = NODE("port_tx"),
		       [EDGE_WIRE] = NODE("wire_reply"),
		       [EDGE_ERROR] = NODE("icmp4_error")},
};
RTE_NODE_REGISTER(icmp4_local_node)
