// SPDX-License-Identifier: BSD-3-Clause
//
// Sets of rules into the NIC and out of it. In steps, since the operations of one step may be
// done in any order:
//
//     install   limits  ──►  guards  ──►  what rewrites, counts, forwards  ──►  what leads there (rule_shape.opens)
//     remove    what leads there  ──►  read the counters, what rewrites, counts, forwards  ──►  guards  ──►  limits
//
// Guards and limits are not removed before all is that they are for: what the NIC does not let go keeps them.
//
// A pod's limit is the graph's to keep until its rules (rule_shape.limits) are all in, and again from before
// the first of them goes: at times twice, never not at all.

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_common.h>

#include "offload/connections_private.h"
#include "proto/base/log.h"

// ---- parts and steps --------------------------------------------------------------------------------------

// The part of the set that the rule belongs to, as a bit.
static uint32_t rule_part(const struct rule_set *set, const struct rule *rule)
{
	return set->slot == NO_SLOT || set_is_limited(set)
		       ? 1
		       : UINT32_C(1) << rule_shape(rule)->family;
}

enum step { STEP_LIMIT, STEP_GUARD, STEP_FORWARD, STEP_OPEN, STEPS };

static enum step step_of(const struct rule *rule)
{
	const struct rule_shape *shape = rule_shape(rule);

	return shape->limits   ? STEP_LIMIT
	       : shape->guards ? STEP_GUARD
	       : shape->opens  ? STEP_OPEN
			       : STEP_FORWARD;
}

// ---- counters -----------------------------------------------------------------------------------

static void add_count(struct engine_count *sum, const struct engine_count *count)
{
	sum->packets += count->packets;
	sum->bytes += count->bytes;
}

// Where a rule's count goes when the rule is no more. NULL: it does not count.
static struct engine_count *base_of(struct rule_set *set, const struct rule *rule)
{
	const struct rule_shape *shape = rule_shape(rule);

	if (!(shape->actions & ACTION_COUNT))
		return NULL;
	return shape->match & MATCH_FUNCTION || shape->group == RULE_GROUP_WIRE_SOURCE
		       ? &set->received
		       : &set->sent;
}

void transaction_read(struct offload *offload, struct rule_set *set, struct installed *installed)
{
	struct engine_count *base = base_of(set, &installed->rule);
	struct engine_count now;

	if (base == NULL || installed->flow == NULL || offload->engine == NULL ||
	    engine_query(offload->engine->port_id, installed->flow, &now) < 0)
		return; // what was read last stands
	// A NIC may start again from zero, as when a function is reset.
	if (now.packets < installed->last.packets || now.bytes < installed->last.bytes)
		add_count(base, &installed->last);
	installed->last = now;
}

// What it has counted stays.
static void gone(struct offload *offload, struct rule_set *set, struct installed *installed)
{
	struct engine_count *base = base_of(set, &installed->rule);

	if (base != NULL)
		add_count(base, &installed->last);
	installed->last = (struct engine_count){0};
	ledger_remove(&offload->ledger, installed);
	installed->flow = NULL;
	set->installed--;
	if (rule_shape(&installed->rule)->limits)
		datapath_meter_in_nic(set->slot, false);
}

// ---- operations ---------------------------------------------------------------------------------

static void add_op(struct offload *offload, struct rule_set *set, struct installed *installed,
		   bool create)
{
	size_t i = offload->op_count++;

	offload->ops[i] = (struct engine_op){
		.create = create,
		.rule = &installed->rule,
		.flow = installed->flow,
	};
	offload->op_rules[i] = installed;
	offload->op_sets[i] = set;
}

static void note_failure(struct offload *offload, struct rule_set *set, const struct rule *rule,
			 const struct engine_op *op)
{
	offload->failed++;
	set->failed |= rule_part(set, rule);
	if (set->error != 0)
		return; // the first says it
	set->error = op->result;
	if (op->result == -ENOSPC)
		snprintf(set->reason, sizeof(set->reason), "%s", op->why);
	else
		snprintf(set->reason, sizeof(set->reason), "the NIC refuses the rule \"%s\": %s",
			 rule_shape(rule)->name, op->why);
	snprintf(offload->missing_reason, sizeof(offload->missing_reason), "%s", set->reason);
}

static void take_created(struct offload *offload, const struct engine_op *op, struct rule_set *set,
			 struct installed *installed)
{
	if (op->result < 0) {
		note_failure(offload, set, &installed->rule, op);
		return;
	}
	installed->flow = op->flow;
	installed->last = (struct engine_count){0};
	installed->since_us = offload_now_us();
	ledger_add(&offload->ledger, set, installed);
	set->installed++;
	offload->inserted++;
	if (rule_shape(&installed->rule)->limits && meters_in_force(set))
		datapath_meter_in_nic(set->slot, true);
}

static void take_destroyed(struct offload *offload, const struct engine_op *op,
			   struct rule_set *set, struct installed *installed)
{
	static struct log_ratelimit limit = {.interval_ms = 10000, .burst = 5};
	char match[LIMIT_TEXT + 1];

	if (op->result < 0) {
		offload->failed++;
		rule_print_match(&installed->rule, flow_left_out(&offload->engine->form), match,
				 sizeof(match));
		if (log_ratelimit_ok(&limit))
			log_error("rule not removed", "group=%u match=\"%s\" error=\"%s\"",
				  rule_shape(&installed->rule)->group, match, op->why);
	}
	if (op->flow != NULL)
		return; // to be tried again
	gone(offload, set, installed);
	if (op->result == 0)
		offload->removed++;
}

static void run_ops(struct offload *offload)
{
	if (offload->op_count == 0)
		return;
	offload->engine->ops->run(offload->engine, offload->ops, offload->op_count);
	for (size_t i = 0; i < offload->op_count; i++) {
		const struct engine_op *op = &offload->ops[i];

		if (op->create)
			take_created(offload, op, offload->op_sets[i], offload->op_rules[i]);
		else
			take_destroyed(offload, op, offload->op_sets[i], offload->op_rules[i]);
	}
	offload->op_count = 0;
}

// ---- in and out ---------------------------------------------------------------------------------

enum scope { ALL_PARTS, FAILED_PARTS };

static bool to_be_removed(const struct rule_set *set, const struct installed *installed,
			  enum step step, enum scope scope)
{
	return installed->flow != NULL && step_of(&installed->rule) == step &&
	       (scope == ALL_PARTS || (set->failed & rule_part(set, &installed->rule)));
}

// Guards and limits stay for what the NIC does not let go.
static bool is_held(const struct rule_set *set, const struct rule *rule, enum scope scope)
{
	for (size_t i = 0; i < set->count; i++) {
		const struct rule *other = &set->rules[i].rule;

		if (set->rules[i].flow != NULL && step_of(rule) < STEP_FORWARD &&
		    step_of(other) > step_of(rule) &&
		    (scope == ALL_PARTS || rule_part(set, other) == rule_part(set, rule)))
			return true;
	}
	return false;
}

// From the last to the first.
static void remove_step(struct offload *offload, struct rule_set **sets, size_t count,
			enum step step, enum scope scope)
{
	for (size_t i = count; i-- > 0;) {
		for (size_t j = sets[i]->count; j-- > 0;) {
			struct installed *installed = &sets[i]->rules[j];

			if (!to_be_removed(sets[i], installed, step, scope))
				continue;
			if (step == STEP_LIMIT)
				datapath_meter_in_nic(sets[i]->slot, false);
			if (is_held(sets[i], &installed->rule, scope))
				continue;
			transaction_read(offload, sets[i], installed);
			add_op(offload, sets[i], installed, false);
		}
	}
	run_ops(offload);
}

static void remove_rules(struct offload *offload, struct rule_set **sets, size_t count,
			 enum scope scope)
{
	for (int step = STEPS; step-- > 0;)
		remove_step(offload, sets, count, step, scope);
}

void transaction_remove(struct offload *offload, struct rule_set **sets, size_t count)
{
	for (size_t i = 0; i < count; i++)
		connections_remove_limited(offload, sets[i]->slot);
	remove_rules(offload, sets, count, ALL_PARTS);
	for (size_t i = 0; i < count; i++) {
		if (sets[i]->installed == 0)
			meters_give_back(offload, sets[i]);
	}
}

void transaction_forget(struct offload *offload, struct rule_set *set)
{
	for (size_t i = 0; i < set->count; i++) {
		if (set->rules[i].flow != NULL)
			gone(offload, set, &set->rules[i]);
	}
	meters_give_back(offload, set);
}

enum { BURST_FIRST = 4, BURST_MAX = 128 };

// How many inserts to give the NIC before looking at the clock again: few at first, since it may have
// become slow. Done one by one there is nothing to gain by more than one, and then none is tried for a
// set that has failed.
static size_t burst(const struct offload *offload, int64_t deadline_us)
{
	int64_t fitting = BURST_MAX;

	if (!offload->engine->ops->bulk)
		return 1;
	if (offload->op_us > 0)
		fitting = (deadline_us - offload_now_us()) / offload->op_us;
	fitting = RTE_MIN(fitting, (int64_t)offload->burst);
	return (size_t)RTE_MAX(fitting, (int64_t)1);
}

static void run_creates(struct offload *offload)
{
	const int64_t start_us = offload_now_us();
	const int64_t count = (int64_t)offload->op_count;

	if (count == 0)
		return;
	run_ops(offload);
	offload->op_us = (offload_now_us() - start_us) / count;
	offload->burst = RTE_MIN(2 * offload->burst, (size_t)BURST_MAX);
}

// All of its part that comes before is in.
static bool may_follow(const struct rule_set *set, uint32_t part, enum step step)
{
	for (size_t i = 0; i < set->count; i++) {
		const struct rule *rule = &set->rules[i].rule;

		if (set->rules[i].flow == NULL && step_of(rule) < step &&
		    rule_part(set, rule) == part)
			return false;
	}
	return true;
}

// False: time is up.
static bool install_set(struct offload *offload, struct rule_set *set, enum step step,
			int64_t deadline_us)
{
	for (size_t i = 0; i < set->count; i++) {
		struct installed *installed = &set->rules[i];
		const uint32_t part = rule_part(set, &installed->rule);

		if (installed->flow != NULL || step_of(&installed->rule) != step ||
		    (set->failed & part) || !may_follow(set, part, step))
			continue;
		add_op(offload, set, installed, true);
		if (offload->op_count < burst(offload, deadline_us))
			continue;
		run_creates(offload);
		if (offload_now_us() >= deadline_us)
			return false;
	}
	return true;
}

static bool install_step(struct offload *offload, struct rule_set **sets, size_t count,
			 enum step step, int64_t deadline_us)
{
	bool in_time = true;

	for (size_t i = 0; in_time && i < count; i++)
		in_time = install_set(offload, sets[i], step, deadline_us);
	run_creates(offload);
	return in_time && offload_now_us() < deadline_us;
}

static void roll_back(struct offload *offload, struct rule_set **sets, size_t count)
{
	struct rule_set *failed[BATCH_SETS];
	size_t failed_count = 0;

	for (size_t i = 0; i < count; i++) {
		if (sets[i]->failed != 0 && sets[i]->installed > 0)
			failed[failed_count++] = sets[i];
	}
	remove_rules(offload, failed, failed_count, FAILED_PARTS);
}

size_t transaction_install(struct offload *offload, struct rule_set **sets, size_t count,
			   int64_t deadline_us)
{
	bool in_time = true;
	size_t done = 0;

	offload->burst = BURST_FIRST;
	for (size_t i = 0; i < count; i++) {
		sets[i]->failed = 0;
		sets[i]->error = 0;
	}
	for (int step = 0; in_time && step < STEPS; step++) {
		in_time = install_step(offload, sets, count, step, deadline_us);
		roll_back(offload, sets, count);
	}
	for (size_t i = 0; i < count; i++) {
		if (sets[i]->installed == sets[i]->count) {
			sets[i]->reason[0] = '\0';
			done++;
		} else if (sets[i]->error == 0) {
			snprintf(sets[i]->reason, sizeof(sets[i]->reason), "not yet installed");
		}
	}
	return done;
}
