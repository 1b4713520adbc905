// SPDX-License-Identifier: BSD-3-Clause
//
// What each node of the workers' graphs has done and cost, for DPDK's telemetry:
//
//     /podport/graph[,WORKER]      {"ip4_input": [calls, packets, cycles], ...}
//
// Names are without the prefix that all nodes have in common. The answer is put together by telemetry's own threads while
// workers walk: numbers of one node may be a walk apart.

#pragma once

#include <stdint.h>

struct worker;

// From now on the workers' graphs are shown. They must be open, and stay so until graph_stats_end().
void graph_stats_begin(struct worker *const *workers, uint32_t count);
// Returns when nobody looks at them any more.
void graph_stats_end(void);
