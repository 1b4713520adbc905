// SPDX-License-Identifier: BSD-3-Clause
//
// Traces of the whole graph: which packets are taken, by what way they went, with which bytes; and that
// the graph is as before when nobody looks any more.

#include <netinet/in.h>

#include <rte_common.h>

#include "datapath/masquerade.h"
#include "datapath/trace_private.h"
#include "datapath/wire_test.h"

#define WORLD4 "192.0.2.99" // behind the gate

static struct frame f, got;

static const struct masquerade_config masquerade = {
	.ipv4 = true,
	.first_port = 40000,
	.last_port = 40999,
	.first_identifier = 1,
	.last_identifier = UINT16_MAX,
	.connections = 256,
	.pick_up = true,
	.timeouts = {240, 7440, 240, 120, 10, 120, 300, 30, 60, 30},
};

static const struct trace_config of_a = {
	.slot = POD_A,
	.steps = true,
	.frame_bytes = LIMIT_FRAME,
	.packets = 1000,
	.bytes = UINT64_MAX,
};

static struct trace *open_(struct trace_config config)
{
	struct trace *trace;
	struct error err;

	if (trace_open(&config, &trace, &err) < 0)
		fail_msg("%s", err.message);
	return trace;
}

// Copied out, so that the record can go back.
static struct {
	struct trace_record record;
	struct trace_step steps[TRACE_STEPS_MAX];
	uint8_t frame[LIMIT_FRAME];
	char way[512]; // "eth_classify ip4_input drop"
} seen;

static bool next(struct trace *trace)
{
	const struct trace_record *record = trace_next(trace);

	if (record == NULL)
		return false;
	seen.record = *record;
	memcpy(seen.frame, record->frame, record->frame_bytes);
	seen.way[0] = '\0';
	for (uint32_t i = 0; i < record->step_count; i++) {
		seen.steps[i] = record->steps[i];
		strcat(seen.way, i > 0 ? " " : "");
		strcat(seen.way, trace_node_name(record->steps[i].node));
	}
	trace_release(trace, record);
	return true;
}

static void assert_frame(const struct frame *expected)
{
	assert_int_equal(expected->size, seen.record.length);
	assert_int_equal(expected->size, seen.record.frame_bytes);
	assert_memory_equal(expected->bytes, seen.frame, expected->size);
}

// ---- ways ----------------------------------------------------------------------------------------

static void a_packet_between_pods_is_seen_at_both(void **state)
{
	struct trace_config of_b = of_a;
	of_b.slot = POD_B;
	struct trace *a = open_(of_a), *b = open_(of_b);

	frame_udp4(&f, POD_A, A4, B4, 100);
	inject(POD_A, &f);
	assert_true(pull_frame(POD_B, &got));
	assert_true(next(a));
	assert_string_equal("eth_classify ip4_input ip4_lookup ip4_forward port_tx", seen.way);
	assert_false(seen.record.to_port);
	assert_false(seen.record.dropped);
	assert_int_equal(POD_A, seen.record.in_slot);
	assert_int_equal(POD_B, seen.steps[3].out_slot);
	assert_int_equal(64, seen.steps[3].hops);
	assert_int_equal(63, seen.steps[4].hops);
	assert_frame(&f);
	assert_true(next(b));
	assert_string_equal("eth_classify ip4_input ip4_lookup ip4_forward port_tx", seen.way);
	assert_true(seen.record.to_port);
	assert_frame(&got); // as the pod gets it
	assert_false(next(a) || next(b));

	frame_udp6(&f, POD_B, B6, A6, 100);
	inject(POD_B, &f);
	assert_true(pull_frame(POD_A, &got));
	assert_true(next(a));
	assert_string_equal("eth_classify ip6_input ip6_lookup ip6_forward port_tx", seen.way);
	assert_true(seen.record.to_port);
	assert_frame(&got);
	assert_true(next(b));
	assert_false(seen.record.to_port);
	assert_frame(&f);
	trace_free(a);
	trace_free(b);
}

static void others_packets_are_not_taken(void **state)
{
	struct trace *a = open_(of_a);

	frame_udp4(&f, POD_B, B4, SMALL4, 100);
	inject(POD_B, &f);
	assert_true(pull_frame(POD_SMALL, &got));
	assert_false(next(a));
	trace_free(a);
}

static void a_drop_is_told_and_so_is_the_error_that_comes_of_it(void **state)
{
	struct trace *a = open_(of_a);

	frame_udp4(&f, POD_A, A4, NOBODY4, 100);
	inject(POD_A, &f);
	assert_true(pull_frame(POD_A, &got));
	assert_dropped(POD_A, DROP_NO_SUCH_POD);
	// In the order in which they left the graph.
	for (int i = 0; i < 2; i++) {
		assert_true(next(a));
		if (seen.record.to_port) {
			assert_string_equal("port_tx", seen.way);
			assert_frame(&got);
			assert_false(seen.record.dropped);
		} else {
			assert_string_equal("eth_classify ip4_input ip4_lookup icmp4_error drop",
					    seen.way);
			assert_frame(&f);
			assert_true(seen.record.dropped);
			assert_int_equal(DROP_NO_SUCH_POD, seen.record.reason);
		}
		assert_false(seen.record.continued);
	}
	assert_false(next(a));

	frame_udp4(&f, POD_A, B4, SMALL4, 100); // with somebody else's address
	inject(POD_A, &f);
	assert_dropped(POD_A, DROP_SPOOFED_ADDRESS);
	assert_true(next(a));
	assert_string_equal("eth_classify ip4_input drop", seen.way);
	assert_int_equal(DROP_SPOOFED_ADDRESS, seen.record.reason);
	frame_udp4(&f, POD_A, A4, B4, 100);
	f.bytes[11] ^= 1; // and with another MAC
	inject(POD_A, &f);
	assert_dropped(POD_A, DROP_SPOOFED_MAC);
	assert_true(next(a));
	assert_string_equal("eth_classify drop", seen.way);
	assert_int_equal(DROP_SPOOFED_MAC, seen.record.reason);
	assert_int_equal(TRACE_IPV4,
			 seen.steps[1].family); // its Ethernet header is still before it
	trace_free(a);
}

static void a_packet_to_the_pod_that_does_not_arrive_is_seen(void **state)
{
	struct trace *a = open_(of_a);

	frame_udp4(&f, POD_B, B4, A4, 100);
	f.bytes[f.l3 + 8] = 1;
	frame_fix_ip4(&f);
	inject(POD_B, &f);
	assert_dropped(POD_B, DROP_TTL_EXPIRED);
	assert_true(pull_frame(POD_B, &got));
	assert_true(next(a));
	assert_true(seen.record.to_port);
	assert_true(seen.record.dropped);
	assert_int_equal(DROP_TTL_EXPIRED, seen.record.reason);
	assert_int_equal(POD_B, seen.record.in_slot);
	assert_frame(&f);
	assert_false(next(a));
	trace_free(a);
}

static void what_is_answered_in_place_is_one_way_and_two_frames(void **state)
{
	struct trace_config frames = of_a;
	frames.steps = false;
	struct trace *way = open_(of_a), *capture = open_(frames);

	frame_arp(&f, POD_A, 1, A4, GATEWAY4);
	inject(POD_A, &f);
	assert_true(pull_frame(POD_A, &got));
	assert_true(next(way));
	assert_string_equal("eth_classify arp_input port_tx", seen.way);
	assert_false(next(way));
	assert_true(next(capture));
	assert_false(seen.record.to_port);
	assert_null(seen.record.steps);
	assert_frame(&f);
	assert_true(next(capture));
	assert_true(seen.record.to_port);
	assert_frame(&got);
	assert_false(next(capture));
	trace_free(way);
	trace_free(capture);
}

static void a_translation_shows_between_two_steps(void **state)
{
	struct trace *a = open_(of_a);

	frame_udp4(&f, POD_A, A4, WORLD4, 100);
	inject(POD_A, &f);
	assert_false(next(a)); // it waits for the gate's MAC address
	assert_asked4(GATE4, NULL);
	answer4(GATE4, gate_mac);
	assert_true(pull_frame(UPLINK, &got));
	assert_true(next(a));
	assert_string_equal(
		"eth_classify ip4_input ip4_lookup route4 ip4_forward neighbour_resolve "
		"ip4_forward masquerade_output wire_output port_tx",
		seen.way);
	assert_frame(&f);
	assert_memory_equal(seen.steps[7].source, f.bytes + f.l3 + 12, 4);
	assert_memory_equal(seen.steps[8].source, got.bytes + got.l3 + 12, 4);
	assert_memory_equal(seen.steps[8].wire_mac, gate_mac, 6);
	assert_in_range(seen.steps[8].source_port, 40000, 40999);

	// The answer, whose destination is the agent's until it is translated.
	uint8_t port[2];
	memcpy(port, got.bytes + got.l4, 2);
	frame_udp4(&f, UPLINK, WORLD4, WIRE4, 50);
	memcpy(f.bytes + f.l4, got.bytes + got.l4 + 2, 2);
	memcpy(f.bytes + f.l4 + 2, port, 2);
	memset(f.bytes + f.l4 + 6, 0, 2);
	to_agent(&f, gate_mac);
	inject(UPLINK, &f);
	assert_true(pull_frame(POD_A, &got));
	assert_true(next(a));
	assert_string_equal("eth_classify ip4_input wire_input masquerade_input ip4_lookup "
			    "ip4_forward port_tx",
			    seen.way);
	assert_true(seen.record.to_port);
	assert_frame(&got);
	assert_false(next(a));
	trace_free(a);
}

static void what_is_cut_is_seen_with_all_its_pieces(void **state)
{
	struct trace_config small = of_a;
	small.slot = POD_SMALL;
	small.steps = false;
	struct trace *trace = open_(small);

	frame_udp4(&f, POD_A, A4, SMALL4, 1400);
	inject(POD_A, &f);
	for (int i = 0; i < 2; i++) {
		assert_true(pull_frame(POD_SMALL, &got));
		assert_true(next(trace));
		assert_true(seen.record.to_port);
		assert_frame(&got);
	}
	assert_false(next(trace));
	trace_free(trace);
}

static void a_packet_that_the_port_does_not_take_is_told_as_dropped(void **state)
{
	struct trace_config config = of_a;
	config.packets = UINT64_MAX;
	struct trace *a = open_(config);
	unsigned int dropped = 0, count = 0;

	frame_udp4(&f, POD_A, A4, B4, 100);
	while (dropped == 0 && count++ < 10000) { // until the ring out of B is full
		inject(POD_A, &f);
		assert_true(next(a));
		dropped += seen.record.dropped;
	}
	assert_int_equal(1, dropped);
	assert_int_equal(DROP_TX_FULL, seen.record.reason);
	assert_dropped(POD_A, DROP_TX_FULL);
	while (pull_frame(POD_B, &got))
		;
	trace_free(a);
}

static void a_packet_beyond_the_pods_limit_is_told_as_dropped(void **state)
{
	struct trace *a = open_(of_a);
	unsigned int dropped = 0, count = 0;

	datapath_set_limits(&(struct datapath_limits){.slow_path_pps = 1});
	frame_udp4(&f, POD_A, A4, B4, 100);
	while (dropped == 0 && count++ < 900) { // until what it has saved is used up
		inject(POD_A, &f);
		assert_true(next(a));
		dropped += seen.record.dropped;
	}
	assert_int_equal(1, dropped);
	assert_int_equal(DROP_SLOW_PATH_LIMIT, seen.record.reason);
	assert_string_equal("port_rx", seen.way);
	assert_frame(&f);
	assert_dropped(POD_A, DROP_SLOW_PATH_LIMIT);
	datapath_set_limits(&(struct datapath_limits){0});
	while (pull_frame(POD_B, &got))
		;
	trace_free(a);
}

// One that it may send, or be sent, at once, and then for seconds none.
static struct trace *open_limited(unsigned int slot, unsigned int direction)
{
	struct datapath_port port = graph_port_config(slot);
	struct trace_config config = of_a;

	port.limits[direction] =
		(struct bandwidth_limit){.bytes_per_s = 125, .burst_bytes = 14 + 20 + 8 + 1000};
	graph_replace_port(&port);
	config.slot = slot;
	return open_(config);
}

static void what_a_pods_bandwidth_refuses_is_told_as_dropped(void **state)
{
	struct trace *a = open_limited(POD_A, BANDWIDTH_EGRESS);

	for (int i = 0; i < 2; i++) {
		frame_udp4(&f, POD_A, A4, B4, 1000);
		inject(POD_A, &f);
		assert_int_equal(i == 0, pull_frame(POD_B, &got));
		assert_true(next(a));
		assert_int_equal(i == 1, seen.record.dropped);
	}
	assert_int_equal(DROP_EGRESS_BANDWIDTH, seen.record.reason);
	assert_string_equal("eth_classify drop", seen.way);
	assert_dropped(POD_A, DROP_EGRESS_BANDWIDTH);
	trace_free(a);
}

// Also where the node that drops it is the one that sends.
static void what_is_too_much_for_the_receiver_is_told_as_dropped(void **state)
{
	struct trace *b = open_limited(POD_B, BANDWIDTH_INGRESS);

	for (int i = 0; i < 2; i++) {
		frame_udp4(&f, POD_A, A4, B4, 1000);
		inject(POD_A, &f);
		assert_int_equal(i == 0, pull_frame(POD_B, &got));
		assert_true(next(b));
		assert_true(seen.record.to_port);
		assert_int_equal(i == 1, seen.record.dropped);
	}
	assert_int_equal(DROP_INGRESS_BANDWIDTH, seen.record.reason);
	assert_dropped(POD_B, DROP_INGRESS_BANDWIDTH);
	trace_free(b);
}

// ---- bounds --------------------------------------------------------------------------------------

static void only_what_the_filter_accepts_is_taken(void **state)
{
	// "udp", as tcpdump -dd has it for IPv4: the type, the protocol.
	static const struct filter_instruction udp[] = {
		{0x28, 0, 0, 12}, {0x15, 0, 3, 0x0800}, {0x30, 0, 0, 23},
		{0x15, 0, 1, 17}, {0x06, 0, 0, 262144}, {0x06, 0, 0, 0},
	};
	struct trace_config config = of_a;
	config.filter = udp;
	config.filter_size = RTE_DIM(udp);
	struct trace *a = open_(config);
	struct trace_figures figures;

	frame_echo4(&f, POD_A, A4, B4, 100);
	inject(POD_A, &f);
	assert_true(pull_frame(POD_B, &got));
	frame_udp4(&f, POD_A, A4, B4, 100);
	inject(POD_A, &f);
	assert_true(pull_frame(POD_B, &got));
	frame_echo4(&f, POD_B, B4, A4, 100);
	inject(POD_B, &f);
	assert_true(pull_frame(POD_A, &got));
	frame_udp4(&f, POD_B, B4, A4, 100);
	inject(POD_B, &f);
	assert_true(pull_frame(POD_A, &got));
	for (int i = 0; i < 2; i++) {
		assert_true(next(a));
		assert_int_equal(IPPROTO_UDP, seen.steps[0].protocol);
	}
	assert_false(next(a));
	trace_read_figures(a, &figures);
	assert_int_equal(2, figures.taken);
	trace_free(a);
}

static void no_more_is_taken_than_was_asked_for(void **state)
{
	struct trace_config by_packets = of_a, by_bytes = of_a;
	by_packets.packets = 3;
	by_bytes.bytes = 300;
	struct trace *packets = open_(by_packets), *bytes = open_(by_bytes);
	struct trace_figures figures;

	frame_udp4(&f, POD_A, A4, B4, 100 - 42);
	for (int i = 0; i < 10; i++) {
		trace_read_figures(packets, &figures);
		assert_int_equal(i >= 3, figures.full);
		inject(POD_A, &f);
		assert_true(pull_frame(POD_B, &got));
	}
	for (int i = 0; i < 3; i++) {
		assert_true(next(packets));
		assert_true(next(bytes));
	}
	assert_false(next(packets) || next(bytes));
	trace_read_figures(packets, &figures);
	assert_int_equal(3, figures.taken);
	assert_int_equal(3, figures.done);
	assert_int_equal(0, figures.lost);
	trace_read_figures(bytes, &figures);
	assert_true(figures.full);
	trace_free(packets);
	trace_free(bytes);
}

static void what_nobody_reads_is_counted_as_lost_and_reading_makes_room(void **state)
{
	struct trace_config config = of_a;
	config.packets = UINT64_MAX;
	struct trace *a = open_(config);
	struct trace_figures figures;
	unsigned int count = 0;

	frame_udp4(&f, POD_A, A4, B4, 100);
	do {
		inject(POD_A, &f);
		assert_true(pull_frame(POD_B, &got));
		trace_read_figures(a, &figures);
		assert_true(++count < 100000);
	} while (figures.lost < 5);
	assert_int_equal(count - 5, figures.taken);
	while (next(a))
		count--;
	assert_int_equal(5, count);
	inject(POD_A, &f);
	assert_true(pull_frame(POD_B, &got));
	assert_true(next(a));
	trace_free(a);
}

static void only_the_beginning_of_a_frame_is_kept(void **state)
{
	struct trace_config config = of_a;
	config.frame_bytes = 60;
	struct trace *a = open_(config);

	frame_udp4(&f, POD_A, A4, B4, 1000);
	push(POD_A, frame_to_mbuf(&f, 50)); // in many pieces
	run();
	assert_true(pull_frame(POD_B, &got));
	assert_true(next(a));
	assert_int_equal(f.size, seen.record.length);
	assert_int_equal(60, seen.record.frame_bytes);
	assert_memory_equal(f.bytes, seen.frame, 60);
	trace_free(a);
}

static void there_are_only_so_many_traces(void **state)
{
	struct trace *traces[TRACES_MAX], *more;
	struct trace_config nowhere = of_a;
	struct error err;

	for (unsigned int i = 0; i < TRACES_MAX; i++)
		traces[i] = open_(of_a);
	assert_int_equal(-EBUSY, trace_open(&of_a, &more, &err));
	assert_int_equal(CODE_BUSY, err.code);
	frame_udp4(&f, POD_A, A4, B4, 100);
	inject(POD_A, &f);
	assert_true(pull_frame(POD_B, &got));
	for (unsigned int i = 0; i < TRACES_MAX; i++) {
		assert_true(next(traces[i]));
		trace_free(traces[i]);
	}
	nowhere.slot = EXTRA;
	assert_int_equal(-ENOENT, trace_open(&nowhere, &more, &err));
	assert_int_equal(CODE_NOT_FOUND, err.code);
}

// ---- coming and going ----------------------------------------------------------------------------

static void a_trace_may_end_while_its_packets_are_under_way(void **state)
{
	struct trace *a = open_(of_a), *other = open_(of_a), *third;

	frame_udp4(&f, POD_A, A4, WORLD4, 100);
	inject(POD_A, &f); // it waits
	trace_free(a);
	third = open_(of_a); // in the place of the first
	assert_asked4(GATE4, NULL);
	answer4(GATE4, gate_mac);
	assert_true(pull_frame(UPLINK, &got));
	assert_true(next(other));
	assert_false(next(other));
	// Of the third it is a packet that goes on.
	assert_true(!next(third) || !seen.record.to_port);
	inject(POD_A, &f); // and all may, with one on its way from the time before
	assert_true(pull_frame(UPLINK, &got));
	trace_free(other);
	trace_free(third);
	inject(POD_A, &f);
	assert_true(pull_frame(UPLINK, &got));
}

static void what_waits_at_an_end_is_told_as_unfinished(void **state)
{
	struct trace *a = open_(of_a), *other = open_(of_a);
	struct trace_figures figures;

	frame_udp4(&f, POD_A, A4, WORLD4, 100);
	inject(POD_A, &f);
	assert_false(next(a));
	trace_end(a);
	run();
	assert_true(next(a));
	assert_true(seen.record.unfinished);
	assert_string_equal(
		"eth_classify ip4_input ip4_lookup route4 ip4_forward neighbour_resolve", seen.way);
	assert_frame(&f);
	trace_read_figures(a, &figures);
	assert_int_equal(figures.taken, figures.done);
	inject(POD_A, &f); // nothing more is taken
	assert_asked4(GATE4, NULL);
	answer4(GATE4, gate_mac);
	assert_false(next(a));
	for (int i = 0; i < 2; i++) {
		assert_true(pull_frame(UPLINK, &got));
		assert_true(next(other));
		assert_false(seen.record.unfinished);
	}
	trace_free(a);
	trace_free(other);
}

static void the_graph_is_as_before_when_nobody_looks(void **state)
{
	for (int i = 0; i < 3; i++) {
		struct trace *a = open_(of_a);

		frame_udp4(&f, POD_A, A4, B4, 100);
		assert_forwards(POD_A, &f, POD_B);
		assert_true(next(a));
		trace_stop(a);
		assert_forwards(POD_A, &f, POD_B);
		assert_false(next(a));
		trace_free(a);
		assert_forwards(POD_A, &f, POD_B);
	}
}

static void another_port_in_the_slot_is_not_looked_at(void **state)
{
	struct trace *a = open_(of_a);
	const struct datapath_port config = graph_port_config(POD_A);

	graph_replace_port(&config);
	frame_udp4(&f, POD_A, A4, B4, 100);
	inject(POD_A, &f);
	assert_true(pull_frame(POD_B, &got));
	assert_false(next(a));
	trace_free(a);
}

static unsigned int take_all(unsigned int slot)
{
	unsigned int count = 0;
	struct rte_mbuf *m;

	for (; (m = pull(slot)) != NULL; count++)
		rte_pktmbuf_free(m);
	return count;
}

static void a_worker_under_traffic_takes_traces_on_and_off(void **state)
{
	struct trace_config config = of_a;
	unsigned int pushed = 0, pulled = 0;

	config.packets = UINT64_MAX;
	graph_launch_worker();
	frame_udp4(&f, POD_A, A4, B4, 100);
	for (int i = 0; i < 30; i++) {
		struct trace *a = open_(config);
		unsigned int read = 0;

		while (read < 20) {
			// No more at once than the rings hold, however late the worker comes.
			if (pushed - pulled < 100) {
				push(POD_A, frame_to_mbuf(&f, 0));
				pushed++;
			}
			pulled += take_all(POD_B);
			while (next(a)) {
				assert_frame(&f);
				read++;
			}
		}
		trace_free(a);
	}
	while (pulled < pushed)
		pulled += take_all(POD_B);
}

// ---- hostile filters -----------------------------------------------------------------------------

static bool is_taken(const struct filter_instruction *filter, uint32_t size)
{
	static struct bpf_insn taken[LIMIT_FILTER];
	struct error err;

	if (trace_filter_take(filter, size, taken, &err) < 0) {
		assert_int_equal(CODE_BAD_REQUEST, err.code);
		return false;
	}
	static const uint8_t bytes[64] = {1, 2, 3};
	(void)bpf_filter(taken, bytes, sizeof(bytes), sizeof(bytes)); // must come back
	(void)bpf_filter(taken, bytes, 1000, 0);
	return true;
}

static void no_filter_ends_the_agent_or_holds_it_up(void **state)
{
	static const uint32_t values[] = {0, 1, 15, 16, 31, 32, 0x7fffffff, 0xffffffff};
	unsigned int taken = 0;

	for (uint32_t code = 0; code <= UINT16_MAX; code++) {
		for (size_t i = 0; i < RTE_DIM(values); i++) {
			const struct filter_instruction filter[] = {
				{(uint16_t)code, 0, 1, values[i]}, {6, 0, 0, 1}, {6, 0, 0, 0}};

			taken += is_taken(filter, 3);
		}
	}
	assert_in_range(taken, 200, 400); // those of classic BPF, and no other
}

static void a_filter_cannot_jump_away_nor_back(void **state)
{
	struct filter_instruction back[] = {{6, 0, 0, 1}, {5, 0, 0, 0xfffffffe}, {6, 0, 0, 0}};
	struct filter_instruction out[] = {{0x15, 0, 2, 0}, {6, 0, 0, 0}, {6, 0, 0, 0}};
	struct filter_instruction no_end[] = {{0, 0, 0, 0}};
	static struct filter_instruction longest[LIMIT_FILTER + 1];

	assert_false(is_taken(back, 3));
	back[1].value = 0;
	assert_true(is_taken(back, 3));
	back[1].value = 1;
	assert_false(is_taken(back, 3));
	assert_false(is_taken(out, 3));
	out[0].jump_false = 1;
	assert_true(is_taken(out, 3));
	assert_false(is_taken(no_end, 1));
	assert_true(is_taken(no_end, 0));
	for (size_t i = 0; i < RTE_DIM(longest); i++)
		longest[i].code = 6;
	assert_true(is_taken(longest, LIMIT_FILTER));
	assert_false(is_taken(longest, LIMIT_FILTER + 1));
}

static int start(void **state)
{
	int r = graph_start(state);

	graph_masquerade(&masquerade);
	return r;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WIRE_TEST(a_packet_between_pods_is_seen_at_both),
		WIRE_TEST(others_packets_are_not_taken),
		WIRE_TEST(a_drop_is_told_and_so_is_the_error_that_comes_of_it),
		WIRE_TEST(a_packet_to_the_pod_that_does_not_arrive_is_seen),
		WIRE_TEST(what_is_answered_in_place_is_one_way_and_two_frames),
		WIRE_TEST(a_translation_shows_between_two_steps),
		WIRE_TEST(what_is_cut_is_seen_with_all_its_pieces),
		WIRE_TEST(a_packet_that_the_port_does_not_take_is_told_as_dropped),
		WIRE_TEST(a_packet_beyond_the_pods_limit_is_told_as_dropped),
		WIRE_TEST(what_a_pods_bandwidth_refuses_is_told_as_dropped),
		WIRE_TEST(what_is_too_much_for_the_receiver_is_told_as_dropped),
		WIRE_TEST(only_what_the_filter_accepts_is_taken),
		WIRE_TEST(no_more_is_taken_than_was_asked_for),
		WIRE_TEST(what_nobody_reads_is_counted_as_lost_and_reading_makes_room),
		WIRE_TEST(only_the_beginning_of_a_frame_is_kept),
		WIRE_TEST(there_are_only_so_many_traces),
		WIRE_TEST(a_trace_may_end_while_its_packets_are_under_way),
		WIRE_TEST(what_waits_at_an_end_is_told_as_unfinished),
		WIRE_TEST(the_graph_is_as_before_when_nobody_looks),
		WIRE_TEST(another_port_in_the_slot_is_not_looked_at),
		WIRE_TEST(a_worker_under_traffic_takes_traces_on_and_off),
		cmocka_unit_test(no_filter_ends_the_agent_or_holds_it_up),
		cmocka_unit_test(a_filter_cannot_jump_away_nor_back),
	};

	return cmocka_run_group_tests_name("graph, traces", tests, start, graph_stop);
}
