// SPDX-License-Identifier: BSD-3-Clause
//
// The control part of the asynchronous rte_flow API: the engine of a port, templates, and tables of them. Each port has its
// own; as with rules, what is made through one port is unknown to the others. Control threads, one at a time for each port
// (the API says so); the queues' threads only read tables and templates meanwhile.

#pragma once

#include "sim/simnic/flow_api.h"
#include "sim/simnic/flow_queue.h"

enum {
	FLOW_QUEUES_MAX = 64,
	FLOW_TABLE_TEMPLATES_MAX = 32, // of each kind
	FLOW_TABLE_RULES_MAX = 1 << 24,
	FLOW_OBJECTS_MAX =
		1
		<< 24, // counters, ageing objects: what rte_flow_configure() may ask for. They are made on demand
};

struct rte_flow_pattern_template {
	TAILQ_ENTRY(rte_flow_pattern_template) next;
	uint32_t users; // tables
	bool relaxed;
	struct flow_match match; // its mask is that of every rule
	struct rte_flow_item *items;
};

struct rte_flow_actions_template {
	TAILQ_ENTRY(rte_flow_actions_template) next;
	uint32_t users; // tables
	struct flow_actions_template *list;
};

struct rte_flow_template_table {
	TAILQ_ENTRY(rte_flow_template_table) next;
	const struct function *owner;
	uint32_t group, priority;
	uint32_t rules_max;
	uint32_t rules; // atomic: handles, also of rules that are not, or no longer, in force
	uint8_t pattern_count, actions_count;
	struct rte_flow_pattern_template *patterns[FLOW_TABLE_TEMPLATES_MAX];
	struct rte_flow_actions_template *actions[FLOW_TABLE_TEMPLATES_MAX];
};

// The engine of a port, once it is configured.
struct flow_engine {
	uint16_t queue_count;
	struct flow_queue *queues;
	TAILQ_HEAD(, rte_flow_pattern_template) patterns;
	TAILQ_HEAD(, rte_flow_actions_template) actions;
	TAILQ_HEAD(, rte_flow_template_table) tables;
};

// The port is being closed, and has no rules any more. NULL is fine.
void flow_engine_free(struct flow_engine *engine);

// Operations of struct rte_flow_ops.
int flow_info_get(struct rte_eth_dev *dev, struct rte_flow_port_info *port,
		  struct rte_flow_queue_info *queue, struct rte_flow_error *error);
int flow_configure(struct rte_eth_dev *dev, const struct rte_flow_port_attr *port,
		   uint16_t queue_count, const struct rte_flow_queue_attr *queues[],
		   struct rte_flow_error *error);
struct rte_flow_pattern_template *
flow_pattern_template_create(struct rte_eth_dev *dev,
			     const struct rte_flow_pattern_template_attr *attr,
			     const struct rte_flow_item pattern[], struct rte_flow_error *error);
int flow_pattern_template_destroy(struct rte_eth_dev *dev,
				  struct rte_flow_pattern_template *template,
				  struct rte_flow_error *error);
struct rte_flow_actions_template *
flow_actions_template_create(struct rte_eth_dev *dev,
			     const struct rte_flow_actions_template_attr *attr,
			     const struct rte_flow_action actions[],
			     const struct rte_flow_action masks[], struct rte_flow_error *error);
int flow_actions_template_destroy(struct rte_eth_dev *dev,
				  struct rte_flow_actions_template *template,
				  struct rte_flow_error *error);
struct rte_flow_template_table *
flow_template_table_create(struct rte_eth_dev *dev, const struct rte_flow_template_table_attr *attr,
			   struct rte_flow_pattern_template *patterns[], uint8_t pattern_count,
			   struct rte_flow_actions_template *actions[], uint8_t actions_count,
			   struct rte_flow_error *error);
int flow_template_table_destroy(struct rte_eth_dev *dev, struct rte_flow_template_table *table,
				struct rte_flow_error *error);
