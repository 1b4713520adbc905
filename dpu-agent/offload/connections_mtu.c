// SPDX-License-Identifier: BSD-3-Clause
//
// Connections between ends of different MTU. What the end of the greater one sends may be too large for the other, and then
// its sender must be told, which the agent does. So that half's rule is behind another that sends large packets of this
// sender's to the slow path: one for all connections to ends of the same MTU, from the first to the last of them. All
// other connections' rules are before it.

#include <errno.h>
#include <stdio.h>

#include "offload/connections_private.h"
#include "proto/base/log.h"

static bool is_in(const struct mtu_guard *guard)
{
	return guard->installed.flow != NULL;
}

static struct mtu_guard *guards_of(struct connections *all, uint32_t slot)
{
	return all->mtus[slot == OFFLOAD_WIRE ? OFFLOAD_SLOTS : slot];
}

// The half of which something may be too large. HALVES: neither.
static unsigned int guarded_half(const struct offload_connection *connection)
{
	for (unsigned int half = 0; half < HALVES; half++) {
		if (connection_is_guarded(connection, half))
			return half;
	}
	return HALVES;
}

// The guard that the connection needs, or a place for it. NULL: its sender has connections to too many others.
static struct mtu_guard *find(struct connections *all, const struct offload_connection *connection)
{
	const unsigned int half = guarded_half(connection);
	struct mtu_guard *guards = guards_of(all, connection->ends[half].slot), *free = NULL;

	for (size_t i = 0; i < MTU_GUARDS; i++) {
		if (guards[i].users == 0 && !is_in(&guards[i]))
			free = &guards[i];
		else if (guards[i].mtu == connection->mtus[!half] &&
			 guards[i].is_ipv6 == connection->is_ipv6)
			return &guards[i];
	}
	return free;
}

bool mtu_guard_take(struct connections *all, const struct offload_connection *connection)
{
	if (guarded_half(connection) == HALVES)
		return true;
	struct mtu_guard *guard = find(all, connection);
	if (guard == NULL)
		return false;
	guard->mtu = connection->mtus[!guarded_half(connection)];
	guard->is_ipv6 = connection->is_ipv6;
	all->mtus_unused -= guard->users == 0 && is_in(guard);
	guard->users++;
	return true;
}

void mtu_guard_give_back(struct connections *all, const struct offload_connection *connection)
{
	if (guarded_half(connection) == HALVES)
		return;
	struct mtu_guard *guard = find(all, connection);
	guard->users--;
	all->mtus_unused += guard->users == 0 && is_in(guard);
}

// ---- in and out ---------------------------------------------------------------------------------

static struct rule rule_of(const struct offload *offload, uint32_t slot,
			   const struct mtu_guard *guard)
{
	if (slot == OFFLOAD_WIRE)
		return (struct rule){
			.kind = RULE_LARGE_RECEIVED_IPV4 + guard->is_ipv6,
			.port_id = offload->uplink,
			.vlan = offload->router.vlan,
			.mtu = (uint16_t)guard->mtu,
		};
	return (struct rule){
		.kind = RULE_LARGE_SENT_IPV4 + guard->is_ipv6,
		.port_id = offload->ethdev_of_slot[slot],
		.vf = offload->vf_of_slot[slot],
		.mtu = (uint16_t)guard->mtu,
	};
}

static int put_in(struct offload *offload, uint32_t slot, struct mtu_guard *guard,
		  char ret_why[ENGINE_WHY_SIZE])
{
	struct rule_set *set = slot == OFFLOAD_WIRE ? &offload->shared : &offload->pods[slot];

	guard->installed = (struct installed){.rule = rule_of(offload, slot, guard)};
	struct engine_op op = {.create = true, .rule = &guard->installed.rule};
	offload->engine->ops->run(offload->engine, &op, 1);
	if (op.result < 0) {
		offload->failed++;
		snprintf(ret_why, ENGINE_WHY_SIZE, "%s", op.why);
		return op.result;
	}
	guard->installed.flow = op.flow;
	guard->installed.since_us = offload_now_us();
	ledger_add(&offload->ledger, set, &guard->installed);
	offload->inserted++;
	return 0;
}

static void forget(struct offload *offload, struct mtu_guard *guard)
{
	offload->connections->mtus_unused -= guard->users == 0 && is_in(guard);
	if (is_in(guard))
		ledger_remove(&offload->ledger, &guard->installed);
	guard->installed.flow = NULL;
}

static void take_out(struct offload *offload, struct mtu_guard *guard)
{
	static struct log_ratelimit limit = {.interval_ms = 10000, .burst = 1};

	if (!is_in(guard) || offload->engine == NULL)
		return;
	struct engine_op op = {.flow = guard->installed.flow};
	offload->engine->ops->run(offload->engine, &op, 1);
	if (op.flow == NULL) {
		offload->removed++;
		forget(offload, guard);
	} else if (log_ratelimit_ok(&limit)) {
		log_error("rule about large packets of connections not removed", "error=\"%s\"",
			  op.why);
	}
}

int mtu_guard_open(struct offload *offload, const struct offload_connection *connection,
		   char ret_why[ENGINE_WHY_SIZE])
{
	if (guarded_half(connection) == HALVES)
		return 0;
	struct mtu_guard *guard = find(offload->connections, connection);
	if (is_in(guard))
		return 0;
	return put_in(offload, connection->ends[guarded_half(connection)].slot, guard, ret_why);
}

void mtu_guards_clean(struct offload *offload)
{
	struct connections *all = offload->connections;

	for (uint32_t i = 0; all->mtus_unused > 0 && i <= OFFLOAD_SLOTS; i++) {
		for (size_t j = 0; j < MTU_GUARDS; j++) {
			if (all->mtus[i][j].users == 0)
				take_out(offload, &all->mtus[i][j]);
		}
	}
}

bool mtu_guards_renew(struct offload *offload, uint32_t slot)
{
	struct mtu_guard *guards = guards_of(offload->connections, slot);
	char why[ENGINE_WHY_SIZE];
	bool good = true;

	for (size_t i = 0; i < MTU_GUARDS; i++) {
		take_out(offload, &guards[i]);
		if (guards[i].users > 0 && !is_in(&guards[i]))
			good = put_in(offload, slot, &guards[i], why) == 0 && good;
	}
	return good;
}

void mtu_guards_remove_all(struct offload *offload)
{
	for (uint32_t i = 0; i <= OFFLOAD_SLOTS; i++) {
		for (size_t j = 0; j < MTU_GUARDS; j++)
			take_out(offload, &offload->connections->mtus[i][j]);
	}
}

void mtu_guards_forget(struct offload *offload)
{
	for (uint32_t i = 0; i <= OFFLOAD_SLOTS; i++) {
		for (size_t j = 0; j < MTU_GUARDS; j++)
			forget(offload, &offload->connections->mtus[i][j]);
	}
}
