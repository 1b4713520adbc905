// SPDX-License-Identifier: BSD-3-Clause
//
// What a pod is told to have sent and received: the sum over all rules it ever had, and never less
// than before.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_ethdev.h>

#include "offload/fixture_test.h"

static void both_families_are_counted_for_each_direction(void **state)
{
	struct offload_pod_status status;

	begin(4);
	add(0);
	add(1);
	fake_hit("g2 p0 port=9 type=0800", 1, 100);
	fake_hit("g2 p0 port=9 type=86dd", 20, 2000);
	fake_hit("g3 p0 type=0800 ip.dst=10.88.0.2 ", 300, 30000);
	fake_hit("g3 p0 type=86dd ip.dst=fd00::2 ", 4000, 400000);
	status = status_of(0);
	assert_int_equal(status.rx_packets, 21);
	assert_int_equal(status.rx_bytes, 2100);
	assert_int_equal(status.tx_packets, 4300);
	assert_int_equal(status.tx_bytes, 430000);
	assert_int_equal(status_of(1).rx_packets + status_of(1).tx_packets, 0);
}

static void what_was_counted_outlives_the_rules(void **state)
{
	begin(4);
	add(0);
	fake_hit("g2 p0 port=9 type=0800", 10, 1000);
	fake_hit("g3 p0 type=0800", 5, 500);
	// Never read so far: the last reading is taken when the rules go.
	fake_event(FAKE_FIRST_FUNCTION, RTE_ETH_EVENT_INTR_RESET);
	offload_retry(offload);
	expect_full(0);
	assert_int_equal(status_of(0).rx_packets, 10);
	assert_int_equal(status_of(0).tx_bytes, 500);
	fake_hit("g2 p0 port=9 type=0800", 1, 100);
	assert_int_equal(status_of(0).rx_packets, 11);

	// And while there are none.
	fake.fail_all = true;
	fake_event(FAKE_FIRST_FUNCTION, RTE_ETH_EVENT_INTR_RESET);
	offload_retry(offload);
	assert_int_equal(status_of(0).state, OFFLOAD_NONE);
	assert_int_equal(status_of(0).rx_packets, 11);
	assert_int_equal(status_of(0).tx_packets, 5);
}

static void a_nic_that_starts_to_count_from_zero_takes_nothing_away(void **state)
{
	begin(4);
	add(0);
	fake_hit("g3 p0 type=0800", 50, 5000);
	assert_int_equal(status_of(0).tx_packets, 50);
	fake_clear_counters();
	assert_int_equal(status_of(0).tx_packets, 50);
	fake_hit("g3 p0 type=0800", 2, 200);
	assert_int_equal(status_of(0).tx_packets, 52);
	assert_int_equal(status_of(0).tx_bytes, 5200);
	fake_event(FAKE_FIRST_FUNCTION, RTE_ETH_EVENT_INTR_RESET);
	offload_retry(offload);
	assert_int_equal(status_of(0).tx_packets, 52);
}

static void the_next_pod_on_a_function_starts_from_zero(void **state)
{
	begin(4);
	add(0);
	fake_hit("g3 p0 type=0800", 50, 5000);
	assert_int_equal(status_of(0).tx_packets, 50);
	remove_pod(0);
	assert_int_equal(status_of(0).tx_packets, 0);
	add(0);
	assert_int_equal(status_of(0).tx_packets, 0);
	assert_int_equal(status_of(0).tx_bytes, 0);
}

// Hits, resets, refusals, a NIC that forgets, in any order, beside two sums.
static void counts_never_go_back_whatever_happens_to_the_rules(void **state)
{
	uint64_t received = 0, last_bytes = 0;
	unsigned int with_rules = 0;

	begin(4);
	add(0);
	srandom(1);
	for (int step = 0; step < 5000; step++) {
		switch (random() % 8) {
		case 0:
			fake_event(FAKE_FIRST_FUNCTION, RTE_ETH_EVENT_INTR_RESET);
			break;
		case 1:
			fake.fail_all = !fake.fail_all;
			break;
		case 2:
			offload_retry(offload);
			break;
		case 3:
			// A NIC may lose what nobody has read, so read it.
			status_of(0);
			fake_clear_counters();
			break;
		default:
			if (rules_of(0) == 0)
				break;
			with_rules++;
			fake_hit("g2 p0 port=9 type=86dd", (uint64_t)step, 64 * (uint64_t)step);
			received += (uint64_t)step;
		}
		struct offload_pod_status status = status_of(0);
		assert_int_equal(status.rx_packets, received);
		assert_int_equal(status.rx_bytes, 64 * received);
		assert_true(status.rx_bytes >= last_bytes);
		last_bytes = status.rx_bytes;
	}
	assert_true(with_rules > 100);
}

#define TESTS                                                                                      \
	{                                                                                          \
		TEST(both_families_are_counted_for_each_direction),                                \
			TEST(what_was_counted_outlives_the_rules),                                 \
			TEST(a_nic_that_starts_to_count_from_zero_takes_nothing_away),             \
			TEST(the_next_pod_on_a_function_starts_from_zero),                         \
			TEST(counts_never_go_back_whatever_happens_to_the_rules),                  \
	}

int main(void)
{
	const struct CMUnitTest synchronous[] = TESTS, asynchronous[] = TESTS;
	int failed = cmocka_run_group_tests(synchronous, use_synchronous, NULL);

	return failed + cmocka_run_group_tests(asynchronous, use_asynchronous, NULL);
}
