// SPDX-License-Identifier: BSD-3-Clause
//
// Where frames end, and are counted: at a port, or out of a function. Pipeline thread only.

#pragma once

#include "sim/simnic/batch.h"
#include "sim/simnic/eswitch.h"

struct pipeline;

// A frame that is to go out of a function, the verdict's target, when the burst is over.
struct delivery {
	struct frame_buffer *buffer;
	struct verdict verdict;
};

// Ask the e-switch about this frame and deliver it. It stays in its buffer, and mbufs it was made of stay where they are, until
// delivery_flush(); at most BATCH_MAX frames in between.
void forward(struct pipeline *pipeline, struct frame_buffer *buffer);
// Write what is to go out of functions, and count it by what came of it.
void delivery_flush(struct pipeline *pipeline);
