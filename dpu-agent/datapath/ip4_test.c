// SPDX-License-Identifier: BSD-3-Clause
//
// IPv4 through the graph: what is passed on and how it looks then, what is not, and what its sender is told.

#include "datapath/graph_test.h"

#include <netinet/in.h>

#include <rte_common.h>

static struct frame f, got;

// ---- passed on -----------------------------------------------------------------------------------

static void pods_and_host_reach_each_other(void **state)
{
	frame_udp4(&f, POD_A, A4, B4, 100);
	assert_forwards(POD_A, &f, POD_B);
	frame_echo4(&f, POD_B, B4, A4, 56);
	assert_forwards(POD_B, &f, POD_A);
	frame_udp4(&f, POD_A, A4, GATEWAY4, 100);
	memcpy(f.bytes, router_mac, 6);
	inject(POD_A, &f);
	frame_as_forwarded(&f, HOST);
	assert_true(pull_frame(HOST, &got));
	assert_memory_equal(f.bytes, got.bytes, f.size);
	frame_udp4(&f, HOST, GATEWAY4, A4, 100);
	assert_forwards(HOST, &f, POD_A);
	frame_udp4(&f, HOST, OUTSIDE4, A4, 100); // of another interface of the host
	assert_forwards(HOST, &f, POD_A);
	frame_udp4(&f, POD_A, A4, A4, 100); // to itself
	assert_forwards(POD_A, &f, POD_A);
}

static void every_ttl_and_checksum_carry_is_right(void **state)
{
	for (unsigned int ttl = 2; ttl < 256; ttl++) {
		for (unsigned int id = 0; id < 0x10000; id += 0x1fff) {
			frame_udp4(&f, POD_A, A4, B4, 8);
			f.bytes[f.l3 + 8] = (uint8_t)ttl;
			f.bytes[f.l3 + 4] = (uint8_t)(id >> 8);
			f.bytes[f.l3 + 5] = (uint8_t)id;
			frame_fix_ip4(&f);
			assert_forwards(POD_A, &f, POD_B);
		}
	}
	// The header's checksum itself at both ends of its range, which is where the carry is.
	for (unsigned int id = 0; id < 0x10000; id++) {
		frame_udp4(&f, POD_A, A4, B4, 8);
		f.bytes[f.l3 + 4] = (uint8_t)(id >> 8);
		f.bytes[f.l3 + 5] = (uint8_t)id;
		frame_fix_ip4(&f);
		if (f.bytes[f.l3 + 10] < 0xfe && f.bytes[f.l3 + 10] > 0x01)
			continue;
		// 0 may also be sent as 0xffff, which is the same to RFC 1071; only then there is a carry.
		if (f.bytes[f.l3 + 10] == 0 && f.bytes[f.l3 + 11] == 0)
			f.bytes[f.l3 + 10] = f.bytes[f.l3 + 11] = 0xff;
		inject(POD_A, &f);
		assert_true(pull_frame(POD_B, &got));
		assert_int_equal(0xffff, reference_sum(got.bytes + got.l3, 20, 0));
	}
}

static void padding_is_taken_off(void **state)
{
	frame_udp4(&f, POD_A, A4, B4, 1);
	frame_append(&f, (uint8_t[40]){0xee}, 40);
	assert_forwards(POD_A, &f, POD_B);
}

static void every_protocol_is_passed_on(void **state)
{
	for (unsigned int protocol = 0; protocol < 256; protocol++) {
		frame_ether(&f, POD_A);
		frame_ip4(&f, A4, B4, (uint8_t)protocol);
		frame_payload(&f, 64);
		frame_finish(&f);
		assert_forwards(POD_A, &f, POD_B);
	}
}

static void options_are_passed_on_untouched(void **state)
{
	static const uint8_t options[40] = {7, 39, 4}; // record route, and an end of list

	for (size_t size = 4; size <= sizeof(options); size += 4) {
		frame_ether(&f, POD_A);
		frame_ip4(&f, A4, B4, IPPROTO_UDP);
		frame_ip4_options(&f, options, size);
		frame_udp(&f, 53);
		frame_payload(&f, 20);
		frame_finish(&f);
		assert_forwards(POD_A, &f, POD_B);
	}
}

static void fragments_are_passed_on(void **state)
{
	static const uint16_t fields[] = {0x2000, 0x2010, 0x0010, 0x1fff, 0x4000};

	for (size_t i = 0; i < RTE_DIM(fields); i++) {
		frame_udp4(&f, POD_A, A4, B4, 64);
		f.bytes[f.l3 + 6] = (uint8_t)(fields[i] >> 8);
		f.bytes[f.l3 + 7] = (uint8_t)fields[i];
		frame_fix_ip4(&f);
		assert_forwards(POD_A, &f, POD_B);
	}
}

static void the_largest_packet_of_the_mtu_passes(void **state)
{
	frame_udp4(&f, POD_A, A4, B4, 1500 - 28);
	f.bytes[f.l3 + 6] = 0x40; // don't fragment
	frame_fix_ip4(&f);
	assert_forwards(POD_A, &f, POD_B);
	frame_udp4(&f, POD_A, A4, SMALL4, 1280 - 28);
	f.bytes[f.l3 + 6] = 0x40;
	frame_fix_ip4(&f);
	assert_forwards(POD_A, &f, POD_SMALL);
}

// ---- not passed on -------------------------------------------------------------------------------

static void malformed_headers_are_counted(void **state)
{
	for (unsigned int byte = 0; byte < 256; byte++) { // version and header length
		if (byte == 0x45)
			continue;
		frame_udp4(&f, POD_A, A4, B4, 100);
		f.bytes[f.l3] = (uint8_t)byte;
		inject(POD_A, &f);
		if (byte >> 4 != 4 || (byte & 15) < 5)
			assert_dropped(POD_A, DROP_MALFORMED);
		else // takes payload for options, so the checksum over it is wrong
			assert_dropped(POD_A, DROP_BAD_CHECKSUM);
	}
	for (unsigned int total = 0; total < 20; total++) {
		frame_udp4(&f, POD_A, A4, B4, 100);
		f.bytes[f.l3 + 3] = (uint8_t)total;
		frame_fix_ip4(&f);
		assert_drops(POD_A, &f, DROP_MALFORMED);
	}
	frame_udp4(&f, POD_A, A4, B4, 100);
	f.bytes[f.l3 + 3]++; // one byte more than there is
	frame_fix_ip4(&f);
	assert_drops(POD_A, &f, DROP_TRUNCATED);
}

static void every_broken_bit_of_a_header_is_noticed(void **state)
{
	for (size_t bit = 0; bit < 160; bit++) {
		frame_udp4(&f, POD_A, A4, B4, 100);
		f.bytes[f.l3 + bit / 8] ^= (uint8_t)(1 << bit % 8);
		inject(POD_A, &f);
		assert_nothing_out();
	}
	frame_udp4(&f, POD_A, A4, B4, 100);
	f.bytes[f.l3 + 10] ^= 1;
	inject(POD_A, &f);
	struct datapath_counters counters;
	datapath_read_counters(POD_A, &counters);
	assert_int_equal(161, counters.rx_packets);
	uint64_t drops = 0;
	for (size_t i = 0; i < datapath_drop_reason_count(); i++)
		drops += counters.drops[i];
	assert_int_equal(161, drops);
	assert_true(counters.drops[DROP_BAD_CHECKSUM] > 100);
}

static void a_pod_can_send_from_its_own_address_only(void **state)
{
	static const char *const sources[] = {B4,        GATEWAY4,      NOBODY4,      OUTSIDE4,
					      "1.2.3.4", "169.254.1.1", "169.254.7.7"};

	for (size_t i = 0; i < RTE_DIM(sources); i++) {
		frame_udp4(&f, POD_A, sources[i], B4, 10);
		assert_drops(POD_A, &f, DROP_SPOOFED_ADDRESS);
	}
	datapath_port_remove(POD_IP4_ONLY);
	struct datapath_port config = graph_port_config(POD_IP4_ONLY);
	config.has_ipv4 = false;
	graph_replace_port(&config);
	frame_udp4(&f, POD_IP4_ONLY, IP4_ONLY4, B4, 10);
	assert_drops(POD_IP4_ONLY, &f, DROP_SPOOFED_ADDRESS);
}

static void the_host_cannot_send_as_a_pod_or_the_router(void **state)
{
	static const char *const sources[] = {A4, B4, "169.254.1.1"};

	for (size_t i = 0; i < RTE_DIM(sources); i++) {
		frame_udp4(&f, HOST, sources[i], B4, 10);
		assert_drops(HOST, &f, DROP_SPOOFED_ADDRESS);
	}
	frame_udp4(&f, HOST, "169.254.7.7", B4, 10);
	assert_drops(HOST, &f, DROP_LINK_LOCAL);
}

static void martians_are_counted(void **state)
{
	static const char *const sources[] = {"0.0.0.0",        "0.1.2.3",   "127.0.0.1",
					      "224.0.0.1",      "239.1.2.3", "240.0.0.1",
					      "255.255.255.255"};
	static const char *const destinations[] = {"0.0.0.0", "0.1.2.3", "127.0.0.1", "240.0.0.1",
						   "255.255.255.254"};

	for (size_t i = 0; i < RTE_DIM(sources); i++) {
		frame_udp4(&f, POD_A, sources[i], B4, 10);
		assert_drops(POD_A, &f, DROP_MARTIAN_SOURCE);
		frame_udp4(&f, HOST, sources[i], B4, 10);
		assert_drops(HOST, &f, DROP_MARTIAN_SOURCE);
	}
	for (size_t i = 0; i < RTE_DIM(destinations); i++) {
		frame_udp4(&f, POD_A, A4, destinations[i], 10);
		assert_drops(POD_A, &f, DROP_MARTIAN_DESTINATION);
	}
}

static void groups_and_broadcasts_are_not_routed(void **state)
{
	static const char *const destinations[] = {"224.0.0.1", "239.255.255.250",
						   "255.255.255.255", "10.88.0.255", "10.88.0.0"};

	for (size_t i = 0; i < RTE_DIM(destinations); i++) {
		frame_udp4(&f, POD_A, A4, destinations[i], 10);
		assert_drops(POD_A, &f, DROP_MULTICAST);
	}
	frame_udp4(&f, POD_A, A4, "169.254.7.7", 10);
	assert_drops(POD_A, &f, DROP_LINK_LOCAL);
}

// ---- errors --------------------------------------------------------------------------------------

static void an_expired_ttl_is_told(void **state)
{
	for (uint8_t ttl = 0; ttl < 2; ttl++) {
		frame_udp4(&f, POD_A, A4, B4, 10);
		f.bytes[f.l3 + 8] = ttl;
		frame_fix_ip4(&f);
		assert_error4(POD_A, &f, DROP_TTL_EXPIRED, 11, 0, 0, GATEWAY4);
	}
	frame_udp4(&f, POD_A, A4, B4, 1400); // more than an error quotes
	f.bytes[f.l3 + 8] = 1;
	frame_fix_ip4(&f);
	assert_error4(POD_A, &f, DROP_TTL_EXPIRED, 11, 0, 0, GATEWAY4);
}

static void an_unreachable_address_is_told(void **state)
{
	frame_udp4(&f, POD_A, A4, NOBODY4, 10);
	assert_error4(POD_A, &f, DROP_NO_SUCH_POD, 3, 1, 0, GATEWAY4);
	frame_udp4(&f, POD_A, A4, OUTSIDE4, 10);
	assert_error4(POD_A, &f, DROP_NO_ROUTE, 3, 0, 0, GATEWAY4);
	frame_echo4(&f, POD_A, A4, NOBODY4, 10); // also of an echo request
	assert_error4(POD_A, &f, DROP_NO_SUCH_POD, 3, 1, 0, GATEWAY4);
	datapath_port_remove(POD_B);
	frame_udp4(&f, POD_A, A4, B4, 10);
	assert_error4(POD_A, &f, DROP_NO_SUCH_POD, 3, 1, 0, GATEWAY4);
}

// The gateway's address is the host's own, which drops what comes from itself.
static void errors_to_the_host_come_from_the_router(void **state)
{
	frame_udp4(&f, HOST, GATEWAY4, NOBODY4, 10);
	assert_error4(HOST, &f, DROP_NO_SUCH_POD, 3, 1, 0, "169.254.1.1");
}

static void a_packet_too_big_that_must_not_be_cut_is_told_with_the_mtu(void **state)
{
	frame_udp4(&f, POD_A, A4, SMALL4, 1281 - 28);
	f.bytes[f.l3 + 6] = 0x40;
	frame_fix_ip4(&f);
	assert_error4(POD_A, &f, DROP_TOO_BIG, 3, 4, 1280, GATEWAY4);
}

// RFC 1812 section 4.3.2.7.
static void some_packets_get_no_error(void **state)
{
	static const uint8_t errors[] = {3, 4, 5, 11, 12};

	for (size_t i = 0; i < RTE_DIM(errors); i++) {
		frame_ether(&f, POD_A);
		frame_ip4(&f, A4, NOBODY4, IPPROTO_ICMP);
		frame_icmp(&f, errors[i], 0);
		frame_payload(&f, 28);
		frame_finish(&f);
		assert_drops(POD_A, &f, DROP_NO_SUCH_POD);
	}
	frame_ether(&f, POD_A); // an ICMP message that has no type
	frame_ip4(&f, A4, NOBODY4, IPPROTO_ICMP);
	frame_finish(&f);
	assert_drops(POD_A, &f, DROP_NO_SUCH_POD);

	frame_udp4(&f, POD_A, A4, NOBODY4, 64);
	f.bytes[f.l3 + 7] = 1; // a fragment, and not the first
	frame_fix_ip4(&f);
	assert_drops(POD_A, &f, DROP_NO_SUCH_POD);
	f.bytes[f.l3 + 6] = 0x20;
	f.bytes[f.l3 + 7] = 0; // the first
	frame_fix_ip4(&f);
	assert_error4(POD_A, &f, DROP_NO_SUCH_POD, 3, 1, 0, GATEWAY4);
}

static void errors_are_limited_in_rate(void **state)
{
	unsigned int told = 0;

	frame_udp4(&f, POD_A, A4, NOBODY4, 10);
	for (unsigned int i = 0; i < 500; i++)
		inject(POD_A, &f);
	assert_dropped_n(POD_A, DROP_NO_SUCH_POD, 500);
	while (pull_frame(POD_A, &got))
		told++;
	assert_in_range(told, 50, 100);         // a burst of 50, and what comes in during the test
	frame_udp4(&f, POD_B, B4, NOBODY4, 10); // is another pod's business
	assert_error4(POD_B, &f, DROP_NO_SUCH_POD, 3, 1, 0, GATEWAY4);
}

// ---- the router itself ---------------------------------------------------------------------------

static void assert_echo_answer(unsigned int slot, const struct frame *echo)
{
	static struct frame expected;

	expected = *echo;
	memcpy(expected.bytes, port_mac(slot), 6);
	memcpy(expected.bytes + 6, router_mac, 6);
	memcpy(expected.bytes + expected.l3 + 12, echo->bytes + echo->l3 + 16, 4);
	memcpy(expected.bytes + expected.l3 + 16, echo->bytes + echo->l3 + 12, 4);
	expected.bytes[expected.l3 + 8] = 64;
	expected.bytes[expected.l4] = 0;
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
	for (size_t size = 0; size <= 1472; size += 23) {
		frame_echo4(&f, POD_A, A4, "169.254.1.1", size);
		assert_echo_answer(POD_A, &f);
	}
	frame_echo4(&f, HOST, GATEWAY4, "169.254.1.1", 56);
	assert_echo_answer(HOST, &f);
	f.bytes[f.l3 + 8] = 1; // arrived is arrived
	frame_fix_ip4(&f);
	assert_echo_answer(HOST, &f);
}

static void without_a_host_port_the_router_answers_for_the_gateway(void **state)
{
	datapath_port_remove(HOST);
	frame_echo4(&f, POD_A, A4, GATEWAY4, 56);
	assert_echo_answer(POD_A, &f);
}

static void the_router_has_no_other_service(void **state)
{
	frame_udp4(&f, POD_A, A4, "169.254.1.1", 10);
	assert_error4(POD_A, &f, DROP_NOT_FOR_ROUTER, 3, 3, 0, GATEWAY4);
	frame_ether(&f, POD_A);
	frame_ip4(&f, A4, "169.254.1.1", IPPROTO_TCP);
	frame_tcp(&f, 2, 1);
	frame_finish(&f);
	assert_error4(POD_A, &f, DROP_NOT_FOR_ROUTER, 3, 3, 0, GATEWAY4);
	frame_ether(&f, POD_A);
	frame_ip4(&f, A4, "169.254.1.1", 89);
	frame_payload(&f, 20);
	frame_finish(&f);
	assert_drops(POD_A, &f, DROP_NOT_FOR_ROUTER);
	for (unsigned int type = 0; type < 256; type++) {
		if (type == 8)
			continue;
		frame_echo4(&f, POD_A, A4, "169.254.1.1", 10);
		f.bytes[f.l4] = (uint8_t)type;
		frame_finish(&f);
		assert_drops(POD_A, &f, DROP_NOT_FOR_ROUTER);
	}
	frame_echo4(&f, POD_A, A4, "169.254.1.1", 64);
	f.bytes[f.l3 + 6] = 0x20; // it does not reassemble
	frame_fix_ip4(&f);
	assert_drops(POD_A, &f, DROP_NOT_FOR_ROUTER);
}

static void a_broken_echo_is_counted(void **state)
{
	frame_echo4(&f, POD_A, A4, "169.254.1.1", 101);
	f.bytes[f.size - 1] ^= 1;
	assert_drops(POD_A, &f, DROP_BAD_CHECKSUM);
	for (size_t size = 0; size < 8; size++) {
		frame_ether(&f, POD_A);
		frame_ip4(&f, A4, "169.254.1.1", IPPROTO_ICMP);
		frame_append(&f, (uint8_t[8]){8}, size);
		frame_finish(&f);
		assert_drops(POD_A, &f, DROP_TRUNCATED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GRAPH_TEST(pods_and_host_reach_each_other),
		GRAPH_TEST(every_ttl_and_checksum_carry_is_right),
		GRAPH_TEST(padding_is_taken_off),
		GRAPH_TEST(every_protocol_is_passed_on),
		GRAPH_TEST(options_are_passed_on_untouched),
		GRAPH_TEST(fragments_are_passed_on),
		GRAPH_TEST(the_largest_packet_of_the_mtu_passes),
		GRAPH_TEST(malformed_headers_are_counted),
		GRAPH_TEST(every_broken_bit_of_a_header_is_noticed),
		GRAPH_TEST(a_pod_can_send_from_its_own_address_only),
		GRAPH_TEST(the_host_cannot_send_as_a_pod_or_the_router),
		GRAPH_TEST(martians_are_counted),
		GRAPH_TEST(groups_and_broadcasts_are_not_routed),
		GRAPH_TEST(an_expired_ttl_is_told),
		GRAPH_TEST(an_unreachable_address_is_told),
		GRAPH_TEST(errors_to_the_host_come_from_the_router),
		GRAPH_TEST(a_packet_too_big_that_must_not_be_cut_is_told_with_the_mtu),
		GRAPH_TEST(some_packets_get_no_error),
		GRAPH_TEST(errors_are_limited_in_rate),
		GRAPH_TEST(the_router_answers_echo),
		GRAPH_TEST(without_a_host_port_the_router_answers_for_the_gateway),
		GRAPH_TEST(the_router_has_no_other_service),
		GRAPH_TEST(a_broken_echo_is_counted),
	};

	return cmocka_run_group_tests(tests, graph_start, graph_stop);
}
