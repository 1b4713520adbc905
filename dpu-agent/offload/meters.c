// SPDX-License-Identifier: BSD-3-Clause
//
// The NIC's meters of the pods that have a limit (rte_mtr): a profile and a meter for each direction, which
// all rules of the pod share; one policy for all. Made before the pod's rules and given back after them.

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_mtr.h>

#include "offload/offload_private.h"

enum { POLICY_ID = 1 };

int meters_explain(int r, const struct rte_mtr_error *error, char *ret_why, size_t size)
{
	if (r == -ENOSPC)
		snprintf(ret_why, size, "no meter is left");
	else if (error->message != NULL && error->message[0] != '\0')
		snprintf(ret_why, size, "%s", error->message);
	else
		snprintf(ret_why, size, "%s", rte_strerror(-r));
	return r;
}

// ---- one meter ----------------------------------------------------------------------------------

int meter_make(uint16_t port_id, uint32_t id, const struct bandwidth_limit *limit,
	       char ret_why[ENGINE_WHY_SIZE])
{
	struct rte_mtr_meter_profile profile = {
		.alg = RTE_MTR_SRTCM_RFC2697,
		.srtcm_rfc2697 = {.cir = limit->bytes_per_s, .cbs = limit->burst_bytes, .ebs = 0},
	};
	struct rte_mtr_params params = {
		.meter_profile_id = id,
		.meter_policy_id = POLICY_ID,
		.meter_enable = 1,
	};
	struct rte_mtr_capabilities capabilities = {0};
	struct rte_mtr_error error = {0}, ignored;
	int r = rte_mtr_capabilities_get(port_id, &capabilities, &error);

	if (r == 0)
		r = rte_mtr_meter_profile_add(port_id, id, &profile, &error);
	if (r < 0)
		return meters_explain(r, &error, ret_why, ENGINE_WHY_SIZE);
	params.stats_mask = capabilities.stats_mask &
			    (RTE_MTR_STATS_N_PKTS_GREEN | RTE_MTR_STATS_N_BYTES_GREEN |
			     RTE_MTR_STATS_N_PKTS_DROPPED | RTE_MTR_STATS_N_BYTES_DROPPED);
	r = rte_mtr_create(port_id, id, &params, 1, &error);
	if (r == 0)
		return 0;
	rte_mtr_meter_profile_delete(port_id, id, &ignored);
	return meters_explain(r, &error, ret_why, ENGINE_WHY_SIZE);
}

int meter_give_back(uint16_t port_id, uint32_t id)
{
	struct rte_mtr_error ignored;
	int r = rte_mtr_destroy(port_id, id, &ignored);

	if (r < 0 && r != -ENOENT)
		return r;
	rte_mtr_meter_profile_delete(port_id, id, &ignored);
	return 0;
}

int meter_policy_make(uint16_t port_id, char ret_why[ENGINE_WHY_SIZE])
{
	const struct rte_flow_action pass[] = {{.type = RTE_FLOW_ACTION_TYPE_END}};
	const struct rte_flow_action drop[] = {{.type = RTE_FLOW_ACTION_TYPE_DROP},
					       {.type = RTE_FLOW_ACTION_TYPE_END}};
	// Without an excess burst nothing is yellow.
	struct rte_mtr_meter_policy_params params = {
		.actions = {[RTE_COLOR_GREEN] = pass,
			    [RTE_COLOR_YELLOW] = drop,
			    [RTE_COLOR_RED] = drop},
	};
	struct rte_mtr_error error = {0};
	int r = rte_mtr_meter_policy_add(port_id, POLICY_ID, &params, &error);

	// Left by an agent before us, of a driver that keeps it.
	return r == 0 || r == -EEXIST ? 0 : meters_explain(r, &error, ret_why, ENGINE_WHY_SIZE);
}

void meter_policy_give_back(uint16_t port_id)
{
	struct rte_mtr_error ignored;

	rte_mtr_meter_policy_delete(port_id, POLICY_ID, &ignored);
}

// ---- a pod's ------------------------------------------------------------------------------------

bool set_is_limited(const struct rule_set *set)
{
	return set->slot != NO_SLOT && (set->pod.limits[BANDWIDTH_INGRESS].bytes_per_s != 0 ||
					set->pod.limits[BANDWIDTH_EGRESS].bytes_per_s != 0);
}

static bool same_limit(const struct bandwidth_limit *a, const struct bandwidth_limit *b)
{
	return a->bytes_per_s == b->bytes_per_s && a->burst_bytes == b->burst_bytes;
}

static bool read_meter(const struct offload *offload, const struct rule_set *set,
		       unsigned int direction, struct bandwidth_count *ret_count)
{
	struct rte_mtr_stats stats = {0};
	struct rte_mtr_error ignored;
	uint64_t mask;

	if (rte_mtr_stats_read(offload->engine->port_id, program_meter_id(set->slot, direction),
			       &stats, &mask, 0, &ignored) < 0)
		return false;
	*ret_count = (struct bandwidth_count){
		.passed_packets = stats.n_pkts[RTE_COLOR_GREEN],
		.passed_bytes = stats.n_bytes[RTE_COLOR_GREEN],
		.dropped_packets = stats.n_pkts_dropped,
		.dropped_bytes = stats.n_bytes_dropped,
	};
	return true;
}

void meters_read(const struct offload *offload, struct rule_set *set)
{
	for (unsigned int direction = 0; direction < BANDWIDTH_DIRECTIONS; direction++) {
		struct set_meter *meter = &set->meters[direction];

		// What was read last stands, if it cannot be.
		if (meter->made && offload->engine != NULL)
			read_meter(offload, set, direction, &meter->last);
	}
}

void meters_give_back(const struct offload *offload, struct rule_set *set)
{
	if (offload->engine == NULL)
		return;
	meters_read(offload, set);
	for (unsigned int direction = 0; direction < BANDWIDTH_DIRECTIONS; direction++) {
		struct set_meter *meter = &set->meters[direction];

		if (!meter->made || meter_give_back(offload->engine->port_id,
						    program_meter_id(set->slot, direction)) < 0)
			continue;
		meter->made = false;
		bandwidth_count_add(&meter->base, &meter->last);
		meter->last = (struct bandwidth_count){0};
	}
}

int meters_make(const struct offload *offload, struct rule_set *set, char ret_why[ENGINE_WHY_SIZE])
{
	for (unsigned int direction = 0; direction < BANDWIDTH_DIRECTIONS; direction++) {
		const struct bandwidth_limit *limit = &set->pod.limits[direction];
		struct set_meter *meter = &set->meters[direction];
		int r;

		if (meter->made && !same_limit(&meter->limit, limit)) {
			snprintf(ret_why, ENGINE_WHY_SIZE, "it does not give back the one before");
			return -EBUSY;
		}
		if (meter->made || limit->bytes_per_s == 0)
			continue;
		r = meter_make(offload->engine->port_id, program_meter_id(set->slot, direction),
			       limit, ret_why);
		if (r < 0)
			return r;
		meter->made = true;
		meter->limit = *limit;
		meter->last = (struct bandwidth_count){0};
	}
	return 0;
}

bool meters_in_force(const struct rule_set *set)
{
	size_t limits = 0;

	for (size_t i = 0; i < set->count; i++) {
		if (!rule_shape(&set->rules[i].rule)->limits)
			continue;
		if (set->rules[i].flow == NULL)
			return false;
		limits++;
	}
	return limits > 0;
}
