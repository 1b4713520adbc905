// SPDX-License-Identifier: BSD-3-Clause

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim/simnic/compat.h"
#include "sim/simnic/flow_template.h"

static int refuse(struct rte_flow_error *error, int code, enum rte_flow_error_type type,
		  const void *cause, const char *why)
{
	return rte_flow_error_set(error, code, type, cause, why);
}

static int out_of_memory(struct rte_flow_error *error)
{
	return refuse(error, ENOMEM, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, NULL, "out of memory");
}

static struct flow_engine **engine_of(struct rte_eth_dev *dev)
{
	return &function_of(dev)->port.flow_engine;
}

// ---- configuration --------------------------------------------------------------------------------------

int flow_info_get(struct rte_eth_dev *dev, struct rte_flow_port_info *port,
		  struct rte_flow_queue_info *queue, struct rte_flow_error *error)
{
	*port = (struct rte_flow_port_info){
		.max_nb_queues = FLOW_QUEUES_MAX,
		.max_nb_counters = FLOW_OBJECTS_MAX,
		.max_nb_aging_objects = FLOW_OBJECTS_MAX,
		.max_nb_meters = METER_OBJECTS_MAX,
	};
	if (queue != NULL)
		*queue = (struct rte_flow_queue_info){.max_size = FLOW_QUEUE_SIZE_MAX};
	return 0;
}

static int check_attr(const struct rte_flow_port_attr *port, uint16_t queue_count,
		      const struct rte_flow_queue_attr *queues[], struct rte_flow_error *error)
{
	if (port->nb_counters > FLOW_OBJECTS_MAX || port->nb_aging_objects > FLOW_OBJECTS_MAX ||
	    port->nb_meters > METER_OBJECTS_MAX || port->nb_conn_tracks > 0 ||
	    queue_count > FLOW_QUEUES_MAX)
		return refuse(error, EINVAL, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, port,
			      "more than rte_flow_info_get() has");
	if (port->flags != 0)
		return refuse(error, ENOTSUP, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, port,
			      "no flags are supported");
	for (uint16_t i = 0; i < queue_count; i++)
		if (queues[i] == NULL || queues[i]->size > FLOW_QUEUE_SIZE_MAX)
			return refuse(error, EINVAL, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, queues[i],
				      "a queue larger than rte_flow_info_get() has it");
	return 0;
}

static bool in_use(const struct flow_engine *engine)
{
	for (uint16_t i = 0; i < engine->queue_count; i++)
		if (!flow_queue_empty(&engine->queues[i]))
			return true;
	return !TAILQ_EMPTY(&engine->patterns) || !TAILQ_EMPTY(&engine->actions) ||
	       !TAILQ_EMPTY(&engine->tables);
}

static struct flow_engine *engine_new(uint16_t queue_count,
				      const struct rte_flow_queue_attr *queues[])
{
	struct flow_engine *engine = calloc(1, sizeof(*engine));

	if (engine == NULL)
		return NULL;
	TAILQ_INIT(&engine->patterns);
	TAILQ_INIT(&engine->actions);
	TAILQ_INIT(&engine->tables);
	engine->queues = calloc(queue_count, sizeof(engine->queues[0]));
	for (uint16_t i = 0; engine->queues != NULL && i < queue_count; i++) {
		uint32_t size = queues[i]->size > 0 ? queues[i]->size : FLOW_QUEUE_SIZE_DEFAULT;

		if (flow_queue_init(&engine->queues[i], size) < 0)
			break;
		engine->queue_count++;
	}
	if (engine->queue_count == queue_count)
		return engine;
	flow_engine_free(engine);
	return NULL;
}

#define FREE_ALL(list, release)                                                                    \
	while (!TAILQ_EMPTY(list)) {                                                               \
		typeof((list)->tqh_first) first_ = TAILQ_FIRST(list);                              \
                                                                                                   \
		TAILQ_REMOVE(list, first_, next);                                                  \
		release(first_);                                                                   \
	}

static void pattern_template_free(struct rte_flow_pattern_template *template)
{
	if (template == NULL)
		return;
	free(template->items);
	free(template);
}

static void actions_template_free(struct rte_flow_actions_template *template)
{
	flow_actions_template_free(template->list);
	free(template);
}

void flow_engine_free(struct flow_engine *engine)
{
	if (engine == NULL)
		return;
	for (uint16_t i = 0; i < engine->queue_count; i++)
		flow_queue_fini(&engine->queues[i]);
	free(engine->queues);
	FREE_ALL(&engine->tables, free)
	FREE_ALL(&engine->patterns, pattern_template_free)
	FREE_ALL(&engine->actions, actions_template_free)
	free(engine);
}

int flow_configure(struct rte_eth_dev *dev, const struct rte_flow_port_attr *port,
		   uint16_t queue_count, const struct rte_flow_queue_attr *queues[],
		   struct rte_flow_error *error)
{
	struct flow_engine *engine;
	int result = check_attr(port, queue_count, queues, error);

	if (result < 0)
		return result;
	if (*engine_of(dev) != NULL && in_use(*engine_of(dev)))
		return refuse(error, EBUSY, RTE_FLOW_ERROR_TYPE_STATE, NULL,
			      "there are templates, tables or results not pulled");
	engine = engine_new(queue_count, queues);
	if (engine == NULL)
		return out_of_memory(error);
	flow_engine_free(*engine_of(dev));
	*engine_of(dev) = engine;
	return 0;
}

// NULL, with *error set: not configured.
static struct flow_engine *get_engine(struct rte_eth_dev *dev, struct rte_flow_error *error)
{
	if (*engine_of(dev) == NULL)
		(void)refuse(error, EINVAL, RTE_FLOW_ERROR_TYPE_STATE, NULL,
			     "rte_flow_configure() comes first");
	return *engine_of(dev);
}

// ---- templates ------------------------------------------------------------------------------------------

static int check_direction(bool ingress, bool egress, bool transfer, const void *attr,
			   struct rte_flow_error *error)
{
	if (ingress)
		return refuse(error, ENOTSUP, RTE_FLOW_ERROR_TYPE_ATTR_INGRESS, attr,
			      "only transfer rules are supported");
	if (egress)
		return refuse(error, ENOTSUP, RTE_FLOW_ERROR_TYPE_ATTR_EGRESS, attr,
			      "only transfer rules are supported");
	if (!transfer)
		return refuse(error, EINVAL, RTE_FLOW_ERROR_TYPE_ATTR_TRANSFER, attr,
			      "only transfer rules are supported");
	return 0;
}

static struct rte_flow_item *convert(const struct rte_flow_item *items)
{
	struct rte_flow_error ignored;
	int size = rte_flow_conv(RTE_FLOW_CONV_OP_PATTERN, NULL, 0, items, &ignored);
	struct rte_flow_item *copy = size > 0 ? malloc(size) : NULL;

	if (copy != NULL &&
	    rte_flow_conv(RTE_FLOW_CONV_OP_PATTERN, copy, size, items, &ignored) < 0) {
		free(copy);
		return NULL;
	}
	return copy;
}

// A copy, with all it points to, of items that were compiled. NULL: out of memory.
static struct rte_flow_item *copy_items(const struct rte_flow_item *items)
{
	struct rte_flow_item *complete, *copy;
	struct flow_raw raw;
	size_t count = 0;

	while (items[count].type != RTE_FLOW_ITEM_TYPE_END)
		count++;
	complete = malloc((count + 1) * sizeof(*complete));
	if (complete == NULL)
		return NULL;
	memcpy(complete, items, (count + 1) * sizeof(*complete));
	for (size_t i = 0; i < count; i++)
		if (complete[i].type == RTE_FLOW_ITEM_TYPE_RAW)
			flow_raw_complete(&complete[i], &raw); // nothing follows it: there is one
	copy = convert(complete);
	free(complete);
	return copy;
}

struct rte_flow_pattern_template *
flow_pattern_template_create(struct rte_eth_dev *dev,
			     const struct rte_flow_pattern_template_attr *attr,
			     const struct rte_flow_item pattern[], struct rte_flow_error *error)
{
	struct flow_engine *engine = get_engine(dev, error);
	struct rte_flow_pattern_template *template;
	struct flow_match match;

	if (engine == NULL ||
	    check_direction(attr->ingress, attr->egress, attr->transfer, attr, error) < 0 ||
	    flow_match_compile_template(function_of(dev)->device, pattern, attr->relaxed_matching,
					&match, error) < 0)
		return NULL;
	template = calloc(1, sizeof(*template));
	if (template != NULL)
		template->items = copy_items(pattern);
	if (template == NULL || template->items == NULL) {
		pattern_template_free(template);
		(void)out_of_memory(error);
		return NULL;
	}
	template->relaxed = attr->relaxed_matching;
	template->match = match;
	TAILQ_INSERT_TAIL(&engine->patterns, template, next);
	return template;
}

int flow_pattern_template_destroy(struct rte_eth_dev *dev,
				  struct rte_flow_pattern_template *template,
				  struct rte_flow_error *error)
{
	struct flow_engine *engine = get_engine(dev, error);

	if (engine == NULL)
		return -rte_errno;
	if (template->users > 0)
		return refuse(error, EBUSY, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, template,
			      "tables use the template");
	TAILQ_REMOVE(&engine->patterns, template, next);
	pattern_template_free(template);
	return 0;
}

struct rte_flow_actions_template *
flow_actions_template_create(struct rte_eth_dev *dev,
			     const struct rte_flow_actions_template_attr *attr,
			     const struct rte_flow_action actions[],
			     const struct rte_flow_action masks[], struct rte_flow_error *error)
{
	struct flow_engine *engine = get_engine(dev, error);
	struct rte_flow_actions_template *template;

	if (engine == NULL ||
	    check_direction(attr->ingress, attr->egress, attr->transfer, attr, error) < 0)
		return NULL;
	template = calloc(1, sizeof(*template));
	if (template == NULL) {
		(void)out_of_memory(error);
		return NULL;
	}
	if (flow_actions_template_new(function_of(dev)->device, actions, masks, &template->list,
				      error) < 0) {
		free(template);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&engine->actions, template, next);
	return template;
}

int flow_actions_template_destroy(struct rte_eth_dev *dev,
				  struct rte_flow_actions_template *template,
				  struct rte_flow_error *error)
{
	struct flow_engine *engine = get_engine(dev, error);

	if (engine == NULL)
		return -rte_errno;
	if (template->users > 0)
		return refuse(error, EBUSY, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, template,
			      "tables use the template");
	TAILQ_REMOVE(&engine->actions, template, next);
	actions_template_free(template);
	return 0;
}

// ---- tables ---------------------------------------------------------------------------------------------

static int check_table(const struct rte_flow_template_table_attr *attr, uint8_t pattern_count,
		       uint8_t actions_count, struct rte_flow_error *error)
{
	int result = flow_attr_check(&attr->flow_attr, error);

	if (result < 0)
		return result;
	if (attr->nb_flows == 0 || attr->nb_flows > FLOW_TABLE_RULES_MAX)
		return refuse(error, attr->nb_flows == 0 ? EINVAL : ENOTSUP,
			      RTE_FLOW_ERROR_TYPE_ATTR, attr, "a table has 1 to 16777216 rules");
	if (pattern_count == 0 || actions_count == 0)
		return refuse(error, EINVAL, RTE_FLOW_ERROR_TYPE_ATTR, attr,
			      "a table needs templates of both kinds");
	if (pattern_count > FLOW_TABLE_TEMPLATES_MAX || actions_count > FLOW_TABLE_TEMPLATES_MAX)
		return refuse(error, ENOTSUP, RTE_FLOW_ERROR_TYPE_ATTR, attr,
			      "a table has at most 32 templates of each kind");
	if (!flow_table_inserts_by_pattern(attr))
		return refuse(error, ENOTSUP, RTE_FLOW_ERROR_TYPE_ATTR, attr,
			      "rules are inserted by pattern only");
	return 0;
}

struct rte_flow_template_table *
flow_template_table_create(struct rte_eth_dev *dev, const struct rte_flow_template_table_attr *attr,
			   struct rte_flow_pattern_template *patterns[], uint8_t pattern_count,
			   struct rte_flow_actions_template *actions[], uint8_t actions_count,
			   struct rte_flow_error *error)
{
	struct flow_engine *engine = get_engine(dev, error);
	struct rte_flow_template_table *table;

	if (engine == NULL || check_table(attr, pattern_count, actions_count, error) < 0)
		return NULL;
	table = calloc(1, sizeof(*table));
	if (table == NULL) {
		(void)out_of_memory(error);
		return NULL;
	}
	table->owner = function_of(dev);
	table->group = attr->flow_attr.group;
	table->priority = attr->flow_attr.priority;
	table->rules_max = attr->nb_flows;
	table->pattern_count = pattern_count;
	table->actions_count = actions_count;
	memcpy(table->patterns, patterns, pattern_count * sizeof(patterns[0]));
	memcpy(table->actions, actions, actions_count * sizeof(actions[0]));
	for (uint8_t i = 0; i < pattern_count; i++)
		patterns[i]->users++;
	for (uint8_t i = 0; i < actions_count; i++)
		actions[i]->users++;
	TAILQ_INSERT_TAIL(&engine->tables, table, next);
	return table;
}

int flow_template_table_destroy(struct rte_eth_dev *dev, struct rte_flow_template_table *table,
				struct rte_flow_error *error)
{
	struct flow_engine *engine = get_engine(dev, error);

	if (engine == NULL)
		return -rte_errno;
	if (__atomic_load_n(&table->rules, __ATOMIC_ACQUIRE) > 0)
		return refuse(error, EBUSY, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, table,
			      "the table has rules");
	for (uint8_t i = 0; i < table->pattern_count; i++)
		table->patterns[i]->users--;
	for (uint8_t i = 0; i < table->actions_count; i++)
		table->actions[i]->users--;
	TAILQ_REMOVE(&engine->tables, table, next);
	free(table);
	return 0;
}
