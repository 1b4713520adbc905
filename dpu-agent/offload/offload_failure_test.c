// SPDX-License-Identifier: BSD-3-Clause
//
// A NIC that refuses, is full, loses rules or stops answering: what is left, what is told, and that
// it is mended without anyone asking.

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_ethdev.h>

#include "offload/fixture_test.h"

// ---- an insert that fails -----------------------------------------------------------------------

static void whichever_rule_is_refused_the_pod_has_none_of_that_family_and_says_why(void **state)
{
	for (int late = 0; late <= (is_asynchronous() ? 1 : 0); late++) {
		for (unsigned int nth = 1; nth <= POD_RULES; nth++) {
			begin(4);
			add(1);
			fake.fail_late = late;
			fake.fail_insert = nth;
			add(0);
			assert_int_equal(fake.fail_insert, 0);
			expect_one_family(0, status_of(0).reason);
			if (strstr(status_of(0).reason, "the NIC refuses the rule \"IPv") == NULL ||
			    strstr(status_of(0).reason, late ? "rejected" : "made to fail") == NULL)
				fail_msg("reason: %s", status_of(0).reason);
			expect_full(1);
			assert_int_equal(summary().failed, 1);
			assert_int_equal(summary().rules_missing, FAMILY_RULES);
			assert_string_equal(summary().missing_reason, status_of(0).reason);

			offload_retry(offload);
			expect_full(0);
			assert_int_equal(summary().rules_missing, 0);
			assert_string_equal(summary().missing_reason, "");
			end(state);
		}
	}
	begin(4);
}

static void what_was_installed_is_rolled_back_in_reverse(void **state)
{
	if (is_asynchronous()) { // the NIC does what is pushed together in any order
		begin(4);
		return;
	}
	for (unsigned int nth = 1; nth <= POD_RULES; nth++) {
		size_t last = SIZE_MAX, removed = 0;

		begin(4);
		fake.fail_insert = nth;
		add(0);
		for (size_t i = 0; i < fake_history_count(); i++) {
			if (fake_history(i)[0] != '-')
				continue;
			size_t inserted = 0;
			while (strcmp(fake_history(inserted) + 1, fake_history(i) + 1) != 0)
				inserted++;
			assert_true(inserted < last);
			last = inserted;
			removed++;
		}
		// A family's rules are numbers 1, 2 and 5, or 3, 4 and 6.
		assert_int_equal(removed, nth > 4 ? 2 : nth % 2 == 0);
		assert_int_equal(fake_history_count(), FAMILY_RULES + 2 * removed);
		end(state);
	}
	begin(4);
}

static bool whole_families_only(uint32_t vf)
{
	return rules_of_family(vf, 4) % FAMILY_RULES == 0 &&
	       rules_of_family(vf, 6) % FAMILY_RULES == 0;
}

static void one_of_many_that_is_refused_does_not_take_others_with_it(void **state)
{
	struct offload_pod pods[30];

	begin(30);
	for (uint32_t vf = 0; vf < 30; vf++)
		pods[vf] = fake_pod(vf);
	fake.fail_insert = 50;
	fake.fail_late = is_asynchronous();
	offload_add(offload, pods, 30);
	assert_int_equal(summary().pods_full, 29);
	assert_int_equal(summary().pods_partial, 1);
	assert_int_equal(fake_rule_count(), SHARED_RULES + 29 * POD_RULES + FAMILY_RULES);
	for (uint32_t vf = 0; vf < 30; vf++)
		assert_true(whole_families_only(vf));
}

static void shared_rules_that_are_refused_are_tried_again_and_the_pods_after_them(void **state)
{
	for (unsigned int nth = 1; nth <= SHARED_RULES; nth++) {
		prepare(4);
		fake.fail_insert = nth;
		begin_prepared();
		assert_int_equal(fake_rule_count(), 0);
		assert_false(summary().usable);
		if (strstr(summary().why_not, "made to fail") == NULL)
			fail_msg("why: %s", summary().why_not);
		add(0);
		expect_none(0, summary().why_not);
		offload_retry(offload);
		assert_true(summary().usable);
		assert_string_equal(summary().why_not, "");
		expect_full(0);
		end(state);
	}
	begin(4);
}

// ---- a full table -------------------------------------------------------------------------------

static void a_full_table_is_said_and_what_is_missing_comes_when_there_is_room(void **state)
{
	begin(8);
	fake.capacity = SHARED_RULES + 2 * POD_RULES + FAMILY_RULES;
	for (uint32_t vf = 0; vf < 5; vf++)
		add(vf);
	expect_full(0);
	expect_full(1);
	expect_one_family(2, "table full");
	for (uint32_t vf = 3; vf < 5; vf++)
		expect_none(vf, "table full");
	assert_int_equal(summary().rules_missing, FAMILY_RULES + 2 * POD_RULES);
	assert_string_equal(summary().missing_reason, "table full");
	for (int tick = 0; tick < 4; tick++)
		offload_retry(offload);
	expect_one_family(2, "table full");
	assert_int_equal(summary().pods_none, 2);

	// Room by a pod that leaves, then by the NIC.
	remove_pod(0);
	for (int tick = 0; tick < 4; tick++)
		offload_retry(offload);
	expect_full(1);
	assert_int_equal(fake_rule_count(), fake.capacity);
	assert_int_equal(summary().rules_missing, FAMILY_RULES + POD_RULES);
	for (uint32_t vf = 2; vf < 5; vf++)
		assert_true(whole_families_only(vf));
	fake.capacity = 0;
	offload_retry(offload);
	for (uint32_t vf = 1; vf < 5; vf++)
		expect_full(vf);
	assert_int_equal(summary().rules_missing, 0);
}

static void a_full_table_is_knocked_at_once_in_a_retry(void **state)
{
	begin(200);
	fake.capacity = SHARED_RULES + POD_RULES;
	for (uint32_t vf = 0; vf < 200; vf++)
		add(vf);
	uint64_t failed = summary().failed;
	offload_retry(offload);
	assert_in_range(summary().failed - failed, 1, POD_RULES);
}

static void a_bulk_that_fills_the_table_leaves_whole_families_only(void **state)
{
	enum { PODS = 300, ROOM = 1000 };
	static struct offload_pod pods[PODS];

	begin(PODS);
	for (uint32_t vf = 0; vf < PODS; vf++)
		pods[vf] = fake_pod(vf);
	fake.capacity = SHARED_RULES + ROOM;
	offload_add(offload, pods, PODS);
	for (uint32_t vf = 0; vf < PODS; vf++)
		assert_true(whole_families_only(vf));
	assert_int_equal(fake_rule_count() - SHARED_RULES,
			 summary().pods_full * POD_RULES + summary().pods_partial * FAMILY_RULES);
	assert_int_equal(summary().pods_none + summary().pods_partial + summary().pods_full, PODS);

	// All the room is used in the end, however the bulk was cut.
	for (int tick = 0; tick < PODS; tick++)
		offload_retry(offload);
	assert_in_range(fake_rule_count() - SHARED_RULES, ROOM - POD_RULES + 1, ROOM);
	fake.capacity = 0;
	fake.pushes = 0;
	for (int tick = 0; tick < 20; tick++)
		offload_retry(offload);
	assert_int_equal(summary().pods_full, PODS);
	if (is_asynchronous()) // in bulk as soon as the first is in
		assert_in_range(fake.pushes, 1, 40);
}

// One that is always refused must not stand in the way of the others.
static void every_pod_has_its_turn(void **state)
{
	begin(64);
	fake.fail_all = true;
	for (uint32_t vf = 0; vf < 64; vf++)
		add(vf);
	assert_int_equal(summary().pods_none, 64);
	uint64_t failed = summary().failed;
	offload_retry(offload);
	assert_in_range(summary().failed - failed, 1, 8 * POD_RULES); // bounded

	fake.fail_all = false;
	for (int tick = 0; tick < 64 && summary().pods_none > 0; tick++) {
		fake.fail_insert = 1; // the first of each retry
		offload_retry(offload);
	}
	fake.fail_insert = 0;
	offload_retry(offload);
	assert_int_equal(summary().pods_full, 64);
}

static void nothing_is_done_in_a_retry_when_nothing_is_missing(void **state)
{
	begin(4);
	add(0);
	fake_forget_history();
	fake.pushes = 0;
	for (int tick = 0; tick < 10; tick++)
		offload_retry(offload);
	assert_int_equal(fake_history_count() + fake.pushes, 0);
}

// How far a pod's rules are; all of them, in the end.
static size_t half_done_pods(uint32_t pods)
{
	size_t count = 0;

	for (uint32_t vf = 0; vf < pods; vf++)
		count += rules_of(vf) > 0 && rules_of(vf) < POD_RULES;
	return count;
}

// Calls wait for as long as rules go in.
static void slow_inserts_do_not_hold_the_agent_up(void **state)
{
	enum { PODS = 20, FIRST_BURST = 4 };
	static const uint32_t insert_ms[] = {1, 10, 200, 2000};
	struct offload_pod pods[PODS];

	for (size_t i = 0; i < sizeof(insert_ms) / sizeof(insert_ms[0]); i++) {
		const int64_t over = (is_asynchronous() ? FIRST_BURST : 1) * insert_ms[i];
		int64_t start_ms;

		begin(PODS);
		for (uint32_t vf = 0; vf < PODS; vf++)
			pods[vf] = fake_pod(vf);
		fake.insert_ms = insert_ms[i];
		start_ms = fake_now_ms();
		offload_add(offload, pods, PODS);
		assert_in_range(fake_now_ms() - start_ms, insert_ms[i], 200 + 2 * PODS + over);
		for (int tick = 0; tick < 1000 && summary().rules_missing > 0; tick++) {
			start_ms = fake_now_ms();
			offload_retry(offload);
			assert_in_range(fake_now_ms() - start_ms, 1, 100 + over);
			if (!is_asynchronous())
				assert_in_range(half_done_pods(PODS), 0, 1);
		}
		assert_int_equal(fake.inserts, PODS * POD_RULES); // none of them twice
		for (uint32_t vf = 0; vf < PODS; vf++)
			expect_full(vf);
		end(state);
	}
	begin(4);
}

// Add a pod of which only some rules are in when time is up.
static void add_half(uint32_t vf)
{
	fake.insert_ms = 200;
	add(vf);
	fake.insert_ms = 0;
	assert_in_range(rules_of(vf), 1, POD_RULES - 1);
	assert_int_equal(status_of(vf).state, OFFLOAD_PARTIAL);
	assert_string_equal(status_of(vf).reason, "not yet installed");
	assert_int_equal(summary().rules_missing, POD_RULES - rules_of(vf));
	assert_string_equal(summary().missing_reason, "not yet installed");
}

static void whatever_happens_to_a_pod_whose_rules_are_half_done_is_done_wholly(void **state)
{
	struct offload_pod changed = fake_pod(2);

	begin(4);
	add_half(0);
	remove_pod(0);
	assert_int_equal(fake_rule_count(), SHARED_RULES);

	add_half(1);
	fake_event(FAKE_FIRST_FUNCTION + 1, RTE_ETH_EVENT_INTR_RESET);
	fake.removals = 0;
	offload_retry(offload);
	assert_true(fake.removals > 0);
	expect_full(1);

	add_half(2);
	changed.ipv4.s_addr = htonl(0x0a58002a);
	add_pod(&changed);
	assert_int_equal(status_of(2).state, OFFLOAD_FULL);
	assert_int_equal(fake_rules_with("10.88.0.4 "), 0);
	assert_int_equal(fake_rules_with("10.88.0.42"), 3);

	add_half(3);
	fake.fail_insert = 1;
	offload_retry(offload);
	expect_one_family(3, status_of(3).reason);
	offload_retry(offload);
	expect_full(3);
	assert_int_equal(fake_rule_count(), SHARED_RULES + 3 * POD_RULES);

	// Why rules were missing is no reason of those that are missing now.
	add_half(0);
}

// ---- a function that is reset -------------------------------------------------------------------

static void a_function_that_was_reset_has_its_rules_made_again_and_no_other(void **state)
{
	begin(4);
	add(0);
	add(1);
	fake_forget_history();
	fake_event(FAKE_FIRST_FUNCTION + 1, RTE_ETH_EVENT_INTR_RESET);
	assert_int_equal(fake_history_count(), 0); // not on the interrupt's thread
	offload_retry(offload);
	assert_int_equal(fake_history_count(), 2 * POD_RULES);
	for (size_t i = 0; i < 2 * POD_RULES; i++) {
		assert_int_equal(fake_history(i)[0], i < POD_RULES ? '-' : '+');
		if (strstr(fake_history(i), "10.88.0.3") == NULL &&
		    strstr(fake_history(i), "fd00::3") == NULL)
			fail_msg("%s", fake_history(i));
	}
	expect_full(0);
	expect_full(1);
	fake_forget_history();
	offload_retry(offload);
	assert_int_equal(fake_history_count(), 0);
}

static void a_reset_that_cannot_be_mended_at_once_is_mended_later(void **state)
{
	begin(4);
	add(0);
	fake_event(FAKE_FIRST_FUNCTION, RTE_ETH_EVENT_INTR_RMV);
	fake.fail_all = true;
	fake.fail_errno = ENODEV;
	offload_retry(offload);
	assert_int_equal(rules_of(0), 0);
	assert_int_equal(status_of(0).state, OFFLOAD_NONE);
	fake.fail_all = false;
	offload_retry(offload);
	expect_full(0);
}

static void a_reset_of_the_uplink_is_a_reset_of_all(void **state)
{
	begin(4);
	add(0);
	add(1);
	fake_forget_history();
	fake_event(FAKE_UPLINK, RTE_ETH_EVENT_INTR_RESET);
	offload_retry(offload);
	assert_int_equal(fake_history_count(), 2 * (SHARED_RULES + 2 * POD_RULES));
	expect_full(0);
	expect_full(1);
	assert_true(summary().usable);
}

static void events_of_ports_without_a_pod_mean_nothing(void **state)
{
	begin(4);
	add(0);
	fake_forget_history();
	fake_event(FAKE_FIRST_FUNCTION + 2, RTE_ETH_EVENT_INTR_RESET);
	fake_event(500, RTE_ETH_EVENT_INTR_RESET); // another NIC's
	offload_retry(offload);
	assert_int_equal(fake_history_count(), 0);
	add(2); // the event of before is not this pod's
	fake_forget_history();
	offload_retry(offload);
	assert_int_equal(fake_history_count(), 0);
}

// ---- rules that are not what they should be -----------------------------------------------------

static void a_check_finds_rules_that_the_nic_lost_and_they_are_made_again(void **state)
{
	const struct offload_pod pods[] = {fake_pod(0), fake_pod(1)};
	char reason[LIMIT_TEXT + 1] = "";

	begin(4);
	add(0);
	fake.capacity = fake_rule_count();
	add(1);
	for (size_t i = 0; i < 2; i++) // what was never installed is not lost
		assert_true(offload_check(offload, &pods[i], reason));
	fake.forgets = true;
	assert_false(offload_check(offload, &pods[0], reason));
	if (strstr(reason, "no longer knows the rule \"IPv4") == NULL)
		fail_msg("reason: %s", reason);
	assert_string_equal(status_of(0).reason, reason);
	assert_int_equal(status_of(0).state, OFFLOAD_NONE);
	fake.forgets = false;
	fake.removals = 0;
	offload_retry(offload);
	assert_int_equal(fake.removals, POD_RULES);
	expect_full(0);
	assert_true(offload_check(offload, &pods[0], reason));
}

static void a_check_finds_rules_that_are_not_this_pods(void **state)
{
	struct offload_pod moved = fake_pod(0);
	char reason[LIMIT_TEXT + 1] = "";

	begin(4);
	add(0);
	moved.ipv4.s_addr = htonl(0x0a58002a);
	assert_false(offload_check(offload, &moved, reason));
	assert_string_equal(reason, "they are another pod's");
	offload_retry(offload);
	assert_true(offload_check(offload, &moved, reason));
	assert_int_equal(fake_rules_with("10.88.0.42"), 3);
	assert_int_equal(fake_rule_count(), SHARED_RULES + POD_RULES);
}

// ---- rules that stay ----------------------------------------------------------------------------

static void a_rule_that_cannot_be_removed_is_tried_again_until_it_can(void **state)
{
	begin(4);
	add(0);
	fake.fail_removals = true;
	remove_pod(0);
	assert_int_equal(rules_of(0), POD_RULES);
	assert_int_equal(summary().rules, SHARED_RULES + POD_RULES);
	assert_int_equal(status_of(0).state, OFFLOAD_OFF);
	offload_retry(offload);
	assert_int_equal(rules_of(0), POD_RULES);
	fake.fail_removals = false;
	offload_retry(offload);
	assert_int_equal(rules_of(0), 0);
	assert_int_equal(summary().rules, SHARED_RULES);
}

// The address of a pod that left goes to another: a frame must not meet the rule of the first.
static void a_pod_has_no_rules_while_a_rule_of_its_addresss_last_holder_is_there(void **state)
{
	struct offload_pod heir = fake_pod(1);

	begin(4);
	add(0);
	fake.fail_removals = true;
	remove_pod(0);
	heir.ipv4 = fake_pod(0).ipv4;
	heir.ipv6 = fake_pod(0).ipv6;
	add_pod(&heir);
	assert_int_equal(status_of(1).state, OFFLOAD_NONE);
	assert_string_equal(status_of(1).reason,
			    "the NIC does not remove a rule of a pod that has left");
	assert_int_equal(fake_rules_with("port=10 "), 0);
	fake.fail_removals = false;
	offload_retry(offload);
	assert_int_equal(status_of(1).state, OFFLOAD_FULL);
	assert_int_equal(fake_rule_count(), SHARED_RULES + POD_RULES);
}

static void a_slot_whose_old_rules_stay_waits_for_them(void **state)
{
	struct offload_pod heir = fake_pod(0);

	begin(4);
	add(0);
	fake_hit("g3 p0 type=0800", 5, 500);
	fake.fail_removals = true;
	remove_pod(0);
	heir.ipv4.s_addr = htonl(0x0a58002a);
	add_pod(&heir);
	assert_int_equal(status_of(0).state, OFFLOAD_NONE);
	assert_int_equal(status_of(0).tx_packets, 0); // those were another's
	fake.fail_removals = false;
	offload_retry(offload);
	assert_int_equal(status_of(0).state, OFFLOAD_FULL);
	assert_int_equal(status_of(0).tx_packets, 0);
	assert_int_equal(fake_rules_with("10.88.0.42"), 3);
	assert_int_equal(fake_rules_with("10.88.0.2"), 0);
}

// ---- a NIC that stops answering -----------------------------------------------------------------

static void a_nic_that_completes_nothing_does_not_hang_the_agent(void **state)
{
	begin(4);
	if (!is_asynchronous())
		return; // it would hang in the driver
	add(0);
	fake.silent = true;
	add(1);
	assert_int_equal(status_of(1).state, OFFLOAD_NONE);
	if (strstr(status_of(1).reason, "the NIC does not answer") == NULL)
		fail_msg("reason: %s", status_of(1).reason);
	fake.pushes = 0;
	offload_retry(offload);
	assert_int_equal(fake.pushes, 0); // it is not asked again, which would take as long
	assert_int_equal(status_of(1).state, OFFLOAD_NONE);

	// The port starts again, and all is well.
	fake.silent = false;
	fake_stop_uplink();
	fake_async_forget();
	begin_prepared();
	expect_full(0);
	expect_full(1);
}

static void a_short_queue_takes_it_all_in_turns(void **state)
{
	struct offload_pod pods[20];

	prepare(20);
	fake.queue_max = 5;
	begin_prepared();
	for (uint32_t vf = 0; vf < 20; vf++)
		pods[vf] = fake_pod(vf);
	offload_add(offload, pods, 20);
	for (uint32_t vf = 0; vf < 20; vf++)
		expect_full(vf);
}

#define TESTS                                                                                        \
	{                                                                                            \
		TEST(whichever_rule_is_refused_the_pod_has_none_of_that_family_and_says_why),        \
			TEST(what_was_installed_is_rolled_back_in_reverse),                          \
			TEST(one_of_many_that_is_refused_does_not_take_others_with_it),              \
			TEST(shared_rules_that_are_refused_are_tried_again_and_the_pods_after_them), \
			TEST(a_full_table_is_said_and_what_is_missing_comes_when_there_is_room),     \
			TEST(a_full_table_is_knocked_at_once_in_a_retry),                            \
			TEST(a_bulk_that_fills_the_table_leaves_whole_families_only),                \
			TEST(every_pod_has_its_turn),                                                \
			TEST(nothing_is_done_in_a_retry_when_nothing_is_missing),                    \
			TEST(slow_inserts_do_not_hold_the_agent_up),                                 \
			TEST(whatever_happens_to_a_pod_whose_rules_are_half_done_is_done_wholly),    \
			TEST(a_function_that_was_reset_has_its_rules_made_again_and_no_other),       \
			TEST(a_reset_that_cannot_be_mended_at_once_is_mended_later),                 \
			TEST(a_reset_of_the_uplink_is_a_reset_of_all),                               \
			TEST(events_of_ports_without_a_pod_mean_nothing),                            \
			TEST(a_check_finds_rules_that_the_nic_lost_and_they_are_made_again),         \
			TEST(a_check_finds_rules_that_are_not_this_pods),                            \
			TEST(a_rule_that_cannot_be_removed_is_tried_again_until_it_can),             \
			TEST(a_pod_has_no_rules_while_a_rule_of_its_addresss_last_holder_is_there),  \
			TEST(a_slot_whose_old_rules_stay_waits_for_them),                            \
			TEST(a_nic_that_completes_nothing_does_not_hang_the_agent),                  \
			TEST(a_short_queue_takes_it_all_in_turns),                                   \
	}

int main(void)
{
	const struct CMUnitTest synchronous[] = TESTS, asynchronous[] = TESTS;
	int failed = cmocka_run_group_tests(synchronous, use_synchronous, NULL);

	return failed + cmocka_run_group_tests(asynchronous, use_asynchronous, NULL);
}
