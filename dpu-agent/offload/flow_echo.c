// SPDX-License-Identifier: BSD-3-Clause
//
// A ping's identifier in rte_flow's words. Of ICMPv6 older DPDK has no item with it: there two bytes behind those
// that the item has.

#include <rte_icmp.h>

#include "offload/flow.h"

enum { ECHO_REPLY = 0, ECHO_REQUEST = 8, ECHO6_REQUEST = 128, ECHO6_REPLY = 129 };

static void add(struct flow_words *words, enum rte_flow_item_type type, const void *spec,
		const void *mask)
{
	words->items[words->item_count++] =
		(struct rte_flow_item){.type = type, .spec = spec, .mask = mask};
}

static void say_ipv4(struct flow_words *w, bool reply, rte_be16_t identifier)
{
	w->icmp.hdr.icmp_type = reply ? ECHO_REPLY : ECHO_REQUEST;
	w->icmp.hdr.icmp_ident = identifier;
	w->icmp_mask.hdr.icmp_type = w->icmp_mask.hdr.icmp_code = UINT8_MAX;
	w->icmp_mask.hdr.icmp_ident = UINT16_MAX;
	add(w, RTE_FLOW_ITEM_TYPE_ICMP, &w->icmp, &w->icmp_mask);
}

#if FLOW_HAS_ICMP6_ECHO

// Type and code are what the item is about.
static void say_ipv6(struct flow_words *w, bool reply, rte_be16_t identifier)
{
	w->echo6.hdr.identifier = identifier;
	w->echo6_mask.hdr.identifier = UINT16_MAX;
	add(w, reply ? RTE_FLOW_ITEM_TYPE_ICMP6_ECHO_REPLY : RTE_FLOW_ITEM_TYPE_ICMP6_ECHO_REQUEST,
	    &w->echo6, &w->echo6_mask);
}

#else

static void say_ipv6(struct flow_words *w, bool reply, rte_be16_t identifier)
{
	w->icmp6.type = reply ? ECHO6_REPLY : ECHO6_REQUEST;
	w->icmp6_mask.type = w->icmp6_mask.code = UINT8_MAX;
	add(w, RTE_FLOW_ITEM_TYPE_ICMP6, &w->icmp6, &w->icmp6_mask);
	w->identifier = identifier;
	w->identifier_mask = UINT16_MAX;
	w->raw = (struct rte_flow_item_raw){
		.relative = 1,
		.length = sizeof(w->identifier),
		.pattern = (const uint8_t *)&w->identifier,
	};
	// Where it is looked for is no less part of the match.
	w->raw_mask = rte_flow_item_raw_mask;
	w->raw_mask.pattern = (const uint8_t *)&w->identifier_mask;
	add(w, RTE_FLOW_ITEM_TYPE_RAW, &w->raw, &w->raw_mask);
}

#endif

void flow_say_echo(struct flow_words *words, enum rule_family family, bool reply,
		   rte_be16_t identifier)
{
	if (family == RULE_IPV4)
		say_ipv4(words, reply, identifier);
	else
		say_ipv6(words, reply, identifier);
}
