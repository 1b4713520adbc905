// SPDX-License-Identifier: BSD-3-Clause
//
// Between the compiler of action lists (flow_action.c), those of MODIFY_FIELD (flow_action_field.c) and of headers that come
// and go (flow_action_encap.c), and templates (flow_action_template.c). For these only.

#pragma once

#include "sim/simnic/flow_action.h"

struct action_compiler {
	struct device *device;
	struct rte_flow_error *error;
	uint32_t group;
	const struct rte_flow_action
		*cause; // what errors name, instead of the action itself; NULL: that
	bool unknown; // the action's configuration is not known yet: it is the rules' of a template
	bool any_layer; // of a template without its pattern: `layers` is those that frames may have
	uint16_t layers;       // that every frame of the rule has by now, of the outermost headers
	uint16_t inner_layers; // the same of the frame in a tunnel
	bool in_tunnel, in_vxlan; // every frame of the rule is in a tunnel
	bool cut_l2;              // it has lost its Ethernet header and needs another one
	bool count, age;
	bool metered;
	uint32_t age_timeout_s;
	void *age_context;
	struct rte_flow_action_handle *shared_count, *shared_age;
	bool has_fate;
	struct flow_op fate;
	uint16_t op_count;
	struct flow_op ops[FLOW_OPS_MAX];
};

void compiler_init(struct action_compiler *compiler, struct device *device,
		   const struct flow_match *match, uint32_t group, struct rte_flow_error *error);
// Free what was compiled and not made use of.
void compiler_clear(struct action_compiler *compiler);
// Set *error and rte_errno, and return -code.
int refuse_action(struct action_compiler *compiler, int code, enum rte_flow_error_type type,
		  const struct rte_flow_action *action, const char *why);
int refuse_out_of_memory(struct action_compiler *compiler);
// The pattern asks for one of these layers, else refuse.
int require_layer(struct action_compiler *compiler, const struct rte_flow_action *action,
		  uint16_t layers);
// bytes: size of them, not looked at while they are unknown.
int add_op(struct action_compiler *compiler, const struct rte_flow_action *action,
	   enum flow_op_kind kind, const void *bytes, size_t size);

// Set bits of a number: of META, a TAG, a VLAN tag. A mask of none is refused.
int add_register(struct action_compiler *compiler, const struct rte_flow_action *action,
		 enum flow_op_kind kind, uint8_t index, uint32_t number, uint32_t mask);
// One action of the list, END included.
int compile_action(struct action_compiler *compiler, const struct rte_flow_action *action);
// What was compiled, after END; the compiler is clear then, also if it failed.
int make_actions(struct action_compiler *compiler, struct flow_actions **ret_actions);
// The action has a configuration, or will have one; else refuse.
int need_conf(struct action_compiler *compiler, const struct rte_flow_action *action);
int compile_modify_field(struct action_compiler *compiler, const struct rte_flow_action *action);
int compile_push_vlan(struct action_compiler *compiler, const struct rte_flow_action *action);
int compile_pop_vlan(struct action_compiler *compiler, const struct rte_flow_action *action);
int compile_set_vlan(struct action_compiler *compiler, const struct rte_flow_action *action);
int compile_vxlan_encap(struct action_compiler *compiler, const struct rte_flow_action *action);
int compile_vxlan_decap(struct action_compiler *compiler, const struct rte_flow_action *action);
int compile_raw_encap(struct action_compiler *compiler, const struct rte_flow_action *action);
int compile_raw_decap(struct action_compiler *compiler, const struct rte_flow_action *action);
