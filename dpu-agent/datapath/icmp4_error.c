// SPDX-License-Identifier: BSD-3-Clause
//
// Tells the sender why its packet went no further (RFC 792, RFC 1191, RFC 1812 section 4.3.2), in a
// new packet. The packet itself goes on to be dropped and counted.

#include <netinet/in.h>

#include "datapath/icmp.h"
#include "datapath/worker.h"

enum { EDGE_TX = 1, EDGE_WIRE, EDGE_HAIRPIN, EDGES };

enum {
	TTL = 64,
	PRECEDENCE_INTERNETWORK = 6 << 5, // RFC 1812 section 4.3.2.5
	ERROR_SIZE_MAX = 576,             // RFC 1812 section 4.3.2.3
};

struct icmp4_error_headers {
	struct rte_ipv4_hdr ip;
	struct icmp_header icmp;
} __rte_packed __rte_aligned(2);

// RFC 1812 section 4.3.2.7: no error about an error, about a fragment but the first, about what went to many.
static bool deserves_error(struct rte_mbuf *m, const struct rte_ipv4_hdr *ip)
{
	uint8_t type_buffer;

	if (packet_meta(m)->link_multicast ||
	    (ip->fragment_offset & rte_cpu_to_be_16(RTE_IPV4_HDR_OFFSET_MASK)) != 0)
		return false;
	if (ip->next_proto_id != IPPROTO_ICMP)
		return true;
	const uint8_t *type = rte_pktmbuf_read(m, rte_ipv4_hdr_len(ip), 1, &type_buffer);
	return type != NULL && *type != ICMP4_UNREACHABLE && *type != ICMP4_SOURCE_QUENCH &&
	       *type != ICMP4_REDIRECT && *type != ICMP4_TIME_EXCEEDED &&
	       *type != ICMP4_PARAMETER_PROBLEM;
}

// The gateway's address to pods, the uplink's own to the wire. To the host it is its own, and it would take such a packet for a forgery.
static rte_be32_t source_for(const struct snapshot *s, const struct graph_port *to)
{
	if (to->config.role == DATAPATH_ROLE_UPLINK && s->wire != NULL)
		return s->wire->config.ipv4.s_addr;
	return s->router.has_ipv4 && to->config.role == DATAPATH_ROLE_POD
		       ? s->router.gateway_ipv4.s_addr
		       : ROUTER_LINK_LOCAL_IPV4_BE;
}

static struct rte_mbuf *make_error(struct worker *w, struct rte_mbuf *m)
{
	const struct packet_meta *meta = packet_meta(m);
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	struct icmp4_error_headers *headers;
	uint16_t quoted =
		(uint16_t)RTE_MIN(rte_pktmbuf_pkt_len(m), ERROR_SIZE_MAX - sizeof(*headers));

	if (!deserves_error(m, ip) || !icmp_error_allowed(w, meta->in_slot))
		return NULL;
	struct rte_mbuf *reply = packet_new(m, (uint16_t)(sizeof(*headers) + quoted));
	if (reply == NULL)
		return NULL;
	headers = rte_pktmbuf_mtod(reply, struct icmp4_error_headers *);
	uint8_t *copy = (uint8_t *)(headers + 1);
	const void *original = rte_pktmbuf_read(m, 0, quoted, copy);
	if (original != copy)
		memcpy(copy, original, quoted);

	headers->icmp = (struct icmp_header){
		.type = meta->icmp_type,
		.code = meta->icmp_code,
		.value = rte_cpu_to_be_32(meta->icmp_value), // the MTU is in the low 16 bits
	};
	headers->icmp.checksum =
		(uint16_t)~rte_raw_cksum(&headers->icmp, sizeof(headers->icmp) + quoted);
	headers->ip = (struct rte_ipv4_hdr){
		.version_ihl = RTE_IPV4_VHL_DEF,
		.type_of_service = PRECEDENCE_INTERNETWORK,
		.total_length = rte_cpu_to_be_16((uint16_t)(sizeof(*headers) + quoted)),
		.time_to_live = TTL,
		.next_proto_id = IPPROTO_ICMP,
		.src_addr = source_for(w->snapshot, packet_in_port(w, m)),
		.dst_addr = ip->src_addr,
	};
	headers->ip.hdr_checksum = rte_ipv4_cksum(&headers->ip);
	packet_meta(reply)->out_slot = meta->in_slot;
	packet_meta(reply)->ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	return reply;
}

// About a packet that has got the uplink's address on its way from a pod to another (masquerade_hairpin):
// it finds back the same way.
static rte_edge_t way_of(const struct worker *w, struct rte_mbuf *reply)
{
	if (from_wire(w, reply))
		return EDGE_WIRE;
	if (w->masquerade == NULL ||
	    !is_wire_ipv4(w->snapshot,
			  rte_pktmbuf_mtod(reply, const struct rte_ipv4_hdr *)->dst_addr))
		return EDGE_TX;
	packet_meta(reply)->own = true;
	return EDGE_HAIRPIN;
}

static uint16_t icmp4_error(struct rte_graph *graph, struct rte_node *node, void **objs,
			    uint16_t count)
{
	for (uint16_t i = 0; i < count; i++) {
		struct rte_mbuf *reply = make_error(worker_self, objs[i]);

		if (reply != NULL)
			rte_node_enqueue_x1(graph, node, way_of(worker_self, reply), reply);
	}
	rte_node_enqueue(graph, node, EDGE_DROP, objs, count); // the reason is in each packet
	return count;
}

static struct rte_node_register icmp4_error_node = {
	.name = NODE("icmp4_error"),
	.process = icmp4_error,
	.nb_edges = EDGES,
	.next_nodes = {[EDGE_DROP] = NODE("drop"),
		       [EDGE_TX] = NODE("port_tx"),
		       [EDGE_WIRE] = NODE("wire_reply"),
		       [EDGE_HAIRPIN] = NODE("masquerade_hairpin")},
};
RTE_NODE_REGISTER(icmp4_error_node)
