// SPDX-License-Identifier: BSD-3-Clause
//
// Lets control look after the connections that the e-switch carries, when workers have something to tell or something
// is due; never twice within a few milliseconds, so that calls have their turn. On the event loop.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "proto/base/error.h"

struct control;

struct connection_loop {
	uv_poll_t events;
	uv_timer_t timer;
	struct control *control;
	bool started;
	bool pausing;     // after a round, deaf
	int64_t again_ms; // as the last round has said
};

// After control_new. Errors: CODE_INTERNAL.
int connection_loop_start(struct connection_loop *run, uv_loop_t *loop, struct control *control,
			  struct error *err);
// Before control_free; the handles are closed when the loop has run once more.
void connection_loop_stop(struct connection_loop *run);
