// SPDX-License-Identifier: BSD-3-Clause
//
// The one clock of hostd: CLOCK_MONOTONIC in milliseconds, for deadlines and ages. Any thread.

#pragma once

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

// What is left until `deadline_ms`, 0 if it has passed.
static inline uint32_t clock_left_ms(uint64_t deadline_ms)
{
	uint64_t now = clock_ms();

	return deadline_ms <= now               ? 0
	       : deadline_ms - now > UINT32_MAX ? UINT32_MAX
						: (uint32_t)(deadline_ms - now);
}
