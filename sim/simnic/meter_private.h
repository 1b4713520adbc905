// SPDX-License-Identifier: BSD-3-Clause
//
// Between the meters (meter.c) and their profiles and policies (meter_profile.c). For these two files only.

#pragma once

#include <rte_mtr_driver.h>

#include "sim/simnic/meter.h"
#include "sim/simnic/simnic.h"

// Bytes, or packets, in a second: 800 Gbit/s. What gathers in a meter that nobody uses must not overflow in years.
#define METER_RATE_MAX UINT64_C(100000000000)

struct meter_profile {
	TAILQ_ENTRY(meter_profile) next;
	uint32_t id, users;
	enum rte_mtr_algorithm algorithm;
	bool packet_mode; // its sizes and rates are packets
	union {
		struct rte_meter_srtcm_profile srtcm;
		struct rte_meter_trtcm_profile trtcm;
		struct rte_meter_trtcm_rfc4115_profile rfc4115;
	};
};

struct meter_policy {
	TAILQ_ENTRY(meter_policy) next;
	uint32_t id, users;
	bool pass[RTE_COLORS];
};

struct meter {
	TAILQ_ENTRY(meter) next;
	struct meters *meters; // that it is one of
	uint32_t id, users;
	bool shared;
	uint64_t stats_mask;
	// (P), and changed by control threads under the lock in the pipeline:
	bool enabled;
	struct meter_profile *profile;
	struct meter_policy *policy;
	union {
		struct rte_meter_srtcm srtcm;
		struct rte_meter_trtcm trtcm;
		struct rte_meter_trtcm_rfc4115 rfc4115;
	};
	uint64_t owed, owed_unit; // in packets or bytes, as the profile
	struct rte_mtr_stats stats;
};

static const uint64_t meter_stats_known =
	RTE_MTR_STATS_N_PKTS_GREEN | RTE_MTR_STATS_N_PKTS_YELLOW | RTE_MTR_STATS_N_PKTS_RED |
	RTE_MTR_STATS_N_PKTS_DROPPED | RTE_MTR_STATS_N_BYTES_GREEN | RTE_MTR_STATS_N_BYTES_YELLOW |
	RTE_MTR_STATS_N_BYTES_RED | RTE_MTR_STATS_N_BYTES_DROPPED;

#define FIND(list, wanted_id)                                                                      \
	({                                                                                         \
		typeof((list)->tqh_first) found_;                                                  \
                                                                                                   \
		TAILQ_FOREACH (found_, (list), next)                                               \
			if (found_->id == (wanted_id))                                             \
				break;                                                             \
		found_;                                                                            \
	})

static inline struct meters *meters_of(struct rte_eth_dev *dev)
{
	return &function_of(dev)->device->meters;
}

static inline int meter_refuse(struct rte_mtr_error *error, int code, enum rte_mtr_error_type type,
			       const char *why)
{
	return -rte_mtr_error_set(error, code, type, NULL, why);
}

// Members of struct rte_mtr_ops.
int meter_capabilities_get(struct rte_eth_dev *dev, struct rte_mtr_capabilities *capabilities,
			   struct rte_mtr_error *error);
int meter_profile_add(struct rte_eth_dev *dev, uint32_t id, struct rte_mtr_meter_profile *from,
		      struct rte_mtr_error *error);
int meter_profile_delete(struct rte_eth_dev *dev, uint32_t id, struct rte_mtr_error *error);
int meter_policy_validate(struct rte_eth_dev *dev, struct rte_mtr_meter_policy_params *params,
			  struct rte_mtr_error *error);
int meter_policy_add(struct rte_eth_dev *dev, uint32_t id,
		     struct rte_mtr_meter_policy_params *params, struct rte_mtr_error *error);
int meter_policy_delete(struct rte_eth_dev *dev, uint32_t id, struct rte_mtr_error *error);
