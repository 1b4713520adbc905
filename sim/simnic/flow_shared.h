// SPDX-License-Identifier: BSD-3-Clause
//
// Indirect actions: a counter, or an age, that rules share. Rules made through any port of the device can use it; it is
// destroyed, updated and queried at the port through which it was made. It lives until that port lets it go, and no rule
// uses it any more. Control threads; the pipeline counts.

#pragma once

#include <rte_flow.h>

#include "sim/simnic/flow_age.h"

struct function;

// What COUNT has counted since it was reset.
struct flow_count_base {
	uint64_t hits, bytes; // what had been counted then
};
// Answer a query for COUNT; with its reset flag, the base moves.
void flow_count_query(const uint64_t *hits, const uint64_t *bytes, struct flow_count_base *base,
		      struct rte_flow_query_count *count);

struct rte_flow_action_handle {
	TAILQ_ENTRY(rte_flow_action_handle) next; // under the e-switch's lock
	struct device *device;
	uint16_t owner;                 // index of the function through whose port it was made
	enum rte_flow_action_type type; // COUNT or AGE
	uint32_t references;            // under the e-switch's lock: rules, templates, its owner
	uint64_t hits, bytes;           // written by the pipeline, read by all
	struct flow_count_base base;    // COUNT
	struct flow_age age;            // AGE
};

TAILQ_HEAD(flow_shared_list, rte_flow_action_handle);

// The operations of struct rte_flow_ops.
struct rte_flow_action_handle *flow_shared_create(struct rte_eth_dev *dev,
						  const struct rte_flow_indir_action_conf *conf,
						  const struct rte_flow_action *action,
						  struct rte_flow_error *error);
int flow_shared_destroy(struct rte_eth_dev *dev, struct rte_flow_action_handle *handle,
			struct rte_flow_error *error);
int flow_shared_update(struct rte_eth_dev *dev, struct rte_flow_action_handle *handle,
		       const void *update, struct rte_flow_error *error);
int flow_shared_query(struct rte_eth_dev *dev, const struct rte_flow_action_handle *handle,
		      void *data, struct rte_flow_error *error);

// For a rule, or a template, that uses it; and no more.
void flow_shared_get(struct rte_flow_action_handle *handle);
void flow_shared_put(struct rte_flow_action_handle *handle);
// The port is about to be closed. What rules of other ports still use goes with the last of these.
void flow_shared_port_closed(struct function *function);
