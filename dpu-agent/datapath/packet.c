// SPDX-License-Identifier: BSD-3-Clause
//
// Shapes of packets: making headers contiguous, cutting, finding layer 4, checksums. Workers only; nothing here
// blocks or allocates.

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

static bool find_l4_ipv4(struct rte_mbuf *m, uint8_t *ret_protocol, uint16_t *ret_offset)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);

	if ((ip->fragment_offset & rte_cpu_to_be_16(RTE_IPV4_HDR_OFFSET_MASK)) != 0)
		return false;
	*ret_protocol = ip->next_proto_id;
	*ret_offset = rte_ipv4_hdr_len(ip);
	return true;
}

// RFC 8200 section 4: each extension header but the fragment header gives its length in units of 8 bytes.
static bool find_l4_ipv6(struct rte_mbuf *m, uint8_t *ret_protocol, uint16_t *ret_offset)
{
	const struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *);
	uint8_t protocol = ip->proto;
	uint16_t offset = sizeof(*ip);

	for (unsigned int i = 0; i < IPV6_EXTENSIONS_MAX; i++) {
		uint8_t header[8];
		const uint8_t *p;

		switch (protocol) {
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
			p = rte_pktmbuf_read(m, offset, sizeof(header), header);
			if (p == NULL)
				return false;
			protocol = p[0];
			offset = (uint16_t)(offset + 8 * (p[1] + 1));
			break;
		case IPPROTO_FRAGMENT:
			p = rte_pktmbuf_read(m, offset, sizeof(header), header);
			if (p == NULL || ((p[2] << 8 | p[3]) & 0xfff8) != 0)
				return false;
			protocol = p[0];
			offset = (uint16_t)(offset + 8);
			break;
		default:
			*ret_protocol = protocol;
			*ret_offset = offset;
			return true;
		}
	}
	return false;
}

bool packet_find_l4(struct rte_mbuf *m, bool ipv6, uint8_t *ret_protocol, uint16_t *ret_offset)
{
	return ipv6 ? find_l4_ipv6(m, ret_protocol, ret_offset)
		    : find_l4_ipv4(m, ret_protocol, ret_offset);
}

bool packet_fill_checksum(struct rte_mbuf *m, bool ipv6)
{
	uint8_t protocol;
	uint16_t offset, field;

	if (!packet_find_l4(m, ipv6, &protocol, &offset))
		return false;
	if (protocol == IPPROTO_TCP)
		field = (uint16_t)(offset + offsetof(struct rte_tcp_hdr, cksum));
	else if (protocol == IPPROTO_UDP)
		field = (uint16_t)(offset + offsetof(struct rte_udp_hdr, dgram_cksum));
	else
		return false;
	if (!packet_pullup(m, field + 2u))
		return false;

	uint16_t *checksum = rte_pktmbuf_mtod_offset(m, uint16_t *, field);
	*checksum = 0;
	// The pseudo header counts the length of layer 4, which for IPv6 with extension headers is not the payload's.
	uint32_t length = rte_pktmbuf_pkt_len(m) - offset;
	uint16_t raw;
	if (rte_raw_cksum_mbuf(m, offset, length, &raw) < 0)
		return false;
	uint32_t sum = raw + rte_cpu_to_be_16(protocol) + rte_cpu_to_be_16((uint16_t)length) +
		       rte_cpu_to_be_16((uint16_t)(length >> 16));
	if (ipv6) {
		struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv6_hdr *);
		sum += rte_raw_cksum(ip->src_addr, 32);
	} else {
		struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);
		sum += rte_raw_cksum(&ip->src_addr, 8);
	}
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	uint16_t result = (uint16_t)~sum;
	*checksum = result == 0 && protocol == IPPROTO_UDP ? 0xffff : result;
	m->ol_flags &= ~RTE_MBUF_F_RX_L4_CKSUM_MASK;
	m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	return true;
}

uint32_t packet_wire_size(struct rte_mbuf *m, bool ipv6)
{
	uint8_t protocol, data_offset;
	uint16_t offset;

	if (!packet_is_large(m))
		return rte_pktmbuf_pkt_len(m);
	if (!packet_find_l4(m, ipv6, &protocol, &offset) || protocol != IPPROTO_TCP)
		return rte_pktmbuf_pkt_len(m);
	const uint8_t *p = rte_pktmbuf_read(m, offset + 12, 1, &data_offset);
	if (p == NULL)
		return rte_pktmbuf_pkt_len(m);
	return offset + (*p >> 4) * 4u + m->tso_segsz;
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
