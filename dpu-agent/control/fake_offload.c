// SPDX-License-Identifier: BSD-3-Clause
//
// See fake_offload.h. The shared rules have the IDs 1 and 2; the pod in slot S has 100 * (S + 1) and the
// following.

#include "control/fake_offload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POD_ID_FIRST = 100 };

struct fake_offload fake_offload;

static void must(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "fake_offload: %s\n", what);
	abort();
}

void fake_offload_reset(void)
{
	memset(&fake_offload, 0, sizeof(fake_offload));
}

struct offload *fake_offload_new(void)
{
	struct fake_offload before = fake_offload;

	fake_offload_reset();
	fake_offload.disabled = before.disabled;
	fake_offload.unusable = before.unusable;
	fake_offload.rules_max = before.rules_max;
	fake_offload.alive = true;
	return (struct offload *)&fake_offload;
}

size_t fake_offload_pod_count(void)
{
	size_t count = 0;

	for (size_t slot = 0; slot < FAKE_FUNCTIONS_MAX; slot++)
		count += fake_offload.slots[slot].present;
	return count;
}

void fake_offload_port_stops(uint32_t slot)
{
	if (slot <= FAKE_FUNCTIONS_MAX)
		must(!fake_offload.slots[slot].present || fake_offload.slots[slot].withdrawn,
		     "a port stops before its rules are gone");
	else if (fake_nic.ports[slot].started && slot == FAKE_FUNCTIONS_MAX + 1)
		must(!fake_offload.begun, "the uplink stops before the rules are gone");
}

void offload_free(struct offload *offload)
{
	if (offload == NULL)
		return;
	must(fake_offload.alive, "freed twice");
	fake_offload.alive = fake_offload.begun = false;
	memset(fake_offload.slots, 0, sizeof(fake_offload.slots));
	fake_offload.rules = 0;
}

// As many of its rules as there is room for.
static void install(struct fake_offload_slot *slot)
{
	uint32_t wanted = slot->rules_wanted - slot->rules;
	uint32_t room = fake_offload.rules_max > fake_offload.rules
				? fake_offload.rules_max - fake_offload.rules
				: 0;

	if (fake_offload.disabled || fake_offload.unusable || slot->withdrawn)
		return;
	if (fake_offload.rules_max == 0 || wanted <= room)
		room = wanted;
	slot->rules += room;
	fake_offload.rules += room;
}

void offload_begin(struct offload *offload, const struct offload_router *router)
{
	must(fake_offload.alive && !fake_offload.begun, "begun without being there, or twice");
	must(fake_nic.ports[FAKE_FUNCTIONS_MAX + 1].started, "begun without an uplink");
	fake_offload.begun = true;
	fake_offload.router = *router;
}

void offload_end(struct offload *offload)
{
	must(fake_offload.alive, "ended without being there");
	fake_offload.begun = false;
	memset(fake_offload.slots, 0, sizeof(fake_offload.slots));
	fake_offload.rules = 0;
}

void offload_add(struct offload *offload, const struct offload_pod *pods, size_t count)
{
	must(fake_offload.begun, "a pod added before the begin");
	fake_offload.adds++;
	fake_offload.last_add = count;
	for (size_t i = 0; i < count; i++) {
		struct fake_offload_slot *slot = &fake_offload.slots[pods[i].slot];

		must(fake_nic.ports[pods[i].slot].started, "a pod added before its port starts");
		must(!slot->present || pods[i].slot == FAKE_FUNCTIONS_MAX, "a pod added twice");
		slot->present = true;
		slot->pod = pods[i];
		slot->rules_wanted =
			FAKE_POD_RULES * ((uint32_t)pods[i].has_ipv4 + (uint32_t)pods[i].has_ipv6);
		install(slot);
	}
}

void offload_remove(struct offload *offload, uint32_t index)
{
	struct fake_offload_slot *slot = &fake_offload.slots[index];

	must(fake_offload.alive && index <= FAKE_FUNCTIONS_MAX, "removed where there is nothing");
	fake_offload.rules -= slot->rules;
	memset(slot, 0, sizeof(*slot));
}

void offload_withdraw(struct offload *offload, uint32_t index)
{
	struct fake_offload_slot *slot = &fake_offload.slots[index];

	must(fake_offload.alive && index <= FAKE_FUNCTIONS_MAX, "withdrawn where there is nothing");
	slot->withdrawn = true;
	fake_offload.rules -= slot->rules;
	slot->rules = 0;
}

void offload_restore(struct offload *offload, uint32_t index)
{
	struct fake_offload_slot *slot = &fake_offload.slots[index];

	must(fake_offload.alive && index <= FAKE_FUNCTIONS_MAX, "restored where there is nothing");
	slot->withdrawn = false;
	if (slot->present)
		install(slot);
}

void offload_retry(struct offload *offload)
{
	must(fake_offload.begun, "tried again before the begin");
	fake_offload.retries++;
	for (size_t slot = 0; slot < FAKE_FUNCTIONS_MAX; slot++)
		if (fake_offload.slots[slot].present) {
			install(&fake_offload.slots[slot]);
			fake_offload.slots[slot].lost = false;
		}
}

bool offload_check(struct offload *offload, const struct offload_pod *pod,
		   char ret_reason[LIMIT_TEXT + 1])
{
	const struct fake_offload_slot *slot = &fake_offload.slots[pod->slot];

	must(slot->present && memcmp(&slot->pod.mac, &pod->mac, sizeof(pod->mac)) == 0,
	     "checked where another is");
	strcpy(ret_reason, "the NIC has\tforgotten them");
	return !slot->lost;
}

void offload_set_wire(struct offload *offload, const struct offload_wire *wire)
{
	must(fake_offload.alive, "a wire without an offload");
	fake_offload.wires++;
	fake_offload.has_wire = wire != NULL;
	if (wire != NULL)
		fake_offload.wire = *wire;
}

void offload_set_routes(struct offload *offload, const struct offload_route *routes, size_t count)
{
	must(fake_offload.alive && count <= OFFLOAD_ROUTES_MAX, "more routes than there may be");
	fake_offload.route_lists++;
	memcpy(fake_offload.routes, routes, count * sizeof(routes[0]));
	fake_offload.route_count = count;
}

void offload_routes_used(struct offload *offload, void (*use)(void *context, uint32_t next_hop),
			 void *context)
{
	if (fake_offload.used_next_hop != 0)
		use(context, fake_offload.used_next_hop);
}

// ---- what is installed -----------------------------------------------------------------------------

const char *offload_state_name(enum offload_state state)
{
	static const char *const names[] = {"off", "none", "partial", "full"};

	return names[state];
}

static enum offload_state state_of(const struct fake_offload_slot *slot)
{
	if (!slot->present || fake_offload.disabled || fake_offload.unusable)
		return OFFLOAD_OFF;
	if (slot->rules == slot->rules_wanted)
		return OFFLOAD_FULL;
	return slot->rules == 0 ? OFFLOAD_NONE : OFFLOAD_PARTIAL;
}

void offload_read_pod(struct offload *offload, uint32_t index,
		      struct offload_pod_status *ret_status)
{
	static const struct fake_offload_slot nobody;
	const struct fake_offload_slot *slot =
		index <= FAKE_FUNCTIONS_MAX ? &fake_offload.slots[index] : &nobody;

	*ret_status = (struct offload_pod_status){
		.state = state_of(slot),
		.rules = slot->rules,
		.rules_wanted = slot->rules_wanted,
		.rx_packets = slot->rx_packets,
		.rx_bytes = slot->rx_packets * 100,
		.tx_packets = slot->tx_packets,
		.tx_bytes = slot->tx_packets * 100,
	};
	// A driver's words are not always fit to print.
	if (ret_status->state == OFFLOAD_PARTIAL || ret_status->state == OFFLOAD_NONE)
		strcpy(ret_status->reason, "table\tfull");
}

void offload_read_summary(const struct offload *offload, struct offload_summary *ret_summary)
{
	struct offload_summary *to = ret_summary;

	memset(to, 0, sizeof(*to));
	to->enabled = !fake_offload.disabled;
	to->usable = fake_offload.begun && !fake_offload.disabled && !fake_offload.unusable;
	if (fake_offload.unusable)
		strcpy(to->why_not, "no e-switch");
	else if (!fake_offload.disabled && !fake_offload.begun)
		strcpy(to->why_not, "the uplink port is not started");
	strcpy(to->api, "synchronous");
	to->rules = fake_offload.rules + (to->usable ? FAKE_SHARED_RULES : 0);
	to->inserted = to->rules;
	for (size_t slot = 0; slot < FAKE_FUNCTIONS_MAX; slot++) {
		const struct fake_offload_slot *pod = &fake_offload.slots[slot];

		if (!pod->present || !to->usable)
			continue;
		to->rules_missing += pod->rules_wanted - pod->rules;
		to->pods_full += state_of(pod) == OFFLOAD_FULL;
		to->pods_partial += state_of(pod) == OFFLOAD_PARTIAL;
		to->pods_none += state_of(pod) == OFFLOAD_NONE;
	}
	to->failed = to->rules_missing;
	if (to->rules_missing > 0)
		strcpy(to->missing_reason, "table full");
}

static const struct offload_capability capabilities[] = {
	{"match IPv4 destination", true, true, ""},
	{"decrement TTL", false, true, "not\nsupported"},
};

size_t offload_capability_count(const struct offload *offload)
{
	return sizeof(capabilities) / sizeof(capabilities[0]);
}

const struct offload_capability *offload_capability(const struct offload *offload, size_t index)
{
	return &capabilities[index];
}

bool offload_next_rule(struct offload *offload, uint64_t after, struct offload_rule *ret_rule)
{
	uint64_t id = after + 1;

	memset(ret_rule, 0, sizeof(*ret_rule));
	if (id <= FAKE_SHARED_RULES && fake_offload.begun) {
		ret_rule->id = id;
		strcpy(ret_rule->match, "ttl 0");
		strcpy(ret_rule->actions, "jump 9");
		return true;
	}
	for (uint32_t slot = 0; slot < FAKE_FUNCTIONS_MAX; slot++) {
		const struct fake_offload_slot *pod = &fake_offload.slots[slot];
		uint64_t first = POD_ID_FIRST * (slot + 1ull);

		id = after < first ? first : after + 1;
		if (id >= first + pod->rules)
			continue;
		*ret_rule = (struct offload_rule){
			.id = id,
			.group = 2,
			.priority = 1,
			.has_slot = true,
			.slot = slot,
			.counted = true,
			.packets = pod->rx_packets,
			.bytes = pod->rx_packets * 100,
			.age_ms = 5000,
		};
		snprintf(ret_rule->match, sizeof(ret_rule->match), "from slot %u", slot);
		strcpy(ret_rule->actions, "count, jump 3");
		return true;
	}
	return false;
}
