// SPDX-License-Identifier: BSD-3-Clause
//
// Ways to write rules, for tests. For one file per program.

#pragma once

#include <rte_errno.h>
#include <rte_flow.h>

#include "sim/simnic/test_support.h"

#define ITEM(kind, ...) ((struct rte_flow_item){.type = RTE_FLOW_ITEM_TYPE_##kind, ##__VA_ARGS__})
#define ACTION(kind, ...)                                                                          \
	((struct rte_flow_action){.type = RTE_FLOW_ACTION_TYPE_##kind, ##__VA_ARGS__})
#define OF(kind, ...)  (&(const struct rte_flow_item_##kind){__VA_ARGS__})
#define HDR(kind, ...) (&(const struct rte_flow_item_##kind){.hdr = {__VA_ARGS__}})
#define DO(kind, ...)  (&(const struct rte_flow_action_##kind){__VA_ARGS__})

#define PATTERN(...) ((const struct rte_flow_item[]){__VA_ARGS__, ITEM(END)})
#define ACTIONS(...) ((const struct rte_flow_action[]){__VA_ARGS__, ACTION(END)})

#define FROM(port)       ITEM(REPRESENTED_PORT, .spec = OF(ethdev, port))
#define SENT_BY(port)    ITEM(PORT_REPRESENTOR, .spec = OF(ethdev, port))
#define TO(port)         ACTION(REPRESENTED_PORT, .conf = DO(ethdev, port))
#define TO_PORT_OF(port) ACTION(PORT_REPRESENTOR, .conf = DO(ethdev, port))
#define JUMP(to)         ACTION(JUMP, .conf = DO(jump, to))
// Frames of make_frame() (test_device.h).
#define OURS                                                                                       \
	ITEM(ETH, .spec = HDR(eth, .ether_type = RTE_BE16(0x88b5)),                                \
	     .mask = HDR(eth, .ether_type = 0xffff))
#define COUNT ACTION(COUNT)

// Make a rule, and fail if that fails.
static inline struct rte_flow *rule_at(uint16_t port, uint32_t group, uint32_t priority,
				       const struct rte_flow_item *pattern,
				       const struct rte_flow_action *actions)
{
	const struct rte_flow_attr attr = {.group = group, .priority = priority, .transfer = 1};
	struct rte_flow_error error = {0};
	struct rte_flow *rule = rte_flow_create(port, &attr, pattern, actions, &error);

	if (rule == NULL)
		fail_msg("refused: %s", error.message);
	return rule;
}

// In group 0, of the best priority.
static inline struct rte_flow *rule_of(uint16_t port, const struct rte_flow_item *pattern,
				       const struct rte_flow_action *actions)
{
	return rule_at(port, 0, 0, pattern, actions);
}

static inline void rule_destroy(uint16_t port, struct rte_flow *rule)
{
	struct rte_flow_error error = {0};

	if (rte_flow_destroy(port, rule, &error) != 0)
		fail_msg("not destroyed: %s", error.message);
}

static inline struct rte_flow_query_count rule_count(uint16_t port, struct rte_flow *rule,
						     bool reset)
{
	struct rte_flow_query_count count = {.reset = reset};
	struct rte_flow_error error = {0};

	if (rte_flow_query(port, rule, ACTIONS(COUNT), &count, &error) != 0)
		fail_msg("not counted: %s", error.message);
	assert_true(count.hits_set && count.bytes_set);
	return count;
}
