// SPDX-License-Identifier: BSD-3-Clause
//
// Ends of different MTU in the e-switch: no rule that sends a packet where it is too large matches it, at no time, so that the
// agent tells its sender; and all that fits goes by the rules.

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "offload/fixture_test.h"
#include "offload/routes.h"

enum { PLACES = 64, GATE = 7 };

static const struct mac gate_mac = {{2, 0, 0, 0, 2, 0}};

static void add_sized(uint32_t vf, uint32_t mtu)
{
	struct offload_pod pod = fake_pod(vf);

	pod.mtu = mtu;
	add_pod(&pod);
}

// ---- pods -----------------------------------------------------------------------------------------

static void among_pods_of_one_mtu_no_rule_looks_at_lengths(void **state)
{
	begin(4);
	add(0);
	add(1);
	assert_int_equal(fake_rule_count(), SHARED_RULES + 2 * POD_RULES);
	assert_int_equal(fake_rules_with(" len="), 0);
}

static void what_leads_to_a_pod_leads_what_fits(void **state)
{
	begin(4);
	add(0);
	add_sized(1, 1400);
	assert_int_equal(fake_rule_count(), SHARED_RULES + 2 * POD_RULES);
	assert_string_equal(fake_rule_with("g1 p1 type=0800 dst=02:00:00:00:00:01 untagged ihl=45 "
					   "ip.dst=10.88.0.3"),
			    "g1 p1 type=0800 dst=02:00:00:00:00:01 untagged ihl=45 "
			    "ip.dst=10.88.0.3 len=0-1400 l3_ok > jump=2");
	// Without the 40 bytes of the header.
	assert_string_equal(
		fake_rule_with("g1 p1 type=86dd dst=02:00:00:00:00:01 untagged ip.dst=fd00::3"),
		"g1 p1 type=86dd dst=02:00:00:00:00:01 untagged ip.dst=fd00::3 len=0-1360 l3_ok "
		"> jump=2");
	assert_int_equal(fake_rules_with(" len="), 2);
	expect_full(1);
	assert_int_equal(summary().pods_full, 2);
}

static void before_somebody_may_send_more_nothing_leads_more_to_others(void **state)
{
	begin(4);
	add(0);
	add_sized(1, 1400);
	fake_forget_history();
	add_sized(2, 9000);
	// Without its rule everything for it is the agent's meanwhile.
	assert_true(
		step("- g1 p1 type=0800 dst=02:00:00:00:00:01 untagged ihl=45 ip.dst=10.88.0.2") <
		step("+ g2 p0 port=11 type=0800"));
	assert_int_equal(fake_rules_with("ip.dst=10.88.0.2 len=0-1500"), 1);
	assert_int_equal(summary().pods_full, 3);
	// One that is smaller than the largest already stays as it is, and so does the largest.
	assert_int_equal(fake_rules_with("ip.dst=10.88.0.3 len=0-1400"), 1);
	for (size_t i = 0; i < fake_history_count(); i++)
		assert_null(strstr(fake_history(i), "10.88.0.3"));
	assert_int_equal(fake_rules_with("ip.dst=10.88.0.4 len"), 0);
	// Another one costs its own rules.
	fake.inserts = fake.removals = 0;
	add_sized(3, 9000);
	assert_int_equal(fake.inserts, POD_RULES);
	assert_int_equal(fake.removals, 0);
}

static void of_those_that_come_at_once_the_largest_counts(void **state)
{
	struct offload_pod pods[3] = {fake_pod(0), fake_pod(1), fake_pod(2)};

	begin(4);
	pods[2].mtu = 9000;
	offload_add(offload, pods, 3);
	assert_int_equal(fake_rules_with(" len=0-1500"), 2);
	assert_int_equal(fake_rules_with(" len=0-1460"), 2);
	assert_int_equal(summary().pods_full, 3);
	// And again when the uplink starts again.
	offload_end(offload);
	fake_stop_uplink();
	begin_prepared();
	assert_int_equal(fake_rules_with(" len=0-1500"), 2);
	assert_int_equal(summary().pods_full, 3);
}

static void when_there_is_no_time_for_all_the_others_have_no_rules_for_now(void **state)
{
	begin(4);
	add(0);
	add(1);
	fake.remove_ms = fake.insert_ms = 150;
	add_sized(2, 9000);
	fake.remove_ms = fake.insert_ms = 0;
	// What is in is right, whatever it is.
	assert_int_equal(fake_rules_with("ip.dst=10.88.0.2 l3_ok"), 0);
	assert_int_equal(fake_rules_with("ip.dst=10.88.0.3 l3_ok"), 0);
	offload_retry(offload);
	assert_int_equal(fake_rules_with(" len=0-1500"), 2);
	assert_int_equal(summary().pods_full, 3);
}

static void while_the_nic_keeps_what_leads_more_to_others_nobody_sends_more_by_rules(void **state)
{
	begin(4);
	add(0);
	fake.fail_removals = true;
	add_sized(1, 9000);
	assert_int_equal(fake_rules_with("ip.dst=10.88.0.2 l3_ok"), 1);
	expect_none(1, "the NIC does not remove a rule that leads to a smaller MTU");
	add(2); // who can send no more than before
	assert_int_equal(fake_rules_with("g2 p0 port=11 "), 2);
	offload_retry(offload);
	assert_int_equal(fake_rules_with("g2 p0 port=10 "), 0);
	// Nor when the smaller one has left, whose address another one may have then.
	remove_pod(0);
	offload_retry(offload);
	assert_int_equal(fake_rules_with("g2 p0 port=10 "), 0);
	fake.fail_removals = false;
	offload_retry(offload);
	expect_full(1);
	assert_int_equal(fake_rules_with("ip.dst=10.88.0.2"), 0);
	assert_int_equal(fake_rules_with(" len="), 2);
	assert_int_equal(summary().rules_missing, 0);
}

static void a_nic_with_room_for_few_different_mtus_says_so(void **state)
{
	begin(20);
	for (uint32_t vf = 0; vf < 18; vf++)
		add_sized(vf, 1280 + vf);
	if (is_asynchronous()) { // a table each
		assert_int_equal(summary().pods_full, 16);
		assert_string_equal(summary().missing_reason,
				    "the NIC has no room for rules for another MTU");
	} else {
		assert_int_equal(summary().pods_full, 18);
	}
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

static void to_the_wire_goes_what_fits(void **state)
{
	test_places = PLACES;
	test_connections = 40;
	begin(4);
	add(0);
	set_wire(0, 1400);
	assert_string_equal(fake_rule_with("g1 p4 type=0800"),
			    "g1 p4 type=0800 dst=02:00:00:00:00:01 untagged ihl=45 len=0-1400 "
			    "l3_ok > jump=8");
	assert_int_equal(fake_rules_with("g1 p4 type=86dd dst=02:00:00:00:00:01 untagged "
					 "len=0-1360 l3_ok > jump=8"),
			 1);
	assert_string_equal(fake_rule_with("g5 p2 type=0800"),
			    "g5 p2 type=0800 dst=02:00:00:00:00:01 len=0-1400 > jump=8");
	assert_int_equal(fake_rules_with("g5 p2 type=86dd dst=02:00:00:00:00:01 len=0-1360"), 1);
	assert_int_equal(fake_rules_with("g3 p65 "), 1);
	set_wire(0, 1500);
	assert_int_equal(fake_rules_with(" len="), 0);
	assert_int_equal(fake_rules_with("g1 p4 "), 2);
}

static void from_a_larger_wire_pods_get_what_fits(void **state)
{
	begin(4);
	set_wire(0, 9000);
	add(0);
	add_sized(1, 9000);
	// From the wire, and from whoever else there is.
	assert_int_equal(fake_rules_with("ip.dst=10.88.0.2 len=0-1500"), 2);
	assert_int_equal(fake_rules_with("g1 p1 port=0 type=0800 dst=02:00:00:00:01:00 untagged "
					 "ihl=45 ip.dst=10.88.0.2 len=0-1500"),
			 1);
	assert_int_equal(fake_rules_with("ip.dst=10.88.0.3 len"), 0);
	assert_int_equal(fake_rules_with("g1 p1 port=0 "), 4);
	assert_int_equal(fake_rules_with("g8 p0 "), 0);
	assert_int_equal(summary().pods_full, 2);
}

static void on_a_vlan_of_tagged_frames(void **state)
{
	struct offload_router router = fake_router;

	prepare(4);
	fake_start_uplink();
	router.vlan = 77;
	offload_begin(offload, &router);
	set_wire(77, 9000);
	add(0);
	assert_int_equal(fake_rules_with("vlan=77 type=0800 ihl=45 ip.dst=10.88.0.2 len=0-1500"),
			 1);
	assert_int_equal(fake_rules_with("vlan=77 type=86dd ip.dst=fd00::2 len=0-1460"), 1);
	assert_int_equal(fake_rules_with("untagged ihl=45 ip.dst=10.88.0.2 len=0-1500"), 1);
	assert_int_equal(summary().pods_full, 1);
}

static void before_pods_may_send_more_nothing_leads_more_to_the_wire(void **state)
{
	begin(4);
	set_wire(0, 1500);
	add(0);
	fake_forget_history();
	add_sized(1, 9000);
	assert_true(step("- g1 p4 type=0800") < step("+ g2 p0 port=10 type=0800"));
	assert_int_equal(fake_rules_with("g1 p4 type=0800 dst=02:00:00:00:00:01 untagged ihl=45 "
					 "len=0-1500"),
			 1);
	assert_int_equal(summary().rules_missing, 0);
}

static void nor_while_the_nic_keeps_what_leads_more_to_the_wire(void **state)
{
	begin(4);
	set_wire(0, 1500);
	fake.fail_removals = true;
	add_sized(1, 9000);
	assert_int_equal(
		fake_rules_with("g1 p4 type=0800 dst=02:00:00:00:00:01 untagged ihl=45 l3_ok"), 1);
	assert_int_equal(status_of(1).rules, 0);
	assert_string_equal(status_of(1).reason,
			    "the NIC does not remove a rule that leads to a smaller MTU");
	fake.fail_removals = false;
	offload_retry(offload); // the routes' come after the pods'
	offload_retry(offload);
	assert_int_equal(status_of(1).state, OFFLOAD_FULL);
	assert_int_equal(fake_rules_with("g1 p4 type=0800 dst=02:00:00:00:00:01 untagged ihl=45 "
					 "len=0-1500"),
			 1);
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
	struct offload_connection c = call_to_wire(from, port);

	c.mtus[0] = pod_mtu;
	c.mtus[1] = wire_mtu;
	return c;
}

static void carry(uint32_t place, const struct offload_connection *c)
{
	assert_int_equal(offload_connection_add(offload, place, c), 0);
	run_connections();
	assert_int_equal(answer_count, 1);
	assert_int_equal(answers[0].kind, OFFLOAD_BEGUN);
}

static void of_a_connection_the_half_that_may_carry_too_much_carries_what_fits(void **state)
{
	const struct offload_connection c = to_wire(0, 9000, 1500, 4000);

	start();
	carry(0, &c);
	assert_string_equal(
		fake_rule_with("g5 p0 port=9 "),
		"g5 p0 port=9 type=0800 src=02:00:00:01:00:00 dst=02:00:00:00:00:01 untagged "
		"frag=0000/3fff proto=6 ip.src=10.88.0.2 ip.dst=198.51.100.7 len=0-1500 "
		"tcp=4000-8080 flags=10/17 > count set.ip.src=203.0.113.10 set.ip.dst=198.51.100.7 "
		"set.port.src=50000 set.port.dst=80 set.src=00:00:00:00:00:00 "
		"set.dst=02:00:00:01:00:03 dec_ttl to=0");
	assert_int_equal(fake_rules_with(" len="), 1); // from there all fits
}

static void what_comes_from_the_wire_as_well(void **state)
{
	struct offload_connection c = to_wire(0, 1500, 9000, 4000);

	start();
	c.is_ipv6 = true;
	carry(0, &c);
	assert_int_equal(fake_rules_with("g5 p0 port=0 type=86dd"), 1);
	assert_non_null(strstr(fake_rule_with("g5 p0 port=0 "), " len=0-1460 "));
	assert_int_equal(fake_rules_with(" len="), 1);
}

static void and_within_the_node(void **state)
{
	const struct offload_connection c = sized(0, 1, 1500, 9000, 4000),
					other = sized(0, 2, 1500, 1400, 4001),
					equal = sized(0, 2, 1500, 1500, 4002);

	start();
	carry(0, &c);
	carry(1, &other);
	carry(2, &equal);
	assert_non_null(strstr(fake_rule_with("g5 p0 port=10 "), " len=0-1500 "));
	assert_non_null(strstr(fake_rule_with("tcp=4001-8080"), " len=0-1400 "));
	assert_int_equal(fake_rules_with(" len="), 2);
	assert_int_equal(connection_rules(), 6);
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

static void people_are_told_what_fits(void **state)
{
	struct offload_rule rule = {0};
	bool found = false;

	begin(4);
	add_sized(0, 1400);
	while (!found && offload_next_rule(offload, rule.id, &rule))
		found = strcmp(rule.match,
			       "eth dst 02:00:00:00:00:01 untagged ipv4 of at most "
			       "1400 bytes ipv4 dst 10.88.0.2 without options intact") == 0;
	assert_true(found);
	assert_string_equal(rule.actions, "jump 2");
}

// clang-format off
#define TESTS                                                                                      \
	{                                                                                          \
		TEST(among_pods_of_one_mtu_no_rule_looks_at_lengths),                              \
		TEST(what_leads_to_a_pod_leads_what_fits),                                         \
		TEST(before_somebody_may_send_more_nothing_leads_more_to_others),                  \
		TEST(of_those_that_come_at_once_the_largest_counts),                               \
		TEST(when_there_is_no_time_for_all_the_others_have_no_rules_for_now),              \
		TEST(while_the_nic_keeps_what_leads_more_to_others_nobody_sends_more_by_rules),    \
		TEST(a_nic_with_room_for_few_different_mtus_says_so),                              \
		TEST(to_the_wire_goes_what_fits),                                                  \
		TEST(from_a_larger_wire_pods_get_what_fits),                                       \
		TEST(on_a_vlan_of_tagged_frames),                                                  \
		TEST(before_pods_may_send_more_nothing_leads_more_to_the_wire),                    \
		TEST(nor_while_the_nic_keeps_what_leads_more_to_the_wire),                         \
		TEST(of_a_connection_the_half_that_may_carry_too_much_carries_what_fits),          \
		TEST(what_comes_from_the_wire_as_well),                                            \
		TEST(and_within_the_node),                                                         \
		TEST(a_nic_that_cannot_match_lengths_carries_none_of_them),                        \
		TEST(people_are_told_what_fits),                                                   \
	}
// clang-format on

int main(void)
{
	const struct CMUnitTest synchronous[] = TESTS, asynchronous[] = TESTS;
	int failed = cmocka_run_group_tests(synchronous, use_synchronous, NULL);

	return failed + cmocka_run_group_tests(asynchronous, use_asynchronous, NULL);
}
