// SPDX-License-Identifier: BSD-3-Clause
//
// What becomes of a packet: which connection it belongs to, whether it fits that, and what it looks
// like on the other side.

#include "conntrack/conntrack_private.h"

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
		return timeouts->tcp_closing;
	case TCP_STATE_LAST_ACK:
		// The last acknowledgement may have passed unseen; if it was lost, another FIN is seen.
		return tcp->unseen ? RTE_MIN(timeouts->tcp_closing, timeouts->tcp_time_wait)
				   : timeouts->tcp_closing;
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
		return c->tuples[REPLY].source_port == RTE_BE16(DNS_PORT) ? timeouts->udp_dns
									  : timeouts->udp_answered;
	default:
		return timeouts->icmp;
	}
}

static void count(struct conntrack *table, struct connection *c, unsigned int direction,
		  const struct conntrack_packet *packet)
{
	c->packets[direction]++;
	c->bytes[direction] += packet->length;
	if (unlikely(connection_is_by_published(c)))
		publish_count(table, c, direction, 1, packet->length);
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
	count(table, c, direction, packet);
	if (ending)
		connection_keep(
			table, c,
			RTE_MIN(connection_timeout(table, c), table->config.timeouts.tcp_closing));
	else if (alive)
		connection_keep(table, c, connection_timeout(table, c));
	return CONNTRACK_PASS;
}

static enum conntrack_verdict open_for(struct conntrack *table, uint32_t from, uint32_t pool,
				       uint16_t published, const struct conntrack_packet *packet,
				       struct connection **ret_connection)
{
	struct opening opening = {
		.original = &packet->tuple, .pool = pool, .from = from, .published = published};
	struct tcp_track tcp = {0};

	if (table->pools[pool].family != packet->tuple.family)
		return CONNTRACK_NO_ADDRESS;
	if (packet->kind == CONNTRACK_KIND_TCP &&
	    !tcp_track_open(&tcp, packet, table->config.pick_up))
		return CONNTRACK_INVALID;
	// A reply to an echo that nobody has asked for.
	if (packet->kind == CONNTRACK_KIND_ECHO && packet->tuple.destination_port != 0)
		return CONNTRACK_INVALID;
	enum conntrack_verdict verdict = connection_open(table, &opening, ret_connection);
	if (verdict != CONNTRACK_PASS)
		return verdict;
	struct connection *c = *ret_connection;
	c->tcp = tcp;
	count(table, c, ORIGINAL, packet);
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
	*ret_rewrite = (struct conntrack_rewrite){
		.to = route->to, .pod = route->pod, .renumber = route->renumber, .id = route->id};
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
		.to = connection_after(c, direction),
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
			.renumber = packet->tuple.family == 4 &&
				    packet->tuple.source.ipv4_be != ret_rewrite->to.source.ipv4_be,
		};

		ret_rewrite->release = fragments_learn(table->fragments, c->pod, packet, &route);
		ret_rewrite->renumber = route.renumber;
		ret_rewrite->id = route.id;
	}
	return CONNTRACK_PASS;
}

// ---- ICMP errors ---------------------------------------------------------------------------------

// The connection that the error is about; the direction of the packet that it quotes.
static struct connection *find_quoted(struct conntrack *table,
				      const struct conntrack_packet *packet,
				      unsigned int *ret_direction)
{
	const struct conntrack_quote *quote = &packet->quote;
	struct conntrack_tuple answer = conntrack_tuple_invert(&quote->tuple);
	unsigned int answer_direction;

	if (quote->kind == CONNTRACK_KIND_OTHER)
		return NULL;
	struct connection *c = connection_find(table, &answer, &answer_direction);
	if (c == NULL || (quote->has_sequence &&
			  !tcp_track_in_flight(&c->tcp, !answer_direction, quote->sequence)))
		return NULL;
	*ret_direction = !answer_direction;
	return c;
}

// It goes to who sent the quoted packet, and quotes that as it was sent. It must come from where the packet
// went, and its destination be that packet's source, or it is no answer to it. Who sent the error stays its
// sender if it is somebody on the way; the other end itself is called what it is called on this side.
static enum conntrack_verdict translate_error(struct conntrack *table, uint32_t from,
					      const struct conntrack_packet *packet,
					      struct conntrack_rewrite *ret_rewrite)
{
	unsigned int direction;
	struct connection *c = find_quoted(table, packet, &direction);

	if (c == NULL || (from != CONNTRACK_POD_ANY && c->ends[!direction] != from))
		return CONNTRACK_UNKNOWN;
	const struct conntrack_tuple *answer = &c->tuples[!direction];
	if (!conntrack_address_equal(&packet->tuple.destination, &answer->destination))
		return CONNTRACK_INVALID;
	*ret_rewrite = (struct conntrack_rewrite){
		.to = packet->tuple,
		.quote = c->tuples[direction],
		.pod = c->pod,
	};
	ret_rewrite->to.destination = c->tuples[direction].source;
	if (conntrack_address_equal(&packet->tuple.source, &answer->source))
		ret_rewrite->to.source = c->tuples[direction].destination;
	return CONNTRACK_PASS;
}

// ---- the ways ------------------------------------------------------------------------------------

// Of those kinds that make no difference between the ways. False: it is of another kind.
static bool translate_by_kind(struct conntrack *table, uint32_t from,
			      const struct conntrack_packet *packet,
			      struct conntrack_rewrite *ret_rewrite,
			      enum conntrack_verdict *ret_verdict)
{
	switch (packet->kind) {
	case CONNTRACK_KIND_OTHER:
		*ret_verdict = CONNTRACK_UNKNOWN;
		return true;
	case CONNTRACK_KIND_ERROR:
		*ret_verdict = translate_error(table, from, packet, ret_rewrite);
		return true;
	case CONNTRACK_KIND_FRAGMENT:
		*ret_verdict = later_fragment(table, from, packet, ret_rewrite);
		return true;
	default:
		return false;
	}
}

static enum conntrack_verdict follow_and_pass(struct conntrack *table, struct connection *c,
					      unsigned int direction,
					      const struct conntrack_packet *packet,
					      struct conntrack_rewrite *ret_rewrite)
{
	enum conntrack_verdict verdict = follow(table, c, direction, packet);

	return verdict == CONNTRACK_PASS ? pass(table, c, direction, packet, ret_rewrite) : verdict;
}

static enum conntrack_verdict open_and_pass(struct conntrack *table, uint32_t from, uint32_t pool,
					    uint16_t published,
					    const struct conntrack_packet *packet,
					    struct conntrack_rewrite *ret_rewrite)
{
	struct connection *c;
	enum conntrack_verdict verdict = open_for(table, from, pool, published, packet, &c);

	return verdict == CONNTRACK_PASS ? pass(table, c, ORIGINAL, packet, ret_rewrite) : verdict;
}

enum conntrack_verdict conntrack_out(struct conntrack *table, uint32_t pod, uint32_t pool,
				     const struct conntrack_packet *packet,
				     struct conntrack_rewrite *ret_rewrite)
{
	enum conntrack_verdict verdict;
	unsigned int direction;

	if (packet->kind == CONNTRACK_KIND_OTHER)
		return CONNTRACK_UNSUPPORTED;
	if (translate_by_kind(table, pod, packet, ret_rewrite, &verdict))
		return verdict == CONNTRACK_UNKNOWN ? CONNTRACK_INVALID : verdict;
	struct connection *c = connection_find(table, &packet->tuple, &direction);
	if (c == NULL)
		return direction == DIRECTION_BLOCKED
			       ? CONNTRACK_INVALID
			       : open_and_pass(table, pod, pool, PUBLISHED_NONE, packet,
					       ret_rewrite);
	if (c->ends[direction] != pod)
		return CONNTRACK_INVALID;
	return follow_and_pass(table, c, direction, packet, ret_rewrite);
}

// Its other fragments go on as they are as well.
static enum conntrack_verdict leave_alone(struct conntrack *table, uint32_t pod,
					  const struct conntrack_packet *packet,
					  struct conntrack_rewrite *ret_rewrite)
{
	if (likely(!packet->fragment))
		return CONNTRACK_UNKNOWN;
	struct fragments_route route = {
		.to = packet->tuple,
		.pod = pod,
		.pod_epoch = table->pods[pod].epoch,
	};
	*ret_rewrite = (struct conntrack_rewrite){.to = packet->tuple, .pod = pod};
	route.pool_epoch = table->pools[0].epoch;
	ret_rewrite->release = fragments_learn(table->fragments, pod, packet, &route);
	return CONNTRACK_PASS;
}

enum conntrack_verdict conntrack_reply(struct conntrack *table, uint32_t pod,
				       const struct conntrack_packet *packet,
				       struct conntrack_rewrite *ret_rewrite)
{
	enum conntrack_verdict verdict;
	unsigned int direction;

	if (translate_by_kind(table, pod, packet, ret_rewrite, &verdict))
		return verdict;
	struct connection *c = connection_find(table, &packet->tuple, &direction);
	if (c == NULL && direction == DIRECTION_BLOCKED)
		return CONNTRACK_INVALID;
	// One that was masqueraded until the peer was excluded from that is not by a published port either.
	if (c == NULL || c->ends[direction] != pod || c->published == PUBLISHED_NONE)
		return leave_alone(table, pod, packet, ret_rewrite);
	return follow_and_pass(table, c, direction, packet, ret_rewrite);
}

// To an external address, from a pod or from the wire: to a pod, by a connection or a published port.
static enum conntrack_verdict translate_inward(struct conntrack *table, uint32_t from,
					       const struct conntrack_packet *packet,
					       struct conntrack_rewrite *ret_rewrite)
{
	enum conntrack_verdict verdict;
	unsigned int direction;
	uint32_t pool = 0;

	if (translate_by_kind(table, from, packet, ret_rewrite, &verdict))
		return verdict;
	struct connection *c = connection_find(table, &packet->tuple, &direction);
	if (c != NULL && c->ends[direction] == from)
		return follow_and_pass(table, c, direction, packet, ret_rewrite);
	if (c != NULL || direction == DIRECTION_BLOCKED || packet->kind == CONNTRACK_KIND_ECHO)
		return CONNTRACK_UNKNOWN;
	while (table->pools[pool].family != packet->tuple.family ||
	       !conntrack_address_equal(&table->pools[pool].address, &packet->tuple.destination)) {
		if (++pool == CONNTRACK_POOLS_MAX)
			return CONNTRACK_UNKNOWN;
	}
	uint16_t published = publish_find(table, pool, &packet->tuple);
	if (published == PUBLISHED_NONE)
		return CONNTRACK_UNKNOWN;
	return open_and_pass(table, from, pool, published, packet, ret_rewrite);
}

enum conntrack_verdict conntrack_hairpin(struct conntrack *table, uint32_t from,
					 const struct conntrack_packet *packet,
					 struct conntrack_rewrite *ret_rewrite)
{
	if (from == CONNTRACK_POD_ANY && packet->kind != CONNTRACK_KIND_ERROR)
		return CONNTRACK_UNKNOWN;
	return translate_inward(table, from, packet, ret_rewrite);
}

enum conntrack_verdict conntrack_in(struct conntrack *table, const struct conntrack_packet *packet,
				    struct conntrack_rewrite *ret_rewrite)
{
	return translate_inward(table, conntrack_wire(table), packet, ret_rewrite);
}
