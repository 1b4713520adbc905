// SPDX-License-Identifier: BSD-3-Clause

#include "port/flow_hash.h"

#include <netinet/in.h>
#include <string.h>

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_jhash.h>
#include <rte_mbuf.h>

enum { PORTS_SIZE = 4 };

// Ports at this offset, if there are any.
static uint32_t ports_at(const struct rte_mbuf *m, size_t offset, uint8_t protocol)
{
	uint32_t ports = 0;

	if ((protocol == IPPROTO_TCP || protocol == IPPROTO_UDP) &&
	    offset + PORTS_SIZE <= rte_pktmbuf_data_len(m))
		memcpy(&ports, rte_pktmbuf_mtod_offset(m, const void *, offset), PORTS_SIZE);
	return ports;
}

static uint32_t hash_ipv4(const struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip =
		rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, RTE_ETHER_HDR_LEN);
	uint32_t ports = 0;

	if ((ip->fragment_offset & RTE_BE16(RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK)) == 0)
		ports = ports_at(m, RTE_ETHER_HDR_LEN + rte_ipv4_hdr_len(ip), ip->next_proto_id);
	return rte_jhash_3words(ip->src_addr, ip->dst_addr, ports, ip->next_proto_id);
}

// Behind extension headers there may be ports; such a flow is one of its addresses.
static uint32_t hash_ipv6(const struct rte_mbuf *m)
{
	const struct rte_ipv6_hdr *ip =
		rte_pktmbuf_mtod_offset(m, const struct rte_ipv6_hdr *, RTE_ETHER_HDR_LEN);
	uint32_t ports = ports_at(m, RTE_ETHER_HDR_LEN + sizeof(*ip), ip->proto);
	uint32_t words[2 * 16 / 4];

	memcpy(words, (const uint8_t *)ip + offsetof(struct rte_ipv6_hdr, src_addr), sizeof(words));
	return rte_jhash_32b(words, RTE_DIM(words), ports);
}

uint32_t flow_hash(const struct rte_mbuf *m)
{
	const struct rte_ether_hdr *ether = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	size_t size = rte_pktmbuf_data_len(m);

	if (size >= RTE_ETHER_HDR_LEN + sizeof(struct rte_ipv4_hdr) &&
	    ether->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV4))
		return hash_ipv4(m);
	if (size >= RTE_ETHER_HDR_LEN + sizeof(struct rte_ipv6_hdr) &&
	    ether->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV6))
		return hash_ipv6(m);
	return 0;
}
