// SPDX-License-Identifier: BSD-3-Clause
//
// Translation between frames and mbufs; RFC 1071 sums, virtio-net headers (virtio 1.1, 5.1.6).
// Every offset that comes from either side is checked against the frame's length here, once.
// Pipeline thread, but for frame_check_mbuf().

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "sim/simnic/frame.h"

enum {
	TCP_CHECKSUM_OFFSET = offsetof(struct rte_tcp_hdr, cksum),
	UDP_CHECKSUM_OFFSET = offsetof(struct rte_udp_hdr, dgram_cksum),
	IPV6_EXTENSIONS_MAX = 8,
	TX_FLAGS_L4 = 1,
};

static const uint64_t tx_flags_known = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IPV6 |
				       RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_L4_MASK |
				       RTE_MBUF_F_TX_TCP_SEG;
static const uint64_t tx_flags_work =
	RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_TCP_SEG;

// ---- headers --------------------------------------------------------------------------------------------

struct headers {
	uint32_t l3, l4,
		payload; // offsets; l4 and payload are 0 if the packet has none, or not in this fragment
	uint8_t protocol; // IPPROTO_TCP, IPPROTO_UDP, or something else
};

static uint32_t read_u16(const uint8_t *data)
{
	return data[0] << 8 | data[1];
}

// The offset of layer 4 of an IPv6 packet that starts at `at`, 0 if it is not there.
static uint32_t skip_ipv6(const uint8_t *data, uint32_t length, uint32_t at, uint8_t *ret_protocol)
{
	uint8_t next;

	if (at + sizeof(struct rte_ipv6_hdr) > length)
		return 0;
	next = data[at + offsetof(struct rte_ipv6_hdr, proto)];
	at += sizeof(struct rte_ipv6_hdr);
	for (unsigned int i = 0; i < IPV6_EXTENSIONS_MAX; i++) {
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS) {
			*ret_protocol =
				next; // IPPROTO_FRAGMENT, too: no layer 4 that could be looked into
			return at;
		}
		if (at + 8 > length)
			return 0;
		next = data[at];
		at += (data[at + 1] + 1U) * 8;
	}
	return 0;
}

static void parse(const uint8_t *data, uint32_t length, struct headers *ret)
{
	uint32_t type, at = RTE_ETHER_HDR_LEN;

	memset(ret, 0, sizeof(*ret));
	type = read_u16(data + 2 * RTE_ETHER_ADDR_LEN);
	for (unsigned int tags = 0;
	     tags < 2 && (type == RTE_ETHER_TYPE_VLAN || type == RTE_ETHER_TYPE_QINQ); tags++) {
		if (at + RTE_VLAN_HLEN > length)
			return;
		type = read_u16(data + at + 2);
		at += RTE_VLAN_HLEN;
	}
	ret->l3 = at;
	if (type == RTE_ETHER_TYPE_IPV4 && at + sizeof(struct rte_ipv4_hdr) <= length &&
	    (data[at] & 0xf) >= RTE_IPV4_MIN_IHL) {
		if (read_u16(data + at + offsetof(struct rte_ipv4_hdr, fragment_offset)) &
		    (RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK))
			return; // as in IPv6: no layer 4 that could be looked into
		ret->l4 = at + (data[at] & 0xf) * RTE_IPV4_IHL_MULTIPLIER;
		ret->protocol = data[at + offsetof(struct rte_ipv4_hdr, next_proto_id)];
	} else if (type == RTE_ETHER_TYPE_IPV6) {
		ret->l4 = skip_ipv6(data, length, at, &ret->protocol);
	}
	if (ret->protocol == IPPROTO_TCP && ret->l4 != 0 &&
	    ret->l4 + sizeof(struct rte_tcp_hdr) <= length)
		ret->payload =
			ret->l4 + (data[ret->l4 + offsetof(struct rte_tcp_hdr, data_off)] >> 4) * 4;
}

static bool is_gso(const struct frame *frame)
{
	return frame->vnet.gso_type != VIRTIO_NET_HDR_GSO_NONE;
}

// The longest frame that an MTU allows: one VLAN tag comes on top.
static uint32_t limit(const uint8_t *data, uint32_t mtu)
{
	uint32_t type = read_u16(data + 2 * RTE_ETHER_ADDR_LEN);
	bool tagged = type == RTE_ETHER_TYPE_VLAN || type == RTE_ETHER_TYPE_QINQ;

	return mtu + RTE_ETHER_HDR_LEN + (tagged ? RTE_VLAN_HLEN : 0);
}

bool frame_fits_mtu(const struct frame *frame, uint32_t length, uint32_t mtu)
{
	return mtu == 0 || length <= limit(frame->iov[1].iov_base, mtu);
}

enum frame_result frame_measure(const struct frame *frame, struct frame_on_wire *ret_on_wire)
{
	uint32_t size = frame->vnet.gso_size;
	struct headers headers = {.payload = frame->vnet.hdr_len}; // ours, of a frame of mbufs

	*ret_on_wire = (struct frame_on_wire){
		.packets = 1, .bytes = frame->length, .longest = frame->length};
	if (!is_gso(frame))
		return FRAME_OK;
	if (!frame->from_port)
		parse(frame->iov[1].iov_base, frame->iov[1].iov_len, &headers);
	if (headers.payload == 0 || headers.payload > frame->length)
		return FRAME_BAD_OFFLOAD;
	if (frame->length - headers.payload <= size)
		return FRAME_OK;
	ret_on_wire->packets = (frame->length - headers.payload + size - 1) / size;
	ret_on_wire->bytes += (ret_on_wire->packets - 1) * headers.payload;
	ret_on_wire->longest = headers.payload + size;
	return FRAME_OK;
}

// ---- from the function ----------------------------------------------------------------------------------

enum frame_result frame_from_netdev(struct frame_buffer *buffer, struct function *origin,
				    size_t size)
{
	struct frame *frame = &buffer->frame;
	struct virtio_net_hdr *vnet = &frame->vnet;

	if (size < CARD_VNET_HEADER_SIZE + RTE_ETHER_HDR_LEN)
		return FRAME_RUNT;
	frame->origin = origin;
	frame->from_port = false;
	frame->length = size - CARD_VNET_HEADER_SIZE;
	if (frame->length > SIMNIC_FRAME_MAX)
		return FRAME_OVERSIZE;
	// Header and data lie behind each other: one part does for both.
	memcpy(vnet, buffer->received.vnet, sizeof(*vnet));
	frame->iov[0] =
		(struct iovec){.iov_base = buffer->received.vnet, .iov_len = CARD_VNET_HEADER_SIZE};
	frame->iov[1] = (struct iovec){.iov_base = buffer->received.data, .iov_len = frame->length};
	frame->parts = 2;
	if ((vnet->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) &&
	    (uint32_t)vnet->csum_start + vnet->csum_offset + sizeof(uint16_t) > frame->length)
		return FRAME_BAD_OFFLOAD;
	switch (vnet->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE:
		vnet->gso_type = VIRTIO_NET_HDR_GSO_NONE;
		return FRAME_OK;
	case VIRTIO_NET_HDR_GSO_TCPV4:
	case VIRTIO_NET_HDR_GSO_TCPV6:
		if (vnet->gso_size == 0 || !(vnet->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
			return FRAME_BAD_OFFLOAD;
		return FRAME_OK;
	default:
		return FRAME_BAD_OFFLOAD;
	}
}

// ---- to an mbuf -----------------------------------------------------------------------------------------

static void copy_in(const struct frame *frame, struct rte_mbuf **mbufs, unsigned int count,
		    uint16_t segment_size)
{
	const uint8_t *from = frame->iov[1].iov_base;
	size_t left = frame->iov[1].iov_len;
	unsigned int part = 1;

	for (unsigned int i = 0; i < count; i++) {
		uint8_t *to = rte_pktmbuf_mtod(mbufs[i], uint8_t *);
		uint32_t room =
			i + 1 < count ? segment_size : frame->length - i * (uint32_t)segment_size;

		mbufs[i]->data_len = room;
		mbufs[i]->next = i + 1 < count ? mbufs[i + 1] : NULL;
		while (room > 0) {
			uint32_t size = RTE_MIN(left, room);

			memcpy(to, from, size);
			to += size;
			from += size;
			room -= size;
			left -= size;
			if (left == 0 && part + 1 < frame->parts) {
				part++;
				from = frame->iov[part].iov_base;
				left = frame->iov[part].iov_len;
			}
		}
	}
	mbufs[0]->nb_segs = count;
	mbufs[0]->pkt_len = frame->length;
}

// Do what the stack left undone: the checksum of everything from csum_start on, into the field,
// which holds the sum of the pseudo header already.
static enum frame_result finish_checksum(const struct frame *frame, struct rte_mbuf *mbuf)
{
	uint32_t start = frame->vnet.csum_start, field = start + frame->vnet.csum_offset;
	uint16_t sum;

	if (field + sizeof(sum) > mbuf->data_len ||
	    rte_raw_cksum_mbuf(mbuf, start, frame->length - start, &sum) < 0)
		return FRAME_BAD_OFFLOAD;
	sum = ~sum;
	if (sum == 0 && frame->vnet.csum_offset == UDP_CHECKSUM_OFFSET)
		sum = 0xffff; // RFC 768: zero means none
	memcpy(rte_pktmbuf_mtod_offset(mbuf, uint8_t *, field), &sum, sizeof(sum));
	return FRAME_OK;
}

// Whether the application takes this unfinished checksum over: it is that of the packet's outer TCP or UDP.
static bool takes_checksum(const struct frame *frame, const struct headers *headers,
			   uint64_t rx_offloads)
{
	if (headers->l4 == 0 || frame->vnet.csum_start != headers->l4)
		return false;
	if (headers->protocol == IPPROTO_TCP)
		return frame->vnet.csum_offset == TCP_CHECKSUM_OFFSET &&
		       (rx_offloads & RTE_ETH_RX_OFFLOAD_TCP_CKSUM);
	if (headers->protocol == IPPROTO_UDP)
		return frame->vnet.csum_offset == UDP_CHECKSUM_OFFSET &&
		       (rx_offloads & RTE_ETH_RX_OFFLOAD_UDP_CKSUM);
	return false;
}

static enum frame_result set_offloads(const struct frame *frame, const struct headers *headers,
				      const struct port *port, struct rte_mbuf *mbuf)
{
	uint64_t checksums = RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM;

	if (frame->vnet.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		if (!takes_checksum(frame, headers, port->rx_offloads))
			return finish_checksum(frame, mbuf);
		mbuf->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_NONE;
	} else if ((frame->vnet.flags & VIRTIO_NET_HDR_F_DATA_VALID) &&
		   (port->rx_offloads & checksums)) {
		mbuf->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	}
	if (is_gso(frame)) {
		mbuf->ol_flags |= RTE_MBUF_F_RX_LRO;
		mbuf->tso_segsz = frame->vnet.gso_size;
	}
	return FRAME_OK;
}

enum frame_result frame_to_mbuf(const struct frame *frame, const struct port *port,
				struct rte_mbuf **ret_mbuf)
{
	const uint8_t *data = frame->iov[1].iov_base;
	struct rte_mbuf *mbufs[SIMNIC_SEGMENTS_MAX];
	uint32_t on_wire = frame->length;
	struct headers headers = {0};
	enum frame_result result;
	unsigned int count;

	if (frame->vnet.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		parse(data, frame->iov[1].iov_len, &headers);
	if (is_gso(frame)) {
		if (!(port->rx_offloads & RTE_ETH_RX_OFFLOAD_TCP_LRO) || headers.payload == 0 ||
		    headers.payload > frame->length ||
		    !takes_checksum(frame, &headers, port->rx_offloads))
			return FRAME_BAD_OFFLOAD;
		on_wire = RTE_MIN(frame->length, headers.payload + frame->vnet.gso_size);
	}
	if (on_wire > limit(data, port->mtu))
		return FRAME_OVERSIZE;
	count = (frame->length + port->rx.segment_size - 1) / port->rx.segment_size;
	if (count > SIMNIC_SEGMENTS_MAX ||
	    (count > 1 &&
	     !(port->rx_offloads & (RTE_ETH_RX_OFFLOAD_SCATTER | RTE_ETH_RX_OFFLOAD_TCP_LRO))))
		return FRAME_OVERSIZE;
	if (rte_pktmbuf_alloc_bulk(port->rx.pool, mbufs, count) < 0)
		return FRAME_NO_MBUF;
	copy_in(frame, mbufs, count, port->rx.segment_size);
	mbufs[0]->port = port->ethdev->data->port_id;
	result = set_offloads(frame, &headers, port, mbufs[0]);
	if (result != FRAME_OK) {
		rte_pktmbuf_free(mbufs[0]);
		return result;
	}
	*ret_mbuf = mbufs[0];
	return FRAME_OK;
}

// ---- from an mbuf ---------------------------------------------------------------------------------------

int frame_check_mbuf(const struct rte_mbuf *mbuf)
{
	uint64_t flags = mbuf->ol_flags & RTE_MBUF_F_TX_OFFLOAD_MASK;
	uint64_t l4 = flags & RTE_MBUF_F_TX_L4_MASK;
	bool ipv4 = flags & RTE_MBUF_F_TX_IPV4, ipv6 = flags & RTE_MBUF_F_TX_IPV6;
	uint32_t l4_size = 0;

	if ((flags & ~tx_flags_known) || l4 == RTE_MBUF_F_TX_SCTP_CKSUM)
		return -ENOTSUP;
	if (!(flags & tx_flags_work))
		return 0;
	if (ipv4 == ipv6 || ((flags & RTE_MBUF_F_TX_IP_CKSUM) && !ipv4) ||
	    mbuf->l2_len < RTE_ETHER_HDR_LEN)
		return -EINVAL;
	if (ipv4 && (mbuf->l3_len < sizeof(struct rte_ipv4_hdr) || mbuf->l3_len > 60 ||
		     mbuf->l3_len % 4 != 0))
		return -EINVAL;
	if (ipv6 && mbuf->l3_len < sizeof(struct rte_ipv6_hdr))
		return -EINVAL;
	if (flags & RTE_MBUF_F_TX_TCP_SEG) {
		if (l4 == RTE_MBUF_F_TX_UDP_CKSUM || mbuf->tso_segsz == 0 ||
		    mbuf->l4_len < sizeof(struct rte_tcp_hdr) || mbuf->l4_len > 60)
			return -EINVAL;
		l4_size = mbuf->l4_len;
	} else if (l4 == RTE_MBUF_F_TX_TCP_CKSUM) {
		l4_size = sizeof(struct rte_tcp_hdr);
	} else if (l4 == RTE_MBUF_F_TX_UDP_CKSUM) {
		l4_size = sizeof(struct rte_udp_hdr);
	}
	return mbuf->l2_len + mbuf->l3_len + l4_size <= mbuf->pkt_len ? 0 : -EINVAL;
}

// Make the parts of a chain, the first `split` bytes copied to buffer->headers. False if the chain
// contradicts itself.
static bool gather(struct frame_buffer *buffer, const struct rte_mbuf *mbuf, uint32_t split)
{
	struct frame *frame = &buffer->frame;
	unsigned int segments = mbuf->nb_segs;
	uint32_t copied = 0, total = 0;

	frame->iov[0] = (struct iovec){.iov_base = &frame->vnet, .iov_len = CARD_VNET_HEADER_SIZE};
	frame->parts = 1;
	if (split > 0)
		frame->iov[frame->parts++] =
			(struct iovec){.iov_base = buffer->headers, .iov_len = split};
	if (segments > SIMNIC_SEGMENTS_MAX)
		return false;
	for (; mbuf != NULL && segments > 0; mbuf = mbuf->next, segments--) {
		uint8_t *data = rte_pktmbuf_mtod(mbuf, uint8_t *);
		uint32_t size = mbuf->data_len;
		uint32_t take = RTE_MIN(split - copied, size);

		total += size;
		memcpy(buffer->headers + copied, data, take);
		copied += take;
		if (size > take)
			frame->iov[frame->parts++] =
				(struct iovec){.iov_base = data + take, .iov_len = size - take};
	}
	return mbuf == NULL && segments == 0 && total == frame->length;
}

// The sum of the pseudo header, with the length, as Linux wants it in the field; `l3` is in
// buffer->headers.
static uint16_t pseudo_header_sum(const uint8_t *l3, bool ipv4, uint8_t protocol,
				  uint32_t l4_length)
{
	uint32_t sum;

	if (ipv4)
		sum = rte_raw_cksum(l3 + offsetof(struct rte_ipv4_hdr, src_addr),
				    2 * sizeof(struct in_addr));
	else
		sum = rte_raw_cksum(l3 + offsetof(struct rte_ipv6_hdr, src_addr),
				    2 * sizeof(struct in6_addr));
	sum += rte_cpu_to_be_16(protocol) + rte_cpu_to_be_16(l4_length);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

// The length of layer 4 by what the IP header says; 0 if that contradicts the mbuf.
static uint32_t l4_length(const struct rte_mbuf *mbuf, const uint8_t *l3, bool ipv4)
{
	uint32_t length;

	if (ipv4) {
		if (l3[0] >> 4 != 4 || (l3[0] & 0xf) * 4 != mbuf->l3_len)
			return 0;
		length = read_u16(l3 + offsetof(struct rte_ipv4_hdr, total_length));
	} else {
		if (l3[0] >> 4 != 6)
			return 0;
		length = read_u16(l3 + offsetof(struct rte_ipv6_hdr, payload_len)) +
			 sizeof(struct rte_ipv6_hdr);
	}
	if (length <= mbuf->l3_len || mbuf->l2_len + length > mbuf->pkt_len)
		return 0;
	return length - mbuf->l3_len;
}

// Finish the IPv4 header's checksum, and leave that of layer 4 and the segmentation to the receiving stack.
static bool prepare_offloads(struct frame_buffer *buffer, const struct rte_mbuf *mbuf)
{
	uint8_t *l3 = buffer->headers + mbuf->l2_len, *l4 = l3 + mbuf->l3_len;
	struct virtio_net_hdr *vnet = &buffer->frame.vnet;
	bool ipv4 = mbuf->ol_flags & RTE_MBUF_F_TX_IPV4,
	     segment = mbuf->ol_flags & RTE_MBUF_F_TX_TCP_SEG;
	bool tcp = segment || (mbuf->ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_TCP_CKSUM;
	uint32_t length = l4_length(mbuf, l3, ipv4),
		 headers = mbuf->l2_len + mbuf->l3_len + mbuf->l4_len;
	uint16_t sum;

	if (length == 0)
		return false;
	// Segmentation is of IPv4 with a good header checksum, whether asked for or not.
	if (ipv4 && (segment || (mbuf->ol_flags & RTE_MBUF_F_TX_IP_CKSUM))) {
		memset(l3 + offsetof(struct rte_ipv4_hdr, hdr_checksum), 0, sizeof(sum));
		sum = ~rte_raw_cksum(l3, mbuf->l3_len);
		memcpy(l3 + offsetof(struct rte_ipv4_hdr, hdr_checksum), &sum, sizeof(sum));
	}
	if (!segment && (mbuf->ol_flags & RTE_MBUF_F_TX_L4_MASK) == 0)
		return true;
	if (length < (tcp ? sizeof(struct rte_tcp_hdr) : sizeof(struct rte_udp_hdr)))
		return false;
	vnet->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	vnet->csum_start = mbuf->l2_len + mbuf->l3_len;
	vnet->csum_offset = tcp ? TCP_CHECKSUM_OFFSET : UDP_CHECKSUM_OFFSET;
	sum = pseudo_header_sum(l3, ipv4, tcp ? IPPROTO_TCP : IPPROTO_UDP, length);
	memcpy(l4 + vnet->csum_offset, &sum, sizeof(sum));
	if (!segment || mbuf->pkt_len - headers <= mbuf->tso_segsz)
		return true;
	vnet->gso_type = ipv4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
	if (l4[offsetof(struct rte_tcp_hdr, tcp_flags)] & RTE_TCP_CWR_FLAG)
		vnet->gso_type |= VIRTIO_NET_HDR_GSO_ECN; // CWR belongs in the first segment only
	vnet->gso_size = mbuf->tso_segsz;
	vnet->hdr_len = headers;
	return true;
}

enum frame_result frame_from_mbuf(struct frame_buffer *buffer, struct function *origin,
				  const struct rte_mbuf *mbuf)
{
	struct frame *frame = &buffer->frame;
	bool work = mbuf->ol_flags & tx_flags_work;
	uint32_t split = 0, on_wire = mbuf->pkt_len;

	frame->origin = origin;
	frame->from_port = true;
	frame->length = mbuf->pkt_len;
	memset(&frame->vnet, 0, sizeof(frame->vnet));
	if (frame->length < RTE_ETHER_HDR_LEN)
		return FRAME_RUNT;
	if (frame->length > SIMNIC_FRAME_MAX)
		return FRAME_OVERSIZE;
	if (frame_check_mbuf(mbuf) < 0)
		return FRAME_BAD_OFFLOAD;
	// At most 127 + 511 + 60 bytes of headers, by their bit fields and the check above.
	if (work)
		split = RTE_MIN(mbuf->pkt_len,
				(uint32_t)mbuf->l2_len + mbuf->l3_len + sizeof(struct rte_tcp_hdr));
	if (mbuf->ol_flags & RTE_MBUF_F_TX_TCP_SEG)
		split = mbuf->l2_len + mbuf->l3_len + mbuf->l4_len;
	// All headers in one piece, also where the offload fields name only some of them.
	if (split > 0 || mbuf->data_len < RTE_MIN(frame->length, (uint32_t)FRAME_CONTIGUOUS_MIN))
		split = RTE_MAX(split, RTE_MIN(frame->length, (uint32_t)FRAME_CONTIGUOUS_MIN));
	if (!gather(buffer, mbuf, split) || (work && !prepare_offloads(buffer, mbuf)))
		return FRAME_BAD_OFFLOAD;
	if (is_gso(frame))
		on_wire = frame->vnet.hdr_len + frame->vnet.gso_size;
	return on_wire <= limit(frame->iov[1].iov_base, origin->port.mtu) ? FRAME_OK
									  : FRAME_OVERSIZE;
}
