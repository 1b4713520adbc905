// SPDX-License-Identifier: BSD-3-Clause
//
// What the e-switch may route between pods and the wire, from what the agent's graph goes by: who it is there, its
// routes, who is masqueraded towards, whose MAC addresses it knows. Pure functions.
//
// Each prefix that is looked at anywhere is a prefix of the plan, with what the graph would do for an address of which it
// is the longest one. So a longest prefix match in the plan decides as the graph does.

#pragma once

#include "datapath/masquerade.h"
#include "datapath/neighbour.h"
#include "offload/routes.h"

struct route_plan {
	struct offload_wire wire; // but for its MAC address and MTU, which are the port's
	struct offload_route routes[OFFLOAD_ROUTES_MAX];
	size_t count;
};

// `masquerade` may be NULL: none. `neighbours`: on the uplink, that packets can be sent to just now.
void route_plan_make(const struct uplink *uplink, const struct pod_network *network,
		     const struct masquerade_config *masquerade,
		     const struct neighbour_info *neighbours, size_t neighbour_count,
		     struct route_plan *ret_plan);
