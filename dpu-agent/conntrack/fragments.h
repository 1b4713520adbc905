// SPDX-License-Identifier: BSD-3-Clause
//
// Where the fragments of a packet go: what its first one, which has the ports, was given for addresses.
// Those that come before it wait. Both are bounded, in all and for each owner. One worker.

#pragma once

#include "conntrack/headers.h"

struct fragments;

struct fragments_config {
	uint32_t packets; // in pieces, under way at once
	uint32_t held;
	uint32_t owners; // numbers below this
	uint32_t timeout_s;
	void (*discard)(void *packet);
};

// What is known of a packet in pieces.
struct fragments_route {
	struct conntrack_tuple to; // addresses only
	uint32_t pod, pod_epoch;   // whose
	uint32_t pool, pool_epoch;
	bool renumber; // IPv4, and the source changes: its pieces get `id`, which fragments_learn() chooses
	uint16_t id;
};

struct fragments *fragments_new(const struct fragments_config *config, int socket, uint32_t now_s);
// Of those that begin from now on.
void fragments_set_timeout(struct fragments *fragments, uint32_t timeout_s);
void fragments_free(struct fragments *fragments); // discards what is held

// The first one is there: the others go the same way. route->id is set, if it is to be. True: some have waited for it.
bool fragments_learn(struct fragments *fragments, uint32_t owner,
		     const struct conntrack_packet *packet, struct fragments_route *route);

// Where a later one goes. NULL: not known yet.
const struct fragments_route *fragments_find(struct fragments *fragments,
					     const struct conntrack_packet *packet);

// Keep a later one that is not known yet. False: no room, or the owner has its share.
bool fragments_hold(struct fragments *fragments, uint32_t owner,
		    const struct conntrack_packet *packet, void *mbuf);

// Take back up to `size` of those whose first one has come.
uint32_t fragments_release(struct fragments *fragments, void **ret_packets, uint32_t size);

void fragments_advance(struct fragments *fragments, uint32_t now_s, uint32_t budget);
uint32_t fragments_held(const struct fragments *fragments);
