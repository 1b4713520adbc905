// SPDX-License-Identifier: BSD-3-Clause
//
// Meters: rte_mtr on the uplink port, which is the e-switch's manager; rules of all ports name them by their ID. The colour
// is DPDK's rte_meter's, a policy says of each colour whether it passes or is dropped. Profiles, policies and meters are the
// control threads', under a lock; what the pipeline uses of a meter is its own.

#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct device;
struct meter;
struct meter_policy;
struct meter_profile;
struct rte_eth_dev;

enum { METER_OBJECTS_MAX = 4096 }; // of each kind

struct meters {
	pthread_mutex_t lock;
	TAILQ_HEAD(, meter_profile) profiles;
	TAILQ_HEAD(, meter_policy) policies;
	TAILQ_HEAD(meter_list, meter) meters;
	uint32_t profile_count, policy_count, meter_count;
};

void meters_init(struct meters *meters);
// Frees what the application has left. No rule may hold a meter.
void meters_fini(struct meters *meters);

// mtr_ops_get of struct eth_dev_ops. -ENOTSUP on representors.
int meter_ops_get(struct rte_eth_dev *dev, void *ret_ops);

// For a rule: the meter of this ID, which cannot be destroyed until it is released. -ENOENT: there is none. -EBUSY: it is
// another rule's, and not shared. Control threads.
int meter_hold(struct device *device, uint32_t id, struct meter **ret_meter);
void meter_release(struct meter *meter);

// Whether a frame passes that is `packets` packets on the wire of `bytes` bytes together, Ethernet headers included.
// tsc: now. Pipeline thread.
//
// A segmentation-offloaded frame is many packets, and cannot be let through in part. Each of them is metered; the first one decides.
// What the others lack, the meter is owed, and is paid before it lets the next frame through: so the rate is kept over
// time, and a meter whose burst size is below such a frame's still lets traffic through, as one in silicon would.
bool meter_passes(struct meter *meter, uint32_t packets, uint32_t bytes, uint64_t tsc);
