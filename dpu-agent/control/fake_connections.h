// SPDX-License-Identifier: BSD-3-Clause
//
// For tests: the worker that offers connections, and the e-switch that carries them, as far as control sees either.

#pragma once

#include "datapath/carry.h"
#include "offload/connections.h"

enum { FAKE_EVENTS_MAX = 64 };

struct fake_connections {
	bool accepting;       // offers
	uint32_t wire;        // generation
	size_t room;          // for answers
	const char *unusable; // why nothing can be carried; NULL: it can
	int add_error;        // 0, or why none is taken
	bool host_heard;      // on its port
	struct mac host_mac;
	unsigned int host_asked; // how often
	uint32_t hop;            // number of the neighbour on the wire; 0: it is not there
	struct mac hop_mac;

	struct carry_event events[FAKE_EVENTS_MAX]; // not yet taken
	size_t event_count;
	struct carry_answer answers[FAKE_EVENTS_MAX];
	size_t answer_count;
	uint32_t added_place;
	struct offload_connection added; // the last one
	size_t add_count, leave_count, leave_all_count;
	uint32_t left_hop;                              // whose connections left last
	uint32_t used_hop;                              // that was confirmed last
	bool hop_is_used;                               // there are connections by it
	struct offload_answer to_tell[FAKE_EVENTS_MAX]; // by the next round
	size_t to_tell_count;
};

extern struct fake_connections fake_connections;

// As new: room, a wire, a neighbour.
void fake_connections_reset(void);
