// SPDX-License-Identifier: BSD-3-Clause
//
// Pods with a limit, in the graph. Rates are so low that nothing is earned while a test runs: what passes is
// the burst.

#include "datapath/graph_test.h"

#include <netinet/in.h>
#include <pthread.h>

#include <rte_cycles.h>

#include "datapath/meter.h"

static struct frame f;

enum {
	PAYLOAD = 1000,
	FRAME4 = 14 + 20 + 8 + PAYLOAD,
	BURST_FRAMES = 10,
	SENT = 25,
	SLOWEST = 125, // bytes per second: a frame in 8 s
};

static void limit(unsigned int slot, unsigned int direction, uint64_t burst_bytes)
{
	struct datapath_port config = graph_port_config(slot);

	config.limits[direction] =
		(struct bandwidth_limit){.bytes_per_s = SLOWEST, .burst_bytes = burst_bytes};
	graph_replace_port(&config);
}

static struct datapath_counters counters_of(unsigned int slot)
{
	struct datapath_counters counters;

	datapath_read_counters(slot, &counters);
	return counters;
}

static unsigned int arrived(unsigned int slot)
{
	struct rte_mbuf *m;
	unsigned int count = 0;

	while ((m = pull(slot)) != NULL) {
		rte_pktmbuf_free(m);
		count++;
	}
	return count;
}

static unsigned int send_many(unsigned int from, unsigned int to, const char *source,
			      const char *destination)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < SENT; i++) {
		frame_udp4(&f, from, source, destination, PAYLOAD);
		inject(from, &f);
		count += arrived(to);
	}
	return count;
}

static void assert_metered(const struct bandwidth_count *count, unsigned int passed,
			   unsigned int frame)
{
	assert_int_equal(passed, count->passed_packets);
	assert_int_equal((uint64_t)passed * frame, count->passed_bytes);
	assert_int_equal(SENT - passed, count->dropped_packets);
	assert_int_equal((uint64_t)(SENT - passed) * frame, count->dropped_bytes);
}

static void a_pod_sends_no_more_than_it_may_and_the_drops_are_its_own(void **state)
{
	limit(POD_A, BANDWIDTH_EGRESS, BURST_FRAMES * FRAME4);
	unsigned int passed = send_many(POD_A, POD_B, A4, B4);

	assert_in_range(passed, BURST_FRAMES, SENT - 1);
	assert_metered(&counters_of(POD_A).metered[BANDWIDTH_EGRESS], passed, FRAME4);
	assert_int_equal(counters_of(POD_A).metered[BANDWIDTH_INGRESS].passed_packets, 0);
	assert_dropped_n(POD_A, DROP_EGRESS_BANDWIDTH, SENT - passed);
	// Nobody else has less for it, and what it is sent is not limited.
	assert_int_equal(SENT, send_many(POD_B, POD_A, B4, A4));
	assert_no_drops(POD_B);
}

static void a_pod_gets_no_more_than_it_may_whoever_sends(void **state)
{
	limit(POD_B, BANDWIDTH_INGRESS, BURST_FRAMES * FRAME4);
	unsigned int passed = send_many(POD_A, POD_B, A4, B4);

	assert_in_range(passed, BURST_FRAMES, SENT - 1);
	assert_metered(&counters_of(POD_B).metered[BANDWIDTH_INGRESS], passed, FRAME4);
	assert_dropped_n(POD_B, DROP_INGRESS_BANDWIDTH, SENT - passed);
	assert_no_drops(POD_A);
	// The same bucket for the router's own: the answer to its ping.
	frame_echo4(&f, POD_B, B4, ROUTER_LINK_LOCAL_IPV4, PAYLOAD);
	inject(POD_B, &f);
	assert_int_equal(0, arrived(POD_B));
	assert_dropped_n(POD_B, DROP_INGRESS_BANDWIDTH, 1);
	assert_int_equal(SENT, send_many(POD_B, POD_A, B4, A4));
}

static void what_the_nic_meters_is_not_metered_again(void **state)
{
	limit(POD_A, BANDWIDTH_EGRESS, FRAME4);
	datapath_meter_in_nic(POD_A, true);
	assert_int_equal(SENT, send_many(POD_A, POD_B, A4, B4));
	assert_int_equal(0, counters_of(POD_A).metered[BANDWIDTH_EGRESS].passed_packets);
	assert_no_drops(POD_A);
	datapath_meter_in_nic(POD_A, false);
	assert_in_range(send_many(POD_A, POD_B, A4, B4), 1, SENT - 1);
	drain(POD_B);
}

// A TCP frame of many segments passes as a whole, also where the burst is smaller, and is paid for as what
// it will be on a wire.
static void a_frame_to_be_segmented_counts_as_its_segments(void **state)
{
	enum { MSS = 1448, SEGMENTS = 40, HEADERS = 14 + 20 + 32 };
	struct datapath_port config = graph_port_config(POD_B);

	config.tx_tso = config.tx_l4_checksum = config.tx_ipv4_checksum = true;
	config.tx_multi_segs = true;
	config.limits[BANDWIDTH_INGRESS] =
		(struct bandwidth_limit){.bytes_per_s = SLOWEST, .burst_bytes = 2 * 1514};
	graph_replace_port(&config);
	limit(POD_A, BANDWIDTH_EGRESS, 2 * 1514);
	for (int i = 0; i < 2; i++) {
		frame_ether(&f, POD_A);
		frame_ip4(&f, A4, B4, IPPROTO_TCP);
		frame_tcp(&f, 0x10, 1);
		frame_payload(&f, (size_t)MSS * SEGMENTS);
		frame_finish(&f);
		size_t headers = f.payload;
		struct rte_mbuf *m = frame_to_mbuf(&f, 0);
		m->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_NONE | RTE_MBUF_F_RX_LRO;
		m->tso_segsz = MSS;
		push(POD_A, m);
		run();
		struct bandwidth_count count = counters_of(POD_A).metered[BANDWIDTH_EGRESS];
		// The second finds nothing left, and the first not paid for.
		assert_int_equal(1 - i, arrived(POD_B));
		assert_int_equal(SEGMENTS, count.passed_packets);
		assert_int_equal(SEGMENTS * (headers + MSS), count.passed_bytes);
		assert_int_equal(i * SEGMENTS, count.dropped_packets);
		count = counters_of(POD_B).metered[BANDWIDTH_INGRESS];
		assert_int_equal(SEGMENTS * (headers + MSS), count.passed_bytes);
		assert_int_equal(0, count.dropped_packets);
	}
	assert_dropped_n(POD_A, DROP_EGRESS_BANDWIDTH, 1);
}

// ---- the bucket ------------------------------------------------------------------------------------

static struct meter meter;
static uint64_t passed_by[2], start;

// A second of a clock of its own, over a second's worth of frames four times.
static void *take_from(void *argument)
{
	uint64_t *passed = argument, hz = rte_get_tsc_hz();

	for (uint64_t i = 0; i < 4000; i++)
		*passed += meter_passes(&meter, 1, 1000, start + hz / 4000 * i) ? 1000 : 0;
	return NULL;
}

static void several_workers_share_one_limit(void **state)
{
	const struct bandwidth_limit second = {.bytes_per_s = 1000000, .burst_bytes = 10000};
	pthread_t threads[2];

	assert_true(meter_init(&meter, &second));
	start = meter.bucket.time;
	for (int i = 0; i < 2; i++) {
		passed_by[i] = 0;
		assert_int_equal(0, pthread_create(&threads[i], NULL, take_from, &passed_by[i]));
	}
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_in_range(passed_by[0] + passed_by[1], 970000, 1020000);
}

static void the_rate_holds_over_time_whatever_the_frames(void **state)
{
	static const struct {
		uint64_t rate;
		uint32_t packets;
		uint64_t bytes;
	} cases[] = {{125000, 1, 60},         {2500000, 1, 1514},       {2500000, 44, 44 * 1514},
		     {125000000, 1, 1514},    {6250000, 44, 44 * 1514}, {12500000000, 1, 9014},
		     {1000000, 100, 100 * 90}};
	uint64_t hz = rte_get_tsc_hz();

	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		const struct bandwidth_limit limit_ = {.bytes_per_s = cases[i].rate,
						       .burst_bytes = cases[i].rate / 100 + 9014};
		uint64_t passed = 0;

		assert_true(meter_init(&meter, &limit_));
		start = meter.bucket.time;
		// For 2 s twice as much as may pass.
		uint64_t frames = 4 * cases[i].rate / cases[i].bytes;
		for (uint64_t k = 0; k < frames; k++) {
			uint64_t tsc =
				start + (uint64_t)((double)hz * 2 * (double)k / (double)frames);

			passed += meter_passes(&meter, cases[i].packets, cases[i].bytes, tsc)
					  ? cases[i].bytes
					  : 0;
		}
		assert_in_range(passed, 2 * cases[i].rate * 97 / 100 - cases[i].bytes,
				2 * cases[i].rate * 103 / 100 + limit_.burst_bytes +
					cases[i].bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GRAPH_TEST(a_pod_sends_no_more_than_it_may_and_the_drops_are_its_own),
		GRAPH_TEST(a_pod_gets_no_more_than_it_may_whoever_sends),
		GRAPH_TEST(what_the_nic_meters_is_not_metered_again),
		GRAPH_TEST(a_frame_to_be_segmented_counts_as_its_segments),
		GRAPH_TEST(several_workers_share_one_limit),
		GRAPH_TEST(the_rate_holds_over_time_whatever_the_frames),
	};

	return cmocka_run_group_tests(tests, graph_start, graph_stop);
}
