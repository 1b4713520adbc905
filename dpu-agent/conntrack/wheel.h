// SPDX-License-Identifier: BSD-3-Clause
//
// A timer wheel over the elements of an array, by their index. An element that lives on is not moved:
// its owner notes the new time, and when its turn comes puts it in again. So a packet costs nothing here.
// Turns come every second, those further away than the wheel is round come once each round. One worker.

#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { WHEEL_SLOTS = 512, WHEEL_NONE = UINT32_MAX };

struct wheel_link {
	uint32_t next, previous; // WHEEL_NONE at the ends; previous: of the first, WHEEL_NONE
	uint32_t due_s;          // its turn
};

struct wheel {
	uint32_t now_s;
	uint32_t heads[WHEEL_SLOTS];
	struct wheel_link *links; // one of each element
};

// `links` stays the caller's.
void wheel_init(struct wheel *wheel, struct wheel_link *links, uint32_t now_s);
// The turn comes at `when_s`, or before that; not before the next second.
void wheel_add(struct wheel *wheel, uint32_t index, uint32_t when_s);
void wheel_remove(struct wheel *wheel, uint32_t index);
// Sooner than it was to be? Then put it where it belongs.
void wheel_hasten(struct wheel *wheel, uint32_t index, uint32_t when_s);

// The next element whose turn has come by `now_s`; it is out of the wheel then. WHEEL_NONE: none.
uint32_t wheel_turn(struct wheel *wheel, uint32_t now_s);
