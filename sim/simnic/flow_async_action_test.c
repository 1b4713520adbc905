// SPDX-License-Identifier: BSD-3-Clause
//
// Actions that outlive a rule, or are changed under it, by way of queues: indirect ones, meters, ages.

#include <errno.h>

#include <rte_mtr.h>

#include "sim/simnic/test_queue.h"

static void the_actions_of_a_rule_can_be_changed(void **state)
{
	struct rte_flow_template_table *table = forward_table(8);
	struct rte_eth_dev *dev = &rte_eth_devices[ports[UPLINK]];
	struct rte_flow *rule;

	begin_traffic();
	rule = create(table, 1, ports[1]);
	send_numbered(1);
	expect_at_function(1, 1);
	// By the driver's own function: DPDK 22.11 has no call for it yet.
	assert_int_equal(flow_async_actions_update(dev, 0, &now, rule, ACTIONS(COUNT, TO(ports[2])),
						   0, (void *)7, &refusal),
			 0);
	assert_int_equal(flow_async_actions_update(dev, 0, &now, rule, ACTIONS(COUNT, TO(ports[3])),
						   0, NULL, &refusal),
			 -EBUSY);
	expect_result(0, RTE_FLOW_OP_SUCCESS, 7);
	send_numbered(1);
	expect_at_function(2, 1);
	assert_int_equal(rule_count(ports[UPLINK], rule, false).hits, 2); // it counts on
	assert_int_equal(
		flow_async_actions_update(dev, 0, &now, rule, ACTIONS(COUNT), 0, NULL, &refusal),
		-EINVAL);
	// A reset takes it out of force; then there is nothing to change, but it can be destroyed.
	telemetry_ask("/simnic/fault," DEVICE ",function_reset=1,function_reset=0");
	assert_int_equal(flow_async_actions_update(dev, 0, &now, rule, ACTIONS(COUNT, TO(ports[3])),
						   0, NULL, &refusal),
			 0);
	expect_result(0, RTE_FLOW_OP_ERROR, 0);
	destroy(rule);
	end_traffic();
}

static void indirect_actions_go_by_queues_too(void **state)
{
	const struct rte_flow_indir_action_conf conf = {.transfer = 1};
	const struct rte_flow_action count = COUNT;
	struct rte_flow_pattern_template *pattern = pattern_template();
	struct rte_flow_actions_template *actions =
		actions_template(ACTIONS(ACTION(INDIRECT), ACTION(REPRESENTED_PORT)),
				 ACTIONS(COUNT, ACTION(REPRESENTED_PORT)));
	struct rte_flow_template_table *table = make_table(&pattern, 1, &actions, 1, 8);
	struct rte_flow_query_count answer = {0};
	struct rte_flow_action_handle *handle;
	struct rte_flow *rules[2];

	begin_traffic();
	handle = rte_flow_async_action_handle_create(ports[UPLINK], 0, &now, &conf, &count,
						     (void *)1, &refusal);
	assert_non_null(handle);
	expect_result(0, RTE_FLOW_OP_SUCCESS, 1);
	for (uint32_t i = 0; i < 2; i++) {
		const struct rte_flow_item_eth source = {.hdr.src_addr = address(i)};

		rules[i] = rte_flow_async_create(
			ports[UPLINK], 0, &now, table,
			PATTERN(FROM(ports[0]), ITEM(ETH, .spec = &source)), 0,
			ACTIONS(ACTION(INDIRECT, .conf = handle), TO(ports[1])), 0, NULL, &refusal);
		assert_non_null(rules[i]);
		expect_result(0, RTE_FLOW_OP_SUCCESS, 0);
		send_numbered(i);
		expect_at_function(1, i);
	}
	assert_int_equal(rte_flow_async_action_handle_query(ports[UPLINK], 0, &now, handle, &answer,
							    (void *)2, &refusal),
			 0);
	expect_result(0, RTE_FLOW_OP_SUCCESS, 2);
	assert_int_equal(answer.hits, 2);
	// A counter has nothing to update; what is refused leaves no result.
	assert_true(rte_flow_async_action_handle_update(ports[UPLINK], 0, &now, handle, &count,
							NULL, &refusal) < 0);
	expect_no_result(0);
	for (uint32_t i = 0; i < 2; i++)
		destroy(rules[i]);
	assert_int_equal(rte_flow_async_action_handle_destroy(ports[UPLINK], 0, &now, handle,
							      (void *)3, &refusal),
			 0);
	expect_result(0, RTE_FLOW_OP_SUCCESS, 3);
	end_traffic();
}

static void rules_of_queues_hold_their_meters(void **state)
{
	struct rte_mtr_meter_profile profile = {.alg = RTE_MTR_SRTCM_RFC2697,
						.srtcm_rfc2697 = {.cir = 1000, .cbs = 1000}};
	struct rte_mtr_meter_policy_params policy = {
		.actions = {NULL, NULL, ACTIONS(ACTION(DROP))}};
	struct rte_mtr_params params = {.meter_enable = 1};
	const struct rte_flow_actions_template_attr attr = {.transfer = 1};
	const struct rte_flow_action_meter nowhere = {9}, whole = {UINT32_MAX};
	const struct rte_flow_action *constant =
		ACTIONS(ACTION(METER, .conf = &nowhere), ACTION(DROP));
	struct rte_flow_pattern_template *pattern = pattern_template();
	struct rte_flow_actions_template *actions = actions_template(
		ACTIONS(ACTION(METER), ACTION(DROP)), ACTIONS(ACTION(METER), ACTION(DROP)));
	struct rte_flow_template_table *table = make_table(&pattern, 1, &actions, 1, 8);
	const struct rte_flow_item_eth source = {.hdr.src_addr = address(1)};
	const struct rte_flow_item *items = PATTERN(FROM(ports[0]), ITEM(ETH, .spec = &source));
	struct rte_mtr_error meter_error;
	struct rte_flow *rule;

	assert_int_equal(rte_mtr_meter_profile_add(ports[UPLINK], 0, &profile, &meter_error), 0);
	assert_int_equal(rte_mtr_meter_policy_add(ports[UPLINK], 0, &policy, &meter_error), 0);
	assert_int_equal(rte_mtr_create(ports[UPLINK], 5, &params, 0, &meter_error), 0);
	assert_null(rte_flow_actions_template_create(
		ports[UPLINK], &attr, constant,
		ACTIONS(ACTION(METER, .conf = &whole), ACTION(DROP)), &refusal));
	expect_refusal(EINVAL, RTE_FLOW_ERROR_TYPE_ACTION_CONF);
	assert_ptr_equal(refusal.cause, &constant[0]);
	rule = rte_flow_async_create(ports[UPLINK], 0, &now, table, items, 0,
				     ACTIONS(ACTION(METER, .conf = DO(meter, 5)), ACTION(DROP)), 0,
				     NULL, &refusal);
	assert_non_null(rule);
	expect_result(0, RTE_FLOW_OP_SUCCESS, 0);
	assert_null(rte_flow_async_create(
		ports[UPLINK], 0, &now, table, items, 0,
		ACTIONS(ACTION(METER, .conf = DO(meter, 5)), ACTION(DROP)), 0, NULL, &refusal));
	expect_refusal(EBUSY, RTE_FLOW_ERROR_TYPE_ACTION_CONF);
	assert_int_equal(rte_mtr_destroy(ports[UPLINK], 5, &meter_error), -EBUSY);
	destroy(rule);
	assert_int_equal(rte_mtr_destroy(ports[UPLINK], 5, &meter_error), 0);
}

static void rules_of_queues_age(void **state)
{
	const struct rte_flow_action_age age = {.timeout = 1}, mask = {.timeout = 0xffffff};
	struct rte_flow_pattern_template *pattern = pattern_template();
	struct rte_flow_actions_template *actions[] = {
		actions_template(ACTIONS(ACTION(AGE, .conf = &age), ACTION(DROP)),
				 ACTIONS(ACTION(AGE, .conf = &mask), ACTION(DROP))),
		actions_template(ACTIONS(ACTION(DROP)), ACTIONS(ACTION(DROP))),
	};
	struct rte_flow_template_table *table = make_table(&pattern, 1, actions, 2, 8);
	struct rte_flow *rules[2];
	void *contexts[8];

	for (uint32_t i = 0; i < 2; i++) {
		const struct rte_flow_item_eth source = {.hdr.src_addr = address(i)};

		rules[i] = rte_flow_async_create(
			ports[UPLINK], 0, &now, table,
			PATTERN(FROM(ports[0]), ITEM(ETH, .spec = &source)), 0,
			ACTIONS(ACTION(AGE, .conf = &age), ACTION(DROP)), 0, NULL, &refusal);
		assert_non_null(rules[i]);
		expect_result(0, RTE_FLOW_OP_SUCCESS, 0);
	}
	// The second is changed to one that does not age.
	assert_int_equal(flow_async_actions_update(&rte_eth_devices[ports[UPLINK]], 0, &now,
						   rules[1], ACTIONS(ACTION(DROP)), 1, NULL,
						   &refusal),
			 0);
	expect_result(0, RTE_FLOW_OP_SUCCESS, 0);
	WAIT_FOR(rte_flow_get_q_aged_flows(ports[UPLINK], 0, NULL, 0, &refusal) == 1);
	assert_int_equal(rte_flow_get_q_aged_flows(ports[UPLINK], 0, contexts, 8, &refusal), 1);
	assert_ptr_equal(contexts[0], rules[0]);
	destroy(rules[0]);
	assert_int_equal(rte_flow_get_aged_flows(ports[UPLINK], contexts, 8, &refusal), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		QUEUE_TEST(the_actions_of_a_rule_can_be_changed),
		QUEUE_TEST(indirect_actions_go_by_queues_too),
		QUEUE_TEST(rules_of_queues_hold_their_meters),
		QUEUE_TEST(rules_of_queues_age),
	};

	return device_tests_run(tests, RTE_DIM(tests));
}
