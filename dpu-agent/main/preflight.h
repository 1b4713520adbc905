// SPDX-License-Identifier: BSD-3-Clause
//
// podport-agent --preflight: can this NIC forward by itself?

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "port/port.h"

// Start the uplink with this MTU, ask, print the table to standard output, stop. EAL, NIC and
// datapath are up, nothing is started. Returns 0 if pods would be offloaded; -ENOTSUP if not,
// having said why in the table; else an error. `icmp6`: see struct offload_config.
int preflight(struct nic *nic, uint32_t mtu, bool icmp6, struct error *err);
