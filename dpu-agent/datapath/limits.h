// SPDX-License-Identifier: BSD-3-Clause
//
// How many packets of a pod the worker handles: a bucket for each port, looked at once for a burst, before
// anything is done with its packets (the generic cell rate algorithm, ITU-T I.371: one number instead of tokens
// and the time of their refill). Worker.

#pragma once

#include "datapath/worker.h"

// Of `count` packets just received at the port, the first ones may go on: how many. The others are freed and
// counted.
uint16_t limits_admit(struct worker *w, const struct graph_port *port, struct rte_mbuf **packets,
		      uint16_t count);
