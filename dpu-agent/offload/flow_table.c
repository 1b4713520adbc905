// SPDX-License-Identifier: BSD-3-Clause
//
// Pattern, actions, table, in this order; the other way round when it ends.

#include "offload/flow_table.h"

#include <errno.h>
#include <string.h>

#include <rte_errno.h>

void flow_table_destroy(uint16_t port_id, struct flow_table *table)
{
	struct rte_flow_error error;

	if (table->table != NULL)
		rte_flow_template_table_destroy(port_id, table->table, &error);
	if (table->actions != NULL)
		rte_flow_actions_template_destroy(port_id, table->actions, &error);
	if (table->pattern != NULL)
		rte_flow_pattern_template_destroy(port_id, table->pattern, &error);
	memset(table, 0, sizeof(*table));
}

int flow_table_create(uint16_t port_id, const struct flow_words *words, uint32_t rules,
		      struct flow_table *ret_table, char ret_why[ENGINE_WHY_SIZE])
{
	const struct rte_flow_pattern_template_attr pattern_attr = {.transfer = 1};
	const struct rte_flow_actions_template_attr actions_attr = {.transfer = 1};
	const struct rte_flow_template_table_attr table_attr = {.flow_attr = words->attr,
								.nb_flows = rules};
	struct rte_flow_error error = {0};
	struct flow_table table = {0};
	int r;

	rte_errno = 0;
	table.pattern =
		rte_flow_pattern_template_create(port_id, &pattern_attr, words->items, &error);
	if (table.pattern != NULL)
		table.actions = rte_flow_actions_template_create(
			port_id, &actions_attr, words->actions, words->action_masks, &error);
	if (table.actions != NULL)
		table.table = rte_flow_template_table_create(port_id, &table_attr, &table.pattern,
							     1, &table.actions, 1, &error);
	if (table.table == NULL) {
		r = flow_explain(rte_errno, &error, ret_why, ENGINE_WHY_SIZE);
		flow_table_destroy(port_id, &table);
		return r;
	}
	*ret_table = table;
	return 0;
}
