// SPDX-License-Identifier: BSD-3-Clause
//
// See test_queue.h.

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sim/simnic/test_queue.h"

struct rte_flow_error refusal;
const struct rte_flow_op_attr now = {0}, postponed = {.postpone = 1};
const struct rte_flow_attr transfer = {.transfer = 1};
const struct rte_flow_item_ethdev any_port = {UINT16_MAX};
const struct rte_flow_item_eth source_mask = {
	.hdr.src_addr = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}};
int sockets[PORTS];

// ---- templates, tables ----------------------------------------------------------------------------------

int configure_queues(uint16_t port, uint16_t queues, uint32_t size)
{
	const struct rte_flow_queue_attr attr = {.size = size};
	const struct rte_flow_queue_attr *attrs[FLOW_QUEUES_MAX + 1];

	for (unsigned int i = 0; i < RTE_DIM(attrs); i++)
		attrs[i] = &attr;
	return rte_flow_configure(port, &(struct rte_flow_port_attr){.nb_counters = 1000}, queues,
				  attrs, &refusal);
}

int begin_queues(void **state)
{
	const struct rte_eth_conf config = {0};

	probe(state);
	assert_int_equal(rte_eth_dev_configure(ports[UPLINK], 1, 1, &config), 0);
	assert_int_equal(configure_queues(ports[UPLINK], QUEUES, QUEUE_SIZE), 0);
	return 0;
}

struct rte_flow_pattern_template *pattern_template(void)
{
	const struct rte_flow_pattern_template_attr attr = {.transfer = 1};
	struct rte_flow_pattern_template *template = rte_flow_pattern_template_create(
		ports[UPLINK], &attr,
		PATTERN(ITEM(REPRESENTED_PORT, .mask = &any_port), ITEM(ETH, .mask = &source_mask)),
		&refusal);

	if (template == NULL)
		fail_msg("%s", refusal.message);
	return template;
}

struct rte_flow_actions_template *actions_template(const struct rte_flow_action *actions,
						   const struct rte_flow_action *masks)
{
	const struct rte_flow_actions_template_attr attr = {.transfer = 1};
	struct rte_flow_actions_template *template =
		rte_flow_actions_template_create(ports[UPLINK], &attr, actions, masks, &refusal);

	if (template == NULL)
		fail_msg("%s", refusal.message);
	return template;
}

struct rte_flow_actions_template *forward_template(void)
{
	return actions_template(ACTIONS(COUNT, ACTION(REPRESENTED_PORT)),
				ACTIONS(COUNT, ACTION(REPRESENTED_PORT)));
}

struct rte_flow_template_table *make_table(struct rte_flow_pattern_template *patterns[],
					   uint8_t pattern_count,
					   struct rte_flow_actions_template *actions[],
					   uint8_t actions_count, uint32_t size)
{
	const struct rte_flow_template_table_attr attr = {.flow_attr = transfer, .nb_flows = size};
	struct rte_flow_template_table *table = rte_flow_template_table_create(
		ports[UPLINK], &attr, patterns, pattern_count, actions, actions_count, &refusal);

	if (table == NULL)
		fail_msg("%s", refusal.message);
	return table;
}

struct rte_flow_template_table *forward_table(uint32_t size)
{
	struct rte_flow_pattern_template *pattern = pattern_template();
	struct rte_flow_actions_template *actions = forward_template();

	return make_table(&pattern, 1, &actions, 1, size);
}

// ---- operations -----------------------------------------------------------------------------------------

struct rte_ether_addr address(uint32_t number)
{
	return (struct rte_ether_addr){
		{0x02, 0, number >> 24, number >> 16 & 0xff, number >> 8 & 0xff, number & 0xff}};
}

struct rte_flow *enqueue(uint32_t queue, const struct rte_flow_op_attr *attr,
			 struct rte_flow_template_table *table, uint32_t number, uint16_t to)
{
	const struct rte_flow_item_eth source = {.hdr.src_addr = address(number)};

	return rte_flow_async_create(ports[UPLINK], queue, attr, table,
				     PATTERN(FROM(ports[0]), ITEM(ETH, .spec = &source)), 0,
				     ACTIONS(COUNT, TO(to)), 0, (void *)(uintptr_t)number,
				     &refusal);
}

void push(uint32_t queue)
{
	assert_int_equal(rte_flow_push(ports[UPLINK], queue, &refusal), 0);
}

void expect_result(uint32_t queue, enum rte_flow_op_status status, uintptr_t user_data)
{
	struct rte_flow_op_result result;

	assert_int_equal(rte_flow_pull(ports[UPLINK], queue, &result, 1, &refusal), 1);
	assert_int_equal(result.status, status);
	assert_int_equal((uintptr_t)result.user_data, user_data);
}

void expect_no_result(uint32_t queue)
{
	struct rte_flow_op_result result;

	assert_int_equal(rte_flow_pull(ports[UPLINK], queue, &result, 1, &refusal), 0);
}

struct rte_flow *create(struct rte_flow_template_table *table, uint32_t number, uint16_t to)
{
	struct rte_flow *rule = enqueue(0, &now, table, number, to);

	if (rule == NULL)
		fail_msg("%s", refusal.message);
	expect_result(0, RTE_FLOW_OP_SUCCESS, number);
	return rule;
}

void destroy(struct rte_flow *rule)
{
	assert_int_equal(rte_flow_async_destroy(ports[UPLINK], 0, &now, rule, NULL, &refusal), 0);
	expect_result(0, RTE_FLOW_OP_SUCCESS, 0);
}

void expect_refusal(int code, enum rte_flow_error_type type)
{
	assert_int_equal(rte_errno, code);
	assert_int_equal(refusal.type, type);
	assert_non_null(refusal.message);
}

// ---- frames ---------------------------------------------------------------------------------------------

void begin_traffic(void)
{
	start_all(PORT_PLAIN);
	all_up();
	for (unsigned int i = 0; i < PORTS; i++)
		sockets[i] = netns_packet_socket(0, netdevs[i]);
}

void end_traffic(void)
{
	for (unsigned int i = 0; i < PORTS; i++)
		close(sockets[i]);
}

void send_numbered(uint32_t number)
{
	const struct rte_ether_addr source = address(number);
	uint8_t frame[100];

	make_frame(frame, sizeof(frame), number);
	memcpy(frame + 6, &source, sizeof(source));
	assert_int_equal(send(sockets[0], frame, sizeof(frame), 0), sizeof(frame));
}

void expect_at_function(unsigned int at, uint32_t number)
{
	const struct rte_ether_addr source = address(number);
	uint8_t frame[300];

	WAIT_FOR(read_ours(sockets[at], frame, sizeof(frame)) == 100);
	assert_memory_equal(frame + 6, &source, sizeof(source));
}

void expect_at_port(unsigned int at, uint32_t number)
{
	const struct rte_ether_addr source = address(number);
	struct rte_mbuf *mbuf = receive_ours(ports[at]);

	assert_memory_equal(rte_pktmbuf_mtod_offset(mbuf, void *, 6), &source, sizeof(source));
	rte_pktmbuf_free(mbuf);
}
