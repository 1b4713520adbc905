// SPDX-License-Identifier: BSD-3-Clause
//
// Shapes of packets: making headers contiguous, cutting, what is behind IPv6's extension headers,
// and what the sender's stack left to the NIC. Workers only.

#include <netinet/in.h>

#include <rte_tcp.h>
#include <rte_udp.h>

#include "datapath/worker.h"

enum {
	IPV6_EXTENSIONS_MAX = 8, // a chain longer than this is nothing but an attack
};

const uint8_t router_link_local_ipv6[16] = {0xfe, 0x80, [15] = 0x01};

bool packet_pullup_slow(struct rte_mbuf *m, uint32_t length)
{
	if (rte_pktmbuf_pkt_len(m) < length)
		return false;
	uint32_t missing = length - rte_pktmbuf_data_len(m);
	if (rte_pktmbuf_tailroom(m) < missing || !RTE_MBUF_DIRECT(m))
		return false;
	while (missing > 0) {
		struct rte_mbuf *next = m->next;
		uint32_t part = RTE_MIN(missing, (uint32_t)next->data_len);

		memcpy(rte_pktmbuf_mtod_offset(m, void *, m->data_len),
		       rte_pktmbuf_mtod(next, void *), part);
		m->data_len = (uint16_t)(m->data_len + part);
		next->data_off = (uint16_t)(next->data_off + part);
		next->data_len = (uint16_t)(next->data_len - part);
		missing -= part;
		if (next->data_len == 0) {
			m->next = next->next;
			m->nb_segs--;
			rte_pktmbuf_free_seg(next);
		}
	}
	return true;
}

void packet_trim(struct rte_mbuf *m, uint32_t length)
{
	struct rte_mbuf *last = m;
	uint32_t left = length;
	uint16_t segments = 1;

	if (rte_pktmbuf_pkt_len(m) == length)
		return;
	while (left > last->data_len) {
		left -= last->data_len;
		last = last->next;
		segments++;
	}
	struct rte_mbuf *rest = last->next;
	last->data_len = (uint16_t)left;
	last->next = NULL;
	m->nb_segs = segments;
	m->pkt_len = length;
	while (rest != NULL) {
		struct rte_mbuf *next = rest->next;

		rte_pktmbuf_free_seg(rest);
		rest = next;
	}
}

static uint16_t fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

// Not DPDK's rte_raw_cksum_mbuf(): in 22.11 it loses a carry where a segment begins at an odd byte.
uint16_t packet_sum(const struct rte_mbuf *m, uint32_t offset, uint32_t size)
{
	uint32_t sum = 0, done = 0;

	while (offset >= m->data_len && m->next != NULL) {
		offset -= m->data_len;
		m = m->next;
	}
	for (; m != NULL && done < size; m = m->next, offset = 0) {
		uint32_t part = RTE_MIN(size - done, m->data_len - offset);
		uint16_t raw =
			rte_raw_cksum(rte_pktmbuf_mtod_offset(m, const void *, offset), part);

		sum += done % 2 == 0 ? raw : rte_bswap16(raw);
		done += part;
	}
	return fold(sum);
}

// RFC 8200 section 4: an extension header gives its length in units of 8 bytes besides the first 8;
// the fragment header has none, the authentication header counts in units of 4 (RFC 4302 section
// 2.2).
bool packet_find_upper(const struct rte_mbuf *m, struct ipv6_upper *ret_upper)
{
	const struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *);
	struct ipv6_upper upper = {.protocol = ip->proto, .offset = sizeof(*ip)};

	for (unsigned int i = 0; i < IPV6_EXTENSIONS_MAX && !upper.later_fragment; i++) {
		uint8_t buffer[8];
		uint32_t size = 8;

		switch (upper.protocol) {
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
		case IPPROTO_MH:
		case IPPROTO_AH:
		case IPPROTO_FRAGMENT:
			break;
		default:
			*ret_upper = upper;
			return true;
		}
		const uint8_t *header = rte_pktmbuf_read(m, upper.offset, sizeof(buffer), buffer);
		if (header == NULL)
			return false;
		if (upper.protocol == IPPROTO_FRAGMENT) {
			upper.fragment = true;
			upper.later_fragment = ((header[2] << 8 | header[3]) & 0xfff8) != 0;
		} else {
			size += header[1] * (upper.protocol == IPPROTO_AH ? 4u : 8u);
		}
		upper.routing |= upper.protocol == IPPROTO_ROUTING;
		upper.secured |= upper.protocol == IPPROTO_AH || upper.protocol == IPPROTO_MH;
		if (upper.offset + size > rte_pktmbuf_pkt_len(m))
			return false;
		upper.protocol = header[0];
		upper.offset = (uint16_t)(upper.offset + size);
	}
	*ret_upper = upper;
	return upper.later_fragment;
}

// ---- offloads ------------------------------------------------------------------------------------

bool packet_read_offload(struct rte_mbuf *m, uint8_t l4_protocol, uint16_t l4_offset)
{
	struct packet_meta *meta = packet_meta(m);
	bool tso = (m->ol_flags & RTE_MBUF_F_RX_LRO) != 0;
	uint32_t size;

	if (l4_protocol == IPPROTO_UDP && !tso) {
		size = sizeof(struct rte_udp_hdr);
	} else if (l4_protocol == IPPROTO_TCP && !(tso && m->tso_segsz == 0)) {
		if (!packet_pullup(m, l4_offset + sizeof(struct rte_tcp_hdr)))
			return false;
		size = (rte_pktmbuf_mtod_offset(m, const struct rte_tcp_hdr *, l4_offset)
				->data_off >>
			4) *
		       4u;
		if (size < sizeof(struct rte_tcp_hdr))
			return false;
	} else {
		return false;
	}
	if (!packet_pullup(m, l4_offset + size))
		return false;
	// One segment is no segmentation, and some hardware refuses it.
	tso = tso && rte_pktmbuf_pkt_len(m) > l4_offset + size + m->tso_segsz;
	meta->offload = tso ? OFFLOAD_TSO : OFFLOAD_CHECKSUM;
	meta->l4_protocol = l4_protocol;
	meta->l4_offset = l4_offset;
	meta->l4_size = (uint16_t)size;
	return true;
}

// Not DPDK's rte_ipv6_phdr_cksum(), which takes an extension header for layer 4.
uint16_t packet_pseudo_sum(const struct rte_mbuf *m, uint16_t size)
{
	const struct packet_meta *meta = packet_meta(m);
	bool ipv4 = *rte_pktmbuf_mtod(m, const uint8_t *) >> 4 == 4;
	uint32_t sum =
		ipv4 ? rte_raw_cksum(&rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *)->src_addr, 8)
		     : rte_raw_cksum(ipv6_source(rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *)),
				     32);

	return fold(sum + rte_cpu_to_be_16(meta->l4_protocol) + rte_cpu_to_be_16(size));
}

rte_be16_t *packet_l4_checksum(const struct rte_mbuf *m)
{
	const struct packet_meta *meta = packet_meta(m);
	size_t field = meta->l4_protocol == IPPROTO_TCP ? offsetof(struct rte_tcp_hdr, cksum)
							: offsetof(struct rte_udp_hdr, dgram_cksum);

	return rte_pktmbuf_mtod_offset(m, rte_be16_t *, meta->l4_offset + field);
}

void packet_fill_checksum(struct rte_mbuf *m)
{
	struct packet_meta *meta = packet_meta(m);
	uint32_t size = rte_pktmbuf_pkt_len(m) - meta->l4_offset;
	rte_be16_t *checksum = packet_l4_checksum(m);

	*checksum = 0;
	uint32_t sum = (uint32_t)packet_sum(m, meta->l4_offset, size) +
		       packet_pseudo_sum(m, (uint16_t)size);
	uint16_t result = (uint16_t)~fold(sum);
	// A UDP checksum of 0 says that there is none.
	*checksum = result == 0 && meta->l4_protocol == IPPROTO_UDP ? 0xffff : result;
	meta->offload = OFFLOAD_NONE;
}

// ---- new packets ---------------------------------------------------------------------------------

struct rte_mbuf *packet_new(const struct rte_mbuf *cause, uint16_t size)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(cause->pool);

	if (m == NULL)
		return NULL;
	*packet_meta(m) = (struct packet_meta){.in_slot = packet_meta(cause)->in_slot};
	if (rte_pktmbuf_append(m, size) == NULL) {
		rte_pktmbuf_free(m);
		return NULL;
	}
	return m;
}

bool in_network_ipv6(const struct snapshot *s, const uint8_t address[16])
{
	const uint8_t *network = s->router.network_ipv6.s6_addr;
	unsigned int bytes = s->router.ipv6_prefix_length / 8u;
	unsigned int bits = s->router.ipv6_prefix_length % 8u;

	if (!s->router.has_ipv6 || memcmp(address, network, bytes) != 0)
		return false;
	return bits == 0 || ((address[bytes] ^ network[bytes]) & (0xff << (8 - bits)) & 0xff) == 0;
}
