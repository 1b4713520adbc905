// SPDX-License-Identifier: BSD-3-Clause
//
// Layer 2 and the protocols of the link: who may send, ARP and neighbour discovery.

#include "datapath/graph_test.h"

#include <netinet/in.h>

#include <rte_common.h>

static struct frame f, reply;

// ---- Ethernet ------------------------------------------------------------------------------------

static void a_frame_to_another_mac_is_not_routed(void **state)
{
	frame_udp4(&f, POD_A, A4, B4, 10);
	f.bytes[5] ^= 0x40;
	assert_drops(POD_A, &f, DROP_WRONG_MAC);
}

static void a_pod_cannot_use_another_mac(void **state)
{
	frame_udp4(&f, POD_A, A4, B4, 10);
	f.bytes[11] ^= 0x40;
	assert_drops(POD_A, &f, DROP_SPOOFED_MAC);
	frame_udp6(&f, POD_A, A6, B6, 10);
	memcpy(f.bytes + 6, port_mac(POD_B), 6);
	assert_drops(POD_A, &f, DROP_SPOOFED_MAC);
}

static void the_host_cannot_use_a_mac_that_is_no_host(void **state)
{
	static const uint8_t bad[][6] = {
		{0}, {0x01, 0, 0x5e, 0, 0, 1}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

	frame_udp4(&f, HOST, GATEWAY4, B4, 10);
	for (size_t i = 0; i < RTE_DIM(bad); i++) {
		memcpy(f.bytes + 6, bad[i], 6);
		assert_drops(HOST, &f, DROP_SPOOFED_MAC);
	}
	memcpy(f.bytes + 6, router_mac, 6);
	assert_drops(HOST, &f, DROP_SPOOFED_MAC);
}

static void tags_and_unknown_protocols_are_counted(void **state)
{
	static const struct {
		uint16_t type;
		enum drop_reason reason;
	} cases[] = {
		{0x8100, DROP_VLAN},      {0x88a8, DROP_VLAN},      {0x88cc, DROP_ETHERTYPE},
		{0x0000, DROP_ETHERTYPE}, {0x05dc, DROP_ETHERTYPE}, {0xffff, DROP_ETHERTYPE},
	};

	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		frame_udp4(&f, POD_A, A4, B4, 10);
		f.bytes[12] = (uint8_t)(cases[i].type >> 8);
		f.bytes[13] = (uint8_t)cases[i].type;
		assert_drops(POD_A, &f, cases[i].reason);
	}
}

static void a_frame_shorter_than_its_header_is_counted(void **state)
{
	frame_udp4(&f, POD_A, A4, B4, 10);
	for (f.size = 1; f.size < 14; f.size++)
		assert_drops(POD_A, &f, DROP_TRUNCATED);
}

static void group_frames_with_ipv4_are_not_routed(void **state)
{
	frame_udp4(&f, POD_A, A4, B4, 10);
	memset(f.bytes, 0xff, 6);
	assert_drops(POD_A, &f, DROP_MULTICAST);
	memcpy(f.bytes, (uint8_t[]){0x01, 0, 0x5e, 0, 0, 0xfb}, 6);
	assert_drops(POD_A, &f, DROP_MULTICAST);
}

static void what_comes_from_the_wire_is_counted(void **state)
{
	frame_udp4(&f, UPLINK, OUTSIDE4, B4, 10);
	assert_drops(UPLINK, &f, DROP_UPLINK);
	frame_arp(&f, UPLINK, 1, OUTSIDE4, GATEWAY4);
	assert_drops(UPLINK, &f, DROP_UPLINK);
}

// ---- ARP -----------------------------------------------------------------------------------------

static void assert_arp_answer(unsigned int slot, const char *asker, const char *asked)
{
	uint8_t expected[42] = {0};

	frame_arp(&f, slot, 1, asker, asked);
	frame_append(&f, (uint8_t[18]){0xee}, 18); // as a NIC pads it
	inject(slot, &f);
	assert_no_drops(slot);
	assert_true(pull_frame(slot, &reply));
	memcpy(expected, port_mac(slot), 6);
	memcpy(expected + 6, router_mac, 6);
	memcpy(expected + 12, (uint8_t[]){8, 6, 0, 1, 8, 0, 6, 4, 0, 2}, 10);
	memcpy(expected + 22, router_mac, 6);
	inet_pton(AF_INET, asked, expected + 28);
	memcpy(expected + 32, port_mac(slot), 6);
	inet_pton(AF_INET, asker, expected + 38);
	assert_int_equal(sizeof(expected), reply.size);
	assert_memory_equal(expected, reply.bytes, sizeof(expected));
	assert_nothing_out();
}

static void arp_for_the_gateway_is_answered_to_pods(void **state)
{
	assert_arp_answer(POD_A, A4, GATEWAY4);
	assert_arp_answer(POD_A, "0.0.0.0", GATEWAY4); // a probe
	assert_arp_answer(POD_A, A4, "169.254.1.1");
}

static void arp_for_pods_and_the_router_is_answered_to_the_host(void **state)
{
	assert_arp_answer(HOST, GATEWAY4, "169.254.1.1");
	assert_arp_answer(HOST, GATEWAY4, A4);
	assert_arp_answer(HOST, OUTSIDE4, NOBODY4);
	frame_arp(&f, HOST, 1, GATEWAY4, GATEWAY4); // the host announces its own
	assert_drops(HOST, &f, DROP_ARP_IGNORED);
	frame_arp(&f, HOST, 1, GATEWAY4, OUTSIDE4);
	assert_drops(HOST, &f, DROP_ARP_IGNORED);
}

static void arp_that_is_no_question_for_the_router_is_ignored(void **state)
{
	static const char *const targets[] = {A4, B4, NOBODY4, OUTSIDE4, "0.0.0.0"};

	for (size_t i = 0; i < RTE_DIM(targets); i++) {
		frame_arp(&f, POD_A, 1, A4, targets[i]);
		assert_drops(POD_A, &f, DROP_ARP_IGNORED);
	}
	for (uint16_t operation = 0; operation < 10; operation++) {
		if (operation == 1)
			continue;
		frame_arp(&f, POD_A, operation, A4, GATEWAY4);
		assert_drops(POD_A, &f, DROP_ARP_IGNORED);
	}
}

static void a_pod_cannot_claim_an_address_by_arp(void **state)
{
	static const char *const senders[] = {B4, GATEWAY4, NOBODY4, OUTSIDE4, "169.254.1.1"};

	for (size_t i = 0; i < RTE_DIM(senders); i++) {
		frame_arp(&f, POD_A, 1, senders[i], GATEWAY4);
		assert_drops(POD_A, &f, DROP_SPOOFED_ADDRESS);
		frame_arp(&f, POD_A, 2, senders[i], GATEWAY4);
		assert_drops(POD_A, &f, DROP_SPOOFED_ADDRESS);
	}
	frame_arp(&f, POD_A, 1, A4, GATEWAY4);
	f.bytes[27] ^= 1; // sender MAC inside of the message
	assert_drops(POD_A, &f, DROP_SPOOFED_MAC);
}

static void malformed_arp_is_counted(void **state)
{
	// Each byte of the fixed part of the header: 2 hardware, 2 protocol, 2 sizes.
	for (size_t i = 0; i < 6; i++) {
		frame_arp(&f, POD_A, 1, A4, GATEWAY4);
		f.bytes[14 + i] ^= 0x10;
		assert_drops(POD_A, &f, DROP_MALFORMED);
	}
	frame_arp(&f, POD_A, 1, A4, GATEWAY4);
	for (f.size = 41; f.size >= 14; f.size--)
		assert_drops(POD_A, &f, DROP_TRUNCATED);
}

// ---- neighbour discovery -------------------------------------------------------------------------

#define GATEWAY_GROUP "ff02::1:ff00:1" // also of the router's link-local address

static void assert_nd_answer(unsigned int slot, const char *asker, const char *to,
			     const char *asked)
{
	bool probe = strcmp(asker, "::") == 0;
	uint8_t expected[32] = {136, 0, 0, 0, probe ? 0xa0 : 0xe0};
	struct in6_addr source, destination;

	frame_solicitation(&f, slot, asker, to, asked, !probe);
	inject(slot, &f);
	assert_no_drops(slot);
	assert_true(pull_frame(slot, &reply));
	assert_nothing_out();
	assert_int_equal(14 + 40 + 32, reply.size);
	static const uint8_t all_nodes_mac[] = {0x33, 0x33, 0, 0, 0, 1};
	assert_memory_equal(probe ? all_nodes_mac : port_mac(slot), reply.bytes, 6);
	assert_memory_equal(router_mac, reply.bytes + 6, 6);
	assert_memory_equal(((uint8_t[]){0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255}),
			    reply.bytes + 12, 10);
	inet_pton(AF_INET6, asked, &source);
	inet_pton(AF_INET6, probe ? "ff02::1" : asker, &destination);
	assert_memory_equal(&source, reply.bytes + 22, 16);
	assert_memory_equal(&destination, reply.bytes + 38, 16);
	memcpy(expected + 2, reply.bytes + 56, 2); // the checksum, which is looked at below
	memcpy(expected + 8, &source, 16);
	memcpy(expected + 24, (uint8_t[]){2, 1}, 2);
	memcpy(expected + 26, router_mac, 6);
	assert_memory_equal(expected, reply.bytes + 54, sizeof(expected));
	assert_true(l4_checksum_good(&reply));
}

static void solicitations_for_the_gateway_are_answered_to_pods(void **state)
{
	assert_nd_answer(POD_A, A6, GATEWAY_GROUP, GATEWAY6);
	assert_nd_answer(POD_A, A6, GATEWAY6, GATEWAY6); // unicast: is it still there?
	assert_nd_answer(POD_A, LINK_LOCAL6, GATEWAY_GROUP, GATEWAY6);
	assert_nd_answer(POD_A, LINK_LOCAL6, "fe80::1", "fe80::1");
	assert_nd_answer(POD_A, "::", GATEWAY_GROUP, GATEWAY6); // a pod that would like to have it
	assert_nd_answer(POD_A, "::", GATEWAY_GROUP, "fe80::1");
}

static void solicitations_for_pods_and_the_router_are_answered_to_the_host(void **state)
{
	assert_nd_answer(HOST, GATEWAY6, GATEWAY_GROUP, "fe80::1");
	assert_nd_answer(HOST, GATEWAY6, "ff02::1:ff00:10", A6);
	assert_nd_answer(HOST, LINK_LOCAL6, A6, A6);
	frame_solicitation(&f, HOST, "::", GATEWAY_GROUP, GATEWAY6, false); // its own
	assert_drops(HOST, &f, DROP_ND_IGNORED);
}

static void solicitations_for_others_are_ignored(void **state)
{
	static const char *const targets[] = {A6, B6, NOBODY6, OUTSIDE6, LINK_LOCAL6};

	for (size_t i = 0; i < RTE_DIM(targets); i++) {
		frame_solicitation(&f, POD_A, A6, "ff02::1:ff00:99", targets[i], true);
		assert_drops(POD_A, &f, DROP_ND_IGNORED);
		frame_solicitation(&f, POD_A, A6, B6, targets[i], true); // nor passed on
		assert_drops(POD_A, &f, DROP_ND_IGNORED);
	}
}

static void other_neighbour_discovery_goes_nowhere(void **state)
{
	for (uint8_t type = 133; type <= 137; type++) {
		if (type == 135)
			continue;
		frame_solicitation(&f, POD_A, A6, B6, B6, true);
		f.bytes[f.l4] = type;
		frame_fix_icmp6(&f);
		assert_drops(POD_A, &f, DROP_ND_IGNORED);
		frame_solicitation(&f, POD_A, LINK_LOCAL6, "ff02::2", B6, true);
		f.bytes[f.l4] = type;
		frame_fix_icmp6(&f);
		assert_drops(POD_A, &f, DROP_MULTICAST);
	}
}

static void a_pod_cannot_claim_an_address_by_nd(void **state)
{
	static const char *const sources[] = {B6, GATEWAY6, NOBODY6, OUTSIDE6, "fe80::1"};

	for (size_t i = 0; i < RTE_DIM(sources); i++) {
		frame_solicitation(&f, POD_A, sources[i], GATEWAY_GROUP, GATEWAY6, true);
		assert_drops(POD_A, &f, DROP_SPOOFED_ADDRESS);
	}
}

// RFC 4861 section 7.1.1, one line after the other.
static void invalid_solicitations_are_counted(void **state)
{
	frame_solicitation(&f, POD_A, A6, GATEWAY_GROUP, GATEWAY6, true);
	f.bytes[f.l3 + 7] = 254;
	assert_drops(POD_A, &f, DROP_MALFORMED);

	frame_solicitation(&f, POD_A, A6, GATEWAY_GROUP, GATEWAY6, true);
	f.bytes[f.l4 + 2] ^= 1;
	assert_drops(POD_A, &f, DROP_BAD_CHECKSUM);

	frame_solicitation(&f, POD_A, A6, GATEWAY_GROUP, GATEWAY6, true);
	f.bytes[f.l4 + 1] = 1;
	frame_fix_icmp6(&f);
	assert_drops(POD_A, &f, DROP_MALFORMED);

	frame_solicitation(&f, POD_A, A6, GATEWAY_GROUP, "ff02::1", true);
	assert_drops(POD_A, &f, DROP_MALFORMED);

	for (unsigned int units = 0; units < 256; units++) { // of the option: 1 is right
		frame_solicitation(&f, POD_A, A6, GATEWAY_GROUP, GATEWAY6, true);
		f.bytes[f.l4 + 25] = (uint8_t)units;
		frame_fix_icmp6(&f);
		if (units != 1)
			assert_drops(POD_A, &f, DROP_MALFORMED);
	}

	frame_solicitation(&f, POD_A, "::", GATEWAY6, GATEWAY6, false);
	assert_drops(POD_A, &f, DROP_MALFORMED);
	frame_solicitation(&f, POD_A, "::", GATEWAY_GROUP, GATEWAY6, true);
	assert_drops(POD_A, &f, DROP_MALFORMED);

	frame_solicitation(&f, POD_A, A6, GATEWAY_GROUP, GATEWAY6, true);
	for (f.size = f.l4 + 23; f.size > f.l4; f.size--) { // shorter than 24 bytes
		f.bytes[f.l3 + 5] = (uint8_t)(f.size - f.l4);
		inject(POD_A, &f);
		assert_dropped(POD_A, DROP_TRUNCATED);
	}
}

static void multicast_noise_is_counted(void **state)
{
	static const char *const groups[] = {"ff02::1", "ff02::2", "ff02::16", "ff02::fb",
					     "ff0e::1"};

	for (size_t i = 0; i < RTE_DIM(groups); i++) {
		frame_udp6(&f, POD_A, LINK_LOCAL6, groups[i], 10);
		memcpy(f.bytes, (uint8_t[]){0x33, 0x33, 0, 0, 0, 1}, 6);
		assert_drops(POD_A, &f, DROP_MULTICAST);
	}
	// A multicast listener report, behind its hop-by-hop header, from a node without an address.
	frame_ether(&f, POD_A);
	frame_ip6(&f, "::", "ff02::16", 0);
	frame_ip6_extension(&f, 0, IPPROTO_ICMPV6, 0x0502);
	frame_icmp(&f, 143, 0);
	frame_finish(&f);
	assert_drops(POD_A, &f, DROP_MULTICAST);
	// Unicast in a group frame (RFC 1122 section 3.3.6, in spirit).
	frame_udp6(&f, POD_A, A6, B6, 10);
	memcpy(f.bytes, (uint8_t[]){0x33, 0x33, 0, 0, 0, 1}, 6);
	assert_drops(POD_A, &f, DROP_MULTICAST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GRAPH_TEST(a_frame_to_another_mac_is_not_routed),
		GRAPH_TEST(a_pod_cannot_use_another_mac),
		GRAPH_TEST(the_host_cannot_use_a_mac_that_is_no_host),
		GRAPH_TEST(tags_and_unknown_protocols_are_counted),
		GRAPH_TEST(a_frame_shorter_than_its_header_is_counted),
		GRAPH_TEST(group_frames_with_ipv4_are_not_routed),
		GRAPH_TEST(what_comes_from_the_wire_is_counted),
		GRAPH_TEST(arp_for_the_gateway_is_answered_to_pods),
		GRAPH_TEST(arp_for_pods_and_the_router_is_answered_to_the_host),
		GRAPH_TEST(arp_that_is_no_question_for_the_router_is_ignored),
		GRAPH_TEST(a_pod_cannot_claim_an_address_by_arp),
		GRAPH_TEST(malformed_arp_is_counted),
		GRAPH_TEST(solicitations_for_the_gateway_are_answered_to_pods),
		GRAPH_TEST(solicitations_for_pods_and_the_router_are_answered_to_the_host),
		GRAPH_TEST(solicitations_for_others_are_ignored),
		GRAPH_TEST(other_neighbour_discovery_goes_nowhere),
		GRAPH_TEST(a_pod_cannot_claim_an_address_by_nd),
		GRAPH_TEST(invalid_solicitations_are_counted),
		GRAPH_TEST(multicast_noise_is_counted),
	};

	return cmocka_run_group_tests(tests, graph_start, graph_stop);
}
