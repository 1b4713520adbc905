// SPDX-License-Identifier: BSD-3-Clause
//
// Rules by queues, as an application makes them: in bulk, with mistakes, and with frames to see them by.

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "sim/simnic/test_queue.h"

static void a_rule_is_in_force_when_it_was_pushed(void **state)
{
	struct rte_flow_template_table *table = forward_table(8);
	struct rte_flow *rule;

	begin_traffic();
	rule = enqueue(0, &postponed, table, 1, ports[1]);
	assert_non_null(rule);
	expect_no_result(0);
	send_numbered(1);
	expect_at_port(0, 1);
	push(0);
	send_numbered(1);
	expect_at_function(1, 1);
	expect_result(0, RTE_FLOW_OP_SUCCESS, 1);
	expect_no_result(0);
	assert_int_equal(rule_count(ports[UPLINK], rule, false).hits, 1);

	assert_int_equal(rte_flow_async_destroy(ports[UPLINK], 0, &postponed, rule, NULL, &refusal),
			 0);
	send_numbered(1);
	expect_at_function(1, 1);
	// An operation that is not postponed takes the others along.
	rule = enqueue(0, &now, table, 2, ports[1]);
	send_numbered(1);
	expect_at_port(0, 1);
	send_numbered(2);
	expect_at_function(1, 2);
	expect_result(0, RTE_FLOW_OP_SUCCESS, 0);
	expect_result(0, RTE_FLOW_OP_SUCCESS, 2);
	end_traffic();
}

static void thousands_of_rules_come_and_go_in_bulk(void **state)
{
	enum { RULES = 5000 };
	struct rte_flow_template_table *table = forward_table(RULES);
	struct rte_flow_op_result results[QUEUE_SIZE];
	struct rte_flow **rules = calloc(RULES, sizeof(rules[0]));

	begin_traffic();
	for (uint32_t made = 0; made < RULES;) {
		uint32_t batch = RTE_MIN(RULES - made, (uint32_t)QUEUE_SIZE);

		for (uint32_t i = 0; i < batch; i++) {
			rules[made + i] =
				enqueue(1, &postponed, table, made + i, ports[1 + (made + i) % 3]);
			assert_non_null(rules[made + i]);
		}
		push(1);
		assert_int_equal(rte_flow_pull(ports[UPLINK], 1, results, QUEUE_SIZE, &refusal),
				 batch);
		for (uint32_t i = 0; i < batch; i++, made++) {
			assert_int_equal(results[i].status, RTE_FLOW_OP_SUCCESS);
			assert_int_equal((uintptr_t)results[i].user_data, made);
		}
	}
	for (uint32_t i = 0; i < RULES; i += 499) {
		send_numbered(i);
		expect_at_function(1 + i % 3, i);
		assert_int_equal(rule_count(ports[UPLINK], rules[i], false).hits, 1);
	}
	for (uint32_t gone = 0; gone < RULES; gone++) {
		assert_int_equal(rte_flow_async_destroy(ports[UPLINK], 1, &postponed, rules[gone],
							NULL, &refusal),
				 0);
		if (gone % QUEUE_SIZE == QUEUE_SIZE - 1 || gone == RULES - 1) {
			push(1);
			assert_int_equal(
				rte_flow_pull(ports[UPLINK], 1, results, QUEUE_SIZE, &refusal),
				gone % QUEUE_SIZE + 1);
		}
	}
	send_numbered(499);
	expect_at_port(0, 499);
	assert_int_equal(rte_flow_template_table_destroy(ports[UPLINK], table, &refusal), 0);
	end_traffic();
	free(rules);
}

static void an_error_in_a_push_is_that_operations_alone(void **state)
{
	struct rte_flow_template_table *table = forward_table(100);
	static const uint32_t numbers[] = {0, 1, 2, 1, 4, 5, 6, 7};
	struct rte_flow *rules[RTE_DIM(numbers)];

	begin_traffic();
	telemetry_ask("/simnic/fault," DEVICE ",fail_nth=3");
	for (unsigned int i = 0; i < RTE_DIM(numbers); i++) {
		rules[i] = enqueue(0, &postponed, table, numbers[i], ports[1]);
		assert_non_null(rules[i]);
	}
	push(0);
	for (unsigned int i = 0; i < RTE_DIM(numbers); i++) {
		// The third fails, and the fourth is the second again.
		bool failed = i == 2 || i == 3;

		expect_result(0, failed ? RTE_FLOW_OP_ERROR : RTE_FLOW_OP_SUCCESS, numbers[i]);
		if (failed && i != 3)
			continue;
		send_numbered(numbers[i]);
		expect_at_function(1, numbers[i]);
	}
	send_numbered(2);
	expect_at_port(0, 2);
	// A handle is to be destroyed whether its rule is in force or not, and counts for its table until then.
	for (unsigned int i = 0; i < RTE_DIM(numbers); i++) {
		assert_int_equal(rte_flow_template_table_destroy(ports[UPLINK], table, &refusal),
				 -EBUSY);
		destroy(rules[i]);
	}
	assert_int_equal(rte_flow_template_table_destroy(ports[UPLINK], table, &refusal), 0);
	end_traffic();
}

// A completion says no more than that it failed.
static void a_card_that_is_full_says_so_when_a_rule_is_enqueued(void **state)
{
	struct rte_flow_template_table *table = forward_table(10);
	struct rte_flow *rules[3];

	telemetry_ask("/simnic/fault," DEVICE ",table_full=3");
	rules[0] = create(table, 0, ports[1]);
	for (uint32_t i = 1; i < 3; i++) {
		rules[i] = enqueue(0, &postponed, table, i, ports[1]);
		assert_non_null(rules[i]);
	}
	assert_null(enqueue(0, &postponed, table, 3, ports[1]));
	expect_refusal(ENOSPC, RTE_FLOW_ERROR_TYPE_UNSPECIFIED);
	push(0);
	for (uint32_t i = 1; i < 3; i++)
		expect_result(0, RTE_FLOW_OP_SUCCESS, i);
	assert_null(enqueue(0, &postponed, table, 3, ports[1]));
	expect_refusal(ENOSPC, RTE_FLOW_ERROR_TYPE_UNSPECIFIED);
	// Room that is about to be there counts: operations are done in their order.
	assert_int_equal(rte_flow_async_destroy(ports[UPLINK], 0, &postponed, rules[2],
						(void *)(uintptr_t)2, &refusal),
			 0);
	rules[2] = enqueue(0, &postponed, table, 3, ports[1]);
	assert_non_null(rules[2]);
	push(0);
	for (uint32_t i = 2; i <= 3; i++)
		expect_result(0, RTE_FLOW_OP_SUCCESS, i);
	telemetry_ask("/simnic/fault," DEVICE ",clear");
	for (uint32_t i = 0; i < 3; i++)
		destroy(rules[i]);
	assert_int_equal(rte_flow_template_table_destroy(ports[UPLINK], table, &refusal), 0);
}

static void a_queue_that_is_full_takes_no_more(void **state)
{
	struct rte_flow_template_table *table = forward_table(2 * QUEUE_SIZE);
	struct rte_flow *rule = create(table, 1000, ports[1]);
	struct rte_flow_op_result results[2];

	for (uint32_t i = 0; i < QUEUE_SIZE; i++)
		assert_non_null(enqueue(0, &postponed, table, i, ports[1]));
	assert_null(enqueue(0, &postponed, table, QUEUE_SIZE, ports[1]));
	expect_refusal(EAGAIN, RTE_FLOW_ERROR_TYPE_UNSPECIFIED);
	assert_int_equal(rte_flow_async_destroy(ports[UPLINK], 0, &now, rule, NULL, &refusal),
			 -EAGAIN);
	assert_non_null(enqueue(1, &postponed, table, QUEUE_SIZE, ports[1])); // another one's
	push(0);
	assert_null(enqueue(0, &now, table, QUEUE_SIZE + 1, ports[1])); // results are there still
	expect_refusal(EAGAIN, RTE_FLOW_ERROR_TYPE_UNSPECIFIED);
	assert_int_equal(rte_flow_pull(ports[UPLINK], 0, results, 2, &refusal), 2);
	assert_non_null(enqueue(0, &postponed, table, QUEUE_SIZE + 1, ports[1]));
	assert_int_equal(rte_flow_async_destroy(ports[UPLINK], 0, &now, rule, NULL, &refusal), 0);
}

static void misuse_is_refused(void **state)
{
	struct rte_flow_template_table *table = forward_table(8);
	const struct rte_flow_item_eth source = {0};
	const struct rte_flow_item *pattern = PATTERN(FROM(ports[0]), ITEM(ETH, .spec = &source)),
				   *without_spec = PATTERN(FROM(ports[0]), ITEM(ETH)),
				   *others = PATTERN(FROM(ports[0]), ITEM(IPV4));
	const struct rte_flow_action *actions = ACTIONS(COUNT, TO(ports[1])),
				     *swapped = ACTIONS(TO(ports[1]), COUNT),
				     *longer = ACTIONS(COUNT, TO(ports[1]), COUNT),
				     *bare = ACTIONS(COUNT, ACTION(REPRESENTED_PORT));
	const struct {
		uint32_t queue;
		const struct rte_flow_item *pattern;
		uint8_t pattern_index;
		const struct rte_flow_action *actions;
		uint8_t actions_index;
		int code;
		enum rte_flow_error_type type;
		const void *cause;
	} cases[] = {
		{QUEUES, pattern, 0, actions, 0, EINVAL, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, NULL},
		{0, pattern, 1, actions, 0, EINVAL, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, table},
		{0, pattern, 0, actions, 1, EINVAL, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, table},
		{0, without_spec, 0, actions, 0, EINVAL, RTE_FLOW_ERROR_TYPE_ITEM_SPEC,
		 &without_spec[1]},
		{0, others, 0, actions, 0, EINVAL, RTE_FLOW_ERROR_TYPE_ITEM, &others[1]},
		{0, pattern, 0, swapped, 0, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION, &swapped[0]},
		{0, pattern, 0, longer, 0, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION, &longer[2]},
		{0, pattern, 0, bare, 0, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION_CONF, &bare[1]},
	};
	struct rte_flow *rule, *other;

	for (unsigned int i = 0; i < RTE_DIM(cases); i++) {
		assert_null(rte_flow_async_create(ports[UPLINK], cases[i].queue, &now, table,
						  cases[i].pattern, cases[i].pattern_index,
						  cases[i].actions, cases[i].actions_index, NULL,
						  &refusal));
		expect_refusal(cases[i].code, cases[i].type);
		assert_ptr_equal(refusal.cause, cases[i].cause);
		expect_no_result(0);
	}
	// Nothing of it counts for the table.
	assert_int_equal(__atomic_load_n(&table->rules, __ATOMIC_RELAXED), 0);

	rule = enqueue(0, &now, table, 1, ports[1]);
	assert_int_equal(rte_flow_async_destroy(ports[UPLINK], 0, &now, rule, NULL, &refusal),
			 -EBUSY);
	expect_result(0, RTE_FLOW_OP_SUCCESS, 1);
	assert_int_equal(rte_flow_async_destroy(ports[UPLINK], 1, &now, rule, NULL, &refusal),
			 -EINVAL);
	assert_int_equal(rte_flow_destroy(ports[UPLINK], rule, &refusal), -EINVAL);
	assert_int_equal(rte_flow_async_destroy(ports[UPLINK], 0, &postponed, rule, NULL, &refusal),
			 0);
	assert_int_equal(rte_flow_async_destroy(ports[UPLINK], 0, &now, rule, NULL, &refusal),
			 -EBUSY);
	other = rule_of(ports[UPLINK], PATTERN(FROM(ports[3])), ACTIONS(ACTION(DROP)));
	assert_int_equal(rte_flow_async_destroy(ports[UPLINK], 0, &now, other, NULL, &refusal),
			 -EINVAL);
	expect_refusal(EINVAL, RTE_FLOW_ERROR_TYPE_HANDLE);
}

static void slow_inserts_have_their_results_later(void **state)
{
	struct rte_flow_template_table *table = forward_table(8);
	struct rte_flow_op_result results[4];
	uint64_t begun;
	unsigned int count = 0;

	telemetry_ask("/simnic/fault," DEVICE ",insert_us=300000");
	begun = now_ms();
	for (uint32_t i = 0; i < 3; i++)
		assert_non_null(enqueue(0, &postponed, table, i, ports[1]));
	push(0);
	assert_true(now_ms() - begun < 900); // who pushes does not wait for them
	WAIT_FOR((count += rte_flow_pull(ports[UPLINK], 0, results, 4, &refusal)) >= 1);
	assert_true(now_ms() - begun >= 299);
	WAIT_FOR((count += rte_flow_pull(ports[UPLINK], 0, results, 4, &refusal)) == 3);
	assert_true(now_ms() - begun >= 899);
}

static void a_flush_takes_what_waits_along(void **state)
{
	struct rte_flow_template_table *table = forward_table(8);
	struct rte_flow *rule = create(table, 1, ports[1]);

	assert_non_null(enqueue(0, &now, table, 2, ports[1]));
	assert_non_null(enqueue(0, &postponed, table, 3, ports[1]));
	assert_int_equal(rte_flow_async_destroy(ports[UPLINK], 0, &postponed, rule, NULL, &refusal),
			 0);
	assert_non_null(enqueue(1, &postponed, table, 4, ports[1]));
	assert_int_equal(rte_flow_flush(ports[UPLINK], &refusal), 0);
	assert_non_null(strstr(telemetry_ask("/simnic/rules," DEVICE), "\"rules\":0,"));
	expect_result(0, RTE_FLOW_OP_SUCCESS, 2);
	expect_result(0, RTE_FLOW_OP_SUCCESS, 3);
	expect_result(0, RTE_FLOW_OP_SUCCESS, 0);
	expect_result(1, RTE_FLOW_OP_SUCCESS, 4);
	assert_int_equal(rte_flow_template_table_destroy(ports[UPLINK], table, &refusal), 0);
}

static void a_port_takes_its_queues_with_it(void **state)
{
	struct rte_flow_template_table *table = forward_table(8);
	struct rte_flow *rule = create(table, 1, ports[1]), *other = create(table, 5, ports[1]);

	assert_non_null(enqueue(0, &now, table, 2, ports[1]));
	assert_non_null(enqueue(0, &postponed, table, 3, ports[1]));
	assert_int_equal(rte_flow_async_destroy(ports[UPLINK], 0, &postponed, rule, NULL, &refusal),
			 0);
	assert_int_equal(flow_async_actions_update(&rte_eth_devices[ports[UPLINK]], 0, &postponed,
						   other, ACTIONS(COUNT, TO(ports[2])), 0, NULL,
						   &refusal),
			 0);
	// The teardown finds nothing left; the address sanitizer neither.
}

// ---- threads --------------------------------------------------------------------------------------------

enum { ROUNDS = 200, BATCH = 50 };

static void *churn(void *argument)
{
	struct rte_flow_template_table *table = argument;
	uint32_t queue = 1;
	struct rte_flow_op_result results[BATCH];
	struct rte_flow *rules[BATCH];
	unsigned int failures = 0;

	for (unsigned int round = 0; round < ROUNDS; round++) {
		for (uint32_t i = 0; i < BATCH; i++)
			rules[i] = enqueue(queue, &postponed, table, 1000000 + i, ports[1]);
		failures += rte_flow_push(ports[UPLINK], queue, NULL) != 0;
		failures += rte_flow_pull(ports[UPLINK], queue, results, BATCH, NULL) != BATCH;
		for (uint32_t i = 0; i < BATCH; i++)
			failures += rules[i] == NULL || results[i].status != RTE_FLOW_OP_SUCCESS ||
				    rte_flow_async_destroy(ports[UPLINK], queue, &postponed,
							   rules[i], NULL, NULL) != 0;
		failures += rte_flow_push(ports[UPLINK], queue, NULL) != 0;
		failures += rte_flow_pull(ports[UPLINK], queue, results, BATCH, NULL) != BATCH;
	}
	return (void *)(uintptr_t)failures;
}

static void queues_are_used_by_threads_at_once_under_traffic(void **state)
{
	struct rte_flow_template_table *table = forward_table(10000);
	pthread_t thread;
	void *failures;
	uint32_t number = 0;

	begin_traffic();
	create(table, 0, ports[1]);
	assert_int_equal(pthread_create(&thread, NULL, churn, table), 0);
	for (; number < 500; number++) {
		struct rte_flow *rule = create(table, 1 + number, ports[2]);

		send_numbered(1 + number);
		expect_at_function(2, 1 + number);
		send_numbered(0);
		expect_at_function(1, 0);
		destroy(rule);
	}
	assert_int_equal(pthread_join(thread, &failures), 0);
	assert_ptr_equal(failures, NULL);
	end_traffic();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		QUEUE_TEST(a_rule_is_in_force_when_it_was_pushed),
		QUEUE_TEST(thousands_of_rules_come_and_go_in_bulk),
		QUEUE_TEST(an_error_in_a_push_is_that_operations_alone),
		QUEUE_TEST(a_card_that_is_full_says_so_when_a_rule_is_enqueued),
		QUEUE_TEST(a_queue_that_is_full_takes_no_more),
		QUEUE_TEST(misuse_is_refused),
		QUEUE_TEST(slow_inserts_have_their_results_later),
		QUEUE_TEST(a_flush_takes_what_waits_along),
		QUEUE_TEST(a_port_takes_its_queues_with_it),
		QUEUE_TEST(queues_are_used_by_threads_at_once_under_traffic),
	};

	return device_tests_run(tests, RTE_DIM(tests));
}
