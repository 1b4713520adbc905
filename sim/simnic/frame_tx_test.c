// SPDX-License-Identifier: BSD-3-Clause
//
// The translation of what an application sends, without any netdev: the work it leaves to the NIC,
// however its mbufs are cut, and what happens when they lie.

#include <netinet/in.h>
#include <string.h>

#include <rte_ip.h>
#include <rte_tcp.h>

#include "sim/simnic/test_packet.h"

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
		assert_true(buffer->frame.iov[1].iov_len >= 256);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(checksums_are_prepared_for_the_kernel_however_headers_are_split),
		TEST(a_plain_mbuf_goes_out_as_it_is),
		TEST(a_long_segment_goes_out_whole),
		TEST(what_fits_in_one_segment_is_not_called_a_long_one),
		TEST(padding_is_not_part_of_the_checksum),
		TEST(contradicting_mbufs_are_refused),
		TEST(a_port_does_not_send_beyond_its_mtu),
		TEST(random_mbufs_do_no_harm),
	};

	return frame_tests_run(tests, RTE_DIM(tests));
}
