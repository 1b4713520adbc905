// SPDX-License-Identifier: BSD-3-Clause
//
// The parser of the simulated silicon. Runs for each frame, on bytes that anybody may have sent.

#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "sim/simnic/flow_key.h"

enum {
	IPV6_EXTENSIONS_MAX = 8,
	ICMP_READ = 4, // what all ICMP messages have, read here
	ICMP_HEADER_SIZE = 8,
	TUNNEL_HEADER_SIZE = 8,
	VXLAN_PORT = 4789,
	VXLAN_HAS_VNI = 0x08,
	GENEVE_PORT = 6081,
};

// A place in a frame. What is at data[at] may be read up to `readable`; what belongs to the layer ends at `end`, which may
// be beyond it.
struct cursor {
	const uint8_t *data;
	uint32_t at, readable, end;
	uint32_t beyond; // bytes by which the longest segment is shorter than the frame
};

static uint16_t read_u16(const uint8_t *data)
{
	return data[0] << 8 | data[1];
}

static uint16_t load_be16(const uint8_t *data)
{
	uint16_t value;

	memcpy(&value, data, sizeof(value));
	return value;
}

static bool has(const struct cursor *cursor, uint32_t size)
{
	return cursor->at + size <= cursor->readable && cursor->at + size <= cursor->end;
}

// ---- layer 2 --------------------------------------------------------------------------------------------

static bool is_tag(uint16_t type_be)
{
	return type_be == RTE_BE16(RTE_ETHER_TYPE_VLAN) || type_be == RTE_BE16(RTE_ETHER_TYPE_QINQ);
}

// Leaves the cursor at what ether_type announces.
static bool read_ethernet(struct cursor *cursor, struct flow_headers *headers)
{
	if (!has(cursor, RTE_ETHER_HDR_LEN))
		return false;
	memcpy(headers, cursor->data + cursor->at, RTE_ETHER_HDR_LEN);
	headers->layers = FLOW_HAS_ETH;
	headers->ether_type = headers->outer_type;
	cursor->at += RTE_ETHER_HDR_LEN;
	for (unsigned int i = 0; i < 2 && is_tag(headers->ether_type); i++) {
		const uint8_t *tag = cursor->data + cursor->at;

		if (!has(cursor, RTE_VLAN_HLEN))
			return false;
		headers->layers |= i == 0 ? FLOW_HAS_VLAN : FLOW_HAS_VLAN2;
		headers->vlan_tci[i] = load_be16(tag);
		headers->ether_type = load_be16(tag + 2);
		if (i == 0)
			headers->vlan_inner_type = headers->ether_type;
		cursor->at += RTE_VLAN_HLEN;
	}
	return true;
}

// ---- layer 3 --------------------------------------------------------------------------------------------

static bool ipv4_checksum_good(const uint8_t *header, uint32_t size)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < size; i += sizeof(uint16_t))
		sum += load_be16(header + i);
	// Good ones add up to a multiple of 0xffff, at most the 30th, so one round gets there.
	return (sum & 0xffff) + (sum >> 16) == 0xffff;
}

// What the length field of an IP header is on the wire.
static uint16_t length_on_wire(const struct cursor *cursor, uint32_t length)
{
	return rte_cpu_to_be_16(length - RTE_MIN(length, cursor->beyond));
}

// Leaves the cursor at layer 4. False: there is none that could be read.
static bool read_ipv4(struct cursor *cursor, struct flow_headers *headers)
{
	const uint8_t *ip = cursor->data + cursor->at;
	uint32_t size, total;
	uint16_t fragment;

	if (!has(cursor, sizeof(struct rte_ipv4_hdr)) || ip[0] >> 4 != 4)
		return false;
	size = (ip[0] & RTE_IPV4_HDR_IHL_MASK) * RTE_IPV4_IHL_MULTIPLIER;
	total = read_u16(ip + offsetof(struct rte_ipv4_hdr, total_length));
	if (size < sizeof(struct rte_ipv4_hdr) || !has(cursor, size) || total < size ||
	    total > cursor->end - cursor->at)
		return false;
	headers->layers |= FLOW_HAS_IPV4;
	headers->ipv4_version_ihl = ip[0];
	headers->length = length_on_wire(cursor, total);
	headers->tos = ip[offsetof(struct rte_ipv4_hdr, type_of_service)];
	headers->fragment = load_be16(ip + offsetof(struct rte_ipv4_hdr, fragment_offset));
	headers->ttl = ip[offsetof(struct rte_ipv4_hdr, time_to_live)];
	headers->protocol = ip[offsetof(struct rte_ipv4_hdr, next_proto_id)];
	memcpy(headers->ip_src, ip + offsetof(struct rte_ipv4_hdr, src_addr), 4);
	memcpy(headers->ip_dst, ip + offsetof(struct rte_ipv4_hdr, dst_addr), 4);
	if (ipv4_checksum_good(ip, size))
		headers->layers |= FLOW_L3_OK;
	cursor->end = cursor->at + total;
	cursor->at += size;
	fragment = rte_be_to_cpu_16(headers->fragment);
	if (fragment & (RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK))
		headers->layers |= FLOW_HAS_FRAGMENT;
	return !(fragment & RTE_IPV4_HDR_OFFSET_MASK);
}

// Walk the extension headers behind an IPv6 header. headers->protocol is the first that is none of those walked, or the one
// that is cut short or one too many.
static bool skip_extensions(struct cursor *cursor, struct flow_headers *headers)
{
	for (unsigned int i = 0; i < IPV6_EXTENSIONS_MAX; i++) {
		const uint8_t *extension = cursor->data + cursor->at;
		uint32_t size = 8;

		switch (headers->protocol) {
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
			if (!has(cursor, size))
				return false;
			size = (extension[1] + 1U) * 8;
			if (!has(cursor, size))
				return false;
			break;
		case IPPROTO_FRAGMENT:
			if (!has(cursor, size))
				return false;
			headers->layers |= FLOW_HAS_FRAGMENT;
			headers->fragment = load_be16(extension + 2);
			break;
		default:
			return true;
		}
		headers->protocol = extension[0];
		cursor->at += size;
		if (read_u16((const uint8_t *)&headers->fragment) & RTE_IPV6_EHDR_FO_MASK)
			return false; // a later fragment: what follows is payload
	}
	return headers->protocol != IPPROTO_HOPOPTS && headers->protocol != IPPROTO_ROUTING &&
	       headers->protocol != IPPROTO_DSTOPTS && headers->protocol != IPPROTO_FRAGMENT;
}

// As read_ipv4().
static bool read_ipv6(struct cursor *cursor, struct flow_headers *headers)
{
	const uint8_t *ip = cursor->data + cursor->at;
	uint32_t payload;

	if (!has(cursor, sizeof(struct rte_ipv6_hdr)) || ip[0] >> 4 != 6)
		return false;
	payload = read_u16(ip + offsetof(struct rte_ipv6_hdr, payload_len));
	if (sizeof(struct rte_ipv6_hdr) + payload > cursor->end - cursor->at)
		return false;
	headers->layers |= FLOW_HAS_IPV6 | FLOW_L3_OK;
	memcpy(&headers->ipv6_flow, ip, sizeof(headers->ipv6_flow));
	headers->length = length_on_wire(cursor, payload);
	headers->ipv6_next = ip[offsetof(struct rte_ipv6_hdr, proto)];
	headers->protocol = headers->ipv6_next;
	headers->ttl = ip[offsetof(struct rte_ipv6_hdr, hop_limits)];
	memcpy(headers->ip_src, ip + offsetof(struct rte_ipv6_hdr, src_addr), 16);
	memcpy(headers->ip_dst, ip + offsetof(struct rte_ipv6_hdr, dst_addr), 16);
	cursor->at += sizeof(struct rte_ipv6_hdr);
	cursor->end = cursor->at + payload;
	return skip_extensions(cursor, headers);
}

// ---- layer 4 --------------------------------------------------------------------------------------------

static void read_icmp_rest(const struct cursor *cursor, struct flow_headers *headers)
{
	const uint8_t *icmp = cursor->data + cursor->at;

	if (!has(cursor, ICMP_HEADER_SIZE))
		return;
	headers->layers |= FLOW_HAS_ICMP_REST;
	headers->icmp_identifier = load_be16(icmp + offsetof(struct rte_icmp_hdr, icmp_ident));
	headers->icmp_sequence = load_be16(icmp + offsetof(struct rte_icmp_hdr, icmp_seq_nb));
}

// Bytes of the layer-4 header that is at the cursor; 0: none that could be read.
static uint32_t read_l4(const struct cursor *cursor, struct flow_headers *headers)
{
	const uint8_t *l4 = cursor->data + cursor->at;
	bool ipv4 = headers->layers & FLOW_HAS_IPV4;
	uint32_t size;

	switch (headers->protocol) {
	case IPPROTO_TCP:
		if (!has(cursor, sizeof(struct rte_tcp_hdr)))
			return 0;
		size = (l4[offsetof(struct rte_tcp_hdr, data_off)] >> 4) * 4;
		if (size < sizeof(struct rte_tcp_hdr) || !has(cursor, size))
			return 0;
		headers->layers |= FLOW_HAS_TCP;
		headers->tcp_flags = l4[offsetof(struct rte_tcp_hdr, tcp_flags)];
		break;
	case IPPROTO_UDP:
		size = sizeof(struct rte_udp_hdr);
		if (!has(cursor, size))
			return 0;
		headers->layers |= FLOW_HAS_UDP;
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		size = ICMP_READ;
		if (ipv4 != (headers->protocol == IPPROTO_ICMP) || !has(cursor, size))
			return 0;
		headers->layers |= ipv4 ? FLOW_HAS_ICMP : FLOW_HAS_ICMP6;
		headers->port_src = load_be16(l4);
		read_icmp_rest(cursor, headers);
		return size;
	default:
		return 0;
	}
	headers->port_src = load_be16(l4);
	headers->port_dst = load_be16(l4 + 2);
	return size;
}

// ---- tunnels --------------------------------------------------------------------------------------------

// The cursor is at a UDP packet's payload; leaves it at the frame inside. False: there is none.
static bool read_tunnel(struct cursor *cursor, struct flow_key *key, struct flow_offsets *offsets)
{
	const uint8_t *tunnel = cursor->data + cursor->at;
	uint32_t size = TUNNEL_HEADER_SIZE;

	if ((key->outer.layers & FLOW_HAS_FRAGMENT) || !has(cursor, size))
		return false;
	if (key->outer.port_dst == RTE_BE16(VXLAN_PORT)) {
		if (!(tunnel[0] & VXLAN_HAS_VNI))
			return false;
		key->tunnel = FLOW_TUNNEL_VXLAN;
		key->vxlan_flags = tunnel[0];
	} else {
		size += (tunnel[0] & 0x3f) * 4; // options
		if (tunnel[0] >> 6 != 0 || !has(cursor, size))
			return false;
		key->tunnel = FLOW_TUNNEL_GENEVE;
		key->geneve_ver_opt = load_be16(tunnel);
		key->geneve_protocol = load_be16(tunnel + 2);
	}
	memcpy(key->vni, tunnel + 4, sizeof(key->vni));
	offsets->tunnel = cursor->at;
	cursor->at += size;
	return key->tunnel == FLOW_TUNNEL_VXLAN ||
	       key->geneve_protocol == RTE_BE16(RTE_ETHER_TYPE_TEB);
}

// ---- all together ---------------------------------------------------------------------------------------

// Read the headers of layers 2 to 4; leaves the cursor behind the last. True: it is at TCP or UDP payload.
static bool read_headers(struct cursor *cursor, struct flow_headers *headers, uint16_t *ret_l3,
			 uint16_t *ret_l4)
{
	bool more = false;
	uint32_t size, l3;

	if (!read_ethernet(cursor, headers))
		return false;
	l3 = cursor->at;
	if (headers->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV4))
		more = read_ipv4(cursor, headers);
	else if (headers->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV6))
		more = read_ipv6(cursor, headers);
	if (headers->layers & (FLOW_HAS_IPV4 | FLOW_HAS_IPV6))
		*ret_l3 = l3;
	size = more ? read_l4(cursor, headers) : 0;
	if (size == 0)
		return false;
	*ret_l4 = cursor->at;
	cursor->at += size;
	return headers->layers & (FLOW_HAS_TCP | FLOW_HAS_UDP);
}

void flow_key_read(const struct frame *frame, uint32_t longest, struct flow_key *ret_key,
		   struct flow_offsets *ret_offsets)
{
	struct cursor cursor = {
		.data = frame->iov[1].iov_base,
		.readable = frame->parts > 1 ? RTE_MIN(frame->iov[1].iov_len, frame->length) : 0,
		.end = frame->length,
		.beyond = frame->length - RTE_MIN(frame->length, longest),
	};

	memset(ret_key, 0, sizeof(*ret_key));
	memset(ret_offsets, 0, sizeof(*ret_offsets));
	ret_key->origin = frame->origin->index;
	ret_key->from_port = frame->from_port;
	if (!read_headers(&cursor, &ret_key->outer, &ret_offsets->l3, &ret_offsets->l4))
		return;
	ret_offsets->payload = cursor.at;
	if ((ret_key->outer.port_dst != RTE_BE16(VXLAN_PORT) &&
	     ret_key->outer.port_dst != RTE_BE16(GENEVE_PORT)) ||
	    !(ret_key->outer.layers & FLOW_HAS_UDP) || !read_tunnel(&cursor, ret_key, ret_offsets))
		return;
	if (has(&cursor, RTE_ETHER_HDR_LEN))
		ret_offsets->inner_l2 = cursor.at;
	(void)read_headers(&cursor, &ret_key->inner, &ret_offsets->inner_l3,
			   &ret_offsets->inner_l4);
}
