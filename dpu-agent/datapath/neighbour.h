// SPDX-License-Identifier: BSD-3-Clause
//
// Neighbours: the MAC addresses of who is on the wire, and of the host. RFC 4861 section 7.3 for
// both families; an ARP reply counts as a solicited advertisement (RFC 826, RFC 1122 section 2.3.2.1).
//
//     worker                     ring                    control thread
//     looks up, and sends   ── wanted, used, heard ──►   the table, its states and their timers
//     or lets wait          ◄── published MAC ────────   questions, announcements
//
// Only the control thread changes a state; all calls here are its own. Free of DPDK.

#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/message.h"

enum {
	NEIGHBOURS_MAX = 1024,              // as many on one link as Linux keeps (gc_thresh3)
	NEIGHBOUR_TRIES = 3,                // MAX_MULTICAST_SOLICIT, MAX_UNICAST_SOLICIT
	NEIGHBOUR_RETRY_MS = 1000,          // RETRANS_TIMER
	NEIGHBOUR_REACHABLE_MS = 30 * 1000, // REACHABLE_TIME, times 0.5 to 1.5
	NEIGHBOUR_DELAY_MS = 5 * 1000,      // DELAY_FIRST_PROBE_TIME
	NEIGHBOUR_STALE_MS = 300 * 1000,    // not used for that long: forgotten
	NEIGHBOUR_FAILED_MS = 3 * 1000,     // how long all are told at once that it is not there
	ANNOUNCE_TIMES = 3,                 // MAX_NEIGHBOR_ADVERTISEMENT
};

enum neighbour_state {
	NEIGHBOUR_NONE,
	NEIGHBOUR_INCOMPLETE,
	NEIGHBOUR_REACHABLE,
	NEIGHBOUR_STALE,
	NEIGHBOUR_DELAY,
	NEIGHBOUR_PROBE,
	NEIGHBOUR_FAILED,
};

const char *neighbour_state_name(enum neighbour_state state); // "incomplete", …

struct neighbour_info {
	uint32_t number; // ascending, never 0; another may have it later
	uint32_t slot;   // of the port it is behind
	bool is_ipv6;
	uint8_t address[16]; // network order; of IPv4 the first 4 bytes
	bool has_mac;
	struct mac mac;
	enum neighbour_state state;
	uint64_t age_ms; // in this state
};

// Rings (poll for reading) when workers have something to tell.
int neighbours_event_fd(void);

// Hear the workers, and do what is due at `now_ms`, a monotonic clock's. Returns in how many
// milliseconds it wants to be called again although nothing rings, -1: never.
int64_t neighbours_run(uint64_t now_ms);

// The neighbours behind number `after` (0: from the start), at most `size`. Returns how many.
size_t neighbours_list(uint32_t after, uint64_t now_ms, struct neighbour_info *ret_infos,
		       size_t size);

// The number of this neighbour if packets can be sent to it just now, with its MAC address; 0: they cannot.
uint32_t neighbours_find(uint32_t slot, bool is_ipv6, const uint8_t address[16],
			 struct mac *ret_mac);
// It is sent to by somebody whom workers do not see: its address is confirmed from time to time, as for them.
void neighbours_use(uint32_t number);
// Ask all behind the host's port who has the gateway's address: the answer comes from where the host is (datapath_host_mac).
void neighbours_ask_host(uint32_t slot);
