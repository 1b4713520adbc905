// SPDX-License-Identifier: BSD-3-Clause
//
// Routes in the e-switch: what the rules say, that a longer prefix decides at every moment, and what becomes of them when
// next hops, the wire or the NIC change.

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include <rte_ethdev.h>

#include "offload/fixture_test.h"
#include "offload/routes.h"
#include "port/port.h"

enum { GATE = 3, PEER = 5 };

static const struct mac gate_mac = {{2, 0, 0, 0, 2, 1}}, peer_mac = {{2, 0, 0, 0, 2, 2}};
static struct offload_wire wire;
static struct offload_route routes[OFFLOAD_ROUTES_MAX];
static size_t route_count;

static struct offload_prefix prefix(const char *text, uint8_t length)
{
	struct offload_prefix p = {.is_ipv6 = strchr(text, ':') != NULL, .length = length};

	assert_int_equal(inet_pton(p.is_ipv6 ? AF_INET6 : AF_INET, text, p.address), 1);
	return p;
}

static void add_source(const char *text, uint8_t length, bool forward)
{
	wire.sources[wire.source_count++] =
		(struct offload_source){.from = prefix(text, length), .forward = forward};
}

static struct offload_route *add_route(const char *text, uint8_t length, const struct mac *next_hop,
				       uint32_t number)
{
	struct offload_route *route = &routes[route_count++];

	*route = (struct offload_route){.to = prefix(text, length), .next_hop = number};
	route->forward = next_hop != NULL;
	if (next_hop != NULL)
		route->next_hop_mac = *next_hop;
	return route;
}

static void set_routes(void)
{
	offload_set_routes(offload, routes, route_count);
}

static enum rte_flow_item_type missing_item; // that the next NIC does not know; 0: none

// A default route in both families, a network that is apart; two pods.
static void start_on(uint16_t vlan, bool no_lengths)
{
	wire = (struct offload_wire){
		.ipv4 = true, .ipv6 = true, .mac = {{2, 0, 0, 0, 1, 0}}, .vlan = vlan, .mtu = 1500};
	add_source("0.0.0.0", 0, true);
	add_source("::", 0, true);
	add_source("10.88.0.0", 16, false);
	add_source("fd00::", 64, false);
	route_count = 0;
	add_route("0.0.0.0", 0, &gate_mac, GATE);
	add_route("::", 0, &gate_mac, GATE);
	add_route("10.88.0.0", 16, NULL, 0);
	add_route("fd00::", 64, NULL, 0);
	prepare(4);
	fake.no_lengths = no_lengths;
	fake.no_item[missing_item] = missing_item != 0;
	begin_prepared();
	fake_forget_history();
	offload_set_wire(offload, &wire);
	set_routes();
	add(0);
	add(1);
	assert_int_equal(summary().rules_missing, 0);
}

static void start(uint16_t vlan)
{
	start_on(vlan, false);
}

static void start_without(enum rte_flow_item_type item)
{
	missing_item = item;
	start_on(0, false);
	missing_item = 0;
}

static struct offload_pod_status of_uplink(void)
{
	struct offload_pod_status status;

	offload_read_pod(offload, port_slot(nic_port(fake_handle(), PORT_UPLINK, 0)), &status);
	return status;
}

static size_t history_of(const char *part)
{
	size_t at = SIZE_MAX;

	for (size_t i = 0; i < fake_history_count(); i++) {
		if (strstr(fake_history(i), part) == NULL)
			continue;
		assert_int_equal(at, SIZE_MAX);
		at = i;
	}
	assert_true(at < SIZE_MAX);
	return at;
}

// ---- rules --------------------------------------------------------------------------------------

static void the_rules_do_what_the_graph_would_have_done(void **state)
{
	start(0);
	assert_string_equal(
		fake_rule_with(
			"port=0 type=0800 dst=02:00:00:00:01:00 untagged ihl=45 ip.dst=10.88.0.2 "),
		"g1 p1 port=0 type=0800 dst=02:00:00:00:01:00 untagged ihl=45 ip.dst=10.88.0.2 "
		"l3_ok > "
		"jump=7");
	assert_string_equal(
		fake_rule_with("port=0 type=86dd dst=02:00:00:00:01:00 untagged ip.dst=fd00::3 "),
		"g1 p1 port=0 type=86dd dst=02:00:00:00:01:00 untagged ip.dst=fd00::3 "
		"l3_ok > jump=7");
	assert_string_equal(fake_rule_with("g7 p65 "), "g7 p65 type=0800 untagged > count jump=3");
	assert_string_equal(fake_rule_with("g7 p33 "),
			    "g7 p33 type=0800 untagged ip.src=10.88.0.0/16 > jump=4");
	// Nobody's MAC addresses: a group's, none, the agent's own.
	assert_string_equal(fake_rule_with("src=group"), "g7 p0 src=group/01 > jump=4");
	assert_string_equal(fake_rule_with("g7 p0 src=00"), "g7 p0 src=00:00:00:00:00:00 > jump=4");
	assert_string_equal(fake_rule_with("g7 p0 src=02"), "g7 p0 src=02:00:00:00:01:00 > jump=4");
	// Not those of pods, nor what is for pods.
	assert_string_equal(fake_rule_with("g1 p4 type=0800"),
			    "g1 p4 type=0800 dst=02:00:00:00:00:01 untagged ihl=45 l3_ok > jump=8");
	assert_string_equal(fake_rule_with("g8 p65 "), "g8 p65 type=0800 > jump=2");
	assert_string_equal(fake_rule_with("g8 p66 "), "g8 p66 type=0800 > jump=4");
	assert_string_equal(fake_rule_with("g8 p34 "),
			    "g8 p34 type=0800 ip.dst=10.88.0.0/16 > jump=4");
	assert_string_equal(fake_rule_with("g8 p257 "), "g8 p257 type=86dd > jump=2");
	assert_string_equal(fake_rule_with("g3 p65 "),
			    "g3 p65 type=0800 > count set.src=02:00:00:00:01:00 "
			    "set.dst=02:00:00:00:02:01 dec_ttl to=0");
	assert_int_equal(fake_rules_with("g3 p257 type=86dd > count"), 1);
}

static void what_is_of_no_connection_is_routed_of_pods_that_have_some(void **state)
{
	test_places = test_connections = 10;
	start(0);
	assert_string_equal(fake_rule_with("g5 p2 type=0800"),
			    "g5 p2 type=0800 dst=02:00:00:00:00:01 > jump=8");
	assert_int_equal(fake_rules_with("g5 p2 type=86dd dst=02:00:00:00:00:01 > jump=8"), 1);
}

static void on_a_vlan_tags_are_put_on_and_taken_off(void **state)
{
	start(77);
	assert_string_equal(
		fake_rule_with("dst=02:00:00:00:01:00 vlan=77 type=0800 ihl=45 ip.dst=10.88.0.2 "),
		"g1 p1 port=0 type=8100 dst=02:00:00:00:01:00 vlan=77 type=0800 ihl=45 "
		"ip.dst=10.88.0.2 l3_ok > jump=7");
	assert_string_equal(fake_rule_with("g7 p65 "),
			    "g7 p65 type=8100 vlan=77 type=0800 > pop count jump=3");
	assert_string_equal(
		fake_rule_with("g3 p65 "),
		"g3 p65 type=0800 > count push=8100 vid=77 pcp=0 set.src=02:00:00:00:01:00 "
		"set.dst=02:00:00:00:02:01 dec_ttl to=0");
	// What group 1 does not see of tagged frames.
	assert_int_equal(fake_rules_with("g7 p0 type=8100 vlan=77 type=0800 ttl="), 2);
	assert_int_equal(fake_rules_with("g7 p0 type=8100 vlan=77 type=86dd ttl="), 2);
	assert_int_equal(fake_rules_with("g7 p0 type=8100 vlan=77 type=86dd proto=58 icmp6="), 5);
}

static void a_nic_that_cannot_forwards_between_pods_all_the_same(void **state)
{
	prepare(4);
	fake.no_action[RTE_FLOW_ACTION_TYPE_OF_PUSH_VLAN] = true;
	begin_prepared();
	wire = (struct offload_wire){
		.ipv4 = true, .mac = {{2, 0, 0, 0, 1, 0}}, .vlan = 77, .mtu = 1500};
	offload_set_wire(offload, &wire);
	route_count = 0;
	add_route("0.0.0.0", 0, &gate_mac, GATE);
	set_routes();
	add(0);
	expect_full(0);
	assert_int_equal(fake_rules_with("g8 ") + fake_rules_with("g7 "), 0);
	assert_int_equal(summary().rules_missing, 0);
	// Without a tag it can.
	wire.vlan = 0;
	offload_set_wire(offload, &wire);
	assert_int_equal(fake_rules_with("g8 p65 "), 1);
}

// 8080 of TCP, 53 of UDP.
static struct offload_pod publisher(void)
{
	struct offload_pod pod = fake_pod(2);

	pod.published_count = 2;
	pod.published[0].protocol = IPPROTO_TCP;
	pod.published[0].port = 8080;
	pod.published[1].protocol = IPPROTO_UDP;
	pod.published[1].port = 53;
	return pod;
}

static void of_a_pod_that_publishes_ports_what_is_no_answer_is_routed(void **state)
{
	struct offload_pod pod = publisher();

	test_places = test_connections = 16;
	start(0);
	fake_forget_history();
	add_pod(&pod);
	assert_string_equal(
		fake_rule_with("g1 p3 port=11 type=0800"),
		"g1 p3 port=11 type=0800 dst=02:00:00:00:00:01 untagged ihl=45 l3_ok > jump=9");
	assert_string_equal(fake_rule_with("g5 p1 port=11 type=86dd"),
			    "g5 p1 port=11 type=86dd dst=02:00:00:00:00:01 > jump=9");
	assert_string_equal(fake_rule_with("g9 p0 port=11 type=0800 frag=0000/3fff proto=6"),
			    "g9 p0 port=11 type=0800 frag=0000/3fff proto=6 tcp=8080-* > jump=4");
	assert_string_equal(fake_rule_with("g9 p0 port=11 type=86dd proto=17 whole"),
			    "g9 p0 port=11 type=86dd proto=17 whole udp=53-* > jump=4");
	assert_int_equal(fake_rules_with("g9 p0 "), 4);
	// What no pod's answer is: neither fragments nor errors are among it.
	assert_int_equal(fake_rules_with("g9 p1 type=0800 frag=0000/3fff proto=6 > jump=8"), 1);
	assert_int_equal(fake_rules_with("g9 p1 type=0800 frag=0000/3fff proto=17 > jump=8"), 1);
	assert_int_equal(fake_rules_with("g9 p1 type=0800 frag=0000/3fff proto=1 icmp=8 > jump=8"),
			 1);
	assert_int_equal(fake_rules_with("g9 p1 type=0800 frag=0000/3fff proto=1 icmp=0 > jump=8"),
			 1);
	assert_int_equal(fake_rules_with("g9 p1 type=86dd proto=6 whole > jump=8"), 1);
	assert_int_equal(fake_rules_with("g9 p1 type=86dd proto=17 whole > jump=8"), 1);
	assert_int_equal(fake_rules_with("g9 p1 type=86dd proto=58 whole icmp6=128 > jump=8"), 1);
	assert_int_equal(fake_rules_with("g9 p1 type=86dd proto=58 whole icmp6=129 > jump=8"), 1);
	assert_int_equal(fake_rules_with("g9 p1 "), 8);
	assert_int_equal(fake_rules_with("g8 p0 "), 0);
	assert_int_equal(summary().rules_missing, 0);
}

static void its_answers_are_kept_apart_before_it_may_send_and_until_it_may_not(void **state)
{
	struct offload_pod pod = publisher();

	start(0);
	fake_forget_history();
	add_pod(&pod);
	assert_true(history_of("+ g9 p0 port=11 type=0800 frag=0000/3fff proto=6") <
		    history_of("+ g2 p0 port=11 type=0800"));
	assert_true(history_of("+ g1 p3 port=11 type=0800") <
		    history_of("+ g2 p0 port=11 type=0800"));
	fake_forget_history();
	remove_pod(2);
	assert_true(history_of("- g9 p0 port=11 type=0800 frag=0000/3fff proto=6") >
		    history_of("- g2 p0 port=11 type=0800"));
	assert_true(history_of("- g1 p3 port=11 type=0800") >
		    history_of("- g2 p0 port=11 type=0800"));
	assert_int_equal(fake_rules_with("port=11 "), 0);
}

static void they_are_while_the_nic_does_not_let_go_of_what_sends(void **state)
{
	struct offload_pod pod = publisher();

	start(0);
	add_pod(&pod);
	fake.stuck = "g2 p0 port=11 ";
	offload_withdraw(offload, FAKE_FIRST_SLOT + 2);
	assert_int_equal(fake_rules_with("g2 p0 port=11 "), 2);
	assert_int_equal(fake_rules_with("g9 p0 port=11 "), 4);
	assert_int_equal(fake_rules_with("g1 p3 port=11 "), 2);
	assert_int_equal(fake_rules_with("g1 p1 type=0800 dst=02:00:00:00:00:01 untagged ihl=45 "
					 "ip.dst=10.88.0.4"),
			 0);
	fake.stuck = NULL;
	offload_retry(offload);
	assert_int_equal(fake_rules_with("port=11 "), 0);
}

static void nothing_is_routed_while_the_nic_keeps_what_sends_without_that(void **state)
{
	struct offload_pod pod = publisher();

	start(0);
	offload_set_wire(offload, NULL);
	add_pod(&pod);
	assert_int_equal(fake_rules_with("g9 "), 0);
	fake.stuck = "g2 p0 port=11 ";
	offload_set_wire(offload, &wire);
	assert_int_equal(fake_rules_with("g2 p0 port=11 "), 2);
	assert_int_equal(fake_rules_with("g9 p0 "), 0);
	assert_int_equal(fake_rules_with("g1 p4 "), 0);
	assert_int_equal(fake_rules_with("g7 p65 "), 1); // from there all is
	fake.stuck = NULL;
	offload_retry(offload);
	assert_int_equal(fake_rules_with("g9 p0 "), 4);
	assert_int_equal(fake_rules_with("g1 p4 "), 2);
	assert_int_equal(summary().rules_missing, 0);
	// Nor if it is another's rule by then.
	pod.published[0].port = 443;
	fake.stuck = "g2 p0 port=11 ";
	add_pod(&pod);
	assert_int_equal(fake_rules_with("g2 p0 port=11 "), 2);
	assert_int_equal(fake_rules_with("tcp=443-*"), 0);
	assert_int_equal(fake_rules_with("g1 p4 "), 0);
	fake.stuck = NULL;
	offload_retry(offload);
	assert_int_equal(fake_rules_with("tcp=443-*"), 2);
	assert_int_equal(fake_rules_with("g1 p4 "), 2);
}

static void a_family_of_which_one_is_refused_is_not_sent_by_rules(void **state)
{
	struct offload_pod pod = publisher();

	start(0);
	for (unsigned int i = 1; i <= 3; i++) { // two ports, and what leads to them
		fake.fail_insert = i;
		add_pod(&pod);
		assert_int_equal(fake_rules_with("g2 p0 port=11 "), 1);
		remove_pod(2);
	}
}

static void other_ports_than_before_replace_its_rules(void **state)
{
	struct offload_pod pod = publisher();

	start(0);
	add_pod(&pod);
	pod.published[0].port = 443;
	add_pod(&pod);
	offload_retry(offload);
	assert_int_equal(fake_rules_with("tcp=8080-*"), 0);
	assert_int_equal(fake_rules_with("tcp=443-*"), 2);
}

static void to_a_smaller_wire_goes_what_fits_of_it_as_well(void **state)
{
	struct offload_pod pod = publisher();

	start(0);
	add_pod(&pod);
	wire.mtu = 1400;
	offload_set_wire(offload, &wire);
	assert_int_equal(fake_rules_with("g1 p3 port=11 type=0800 dst=02:00:00:00:00:01 untagged "
					 "ihl=45 len=0-1400 l3_ok > jump=9"),
			 1);
}

static void of_one_that_has_all_that_a_pod_may_have_all_rules_are_there(void **state)
{
	const struct bandwidth_limit limit = {.bytes_per_s = 125000, .burst_bytes = 25000};
	struct offload_pod pod = fake_pod(2);

	test_places = test_connections = 16;
	start(0);
	pod.limits[BANDWIDTH_INGRESS] = pod.limits[BANDWIDTH_EGRESS] = limit;
	for (; pod.published_count < OFFLOAD_PUBLISHED_MAX; pod.published_count++) {
		const uint32_t i = pod.published_count;

		pod.published[i].protocol = i % 2 == 0 ? IPPROTO_TCP : IPPROTO_UDP;
		pod.published[i].port = (uint16_t)(8000 + i);
	}
	add_pod(&pod);
	offload_retry(offload);
	assert_int_equal(status_of(2).state, OFFLOAD_FULL);
	assert_int_equal(fake_rules_with("g9 p0 port=11 "), 2 * OFFLOAD_PUBLISHED_MAX);
	// Two meters; of each family three, what comes from the wire, and two ways to the published ports.
	assert_int_equal(status_of(2).rules, 2 + 2 * (3 + 1 + 2 + OFFLOAD_PUBLISHED_MAX));
}

static void of_one_that_publishes_too_many_to_tell_nothing_is_routed(void **state)
{
	struct offload_pod pod = fake_pod(2);

	start(0);
	pod.published_count = OFFLOAD_PUBLISHED_MAX + 1;
	fake_forget_history();
	add_pod(&pod);
	assert_string_equal(fake_rule_with("g8 p0 port=11 type=0800"),
			    "g8 p0 port=11 type=0800 > jump=4");
	assert_int_equal(fake_rules_with("g8 p0 port=11 type=86dd"), 1);
	assert_int_equal(fake_rules_with("jump=9"), 0);
	assert_true(history_of("+ g8 p0 port=11 type=0800") <
		    history_of("+ g2 p0 port=11 type=0800"));
	fake_forget_history();
	remove_pod(2);
	assert_true(history_of("- g8 p0 port=11 type=0800") >
		    history_of("- g2 p0 port=11 type=0800"));
}

static void nor_where_the_nic_cannot_tell_answers(void **state)
{
	struct offload_pod pod = publisher();

	start_without(RTE_FLOW_ITEM_TYPE_ICMP);
	add_pod(&pod);
	assert_int_equal(fake_rules_with("g8 p0 port=11 "), 2);
	assert_int_equal(fake_rules_with("g9 "), 0);
}

static void without_lengths_what_may_be_too_large_goes_by_no_rule(void **state)
{
	struct offload_pod small = fake_pod(2);

	start_on(0, true);
	small.mtu = 1400;
	add_pod(&small);
	assert_int_equal(fake_rules_with("g1 p1 port=0 type=0800 dst=02:00:00:00:01:00 untagged "
					 "ihl=45 ip.dst=10.88.0.4"),
			 0);
	// To a wire of a smaller MTU; from there all fits the others.
	wire.mtu = 1400;
	offload_set_wire(offload, &wire);
	assert_int_equal(fake_rules_with("g8 "), 0);
	assert_int_equal(fake_rules_with("g3 p65 "), 0);
	assert_int_equal(fake_rules_with("g1 p1 port=0 "), 4);
	// And of a larger one the other way round.
	wire.mtu = 9000;
	offload_set_wire(offload, &wire);
	assert_int_equal(fake_rules_with("g8 p65 "), 1);
	assert_int_equal(fake_rules_with("g1 p1 port=0 "), 0);
}

// ---- next hops ----------------------------------------------------------------------------------

static void a_longer_prefix_decides_also_while_its_next_hop_is_not_there(void **state)
{
	start(0);
	fake_forget_history();
	struct offload_route *route = add_route("198.51.100.0", 24, NULL, 0);
	set_routes();
	// What leads to the shorter one rests until the longer one is known.
	assert_true(history_of("- g1 p4 type=0800") <
		    history_of("+ g8 p18 type=0800 ip.dst=198.51.100.0/24"));
	assert_true(history_of("+ g8 p18 ") < history_of("+ g1 p4 type=0800"));
	assert_int_equal(fake_rules_with("ip.dst=198.51.100.0/24"), 1);

	fake_forget_history();
	*route = (struct offload_route){
		.to = route->to, .forward = true, .next_hop_mac = peer_mac, .next_hop = PEER};
	set_routes();
	assert_int_equal(fake_history_count(), 2);
	assert_string_equal(fake_history(0), "+ g3 p17 type=0800 ip.dst=198.51.100.0/24 > count "
					     "set.src=02:00:00:00:01:00 set.dst=02:00:00:00:02:02 "
					     "dec_ttl to=0");
	assert_string_equal(fake_history(1), "+ g8 p17 type=0800 ip.dst=198.51.100.0/24 > jump=2");

	// Another MAC address: nothing goes by the old one meanwhile, nor by the shorter prefix.
	fake_forget_history();
	route->next_hop_mac = gate_mac;
	set_routes();
	assert_int_equal(fake_history_count(), 4);
	assert_true(history_of("- g8 p17 ") < history_of("- g3 p17 "));
	assert_true(history_of("- g3 p17 ") < history_of("+ g3 p17 "));
	assert_true(history_of("+ g3 p17 ") < history_of("+ g8 p17 "));

	fake_forget_history();
	route->forward = false;
	set_routes();
	assert_int_equal(fake_history_count(), 2);
	assert_true(history_of("- g8 p17 ") < history_of("- g3 p17 "));
	assert_int_equal(fake_rules_with("g8 p18 "), 1);

	fake_forget_history();
	route_count--;
	set_routes();
	assert_int_equal(fake_history_count(), 1);
	assert_int_equal(fake_rules_with("ip.dst=198.51.100.0/24"), 0);
	assert_int_equal(fake_rules_with("g8 p65 "), 1);
}

static void the_same_routes_again_change_nothing(void **state)
{
	start(0);
	fake_forget_history();
	set_routes();
	offload_set_wire(offload, &wire);
	routes[0].next_hop = GATE + 1; // another number for it
	set_routes();
	assert_int_equal(fake_history_count(), 0);
}

static void note_use(void *context, uint32_t next_hop)
{
	uint32_t *sum = context;

	*sum += next_hop;
}

static void what_is_sent_keeps_its_next_hop_in_use_and_is_counted(void **state)
{
	uint32_t used = 0;

	start(0);
	add_route("198.51.100.0", 24, &peer_mac, PEER);
	set_routes();
	offload_routes_used(offload, note_use, &used);
	assert_int_equal(used, 0);
	fake_hit("g3 p17 ", 10, 1000);
	fake_hit("g7 p65 ", 7, 700);
	offload_routes_used(offload, note_use, &used);
	assert_int_equal(used, PEER);
	offload_routes_used(offload, note_use, &used);
	assert_int_equal(used, PEER);
	assert_int_equal(of_uplink().tx_packets, 10);
	assert_int_equal(of_uplink().tx_bytes, 1000);
	assert_int_equal(of_uplink().rx_packets, 7);
	route_count--; // what it has counted stays
	set_routes();
	offload_set_wire(offload, NULL);
	assert_int_equal(of_uplink().tx_packets, 10);
	assert_int_equal(of_uplink().rx_bytes, 700);
}

// ---- the NIC ------------------------------------------------------------------------------------

static void a_full_table_leaves_routes_to_the_slow_path_and_says_so(void **state)
{
	start(0);
	const uint32_t rules = (uint32_t)fake_rule_count();
	// Not even for the guard when all that lets packets in has made room for it: what is of all, and of pods that publish ports.
	fake.capacity = rules - 5;
	add_route("198.51.100.0", 24, &peer_mac, PEER);
	set_routes();
	// Without the guard nothing may be routed of this family; the other one is.
	assert_int_equal(fake_rules_with("g1 p4 type=0800"), 0);
	assert_int_equal(fake_rules_with("g9 p1 type=0800"), 0);
	assert_int_equal(fake_rules_with("g1 p4 type=86dd"), 1);
	assert_int_equal(summary().rules_missing, 3 + 5);
	assert_string_equal(summary().missing_reason, "table full");
	fake.capacity = rules + 3;
	offload_retry(offload);
	assert_int_equal(summary().rules_missing, 0);
	assert_int_equal(fake_rules_with("g1 p4 type=0800"), 1);
	assert_int_equal(fake_rules_with("ip.dst=198.51.100.0/24"), 3);
	assert_int_equal(status_of(0).state, OFFLOAD_FULL);
}

static void a_route_without_its_output_is_not_installed(void **state)
{
	start(0);
	add_route("198.51.100.0", 24, &peer_mac, PEER);
	fake.fail_insert = 2; // after the guard
	set_routes();
	assert_int_equal(fake_rules_with("g3 p17 "), 0);
	assert_int_equal(fake_rules_with("g8 p17 "), 0);
	assert_int_equal(fake_rules_with("g8 p18 "), 1);
	assert_int_equal(summary().rules_missing, 2);
	offload_retry(offload);
	assert_int_equal(summary().rules_missing, 0);
}

static void rules_that_the_nic_does_not_let_go_are_tried_again(void **state)
{
	start(0);
	add_route("198.51.100.0", 24, &peer_mac, PEER);
	set_routes();
	routes[route_count - 1].next_hop_mac = gate_mac;
	fake.fail_removals = true;
	set_routes();
	assert_int_equal(fake_rules_with("g3 p17 "), 1);
	fake.fail_removals = false;
	offload_retry(offload);
	assert_int_equal(fake_rules_with("set.dst=02:00:00:00:02:02"), 0);
	assert_int_equal(fake_rules_with("g8 p17 "), 1);
	assert_int_equal(summary().rules_missing, 0);
}

static void they_are_made_again_after_a_reset_and_after_a_stop_of_the_uplink(void **state)
{
	start(0);
	const size_t rules = fake_rule_count();

	fake_hit("g3 p65 ", 5, 500);
	assert_int_equal(of_uplink().tx_packets, 5);
	fake_event(FAKE_UPLINK, RTE_ETH_EVENT_INTR_RESET);
	fake_forget_history();
	offload_retry(offload);
	assert_int_equal(fake_rule_count(), rules);
	history_of("+ g8 p65 ");
	assert_int_equal(of_uplink().tx_packets, 5);

	offload_end(offload);
	assert_int_equal(fake_rule_count(), 0);
	fake_stop_uplink();
	fake_start_uplink();
	offload_begin(offload, &fake_router);
	assert_int_equal(fake_rule_count(), rules);
	assert_int_equal(of_uplink().tx_packets, 5);
}

static void the_limit_of_prefixes_has_room_in_the_nic(void **state)
{
	char address[INET_ADDRSTRLEN];

	start(0);
	for (uint32_t i = 0; route_count < OFFLOAD_ROUTES_MAX; i++) {
		const uint32_t host_order = 0xcb007100 + i;
		const in_addr_t neighbour = htonl(host_order);

		inet_ntop(AF_INET, &neighbour, address, sizeof(address));
		add_route(address, 32, &peer_mac, PEER);
	}
	set_routes();
	for (int i = 0; i < 100 && summary().rules_missing > 0; i++)
		offload_retry(offload);
	assert_int_equal(summary().rules_missing, 0);
	assert_int_equal(fake_rules_with("g3 p1 type=0800"), OFFLOAD_ROUTES_MAX - 4);
	assert_int_equal(summary().rules, fake_rule_count());
	offload_set_routes(offload, routes, 4);
	assert_int_equal(fake_rules_with("g3 p1 type=0800"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_rules_do_what_the_graph_would_have_done),
		TEST(what_is_of_no_connection_is_routed_of_pods_that_have_some),
		TEST(on_a_vlan_tags_are_put_on_and_taken_off),
		TEST(a_nic_that_cannot_forwards_between_pods_all_the_same),
		TEST(of_a_pod_that_publishes_ports_what_is_no_answer_is_routed),
		TEST(its_answers_are_kept_apart_before_it_may_send_and_until_it_may_not),
		TEST(they_are_while_the_nic_does_not_let_go_of_what_sends),
		TEST(nothing_is_routed_while_the_nic_keeps_what_sends_without_that),
		TEST(a_family_of_which_one_is_refused_is_not_sent_by_rules),
		TEST(other_ports_than_before_replace_its_rules),
		TEST(to_a_smaller_wire_goes_what_fits_of_it_as_well),
		TEST(of_one_that_has_all_that_a_pod_may_have_all_rules_are_there),
		TEST(of_one_that_publishes_too_many_to_tell_nothing_is_routed),
		TEST(nor_where_the_nic_cannot_tell_answers),
		TEST(without_lengths_what_may_be_too_large_goes_by_no_rule),
		TEST(a_longer_prefix_decides_also_while_its_next_hop_is_not_there),
		TEST(the_same_routes_again_change_nothing),
		TEST(what_is_sent_keeps_its_next_hop_in_use_and_is_counted),
		TEST(a_full_table_leaves_routes_to_the_slow_path_and_says_so),
		TEST(a_route_without_its_output_is_not_installed),
		TEST(rules_that_the_nic_does_not_let_go_are_tried_again),
		TEST(they_are_made_again_after_a_reset_and_after_a_stop_of_the_uplink),
		TEST(the_limit_of_prefixes_has_room_in_the_nic),
	};

	return cmocka_run_group_tests_name("synchronous", tests, use_synchronous, NULL) |
	       cmocka_run_group_tests_name("asynchronous", tests, use_asynchronous, NULL);
}
