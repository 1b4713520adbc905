// SPDX-License-Identifier: BSD-3-Clause
//
// For tests: offload/offload.h without an e-switch. A table of rules with room for as many as the test
// says; it ends the program where control breaks the order that offload.h asks for.

#pragma once

#include "control/fake_nic.h"
#include "offload/routes.h"

enum {
	FAKE_SHARED_RULES = 2,
	FAKE_POD_RULES = 3, // per family of a pod
};

struct fake_offload_slot {
	bool present;
	struct offload_pod pod;
	uint32_t rules, rules_wanted;
	bool lost; // a test sets it: the NIC has forgotten its rules, until offload_retry
	bool withdrawn;
	uint64_t rx_packets, tx_packets; // a test sets them; bytes are 100 times as many
};

struct fake_offload {
	// As the test wants it; kept over a restart of the agent.
	bool disabled;      // nic.offload: false
	bool unusable;      // a NIC that can do nothing
	uint32_t rules_max; // that fit besides the shared ones; 0: any number

	bool alive, begun; // between new and free; after begin
	struct offload_router router;
	struct fake_offload_slot slots[FAKE_FUNCTIONS_MAX + 1]; // the last is the host's
	unsigned int adds, retries;
	size_t last_add; // pods in the last offload_add
	uint32_t rules;  // of pods, installed
	uint64_t last_id;
	unsigned int wires, route_lists; // how often they were set
	bool has_wire;
	struct offload_wire wire;
	struct offload_route routes[OFFLOAD_ROUTES_MAX];
	size_t route_count;
	uint32_t used_next_hop; // a test sets it: packets go by it; 0: by none
};

extern struct fake_offload fake_offload;

void fake_offload_reset(void);
struct offload *fake_offload_new(void);
size_t fake_offload_pod_count(void);
// A port is about to be stopped: no rule may need it any more.
void fake_offload_port_stops(uint32_t slot);
