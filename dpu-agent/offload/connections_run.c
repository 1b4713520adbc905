// SPDX-License-Identifier: BSD-3-Clause
//
// What is done with connections in one round: rules out of the NIC and into it, counters, answers.

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_common.h>
#include <rte_ether.h>

#include "offload/connections_private.h"
#include "port/port_dpdk.h"
#include "proto/base/log.h"

enum {
	CHUNK_MAX = 32, // connections whose rules are given to the NIC at once
	AGAIN_MS = 5,   // while there is something to do: at most `budget_us` of each of these
	READ_MS = 250,  // between two portions of readings
	// Of a portion. So few connections are read every second, and 100,000 every 13 s: nothing expires in between,
	// as what is carried is read again before it ends.
	READ_MIN = 64,
	READ_PORTIONS = 4, // in which all are read, if they are no more than READ_MAX times as many
	READ_MAX = 2000,
	// Places that are looked at in a round for connections that are to leave: 100,000 in a sixth of a second.
	SWEEP_PLACES = 4096,
};

static uint32_t place_of(const struct connections *all, const struct carried *c)
{
	return (uint32_t)(c - all->places);
}

// ---- counters -----------------------------------------------------------------------------------

static void add(struct engine_count *sum, uint64_t packets, uint64_t bytes)
{
	sum->packets += packets;
	sum->bytes += bytes;
}

// What one end has sent, for the ports that it came in and went out by. What is for a pod is counted by the pod's gate, where a
// limit has taken its share.
static void account(struct offload *offload, const struct carried *c, unsigned int end,
		    uint64_t packets, uint64_t bytes)
{
	const uint32_t from = c->connection.ends[end].slot, to = c->connection.ends[!end].slot;
	struct connections *all = offload->connections;
	const uint32_t wire = offload->uplink_slot;
	// Rules count without the tag, the port with it.
	const uint64_t tags = offload->router.vlan != 0 ? packets * RTE_VLAN_HLEN : 0;

	if (from == OFFLOAD_WIRE)
		add(&all->received[wire], packets, bytes + tags);
	else if (!connections_is_earlier(all, c, end))
		add(&all->received[from], packets, bytes);
	if (to == OFFLOAD_WIRE)
		add(&all->sent[wire], packets, bytes + tags);
}

static void read_counters(struct offload *offload, struct carried *c)
{
	struct engine_count now;

	for (unsigned int half = 0; half < HALVES; half++) {
		struct engine_count *read = &c->read[half];

		if (c->flows[half] == NULL ||
		    engine_query(offload->engine->port_id, c->flows[half], &now) < 0 ||
		    now.packets < read->packets || now.bytes < read->bytes)
			continue; // what was read last stands
		account(offload, c, half, now.packets - read->packets, now.bytes - read->bytes);
		*read = now;
	}
}

// ---- rules --------------------------------------------------------------------------------------

static struct rule_side side_of(const struct offload_connection *c,
				const struct offload_tuple *tuple, bool answer)
{
	const uint8_t *source = answer ? tuple->destination : tuple->source;
	const uint8_t *destination = answer ? tuple->source : tuple->destination;
	const size_t size = c->is_ipv6 ? sizeof(struct in6_addr) : sizeof(struct in_addr);
	struct rule_side side = {
		.source_port_be = answer ? tuple->destination_port_be : tuple->source_port_be,
		.destination_port_be = answer ? tuple->source_port_be : tuple->destination_port_be,
	};

	memcpy(&side.source, source, size);
	memcpy(&side.destination, destination, size);
	return side;
}

static enum rule_kind kind_of(const struct offload_connection *c, unsigned int half)
{
	static const enum rule_kind sent[2][2] = {{RULE_SENT_UDP_IPV4, RULE_SENT_UDP_IPV6},
						  {RULE_SENT_TCP_IPV4, RULE_SENT_TCP_IPV6}};
	static const enum rule_kind received[2][2] = {
		{RULE_RECEIVED_UDP_IPV4, RULE_RECEIVED_UDP_IPV6},
		{RULE_RECEIVED_TCP_IPV4, RULE_RECEIVED_TCP_IPV6}};
	static const enum rule_kind hairpin[2][2] = {
		{RULE_HAIRPIN_UDP_IPV4, RULE_HAIRPIN_UDP_IPV6},
		{RULE_HAIRPIN_TCP_IPV4, RULE_HAIRPIN_TCP_IPV6}};
	static const enum rule_kind echo[HALVES][2] = {
		{RULE_SENT_ECHO_IPV4, RULE_SENT_ECHO_IPV6},
		{RULE_RECEIVED_ECHO_IPV4, RULE_RECEIVED_ECHO_IPV6}};
	const bool is_tcp = c->protocol == IPPROTO_TCP;

	if (connection_is_echo(c))
		return echo[half][c->is_ipv6];
	if (connection_is_hairpin(c))
		return hairpin[is_tcp][c->is_ipv6];
	return (half == 0 ? sent : received)[is_tcp][c->is_ipv6];
}

static uint16_t port_of(const struct offload *offload, const struct offload_end *end)
{
	if (end->slot == OFFLOAD_WIRE)
		return offload->uplink;
	return offload->ethdev_of_slot[end->slot];
}

// Packets come as one end sends them, and leave as the answers to what the other end sends.
static void write_down(const struct offload *offload, const struct offload_connection *c,
		       unsigned int half, struct rule *rule, struct rule_connection *directions)
{
	const struct offload_end *from = &c->ends[half], *to = &c->ends[!half];
	const struct mac *router = &offload->router.mac;
	const bool from_wire = from->slot == OFFLOAD_WIRE, to_wire = to->slot == OFFLOAD_WIRE;

	*directions = (struct rule_connection){.from = side_of(c, &from->sent, false),
					       .to = side_of(c, &to->sent, true)};
	directions->from.port_id = port_of(offload, from);
	directions->from.source_mac = from->mac;
	directions->from.destination_mac = from_wire ? c->wire_mac : *router;
	directions->to.port_id = port_of(offload, to);
	directions->to.source_mac = to_wire ? c->wire_mac : *router;
	directions->to.destination_mac = to_wire ? to->mac : gate_address(to->slot);
	*rule = (struct rule){.kind = kind_of(c, half), .connection = directions};
	if (c->mtus[half] > c->mtus[!half])
		rule->mtu = (uint16_t)c->mtus[!half];
}

struct chunk {
	struct carried *connections[CHUNK_MAX];
	size_t count;
	struct rule rules[CHUNK_MAX * HALVES];
	struct rule_connection directions[CHUNK_MAX * HALVES];
	struct engine_op ops[CHUNK_MAX * HALVES];
	struct rte_flow **flows[CHUNK_MAX * HALVES];
	size_t op_count;
};

static void add_op(struct chunk *chunk, bool create, struct rte_flow **flow)
{
	size_t i = chunk->op_count++;

	chunk->flows[i] = flow;
	chunk->ops[i] =
		(struct engine_op){.create = create, .rule = &chunk->rules[i], .flow = *flow};
}

static void run_ops(struct offload *offload, struct chunk *chunk)
{
	struct connections *all = offload->connections;
	const int64_t start_us = offload_now_us();
	const bool create = chunk->op_count > 0 && chunk->ops[0].create;

	if (chunk->op_count == 0)
		return;
	offload->engine->ops->run(offload->engine, chunk->ops, chunk->op_count);
	for (size_t i = 0; i < chunk->op_count; i++)
		*chunk->flows[i] = chunk->ops[i].flow;
	all->op_us[create] = (offload_now_us() - start_us) / (int64_t)chunk->op_count;
}

static void remove_chunk(struct offload *offload, struct chunk *chunk)
{
	chunk->op_count = 0;
	for (size_t i = 0; i < chunk->count; i++) {
		read_counters(offload, chunk->connections[i]);
		for (unsigned int half = 0; half < HALVES; half++) {
			if (chunk->connections[i]->flows[half] != NULL)
				add_op(chunk, false, &chunk->connections[i]->flows[half]);
		}
	}
	run_ops(offload, chunk);
}

// A rule that the NIC does not let go goes on forwarding, so its connection must stay, and is tried again.
static void finish_removal(struct offload *offload, struct chunk *chunk)
{
	static struct log_ratelimit limit = {.interval_ms = 10000, .burst = 1};
	struct connections *all = offload->connections;

	for (size_t i = 0; i < chunk->op_count; i++) {
		if (chunk->ops[i].flow != NULL && log_ratelimit_ok(&limit))
			log_error("rule of a connection not removed", "error=\"%s\"",
				  chunk->ops[i].why);
	}
	for (size_t i = 0; i < chunk->count; i++) {
		struct carried *c = chunk->connections[i];

		if (carried_has_rules(c)) {
			connections_put(all, c, LIST_LEAVING);
			continue;
		}
		all->ended++;
		connections_put(all, c, LIST_GONE);
	}
}

// Both halves, or none.
static void install_chunk(struct offload *offload, struct chunk *chunk, bool ret_whole[CHUNK_MAX])
{
	chunk->op_count = 0;
	for (size_t i = 0; i < chunk->count; i++) {
		for (unsigned int half = 0; half < HALVES; half++) {
			size_t at = chunk->op_count;

			write_down(offload, &chunk->connections[i]->connection, half,
				   &chunk->rules[at], &chunk->directions[at]);
			add_op(chunk, true, &chunk->connections[i]->flows[half]);
		}
	}
	run_ops(offload, chunk);
	for (size_t i = 0; i < chunk->count; i++) {
		const struct engine_op *ops = &chunk->ops[i * HALVES];

		ret_whole[i] = ops[0].result == 0 && ops[1].result == 0;
		for (unsigned int half = 0; half < HALVES; half++) {
			offload->failed += ops[half].result < 0;
			if (ops[half].result < 0)
				snprintf(offload->connections_why, sizeof(offload->connections_why),
					 "%s", ops[half].why);
		}
	}
}

// ---- portions of work ---------------------------------------------------------------------------

// How many of these operations fit into the time that is left; one connection at least.
static size_t chunk_size(const struct offload *offload, bool create, int64_t deadline_us)
{
	const int64_t op_us = offload->connections->op_us[create];
	int64_t fitting = CHUNK_MAX;

	if (op_us > 0)
		fitting = (deadline_us - offload_now_us()) / op_us / HALVES;
	return (size_t)RTE_MIN(RTE_MAX(fitting, (int64_t)1), (int64_t)CHUNK_MAX);
}

static void collect(struct connections *all, enum list list, size_t size, struct chunk *chunk)
{
	uint32_t place = all->lists[list].first;

	for (chunk->count = 0; place != PLACE_NONE && chunk->count < size;
	     place = all->places[place].next)
		chunk->connections[chunk->count++] = &all->places[place];
}

void connections_remove_some(struct offload *offload, int64_t deadline_us)
{
	struct connections *all = offload->connections;
	uint32_t left = all->lists[LIST_LEAVING].count; // those that do not go are looked at once
	struct chunk chunk;

	while (left > 0 && offload->engine != NULL) {
		collect(all, LIST_LEAVING,
			RTE_MIN(chunk_size(offload, false, deadline_us), (size_t)left), &chunk);
		remove_chunk(offload, &chunk);
		finish_removal(offload, &chunk);
		left -= (uint32_t)chunk.count;
		if (offload_now_us() >= deadline_us)
			return;
	}
}

void connections_remove_of(struct offload *offload, uint32_t slot)
{
	struct connections *all = offload->connections;
	struct chunk chunk = {.count = 0};

	for (uint32_t place = 0; place < all->size && offload->engine != NULL; place++) {
		struct carried *c = &all->places[place];

		if (c->list == LIST_FREE || !connection_has_slot(&c->connection, slot))
			continue;
		if (c->list == LIST_WAITING)
			connections_put(all, c, LIST_GONE);
		if (c->list == LIST_CARRIED || c->list == LIST_LEAVING)
			chunk.connections[chunk.count++] = c;
		if (chunk.count < CHUNK_MAX)
			continue;
		remove_chunk(offload, &chunk);
		finish_removal(offload, &chunk);
		chunk.count = 0;
	}
	if (chunk.count == 0)
		return;
	remove_chunk(offload, &chunk);
	finish_removal(offload, &chunk);
}

static void refuse(struct offload *offload, struct carried *c)
{
	struct connections *all = offload->connections;

	all->refused_nic++;
	c->refused = true;
	// A half that is in is removed by what removes all others.
	connections_put(all, c, carried_has_rules(c) ? LIST_LEAVING : LIST_GONE);
}

typedef void (*answer_function)(void *context, const struct offload_answer *answer);

static void tell(struct connections *all, struct carried *c, enum offload_answer_kind kind,
		 answer_function answer, void *context)
{
	struct offload_answer a = {.place = place_of(all, c), .kind = kind, .refused = c->refused};

	for (unsigned int half = 0; half < HALVES; half++) {
		a.packets[half] = c->read[half].packets - c->told[half].packets;
		a.bytes[half] = c->read[half].bytes - c->told[half].bytes;
	}
	memcpy(c->told, c->read, sizeof(c->told));
	answer(context, &a);
}

static int open_gates(struct offload *offload, const struct offload_connection *connection)
{
	int r = 0;

	for (unsigned int end = 0; r == 0 && end < OFFLOAD_ENDS; end++) {
		if (connection->ends[end].slot != OFFLOAD_WIRE)
			r = gate_open(offload, connection->ends[end].slot,
				      offload->connections_why);
	}
	return r;
}

// The first of those that wait for which the e-switch is ready; others are refused, or leave before they were in.
static void collect_waiting(struct offload *offload, size_t size, struct chunk *chunk)
{
	struct connections *all = offload->connections;
	uint32_t place = all->lists[LIST_WAITING].first, next;
	int r = 0;

	for (chunk->count = 0; place != PLACE_NONE && chunk->count < size; place = next) {
		struct carried *c = &all->places[place];

		next = c->next;
		if (connections_is_outdated(all, c))
			connections_put(all, c, LIST_GONE);
		else if ((r = open_gates(offload, &c->connection)) < 0)
			refuse(offload, c);
		else
			chunk->connections[chunk->count++] = c;
		if (r < 0 && r != -EBUSY) // that took time
			return;
	}
}

static size_t install_some(struct offload *offload, int64_t deadline_us, size_t room,
			   answer_function answer, void *context)
{
	struct connections *all = offload->connections;
	bool whole[CHUNK_MAX];
	struct chunk chunk;
	size_t told = 0;

	while (all->lists[LIST_WAITING].count > 0 && told < room) {
		collect_waiting(offload,
				RTE_MIN(chunk_size(offload, true, deadline_us), room - told),
				&chunk);
		install_chunk(offload, &chunk, whole);
		for (size_t i = 0; i < chunk.count; i++) {
			if (!whole[i]) {
				refuse(offload, chunk.connections[i]);
				continue;
			}
			all->begun++;
			connections_put(all, chunk.connections[i], LIST_CARRIED);
			tell(all, chunk.connections[i], OFFLOAD_BEGUN, answer, context);
			told++;
		}
		if (offload_now_us() >= deadline_us)
			break;
	}
	return told;
}

static size_t tell_gone(struct offload *offload, size_t room, answer_function answer, void *context)
{
	struct connections *all = offload->connections;
	size_t told = 0;

	for (; all->lists[LIST_GONE].count > 0 && told < room; told++) {
		struct carried *c = &all->places[all->lists[LIST_GONE].first];

		tell(all, c, OFFLOAD_ENDED, answer, context);
		connections_let_go(all, c);
	}
	return told;
}

// Who has been read goes to the end of the list.
static void read_some(struct offload *offload, int64_t deadline_us, size_t room,
		      answer_function answer, void *context)
{
	struct connections *all = offload->connections;
	struct queue *carried = &all->lists[LIST_CARRIED];
	uint32_t portion = RTE_MAX(carried->count / READ_PORTIONS, (uint32_t)READ_MIN);

	portion = RTE_MIN(RTE_MIN(portion, carried->count), (uint32_t)READ_MAX);
	for (uint32_t i = 0; i < portion && room > 0; i++) {
		struct carried *c = &all->places[carried->first];

		read_counters(offload, c);
		connections_put(all, c, LIST_CARRIED);
		if (c->read[0].packets + c->read[1].packets >
		    c->told[0].packets + c->told[1].packets) {
			tell(all, c, OFFLOAD_NOTED, answer, context);
			room--;
		}
		if (offload_now_us() >= deadline_us)
			return;
	}
}

int64_t offload_connections_run(struct offload *offload, int64_t budget_us, size_t room,
				answer_function answer, void *context)
{
	struct connections *all = offload->connections;
	const int64_t start_us = offload_now_us(), deadline_us = start_us + budget_us;

	if (all == NULL)
		return -1;
	if (offload->begun && !offload_off(offload))
		pods_take_events(offload);
	gates_close_again(offload);
	connections_sweep(all, SWEEP_PLACES);
	connections_remove_some(offload, deadline_us);
	room -= tell_gone(offload, room, answer, context);
	if (offload_connections_usable(offload, NULL))
		room -= install_some(offload, deadline_us, room, answer, context);
	room -= tell_gone(offload, room, answer, context);
	if (all->lists[LIST_CARRIED].count > 0 && start_us >= all->read_us) {
		all->read_us = start_us + READ_MS * 1000;
		read_some(offload, deadline_us, room, answer, context);
	}
	if (all->lists[LIST_WAITING].count + all->lists[LIST_LEAVING].count +
		    all->lists[LIST_GONE].count + all->sweep_left + all->gates_closing >
	    0)
		return AGAIN_MS;
	return all->lists[LIST_CARRIED].count > 0 ? READ_MS : -1;
}
