// SPDX-License-Identifier: BSD-3-Clause
//
// Masquerade: what pods send to the wire leaves with the uplink's address, and the answers find back
// (conntrack/). This header is the control thread's side and free of DPDK.
//
// A peer on the wire is either masqueraded towards, or excluded. One that is excluded sees the pods' own
// addresses and may speak to them first; all others see the uplink's address only, and nothing of theirs
// gets to a pod that has not asked for it. So no connection needs to be remembered but those translated.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "conntrack/timeouts.h"

enum {
	MASQUERADE_EXCLUDED_MAX = 32,
	MASQUERADE_CONNECTIONS_MIN = 64,
	MASQUERADE_CONNECTIONS_MAX = 4 << 20,
	// Of DPDK's memory for each connection: its two keys and its endpoint, in tables with room for collisions.
	MASQUERADE_CONNECTION_BYTES = 320,
};

struct masquerade_prefix {
	bool is_ipv6;
	uint8_t length;
	uint8_t prefix[16]; // of IPv4 the first four; without host bits
};

struct masquerade_config {
	bool ipv4, ipv6; // which family's packets
	uint32_t excluded_count;
	struct masquerade_prefix excluded[MASQUERADE_EXCLUDED_MAX]; // not towards these
	uint16_t first_port, last_port; // of the uplink's address, for each protocol
	uint32_t connections;           // most that there are at once
	bool pick_up; // TCP connections that are not known may be taken up in their middle
	struct conntrack_timeouts timeouts;
};

static inline bool masquerade_is_configured(const struct masquerade_config *config)
{
	return config->ipv4 || config->ipv6;
}
