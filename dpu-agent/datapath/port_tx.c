// SPDX-License-Identifier: BSD-3-Clause
//
// The sink of the graph: puts the Ethernet header on, turns what a stack left to the NIC (checksums, segmentation) into
// requests to the port out, or does it here, and sends in bursts of the same port.

#include <netinet/in.h>

#include <rte_ethdev.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "datapath/worker.h"

enum { BURST_MAX = 256 }; // RTE_GRAPH_BURST_SIZE: a node never gets more at once

// Layer 4 of a packet that wants something of the port. Returns false if there is none that the port could help with.
static bool request_l4(struct rte_mbuf *m, bool ipv6, uint64_t *ret_flags)
{
	uint8_t protocol;
	uint16_t offset;
	uint64_t flags = ipv6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4;

	if (!packet_find_l4(m, ipv6, &protocol, &offset))
		return false;
	m->l2_len = RTE_ETHER_HDR_LEN;
	m->l3_len = offset;
	if (protocol == IPPROTO_UDP && !packet_is_large(m)) {
		if (!packet_pullup(m, offset + sizeof(struct rte_udp_hdr)))
			return false;
		m->l4_len = sizeof(struct rte_udp_hdr);
		flags |= RTE_MBUF_F_TX_UDP_CKSUM;
	} else if (protocol == IPPROTO_TCP) {
		if (!packet_pullup(m, offset + sizeof(struct rte_tcp_hdr)))
			return false;
		const struct rte_tcp_hdr *tcp =
			rte_pktmbuf_mtod_offset(m, const struct rte_tcp_hdr *, offset);
		m->l4_len = (tcp->data_off >> 4) * 4;
		flags |= RTE_MBUF_F_TX_TCP_CKSUM;
		if (packet_is_large(m))
			flags |= RTE_MBUF_F_TX_TCP_SEG |
				 (ipv6 ? 0 : (uint64_t)RTE_MBUF_F_TX_IP_CKSUM);
	} else {
		return false;
	}
	*ret_flags = flags;
	return true;
}

// The pseudo header's checksum, as rte_mbuf_core.h wants it for these flags.
static void fill_pseudo_header(struct rte_mbuf *m, bool ipv6, uint64_t flags)
{
	const void *ip = rte_pktmbuf_mtod(m, const void *);
	uint16_t sum = ipv6 ? rte_ipv6_phdr_cksum(ip, flags) : rte_ipv4_phdr_cksum(ip, flags);
	size_t field = m->l3_len + ((flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_UDP_CKSUM
					    ? offsetof(struct rte_udp_hdr, dgram_cksum)
					    : offsetof(struct rte_tcp_hdr, cksum));

	// Both count the IP payload; with extension headers layer 4 is shorter than that.
	if (ipv6 && !(flags & RTE_MBUF_F_TX_TCP_SEG) && m->l3_len > sizeof(struct rte_ipv6_hdr)) {
		uint16_t extensions = (uint16_t)(m->l3_len - sizeof(struct rte_ipv6_hdr));
		uint32_t corrected = sum + (uint32_t)(uint16_t)~rte_cpu_to_be_16(extensions);
		sum = (uint16_t)((corrected & 0xffff) + (corrected >> 16));
	}
	*rte_pktmbuf_mtod_offset(m, uint16_t *, field) = sum;
}

// Returns DROP_REASON_COUNT if the packet can go out of this port, else why not.
static enum drop_reason prepare_offloads(struct rte_mbuf *m, const struct graph_port *out,
					 bool ipv6)
{
	bool large = packet_is_large(m), pending = packet_checksum_pending(m);
	uint64_t flags = 0;

	if (large && !out->config.tx_tso)
		return DROP_TX_NO_TSO;
	if (pending && !large && !out->config.tx_l4_checksum) {
		if (!packet_fill_checksum(m, ipv6))
			return DROP_MALFORMED;
		pending = false;
	}
	if (large || pending) {
		if (!request_l4(m, ipv6, &flags))
			return DROP_MALFORMED;
		fill_pseudo_header(m, ipv6, flags);
		if (flags & RTE_MBUF_F_TX_IP_CKSUM)
			rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *)->hdr_checksum = 0;
	}
	m->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
	m->ol_flags |= flags;
	if (!large)
		m->tso_segsz = 0;
	return DROP_REASON_COUNT;
}

static enum drop_reason prepare(struct worker *w, struct rte_mbuf *m)
{
	const struct packet_meta *meta = packet_meta(m);
	const struct graph_port *out = w->snapshot->ports[meta->out_slot];

	if (out == NULL)
		return DROP_PORT_GONE;
	if (meta->ether_type != rte_cpu_to_be_16(RTE_ETHER_TYPE_ARP)) {
		bool ipv6 = meta->ether_type == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV6);
		enum drop_reason reason = prepare_offloads(m, out, ipv6);
		if (reason != DROP_REASON_COUNT)
			return reason;
	} else {
		m->ol_flags = 0;
	}

	struct rte_ether_hdr *eth = (void *)rte_pktmbuf_prepend(m, sizeof(*eth));
	if (eth == NULL)
		return DROP_NO_BUFFER;
	if (out->config.role == DATAPATH_ROLE_POD) {
		eth->dst_addr = out->mac;
	} else {
		uint64_t learned = atomic_load_explicit(&out->learned_mac, memory_order_relaxed);
		if (learned ==
		    0) // nothing heard of it yet: the device takes its own by any address
			memset(&eth->dst_addr, 0xff, sizeof(eth->dst_addr));
		else
			memcpy(&eth->dst_addr, &learned, sizeof(eth->dst_addr));
	}
	eth->src_addr = w->snapshot->router_mac;
	eth->ether_type = meta->ether_type;
	return DROP_REASON_COUNT;
}

static void send_run(struct worker *w, uint16_t slot, struct rte_mbuf **packets, uint16_t count)
{
	const struct graph_port *out = w->snapshot->ports[slot];
	struct port_counters *counters = &w->counters[slot];
	uint64_t bytes[BURST_MAX];
	uint16_t in_slots[BURST_MAX];

	// What is sent is no longer ours to look at.
	for (uint16_t i = 0; i < count; i++) {
		bytes[i] = rte_pktmbuf_pkt_len(packets[i]);
		in_slots[i] = packet_meta(packets[i])->in_slot;
	}
	uint16_t sent = rte_eth_tx_burst(out->config.port_id, (uint16_t)w->index, packets, count);
	counters->tx_packets += sent;
	for (uint16_t i = 0; i < sent; i++)
		counters->tx_bytes += bytes[i];
	for (uint16_t i = sent; i < count; i++)
		count_drop(w, in_slots[i], DROP_TX_FULL);
	rte_pktmbuf_free_bulk(&packets[sent], count - sent);
}

static uint16_t port_tx(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t count)
{
	struct worker *w = worker_self;
	struct rte_mbuf *run[BURST_MAX];
	uint16_t run_length = 0, run_slot = 0;

	for (uint16_t i = 0; i < count; i++) {
		struct rte_mbuf *m = objs[i];
		const struct packet_meta *meta = packet_meta(m);
		enum drop_reason reason = prepare(w, m);

		if (reason != DROP_REASON_COUNT) {
			count_drop(w, meta->in_slot, reason);
			rte_pktmbuf_free(m);
			continue;
		}
		if (run_length > 0 && (meta->out_slot != run_slot || run_length == BURST_MAX)) {
			send_run(w, run_slot, run, run_length);
			run_length = 0;
		}
		run_slot = meta->out_slot;
		run[run_length++] = m;
	}
	if (run_length > 0)
		send_run(w, run_slot, run, run_length);
	return count;
}

static struct rte_node_register port_tx_node = {
	.name = NODE("port_tx"),
	.process = port_tx,
};
RTE_NODE_REGISTER(port_tx_node)
