// SPDX-License-Identifier: BSD-3-Clause
//
// Cuts an IPv4 packet that does not fit the way out and may be cut (RFC 791 section 3.2). The
// pieces refer to the packet's buffers; only their headers are copied.

#include <rte_ip_frag.h>

#include "datapath/worker.h"

enum { EDGE_TX = 1, EDGES };

enum { FRAGMENTS_MAX = 64 };
_Static_assert(FRAGMENTS_MAX *((MTU_MIN - 60) & ~7) >= UINT16_MAX, "the largest packet fits");

static uint16_t ip4_fragment(struct rte_graph *graph, struct rte_node *node, void **objs,
			     uint16_t count)
{
	struct worker *w = worker_self;

	for (uint16_t i = 0; i < count; i++) {
		struct rte_mbuf *m = objs[i], *pieces[FRAGMENTS_MAX];
		struct packet_meta meta = *packet_meta(m);
		const struct graph_port *out = w->snapshot->ports[meta.out_slot];

		// A checksum over the whole cannot be filled by the port any more.
		if (meta.offload == OFFLOAD_CHECKSUM)
			packet_fill_checksum(m);
		meta.offload = OFFLOAD_NONE;
		int32_t n = rte_ipv4_fragment_packet(m, pieces, FRAGMENTS_MAX,
						     (uint16_t)out->config.mtu, m->pool, m->pool);
		rte_pktmbuf_free(m);
		if (n < 0) {
			count_drop(w, meta.in_slot, DROP_NO_BUFFER);
			continue;
		}
		for (int32_t p = 0; p < n; p++) {
			struct rte_ipv4_hdr *ip =
				rte_pktmbuf_mtod(pieces[p], struct rte_ipv4_hdr *);

			ip->hdr_checksum = 0;
			ip->hdr_checksum = (uint16_t)~rte_raw_cksum(ip, rte_ipv4_hdr_len(ip));
			*packet_meta(pieces[p]) = meta;
		}
		rte_node_enqueue(graph, node, EDGE_TX, (void **)pieces, (uint16_t)n);
	}
	return count;
}

static struct rte_node_register ip4_fragment_node = {
	.name = NODE("ip4_fragment"),
	.process = ip4_fragment,
	.nb_edges = EDGES,
	.next_nodes = {[EDGE_DROP] = NODE("drop"), [EDGE_TX] = NODE("port_tx")},
};
RTE_NODE_REGISTER(ip4_fragment_node)
