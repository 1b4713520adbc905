// SPDX-License-Identifier: BSD-3-Clause
//
// Connections that somebody else carries: which are worth it, when they have to come back, and what is known of
// them meanwhile.

#include "conntrack/conntrack_private.h"

enum {
	// A connection that has come so far most likely goes on: a name looked up or a short request is over by then,
	// and to carry it costs more than a handful of packets.
	STEADY_PACKETS = 10,
};

static bool is_open_tcp(const struct connection *c)
{
	return c->tcp.state == TCP_STATE_ESTABLISHED && c->tcp.sides[0].has_acked &&
	       c->tcp.sides[1].has_acked;
}

static bool is_steady(const struct conntrack *table, const struct connection *c,
		      const struct conntrack_packet *packet)
{
	if (!c->answered || packet->fragment || c->packets[0] + c->packets[1] < STEADY_PACKETS ||
	    (int32_t)(c->carry_not_until - table->now_s) > 0)
		return false;
	switch (packet->kind) {
	case CONNTRACK_KIND_TCP:
		return is_open_tcp(c) && !(packet->tcp.flags & (TCP_SYN | TCP_FIN | TCP_RST));
	case CONNTRACK_KIND_UDP:
		return true;
	case CONNTRACK_KIND_ECHO: // no hardware writes an identifier
		return c->tuples[ORIGINAL].source_port == c->tuples[REPLY].destination_port;
	default:
		return false;
	}
}

// Who carries it does not see beginnings and ends: with one of these it is our turn again.
static bool is_changing(const struct connection *c, const struct conntrack_packet *packet)
{
	return packet->kind == CONNTRACK_KIND_TCP &&
	       (!is_open_tcp(c) || (packet->tcp.flags & (TCP_SYN | TCP_FIN | TCP_RST)));
}

void connection_recall(struct conntrack *table, struct connection *c)
{
	if (c->carry != CARRY_ASKED && c->carry != CARRY_CARRIED)
		return;
	if (table->config.recall(table->config.context, (uint32_t)(c - table->connections)))
		c->carry = CARRY_RECALLED;
}

void connection_weigh(struct conntrack *table, struct connection *c,
		      const struct conntrack_packet *packet, struct conntrack_rewrite *rewrite)
{
	if (unlikely(c->carry != CARRY_NONE)) {
		if (is_changing(c, packet))
			connection_recall(table, c);
		return;
	}
	rewrite->steady = is_steady(table, c, packet);
	rewrite->place = (uint32_t)(c - table->connections);
}

// The direction in which a pod sends; between pods, who has opened it.
static unsigned int inside_of(const struct conntrack *table, const struct connection *c)
{
	return c->ends[ORIGINAL] == conntrack_wire(table) ? REPLY : ORIGINAL;
}

void conntrack_carry(struct conntrack *table, uint32_t place, struct conntrack_sides *ret_sides)
{
	struct connection *c = &table->connections[place];
	const unsigned int first = inside_of(table, c);

	c->carry = CARRY_ASKED;
	c->was_liberal = c->tcp.liberal;
	c->tcp.liberal = c->tcp.unseen = true;
	for (unsigned int i = 0; i < 2; i++) {
		const uint16_t end = c->ends[i == 0 ? first : !first];

		ret_sides->sent[i] = c->tuples[i == 0 ? first : !first];
		ret_sides->pods[i] = end == conntrack_wire(table) ? CONNTRACK_NO_POD : end;
	}
}

void conntrack_carry_begin(struct conntrack *table, uint32_t place)
{
	struct connection *c = &table->connections[place];

	if (c->carry == CARRY_ASKED)
		c->carry = CARRY_CARRIED;
}

static void count_unseen(struct conntrack *table, struct connection *c,
			 const struct conntrack_unseen *unseen)
{
	const bool published = connection_is_by_published(c) &&
			       c->published_epoch == table->published[c->published].epoch;

	for (unsigned int i = 0; i < 2; i++) {
		const unsigned int direction = i == 0 ? inside_of(table, c) : !inside_of(table, c);

		c->packets[direction] += unseen->packets[i];
		c->bytes[direction] += unseen->bytes[i];
		if (published)
			publish_count(table, c, direction, unseen->packets[i], unseen->bytes[i]);
	}
}

void conntrack_carry_note(struct conntrack *table, uint32_t place,
			  const struct conntrack_unseen *unseen)
{
	struct connection *c = &table->connections[place];

	count_unseen(table, c, unseen);
	if (unseen->packets[0] + unseen->packets[1] > 0)
		connection_keep(table, c, connection_timeout(table, c));
}

void conntrack_carry_end(struct conntrack *table, uint32_t place,
			 const struct conntrack_unseen *unseen, uint32_t pause_s)
{
	struct connection *c = &table->connections[place];

	conntrack_carry_note(table, place, unseen);
	if (c->carry == CARRY_ASKED) { // nothing has passed unseen
		c->tcp.liberal = c->was_liberal;
		c->tcp.unseen = false;
	}
	c->carry = CARRY_NONE;
	c->carry_not_until = table->now_s + pause_s;
	if (!connection_is_orphan(table, c))
		return;
	wheel_remove(&table->wheel, place);
	connection_end(table, c);
}
