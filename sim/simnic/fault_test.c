// SPDX-License-Identifier: BSD-3-Clause
//
// A NIC that misbehaves when it is told to, by EAL's telemetry socket as a person would; what comes of it, as an
// application sees it.

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_flow.h>

#include "sim/simnic/simnic.h"
#include "sim/simnic/test_device.h"
#include "sim/simnic/test_flow.h"

static void expect_state(const char *part)
{
	const char *answer = telemetry_ask("/simnic/fault," DEVICE);

	if (strstr(answer, part) == NULL)
		fail_msg("no %s in %s", part, answer);
}

// ---- the command ----------------------------------------------------------------------------------------

static void a_fault_that_is_not_understood_changes_nothing(void **state)
{
	static const char *const wrong[] = {
		"table_full",
		"table_full=",
		"table_full=-1",
		"table_full=1x",
		"table_full=4294967295",
		"table_full= 1",
		"fail_nth=0",
		"fail_nth=1:",
		"fail_nth=1:EWHAT",
		"fail_nth=:EIO",
		"fail_all=on",
		"fail_all=28",
		"insert_us=1e3",
		"insert_us=10000001",
		"function_reset=4",
		"function_reset=",
		"function_reset=vf0",
		"function_reset=65536",
		"function_reset=0:",
		"function_reset=0:gone",
		"function_reset=:lost",
		"function_reset=4:lost",
		"function_link=0",
		"function_link=0:off",
		"function_link=:up",
		"function_link=9:up",
		"uplink=1",
		"uplink",
		"remove=1",
		"clear=all",
		"colour=red",
		"",
		"table_full=7,",
		"table_full=7,,clear",
		"uplink=down,remove,nonsense",
	};
	char before[1024];

	assert_null(strstr(telemetry_ask("/simnic/fault," DEVICE ",table_full=5"), "error"));
	snprintf(before, sizeof(before), "%s", telemetry_ask("/simnic/fault," DEVICE));
	for (unsigned int i = 0; i < RTE_DIM(wrong); i++) {
		const char *answer = telemetry_ask("/simnic/fault," DEVICE ",%s", wrong[i]);

		if (strstr(answer, "\"error\":") == NULL)
			fail_msg("'%s' was accepted: %s", wrong[i], answer);
		assert_string_equal(telemetry_ask("/simnic/fault," DEVICE), before);
	}
	assert_non_null(strstr(telemetry_ask("/simnic/fault,net_simnic9,clear"), "null"));
	assert_non_null(strstr(telemetry_ask("/simnic/fault"), "null"));
}

static void the_command_says_how_it_is_used(void **state)
{
	static const char *const keys[] = {"table_full", "fail_nth",       "fail_all",
					   "insert_us",  "function_reset", "function_link",
					   "uplink",     "remove",         "clear"};
	const char *answer = telemetry_ask("/simnic/fault," DEVICE ",help");

	for (unsigned int i = 0; i < RTE_DIM(keys); i++)
		assert_non_null(strstr(answer, keys[i]));
	assert_non_null(strstr(telemetry_ask("/help,/simnic/fault"), "help"));
}

// ---- inserts --------------------------------------------------------------------------------------------

// Insert rule number `number`; 0, or what it was refused with.
static int insert_result(uint32_t number)
{
	const struct rte_flow_item_ipv4 from = {.hdr.src_addr = rte_cpu_to_be_32(number)},
					mask = {.hdr.src_addr = UINT32_MAX};
	struct rte_flow_error error = {0};

	if (rte_flow_create(ports[UPLINK], &(struct rte_flow_attr){.transfer = 1},
			    PATTERN(ITEM(ETH), ITEM(IPV4, .spec = &from, .mask = &mask)),
			    ACTIONS(ACTION(DROP)), &error) != NULL)
		return 0;
	assert_int_equal(error.type, RTE_FLOW_ERROR_TYPE_UNSPECIFIED);
	assert_non_null(error.message);
	return -rte_errno;
}

static void a_full_table_refuses_one_more(void **state)
{
	telemetry_ask("/simnic/fault," DEVICE ",table_full=100");
	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(insert_result(i), 0);
	assert_int_equal(insert_result(100), -ENOSPC);
	assert_int_equal(insert_result(101), -ENOSPC);
	expect_state("\"table_full\":100");
	expect_state("\"inserts\":102,\"inserts_failed\":2");
	telemetry_ask("/simnic/fault," DEVICE ",table_full=101");
	assert_int_equal(insert_result(100), 0);
	assert_int_equal(insert_result(101), -ENOSPC);
	assert_int_equal(rte_flow_flush(ports[UPLINK], NULL), 0);
	assert_int_equal(insert_result(101), 0); // there is room again
	telemetry_ask("/simnic/fault," DEVICE ",table_full=0");
	assert_int_equal(insert_result(0), -ENOSPC);
	telemetry_ask("/simnic/fault," DEVICE ",table_full=off");
	for (uint32_t i = 0; i < 101; i++)
		assert_int_equal(insert_result(i), 0);
}

static void the_nth_insert_fails_once(void **state)
{
	uint32_t number = 0;

	telemetry_ask("/simnic/fault," DEVICE ",fail_nth=3");
	assert_int_equal(insert_result(number++), 0);
	expect_state("\"fail_nth\":2");
	assert_int_equal(insert_result(number++), 0);
	assert_int_equal(insert_result(number), -EIO);
	expect_state("\"fail_nth\":\"off\"");
	for (unsigned int i = 0; i < 10; i++)
		assert_int_equal(insert_result(number++), 0);
	telemetry_ask("/simnic/fault," DEVICE ",fail_nth=1:EBUSY");
	assert_int_equal(insert_result(number), -EBUSY);
	assert_int_equal(insert_result(number), 0);
}

static void all_inserts_fail_until_it_is_cleared(void **state)
{
	telemetry_ask("/simnic/fault," DEVICE ",fail_all=ENOMEM");
	expect_state("\"fail_all\":\"ENOMEM\"");
	for (unsigned int i = 0; i < 10; i++)
		assert_int_equal(insert_result(i), -ENOMEM);
	telemetry_ask("/simnic/fault," DEVICE ",clear");
	assert_int_equal(insert_result(0), 0);
}

static void a_slow_insert_takes_as_long_as_asked(void **state)
{
	uint64_t begin;

	telemetry_ask("/simnic/fault," DEVICE ",insert_us=50000");
	begin = now_ms();
	assert_int_equal(insert_result(0), 0);
	assert_true(now_ms() - begin >= 49); // whole milliseconds, cut off
	expect_state("\"insert_us\":50000");
	telemetry_ask("/simnic/fault," DEVICE ",insert_us=off");
	expect_state("\"insert_us\":\"off\"");
}

// ---- events ---------------------------------------------------------------------------------------------

// By port: what an application was told.
static struct told {
	unsigned int downs, ups, resets, removals;
} told[RTE_MAX_ETHPORTS];

static int on_event(uint16_t port, enum rte_eth_event_type event, void *argument, void *result)
{
	struct rte_eth_link link;

	switch ((int)event) {
	case RTE_ETH_EVENT_INTR_LSC:
		assert_int_equal(rte_eth_link_get_nowait(port, &link), 0);
		__atomic_fetch_add(link.link_status ? &told[port].ups : &told[port].downs, 1,
				   __ATOMIC_RELAXED);
		break;
	case RTE_ETH_EVENT_INTR_RESET:
		__atomic_fetch_add(&told[port].resets, 1, __ATOMIC_RELAXED);
		break;
	case RTE_ETH_EVENT_INTR_RMV:
		__atomic_fetch_add(&told[port].removals, 1, __ATOMIC_RELAXED);
		break;
	}
	return 0;
}

static const enum rte_eth_event_type event_types[] = {
	RTE_ETH_EVENT_INTR_LSC, RTE_ETH_EVENT_INTR_RESET, RTE_ETH_EVENT_INTR_RMV};

static int listen_to_all(void **state)
{
	probe(state);
	for (unsigned int i = 0; i < PORTS; i++) {
		told[ports[i]] = (struct told){0};
		for (unsigned int j = 0; j < RTE_DIM(event_types); j++)
			assert_int_equal(rte_eth_dev_callback_register(ports[i], event_types[j],
								       on_event, NULL),
					 0);
	}
	start_all(PORT_PLAIN);
	all_up();
	for (unsigned int i = 0; i < PORTS; i++)
		WAIT_FOR(link_is_up(ports[i]));
	return 0;
}
#define EVENT_TEST(name) cmocka_unit_test_setup_teardown(name, listen_to_all, remove_device)

static unsigned int count(const unsigned int *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

// A frame from the function comes to the port, and one of the port to the function.
static void expect_traffic(unsigned int i, int packet)
{
	uint8_t frame[100];

	assert_int_equal(send(packet, frame, make_frame(frame, sizeof(frame), i), 0),
			 sizeof(frame));
	rte_pktmbuf_free(receive_ours(ports[i]));
	port_send(ports[i], 0, pool, frame, sizeof(frame));
	WAIT_FOR(read_ours(packet, frame, sizeof(frame)) == sizeof(frame));
}

// Up: its frames are let through, too. The kernel does so a moment after the carrier is on (linkwatch), and drops what is
// sent before, on a real card's host as well; LOWER_UP comes first.
static void expect_carrier(pid_t netns, const char *netdev, bool up)
{
	WAIT_FOR(netns_shell_succeeds(netns, "ip link show %s | grep -q '%s'", netdev,
				      up ? "state UP" : "NO-CARRIER"));
}

static void a_link_that_is_taken_away_carries_nothing_until_it_is_back(void **state)
{
	static const struct {
		unsigned int port;
		const char *down, *up, *name;
	} cases[] = {
		{1, "function_link=1:down", "function_link=1:up", "\"links_down\":[\"vf1\"]"},
		{PF, "function_link=65535:down", "function_link=65535:up", "[\"vf65535\"]"},
		{UPLINK, "uplink=down", "uplink=up", "\"links_down\":[\"uplink\"]"},
		{2, "function_link=2:down", "clear", "\"links_down\":[\"vf2\"]"},
	};

	for (unsigned int i = 0; i < RTE_DIM(cases); i++) {
		unsigned int index = cases[i].port;
		uint16_t port = ports[index];
		int packet = netns_packet_socket(0, netdevs[index]);
		uint8_t frame[100];

		expect_traffic(index, packet);
		told[port] = (struct told){0};
		telemetry_ask("/simnic/fault," DEVICE ",%s", cases[i].down);
		WAIT_FOR(count(&told[port].downs) > 0);
		assert_false(link_is_up(port));
		expect_carrier(0, netdevs[index], false);
		expect_state(cases[i].name);
		port_send(port, 0, pool, frame, make_frame(frame, sizeof(frame), 0));
		WAIT_FOR(port_xstat(port, "simnic_tx_error_function_down") == 1);
		assert_int_equal(read_ours(packet, frame, sizeof(frame)), -1);
		assert_int_equal(count_ours(port), 0);
		assert_int_equal(count(&told[port].ups), 0);

		telemetry_ask("/simnic/fault," DEVICE ",%s", cases[i].up);
		WAIT_FOR(count(&told[port].ups) > 0);
		assert_true(link_is_up(port));
		expect_carrier(0, netdevs[index], true);
		expect_state("\"links_down\":[]");
		expect_traffic(index, packet);
		assert_int_equal(rte_eth_stats_reset(port), 0);
		close(packet);
	}
	assert_int_equal(count(&told[ports[0]].downs), 0); // nobody else noticed
}

static void a_restart_of_the_port_does_not_bring_a_faulty_link_up(void **state)
{
	telemetry_ask("/simnic/fault," DEVICE ",function_link=0:down");
	assert_int_equal(rte_eth_dev_stop(ports[0]), 0);
	assert_int_equal(rte_eth_dev_start(ports[0]), 0);
	assert_int_equal(rte_eth_dev_set_link_up(ports[0]), 0);
	assert_false(link_is_up(ports[0]));
	expect_carrier(0, netdevs[0], false);
	telemetry_ask("/simnic/fault," DEVICE ",clear");
	WAIT_FOR(link_is_up(ports[0]));
}

static void a_function_reset_drops_what_is_on_its_way_and_is_told(void **state)
{
	pid_t pod = netns_new();
	uint16_t port = ports[0];
	uint8_t frame[100];
	int packet, other;

	shell("ip link set %s netns %d", netdevs[0], (int)pod);
	netns_shell(pod, "ip link set %s up", netdevs[0]);
	packet = netns_packet_socket(pod, netdevs[0]);
	WAIT_FOR(link_is_up(port));
	expect_traffic(0, packet);
	other = netns_packet_socket(0, netdevs[1]);
	expect_traffic(1, other);
	told[port] = (struct told){0};

	assert_null(strstr(telemetry_ask("/simnic/fault," DEVICE ",function_reset=0"), "error"));
	WAIT_FOR(count(&told[port].resets) == 1);
	assert_int_equal(count(&told[port].downs), 1);
	WAIT_FOR(link_is_up(port));
	assert_int_equal(count(&told[ports[1]].resets), 0);
	assert_int_equal(count(&told[ports[UPLINK]].resets), 0);
	assert_true(port_stats(ports[1]).opackets > 0);
	assert_int_equal(port_stats(port).opackets, 0);
	assert_int_equal(port_stats(port).obytes, 0);
	assert_int_equal(count_ours(port), 0);
	assert_int_equal(read_ours(packet, frame, sizeof(frame)), -1);
	expect_state("\"links_down\":[]");

	// The netdev is where it was, and the same: the socket on it still works.
	expect_carrier(pod, netdevs[0], true);
	expect_traffic(0, packet);
	close(packet);
	close(other);
	netns_delete(pod);
}

// As when the driver of a function is unbound and bound again.
static void a_reset_may_take_the_netdev_and_bring_a_fresh_one(void **state)
{
	pid_t pod = netns_new();
	uint16_t port = ports[0];
	struct rte_flow *rule;
	int packet, other;

	shell("ip link set %s netns %d", netdevs[0], (int)pod);
	netns_shell(pod, "ip link set %s name eth0 mtu 9000 up", netdevs[0]);
	netns_shell(pod, "ip address add 192.0.2.1/24 dev eth0");
	packet = netns_packet_socket(pod, "eth0");
	WAIT_FOR(link_is_up(port));
	expect_traffic(0, packet);
	close(packet);
	other = netns_packet_socket(0, netdevs[1]);
	expect_traffic(1, other);
	rule = rule_of(ports[UPLINK], PATTERN(FROM(port)), ACTIONS(ACTION(DROP)));
	told[port] = (struct told){0};

	assert_null(
		strstr(telemetry_ask("/simnic/fault," DEVICE ",function_reset=0:lost"), "error"));
	// When the command answers, all of it has happened.
	netns_shell(pod, "! ip link show eth0 2>/dev/null");
	shell("ip -stats link show %s | grep -A1 'RX:' | grep -Eq '^ *0 +0 '", netdevs[0]);
	shell("ip link show %s | grep -q 'mtu 1500 .*state DOWN'", netdevs[0]);
	shell("test -z \"$(ip -o address show dev %s)\"", netdevs[0]);
	shell("ip link show %s | grep -q 'simnic:simnic0:vf0'", netdevs[0]);
	assert_false(link_is_up(port));
	WAIT_FOR(count(&told[port].resets) == 1);
	assert_int_equal(port_stats(port).opackets, 0);
	expect_state("\"links_down\":[]");

	// It is the port's, with the offloads the port was started with, and no rule is in the way.
	shell("ip link set %s up", netdevs[0]);
	WAIT_FOR(link_is_up(port));
	packet = netns_packet_socket(0, netdevs[0]);
	expect_traffic(0, packet);
	expect_traffic(1, other);
	rule_destroy(ports[UPLINK], rule);
	close(packet);
	close(other);
	netns_delete(pod);
}

static void the_netdev_of_the_pf_is_replaced_as_any(void **state)
{
	unsigned int before = if_nametoindex(netdevs[PF]);

	for (unsigned int i = 0; i < 5; i++) {
		telemetry_ask("/simnic/fault," DEVICE ",function_reset=65535:lost");
		assert_int_not_equal(if_nametoindex(netdevs[PF]), 0);
		assert_int_not_equal(if_nametoindex(netdevs[PF]), before);
		before = if_nametoindex(netdevs[PF]);
	}
}

static void frames_sent_during_a_reset_are_lost(void **state)
{
	uint16_t port = ports[0];
	int packet = netns_packet_socket(0, netdevs[0]);
	struct function *function = function_of(&rte_eth_devices[port]);
	uint8_t frame[100];

	make_frame(frame, sizeof(frame), 1);
	pipeline_call(function->device, (void (*)(void *))function_reset_begin, function);
	// Its netdev's carrier is still on, as in the moment before the kernel is told.
	for (unsigned int i = 0; i < 10; i++) {
		assert_int_equal(send(packet, frame, sizeof(frame), 0), sizeof(frame));
		port_send(port, 0, pool, frame, sizeof(frame));
	}
	WAIT_FOR(port_xstat(port, "simnic_rx_dropped_link_down") >= 10);
	WAIT_FOR(port_xstat(port, "simnic_tx_error_function_down") == 10);
	pipeline_call(function->device, (void (*)(void *))function_reset_end, function);
	assert_int_equal(count_ours(port), 0);
	assert_int_equal(read_ours(packet, frame, sizeof(frame)), -1);
	assert_int_equal(port_xstat(port, "simnic_tx_error_function_down"), 0);
	assert_int_equal(port_xstat(port, "simnic_rx_dropped_link_down"), 0);
	close(packet);
}

static void a_function_reset_takes_the_rules_that_name_it(void **state)
{
	struct rte_flow *of_0, *to_0, *of_1;
	int packets[2];
	uint8_t frame[100];

	for (unsigned int i = 0; i < 2; i++)
		packets[i] = netns_packet_socket(0, netdevs[i]);
	of_0 = rule_of(ports[UPLINK], PATTERN(FROM(ports[0])), ACTIONS(ACTION(DROP)));
	to_0 = rule_of(ports[UPLINK], PATTERN(FROM(ports[1])), ACTIONS(COUNT, TO(ports[0])));
	of_1 = rule_of(ports[UPLINK], PATTERN(FROM(ports[2])), ACTIONS(COUNT, TO(ports[3])));
	telemetry_ask("/simnic/fault," DEVICE ",function_reset=0");
	WAIT_FOR(count(&told[ports[0]].resets) == 1);
	WAIT_FOR(link_is_up(ports[0]));
	expect_carrier(0, netdevs[0], true);
	for (unsigned int i = 0; i < 2; i++)
		expect_traffic(i, packets[i]); // comes to the ports: no rule in the way
	assert_int_equal(rule_count(ports[UPLINK], to_0, false).hits, 0);

	// Others stay, and the handles are still to be destroyed.
	assert_int_equal(read_ours(packets[1], frame, sizeof(frame)), -1);
	rule_destroy(ports[UPLINK], of_0);
	rule_destroy(ports[UPLINK], to_0);
	rule_destroy(ports[UPLINK], of_1);
	for (unsigned int i = 0; i < 2; i++)
		close(packets[i]);
}

static void a_device_that_is_pulled_out_is_told_and_carries_nothing(void **state)
{
	uint8_t frame[100];
	int packet = netns_packet_socket(0, netdevs[0]);

	expect_traffic(0, packet);
	telemetry_ask("/simnic/fault," DEVICE ",remove");
	for (unsigned int i = 0; i < PORTS; i++) {
		WAIT_FOR(count(&told[ports[i]].removals) == 1);
		assert_int_equal(rte_eth_dev_is_removed(ports[i]), 1);
		assert_false(link_is_up(ports[i]));
	}
	expect_state("\"removed\":1");
	assert_null(rte_flow_create(ports[UPLINK], &(struct rte_flow_attr){.transfer = 1},
				    PATTERN(FROM(ports[0])), ACTIONS(ACTION(DROP)), NULL));
	assert_int_equal(rte_errno, EIO);
	send(packet, frame, make_frame(frame, sizeof(frame), 0), 0);
	port_send(ports[0], 0, pool, frame, sizeof(frame));
	WAIT_FOR(port_xstat(ports[0], "simnic_tx_error_function_gone") == 1);
	assert_int_equal(count_ours(ports[0]), 0);
	// It stays removed, whatever is asked.
	telemetry_ask("/simnic/fault," DEVICE ",clear");
	expect_state("\"removed\":1");
	assert_non_null(
		strstr(telemetry_ask("/simnic/fault," DEVICE ",function_reset=0"), "removed"));
	assert_non_null(strstr(telemetry_ask("/simnic/fault," DEVICE ",remove"), "error"));
	close(packet);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_fault_that_is_not_understood_changes_nothing),
		TEST(the_command_says_how_it_is_used),
		TEST(a_full_table_refuses_one_more),
		TEST(the_nth_insert_fails_once),
		TEST(all_inserts_fail_until_it_is_cleared),
		TEST(a_slow_insert_takes_as_long_as_asked),
		EVENT_TEST(a_link_that_is_taken_away_carries_nothing_until_it_is_back),
		EVENT_TEST(a_restart_of_the_port_does_not_bring_a_faulty_link_up),
		EVENT_TEST(a_function_reset_drops_what_is_on_its_way_and_is_told),
		EVENT_TEST(a_reset_may_take_the_netdev_and_bring_a_fresh_one),
		EVENT_TEST(the_netdev_of_the_pf_is_replaced_as_any),
		EVENT_TEST(frames_sent_during_a_reset_are_lost),
		EVENT_TEST(a_function_reset_takes_the_rules_that_name_it),
		EVENT_TEST(a_device_that_is_pulled_out_is_told_and_carries_nothing),
	};

	return device_tests_run(tests, RTE_DIM(tests));
}
