// SPDX-License-Identifier: BSD-3-Clause
//
// The translation of what a function sent, without any netdev: what its stack may leave undone, and
// what happens when its header lies.

#include <netinet/in.h>
#include <string.h>

#include <rte_ip.h>

#include "sim/simnic/test_packet.h"

static const uint64_t checksums = RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
static const uint64_t everything = RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM |
				   RTE_ETH_RX_OFFLOAD_TCP_LRO | RTE_ETH_RX_OFFLOAD_SCATTER;

// Leave the checksum to the receiver, as the kernel does.
static struct virtio_net_hdr unfinished(uint16_t gso_size)
{
	uint16_t sum = htons(reference_sum(packet.data, true));
	struct virtio_net_hdr vnet = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.csum_start = packet.l4,
		.csum_offset = checksum_offset(),
		.gso_size = gso_size,
	};

	memcpy(packet.data + packet.l4 + checksum_offset(), &sum, 2);
	if (gso_size > 0)
		vnet.gso_type = packet.ipv4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
	return vnet;
}

static enum frame_result receive(const struct virtio_net_hdr *vnet, struct rte_mbuf **ret_mbuf)
{
	enum frame_result result;

	memcpy(buffer->received.vnet, vnet, sizeof(*vnet));
	memcpy(buffer->received.data, packet.data,
	       RTE_MIN(packet.length, sizeof(buffer->received.data)));
	result = frame_from_netdev(buffer, &function, CARD_VNET_HEADER_SIZE + packet.length);
	return result == FRAME_OK ? frame_to_mbuf(&buffer->frame, &function.port, ret_mbuf)
				  : result;
}

static void assert_checksum_good(struct rte_mbuf *mbuf)
{
	static uint8_t flat[SIMNIC_FRAME_MAX];

	assert_int_equal(mbuf->pkt_len, packet.length);
	assert_int_equal(reference_sum(rte_pktmbuf_read(mbuf, 0, mbuf->pkt_len, flat), false),
			 0xffff);
}

static void a_frame_arrives_as_it_was_sent(void **state)
{
	struct virtio_net_hdr vnet = {0};
	struct rte_mbuf *mbuf;

	build(IPPROTO_UDP, 100, 0);
	assert_int_equal(receive(&vnet, &mbuf), FRAME_OK);
	assert_same_data(mbuf);
	assert_int_equal(mbuf->port, 7);
	assert_int_equal(mbuf->nb_segs, 1);
	assert_int_equal(mbuf->ol_flags, 0);
	rte_pktmbuf_free(mbuf);
}

static void a_jumbo_frame_arrives_in_a_chain(void **state)
{
	struct virtio_net_hdr vnet = {0};
	struct rte_mbuf *mbuf;

	function.port.mtu = 9000;
	build(IPPROTO_UDP, 9000 - 28, 0);
	assert_int_equal(receive(&vnet, &mbuf), FRAME_OVERSIZE); // no scatter
	function.port.rx_offloads = RTE_ETH_RX_OFFLOAD_SCATTER;
	assert_int_equal(receive(&vnet, &mbuf), FRAME_OK);
	assert_int_equal(mbuf->nb_segs, 5);
	assert_same_data(mbuf);
	rte_pktmbuf_free(mbuf);
}

static void a_checksum_is_left_to_the_application_only_if_it_asked_for_that(void **state)
{
	static const unsigned int shapes[] = {0, TAGGED, IPV6, IPV6 | TAGGED, IPV6 | EXTENSIONS};
	static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP};
	struct virtio_net_hdr vnet;
	struct rte_mbuf *mbuf;

	for (unsigned int i = 0; i < RTE_DIM(shapes) * RTE_DIM(protocols); i++) {
		build(protocols[i % 2], 333, shapes[i / 2]);
		vnet = unfinished(0);
		function.port.rx_offloads = checksums;
		assert_int_equal(receive(&vnet, &mbuf), FRAME_OK);
		assert_same_data(mbuf);
		assert_int_equal(mbuf->ol_flags, RTE_MBUF_F_RX_L4_CKSUM_NONE);
		rte_pktmbuf_free(mbuf);

		function.port.rx_offloads = 0;
		assert_int_equal(receive(&vnet, &mbuf), FRAME_OK);
		assert_checksum_good(mbuf);
		assert_int_equal(mbuf->ol_flags, 0);
		rte_pktmbuf_free(mbuf);

		// The other protocol's does not count.
		function.port.rx_offloads = protocols[i % 2] == IPPROTO_TCP
						    ? RTE_ETH_RX_OFFLOAD_UDP_CKSUM
						    : RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
		assert_int_equal(receive(&vnet, &mbuf), FRAME_OK);
		assert_checksum_good(mbuf);
		rte_pktmbuf_free(mbuf);
	}
}

static void a_finished_checksum_covers_a_chain_with_odd_segments(void **state)
{
	struct virtio_net_hdr vnet;
	struct rte_mbuf *mbuf;

	function.port.mtu = 9000;
	function.port.rx_offloads = RTE_ETH_RX_OFFLOAD_SCATTER;
	for (uint32_t payload = 2000; payload < 8000; payload += 371) {
		function.port.rx.segment_size = 601 + payload % 7;
		build(IPPROTO_UDP, payload, 0);
		vnet = unfinished(0);
		assert_int_equal(receive(&vnet, &mbuf), FRAME_OK);
		assert_true(mbuf->nb_segs > 3);
		assert_checksum_good(mbuf);
		rte_pktmbuf_free(mbuf);
	}
}

// RFC 768: a UDP checksum that is computed as zero is sent as all ones; zero says there is none.
static void a_udp_checksum_of_zero_becomes_ones(void **state)
{
	struct virtio_net_hdr vnet;
	struct rte_mbuf *mbuf;
	uint16_t sum;

	build(IPPROTO_UDP, 2, 0);
	memset(packet.data + packet.l4 + 8, 0, 2);
	sum = htons(~reference_sum(packet.data,
				   false)); // brings the sum to all ones, the checksum to zero
	memcpy(packet.data + packet.l4 + 8, &sum, 2);
	vnet = unfinished(0);
	assert_int_equal(receive(&vnet, &mbuf), FRAME_OK);
	memcpy(&sum, rte_pktmbuf_mtod_offset(mbuf, uint8_t *, packet.l4 + 6), 2);
	assert_int_equal(sum, 0xffff);
	rte_pktmbuf_free(mbuf);
}

// Say, VXLAN by the pod's own stack: the unfinished checksum is the inner one, which the flag cannot say.
static void an_inner_checksum_is_finished_even_if_the_outer_would_be_left(void **state)
{
	struct virtio_net_hdr vnet = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_offset = 16};
	struct rte_mbuf *mbuf;
	uint16_t sum;

	build(IPPROTO_UDP, 200, 0);
	vnet.csum_start = packet.l4 + 8 + 8 + 14 + 20;
	function.port.rx_offloads = everything;
	assert_int_equal(receive(&vnet, &mbuf), FRAME_OK);
	assert_int_equal(mbuf->ol_flags, 0);
	sum = ~rte_raw_cksum(packet.data + vnet.csum_start, packet.length - vnet.csum_start);
	memcpy(packet.data + vnet.csum_start + vnet.csum_offset, &sum, sizeof(sum));
	assert_same_data(mbuf);
	rte_pktmbuf_free(mbuf);
}

// Nobody who takes it over could: the rest of what the checksum covers is in other frames, or it is not there at all.
static void
the_checksum_of_a_fragment_is_finished_even_if_that_of_a_packet_would_be_left(void **state)
{
	struct virtio_net_hdr vnet;
	struct rte_mbuf *mbuf;
	uint16_t sum;

	function.port.rx_offloads = everything;
	for (unsigned int tcp = 0; tcp < 2; tcp++) {
		build(tcp ? IPPROTO_TCP : IPPROTO_UDP, 200, 0);
		packet.data[packet.l3 + 6] |= 0x20; // more fragments
		vnet = unfinished(0);
		assert_int_equal(receive(&vnet, &mbuf), FRAME_OK);
		assert_int_equal(mbuf->ol_flags, 0);
		sum = ~rte_raw_cksum(packet.data + packet.l4, packet.length - packet.l4);
		memcpy(packet.data + packet.l4 + vnet.csum_offset, &sum, sizeof(sum));
		assert_same_data(mbuf);
		rte_pktmbuf_free(mbuf);
	}
	vnet = unfinished(100);
	assert_int_equal(receive(&vnet, &mbuf), FRAME_BAD_OFFLOAD);
}

static void a_long_segment_arrives_whole_with_its_segment_size(void **state)
{
	struct virtio_net_hdr vnet;
	struct rte_mbuf *mbuf;

	function.port.rx_offloads = everything;
	for (unsigned int ipv6 = 0; ipv6 < 2; ipv6++) {
		build(IPPROTO_TCP, 65000, ipv6 ? IPV6 : 0);
		vnet = unfinished(1440);
		vnet.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
		assert_int_equal(receive(&vnet, &mbuf), FRAME_OK);
		assert_same_data(mbuf);
		assert_int_equal(mbuf->ol_flags, RTE_MBUF_F_RX_LRO | RTE_MBUF_F_RX_L4_CKSUM_NONE);
		assert_int_equal(mbuf->tso_segsz, 1440);
		rte_pktmbuf_free(mbuf);
	}
	// One that does not expect it never sees it.
	function.port.rx_offloads = checksums | RTE_ETH_RX_OFFLOAD_SCATTER;
	assert_int_equal(receive(&vnet, &mbuf), FRAME_BAD_OFFLOAD);
}

static void the_mtu_is_a_limit_to_the_byte(void **state)
{
	struct virtio_net_hdr vnet = {0};
	struct rte_mbuf *mbuf;

	function.port.mtu = 1000;
	function.port.rx_offloads = everything;
	build(IPPROTO_UDP, 1000 - 28, 0);
	assert_int_equal(receive(&vnet, &mbuf), FRAME_OK);
	rte_pktmbuf_free(mbuf);
	build(IPPROTO_UDP, 1001 - 28, 0);
	assert_int_equal(receive(&vnet, &mbuf), FRAME_OVERSIZE);
	build(IPPROTO_UDP, 1000 - 28, TAGGED);
	assert_int_equal(receive(&vnet, &mbuf), FRAME_OK);
	rte_pktmbuf_free(mbuf);
	build(IPPROTO_UDP, 1001 - 28, TAGGED);
	assert_int_equal(receive(&vnet, &mbuf), FRAME_OVERSIZE);
	// For a long segment, what its pieces will be on the wire counts.
	build(IPPROTO_TCP, 5000, 0);
	vnet = unfinished(960);
	assert_int_equal(receive(&vnet, &mbuf), FRAME_OK);
	rte_pktmbuf_free(mbuf);
	vnet = unfinished(961);
	assert_int_equal(receive(&vnet, &mbuf), FRAME_OVERSIZE);
}

static void an_empty_pool_is_said_and_nothing_leaks(void **state)
{
	struct virtio_net_hdr vnet = {0};
	struct rte_mbuf *all[1024], *mbuf;
	unsigned int size = pool->size;

	assert_true(size <= RTE_DIM(all));
	assert_int_equal(rte_pktmbuf_alloc_bulk(pool, all, size), 0);
	build(IPPROTO_UDP, 100, 0);
	assert_int_equal(receive(&vnet, &mbuf), FRAME_NO_MBUF);
	rte_pktmbuf_free_bulk(all, size);
}

static void impossible_netdev_headers_are_refused(void **state)
{
	static const struct {
		struct virtio_net_hdr vnet;
		uint32_t payload;
		enum frame_result result;
	} cases[] = {
		{{.flags = 1, .csum_start = 0xffff, .csum_offset = 0xffff}, 100, FRAME_BAD_OFFLOAD},
		{{.flags = 1, .csum_start = 153, .csum_offset = 0},
		 100,
		 FRAME_BAD_OFFLOAD}, // of 154 bytes
		{{.flags = 1, .csum_start = 152, .csum_offset = 0}, 100, FRAME_OK},
		{{.flags = 1, .csum_start = 0, .csum_offset = 0}, 100, FRAME_OK},
		{{.gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 100}, 100, FRAME_BAD_OFFLOAD},
		{{.flags = 1,
		  .csum_start = 34,
		  .csum_offset = 16,
		  .gso_type = VIRTIO_NET_HDR_GSO_TCPV4},
		 100,
		 FRAME_BAD_OFFLOAD},
		{{.flags = 1,
		  .csum_start = 34,
		  .csum_offset = 6,
		  .gso_type = VIRTIO_NET_HDR_GSO_UDP,
		  .gso_size = 8},
		 100,
		 FRAME_BAD_OFFLOAD},
		{{.flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 0x7f, .gso_size = 8},
		 100,
		 FRAME_BAD_OFFLOAD},
		// A long segment whose checksum is not where its TCP header is.
		{{.flags = 1,
		  .csum_start = 40,
		  .csum_offset = 16,
		  .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		  .gso_size = 8},
		 100,
		 FRAME_BAD_OFFLOAD},
	};

	function.port.rx_offloads = everything;
	for (unsigned int i = 0; i < RTE_DIM(cases); i++) {
		struct rte_mbuf *mbuf;
		enum frame_result result;

		build(IPPROTO_TCP, cases[i].payload, 0);
		result = receive(&cases[i].vnet, &mbuf);
		if (result == FRAME_OK)
			rte_pktmbuf_free(mbuf);
		if (result != cases[i].result)
			fail_msg("case %u: %d instead of %d", i, result, cases[i].result);
	}
}

static void runts_and_giants_are_refused(void **state)
{
	struct virtio_net_hdr vnet = {0};
	struct rte_mbuf *mbuf;

	build(IPPROTO_UDP, 100, 0);
	for (packet.length = 0; packet.length < RTE_ETHER_HDR_LEN; packet.length++)
		assert_int_equal(receive(&vnet, &mbuf), FRAME_RUNT);
	assert_int_equal(frame_from_netdev(buffer, &function, 3), FRAME_RUNT);
	packet.length = RTE_ETHER_HDR_LEN;
	assert_int_equal(receive(&vnet, &mbuf), FRAME_OK);
	rte_pktmbuf_free(mbuf);
	packet.length = SIMNIC_FRAME_MAX + 1;
	assert_int_equal(receive(&vnet, &mbuf), FRAME_OVERSIZE);
}

static void random_headers_of_the_netdev_do_no_harm(void **state)
{
	unsigned int good = 0;

	for (unsigned int i = 0; i < 20000; i++) {
		struct virtio_net_hdr vnet;
		struct rte_mbuf *mbuf;

		build(random_below(2) ? IPPROTO_TCP : IPPROTO_UDP, random_below(3000),
		      random_below(8));
		vnet = unfinished(random_below(2) ? 1 + random_below(3000) : 0);
		for (unsigned int flips = random_below(4); flips > 0; flips--)
			packet.data[random_below(RTE_MIN(packet.length, 80U))] = random_below(256);
		if (random_below(2)) {
			vnet.flags = random_below(8);
			vnet.gso_type = random_below(8) | (random_below(2) << 7);
			vnet.csum_start = random_near(packet.l4, 65536);
			vnet.csum_offset = random_near(checksum_offset(), 65536);
		}
		if (random_below(4) == 0)
			packet.length = random_below(packet.length);
		function.port.rx_offloads = everything & ((uint64_t)random_below(0x10000) << 0 |
							  random_below(2) * everything);
		if (receive(&vnet, &mbuf) == FRAME_OK) {
			assert_int_equal(mbuf->pkt_len, packet.length);
			rte_mbuf_sanity_check(mbuf, 1);
			rte_pktmbuf_free(mbuf);
			good++;
		}
	}
	assert_in_range(good, 1000, 19999);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_checksum_is_left_to_the_application_only_if_it_asked_for_that),
		TEST(an_inner_checksum_is_finished_even_if_the_outer_would_be_left),
		TEST(the_checksum_of_a_fragment_is_finished_even_if_that_of_a_packet_would_be_left),
		TEST(a_frame_arrives_as_it_was_sent),
		TEST(a_jumbo_frame_arrives_in_a_chain),
		TEST(a_finished_checksum_covers_a_chain_with_odd_segments),
		TEST(a_udp_checksum_of_zero_becomes_ones),
		TEST(a_long_segment_arrives_whole_with_its_segment_size),
		TEST(the_mtu_is_a_limit_to_the_byte),
		TEST(an_empty_pool_is_said_and_nothing_leaks),
		TEST(impossible_netdev_headers_are_refused),
		TEST(runts_and_giants_are_refused),
		TEST(random_headers_of_the_netdev_do_no_harm),
	};

	return frame_tests_run(tests, RTE_DIM(tests));
}
