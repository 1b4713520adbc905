// SPDX-License-Identifier: BSD-3-Clause
//
// Where a worker meets traces: before each walk, and where a packet is dropped inside of the first or the
// last node.

#pragma once

#include "datapath/worker.h"

// There is a trace, or there was one in the last walk.
void trace_before_walk_slow(struct worker *w);

static inline void trace_before_walk(struct worker *w)
{
	if (unlikely(w->snapshot->traces != NULL || w->traces != NULL))
		trace_before_walk_slow(w);
}

void trace_note_drop_slow(struct worker *w, const struct rte_mbuf *m, enum drop_reason reason);

static inline void trace_note_drop(struct worker *w, const struct rte_mbuf *m,
				   enum drop_reason reason)
{
	if (unlikely(w->traces != NULL))
		trace_note_drop_slow(w, m, reason);
}

void trace_note_handover_slow(struct worker *w, uint32_t token);

// The packet that had this name here is another worker's now, which sees it as one that was seen before.
static inline void trace_note_handover(struct worker *w, uint32_t token)
{
	if (unlikely(w->traces != NULL))
		trace_note_handover_slow(w, token);
}

void trace_note_refusal_slow(struct worker *w, struct rte_mbuf *m, enum drop_reason reason);

// A packet that was received goes no further than port_rx.
static inline void trace_note_refusal(struct worker *w, struct rte_mbuf *m, enum drop_reason reason)
{
	if (unlikely(w->traces != NULL))
		trace_note_refusal_slow(w, m, reason);
}
