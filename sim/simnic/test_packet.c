// SPDX-License-Identifier: BSD-3-Clause
//
// See test_packet.h. Sums are computed the slow way of RFC 1071, not with the code that is tested.

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "sim/simnic/test_packet.h"

struct rte_mempool *pool;
struct function function;
struct frame_buffer *buffer;
struct packet packet;

static unsigned int in_use;
static struct rte_eth_dev_data ethdev_data = {.port_id = 7};
static struct rte_eth_dev ethdev = {.data = &ethdev_data};

int reset(void **state)
{
	memset(&function, 0, sizeof(function));
	function.port.ethdev = &ethdev;
	function.port.mtu = 1500;
	function.port.rx.pool = pool;
	function.port.rx.segment_size = rte_pktmbuf_data_room_size(pool) - RTE_PKTMBUF_HEADROOM;
	memset(buffer, 0, sizeof(*buffer));
	in_use = rte_mempool_in_use_count(pool);
	return 0;
}

int check_pool(void **state)
{
	assert_int_equal(rte_mempool_in_use_count(pool), in_use);
	return 0;
}

void build(uint8_t protocol, uint32_t payload, unsigned int options)
{
	uint32_t at = RTE_ETHER_HDR_LEN, header = protocol == IPPROTO_TCP ? 20 : 8;
	uint16_t type = options & IPV6 ? RTE_ETHER_TYPE_IPV6 : RTE_ETHER_TYPE_IPV4;
	uint32_t extensions = options & EXTENSIONS ? 16 : 0;

	memset(&packet, 0, sizeof(packet));
	memset(packet.data, 0x02, 12);
	packet.ipv4 = !(options & IPV6);
	packet.protocol = protocol;
	if (options & TAGGED) {
		packet.data[12] = 0x81;
		packet.data[15] = 0x05;
		at += 4;
	}
	packet.data[at - 2] = type >> 8;
	packet.data[at - 1] = type & 0xff;
	packet.l3 = at;
	if (packet.ipv4) {
		struct rte_ipv4_hdr *ip = (void *)(packet.data + at);

		ip->version_ihl = 0x45;
		ip->total_length = htons(20 + header + payload);
		ip->time_to_live = 64;
		ip->next_proto_id = protocol;
		ip->src_addr = htonl(0x0a090001);
		ip->dst_addr = htonl(0x0a090002);
		ip->hdr_checksum = rte_ipv4_cksum(ip);
		at += 20;
	} else {
		struct rte_ipv6_hdr *ip = (void *)(packet.data + at);

		ip->vtc_flow = htonl(0x60000000);
		ip->payload_len = htons(extensions + header + payload);
		ip->proto = extensions ? IPPROTO_HOPOPTS : protocol;
		ip->hop_limits = 64;
		memset(&ip->src_addr, 0x11, 16);
		memset(&ip->dst_addr, 0x22, 16);
		at += 40;
		if (extensions) { // hop-by-hop, then destination options, 8 bytes each
			packet.data[at] = IPPROTO_DSTOPTS;
			packet.data[at + 8] = protocol;
			at += 16;
		}
	}
	packet.l4 = at;
	if (protocol == IPPROTO_TCP) {
		packet.data[at + 12] = 5 << 4;
		packet.data[at + 13] = RTE_TCP_ACK_FLAG;
	} else {
		packet.data[at + 4] = (8 + payload) >> 8;
		packet.data[at + 5] = 8 + payload;
	}
	at += header;
	for (uint32_t i = 0; i < payload; i++)
		packet.data[at + i] = i * 7 + (i >> 8);
	packet.length = at + payload;
}

uint32_t checksum_offset(void)
{
	return packet.protocol == IPPROTO_TCP ? 16 : 6;
}

// `only_pseudo`, of that alone.
uint16_t reference_sum(const uint8_t *data, bool only_pseudo)
{
	uint32_t l4_length = packet.length - packet.l4, sum = packet.protocol + l4_length;
	uint32_t from = packet.l3 + (packet.ipv4 ? 12 : 8), to = from + (packet.ipv4 ? 8 : 32);

	for (uint32_t i = from; i < to; i += 2)
		sum += data[i] << 8 | data[i + 1];
	for (uint32_t i = 0; i < l4_length && !only_pseudo; i++)
		sum += i % 2 == 0 ? data[packet.l4 + i] << 8 : data[packet.l4 + i];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

void assert_same_data(const struct rte_mbuf *mbuf)
{
	static uint8_t flat[SIMNIC_FRAME_MAX];
	const uint8_t *data;

	assert_int_equal(mbuf->pkt_len, packet.length);
	rte_mbuf_sanity_check(mbuf, 1);
	data = rte_pktmbuf_read(mbuf, 0, mbuf->pkt_len, flat);
	assert_memory_equal(data, packet.data, packet.length);
}

static uint32_t seed = 20261123;

uint32_t random_below(uint32_t limit)
{
	seed = seed * 1664525 + 1013904223;
	return (uint32_t)(((uint64_t)seed * limit) >> 32);
}

uint32_t random_near(uint32_t value, uint32_t limit)
{
	return random_below(3) == 0 ? random_below(limit) : value + random_below(5) - 2;
}

int frame_tests_run(const struct CMUnitTest *tests, size_t count)
{
	char arguments[][20] = {"frame_test", "--no-huge",     "-m", "32", "--no-shconf",
				"--no-pci",   "--no-telemetry"};
	char *pointers[RTE_DIM(arguments)];
	int failed;

	for (unsigned int i = 0; i < RTE_DIM(arguments); i++)
		pointers[i] = arguments[i];
	if (rte_eal_init(RTE_DIM(arguments), pointers) < 0)
		return 1;
	pool = rte_pktmbuf_pool_create("mbufs", 511, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
				       SOCKET_ID_ANY);
	if (pool == NULL ||
	    posix_memalign((void **)&buffer, RTE_CACHE_LINE_SIZE, sizeof(*buffer)) != 0)
		return 1;
	failed = _cmocka_run_group_tests("simnic", tests, count, NULL, NULL);
	free(buffer);
	rte_mempool_free(pool);
	rte_eal_cleanup();
	return failed;
}
