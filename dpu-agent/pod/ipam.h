// SPDX-License-Identifier: BSD-3-Clause
//
// The addresses of one family that pods may have. Of the prefix are never given out: the network
// address, the first (the gateway: the host's own address) and, for IPv4, the last. The pool is a
// window over at most the first IPAM_POOL_MAX of the rest, so that an IPv6 prefix does not need
// 2^64 entries; who asks for an address beyond it may have it, and only the caller knows who has.
// Addresses are in network order, 4 or 16 bytes as the family has them. Control thread; no I/O: who
// records what is decided above.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pod/lru_pool.h"
#include "proto/base/error.h"

enum {
	IPAM_POOL_MAX = 65536, // 64 times the ports a NIC can have, in 800 KB
	IPAM_IPV4_PREFIX_MIN = 8,
	IPAM_IPV4_PREFIX_MAX = 30, // /30: network, gateway, one pod, broadcast
	IPAM_IPV6_PREFIX_MIN = 48,
	IPAM_IPV6_PREFIX_MAX = 126, // /126: network (subnet-router anycast), gateway, two pods
};

// Which addresses of a prefix there are to give out. A value.
struct ipam_prefix {
	int family;          // AF_INET, AF_INET6
	uint8_t network[16]; // 4 or 16 bytes
	uint8_t length;
	uint32_t usable; // addresses network + 2 .. network + 2 + usable - 1
};

struct ipam {
	struct ipam_prefix prefix;
	struct lru_pool pool; // index i is the address network + 2 + i
};

// Errors: -EINVAL with CODE_BAD_REQUEST: length outside the range above, host bits in network.
int ipam_prefix_init(struct ipam_prefix *prefix, int family, const void *network, uint8_t length,
		     struct error *err);

size_t ipam_address_size(const struct ipam_prefix *prefix); // 4 or 16

// "10.88.0.0/16"
enum { IPAM_TEXT_SIZE = 64 };
void ipam_prefix_text(const struct ipam_prefix *prefix, char ret_text[IPAM_TEXT_SIZE]);

// The first address: the gateway's.
void ipam_gateway(const struct ipam_prefix *prefix, void *ret_gateway);

// May a pod have this address? Errors: -EINVAL with CODE_BAD_REQUEST and why not: outside the
// prefix, network, gateway or last.
int ipam_check(const struct ipam_prefix *prefix, const void *address, struct error *err);

// Is it in the pool: one that is given out unasked? (passed ipam_check)
bool ipam_in_pool(const struct ipam_prefix *prefix, const void *address);

// All addresses free. Errors: -ENOMEM.
int ipam_init(struct ipam *ipam, const struct ipam_prefix *prefix);
void ipam_destroy(struct ipam *ipam); // a zeroed ipam is fine

// Passed ipam_check. False for what is beyond the pool.
bool ipam_is_allocated(const struct ipam *ipam, const void *address);

// Take the address that has been free longest. Errors: -ENOSPC with CODE_NO_ADDRESS and the numbers.
int ipam_alloc(struct ipam *ipam, void *ret_address, struct lru_pool_undo *ret_undo,
	       struct error *err);

// Take this one. Errors: as ipam_check; -EADDRINUSE with CODE_CONFLICT. Beyond the pool it always
// succeeds: the caller has looked whether anybody has it.
int ipam_alloc_requested(struct ipam *ipam, const void *address, struct lru_pool_undo *ret_undo,
			 struct error *err);

// Undo allocations, in exact reverse order and with no release in between.
void ipam_undo(struct ipam *ipam, const struct lru_pool_undo *undo);

// Give back an allocated address: it is the last to be given out again. Beyond the pool: no effect.
void ipam_release(struct ipam *ipam, const void *address);

// Restore: a free address of the pool was released, later than those said before.
void ipam_mark_released(struct ipam *ipam, const void *address);

// The one that ipam_alloc would give; false if none is left.
bool ipam_next(const struct ipam *ipam, void *ret_address);

// Those that were released and are free, the least recent first: *cursor is LRU_POOL_NONE at first.
// False: no more.
bool ipam_next_released(const struct ipam *ipam, uint32_t *cursor, void *ret_address);
