// SPDX-License-Identifier: BSD-3-Clause
//
// The sink of the graph: drops what is too much for the pod it is for, puts the Ethernet header on, hands what a stack left to the NIC (checksum,
// segmentation) to the port out, or does it here if the port cannot, and sends one batch to each
// port.

#include <errno.h>
#include <netinet/in.h>

#include <rte_ethdev.h>

#include "datapath/meter.h"
#include "datapath/tcp_segment.h"
#include "datapath/trace_worker.h"
#include "datapath/worker.h"

static void discard(struct worker *w, struct rte_mbuf *m, enum drop_reason reason)
{
	count_drop(w, packet_meta(m)->in_slot, reason);
	trace_note_drop(w, m, reason);
	rte_pktmbuf_free(m);
}

// The pod that was to get it is the one to look at, not who sent it.
static void discard_metered(struct worker *w, struct rte_mbuf *m)
{
	count_drop(w, packet_meta(m)->out_slot, DROP_INGRESS_BANDWIDTH);
	trace_note_drop(w, m, DROP_INGRESS_BANDWIDTH);
	rte_pktmbuf_free(m);
}

// ---- batches -------------------------------------------------------------------------------------

static void flush(struct worker *w, uint16_t slot)
{
	const struct graph_port *out = w->snapshot->ports[slot];
	struct port_counters *counters = &w->counters[slot];
	struct tx_batch *batch = &w->tx[slot];
	uint64_t bytes = 0;

	// What is sent is no longer ours to look at.
	for (uint16_t i = 0; i < batch->count; i++)
		bytes += rte_pktmbuf_pkt_len(batch->packets[i]);
	uint16_t sent = out->config.ops == NULL
				? rte_eth_tx_burst(out->config.port_id, (uint16_t)w->index,
						   batch->packets, batch->count)
				: out->config.ops->send(out->config.device, w->index,
							batch->packets, batch->count);
	counters->tx_packets += sent;
	counters->tx_full += (uint64_t)(batch->count - sent);
	for (uint16_t i = sent; i < batch->count; i++) {
		bytes -= rte_pktmbuf_pkt_len(batch->packets[i]);
		discard(w, batch->packets[i], DROP_TX_FULL);
	}
	counters->tx_bytes += bytes;
	batch->count = 0;
}

static void add_to_batch(struct worker *w, struct rte_mbuf *m)
{
	uint16_t slot = packet_meta(m)->out_slot;
	struct tx_batch *batch = &w->tx[slot];

	if (!batch->active) {
		batch->active = true;
		w->batched[w->batched_count++] = slot;
	}
	batch->packets[batch->count++] = m;
	if (batch->count == TX_BATCH)
		flush(w, slot);
}

static void flush_all(struct worker *w)
{
	for (uint16_t i = 0; i < w->batched_count; i++) {
		struct tx_batch *batch = &w->tx[w->batched[i]];

		if (batch->count > 0)
			flush(w, w->batched[i]);
		batch->active = false;
	}
	w->batched_count = 0;
}

// ---- one packet ----------------------------------------------------------------------------------

// A device's peer may come and go, and with it what it can do.
static bool fills_checksums(const struct graph_port *out)
{
	return out->config.ops == NULL ? out->config.tx_l4_checksum
				       : (out->config.ops->tx_offloads(out->config.device) &
					  DATAPATH_TX_L4_CHECKSUM) != 0;
}

static bool segments(const struct graph_port *out)
{
	return out->config.ops == NULL
		       ? out->config.tx_tso && out->config.tx_l4_checksum
		       : (out->config.ops->tx_offloads(out->config.device) & DATAPATH_TX_TSO) != 0;
}

// Let the port do it. rte_mbuf_core.h: the pseudo header's sum goes where the checksum will be;
// without the length if each segment will have its own; and the checksum of the IPv4 header is 0 if
// the port is to fill it.
static void request_offload(struct rte_mbuf *m, const struct graph_port *out, uint8_t l2_size)
{
	const struct packet_meta *meta = packet_meta(m);
	bool ipv4 = meta->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV4);
	uint64_t flags = ipv4 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6;
	uint16_t size = (uint16_t)(rte_pktmbuf_pkt_len(m) - meta->l4_offset);

	m->l2_len = l2_size;
	m->l3_len = meta->l4_offset;
	m->l4_len = meta->l4_size;
	flags |= meta->l4_protocol == IPPROTO_TCP ? RTE_MBUF_F_TX_TCP_CKSUM
						  : RTE_MBUF_F_TX_UDP_CKSUM;
	if (meta->offload == OFFLOAD_TSO) {
		flags |= RTE_MBUF_F_TX_TCP_SEG;
		size = 0;
		if (ipv4 && out->config.tx_ipv4_checksum) {
			flags |= RTE_MBUF_F_TX_IP_CKSUM;
			rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *)->hdr_checksum = 0;
		}
	}
	*packet_l4_checksum(m) = packet_pseudo_sum(m, size);
	m->ol_flags |= flags;
}

// RFC 2464 section 7.
static struct rte_ether_addr group_mac(const struct rte_mbuf *m)
{
	if (packet_meta(m)->ether_type == RTE_BE16(RTE_ETHER_TYPE_ARP))
		return (struct rte_ether_addr){{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
	const uint8_t *group = ipv6_destination(rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *));

	return (struct rte_ether_addr){{0x33, 0x33, group[12], group[13], group[14], group[15]}};
}

static uint16_t vlan_of(const struct snapshot *s, const struct graph_port *out)
{
	return out->config.role == DATAPATH_ROLE_UPLINK && s->wire != NULL ? s->wire->config.vlan
									   : 0;
}

static struct rte_ether_addr destination_mac(const struct rte_mbuf *m, const struct graph_port *out)
{
	struct rte_ether_addr mac = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

	if (unlikely(packet_meta(m)->out_group))
		return group_mac(m);
	if (likely(out->config.role == DATAPATH_ROLE_POD))
		return out->mac;
	if (out->config.role == DATAPATH_ROLE_UPLINK)
		return packet_meta(m)->wire_mac;
	uint64_t learned = atomic_load_explicit(&out->learned_mac, memory_order_relaxed);
	if (learned != 0) // before, only the question for it is sent
		memcpy(&mac, &learned, sizeof(mac));
	return mac;
}

// Between the Ethernet header and what it is said to hold.
static bool put_tag(struct rte_mbuf *m, uint16_t vlan)
{
	struct rte_vlan_hdr *tag = (void *)rte_pktmbuf_prepend(m, sizeof(*tag));

	if (tag == NULL)
		return false;
	tag->vlan_tci = rte_cpu_to_be_16(vlan);
	tag->eth_proto = packet_meta(m)->ether_type;
	packet_meta(m)->ether_type = RTE_BE16(RTE_ETHER_TYPE_VLAN);
	return true;
}

static bool put_ethernet(const struct snapshot *s, struct rte_mbuf *m, const struct graph_port *out)
{
	const struct rte_ether_addr destination = destination_mac(m, out);
	const uint16_t vlan = vlan_of(s, out);
	struct rte_ether_hdr *eth;

	if (unlikely(vlan != 0) && !put_tag(m, vlan))
		return false;
	eth = (void *)rte_pktmbuf_prepend(m, sizeof(*eth));
	if (eth == NULL)
		return false;
	eth->dst_addr = destination;
	eth->src_addr = out->config.role == DATAPATH_ROLE_UPLINK ? out->mac : s->router_mac;
	eth->ether_type = packet_meta(m)->ether_type;
	return true;
}

static void send_one(struct worker *w, struct rte_mbuf *m, const struct graph_port *out)
{
	// What Rx said of it is said; to Tx the same bits mean other things.
	m->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
	if (packet_meta(m)->offload != OFFLOAD_NONE) {
		if (fills_checksums(out))
			request_offload(m, out,
					vlan_of(w->snapshot, out) != 0
						? RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN
						: RTE_ETHER_HDR_LEN);
		else
			packet_fill_checksum(m);
	}
	if (unlikely(!put_ethernet(w->snapshot, m, out)))
		discard(w, m, DROP_NO_BUFFER);
	else if (unlikely(m->nb_segs > 1 && !out->config.tx_multi_segs) &&
		 rte_pktmbuf_linearize(m) < 0)
		discard(w, m, DROP_TX_UNSUPPORTED);
	else
		add_to_batch(w, m);
}

// In software: the segments take the packet's place.
static void send_segments(struct worker *w, struct rte_mbuf *m, const struct graph_port *out)
{
	struct rte_mbuf *segments[TCP_SEGMENTS_MAX];
	int count = tcp_segment(m, segments);

	if (count < 0) {
		discard(w, m, count == -ENOMEM ? DROP_NO_BUFFER : DROP_TX_UNSUPPORTED);
		return;
	}
	for (int i = 0; i < count; i++)
		send_one(w, segments[i], out);
}

static uint16_t port_tx(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t count)
{
	struct worker *w = worker_self;

	for (uint16_t i = 0; i < count; i++) {
		const struct packet_meta *meta = packet_meta(objs[i]);
		const struct graph_port *out = w->snapshot->ports[meta->out_slot];

		if (port_is_metered(out, BANDWIDTH_INGRESS) && !meter_ingress(w, out, objs[i]))
			discard_metered(w, objs[i]);
		else if (meta->offload == OFFLOAD_TSO && !segments(out))
			send_segments(w, objs[i], out);
		else
			send_one(w, objs[i], out);
	}
	flush_all(w);
	return count;
}

static struct rte_node_register port_tx_node = {
	.name = NODE("port_tx"),
	.process = port_tx,
};
RTE_NODE_REGISTER(port_tx_node)
