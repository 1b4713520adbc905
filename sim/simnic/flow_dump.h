// SPDX-License-Identifier: BSD-3-Clause
//
// Rules in words, one line each: for rte_flow_dev_dump() and people.
//
//     group=0 priority=0 vf0: eth ipv4 ip_dst=10.9.0.2 -> set_mac_src=02:.. add_ttl=255 function=vf1; hits=3 bytes=294

#pragma once

#include <stdio.h>

#include "sim/simnic/eswitch.h"

// The rule, with its match, in force or not. Control threads; the rule must stay meanwhile.
void flow_dump(FILE *file, const struct rte_flow *rule, const struct flow_match *match,
	       bool in_force);
