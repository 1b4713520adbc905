// SPDX-License-Identifier: BSD-3-Clause

#include "conntrack/tcp_track.h"

#include <rte_common.h>

enum {
	// How far back an acknowledgement may lie though a smaller window was advertised: one full window
	// without scaling, and what a stack may have had in flight when it shrank.
	ACK_LAG_MIN = 66000,
};

// Sequence numbers compare modulo 2^32 (RFC 9293 section 3.4).
static bool before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static bool after(uint32_t a, uint32_t b)
{
	return before(b, a);
}

static uint32_t later(uint32_t a, uint32_t b)
{
	return after(a, b) ? a : b;
}

const char *tcp_state_name(enum tcp_state state)
{
	static const char *const names[] = {
		[TCP_STATE_SYN_SENT] = "SYN_SENT", [TCP_STATE_SYN_SENT2] = "SYN_SENT2",
		[TCP_STATE_SYN_RECV] = "SYN_RECV", [TCP_STATE_ESTABLISHED] = "ESTABLISHED",
		[TCP_STATE_FIN_WAIT] = "FIN_WAIT", [TCP_STATE_CLOSE_WAIT] = "CLOSE_WAIT",
		[TCP_STATE_LAST_ACK] = "LAST_ACK", [TCP_STATE_TIME_WAIT] = "TIME_WAIT",
		[TCP_STATE_CLOSE] = "CLOSE",
	};

	return state < TCP_STATE_COUNT ? names[state] : "?";
}

// One past the last sequence number that the packet takes.
static uint32_t packet_end(const struct conntrack_tcp *tcp)
{
	return tcp->sequence + tcp->payload + ((tcp->flags & TCP_SYN) != 0) +
	       ((tcp->flags & TCP_FIN) != 0);
}

// ---- beginnings ----------------------------------------------------------------------------------

// A side's SYN, or the first of it that we see. The window of a SYN is never scaled (RFC 7323 section 2.2).
static void open_side(struct tcp_side *side, const struct conntrack_tcp *tcp)
{
	*side = (struct tcp_side){
		.seen = true,
		.end = packet_end(tcp),
		.limit = packet_end(tcp),
		.window = RTE_MAX((uint32_t)tcp->window, 1u),
		.has_scale = tcp->has_scale,
		.scale = tcp->scale,
		.has_acked = (tcp->flags & TCP_ACK) != 0,
		.acked = tcp->acknowledgement,
	};
}

// Both sides' SYN is seen: scaling is on if both want it.
static void agree(struct tcp_track *track)
{
	struct tcp_side *sides = track->sides;

	if (!sides[0].has_scale || !sides[1].has_scale)
		sides[0].scale = sides[1].scale = 0;
	for (unsigned int i = 0; i < 2; i++)
		sides[i].limit = sides[i].end + sides[!i].window;
}

bool tcp_track_open(struct tcp_track *track, const struct conntrack_packet *packet, bool pick_up)
{
	const struct conntrack_tcp *tcp = &packet->tcp;

	*track = (struct tcp_track){.first = tcp->sequence};
	if ((tcp->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN) {
		track->state = TCP_STATE_SYN_SENT;
		track->liberal = packet->fragment;
	} else if (pick_up && tcp->flags == TCP_ACK) {
		// What the scale is will never be known, so nor what a window is.
		track->state = TCP_STATE_ESTABLISHED;
		track->liberal = true;
	} else {
		return false;
	}
	open_side(&track->sides[0], tcp);
	return true;
}

// ---- windows -------------------------------------------------------------------------------------

// Where a packet is to what may be.
enum fit {
	FITS,
	OLD,    // has been and gone: sent again without need, or delayed; no harm, and no news
	BEYOND, // nobody could have sent it
};

static enum fit sequence_fit(const struct tcp_track *track, unsigned int direction,
			     const struct conntrack_tcp *tcp)
{
	const struct tcp_side *from = &track->sides[direction], *to = &track->sides[!direction];

	if (track->liberal || !from->seen)
		return FITS;
	if (after(tcp->sequence, from->limit))
		return BEYOND;
	return before(packet_end(tcp), from->end - to->window) ? OLD : FITS;
}

static enum fit acknowledgement_fit(const struct tcp_track *track, unsigned int direction,
				    const struct conntrack_tcp *tcp)
{
	const struct tcp_side *from = &track->sides[direction], *to = &track->sides[!direction];

	if (track->liberal || !to->seen || !(tcp->flags & TCP_ACK))
		return FITS;
	if (after(tcp->acknowledgement, to->end))
		return BEYOND;
	return before(tcp->acknowledgement, to->end - RTE_MAX(from->window, (uint32_t)ACK_LAG_MIN))
		       ? OLD
		       : FITS;
}

static enum fit window_fit(const struct tcp_track *track, unsigned int direction,
			   const struct conntrack_tcp *tcp)
{
	enum fit sequence = sequence_fit(track, direction, tcp);

	return RTE_MAX(sequence, acknowledgement_fit(track, direction, tcp));
}

static void advance(struct tcp_track *track, unsigned int direction,
		    const struct conntrack_tcp *tcp)
{
	struct tcp_side *from = &track->sides[direction], *to = &track->sides[!direction];
	uint32_t window = (uint32_t)tcp->window << ((tcp->flags & TCP_SYN) != 0 ? 0 : from->scale);

	if (!from->seen)
		open_side(from, tcp);
	window = RTE_MAX(window, 1u); // a closed window is probed with one byte
	from->window = RTE_MAX(from->window, window);
	from->end = later(from->end, packet_end(tcp));
	if (tcp->flags & TCP_FIN) {
		from->fin = true;
		from->fin_end = packet_end(tcp);
	}
	if (!(tcp->flags & TCP_ACK))
		return;
	from->acked =
		from->has_acked ? later(from->acked, tcp->acknowledgement) : tcp->acknowledgement;
	from->has_acked = true;
	to->limit = later(to->limit, tcp->acknowledgement + window);
	// Of a connection with holes, what is acknowledged has been sent.
	if (track->liberal && to->seen)
		to->end = later(to->end, tcp->acknowledgement);
	if (to->fin && !before(tcp->acknowledgement, to->fin_end))
		to->fin_acked = true;
}

// ---- packets -------------------------------------------------------------------------------------

// Bare SYNs: of the one who opens, and of the other if both do.
static enum tcp_verdict track_syn(struct tcp_track *track, unsigned int direction,
				  const struct conntrack_packet *packet)
{
	switch (track->state) {
	case TCP_STATE_SYN_SENT:
		if (direction == 0) {
			// Again, perhaps without the data it had before; or the client begins anew.
			uint32_t end = track->sides[0].end;
			bool again = track->first == packet->tcp.sequence;

			open_side(&track->sides[0], &packet->tcp);
			if (again)
				track->sides[0].end = later(track->sides[0].end, end);
			track->first = packet->tcp.sequence;
			return TCP_VERDICT_PASS;
		}
		open_side(&track->sides[1], &packet->tcp);
		agree(track);
		track->state = TCP_STATE_SYN_SENT2;
		return TCP_VERDICT_PASS;
	case TCP_STATE_SYN_SENT2:
		return packet_end(&packet->tcp) == track->sides[direction].end
			       ? TCP_VERDICT_KEEP
			       : TCP_VERDICT_INVALID;
	case TCP_STATE_TIME_WAIT:
	case TCP_STATE_CLOSE:
		return direction == 0 ? TCP_VERDICT_REOPEN : TCP_VERDICT_INVALID;
	default:
		// A client that has lost its memory gets an ACK that tells it to reset (RFC 5961 section 4), or,
		// if the server has forgotten as well, a new connection; a server never sends such a thing.
		if (direction == 1)
			return TCP_VERDICT_INVALID;
		if (packet->tcp.sequence != track->first) {
			open_side(&track->anew, &packet->tcp);
			track->anew_first = packet->tcp.sequence;
		}
		return TCP_VERDICT_KEEP;
	}
}

// Does the server answer the client's other SYN?
static bool answers_anew(const struct tcp_track *track, unsigned int direction,
			 const struct conntrack_tcp *tcp)
{
	return direction == 1 && track->anew.seen && (tcp->flags & TCP_ACK) &&
	       after(tcp->acknowledgement, track->anew_first) &&
	       !after(tcp->acknowledgement, track->anew.end);
}

static void begin_anew(struct tcp_track *track, const struct conntrack_tcp *tcp)
{
	*track = (struct tcp_track){
		.state = TCP_STATE_SYN_RECV,
		.first = track->anew_first,
		.sides[0] = track->anew,
	};
	open_side(&track->sides[1], tcp);
	agree(track);
}

// Is what a server acknowledges the SYN, perhaps with data behind it (RFC 7413)?
static bool acknowledges_open(const struct tcp_track *track, const struct conntrack_tcp *tcp)
{
	return (tcp->flags & TCP_ACK) && after(tcp->acknowledgement, track->first) &&
	       !after(tcp->acknowledgement, track->sides[0].end);
}

static enum tcp_verdict track_syn_ack(struct tcp_track *track, unsigned int direction,
				      const struct conntrack_tcp *tcp)
{
	if (answers_anew(track, direction, tcp)) {
		begin_anew(track, tcp);
		return TCP_VERDICT_PASS;
	}
	switch (track->state) {
	case TCP_STATE_SYN_SENT:
		// An acknowledgement of something else: from a connection before this one, or a forgery.
		if (direction == 0 || !acknowledges_open(track, tcp))
			return TCP_VERDICT_INVALID;
		open_side(&track->sides[1], tcp);
		agree(track);
		track->state = TCP_STATE_SYN_RECV;
		return TCP_VERDICT_PASS;
	case TCP_STATE_SYN_SENT2:
		if (window_fit(track, direction, tcp) != FITS)
			return TCP_VERDICT_INVALID;
		advance(track, direction, tcp);
		track->state = TCP_STATE_SYN_RECV;
		return TCP_VERDICT_PASS;
	default:
		if (window_fit(track, direction, tcp) != FITS)
			return TCP_VERDICT_INVALID;
		// The second one, of two sides that both opened.
		if (track->state != TCP_STATE_SYN_RECV || track->sides[direction].has_acked)
			return TCP_VERDICT_KEEP;
		advance(track, direction, tcp);
		track->state = TCP_STATE_ESTABLISHED;
		return TCP_VERDICT_PASS;
	}
}

// RFC 5961 section 3.2: only the very next sequence number resets; one that is merely in the window asks
// the receiver to ask back, so the connection stays.
static enum tcp_verdict track_reset(struct tcp_track *track, unsigned int direction,
				    const struct conntrack_tcp *tcp)
{
	const struct tcp_side *from = &track->sides[direction], *to = &track->sides[!direction];

	if (track->state == TCP_STATE_SYN_SENT) {
		// Refused (RFC 9293 section 3.10.7.3); or the client ends what the server still had of another.
		if (direction == 1 && !acknowledges_open(track, tcp))
			return TCP_VERDICT_INVALID;
	} else if (!answers_anew(track, direction, tcp)) {
		if (window_fit(track, direction, tcp) != FITS)
			return TCP_VERDICT_INVALID;
		if (!(from->seen && tcp->sequence == from->end) &&
		    !(to->has_acked && tcp->sequence == to->acked))
			return track->unseen ? TCP_VERDICT_ENDING : TCP_VERDICT_KEEP;
	}
	track->state = TCP_STATE_CLOSE;
	return TCP_VERDICT_PASS;
}

static enum tcp_state state_of_fins(const struct tcp_side sides[2])
{
	if (sides[0].fin && sides[1].fin)
		return sides[0].fin_acked && sides[1].fin_acked ? TCP_STATE_TIME_WAIT
								: TCP_STATE_LAST_ACK;
	if (sides[0].fin || sides[1].fin)
		return sides[0].fin_acked || sides[1].fin_acked ? TCP_STATE_CLOSE_WAIT
								: TCP_STATE_FIN_WAIT;
	return TCP_STATE_ESTABLISHED;
}

static enum tcp_verdict track_ack(struct tcp_track *track, unsigned int direction,
				  const struct conntrack_tcp *tcp)
{
	// A server that still has a connection of before answers a SYN like this, and is reset then (RFC 9293
	// section 3.5.1).
	if (track->state == TCP_STATE_SYN_SENT)
		return direction == 1 && !(tcp->flags & TCP_FIN) ? TCP_VERDICT_KEEP
								 : TCP_VERDICT_INVALID;
	switch (window_fit(track, direction, tcp)) {
	case BEYOND:
		return TCP_VERDICT_INVALID;
	case OLD:
		return TCP_VERDICT_KEEP;
	case FITS:
		break;
	}
	if (track->state == TCP_STATE_CLOSE || track->state == TCP_STATE_SYN_SENT2)
		return TCP_VERDICT_KEEP;
	advance(track, direction, tcp);
	// A server may speak before the client has acknowledged its SYN; that does not establish anything.
	if (track->state != TCP_STATE_SYN_RECV || direction == 0 || (tcp->flags & TCP_FIN) ||
	    track->sides[0].has_acked)
		track->state = (uint8_t)state_of_fins(track->sides);
	return TCP_VERDICT_PASS;
}

enum tcp_verdict tcp_track(struct tcp_track *track, unsigned int direction,
			   const struct conntrack_packet *packet)
{
	const struct conntrack_tcp *tcp = &packet->tcp;

	// How long the whole segment is, its first fragment does not say.
	track->liberal |= packet->fragment;
	if (tcp->flags & TCP_RST)
		return track_reset(track, direction, tcp);
	if ((tcp->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
		return track_syn(track, direction, packet);
	if (tcp->flags & TCP_SYN)
		return track_syn_ack(track, direction, tcp);
	return track_ack(track, direction, tcp);
}

bool tcp_track_in_flight(const struct tcp_track *track, unsigned int direction, uint32_t sequence)
{
	const struct tcp_side *from = &track->sides[direction], *to = &track->sides[!direction];

	return track->liberal || !from->seen ||
	       (before(sequence, from->end) &&
		!before(sequence, from->end - RTE_MAX(to->window, (uint32_t)ACK_LAG_MIN)));
}
