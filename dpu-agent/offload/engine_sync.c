// SPDX-License-Identifier: BSD-3-Clause
//
// rte_flow_create and rte_flow_destroy, one rule after another; and the query that both APIs share.

#include <errno.h>
#include <stdlib.h>

#include <rte_errno.h>

#include "offload/engine.h"

static void create(struct engine *engine, struct engine_op *op)
{
	struct rte_flow_error error = {0};
	struct flow_words words;

	flow_say(rule_shape(op->rule), op->rule, &engine->form, &words);
	rte_errno = 0;
	op->flow =
		rte_flow_create(engine->port_id, &words.attr, words.items, words.actions, &error);
	op->result =
		op->flow != NULL ? 0 : flow_explain(rte_errno, &error, op->why, sizeof(op->why));
}

static void destroy(struct engine *engine, struct engine_op *op)
{
	struct rte_flow_error error = {0};
	int r = rte_flow_destroy(engine->port_id, op->flow, &error);

	if (r < 0) {
		op->result = flow_explain(-r, &error, op->why, sizeof(op->why));
		return;
	}
	op->flow = NULL;
	op->result = 0;
}

static void sync_run(struct engine *engine, struct engine_op *ops, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (ops[i].create)
			create(engine, &ops[i]);
		else
			destroy(engine, &ops[i]);
	}
}

static void sync_free(struct engine *engine)
{
	free(engine);
}

static const struct engine_ops sync_ops = {
	.name = "synchronous",
	.run = sync_run,
	.free = sync_free,
};

int engine_sync_new(uint16_t port_id, const struct flow_form *form, struct engine **ret_engine)
{
	struct engine *engine = calloc(1, sizeof(*engine));

	if (engine == NULL)
		return -ENOMEM;
	*engine = (struct engine){.ops = &sync_ops,
				  .port_id = port_id,
				  .form = *form,
				  .connections = form->connections,
				  .hairpin = form->connections && form->hairpin,
				  .echo = {form->connections && form->echo_ipv4,
					   form->connections && form->echo_ipv6}};
	*ret_engine = engine;
	return 0;
}

int engine_query(uint16_t port_id, struct rte_flow *flow, struct engine_count *ret_count)
{
	const struct rte_flow_action actions[] = {{.type = RTE_FLOW_ACTION_TYPE_COUNT},
						  {.type = RTE_FLOW_ACTION_TYPE_END}};
	struct rte_flow_query_count count = {0};
	struct rte_flow_error error = {0};
	int r = rte_flow_query(port_id, flow, actions, &count, &error);

	if (r < 0)
		return r;
	*ret_count = (struct engine_count){
		.packets = count.hits_set ? count.hits : 0,
		.bytes = count.bytes_set ? count.bytes : 0,
	};
	return 0;
}
