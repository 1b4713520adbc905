// SPDX-License-Identifier: BSD-3-Clause
//
// See connection_loop.h.

#include "main/connection_loop.h"

#include <errno.h>

#include "control/control.h"
#include "datapath/carry.h"

enum { PAUSE_MS = 5 }; // after a round

static void on_timer(uv_timer_t *timer);

static void run_now(struct connection_loop *run)
{
	run->again_ms = control_connections_run(run->control);
	run->pausing = true;
	uv_poll_stop(&run->events);
	uv_timer_start(&run->timer, on_timer, PAUSE_MS, 0);
}

static void on_event(uv_poll_t *poll, int status, int events)
{
	run_now(poll->data);
}

// The pause is over, or something is due.
static void on_timer(uv_timer_t *timer)
{
	struct connection_loop *run = timer->data;

	if (!run->pausing || (run->again_ms >= 0 && run->again_ms <= PAUSE_MS)) {
		run_now(run);
		return;
	}
	run->pausing = false;
	uv_poll_start(&run->events, UV_READABLE, on_event);
	if (run->again_ms >= 0)
		uv_timer_start(timer, on_timer, (uint64_t)(run->again_ms - PAUSE_MS), 0);
}

int connection_loop_start(struct connection_loop *run, uv_loop_t *loop, struct control *control,
			  struct error *err)
{
	*run = (struct connection_loop){.control = control, .again_ms = -1};
	int r = uv_poll_init(loop, &run->events, carry_event_fd());
	if (r < 0)
		return error_set(err, -r, CODE_INTERNAL, "event loop: %s", uv_strerror(r));
	uv_timer_init(loop, &run->timer);
	run->events.data = run->timer.data = run;
	run->started = true;
	r = uv_poll_start(&run->events, UV_READABLE, on_event);
	return r < 0 ? error_set(err, -r, CODE_INTERNAL, "event loop: %s", uv_strerror(r)) : 0;
}

void connection_loop_stop(struct connection_loop *run)
{
	if (!run->started)
		return;
	uv_close((uv_handle_t *)&run->events, NULL);
	uv_close((uv_handle_t *)&run->timer, NULL);
}
