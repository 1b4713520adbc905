// SPDX-License-Identifier: BSD-3-Clause
//
// Actions templates: a list whose values are partly its own, for all rules, and partly each rule's. A rule's list is put
// together of both and compiled as any other.

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim/simnic/flow_action_private.h"

struct template_action {
	struct rte_flow_action action; // conf: our own copy, or NULL
	bool constant;                 // conf is all rules'
};

struct flow_actions_template {
	unsigned int count; // with END, without VOID
	struct template_action actions[FLOW_TEMPLATE_MAX];
};

// Bytes of an action's configuration; 0: it has none.
static size_t conf_size(enum rte_flow_action_type type)
{
	switch ((int)type) {
	case RTE_FLOW_ACTION_TYPE_JUMP:
		return sizeof(struct rte_flow_action_jump);
	case RTE_FLOW_ACTION_TYPE_REPRESENTED_PORT:
	case RTE_FLOW_ACTION_TYPE_PORT_REPRESENTOR:
		return sizeof(struct rte_flow_action_ethdev);
	case RTE_FLOW_ACTION_TYPE_METER:
		return sizeof(struct rte_flow_action_meter);
	case RTE_FLOW_ACTION_TYPE_SET_MAC_SRC:
	case RTE_FLOW_ACTION_TYPE_SET_MAC_DST:
		return sizeof(struct rte_flow_action_set_mac);
	case RTE_FLOW_ACTION_TYPE_SET_IPV4_SRC:
	case RTE_FLOW_ACTION_TYPE_SET_IPV4_DST:
		return sizeof(struct rte_flow_action_set_ipv4);
	case RTE_FLOW_ACTION_TYPE_SET_IPV6_SRC:
	case RTE_FLOW_ACTION_TYPE_SET_IPV6_DST:
		return sizeof(struct rte_flow_action_set_ipv6);
	case RTE_FLOW_ACTION_TYPE_SET_TP_SRC:
	case RTE_FLOW_ACTION_TYPE_SET_TP_DST:
		return sizeof(struct rte_flow_action_set_tp);
	case RTE_FLOW_ACTION_TYPE_SET_TTL:
		return sizeof(struct rte_flow_action_set_ttl);
	case RTE_FLOW_ACTION_TYPE_MODIFY_FIELD:
		return sizeof(struct rte_flow_action_modify_field);
	default:
		return 0;
	}
}

static bool any_byte(const void *data, size_t size)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; data != NULL && i < size; i++)
		if (bytes[i] != 0)
			return true;
	return false;
}

// Of MODIFY_FIELD only the value may be the rules'; other actions have one field.
static bool is_constant(const struct rte_flow_action *action, const struct rte_flow_action *mask)
{
	const struct rte_flow_action_modify_field *modify = mask->conf;

	if (action->type == RTE_FLOW_ACTION_TYPE_MODIFY_FIELD)
		return modify != NULL && any_byte(modify->src.value, sizeof(modify->src.value));
	return any_byte(mask->conf, conf_size(action->type));
}

static const struct rte_flow_action *skip_void(const struct rte_flow_action *action)
{
	while (action->type == RTE_FLOW_ACTION_TYPE_VOID)
		action++;
	return action;
}

static int refuse_template(struct rte_flow_error *error, int code, enum rte_flow_error_type type,
			   const struct rte_flow_action *action, const char *why)
{
	return rte_flow_error_set(error, code, type, action, why);
}

// What a constant pointer points to need not be there when a rule comes.
static void resolve_pointer(struct rte_flow_action_modify_field *modify)
{
	const void *from = modify->src.pvalue;

	if (modify->src.field != RTE_FLOW_FIELD_POINTER || from == NULL)
		return;
	modify->src.field = RTE_FLOW_FIELD_VALUE;
	memcpy(modify->src.value, from,
	       RTE_MIN(sizeof(modify->src.value), (modify->width + 7UL) / 8));
}

static int copy_action(struct template_action *to, const struct rte_flow_action *action,
		       const struct rte_flow_action *mask, struct rte_flow_error *error)
{
	size_t size = conf_size(action->type);
	void *copy;

	to->action.type = action->type;
	to->constant = size == 0 || is_constant(action, mask);
	if (size == 0)
		return 0;
	if (action->conf == NULL) {
		if (!to->constant && action->type != RTE_FLOW_ACTION_TYPE_MODIFY_FIELD)
			return 0;
		return refuse_template(error, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION_CONF, action,
				       "the mask names what is not there");
	}
	copy = malloc(size);
	if (copy == NULL)
		return rte_flow_error_set(error, ENOMEM, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, NULL,
					  "out of memory");
	memcpy(copy, action->conf, size);
	if (to->constant && action->type == RTE_FLOW_ACTION_TYPE_MODIFY_FIELD)
		resolve_pointer(copy);
	to->action.conf = copy;
	return 0;
}

// The same actions in the same order, VOID left out.
static int copy_list(struct flow_actions_template *template, const struct rte_flow_action *action,
		     const struct rte_flow_action *mask, struct rte_flow_error *error)
{
	for (;; action++, mask++) {
		action = skip_void(action);
		mask = skip_void(mask);
		if (action->type != mask->type)
			return refuse_template(error, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION, action,
					       "not the action that the masks have here");
		if (template->count == FLOW_TEMPLATE_MAX)
			return refuse_template(error, ENOTSUP, RTE_FLOW_ERROR_TYPE_ACTION_NUM,
					       action, "too many actions");
		if (copy_action(&template->actions[template->count], action, mask, error) < 0)
			return -rte_errno;
		template->count++;
		if (action->type == RTE_FLOW_ACTION_TYPE_END)
			return 0;
	}
}

static int compile_known(struct action_compiler *compiler,
			 const struct flow_actions_template *template,
			 const struct rte_flow_action *actions)
{
	for (unsigned int i = 0; i < template->count; i++, actions++) {
		actions = skip_void(actions);
		compiler->cause = actions;
		compiler->unknown = !template->actions[i].constant;
		if (compile_action(compiler, &template->actions[i].action) < 0)
			return -rte_errno;
	}
	return 0;
}

// What is known of the list, as the actions of a rule that asks for all headers.
static int check_list(struct device *device, const struct flow_actions_template *template,
		      const struct rte_flow_action *actions, struct rte_flow_error *error)
{
	struct action_compiler compiler = {
		.device = device,
		.error = error,
		.group = UINT32_MAX,
		.layers = UINT16_MAX,
	};
	int result = compile_known(&compiler, template, actions);

	forget_held(&compiler);
	return result;
}

int flow_actions_template_new(struct device *device, const struct rte_flow_action actions[],
			      const struct rte_flow_action masks[],
			      struct flow_actions_template **ret_template,
			      struct rte_flow_error *error)
{
	struct flow_actions_template *template;

	if (actions == NULL || masks == NULL)
		return refuse_template(error, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION_NUM, NULL,
				       "no actions, or no masks");
	template = calloc(1, sizeof(*template));
	if (template == NULL)
		return rte_flow_error_set(error, ENOMEM, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, NULL,
					  "out of memory");
	if (copy_list(template, actions, masks, error) < 0 ||
	    check_list(device, template, actions, error) < 0) {
		flow_actions_template_free(template);
		return -rte_errno;
	}
	*ret_template = template;
	return 0;
}

void flow_actions_template_free(struct flow_actions_template *template)
{
	if (template == NULL)
		return;
	for (unsigned int i = 0; i < RTE_DIM(template->actions); i++)
		free((void *)(uintptr_t) template->actions[i].action.conf);
	free(template);
}

// ---- rules ----------------------------------------------------------------------------------------------

// The rule's value in what is otherwise the template's.
static const void *merge_modify(const struct rte_flow_action_modify_field *own,
				const struct rte_flow_action *rule,
				struct rte_flow_action_modify_field *space)
{
	if (rule->conf == NULL)
		return NULL;
	*space = *own;
	memcpy(space->src.value,
	       ((const struct rte_flow_action_modify_field *)rule->conf)->src.value,
	       sizeof(space->src.value));
	return space;
}

static int compile_merged(struct action_compiler *compiler,
			  const struct flow_actions_template *template,
			  const struct rte_flow_action actions[], struct flow_actions **ret_actions)
{
	struct rte_flow_action_modify_field modify;

	for (unsigned int i = 0; i < template->count; i++, actions++) {
		const struct template_action *own = &template->actions[i];
		struct rte_flow_action merged = own->action;

		actions = skip_void(actions);
		if (actions->type != own->action.type)
			return refuse_template(compiler->error, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION,
					       actions,
					       "not the action that the template has here");
		if (!own->constant)
			merged.conf = own->action.type == RTE_FLOW_ACTION_TYPE_MODIFY_FIELD
					      ? merge_modify(own->action.conf, actions, &modify)
					      : actions->conf;
		compiler->cause = actions;
		if (compile_action(compiler, &merged) < 0)
			return -rte_errno;
	}
	return make_actions(compiler, ret_actions);
}

int flow_actions_compile_rule(struct device *device, const struct flow_actions_template *template,
			      const struct flow_match *match, uint32_t group,
			      const struct rte_flow_action actions[],
			      struct flow_actions **ret_actions, struct rte_flow_error *error)
{
	struct action_compiler compiler = {
		.device = device,
		.error = error,
		.group = group,
		.layers = match->mask.outer.layers & match->value.outer.layers,
	};
	int result;

	if (actions == NULL)
		return refuse_template(error, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION_NUM, NULL,
				       "no actions");
	result = compile_merged(&compiler, template, actions, ret_actions);
	forget_held(&compiler);
	return result;
}
