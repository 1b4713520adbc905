// SPDX-License-Identifier: BSD-3-Clause
//
// What a pod may not do to others: speak as somebody else, as a router or a DHCP server; and take the agent's time
// and room from them.

#include "datapath/wire_test.h"

#include <netinet/in.h>

#include <rte_common.h>

static struct frame f, got;

#define GATEWAY_GROUP "ff02::1:ff00:1"

// ---- impersonation -------------------------------------------------------------------------------

static void from_mac_of(unsigned int slot)
{
	memcpy(f.bytes + 6, port_mac(slot), 6);
}

static void ip4_from(const char *source)
{
	frame_udp4(&f, POD_A, source, B4, 10);
}

static void ip6_from(const char *source)
{
	frame_udp6(&f, POD_A, source, B6, 10);
}

static void arp_request_from(const char *sender)
{
	frame_arp(&f, POD_A, 1, sender, GATEWAY4);
}

static void arp_reply_from(const char *sender)
{
	frame_arp(&f, POD_A, 2, sender, B4);
}

// What `address` announces of itself by ARP to all (RFC 5227 section 3).
static void arp_announcement_of(const char *address)
{
	frame_arp(&f, POD_A, 1, address, address);
	memset(f.bytes, 0xff, 6);
}

static void arp_of_another_mac(const char *sender)
{
	frame_arp(&f, POD_A, 1, sender, GATEWAY4);
	memcpy(f.bytes + 22, port_mac(POD_B), 6);
}

static void solicitation_from(const char *source)
{
	frame_solicitation(&f, POD_A, source, GATEWAY_GROUP, GATEWAY6, true);
}

static void solicitation_of_another_mac(const char *source)
{
	solicitation_from(source);
	memcpy(f.bytes + f.l4 + 26, port_mac(POD_B), 6);
	frame_fix_icmp6(&f);
}

static void message(const char *destination, uint8_t type)
{
	frame_solicitation(&f, POD_A, A6, destination, GATEWAY6, true);
	f.bytes[f.l4] = type;
	frame_fix_icmp6(&f);
}

static void advertisement_to(const char *destination)
{
	message(destination, 136);
}

static void router_advertisement_to(const char *destination)
{
	message(destination, 134);
}

static void redirect_to(const char *destination)
{
	message(destination, 137);
}

static void ip4_from_another_mac(const char *source)
{
	ip4_from(source);
	from_mac_of(POD_B);
}

static void ip6_from_the_routers_mac(const char *source)
{
	ip6_from(source);
	memcpy(f.bytes + 6, router_mac, 6);
}

static void a_pod_is_nobody_but_itself(void **state)
{
	static const struct {
		const char *what;
		void (*build)(const char *address);
		const char *address;
		enum drop_reason reason;
	} cases[] = {
		{"IPv4 from another's MAC", ip4_from_another_mac, A4, DROP_SPOOFED_MAC},
		{"IPv6 from the router's MAC", ip6_from_the_routers_mac, A6, DROP_SPOOFED_MAC},
		{"IPv4 from a neighbour", ip4_from, B4, DROP_SPOOFED_ADDRESS},
		{"IPv4 from the gateway", ip4_from, GATEWAY4, DROP_SPOOFED_ADDRESS},
		{"IPv4 from the router", ip4_from, "169.254.1.1", DROP_SPOOFED_ADDRESS},
		{"IPv4 from the world", ip4_from, OUTSIDE4, DROP_SPOOFED_ADDRESS},
		{"IPv4 from nowhere", ip4_from, "0.0.0.0", DROP_MARTIAN_SOURCE},
		{"IPv4 from a group", ip4_from, "224.0.0.1", DROP_MARTIAN_SOURCE},
		{"IPv6 from a neighbour", ip6_from, B6, DROP_SPOOFED_ADDRESS},
		{"IPv6 from the gateway", ip6_from, GATEWAY6, DROP_SPOOFED_ADDRESS},
		{"IPv6 from the router", ip6_from, "fe80::1", DROP_SPOOFED_ADDRESS},
		{"IPv6 from the world", ip6_from, OUTSIDE6, DROP_SPOOFED_ADDRESS},
		{"IPv6 from a mapped address", ip6_from, "::ffff:10.88.0.10", DROP_SPOOFED_ADDRESS},
		{"IPv6 from a group", ip6_from, "ff02::1", DROP_MARTIAN_SOURCE},
		{"ARP request as a neighbour", arp_request_from, B4, DROP_SPOOFED_ADDRESS},
		{"ARP request as the gateway", arp_request_from, GATEWAY4, DROP_SPOOFED_ADDRESS},
		{"ARP reply as a neighbour", arp_reply_from, B4, DROP_SPOOFED_ADDRESS},
		{"ARP reply as the gateway", arp_reply_from, GATEWAY4, DROP_SPOOFED_ADDRESS},
		{"ARP reply as itself", arp_reply_from, A4, DROP_ARP_IGNORED},
		{"ARP: I am the gateway", arp_announcement_of, GATEWAY4, DROP_SPOOFED_ADDRESS},
		{"ARP: I am the router", arp_announcement_of, "169.254.1.1", DROP_SPOOFED_ADDRESS},
		{"ARP: I am who I am", arp_announcement_of, A4, DROP_ARP_IGNORED},
		{"ARP with another's MAC inside", arp_of_another_mac, A4, DROP_SPOOFED_MAC},
		{"solicitation as a neighbour", solicitation_from, B6, DROP_SPOOFED_ADDRESS},
		{"solicitation as the gateway", solicitation_from, GATEWAY6, DROP_SPOOFED_ADDRESS},
		{"solicitation as the router", solicitation_from, "fe80::1", DROP_SPOOFED_ADDRESS},
		{"solicitation with another's MAC inside", solicitation_of_another_mac, A6,
		 DROP_SPOOFED_MAC},
		{"advertisement of the gateway to a pod", advertisement_to, B6, DROP_ND_IGNORED},
		{"advertisement of the gateway to the host", advertisement_to, GATEWAY6,
		 DROP_ND_IGNORED},
		{"advertisement of the gateway to all", advertisement_to, "ff02::1",
		 DROP_MULTICAST},
		{"router advertisement to a pod", router_advertisement_to, B6, DROP_ND_IGNORED},
		{"router advertisement to all", router_advertisement_to, "ff02::1", DROP_MULTICAST},
		{"redirect to a pod", redirect_to, B6, DROP_ND_IGNORED},
		{"redirect to the host", redirect_to, GATEWAY6, DROP_ND_IGNORED},
	};

	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		struct datapath_counters before, after;

		cases[i].build(cases[i].address);
		datapath_read_counters(POD_A, &before);
		inject(POD_A, &f);
		datapath_read_counters(POD_A, &after);
		if (after.drops[cases[i].reason] != before.drops[cases[i].reason] + 1)
			fail_msg("%s: is not dropped as %s", cases[i].what,
				 datapath_drop_reason_name(cases[i].reason));
		assert_dropped(POD_A, cases[i].reason);
		assert_nothing_out();
	}
}

// ---- DHCP ----------------------------------------------------------------------------------------

static void dhcp4(unsigned int from, const char *source, const char *destination,
		  uint16_t source_port, uint16_t destination_port)
{
	frame_udp4(&f, from, source, destination, 240);
	f.bytes[f.l4] = (uint8_t)(source_port >> 8);
	f.bytes[f.l4 + 1] = (uint8_t)source_port;
	f.bytes[f.l4 + 2] = (uint8_t)(destination_port >> 8);
	f.bytes[f.l4 + 3] = (uint8_t)destination_port;
	frame_finish(&f);
}

static void set_ports6(uint16_t source, uint16_t destination)
{
	uint8_t *udp = f.bytes + f.payload - 8;

	udp[0] = (uint8_t)(source >> 8);
	udp[1] = (uint8_t)source;
	udp[2] = (uint8_t)(destination >> 8);
	udp[3] = (uint8_t)destination;
	frame_finish(&f);
}

static void dhcp6(unsigned int from, const char *source, const char *destination,
		  uint16_t source_port, uint16_t destination_port)
{
	frame_udp6(&f, from, source, destination, 100);
	set_ports6(source_port, destination_port);
}

// Behind an extension header of this type.
static void dhcp6_behind(uint8_t type, uint16_t value)
{
	frame_ether(&f, POD_A);
	frame_ip6(&f, A6, B6, type);
	frame_ip6_extension(&f, type, IPPROTO_UDP, value);
	frame_udp(&f, 546);
	frame_payload(&f, 100);
	set_ports6(547, 546);
}

static void a_pod_is_no_dhcp_server(void **state)
{
	static const char *const clients4[] = {B4, GATEWAY4, OUTSIDE4, "255.255.255.255",
					       "10.88.0.255"};
	static const char *const clients6[] = {B6, GATEWAY6, OUTSIDE6, "fe80::b", "ff02::1"};

	for (size_t i = 0; i < RTE_DIM(clients4); i++) {
		dhcp4(POD_A, A4, clients4[i], 67, 68);
		assert_drops(POD_A, &f, DROP_DHCP_SERVER);
		dhcp6(POD_A, A6, clients6[i], 547, 546);
		assert_drops(POD_A, &f, DROP_DHCP_SERVER);
	}
	dhcp6(POD_A, LINK_LOCAL6, "fe80::b", 547, 546);
	assert_drops(POD_A, &f, DROP_DHCP_SERVER);
	// To all on its link, by Ethernet too.
	dhcp4(POD_A, A4, "255.255.255.255", 67, 68);
	memset(f.bytes, 0xff, 6);
	assert_drops(POD_A, &f, DROP_DHCP_SERVER);
	// Behind IPv4 options.
	frame_ether(&f, POD_A);
	frame_ip4(&f, A4, B4, IPPROTO_UDP);
	frame_ip4_options(&f, (const uint8_t[]){1, 1, 1, 0}, 4);
	frame_udp(&f, 68);
	f.bytes[f.l4] = 0;
	f.bytes[f.l4 + 1] = 67;
	frame_payload(&f, 240);
	frame_finish(&f);
	assert_drops(POD_A, &f, DROP_DHCP_SERVER);
	// The first of its fragments.
	dhcp4(POD_A, A4, B4, 67, 68);
	f.bytes[f.l3 + 6] = 0x20;
	frame_fix_ip4(&f);
	assert_drops(POD_A, &f, DROP_DHCP_SERVER);
	dhcp6_behind(IPPROTO_FRAGMENT, 0x0001);
	assert_drops(POD_A, &f, DROP_DHCP_SERVER);
	dhcp6_behind(IPPROTO_HOPOPTS, 0x0104);
	assert_drops(POD_A, &f, DROP_DHCP_SERVER);
	dhcp6_behind(IPPROTO_DSTOPTS, 0x0104);
	assert_drops(POD_A, &f, DROP_DHCP_SERVER);
}

static void what_is_no_dhcp_servers_answer_to_a_client_passes(void **state)
{
	dhcp4(POD_A, A4, B4, 68, 67);
	assert_forwards(POD_A, &f, POD_B);
	dhcp4(POD_A, A4, B4, 67, 67); // as relays speak
	assert_forwards(POD_A, &f, POD_B);
	dhcp4(POD_A, A4, B4, 53, 68);
	assert_forwards(POD_A, &f, POD_B);
	dhcp6(POD_A, A6, B6, 546, 547);
	assert_forwards(POD_A, &f, POD_B);
	dhcp6(POD_A, A6, B6, 547, 547);
	assert_forwards(POD_A, &f, POD_B);
	// Of a later fragment these are not the ports.
	dhcp4(POD_A, A4, B4, 67, 68);
	f.bytes[f.l3 + 7] = 30;
	frame_fix_ip4(&f);
	assert_forwards(POD_A, &f, POD_B);
	dhcp6_behind(IPPROTO_FRAGMENT, 0x0100);
	assert_forwards(POD_A, &f, POD_B);
	// TCP has other services there.
	frame_ether(&f, POD_A);
	frame_ip4(&f, A4, B4, IPPROTO_TCP);
	frame_tcp(&f, 2, 1);
	memcpy(f.bytes + f.l4, (uint8_t[]){0, 67, 0, 68}, 4);
	frame_finish(&f);
	assert_forwards(POD_A, &f, POD_B);
	// The host may be one.
	dhcp4(HOST, GATEWAY4, A4, 67, 68);
	assert_forwards(HOST, &f, POD_A);
	dhcp6(HOST, GATEWAY6, A6, 547, 546);
	assert_forwards(HOST, &f, POD_A);
}

// ---- the agent's time ----------------------------------------------------------------------------

static void push_many(unsigned int slot, const char *source, const char *destination,
		      unsigned int count)
{
	frame_udp4(&f, slot, source, destination, 10);
	for (unsigned int i = 0; i < count; i++)
		push(slot, frame_to_mbuf(&f, 0));
}

static unsigned int count_out(unsigned int slot)
{
	unsigned int count = 0;

	while (pull_frame(slot, &got))
		count++;
	return count;
}

static uint64_t limited(unsigned int slot)
{
	struct datapath_counters counters;

	datapath_read_counters(slot, &counters);
	return counters.drops[DROP_SLOW_PATH_LIMIT];
}

static void a_pod_has_no_more_packets_handled_than_its_limit(void **state)
{
	enum { FLOOD = 500, SAVED = 64 };
	struct datapath_counters counters;

	// One a second: what this test takes is of no account, also on a busy machine.
	datapath_set_limits(&(struct datapath_limits){.slow_path_pps = 1});
	push_many(POD_A, A4, GATEWAY4, FLOOD);
	run();
	unsigned int passed = count_out(HOST);
	assert_in_range(passed, SAVED, FLOOD / 2);
	datapath_read_counters(POD_A, &counters);
	assert_int_equal(counters.drops[DROP_SLOW_PATH_LIMIT], FLOOD - passed);
	assert_int_equal(counters.rx_packets, FLOOD);
	// Each has its own, and those who are no pods have none.
	push_many(POD_B, B4, GATEWAY4, SAVED);
	run();
	assert_int_equal(count_out(HOST), SAVED);
	push_many(HOST, GATEWAY4, A4, FLOOD);
	run();
	assert_int_equal(count_out(POD_A), FLOOD);
	assert_no_drops(POD_B);
	assert_no_drops(HOST);
}

static void a_limit_that_is_lifted_is_no_limit_any_more(void **state)
{
	enum { FLOOD = 500 };

	datapath_set_limits(&(struct datapath_limits){.slow_path_pps = 1});
	push_many(POD_A, A4, GATEWAY4, FLOOD);
	run();
	count_out(HOST);
	uint64_t before = limited(POD_A);
	assert_true(before > 0);
	datapath_set_limits(&(struct datapath_limits){0});
	push_many(POD_A, A4, GATEWAY4, FLOOD);
	run();
	assert_int_equal(count_out(HOST), FLOOD);
	assert_int_equal(limited(POD_A), before);
}

// A million a second is a bucket of 100,000: nobody who sends less in a while meets it.
static void a_pod_below_its_limit_loses_nothing(void **state)
{
	datapath_set_limits(&(struct datapath_limits){.slow_path_pps = 1000000});
	for (unsigned int i = 0; i < 20; i++) {
		push_many(POD_A, A4, GATEWAY4, 500);
		run();
		assert_int_equal(count_out(HOST), 500);
	}
	assert_no_drops(POD_A);
}

// Every port has a burst in its turn, so that one packet of a quiet pod stands behind one burst of a flood.
static void a_flood_does_not_keep_others_from_their_turn(void **state)
{
	enum { FLOOD = 900, BEFORE_MAX = 64 };
	unsigned int before = 0;

	push_many(POD_A, A4, GATEWAY4, FLOOD);
	push_many(POD_B, B4, GATEWAY4, 1);
	run();
	while (pull_frame(HOST, &got) && got.bytes[got.l3 + 15] != f.bytes[f.l3 + 15])
		before++;
	assert_in_range(before, 0, BEFORE_MAX);
	assert_int_equal(count_out(HOST), FLOOD - before);
}

// ---- neighbours ----------------------------------------------------------------------------------

static void ask_for(unsigned int slot, const char *source, unsigned int number)
{
	char target[INET_ADDRSTRLEN];

	snprintf(target, sizeof(target), "203.0.113.%u", number);
	frame_udp4(&f, slot, source, target, 10);
	inject(slot, &f);
}

static void a_pod_has_no_more_neighbours_asked_for_than_its_limit(void **state)
{
	enum { LIMIT = 4, ASKED = 12, FIRST = 100 };
	char address[INET_ADDRSTRLEN];

	datapath_set_limits(&(struct datapath_limits){.unresolved_neighbours = LIMIT});
	for (unsigned int i = 0; i < ASKED; i++)
		ask_for(POD_A, A4, FIRST + i);
	assert_int_equal(count_out(UPLINK), LIMIT);
	assert_dropped_n(POD_A, DROP_NEIGHBOUR_LIMIT, ASKED - LIMIT);
	// A second packet asks for nobody more, nor does another pod's limit end there.
	ask_for(POD_A, A4, FIRST);
	assert_no_drops(POD_A);
	ask_for(POD_B, B4, FIRST + LIMIT);
	assert_int_equal(count_out(UPLINK), 1);
	assert_no_drops(POD_B);
	// Who is found is not counted any more.
	snprintf(address, sizeof(address), "203.0.113.%u", FIRST);
	answer4(address, peer_mac);
	assert_int_equal(count_out(UPLINK), 2);
	ask_for(POD_A, A4, FIRST + ASKED);
	assert_int_equal(count_out(UPLINK), 1);
	ask_for(POD_A, A4, FIRST + ASKED + 1);
	assert_dropped(POD_A, DROP_NEIGHBOUR_LIMIT);
	// Nor is who is not found.
	for (unsigned int i = 0; i < 3; i++)
		pass_ms(1000);
	count_out(UPLINK);
	refill_icmp_budget(POD_A);
	assert_true(count_out(POD_A) > 0);
	assert_dropped_n(POD_A, DROP_NEIGHBOUR_UNREACHABLE, LIMIT);
	assert_true(count_out(POD_B) > 0);
	assert_dropped(POD_B, DROP_NEIGHBOUR_UNREACHABLE);
	ask_for(POD_A, A4, FIRST + ASKED + 2);
	assert_int_equal(count_out(UPLINK), 1);
	assert_no_drops(POD_A);
}

static void many_that_ask_for_many_leave_room_for_one_more(void **state)
{
	static const struct {
		unsigned int slot;
		const char *address;
	} greedy[] = {{POD_A, A4}, {POD_B, B4}, {POD_SMALL, SMALL4}, {POD_IP4_ONLY, IP4_ONLY4}};
	struct datapath_port modest = graph_port_config(EXTRA);
	struct datapath_counters counters;

	modest.has_ipv4 = true;
	inet_pton(AF_INET, "10.88.0.20", &modest.ipv4);
	graph_replace_port(&modest);
	// All for addresses of their own, that nobody has.
	for (unsigned int i = 0; i < 200; i++) {
		const unsigned int who = i % RTE_DIM(greedy);

		ask_for(greedy[who].slot, greedy[who].address, 30 + i);
		ask_for(greedy[who].slot, greedy[who].address, 30 + i);
		count_out(UPLINK);
	}
	for (size_t i = 0; i < RTE_DIM(greedy); i++) {
		datapath_read_counters(greedy[i].slot, &counters);
		assert_true(counters.drops[DROP_NEIGHBOUR_QUEUE] > 0);
	}
	ask_for(EXTRA, "10.88.0.20", 250);
	assert_int_equal(count_out(UPLINK), 1);
	assert_no_drops(EXTRA);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GRAPH_TEST(a_pod_is_nobody_but_itself),
		GRAPH_TEST(a_pod_is_no_dhcp_server),
		GRAPH_TEST(what_is_no_dhcp_servers_answer_to_a_client_passes),
		GRAPH_TEST(a_pod_has_no_more_packets_handled_than_its_limit),
		GRAPH_TEST(a_limit_that_is_lifted_is_no_limit_any_more),
		GRAPH_TEST(a_pod_below_its_limit_loses_nothing),
		GRAPH_TEST(a_flood_does_not_keep_others_from_their_turn),
		WIRE_TEST(a_pod_has_no_more_neighbours_asked_for_than_its_limit),
		WIRE_TEST(many_that_ask_for_many_leave_room_for_one_more),
	};

	return cmocka_run_group_tests(tests, graph_start, graph_stop);
}
