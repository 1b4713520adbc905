// SPDX-License-Identifier: BSD-3-Clause
//
// Connection tracking and masquerade: a packet's parsed headers in, what becomes of it out. One table
// belongs to one worker, who alone calls what is said to be a worker's; there are no locks. Nothing is
// allocated after conntrack_new().
//
//     pod 10.88.0.2:41000 ── to 198.51.100.7:443 ──► masquerade ── from 192.0.2.10:52011 ──► wire
//                         ◄── to 10.88.0.2:41000 ──            ◄── to 192.0.2.10:52011 ────
//                tuples[0] of the connection                        tuples[1]: how the answer comes
//
// What is decided here, and by which rules:
//
// * Mapping (RFC 4787 REQ-1, RFC 5382 REQ-1, RFC 5508 REQ-1): a pod's endpoint keeps its external port for
//   all its peers as long as any of its connections lives, and no other endpoint has it. Only a pod that
//   has used up its share of ports gets one that it has already a second time, for a peer to whom that
//   port does not speak yet: so a pod can have many more connections than ports, as with Linux.
// * Filtering: address and port dependent. Only who was spoken to can answer (RFC 4787 REQ-8).
// * Ports are random (RFC 6056), neither parity nor the pod's own number is kept. A ping's identifier stays the
//   pod's own if nobody has that at the external address, and is as random as a port otherwise. What a pod may
//   hold of ports and of the table is in share.h; being refused is counted for the pod.
// * Timeouts: RFC 5382 REQ-5, RFC 4787 REQ-5, RFC 5508 REQ-2. Packets that do not fit a connection are no
//   sign of life of it, nor are ICMP errors (RFC 5508 REQ-6).
// * Published ports: a port of the external address stands for an endpoint of a pod. Who comes from the wire
//   keeps its address, and its port unless the endpoint speaks to that already by another published port.
//   Who comes from within (hairpin) is given the external address and a port, so that the answer does not
//   take a shorter way back. An endpoint behind a published port leaves with that port, so that it is the
//   same from all sides, and what goes on after this table was lost goes on.
// * Fragments are not put together: the first one says where the others go, those that come before it
//   wait for it (RFC 4787 REQ-14), bounded in number and time.
// * No application layer gateways.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conntrack/headers.h"
#include "conntrack/timeouts.h"

enum {
	CONNTRACK_POOLS_MAX = 4,
	CONNTRACK_PUBLISHED_MAX = 8192,
	CONNTRACK_POD_ANY = UINT32_MAX,
	CONNTRACK_NO_POD = UINT32_MAX, // of an end: the wire
};

struct conntrack_config {
	uint32_t connections;           // most that there are at once, 64 at least
	uint32_t pods;                  // their numbers are below this; at most 65535
	uint32_t pod_connections;       // most of one pod, however much room there is; 0: its share
	uint16_t first_port, last_port; // external ones, of TCP and of UDP
	uint16_t first_identifier, last_identifier; // the same of pings
	bool pick_up; // TCP: a connection that is not known may be taken up in its middle by the pod's packets
	struct conntrack_timeouts timeouts;
	uint32_t fragmented; // packets in pieces that are under way at once, 8 at least
	uint32_t held;       // fragments that wait for the first of theirs
	uint32_t published;  // most published ports; 0: CONNTRACK_PUBLISHED_MAX
	// Gives back a fragment that has waited in vain. Worker.
	void (*discard)(void *packet);
	// A connection that is carried elsewhere is to come back: conntrack_carry_end() must follow, sooner
	// or later. False: it cannot be said now, and is asked again. NULL if conntrack_carry() is never called.
	// Worker.
	bool (*recall)(void *context, uint32_t place);
	void *context;
};

// Bounds of configuration, and what the RFCs say they must not be below; for messages to the operator.
enum {
	CONNTRACK_CONNECTIONS_MIN = 64,
	CONNTRACK_CONNECTIONS_MAX = 4 << 20,
	CONNTRACK_FRAGMENTED_MIN = 8,
};

enum conntrack_verdict {
	CONNTRACK_PASS,    // rewrite it and let it go on
	CONNTRACK_HOLD,    // a fragment before its first: kept, unless conntrack_hold() refuses it
	CONNTRACK_UNKNOWN, // from the wire, of no connection: somebody else's, or nobody's
	CONNTRACK_UNSUPPORTED, // has no ports or identifier to go by
	CONNTRACK_INVALID,     // does not fit the connection's state or window, or opens none
	CONNTRACK_NO_ADDRESS,  // there is no external address of this family
	CONNTRACK_FULL,        // the table is full, or the pod has its share of it
	CONNTRACK_NO_PORT, // no external port, or none of the pod's share, is free for this peer
	CONNTRACK_LIMITED, // the pod has pod_connections
	CONNTRACK_FRAGMENT_LOST, // its first fragment is not known, and nothing more can be held
	CONNTRACK_VERDICT_COUNT,
};
const char *conntrack_verdict_name(enum conntrack_verdict verdict);

// What is to be done with a packet that passes.
struct conntrack_rewrite {
	struct conntrack_tuple to;
	struct conntrack_tuple quote; // of an ICMP error: what it quotes
	uint32_t pod;   // whose connection: the pod's that has opened it, or else got it
	uint32_t place; // of the connection, if `steady`
	bool steady;    // it is of use to have it carried elsewhere: conntrack_carry()
	bool release;   // the first fragment of some that wait: conntrack_released() has them
	bool renumber; // an IPv4 fragment, whose identification is to be `id`: conntrack_packet_renumber()
	uint16_t id;
};

struct conntrack;

// Control thread, before the worker sees the table. EAL is initialised. `now_s` as for
// conntrack_advance(). NULL: no memory.
struct conntrack *conntrack_new(const struct conntrack_config *config, int socket, uint32_t now_s);
void conntrack_free(struct conntrack *table); // gives back held fragments; fine for NULL

// ---- worker --------------------------------------------------------------------------------------

// Let time pass: `now_s` counts seconds and never goes back. Ends what has expired, at most about
// `budget` connections in one call. True: there is more to end.
bool conntrack_advance(struct conntrack *table, uint32_t now_s, uint32_t budget);

// Is there nothing that time could end?
bool conntrack_is_idle(const struct conntrack *table);

// External address `pool` (below CONNTRACK_POOLS_MAX). Setting another one than there was, or none (NULL),
// ends its connections.
void conntrack_set_address(struct conntrack *table, uint32_t pool, uint8_t family,
			   const union conntrack_address *address);

// Other timeouts, of each connection from its next packet on, and whether one may be taken up in its middle.
void conntrack_set_timeouts(struct conntrack *table, const struct conntrack_timeouts *timeouts,
			    bool pick_up);

// Other pod_connections from now on. What a pod has beyond it stays.
void conntrack_set_pod_connections(struct conntrack *table, uint32_t most);

// The pod with this number is gone: its connections end at once, and leave the table over the next calls of
// conntrack_advance(). The number may be another pod's right away. Constant time.
void conntrack_forget_pod(struct conntrack *table, uint32_t pod);

// A port of an external address that stands for an endpoint of a pod.
struct conntrack_publication {
	uint64_t owner; // two that are the same but for this have nothing to do with each other
	uint32_t pool;
	uint8_t protocol; // TCP or UDP
	uint16_t port;    // host order
	uint32_t pod;
	uint16_t pod_port; // host order
	union conntrack_address pod_address;
};

// All that are published from now on, at most as many as configured, by ascending pool, protocol and port,
// none twice; by_endpoint: their indices by ascending pod, pool, protocol, pod_port and port. Copied.
// Connections by those that are no more end; those that stay are not touched. New ones are not given to
// masquerade from now on, but what it has given stays as long as its connections.
void conntrack_publish(struct conntrack *table, const struct conntrack_publication *list,
		       const uint16_t *by_endpoint, uint32_t count);
// A list into these orders. Any thread; needs no table.
void conntrack_sort_publications(struct conntrack_publication *list, uint16_t *ret_by_endpoint,
				 uint32_t count);

// A packet from a pod that is to leave by `pool`'s address, whose family is the packet's. Pod
// CONNTRACK_POD_ANY: an ICMP error of the router's own, about an answer to whichever pod.
enum conntrack_verdict conntrack_out(struct conntrack *table, uint32_t pod, uint32_t pool,
				     const struct conntrack_packet *packet,
				     struct conntrack_rewrite *ret_rewrite);

// A packet from a pod to where it is seen as it is: only what belongs to a published port is translated, all
// else is unknown, and goes on as it is.
enum conntrack_verdict conntrack_reply(struct conntrack *table, uint32_t pod,
				       const struct conntrack_packet *packet,
				       struct conntrack_rewrite *ret_rewrite);

// A packet from within to an external address: of a pod, or of whoever has such a number. ANY: an ICMP error
// of the router's own.
enum conntrack_verdict conntrack_hairpin(struct conntrack *table, uint32_t from,
					 const struct conntrack_packet *packet,
					 struct conntrack_rewrite *ret_rewrite);

// A packet from the wire to an external address.
enum conntrack_verdict conntrack_in(struct conntrack *table, const struct conntrack_packet *packet,
				    struct conntrack_rewrite *ret_rewrite);

// Keep the packet that conntrack_out() or conntrack_in() just said to hold. False: there is no room.
bool conntrack_hold(struct conntrack *table, void *packet);

// After a verdict with `release`, until it returns 0: up to `size` of the packets that waited. They go the
// same way again as when they came.
uint32_t conntrack_released(struct conntrack *table, void **ret_packets, uint32_t size);

// ---- carried elsewhere: worker ----------------------------------------------------------------
//
// A steady connection may be given to somebody who forwards its packets unseen, the NIC's e-switch:
//
//     steady ── conntrack_carry() ──► asked ── conntrack_carry_begin() ──► carried
//       ▲                               │                                     │ FIN, RST, its time is up, its
//       │ a while later                 │                                     ▼ pod or address is gone
//       └── conntrack_carry_end() ◄─────┴──────────────────────────────── recalled
//
// From conntrack_carry() to conntrack_carry_end() it keeps its place, its tuples and its port, also when its pod or
// its external address is gone: nobody else's packets can be taken for its own. In between, TCP's windows are not
// enforced, since much is not seen.

// Who its ends are, and the tuples by which their packets are known: a pod, and the wire or another pod.
struct conntrack_sides {
	uint32_t pods[2]; // the second: CONNTRACK_NO_POD if it is the wire
	struct conntrack_tuple sent[2];
};
// It is asked for. `place`: of a rewrite that is steady.
void conntrack_carry(struct conntrack *table, uint32_t place, struct conntrack_sides *ret_sides);
// It is carried now.
void conntrack_carry_begin(struct conntrack *table, uint32_t place);

// What the ends have sent unseen, in the order of conntrack_sides, since the last time.
struct conntrack_unseen {
	uint64_t packets[2], bytes[2];
};
// Packets have passed: a sign of life.
void conntrack_carry_note(struct conntrack *table, uint32_t place,
			  const struct conntrack_unseen *unseen);
// It is not carried any more, or was not accepted, and is not steady again before `pause_s` seconds are over.
void conntrack_carry_end(struct conntrack *table, uint32_t place,
			 const struct conntrack_unseen *unseen, uint32_t pause_s);

// ---- seeing it: worker ---------------------------------------------------------------------------

enum conntrack_kind_of_connection {
	CONNTRACK_MASQUERADE, // from a pod to the wire
	CONNTRACK_PUBLISHED,  // from the wire to a pod
	CONNTRACK_HAIRPIN,    // from within to a pod
};

struct conntrack_entry {
	uint32_t place;                  // in the table: a list that begins behind it is without it
	struct conntrack_tuple original; // as it is sent
	struct conntrack_tuple reply;    // as the answer is sent
	uint8_t kind;
	uint32_t pod;       // whose
	uint32_t expires_s; // from now
	const char *state;  // "" if the protocol has none
	bool answered;
	bool carried; // elsewhere; packets and bytes then as of the last time they were told
	uint64_t packets[2], bytes[2]; // original, reply
};

// Write up to `size` connections of this pod or of any, after looking at no more than `look` places from
// `cursor` (0 at first) on. Returns where to go on, 0 at the end.
uint32_t conntrack_list(const struct conntrack *table, uint32_t pod, uint32_t cursor, uint32_t look,
			struct conntrack_entry *ret_entries, uint32_t size, uint32_t *ret_count);

enum { CONNTRACK_PROTOCOLS = 3 }; // TCP, UDP, ICMP

struct conntrack_pod_figures {
	uint32_t connections;
	uint32_t ports[CONNTRACK_PROTOCOLS];  // held, of all external addresses
	uint64_t refused_full, refused_ports; // new connections
};
void conntrack_pod_figures(const struct conntrack *table, uint32_t pod,
			   struct conntrack_pod_figures *ret_figures);

struct conntrack_pool_figures {
	uint8_t family; // 0: no address
	union conntrack_address address;
	uint32_t ports_size[CONNTRACK_PROTOCOLS];
	uint32_t ports_held[CONNTRACK_PROTOCOLS];
	uint32_t ports_reserved[CONNTRACK_PROTOCOLS]; // published, of those in the range
};

enum { CONNTRACK_STATES_MAX = 16 };
struct conntrack_state_figures {
	const char *protocol,
		*state; // "tcp", "ESTABLISHED"; of the others "unanswered", "answered"
	uint32_t connections;
};

struct conntrack_figures {
	uint32_t connections, connections_most, size;
	uint64_t opened, ended, refused_full, refused_ports;
	uint64_t refused_limit; // by pod_connections
	uint32_t fragments_held;
	uint32_t state_count;
	struct conntrack_state_figures states[CONNTRACK_STATES_MAX];
	struct conntrack_pool_figures pools[CONNTRACK_POOLS_MAX];
};
void conntrack_figures(const struct conntrack *table, struct conntrack_figures *ret_figures);

struct conntrack_published_figures {
	uint32_t connections;
	uint64_t opened;
	uint64_t packets_in, bytes_in, packets_out, bytes_out; // to the pod, from it
};
// Of the port that was published as this one. False: it is not.
bool conntrack_published_figures(const struct conntrack *table, uint32_t pool, uint8_t protocol,
				 uint16_t port, struct conntrack_published_figures *ret_figures);

// Abort if the table contradicts itself: every connection found by both tuples and nowhere else, counts
// and shares right. For tests; looks at everything.
void conntrack_check(const struct conntrack *table);
