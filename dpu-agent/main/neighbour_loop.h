// SPDX-License-Identifier: BSD-3-Clause
//
// The event loop's part in the table of neighbours: it runs when workers have something to tell, and
// when something is due. Control thread.

#pragma once

#include <uv.h>

#include "proto/base/error.h"

struct control;

struct neighbour_loop {
	struct control *control; // hears what has changed
	uv_poll_t events;
	uv_timer_t timer;
};

// After datapath_start and control_new. Errors: CODE_INTERNAL.
int neighbour_loop_start(struct neighbour_loop *run, uv_loop_t *loop, struct control *control,
			 struct error *err);
// Before datapath_stop; the handles are closed when the loop has run once more.
void neighbour_loop_stop(struct neighbour_loop *run);
