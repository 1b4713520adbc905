// SPDX-License-Identifier: BSD-3-Clause
//
// Between the fuzzer of rules (flow_fuzz.c) and its steps with queues (flow_fuzz_queue.c): the input, and what patterns and actions
// are made of it.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_flow.h>

#include "sim/simnic/flow_action.h"

enum {
	PORTS = 4,
	FIRST_PORT = 3,
	ITEMS = 8,
	ACTIONS = 8,
	CONF_SIZE = 128, // as long as any item or configuration
};

struct input {
	const uint8_t *data;
	size_t size;
};

struct pattern {
	struct rte_flow_item items[ITEMS + 1];
	uint8_t memory[ITEMS][3][CONF_SIZE] __attribute__((aligned(8)));
};

struct list {
	struct rte_flow_action actions[ACTIONS + 1];
	uint8_t memory[ACTIONS][CONF_SIZE] __attribute__((aligned(8)));
	uint8_t header[ACTIONS][FLOW_ENCAP_MAX];
	struct pattern definition;
};

// Says where, since one abort() looks like another in an optimised stack.
#define check(good) check_((good), __FILE__, __LINE__)
void check_(bool good, const char *file, int line);
// An error says what it is.
void check_refusal(const struct rte_flow_error *error);

// The next byte; 0 at the end.
uint8_t take(struct input *input);
struct rte_eth_dev *take_port(struct input *input);
void take_pattern(struct input *input, struct pattern *pattern);
// Make spec, last and mask of an item's memory those of a RAW item.
void take_raw(uint8_t memory[3][CONF_SIZE], uint8_t how);
void take_list(struct input *input, struct list *list);
// An indirect action that is there, or NULL.
const struct rte_flow_action_handle *take_handle(struct input *input);

// ---- flow_fuzz_queue.c ----------------------------------------------------------------------------------

// Something with a queue, template or table.
void queue_step(struct input *input);
// The rules of this port are gone.
void queue_forget_rules(const struct rte_eth_dev *dev);
// The ports are closed, and all that was made through them is gone.
void queue_forget(void);
