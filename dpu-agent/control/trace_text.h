// SPDX-License-Identifier: BSD-3-Clause
//
// A packet's way through the graph, in words. What a node has decided is read from what it was given
// and what it handed on, so a node that is not known here is told of, too, only with less reason.

#pragma once

#include "datapath/trace.h"

// What the operator calls the port in a slot: "pf0vf3 (pod web-0)", "the uplink".
struct trace_names {
	void (*port)(const void *arg, uint32_t slot, char *ret_text, size_t size);
	const void *arg;
};

// The packet as it was when it was first seen: "10.88.0.2:4000 > 10.88.0.3:80 TCP SYN, 60 bytes".
// Of a record with steps. Printable.
void trace_text_summary(const struct trace_record *record, char ret_text[LIMIT_STEP_TEXT + 1]);

// What became of it in this step, and why. Printable.
void trace_text_step(const struct trace_record *record, uint32_t index,
		     const struct trace_names *names, char ret_text[LIMIT_STEP_TEXT + 1]);
