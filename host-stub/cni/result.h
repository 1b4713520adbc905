// SPDX-License-Identifier: BSD-3-Clause
//
// The result of ADD in the version that the runtime speaks (SPEC, section 5).
//
//                      0.3.0 to 0.4.0  1.0.0    1.1.0
//     interfaces[]     name, mac, sandbox       ... and mtu
//     ips[]            ... and version address, gateway, interface
//     routes[]         dst, gw         dst, gw  dst, gw

#pragma once

#include <jansson.h>

#include "cni/netconf.h"
#include "libpodport/podport.h"

// What was attached in `netns`, after what netconf's prevResult has; dns is the configuration's, or
// else prevResult's. NULL: out of memory.
json_t *result_json(const struct netconf *netconf, const char *netns,
		    const struct podport_attachment *attachment);
