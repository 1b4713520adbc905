// SPDX-License-Identifier: BSD-3-Clause
//
// What folders that know DPDK (offload/) need of a port besides port.h. Control thread.

#pragma once

#include <stdint.h>

#include "port/port.h"

// The ethdev behind the port: what rte_flow's items and actions name. Fixed while the NIC is open.
uint16_t port_ethdev_id(const struct port *port);
