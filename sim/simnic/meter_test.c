// SPDX-License-Identifier: BSD-3-Clause
//
// Meters, by rte_mtr as an application makes them, and with a clock of the test's own.

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_mtr.h>

#include "sim/simnic/simnic.h"
#include "sim/simnic/test_device.h"
#include "sim/simnic/test_flow.h"

static struct rte_mtr_error error;

static struct device *device_under_test(void)
{
	return function_of(&rte_eth_devices[ports[UPLINK]])->device;
}

static void add_profile(uint32_t id, uint64_t cir, uint64_t cbs, uint64_t ebs, bool packet_mode)
{
	struct rte_mtr_meter_profile profile = {
		.alg = RTE_MTR_SRTCM_RFC2697,
		.srtcm_rfc2697 = {.cir = cir, .cbs = cbs, .ebs = ebs},
		.packet_mode = packet_mode,
	};

	assert_int_equal(rte_mtr_meter_profile_add(ports[UPLINK], id, &profile, &error), 0);
}

static const struct rte_flow_action drop[] = {{.type = RTE_FLOW_ACTION_TYPE_DROP},
					      {.type = RTE_FLOW_ACTION_TYPE_END}};
static const struct rte_flow_action pass[] = {{.type = RTE_FLOW_ACTION_TYPE_VOID},
					      {.type = RTE_FLOW_ACTION_TYPE_END}};

static void add_policy(uint32_t id, bool pass_yellow)
{
	struct rte_mtr_meter_policy_params policy = {
		.actions = {NULL, pass_yellow ? pass : drop, drop}};

	assert_int_equal(rte_mtr_meter_policy_validate(ports[UPLINK], &policy, &error), 0);
	assert_int_equal(rte_mtr_meter_policy_add(ports[UPLINK], id, &policy, &error), 0);
}

static void create_meter(uint32_t id, uint32_t profile, uint32_t policy, int shared)
{
	struct rte_mtr_params params = {
		.meter_profile_id = profile,
		.meter_policy_id = policy,
		.meter_enable = 1,
		.stats_mask = UINT8_MAX,
	};

	assert_int_equal(rte_mtr_create(ports[UPLINK], id, &params, shared, &error), 0);
}

static struct rte_mtr_stats read_stats(uint32_t id, int clear)
{
	struct rte_mtr_stats stats;
	uint64_t mask;

	assert_int_equal(rte_mtr_stats_read(ports[UPLINK], id, &stats, &mask, clear, &error), 0);
	return stats;
}

// The meter as a rule has it.
static struct meter *hold(uint32_t id)
{
	struct meter *meter = NULL;

	assert_int_equal(meter_hold(device_under_test(), id, &meter), 0);
	return meter;
}

static uint64_t clock_tsc; // begins after the meter was made

struct burst {
	struct meter *meter;
	uint32_t frames, packets, bytes; // packets and bytes of one frame
	uint32_t passed;                 // frames
};

static void run_burst(void *argument)
{
	struct burst *burst = argument;

	for (uint32_t i = 0; i < burst->frames; i++)
		burst->passed +=
			meter_passes(burst->meter, burst->packets, burst->bytes, clock_tsc);
}

// How many of these frames pass, all at the same time.
static uint32_t passed(struct meter *meter, uint32_t frames, uint32_t packets, uint32_t bytes)
{
	struct burst burst = {.meter = meter, .frames = frames, .packets = packets, .bytes = bytes};

	pipeline_call(device_under_test(), run_burst, &burst);
	return burst.passed;
}

static int begin(void **state)
{
	probe(state);
	clock_tsc = rte_get_tsc_cycles() + rte_get_tsc_hz();
	return 0;
}
#define METER_TEST(name) cmocka_unit_test_setup_teardown(name, begin, remove_device)

static void pass_time(double seconds)
{
	clock_tsc += seconds * rte_get_tsc_hz();
}

// ---- objects --------------------------------------------------------------------------------------------

static void what_is_in_use_cannot_be_destroyed(void **state)
{
	uint16_t port = ports[UPLINK];
	struct meter *meter, *other;

	add_profile(1, 1000, 1000, 0, false);
	add_policy(2, false);
	create_meter(3, 1, 2, 1);
	assert_int_equal(rte_mtr_meter_profile_delete(port, 1, &error), -EBUSY);
	assert_int_equal(error.type, RTE_MTR_ERROR_TYPE_METER_PROFILE_ID);
	assert_int_equal(rte_mtr_meter_policy_delete(port, 2, &error), -EBUSY);
	assert_int_equal(error.type, RTE_MTR_ERROR_TYPE_METER_POLICY_ID);
	meter = hold(3);
	other = hold(3); // it is shared
	assert_ptr_equal(meter, other);
	assert_int_equal(rte_mtr_destroy(port, 3, &error), -EBUSY);
	assert_int_equal(error.type, RTE_MTR_ERROR_TYPE_MTR_ID);
	meter_release(meter);
	assert_int_equal(rte_mtr_destroy(port, 3, &error), -EBUSY);
	meter_release(meter);
	assert_int_equal(rte_mtr_destroy(port, 3, &error), 0);
	assert_int_equal(rte_mtr_meter_profile_delete(port, 1, &error), 0);
	assert_int_equal(rte_mtr_meter_policy_delete(port, 2, &error), 0);
	assert_int_equal(meter_hold(device_under_test(), 3, &meter), -ENOENT);
}

static void a_meter_that_is_not_shared_is_one_rules(void **state)
{
	struct meter *meter, *other;

	add_profile(0, 1000, 1000, 0, false);
	add_policy(0, false);
	create_meter(0, 0, 0, 0);
	meter = hold(0);
	assert_int_equal(meter_hold(device_under_test(), 0, &other), -EBUSY);
	meter_release(meter);
	meter_release(hold(0));
}

static void nothing_is_made_twice_or_of_what_is_not_there(void **state)
{
	struct rte_mtr_meter_profile profile = {.alg = RTE_MTR_SRTCM_RFC2697,
						.srtcm_rfc2697 = {.cir = 1, .cbs = 1}};
	struct rte_mtr_meter_policy_params policy = {.actions = {NULL, NULL, drop}};
	struct rte_mtr_params params = {.meter_profile_id = 7, .meter_policy_id = 0};
	uint16_t port = ports[UPLINK];

	add_profile(0, 1000, 1000, 0, false);
	add_policy(0, false);
	create_meter(0, 0, 0, 1);
	assert_int_equal(rte_mtr_meter_profile_add(port, 0, &profile, &error), -EEXIST);
	assert_int_equal(rte_mtr_meter_policy_add(port, 0, &policy, &error), -EEXIST);
	assert_int_equal(rte_mtr_create(port, 1, &params, 1, &error), -ENOENT);
	assert_int_equal(error.type, RTE_MTR_ERROR_TYPE_METER_PROFILE_ID);
	params = (struct rte_mtr_params){.meter_policy_id = 7};
	assert_int_equal(rte_mtr_create(port, 1, &params, 1, &error), -ENOENT);
	assert_int_equal(error.type, RTE_MTR_ERROR_TYPE_METER_POLICY_ID);
	params.meter_policy_id = 0;
	assert_int_equal(rte_mtr_create(port, 0, &params, 1, &error), -EEXIST);
	assert_int_equal(rte_mtr_destroy(port, 1, &error), -ENOENT);
	assert_int_equal(rte_mtr_meter_profile_delete(port, 1, &error), -ENOENT);
	assert_int_equal(rte_mtr_meter_policy_delete(port, 1, &error), -ENOENT);
	assert_int_equal(rte_mtr_meter_enable(port, 1, &error), -ENOENT);
	assert_int_equal(rte_mtr_meter_profile_update(port, 0, 7, &error), -ENOENT);
	assert_int_equal(rte_mtr_meter_policy_update(port, 0, 7, &error), -ENOENT);
}

static void what_a_meter_cannot_do_is_refused(void **state)
{
	const struct rte_flow_action mark_red[] = {
		{.type = RTE_FLOW_ACTION_TYPE_METER_COLOR,
		 .conf = &(struct rte_flow_action_meter_color){.color = RTE_COLOR_RED}},
		{.type = RTE_FLOW_ACTION_TYPE_END}};
	const struct rte_flow_action jump[] = {{.type = RTE_FLOW_ACTION_TYPE_JUMP,
						.conf = &(struct rte_flow_action_jump){.group = 1}},
					       {.type = RTE_FLOW_ACTION_TYPE_END}};
	struct rte_mtr_meter_policy_params policy = {.actions = {NULL, mark_red, drop}};
	struct rte_mtr_meter_profile profile = {.alg = RTE_MTR_SRTCM_RFC2697,
						.srtcm_rfc2697 = {.cir = 1000}};
	enum rte_color dscp[64] = {[5] = RTE_COLOR_YELLOW};
	struct rte_mtr_params params = {.dscp_table = dscp};
	uint16_t port = ports[UPLINK];

	assert_int_equal(rte_mtr_meter_policy_add(port, 0, &policy, &error), -ENOTSUP);
	assert_int_equal(error.type, RTE_MTR_ERROR_TYPE_POLICER_ACTION_YELLOW);
	assert_ptr_equal(error.cause, &mark_red[0]);
	policy.actions[RTE_COLOR_YELLOW] = NULL;
	policy.actions[RTE_COLOR_GREEN] = jump;
	assert_int_equal(rte_mtr_meter_policy_validate(port, &policy, &error), -ENOTSUP);
	assert_int_equal(error.type, RTE_MTR_ERROR_TYPE_POLICER_ACTION_GREEN);
	policy.actions[RTE_COLOR_GREEN] = NULL;
	policy.actions[RTE_COLOR_RED] = mark_red; // its own colour
	assert_int_equal(rte_mtr_meter_policy_add(port, 0, &policy, &error), 0);

	assert_int_equal(rte_mtr_meter_profile_add(port, 0, &profile, &error), -EINVAL); // no sizes
	assert_int_equal(error.type, RTE_MTR_ERROR_TYPE_METER_PROFILE);
	profile.srtcm_rfc2697.cbs = 1000;
	profile.srtcm_rfc2697.cir = UINT64_MAX;
	assert_int_equal(rte_mtr_meter_profile_add(port, 0, &profile, &error), -EINVAL);
	profile.alg = 99;
	assert_int_equal(rte_mtr_meter_profile_add(port, 0, &profile, &error), -EINVAL);
	add_profile(0, 1000, 1000, 0, false);

	assert_int_equal(rte_mtr_create(port, 0, &params, 1, &error), -ENOTSUP);
	assert_int_equal(error.type, RTE_MTR_ERROR_TYPE_MTR_PARAMS);
	dscp[5] = RTE_COLOR_GREEN;
	params.use_prev_mtr_color = 1;
	assert_int_equal(rte_mtr_create(port, 0, &params, 1, &error), -ENOTSUP);
	params.use_prev_mtr_color = 0;
	params.stats_mask = UINT64_C(1) << 40;
	assert_int_equal(rte_mtr_create(port, 0, &params, 1, &error), -EINVAL);
	assert_int_equal(error.type, RTE_MTR_ERROR_TYPE_STATS_MASK);
	params.stats_mask = 0;
	assert_int_equal(rte_mtr_create(port, 0, &params, 1, &error), 0);
}

static void meters_are_the_uplinks(void **state)
{
	struct rte_mtr_capabilities capabilities;

	assert_int_equal(rte_mtr_capabilities_get(ports[UPLINK], &capabilities, &error), 0);
	assert_true(capabilities.n_max >= 1000);
	assert_int_equal(capabilities.meter_srtcm_rfc2697_n_max, capabilities.n_max);
	assert_int_equal(capabilities.chaining_n_mtrs_per_flow_max, 1);
	assert_int_equal(capabilities.stats_mask, UINT8_MAX);
	assert_true(rte_mtr_capabilities_get(ports[0], &capabilities, &error) != 0);
	assert_true(rte_mtr_capabilities_get(ports[PF], &capabilities, &error) != 0);
}

// ---- colours --------------------------------------------------------------------------------------------

static void a_burst_passes_and_then_the_rate(void **state)
{
	struct rte_mtr_stats stats;
	struct meter *meter;

	add_profile(0, 10000, 1000, 0, false);
	add_policy(0, false);
	create_meter(0, 0, 0, 0);
	meter = hold(0);
	assert_int_equal(passed(meter, 20, 1, 100), 10);
	assert_int_equal(passed(meter, 5, 1, 100), 0);
	pass_time(0.0501); // 501 bytes' time
	assert_int_equal(passed(meter, 20, 1, 100), 5);
	pass_time(100);
	assert_int_equal(passed(meter, 20, 1, 100), 10); // no more gathers than the burst
	stats = read_stats(0, 1);
	assert_int_equal(stats.n_pkts[RTE_COLOR_GREEN], 25);
	assert_int_equal(stats.n_bytes[RTE_COLOR_GREEN], 2500);
	assert_int_equal(stats.n_pkts_dropped, 40);
	assert_int_equal(stats.n_bytes_dropped, 4000);
	assert_int_equal(stats.n_pkts[RTE_COLOR_RED], 0); // none passed red
	assert_int_equal(read_stats(0, 0).n_pkts[RTE_COLOR_GREEN], 0);
	meter_release(meter);
}

static void yellow_is_what_the_policy_makes_of_it(void **state)
{
	struct meter *meter;

	add_profile(0, 1000, 1000, 500, false);
	add_policy(0, true);
	add_policy(1, false);
	create_meter(0, 0, 0, 0);
	meter = hold(0);
	assert_int_equal(passed(meter, 20, 1, 100), 15);
	assert_int_equal(read_stats(0, 0).n_pkts[RTE_COLOR_YELLOW], 5);
	assert_int_equal(read_stats(0, 1).n_pkts_dropped, 5);
	pass_time(100);
	assert_int_equal(rte_mtr_meter_policy_update(ports[UPLINK], 0, 1, &error), 0);
	assert_int_equal(passed(meter, 20, 1, 100), 10);
	assert_int_equal(read_stats(0, 0).n_pkts[RTE_COLOR_YELLOW], 0);
	assert_int_equal(rte_mtr_meter_policy_delete(ports[UPLINK], 0, &error), 0);
	assert_int_equal(rte_mtr_meter_policy_delete(ports[UPLINK], 1, &error), -EBUSY);
	meter_release(meter);
}

static void the_two_rate_algorithms_mark_by_both_rates(void **state)
{
	struct rte_mtr_meter_profile profile = {
		.alg = RTE_MTR_TRTCM_RFC2698,
		.trtcm_rfc2698 = {.cir = 1000, .pir = 2000, .cbs = 500, .pbs = 800}};
	struct meter *meter;

	assert_int_equal(rte_mtr_meter_profile_add(ports[UPLINK], 0, &profile, &error), 0);
	profile = (struct rte_mtr_meter_profile){
		.alg = RTE_MTR_TRTCM_RFC4115,
		.trtcm_rfc4115 = {.cir = 1000, .eir = 1000, .cbs = 500, .ebs = 800}};
	assert_int_equal(rte_mtr_meter_profile_add(ports[UPLINK], 1, &profile, &error), 0);
	add_policy(0, true);
	for (uint32_t i = 0; i < 2; i++) {
		create_meter(i, i, 0, 0);
		meter = hold(i);
		// RFC 2698: green packets take of both buckets; RFC 4115: the second is the yellow ones'.
		assert_int_equal(passed(meter, 20, 1, 100), i == 0 ? 8 : 13);
		assert_int_equal(read_stats(i, 0).n_pkts[RTE_COLOR_GREEN], 5);
		assert_int_equal(read_stats(i, 0).n_pkts[RTE_COLOR_YELLOW], i == 0 ? 3 : 8);
		meter_release(meter);
	}
}

static void packets_are_counted_where_the_profile_says_packets(void **state)
{
	struct meter *meter;

	add_profile(0, 10, 20, 0, true);
	add_policy(0, false);
	create_meter(0, 0, 0, 0);
	meter = hold(0);
	assert_int_equal(passed(meter, 30, 1, 9000), 20);
	pass_time(1.001);
	assert_in_range(passed(meter, 30, 1, 60), 10, 11); // the clock may stand between two ticks
	meter_release(meter);
}

// ---- frames of many packets -----------------------------------------------------------------------------

static void a_segmented_frame_counts_as_its_packets(void **state)
{
	struct meter *meter;

	add_profile(0, 1, 100, 0, true);
	add_policy(0, false);
	create_meter(0, 0, 0, 0);
	meter = hold(0);
	assert_int_equal(passed(meter, 10, 10, 15000), 10);
	assert_int_equal(passed(meter, 1, 1, 60), 0);
	assert_int_equal(read_stats(0, 0).n_pkts[RTE_COLOR_GREEN], 100);
	assert_int_equal(read_stats(0, 0).n_bytes[RTE_COLOR_GREEN], 150000);
	assert_int_equal(passed(meter, 1, 10, 15000), 0);
	assert_int_equal(read_stats(0, 0).n_pkts_dropped, 11);
	meter_release(meter);
}

// A 64 KB frame of TCP and a burst size that silicon is often given: it must neither starve nor run wild.
static void a_segmented_frame_beyond_the_burst_size_passes_at_the_rate(void **state)
{
	enum { PACKETS = 45, BYTES = 45 * 1514, CIR = 1000000, SECONDS = 50 };
	uint64_t bytes;
	struct meter *meter;

	add_profile(0, CIR, 10000, 0, false);
	add_policy(0, false);
	create_meter(0, 0, 0, 0);
	meter = hold(0);
	for (unsigned int i = 0; i < SECONDS * 1000; i++) {
		(void)passed(meter, 1, PACKETS, BYTES);
		pass_time(0.001);
	}
	bytes = read_stats(0, 0).n_bytes[RTE_COLOR_GREEN];
	assert_in_range(bytes, (uint64_t)CIR * SECONDS * 98 / 100,
			(uint64_t)CIR * SECONDS * 102 / 100 + BYTES);
	meter_release(meter);
}

// ---- changes --------------------------------------------------------------------------------------------

static void a_meter_that_is_off_lets_all_pass(void **state)
{
	struct meter *meter;

	add_profile(0, 1, 100, 0, false);
	add_policy(0, false);
	create_meter(0, 0, 0, 0);
	meter = hold(0);
	assert_int_equal(passed(meter, 5, 1, 100), 1);
	assert_int_equal(rte_mtr_meter_disable(ports[UPLINK], 0, &error), 0);
	assert_int_equal(passed(meter, 100, 1, 100), 100);
	assert_int_equal(rte_mtr_meter_enable(ports[UPLINK], 0, &error), 0);
	assert_int_equal(passed(meter, 100, 1, 100), 1); // full, as it was made
	meter_release(meter);
}

static void a_profile_can_be_changed_under_traffic(void **state)
{
	struct meter *meter;

	add_profile(0, 1, 100, 0, false);
	add_profile(1, 1, 5000, 0, false);
	add_policy(0, false);
	create_meter(0, 0, 0, 0);
	meter = hold(0);
	assert_int_equal(passed(meter, 100, 1, 100), 1);
	assert_int_equal(rte_mtr_meter_profile_update(ports[UPLINK], 0, 1, &error), 0);
	assert_int_equal(passed(meter, 100, 1, 100), 50);
	assert_int_equal(rte_mtr_meter_profile_delete(ports[UPLINK], 0, &error), 0);
	assert_int_equal(rte_mtr_meter_profile_delete(ports[UPLINK], 1, &error), -EBUSY);
	meter_release(meter);
}

static void only_statistics_that_are_on_are_told(void **state)
{
	struct rte_mtr_stats stats;
	struct meter *meter;
	uint64_t mask;

	add_profile(0, 1, 300, 0, false);
	add_policy(0, false);
	create_meter(0, 0, 0, 0);
	meter = hold(0);
	(void)passed(meter, 5, 1, 100);
	assert_int_equal(
		rte_mtr_stats_update(ports[UPLINK], 0, RTE_MTR_STATS_N_BYTES_DROPPED, &error), 0);
	assert_int_equal(rte_mtr_stats_read(ports[UPLINK], 0, &stats, &mask, 0, &error), 0);
	assert_int_equal(mask, RTE_MTR_STATS_N_BYTES_DROPPED);
	assert_int_equal(stats.n_bytes_dropped, 200);
	assert_int_equal(stats.n_pkts_dropped, 0);
	assert_int_equal(stats.n_pkts[RTE_COLOR_GREEN], 0);
	assert_int_equal(stats.n_bytes[RTE_COLOR_GREEN], 0);
	meter_release(meter);
}

// ---- in rules -------------------------------------------------------------------------------------------

#define METER(id) ACTION(METER, .conf = DO(meter, id))

static struct rte_flow_error refusal_of(const struct rte_flow_action *actions, int code)
{
	struct rte_flow_error refusal = {0};

	assert_null(rte_flow_create(ports[UPLINK], &(struct rte_flow_attr){.transfer = 1},
				    PATTERN(FROM(ports[2])), actions, &refusal));
	assert_int_equal(rte_errno, code);
	return refusal;
}

static void a_rule_holds_its_meter(void **state)
{
	const struct rte_flow_action *nowhere = ACTIONS(METER(9), ACTION(DROP)),
				     *busy = ACTIONS(METER(0), ACTION(DROP)),
				     *two = ACTIONS(METER(1), METER(1), ACTION(DROP)),
				     *late = ACTIONS(TO(ports[1]), METER(1));
	struct rte_flow *rules[3];
	struct rte_flow_error refusal;

	add_profile(0, 1000, 1000, 0, false);
	add_policy(0, false);
	create_meter(0, 0, 0, 0);
	create_meter(1, 0, 0, 1);
	rules[0] = rule_of(ports[UPLINK], PATTERN(FROM(ports[0])), ACTIONS(METER(0), ACTION(DROP)));
	rules[1] = rule_of(ports[UPLINK], PATTERN(FROM(ports[1])), ACTIONS(METER(1), ACTION(DROP)));
	rules[2] = rule_of(ports[1], PATTERN(FROM(ports[3])), ACTIONS(METER(1), ACTION(DROP)));
	refusal = refusal_of(nowhere, EINVAL);
	assert_int_equal(refusal.type, RTE_FLOW_ERROR_TYPE_ACTION_CONF);
	assert_ptr_equal(refusal.cause, &nowhere[0]);
	refusal = refusal_of(busy, EBUSY);
	assert_ptr_equal(refusal.cause, &busy[0]);
	refusal = refusal_of(two, ENOTSUP);
	assert_ptr_equal(refusal.cause, &two[1]);
	refusal = refusal_of(late, EINVAL);
	assert_ptr_equal(refusal.cause, &late[1]);
	// None of these has left anything held.
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(rte_mtr_destroy(ports[UPLINK], i, &error), -EBUSY);
		rule_destroy(ports[UPLINK], rules[i]);
	}
	assert_int_equal(rte_mtr_destroy(ports[UPLINK], 0, &error), 0);
	assert_int_equal(rte_mtr_destroy(ports[UPLINK], 1, &error), -EBUSY);
	rule_destroy(ports[1], rules[2]);
	assert_int_equal(rte_mtr_destroy(ports[UPLINK], 1, &error), 0);
}

static void a_rule_lets_through_what_its_meter_passes(void **state)
{
	uint8_t frame[100];
	struct rte_flow *rule;
	struct rte_mtr_stats stats;
	int packets[2];

	start_all(PORT_PLAIN);
	all_up();
	add_profile(0, 1, 500, 0, false); // as good as nothing in a second
	add_policy(0, false);
	create_meter(0, 0, 0, 0);
	rule = rule_of(
		ports[UPLINK],
		PATTERN(FROM(ports[0]), ITEM(ETH, .spec = HDR(eth, .ether_type = RTE_BE16(0x88b5)),
					     .mask = HDR(eth, .ether_type = 0xffff))),
		ACTIONS(COUNT, METER(0), TO(ports[1])));
	for (unsigned int i = 0; i < 2; i++)
		packets[i] = netns_packet_socket(0, netdevs[i]);
	for (unsigned int i = 0; i < 20; i++)
		assert_int_equal(send(packets[0], frame, make_frame(frame, sizeof(frame), i), 0),
				 sizeof(frame));
	WAIT_FOR(rule_count(ports[UPLINK], rule, false).hits == 20);
	stats = read_stats(0, 0);
	assert_int_equal(stats.n_pkts[RTE_COLOR_GREEN], 5);
	assert_int_equal(stats.n_bytes[RTE_COLOR_GREEN], 500);
	assert_int_equal(stats.n_pkts_dropped, 15);
	for (unsigned int i = 0; i < 5; i++) {
		WAIT_FOR(read_ours(packets[1], frame, sizeof(frame)) == sizeof(frame));
		assert_int_equal(frame[14], i);
	}
	assert_int_equal(read_ours(packets[1], frame, sizeof(frame)), -1);
	assert_int_equal(port_xstat(ports[0], "simnic_rule_dropped"), 15);
	for (unsigned int i = 0; i < 2; i++)
		close(packets[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		METER_TEST(what_is_in_use_cannot_be_destroyed),
		METER_TEST(a_meter_that_is_not_shared_is_one_rules),
		METER_TEST(nothing_is_made_twice_or_of_what_is_not_there),
		METER_TEST(what_a_meter_cannot_do_is_refused),
		METER_TEST(meters_are_the_uplinks),
		METER_TEST(a_burst_passes_and_then_the_rate),
		METER_TEST(yellow_is_what_the_policy_makes_of_it),
		METER_TEST(the_two_rate_algorithms_mark_by_both_rates),
		METER_TEST(packets_are_counted_where_the_profile_says_packets),
		METER_TEST(a_segmented_frame_counts_as_its_packets),
		METER_TEST(a_segmented_frame_beyond_the_burst_size_passes_at_the_rate),
		METER_TEST(a_meter_that_is_off_lets_all_pass),
		METER_TEST(a_profile_can_be_changed_under_traffic),
		METER_TEST(only_statistics_that_are_on_are_told),
		TEST(a_rule_holds_its_meter),
		TEST(a_rule_lets_through_what_its_meter_passes),
	};

	return device_tests_run(tests, RTE_DIM(tests));
}
