// SPDX-License-Identifier: BSD-3-Clause
//
// The fake NIC's meters, in the place of rte_mtr; and whom the graph has been told that the NIC meters.

#include <errno.h>
#include <string.h>

#include <rte_mtr_driver.h>

#include "datapath/datapath.h"
#include "offload/fake_flow_private.h"

enum { METERS_MAX = 32 };

static struct fake_meter {
	uint32_t id; // 0: free
	bool made;   // else it is but a profile
	uint64_t cir, cbs;
	struct rte_mtr_stats stats;
} meters[METERS_MAX];
static bool policy;
static bool in_nic[DATAPATH_PORTS_MAX];

static struct fake_meter *find(uint32_t id)
{
	for (size_t i = 0; i < METERS_MAX; i++) {
		if (meters[i].id == id)
			return &meters[i];
	}
	return NULL;
}

static int refuse(struct rte_mtr_error *e, int error, const char *message)
{
	return -rte_mtr_error_set(e, error, RTE_MTR_ERROR_TYPE_UNSPECIFIED, NULL, message);
}

void fake_meters_reset(void)
{
	memset(meters, 0, sizeof(meters));
	memset(in_nic, 0, sizeof(in_nic));
	policy = false;
}

size_t fake_meter_count(void)
{
	size_t count = policy ? 1 : 0;

	for (size_t i = 0; i < METERS_MAX; i++)
		count += meters[i].id != 0;
	return count;
}

bool fake_has_meter(uint32_t id)
{
	const struct fake_meter *meter = id == 0 ? NULL : find(id);

	return meter != NULL && meter->made;
}

bool fake_metered_in_nic(uint32_t vf)
{
	return in_nic[FAKE_FIRST_SLOT + vf];
}

void fake_meter_pass(uint32_t id, uint64_t packets, uint64_t dropped)
{
	struct rte_mtr_stats *stats = &find(id)->stats;

	stats->n_pkts[RTE_COLOR_GREEN] += packets;
	stats->n_bytes[RTE_COLOR_GREEN] += packets * 100;
	stats->n_pkts_dropped += dropped;
	stats->n_bytes_dropped += dropped * 100;
}

uint64_t fake_meter_rate(uint32_t id)
{
	return find(id)->cir;
}

// ---- rte_mtr ------------------------------------------------------------------------------------

int __wrap_rte_mtr_capabilities_get(uint16_t port, struct rte_mtr_capabilities *capabilities,
				    struct rte_mtr_error *e)
{
	if (fake.no_meters)
		return refuse(e, ENOSYS, NULL);
	capabilities->n_max = 77;
	capabilities->stats_mask = UINT64_MAX;
	return 0;
}

int __wrap_rte_mtr_meter_profile_add(uint16_t port, uint32_t id,
				     struct rte_mtr_meter_profile *profile, struct rte_mtr_error *e)
{
	struct fake_meter *meter = find(0);

	assert_int_equal(port, FAKE_UPLINK);
	assert_int_equal(profile->alg, RTE_MTR_SRTCM_RFC2697);
	assert_int_equal(profile->packet_mode, 0);
	assert_int_not_equal(id, 0);
	assert_null(find(id));
	assert_non_null(meter);
	*meter = (struct fake_meter){
		.id = id, .cir = profile->srtcm_rfc2697.cir, .cbs = profile->srtcm_rfc2697.cbs};
	return 0;
}

int __wrap_rte_mtr_meter_profile_delete(uint16_t port, uint32_t id, struct rte_mtr_error *e)
{
	struct fake_meter *meter = find(id);

	assert_non_null(meter);
	assert_false(meter->made);
	meter->id = 0;
	return 0;
}

int __wrap_rte_mtr_meter_policy_add(uint16_t port, uint32_t id,
				    struct rte_mtr_meter_policy_params *params,
				    struct rte_mtr_error *e)
{
	assert_int_equal(params->actions[RTE_COLOR_GREEN][0].type, RTE_FLOW_ACTION_TYPE_END);
	assert_int_equal(params->actions[RTE_COLOR_RED][0].type, RTE_FLOW_ACTION_TYPE_DROP);
	assert_false(policy);
	policy = true;
	return 0;
}

int __wrap_rte_mtr_meter_policy_delete(uint16_t port, uint32_t id, struct rte_mtr_error *e)
{
	assert_true(policy);
	policy = false;
	return 0;
}

int __wrap_rte_mtr_create(uint16_t port, uint32_t id, struct rte_mtr_params *params, int shared,
			  struct rte_mtr_error *e)
{
	struct fake_meter *meter = find(params->meter_profile_id);

	assert_true(policy);
	assert_non_null(meter);
	assert_false(meter->made);
	assert_int_equal(id, params->meter_profile_id);
	assert_true(params->meter_enable && shared);
	if (fake.fail_meters)
		return refuse(e, ENOSPC, NULL);
	meter->made = true;
	return 0;
}

int __wrap_rte_mtr_destroy(uint16_t port, uint32_t id, struct rte_mtr_error *e)
{
	struct fake_meter *meter = find(id);
	char part[32];

	if (meter == NULL || !meter->made)
		return refuse(e, ENOENT, NULL);
	snprintf(part, sizeof(part), " meter=%u ", id);
	if (fake_rules_with(part) > 0)
		return refuse(e, EBUSY, "rules use it");
	meter->made = false;
	return 0;
}

int __wrap_rte_mtr_stats_read(uint16_t port, uint32_t id, struct rte_mtr_stats *stats,
			      uint64_t *mask, int clear, struct rte_mtr_error *e)
{
	assert_true(fake_has_meter(id));
	assert_int_equal(clear, 0);
	*stats = find(id)->stats;
	return 0;
}

// ---- the graph ----------------------------------------------------------------------------------

void datapath_meter_in_nic(uint32_t slot, bool value)
{
	in_nic[slot] = value;
}
