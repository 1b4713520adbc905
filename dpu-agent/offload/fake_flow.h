// SPDX-License-Identifier: BSD-3-Clause
//
// For tests: a NIC whose rte_flow is a list. It takes rules by both APIs, refuses on request, and
// fails the test when it is used wrongly: a handle that is none, an output that is removed while a
// rule still leads to it, a queue that overflows. A rule is remembered as text, read from what
// rte_flow was given:
//
//     g2 p0 port=12 type=0800 src=02:00:00:00:00:03 dst=02:00:00:00:00:01 ip.src=10.88.0.3 > count jump=3

#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "offload/offload.h"

enum {
	FAKE_UPLINK = 0,         // ethdev
	FAKE_HOST = 1,           // ethdev and slot
	FAKE_FIRST_FUNCTION = 9, // ethdev of function 0
	FAKE_FIRST_SLOT = 2,
	FAKE_ITEM_TYPES = 128,
	FAKE_ACTION_TYPES = 192,
	FAKE_TEXT = 512,
};

struct fake_nic {
	// What it is.
	uint32_t functions;
	bool no_host; // it has no port for the host
	bool no_flow; // the driver has no rte_flow at all
	bool async;   // takes the asynchronous API
	bool no_sync; // and nothing but that
	bool keeps;   // rules over a stop of the port
	bool no_untagged, no_subtract;
	bool no_lengths; // of packets, to match
	bool no_item[FAKE_ITEM_TYPES], no_action[FAKE_ACTION_TYPES];
	bool no_meters;
	bool no_hairpin;    // from function to function with both ends rewritten
	uint32_t queue_max; // 0: does not say
	uint32_t tables_max;

	// How it misbehaves.
	uint32_t capacity;        // rules; 0: no limit
	unsigned int fail_insert; // the Nth from now; 0: none
	int fail_errno;           // of that, and of fail_all
	bool fail_all;            // inserts
	bool fail_late;           // asynchronously: when it completes, not when it is asked
	bool fail_removals;       // a rule cannot be removed
	const char *stuck;        // nor can those whose text has this; NULL: none
	bool fail_meters;         // none is left
	bool silent;              // completes nothing
	bool forgets;             // knows of no rule when it is asked for its counter
	bool backwards;           // completes in the order opposite to that of asking
	uint32_t insert_ms;       // that an insert takes
	uint32_t remove_ms;       // and a removal

	// What was done.
	uint32_t inserts, removals; // accepted
	uint32_t queries;           // of counters
	uint32_t pushes;
	uint32_t asked;     // questions of the preflight
	uint32_t templates; // patterns, actions and tables that exist
	uint32_t handles;   // shared actions that exist
};

extern struct fake_nic fake;

// As new: `functions` functions, does everything; rules of before must be gone.
void fake_reset(uint32_t functions, bool async);
struct nic *fake_handle(void);
// As port_start and port_stop of the uplink do.
void fake_start_uplink(void);
void fake_stop_uplink(void);
bool fake_hooked(void);
// Let ethdev tell of an event of this port.
void fake_event(uint16_t port_id, int type);
unsigned int fake_listeners(void);
// What is under way in the queue is gone, as with a port that is configured anew.
void fake_async_forget(void);
// Let time go by; how much has.
void fake_wait(uint32_t ms);
int64_t fake_now_ms(void);

// ---- meters -------------------------------------------------------------------------------------

size_t fake_meter_count(void); // with the policy
bool fake_has_meter(uint32_t id);
uint64_t fake_meter_rate(uint32_t id); // bytes per second
// It has let packets of 100 bytes pass, and dropped some.
void fake_meter_pass(uint32_t id, uint64_t packets, uint64_t dropped);
// The graph leaves this function's pod to the NIC.
bool fake_metered_in_nic(uint32_t vf);

// ---- what is installed --------------------------------------------------------------------------

size_t fake_rule_count(void);
size_t fake_rules_with(const char *part); // whose text has this part
// The text of the only such rule; fails if there is none, or several.
const char *fake_rule_with(const char *part);
// Let frames hit that rule.
void fake_hit(const char *part, uint64_t packets, uint64_t bytes);
// The counters of all rules become zero.
void fake_clear_counters(void);
// Inserts "+ …" and removals "- …" since fake_forget_history, in the order in which the NIC did
// them.
size_t fake_history_count(void);
const char *fake_history(size_t index);
void fake_forget_history(void);

// ---- pods ---------------------------------------------------------------------------------------

// The pod on function `vf`: 10.88.0.0/16 and fd00::/64 with vf + 2, both families, MTU 1500.
struct offload_pod fake_pod(uint32_t vf);
extern const struct offload_router fake_router;
