// SPDX-License-Identifier: BSD-3-Clause
//
// The e-switch: what becomes of a frame, and the rules that say so. A frame is looked up in group 0, and then in the groups
// that rules jump to, until one says where it goes. What misses in any group takes the default way, as it is by then:
// rewritten, if rules of earlier groups rewrote it.
//
//     default: from a function or the wire ─► to its representor or the uplink port
//              from a port                 ─► out of its function
//
// Rules see all frames, also those that ports send; a rule that is not to see these asks for REPRESENTED_PORT.
// Pipeline thread only, unless said.

#pragma once

#include <sys/queue.h>

#include "sim/simnic/flow_action.h"
#include "sim/simnic/flow_table.h"
#include "sim/simnic/frame.h"

// A rule's handle. Where its owner is: in the list of its device, and, while it is in force, in the tables.
struct rte_flow {
	TAILQ_ENTRY(rte_flow) next;  // (P)
	uint16_t owner;              // index of the function through whose port it was made
	uint16_t origin;             // index of the function or wire that it names; FLOW_ORIGIN_ANY
	struct flow_count_base base; // of a COUNT of its own; control threads
	struct flow_age age;         // if AGE is among its own actions
	// Of the asynchronous API; the threads of its queue.
	struct rte_flow_template_table *table; // NULL: of the synchronous one
	const struct flow_match
		*match; // the pattern template's: its mask, and the layers that are there
	uint16_t queue;
	bool busy; // it waits for the result of an operation
	struct flow flow;
};

enum { FLOW_ORIGIN_ANY = UINT16_MAX };

// What was looked up in a group since the device is there; (P), read by all. In packets and bytes as on a wire.
struct group_counters {
	uint64_t hits, bytes, misses;
};

struct eswitch {
	struct flow_tables *tables;
	struct group_counters
		*groups; // of all there can be; the kernel gives memory to those that are used
	TAILQ_HEAD(rule_list, rte_flow) rules; // all that have a handle
	uint64_t misses; // frames that took the default way though there are rules; read by all
	// What control threads keep for themselves, the lock always inside that of a port's calls.
	pthread_mutex_t lock;
	struct flow_shared_list shared; // indirect actions that their owner holds
	struct flow_age_list ages;
	bool ticking; // the timer of ageing is set
	uint64_t aged_untold[(CARD_INDEX_MAX + 63) /
			     64]; // ports that have got an event and did not ask since
};

struct verdict {
	enum {
		TO_FUNCTION, // out of the netdev
		TO_PORT,     // to the application: the function's representor, or the uplink port
		TO_NOBODY,   // dropped, and counted
	} kind;
	bool by_rule;
	struct function *target;
	struct frame_on_wire on_wire; // if by_rule
};

// Control threads, while the pipeline does not run. 0 or -ENOMEM.
int eswitch_init(struct device *device);
// All rules are gone. Also after a failed eswitch_init(), or none.
void eswitch_fini(struct device *device);

// Decide, and rewrite the frame.
struct verdict eswitch(struct frame_buffer *buffer);

// Put a rule in force, and take it out again; to take out one that is not in force is fine.
// As flow_tables_insert(): -EEXIST, -ENOMEM.
int eswitch_insert(struct device *device, struct rte_flow *rule, const struct flow_match *match);
void eswitch_remove(struct device *device, struct rte_flow *rule);
// Have a rule that is not in force among those that have a handle.
void eswitch_keep(struct device *device, struct rte_flow *rule);
// Take out of force what names this function as origin or target: it was reset. Handles stay.
void eswitch_forget_function(struct device *device, uint16_t index);
