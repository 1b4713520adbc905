// SPDX-License-Identifier: BSD-3-Clause
//
// The pods' rules: which are wanted, what is missing of them, and what is tried again when. Bounded
// in time, since the control thread has calls to answer.

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_common.h>

#include "offload/connections_private.h"
#include "offload/routes_private.h"
#include "port/port_dpdk.h"
#include "proto/base/log.h"

// Calls wait while rules go in: what is not in by then is for the next retry. But a restart with many
// pods has more time than an attachment.
enum {
	ADD_BUDGET_US = 200 * 1000,
	ADD_BUDGET_US_PER_POD = 2000,
	RETRY_BUDGET_US = 100 * 1000,
	RETRY_FAILURES_MAX = 8, // pods that fail again in one retry
};

bool rule_set_missing(const struct rule_set *set)
{
	if (set->unmetered)
		return set->wanted && !set->withdrawn &&
		       set->installed > 0; // what was there before it
	return set->wanted && !set->withdrawn &&
	       (set->fresh || set->outdated || set->count == 0 || set->installed < set->count);
}

// ---- in -----------------------------------------------------------------------------------------

// Somebody's rule that the NIC would not remove, and that a frame for `set` could meet.
static bool meets_remains(const struct offload *offload, const struct rule_set *set)
{
	for (uint32_t slot = 0; slot < OFFLOAD_SLOTS; slot++) {
		const struct rule_set *other = &offload->pods[slot];

		if (other->wanted || other->installed == 0)
			continue;
		for (size_t i = 0; i < other->count; i++) {
			for (size_t j = 0; other->rules[i].flow != NULL && j < set->count; j++) {
				if (rule_same_match(&other->rules[i].rule, &set->rules[j].rule))
					return true;
			}
		}
	}
	return false;
}

// Write down the set's rules. False: they cannot be installed now, and why is noted.
static bool program(struct offload *offload, struct rule_set *set)
{
	struct rule rules[PROGRAM_RULES_MAX];
	char why[ENGINE_WHY_SIZE] = "";

	set->error = -EBUSY;
	if (set->installed > 0) {
		snprintf(set->reason, sizeof(set->reason),
			 "the NIC does not remove the rules from before");
		return false;
	}
	if (set->fresh) {
		set->received = set->sent = (struct engine_count){0};
		meters_give_back(offload, set);
		for (int i = 0; i < BANDWIDTH_DIRECTIONS; i++)
			set->meters[i].base = (struct bandwidth_count){0};
		connections_clear_count(offload, set->slot);
	}
	set->fresh = set->outdated = false;
	if (set->unmetered) {
		set->count = 0;
		return false;
	}
	const struct program_node node = pods_node(offload);
	set->count = program_pod(&set->pod, offload->ethdev_of_slot[set->slot],
				 offload->vf_of_slot[set->slot], &node, rules);
	for (size_t i = 0; i < set->count; i++)
		set->rules[i] = (struct installed){.rule = rules[i]};
	if (meets_remains(offload, set)) {
		snprintf(set->reason, sizeof(set->reason),
			 "the NIC does not remove a rule of a pod that has left");
		return false;
	}
	if (pods_meet_smaller(offload, set)) {
		snprintf(set->reason, sizeof(set->reason),
			 "the NIC does not remove a rule that leads to a smaller MTU");
		return false;
	}
	set->error = meters_make(offload, set, why);
	if (set->error < 0) {
		snprintf(set->reason, sizeof(set->reason), "the NIC refuses a meter: %s", why);
		snprintf(offload->missing_reason, sizeof(offload->missing_reason), "%s",
			 set->reason);
		return false;
	}
	return true;
}

// Some are in: time was up, or a family was refused. And nothing has changed since.
static bool half_done(const struct rule_set *set)
{
	return set->wanted && !set->withdrawn && !set->fresh && !set->outdated &&
	       set->installed > 0 && set->installed < set->count;
}

// Rules that are there and are not those of now.
static void remove_outdated(struct offload *offload, struct rule_set **sets, size_t count)
{
	struct rule_set *old[BATCH_SETS];
	size_t old_count = 0;

	for (size_t i = 0; i < count; i++) {
		if (sets[i]->installed > 0 && !half_done(sets[i]))
			old[old_count++] = sets[i];
	}
	transaction_remove(offload, old, old_count);
	for (size_t i = 0; i < old_count; i++) {
		if (old[i]->installed == 0)
			continue;
		routes_close(offload);
		return;
	}
}

// Make the rules of these sets, at most BATCH_SETS: go on where they are half done, else anew. Returns
// how many are in.
static size_t make(struct offload *offload, struct rule_set **sets, size_t count,
		   int64_t deadline_us)
{
	struct rule_set *ready[BATCH_SETS];
	size_t ready_count = 0;

	remove_outdated(offload, sets, count);
	for (size_t i = 0; i < count; i++) {
		if (half_done(sets[i]) || program(offload, sets[i]))
			ready[ready_count++] = sets[i];
	}
	return transaction_install(offload, ready, ready_count, deadline_us);
}

// How many pods to do at once, for as long as there is time.
static size_t batch_size(const struct offload *offload, int64_t deadline_us)
{
	int64_t fitting = BATCH_SETS;

	if (!offload->engine->ops->bulk)
		return 1;
	if (offload->op_us > 0)
		fitting = (deadline_us - offload_now_us()) / offload->op_us / PROGRAM_RULES_MAX;
	return (size_t)RTE_MIN(RTE_MAX(fitting, (int64_t)1), (int64_t)BATCH_SETS);
}

// Go on from the cursor with what is missing: at most `size` sets. Returns how many.
static size_t collect_missing(struct offload *offload, uint32_t *left, struct rule_set **ret_sets,
			      size_t size)
{
	size_t count = 0;

	for (; *left > 0 && count < size; (*left)--) {
		struct rule_set *set = &offload->pods[offload->cursor];

		offload->cursor = (offload->cursor + 1) % OFFLOAD_SLOTS;
		if (rule_set_missing(set))
			ret_sets[count++] = set;
	}
	return count;
}

// The next retry begins where this one ended, and with what it left half done.
static void keep_cursor(struct offload *offload, struct rule_set **sets, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (rule_set_missing(sets[i]) && sets[i]->error == 0) {
			offload->cursor = sets[i]->slot;
			return;
		}
	}
}

static void fill(struct offload *offload, int64_t deadline_us)
{
	struct rule_set *sets[BATCH_SETS];
	uint32_t left = OFFLOAD_SLOTS;
	size_t count;

	while (offload_now_us() < deadline_us &&
	       (count = collect_missing(offload, &left, sets, batch_size(offload, deadline_us))) >
		       0)
		make(offload, sets, count, deadline_us);
}

void pods_fill(struct offload *offload)
{
	fill(offload, offload_now_us() + ADD_BUDGET_US + OFFLOAD_SLOTS * ADD_BUDGET_US_PER_POD);
}

// The same with a careful beginning, since most likely it fails as it did before: pod by pod while pods
// fail, no more once the table is full.
static void fill_again(struct offload *offload, int64_t deadline_us)
{
	struct rule_set *sets[BATCH_SETS];
	uint32_t left = OFFLOAD_SLOTS;
	size_t failures = 0, size = 1, count;

	while (offload_now_us() < deadline_us && failures < RETRY_FAILURES_MAX &&
	       (count = collect_missing(offload, &left, sets, size)) > 0) {
		make(offload, sets, count, deadline_us);
		size = batch_size(offload, deadline_us);
		for (size_t i = 0; i < count; i++) {
			if (sets[i]->error == -ENOSPC)
				return;
			if (sets[i]->error < 0) {
				failures++;
				size = 1;
			}
		}
		keep_cursor(offload, sets, count);
	}
}

void pods_tell(struct offload *offload)
{
	struct offload_summary summary;

	offload_read_summary(offload, &summary);
	if (summary.rules_missing > 0 && !offload->told_missing)
		log_warning("rules missing, the slow path forwards instead",
			    "rules=%u pods_none=%u pods_partial=%u reason=\"%s\"",
			    summary.rules_missing, summary.pods_none, summary.pods_partial,
			    summary.missing_reason);
	else if (summary.rules_missing == 0 && offload->told_missing)
		log_info("all rules in place", "rules=%u", summary.rules);
	offload->told_missing = summary.rules_missing > 0;
	if (!offload->told_missing)
		offload->missing_reason[0] = '\0';
}

static bool same_limits(const struct offload_pod *a, const struct offload_pod *b)
{
	return memcmp(a->limits, b->limits, sizeof(a->limits)) == 0;
}

static bool same_published(const struct offload_pod *a, const struct offload_pod *b)
{
	if (a->published_count != b->published_count)
		return false;
	// Not as a whole: there is room between the members.
	for (size_t i = 0; i < OFFLOAD_PUBLISHED_MAX; i++) {
		if (a->published[i].protocol != b->published[i].protocol ||
		    a->published[i].port != b->published[i].port)
			return false;
	}
	return true;
}

static bool same_pod(const struct offload_pod *a, const struct offload_pod *b)
{
	return a->port == b->port && memcmp(&a->mac, &b->mac, sizeof(a->mac)) == 0 &&
	       a->mtu == b->mtu && same_published(a, b) && same_limits(a, b) &&
	       a->has_ipv4 == b->has_ipv4 && a->has_ipv6 == b->has_ipv6 &&
	       (!a->has_ipv4 || a->ipv4.s_addr == b->ipv4.s_addr) &&
	       (!a->has_ipv6 || memcmp(&a->ipv6, &b->ipv6, sizeof(a->ipv6)) == 0);
}

void pods_judge(struct offload *offload, struct rule_set *set)
{
	set->unmetered =
		set_is_limited(set) && offload->engine != NULL && !offload->engine->form.meter;
}

struct program_node pods_node(const struct offload *offload)
{
	const struct engine *engine = offload->engine;

	return (struct program_node){
		.router = &offload->router,
		.wire = routes_wire(offload),
		.uplink = offload->uplink,
		.largest = pods_largest(offload),
		.publishers = engine != NULL && engine->form.publishers,
		.connections =
			engine != NULL && offload->connections != NULL && engine->connections,
	};
}

bool pods_answers_apart(const struct offload *offload)
{
	for (uint32_t slot = 0; slot < OFFLOAD_SLOTS; slot++) {
		const struct rule_set *set = &offload->pods[slot];

		if (set->wanted && set->outdated && set->installed > 0 &&
		    set->pod.published_count > 0)
			return false;
	}
	return true;
}

static void want(struct offload *offload, struct rule_set *set, const struct offload_pod *pod)
{
	if (!set->wanted) {
		set->fresh = true;
	} else {
		if (same_pod(&set->pod, pod))
			return;
		set->outdated = true;
		connections_remove_slot(offload, set->slot);
	}
	if (pod->mtu > offload->largest)
		pods_grow(offload, pod->mtu);
	set->wanted = true;
	set->pod = *pod;
	pods_judge(offload, set);
	set->error = 0;
	snprintf(set->reason, sizeof(set->reason), "not yet installed");
}

void offload_add(struct offload *offload, const struct offload_pod *pods, size_t count)
{
	const int64_t deadline_us =
		offload_now_us() + ADD_BUDGET_US + (int64_t)count * ADD_BUDGET_US_PER_POD;
	const uint32_t largest = offload->largest;
	struct rule_set *sets[BATCH_SETS];

	if (!offload->enabled)
		return;
	for (size_t i = 0; i < count; i++)
		want(offload, &offload->pods[pods[i].slot], &pods[i]);
	for (size_t i = 0; i < count && offload_usable(offload);) {
		const size_t size = batch_size(offload, deadline_us);
		size_t n = 0;

		for (; i < count && n < size; i++) {
			if (rule_set_missing(&offload->pods[pods[i].slot]))
				sets[n++] = &offload->pods[pods[i].slot];
		}
		if (offload_now_us() < deadline_us)
			make(offload, sets, n, deadline_us);
		else // which must go all the same
			remove_outdated(offload, sets, n);
	}
	if (offload->largest != largest && offload_usable(offload))
		fill(offload, deadline_us);
	for (size_t i = 0; i < count && !offload->told_missing; i++) {
		if (rule_set_missing(&offload->pods[pods[i].slot]))
			pods_tell(offload);
	}
}

bool offload_check(struct offload *offload, const struct offload_pod *pod,
		   char ret_reason[LIMIT_TEXT + 1])
{
	struct rule_set *set = &offload->pods[pod->slot];
	struct engine_count count;

	if (!offload_usable(offload) || set->fresh || set->outdated)
		return true;
	if (set->wanted && !same_pod(&set->pod, pod)) {
		snprintf(ret_reason, LIMIT_TEXT + 1, "they are another pod's");
		want(offload, set, pod);
		return false;
	}
	for (size_t i = 0; set->wanted && i < set->count; i++) {
		const struct installed *installed = &set->rules[i];
		const struct rule_shape *shape = rule_shape(&installed->rule);

		if (installed->flow == NULL || !(shape->actions & ACTION_COUNT) ||
		    engine_query(offload->engine->port_id, installed->flow, &count) == 0)
			continue;
		snprintf(ret_reason, LIMIT_TEXT + 1, "the NIC no longer knows the rule \"%s\"",
			 shape->name);
		set->outdated = true;
		snprintf(set->reason, sizeof(set->reason), "%s", ret_reason);
		return false;
	}
	return true;
}

void offload_remove(struct offload *offload, uint32_t slot)
{
	struct rule_set *set = &offload->pods[slot];

	connections_close_slot(offload, slot);
	if (!set->wanted)
		return;
	set->wanted = false;
	if (set->installed > 0)
		transaction_remove(offload, &set, 1);
}

// ---- out for a while ------------------------------------------------------------------------------

void offload_withdraw(struct offload *offload, uint32_t slot)
{
	struct rule_set *set = &offload->pods[slot];

	set->withdrawn = true;
	connections_remove_slot(offload, slot);
	if (set->installed > 0)
		transaction_remove(offload, &set, 1);
}

void offload_restore(struct offload *offload, uint32_t slot)
{
	struct rule_set *set = &offload->pods[slot];

	if (!set->withdrawn)
		return;
	set->withdrawn = false;
	if (offload_usable(offload) && rule_set_missing(set)) {
		make(offload, &set, 1, offload_now_us() + ADD_BUDGET_US);
		pods_tell(offload);
	}
}

// ---- events and retry ---------------------------------------------------------------------------

// A function that was reset has lost its rules, or what they act on; with the uplink, all have.
void pods_take_events(struct offload *offload)
{
	if (!atomic_exchange(&offload->any_event, false))
		return;
	const bool all = atomic_exchange(&offload->event[offload->uplink_slot], false);
	uint32_t reset = 0;

	for (uint32_t slot = 0; slot < OFFLOAD_SLOTS; slot++) {
		struct rule_set *set = &offload->pods[slot];

		if (!atomic_exchange(&offload->event[slot], false) && !all)
			continue;
		connections_reset_slot(offload, slot);
		if (!set->wanted || set->installed == 0)
			continue;
		set->outdated = true;
		snprintf(set->reason, sizeof(set->reason), "the function was reset");
		reset++;
	}
	offload->shared.outdated = offload->shared.outdated || all;
	if (all)
		routes_outdate(offload);
	if (reset == 0 && !all)
		return;
	log_info("reset, rules are made again", "pods=%u shared=%s", reset, all ? "yes" : "no");
}

// Rules that are there and should not be: those of a function that was reset, and those the NIC
// would not remove.
static void clear(struct offload *offload, int64_t deadline_us)
{
	for (uint32_t slot = 0; slot < OFFLOAD_SLOTS && offload_now_us() < deadline_us; slot++) {
		struct rule_set *set = &offload->pods[slot];

		if (set->installed > 0 && (!set->wanted || set->withdrawn || rule_set_missing(set)))
			remove_outdated(offload, &set, 1);
	}
}

void offload_retry(struct offload *offload)
{
	const int64_t deadline_us = offload_now_us() + RETRY_BUDGET_US;

	if (!offload->begun || offload_off(offload))
		return;
	pods_take_events(offload);
	if (!offload_usable(offload))
		offload_set_up(offload);
	if (!offload_usable(offload))
		return;
	clear(offload, deadline_us);
	fill_again(offload, deadline_us);
	routes_fill(offload, deadline_us);
	pods_tell(offload);
}
