// SPDX-License-Identifier: BSD-3-Clause
//
// Rewriting headers. Offsets come from the parser (flow_key.c), which has checked that the headers are in the frame's
// contiguous part.

#include <stddef.h>
#include <string.h>

#include <netinet/in.h>
#include <rte_byteorder.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "sim/simnic/flow_rewrite.h"

enum {
	L4_WRITTEN = 20, // bytes of a layer-4 header in which fields and checksums are
	ICMP6_CHECKSUM_OFFSET = 2,
	VXLAN_PORT = 4789,
	GENEVE_PORT = 6081,
};

void flow_packet_refresh(struct flow_packet *packet)
{
	uint32_t metadata = packet->key.metadata, tags[RTE_DIM(packet->key.tags)];

	if (!packet->stale)
		return;
	memcpy(tags, packet->key.tags, sizeof(tags));
	flow_key_read(&packet->buffer->frame, packet->on_wire.longest, &packet->key,
		      &packet->offsets);
	packet->key.metadata = metadata;
	memcpy(packet->key.tags, tags, sizeof(tags));
	packet->stale = false;
}

// The start of the frame, writable as far as fields go.
static uint8_t *writable(struct flow_packet *packet)
{
	const struct frame *frame = &packet->buffer->frame;
	uint32_t size = RTE_MAX(packet->offsets.l3 + (uint32_t)sizeof(struct rte_ipv6_hdr),
				packet->offsets.l4 + (uint32_t)L4_WRITTEN);

	return frame_writable(packet->buffer, RTE_MIN((size_t)size, frame->iov[1].iov_len));
}

// ---- checksums ------------------------------------------------------------------------------------------

// What replacing these words, aligned as the sum's, adds to a sum.
static uint32_t difference(const uint8_t *from, const uint8_t *to, uint32_t size)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < size; i += 2) {
		sum += (uint16_t) ~(from[i] << 8 | from[i + 1]);
		sum += to[i] << 8 | to[i + 1];
	}
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

static void store(uint8_t *field, uint16_t value)
{
	field[0] = value >> 8;
	field[1] = value & 0xff;
}

// RFC 1624, equation 3.
static void update_checksum(uint8_t *field, uint32_t change)
{
	uint16_t old = field[0] << 8 | field[1];

	store(field, ~fold((uint16_t)~old + change));
}

// Where layer 4 has its checksum, if that covers the pseudo header; 0: nowhere.
static uint32_t checksum_offset(const struct flow_packet *packet)
{
	uint16_t layers = packet->key.outer.layers;

	if (layers & FLOW_HAS_TCP)
		return packet->offsets.l4 + offsetof(struct rte_tcp_hdr, cksum);
	if (layers & FLOW_HAS_UDP)
		return packet->offsets.l4 + offsetof(struct rte_udp_hdr, dgram_cksum);
	if (layers & FLOW_HAS_ICMP6)
		return packet->offsets.l4 + ICMP6_CHECKSUM_OFFSET;
	return 0;
}

// Whether the stack left this checksum undone.
static bool is_partial(const struct flow_packet *packet, uint32_t at)
{
	const struct virtio_net_hdr *vnet = &packet->buffer->frame.vnet;

	return (vnet->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) &&
	       vnet->csum_start == packet->offsets.l4 && vnet->csum_start + vnet->csum_offset == at;
}

static void update_l4(struct flow_packet *packet, uint8_t *data, uint32_t change,
		      bool pseudo_header)
{
	uint32_t at = checksum_offset(packet);
	uint8_t *field = data + at;
	bool udp = packet->key.outer.layers & FLOW_HAS_UDP;

	if (at == 0 || at + 2 > packet->buffer->frame.iov[1].iov_len)
		return;
	if (is_partial(packet, at)) {
		if (pseudo_header)
			store(field, fold((field[0] << 8 | field[1]) + change));
		return;
	}
	if (udp && field[0] == 0 && field[1] == 0)
		return; // RFC 768: there is none
	update_checksum(field, change);
	if (udp && field[0] == 0 && field[1] == 0)
		store(field, 0xffff);
}

// ---- fields ---------------------------------------------------------------------------------------------

void flow_set_mac(struct flow_packet *packet, bool source, const uint8_t mac[6])
{
	struct flow_headers *headers = &packet->key.outer;
	uint8_t *data = writable(packet);

	memcpy(data + (source ? RTE_ETHER_ADDR_LEN : 0), mac, RTE_ETHER_ADDR_LEN);
	memcpy(source ? headers->mac_src : headers->mac_dst, mac, RTE_ETHER_ADDR_LEN);
}

static void set_address(struct flow_packet *packet, uint32_t at, const uint8_t *address,
			uint32_t size)
{
	uint8_t *data = writable(packet), *ip = data + packet->offsets.l3;
	uint32_t change = difference(ip + at, address, size);

	memcpy(ip + at, address, size);
	if (packet->key.outer.layers & FLOW_HAS_IPV4)
		update_checksum(ip + offsetof(struct rte_ipv4_hdr, hdr_checksum), change);
	update_l4(packet, data, change, true);
}

void flow_set_ipv4(struct flow_packet *packet, bool source, const uint8_t address[4])
{
	struct flow_headers *headers = &packet->key.outer;

	if (!(headers->layers & FLOW_HAS_IPV4))
		return;
	set_address(packet,
		    source ? offsetof(struct rte_ipv4_hdr, src_addr)
			   : offsetof(struct rte_ipv4_hdr, dst_addr),
		    address, sizeof(rte_be32_t));
	memcpy(source ? headers->ip_src : headers->ip_dst, address, sizeof(rte_be32_t));
}

void flow_set_ipv6(struct flow_packet *packet, bool source, const uint8_t address[16])
{
	struct flow_headers *headers = &packet->key.outer;

	if (!(headers->layers & FLOW_HAS_IPV6))
		return;
	set_address(packet,
		    source ? offsetof(struct rte_ipv6_hdr, src_addr)
			   : offsetof(struct rte_ipv6_hdr, dst_addr),
		    address, sizeof(headers->ip_src));
	memcpy(source ? headers->ip_src : headers->ip_dst, address, sizeof(headers->ip_src));
}

void flow_set_ttl(struct flow_packet *packet, uint8_t ttl)
{
	struct flow_headers *headers = &packet->key.outer;
	uint8_t *ip;

	if (!(headers->layers & (FLOW_HAS_IPV4 | FLOW_HAS_IPV6)))
		return;
	ip = writable(packet) + packet->offsets.l3;
	if (headers->layers & FLOW_HAS_IPV4) {
		uint8_t *word = ip + offsetof(struct rte_ipv4_hdr, time_to_live);
		uint8_t new[2] = {ttl, word[1]};

		update_checksum(ip + offsetof(struct rte_ipv4_hdr, hdr_checksum),
				difference(word, new, sizeof(new)));
		word[0] = ttl;
	} else {
		ip[offsetof(struct rte_ipv6_hdr, hop_limits)] = ttl;
	}
	headers->ttl = ttl;
}

static bool is_tunnel_port(uint16_t port_be)
{
	return port_be == RTE_BE16(VXLAN_PORT) || port_be == RTE_BE16(GENEVE_PORT);
}

void flow_set_port(struct flow_packet *packet, bool source, const uint8_t port[2])
{
	struct flow_headers *headers = &packet->key.outer;
	uint16_t *in_key = source ? &headers->port_src : &headers->port_dst;
	uint8_t *data, *at;
	uint16_t old = *in_key;
	uint32_t change;

	if (!(headers->layers & (FLOW_HAS_TCP | FLOW_HAS_UDP)))
		return;
	data = writable(packet);
	at = data + packet->offsets.l4 + (source ? 0 : sizeof(rte_be16_t));
	change = difference(at, port, sizeof(rte_be16_t));
	memcpy(at, port, sizeof(rte_be16_t));
	update_l4(packet, data, change, false);
	memcpy(in_key, port, sizeof(*in_key));
	// It may have been a tunnel's packet, or become one.
	if (!source && (is_tunnel_port(old) || is_tunnel_port(*in_key)))
		packet->stale = true;
}
