// SPDX-License-Identifier: BSD-3-Clause
//
// The host in the e-switch: a pod on a function that is the PF, with the gateway's addresses, which is nobody's to count among
// the pods.

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include <rte_ethdev.h>

#include "offload/fixture_test.h"

enum { PLACES = 256, GATE = 3, FUNCTIONS = 4 };

static void start(void)
{
	test_places = PLACES;
	test_connections = 100;
	begin(FUNCTIONS);
	for (uint32_t vf = 0; vf < 3; vf++)
		add(vf);
}

static struct offload_pod host_at(uint8_t last_of_mac)
{
	struct offload_pod host = fake_pod(0);

	host.slot = FAKE_HOST;
	host.port = nic_port(fake_handle(), PORT_HOST, 0);
	host.mac = (struct mac){{0x02, 0, 0, 0, 0, last_of_mac}};
	host.ipv4.s_addr = inet_addr("10.88.0.1");
	host.ipv6.s6_addr[15] = 1;
	return host;
}

static void add_host(uint8_t last_of_mac)
{
	const struct offload_pod host = host_at(last_of_mac);

	add_pod(&host);
}

static struct offload_pod_status status_of_host(void)
{
	struct offload_pod_status status;

	offload_read_pod(offload, FAKE_HOST, &status);
	return status;
}

// The host has called a port of `to`, from a port that the place says.
static int try_host_call(uint32_t place, uint32_t to, uint8_t last_of_mac)
{
	const struct offload_pod host = host_at(last_of_mac);
	struct offload_connection c = call(0, to, place % 2, true, (uint16_t)(4000 + place));

	c.ends[0].slot = FAKE_HOST;
	c.ends[0].mac = host.mac;
	if (c.is_ipv6)
		memcpy(c.ends[0].sent.source, &host.ipv6, sizeof(host.ipv6));
	else
		memcpy(c.ends[0].sent.source, &host.ipv4, sizeof(host.ipv4));
	return offload_connection_add(offload, place, &c);
}

static void add_host_call(uint32_t place, uint32_t to)
{
	assert_int_equal(try_host_call(place, to, 0x66), 0);
}

// The host calls a pod, and so does another pod.
static void start_with_calls(void)
{
	const struct offload_connection of_pods = call(1, 0, false, true, 4001);

	start();
	add_host(0x66);
	add_host_call(0, 0);
	assert_int_equal(offload_connection_add(offload, 1, &of_pods), 0);
	run_connections();
}

// ---- its rules ----------------------------------------------------------------------------------

static void the_host_has_a_pods_rules_by_its_own_port(void **state)
{
	struct offload_rule rule;
	uint64_t after = 0;
	size_t told = 0;

	start();
	const uint32_t rules = summary().rules;
	add_host(0x66);
	assert_string_equal(fake_rule_with("g2 p0 port=1 type=0800"),
			    "g2 p0 port=1 type=0800 src=02:00:00:00:00:66 dst=02:00:00:00:00:01 "
			    "ip.src=10.88.0.1 > count jump=3");
	assert_string_equal(fake_rule_with("g3 p0 type=86dd ip.dst=fd00::1 "),
			    "g3 p0 type=86dd ip.dst=fd00::1 > count set.src=02:00:00:00:00:01 "
			    "set.dst=02:00:00:00:00:66 dec_ttl to=1");
	assert_int_equal(fake_rules_with(" ip.dst=10.88.0.1 "), 2);
	assert_int_equal(summary().rules, rules + POD_RULES);
	assert_int_equal(status_of_host().state, OFFLOAD_FULL);
	while (offload_next_rule(offload, after, &rule)) {
		after = rule.id;
		if (!rule.has_slot || rule.slot != FAKE_HOST)
			continue;
		told += strncmp(rule.match, "from pf0 eth", 12) == 0;
		told += strstr(rule.actions, ", to pf0") != NULL;
	}
	assert_int_equal(told, 4);
}

static void it_is_none_of_the_pods(void **state)
{
	start();
	add_host(0x66);
	assert_int_equal(summary().pods_full, 3);
	assert_int_equal(summary().pods_none + summary().pods_partial, 0);
	// But a rule of its that is missing is missing.
	offload_remove(offload, FAKE_HOST);
	fake.capacity = (uint32_t)fake_rule_count() + 2;
	add_host(0x66);
	assert_int_equal(summary().pods_full, 3);
	assert_int_equal(summary().pods_none + summary().pods_partial, 0);
	assert_int_equal(summary().rules_missing, POD_RULES);
	fake.capacity = 0;
	offload_retry(offload);
	assert_int_equal(summary().rules_missing, 0);
}

static void it_is_counted_over_a_change_of_its_address(void **state)
{
	start();
	add_host(0x66);
	fake_hit("g2 p0 port=1 type=0800", 5, 500);
	fake_hit("g3 p0 type=0800 ip.dst=10.88.0.1 ", 4, 400);
	assert_int_equal(status_of_host().rx_packets, 5);
	assert_int_equal(status_of_host().tx_bytes, 400);
	add_host(0x67);
	assert_int_equal(status_of_host().state, OFFLOAD_FULL);
	assert_int_equal(fake_rules_with("00:66"), 0);
	assert_int_equal(fake_rules_with("src=02:00:00:00:00:67 "), 2);
	fake_hit("g2 p0 port=1 type=0800", 1, 100);
	assert_int_equal(status_of_host().rx_packets, 6);
}

static void there_is_room_for_every_pod_and_the_host(void **state)
{
	start();
	add(3);
	add_host(0x66);
	for (uint32_t vf = 0; vf < FUNCTIONS; vf++)
		add_host_call(2 * vf, vf);
	run_until_done();
	assert_int_equal(connection_rules(), 2 * FUNCTIONS);
	assert_int_equal(fake_rules_with("g6 "), FUNCTIONS + 1);
	assert_int_equal(summary().rules_missing, 0);
}

// ---- its connections ----------------------------------------------------------------------------

static void it_is_an_end_of_connections_as_a_pod_is(void **state)
{
	start();
	add_host(0x66);
	add_host_call(0, 0);
	add_host_call(1, 0);
	run_connections();
	assert_string_equal(
		fake_rule_with("tcp=4000-8080"),
		"g5 p0 port=1 type=0800 src=02:00:00:00:00:66 dst=02:00:00:00:00:01 untagged "
		"frag=0000/3fff proto=6 ip.src=10.88.0.1 ip.dst=203.0.113.10 tcp=4000-8080 "
		"flags=10/17 > count set.ip.src=203.0.113.10 set.ip.dst=10.88.0.2 "
		"set.port.src=50000 set.port.dst=80 set.src=02:00:00:00:00:01 "
		"set.dst=0e:70:6f:64:00:02 dec_ttl jump=6");
	assert_int_equal(fake_rules_with("set.ip.dst=10.88.0.1 set.port.src=8080 set.port.dst=4000 "
					 "set.src=02:00:00:00:00:01 set.dst=0e:70:6f:64:00:01"),
			 1);
	assert_int_equal(fake_rules_with("set.ip.dst=fd00::1 "), 1);
	assert_int_equal(fake_rules_with("g1 p2 port=1 "), 2);
	assert_int_equal(
		fake_rules_with("g6 p0 dst=0e:70:6f:64:00:01 > count "
				"set.src=02:00:00:00:00:01 set.dst=02:00:00:00:00:66 to=1"),
		1);
	fake_hit("tcp=4000-8080", 5, 500);
	fake_hit("g6 p0 dst=0e:70:6f:64:00:01", 4, 400);
	fake_wait(1000);
	run_connections();
	assert_int_equal(status_of_host().rx_packets, 5);
	assert_int_equal(status_of_host().tx_bytes, 400);
}

static void a_host_that_was_not_heard_has_none(void **state)
{
	start();
	assert_int_equal(try_host_call(0, 0, 0x66), -EBUSY);
	assert_int_equal(status_of_host().state, OFFLOAD_OFF);
}

// By its former address nothing is taken from it any more, nor brought there.
static void at_another_address_it_has_nothing_of_before(void **state)
{
	start_with_calls();
	assert_int_equal(connection_rules(), 4);
	add_host(0x66); // nothing new
	assert_int_equal(connection_rules(), 4);
	add_host(0x67);
	assert_int_equal(connection_rules(), 2);
	assert_int_equal(fake_rules_with("00:66"), 0);
	run_until_done();
	assert_int_equal(try_host_call(2, 0, 0x67), 0);
	run_connections();
	assert_int_equal(connection_rules(), 4);
	assert_int_equal(fake_rules_with("set.dst=02:00:00:00:00:67 to=1"), 1);
}

static void before_its_port_stops_it_has_left(void **state)
{
	start();
	add_host(0x66);
	add_host_call(0, 0);
	add_host_call(2, 1);
	run_connections();
	fake_hit("g2 p0 port=1 type=0800", 5, 500);
	fake_hit("tcp=4000-8080", 2, 200);
	offload_withdraw(offload, FAKE_HOST);
	assert_int_equal(fake_rules_with("00:66"), 0);
	assert_int_equal(fake_rules_with("port=1 "), 0);
	assert_int_equal(fake_rules_with(" ip.dst=10.88.0.1 "), 0);
	assert_int_equal(connection_rules(), 0);
	assert_int_equal(try_host_call(4, 0, 0x66), -EBUSY);
	assert_int_equal(summary().rules_missing, 0);
	assert_int_equal(status_of_host().rx_packets, 7);
	assert_int_equal(status_of(0).state, OFFLOAD_FULL);
	run_until_done();
	// And it comes back as another.
	add_host(0x67);
	assert_int_equal(fake_rules_with("00:67"), 0);
	offload_restore(offload, FAKE_HOST);
	assert_int_equal(status_of_host().state, OFFLOAD_FULL);
	assert_int_equal(fake_rules_with("src=02:00:00:00:00:67 "), 2);
	assert_int_equal(status_of_host().rx_packets, 7);
	assert_int_equal(try_host_call(4, 0, 0x67), 0);
	run_connections();
	assert_int_equal(connection_rules(), 2);
}

static void what_the_nic_does_not_remove_is_removed_before_it_comes_back(void **state)
{
	start();
	add_host(0x66);
	add_host_call(0, 0);
	run_connections();
	fake.fail_removals = true;
	offload_withdraw(offload, FAKE_HOST);
	assert_true(fake_rules_with("00:66") > 0);
	assert_int_equal(status_of_host().state, OFFLOAD_NONE);
	add_host(0x67);
	offload_restore(offload, FAKE_HOST);
	offload_retry(offload);
	assert_int_equal(fake_rules_with("00:67"), 0);
	assert_int_equal(status_of_host().state, OFFLOAD_NONE);
	assert_true(summary().rules_missing > 0);
	assert_int_equal(status_of(0).state, OFFLOAD_FULL);
	fake.fail_removals = false;
	offload_retry(offload);
	run_until_done();
	assert_int_equal(fake_rules_with("00:66"), 0);
	assert_int_equal(connection_rules(), 0);
	assert_int_equal(status_of_host().state, OFFLOAD_FULL);
	assert_int_equal(summary().rules_missing, 0);
}

static void a_reset_of_the_hosts_function_is_its_own(void **state)
{
	start_with_calls();
	fake_event(FAKE_HOST, RTE_ETH_EVENT_INTR_RESET);
	run_connections();
	assert_int_equal(connection_rules(), 2);
	offload_retry(offload);
	assert_int_equal(status_of_host().state, OFFLOAD_FULL);
	add_host_call(0, 0);
	run_connections();
	assert_int_equal(connection_rules(), 4);
}

static void a_nic_without_such_a_port_has_no_such_rules(void **state)
{
	const struct offload_connection of_pods = call(1, 0, false, true, 4001);

	test_no_host = true;
	start();
	assert_int_equal(try_host_call(0, 0, 0x66), -EBUSY);
	assert_int_equal(offload_connection_add(offload, 1, &of_pods), 0);
	run_connections();
	assert_int_equal(connection_rules(), 2);
}

#define BOTH(tests, setup) cmocka_run_group_tests_name(#setup, tests, setup, NULL)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(the_host_has_a_pods_rules_by_its_own_port),
		TEST(it_is_none_of_the_pods),
		TEST(it_is_counted_over_a_change_of_its_address),
		TEST(there_is_room_for_every_pod_and_the_host),
		TEST(it_is_an_end_of_connections_as_a_pod_is),
		TEST(a_host_that_was_not_heard_has_none),
		TEST(at_another_address_it_has_nothing_of_before),
		TEST(before_its_port_stops_it_has_left),
		TEST(what_the_nic_does_not_remove_is_removed_before_it_comes_back),
		TEST(a_reset_of_the_hosts_function_is_its_own),
		TEST(a_nic_without_such_a_port_has_no_such_rules),
	};

	return BOTH(tests, use_synchronous) + BOTH(tests, use_asynchronous);
}
