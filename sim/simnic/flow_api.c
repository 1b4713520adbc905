// SPDX-License-Identifier: BSD-3-Clause
//
// rte_flow, the synchronous calls. Patterns and actions are compiled here; only the change of the tables is made in the
// pipeline's thread, which goes on with frames meanwhile.

#include <errno.h>
#include <stdlib.h>

#include "sim/simnic/flow_async.h"
#include "sim/simnic/flow_dump.h"

// ---- attributes -----------------------------------------------------------------------------------------

int flow_attr_check(const struct rte_flow_attr *attr, struct rte_flow_error *error)
{
	if (attr == NULL)
		return rte_flow_error_set(error, EINVAL, RTE_FLOW_ERROR_TYPE_ATTR, NULL,
					  "no attributes");
	if (attr->transfer && (attr->ingress || attr->egress))
		return rte_flow_error_set(error, EINVAL, RTE_FLOW_ERROR_TYPE_ATTR, attr,
					  "a transfer rule has no direction");
	if (attr->ingress)
		return rte_flow_error_set(error, ENOTSUP, RTE_FLOW_ERROR_TYPE_ATTR_INGRESS, attr,
					  "only transfer rules are supported");
	if (attr->egress)
		return rte_flow_error_set(error, ENOTSUP, RTE_FLOW_ERROR_TYPE_ATTR_EGRESS, attr,
					  "only transfer rules are supported");
	if (!attr->transfer)
		return rte_flow_error_set(error, EINVAL, RTE_FLOW_ERROR_TYPE_ATTR_TRANSFER, attr,
					  "only transfer rules are supported");
	if (attr->reserved != 0)
		return rte_flow_error_set(error, EINVAL, RTE_FLOW_ERROR_TYPE_ATTR, attr,
					  "reserved bits");
	if (attr->group > FLOW_GROUP_MAX)
		return rte_flow_error_set(error, ENOTSUP, RTE_FLOW_ERROR_TYPE_ATTR_GROUP, attr,
					  "groups are 0 to 65535");
	if (attr->priority > FLOW_PRIORITY_MAX)
		return rte_flow_error_set(error, ENOTSUP, RTE_FLOW_ERROR_TYPE_ATTR_PRIORITY, attr,
					  "priorities are 0 to 65535");
	return 0;
}

// ---- rules ----------------------------------------------------------------------------------------------

struct rte_flow *flow_rule_new(const struct function *owner, const struct flow_match *match,
			       uint32_t group, uint32_t priority, struct flow_actions *actions,
			       struct rte_flow_error *error)
{
	struct rte_flow *rule = calloc(1, sizeof(*rule) - sizeof(rule->flow) + flow_size(match));

	if (rule == NULL) {
		rte_flow_error_set(error, ENOMEM, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, NULL,
				   "out of memory");
		return NULL;
	}
	rule->owner = owner->index;
	rule->origin = match->mask.origin != 0 ? match->value.origin : FLOW_ORIGIN_ANY;
	flow_init(&rule->flow, match, group, priority);
	rule->flow.actions = actions;
	rule->age.owner = owner->index;
	rule->age.timeout_s = actions->age_timeout_s;
	rule->age.context = actions->age_context != NULL ? actions->age_context : rule;
	rule->age.hits = &rule->flow.hits;
	return rule;
}

void flow_rule_free(struct rte_flow *rule)
{
	if (rule->table != NULL)
		__atomic_sub_fetch(&rule->table->rules, 1, __ATOMIC_ACQ_REL);
	flow_actions_free(rule->flow.actions);
	free(rule);
}

int flow_rule_try(struct device *device, struct rte_flow *rule, const struct flow_match *match,
		  struct rte_flow_error *error)
{
	int result = fault_check_insert(device, flow_tables_total(device->eswitch->tables), error);

	if (result < 0)
		return result;
	result = eswitch_insert(device, rule, match);
	if (result == -EEXIST)
		return rte_flow_error_set(error, EEXIST, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, NULL,
					  "there is a rule with this group, priority and pattern");
	if (result < 0)
		return rte_flow_error_set(error, -result, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, NULL,
					  "out of memory");
	return 0;
}

struct change {
	struct device *device;
	struct rte_flow *rule;
	const struct flow_match *match;
	struct rte_flow_error *error;
	int result;
};

static void insert(void *argument)
{
	struct change *change = argument;

	change->result = flow_rule_try(change->device, change->rule, change->match, change->error);
}

static void take_out(void *argument)
{
	struct change *change = argument;

	eswitch_remove(change->device, change->rule);
}

int flow_rule_link(struct device *device, struct rte_flow *rule, const struct flow_match *match,
		   struct rte_flow_error *error)
{
	struct change change = {.device = device, .rule = rule, .match = match, .error = error};

	fault_wait_insert(device);
	pipeline_call(device, insert, &change);
	if (change.result < 0)
		rte_errno = -change.result;
	else if (rule->flow.actions->age)
		flow_age_add(device, &rule->age);
	return change.result;
}

void flow_rule_unlink(struct device *device, struct rte_flow *rule)
{
	struct change change = {.device = device, .rule = rule};

	flow_age_remove(device, &rule->age);
	pipeline_call(device, take_out, &change);
}

// ---- operations -----------------------------------------------------------------------------------------

static int compile(struct rte_eth_dev *dev, const struct rte_flow_attr *attr,
		   const struct rte_flow_item pattern[], const struct rte_flow_action actions[],
		   struct flow_match *ret_match, struct flow_actions **ret_actions,
		   struct rte_flow_error *error)
{
	struct device *device = function_of(dev)->device;

	if (flow_attr_check(attr, error) < 0 ||
	    flow_match_compile(device, pattern, ret_match, error) < 0)
		return -rte_errno;
	return flow_actions_compile(device, ret_match, attr->group, actions, ret_actions, error);
}

static int validate(struct rte_eth_dev *dev, const struct rte_flow_attr *attr,
		    const struct rte_flow_item pattern[], const struct rte_flow_action actions[],
		    struct rte_flow_error *error)
{
	struct flow_actions *compiled;
	struct flow_match match;
	int result = compile(dev, attr, pattern, actions, &match, &compiled, error);

	if (result == 0)
		flow_actions_free(compiled);
	return result;
}

static struct rte_flow *create(struct rte_eth_dev *dev, const struct rte_flow_attr *attr,
			       const struct rte_flow_item pattern[],
			       const struct rte_flow_action actions[], struct rte_flow_error *error)
{
	struct function *function = function_of(dev);
	struct flow_actions *compiled;
	struct flow_match match;
	struct rte_flow *rule;

	if (compile(dev, attr, pattern, actions, &match, &compiled, error) < 0)
		return NULL;
	rule = flow_rule_new(function, &match, attr->group, attr->priority, compiled, error);
	if (rule == NULL) {
		flow_actions_free(compiled);
		return NULL;
	}
	if (flow_rule_link(function->device, rule, &match, error) < 0) {
		flow_rule_free(rule);
		return NULL;
	}
	return rule;
}

static int check_owner(struct rte_eth_dev *dev, const struct rte_flow *rule,
		       struct rte_flow_error *error)
{
	if (rule != NULL && rule->owner == function_of(dev)->index)
		return 0;
	return rte_flow_error_set(error, EINVAL, RTE_FLOW_ERROR_TYPE_HANDLE, rule,
				  "the rule was not made through this port");
}

static int destroy(struct rte_eth_dev *dev, struct rte_flow *rule, struct rte_flow_error *error)
{
	if (check_owner(dev, rule, error) < 0)
		return -rte_errno;
	if (rule->table != NULL)
		return rte_flow_error_set(error, EINVAL, RTE_FLOW_ERROR_TYPE_HANDLE, rule,
					  "the rule is a queue's to destroy");
	flow_rule_unlink(function_of(dev)->device, rule);
	flow_rule_free(rule);
	return 0;
}

struct flush {
	struct function *owner;
	struct rule_list rules; // that were taken out
};

static void take_out_all(void *argument)
{
	struct flush *flush = argument;
	struct device *device = flush->owner->device;
	struct rte_flow *rule, *next;

	for (rule = TAILQ_FIRST(&device->eswitch->rules); rule != NULL; rule = next) {
		next = TAILQ_NEXT(rule, next);
		if (rule->owner != flush->owner->index)
			continue;
		eswitch_remove(device, rule);
		TAILQ_INSERT_TAIL(&flush->rules, rule, next);
	}
}

static void flush_function(struct function *function)
{
	struct flush flush = {.owner = function};
	struct rte_flow *rule;

	TAILQ_INIT(&flush.rules);
	pipeline_call(function->device, take_out_all, &flush);
	while ((rule = TAILQ_FIRST(&flush.rules)) != NULL) {
		TAILQ_REMOVE(&flush.rules, rule, next);
		flow_age_remove(function->device, &rule->age);
		flow_rule_free(rule);
	}
}

void flow_port_closed(struct function *function)
{
	flush_function(function);
	flow_engine_free(function->port.flow_engine);
	function->port.flow_engine = NULL;
	flow_shared_port_closed(function);
}

static int flush_port(struct rte_eth_dev *dev, struct rte_flow_error *error)
{
	flow_async_settle(function_of(dev));
	flush_function(function_of(dev));
	return 0;
}

static int query_count(struct rte_flow *rule, struct rte_flow_query_count *count)
{
	struct rte_flow_action_handle *shared = rule->flow.actions->shared_count;

	if (shared != NULL)
		flow_count_query(&shared->hits, &shared->bytes, &shared->base, count);
	else if (rule->flow.actions->count)
		flow_count_query(&rule->flow.hits, &rule->flow.bytes, &rule->base, count);
	else
		return -ENOENT;
	return 0;
}

static int query_age(struct device *device, struct rte_flow *rule,
		     struct rte_flow_query_age *answer)
{
	struct rte_flow_action_handle *shared = rule->flow.actions->shared_age;

	if (shared != NULL)
		flow_age_query(device, &shared->age, answer);
	else if (rule->flow.actions->age)
		flow_age_query(device, &rule->age, answer);
	else
		return -ENOENT;
	return 0;
}

static int query(struct rte_eth_dev *dev, struct rte_flow *rule,
		 const struct rte_flow_action *action, void *data, struct rte_flow_error *error)
{
	if (check_owner(dev, rule, error) < 0)
		return -rte_errno;
	if (action == NULL || data == NULL)
		return rte_flow_error_set(error, EINVAL, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, NULL,
					  "no action, or no place for the answer");
	for (; action->type != RTE_FLOW_ACTION_TYPE_END; action++) {
		int result;

		if (action->type == RTE_FLOW_ACTION_TYPE_VOID)
			continue;
		if (action->type == RTE_FLOW_ACTION_TYPE_COUNT)
			result = query_count(rule, data);
		else if (action->type == RTE_FLOW_ACTION_TYPE_AGE)
			result = query_age(function_of(dev)->device, rule, data);
		else
			return rte_flow_error_set(error, ENOTSUP, RTE_FLOW_ERROR_TYPE_ACTION,
						  action, "an action that has no answer");
		if (result < 0)
			return rte_flow_error_set(error, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION, action,
						  "the rule does not have this action");
		return 0;
	}
	return rte_flow_error_set(error, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION_NUM, action,
				  "no action is asked for");
}

static int dev_dump(struct rte_eth_dev *dev, struct rte_flow *rule, FILE *file,
		    struct rte_flow_error *error)
{
	int result = -EINVAL;

	if (rule != NULL && check_owner(dev, rule, error) < 0)
		return -rte_errno;
	if (file != NULL)
		result = flow_dump(function_of(dev), rule, file);
	if (result < 0)
		return rte_flow_error_set(error, -result, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, NULL,
					  "no file, or no memory");
	return 0;
}

static int get_aged_flows(struct rte_eth_dev *dev, void **contexts, uint32_t count,
			  struct rte_flow_error *error)
{
	if (count > 0 && contexts == NULL)
		return rte_flow_error_set(error, EINVAL, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, NULL,
					  "no place for the contexts");
	return flow_age_get(function_of(dev)->device, function_of(dev)->index, contexts, count);
}

// Without RTE_FLOW_PORT_FLAG_STRICT_QUEUE, the queue does not count.
static int get_q_aged_flows(struct rte_eth_dev *dev, uint32_t queue, void **contexts,
			    uint32_t count, struct rte_flow_error *error)
{
	return get_aged_flows(dev, contexts, count, error);
}

// What no rule matches comes to the application: there is no other mode.
static int isolate(struct rte_eth_dev *dev, int on, struct rte_flow_error *error)
{
	return rte_flow_error_set(error, ENOTSUP, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, NULL,
				  "isolated mode is not supported");
}

static int pick_transfer_proxy(struct rte_eth_dev *dev, uint16_t *ret_port,
			       struct rte_flow_error *error)
{
	const struct device *device = function_of(dev)->device;
	const struct rte_eth_dev *uplink =
		__atomic_load_n(&device->functions[CARD_INDEX_WIRE].port.ethdev, __ATOMIC_ACQUIRE);

	if (uplink == NULL)
		return rte_flow_error_set(error, ENODEV, RTE_FLOW_ERROR_TYPE_STATE, NULL,
					  "the uplink port is closed");
	*ret_port = uplink->data->port_id;
	return 0;
}

#define SYNCHRONOUS                                                                                \
	.validate = validate, .create = create, .destroy = destroy, .flush = flush_port,           \
	.query = query, .isolate = isolate, .dev_dump = dev_dump,                                  \
	.get_aged_flows = get_aged_flows, .action_handle_create = flow_shared_create,              \
	.action_handle_destroy = flow_shared_destroy, .action_handle_update = flow_shared_update,  \
	.action_handle_query = flow_shared_query, .pick_transfer_proxy = pick_transfer_proxy

const struct rte_flow_ops simnic_flow_synchronous_ops = {SYNCHRONOUS};

const struct rte_flow_ops simnic_flow_ops = {
	SYNCHRONOUS,
	.get_q_aged_flows = get_q_aged_flows,
	.info_get = flow_info_get,
	.configure = flow_configure,
	.pattern_template_create = flow_pattern_template_create,
	.pattern_template_destroy = flow_pattern_template_destroy,
	.actions_template_create = flow_actions_template_create,
	.actions_template_destroy = flow_actions_template_destroy,
	.template_table_create = flow_template_table_create,
	.template_table_destroy = flow_template_table_destroy,
#if RTE_VERSION < RTE_VERSION_NUM(24, 3, 0, 0)
	.async_create = flow_async_create,
	.async_destroy = flow_async_destroy,
	.push = flow_async_push,
	.pull = flow_async_pull,
	.async_action_handle_create = flow_async_handle_create,
	.async_action_handle_destroy = flow_async_handle_destroy,
	.async_action_handle_update = flow_async_handle_update,
	.async_action_handle_query = flow_async_handle_query,
#if RTE_VERSION >= RTE_VERSION_NUM(23, 7, 0, 0)
	.async_actions_update = flow_async_actions_update,
#endif
#endif
};
