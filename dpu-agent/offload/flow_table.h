// SPDX-License-Identifier: BSD-3-Clause
//
// A template table of the asynchronous API with its one pattern template and one actions template:
// where the rules of one shape go. Control thread.

#pragma once

#include "offload/engine.h"

struct flow_table {
	struct rte_flow_pattern_template *pattern;
	struct rte_flow_actions_template *actions;
	struct rte_flow_template_table *table;
};

// Made of the masks of `words`. Errors: what the NIC answered, with *ret_why; nothing is left
// behind.
int flow_table_create(uint16_t port_id, const struct flow_words *words, uint32_t rules,
		      struct flow_table *ret_table, char ret_why[ENGINE_WHY_SIZE]);
// Its rules must be gone. Of a table of zeros: no effect.
void flow_table_destroy(uint16_t port_id, struct flow_table *table);
