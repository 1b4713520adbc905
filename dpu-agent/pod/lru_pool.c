// SPDX-License-Identifier: BSD-3-Clause
//
// See lru_pool.h. The list is circular through entries[size], which is never given out.

#include "pod/lru_pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static void link_before(struct lru_pool *pool, uint32_t index, uint32_t next)
{
	uint32_t prev = pool->entries[next].prev;

	pool->entries[index].next = next;
	pool->entries[index].prev = prev;
	pool->entries[prev].next = index;
	pool->entries[next].prev = index;
}

static void unlink_entry(struct lru_pool *pool, uint32_t index)
{
	const struct lru_pool_entry *entry = &pool->entries[index];

	pool->entries[entry->prev].next = entry->next;
	pool->entries[entry->next].prev = entry->prev;
}

int lru_pool_init(struct lru_pool *pool, uint32_t size)
{
	struct lru_pool_entry *entries = calloc((size_t)size + 1, sizeof(*entries));

	if (entries == NULL)
		return -ENOMEM;
	*pool = (struct lru_pool){.size = size, .entries = entries};
	entries[size].next = entries[size].prev = size;
	for (uint32_t i = 0; i < size; i++)
		link_before(pool, i, size);
	return 0;
}

void lru_pool_destroy(struct lru_pool *pool)
{
	free(pool->entries);
	*pool = (struct lru_pool){0};
}

uint32_t lru_pool_head(const struct lru_pool *pool)
{
	uint32_t head = pool->entries[pool->size].next;

	return head == pool->size ? LRU_POOL_NONE : head;
}

uint32_t lru_pool_next(const struct lru_pool *pool, uint32_t index)
{
	uint32_t next;

	if (index == LRU_POOL_NONE)
		return lru_pool_head(pool);
	assert(index < pool->size && !pool->entries[index].taken);
	next = pool->entries[index].next;
	return next == pool->size ? LRU_POOL_NONE : next;
}

bool lru_pool_is_released(const struct lru_pool *pool, uint32_t index)
{
	assert(index < pool->size);
	return pool->entries[index].used && !pool->entries[index].taken;
}

bool lru_pool_is_taken(const struct lru_pool *pool, uint32_t index)
{
	assert(index < pool->size);
	return pool->entries[index].taken;
}

struct lru_pool_undo lru_pool_take(struct lru_pool *pool, uint32_t index)
{
	struct lru_pool_entry *entry = &pool->entries[index];

	assert(index < pool->size && !entry->taken);
	struct lru_pool_undo undo = {.index = index, .next = entry->next, .used = entry->used};

	unlink_entry(pool, index);
	if (entry->used)
		pool->released--;
	entry->taken = entry->used = true;
	pool->taken++;
	return undo;
}

void lru_pool_untake(struct lru_pool *pool, const struct lru_pool_undo *undo)
{
	struct lru_pool_entry *entry = &pool->entries[undo->index];

	assert(entry->taken);
	entry->taken = false;
	entry->used = undo->used;
	pool->taken--;
	if (entry->used)
		pool->released++;
	link_before(pool, undo->index, undo->next);
}

void lru_pool_release(struct lru_pool *pool, uint32_t index)
{
	struct lru_pool_entry *entry = &pool->entries[index];

	assert(index < pool->size && entry->taken);
	entry->taken = false;
	pool->taken--;
	pool->released++;
	link_before(pool, index, pool->size);
}

void lru_pool_mark_released(struct lru_pool *pool, uint32_t index)
{
	struct lru_pool_entry *entry = &pool->entries[index];

	assert(index < pool->size && !entry->taken);
	unlink_entry(pool, index);
	if (!entry->used)
		pool->released++;
	entry->used = true;
	link_before(pool, index, pool->size);
}
