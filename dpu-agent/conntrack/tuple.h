// SPDX-License-Identifier: BSD-3-Clause
//
// Who speaks with whom: the five values that tell connections apart, as they stand in a packet. Also
// a hash key, so every byte counts and unused ones are zero.

#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <rte_byteorder.h>

union conntrack_address {
	uint8_t bytes[16]; // IPv4 in the first four, the rest zero
	uint32_t words[4];
	rte_be32_t ipv4_be;
};

struct conntrack_tuple {
	union conntrack_address source, destination;
	// Of an ICMP echo the identifier, which is the asking side's port: the source port of a request, the
	// destination port of a reply; the other one is 0.
	rte_be16_t source_port, destination_port;
	uint8_t family;   // 4 or 6
	uint8_t protocol; // IPPROTO_...
	uint16_t zero;
};
_Static_assert(sizeof(struct conntrack_tuple) == 40, "no padding: it is hashed and compared whole");

// The tuple of an answer to the packet.
static inline struct conntrack_tuple conntrack_tuple_invert(const struct conntrack_tuple *tuple)
{
	struct conntrack_tuple inverse = *tuple;

	inverse.source = tuple->destination;
	inverse.destination = tuple->source;
	inverse.source_port = tuple->destination_port;
	inverse.destination_port = tuple->source_port;
	return inverse;
}

static inline bool conntrack_tuple_equal(const struct conntrack_tuple *a,
					 const struct conntrack_tuple *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static inline bool conntrack_address_equal(const union conntrack_address *a,
					   const union conntrack_address *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}
