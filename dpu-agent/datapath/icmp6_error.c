// SPDX-License-Identifier: BSD-3-Clause
//
// Tells the sender why its packet went no further (RFC 4443), in a new packet from the gateway's address. The packet
// itself goes on to be dropped and counted.

#include <netinet/in.h>

#include "datapath/icmp.h"
#include "datapath/worker.h"

enum { EDGE_TX = 1, EDGES };

enum {
	HOP_LIMIT = 64,
	ERROR_SIZE_MAX = 1280, // the minimum MTU: RFC 4443 section 2.4 (c)
};

struct icmp6_error_headers {
	struct rte_ipv6_hdr ip;
	struct icmp_header icmp;
} __rte_packed;

// RFC 4443 section 2.4 (e): no error about an error or a redirect, nor about what went to many, but for packet too big.
static bool deserves_error(struct rte_mbuf *m)
{
	uint8_t protocol, type_buffer;
	uint16_t offset;

	if (packet_meta(m)->link_multicast)
		return false;
	// A later fragment hides what it carries; IPv6 has no rule against answering it.
	if (!packet_find_l4(m, true, &protocol, &offset) || protocol != IPPROTO_ICMPV6)
		return true;
	const uint8_t *type = rte_pktmbuf_read(m, offset, 1, &type_buffer);
	return type != NULL && *type >= ICMP6_INFORMATIONAL && *type != ICMP6_REDIRECT;
}

static struct rte_mbuf *make_error(struct worker *w, struct rte_mbuf *m)
{
	const struct packet_meta *meta = packet_meta(m);
	const struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *);
	const struct datapath_router *router = &w->snapshot->router;

	if (!deserves_error(m) || !icmp_error_allowed(w, meta->in_slot))
		return NULL;
	struct rte_mbuf *reply = rte_pktmbuf_alloc(m->pool);
	if (reply == NULL)
		return NULL;

	uint16_t quoted = (uint16_t)RTE_MIN(rte_pktmbuf_pkt_len(m),
					    ERROR_SIZE_MAX - sizeof(struct icmp6_error_headers));
	struct icmp6_error_headers *headers =
		(void *)rte_pktmbuf_append(reply, (uint16_t)(sizeof(*headers) + quoted));
	if (headers == NULL) {
		rte_pktmbuf_free(reply);
		return NULL;
	}
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
	memcpy(headers->ip.src_addr,
	       router->has_ipv6 ? router->gateway_ipv6.s6_addr : router_link_local_ipv6, 16);
	memcpy(headers->ip.dst_addr, ip->src_addr, 16);
	headers->icmp = (struct icmp_header){
		.type = meta->icmp_type,
		.code = meta->icmp_code,
		.value = rte_cpu_to_be_32(meta->icmp_value),
	};
	headers->icmp.checksum = rte_ipv6_udptcp_cksum(&headers->ip, &headers->icmp);
	*packet_meta(reply) = (struct packet_meta){
		.in_slot = meta->in_slot,
		.out_slot = meta->in_slot,
		.ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV6),
	};
	return reply;
}

static uint16_t icmp6_error(struct rte_graph *graph, struct rte_node *node, void **objs,
			    uint16_t count)
{
	for (uint16_t i = 0; i < count; i++) {
		struct rte_mbuf *reply = make_error(worker_self, objs[i]);

		if (reply != NULL)
			rte_node_enqueue_x1(graph, node, EDGE_TX, reply);
	}
	rte_node_enqueue(graph, node, EDGE_DROP, objs, count); // the reason is in each packet
	return count;
}

static struct rte_node_register icmp6_error_node = {
	.name = NODE("icmp6_error"),
	.process = icmp6_error,
	.nb_edges = EDGES,
	.next_nodes = {[EDGE_DROP] = NODE("drop"), [EDGE_TX] = NODE("port_tx")},
};
RTE_NODE_REGISTER(icmp6_error_node)
