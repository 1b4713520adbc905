// SPDX-License-Identifier: BSD-3-Clause
//
// What a table is made of. Not for other folders.

#pragma once

#include <rte_common.h>
#include <rte_hash.h>

#include "conntrack/conntrack.h"
#include "conntrack/fragments.h"
#include "conntrack/ports.h"
#include "conntrack/random.h"
#include "conntrack/share.h"
#include "conntrack/tcp_track.h"
#include "conntrack/wheel.h"

enum {
	CONNECTIONS_SHARE = 2, // a pod may hold this times what is free: alone two thirds
	FREE_NONE = UINT32_MAX,
	// What connection_find() says of a direction if what it has found may be used by nobody.
	DIRECTION_BLOCKED = 2,
};

// Where a connection is carried: see conntrack.h.
enum carry { CARRY_NONE, CARRY_ASKED, CARRY_CARRIED, CARRY_RECALLED };

struct connection {
	struct conntrack_tuple
		tuples[2]; // of the pod's packets; of the answers as they come from the wire
	uint32_t expires_s;
	uint32_t pod_epoch, pool_epoch; // as they were when it was opened: else it is dead
	uint16_t pod;
	uint8_t pool;
	bool used;
	bool answered;
	uint8_t carry;            // enum carry
	bool was_liberal;         // tcp.liberal, before it was asked for
	uint32_t carry_not_until; // seconds of the clock
	uint32_t binding;
	uint32_t next_free;
	struct tcp_track tcp; // if the protocol is TCP
	uint64_t packets[2], bytes[2];
};

// What external port a pod's endpoint has.
struct binding_key {
	union conntrack_address address;
	rte_be16_t port;
	uint8_t family, protocol;
	uint32_t pool;
};
_Static_assert(sizeof(struct binding_key) == 24, "no padding: it is hashed");

struct binding {
	uint16_t port;        // host order
	uint32_t connections; // that the endpoint has, also by other ports
};

struct pod {
	uint32_t epoch;
	uint32_t connections; // of this epoch
	uint64_t refused_full, refused_ports;
};

struct pool {
	uint8_t family; // 0: no address
	uint32_t epoch;
	union conntrack_address address;
	struct port_space *spaces[CONNTRACK_PROTOCOLS];
};

struct conntrack {
	struct conntrack_config config;
	struct rte_hash *tuples;   // tuple -> number of connection * 2 + direction
	struct rte_hash *bindings; // endpoint -> its position is the binding's number
	struct connection *connections;
	struct binding *binding_array;
	struct wheel_link *links;
	struct wheel wheel;
	struct pod *pods;
	struct pool pools[CONNTRACK_POOLS_MAX];
	struct fragments *fragments;
	struct random random;
	uint32_t now_s;
	uint32_t count, most;
	uint32_t free;                   // list of connections
	uint32_t sweep_next, sweep_left; // places to look at for dead connections
	// The fragment that was said to be held.
	struct conntrack_packet waiting;
	uint32_t waiting_owner;
	uint64_t opened, ended, refused_full, refused_ports;
};

// 0 TCP, 1 UDP, 2 ICMP; of a protocol that has connections.
static inline unsigned int protocol_index(uint8_t protocol)
{
	return protocol == IPPROTO_TCP ? 0 : protocol == IPPROTO_UDP ? 1 : 2;
}

// Its pod or its external address is gone.
static inline bool connection_is_orphan(const struct conntrack *table, const struct connection *c)
{
	return c->pod_epoch != table->pods[c->pod].epoch ||
	       c->pool_epoch != table->pools[c->pool].epoch;
}

static inline bool connection_is_due(const struct conntrack *table, const struct connection *c)
{
	return (int32_t)(c->expires_s - table->now_s) <= 0;
}

// One that is carried is alive until who carries it has told of its last packets.
static inline bool connection_is_dead(const struct conntrack *table, const struct connection *c)
{
	return connection_is_orphan(table, c) ||
	       (c->carry == CARRY_NONE && connection_is_due(table, c));
}

// The external port, or the identifier: on the answers it is where they go to.
static inline uint16_t connection_port(const struct connection *c)
{
	return rte_be_to_cpu_16(c->tuples[1].destination_port);
}

static inline struct binding_key connection_endpoint(const struct conntrack_tuple *original,
						     uint32_t pool)
{
	return (struct binding_key){
		.address = original->source,
		.port = original->source_port,
		.family = original->family,
		.protocol = original->protocol,
		.pool = pool,
	};
}

// The connection that has this tuple, and in which direction. One that is dead is ended. NULL: none; with
// DIRECTION_BLOCKED: its tuple must not be used before somebody has let go of it.
struct connection *connection_find(struct conntrack *table, const struct conntrack_tuple *tuple,
				   unsigned int *ret_direction);

// A new one, in the tables and in use, with an external port. It expires at once if the caller does not
// say otherwise.
enum conntrack_verdict connection_open(struct conntrack *table, uint32_t pod, uint32_t pool,
				       const struct conntrack_tuple *original,
				       struct connection **ret_connection);
void connection_end(struct conntrack *table, struct connection *c);

// A sign of life: it expires this much later from now. Also sooner than it would have.
void connection_keep(struct conntrack *table, struct connection *c, uint32_t timeout_s);

// ---- carry.c -------------------------------------------------------------------------------------

// Have it back, if it is carried.
void connection_recall(struct conntrack *table, struct connection *c);
// After a packet of it has passed: is it to be offered, or to come back?
void connection_weigh(struct conntrack *table, struct connection *c,
		      const struct conntrack_packet *packet, struct conntrack_rewrite *rewrite);
// How long it lives from now on without a packet.
uint32_t connection_timeout(const struct conntrack *table, const struct connection *c);
