// SPDX-License-Identifier: BSD-3-Clause
//
// See limits.h, and datapath_set_limits().

#include "datapath/limits.h"

#include <rte_cycles.h>

#include "datapath/datapath_private.h"
#include "datapath/trace_worker.h"
#include "proto/base/log.h"

enum {
	// What a pod that was quiet may send at once: a tenth of a second's, though never less than this.
	SAVED_PER_S = 10,
	SAVED_MIN = 64,
};

uint16_t limits_admit(struct worker *w, const struct graph_port *port, struct rte_mbuf **packets,
		      uint16_t count)
{
	const struct snapshot *s = w->snapshot;
	uint16_t slot = (uint16_t)port->config.slot, admitted = count;

	if (s->packet_tsc == 0 || port->config.role != DATAPATH_ROLE_POD)
		return count;
	uint64_t now = rte_rdtsc(), paid_until = w->paid_until_tsc[slot];
	if (paid_until + s->saved_tsc < now)
		paid_until = now - s->saved_tsc;
	if (unlikely(paid_until + count * s->packet_tsc > now)) {
		admitted = paid_until >= now ? 0 : (uint16_t)((now - paid_until) / s->packet_tsc);
		w->counters[slot].drops[DROP_SLOW_PATH_LIMIT] += count - admitted;
		for (uint16_t i = admitted; i < count; i++)
			trace_note_refusal(w, packets[i], DROP_SLOW_PATH_LIMIT);
		rte_pktmbuf_free_bulk(packets + admitted, count - admitted);
	}
	w->paid_until_tsc[slot] = paid_until + admitted * s->packet_tsc;
	return admitted;
}

void datapath_set_limits(const struct datapath_limits *limits)
{
	struct snapshot *s = datapath_copy_snapshot();
	uint32_t pps = limits->slow_path_pps;

	if (s == NULL) {
		log_error("limits not changed", "error=\"out of memory\"");
		return;
	}
	s->limits = *limits;
	s->packet_tsc = pps == 0 ? 0 : RTE_MAX(rte_get_tsc_hz() / pps, (uint64_t)1);
	s->saved_tsc = s->packet_tsc * RTE_MAX(pps / SAVED_PER_S, (uint32_t)SAVED_MIN);
	datapath_publish(s);
}
