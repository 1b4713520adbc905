// SPDX-License-Identifier: BSD-3-Clause
//
// Who the agent is on the wire: its addresses, VLAN and routes there. Control thread. Free of DPDK.
//
//     a pod ── not in the pod network ──► longest prefix of the routes ──► neighbour ──► the wire
//     the wire ──► the agent's own address: echo, ARP, ND       in the pod network: the pod
//                  all else is dropped; nothing goes from the wire to the wire

#pragma once

#include "proto/message.h"

// Publish; what was set before is not seen by any worker when this returns, its neighbours are
// forgotten, and the addresses are announced (gratuitous ARP, RFC 5227 section 3; unsolicited
// neighbour advertisements, RFC 4861 section 7.2.6). NULL: none of all that, the wire is not served.
// `uplink` has passed uplink_check. Errors: -ENOMEM with CODE_INTERNAL; all stays as it was.
int datapath_set_uplink(const struct uplink *uplink, struct error *err);

// Announce the addresses once more, as datapath_set_uplink() does. Without any: no effect.
void datapath_announce(void);
