// SPDX-License-Identifier: BSD-3-Clause

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <netinet/in.h>
#include <string.h>

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>

#include "port/flow_hash.h"

struct packet {
	uint8_t bytes[128];
	size_t size;
};

static uint32_t hash(const struct packet *packet)
{
	struct rte_mbuf m = {.buf_addr = (void *)(uintptr_t)packet->bytes,
			     .data_len = (uint16_t)packet->size};

	return flow_hash(&m);
}

static struct packet packet_of(uint16_t ether_type, uint8_t protocol)
{
	struct packet p = {.bytes = {0}};

	p.bytes[12] = (uint8_t)(ether_type >> 8);
	p.bytes[13] = (uint8_t)ether_type;
	if (ether_type == RTE_ETHER_TYPE_IPV4) {
		p.bytes[14] = 0x45;
		p.bytes[14 + 9] = protocol;
		p.bytes[14 + 15] = 1; // the source's last byte
		p.size = 14 + 20 + 8;
	} else {
		p.bytes[14 + 6] = protocol;
		p.bytes[14 + 23] = 1;
		p.size = 14 + 40 + 8;
	}
	return p;
}

// The byte at this offset makes another flow of it, or does not.
static void assert_matters(const struct packet *packet, size_t offset, bool matters)
{
	struct packet other = *packet;

	other.bytes[offset] ^= 0x11;
	if (matters)
		assert_int_not_equal(hash(packet), hash(&other));
	else
		assert_int_equal(hash(packet), hash(&other));
}

static void addresses_protocol_and_ports_make_a_flow(void **state)
{
	struct packet udp4 = packet_of(RTE_ETHER_TYPE_IPV4, IPPROTO_UDP);
	struct packet tcp6 = packet_of(RTE_ETHER_TYPE_IPV6, IPPROTO_TCP);
	struct packet icmp4 = packet_of(RTE_ETHER_TYPE_IPV4, IPPROTO_ICMP);

	for (size_t i = 12; i < 20; i++)
		assert_matters(&udp4, 14 + i, true);
	for (size_t i = 8; i < 40; i++)
		assert_matters(&tcp6, 14 + i, true);
	for (size_t i = 0; i < 4; i++) {
		assert_matters(&udp4, 14 + 20 + i, true);
		assert_matters(&tcp6, 14 + 40 + i, true);
		assert_matters(&icmp4, 14 + 20 + i, false);
	}
	assert_matters(&udp4, 14 + 8, false);      // TTL
	assert_matters(&udp4, 14 + 4, false);      // identification
	assert_matters(&udp4, 14 + 20 + 6, false); // checksum
	assert_matters(&tcp6, 14 + 7, false);      // hop limit
	assert_matters(&udp4, 3, false);           // MAC
}

static void all_fragments_are_of_one_flow(void **state)
{
	struct packet first = packet_of(RTE_ETHER_TYPE_IPV4, IPPROTO_UDP), later = first;

	first.bytes[14 + 6] = 0x20; // more fragments
	later.bytes[14 + 7] = 0xb9;
	memset(&later.bytes[14 + 20], 0xaa, 8);
	assert_int_equal(hash(&first), hash(&later));
	first.bytes[14 + 6] = later.bytes[14 + 6] = 0x40; // may not be fragmented, and is not
	later.bytes[14 + 7] = 0;
	assert_int_not_equal(hash(&first), hash(&later));
}

static void what_is_short_or_no_ip_is_one_flow(void **state)
{
	struct packet arp = packet_of(RTE_ETHER_TYPE_ARP, 0);
	struct packet cut = packet_of(RTE_ETHER_TYPE_IPV6, IPPROTO_TCP);

	assert_int_equal(0, hash(&arp));
	cut.size = 14 + 39;
	assert_int_equal(0, hash(&cut));
	cut.size = 13;
	assert_int_equal(0, hash(&cut));
	cut.size = 14 + 40 + 3; // no ports to be read
	assert_matters(&cut, 14 + 40, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_protocol_and_ports_make_a_flow),
		cmocka_unit_test(all_fragments_are_of_one_flow),
		cmocka_unit_test(what_is_short_or_no_ip_is_one_flow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
