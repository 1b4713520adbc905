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
	struct gate *gate = &offload->connections->gates[slot];
	struct engine_count now;

	if (gate->flows[GATE_RECEIVED] == NULL ||
	    engine_query(offload->engine->port_id, gate->flows[GATE_RECEIVED], &now) < 0)
		return; // what was read last stands
	// A NIC may start again from zero, as when a function is reset.
	if (now.packets < gate->read.packets || now.bytes < gate->read.bytes) {
		offload->connections->sent[slot].packets += gate->read.packets;
		offload->connections->sent[slot].bytes += gate->read.bytes;
	}
	gate->read = now;
}

static void keep_count(struct connections *all, uint32_t slot)
{
	struct gate *gate = &all->gates[slot];

	all->sent[slot].packets += gate->read.packets;
	all->sent[slot].bytes += gate->read.bytes;
	gate->read = (struct engine_count){0};
}

// ---- closing ------------------------------------------------------------------------------------

static void set_state(struct connections *all, struct gate *gate, enum gate_state state)
{
	all->gates_closing -= gate->state == GATE_CLOSING;
	all->gates_closing += state == GATE_CLOSING;
	gate->state = state;
}

void gate_close(struct offload *offload, uint32_t slot)
{
	static struct log_ratelimit limit = {.interval_ms = 10000, .burst = 1};
	struct connections *all = offload->connections;
	struct gate *gate = &all->gates[slot];
	struct engine_op ops[GATE_RULES];
	size_t count = 0, done = 0;

	if (gate->state == GATE_NONE || offload->engine == NULL)
		return;
	gate_read(offload, slot);
	for (size_t i = 0; i < GATE_RULES; i++) {
		if (gate->flows[i] != NULL)
			ops[count++] = (struct engine_op){.flow = gate->flows[i]};
	}
	offload->engine->ops->run(offload->engine, ops, count);
	for (size_t i = 0; i < GATE_RULES; i++) {
		if (gate->flows[i] != NULL)
			gate->flows[i] = ops[done++].flow;
		if (gate->flows[i] != NULL && log_ratelimit_ok(&limit))
			log_error("rule of a pod's connections not removed", "error=\"%s\"",
				  ops[done - 1].why);
	}
	for (size_t i = 0; i < GATE_RULES; i++) {
		if (gate->flows[i] != NULL) {
			set_state(all, gate, GATE_CLOSING);
			return;
		}
	}
	keep_count(all, slot);
	set_state(all, gate, GATE_NONE);
}

void gates_close_again(struct offload *offload)
{
	for (uint32_t slot = 0; offload->connections->gates_closing > 0 && slot < OFFLOAD_SLOTS;
	     slot++) {
		if (offload->connections->gates[slot].state == GATE_CLOSING)
			gate_close(offload, slot);
	}
}

void gates_forget(struct connections *all)
{
	for (uint32_t slot = 0; slot < OFFLOAD_SLOTS; slot++) {
		struct gate *gate = &all->gates[slot];

		keep_count(all, slot);
		memset(gate->flows, 0, sizeof(gate->flows));
		set_state(all, gate, GATE_NONE);
	}
}

// ---- opening ------------------------------------------------------------------------------------

static void write_down(const struct offload *offload, const struct rule_set *set, struct gate *gate)
{
	const struct rule of_pod = {
		.port_id = port_ethdev_id(set->pod.port),
		.vf = offload->vf_of_slot[set->slot],
		.mac = set->pod.mac,
		.router = offload->router.mac,
		.receiver = gate_address(set->slot),
		.meter = program_meter_id(set->slot, BANDWIDTH_INGRESS),
	};

	for (size_t i = 0; i < GATE_RULES; i++)
		gate->rules[i] = of_pod;
	gate->limited = set->pod.limits[BANDWIDTH_INGRESS].bytes_per_s != 0;
	gate->rules[GATE_SENT_IPV4].kind = RULE_SENDER_IPV4;
	gate->rules[GATE_SENT_IPV6].kind = RULE_SENDER_IPV6;
	gate->rules[GATE_RECEIVED].kind = gate->limited ? RULE_LIMITED_RECEIVER : RULE_RECEIVER;
}

// May the pod in this slot have connections? What it had before must be gone, or would be let through, too; and the
// limits of one that has some must be the NIC's.
static int may_open(const struct offload *offload, uint32_t slot, char ret_why[ENGINE_WHY_SIZE])
{
	const struct connections *all = offload->connections;
	const struct rule_set *set = &offload->pods[slot];
	const char *why = NULL;

	if (!set->wanted || set->withdrawn)
		why = "the pod is to have no rules";
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

int gate_open(struct offload *offload, uint32_t slot, char ret_why[ENGINE_WHY_SIZE])
{
	struct connections *all = offload->connections;
	const struct rule_set *set = &offload->pods[slot];
	struct gate *gate = &all->gates[slot];
	struct engine_op ops[GATE_RULES];

	if (gate->state == GATE_OPEN)
		return 0;
	int r = may_open(offload, slot, ret_why);
	if (r < 0)
		return r;
	write_down(offload, set, gate);
	for (size_t i = 0; i < GATE_RULES; i++)
		ops[i] = (struct engine_op){.create = true, .rule = &gate->rules[i]};
	offload->engine->ops->run(offload->engine, ops, GATE_RULES);
	set_state(all, gate, GATE_OPEN);
	for (size_t i = 0; i < GATE_RULES; i++) {
		gate->flows[i] = ops[i].flow;
		if (ops[i].result == 0)
			continue;
		r = ops[i].result;
		offload->failed++;
		snprintf(ret_why, ENGINE_WHY_SIZE, "%s", ops[i].why);
	}
	if (r < 0)
		gate_close(offload, slot);
	return r;
}
