// SPDX-License-Identifier: BSD-3-Clause
//
// For tests: datapath/trace.h without a graph. Records are what the test says; it ends the program where
// control does with them what it may not.

#pragma once

#include "datapath/trace.h"

enum { FAKE_RECORDS_MAX = 256 };

struct trace {
	bool open, ending, stopped;
	struct trace_config config;
	struct trace_record records[FAKE_RECORDS_MAX];
	bool out[FAKE_RECORDS_MAX]; // with control
	uint32_t count, handed, released;
	struct trace_figures figures;
};

struct fake_traces {
	struct trace traces[TRACES_MAX];
	bool fail;                // trace_open does, as for a bad filter
	const char *const *nodes; // by number
};
extern struct fake_traces fake_traces;

// One more for whoever reads the trace in this place.
void fake_trace_add(uint32_t place, const struct trace_record *record);
uint32_t fake_trace_open_count(void);
