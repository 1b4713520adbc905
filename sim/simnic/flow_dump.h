// SPDX-License-Identifier: BSD-3-Clause
//
// Rules in words, one line each: for rte_flow_dev_dump() and people.
//
//     group=0 priority=0 vf0: eth ipv4 ip_dst=10.9.0.2 -> set_mac_src=02:.. add_ttl=255 function=vf1; hits=3 bytes=294

#pragma once

#include <stdio.h>

#include "sim/simnic/eswitch.h"

// Print a rule, or (NULL) all that were made through the owner's port. In pieces, between which the pipeline goes on: rules that
// are destroyed by a queue's thread meanwhile may make others be missed. Control threads; 0 or -ENOMEM.
int flow_dump(struct function *owner, const struct rte_flow *only, FILE *file);
