// SPDX-License-Identifier: BSD-3-Clause
//
// Hostile and broken packets in bulk, scarcity, and changes under traffic. Nothing gets lost: what goes in comes out or
// is counted, and every buffer comes back.

#include "datapath/graph_test.h"
#include "proto/base/drop_reason.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_cycles.h>

static struct frame f, got, templates[32];
static size_t template_count;

static uint32_t random_state;

// xorshift32: the same on every machine.
static uint32_t random_number(uint32_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state % below;
}

static struct frame *next_template(void)
{
	assert_true(template_count < RTE_DIM(templates));
	return &templates[template_count++];
}

// A packet of every kind that the graph does something with, all from POD_A.
static void make_templates(void)
{
	static const char *const destinations4[] = {B4,      SMALL4,   GATEWAY4,
						    NOBODY4, OUTSIDE4, "169.254.1.1"};
	static const char *const destinations6[] = {B6,      SMALL6,   GATEWAY6,
						    NOBODY6, OUTSIDE6, "fe80::1"};

	template_count = 0;
	for (size_t i = 0; i < RTE_DIM(destinations4); i++) {
		frame_udp4(next_template(), POD_A, A4, destinations4[i], 60);
		frame_udp6(next_template(), POD_A, A6, destinations6[i], 60);
	}
	frame_echo4(next_template(), POD_A, A4, "169.254.1.1", 60);
	frame_echo6(next_template(), POD_A, A6, "fe80::1", 60);
	frame_arp(next_template(), POD_A, 1, A4, GATEWAY4);
	frame_solicitation(next_template(), POD_A, A6, "ff02::1:ff00:1", GATEWAY6, true);
	frame_solicitation(next_template(), POD_A, "::", "ff02::1:ff00:1", GATEWAY6, false);
	frame_udp4(next_template(), POD_A, A4, SMALL4, 1400); // to be fragmented
	frame_udp6(next_template(), POD_A, A6, SMALL6, 1400); // too big

	struct frame *t = next_template();
	frame_ether(t, POD_A);
	frame_ip4(t, A4, B4, IPPROTO_TCP);
	frame_ip4_options(t, (uint8_t[12]){7, 11, 4}, 12);
	frame_tcp(t, 0x10, 1);
	frame_payload(t, 60);
	frame_finish(t);

	t = next_template();
	frame_ether(t, POD_A);
	frame_ip6(t, A6, NOBODY6, 0);
	frame_ip6_extension(t, 0, 44, 0x0104);
	frame_ip6_extension(t, 44, IPPROTO_ICMPV6, 0x0001);
	t->bytes[t->l3 + 6] = 0;
	t->bytes[t->l3 + 40] = 44;
	frame_icmp(t, 128, 0);
	frame_payload(t, 60);
	frame_finish(t);
}

// ---- counting ------------------------------------------------------------------------------------

static uint64_t all_drops(const struct datapath_counters *counters)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < datapath_drop_reason_count(); i++)
		sum += counters->drops[i];
	return sum;
}

struct balance {
	uint64_t received, sent, dropped;
};

static struct balance balance(void)
{
	struct balance b = {0};

	for (unsigned int slot = 0; slot <= EXTRA; slot++) {
		struct datapath_counters counters;

		datapath_read_counters(slot, &counters);
		b.received += counters.rx_packets;
		b.sent += counters.tx_packets;
		b.dropped += all_drops(&counters);
	}
	return b;
}

// Did the router make it itself? Only ICMP errors here, from addresses that nobody else here can send from.
static bool is_error(const struct frame *frame)
{
	const uint8_t *ip = frame->bytes + frame->l3, *icmp = frame->bytes + frame->l4;
	uint8_t gateway6[16];

	if (frame->bytes[12] == 0x08 && frame->bytes[13] == 0x00)
		return ip[9] == IPPROTO_ICMP && (icmp[0] == 3 || icmp[0] == 11) &&
		       (memcmp(ip + 12, (uint8_t[]){10, 88, 0, 1}, 4) == 0 ||
			memcmp(ip + 12, (uint8_t[]){169, 254, 1, 1}, 4) == 0);
	inet_pton(AF_INET6, GATEWAY6, gateway6);
	return frame->bytes[12] == 0x86 && ip[6] == IPPROTO_ICMPV6 && icmp[0] < 128 &&
	       (memcmp(ip + 8, gateway6, 16) == 0 || ip[8] == 0xfe);
}

struct rings {
	uint64_t packets, errors, later_fragments;
};

// Takes everything out of the rings, looking at each: nothing wrong may be sent.
static struct rings empty_rings(void)
{
	struct rings rings = {0};

	for (unsigned int slot = 0; slot < TEST_PORTS; slot++) {
		while (pull_frame(slot, &got)) {
			const uint8_t *ip = got.bytes + got.l3;

			rings.packets++;
			rings.errors += is_error(&got);
			assert_memory_equal(router_mac, got.bytes + 6, 6);
			if (got.bytes[12] == 0x08 && got.bytes[13] == 0x00) {
				assert_int_equal(0xffff, reference_sum(ip, (ip[0] & 15u) * 4u, 0));
				assert_int_equal(got.size - got.l3, ip[2] << 8 | ip[3]);
				rings.later_fragments +=
					slot == POD_SMALL && ((ip[6] << 8 | ip[7]) & 0x1fff) != 0;
			} else if (got.bytes[12] == 0x86) {
				assert_int_equal(got.size - got.l3 - 40, ip[4] << 8 | ip[5]);
			}
			if (is_error(&got))
				assert_true(l4_checksum_good(&got));
		}
	}
	return rings;
}

// received + made here = sent + dropped
static void assert_balanced(const struct rings *rings)
{
	struct balance b = balance();

	assert_int_equal(b.sent, rings->packets);
	assert_int_equal(b.received + rings->errors + rings->later_fragments, b.sent + b.dropped);
}

// ---- broken packets ------------------------------------------------------------------------------

static void every_packet_cut_anywhere_is_passed_on_whole_or_counted(void **state)
{
	struct rings sum = {0};

	make_templates();
	for (size_t t = 0; t < template_count; t++) {
		for (size_t size = 1; size <= templates[t].size; size++) {
			f = templates[t];
			f.size = size;
			inject(POD_A, &f);
			struct rings rings = empty_rings();
			// Nothing that was cut comes out again but ARP's and ND's padding, of which there is none here.
			if (size < templates[t].size)
				assert_int_equal(0, rings.packets);
			sum.packets += rings.packets;
			sum.errors += rings.errors;
			sum.later_fragments += rings.later_fragments;
		}
	}
	assert_balanced(&sum);
	assert_true(sum.packets >= 15);
}

// The same, but the headers say so: what is inside is short.
static void every_packet_made_shorter_is_passed_on_or_counted(void **state)
{
	struct rings sum = {0};

	make_templates();
	for (size_t t = 0; t < template_count; t++) {
		bool ip4 = templates[t].bytes[12] == 0x08 && templates[t].bytes[13] == 0x00;

		for (size_t size = 34; size <= templates[t].size; size++) {
			f = templates[t];
			f.size = size;
			if (ip4) {
				f.bytes[f.l3 + 2] = (uint8_t)((size - f.l3) >> 8);
				f.bytes[f.l3 + 3] = (uint8_t)(size - f.l3);
				frame_fix_ip4(&f);
			} else if (size >= 54) {
				f.bytes[f.l3 + 4] = (uint8_t)((size - f.l4) >> 8);
				f.bytes[f.l3 + 5] = (uint8_t)(size - f.l3 - 40);
			}
			inject(POD_A, &f);
			struct rings rings = empty_rings();
			sum.packets += rings.packets;
			sum.errors += rings.errors;
			sum.later_fragments += rings.later_fragments;
		}
	}
	assert_balanced(&sum);
}

// Whatever a driver makes of a frame, one segment or a chain of bytes, the answer is the same.
static void a_chain_is_treated_as_one_piece(void **state)
{
	static struct frame whole[64], chained[64];

	make_templates();
	for (size_t t = 0; t < template_count; t++) {
		size_t count = 0;

		refill_icmp_budget(POD_A);
		inject(POD_A, &templates[t]);
		for (unsigned int slot = 0; slot < TEST_PORTS; slot++)
			while (pull_frame(slot, &whole[count]))
				count++;
		for (size_t segment = 1; segment < 80; segment += segment < 16 ? 1 : 13) {
			size_t i = 0;

			refill_icmp_budget(POD_A);
			push(POD_A, frame_to_mbuf(&templates[t], segment));
			run();
			for (unsigned int slot = 0; slot < TEST_PORTS; slot++) {
				while (pull_frame(slot, &chained[i])) {
					assert_true(i < count);
					assert_int_equal(whole[i].size, chained[i].size);
					assert_memory_equal(whole[i].bytes, chained[i].bytes,
							    whole[i].size);
					i++;
				}
			}
			if (i != count)
				fail_msg("template %zu in segments of %zu: %zu packets, not %zu", t,
					 segment, i, count);
		}
	}
}

static void a_storm_of_damaged_packets_does_no_harm(void **state)
{
	struct rings sum = {0};

	struct datapath_port config = graph_port_config(POD_SMALL);

	config.mtu = 1500; // nothing is cut, so that it can be counted exactly
	graph_replace_port(&config);
	random_state = 20261123;
	make_templates();
	for (unsigned int i = 0; i < 200000; i++) {
		struct frame *from = &templates[random_number((uint32_t)template_count)];
		f.size = from->size;
		f.l3 = from->l3;
		f.l4 = from->l4;
		memcpy(f.bytes, from->bytes, from->size);
		for (unsigned int n = random_number(4); n > 0; n--)
			f.bytes[12 + random_number((uint32_t)RTE_MIN(f.size - 12, (size_t)80))] ^=
				(uint8_t)(1 << random_number(8));
		if (f.bytes[12] == 0x08 && f.bytes[13] == 0 && random_number(2) == 0)
			frame_fix_ip4(&f); // so that it is looked at further
		if (random_number(8) == 0)
			f.size = 1 + random_number((uint32_t)f.size);
		struct rte_mbuf *m =
			frame_to_mbuf(&f, random_number(3) == 0 ? 1 + random_number(100) : 0);
		if (random_number(4) == 0) {
			m->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_NONE;
			if (random_number(2) == 0) {
				m->ol_flags |= RTE_MBUF_F_RX_LRO;
				m->tso_segsz = (uint16_t)random_number(2000);
			}
		}
		push(random_number(3) == 0 ? HOST : POD_A, m);
		if (i % 16 == 0) {
			run();
			struct rings rings = empty_rings();
			sum.packets += rings.packets;
			sum.errors += rings.errors;
			sum.later_fragments += rings.later_fragments;
		}
	}
	run();
	struct rings rings = empty_rings();
	sum.packets += rings.packets;
	sum.errors += rings.errors;
	sum.later_fragments += rings.later_fragments;
	struct balance b = balance();
	assert_int_equal(200000, b.received);
	assert_true(b.dropped > 50000 && b.sent > 20000);
	sum.later_fragments = 0;
	assert_balanced(&sum);
}

static void random_bytes_do_no_harm(void **state)
{
	random_state = 4711;
	for (unsigned int i = 0; i < 50000; i++) {
		frame_ether(&f, POD_A);
		static const uint16_t types[] = {0x0800, 0x0806, 0x86dd, 0x8100};
		uint16_t type = types[random_number(RTE_DIM(types))];
		f.bytes[12] = (uint8_t)(type >> 8);
		f.bytes[13] = (uint8_t)type;
		for (uint32_t n = random_number(300); n > 0; n--)
			f.bytes[f.size++] = (uint8_t)random_number(256);
		if (f.size > 14 && type == 0x0800)
			f.bytes[14] = 0x45;
		inject(POD_A, &f);
	}
	struct balance b = balance();
	assert_int_equal(50000, b.received);
	assert_int_equal(50000, b.dropped);
	assert_int_equal(0, b.sent);
}

// ---- scarcity ------------------------------------------------------------------------------------

static void a_port_that_does_not_fetch_its_packets_is_counted(void **state)
{
	enum { COUNT = 3000, RING = 1023 };

	struct datapath_counters before, after;

	datapath_read_counters(POD_B, &before);
	frame_udp4(&f, POD_A, A4, B4, 20);
	for (unsigned int i = 0; i < COUNT; i++)
		inject(POD_A, &f);
	assert_dropped_n(POD_A, DROP_TX_FULL, COUNT - RING); // against the sender's port
	datapath_read_counters(POD_B, &after);
	assert_int_equal(COUNT - RING,
			 after.tx_full - before.tx_full); // and told of the one that was full
	frame_udp4(&f, POD_B, B4, A4, 20);                // the other way is free
	inject(POD_B, &f);
	assert_no_drops(POD_B);
	assert_true(pull_frame(POD_A, &got));
	struct rings rings = empty_rings();
	assert_int_equal(RING, rings.packets);
}

static void without_buffers_packets_are_still_passed_on(void **state)
{
	static struct rte_mbuf *hoard[16384];
	size_t count = 0;

	frame_udp4(&f, POD_A, A4, B4, 20);
	struct rte_mbuf *plain = frame_to_mbuf(&f, 0);
	frame_udp4(&got, POD_A, A4, NOBODY4, 20);
	struct rte_mbuf *unreachable = frame_to_mbuf(&got, 0);
	frame_udp4(&got, POD_A, A4, SMALL4, 1400);
	struct rte_mbuf *big = frame_to_mbuf(&got, 0);
	frame_udp6(&got, POD_A, A6, NOBODY6, 20);
	struct rte_mbuf *unreachable6 = frame_to_mbuf(&got, 0);
	struct rte_mempool *pool = plain->pool;
	while (count < RTE_DIM(hoard) && (hoard[count] = rte_pktmbuf_alloc(pool)) != NULL)
		count++;

	push(POD_A, plain);
	run();
	assert_no_drops(POD_A);
	assert_non_null(hoard[count] = pull(POD_B)); // and it is not given back
	count++;
	push(POD_A, big);
	run();
	assert_dropped(POD_A, DROP_NO_BUFFER);
	while ((hoard[count] = rte_pktmbuf_alloc(pool)) != NULL)
		count++;
	push(POD_A, unreachable);
	run();
	assert_dropped(POD_A, DROP_NO_SUCH_POD); // without a word
	while ((hoard[count] = rte_pktmbuf_alloc(pool)) != NULL)
		count++;
	push(POD_A, unreachable6);
	run();
	assert_dropped(POD_A, DROP_NO_SUCH_POD);
	assert_nothing_out();
	rte_pktmbuf_free_bulk(hoard, (unsigned int)count);
}

// ---- changes under traffic -----------------------------------------------------------------------

static struct datapath_port extra_port(void)
{
	struct datapath_port config = graph_port_config(EXTRA);

	config.has_ipv4 = config.has_ipv6 = true;
	inet_pton(AF_INET, "10.88.0.77", &config.ipv4);
	inet_pton(AF_INET6, "fd00:88::77", &config.ipv6);
	return config;
}

static void count_out(unsigned int slot, struct rings *rings)
{
	while (pull_frame(slot, &got)) {
		rings->packets++;
		rings->errors += is_error(&got);
	}
}

// Send to a port that is there and one that comes and goes, and back, from all of them.
static void push_some(struct rings *rings)
{
	for (unsigned int i = 0; i < 8; i++) {
		frame_udp4(&f, POD_A, A4, i % 2 == 0 ? B4 : "10.88.0.77", 20);
		push(POD_A, frame_to_mbuf(&f, 0));
		frame_udp6(&f, POD_A, A6, i % 2 == 0 ? B6 : "fd00:88::77", 20);
		push(POD_A, frame_to_mbuf(&f, 0));
	}
	frame_udp4(&f, EXTRA, "10.88.0.77", A4, 20);
	push(EXTRA, frame_to_mbuf(&f, 0));
	for (unsigned int slot = 0; slot < TEST_PORTS; slot++)
		count_out(slot, rings);
	count_out(EXTRA, rings);
}

static void wait_for_quiet(struct rings *rings)
{
	for (unsigned int calm_ms = 0; calm_ms < 50; calm_ms++) {
		uint64_t before = rings->packets;

		for (unsigned int slot = 0; slot < TEST_PORTS; slot++)
			count_out(slot, rings);
		count_out(EXTRA, rings);
		if (rings->packets != before)
			calm_ms = 0;
		rte_delay_us_sleep(1000);
	}
}

static void ports_come_and_go_under_traffic(void **state)
{
	struct datapath_port config = extra_port();
	struct datapath_counters counters;
	struct rings sum = {0};

	graph_launch_worker();
	for (unsigned int round = 0; round < 1000; round++) {
		struct error err;

		push_some(&sum);
		assert_int_equal(0, datapath_port_add(&config, &err));
		push_some(&sum);
		if (round % 16 == 0)
			rte_delay_us_sleep(500);
		push_some(&sum);
		datapath_port_remove(EXTRA);
		count_out(EXTRA, &sum);
		// Nothing touches it any more.
		push_some(&sum);
		if (round % 64 == 0)
			rte_delay_us_sleep(500);
		assert_null(pull(EXTRA));
	}
	struct error err;
	assert_int_equal(0, datapath_port_add(&config, &err)); // takes what was left in its ring
	wait_for_quiet(&sum);
	assert_balanced(&sum);
	datapath_read_counters(EXTRA, &counters);
	assert_true(counters.tx_packets > 0 && counters.rx_packets == 4 * 1000);
}

static void the_router_changes_under_traffic(void **state)
{
	struct datapath_router router = {.has_ipv4 = true, .ipv4_prefix_length = 24};
	struct rings sum = {0};

	memcpy(router.mac.bytes, router_mac, 6);
	inet_pton(AF_INET, "10.88.0.0", &router.network_ipv4);
	graph_launch_worker();
	for (unsigned int round = 0; round < 1000; round++) {
		inet_pton(AF_INET, round % 2 == 0 ? GATEWAY4 : "10.88.0.2", &router.gateway_ipv4);
		router.has_ipv6 = round % 3 == 0;
		datapath_set_router(&router);
		push_some(&sum);
	}
	wait_for_quiet(&sum);
	struct balance b = balance();
	assert_int_equal(b.sent, sum.packets);
	drain(EXTRA);
}

// ---- control -------------------------------------------------------------------------------------

static void a_slot_or_address_in_use_is_refused(void **state)
{
	struct datapath_port config = graph_port_config(POD_A);
	struct error err = {0};

	assert_int_equal(-EEXIST, datapath_port_add(&config, &err));
	config.slot = EXTRA; // with POD_A's addresses
	assert_int_equal(-EEXIST, datapath_port_add(&config, &err));
	config.has_ipv4 = false;
	assert_int_equal(-EEXIST, datapath_port_add(&config, &err));
	assert_int_equal(CODE_INTERNAL, err.code);
	datapath_port_remove(EXTRA); // was not added: no effect
	frame_udp4(&f, POD_B, B4, A4, 20);
	assert_forwards(POD_B, &f, POD_A);
	frame_udp6(&f, POD_B, B6, A6, 20);
	assert_forwards(POD_B, &f, POD_A);
}

static void every_slot_can_be_used_and_every_address_found(void **state)
{
	struct datapath_port config = extra_port();
	struct error err;

	for (uint32_t slot = EXTRA; slot < DATAPATH_PORTS_MAX; slot++) {
		config.slot = slot;
		config.ipv4.s_addr = htonl(0x0a580100 + slot);
		config.ipv6.s6_addr[14] = (uint8_t)(slot >> 8);
		config.ipv6.s6_addr[15] = (uint8_t)slot;
		config.ipv6.s6_addr[13] = 1;
		assert_int_equal(0, datapath_port_add(&config, &err));
	}
	for (uint32_t slot = EXTRA; slot < DATAPATH_PORTS_MAX; slot += 7) {
		char text[INET_ADDRSTRLEN];
		struct in_addr address = {htonl(0x0a580100 + slot)};

		inet_ntop(AF_INET, &address, text, sizeof(text));
		frame_udp4(&f, POD_A, A4, text, 20);
		inject(POD_A, &f);
		assert_true(pull_frame(EXTRA, &got)); // all of them are this one device
	}
	for (uint32_t slot = EXTRA; slot < DATAPATH_PORTS_MAX; slot++)
		datapath_port_remove(slot);
	// And again, for what removal may have left.
	for (uint32_t slot = EXTRA; slot < DATAPATH_PORTS_MAX; slot++) {
		config.slot = slot;
		config.ipv4.s_addr = htonl(0x0a580900 + slot);
		config.ipv6.s6_addr[12] = (uint8_t)(slot >> 8);
		config.ipv6.s6_addr[15] = (uint8_t)slot;
		assert_int_equal(0, datapath_port_add(&config, &err));
	}
	for (uint32_t slot = EXTRA; slot < DATAPATH_PORTS_MAX; slot++)
		datapath_port_remove(slot);
}

static void counters_start_again_when_they_are_cleared(void **state)
{
	struct datapath_counters counters;

	frame_udp4(&f, POD_A, A4, B4, 20);
	assert_forwards(POD_A, &f, POD_B);
	datapath_read_counters(POD_A, &counters);
	assert_int_equal(1, counters.rx_packets);
	assert_int_equal(f.size, counters.rx_bytes);
	datapath_read_counters(POD_B, &counters);
	assert_int_equal(1, counters.tx_packets);
	assert_int_equal(f.size, counters.tx_bytes);
	datapath_clear_counters(POD_A);
	datapath_read_counters(POD_A, &counters);
	assert_int_equal(0, counters.rx_packets);
	assert_int_equal(0, counters.rx_bytes);
	inject(POD_A, &f);
	rte_pktmbuf_free(pull(POD_B));
	datapath_read_counters(POD_A, &counters);
	assert_int_equal(1, counters.rx_packets);
}

static void every_drop_reason_has_a_name_of_its_own_and_words_for_it(void **state)
{
	for (size_t i = 0; i < datapath_drop_reason_count(); i++) {
		assert_true(strlen(datapath_drop_reason_name(i)) > 0);
		if (drop_reason_text(datapath_drop_reason_name(i))[0] == '\0')
			fail_msg("%s", datapath_drop_reason_name(i));
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(datapath_drop_reason_name(k),
						datapath_drop_reason_name(i));
	}
	assert_string_equal("unknown", datapath_drop_reason_name(datapath_drop_reason_count()));
	assert_string_equal("", drop_reason_text("of-a-newer-agent"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GRAPH_TEST(every_packet_cut_anywhere_is_passed_on_whole_or_counted),
		GRAPH_TEST(every_packet_made_shorter_is_passed_on_or_counted),
		GRAPH_TEST(a_chain_is_treated_as_one_piece),
		GRAPH_TEST(a_storm_of_damaged_packets_does_no_harm),
		GRAPH_TEST(random_bytes_do_no_harm),
		GRAPH_TEST(a_port_that_does_not_fetch_its_packets_is_counted),
		GRAPH_TEST(without_buffers_packets_are_still_passed_on),
		GRAPH_TEST(ports_come_and_go_under_traffic),
		GRAPH_TEST(the_router_changes_under_traffic),
		GRAPH_TEST(a_slot_or_address_in_use_is_refused),
		GRAPH_TEST(every_slot_can_be_used_and_every_address_found),
		GRAPH_TEST(counters_start_again_when_they_are_cleared),
		GRAPH_TEST(every_drop_reason_has_a_name_of_its_own_and_words_for_it),
	};

	return cmocka_run_group_tests(tests, graph_start, graph_stop);
}
