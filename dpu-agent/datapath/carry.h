// SPDX-License-Identifier: BSD-3-Clause
//
// Connections that the e-switch is to carry: what the worker that has the table of connections and the control
// thread, which has the e-switch, tell each other. Nobody waits: the worker forwards on until it does not see the
// packets any more.
//
//     worker                          rings                      control thread
//     a connection is steady     ── offered ─────────────►       makes its rules, or not
//     FIN, RST, its time is up   ── recalled ────────────►       removes them
//     keeps it alive, counts     ◄── begun, noted, ended ──
//
// Of an offer there is one end, after which the connection may be offered again. Control thread's side; free of DPDK.

#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/message.h"

// Of a packet, in network order; of IPv4 addresses the first 4 bytes.
struct carry_tuple {
	uint8_t source[16], destination[16];
	in_port_t source_port_be, destination_port_be; // of a ping the identifier, and 0
};

enum { CARRY_WIRE = UINT16_MAX };

enum carry_event_kind { CARRY_OFFERED, CARRY_RECALL };

struct carry_event {
	uint32_t place;   // names the connection; below the number that there may be
	uint8_t kind;     // enum carry_event_kind; the rest is of CARRY_OFFERED
	uint8_t protocol; // TCP, UDP, or of pings ICMP or ICMPv6
	bool is_ipv6;
	// Its two ends, and what they send: a pod, and the wire; or who calls within the node, a pod or the host, and a pod.
	uint16_t slots[2]; // of their ports; the second: CARRY_WIRE if it is the wire
	struct carry_tuple sent[2];
	uint32_t wire; // datapath_wire_generation() that it was routed by, or that has its address
	uint8_t next_hop[16]; // neighbour on the wire; zeros if neither end is there
};

enum carry_answer_kind { CARRY_BEGUN, CARRY_NOTED, CARRY_ENDED };

struct carry_answer {
	uint32_t place;
	uint8_t kind;                  // enum carry_answer_kind
	uint16_t pause_s;              // ENDED: before it may be offered again
	uint64_t packets[2], bytes[2]; // by which end; since the last answer. Of NOTED and ENDED
};

// Rings (poll for reading) when the worker has something to tell: nothing, as long as nothing is masqueraded or published.
// Of datapath_start(), until datapath_stop().
int carry_event_fd(void);
// May the worker offer? At first it may not. Also of a table of connections that is made later.
void carry_accept(bool accept);
// What the worker tells, in its order. False: nothing more; then the descriptor rings for what comes later.
bool carry_take(struct carry_event *ret_event);
// How many answers there is room for. The worker makes room in its next walk.
size_t carry_room(void);
// Needs room.
void carry_answer(const struct carry_answer *answer);
// The worker may be asleep: after some answers.
void carry_wake(void);

// Another one for each uplink that is set: what was routed by one before is not to be believed.
uint32_t datapath_wire_generation(void);
