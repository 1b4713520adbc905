// SPDX-License-Identifier: BSD-3-Clause
//
// DPDK's environment (EAL) as the configuration wants it. Start-up and end only, main thread, which
// becomes EAL's main lcore; lcores 1..workers are the graph's.

#pragma once

#include "main/config.h"
#include "proto/base/error.h"

// Errors: CODE_NIC with what DPDK said last.
int eal_start(const struct agent_config *config, struct error *err);
void eal_stop(void);
