// SPDX-License-Identifier: BSD-3-Clause
//
// Whose address is it: the ports' addresses, each with its port's slot. Made whole from the ports of a snapshot and
// published with them, so that an address never leads to a port that is not there yet, and no worker sees it change.
//
// Open addressing, a quarter full at most. Only the control thread puts addresses in, those of pods, so nobody who
// sends packets can make it slow.

#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <rte_byteorder.h>

#include "datapath/datapath.h"

enum {
	ADDRESS_BITS = 12,
	ADDRESS_PLACES = 1 << ADDRESS_BITS,
	ADDRESS_NONE = UINT16_MAX, // in the place of a slot: nothing is here
};
_Static_assert(4 * DATAPATH_PORTS_MAX <= ADDRESS_PLACES, "short ways to what is not there");

struct addresses {
	struct address4 {
		rte_be32_t address;
		uint16_t slot;
	} ipv4[ADDRESS_PLACES];
	struct address6 {
		uint64_t address[2]; // as in a packet
		uint16_t slot;
	} ipv6[ADDRESS_PLACES];
};

static inline uint32_t address4_place(rte_be32_t address)
{
	return address * UINT32_C(0x9e3779b1) >> (32 - ADDRESS_BITS);
}

static inline uint32_t address6_place(const uint64_t address[2])
{
	uint64_t mixed = address[0] * UINT64_C(0x9e3779b97f4a7c15) ^ address[1];

	return (uint32_t)(mixed * UINT64_C(0xc2b2ae3d27d4eb4f) >> (64 - ADDRESS_BITS));
}

// False: nobody has it.
static inline bool address4_find(const struct addresses *table, rte_be32_t address,
				 uint16_t *ret_slot)
{
	uint32_t place = address4_place(address);

	for (;; place = (place + 1) % ADDRESS_PLACES) {
		const struct address4 *entry = &table->ipv4[place];

		if (entry->slot == ADDRESS_NONE)
			return false;
		if (entry->address == address) {
			*ret_slot = entry->slot;
			return true;
		}
	}
}

// `address`: 16 bytes, not aligned.
static inline bool address6_find(const struct addresses *table, const void *address,
				 uint16_t *ret_slot)
{
	uint64_t key[2];

	memcpy(key, address, sizeof(key));
	for (uint32_t place = address6_place(key);; place = (place + 1) % ADDRESS_PLACES) {
		const struct address6 *entry = &table->ipv6[place];

		if (entry->slot == ADDRESS_NONE)
			return false;
		if (entry->address[0] == key[0] && entry->address[1] == key[1]) {
			*ret_slot = entry->slot;
			return true;
		}
	}
}

// Of these ports; NULL: out of memory. The caller frees. Of two ports with one address the first has it.
struct graph_port;
struct addresses *addresses_new(struct graph_port *const ports[DATAPATH_PORTS_MAX]);
