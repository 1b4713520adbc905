// SPDX-License-Identifier: BSD-3-Clause
//
// What is counted, for Prometheus: GET /metrics by HTTP. nng's threads take the question, the control thread
// answers it between two calls, as all state is read there only.
//
//     nng thread: GET ─► queue (METRICS_QUEUE_MAX) ─► wake   │   loop: drain ─► metrics_write ─► answer

#pragma once

#include <uv.h>

#include "control/control.h"

struct metrics;

// Listen at "ADDRESS:PORT". Answers come once the loop runs. Errors: CODE_BAD_REQUEST with the address and what is
// wrong with it.
int metrics_start(const char *address, uv_loop_t *loop, struct control *control,
		  struct metrics **ret_metrics, struct error *err);

// Loop thread. Questions that are queued are answered, as far as their connections, which are closed then, take
// it: nobody waits. The loop has to run once more for its handle to go. NULL is fine.
void metrics_stop(struct metrics *metrics);

// The port it listens at, in host order: for ADDRESS:0.
uint16_t metrics_port(const struct metrics *metrics);
