// SPDX-License-Identifier: BSD-3-Clause
//
// Published ports: who gets where by them, from the wire and from within, and what remains when they go.

#include "conntrack/fixture_test.h"

#include <rte_common.h>

enum { PORT = 8080, POD_PORT = 80, FIRST = 40000, LAST = 40063 };

static struct test_packet packet, other, before;

// The ends of a conversation, in both families.
struct family {
	bool ipv6;
	struct test_end client, external, server, neighbour;
	const char *router;
};
static const struct family families[] = {
	{false,
	 {"198.51.100.7", 4000},
	 {EXTERNAL4, PORT},
	 {"10.0.0.1", POD_PORT},
	 {"10.0.0.2", 4000},
	 "203.0.113.1"},
	{true,
	 {"2001:db8:5::7", 4000},
	 {EXTERNAL6, PORT},
	 {"fd00::1", POD_PORT},
	 {"fd00::2", 4000},
	 "2001:db8:9::1"},
};
#define FAMILIES_END (families + RTE_DIM(families))

// Pod 0 publishes PORT in both families, for TCP and UDP.
static const struct test_publication all[] = {
	{1, IPPROTO_TCP, PORT, 0, POD_PORT, false},
	{1, IPPROTO_UDP, PORT, 0, POD_PORT, false},
	{1, IPPROTO_TCP, PORT, 0, POD_PORT, true},
	{1, IPPROTO_UDP, PORT, 0, POD_PORT, true},
};

static int set_up(void **state)
{
	int r = table_setup(state);

	publish(all, RTE_DIM(all));
	return r;
}
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, table_teardown)

static void make_segment(struct test_end from, struct test_end to, uint8_t flags, uint32_t sequence,
			 uint32_t acknowledgement)
{
	make_tcp(&packet, from, to,
		 &(struct test_tcp){.flags = flags,
				    .sequence = sequence,
				    .acknowledgement = acknowledgement,
				    .window = 1000,
				    .scale = -1});
}

static uint16_t source_port(void)
{
	struct conntrack_packet parsed;

	assert_int_equal(0,
			 conntrack_packet_parse(packet.bytes, packet.size, packet.size, &parsed));
	return rte_be_to_cpu_16(parsed.tuple.source_port);
}

static struct conntrack_published_figures figures_of(const struct family *f, uint8_t protocol)
{
	struct conntrack_published_figures figures;

	assert_true(conntrack_published_figures(table, f->ipv6, protocol, PORT, &figures));
	return figures;
}

static uint32_t connections(void)
{
	struct conntrack_figures figures;

	conntrack_figures(table, &figures);
	return figures.connections;
}

// ---- from the wire -------------------------------------------------------------------------------

static void who_comes_from_the_wire_reaches_the_pod_with_its_own_address(void **state)
{
	for (const struct family *f = families; f < FAMILIES_END; f++) {
		uint32_t pod = 99;

		make_segment(f->client, f->external, TCP_SYN, 100, 0);
		assert_int_equal(CONNTRACK_PASS, send_in(&packet, &pod));
		assert_ends(&packet, f->client, f->server);
		assert_int_equal(0, pod);
		make_segment(f->server, f->client, TCP_SYN | TCP_ACK, 500, 101);
		assert_int_equal(CONNTRACK_PASS, send_out(0, &packet));
		assert_ends(&packet, f->external, f->client);
		make_segment(f->client, f->external, TCP_ACK, 101, 501);
		assert_int_equal(CONNTRACK_PASS, send_in(&packet, &pod));
		assert_string_equal("ESTABLISHED", state_of(f->client, f->external));
		make_segment(f->client, f->external, TCP_ACK, 900000, 501);
		assert_int_equal(CONNTRACK_INVALID, send_in(&packet, NULL));
		struct conntrack_published_figures figures = figures_of(f, IPPROTO_TCP);
		assert_int_equal(1, figures.connections);
		assert_int_equal(2, figures.packets_in);
		assert_int_equal(1, figures.packets_out);
		assert_int_equal(f->ipv6 ? 60 : 40, figures.bytes_out);
		assert_int_equal(0, figures_of(f, IPPROTO_UDP).connections);
	}
}

// To a peer that sees pods as they are, the answer still comes from whom was asked.
static void an_answer_to_where_nothing_is_masqueraded_is_translated_as_well(void **state)
{
	for (const struct family *f = families; f < FAMILIES_END; f++) {
		make_udp(&packet, f->client, f->external, 50);
		assert_int_equal(CONNTRACK_PASS, send_in(&packet, NULL));
		make_udp(&packet, f->server, f->client, 60);
		assert_int_equal(CONNTRACK_PASS, send_reply(0, &packet));
		assert_ends(&packet, f->external, f->client);
		make_udp(&packet, f->server, (struct test_end){f->client.address, 1}, 60);
		assert_int_equal(CONNTRACK_UNKNOWN, send_reply(0, &packet));
	}
}

// The peer was masqueraded towards, and is not any more.
static void what_was_masqueraded_is_no_answer_of_a_published_port(void **state)
{
	for (const struct family *f = families; f < FAMILIES_END; f++) {
		const struct test_end unpublished = {f->server.address, POD_PORT + 1};

		make_udp(&packet, unpublished, f->client, 10);
		assert_int_equal(CONNTRACK_PASS, send_out(0, &packet));
		make_udp(&packet, unpublished, f->client, 10);
		assert_int_equal(CONNTRACK_UNKNOWN, send_reply(0, &packet));
		assert_ends(&packet, unpublished, f->client);
		// From the endpoint behind the port it may be one.
		make_udp(&packet, f->server, f->client, 10);
		assert_int_equal(CONNTRACK_PASS, send_out(0, &packet));
		make_udp(&packet, f->server, f->client, 10);
		assert_int_equal(CONNTRACK_PASS, send_reply(0, &packet));
		assert_ends(&packet, f->external, f->client);
	}
}

static void what_is_not_published_is_for_the_agent(void **state)
{
	for (const struct family *f = families; f < FAMILIES_END; f++) {
		make_udp(&packet, f->client, (struct test_end){f->external.address, PORT + 1}, 50);
		assert_int_equal(CONNTRACK_UNKNOWN, send_in(&packet, NULL));
		make_echo(&packet, f->client, (struct test_end){f->external.address, 0}, 50);
		assert_int_equal(CONNTRACK_UNKNOWN, send_in(&packet, NULL));
	}
	assert_int_equal(0, connections());
}

static void nobody_answers_in_the_pods_place(void **state)
{
	const struct family *f = &families[0];

	make_udp(&packet, f->client, f->external, 50);
	assert_int_equal(CONNTRACK_PASS, send_in(&packet, NULL));
	make_udp(&packet, f->server, f->client, 50);
	assert_int_equal(CONNTRACK_INVALID, send_out(1, &packet));
	make_udp(&packet, f->server, f->client, 50);
	assert_int_equal(CONNTRACK_UNKNOWN, send_in(&packet, NULL)); // from the wire
	make_udp(&packet, f->client, f->external, 50);
	assert_int_equal(CONNTRACK_UNKNOWN, send_hairpin(1, &packet)); // a pod as the client
}

static void two_ports_of_one_endpoint_are_told_apart(void **state)
{
	const struct test_publication two[] = {{1, IPPROTO_UDP, PORT, 0, POD_PORT, false},
					       {1, IPPROTO_UDP, PORT + 1, 0, POD_PORT, false}};
	const struct family *f = &families[0];
	struct test_end second = {f->external.address, PORT + 1};

	publish(two, RTE_DIM(two));
	make_udp(&packet, f->client, f->external, 50);
	assert_int_equal(CONNTRACK_PASS, send_in(&packet, NULL));
	assert_ends(&packet, f->client, f->server);
	make_udp(&packet, f->client, second, 50);
	assert_int_equal(CONNTRACK_PASS, send_in(&packet, NULL));
	struct test_end seen = {f->client.address, source_port()};
	assert_int_not_equal(f->client.port, seen.port);
	make_udp(&packet, f->server, seen, 50);
	assert_int_equal(CONNTRACK_PASS, send_out(0, &packet));
	assert_ends(&packet, second, f->client);
	make_udp(&packet, f->server, f->client, 50);
	assert_int_equal(CONNTRACK_PASS, send_out(0, &packet));
	assert_ends(&packet, f->external, f->client);
}

static void a_flood_from_the_wire_is_the_publishing_pods(void **state)
{
	const struct family *f = &families[0];
	struct conntrack_pod_figures figures;
	uint32_t passed = 0;

	for (uint16_t port = 1; port <= 2000; port++) {
		make_segment((struct test_end){f->client.address, port}, f->external, TCP_SYN, 1,
			     0);
		passed += send_in(&packet, NULL) == CONNTRACK_PASS;
	}
	assert_in_range(passed, 680, 684); // two thirds of 1024
	conntrack_pod_figures(table, 0, &figures);
	assert_int_equal(2000 - passed, figures.refused_full);
	assert_int_not_equal(0, speak_udp(1, 4000, f->client));
}

// ---- errors --------------------------------------------------------------------------------------

static void an_error_of_the_pods_looks_as_if_nothing_were_translated(void **state)
{
	for (const struct family *f = families; f < FAMILIES_END; f++) {
		make_udp(&other, f->client, f->external, 50);
		before = other;
		assert_int_equal(CONNTRACK_PASS, send_in(&other, NULL));
		for (unsigned int masquerade = 0; masquerade < 2; masquerade++) {
			make_error(&packet, f->server.address, f->client.address, &other,
				   other.size);
			assert_int_equal(CONNTRACK_PASS, masquerade ? send_out(0, &packet)
								    : send_reply(0, &packet));
			assert_memory_equal(before.bytes, packet.bytes + packet.size - other.size,
					    other.size);
			assert_ends(&packet, (struct test_end){f->external.address, 0},
				    (struct test_end){f->client.address, 0});
		}
		make_error(&packet, f->server.address, f->client.address, &other, other.size);
		assert_int_equal(CONNTRACK_INVALID, send_out(1, &packet));
	}
}

static void an_error_about_the_pods_answer_reaches_it(void **state)
{
	for (const struct family *f = families; f < FAMILIES_END; f++) {
		make_udp(&packet, f->client, f->external, 50);
		assert_int_equal(CONNTRACK_PASS, send_in(&packet, NULL));
		make_udp(&other, f->server, f->client, 60);
		before = other;
		assert_int_equal(CONNTRACK_PASS, send_out(0, &other));
		make_error(&packet, f->router, f->external.address, &other, other.size);
		assert_int_equal(CONNTRACK_PASS, send_in(&packet, NULL));
		assert_memory_equal(before.bytes, packet.bytes + packet.size - other.size,
				    other.size);
		assert_ends(&packet, (struct test_end){f->router, 0},
			    (struct test_end){f->server.address, 0});
	}
}

// ---- from within ---------------------------------------------------------------------------------

static void a_pod_reaches_another_and_itself_by_the_external_address(void **state)
{
	for (const struct family *f = families; f < FAMILIES_END; f++) {
		for (uint32_t pod = 0; pod < 2; pod++) {
			struct test_end client = {
				pod == 0 ? f->server.address : f->neighbour.address, 4000};

			make_udp(&packet, client, f->external, 50);
			before = packet;
			assert_int_equal(CONNTRACK_PASS, send_hairpin(pod, &packet));
			struct test_end seen = {f->external.address, source_port()};
			assert_ends(&packet, seen, f->server);
			other = packet;
			make_udp(&packet, f->server, seen, 60);
			assert_int_equal(CONNTRACK_PASS, send_hairpin(0, &packet));
			assert_ends(&packet, f->external, client);
			// And if nobody listens there.
			make_error(&packet, f->server.address, seen.address, &other, other.size);
			assert_int_equal(CONNTRACK_PASS, send_hairpin(0, &packet));
			assert_memory_equal(before.bytes, packet.bytes + packet.size - other.size,
					    other.size);
			assert_ends(&packet, (struct test_end){f->external.address, 0},
				    (struct test_end){client.address, 0});
			// The router's own errors are as good, whomever they are about.
			make_error(&packet, f->router, seen.address, &other, other.size);
			assert_int_equal(CONNTRACK_PASS, send_hairpin(CONNTRACK_POD_ANY, &packet));
			// Nobody else has a part in this.
			make_udp(&packet, f->server, seen, 60);
			assert_int_equal(CONNTRACK_UNKNOWN, send_in(&packet, NULL));
			make_udp(&packet, f->server, seen, 60);
			assert_int_equal(CONNTRACK_UNKNOWN, send_hairpin(2, &packet));
		}
		assert_int_equal(2, figures_of(f, IPPROTO_UDP).connections);
		assert_int_equal(2, figures_of(f, IPPROTO_UDP).packets_out);
	}
}

static void an_endpoint_can_call_itself(void **state)
{
	for (const struct family *f = families; f < FAMILIES_END; f++) {
		make_udp(&packet, f->server, f->external, 50);
		assert_int_equal(CONNTRACK_PASS, send_hairpin(0, &packet));
		struct test_end seen = {f->external.address, source_port()};
		assert_int_not_equal(PORT, seen.port);
		assert_ends(&packet, seen, f->server);
		make_udp(&packet, f->server, seen, 50);
		assert_int_equal(CONNTRACK_PASS, send_hairpin(0, &packet));
		assert_ends(&packet, f->external, f->server);
		conntrack_check(table);
	}
}

static void pods_connections_within_are_their_own(void **state)
{
	const struct family *f = &families[0];
	struct conntrack_pod_figures figures;

	make_udp(&packet, f->neighbour, f->external, 50);
	assert_int_equal(CONNTRACK_PASS, send_hairpin(1, &packet));
	conntrack_pod_figures(table, 1, &figures);
	assert_int_equal(1, figures.connections);
	assert_int_equal(1, figures.ports[1]);
	// The pod that has called goes, and the call with it.
	conntrack_forget_pod(table, 1);
	pass_time(0);
	assert_int_equal(0, connections());
	assert_int_equal(0, figures_of(f, IPPROTO_UDP).connections);
}

// ---- with masquerade -----------------------------------------------------------------------------

static void masquerade_gives_nobody_a_published_port(void **state)
{
	struct test_publication most[LAST - FIRST + 1];
	struct conntrack_figures figures;
	struct test_end peer = {"198.51.100.7", 80};

	test_config.first_port = FIRST;
	test_config.last_port = LAST;
	new_table();
	for (uint16_t i = 0; i < 16; i++)
		most[i] = (struct test_publication){1, IPPROTO_UDP,       (uint16_t)(FIRST + 4 * i),
						    7, (uint16_t)(1 + i), false};
	publish(most, 16);
	conntrack_figures(table, &figures);
	assert_int_equal(16, figures.pools[0].ports_reserved[1]);
	assert_int_equal(0, figures.pools[0].ports_held[1]);
	for (uint32_t pod = 0; pod < 4; pod++) {
		for (uint16_t i = 0; i < 64; i++) {
			uint16_t port = speak_udp(pod, 4000 + i, peer);

			assert_true(port == 0 || (port - FIRST) % 4 != 0);
		}
	}
	conntrack_check(table);
	// Of TCP they are as before.
	conntrack_figures(table, &figures);
	assert_int_equal(0, figures.pools[0].ports_reserved[0]);
	publish(NULL, 0);
	conntrack_figures(table, &figures);
	assert_int_equal(0, figures.pools[0].ports_reserved[1]);
}

static void who_has_a_port_keeps_it_and_gets_no_more_by_it(void **state)
{
	struct test_end peer = {"198.51.100.7", 80}, another = {"198.51.100.8", 80};
	uint16_t port = speak_udp(1, 4000, peer);
	const struct test_publication taken = {1, IPPROTO_UDP, port, 0, POD_PORT, false};

	publish(&taken, 1);
	assert_int_equal(port, speak_udp(1, 4000, peer));
	make_udp(&packet, peer, (struct test_end){EXTERNAL4, port}, 10);
	assert_int_equal(CONNTRACK_PASS, send_in(&packet, NULL));
	assert_ends(&packet, peer, (struct test_end){"10.0.0.2", 4000});
	// All others find who has published it.
	make_udp(&packet, another, (struct test_end){EXTERNAL4, port}, 10);
	assert_int_equal(CONNTRACK_PASS, send_in(&packet, NULL));
	assert_ends(&packet, another, (struct test_end){"10.0.0.1", POD_PORT});
	assert_int_not_equal(port, speak_udp(1, 4000, another));
	conntrack_check(table);
	publish(NULL, 0);
	pass_time(400);
	assert_int_equal(0, connections());
}

static void an_endpoint_that_is_published_leaves_with_that_port(void **state)
{
	for (const struct family *f = families; f < FAMILIES_END; f++) {
		make_udp(&packet, f->server, f->client, 10);
		assert_int_equal(CONNTRACK_PASS, send_out(0, &packet));
		assert_ends(&packet, f->external, f->client);
		make_udp(&packet, f->client, f->external, 10);
		assert_int_equal(CONNTRACK_PASS, send_in(&packet, NULL));
		assert_ends(&packet, f->client, f->server);
		assert_int_equal(0, figures_of(f, IPPROTO_UDP).connections); // it was not called
	}
	// Another endpoint of the pod, and the same of another pod, are nothing special.
	assert_int_not_equal(PORT, speak_udp(0, POD_PORT + 1, families[0].client));
	assert_int_not_equal(PORT, speak_udp(1, POD_PORT, families[0].client));
}

// ---- ends ----------------------------------------------------------------------------------------

static void what_is_published_no_more_ends_with_its_connections(void **state)
{
	const struct test_publication rest[] = {all[1], all[2], all[3]};
	const struct family *f = &families[0];

	make_segment(f->client, f->external, TCP_SYN, 100, 0);
	assert_int_equal(CONNTRACK_PASS, send_in(&packet, NULL));
	make_segment(f->neighbour, f->external, TCP_SYN, 100, 0);
	assert_int_equal(CONNTRACK_PASS, send_hairpin(1, &packet));
	make_udp(&packet, f->client, f->external, 50);
	assert_int_equal(CONNTRACK_PASS, send_in(&packet, NULL));
	publish(rest, RTE_DIM(rest));
	make_segment(f->server, f->client, TCP_SYN | TCP_ACK, 500, 101);
	assert_int_equal(CONNTRACK_INVALID, send_out(0, &packet));
	make_segment(f->client, f->external, TCP_SYN, 100, 0);
	assert_int_equal(CONNTRACK_UNKNOWN, send_in(&packet, NULL));
	pass_time(0);
	assert_int_equal(1, connections());
	assert_int_equal(1, figures_of(f, IPPROTO_UDP).connections);
	make_udp(&packet, f->client, f->external, 50);
	assert_int_equal(CONNTRACK_PASS, send_in(&packet, NULL));
	assert_int_equal(2, figures_of(f, IPPROTO_UDP).packets_in);
	assert_int_equal(1, figures_of(f, IPPROTO_UDP).opened);
}

static void the_next_one_with_the_same_port_has_nothing_to_do_with_it(void **state)
{
	struct test_publication next = all[1];
	const struct family *f = &families[0];

	make_udp(&packet, f->client, f->external, 50);
	assert_int_equal(CONNTRACK_PASS, send_in(&packet, NULL));
	next.owner = 2;
	publish(&next, 1);
	assert_int_equal(0, figures_of(f, IPPROTO_UDP).opened);
	make_udp(&packet, f->server, f->client, 50);
	assert_int_equal(CONNTRACK_UNKNOWN, send_reply(0, &packet));
	next.owner = 3;
	next.pod = 5;
	publish(&next, 1);
	make_udp(&packet, f->client, f->external, 50);
	assert_int_equal(CONNTRACK_PASS, send_in(&packet, NULL));
	assert_ends(&packet, f->client, (struct test_end){"10.0.0.6", POD_PORT});
	pass_time(0);
	assert_int_equal(1, connections());
}

static void connections_go_with_the_pod_and_with_the_address(void **state)
{
	union conntrack_address address = test_address("192.0.2.11");
	const struct family *f = &families[0];

	make_udp(&packet, f->client, f->external, 50);
	assert_int_equal(CONNTRACK_PASS, send_in(&packet, NULL));
	conntrack_forget_pod(table, 0);
	pass_time(0);
	assert_int_equal(0, connections());
	make_udp(&packet, f->client, f->external, 50);
	assert_int_equal(CONNTRACK_PASS, send_in(&packet, NULL));
	conntrack_set_address(table, 0, 4, &address);
	make_udp(&packet, f->client, f->external, 50);
	assert_int_equal(CONNTRACK_UNKNOWN, send_in(&packet, NULL));
	pass_time(0);
	assert_int_equal(0, connections());
	make_udp(&packet, f->client, (struct test_end){"192.0.2.11", PORT}, 50);
	assert_int_equal(CONNTRACK_PASS, send_in(&packet, NULL));
	assert_ends(&packet, f->client, f->server);
}

// As after a restart: whoever speaks first.
static void a_connection_goes_on_when_the_table_was_lost(void **state)
{
	for (unsigned int server_first = 0; server_first < 2; server_first++) {
		for (const struct family *f = families; f < FAMILIES_END; f++) {
			new_table();
			publish(all, RTE_DIM(all));
			for (unsigned int i = 0; i < 2; i++) {
				if (i == server_first) {
					make_segment(f->client, f->external, TCP_ACK, 100, 500);
					assert_int_equal(CONNTRACK_PASS, send_in(&packet, NULL));
					assert_ends(&packet, f->client, f->server);
				} else {
					make_segment(f->server, f->client, TCP_ACK, 500, 100);
					assert_int_equal(CONNTRACK_PASS, send_out(0, &packet));
					assert_ends(&packet, f->external, f->client);
				}
			}
			assert_int_equal(1, connections());
		}
	}
}

// ---- fragments -----------------------------------------------------------------------------------

static void pieces_go_the_way_of_their_first(void **state)
{
	const struct family *f = &families[0];
	struct test_packet pieces[2];

	make_udp(&other, f->client, f->external, 50);
	for (unsigned int i = 0; i < 2; i++) {
		make_fragment(&pieces[i], &other, 5, i * 32, i == 0 ? 32 : 26);
		assert_int_equal(CONNTRACK_PASS, send_in(&pieces[i], NULL));
		struct test_end port = {f->client.address, i == 0 ? f->client.port : 0};
		assert_ends(&pieces[i], port,
			    (struct test_end){f->server.address, i == 0 ? POD_PORT : 0});
	}
	make_udp(&other, f->server, f->client, 50);
	for (unsigned int i = 0; i < 2; i++) {
		make_fragment(&pieces[i], &other, 6, i * 32, i == 0 ? 32 : 26);
		assert_int_equal(CONNTRACK_PASS, send_reply(0, &pieces[i]));
		assert_ends(&pieces[i], (struct test_end){EXTERNAL4, i == 0 ? PORT : 0},
			    (struct test_end){f->client.address, i == 0 ? f->client.port : 0});
	}
	// What has nothing to do with it goes on as it is, all of it.
	make_udp(&other, (struct test_end){f->server.address, 9}, f->client, 50);
	for (unsigned int i = 0; i < 2; i++) {
		make_fragment(&pieces[i], &other, 7, i * 32, i == 0 ? 32 : 26);
		before = pieces[i];
		assert_int_equal(CONNTRACK_PASS, send_reply(0, &pieces[i]));
		assert_memory_equal(before.bytes, pieces[i].bytes, before.size);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_comes_from_the_wire_reaches_the_pod_with_its_own_address),
		TEST(an_answer_to_where_nothing_is_masqueraded_is_translated_as_well),
		TEST(what_was_masqueraded_is_no_answer_of_a_published_port),
		TEST(what_is_not_published_is_for_the_agent),
		TEST(nobody_answers_in_the_pods_place),
		TEST(two_ports_of_one_endpoint_are_told_apart),
		TEST(a_flood_from_the_wire_is_the_publishing_pods),
		TEST(an_error_of_the_pods_looks_as_if_nothing_were_translated),
		TEST(an_error_about_the_pods_answer_reaches_it),
		TEST(a_pod_reaches_another_and_itself_by_the_external_address),
		TEST(an_endpoint_can_call_itself),
		TEST(pods_connections_within_are_their_own),
		TEST(masquerade_gives_nobody_a_published_port),
		TEST(who_has_a_port_keeps_it_and_gets_no_more_by_it),
		TEST(an_endpoint_that_is_published_leaves_with_that_port),
		TEST(what_is_published_no_more_ends_with_its_connections),
		TEST(the_next_one_with_the_same_port_has_nothing_to_do_with_it),
		TEST(connections_go_with_the_pod_and_with_the_address),
		TEST(a_connection_goes_on_when_the_table_was_lost),
		TEST(pieces_go_the_way_of_their_first),
	};

	return cmocka_run_group_tests_name("published ports", tests, eal_setup, eal_teardown);
}
