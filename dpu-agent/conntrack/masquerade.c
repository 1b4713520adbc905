// SPDX-License-Identifier: BSD-3-Clause
//
// What becomes of a packet: which connection it belongs to, whether it fits that, and what it looks
// like on the other side.

#include "conntrack/conntrack_private.h"

enum { ORIGINAL, REPLY };
enum { DNS_PORT = 53 };

const char *conntrack_verdict_name(enum conntrack_verdict verdict)
{
	static const char *const names[] = {
		[CONNTRACK_PASS] = "pass",
		[CONNTRACK_HOLD] = "hold",
		[CONNTRACK_UNKNOWN] = "unknown",
		[CONNTRACK_UNSUPPORTED] = "unsupported",
		[CONNTRACK_INVALID] = "invalid",
		[CONNTRACK_FULL] = "full",
		[CONNTRACK_NO_PORT] = "no-port",
		[CONNTRACK_FRAGMENT_LOST] = "fragment-lost",
		[CONNTRACK_NO_ADDRESS] = "no-address",
		[CONNTRACK_LIMITED] = "limited",
	};

	return verdict < CONNTRACK_VERDICT_COUNT ? names[verdict] : "?";
}

// ---- states and timeouts -------------------------------------------------------------------------

static uint32_t tcp_timeout(const struct conntrack_timeouts *timeouts, const struct tcp_track *tcp)
{
	switch (tcp->state) {
	case TCP_STATE_ESTABLISHED:
		return tcp->sides[REPLY].seen ? timeouts->tcp_established : timeouts->tcp_opening;
	case TCP_STATE_FIN_WAIT:
	case TCP_STATE_CLOSE_WAIT:
	case TCP_STATE_LAST_ACK:
		return timeouts->tcp_closing;
	case TCP_STATE_TIME_WAIT:
		return timeouts->tcp_time_wait;
	case TCP_STATE_CLOSE:
		return timeouts->tcp_close;
	default:
		return timeouts->tcp_opening;
	}
}

uint32_t connection_timeout(const struct conntrack *table, const struct connection *c)
{
	const struct conntrack_timeouts *timeouts = &table->config.timeouts;

	switch (c->tuples[ORIGINAL].protocol) {
	case IPPROTO_TCP:
		return tcp_timeout(timeouts, &c->tcp);
	case IPPROTO_UDP:
		if (!c->answered)
			return timeouts->udp;
		return c->tuples[ORIGINAL].destination_port == RTE_BE16(DNS_PORT)
			       ? timeouts->udp_dns
			       : timeouts->udp_answered;
	default:
		return timeouts->icmp;
	}
}

// Does the packet fit the connection, and what does it say of its life?
static enum conntrack_verdict follow(struct conntrack *table, struct connection *c,
				     unsigned int direction, const struct conntrack_packet *packet)
{
	bool alive = true, ending = false;

	if (packet->kind == CONNTRACK_KIND_TCP) {
		switch (tcp_track(&c->tcp, direction, packet)) {
		case TCP_VERDICT_PASS:
			break;
		case TCP_VERDICT_KEEP:
			alive = false;
			break;
		case TCP_VERDICT_ENDING:
			ending = true;
			break;
		case TCP_VERDICT_REOPEN:
			tcp_track_open(&c->tcp, packet, false);
			c->answered = false;
			break;
		case TCP_VERDICT_INVALID:
			return CONNTRACK_INVALID;
		}
	}
	c->answered |= direction == REPLY;
	c->packets[direction]++;
	c->bytes[direction] += packet->length;
	if (ending)
		connection_keep(
			table, c,
			RTE_MIN(connection_timeout(table, c), table->config.timeouts.tcp_closing));
	else if (alive)
		connection_keep(table, c, connection_timeout(table, c));
	return CONNTRACK_PASS;
}

static enum conntrack_verdict open_for(struct conntrack *table, uint32_t pod, uint32_t pool,
				       const struct conntrack_packet *packet,
				       struct connection **ret_connection)
{
	struct tcp_track tcp = {0};

	if (table->pools[pool].family != packet->tuple.family)
		return CONNTRACK_NO_ADDRESS;
	if (packet->kind == CONNTRACK_KIND_TCP &&
	    !tcp_track_open(&tcp, packet, table->config.pick_up))
		return CONNTRACK_INVALID;
	// A reply to an echo that nobody has asked for.
	if (packet->kind == CONNTRACK_KIND_ECHO && packet->tuple.destination_port != 0)
		return CONNTRACK_INVALID;
	enum conntrack_verdict verdict =
		connection_open(table, pod, pool, &packet->tuple, ret_connection);
	if (verdict != CONNTRACK_PASS)
		return verdict;
	struct connection *c = *ret_connection;
	c->tcp = tcp;
	c->packets[ORIGINAL] = 1;
	c->bytes[ORIGINAL] = packet->length;
	connection_keep(table, c, connection_timeout(table, c));
	return CONNTRACK_PASS;
}

// ---- fragments -----------------------------------------------------------------------------------

static enum conntrack_verdict later_fragment(struct conntrack *table, uint32_t owner,
					     const struct conntrack_packet *packet,
					     struct conntrack_rewrite *ret_rewrite)
{
	const struct fragments_route *route = fragments_find(table->fragments, packet);

	if (route == NULL) {
		table->waiting = *packet;
		table->waiting_owner = owner;
		return CONNTRACK_HOLD;
	}
	if (route->pod_epoch != table->pods[route->pod].epoch ||
	    route->pool_epoch != table->pools[route->pool].epoch)
		return CONNTRACK_FRAGMENT_LOST;
	*ret_rewrite = (struct conntrack_rewrite){.to = route->to, .pod = route->pod};
	return CONNTRACK_PASS;
}

bool conntrack_hold(struct conntrack *table, void *packet)
{
	return fragments_hold(table->fragments, table->waiting_owner, &table->waiting, packet);
}

uint32_t conntrack_released(struct conntrack *table, void **ret_packets, uint32_t size)
{
	return fragments_release(table->fragments, ret_packets, size);
}

static enum conntrack_verdict pass(struct conntrack *table, struct connection *c,
				   unsigned int direction, const struct conntrack_packet *packet,
				   struct conntrack_rewrite *ret_rewrite)
{
	*ret_rewrite = (struct conntrack_rewrite){
		.to = conntrack_tuple_invert(&c->tuples[!direction]),
		.pod = c->pod,
	};
	connection_weigh(table, c, packet, ret_rewrite);
	if (unlikely(packet->fragment)) {
		struct fragments_route route = {
			.to = ret_rewrite->to,
			.pod = c->pod,
			.pod_epoch = c->pod_epoch,
			.pool = c->pool,
			.pool_epoch = c->pool_epoch,
		};

		ret_rewrite->release = fragments_learn(table->fragments, c->pod, packet, &route);
	}
	return CONNTRACK_PASS;
}

// ---- ICMP errors ---------------------------------------------------------------------------------

// The connection that the error is about; `direction`: that of the packet which it quotes.
static struct connection *find_quoted(struct conntrack *table,
				      const struct conntrack_packet *packet, unsigned int direction)
{
	const struct conntrack_quote *quote = &packet->quote;
	struct conntrack_tuple answer = conntrack_tuple_invert(&quote->tuple);
	unsigned int answer_direction;

	if (quote->kind == CONNTRACK_KIND_OTHER)
		return NULL;
	struct connection *c = connection_find(table, &answer, &answer_direction);
	if (c == NULL || answer_direction == direction)
		return NULL;
	if (quote->has_sequence && !tcp_track_in_flight(&c->tcp, direction, quote->sequence))
		return NULL;
	return c;
}

// From the wire, about what a pod sent: whoever sent the error stays its sender.
static enum conntrack_verdict error_in(struct conntrack *table,
				       const struct conntrack_packet *packet,
				       struct conntrack_rewrite *ret_rewrite)
{
	struct connection *c = find_quoted(table, packet, ORIGINAL);

	if (c == NULL)
		return CONNTRACK_UNKNOWN;
	if (!conntrack_address_equal(&packet->tuple.destination, &c->tuples[REPLY].destination))
		return CONNTRACK_INVALID;
	*ret_rewrite = (struct conntrack_rewrite){
		.to = packet->tuple,
		.quote = c->tuples[ORIGINAL],
		.pod = c->pod,
	};
	ret_rewrite->to.destination = c->tuples[ORIGINAL].source;
	return CONNTRACK_PASS;
}

// From a pod, about an answer it got: it must go to who sent that, and nobody else.
static enum conntrack_verdict error_out(struct conntrack *table, uint32_t pod,
					const struct conntrack_packet *packet,
					struct conntrack_rewrite *ret_rewrite)
{
	struct connection *c = find_quoted(table, packet, REPLY);

	if (c == NULL || (pod != CONNTRACK_POD_ANY && c->pod != pod) ||
	    !conntrack_address_equal(&packet->tuple.destination, &c->tuples[REPLY].source))
		return CONNTRACK_INVALID;
	*ret_rewrite = (struct conntrack_rewrite){
		.to = packet->tuple,
		.quote = c->tuples[REPLY],
		.pod = c->pod,
	};
	ret_rewrite->to.source = c->tuples[REPLY].destination;
	return CONNTRACK_PASS;
}

// ---- the two ways --------------------------------------------------------------------------------

enum conntrack_verdict conntrack_out(struct conntrack *table, uint32_t pod, uint32_t pool,
				     const struct conntrack_packet *packet,
				     struct conntrack_rewrite *ret_rewrite)
{
	enum conntrack_verdict verdict;
	unsigned int direction;

	switch (packet->kind) {
	case CONNTRACK_KIND_OTHER:
		return CONNTRACK_UNSUPPORTED;
	case CONNTRACK_KIND_ERROR:
		return error_out(table, pod, packet, ret_rewrite);
	case CONNTRACK_KIND_FRAGMENT:
		return later_fragment(table, pod, packet, ret_rewrite);
	default:
		break;
	}
	struct connection *c = connection_find(table, &packet->tuple, &direction);
	if (c == NULL)
		verdict = direction == DIRECTION_BLOCKED ? CONNTRACK_INVALID
							 : open_for(table, pod, pool, packet, &c);
	else if (direction != ORIGINAL || c->pod != pod)
		verdict = CONNTRACK_INVALID;
	else
		verdict = follow(table, c, ORIGINAL, packet);
	return verdict == CONNTRACK_PASS ? pass(table, c, ORIGINAL, packet, ret_rewrite) : verdict;
}

enum conntrack_verdict conntrack_in(struct conntrack *table, const struct conntrack_packet *packet,
				    struct conntrack_rewrite *ret_rewrite)
{
	unsigned int direction;

	switch (packet->kind) {
	case CONNTRACK_KIND_OTHER:
		return CONNTRACK_UNKNOWN;
	case CONNTRACK_KIND_ERROR:
		return error_in(table, packet, ret_rewrite);
	case CONNTRACK_KIND_FRAGMENT:
		return later_fragment(table, table->config.pods, packet, ret_rewrite);
	default:
		break;
	}
	struct connection *c = connection_find(table, &packet->tuple, &direction);
	if (c == NULL || direction != REPLY)
		return CONNTRACK_UNKNOWN;
	enum conntrack_verdict verdict = follow(table, c, REPLY, packet);
	return verdict == CONNTRACK_PASS ? pass(table, c, REPLY, packet, ret_rewrite) : verdict;
}
