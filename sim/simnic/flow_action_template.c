// SPDX-License-Identifier: BSD-3-Clause
//
// Actions templates: a list whose values are partly its own, for all rules, and partly each rule's. A rule's list is put
// together of both and compiled as any other.

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim/simnic/flow_action_private.h"

struct template_action {
	enum rte_flow_action_type type;
	// conf: our own copy, an indirect action, or NULL. A constant VXLAN_ENCAP is a RAW_ENCAP in here.
	struct rte_flow_action action;
	void *copy;                          // of the conf; NULL: none
	struct rte_flow_action_handle *held; // a reference; NULL: none
	bool constant;                       // conf is all rules'
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
	case RTE_FLOW_ACTION_TYPE_OF_PUSH_VLAN:
		return sizeof(struct rte_flow_action_of_push_vlan);
	case RTE_FLOW_ACTION_TYPE_OF_SET_VLAN_VID:
		return sizeof(struct rte_flow_action_of_set_vlan_vid);
	case RTE_FLOW_ACTION_TYPE_OF_SET_VLAN_PCP:
		return sizeof(struct rte_flow_action_of_set_vlan_pcp);
	case RTE_FLOW_ACTION_TYPE_VXLAN_ENCAP:
		return sizeof(struct rte_flow_action_vxlan_encap);
	case RTE_FLOW_ACTION_TYPE_RAW_ENCAP:
		return sizeof(struct rte_flow_action_raw_encap);
	case RTE_FLOW_ACTION_TYPE_RAW_DECAP:
		return sizeof(struct rte_flow_action_raw_decap);
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
	case RTE_FLOW_ACTION_TYPE_VXLAN_ENCAP:
		return ((const struct rte_flow_action_vxlan_encap *)conf)->definition != NULL;
	case RTE_FLOW_ACTION_TYPE_RAW_ENCAP:
		return ((const struct rte_flow_action_raw_encap *)conf)->data != NULL;
	case RTE_FLOW_ACTION_TYPE_RAW_DECAP:
		return ((const struct rte_flow_action_raw_decap *)conf)->data != NULL;
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

static void *copy_bytes(const void *bytes, size_t size)
{
	void *copy = malloc(size);

	if (copy != NULL)
		memcpy(copy, bytes, size);
	return copy;
}

// A header, what is to be preserved of it (NULL: nothing), and a configuration that names both, in one piece. What is longer
// than any that is accepted is cut, and will be refused.
static struct rte_flow_action_raw_encap *copy_header(const uint8_t *data, const uint8_t *preserve,
						     size_t size)
{
	size_t copied = data != NULL ? RTE_MIN(size, (size_t)FLOW_ENCAP_MAX) : 0;
	struct rte_flow_action_raw_encap *copy = calloc(1, sizeof(*copy) + 2 * copied);

	if (copy == NULL)
		return NULL;
	copy->size = size;
	if (copied == 0)
		return copy;
	copy->data = (uint8_t *)(copy + 1);
	memcpy(copy->data, data, copied);
	if (preserve != NULL) {
		copy->preserve = copy->data + copied;
		memcpy(copy->preserve, preserve, copied);
	}
	return copy;
}

static int refuse_memory(struct rte_flow_error *error)
{
	return rte_flow_error_set(error, ENOMEM, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, NULL,
				  "out of memory");
}

// A definition by items becomes the header that it means.
static int copy_definition(struct template_action *to, const struct rte_flow_action *action,
			   struct rte_flow_error *error)
{
	const struct rte_flow_action_vxlan_encap *conf = action->conf;
	struct flow_encap *encap;
	int result =
		conf->definition != NULL ? flow_encap_vxlan(conf->definition, &encap) : -EINVAL;

	if (result == -ENOMEM)
		return refuse_memory(error);
	if (result < 0)
		return refuse_template(
			error, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION_CONF, action,
			"a definition is ETH, perhaps VLAN, IPV4 or IPV6, UDP, VXLAN");
	to->action.type = RTE_FLOW_ACTION_TYPE_RAW_ENCAP;
	to->copy = copy_header(encap->data, NULL, encap->size);
	free(encap);
	return to->copy != NULL ? 0 : refuse_memory(error);
}

static int copy_conf(struct template_action *to, const struct rte_flow_action *action,
		     struct rte_flow_error *error)
{
	const struct rte_flow_action_raw_encap *encap = action->conf;
	const struct rte_flow_action_raw_decap *decap = action->conf;
	struct rte_flow_action_raw_decap *decap_copy;

	switch ((int)action->type) {
	case RTE_FLOW_ACTION_TYPE_VXLAN_ENCAP:
		if (copy_definition(to, action, error) < 0)
			return -rte_errno;
		break;
	case RTE_FLOW_ACTION_TYPE_RAW_ENCAP:
		to->copy = copy_header(encap->data, encap->preserve, encap->size);
		break;
	case RTE_FLOW_ACTION_TYPE_RAW_DECAP:
		encap = copy_header(decap->data, NULL, decap->size);
		if (encap == NULL)
			break;
		// The shorter of the two structures takes the place of the other.
		decap_copy = to->copy = (void *)(uintptr_t)encap;
		*decap_copy = (struct rte_flow_action_raw_decap){.data = encap->data,
								 .size = encap->size};
		break;
	default:
		to->copy = copy_bytes(action->conf, conf_size(action->type));
		break;
	}
	if (to->copy == NULL)
		return refuse_memory(error);
	if (to->constant && action->type == RTE_FLOW_ACTION_TYPE_MODIFY_FIELD)
		resolve_pointer(to->copy);
	to->action.conf = to->copy;
	return 0;
}

// Whether anything of the configuration is the template's.
static bool is_needed(const struct template_action *action)
{
	return action->constant || action->type == RTE_FLOW_ACTION_TYPE_MODIFY_FIELD ||
	       action->type == RTE_FLOW_ACTION_TYPE_AGE;
}

static int copy_action(struct template_action *to, const struct rte_flow_action *action,
		       const struct rte_flow_action *mask, struct rte_flow_error *error)
{
	bool indirect = action->type == RTE_FLOW_ACTION_TYPE_INDIRECT;

	to->type = to->action.type = action->type;
	to->constant = !indirect && conf_size(action->type) == 0;
	if (to->constant)
		return 0;
	to->constant = is_constant(action, mask);
	if (action->conf == NULL &&
	    (to->constant || action->type == RTE_FLOW_ACTION_TYPE_MODIFY_FIELD))
		return refuse_template(error, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION_CONF, action,
				       "the mask names what is not there");
	if (action->conf == NULL || !is_needed(to))
		return 0;
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
	struct action_compiler compiler;
	struct flow_match all;
	int result;

	memset(&all, 0xff, sizeof(all));
	all.value.tunnel = FLOW_TUNNEL_VXLAN;
	compiler_init(&compiler, device, &all, UINT32_MAX, error);
	compiler.any_layer = true;
	result = compile_known(&compiler, template, actions);
	compiler_clear(&compiler);
	return result;
}

// What the template names stays.
static void hold_indirect(struct flow_actions_template *template)
{
	for (unsigned int i = 0; i < template->count; i++) {
		struct template_action *action = &template->actions[i];

		if (action->type != RTE_FLOW_ACTION_TYPE_INDIRECT || !action->constant)
			continue;
		action->held = (void *)(uintptr_t)action->action.conf;
		flow_shared_get(action->held);
	}
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
	hold_indirect(template);
	*ret_template = template;
	return 0;
}

void flow_actions_template_free(struct flow_actions_template *template)
{
	if (template == NULL)
		return;
	for (unsigned int i = 0; i < RTE_DIM(template->actions); i++) {
		free(template->actions[i].copy);
		if (template->actions[i].held != NULL)
			flow_shared_put(template->actions[i].held);
	}
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
		if (actions->type != own->type)
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
	struct action_compiler compiler;
	int result;

	if (actions == NULL)
		return refuse_template(error, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION_NUM, NULL,
				       "no actions");
	compiler_init(&compiler, device, match, group, error);
	result = compile_merged(&compiler, template, actions, ret_actions);
	compiler_clear(&compiler);
	return result;
}
