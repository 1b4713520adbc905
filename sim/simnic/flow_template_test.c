// SPDX-License-Identifier: BSD-3-Clause
//
// Templates and tables: what they can be made of, what holds them, and what of a rule is theirs to say.

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "sim/simnic/test_queue.h"

// ---- configuration --------------------------------------------------------------------------------------

static void what_is_asked_for_is_within_what_there_is(void **state)
{
	const struct rte_flow_queue_attr size = {.size = 8};
	const struct rte_flow_queue_attr *sizes[] = {&size, NULL};
	struct rte_flow_port_attr attr = {0};
	struct rte_flow_port_info port_info;
	struct rte_flow_queue_info queue_info;
	uint16_t port = ports[0];
	const struct rte_eth_conf config = {0};

	assert_int_equal(rte_eth_dev_configure(port, 1, 1, &config), 0);
	assert_int_equal(rte_flow_info_get(port, &port_info, &queue_info, &refusal), 0);
	assert_true(port_info.max_nb_queues >= 16 && queue_info.max_size >= 1024);
	assert_true(port_info.max_nb_counters >= 100000);
	assert_int_equal(port_info.max_nb_conn_tracks, 0);
	assert_int_equal(port_info.supported_flags, 0);
	assert_int_equal(configure_queues(port, port_info.max_nb_queues + 1, 8), -EINVAL);
	assert_int_equal(configure_queues(port, 1, queue_info.max_size + 1), -EINVAL);
	assert_int_equal(rte_flow_configure(port, &attr, 2, sizes, &refusal), -EINVAL);
	attr.nb_conn_tracks = 1;
	assert_int_equal(rte_flow_configure(port, &attr, 1, sizes, &refusal), -EINVAL);
	attr = (struct rte_flow_port_attr){.flags = RTE_FLOW_PORT_FLAG_STRICT_QUEUE};
	assert_int_equal(rte_flow_configure(port, &attr, 1, sizes, &refusal), -ENOTSUP);
	// Nothing of it has counted.
	assert_int_equal(rte_flow_push(port, 0, &refusal), -EINVAL);
	attr = (struct rte_flow_port_attr){0};
	assert_int_equal(rte_flow_configure(port, &attr, 1, sizes, &refusal), 0);
	assert_int_equal(rte_flow_push(port, 0, &refusal), 0);
	assert_int_equal(rte_flow_push(port, 1, &refusal), -EINVAL);
	assert_int_equal(configure_queues(port, port_info.max_nb_queues, queue_info.max_size), 0);
	assert_int_equal(rte_flow_push(port, port_info.max_nb_queues - 1, &refusal), 0);
}

static void an_engine_in_use_is_not_configured_anew(void **state)
{
	struct rte_flow_pattern_template *template = pattern_template();

	assert_int_equal(configure_queues(ports[UPLINK], 1, 8), -EBUSY);
	assert_int_equal(rte_flow_pattern_template_destroy(ports[UPLINK], template, &refusal), 0);
	assert_int_equal(configure_queues(ports[UPLINK], 1, 8), 0);
}

// ---- templates and tables -------------------------------------------------------------------------------

static void templates_are_for_transfer_rules(void **state)
{
	const struct rte_flow_pattern_template_attr patterns[] = {
		{.ingress = 1}, {.egress = 1}, {0}};
	const struct rte_flow_actions_template_attr actions[] = {
		{.ingress = 1}, {.egress = 1}, {0}};
	static const enum rte_flow_error_type types[] = {RTE_FLOW_ERROR_TYPE_ATTR_INGRESS,
							 RTE_FLOW_ERROR_TYPE_ATTR_EGRESS,
							 RTE_FLOW_ERROR_TYPE_ATTR_TRANSFER};

	for (unsigned int i = 0; i < RTE_DIM(types); i++) {
		assert_null(rte_flow_pattern_template_create(ports[UPLINK], &patterns[i],
							     PATTERN(ITEM(ETH)), &refusal));
		assert_int_equal(refusal.type, types[i]);
		assert_null(rte_flow_actions_template_create(ports[UPLINK], &actions[i],
							     ACTIONS(ACTION(DROP)),
							     ACTIONS(ACTION(DROP)), &refusal));
		assert_int_equal(refusal.type, types[i]);
	}
}

static void what_templates_cannot_have_is_refused(void **state)
{
	const struct rte_flow_pattern_template_attr pattern_attr = {.transfer = 1};
	const struct rte_flow_actions_template_attr actions_attr = {.transfer = 1};
	const struct rte_flow_item *pattern = PATTERN(ITEM(ETH), ITEM(FUZZY));
	const struct rte_flow_action *actions = ACTIONS(COUNT, ACTION(QUEUE));

	assert_null(
		rte_flow_pattern_template_create(ports[UPLINK], &pattern_attr, pattern, &refusal));
	expect_refusal(ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM);
	assert_ptr_equal(refusal.cause, &pattern[1]);
	assert_null(rte_flow_actions_template_create(ports[UPLINK], &actions_attr, actions, actions,
						     &refusal));
	expect_refusal(ENOTSUP, RTE_FLOW_ERROR_TYPE_ACTION);
	assert_ptr_equal(refusal.cause, &actions[1]);
}

static void what_is_in_use_cannot_be_destroyed(void **state)
{
	struct rte_flow_pattern_template *pattern = pattern_template();
	struct rte_flow_actions_template *actions = forward_template();
	struct rte_flow_template_table *table = make_table(&pattern, 1, &actions, 1, 8);
	struct rte_flow *rule = create(table, 1, ports[1]);

	assert_int_equal(rte_flow_pattern_template_destroy(ports[UPLINK], pattern, &refusal),
			 -EBUSY);
	assert_int_equal(rte_flow_actions_template_destroy(ports[UPLINK], actions, &refusal),
			 -EBUSY);
	assert_int_equal(rte_flow_template_table_destroy(ports[UPLINK], table, &refusal), -EBUSY);
	destroy(rule);
	assert_int_equal(rte_flow_pattern_template_destroy(ports[UPLINK], pattern, &refusal),
			 -EBUSY);
	assert_int_equal(rte_flow_template_table_destroy(ports[UPLINK], table, &refusal), 0);
	assert_int_equal(rte_flow_pattern_template_destroy(ports[UPLINK], pattern, &refusal), 0);
	assert_int_equal(rte_flow_actions_template_destroy(ports[UPLINK], actions, &refusal), 0);
}

static void a_template_keeps_what_it_was_made_of(void **state)
{
	const struct rte_flow_pattern_template_attr attr = {.transfer = 1};
	struct rte_flow_item_eth *mask = malloc(sizeof(*mask));
	struct rte_flow_item *items = malloc(3 * sizeof(*items));
	struct rte_flow_action_ethdev *to = malloc(sizeof(*to)), *whole = malloc(sizeof(*whole));
	struct rte_flow_pattern_template *pattern;
	struct rte_flow_actions_template *actions;
	struct rte_flow_template_table *table;

	begin_traffic();
	*mask = source_mask;
	items[0] = ITEM(REPRESENTED_PORT, .mask = &any_port);
	items[1] = ITEM(ETH, .mask = mask);
	items[2] = ITEM(END);
	to->port_id = ports[2];
	whole->port_id = UINT16_MAX;
	pattern = rte_flow_pattern_template_create(ports[UPLINK], &attr, items, &refusal);
	actions = actions_template(ACTIONS(COUNT, ACTION(REPRESENTED_PORT, .conf = to)),
				   ACTIONS(COUNT, ACTION(REPRESENTED_PORT, .conf = whole)));
	memset(mask, 0, sizeof(*mask));
	free(mask);
	free(items);
	free(to);
	free(whole);
	table = make_table(&pattern, 1, &actions, 1, 8);
	create(table, 1, ports[3]); // the template knows better
	send_numbered(1);
	expect_at_function(2, 1);
	send_numbered(2);
	expect_at_port(0, 2);
	end_traffic();
}

static void tables_that_make_no_sense_are_refused(void **state)
{
	struct rte_flow_pattern_template *patterns[FLOW_TABLE_TEMPLATES_MAX + 1];
	struct rte_flow_actions_template *actions[] = {forward_template()};
	const struct {
		struct rte_flow_template_table_attr attr;
		uint8_t patterns, actions;
		int code;
		enum rte_flow_error_type type;
	} cases[] = {
		{{.flow_attr = transfer}, 1, 1, EINVAL, RTE_FLOW_ERROR_TYPE_ATTR},
		{{.flow_attr = transfer, .nb_flows = UINT32_MAX},
		 1,
		 1,
		 ENOTSUP,
		 RTE_FLOW_ERROR_TYPE_ATTR},
		{{.flow_attr = transfer, .nb_flows = 8}, 0, 1, EINVAL, RTE_FLOW_ERROR_TYPE_ATTR},
		{{.flow_attr = transfer, .nb_flows = 8}, 1, 0, EINVAL, RTE_FLOW_ERROR_TYPE_ATTR},
		{{.flow_attr = transfer, .nb_flows = 8},
		 FLOW_TABLE_TEMPLATES_MAX + 1,
		 1,
		 ENOTSUP,
		 RTE_FLOW_ERROR_TYPE_ATTR},
		{{.flow_attr = {.ingress = 1}, .nb_flows = 8},
		 1,
		 1,
		 ENOTSUP,
		 RTE_FLOW_ERROR_TYPE_ATTR_INGRESS},
		{{.flow_attr = {.transfer = 1, .group = 1 << 20}, .nb_flows = 8},
		 1,
		 1,
		 ENOTSUP,
		 RTE_FLOW_ERROR_TYPE_ATTR_GROUP},
	};

	for (unsigned int i = 0; i < RTE_DIM(patterns); i++)
		patterns[i] = pattern_template();
	for (unsigned int i = 0; i < RTE_DIM(cases); i++) {
		assert_null(rte_flow_template_table_create(ports[UPLINK], &cases[i].attr, patterns,
							   cases[i].patterns, actions,
							   cases[i].actions, &refusal));
		expect_refusal(cases[i].code, cases[i].type);
	}
	// None of them uses a template.
	assert_int_equal(rte_flow_pattern_template_destroy(ports[UPLINK], patterns[0], &refusal),
			 0);
}

static void a_table_has_no_more_rules_than_it_was_made_for(void **state)
{
	struct rte_flow_template_table *table = forward_table(3);
	struct rte_flow *rules[3];

	for (uint32_t i = 0; i < 3; i++)
		rules[i] = create(table, i, ports[1]);
	for (unsigned int i = 0; i < 2; i++) {
		assert_null(enqueue(0, &now, table, 3, ports[1]));
		expect_refusal(ENOSPC, RTE_FLOW_ERROR_TYPE_UNSPECIFIED);
	}
	expect_no_result(0);
	destroy(rules[1]);
	rules[1] = create(table, 3, ports[1]);
	assert_null(enqueue(0, &now, table, 1, ports[1]));
}

static void a_table_has_rules_of_all_its_templates(void **state)
{
	const struct rte_flow_pattern_template_attr attr = {.transfer = 1};
	const struct rte_flow_item_eth type = {.hdr.ether_type = UINT16_MAX};
	const struct rte_flow_item_eth ours = {.hdr.ether_type = RTE_BE16(0x88b5)};
	const struct rte_flow_action_set_mac mac = {{2, 1, 1, 1, 1, 1}}, mask = {{1}};
	const struct rte_flow_item_eth from_1 = {.hdr.src_addr = address(1)};
	struct rte_flow_pattern_template *patterns[2] = {pattern_template()};
	struct rte_flow_actions_template *actions[2] = {forward_template()};
	struct rte_flow_template_table *table;
	struct rte_flow *rules[2];
	uint8_t frame[300];

	begin_traffic();
	patterns[1] = rte_flow_pattern_template_create(
		ports[UPLINK], &attr,
		PATTERN(ITEM(REPRESENTED_PORT, .mask = &any_port), ITEM(ETH, .mask = &type)),
		&refusal);
	actions[1] = actions_template(
		ACTIONS(ACTION(SET_MAC_DST, .conf = &mac), ACTION(REPRESENTED_PORT)),
		ACTIONS(ACTION(SET_MAC_DST, .conf = &mask), ACTION(REPRESENTED_PORT)));
	table = make_table(patterns, 2, actions, 2, 8);
	rules[0] = rte_flow_async_create(
		ports[UPLINK], 0, &now, table, PATTERN(FROM(ports[0]), ITEM(ETH, .spec = &from_1)),
		0, ACTIONS(ACTION(SET_MAC_DST), TO(ports[1])), 1, NULL, &refusal);
	rules[1] = rte_flow_async_create(ports[UPLINK], 0, &now, table,
					 PATTERN(FROM(ports[2]), ITEM(ETH, .spec = &ours)), 1,
					 ACTIONS(COUNT, TO(ports[3])), 0, NULL, &refusal);
	assert_non_null(rules[0]);
	assert_non_null(rules[1]);
	expect_result(0, RTE_FLOW_OP_SUCCESS, 0);
	expect_result(0, RTE_FLOW_OP_SUCCESS, 0);
	send_numbered(1);
	WAIT_FOR(read_ours(sockets[1], frame, sizeof(frame)) == 100);
	assert_memory_equal(frame, &mac, sizeof(mac));
	assert_int_equal(send(sockets[2], frame, make_frame(frame, 100, 5), 0), 100);
	WAIT_FOR(read_ours(sockets[3], frame, sizeof(frame)) == 100);
	assert_int_equal(rule_count(ports[UPLINK], rules[1], false).hits, 1);
	end_traffic();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		QUEUE_TEST(what_is_asked_for_is_within_what_there_is),
		QUEUE_TEST(an_engine_in_use_is_not_configured_anew),
		QUEUE_TEST(templates_are_for_transfer_rules),
		QUEUE_TEST(what_templates_cannot_have_is_refused),
		QUEUE_TEST(what_is_in_use_cannot_be_destroyed),
		QUEUE_TEST(a_template_keeps_what_it_was_made_of),
		QUEUE_TEST(tables_that_make_no_sense_are_refused),
		QUEUE_TEST(a_table_has_no_more_rules_than_it_was_made_for),
		QUEUE_TEST(a_table_has_rules_of_all_its_templates),
	};

	return device_tests_run(tests, RTE_DIM(tests));
}
