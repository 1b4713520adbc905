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
	PUBLISHED_NONE = UINT16_MAX,
};

// Where a connection is carried: see conntrack.h.
enum carry { CARRY_NONE, CARRY_ASKED, CARRY_CARRIED, CARRY_RECALLED };

// In which direction a packet goes: as the one that opened the connection, or back.
enum { ORIGINAL, REPLY };

// All that is known of how packets are rewritten is in the tuples: a packet of direction d comes in as
// tuples[d], and leaves as connection_after() says.
//
//                    ends[0]   tuples[0]                 tuples[1]                       ends[1]
//     masquerade     pod       pod:1 -> peer:2           peer:2 -> external:3            wire
//     published      wire      peer:1 -> external:2      pod:3 -> peer:1                 pod
//     hairpin        pod       pod:1 -> external:2       other pod:3 -> external:4       other pod
struct connection {
	struct conntrack_tuple tuples[2];
	uint32_t expires_s;
	// As they were when it was opened: else it is dead.
	uint32_t pod_epoch, pool_epoch, published_epoch;
	uint16_t pod;       // whose it is: who pays for it
	uint16_t ends[2];   // who sends, by direction: a pod, or conntrack_wire()
	uint16_t published; // by which of the published ports, PUBLISHED_NONE
	uint8_t pool;
	uint8_t counted_as; // in table.by_state
	bool used;
	bool answered;
	uint8_t carry;            // enum carry
	bool was_liberal;         // tcp.liberal, before it was asked for
	uint32_t carry_not_until; // seconds of the clock
	bool bound;               // has an external port of the pool's, which its endpoint keeps
	bool leaves;              // from the endpoint behind a published port, by that
	uint32_t binding;
	uint32_t next_free;
	struct tcp_track tcp; // if the protocol is TCP
	uint64_t packets[2], bytes[2];
};

// What connections are counted by: TCP's states, and of the others whether there was an answer.
enum {
	COUNTED_UDP = TCP_STATE_COUNT,
	COUNTED_ICMP = COUNTED_UDP + 2,
	COUNTED_STATES = COUNTED_ICMP + 2,
};
_Static_assert((int)COUNTED_STATES <= (int)CONNTRACK_STATES_MAX, "figures have room");

static inline uint8_t connection_state(const struct connection *c)
{
	if (c->tuples[0].protocol == IPPROTO_TCP)
		return (uint8_t)c->tcp.state;
	return (uint8_t)((c->tuples[0].protocol == IPPROTO_UDP ? COUNTED_UDP : COUNTED_ICMP) +
			 c->answered);
}

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

// A published port, in a place that it keeps.
struct published {
	struct conntrack_publication what;
	uint32_t epoch; // another one for what comes after it
	uint16_t next_free;
	uint32_t connections;
	uint64_t opened, packets[2], bytes[2]; // to the pod; from it
};

struct pod {
	uint32_t epoch;
	uint32_t connections; // of this epoch
	uint32_t published;
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
	struct published *published; // config.published
	uint16_t published_free;     // list of places
	uint32_t published_count;
	// Places, by the port that is published, and by the endpoint behind it; and room for the next ones.
	uint16_t *by_port, *by_endpoint, *by_port_next;
	struct fragments *fragments;
	struct random random;
	uint32_t now_s;
	uint32_t count, most;
	uint32_t free;                   // list of connections
	uint32_t sweep_next, sweep_left; // places to look at for dead connections
	// The fragment that was said to be held.
	struct conntrack_packet waiting;
	uint32_t waiting_owner;
	uint64_t opened, ended, refused_full, refused_ports, refused_limit;
	uint32_t by_state[COUNTED_STATES];
};

// As CONNTRACK_PROTOCOLS counts them.
enum { PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_ICMP };

// Of a protocol that has connections.
static inline unsigned int protocol_index(uint8_t protocol)
{
	return protocol == IPPROTO_TCP   ? PROTOCOL_TCP
	       : protocol == IPPROTO_UDP ? PROTOCOL_UDP
					 : PROTOCOL_ICMP;
}

// What a protocol's external ports, or identifiers, are out of.
struct port_range {
	uint16_t first, last;
};
static inline struct port_range conntrack_range(const struct conntrack *table,
						unsigned int protocol)
{
	const struct conntrack_config *config = &table->config;

	if (protocol == PROTOCOL_ICMP)
		return (struct port_range){config->first_identifier, config->last_identifier};
	return (struct port_range){config->first_port, config->last_port};
}

// In the place of a pod's number.
static inline uint16_t conntrack_wire(const struct conntrack *table)
{
	return (uint16_t)table->config.pods;
}

// Its pod, its external address or the port that it came by is gone.
static inline bool connection_is_orphan(const struct conntrack *table, const struct connection *c)
{
	return c->pod_epoch != table->pods[c->pod].epoch ||
	       c->pool_epoch != table->pools[c->pool].epoch ||
	       (c->published != PUBLISHED_NONE &&
		c->published_epoch != table->published[c->published].epoch);
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

// What becomes of a packet of this direction.
static inline struct conntrack_tuple connection_after(const struct connection *c,
						      unsigned int direction)
{
	return conntrack_tuple_invert(&c->tuples[!direction]);
}

// Of one that is bound, the external port, or the identifier: on the answers it is where they go to.
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

// What is to be opened.
struct opening {
	const struct conntrack_tuple *original;
	uint32_t pool;
	uint32_t from;      // a pod, or conntrack_wire()
	uint16_t published; // to what is published there; PUBLISHED_NONE: to the wire
};

// A new one, in the tables and in use. It expires at once if the caller does not say otherwise.
enum conntrack_verdict connection_open(struct conntrack *table, const struct opening *opening,
				       struct connection **ret_connection);
// It goes to a pod by a published port, and not from it.
static inline bool connection_is_by_published(const struct connection *c)
{
	return c->published != PUBLISHED_NONE && !c->leaves;
}
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

// ---- published ports (publish.c) -----------------------------------------------------------------

bool publish_new(struct conntrack *table); // false: no memory
void publish_free(struct conntrack *table);

// Which published port a packet to an external address is for; PUBLISHED_NONE.
uint16_t publish_find(const struct conntrack *table, uint32_t pool,
		      const struct conntrack_tuple *tuple);
// The lowest one that this endpoint of the pod's is behind; PUBLISHED_NONE.
uint16_t publish_find_endpoint(const struct conntrack *table, uint32_t pod,
			       const struct conntrack_tuple *original);
// Packets of the connection's.
void publish_count(struct conntrack *table, const struct connection *c, unsigned int direction,
		   uint64_t packets, uint64_t bytes);
