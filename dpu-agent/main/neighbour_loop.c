// SPDX-License-Identifier: BSD-3-Clause
//
// See neighbour_loop.h.

#include "main/neighbour_loop.h"

#include "control/control.h"
#include "datapath/neighbour.h"

static void on_timer(uv_timer_t *timer);

static void run_now(struct neighbour_loop *run)
{
	int64_t again_ms = neighbours_run(uv_hrtime() / 1000000);

	control_neighbours_changed(run->control);
	if (again_ms < 0)
		uv_timer_stop(&run->timer);
	else // the loop counts whole milliseconds: not one too early
		uv_timer_start(&run->timer, on_timer, (uint64_t)again_ms + 1, 0);
}

static void on_timer(uv_timer_t *timer)
{
	run_now(timer->data);
}

static void on_event(uv_poll_t *poll, int status, int events)
{
	run_now(poll->data);
}

int neighbour_loop_start(struct neighbour_loop *run, uv_loop_t *loop, struct control *control,
			 struct error *err)
{
	int r = uv_poll_init(loop, &run->events, neighbours_event_fd());

	if (r < 0)
		return error_set(err, -r, CODE_INTERNAL, "event loop: %s", uv_strerror(r));
	uv_timer_init(loop, &run->timer);
	run->control = control;
	run->events.data = run->timer.data = run;
	r = uv_poll_start(&run->events, UV_READABLE, on_event);
	return r < 0 ? error_set(err, -r, CODE_INTERNAL, "event loop: %s", uv_strerror(r)) : 0;
}

void neighbour_loop_stop(struct neighbour_loop *run)
{
	uv_close((uv_handle_t *)&run->events, NULL);
	uv_close((uv_handle_t *)&run->timer, NULL);
}
