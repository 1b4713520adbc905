// SPDX-License-Identifier: BSD-3-Clause
//
// A second parser of frames, written as plainly as possible, for the test of the e-switch's (flow_key_test.c).

#pragma once

#include <arpa/inet.h>
#include <string.h>

#include "sim/simnic/flow_key.h"

// What the parser is given: a frame of which `contiguous` bytes are in one part, and whose longest packet on the wire is
// shorter by `cut`.
struct input {
	const uint8_t *data;
	size_t size, contiguous, cut;
	bool from_port;
};

// What is left of a packet: `have` bytes that can be read, of `whole`.
struct rest {
	const uint8_t *data;
	size_t at, have, whole;
	size_t cut; // of the input
};

static inline bool take(struct rest *rest, size_t size, const uint8_t **ret_data)
{
	if (size > rest->have || size > rest->whole)
		return false;
	*ret_data = rest->data + rest->at;
	rest->at += size;
	rest->have -= size;
	rest->whole -= size;
	return true;
}

static inline bool drop(struct rest *rest, size_t size)
{
	const uint8_t *ignored;

	return take(rest, size, &ignored);
}

static inline size_t number(const uint8_t *data)
{
	return (size_t)data[0] * 256 + data[1];
}

static inline uint16_t naive_length(const struct rest *rest, size_t length)
{
	return htons(length > rest->cut ? length - rest->cut : 0);
}

static inline bool naive_ipv4(struct rest *rest, struct flow_headers *h)
{
	const struct rest start = *rest;
	const uint8_t *ip, *options;
	uint32_t sum = 0;

	if (!take(rest, 20, &ip) || ip[0] / 16 != 4 || ip[0] % 16 < 5 ||
	    !take(rest, (ip[0] % 16 - 5) * 4, &options) || number(ip + 2) > start.whole ||
	    number(ip + 2) < (size_t)(ip[0] % 16) * 4)
		return false;
	h->layers |= FLOW_HAS_IPV4;
	h->ipv4_version_ihl = ip[0];
	h->length = naive_length(rest, number(ip + 2));
	h->tos = ip[1];
	h->fragment = htons(number(ip + 6));
	h->ttl = ip[8];
	h->protocol = ip[9];
	memcpy(h->ip_src, ip + 12, 4);
	memcpy(h->ip_dst, ip + 16, 4);
	for (int i = 0; i < ip[0] % 16 * 4; i += 2)
		sum += number(ip + i);
	while (sum > 0xffff)
		sum = sum % 65536 + sum / 65536;
	if (sum == 0xffff)
		h->layers |= FLOW_L3_OK;
	rest->whole = number(ip + 2) - ip[0] % 16 * 4;
	if (number(ip + 6) % 0x4000 != 0)
		h->layers |= FLOW_HAS_FRAGMENT;
	return number(ip + 6) % 0x2000 == 0;
}

static inline bool naive_ipv6(struct rest *rest, struct flow_headers *h)
{
	const uint8_t *ip, *ext;

	if (!take(rest, 40, &ip) || ip[0] / 16 != 6 || number(ip + 4) > rest->whole)
		return false;
	rest->whole = number(ip + 4);
	h->layers |= FLOW_HAS_IPV6 | FLOW_L3_OK;
	memcpy(&h->ipv6_flow, ip, 4);
	h->length = naive_length(rest, number(ip + 4));
	h->protocol = h->ipv6_next = ip[6];
	h->ttl = ip[7];
	memcpy(h->ip_src, ip + 8, 16);
	memcpy(h->ip_dst, ip + 24, 16);
	for (int count = 0; strchr("\x2b\x2c\x3c", h->protocol) != NULL; count++) { // and 0
		struct rest before = *rest;

		if (count == 8 || !take(rest, 8, &ext))
			return false;
		if (h->protocol == 44) {
			h->layers |= FLOW_HAS_FRAGMENT;
			h->fragment = htons(number(ext + 2));
		} else if (!drop(rest, ext[1] * 8)) {
			*rest = before;
			return false;
		}
		h->protocol = ext[0];
		if (ntohs(h->fragment) >= 8)
			return false;
	}
	return true;
}

// True: there is a UDP payload.
static inline bool naive_headers(struct rest *rest, struct flow_headers *h, uint16_t *l3,
				 uint16_t *l4, uint16_t *payload)
{
	const uint8_t *at;
	bool more = false;
	size_t start;

	if (!take(rest, 14, &at))
		return false;
	h->layers |= FLOW_HAS_ETH;
	memcpy(h->mac_dst, at, 6);
	memcpy(h->mac_src, at + 6, 6);
	h->outer_type = h->ether_type = htons(number(at + 12));
	for (int i = 0; i < 2; i++) {
		if (h->ether_type != htons(0x8100) && h->ether_type != htons(0x88a8))
			break;
		if (!take(rest, 4, &at))
			return false;
		h->layers |= i == 0 ? FLOW_HAS_VLAN : FLOW_HAS_VLAN2;
		h->vlan_tci[i] = htons(number(at));
		h->ether_type = htons(number(at + 2));
		if (i == 0)
			h->vlan_inner_type = h->ether_type;
	}
	start = rest->at;
	if (ntohs(h->ether_type) == 0x0800)
		more = naive_ipv4(rest, h);
	if (ntohs(h->ether_type) == 0x86dd)
		more = naive_ipv6(rest, h);
	if (h->layers & (FLOW_HAS_IPV4 | FLOW_HAS_IPV6))
		*l3 = start;
	start = rest->at;
	if (!more)
		return false;
	if ((h->protocol == 1 && (h->layers & FLOW_HAS_IPV4)) ||
	    (h->protocol == 58 && (h->layers & FLOW_HAS_IPV6))) {
		if (!take(rest, 4, &at))
			return false;
		h->layers |= h->protocol == 1 ? FLOW_HAS_ICMP : FLOW_HAS_ICMP6;
		h->port_src = htons(number(at));
		if (take(rest, 4, &at)) {
			h->layers |= FLOW_HAS_ICMP_REST;
			h->icmp_identifier = htons(number(at));
			h->icmp_sequence = htons(number(at + 2));
		}
		*l4 = start;
		return false;
	}
	if (h->protocol == 6) {
		if (!take(rest, 20, &at) || at[12] / 16 < 5 || !drop(rest, (at[12] / 16 - 5) * 4))
			return false;
		h->layers |= FLOW_HAS_TCP;
		h->tcp_flags = at[13];
	} else if (h->protocol == 17) {
		if (!take(rest, 8, &at))
			return false;
		h->layers |= FLOW_HAS_UDP;
	} else {
		return false;
	}
	h->port_src = htons(number(at));
	h->port_dst = htons(number(at + 2));
	*l4 = start;
	*payload = rest->at;
	return h->protocol == 17;
}

static inline void naive_read(const struct input *input, struct flow_key *key,
			      struct flow_offsets *offsets)
{
	struct rest rest = {.data = input->data,
			    .have = input->contiguous,
			    .whole = input->size,
			    .cut = input->cut};
	uint16_t ignored, start;
	const uint8_t *at;

	memset(key, 0, sizeof(*key));
	memset(offsets, 0, sizeof(*offsets));
	key->origin = 7;
	key->from_port = input->from_port ? 1 : 0;
	if (!naive_headers(&rest, &key->outer, &offsets->l3, &offsets->l4, &offsets->payload) ||
	    (key->outer.layers & FLOW_HAS_FRAGMENT))
		return;
	start = rest.at;
	if (ntohs(key->outer.port_dst) == 4789) {
		if (!take(&rest, 8, &at) || !(at[0] & 8))
			return;
		key->tunnel = FLOW_TUNNEL_VXLAN;
		key->vxlan_flags = at[0];
	} else if (ntohs(key->outer.port_dst) == 6081) {
		if (!take(&rest, 8, &at) || at[0] / 64 != 0 || !drop(&rest, at[0] * 4))
			return;
		key->tunnel = FLOW_TUNNEL_GENEVE;
		key->geneve_ver_opt = htons(number(at));
		key->geneve_protocol = htons(number(at + 2));
	} else {
		return;
	}
	offsets->tunnel = start;
	memcpy(key->vni, at + 4, 3);
	if (key->tunnel == FLOW_TUNNEL_GENEVE && key->geneve_protocol != htons(0x6558))
		return;
	start = rest.at;
	if (rest.have >= 14 && rest.whole >= 14)
		offsets->inner_l2 = start;
	(void)naive_headers(&rest, &key->inner, &offsets->inner_l3, &offsets->inner_l4, &ignored);
}
