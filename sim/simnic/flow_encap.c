// SPDX-License-Identifier: BSD-3-Clause
//
// Definitions are compiled in control threads, frames are changed in the pipeline's.

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <rte_ip.h>
#include <rte_udp.h>
#include <rte_vxlan.h>

#include "sim/simnic/flow_encap.h"

enum {
	VXLAN_PORT = 4789,
	GENEVE_PORT = 6081,
	TTL_DEFAULT = 64,
	HOP_LIMIT_DEFAULT = 255,
	FIRST_SOURCE_PORT = 49152, // the dynamic ones, RFC 6335
	TAG_AT = 2 * RTE_ETHER_ADDR_LEN,
};

static uint16_t read_u16(const uint8_t *data)
{
	return data[0] << 8 | data[1];
}

static void write_u16(uint8_t *data, uint16_t value)
{
	data[0] = value >> 8;
	data[1] = value & 0xff;
}

// ---- definitions ----------------------------------------------------------------------------------------

// Find out where the layers of a definition are. Only what is there whole counts.
static void understand(struct flow_encap *encap)
{
	const uint8_t *data = encap->data;
	uint32_t at = RTE_ETHER_HDR_LEN, size = 0;
	uint8_t protocol = 0;
	uint16_t type;

	if (encap->size < at)
		return;
	encap->layers = FLOW_HAS_ETH;
	type = read_u16(data + at - 2);
	for (unsigned int i = 0;
	     i < 2 && (type == RTE_ETHER_TYPE_VLAN || type == RTE_ETHER_TYPE_QINQ); i++) {
		if (at + RTE_VLAN_HLEN > encap->size)
			return;
		encap->layers |= i == 0 ? FLOW_HAS_VLAN : FLOW_HAS_VLAN2;
		type = read_u16(data + at + 2);
		at += RTE_VLAN_HLEN;
	}
	if (type == RTE_ETHER_TYPE_IPV4 && at + sizeof(struct rte_ipv4_hdr) <= encap->size &&
	    data[at] >> 4 == 4 && (data[at] & RTE_IPV4_HDR_IHL_MASK) >= RTE_IPV4_MIN_IHL) {
		size = (data[at] & RTE_IPV4_HDR_IHL_MASK) * RTE_IPV4_IHL_MULTIPLIER;
		protocol = data[at + offsetof(struct rte_ipv4_hdr, next_proto_id)];
	} else if (type == RTE_ETHER_TYPE_IPV6 && at + sizeof(struct rte_ipv6_hdr) <= encap->size &&
		   data[at] >> 4 == 6) {
		size = sizeof(struct rte_ipv6_hdr);
		protocol = data[at + offsetof(struct rte_ipv6_hdr, proto)];
	}
	if (size == 0 || at + size > encap->size)
		return;
	encap->l3 = at;
	encap->layers |= type == RTE_ETHER_TYPE_IPV4 ? FLOW_HAS_IPV4 : FLOW_HAS_IPV6;
	at += size;
	if (protocol != IPPROTO_UDP || at + sizeof(struct rte_udp_hdr) > encap->size)
		return;
	encap->l4 = at;
	encap->layers |= FLOW_HAS_UDP;
	encap->hash_port = read_u16(data + at) == 0;
}

struct flow_encap *flow_encap_raw(const uint8_t *data, uint16_t size)
{
	struct flow_encap *encap = calloc(1, sizeof(*encap) + size);

	if (encap == NULL)
		return NULL;
	encap->size = size;
	memcpy(encap->data, data, size);
	understand(encap);
	return encap;
}

bool flow_encap_is_tunnel(const struct flow_encap *encap)
{
	uint16_t port;

	if (encap->l4 == 0)
		return false;
	port = read_u16(encap->data + encap->l4 + offsetof(struct rte_udp_hdr, dst_port));
	return port == VXLAN_PORT || port == GENEVE_PORT;
}

// The bytes of a definition so far; `type_at` is where the next header's ether type belongs.
struct definition {
	uint8_t data[FLOW_ENCAP_MAX];
	uint16_t size, type_at;
	enum { WANT_ETH, WANT_L3, WANT_UDP, WANT_VXLAN, COMPLETE } state;
	bool tagged;
};

static void *append(struct definition *definition, const void *header, uint16_t size)
{
	void *to = definition->data + definition->size;

	memcpy(to, header, size);
	definition->size += size;
	return to;
}

static void append_ipv4(struct definition *definition, const struct rte_flow_item_ipv4 *spec)
{
	struct rte_ipv4_hdr *ip = append(definition, &spec->hdr, sizeof(spec->hdr));

	ip->version_ihl = RTE_IPV4_VHL_DEF;
	ip->next_proto_id = IPPROTO_UDP;
	if (ip->time_to_live == 0)
		ip->time_to_live = TTL_DEFAULT;
	write_u16(definition->data + definition->type_at, RTE_ETHER_TYPE_IPV4);
}

static void append_ipv6(struct definition *definition, const struct rte_flow_item_ipv6 *spec)
{
	struct rte_ipv6_hdr *ip = append(definition, &spec->hdr, sizeof(spec->hdr));

	ip->vtc_flow = (ip->vtc_flow & RTE_BE32(0x0fffffff)) | RTE_BE32(0x60000000);
	ip->proto = IPPROTO_UDP;
	if (ip->hop_limits == 0)
		ip->hop_limits = HOP_LIMIT_DEFAULT;
	write_u16(definition->data + definition->type_at, RTE_ETHER_TYPE_IPV6);
}

static void append_vlan(struct definition *definition, const struct rte_flow_item_vlan *spec)
{
	write_u16(definition->data + definition->type_at, RTE_ETHER_TYPE_VLAN);
	append(definition, &spec->hdr, sizeof(spec->hdr));
	definition->type_at = definition->size - 2;
	definition->tagged = true;
}

static void append_udp(struct definition *definition, const struct rte_flow_item_udp *spec)
{
	struct rte_udp_hdr *udp = append(definition, &spec->hdr, sizeof(spec->hdr));

	if (udp->dst_port == 0)
		udp->dst_port = RTE_BE16(VXLAN_PORT);
}

static void append_vxlan(struct definition *definition, const struct rte_flow_item_vxlan *spec)
{
	struct rte_vxlan_hdr *vxlan = append(definition, &spec->hdr, sizeof(spec->hdr));

	if (vxlan->vx_flags == 0)
		vxlan->vx_flags = RTE_BE32(0x08000000);
}

static int add_item(struct definition *definition, const struct rte_flow_item *item)
{
	const struct rte_flow_item_eth *eth = item->spec;

	if (item->spec == NULL)
		return -EINVAL;
	if (item->type == RTE_FLOW_ITEM_TYPE_ETH && definition->state == WANT_ETH) {
		append(definition, &eth->hdr, sizeof(eth->hdr));
		definition->type_at = definition->size - 2;
		definition->state = WANT_L3;
	} else if (item->type == RTE_FLOW_ITEM_TYPE_VLAN && definition->state == WANT_L3 &&
		   !definition->tagged) {
		append_vlan(definition, item->spec);
	} else if (item->type == RTE_FLOW_ITEM_TYPE_IPV4 && definition->state == WANT_L3) {
		append_ipv4(definition, item->spec);
		definition->state = WANT_UDP;
	} else if (item->type == RTE_FLOW_ITEM_TYPE_IPV6 && definition->state == WANT_L3) {
		append_ipv6(definition, item->spec);
		definition->state = WANT_UDP;
	} else if (item->type == RTE_FLOW_ITEM_TYPE_UDP && definition->state == WANT_UDP) {
		append_udp(definition, item->spec);
		definition->state = WANT_VXLAN;
	} else if (item->type == RTE_FLOW_ITEM_TYPE_VXLAN && definition->state == WANT_VXLAN) {
		append_vxlan(definition, item->spec);
		definition->state = COMPLETE;
	} else {
		return -EINVAL;
	}
	return 0;
}

int flow_encap_vxlan(const struct rte_flow_item *item, struct flow_encap **ret_encap)
{
	struct definition definition = {.state = WANT_ETH};

	for (; item->type != RTE_FLOW_ITEM_TYPE_END; item++)
		if (item->type != RTE_FLOW_ITEM_TYPE_VOID && add_item(&definition, item) < 0)
			return -EINVAL;
	if (definition.state != COMPLETE)
		return -EINVAL;
	*ret_encap = flow_encap_raw(definition.data, definition.size);
	return *ret_encap != NULL ? 0 : -ENOMEM;
}

// ---- tunnels --------------------------------------------------------------------------------------------

static bool is_gso(const struct flow_packet *packet)
{
	return packet->buffer->frame.vnet.gso_type != VIRTIO_NET_HDR_GSO_NONE;
}

// Bytes came, or went, in front of each packet. One that was to be segmented is a single one when it has lost what would be
// repeated in front of each segment (frame_pull()).
static void resized(struct flow_packet *packet, int32_t by)
{
	if (is_gso(packet)) {
		packet->on_wire.bytes += packet->on_wire.packets * by;
		packet->on_wire.longest += by;
	} else {
		(void)frame_measure(&packet->buffer->frame, &packet->on_wire);
	}
	packet->stale = true;
}

static uint16_t source_port(const struct flow_key *key)
{
	const struct flow_headers *headers = &key->outer;
	uint32_t words[10], hash = headers->protocol;

	memcpy(words, headers->ip_src, sizeof(headers->ip_src));
	memcpy(words + 4, headers->ip_dst, sizeof(headers->ip_dst));
	memcpy(words + 8, &headers->port_src, 4);
	memcpy(words + 9, headers->mac_src + 2, 4);
	for (unsigned int i = 0; i < RTE_DIM(words); i++) {
		hash = (hash ^ words[i]) * 0x9e3779b1;
		hash ^= hash >> 15;
	}
	return FIRST_SOURCE_PORT + hash % (65536 - FIRST_SOURCE_PORT);
}

// The lengths are known, the checksums follow.
static void fill_in(struct frame *frame, uint8_t *data, const struct flow_encap *encap,
		    uint16_t port)
{
	uint32_t l3_length = frame->length - encap->l3, l4_length = frame->length - encap->l4;
	struct rte_udp_hdr *udp = (void *)(data + encap->l4);
	struct rte_ipv6_hdr *ip6 = (void *)(data + encap->l3);
	struct rte_ipv4_hdr *ip4 = (void *)(data + encap->l3);
	uint32_t sum;

	if (encap->l4 != 0) {
		if (encap->hash_port)
			udp->src_port = rte_cpu_to_be_16(port);
		udp->dgram_len = rte_cpu_to_be_16(l4_length);
		udp->dgram_cksum = 0;
	}
	if (encap->layers & FLOW_HAS_IPV4) {
		ip4->total_length = rte_cpu_to_be_16(l3_length);
		ip4->hdr_checksum = 0;
		ip4->hdr_checksum = rte_ipv4_cksum(ip4);
	} else if (encap->layers & FLOW_HAS_IPV6) {
		ip6->payload_len = rte_cpu_to_be_16(l3_length - sizeof(*ip6));
		if (encap->l4 == 0)
			return;
		sum = rte_raw_cksum(&ip6->src_addr, 2 * sizeof(ip6->src_addr));
		sum += RTE_BE16(IPPROTO_UDP) + udp->dgram_len + frame_sum(frame, encap->l4);
		sum = (sum & 0xffff) + (sum >> 16);
		udp->dgram_cksum = ~((sum & 0xffff) + (sum >> 16));
		if (udp->dgram_cksum == 0)
			udp->dgram_cksum = 0xffff;
	}
}

bool flow_encap(struct flow_packet *packet, const struct flow_encap *encap)
{
	struct frame *frame = &packet->buffer->frame;
	uint16_t port = source_port(&packet->key);
	uint8_t *data;

	if (is_gso(packet) || frame->length + encap->size - encap->l3 > UINT16_MAX ||
	    !frame_finish_checksum(packet->buffer))
		return false;
	data = frame_push(packet->buffer, encap->size);
	if (data == NULL)
		return false;
	frame->vnet.flags = 0; // nobody has validated the new ones
	memcpy(data, encap->data, encap->size);
	if (encap->l3 != 0)
		fill_in(frame, data, encap, port);
	resized(packet, encap->size);
	return true;
}

static bool pull(struct flow_packet *packet, uint32_t size)
{
	struct frame *frame = &packet->buffer->frame;

	if (size + RTE_ETHER_HDR_LEN > frame->iov[1].iov_len)
		return false;
	frame_pull(packet->buffer, size);
	frame->vnet.flags &= ~VIRTIO_NET_HDR_F_DATA_VALID;
	resized(packet, -(int32_t)size);
	return true;
}

// Headers come in front again before anybody reads it: the key stays what it was, for the hash.
bool flow_cut(struct flow_packet *packet, uint32_t size)
{
	bool stale = packet->stale, done = pull(packet, size);

	packet->stale = stale;
	return done;
}

bool flow_decap_tunnel(struct flow_packet *packet)
{
	return packet->offsets.inner_l2 != 0 && pull(packet, packet->offsets.inner_l2);
}

// ---- VLAN -----------------------------------------------------------------------------------------------

bool flow_push_vlan(struct flow_packet *packet, const uint8_t ether_type[2])
{
	uint16_t tci = rte_be_to_cpu_16(packet->key.outer.vlan_tci[0]);
	uint8_t *data = frame_push(packet->buffer, RTE_VLAN_HLEN);

	if (data == NULL)
		return false;
	memmove(data, data + RTE_VLAN_HLEN, TAG_AT);
	memcpy(data + TAG_AT, ether_type, 2);
	write_u16(data + TAG_AT + 2, tci);
	resized(packet, RTE_VLAN_HLEN);
	return true;
}

bool flow_pop_vlan(struct flow_packet *packet)
{
	uint8_t *data;

	if (!(packet->key.outer.layers & FLOW_HAS_VLAN))
		return false;
	data = frame_writable(packet->buffer, RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN);
	memmove(data + RTE_VLAN_HLEN, data, TAG_AT);
	frame_pull(packet->buffer, RTE_VLAN_HLEN);
	resized(packet, -RTE_VLAN_HLEN);
	return true;
}

void flow_set_vlan(struct flow_packet *packet, uint16_t value, uint16_t mask)
{
	struct flow_headers *headers = &packet->key.outer;
	uint8_t *data;
	uint16_t tci;

	if (!(headers->layers & FLOW_HAS_VLAN))
		return;
	data = frame_writable(packet->buffer, RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN) +
	       RTE_ETHER_HDR_LEN;
	tci = (read_u16(data) & ~mask) | value;
	write_u16(data, tci);
	headers->vlan_tci[0] = rte_cpu_to_be_16(tci);
}
