// SPDX-License-Identifier: BSD-3-Clause
//
// The actions of a rule, compiled to a short program: what is done to a frame, one step after the other, and then its fate.
// Compiled in control threads, run in the pipeline's.

#pragma once

#include <rte_flow.h>

#include "sim/simnic/flow_encap.h"
#include "sim/simnic/flow_match.h"
#include "sim/simnic/flow_rewrite.h"
#include "sim/simnic/flow_shared.h"

enum {
	FLOW_OPS_MAX = 32,         // of a rule, fate included
	FLOW_TEMPLATE_MAX = 64,    // actions of a template, END included
	FLOW_GROUP_MAX = 65535,    // groups are 0 to this
	FLOW_PRIORITY_MAX = 65535, // so are priorities; 0 is looked at first
};

enum flow_op_kind {
	// Changes of the frame.
	FLOW_SET_MAC_SRC, // bytes
	FLOW_SET_MAC_DST,
	FLOW_SET_IPV4_SRC,
	FLOW_SET_IPV4_DST,
	FLOW_SET_IPV6_SRC,
	FLOW_SET_IPV6_DST,
	FLOW_SET_PORT_SRC,
	FLOW_SET_PORT_DST,
	FLOW_SET_TTL,   // bytes[0]
	FLOW_ADD_TTL,   // bytes[0], modulo 256 as the silicon has it
	FLOW_METER,     // meter: what it does not let pass is dropped
	FLOW_PUSH_VLAN, // bytes[0..1]: the ether type
	FLOW_POP_VLAN,
	FLOW_SET_VLAN,     // of the first tag's TCI: number, mask
	FLOW_ENCAP,        // encap
	FLOW_CUT,          // number: of bytes in front
	FLOW_DECAP_TUNNEL, // up to the frame inside
	// What later groups can match.
	FLOW_SET_META,     // number, mask
	FLOW_SET_TAG,      // the same, index
	FLOW_COUNT_SHARED, // handle: an indirect COUNT or AGE
	// Fates.
	FLOW_DROP,
	FLOW_JUMP,        // number: to this group
	FLOW_TO_FUNCTION, // function
	FLOW_TO_PORT,     // function, to its port
};

struct flow_op {
	uint8_t kind; // enum flow_op_kind
	uint8_t index;
	union {
		uint8_t bytes[16]; // in network order
		struct {
			uint32_t number, mask;
		};
		struct rte_flow_action_handle *handle;
		struct flow_encap *encap; // belongs to the program
		struct function *function;
		struct meter *meter; // held
	};
};

struct flow_actions {
	bool count; // a COUNT of the rule's own is among them
	bool age;   // the same of AGE
	uint32_t age_timeout_s;
	void *age_context; // NULL: the rule
	// Indirect ones, which this holds a reference of; NULL: none.
	struct rte_flow_action_handle *shared_count, *shared_age;
	uint16_t op_count;
	struct flow_op ops[]; // the last one is the fate
};

// Compile a list of actions for a rule with this match in this group.
//
// Supported: VOID, COUNT, AGE, INDIRECT, METER, SET_META, SET_TAG (0 to 3), SET_MAC_SRC/DST, SET_IPV4_SRC/DST,
// SET_IPV6_SRC/DST, SET_TP_SRC/DST, DEC_TTL, SET_TTL, OF_PUSH_VLAN, OF_POP_VLAN, OF_SET_VLAN_VID, OF_SET_VLAN_PCP,
// VXLAN_ENCAP, VXLAN_DECAP, RAW_ENCAP, RAW_DECAP (flow_encap.h), MODIFY_FIELD
// (SET of these fields, whole and at the outermost level, to a value or what a pointer points to; ADD and SUB of the TTL); and
// exactly one fate, behind which only COUNT and AGE may stand: DROP, JUMP, REPRESENTED_PORT, PORT_REPRESENTOR.
// What changes a header needs the pattern to ask for that header, of the group's own rule: what an earlier group asked for
// does not count.
//
// Returns 0, or a negative errno with rte_errno and *error set: ACTION, ACTION_CONF or ACTION_NUM with the action as cause;
// -ENOTSUP for what is meaningful but unknown here, -EINVAL for what makes no sense. To be freed with flow_actions_free().
int flow_actions_compile(struct device *device, const struct flow_match *match, uint32_t group,
			 const struct rte_flow_action actions[], struct flow_actions **ret_actions,
			 struct rte_flow_error *error);
void flow_actions_free(struct flow_actions *actions); // NULL is fine

// An actions template. masks: of each action, whether its configuration is the template's for all rules (any byte of the
// mask's is not zero) or each rule's. Of MODIFY_FIELD only the source's value can be a rule's; SET_TAG and SET_META go by the
// mask of their data; AGE has timeout and context apart; an indirect action is constant if its mask, of the type that it
// stands for, has any configuration, and then cannot be destroyed before the template. What can be said of the list without a rule is checked here, all else when a rule
// comes. Errors as above.
struct flow_actions_template;
int flow_actions_template_new(struct device *device, const struct rte_flow_action actions[],
			      const struct rte_flow_action masks[],
			      struct flow_actions_template **ret_template,
			      struct rte_flow_error *error);
void flow_actions_template_free(struct flow_actions_template *template); // NULL is fine
// Compile the actions of a rule: types as in the template, VOID apart.
int flow_actions_compile_rule(struct device *device, const struct flow_actions_template *template,
			      const struct flow_match *match, uint32_t group,
			      const struct rte_flow_action actions[],
			      struct flow_actions **ret_actions, struct rte_flow_error *error);

// Whether the frame's fate is this function, or its port.
bool flow_actions_lead_to(const struct flow_actions *actions, const struct function *function);

// Do what the program says to the frame; the fate is left to the caller. NULL: it cannot be done to this frame, which is
// to be dropped.
const struct flow_op *flow_actions_run(const struct flow_actions *actions,
				       struct flow_packet *packet);
