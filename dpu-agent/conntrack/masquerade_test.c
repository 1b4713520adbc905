// SPDX-License-Identifier: BSD-3-Clause
//
// Packets through a table, in bytes: what leaves, who may answer, and for how long.

#include "conntrack/fixture_test.h"

#include <stdio.h>

#include <rte_common.h>

static struct test_packet packet, other;

// The ends of one conversation in both families.
struct family {
	struct test_end pod, peer, stranger;
	const char *external, *router;
};
static const struct family families[] = {
	{{"10.0.0.1", 4000}, {"198.51.100.7", 80}, {"198.51.100.8", 80}, EXTERNAL4, "203.0.113.1"},
	{{"fd00::1", 4000},
	 {"2001:db8:5::7", 80},
	 {"2001:db8:5::8", 80},
	 EXTERNAL6,
	 "2001:db8:9::1"},
};

static uint16_t source_port(void)
{
	struct conntrack_packet parsed;

	assert_int_equal(0,
			 conntrack_packet_parse(packet.bytes, packet.size, packet.size, &parsed));
	return rte_be_to_cpu_16(parsed.tuple.source_port);
}

static enum conntrack_verdict tcp_out(const struct family *f, uint8_t flags, uint32_t sequence,
				      uint32_t acknowledgement)
{
	make_tcp(&packet, f->pod, f->peer,
		 &(struct test_tcp){.flags = flags,
				    .sequence = sequence,
				    .acknowledgement = acknowledgement,
				    .window = 1000,
				    .scale = -1});
	return send_out(0, &packet);
}

static enum conntrack_verdict tcp_in(const struct family *f, uint16_t port, uint8_t flags,
				     uint32_t sequence, uint32_t acknowledgement)
{
	make_tcp(&packet, f->peer, (struct test_end){f->external, port},
		 &(struct test_tcp){.flags = flags,
				    .sequence = sequence,
				    .acknowledgement = acknowledgement,
				    .window = 1000,
				    .scale = -1});
	return send_in(&packet, NULL);
}

static uint16_t handshake(const struct family *f)
{
	assert_int_equal(CONNTRACK_PASS, tcp_out(f, TCP_SYN, 100, 0));
	uint16_t port = source_port();
	assert_int_equal(CONNTRACK_PASS, tcp_in(f, port, TCP_SYN | TCP_ACK, 500, 101));
	assert_ends(&packet, f->peer, f->pod);
	assert_int_equal(CONNTRACK_PASS, tcp_out(f, TCP_ACK, 101, 501));
	return port;
}

static uint32_t connections(void)
{
	struct conntrack_figures figures;

	conntrack_figures(table, &figures);
	return figures.connections;
}

// ---- translation ---------------------------------------------------------------------------------

static void udp_goes_out_and_its_answer_comes_back(void **state)
{
	for (unsigned int i = 0; i < RTE_DIM(families); i++) {
		const struct family *f = &families[i];
		uint32_t pod = 99;

		make_udp(&packet, f->pod, f->peer, 50);
		assert_int_equal(CONNTRACK_PASS, send_out(0, &packet));
		uint16_t port = source_port();
		assert_ends(&packet, (struct test_end){f->external, port}, f->peer);
		make_udp(&packet, f->peer, (struct test_end){f->external, port}, 70);
		assert_int_equal(CONNTRACK_PASS, send_in(&packet, &pod));
		assert_ends(&packet, f->peer, f->pod);
		assert_int_equal(0, pod);
	}
}

static void pings_go_out_and_their_replies_come_back(void **state)
{
	for (unsigned int i = 0; i < RTE_DIM(families); i++) {
		const struct family *f = &families[i];
		struct test_end peer = {f->peer.address, 0};

		make_echo(&packet, f->pod, peer, 50);
		assert_int_equal(CONNTRACK_PASS, send_out(0, &packet));
		uint16_t identifier = source_port();
		assert_ends(&packet, (struct test_end){f->external, identifier}, peer);
		make_echo(&packet, peer, (struct test_end){f->external, identifier}, 50);
		assert_int_equal(CONNTRACK_PASS, send_in(&packet, NULL));
		assert_ends(&packet, peer, f->pod);
		// A ping to the external address is not ours, whatever its identifier.
		make_echo(&packet, (struct test_end){f->peer.address, identifier},
			  (struct test_end){f->external, 0}, 50);
		assert_int_equal(CONNTRACK_UNKNOWN, send_in(&packet, NULL));
		// And a reply that nobody has asked for does not go out.
		make_echo(&packet, (struct test_end){f->pod.address, 0},
			  (struct test_end){f->peer.address, 9}, 50);
		assert_int_equal(CONNTRACK_INVALID, send_out(0, &packet));
	}
}

static void tcp_is_followed_through_its_states(void **state)
{
	for (unsigned int i = 0; i < RTE_DIM(families); i++) {
		const struct family *f = &families[i];
		uint16_t port = handshake(f);

		assert_string_equal("ESTABLISHED", state_of(f->pod, f->peer));
		assert_int_equal(CONNTRACK_INVALID, tcp_in(f, port, TCP_ACK, 500000, 101));
		assert_int_equal(CONNTRACK_PASS, tcp_in(f, port, TCP_RST, 501, 0));
		assert_string_equal("CLOSE", state_of(f->pod, f->peer));
		assert_int_equal(CONNTRACK_PASS, tcp_out(f, TCP_SYN, 90000, 0));
		assert_string_equal("SYN_SENT", state_of(f->pod, f->peer));
		assert_int_equal(port, source_port());
	}
}

static void an_endpoint_keeps_its_port_for_all_its_peers(void **state)
{
	struct test_end peers[] = {{"198.51.100.7", 80}, {"198.51.100.7", 81}, {"203.0.113.5", 80}};
	uint16_t port = speak_udp(0, 4000, peers[0]);

	assert_int_not_equal(0, port);
	for (unsigned int i = 0; i < RTE_DIM(peers); i++)
		assert_int_equal(port, speak_udp(0, 4000, peers[i]));
	for (uint16_t p = 4001; p < 4100; p++)
		assert_int_not_equal(port, speak_udp(0, p, peers[0]));
	for (uint32_t pod = 1; pod < PODS; pod++)
		assert_int_not_equal(port, speak_udp(pod, 4000, peers[0]));
}

static void ports_are_in_the_range_and_in_no_order(void **state)
{
	unsigned int steps[3] = {0};
	uint16_t before = 0;

	test_config.first_port = 40000;
	test_config.last_port = 41999;
	new_table();
	for (uint16_t p = 1; p <= 500; p++) {
		uint16_t port = speak_udp(0, p, (struct test_end){"198.51.100.7", 80});

		assert_in_range(port, 40000, 41999);
		steps[port > before ? (port == before + 1 ? 1 : 2) : 0]++;
		before = port;
	}
	// Of random numbers about half are larger than the one before, and hardly any by one.
	assert_in_range(steps[0], 150, 350);
	assert_true(steps[1] < 20);
}

static void only_the_peer_can_answer(void **state)
{
	for (unsigned int i = 0; i < RTE_DIM(families); i++) {
		const struct family *f = &families[i];

		make_udp(&packet, f->pod, f->peer, 50);
		assert_int_equal(CONNTRACK_PASS, send_out(0, &packet));
		struct test_end external = {f->external, source_port()};
		make_udp(&packet, f->stranger, external, 50);
		assert_int_equal(CONNTRACK_UNKNOWN, send_in(&packet, NULL));
		make_udp(&packet, (struct test_end){f->peer.address, 81}, external, 50);
		assert_int_equal(CONNTRACK_UNKNOWN, send_in(&packet, NULL));
		make_udp(&packet, f->peer, (struct test_end){f->external, external.port ^ 1}, 50);
		assert_int_equal(CONNTRACK_UNKNOWN, send_in(&packet, NULL));
		// As if it were the pod, from the wire.
		make_udp(&packet, f->pod, f->peer, 50);
		assert_int_equal(CONNTRACK_UNKNOWN, send_in(&packet, NULL));
	}
}

static void what_has_no_ports_is_not_translated(void **state)
{
	make_udp(&packet, families[0].pod, families[0].peer, 50);
	packet.bytes[9] = IPPROTO_GRE;
	packet.bytes[10] = packet.bytes[11] = 0;
	make_fragment(&other, &packet, 0, 0, packet.size - 20);
	assert_int_equal(CONNTRACK_UNSUPPORTED, send_out(0, &other));
}

static void without_an_external_address_nothing_goes_out(void **state)
{
	conntrack_set_address(table, 1, 6, NULL);
	make_udp(&packet, families[1].pod, families[1].peer, 50);
	assert_int_equal(CONNTRACK_NO_ADDRESS, send_out(0, &packet));
	make_udp(&packet, families[0].pod, families[0].peer, 50);
	assert_int_equal(CONNTRACK_PASS, send_out(0, &packet));
}

// ---- ICMP errors ---------------------------------------------------------------------------------

static void an_error_from_the_wire_reaches_the_pod_as_if_nothing_were_translated(void **state)
{
	for (unsigned int i = 0; i < RTE_DIM(families); i++) {
		const struct family *f = &families[i];
		// Whole, with the checksum, without it, and with nothing but the ports.
		uint32_t quoted[] = {f->pod.address[0] == 'f' ? 98 : 78, 50, 48, 28};

		for (unsigned int j = 0; j < RTE_DIM(quoted); j++) {
			if (i == 1 && quoted[j] < 48)
				continue;
			make_udp(&other, f->pod, f->peer, 50);
			struct test_packet before = other;
			assert_int_equal(CONNTRACK_PASS, send_out(0, &other));
			make_error(&packet, f->router, f->external, &other, quoted[j]);
			assert_int_equal(CONNTRACK_PASS, send_in(&packet, NULL));
			assert_memory_equal(before.bytes, packet.bytes + packet.size - quoted[j],
					    quoted[j]);
			assert_ends(&packet, (struct test_end){f->router, 0},
				    (struct test_end){f->pod.address, 0});
		}
	}
}

static void an_error_of_a_pod_reaches_its_peer_as_if_nothing_were_translated(void **state)
{
	for (unsigned int i = 0; i < RTE_DIM(families); i++) {
		const struct family *f = &families[i];

		make_udp(&packet, f->pod, f->peer, 50);
		assert_int_equal(CONNTRACK_PASS, send_out(0, &packet));
		make_udp(&other, f->peer, (struct test_end){f->external, source_port()}, 60);
		struct test_packet before = other;
		assert_int_equal(CONNTRACK_PASS, send_in(&other, NULL));
		make_error(&packet, f->pod.address, f->peer.address, &other, other.size);
		assert_int_equal(CONNTRACK_PASS, send_out(0, &packet));
		assert_memory_equal(before.bytes, packet.bytes + packet.size - other.size,
				    other.size);
		assert_ends(&packet, (struct test_end){f->external, 0},
			    (struct test_end){f->peer.address, 0});
		// To nobody else, and by no other pod.
		make_error(&packet, f->pod.address, f->stranger.address, &other, other.size);
		assert_int_equal(CONNTRACK_INVALID, send_out(0, &packet));
		make_error(&packet, f->pod.address, f->peer.address, &other, other.size);
		assert_int_equal(CONNTRACK_INVALID, send_out(1, &packet));
	}
}

static void an_error_about_a_ping_is_translated(void **state)
{
	for (unsigned int i = 0; i < RTE_DIM(families); i++) {
		const struct family *f = &families[i];

		make_echo(&other, f->pod, (struct test_end){f->peer.address, 0}, 50);
		struct test_packet before = other;
		assert_int_equal(CONNTRACK_PASS, send_out(0, &other));
		make_error(&packet, f->router, f->external, &other, other.size);
		assert_int_equal(CONNTRACK_PASS, send_in(&packet, NULL));
		assert_memory_equal(before.bytes, packet.bytes + packet.size - other.size,
				    other.size);
	}
}

static void an_error_about_nothing_that_was_sent_is_not_let_in(void **state)
{
	for (unsigned int i = 0; i < RTE_DIM(families); i++) {
		const struct family *f = &families[i];
		uint16_t port = handshake(f);

		make_tcp(&other, (struct test_end){f->external, port}, f->peer,
			 &(struct test_tcp){.flags = TCP_ACK, .sequence = 100, .scale = -1});
		make_error(&packet, f->router, f->external, &other, other.size);
		assert_int_equal(CONNTRACK_PASS, send_in(&packet, NULL));
		make_tcp(&other, (struct test_end){f->external, port}, f->peer,
			 &(struct test_tcp){.flags = TCP_ACK, .sequence = 100000, .scale = -1});
		make_error(&packet, f->router, f->external, &other, other.size);
		assert_int_equal(CONNTRACK_UNKNOWN, send_in(&packet, NULL));
		make_udp(&other, (struct test_end){f->external, port}, f->peer, 10);
		make_error(&packet, f->router, f->external, &other, other.size);
		assert_int_equal(CONNTRACK_UNKNOWN, send_in(&packet, NULL));
	}
}

// RFC 5508 REQ-6.
static void an_error_neither_ends_nor_prolongs_a_connection(void **state)
{
	const struct family *f = &families[0];

	make_udp(&other, f->pod, f->peer, 50);
	assert_int_equal(CONNTRACK_PASS, send_out(0, &other));
	for (unsigned int i = 0; i < 12; i++) {
		make_error(&packet, f->router, f->external, &other, other.size);
		assert_int_equal(CONNTRACK_PASS, send_in(&packet, NULL));
		pass_time(10);
	}
	pass_time(1);
	assert_string_equal("none", state_of(f->pod, f->peer));
}

// ---- time ----------------------------------------------------------------------------------------

static void assert_lives(const struct family *f, uint32_t seconds)
{
	pass_time(seconds);
	assert_string_not_equal("none", state_of(f->pod, f->peer));
	pass_time(1);
	assert_string_equal("none", state_of(f->pod, f->peer));
	assert_int_equal(0, connections());
}

static void each_state_has_its_timeout(void **state)
{
	const struct family *f = &families[0];
	uint16_t port;

	tcp_out(f, TCP_SYN, 100, 0);
	assert_lives(f, 240);
	handshake(f);
	assert_lives(f, 7440);
	port = handshake(f);
	assert_int_equal(CONNTRACK_PASS, tcp_out(f, TCP_FIN | TCP_ACK, 101, 501));
	assert_lives(f, 240);
	port = handshake(f);
	assert_int_equal(CONNTRACK_PASS, tcp_out(f, TCP_FIN | TCP_ACK, 101, 501));
	assert_int_equal(CONNTRACK_PASS, tcp_in(f, port, TCP_FIN | TCP_ACK, 501, 102));
	assert_int_equal(CONNTRACK_PASS, tcp_out(f, TCP_ACK, 102, 502));
	assert_lives(f, 120);
	port = handshake(f);
	assert_int_equal(CONNTRACK_PASS, tcp_in(f, port, TCP_RST, 501, 0));
	assert_lives(f, 10);
	assert_int_equal(CONNTRACK_PASS, tcp_out(f, TCP_ACK, 101, 501)); // taken up, no answer
	assert_lives(f, 240);
}

static void udp_lives_longer_once_it_was_answered(void **state)
{
	struct family f = families[0];
	uint16_t ports[] = {80, 53};
	uint32_t lives[] = {300, 30};

	for (unsigned int i = 0; i < RTE_DIM(ports); i++) {
		f.peer.port = ports[i];
		speak_udp(0, f.pod.port, f.peer);
		assert_lives(&f, 120);
		uint16_t port = speak_udp(0, f.pod.port, f.peer);
		make_udp(&packet, f.peer, (struct test_end){f.external, port}, 10);
		assert_int_equal(CONNTRACK_PASS, send_in(&packet, NULL));
		assert_lives(&f, lives[i]);
	}
}

static void a_connection_in_use_lives_on(void **state)
{
	const struct family *f = &families[0];
	uint16_t port = speak_udp(0, f->pod.port, f->peer);

	for (unsigned int i = 0; i < 100; i++) {
		pass_time(119);
		assert_int_equal(port, speak_udp(0, f->pod.port, f->peer));
	}
	assert_lives(f, 120);
}

static void what_is_out_of_the_window_is_no_sign_of_life(void **state)
{
	const struct family *f = &families[0];
	uint16_t port;

	tcp_out(f, TCP_SYN, 100, 0);
	port = source_port();
	for (unsigned int i = 0; i < 24; i++) {
		assert_int_equal(CONNTRACK_INVALID, tcp_in(f, port, TCP_SYN | TCP_ACK, 1, 9));
		pass_time(10);
	}
	pass_time(1);
	assert_string_equal("none", state_of(f->pod, f->peer));
}

// Asleep for a day, then woken by a packet: what is over is over, whatever has been tidied up.
static void an_expired_connection_is_over_before_it_is_tidied_up(void **state)
{
	const struct family *f = &families[0];
	uint16_t port = speak_udp(0, f->pod.port, f->peer);

	speak_udp(0, 1, f->peer);
	test_now_s += 86400;
	conntrack_advance(table, test_now_s, 0);
	make_udp(&packet, f->peer, (struct test_end){f->external, port}, 10);
	assert_int_equal(CONNTRACK_UNKNOWN, send_in(&packet, NULL));
	conntrack_check(table);
	pass_time(0);
	assert_int_equal(0, connections());
}

static void ending_many_connections_is_done_in_pieces(void **state)
{
	for (uint16_t p = 1; p <= 500; p++)
		speak_udp(0, p, families[0].peer);
	test_now_s += 1000;
	unsigned int calls = 1;
	while (conntrack_advance(table, test_now_s, 10)) {
		assert_true(connections() >= 500 - 10 * calls);
		calls++;
	}
	assert_true(calls >= 50);
	assert_int_equal(0, connections());
}

// ---- pods and addresses --------------------------------------------------------------------------

static void a_pod_takes_its_connections_with_it(void **state)
{
	const struct family *f = &families[0];
	uint16_t port = speak_udp(0, f->pod.port, f->peer);
	uint16_t other_port = speak_udp(1, 9, f->peer);
	struct conntrack_pod_figures figures;

	conntrack_forget_pod(table, 0);
	conntrack_check(table);
	make_udp(&packet, f->peer, (struct test_end){f->external, port}, 10);
	assert_int_equal(CONNTRACK_UNKNOWN, send_in(&packet, NULL));
	conntrack_pod_figures(table, 0, &figures);
	assert_int_equal(0, figures.connections);
	assert_int_equal(0, figures.ports[1]);
	make_udp(&packet, f->peer, (struct test_end){f->external, other_port}, 10);
	assert_int_equal(CONNTRACK_PASS, send_in(&packet, NULL));
	pass_time(0);
	assert_int_equal(1, connections());
}

static void the_next_pod_with_the_same_number_and_address_begins_with_nothing(void **state)
{
	const struct family *f = &families[0];
	struct conntrack_pod_figures figures;
	uint16_t ports[20];

	for (uint16_t i = 0; i < 20; i++)
		ports[i] = speak_udp(0, 100 + i, f->peer);
	conntrack_forget_pod(table, 0);
	for (uint16_t i = 0; i < 20; i += 2) {
		uint16_t port = speak_udp(0, 100 + i, f->peer);

		assert_int_not_equal(0, port);
		conntrack_check(table);
	}
	for (uint16_t i = 1; i < 20; i += 2) {
		make_udp(&packet, f->peer, (struct test_end){f->external, ports[i]}, 10);
		assert_int_equal(CONNTRACK_UNKNOWN, send_in(&packet, NULL));
	}
	conntrack_pod_figures(table, 0, &figures);
	assert_int_equal(10, figures.connections);
	assert_int_equal(10, figures.ports[1]);
	pass_time(0);
	assert_int_equal(10, connections());
}

static void another_external_address_ends_the_connections_of_the_first(void **state)
{
	const struct family *f = &families[0];
	union conntrack_address address = test_address("192.0.2.11");
	uint16_t port = speak_udp(0, f->pod.port, f->peer);

	conntrack_set_address(table, 0, 4, &address);
	make_udp(&packet, f->peer, (struct test_end){f->external, port}, 10);
	assert_int_equal(CONNTRACK_UNKNOWN, send_in(&packet, NULL));
	make_udp(&packet, f->pod, f->peer, 10);
	assert_int_equal(CONNTRACK_PASS, send_out(0, &packet));
	assert_ends(&packet, (struct test_end){"192.0.2.11", source_port()}, f->peer);
	pass_time(0);
	assert_int_equal(1, connections());
	conntrack_set_address(table, 0, 4, &address); // the same again: nothing ends
	pass_time(0);
	assert_int_equal(1, connections());
}

// ---- shares --------------------------------------------------------------------------------------

static uint32_t open_many(uint32_t pod, uint32_t wanted)
{
	char text[32];

	for (uint32_t i = 0; i < wanted; i++) {
		snprintf(text, sizeof(text), "198.51.%u.%u", i / 250, 1 + i % 250);
		if (speak_udp(pod, 4000, (struct test_end){text, 80}) == 0)
			return i;
	}
	return wanted;
}

static void a_full_table_refuses_the_greediest_pod(void **state)
{
	struct conntrack_pod_figures figures;

	assert_in_range(open_many(0, 2000), 680, 684); // two thirds of 1024
	conntrack_pod_figures(table, 0, &figures);
	assert_int_equal(1, figures.refused_full);
	// Others find room, the first still does not.
	assert_int_equal(50, open_many(1, 50));
	assert_int_equal(0, speak_udp(0, 4001, families[0].peer));
	assert_true(open_many(2, 2000) >= 150);
	for (uint32_t pod = 3; pod < PODS; pod++)
		assert_int_equal(5, open_many(pod, 5));
	conntrack_check(table);
	conntrack_pod_figures(table, 0, &figures);
	assert_int_equal(2, figures.refused_full);
	conntrack_forget_pod(table, 0);
	pass_time(0);
	assert_int_equal(300, open_many(3, 300));
}

static void a_pod_that_has_its_share_of_ports_uses_them_for_other_peers(void **state)
{
	struct test_end one = {"198.51.100.7", 80}, two = {"198.51.100.8", 80};
	struct conntrack_pod_figures figures;
	uint16_t port;

	test_config.first_port = 50000;
	test_config.last_port = 50029;
	new_table();
	for (port = 1; speak_udp(0, port, one) != 0; port++)
		;
	conntrack_pod_figures(table, 0, &figures);
	assert_int_equal(port - 1, figures.ports[1]);
	assert_in_range(figures.ports[1], 18, 20); // two thirds of 30
	assert_int_equal(1, figures.refused_ports);
	assert_int_equal(0, figures.refused_full);
	// Not one port more, and yet connections.
	for (uint16_t p = 100; p < 110; p++)
		assert_int_not_equal(0, speak_udp(0, p, two));
	conntrack_pod_figures(table, 0, &figures);
	assert_in_range(figures.ports[1], 18, 20);
	// Another pod gets ports of its own, also of another protocol's.
	assert_int_not_equal(0, speak_udp(1, 1, one));
	make_echo(&packet, (struct test_end){"10.0.0.1", 7}, (struct test_end){"198.51.100.7", 0},
		  1);
	assert_int_equal(CONNTRACK_PASS, send_out(0, &packet));
	conntrack_pod_figures(table, 0, &figures);
	assert_int_equal(1, figures.ports[2]);
}

// ---- seeing it -----------------------------------------------------------------------------------

static void the_list_has_every_connection_once(void **state)
{
	struct conntrack_entry entries[7];
	bool seen[101] = {0};
	uint32_t cursor = 0, count, total = 0;

	for (uint16_t p = 1; p <= 100; p++)
		speak_udp(p % 4, p, families[0].peer);
	do {
		cursor = conntrack_list(table, 1, cursor, 50, entries, RTE_DIM(entries), &count);
		for (uint32_t i = 0; i < count; i++) {
			uint16_t port = rte_be_to_cpu_16(entries[i].original.source_port);

			assert_int_equal(1, entries[i].pod);
			assert_int_equal(1, port % 4);
			assert_false(seen[port]);
			seen[port] = true;
			assert_int_equal(121, entries[i].expires_s);
			assert_int_equal(1, entries[i].packets[0]);
			assert_int_equal(38, entries[i].bytes[0]);
			assert_false(entries[i].answered);
		}
		total += count;
	} while (cursor != 0);
	assert_int_equal(25, total);
}

static void figures_add_up(void **state)
{
	struct conntrack_figures figures;

	for (uint16_t p = 1; p <= 100; p++)
		speak_udp(p % 4, p, families[0].peer);
	pass_time(1000);
	speak_udp(0, 1, families[1].peer);
	conntrack_figures(table, &figures);
	assert_int_equal(1, figures.connections);
	assert_int_equal(100, figures.connections_most);
	assert_int_equal(1024, figures.size);
	assert_int_equal(101, figures.opened);
	assert_int_equal(100, figures.ended);
	assert_int_equal(0, figures.pools[0].ports_held[1]);
	assert_int_equal(1, figures.pools[1].ports_held[1]);
	assert_int_equal(6, figures.pools[1].family);
	assert_int_equal(65536 - 1024, figures.pools[1].ports_size[0]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, table_setup, table_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(udp_goes_out_and_its_answer_comes_back),
		TEST(pings_go_out_and_their_replies_come_back),
		TEST(tcp_is_followed_through_its_states),
		TEST(an_endpoint_keeps_its_port_for_all_its_peers),
		TEST(ports_are_in_the_range_and_in_no_order),
		TEST(only_the_peer_can_answer),
		TEST(what_has_no_ports_is_not_translated),
		TEST(without_an_external_address_nothing_goes_out),
		TEST(an_error_from_the_wire_reaches_the_pod_as_if_nothing_were_translated),
		TEST(an_error_of_a_pod_reaches_its_peer_as_if_nothing_were_translated),
		TEST(an_error_about_a_ping_is_translated),
		TEST(an_error_about_nothing_that_was_sent_is_not_let_in),
		TEST(an_error_neither_ends_nor_prolongs_a_connection),
		TEST(each_state_has_its_timeout),
		TEST(udp_lives_longer_once_it_was_answered),
		TEST(a_connection_in_use_lives_on),
		TEST(what_is_out_of_the_window_is_no_sign_of_life),
		TEST(an_expired_connection_is_over_before_it_is_tidied_up),
		TEST(ending_many_connections_is_done_in_pieces),
		TEST(a_pod_takes_its_connections_with_it),
		TEST(the_next_pod_with_the_same_number_and_address_begins_with_nothing),
		TEST(another_external_address_ends_the_connections_of_the_first),
		TEST(a_full_table_refuses_the_greediest_pod),
		TEST(a_pod_that_has_its_share_of_ports_uses_them_for_other_peers),
		TEST(the_list_has_every_connection_once),
		TEST(figures_add_up),
	};

	return cmocka_run_group_tests_name("masquerade", tests, eal_setup, eal_teardown);
}
