// SPDX-License-Identifier: BSD-3-Clause
//
// A pool of numbers 0..size-1 that gives out the one that has been free longest: first those never
// used, ascending, then the least recently released. One list threaded through an array; every
// operation is O(1). Under addresses (ipam.h) and functions (pod.h). Control thread; no I/O.
//
//     head ─► 7 ─► 8 ─► 9 ─► 3 ─► 1 ◄─ tail        taken: 0 2 4 5 6
//             └ never used ┘ └ released, oldest first

#pragma once

#include <stdbool.h>
#include <stdint.h>

#define LRU_POOL_NONE UINT32_MAX

struct lru_pool_entry {
	uint32_t next, prev;
	bool taken;
	bool used; // was taken once
};

struct lru_pool {
	uint32_t size;
	uint32_t taken;                 // how many are taken
	uint32_t released;              // how many are free and were taken before
	struct lru_pool_entry *entries; // size + 1 of them: the last is the list's head and tail
};

// What lru_pool_take did to the list, so that it can be undone exactly.
struct lru_pool_undo {
	uint32_t index;
	uint32_t next;
	bool used;
};

// All free and never used. Errors: -ENOMEM.
int lru_pool_init(struct lru_pool *pool, uint32_t size);
void lru_pool_destroy(struct lru_pool *pool); // a zeroed pool is fine

// The one to take next, LRU_POOL_NONE if all are taken.
uint32_t lru_pool_head(const struct lru_pool *pool);

// The free ones in the order in which they will be taken: the one after `index`, which is free, or
// the first for LRU_POOL_NONE. LRU_POOL_NONE: no more.
uint32_t lru_pool_next(const struct lru_pool *pool, uint32_t index);
// A free one: was it taken once?
bool lru_pool_is_released(const struct lru_pool *pool, uint32_t index);

bool lru_pool_is_taken(const struct lru_pool *pool, uint32_t index);

// Take a free one.
struct lru_pool_undo lru_pool_take(struct lru_pool *pool, uint32_t index);

// Undo takes, in exact reverse order and with no release in between.
void lru_pool_untake(struct lru_pool *pool, const struct lru_pool_undo *undo);

// Give back a taken one: it is the last to be taken again.
void lru_pool_release(struct lru_pool *pool, uint32_t index);

// Restore: a free one was released, later than all this was said of before.
void lru_pool_mark_released(struct lru_pool *pool, uint32_t index);
