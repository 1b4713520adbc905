// SPDX-License-Identifier: BSD-3-Clause
//
// One at a time, in the order they came, for what the kernel does one by one anyway: who waits here has not begun, and
// who has begun is soon ready. A courtesy and no lock: whoever has its turn for too long is passed by. Any thread.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/error.h"

struct turn;

// max_ms: how long a turn holds up the others.
int turn_open(uint32_t max_ms, struct turn **ret_turn, struct error *err);
void turn_close(struct turn *turn); // NULL is fine

// Wait for our turn. true: it is ours until turn_end. false: we go on besides somebody's who takes too long, and end nothing.
bool turn_wait(struct turn *turn);
void turn_end(struct turn *turn);
