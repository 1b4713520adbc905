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
#include <stddef.h>
#include <stdint.h>

#include "conntrack/timeouts.h"
#include "proto/base/error.h"

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

// A connection as it is told. Addresses: of IPv4 the first 4 bytes; ports in host order.
struct masquerade_connection {
	uint32_t number;  // ascending, never 0
	uint8_t protocol; // IPPROTO_...
	bool is_ipv6;
	uint8_t pod[16], peer[16], external[16];
	uint16_t pod_port, peer_port, external_port; // of a ping its identifier, and the peer's 0
	const char *state;                           // of TCP, else ""
	bool answered;
	bool carried; // by the e-switch
	uint32_t expires_s;
	uint64_t packets_sent, bytes_sent, packets_received, bytes_received; // by the pod
};

struct masquerade_figures {
	uint32_t connections, most; // that there are, and may be; 0: nothing is masqueraded
	uint64_t refused_full, refused_ports;
};

// Up to `size` connections with numbers above `after`, ascending. The worker is asked, in steps that take
// it some microseconds each; so this may wait for it. Errors: -ETIMEDOUT with CODE_INTERNAL: it does not
// answer. Nothing masqueraded: no error, no connection.
int masquerade_list(uint32_t after, struct masquerade_connection *ret_connections, size_t size,
		    size_t *ret_count, bool *ret_more, struct masquerade_figures *ret_figures,
		    struct error *err);

static inline bool masquerade_is_configured(const struct masquerade_config *config)
{
	return config->ipv4 || config->ipv6;
}
