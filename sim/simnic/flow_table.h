// SPDX-License-Identifier: BSD-3-Clause
//
// Where rules are: groups, in each a hash table per mask (tuple space search), looked at in order of the best priority in
// them, so that 100,000 exact rules cost what ten cost. The pipeline thread owns it; control threads reach it by
// pipeline_call().

#pragma once

#include "sim/simnic/flow_match.h"

struct flow_actions;
struct flow_table;
struct flow_tables;

// One rule. Allocated by the API side (flow_api.c), with flow_size(), and filled in by flow_init(); a struct that has
// it as its last member is fine. The table only links it.
struct flow {
	struct flow_table *table; // (P) the hash table of its mask; NULL: not inserted
	struct flow
		*hash_next; // (P) with the same masked value, in order of priority, then sequence
	struct flow_actions *actions;
	uint64_t hits, bytes; // written by the pipeline, read by all (relaxed)
	uint64_t
		sequence; // (P) of insertion: of two that match with the same priority the older one wins
	uint32_t group;
	uint32_t priority; // 0 is looked at first
	uint32_t hash;
	uint16_t word_count, range_count;
	uint64_t words[]; // the key's words where the mask is not zero, masked; then the ranges
};

// Bytes of a rule with this match.
size_t flow_size(const struct flow_match *match);
// Fill in flow_size(match) zeroed bytes; actions are the caller's. Any thread.
void flow_init(struct flow *flow, const struct flow_match *match, uint32_t group,
	       uint32_t priority);
// The match of a rule that is inserted, and stays so meanwhile. Any thread.
void flow_match_of(const struct flow *flow, struct flow_match *ret_match);

// NULL: out of memory.
struct flow_tables *flow_tables_new(void);
void flow_tables_free(struct flow_tables *tables); // all rules must be out; NULL is fine

// match: what the flow was initialised with; not kept.
// -EEXIST: a rule with the same group, priority and match is there; -ENOMEM. Nothing has changed then.
int flow_tables_insert(struct flow_tables *tables, struct flow *flow,
		       const struct flow_match *match);
void flow_tables_remove(struct flow_tables *tables, struct flow *flow);

// The rule of the group that the key meets, NULL: miss.
struct flow *flow_tables_lookup(const struct flow_tables *tables, uint32_t group,
				const struct flow_key *key);

// The same, and what it took: hash tables asked, slots of them looked at, rules compared.
struct flow_probes {
	uint32_t tables, slots, rules;
};
struct flow *flow_tables_probe(const struct flow_tables *tables, uint32_t group,
			       const struct flow_key *key, struct flow_probes *ret_probes);

// Figures.
uint32_t flow_tables_count(const struct flow_tables *tables, uint32_t group);
uint32_t flow_tables_masks(const struct flow_tables *tables, uint32_t group); // hash tables
uint32_t flow_tables_total(const struct flow_tables *tables);
// Groups that hold rules, ascending; returns how many there are, fills at most `size`.
size_t flow_tables_groups(const struct flow_tables *tables, uint32_t *ret_groups, size_t size);
