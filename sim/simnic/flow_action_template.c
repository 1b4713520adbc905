// SPDX-License-Identifier: BSD-3-Clause
//
// Actions templates: a list whose values are partly its own, for all rules, and partly each rule's. A rule's list is put
// together of both and compiled as any other.

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim/simnic/flow_action_private.h"

struct template_action {
	struct rte_flow_action action; // conf: our own copy, an indirect action, or NULL
	void *copy;                    // of the conf; NULL: none
	bool constant;                 // conf is all rules'
	bool own_timeout, own_context; // of an AGE that is not: these are all rules' nevertheless
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
	case RTE_FLOW_ACTION_TYPE_AGE:
		return sizeof(struct rte_flow_action_age);
	case RTE_FLOW_ACTION_TYPE_SET_META:
		return sizeof(struct rte_flow_action_set_meta);
	case RTE_FLOW_ACTION_TYPE_SET_TAG:
		return sizeof(struct rte_flow_action_set_tag);
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

// Whether no rule has a say in it. Of actions with several fields, the one that differs from rule to rule decides.
static bool is_constant(const struct rte_flow_action *action, const struct rte_flow_action *mask)
{
	const void *conf = mask->conf;

	if (conf == NULL)
		return false;
	switch ((int)action->type) {
	case RTE_FLOW_ACTION_TYPE_INDIRECT:
		return true;
	case RTE_FLOW_ACTION_TYPE_MODIFY_FIELD:
		return any_byte(((const struct rte_flow_action_modify_field *)conf)->src.value, 16);
	case RTE_FLOW_ACTION_TYPE_SET_TAG:
		return ((const struct rte_flow_action_set_tag *)conf)->data != 0;
	case RTE_FLOW_ACTION_TYPE_SET_META:
		return ((const struct rte_flow_action_set_meta *)conf)->data != 0;
	case RTE_FLOW_ACTION_TYPE_AGE:
		return ((const struct rte_flow_action_age *)conf)->timeout != 0 &&
		       ((const struct rte_flow_action_age *)conf)->context != NULL;
	default:
		return any_byte(conf, conf_size(action->type));
	}
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

static void note_age(struct template_action *to, const struct rte_flow_action_age *mask)
{
	if (mask == NULL || to->action.conf == NULL)
		return;
	to->own_timeout = mask->timeout != 0;
	to->own_context = mask->context != NULL;
}

static int copy_conf(struct template_action *to, const struct rte_flow_action *action,
		     struct rte_flow_error *error)
{
	size_t size = conf_size(action->type);

	to->copy = malloc(size);
	if (to->copy == NULL)
		return rte_flow_error_set(error, ENOMEM, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, NULL,
					  "out of memory");
	memcpy(to->copy, action->conf, size);
	if (to->constant && action->type == RTE_FLOW_ACTION_TYPE_MODIFY_FIELD)
		resolve_pointer(to->copy);
	to->action.conf = to->copy;
	return 0;
}

static int copy_action(struct template_action *to, const struct rte_flow_action *action,
		       const struct rte_flow_action *mask, struct rte_flow_error *error)
{
	bool indirect = action->type == RTE_FLOW_ACTION_TYPE_INDIRECT;

	to->action.type = action->type;
	if (!indirect && conf_size(action->type) == 0) {
		to->constant = true;
		return 0;
	}
	to->constant = is_constant(action, mask);
	if (action->conf == NULL) {
		if (!to->constant && action->type != RTE_FLOW_ACTION_TYPE_MODIFY_FIELD)
			return 0;
		return refuse_template(error, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION_CONF, action,
				       "the mask names what is not there");
	}
	to->action.conf = action->conf;
	if (!indirect && copy_conf(to, action, error) < 0)
		return -rte_errno;
	if (action->type == RTE_FLOW_ACTION_TYPE_AGE)
		note_age(to, mask->conf);
	return 0;
}

// The mask of an indirect action has the type of what that is.
static bool same_action(const struct rte_flow_action *action, const struct rte_flow_action *mask)
{
	return action->type == mask->type || (action->type == RTE_FLOW_ACTION_TYPE_INDIRECT &&
					      (mask->type == RTE_FLOW_ACTION_TYPE_COUNT ||
					       mask->type == RTE_FLOW_ACTION_TYPE_AGE));
}

// The same actions in the same order, VOID left out.
static int copy_list(struct flow_actions_template *template, const struct rte_flow_action *action,
		     const struct rte_flow_action *mask, struct rte_flow_error *error)
{
	for (;; action++, mask++) {
		action = skip_void(action);
		mask = skip_void(mask);
		if (!same_action(action, mask))
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

union merged_conf {
	struct rte_flow_action_modify_field modify;
	struct rte_flow_action_age age;
};

// The rule's part, and the template's, of a configuration. NULL: the rule has none.
static const void *merge(const struct template_action *own, const struct rte_flow_action *rule,
			 union merged_conf *space)
{
	const struct rte_flow_action_modify_field *modify = rule->conf;
	const struct rte_flow_action_age *age = own->action.conf;

	if (rule->conf == NULL)
		return own->own_timeout ? age : NULL;
	if (own->action.type == RTE_FLOW_ACTION_TYPE_MODIFY_FIELD) {
		memcpy(&space->modify, own->action.conf, sizeof(space->modify));
		memcpy(space->modify.src.value, modify->src.value, sizeof(modify->src.value));
		return &space->modify;
	}
	if (own->action.type == RTE_FLOW_ACTION_TYPE_AGE) {
		memcpy(&space->age, rule->conf, sizeof(space->age));
		if (own->own_timeout)
			space->age.timeout = age->timeout;
		if (own->own_context)
			space->age.context = age->context;
		return &space->age;
	}
	return rule->conf;
}

static int compile_merged(struct action_compiler *compiler,
			  const struct flow_actions_template *template,
			  const struct rte_flow_action actions[], struct flow_actions **ret_actions)
{
	union merged_conf space;

	for (unsigned int i = 0; i < template->count; i++, actions++) {
		const struct template_action *own = &template->actions[i];
		struct rte_flow_action merged = own->action;

		actions = skip_void(actions);
		if (actions->type != own->action.type)
			return refuse_template(compiler->error, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION,
					       actions,
					       "not the action that the template has here");
		if (!own->constant)
			merged.conf = merge(own, actions, &space);
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
