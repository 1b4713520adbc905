// SPDX-License-Identifier: BSD-3-Clause
//
// What people are told.

#include <stdio.h>
#include <string.h>

#include "offload/connections_private.h"
#include "offload/routes_private.h"

const char *offload_state_name(enum offload_state state)
{
	switch (state) {
	case OFFLOAD_OFF:
		return "off";
	case OFFLOAD_NONE:
		return "none";
	case OFFLOAD_PARTIAL:
		return "partial";
	case OFFLOAD_FULL:
		return "full";
	}
	return "unknown";
}

static const char *why_not_usable(const struct offload *offload)
{
	if (!offload->enabled)
		return "switched off";
	return offload->begun ? offload->why_not : "the uplink port is not started";
}

static bool one_direction(const struct offload *offload, const struct rule_set *set)
{
	return offload->begun && pods_largest(offload) == 0 && set->pod.mtu != offload->router.mtu;
}

static uint32_t wanted_rules(const struct offload *offload, const struct rule_set *set)
{
	struct rule rules[PROGRAM_RULES_MAX];

	if (!set->wanted || set->withdrawn || set->unmetered || offload_off(offload) ||
	    !offload->begun)
		return 0;
	const struct program_node node = pods_node(offload);
	return (uint32_t)program_pod(&set->pod, 0, 0, &node, rules);
}

static enum offload_state state_of(const struct offload *offload, const struct rule_set *set)
{
	if (!set->wanted || offload_off(offload))
		return OFFLOAD_OFF;
	// What is installed and should not be is nothing that this pod has.
	if (set->installed == 0 || set->withdrawn || set->fresh || set->outdated ||
	    !offload_usable(offload))
		return OFFLOAD_NONE;
	if (rule_set_missing(set) || one_direction(offload, set))
		return OFFLOAD_PARTIAL;
	return OFFLOAD_FULL;
}

static void print_reason(const struct offload *offload, const struct rule_set *set,
			 enum offload_state state, char ret_reason[LIMIT_TEXT + 1])
{
	if (state == OFFLOAD_FULL)
		ret_reason[0] = '\0';
	else if (!offload_usable(offload))
		snprintf(ret_reason, LIMIT_TEXT + 1, "%s", why_not_usable(offload));
	else if (set->unmetered)
		snprintf(ret_reason, LIMIT_TEXT + 1,
			 "no meter: the pod has a limit, which the agent keeps");
	else if (set->withdrawn)
		snprintf(ret_reason, LIMIT_TEXT + 1,
			 "withdrawn while a capture or a trace looks at all its packets");
	else if (rule_set_missing(set))
		snprintf(ret_reason, LIMIT_TEXT + 1, "%s", set->reason);
	else
		snprintf(ret_reason, LIMIT_TEXT + 1, "MTU %u is %s the pod network's %u",
			 set->pod.mtu, set->pod.mtu < offload->router.mtu ? "below" : "above",
			 offload->router.mtu);
}

static void add_connections(struct offload *offload, uint32_t slot,
			    struct offload_pod_status *status)
{
	struct engine_count received, sent;

	connections_count(offload, slot, &received, &sent);
	status->rx_packets += received.packets;
	status->rx_bytes += received.bytes;
	status->tx_packets += sent.packets;
	status->tx_bytes += sent.bytes;
}

// Of the uplink, which is in no pod's slot.
static void add_wire(struct offload *offload, struct offload_pod_status *status)
{
	struct engine_count received, sent;

	add_connections(offload, offload->uplink_slot, status);
	routes_count(offload, &received, &sent);
	status->rx_packets += received.packets;
	status->rx_bytes += received.bytes;
	status->tx_packets += sent.packets;
	status->tx_bytes += sent.bytes;
}

void offload_read_pod(struct offload *offload, uint32_t slot, struct offload_pod_status *ret_status)
{
	struct rule_set *set = &offload->pods[slot];
	struct engine_count received, sent;

	memset(ret_status, 0, sizeof(*ret_status));
	if (slot == offload->uplink_slot)
		add_wire(offload, ret_status);
	if (!set->wanted)
		return;
	ret_status->state = state_of(offload, set);
	print_reason(offload, set, ret_status->state, ret_status->reason);
	if (ret_status->state != OFFLOAD_NONE)
		ret_status->rules = (uint32_t)set->installed;
	ret_status->rules_wanted = wanted_rules(offload, set);
	if (set->fresh)
		return;
	ret_status->metered = meters_in_force(set);
	meters_read(offload, set);
	for (int i = 0; i < BANDWIDTH_DIRECTIONS; i++) {
		ret_status->meters[i] = set->meters[i].base;
		bandwidth_count_add(&ret_status->meters[i], &set->meters[i].last);
	}
	for (size_t i = 0; i < set->count; i++)
		transaction_read(offload, set, &set->rules[i]);
	received = set->received;
	sent = set->sent;
	for (size_t i = 0; i < set->count; i++) {
		const struct installed *installed = &set->rules[i];
		bool from = rule_shape(&installed->rule)->match & MATCH_FUNCTION;

		*(from ? &received : &sent) = (struct engine_count){
			.packets = (from ? received : sent).packets + installed->last.packets,
			.bytes = (from ? received : sent).bytes + installed->last.bytes,
		};
	}
	ret_status->rx_packets = received.packets;
	ret_status->rx_bytes = received.bytes;
	ret_status->tx_packets = sent.packets;
	ret_status->tx_bytes = sent.bytes;
	add_connections(offload, slot, ret_status);
}

static void add_pod(const struct offload *offload, const struct rule_set *set,
		    struct offload_summary *summary)
{
	uint32_t wanted = wanted_rules(offload, set);

	if (!set->wanted)
		return;
	if (set->fresh || set->outdated || !offload_usable(offload))
		summary->rules_missing += wanted;
	else if (!set->withdrawn)
		summary->rules_missing += wanted - (uint32_t)set->installed;
	if (set->slot == offload->host_slot)
		return;
	switch (state_of(offload, set)) {
	case OFFLOAD_FULL:
		summary->pods_full++;
		return;
	case OFFLOAD_PARTIAL:
		summary->pods_partial++;
		return;
	case OFFLOAD_NONE:
	case OFFLOAD_OFF:
		summary->pods_none++;
		return;
	}
}

void offload_read_summary(const struct offload *offload, struct offload_summary *ret_summary)
{
	memset(ret_summary, 0, sizeof(*ret_summary));
	ret_summary->enabled = offload->enabled;
	ret_summary->usable = offload_usable(offload);
	if (offload->enabled && !ret_summary->usable)
		snprintf(ret_summary->why_not, sizeof(ret_summary->why_not), "%s",
			 why_not_usable(offload));
	if (offload->engine != NULL)
		snprintf(ret_summary->api, sizeof(ret_summary->api), "%s",
			 offload->engine->ops->name);
	ret_summary->rules = (uint32_t)(offload->ledger.count - offload->ledger.holes);
	for (uint32_t slot = 0; slot < OFFLOAD_SLOTS; slot++)
		add_pod(offload, &offload->pods[slot], ret_summary);
	if (ret_summary->usable)
		ret_summary->rules_missing += routes_missing(offload);
	ret_summary->inserted = offload->inserted;
	ret_summary->removed = offload->removed;
	ret_summary->failed = offload->failed;
	if (ret_summary->rules_missing == 0)
		return;
	snprintf(ret_summary->missing_reason, sizeof(ret_summary->missing_reason), "%s",
		 !ret_summary->usable                 ? ret_summary->why_not
		 : offload->missing_reason[0] != '\0' ? offload->missing_reason
						      : "not yet installed");
}

size_t offload_capability_count(const struct offload *offload)
{
	return offload->preflight.count;
}

const struct offload_capability *offload_capability(const struct offload *offload, size_t index)
{
	return &offload->preflight.rows[index];
}

bool offload_next_rule(struct offload *offload, uint64_t after, struct offload_rule *ret_rule)
{
	struct rule_set *set;
	struct installed *installed = ledger_next(&offload->ledger, after, &set);

	if (installed == NULL)
		return false;
	const struct rule_shape *shape = rule_shape(&installed->rule);
	transaction_read(offload, set, installed);
	memset(ret_rule, 0, sizeof(*ret_rule));
	ret_rule->id = installed->id;
	ret_rule->group = shape->group;
	ret_rule->priority = rule_priority(shape, &installed->rule);
	ret_rule->has_slot = set->slot != NO_SLOT;
	ret_rule->slot = ret_rule->has_slot ? set->slot : 0;
	rule_print_match(&installed->rule, flow_left_out(&offload->engine->form), ret_rule->match,
			 sizeof(ret_rule->match));
	rule_print_actions(&installed->rule, ret_rule->actions, sizeof(ret_rule->actions));
	gate_describe(offload, installed, set, ret_rule);
	ret_rule->counted = shape->actions & ACTION_COUNT;
	ret_rule->packets = installed->last.packets;
	ret_rule->bytes = installed->last.bytes;
	ret_rule->age_ms = (uint64_t)(offload_now_us() - installed->since_us) / 1000;
	return true;
}
