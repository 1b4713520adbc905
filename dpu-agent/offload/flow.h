// SPDX-License-Identifier: BSD-3-Clause
//
// A rule in rte_flow's words. One translation serves all: a rule created synchronously takes items
// and actions, a template takes the masks of both, a rule made from a template their values.

#pragma once

#include <stdbool.h>

#include <rte_flow.h>
#include <rte_version.h>

#include "offload/rule.h"

// An item for ICMPv6 echo, with the identifier, is new in DPDK 23.03.
#define FLOW_HAS_ICMP6_ECHO (RTE_VERSION >= RTE_VERSION_NUM(23, 3, 0, 0))

// What can be said in more than one way, or left out; the preflight finds out how this NIC wants
// it.
struct flow_form {
	bool untagged;            // can match frames without a VLAN tag
	bool intact;              // can match by the integrity of the IP header
	bool icmp6_type;          // can match the type of ICMPv6
	bool udp_ports;           // can match these
	bool meter;               // can meter what a pod sends, and what it gets from whomever
	bool connections;         // takes the shapes from RULE_CONNECTION_FIRST on
	bool echo_ipv4;           // and those from RULE_ECHO_FIRST on
	bool echo_ipv6;           // the same of IPv6, and is said to correct their checksums
	bool hairpin;             // and those from RULE_HAIRPIN_FIRST on
	bool limited_connections; // with those of pods that have a limit
	bool routes;              // takes those from RULE_ROUTE_FIRST on
	bool tagged_routes;       // and for a wire on a VLAN
	bool publishers;          // and those from RULE_PUBLISHER_FIRST on
	bool lengths;             // can match a packet's length, by all shapes that may want it
	uint16_t vlan;            // of the wire; 0: none. Not found out, but told
	enum { FLOW_MACS_SET, FLOW_MACS_MODIFY } macs;
	enum { FLOW_NAT_SET, FLOW_NAT_MODIFY } nat; // addresses and ports
	enum { FLOW_TTL_DECREMENT, FLOW_TTL_SUBTRACT, FLOW_TTL_ADD_255 } ttl;
};

// MATCH_ bits that a NIC of this form cannot look at.
static inline uint32_t flow_left_out(const struct flow_form *form)
{
	return (form->untagged ? 0 : MATCH_UNTAGGED) | (form->intact ? 0 : MATCH_INTACT);
}

// A NIC of this form needs rules of this kind, and can have them. Kinds from RULE_CONNECTION_FIRST on: if it
// takes connections.
static inline bool flow_has_kind(const struct flow_form *form, enum rule_kind kind)
{
	switch (kind) {
	case RULE_WIRE_NEIGHBOUR:
	case RULE_NEIGHBOUR: // one of the two keeps neighbour discovery out: see program.h
		return form->icmp6_type;
	case RULE_WIRE_ICMP6:
	case RULE_ICMP6:
		return !form->icmp6_type;
	case RULE_DHCP_IPV4:
	case RULE_DHCP_IPV6:
		return form->udp_ports;
	case RULE_LIMIT_SENT:
	case RULE_LIMIT_FROM_AGENT:
	case RULE_LIMITED_OUTPUT_IPV4:
	case RULE_LIMITED_OUTPUT_IPV6:
		return form->meter;
	case RULE_EXPIRING_WIRE_IPV4:
	case RULE_EXPIRING_WIRE_IPV6:
		return form->vlan != 0;
	case RULE_LIMITED_RECEIVER:
		return form->limited_connections;
	case RULE_SENT_ECHO_IPV4:
	case RULE_RECEIVED_ECHO_IPV4:
		return form->echo_ipv4;
	case RULE_SENT_ECHO_IPV6:
	case RULE_RECEIVED_ECHO_IPV6:
		return form->echo_ipv6;
	default:
		return true;
	}
}

enum { FLOW_ITEMS_MAX = 7, FLOW_ACTIONS_MAX = 13 }; // with END, which is what zeros say

// Points into itself: not to be copied.
struct flow_words {
	struct rte_flow_attr attr;
	struct rte_flow_item items[FLOW_ITEMS_MAX]; // spec and mask
	size_t item_count;
	struct rte_flow_action actions[FLOW_ACTIONS_MAX];
	struct rte_flow_action
		action_masks[FLOW_ACTIONS_MAX]; // for a template: fixed where ones are
	size_t action_count;

	struct rte_flow_item_ethdev port, port_mask;
	struct rte_flow_item_eth eth, eth_mask;
	struct rte_flow_item_vlan vlan, vlan_mask;
	struct rte_flow_item_ipv4 ipv4, ipv4_last, ipv4_mask;
	struct rte_flow_item_ipv6 ipv6, ipv6_last, ipv6_mask;
	struct rte_flow_item_icmp6 icmp6, icmp6_mask;
	struct rte_flow_item_tcp tcp, tcp_mask;
	struct rte_flow_item_udp udp, udp_mask;
	struct rte_flow_item_icmp icmp, icmp_mask;
#if FLOW_HAS_ICMP6_ECHO
	struct rte_flow_item_icmp6_echo echo6, echo6_mask;
#else
	struct rte_flow_item_raw raw, raw_mask; // behind icmp6
	rte_be16_t identifier, identifier_mask;
#endif
	struct rte_flow_item_integrity integrity, integrity_mask;

	struct rte_flow_action_of_push_vlan push;
	struct rte_flow_action_of_set_vlan_vid vid, no_vid;
	struct rte_flow_action_of_set_vlan_pcp pcp;
	struct rte_flow_action_set_mac macs[2], no_mac;
	struct rte_flow_action_meter meter, no_meter;
	struct rte_flow_action_set_ipv4 ipv4s[2], no_ipv4;
	struct rte_flow_action_set_ipv6 ipv6s[2], no_ipv6;
	struct rte_flow_action_set_tp ports[2], no_port;
	struct rte_flow_action_modify_field fields[7], field_masks[7];
	struct rte_flow_action_jump jump, jump_mask;
	struct rte_flow_action_ethdev to, to_mask;
};

// Say `rule` in the shape given, which need not be its kind's own: the preflight asks for parts of
// shapes.
void flow_say(const struct rule_shape *shape, const struct rule *rule, const struct flow_form *form,
	      struct flow_words *ret_words);

// Add an action at the end; conf and mask must outlive the words.
void flow_add_action(struct flow_words *words, enum rte_flow_action_type type, const void *conf,
		     const void *mask);

// Items of a ping that a pod sends, or of the reply to one: behind those of layer 3.
void flow_say_echo(struct flow_words *words, enum rule_family family, bool reply,
		   rte_be16_t identifier);

// What the NIC said, in a few words: "table full", its own message, or that of the errno. Returns
// -errno_value.
int flow_explain(int errno_value, const struct rte_flow_error *error, char *ret_why, size_t size);
