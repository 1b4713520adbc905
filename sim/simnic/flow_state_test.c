// SPDX-License-Identifier: BSD-3-Clause
//
// What rules keep and share: ageing, indirect actions, what one group leaves for the next to match.

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "sim/simnic/flow_api.h"
#include "sim/simnic/test_device.h"
#include "sim/simnic/test_flow.h"
#include "sim/simnic/test_frames.h"

static const struct rte_flow_indir_action_conf transfer = {.transfer = 1};

#define INDIRECT(handle)  ACTION(INDIRECT, .conf = (handle))
#define AGE(seconds, ...) ACTION(AGE, .conf = DO(age, .timeout = (seconds), ##__VA_ARGS__))

// ---- ageing ---------------------------------------------------------------------------------------------

static unsigned int events; // atomic

static int on_aged(uint16_t port, enum rte_eth_event_type type, void *argument, void *result)
{
	__atomic_add_fetch(&events, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static unsigned int event_count(void)
{
	return __atomic_load_n(&events, __ATOMIC_SEQ_CST);
}

static void listen_at(uint16_t port)
{
	events = 0;
	assert_int_equal(
		rte_eth_dev_callback_register(port, RTE_ETH_EVENT_FLOW_AGED, on_aged, NULL), 0);
}

static void stop_listening(uint16_t port)
{
	assert_int_equal(
		rte_eth_dev_callback_unregister(port, RTE_ETH_EVENT_FLOW_AGED, on_aged, NULL), 0);
}

static struct rte_flow_query_age rule_age(uint16_t port, struct rte_flow *rule)
{
	struct rte_flow_query_age age = {0};
	struct rte_flow_error error;

	assert_int_equal(rte_flow_query(port, rule, ACTIONS(ACTION(AGE)), &age, &error), 0);
	assert_true(age.sec_since_last_hit_valid);
	return age;
}

static void a_rule_ages_when_it_is_not_hit_and_is_told_once(void **state)
{
	struct rte_flow *rule;
	void *contexts[4];
	uint64_t last;
	int mine;

	begin();
	listen_at(ports[UPLINK]);
	rule = rule_of(ports[UPLINK], PATTERN(FROM(ports[0]), OURS),
		       ACTIONS(AGE(1, .context = &mine), TO(ports[1])));
	for (uint32_t i = 0; i < 20; i++) { // twice its time
		send_frame(0, i);
		expect_at_function(1, i);
		usleep(100000);
	}
	last = now_ms();
	assert_int_equal(event_count(), 0);
	assert_false(rule_age(ports[UPLINK], rule).aged);
	assert_int_equal(rte_flow_get_aged_flows(ports[UPLINK], NULL, 0, NULL), 0);

	for (unsigned int round = 1; round <= 2; round++) {
		WAIT_FOR(event_count() == round);
		assert_true(now_ms() - last >= 400); // the last hit was seen up to a tick late
		assert_true(rule_age(ports[UPLINK], rule).aged);
		assert_true(rule_age(ports[UPLINK], rule).sec_since_last_hit >= 1);
		assert_int_equal(rte_flow_get_aged_flows(ports[0], contexts, 4, NULL), 0);
		assert_int_equal(rte_flow_get_aged_flows(ports[UPLINK], NULL, 0, NULL), 1);
		assert_int_equal(rte_flow_get_aged_flows(ports[UPLINK], contexts, 4, NULL), 1);
		assert_ptr_equal(contexts[0], &mine);
		assert_int_equal(rte_flow_get_aged_flows(ports[UPLINK], contexts, 4, NULL), 0);
		// It works still, and is young again.
		send_frame(0, 99);
		expect_at_function(1, 99);
		assert_false(rule_age(ports[UPLINK], rule).aged);
		last = now_ms();
	}
	stop_listening(ports[UPLINK]);
	end();
}

static void one_event_tells_of_all_until_somebody_asks(void **state)
{
	struct rte_flow *rules[3];
	void *contexts[3];

	listen_at(ports[0]);
	for (unsigned int i = 0; i < 3; i++)
		rules[i] =
			rule_at(ports[0], i, 0, PATTERN(ITEM(ETH)), ACTIONS(AGE(1), ACTION(DROP)));
	WAIT_FOR(rte_flow_get_aged_flows(ports[0], NULL, 0, NULL) == 3);
	rule_destroy(ports[0], rules[1]);
	assert_in_range(event_count(), 0,
			2); // the second of a tick between the rules, after a question
	assert_int_equal(rte_flow_get_aged_flows(ports[0], contexts, 1, NULL), 1);
	assert_ptr_equal(contexts[0], rules[0]); // no context: the rule
	assert_int_equal(rte_flow_get_aged_flows(ports[0], contexts, 3, NULL), 1);
	assert_ptr_equal(contexts[0], rules[2]);
	assert_int_equal(rte_flow_get_aged_flows(ports[0], NULL, 0, NULL), 0);
	stop_listening(ports[0]);
}

static int on_aged_ask(uint16_t port, enum rte_eth_event_type type, void *argument, void *result)
{
	void *contexts[4];

	__atomic_store_n((int *)argument, rte_flow_get_aged_flows(port, contexts, 4, NULL),
			 __ATOMIC_SEQ_CST);
	return 0;
}

static void the_event_callback_may_ask(void **state)
{
	int found = 0;

	assert_int_equal(rte_eth_dev_callback_register(ports[0], RTE_ETH_EVENT_FLOW_AGED,
						       on_aged_ask, &found),
			 0);
	rule_of(ports[0], PATTERN(ITEM(ETH)), ACTIONS(AGE(1), ACTION(DROP)));
	WAIT_FOR(__atomic_load_n(&found, __ATOMIC_SEQ_CST) == 1);
	assert_int_equal(rte_eth_dev_callback_unregister(ports[0], RTE_ETH_EVENT_FLOW_AGED,
							 on_aged_ask, &found),
			 0);
}

static void ages_without_sense_are_refused(void **state)
{
	static const struct rte_flow_attr attr = {.transfer = 1};
	const struct rte_flow_action *lists[] = {
		ACTIONS(ACTION(AGE), ACTION(DROP)),
		ACTIONS(AGE(0), ACTION(DROP)),
		ACTIONS(AGE(1, .reserved = 1), ACTION(DROP)),
		ACTIONS(AGE(1), AGE(1), ACTION(DROP)),
	};

	for (unsigned int i = 0; i < RTE_DIM(lists); i++) {
		struct rte_flow_error error = {0};

		assert_int_equal(
			rte_flow_validate(ports[0], &attr, PATTERN(ITEM(ETH)), lists[i], &error),
			i < 3 ? -EINVAL : -ENOTSUP);
		assert_int_equal(error.type, i < 3 ? RTE_FLOW_ERROR_TYPE_ACTION_CONF
						   : RTE_FLOW_ERROR_TYPE_ACTION);
		assert_ptr_equal(error.cause, &lists[i][i == 3]);
	}
}

// ---- indirect actions -----------------------------------------------------------------------------------

static struct rte_flow_action_handle *shared(uint16_t port, struct rte_flow_action action)
{
	struct rte_flow_error error = {0};
	struct rte_flow_action_handle *handle =
		rte_flow_action_handle_create(port, &transfer, &action, &error);

	if (handle == NULL)
		fail_msg("refused: %s", error.message);
	return handle;
}

static uint64_t shared_hits(uint16_t port, struct rte_flow_action_handle *handle, bool reset)
{
	struct rte_flow_query_count count = {.reset = reset};
	struct rte_flow_error error;

	assert_int_equal(rte_flow_action_handle_query(port, handle, &count, &error), 0);
	assert_true(count.hits_set && count.bytes_set);
	assert_int_equal(count.bytes, count.hits * 100);
	return count.hits;
}

static void a_counter_is_shared_by_rules_of_several_ports(void **state)
{
	struct rte_flow_action_handle *counter;
	struct rte_flow_error error = {0};
	struct rte_flow *rules[2];

	begin();
	counter = shared(ports[2], COUNT);
	for (unsigned int i = 0; i < 2; i++)
		rules[i] = rule_of(ports[i], PATTERN(FROM(ports[i]), OURS),
				   ACTIONS(INDIRECT(counter), TO(ports[3])));
	for (uint32_t i = 0; i < 10; i++) {
		send_frame(i % 2, i);
		expect_at_function(3, i);
	}
	assert_int_equal(shared_hits(ports[2], counter, false), 10);
	assert_int_equal(rule_count(ports[0], rules[0], false).hits, 10); // all that share it
	assert_int_equal(shared_hits(ports[2], counter, true), 10);
	assert_int_equal(shared_hits(ports[2], counter, false), 0);

	assert_int_equal(rte_flow_action_handle_destroy(ports[2], counter, &error), -EBUSY);
	rule_destroy(ports[0], rules[0]);
	assert_int_equal(rte_flow_action_handle_destroy(ports[2], counter, &error), -EBUSY);
	send_frame(1, 11);
	expect_at_function(3, 11);
	assert_int_equal(shared_hits(ports[2], counter, false), 1);
	assert_int_equal(rte_flow_flush(ports[1], &error), 0);
	assert_int_equal(rte_flow_action_handle_destroy(ports[2], counter, &error), 0);
	end();
}

static void an_indirect_action_outlives_its_port_while_rules_use_it(void **state)
{
	struct rte_flow_action_handle *counter, *age;

	begin();
	counter = shared(ports[2], COUNT);
	age = shared(ports[2], AGE(1));
	shared(ports[2], COUNT); // used by none
	rule_of(ports[0], PATTERN(FROM(ports[0]), OURS),
		ACTIONS(INDIRECT(counter), INDIRECT(age), TO(ports[1])));
	assert_int_equal(rte_eth_dev_stop(ports[2]), 0);
	assert_int_equal(rte_eth_dev_close(ports[2]), 0);
	send_frame(0, 1);
	expect_at_function(1, 1);
	assert_int_equal(rte_flow_flush(ports[0], NULL), 0);
	end();
}

static void a_shared_age_is_touched_by_any_of_its_rules_and_updated(void **state)
{
	struct rte_flow_update_age update = {.touch = 1};
	struct rte_flow_action_handle *age;
	struct rte_flow_query_age answer;
	struct rte_flow_error error;
	struct rte_flow *rule;
	void *contexts[2];

	begin();
	listen_at(ports[UPLINK]);
	age = shared(ports[UPLINK], AGE(1));
	rule = rule_of(ports[0], PATTERN(FROM(ports[0]), OURS),
		       ACTIONS(INDIRECT(age), TO(ports[3])));
	rule_of(ports[1], PATTERN(FROM(ports[1]), OURS), ACTIONS(INDIRECT(age), TO(ports[3])));
	for (uint32_t i = 0; i < 15; i++) {
		send_frame(1, i);
		expect_at_function(3, i);
		usleep(100000);
	}
	assert_int_equal(event_count(), 0);
	WAIT_FOR(event_count() == 1);
	assert_true(rule_age(ports[0], rule).aged);
	assert_int_equal(rte_flow_get_aged_flows(ports[UPLINK], contexts, 2, &error), 1);
	assert_ptr_equal(contexts[0], age);

	assert_int_equal(rte_flow_action_handle_update(ports[UPLINK], age, &update, &error), 0);
	assert_int_equal(rte_flow_action_handle_query(ports[UPLINK], age, &answer, &error), 0);
	assert_false(answer.aged);
	WAIT_FOR(event_count() == 2);
	// A longer time: not yet, after all. Then none: never.
	update = (struct rte_flow_update_age){.timeout_valid = 1, .timeout = 1000};
	assert_int_equal(rte_flow_action_handle_update(ports[UPLINK], age, &update, &error), 0);
	assert_int_equal(rte_flow_get_aged_flows(ports[UPLINK], NULL, 0, &error), 0);
	update.timeout = 1;
	assert_int_equal(rte_flow_action_handle_update(ports[UPLINK], age, &update, &error), 0);
	WAIT_FOR(event_count() == 3);
	update.timeout = 0;
	assert_int_equal(rte_flow_action_handle_update(ports[UPLINK], age, &update, &error), 0);
	assert_int_equal(rte_flow_get_aged_flows(ports[UPLINK], NULL, 0, &error), 0);
	stop_listening(ports[UPLINK]);
	end();
}

static void check_error(const struct rte_flow_error *error, int code, enum rte_flow_error_type type,
			const void *cause)
{
	assert_int_equal(rte_errno, code);
	assert_int_equal(error->type, type);
	assert_ptr_equal(error->cause, cause);
	assert_non_null(error->message);
}

static void indirect_actions_that_make_no_sense_are_refused(void **state)
{
	static const struct rte_flow_attr attr = {.transfer = 1};
	const struct rte_flow_indir_action_conf ingress = {.ingress = 1},
						both = {.egress = 1, .transfer = 1};
	const struct rte_flow_action count = COUNT, drop = ACTION(DROP), no_time = AGE(0);
	struct rte_flow_action_handle *counter = shared(ports[0], COUNT),
				      *age = shared(ports[0], AGE(9));
	struct rte_flow_update_age reserved = {.touch = 1, .reserved = 1};
	const struct rte_flow_action *list;
	struct rte_flow_query_count data;
	struct rte_flow_error error = {0};

	assert_null(rte_flow_action_handle_create(ports[0], &ingress, &count, &error));
	check_error(&error, ENOTSUP, RTE_FLOW_ERROR_TYPE_ATTR_TRANSFER, &ingress);
	assert_null(rte_flow_action_handle_create(ports[0], &both, &count, &error));
	check_error(&error, ENOTSUP, RTE_FLOW_ERROR_TYPE_ATTR_TRANSFER, &both);
	assert_null(rte_flow_action_handle_create(ports[0], NULL, &count, &error));
	check_error(&error, ENOTSUP, RTE_FLOW_ERROR_TYPE_ATTR_TRANSFER, NULL);
	assert_null(rte_flow_action_handle_create(ports[0], &transfer, &drop, &error));
	check_error(&error, ENOTSUP, RTE_FLOW_ERROR_TYPE_ACTION, &drop);
	assert_null(rte_flow_action_handle_create(ports[0], &transfer, &no_time, &error));
	check_error(&error, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION_CONF, &no_time);
	assert_null(rte_flow_action_handle_create(ports[0], &transfer, NULL, &error));
	check_error(&error, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION_NUM, NULL);

	assert_int_equal(rte_flow_action_handle_update(ports[0], counter, &count, &error),
			 -ENOTSUP);
	check_error(&error, ENOTSUP, RTE_FLOW_ERROR_TYPE_ACTION, counter);
	assert_int_equal(rte_flow_action_handle_update(ports[0], age, &reserved, &error), -EINVAL);
	check_error(&error, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION_CONF, &reserved);
	assert_int_equal(rte_flow_action_handle_query(ports[0], counter, NULL, &error), -EINVAL);
	assert_int_equal(rte_flow_action_handle_query(ports[1], counter, &data, &error), -ENOENT);
	check_error(&error, ENOENT, RTE_FLOW_ERROR_TYPE_HANDLE, counter);
	assert_int_equal(rte_flow_action_handle_update(ports[1], age, &reserved, &error), -ENOENT);
	assert_int_equal(rte_flow_action_handle_destroy(ports[1], counter, &error), -ENOENT);
	assert_int_equal(rte_flow_action_handle_destroy(ports[0], NULL, &error), -ENOENT);

	list = ACTIONS(INDIRECT(counter), COUNT, ACTION(DROP));
	assert_int_equal(rte_flow_validate(ports[0], &attr, PATTERN(ITEM(ETH)), list, &error),
			 -ENOTSUP);
	check_error(&error, ENOTSUP, RTE_FLOW_ERROR_TYPE_ACTION, &list[1]);
	list = ACTIONS(AGE(1), INDIRECT(age), ACTION(DROP));
	assert_int_equal(rte_flow_validate(ports[0], &attr, PATTERN(ITEM(ETH)), list, &error),
			 -ENOTSUP);
	check_error(&error, ENOTSUP, RTE_FLOW_ERROR_TYPE_ACTION, &list[1]);
	list = ACTIONS(ACTION(DROP), INDIRECT(NULL));
	assert_int_equal(rte_flow_validate(ports[0], &attr, PATTERN(ITEM(ETH)), list, &error),
			 -EINVAL);
	check_error(&error, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION_CONF, &list[1]);
	// A refused rule, and one that was only validated, hold nothing.
	list = ACTIONS(INDIRECT(counter), INDIRECT(age));
	assert_int_equal(rte_flow_validate(ports[0], &attr, PATTERN(ITEM(ETH)), list, &error),
			 -EINVAL);
	list = ACTIONS(INDIRECT(counter), INDIRECT(age), ACTION(DROP));
	assert_int_equal(rte_flow_validate(ports[0], &attr, PATTERN(ITEM(ETH)), list, &error), 0);
	assert_int_equal(rte_flow_action_handle_destroy(ports[0], counter, &error), 0);
	assert_int_equal(rte_flow_action_handle_destroy(ports[0], age, &error), 0);
}

// ---- META and TAG ---------------------------------------------------------------------------------------

#define SET_TAG(index, data, mask) ACTION(SET_TAG, .conf = DO(set_tag, (data), (mask), (index)))
#define SET_META(data, mask)       ACTION(SET_META, .conf = DO(set_meta, (data), (mask)))
#define TAG_IS(at, value)                                                                          \
	ITEM(TAG, .spec = OF(tag, (value), (at)), .mask = OF(tag, UINT32_MAX, UINT8_MAX))
#define META_IS(value) ITEM(META, .spec = OF(meta, (value)), .mask = OF(meta, UINT32_MAX))

static void what_a_group_sets_the_next_one_matches(void **state)
{
	const struct rte_flow_action_modify_field
		tag =
			{
				.dst = {.field = RTE_FLOW_FIELD_TAG, .level = 3},
				.src = {.field = RTE_FLOW_FIELD_VALUE,
					.value = {0x78, 0x56, 0x34, 0x12}},
				.width = 32,
			},
		meta = {
			.dst = {.field = RTE_FLOW_FIELD_META},
			.src = {.field = RTE_FLOW_FIELD_VALUE, .value = {1}},
			.width = 32,
		};

	begin();
	rule_of(ports[0], PATTERN(FROM(ports[0]), OURS),
		ACTIONS(SET_TAG(1, 0xff00, 0xffffff), SET_TAG(1, 0x12340056, 0xff),
			SET_META(7, UINT32_MAX), JUMP(1)));
	rule_of(ports[0], PATTERN(FROM(ports[1]), OURS),
		ACTIONS(ACTION(MODIFY_FIELD, .conf = &tag), ACTION(MODIFY_FIELD, .conf = &meta),
			JUMP(1)));
	rule_at(ports[0], 1, 0, PATTERN(TAG_IS(1, 0xff56), META_IS(7), OURS),
		ACTIONS(TO(ports[2])));
	rule_at(ports[0], 1, 0, PATTERN(TAG_IS(3, 0x12345678), META_IS(1)),
		ACTIONS(SET_META(0, UINT32_MAX), JUMP(2)));
	rule_at(ports[0], 2, 0, PATTERN(META_IS(0)), ACTIONS(TO(ports[3])));
	for (uint32_t i = 0; i < 3; i++) {
		send_frame(0, i);
		expect_at_function(2, i);
		send_frame(1, i);
		expect_at_function(3, i);
		send_frame(PF, i); // one frame's values are not the next one's
		expect_at_port(PF, i);
	}
	expect_nothing_else();
	end();
}

static void values_that_cannot_be_set_are_refused(void **state)
{
	static const struct rte_flow_attr attr = {.transfer = 1};
	struct rte_flow_action_modify_field modify = {.dst = {.field = RTE_FLOW_FIELD_TAG,
							      .level = 4},
						      .src = {.field = RTE_FLOW_FIELD_VALUE},
						      .width = 32},
					    part = modify, beyond = modify, sum = modify;
	const struct {
		struct rte_flow_action action;
		int code;
	} cases[] = {
		{SET_TAG(4, 1, 1), ENOTSUP},
		{SET_TAG(0, 1, 0), EINVAL},
		{ACTION(SET_TAG), EINVAL},
		{SET_META(1, 0), EINVAL},
		{ACTION(SET_META), EINVAL},
		{ACTION(MODIFY_FIELD, .conf = &modify), ENOTSUP},
		{ACTION(MODIFY_FIELD, .conf = &part), ENOTSUP},
		{ACTION(MODIFY_FIELD, .conf = &beyond), EINVAL},
		{ACTION(MODIFY_FIELD, .conf = &sum), ENOTSUP},
	};

	part.dst.level = beyond.dst.level = sum.dst.level = 0;
	part.width = 16;
	beyond.dst.offset = 8;
	sum.operation = RTE_FLOW_MODIFY_ADD;
	for (unsigned int i = 0; i < RTE_DIM(cases); i++) {
		const struct rte_flow_action *list = ACTIONS(cases[i].action, ACTION(DROP));
		struct rte_flow_error error = {0};

		assert_int_equal(
			rte_flow_validate(ports[0], &attr, PATTERN(ITEM(ETH)), list, &error),
			-cases[i].code);
		check_error(&error, cases[i].code, RTE_FLOW_ERROR_TYPE_ACTION_CONF, list);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_rule_ages_when_it_is_not_hit_and_is_told_once),
		TEST(one_event_tells_of_all_until_somebody_asks),
		TEST(the_event_callback_may_ask),
		TEST(ages_without_sense_are_refused),
		TEST(a_counter_is_shared_by_rules_of_several_ports),
		TEST(an_indirect_action_outlives_its_port_while_rules_use_it),
		TEST(a_shared_age_is_touched_by_any_of_its_rules_and_updated),
		TEST(indirect_actions_that_make_no_sense_are_refused),
		TEST(what_a_group_sets_the_next_one_matches),
		TEST(values_that_cannot_be_set_are_refused),
	};

	return device_tests_run(tests, RTE_DIM(tests));
}
