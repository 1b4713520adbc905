// SPDX-License-Identifier: BSD-3-Clause
//
// How much of something that runs out each pod may have: no more than a multiple of what is still free
// (a dynamic threshold; Choudhury and Hahne, 1998). With k greedy pods and multiple m each gets m of
// every 1 + k m, and 1 of every 1 + k m stays free for the others: so it is the greediest that are refused.

#pragma once

#include <stdbool.h>
#include <stdint.h>

// One more for somebody who holds `held` while `available` are free? The last ones are for those who have none.
static inline bool share_allows(uint32_t held, uint32_t available, uint32_t multiple)
{
	return available > 0 && (held == 0 || held < (uint64_t)multiple * (available - 1));
}
