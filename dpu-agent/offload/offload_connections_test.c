// SPDX-License-Identifier: BSD-3-Clause
//
// Connections in the e-switch: what their rules say, that both halves are in or none, what is told of them, and that work on
// them is done in small portions.

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_ethdev.h>

#include "offload/fixture_test.h"
#include "port/port_dpdk.h"

enum { PLACES = 4096, HOP = 7 };

static void start(uint32_t most)
{
	test_places = PLACES;
	test_connections = most;
	begin(4);
	add(0);
	add(1);
	fake_forget_history();
}

static struct offload_connection connection(uint32_t vf, bool is_ipv6, bool is_tcp, uint16_t port)
{
	struct offload_connection c = {
		.ends = {{.sent = {.source_port_be = htons(port),
				   .destination_port_be = htons(443)}},
			 {.sent = {.source_port_be = htons(443),
				   .destination_port_be = htons((uint16_t)(46000 + port))}}},
		.is_ipv6 = is_ipv6,
		.protocol = is_tcp ? IPPROTO_TCP : IPPROTO_UDP,
	};

	set_masqueraded(&c, vf, HOP);
	return c;
}

static void add_connection(uint32_t place, uint32_t vf)
{
	const struct offload_connection c = connection(vf, false, true, (uint16_t)(place + 1));

	assert_int_equal(offload_connection_add(offload, place, &c), 0);
}

// ---- rules --------------------------------------------------------------------------------------

static void the_rules_do_what_masquerade_would_have_done(void **state)
{
	const struct offload_connection tcp = connection(0, false, true, 4000);
	const struct offload_connection udp = connection(1, true, false, 4001);

	start(100);
	assert_int_equal(offload_connection_add(offload, 0, &tcp), 0);
	assert_int_equal(offload_connection_add(offload, 1, &udp), 0);
	run_connections();
	assert_int_equal(connection_rules(), 4);
	// Whole packets with an ACK and none of SYN, FIN, RST; from the pod by its own MAC address.
	assert_string_equal(
		fake_rule_with("g5 p0 port=9 "),
		"g5 p0 port=9 type=0800 src=02:00:00:01:00:00 dst=02:00:00:00:00:01 untagged "
		"frag=0000/3fff proto=6 ip.src=10.88.0.2 ip.dst=198.51.100.7 tcp=4000-443 "
		"flags=10/17 > count set.ip.src=203.0.113.10 set.ip.dst=198.51.100.7 "
		"set.port.src=50000 set.port.dst=443 set.src=02:00:00:00:01:00 "
		"set.dst=02:00:00:00:02:00 dec_ttl to=0");
	// Answers may come by way of another router.
	assert_string_equal(
		fake_rule_with("tcp=443-50000"),
		"g5 p0 port=0 type=0800 dst=02:00:00:00:01:00 untagged frag=0000/3fff proto=6 "
		"ip.src=198.51.100.7 ip.dst=203.0.113.10 tcp=443-50000 flags=10/17 > count "
		"set.ip.src=198.51.100.7 set.ip.dst=10.88.0.2 set.port.src=443 set.port.dst=4000 "
		"set.src=02:00:00:00:00:01 set.dst=0e:70:6f:64:00:02 dec_ttl jump=6");
	assert_string_equal(
		fake_rule_with("udp=443-50001"),
		"g5 p0 port=0 type=86dd dst=02:00:00:00:01:00 untagged proto=17 whole "
		"ip.src=2001:db8::7 ip.dst=2001:db8::10 udp=443-50001 > count "
		"set.ip.src=2001:db8::7 set.ip.dst=fd00::3 set.port.src=443 set.port.dst=4001 "
		"set.src=02:00:00:00:00:01 set.dst=0e:70:6f:64:00:03 dec_ttl jump=6");
	// What leads there, from the wire and from these two pods alone; and on to the pods.
	assert_int_equal(fake_rules_with("jump=5"), 2 + 4);
	assert_int_equal(fake_rules_with("g1 p2 port=0 "), 2);
	assert_string_equal(fake_rule_with("g1 p2 port=9 type=0800"),
			    "g1 p2 port=9 type=0800 src=02:00:00:01:00:00 dst=02:00:00:00:00:01 "
			    "untagged ihl=45 l3_ok > jump=5");
	assert_string_equal(fake_rule_with("g6 p0 dst=0e:70:6f:64:00:02"),
			    "g6 p0 dst=0e:70:6f:64:00:02 > count set.src=02:00:00:00:00:01 "
			    "set.dst=02:00:00:01:00:00 to=9");
}

static void a_nic_that_only_modifies_fields_is_told_so(void **state)
{
	const struct offload_connection c = connection(0, true, false, 4000);

	test_places = PLACES;
	test_connections = 10;
	prepare(4);
	fake.no_action[RTE_FLOW_ACTION_TYPE_SET_TP_SRC] = true;
	begin_prepared();
	add(0);
	assert_true(offload_connections_usable(offload, NULL));
	assert_int_equal(offload_connection_add(offload, 0, &c), 0);
	run_connections();
	assert_int_equal(connection_rules(), 2);
	assert_int_equal(fake_rules_with("set.port"), 0);
	assert_int_equal(fake_rules_with("/128=fd000000"), 1);
}

static void begin_on_vlan(void)
{
	struct offload_router router = fake_router;

	test_places = PLACES;
	test_connections = 100;
	prepare(4);
	fake_start_uplink();
	router.vlan = 42;
	offload_begin(offload, &router);
	add(0);
	expect_full(0);
}

static void on_a_vlan_the_tag_comes_off_and_on(void **state)
{
	const struct offload_connection tcp = connection(0, false, true, 4000);
	const struct offload_connection udp = connection(0, true, false, 4001);

	begin_on_vlan();
	assert_true(offload_connections_usable(offload, NULL));
	assert_int_equal(offload_connection_add(offload, 0, &tcp), 0);
	assert_int_equal(offload_connection_add(offload, 1, &udp), 0);
	run_connections();
	assert_int_equal(connection_rules(), 4);
	assert_string_equal(
		fake_rule_with("tcp=4000-443"),
		"g5 p0 port=9 type=0800 src=02:00:00:01:00:00 dst=02:00:00:00:00:01 untagged "
		"frag=0000/3fff proto=6 ip.src=10.88.0.2 ip.dst=198.51.100.7 tcp=4000-443 "
		"flags=10/17 > count push=8100 vid=42 pcp=0 set.ip.src=203.0.113.10 "
		"set.ip.dst=198.51.100.7 set.port.src=50000 set.port.dst=443 "
		"set.src=02:00:00:00:01:00 set.dst=02:00:00:00:02:00 dec_ttl to=0");
	assert_string_equal(
		fake_rule_with("udp=443-50001"),
		"g5 p0 port=0 type=8100 dst=02:00:00:00:01:00 vlan=42 type=86dd proto=17 whole "
		"ip.src=2001:db8::7 ip.dst=2001:db8::10 udp=443-50001 > pop count "
		"set.ip.src=2001:db8::7 set.ip.dst=fd00::2 set.port.src=443 set.port.dst=4001 "
		"set.src=02:00:00:00:00:01 set.dst=0e:70:6f:64:00:02 dec_ttl jump=6");
	// No other tag leads there, nor none; and what expires is the agent's with this tag, too.
	assert_int_equal(fake_rules_with("g1 p2 port=0 type=8100 vlan=42 type="), 2);
	assert_int_equal(fake_rules_with("g1 p2 port=0 "), 2);
	assert_int_equal(fake_rules_with("g1 p0 port=0 type=8100 vlan=42 type=0800 ttl="), 2);
	assert_int_equal(fake_rules_with("g1 p0 port=0 type=8100 vlan=42 type=86dd ttl="), 2);
	// The port counts tags.
	fake_hit("udp=443-50001", 3, 300);
	fake_wait(1000);
	run_connections();
	struct offload_pod_status wire;
	offload_read_pod(offload, port_slot(nic_port(fake_handle(), PORT_UPLINK, 0)), &wire);
	assert_int_equal(wire.rx_bytes, 312);
	assert_int_equal(answers[0].bytes[1], 300);
}

static void another_vlan_begins_anew(void **state)
{
	const struct offload_connection c = connection(0, false, true, 4000);
	struct offload_router router = fake_router;

	begin_on_vlan();
	assert_int_equal(offload_connection_add(offload, 0, &c), 0);
	run_connections();
	for (router.vlan = 0; router.vlan <= 7; router.vlan += 7) {
		offload_end(offload);
		assert_int_equal(fake_rule_count(), 0);
		offload_begin(offload, &router);
		run_connections();
		assert_int_equal(answers[0].kind, OFFLOAD_ENDED);
		add(0);
		assert_int_equal(offload_connection_add(offload, 0, &c), 0);
		run_connections();
		assert_int_equal(connection_rules(), 2);
		assert_int_equal(fake_rules_with("vlan=42"), 0);
		assert_int_equal(fake_rules_with("push=8100 vid=7"), router.vlan == 7);
	}
}

static void a_nic_that_knows_no_tags_carries_none_on_a_vlan_and_says_so(void **state)
{
	static const uint32_t actions[] = {RTE_FLOW_ACTION_TYPE_OF_PUSH_VLAN,
					   RTE_FLOW_ACTION_TYPE_OF_SET_VLAN_VID,
					   RTE_FLOW_ACTION_TYPE_OF_POP_VLAN};
	struct offload_router router = fake_router;
	char why[LIMIT_TEXT + 1];

	for (unsigned int i = 0; i <= 3; i++) {
		test_places = PLACES;
		test_connections = 100;
		prepare(4);
		if (i < 3)
			fake.no_action[actions[i]] = true;
		else
			fake.no_item[RTE_FLOW_ITEM_TYPE_VLAN] = true;
		fake_start_uplink();
		router.vlan = 42;
		offload_begin(offload, &router);
		add(0);
		expect_full(0);
		assert_false(offload_connections_usable(offload, why));
		assert_string_not_equal(why, "");
		// Without a VLAN it does not matter.
		offload_end(offload);
		router.vlan = 0;
		offload_begin(offload, &router);
		assert_true(offload_connections_usable(offload, why));
		end(state);
	}
}

static void a_nic_that_cannot_forwards_between_pods_all_the_same(void **state)
{
	char why[LIMIT_TEXT + 1];

	test_places = PLACES;
	test_connections = 10;
	prepare(4);
	fake.no_item[RTE_FLOW_ITEM_TYPE_TCP] = true;
	begin_prepared();
	add(0);
	expect_full(0);
	assert_false(offload_connections_usable(offload, why));
	assert_string_not_equal(why, "");
	assert_int_equal(fake_rules_with("jump=5"), 0);
}

static void none_are_wanted_unless_asked_for(void **state)
{
	char why[LIMIT_TEXT + 1];
	struct offload_connections_summary told;

	begin(4);
	assert_int_equal(fake_rules_with("jump=5"), 0);
	assert_false(offload_connections_usable(offload, why));
	offload_connections_summary(offload, &told);
	assert_int_equal(told.most, 0);
	assert_int_equal(run_connections(), -1);
	offload_connections_leave_all(offload);
}

// ---- both halves or none ------------------------------------------------------------------------

static void a_connection_whose_half_is_refused_is_not_carried(void **state)
{
	struct offload_connections_summary told;

	for (unsigned int half = 1; half <= 2; half++) {
		start(100);
		add_connection(4, 0); // what the pod's connections need besides is in
		run_connections();
		add_connection(5, 0);
		fake.fail_insert = half;
		fake.fail_late = is_asynchronous() && half == 2;
		run_connections();
		run_connections();
		assert_int_equal(connection_rules(), 2);
		assert_int_equal(answers[0].kind, OFFLOAD_ENDED);
		assert_int_equal(answers[0].place, 5);
		assert_true(answers[0].refused);
		offload_connections_summary(offload, &told);
		assert_int_equal(told.carried, 1);
		assert_int_equal(told.refused_nic, 1);
		end(state);
	}
}

static void there_are_never_more_than_there_may_be(void **state)
{
	const struct offload_connection c = connection(0, false, false, 9);
	struct offload_connections_summary told;

	start(3);
	for (uint32_t place = 0; place < 3; place++)
		add_connection(place, 0);
	assert_int_equal(offload_connection_add(offload, 9, &c), -ENOSPC);
	run_connections();
	assert_int_equal(offload_connection_add(offload, 9, &c), -ENOSPC);
	// Those that leave count until they are gone.
	offload_connection_leave(offload, 1);
	assert_int_equal(offload_connection_add(offload, 9, &c), -ENOSPC);
	run_connections();
	assert_int_equal(offload_connection_add(offload, 9, &c), 0);
	run_connections();
	assert_int_equal(connection_rules(), 6);
	offload_connections_summary(offload, &told);
	assert_int_equal(told.carried, 3);
	assert_int_equal(told.refused_full, 3);
}

// The table may be larger than what was made room for at the start.
static void who_has_no_place_stays_in_software(void **state)
{
	const struct offload_connection c = connection(0, false, false, 9);
	struct offload_connections_summary told;

	start(3);
	assert_int_equal(offload_connection_add(offload, PLACES, &c), -ENOSPC);
	offload_connection_leave(offload, PLACES);
	run_connections();
	offload_connections_summary(offload, &told);
	assert_int_equal(told.refused_full, 1);
	assert_int_equal(told.carried + connection_rules(), 0);
}

static void one_that_leaves_before_it_was_in_is_told_as_any_other(void **state)
{
	start(10);
	add_connection(3, 0);
	offload_connection_leave(offload, 3);
	run_connections();
	assert_int_equal(answer_count, 1);
	assert_int_equal(answers[0].kind, OFFLOAD_ENDED);
	assert_false(answers[0].refused);
	assert_int_equal(connection_rules(), 0);
	// The place is free.
	offload_connection_leave(offload, 3);
	add_connection(3, 1);
	run_connections();
	assert_int_equal(answers[0].kind, OFFLOAD_BEGUN);
}

static void a_rule_that_the_nic_does_not_let_go_keeps_its_place(void **state)
{
	start(10);
	add_connection(3, 0);
	run_connections();
	offload_connection_leave(offload, 3);
	fake.fail_removals = true;
	run_connections();
	assert_int_equal(answer_count, 0);
	fake.fail_removals = false;
	run_connections();
	assert_int_equal(answer_count, 1);
	assert_int_equal(connection_rules(), 0);
}

// ---- what is told -------------------------------------------------------------------------------

static void packets_are_told_once_and_counted_for_the_ports(void **state)
{
	start(10);
	add_connection(3, 0);
	run_connections();
	assert_int_equal(answers[0].kind, OFFLOAD_BEGUN);
	fake_hit("tcp=4-443", 5, 500);
	fake_hit("tcp=443-46004", 7, 7000);
	fake_hit("g6 ", 6, 6000); // one met the pod's limit
	fake_wait(1000);
	run_connections();
	assert_int_equal(answers[0].kind, OFFLOAD_NOTED);
	assert_int_equal(answers[0].packets[0], 5);
	assert_int_equal(answers[0].bytes[1], 7000);
	fake_wait(1000);
	run_connections();
	assert_int_equal(answer_count, 0);
	assert_int_equal(status_of(0).rx_packets, 5);
	assert_int_equal(status_of(0).tx_bytes, 6000);
	struct offload_pod_status wire;
	offload_read_pod(offload, port_slot(nic_port(fake_handle(), PORT_UPLINK, 0)), &wire);
	assert_int_equal(wire.tx_packets, 5);
	assert_int_equal(wire.rx_packets, 7);
	// The last ones are told with the end.
	fake_hit("tcp=4-443", 2, 200);
	offload_connection_leave(offload, 3);
	run_connections();
	assert_int_equal(answers[0].kind, OFFLOAD_ENDED);
	assert_int_equal(answers[0].packets[0], 2);
	assert_int_equal(status_of(0).rx_packets, 7);
}

static void who_has_no_room_for_answers_gets_them_later(void **state)
{
	start(100);
	for (uint32_t place = 0; place < 10; place++)
		add_connection(place, 0);
	answer_count = 0;
	assert_true(offload_connections_run(offload, ROUND_US, 4, take_answer, NULL) >= 0);
	assert_int_equal(answer_count, 4);
	assert_int_equal(connection_rules(), 8);
	run_connections();
	assert_int_equal(answer_count, 6);
	offload_connections_leave_all(offload);
	answer_count = 0;
	offload_connections_run(offload, INT64_MAX / 2, 0, take_answer, NULL);
	assert_int_equal(connection_rules(), 0);
	assert_int_equal(answer_count, 0);
	run_connections();
	assert_int_equal(answer_count, 10);
}

// ---- leaving together ---------------------------------------------------------------------------

static void a_pods_are_gone_when_its_rules_are_and_others_stay(void **state)
{
	start(100);
	for (uint32_t place = 0; place < 80; place++)
		add_connection(place, place % 2);
	while (run_connections() == 5)
		;
	assert_int_equal(connection_rules(), 160);
	add_connection(100, 0); // not yet in
	remove_pod(0);
	// Nothing leads to them, nor from them to the function.
	assert_int_equal(fake_rules_with("g1 p2 port=9 "), 0);
	assert_int_equal(fake_rules_with("to=9"), 0);
	run_connections();
	assert_int_equal(connection_rules(), 80);
	assert_int_equal(answer_count, 41);
	assert_int_equal(status_of(1).state, OFFLOAD_FULL);
}

// ---- seeing them --------------------------------------------------------------------------------

static size_t rules_told(uint32_t slot, const char *actions)
{
	struct offload_rule rule;
	uint64_t after = 0;
	size_t count = 0;

	while (offload_next_rule(offload, after, &rule)) {
		after = rule.id;
		count += rule.has_slot && rule.slot == slot && strcmp(rule.actions, actions) == 0;
	}
	return count;
}

static void the_rules_of_a_pod_say_how_many_connections_it_has(void **state)
{
	const uint32_t slot = fake_pod(0).slot;

	start(100);
	const uint32_t rules = summary().rules;
	for (uint32_t place = 0; place < 7; place++)
		add_connection(place, place == 6);
	run_connections();
	assert_int_equal(summary().rules, rules + 2 * 3);
	assert_int_equal(rules_told(slot, "jump 5, of 6 connections"), 2);
	assert_int_equal(rules_told(slot + 1, "jump 5, of 1 connections"), 2);
	assert_int_equal(rules_told(slot, "count, set eth src 02:00:00:00:00:01, set eth dst "
					  "02:00:00:01:00:00, to pf0vf0, of 6 connections"),
			 1);
	remove_pod(0);
	assert_int_equal(summary().rules, rules - POD_RULES + 3);
	assert_int_equal(rules_told(slot, "jump 5, of 6 connections"), 0);
}

// ---- limits -------------------------------------------------------------------------------------

static void limit(uint32_t vf, bool ingress, bool egress)
{
	struct offload_pod pod = fake_pod(vf);

	if (ingress)
		pod.limits[BANDWIDTH_INGRESS] = (struct bandwidth_limit){1000000, 20000};
	if (egress)
		pod.limits[BANDWIDTH_EGRESS] = (struct bandwidth_limit){500000, 10000};
	add_pod(&pod);
}

static void what_a_limited_pod_gets_by_connections_passes_its_meter(void **state)
{
	const uint32_t meter = 1 + (FAKE_FIRST_SLOT + 2) * BANDWIDTH_DIRECTIONS;
	char text[64];

	start(100);
	limit(2, true, true);
	limit(3, false, true); // what it sends is metered where it comes in
	add_connection(0, 2);
	add_connection(1, 3);
	run_connections();
	assert_int_equal(connection_rules(), 4);
	snprintf(text, sizeof(text), "g6 p0 dst=0e:70:6f:64:00:04 > meter=%u count",
		 meter + BANDWIDTH_INGRESS);
	assert_int_equal(fake_rules_with(text), 1);
	assert_int_equal(fake_rules_with("g6 p0 dst=0e:70:6f:64:00:05 > count"), 1);
	snprintf(text, sizeof(text), "> meter=%u jump=1", meter + BANDWIDTH_EGRESS);
	assert_int_equal(fake_rules_with(text), 1);
	// The meter is in use until the last rule that leads through it is gone.
	remove_pod(2);
	assert_false(fake_has_meter(meter + BANDWIDTH_INGRESS));
	run_connections();
	assert_int_equal(connection_rules(), 2);
}

// Nothing may pass beside it, nor through a meter that is gone.
static void a_limited_pods_leave_before_its_rules_are_made_again(void **state)
{
	start(100);
	limit(2, true, false);
	add_connection(0, 2);
	run_connections();
	assert_int_equal(connection_rules(), 2);
	struct offload_pod other = fake_pod(2);
	other.limits[BANDWIDTH_INGRESS] = (struct bandwidth_limit){3000000, 20000};
	add_pod(&other);
	assert_int_equal(connection_rules(), 0);
	assert_int_equal(status_of(2).state, OFFLOAD_FULL);
	run_connections();
	add_connection(0, 2);
	run_connections();
	assert_int_equal(connection_rules(), 2);
}

static void a_limited_pod_has_none_where_the_nic_cannot_limit_them(void **state)
{
	const struct offload_connection limited = connection(2, false, true, 1);
	const struct offload_connection unlimited = connection(0, false, true, 2);

	test_places = PLACES;
	test_connections = 10;
	prepare(4);
	fake.no_meters = true;
	begin_prepared();
	add(0);
	limit(2, true, false);
	assert_true(offload_connections_usable(offload, NULL));
	assert_int_equal(offload_connection_add(offload, 0, &limited), -EBUSY);
	assert_int_equal(offload_connection_add(offload, 0, &unlimited), 0);
	run_connections();
	assert_int_equal(connection_rules(), 2);
}

// ---- one pod after the other --------------------------------------------------------------------

// Whatever it had: neither its DEL nor an ADD that follows waits for it.
static void a_pod_leaves_with_a_constant_number_of_operations(void **state)
{
	uint32_t rounds = 0;

	start(PLACES);
	for (uint32_t place = 0; place < 1000; place++)
		add_connection(place, place % 500 == 0 ? 1 : 0);
	while (run_connections() == 5)
		;
	assert_int_equal(connection_rules(), 2000);
	const uint32_t removals = fake.removals, queries = fake.queries;
	remove_pod(0);
	assert_int_equal(fake.removals - removals, POD_RULES + 3);
	assert_in_range(fake.queries - queries, 1, POD_RULES + 3);
	fake.remove_ms = 1;
	for (; connection_rules() > 4; rounds++) {
		const uint32_t before = fake.removals;
		const int64_t again_ms = run_connections();

		assert_true(again_ms == 5 || connection_rules() == 4);
		// What one takes is not known in the first one.
		assert_true(fake.removals - before <= (rounds == 0 ? 64 : 2));
		assert_true(rounds < 1000);
		fake_wait(1000);
	}
	assert_true(rounds > 900);
}

static void a_pod_that_comes_after_has_nothing_of_the_one_before(void **state)
{
	const struct offload_connection again = connection(0, false, true, 3);

	start(100);
	for (uint32_t place = 0; place < 40; place++)
		add_connection(place, 0);
	while (run_connections() == 5)
		;
	fake_hit("tcp=4-443", 5, 500);
	remove_pod(0);
	add(0); // the same MAC address, even
	assert_int_equal(fake_rules_with("g1 p2 port=9 "), 0);
	assert_int_equal(fake_rules_with("g6 "), 0);
	assert_int_equal(offload_connection_add(offload, 50, &again), -EBUSY);
	assert_int_equal(status_of(0).state, OFFLOAD_FULL);
	run_connections();
	// What is counted last was the other one's.
	assert_int_equal(status_of(0).rx_packets, 0);
	assert_int_equal(connection_rules(), 0);
	assert_int_equal(offload_connection_add(offload, 50, &again), 0);
	run_connections();
	assert_int_equal(connection_rules(), 2);
	assert_int_equal(fake_rules_with("g1 p2 port=9 "), 2);
	assert_int_equal(fake_rules_with("g6 "), 1);
}

static void what_the_nic_does_not_let_go_keeps_the_next_pod_out(void **state)
{
	const struct offload_connection again = connection(0, false, true, 3);

	start(100);
	add_connection(0, 0);
	run_connections();
	fake.fail_removals = true;
	remove_pod(0);
	assert_int_equal(fake_rules_with("g6 "), 1);
	run_connections();
	assert_int_equal(offload_connection_add(offload, 1, &again), -EBUSY);
	fake.fail_removals = false;
	assert_int_equal(run_connections(), -1);
	assert_int_equal(fake_rules_with("g6 "), 0);
	offload_retry(offload); // the pod's own rules
	add(0);
	assert_int_equal(offload_connection_add(offload, 1, &again), 0);
	run_connections();
	assert_int_equal(connection_rules(), 2);
}

static void a_pod_whose_gate_is_refused_has_none(void **state)
{
	for (unsigned int refused = 1; refused <= 3; refused++) {
		start(100);
		const size_t rules = fake_rule_count();
		add_connection(0, 0);
		fake.fail_insert = refused;
		run_connections();
		run_connections();
		assert_int_equal(fake_rule_count(), rules);
		assert_int_equal(answers[0].kind, OFFLOAD_ENDED);
		assert_true(answers[0].refused);
		end(state);
	}
}

static void those_of_a_next_hop_leave_together(void **state)
{
	struct offload_connection other = connection(0, false, true, 99);

	other.next_hop = HOP + 1;
	start(100);
	add_connection(0, 0);
	assert_int_equal(offload_connection_add(offload, 1, &other), 0);
	run_connections();
	assert_true(offload_connections_by_next_hop(offload, HOP));
	offload_connections_leave_next_hop(offload, HOP);
	run_connections();
	assert_int_equal(connection_rules(), 2);
	assert_false(offload_connections_by_next_hop(offload, HOP));
	assert_true(offload_connections_by_next_hop(offload, HOP + 1));
}

static void a_reset_function_and_an_uplink_that_stops_end_theirs(void **state)
{
	start(100);
	add_connection(0, 0);
	add_connection(1, 1);
	run_connections();
	fake_event(FAKE_FIRST_FUNCTION, RTE_ETH_EVENT_INTR_RESET);
	run_connections(); // it is not for the next retry to see that
	assert_int_equal(answer_count, 1);
	assert_int_equal(answers[0].place, 0);
	assert_int_equal(connection_rules(), 2);
	assert_int_equal(fake_rules_with("g6 "), 2);
	offload_retry(offload);

	offload_end(offload);
	assert_int_equal(fake_rule_count(), 0);
	fake_stop_uplink();
	run_connections();
	assert_int_equal(answer_count, 1);
	begin_prepared();
	add_connection(0, 0);
	run_connections();
	assert_int_equal(connection_rules(), 2);
}

// ---- bounded ------------------------------------------------------------------------------------

// However many there are: calls wait for one round, and one round is its budget, or one connection.
static void a_slow_nic_gets_one_connection_in_a_round(void **state)
{
	start(1000);
	fake.insert_ms = 1;
	for (uint32_t place = 0; place < 500; place++)
		add_connection(place, 0);
	run_connections(); // what it takes is not known yet
	for (unsigned int round = 0; round < 20; round++) {
		const uint32_t before = fake.inserts;

		assert_true(run_connections() > 0);
		assert_in_range(fake.inserts - before, 2, 4);
	}
	fake.insert_ms = 0;
	while (run_connections() == 5)
		;
	assert_int_equal(connection_rules(), 1000);
}

// Others' that leave meanwhile are not waited for.
static void who_is_withdrawn_waits_for_its_own_only(void **state)
{
	start(1000);
	for (uint32_t place = 0; place < 500; place++)
		add_connection(place, place % 100 == 0 ? 1 : 0);
	while (run_connections() == 5)
		;
	remove_pod(0);
	const uint32_t before = fake.removals;
	offload_withdraw(offload, fake_pod(1).slot);
	assert_int_equal(fake.removals - before, 2 * 5 + 3 + POD_RULES);
	assert_int_equal(connection_rules(), 2 * 495);
	while (run_connections() == 5)
		;
	assert_int_equal(connection_rules(), 0);
}

// Whoever looks at all of a pod's packets must see these too.
static void a_pods_are_out_while_its_rules_are(void **state)
{
	const uint32_t slot = fake_pod(0).slot;
	const struct offload_connection again = connection(0, false, true, 3);

	start(100);
	add_connection(0, 0);
	add_connection(1, 1);
	run_connections();
	assert_int_equal(connection_rules(), 4);
	offload_withdraw(offload, slot);
	assert_int_equal(connection_rules(), 2);
	assert_int_equal(offload_connection_add(offload, 2, &again), -EBUSY);
	run_connections();
	assert_int_equal(connection_rules(), 2);
	offload_restore(offload, slot);
	assert_int_equal(offload_connection_add(offload, 2, &again), 0);
	run_connections();
	assert_int_equal(connection_rules(), 4);
}

#define BOTH(tests, setup) cmocka_run_group_tests_name(#setup, tests, setup, NULL)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(the_rules_do_what_masquerade_would_have_done),
		TEST(a_nic_that_only_modifies_fields_is_told_so),
		TEST(on_a_vlan_the_tag_comes_off_and_on),
		TEST(another_vlan_begins_anew),
		TEST(a_nic_that_knows_no_tags_carries_none_on_a_vlan_and_says_so),
		TEST(a_nic_that_cannot_forwards_between_pods_all_the_same),
		TEST(none_are_wanted_unless_asked_for),
		TEST(a_connection_whose_half_is_refused_is_not_carried),
		TEST(there_are_never_more_than_there_may_be),
		TEST(who_has_no_place_stays_in_software),
		TEST(one_that_leaves_before_it_was_in_is_told_as_any_other),
		TEST(a_rule_that_the_nic_does_not_let_go_keeps_its_place),
		TEST(packets_are_told_once_and_counted_for_the_ports),
		TEST(who_has_no_room_for_answers_gets_them_later),
		TEST(a_pods_are_gone_when_its_rules_are_and_others_stay),
		TEST(the_rules_of_a_pod_say_how_many_connections_it_has),
		TEST(what_a_limited_pod_gets_by_connections_passes_its_meter),
		TEST(a_limited_pods_leave_before_its_rules_are_made_again),
		TEST(a_limited_pod_has_none_where_the_nic_cannot_limit_them),
		TEST(a_pod_leaves_with_a_constant_number_of_operations),
		TEST(a_pod_that_comes_after_has_nothing_of_the_one_before),
		TEST(what_the_nic_does_not_let_go_keeps_the_next_pod_out),
		TEST(a_pod_whose_gate_is_refused_has_none),
		TEST(who_is_withdrawn_waits_for_its_own_only),
		TEST(a_pods_are_out_while_its_rules_are),
		TEST(those_of_a_next_hop_leave_together),
		TEST(a_reset_function_and_an_uplink_that_stops_end_theirs),
		TEST(a_slow_nic_gets_one_connection_in_a_round),
	};

	return BOTH(tests, use_synchronous) + BOTH(tests, use_asynchronous);
}
