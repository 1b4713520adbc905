// SPDX-License-Identifier: BSD-3-Clause
//
// What is routed between pods and the wire, and not masqueraded, in the e-switch.
//
//     group 1  from the wire, to its MAC, to a pod's address    -> jump 7                 (pod, family)
//              untagged, intact, to the router's MAC, fits      -> jump 8                 (family)
//     group 5  the same, and of no connection                   -> jump 8                 (family)
//     group 7  from a MAC address that nobody has; tagged: TTL or hop limit 0 or 1, neighbour discovery -> slow path
//              from a prefix that may speak to pods             -> count, jump 3          (prefix)
//              from one that may not                            -> slow path              (prefix)
//     of a pod that publishes ports, before those to 8          -> jump 9                 (pod, family)
//     group 9  TCP, UDP from such a port of this pod's          -> slow path              (pod, port, family)
//              other TCP, UDP, pings, no fragments              -> jump 8                 (family)
//     or, if the NIC cannot tell:
//     group 8  from a pod that publishes ports                  -> slow path              (pod, family)
//              to a prefix by a next hop that is there          -> jump 2                 (prefix)
//              to any prefix that is told apart                 -> slow path, less preferred (prefix)
//     group 3  to a prefix          -> count, push tag, rewrite MACs, decrement TTL, to the wire (prefix)
//     a miss in any of them is the slow path; group 5 has connections (connections.h), group 2 checks a pod's source
//
// So of two prefixes the longer decides, also when its next hop is not there, and the number of rules is that of pods
// plus that of prefixes. Control thread; free of DPDK.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "offload/offload.h"

enum {
	// Prefixes told apart: routes, what is not masqueraded towards, neighbours on the link, and those of RFCs.
	OFFLOAD_ROUTES_MAX = 1152,
	OFFLOAD_SOURCES_MAX = 64,
};

// Of IPv4 the first 4 bytes; no bits behind the length.
struct offload_prefix {
	bool is_ipv6;
	uint8_t length;
	uint8_t address[16];
};

static inline bool offload_prefix_equal(const struct offload_prefix *a,
					const struct offload_prefix *b)
{
	return a->is_ipv6 == b->is_ipv6 && a->length == b->length &&
	       memcmp(a->address, b->address, sizeof(a->address)) == 0;
}

// What pods send to addresses of which this is the longest prefix that is told.
struct offload_route {
	struct offload_prefix to;
	bool forward; // else it is the slow path's
	struct mac next_hop_mac;
	uint32_t next_hop; // the caller's number, for offload_routes_used()
};

// What somebody on the wire with such an address sends to pods; as above.
struct offload_source {
	struct offload_prefix from;
	bool forward;
};

// Who the agent is on the wire.
struct offload_wire {
	bool ipv4, ipv6; // packets of this family are routed there, some at least
	struct mac mac;
	uint16_t vlan; // 0: untagged
	uint32_t mtu;
	uint32_t source_count;
	struct offload_source sources[OFFLOAD_SOURCES_MAX];
};

// Another wire; NULL: none. The rules of pods are made anew if they depend on what differs. Fine also before
// offload_begin. Blocks as offload_add() of all pods does.
void offload_set_wire(struct offload *offload, const struct offload_wire *wire);

// All prefixes there are, none twice. When it returns no packet goes by a route that is not among them. Blocks for
// some milliseconds; what is not in by then, or refused, offload_retry does.
void offload_set_routes(struct offload *offload, const struct offload_route *routes, size_t count);

// Calls `use` for the next hop of each route that packets have gone by since the last time; for some several times.
void offload_routes_used(struct offload *offload, void (*use)(void *context, uint32_t next_hop),
			 void *context);
