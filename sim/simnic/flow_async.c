// SPDX-License-Identifier: BSD-3-Clause

#include <errno.h>

#include "sim/simnic/flow_async.h"

static int refuse(struct rte_flow_error *error, int code, enum rte_flow_error_type type,
		  const void *cause, const char *why)
{
	return rte_flow_error_set(error, code, type, cause, why);
}

static struct flow_queue *get_queue(struct rte_eth_dev *dev, uint32_t queue,
				    struct rte_flow_error *error)
{
	struct flow_engine *engine = function_of(dev)->port.flow_engine;

	if (engine != NULL && queue < engine->queue_count)
		return &engine->queues[queue];
	(void)refuse(error, EINVAL, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, NULL,
		     "no such queue: rte_flow_configure() makes them");
	return NULL;
}

// A place for an operation; NULL, with *error set.
static struct flow_operation *reserve(struct rte_eth_dev *dev, uint32_t queue, void *user_data,
				      struct rte_flow_error *error)
{
	struct flow_queue *found = get_queue(dev, queue, error);
	struct flow_operation *operation;

	if (found == NULL)
		return NULL;
	operation = flow_queue_reserve(found);
	if (operation == NULL) {
		(void)refuse(error, EAGAIN, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, NULL,
			     "the queue is full: results have to be pulled");
		return NULL;
	}
	operation->user_data = user_data;
	return operation;
}

static void commit(struct rte_eth_dev *dev, uint32_t queue, const struct rte_flow_op_attr *attr)
{
	struct function *function = function_of(dev);
	struct flow_queue *found = &function->port.flow_engine->queues[queue];

	flow_queue_commit(found);
	if (attr == NULL || !attr->postpone)
		flow_queue_push(found, function->device);
}

// ---- rules ----------------------------------------------------------------------------------------------

struct count {
	struct device *device;
	uint32_t rules;
};

static void count_rules(void *argument)
{
	struct count *count = argument;

	count->rules = flow_tables_total(count->device->eswitch->tables);
}

// A card that is full says so when a rule is enqueued: a completion could not say why.
static int check_room(struct rte_eth_dev *dev, uint32_t queue, struct rte_flow_error *error)
{
	struct function *function = function_of(dev);
	struct count count = {.device = function->device};
	int64_t rules;

	if (fault_table_limit(count.device) == FAULT_TABLE_UNLIMITED)
		return 0;
	pipeline_call(count.device, count_rules, &count);
	rules = count.rules + flow_queue_growth(&function->port.flow_engine->queues[queue]);
	return fault_check_room(count.device, rules > 0 ? (uint32_t)rules : 0, error);
}

static int check_create(struct rte_eth_dev *dev, const struct rte_flow_template_table *table,
			uint8_t pattern_index, uint8_t actions_index, struct rte_flow_error *error)
{
	if (table == NULL || table->owner != function_of(dev))
		return refuse(error, EINVAL, RTE_FLOW_ERROR_TYPE_HANDLE, table,
			      "not a table of this port");
	if (pattern_index >= table->pattern_count || actions_index >= table->actions_count)
		return refuse(error, EINVAL, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, table,
			      "the table has no such template");
	return 0;
}

// Compile, and make the rule. NULL, with *error set.
static struct rte_flow *make(struct rte_eth_dev *dev, struct rte_flow_template_table *table,
			     const struct rte_flow_item pattern[], uint8_t pattern_index,
			     const struct rte_flow_action actions[], uint8_t actions_index,
			     struct rte_flow_error *error)
{
	const struct rte_flow_pattern_template *template = table->patterns[pattern_index];
	struct device *device = function_of(dev)->device;
	struct flow_actions *compiled;
	struct flow_match match;
	struct rte_flow *rule;

	if (flow_match_compile_rule(device, template->items, template->relaxed, pattern, &match,
				    error) < 0 ||
	    flow_actions_compile_rule(device, table->actions[actions_index]->list, &match,
				      table->group, actions, &compiled, error) < 0)
		return NULL;
	rule = flow_rule_new(function_of(dev), &match, table->group, table->priority, compiled,
			     error);
	if (rule == NULL)
		flow_actions_free(compiled);
	return rule;
}

struct rte_flow *flow_async_create(struct rte_eth_dev *dev, uint32_t queue,
				   const struct rte_flow_op_attr *attr,
				   struct rte_flow_template_table *table,
				   const struct rte_flow_item pattern[], uint8_t pattern_index,
				   const struct rte_flow_action actions[], uint8_t actions_index,
				   void *user_data, struct rte_flow_error *error)
{
	struct flow_operation *operation = reserve(dev, queue, user_data, error);
	struct rte_flow *rule;

	if (operation == NULL ||
	    check_create(dev, table, pattern_index, actions_index, error) < 0 ||
	    check_room(dev, queue, error) < 0)
		return NULL;
	if (__atomic_add_fetch(&table->rules, 1, __ATOMIC_ACQ_REL) > table->rules_max) {
		(void)refuse(error, ENOSPC, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, table,
			     "the table has all the rules it was made for");
		rule = NULL;
	} else {
		rule = make(dev, table, pattern, pattern_index, actions, actions_index, error);
	}
	if (rule == NULL) {
		__atomic_sub_fetch(&table->rules, 1, __ATOMIC_ACQ_REL);
		return NULL;
	}
	rule->table = table;
	rule->match = &table->patterns[pattern_index]->match;
	rule->queue = queue;
	rule->busy = true;
	operation->kind = FLOW_OP_CREATE;
	operation->rule = rule;
	commit(dev, queue, attr);
	return rule;
}

static int check_rule(struct rte_eth_dev *dev, uint32_t queue, const struct rte_flow *rule,
		      struct rte_flow_error *error)
{
	if (rule == NULL || rule->owner != function_of(dev)->index || rule->table == NULL)
		return refuse(error, EINVAL, RTE_FLOW_ERROR_TYPE_HANDLE, rule,
			      "not a rule of this port's queues");
	if (rule->queue != queue)
		return refuse(error, EINVAL, RTE_FLOW_ERROR_TYPE_HANDLE, rule,
			      "the rule was made on another queue");
	if (rule->busy)
		return refuse(error, EBUSY, RTE_FLOW_ERROR_TYPE_HANDLE, rule,
			      "the result of an operation on the rule was not pulled yet");
	return 0;
}

int flow_async_destroy(struct rte_eth_dev *dev, uint32_t queue, const struct rte_flow_op_attr *attr,
		       struct rte_flow *rule, void *user_data, struct rte_flow_error *error)
{
	struct flow_operation *operation = reserve(dev, queue, user_data, error);

	if (operation == NULL || check_rule(dev, queue, rule, error) < 0)
		return -rte_errno;
	rule->busy = true;
	operation->kind = FLOW_OP_DESTROY;
	operation->rule = rule;
	commit(dev, queue, attr);
	return 0;
}

// The rule's pattern is what it was made with, so that the actions are checked against that.
int flow_async_actions_update(struct rte_eth_dev *dev, uint32_t queue,
			      const struct rte_flow_op_attr *attr, struct rte_flow *rule,
			      const struct rte_flow_action actions[], uint8_t actions_index,
			      void *user_data, struct rte_flow_error *error)
{
	struct flow_operation *operation = reserve(dev, queue, user_data, error);
	struct flow_actions *compiled;

	if (operation == NULL || check_rule(dev, queue, rule, error) < 0 ||
	    check_create(dev, rule->table, 0, actions_index, error) < 0 ||
	    flow_actions_compile_rule(function_of(dev)->device,
				      rule->table->actions[actions_index]->list, rule->match,
				      rule->table->group, actions, &compiled, error) < 0)
		return -rte_errno;
	rule->busy = true;
	operation->kind = FLOW_OP_UPDATE;
	operation->rule = rule;
	operation->actions = compiled;
	commit(dev, queue, attr);
	return 0;
}

int flow_async_push(struct rte_eth_dev *dev, uint32_t queue, struct rte_flow_error *error)
{
	struct flow_queue *found = get_queue(dev, queue, error);

	if (found == NULL)
		return -rte_errno;
	flow_queue_push(found, function_of(dev)->device);
	return 0;
}

int flow_async_pull(struct rte_eth_dev *dev, uint32_t queue, struct rte_flow_op_result results[],
		    uint16_t size, struct rte_flow_error *error)
{
	struct flow_queue *found = get_queue(dev, queue, error);

	if (found == NULL)
		return -rte_errno;
	return flow_queue_pull(found, results, size);
}

void flow_async_settle(struct function *function)
{
	struct flow_engine *engine = function->port.flow_engine;

	for (uint16_t i = 0; engine != NULL && i < engine->queue_count; i++) {
		flow_queue_push(&engine->queues[i], function->device);
		flow_queue_forget_rules(&engine->queues[i]);
	}
}

// ---- indirect actions -----------------------------------------------------------------------------------

static void done(struct rte_eth_dev *dev, uint32_t queue, const struct rte_flow_op_attr *attr,
		 struct flow_operation *operation)
{
	operation->kind = FLOW_OP_DONE;
	commit(dev, queue, attr);
}

struct rte_flow_action_handle *flow_async_handle_create(
	struct rte_eth_dev *dev, uint32_t queue, const struct rte_flow_op_attr *attr,
	const struct rte_flow_indir_action_conf *conf, const struct rte_flow_action *action,
	void *user_data, struct rte_flow_error *error)
{
	struct flow_operation *operation = reserve(dev, queue, user_data, error);
	struct rte_flow_action_handle *handle;

	if (operation == NULL)
		return NULL;
	handle = flow_shared_create(dev, conf, action, error);
	if (handle != NULL)
		done(dev, queue, attr, operation);
	return handle;
}

int flow_async_handle_destroy(struct rte_eth_dev *dev, uint32_t queue,
			      const struct rte_flow_op_attr *attr,
			      struct rte_flow_action_handle *handle, void *user_data,
			      struct rte_flow_error *error)
{
	struct flow_operation *operation = reserve(dev, queue, user_data, error);
	int result;

	if (operation == NULL)
		return -rte_errno;
	result = flow_shared_destroy(dev, handle, error);
	if (result == 0)
		done(dev, queue, attr, operation);
	return result;
}

int flow_async_handle_update(struct rte_eth_dev *dev, uint32_t queue,
			     const struct rte_flow_op_attr *attr,
			     struct rte_flow_action_handle *handle, const void *update,
			     void *user_data, struct rte_flow_error *error)
{
	struct flow_operation *operation = reserve(dev, queue, user_data, error);
	int result;

	if (operation == NULL)
		return -rte_errno;
	result = flow_shared_update(dev, handle, update, error);
	if (result == 0)
		done(dev, queue, attr, operation);
	return result;
}

int flow_async_handle_query(struct rte_eth_dev *dev, uint32_t queue,
			    const struct rte_flow_op_attr *attr,
			    const struct rte_flow_action_handle *handle, void *data,
			    void *user_data, struct rte_flow_error *error)
{
	struct flow_operation *operation = reserve(dev, queue, user_data, error);
	int result;

	if (operation == NULL)
		return -rte_errno;
	result = flow_shared_query(dev, handle, data, error);
	if (result == 0)
		done(dev, queue, attr, operation);
	return result;
}

#if RTE_VERSION >= RTE_VERSION_NUM(24, 3, 0, 0)
// The members that are left out are refused by ethdev.
const struct rte_flow_fp_ops simnic_flow_fp_ops = {
	.async_create = flow_async_create,
	.async_actions_update = flow_async_actions_update,
	.async_destroy = flow_async_destroy,
	.push = flow_async_push,
	.pull = flow_async_pull,
	.async_action_handle_create = flow_async_handle_create,
	.async_action_handle_destroy = flow_async_handle_destroy,
	.async_action_handle_update = flow_async_handle_update,
	.async_action_handle_query = flow_async_handle_query,
};
#endif
