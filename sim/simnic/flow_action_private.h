// SPDX-License-Identifier: BSD-3-Clause
//
// Between the compiler of action lists (flow_action.c) and that of MODIFY_FIELD (flow_action_field.c). For these only.

#pragma once

#include "sim/simnic/flow_action.h"

struct action_compiler {
	const struct device *device;
	struct rte_flow_error *error;
	uint32_t group;
	uint16_t layers; // that every frame of the rule has by now, of the outermost headers
	bool count;
	bool has_fate;
	struct flow_op fate;
	uint16_t op_count;
	struct flow_op ops[FLOW_OPS_MAX];
};

// Set *error and rte_errno, and return -code.
int refuse_action(struct action_compiler *compiler, int code, enum rte_flow_error_type type,
		  const struct rte_flow_action *action, const char *why);
// The pattern asks for one of these layers, else refuse.
int require_layer(struct action_compiler *compiler, const struct rte_flow_action *action,
		  uint16_t layers);
// bytes: size of them; NULL: none.
int add_op(struct action_compiler *compiler, const struct rte_flow_action *action,
	   enum flow_op_kind kind, const void *bytes, size_t size);

int compile_modify_field(struct action_compiler *compiler, const struct rte_flow_action *action);
