// SPDX-License-Identifier: BSD-3-Clause
//
// Rules by templates and queues, as an application makes them: in bulk, with mistakes, and with frames to see them by.

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_mtr.h>

#include "sim/simnic/flow_async.h"
#include "sim/simnic/test_device.h"
#include "sim/simnic/test_flow.h"

enum { QUEUES = 2, QUEUE_SIZE = 256 };

static struct rte_flow_error error;
static const struct rte_flow_op_attr now = {0}, postponed = {.postpone = 1};
static const struct rte_flow_attr transfer = {.transfer = 1};

// ---- what the tests make --------------------------------------------------------------------------------

static int configure(uint16_t port, uint16_t queues, uint32_t size)
{
	const struct rte_flow_queue_attr attr = {.size = size};
	const struct rte_flow_queue_attr *attrs[FLOW_QUEUES_MAX + 1];

	for (unsigned int i = 0; i < RTE_DIM(attrs); i++)
		attrs[i] = &attr;
	return rte_flow_configure(port, &(struct rte_flow_port_attr){.nb_counters = 1000}, queues,
				  attrs, &error);
}

// All ports configured, the uplink with queues.
static int begin(void **state)
{
	const struct rte_eth_conf config = {0};

	probe(state);
	assert_int_equal(rte_eth_dev_configure(ports[UPLINK], 1, 1, &config), 0);
	assert_int_equal(configure(ports[UPLINK], QUEUES, QUEUE_SIZE), 0);
	return 0;
}
#define QUEUE_TEST(name) cmocka_unit_test_setup_teardown(name, begin, remove_device)

// A frame of a function, with a number in its source address.
static const struct rte_flow_item_ethdev any_port = {UINT16_MAX};
static const struct rte_flow_item_eth source_mask = {
	.hdr.src_addr = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}};

static struct rte_flow_pattern_template *pattern_template(void)
{
	const struct rte_flow_pattern_template_attr attr = {.transfer = 1};
	struct rte_flow_pattern_template *template = rte_flow_pattern_template_create(
		ports[UPLINK], &attr,
		PATTERN(ITEM(REPRESENTED_PORT, .mask = &any_port), ITEM(ETH, .mask = &source_mask)),
		&error);

	if (template == NULL)
		fail_msg("%s", error.message);
	return template;
}

static struct rte_flow_actions_template *actions_template(const struct rte_flow_action *actions,
							  const struct rte_flow_action *masks)
{
	const struct rte_flow_actions_template_attr attr = {.transfer = 1};
	struct rte_flow_actions_template *template =
		rte_flow_actions_template_create(ports[UPLINK], &attr, actions, masks, &error);

	if (template == NULL)
		fail_msg("%s", error.message);
	return template;
}

// Count, and on to where the rule says.
static struct rte_flow_actions_template *forward_template(void)
{
	return actions_template(ACTIONS(COUNT, ACTION(REPRESENTED_PORT)),
				ACTIONS(COUNT, ACTION(REPRESENTED_PORT)));
}

static struct rte_flow_template_table *make_table(struct rte_flow_pattern_template *patterns[],
						  uint8_t pattern_count,
						  struct rte_flow_actions_template *actions[],
						  uint8_t actions_count, uint32_t size)
{
	const struct rte_flow_template_table_attr attr = {.flow_attr = transfer, .nb_flows = size};
	struct rte_flow_template_table *table = rte_flow_template_table_create(
		ports[UPLINK], &attr, patterns, pattern_count, actions, actions_count, &error);

	if (table == NULL)
		fail_msg("%s", error.message);
	return table;
}

// Rules by source address, which count and send on.
static struct rte_flow_template_table *forward_table(uint32_t size)
{
	struct rte_flow_pattern_template *pattern = pattern_template();
	struct rte_flow_actions_template *actions = forward_template();

	return make_table(&pattern, 1, &actions, 1, size);
}

static struct rte_ether_addr address(uint32_t number)
{
	return (struct rte_ether_addr){
		{0x02, 0, number >> 24, number >> 16 & 0xff, number >> 8 & 0xff, number & 0xff}};
}

// Enqueue a rule of forward_table(): frames of VF 0 with this source go to `to`.
static struct rte_flow *enqueue(uint32_t queue, const struct rte_flow_op_attr *attr,
				struct rte_flow_template_table *table, uint32_t number, uint16_t to)
{
	const struct rte_flow_item_eth source = {.hdr.src_addr = address(number)};

	return rte_flow_async_create(ports[UPLINK], queue, attr, table,
				     PATTERN(FROM(ports[0]), ITEM(ETH, .spec = &source)), 0,
				     ACTIONS(COUNT, TO(to)), 0, (void *)(uintptr_t)number, &error);
}

static void push(uint32_t queue)
{
	assert_int_equal(rte_flow_push(ports[UPLINK], queue, &error), 0);
}

// One result, which must be there.
static void expect_result(uint32_t queue, enum rte_flow_op_status status, uintptr_t user_data)
{
	struct rte_flow_op_result result;

	assert_int_equal(rte_flow_pull(ports[UPLINK], queue, &result, 1, &error), 1);
	assert_int_equal(result.status, status);
	assert_int_equal((uintptr_t)result.user_data, user_data);
}

static void expect_no_result(uint32_t queue)
{
	struct rte_flow_op_result result;

	assert_int_equal(rte_flow_pull(ports[UPLINK], queue, &result, 1, &error), 0);
}

// In force, and its result taken.
static struct rte_flow *create(struct rte_flow_template_table *table, uint32_t number, uint16_t to)
{
	struct rte_flow *rule = enqueue(0, &now, table, number, to);

	if (rule == NULL)
		fail_msg("%s", error.message);
	expect_result(0, RTE_FLOW_OP_SUCCESS, number);
	return rule;
}

static void destroy(struct rte_flow *rule)
{
	assert_int_equal(rte_flow_async_destroy(ports[UPLINK], 0, &now, rule, NULL, &error), 0);
	expect_result(0, RTE_FLOW_OP_SUCCESS, 0);
}

static void expect_refusal(int code, enum rte_flow_error_type type)
{
	assert_int_equal(rte_errno, code);
	assert_int_equal(error.type, type);
	assert_non_null(error.message);
}

// ---- frames ---------------------------------------------------------------------------------------------

static int sockets[PORTS];

static void begin_traffic(void)
{
	start_all(PORT_PLAIN);
	all_up();
	for (unsigned int i = 0; i < PORTS; i++)
		sockets[i] = netns_packet_socket(0, netdevs[i]);
}

static void end_traffic(void)
{
	for (unsigned int i = 0; i < PORTS; i++)
		close(sockets[i]);
}

static void send_numbered(uint32_t number)
{
	const struct rte_ether_addr source = address(number);
	uint8_t frame[100];

	make_frame(frame, sizeof(frame), number);
	memcpy(frame + 6, &source, sizeof(source));
	assert_int_equal(send(sockets[0], frame, sizeof(frame), 0), sizeof(frame));
}

static void expect_at_function(unsigned int at, uint32_t number)
{
	const struct rte_ether_addr source = address(number);
	uint8_t frame[300];

	WAIT_FOR(read_ours(sockets[at], frame, sizeof(frame)) == 100);
	assert_memory_equal(frame + 6, &source, sizeof(source));
}

static void expect_at_port(unsigned int at, uint32_t number)
{
	const struct rte_ether_addr source = address(number);
	struct rte_mbuf *mbuf = receive_ours(ports[at]);

	assert_memory_equal(rte_pktmbuf_mtod_offset(mbuf, void *, 6), &source, sizeof(source));
	rte_pktmbuf_free(mbuf);
}

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
	assert_int_equal(rte_flow_info_get(port, &port_info, &queue_info, &error), 0);
	assert_true(port_info.max_nb_queues >= 16 && queue_info.max_size >= 1024);
	assert_true(port_info.max_nb_counters >= 100000);
	assert_int_equal(port_info.max_nb_conn_tracks, 0);
	assert_int_equal(port_info.supported_flags, 0);
	assert_int_equal(configure(port, port_info.max_nb_queues + 1, 8), -EINVAL);
	assert_int_equal(configure(port, 1, queue_info.max_size + 1), -EINVAL);
	assert_int_equal(rte_flow_configure(port, &attr, 2, sizes, &error), -EINVAL);
	attr.nb_conn_tracks = 1;
	assert_int_equal(rte_flow_configure(port, &attr, 1, sizes, &error), -EINVAL);
	attr = (struct rte_flow_port_attr){.flags = RTE_FLOW_PORT_FLAG_STRICT_QUEUE};
	assert_int_equal(rte_flow_configure(port, &attr, 1, sizes, &error), -ENOTSUP);
	// Nothing of it has counted.
	assert_int_equal(rte_flow_push(port, 0, &error), -EINVAL);
	attr = (struct rte_flow_port_attr){0};
	assert_int_equal(rte_flow_configure(port, &attr, 1, sizes, &error), 0);
	assert_int_equal(rte_flow_push(port, 0, &error), 0);
	assert_int_equal(rte_flow_push(port, 1, &error), -EINVAL);
	assert_int_equal(configure(port, port_info.max_nb_queues, queue_info.max_size), 0);
	assert_int_equal(rte_flow_push(port, port_info.max_nb_queues - 1, &error), 0);
}

static void an_engine_in_use_is_not_configured_anew(void **state)
{
	struct rte_flow_pattern_template *template = pattern_template();

	assert_int_equal(configure(ports[UPLINK], 1, 8), -EBUSY);
	assert_int_equal(rte_flow_pattern_template_destroy(ports[UPLINK], template, &error), 0);
	assert_int_equal(configure(ports[UPLINK], 1, 8), 0);
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
							     PATTERN(ITEM(ETH)), &error));
		assert_int_equal(error.type, types[i]);
		assert_null(rte_flow_actions_template_create(ports[UPLINK], &actions[i],
							     ACTIONS(ACTION(DROP)),
							     ACTIONS(ACTION(DROP)), &error));
		assert_int_equal(error.type, types[i]);
	}
}

static void what_templates_cannot_have_is_refused(void **state)
{
	const struct rte_flow_pattern_template_attr pattern_attr = {.transfer = 1};
	const struct rte_flow_actions_template_attr actions_attr = {.transfer = 1};
	const struct rte_flow_item *pattern = PATTERN(ITEM(ETH), ITEM(FUZZY));
	const struct rte_flow_action *actions = ACTIONS(COUNT, ACTION(QUEUE));

	assert_null(
		rte_flow_pattern_template_create(ports[UPLINK], &pattern_attr, pattern, &error));
	expect_refusal(ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM);
	assert_ptr_equal(error.cause, &pattern[1]);
	assert_null(rte_flow_actions_template_create(ports[UPLINK], &actions_attr, actions, actions,
						     &error));
	expect_refusal(ENOTSUP, RTE_FLOW_ERROR_TYPE_ACTION);
	assert_ptr_equal(error.cause, &actions[1]);
}

static void what_is_in_use_cannot_be_destroyed(void **state)
{
	struct rte_flow_pattern_template *pattern = pattern_template();
	struct rte_flow_actions_template *actions = forward_template();
	struct rte_flow_template_table *table = make_table(&pattern, 1, &actions, 1, 8);
	struct rte_flow *rule = create(table, 1, ports[1]);

	assert_int_equal(rte_flow_pattern_template_destroy(ports[UPLINK], pattern, &error), -EBUSY);
	assert_int_equal(rte_flow_actions_template_destroy(ports[UPLINK], actions, &error), -EBUSY);
	assert_int_equal(rte_flow_template_table_destroy(ports[UPLINK], table, &error), -EBUSY);
	destroy(rule);
	assert_int_equal(rte_flow_pattern_template_destroy(ports[UPLINK], pattern, &error), -EBUSY);
	assert_int_equal(rte_flow_template_table_destroy(ports[UPLINK], table, &error), 0);
	assert_int_equal(rte_flow_pattern_template_destroy(ports[UPLINK], pattern, &error), 0);
	assert_int_equal(rte_flow_actions_template_destroy(ports[UPLINK], actions, &error), 0);
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
	pattern = rte_flow_pattern_template_create(ports[UPLINK], &attr, items, &error);
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
							   cases[i].actions, &error));
		expect_refusal(cases[i].code, cases[i].type);
	}
	// None of them uses a template.
	assert_int_equal(rte_flow_pattern_template_destroy(ports[UPLINK], patterns[0], &error), 0);
}

// ---- queues ---------------------------------------------------------------------------------------------

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

	assert_int_equal(rte_flow_async_destroy(ports[UPLINK], 0, &postponed, rule, NULL, &error),
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
		assert_int_equal(rte_flow_pull(ports[UPLINK], 1, results, QUEUE_SIZE, &error),
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
							NULL, &error),
				 0);
		if (gone % QUEUE_SIZE == QUEUE_SIZE - 1 || gone == RULES - 1) {
			push(1);
			assert_int_equal(
				rte_flow_pull(ports[UPLINK], 1, results, QUEUE_SIZE, &error),
				gone % QUEUE_SIZE + 1);
		}
	}
	send_numbered(499);
	expect_at_port(0, 499);
	assert_int_equal(rte_flow_template_table_destroy(ports[UPLINK], table, &error), 0);
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
		assert_int_equal(rte_flow_template_table_destroy(ports[UPLINK], table, &error),
				 -EBUSY);
		destroy(rules[i]);
	}
	assert_int_equal(rte_flow_template_table_destroy(ports[UPLINK], table, &error), 0);
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
						(void *)(uintptr_t)2, &error),
			 0);
	rules[2] = enqueue(0, &postponed, table, 3, ports[1]);
	assert_non_null(rules[2]);
	push(0);
	for (uint32_t i = 2; i <= 3; i++)
		expect_result(0, RTE_FLOW_OP_SUCCESS, i);
	telemetry_ask("/simnic/fault," DEVICE ",clear");
	for (uint32_t i = 0; i < 3; i++)
		destroy(rules[i]);
	assert_int_equal(rte_flow_template_table_destroy(ports[UPLINK], table, &error), 0);
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
	assert_int_equal(rte_flow_async_destroy(ports[UPLINK], 0, &now, rule, NULL, &error),
			 -EAGAIN);
	assert_non_null(enqueue(1, &postponed, table, QUEUE_SIZE, ports[1])); // another one's
	push(0);
	assert_null(enqueue(0, &now, table, QUEUE_SIZE + 1, ports[1])); // results are there still
	expect_refusal(EAGAIN, RTE_FLOW_ERROR_TYPE_UNSPECIFIED);
	assert_int_equal(rte_flow_pull(ports[UPLINK], 0, results, 2, &error), 2);
	assert_non_null(enqueue(0, &postponed, table, QUEUE_SIZE + 1, ports[1]));
	assert_int_equal(rte_flow_async_destroy(ports[UPLINK], 0, &now, rule, NULL, &error), 0);
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
						  &error));
		expect_refusal(cases[i].code, cases[i].type);
		assert_ptr_equal(error.cause, cases[i].cause);
		expect_no_result(0);
	}
	// Nothing of it counts for the table.
	assert_int_equal(__atomic_load_n(&table->rules, __ATOMIC_RELAXED), 0);

	rule = enqueue(0, &now, table, 1, ports[1]);
	assert_int_equal(rte_flow_async_destroy(ports[UPLINK], 0, &now, rule, NULL, &error),
			 -EBUSY);
	expect_result(0, RTE_FLOW_OP_SUCCESS, 1);
	assert_int_equal(rte_flow_async_destroy(ports[UPLINK], 1, &now, rule, NULL, &error),
			 -EINVAL);
	assert_int_equal(rte_flow_destroy(ports[UPLINK], rule, &error), -EINVAL);
	assert_int_equal(rte_flow_async_destroy(ports[UPLINK], 0, &postponed, rule, NULL, &error),
			 0);
	assert_int_equal(rte_flow_async_destroy(ports[UPLINK], 0, &now, rule, NULL, &error),
			 -EBUSY);
	other = rule_of(ports[UPLINK], PATTERN(FROM(ports[3])), ACTIONS(ACTION(DROP)));
	assert_int_equal(rte_flow_async_destroy(ports[UPLINK], 0, &now, other, NULL, &error),
			 -EINVAL);
	expect_refusal(EINVAL, RTE_FLOW_ERROR_TYPE_HANDLE);
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
		&error);
	actions[1] = actions_template(
		ACTIONS(ACTION(SET_MAC_DST, .conf = &mac), ACTION(REPRESENTED_PORT)),
		ACTIONS(ACTION(SET_MAC_DST, .conf = &mask), ACTION(REPRESENTED_PORT)));
	table = make_table(patterns, 2, actions, 2, 8);
	rules[0] = rte_flow_async_create(
		ports[UPLINK], 0, &now, table, PATTERN(FROM(ports[0]), ITEM(ETH, .spec = &from_1)),
		0, ACTIONS(ACTION(SET_MAC_DST), TO(ports[1])), 1, NULL, &error);
	rules[1] = rte_flow_async_create(ports[UPLINK], 0, &now, table,
					 PATTERN(FROM(ports[2]), ITEM(ETH, .spec = &ours)), 1,
					 ACTIONS(COUNT, TO(ports[3])), 0, NULL, &error);
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

static void slow_inserts_have_their_results_later(void **state)
{
	struct rte_flow_template_table *table = forward_table(8);
	struct rte_flow_op_result results[4];
	uint64_t begun;
	unsigned int count = 0;

	telemetry_ask("/simnic/fault," DEVICE ",insert_us=30000");
	begun = now_ms();
	for (uint32_t i = 0; i < 3; i++)
		assert_non_null(enqueue(0, &postponed, table, i, ports[1]));
	push(0);
	assert_true(now_ms() - begun < 30); // who pushes does not wait
	WAIT_FOR((count += rte_flow_pull(ports[UPLINK], 0, results, 4, &error)) >= 1);
	assert_true(now_ms() - begun >= 29);
	WAIT_FOR((count += rte_flow_pull(ports[UPLINK], 0, results, 4, &error)) == 3);
	assert_true(now_ms() - begun >= 89);
}

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
						   0, (void *)7, &error),
			 0);
	assert_int_equal(flow_async_actions_update(dev, 0, &now, rule, ACTIONS(COUNT, TO(ports[3])),
						   0, NULL, &error),
			 -EBUSY);
	expect_result(0, RTE_FLOW_OP_SUCCESS, 7);
	send_numbered(1);
	expect_at_function(2, 1);
	assert_int_equal(rule_count(ports[UPLINK], rule, false).hits, 2); // it counts on
	assert_int_equal(
		flow_async_actions_update(dev, 0, &now, rule, ACTIONS(COUNT), 0, NULL, &error),
		-EINVAL);
	// A reset takes it out of force; then there is nothing to change, but it can be destroyed.
	telemetry_ask("/simnic/fault," DEVICE ",function_reset=1,function_reset=0");
	assert_int_equal(flow_async_actions_update(dev, 0, &now, rule, ACTIONS(COUNT, TO(ports[3])),
						   0, NULL, &error),
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
						     (void *)1, &error);
	assert_non_null(handle);
	expect_result(0, RTE_FLOW_OP_SUCCESS, 1);
	for (uint32_t i = 0; i < 2; i++) {
		const struct rte_flow_item_eth source = {.hdr.src_addr = address(i)};

		rules[i] = rte_flow_async_create(
			ports[UPLINK], 0, &now, table,
			PATTERN(FROM(ports[0]), ITEM(ETH, .spec = &source)), 0,
			ACTIONS(ACTION(INDIRECT, .conf = handle), TO(ports[1])), 0, NULL, &error);
		assert_non_null(rules[i]);
		expect_result(0, RTE_FLOW_OP_SUCCESS, 0);
		send_numbered(i);
		expect_at_function(1, i);
	}
	assert_int_equal(rte_flow_async_action_handle_query(ports[UPLINK], 0, &now, handle, &answer,
							    (void *)2, &error),
			 0);
	expect_result(0, RTE_FLOW_OP_SUCCESS, 2);
	assert_int_equal(answer.hits, 2);
	// A counter has nothing to update; what is refused leaves no result.
	assert_true(rte_flow_async_action_handle_update(ports[UPLINK], 0, &now, handle, &count,
							NULL, &error) < 0);
	expect_no_result(0);
	for (uint32_t i = 0; i < 2; i++)
		destroy(rules[i]);
	assert_int_equal(rte_flow_async_action_handle_destroy(ports[UPLINK], 0, &now, handle,
							      (void *)3, &error),
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
		ACTIONS(ACTION(METER, .conf = &whole), ACTION(DROP)), &error));
	expect_refusal(EINVAL, RTE_FLOW_ERROR_TYPE_ACTION_CONF);
	assert_ptr_equal(error.cause, &constant[0]);
	rule = rte_flow_async_create(ports[UPLINK], 0, &now, table, items, 0,
				     ACTIONS(ACTION(METER, .conf = DO(meter, 5)), ACTION(DROP)), 0,
				     NULL, &error);
	assert_non_null(rule);
	expect_result(0, RTE_FLOW_OP_SUCCESS, 0);
	assert_null(rte_flow_async_create(
		ports[UPLINK], 0, &now, table, items, 0,
		ACTIONS(ACTION(METER, .conf = DO(meter, 5)), ACTION(DROP)), 0, NULL, &error));
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
			ACTIONS(ACTION(AGE, .conf = &age), ACTION(DROP)), 0, NULL, &error);
		assert_non_null(rules[i]);
		expect_result(0, RTE_FLOW_OP_SUCCESS, 0);
	}
	// The second is changed to one that does not age.
	assert_int_equal(flow_async_actions_update(&rte_eth_devices[ports[UPLINK]], 0, &now,
						   rules[1], ACTIONS(ACTION(DROP)), 1, NULL,
						   &error),
			 0);
	expect_result(0, RTE_FLOW_OP_SUCCESS, 0);
	WAIT_FOR(rte_flow_get_q_aged_flows(ports[UPLINK], 0, NULL, 0, &error) == 1);
	assert_int_equal(rte_flow_get_q_aged_flows(ports[UPLINK], 0, contexts, 8, &error), 1);
	assert_ptr_equal(contexts[0], rules[0]);
	destroy(rules[0]);
	assert_int_equal(rte_flow_get_aged_flows(ports[UPLINK], contexts, 8, &error), 0);
}

static void a_flush_takes_what_waits_along(void **state)
{
	struct rte_flow_template_table *table = forward_table(8);
	struct rte_flow *rule = create(table, 1, ports[1]);

	assert_non_null(enqueue(0, &now, table, 2, ports[1]));
	assert_non_null(enqueue(0, &postponed, table, 3, ports[1]));
	assert_int_equal(rte_flow_async_destroy(ports[UPLINK], 0, &postponed, rule, NULL, &error),
			 0);
	assert_non_null(enqueue(1, &postponed, table, 4, ports[1]));
	assert_int_equal(rte_flow_flush(ports[UPLINK], &error), 0);
	assert_non_null(strstr(telemetry_ask("/simnic/rules," DEVICE), "\"rules\":0,"));
	expect_result(0, RTE_FLOW_OP_SUCCESS, 2);
	expect_result(0, RTE_FLOW_OP_SUCCESS, 3);
	expect_result(0, RTE_FLOW_OP_SUCCESS, 0);
	expect_result(1, RTE_FLOW_OP_SUCCESS, 4);
	assert_int_equal(rte_flow_template_table_destroy(ports[UPLINK], table, &error), 0);
}

static void a_port_takes_its_queues_with_it(void **state)
{
	struct rte_flow_template_table *table = forward_table(8);
	struct rte_flow *rule = create(table, 1, ports[1]), *other = create(table, 5, ports[1]);

	assert_non_null(enqueue(0, &now, table, 2, ports[1]));
	assert_non_null(enqueue(0, &postponed, table, 3, ports[1]));
	assert_int_equal(rte_flow_async_destroy(ports[UPLINK], 0, &postponed, rule, NULL, &error),
			 0);
	assert_int_equal(flow_async_actions_update(&rte_eth_devices[ports[UPLINK]], 0, &postponed,
						   other, ACTIONS(COUNT, TO(ports[2])), 0, NULL,
						   &error),
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
		QUEUE_TEST(what_is_asked_for_is_within_what_there_is),
		QUEUE_TEST(an_engine_in_use_is_not_configured_anew),
		QUEUE_TEST(templates_are_for_transfer_rules),
		QUEUE_TEST(what_templates_cannot_have_is_refused),
		QUEUE_TEST(what_is_in_use_cannot_be_destroyed),
		QUEUE_TEST(a_template_keeps_what_it_was_made_of),
		QUEUE_TEST(tables_that_make_no_sense_are_refused),
		QUEUE_TEST(a_rule_is_in_force_when_it_was_pushed),
		QUEUE_TEST(thousands_of_rules_come_and_go_in_bulk),
		QUEUE_TEST(an_error_in_a_push_is_that_operations_alone),
		QUEUE_TEST(a_card_that_is_full_says_so_when_a_rule_is_enqueued),
		QUEUE_TEST(a_queue_that_is_full_takes_no_more),
		QUEUE_TEST(a_table_has_no_more_rules_than_it_was_made_for),
		QUEUE_TEST(misuse_is_refused),
		QUEUE_TEST(a_table_has_rules_of_all_its_templates),
		QUEUE_TEST(slow_inserts_have_their_results_later),
		QUEUE_TEST(the_actions_of_a_rule_can_be_changed),
		QUEUE_TEST(indirect_actions_go_by_queues_too),
		QUEUE_TEST(rules_of_queues_hold_their_meters),
		QUEUE_TEST(rules_of_queues_age),
		QUEUE_TEST(a_flush_takes_what_waits_along),
		QUEUE_TEST(a_port_takes_its_queues_with_it),
		QUEUE_TEST(queues_are_used_by_threads_at_once_under_traffic),
	};

	return device_tests_run(tests, RTE_DIM(tests));
}
