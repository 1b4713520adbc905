// SPDX-License-Identifier: BSD-3-Clause

#include <errno.h>
#include <stdlib.h>

#include "sim/simnic/meter_private.h"

// ---- frames ---------------------------------------------------------------------------------------------

static enum rte_color mark(struct meter *meter, uint32_t amount, uint64_t tsc)
{
	struct meter_profile *profile = meter->profile;

	switch (profile->algorithm) {
	case RTE_MTR_SRTCM_RFC2697:
		return rte_meter_srtcm_color_blind_check(&meter->srtcm, &profile->srtcm,
							 RTE_MAX(tsc, meter->srtcm.time), amount);
	case RTE_MTR_TRTCM_RFC2698:
		tsc = RTE_MAX(tsc, RTE_MAX(meter->trtcm.time_tc, meter->trtcm.time_tp));
		return rte_meter_trtcm_color_blind_check(&meter->trtcm, &profile->trtcm, tsc,
							 amount);
	case RTE_MTR_TRTCM_RFC4115:
		tsc = RTE_MAX(tsc, RTE_MAX(meter->rfc4115.time_tc, meter->rfc4115.time_te));
		return rte_meter_trtcm_rfc4115_color_blind_check(&meter->rfc4115, &profile->rfc4115,
								 tsc, amount);
	default:
		return RTE_COLOR_GREEN;
	}
}

// Take `amount` in steps of one packet; what is left when one does not pass.
static uint64_t take(struct meter *meter, uint64_t amount, uint64_t unit, uint64_t tsc)
{
	while (amount > 0) {
		uint64_t step = RTE_MIN(amount, unit);

		if (!meter->policy->pass[mark(meter, step, tsc)])
			break;
		amount -= step;
	}
	return amount;
}

// What a meter that is switched on makes of a frame.
static bool decide(struct meter *meter, uint32_t packets, uint32_t bytes, uint64_t tsc,
		   enum rte_color *ret_colour)
{
	uint64_t amount = meter->profile->packet_mode ? packets : bytes;
	uint64_t unit = (amount + packets - 1) / packets;

	meter->owed = take(meter, meter->owed, meter->owed_unit, tsc);
	if (meter->owed > 0)
		return false;
	*ret_colour = mark(meter, unit, tsc);
	if (!meter->policy->pass[*ret_colour])
		return false;
	meter->owed = take(meter, amount - unit, unit, tsc);
	meter->owed_unit = unit;
	return true;
}

bool meter_passes(struct meter *meter, uint32_t packets, uint32_t bytes, uint64_t tsc)
{
	struct rte_mtr_stats *stats = &meter->stats;
	enum rte_color colour = RTE_COLOR_GREEN;
	bool pass = meter->policy->pass[colour];

	if (meter->enabled)
		pass = decide(meter, packets, bytes, tsc, &colour);
	if (pass) {
		counter_add(&stats->n_pkts[colour], packets);
		counter_add(&stats->n_bytes[colour], bytes);
	} else {
		counter_add(&stats->n_pkts_dropped, packets);
		counter_add(&stats->n_bytes_dropped, bytes);
	}
	return pass;
}

// ---- meters ---------------------------------------------------------------------------------------------

// A change of a meter, made in the pipeline's thread.
struct change {
	struct meter *meter;
	struct meter_profile *profile;
	struct meter_policy *policy;
	bool enabled;
};

// With full buckets, and no debt.
static void fill(struct meter *meter)
{
	struct meter_profile *profile = meter->profile;

	meter->owed = 0;
	switch (profile->algorithm) {
	case RTE_MTR_SRTCM_RFC2697:
		(void)rte_meter_srtcm_config(&meter->srtcm, &profile->srtcm);
		break;
	case RTE_MTR_TRTCM_RFC2698:
		(void)rte_meter_trtcm_config(&meter->trtcm, &profile->trtcm);
		break;
	case RTE_MTR_TRTCM_RFC4115:
		(void)rte_meter_trtcm_rfc4115_config(&meter->rfc4115, &profile->rfc4115);
		break;
	default:
		break;
	}
}

static void apply(void *argument)
{
	struct change *change = argument;
	struct meter *meter = change->meter;
	bool refill = change->profile != meter->profile || (change->enabled && !meter->enabled);

	meter->profile = change->profile;
	meter->policy = change->policy;
	meter->enabled = change->enabled;
	if (refill)
		fill(meter);
}

static int no_meter(struct rte_mtr_error *error)
{
	return meter_refuse(error, ENOENT, RTE_MTR_ERROR_TYPE_MTR_ID, "no such meter");
}

// Input colours are all green.
static bool is_blind(const enum rte_color *table, unsigned int size)
{
	for (unsigned int i = 0; table != NULL && i < size; i++)
		if (table[i] != RTE_COLOR_GREEN)
			return false;
	return true;
}

static int check_params(const struct rte_mtr_params *params, struct rte_mtr_error *error)
{
	if (params == NULL)
		return meter_refuse(error, EINVAL, RTE_MTR_ERROR_TYPE_MTR_PARAMS, "no parameters");
	if (params->use_prev_mtr_color)
		return meter_refuse(error, ENOTSUP, RTE_MTR_ERROR_TYPE_MTR_PARAMS,
				    "one meter in a rule: there is no colour before it");
	if (!is_blind(params->dscp_table, 64) || !is_blind(params->vlan_table, 16))
		return meter_refuse(error, ENOTSUP, RTE_MTR_ERROR_TYPE_MTR_PARAMS,
				    "input colours are all green");
	if (params->stats_mask & ~meter_stats_known)
		return meter_refuse(error, EINVAL, RTE_MTR_ERROR_TYPE_STATS_MASK,
				    "unknown statistics");
	return 0;
}

// Under the lock.
static int create(struct meters *meters, struct meter *meter, const struct rte_mtr_params *params,
		  struct rte_mtr_error *error)
{
	if (FIND(&meters->meters, meter->id) != NULL)
		return meter_refuse(error, EEXIST, RTE_MTR_ERROR_TYPE_MTR_ID, "the meter exists");
	if (meters->meter_count == METER_OBJECTS_MAX)
		return meter_refuse(error, ENOSPC, RTE_MTR_ERROR_TYPE_UNSPECIFIED,
				    "no more meters");
	meter->profile = FIND(&meters->profiles, params->meter_profile_id);
	if (meter->profile == NULL)
		return meter_refuse(error, ENOENT, RTE_MTR_ERROR_TYPE_METER_PROFILE_ID,
				    "no such profile");
	meter->policy = FIND(&meters->policies, params->meter_policy_id);
	if (meter->policy == NULL)
		return meter_refuse(error, ENOENT, RTE_MTR_ERROR_TYPE_METER_POLICY_ID,
				    "no such policy");
	fill(meter);
	meter->profile->users++;
	meter->policy->users++;
	TAILQ_INSERT_TAIL(&meters->meters, meter, next);
	meters->meter_count++;
	return 0;
}

static int meter_create(struct rte_eth_dev *dev, uint32_t id, struct rte_mtr_params *params,
			int shared, struct rte_mtr_error *error)
{
	struct meters *meters = meters_of(dev);
	struct meter *meter;
	int result = check_params(params, error);

	if (result < 0)
		return result;
	meter = calloc(1, sizeof(*meter));
	if (meter == NULL)
		return meter_refuse(error, ENOMEM, RTE_MTR_ERROR_TYPE_UNSPECIFIED, "out of memory");
	meter->meters = meters;
	meter->id = id;
	meter->shared = shared;
	meter->enabled = params->meter_enable;
	meter->stats_mask = params->stats_mask;
	pthread_mutex_lock(&meters->lock);
	result = create(meters, meter, params, error);
	pthread_mutex_unlock(&meters->lock);
	if (result < 0)
		free(meter);
	return result;
}

static int meter_destroy(struct rte_eth_dev *dev, uint32_t id, struct rte_mtr_error *error)
{
	struct meters *meters = meters_of(dev);
	struct meter *meter;
	int result = 0;

	pthread_mutex_lock(&meters->lock);
	meter = FIND(&meters->meters, id);
	if (meter == NULL) {
		result = no_meter(error);
	} else if (meter->users > 0) {
		result = meter_refuse(error, EBUSY, RTE_MTR_ERROR_TYPE_MTR_ID,
				      "rules use the meter");
	} else {
		TAILQ_REMOVE(&meters->meters, meter, next);
		meters->meter_count--;
		meter->profile->users--;
		meter->policy->users--;
		free(meter);
	}
	pthread_mutex_unlock(&meters->lock);
	return result;
}

static struct change change_of(struct meter *meter)
{
	return (struct change){
		.meter = meter,
		.profile = meter->profile,
		.policy = meter->policy,
		.enabled = meter->enabled,
	};
}

static int set_enabled(struct rte_eth_dev *dev, uint32_t id, bool enabled,
		       struct rte_mtr_error *error)
{
	struct meters *meters = meters_of(dev);
	struct change change;
	struct meter *meter;
	int result = 0;

	pthread_mutex_lock(&meters->lock);
	meter = FIND(&meters->meters, id);
	if (meter != NULL) {
		change = change_of(meter);
		change.enabled = enabled;
		pipeline_call(function_of(dev)->device, apply, &change);
	} else {
		result = no_meter(error);
	}
	pthread_mutex_unlock(&meters->lock);
	return result;
}

static int meter_enable(struct rte_eth_dev *dev, uint32_t id, struct rte_mtr_error *error)
{
	return set_enabled(dev, id, true, error);
}

static int meter_disable(struct rte_eth_dev *dev, uint32_t id, struct rte_mtr_error *error)
{
	return set_enabled(dev, id, false, error);
}

static int meter_profile_update(struct rte_eth_dev *dev, uint32_t id, uint32_t profile_id,
				struct rte_mtr_error *error)
{
	struct meters *meters = meters_of(dev);
	struct meter_profile *profile;
	struct meter *meter;
	int result = 0;

	pthread_mutex_lock(&meters->lock);
	meter = FIND(&meters->meters, id);
	profile = FIND(&meters->profiles, profile_id);
	if (meter == NULL) {
		result = no_meter(error);
	} else if (profile == NULL) {
		result = meter_refuse(error, ENOENT, RTE_MTR_ERROR_TYPE_METER_PROFILE_ID,
				      "no such profile");
	} else {
		struct change change = change_of(meter);

		meter->profile->users--;
		profile->users++;
		change.profile = profile;
		pipeline_call(function_of(dev)->device, apply, &change);
	}
	pthread_mutex_unlock(&meters->lock);
	return result;
}

static int meter_policy_update(struct rte_eth_dev *dev, uint32_t id, uint32_t policy_id,
			       struct rte_mtr_error *error)
{
	struct meters *meters = meters_of(dev);
	struct meter_policy *policy;
	struct meter *meter;
	int result = 0;

	pthread_mutex_lock(&meters->lock);
	meter = FIND(&meters->meters, id);
	policy = FIND(&meters->policies, policy_id);
	if (meter == NULL) {
		result = no_meter(error);
	} else if (policy == NULL) {
		result = meter_refuse(error, ENOENT, RTE_MTR_ERROR_TYPE_METER_POLICY_ID,
				      "no such policy");
	} else {
		struct change change = change_of(meter);

		meter->policy->users--;
		policy->users++;
		change.policy = policy;
		pipeline_call(function_of(dev)->device, apply, &change);
	}
	pthread_mutex_unlock(&meters->lock);
	return result;
}

// ---- statistics -----------------------------------------------------------------------------------------

static int stats_update(struct rte_eth_dev *dev, uint32_t id, uint64_t stats_mask,
			struct rte_mtr_error *error)
{
	struct meters *meters = meters_of(dev);
	struct meter *meter;
	int result = 0;

	pthread_mutex_lock(&meters->lock);
	meter = FIND(&meters->meters, id);
	if (meter == NULL)
		result = no_meter(error);
	else if (stats_mask & ~meter_stats_known)
		result = meter_refuse(error, EINVAL, RTE_MTR_ERROR_TYPE_STATS_MASK,
				      "unknown statistics");
	else
		meter->stats_mask = stats_mask;
	pthread_mutex_unlock(&meters->lock);
	return result;
}

struct stats_reading {
	struct meter *meter;
	bool clear;
	struct rte_mtr_stats stats;
};

static void read_stats(void *argument)
{
	struct stats_reading *reading = argument;

	reading->stats = reading->meter->stats;
	if (reading->clear)
		reading->meter->stats = (struct rte_mtr_stats){0};
}

// All are counted; those that were not asked for are not told.
static void mask_stats(struct rte_mtr_stats *stats, uint64_t mask)
{
	for (unsigned int colour = 0; colour < RTE_COLORS; colour++) {
		if (!(mask & RTE_MTR_STATS_N_PKTS_GREEN << colour))
			stats->n_pkts[colour] = 0;
		if (!(mask & RTE_MTR_STATS_N_BYTES_GREEN << colour))
			stats->n_bytes[colour] = 0;
	}
	if (!(mask & RTE_MTR_STATS_N_PKTS_DROPPED))
		stats->n_pkts_dropped = 0;
	if (!(mask & RTE_MTR_STATS_N_BYTES_DROPPED))
		stats->n_bytes_dropped = 0;
}

static int stats_read(struct rte_eth_dev *dev, uint32_t id, struct rte_mtr_stats *ret_stats,
		      uint64_t *ret_mask, int clear, struct rte_mtr_error *error)
{
	struct meters *meters = meters_of(dev);
	struct stats_reading reading = {.clear = clear};
	int result = 0;

	pthread_mutex_lock(&meters->lock);
	reading.meter = FIND(&meters->meters, id);
	if (reading.meter != NULL) {
		pipeline_call(function_of(dev)->device, read_stats, &reading);
		mask_stats(&reading.stats, reading.meter->stats_mask);
		if (ret_stats != NULL)
			*ret_stats = reading.stats;
		if (ret_mask != NULL)
			*ret_mask = reading.meter->stats_mask;
	} else {
		result = no_meter(error);
	}
	pthread_mutex_unlock(&meters->lock);
	return result;
}

// ---- for rules ------------------------------------------------------------------------------------------

int meter_hold(struct device *device, uint32_t id, struct meter **ret_meter)
{
	struct meters *meters = &device->meters;
	struct meter *meter;
	int error = 0;

	pthread_mutex_lock(&meters->lock);
	meter = FIND(&meters->meters, id);
	if (meter == NULL) {
		error = -ENOENT;
	} else if (meter->users > 0 && !meter->shared) {
		error = -EBUSY;
	} else {
		meter->users++;
		*ret_meter = meter;
	}
	pthread_mutex_unlock(&meters->lock);
	return error;
}

void meter_release(struct meter *meter)
{
	pthread_mutex_lock(&meter->meters->lock);
	meter->users--;
	pthread_mutex_unlock(&meter->meters->lock);
}

// ---- all of them ----------------------------------------------------------------------------------------

static const struct rte_mtr_ops operations = {
	.capabilities_get = meter_capabilities_get,
	.meter_profile_add = meter_profile_add,
	.meter_profile_delete = meter_profile_delete,
	.meter_policy_validate = meter_policy_validate,
	.meter_policy_add = meter_policy_add,
	.meter_policy_delete = meter_policy_delete,
	.create = meter_create,
	.destroy = meter_destroy,
	.meter_enable = meter_enable,
	.meter_disable = meter_disable,
	.meter_profile_update = meter_profile_update,
	.meter_policy_update = meter_policy_update,
	.stats_update = stats_update,
	.stats_read = stats_read,
};

int meter_ops_get(struct rte_eth_dev *dev, void *ret_ops)
{
	if (function_of(dev)->index != CARD_INDEX_WIRE)
		return -ENOTSUP;
	*(const struct rte_mtr_ops **)ret_ops = &operations;
	return 0;
}

void meters_init(struct meters *meters)
{
	pthread_mutex_init(&meters->lock, NULL);
	TAILQ_INIT(&meters->profiles);
	TAILQ_INIT(&meters->policies);
	TAILQ_INIT(&meters->meters);
}

#define FREE_ALL(list)                                                                             \
	while (!TAILQ_EMPTY(list)) {                                                               \
		typeof((list)->tqh_first) first_ = TAILQ_FIRST(list);                              \
                                                                                                   \
		TAILQ_REMOVE(list, first_, next);                                                  \
		free(first_);                                                                      \
	}

void meters_fini(struct meters *meters)
{
	FREE_ALL(&meters->meters)
	FREE_ALL(&meters->policies)
	FREE_ALL(&meters->profiles)
	pthread_mutex_destroy(&meters->lock);
}
