// SPDX-License-Identifier: BSD-3-Clause
//
// Looking at the packets of one port: what comes in from its function and what goes out to it, with
// every node of the graph that it passes. For an operator, so bounded in everything: in number, in
// bytes, and in memory, which is taken when a trace is opened. Control thread only; free of DPDK.
//
//     worker: packet ─► node ─► node ─► … ─► end       control thread
//                 a step for each                      trace_next() ─► trace_release()
//                                         record ─────►      ▲                │
//                 ▲ idle records                             └ done records   │
//                 └───────────────────────────────────────────────────────────┘
//
// While no trace is open the graph runs as it was built: nodes' functions are put behind the one that
// takes the steps when the first trace opens, and back after the last, by each worker between two of
// its walks. So a node needs no line of code to be seen, and what it costs then is a comparison in each
// walk.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/message.h"

enum {
	TRACES_MAX = 4, // at once
	TRACE_STEPS_MAX = LIMIT_STEPS,
};

struct trace_config {
	uint32_t slot;        // of a port that is there
	bool steps;           // else records have none
	uint32_t frame_bytes; // of each frame that are kept, 0..LIMIT_FRAME
	uint64_t packets;     // to be taken, at most
	uint64_t bytes;       // the same, of frames
	// Only what this accepts of the frame, as the function's owner sees it on its interface. Copied;
	// 0: everything.
	const struct filter_instruction *filter;
	uint32_t filter_size;
};

enum trace_family { TRACE_OTHER, TRACE_ARP, TRACE_IPV4, TRACE_IPV6 };

// A packet as it comes into a node.
struct trace_step {
	uint32_t node; // trace_node_name()
	uint16_t out_slot;
	uint8_t reason; // for which it is dropped, if it is
	bool own;       // the router's own, on its way to the wire
	uint8_t family; // enum trace_family
	uint8_t protocol;
	uint8_t hops;                        // time to live, hop limit
	bool later_piece;                    // a fragment without ports
	uint8_t source[16], destination[16]; // of ARP: sender and target
	uint16_t source_port,
		destination_port;       // host order; of a ping its identifier, in the first
	uint8_t type, code;             // of ICMP; of TCP its flags; of ARP the operation
	uint8_t error_type, error_code; // for the error nodes
	uint32_t error_value;
	uint8_t next_hop[16], wire_mac[6]; // as far as they are known
	uint32_t length;                   // from layer 3 on; of the first step from layer 2
};

struct trace_record {
	uint64_t unix_ns;
	uint32_t length;      // of the frame
	uint32_t frame_bytes; // of it that are here
	const uint8_t *frame;
	bool to_port; // else from it
	bool dropped; // for `reason`
	bool continued; // its beginning is another record, or none: it came from another worker, or has waited
	bool unfinished; // it has not left the graph in a few seconds, or left it unseen
	uint8_t reason;  // enum drop_reason
	uint16_t in_slot;
	uint32_t steps_left_out; // there was no room for these
	uint32_t step_count;
	const struct trace_step *steps; // NULL if not wanted
};

struct trace;

// Packets of the port are taken from now on. It is the port that is in the slot now, no later one.
// Errors: CODE_BAD_REQUEST (the filter: what is wrong with it), CODE_NOT_FOUND (no such port),
// CODE_BUSY (TRACES_MAX are open), CODE_INTERNAL.
int trace_open(const struct trace_config *config, struct trace **ret_trace, struct error *err);

// No more are taken, and what is under way is done as it is: unfinished. Workers do that soon, not at
// once: trace_read_figures() tells when it is done.
void trace_end(struct trace *trace);

// No more are taken, and what is under way is lost; what is done can still be read.
void trace_stop(struct trace *trace);

// Stop, and free with all its records. NULL is fine.
void trace_free(struct trace *trace);

// The next one that is done, NULL: none. It is the caller's until trace_release().
const struct trace_record *trace_next(struct trace *trace);
void trace_release(struct trace *trace, const struct trace_record *record);

struct trace_figures {
	uint64_t taken; // handed out by trace_next(), to be handed out, or still under way
	uint64_t done;  // of these not under way
	uint64_t lost;  // no record was idle
	bool full;      // as many packets or bytes as were to be taken
};
void trace_read_figures(const struct trace *trace, struct trace_figures *ret_figures);

// "ip4_input". Never NULL.
const char *trace_node_name(uint32_t node);
