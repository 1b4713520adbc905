// SPDX-License-Identifier: BSD-3-Clause
//
// Which rules there are to be: those that all pods share, and those of one pod. A pod's are a
// constant number, whatever else is on the node. Pure functions, free of DPDK.

#pragma once

#include <stddef.h>
#include <stdint.h>

#include "offload/offload.h"
#include "offload/routes.h"
#include "offload/rule.h"

enum { PROGRAM_RULES_MAX = 18 + 2 * OFFLOAD_PUBLISHED_MAX }; // of a pod, or shared

// From where connections come.
struct program_wire {
	uint16_t port_id; // the uplink's ethdev
	uint16_t vlan;    // 0: none
};
// by_...: the NIC can match it. wire: NULL if it carries no connections.
size_t program_shared(bool by_icmp6_type, bool by_udp_ports, const struct program_wire *wire,
		      struct rule ret_rules[PROGRAM_RULES_MAX]);

// The ID of the meter of this slot's pod. (BANDWIDTH_INGRESS or _EGRESS)
uint32_t program_meter_id(uint32_t slot, unsigned int direction);

// What a pod's rules depend on besides the pod.
struct program_node {
	const struct offload_router *router;
	const struct offload_wire *wire; // NULL: none
	uint16_t uplink;                 // the wire's ethdev
	// The MTU of whoever may send most; on a NIC that can match lengths nothing goes to a pod, or the wire, of a smaller one
	// that is too large for it. 0: the NIC cannot, and a pod whose MTU is not the network's has one direction only: see
	// offload.h.
	uint32_t largest;
	bool publishers;  // the NIC can tell their answers
	bool connections; // pods may have some
};

// Both directions of both families. Where it has a limit, the rules with its meters. With a wire also what comes from
// there, and what does not go there.
size_t program_pod(const struct offload_pod *pod, uint16_t port_id, uint16_t vf,
		   const struct program_node *node, struct rule ret_rules[PROGRAM_RULES_MAX]);
