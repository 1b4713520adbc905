// SPDX-License-Identifier: BSD-3-Clause
//
// Tells the sender why its packet went no further (RFC 4443), in a new packet. The packet itself
// goes on to be dropped and counted.

#include <netinet/in.h>

#include "datapath/icmp.h"
#include "datapath/worker.h"

enum { EDGE_TX = 1, EDGE_WIRE, EDGE_HAIRPIN, EDGES };

enum {
	HOP_LIMIT = 64,
	ERROR_SIZE_MAX = 1280, // the minimum MTU: RFC 4443 section 2.4 (c)
};

struct icmp6_error_headers {
	struct rte_ipv6_hdr ip;
	struct icmp_header icmp;
} __rte_packed __rte_aligned(2);

// RFC 4443 section 2.4 (e): no error about an error or a redirect, nor about what went to many, but
// for packet too big.
static bool deserves_error(struct rte_mbuf *m)
{
	struct ipv6_upper upper;
	uint8_t type_buffer;

	if (packet_meta(m)->link_multicast)
		return false;
	if (!packet_find_upper(m, &upper))
		return false;
	if (upper.protocol != IPPROTO_ICMPV6)
		return true;
	if (upper.later_fragment) // may be of an error
		return false;
	const uint8_t *type = rte_pktmbuf_read(m, upper.offset, 1, &type_buffer);
	return type != NULL && *type >= ICMP6_INFORMATIONAL && *type != ICMP6_REDIRECT;
}

// The gateway's address to pods, but not to their link-local ones; the uplink's own to the wire. To the host it is its own, and
// it would take such a packet for a forgery.
static const uint8_t *source_for(const struct snapshot *s, const struct graph_port *to,
				 const uint8_t *destination)
{
	if (to->config.role == DATAPATH_ROLE_UPLINK && s->wire != NULL)
		return s->wire->config.ipv6.s6_addr;
	return s->router.has_ipv6 && to->config.role == DATAPATH_ROLE_POD &&
			       !ipv6_is_link_local(destination)
		       ? s->router.gateway_ipv6.s6_addr
		       : router_link_local_ipv6;
}

static struct rte_mbuf *make_error(struct worker *w, struct rte_mbuf *m)
{
	const struct packet_meta *meta = packet_meta(m);
	const struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *);
	struct icmp6_error_headers *headers;
	uint16_t quoted =
		(uint16_t)RTE_MIN(rte_pktmbuf_pkt_len(m), ERROR_SIZE_MAX - sizeof(*headers));

	if (!deserves_error(m) || !icmp_error_allowed(w, meta->in_slot))
		return NULL;
	struct rte_mbuf *reply = packet_new(m, (uint16_t)(sizeof(*headers) + quoted));
	if (reply == NULL)
		return NULL;
	headers = rte_pktmbuf_mtod(reply, struct icmp6_error_headers *);
	uint8_t *copy = (uint8_t *)(headers + 1);
	const void *original = rte_pktmbuf_read(m, 0, quoted, copy);
	if (original != copy)
		memcpy(copy, original, quoted);

	headers->ip = (struct rte_ipv6_hdr){
		.vtc_flow = rte_cpu_to_be_32(6u << 28),
		.payload_len = rte_cpu_to_be_16((uint16_t)(sizeof(headers->icmp) + quoted)),
		.proto = IPPROTO_ICMPV6,
		.hop_limits = HOP_LIMIT,
	};
	memcpy(&headers->ip.src_addr,
	       source_for(w->snapshot, packet_in_port(w, m), ipv6_source(ip)), 16);
	memcpy(&headers->ip.dst_addr, ipv6_source(ip), 16);
	headers->icmp = (struct icmp_header){
		.type = meta->icmp_type,
		.code = meta->icmp_code,
		.value = rte_cpu_to_be_32(meta->icmp_value),
	};
	headers->icmp.checksum = rte_ipv6_udptcp_cksum(&headers->ip, &headers->icmp);
	packet_meta(reply)->out_slot = meta->in_slot;
	packet_meta(reply)->ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV6);
	return reply;
}

// About a packet that has got the uplink's address on its way from a pod to another (masquerade_hairpin):
// it finds back the same way.
static rte_edge_t way_of(const struct worker *w, struct rte_mbuf *reply)
{
	if (from_wire(w, reply))
		return EDGE_WIRE;
	if (w->masquerade == NULL ||
	    !is_wire_ipv6(w->snapshot,
			  ipv6_destination(rte_pktmbuf_mtod(reply, const struct rte_ipv6_hdr *))))
		return EDGE_TX;
	packet_meta(reply)->own = true;
	return EDGE_HAIRPIN;
}

static uint16_t icmp6_error(struct rte_graph *graph, struct rte_node *node, void **objs,
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

static struct rte_node_register icmp6_error_node = {
	.name = NODE("icmp6_error"),
	.process = icmp6_error,
	.nb_edges = EDGES,
	.next_nodes = {[EDGE_DROP] = NODE("drop"),
		       [EDGE_TX] = NODE("port_tx"),
		       [EDGE_WIRE] = NODE("wire_reply"),
		       [EDGE_HAIRPIN] = NODE("masquerade_hairpin")},
};
RTE_NODE_REGISTER(icmp6_error_node)
