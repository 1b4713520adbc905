// SPDX-License-Identifier: BSD-3-Clause
//
// What is asked of a NIC before it is used, and what is made of the answers.

#include <errno.h>
#include <string.h>

#include <rte_flow.h>

#include "offload/fixture_test.h"

static const struct offload_capability *row(const char *name)
{
	const struct offload_capability *found = capability(name);

	if (found == NULL)
		fail_msg("no row \"%s\"", name);
	return found;
}

static void a_nic_that_does_everything_is_said_to(void **state)
{
	test_icmp6 = true; // which is told
	begin(4);
	for (size_t i = 0; i < offload_capability_count(offload); i++) {
		const struct offload_capability *c = offload_capability(offload, i);

		if (!c->supported && strcmp(c->name, "asynchronous API") != 0)
			fail_msg("%s: %s", c->name, c->remark);
	}
	assert_int_equal(row("asynchronous API")->supported, is_asynchronous());
	if (!is_asynchronous())
		assert_string_equal(row("asynchronous API")->remark, "no templates here");
	assert_false(row("asynchronous API")->needed);
	assert_string_equal(row("meter")->remark, "up to 77");
	assert_true(fake.asked > 20);
}

static void the_preflight_leaves_nothing_behind(void **state)
{
	begin(4);
	// A pattern, actions and a table for each shape but the one not used.
	assert_int_equal(fake.templates, is_asynchronous() ? 3 * 16 : 0);
	assert_int_equal(fake.handles, 0);
	assert_int_equal(fake_rule_count(), SHARED_RULES);
}

static void without_one_of_the_parts_there_is_no_offload_and_it_says_which(void **state)
{
	static const struct {
		int item, action; // one of them
		const char *row;
	} cases[] = {
		{RTE_FLOW_ITEM_TYPE_REPRESENTED_PORT, 0, "jump to a group"},
		{RTE_FLOW_ITEM_TYPE_ETH, 0, "match Ethernet addresses"},
		{RTE_FLOW_ITEM_TYPE_IPV4, 0, "match IPv4 TTL"},
		{RTE_FLOW_ITEM_TYPE_IPV6, 0, "match IPv6 destination"},
		{0, RTE_FLOW_ACTION_TYPE_JUMP, "jump to a group"},
		{0, RTE_FLOW_ACTION_TYPE_COUNT, "count"},
		{0, RTE_FLOW_ACTION_TYPE_REPRESENTED_PORT, "forward to a function"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		prepare(4);
		fake.no_item[cases[i].item] = cases[i].item != 0;
		fake.no_action[cases[i].action] = cases[i].action != 0;
		begin_prepared();
		assert_false(summary().usable);
		assert_string_equal(summary().api, "");
		if (strncmp(summary().why_not, "the NIC cannot ", 15) != 0 ||
		    strstr(summary().why_not, "is not supported") == NULL)
			fail_msg("why: %s", summary().why_not);
		assert_false(row(cases[i].row)->supported);
		assert_true(row(cases[i].row)->needed);
		assert_false(row("take the rules as a whole")->supported);
		assert_int_equal(fake_rule_count(), 0);

		// And that is final.
		add(0);
		assert_int_equal(status_of(0).state, OFFLOAD_OFF);
		assert_string_equal(status_of(0).reason, summary().why_not);
		assert_int_equal(status_of(0).rules_wanted, 0);
		fake.asked = 0;
		offload_retry(offload);
		assert_int_equal(fake.asked, 0);
		end(state);
	}
	begin(4);
}

static void a_driver_without_rte_flow_is_no_error(void **state)
{
	prepare(4);
	fake.no_flow = true;
	fake.async = false;
	begin_prepared();
	assert_false(summary().usable);
	assert_string_equal(summary().why_not,
			    "the NIC cannot take transfer rules: Function not implemented");
	add(0);
	assert_int_equal(status_of(0).state, OFFLOAD_OFF);
}

static void macs_and_ttl_are_rewritten_in_the_way_the_nic_takes(void **state)
{
	static const struct {
		bool no_set, no_dec, no_subtract;
		const char *macs, *ttl, *actions;
	} cases[] = {
		{false, false, false, "by SET_MAC_SRC and SET_MAC_DST", "by DEC_TTL",
		 "> count set.src=02:00:00:00:00:01 set.dst=02:00:00:01:00:00 dec_ttl to=9"},
		{true, false, false, "by MODIFY_FIELD", "by DEC_TTL",
		 "> count modify.src=02:00:00:00:00:01 modify.dst=02:00:00:01:00:00 dec_ttl to=9"},
		{false, true, false, "by SET_MAC_SRC and SET_MAC_DST",
		 "by MODIFY_FIELD, subtract 1",
		 "> count set.src=02:00:00:00:00:01 set.dst=02:00:00:01:00:00 ttl-1 to=9"},
		{true, true, true, "by MODIFY_FIELD", "by MODIFY_FIELD, add 255",
		 "> count modify.src=02:00:00:00:00:01 modify.dst=02:00:00:01:00:00 ttl+255 to=9"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		prepare(4);
		fake.no_action[RTE_FLOW_ACTION_TYPE_SET_MAC_SRC] = cases[i].no_set;
		fake.no_action[RTE_FLOW_ACTION_TYPE_DEC_TTL] = cases[i].no_dec;
		fake.no_subtract = cases[i].no_subtract;
		begin_prepared();
		add(0);
		expect_full(0);
		assert_string_equal(row("rewrite MAC addresses")->remark, cases[i].macs);
		assert_string_equal(row("decrement TTL and hop limit")->remark, cases[i].ttl);
		assert_string_equal(strchr(fake_rule_with("g3 p0 type=0800"), '>'),
				    cases[i].actions);
		assert_string_equal(strchr(fake_rule_with("g3 p0 type=86dd"), '>'),
				    cases[i].actions);
		end(state);
	}
	prepare(4);
	fake.no_action[RTE_FLOW_ACTION_TYPE_DEC_TTL] = true;
	fake.no_action[RTE_FLOW_ACTION_TYPE_MODIFY_FIELD] = true;
	begin_prepared();
	assert_false(summary().usable);
	assert_false(row("decrement TTL and hop limit")->supported);
}

static void what_can_be_done_without_is_done_without_and_said(void **state)
{
	prepare(4);
	fake.no_item[RTE_FLOW_ITEM_TYPE_INTEGRITY] = true;
	fake.no_item[RTE_FLOW_ITEM_TYPE_ICMP6] = true;
	fake.no_item[RTE_FLOW_ITEM_TYPE_UDP] = true;
	fake.no_untagged = true;
	begin_prepared();
	assert_true(summary().usable);
	assert_false(row("match the IP header's integrity")->supported);
	assert_false(row("match the IP header's integrity")->needed);
	assert_string_equal(row("match the IP header's integrity")->remark,
			    "item is not supported; without: bad IPv4 header checksums are not "
			    "dropped by the NIC");
	assert_false(row("match ICMPv6 type")->supported);
	assert_false(row("match UDP ports")->supported);
	assert_string_equal(row("match UDP ports")->remark,
			    "item is not supported; without: the NIC forwards what DHCP servers "
			    "in pods answer");
	assert_int_equal(fake_rules_with("udp="), 0);
	assert_false(row("match untagged frames only")->supported);
	add(0);
	expect_full(0);
	assert_string_equal(fake_rule_with("g1 p1 type=0800"),
			    "g1 p1 type=0800 dst=02:00:00:00:00:01 ihl=45 ip.dst=10.88.0.2 > "
			    "jump=2");
	assert_int_equal(fake_rules_with("icmp6="), 0);
	assert_string_equal(fake_rule_with("proto=58"), "g1 p0 type=86dd proto=58 > jump=4");
}

// One by one it takes all, together it does not.
static void a_nic_with_too_few_tables_is_used_synchronously(void **state)
{
	prepare(4);
	if (!is_asynchronous()) {
		begin_prepared();
		return;
	}
	fake.tables_max = 6;
	begin_prepared();
	assert_true(summary().usable);
	assert_string_equal(summary().api, "synchronous");
	assert_int_equal(fake.templates, 0);
	assert_false(row("asynchronous API")->supported);
	assert_string_equal(row("asynchronous API")->remark, "no more tables");
	add(0);
	expect_full(0);
}

static void a_nic_with_templates_only_is_used_asynchronously(void **state)
{
	prepare(4);
	fake.no_sync = true;
	begin_prepared();
	assert_int_equal(summary().usable, is_asynchronous());
	if (!is_asynchronous())
		assert_string_equal(summary().why_not,
				    "the NIC cannot jump to a group: templates only");
}

static void what_may_pass_is_asked_again(void **state)
{
	prepare(4);
	if (!is_asynchronous()) {
		begin_prepared();
		return;
	}
	fake.tables_max = 0; // ENOMEM
	fake.no_sync = true;
	begin_prepared();
	assert_false(summary().usable);
	add(0);
	fake.tables_max = 64;
	offload_retry(offload);
	// The synchronous API says no for good; the asynchronous one was asked first and may do
	// better.
	assert_true(summary().usable);
	expect_full(0);
}

#define TESTS                                                                                      \
	{                                                                                          \
		TEST(a_nic_that_does_everything_is_said_to),                                       \
			TEST(the_preflight_leaves_nothing_behind),                                 \
			TEST(without_one_of_the_parts_there_is_no_offload_and_it_says_which),      \
			TEST(a_driver_without_rte_flow_is_no_error),                               \
			TEST(macs_and_ttl_are_rewritten_in_the_way_the_nic_takes),                 \
			TEST(what_can_be_done_without_is_done_without_and_said),                   \
			TEST(a_nic_with_too_few_tables_is_used_synchronously),                     \
			TEST(a_nic_with_templates_only_is_used_asynchronously),                    \
			TEST(what_may_pass_is_asked_again),                                        \
	}

int main(void)
{
	const struct CMUnitTest synchronous[] = TESTS, asynchronous[] = TESTS;
	int failed = cmocka_run_group_tests(synchronous, use_synchronous, NULL);

	return failed + cmocka_run_group_tests(asynchronous, use_asynchronous, NULL);
}
