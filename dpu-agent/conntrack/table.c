// SPDX-License-Identifier: BSD-3-Clause
//
// The table of connections: making and freeing it, opening, finding and ending connections, time.

#include "conntrack/conntrack_private.h"

#include <stdio.h>
#include <stdlib.h>

#include <rte_jhash.h>

enum {
	OWN_PORTS_TRIED =
		16, // of a pod that has its share, for one that does not speak to the peer yet
	CLIENT_PORTS_TRIED = 16, // for one from the wire whose own port is taken
	CLIENT_PORT_MIN = 1024,
	SWEEP_FACTOR = 8, // a place looked at costs a fraction of a connection ended
};

// ---- making and freeing --------------------------------------------------------------------------

static struct rte_hash *make_hash(const char *what, uint32_t entries, uint32_t key_size, int socket)
{
	char name[RTE_HASH_NAMESIZE];

	snprintf(name, sizeof(name), "%s_%llx", what, (unsigned long long)random_seed());
	return rte_hash_create(&(struct rte_hash_parameters){
		.name = name,
		.entries = entries,
		.key_len = key_size,
		.hash_func = rte_jhash,
		.hash_func_init_val = (uint32_t)random_seed(), // peers choose much of the keys
		.socket_id = socket,
		.extra_flag = RTE_HASH_EXTRA_FLAGS_EXT_TABLE,
	});
}

static bool make_pools(struct conntrack *table)
{
	for (uint32_t i = 0; i < CONNTRACK_POOLS_MAX; i++) {
		for (uint32_t j = 0; j < CONNTRACK_PROTOCOLS; j++) {
			const struct port_range range = conntrack_range(table, j);
			struct port_space **space = &table->pools[i].spaces[j];

			*space = port_space_new(range.first, range.last, table->config.pods);
			if (*space == NULL)
				return false;
		}
	}
	return true;
}

struct conntrack *conntrack_new(const struct conntrack_config *config, int socket, uint32_t now_s)
{
	struct conntrack *table = calloc(1, sizeof(*table));
	uint32_t size = config->connections;

	if (table == NULL)
		return NULL;
	table->config = *config;
	if (config->published == 0)
		table->config.published = CONNTRACK_PUBLISHED_MAX;
	table->random = (struct random){.key = {random_seed(), random_seed()}};
	table->tuples = make_hash("tuples", 2 * size, sizeof(struct conntrack_tuple), socket);
	table->bindings = make_hash("bindings", size, sizeof(struct binding_key), socket);
	table->connections = calloc(size, sizeof(*table->connections));
	table->binding_array = calloc(size, sizeof(*table->binding_array));
	table->links = calloc(size, sizeof(*table->links));
	table->pods = calloc(config->pods + 1, sizeof(*table->pods)); // the last one is the wire
	table->fragments = fragments_new(
		&(struct fragments_config){
			.packets = config->fragmented,
			.held = config->held,
			.owners = config->pods + 1, // the last one is the wire
			.timeout_s = config->timeouts.fragment,
			.discard = config->discard,
		},
		socket, now_s);
	if (table->tuples == NULL || table->bindings == NULL || table->connections == NULL ||
	    table->binding_array == NULL || table->links == NULL || table->pods == NULL ||
	    table->fragments == NULL || !make_pools(table) || !publish_new(table)) {
		conntrack_free(table);
		return NULL;
	}
	table->free = FREE_NONE;
	for (uint32_t i = size; i-- > 0;) {
		table->connections[i].next_free = table->free;
		table->free = i;
	}
	table->now_s = now_s;
	wheel_init(&table->wheel, table->links, now_s);
	return table;
}

void conntrack_free(struct conntrack *table)
{
	if (table == NULL)
		return;
	for (uint32_t i = 0; i < CONNTRACK_POOLS_MAX; i++) {
		for (uint32_t j = 0; j < CONNTRACK_PROTOCOLS; j++)
			port_space_free(table->pools[i].spaces[j]);
	}
	publish_free(table);
	fragments_free(table->fragments);
	rte_hash_free(table->tuples);
	rte_hash_free(table->bindings);
	free(table->connections);
	free(table->binding_array);
	free(table->links);
	free(table->pods);
	free(table);
}

// ---- pods and addresses --------------------------------------------------------------------------

static void sweep_all(struct conntrack *table)
{
	table->sweep_left = table->config.connections;
}

void conntrack_set_address(struct conntrack *table, uint32_t number, uint8_t family,
			   const union conntrack_address *address)
{
	struct pool *pool = &table->pools[number];
	static const union conntrack_address none;

	if (address == NULL) {
		family = 0;
		address = &none;
	}
	if (pool->family == family && conntrack_address_equal(&pool->address, address))
		return;
	pool->family = family;
	pool->address = *address;
	pool->epoch++;
	sweep_all(table);
}

void conntrack_set_timeouts(struct conntrack *table, const struct conntrack_timeouts *timeouts,
			    bool pick_up)
{
	table->config.timeouts = *timeouts;
	table->config.pick_up = pick_up;
	fragments_set_timeout(table->fragments, timeouts->fragment);
}

void conntrack_set_pod_connections(struct conntrack *table, uint32_t most)
{
	table->config.pod_connections = most;
}

void conntrack_forget_pod(struct conntrack *table, uint32_t number)
{
	struct pod *pod = &table->pods[number];

	*pod = (struct pod){.epoch = pod->epoch + 1, .published = pod->published};
	for (uint32_t i = 0; i < CONNTRACK_POOLS_MAX; i++) {
		for (uint32_t j = 0; j < CONNTRACK_PROTOCOLS; j++)
			port_space_forget(table->pools[i].spaces[j], number);
	}
	sweep_all(table);
}

// ---- finding and ending --------------------------------------------------------------------------

struct connection *connection_find(struct conntrack *table, const struct conntrack_tuple *tuple,
				   unsigned int *ret_direction)
{
	void *data;

	*ret_direction = 0;
	if (rte_hash_lookup_data(table->tuples, tuple, &data) < 0)
		return NULL;
	struct connection *c = &table->connections[(uintptr_t)data >> 1];
	if (unlikely(connection_is_dead(table, c))) {
		if (c->carry != CARRY_NONE) {
			connection_recall(table, c);
			*ret_direction = DIRECTION_BLOCKED;
			return NULL;
		}
		wheel_remove(&table->wheel, (uint32_t)((uintptr_t)data >> 1));
		connection_end(table, c);
		return NULL;
	}
	*ret_direction = (uintptr_t)data & 1;
	return c;
}

static void release_binding(struct conntrack *table, const struct binding_key *key,
			    uint32_t position)
{
	if (--table->binding_array[position].connections == 0)
		rte_hash_del_key(table->bindings, key);
}

// Its wheel link is out already.
void connection_end(struct conntrack *table, struct connection *c)
{
	struct port_space *space =
		table->pools[c->pool].spaces[protocol_index(c->tuples[0].protocol)];
	struct binding_key endpoint = connection_endpoint(&c->tuples[0], c->pool);

	rte_hash_del_key(table->tuples, &c->tuples[0]);
	rte_hash_del_key(table->tuples, &c->tuples[1]);
	if (c->bound) {
		port_space_release(space, connection_port(c));
		release_binding(table, &endpoint, c->binding);
	}
	if (connection_is_by_published(c) &&
	    c->published_epoch == table->published[c->published].epoch)
		table->published[c->published].connections--;
	if (c->pod_epoch == table->pods[c->pod].epoch)
		table->pods[c->pod].connections--;
	c->used = false;
	c->next_free = table->free;
	table->free = (uint32_t)(c - table->connections);
	table->count--;
	table->ended++;
	table->by_state[c->counted_as]--;
}

void connection_keep(struct conntrack *table, struct connection *c, uint32_t timeout_s)
{
	uint32_t before = c->expires_s;

	uint8_t state = connection_state(c);

	if (unlikely(c->counted_as != state)) {
		table->by_state[c->counted_as]--;
		table->by_state[state]++;
		c->counted_as = state;
	}
	c->expires_s = table->now_s + timeout_s + 1; // now is anywhere within its second
	if (unlikely((int32_t)(c->expires_s - before) < 0))
		wheel_hasten(&table->wheel, (uint32_t)(c - table->connections), c->expires_s);
}

// ---- opening -------------------------------------------------------------------------------------

// Does this port, which is in use for the connection already, not speak to the peer yet? Else it is
// given back.
static bool port_suits(struct conntrack *table, struct port_space *space, uint16_t port,
		       struct conntrack_tuple *reply)
{
	reply->destination_port = rte_cpu_to_be_16(port);
	if (rte_hash_lookup(table->tuples, reply) < 0)
		return true;
	port_space_release(space, port);
	return false;
}

// The endpoint's own port; else one that nobody has, which of a ping is first of all the identifier that it comes
// with: where nothing needs to be written but addresses, hardware can do it. Else one of the pod's that does not
// speak to the peer.
static bool choose_port(struct conntrack *table, struct port_space *space, uint32_t pod,
			struct binding *binding, struct conntrack_tuple *reply)
{
	const bool echo = protocol_index(reply->protocol) == PROTOCOL_ICMP;
	uint16_t port = binding->port, identifier = rte_be_to_cpu_16(reply->destination_port);

	if (binding->connections > 0 && port_space_use(space, pod, port) &&
	    port_suits(table, space, port, reply))
		return true;
	if (echo && port_space_take_this(space, pod, identifier) &&
	    port_suits(table, space, identifier, reply)) {
		binding->port = identifier;
		return true;
	}
	if (port_space_take(space, pod, random_next(&table->random), &port) &&
	    port_suits(table, space, port, reply)) {
		binding->port = port;
		return true;
	}
	for (unsigned int i = 0; i < OWN_PORTS_TRIED; i++) {
		if (!port_space_next_own(space, pod, &port))
			return false;
		if (port_space_use(space, pod, port) && port_suits(table, space, port, reply)) {
			if (binding->connections == 0)
				binding->port = port;
			return true;
		}
	}
	return false;
}

static enum conntrack_verdict enter(struct conntrack *table, struct connection *c)
{
	uintptr_t data = (uintptr_t)(c - table->connections) * 2;

	if (rte_hash_add_key_data(table->tuples, &c->tuples[0], (void *)data) < 0)
		return CONNTRACK_FULL;
	if (rte_hash_add_key_data(table->tuples, &c->tuples[1], (void *)(data + 1)) < 0) {
		rte_hash_del_key(table->tuples, &c->tuples[0]);
		return CONNTRACK_FULL;
	}
	return CONNTRACK_PASS;
}

// Port and binding for the connection, and into the table with it.
static enum conntrack_verdict bind_connection(struct conntrack *table, struct connection *c)
{
	struct port_space *space =
		table->pools[c->pool].spaces[protocol_index(c->tuples[0].protocol)];
	struct binding_key endpoint = connection_endpoint(&c->tuples[0], c->pool);
	int32_t position = rte_hash_add_key(table->bindings, &endpoint);
	enum conntrack_verdict verdict = CONNTRACK_NO_PORT;

	if (position < 0)
		return CONNTRACK_FULL;
	struct binding *binding = &table->binding_array[position];
	if (choose_port(table, space, c->pod, binding, &c->tuples[1])) {
		verdict = enter(table, c);
		if (verdict != CONNTRACK_PASS)
			port_space_release(space, connection_port(c));
	}
	binding->connections++;
	c->binding = (uint32_t)position;
	c->bound = verdict == CONNTRACK_PASS;
	if (verdict != CONNTRACK_PASS)
		release_binding(table, &endpoint, c->binding);
	return verdict;
}

// From the wire: its source stays. Only if the endpoint has another connection that would look the same, by
// another published port, it gets another source port.
static enum conntrack_verdict enter_client(struct conntrack *table, struct connection *c)
{
	for (unsigned int i = 0; rte_hash_lookup(table->tuples, &c->tuples[1]) >= 0; i++) {
		uint32_t random = (uint32_t)random_next(&table->random);

		if (i == CLIENT_PORTS_TRIED)
			return CONNTRACK_NO_PORT;
		c->tuples[1].destination_port = rte_cpu_to_be_16(
			(uint16_t)(CLIENT_PORT_MIN + random % (UINT16_MAX - CLIENT_PORT_MIN + 1)));
	}
	return enter(table, c);
}

// From within: with an external address, and a port of its own, or that which is published for it.
static enum conntrack_verdict enter_bound(struct conntrack *table, struct connection *c)
{
	uint16_t place = publish_find_endpoint(table, c->pod, &c->tuples[0]);

	c->tuples[1].destination = table->pools[c->pool].address;
	if (place != PUBLISHED_NONE) {
		c->tuples[1].destination_port = rte_cpu_to_be_16(table->published[place].what.port);
		// An endpoint that calls itself would look the same in both directions.
		if (rte_hash_lookup(table->tuples, &c->tuples[1]) < 0 &&
		    !conntrack_tuple_equal(&c->tuples[0], &c->tuples[1])) {
			if (c->published == PUBLISHED_NONE) {
				c->published = place;
				c->published_epoch = table->published[place].epoch;
				c->leaves = true;
			}
			return enter(table, c);
		}
	}
	return bind_connection(table, c);
}

static enum conntrack_verdict refuse(struct conntrack *table, struct pod *pod,
				     enum conntrack_verdict verdict)
{
	if (verdict == CONNTRACK_NO_PORT) {
		pod->refused_ports++;
		table->refused_ports++;
	} else {
		pod->refused_full++;
		table->refused_full++;
	}
	return verdict;
}

static void set_ends(struct conntrack *table, struct connection *c, const struct opening *opening)
{
	c->ends[ORIGINAL] = (uint16_t)opening->from;
	c->ends[REPLY] = conntrack_wire(table);
	c->published = opening->published;
	if (opening->published == PUBLISHED_NONE)
		return;
	const struct published *published = &table->published[opening->published];
	c->published_epoch = published->epoch;
	c->ends[REPLY] = (uint16_t)published->what.pod;
	c->tuples[1].source = published->what.pod_address;
	c->tuples[1].source_port = rte_cpu_to_be_16(published->what.pod_port);
}

// It is in the table.
static void use(struct conntrack *table, struct connection *c)
{
	c->used = true;
	table->free = c->next_free;
	table->count++;
	table->most = RTE_MAX(table->most, table->count);
	table->opened++;
	table->pods[c->pod].connections++;
	c->counted_as = connection_state(c);
	table->by_state[c->counted_as]++;
	if (connection_is_by_published(c)) {
		table->published[c->published].connections++;
		table->published[c->published].opened++;
	}
	wheel_add(&table->wheel, (uint32_t)(c - table->connections), c->expires_s);
}

enum conntrack_verdict connection_open(struct conntrack *table, const struct opening *opening,
				       struct connection **ret_connection)
{
	bool from_wire = opening->from == conntrack_wire(table);
	uint32_t number = from_wire ? table->published[opening->published].what.pod : opening->from;
	struct pod *pod = &table->pods[number];
	uint32_t limit = table->config.pod_connections;

	if (limit != 0 && pod->connections >= limit) {
		table->refused_limit++;
		return CONNTRACK_LIMITED;
	}
	if (!share_allows(pod->connections, table->config.connections - table->count,
			  CONNECTIONS_SHARE))
		return refuse(table, pod, CONNTRACK_FULL);
	struct connection *c = &table->connections[table->free];
	*c = (struct connection){
		.tuples = {*opening->original, conntrack_tuple_invert(opening->original)},
		.expires_s = table->now_s,
		.carry_not_until = table->now_s,
		.pod = (uint16_t)number,
		.pod_epoch = pod->epoch,
		.pool = (uint8_t)opening->pool,
		.pool_epoch = table->pools[opening->pool].epoch,
		.next_free = c->next_free,
	};
	set_ends(table, c, opening);
	enum conntrack_verdict verdict = from_wire ? enter_client(table, c) : enter_bound(table, c);
	if (verdict != CONNTRACK_PASS)
		return refuse(table, pod, verdict);
	use(table, c);
	*ret_connection = c;
	return CONNTRACK_PASS;
}

// ---- time ----------------------------------------------------------------------------------------

static void sweep(struct conntrack *table, uint32_t places)
{
	for (; places > 0 && table->sweep_left > 0; places--, table->sweep_left--) {
		struct connection *c = &table->connections[table->sweep_next];

		if (c->used && connection_is_dead(table, c)) {
			if (c->carry != CARRY_NONE) {
				connection_recall(table, c);
			} else {
				wheel_remove(&table->wheel, table->sweep_next);
				connection_end(table, c);
			}
		}
		if (++table->sweep_next == table->config.connections)
			table->sweep_next = 0;
	}
}

bool conntrack_advance(struct conntrack *table, uint32_t now_s, uint32_t budget)
{
	uint32_t done;

	table->now_s = now_s;
	for (done = 0; done < budget; done++) {
		uint32_t index = wheel_turn(&table->wheel, now_s);

		if (index == WHEEL_NONE)
			break;
		struct connection *c = &table->connections[index];
		if (c->carry != CARRY_NONE &&
		    (connection_is_orphan(table, c) || connection_is_due(table, c))) {
			connection_recall(table, c);
			wheel_add(&table->wheel, index, now_s + 1);
		} else if (connection_is_dead(table, c)) {
			connection_end(table, c);
		} else {
			wheel_add(&table->wheel, index, c->expires_s);
		}
	}
	sweep(table, budget * SWEEP_FACTOR);
	fragments_advance(table->fragments, now_s, budget);
	return done == budget || table->sweep_left > 0;
}

bool conntrack_is_idle(const struct conntrack *table)
{
	return table->count == 0 && fragments_held(table->fragments) == 0;
}
