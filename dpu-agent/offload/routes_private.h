// SPDX-License-Identifier: BSD-3-Clause
//
// Routes as the rest of offload/ sees them. All calls are fine if offload is switched off (offload->routes is NULL).

#pragma once

#include "offload/offload_private.h"
#include "offload/routes.h"

int routes_new(struct routes **ret_routes, struct error *err);
void routes_free(struct routes *routes);

// The wire that pods' rules are made for; NULL: none, or this NIC cannot do it.
const struct offload_wire *routes_wire(const struct offload *offload);

// MTU of the wire; 0: none is served.
uint32_t routes_mtu(const struct offload *offload);
// Pods of up to this MTU could send so far, and greater ones can when it returns.
void routes_grow(struct offload *offload, uint32_t before);
// A rule is still in that leads to the wire more than fits there of what a pod of this MTU may send.
bool routes_lead_more(const struct offload *offload, uint32_t mtu);

// What is wanted into the NIC, and what is not out of it, for as long as there is time; but all that goes.
void routes_fill(struct offload *offload, int64_t deadline_us);
// Take out what lets frames in where a guard is missing.
void routes_close(struct offload *offload);
// The NIC was reset: what is in it is of no use.
void routes_outdate(struct offload *offload);
// The engine is about to go.
void routes_remove_all(struct offload *offload);
// All rules are gone with what the NIC was configured to.
void routes_forget(struct offload *offload);

// Rules that are wanted and not in.
uint32_t routes_missing(const struct offload *offload);
// What the uplink has received and sent by them.
void routes_count(struct offload *offload, struct engine_count *ret_received,
		  struct engine_count *ret_sent);

// ---- between routes.c and routes_run.c -----------------------------------------------------------

enum {
	ROUTE_RULES_MAX = 3 * OFFLOAD_ROUTES_MAX + OFFLOAD_SOURCES_MAX + 32,
	// Those that the NIC does not let go are there as well.
	ROUTE_NODES_MAX = 2 * ROUTE_RULES_MAX,
};

// In the order of installing.
enum route_stage {
	STAGE_GUARD,  // leads to the slow path
	STAGE_OUTPUT, // out of the uplink
	STAGE_ROUTE,  // leads there, if its output is in
	STAGE_OPEN,   // lets frames in, once all guards of this family and direction are in
	STAGES,
};

struct route_rule {
	struct installed installed; // all in here have rules
	enum route_stage stage;
	uint8_t half; // 0..3: direction and family
	bool wanted, failed;
	uint32_t next_hop; // of an output
	uint64_t used;     // packets when it was last asked for
};
enum { HALF_TO_WIRE = 0, HALF_FROM_WIRE = 2, ROUTE_HALVES = 4 };

struct routes {
	bool has_wire;
	bool outdated; // what is in is of no use
	bool planned;  // in_order has all that is wanted
	struct offload_wire wire;
	struct offload_route list[OFFLOAD_ROUTES_MAX];
	size_t list_count;

	struct rule_set set; // in whose name they are in the ledger
	struct route_rule nodes[ROUTE_NODES_MAX];
	struct route_rule *in_order[ROUTE_NODES_MAX]; // of routes_compare()
	size_t count;
	struct route_rule *unused[ROUTE_NODES_MAX];
	size_t unused_count;
	struct route_rule *work[ROUTE_NODES_MAX]; // while something is done
	struct {
		struct rule rule;
		uint32_t next_hop;
	} wanted[ROUTE_RULES_MAX];
	size_t wanted_count;
};

// Write down what is wanted, beside what is in.
void routes_plan(struct offload *offload);
// A total order; 0: the same rule, of the same use.
int routes_compare(const struct rule *a, const struct rule *b);
