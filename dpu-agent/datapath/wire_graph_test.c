// SPDX-License-Identifier: BSD-3-Clause
//
// Packets to and from the wire: by which route, to whom, and what is let in.

#include "datapath/wire_test.h"

#include <netinet/in.h>

#define FAR4   "198.51.100.7" // behind the peer
#define WORLD4 "192.0.2.99"   // behind the gate
#define FAR6   "2001:db8:f::7"
#define WORLD6 "2001:db8:ffff::99"

static struct frame f, got;

// From a pod, by this next hop.
static void assert_goes_by4(const char *destination, const char *next_hop, const uint8_t mac[6])
{
	frame_udp4(&f, POD_A, A4, destination, 100);
	inject(POD_A, &f);
	assert_asked4(next_hop, NULL);
	answer4(next_hop, mac);
	assert_on_wire(&f, mac);
	assert_nothing_out();
	assert_no_drops(POD_A);
}

static void assert_goes_by6(const char *destination, const char *next_hop, const uint8_t mac[6])
{
	frame_udp6(&f, POD_A, A6, destination, 100);
	inject(POD_A, &f);
	assert_asked6(next_hop, NULL);
	answer6(next_hop, mac);
	assert_on_wire(&f, mac);
	assert_nothing_out();
	assert_no_drops(POD_A);
}

static void know_the_gate(void)
{
	assert_goes_by4(WORLD4, GATE4, gate_mac);
	assert_goes_by6(WORLD6, GATE6, gate_mac);
}

static void a_pods_packet_goes_to_a_neighbour_on_the_wire(void **state)
{
	assert_goes_by4(PEER4, PEER4, peer_mac);
	assert_goes_by6(PEER6, PEER6, peer_mac);
	// From now on at once.
	frame_udp4(&f, POD_B, B4, PEER4, 100);
	inject(POD_B, &f);
	assert_on_wire(&f, peer_mac);
	frame_udp6(&f, POD_B, B6, PEER6, 100);
	inject(POD_B, &f);
	assert_on_wire(&f, peer_mac);
}

static void the_longest_prefix_decides(void **state)
{
	assert_goes_by4(FAR4, PEER4, peer_mac);
	assert_goes_by4(WORLD4, GATE4, gate_mac);
	assert_goes_by6(FAR6, PEER6, peer_mac);
	assert_goes_by6(WORLD6, GATE6, gate_mac);
}

static void an_address_without_a_route_is_unreachable(void **state)
{
	struct uplink uplink = graph_uplink();
	struct error err;

	uplink.route_count = 0;
	assert_int_equal(0, datapath_set_uplink(&uplink, &err));
	settle();
	frame_udp4(&f, POD_A, A4, WORLD4, 10);
	assert_error4(POD_A, &f, DROP_NO_ROUTE, 3, 0, 0, GATEWAY4);
	frame_udp6(&f, POD_A, A6, WORLD6, 10);
	assert_error6(POD_A, &f, DROP_NO_ROUTE, 1, 0, 0, GATEWAY6);
}

static void an_address_of_the_pod_network_is_never_routed(void **state)
{
	frame_udp4(&f, POD_A, A4, NOBODY4, 10);
	assert_error4(POD_A, &f, DROP_NO_SUCH_POD, 3, 1, 0, GATEWAY4);
	frame_udp6(&f, POD_A, A6, NOBODY6, 10);
	assert_error6(POD_A, &f, DROP_NO_SUCH_POD, 1, 3, 0, GATEWAY6);
}

static void the_links_broadcast_address_is_not_for_pods(void **state)
{
	frame_udp4(&f, POD_A, A4, "203.0.113.255", 10);
	assert_drops(POD_A, &f, DROP_MULTICAST);
	frame_udp4(&f, POD_A, A4, "203.0.113.0", 10);
	assert_drops(POD_A, &f, DROP_MULTICAST);
}

static void the_wire_reaches_pods(void **state)
{
	static struct frame expected;

	frame_udp4(&f, UPLINK, WORLD4, A4, 100);
	to_agent(&f, gate_mac);
	assert_forwards(UPLINK, &f, POD_A);
	frame_udp6(&f, UPLINK, WORLD6, A6, 100);
	to_agent(&f, gate_mac);
	assert_forwards(UPLINK, &f, POD_A);
	frame_udp4(&f, UPLINK, PEER4, GATEWAY4, 100); // the host
	to_agent(&f, peer_mac);
	expected = f;
	assert_forwards(UPLINK, &expected, HOST);
}

static void nothing_goes_from_the_wire_to_the_wire(void **state)
{
	know_the_gate();
	frame_udp4(&f, UPLINK, PEER4, WORLD4, 10);
	to_agent(&f, peer_mac);
	assert_drops(UPLINK, &f, DROP_UPLINK);
	frame_udp4(&f, UPLINK, WORLD4, GATE4, 10);
	to_agent(&f, peer_mac);
	assert_drops(UPLINK, &f, DROP_UPLINK);
	frame_udp6(&f, UPLINK, PEER6, WORLD6, 10);
	to_agent(&f, peer_mac);
	assert_drops(UPLINK, &f, DROP_UPLINK);
}

static void nobody_on_the_wire_passes_for_a_pod_or_the_agent(void **state)
{
	static const char *const sources4[] = {B4, NOBODY4, GATEWAY4, WIRE4};
	static const char *const sources6[] = {B6, NOBODY6, GATEWAY6, WIRE6};

	for (size_t i = 0; i < 4; i++) {
		frame_udp4(&f, UPLINK, sources4[i], A4, 10);
		to_agent(&f, peer_mac);
		assert_drops(UPLINK, &f, DROP_SPOOFED_ADDRESS);
		frame_udp6(&f, UPLINK, sources6[i], A6, 10);
		to_agent(&f, peer_mac);
		assert_drops(UPLINK, &f, DROP_SPOOFED_ADDRESS);
	}
	frame_udp4(&f, UPLINK, PEER4, A4, 10);
	to_agent(&f, port_mac(UPLINK));
	assert_drops(UPLINK, &f, DROP_SPOOFED_MAC);
	frame_udp4(&f, UPLINK, PEER4, A4, 10);
	to_agent(&f, peer_mac);
	memcpy(f.bytes, router_mac, 6); // that is for pods
	assert_drops(UPLINK, &f, DROP_WRONG_MAC);
}

static void the_wire_is_left_alone_without_an_address_there(void **state)
{
	struct error err;

	assert_int_equal(0, datapath_set_uplink(NULL, &err));
	frame_udp4(&f, UPLINK, PEER4, A4, 10);
	to_agent(&f, peer_mac);
	assert_drops(UPLINK, &f, DROP_UPLINK);
	frame_arp(&f, UPLINK, 1, PEER4, WIRE4);
	assert_drops(UPLINK, &f, DROP_UPLINK);
	frame_udp4(&f, POD_A, A4, WORLD4, 10);
	assert_error4(POD_A, &f, DROP_NO_ROUTE, 3, 0, 0, GATEWAY4);
}

static void a_family_without_an_address_is_left_alone(void **state)
{
	struct uplink uplink = graph_uplink();
	struct error err;

	uplink.has_ipv6 = false;
	uplink.route_count = 2;
	assert_int_equal(0, datapath_set_uplink(&uplink, &err));
	for (int i = 0; i < 4; i++)
		pass_ms(1000);
	while (pull_frame(UPLINK, &got)) // announcements: of IPv4 only
		assert_int_equal(42, got.size);
	frame_udp6(&f, POD_A, A6, WORLD6, 10);
	assert_error6(POD_A, &f, DROP_NO_ROUTE, 1, 0, 0, GATEWAY6);
	frame_udp6(&f, UPLINK, WORLD6, A6, 10);
	to_agent(&f, gate_mac);
	inject(UPLINK, &f);
	assert_dropped(UPLINK, DROP_UPLINK);
}

// ---- the agent's own address ---------------------------------------------------------------------

// The reply to an echo request, from the address that was asked.
static void assert_reply(unsigned int slot, const struct frame *ping, const uint8_t mac[6])
{
	bool ipv6 = ping->bytes[12] == 0x86;
	size_t source = ipv6 ? 8u : 12u, size = ipv6 ? 16u : 4u;

	assert_true(pull_frame(slot, &got));
	assert_int_equal(ping->size, got.size);
	assert_memory_equal(mac, got.bytes, 6);
	assert_int_equal(ipv6 ? 129 : 0, got.bytes[got.l4]);
	assert_memory_equal(ping->bytes + ping->l3 + source, got.bytes + got.l3 + source + size,
			    size);
	assert_memory_equal(ping->bytes + ping->l3 + source + size, got.bytes + got.l3 + source,
			    size);
	assert_memory_equal(ping->bytes + ping->l4 + 4, got.bytes + got.l4 + 4,
			    ping->size - ping->l4 - 4);
	assert_true(l4_checksum_good(&got));
}

static void a_ping_from_the_wire_is_answered_by_route(void **state)
{
	frame_echo4(&f, UPLINK, WORLD4, WIRE4, 56);
	to_agent(&f, peer_mac); // the way back is another one
	inject(UPLINK, &f);
	assert_asked4(GATE4, NULL);
	answer4(GATE4, gate_mac);
	assert_reply(UPLINK, &f, gate_mac);
	frame_echo6(&f, UPLINK, WORLD6, WIRE6, 56);
	to_agent(&f, peer_mac);
	inject(UPLINK, &f);
	assert_asked6(GATE6, NULL);
	answer6(GATE6, gate_mac);
	assert_reply(UPLINK, &f, gate_mac);
	assert_nothing_out();
}

static void a_pod_may_ping_the_uplinks_address(void **state)
{
	frame_echo4(&f, POD_A, A4, WIRE4, 56);
	inject(POD_A, &f);
	assert_reply(POD_A, &f, port_mac(POD_A));
	frame_echo6(&f, POD_A, A6, WIRE6, 56);
	inject(POD_A, &f);
	assert_reply(POD_A, &f, port_mac(POD_A));
}

static void nobody_listens_to_the_wire_and_nobody_says_so(void **state)
{
	frame_udp4(&f, UPLINK, PEER4, WIRE4, 10);
	to_agent(&f, peer_mac);
	assert_drops(UPLINK, &f, DROP_NOT_FOR_ROUTER);
	frame_udp6(&f, UPLINK, PEER6, WIRE6, 10);
	to_agent(&f, peer_mac);
	assert_drops(UPLINK, &f, DROP_NOT_FOR_ROUTER);
	frame_echo4(&f, UPLINK, PEER4, "169.254.1.1", 10); // is a pod's and the host's to ping
	to_agent(&f, peer_mac);
	assert_drops(UPLINK, &f, DROP_LINK_LOCAL);
	frame_echo6(&f, UPLINK, PEER6, "fe80::1", 10);
	to_agent(&f, peer_mac);
	assert_drops(UPLINK, &f, DROP_LINK_LOCAL);
}

// ---- errors --------------------------------------------------------------------------------------

static void assert_wire_error(const struct frame *cause, uint8_t type, uint8_t code,
			      const char *source)
{
	struct in6_addr address;
	bool ipv6 = cause->bytes[12] == 0x86;

	assert_int_equal(1, inet_pton(ipv6 ? AF_INET6 : AF_INET, source, &address));
	assert_true(pull_frame(UPLINK, &got));
	assert_memory_equal(gate_mac, got.bytes, 6);
	assert_memory_equal(&address, got.bytes + got.l3 + (ipv6 ? 8 : 12), ipv6 ? 16 : 4);
	assert_int_equal(type, got.bytes[got.l4]);
	assert_int_equal(code, got.bytes[got.l4 + 1]);
	assert_memory_equal(cause->bytes + cause->l3, got.bytes + got.payload,
			    cause->size - cause->l3);
	assert_true(l4_checksum_good(&got));
	assert_nothing_out();
}

static void the_wire_is_told_why_its_packet_went_no_further(void **state)
{
	know_the_gate();
	frame_udp4(&f, UPLINK, WORLD4, A4, 10);
	to_agent(&f, gate_mac);
	f.bytes[f.l3 + 8] = 1;
	frame_fix_ip4(&f);
	inject(UPLINK, &f);
	assert_dropped(UPLINK, DROP_TTL_EXPIRED);
	assert_wire_error(&f, 11, 0, WIRE4);

	frame_udp4(&f, UPLINK, WORLD4, NOBODY4, 10);
	to_agent(&f, gate_mac);
	inject(UPLINK, &f);
	assert_dropped(UPLINK, DROP_NO_SUCH_POD);
	assert_wire_error(&f, 3, 1, WIRE4);

	frame_udp6(&f, UPLINK, WORLD6, SMALL6, 1300);
	to_agent(&f, gate_mac);
	inject(UPLINK, &f);
	assert_dropped(UPLINK, DROP_TOO_BIG);
	assert_true(pull_frame(UPLINK, &got));
	assert_int_equal(2, got.bytes[got.l4]);
	assert_memory_equal(((uint8_t[]){0, 0, 5, 0}), got.bytes + got.l4 + 4, 4); // 1280
}

static void a_pod_is_told_of_the_wires_mtu(void **state)
{
	struct datapath_port config = graph_port_config(UPLINK);

	config.mtu = 1400;
	graph_replace_port(&config);
	settle();
	know_the_gate();
	frame_udp4(&f, POD_A, A4, WORLD4, 1400);
	f.bytes[f.l3 + 6] = 0x40; // don't fragment
	frame_fix_ip4(&f);
	assert_error4(POD_A, &f, DROP_TOO_BIG, 3, 4, 1400, GATEWAY4);
	frame_udp6(&f, POD_A, A6, WORLD6, 1400);
	assert_error6(POD_A, &f, DROP_TOO_BIG, 2, 0, 1400, GATEWAY6);

	frame_udp4(&f, POD_A, A4, WORLD4, 1400);
	inject(POD_A, &f);
	for (int i = 0; i < 2; i++) {
		assert_true(pull_frame(UPLINK, &got));
		assert_true(got.size <= 14 + 1400);
		assert_memory_equal(gate_mac, got.bytes, 6);
		assert_memory_equal(port_mac(UPLINK), got.bytes + 6, 6);
		assert_int_equal(63, got.bytes[got.l3 + 8]);
	}
	assert_nothing_out();
}

// ---- VLAN ----------------------------------------------------------------------------------------

static void tag(struct frame *frame, uint16_t tci)
{
	memmove(frame->bytes + 16, frame->bytes + 12, frame->size - 12);
	memcpy(frame->bytes + 12, (uint8_t[]){0x81, 0, (uint8_t)(tci >> 8), (uint8_t)tci}, 4);
	frame->size += 4;
}

static void set_vlan(uint16_t vlan)
{
	struct uplink uplink = graph_uplink();
	struct error err;

	uplink.vlan = vlan;
	assert_int_equal(0, datapath_set_uplink(&uplink, &err));
	for (int i = 0; i < 4; i++)
		pass_ms(1000);
	while (pull_frame(UPLINK, &got)) // announcements, tagged as well
		assert_memory_equal(((uint8_t[]){0x81, 0, 0, (uint8_t)vlan}), got.bytes + 12, 4);
}

static void all_on_the_wire_is_tagged_with_the_uplinks_vlan(void **state)
{
	static struct frame sent, expected;

	set_vlan(42);
	frame_udp4(&sent, POD_A, A4, PEER4, 100);
	inject(POD_A, &sent);
	assert_true(pull_frame(UPLINK, &got));
	assert_int_equal(46, got.size);
	assert_memory_equal(((uint8_t[]){0x81, 0, 0, 42, 8, 6}), got.bytes + 12, 6);

	frame_arp(&f, UPLINK, 2, PEER4, WIRE4);
	to_agent(&f, peer_mac);
	memcpy(f.bytes + 22, peer_mac, 6);
	tag(&f, 0xe000 | 42); // with a priority
	inject(UPLINK, &f);
	assert_no_drops(UPLINK);
	expected = sent;
	frame_as_forwarded(&expected, UPLINK);
	memcpy(expected.bytes, peer_mac, 6);
	memcpy(expected.bytes + 6, port_mac(UPLINK), 6);
	tag(&expected, 42);
	assert_true(pull_frame(UPLINK, &got));
	assert_int_equal(expected.size, got.size);
	assert_memory_equal(expected.bytes, got.bytes, got.size);

	frame_udp6(&sent, UPLINK, WORLD6, A6, 100);
	to_agent(&sent, gate_mac);
	f = sent;
	tag(&f, 42);
	inject(UPLINK, &f);
	assert_no_drops(UPLINK);
	frame_as_forwarded(&sent, POD_A);
	assert_true(pull_frame(POD_A, &got));
	assert_int_equal(sent.size, got.size);
	assert_memory_equal(sent.bytes, got.bytes, got.size);
	assert_nothing_out();
}

static void what_is_of_another_vlan_is_not_let_in(void **state)
{
	frame_udp4(&f, UPLINK, PEER4, A4, 10);
	to_agent(&f, peer_mac);
	tag(&f, 42);
	assert_drops(UPLINK, &f, DROP_VLAN);
	set_vlan(42);
	frame_udp4(&f, UPLINK, PEER4, A4, 10);
	to_agent(&f, peer_mac);
	assert_drops(UPLINK, &f, DROP_VLAN); // none
	tag(&f, 43);
	assert_drops(UPLINK, &f, DROP_VLAN);
	f.size = 15;
	assert_drops(UPLINK, &f, DROP_VLAN);
}

static void a_tag_that_says_only_a_priority_is_none(void **state)
{
	static struct frame expected;

	frame_udp4(&f, UPLINK, PEER4, A4, 10);
	to_agent(&f, peer_mac);
	expected = f;
	frame_as_forwarded(&expected, POD_A);
	tag(&f, 0xa000);
	inject(UPLINK, &f);
	assert_no_drops(UPLINK);
	assert_true(pull_frame(POD_A, &got));
	assert_memory_equal(expected.bytes, got.bytes, expected.size);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WIRE_TEST(a_pods_packet_goes_to_a_neighbour_on_the_wire),
		WIRE_TEST(the_longest_prefix_decides),
		WIRE_TEST(an_address_without_a_route_is_unreachable),
		WIRE_TEST(an_address_of_the_pod_network_is_never_routed),
		WIRE_TEST(the_links_broadcast_address_is_not_for_pods),
		WIRE_TEST(the_wire_reaches_pods),
		WIRE_TEST(nothing_goes_from_the_wire_to_the_wire),
		WIRE_TEST(nobody_on_the_wire_passes_for_a_pod_or_the_agent),
		WIRE_TEST(the_wire_is_left_alone_without_an_address_there),
		WIRE_TEST(a_family_without_an_address_is_left_alone),
		WIRE_TEST(a_ping_from_the_wire_is_answered_by_route),
		WIRE_TEST(a_pod_may_ping_the_uplinks_address),
		WIRE_TEST(nobody_listens_to_the_wire_and_nobody_says_so),
		WIRE_TEST(the_wire_is_told_why_its_packet_went_no_further),
		WIRE_TEST(a_pod_is_told_of_the_wires_mtu),
		WIRE_TEST(all_on_the_wire_is_tagged_with_the_uplinks_vlan),
		WIRE_TEST(what_is_of_another_vlan_is_not_let_in),
		WIRE_TEST(a_tag_that_says_only_a_priority_is_none),
	};

	return cmocka_run_group_tests(tests, graph_start, graph_stop);
}
