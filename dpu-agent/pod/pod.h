// SPDX-License-Identifier: BSD-3-Clause
//
// The attachments in memory, and what they hold: addresses and functions. Below the decisions
// (control/) and above the disk (store.h): it keeps the sets consistent, in both directions, and
// says who has what. Sizes are bounded by the NIC's functions. Control thread; no I/O.
//
// Invariant: an address, a function, a MAC belongs to at most one attachment; pods_add asserts it.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "pod/ipam.h"
#include "pod/lru_pool.h"
#include "pod/network.h"
#include "pod/store.h"

struct pod {
	struct store_record record; // as it is in the store
	uint64_t number;            // another one for each
	uint32_t
		vhost; // which of the vhost-user or virtio-user ports it has, anew at each start; LRU_POOL_NONE: none
	bool port_started;
	struct error port_error;        // why the port is not started, where it should be
	TAILQ_ENTRY(pod) leaving_entry; // control's list of those whose release is to be recorded
};

struct pods {
	bool has_network;
	struct network network;
	struct ipam ipv4, ipv6;    // zeroed where the network has none
	struct lru_pool functions; // index: VF of PF 0
	struct lru_pool vhosts;    // index: number of the vhost-user port
	struct lru_pool virtios;   // index: number of the virtio-user port
	struct pod **sorted;       // by key; `count` of `capacity`
	struct pod **by_function;  // by VF, `functions.size` of them; NULL: free
	size_t count, capacity;
};

// How many ports for pods there are, by kind.
struct pods_ports {
	uint32_t functions, vhosts, virtios;
};

// No pod network yet, all of these free. Errors: -ENOMEM.
int pods_new(const struct pods_ports *ports, struct pods **ret_pods);
void pods_free(struct pods *pods); // NULL is fine

// This is the pod network from now on. What pods hold, which must suit it (network_suits), stays
// theirs; the order of what was released is kept as far as the new pools have it. Errors: -ENOMEM;
// nothing has changed then.
int pods_set_network(struct pods *pods, const struct network *network);

// The same in two steps, with a commit to disk between them: what can fail comes first.
struct pods_network_plan {
	struct network network;
	struct ipam ipv4, ipv6;
};
int pods_plan_network(const struct pods *pods, const struct network *network,
		      struct pods_network_plan *ret_plan);
void pods_take_network(struct pods *pods, const struct pods_network_plan *plan); // plan is used up
void pods_drop_network(struct pods_network_plan *plan);

struct pod *pods_find(const struct pods *pods, const struct attachment_key *key);
// The index in `sorted` of the first whose key is greater than `key`.
size_t pods_index_after(const struct pods *pods, const struct attachment_key *key);
// By what a pod holds; NULL: nobody does. Linear: pods are few, and a commit to disk is near.
struct pod *pods_find_ipv4(const struct pods *pods, struct in_addr ipv4);
struct pod *pods_find_ipv6(const struct pods *pods, const struct in6_addr *ipv6);
struct pod *pods_find_mac(const struct pods *pods, const struct mac *mac);

// What was taken for one attachment, so that it can be given back as if it had never been.
struct pods_undo {
	bool ipv4, ipv6, function; // what was taken
	struct lru_pool
		*vhost; // where a vhost-user or virtio-user port was taken from; NULL: none was
	struct lru_pool_undo ipv4_undo, ipv6_undo, function_undo, vhost_undo;
};

// Take a function, or a vhost-user or virtio-user port, and addresses as asked for (`wanted`: an attach_request's port
// and requested_ fields) into `attachment`. All or nothing. The port is undo->vhost_undo.index. Errors:
// CODE_NO_FUNCTION, CODE_NO_ADDRESS with the numbers; CODE_UNSUPPORTED; CODE_BAD_REQUEST, CODE_CONFLICT with
// the field, why, and who has it.
int pods_reserve(struct pods *pods, const struct attach_request *wanted,
		 struct attachment *attachment, struct pods_undo *ret_undo, struct error *err);
// In exact reverse order of pods_reserve, with no release in between.
void pods_unreserve(struct pods *pods, const struct pods_undo *undo);

// The ports of pods that have no function, by kind of port; NULL: of functions.
struct lru_pool *pods_vhost_pool(struct pods *pods, enum port_choice choice);

// Add one whose function, or other port (`vhost`), and addresses are reserved. The result is owned by
// pods. NULL: no memory.
struct pod *pods_add(struct pods *pods, const struct store_record *record, uint32_t vhost);
// Take it out and free it; what it holds stays reserved.
void pods_remove(struct pods *pods, struct pod *pod);
// Take it out, free it, and give back what it held, to be given out again last.
void pods_release(struct pods *pods, struct pod *pod);

// Is the pool's order to be kept in the store for these? (An address beyond the pool has none.)
bool pods_ipv4_in_pool(const struct pods *pods, struct in_addr ipv4);
bool pods_ipv6_in_pool(const struct pods *pods, const struct in6_addr *ipv6);
