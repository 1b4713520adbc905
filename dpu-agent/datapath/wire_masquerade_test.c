// SPDX-License-Identifier: BSD-3-Clause
//
// Pods behind the uplink's address, through the whole graph.

#include <netinet/in.h>

#include <rte_common.h>

#include "datapath/masquerade.h"
#include "datapath/wire_test.h"

#define FAR4     "198.51.100.7" // excluded, behind the peer
#define WORLD4   "192.0.2.99"   // behind the gate
#define FAR6     "2001:db8:f::7"
#define WORLD6   "2001:db8:ffff::99"
#define STRANGE4 "192.0.2.98"

enum { FIRST_PORT = 40000, LAST_PORT = 40999 };

static const struct masquerade_config config = {
	.ipv4 = true,
	.ipv6 = true,
	.excluded_count = 2,
	.excluded = {{.length = 24, .prefix = {198, 51, 100}},
		     {.is_ipv6 = true, .length = 48, .prefix = {0x20, 1, 0x0d, 0xb8, 0, 0x0f}}},
	.first_port = FIRST_PORT,
	.last_port = LAST_PORT,
	.first_identifier = 1,
	.last_identifier = UINT16_MAX,
	.connections = 256,
	.pick_up = true,
	.timeouts = {240, 7440, 240, 120, 10, 120, 300, 30, 60, 30},
};

static struct frame f, got, answer;

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

// Make it a packet of what comes out of the uplink, with the ends swapped.
static void make_answer(void)
{
	bool ipv6 = got.bytes[12] == 0x86;
	uint8_t *ip = answer.bytes + got.l3, *l4 = answer.bytes + got.l4, swap[16];
	size_t source = ipv6 ? 8 : 12, size = ipv6 ? 16 : 4;

	answer = got;
	memcpy(swap, ip + source, size);
	memcpy(ip + source, ip + source + size, size);
	memcpy(ip + source + size, swap, size);
	memcpy(swap, l4, 2);
	memcpy(l4, l4 + 2, 2);
	memcpy(l4 + 2, swap, 2);
	ip[ipv6 ? 7 : 8] = 64;
	if (!ipv6)
		frame_fix_ip4(&answer);
	to_agent(&answer, gate_mac);
}

static void assert_address(size_t at, const char *text)
{
	bool ipv6 = strchr(text, ':') != NULL;
	uint8_t address[16];

	assert_int_equal(1, inet_pton(ipv6 ? AF_INET6 : AF_INET, text, address));
	assert_memory_equal(address, got.bytes + got.l3 + at, ipv6 ? 16 : 4);
}

// It came out of the uplink with its address. Returns the port.
static uint16_t assert_masqueraded(const char *destination)
{
	bool ipv6 = strchr(destination, ':') != NULL;

	assert_true(pull_frame(UPLINK, &got));
	assert_address(ipv6 ? 8 : 12, ipv6 ? WIRE6 : WIRE4);
	assert_address(ipv6 ? 24 : 16, destination);
	assert_true(l4_checksum_good(&got));
	if (!ipv6)
		assert_int_equal(0xffff, reference_sum(got.bytes + got.l3, 20, 0));
	uint16_t port = get16(got.bytes + got.l4);
	assert_in_range(port, FIRST_PORT, LAST_PORT);
	return port;
}

static void assert_at_pod(unsigned int slot, const char *source, const char *destination)
{
	bool ipv6 = strchr(source, ':') != NULL;

	assert_true(pull_frame(slot, &got));
	assert_address(ipv6 ? 8 : 12, source);
	assert_address(ipv6 ? 24 : 16, destination);
	assert_true(l4_checksum_good(&got));
	if (!ipv6)
		assert_int_equal(0xffff, reference_sum(got.bytes + got.l3, 20, 0));
}

static int set_up(void **state)
{
	int r = wire_set_up(state);

	// The gate is known to all tests.
	meet(POD_B, B4, WORLD4, GATE4, gate_mac);
	assert_masqueraded(WORLD4);
	meet(POD_B, B6, WORLD6, GATE6, gate_mac);
	assert_masqueraded(WORLD6);
	return r;
}
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, graph_tear_down)

// POD_A speaks to the world by UDP; what left is in `got`.
static uint16_t speak4(void)
{
	frame_udp4(&f, POD_A, A4, WORLD4, 100);
	inject(POD_A, &f);
	return assert_masqueraded(WORLD4);
}

static uint16_t speak6(void)
{
	frame_udp6(&f, POD_A, A6, WORLD6, 100);
	inject(POD_A, &f);
	return assert_masqueraded(WORLD6);
}

static void a_pod_asks_the_world_and_gets_the_answer(void **state)
{
	uint16_t port = get16((speak4(), f.bytes + f.l4));

	assert_memory_equal(gate_mac, got.bytes, 6);
	assert_int_equal(63, got.bytes[got.l3 + 8]);
	make_answer();
	inject(UPLINK, &answer);
	assert_at_pod(POD_A, WORLD4, A4);
	assert_int_equal(port, get16(got.bytes + got.l4 + 2));
	speak6();
	make_answer();
	inject(UPLINK, &answer);
	assert_at_pod(POD_A, WORLD6, A6);
	assert_no_drops(UPLINK);
	assert_no_drops(POD_A);
}

static void an_excluded_peer_sees_pods_as_they_are(void **state)
{
	frame_udp4(&f, POD_A, A4, FAR4, 100);
	inject(POD_A, &f);
	assert_asked4(PEER4, NULL);
	answer4(PEER4, peer_mac);
	assert_on_wire(&f, peer_mac);
	frame_udp4(&f, UPLINK, FAR4, A4, 100);
	to_agent(&f, peer_mac);
	assert_forwards(UPLINK, &f, POD_A);
	frame_udp6(&f, UPLINK, FAR6, A6, 100);
	to_agent(&f, peer_mac);
	assert_forwards(UPLINK, &f, POD_A);
}

static void the_others_do_not_reach_a_pod_that_has_not_asked(void **state)
{
	frame_udp4(&f, UPLINK, WORLD4, A4, 100);
	to_agent(&f, gate_mac);
	assert_drops(UPLINK, &f, DROP_NAT_DIRECT);
	frame_udp6(&f, UPLINK, WORLD6, A6, 100);
	to_agent(&f, gate_mac);
	assert_drops(UPLINK, &f, DROP_NAT_DIRECT);
	speak4();
	make_answer();
	inet_pton(AF_INET, STRANGE4, answer.bytes + answer.l3 + 12); // it is not he who was asked
	frame_finish(&answer);
	assert_drops(UPLINK, &answer, DROP_NOT_FOR_ROUTER);
}

static void the_agent_still_answers_pings(void **state)
{
	frame_echo4(&f, UPLINK, WORLD4, WIRE4, 40);
	to_agent(&f, gate_mac);
	inject(UPLINK, &f);
	assert_true(pull_frame(UPLINK, &got));
	assert_int_equal(0, got.bytes[got.l4]);
	frame_echo6(&f, UPLINK, WORLD6, WIRE6, 40);
	to_agent(&f, gate_mac);
	inject(UPLINK, &f);
	assert_true(pull_frame(UPLINK, &got));
	assert_int_equal(129, got.bytes[got.l4]);
}

static void the_hosts_packets_keep_their_source(void **state)
{
	frame_udp4(&f, HOST, GATEWAY4, WORLD4, 100);
	inject(HOST, &f);
	assert_on_wire(&f, gate_mac);
}

static void a_router_on_the_way_can_tell_the_pod(void **state)
{
	frame_udp4(&f, POD_A, A4, WORLD4, 100);
	struct frame sent = f;
	inject(POD_A, &f);
	assert_masqueraded(WORLD4);
	frame_ether(&answer, UPLINK);
	frame_ip4(&answer, GATE4, WIRE4, IPPROTO_ICMP);
	frame_icmp(&answer, 11, 0);
	frame_append(&answer, got.bytes + got.l3, 28);
	frame_finish(&answer);
	to_agent(&answer, gate_mac);
	inject(UPLINK, &answer);
	assert_at_pod(POD_A, GATE4, A4);
	// It quotes what the pod had sent, but for the time to live, and the checksum for that.
	const uint8_t *quote = got.bytes + got.l4 + 8;
	assert_memory_equal(sent.bytes + sent.l3 + 12, quote + 12, 16);
	assert_int_equal(0xffff, reference_sum(quote, 20, 0));
}

// And the agent, the peer: about the answer that it had sent, not about what that became.
static void the_agent_can_tell_the_peer(void **state)
{
	speak4();
	make_answer();
	answer.bytes[answer.l3 + 8] = 1;
	frame_fix_ip4(&answer);
	inject(UPLINK, &answer);
	assert_true(pull_frame(UPLINK, &got));
	assert_address(12, WIRE4);
	assert_address(16, WORLD4);
	assert_int_equal(11, got.bytes[got.l4]);
	assert_true(l4_checksum_good(&got));
	assert_memory_equal(answer.bytes + answer.l3, got.bytes + got.l4 + 8, 28);
	assert_dropped(UPLINK, DROP_TTL_EXPIRED);
	speak6();
	make_answer();
	answer.bytes[answer.l3 + 7] = 1;
	inject(UPLINK, &answer);
	assert_true(pull_frame(UPLINK, &got));
	assert_address(8, WIRE6);
	assert_int_equal(3, got.bytes[got.l4]);
	assert_true(l4_checksum_good(&got));
	assert_memory_equal(answer.bytes + answer.l3, got.bytes + got.l4 + 8, 48);
	assert_dropped(UPLINK, DROP_TTL_EXPIRED);
}

static void what_a_stack_left_to_the_nic_is_right_on_the_wire(void **state)
{
	struct datapath_port uplink = graph_port_config(UPLINK);

	uplink.tx_l4_checksum = uplink.tx_tso = false; // so that the test sees what comes of it
	graph_replace_port(&uplink);
	settle();
	frame_udp4(&f, POD_A, A4, WORLD4, 1);
	inject(POD_A, &f);
	assert_asked4(GATE4, NULL);
	answer4(GATE4, gate_mac);
	assert_masqueraded(WORLD4);
	for (unsigned int large = 0; large < 2; large++) {
		frame_ether(&f, POD_A);
		frame_ip4(&f, A4, WORLD4, IPPROTO_TCP);
		frame_tcp(&f, 0x10, 1000);
		frame_payload(&f, large ? 4000 : 500);
		frame_finish(&f);
		memset(f.bytes + f.l4 + 16, 0xaa, 2); // a checksum that nobody has filled
		struct rte_mbuf *m = frame_to_mbuf(&f, 0);
		m->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_NONE | (large ? RTE_MBUF_F_RX_LRO : 0);
		m->tso_segsz = 1000;
		push(POD_A, m);
		run();
		uint16_t port = assert_masqueraded(WORLD4);
		for (unsigned int i = 1; i < (large ? 4u : 1u); i++)
			assert_int_equal(port, assert_masqueraded(WORLD4));
		assert_nothing_out();
	}
}

static void pieces_from_the_wire_find_their_pod_in_any_order(void **state)
{
	static struct frame whole, pieces[3];

	speak4();
	make_answer();
	whole = answer;
	for (size_t i = 0; i < 3; i++) {
		size_t offset = i * 40, size = i < 2 ? 40 : whole.size - whole.l4 - 80;

		pieces[i] = whole;
		memcpy(pieces[i].bytes + whole.l4, whole.bytes + whole.l4 + offset, size);
		pieces[i].size = whole.l4 + size;
		pieces[i].bytes[whole.l3 + 2] = 0;
		pieces[i].bytes[whole.l3 + 3] = (uint8_t)(20 + size);
		pieces[i].bytes[whole.l3 + 6] = i < 2 ? 0x20 : 0;
		pieces[i].bytes[whole.l3 + 7] = (uint8_t)(offset / 8);
		frame_fix_ip4(&pieces[i]);
	}
	inject(UPLINK, &pieces[2]);
	inject(UPLINK, &pieces[1]);
	assert_nothing_out();
	inject(UPLINK, &pieces[0]);
	for (unsigned int i = 0; i < 3; i++) {
		assert_true(pull_frame(POD_A, &got));
		assert_address(12, WORLD4);
		assert_address(16, A4);
	}
	assert_no_drops(UPLINK);
}

static void an_unfinished_packet_is_given_back_at_the_end(void **state)
{
	speak4();
	make_answer();
	answer.bytes[answer.l3 + 7] = 5; // a later fragment; graph_tear_down counts buffers
	frame_fix_ip4(&answer);
	inject(UPLINK, &answer);
	assert_nothing_out();
}

static void what_cannot_be_masqueraded_is_dropped_and_counted(void **state)
{
	frame_ether(&f, POD_A);
	frame_ip4(&f, A4, WORLD4, IPPROTO_GRE);
	frame_payload(&f, 64);
	frame_finish(&f);
	assert_drops(POD_A, &f, DROP_NAT_UNSUPPORTED);
	frame_ether(&f, POD_A);
	frame_ip4(&f, A4, WORLD4, IPPROTO_TCP);
	frame_tcp(&f, 0x12, 1000); // SYN+ACK
	frame_finish(&f);
	assert_drops(POD_A, &f, DROP_NAT_INVALID);
	for (unsigned int i = 0; i < 300; i++) {
		frame_udp4(&f, POD_A, A4, WORLD4, 10);
		f.bytes[f.l4 + 1] = (uint8_t)i;
		f.bytes[f.l4] = (uint8_t)(1 + i / 256);
		frame_finish(&f);
		inject(POD_A, &f);
		drain(UPLINK);
		while (pull_frame(UPLINK, &got))
			;
	}
	assert_dropped_n(POD_A, DROP_NAT_FULL, 300 - 169); // two thirds of what is free, of 256
}

static void a_pod_has_no_more_connections_than_its_limit(void **state)
{
	enum { LIMIT = 10 };

	datapath_set_limits(&(struct datapath_limits){.connections = LIMIT});
	for (unsigned int i = 0; i < 30; i++) {
		frame_udp4(&f, POD_A, A4, WORLD4, 10);
		f.bytes[f.l4 + 1] = (uint8_t)i;
		frame_finish(&f);
		inject(POD_A, &f);
		if (i < LIMIT)
			assert_masqueraded(WORLD4);
	}
	assert_nothing_out();
	assert_dropped_n(POD_A, DROP_NAT_LIMIT, 30 - LIMIT);
	// Those that it has go on, others have their own, and a limit may be lifted.
	frame_udp4(&f, POD_A, A4, WORLD4, 10);
	f.bytes[f.l4 + 1] = 0;
	frame_finish(&f);
	inject(POD_A, &f);
	assert_masqueraded(WORLD4);
	frame_udp4(&f, POD_B, B4, WORLD4, 11);
	inject(POD_B, &f);
	assert_masqueraded(WORLD4);
	datapath_set_limits(&(struct datapath_limits){0});
	speak4();
	assert_no_drops(POD_A);
}

static void what_is_masqueraded_may_change_while_pods_talk(void **state)
{
	struct masquerade_config other = config;
	struct error err;

	uint16_t port = speak4();
	make_answer();
	// The world is excluded: it sees the pod, and may speak to it.
	other.excluded[other.excluded_count] = (struct masquerade_prefix){.length = 24};
	inet_pton(AF_INET, WORLD4, other.excluded[other.excluded_count].prefix);
	other.excluded[other.excluded_count++].prefix[3] = 0;
	assert_int_equal(0, masquerade_set(&other, &err));
	frame_udp4(&f, POD_A, A4, WORLD4, 100);
	inject(POD_A, &f);
	assert_on_wire(&f, gate_mac);
	frame_udp4(&f, UPLINK, WORLD4, A4, 100);
	to_agent(&f, gate_mac);
	assert_forwards(UPLINK, &f, POD_A);
	// As it was: the connection has its port still, and other ports are for the next start.
	other = config;
	other.first_port = 50000;
	other.last_port = 50255;
	assert_int_equal(0, masquerade_set(&other, &err));
	assert_int_equal(port, speak4());
	assert_false(masquerade_same_table(&other, masquerade_configuration()));
	assert_int_equal(config.first_port, masquerade_configuration()->first_port);
	// Not at all, and again.
	other = config;
	other.ipv4 = other.ipv6 = false;
	assert_int_equal(0, masquerade_set(&other, &err));
	frame_udp6(&f, POD_A, A6, WORLD6, 100);
	inject(POD_A, &f);
	assert_on_wire(&f, gate_mac);
	assert_int_equal(0, masquerade_set(&config, &err));
	assert_true(masquerade_same_table(&config, masquerade_configuration()));
	speak6();
	assert_int_equal(port, speak4());
}

// Where nothing was masqueraded when the agent was started there is no table yet.
static void masquerade_may_begin_while_pods_talk(void **state)
{
	struct error err;

	frame_udp4(&f, POD_A, A4, PEER4, 100);
	inject(POD_A, &f);
	assert_asked4(PEER4, NULL);
	answer4(PEER4, peer_mac);
	assert_on_wire(&f, peer_mac);
	assert_int_equal(0, masquerade_set(&config, &err));
	frame_udp4(&f, POD_A, A4, PEER4, 100);
	inject(POD_A, &f);
	assert_masqueraded(PEER4);
}

static void a_pod_takes_its_connections_with_it(void **state)
{
	struct datapath_port port = graph_port_config(POD_A);

	speak4();
	make_answer();
	graph_replace_port(&port); // another pod, with the same number and the same address
	assert_drops(UPLINK, &answer, DROP_NOT_FOR_ROUTER);
	speak4();
	make_answer();
	inject(UPLINK, &answer);
	assert_at_pod(POD_A, WORLD4, A4);
}

static void another_address_on_the_wire_is_used_at_once(void **state)
{
	struct uplink uplink = graph_uplink();
	struct error err;

	speak4();
	inet_pton(AF_INET, "203.0.113.11", &uplink.ipv4);
	assert_int_equal(0, datapath_set_uplink(&uplink, &err));
	settle();
	frame_udp4(&f, POD_A, A4, WORLD4, 100);
	inject(POD_A, &f);
	assert_true(pull_frame(UPLINK, &got)); // a question: neighbours were forgotten
	frame_arp(&f, UPLINK, 2, GATE4, "203.0.113.11");
	memcpy(f.bytes, port_mac(UPLINK), 6);
	memcpy(f.bytes + 6, gate_mac, 6);
	memcpy(f.bytes + 22, gate_mac, 6);
	inject(UPLINK, &f);
	assert_true(pull_frame(UPLINK, &got));
	assert_address(12, "203.0.113.11");
	assert_true(l4_checksum_good(&got));
}

static int set_up_without(void **state)
{
	graph_masquerade(NULL);
	int r = wire_set_up(state);
	graph_masquerade(&config);
	return r;
}

static int start(void **state)
{
	graph_masquerade(&config);
	return graph_start(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_pod_asks_the_world_and_gets_the_answer),
		TEST(an_excluded_peer_sees_pods_as_they_are),
		TEST(the_others_do_not_reach_a_pod_that_has_not_asked),
		TEST(the_agent_still_answers_pings),
		TEST(the_hosts_packets_keep_their_source),
		TEST(a_router_on_the_way_can_tell_the_pod),
		TEST(the_agent_can_tell_the_peer),
		TEST(what_a_stack_left_to_the_nic_is_right_on_the_wire),
		TEST(pieces_from_the_wire_find_their_pod_in_any_order),
		TEST(an_unfinished_packet_is_given_back_at_the_end),
		TEST(what_cannot_be_masqueraded_is_dropped_and_counted),
		TEST(a_pod_has_no_more_connections_than_its_limit),
		TEST(what_is_masqueraded_may_change_while_pods_talk),
		cmocka_unit_test_setup_teardown(masquerade_may_begin_while_pods_talk,
						set_up_without, graph_tear_down),
		TEST(a_pod_takes_its_connections_with_it),
		TEST(another_address_on_the_wire_is_used_at_once),
	};

	return cmocka_run_group_tests_name("masquerade on the wire", tests, start, graph_stop);
}
