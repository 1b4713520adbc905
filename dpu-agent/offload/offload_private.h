// SPDX-License-Identifier: BSD-3-Clause
//
// What the files of offload/ share: the object, and sets of rules. Not for other folders. Control
// thread, but for the bits of `event`.
//
//     offload.c      the object: its life, its engine          ──►  preflight.c, engine_*.c
//     pods.c         which rules are wanted and missing; retry
//     pods_mtu.c     whose packets may be too large for whom
//     transaction.c  sets of rules into the NIC and out of it  ──►  engine.h
//     meters.c       the limits of pods, in the NIC
//     connections.c  masqueraded connections             ──►  connections_run.c, connections_gate.c, engine.h
//     routes.c       what is routed to the wire          ──►  routes_run.c, engine.h
//     ledger.c       every installed rule by its ID
//     status.c       what people are told

#pragma once

#include <stdatomic.h>

#include "datapath/datapath.h"
#include "offload/engine.h"
#include "offload/offload.h"
#include "offload/preflight.h"
#include "offload/program.h"

enum {
	OFFLOAD_SLOTS = DATAPATH_PORTS_MAX,
	NO_SLOT = OFFLOAD_SLOTS, // of the shared rules
	BATCH_SETS = 48,         // pods whose rules are given to the NIC at once
	LEDGER_ROUTES = 8192,    // rules of routes
	LEDGER_SIZE = 2 * ((OFFLOAD_SLOTS + 1) * PROGRAM_RULES_MAX + LEDGER_ROUTES),
};

struct installed {
	struct rule rule;
	struct rte_flow *flow; // NULL: not installed
	uint64_t id;
	int64_t since_us;
	struct engine_count last; // read from the NIC
};

// A direction's meter in the NIC.
struct set_meter {
	bool made;
	struct bandwidth_limit limit; // what it was made with
	struct bandwidth_count last;  // read from it
	struct bandwidth_count base;  // of those that are no more
};

// The rules of a pod, or the shared ones. A pod's of one address family are of use without the other's:
// each family is a part, which is installed wholly or not at all. The shared ones are one part, and so are
// those of a limited pod, of which none is right without the meters.
struct rule_set {
	uint32_t slot;
	bool wanted;    // false, and rules installed: the NIC refused to remove them
	bool fresh;     // nothing programmed yet for this pod: the counts are somebody else's
	bool outdated;  // what is installed must be removed and made again
	bool withdrawn; // nothing is to be installed for now
	bool unmetered; // it has a limit that this NIC cannot keep, and so is to have no rules
	struct offload_pod pod;
	struct installed rules[PROGRAM_RULES_MAX];
	size_t count;     // of rules[]: as programmed last
	size_t installed; // of those
	uint32_t failed;  // parts of which a rule was refused in the last attempt: rule_part()
	int error;        // of the last attempt, negative errno
	char reason[LIMIT_TEXT + 1];
	// Counted by rules that are no more.
	struct set_meter meters[BANDWIDTH_DIRECTIONS];
	struct engine_count received,
		sent; // by the agent's names: from the function, to the function
};

struct ledger {
	struct {
		uint64_t id;
		struct installed *installed; // NULL: removed
		struct rule_set *set;
	} entries[LEDGER_SIZE]; // by ID
	size_t count, holes;
	uint64_t last_id;
};

struct connections;
struct routes;

struct offload {
	struct nic *nic;
	bool enabled;
	bool loopback; // the NIC sends a packet back to where it came from
	bool icmp6;    // and corrects ICMPv6's checksums
	bool begun;
	uint16_t uplink, first_function; // ethdevs
	uint32_t uplink_slot, host_slot; // host_slot: NO_SLOT, there is no such port
	struct offload_router router;
	uint32_t largest; // MTU of whoever sends by rules: pods, the host, the wire
	struct preflight preflight;
	struct engine_queue queue; // of the asynchronous API; size 0: it was refused
	char queue_why[ENGINE_WHY_SIZE];
	struct engine *engine; // NULL: no rule can be made
	char why_not[LIMIT_TEXT + 1];
	bool passing; // why_not may pass

	struct rule_set shared;
	struct rule_set pods[OFFLOAD_SLOTS]; // by slot
	uint32_t cursor;                     // where retry goes on
	bool told_missing;                   // the log knows that rules are missing

	struct connections *connections; // NULL: none are wanted
	uint32_t most_connections;
	struct routes *routes;                 // NULL: switched off
	char connections_why[ENGINE_WHY_SIZE]; // the NIC takes none, or has refused one

	struct ledger ledger;
	uint64_t inserted, removed, failed;
	int64_t op_us; // what an insert took lately; 0: not known
	size_t burst;  // inserts that may be given to the NIC before the next look at the clock
	char missing_reason[LIMIT_TEXT + 1];

	struct engine_op ops[BATCH_SETS * PROGRAM_RULES_MAX];
	struct installed *op_rules[BATCH_SETS * PROGRAM_RULES_MAX];
	struct rule_set *op_sets[BATCH_SETS * PROGRAM_RULES_MAX];
	size_t op_count;

	// Set by ethdev's event callback on EAL's interrupt thread.
	_Atomic bool event[OFFLOAD_SLOTS];
	_Atomic bool any_event;
	uint16_t vf_of_slot[OFFLOAD_SLOTS]; // RULE_HOST: the host's
	uint16_t ethdev_of_slot[OFFLOAD_SLOTS];
	uint32_t slot_of_port[RTE_MAX_ETHPORTS]; // NO_SLOT: not ours
};

int64_t offload_now_us(void);
// The shared rules are in place.
bool offload_usable(const struct offload *offload);
// Nothing will ever be installed.
bool offload_off(const struct offload *offload);
// Choose an engine if there is none, and make the shared rules if they are not in place.
void offload_set_up(struct offload *offload);

// ---- pods.c -------------------------------------------------------------------------------------

// The set has not all the rules it is to have.
bool rule_set_missing(const struct rule_set *set);
// Hear which functions were reset: the rules of their pods are to be made again.
void pods_take_events(struct offload *offload);
// What the pods' rules depend on, now.
struct program_node pods_node(const struct offload *offload);
// No pod that publishes ports sends by rules from before, which the NIC does not let go: beside them those may be missing
// that keep its answers from the routes.
bool pods_answers_apart(const struct offload *offload);
// Is the pod to have rules at all, with the NIC as it is found to be?
void pods_judge(struct offload *offload, struct rule_set *set);
// Install what is missing, as far as two seconds go.
void pods_fill(struct offload *offload);
// To the log: one line when rules begin to be missing, one when none is any more.
void pods_tell(struct offload *offload);

// ---- pods_mtu.c ---------------------------------------------------------------------------------

// The MTU of whoever may send most, as struct program_node has it.
uint32_t pods_largest(const struct offload *offload);
// The rules are to be made anew: who is there to send by them?
void pods_measure(struct offload *offload);
// Somebody may send more than anybody could so far: first what is too large for others must be kept from them.
void pods_grow(struct offload *offload, uint32_t largest);
// Is there a rule that the NIC would not remove, and by which the pod could send more than the one that it leads to can
// take?
bool pods_meet_smaller(const struct offload *offload, const struct rule_set *set);

// ---- transaction.c ------------------------------------------------------------------------------

// Install what is not yet installed of the rules of these sets, at most BATCH_SETS. A part of which one
// is refused is rolled back, in reverse, and the set says why (error, reason). When time is up, though
// never before something was done, sets may be left half done, without error: another call goes on
// with them. Returns how many sets are in.
size_t transaction_install(struct offload *offload, struct rule_set **sets, size_t count,
			   int64_t deadline_us);
// Remove them, at most BATCH_SETS. What they counted stays in the set. A rule that the NIC does not
// let go stays installed.
void transaction_remove(struct offload *offload, struct rule_set **sets, size_t count);
// The rules are gone with what the NIC was configured to; only forget them.
void transaction_forget(struct offload *offload, struct rule_set *set);
// Read the counters of a rule; what it shows never goes back.
void transaction_read(struct offload *offload, struct rule_set *set, struct installed *installed);

// ---- meters.c -----------------------------------------------------------------------------------

// Has the pod a limit? False of the shared rules.
bool set_is_limited(const struct rule_set *set);
// The meters that the pod's limits need; those that are there stay. Errors: what the NIC answered, with
// *ret_why; some may have been made.
int meters_make(const struct offload *offload, struct rule_set *set, char ret_why[ENGINE_WHY_SIZE]);
// When no rule of the pod is left. What they counted stays in the set; a meter that the NIC does not take
// back stays made.
void meters_give_back(const struct offload *offload, struct rule_set *set);
void meters_read(const struct offload *offload, struct rule_set *set);
// All rules that lead what is limited through the meters are in.
bool meters_in_force(const struct rule_set *set);

// A meter, and the policy that it needs, by themselves: for the preflight, too. Errors: what the NIC
// answered, with *ret_why.
int meter_make(uint16_t port_id, uint32_t id, const struct bandwidth_limit *limit,
	       char ret_why[ENGINE_WHY_SIZE]);
int meter_give_back(uint16_t port_id, uint32_t id);
int meter_policy_make(uint16_t port_id, char ret_why[ENGINE_WHY_SIZE]);
void meter_policy_give_back(uint16_t port_id);
struct rte_mtr_error;
// As flow_explain().
int meters_explain(int r, const struct rte_mtr_error *error, char *ret_why, size_t size);

// ---- ledger.c -----------------------------------------------------------------------------------

void ledger_add(struct ledger *ledger, struct rule_set *set, struct installed *installed);
void ledger_remove(struct ledger *ledger, const struct installed *installed);
// The first with an ID greater than `after`; NULL: none.
struct installed *ledger_next(const struct ledger *ledger, uint64_t after,
			      struct rule_set **ret_set);
