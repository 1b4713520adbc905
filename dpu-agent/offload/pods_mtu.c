// SPDX-License-Identifier: BSD-3-Clause
//
// Whose packets may be too large for whom: nothing that does not fit goes by a rule, at no time.

#include <stdio.h>

#include <rte_common.h>

#include "offload/routes_private.h"

uint32_t pods_largest(const struct offload *offload)
{
	return offload->engine != NULL && offload->engine->form.lengths ? offload->largest : 0;
}

void pods_measure(struct offload *offload)
{
	offload->largest = RTE_MAX(offload->router.mtu, routes_mtu(offload));
	for (uint32_t slot = 0; slot < OFFLOAD_SLOTS; slot++) {
		if (offload->pods[slot].wanted)
			offload->largest = RTE_MAX(offload->largest, offload->pods[slot].pod.mtu);
	}
}

void pods_grow(struct offload *offload, uint32_t largest)
{
	const uint32_t before = offload->largest;

	offload->largest = largest;
	if (pods_largest(offload) == 0)
		return;
	for (uint32_t slot = 0; slot < OFFLOAD_SLOTS; slot++) {
		struct rule_set *set = &offload->pods[slot];

		if (!set->wanted || set->pod.mtu >= largest || set->pod.mtu < before)
			continue;
		set->outdated = true;
		snprintf(set->reason, sizeof(set->reason), "not yet installed");
		if (set->installed > 0)
			transaction_remove(offload, &set, 1);
	}
	routes_grow(offload, before);
}

bool pods_meet_smaller(const struct offload *offload, const struct rule_set *set)
{
	if (pods_largest(offload) == 0)
		return false;
	for (uint32_t slot = 0; slot < OFFLOAD_SLOTS; slot++) {
		const struct rule_set *other = &offload->pods[slot];

		if (other->installed == 0 || other->pod.mtu >= set->pod.mtu ||
		    (other->wanted && !other->outdated))
			continue;
		for (size_t i = 0; i < other->count; i++) {
			const struct installed *installed = &other->rules[i];

			if (installed->flow != NULL && rule_leads_all(&installed->rule))
				return true;
		}
	}
	return routes_lead_more(offload, set->pod.mtu);
}
