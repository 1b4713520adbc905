// SPDX-License-Identifier: BSD-3-Clause
//
// IPv6 through the graph: what is passed on and how it looks then, what is not, and what its sender is told.

#include "datapath/graph_test.h"

#include <netinet/in.h>

#include <rte_common.h>

static struct frame f, got;

// ---- passed on -----------------------------------------------------------------------------------

static void pods_and_host_reach_each_other(void **state)
{
	frame_udp6(&f, POD_A, A6, B6, 100);
	assert_forwards(POD_A, &f, POD_B);
	frame_echo6(&f, POD_B, B6, A6, 56);
	assert_forwards(POD_B, &f, POD_A);
	frame_udp6(&f, POD_A, A6, GATEWAY6, 100);
	assert_forwards(POD_A, &f, HOST);
	frame_udp6(&f, HOST, GATEWAY6, A6, 100);
	assert_forwards(HOST, &f, POD_A);
	frame_udp6(&f, HOST, OUTSIDE6, A6, 100); // of another interface of the host
	assert_forwards(HOST, &f, POD_A);
	frame_udp6(&f, POD_A, A6, A6, 100); // to itself
	assert_forwards(POD_A, &f, POD_A);
}

static void every_hop_limit_is_one_less(void **state)
{
	for (unsigned int limit = 2; limit < 256; limit++) {
		frame_udp6(&f, POD_A, A6, B6, 8);
		f.bytes[f.l3 + 7] = (uint8_t)limit;
		assert_forwards(POD_A, &f, POD_B);
	}
}

static void class_and_flow_label_are_kept(void **state)
{
	frame_udp6(&f, POD_A, A6, B6, 8);
	memcpy(f.bytes + f.l3, (uint8_t[]){0x6f, 0xff, 0xff, 0xff}, 4);
	assert_forwards(POD_A, &f, POD_B);
}

static void padding_is_taken_off(void **state)
{
	frame_udp6(&f, POD_A, A6, B6, 1);
	frame_append(&f, (uint8_t[40]){0xee}, 40);
	assert_forwards(POD_A, &f, POD_B);
	frame_ether(&f, POD_A);
	frame_ip6(&f, A6, B6, 59); // no next header, and no payload
	frame_append(&f, (uint8_t[6]){0xee}, 6);
	assert_forwards(POD_A, &f, POD_B);
}

static void extension_headers_are_passed_on_untouched(void **state)
{
	static const uint8_t types[] = {0, 43, 44, 51, 60, 135, 139, 140, 253};

	for (size_t i = 0; i < RTE_DIM(types); i++) {
		frame_ether(&f, POD_A);
		frame_ip6(&f, A6, B6, 0);
		frame_ip6_extension(&f, types[i], IPPROTO_UDP, 0x0104);
		frame_udp(&f, 53);
		frame_payload(&f, 20);
		frame_finish(&f);
		assert_forwards(POD_A, &f, POD_B);
	}
	frame_ether(&f, POD_A); // far more than the router would look through
	frame_ip6(&f, A6, B6, 0);
	for (unsigned int i = 0; i < 100; i++)
		frame_ip6_extension(&f, 60, IPPROTO_UDP, 0x0104);
	frame_udp(&f, 53);
	frame_finish(&f);
	assert_forwards(POD_A, &f, POD_B);
	frame_ether(&f, POD_A); // one that says it is longer than the packet
	frame_ip6(&f, A6, B6, 0);
	frame_ip6_extension(&f, 60, IPPROTO_UDP, 0);
	f.bytes[f.l4 - 7] = 200;
	frame_finish(&f);
	assert_forwards(POD_A, &f, POD_B);
}

static void the_largest_packet_of_the_mtu_passes(void **state)
{
	frame_udp6(&f, POD_A, A6, B6, 1500 - 48);
	assert_forwards(POD_A, &f, POD_B);
	frame_udp6(&f, POD_A, A6, SMALL6, 1280 - 48);
	assert_forwards(POD_A, &f, POD_SMALL);
}

// ---- not passed on -------------------------------------------------------------------------------

static void malformed_headers_are_counted(void **state)
{
	for (unsigned int version = 0; version < 16; version++) {
		frame_udp6(&f, POD_A, A6, B6, 100);
		f.bytes[f.l3] = (uint8_t)(version << 4);
		if (version != 6)
			assert_drops(POD_A, &f, DROP_MALFORMED);
	}
	frame_udp6(&f, POD_A, A6, B6, 100);
	f.bytes[f.l3 + 5]++; // one byte more than there is
	assert_drops(POD_A, &f, DROP_TRUNCATED);
	f.bytes[f.l3 + 4] = f.bytes[f.l3 + 5] = 0xff;
	assert_drops(POD_A, &f, DROP_TRUNCATED);
}

static void a_pod_can_send_from_its_own_address_only(void **state)
{
	static const char *const sources[] = {
		B6, GATEWAY6, NOBODY6, OUTSIDE6, "fe80::1", "::ffff:10.88.0.10", "fd00:88::10:0"};

	for (size_t i = 0; i < RTE_DIM(sources); i++) {
		frame_udp6(&f, POD_A, sources[i], B6, 10);
		assert_drops(POD_A, &f, DROP_SPOOFED_ADDRESS);
	}
	frame_udp6(&f, POD_IP4_ONLY, "fd00:88::13", B6, 10);
	assert_drops(POD_IP4_ONLY, &f, DROP_SPOOFED_ADDRESS);
	frame_udp6(&f, POD_A, LINK_LOCAL6, B6, 10);
	assert_drops(POD_A, &f, DROP_LINK_LOCAL);
}

static void the_host_cannot_send_as_a_pod_or_the_router(void **state)
{
	static const char *const sources[] = {A6, B6, "fe80::1"};

	for (size_t i = 0; i < RTE_DIM(sources); i++) {
		frame_udp6(&f, HOST, sources[i], B6, 10);
		assert_drops(HOST, &f, DROP_SPOOFED_ADDRESS);
	}
	frame_udp6(&f, HOST, LINK_LOCAL6, B6, 10);
	assert_drops(HOST, &f, DROP_LINK_LOCAL);
}

static void martians_are_counted(void **state)
{
	static const char *const sources[] = {"::", "::1", "ff02::1", "ff0e::1"};
	static const char *const destinations[] = {"::", "::1"};

	for (size_t i = 0; i < RTE_DIM(sources); i++) {
		frame_udp6(&f, POD_A, sources[i], B6, 10);
		assert_drops(POD_A, &f, DROP_MARTIAN_SOURCE);
		frame_udp6(&f, HOST, sources[i], B6, 10);
		assert_drops(HOST, &f, DROP_MARTIAN_SOURCE);
	}
	for (size_t i = 0; i < RTE_DIM(destinations); i++) {
		frame_udp6(&f, POD_A, A6, destinations[i], 10);
		assert_drops(POD_A, &f, DROP_MARTIAN_DESTINATION);
	}
	frame_udp6(&f, POD_A, A6, "fe80::2", 10);
	assert_drops(POD_A, &f, DROP_LINK_LOCAL);
}

// ---- errors --------------------------------------------------------------------------------------

static void an_expired_hop_limit_is_told(void **state)
{
	for (uint8_t limit = 0; limit < 2; limit++) {
		frame_udp6(&f, POD_A, A6, B6, 10);
		f.bytes[f.l3 + 7] = limit;
		assert_error6(POD_A, &f, DROP_TTL_EXPIRED, 3, 0, 0, GATEWAY6);
	}
	frame_udp6(&f, POD_A, A6, B6, 1400); // more than an error quotes
	f.bytes[f.l3 + 7] = 1;
	assert_error6(POD_A, &f, DROP_TTL_EXPIRED, 3, 0, 0, GATEWAY6);
}

static void an_unreachable_address_is_told(void **state)
{
	frame_udp6(&f, POD_A, A6, NOBODY6, 10);
	assert_error6(POD_A, &f, DROP_NO_SUCH_POD, 1, 3, 0, GATEWAY6);
	frame_udp6(&f, POD_A, A6, OUTSIDE6, 10);
	assert_error6(POD_A, &f, DROP_NO_ROUTE, 1, 0, 0, GATEWAY6);
	frame_echo6(&f, POD_A, A6, NOBODY6, 10);
	assert_error6(POD_A, &f, DROP_NO_SUCH_POD, 1, 3, 0, GATEWAY6);
	datapath_port_remove(POD_B);
	frame_udp6(&f, POD_A, A6, B6, 10);
	assert_error6(POD_A, &f, DROP_NO_SUCH_POD, 1, 3, 0, GATEWAY6);
}

static void errors_to_the_host_come_from_the_router(void **state)
{
	frame_udp6(&f, HOST, GATEWAY6, NOBODY6, 10);
	assert_error6(HOST, &f, DROP_NO_SUCH_POD, 1, 3, 0, "fe80::1");
}

static void a_packet_too_big_is_told_with_the_mtu(void **state)
{
	frame_udp6(&f, POD_A, A6, SMALL6, 1281 - 48);
	assert_error6(POD_A, &f, DROP_TOO_BIG, 2, 0, 1280, GATEWAY6);
}

// RFC 4443 section 2.4 (e).
static void some_packets_get_no_error(void **state)
{
	static const uint8_t errors[] = {0, 1, 2, 3, 4, 127};

	for (size_t i = 0; i < RTE_DIM(errors); i++) {
		frame_echo6(&f, POD_A, A6, NOBODY6, 28);
		f.bytes[f.l4] = errors[i];
		frame_fix_icmp6(&f);
		assert_drops(POD_A, &f, DROP_NO_SUCH_POD);

		frame_ether(&f, POD_A); // also behind extension headers
		frame_ip6(&f, A6, NOBODY6, 0);
		frame_ip6_extension(&f, 60, IPPROTO_ICMPV6, 0x0104);
		frame_ip6_extension(&f, 0, IPPROTO_ICMPV6, 0x0104);
		f.bytes[f.l3 + 6] = 60;
		f.bytes[f.l3 + 40] = 60;
		frame_icmp(&f, errors[i], 0);
		frame_finish(&f);
		assert_drops(POD_A, &f, DROP_NO_SUCH_POD);
	}
	frame_ether(&f, POD_A); // an ICMPv6 message that has no type
	frame_ip6(&f, A6, NOBODY6, IPPROTO_ICMPV6);
	frame_finish(&f);
	assert_drops(POD_A, &f, DROP_NO_SUCH_POD);

	frame_ether(&f, POD_A); // the middle of what may be an error
	frame_ip6(&f, A6, NOBODY6, 44);
	frame_ip6_extension(&f, 44, IPPROTO_ICMPV6, 0x0008);
	frame_payload(&f, 20);
	frame_finish(&f);
	assert_drops(POD_A, &f, DROP_NO_SUCH_POD);

	frame_ether(&f, POD_A); // a chain of headers that leads out of the packet
	frame_ip6(&f, A6, NOBODY6, 60);
	frame_ip6_extension(&f, 60, IPPROTO_UDP, 0);
	f.bytes[f.l4 - 7] = 9;
	frame_finish(&f);
	assert_drops(POD_A, &f, DROP_NO_SUCH_POD);

	frame_ether(&f, POD_A); // but of a fragment of something else
	frame_ip6(&f, A6, NOBODY6, 44);
	frame_ip6_extension(&f, 44, IPPROTO_UDP, 0x0008);
	frame_payload(&f, 20);
	frame_finish(&f);
	assert_error6(POD_A, &f, DROP_NO_SUCH_POD, 1, 3, 0, GATEWAY6);
}

static void errors_are_limited_in_rate(void **state)
{
	unsigned int told = 0;

	frame_udp6(&f, POD_A, A6, NOBODY6, 10);
	for (unsigned int i = 0; i < 500; i++)
		inject(POD_A, &f);
	assert_dropped_n(POD_A, DROP_NO_SUCH_POD, 500);
	while (pull_frame(POD_A, &got))
		told++;
	assert_in_range(told, 50, 100);
}

// ---- the router itself ---------------------------------------------------------------------------

static void assert_echo_answer(unsigned int slot, const struct frame *echo)
{
	static struct frame expected;

	expected = *echo;
	memcpy(expected.bytes, port_mac(slot), 6);
	memcpy(expected.bytes + 6, router_mac, 6);
	memcpy(expected.bytes + expected.l3 + 8, echo->bytes + echo->l3 + 24, 16);
	memcpy(expected.bytes + expected.l3 + 24, echo->bytes + echo->l3 + 8, 16);
	expected.bytes[expected.l3 + 7] = 64;
	expected.bytes[expected.l4] = 129;
	frame_finish(&expected);
	inject(slot, echo);
	assert_no_drops(slot);
	assert_true(pull_frame(slot, &got));
	assert_int_equal(expected.size, got.size);
	assert_memory_equal(expected.bytes, got.bytes, expected.size);
	assert_nothing_out();
}

static void the_router_answers_echo(void **state)
{
	for (size_t size = 0; size <= 1452; size += 23) {
		frame_echo6(&f, POD_A, A6, "fe80::1", size);
		assert_echo_answer(POD_A, &f);
	}
	frame_echo6(&f, POD_A, LINK_LOCAL6, "fe80::1", 56);
	assert_echo_answer(POD_A, &f);
	frame_echo6(&f, HOST, GATEWAY6, "fe80::1", 56);
	assert_echo_answer(HOST, &f);
	f.bytes[f.l3 + 7] = 1; // arrived is arrived
	assert_echo_answer(HOST, &f);
	// Every checksum, for the sake of its carries: identifier and sequence shift it.
	for (unsigned int i = 0; i < 0x10000; i += 5) {
		frame_echo6(&f, POD_A, A6, "fe80::1", 0);
		f.bytes[f.l4 + 4] = (uint8_t)(i >> 8);
		f.bytes[f.l4 + 5] = (uint8_t)i;
		frame_finish(&f);
		inject(POD_A, &f);
		assert_true(pull_frame(POD_A, &got));
		assert_true(l4_checksum_good(&got));
	}
}

static void without_a_host_port_the_router_answers_for_the_gateway(void **state)
{
	datapath_port_remove(HOST);
	frame_echo6(&f, POD_A, A6, GATEWAY6, 56);
	assert_echo_answer(POD_A, &f);
}

static void the_router_has_no_other_service(void **state)
{
	frame_udp6(&f, POD_A, A6, "fe80::1", 10);
	assert_error6(POD_A, &f, DROP_NOT_FOR_ROUTER, 1, 4, 0, GATEWAY6);
	frame_udp6(&f, POD_A, LINK_LOCAL6, "fe80::1", 10);
	assert_error6(POD_A, &f, DROP_NOT_FOR_ROUTER, 1, 4, 0, "fe80::1");
	frame_ether(&f, POD_A);
	frame_ip6(&f, A6, "fe80::1", 89);
	frame_payload(&f, 20);
	frame_finish(&f);
	assert_drops(POD_A, &f, DROP_NOT_FOR_ROUTER);
	for (unsigned int type = 0; type < 256; type++) {
		if (type == 128 || (type >= 133 && type <= 137))
			continue;
		frame_echo6(&f, POD_A, A6, "fe80::1", 10);
		f.bytes[f.l4] = (uint8_t)type;
		frame_finish(&f);
		assert_drops(POD_A, &f, DROP_NOT_FOR_ROUTER);
	}
	frame_ether(&f, POD_A); // it does not reassemble
	frame_ip6(&f, A6, "fe80::1", 44);
	frame_ip6_extension(&f, 44, IPPROTO_ICMPV6, 1);
	frame_icmp(&f, 128, 0);
	frame_finish(&f);
	assert_drops(POD_A, &f, DROP_NOT_FOR_ROUTER);
}

static void a_broken_echo_is_counted(void **state)
{
	frame_echo6(&f, POD_A, A6, "fe80::1", 101);
	f.bytes[f.size - 1] ^= 1;
	assert_drops(POD_A, &f, DROP_BAD_CHECKSUM);
	for (size_t size = 0; size < 8; size++) {
		frame_ether(&f, POD_A);
		frame_ip6(&f, A6, "fe80::1", IPPROTO_ICMPV6);
		frame_append(&f, (uint8_t[8]){128}, size);
		frame_finish(&f);
		assert_drops(POD_A, &f, DROP_TRUNCATED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GRAPH_TEST(pods_and_host_reach_each_other),
		GRAPH_TEST(every_hop_limit_is_one_less),
		GRAPH_TEST(class_and_flow_label_are_kept),
		GRAPH_TEST(padding_is_taken_off),
		GRAPH_TEST(extension_headers_are_passed_on_untouched),
		GRAPH_TEST(the_largest_packet_of_the_mtu_passes),
		GRAPH_TEST(malformed_headers_are_counted),
		GRAPH_TEST(a_pod_can_send_from_its_own_address_only),
		GRAPH_TEST(the_host_cannot_send_as_a_pod_or_the_router),
		GRAPH_TEST(martians_are_counted),
		GRAPH_TEST(an_expired_hop_limit_is_told),
		GRAPH_TEST(an_unreachable_address_is_told),
		GRAPH_TEST(errors_to_the_host_come_from_the_router),
		GRAPH_TEST(a_packet_too_big_is_told_with_the_mtu),
		GRAPH_TEST(some_packets_get_no_error),
		GRAPH_TEST(errors_are_limited_in_rate),
		GRAPH_TEST(the_router_answers_echo),
		GRAPH_TEST(without_a_host_port_the_router_answers_for_the_gateway),
		GRAPH_TEST(the_router_has_no_other_service),
		GRAPH_TEST(a_broken_echo_is_counted),
	};

	return cmocka_run_group_tests(tests, graph_start, graph_stop);
}
