// SPDX-License-Identifier: BSD-3-Clause

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "sim/simnic/compat.h"
#include "sim/simnic/flow_match_private.h"

int refuse(struct compiler *compiler, int code, enum rte_flow_error_type type,
	   const struct item *item, const char *why)
{
	return rte_flow_error_set(compiler->error, code, type, item->cause, why);
}

// ---- fields ---------------------------------------------------------------------------------------------

static uint32_t load(const uint8_t *bytes, uint8_t size, bool host_order)
{
	uint32_t value = 0;

	if (host_order) {
		memcpy(&value, bytes, sizeof(value)); // those are all of 4 bytes
		return value;
	}
	for (uint8_t i = 0; i < size; i++)
		value = value << 8 | bytes[i];
	return value;
}

static bool same_masked(const uint8_t *a, const uint8_t *b, const uint8_t *mask, uint8_t size)
{
	for (uint8_t i = 0; i < size; i++)
		if ((a[i] ^ b[i]) & mask[i])
			return false;
	return true;
}

static bool all_zero(const uint8_t *bytes, const uint8_t *mask, uint8_t size)
{
	for (uint8_t i = 0; i < size; i++)
		if (bytes[i] & mask[i])
			return false;
	return true;
}

static int add_range(struct compiler *compiler, const struct item *item,
		     const struct flow_range *range)
{
	struct flow_match *match = &compiler->match;
	unsigned int at = match->range_count;

	if (range->last < range->first)
		return refuse(compiler, EINVAL, RTE_FLOW_ERROR_TYPE_ITEM_LAST, item,
			      "last is below spec");
	if (at == FLOW_RANGES_MAX)
		return refuse(compiler, ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_LAST, item,
			      "at most 8 ranges in a pattern");
	for (; at > 0 && match->ranges[at - 1].offset > range->offset; at--)
		match->ranges[at] = match->ranges[at - 1];
	match->ranges[at] = *range;
	match->range_count++;
	return 0;
}

int compile_field(struct compiler *compiler, const struct item *item, uint8_t from, uint8_t size,
		  uint16_t offset, bool host_order)
{
	const uint8_t *mask = (const uint8_t *)item->mask + from;
	uint8_t *key_mask = (uint8_t *)&compiler->match.mask + offset;
	uint8_t *key_value = (uint8_t *)&compiler->match.value + offset;

	if (all_zero(mask, mask, size))
		return 0;
	if (item->last != NULL) {
		const uint8_t *first = (const uint8_t *)item->constant + from,
			      *last = (const uint8_t *)item->last + from;

		if (!all_zero(last, mask, size) && !same_masked(first, last, mask, size)) {
			struct flow_range range = {
				.offset = offset, .size = size, .host_order = host_order};

			if (size > sizeof(range.mask))
				return refuse(compiler, ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_LAST,
					      item, "no ranges of MAC and IPv6 addresses");
			range.mask = load(mask, size, host_order);
			range.first = load(first, size, host_order) & range.mask;
			range.last = load(last, size, host_order) & range.mask;
			return add_range(compiler, item, &range);
		}
	}
	if (compiler->mode == RULE && item->spec == NULL)
		return refuse(compiler, EINVAL, RTE_FLOW_ERROR_TYPE_ITEM_SPEC, item,
			      "the template has a mask for it");
	for (uint8_t i = 0; i < size; i++) {
		key_mask[i] |= mask[i];
		if (item->spec != NULL)
			key_value[i] |= mask[i] & ((const uint8_t *)item->spec)[from + i];
	}
	return 0;
}

static int compile_fields(struct compiler *compiler, const struct item *item,
			  const struct item_kind *kind)
{
	uint16_t base = 0;
	uint8_t rest[64];
	int error = 0;

	if (!kind->in_key)
		base = compiler->level == 0 ? offsetof(struct flow_key, outer)
					    : offsetof(struct flow_key, inner);
	memcpy(rest, item->mask, kind->header_size);
	for (uint8_t i = 0; error == 0 && i < kind->field_count; i++) {
		const struct field *field = &kind->fields[i];

		error = compile_field(compiler, item, field->from, field->size, base + field->to,
				      kind->host_order);
		memset(rest + field->from, 0, field->size);
	}
	if (error == 0 && !all_zero(rest, rest, kind->header_size))
		error = refuse(compiler, ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_MASK, item,
			       "a field that cannot be matched");
	return error;
}

int require_layers(struct compiler *compiler, const struct item *item, unsigned int level,
		   uint16_t mask, uint16_t value)
{
	struct flow_match *match = &compiler->match;
	struct flow_headers *values = level == 0 ? &match->value.outer : &match->value.inner,
			    *masks = level == 0 ? &match->mask.outer : &match->mask.inner;

	// A template's values are known in its rules only.
	if (compiler->mode != TEMPLATE && (masks->layers & mask & (values->layers ^ value)))
		return refuse(compiler, EINVAL, RTE_FLOW_ERROR_TYPE_ITEM, item,
			      "contradicts an item before it");
	masks->layers |= mask;
	values->layers |= value & mask;
	return 0;
}

// ---- the order of layers --------------------------------------------------------------------------------

static int misplaced(struct compiler *compiler, const struct item *item)
{
	return refuse(compiler, EINVAL, RTE_FLOW_ERROR_TYPE_ITEM, item,
		      "not after the items before it");
}

static int place_ethernet(struct compiler *compiler, const struct item *item)
{
	if (compiler->layer != AT_START && compiler->layer != AT_TUNNEL)
		return misplaced(compiler, item);
	compiler->layer = AT_L2;
	return FLOW_HAS_ETH;
}

static int place_vlan(struct compiler *compiler, const struct item *item)
{
	if (compiler->layer != AT_START && compiler->layer != AT_L2)
		return misplaced(compiler, item);
	if (compiler->tags == 2)
		return refuse(compiler, ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM, item,
			      "at most two VLAN tags");
	compiler->layer = AT_L2;
	return compiler->tags++ == 0 ? FLOW_HAS_VLAN : FLOW_HAS_VLAN | FLOW_HAS_VLAN2;
}

static int place_ip(struct compiler *compiler, const struct item *item, uint16_t bit)
{
	if (compiler->layer != AT_START && compiler->layer != AT_L2)
		return misplaced(compiler, item);
	compiler->layer = AT_L3;
	compiler->ip = bit;
	return bit;
}

// ip: the version it needs, if one was named; 0: any.
static int place_l4(struct compiler *compiler, const struct item *item, uint16_t bit, uint16_t ip)
{
	if (compiler->layer != AT_START && compiler->layer != AT_L3 &&
	    compiler->layer != AT_FRAGMENT)
		return misplaced(compiler, item);
	if (compiler->layer != AT_START && ip != 0 && compiler->ip != ip)
		return misplaced(compiler, item);
	compiler->layer = AT_L4;
	compiler->l4 = bit;
	return bit;
}

#if HAS_ICMP6_ECHO_ITEMS
static int place_echo(struct compiler *compiler, const struct item *item)
{
	int layer = place_l4(compiler, item, FLOW_HAS_ICMP6, FLOW_HAS_IPV6);

	if (layer < 0)
		return layer;
	compiler->layer = AT_REST;
	return layer | FLOW_HAS_ICMP_REST;
}
#endif

// What follows the last item: only behind ICMP6 the key has it.
static int place_raw(struct compiler *compiler, const struct item *item)
{
	if (compiler->layer != AT_L4 || compiler->l4 != FLOW_HAS_ICMP6)
		return refuse(compiler, ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM, item,
			      "RAW is known directly behind ICMP6 only");
	if (item->mask == NULL)
		return refuse(compiler, EINVAL, RTE_FLOW_ERROR_TYPE_ITEM, item,
			      "RAW needs its spec, and in a template its mask");
	compiler->layer = AT_REST;
	return FLOW_HAS_ICMP6 | FLOW_HAS_ICMP_REST;
}

static int place_tunnel(struct compiler *compiler, const struct item *item, uint8_t tunnel)
{
	if (compiler->level > 0)
		return refuse(compiler, ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM, item,
			      "no tunnels in tunnels");
	if (compiler->layer != AT_START &&
	    !(compiler->layer == AT_L4 && compiler->l4 == FLOW_HAS_UDP))
		return misplaced(compiler, item);
	compiler->layer = AT_TUNNEL;
	if (!(compiler->relaxed && item->mask == NULL)) {
		compiler->match.mask.tunnel = UINT8_MAX;
		compiler->match.value.tunnel = tunnel;
	}
	return FLOW_HAS_UDP;
}

// Returns the layer bits that the item asks for, or a negative errno.
static int place(struct compiler *compiler, const struct item *item)
{
	switch ((int)item->cause->type) {
	case RTE_FLOW_ITEM_TYPE_ETH:
		return place_ethernet(compiler, item);
	case RTE_FLOW_ITEM_TYPE_VLAN:
		return place_vlan(compiler, item);
	case RTE_FLOW_ITEM_TYPE_IPV4:
		return place_ip(compiler, item, FLOW_HAS_IPV4);
	case RTE_FLOW_ITEM_TYPE_IPV6:
		return place_ip(compiler, item, FLOW_HAS_IPV6);
	case RTE_FLOW_ITEM_TYPE_IPV6_FRAG_EXT:
		if (compiler->layer != AT_L3 || compiler->ip != FLOW_HAS_IPV6)
			return misplaced(compiler, item);
		compiler->layer = AT_FRAGMENT;
		return FLOW_HAS_FRAGMENT;
	case RTE_FLOW_ITEM_TYPE_TCP:
		return place_l4(compiler, item, FLOW_HAS_TCP, 0);
	case RTE_FLOW_ITEM_TYPE_UDP:
		return place_l4(compiler, item, FLOW_HAS_UDP, 0);
	case RTE_FLOW_ITEM_TYPE_ICMP:
		return place_l4(compiler, item, FLOW_HAS_ICMP, FLOW_HAS_IPV4);
	case RTE_FLOW_ITEM_TYPE_ICMP6:
		return place_l4(compiler, item, FLOW_HAS_ICMP6, FLOW_HAS_IPV6);
#if HAS_ICMP6_ECHO_ITEMS
	case RTE_FLOW_ITEM_TYPE_ICMP6_ECHO_REQUEST:
	case RTE_FLOW_ITEM_TYPE_ICMP6_ECHO_REPLY:
		return place_echo(compiler, item);
#endif
	case RTE_FLOW_ITEM_TYPE_RAW:
		return place_raw(compiler, item);
	case RTE_FLOW_ITEM_TYPE_VXLAN:
		return place_tunnel(compiler, item, FLOW_TUNNEL_VXLAN);
	case RTE_FLOW_ITEM_TYPE_GENEVE:
		return place_tunnel(compiler, item, FLOW_TUNNEL_GENEVE);
	default:
		return 0; // not a layer
	}
}

// ---- patterns -------------------------------------------------------------------------------------------

static int compile_item(struct compiler *compiler, const struct item *item,
			const struct item_kind *kind)
{
	int error = 0, layers = place(compiler, item);

	if (layers < 0)
		return layers;
	if (!compiler->relaxed || item->mask != NULL) {
		error = require_layers(compiler, item, compiler->level, layers, layers);
		if (error == 0 && item->mask != NULL)
			error = compile_fields(compiler, item, kind);
		if (error == 0 && kind->special != NULL)
			error = kind->special(compiler, item);
	}
	if (compiler->layer == AT_TUNNEL && compiler->level == 0) {
		compiler->level = 1;
		compiler->tags = 0;
	}
	return error;
}

// What counts of an item. `values` is the rule's item, else the same.
static int prepare(struct compiler *compiler, const struct rte_flow_item *from,
		   const struct rte_flow_item *values, const struct item_kind *kind,
		   struct item *ret_item)
{
	struct item item = {
		.cause = values,
		.spec = compiler->mode == TEMPLATE ? NULL : values->spec,
		.constant = from->spec,
		.last = from->last,
		.mask = from->mask,
	};

	if (from->spec == NULL &&
	    (from->last != NULL || (from->mask != NULL && compiler->mode == PATTERN)))
		return refuse(compiler, EINVAL, RTE_FLOW_ERROR_TYPE_ITEM, &item,
			      "mask or last without spec");
	if (compiler->mode == PATTERN && item.spec != NULL && item.mask == NULL) {
		item.mask = kind->default_mask;
		if (item.mask == NULL)
			return refuse(compiler, EINVAL, RTE_FLOW_ERROR_TYPE_ITEM_MASK, &item,
				      "the item has no default mask");
	}
	*ret_item = item;
	return 0;
}

static const struct rte_flow_item *skip_void(const struct rte_flow_item *item)
{
	while (item->type == RTE_FLOW_ITEM_TYPE_VOID)
		item++;
	return item;
}

// from: the pattern or template; values: the rule of the template, else the same.
static int compile(struct compiler *compiler, const struct rte_flow_item *from,
		   const struct rte_flow_item *values, struct flow_match *ret_match)
{
	struct item item;
	int error;

	if (from == NULL || values == NULL)
		return rte_flow_error_set(compiler->error, EINVAL, RTE_FLOW_ERROR_TYPE_ITEM_NUM,
					  NULL, "no pattern");
	for (unsigned int count = 0;; count++, from++, values++) {
		const struct item_kind *kind;

		from = skip_void(from);
		values = skip_void(values);
		item = (struct item){.cause = values};
		if (from->type != values->type)
			return refuse(compiler, EINVAL, RTE_FLOW_ERROR_TYPE_ITEM, &item,
				      "not the item that the template has here");
		if (from->type == RTE_FLOW_ITEM_TYPE_END)
			break;
		if (count == FLOW_ITEMS_MAX)
			return refuse(compiler, ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_NUM, &item,
				      "too many items");
		kind = item_kind(from->type, compiler->tags);
		if (kind == NULL)
			return refuse(compiler, ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM, &item,
				      "unknown item");
		error = prepare(compiler, from, values, kind, &item);
		if (error == 0)
			error = compile_item(compiler, &item, kind);
		if (error < 0)
			return error;
	}
	*ret_match = compiler->match;
	return 0;
}

int flow_match_compile(const struct device *device, const struct rte_flow_item pattern[],
		       struct flow_match *ret_match, struct rte_flow_error *error)
{
	struct compiler compiler = {.device = device, .mode = PATTERN, .error = error};

	return compile(&compiler, pattern, pattern, ret_match);
}

int flow_match_compile_template(const struct device *device, const struct rte_flow_item template[],
				bool relaxed, struct flow_match *ret_match,
				struct rte_flow_error *error)
{
	struct compiler compiler = {
		.device = device, .mode = TEMPLATE, .relaxed = relaxed, .error = error};

	return compile(&compiler, template, template, ret_match);
}

int flow_match_compile_rule(const struct device *device, const struct rte_flow_item template[],
			    bool relaxed, const struct rte_flow_item pattern[],
			    struct flow_match *ret_match, struct rte_flow_error *error)
{
	struct compiler compiler = {
		.device = device, .mode = RULE, .relaxed = relaxed, .error = error};

	return compile(&compiler, template, pattern, ret_match);
}
