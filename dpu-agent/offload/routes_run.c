// SPDX-License-Identifier: BSD-3-Clause
//
// The rules of routes into the NIC and out of it:
//
//     install   guards ──► outputs ──► routes to them ──► what lets frames in, if all guards are in
//     remove    what lets frames in, first of all while a guard is missing ──► routes ──► outputs ──► guards
//
// So at no time a frame finds the rule of a shorter prefix where that of a longer one is to decide, or a way into
// what has no way out.

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

#include "offload/routes_private.h"
#include "proto/base/log.h"

enum { CHUNK = 32 }; // operations between two looks at the clock

// ---- counters -------------------------------------------------------------------------------------

static void add(struct engine_count *sum, const struct engine_count *count)
{
	sum->packets += count->packets;
	sum->bytes += count->bytes;
}

static struct engine_count *sum_of(struct routes *routes, const struct route_rule *node)
{
	return node->half >= HALF_FROM_WIRE ? &routes->set.received : &routes->set.sent;
}

void routes_count(struct offload *offload, struct engine_count *ret_received,
		  struct engine_count *ret_sent)
{
	struct routes *routes = offload->routes;

	*ret_received = *ret_sent = (struct engine_count){0};
	if (routes == NULL)
		return;
	for (size_t i = 0; i < routes->count; i++)
		transaction_read(offload, &routes->set, &routes->in_order[i]->installed);
	*ret_received = routes->set.received;
	*ret_sent = routes->set.sent;
	for (size_t i = 0; i < routes->count; i++) {
		const struct route_rule *node = routes->in_order[i];

		add(node->half >= HALF_FROM_WIRE ? ret_received : ret_sent, &node->installed.last);
	}
}

void offload_routes_used(struct offload *offload, void (*use)(void *context, uint32_t next_hop),
			 void *context)
{
	struct routes *routes = offload->routes;

	if (routes == NULL || offload->engine == NULL)
		return;
	for (size_t i = 0; i < routes->count; i++) {
		struct route_rule *node = routes->in_order[i];

		if (node->stage != STAGE_OUTPUT || node->installed.flow == NULL)
			continue;
		transaction_read(offload, &routes->set, &node->installed);
		if (node->installed.last.packets != node->used)
			use(context, node->next_hop);
		node->used = node->installed.last.packets;
	}
}

// ---- operations -----------------------------------------------------------------------------------

static void gone(struct offload *offload, struct route_rule *node)
{
	struct routes *routes = offload->routes;

	add(sum_of(routes, node), &node->installed.last);
	node->installed.last = (struct engine_count){0};
	ledger_remove(&offload->ledger, &node->installed);
	node->installed.flow = NULL;
	routes->set.installed--;
}

static void note_failure(struct offload *offload, struct route_rule *node,
			 const struct engine_op *op)
{
	offload->failed++;
	node->failed = true;
	if (op->result == -ENOSPC)
		snprintf(offload->missing_reason, sizeof(offload->missing_reason), "%s", op->why);
	else
		snprintf(offload->missing_reason, sizeof(offload->missing_reason),
			 "the NIC refuses the rule \"%s\": %s",
			 rule_shape(&node->installed.rule)->name, op->why);
}

static void take_created(struct offload *offload, const struct engine_op *op,
			 struct route_rule *node)
{
	if (op->result < 0) {
		note_failure(offload, node, op);
		return;
	}
	node->failed = false;
	node->used = 0;
	node->installed.flow = op->flow;
	node->installed.last = (struct engine_count){0};
	node->installed.since_us = offload_now_us();
	ledger_add(&offload->ledger, &offload->routes->set, &node->installed);
	offload->routes->set.installed++;
	offload->inserted++;
}

static void take_destroyed(struct offload *offload, const struct engine_op *op,
			   struct route_rule *node)
{
	static struct log_ratelimit limit = {.interval_ms = 10000, .burst = 1};

	offload->failed += op->result < 0;
	if (op->result < 0 && log_ratelimit_ok(&limit))
		log_error("rule of a route not removed", "rule=\"%s\" error=\"%s\"",
			  rule_shape(&node->installed.rule)->name, op->why);
	if (op->flow != NULL)
		return; // to be tried again
	offload->removed += op->result == 0;
	gone(offload, node);
}

static void run(struct offload *offload, struct route_rule **nodes, size_t count, bool create)
{
	struct engine_op ops[CHUNK];

	for (size_t i = 0; i < count; i++) {
		if (!create)
			transaction_read(offload, &offload->routes->set, &nodes[i]->installed);
		ops[i] = (struct engine_op){.create = create,
					    .rule = &nodes[i]->installed.rule,
					    .flow = nodes[i]->installed.flow};
	}
	offload->engine->ops->run(offload->engine, ops, count);
	for (size_t i = 0; i < count; i++) {
		if (create)
			take_created(offload, &ops[i], nodes[i]);
		else
			take_destroyed(offload, &ops[i], nodes[i]);
	}
}

// ---- out --------------------------------------------------------------------------------------------

enum removal { EVERYTHING, UNWANTED, UNGUARDED };

// Are all guards of this half in? To the wire those of pods are among them.
static void look_at_guards(const struct offload *offload, bool ret_guarded[ROUTE_HALVES])
{
	const struct routes *routes = offload->routes;
	const bool apart = pods_answers_apart(offload);

	for (unsigned int half = 0; half < ROUTE_HALVES; half++)
		ret_guarded[half] = half >= HALF_FROM_WIRE || apart;
	for (size_t i = 0; i < routes->count; i++) {
		const struct route_rule *node = routes->in_order[i];

		if (node->stage != STAGE_GUARD || !node->wanted || node->installed.flow != NULL)
			continue;
		ret_guarded[node->half] = false;
		// Those that look at MAC addresses are of no family, and so of both.
		if (rule_shape(&node->installed.rule)->family == RULE_NO_IP)
			ret_guarded[node->half + 1] = false;
	}
}

static void remove_stage(struct offload *offload, enum route_stage stage, enum removal which)
{
	struct routes *routes = offload->routes;
	bool guarded[ROUTE_HALVES] = {0};
	size_t count = 0;

	if (which == UNGUARDED)
		look_at_guards(offload, guarded);
	for (size_t i = 0; i < routes->count; i++) {
		struct route_rule *node = routes->in_order[i];

		if (node->stage == stage && node->installed.flow != NULL &&
		    (which == EVERYTHING || !node->wanted ||
		     (which == UNGUARDED && !guarded[node->half])))
			routes->work[count++] = node;
	}
	for (size_t i = 0; i < count; i += CHUNK)
		run(offload, &routes->work[i], RTE_MIN(count - i, (size_t)CHUNK), false);
}

static void remove_those(struct offload *offload, enum removal which)
{
	remove_stage(offload, STAGE_OPEN, which == EVERYTHING ? EVERYTHING : UNGUARDED);
	remove_stage(offload, STAGE_ROUTE, which);
	remove_stage(offload, STAGE_OUTPUT, which);
	remove_stage(offload, STAGE_GUARD, which);
}

void routes_close(struct offload *offload)
{
	if (offload->routes != NULL && offload->engine != NULL)
		remove_stage(offload, STAGE_OPEN, UNGUARDED);
}

void routes_remove_all(struct offload *offload)
{
	if (offload->routes != NULL && offload->engine != NULL)
		remove_those(offload, EVERYTHING);
}

void routes_forget(struct offload *offload)
{
	struct routes *routes = offload->routes;

	if (routes == NULL)
		return;
	for (size_t i = 0; i < routes->count; i++) {
		if (routes->in_order[i]->installed.flow != NULL)
			gone(offload, routes->in_order[i]);
	}
	routes->planned = routes->outdated = false;
}

void routes_outdate(struct offload *offload)
{
	if (offload->routes != NULL)
		offload->routes->outdated = true;
}

// ---- in ---------------------------------------------------------------------------------------------

static int compare_node(const void *rule, const void *place)
{
	const struct route_rule *const *node = place;

	return routes_compare(rule, &(*node)->installed.rule);
}

// Is there an output of this prefix and next hop?
static bool has_output(const struct routes *routes, const struct route_rule *route)
{
	struct rule wanted = route->installed.rule;
	struct route_rule *const *found;

	wanted.kind = wanted.kind == RULE_ROUTE_IPV4 ? RULE_TO_WIRE_IPV4 : RULE_TO_WIRE_IPV6;
	wanted.router = routes->wire.mac;
	wanted.vlan = routes->wire.vlan;
	wanted.port_id = route->installed.rule.port_id;
	found = bsearch(&wanted, routes->in_order, routes->count, sizeof(routes->in_order[0]),
			compare_node);
	return found != NULL && (*found)->installed.flow != NULL;
}

// Is one of the same match still in, that is not wanted any more?
static bool has_remains(const struct routes *routes, size_t index)
{
	const struct rule *rule = &routes->in_order[index]->installed.rule;

	for (size_t i = index;
	     i-- > 0 && rule_same_match(&routes->in_order[i]->installed.rule, rule);) {
		if (routes->in_order[i]->installed.flow != NULL)
			return true;
	}
	for (size_t i = index + 1;
	     i < routes->count && rule_same_match(&routes->in_order[i]->installed.rule, rule);
	     i++) {
		if (routes->in_order[i]->installed.flow != NULL)
			return true;
	}
	return false;
}

// False: no more of it for now.
static bool install_stage(struct offload *offload, enum route_stage stage, int64_t deadline_us)
{
	struct routes *routes = offload->routes;
	bool guarded[ROUTE_HALVES] = {0};
	size_t count = 0;

	if (stage == STAGE_OPEN)
		look_at_guards(offload, guarded);
	for (size_t i = 0; i < routes->count; i++) {
		struct route_rule *node = routes->in_order[i];

		if (node->stage != stage || !node->wanted || node->installed.flow != NULL ||
		    (stage == STAGE_ROUTE && !has_output(routes, node)) ||
		    (stage == STAGE_OPEN && !guarded[node->half]) || has_remains(routes, i))
			continue;
		routes->work[count++] = node;
	}
	for (size_t i = 0; i < count; i += CHUNK) {
		const size_t some = RTE_MIN(count - i, (size_t)CHUNK);

		run(offload, &routes->work[i], some, true);
		for (size_t j = i; j < i + some; j++) {
			if (routes->work[j]->failed)
				return false; // most likely it fails on
		}
		if (offload_now_us() >= deadline_us)
			return false;
	}
	return true;
}

void routes_fill(struct offload *offload, int64_t deadline_us)
{
	struct routes *routes = offload->routes;

	if (routes == NULL || !offload_usable(offload))
		return;
	if (!routes->planned)
		routes_plan(offload);
	remove_those(offload, routes->outdated ? EVERYTHING : UNWANTED);
	routes->outdated = false;
	for (enum route_stage stage = STAGE_GUARD; stage < STAGES; stage++) {
		if (!install_stage(offload, stage, deadline_us) && stage == STAGE_GUARD)
			return;
	}
}

uint32_t routes_missing(const struct offload *offload)
{
	const struct routes *routes = offload->routes;
	uint32_t missing = 0;

	for (size_t i = 0; routes != NULL && i < routes->count; i++)
		missing +=
			routes->in_order[i]->wanted && routes->in_order[i]->installed.flow == NULL;
	return missing;
}
