// SPDX-License-Identifier: BSD-3-Clause
//
// The e-switch's decision for a frame. Pipeline thread only.

#pragma once

#include "sim/simnic/frame.h"

struct verdict {
	enum {
		TO_FUNCTION, // out of the netdev
		TO_PORT,     // to the application: the function's representor, or the uplink port
	} kind;
	struct function *target;
};

// Without rules there are only the defaults: what comes from a netdev misses to the port of its
// origin, what a port sends goes out of its function.
struct verdict eswitch(const struct frame *frame);
