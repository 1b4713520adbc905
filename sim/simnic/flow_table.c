// SPDX-License-Identifier: BSD-3-Clause
//
// One hash table of rules that have the same mask.

#include "sim/simnic/flow_table_private.h"

enum { SLOTS_MIN = 8 };

// ---- rules ----------------------------------------------------------------------------------------------

static void copy_words(uint64_t *to, const struct flow_key *key)
{
	memcpy(to, key, sizeof(*key));
}

static struct flow_range *ranges(const struct flow *flow)
{
	return (struct flow_range *)(uintptr_t)(flow->words + flow->word_count);
}

static size_t ranges_size(uint16_t count)
{
	return count * sizeof(struct flow_range);
}

static uint16_t count_words(const struct flow_key *mask)
{
	uint64_t words[FLOW_KEY_WORDS];
	uint16_t count = 0;

	copy_words(words, mask);
	for (unsigned int i = 0; i < FLOW_KEY_WORDS; i++)
		count += words[i] != 0;
	return count;
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
	unsigned __int128 product = (unsigned __int128)(hash ^ word) * 0x9e3779b97f4a7c15;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint32_t hash_words(const uint64_t *words, unsigned int count)
{
	uint64_t hash = 0xa0761d6478bd642f;

	for (unsigned int i = 0; i < count; i++)
		hash = mix(hash, words[i]);
	return hash ^ (hash >> 32);
}

size_t flow_size(const struct flow_match *match)
{
	return sizeof(struct flow) + count_words(&match->mask) * sizeof(uint64_t) +
	       ranges_size(match->range_count);
}

void flow_init(struct flow *flow, const struct flow_match *match, uint32_t group, uint32_t priority)
{
	uint64_t masks[FLOW_KEY_WORDS], values[FLOW_KEY_WORDS];

	copy_words(masks, &match->mask);
	copy_words(values, &match->value);
	for (unsigned int i = 0; i < FLOW_KEY_WORDS; i++)
		if (masks[i] != 0)
			flow->words[flow->word_count++] = values[i] & masks[i];
	flow->range_count = match->range_count;
	memcpy(ranges(flow), match->ranges, ranges_size(match->range_count));
	flow->hash = hash_words(flow->words, flow->word_count);
	flow->group = group;
	flow->priority = priority;
}

void flow_match_of(const struct flow *flow, struct flow_match *ret_match)
{
	const struct flow_table *table = flow->table;
	uint64_t values[FLOW_KEY_WORDS] = {0};

	memset(ret_match, 0, sizeof(*ret_match));
	for (unsigned int i = 0; i < table->word_count; i++)
		values[table->words[i]] = flow->words[i];
	memcpy(&ret_match->value, values, sizeof(values));
	ret_match->mask = table->mask;
	ret_match->range_count = flow->range_count;
	memcpy(ret_match->ranges, ranges(flow), ranges_size(flow->range_count));
}

static bool same_words(const uint64_t *a, const uint64_t *b, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		if (a[i] != b[i])
			return false;
	return true;
}

static bool same_ranges(const struct flow *a, const struct flow *b)
{
	const struct flow_range *x = ranges(a), *y = ranges(b);

	if (a->range_count != b->range_count)
		return false;
	for (unsigned int i = 0; i < a->range_count; i++)
		if (x[i].offset != y[i].offset || x[i].size != y[i].size ||
		    x[i].mask != y[i].mask || x[i].first != y[i].first || x[i].last != y[i].last)
			return false;
	return true;
}

static bool in_range(const struct flow_range *range, const struct flow_key *key)
{
	const uint8_t *field = (const uint8_t *)key + range->offset;
	uint32_t value = 0;

	if (range->host_order)
		memcpy(&value, field, sizeof(value));
	else
		for (uint8_t i = 0; i < range->size; i++)
			value = value << 8 | field[i];
	value &= range->mask;
	return value >= range->first && value <= range->last;
}

static bool in_ranges(const struct flow *flow, const struct flow_key *key)
{
	for (unsigned int i = 0; i < flow->range_count; i++)
		if (!in_range(&ranges(flow)[i], key))
			return false;
	return true;
}

// ---- slots ----------------------------------------------------------------------------------------------

// The slot of these words, or the free one where they belong.
static struct slot *find_slot(const struct flow_table *table, uint32_t hash, const uint64_t *words,
			      struct flow_probes *probes)
{
	for (uint32_t i = hash & table->slot_mask;; i = (i + 1) & table->slot_mask) {
		struct slot *slot = &table->slots[i];

		probes->slots++;
		if (slot->rules == NULL ||
		    (slot->hash == hash &&
		     same_words(slot->rules->words, words, table->word_count)))
			return slot;
	}
}

static int resize(struct flow_table *table, uint32_t count)
{
	struct slot *slots = calloc(count, sizeof(*slots));

	if (slots == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; table->slots != NULL && i <= table->slot_mask; i++) {
		uint32_t to = table->slots[i].hash & (count - 1);

		if (table->slots[i].rules == NULL)
			continue;
		while (slots[to].rules != NULL)
			to = (to + 1) & (count - 1);
		slots[to] = table->slots[i];
	}
	free(table->slots);
	table->slots = slots;
	table->slot_mask = count - 1;
	return 0;
}

// Free a slot; those behind it that would not be found across the gap move up.
static void free_slot(struct flow_table *table, struct slot *slot)
{
	uint32_t mask = table->slot_mask, gap = slot - table->slots;

	for (uint32_t i = (gap + 1) & mask; table->slots[i].rules != NULL; i = (i + 1) & mask) {
		uint32_t home = table->slots[i].hash & mask;

		// It may move if the gap is on its way from home.
		if (((i - home) & mask) >= ((i - gap) & mask)) {
			table->slots[gap] = table->slots[i];
			gap = i;
		}
	}
	table->slots[gap] = (struct slot){0};
	table->used--;
	// Smaller is better for the caches only; without memory it stays as it is.
	if (table->slot_mask >= SLOTS_MIN && table->used * 8 <= table->slot_mask)
		(void)resize(table, (table->slot_mask + 1) / 2);
}

// ---- priorities of a table ------------------------------------------------------------------------------

// Where a priority is, or belongs, in the array.
static uint32_t priority_position(const struct flow_table *table, uint32_t priority)
{
	uint32_t from = 0, to = table->priority_count;

	while (from < to) {
		uint32_t middle = from + (to - from) / 2;

		if (table->priorities[middle].priority < priority)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

// There is room for one more.
static void priority_add(struct flow_table *table, uint32_t priority)
{
	uint32_t at = priority_position(table, priority);

	if (at == table->priority_count || table->priorities[at].priority != priority) {
		INSERT_AT(table->priorities, table->priority_count, at);
		table->priorities[at] = (struct priority){.priority = priority};
	}
	table->priorities[at].count++;
}

static void priority_remove(struct flow_table *table, uint32_t priority)
{
	uint32_t at = priority_position(table, priority);

	if (--table->priorities[at].count == 0)
		REMOVE_AT(table->priorities, table->priority_count, at);
}

// ---- the table ------------------------------------------------------------------------------------------

void flow_table_free(struct flow_table *table)
{
	free(table->slots);
	free(table->priorities);
	free(table);
}

struct flow_table *flow_table_new(const struct flow_key *mask, uint64_t sequence)
{
	struct flow_table *table = calloc(1, sizeof(*table));
	uint64_t words[FLOW_KEY_WORDS];

	if (table == NULL)
		return NULL;
	table->mask = *mask;
	table->oldest = sequence;
	copy_words(words, mask);
	for (unsigned int i = 0; i < FLOW_KEY_WORDS; i++) {
		if (words[i] == 0)
			continue;
		table->words[table->word_count] = i;
		table->mask_words[table->word_count++] = words[i];
	}
	if (resize(table, SLOTS_MIN) == 0 &&
	    GROW(table->priorities, table->priority_count, table->priority_room) == 0)
		return table;
	flow_table_free(table);
	return NULL;
}

// All memory that an insert may need, so that nothing fails behind this.
static int reserve(struct flow_table *table)
{
	uint32_t slots = table->slot_mask + 1;

	if (GROW(table->priorities, table->priority_count, table->priority_room) < 0)
		return -ENOMEM;
	return (table->used + 1) * 2 > slots ? resize(table, slots * 2) : 0;
}

// Where the flow belongs among the rules of one masked value: the pointer that is to point to it. NULL: it is there.
static struct flow **chain_position(struct flow **first, const struct flow *flow)
{
	struct flow **at = first;

	// It is the youngest.
	for (; *at != NULL && (*at)->priority <= flow->priority; at = &(*at)->hash_next)
		if ((*at)->priority == flow->priority && same_ranges(*at, flow))
			return NULL;
	return at;
}

int flow_table_insert(struct flow_table *table, struct flow *flow, uint64_t sequence)
{
	struct flow_probes ignored = {0};
	struct flow **position;
	struct slot *slot;
	int error = reserve(table);

	if (error < 0)
		return error;
	slot = find_slot(table, flow->hash, flow->words, &ignored);
	position = chain_position(&slot->rules, flow);
	if (position == NULL)
		return -EEXIST;
	if (slot->rules == NULL) {
		slot->hash = flow->hash;
		table->used++;
	}
	flow->table = table;
	flow->sequence = sequence;
	flow->hash_next = *position;
	*position = flow;
	priority_add(table, flow->priority);
	return 0;
}

void flow_table_remove(struct flow_table *table, struct flow *flow)
{
	struct flow_probes ignored = {0};
	struct slot *slot = find_slot(table, flow->hash, flow->words, &ignored);
	struct flow **at = &slot->rules;

	while (*at != flow)
		at = &(*at)->hash_next;
	*at = flow->hash_next;
	flow->hash_next = NULL;
	flow->table = NULL;
	if (slot->rules == NULL)
		free_slot(table, slot);
	priority_remove(table, flow->priority);
}

// ---- lookup ---------------------------------------------------------------------------------------------

typedef uint64_t key_word __attribute__((may_alias));

struct flow *flow_table_lookup(const struct flow_table *table, const struct flow_key *key,
			       struct flow *best, struct flow_probes *probes)
{
	const key_word *key_words = (const key_word *)key;
	uint64_t words[FLOW_KEY_WORDS];
	const struct slot *slot;

	probes->tables++;
	for (unsigned int i = 0; i < table->word_count; i++)
		words[i] = key_words[table->words[i]] & table->mask_words[i];
	slot = find_slot(table, hash_words(words, table->word_count), words, probes);
	for (struct flow *flow = slot->rules; flow != NULL; flow = flow->hash_next) {
		if (best != NULL && !flow_before(flow->priority, flow->sequence, best))
			break;
		probes->rules++;
		if (in_ranges(flow, key))
			return flow;
	}
	return best;
}
