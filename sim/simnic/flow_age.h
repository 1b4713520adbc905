// SPDX-License-Identifier: BSD-3-Clause
//
// Ageing: what has not been hit for its time is told to the application, once, until it is hit again. The pipeline only
// counts hits, as it does anyway; a timer in EAL's interrupt thread looks whether the counts have moved, twice a second
// while there is anything that can age. So a rule is found to have aged at most half a second late.

#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <rte_flow.h>

struct device;

// All but the constants under the e-switch's lock.
struct flow_age {
	TAILQ_ENTRY(flow_age) next;
	uint16_t owner;       // constant: index of the function through whose port it was made
	void *context;        // constant: what the application is told
	const uint64_t *hits; // constant: counted by the pipeline
	bool listed;
	bool announced; // by an event, since it aged
	uint64_t hits_seen;
	uint64_t last_hit_ms;
	uint32_t timeout_s; // 0: never
	enum { AGE_YOUNG, AGE_AGED, AGE_TOLD } state;
};

TAILQ_HEAD(flow_age_list, flow_age);

// From now on; and no more, which is fine for one that was not added. Control threads.
void flow_age_add(struct device *device, struct flow_age *age);
void flow_age_remove(struct device *device, struct flow_age *age);
// As struct rte_flow_update_age says.
void flow_age_update(struct device *device, struct flow_age *age,
		     const struct rte_flow_update_age *update);
void flow_age_query(struct device *device, struct flow_age *age,
		    struct rte_flow_query_age *ret_answer);
// As rte_flow_get_aged_flows(), of what was made through the port of this function.
int flow_age_get(struct device *device, uint16_t owner, void **contexts, uint32_t count);

// The device ends: no timer after this.
void flow_age_stop(struct device *device);
