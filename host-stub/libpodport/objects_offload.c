// SPDX-License-Identifier: BSD-3-Clause
//
// What libpodport hands out about the e-switch; made as objects.c makes the others.

#include <stdlib.h>
#include <string.h>

#include "libpodport/client_private.h"

// ---- rules ---------------------------------------------------------------------------------------

struct flow_object {
	struct podport_flow public;
	struct flow_info wire;
};

static struct flow_object *object_flow(const struct flow_info *from)
{
	struct flow_object *object = calloc(1, sizeof(*object));

	if (object == NULL)
		return NULL;
	object->wire = *from;

	const struct flow_info *wire = &object->wire;
	object->public = (struct podport_flow){
		.id = wire->id,
		.group = wire->group,
		.priority = wire->priority,
		.match = wire->match,
		.actions = wire->actions,
		.counted = wire->counted,
		.packets = wire->packets,
		.bytes = wire->bytes,
		.age_ms = wire->age_ms,
		.has_function = wire->has_function,
		.pf = wire->function.pf,
		.vf = wire->function.vf,
		.has_key = wire->has_key,
		.key = object_key(&wire->key),
		.of_host = wire->of_host,
	};
	return object;
}

struct podport_flows {
	struct flow_object **items;
	size_t count;
};

struct podport_flows *object_flows(void)
{
	return calloc(1, sizeof(struct podport_flows));
}

int object_flows_append(struct podport_flows *flows, const struct flows_reply *from)
{
	size_t count = flows->count;
	struct flow_object **items =
		reallocarray(flows->items, count + from->count + 1, sizeof(*items));

	if (items == NULL)
		return -1;
	flows->items = items;
	for (size_t i = 0; i < from->count; i++) {
		items[count + i] = object_flow(&from->flows[i]);
		if (items[count + i] == NULL) {
			while (i-- > 0)
				free(items[count + i]);
			return -1;
		}
	}
	flows->count = count + from->count;
	return 0;
}

size_t podport_flows_count(const struct podport_flows *flows)
{
	return flows->count;
}

const struct podport_flow *podport_flows_get(const struct podport_flows *flows, size_t index)
{
	return index < flows->count ? &flows->items[index]->public : NULL;
}

void podport_flows_free(struct podport_flows *flows)
{
	if (flows == NULL)
		return;
	for (size_t i = 0; i < flows->count; i++)
		free(flows->items[i]);
	free(flows->items);
	free(flows);
}

// ---- how far it forwards, what it can do ---------------------------------------------------------

struct offload_object {
	struct podport_offload public;
	struct podport_offload_summary summary;
	struct offload_info wire;
	struct podport_capability capabilities[LIMIT_CAPABILITIES];
	struct capability_info wire_capabilities[LIMIT_CAPABILITIES];
};

void object_fill_offload(struct podport_offload_summary *to, const struct offload_info *from)
{
	*to = (struct podport_offload_summary){
		.enabled = from->enabled,
		.usable = from->usable,
		.why_not = from->why_not,
		.api = from->api,
		.rules = from->rules,
		.rules_missing = from->rules_missing,
		.missing_reason = from->missing_reason,
		.pods_full = from->pods_full,
		.pods_partial = from->pods_partial,
		.pods_none = from->pods_none,
		.inserted = from->inserted,
		.removed = from->removed,
		.failed = from->failed,
	};
}

struct podport_offload *object_offload(const struct offload_reply *from)
{
	struct offload_object *object = calloc(1, sizeof(*object));

	if (object == NULL)
		return NULL;
	object->wire = from->summary;
	object_fill_offload(&object->summary, &object->wire);
	for (size_t i = 0; i < from->count; i++) { // the codec has counted them
		struct capability_info *wire = &object->wire_capabilities[i];

		*wire = from->capabilities[i];
		object->capabilities[i] = (struct podport_capability){
			.name = wire->name,
			.supported = wire->supported,
			.needed = wire->needed,
			.remark = wire->remark,
		};
	}
	object->public = (struct podport_offload){
		.summary = &object->summary,
		.capability_count = from->count,
		.capabilities = object->capabilities,
	};
	return &object->public;
}

void podport_offload_free(struct podport_offload *offload)
{
	if (offload != NULL) // the public part is the object's first
		free((struct offload_object *)(void *)offload);
}
