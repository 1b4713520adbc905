// SPDX-License-Identifier: BSD-3-Clause
//
// Frames for the graph's tests, byte by byte, with checksums by the letter of RFC 1071.

#include <netinet/in.h>

#include "datapath/graph_test.h"

static uint8_t *extend(struct frame *f, size_t size)
{
	uint8_t *at = f->bytes + f->size;

	assert_true(f->size + size <= FRAME_MAX);
	memset(at, 0, size);
	f->size += size;
	return at;
}

static void put16(uint8_t *at, size_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

void frame_append(struct frame *f, const void *bytes, size_t size)
{
	memcpy(extend(f, size), bytes, size);
}

// ---- checksums -----------------------------------------------------------------------------------

uint16_t reference_sum(const void *bytes, size_t size, uint32_t start)
{
	const uint8_t *b = bytes;
	uint32_t sum = start;

	for (size_t i = 0; i < size; i++)
		sum += i % 2 == 0 ? (uint32_t)b[i] << 8 : b[i];
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static bool is_ip6(const struct frame *f)
{
	return f->bytes[f->l3] >> 4 == 6;
}

static uint8_t l4_protocol(const struct frame *f)
{
	if (!is_ip6(f))
		return f->bytes[f->l3 + 9];
	// With extension headers, the last of them is right before layer 4 and 8 bytes long here.
	return f->l4 == f->l3 + 40 ? f->bytes[f->l3 + 6] : f->bytes[f->l4 - 8];
}

static size_t l4_size(const struct frame *f)
{
	const uint8_t *ip = f->bytes + f->l3;

	if (is_ip6(f))
		return (size_t)(ip[4] << 8 | ip[5]) + 40 - (f->l4 - f->l3);
	return (size_t)(ip[2] << 8 | ip[3]) - (f->l4 - f->l3);
}

// Of layer 4 with its pseudo header; ICMP has none.
static uint16_t l4_sum(const struct frame *f)
{
	const uint8_t *ip = f->bytes + f->l3;
	uint8_t protocol = l4_protocol(f);
	size_t size = l4_size(f);
	uint32_t sum = 0;

	if (protocol != IPPROTO_ICMP) {
		sum = reference_sum(is_ip6(f) ? ip + 8 : ip + 12, is_ip6(f) ? 32 : 8, 0);
		sum += protocol + (uint32_t)size;
	}
	return reference_sum(f->bytes + f->l4, size, sum);
}

bool l4_checksum_good(const struct frame *f)
{
	return l4_sum(f) == 0xffff;
}

static size_t l4_checksum_offset(uint8_t protocol)
{
	switch (protocol) {
	case IPPROTO_UDP:
		return 6;
	case IPPROTO_TCP:
		return 16;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return 2;
	default:
		return 0;
	}
}

static void fix_l4(struct frame *f)
{
	size_t offset = l4_checksum_offset(l4_protocol(f));

	if (offset == 0 || l4_size(f) < offset + 2)
		return;
	put16(f->bytes + f->l4 + offset, 0);
	put16(f->bytes + f->l4 + offset, (uint16_t)~l4_sum(f));
}

void frame_fix_ip4(struct frame *f)
{
	uint8_t *ip = f->bytes + f->l3;

	put16(ip + 10, 0);
	put16(ip + 10, (uint16_t)~reference_sum(ip, (ip[0] & 15u) * 4u, 0));
}

void frame_fix_icmp6(struct frame *f)
{
	fix_l4(f);
}

// ---- layers --------------------------------------------------------------------------------------

void frame_ether(struct frame *f, unsigned int from)
{
	f->size = 0;
	frame_append(f, router_mac, 6);
	frame_append(f, port_mac(from), 6);
	extend(f, 2);
	f->l3 = f->size;
}

void frame_ip4(struct frame *f, const char *source, const char *destination, uint8_t protocol)
{
	put16(f->bytes + 12, 0x0800);
	uint8_t *ip = extend(f, 20);
	ip[0] = 0x45;
	put16(ip + 4, 0x1234); // identification
	ip[8] = 64;
	ip[9] = protocol;
	assert_int_equal(1, inet_pton(AF_INET, source, ip + 12));
	assert_int_equal(1, inet_pton(AF_INET, destination, ip + 16));
	f->l4 = f->payload = f->size;
}

void frame_ip4_options(struct frame *f, const uint8_t *options, size_t size)
{
	frame_append(f, options, size);
	f->bytes[f->l3] = (uint8_t)(0x40 | (20 + size) / 4);
	f->l4 = f->payload = f->size;
}

void frame_ip6(struct frame *f, const char *source, const char *destination, uint8_t protocol)
{
	put16(f->bytes + 12, 0x86dd);
	uint8_t *ip = extend(f, 40);
	ip[0] = 0x60;
	ip[6] = protocol;
	ip[7] = 64;
	assert_int_equal(1, inet_pton(AF_INET6, source, ip + 8));
	assert_int_equal(1, inet_pton(AF_INET6, destination, ip + 24));
	f->l4 = f->payload = f->size;
}

void frame_ip6_extension(struct frame *f, uint8_t type, uint8_t protocol, uint16_t value)
{
	if (f->l4 == f->l3 + 40)
		f->bytes[f->l3 + 6] = type;
	else
		f->bytes[f->l4 - 8] = type;
	uint8_t *header = extend(f, 8);
	header[0] = protocol;
	put16(header + 2, value);
	f->l4 = f->payload = f->size;
}

void frame_udp(struct frame *f, uint16_t port)
{
	uint8_t *udp = extend(f, 8);

	put16(udp, 40000);
	put16(udp + 2, port);
	f->payload = f->size;
}

void frame_tcp(struct frame *f, uint8_t flags, uint32_t sequence)
{
	uint8_t *tcp = extend(f, 32);

	put16(tcp, 40000);
	put16(tcp + 2, 80);
	put16(tcp + 4, sequence >> 16);
	put16(tcp + 6, sequence & 0xffff);
	tcp[12] = 32 / 4 << 4; // with 12 bytes of options, as Linux has them
	tcp[13] = flags;
	memset(tcp + 20, 1, 12);
	f->payload = f->size;
}

void frame_icmp(struct frame *f, uint8_t type, uint8_t code)
{
	uint8_t *icmp = extend(f, 8);

	icmp[0] = type;
	icmp[1] = code;
	put16(icmp + 4, 0xabcd);
	put16(icmp + 6, 7);
	f->payload = f->size;
}

void frame_payload(struct frame *f, size_t size)
{
	uint8_t *payload = extend(f, size);

	for (size_t i = 0; i < size; i++)
		payload[i] = (uint8_t)(i * 7 + i / 256);
}

void frame_finish(struct frame *f)
{
	uint8_t *ip = f->bytes + f->l3;

	if (is_ip6(f)) {
		put16(ip + 4, f->size - f->l3 - 40);
	} else {
		put16(ip + 2, f->size - f->l3);
		frame_fix_ip4(f);
	}
	if (l4_protocol(f) == IPPROTO_UDP && f->payload > f->l4)
		put16(f->bytes + f->l4 + 4, f->size - f->l4);
	fix_l4(f);
}

// ---- whole packets -------------------------------------------------------------------------------

void frame_udp4(struct frame *f, unsigned int from, const char *source, const char *destination,
		size_t payload)
{
	frame_ether(f, from);
	frame_ip4(f, source, destination, IPPROTO_UDP);
	frame_udp(f, 53);
	frame_payload(f, payload);
	frame_finish(f);
}

void frame_udp6(struct frame *f, unsigned int from, const char *source, const char *destination,
		size_t payload)
{
	frame_ether(f, from);
	frame_ip6(f, source, destination, IPPROTO_UDP);
	frame_udp(f, 53);
	frame_payload(f, payload);
	frame_finish(f);
}

void frame_echo4(struct frame *f, unsigned int from, const char *source, const char *destination,
		 size_t payload)
{
	frame_ether(f, from);
	frame_ip4(f, source, destination, IPPROTO_ICMP);
	frame_icmp(f, 8, 0);
	frame_payload(f, payload);
	frame_finish(f);
}

void frame_echo6(struct frame *f, unsigned int from, const char *source, const char *destination,
		 size_t payload)
{
	frame_ether(f, from);
	frame_ip6(f, source, destination, IPPROTO_ICMPV6);
	frame_icmp(f, 128, 0);
	frame_payload(f, payload);
	frame_finish(f);
}

void frame_arp(struct frame *f, unsigned int from, uint16_t operation, const char *sender,
	       const char *target)
{
	frame_ether(f, from);
	memset(f->bytes, 0xff, 6);
	put16(f->bytes + 12, 0x0806);
	frame_append(f, (uint8_t[]){0, 1, 8, 0, 6, 4, 0, (uint8_t)operation}, 8);
	frame_append(f, port_mac(from), 6);
	assert_int_equal(1, inet_pton(AF_INET, sender, extend(f, 4)));
	extend(f, 6);
	assert_int_equal(1, inet_pton(AF_INET, target, extend(f, 4)));
}

void frame_solicitation(struct frame *f, unsigned int from, const char *source,
			const char *destination, const char *target, bool source_mac)
{
	frame_ether(f, from);
	frame_ip6(f, source, destination, IPPROTO_ICMPV6);
	f->bytes[f->l3 + 7] = 255;
	const uint8_t *group = f->bytes + f->l3 + 24;
	if (group[0] == 0xff)
		memcpy(f->bytes,
		       (uint8_t[]){0x33, 0x33, group[12], group[13], group[14], group[15]}, 6);
	uint8_t *nd = extend(f, 24);
	nd[0] = 135;
	assert_int_equal(1, inet_pton(AF_INET6, target, nd + 8));
	if (source_mac) {
		frame_append(f, (uint8_t[]){1, 1}, 2);
		frame_append(f, port_mac(from), 6);
	}
	frame_finish(f);
}

void frame_as_forwarded(struct frame *f, unsigned int to)
{
	uint8_t *ip = f->bytes + f->l3;

	memcpy(f->bytes, port_mac(to), 6);
	memcpy(f->bytes + 6, router_mac, 6);
	if (is_ip6(f)) {
		ip[7]--;
		f->size = f->l3 + 40 + (size_t)(ip[4] << 8 | ip[5]); // without padding
	} else {
		ip[8]--;
		frame_fix_ip4(f);
		f->size = f->l3 + (size_t)(ip[2] << 8 | ip[3]);
	}
}
