// SPDX-License-Identifier: BSD-3-Clause
//
// The e-switch: rules are consulted for each frame, unless there are none.

#include <errno.h>
#include <stdlib.h>

#include "sim/simnic/eswitch.h"

enum { JUMPS_MAX = 32 }; // of one frame; rules may jump in a circle

int eswitch_init(struct device *device)
{
	struct eswitch *eswitch = calloc(1, sizeof(*eswitch));

	if (eswitch == NULL)
		return -ENOMEM;
	device->eswitch = eswitch;
	TAILQ_INIT(&eswitch->rules);
	TAILQ_INIT(&eswitch->shared);
	TAILQ_INIT(&eswitch->ages);
	pthread_mutex_init(&eswitch->lock, NULL);
	eswitch->tables = flow_tables_new();
	eswitch->groups = calloc(FLOW_GROUP_MAX + 1, sizeof(*eswitch->groups));
	return eswitch->tables != NULL && eswitch->groups != NULL ? 0 : -ENOMEM;
}

void eswitch_fini(struct device *device)
{
	if (device->eswitch == NULL)
		return;
	flow_age_stop(device);
	pthread_mutex_destroy(&device->eswitch->lock);
	flow_tables_free(device->eswitch->tables);
	free(device->eswitch->groups);
	free(device->eswitch);
	device->eswitch = NULL;
}

// ---- rules ----------------------------------------------------------------------------------------------

int eswitch_insert(struct device *device, struct rte_flow *rule, const struct flow_match *match)
{
	int error = flow_tables_insert(device->eswitch->tables, &rule->flow, match);

	if (error == 0)
		TAILQ_INSERT_TAIL(&device->eswitch->rules, rule, next);
	return error;
}

static void take_out(struct device *device, struct rte_flow *rule)
{
	if (rule->flow.table != NULL)
		flow_tables_remove(device->eswitch->tables, &rule->flow);
}

void eswitch_remove(struct device *device, struct rte_flow *rule)
{
	take_out(device, rule);
	TAILQ_REMOVE(&device->eswitch->rules, rule, next);
}

void eswitch_keep(struct device *device, struct rte_flow *rule)
{
	TAILQ_INSERT_TAIL(&device->eswitch->rules, rule, next);
}

void eswitch_forget_function(struct device *device, uint16_t index)
{
	struct rte_flow *rule;

	TAILQ_FOREACH (rule, &device->eswitch->rules, next)
		if (rule->origin == index ||
		    flow_actions_lead_to(rule->flow.actions, &device->functions[index]))
			take_out(device, rule);
}

// ---- frames ---------------------------------------------------------------------------------------------

static struct verdict dropped(uint64_t *counter)
{
	counter_add(counter, 1);
	return (struct verdict){.kind = TO_NOBODY};
}

// What the hardware of the port of origin lets in: the MTU holds for what a rule sends on, too. As frame_to_mbuf().
static bool check_ingress(const struct frame *frame, struct frame_on_wire *ret_on_wire)
{
	struct port *port = &frame->origin->port;

	if (frame_measure(frame, ret_on_wire) != FRAME_OK) {
		counter_add(frame->from_port ? &port->counters.tx_error_offload
					     : &port->counters.rx_error_offload,
			    1);
		return false;
	}
	if (frame->from_port || frame_fits_mtu(frame, ret_on_wire->longest, port->mtu))
		return true;
	counter_add(&port->counters.rx_error_oversize, 1);
	return false;
}

static struct verdict default_way(const struct frame *frame)
{
	return (struct verdict){
		.kind = frame->from_port ? TO_FUNCTION : TO_PORT,
		.target = frame->origin,
	};
}

static struct verdict fate_of(const struct flow_op *fate, const struct flow_packet *packet)
{
	struct counters *counters = &packet->buffer->frame.origin->port.counters;

	if (fate->kind == FLOW_DROP)
		return dropped(&counters->rule_dropped);
	return (struct verdict){
		.kind = fate->kind == FLOW_TO_PORT ? TO_PORT : TO_FUNCTION,
		.by_rule = true,
		.target = fate->function,
		.on_wire = packet->on_wire,
	};
}

struct verdict eswitch(struct frame_buffer *buffer)
{
	const struct frame *frame = &buffer->frame;
	struct eswitch *eswitch = frame->origin->device->eswitch;
	struct flow_packet packet;
	uint32_t group = 0;

	if (flow_tables_count(eswitch->tables, group) == 0)
		return default_way(frame);
	packet.buffer = buffer;
	packet.stale = false;
	if (!check_ingress(frame, &packet.on_wire))
		return (struct verdict){.kind = TO_NOBODY};
	flow_key_read(frame, packet.on_wire.longest, &packet.key, &packet.offsets);
	for (unsigned int i = 0; i <= JUMPS_MAX; i++) {
		struct flow *flow = flow_tables_lookup(eswitch->tables, group, &packet.key);
		struct group_counters *counters = &eswitch->groups[group];
		const struct flow_op *fate;

		if (flow == NULL) {
			counter_add(&eswitch->misses, 1);
			counter_add(&counters->misses, packet.on_wire.packets);
			return default_way(frame);
		}
		counter_add(&counters->hits, packet.on_wire.packets);
		counter_add(&counters->bytes, packet.on_wire.bytes);
		counter_add(&flow->hits, packet.on_wire.packets);
		counter_add(&flow->bytes, packet.on_wire.bytes);
		fate = flow_actions_run(flow->actions, &packet);
		if (fate == NULL)
			return dropped(&frame->origin->port.counters.rule_error_encap);
		if (fate->kind != FLOW_JUMP)
			return fate_of(fate, &packet);
		flow_packet_refresh(&packet);
		group = fate->number;
	}
	return dropped(&frame->origin->port.counters.rule_error_loop);
}
