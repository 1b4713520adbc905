// SPDX-License-Identifier: BSD-3-Clause
//
// Which ports a worker polls. A port that has been empty for long, while others keep the worker awake, rests: its Rx
// interrupt is armed, and it costs nothing until that rings. So what a busy pod pays does not depend on how many idle ones
// there are. Some ports are polled in any case, as that is cheaper than to be woken; and those that cannot ring.
//
// All of it is the worker's own.

#pragma once

#include "datapath/worker.h"

// At the beginning of a walk: ports may have come and gone. `s` is what the walk sees.
void poll_look(struct worker *w, const struct snapshot *s);

// A burst from the port at w->polled[w->poll_next], which goes on to the next one; 0 if it is empty, and perhaps rests then.
uint16_t poll_next(struct worker *w, const struct snapshot *s, struct rte_mbuf **packets,
		   uint16_t count, const struct graph_port **ret_port);

// Whatever comes from now on rings. False: some port cannot, and must be polled. To be followed by a walk, and
// if that finds nothing, by poll_rest(): who is woken for one port need not poll those that have long been empty.
bool poll_arm(struct worker *w, const struct snapshot *s);
void poll_rest(struct worker *w, const struct snapshot *s);

// The port in this slot has rung; it may have gone meanwhile. It is polled again.
void poll_rang(struct worker *w, const struct snapshot *s, uint32_t slot);

// A device with ops may have changed what rings: polled again from the next walk on.
void poll_look_again(struct worker *w, const struct snapshot *s);
