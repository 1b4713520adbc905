// SPDX-License-Identifier: BSD-3-Clause
//
// What rules do to frames between functions, ports and the wire, by raw sockets on the netdevs.

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sim/simnic/flow_api.h"
#include "sim/simnic/test_device.h"
#include "sim/simnic/test_flow.h"
#include "sim/simnic/test_frames.h"

static const struct rte_ether_addr other_mac = {{0x02, 0xaa, 0xbb, 0xcc, 0xdd, 0xee}};

static const struct rte_flow_item_eth from_2 = {.hdr.src_addr = {{2, 2, 2, 2, 2, 2}}};

// ---- where frames go ------------------------------------------------------------------------------------

static void a_rule_carries_frames_past_the_application(void **state)
{
	struct rte_flow *rules[3];

	begin();
	rules[0] =
		rule_of(ports[UPLINK], PATTERN(FROM(ports[0]), OURS), ACTIONS(COUNT, TO(ports[1])));
	rules[1] = rule_of(ports[UPLINK], PATTERN(FROM(ports[2]), OURS),
			   ACTIONS(COUNT, TO(ports[UPLINK])));
	rules[2] = rule_of(ports[UPLINK], PATTERN(FROM(ports[UPLINK]), OURS),
			   ACTIONS(COUNT, TO_PORT_OF(ports[PF])));
	for (uint32_t i = 0; i < 50; i++) {
		send_frame(0, 3 * i);
		expect_at_function(1, 3 * i);
		send_frame(2, 3 * i + 1);
		expect_at_function(UPLINK, 3 * i + 1);
		send_frame(UPLINK, 3 * i + 2);
		expect_at_port(PF, 3 * i + 2);
		send_frame(3, i);
		expect_at_port(3, i);
	}
	expect_nothing_else();
	for (unsigned int i = 0; i < 3; i++) {
		struct rte_flow_query_count count = rule_count(ports[UPLINK], rules[i], false);

		assert_int_equal(count.hits, 50);
		assert_int_equal(count.bytes, 5000);
	}
	assert_int_equal(port_xstat(ports[0], "simnic_rule_from_packets"), 50);
	assert_int_equal(port_xstat(ports[0], "simnic_rule_from_bytes"), 5000);
	assert_int_equal(port_xstat(ports[1], "simnic_rule_to_packets"), 50);
	assert_int_equal(port_xstat(ports[1], "simnic_rule_to_bytes"), 5000);
	assert_int_equal(port_xstat(ports[UPLINK], "simnic_rule_to_packets"), 50);
	end();
}

static void what_misses_or_is_destroyed_takes_the_default_way(void **state)
{
	struct rte_flow *rule;

	begin();
	rule = rule_of(ports[0], PATTERN(FROM(ports[0]), OURS), ACTIONS(TO(ports[1])));
	send_frame(0, 1);
	expect_at_function(1, 1);
	rule_destroy(ports[0], rule);
	send_frame(0, 2);
	expect_at_port(0, 2);
	// There are rules, but in no group that frames come to.
	rule_at(ports[0], 5, 0, PATTERN(OURS), ACTIONS(ACTION(DROP)));
	send_frame(0, 3);
	expect_at_port(0, 3);
	rule_of(ports[0], PATTERN(FROM(ports[3])), ACTIONS(ACTION(DROP)));
	send_frame(0, 4);
	expect_at_port(0, 4);
	expect_nothing_else();
	end();
}

static void the_better_priority_decides_and_a_drop_is_counted(void **state)
{
	struct rte_flow *drop, *forward;

	begin();
	forward = rule_at(ports[0], 0, 5, PATTERN(FROM(ports[0]), OURS),
			  ACTIONS(COUNT, TO(ports[1])));
	drop = rule_at(ports[0], 0, 4, PATTERN(FROM(ports[0]), ITEM(ETH, .spec = &from_2)),
		       ACTIONS(COUNT, ACTION(DROP)));
	send_frame(0, 1);
	expect_at_function(1, 1); // the default mask of ETH has the destination, too
	rule_destroy(ports[0], drop);
	drop = rule_at(
		ports[0], 0, 4,
		PATTERN(FROM(ports[0]),
			ITEM(ETH, .spec = &from_2,
			     .mask = HDR(eth, .src_addr = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}))),
		ACTIONS(COUNT, ACTION(DROP)));
	send_frame(0, 2);
	WAIT_FOR(rule_count(ports[0], drop, false).hits == 1);
	assert_int_equal(rule_count(ports[0], drop, true).bytes, 100);
	assert_int_equal(rule_count(ports[0], drop, false).hits, 0); // was reset
	assert_int_equal(port_xstat(ports[0], "simnic_rule_dropped"), 1);
	assert_int_equal(rule_count(ports[0], forward, false).hits, 1);
	rule_destroy(ports[0], drop);
	send_frame(0, 3);
	expect_at_function(1, 3);
	expect_nothing_else();
	end();
}

static void a_jump_leads_on_and_a_rewritten_frame_that_misses_stays_rewritten(void **state)
{
	struct rte_flow *second;
	struct rte_mbuf *mbuf;

	begin();
	rule_of(ports[0], PATTERN(FROM(ports[0]), OURS),
		ACTIONS(ACTION(SET_MAC_SRC, .conf = &other_mac), JUMP(7)));
	// What group 0 wrote, group 7 sees.
	second = rule_at(
		ports[0], 7, 0,
		PATTERN(ITEM(ETH, .spec = HDR(eth, .src_addr = other_mac),
			     .mask = HDR(eth, .src_addr = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}))),
		ACTIONS(ACTION(SET_MAC_SRC, .conf = &from_2.hdr.src_addr), TO(ports[1])));
	send_frame(0, 1);
	expect_at_function(1, 1);
	rule_destroy(ports[0], second);
	send_frame(0, 2);
	mbuf = receive_ours(ports[0]);
	assert_memory_equal(rte_pktmbuf_mtod(mbuf, uint8_t *) + 6, &other_mac, 6);
	rte_pktmbuf_free(mbuf);
	expect_nothing_else();
	end();
}

static void telemetry_tells_what_groups_met(void **state)
{
	const char *answer;

	begin();
	rule_of(ports[UPLINK], PATTERN(FROM(ports[0]), OURS), ACTIONS(JUMP(7)));
	rule_of(ports[UPLINK], PATTERN(FROM(ports[1]), OURS), ACTIONS(TO(ports[2])));
	rule_at(ports[UPLINK], 7, 0, PATTERN(ITEM(IPV4)), ACTIONS(ACTION(DROP)));
	rule_at(ports[UPLINK], 7, 0, PATTERN(ITEM(IPV6)), ACTIONS(ACTION(DROP)));
	send_frame(0, 1);
	expect_at_port(0, 1);
	send_frame(1, 2);
	expect_at_function(2, 2);
	answer = telemetry_ask("/simnic/rules," DEVICE);
	if (strstr(answer, "\"rules\":4,") == NULL || strstr(answer, "\"groups\":2,") == NULL ||
	    strstr(answer, "\"group_0\":{\"rules\":2,\"masks\":1,\"hits\":2,\"bytes\":200,") ==
		    NULL ||
	    strstr(answer,
		   "\"group_7\":{\"rules\":2,\"masks\":2,\"hits\":0,\"bytes\":0,\"misses\":1}") ==
		    NULL)
		fail_msg("%s", answer);
	end();
}

static void jumps_in_a_circle_end(void **state)
{
	struct rte_flow *circle;

	begin();
	rule_of(ports[0], PATTERN(FROM(ports[0]), OURS), ACTIONS(JUMP(1)));
	circle = rule_at(ports[0], 1, 0, PATTERN(OURS), ACTIONS(COUNT, JUMP(2)));
	rule_at(ports[0], 2, 0, PATTERN(OURS), ACTIONS(JUMP(1)));
	send_frame(0, 1);
	WAIT_FOR(port_xstat(ports[0], "simnic_rule_error_loop") == 1);
	assert_int_equal(rule_count(ports[0], circle, false).hits, 16);
	send_frame(3, 2);
	expect_at_port(3, 2);
	expect_nothing_else();
	end();
}

static void a_chain_of_thirty_two_jumps_is_none_too_many(void **state)
{
	begin();
	for (unsigned int i = 0; i < 32; i++)
		rule_at(ports[0], i, 0, PATTERN(OURS), ACTIONS(JUMP(i + 1)));
	rule_at(ports[0], 32, 0, PATTERN(OURS), ACTIONS(TO(ports[1])));
	send_frame(0, 1);
	expect_at_function(1, 1);
	assert_int_equal(port_xstat(ports[0], "simnic_rule_error_loop"), 0);
	end();
}

static void rules_see_what_ports_send(void **state)
{
	struct rte_flow *rule;
	uint8_t frame[100];

	begin();
	rule = rule_of(ports[0], PATTERN(SENT_BY(ports[0]), OURS), ACTIONS(COUNT, TO(ports[2])));
	rule_of(ports[0], PATTERN(SENT_BY(ports[1])), ACTIONS(TO_PORT_OF(ports[3])));
	port_send(ports[0], 0, pool, frame, make_frame(frame, sizeof(frame), 1));
	expect_at_function(2, 1);
	port_send(ports[1], 0, pool, frame, make_frame(frame, sizeof(frame), 2));
	expect_at_port(3, 2);
	port_send(ports[2], 0, pool, frame, make_frame(frame, sizeof(frame), 3));
	expect_at_function(2, 3);
	send_frame(0, 4); // of the function, not of its port
	expect_at_port(0, 4);
	assert_int_equal(rule_count(ports[0], rule, false).hits, 1);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(port_stats(ports[i]).opackets, 1);
	assert_int_equal(port_xstat(ports[0], "simnic_rule_from_packets"), 0);
	assert_int_equal(port_xstat(ports[2], "simnic_rule_to_packets"), 1);
	expect_nothing_else();
	end();
}

static void a_rule_without_origin_matches_any_through_whatever_port_it_was_made(void **state)
{
	begin();
	rule_of(ports[0], PATTERN(OURS), ACTIONS(TO(ports[3])));
	for (unsigned int i = 0; i < 3; i++) {
		send_frame(i, i);
		expect_at_function(3, i);
	}
	expect_nothing_else();
	end();
}

// ---- MTU ------------------------------------------------------------------------------------------------

static void the_mtu_holds_for_what_rules_carry(void **state)
{
	uint8_t frame[9100], received[9200];

	begin();
	for (unsigned int i = 0; i < 2; i++)
		shell("ip link set %s mtu 9000", netdevs[i]);
	rule_of(ports[0], PATTERN(FROM(ports[0]), OURS), ACTIONS(TO(ports[1])));
	// Beyond the MTU of the port of origin: as if there were no rule.
	assert_int_equal(send(sockets[0], frame, make_frame(frame, 1515, 1), 0), 1515);
	WAIT_FOR(port_xstat(ports[0], "simnic_rx_error_oversize") == 1);
	assert_int_equal(send(sockets[0], frame, make_frame(frame, 1514, 2), 0), 1514);
	WAIT_FOR(read_ours(sockets[1], received, sizeof(received)) == 1514);
	// Beyond that of the target.
	assert_int_equal(rte_eth_dev_stop(ports[0]), 0);
	port_start(ports[0], pool, PORT_OFFLOAD, 1);
	assert_int_equal(rte_eth_dev_set_mtu(ports[0], 9000), 0);
	assert_int_equal(send(sockets[0], frame, make_frame(frame, 1515, 3), 0), 1515);
	WAIT_FOR(port_xstat(ports[1], "simnic_rule_error_oversize") == 1);
	assert_int_equal(port_xstat(ports[0], "simnic_rx_error_oversize"), 1);
	assert_int_equal(send(sockets[0], frame, make_frame(frame, 1514, 4), 0), 1514);
	WAIT_FOR(read_ours(sockets[1], received, sizeof(received)) == 1514);
	// Which is that of the target's port: its netdev's was 9000 all the time.
	assert_int_equal(rte_eth_dev_stop(ports[1]), 0);
	port_start(ports[1], pool, PORT_OFFLOAD, 1);
	assert_int_equal(rte_eth_dev_set_mtu(ports[1], 9000), 0);
	assert_int_equal(send(sockets[0], frame, make_frame(frame, 9014, 5), 0), 9014);
	WAIT_FOR(read_ours(sockets[1], received, sizeof(received)) == 9014);
	assert_int_equal(port_xstat(ports[1], "simnic_rule_error_oversize"), 1);
	expect_nothing_else();
	end();
}

// ---- ports and functions that go ------------------------------------------------------------------------

static void a_closed_port_is_a_target_still(void **state)
{
	begin();
	rule_of(ports[UPLINK], PATTERN(FROM(ports[0]), OURS), ACTIONS(TO(ports[1])));
	rule_of(ports[UPLINK], PATTERN(FROM(ports[2]), OURS), ACTIONS(TO_PORT_OF(ports[1])));
	assert_int_equal(rte_eth_dev_stop(ports[1]), 0);
	assert_int_equal(rte_eth_dev_close(ports[1]), 0);
	send_frame(2, 1); // to nobody
	send_frame(0, 2);
	expect_at_function(1, 2);
	end();
}

static void a_function_that_is_down_or_gone_is_counted(void **state)
{
	pid_t pod = netns_new();
	struct rte_flow *rule;

	begin();
	rule = rule_of(ports[UPLINK], PATTERN(FROM(ports[0]), OURS), ACTIONS(COUNT, TO(ports[1])));
	shell("ip link set %s down", netdevs[1]);
	send_frame(0, 1);
	WAIT_FOR(port_xstat(ports[1], "simnic_rule_error_function_down") == 1);
	shell("ip link set %s netns %d", netdevs[1], (int)pod);
	netns_delete(pod);
	for (uint32_t sent = 2; port_xstat(ports[1], "simnic_rule_error_function_gone") == 0 &&
				!shell_succeeds("ip link show %s", netdevs[1]);
	     sent++)
		send_frame(0, sent);
	WAIT_FOR(shell_succeeds("ip link show %s", netdevs[1]));
	shell("ip link set %s up", netdevs[1]);
	close(sockets[1]);
	sockets[1] = netns_packet_socket(0, netdevs[1]);
	WAIT_FOR(link_is_up(ports[1]));
	send_frame(0, 99);
	expect_at_function(1, 99);
	assert_true(rule_count(ports[UPLINK], rule, false).hits >= 2);
	end();
}

// ---- changes under traffic ------------------------------------------------------------------------------

enum { MANY = 20000 };

static void *send_many(void *argument)
{
	uint8_t frame[100];

	for (uint32_t i = 0; i < MANY; i++) {
		if (send(sockets[0], frame, make_frame(frame, sizeof(frame), i), 0) < 0)
			i--; // its queue is full
		if (i % 64 == 63)
			usleep(200);
	}
	return NULL;
}

// Each frame goes one way or the other.
static void rules_come_and_go_under_traffic_and_no_frame_is_lost(void **state)
{
	uint64_t by_rule = 0, by_default, dropped;
	unsigned int rounds = 0;
	pthread_t sender;

	begin();
	assert_int_equal(pthread_create(&sender, NULL, send_many, NULL), 0);
	do {
		struct rte_flow *rule =
			rule_of(ports[rounds % PORTS], PATTERN(FROM(ports[0]), OURS),
				ACTIONS(COUNT, TO(ports[1])));

		count_ours(ports[0]);
		usleep(rounds % 8 * 100);
		if (rounds % 3 == 0)
			assert_int_equal(rte_flow_flush(ports[rounds % PORTS], NULL), 0);
		else
			rule_destroy(ports[rounds % PORTS], rule);
		count_ours(ports[0]);
		by_rule = port_xstat(ports[1], "simnic_rule_to_packets");
		by_default = port_stats(ports[0]).ipackets;
		dropped = port_stats(ports[0]).imissed;
		rounds++;
	} while (by_rule + by_default + dropped < MANY);
	pthread_join(sender, NULL);
	assert_true(by_rule > 100 && by_default > 100 && rounds > 50);
	count_ours(ports[0]);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_rule_carries_frames_past_the_application),
		TEST(what_misses_or_is_destroyed_takes_the_default_way),
		TEST(the_better_priority_decides_and_a_drop_is_counted),
		TEST(a_jump_leads_on_and_a_rewritten_frame_that_misses_stays_rewritten),
		TEST(telemetry_tells_what_groups_met),
		TEST(jumps_in_a_circle_end),
		TEST(a_chain_of_thirty_two_jumps_is_none_too_many),
		TEST(rules_see_what_ports_send),
		TEST(a_rule_without_origin_matches_any_through_whatever_port_it_was_made),
		TEST(the_mtu_holds_for_what_rules_carry),
		TEST(a_closed_port_is_a_target_still),
		TEST(a_function_that_is_down_or_gone_is_counted),
		TEST(rules_come_and_go_under_traffic_and_no_frame_is_lost),
	};

	return device_tests_run(tests, RTE_DIM(tests));
}
