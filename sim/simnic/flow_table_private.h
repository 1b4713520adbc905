// SPDX-License-Identifier: BSD-3-Clause
//
// Between one hash table of rules (flow_table.c) and the groups of them (flow_tables.c). For these two files only;
// pipeline thread.

#pragma once

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim/simnic/flow_table.h"

// All rules of a group that have the same mask. The words of the key that the mask touches are hashed, the others never
// looked at. A slot has the full hash and the rules of one masked value, by priority, then sequence:
//
//     slots, open addressing ─► rule ─► rule (other ranges, or lower priority)
struct slot {
	uint32_t hash;
	struct flow *rules; // NULL: free
};

// How many rules of a table have a priority.
struct priority {
	uint32_t priority, count;
};

struct flow_table {
	struct flow_group *group; // the owner's
	struct flow_key mask;
	uint64_t mask_words[FLOW_KEY_WORDS]; // those that are not zero,
	uint8_t words[FLOW_KEY_WORDS];       // and which they are
	uint8_t word_count;
	uint32_t best_priority; // of the rules in here
	uint64_t oldest;        // no rule in here has a lower sequence
	struct slot *slots;
	uint32_t slot_mask;          // number of slots - 1
	uint32_t used;               // slots that are not free, at most half of them
	struct priority *priorities; // ascending
	uint32_t priority_count, priority_room;
};

// NULL: out of memory. sequence: of the first rule to come.
struct flow_table *flow_table_new(const struct flow_key *mask, uint64_t sequence);
void flow_table_free(struct flow_table *table); // does not look at its rules

// Link a rule, the youngest of all. -EEXIST, -ENOMEM: nothing has changed.
int flow_table_insert(struct flow_table *table, struct flow *flow, uint64_t sequence);
void flow_table_remove(struct flow_table *table, struct flow *flow);
static inline bool flow_table_empty(const struct flow_table *table)
{
	return table->priority_count == 0;
}

// The best rule of the table that the key meets, if it is better than `best`; else best. probes is added to.
struct flow *flow_table_lookup(const struct flow_table *table, const struct flow_key *key,
			       struct flow *best, struct flow_probes *probes);

// Whether a rule of this priority and sequence comes before the flow.
static inline bool flow_before(uint32_t priority, uint64_t sequence, const struct flow *flow)
{
	return priority < flow->priority ||
	       (priority == flow->priority && sequence < flow->sequence);
}

// ---- arrays ---------------------------------------------------------------------------------------------

// The array with room for one more element, NULL: out of memory, and it stays as it was.
static inline void *grown_array(void *array, uint32_t count, uint32_t *room, size_t size)
{
	uint32_t new_room = *room == 0 ? 4 : 2 * *room;

	if (count < *room)
		return array;
	array = realloc(array, new_room * size);
	if (array != NULL)
		*room = new_room;
	return array;
}

// 0 or -ENOMEM.
#define GROW(array, count, room)                                                                   \
	({                                                                                         \
		void *grown_ = grown_array((array), (count), &(room), sizeof(*(array)));           \
                                                                                                   \
		if (grown_ != NULL)                                                                \
			(array) = grown_;                                                          \
		grown_ != NULL ? 0 : -ENOMEM;                                                      \
	})
// There is room.
#define INSERT_AT(array, count, at)                                                                \
	memmove(&(array)[(at) + 1], &(array)[(at)], ((count)++ - (at)) * sizeof(*(array)))
#define REMOVE_AT(array, count, at)                                                                \
	memmove(&(array)[(at)], &(array)[(at) + 1], (--(count) - (at)) * sizeof(*(array)))
