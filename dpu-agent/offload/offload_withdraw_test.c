// SPDX-License-Identifier: BSD-3-Clause
//
// A pod's rules are out for a while, and come back: nothing brings them back before.

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_ethdev.h>

#include "offload/fixture_test.h"

static void expect_withdrawn(uint32_t vf)
{
	assert_int_equal(OFFLOAD_NONE, status_of(vf).state);
	assert_non_null(strstr(status_of(vf).reason, "withdrawn"));
	assert_int_equal(0, rules_of(vf));
	assert_int_equal(0, summary().rules_missing);
}

static void a_pod_goes_without_its_rules_and_others_keep_theirs(void **state)
{
	begin(4);
	add(0);
	add(1);
	offload_withdraw(offload, fake_pod(0).slot);
	expect_withdrawn(0);
	expect_full(1);
	offload_withdraw(offload, fake_pod(0).slot); // once is enough
	offload_restore(offload, fake_pod(0).slot);
	expect_full(0);
	offload_restore(offload, fake_pod(0).slot);
	expect_full(0);
}

static void nothing_brings_them_back_before_their_time(void **state)
{
	begin(4);
	add(0);
	offload_withdraw(offload, fake_pod(0).slot);
	offload_retry(offload);
	expect_withdrawn(0);
	fake_event(FAKE_FIRST_FUNCTION, RTE_ETH_EVENT_INTR_RESET);
	offload_retry(offload);
	expect_withdrawn(0);
	struct offload_pod other = fake_pod(0);
	other.mtu = 1400;
	add_pod(&other);
	expect_withdrawn(0);
	offload_end(offload);
	offload_begin(offload, &fake_router);
	expect_withdrawn(0);
	other = fake_pod(0);
	add_pod(&other);
	offload_restore(offload, fake_pod(0).slot);
	expect_full(0);
}

static void what_was_counted_stays(void **state)
{
	begin(4);
	add(0);
	fake_hit("g2 p0 port=9 type=0800", 10, 1000);
	offload_withdraw(offload, fake_pod(0).slot);
	assert_int_equal(10, status_of(0).rx_packets);
	offload_restore(offload, fake_pod(0).slot);
	fake_hit("g2 p0 port=9 type=0800", 1, 100);
	assert_int_equal(11, status_of(0).rx_packets);
	assert_int_equal(1100, status_of(0).rx_bytes);
}

static void a_nic_that_does_not_take_them_back_is_asked_again(void **state)
{
	begin(4);
	add(0);
	offload_withdraw(offload, fake_pod(0).slot);
	fake.fail_all = true;
	fake.fail_errno = ENOSPC;
	offload_restore(offload, fake_pod(0).slot);
	assert_int_equal(OFFLOAD_NONE, status_of(0).state);
	assert_int_equal(POD_RULES, summary().rules_missing);
	fake.fail_all = false;
	offload_retry(offload);
	expect_full(0);
}

static void a_pod_that_leaves_meanwhile_has_no_rules_after(void **state)
{
	begin(4);
	add(0);
	offload_withdraw(offload, fake_pod(0).slot);
	remove_pod(0);
	offload_restore(offload, fake_pod(0).slot);
	assert_int_equal(SHARED_RULES, fake_rule_count());
	add(0);
	expect_full(0);
}

#define TESTS                                                                                      \
	{                                                                                          \
		TEST(a_pod_goes_without_its_rules_and_others_keep_theirs),                         \
			TEST(nothing_brings_them_back_before_their_time),                          \
			TEST(what_was_counted_stays),                                              \
			TEST(a_nic_that_does_not_take_them_back_is_asked_again),                   \
			TEST(a_pod_that_leaves_meanwhile_has_no_rules_after),                      \
	}

int main(void)
{
	const struct CMUnitTest synchronous[] = TESTS, asynchronous[] = TESTS;
	int failed = cmocka_run_group_tests(synchronous, use_synchronous, NULL);

	return failed + cmocka_run_group_tests(asynchronous, use_asynchronous, NULL);
}
