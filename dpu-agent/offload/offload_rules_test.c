// SPDX-License-Identifier: BSD-3-Clause
//
// Rules as they are when nothing fails: which, in which order, how many operations, what is told of
// them. All with both APIs.

#include <stdio.h>
#include <string.h>

#include "offload/fixture_test.h"

// ---- what is installed --------------------------------------------------------------------------

static void the_shared_rules_keep_what_is_not_to_be_forwarded_from_the_pods_rules(void **state)
{
	begin(4);
	assert_int_equal(fake_rule_count(), SHARED_RULES);
	assert_string_equal(fake_rule_with("g0"), "g0 p1 port=* > jump=1");
	assert_string_equal(fake_rule_with("type=0800 ttl=0"), "g1 p0 type=0800 ttl=0 > jump=4");
	assert_string_equal(fake_rule_with("type=0800 ttl=1"), "g1 p0 type=0800 ttl=1 > jump=4");
	assert_string_equal(fake_rule_with("type=86dd ttl=0"), "g1 p0 type=86dd ttl=0 > jump=4");
	assert_string_equal(fake_rule_with("type=86dd ttl=1"), "g1 p0 type=86dd ttl=1 > jump=4");
	for (int type = 133; type <= 137; type++) {
		char text[64];

		snprintf(text, sizeof(text), "g1 p0 type=86dd proto=58 icmp6=%d > jump=4", type);
		assert_string_equal(fake_rule_with(text), text);
	}
	assert_string_equal(fake_rule_with("udp=67"), "g1 p0 type=0800 udp=67-68 > jump=4");
	assert_string_equal(fake_rule_with("udp=547"), "g1 p0 type=86dd udp=547-546 > jump=4");
}

static void a_pod_has_a_rule_for_each_step_and_family(void **state)
{
	begin(4);
	add(1);
	assert_string_equal(fake_rule_with("g1 p1 type=0800"),
			    "g1 p1 type=0800 dst=02:00:00:00:00:01 untagged ihl=45 "
			    "ip.dst=10.88.0.3 l3_ok > jump=2");
	assert_string_equal(fake_rule_with("g1 p1 type=86dd"),
			    "g1 p1 type=86dd dst=02:00:00:00:00:01 untagged ip.dst=fd00::3 l3_ok "
			    "> jump=2");
	assert_string_equal(fake_rule_with("g2 p0 port=10 type=0800"),
			    "g2 p0 port=10 type=0800 src=02:00:00:01:00:01 dst=02:00:00:00:00:01 "
			    "ip.src=10.88.0.3 > count jump=3");
	assert_string_equal(fake_rule_with("g2 p0 port=10 type=86dd"),
			    "g2 p0 port=10 type=86dd src=02:00:00:01:00:01 dst=02:00:00:00:00:01 "
			    "ip.src=fd00::3 > count jump=3");
	assert_string_equal(fake_rule_with("g3 p0 type=0800"),
			    "g3 p0 type=0800 ip.dst=10.88.0.3 > count set.src=02:00:00:00:00:01 "
			    "set.dst=02:00:00:01:00:01 dec_ttl to=10");
	assert_string_equal(fake_rule_with("g3 p0 type=86dd"),
			    "g3 p0 type=86dd ip.dst=fd00::3 > count set.src=02:00:00:00:00:01 "
			    "set.dst=02:00:00:01:00:01 dec_ttl to=10");
	expect_full(1);
	assert_int_equal(fake_rule_count(), SHARED_RULES + POD_RULES);
	remove_pod(1);
	assert_int_equal(fake_rule_count(), SHARED_RULES);
	assert_int_equal(status_of(1).state, OFFLOAD_OFF);
}

static void a_pod_of_one_family_has_that_familys_rules_only(void **state)
{
	struct offload_pod pod = fake_pod(0);

	begin(4);
	pod.has_ipv6 = false;
	add_pod(&pod);
	assert_int_equal(fake_rule_count(), SHARED_RULES + 3);
	assert_int_equal(fake_rules_with("10.88.0.2"), 3);
	assert_int_equal(status_of(0).state, OFFLOAD_FULL);
	assert_int_equal(status_of(0).rules_wanted, 3);

	pod = fake_pod(1);
	pod.has_ipv4 = false;
	add_pod(&pod);
	assert_int_equal(fake_rule_count(), SHARED_RULES + 6);
	assert_int_equal(fake_rules_with("fd00::3"), 3);
	assert_int_equal(status_of(1).state, OFFLOAD_FULL);
}

static void without_lengths_only_the_direction_that_fits_is_offloaded(void **state)
{
	struct offload_pod below = fake_pod(0), above = fake_pod(1);

	prepare(4);
	fake.no_lengths = true;
	begin_prepared();
	below.mtu = 1400;
	above.mtu = 9000;
	add_pod(&below);
	assert_int_equal(fake_rule_count(), SHARED_RULES + 2);
	assert_int_equal(fake_rules_with("g2 p0 port=9 "), 2);
	assert_int_equal(status_of(0).state, OFFLOAD_PARTIAL);
	assert_string_equal(status_of(0).reason, "MTU 1400 is below the pod network's 1500");

	add_pod(&above);
	assert_int_equal(fake_rule_count(), SHARED_RULES + 2 + 4);
	assert_int_equal(fake_rules_with("g2 p0 port=10 "), 0);
	assert_int_equal(status_of(1).state, OFFLOAD_PARTIAL);
	assert_string_equal(status_of(1).reason, "MTU 9000 is above the pod network's 1500");
	assert_int_equal(summary().pods_partial, 2);
	assert_int_equal(summary().rules_missing, 0); // nothing that the NIC could do
	fake.inserts = 0;
	offload_retry(offload);
	assert_int_equal(fake.inserts, 0);
}

// ---- order --------------------------------------------------------------------------------------

// Whatever the order in which the NIC completes what is asked of it together.
static void what_leads_to_a_rule_is_installed_after_it_and_removed_before_it(void **state)
{
	static const char *const families[] = {"type=0800", "type=86dd"};

	for (int backwards = 0; backwards <= 1; backwards++) {
		begin(4);
		fake.backwards = backwards;
		add(0);
		remove_pod(0);
		for (int i = 0; i < 2; i++) {
			char in[32], out[32], from[32];

			snprintf(in, sizeof(in), "+ g1 p1 %s", families[i]);
			snprintf(out, sizeof(out), "+ g3 p0 %s", families[i]);
			assert_true(step(out) < step(in));
			snprintf(from, sizeof(from), "+ g2 p0 port=9 %s", families[i]);
			assert_true(step(from) < POD_RULES);
			in[0] = out[0] = from[0] = '-';
			assert_true(step(in) < step(out));
			assert_true(step(in) < step(from));
		}
		assert_int_equal(fake_history_count(), 2 * POD_RULES);
		end(state);
	}
	begin(4);
}

static void no_frame_enters_before_the_shared_rules_are_in(void **state)
{
	begin(4);
	end(state);
	assert_string_equal(fake_history(0), "- g0 p1 port=* > jump=1");
	fake_forget_history();

	prepare(4);
	begin_prepared();
	assert_int_equal(fake_history_count(), SHARED_RULES);
	assert_string_equal(fake_history(SHARED_RULES - 1), "+ g0 p1 port=* > jump=1");
}

// ---- cost ---------------------------------------------------------------------------------------

static void the_thousandth_pod_costs_what_the_second_did(void **state)
{
	uint32_t inserts, removals, pushes;

	begin(1000);
	add(0);
	for (uint32_t vf = 1; vf < 1000; vf++) {
		const bool last = vf == 999;

		fake.inserts = fake.removals = fake.pushes = 0;
		add(vf);
		if (vf == 1) {
			inserts = fake.inserts;
			removals = fake.removals;
			pushes = fake.pushes;
		}
		if (last) {
			assert_int_equal(fake.inserts, inserts);
			assert_int_equal(fake.removals, removals);
			assert_int_equal(fake.pushes, pushes);
		}
	}
	assert_int_equal(inserts, POD_RULES);
	assert_int_equal(removals, 0);
	assert_int_equal(summary().pods_full, 1000);
	assert_int_equal(summary().rules, SHARED_RULES + 1000 * POD_RULES);
}

static void a_restart_installs_all_pods_in_bulk(void **state)
{
	enum { PODS = 1000 };
	static struct offload_pod pods[PODS];

	begin(PODS);
	for (uint32_t vf = 0; vf < PODS; vf++)
		pods[vf] = fake_pod(vf);
	fake.pushes = 0;
	offload_add(offload, pods, PODS);
	for (uint32_t vf = 0; vf < PODS; vf += 37)
		expect_full(vf);
	assert_int_equal(summary().pods_full, PODS);
	assert_int_equal(fake.inserts, PODS * POD_RULES);
	if (is_asynchronous())
		assert_in_range(fake.pushes, 1, PODS / 5);
}

static void pods_that_came_before_the_uplink_are_installed_when_it_starts(void **state)
{
	prepare(4);
	add(2);
	assert_int_equal(status_of(2).state, OFFLOAD_NONE);
	assert_string_equal(status_of(2).reason, "the uplink port is not started");
	assert_false(summary().usable);
	begin_prepared();
	expect_full(2);
}

// ---- changes ------------------------------------------------------------------------------------

static void adding_a_pod_again_as_it_is_does_nothing(void **state)
{
	begin(4);
	add(0);
	fake.inserts = fake.removals = 0;
	add(0);
	assert_int_equal(fake.inserts + fake.removals, 0);
	expect_full(0);
}

static void adding_a_pod_again_with_another_address_replaces_its_rules(void **state)
{
	struct offload_pod pod = fake_pod(0);

	begin(4);
	add(0);
	fake_hit("g3 p0 type=0800", 3, 300);
	pod.ipv4.s_addr = htonl(0x0a58002a);
	add_pod(&pod);
	assert_int_equal(fake_rules_with("10.88.0.2"), 0);
	assert_int_equal(fake_rules_with("10.88.0.42"), 3);
	assert_int_equal(fake_rule_count(), SHARED_RULES + POD_RULES);
	assert_int_equal(status_of(0).tx_packets, 3);
}

static void an_uplink_that_starts_again_has_all_rules_again(void **state)
{
	for (int keeps = 0; keeps <= 1; keeps++) {
		begin(4);
		add(0);
		add(1);
		fake_hit("g3 p0 type=0800 ip.dst=10.88.0.2 ", 3, 300);
		status_of(0);
		fake.keeps = keeps;
		fake_stop_uplink();
		begin_prepared();
		expect_full(0);
		expect_full(1);
		assert_int_equal(fake_rule_count(), SHARED_RULES + 2 * POD_RULES);
		assert_int_equal(status_of(0).tx_packets, 3);
		end(state);
	}
	begin(4);
}

static void beginning_again_with_another_router_remakes_all_rules(void **state)
{
	struct offload_router router = {.mac = {{0x02, 0, 0, 0, 0, 9}}, .mtu = 1500};

	begin(4);
	add(0);
	offload_begin(offload, &router);
	expect_full(0);
	assert_int_equal(fake_rules_with("02:00:00:00:00:01 "), 0);
	assert_int_equal(fake_rules_with("02:00:00:00:00:09 "), 6);
}

// ---- what is told -------------------------------------------------------------------------------

static void rules_are_listed_in_the_order_of_their_ids_with_what_they_do(void **state)
{
	struct offload_rule rule;
	uint64_t after = 0;
	size_t of_pod = 0, count = 0;
	bool seen = false, opening = false;

	begin(4);
	add(0);
	add(3);
	remove_pod(0);
	fake_hit("g2 p0 port=12 type=0800", 7, 700);
	fake_wait(5000);
	while (offload_next_rule(offload, after, &rule)) {
		assert_true(rule.id > after);
		after = rule.id;
		count++;
		assert_int_equal(rule.age_ms, 5000);
		if (!rule.has_slot)
			continue;
		of_pod++;
		assert_int_equal(rule.slot, FAKE_FIRST_SLOT + 3);
		opening |= strcmp(rule.match, "eth dst 02:00:00:00:00:01 untagged ipv4 dst "
					      "10.88.0.5 without options intact") == 0;
		if (strcmp(rule.match, "from pf0vf3 eth src 02:00:00:01:00:03 dst "
				       "02:00:00:00:00:01 ipv4 src 10.88.0.5") != 0)
			continue;
		seen = true;
		assert_int_equal(rule.group, 2);
		assert_string_equal(rule.actions, "count, jump 3");
		assert_true(rule.counted);
		assert_int_equal(rule.packets, 7);
		assert_int_equal(rule.bytes, 700);
	}
	assert_true(seen && opening);
	assert_int_equal(of_pod, POD_RULES);
	assert_int_equal(count, SHARED_RULES + POD_RULES);
}

static void the_list_is_whole_after_any_number_of_changes(void **state)
{
	enum { ROUNDS = 4000 };
	struct offload_rule rule;
	uint64_t after = 0, first = 0;
	size_t count = 0;

	begin(64);
	for (uint32_t round = 0; round < ROUNDS; round++) {
		fake_forget_history();
		add(round % 64);
		if (round >= 3)
			remove_pod((round - 3) % 64);
	}
	while (offload_next_rule(offload, after, &rule)) {
		after = rule.id;
		if (rule.has_slot && first == 0)
			first = rule.id;
		count++;
	}
	assert_int_equal(count, SHARED_RULES + 3 * POD_RULES);
	assert_int_equal(after, SHARED_RULES + ROUNDS * POD_RULES);
	assert_int_equal(first, after - 3 * POD_RULES + 1);
	assert_int_equal(summary().inserted, SHARED_RULES + ROUNDS * POD_RULES);
	assert_int_equal(summary().removed, (ROUNDS - 3) * POD_RULES);
}

static void switched_off_nothing_is_asked_of_the_nic(void **state)
{
	const struct offload_config config = {.nic = fake_handle(), .enabled = false};
	struct error err;

	fake_reset(4, is_asynchronous());
	assert_int_equal(offload_new(&config, &offload, &err), 0);
	begin_prepared();
	add(0);
	offload_retry(offload);
	assert_int_equal(fake.asked + fake.inserts, 0);
	assert_int_equal(status_of(0).state, OFFLOAD_OFF);
	assert_false(summary().enabled);
	remove_pod(0);
}

#define TESTS                                                                                      \
	{                                                                                          \
		TEST(the_shared_rules_keep_what_is_not_to_be_forwarded_from_the_pods_rules),       \
			TEST(a_pod_has_a_rule_for_each_step_and_family),                           \
			TEST(a_pod_of_one_family_has_that_familys_rules_only),                     \
			TEST(without_lengths_only_the_direction_that_fits_is_offloaded),           \
			TEST(what_leads_to_a_rule_is_installed_after_it_and_removed_before_it),    \
			TEST(no_frame_enters_before_the_shared_rules_are_in),                      \
			TEST(the_thousandth_pod_costs_what_the_second_did),                        \
			TEST(a_restart_installs_all_pods_in_bulk),                                 \
			TEST(pods_that_came_before_the_uplink_are_installed_when_it_starts),       \
			TEST(adding_a_pod_again_as_it_is_does_nothing),                            \
			TEST(adding_a_pod_again_with_another_address_replaces_its_rules),          \
			TEST(an_uplink_that_starts_again_has_all_rules_again),                     \
			TEST(beginning_again_with_another_router_remakes_all_rules),               \
			TEST(rules_go_with_the_uplink_and_come_back_with_it),                      \
			TEST(rules_are_listed_in_the_order_of_their_ids_with_what_they_do),        \
			TEST(the_list_is_whole_after_any_number_of_changes),                       \
			TEST(switched_off_nothing_is_asked_of_the_nic),                            \
	}

static void rules_go_with_the_uplink_and_come_back_with_it(void **state)
{
	const struct offload_router router = fake_router;

	begin(4);
	add(0);
	add(1);
	offload_end(offload);
	assert_int_equal(fake_rule_count(), 0);
	assert_false(summary().usable);
	remove_pod(1);
	offload_begin(offload, &router);
	expect_full(0);
	assert_int_equal(rules_of(1), 0);
}

int main(void)
{
	const struct CMUnitTest synchronous[] = TESTS, asynchronous[] = TESTS;
	int failed = cmocka_run_group_tests(synchronous, use_synchronous, NULL);

	return failed + cmocka_run_group_tests(asynchronous, use_asynchronous, NULL);
}
