// SPDX-License-Identifier: BSD-3-Clause
//
// The e-switch's rules: what a lookup finds equals what a walk over all rules finds, and what it costs does not depend on
// how many there are. The tables do not care what the words of a key mean.

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "sim/simnic/flow_table.h"

static unsigned int seed = 1;

// ---- memory that runs out -------------------------------------------------------------------------------

void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static int allocations_left = -1; // -1: there is no end

static bool out_of_memory(void)
{
	return allocations_left >= 0 && allocations_left-- == 0;
}

void *__wrap_calloc(size_t count, size_t size)
{
	return out_of_memory() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return out_of_memory() ? NULL : __real_realloc(old, size);
}

// ---- rules ----------------------------------------------------------------------------------------------

static struct flow *new_flow(const struct flow_match *match, uint32_t group, uint32_t priority)
{
	struct flow *flow = calloc(1, flow_size(match));

	assert_non_null(flow);
	flow_init(flow, match, group, priority);
	return flow;
}

static struct flow *insert(struct flow_tables *tables, const struct flow_match *match,
			   uint32_t group, uint32_t priority)
{
	struct flow *flow = new_flow(match, group, priority);

	assert_int_equal(flow_tables_insert(tables, flow, match), 0);
	return flow;
}

static void take_out(struct flow_tables *tables, struct flow *flow)
{
	flow_tables_remove(tables, flow);
	assert_null(flow->table);
	free(flow);
}

// A rule for packets to this address and port, as an agent would write it.
static struct flow_match exact(uint32_t number)
{
	struct flow_match match = {0};

	match.mask.origin = UINT16_MAX;
	match.value.origin = number % 1000;
	match.mask.from_port = UINT8_MAX;
	match.mask.outer.layers = match.value.outer.layers = FLOW_HAS_IPV4 | FLOW_HAS_TCP;
	memset(match.mask.outer.ip_dst, 0xff, 4);
	memcpy(match.value.outer.ip_dst, &number, 4);
	match.mask.outer.port_dst = UINT16_MAX;
	match.value.outer.port_dst = number;
	return match;
}

// A rule for packets from this origin only.
static struct flow_match from_origin(uint16_t origin)
{
	struct flow_match match = {.value.origin = origin, .mask.origin = UINT16_MAX};

	return match;
}

// ---- the model: a list of rules -------------------------------------------------------------------------

enum { MODEL_RULES = 400, MODEL_MASKS = 12, MODEL_GROUPS = 5 };

struct model_rule {
	struct flow *flow; // NULL: this entry is free
	struct flow_match match;
	uint32_t group, priority;
	uint64_t sequence;
};

static const uint32_t model_groups[MODEL_GROUPS] = {0, 1, 63, 64, 4000000000};

static bool model_matches(const struct flow_match *match, const struct flow_key *key)
{
	const uint8_t *bytes = (const uint8_t *)key, *value = (const uint8_t *)&match->value,
		      *mask = (const uint8_t *)&match->mask;

	for (size_t i = 0; i < sizeof(*key); i++)
		if ((bytes[i] & mask[i]) != value[i])
			return false;
	for (unsigned int i = 0; i < match->range_count; i++) {
		const struct flow_range *range = &match->ranges[i];
		uint32_t field = 0;

		for (unsigned int j = 0; j < range->size; j++) {
			unsigned int at = range->host_order ? range->size - 1 - j : j;

			field = field * 256 + bytes[range->offset + at];
		}
		if ((field & range->mask) < range->first || (field & range->mask) > range->last)
			return false;
	}
	return true;
}

static struct flow *model_lookup(const struct model_rule *rules, uint32_t group,
				 const struct flow_key *key)
{
	const struct model_rule *best = NULL;

	for (unsigned int i = 0; i < MODEL_RULES; i++) {
		const struct model_rule *rule = &rules[i];

		if (rule->flow == NULL || rule->group != group || !model_matches(&rule->match, key))
			continue;
		if (best == NULL || rule->priority < best->priority ||
		    (rule->priority == best->priority && rule->sequence < best->sequence))
			best = rule;
	}
	return best != NULL ? best->flow : NULL;
}

static bool model_same(const struct model_rule *a, const struct model_rule *b)
{
	return a->group == b->group && a->priority == b->priority &&
	       memcmp(&a->match, &b->match, sizeof(a->match)) == 0;
}

static unsigned int pick(unsigned int below)
{
	return rand_r(&seed) % below;
}

// Few values, so that rules and keys meet.
static void random_key(struct flow_key *key)
{
	memset(key, 0, sizeof(*key));
	key->origin = pick(3);
	key->from_port = pick(2);
	key->metadata = pick(4) << 8;
	key->tags[2] = pick(300);
	key->outer.ip_dst[3] = pick(4);
	key->outer.ip_dst[15] = pick(2);
	key->outer.port_dst = pick(4) << 8;
	key->outer.ttl = pick(5);
	key->inner.layers = pick(2);
}

static void random_mask(struct flow_key *mask)
{
	unsigned int bits = pick(1 << 9);

	memset(mask, 0, sizeof(*mask));
	mask->origin = bits & 1 ? 0xffff : 0;
	mask->from_port = bits & 2 ? 0xff : 0;
	mask->metadata = bits & 4 ? 0x100 : 0;
	mask->outer.ip_dst[3] = bits & 8 ? 0xff : 0;
	mask->outer.ip_dst[15] = bits & 16 ? 0xff : 0;
	mask->outer.port_dst = bits & 32 ? 0xffff : 0;
	mask->outer.ttl = bits & 64 ? 0xff : 0;
	mask->inner.layers = bits & 128 ? 1 : 0;
}

static void random_match(const struct flow_key *mask, struct flow_match *ret)
{
	static const struct flow_range fields[] = {
		{.offset = offsetof(struct flow_key, metadata),
		 .size = 4,
		 .host_order = true,
		 .mask = 0x700},
		{.offset = offsetof(struct flow_key, tags[2]),
		 .size = 4,
		 .host_order = true,
		 .mask = UINT32_MAX},
		{.offset = offsetof(struct flow_key, outer.ip_dst[1]), .size = 3, .mask = 0xffffff},
		{.offset = offsetof(struct flow_key, outer.port_dst), .size = 2, .mask = 0xffff},
	};
	struct flow_key key;

	memset(ret, 0, sizeof(*ret));
	random_key(&key);
	ret->mask = *mask;
	for (size_t i = 0; i < sizeof(key); i++)
		((uint8_t *)&ret->value)[i] = ((uint8_t *)&key)[i] & ((const uint8_t *)mask)[i];
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		struct flow_range *range = &ret->ranges[ret->range_count];

		if (pick(4) > 0)
			continue;
		*range = fields[i];
		range->first = (pick(4) << (i == 0 ? 8 : 0)) & range->mask;
		range->last = (range->first + (pick(300) & range->mask)) & range->mask;
		if (range->last >= range->first)
			ret->range_count++;
		else
			memset(range, 0, sizeof(*range));
	}
}

// ---- tests ----------------------------------------------------------------------------------------------

static void check_figures(const struct flow_tables *tables, const struct model_rule *rules)
{
	uint32_t groups[MODEL_GROUPS], total = 0, group_count = 0;
	size_t count = flow_tables_groups(tables, groups, MODEL_GROUPS);

	for (unsigned int i = 0; i < MODEL_GROUPS; i++) {
		uint32_t expected = 0;

		for (unsigned int j = 0; j < MODEL_RULES; j++)
			expected += rules[j].flow != NULL && rules[j].group == model_groups[i];
		assert_int_equal(flow_tables_count(tables, model_groups[i]), expected);
		total += expected;
		if (expected == 0)
			continue;
		assert_int_equal(groups[group_count], model_groups[i]);
		group_count++;
	}
	assert_int_equal(count, group_count);
	assert_int_equal(flow_tables_total(tables), total);
}

static void insert_random(struct flow_tables *tables, struct model_rule *rules,
			  struct model_rule *entry, const struct flow_key *mask, uint64_t sequence)
{
	int expected = 0;

	entry->group = model_groups[pick(MODEL_GROUPS)];
	entry->priority = pick(3) == 0 ? pick(UINT32_MAX) : pick(3);
	random_match(mask, &entry->match);
	for (unsigned int i = 0; i < MODEL_RULES; i++)
		if (rules[i].flow != NULL && model_same(&rules[i], entry))
			expected = -EEXIST;
	entry->sequence = sequence;
	entry->flow = new_flow(&entry->match, entry->group, entry->priority);
	assert_int_equal(flow_tables_insert(tables, entry->flow, &entry->match), expected);
	if (expected == 0)
		return;
	free(entry->flow);
	entry->flow = NULL;
}

static void a_lookup_finds_what_a_walk_over_all_rules_finds(void **state)
{
	enum { ROUNDS = 60000 };
	struct model_rule *rules = calloc(MODEL_RULES, sizeof(*rules));
	struct flow_tables *tables = flow_tables_new();
	struct flow_key masks[MODEL_MASKS], key;
	unsigned int found = 0;

	assert_non_null(tables);
	for (unsigned int i = 0; i < MODEL_MASKS; i++)
		random_mask(&masks[i]);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		struct model_rule *entry = &rules[pick(MODEL_RULES)];
		// The number of rules rises and falls.
		bool filling = round / 5000 % 2 == 0;

		if (entry->flow == NULL && pick(10) < (filling ? 9 : 2)) {
			insert_random(tables, rules, entry, &masks[pick(MODEL_MASKS)], round);
		} else if (entry->flow != NULL && pick(10) < (filling ? 1 : 8)) {
			take_out(tables, entry->flow);
			entry->flow = NULL;
		}
		for (unsigned int i = 0; i < 4; i++) {
			uint32_t group = model_groups[pick(MODEL_GROUPS)];
			struct flow *expected;

			random_key(&key);
			expected = model_lookup(rules, group, &key);
			assert_ptr_equal(flow_tables_lookup(tables, group, &key), expected);
			found += expected != NULL;
		}
		if (round % 1000 == 0)
			check_figures(tables, rules);
	}
	assert_true(found > ROUNDS); // else the model tests nothing
	for (unsigned int i = 0; i < MODEL_RULES; i++)
		if (rules[i].flow != NULL)
			take_out(tables, rules[i].flow);
	assert_int_equal(flow_tables_total(tables), 0);
	flow_tables_free(tables);
	free(rules);
}

static void of_two_rules_the_lower_priority_number_wins_then_the_older(void **state)
{
	struct flow_match wide = from_origin(7), narrow = exact(7), all = {0};
	struct flow_tables *tables = flow_tables_new();
	struct flow_key key = narrow.value;
	struct flow *first = insert(tables, &wide, 3, 5), *second = insert(tables, &narrow, 3, 5),
		    *best = insert(tables, &all, 3, 4), *shadow = insert(tables, &narrow, 3, 6);

	assert_ptr_equal(flow_tables_lookup(tables, 3, &key), best);
	take_out(tables, best);
	assert_ptr_equal(flow_tables_lookup(tables, 3, &key), first);
	take_out(tables, first);
	first = insert(tables, &wide, 3, 5); // now it is the younger one
	assert_ptr_equal(flow_tables_lookup(tables, 3, &key), second);
	take_out(tables, second);
	assert_ptr_equal(flow_tables_lookup(tables, 3, &key), first);
	take_out(tables, first);
	assert_ptr_equal(flow_tables_lookup(tables, 3, &key), shadow);
	take_out(tables, shadow);
	assert_null(flow_tables_lookup(tables, 3, &key));
	flow_tables_free(tables);
}

static void the_same_rule_twice_is_refused(void **state)
{
	struct flow_tables *tables = flow_tables_new();
	struct flow_match match = exact(1), ranged = match;
	struct flow *flow = insert(tables, &match, 0, 1), *other;

	ranged.range_count = 1;
	ranged.ranges[0] = (struct flow_range){.offset = offsetof(struct flow_key, outer.ttl),
					       .size = 1,
					       .mask = 0xff,
					       .first = 1,
					       .last = 9};
	other = new_flow(&match, 0, 1);
	assert_int_equal(flow_tables_insert(tables, other, &match), -EEXIST);
	free(other);
	assert_int_equal(flow_tables_total(tables), 1);
	other = insert(tables, &match, 0, 2);
	take_out(tables, other);
	other = insert(tables, &match, 1, 1);
	take_out(tables, other);
	other = insert(tables, &ranged, 0, 1);
	take_out(tables, other);
	assert_ptr_equal(flow_tables_lookup(tables, 0, &match.value), flow);
	take_out(tables, flow);
	flow_tables_free(tables);
}

static void a_rule_gives_its_match_back(void **state)
{
	struct flow_tables *tables = flow_tables_new();
	struct flow_match match, back;
	struct flow_key mask;
	struct flow *flow;

	for (unsigned int i = 0; i < 1000; i++) {
		random_mask(&mask);
		random_match(&mask, &match);
		flow = insert(tables, &match, 0, 0);
		flow_match_of(flow, &back);
		assert_memory_equal(&back.value, &match.value, sizeof(match.value));
		assert_memory_equal(&back.mask, &match.mask, sizeof(match.mask));
		assert_int_equal(back.range_count, match.range_count);
		assert_memory_equal(back.ranges, match.ranges, sizeof(match.ranges));
		take_out(tables, flow);
	}
	flow_tables_free(tables);
}

// Every allocation of an insert fails once; then the insert fails, and nothing else has changed.
static void without_memory_an_insert_fails_and_the_other_rules_stay(void **state)
{
	enum { RULES = 200 };
	struct flow_tables *tables = flow_tables_new();
	struct flow *flows[RULES];
	unsigned int failures = 0;

	for (unsigned int i = 0; i < RULES; i++) {
		struct flow_match match = i % 2 ? exact(i) : from_origin(i);
		uint32_t group = i % 10 + 60;

		flows[i] = new_flow(&match, group, i % 7);
		for (int left = 0;; left++) {
			int error;

			allocations_left = left;
			error = flow_tables_insert(tables, flows[i], &match);
			allocations_left = -1;
			if (error == 0)
				break;
			assert_int_equal(error, -ENOMEM);
			assert_null(flow_tables_lookup(tables, group, &match.value));
			assert_int_equal(flow_tables_total(tables), i);
			failures++;
		}
		assert_ptr_equal(flow_tables_lookup(tables, group, &match.value), flows[i]);
	}
	assert_true(failures > 50);
	for (unsigned int i = 0; i < RULES; i++) {
		struct flow_match match = i % 2 ? exact(i) : from_origin(i);

		assert_ptr_equal(flow_tables_lookup(tables, i % 10 + 60, &match.value), flows[i]);
	}
	for (unsigned int i = 0; i < RULES; i++) {
		allocations_left = 0; // removing needs none
		flow_tables_remove(tables, flows[i]);
		allocations_left = -1;
		free(flows[i]);
	}
	assert_int_equal(flow_tables_total(tables), 0);
	flow_tables_free(tables);
}

// ---- what a lookup costs --------------------------------------------------------------------------------

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * UINT64_C(1000000000) + now.tv_nsec;
}

struct cost {
	double tables, slots, rules;
};

// The key of a packet for the rule exact(number), or for none.
static void set_key(struct flow_key *key, uint32_t number, bool hit)
{
	key->origin = number % 1000;
	key->outer.layers = FLOW_HAS_IPV4 | FLOW_HAS_TCP;
	memcpy(key->outer.ip_dst, &number, 4);
	key->outer.port_dst = number + !hit;
	key->outer.ttl = number; // no rule looks at it
}

// Fill a group with so many exact rules of one mask, and look up what is there, or is not, in no order. The times are for
// people.
static void measure(uint32_t count, bool hit, struct cost *ret_cost)
{
	enum { LOOKUPS = 200000 };
	struct flow_tables *tables = flow_tables_new();
	struct flow **flows = calloc(count, sizeof(struct flow *));
	uint64_t inserted, start = now_ns();
	struct flow_key key = {0};
	struct flow_probes probes;
	unsigned int found = 0;

	for (uint32_t i = 0; i < count; i++) {
		struct flow_match match = exact(i);

		flows[i] = insert(tables, &match, 0, 0);
	}
	inserted = now_ns();
	for (uint32_t i = 0; i < LOOKUPS; i++) {
		set_key(&key, i * 2654435761U % count, hit);
		found += flow_tables_lookup(tables, 0, &key) != NULL;
	}
	printf("%7u rules: %4.0f ns/insert, %4.0f ns/lookup (%s)", count,
	       (double)(inserted - start) / count, (double)(now_ns() - inserted) / LOOKUPS,
	       hit ? "hit" : "miss");
	assert_int_equal(found, hit ? LOOKUPS : 0);
	*ret_cost = (struct cost){0};
	for (uint32_t i = 0; i < LOOKUPS; i++) {
		set_key(&key, i % count, hit);
		assert_ptr_equal(flow_tables_probe(tables, 0, &key, &probes),
				 hit ? flows[i % count] : NULL);
		ret_cost->tables += (double)probes.tables / LOOKUPS;
		ret_cost->slots += (double)probes.slots / LOOKUPS;
		ret_cost->rules += (double)probes.rules / LOOKUPS;
	}
	printf(": %.2f tables, %.2f slots, %.2f rules\n", ret_cost->tables, ret_cost->slots,
	       ret_cost->rules);
	for (uint32_t i = 0; i < count; i++)
		take_out(tables, flows[i]);
	flow_tables_free(tables);
	free(flows);
}

static void a_lookup_among_100000_rules_looks_at_as_much_as_among_10(void **state)
{
	static const uint32_t counts[] = {10, 1000, 100000};
	struct cost cost;

	for (unsigned int i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		measure(counts[i], true, &cost);
		assert_true(cost.tables > 0.999 && cost.tables < 1.001);
		assert_true(cost.rules > 0.999 && cost.rules < 1.001);
		assert_true(cost.slots < 1.7); // linear probing, at most half full: 1.5
		measure(counts[i], false, &cost);
		assert_true(cost.rules == 0);
		assert_true(cost.slots < 3); // 2.5
	}
}

static void priorities_of_one_mask_share_its_table(void **state)
{
	enum { RULES = 5000 };
	struct flow_tables *tables = flow_tables_new();
	static struct flow *flows[RULES];
	struct flow_probes probes;

	for (uint32_t i = 0; i < RULES; i++) {
		struct flow_match match = exact(i);

		flows[i] = insert(tables, &match, 0, i * 7919 % RULES);
	}
	assert_int_equal(flow_tables_masks(tables, 0), 1);
	for (uint32_t i = 0; i < RULES; i++) {
		struct flow_match match = exact(i);

		assert_ptr_equal(flow_tables_probe(tables, 0, &match.value, &probes), flows[i]);
		assert_int_equal(probes.tables, 1);
		take_out(tables, flows[i]);
	}
	flow_tables_free(tables);
}

static void tables_that_can_have_nothing_better_are_not_asked(void **state)
{
	struct flow_tables *tables = flow_tables_new();
	struct flow_match narrow = exact(1), wide = from_origin(1), all = {0};
	struct flow *flows[] = {insert(tables, &all, 0, 9), insert(tables, &wide, 0, 5),
				insert(tables, &narrow, 0, 1)},
		    *shadow;
	struct flow_key key = narrow.value;
	struct flow_probes probes;

	assert_int_equal(flow_tables_masks(tables, 0), 3);
	assert_ptr_equal(flow_tables_probe(tables, 0, &key, &probes), flows[2]);
	assert_int_equal(probes.tables, 1);
	key.outer.port_dst = 0;
	assert_ptr_equal(flow_tables_probe(tables, 0, &key, &probes), flows[1]);
	assert_int_equal(probes.tables, 2);
	key.origin = 0;
	assert_ptr_equal(flow_tables_probe(tables, 0, &key, &probes), flows[0]);
	assert_int_equal(probes.tables, 3);
	// Its best rule gone, a table goes back in the order.
	shadow = insert(tables, &narrow, 0, 7);
	take_out(tables, flows[2]);
	flows[2] = shadow;
	assert_ptr_equal(flow_tables_probe(tables, 0, &narrow.value, &probes), flows[1]);
	assert_int_equal(probes.tables, 1);
	for (unsigned int i = 0; i < 3; i++)
		take_out(tables, flows[i]);
	flow_tables_free(tables);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_two_rules_the_lower_priority_number_wins_then_the_older),
		cmocka_unit_test(the_same_rule_twice_is_refused),
		cmocka_unit_test(a_rule_gives_its_match_back),
		cmocka_unit_test(a_lookup_finds_what_a_walk_over_all_rules_finds),
		cmocka_unit_test(without_memory_an_insert_fails_and_the_other_rules_stay),
		cmocka_unit_test(a_lookup_among_100000_rules_looks_at_as_much_as_among_10),
		cmocka_unit_test(priorities_of_one_mask_share_its_table),
		cmocka_unit_test(tables_that_can_have_nothing_better_are_not_asked),
	};

	if (argc > 1)
		seed = strtoul(argv[1], NULL, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
