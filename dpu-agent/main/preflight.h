// SPDX-License-Identifier: BSD-3-Clause
//
// podport-agent --preflight: can this NIC forward by itself?

#pragma once

#include <stdint.h>

#include "port/port.h"

// Start the uplink with this MTU, ask, print the table to standard output, stop. EAL, NIC and
// datapath are up, nothing is started. Returns 0 if pods would be offloaded; -ENOTSUP if not,
// having said why in the table; else an error.
int preflight(struct nic *nic, uint32_t mtu, struct error *err);
