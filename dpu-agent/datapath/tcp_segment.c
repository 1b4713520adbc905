// SPDX-License-Identifier: BSD-3-Clause
//
// TCP segmentation in software: for each segment a copy of the headers before a piece of the
// payload, which is not copied. Workers.

#include "datapath/tcp_segment.h"

#include <errno.h>

#include <rte_tcp.h>

#include "datapath/worker.h"

// Where in a chain the payload goes on.
struct cursor {
	struct rte_mbuf *mbuf;
	uint16_t offset;
};

// Append `size` bytes, which are there, from the cursor on.
static int attach_payload(struct rte_mbuf *segment, struct cursor *from, uint32_t size)
{
	struct rte_mbuf *last = segment;

	while (size > 0) {
		if (from->offset == from->mbuf->data_len) {
			*from = (struct cursor){.mbuf = from->mbuf->next};
			continue;
		}
		struct rte_mbuf *piece = rte_pktmbuf_alloc(segment->pool);
		if (piece == NULL)
			return -ENOMEM;
		uint16_t part =
			(uint16_t)RTE_MIN(size, (uint32_t)from->mbuf->data_len - from->offset);

		rte_pktmbuf_attach(piece, from->mbuf);
		piece->data_off = (uint16_t)(from->mbuf->data_off + from->offset);
		piece->data_len = part;
		last->next = piece;
		last = piece;
		segment->nb_segs++;
		segment->pkt_len += part;
		from->offset = (uint16_t)(from->offset + part);
		size -= part;
	}
	return 0;
}

static void fix_headers(struct rte_mbuf *segment, uint16_t index, uint32_t sent, bool is_last)
{
	const struct packet_meta *meta = packet_meta(segment);
	uint16_t size = (uint16_t)rte_pktmbuf_pkt_len(segment);
	struct rte_tcp_hdr *tcp =
		rte_pktmbuf_mtod_offset(segment, struct rte_tcp_hdr *, meta->l4_offset);

	if (meta->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV4)) {
		struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(segment, struct rte_ipv4_hdr *);

		ip->total_length = rte_cpu_to_be_16(size);
		ip->packet_id =
			rte_cpu_to_be_16((uint16_t)(rte_be_to_cpu_16(ip->packet_id) + index));
		ip->hdr_checksum = 0;
		ip->hdr_checksum = (uint16_t)~rte_raw_cksum(ip, meta->l4_offset);
	} else {
		struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(segment, struct rte_ipv6_hdr *);

		ip->payload_len = rte_cpu_to_be_16((uint16_t)(size - sizeof(*ip)));
	}
	tcp->sent_seq = rte_cpu_to_be_32(rte_be_to_cpu_32(tcp->sent_seq) + sent);
	if (index > 0) // RFC 3168 section 6.1.2: once
		tcp->tcp_flags &= (uint8_t)~RTE_TCP_CWR_FLAG;
	if (!is_last)
		tcp->tcp_flags &= (uint8_t) ~(RTE_TCP_FIN_FLAG | RTE_TCP_PSH_FLAG);
}

int tcp_segment(struct rte_mbuf *m, struct rte_mbuf *ret_segments[TCP_SEGMENTS_MAX])
{
	const struct packet_meta *meta = packet_meta(m);
	uint16_t headers = (uint16_t)(meta->l4_offset + meta->l4_size);
	uint32_t payload = rte_pktmbuf_pkt_len(m) - headers, most = m->tso_segsz, sent = 0;
	uint32_t count = (payload + most - 1) / most;
	struct cursor cursor = {.mbuf = m, .offset = headers}; // headers are contiguous

	if (count > TCP_SEGMENTS_MAX)
		return -EMSGSIZE;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t size = RTE_MIN(most, payload - sent);
		struct rte_mbuf *segment = packet_new(m, headers);

		if (segment == NULL || attach_payload(segment, &cursor, size) < 0) {
			rte_pktmbuf_free(segment);
			rte_pktmbuf_free_bulk(ret_segments, i);
			return -ENOMEM;
		}
		memcpy(rte_pktmbuf_mtod(segment, void *), rte_pktmbuf_mtod(m, const void *),
		       headers);
		*packet_meta(segment) = *meta;
		packet_meta(segment)->offload = OFFLOAD_CHECKSUM;
		fix_headers(segment, (uint16_t)i, sent, i == count - 1);
		ret_segments[i] = segment;
		sent += size;
	}
	rte_pktmbuf_free(m);
	return (int)count;
}
