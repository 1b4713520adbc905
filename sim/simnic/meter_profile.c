// SPDX-License-Identifier: BSD-3-Clause
//
// Profiles (an algorithm with its rates and sizes) and policies (what becomes of each colour) of meters. Control threads.

#include <errno.h>
#include <stdlib.h>

#include "sim/simnic/meter_private.h"

// ---- profiles -------------------------------------------------------------------------------------------

int meter_capabilities_get(struct rte_eth_dev *dev, struct rte_mtr_capabilities *capabilities,
			   struct rte_mtr_error *error)
{
	*capabilities = (struct rte_mtr_capabilities){
		.n_max = METER_OBJECTS_MAX,
		.n_shared_max = METER_OBJECTS_MAX,
		.identical = 1,
		.shared_identical = 1,
		.shared_n_flows_per_mtr_max = UINT32_MAX,
		.chaining_n_mtrs_per_flow_max = 1,
		.meter_srtcm_rfc2697_n_max = METER_OBJECTS_MAX,
		.meter_trtcm_rfc2698_n_max = METER_OBJECTS_MAX,
		.meter_trtcm_rfc4115_n_max = METER_OBJECTS_MAX,
		.meter_rate_max = METER_RATE_MAX,
		.meter_policy_n_max = METER_OBJECTS_MAX,
		.srtcm_rfc2697_byte_mode_supported = 1,
		.srtcm_rfc2697_packet_mode_supported = 1,
		.trtcm_rfc2698_byte_mode_supported = 1,
		.trtcm_rfc2698_packet_mode_supported = 1,
		.trtcm_rfc4115_byte_mode_supported = 1,
		.trtcm_rfc4115_packet_mode_supported = 1,
		.stats_mask = meter_stats_known,
	};
	return 0;
}

// 0 or a negative errno, also of rates that are beyond what counts in 64 bits.
static int profile_configure(struct meter_profile *profile,
			     const struct rte_mtr_meter_profile *from)
{
	struct rte_meter_srtcm_params srtcm = {.cir = from->srtcm_rfc2697.cir,
					       .cbs = from->srtcm_rfc2697.cbs,
					       .ebs = from->srtcm_rfc2697.ebs};
	struct rte_meter_trtcm_params trtcm = {.cir = from->trtcm_rfc2698.cir,
					       .pir = from->trtcm_rfc2698.pir,
					       .cbs = from->trtcm_rfc2698.cbs,
					       .pbs = from->trtcm_rfc2698.pbs};
	struct rte_meter_trtcm_rfc4115_params rfc4115 = {.cir = from->trtcm_rfc4115.cir,
							 .eir = from->trtcm_rfc4115.eir,
							 .cbs = from->trtcm_rfc4115.cbs,
							 .ebs = from->trtcm_rfc4115.ebs};

	profile->algorithm = from->alg;
	profile->packet_mode = from->packet_mode;
	switch (from->alg) {
	case RTE_MTR_NONE:
		return 0;
	case RTE_MTR_SRTCM_RFC2697:
		if (srtcm.cir > METER_RATE_MAX)
			return -EINVAL;
		return rte_meter_srtcm_profile_config(&profile->srtcm, &srtcm);
	case RTE_MTR_TRTCM_RFC2698:
		if (trtcm.pir > METER_RATE_MAX)
			return -EINVAL;
		return rte_meter_trtcm_profile_config(&profile->trtcm, &trtcm);
	case RTE_MTR_TRTCM_RFC4115:
		if (rfc4115.cir > METER_RATE_MAX || rfc4115.eir > METER_RATE_MAX)
			return -EINVAL;
		return rte_meter_trtcm_rfc4115_profile_config(&profile->rfc4115, &rfc4115);
	}
	return -ENOTSUP;
}

int meter_profile_add(struct rte_eth_dev *dev, uint32_t id, struct rte_mtr_meter_profile *from,
		      struct rte_mtr_error *error)
{
	struct meters *meters = meters_of(dev);
	struct meter_profile *profile;
	int result = 0;

	if (from == NULL)
		return meter_refuse(error, EINVAL, RTE_MTR_ERROR_TYPE_METER_PROFILE, "no profile");
	profile = calloc(1, sizeof(*profile));
	if (profile == NULL)
		return meter_refuse(error, ENOMEM, RTE_MTR_ERROR_TYPE_UNSPECIFIED, "out of memory");
	profile->id = id;
	pthread_mutex_lock(&meters->lock);
	if (FIND(&meters->profiles, id) != NULL)
		result = meter_refuse(error, EEXIST, RTE_MTR_ERROR_TYPE_METER_PROFILE_ID,
				      "the profile exists");
	else if (meters->profile_count == METER_OBJECTS_MAX)
		result = meter_refuse(error, ENOSPC, RTE_MTR_ERROR_TYPE_UNSPECIFIED,
				      "no more profiles");
	else if (profile_configure(profile, from) < 0)
		result = meter_refuse(error, EINVAL, RTE_MTR_ERROR_TYPE_METER_PROFILE,
				      "no such algorithm, or rates and sizes that it cannot have");
	if (result == 0) {
		TAILQ_INSERT_TAIL(&meters->profiles, profile, next);
		meters->profile_count++;
	}
	pthread_mutex_unlock(&meters->lock);
	if (result < 0)
		free(profile);
	return result;
}

int meter_profile_delete(struct rte_eth_dev *dev, uint32_t id, struct rte_mtr_error *error)
{
	struct meters *meters = meters_of(dev);
	struct meter_profile *profile;
	int result = 0;

	pthread_mutex_lock(&meters->lock);
	profile = FIND(&meters->profiles, id);
	if (profile == NULL) {
		result = meter_refuse(error, ENOENT, RTE_MTR_ERROR_TYPE_METER_PROFILE_ID,
				      "no such profile");
	} else if (profile->users > 0) {
		result = meter_refuse(error, EBUSY, RTE_MTR_ERROR_TYPE_METER_PROFILE_ID,
				      "meters use the profile");
	} else {
		TAILQ_REMOVE(&meters->profiles, profile, next);
		meters->profile_count--;
		free(profile);
	}
	pthread_mutex_unlock(&meters->lock);
	return result;
}

// ---- policies -------------------------------------------------------------------------------------------

static const enum rte_mtr_error_type colour_errors[RTE_COLORS] = {
	[RTE_COLOR_GREEN] = RTE_MTR_ERROR_TYPE_POLICER_ACTION_GREEN,
	[RTE_COLOR_YELLOW] = RTE_MTR_ERROR_TYPE_POLICER_ACTION_YELLOW,
	[RTE_COLOR_RED] = RTE_MTR_ERROR_TYPE_POLICER_ACTION_RED,
};

// Pass is no action at all, or the colour it has anyway.
static int policy_read(const struct rte_mtr_meter_policy_params *params, bool ret_pass[RTE_COLORS],
		       struct rte_mtr_error *error)
{
	if (params == NULL)
		return meter_refuse(error, EINVAL, RTE_MTR_ERROR_TYPE_METER_POLICY, "no policy");
	for (unsigned int colour = 0; colour < RTE_COLORS; colour++) {
		const struct rte_flow_action *action = params->actions[colour];

		ret_pass[colour] = true;
		for (; action != NULL && action->type != RTE_FLOW_ACTION_TYPE_END; action++) {
			const struct rte_flow_action_meter_color *mark_as = action->conf;

			if (action->type == RTE_FLOW_ACTION_TYPE_DROP)
				ret_pass[colour] = false;
			else if (action->type != RTE_FLOW_ACTION_TYPE_VOID &&
				 (action->type != RTE_FLOW_ACTION_TYPE_METER_COLOR ||
				  mark_as == NULL || mark_as->color != colour))
				return -rte_mtr_error_set(
					error, ENOTSUP, colour_errors[colour], action,
					"a colour is passed as it is, or dropped");
		}
	}
	return 0;
}

int meter_policy_validate(struct rte_eth_dev *dev, struct rte_mtr_meter_policy_params *params,
			  struct rte_mtr_error *error)
{
	bool pass[RTE_COLORS];

	return policy_read(params, pass, error);
}

int meter_policy_add(struct rte_eth_dev *dev, uint32_t id,
		     struct rte_mtr_meter_policy_params *params, struct rte_mtr_error *error)
{
	struct meter_policy *policy = calloc(1, sizeof(*policy));
	struct meters *meters = meters_of(dev);
	int result;

	if (policy == NULL)
		return meter_refuse(error, ENOMEM, RTE_MTR_ERROR_TYPE_UNSPECIFIED, "out of memory");
	policy->id = id;
	result = policy_read(params, policy->pass, error);
	pthread_mutex_lock(&meters->lock);
	if (result == 0 && FIND(&meters->policies, id) != NULL)
		result = meter_refuse(error, EEXIST, RTE_MTR_ERROR_TYPE_METER_POLICY_ID,
				      "the policy exists");
	if (result == 0 && meters->policy_count == METER_OBJECTS_MAX)
		result = meter_refuse(error, ENOSPC, RTE_MTR_ERROR_TYPE_UNSPECIFIED,
				      "no more policies");
	if (result == 0) {
		TAILQ_INSERT_TAIL(&meters->policies, policy, next);
		meters->policy_count++;
	}
	pthread_mutex_unlock(&meters->lock);
	if (result < 0)
		free(policy);
	return result;
}

int meter_policy_delete(struct rte_eth_dev *dev, uint32_t id, struct rte_mtr_error *error)
{
	struct meters *meters = meters_of(dev);
	struct meter_policy *policy;
	int result = 0;

	pthread_mutex_lock(&meters->lock);
	policy = FIND(&meters->policies, id);
	if (policy == NULL) {
		result = meter_refuse(error, ENOENT, RTE_MTR_ERROR_TYPE_METER_POLICY_ID,
				      "no such policy");
	} else if (policy->users > 0) {
		result = meter_refuse(error, EBUSY, RTE_MTR_ERROR_TYPE_METER_POLICY_ID,
				      "meters use the policy");
	} else {
		TAILQ_REMOVE(&meters->policies, policy, next);
		meters->policy_count--;
		free(policy);
	}
	pthread_mutex_unlock(&meters->lock);
	return result;
}
