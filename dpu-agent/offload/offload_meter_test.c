// SPDX-License-Identifier: BSD-3-Clause
//
// Pods with a limit: every frame of theirs meets one meter, in the NIC or in the graph, whatever fails.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_ethdev.h>

#include "offload/connections.h"
#include "offload/fixture_test.h"
#include "offload/program.h"

enum { LIMITED_RULES = POD_RULES + BANDWIDTH_DIRECTIONS };

static struct offload_pod limited(uint32_t vf, bool ingress, bool egress)
{
	struct offload_pod pod = fake_pod(vf);
	const struct bandwidth_limit limit = {.bytes_per_s = 1250000, .burst_bytes = 250000};

	if (ingress)
		pod.limits[BANDWIDTH_INGRESS] = limit;
	if (egress)
		pod.limits[BANDWIDTH_EGRESS] = limit;
	return pod;
}

static uint32_t meter_of(uint32_t vf, unsigned int direction)
{
	return program_meter_id(FAKE_FIRST_SLOT + vf, direction);
}

static size_t rules_by(uint32_t vf, unsigned int direction)
{
	char part[32];

	snprintf(part, sizeof(part), " meter=%u ", meter_of(vf, direction));
	return fake_rules_with(part);
}

static void both_directions_have_one_place_that_all_frames_pass(void **state)
{
	const struct offload_pod pod = limited(0, true, true);

	begin(4);
	add_pod(&pod);
	assert_int_equal(status_of(0).state, OFFLOAD_FULL);
	assert_int_equal(status_of(0).rules, LIMITED_RULES);
	assert_int_equal(status_of(0).rules_wanted, LIMITED_RULES);
	assert_true(status_of(0).metered);
	assert_true(fake_metered_in_nic(0));
	// What it sends: where it comes in, before the rule that all frames meet.
	assert_int_equal(rules_by(0, BANDWIDTH_EGRESS), 1);
	assert_int_equal(fake_rules_with("g0 p0 port=9 > meter="), 1);
	assert_int_equal(fake_rules_with("g0 p1 port=* >"), 1);
	// What it receives: from rules of both families, and from the agent.
	assert_int_equal(rules_by(0, BANDWIDTH_INGRESS), 3);
	assert_int_equal(fake_rules_with("g0 p0 agent=9 > meter="), 1);
	assert_int_equal(fake_rules_with("g3 p0 type=0800 ip.dst=10.88.0.2 > meter="), 1);
	assert_int_equal(fake_rules_with("g3 p0 type=86dd ip.dst=fd00::2 > meter="), 1);
	assert_int_equal(fake_meter_rate(meter_of(0, BANDWIDTH_INGRESS)), 1250000);
	remove_pod(0);
	assert_false(fake_metered_in_nic(0));
	assert_false(fake_has_meter(meter_of(0, BANDWIDTH_EGRESS)));
	assert_int_equal(fake_rules_with(" meter="), 0);
}

static void one_direction_takes_nothing_of_the_other(void **state)
{
	const struct offload_pod receives = limited(0, true, false),
				 sends = limited(1, false, true);

	begin(4);
	add_pod(&receives);
	add_pod(&sends);
	add(2);
	assert_int_equal(rules_by(0, BANDWIDTH_INGRESS), 3);
	assert_int_equal(rules_by(0, BANDWIDTH_EGRESS), 0);
	assert_int_equal(rules_by(1, BANDWIDTH_INGRESS), 0);
	assert_int_equal(rules_by(1, BANDWIDTH_EGRESS), 1);
	assert_int_equal(fake_rules_with(" meter="), 4);
	assert_true(fake_metered_in_nic(0) && fake_metered_in_nic(1));
	assert_false(fake_metered_in_nic(2));
	expect_full(2);
}

// Whichever insert is refused: no rule forwards what no meter has seen, and the graph's is at work unless
// the NIC's is.
static void what_is_refused_leaves_the_limit_to_the_graph(void **state)
{
	const struct offload_pod pod = limited(0, true, true);

	for (unsigned int nth = 1; nth <= LIMITED_RULES; nth++) {
		begin(4);
		add(1);
		fake.fail_insert = nth;
		add_pod(&pod);
		assert_int_equal(status_of(0).state, OFFLOAD_NONE);
		assert_int_equal(rules_of(0), 0);
		assert_int_equal(fake_rules_with(" meter="), 0);
		assert_false(fake_metered_in_nic(0));
		assert_false(status_of(0).metered);
		fake.fail_insert = 0;
		offload_retry(offload);
		assert_int_equal(status_of(0).state, OFFLOAD_FULL);
		assert_true(fake_metered_in_nic(0));
		end(state);
	}
}

static void without_a_meter_left_the_pod_has_no_rules_until_there_is_one(void **state)
{
	const struct offload_pod pod = limited(0, false, true);

	begin(4);
	add(1);
	fake.fail_meters = true;
	add_pod(&pod);
	assert_int_equal(status_of(0).state, OFFLOAD_NONE);
	assert_string_equal(status_of(0).reason, "the NIC refuses a meter: no meter is left");
	assert_int_equal(rules_of(0), 0);
	assert_false(fake_metered_in_nic(0));
	assert_int_equal(summary().rules_missing, POD_RULES + 1);
	assert_string_equal(summary().missing_reason, "the NIC refuses a meter: no meter is left");
	expect_full(1);
	fake.fail_meters = false;
	offload_retry(offload);
	assert_int_equal(status_of(0).state, OFFLOAD_FULL);
	assert_true(fake_metered_in_nic(0));
	assert_int_equal(summary().rules_missing, 0);
}

static void assert_unmetered(const char *remark)
{
	const struct offload_pod pod = limited(0, true, false);

	begin_prepared();
	add_pod(&pod);
	add(1);
	assert_int_equal(status_of(0).state, OFFLOAD_NONE);
	assert_string_equal(status_of(0).reason,
			    "no meter: the pod has a limit, which the agent keeps");
	assert_int_equal(rules_of(0), 0);
	assert_false(fake_metered_in_nic(0));
	// Nothing is missing that could come.
	assert_int_equal(status_of(0).rules_wanted, 0);
	assert_int_equal(summary().rules_missing, 0);
	offload_retry(offload);
	assert_int_equal(rules_of(0), 0);
	expect_full(1);
	for (size_t i = 0; i < offload_capability_count(offload); i++) {
		const struct offload_capability *row = offload_capability(offload, i);

		if (strcmp(row->name, "meter") != 0)
			continue;
		assert_false(row->supported || row->needed);
		assert_string_equal(row->remark, remark);
	}
	assert_int_equal(fake_meter_count(), 0);
	end(NULL);
}

static void a_nic_that_cannot_meter_is_not_asked_to(void **state)
{
	prepare(4);
	fake.no_meters = true;
	assert_unmetered("Function not implemented; without: pods with a limit take the slow path");
	prepare(4);
	fake.no_action[RTE_FLOW_ACTION_TYPE_METER] = true;
	assert_unmetered("action is not supported; without: pods with a limit take the slow path");
	// Nor one that has no rules for what the agent sends.
	prepare(4);
	fake.no_item[RTE_FLOW_ITEM_TYPE_PORT_REPRESENTOR] = true;
	assert_unmetered("item is not supported; without: pods with a limit take the slow path");
}

static void a_reset_gives_the_limit_back_to_the_graph_at_once(void **state)
{
	const struct offload_pod pod = limited(0, true, true), other = limited(1, true, true);

	begin(4);
	add_pod(&pod);
	add_pod(&other);
	fake_event(FAKE_FIRST_FUNCTION, RTE_ETH_EVENT_INTR_RESET);
	assert_false(fake_metered_in_nic(0));
	assert_true(fake_metered_in_nic(1));
	offload_retry(offload);
	assert_true(fake_metered_in_nic(0));
	assert_int_equal(status_of(0).state, OFFLOAD_FULL);
	fake_event(FAKE_UPLINK, RTE_ETH_EVENT_INTR_RESET);
	assert_false(fake_metered_in_nic(0) || fake_metered_in_nic(1));
	offload_retry(offload);
	assert_true(fake_metered_in_nic(0) && fake_metered_in_nic(1));
}

static void what_meters_counted_outlives_them_and_is_the_pods_alone(void **state)
{
	const struct offload_pod pod = limited(0, true, true);
	struct offload_pod_status status;

	begin(4);
	add_pod(&pod);
	fake_meter_pass(meter_of(0, BANDWIDTH_EGRESS), 5, 2);
	fake_meter_pass(meter_of(0, BANDWIDTH_INGRESS), 70, 30);
	fake_event(FAKE_FIRST_FUNCTION, RTE_ETH_EVENT_INTR_RESET);
	offload_retry(offload);
	fake_meter_pass(meter_of(0, BANDWIDTH_EGRESS), 1, 0);
	status = status_of(0);
	assert_int_equal(status.meters[BANDWIDTH_EGRESS].passed_packets, 6);
	assert_int_equal(status.meters[BANDWIDTH_EGRESS].passed_bytes, 600);
	assert_int_equal(status.meters[BANDWIDTH_EGRESS].dropped_packets, 2);
	assert_int_equal(status.meters[BANDWIDTH_INGRESS].passed_packets, 70);
	assert_int_equal(status.meters[BANDWIDTH_INGRESS].dropped_bytes, 3000);
	remove_pod(0);
	add_pod(&pod); // the slot's next
	assert_int_equal(status_of(0).meters[BANDWIDTH_INGRESS].passed_packets, 0);
	assert_int_equal(status_of(0).meters[BANDWIDTH_EGRESS].dropped_packets, 0);
}

static void a_pod_with_another_limit_in_the_same_place_gets_another_meter(void **state)
{
	struct offload_pod pod = limited(0, true, true);

	begin(4);
	add_pod(&pod);
	pod.limits[BANDWIDTH_EGRESS].bytes_per_s = 7000;
	add_pod(&pod);
	assert_int_equal(fake_meter_rate(meter_of(0, BANDWIDTH_EGRESS)), 7000);
	assert_int_equal(status_of(0).state, OFFLOAD_FULL);
	pod = fake_pod(0);
	add_pod(&pod);
	expect_full(0);
	assert_false(fake_metered_in_nic(0));
	assert_int_equal(fake_rules_with(" meter="), 0);
}

static void meters_come_back_with_the_uplink(void **state)
{
	const struct offload_pod pod = limited(0, true, true);

	begin(4);
	add_pod(&pod);
	offload_end(offload);
	assert_false(fake_metered_in_nic(0));
	assert_int_equal(fake_meter_count(), 0);
	fake_stop_uplink();
	fake_start_uplink();
	offload_begin(offload, &fake_router);
	assert_int_equal(status_of(0).state, OFFLOAD_FULL);
	assert_true(fake_metered_in_nic(0));
}

// A trace or a capture wants to see all of its packets: until it has, the limit is the graph's alone.
static void withdrawn_rules_leave_the_limit_to_the_graph_until_they_are_back(void **state)
{
	const struct offload_pod pod = limited(0, true, true), other = limited(1, true, true);

	begin(4);
	add_pod(&pod);
	add_pod(&other);
	fake_meter_pass(meter_of(0, BANDWIDTH_EGRESS), 5, 2);
	offload_withdraw(offload, pod.slot);
	assert_false(fake_metered_in_nic(0));
	assert_false(status_of(0).metered);
	assert_int_equal(rules_by(0, BANDWIDTH_INGRESS) + rules_by(0, BANDWIDTH_EGRESS), 0);
	assert_false(fake_has_meter(meter_of(0, BANDWIDTH_INGRESS)));
	assert_false(fake_has_meter(meter_of(0, BANDWIDTH_EGRESS)));
	assert_true(fake_metered_in_nic(1));
	offload_retry(offload);
	fake_event(FAKE_FIRST_FUNCTION, RTE_ETH_EVENT_INTR_RESET);
	offload_retry(offload);
	assert_false(fake_metered_in_nic(0));
	assert_int_equal(status_of(0).meters[BANDWIDTH_EGRESS].dropped_packets, 2);
	offload_restore(offload, pod.slot);
	assert_int_equal(status_of(0).state, OFFLOAD_FULL);
	assert_true(status_of(0).metered);
	assert_true(fake_metered_in_nic(0));
	fake_meter_pass(meter_of(0, BANDWIDTH_EGRESS), 1, 1);
	assert_int_equal(status_of(0).meters[BANDWIDTH_EGRESS].passed_packets, 6);
	assert_int_equal(status_of(0).meters[BANDWIDTH_EGRESS].dropped_packets, 3);
}

// Whichever removal is refused: what stays in the NIC may meter once more, and never in the graph's place.
static void what_does_not_let_itself_be_withdrawn_is_metered_by_the_graph(void **state)
{
	const struct offload_pod pod = limited(0, true, true);

	begin(4);
	add_pod(&pod);
	fake.fail_removals = true;
	offload_withdraw(offload, pod.slot);
	assert_false(fake_metered_in_nic(0));
	assert_int_equal(status_of(0).state, OFFLOAD_NONE);
	fake.fail_removals = false;
	offload_retry(offload);
	assert_int_equal(rules_of(0), 0);
	assert_int_equal(fake_rules_with(" meter="), 0);
	assert_false(fake_metered_in_nic(0));
	assert_false(fake_has_meter(meter_of(0, BANDWIDTH_INGRESS)));
	assert_false(fake_has_meter(meter_of(0, BANDWIDTH_EGRESS)));
	offload_restore(offload, pod.slot);
	assert_int_equal(status_of(0).state, OFFLOAD_FULL);
	assert_true(fake_metered_in_nic(0));
}

static void what_the_nic_goes_on_forwarding_it_goes_on_limiting(void **state)
{
	const struct offload_pod pod = limited(0, true, true);

	begin(4);
	add_pod(&pod);
	fake.stuck = "g2 p0 ";
	offload_withdraw(offload, pod.slot);
	assert_int_equal(fake_rules_with("g0 p0 "), 2);
	assert_false(fake_metered_in_nic(0)); // twice
	fake.stuck = NULL;
	offload_retry(offload);
	assert_int_equal(fake_rules_with(" meter="), 0);
	assert_int_equal(rules_of(0), 0);
}

static void a_limit_that_the_nic_cannot_keep_outlasts_a_withdrawal(void **state)
{
	const struct offload_pod pod = limited(0, true, false);

	prepare(4);
	fake.no_meters = true;
	begin_prepared();
	add_pod(&pod);
	offload_withdraw(offload, pod.slot);
	offload_restore(offload, pod.slot);
	offload_retry(offload);
	assert_int_equal(rules_of(0), 0);
	assert_false(fake_metered_in_nic(0));
	assert_int_equal(summary().rules_missing, 0);
}

// With both there are shapes of limits and of connections: the one does not ask for the other.
static void limits_and_connections_go_each_without_the_other(void **state)
{
	const struct offload_pod pod = limited(0, true, true);

	test_places = 4096;
	test_connections = 10;
	begin(4);
	assert_true(offload_connections_usable(offload, NULL));
	add_pod(&pod);
	assert_true(fake_metered_in_nic(0));
	end(state);
	test_places = 4096;
	test_connections = 10;
	prepare(4);
	fake.no_meters = true;
	begin_prepared();
	assert_true(offload_connections_usable(offload, NULL));
	end(state);
	test_places = 4096;
	test_connections = 10;
	prepare(4);
	fake.no_item[RTE_FLOW_ITEM_TYPE_TCP] = true;
	begin_prepared();
	assert_false(offload_connections_usable(offload, NULL));
	add_pod(&pod);
	assert_int_equal(status_of(0).state, OFFLOAD_FULL);
	assert_true(fake_metered_in_nic(0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(both_directions_have_one_place_that_all_frames_pass),
		TEST(one_direction_takes_nothing_of_the_other),
		TEST(what_is_refused_leaves_the_limit_to_the_graph),
		TEST(without_a_meter_left_the_pod_has_no_rules_until_there_is_one),
		TEST(a_nic_that_cannot_meter_is_not_asked_to),
		TEST(a_reset_gives_the_limit_back_to_the_graph_at_once),
		TEST(what_meters_counted_outlives_them_and_is_the_pods_alone),
		TEST(a_pod_with_another_limit_in_the_same_place_gets_another_meter),
		TEST(meters_come_back_with_the_uplink),
		TEST(withdrawn_rules_leave_the_limit_to_the_graph_until_they_are_back),
		TEST(what_does_not_let_itself_be_withdrawn_is_metered_by_the_graph),
		TEST(what_the_nic_goes_on_forwarding_it_goes_on_limiting),
		TEST(a_limit_that_the_nic_cannot_keep_outlasts_a_withdrawal),
		TEST(limits_and_connections_go_each_without_the_other),
	};
	int failed = cmocka_run_group_tests_name("synchronous", tests, use_synchronous, NULL);

	return failed + cmocka_run_group_tests_name("asynchronous", tests, use_asynchronous, NULL);
}
