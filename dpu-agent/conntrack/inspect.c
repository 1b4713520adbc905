// SPDX-License-Identifier: BSD-3-Clause
//
// What a table shows of itself, and whether it contradicts itself.

#include "conntrack/conntrack_private.h"

#include <stdlib.h>
#include <string.h>

static void describe(const struct conntrack *table, const struct connection *c,
		     struct conntrack_entry *entry)
{
	bool tcp = c->tuples[0].protocol == IPPROTO_TCP;

	*entry = (struct conntrack_entry){
		.place = (uint32_t)(c - table->connections),
		.original = c->tuples[0],
		.reply = c->tuples[1],
		.kind = c->ends[REPLY] == conntrack_wire(table)      ? CONNTRACK_MASQUERADE
			: c->ends[ORIGINAL] == conntrack_wire(table) ? CONNTRACK_PUBLISHED
								     : CONNTRACK_HAIRPIN,
		.pod = c->pod,
		.expires_s = connection_is_due(table, c) ? 0 : c->expires_s - table->now_s,
		.carried = c->carry == CARRY_CARRIED || c->carry == CARRY_RECALLED,
		.state = tcp ? tcp_state_name(c->tcp.state) : "",
		.answered = c->answered,
		.packets = {c->packets[0], c->packets[1]},
		.bytes = {c->bytes[0], c->bytes[1]},
	};
}

uint32_t conntrack_list(const struct conntrack *table, uint32_t pod, uint32_t cursor, uint32_t look,
			struct conntrack_entry *ret_entries, uint32_t size, uint32_t *ret_count)
{
	uint32_t count = 0;

	for (; cursor < table->config.connections && look > 0 && count < size; cursor++, look--) {
		const struct connection *c = &table->connections[cursor];

		if (c->used && !connection_is_dead(table, c) &&
		    (pod == CONNTRACK_POD_ANY || pod == c->pod))
			describe(table, c, &ret_entries[count++]);
	}
	*ret_count = count;
	return cursor < table->config.connections ? cursor : 0;
}

void conntrack_pod_figures(const struct conntrack *table, uint32_t number,
			   struct conntrack_pod_figures *ret_figures)
{
	const struct pod *pod = &table->pods[number];

	*ret_figures = (struct conntrack_pod_figures){
		.connections = pod->connections,
		.refused_full = pod->refused_full,
		.refused_ports = pod->refused_ports,
	};
	for (uint32_t i = 0; i < CONNTRACK_POOLS_MAX; i++) {
		for (uint32_t j = 0; j < CONNTRACK_PROTOCOLS; j++)
			ret_figures->ports[j] += port_space_held(table->pools[i].spaces[j], number);
	}
}

static void count_states(const struct conntrack *table, struct conntrack_figures *figures)
{
	figures->state_count = COUNTED_STATES;
	for (uint32_t i = 0; i < COUNTED_STATES; i++) {
		struct conntrack_state_figures *state = &figures->states[i];
		bool tcp = i < TCP_STATE_COUNT, answered = (i - TCP_STATE_COUNT) % 2 == 1;

		state->protocol = tcp ? "tcp" : i < COUNTED_ICMP ? "udp" : "icmp";
		state->state = tcp ? tcp_state_name(i) : answered ? "answered" : "unanswered";
		state->connections = table->by_state[i];
	}
}

void conntrack_figures(const struct conntrack *table, struct conntrack_figures *ret_figures)
{
	*ret_figures = (struct conntrack_figures){
		.connections = table->count,
		.connections_most = table->most,
		.size = table->config.connections,
		.opened = table->opened,
		.ended = table->ended,
		.refused_full = table->refused_full,
		.refused_ports = table->refused_ports,
		.refused_limit = table->refused_limit,
		.fragments_held = fragments_held(table->fragments),
	};
	count_states(table, ret_figures);
	for (uint32_t i = 0; i < CONNTRACK_POOLS_MAX; i++) {
		const struct pool *pool = &table->pools[i];
		struct conntrack_pool_figures *figures = &ret_figures->pools[i];

		figures->family = pool->family;
		figures->address = pool->address;
		for (uint32_t j = 0; j < CONNTRACK_PROTOCOLS; j++) {
			figures->ports_size[j] = port_space_size(pool->spaces[j]);
			figures->ports_held[j] = port_space_used(pool->spaces[j]);
			figures->ports_reserved[j] = port_space_reserved(pool->spaces[j]);
		}
	}
}

// ---- checking ------------------------------------------------------------------------------------

static void must(bool good)
{
	if (!good)
		abort();
}

static void check_found(const struct conntrack *table, uint32_t index, unsigned int direction)
{
	void *data;

	must(rte_hash_lookup_data(table->tuples, &table->connections[index].tuples[direction],
				  &data) >= 0);
	must((uintptr_t)data == index * 2 + direction);
}

static void check_mapping(const struct conntrack *table, const struct connection *c)
{
	struct binding_key endpoint = connection_endpoint(&c->tuples[0], c->pool);
	const struct port_range range =
		conntrack_range(table, protocol_index(c->tuples[0].protocol));
	uint16_t port = connection_port(c);

	must(c->tuples[0].family == c->tuples[1].family);
	must(c->tuples[0].protocol == c->tuples[1].protocol);
	if (c->ends[REPLY] == conntrack_wire(table))
		must(conntrack_address_equal(&c->tuples[0].destination, &c->tuples[1].source));
	if (c->ends[ORIGINAL] == conntrack_wire(table)) {
		must(connection_is_by_published(c) && !c->bound);
		must(conntrack_address_equal(&c->tuples[0].source, &c->tuples[1].destination));
	}
	must(c->bound || c->published != PUBLISHED_NONE);
	if (!c->bound)
		return;
	must(port >= range.first && port <= range.last);
	must(rte_hash_lookup(table->bindings, &endpoint) == (int32_t)c->binding);
	if (c->pool_epoch == table->pools[c->pool].epoch)
		must(conntrack_address_equal(&c->tuples[1].destination,
					     &table->pools[c->pool].address));
}

// Ports that are in use are those of connections.
static void check_ports(const struct conntrack *table, unsigned int protocol)
{
	const struct port_range range = conntrack_range(table, protocol);
	const uint32_t size = (uint32_t)range.last - range.first + 1;
	bool *seen = calloc(CONNTRACK_POOLS_MAX, size);
	uint32_t held[CONNTRACK_POOLS_MAX] = {0};

	must(seen != NULL);
	for (uint32_t i = 0; i < table->config.connections; i++) {
		const struct connection *c = &table->connections[i];

		if (!c->used || !c->bound || protocol_index(c->tuples[0].protocol) != protocol)
			continue;
		bool *port = &seen[c->pool * size + connection_port(c) - range.first];
		held[c->pool] += !*port;
		*port = true;
	}
	for (uint32_t i = 0; i < CONNTRACK_POOLS_MAX; i++)
		must(held[i] == port_space_used(table->pools[i].spaces[protocol]));
	free(seen);
}

static void check_counts(const struct conntrack *table)
{
	uint32_t *pods = calloc(table->config.pods, sizeof(*pods));
	uint32_t *bindings = calloc(table->config.connections, sizeof(*bindings));
	uint32_t used = 0, bound = 0, by_state[COUNTED_STATES] = {0};

	must(pods != NULL && bindings != NULL);
	for (uint32_t i = 0; i < table->config.connections; i++) {
		const struct connection *c = &table->connections[i];

		if (!c->used)
			continue;
		used++;
		must(c->counted_as == connection_state(c));
		by_state[c->counted_as]++;
		if (c->bound)
			bound += bindings[c->binding]++ == 0;
		if (c->pod_epoch == table->pods[c->pod].epoch)
			pods[c->pod]++;
	}
	must(used == table->count);
	must(memcmp(by_state, table->by_state, sizeof(by_state)) == 0);
	must(rte_hash_count(table->tuples) == (int32_t)(2 * used));
	must(rte_hash_count(table->bindings) == (int32_t)bound);
	for (uint32_t i = 0; i < table->config.pods; i++)
		must(pods[i] == table->pods[i].connections);
	for (uint32_t i = 0; i < table->config.connections; i++)
		must(bindings[i] == table->binding_array[i].connections);
	free(pods);
	free(bindings);
}

static void check_wheel(const struct conntrack *table)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < WHEEL_SLOTS; i++) {
		for (uint32_t j = table->wheel.heads[i]; j != WHEEL_NONE; j = table->links[j].next)
			must(table->connections[j].used && ++count <= table->count);
	}
	must(count == table->count);
}

static void check_published(const struct conntrack *table)
{
	uint32_t *connections = calloc(table->config.published, sizeof(*connections));
	uint32_t *pods = calloc(table->config.pods, sizeof(*pods)), free_places = 0;

	must(connections != NULL && pods != NULL);
	for (uint32_t i = 0; i < table->config.connections; i++) {
		const struct connection *c = &table->connections[i];

		if (c->used && connection_is_by_published(c) &&
		    c->published_epoch == table->published[c->published].epoch)
			connections[c->published]++;
	}
	for (uint32_t i = 0; i < table->published_count; i++) {
		const struct published *published = &table->published[table->by_port[i]];

		must(connections[table->by_port[i]] == published->connections);
		connections[table->by_port[i]] = 0;
		pods[published->what.pod]++;
	}
	for (uint32_t i = 0; i < table->config.published; i++)
		must(connections[i] == 0);
	for (uint32_t i = 0; i < table->config.pods; i++)
		must(pods[i] == table->pods[i].published);
	for (uint16_t i = table->published_free; i != PUBLISHED_NONE;
	     i = table->published[i].next_free)
		free_places++;
	must(free_places + table->published_count == table->config.published);
	free(connections);
	free(pods);
}

void conntrack_check(const struct conntrack *table)
{
	for (uint32_t i = 0; i < table->config.connections; i++) {
		if (!table->connections[i].used)
			continue;
		check_found(table, i, 0);
		check_found(table, i, 1);
		check_mapping(table, &table->connections[i]);
	}
	check_counts(table);
	for (unsigned int protocol = 0; protocol < CONNTRACK_PROTOCOLS; protocol++)
		check_ports(table, protocol);
	check_wheel(table);
	check_published(table);
}
