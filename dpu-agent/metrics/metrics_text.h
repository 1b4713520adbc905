// SPDX-License-Identifier: BSD-3-Clause
//
// The text of /metrics.

#pragma once

#include "control/control.h"

// All of it, in Prometheus' text format 0.0.4 (prometheus.io, "Exposition formats"). *ret_text is heap, of
// *ret_size bytes without the NUL behind it. Control thread. Errors: -ENOMEM.
int metrics_write(struct control *control, char **ret_text, size_t *ret_size);
