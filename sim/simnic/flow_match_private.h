// SPDX-License-Identifier: BSD-3-Clause
//
// Between the compiler of patterns (flow_match.c), which knows about spec, last, mask and the order of layers, and the
// table of items (flow_match_items.c, flow_match_icmp.c), which knows where their fields are. For these files only.

#pragma once

#include "sim/simnic/flow_match.h"

enum flow_match_mode { PATTERN, TEMPLATE, RULE };

struct compiler {
	const struct device *device;
	enum flow_match_mode mode;
	bool relaxed;
	struct flow_match match;
	struct rte_flow_error *error;
	unsigned int level; // 0: outer headers, 1: in the tunnel
	// Of the last item. AT_REST: nothing can follow.
	enum { AT_START, AT_L2, AT_L3, AT_FRAGMENT, AT_L4, AT_REST, AT_TUNNEL } layer;
	unsigned int tags;     // VLAN items at this level
	uint16_t ip;           // FLOW_HAS_IPV4 or FLOW_HAS_IPV6, of this level
	uint16_t l4;           // the layer-4 item's bit, of this level
	bool origin, metadata; // such an item was there
	unsigned int tag_seen; // bits by TAG index
};

// One item, with what counts of it in this mode.
struct item {
	const struct rte_flow_item *cause;
	const void *spec;     // NULL: not known, or not asked for
	const void *constant; // what ranges start from, and what a template says for all its rules
	const void *last;     // NULL: no ranges; else constant is there
	const void *mask;     // NULL: nothing of the header
};

// size bytes at `from` in the item, at `to` in struct flow_headers (or flow_key).
struct field {
	uint8_t from, size, to;
};

struct item_kind {
	const void *default_mask; // NULL: the API has none
	uint8_t header_size;      // bytes of the item in which all mask bits must be in `fields`
	bool in_key;              // fields[].to is in struct flow_key
	bool host_order;
	uint8_t field_count;
	const struct field *fields;
	// What fields cannot say; NULL: nothing.
	int (*special)(struct compiler *compiler, const struct item *item);
};

// NULL: not supported. tags: VLAN items before this one.
const struct item_kind *item_kind(enum rte_flow_item_type type, unsigned int tags);

// Compile one field of an item at `offset` in the key.
int compile_field(struct compiler *compiler, const struct item *item, uint8_t from, uint8_t size,
		  uint16_t offset, bool host_order);
// Special members of the ICMP, RAW and ICMP6_ECHO items; flow_match_icmp.c.
int compile_icmp_rest(struct compiler *compiler, const struct item *item);
int compile_raw(struct compiler *compiler, const struct item *item);
int compile_icmp6_echo(struct compiler *compiler, const struct item *item);
// Ask for layer bits to be as in value. What is asked for twice must agree.
int require_layers(struct compiler *compiler, const struct item *item, unsigned int level,
		   uint16_t mask, uint16_t value);
// Set *error and rte_errno, and return -code.
int refuse(struct compiler *compiler, int code, enum rte_flow_error_type type,
	   const struct item *item, const char *why);
