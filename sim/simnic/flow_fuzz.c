// SPDX-License-Identifier: BSD-3-Clause
//
// libFuzzer: bytes into rte_flow, as a driver's operations get it from ethdev: rules with any items and actions, indirect
// actions, templates, tables, queues, in any order, on a device without a pipeline's thread. Pointers are good, what they point to is not.
//
// What is refused says why; what validate accepts create makes, and the other way; after all is flushed, nothing is left.

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>

#include <rte_mtr_driver.h>

#include "sim/simnic/flow_api.h"
#include "sim/simnic/flow_fuzz.h"
#include "sim/simnic/test_items.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	RULES = 16,
	HANDLES = 4,
	METERS =
		3, // of which the first is shared, the second can be of one rule, and the third is not there
	STEPS = 24,
};

static struct rte_device rte_device;
static struct function functions[PORTS], *private_data[PORTS];
static struct device device = {
	.rte_device = &rte_device, .functions = functions, .function_count = PORTS};

static struct rte_flow *rules[RULES];
static struct rte_flow_action_handle *handles[HANDLES];

void check_(bool good, const char *file, int line)
{
	if (!good) {
		fprintf(stderr, "%s:%d: check failed\n", file, line);
		abort();
	}
}

uint8_t take(struct input *input)
{
	if (input->size == 0)
		return 0;
	input->size--;
	return *input->data++;
}

struct rte_eth_dev *take_port(struct input *input)
{
	return &rte_eth_devices[FIRST_PORT + take(input) % PORTS];
}

static void make_meters(void)
{
	static const struct rte_flow_action drop[] = {{.type = RTE_FLOW_ACTION_TYPE_DROP},
						      {.type = RTE_FLOW_ACTION_TYPE_END}};
	struct rte_mtr_meter_profile profile = {.alg = RTE_MTR_SRTCM_RFC2697,
						.srtcm_rfc2697 = {.cir = 1000, .cbs = 1000}};
	struct rte_mtr_meter_policy_params policy = {.actions = {NULL, NULL, drop}};
	struct rte_mtr_params params = {.meter_enable = 1};
	struct rte_eth_dev *uplink = &rte_eth_devices[FIRST_PORT + CARD_INDEX_WIRE];
	const struct rte_mtr_ops *ops;

	check(meter_ops_get(uplink, &ops) == 0);
	check(ops->meter_profile_add(uplink, 0, &profile, NULL) == 0);
	check(ops->meter_policy_add(uplink, 0, &policy, NULL) == 0);
	for (uint32_t id = 0; id < METERS - 1; id++)
		check(ops->create(uplink, id, &params, id == 0, NULL) == 0);
}

// No rule, and nothing that was refused, has kept one.
static void check_meters(void)
{
	struct meter *meter;

	check(meter_hold(&device, 1, &meter) == 0); // of one holder at a time
	meter_release(meter);
}

static void make_device(void)
{
	static struct rte_eth_dev_data data[PORTS];
	static char arguments[][20] = {"flow_fuzz", "--no-huge",     "-m", "32", "--no-shconf",
				       "--no-pci",  "--no-telemetry"};
	char *pointers[RTE_DIM(arguments)];

	for (unsigned int i = 0; i < RTE_DIM(arguments); i++)
		pointers[i] = arguments[i];
	check(rte_eal_init(RTE_DIM(arguments), pointers) >= 0); // for timers
	for (unsigned int i = 0; i < PORTS; i++) {
		struct rte_eth_dev *ethdev = &rte_eth_devices[FIRST_PORT + i];

		functions[i] = (struct function){.device = &device, .index = i, .fd = -1};
		functions[i].port.ethdev = ethdev;
		private_data[i] = &functions[i];
		ethdev->state = RTE_ETH_DEV_ATTACHED;
		ethdev->device = &rte_device;
		ethdev->data = &data[i];
		data[i].port_id = FIRST_PORT + i;
		data[i].dev_private = &private_data[i];
	}
	faults_init(&device.faults); // no fault, so that what is valid can be created
	meters_init(&device.meters);
	make_meters();
	check(eswitch_init(&device) == 0);
}

// ---- patterns -------------------------------------------------------------------------------------------

// Bytes of the input, the rest one value.
static void *take_memory(struct input *input, uint8_t memory[CONF_SIZE])
{
	uint8_t count = take(input) % CONF_SIZE, rest = take(input);

	memset(memory, rest & 1 ? 0xff : 0, CONF_SIZE);
	for (unsigned int i = 0; i < count; i++)
		memory[i] = take(input);
	return memory;
}

void take_raw(uint8_t memory[3][CONF_SIZE], uint8_t how)
{
	for (unsigned int i = 0; i < 3; i++)
		make_raw(memory[i], how >> (3 + i));
}

void take_pattern(struct input *input, struct pattern *pattern)
{
	unsigned int count = take(input) % (ITEMS + 1);

	memset(pattern->items, 0, sizeof(pattern->items));
	for (unsigned int i = 0; i < count; i++) {
		struct rte_flow_item *item = &pattern->items[i];
		uint8_t what = take(input);

		item->type = item_types[take(input) % RTE_DIM(item_types)];
		item->spec = what & 1 ? take_memory(input, pattern->memory[i][0]) : NULL;
		item->last = what & 2 ? take_memory(input, pattern->memory[i][1]) : NULL;
		item->mask = what & 4 ? take_memory(input, pattern->memory[i][2]) : NULL;
		if (item->type == RTE_FLOW_ITEM_TYPE_RAW)
			take_raw(pattern->memory[i], what);
	}
}

// ---- actions --------------------------------------------------------------------------------------------

static const enum rte_flow_action_type action_types[] = {
	RTE_FLOW_ACTION_TYPE_VOID,
	RTE_FLOW_ACTION_TYPE_JUMP,
	RTE_FLOW_ACTION_TYPE_DROP,
	RTE_FLOW_ACTION_TYPE_REPRESENTED_PORT,
	RTE_FLOW_ACTION_TYPE_PORT_REPRESENTOR,
	RTE_FLOW_ACTION_TYPE_COUNT,
	RTE_FLOW_ACTION_TYPE_AGE,
	RTE_FLOW_ACTION_TYPE_INDIRECT,
	RTE_FLOW_ACTION_TYPE_SET_META,
	RTE_FLOW_ACTION_TYPE_SET_TAG,
	RTE_FLOW_ACTION_TYPE_SET_MAC_SRC,
	RTE_FLOW_ACTION_TYPE_SET_IPV4_SRC,
	RTE_FLOW_ACTION_TYPE_SET_IPV6_DST,
	RTE_FLOW_ACTION_TYPE_SET_TP_DST,
	RTE_FLOW_ACTION_TYPE_SET_TTL,
	RTE_FLOW_ACTION_TYPE_DEC_TTL,
	RTE_FLOW_ACTION_TYPE_MODIFY_FIELD,
	RTE_FLOW_ACTION_TYPE_OF_PUSH_VLAN,
	RTE_FLOW_ACTION_TYPE_OF_POP_VLAN,
	RTE_FLOW_ACTION_TYPE_OF_SET_VLAN_VID,
	RTE_FLOW_ACTION_TYPE_OF_SET_VLAN_PCP,
	RTE_FLOW_ACTION_TYPE_VXLAN_ENCAP,
	RTE_FLOW_ACTION_TYPE_VXLAN_DECAP,
	RTE_FLOW_ACTION_TYPE_RAW_ENCAP,
	RTE_FLOW_ACTION_TYPE_RAW_DECAP,
	RTE_FLOW_ACTION_TYPE_QUEUE,
	RTE_FLOW_ACTION_TYPE_METER,
};

const struct rte_flow_action_handle *take_handle(struct input *input)
{
	return handles[take(input) % HANDLES];
}

// What is a pointer in a configuration points to something.
static const void *take_conf(struct input *input, struct list *list, unsigned int i,
			     enum rte_flow_action_type type)
{
	void *memory = take_memory(input, list->memory[i]);
	struct rte_flow_action_raw_encap *encap = memory;
	struct rte_flow_action_raw_decap *decap = memory;
	struct rte_flow_action_vxlan_encap *vxlan = memory;
	struct rte_flow_action_modify_field *modify = memory;
	struct rte_flow_action_meter *meter = memory;
	uint8_t what = take(input);

	switch ((int)type) {
	case RTE_FLOW_ACTION_TYPE_INDIRECT:
		return handles[what % HANDLES];
	case RTE_FLOW_ACTION_TYPE_METER:
		meter->mtr_id = what % METERS;
		break;
	case RTE_FLOW_ACTION_TYPE_RAW_ENCAP:
		encap->data = what & 1 ? take_memory(input, list->header[i]) : NULL;
		encap->preserve = what & 2 ? list->header[i] : NULL;
		break;
	case RTE_FLOW_ACTION_TYPE_RAW_DECAP:
		decap->data = what & 1 ? take_memory(input, list->header[i]) : NULL;
		break;
	case RTE_FLOW_ACTION_TYPE_VXLAN_ENCAP:
		take_pattern(input, &list->definition);
		vxlan->definition = what & 1 ? list->definition.items : NULL;
		break;
	case RTE_FLOW_ACTION_TYPE_MODIFY_FIELD:
		if (modify->src.field == RTE_FLOW_FIELD_POINTER)
			modify->src.pvalue = what & 1 ? list->header[i] : NULL;
		break;
	default:
		break;
	}
	return memory;
}

void take_list(struct input *input, struct list *list)
{
	unsigned int count = take(input) % (ACTIONS + 1);

	memset(list->actions, 0, sizeof(list->actions));
	for (unsigned int i = 0; i < count; i++) {
		enum rte_flow_action_type type = action_types[take(input) % RTE_DIM(action_types)];

		list->actions[i].type = type;
		if (take(input) & 7)
			list->actions[i].conf = take_conf(input, list, i, type);
	}
}

// ---- steps ----------------------------------------------------------------------------------------------

void check_refusal(const struct rte_flow_error *error)
{
	check(rte_errno > 0 && error->type != RTE_FLOW_ERROR_TYPE_NONE && error->message != NULL);
}

static void make_rule(struct input *input)
{
	static struct pattern pattern;
	static struct list list;
	struct rte_eth_dev *dev = take_port(input);
	struct rte_flow_attr attr = {
		.group = take(input) % 4, .priority = take(input) % 3, .transfer = 1};
	struct rte_flow_error error = {0};
	struct rte_flow **place = &rules[take(input) % RULES], *rule;
	int valid;

	take_pattern(input, &pattern);
	take_list(input, &list);
	if (*place != NULL)
		return;
	valid = simnic_flow_ops.validate(dev, &attr, pattern.items, list.actions, &error);
	check(valid == 0 || valid == -rte_errno);
	if (valid < 0)
		check_refusal(&error);
	error = (struct rte_flow_error){0};
	rule = simnic_flow_ops.create(dev, &attr, pattern.items, list.actions, &error);
	if (rule == NULL)
		check_refusal(&error);
	check((rule != NULL) == (valid == 0) || rte_errno == EEXIST);
	*place = rule;
}

static void destroy_rule(struct input *input)
{
	struct rte_flow **place = &rules[take(input) % RULES];

	if (*place == NULL)
		return;
	check(simnic_flow_ops.destroy(&rte_eth_devices[FIRST_PORT + (*place)->owner], *place,
				      NULL) == 0);
	*place = NULL;
}

static void query_rule(struct input *input)
{
	struct rte_flow *rule = rules[take(input) % RULES];
	const struct rte_flow_action action[] = {
		{.type = take(input) & 1 ? RTE_FLOW_ACTION_TYPE_COUNT : RTE_FLOW_ACTION_TYPE_AGE},
		{.type = RTE_FLOW_ACTION_TYPE_END}};
	struct rte_flow_error error = {0};
	struct rte_flow_query_count answer = {.reset = 1};

	if (rule != NULL && simnic_flow_ops.query(&rte_eth_devices[FIRST_PORT + rule->owner], rule,
						  action, &answer, &error) < 0)
		check_refusal(&error);
	if (rule != NULL &&
	    simnic_flow_ops.query(take_port(input), rule, action, &answer, &error) < 0)
		check_refusal(&error);
}

static void make_handle(struct input *input)
{
	static uint8_t memory[CONF_SIZE] __attribute__((aligned(8)));
	const struct rte_flow_indir_action_conf conf = {.transfer = 1};
	struct rte_flow_action_handle **place = &handles[take(input) % HANDLES];
	struct rte_eth_dev *dev = take_port(input);
	const struct rte_flow_action action = {.type = take(input) & 1 ? RTE_FLOW_ACTION_TYPE_COUNT
								       : RTE_FLOW_ACTION_TYPE_AGE,
					       .conf = take_memory(input, memory)};
	struct rte_flow_error error = {0};

	if (*place != NULL) {
		dev = &rte_eth_devices[FIRST_PORT + (*place)->owner];
		if (simnic_flow_ops.action_handle_destroy(dev, *place, &error) == 0)
			*place = NULL;
		else
			check(rte_errno == EBUSY);
		return;
	}
	*place = simnic_flow_ops.action_handle_create(dev, &conf, &action, &error);
	if (*place == NULL)
		check_refusal(&error);
}

static void make_template(struct input *input)
{
	static struct list own, masks, rule;
	struct flow_actions_template *template;
	struct rte_flow_error error = {0};
	struct flow_match match = {0};
	struct flow_actions *actions;

	take_list(input, &own);
	take_list(input, &masks);
	take_list(input, &rule);
	for (unsigned int i = 0; i < ACTIONS && (take(input) & 1); i++) {
		masks.actions[i].type = own.actions[i].type; // of masks no pointer is followed
		if (rule.actions[i].type != own.actions[i].type)
			rule.actions[i] = own.actions[i];
	}
	match.mask.outer.layers = match.value.outer.layers = take(input);
	if (flow_actions_template_new(&device, own.actions, masks.actions, &template, &error) < 0) {
		check_refusal(&error);
		return;
	}
	if (flow_actions_compile_rule(&device, template, &match, 1, rule.actions, &actions,
				      &error) < 0)
		check_refusal(&error);
	else
		flow_actions_free(actions);
	flow_actions_template_free(template);
}

static void step(struct input *input)
{
	uint32_t index;

	switch (take(input) % 12) {
	case 0:
	case 1:
	case 2:
		make_rule(input);
		break;
	case 3:
		destroy_rule(input);
		break;
	case 4:
		query_rule(input);
		break;
	case 5:
		make_handle(input);
		break;
	case 6:
		make_template(input);
		break;
	case 7:
		eswitch_forget_function(&device, take(input) % PORTS);
		index = take(input) % PORTS;
		for (unsigned int i = 0; i < RULES; i++)
			if (rules[i] != NULL && rules[i]->owner == index)
				rules[i] = NULL;
		check(simnic_flow_ops.flush(&rte_eth_devices[FIRST_PORT + index], NULL) == 0);
		queue_forget_rules(&rte_eth_devices[FIRST_PORT + index]);
		break;
	default:
		queue_step(input);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool ready;
	struct input input = {data, size};

	if (!ready)
		make_device();
	ready = true;
	for (unsigned int i = 0; i < STEPS && input.size > 0; i++)
		step(&input);
	for (unsigned int i = 0; i < PORTS; i++)
		flow_port_closed(&functions[i]);
	queue_forget();
	check_meters();
	memset(rules, 0, sizeof(rules));
	memset(handles, 0, sizeof(handles));
	check(flow_tables_total(device.eswitch->tables) == 0);
	check(TAILQ_EMPTY(&device.eswitch->rules) && TAILQ_EMPTY(&device.eswitch->shared) &&
	      TAILQ_EMPTY(&device.eswitch->ages));
	return 0;
}
