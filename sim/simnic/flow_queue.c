// SPDX-License-Identifier: BSD-3-Clause

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>

#include "sim/simnic/flow_api.h"
#include "sim/simnic/flow_queue.h"

int flow_queue_init(struct flow_queue *queue, uint32_t size)
{
	*queue = (struct flow_queue){.size = size};
	queue->ring = calloc(size, sizeof(queue->ring[0]));
	return queue->ring != NULL ? 0 : -ENOMEM;
}

static struct flow_operation *at(struct flow_queue *queue, uint64_t counter)
{
	return &queue->ring[counter % queue->size];
}

void flow_queue_fini(struct flow_queue *queue)
{
	for (uint64_t i = queue->pushed; i != queue->enqueued; i++) {
		struct flow_operation *operation = at(queue, i);

		if (operation->kind == FLOW_OP_CREATE)
			flow_rule_free(operation->rule);
		flow_actions_free(operation->actions);
	}
	free(queue->ring);
	*queue = (struct flow_queue){0};
}

struct flow_operation *flow_queue_reserve(struct flow_queue *queue)
{
	struct flow_operation *operation = at(queue, queue->enqueued);

	if (queue->enqueued - queue->pulled == queue->size)
		return NULL;
	memset(operation, 0, sizeof(*operation));
	return operation;
}

void flow_queue_commit(struct flow_queue *queue)
{
	queue->enqueued++;
}

int64_t flow_queue_growth(const struct flow_queue *queue)
{
	int64_t growth = 0;

	for (uint64_t i = queue->pushed; i != queue->enqueued; i++) {
		const struct flow_operation *operation = &queue->ring[i % queue->size];

		growth += operation->kind == FLOW_OP_CREATE;
		growth -= operation->kind == FLOW_OP_DESTROY;
	}
	return growth;
}

// ---- push -----------------------------------------------------------------------------------------------

struct push {
	struct flow_queue *queue;
	struct device *device;
};

static void create(struct device *device, struct flow_operation *operation)
{
	struct rte_flow_error ignored;

	operation->failed =
		flow_rule_try(device, operation->rule, operation->rule->match, &ignored) < 0;
	if (operation->failed)
		eswitch_keep(device, operation->rule);
}

// A rule that is no longer in force, since a function was reset, cannot be changed.
static void update(struct flow_operation *operation)
{
	struct flow *flow = &operation->rule->flow;
	struct flow_actions *before = flow->actions;

	operation->failed = flow->table == NULL;
	if (operation->failed)
		return;
	flow->actions = operation->actions;
	operation->actions = before;
}

static void apply(void *argument)
{
	struct push *push = argument;
	struct flow_queue *queue = push->queue;

	for (uint64_t i = queue->pushed; i != queue->enqueued; i++) {
		struct flow_operation *operation = at(queue, i);

		switch (operation->kind) {
		case FLOW_OP_CREATE:
			create(push->device, operation);
			break;
		case FLOW_OP_DESTROY:
			eswitch_remove(push->device, operation->rule);
			break;
		case FLOW_OP_UPDATE:
			update(operation);
			break;
		case FLOW_OP_DONE:
			break;
		}
	}
}

// Ageing goes by the actions that the rule has now.
static void age(struct device *device, struct rte_flow *rule)
{
	const struct flow_actions *actions = rule->flow.actions;

	flow_age_remove(device, &rule->age);
	if (!actions->age)
		return;
	rule->age.timeout_s = actions->age_timeout_s;
	rule->age.context = actions->age_context != NULL ? actions->age_context : rule;
	flow_age_add(device, &rule->age);
}

// The e-switch no longer uses what was taken out of it.
static void clean_up(struct flow_queue *queue, struct device *device,
		     struct flow_operation *operation, uint64_t insert_cycles)
{
	bool has_actions = operation->kind == FLOW_OP_CREATE || operation->kind == FLOW_OP_UPDATE;

	if (has_actions && !operation->failed)
		age(device, operation->rule);
	if (operation->kind == FLOW_OP_DESTROY) {
		flow_rule_free(operation->rule);
		operation->rule = NULL;
	}
	flow_actions_free(operation->actions);
	operation->actions = NULL;
	if (operation->kind == FLOW_OP_CREATE)
		queue->busy_until += insert_cycles;
	operation->done_at = queue->busy_until;
}

void flow_queue_push(struct flow_queue *queue, struct device *device)
{
	struct push push = {.queue = queue, .device = device};
	uint64_t insert_cycles = fault_insert_delay_us(device) * rte_get_tsc_hz() / US_PER_S;

	if (queue->pushed == queue->enqueued)
		return;
	for (uint64_t i = queue->pushed; i != queue->enqueued; i++)
		if (at(queue, i)->kind == FLOW_OP_DESTROY)
			flow_age_remove(device, &at(queue, i)->rule->age);
	pipeline_call(device, apply, &push);
	queue->busy_until = RTE_MAX(queue->busy_until, rte_get_tsc_cycles());
	for (; queue->pushed != queue->enqueued; queue->pushed++)
		clean_up(queue, device, at(queue, queue->pushed), insert_cycles);
}

// ---- results --------------------------------------------------------------------------------------------

uint16_t flow_queue_pull(struct flow_queue *queue, struct rte_flow_op_result results[],
			 uint16_t size)
{
	uint64_t now = rte_get_tsc_cycles();
	uint16_t count = 0;

	for (; count < size && queue->pulled != queue->pushed; count++, queue->pulled++) {
		const struct flow_operation *operation = at(queue, queue->pulled);

		if (operation->done_at > now)
			break;
		results[count] = (struct rte_flow_op_result){
			.status = operation->failed ? RTE_FLOW_OP_ERROR : RTE_FLOW_OP_SUCCESS,
			.user_data = operation->user_data,
		};
		if (operation->rule != NULL)
			operation->rule->busy = false;
	}
	return count;
}

void flow_queue_forget_rules(struct flow_queue *queue)
{
	for (uint64_t i = queue->pulled; i != queue->pushed; i++)
		at(queue, i)->rule = NULL;
}
