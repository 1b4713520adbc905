// SPDX-License-Identifier: BSD-3-Clause
//
// Connections that somebody else carries: what is offered, what comes back, and that nothing of one that is carried is
// given to another before it is let go.

#include "conntrack/fixture_test.h"

static struct test_packet packet;
static const struct test_end pod = {"10.0.0.1", 4000}, peer = {"198.51.100.7", 80};
static uint32_t recalls, recalled_place;
static bool deaf;
static const struct conntrack_unseen nothing;

static bool recall(void *context, uint32_t place)
{
	if (deaf)
		return false;
	recalls++;
	recalled_place = place;
	return true;
}

static int setup(void **state)
{
	table_setup(state);
	test_config.recall = recall;
	test_config.timeouts.udp_answered = 60;
	new_table();
	recalls = 0;
	deaf = false;
	return 0;
}

static uint16_t external_port(void)
{
	return rte_be_to_cpu_16(last_rewrite.to.source_port);
}

static enum conntrack_verdict udp_out(void)
{
	make_udp(&packet, pod, peer, 10);
	return send_out(0, &packet);
}

static enum conntrack_verdict udp_in(uint16_t port)
{
	make_udp(&packet, peer, (struct test_end){EXTERNAL4, port}, 10);
	return send_in(&packet, NULL);
}

static enum conntrack_verdict tcp_out(uint8_t flags, uint32_t sequence, uint32_t acknowledgement)
{
	make_tcp(&packet, pod, peer,
		 &(struct test_tcp){flags, sequence, acknowledgement, 1000, -1, 0});
	return send_out(0, &packet);
}

static enum conntrack_verdict tcp_in(uint16_t port, uint8_t flags, uint32_t sequence,
				     uint32_t acknowledgement)
{
	make_tcp(&packet, peer, (struct test_end){EXTERNAL4, port},
		 &(struct test_tcp){flags, sequence, acknowledgement, 1000, -1, 0});
	return send_in(&packet, NULL);
}

// An answered flow of so many packets; returns the external port.
static uint16_t udp_flow(void)
{
	assert_int_equal(udp_out(), CONNTRACK_PASS);
	uint16_t port = external_port();
	for (unsigned int i = 0; i < 10; i++) {
		assert_int_equal(udp_in(port), CONNTRACK_PASS);
		assert_int_equal(udp_out(), CONNTRACK_PASS);
	}
	return port;
}

static uint16_t tcp_connection(void)
{
	assert_int_equal(tcp_out(TCP_SYN, 100, 0), CONNTRACK_PASS);
	uint16_t port = external_port();
	assert_int_equal(tcp_in(port, TCP_SYN | TCP_ACK, 500, 101), CONNTRACK_PASS);
	assert_false(last_rewrite.steady);
	for (unsigned int i = 0; i < 10; i++) {
		assert_int_equal(tcp_out(TCP_ACK, 101, 501), CONNTRACK_PASS);
		assert_int_equal(tcp_in(port, TCP_ACK, 501, 101), CONNTRACK_PASS);
	}
	return port;
}

// The steady connection is carried; returns its place.
static uint32_t carry(void)
{
	struct conntrack_sides sides;
	uint32_t place = last_rewrite.place;

	assert_true(last_rewrite.steady);
	conntrack_carry(table, place, &sides);
	conntrack_carry_begin(table, place);
	return place;
}

static struct conntrack_entry entry_at(uint32_t place)
{
	static struct conntrack_entry entries[64];
	uint32_t count, cursor = 0;

	do {
		cursor = conntrack_list(table, CONNTRACK_POD_ANY, cursor, UINT32_MAX, entries, 64,
					&count);
		for (uint32_t i = 0; i < count; i++)
			if (entries[i].place == place)
				return entries[i];
	} while (cursor != 0);
	fail_msg("there is none at %u", place);
	return entries[0];
}

static void only_what_goes_both_ways_and_on_is_steady(void **state)
{
	// Unanswered, however much there is of it.
	for (unsigned int i = 0; i < 50; i++) {
		assert_int_equal(udp_out(), CONNTRACK_PASS);
		assert_false(last_rewrite.steady);
	}
	// Answered: soon.
	assert_int_equal(udp_in(external_port()), CONNTRACK_PASS);
	assert_int_equal(udp_out(), CONNTRACK_PASS);
	assert_true(last_rewrite.steady);
	// A name is looked up by a packet or two; who asks on and on from the same port is as any other.
	const struct test_end dns = {"198.51.100.7", 53};
	for (unsigned int i = 0; i < 10; i++) {
		make_udp(&packet, pod, dns, 10);
		assert_int_equal(send_out(0, &packet), CONNTRACK_PASS);
		assert_int_equal(last_rewrite.steady, i >= 5);
		make_udp(&packet, dns, (struct test_end){EXTERNAL4, external_port()}, 10);
		assert_int_equal(send_in(&packet, NULL), CONNTRACK_PASS);
	}
}

static void a_connection_is_known_by_what_its_packets_look_like_on_both_sides(void **state)
{
	struct conntrack_sides sides;
	uint16_t port = udp_flow();

	assert_true(last_rewrite.steady);
	conntrack_carry(table, last_rewrite.place, &sides);
	assert_int_equal(sides.sent[0].source_port, rte_cpu_to_be_16(pod.port));
	assert_int_equal(sides.sent[0].destination_port, rte_cpu_to_be_16(peer.port));
	assert_int_equal(sides.sent[1].source_port, rte_cpu_to_be_16(peer.port));
	assert_int_equal(sides.sent[1].destination_port, rte_cpu_to_be_16(port));
	assert_int_equal(sides.pods[0], 0);
	assert_int_equal(sides.pods[1], CONNTRACK_NO_POD);
	// It is not offered twice, and shown as carried when it is.
	assert_int_equal(udp_out(), CONNTRACK_PASS);
	assert_false(last_rewrite.steady);
	uint32_t place = 0;
	assert_false(entry_at(place).carried);
	conntrack_carry_begin(table, place);
	assert_true(entry_at(place).carried);
	conntrack_carry_end(table, place, &nothing, 0);
}

static void fin_and_rst_and_syn_bring_it_back_and_data_does_not(void **state)
{
	static const uint8_t flags[] = {TCP_FIN | TCP_ACK, TCP_RST, TCP_SYN};

	for (unsigned int i = 0; i < 3; i++) {
		setup(state);
		tcp_connection();
		assert_int_equal(tcp_out(TCP_ACK, 101, 501), CONNTRACK_PASS);
		uint32_t place = carry();
		assert_int_equal(tcp_out(TCP_ACK, 101, 501), CONNTRACK_PASS);
		assert_int_equal(recalls, 0);
		assert_int_equal(tcp_out(flags[i], 101, 501), CONNTRACK_PASS);
		assert_int_equal(recalls, 1);
		assert_int_equal(recalled_place, place);
		// Once is enough.
		tcp_out(TCP_ACK, 102, 501);
		assert_int_equal(recalls, 1);
		conntrack_carry_end(table, place, &nothing, 0);
		table_teardown(state);
	}
	setup(state);
}

static void what_comes_back_is_let_pass_wherever_its_windows_are(void **state)
{
	uint16_t port = tcp_connection();

	assert_int_equal(tcp_out(TCP_ACK, 101, 501), CONNTRACK_PASS);
	uint32_t place = carry();
	conntrack_carry_end(table, place, &nothing, 0);
	// A gigabyte went by unseen in each direction.
	assert_int_equal(tcp_out(TCP_ACK, 1000000101, 1000000501), CONNTRACK_PASS);
	assert_int_equal(tcp_in(port, TCP_ACK, 1000000501, 1000000101), CONNTRACK_PASS);
	assert_int_equal(tcp_out(TCP_FIN | TCP_ACK, 1000000101, 1000000501), CONNTRACK_PASS);
	assert_string_equal(state_of(pod, peer), "FIN_WAIT");
}

static void one_that_was_never_accepted_keeps_its_windows(void **state)
{
	struct conntrack_sides sides;
	uint16_t port = tcp_connection();

	assert_int_equal(tcp_out(TCP_ACK, 101, 501), CONNTRACK_PASS);
	uint32_t place = last_rewrite.place;
	conntrack_carry(table, place, &sides);
	conntrack_carry_end(table, place, &nothing, 10);
	assert_int_equal(tcp_in(port, TCP_ACK, 1000000501, 101), CONNTRACK_INVALID);
	// And is not steady again before the pause is over.
	assert_int_equal(tcp_out(TCP_ACK, 101, 501), CONNTRACK_PASS);
	assert_false(last_rewrite.steady);
	pass_time(10);
	assert_int_equal(tcp_out(TCP_ACK, 101, 501), CONNTRACK_PASS);
	assert_true(last_rewrite.steady);
}

static void a_reset_that_cannot_be_judged_ends_it_soon_if_nothing_follows(void **state)
{
	uint16_t port = tcp_connection();

	assert_int_equal(tcp_out(TCP_ACK, 101, 501), CONNTRACK_PASS);
	uint32_t place = carry();
	assert_int_equal(tcp_in(port, TCP_RST, 77777777, 0), CONNTRACK_PASS);
	assert_int_equal(recalls, 1);
	conntrack_carry_end(table, place, &nothing, 0);
	assert_true(entry_at(place).expires_s <= test_config.timeouts.tcp_closing + 1);
	// Somebody else had sent it: it goes on.
	assert_int_equal(tcp_out(TCP_ACK, 101, 501), CONNTRACK_PASS);
	assert_true(entry_at(place).expires_s >= test_config.timeouts.tcp_established);
}

// Its rules take a moment to go, and match what acknowledges a FIN.
static void one_whose_last_acknowledgement_was_not_seen_waits_no_longer_than_any_other(void **state)
{
	uint16_t port = tcp_connection();
	uint32_t place = carry();

	assert_int_equal(tcp_out(TCP_FIN | TCP_ACK, 101, 501), CONNTRACK_PASS);
	assert_int_equal(recalls, 1);
	assert_int_equal(tcp_in(port, TCP_FIN | TCP_ACK, 501, 102), CONNTRACK_PASS);
	conntrack_carry_end(table, place,
			    &(struct conntrack_unseen){.packets = {1, 0}, .bytes = {40, 0}}, 0);
	assert_string_equal(entry_at(place).state, "LAST_ACK");
	assert_true(test_config.timeouts.tcp_time_wait < test_config.timeouts.tcp_closing);
	assert_in_range(entry_at(place).expires_s, test_config.timeouts.tcp_time_wait - 1,
			test_config.timeouts.tcp_time_wait + 1);
	// It was lost after all.
	pass_time(100);
	assert_int_equal(tcp_in(port, TCP_FIN | TCP_ACK, 501, 102), CONNTRACK_PASS);
	assert_true(entry_at(place).expires_s >= test_config.timeouts.tcp_time_wait - 1);
	assert_int_equal(tcp_out(TCP_ACK, 102, 502), CONNTRACK_PASS);
	assert_string_equal(entry_at(place).state, "TIME_WAIT");
}

static void unseen_packets_keep_it_alive_and_are_counted(void **state)
{
	udp_flow();
	uint32_t place = carry();
	const struct conntrack_entry before = entry_at(place);

	for (unsigned int i = 0; i < 10; i++) {
		pass_time(50);
		conntrack_carry_note(
			table, place,
			&(struct conntrack_unseen){.packets = {3, 4}, .bytes = {300, 400}});
	}
	assert_int_equal(recalls, 0);
	assert_int_equal(entry_at(place).packets[0], before.packets[0] + 30);
	assert_int_equal(entry_at(place).bytes[1], before.bytes[1] + 4000);
	conntrack_carry_end(table, place, &nothing, 0);
	pass_time(62);
	assert_string_equal(state_of(pod, peer), "none");
}

static void when_its_time_is_up_it_is_asked_back_and_may_live_on(void **state)
{
	udp_flow();
	uint32_t place = carry();

	pass_time(62);
	assert_int_equal(recalls, 1);
	// Until then it has its place and its port.
	pass_time(300);
	assert_string_equal(state_of(pod, peer), "");
	// There were packets after all.
	conntrack_carry_end(table, place, &(struct conntrack_unseen){.packets = {1, 0}}, 0);
	pass_time(50);
	assert_string_equal(state_of(pod, peer), "");
	pass_time(12);
	assert_string_equal(state_of(pod, peer), "none");
}

static void who_cannot_be_told_is_told_later(void **state)
{
	udp_flow();
	uint32_t place = carry();

	deaf = true;
	pass_time(62);
	assert_int_equal(recalls, 0);
	deaf = false;
	pass_time(2);
	assert_int_equal(recalls, 1);
	conntrack_carry_end(table, place, &nothing, 0);
}

// Else a new pod's packets could be forwarded by the old one's rules.
static void ports_of_a_pod_that_has_gone_are_nobodys_before_they_are_let_go(void **state)
{
	uint16_t port = udp_flow();
	uint32_t place = carry();
	struct conntrack_figures figures;

	conntrack_forget_pod(table, 0);
	pass_time(5);
	assert_int_equal(recalls, 1);
	conntrack_figures(table, &figures);
	assert_int_equal(figures.pools[0].ports_held[1], 1);
	assert_int_equal(udp_in(port), CONNTRACK_UNKNOWN);
	// Its number and address are another pod's already.
	assert_int_equal(udp_out(), CONNTRACK_INVALID);
	conntrack_carry_end(table, place, &nothing, 0);
	conntrack_figures(table, &figures);
	assert_int_equal(figures.pools[0].ports_held[1], 0);
	assert_int_equal(figures.connections, 0);
	assert_int_equal(udp_out(), CONNTRACK_PASS);
}

static void connections_of_an_address_that_has_changed_are_asked_back(void **state)
{
	const union conntrack_address address = test_address("192.0.2.11");

	udp_flow();
	uint32_t place = carry();
	conntrack_set_address(table, 0, 4, &address);
	pass_time(5);
	assert_int_equal(recalls, 1);
	conntrack_carry_end(table, place, &nothing, 0);
	assert_int_equal(udp_out(), CONNTRACK_PASS);
}

// ---- published ports -----------------------------------------------------------------------------

enum { PUBLISHED = 8080 };
static const struct test_publication by_port = {1, IPPROTO_UDP, PUBLISHED, 0, 4000, false};

static enum conntrack_verdict udp_call(void)
{
	make_udp(&packet, peer, (struct test_end){EXTERNAL4, PUBLISHED}, 10);
	return send_in(&packet, NULL);
}

static struct conntrack_published_figures published(void)
{
	struct conntrack_published_figures figures;

	assert_true(conntrack_published_figures(table, 0, IPPROTO_UDP, PUBLISHED, &figures));
	return figures;
}

// Who was called by a published port, carried; returns its place.
static uint32_t called(struct conntrack_sides *ret_sides)
{
	publish(&by_port, 1);
	for (unsigned int i = 0; i < 10; i++) {
		assert_int_equal(udp_call(), CONNTRACK_PASS);
		assert_int_equal(udp_out(), CONNTRACK_PASS);
	}
	assert_true(last_rewrite.steady);
	const uint32_t place = last_rewrite.place;
	conntrack_carry(table, place, ret_sides);
	conntrack_carry_begin(table, place);
	return place;
}

static void who_was_called_by_a_published_port_is_inside_all_the_same(void **state)
{
	struct conntrack_sides sides;
	const uint32_t place = called(&sides);
	const struct conntrack_entry before = entry_at(place);
	const struct conntrack_published_figures counted = published();

	assert_int_equal(before.kind, CONNTRACK_PUBLISHED);
	assert_int_equal(sides.sent[0].source_port, rte_cpu_to_be_16(pod.port));
	assert_int_equal(sides.sent[0].destination_port, rte_cpu_to_be_16(peer.port));
	assert_int_equal(sides.sent[1].source_port, rte_cpu_to_be_16(peer.port));
	assert_int_equal(sides.sent[1].destination_port, rte_cpu_to_be_16(PUBLISHED));
	// Three by the pod, four to the pod, which is the other way round than it was opened.
	conntrack_carry_note(table, place,
			     &(struct conntrack_unseen){.packets = {3, 4}, .bytes = {300, 400}});
	assert_int_equal(entry_at(place).packets[0], before.packets[0] + 4);
	assert_int_equal(entry_at(place).bytes[1], before.bytes[1] + 300);
	assert_int_equal(published().packets_in, counted.packets_in + 4);
	assert_int_equal(published().bytes_out, counted.bytes_out + 300);
	conntrack_carry_end(table, place, &nothing, 0);
}

static void a_port_that_is_published_no_more_has_its_connections_back(void **state)
{
	struct conntrack_sides sides;
	const uint32_t place = called(&sides);
	struct test_publication others = by_port;

	others.owner++; // in the same place
	publish(&others, 1);
	pass_time(5);
	assert_int_equal(recalls, 1);
	assert_int_equal(recalled_place, place);
	// The other one is reached by nothing that the e-switch could take for the one before; nor is it charged.
	assert_int_equal(udp_call(), CONNTRACK_UNKNOWN);
	conntrack_carry_end(table, place,
			    &(struct conntrack_unseen){.packets = {3, 4}, .bytes = {300, 400}}, 0);
	assert_int_equal(published().packets_in, 0);
	assert_int_equal(udp_call(), CONNTRACK_PASS);
	assert_int_equal(published().packets_in, 1);
}

// The pod with this number calls the published port, which is pod 0's, and is answered.
static enum conntrack_verdict hairpin_call(uint32_t number, struct test_end client)
{
	make_udp(&packet, client, (struct test_end){EXTERNAL4, PUBLISHED}, 10);
	return send_hairpin(number, &packet);
}

static void talk_within(uint32_t number, struct test_end client)
{
	for (unsigned int i = 0; i < 10; i++) {
		assert_int_equal(hairpin_call(number, client), CONNTRACK_PASS);
		make_udp(&packet, pod, (struct test_end){EXTERNAL4, external_port()}, 10);
		assert_int_equal(send_hairpin(0, &packet), CONNTRACK_PASS);
	}
}

static void what_a_pod_calls_of_another_has_two_pods_as_its_ends(void **state)
{
	const struct test_end client = {"10.0.0.2", 5000};
	struct conntrack_sides sides;

	publish(&by_port, 1);
	talk_within(1, client);
	assert_true(last_rewrite.steady);
	const uint32_t place = last_rewrite.place;
	const rte_be16_t to_caller = last_rewrite.to.destination_port;
	conntrack_carry(table, place, &sides);
	conntrack_carry_begin(table, place);
	assert_int_equal(sides.pods[0], 1); // who has called
	assert_int_equal(sides.pods[1], 0);
	assert_int_equal(sides.sent[0].source_port, rte_cpu_to_be_16(client.port));
	assert_int_equal(sides.sent[0].destination_port, rte_cpu_to_be_16(PUBLISHED));
	assert_int_equal(sides.sent[1].source_port, rte_cpu_to_be_16(pod.port));
	assert_int_equal(to_caller, rte_cpu_to_be_16(client.port));
	assert_int_equal(entry_at(place).kind, CONNTRACK_HAIRPIN);
	assert_true(entry_at(place).carried);
	// By who has called, by who was called.
	const struct conntrack_entry before = entry_at(place);
	const struct conntrack_published_figures counted = published();
	conntrack_carry_note(table, place,
			     &(struct conntrack_unseen){.packets = {3, 4}, .bytes = {300, 400}});
	assert_int_equal(entry_at(place).packets[0], before.packets[0] + 3);
	assert_int_equal(entry_at(place).bytes[1], before.bytes[1] + 400);
	assert_int_equal(published().packets_in, counted.packets_in + 3);
	assert_int_equal(published().bytes_out, counted.bytes_out + 400);
	conntrack_carry_end(table, place, &nothing, 0);
	conntrack_check(table);
}

static void a_pod_that_calls_itself_is_both_of_its_ends(void **state)
{
	const struct test_end client = {pod.address, 5000};
	struct conntrack_sides sides;

	publish(&by_port, 1);
	talk_within(0, client);
	assert_true(last_rewrite.steady);
	const uint32_t place = last_rewrite.place;
	conntrack_carry(table, place, &sides);
	conntrack_carry_begin(table, place);
	assert_int_equal(sides.pods[0], 0);
	assert_int_equal(sides.pods[1], 0);
	assert_int_equal(sides.sent[0].source_port, rte_cpu_to_be_16(client.port));
	assert_int_equal(sides.sent[1].source_port, rte_cpu_to_be_16(pod.port));
	const struct conntrack_entry before = entry_at(place);
	conntrack_carry_note(table, place,
			     &(struct conntrack_unseen){.packets = {3, 4}, .bytes = {300, 400}});
	assert_int_equal(entry_at(place).packets[0], before.packets[0] + 3);
	assert_int_equal(entry_at(place).packets[1], before.packets[1] + 4);
	conntrack_carry_end(table, place, &nothing, 0);
	conntrack_check(table);
}

// Whichever goes: the pod that has called, or the port that it has called by.
static void one_between_pods_is_asked_back_with_either_of_them(void **state)
{
	struct conntrack_sides sides;

	for (uint32_t gone = 0; gone < 2; gone++) {
		const struct test_end client = {"10.0.0.2", (uint16_t)(5000 + gone)};

		publish(&by_port, 1);
		talk_within(1, client);
		const uint32_t place = last_rewrite.place;
		conntrack_carry(table, place, &sides);
		conntrack_carry_begin(table, place);
		recalls = 0;
		if (gone == 0)
			publish(NULL, 0);
		else
			conntrack_forget_pod(table, 1);
		pass_time(5);
		assert_int_equal(recalls, 1);
		assert_int_equal(recalled_place, place);
		// Until it is let go nobody has its tuples.
		make_udp(&packet, pod,
			 (struct test_end){EXTERNAL4,
					   rte_be_to_cpu_16(sides.sent[1].destination_port)},
			 10);
		assert_int_equal(send_hairpin(0, &packet), CONNTRACK_UNKNOWN);
		conntrack_carry_end(table, place, &nothing, 0);
		conntrack_check(table);
	}
}

static void the_end_of_one_between_pods_brings_it_back(void **state)
{
	static const struct test_publication tcp = {1, IPPROTO_TCP, PUBLISHED, 0, 4000, false};
	const struct test_end client = {"10.0.0.2", 5000}, node = {EXTERNAL4, PUBLISHED};
	struct conntrack_sides sides;

	publish(&tcp, 1);
	make_tcp(&packet, client, node, &(struct test_tcp){TCP_SYN, 100, 0, 1000, -1, 0});
	assert_int_equal(send_hairpin(1, &packet), CONNTRACK_PASS);
	const struct test_end seen = {EXTERNAL4, external_port()};
	make_tcp(&packet, pod, seen, &(struct test_tcp){TCP_SYN | TCP_ACK, 500, 101, 1000, -1, 0});
	assert_int_equal(send_hairpin(0, &packet), CONNTRACK_PASS);
	for (unsigned int i = 0; i < 10; i++) {
		make_tcp(&packet, client, node, &(struct test_tcp){TCP_ACK, 101, 501, 1000, -1, 0});
		assert_int_equal(send_hairpin(1, &packet), CONNTRACK_PASS);
		make_tcp(&packet, pod, seen, &(struct test_tcp){TCP_ACK, 501, 101, 1000, -1, 0});
		assert_int_equal(send_hairpin(0, &packet), CONNTRACK_PASS);
	}
	assert_true(last_rewrite.steady);
	conntrack_carry(table, last_rewrite.place, &sides);
	conntrack_carry_begin(table, last_rewrite.place);
	make_tcp(&packet, pod, seen, &(struct test_tcp){TCP_FIN | TCP_ACK, 501, 101, 1000, -1, 0});
	assert_int_equal(send_hairpin(0, &packet), CONNTRACK_PASS);
	assert_int_equal(recalls, 1);
	conntrack_carry_end(table, recalled_place, &nothing, 0);
}

// A pod that calls from behind its published port goes to the wire as any other does.
static void what_leaves_from_behind_a_published_port_is_carried(void **state)
{
	struct conntrack_sides sides;

	publish(&by_port, 1);
	for (unsigned int i = 0; i < 10; i++) {
		assert_int_equal(udp_out(), CONNTRACK_PASS);
		assert_int_equal(external_port(), PUBLISHED);
		assert_int_equal(udp_in(PUBLISHED), CONNTRACK_PASS);
	}
	assert_true(last_rewrite.steady);
	const uint32_t place = last_rewrite.place;
	conntrack_carry(table, place, &sides);
	conntrack_carry_begin(table, place);
	assert_int_equal(sides.sent[0].source_port, rte_cpu_to_be_16(pod.port));
	assert_int_equal(sides.sent[1].destination_port, rte_cpu_to_be_16(PUBLISHED));
	const struct conntrack_published_figures counted = published();
	conntrack_carry_end(table, place, &(struct conntrack_unseen){.packets = {3, 4}}, 0);
	assert_int_equal(published().packets_in, counted.packets_in); // nobody came by it
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, table_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(only_what_goes_both_ways_and_on_is_steady),
		TEST(a_connection_is_known_by_what_its_packets_look_like_on_both_sides),
		TEST(fin_and_rst_and_syn_bring_it_back_and_data_does_not),
		TEST(what_comes_back_is_let_pass_wherever_its_windows_are),
		TEST(one_that_was_never_accepted_keeps_its_windows),
		TEST(a_reset_that_cannot_be_judged_ends_it_soon_if_nothing_follows),
		TEST(one_whose_last_acknowledgement_was_not_seen_waits_no_longer_than_any_other),
		TEST(unseen_packets_keep_it_alive_and_are_counted),
		TEST(when_its_time_is_up_it_is_asked_back_and_may_live_on),
		TEST(who_cannot_be_told_is_told_later),
		TEST(ports_of_a_pod_that_has_gone_are_nobodys_before_they_are_let_go),
		TEST(connections_of_an_address_that_has_changed_are_asked_back),
		TEST(who_was_called_by_a_published_port_is_inside_all_the_same),
		TEST(a_port_that_is_published_no_more_has_its_connections_back),
		TEST(what_leaves_from_behind_a_published_port_is_carried),
		TEST(what_a_pod_calls_of_another_has_two_pods_as_its_ends),
		TEST(a_pod_that_calls_itself_is_both_of_its_ends),
		TEST(one_between_pods_is_asked_back_with_either_of_them),
		TEST(the_end_of_one_between_pods_brings_it_back),
	};

	return cmocka_run_group_tests(tests, eal_setup, eal_teardown);
}
