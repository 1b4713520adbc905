// SPDX-License-Identifier: BSD-3-Clause
//
// What a middlebox can know of a TCP connection: how far it has come, and which sequence numbers each
// side may send and acknowledge. The windows are those of Guido van Rooij, "Real Stateful TCP Packet
// Filtering in IP Filter" (2000), which the Linux kernel uses as well; the states have its names.
//
//     SYN_SENT ── SYN+ACK ──► SYN_RECV ── ACK ──► ESTABLISHED ── FIN ──► FIN_WAIT ── its ACK ──► CLOSE_WAIT
//        │ SYN of the other side   ▲                                        │ FIN of the other side   │
//        └──► SYN_SENT2 ── SYN+ACK ┘                                        └────► LAST_ACK ◄─────────┘
//                                                                                     │ both acknowledged
//     CLOSE: an RST that fits, from any state                                      TIME_WAIT
//
// Directions: 0 is that of the first packet. Workers.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "conntrack/headers.h"

enum tcp_state {
	TCP_STATE_SYN_SENT,
	TCP_STATE_SYN_SENT2, // both opened (RFC 9293 section 3.5, figure 7)
	TCP_STATE_SYN_RECV,
	TCP_STATE_ESTABLISHED,
	TCP_STATE_FIN_WAIT,   // one side has closed
	TCP_STATE_CLOSE_WAIT, // and the other knows
	TCP_STATE_LAST_ACK,   // both have closed
	TCP_STATE_TIME_WAIT,  // and know of it
	TCP_STATE_CLOSE,      // reset
	TCP_STATE_COUNT,
};

struct tcp_side {
	uint32_t end;    // one past the highest sequence number it has sent
	uint32_t limit;  // the highest `end` that the other side lets it have
	uint32_t window; // the largest it has advertised, bytes; at least 1
	uint32_t acked;  // the highest acknowledgement it has sent
	uint32_t fin_end;
	uint8_t scale;
	bool seen, has_scale, has_acked, fin, fin_acked;
};

struct tcp_track {
	uint8_t state; // enum tcp_state
	// No packet is out of its window: the connection was taken up in its middle, has been fragmented, or packets
	// of it pass unseen.
	bool liberal;
	bool unseen;    // packets of it pass unseen, so it is liberal
	uint32_t first; // sequence number of the SYN that opened it
	struct tcp_side sides[2];
	// A SYN of the client's that does not belong to this connection, let through for the server to say
	// whether it still has it; not seen: none.
	struct tcp_side anew;
	uint32_t anew_first;
};

enum tcp_verdict {
	TCP_VERDICT_PASS,
	TCP_VERDICT_KEEP, // let it pass; but it is no sign of life
	// A reset that may fit what was not seen: most likely the end, which is near if nothing follows.
	TCP_VERDICT_ENDING,
	TCP_VERDICT_REOPEN, // a new connection with the same ports: begin again with tcp_track_open()
	TCP_VERDICT_INVALID, // belongs to no connection that there is
};

// The first packet. pick_up: one from the middle of a connection is as good. Returns false if it opens
// none.
bool tcp_track_open(struct tcp_track *track, const struct conntrack_packet *packet, bool pick_up);

// A further one, in direction 0 or 1.
enum tcp_verdict tcp_track(struct tcp_track *track, unsigned int direction,
			   const struct conntrack_packet *packet);

// May this sequence number of direction's have been lost or refused on its way just now? For ICMP errors
// (RFC 5927 section 4.1).
bool tcp_track_in_flight(const struct tcp_track *track, unsigned int direction, uint32_t sequence);

const char *tcp_state_name(enum tcp_state state);
