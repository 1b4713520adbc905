// SPDX-License-Identifier: BSD-3-Clause
//
// Rules about pings and about lengths of packets, by both APIs, and the packets that they meet and do not meet. Frames of a
// function come in order, so that those before one that was counted have been looked at.

#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sim/simnic/test_queue.h"

enum { ECHO_REQUEST = 8, ECHO_REQUEST6 = 128, PACKET_TOO_BIG6 = 2, L3 = RTE_ETHER_HDR_LEN };

// ---- packets --------------------------------------------------------------------------------------------

// A packet of this payload out of VF 0. vnet: how it is to be segmented.
static void send_ip(bool ipv4, uint8_t protocol, const uint8_t *payload, uint16_t size,
		    const struct virtio_net_hdr *vnet)
{
	uint8_t frame[sizeof(*vnet) + 20000] = {0}, *at = frame;
	struct rte_ether_hdr ethernet = {.dst_addr = {{2, 2, 2, 2, 2, 2}},
					 .src_addr = {{2, 1, 1, 1, 1, 1}},
					 .ether_type = ipv4 ? RTE_BE16(RTE_ETHER_TYPE_IPV4)
							    : RTE_BE16(RTE_ETHER_TYPE_IPV6)};
	struct rte_ipv4_hdr ip4 = {.version_ihl = RTE_IPV4_VHL_DEF,
				   .total_length = rte_cpu_to_be_16(sizeof(ip4) + size),
				   .time_to_live = 64,
				   .next_proto_id = protocol,
				   .src_addr = RTE_BE32(0x0a090001),
				   .dst_addr = RTE_BE32(0x0a090002)};
	struct rte_ipv6_hdr ip6 = {.vtc_flow = RTE_BE32(0x60000000),
				   .payload_len = rte_cpu_to_be_16(size),
				   .proto = protocol,
				   .hop_limits = 64};
	size_t ip_size = ipv4 ? sizeof(ip4) : sizeof(ip6);
	int on = vnet != NULL;

	ip4.hdr_checksum = rte_ipv4_cksum(&ip4);
	if (vnet != NULL) {
		memcpy(at, vnet, sizeof(*vnet));
		at += sizeof(*vnet);
	}
	memcpy(at, &ethernet, sizeof(ethernet));
	memcpy(at + L3, ipv4 ? (void *)&ip4 : (void *)&ip6, ip_size);
	memcpy(at + L3 + ip_size, payload, size);
	at += L3 + ip_size + size;
	assert_int_equal(setsockopt(sockets[0], SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)), 0);
	assert_int_equal(send(sockets[0], frame, at - frame, 0), at - frame);
}

// size: of the ICMP message; below 8 it has no sequence number, or not even an identifier.
static void send_icmp(bool ipv4, uint8_t type, uint16_t identifier, uint16_t sequence,
		      uint16_t size)
{
	const uint8_t message[64] = {[0] = type,
				     [4] = identifier >> 8,
				     [5] = identifier & 0xff,
				     [6] = sequence >> 8,
				     [7] = sequence & 0xff};

	send_ip(ipv4, ipv4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, message, size, NULL);
}

// TCP, to be segmented if there is more payload than that in one.
static void send_tcp(bool ipv4, uint16_t payload, uint16_t segment)
{
	static uint8_t packet[sizeof(struct rte_tcp_hdr) + 16000];
	struct rte_tcp_hdr tcp = {.data_off = 5 << 4, .dst_port = RTE_BE16(80)};
	const struct virtio_net_hdr vnet = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					    .gso_type = ipv4 ? VIRTIO_NET_HDR_GSO_TCPV4
							     : VIRTIO_NET_HDR_GSO_TCPV6,
					    .hdr_len = L3 + (ipv4 ? 20 : 40) + sizeof(tcp),
					    .gso_size = segment,
					    .csum_start = L3 + (ipv4 ? 20 : 40),
					    .csum_offset = offsetof(struct rte_tcp_hdr, cksum)};

	memcpy(packet, &tcp, sizeof(tcp));
	send_ip(ipv4, IPPROTO_TCP, packet, sizeof(tcp) + payload, payload > segment ? &vnet : NULL);
}

static uint64_t hits(struct rte_flow *rule)
{
	return rule_count(ports[UPLINK], rule, false).hits;
}

// ---- pings ----------------------------------------------------------------------------------------------

#define ICMP_OF(...)  ITEM(ICMP, .spec = HDR(icmp, __VA_ARGS__), .mask = &echo_mask)
#define BYTES_OF(...) ITEM(RAW, .spec = OF(raw, .relative = 1, __VA_ARGS__))

static const struct rte_flow_item_icmp echo_mask = {
	.hdr = {.icmp_type = 0xff, .icmp_ident = 0xffff}};
static const struct rte_flow_item_icmp6 type_mask = {.type = 0xff};

static void a_ping_is_known_by_its_identifier(void **state)
{
	static const uint8_t seven[] = {0, 7}, seven_nine[] = {0, 7, 0, 9};
	struct rte_flow *ping, *ping6, *ping6_9;

	begin_traffic();
	ping = rule_of(ports[UPLINK],
		       PATTERN(FROM(ports[0]), ITEM(ETH), ITEM(IPV4),
			       ICMP_OF(.icmp_type = ECHO_REQUEST, .icmp_ident = RTE_BE16(7))),
		       ACTIONS(COUNT, TO(ports[1])));
	ping6 = rule_at(
		ports[UPLINK], 0, 1,
		PATTERN(FROM(ports[0]), ITEM(ETH), ITEM(IPV6),
			ITEM(ICMP6, .spec = OF(icmp6, .type = ECHO_REQUEST6), .mask = &type_mask),
			BYTES_OF(.length = 2, .pattern = seven)),
		ACTIONS(COUNT, TO(ports[1])));
	ping6_9 = rule_of(ports[UPLINK],
			  PATTERN(FROM(ports[0]), ITEM(ETH), ITEM(IPV6), ITEM(ICMP6),
				  BYTES_OF(.length = 4, .pattern = seven_nine)),
			  ACTIONS(COUNT, TO(ports[1])));
	send_icmp(true, ECHO_REQUEST, 8, 1, 64);
	send_icmp(true, 0, 7, 1, 64);
	send_icmp(true, ECHO_REQUEST, 7, 1, 7); // cut short
	send_icmp(true, ECHO_REQUEST, 7, 1, 8);
	WAIT_FOR(hits(ping) == 1);
	send_icmp(false, ECHO_REQUEST6, 8, 9, 64);
	send_icmp(false, ECHO_REQUEST6, 7, 9, 7);
	send_icmp(false, 129, 7, 1, 64);
	send_icmp(false, ECHO_REQUEST6, 7, 9, 8); // the better priority has it
	send_icmp(false, ECHO_REQUEST6, 7, 10, 64);
	WAIT_FOR(hits(ping6) == 1);
	assert_int_equal(hits(ping6_9), 1);
	// The bytes are those of any message.
	send_icmp(false, PACKET_TOO_BIG6, 7, 9, 64);
	WAIT_FOR(hits(ping6_9) == 2);
	assert_int_equal(hits(ping), 1);
	assert_int_equal(hits(ping6), 1);
	end_traffic();
}

static void identifier_0_is_one_too_and_not_that_of_a_message_without(void **state)
{
	struct rte_flow *ping;

	begin_traffic();
	ping = rule_of(ports[UPLINK],
		       PATTERN(FROM(ports[0]), ITEM(ETH), ITEM(IPV4),
			       ICMP_OF(.icmp_type = ECHO_REQUEST, .icmp_ident = 0)),
		       ACTIONS(COUNT, TO(ports[1])));
	send_icmp(true, ECHO_REQUEST, 0, 0, 4);
	send_icmp(true, ECHO_REQUEST, 0, 0, 7);
	send_icmp(true, ECHO_REQUEST, 0, 0, 8);
	WAIT_FOR(hits(ping) > 0);
	assert_int_equal(hits(ping), 1);
	end_traffic();
}

// The template's own memory is gone when the rules are made.
static struct rte_flow_template_table *ping_table(const struct rte_flow_item_raw *spec,
						  bool mask_has_bytes)
{
	const struct rte_flow_pattern_template_attr attr = {.transfer = 1};
	struct rte_flow_item_raw *mask = malloc(sizeof(*mask));
	uint8_t *bytes = malloc(2);
	struct rte_flow_item items[] = {ITEM(REPRESENTED_PORT, .mask = &any_port),
					ITEM(ETH),
					ITEM(IPV6),
					ITEM(ICMP6, .mask = &type_mask),
					ITEM(RAW, .spec = spec, .mask = mask),
					ITEM(END)};
	struct rte_flow_actions_template *actions = forward_template();
	struct rte_flow_pattern_template *pattern;

	assert_true(mask != NULL && bytes != NULL);
	memset(bytes, 0xff, 2);
	*mask = (struct rte_flow_item_raw){.relative = 1,
					   .search = spec != NULL,
					   .length = spec != NULL ? UINT16_MAX : 2,
					   .pattern = mask_has_bytes ? bytes : NULL};
	pattern = rte_flow_pattern_template_create(ports[UPLINK], &attr, items, &refusal);
	if (pattern == NULL)
		fail_msg("%s", refusal.message);
	memset(bytes, 0, 2);
	memset(mask, 0, sizeof(*mask));
	free(bytes);
	free(mask);
	return make_table(&pattern, 1, &actions, 1, 8);
}

static struct rte_flow *ping_rule(struct rte_flow_template_table *table, uint8_t identifier)
{
	const uint8_t bytes[] = {0, identifier};

	return rte_flow_async_create(ports[UPLINK], 0, &now, table,
				     PATTERN(FROM(ports[0]), ITEM(ETH), ITEM(IPV6),
					     ITEM(ICMP6, .spec = OF(icmp6, .type = ECHO_REQUEST6)),
					     BYTES_OF(.length = 2, .pattern = bytes)),
				     0, ACTIONS(COUNT, TO(ports[1])), 0, NULL, &refusal);
}

static void pings_are_known_by_rules_of_a_template(void **state)
{
	const struct rte_flow_item_raw shape = {.relative = 1, .length = 2};
	struct rte_flow *rules[2];

	begin_traffic();
	for (unsigned int i = 0; i < 4; i++) {
		struct rte_flow_template_table *table = ping_table(i < 2 ? NULL : &shape, i % 2);

		for (uint8_t j = 0; j < 2; j++) {
			rules[j] = ping_rule(table, j);
			assert_non_null(rules[j]);
			expect_result(0, RTE_FLOW_OP_SUCCESS, 0);
		}
		send_icmp(false, ECHO_REQUEST6, 2, 0, 64);
		send_icmp(false, ECHO_REQUEST6, 1, 0, 64);
		send_icmp(false, ECHO_REQUEST6, 0, 0, 7);
		send_icmp(false, ECHO_REQUEST6, 0, 0, 64);
		WAIT_FOR(hits(rules[0]) > 0);
		assert_int_equal(hits(rules[0]), 1);
		assert_int_equal(hits(rules[1]), 1);
		for (uint8_t j = 0; j < 2; j++)
			destroy(rules[j]);
		assert_int_equal(rte_flow_template_table_destroy(ports[UPLINK], table, &refusal),
				 0);
	}
	end_traffic();
}

// ---- lengths --------------------------------------------------------------------------------------------

static void a_packet_too_long_is_known_and_one_to_be_segmented_by_its_segments(void **state)
{
	const struct rte_flow_item_ipv4 first = {.hdr.total_length = RTE_BE16(1401)},
					whole = {.hdr.total_length = UINT16_MAX};
	const struct rte_flow_item_ipv6 first6 = {.hdr.payload_len = RTE_BE16(1361)},
					whole6 = {.hdr.payload_len = UINT16_MAX};
	struct rte_flow *rules[2];

	start_all(PORT_OFFLOAD); // else the kernel does not leave segmentation to the function
	all_up();
	sockets[0] = netns_packet_socket(0, netdevs[0]);
	rules[0] = rule_of(ports[UPLINK],
			   PATTERN(FROM(ports[0]),
				   ITEM(IPV6, .spec = &first6, .last = &whole6, .mask = &whole6)),
			   ACTIONS(COUNT, ACTION(DROP)));
	rules[1] = rule_of(
		ports[UPLINK],
		PATTERN(FROM(ports[0]), ITEM(IPV4, .spec = &first, .last = &whole, .mask = &whole)),
		ACTIONS(COUNT, ACTION(DROP)));
	for (unsigned int ipv4 = 0; ipv4 < 2; ipv4++) {
		uint16_t fits = 1400 - (ipv4 ? 20 : 40) - 20; // payload of a packet of 1,400 bytes

		send_tcp(ipv4, fits, fits);
		send_tcp(ipv4, 10 * fits, fits);
		send_tcp(ipv4, fits + 1, fits + 1);
		WAIT_FOR(hits(rules[ipv4]) > 0);
		assert_int_equal(hits(rules[ipv4]), 1);
		send_tcp(ipv4, 3 * fits,
			 fits + 1); // three; the last, which would fit, goes with the others
		WAIT_FOR(hits(rules[ipv4]) >= 4);
		assert_int_equal(hits(rules[ipv4]), 4);
	}
	close(sockets[0]);
}

static void a_dump_says_which_pings_and_lengths(void **state)
{
	static const uint8_t seven_nine[] = {0, 7, 0, 9};
	char *text = NULL;
	size_t size;
	FILE *file = open_memstream(&text, &size);

	rule_of(ports[UPLINK],
		PATTERN(ITEM(IPV6, .spec = HDR(ipv6, .payload_len = RTE_BE16(9)),
			     .last = HDR(ipv6, .payload_len = RTE_BE16(1360)),
			     .mask = HDR(ipv6, .payload_len = UINT16_MAX)),
			ITEM(ICMP6), BYTES_OF(.length = 4, .pattern = seven_nine)),
		ACTIONS(ACTION(DROP)));
	assert_int_equal(rte_flow_dev_dump(ports[UPLINK], NULL, file, NULL), 0);
	fclose(file);
	assert_string_equal(text, "group=0 priority=0 any: ipv6 icmp6 icmp_rest icmp_identifier=7 "
				  "icmp_sequence=9 length=9-1360 -> drop; hits=0 bytes=0\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		QUEUE_TEST(a_ping_is_known_by_its_identifier),
		QUEUE_TEST(identifier_0_is_one_too_and_not_that_of_a_message_without),
		QUEUE_TEST(pings_are_known_by_rules_of_a_template),
		QUEUE_TEST(a_packet_too_long_is_known_and_one_to_be_segmented_by_its_segments),
		QUEUE_TEST(a_dump_says_which_pings_and_lengths),
	};

	return device_tests_run(tests, RTE_DIM(tests));
}
