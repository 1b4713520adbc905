// SPDX-License-Identifier: BSD-3-Clause
//
// The translation between functions' frames and mbufs, without any netdev: what each side may leave
// undone, and what happens when it lies.

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "sim/simnic/frame.h"
#include "sim/simnic/test_support.h"

static const uint64_t checksums = RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
static const uint64_t everything = RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM |
				   RTE_ETH_RX_OFFLOAD_TCP_LRO | RTE_ETH_RX_OFFLOAD_SCATTER;

static struct rte_mempool *pool;
static unsigned int in_use;
static struct rte_eth_dev_data ethdev_data = {.port_id = 7};
static struct rte_eth_dev ethdev = {.data = &ethdev_data};
static struct function function;
static struct frame_buffer *buffer;

static int reset(void **state)
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

// No test leaks an mbuf.
static int check_pool(void **state)
{
	assert_int_equal(rte_mempool_in_use_count(pool), in_use);
	return 0;
}

// ---- packets --------------------------------------------------------------------------------------------

struct packet {
	uint8_t data[SIMNIC_FRAME_MAX + 64];
	uint32_t length, l3, l4; // offsets
	uint8_t protocol;
	bool ipv4;
};

static struct packet packet;

enum { EXTENSIONS = 1, TAGGED = 2, IPV6 = 4 };

// A TCP or UDP packet with this many bytes of payload and no layer-4 checksum.
static void build(uint8_t protocol, uint32_t payload, unsigned int options)
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
		memset(ip->src_addr, 0x11, 16);
		memset(ip->dst_addr, 0x22, 16);
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

static uint32_t checksum_offset(void)
{
	return packet.protocol == IPPROTO_TCP ? 16 : 6;
}

// The one's complement sum, by the book (RFC 1071), of pseudo header and layer 4; with
// `only_pseudo`, of that alone.
static uint16_t reference_sum(const uint8_t *data, bool only_pseudo)
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

static void assert_same_data(const struct rte_mbuf *mbuf)
{
	static uint8_t flat[SIMNIC_FRAME_MAX];
	const uint8_t *data;

	assert_int_equal(mbuf->pkt_len, packet.length);
	rte_mbuf_sanity_check(mbuf, 1);
	data = rte_pktmbuf_read(mbuf, 0, mbuf->pkt_len, flat);
	assert_memory_equal(data, packet.data, packet.length);
}

static void assert_checksum_good(struct rte_mbuf *mbuf)
{
	static uint8_t flat[SIMNIC_FRAME_MAX];

	assert_int_equal(mbuf->pkt_len, packet.length);
	assert_int_equal(reference_sum(rte_pktmbuf_read(mbuf, 0, mbuf->pkt_len, flat), false),
			 0xffff);
}

// ---- from the function ----------------------------------------------------------------------------------

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

// ---- from the application -------------------------------------------------------------------------------

// The packet in mbufs of these sizes; the last takes the rest.
static struct rte_mbuf *to_mbufs(const uint16_t *sizes, unsigned int count)
{
	struct rte_mbuf *head = NULL, *last = NULL;
	uint32_t at = 0;

	for (unsigned int i = 0; at < packet.length; i++) {
		struct rte_mbuf *mbuf = rte_pktmbuf_alloc(pool);
		uint32_t size = RTE_MIN(packet.length - at, i < count ? sizes[i] : 2048U);

		assert_non_null(mbuf);
		memcpy(rte_pktmbuf_append(mbuf, size), packet.data + at, size);
		at += size;
		if (head == NULL) {
			head = mbuf;
		} else {
			last->next = mbuf;
			head->nb_segs++;
			head->pkt_len += size;
		}
		last = mbuf;
	}
	return head;
}

static void set_lengths(struct rte_mbuf *mbuf, uint64_t flags, uint16_t segment_size)
{
	mbuf->ol_flags = flags | (packet.ipv4 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6);
	mbuf->l2_len = packet.l3;
	mbuf->l3_len = packet.l4 - packet.l3;
	mbuf->l4_len = packet.protocol == IPPROTO_TCP ? 20 : 8;
	mbuf->tso_segsz = segment_size;
}

// What writev would hand to the kernel, without the virtio-net header.
static const uint8_t *gathered(void)
{
	static uint8_t flat[SIMNIC_FRAME_MAX];
	const struct frame *frame = &buffer->frame;
	uint32_t at = 0;

	assert_ptr_equal(frame->iov[0].iov_base, &frame->vnet);
	assert_int_equal(frame->iov[0].iov_len, CARD_VNET_HEADER_SIZE);
	for (unsigned int i = 1; i < frame->parts; i++) {
		assert_true(at + frame->iov[i].iov_len <= sizeof(flat));
		memcpy(flat + at, frame->iov[i].iov_base, frame->iov[i].iov_len);
		at += frame->iov[i].iov_len;
	}
	assert_int_equal(at, packet.length);
	return flat;
}

static const uint16_t splits[][4] = {{2048},         {14, 20, 20}, {1, 1, 1, 50},
				     {33, 2, 18, 1}, {60, 100},    {2000, 7}};

static void a_plain_mbuf_goes_out_as_it_is(void **state)
{
	static const struct virtio_net_hdr none;
	struct rte_mbuf *mbuf;

	for (unsigned int i = 0; i < RTE_DIM(splits); i++) {
		build(IPPROTO_UDP, 1400, 0);
		mbuf = to_mbufs(splits[i], 4);
		assert_int_equal(frame_from_mbuf(buffer, &function, mbuf), FRAME_OK);
		assert_memory_equal(gathered(), packet.data, packet.length);
		assert_memory_equal(&buffer->frame.vnet, &none, sizeof(none));
		// The e-switch finds the headers in one piece.
		assert_true(buffer->frame.iov[1].iov_len >= 128);
		rte_pktmbuf_free(mbuf);
	}
}

static void checksums_are_prepared_for_the_kernel_however_headers_are_split(void **state)
{
	static const unsigned int shapes[] = {0, TAGGED, IPV6, IPV6 | EXTENSIONS};

	for (unsigned int i = 0; i < RTE_DIM(splits) * RTE_DIM(shapes) * 2; i++) {
		uint8_t protocol = i % 2 ? IPPROTO_TCP : IPPROTO_UDP;
		uint64_t flags = i % 2 ? RTE_MBUF_F_TX_TCP_CKSUM : RTE_MBUF_F_TX_UDP_CKSUM;
		struct rte_mbuf *mbuf;
		const uint8_t *sent;
		uint16_t sum;

		build(protocol, 1000, shapes[i / 2 % RTE_DIM(shapes)]);
		if (packet.ipv4) {
			packet.data[packet.l3 + 10] ^= 0x55; // garbage that must be replaced
			flags |= RTE_MBUF_F_TX_IP_CKSUM;
		}
		packet.data[packet.l4 + checksum_offset()] = 0x77;
		mbuf = to_mbufs(splits[i / 2 / RTE_DIM(shapes)], 4);
		set_lengths(mbuf, flags, 0);
		assert_int_equal(frame_from_mbuf(buffer, &function, mbuf), FRAME_OK);
		sent = gathered();
		assert_int_equal(buffer->frame.vnet.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
		assert_int_equal(buffer->frame.vnet.csum_start, packet.l4);
		assert_int_equal(buffer->frame.vnet.csum_offset, checksum_offset());
		assert_int_equal(buffer->frame.vnet.gso_type, VIRTIO_NET_HDR_GSO_NONE);
		memcpy(&sum, sent + packet.l4 + checksum_offset(), 2);
		assert_int_equal(ntohs(sum), reference_sum(packet.data, true));
		if (packet.ipv4)
			assert_int_equal(rte_raw_cksum(sent + packet.l3, 20), 0xffff);
		assert_memory_equal(sent + packet.l4 + 20, packet.data + packet.l4 + 20, 900);
		assert_same_data(mbuf); // nothing was written to the application's mbufs
		rte_pktmbuf_free(mbuf);
	}
}

static void a_long_segment_goes_out_whole(void **state)
{
	for (unsigned int i = 0; i < RTE_DIM(splits) * 2; i++) {
		struct virtio_net_hdr *vnet = &buffer->frame.vnet;
		struct rte_mbuf *mbuf;
		const uint8_t *sent;
		uint16_t sum;

		build(IPPROTO_TCP, 60000, i % 2 ? IPV6 : 0);
		if (i % 3 == 0)
			packet.data[packet.l4 + 13] |= RTE_TCP_CWR_FLAG;
		mbuf = to_mbufs(splits[i / 2], 4);
		set_lengths(mbuf,
			    RTE_MBUF_F_TX_TCP_SEG | (packet.ipv4 ? RTE_MBUF_F_TX_IP_CKSUM : 0),
			    1440);
		assert_int_equal(frame_from_mbuf(buffer, &function, mbuf), FRAME_OK);
		sent = gathered();
		assert_int_equal(vnet->flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
		assert_int_equal(vnet->gso_type & ~VIRTIO_NET_HDR_GSO_ECN,
				 packet.ipv4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6);
		assert_int_equal(!!(vnet->gso_type & VIRTIO_NET_HDR_GSO_ECN), i % 3 == 0);
		assert_int_equal(vnet->gso_size, 1440);
		assert_int_equal(vnet->hdr_len, packet.l4 + 20);
		memcpy(&sum, sent + packet.l4 + 16, 2);
		assert_int_equal(ntohs(sum), reference_sum(packet.data, true));
		rte_pktmbuf_free(mbuf);
	}
}

static void what_fits_in_one_segment_is_not_called_a_long_one(void **state)
{
	struct rte_mbuf *mbuf;

	build(IPPROTO_TCP, 1000, 0);
	mbuf = to_mbufs(NULL, 0);
	set_lengths(mbuf, RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_IP_CKSUM, 1000);
	assert_int_equal(frame_from_mbuf(buffer, &function, mbuf), FRAME_OK);
	assert_int_equal(buffer->frame.vnet.gso_type, VIRTIO_NET_HDR_GSO_NONE);
	assert_int_equal(buffer->frame.vnet.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	rte_pktmbuf_free(mbuf);
}

static void padding_is_not_part_of_the_checksum(void **state)
{
	struct rte_mbuf *mbuf;
	uint16_t sum;

	build(IPPROTO_UDP, 4, 0);
	packet.length += 14; // to Ethernet's 60 bytes
	mbuf = to_mbufs(NULL, 0);
	set_lengths(mbuf, RTE_MBUF_F_TX_UDP_CKSUM, 0);
	assert_int_equal(frame_from_mbuf(buffer, &function, mbuf), FRAME_OK);
	memcpy(&sum, gathered() + packet.l4 + 6, 2);
	packet.length -= 14;
	assert_int_equal(ntohs(sum), reference_sum(packet.data, true));
	rte_pktmbuf_free(mbuf);
}

enum lie {
	L2_SHORT,
	L3_SHORT,
	L3_ODD,
	L3_NOT_IHL,
	L4_BEYOND,
	NO_VERSION,
	BOTH_VERSIONS,
	IP_CKSUM_V6,
	NO_SEGSZ,
	L4_TINY,
	SCTP,
	TUNNEL,
	VLAN_INSERT,
	TOTAL_LENGTH_LONG,
	TOTAL_LENGTH_SHORT,
	NB_SEGS_MORE,
	NB_SEGS_LESS,
	PKT_LEN_MORE,
	PKT_LEN_LESS,
	WRONG_VERSION,
	UDP_SEG,
	LIES
};

static void tell_lie(struct rte_mbuf *mbuf, enum lie lie)
{
	uint8_t *l3 = rte_pktmbuf_mtod_offset(mbuf, uint8_t *, packet.l3);

	switch (lie) {
	case L2_SHORT:
		mbuf->l2_len = 13;
		break;
	case L3_SHORT:
		mbuf->l3_len = 16;
		break;
	case L3_ODD:
		mbuf->l3_len = 21;
		break;
	case L3_NOT_IHL:
		mbuf->l3_len = 24;
		break;
	case L4_BEYOND:
		mbuf->l3_len = 60;
		mbuf->l4_len = 60;
		mbuf->l2_len = 127;
		l3[0] = 0x4f;
		break;
	case NO_VERSION:
		mbuf->ol_flags &= ~RTE_MBUF_F_TX_IPV4;
		break;
	case BOTH_VERSIONS:
		mbuf->ol_flags |= RTE_MBUF_F_TX_IPV6;
		break;
	case IP_CKSUM_V6:
		mbuf->ol_flags ^= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IPV6;
		mbuf->l3_len = 40;
		break;
	case NO_SEGSZ:
		mbuf->tso_segsz = 0;
		break;
	case L4_TINY:
		mbuf->l4_len = 19;
		break;
	case SCTP:
		mbuf->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_SCTP_CKSUM;
		break;
	case TUNNEL:
		mbuf->ol_flags |= RTE_MBUF_F_TX_TUNNEL_VXLAN;
		break;
	case VLAN_INSERT:
		mbuf->ol_flags |= RTE_MBUF_F_TX_VLAN;
		break;
	case TOTAL_LENGTH_LONG:
		l3[3]++;
		break;
	case TOTAL_LENGTH_SHORT:
		l3[2] = 0;
		l3[3] = 20;
		break;
	case NB_SEGS_MORE:
		mbuf->nb_segs = 200;
		break;
	case NB_SEGS_LESS:
		mbuf->nb_segs = 1;
		break;
	case PKT_LEN_MORE:
		mbuf->pkt_len += 10;
		break;
	case PKT_LEN_LESS:
		mbuf->pkt_len -= 10;
		break;
	case WRONG_VERSION:
		l3[0] = 0x65;
		break;
	case UDP_SEG:
		mbuf->ol_flags |= RTE_MBUF_F_TX_UDP_CKSUM;
		break;
	case LIES:
		break;
	}
}

static void contradicting_mbufs_are_refused(void **state)
{
	for (enum lie lie = 0; lie <= LIES; lie++) {
		static const uint16_t split[] = {80};
		enum frame_result result;
		struct rte_mbuf *mbuf;
		uint16_t segments;
		uint32_t length;

		build(IPPROTO_TCP, 90, 0);
		mbuf = to_mbufs(split, 1);
		set_lengths(mbuf, RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_IP_CKSUM, 50);
		segments = mbuf->nb_segs;
		length = mbuf->pkt_len;
		tell_lie(mbuf, lie);
		result = frame_from_mbuf(buffer, &function, mbuf);
		if (result != (lie == LIES ? FRAME_OK : FRAME_BAD_OFFLOAD))
			fail_msg("lie %u: %d", lie, result);
		mbuf->nb_segs = segments;
		mbuf->pkt_len = length;
		rte_pktmbuf_free(mbuf);
	}
}

static void a_port_does_not_send_beyond_its_mtu(void **state)
{
	struct rte_mbuf *mbuf;

	function.port.mtu = 1000;
	build(IPPROTO_TCP, 1000 - 40, 0);
	mbuf = to_mbufs(NULL, 0);
	assert_int_equal(frame_from_mbuf(buffer, &function, mbuf), FRAME_OK);
	rte_pktmbuf_free(mbuf);
	build(IPPROTO_TCP, 1001 - 40, 0);
	mbuf = to_mbufs(NULL, 0);
	assert_int_equal(frame_from_mbuf(buffer, &function, mbuf), FRAME_OVERSIZE);
	set_lengths(mbuf, RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_IP_CKSUM, 960);
	assert_int_equal(frame_from_mbuf(buffer, &function, mbuf), FRAME_OK);
	set_lengths(mbuf, RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_IP_CKSUM, 961);
	assert_int_equal(frame_from_mbuf(buffer, &function, mbuf), FRAME_OVERSIZE);
	rte_pktmbuf_free(mbuf);
}

// ---- anything at all ------------------------------------------------------------------------------------

static uint32_t seed = 20261123;

static uint32_t random_below(uint32_t limit)
{
	seed = seed * 1664525 + 1013904223;
	return (uint32_t)(((uint64_t)seed * limit) >> 32);
}

// A value near the edges of what is valid more often than not.
static uint32_t random_near(uint32_t value, uint32_t limit)
{
	return random_below(3) == 0 ? random_below(limit) : value + random_below(5) - 2;
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

static void random_mbufs_do_no_harm(void **state)
{
	static const uint64_t flags[] = {RTE_MBUF_F_TX_IPV4,      RTE_MBUF_F_TX_IPV6,
					 RTE_MBUF_F_TX_IP_CKSUM,  RTE_MBUF_F_TX_TCP_CKSUM,
					 RTE_MBUF_F_TX_UDP_CKSUM, RTE_MBUF_F_TX_TCP_SEG,
					 RTE_MBUF_F_TX_VLAN};
	unsigned int good = 0;

	for (unsigned int i = 0; i < 20000; i++) {
		uint16_t sizes[4];
		struct rte_mbuf *mbuf;
		uint64_t chosen;

		build(random_below(2) ? IPPROTO_TCP : IPPROTO_UDP, random_below(3000),
		      random_below(8));
		for (unsigned int j = 0; j < RTE_DIM(sizes); j++)
			sizes[j] = 1 + random_below(random_below(2) ? 60 : 2000);
		for (unsigned int flips = random_below(4); flips > 0; flips--)
			packet.data[random_below(RTE_MIN(packet.length, 80U))] = random_below(256);
		mbuf = to_mbufs(sizes, RTE_DIM(sizes));
		chosen = packet.protocol == IPPROTO_TCP ? RTE_MBUF_F_TX_TCP_CKSUM
							: RTE_MBUF_F_TX_UDP_CKSUM;
		if (packet.protocol == IPPROTO_TCP && random_below(2))
			chosen |= RTE_MBUF_F_TX_TCP_SEG;
		set_lengths(mbuf, chosen, 1 + random_below(3000));
		if (random_below(3) == 0)
			mbuf->ol_flags ^= flags[random_below(RTE_DIM(flags))];
		if (random_below(3) == 0) {
			mbuf->l2_len = random_near(packet.l3, 128);
			mbuf->l3_len = random_near(packet.l4 - packet.l3, 512);
			mbuf->l4_len = random_near(20, 256);
		}
		if (frame_from_mbuf(buffer, &function, mbuf) == FRAME_OK) {
			(void)gathered();
			good++;
		}
		rte_pktmbuf_free(mbuf);
	}
	assert_in_range(good, 1000, 19999);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, reset, check_pool)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(a_frame_arrives_as_it_was_sent),
		TEST(a_jumbo_frame_arrives_in_a_chain),
		cmocka_unit_test_setup(
			a_checksum_is_left_to_the_application_only_if_it_asked_for_that, reset),
		TEST(a_finished_checksum_covers_a_chain_with_odd_segments),
		TEST(a_udp_checksum_of_zero_becomes_ones),
		cmocka_unit_test_setup(
			an_inner_checksum_is_finished_even_if_the_outer_would_be_left, reset),
		TEST(a_long_segment_arrives_whole_with_its_segment_size),
		TEST(the_mtu_is_a_limit_to_the_byte),
		TEST(an_empty_pool_is_said_and_nothing_leaks),
		TEST(impossible_netdev_headers_are_refused),
		TEST(runts_and_giants_are_refused),
		TEST(a_plain_mbuf_goes_out_as_it_is),
		cmocka_unit_test_setup(
			checksums_are_prepared_for_the_kernel_however_headers_are_split, reset),
		TEST(a_long_segment_goes_out_whole),
		TEST(what_fits_in_one_segment_is_not_called_a_long_one),
		TEST(padding_is_not_part_of_the_checksum),
		TEST(contradicting_mbufs_are_refused),
		TEST(a_port_does_not_send_beyond_its_mtu),
		TEST(random_headers_of_the_netdev_do_no_harm),
		TEST(random_mbufs_do_no_harm),
	};
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
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	free(buffer);
	rte_mempool_free(pool);
	rte_eal_cleanup();
	return failed;
}
