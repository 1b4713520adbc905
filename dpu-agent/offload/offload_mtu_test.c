// SPDX-License-Identifier: BSD-3-Clause
//
// Ends of different MTU in the e-switch: what is too large for where it goes is kept from the rule that would send it there,
// at all times, so that the agent tells its sender; and all that fits goes by the rules.

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_ethdev.h>

#include "offload/connections_private.h"
#include "offload/fixture_test.h"
#include "offload/routes.h"

enum { PLACES = 64, GATE = 7 };

static const struct mac gate_mac = {{2, 0, 0, 0, 2, 0}};

static size_t when(const char *beginning)
{
	size_t found = SIZE_MAX;

	for (size_t i = 0; i < fake_history_count(); i++) {
		if (strncmp(fake_history(i), beginning, strlen(beginning)) != 0)
			continue;
		if (found != SIZE_MAX)
			fail_msg("\"%s\" twice", beginning);
		found = i;
	}
	if (found == SIZE_MAX)
		fail_msg("no \"%s\"", beginning);
	return found;
}

static void add_sized(uint32_t vf, uint32_t mtu)
{
	struct offload_pod pod = fake_pod(vf);

	pod.mtu = mtu;
	add_pod(&pod);
}

// ---- pods -----------------------------------------------------------------------------------------

static void pods_of_one_mtu_have_no_more_rules_than_before(void **state)
{
	begin(4);
	add(0);
	add(1);
	assert_int_equal(fake_rule_count(), SHARED_RULES + 2 * POD_RULES);
	assert_int_equal(fake_rules_with(" len="), 0);
}

static void what_is_too_large_for_a_pod_is_kept_from_it(void **state)
{
	begin(4);
	add(0);
	add_sized(1, 1400);
	assert_int_equal(fake_rule_count(), SHARED_RULES + 2 * POD_RULES + 2);
	assert_string_equal(fake_rule_with("ip.dst=10.88.0.3 len"),
			    "g1 p0 type=0800 ip.dst=10.88.0.3 len=1401-65535 > jump=4");
	// Without the 40 bytes of the header.
	assert_string_equal(fake_rule_with("ip.dst=fd00::3 len"),
			    "g1 p0 type=86dd ip.dst=fd00::3 len=1361-65535 > jump=4");
	assert_int_equal(status_of(1).state, OFFLOAD_FULL);
	assert_int_equal(status_of(1).rules, POD_RULES + 2);
	assert_int_equal(status_of(1).rules_wanted, POD_RULES + 2);
	assert_int_equal(summary().pods_full, 2);
	remove_pod(1);
	assert_int_equal(fake_rules_with(" len="), 0);
}

static void it_is_kept_from_it_before_anything_is_let_in_and_until_nothing_is(void **state)
{
	begin(4);
	add_sized(0, 1400);
	assert_true(when("+ g1 p0 type=0800 ip.dst=10.88.0.2") <
		    when("+ g3 p0 type=0800 ip.dst=10.88.0.2"));
	fake_forget_history();
	remove_pod(0);
	assert_true(when("- g1 p0 type=0800 ip.dst=10.88.0.2") >
		    when("- g3 p0 type=0800 ip.dst=10.88.0.2"));
}

static void a_family_whose_guard_is_refused_has_no_rules(void **state)
{
	begin(4);
	fake.fail_insert = 1;
	add_sized(0, 1400);
	assert_int_equal(status_of(0).state, OFFLOAD_PARTIAL);
	assert_int_equal(fake_rules_with("ip.dst=10.88.0.2") + fake_rules_with("ip.dst=fd00::2"),
			 FAMILY_RULES);
	offload_retry(offload);
	assert_int_equal(status_of(0).state, OFFLOAD_FULL);
}

static void before_somebody_may_send_more_all_others_are_guarded(void **state)
{
	begin(4);
	add(0);
	add_sized(1, 1400);
	fake_forget_history();
	add_sized(2, 9000);
	// Without their rules everything for them is the agent's meanwhile.
	assert_true(when("- g3 p0 type=0800 ip.dst=10.88.0.2") < when("+ g2 p0 port=11 type=0800"));
	assert_true(when("+ g1 p0 type=0800 ip.dst=10.88.0.2 len=1501") <
		    when("+ g3 p0 type=0800 ip.dst=10.88.0.2"));
	assert_int_equal(summary().pods_full, 3);
	// Those that were guarded already stay as they are, and so does the largest.
	assert_int_equal(fake_rules_with("ip.dst=10.88.0.3 len=1401"), 1);
	for (size_t i = 0; i < fake_history_count(); i++)
		assert_null(strstr(fake_history(i), "10.88.0.3"));
	assert_int_equal(fake_rules_with("ip.dst=10.88.0.4 len"), 0);
	// Another one costs its own rules.
	fake.inserts = fake.removals = 0;
	add_sized(3, 9000);
	assert_int_equal(fake.inserts, POD_RULES);
	assert_int_equal(fake.removals, 0);
}

static void all_that_come_at_once_are_guarded_by_the_largest(void **state)
{
	struct offload_pod pods[3] = {fake_pod(0), fake_pod(1), fake_pod(2)};

	begin(4);
	pods[2].mtu = 9000;
	offload_add(offload, pods, 3);
	assert_int_equal(fake_rules_with(" len=1501-"), 2);
	assert_int_equal(fake_rules_with(" len=1461-"), 2);
	assert_int_equal(summary().pods_full, 3);
	// And again when the uplink starts again.
	offload_end(offload);
	fake_stop_uplink();
	begin_prepared();
	assert_int_equal(fake_rules_with(" len=1501-"), 2);
	assert_int_equal(summary().pods_full, 3);
}

// ---- the wire -------------------------------------------------------------------------------------

static void set_wire(uint16_t vlan, uint32_t mtu)
{
	struct offload_wire wire = {
		.ipv4 = true,
		.ipv6 = true,
		.mac = {{2, 0, 0, 0, 1, 0}},
		.vlan = vlan,
		.mtu = mtu,
		.source_count = 2,
		.sources = {{.forward = true}, {.from = {.is_ipv6 = true}, .forward = true}},
	};
	const struct offload_route routes[2] = {
		{.forward = true, .next_hop_mac = gate_mac, .next_hop = GATE},
		{.to = {.is_ipv6 = true},
		 .forward = true,
		 .next_hop_mac = gate_mac,
		 .next_hop = GATE}};

	offload_set_routes(offload, routes, 2);
	offload_set_wire(offload, &wire);
	assert_int_equal(summary().rules_missing, 0);
}

static void what_is_too_large_for_the_wire_is_kept_from_it(void **state)
{
	begin(4);
	add(0);
	set_wire(0, 1400);
	assert_string_equal(fake_rule_with("g8 p0 type=0800"),
			    "g8 p0 type=0800 len=1401-65535 > jump=4");
	assert_string_equal(fake_rule_with("g8 p0 type=86dd"),
			    "g8 p0 type=86dd len=1361-65535 > jump=4");
	assert_true(when("+ g8 p0 type=0800") < when("+ g1 p3 type=0800"));
	assert_int_equal(fake_rules_with("g3 p65 "), 1);
	fake_forget_history();
	set_wire(0, 1500);
	assert_int_equal(fake_rules_with(" len="), 0);
	assert_true(when("- g8 p0 type=0800") > when("- g1 p3 type=0800"));
}

static void without_that_rule_nothing_is_routed_there(void **state)
{
	const struct offload_wire wire = {.ipv4 = true, .mac = {{2, 0, 0, 0, 1, 0}}, .mtu = 1400};

	begin(4);
	add(0);
	fake.capacity = fake_rule_count() + 3; // those about who sends
	offload_set_wire(offload, &wire);
	assert_int_equal(fake_rules_with("g8 "), 0);
	assert_int_equal(fake_rules_with("g1 p3 "), 0);
	fake.capacity = 0;
	offload_retry(offload);
	assert_int_equal(fake_rules_with("g8 p0 type=0800 len=1401-65535"), 1);
	assert_int_equal(fake_rules_with("g1 p3 type=0800"), 1);
}

static void what_comes_from_a_larger_wire_is_kept_from_pods_and_the_host(void **state)
{
	begin(4);
	set_wire(0, 9000);
	add(0);
	add_sized(1, 9000);
	assert_int_equal(fake_rules_with("ip.dst=10.88.0.2 len=1501-65535"), 1);
	assert_int_equal(fake_rules_with("ip.dst=10.88.0.3 len"), 0);
	// By these rules: from there, to the pods.
	assert_int_equal(fake_rules_with("g1 p1 port=0 "), 4);
	assert_int_equal(fake_rules_with("g8 p0 "), 0);
	assert_int_equal(summary().pods_full, 2);
}

static void of_a_wire_on_a_vlan_the_tagged_frames_are_kept_from_pods(void **state)
{
	struct offload_router router = fake_router;

	prepare(4);
	fake_start_uplink();
	router.vlan = 77;
	offload_begin(offload, &router);
	set_wire(77, 9000);
	add(0);
	assert_string_equal(
		fake_rule_with("port=0 type=8100 vlan=77 type=0800 ip.dst=10.88.0.2 len"),
		"g1 p0 port=0 type=8100 vlan=77 type=0800 ip.dst=10.88.0.2 len=1501-65535 > "
		"jump=4");
	assert_int_equal(fake_rules_with("vlan=77 type=86dd ip.dst=fd00::2 len=1461-65535"), 1);
	assert_int_equal(fake_rules_with("g1 p0 type=0800 ip.dst=10.88.0.2 len=1501-65535"), 1);
	assert_int_equal(summary().pods_full, 1);
}

static void before_pods_may_send_more_the_wire_is_guarded(void **state)
{
	begin(4);
	set_wire(0, 1500);
	add(0);
	fake_forget_history();
	add_sized(1, 9000);
	assert_true(when("+ g8 p0 type=0800 len=1501") < when("+ g2 p0 port=10 type=0800"));
	assert_int_equal(summary().rules_missing, 0);
}

// ---- connections ----------------------------------------------------------------------------------

static void start(void)
{
	test_places = PLACES;
	test_connections = 40;
	prepare(4);
	begin_prepared();
	for (uint32_t vf = 0; vf < 3; vf++)
		add(vf);
	fake_forget_history();
}

static struct offload_connection sized(uint32_t from, uint32_t to, uint32_t from_mtu,
				       uint32_t to_mtu, uint16_t port)
{
	struct offload_connection c = call(from, to, false, true, port);

	c.mtus[0] = from_mtu;
	c.mtus[1] = to_mtu;
	return c;
}

static struct offload_connection to_wire(uint32_t from, uint32_t pod_mtu, uint32_t wire_mtu,
					 uint16_t port)
{
	struct offload_connection c = sized(from, 3, pod_mtu, wire_mtu, port);

	c.ends[1].slot = OFFLOAD_WIRE;
	inet_pton(AF_INET, "198.51.100.7", c.ends[0].sent.destination);
	memcpy(c.ends[1].sent.source, c.ends[0].sent.destination, 4);
	c.next_hop = 1;
	return c;
}

static void carry(uint32_t place, const struct offload_connection *c)
{
	assert_int_equal(offload_connection_add(offload, place, c), 0);
	run_connections();
	assert_int_equal(answer_count, 1);
	assert_int_equal(answers[0].kind, OFFLOAD_BEGUN);
}

static void a_half_that_may_carry_too_much_is_behind_a_guard(void **state)
{
	const struct offload_connection c = to_wire(0, 9000, 1500, 4000);

	start();
	carry(0, &c);
	assert_string_equal(fake_rule_with("g5 p1 "),
			    "g5 p1 port=9 type=0800 len=1501-65535 > jump=4");
	assert_int_equal(fake_rules_with("g5 p2 port=9 type=0800 src="), 1);
	assert_int_equal(fake_rules_with("g5 p0 port=0 "), 1); // from there all fits
	assert_true(when("+ g5 p1 ") < when("+ g5 p2 "));
}

static void what_comes_from_the_wire_is_guarded_as_such(void **state)
{
	struct offload_connection c = to_wire(0, 1500, 9000, 4000);

	start();
	c.is_ipv6 = true;
	carry(0, &c);
	assert_string_equal(fake_rule_with("g5 p1 "),
			    "g5 p1 port=0 type=86dd len=1461-65535 > jump=4");
	assert_int_equal(fake_rules_with("g5 p2 port=0 type=86dd"), 1);
	assert_int_equal(fake_rules_with("g5 p0 port=9 type=86dd"), 1);
}

static void from_a_wire_on_a_vlan_by_its_tag(void **state)
{
	const struct offload_connection c = to_wire(0, 1500, 9000, 4000);
	struct offload_router router = fake_router;

	test_places = PLACES;
	test_connections = 40;
	prepare(4);
	fake_start_uplink();
	router.vlan = 42;
	offload_begin(offload, &router);
	add(0);
	carry(0, &c);
	assert_string_equal(fake_rule_with("g5 p1 "),
			    "g5 p1 port=0 type=8100 vlan=42 type=0800 len=1501-65535 > jump=4");
}

static void within_the_node_it_is_the_senders(void **state)
{
	const struct offload_connection c = sized(0, 1, 1500, 9000, 4000);

	start();
	carry(0, &c);
	assert_int_equal(fake_rules_with("g5 p1 port=10 type=0800 len=1501-65535"), 1);
	assert_int_equal(fake_rules_with("g5 p2 port=10 "), 1);
	assert_int_equal(fake_rules_with("g5 p0 port=9 "), 1);
}

static void connections_to_ends_of_the_same_mtu_share_it_until_the_last_has_gone(void **state)
{
	const struct offload_connection first = to_wire(0, 9000, 1500, 4000),
					second = sized(0, 1, 9000, 1500, 4001),
					other = sized(0, 2, 9000, 1400, 4002),
					equal = sized(0, 2, 9000, 9000, 4003);

	start();
	carry(0, &first);
	carry(1, &second);
	carry(2, &other);
	carry(3, &equal);
	assert_int_equal(fake_rules_with("g5 p1 port=9 "), 2);
	assert_int_equal(fake_rules_with("len=1501-"), 1);
	assert_int_equal(fake_rules_with("len=1401-"), 1);
	offload_connection_leave(offload, 0);
	run_until_done();
	assert_int_equal(fake_rules_with("len=1501-"), 1);
	fake_forget_history();
	offload_connection_leave(offload, 1);
	run_until_done();
	assert_int_equal(fake_rules_with("len=1501-"), 0);
	assert_true(when("- g5 p1 ") > when("- g5 p2 port=9 "));
	assert_int_equal(fake_rules_with("len=1401-"), 1);
	// It comes back with the next one.
	carry(0, &first);
	assert_int_equal(fake_rules_with("len=1501-"), 1);
}

static void without_its_guard_a_connection_is_not_carried(void **state)
{
	const struct offload_connection c = to_wire(0, 9000, 1500, 4000);

	start();
	fake.fail_insert = 4; // behind the three of the gate
	assert_int_equal(offload_connection_add(offload, 0, &c), 0);
	run_until_done();
	assert_int_equal(connection_rules(), 0);
	assert_int_equal(answers[answer_count - 1].kind, OFFLOAD_ENDED);
	assert_true(answers[answer_count - 1].refused);
	carry(0, &c);
	assert_int_equal(connection_rules(), 3);
}

static void a_nic_that_cannot_match_lengths_carries_none_of_them(void **state)
{
	const struct offload_connection differs = to_wire(0, 9000, 1500, 4000),
					equal = to_wire(0, 1500, 1500, 4001);

	test_places = PLACES;
	test_connections = 40;
	prepare(4);
	fake.no_lengths = true;
	begin_prepared();
	add(0);
	assert_int_equal(offload_connection_add(offload, 0, &differs), -ENOTSUP);
	carry(1, &equal);
}

static void a_sender_has_guards_for_so_many_mtus_and_no_more(void **state)
{
	start();
	for (uint32_t i = 0; i < MTU_GUARDS; i++) {
		const struct offload_connection c =
			sized(0, 1, 9000, 1500 + 100 * i, (uint16_t)(4000 + i));

		carry(i, &c);
	}
	const struct offload_connection more = sized(0, 1, 9000, 1400, 5000),
					same = sized(0, 1, 9000, 1600, 5001),
					of_another = sized(2, 1, 9000, 1400, 5002);
	assert_int_equal(offload_connection_add(offload, 20, &more), -ENOSPC);
	carry(21, &same);
	carry(22, &of_another);
	offload_connection_leave(offload, 0);
	run_until_done();
	carry(20, &more);
}

static void a_guard_that_the_nic_does_not_let_go_is_tried_again(void **state)
{
	const struct offload_connection c = to_wire(0, 9000, 1500, 4000);

	start();
	carry(0, &c);
	offload_connection_leave(offload, 0);
	// Its rules go, and then nothing more.
	offload_connections_run(offload, ROUND_US, ANSWERS_MAX, take_answer, NULL);
	assert_int_equal(fake_rules_with("g5 p2 "), 0);
	fake.fail_removals = true;
	assert_int_equal(run_connections(), 5);
	assert_int_equal(fake_rules_with("g5 p1 "), 1);
	fake.fail_removals = false;
	run_until_done();
	assert_int_equal(fake_rules_with("g5 p1 "), 0);
}

// What is in the NIC is of no use then, and what leaves meanwhile must not carry too much.
static void after_a_reset_the_guard_is_made_again_before_the_gate(void **state)
{
	const struct offload_connection c = to_wire(0, 9000, 1500, 4000);

	start();
	carry(0, &c);
	fake_forget_history();
	fake_event(FAKE_FIRST_FUNCTION, RTE_ETH_EVENT_INTR_RESET);
	offload_retry(offload);
	assert_true(when("- g5 p1 port=9 ") < when("+ g5 p1 port=9 "));
	assert_true(when("+ g5 p1 port=9 ") < when("+ g1 p2 port=9 type=0800"));
	run_until_done();
	assert_int_equal(connection_rules(), 0);
	carry(0, &c);
	fake_forget_history();
	fake_event(FAKE_UPLINK, RTE_ETH_EVENT_INTR_RESET);
	offload_retry(offload);
	assert_true(when("- g5 p1 port=9 ") < when("+ g5 p1 port=9 "));
	run_until_done();
	assert_int_equal(connection_rules(), 0);
}

static void a_stop_of_the_uplink_leaves_no_guard_behind(void **state)
{
	const struct offload_connection c = to_wire(0, 9000, 1500, 4000),
					back = to_wire(1, 1500, 9000, 4001);

	start();
	carry(0, &c);
	carry(1, &back);
	offload_end(offload);
	assert_int_equal(fake_rule_count(), 0);
	fake_stop_uplink();
	begin_prepared();
	run_until_done();
	assert_int_equal(fake_rules_with("g5 p1 "), 0);
	carry(2, &c);
	assert_int_equal(fake_rules_with("g5 p1 "), 1);
}

static void people_are_told_what_it_keeps_away(void **state)
{
	const struct offload_connection c = to_wire(0, 9000, 1500, 4000);
	struct offload_rule rule = {0};
	bool found = false;

	start();
	carry(0, &c);
	while (!found && offload_next_rule(offload, rule.id, &rule))
		found = strcmp(rule.match, "from pf0vf0 ipv4 of more than 1500 bytes") == 0;
	assert_true(found);
	assert_string_equal(rule.actions, "slow path");
	assert_int_equal(rule.slot, FAKE_FIRST_SLOT);
	assert_int_equal(rule.priority, 1);
}

// clang-format off
#define TESTS                                                                                      \
	{                                                                                          \
		TEST(pods_of_one_mtu_have_no_more_rules_than_before),                              \
		TEST(what_is_too_large_for_a_pod_is_kept_from_it),                                 \
		TEST(it_is_kept_from_it_before_anything_is_let_in_and_until_nothing_is),           \
		TEST(a_family_whose_guard_is_refused_has_no_rules),                                \
		TEST(before_somebody_may_send_more_all_others_are_guarded),                        \
		TEST(all_that_come_at_once_are_guarded_by_the_largest),                            \
		TEST(what_is_too_large_for_the_wire_is_kept_from_it),                              \
		TEST(without_that_rule_nothing_is_routed_there),                                   \
		TEST(what_comes_from_a_larger_wire_is_kept_from_pods_and_the_host),                \
		TEST(of_a_wire_on_a_vlan_the_tagged_frames_are_kept_from_pods),                    \
		TEST(before_pods_may_send_more_the_wire_is_guarded),                               \
		TEST(a_half_that_may_carry_too_much_is_behind_a_guard),                            \
		TEST(what_comes_from_the_wire_is_guarded_as_such),                                 \
		TEST(from_a_wire_on_a_vlan_by_its_tag),                                            \
		TEST(within_the_node_it_is_the_senders),                                           \
		TEST(connections_to_ends_of_the_same_mtu_share_it_until_the_last_has_gone),        \
		TEST(without_its_guard_a_connection_is_not_carried),                               \
		TEST(a_nic_that_cannot_match_lengths_carries_none_of_them),                        \
		TEST(a_sender_has_guards_for_so_many_mtus_and_no_more),                            \
		TEST(a_guard_that_the_nic_does_not_let_go_is_tried_again),                         \
		TEST(after_a_reset_the_guard_is_made_again_before_the_gate),                       \
		TEST(a_stop_of_the_uplink_leaves_no_guard_behind),                                 \
		TEST(people_are_told_what_it_keeps_away),                                          \
	}
// clang-format on

int main(void)
{
	const struct CMUnitTest synchronous[] = TESTS, asynchronous[] = TESTS;
	int failed = cmocka_run_group_tests(synchronous, use_synchronous, NULL);

	return failed + cmocka_run_group_tests(asynchronous, use_asynchronous, NULL);
}
