// SPDX-License-Identifier: BSD-3-Clause
//
// Masqueraded pings in the e-switch: what their rules say, which NIC has them, and how many there may be. What they
// have in common with all connections is in offload_connections_test.c.

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_flow.h>
#include <rte_version.h>

#include "offload/engine.h"
#include "offload/fixture_test.h"

enum { PLACES = 4096, HOP = 7 };

// Without it a NIC cannot tell one ping over IPv6 from another.
#if RTE_VERSION >= RTE_VERSION_NUM(23, 3, 0, 0)
enum { IDENTIFIER_ITEM = RTE_FLOW_ITEM_TYPE_ICMP6_ECHO_REQUEST };
#else
enum { IDENTIFIER_ITEM = RTE_FLOW_ITEM_TYPE_RAW };
#endif

static void prepare_pings(uint32_t most)
{
	test_places = PLACES;
	test_connections = most;
	test_icmp6 = true;
	prepare(4);
}

static void start(uint32_t most)
{
	prepare_pings(most);
	begin_prepared();
	add(0);
	add(1);
}

static struct offload_connection ping(uint32_t vf, bool is_ipv6, uint16_t identifier)
{
	struct offload_connection c = {
		.ends = {{.sent = {.source_port_be = htons(identifier)}},
			 {.sent = {.destination_port_be = htons(identifier)}}},
		.is_ipv6 = is_ipv6,
		.protocol = is_ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP,
	};

	set_masqueraded(&c, vf, HOP);
	return c;
}

static int add_ping(uint32_t place, uint32_t vf, bool is_ipv6)
{
	const struct offload_connection c = ping(vf, is_ipv6, (uint16_t)(place + 1));

	return offload_connection_add(offload, place, &c);
}

static void expect_row(bool is_ipv6, bool supported, const char *remark)
{
	const struct offload_capability *told =
		capability(is_ipv6 ? "carry masqueraded pings over IPv6"
				   : "carry masqueraded pings over IPv4");

	assert_non_null(told);
	assert_false(told->needed);
	if (told->supported != supported || strstr(told->remark, remark) == NULL)
		fail_msg("%s: %d, \"%s\"", told->name, told->supported, told->remark);
}

// ---- rules --------------------------------------------------------------------------------------

static void the_rules_write_all_but_the_identifier(void **state)
{
	start(100);
	assert_int_equal(add_ping(6, 0, false), 0);
	assert_int_equal(add_ping(7, 1, true), 0);
	run_connections();
	assert_int_equal(connection_rules(), 4);
	assert_string_equal(
		fake_rule_with("icmp=8/0"),
		"g5 p0 port=9 type=0800 src=02:00:00:01:00:00 dst=02:00:00:00:00:01 untagged "
		"frag=0000/3fff proto=1 ip.src=10.88.0.2 ip.dst=198.51.100.7 icmp=8/0 id=7 > count "
		"set.ip.src=203.0.113.10 set.ip.dst=198.51.100.7 set.src=02:00:00:00:01:00 "
		"set.dst=02:00:00:00:02:00 dec_ttl to=0");
	assert_string_equal(
		fake_rule_with("icmp=0/0"),
		"g5 p0 port=0 type=0800 dst=02:00:00:00:01:00 untagged frag=0000/3fff proto=1 "
		"ip.src=198.51.100.7 ip.dst=203.0.113.10 icmp=0/0 id=7 > count "
		"set.ip.src=198.51.100.7 set.ip.dst=10.88.0.2 set.src=02:00:00:00:00:01 "
		"set.dst=0e:70:6f:64:00:02 dec_ttl jump=6");
	assert_string_equal(
		fake_rule_with("icmp6=128/0"),
		"g5 p0 port=10 type=86dd src=02:00:00:01:00:01 dst=02:00:00:00:00:01 untagged "
		"proto=58 whole ip.src=fd00::3 ip.dst=2001:db8::7 icmp6=128/0 id=8 > count "
		"set.ip.src=2001:db8::10 set.ip.dst=2001:db8::7 set.src=02:00:00:00:01:00 "
		"set.dst=02:00:00:00:02:00 dec_ttl to=0");
	assert_string_equal(fake_rule_with("icmp6=129/0"),
			    "g5 p0 port=0 type=86dd dst=02:00:00:00:01:00 untagged proto=58 whole "
			    "ip.src=2001:db8::7 ip.dst=2001:db8::10 icmp6=129/0 id=8 > count "
			    "set.ip.src=2001:db8::7 set.ip.dst=fd00::3 set.src=02:00:00:00:00:01 "
			    "set.dst=0e:70:6f:64:00:03 dec_ttl jump=6");
	expect_row(false, true, "");
	expect_row(true, true, "");
}

static void on_a_vlan_the_tag_comes_off_and_on(void **state)
{
	struct offload_router router = fake_router;

	prepare_pings(100);
	fake_start_uplink();
	router.vlan = 42;
	offload_begin(offload, &router);
	add(0);
	for (uint32_t place = 0; place < 2; place++)
		assert_int_equal(add_ping(place, 0, place == 1), 0);
	run_connections();
	assert_int_equal(connection_rules(), 4);
	assert_int_equal(fake_rules_with("icmp=8/0 id=1 > count push=8100 vid=42 "), 1);
	assert_int_equal(fake_rules_with("icmp=0/0 id=1 > pop count "), 1);
	assert_int_equal(fake_rules_with("icmp6=128/0 id=2 > count push=8100 vid=42 "), 1);
	assert_int_equal(fake_rules_with("vlan=42 type=86dd proto=58 whole "), 1);
	assert_int_equal(fake_rules_with("icmp6=129/0 id=2 > pop count "), 1);
}

static void a_nic_that_only_modifies_fields_is_told_so(void **state)
{
	prepare_pings(100);
	fake.no_action[RTE_FLOW_ACTION_TYPE_SET_TP_SRC] = true;
	begin_prepared();
	add(0);
	for (uint32_t place = 0; place < 2; place++)
		assert_int_equal(add_ping(place, 0, place == 1), 0);
	run_connections();
	assert_int_equal(connection_rules(), 4);
	assert_int_equal(fake_rules_with("set.ip"), 0);
	assert_int_equal(fake_rules_with("/32=0a580002"), 1);
	assert_int_equal(fake_rules_with("/128=fd000000"), 1);
	assert_int_equal(fake_rules_with("/16="), 0);
}

static void one_that_is_too_large_for_the_other_end_is_the_agents(void **state)
{
	struct offload_connection c = ping(0, false, 7);

	start(100);
	c.mtus[0] = 1500;
	c.mtus[1] = 1400;
	assert_int_equal(offload_connection_add(offload, 0, &c), 0);
	c = ping(0, true, 8);
	c.mtus[0] = 1500;
	c.mtus[1] = 1400;
	assert_int_equal(offload_connection_add(offload, 1, &c), 0);
	run_connections();
	assert_int_equal(connection_rules(), 4);
	assert_non_null(strstr(fake_rule_with(" icmp=8/0 id=7 "), " len=0-1400 icmp="));
	assert_null(strstr(fake_rule_with(" icmp=0/0 id=7 "), " len="));
	assert_non_null(strstr(fake_rule_with(" icmp6=128/0 id=8 "), " len=0-1360 icmp6="));
	assert_null(strstr(fake_rule_with(" icmp6=129/0 id=8 "), " len="));
}

static void packets_are_told_and_those_that_end_leave_nothing(void **state)
{
	struct offload_connections_summary told;

	start(100);
	assert_int_equal(add_ping(3, 0, false), 0);
	run_connections();
	assert_int_equal(answers[0].kind, OFFLOAD_BEGUN);
	fake_hit("icmp=8/0", 5, 500);
	fake_hit("icmp=0/0", 4, 400);
	fake_wait(1000);
	run_connections();
	assert_int_equal(answer_count, 1);
	assert_int_equal(answers[0].kind, OFFLOAD_NOTED);
	assert_int_equal(answers[0].packets[0], 5);
	assert_int_equal(answers[0].bytes[1], 400);
	assert_int_equal(status_of(0).rx_packets, 5);
	offload_connection_leave(offload, 3);
	run_connections();
	assert_int_equal(answers[0].kind, OFFLOAD_ENDED);
	assert_int_equal(connection_rules(), 0);
	offload_connections_summary(offload, &told);
	assert_int_equal(told.carried, 0);
	// And with its pod.
	assert_int_equal(add_ping(4, 0, true), 0);
	run_connections();
	assert_int_equal(connection_rules(), 2);
	remove_pod(0);
	run_connections();
	assert_int_equal(connection_rules(), 0);
}

// ---- who has them -------------------------------------------------------------------------------

static void expect_one_family_only(bool is_ipv6)
{
	assert_true(offload_connections_usable(offload, NULL));
	assert_int_equal(add_ping(0, 0, is_ipv6), 0);
	assert_int_equal(add_ping(1, 0, !is_ipv6), -ENOTSUP);
	run_connections();
	assert_int_equal(connection_rules(), 2);
	assert_int_equal(fake_rules_with(is_ipv6 ? "icmp6=128/0 id=1" : "icmp=8/0 id=1"), 1);
}

static void a_nic_that_knows_no_identifier_of_a_family_has_the_others(void **state)
{
	for (unsigned int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		prepare_pings(100);
		fake.no_item[is_ipv6 ? (int)IDENTIFIER_ITEM : RTE_FLOW_ITEM_TYPE_ICMP] = true;
		begin_prepared();
		add(0);
		expect_one_family_only(!is_ipv6);
		expect_row(is_ipv6, false, "item is not supported; without: these take the slow");
		expect_row(!is_ipv6, true, "");
		assert_true(capability("match a packet's length")->supported);
		end(state);
	}
	start(100);
}

static void a_nic_that_is_not_said_to_correct_icmpv6_has_ipv4_only(void **state)
{
	test_places = PLACES;
	test_connections = 100;
	begin(4);
	add(0);
	expect_one_family_only(false);
	expect_row(true, false, "(nic.offload_icmp6); without: these take the slow path");
	expect_row(false, true, "");
}

static void where_all_icmpv6_takes_the_slow_path_these_do_too(void **state)
{
	prepare_pings(100);
	fake.no_item[RTE_FLOW_ITEM_TYPE_ICMP6] = true;
	begin_prepared();
	add(0);
	expect_one_family_only(false);
	expect_row(true, false, "without: these take the slow path");
}

static void without_room_for_their_tables_the_others_are_carried(void **state)
{
	static const char *const names[2] = {"room for masqueraded pings over IPv4",
					     "room for masqueraded pings over IPv6"};
	uint32_t all;

	start(100);
	assert_null(capability(names[0]));
	assert_null(capability(names[1]));
	all = fake.templates / 3; // a pattern, actions and a table for each shape
	end(state);
	prepare_pings(100);
	if (is_asynchronous())
		fake.tables_max = all - 1;
	begin_prepared();
	add(0);
	assert_true(offload_connections_usable(offload, NULL));
	assert_int_equal(add_ping(0, 0, false), 0);
	assert_int_equal(add_ping(1, 0, true), is_asynchronous() ? -ENOTSUP : 0);
	assert_null(capability(names[0]));
	assert_int_equal(capability(names[1]) != NULL, is_asynchronous());
	run_connections();
	assert_int_equal(connection_rules(), is_asynchronous() ? 2 : 4);
}

static void what_no_nic_could_do_is_refused(void **state)
{
	struct offload_connection c = ping(0, false, 7);

	start(100);
	// Another identifier outside.
	c.ends[1].sent.destination_port_be = htons(8);
	assert_int_equal(offload_connection_add(offload, 0, &c), -ENOTSUP);
	// Within the node nobody masquerades pings.
	c = ping(0, false, 7);
	c.ends[1].slot = FAKE_FIRST_SLOT + 1;
	assert_int_equal(offload_connection_add(offload, 0, &c), -ENOTSUP);
}

static void there_are_never_more_of_a_family_than_their_share(void **state)
{
	enum { MOST = 2 * ENGINE_ECHO_SHARE };
	struct offload_connections_summary told;

	start(MOST);
	for (uint32_t place = 0; place < 4; place++)
		assert_int_equal(add_ping(place, 0, place % 2), 0);
	assert_int_equal(add_ping(4, 0, false), -ENOSPC);
	assert_int_equal(add_ping(4, 0, true), -ENOSPC);
	run_connections();
	assert_int_equal(connection_rules(), 8);
	offload_connections_summary(offload, &told);
	assert_int_equal(told.carried, 4);
	assert_int_equal(told.refused_full, 2);
	offload_connection_leave(offload, 1);
	run_connections();
	assert_int_equal(add_ping(4, 0, false), -ENOSPC);
	assert_int_equal(add_ping(4, 0, true), 0);
	run_connections();
	assert_int_equal(connection_rules(), 8);
}

#define BOTH(tests, setup) cmocka_run_group_tests_name(#setup, tests, setup, NULL)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(the_rules_write_all_but_the_identifier),
		TEST(on_a_vlan_the_tag_comes_off_and_on),
		TEST(a_nic_that_only_modifies_fields_is_told_so),
		TEST(one_that_is_too_large_for_the_other_end_is_the_agents),
		TEST(packets_are_told_and_those_that_end_leave_nothing),
		TEST(a_nic_that_knows_no_identifier_of_a_family_has_the_others),
		TEST(a_nic_that_is_not_said_to_correct_icmpv6_has_ipv4_only),
		TEST(where_all_icmpv6_takes_the_slow_path_these_do_too),
		TEST(without_room_for_their_tables_the_others_are_carried),
		TEST(what_no_nic_could_do_is_refused),
		TEST(there_are_never_more_of_a_family_than_their_share),
	};

	return BOTH(tests, use_synchronous) + BOTH(tests, use_asynchronous);
}
