// SPDX-License-Identifier: BSD-3-Clause
//
// Neighbours on the wire: asked for, confirmed, forgotten; and what they may say of themselves.

#include "datapath/wire_test.h"

#include <netinet/in.h>

#include "datapath/neighbour.h"
#include "datapath/worker.h"

static const uint8_t other_mac[6] = {0x02, 0, 0, 0, 0x02, 0x99};

static struct frame f, got;

static void send4(const char *destination)
{
	frame_udp4(&f, POD_A, A4, destination, 10);
	inject(POD_A, &f);
}

static void send6(const char *destination)
{
	frame_udp6(&f, POD_A, A6, destination, 10);
	inject(POD_A, &f);
}

static void assert_sent_to(const uint8_t mac[6])
{
	assert_on_wire(&f, mac);
	assert_nothing_out();
	assert_no_drops(POD_A);
}

// Of all there are; NULL: it is not known.
static const struct neighbour_info *find(const char *address)
{
	static struct neighbour_info infos[NEIGHBOURS_MAX];
	size_t count = neighbours_list(0, 0, infos, NEIGHBOURS_MAX);
	uint8_t wanted[16] = {0};

	inet_pton(strchr(address, ':') != NULL ? AF_INET6 : AF_INET, address, wanted);
	for (size_t i = 0; i < count; i++)
		if (memcmp(infos[i].address, wanted, 16) == 0)
			return &infos[i];
	return NULL;
}

static void assert_state(const char *address, const char *state)
{
	const struct neighbour_info *info = find(address);

	assert_string_equal(state, info != NULL ? neighbour_state_name(info->state) : "none");
}

static void know_peer(void)
{
	send4(PEER4);
	assert_asked4(PEER4, NULL);
	answer4(PEER4, peer_mac);
	assert_sent_to(peer_mac);
	send6(PEER6);
	assert_asked6(PEER6, NULL);
	answer6(PEER6, peer_mac);
	assert_sent_to(peer_mac);
	assert_state(PEER4, "reachable");
	assert_state(PEER6, "reachable");
}

// RFC 4861's random factor is at most 1.5.
static void become_stale(void)
{
	pass_ms(NEIGHBOUR_REACHABLE_MS * 3 / 2);
	assert_state(PEER4, "stale");
	assert_state(PEER6, "stale");
	assert_nothing_out();
}

static void the_addresses_are_announced(void **state)
{
	struct uplink uplink = graph_uplink();
	struct in6_addr address;
	struct error err;

	assert_int_equal(0, datapath_set_uplink(&uplink, &err));
	for (int i = 0; i < ANNOUNCE_TIMES; i++) {
		pass_ms(i == 0 ? 0 : 1000);
		assert_asked4(WIRE4, NULL); // gratuitous: from and for itself
		assert_true(pull_frame(UPLINK, &got));
		assert_memory_equal(((uint8_t[]){0x33, 0x33, 0, 0, 0, 1}), got.bytes, 6);
		assert_int_equal(255, got.bytes[got.l3 + 7]);
		inet_pton(AF_INET6, "ff02::1", &address);
		assert_memory_equal(&address, got.bytes + got.l3 + 24, 16);
		inet_pton(AF_INET6, WIRE6, &address);
		assert_memory_equal(&address, got.bytes + got.l3 + 8, 16);
		// An advertisement of a router, that overrides, of that address, with the MAC address.
		assert_memory_equal(((uint8_t[]){136, 0}), got.bytes + got.l4, 2);
		assert_int_equal(0xa0, got.bytes[got.l4 + 4]);
		assert_memory_equal(&address, got.bytes + got.l4 + 8, 16);
		assert_memory_equal(((uint8_t[]){2, 1}), got.bytes + got.l4 + 24, 2);
		assert_memory_equal(port_mac(UPLINK), got.bytes + got.l4 + 26, 6);
		assert_true(l4_checksum_good(&got));
		assert_nothing_out();
	}
	pass_ms(10000);
	assert_nothing_out();
}

static void a_new_port_announces_them_again(void **state)
{
	struct datapath_port config = graph_port_config(UPLINK);

	graph_replace_port(&config);
	pass_ms(0);
	assert_asked4(WIRE4, NULL);
	settle();
}

static void they_are_announced_again_on_request(void **state)
{
	struct error err;

	datapath_announce();
	pass_ms(0);
	assert_asked4(WIRE4, NULL);
	settle();
	// There are none.
	assert_int_equal(0, datapath_set_uplink(NULL, &err));
	datapath_announce();
	pass_ms(0);
	assert_nothing_out();
}

static void the_agent_answers_for_its_own_address_alone(void **state)
{
	frame_arp(&f, UPLINK, 1, PEER4, WIRE4);
	memcpy(f.bytes + 6, peer_mac, 6);
	memcpy(f.bytes + 22, peer_mac, 6);
	inject(UPLINK, &f);
	assert_no_drops(UPLINK);
	assert_true(pull_frame(UPLINK, &got));
	assert_memory_equal(peer_mac, got.bytes, 6);
	assert_memory_equal(port_mac(UPLINK), got.bytes + 6, 6);
	assert_int_equal(2, got.bytes[21]);
	assert_memory_equal(port_mac(UPLINK), got.bytes + 22, 6);
	assert_memory_equal(f.bytes + 38, got.bytes + 28, 4);

	frame_solicitation(&f, UPLINK, PEER6, "ff02::1:ff00:10", WIRE6, true);
	memcpy(f.bytes + 6, peer_mac, 6);
	inject(UPLINK, &f);
	assert_no_drops(UPLINK);
	assert_true(pull_frame(UPLINK, &got));
	assert_memory_equal(peer_mac, got.bytes, 6);
	assert_int_equal(136, got.bytes[got.l4]);
	assert_memory_equal(port_mac(UPLINK), got.bytes + got.l4 + 26, 6);
	assert_true(l4_checksum_good(&got));

	static const char *const others4[] = {PEER4, A4, GATEWAY4, "169.254.1.1"};
	static const char *const others6[] = {PEER6, A6, GATEWAY6, "fe80::1"};
	for (size_t i = 0; i < 4; i++) {
		frame_arp(&f, UPLINK, 1, GATE4, others4[i]);
		memcpy(f.bytes + 6, gate_mac, 6);
		assert_drops(UPLINK, &f, DROP_ARP_IGNORED);
		frame_solicitation(&f, UPLINK, GATE6, "ff02::1:ff00:1", others6[i], true);
		memcpy(f.bytes + 6, gate_mac, 6);
		assert_drops(UPLINK, &f, DROP_ND_IGNORED);
	}
}

static void who_says_that_it_has_our_address_is_not_heard(void **state)
{
	frame_arp(&f, UPLINK, 1, WIRE4, WIRE4);
	memcpy(f.bytes + 6, other_mac, 6);
	assert_drops(UPLINK, &f, DROP_SPOOFED_ADDRESS);
	frame_arp(&f, UPLINK, 2, A4, WIRE4); // nor a pod's
	memcpy(f.bytes + 6, other_mac, 6);
	assert_drops(UPLINK, &f, DROP_SPOOFED_ADDRESS);
	advertise6(WIRE6, other_mac, 0x20, "ff02::1");
	assert_dropped(UPLINK, DROP_SPOOFED_ADDRESS);
	advertise6(A6, other_mac, 0x60, NULL);
	assert_dropped(UPLINK, DROP_SPOOFED_ADDRESS);
	assert_nothing_out();
}

static void who_does_not_answer_is_asked_three_times_and_is_unreachable(void **state)
{
	static struct frame waits4, waits6;

	frame_udp4(&waits4, POD_A, A4, PEER4, 10);
	inject(POD_A, &waits4);
	assert_asked4(PEER4, NULL);
	frame_udp6(&waits6, POD_B, B6, PEER6, 10);
	inject(POD_B, &waits6);
	assert_asked6(PEER6, NULL);
	for (int i = 0; i < 2; i++) {
		pass_ms(999);
		assert_nothing_out();
		pass_ms(1);
		assert_asked4(PEER4, NULL);
		assert_asked6(PEER6, NULL);
		assert_nothing_out();
	}
	assert_no_drops(POD_A);
	pass_ms(1000);
	assert_dropped(POD_A, DROP_NEIGHBOUR_UNREACHABLE);
	assert_dropped(POD_B, DROP_NEIGHBOUR_UNREACHABLE);
	assert_true(pull_frame(POD_A, &got));
	assert_memory_equal(((uint8_t[]){3, 1}), got.bytes + got.l4, 2);
	assert_memory_equal(waits4.bytes + waits4.l3, got.bytes + got.payload,
			    waits4.size - waits4.l3); // as it was sent
	assert_true(pull_frame(POD_B, &got));
	assert_memory_equal(((uint8_t[]){1, 3}), got.bytes + got.l4, 2);
	// For a while all are told at once.
	assert_error4(POD_A, &waits4, DROP_NEIGHBOUR_UNREACHABLE, 3, 1, 0, GATEWAY4);
	assert_error6(POD_B, &waits6, DROP_NEIGHBOUR_UNREACHABLE, 1, 3, 0, GATEWAY6);
	pass_ms(NEIGHBOUR_FAILED_MS);
	inject(POD_A, &waits4);
	assert_asked4(PEER4, NULL);
	answer4(PEER4, peer_mac);
	assert_on_wire(&waits4, peer_mac);
}

static void who_comes_after_all_is_reachable_at_once(void **state)
{
	send4(PEER4);
	assert_asked4(PEER4, NULL);
	for (int i = 0; i < 3; i++)
		pass_ms(1000);
	assert_state(PEER4, "failed");
	while (pull_frame(UPLINK, &got) || pull_frame(POD_A, &got))
		;
	assert_dropped(POD_A, DROP_NEIGHBOUR_UNREACHABLE);
	tell4(PEER4, peer_mac);
	send4(PEER4);
	assert_sent_to(peer_mac);
}

static void only_so_many_wait_for_one_neighbour_in_their_order(void **state)
{
	for (size_t i = 0; i < WAITING_WIRE_MAX + 2; i++) {
		frame_udp4(&f, POD_A, A4, PEER4, 10 + i);
		inject(POD_A, &f);
		if (i == 0)
			assert_asked4(PEER4, NULL);
	}
	assert_nothing_out();
	assert_dropped_n(POD_A, DROP_NEIGHBOUR_QUEUE, 2);
	answer4(PEER4, peer_mac);
	for (size_t i = 0; i < WAITING_WIRE_MAX; i++) {
		frame_udp4(&f, POD_A, A4, PEER4, 10 + i);
		assert_on_wire(&f, peer_mac);
	}
	assert_nothing_out();
}

static void no_pod_takes_all_the_room_there_is_to_wait(void **state)
{
	char address[32];

	for (unsigned int i = 0; i < WAITING_PORT_MAX + 5; i++) {
		snprintf(address, sizeof(address), "203.0.113.%u", i + 100);
		frame_udp4(&f, POD_B, B4, address, 10);
		inject(POD_B, &f);
	}
	assert_dropped_n(POD_B, DROP_NEIGHBOUR_QUEUE, 5);
	while (pull_frame(UPLINK, &got))
		;
	send4(PEER4);
	assert_asked4(PEER4, NULL);
	answer4(PEER4, peer_mac);
	assert_sent_to(peer_mac);
}

// A pod that speaks to the whole link does not make the table grow; who is of no use makes room.
static void the_table_of_neighbours_is_bounded(void **state)
{
	static struct neighbour_info infos[2 * NEIGHBOURS_MAX];
	struct uplink uplink = graph_uplink();
	unsigned int answered = 0;
	char address[32];
	struct error err;

	uplink.ipv4_prefix_length = 8;
	assert_int_equal(0, datapath_set_uplink(&uplink, &err));
	settle();
	for (unsigned int i = 0; i < NEIGHBOURS_MAX + 20; i++) {
		snprintf(address, sizeof(address), "203.7.%u.%u", i / 250, i % 250 + 1);
		frame_udp4(&f, POD_B, B4, address, 10);
		inject(POD_B, &f);
		if (!pull_frame(UPLINK, &got)) // nobody is asked
			continue;
		answer4(address, peer_mac);
		assert_true(pull_frame(UPLINK, &got));
		answered++;
	}
	assert_int_equal(NEIGHBOURS_MAX, answered);
	assert_int_equal(NEIGHBOURS_MAX, neighbours_list(0, 0, infos, RTE_DIM(infos)));
	expire_waiting();
	assert_dropped_n(POD_B, DROP_NEIGHBOUR_UNREACHABLE, 20);
	while (pull_frame(POD_B, &got))
		;
	pass_ms(NEIGHBOUR_REACHABLE_MS * 3 / 2);
	know_peer();
	assert_int_equal(NEIGHBOURS_MAX, neighbours_list(0, 0, infos, RTE_DIM(infos)));
	datapath_port_remove(UPLINK);
	assert_int_equal(0, neighbours_list(0, 0, infos, RTE_DIM(infos)));
}

// ---- confirmation --------------------------------------------------------------------------------

static void who_is_used_is_probed_after_a_while_and_confirmed(void **state)
{
	know_peer();
	become_stale();
	send4(PEER4);
	assert_sent_to(peer_mac); // nobody waits for the probe
	assert_state(PEER4, "delay");
	assert_state(PEER6, "stale"); // not used
	pass_ms(NEIGHBOUR_DELAY_MS);
	assert_state(PEER4, "probe");
	assert_asked4(PEER4, peer_mac);
	answer4(PEER4, peer_mac);
	assert_state(PEER4, "reachable");

	send6(PEER6);
	assert_sent_to(peer_mac);
	pass_ms(NEIGHBOUR_DELAY_MS);
	assert_asked6(PEER6, peer_mac);
	answer6(PEER6, peer_mac);
	assert_state(PEER6, "reachable");
	assert_nothing_out();
}

static void who_does_not_answer_a_probe_is_asked_for_anew(void **state)
{
	know_peer();
	become_stale();
	send4(PEER4);
	assert_sent_to(peer_mac);
	pass_ms(NEIGHBOUR_DELAY_MS);
	for (int i = 0; i < NEIGHBOUR_TRIES; i++) {
		assert_asked4(PEER4, peer_mac);
		send4(PEER4); // still goes there
		assert_sent_to(peer_mac);
		pass_ms(1000);
	}
	assert_state(PEER4, "none");
	send4(PEER4);
	assert_asked4(PEER4, NULL);
	answer4(PEER4, other_mac); // it has another card
	assert_sent_to(other_mac);
}

static void who_is_not_used_is_forgotten(void **state)
{
	know_peer();
	become_stale();
	pass_ms(NEIGHBOUR_STALE_MS);
	assert_state(PEER4, "none");
	assert_state(PEER6, "none");
	assert_nothing_out();
}

static void who_moves_and_says_so_is_followed(void **state)
{
	know_peer();
	tell4(PEER4, other_mac);
	assert_state(PEER4, "stale"); // nobody has asked
	send4(PEER4);
	assert_sent_to(other_mac);
	tell6(PEER6, other_mac);
	assert_state(PEER6, "stale");
	send6(PEER6);
	assert_sent_to(other_mac);
	// By a question of its own, too.
	frame_arp(&f, UPLINK, 1, PEER4, GATE4);
	memcpy(f.bytes + 6, peer_mac, 6);
	memcpy(f.bytes + 22, peer_mac, 6);
	assert_drops(UPLINK, &f, DROP_ARP_IGNORED);
	send4(PEER4);
	assert_sent_to(peer_mac);
}

// RFC 4861 section 7.2.5: such an answer is of somebody who speaks for another.
static void an_advertisement_that_does_not_override_only_raises_doubt(void **state)
{
	know_peer();
	advertise6(PEER6, other_mac, 0x40, NULL);
	assert_state(PEER6, "stale");
	send6(PEER6);
	assert_sent_to(peer_mac);
}

static void who_was_not_asked_for_is_not_remembered(void **state)
{
	tell4(PEER4, peer_mac);
	tell6(PEER6, peer_mac);
	answer4(PEER4, peer_mac);
	answer6(PEER6, peer_mac);
	assert_state(PEER4, "none");
	assert_state(PEER6, "none");
}

static void a_forged_answer_is_not_believed(void **state)
{
	static const uint8_t group[6] = {0x01, 0, 0x5e, 0, 0, 1};

	send6(PEER6);
	assert_asked6(PEER6, NULL);
	frame_solicitation(&f, UPLINK, PEER6, WIRE6, PEER6, true);
	to_agent(&f, peer_mac);
	f.bytes[f.l4] = 136;
	f.bytes[f.l4 + 4] = 0x60;
	f.bytes[f.l4 + 24] = 2;
	f.bytes[f.l3 + 7] = 64; // from beyond a router
	frame_fix_icmp6(&f);
	assert_drops(UPLINK, &f, DROP_MALFORMED);
	f.bytes[f.l3 + 7] = 255;
	f.bytes[f.l4 + 2] ^= 1;
	assert_drops(UPLINK, &f, DROP_BAD_CHECKSUM);
	memcpy(f.bytes + f.l4 + 26, group, 6);
	frame_fix_icmp6(&f);
	assert_drops(UPLINK, &f, DROP_SPOOFED_MAC);
	f.bytes[f.l4 + 25] = 0; // an option without length
	frame_fix_icmp6(&f);
	assert_drops(UPLINK, &f, DROP_MALFORMED);
	assert_state(PEER6, "incomplete");

	send4(PEER4);
	assert_asked4(PEER4, NULL);
	frame_arp(&f, UPLINK, 2, PEER4, WIRE4);
	memcpy(f.bytes + 22, group, 6);
	assert_drops(UPLINK, &f, DROP_SPOOFED_MAC);
	assert_state(PEER4, "incomplete");
	answer4(PEER4, peer_mac);
	answer6(PEER6, peer_mac);
	while (pull_frame(UPLINK, &got))
		;
}

static void another_uplink_forgets_who_was_there(void **state)
{
	struct uplink uplink = graph_uplink();
	struct error err;

	know_peer();
	uplink.route_count = 0;
	assert_int_equal(0, datapath_set_uplink(&uplink, &err));
	assert_state(PEER4, "none");
	settle();
	send4(PEER4);
	assert_asked4(PEER4, NULL);
	answer4(PEER4, peer_mac);
	assert_sent_to(peer_mac);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WIRE_TEST(the_addresses_are_announced),
		WIRE_TEST(a_new_port_announces_them_again),
		WIRE_TEST(they_are_announced_again_on_request),
		WIRE_TEST(the_agent_answers_for_its_own_address_alone),
		WIRE_TEST(who_says_that_it_has_our_address_is_not_heard),
		WIRE_TEST(who_does_not_answer_is_asked_three_times_and_is_unreachable),
		WIRE_TEST(who_comes_after_all_is_reachable_at_once),
		WIRE_TEST(only_so_many_wait_for_one_neighbour_in_their_order),
		WIRE_TEST(no_pod_takes_all_the_room_there_is_to_wait),
		WIRE_TEST(the_table_of_neighbours_is_bounded),
		WIRE_TEST(who_is_used_is_probed_after_a_while_and_confirmed),
		WIRE_TEST(who_does_not_answer_a_probe_is_asked_for_anew),
		WIRE_TEST(who_is_not_used_is_forgotten),
		WIRE_TEST(who_moves_and_says_so_is_followed),
		WIRE_TEST(an_advertisement_that_does_not_override_only_raises_doubt),
		WIRE_TEST(who_was_not_asked_for_is_not_remembered),
		WIRE_TEST(a_forged_answer_is_not_believed),
		WIRE_TEST(another_uplink_forgets_who_was_there),
	};

	return cmocka_run_group_tests(tests, graph_start, graph_stop);
}
