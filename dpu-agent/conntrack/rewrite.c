// SPDX-License-Identifier: BSD-3-Clause
//
// Writes addresses and ports into a packet's headers, and into what an ICMP error quotes, and keeps all
// checksums right by what changes in them.

#include "conntrack/headers.h"

#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

// What changes, as a one's complement sum of the words that go (inverted) and those that come, for
// checksums (RFC 1624 equation 3): HC' = ~(~HC + ~m + m').
struct change {
	uint32_t sum;
};

static uint16_t get_u16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void change_bytes(struct change *change, const void *from, const void *to, uint32_t size)
{
	const uint8_t *old = from, *new = to;

	for (uint32_t i = 0; i < size; i += 2) {
		change->sum += (uint16_t)~get_u16(old + i);
		change->sum += get_u16(new + i);
	}
}

static uint16_t fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

static void put_u16(uint8_t *p, uint16_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

// Bring a checksum up to date; what changes in it, for one that covers this one, is added to `outer`
// (which may be NULL).
static void update(uint8_t *checksum, const struct change *change, struct change *outer)
{
	uint8_t before[2];

	memcpy(before, checksum, sizeof(before));
	uint16_t sum = fold((uint32_t)(uint16_t)~get_u16(checksum) + fold(change->sum));
	put_u16(checksum, (uint16_t)~sum);
	if (outer != NULL)
		change_bytes(outer, before, checksum, sizeof(before));
}

// Returns what the addresses change in a pseudo header. `outer` as in update().
static struct change put_addresses(uint8_t *l3, const struct conntrack_tuple *from,
				   const struct conntrack_tuple *to, struct change *outer)
{
	uint32_t size = to->family == 4 ? 4 : 16;
	uint8_t *source = l3 + (to->family == 4 ? offsetof(struct rte_ipv4_hdr, src_addr)
						: offsetof(struct rte_ipv6_hdr, src_addr));
	struct change change = {0};

	change_bytes(&change, &from->source, &to->source, size);
	change_bytes(&change, &from->destination, &to->destination, size);
	memcpy(source, &to->source, size);
	memcpy(source + size, &to->destination, size);
	if (outer != NULL)
		outer->sum += change.sum;
	if (to->family == 4)
		update(l3 + offsetof(struct rte_ipv4_hdr, hdr_checksum), &change, outer);
	return change;
}

// The ports, or an echo's identifier, in the first 8 bytes of layer 4.
static void put_ports(uint8_t *l4, uint8_t kind, const struct conntrack_tuple *from,
		      const struct conntrack_tuple *to, struct change *change)
{
	if (kind == CONNTRACK_KIND_ECHO) {
		// One of the two is 0 before and after.
		rte_be16_t before = from->source_port | from->destination_port;
		rte_be16_t after = to->source_port | to->destination_port;

		change_bytes(change, &before, &after, sizeof(after));
		memcpy(l4 + 4, &after, sizeof(after));
		return;
	}
	change_bytes(change, &from->source_port, &to->source_port, sizeof(rte_be16_t));
	change_bytes(change, &from->destination_port, &to->destination_port, sizeof(rte_be16_t));
	memcpy(l4, &to->source_port, sizeof(rte_be16_t));
	memcpy(l4 + 2, &to->destination_port, sizeof(rte_be16_t));
}

static uint32_t checksum_offset(uint8_t kind)
{
	switch (kind) {
	case CONNTRACK_KIND_TCP:
		return offsetof(struct rte_tcp_hdr, cksum);
	case CONNTRACK_KIND_UDP:
		return offsetof(struct rte_udp_hdr, dgram_cksum);
	default:
		return 2; // ICMP
	}
}

// The checksum of layer 4, if it lies before `end`. An ICMPv4 checksum has no pseudo header.
static void update_l4(uint8_t *l4, uint32_t left, uint8_t kind, uint8_t family,
		      struct change addresses, struct change ports, struct change *outer)
{
	uint32_t offset = checksum_offset(kind);
	struct change change = ports;

	if (left < offset + 2)
		return;
	if (family == 6 || kind == CONNTRACK_KIND_TCP || kind == CONNTRACK_KIND_UDP)
		change.sum += addresses.sum;
	if (kind != CONNTRACK_KIND_UDP) {
		update(l4 + offset, &change, outer);
		return;
	}
	// 0 says that there is none (RFC 768), and a sum that comes out as 0 is sent as its other form.
	uint8_t before[2];
	memcpy(before, l4 + offset, sizeof(before));
	if (get_u16(before) == 0)
		return;
	update(l4 + offset, &change, NULL);
	if (get_u16(l4 + offset) == 0)
		put_u16(l4 + offset, UINT16_MAX);
	if (outer != NULL)
		change_bytes(outer, before, l4 + offset, sizeof(before));
}

static void rewrite_error(uint8_t *data, const struct conntrack_packet *packet,
			  const struct conntrack_tuple *to, const struct conntrack_tuple *quote)
{
	const struct conntrack_quote *old = &packet->quote;
	uint8_t *l4 = data + old->l4_offset;
	struct change inside = {0}, ports = {0};
	struct change addresses = put_addresses(data + old->l3_offset, &old->tuple, quote, &inside);

	put_ports(l4, old->kind, &old->tuple, quote, &ports);
	inside.sum += ports.sum;
	update_l4(l4, (uint32_t)(old->end - old->l4_offset), old->kind, quote->family, addresses,
		  ports, &inside);
	inside.sum = fold(inside.sum);

	struct change outer = put_addresses(data, &packet->tuple, to, NULL);
	if (to->family == 6)
		inside.sum += fold(outer.sum);
	update(data + packet->l4_offset + 2, &inside, NULL);
}

void conntrack_packet_rewrite(uint8_t *data, const struct conntrack_packet *packet,
			      const struct conntrack_tuple *to, const struct conntrack_tuple *quote,
			      bool open_checksum)
{
	struct change ports = {0};

	if (packet->kind == CONNTRACK_KIND_ERROR) {
		rewrite_error(data, packet, to, quote);
		return;
	}
	struct change addresses = put_addresses(data, &packet->tuple, to, NULL);
	if (packet->kind == CONNTRACK_KIND_FRAGMENT)
		return;
	put_ports(data + packet->l4_offset, packet->kind, &packet->tuple, to, &ports);
	if (!open_checksum || packet->kind == CONNTRACK_KIND_ECHO)
		update_l4(data + packet->l4_offset, UINT32_MAX, packet->kind, to->family, addresses,
			  ports, NULL);
}

void conntrack_packet_renumber(uint8_t *data, uint16_t id)
{
	uint8_t *field = data + offsetof(struct rte_ipv4_hdr, packet_id), after[2];
	struct change change = {0};

	put_u16(after, id);
	change_bytes(&change, field, after, sizeof(after));
	memcpy(field, after, sizeof(after));
	update(data + offsetof(struct rte_ipv4_hdr, hdr_checksum), &change, NULL);
}
