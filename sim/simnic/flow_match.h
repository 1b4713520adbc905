// SPDX-License-Identifier: BSD-3-Clause
//
// A pattern of rte_flow items, compiled: value and mask in the layout of struct flow_key, and ranges for items with
// `last`. Control threads. A struct flow_match is large and lives on the stack of whoever makes a rule; what a rule
// keeps of it is in flow_table.h.

#pragma once

#include <rte_flow.h>

#include "sim/simnic/flow_key.h"

enum {
	FLOW_RANGES_MAX = 8,
	FLOW_ITEMS_MAX = 64, // of a pattern without END and VOID
	FLOW_RAW_MAX = 4,    // bytes of a RAW item
};

// A field of 1 to 4 bytes at `offset` in the key must be in first..last after masking.
struct flow_range {
	uint16_t offset;
	uint8_t size;
	bool host_order;            // of the field in the key
	uint32_t mask, first, last; // host order; mask & first == first, mask & last == last
};

struct flow_match {
	struct flow_key value; // value & ~mask is zero
	struct flow_key mask;
	struct flow_range ranges[FLOW_RANGES_MAX]; // in order of their offsets
	uint16_t range_count;
};

// Compile a pattern, with the semantics of rte_flow (spec, last, mask; a NULL mask is the item's default mask; a field of
// spec without its mask bit does not count; an item without spec asks that the header be there). Layer order is
// checked; omitted layers below the first item mean any. What is not supported, also single mask bits, is refused with the
// type that rte_flow.h prescribes (ITEM, ITEM_SPEC, ITEM_LAST, ITEM_MASK, ITEM_NUM) and the item as cause: -ENOTSUP if it
// is meaningful but unknown here, -EINVAL if it makes no sense.
//
// Supported: VOID, REPRESENTED_PORT, PORT_REPRESENTOR, ETH, VLAN (two), IPV4, IPV6, IPV6_FRAG_EXT, TCP, UDP, ICMP, ICMP6,
// VXLAN, GENEVE, and ETH to ICMP6 again behind these two; META, TAG, INTEGRITY (l3_ok, ipv4_csum_ok). From DPDK 23.03 on
// ICMP6_ECHO_REQUEST and ICMP6_ECHO_REPLY, without the checksum.
//
// RAW is for what ICMP6 ends before, where there are no such items: directly behind it, relative, with offset 0, no search
// and no limit, of the 2 bytes of an echo's identifier or 4 with its sequence number, of messages of any type that have
// those. A mask without bytes, as the API's default mask is, asks for all bits.
// Returns 0 or a negative errno with rte_errno and *error set by rte_flow_error_set.
int flow_match_compile(const struct device *device, const struct rte_flow_item pattern[],
		       struct flow_match *ret_match, struct rte_flow_error *error);

// Compile a pattern template: only masks count (NULL: nothing of the header), and for items with `last` spec and last,
// which are the range of all the rules. TAG and INTEGRITY take index and level from the template's spec; RAW its place and
// length, or, without spec, from the mask.
// relaxed: the template's relaxed_matching, items without mask are skipped. Value fields that rules fill in are zero in
// *ret_match; its layers are what each rule will have.
int flow_match_compile_template(const struct device *device, const struct rte_flow_item template[],
				bool relaxed, struct flow_match *ret_match,
				struct rte_flow_error *error);

// Compile a rule of that template: spec from pattern, all else from the template. The mask is the template's.
int flow_match_compile_rule(const struct device *device, const struct rte_flow_item template[],
			    bool relaxed, const struct rte_flow_item pattern[],
			    struct flow_match *ret_match, struct rte_flow_error *error);

// What the RAW item of a template that was compiled points to, complete: rte_flow_conv() copies the item with it, and without
// a spec, or bytes, it would follow NULL. The item is made to point there.
struct flow_raw {
	struct rte_flow_item_raw spec, mask;
	uint8_t spec_bytes[FLOW_RAW_MAX], mask_bytes[FLOW_RAW_MAX];
};
void flow_raw_complete(struct rte_flow_item *item, struct flow_raw *ret_raw);

// The function whose port has this ID, NULL: no port of this device.
struct function *flow_port_function(const struct device *device, uint16_t port_id);
