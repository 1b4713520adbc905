// SPDX-License-Identifier: BSD-3-Clause
//
// The second half of ICMP headers: the identifier and sequence number of echoes. ICMP has them as fields; ICMP6 ends before
// them, and they are asked for by an item of their own (ICMP6_ECHO_REQUEST and _REPLY), or, before DPDK has it, as the
// bytes that follow (RAW).

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "sim/simnic/compat.h"
#include "sim/simnic/flow_match_private.h"

enum { IDENTIFIER_SIZE = 2, SEQUENCE_SIZE = 2 };

_Static_assert(FLOW_RAW_MAX == IDENTIFIER_SIZE + SEQUENCE_SIZE, "what RAW items can ask for");

int compile_icmp_rest(struct compiler *compiler, const struct item *item)
{
	const struct rte_flow_item_icmp *mask = item->mask;

	if (mask == NULL || (mask->hdr.icmp_ident == 0 && mask->hdr.icmp_seq_nb == 0))
		return 0;
	return require_layers(compiler, item, compiler->level, FLOW_HAS_ICMP_REST,
			      FLOW_HAS_ICMP_REST);
}

#if HAS_ICMP6_ECHO_ITEMS
int compile_icmp6_echo(struct compiler *compiler, const struct item *item)
{
	bool request = item->cause->type == RTE_FLOW_ITEM_TYPE_ICMP6_ECHO_REQUEST;
	uint8_t type = request ? RTE_ICMP6_ECHO_REQUEST : RTE_ICMP6_ECHO_REPLY;
	struct flow_match *match = &compiler->match;
	struct flow_headers *values = &match->value.outer, *masks = &match->mask.outer;

	if (compiler->level > 0) {
		values = &match->value.inner;
		masks = &match->mask.inner;
	}
	masks->port_src = UINT16_MAX;
	values->port_src = rte_cpu_to_be_16(type << 8); // and code 0
	return 0;
}
#endif

// ---- RAW ------------------------------------------------------------------------------------------------

static struct rte_flow_item_raw masked(const struct rte_flow_item_raw *raw,
				       const struct rte_flow_item_raw *mask)
{
	return (struct rte_flow_item_raw){
		.relative = raw->relative & mask->relative,
		.search = raw->search & mask->search,
		.reserved = raw->reserved & mask->reserved,
		.offset = raw->offset & mask->offset,
		.limit = raw->limit & mask->limit,
		.length = raw->length & mask->length,
	};
}

// Where the bytes are, and how many.
static struct rte_flow_item_raw shape_of(const struct rte_flow_item_raw *constant,
					 const struct rte_flow_item_raw *mask)
{
	return masked(constant != NULL ? constant : mask, mask);
}

static bool same_shape(const struct rte_flow_item_raw *a, const struct rte_flow_item_raw *b)
{
	return a->relative == b->relative && a->search == b->search && a->reserved == b->reserved &&
	       a->offset == b->offset && a->limit == b->limit && a->length == b->length;
}

static int check_shape(struct compiler *compiler, const struct item *item,
		       const struct rte_flow_item_raw *shape)
{
	enum rte_flow_error_type type = item->constant != NULL ? RTE_FLOW_ERROR_TYPE_ITEM_SPEC
							       : RTE_FLOW_ERROR_TYPE_ITEM_MASK;

	if (item->last != NULL)
		return refuse(compiler, ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_LAST, item,
			      "RAW has no ranges");
	if (!shape->relative || shape->search || shape->reserved != 0 || shape->offset != 0 ||
	    shape->limit != 0)
		return refuse(compiler, ENOTSUP, type, item,
			      "RAW is relative, with offset 0, no search and no limit");
	if (shape->length != IDENTIFIER_SIZE && shape->length != FLOW_RAW_MAX)
		return refuse(compiler, ENOTSUP, type, item,
			      "RAW is of 2 bytes, the identifier, or 4, with the sequence number");
	return 0;
}

static int check_spec(struct compiler *compiler, const struct item *item,
		      const struct rte_flow_item_raw *shape)
{
	const struct rte_flow_item_raw *spec = item->spec;
	struct rte_flow_item_raw own;

	if (spec == NULL)
		return compiler->mode == TEMPLATE
			       ? 0
			       : refuse(compiler, EINVAL, RTE_FLOW_ERROR_TYPE_ITEM_SPEC, item,
					"the template has a mask for it");
	own = masked(spec, item->mask);
	if (!same_shape(&own, shape))
		return refuse(compiler, EINVAL, RTE_FLOW_ERROR_TYPE_ITEM_SPEC, item,
			      "not as long as the template says, or not there");
	if (spec->pattern == NULL)
		return refuse(compiler, EINVAL, RTE_FLOW_ERROR_TYPE_ITEM_SPEC, item,
			      "RAW without its bytes");
	return 0;
}

static const uint8_t *mask_bytes(const struct rte_flow_item_raw *mask)
{
	static const uint8_t all[FLOW_RAW_MAX] = {0xff, 0xff, 0xff, 0xff};

	return mask->pattern != NULL ? mask->pattern : all;
}

int compile_raw(struct compiler *compiler, const struct item *item)
{
	const struct rte_flow_item_raw *spec = item->spec;
	struct rte_flow_item_raw shape = shape_of(item->constant, item->mask);
	struct item bytes = {.cause = item->cause, .mask = mask_bytes(item->mask)};
	uint16_t base = compiler->level == 0 ? offsetof(struct flow_key, outer)
					     : offsetof(struct flow_key, inner);
	int error = check_shape(compiler, item, &shape);

	if (error == 0)
		error = check_spec(compiler, item, &shape);
	if (error < 0)
		return error;
	if (spec != NULL)
		bytes.spec = spec->pattern;
	error = compile_field(compiler, &bytes, 0, IDENTIFIER_SIZE,
			      base + offsetof(struct flow_headers, icmp_identifier), false);
	if (error == 0 && shape.length > IDENTIFIER_SIZE)
		error = compile_field(compiler, &bytes, IDENTIFIER_SIZE, SEQUENCE_SIZE,
				      base + offsetof(struct flow_headers, icmp_sequence), false);
	return error;
}

void flow_raw_complete(struct rte_flow_item *item, struct flow_raw *ret_raw)
{
	const struct rte_flow_item_raw *mask = item->mask;

	memset(ret_raw, 0, sizeof(*ret_raw));
	ret_raw->spec = shape_of(item->spec, mask);
	ret_raw->mask = *mask;
	memcpy(ret_raw->mask_bytes, mask_bytes(mask), ret_raw->spec.length);
	ret_raw->spec.pattern = ret_raw->spec_bytes;
	ret_raw->mask.pattern = ret_raw->mask_bytes;
	item->spec = &ret_raw->spec;
	item->mask = &ret_raw->mask;
}
