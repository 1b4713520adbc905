// SPDX-License-Identifier: BSD-3-Clause
//
// What workers see of the neighbours, and the rest of datapath.c. Not for other folders.

#pragma once

#include <rte_rcu_qsbr.h>
#include <rte_ring.h>

#include "datapath/neighbour.h"
#include "datapath/worker.h"

struct neighbour_key {
	uint8_t address[16]; // of IPv4 the first 4 bytes, the others 0
	uint16_t slot;       // of the port it is behind
	uint16_t is_ipv6;
};

// What is published of a neighbour: its MAC address in the low 48 bits, as rte_ether_addr has it in
// memory, and:
#define LINK_USABLE    (1ull << 48)
#define LINK_REACHABLE (1ull << 49) // what confirms it is no news
#define LINK_STALE     (1ull << 50) // who uses it says so, once
#define LINK_FAILED    (1ull << 51)

struct neighbours {
	struct rte_hash *by_key;
	struct rte_ring *events;
	int event_fd;
	_Atomic bool rung;      // the control thread has yet to look
	_Atomic uint32_t epoch; // grows when somebody who is waited for is found, or given up
	_Atomic uint64_t links[NEIGHBOURS_MAX];
	_Atomic bool used[NEIGHBOURS_MAX];
};

// From a worker.
struct neighbour_event {
	struct neighbour_key key;
	uint8_t mac[6];
	uint8_t kind; // enum neighbour_event_kind
	uint8_t flags;
	uint8_t unused[4];
};
_Static_assert(sizeof(struct neighbour_event) == 32, "an element of a ring");

enum neighbour_event_kind {
	EVENT_WANTED, // a packet waits for it
	EVENT_USED,   // a stale one
	EVENT_HEARD,  // it has said something of itself
};
enum {
	HEARD_MAC = 1,       // `mac` is valid
	HEARD_SOLICITED = 2, // it was asked
	HEARD_OVERRIDE = 4,
};

// ---- workers -------------------------------------------------------------------------------------

enum neighbour_answer { ANSWER_KNOWN, ANSWER_WAIT, ANSWER_UNREACHABLE };

enum neighbour_answer neighbour_look_up(struct worker *w, struct rte_mbuf *m,
					const struct graph_port *out);

// Who is next on the way out of this port? A pod's MAC address is its port's, and the host's is
// learned from what it sends; on the wire the metadata's next_hop tells whom to look up, and its MAC
// address is put into wire_mac.
static inline enum neighbour_answer neighbour_find(struct worker *w, struct rte_mbuf *m,
						   const struct graph_port *out)
{
	if (likely(out->config.role == DATAPATH_ROLE_POD) ||
	    (out->config.role == DATAPATH_ROLE_HOST &&
	     atomic_load_explicit(&out->learned_mac, memory_order_relaxed) != 0))
		return ANSWER_KNOWN;
	return neighbour_look_up(w, m, out);
}

// The host sends from another MAC address than before: have the control thread look (datapath_host_mac).
void neighbour_host_moved(struct worker *w);

// Ask the control thread to find whom the packet is for. False: its ring is full.
bool neighbour_want(struct worker *w, const struct rte_mbuf *m);

// Somebody on the wire has told its MAC address, NULL: none. Of those that nobody has asked for
// nothing is kept. `address`: 4 or 16 bytes.
void neighbour_heard(struct worker *w, const struct rte_mbuf *m, bool is_ipv6, const void *address,
		     const uint8_t *mac, uint8_t flags);

// ---- control thread (datapath.c, uplink.c) -------------------------------------------------------

int neighbours_start(struct rte_rcu_qsbr *qsbr, struct neighbours **ret_neighbours,
		     struct error *err);
void neighbours_stop(void); // fine if not started

// All behind this port. No worker holds one of them when this returns.
void neighbours_forget(uint32_t slot);

// Tell the wire that the addresses are here, ANNOUNCE_TIMES times from the next run on.
void neighbours_announce(void);

// ---- their packets (neighbour_packet.c) ----------------------------------------------------------

// "Who has this address?" to all, or, with a MAC address, to who had it.
void neighbour_ask(const struct neighbour_key *key, const uint8_t *mac);
// "I have": the uplink's own addresses.
void neighbour_send_announcements(void);
