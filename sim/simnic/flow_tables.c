// SPDX-License-Identifier: BSD-3-Clause
//
// Groups of rules, searched as a tuple space:
//
//     group ─► hash tables, one per mask, by the best priority in them, then by age
//
// A lookup asks the tables in turn and stops at the first that cannot have anything better than what was found.

#include "sim/simnic/flow_table_private.h"

enum { GROUPS_DIRECT = 64 }; // groups that are found without searching

struct flow_group {
	uint32_t id;
	uint32_t count;             // of rules
	struct flow_table **tables; // by best_priority, then oldest
	uint32_t table_count, table_room;
};

struct flow_tables {
	struct flow_group *direct[GROUPS_DIRECT]; // by id
	struct flow_group **groups;               // all, by id, ascending
	uint32_t group_count, group_room;
	uint32_t total;
	uint64_t sequence;
};

// ---- tables of a group ----------------------------------------------------------------------------------

static void unlist_table(struct flow_table *table)
{
	struct flow_group *group = table->group;
	uint32_t at = 0;

	while (group->tables[at] != table)
		at++;
	REMOVE_AT(group->tables, group->table_count, at);
}

// Put a table where its best priority belongs. There is room for it.
static void list_table(struct flow_table *table)
{
	struct flow_group *group = table->group;
	uint32_t at = group->table_count;

	table->best_priority = table->priorities[0].priority;
	for (; at > 0; at--) {
		const struct flow_table *other = group->tables[at - 1];

		if (other->best_priority < table->best_priority ||
		    (other->best_priority == table->best_priority && other->oldest < table->oldest))
			break;
	}
	INSERT_AT(group->tables, group->table_count, at);
	group->tables[at] = table;
}

static struct flow_table *find_table(const struct flow_group *group, const struct flow_key *mask)
{
	for (uint32_t i = 0; i < group->table_count; i++)
		if (memcmp(&group->tables[i]->mask, mask, sizeof(*mask)) == 0)
			return group->tables[i];
	return NULL;
}

// ---- groups ---------------------------------------------------------------------------------------------

static uint32_t group_position(const struct flow_tables *tables, uint32_t id)
{
	uint32_t from = 0, to = tables->group_count;

	while (from < to) {
		uint32_t middle = from + (to - from) / 2;

		if (tables->groups[middle]->id < id)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

static struct flow_group *find_group(const struct flow_tables *tables, uint32_t id)
{
	uint32_t at;

	if (id < GROUPS_DIRECT)
		return tables->direct[id];
	at = group_position(tables, id);
	return at < tables->group_count && tables->groups[at]->id == id ? tables->groups[at] : NULL;
}

static struct flow_group *get_group(struct flow_tables *tables, uint32_t id)
{
	struct flow_group *group = find_group(tables, id);
	uint32_t at = group_position(tables, id);

	if (group != NULL)
		return group;
	if (GROW(tables->groups, tables->group_count, tables->group_room) < 0)
		return NULL;
	group = calloc(1, sizeof(*group));
	if (group == NULL)
		return NULL;
	group->id = id;
	INSERT_AT(tables->groups, tables->group_count, at);
	tables->groups[at] = group;
	if (id < GROUPS_DIRECT)
		tables->direct[id] = group;
	return group;
}

// A group goes with its last rule.
static void put_group(struct flow_tables *tables, struct flow_group *group)
{
	if (group->count > 0)
		return;
	REMOVE_AT(tables->groups, tables->group_count, group_position(tables, group->id));
	if (group->id < GROUPS_DIRECT)
		tables->direct[group->id] = NULL;
	free(group->tables);
	free(group);
}

// ---- insert, remove -------------------------------------------------------------------------------------

// The first of a group's mask is not listed yet.
static int insert(struct flow_tables *tables, struct flow_group *group, struct flow_table *table,
		  struct flow *flow)
{
	bool listed = !flow_table_empty(table);
	int error;

	if (!listed && GROW(group->tables, group->table_count, group->table_room) < 0)
		return -ENOMEM;
	error = flow_table_insert(table, flow, tables->sequence);
	if (error < 0)
		return error;
	tables->sequence++;
	tables->total++;
	group->count++;
	if (!listed || flow->priority < table->best_priority) {
		if (listed)
			unlist_table(table);
		list_table(table);
	}
	return 0;
}

int flow_tables_insert(struct flow_tables *tables, struct flow *flow,
		       const struct flow_match *match)
{
	struct flow_group *group = get_group(tables, flow->group);
	struct flow_table *table;
	int error = -ENOMEM;

	if (group == NULL)
		return -ENOMEM;
	table = find_table(group, &match->mask);
	if (table == NULL)
		table = flow_table_new(&match->mask, tables->sequence);
	if (table != NULL) {
		table->group = group;
		error = insert(tables, group, table, flow);
		if (flow_table_empty(table))
			flow_table_free(table);
	}
	put_group(tables, group);
	return error;
}

void flow_tables_remove(struct flow_tables *tables, struct flow *flow)
{
	struct flow_table *table = flow->table;
	struct flow_group *group = table->group;

	flow_table_remove(table, flow);
	if (flow_table_empty(table)) {
		unlist_table(table);
		flow_table_free(table);
	} else if (table->priorities[0].priority != table->best_priority) {
		unlist_table(table);
		list_table(table);
	}
	group->count--;
	tables->total--;
	put_group(tables, group);
}

// ---- lookup ---------------------------------------------------------------------------------------------

struct flow *flow_tables_probe(const struct flow_tables *tables, uint32_t group_id,
			       const struct flow_key *key, struct flow_probes *ret_probes)
{
	const struct flow_group *group = find_group(tables, group_id);
	struct flow *best = NULL;

	*ret_probes = (struct flow_probes){0};
	for (uint32_t i = 0; group != NULL && i < group->table_count; i++) {
		const struct flow_table *table = group->tables[i];

		if (best != NULL && !flow_before(table->best_priority, table->oldest, best))
			break; // nor in those behind it
		best = flow_table_lookup(table, key, best, ret_probes);
	}
	return best;
}

struct flow *flow_tables_lookup(const struct flow_tables *tables, uint32_t group,
				const struct flow_key *key)
{
	struct flow_probes ignored;

	return flow_tables_probe(tables, group, key, &ignored);
}

// ---- all of them ----------------------------------------------------------------------------------------

struct flow_tables *flow_tables_new(void)
{
	return calloc(1, sizeof(struct flow_tables));
}

void flow_tables_free(struct flow_tables *tables)
{
	if (tables == NULL)
		return;
	free(tables->groups);
	free(tables);
}

uint32_t flow_tables_count(const struct flow_tables *tables, uint32_t group_id)
{
	const struct flow_group *group = find_group(tables, group_id);

	return group != NULL ? group->count : 0;
}

uint32_t flow_tables_masks(const struct flow_tables *tables, uint32_t group_id)
{
	const struct flow_group *group = find_group(tables, group_id);

	return group != NULL ? group->table_count : 0;
}

uint32_t flow_tables_total(const struct flow_tables *tables)
{
	return tables->total;
}

size_t flow_tables_groups(const struct flow_tables *tables, uint32_t *ret_groups, size_t size)
{
	for (size_t i = 0; i < tables->group_count && i < size; i++)
		ret_groups[i] = tables->groups[i]->id;
	return tables->group_count;
}
