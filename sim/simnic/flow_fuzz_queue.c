// SPDX-License-Identifier: BSD-3-Clause
//
// The fuzzer's steps with the asynchronous API: one table of any templates, and operations on its port's queues, sensible and
// not. The table's rules are known by the place they have in rules[], which is their user data. A result is of what was asked
// for; what was asked for and is refused has none.

#include <errno.h>
#include <string.h>

#include <rte_errno.h>

#include "sim/simnic/flow_async.h"
#include "sim/simnic/flow_fuzz.h"

enum { QUEUES = 2, QUEUE_SIZE = 4, RULES = 6, TEMPLATES = 2 };

static struct rte_eth_dev *dev; // of the table, or the next one; NULL: none
static struct rte_flow_pattern_template *patterns[TEMPLATES];
static struct rte_flow_actions_template *actions[TEMPLATES];
static struct rte_flow_template_table *table;
static uint8_t pattern_count, actions_count;
static struct pattern items[TEMPLATES];
static struct list lists[TEMPLATES];

static struct {
	struct rte_flow *handle; // NULL: no rule
	bool leaving;            // it is asked to be destroyed, on this
	uint32_t queue;
} rules[RULES];

void queue_forget_rules(const struct rte_eth_dev *of)
{
	if (of == dev)
		memset(rules, 0, sizeof(rules));
}

void queue_forget(void)
{
	queue_forget_rules(dev);
	dev = NULL;
	table = NULL;
	pattern_count = actions_count = 0;
}

// ---- templates and the table ----------------------------------------------------------------------------

static void configure(struct input *input)
{
	const struct rte_flow_queue_attr attr = {.size = QUEUE_SIZE};
	const struct rte_flow_queue_attr *attrs[QUEUES] = {&attr, &attr};
	const struct rte_flow_port_attr port_attr = {.nb_counters = take(input)};
	struct rte_flow_error error = {0};

	if (dev == NULL)
		dev = take_port(input);
	if (flow_configure(dev, &port_attr, QUEUES, attrs, &error) < 0)
		check_refusal(&error); // in use
}

static void make_pattern(struct input *input)
{
	const struct rte_flow_pattern_template_attr attr = {.transfer = 1,
							    .relaxed_matching = take(input) & 1};
	struct rte_flow_error error = {0};

	take_pattern(input, &items[pattern_count]);
	patterns[pattern_count] =
		flow_pattern_template_create(dev, &attr, items[pattern_count].items, &error);
	if (patterns[pattern_count] != NULL)
		pattern_count++;
	else
		check_refusal(&error);
}

static void make_actions_template(struct input *input)
{
	const struct rte_flow_actions_template_attr attr = {.transfer = 1};
	struct rte_flow_error error = {0};
	static struct list masks;

	take_list(input, &lists[actions_count]);
	take_list(input, &masks);
	for (unsigned int i = 0; i <= ACTIONS; i++)
		masks.actions[i].type = lists[actions_count].actions[i].type;
	actions[actions_count] = flow_actions_template_create(
		dev, &attr, lists[actions_count].actions, masks.actions, &error);
	if (actions[actions_count] != NULL)
		actions_count++;
	else
		check_refusal(&error);
}

static void make_table(struct input *input)
{
	const struct rte_flow_template_table_attr attr = {
		.flow_attr = {.group = take(input) % 4, .priority = take(input) % 3, .transfer = 1},
		.nb_flows = take(input) % (RULES + 1)};
	struct rte_flow_error error = {0};

	table = flow_template_table_create(dev, &attr, patterns, pattern_count, actions,
					   actions_count, &error);
	if (table == NULL)
		check_refusal(&error);
}

// All of it, if nothing is in the way.
static void take_apart(void)
{
	struct rte_flow_error error = {0};

	if (table != NULL && flow_template_table_destroy(dev, table, &error) < 0) {
		check(rte_errno == EBUSY);
		return;
	}
	table = NULL;
	while (pattern_count > 0)
		check(flow_pattern_template_destroy(dev, patterns[--pattern_count], &error) == 0);
	while (actions_count > 0)
		check(flow_actions_template_destroy(dev, actions[--actions_count], &error) == 0);
}

// ---- operations -----------------------------------------------------------------------------------------

// A list of rules for a template: its types, and any values.
static const struct rte_flow_action *take_actions(struct input *input, unsigned int template)
{
	static struct list own;

	take_list(input, &own);
	if (template >= actions_count)
		return own.actions;
	for (unsigned int i = 0; i <= ACTIONS; i++) {
		if (own.actions[i].type == lists[template].actions[i].type)
			continue;
		own.actions[i] = lists[template].actions[i];
		if (own.actions[i].type == RTE_FLOW_ACTION_TYPE_INDIRECT)
			own.actions[i].conf = take_handle(input); // that one may be gone
	}
	return own.actions;
}

static void create(struct input *input, uint32_t queue, const struct rte_flow_op_attr *attr)
{
	unsigned int place = take(input) % RULES, pattern = take(input) % (TEMPLATES + 1),
		     list = take(input) % (TEMPLATES + 1);
	struct rte_flow_error error = {0};
	static struct pattern own;

	take_pattern(input, &own);
	for (unsigned int i = 0; i <= ITEMS && pattern < pattern_count; i++) {
		own.items[i].type = items[pattern].items[i].type;
		own.items[i].mask = NULL;
		if (own.items[i].spec == NULL && own.items[i].type != RTE_FLOW_ITEM_TYPE_END)
			own.items[i].spec = own.memory[i % ITEMS][0];
		if (own.items[i].type == RTE_FLOW_ITEM_TYPE_RAW)
			take_raw(own.memory[i % ITEMS], take(input));
	}
	if (rules[place].handle != NULL)
		return;
	rules[place].handle = flow_async_create(dev, queue, attr, table, own.items, pattern,
						take_actions(input, list), list,
						(void *)(uintptr_t)place, &error);
	if (rules[place].handle == NULL)
		check_refusal(&error);
}

static void destroy(uint32_t queue, const struct rte_flow_op_attr *attr, unsigned int place)
{
	struct rte_flow_error error = {0};

	// The handle is good until its destruction is pushed, and that may have been at once.
	if (rules[place].handle == NULL || rules[place].leaving)
		return;
	if (flow_async_destroy(dev, queue, attr, rules[place].handle, (void *)(uintptr_t)place,
			       &error) < 0) {
		check_refusal(&error);
		return;
	}
	rules[place].leaving = true;
	rules[place].queue = queue;
}

static void update(struct input *input, uint32_t queue, const struct rte_flow_op_attr *attr)
{
	unsigned int place = take(input) % RULES, list = take(input) % (TEMPLATES + 1);
	struct rte_flow_error error = {0};

	if (rules[place].handle != NULL && !rules[place].leaving &&
	    flow_async_actions_update(dev, queue, attr, rules[place].handle,
				      take_actions(input, list), list, (void *)(uintptr_t)place,
				      &error) < 0)
		check_refusal(&error);
}

static void pull(uint32_t queue)
{
	struct rte_flow_op_result results[2 * QUEUE_SIZE];
	int count = flow_async_pull(dev, queue, results, 2 * QUEUE_SIZE, NULL);

	check(count >= 0 && count <= QUEUE_SIZE);
	for (int i = 0; i < count; i++) {
		uintptr_t place = (uintptr_t)results[i].user_data;

		check(place < RULES);
		// Nothing else can be asked of a rule until this is pulled, so the result is of that; or it is of another
		// rule, that had the place until a flush, on another queue.
		if (rules[place].leaving && rules[place].queue == queue) {
			check(results[i].status == RTE_FLOW_OP_SUCCESS);
			rules[place].handle = NULL;
			rules[place].leaving = false;
		}
	}
}

static void operate(struct input *input)
{
	uint32_t queue = take(input) % QUEUES;
	const struct rte_flow_op_attr attr = {.postpone = take(input) & 1};

	switch (take(input) % 8) {
	case 0:
	case 1:
	case 2:
		create(input, queue, &attr);
		break;
	case 3:
		destroy(queue, &attr, take(input) % RULES);
		break;
	case 4:
		update(input, queue, &attr);
		break;
	case 5:
		check(flow_async_push(dev, queue, NULL) == 0);
		break;
	default:
		pull(queue);
		break;
	}
}

void queue_step(struct input *input)
{
	uint8_t what = take(input);

	if (dev == NULL || what % 16 == 0)
		configure(input);
	else if (what % 16 == 1)
		take_apart();
	else if (table != NULL)
		operate(input);
	else if (pattern_count < TEMPLATES && (pattern_count == 0 || what & 16))
		make_pattern(input);
	else if (actions_count < TEMPLATES && (actions_count == 0 || what & 32))
		make_actions_template(input);
	else
		make_table(input);
}
