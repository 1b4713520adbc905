// SPDX-License-Identifier: BSD-3-Clause
//
// See connections.h. A connection is in one list at a time:
//
//     waiting ──► carried ──► leaving ──► gone, until there is room for the answer ──► free
//        └────────────────────────────────▲ (refused, or left before it was in)

#include "offload/connections.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

#include "offload/connections_private.h"

// ---- lists --------------------------------------------------------------------------------------

static uint32_t place_of(const struct connections *all, const struct carried *c)
{
	return (uint32_t)(c - all->places);
}

void connections_take_out(struct connections *all, struct carried *c)
{
	struct queue *queue = &all->lists[c->list];

	if (c->list == LIST_FREE)
		return;
	*(c->next != PLACE_NONE ? &all->places[c->next].previous : &queue->last) = c->previous;
	*(c->previous != PLACE_NONE ? &all->places[c->previous].next : &queue->first) = c->next;
	queue->count--;
	c->list = LIST_FREE;
}

void connections_put(struct connections *all, struct carried *c, enum list list)
{
	struct queue *queue = &all->lists[list];
	uint32_t place = place_of(all, c);

	connections_take_out(all, c);
	c->list = (uint8_t)list;
	c->next = PLACE_NONE;
	c->previous = queue->last;
	*(queue->last != PLACE_NONE ? &all->places[queue->last].next : &queue->first) = place;
	queue->last = place;
	queue->count++;
}

// ---- life ---------------------------------------------------------------------------------------

int connections_new(uint32_t places, uint32_t most, struct connections **ret_connections,
		    struct error *err)
{
	struct connections *all = calloc(1, sizeof(*all));

	if (all != NULL)
		all->places = calloc(places, sizeof(*all->places));
	if (all == NULL || all->places == NULL) {
		free(all);
		return error_set(err, ENOMEM, CODE_INTERNAL,
				 "offload: no memory for %u connections", places);
	}
	all->size = places;
	all->most = RTE_MIN(places, most);
	for (unsigned int i = 0; i < LISTS; i++)
		all->lists[i] = (struct queue){.first = PLACE_NONE, .last = PLACE_NONE};
	*ret_connections = all;
	return 0;
}

void connections_free(struct connections *connections)
{
	if (connections == NULL)
		return;
	free(connections->places);
	free(connections);
}

// ---- counters -----------------------------------------------------------------------------------

void connections_count(struct offload *offload, uint32_t slot, struct engine_count *ret_received,
		       struct engine_count *ret_sent)
{
	const struct connections *all = offload->connections;

	*ret_received = *ret_sent = (struct engine_count){0};
	if (all == NULL)
		return;
	gate_read(offload, slot);
	*ret_received = all->received[slot];
	*ret_sent = all->sent[slot];
	const struct engine_count *passed = &all->gates[slot].rules[GATE_RECEIVED].last;
	ret_sent->packets += passed->packets;
	ret_sent->bytes += passed->bytes;
}

void connections_clear_count(struct offload *offload, uint32_t slot)
{
	if (offload->connections == NULL)
		return;
	offload->connections->received[slot] = (struct engine_count){0};
	offload->connections->sent[slot] = (struct engine_count){0};
}

// ---- asking -------------------------------------------------------------------------------------

bool offload_connections_usable(const struct offload *offload, char ret_why[LIMIT_TEXT + 1])
{
	const char *why = "";

	if (offload->connections == NULL)
		why = "none were wanted when the agent started (nic.offload_connections)";
	else if (!offload_usable(offload))
		why = "the NIC forwards nothing by itself";
	else if (!offload->engine->connections)
		why = offload->connections_why;
	if (ret_why != NULL)
		snprintf(ret_why, LIMIT_TEXT + 1, "%s", why);
	return why[0] == '\0';
}

static bool may_open_gates(const struct offload *offload,
			   const struct offload_connection *connection)
{
	for (unsigned int end = 0; end < OFFLOAD_ENDS; end++) {
		const uint32_t slot = connection->ends[end].slot;

		if (slot != OFFLOAD_WIRE && !gate_may_open(offload, slot))
			return false;
	}
	return true;
}

static uint32_t most_hairpins(const struct connections *all)
{
	return RTE_MAX(all->most / ENGINE_HAIRPIN_SHARE, 1U);
}

static void count_in(struct connections *all, const struct offload_connection *connection)
{
	for (unsigned int end = 0; end < OFFLOAD_ENDS; end++) {
		if (connection_counts(connection, end))
			all->of_slot[connection->ends[end].slot]++;
	}
	all->of_next_hop[connection->next_hop]++;
	all->hairpins += connection_is_hairpin(connection);
	all->echoes[connection->is_ipv6] += connection_is_echo(connection);
}

// It has tables of its own, which are smaller than the others.
static bool kind_is_full(const struct connections *all, const struct offload_connection *connection)
{
	if (connection_is_echo(connection))
		return all->echoes[connection->is_ipv6] >= engine_echoes(all->most);
	return connection_is_hairpin(connection) && all->hairpins >= most_hairpins(all);
}

// Does the NIC carry connections of this kind?
static bool is_supported(const struct offload *offload, const struct offload_connection *connection)
{
	const struct offload_end *ends = connection->ends;
	const struct engine *engine = offload->engine;

	if (connection_is_echo(connection))
		return engine != NULL && engine->echo[connection->is_ipv6] &&
		       !connection_is_hairpin(connection) &&
		       ends[0].sent.source_port_be == ends[1].sent.destination_port_be;
	return !connection_is_hairpin(connection) ||
	       (engine != NULL && engine->hairpin &&
		(ends[0].slot != ends[1].slot || offload->loopback));
}

int offload_connection_add(struct offload *offload, uint32_t place,
			   const struct offload_connection *connection)
{
	struct connections *all = offload->connections;
	struct carried *c;

	if (place >= all->size) {
		all->refused_full++;
		return -ENOSPC;
	}
	c = &all->places[place];
	if (!is_supported(offload, connection))
		return -ENOTSUP;
	if (connection->mtus[0] != connection->mtus[1] &&
	    (offload->engine == NULL || !offload->engine->form.lengths))
		return -ENOTSUP;
	if (!may_open_gates(offload, connection))
		return -EBUSY;
	if (all->lists[LIST_WAITING].count + all->lists[LIST_CARRIED].count +
			    all->lists[LIST_LEAVING].count >=
		    all->most ||
	    kind_is_full(all, connection)) {
		all->refused_full++;
		return -ENOSPC;
	}
	*c = (struct carried){.connection = *connection, .since = all->clock};
	count_in(all, connection);
	connections_put(all, c, LIST_WAITING);
	return 0;
}

void connections_let_go(struct connections *all, struct carried *c)
{
	const struct offload_connection *connection = &c->connection;

	connections_take_out(all, c);
	for (unsigned int end = 0; end < OFFLOAD_ENDS; end++) {
		if (!connection_counts(connection, end))
			continue;
		all->of_slot[connection->ends[end].slot]--;
		all->of_earlier[connection->ends[end].slot] -= connections_is_earlier(all, c, end);
	}
	all->of_next_hop[connection->next_hop]--;
	all->hairpins -= connection_is_hairpin(connection);
	all->echoes[connection->is_ipv6] -= connection_is_echo(connection);
}

static void leave(struct connections *all, struct carried *c)
{
	if (c->list == LIST_WAITING)
		connections_put(all, c, LIST_GONE);
	else if (c->list == LIST_CARRIED)
		connections_put(all, c, LIST_LEAVING);
}

void offload_connection_leave(struct offload *offload, uint32_t place)
{
	struct connections *all = offload->connections;

	if (place < all->size)
		leave(all, &all->places[place]);
}

// ---- leaving together ---------------------------------------------------------------------------

bool connections_is_outdated(const struct connections *all, const struct carried *c)
{
	for (unsigned int end = 0; end < OFFLOAD_ENDS; end++) {
		const uint32_t slot = c->connection.ends[end].slot;

		if (slot != OFFLOAD_WIRE && c->since < all->left_slot[slot])
			return true;
	}
	return c->since < all->left_all || c->since < all->left_next_hop[c->connection.next_hop];
}

// All that are from before this.
static uint64_t order_to_leave(struct connections *all)
{
	all->sweep_left = all->size;
	return ++all->clock;
}

void connections_sweep(struct connections *all, uint32_t places)
{
	for (; places > 0 && all->sweep_left > 0; places--, all->sweep_left--) {
		struct carried *c = &all->places[all->sweep_next];

		if (all->lists[LIST_WAITING].count + all->lists[LIST_CARRIED].count == 0)
			all->sweep_left = 1;
		if ((c->list == LIST_WAITING || c->list == LIST_CARRIED) &&
		    connections_is_outdated(all, c))
			leave(all, c);
		if (++all->sweep_next == all->size)
			all->sweep_next = 0;
	}
}

void offload_connections_leave_next_hop(struct offload *offload, uint32_t next_hop)
{
	struct connections *all = offload->connections;

	if (all != NULL && all->of_next_hop[next_hop] > 0)
		all->left_next_hop[next_hop] = order_to_leave(all);
}

bool offload_connections_by_next_hop(const struct offload *offload, uint32_t next_hop)
{
	return offload->connections != NULL && offload->connections->of_next_hop[next_hop] > 0;
}

void offload_connections_leave_all(struct offload *offload)
{
	if (offload->connections != NULL)
		offload->connections->left_all = order_to_leave(offload->connections);
}

// What is on its way to the pod meanwhile must find a gate that works.
void connections_reset_slot(struct offload *offload, uint32_t slot)
{
	struct connections *all = offload->connections;
	char ignored[ENGINE_WHY_SIZE];

	if (all == NULL || all->gates[slot].state == GATE_NONE)
		return;
	gate_close(offload, slot);
	if (all->of_slot[slot] == 0)
		return;
	all->left_slot[slot] = order_to_leave(all);
	gate_open(offload, slot, ignored);
}

void connections_close_slot(struct offload *offload, uint32_t slot)
{
	struct connections *all = offload->connections;

	if (all == NULL)
		return;
	gate_close(offload, slot);
	if (all->of_slot[slot] == 0)
		return;
	all->pod_since[slot] = all->left_slot[slot] = order_to_leave(all);
	all->of_earlier[slot] = all->of_slot[slot];
}

void connections_remove_slot(struct offload *offload, uint32_t slot)
{
	struct connections *all = offload->connections;

	if (all == NULL)
		return;
	if (all->of_slot[slot] > 0) {
		all->left_slot[slot] = order_to_leave(all);
		connections_remove_of(offload, slot);
	}
	gate_close(offload, slot);
}

void connections_remove_limited(struct offload *offload, uint32_t slot)
{
	if (offload->connections != NULL && slot < OFFLOAD_SLOTS &&
	    offload->connections->gates[slot].state != GATE_NONE &&
	    offload->connections->gates[slot].limited)
		connections_remove_slot(offload, slot);
}

void connections_remove_all(struct offload *offload)
{
	if (offload->connections == NULL)
		return;
	offload_connections_leave_all(offload);
	connections_sweep(offload->connections, UINT32_MAX);
	connections_remove_some(offload, INT64_MAX);
	for (uint32_t slot = 0; slot < OFFLOAD_SLOTS; slot++)
		gate_close(offload, slot);
}

void connections_forget(struct offload *offload)
{
	struct connections *all = offload->connections;

	if (all == NULL)
		return;
	gates_forget(offload);
	offload_connections_leave_all(offload);
	connections_sweep(all, UINT32_MAX);
	while (all->lists[LIST_LEAVING].count > 0) {
		struct carried *c = &all->places[all->lists[LIST_LEAVING].first];

		memset(c->flows, 0, sizeof(c->flows));
		all->ended++;
		connections_put(all, c, LIST_GONE);
	}
}

void offload_connections_summary(const struct offload *offload,
				 struct offload_connections_summary *ret_summary)
{
	const struct connections *all = offload->connections;

	*ret_summary = (struct offload_connections_summary){0};
	offload_connections_usable(offload, ret_summary->why_not);
	if (all == NULL)
		return;
	ret_summary->carried = all->lists[LIST_CARRIED].count;
	ret_summary->most = all->most;
	ret_summary->begun = all->begun;
	ret_summary->ended = all->ended;
	ret_summary->refused_full = all->refused_full;
	ret_summary->refused_nic = all->refused_nic;
}
