// SPDX-License-Identifier: BSD-3-Clause
//
// The masquerading worker's state. There is one table of connections, and it is the worker's that polls the
// uplink: it sees all answers. Other workers hand over what is to leave by a ring. While no uplink is
// started nobody has the table; a port is removed in full before it comes back elsewhere, so never do two.

#pragma once

#include <rte_ring.h>

#include "conntrack/conntrack.h"
#include "datapath/masquerade.h"
#include "datapath/worker.h"

// External addresses: the uplink's.
enum { MASQUERADE_POOL_IPV4 = 0, MASQUERADE_POOL_IPV6 = 1 };

// A question of the control thread's, for the worker that has the table.
struct masquerade_question {
	uint32_t cursor;
	struct conntrack_entry *entries;
	uint32_t size, count;
	struct conntrack_figures figures;
	struct masquerade_published *published; // to be given their figures
	size_t published_count;
	_Atomic bool answered;
};

// What is published, as the table wants it. Immutable, replaced whole.
struct published_ports {
	uint64_t serial;
	struct conntrack_publication *list;
	uint16_t *by_endpoint;
	uint32_t count;
	bool slots[DATAPATH_PORTS_MAX]; // whose something is
};
void published_ports_free(const struct published_ports *published); // NULL is fine

static inline bool publishes(const struct snapshot *s, uint16_t slot)
{
	return s->published != NULL && s->published->slots[slot];
}

struct masquerade {
	struct conntrack *table;
	struct rte_ring *handover; // to the worker that has the table; NULL: there is but one
	struct worker **workers;
	uint32_t worker_count;
	struct masquerade_question *_Atomic question;
	struct carry *carry; // datapath_carry()
	uint64_t published;  // serial of the list that the table has, 0: none
	uint64_t serial;     // of the snapshot that these are of
	uint32_t generations
		[DATAPATH_PORTS_MAX]; // of the pods whose connections the table has, 0: none
	uint32_t now_s;
	bool busy; // there was more to end
};

// `carry` and `workers` stay the caller's.
int masquerade_new(const struct masquerade_config *config, struct carry *carry,
		   struct worker **workers, uint32_t count, struct masquerade **ret_masquerade,
		   struct error *err);
void masquerade_free(struct masquerade *masquerade);

static inline bool masquerade_is_mine(const struct worker *w)
{
	const struct snapshot *s = w->snapshot;

	return s->uplink_slot != NO_SLOT && s->uplink_slot % w->stride == w->index;
}

// Is what goes to this peer on the wire masqueraded? `peer`: 4 or 16 bytes.
bool masquerade_reaches(const struct snapshot *s, bool ipv4, const void *peer);

// Time, pods that have gone, and the uplink's addresses. Before the packets of a walk.
void masquerade_follow(struct masquerade *masquerade, const struct snapshot *s);

// Give it to the worker that has the table, by masquerade_clock. False: that has no room, or there is none.
bool masquerade_hand_over(struct worker *w, struct rte_mbuf *m);

enum masquerade_way {
	MASQUERADE_OUT,
	MASQUERADE_OUT_OWN, // an ICMP error of the router's own
	MASQUERADE_REPLY,   // to where nothing is masqueraded
	MASQUERADE_IN,
	MASQUERADE_HAIRPIN,     // from a pod or the host to the uplink's address
	MASQUERADE_HAIRPIN_OWN, // an ICMP error of the router's own to there
};

// Translate the packet, by the worker that has the table. CONNTRACK_HOLD: it is the table's now.
// *ret_release: then those that have waited for it are to go the same way.
enum conntrack_verdict masquerade_translate(struct masquerade *masquerade, struct rte_mbuf *m,
					    enum masquerade_way way, bool *ret_release);

// Worker: answer what is asked, if something is.
void masquerade_answer(struct masquerade *masquerade);

enum drop_reason masquerade_drop_reason(enum conntrack_verdict verdict);

// ---- carry.c -------------------------------------------------------------------------------------

int carry_new(struct carry **ret_carry, struct error *err);
void carry_free(struct carry *carry); // NULL is fine
// Worker. Offer the connection at this place. next_hop: of its packet to the wire; NULL: neither end is there.
void carry_offer(struct masquerade *masquerade, const uint8_t *next_hop, uint32_t place);
// As struct conntrack_config has it.
bool carry_recall(void *context, uint32_t place);
// Hear what the control thread has answered.
void carry_follow(struct masquerade *masquerade);
