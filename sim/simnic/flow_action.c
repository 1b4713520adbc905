// SPDX-License-Identifier: BSD-3-Clause

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim/simnic/flow_action_private.h"

int refuse_action(struct action_compiler *compiler, int code, enum rte_flow_error_type type,
		  const struct rte_flow_action *action, const char *why)
{
	return rte_flow_error_set(compiler->error, code, type,
				  compiler->cause != NULL ? compiler->cause : action, why);
}

int refuse_out_of_memory(struct action_compiler *compiler)
{
	return rte_flow_error_set(compiler->error, ENOMEM, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, NULL,
				  "out of memory");
}

int require_layer(struct action_compiler *compiler, const struct rte_flow_action *action,
		  uint16_t layers)
{
	if (compiler->layers & layers)
		return 0;
	return refuse_action(compiler, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION, action,
			     "the pattern does not ask for the header that this changes");
}

int need_conf(struct action_compiler *compiler, const struct rte_flow_action *action)
{
	if (action->conf != NULL || compiler->unknown)
		return 0;
	return refuse_action(compiler, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION_CONF, action,
			     "the action needs its configuration");
}

static int refuse_too_many(struct action_compiler *compiler, const struct rte_flow_action *action)
{
	return refuse_action(compiler, ENOTSUP, RTE_FLOW_ERROR_TYPE_ACTION_NUM, action,
			     "too many actions");
}

int add_op(struct action_compiler *compiler, const struct rte_flow_action *action,
	   enum flow_op_kind kind, const void *bytes, size_t size)
{
	struct flow_op *op = &compiler->ops[compiler->op_count];

	if (compiler->has_fate)
		return refuse_action(compiler, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION, action,
				     "behind the action that sends the frame away");
	if (compiler->op_count == FLOW_OPS_MAX - 1)
		return refuse_too_many(compiler, action);
	if (compiler->cut_l2 && kind != FLOW_ENCAP && kind != FLOW_SET_META && kind != FLOW_SET_TAG)
		return refuse_action(compiler, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION, action,
				     "the frame has no Ethernet header then");
	op->kind = kind;
	if (size > 0 && !compiler->unknown)
		memcpy(op->bytes, bytes, size);
	compiler->op_count++;
	return 0;
}

// ---- fates ----------------------------------------------------------------------------------------------

static int set_fate(struct action_compiler *compiler, const struct rte_flow_action *action,
		    const struct flow_op *fate)
{
	if (compiler->has_fate)
		return refuse_action(compiler, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION, action,
				     "a frame has one fate");
	compiler->fate = *fate;
	compiler->has_fate = true;
	return 0;
}

static int compile_drop(struct action_compiler *compiler, const struct rte_flow_action *action)
{
	return set_fate(compiler, action, &(struct flow_op){.kind = FLOW_DROP});
}

static int compile_jump(struct action_compiler *compiler, const struct rte_flow_action *action)
{
	const struct rte_flow_action_jump *jump = action->conf;

	if (need_conf(compiler, action) < 0)
		return -rte_errno;
	if (compiler->unknown)
		return set_fate(compiler, action, &(struct flow_op){.kind = FLOW_JUMP});
	if (jump->group == compiler->group)
		return refuse_action(compiler, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION_CONF, action,
				     "the rule is in this group itself");
	if (jump->group > FLOW_GROUP_MAX)
		return refuse_action(compiler, ENOTSUP, RTE_FLOW_ERROR_TYPE_ACTION_CONF, action,
				     "groups are 0 to 65535");
	return set_fate(compiler, action,
			&(struct flow_op){.kind = FLOW_JUMP, .number = jump->group});
}

static int compile_port(struct action_compiler *compiler, const struct rte_flow_action *action)
{
	const struct rte_flow_action_ethdev *port = action->conf;
	struct flow_op fate = {.kind = action->type == RTE_FLOW_ACTION_TYPE_PORT_REPRESENTOR
					       ? FLOW_TO_PORT
					       : FLOW_TO_FUNCTION};

	if (need_conf(compiler, action) < 0)
		return -rte_errno;
	if (compiler->unknown)
		return set_fate(compiler, action, &fate);
	fate.function = flow_port_function(compiler->device, port->port_id);
	if (fate.function == NULL)
		return refuse_action(compiler, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION_CONF, action,
				     "not a port of this device");
	return set_fate(compiler, action, &fate);
}

// ---- the others -----------------------------------------------------------------------------------------

static int refuse_second(struct action_compiler *compiler, const struct rte_flow_action *action)
{
	return refuse_action(compiler, ENOTSUP, RTE_FLOW_ERROR_TYPE_ACTION, action,
			     "a rule has one counter and one age");
}

static int compile_count(struct action_compiler *compiler, const struct rte_flow_action *action)
{
	if (compiler->count || compiler->shared_count != NULL)
		return refuse_second(compiler, action);
	compiler->count = true;
	return 0;
}

static int compile_meter(struct action_compiler *compiler, const struct rte_flow_action *action)
{
	const struct rte_flow_action_meter *conf = action->conf;
	struct meter *meter = NULL;
	int error = 0;

	if (need_conf(compiler, action) < 0)
		return -rte_errno;
	if (compiler->metered)
		return refuse_second(compiler, action);
	compiler->metered = true;
	if (!compiler->unknown)
		error = meter_hold(compiler->device, conf->mtr_id, &meter);
	if (error == -EBUSY)
		return refuse_action(compiler, EBUSY, RTE_FLOW_ERROR_TYPE_ACTION_CONF, action,
				     "the meter is another rule's and not shared");
	if (error < 0)
		return refuse_action(compiler, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION_CONF, action,
				     "no such meter");
	error = add_op(compiler, action, FLOW_METER, &meter, sizeof(meter));
	if (error < 0 && meter != NULL)
		meter_release(meter);
	return error;
}

static int compile_age(struct action_compiler *compiler, const struct rte_flow_action *action)
{
	const struct rte_flow_action_age *age = action->conf;

	if (compiler->age || compiler->shared_age != NULL)
		return refuse_second(compiler, action);
	if (need_conf(compiler, action) < 0)
		return -rte_errno;
	compiler->age = true;
	if (compiler->unknown)
		return 0;
	if (age->timeout == 0 || age->reserved != 0)
		return refuse_action(compiler, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION_CONF, action,
				     "AGE needs a timeout");
	compiler->age_timeout_s = age->timeout;
	compiler->age_context = age->context;
	return 0;
}

// The handle is the configuration.
static int compile_indirect(struct action_compiler *compiler, const struct rte_flow_action *action)
{
	struct rte_flow_action_handle *handle = (void *)(uintptr_t)action->conf, **shared;
	struct flow_op *op = &compiler->ops[compiler->op_count];

	if (need_conf(compiler, action) < 0)
		return -rte_errno;
	if (compiler->unknown)
		return 0;
	if (handle->device != compiler->device)
		return refuse_action(compiler, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION_CONF, action,
				     "not an action of this device");
	shared = handle->type == RTE_FLOW_ACTION_TYPE_COUNT ? &compiler->shared_count
							    : &compiler->shared_age;
	if (*shared != NULL ||
	    (handle->type == RTE_FLOW_ACTION_TYPE_COUNT ? compiler->count : compiler->age))
		return refuse_second(compiler, action);
	if (compiler->op_count == FLOW_OPS_MAX - 1)
		return refuse_too_many(compiler, action);
	*shared = handle;
	*op = (struct flow_op){.kind = FLOW_COUNT_SHARED, .handle = handle};
	compiler->op_count++;
	return 0;
}

int add_register(struct action_compiler *compiler, const struct rte_flow_action *action,
		 enum flow_op_kind kind, uint8_t index, uint32_t number, uint32_t mask)
{
	const struct flow_op op = {.number = number & mask, .mask = mask};

	if (mask == 0 && !compiler->unknown)
		return refuse_action(compiler, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION_CONF, action,
				     "nothing to be set");
	if (add_op(compiler, action, kind, op.bytes, sizeof(op.bytes)) < 0)
		return -rte_errno;
	compiler->ops[compiler->op_count - 1].index = index;
	return 0;
}

static int compile_set_meta(struct action_compiler *compiler, const struct rte_flow_action *action)
{
	const struct rte_flow_action_set_meta unknown = {0};
	const struct rte_flow_action_set_meta *set = compiler->unknown ? &unknown : action->conf;

	if (need_conf(compiler, action) < 0)
		return -rte_errno;
	return add_register(compiler, action, FLOW_SET_META, 0, set->data, set->mask);
}

static int compile_set_tag(struct action_compiler *compiler, const struct rte_flow_action *action)
{
	const struct rte_flow_action_set_tag unknown = {0};
	const struct rte_flow_action_set_tag *set = compiler->unknown ? &unknown : action->conf;

	if (need_conf(compiler, action) < 0)
		return -rte_errno;
	if (set->index >= FLOW_TAGS)
		return refuse_action(compiler, ENOTSUP, RTE_FLOW_ERROR_TYPE_ACTION_CONF, action,
				     "no such index");
	return add_register(compiler, action, FLOW_SET_TAG, set->index, set->data, set->mask);
}

static int compile_set(struct action_compiler *compiler, const struct rte_flow_action *action)
{
	static const struct {
		enum flow_op_kind kind;
		uint16_t layers;
		uint8_t size; // of the configuration, which is the value
	} sets[] = {
		[RTE_FLOW_ACTION_TYPE_SET_MAC_SRC] = {FLOW_SET_MAC_SRC, FLOW_HAS_ETH, 6},
		[RTE_FLOW_ACTION_TYPE_SET_MAC_DST] = {FLOW_SET_MAC_DST, FLOW_HAS_ETH, 6},
		[RTE_FLOW_ACTION_TYPE_SET_IPV4_SRC] = {FLOW_SET_IPV4_SRC, FLOW_HAS_IPV4, 4},
		[RTE_FLOW_ACTION_TYPE_SET_IPV4_DST] = {FLOW_SET_IPV4_DST, FLOW_HAS_IPV4, 4},
		[RTE_FLOW_ACTION_TYPE_SET_IPV6_SRC] = {FLOW_SET_IPV6_SRC, FLOW_HAS_IPV6, 16},
		[RTE_FLOW_ACTION_TYPE_SET_IPV6_DST] = {FLOW_SET_IPV6_DST, FLOW_HAS_IPV6, 16},
		[RTE_FLOW_ACTION_TYPE_SET_TP_SRC] = {FLOW_SET_PORT_SRC, FLOW_HAS_TCP | FLOW_HAS_UDP,
						     2},
		[RTE_FLOW_ACTION_TYPE_SET_TP_DST] = {FLOW_SET_PORT_DST, FLOW_HAS_TCP | FLOW_HAS_UDP,
						     2},
		[RTE_FLOW_ACTION_TYPE_SET_TTL] = {FLOW_SET_TTL, FLOW_HAS_IPV4 | FLOW_HAS_IPV6, 1},
	};

	if (require_layer(compiler, action, sets[action->type].layers) < 0 ||
	    need_conf(compiler, action) < 0)
		return -rte_errno;
	return add_op(compiler, action, sets[action->type].kind, action->conf,
		      sets[action->type].size);
}

static int compile_dec_ttl(struct action_compiler *compiler, const struct rte_flow_action *action)
{
	static const uint8_t minus_one = UINT8_MAX;

	if (require_layer(compiler, action, FLOW_HAS_IPV4 | FLOW_HAS_IPV6) < 0)
		return -rte_errno;
	return add_op(compiler, action, FLOW_ADD_TTL, &minus_one, sizeof(minus_one));
}

static int compile_end(struct action_compiler *compiler, const struct rte_flow_action *action)
{
	if (compiler->cut_l2)
		return refuse_action(compiler, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION, action,
				     "RAW_DECAP of an Ethernet header needs a RAW_ENCAP behind it");
	if (compiler->has_fate)
		return 0;
	return refuse_action(compiler, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION_NUM, action,
			     "no action says where the frame goes");
}

int compile_action(struct action_compiler *compiler, const struct rte_flow_action *action)
{
	switch ((int)action->type) {
	case RTE_FLOW_ACTION_TYPE_END:
		return compile_end(compiler, action);
	case RTE_FLOW_ACTION_TYPE_VOID:
		return 0;
	case RTE_FLOW_ACTION_TYPE_DROP:
		return compile_drop(compiler, action);
	case RTE_FLOW_ACTION_TYPE_JUMP:
		return compile_jump(compiler, action);
	case RTE_FLOW_ACTION_TYPE_REPRESENTED_PORT:
	case RTE_FLOW_ACTION_TYPE_PORT_REPRESENTOR:
		return compile_port(compiler, action);
	case RTE_FLOW_ACTION_TYPE_COUNT:
		return compile_count(compiler, action);
	case RTE_FLOW_ACTION_TYPE_METER:
		return compile_meter(compiler, action);
	case RTE_FLOW_ACTION_TYPE_AGE:
		return compile_age(compiler, action);
	case RTE_FLOW_ACTION_TYPE_INDIRECT:
		return compile_indirect(compiler, action);
	case RTE_FLOW_ACTION_TYPE_SET_META:
		return compile_set_meta(compiler, action);
	case RTE_FLOW_ACTION_TYPE_SET_TAG:
		return compile_set_tag(compiler, action);
	case RTE_FLOW_ACTION_TYPE_SET_MAC_SRC:
	case RTE_FLOW_ACTION_TYPE_SET_MAC_DST:
	case RTE_FLOW_ACTION_TYPE_SET_IPV4_SRC:
	case RTE_FLOW_ACTION_TYPE_SET_IPV4_DST:
	case RTE_FLOW_ACTION_TYPE_SET_IPV6_SRC:
	case RTE_FLOW_ACTION_TYPE_SET_IPV6_DST:
	case RTE_FLOW_ACTION_TYPE_SET_TP_SRC:
	case RTE_FLOW_ACTION_TYPE_SET_TP_DST:
	case RTE_FLOW_ACTION_TYPE_SET_TTL:
		return compile_set(compiler, action);
	case RTE_FLOW_ACTION_TYPE_OF_PUSH_VLAN:
		return compile_push_vlan(compiler, action);
	case RTE_FLOW_ACTION_TYPE_OF_POP_VLAN:
		return compile_pop_vlan(compiler, action);
	case RTE_FLOW_ACTION_TYPE_OF_SET_VLAN_VID:
	case RTE_FLOW_ACTION_TYPE_OF_SET_VLAN_PCP:
		return compile_set_vlan(compiler, action);
	case RTE_FLOW_ACTION_TYPE_VXLAN_ENCAP:
		return compile_vxlan_encap(compiler, action);
	case RTE_FLOW_ACTION_TYPE_VXLAN_DECAP:
		return compile_vxlan_decap(compiler, action);
	case RTE_FLOW_ACTION_TYPE_RAW_ENCAP:
		return compile_raw_encap(compiler, action);
	case RTE_FLOW_ACTION_TYPE_RAW_DECAP:
		return compile_raw_decap(compiler, action);
	case RTE_FLOW_ACTION_TYPE_DEC_TTL:
		return compile_dec_ttl(compiler, action);
	case RTE_FLOW_ACTION_TYPE_MODIFY_FIELD:
		return compile_modify_field(compiler, action);
	default:
		return refuse_action(compiler, ENOTSUP, RTE_FLOW_ERROR_TYPE_ACTION, action,
				     "unknown action");
	}
}

// ---- lists ----------------------------------------------------------------------------------------------

void compiler_init(struct action_compiler *compiler, struct device *device,
		   const struct flow_match *match, uint32_t group, struct rte_flow_error *error)
{
	*compiler = (struct action_compiler){
		.device = device,
		.error = error,
		.group = group,
		.layers = match->mask.outer.layers & match->value.outer.layers,
		.inner_layers =
			(match->mask.inner.layers & match->value.inner.layers) | FLOW_HAS_ETH,
		.in_tunnel = match->mask.tunnel & match->value.tunnel,
	};
	compiler->in_vxlan = compiler->in_tunnel && match->value.tunnel == FLOW_TUNNEL_VXLAN;
}

// What the operations hold.
static void release_ops(const struct flow_op *ops, uint16_t count)
{
	for (uint16_t i = 0; i < count; i++) {
		if (ops[i].kind == FLOW_ENCAP)
			free(ops[i].encap);
		else if (ops[i].kind == FLOW_METER && ops[i].meter != NULL)
			meter_release(ops[i].meter);
	}
}

void compiler_clear(struct action_compiler *compiler)
{
	release_ops(compiler->ops, compiler->op_count);
	compiler->op_count = 0;
}

int make_actions(struct action_compiler *compiler, struct flow_actions **ret_actions)
{
	uint16_t count = compiler->op_count + 1;
	struct flow_actions *made = calloc(1, sizeof(*made) + count * sizeof(made->ops[0]));

	if (made == NULL) {
		compiler_clear(compiler);
		return refuse_out_of_memory(compiler);
	}
	made->count = compiler->count;
	made->age = compiler->age;
	made->age_timeout_s = compiler->age_timeout_s;
	made->age_context = compiler->age_context;
	made->shared_count = compiler->shared_count;
	made->shared_age = compiler->shared_age;
	if (made->shared_count != NULL)
		flow_shared_get(made->shared_count);
	if (made->shared_age != NULL)
		flow_shared_get(made->shared_age);
	made->op_count = count;
	memcpy(made->ops, compiler->ops, compiler->op_count * sizeof(made->ops[0]));
	made->ops[compiler->op_count] = compiler->fate;
	compiler->op_count = 0; // what they hold is the program's
	*ret_actions = made;
	return 0;
}

int flow_actions_compile(struct device *device, const struct flow_match *match, uint32_t group,
			 const struct rte_flow_action actions[], struct flow_actions **ret_actions,
			 struct rte_flow_error *error)
{
	struct action_compiler compiler;

	compiler_init(&compiler, device, match, group, error);
	if (actions == NULL)
		return refuse_action(&compiler, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION_NUM, NULL,
				     "no actions");
	do {
		if (compile_action(&compiler, actions) < 0) {
			compiler_clear(&compiler);
			return -rte_errno;
		}
	} while (actions++->type != RTE_FLOW_ACTION_TYPE_END);
	return make_actions(&compiler, ret_actions);
}

void flow_actions_free(struct flow_actions *actions)
{
	if (actions == NULL)
		return;
	if (actions->shared_count != NULL)
		flow_shared_put(actions->shared_count);
	if (actions->shared_age != NULL)
		flow_shared_put(actions->shared_age);
	release_ops(actions->ops, actions->op_count);
	free(actions);
}

bool flow_actions_lead_to(const struct flow_actions *actions, const struct function *function)
{
	const struct flow_op *fate = &actions->ops[actions->op_count - 1];

	return (fate->kind == FLOW_TO_FUNCTION || fate->kind == FLOW_TO_PORT) &&
	       fate->function == function;
}
