// SPDX-License-Identifier: BSD-3-Clause
//
// Pings: whose identifier stays what it is, who gets another one, and which of them somebody else may carry, who can
// write addresses but no identifier.

#include "conntrack/fixture_test.h"

struct family {
	const char *pods[3];
	const char *peer, *other_peer, *external, *router;
};
static const struct family families[] = {
	{{"10.0.0.1", "10.0.0.2", "10.0.0.3"},
	 "198.51.100.7",
	 "198.51.100.8",
	 EXTERNAL4,
	 "203.0.113.1"},
	{{"fd00::1", "fd00::2", "fd00::3"},
	 "2001:db8:5::7",
	 "2001:db8:5::8",
	 EXTERNAL6,
	 "2001:db8:9::1"},
};
static struct test_packet packet, other;
static uint32_t recalls;

static bool recall(void *context, uint32_t place)
{
	recalls++;
	return true;
}

static int setup(void **state)
{
	table_setup(state);
	test_config.first_identifier = 1;
	test_config.recall = recall;
	new_table();
	recalls = 0;
	return 0;
}

// The external identifier; 0: it is refused.
static uint16_t request(const struct family *f, uint32_t pod, uint16_t identifier, const char *peer)
{
	make_echo(&packet, (struct test_end){f->pods[pod], identifier}, (struct test_end){peer, 0},
		  50);
	return send_out(pod, &packet) == CONNTRACK_PASS
		       ? rte_be_to_cpu_16(last_rewrite.to.source_port)
		       : 0;
}

static enum conntrack_verdict reply(const struct family *f, uint16_t external, const char *peer,
				    uint32_t *ret_pod)
{
	make_echo(&packet, (struct test_end){peer, 0}, (struct test_end){f->external, external},
		  50);
	return send_in(&packet, ret_pod);
}

// So many of each; returns the external identifier.
static uint16_t ping(const struct family *f, uint32_t pod, uint16_t identifier, unsigned int count)
{
	uint16_t external = 0;

	for (unsigned int i = 0; i < count; i++) {
		external = request(f, pod, identifier, f->peer);
		assert_int_not_equal(0, external);
		assert_int_equal(CONNTRACK_PASS, reply(f, external, f->peer, NULL));
	}
	return external;
}

// The steady connection is carried; returns its place.
static uint32_t carry(struct conntrack_sides *ret_sides)
{
	const uint32_t place = last_rewrite.place;

	assert_true(last_rewrite.steady);
	conntrack_carry(table, place, ret_sides);
	conntrack_carry_begin(table, place);
	return place;
}

static uint32_t connections(void)
{
	struct conntrack_figures figures;

	conntrack_figures(table, &figures);
	return figures.connections;
}

// ---- identifiers ---------------------------------------------------------------------------------

static void an_identifier_that_nobody_has_stays(void **state)
{
	static const uint16_t identifiers[] = {1, 7, 40000, UINT16_MAX};

	for (unsigned int i = 0; i < RTE_DIM(families); i++) {
		const struct family *f = &families[i];

		for (unsigned int j = 0; j < RTE_DIM(identifiers); j++) {
			assert_int_equal(identifiers[j], request(f, 0, identifiers[j], f->peer));
			assert_ends(&packet, (struct test_end){f->external, identifiers[j]},
				    (struct test_end){f->peer, 0});
			// It is the endpoint's for all its peers.
			assert_int_equal(identifiers[j],
					 request(f, 0, identifiers[j], f->other_peer));
		}
	}
}

static void a_port_does_not_stay(void **state)
{
	unsigned int kept = 0;

	for (uint16_t port = 5000; port < 5100; port++)
		kept += speak_udp(0, port, (struct test_end){"198.51.100.7", 80}) == port;
	assert_true(kept < 5);
}

static void who_comes_second_gets_another_one_and_both_their_replies(void **state)
{
	for (unsigned int i = 0; i < RTE_DIM(families); i++) {
		const struct family *f = &families[i];
		uint16_t external[3];

		for (uint32_t pod = 0; pod < 3; pod++) {
			external[pod] = request(f, pod, 7, f->peer);
			assert_int_not_equal(0, external[pod]);
		}
		assert_int_equal(7, external[0]);
		assert_true(external[1] != 7 && external[2] != 7 && external[1] != external[2]);
		for (uint32_t pod = 0; pod < 3; pod++) {
			uint32_t whose = 99;

			assert_int_equal(CONNTRACK_PASS, reply(f, external[pod], f->peer, &whose));
			assert_int_equal(pod, whose);
			assert_ends(&packet, (struct test_end){f->peer, 0},
				    (struct test_end){f->pods[pod], 7});
		}
		// The mapping is the endpoint's, also when the first one has gone.
		conntrack_forget_pod(table, 0);
		pass_time(1);
		assert_int_equal(external[1], request(f, 1, 7, f->other_peer));
		assert_int_equal(7, request(f, 0, 7, f->peer));
	}
}

// One that a pod has for another endpoint of its own is somebody's, too.
static void no_two_endpoints_of_a_pod_share_one(void **state)
{
	const struct family *f = &families[0];

	assert_int_equal(7, request(f, 0, 7, f->peer));
	uint16_t external = request(f, 1, 7, f->peer);
	assert_int_not_equal(7, external);
	uint16_t third = request(f, 1, external, f->other_peer);
	assert_true(third != 0 && third != external);
}

static void what_is_out_of_the_range_gets_one_in_it(void **state)
{
	test_config.first_identifier = 3000;
	test_config.last_identifier = 3999;
	new_table();
	for (unsigned int i = 0; i < RTE_DIM(families); i++) {
		const struct family *f = &families[i];

		assert_in_range(request(f, 0, 2999, f->peer), 3000, 3999);
		assert_in_range(request(f, 0, 4000, f->peer), 3000, 3999);
		assert_in_range(request(f, 0, 0, f->peer), 3000, 3999);
		assert_int_equal(3999, request(f, 1, 3999, f->peer));
	}
	// Ports have a range of their own.
	assert_in_range(speak_udp(0, 5000, (struct test_end){"198.51.100.7", 80}),
			test_config.first_port, test_config.last_port);
	struct conntrack_figures figures;
	conntrack_figures(table, &figures);
	assert_int_equal(1000, figures.pools[0].ports_size[2]);
	assert_int_equal(65536 - 1024, figures.pools[0].ports_size[0]);
	assert_int_equal(65536 - 1024, figures.pools[0].ports_size[1]);
}

// Who asks for identifiers by name gets no more of them than who takes any.
static void a_pod_gets_no_more_than_its_share(void **state)
{
	const struct family *f = &families[0];
	struct conntrack_pod_figures figures;
	uint16_t identifier;

	test_config.last_identifier = 30;
	new_table();
	for (identifier = 1; request(f, 0, identifier, f->peer) != 0; identifier++)
		assert_true(identifier < 30);
	conntrack_pod_figures(table, 0, &figures);
	assert_int_equal(identifier - 1, figures.ports[2]);
	assert_in_range(figures.ports[2], 18, 20); // two thirds of 30
	assert_int_equal(1, figures.refused_ports);
	// Another pod finds some, of those that the first one would have liked to keep, too.
	assert_int_equal(identifier, request(f, 1, identifier, f->peer));
	assert_int_not_equal(0, request(f, 1, 1, f->peer));
}

// ---- carried -------------------------------------------------------------------------------------

static void pings_that_are_answered_are_steady_after_some(void **state)
{
	for (unsigned int i = 0; i < RTE_DIM(families); i++) {
		const struct family *f = &families[i];
		struct conntrack_sides sides;

		ping(f, 0, 7, 4);
		assert_int_equal(7, request(f, 0, 7, f->peer));
		assert_false(last_rewrite.steady);
		assert_int_equal(CONNTRACK_PASS, reply(f, 7, f->peer, NULL));
		uint32_t place = carry(&sides);
		assert_int_equal(sides.pods[0], 0);
		assert_int_equal(sides.pods[1], CONNTRACK_NO_POD);
		assert_int_equal(sides.sent[0].protocol, i == 0 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
		assert_int_equal(sides.sent[0].source_port, rte_cpu_to_be_16(7));
		assert_int_equal(sides.sent[0].destination_port, 0);
		assert_int_equal(sides.sent[1].source_port, 0);
		assert_int_equal(sides.sent[1].destination_port, rte_cpu_to_be_16(7));
		// Nothing that may still be seen of it ends that.
		assert_int_equal(7, request(f, 0, 7, f->peer));
		assert_false(last_rewrite.steady);
		assert_int_equal(CONNTRACK_PASS, reply(f, 7, f->peer, NULL));
		assert_int_equal(0, recalls);
		conntrack_carry_end(table, place, &(struct conntrack_unseen){0}, 0);
	}
}

static void those_that_nobody_answers_are_not(void **state)
{
	for (unsigned int i = 0; i < 50; i++) {
		assert_int_equal(7, request(&families[0], 0, 7, families[0].peer));
		assert_false(last_rewrite.steady);
	}
}

static void those_whose_identifier_is_another_one_outside_are_not(void **state)
{
	for (unsigned int i = 0; i < RTE_DIM(families); i++) {
		const struct family *f = &families[i];

		ping(f, 0, 7, 1);
		for (unsigned int j = 0; j < 50; j++) {
			assert_int_not_equal(7, ping(f, 1, 7, 1));
			assert_false(last_rewrite.steady);
		}
	}
}

static void a_ping_in_pieces_is_not(void **state)
{
	const struct family *f = &families[0];

	ping(f, 0, 7, 20);
	assert_true(last_rewrite.steady);
	make_echo(&other, (struct test_end){f->pods[0], 7}, (struct test_end){f->peer, 0}, 1000);
	make_fragment(&packet, &other, 1, 0, 512);
	assert_int_equal(CONNTRACK_PASS, send_out(0, &packet));
	assert_false(last_rewrite.steady);
}

static void one_that_goes_on_unseen_is_kept_and_one_that_has_ended_is_asked_back(void **state)
{
	const struct family *f = &families[1];
	const struct conntrack_unseen some = {.packets = {1, 1}, .bytes = {98, 98}};
	struct conntrack_sides sides;

	ping(f, 0, 7, 10);
	const uint32_t place = carry(&sides);
	for (unsigned int i = 0; i < 10; i++) {
		pass_time(test_config.timeouts.icmp - 1);
		conntrack_carry_note(table, place, &some);
	}
	assert_int_equal(0, recalls);
	assert_int_equal(1, connections());
	pass_time(test_config.timeouts.icmp + 2);
	assert_int_equal(1, recalls);
	assert_int_equal(1, connections());
	conntrack_carry_end(table, place, &(struct conntrack_unseen){0}, 0);
	pass_time(2);
	assert_int_equal(0, connections());
}

// Else another pod's replies would go by the rules of the first one's.
static void the_identifier_of_a_pod_that_has_gone_is_nobodys_before_it_is_let_go(void **state)
{
	const struct family *f = &families[0];
	struct conntrack_sides sides;

	ping(f, 0, 7, 10);
	const uint32_t place = carry(&sides);
	conntrack_forget_pod(table, 0);
	pass_time(1);
	assert_int_equal(1, recalls);
	assert_int_not_equal(7, ping(f, 1, 7, 20));
	assert_false(last_rewrite.steady);
	conntrack_carry_end(table, place, &(struct conntrack_unseen){0}, 0);
	assert_int_equal(7, ping(f, 2, 7, 20));
	assert_true(last_rewrite.steady);
}

static void an_error_about_a_ping_that_is_carried_is_translated_and_ends_nothing(void **state)
{
	for (unsigned int i = 0; i < RTE_DIM(families); i++) {
		const struct family *f = &families[i];
		struct conntrack_sides sides;

		ping(f, 0, 7, 10);
		const uint32_t place = carry(&sides);
		make_echo(&other, (struct test_end){f->external, 7}, (struct test_end){f->peer, 0},
			  50);
		make_error(&packet, f->router, f->external, &other, other.size);
		assert_int_equal(CONNTRACK_PASS, send_in(&packet, NULL));
		assert_ends(&packet, (struct test_end){f->router, 0},
			    (struct test_end){f->pods[0], 0});
		assert_int_equal(0, recalls);
		conntrack_carry_end(table, place, &(struct conntrack_unseen){0}, 0);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, table_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_identifier_that_nobody_has_stays),
		TEST(a_port_does_not_stay),
		TEST(who_comes_second_gets_another_one_and_both_their_replies),
		TEST(no_two_endpoints_of_a_pod_share_one),
		TEST(what_is_out_of_the_range_gets_one_in_it),
		TEST(a_pod_gets_no_more_than_its_share),
		TEST(pings_that_are_answered_are_steady_after_some),
		TEST(those_that_nobody_answers_are_not),
		TEST(those_whose_identifier_is_another_one_outside_are_not),
		TEST(a_ping_in_pieces_is_not),
		TEST(one_that_goes_on_unseen_is_kept_and_one_that_has_ended_is_asked_back),
		TEST(the_identifier_of_a_pod_that_has_gone_is_nobodys_before_it_is_let_go),
		TEST(an_error_about_a_ping_that_is_carried_is_translated_and_ends_nothing),
	};

	return cmocka_run_group_tests_name("echo", tests, eal_setup, eal_teardown);
}
