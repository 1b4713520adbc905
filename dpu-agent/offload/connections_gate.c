// SPDX-License-Identifier: BSD-3-Clause
//
// The rules in front of a pod's connections and behind them. They are there from its first connection on until the pod
// leaves: taken away, nothing of what the pod has in the e-switch has any effect, at the price of three rules. What
// lingers behind is nobody's: a new pod on the function gets a gate when all of it is gone, and packets for the pod are
// addressed, between the two, by the number of its slot.

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "offload/connections_private.h"
#include "port/port_dpdk.h"
#include "proto/base/log.h"

struct mac gate_address(uint32_t slot)
{
	// Locally administered, and nobody's: a packet that meets no gate is not for the agent either.
	return (struct mac){{0x0e, 'p', 'o', 'd', (uint8_t)(slot >> 8), (uint8_t)slot}};
}

void gate_read(struct offload *offload, uint32_t slot)
{
	transaction_read(offload, &offload->pods[slot],
			 &offload->connections->gates[slot].rules[GATE_RECEIVED]);
}

static void keep_count(struct connections *all, uint32_t slot)
{
	struct engine_count *last = &all->gates[slot].rules[GATE_RECEIVED].last;

	all->sent[slot].packets += last->packets;
	all->sent[slot].bytes += last->bytes;
	*last = (struct engine_count){0};
}

void gate_describe(const struct offload *offload, const struct installed *installed,
		   const struct rule_set *set, struct offload_rule *ret_rule)
{
	const struct connections *all = offload->connections;
	const size_t length = strlen(ret_rule->actions);

	if (installed->rule.kind < RULE_SENDER_IPV4 || installed->rule.kind > RULE_LIMITED_RECEIVER)
		return;
	snprintf(ret_rule->actions + length, sizeof(ret_rule->actions) - length,
		 ", of %u connections", all->of_slot[set->slot] - all->of_earlier[set->slot]);
}

// ---- closing ------------------------------------------------------------------------------------

static void set_state(struct connections *all, struct gate *gate, enum gate_state state)
{
	all->gates_closing -= gate->state == GATE_CLOSING;
	all->gates_closing += state == GATE_CLOSING;
	gate->state = state;
}

static void take_out(struct offload *offload, struct installed *installed)
{
	ledger_remove(&offload->ledger, installed);
	installed->flow = NULL;
	offload->removed++;
}

void gate_close(struct offload *offload, uint32_t slot)
{
	static struct log_ratelimit limit = {.interval_ms = 10000, .burst = 1};
	struct connections *all = offload->connections;
	struct gate *gate = &all->gates[slot];
	struct engine_op ops[GATE_RULES];
	size_t count = 0, done = 0;
	bool open = false;

	if (gate->state == GATE_NONE || offload->engine == NULL)
		return;
	gate_read(offload, slot);
	for (size_t i = 0; i < GATE_RULES; i++) {
		if (gate->rules[i].flow != NULL)
			ops[count++] = (struct engine_op){.flow = gate->rules[i].flow};
	}
	offload->engine->ops->run(offload->engine, ops, count);
	for (size_t i = 0; i < GATE_RULES; i++) {
		if (gate->rules[i].flow == NULL)
			continue;
		const struct engine_op *op = &ops[done++];

		open |= op->flow != NULL;
		if (op->flow == NULL)
			take_out(offload, &gate->rules[i]);
		else if (log_ratelimit_ok(&limit))
			log_error("rule of a pod's connections not removed", "error=\"%s\"",
				  op->why);
	}
	if (!open)
		keep_count(all, slot);
	set_state(all, gate, open ? GATE_CLOSING : GATE_NONE);
}

void gates_close_again(struct offload *offload)
{
	for (uint32_t slot = 0; offload->connections->gates_closing > 0 && slot < OFFLOAD_SLOTS;
	     slot++) {
		if (offload->connections->gates[slot].state == GATE_CLOSING)
			gate_close(offload, slot);
	}
}

void gates_forget(struct offload *offload)
{
	struct connections *all = offload->connections;

	for (uint32_t slot = 0; slot < OFFLOAD_SLOTS; slot++) {
		struct gate *gate = &all->gates[slot];

		keep_count(all, slot);
		for (size_t i = 0; i < GATE_RULES; i++) {
			if (gate->rules[i].flow != NULL)
				take_out(offload, &gate->rules[i]);
		}
		set_state(all, gate, GATE_NONE);
	}
}

// ---- opening ------------------------------------------------------------------------------------

static void write_down(const struct offload *offload, const struct rule_set *set, struct gate *gate)
{
	const struct rule of_pod = {
		.port_id = offload->ethdev_of_slot[set->slot],
		.vf = offload->vf_of_slot[set->slot],
		.mac = set->pod.mac,
		.router = offload->router.mac,
		.receiver = gate_address(set->slot),
		.meter = program_meter_id(set->slot, BANDWIDTH_INGRESS),
	};

	for (size_t i = 0; i < GATE_RULES; i++)
		gate->rules[i] = (struct installed){.rule = of_pod};
	gate->limited = set->pod.limits[BANDWIDTH_INGRESS].bytes_per_s != 0;
	gate->rules[GATE_SENT_IPV4].rule.kind = RULE_SENDER_IPV4;
	gate->rules[GATE_SENT_IPV6].rule.kind = RULE_SENDER_IPV6;
	gate->rules[GATE_RECEIVED].rule.kind =
		gate->limited ? RULE_LIMITED_RECEIVER : RULE_RECEIVER;
}

// May the pod in this slot have connections? What it had before must be gone, or would be let through, too; and the
// limits of one that has some must be the NIC's.
static int may_open(const struct offload *offload, uint32_t slot, char ret_why[ENGINE_WHY_SIZE])
{
	const struct connections *all = offload->connections;
	const struct rule_set *set = &offload->pods[slot];
	const char *why = NULL;

	if (!set->wanted || set->withdrawn)
		why = slot == offload->host_slot ? "nothing was heard of the host"
						 : "the pod is to have no rules";
	else if (all->of_earlier[slot] > 0 || all->gates[slot].state == GATE_CLOSING)
		why = "connections of the pod before are not yet gone";
	else if (set_is_limited(set) &&
		 (!offload->engine->form.limited_connections || !meters_in_force(set)))
		why = "the NIC does not limit the pod's connections";
	if (why == NULL)
		return 0;
	snprintf(ret_why, ENGINE_WHY_SIZE, "%s", why);
	return -EBUSY;
}

bool gate_may_open(const struct offload *offload, uint32_t slot)
{
	char ignored[ENGINE_WHY_SIZE];

	return offload->connections->gates[slot].state == GATE_OPEN ||
	       may_open(offload, slot, ignored) == 0;
}

static void put_in(struct offload *offload, struct rule_set *set, struct installed *installed,
		   struct rte_flow *flow)
{
	installed->flow = flow;
	installed->since_us = offload_now_us();
	ledger_add(&offload->ledger, set, installed);
	offload->inserted++;
}

int gate_open(struct offload *offload, uint32_t slot, char ret_why[ENGINE_WHY_SIZE])
{
	struct connections *all = offload->connections;
	struct rule_set *set = &offload->pods[slot];
	struct gate *gate = &all->gates[slot];
	struct engine_op ops[GATE_RULES];

	if (gate->state == GATE_OPEN)
		return 0;
	int r = may_open(offload, slot, ret_why);
	if (r < 0)
		return r;
	write_down(offload, set, gate);
	for (size_t i = 0; i < GATE_RULES; i++)
		ops[i] = (struct engine_op){.create = true, .rule = &gate->rules[i].rule};
	offload->engine->ops->run(offload->engine, ops, GATE_RULES);
	set_state(all, gate, GATE_OPEN);
	for (size_t i = 0; i < GATE_RULES; i++) {
		if (ops[i].result == 0) {
			put_in(offload, set, &gate->rules[i], ops[i].flow);
			continue;
		}
		r = ops[i].result;
		offload->failed++;
		snprintf(ret_why, ENGINE_WHY_SIZE, "%s", ops[i].why);
	}
	if (r < 0)
		gate_close(offload, slot);
	return r;
}
