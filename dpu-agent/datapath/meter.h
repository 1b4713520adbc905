// SPDX-License-Identifier: BSD-3-Clause
//
// A pod's limit in the graph: a token bucket (rte_meter, RFC 2697, colour-blind) for each direction. What is
// beyond it is dropped, not kept: the agent holds nobody's packets back. Not for other folders.
//
// What a pod sends is metered by the worker that polls its port. What it receives may come from any worker,
// so that bucket has a lock; it is the only thing that workers share with each other, and only packets for a
// limited pod meet it.
//
// While the NIC meters the pod (datapath_meter_in_nic) these do nothing: each packet meets one meter.

#pragma once

#include <rte_meter.h>
#include <rte_spinlock.h>

#include "datapath/bandwidth.h"
#include "datapath/worker.h"

struct meter {
	rte_spinlock_t lock;
	struct rte_meter_srtcm_profile profile;
	struct rte_meter_srtcm bucket;
	// Of a frame that is to be cut into segments the first one decides, since it cannot pass in part. What
	// the others lack is owed, in packets of owed_unit bytes, and paid before the next frame passes.
	uint64_t owed, owed_unit;
};

// With a full bucket. False: rte_meter does not take the numbers.
bool meter_init(struct meter *meter, const struct bandwidth_limit *limit);

// Meters for the directions that are limited, NULL for the others. Errors: CODE_INTERNAL; what there is
// then is to be freed, too.
int meters_new(const struct bandwidth_limit limits[BANDWIDTH_DIRECTIONS],
	       struct meter *ret_meters[BANDWIDTH_DIRECTIONS], struct error *err);
void meters_free(struct meter *meters[BANDWIDTH_DIRECTIONS]);

// May it pass? bytes: of all its packets.
bool meter_passes(struct meter *meter, uint32_t packets, uint64_t bytes, uint64_t tsc);

// Take `m`, which the port of `slot` sends or is to send, into account. False: to be dropped. At layer 2, as
// it came in:
bool meter_egress(struct worker *w, const struct graph_port *port, const struct rte_mbuf *m);
// and at layer 3, with its metadata, on its way out:
bool meter_ingress(struct worker *w, const struct graph_port *port, const struct rte_mbuf *m);
