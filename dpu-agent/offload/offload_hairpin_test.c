// SPDX-License-Identifier: BSD-3-Clause
//
// Connections within the node in the e-switch: by rules of which each leads from one pod to the gate of the other, so that
// neither pod has anything of them without either; and that a NIC which cannot carries those with the wire all the same.

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_ethdev.h>

#include "offload/fixture_test.h"
#include "port/port_dpdk.h"

enum { PLACES = 1024, GATE = 3 };

static void prepare_connections(uint32_t most)
{
	test_places = PLACES;
	test_connections = most;
	prepare(4);
}

static void start(uint32_t most)
{
	prepare_connections(most);
	begin_prepared();
	for (uint32_t vf = 0; vf < 3; vf++)
		add(vf);
	fake_forget_history();
}

static void add_call(uint32_t place, uint32_t from, uint32_t to)
{
	const struct offload_connection c = call(from, to, false, true, (uint16_t)(place + 1));

	assert_int_equal(offload_connection_add(offload, place, &c), 0);
}

static void add_to_wire(uint32_t place, uint32_t vf)
{
	const struct offload_connection c = call_to_wire(vf, (uint16_t)(place + 1));

	assert_int_equal(offload_connection_add(offload, place, &c), 0);
}

// ---- rules --------------------------------------------------------------------------------------

static void each_pod_is_led_to_the_gate_of_the_other(void **state)
{
	const struct offload_connection tcp = call(0, 1, false, true, 4000);
	const struct offload_connection udp = call(1, 2, true, false, 4001);

	start(100);
	assert_int_equal(offload_connection_add(offload, 0, &tcp), 0);
	assert_int_equal(offload_connection_add(offload, 1, &udp), 0);
	run_connections();
	assert_int_equal(connection_rules(), 4);
	assert_string_equal(
		fake_rule_with("tcp=4000-8080"),
		"g5 p0 port=9 type=0800 src=02:00:00:01:00:00 dst=02:00:00:00:00:01 untagged "
		"frag=0000/3fff proto=6 ip.src=10.88.0.2 ip.dst=203.0.113.10 tcp=4000-8080 "
		"flags=10/17 > count set.ip.src=203.0.113.10 set.ip.dst=10.88.0.3 "
		"set.port.src=50000 set.port.dst=80 set.src=02:00:00:00:00:01 "
		"set.dst=0e:70:6f:64:00:03 dec_ttl jump=6");
	assert_string_equal(
		fake_rule_with("tcp=80-50000"),
		"g5 p0 port=10 type=0800 src=02:00:00:01:00:01 dst=02:00:00:00:00:01 untagged "
		"frag=0000/3fff proto=6 ip.src=10.88.0.3 ip.dst=203.0.113.10 tcp=80-50000 "
		"flags=10/17 > count set.ip.src=203.0.113.10 set.ip.dst=10.88.0.2 "
		"set.port.src=8080 set.port.dst=4000 set.src=02:00:00:00:00:01 "
		"set.dst=0e:70:6f:64:00:02 dec_ttl jump=6");
	assert_string_equal(
		fake_rule_with("udp=80-50001"),
		"g5 p0 port=11 type=86dd src=02:00:00:01:00:02 dst=02:00:00:00:00:01 untagged "
		"proto=17 whole ip.src=fd00::4 ip.dst=2001:db8::10 udp=80-50001 > count "
		"set.ip.src=2001:db8::10 set.ip.dst=fd00::3 set.port.src=8080 "
		"set.port.dst=4001 set.src=02:00:00:00:00:01 set.dst=0e:70:6f:64:00:03 dec_ttl "
		"jump=6");
	// Each pod's gate, both ways.
	for (uint32_t port = 9; port < 12; port++) {
		char text[32];

		snprintf(text, sizeof(text), "g1 p2 port=%u ", port);
		assert_int_equal(fake_rules_with(text), 2);
		snprintf(text, sizeof(text), "g6 p0 dst=0e:70:6f:64:00:0%u ", port - 7);
		assert_int_equal(fake_rules_with(text), 1);
	}
}

// What pods say to each other has no tag, whatever the wire has.
static void a_vlan_of_the_wire_is_no_matter_of_theirs(void **state)
{
	const struct offload_connection udp = call(0, 1, false, false, 4000);
	struct offload_router router = fake_router;

	prepare_connections(100);
	fake_start_uplink();
	router.vlan = 42;
	offload_begin(offload, &router);
	add(0);
	add(1);
	assert_int_equal(offload_connection_add(offload, 0, &udp), 0);
	run_connections();
	assert_int_equal(connection_rules(), 2);
	assert_int_equal(fake_rules_with("g5 p0 port=9 type=0800 src=02:00:00:01:00:00 "
					 "dst=02:00:00:00:00:01 untagged"),
			 1);
	assert_int_equal(fake_rules_with("g5 ") - fake_rules_with("untagged frag"), 0);
	fake_hit("udp=4000-8080", 3, 300);
	fake_wait(1000);
	run_connections();
	assert_int_equal(status_of(0).rx_bytes, 300);
}

// Not every NIC does, and none says so.
static void a_pod_that_calls_itself_is_not_carried_where_nothing_comes_back(void **state)
{
	const struct offload_connection c = call(0, 0, false, true, 4000);

	start(100);
	assert_int_equal(offload_connection_add(offload, 0, &c), -ENOTSUP);
	assert_int_equal(run_connections(), -1);
	assert_int_equal(connection_rules(), 0);
}

static void a_pod_that_calls_itself_is_led_to_its_own_gate_both_ways(void **state)
{
	struct offload_rule rule;
	uint64_t after = 0;
	size_t told = 0;

	test_loopback = true;
	start(100);
	add_call(3, 0, 0);
	run_connections();
	assert_int_equal(connection_rules(), 2);
	assert_int_equal(fake_rules_with("g5 p0 port=9 "), 2);
	assert_int_equal(fake_rules_with("set.dst=0e:70:6f:64:00:02 dec_ttl jump=6"), 2);
	while (offload_next_rule(offload, after, &rule)) {
		after = rule.id;
		told += strcmp(rule.actions, "jump 5, of 1 connections") == 0;
	}
	assert_int_equal(told, 2);
	fake_hit("tcp=4-8080", 5, 500);
	fake_hit("tcp=80-46004", 7, 700);
	fake_hit("g6 p0 dst=0e:70:6f:64:00:02", 12, 1200);
	fake_wait(1000);
	run_connections();
	assert_int_equal(answers[0].packets[0], 5);
	assert_int_equal(answers[0].packets[1], 7);
	assert_int_equal(status_of(0).rx_packets, 12);
	assert_int_equal(status_of(0).tx_packets, 12);
	// And it leaves with the pod, whose next one has its place.
	remove_pod(0);
	run_until_done();
	assert_int_equal(connection_rules(), 0);
	add(0);
	add_call(3, 0, 0);
	run_connections();
	assert_int_equal(connection_rules(), 2);
}

// ---- a NIC that cannot, or not so many -----------------------------------------------------------

static void expect_those_with_the_wire_alone(void)
{
	const struct offload_connection c = call(0, 1, false, true, 4000);

	add(0);
	add(1);
	assert_true(offload_connections_usable(offload, NULL));
	assert_int_equal(offload_connection_add(offload, 0, &c), -ENOTSUP);
	add_to_wire(1, 0);
	run_connections();
	assert_int_equal(connection_rules(), 2);
	assert_int_equal(answers[0].kind, OFFLOAD_BEGUN);
}

static void a_nic_that_takes_no_such_rules_carries_those_with_the_wire(void **state)
{
	prepare_connections(100);
	fake.no_hairpin = true;
	begin_prepared();
	assert_false(capability("carry connections within the node")->supported);
	assert_false(capability("carry connections within the node")->needed);
	assert_true(capability("carry masqueraded connections")->supported);
	expect_those_with_the_wire_alone();
}

static void a_nic_that_takes_them_says_so(void **state)
{
	start(100);
	assert_true(capability("carry connections within the node")->supported);
	assert_null(capability("room for connections within the node"));
}

// Tables are made in the order of what can be gone without least.
static void a_nic_without_room_for_their_tables_carries_those_with_the_wire(void **state)
{
	if (!is_asynchronous())
		return;
	for (uint32_t tables = 20;; tables++) {
		assert_true(tables < 64);
		prepare_connections(100);
		fake.tables_max = tables;
		begin_prepared();
		if (summary().usable && strcmp(summary().api, "asynchronous") == 0 &&
		    offload_connections_usable(offload, NULL))
			break;
		assert_int_equal(end(state), 0);
	}
	assert_false(capability("room for connections within the node")->supported);
	assert_string_equal(capability("room for connections within the node")->remark,
			    "no more tables");
	expect_those_with_the_wire_alone();
}

// A quarter of all, and at least one.
static void there_are_never_more_than_their_share(void **state)
{
	const struct offload_connection more = call(0, 1, false, true, 4000);
	struct offload_connections_summary told;

	for (uint32_t most = 3; most <= 8; most += 5) {
		const uint32_t share = most / 4 > 0 ? most / 4 : 1;

		start(most);
		for (uint32_t place = 0; place < share; place++)
			add_call(place, 0, 1);
		assert_int_equal(offload_connection_add(offload, 9, &more), -ENOSPC);
		for (uint32_t place = share; place < most; place++)
			add_to_wire(place, 0);
		run_connections();
		assert_int_equal(connection_rules(), 2 * most);
		offload_connections_summary(offload, &told);
		assert_int_equal(told.carried, most);
		assert_int_equal(told.refused_full, 1);
		// One goes, and there is room for another.
		offload_connection_leave(offload, 0);
		run_connections();
		assert_int_equal(offload_connection_add(offload, 9, &more), 0);
		run_connections();
		assert_int_equal(connection_rules(), 2 * most);
		assert_int_equal(answers[0].kind, OFFLOAD_BEGUN);
		end(state);
	}
}

// ---- both halves or none ------------------------------------------------------------------------

static void one_whose_half_is_refused_is_not_carried(void **state)
{
	for (unsigned int half = 1; half <= 2; half++) {
		start(100);
		add_call(4, 0, 1);
		run_connections();
		add_call(5, 0, 1);
		fake.fail_insert = half;
		fake.fail_late = is_asynchronous() && half == 2;
		run_connections();
		run_connections();
		assert_int_equal(connection_rules(), 2);
		assert_int_equal(answers[0].kind, OFFLOAD_ENDED);
		assert_int_equal(answers[0].place, 5);
		assert_true(answers[0].refused);
		// What was counted for it is given back.
		add_call(5, 0, 1);
		run_connections();
		assert_int_equal(connection_rules(), 4);
		end(state);
	}
}

static void both_gates_must_open(void **state)
{
	for (unsigned int refused = 1; refused <= 2 * GATE; refused++) {
		start(100);
		const size_t rules = fake_rule_count();
		add_call(0, 0, 1);
		fake.fail_insert = refused;
		run_connections();
		run_connections();
		assert_int_equal(connection_rules(), 0);
		// The first one's is there for its next connection; the second one's is not half open.
		assert_int_equal(fake_rule_count(), rules + (refused > GATE ? GATE : 0));
		assert_int_equal(answers[0].kind, OFFLOAD_ENDED);
		assert_true(answers[0].refused);
		end(state);
	}
}

// ---- what is told -------------------------------------------------------------------------------

static void packets_are_told_by_who_has_sent_them_and_counted_for_both_pods(void **state)
{
	struct offload_pod_status wire;

	start(100);
	add_call(3, 0, 1);
	run_connections();
	assert_int_equal(answers[0].kind, OFFLOAD_BEGUN);
	fake_hit("tcp=4-8080", 5, 500);
	fake_hit("tcp=80-46004", 7, 7000);
	fake_hit("g6 p0 dst=0e:70:6f:64:00:02", 6, 6000); // one met the pod's limit
	fake_hit("g6 p0 dst=0e:70:6f:64:00:03", 5, 500);
	fake_wait(1000);
	run_connections();
	assert_int_equal(answers[0].kind, OFFLOAD_NOTED);
	assert_int_equal(answers[0].packets[0], 5);
	assert_int_equal(answers[0].bytes[0], 500);
	assert_int_equal(answers[0].packets[1], 7);
	assert_int_equal(answers[0].bytes[1], 7000);
	assert_int_equal(status_of(0).rx_packets, 5);
	assert_int_equal(status_of(0).tx_bytes, 6000);
	assert_int_equal(status_of(1).rx_bytes, 7000);
	assert_int_equal(status_of(1).tx_packets, 5);
	offload_read_pod(offload, port_slot(nic_port(fake_handle(), PORT_UPLINK, 0)), &wire);
	assert_int_equal(wire.rx_packets + wire.tx_packets, 0);
	fake_hit("tcp=80-46004", 2, 200);
	offload_connection_leave(offload, 3);
	run_connections();
	assert_int_equal(answers[0].kind, OFFLOAD_ENDED);
	assert_int_equal(answers[0].packets[1], 2);
	assert_int_equal(status_of(1).rx_packets, 9);
}

static void it_is_a_connection_of_both_pods(void **state)
{
	struct offload_rule rule;
	uint64_t after = 0;
	size_t told = 0;

	start(100);
	add_call(0, 0, 1);
	add_call(1, 0, 2);
	run_connections();
	while (offload_next_rule(offload, after, &rule)) {
		after = rule.id;
		told += rule.has_slot && rule.slot == fake_pod(0).slot &&
			strcmp(rule.actions, "jump 5, of 2 connections") == 0;
		told += rule.has_slot && rule.slot == fake_pod(1).slot &&
			strcmp(rule.actions, "jump 5, of 1 connections") == 0;
	}
	assert_int_equal(told, 2 + 2);
}

// ---- either pod leaves --------------------------------------------------------------------------

static void it_ends_with_either_pod_and_others_stay(void **state)
{
	for (uint32_t leaves = 0; leaves < 2; leaves++) {
		start(100);
		add_call(0, 0, 1);
		add_call(1, 0, 2);
		add_call(2, 1, 2);
		add_to_wire(3, 0);
		add_to_wire(4, 1);
		run_connections();
		assert_int_equal(connection_rules(), 10);
		add_call(5, 0, 1); // not yet in
		const uint32_t removals = fake.removals;
		remove_pod(leaves);
		assert_int_equal(fake.removals - removals, POD_RULES + GATE);
		// Nothing gets from the pod to its connections, nor from the other's to it.
		assert_int_equal(fake_rules_with(leaves == 0 ? "g1 p2 port=9 " : "g1 p2 port=10 "),
				 0);
		assert_int_equal(fake_rules_with(leaves == 0 ? " to=9" : " to=10"), 0);
		run_connections();
		// Those between the two, with the third one, with the wire; and the one that was not in.
		assert_int_equal(connection_rules(), 4);
		assert_int_equal(answer_count, 4);
		assert_int_equal(fake_rules_with(leaves == 0 ? "port=9 " : "port=10 "), 0);
		assert_int_equal(status_of(leaves == 0).state, OFFLOAD_FULL);
		end(state);
	}
}

// Whichever pod leaves first, and however many it was a party of: a constant number of operations, and what remains leaves in
// rounds.
static void a_pod_that_many_call_leaves_as_fast_as_any(void **state)
{
	start(PLACES);
	for (uint32_t place = 0; place < 200; place++)
		add_call(place, place % 2 == 0 ? 0 : 2, 1);
	run_until_done();
	assert_int_equal(connection_rules(), 400);
	const uint32_t removals = fake.removals, queries = fake.queries;
	remove_pod(1);
	assert_int_equal(fake.removals - removals, POD_RULES + GATE);
	assert_in_range(fake.queries - queries, 1, POD_RULES + GATE);
	run_until_done();
	assert_int_equal(connection_rules(), 0);
}

static void a_pod_that_comes_after_has_nothing_of_the_one_before(void **state)
{
	for (uint32_t leaves = 0; leaves < 2; leaves++) {
		const uint32_t stays = !leaves;
		const struct offload_connection again = call(0, 1, false, true, 50);

		start(100);
		for (uint32_t place = 0; place < 10; place++)
			add_call(place, 0, 1);
		run_until_done();
		fake_hit("tcp=4-8080", 5, 500);
		fake_hit("tcp=80-46004", 7, 700);
		const uint64_t before = status_of(stays).rx_packets;
		remove_pod(leaves);
		add(leaves); // the same MAC address, even
		assert_int_equal(offload_connection_add(offload, 50, &again), -EBUSY);
		assert_int_equal(fake_rules_with(leaves == 0 ? "g1 p2 port=9 " : "g1 p2 port=10 "),
				 0);
		run_until_done();
		// What is counted last was the other one's; but it is the other end's as it always was.
		assert_int_equal(status_of(leaves).rx_packets, 0);
		assert_int_equal(status_of(stays).rx_packets, before + (stays == 0 ? 5 : 7));
		assert_int_equal(connection_rules(), 0);
		assert_int_equal(offload_connection_add(offload, 50, &again), 0);
		run_connections();
		assert_int_equal(connection_rules(), 2);
		end(state);
	}
}

static void what_the_nic_does_not_let_go_keeps_both_next_pods_out(void **state)
{
	const struct offload_connection again = call(0, 1, false, true, 50);

	start(100);
	add_call(0, 0, 1);
	run_connections();
	fake.fail_removals = true;
	remove_pod(0);
	remove_pod(1);
	run_connections();
	fake.fail_removals = false;
	offload_retry(offload); // the pods' own rules
	add(0);
	add(1);
	assert_int_equal(offload_connection_add(offload, 1, &again), -EBUSY);
	run_until_done();
	assert_int_equal(fake_rules_with("g6 ") + connection_rules(), 0);
	assert_int_equal(offload_connection_add(offload, 1, &again), 0);
	run_connections();
	assert_int_equal(connection_rules(), 2);
}

// Whoever looks at all of a pod's packets must see these too, of either pod.
static void it_is_out_while_the_rules_of_either_pod_are(void **state)
{
	const struct offload_connection again = call(0, 1, false, true, 3);

	for (uint32_t vf = 0; vf < 2; vf++) {
		start(100);
		add_call(0, 0, 1);
		add_call(1, 1 - vf, 2); // of the other one
		run_connections();
		assert_int_equal(connection_rules(), 4);
		offload_withdraw(offload, fake_pod(vf).slot);
		assert_int_equal(connection_rules(), 2);
		assert_int_equal(offload_connection_add(offload, 5, &again), -EBUSY);
		run_connections();
		offload_restore(offload, fake_pod(vf).slot);
		assert_int_equal(offload_connection_add(offload, 5, &again), 0);
		run_connections();
		assert_int_equal(connection_rules(), 4);
		end(state);
	}
}

static void a_reset_function_ends_it_whichever_it_is(void **state)
{
	for (uint32_t vf = 0; vf < 2; vf++) {
		start(100);
		add_call(0, 0, 1);
		add_call(1, 1 - vf, 2);
		run_connections();
		fake_event((uint16_t)(FAKE_FIRST_FUNCTION + vf), RTE_ETH_EVENT_INTR_RESET);
		run_connections();
		assert_int_equal(answer_count, 1);
		assert_int_equal(answers[0].place, 0);
		assert_int_equal(connection_rules(), 2);
		offload_retry(offload);
		end(state);
	}
}

// ---- limits -------------------------------------------------------------------------------------

static struct offload_pod limited_pod(uint32_t vf, uint64_t bytes_per_s)
{
	struct offload_pod pod = fake_pod(vf);

	pod.limits[BANDWIDTH_INGRESS] = (struct bandwidth_limit){bytes_per_s, 20000};
	pod.limits[BANDWIDTH_EGRESS] = (struct bandwidth_limit){bytes_per_s, 10000};
	return pod;
}

static void what_pods_send_and_get_passes_the_meters_of_both(void **state)
{
	const uint32_t meters = 1 + FAKE_FIRST_SLOT * BANDWIDTH_DIRECTIONS;
	char text[64];

	start(100);
	for (uint32_t vf = 0; vf < 2; vf++) {
		const struct offload_pod pod = limited_pod(vf, 1000000 * (vf + 1));

		add_pod(&pod);
	}
	add_call(0, 0, 1);
	run_connections();
	assert_int_equal(connection_rules(), 2);
	for (uint32_t vf = 0; vf < 2; vf++) {
		const uint32_t meter = meters + vf * BANDWIDTH_DIRECTIONS;

		snprintf(text, sizeof(text), "g6 p0 dst=0e:70:6f:64:00:0%u > meter=%u count",
			 2 + vf, meter + BANDWIDTH_INGRESS);
		assert_int_equal(fake_rules_with(text), 1);
		snprintf(text, sizeof(text), "port=%u > meter=%u jump=1", 9 + vf,
			 meter + BANDWIDTH_EGRESS);
		assert_int_equal(fake_rules_with(text), 1);
	}
}

// Nothing may pass beside it, nor through a meter that is gone: whichever end has it.
static void it_leaves_before_another_limit_of_either_pod(void **state)
{
	for (uint32_t vf = 0; vf < 2; vf++) {
		struct offload_pod pod = limited_pod(vf, 1000000);

		start(100);
		add_pod(&pod);
		add_call(0, 0, 1);
		run_connections();
		assert_int_equal(connection_rules(), 2);
		pod = limited_pod(vf, 3000000);
		add_pod(&pod);
		assert_int_equal(connection_rules(), 0);
		assert_int_equal(status_of(vf).state, OFFLOAD_FULL);
		run_connections();
		add_call(0, 0, 1);
		run_connections();
		assert_int_equal(connection_rules(), 2);
		end(state);
	}
}

static void a_limited_pod_has_none_where_the_nic_cannot_limit_them(void **state)
{
	for (uint32_t vf = 0; vf < 2; vf++) {
		const struct offload_connection c = call(0, 1, false, true, 3);
		const struct offload_pod pod = limited_pod(vf, 1000000);

		prepare_connections(100);
		fake.no_meters = true;
		begin_prepared();
		add(!vf);
		add_pod(&pod);
		assert_int_equal(offload_connection_add(offload, 0, &c), -EBUSY);
		end(state);
	}
}

#define BOTH(tests, setup) cmocka_run_group_tests_name(#setup, tests, setup, NULL)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(each_pod_is_led_to_the_gate_of_the_other),
		TEST(a_vlan_of_the_wire_is_no_matter_of_theirs),
		TEST(a_pod_that_calls_itself_is_not_carried_where_nothing_comes_back),
		TEST(a_pod_that_calls_itself_is_led_to_its_own_gate_both_ways),
		TEST(a_nic_that_takes_no_such_rules_carries_those_with_the_wire),
		TEST(a_nic_that_takes_them_says_so),
		TEST(a_nic_without_room_for_their_tables_carries_those_with_the_wire),
		TEST(there_are_never_more_than_their_share),
		TEST(one_whose_half_is_refused_is_not_carried),
		TEST(both_gates_must_open),
		TEST(packets_are_told_by_who_has_sent_them_and_counted_for_both_pods),
		TEST(it_is_a_connection_of_both_pods),
		TEST(it_ends_with_either_pod_and_others_stay),
		TEST(a_pod_that_many_call_leaves_as_fast_as_any),
		TEST(a_pod_that_comes_after_has_nothing_of_the_one_before),
		TEST(what_the_nic_does_not_let_go_keeps_both_next_pods_out),
		TEST(it_is_out_while_the_rules_of_either_pod_are),
		TEST(a_reset_function_ends_it_whichever_it_is),
		TEST(what_pods_send_and_get_passes_the_meters_of_both),
		TEST(it_leaves_before_another_limit_of_either_pod),
		TEST(a_limited_pod_has_none_where_the_nic_cannot_limit_them),
	};

	return BOTH(tests, use_synchronous) + BOTH(tests, use_asynchronous);
}
