// SPDX-License-Identifier: BSD-3-Clause
//
// The asynchronous API: one queue, one template table for each shape. Operations are enqueued,
// pushed together, and their completions pulled until all are in.

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <rte_common.h>
#include <rte_errno.h>

#include "offload/engine.h"
#include "offload/flow_table.h"
#include "offload/routes.h"
#include "proto/base/log.h"

enum {
	QUEUE = 0,
	QUEUE_SIZE = 512, // operations under way; a restart with 1,000 pods has 6,000
	COUNTERS_PER_POD =
		5, // both directions of both families, and what its connections have for it
	COUNTERS_OF_ROUTES = OFFLOAD_ROUTES_MAX + OFFLOAD_SOURCES_MAX,
	METERS_PER_POD = 2, // both directions
	RULES_PER_CONNECTION = 2,
	TABLES_SHARED_ROOM = 16, // more than there are shared rules of one shape
	PREFIX_BITS_MAX = 128,
	ROUTE_KINDS = RULE_KINDS - RULE_ROUTE_FIRST,
	PULL_BURST = 64,
	MTUS_MAX = 16, // different ones, of rules for what fits
	// A NIC that completes nothing for so long will not: firmware is down. What is under way is
	// then unknown.
	SILENCE_MAX_MS = 10000,
};

struct async_engine {
	struct engine engine;
	uint32_t queue_size;
	bool silent; // the NIC has stopped completing; nothing is asked of it again
	uint32_t functions, connections;
	struct flow_table tables[RULE_ROUTE_FIRST];
	// A template's mask is that of one length, on a wire with or without tags; made when the first rule comes.
	struct flow_table route_tables[ROUTE_KINDS][2][PREFIX_BITS_MAX + 1];
	// The same of lengths.
	uint16_t mtus[MTUS_MAX]; // 0: none yet
	struct flow_table fitting_tables[RULE_KINDS][2][MTUS_MAX];
};

static struct async_engine *from_engine(struct engine *engine)
{
	return (struct async_engine *)engine;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int engine_async_configure(uint16_t port_id, uint32_t functions, uint32_t connections,
			   struct engine_queue *ret_queue, char ret_why[ENGINE_WHY_SIZE])
{
	const uint32_t of_pods = functions * COUNTERS_PER_POD + COUNTERS_OF_ROUTES;
	struct rte_flow_port_info port = {0};
	struct rte_flow_queue_info queue = {0};
	struct rte_flow_error error = {0};
	int r = rte_flow_info_get(port_id, &port, &queue, &error);

	if (r < 0)
		return flow_explain(-r, &error, ret_why, ENGINE_WHY_SIZE);
	struct rte_flow_queue_attr queue_attr = {.size = QUEUE_SIZE};
	struct rte_flow_port_attr port_attr = {
		.nb_counters = of_pods + connections * RULES_PER_CONNECTION,
		.nb_meters = functions * METERS_PER_POD,
	};
	const struct rte_flow_queue_attr *queues[] = {&queue_attr};

	// 0: the driver does not say.
	if (queue.max_size != 0 && queue_attr.size > queue.max_size)
		queue_attr.size = queue.max_size;
	if (port.max_nb_counters != 0 && port_attr.nb_counters > port.max_nb_counters)
		port_attr.nb_counters = port.max_nb_counters;
	// A NIC without any is fine.
	if (port_attr.nb_meters > port.max_nb_meters)
		port_attr.nb_meters = port.max_nb_meters;
	r = rte_flow_configure(port_id, &port_attr, 1, queues, &error);
	if (r < 0)
		return flow_explain(-r, &error, ret_why, ENGINE_WHY_SIZE);
	ret_queue->size = queue_attr.size;
	ret_queue->connections = port_attr.nb_counters > of_pods
					 ? (port_attr.nb_counters - of_pods) / RULES_PER_CONNECTION
					 : 0;
	return 0;
}

// ---- tables -------------------------------------------------------------------------------------

// How many rules of this kind there may be.
static uint32_t table_size(enum rule_kind kind, uint32_t functions, uint32_t connections)
{
	const struct rule_shape *shape = &rule_shapes[kind];

	if (kind >= RULE_HAIRPIN_FIRST && kind < RULE_ROUTE_FIRST)
		return RTE_MAX(connections / ENGINE_HAIRPIN_SHARE, 1U) * RULES_PER_CONNECTION;
	if (shape->match & MATCH_ECHO)
		return engine_echoes(connections);
	if (shape->match & MATCH_CONNECTION)
		return connections;
	if (shape->match & MATCH_PREFIX)
		return OFFLOAD_ROUTES_MAX;
	if (shape->match & (MATCH_TCP_SOURCE | MATCH_UDP_SOURCE))
		return functions * OFFLOAD_PUBLISHED_MAX;
	return shape->match & (MATCH_IP_SRC | MATCH_IP_DST | MATCH_FUNCTION | MATCH_AGENT |
			       MATCH_RECEIVER)
		       ? functions
		       : TABLES_SHARED_ROOM;
}

// NULL: there are too many different MTUs.
static struct flow_table *find_fitting_table(struct async_engine *async, const struct rule *rule)
{
	for (size_t i = 0; i < MTUS_MAX; i++) {
		if (async->mtus[i] == 0)
			async->mtus[i] = rule->mtu;
		if (async->mtus[i] == rule->mtu)
			return &async->fitting_tables[rule->kind][rule->vlan != 0][i];
	}
	return NULL;
}

static struct flow_table *find_table(struct async_engine *async, const struct rule *rule)
{
	if ((rule_shape(rule)->match & MATCH_FITS) && rule->mtu != 0)
		return find_fitting_table(async, rule);
	if (rule->kind < RULE_ROUTE_FIRST)
		return &async->tables[rule->kind];
	return &async->route_tables[rule->kind - RULE_ROUTE_FIRST][rule->vlan != 0]
				   [rule->prefix_length];
}

// NULL: refused, and *op says why.
static struct rte_flow_template_table *table_of(struct async_engine *async, struct engine_op *op)
{
	const struct rule *rule = op->rule;
	struct flow_table *table = find_table(async, rule);
	struct flow_words words;

	if (table == NULL) {
		op->result = -ENOSPC;
		snprintf(op->why, sizeof(op->why), "the NIC has no room for rules for another MTU");
		return NULL;
	}
	if (table->table != NULL)
		return table->table;
	flow_say(rule_shape(rule), rule, &async->engine.form, &words);
	op->result = flow_table_create(async->engine.port_id, &words,
				       table_size(rule->kind, async->functions, async->connections),
				       table, op->why);
	return table->table;
}

// ---- operations ---------------------------------------------------------------------------------

static int enqueue(struct async_engine *async, struct engine_op *op)
{
	const struct rte_flow_op_attr attr = {.postpone = 1};
	struct rte_flow_error error = {0};
	struct flow_words words;

	rte_errno = 0;
	if (!op->create) {
		int r = rte_flow_async_destroy(async->engine.port_id, QUEUE, &attr, op->flow, op,
					       &error);

		if (r < 0)
			op->result = flow_explain(-r, &error, op->why, sizeof(op->why));
		return r;
	}
	struct rte_flow_template_table *table = table_of(async, op);
	if (table == NULL)
		return op->result;
	flow_say(rule_shape(op->rule), op->rule, &async->engine.form, &words);
	op->flow = rte_flow_async_create(async->engine.port_id, QUEUE, &attr, table, words.items, 0,
					 words.actions, 0, op, &error);
	if (op->flow == NULL)
		op->result = flow_explain(rte_errno, &error, op->why, sizeof(op->why));
	return op->flow == NULL ? op->result : 0;
}

static void complete(struct engine_op *op, enum rte_flow_op_status status)
{
	const bool good = status == RTE_FLOW_OP_SUCCESS;

	op->result = good ? 0 : -EIO;
	if (!good) // a completion has no errno; what was well formed lacks room, most likely
		snprintf(op->why, sizeof(op->why),
			 "rejected on completion: table full, or what the NIC does not tell");
	if (!op->create)
		op->flow = NULL; // the handle is void either way
}

// Returns the number of completions, or a negative errno when the NIC will bring no more.
static int pull(struct async_engine *async, int64_t *since_ms)
{
	struct rte_flow_op_result results[PULL_BURST];
	struct rte_flow_error error = {0};
	int n = rte_flow_pull(async->engine.port_id, QUEUE, results, PULL_BURST, &error);

	for (int i = 0; i < n; i++)
		complete(results[i].user_data, results[i].status);
	if (n > 0) {
		*since_ms = now_ms();
		return n;
	}
	if (n < 0 || now_ms() - *since_ms > SILENCE_MAX_MS)
		return n < 0 ? n : -ETIMEDOUT;
	sched_yield();
	return 0;
}

static void fall_silent(struct async_engine *async, struct engine_op *ops, size_t count, int r)
{
	if (!async->silent)
		log_error("NIC does not complete rule operations", "error=\"%s\"",
			  rte_strerror(-r));
	async->silent = true;
	for (size_t i = 0; i < count; i++) {
		if (ops[i].result != -EINPROGRESS)
			continue;
		ops[i].result = -ETIMEDOUT;
		ops[i].flow = NULL;
		snprintf(ops[i].why, sizeof(ops[i].why), "the NIC does not answer");
	}
}

static void run_all(struct async_engine *async, struct engine_op *ops, size_t count)
{
	struct rte_flow_error error = {0};
	uint32_t under_way = 0;
	size_t next = 0;
	int r = 0;

	for (size_t i = 0; i < count; i++)
		ops[i].result = -EINPROGRESS;
	if (async->silent) {
		fall_silent(async, ops, count, -ETIMEDOUT);
		return;
	}
	int64_t since_ms = now_ms();
	while (next < count || under_way > 0) {
		bool added = false;

		for (; next < count && under_way < async->queue_size; next++) {
			if (enqueue(async, &ops[next]) < 0)
				continue;
			under_way++;
			added = true;
		}
		if (added)
			r = rte_flow_push(async->engine.port_id, QUEUE, &error);
		if (r == 0 && under_way > 0)
			r = pull(async, &since_ms);
		if (r < 0) {
			fall_silent(async, ops, count, r);
			return;
		}
		under_way -= (uint32_t)r;
		r = 0;
	}
}

// A rule that was rejected on completion has a handle all the same, which must be given back
// (rte_flow guide, "Enqueue creation operation").
static void give_back_rejected(struct async_engine *async, struct engine_op *ops, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!ops[i].create || ops[i].result == 0 || ops[i].flow == NULL)
			continue;
		struct engine_op back = {.flow = ops[i].flow};

		run_all(async, &back, 1);
		ops[i].flow = NULL;
	}
}

static void async_run(struct engine *engine, struct engine_op *ops, size_t count)
{
	struct async_engine *async = from_engine(engine);

	run_all(async, ops, count);
	give_back_rejected(async, ops, count);
}

// ---- life ---------------------------------------------------------------------------------------

static void async_free(struct engine *engine)
{
	struct async_engine *async = from_engine(engine);

	for (size_t i = 0; i < RULE_ROUTE_FIRST; i++)
		flow_table_destroy(engine->port_id, &async->tables[i]);
	for (size_t kind = 0; kind < RULE_KINDS; kind++)
		for (size_t i = 0; i < MTUS_MAX; i++) {
			flow_table_destroy(engine->port_id, &async->fitting_tables[kind][0][i]);
			flow_table_destroy(engine->port_id, &async->fitting_tables[kind][1][i]);
		}
	for (size_t kind = 0; kind < ROUTE_KINDS; kind++)
		for (size_t length = 0; length <= PREFIX_BITS_MAX; length++) {
			flow_table_destroy(engine->port_id, &async->route_tables[kind][0][length]);
			flow_table_destroy(engine->port_id, &async->route_tables[kind][1][length]);
		}
	free(async);
}

static const struct engine_ops async_ops = {
	.name = "asynchronous",
	.bulk = true,
	.run = async_run,
	.free = async_free,
};

static int create_table(struct async_engine *async, unsigned int kind, uint32_t functions,
			uint32_t connections, char ret_why[ENGINE_WHY_SIZE])
{
	const struct rule rule = {.kind = kind};
	struct flow_words words;

	flow_say(&rule_shapes[kind], &rule, &async->engine.form, &words);
	return flow_table_create(async->engine.port_id, &words,
				 table_size(kind, functions, connections), &async->tables[kind],
				 ret_why);
}

// All tables from `first` up to `end`, or none of them: false.
static bool create_tables(struct async_engine *async, unsigned int first, unsigned int end,
			  uint32_t functions, uint32_t connections, char ret_why[ENGINE_WHY_SIZE])
{
	unsigned int kind;

	for (kind = first; kind < end; kind++) {
		if (flow_has_kind(&async->engine.form, kind) &&
		    create_table(async, kind, functions, connections, ret_why) < 0)
			break;
	}
	if (kind == end)
		return true;
	while (kind-- > first)
		flow_table_destroy(async->engine.port_id, &async->tables[kind]);
	return false;
}

static void create_connection_tables(struct async_engine *async, uint32_t functions,
				     uint32_t connections, char ret_why[ENGINE_WHY_SIZE])
{
	struct engine *engine = &async->engine;

	engine->connections = create_tables(async, RULE_CONNECTION_FIRST, RULE_ECHO_FIRST,
					    functions, connections, ret_why);
	engine->hairpin = engine->connections && engine->form.hairpin &&
			  create_tables(async, RULE_HAIRPIN_FIRST, RULE_ROUTE_FIRST, functions,
					connections, ret_why);
	for (unsigned int ipv6 = 0; ipv6 < 2; ipv6++) {
		const unsigned int first = ipv6 ? RULE_ECHO_IPV6_FIRST : RULE_ECHO_FIRST,
				   end = ipv6 ? RULE_HAIRPIN_FIRST : RULE_ECHO_IPV6_FIRST;

		engine->echo[ipv6] =
			engine->connections && flow_has_kind(&engine->form, first) &&
			create_tables(async, first, end, functions, connections, ret_why);
	}
}

int engine_async_new(uint16_t port_id, const struct flow_form *form,
		     const struct engine_queue *queue, uint32_t functions,
		     struct engine **ret_engine, char ret_why[ENGINE_WHY_SIZE])
{
	struct async_engine *async = calloc(1, sizeof(*async));

	if (async == NULL) {
		snprintf(ret_why, ENGINE_WHY_SIZE, "out of memory");
		return -ENOMEM;
	}
	async->engine = (struct engine){.ops = &async_ops, .port_id = port_id, .form = *form};
	async->queue_size = queue->size;
	async->functions = functions;
	async->connections = queue->connections;
	for (unsigned int kind = 0; kind < RULE_CONNECTION_FIRST; kind++) {
		if (!flow_has_kind(form, kind))
			continue;
		int r = create_table(async, kind, functions, 0, ret_why);
		if (r < 0) {
			async_free(&async->engine);
			return r;
		}
	}
	if (form->connections && queue->connections > 0)
		create_connection_tables(async, functions, queue->connections, ret_why);
	*ret_engine = &async->engine;
	return 0;
}
