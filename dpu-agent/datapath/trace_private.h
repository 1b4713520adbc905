// SPDX-License-Identifier: BSD-3-Clause
//
// Between the control thread's side of traces (trace.c) and the workers' (trace_worker.c). A set is
// published with the snapshot; each worker has a tracer of its own in it.

#pragma once

#include <stdatomic.h>

#include <rte_ring.h>

#include <pcap/bpf.h>

#include "datapath/trace.h"
#include "datapath/worker.h"

enum {
	TRACE_PACKETS = 512, // under way in one worker: two bursts
};

struct trace {
	struct trace_config config;
	uint32_t generation; // of the port
	uint64_t serial;     // another one for each
	struct bpf_insn filter[LIMIT_FILTER];
	struct rte_ring *idle, *done; // of records
	void *memory;                 // all records
	_Atomic uint64_t taken, bytes, finished, lost;
	_Atomic bool full, ending;
	bool stopped; // control thread's
};

// A record with its own memory behind it.
struct trace_slot {
	struct trace_record record;
	struct trace_step *steps;
	uint8_t *frame;
};

// What a packet is to a trace: two records, if it comes from the port and its answer is made in place.
enum { TRACE_FROM, TRACE_TO, TRACE_WAYS };

enum trace_origin {
	TRACE_RECEIVED,  // seen since it came in
	TRACE_OWN,       // made by the agent
	TRACE_CONTINUED, // seen before: by another worker, before it was cut, or too long ago
};

// A packet under way. Its number and generation, and the worker's, are in the packet's metadata.
struct trace_packet {
	bool live;
	bool layer2;     // not yet through eth_classify: its Ethernet header is before it
	bool classified; // has come into eth_classify
	uint8_t origin;  // enum trace_origin
	bool leaving;    // in a node that nothing comes out of
	bool dropped;
	uint8_t reason;
	uint16_t generation;
	uint16_t in_slot;
	uint64_t touched_tsc;
	uint32_t refused; // bits of traces that do not want it
	uint32_t step_count, left_out;
	struct trace_slot *slots[TRACES_MAX][TRACE_WAYS];
	struct trace_step steps[TRACE_STEPS_MAX];
};

enum trace_node_kind {
	TRACE_NODE_OTHER,
	TRACE_NODE_FIRST, // what port_rx gives its packets to
	TRACE_NODE_DROP,
	TRACE_NODE_END,
	TRACE_NODE_SEND, // port_tx
};

// One worker's.
struct tracer {
	uint64_t set_serial;
	uint64_t serials[TRACES_MAX]; // of the traces that packets' slots are of
	uint64_t swept_tsc;
	bool named;
	uint8_t kinds[TRACE_NODES_MAX];
	rte_node_t port_rx, classify;
	uint16_t idle[TRACE_PACKETS], idle_count;
	uint16_t leaving[TRACE_PACKETS], leaving_count;
	struct trace_packet packets[TRACE_PACKETS];
	uint8_t scratch[LIMIT_FRAME];
};

struct trace_set {
	uint64_t serial; // another one for each
	struct trace *traces[TRACES_MAX];
	struct tracer **tracers; // by worker
};

// ---- trace_filter.c ------------------------------------------------------------------------------

// Check what a caller sent, by the rules of the kernel's bpf_check_classic(): only instructions that
// the interpreter knows, jumps forward and inside, an end. Errors: CODE_BAD_REQUEST.
int trace_filter_take(const struct filter_instruction *filter, uint32_t size,
		      struct bpf_insn ret_filter[LIMIT_FILTER], struct error *err);

// Does it accept this frame, of which `captured` bytes of `length` are here?
static inline bool trace_filter_accepts(const struct trace *trace, const uint8_t *frame,
					uint32_t length, uint32_t captured)
{
	return trace->config.filter_size == 0 ||
	       bpf_filter(trace->filter, frame, length, captured) != 0;
}

// ---- trace_packet.c ------------------------------------------------------------------------------

// What can be read of a packet as it is now.
void trace_read_step(const struct rte_mbuf *m, bool layer2, struct trace_step *ret_step);

// Copy at most `size` bytes of the packet as a frame between router and port; where it has no Ethernet
// header now, with the one it will have, or had. Returns how many.
uint32_t trace_copy_frame(const struct snapshot *s, const struct graph_port *port,
			  const struct rte_mbuf *m, bool layer2, bool to_port, uint8_t *to,
			  uint32_t size, uint32_t *ret_length);

// ---- trace.c, for the workers --------------------------------------------------------------------

// Names are told apart when a worker meets the nodes, once.
const char *trace_short_name(const char *name);
