// SPDX-License-Identifier: BSD-3-Clause
//
// Installed rules in the order of their IDs. IDs ascend, so that a new one is appended; a removed one
// leaves a hole. Holes are closed when they are more than half: there are never more entries than
// twice the rules there can be, which is LEDGER_SIZE.

#include "offload/offload_private.h"

// Index of the first entry with an ID greater than `after`.
static size_t find_after(const struct ledger *ledger, uint64_t after)
{
	size_t low = 0, high = ledger->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ledger->entries[middle].id > after)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static void close_holes(struct ledger *ledger)
{
	size_t kept = 0;

	for (size_t i = 0; i < ledger->count; i++) {
		if (ledger->entries[i].installed != NULL)
			ledger->entries[kept++] = ledger->entries[i];
	}
	ledger->count = kept;
	ledger->holes = 0;
}

void ledger_add(struct ledger *ledger, struct rule_set *set, struct installed *installed)
{
	installed->id = ++ledger->last_id;
	ledger->entries[ledger->count].id = installed->id;
	ledger->entries[ledger->count].installed = installed;
	ledger->entries[ledger->count].set = set;
	ledger->count++;
}

void ledger_remove(struct ledger *ledger, const struct installed *installed)
{
	ledger->entries[find_after(ledger, installed->id - 1)].installed = NULL;
	if (++ledger->holes * 2 > ledger->count)
		close_holes(ledger);
}

struct installed *ledger_next(const struct ledger *ledger, uint64_t after,
			      struct rule_set **ret_set)
{
	for (size_t i = find_after(ledger, after); i < ledger->count; i++) {
		if (ledger->entries[i].installed == NULL)
			continue;
		*ret_set = ledger->entries[i].set;
		return ledger->entries[i].installed;
	}
	return NULL;
}
