// SPDX-License-Identifier: BSD-3-Clause
//
// What a pod's stack leaves to the NIC, checksums and segmentation, through the graph: handed to the port out, or done
// here; and IPv4 fragmentation. Chains of segments.

#include "datapath/graph_test.h"

#include <netinet/in.h>

#include <rte_common.h>

static struct frame f, got;

enum { MSS = 1448 };

// A TCP packet as Linux leaves it to the NIC: the pseudo header's sum where the checksum will be.
static void make_tcp(bool ipv6, unsigned int extensions, size_t payload, uint8_t flags)
{
	frame_ether(&f, POD_A);
	if (ipv6) {
		frame_ip6(&f, A6, B6, IPPROTO_TCP);
		for (unsigned int i = 0; i < extensions; i++)
			frame_ip6_extension(&f, 60, IPPROTO_TCP, 0x0104);
		for (unsigned int i = 1; i < extensions; i++)
			f.bytes[f.l3 + 40 + 8 * (i - 1)] = 60;
	} else {
		frame_ip4(&f, A4, B4, IPPROTO_TCP);
		f.bytes[f.l3 + 6] = 0x40;
	}
	frame_tcp(&f, flags, 0xfffff000);
	frame_payload(&f, payload);
	frame_finish(&f);
}

static struct rte_mbuf *partial(const struct frame *frame, uint16_t segment_size)
{
	static struct frame copy;
	size_t field = frame->payload == frame->l4 + 8 ? 6 : 16;

	copy = *frame;
	copy.bytes[copy.l4 + field] = 0x5a; // whatever: it has to be filled in
	copy.bytes[copy.l4 + field + 1] = 0x5a;
	struct rte_mbuf *m = frame_to_mbuf(&copy, 0);
	m->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_NONE;
	if (segment_size > 0) {
		m->ol_flags |= RTE_MBUF_F_RX_LRO;
		m->tso_segsz = segment_size;
	}
	return m;
}

static struct datapath_port port_b(bool checksum, bool tso, bool chains)
{
	struct datapath_port config = graph_port_config(POD_B);

	config.tx_l4_checksum = config.tx_ipv4_checksum = checksum;
	config.tx_tso = tso;
	config.tx_multi_segs = chains;
	return config;
}

static uint16_t pseudo_sum(const struct frame *frame, uint8_t protocol, size_t size)
{
	bool ipv6 = frame->bytes[frame->l3] >> 4 == 6;

	return reference_sum(frame->bytes + frame->l3 + (ipv6 ? 8 : 12), ipv6 ? 32 : 8,
			     protocol + (uint32_t)size);
}

static uint16_t get16(const struct rte_mbuf *m, size_t offset)
{
	const uint8_t *at = rte_pktmbuf_mtod_offset(m, const uint8_t *, offset);

	return (uint16_t)(at[0] << 8 | at[1]);
}

// ---- checksums -----------------------------------------------------------------------------------

static void an_open_checksum_is_handed_to_the_port(void **state)
{
	for (unsigned int i = 0; i < 6; i++) {
		bool ipv6 = i > 1, tcp = i != 0 && i != 2;
		unsigned int extensions = i > 3 ? i - 3 : 0; // 4: one, 5: two

		if (tcp)
			make_tcp(ipv6, extensions, 100, 0x18);
		else if (ipv6)
			frame_udp6(&f, POD_A, A6, B6, 100);
		else
			frame_udp4(&f, POD_A, A4, B4, 100);
		push(POD_A, partial(&f, 0));
		run();
		assert_no_drops(POD_A);
		struct rte_mbuf *m = pull(POD_B);
		assert_non_null(m);
		uint64_t expected = (ipv6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4) |
				    (tcp ? RTE_MBUF_F_TX_TCP_CKSUM : RTE_MBUF_F_TX_UDP_CKSUM);
		assert_true(m->ol_flags == expected);
		assert_int_equal(14, m->l2_len);
		assert_int_equal(f.l4 - f.l3, m->l3_len);
		assert_int_equal(tcp ? 32 : 8, m->l4_len);
		assert_int_equal(pseudo_sum(&f, tcp ? IPPROTO_TCP : IPPROTO_UDP, f.size - f.l4),
				 get16(m, f.l4 + (tcp ? 16 : 6)));
		rte_pktmbuf_free(m);
	}
}

static void an_open_checksum_is_filled_in_for_a_port_that_cannot(void **state)
{
	struct datapath_port config = port_b(false, false, true);

	graph_replace_port(&config);
	for (size_t size = 0; size < 1400; size += 31) {
		for (unsigned int i = 0; i < 5; i++) {
			bool tcp = i != 0 && i != 2;

			if (tcp)
				make_tcp(i > 1, i > 3 ? 2 : 0, size, 0x18);
			else if (i == 2)
				frame_udp6(&f, POD_A, A6, B6, size);
			else
				frame_udp4(&f, POD_A, A4, B4, size);
			push(POD_A, partial(&f, 0));
			run();
			frame_as_forwarded(&f, POD_B); // with the checksum that it should have had
			assert_true(pull_frame(POD_B, &got));
			assert_int_equal(f.size, got.size);
			assert_memory_equal(f.bytes, got.bytes, f.size);
		}
	}
}

static void an_open_checksum_is_filled_in_over_a_chain(void **state)
{
	struct datapath_port config = port_b(false, false, true);

	config.mtu = 9000;
	graph_replace_port(&config);
	for (size_t segment = 3; segment < 120; segment += 7) { // odd sizes, too
		static struct frame copy;

		frame_udp4(&f, POD_A, A4, B4, 3001);
		copy = f;
		copy.bytes[copy.l4 + 6] = 0x77;
		struct rte_mbuf *m = frame_to_mbuf(&copy, segment);
		m->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_NONE;
		push(POD_A, m);
		run();
		frame_as_forwarded(&f, POD_B);
		assert_true(pull_frame(POD_B, &got));
		assert_int_equal(f.size, got.size);
		assert_memory_equal(f.bytes, got.bytes, f.size);
	}
}

// What Rx says of a packet means other things to Tx.
static void receive_flags_do_not_leak_into_transmission(void **state)
{
	frame_udp4(&f, POD_A, A4, B4, 100);
	struct rte_mbuf *m = frame_to_mbuf(&f, 0);
	m->ol_flags =
		RTE_MBUF_F_RX_RSS_HASH | RTE_MBUF_F_RX_L4_CKSUM_GOOD | RTE_MBUF_F_RX_IP_CKSUM_GOOD;
	push(POD_A, m);
	run();
	m = pull(POD_B);
	assert_non_null(m);
	assert_true(m->ol_flags == 0);
	rte_pktmbuf_free(m);
}

static void offload_flags_that_do_not_fit_are_counted(void **state)
{
	enum { CASES = 9 };

	for (unsigned int i = 0; i < CASES; i++) {
		uint16_t segment = 0;

		frame_udp4(&f, POD_A, A4, B4, 100);
		switch (i) {
		case 0: // not TCP or UDP
			f.bytes[f.l3 + 9] = IPPROTO_SCTP;
			break;
		case 1: // a fragment
			f.bytes[f.l3 + 6] = 0x20;
			break;
		case 2: // UDP has no segmentation
			segment = 1000;
			break;
		case 3: // a TCP header shorter than one can be
			make_tcp(false, 0, 2000, 0x10);
			f.bytes[f.l4 + 12] = 0x40;
			segment = 1000;
			break;
		case 4: // a TCP header longer than the packet
			make_tcp(false, 0, 0, 0x10);
			f.bytes[f.l4 + 12] = 0xf0;
			break;
		case 5: // a UDP header cut off
			f.bytes[f.l3 + 3] = 20 + 7;
			f.size = f.l4 + 7;
			break;
		case 6: // a fragment of IPv6
			frame_ether(&f, POD_A);
			frame_ip6(&f, A6, B6, 44);
			frame_ip6_extension(&f, 44, IPPROTO_UDP, 0x0001);
			frame_udp(&f, 53);
			frame_finish(&f);
			break;
		case 7: // a routing header: the checksum is over another destination
			frame_ether(&f, POD_A);
			frame_ip6(&f, A6, B6, 43);
			frame_ip6_extension(&f, 43, IPPROTO_UDP, 0x0401);
			frame_udp(&f, 53);
			frame_finish(&f);
			break;
		case 8: // a chain of headers that leads nowhere
			frame_ether(&f, POD_A);
			frame_ip6(&f, A6, B6, 60);
			for (unsigned int n = 0; n < 12; n++)
				frame_ip6_extension(&f, 60, 60, 0x0104);
			frame_finish(&f);
			break;
		}
		if (f.bytes[f.l3] >> 4 == 4)
			frame_fix_ip4(&f);
		struct rte_mbuf *m = frame_to_mbuf(&f, 0);
		m->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_NONE | (segment > 0 ? RTE_MBUF_F_RX_LRO : 0);
		m->tso_segsz = segment;
		push(POD_A, m);
		run();
		assert_dropped(POD_A, DROP_BAD_OFFLOAD);
		assert_nothing_out();
	}
	// A large frame that does not say how large its segments are.
	make_tcp(false, 0, 3000, 0x10);
	struct rte_mbuf *m = frame_to_mbuf(&f, 0);
	m->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_NONE | RTE_MBUF_F_RX_LRO;
	push(POD_A, m);
	run();
	assert_dropped(POD_A, DROP_BAD_OFFLOAD);
}

// ---- segmentation --------------------------------------------------------------------------------

static void a_large_frame_is_handed_to_the_port(void **state)
{
	for (unsigned int i = 0; i < 3; i++) {
		bool ipv6 = i > 0;

		make_tcp(ipv6, i > 1 ? 1 : 0, 60000, 0x18);
		push(POD_A, partial(&f, MSS - 100));
		run();
		assert_no_drops(POD_A);
		struct rte_mbuf *m = pull(POD_B);
		assert_non_null(m);
		assert_int_equal(f.size, m->pkt_len);
		uint64_t expected =
			RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM |
			(ipv6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM);
		assert_true(m->ol_flags == expected);
		assert_int_equal(14, m->l2_len);
		assert_int_equal(f.l4 - f.l3, m->l3_len);
		assert_int_equal(32, m->l4_len);
		assert_int_equal(MSS - 100, m->tso_segsz);
		// rte_mbuf_core.h: without the length, and the IPv4 checksum is the port's too.
		assert_int_equal(pseudo_sum(&f, IPPROTO_TCP, 0), get16(m, f.l4 + 16));
		if (!ipv6)
			assert_int_equal(0, get16(m, f.l3 + 10));
		rte_pktmbuf_free(m);
	}
}

static void a_port_without_ipv4_checksums_gets_a_whole_header(void **state)
{
	struct datapath_port config = port_b(true, true, true);

	config.tx_ipv4_checksum = false;
	graph_replace_port(&config);
	make_tcp(false, 0, 20000, 0x18);
	push(POD_A, partial(&f, MSS));
	run();
	struct rte_mbuf *m = pull(POD_B);
	assert_non_null(m);
	assert_false(m->ol_flags & RTE_MBUF_F_TX_IP_CKSUM);
	assert_int_equal(0xffff,
			 reference_sum(rte_pktmbuf_mtod_offset(m, const void *, f.l3), 20, 0));
	rte_pktmbuf_free(m);
}

static void a_large_frame_of_one_segment_is_an_ordinary_one(void **state)
{
	make_tcp(false, 0, MSS, 0x18);
	push(POD_A, partial(&f, MSS));
	run();
	struct rte_mbuf *m = pull(POD_B);
	assert_non_null(m);
	assert_true(m->ol_flags == (RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM));
	rte_pktmbuf_free(m);
}

// Put the segments together again, checking each.
static void assert_segments(const struct frame *large, size_t mss, bool filled)
{
	static struct frame whole;
	size_t headers = large->payload, count = 0;
	bool ipv6 = large->bytes[large->l3] >> 4 == 6;

	whole.size = headers;
	while (pull_frame(POD_B, &got)) {
		size_t offset = whole.size - headers, part = got.size - headers;
		uint32_t sequence = 0xfffff000 + (uint32_t)offset;
		bool last = whole.size + part == large->size;

		got.l4 = large->l4;
		assert_true(part == mss || last);
		if (ipv6) {
			assert_int_equal(got.size - got.l3 - 40,
					 got.bytes[18] << 8 | got.bytes[19]);
		} else {
			assert_int_equal(got.size - got.l3, got.bytes[16] << 8 | got.bytes[17]);
			assert_int_equal(0x1234 + count, got.bytes[18] << 8 | got.bytes[19]);
			assert_int_equal(0xffff, reference_sum(got.bytes + got.l3, 20, 0));
		}
		assert_int_equal(63, got.bytes[got.l3 + (ipv6 ? 7 : 8)]);
		sequence = htonl(sequence);
		assert_memory_equal(&sequence, got.bytes + got.l4 + 4, 4);
		// FIN and PSH on the last, CWR on the first, ACK on all.
		assert_int_equal(0x10 | (last ? 0x09 : 0) | (count == 0 ? 0x80 : 0),
				 got.bytes[got.l4 + 13]);
		assert_memory_equal(large->bytes + got.l4 + 20, got.bytes + got.l4 + 20, 12);
		if (filled)
			assert_true(l4_checksum_good(&got));
		memcpy(whole.bytes + whole.size, got.bytes + headers, part);
		whole.size += part;
		count++;
	}
	assert_int_equal((large->size - headers + mss - 1) / mss, count);
	assert_int_equal(large->size, whole.size);
	assert_memory_equal(large->bytes + headers, whole.bytes + headers, whole.size - headers);
}

static void a_large_frame_is_cut_for_a_port_that_cannot(void **state)
{
	for (unsigned int i = 0; i < 12; i++) {
		struct datapath_port config = port_b(i % 2 == 0, false, i % 4 < 2);
		bool ipv6 = i >= 4;

		graph_replace_port(&config);
		make_tcp(ipv6, i >= 8 ? 1 : 0, 30000 + i, 0x99);
		push(POD_A, partial(&f, MSS - 100));
		run();
		assert_no_drops(POD_A);
		assert_segments(&f, MSS - 100, !config.tx_l4_checksum);
	}
}

static void a_large_frame_in_too_many_pieces_is_counted(void **state)
{
	struct datapath_port config = port_b(true, false, true);

	graph_replace_port(&config);
	make_tcp(false, 0, 60000, 0x18);
	push(POD_A, partial(&f, 100));
	run();
	assert_dropped(POD_A, DROP_TX_UNSUPPORTED);
}

static void large_frames_must_fit_the_mtu_in_segments(void **state)
{
	// With don't fragment, and IPv6: an error.
	make_tcp(false, 0, 20000, 0x18);
	inet_pton(AF_INET, SMALL4, f.bytes + f.l3 + 16);
	frame_finish(&f);
	push(POD_A, partial(&f, MSS));
	run();
	assert_dropped(POD_A, DROP_TOO_BIG);
	assert_true(pull_frame(POD_A, &got));
	assert_int_equal(3, got.bytes[got.l4]);
	assert_int_equal(4, got.bytes[got.l4 + 1]);
	assert_int_equal(1280, got.bytes[got.l4 + 6] << 8 | got.bytes[got.l4 + 7]);
	assert_true(l4_checksum_good(&got));

	make_tcp(true, 0, 20000, 0x18);
	inet_pton(AF_INET6, SMALL6, f.bytes + f.l3 + 24);
	frame_finish(&f);
	push(POD_A, partial(&f, MSS));
	run();
	assert_dropped(POD_A, DROP_TOO_BIG);
	assert_true(pull_frame(POD_A, &got));
	assert_int_equal(2, got.bytes[got.l4]);
	assert_int_equal(1280, got.bytes[got.l4 + 6] << 8 | got.bytes[got.l4 + 7]);

	// Without: smaller segments.
	make_tcp(false, 0, 20000, 0x18);
	f.bytes[f.l3 + 6] = 0;
	inet_pton(AF_INET, SMALL4, f.bytes + f.l3 + 16);
	frame_finish(&f);
	push(POD_A, partial(&f, MSS));
	run();
	assert_no_drops(POD_A);
	struct rte_mbuf *m = pull(POD_SMALL);
	assert_non_null(m);
	assert_int_equal(1280 - 20 - 32, m->tso_segsz);
	rte_pktmbuf_free(m);

	// One that just fits.
	make_tcp(true, 0, 20000, 0x18);
	inet_pton(AF_INET6, SMALL6, f.bytes + f.l3 + 24);
	frame_finish(&f);
	push(POD_A, partial(&f, 1280 - 40 - 32));
	run();
	assert_no_drops(POD_A);
	m = pull(POD_SMALL);
	assert_non_null(m);
	rte_pktmbuf_free(m);
	assert_nothing_out();
}

// ---- fragmentation -------------------------------------------------------------------------------

// Put the fragments together as a receiver does (RFC 791); they come in order. `headers`: of the first.
static void assert_fragments(const struct frame *packet, size_t later_header, size_t first_offset)
{
	static struct frame whole;
	size_t begin = packet->l4, done = 0;
	bool more = true;

	memset(&whole, 0, sizeof(whole));
	while (pull_frame(POD_SMALL, &got)) {
		const uint8_t *ip = got.bytes + got.l3;
		size_t total = (size_t)(ip[2] << 8 | ip[3]), part = total - (got.l4 - got.l3);
		uint16_t field = (uint16_t)(ip[6] << 8 | ip[7]);

		assert_true(more);
		assert_true(total <= 1280);
		assert_int_equal(total, got.size - got.l3);
		assert_int_equal(0xffff, reference_sum(ip, got.l4 - got.l3, 0));
		assert_int_equal(first_offset + done, (field & 0x1fff) * 8u);
		assert_int_equal(done == 0 ? packet->l4 : got.l3 + later_header, got.l4);
		assert_memory_equal(packet->bytes + packet->l3 + 4, ip + 4, 2);
		assert_int_equal(63, ip[8]);
		assert_memory_equal(port_mac(POD_SMALL), got.bytes, 6);
		assert_memory_equal(router_mac, got.bytes + 6, 6);
		more = (field & 0x2000) != 0;
		memcpy(whole.bytes + begin + done, got.bytes + got.l4, part);
		done += part;
	}
	assert_int_equal(packet->size - begin, done);
	assert_memory_equal(packet->bytes + begin, whole.bytes + begin, done);
	assert_int_equal((packet->bytes[packet->l3 + 6] & 0x20) != 0, more);
}

static void a_packet_too_big_is_cut_into_fragments(void **state)
{
	for (size_t size = 1281 - 28; size < 9000; size += 97) {
		frame_udp4(&f, POD_A, A4, SMALL4, size);
		inject(POD_A, &f);
		assert_no_drops(POD_A);
		assert_fragments(&f, 20, 0);
	}
}

static void a_fragment_is_cut_into_smaller_ones(void **state)
{
	frame_udp4(&f, POD_A, A4, SMALL4, 1480);
	f.bytes[f.l3 + 6] = 0x20; // more follow
	f.bytes[f.l3 + 7] = 0xb9; // 185 * 8 bytes on
	frame_fix_ip4(&f);
	inject(POD_A, &f);
	assert_fragments(&f, 20, 0xb9 * 8);
}

// RFC 791 section 3.1: only some options go into every fragment.
static void options_go_into_fragments_as_they_say(void **state)
{
	static const uint8_t options[12] = {0x82, 11, 1, 2, 3, 4,
					    5,    6,  7, 8, 9, 0}; // security: copied

	frame_ether(&f, POD_A);
	frame_ip4(&f, A4, SMALL4, IPPROTO_UDP);
	frame_ip4_options(&f, options, sizeof(options));
	frame_udp(&f, 53);
	frame_payload(&f, 4000);
	frame_finish(&f);
	inject(POD_A, &f);
	assert_fragments(&f, 32, 0);

	frame_ether(&f, POD_A);
	frame_ip4(&f, A4, SMALL4, IPPROTO_UDP);
	frame_ip4_options(&f, (uint8_t[12]){7, 11, 4}, 12); // record route: not copied
	frame_udp(&f, 53);
	frame_payload(&f, 4000);
	frame_finish(&f);
	inject(POD_A, &f);
	assert_fragments(&f, 20, 0);
}

static void a_chain_is_cut_into_fragments(void **state)
{
	for (size_t segment = 100; segment < 2000; segment += 171) {
		frame_udp4(&f, POD_A, A4, SMALL4, 8000);
		push(POD_A, frame_to_mbuf(&f, segment));
		run();
		assert_no_drops(POD_A);
		assert_fragments(&f, 20, 0);
	}
}

static void the_checksum_is_filled_in_before_a_packet_is_cut(void **state)
{
	frame_udp4(&f, POD_A, A4, SMALL4, 3000);
	push(POD_A, partial(&f, 0));
	run();
	assert_no_drops(POD_A);
	assert_fragments(&f, 20, 0); // the payload includes the UDP header with the right checksum
}

static void fragments_are_made_whole_for_a_port_without_chains(void **state)
{
	struct datapath_port config = graph_port_config(POD_SMALL);

	config.tx_multi_segs = false;
	graph_replace_port(&config);
	frame_udp4(&f, POD_A, A4, SMALL4, 5000);
	inject(POD_A, &f);
	assert_fragments(&f, 20, 0);
	frame_udp4(&f, POD_A, A4, SMALL4, 1200);
	push(POD_A, frame_to_mbuf(&f, 100));
	run();
	struct rte_mbuf *m = pull(POD_SMALL);
	assert_non_null(m);
	assert_int_equal(1, m->nb_segs);
	rte_pktmbuf_free(m);
}

// A chain that no buffer is large enough for.
static void a_chain_that_cannot_be_made_whole_is_counted(void **state)
{
	struct datapath_port config = graph_port_config(POD_B);

	config.tx_multi_segs = false;
	config.mtu = 9000;
	graph_replace_port(&config);
	frame_udp4(&f, POD_A, A4, B4, 8000);
	inject(POD_A, &f);
	assert_dropped(POD_A, DROP_TX_UNSUPPORTED);
	assert_nothing_out();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GRAPH_TEST(an_open_checksum_is_handed_to_the_port),
		GRAPH_TEST(an_open_checksum_is_filled_in_for_a_port_that_cannot),
		GRAPH_TEST(an_open_checksum_is_filled_in_over_a_chain),
		GRAPH_TEST(receive_flags_do_not_leak_into_transmission),
		GRAPH_TEST(offload_flags_that_do_not_fit_are_counted),
		GRAPH_TEST(a_large_frame_is_handed_to_the_port),
		GRAPH_TEST(a_port_without_ipv4_checksums_gets_a_whole_header),
		GRAPH_TEST(a_large_frame_of_one_segment_is_an_ordinary_one),
		GRAPH_TEST(a_large_frame_is_cut_for_a_port_that_cannot),
		GRAPH_TEST(a_large_frame_in_too_many_pieces_is_counted),
		GRAPH_TEST(large_frames_must_fit_the_mtu_in_segments),
		GRAPH_TEST(a_packet_too_big_is_cut_into_fragments),
		GRAPH_TEST(a_fragment_is_cut_into_smaller_ones),
		GRAPH_TEST(options_go_into_fragments_as_they_say),
		GRAPH_TEST(a_chain_is_cut_into_fragments),
		GRAPH_TEST(the_checksum_is_filled_in_before_a_packet_is_cut),
		GRAPH_TEST(fragments_are_made_whole_for_a_port_without_chains),
		GRAPH_TEST(a_chain_that_cannot_be_made_whole_is_counted),
	};

	return cmocka_run_group_tests(tests, graph_start, graph_stop);
}
