// SPDX-License-Identifier: BSD-3-Clause

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "sim/simnic/flow_dump.h"

enum { PIECE = 128 }; // rules that are printed before it is the frames' turn again

// ---- fields of the key ----------------------------------------------------------------------------------

enum format { NUMBER, HEX, HOST, MAC, ADDRESS };

struct field {
	const char *name;
	uint16_t offset;
	uint8_t size;
	enum format format;
};

#define KEY(member, format)                                                                        \
	{                                                                                          \
#member, offsetof(struct flow_key, member),                                        \
			sizeof(((struct flow_key *)0)->member), format                             \
	}
#define HEADER(member, format)                                                                     \
	{                                                                                          \
#member, offsetof(struct flow_headers, member),                                    \
			sizeof(((struct flow_headers *)0)->member), format                         \
	}

static const struct field key_fields[] = {
	KEY(tunnel, NUMBER),       KEY(vni, HEX),
	KEY(vxlan_flags, HEX),     KEY(geneve_ver_opt, HEX),
	KEY(geneve_protocol, HEX), KEY(metadata, HOST),
	KEY(tags[0], HOST),        KEY(tags[1], HOST),
	KEY(tags[2], HOST),        KEY(tags[3], HOST),
};

static const struct field header_fields[] = {
	HEADER(mac_dst, MAC),
	HEADER(mac_src, MAC),
	HEADER(outer_type, HEX),
	HEADER(vlan_tci[0], HEX),
	HEADER(vlan_tci[1], HEX),
	HEADER(vlan_inner_type, HEX),
	HEADER(ether_type, HEX),
	HEADER(ipv4_version_ihl, HEX),
	HEADER(tos, HEX),
	HEADER(ipv6_flow, HEX),
	HEADER(ipv6_next, NUMBER),
	HEADER(fragment, HEX),
	HEADER(ttl, NUMBER),
	HEADER(protocol, NUMBER),
	HEADER(ip_src, ADDRESS),
	HEADER(ip_dst, ADDRESS),
	HEADER(port_src, NUMBER),
	HEADER(port_dst, NUMBER),
	HEADER(tcp_flags, HEX),
	HEADER(length, NUMBER),
	HEADER(icmp_identifier, NUMBER),
	HEADER(icmp_sequence, NUMBER),
};

static const struct {
	const char *name;
	uint16_t bit;
} layer_names[] = {
	{"eth", FLOW_HAS_ETH},
	{"vlan", FLOW_HAS_VLAN},
	{"vlan2", FLOW_HAS_VLAN2},
	{"ipv4", FLOW_HAS_IPV4},
	{"ipv6", FLOW_HAS_IPV6},
	{"fragment", FLOW_HAS_FRAGMENT},
	{"tcp", FLOW_HAS_TCP},
	{"udp", FLOW_HAS_UDP},
	{"icmp", FLOW_HAS_ICMP},
	{"icmp6", FLOW_HAS_ICMP6},
	{"icmp_rest", FLOW_HAS_ICMP_REST},
	{"l3_ok", FLOW_L3_OK},
};

static uint32_t number(const uint8_t *bytes, uint8_t size, bool host_order)
{
	uint32_t value = 0;

	if (host_order) {
		memcpy(&value, bytes, size);
		return value;
	}
	for (uint8_t i = 0; i < size; i++)
		value = value << 8 | bytes[i];
	return value;
}

static void print_bytes(FILE *file, const uint8_t *bytes, uint8_t size, enum format format,
			bool ipv4)
{
	char text[INET6_ADDRSTRLEN];

	switch (format) {
	case MAC:
		for (uint8_t i = 0; i < size; i++)
			fprintf(file, "%s%02x", i > 0 ? ":" : "", bytes[i]);
		break;
	case ADDRESS:
		fputs(inet_ntop(ipv4 ? AF_INET : AF_INET6, bytes, text, sizeof(text)), file);
		break;
	case HEX:
		fprintf(file, "0x%x", number(bytes, size, false));
		break;
	default:
		fprintf(file, "%u", number(bytes, size, format == HOST));
		break;
	}
}

static bool all_bytes(const uint8_t *bytes, uint8_t size, uint8_t value)
{
	for (uint8_t i = 0; i < size; i++)
		if (bytes[i] != value)
			return false;
	return true;
}

static void print_field(FILE *file, const char *prefix, const struct field *field,
			const uint8_t *value, const uint8_t *mask, bool ipv4)
{
	uint8_t size = field->format == ADDRESS && ipv4 ? 4 : field->size;

	if (all_bytes(mask + field->offset, field->size, 0))
		return;
	fprintf(file, " %s%s=", prefix, field->name);
	print_bytes(file, value + field->offset, size, field->format, ipv4);
	if (all_bytes(mask + field->offset, size, 0xff))
		return;
	fputs("/", file);
	print_bytes(file, mask + field->offset, size, field->format, ipv4);
}

static void print_headers(FILE *file, const char *prefix, const struct flow_headers *value,
			  const struct flow_headers *mask)
{
	for (unsigned int i = 0; i < RTE_DIM(layer_names); i++)
		if (mask->layers & layer_names[i].bit)
			fprintf(file, " %s%s%s", value->layers & layer_names[i].bit ? "" : "!",
				prefix, layer_names[i].name);
	for (unsigned int i = 0; i < RTE_DIM(header_fields); i++)
		print_field(file, prefix, &header_fields[i], (const uint8_t *)value,
			    (const uint8_t *)mask, value->layers & FLOW_HAS_IPV4);
}

static void print_range(FILE *file, const struct flow_range *range)
{
	const struct field *fields = key_fields;
	size_t count = RTE_DIM(key_fields), base = 0;
	const char *prefix = "";

	if (range->offset >= offsetof(struct flow_key, outer)) {
		fields = header_fields;
		count = RTE_DIM(header_fields);
		base = offsetof(struct flow_key, outer);
	}
	if (range->offset >= offsetof(struct flow_key, inner)) {
		base = offsetof(struct flow_key, inner);
		prefix = "inner.";
	}
	for (size_t i = 0; i < count; i++)
		if (fields[i].offset <= range->offset - base &&
		    range->offset - base < fields[i].offset + (size_t)fields[i].size)
			fprintf(file, " %s%s", prefix, fields[i].name);
	fprintf(file, "=%u-%u", range->first, range->last);
	if (range->mask != (uint32_t)(UINT64_MAX >> (64 - 8 * range->size)))
		fprintf(file, "/0x%x", range->mask);
}

static void print_function(FILE *file, uint16_t index)
{
	if (index == CARD_INDEX_WIRE)
		fputs("wire", file);
	else if (index == CARD_INDEX_PF)
		fputs("pf", file);
	else
		fprintf(file, "vf%u", index - CARD_INDEX_VF0);
}

static void print_match(FILE *file, const struct flow_match *match)
{
	if (match->mask.from_port == 0)
		fputs(" any", file);
	else
		fputs(match->value.from_port ? " port of " : " ", file);
	if (match->mask.origin != 0)
		print_function(file, match->value.origin);
	else if (match->mask.from_port != 0)
		fputs("any function", file);
	fputs(":", file);
	for (unsigned int i = 0; i < RTE_DIM(key_fields); i++)
		print_field(file, "", &key_fields[i], (const uint8_t *)&match->value,
			    (const uint8_t *)&match->mask, false);
	print_headers(file, "", &match->value.outer, &match->mask.outer);
	print_headers(file, "inner.", &match->value.inner, &match->mask.inner);
	for (unsigned int i = 0; i < match->range_count; i++)
		print_range(file, &match->ranges[i]);
}

// ---- actions --------------------------------------------------------------------------------------------

static const struct {
	const char *name;
	enum { NOTHING, BYTES, NUMBER_MASK, FUNCTION, ENCAP } argument;
	uint8_t size;
	enum format format;
} ops[] = {
	[FLOW_SET_MAC_SRC] = {"set_mac_src", BYTES, 6, MAC},
	[FLOW_SET_MAC_DST] = {"set_mac_dst", BYTES, 6, MAC},
	[FLOW_SET_IPV4_SRC] = {"set_ipv4_src", BYTES, 4, ADDRESS},
	[FLOW_SET_IPV4_DST] = {"set_ipv4_dst", BYTES, 4, ADDRESS},
	[FLOW_SET_IPV6_SRC] = {"set_ipv6_src", BYTES, 16, ADDRESS},
	[FLOW_SET_IPV6_DST] = {"set_ipv6_dst", BYTES, 16, ADDRESS},
	[FLOW_SET_PORT_SRC] = {"set_port_src", BYTES, 2, NUMBER},
	[FLOW_SET_PORT_DST] = {"set_port_dst", BYTES, 2, NUMBER},
	[FLOW_SET_TTL] = {"set_ttl", BYTES, 1, NUMBER},
	[FLOW_ADD_TTL] = {"add_ttl", BYTES, 1, NUMBER},
	[FLOW_METER] = {"meter", NOTHING, 0, NUMBER},
	[FLOW_PUSH_VLAN] = {"push_vlan", BYTES, 2, HEX},
	[FLOW_POP_VLAN] = {"pop_vlan", NOTHING, 0, NUMBER},
	[FLOW_SET_VLAN] = {"set_vlan", NUMBER_MASK, 0, NUMBER},
	[FLOW_ENCAP] = {"encap", ENCAP, 0, NUMBER},
	[FLOW_CUT] = {"cut", BYTES, 4, HOST},
	[FLOW_DECAP_TUNNEL] = {"decap_tunnel", NOTHING, 0, NUMBER},
	[FLOW_SET_META] = {"set_meta", NUMBER_MASK, 0, NUMBER},
	[FLOW_SET_TAG] = {"set_tag", NUMBER_MASK, 0, NUMBER},
	[FLOW_COUNT_SHARED] = {"indirect", NOTHING, 0, NUMBER},
	[FLOW_DROP] = {"drop", NOTHING, 0, NUMBER},
	[FLOW_JUMP] = {"jump", BYTES, 4, HOST},
	[FLOW_TO_FUNCTION] = {"function", FUNCTION, 0, NUMBER},
	[FLOW_TO_PORT] = {"port", FUNCTION, 0, NUMBER},
};

static void print_op(FILE *file, const struct flow_op *op)
{
	fprintf(file, " %s",
		op->kind < RTE_DIM(ops) && ops[op->kind].name ? ops[op->kind].name : "?");
	if (op->kind >= RTE_DIM(ops) || ops[op->kind].argument == NOTHING)
		return;
	if (op->kind == FLOW_SET_TAG)
		fprintf(file, "[%u]", op->index);
	fputs("=", file);
	switch (ops[op->kind].argument) {
	case BYTES:
		print_bytes(file, op->bytes, ops[op->kind].size, ops[op->kind].format,
			    ops[op->kind].size == 4);
		break;
	case NUMBER_MASK:
		fprintf(file, "0x%x/0x%x", op->number, op->mask);
		break;
	case FUNCTION:
		print_function(file, op->function->index);
		break;
	case ENCAP:
		for (uint16_t i = 0; i < op->encap->size; i++)
			fprintf(file, "%02x", op->encap->data[i]);
		break;
	default:
		break;
	}
}

static void print_rule(FILE *file, const struct rte_flow *rule)
{
	const struct flow_actions *actions = rule->flow.actions;
	struct flow_match match;

	fprintf(file, "group=%u priority=%u", rule->flow.group, rule->flow.priority);
	if (rule->flow.table != NULL) {
		flow_match_of(&rule->flow, &match);
		print_match(file, &match);
	} else {
		fputs(" not in force", file);
	}
	fputs(" ->", file);
	for (uint16_t i = 0; actions != NULL && i < actions->op_count; i++)
		print_op(file, &actions->ops[i]);
	if (actions != NULL && actions->count)
		fputs(" count", file);
	if (actions != NULL && actions->age)
		fprintf(file, " age=%us", actions->age_timeout_s);
	fprintf(file, "; hits=%" PRIu64 " bytes=%" PRIu64 "\n", counter_read(&rule->flow.hits),
		counter_read(&rule->flow.bytes));
}

// ---- all of a port --------------------------------------------------------------------------------------

struct piece {
	struct function *owner;
	const struct rte_flow *only;
	FILE *memory;
	size_t from, next; // places in the list of rules; next 0: that was all
};

// In the pipeline's thread: there rules stay what they are. It writes to memory and does not block.
static void print_piece(void *argument)
{
	struct piece *piece = argument;
	const struct rte_flow *rule;
	size_t place = 0, printed = 0;

	piece->next = 0;
	if (piece->only != NULL) {
		print_rule(piece->memory, piece->only);
		return;
	}
	TAILQ_FOREACH (rule, &piece->owner->device->eswitch->rules, next) {
		if (place++ < piece->from || rule->owner != piece->owner->index)
			continue;
		print_rule(piece->memory, rule);
		if (++printed == PIECE) {
			piece->next = place;
			return;
		}
	}
}

int flow_dump(struct function *owner, const struct rte_flow *only, FILE *file)
{
	struct piece piece = {.owner = owner, .only = only};

	do {
		char *text = NULL;
		size_t size;

		piece.from = piece.next;
		piece.memory = open_memstream(&text, &size);
		if (piece.memory == NULL)
			return -ENOMEM;
		pipeline_call(owner->device, print_piece, &piece);
		if (fclose(piece.memory) == 0)
			fwrite(text, 1, size, file);
		free(text);
	} while (piece.next != 0);
	return 0;
}
