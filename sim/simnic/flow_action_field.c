// SPDX-License-Identifier: BSD-3-Clause
//
// MODIFY_FIELD: the same steps as the actions that it replaces. Values have the byte order and length of the matching
// rte_flow_item, as the API has it.

#include <errno.h>
#include <string.h>

#include "sim/simnic/compat.h"
#include "sim/simnic/flow_action_private.h"

struct field_kind {
	enum rte_flow_field_id id;
	enum flow_op_kind kind;
	uint16_t layers;
	uint8_t size;
};

static const struct field_kind fields[] = {
	{RTE_FLOW_FIELD_MAC_DST, FLOW_SET_MAC_DST, 0, 6},
	{RTE_FLOW_FIELD_MAC_SRC, FLOW_SET_MAC_SRC, 0, 6},
	{RTE_FLOW_FIELD_IPV4_TTL, FLOW_SET_TTL, FLOW_HAS_IPV4, 1},
	{RTE_FLOW_FIELD_IPV4_SRC, FLOW_SET_IPV4_SRC, FLOW_HAS_IPV4, 4},
	{RTE_FLOW_FIELD_IPV4_DST, FLOW_SET_IPV4_DST, FLOW_HAS_IPV4, 4},
	{RTE_FLOW_FIELD_IPV6_HOPLIMIT, FLOW_SET_TTL, FLOW_HAS_IPV6, 1},
	{RTE_FLOW_FIELD_IPV6_SRC, FLOW_SET_IPV6_SRC, FLOW_HAS_IPV6, 16},
	{RTE_FLOW_FIELD_IPV6_DST, FLOW_SET_IPV6_DST, FLOW_HAS_IPV6, 16},
	{RTE_FLOW_FIELD_TCP_PORT_SRC, FLOW_SET_PORT_SRC, FLOW_HAS_TCP, 2},
	{RTE_FLOW_FIELD_TCP_PORT_DST, FLOW_SET_PORT_DST, FLOW_HAS_TCP, 2},
	{RTE_FLOW_FIELD_UDP_PORT_SRC, FLOW_SET_PORT_SRC, FLOW_HAS_UDP, 2},
	{RTE_FLOW_FIELD_UDP_PORT_DST, FLOW_SET_PORT_DST, FLOW_HAS_UDP, 2},
};

static const struct field_kind *find_field(enum rte_flow_field_id id)
{
	for (unsigned int i = 0; i < RTE_DIM(fields); i++)
		if (fields[i].id == id)
			return &fields[i];
	return NULL;
}

static int refuse_conf(struct action_compiler *compiler, int code,
		       const struct rte_flow_action *action, const char *why)
{
	return refuse_action(compiler, code, RTE_FLOW_ERROR_TYPE_ACTION_CONF, action, why);
}

// The bytes of the source; NULL: refused.
static const uint8_t *source(struct action_compiler *compiler, const struct rte_flow_action *action)
{
	const struct rte_flow_action_modify_field *modify = action->conf;

	if (modify->src.field == RTE_FLOW_FIELD_VALUE ||
	    (modify->src.field == RTE_FLOW_FIELD_POINTER && compiler->unknown))
		return modify->src.value;
	if (modify->src.field != RTE_FLOW_FIELD_POINTER)
		(void)refuse_conf(compiler, ENOTSUP, action,
				  "only values are set, not other fields");
	else if (modify->src.pvalue == NULL)
		(void)refuse_conf(compiler, EINVAL, action, "a pointer to nowhere");
	else
		return modify->src.pvalue;
	return NULL;
}

static int check_place(struct action_compiler *compiler, const struct rte_flow_action *action,
		       const struct field_kind *field)
{
	const struct rte_flow_action_modify_field *modify = action->conf;

	if (modify->dst.level > 1)
		return refuse_conf(compiler, ENOTSUP, action, "only at the outermost level");
	if (modify->width == 0 || modify->dst.offset + (uint64_t)modify->width > field->size * 8U)
		return refuse_conf(compiler, EINVAL, action, "the field does not have these bits");
	if (modify->width != field->size * 8U)
		return refuse_conf(compiler, ENOTSUP, action, "only whole fields");
	return field->layers != 0 ? require_layer(compiler, action, field->layers) : 0;
}

// META and TAG, which are in host order, as their items.
static int modify_register(struct action_compiler *compiler, const struct rte_flow_action *action)
{
	const struct rte_flow_action_modify_field *modify = action->conf;
	bool tag = modify->dst.field == RTE_FLOW_FIELD_TAG;
	uint32_t index = tag ? modify_tag_index(&modify->dst) : 0, value;
	const uint8_t *bytes = source(compiler, action);

	if (bytes == NULL)
		return -rte_errno;
	if (index >= FLOW_TAGS || modify->operation != RTE_FLOW_MODIFY_SET)
		return refuse_conf(compiler, ENOTSUP, action, "no such index, or more than SET");
	if (modify->width == 0 || modify->dst.offset + (uint64_t)modify->width > 32)
		return refuse_conf(compiler, EINVAL, action, "the field does not have these bits");
	if (modify->width != 32)
		return refuse_conf(compiler, ENOTSUP, action, "only whole fields");
	memcpy(&value, bytes, sizeof(value));
	return add_register(compiler, action, tag ? FLOW_SET_TAG : FLOW_SET_META, index, value,
			    UINT32_MAX);
}

int compile_modify_field(struct action_compiler *compiler, const struct rte_flow_action *action)
{
	const struct rte_flow_action_modify_field *modify = action->conf;
	const struct field_kind *field;
	const uint8_t *bytes;
	uint8_t ttl;

	if (modify == NULL)
		return refuse_conf(compiler, EINVAL, action, "the action needs its configuration");
	if (modify->dst.field == RTE_FLOW_FIELD_META || modify->dst.field == RTE_FLOW_FIELD_TAG)
		return modify_register(compiler, action);
	field = find_field(modify->dst.field);
	if (field == NULL)
		return refuse_conf(compiler, ENOTSUP, action, "a field that cannot be changed");
	bytes = source(compiler, action);
	if (bytes == NULL || check_place(compiler, action, field) < 0)
		return -rte_errno;
	if (modify->operation == RTE_FLOW_MODIFY_SET)
		return add_op(compiler, action, field->kind, bytes, field->size);
	if (field->kind != FLOW_SET_TTL ||
	    (modify->operation != RTE_FLOW_MODIFY_ADD && modify->operation != RTE_FLOW_MODIFY_SUB))
		return refuse_conf(compiler, ENOTSUP, action, "only a TTL can be added to");
	ttl = modify->operation == RTE_FLOW_MODIFY_ADD ? bytes[0] : -bytes[0];
	return add_op(compiler, action, FLOW_ADD_TTL, &ttl, sizeof(ttl));
}
