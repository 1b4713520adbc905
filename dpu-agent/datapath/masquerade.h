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
	uint16_t first_port, last_port;             // of the uplink's address, of TCP and of UDP
	uint16_t first_identifier, last_identifier; // the same of pings
	uint32_t connections;                       // most that there are at once
	bool pick_up; // TCP connections that are not known may be taken up in their middle
	struct conntrack_timeouts timeouts;
};

// Masquerade by another configuration from now on; copied. Connections stay: with a peer that is not masqueraded
// towards any more what the pod sends is not translated, so that they end in a while, and new timeouts are theirs from
// their next packet on. How many there may be and by which ports and identifiers stays as it was when the first one of either became
// possible. Errors: CODE_INTERNAL, no memory for connections where none were to be before; nothing changes then.
int masquerade_set(const struct masquerade_config *config, struct error *err);

// Does what masquerade_set() cannot change agree?
bool masquerade_same_table(const struct masquerade_config *a, const struct masquerade_config *b);

// A port of the uplink's address, of either family, that stands for an endpoint of a pod. Ports in host order.
struct masquerade_publication {
	uint64_t owner; // two that are the same but for this have nothing to do with each other
	bool is_ipv6;
	uint8_t protocol; // TCP or UDP
	uint16_t port;
	uint32_t slot; // of the pod's port
	uint16_t pod_port;
	uint8_t pod[16]; // address; of IPv4 the first 4 bytes
};
enum { MASQUERADE_PUBLISHED_MAX = 8192 };

// All that are published from now on, in any order, no port twice; copied. Those that were published before
// keep their connections, those of others end. Nothing changes on an error. Errors: CODE_INTERNAL, no memory:
// the first one may need that of all connections.
int masquerade_publish(const struct masquerade_publication *list, size_t count, struct error *err);

// What went by a published port, and through how many connections at present.
struct masquerade_published {
	bool is_ipv6;
	uint8_t protocol;
	uint16_t port;
	uint32_t connections;
	uint64_t opened, packets_in, bytes_in, packets_out, bytes_out; // to the pod, from it
};

// Ports of an address of the uplink's for one protocol.
struct masquerade_ports {
	uint32_t size, used, published; // `published`: of those in the range, given to nobody
};
enum { MASQUERADE_PROTOCOLS = 3 }; // TCP, UDP, ICMP: as in the array below

// A connection as it is told. Addresses: of IPv4 the first 4 bytes; ports in host order.
struct masquerade_connection {
	uint32_t number;  // ascending, never 0
	uint8_t kind;     // enum masquerade_kind
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

enum masquerade_kind {
	MASQUERADE_TO_WIRE,   // from a pod to a peer on the wire
	MASQUERADE_FROM_WIRE, // from a peer on the wire to a published port
	MASQUERADE_WITHIN, // from a pod or the host to a published port; `peer` is the pod behind it
};

struct masquerade_state {
	const char *protocol, *state; // "tcp", "ESTABLISHED"
	uint32_t connections;
};
enum { MASQUERADE_STATES_MAX = 16 };

struct masquerade_figures {
	uint32_t connections, most; // that there are, and may be; 0: nothing is masqueraded
	uint64_t refused_full, refused_ports;
	struct masquerade_ports ports[2][MASQUERADE_PROTOCOLS]; // IPv4, IPv6
	uint64_t refused_limit, opened, ended;
	uint32_t fragments_held;
	uint32_t state_count;
	struct masquerade_state states[MASQUERADE_STATES_MAX]; // all, also those of no connection
};

// The figures of these published ports, of which the caller says which they are, and of all. May wait, and fail, as masquerade_list().
int masquerade_look(struct masquerade_published *published, size_t count,
		    struct masquerade_figures *ret_figures, struct error *err);

// What is masqueraded, as configured. NULL: the datapath is not started.
const struct masquerade_config *masquerade_configuration(void);

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
