// SPDX-License-Identifier: BSD-3-Clause
//
// What patterns at random are made of: all items that are known, and one that is not.

#pragma once

#include "sim/simnic/compat.h"

static const enum rte_flow_item_type item_types[] = {
	RTE_FLOW_ITEM_TYPE_VOID,
	RTE_FLOW_ITEM_TYPE_REPRESENTED_PORT,
	RTE_FLOW_ITEM_TYPE_PORT_REPRESENTOR,
	RTE_FLOW_ITEM_TYPE_ETH,
	RTE_FLOW_ITEM_TYPE_VLAN,
	RTE_FLOW_ITEM_TYPE_IPV4,
	RTE_FLOW_ITEM_TYPE_IPV6,
	RTE_FLOW_ITEM_TYPE_IPV6_FRAG_EXT,
	RTE_FLOW_ITEM_TYPE_TCP,
	RTE_FLOW_ITEM_TYPE_UDP,
	RTE_FLOW_ITEM_TYPE_ICMP,
	RTE_FLOW_ITEM_TYPE_ICMP6,
	RTE_FLOW_ITEM_TYPE_VXLAN,
	RTE_FLOW_ITEM_TYPE_GENEVE,
	RTE_FLOW_ITEM_TYPE_META,
	RTE_FLOW_ITEM_TYPE_TAG,
	RTE_FLOW_ITEM_TYPE_INTEGRITY,
	RTE_FLOW_ITEM_TYPE_MPLS,
	RTE_FLOW_ITEM_TYPE_RAW,
#if HAS_ICMP6_ECHO_ITEMS
	RTE_FLOW_ITEM_TYPE_ICMP6_ECHO_REQUEST,
	RTE_FLOW_ITEM_TYPE_ICMP6_ECHO_REPLY,
#endif
};

// Memory at random as a RAW item, whose pointer is good: to what is behind it. how: 1 without bytes, 2 as it is supported,
// with 4 the longer one.
static inline void make_raw(void *memory, unsigned int how)
{
	struct rte_flow_item_raw *raw = memory;

	if (how & 2)
		*raw = (struct rte_flow_item_raw){.relative = 1, .length = how & 4 ? 4 : 2};
	raw->pattern = how & 1 ? NULL : (const uint8_t *)(raw + 1);
}
