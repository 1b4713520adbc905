// SPDX-License-Identifier: BSD-3-Clause
//
// What a pod's bandwidth is to a meter.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "datapath/bandwidth.h"

static void bits_are_bytes_to_a_meter(void **state)
{
	struct bandwidth_limit limit = bandwidth_limit_of(10000000, 800000, 1500);

	assert_int_equal(limit.bytes_per_s, 1250000);
	assert_int_equal(limit.burst_bytes, 100000);
	limit = bandwidth_limit_of(0, 0, 1500);
	assert_int_equal(limit.bytes_per_s, 0);
	assert_int_equal(limit.burst_bytes, 0);
}

static void without_a_burst_there_is_a_sensible_one(void **state)
{
	static const uint64_t not_given[] = {0, UINT32_MAX, INT32_MAX};

	for (int i = 0; i < 3; i++) {
		assert_int_equal(bandwidth_limit_of(80000000, not_given[i], 1500).burst_bytes,
				 10000000 / 1000 * BANDWIDTH_BURST_MS);
		// Of a slow one some frames.
		assert_int_equal(bandwidth_limit_of(1000, not_given[i], 1500).burst_bytes,
				 BANDWIDTH_BURST_FRAMES * 1514);
	}
}

static void a_frame_always_fits_into_the_burst(void **state)
{
	assert_int_equal(bandwidth_limit_of(1000000, 8, 1500).burst_bytes, 1514);
	assert_int_equal(bandwidth_limit_of(1000000, 8, 9000).burst_bytes, 9014);
	assert_int_equal(bandwidth_limit_of(1000000, 9015 * 8, 9000).burst_bytes, 9015);
}

static void what_no_nic_has_is_cut_to_what_counts_in_64_bits(void **state)
{
	assert_int_equal(bandwidth_limit_of(UINT64_C(1000000000000000), 0, 1500).bytes_per_s,
			 BANDWIDTH_BYTES_PER_S_MAX);
	assert_int_equal(bandwidth_limit_of(UINT64_C(800000000000), 0, 1500).bytes_per_s,
			 UINT64_C(100000000000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bits_are_bytes_to_a_meter),
		cmocka_unit_test(without_a_burst_there_is_a_sensible_one),
		cmocka_unit_test(a_frame_always_fits_into_the_burst),
		cmocka_unit_test(what_no_nic_has_is_cut_to_what_counts_in_64_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
