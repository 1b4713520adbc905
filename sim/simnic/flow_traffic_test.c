// SPDX-License-Identifier: BSD-3-Clause
//
// What rules do to frames between functions, ports and the wire: by raw sockets on the netdevs, and by the stacks of pods
// that talk to each other while the representors see nothing of it.

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_ip.h>

#include "sim/simnic/flow_api.h"
#include "sim/simnic/test_device.h"
#include "sim/simnic/test_flow.h"

static const struct rte_ether_addr other_mac = {{0x02, 0xaa, 0xbb, 0xcc, 0xdd, 0xee}};

static int sockets[PORTS];

// Ports started, netdevs up, a raw socket on each.
static void begin(void)
{
	start_all(PORT_PLAIN);
	all_up();
	for (unsigned int i = 0; i < PORTS; i++)
		sockets[i] = netns_packet_socket(0, netdevs[i]);
}

static void end(void)
{
	for (unsigned int i = 0; i < PORTS; i++)
		close(sockets[i]);
}

// A frame out of a function.
static void send_frame(unsigned int from, uint32_t number)
{
	uint8_t frame[100];

	assert_int_equal(send(sockets[from], frame, make_frame(frame, sizeof(frame), number), 0),
			 sizeof(frame));
}

// The next frame that a function gets has this number.
static void expect_at_function(unsigned int at, uint32_t number)
{
	uint8_t sent[100], received[300];

	make_frame(sent, sizeof(sent), number);
	WAIT_FOR(read_ours(sockets[at], received, sizeof(received)) == sizeof(sent));
	assert_memory_equal(received, sent, sizeof(sent));
}

static void expect_at_port(unsigned int at, uint32_t number)
{
	struct rte_mbuf *mbuf = receive_ours(ports[at]);
	uint8_t sent[100];

	make_frame(sent, sizeof(sent), number);
	assert_int_equal(mbuf->pkt_len, sizeof(sent));
	assert_memory_equal(rte_pktmbuf_mtod(mbuf, uint8_t *), sent, sizeof(sent));
	rte_pktmbuf_free(mbuf);
}

// Nobody has got anything of ours that was not asked for.
static void expect_nothing_else(void)
{
	uint8_t frame[300];

	for (unsigned int i = 0; i < PORTS; i++) {
		assert_int_equal(read_ours(sockets[i], frame, sizeof(frame)), -1);
		assert_int_equal(count_ours(ports[i]), 0);
	}
}

#define OURS                                                                                       \
	ITEM(ETH, .spec = HDR(eth, .ether_type = RTE_BE16(0x88b5)),                                \
	     .mask = HDR(eth, .ether_type = 0xffff))
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

// ---- pods -----------------------------------------------------------------------------------------------

static pid_t pods[2];

// Two pods behind a router that is nothing but rules: addresses 10.9.0.N and fd09::N, MAC 02:00:00:00:00:0N.
static void pods_make(void)
{
	for (unsigned int i = 0; i < 2; i++) {
		pods[i] = netns_new();
		shell("ip link set %s netns %d", netdevs[i], (int)pods[i]);
		netns_shell(pods[i], "ip link set %s name eth0 address 02:00:00:00:00:0%u",
			    netdevs[i], i + 1);
		netns_shell(pods[i], "sysctl -qw net.ipv6.conf.eth0.router_solicitations=0");
		netns_shell(pods[i], "ip addr add 10.9.0.%u/32 dev eth0", i + 1);
		netns_shell(pods[i], "ip addr add fd09::%u/128 dev eth0 nodad", i + 1);
		netns_shell(pods[i], "ip link set eth0 up");
		netns_shell(pods[i], "ip neigh add 169.254.1.1 lladdr 02:00:00:00:00:fe dev eth0");
		netns_shell(pods[i], "ip route add 169.254.1.1 dev eth0");
		netns_shell(pods[i], "ip route add default via 169.254.1.1");
		netns_shell(pods[i], "ip neigh add fe80::fe lladdr 02:00:00:00:00:fe dev eth0");
		netns_shell(pods[i], "ip -6 route add default via fe80::fe dev eth0");
	}
}

static struct rte_flow *routes[2][2]; // to pod, IPv4 and IPv6

static void router_make(void)
{
	const struct rte_ether_addr router = {{0x02, 0, 0, 0, 0, 0xfe}};

	for (unsigned int i = 0; i < 2; i++) {
		const struct rte_ether_addr pod = {{0x02, 0, 0, 0, 0, i + 1}};
		const rte_be32_t address = htonl(0x0a090001 + i);
		const struct rte_flow_item_ipv6 spec6 = {
			.hdr.dst_addr = {0xfd, 0x09, [15] = i + 1}};
		struct rte_flow_item_ipv6 mask6 = {0};
		const struct rte_flow_action *actions = ACTIONS(
			ACTION(SET_MAC_SRC, .conf = &router), ACTION(SET_MAC_DST, .conf = &pod),
			ACTION(DEC_TTL), COUNT, TO(ports[i]));

		memset(&mask6.hdr.dst_addr, 0xff, 16);
		rule_of(ports[UPLINK],
			PATTERN(FROM(ports[i]),
				ITEM(ETH, .spec = HDR(eth, .dst_addr = router),
				     .mask = HDR(eth, .dst_addr = {{0xff, 0xff, 0xff, 0xff, 0xff,
								    0xff}}))),
			ACTIONS(JUMP(1)));
		routes[i][0] = rule_at(
			ports[UPLINK], 1, 0,
			PATTERN(ITEM(ETH), ITEM(IPV4, .spec = HDR(ipv4, .dst_addr = address),
						.mask = HDR(ipv4, .dst_addr = UINT32_MAX))),
			actions);
		routes[i][1] = rule_at(
			ports[UPLINK], 1, 0,
			PATTERN(ITEM(ETH), ITEM(IPV6, .spec = &spec6, .mask = &mask6)), actions);
	}
}

// What the pods' own stacks say to nobody: neighbour discovery, multicast listener reports.
static bool is_chatter(const struct rte_mbuf *mbuf)
{
	return rte_pktmbuf_mtod(mbuf, const uint8_t *)[0] & 1;
}

// The application has seen nothing of the pods' talk.
static void expect_no_talk_at_ports(void)
{
	struct rte_mbuf *mbuf;

	for (unsigned int i = 0; i < PORTS; i++) {
		while (rte_eth_rx_burst(ports[i], 0, &mbuf, 1) == 1) {
			assert_true(is_chatter(mbuf));
			rte_pktmbuf_free(mbuf);
		}
	}
}

static void begin_pods(enum port_shape shape)
{
	start_all(shape);
	pods_make();
	router_make();
}

static void end_pods(void)
{
	expect_no_talk_at_ports();
	for (unsigned int i = 0; i < 2; i++)
		netns_delete(pods[i]);
}

static void pings_are_routed_by_rules_in_both_families(void **state)
{
	begin_pods(PORT_OFFLOAD);
	netns_shell(pods[0], "ping -nc 5 -i 0.01 -s 1000 10.9.0.2 | grep 'ttl=63' >/dev/null");
	netns_shell(pods[0], "ping -nc 5 -i 0.01 -s 1000 10.9.0.2 | grep ' 5 received' >/dev/null");
	netns_shell(pods[1], "ping -nc 5 -i 0.01 fd09::1 | grep 'ttl=63' >/dev/null");
	// Three parts, each with its own header: later fragments have no layer 4.
	netns_shell(pods[1], "ping -nc 5 -i 0.01 -s 4000 10.9.0.1 | grep ' 5 received' >/dev/null");
	netns_shell(pods[1], "ping -nc 5 -i 0.01 -s 4000 fd09::1 | grep ' 5 received' >/dev/null");
	for (unsigned int i = 0; i < 2; i++) {
		struct rte_flow_query_count ipv4 = rule_count(ports[UPLINK], routes[i][0], true),
					    ipv6 = rule_count(ports[UPLINK], routes[i][1], true);

		assert_int_equal(ipv4.hits, 5 + 5 + 3 * 5);
		assert_int_equal(ipv4.bytes,
				 10 * (14 + 20 + 8 + 1000) + 5 * (3 * (14 + 20) + 8 + 4000));
		assert_int_equal(ipv6.hits, 5 + 3 * 5);
	}
	end_pods();
}

static uint8_t byte_at(size_t position)
{
	return position * 31 + (position >> 13);
}

static socklen_t address_of(int family, unsigned int pod, struct sockaddr_storage *ret_address)
{
	struct sockaddr_in *address4 = (void *)ret_address;
	struct sockaddr_in6 *address6 = (void *)ret_address;
	char text[INET6_ADDRSTRLEN];

	memset(ret_address, 0, sizeof(*ret_address));
	ret_address->ss_family = family;
	snprintf(text, sizeof(text), family == AF_INET ? "10.9.0.%u" : "fd09::%u", pod + 1);
	if (family == AF_INET)
		address4->sin_port = htons(7000);
	else
		address6->sin6_port = htons(7000);
	assert_int_equal(inet_pton(family, text,
				   family == AF_INET ? (void *)&address4->sin_addr
						     : (void *)&address6->sin6_addr),
			 1);
	return family == AF_INET ? sizeof(*address4) : sizeof(*address6);
}

static void tcp_transfer(int family, size_t size)
{
	static uint8_t out[65536], in[65536];
	struct sockaddr_storage address;
	socklen_t length = address_of(family, 1, &address);
	int listener = netns_socket(pods[1], family, SOCK_STREAM, 0),
	    sender = netns_socket(pods[0], family, SOCK_STREAM, 0), receiver;
	size_t sent = 0, received = 0;

	assert_return_code(bind(listener, (struct sockaddr *)&address, length), errno);
	assert_return_code(listen(listener, 1), errno);
	assert_return_code(connect(sender, (struct sockaddr *)&address, length), errno);
	receiver = accept(listener, NULL, NULL);
	assert_return_code(receiver, errno);
	for (uint64_t until = now_ms() + 60000; received < size && now_ms() < until;) {
		size_t wanted = RTE_MIN(sizeof(out), size - sent);
		ssize_t count;

		for (size_t i = 0; i < wanted; i++)
			out[i] = byte_at(sent + i);
		count = wanted > 0 ? send(sender, out, wanted, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
		sent += count > 0 ? count : 0;
		count = recv(receiver, in, sizeof(in), MSG_DONTWAIT);
		for (ssize_t i = 0; i < count; i++)
			assert_int_equal(in[i], byte_at(received + i));
		received += count > 0 ? count : 0;
	}
	assert_int_equal(received, size);
	close(sender);
	close(receiver);
	close(listener);
}

static void tcp_goes_by_rules_in_both_families(enum port_shape shape, size_t size)
{
	static const int families[] = {AF_INET, AF_INET6};

	begin_pods(shape);
	for (unsigned int i = 0; i < 2; i++) {
		struct rte_flow_query_count count;
		uint32_t header = 14 + (i == 0 ? 20 : 40) + 32;

		tcp_transfer(families[i], size);
		count = rule_count(ports[UPLINK], routes[1][i], false);
		// On a wire it would have been packets of the MTU.
		assert_true(count.hits >= size / (1514 - header));
		assert_true(count.bytes >= size + size / (1514 - header) * header);
		assert_true(count.bytes < size + size / 10);
	}
	end_pods();
}

static void tcp_in_long_segments_goes_by_rules(void **state)
{
	tcp_goes_by_rules_in_both_families(PORT_OFFLOAD, 32 << 20);
}

static void tcp_without_offloads_goes_by_rules(void **state)
{
	tcp_goes_by_rules_in_both_families(PORT_PLAIN, 4 << 20);
}

static void udp_goes_by_rules(void **state)
{
	static const int families[] = {AF_INET, AF_INET6};

	begin_pods(PORT_OFFLOAD);
	for (unsigned int i = 0; i < 2; i++) {
		struct sockaddr_storage address;
		socklen_t length = address_of(families[i], 1, &address);
		int receiver = netns_socket(pods[1], families[i], SOCK_DGRAM | SOCK_NONBLOCK, 0),
		    sender = netns_socket(pods[0], families[i], SOCK_DGRAM, 0);
		uint8_t out[3000], in[3100];

		assert_return_code(bind(receiver, (struct sockaddr *)&address, length), errno);
		assert_return_code(connect(sender, (struct sockaddr *)&address, length), errno);
		for (unsigned int j = 1; j < 200; j++) {
			size_t size = j * 15;

			for (size_t k = 0; k < size; k++)
				out[k] = byte_at(k + j);
			assert_int_equal(send(sender, out, size, 0), size);
			WAIT_FOR(recv(receiver, in, sizeof(in), 0) == (ssize_t)size);
			assert_memory_equal(in, out, size);
		}
		close(sender);
		close(receiver);
	}
	end_pods();
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
		TEST(pings_are_routed_by_rules_in_both_families),
		TEST(tcp_in_long_segments_goes_by_rules),
		TEST(tcp_without_offloads_goes_by_rules),
		TEST(udp_goes_by_rules),
	};

	return device_tests_run(tests, RTE_DIM(tests));
}
