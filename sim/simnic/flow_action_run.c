// SPDX-License-Identifier: BSD-3-Clause
//
// Running a rule's program on a frame. Pipeline thread only.

#include <rte_cycles.h>

#include "sim/simnic/flow_action.h"

static void set_bits(uint32_t *value, const struct flow_op *op)
{
	*value = (*value & ~op->mask) | op->number;
}

// False: it cannot be done.
static bool run_op(const struct flow_op *op, struct flow_packet *packet)
{
	switch ((enum flow_op_kind)op->kind) {
	case FLOW_SET_MAC_SRC:
	case FLOW_SET_MAC_DST:
		flow_set_mac(packet, op->kind == FLOW_SET_MAC_SRC, op->bytes);
		break;
	case FLOW_SET_IPV4_SRC:
	case FLOW_SET_IPV4_DST:
		flow_set_ipv4(packet, op->kind == FLOW_SET_IPV4_SRC, op->bytes);
		break;
	case FLOW_SET_IPV6_SRC:
	case FLOW_SET_IPV6_DST:
		flow_set_ipv6(packet, op->kind == FLOW_SET_IPV6_SRC, op->bytes);
		break;
	case FLOW_SET_PORT_SRC:
	case FLOW_SET_PORT_DST:
		flow_set_port(packet, op->kind == FLOW_SET_PORT_SRC, op->bytes);
		break;
	case FLOW_SET_TTL:
		flow_set_ttl(packet, op->bytes[0]);
		break;
	case FLOW_ADD_TTL:
		flow_set_ttl(packet, packet->key.outer.ttl + op->bytes[0]);
		break;
	case FLOW_PUSH_VLAN:
		return flow_push_vlan(packet, op->bytes);
	case FLOW_POP_VLAN:
		return flow_pop_vlan(packet);
	case FLOW_SET_VLAN:
		flow_set_vlan(packet, op->number, op->mask);
		break;
	case FLOW_ENCAP:
		return flow_encap(packet, op->encap);
	case FLOW_CUT:
		return flow_cut(packet, op->number);
	case FLOW_DECAP_TUNNEL:
		return flow_decap_tunnel(packet);
	case FLOW_SET_META:
		set_bits(&packet->key.metadata, op);
		break;
	case FLOW_SET_TAG:
		set_bits(&packet->key.tags[op->index], op);
		break;
	case FLOW_COUNT_SHARED:
		counter_add(&op->handle->hits, packet->on_wire.packets);
		counter_add(&op->handle->bytes, packet->on_wire.bytes);
		break;
	case FLOW_METER: // flow_actions_run()'s
	case FLOW_DROP:
	case FLOW_JUMP:
	case FLOW_TO_FUNCTION:
	case FLOW_TO_PORT:
		break; // the caller's
	}
	return true;
}

const struct flow_op *flow_actions_run(const struct flow_actions *actions,
				       struct flow_packet *packet)
{
	static const struct flow_op drop = {.kind = FLOW_DROP};
	uint16_t last = actions->op_count - 1;

	for (uint16_t i = 0; i < last; i++) {
		const struct flow_op *op = &actions->ops[i];

		flow_packet_refresh(packet);
		if (op->kind == FLOW_METER) {
			if (!meter_passes(op->meter, packet->on_wire.packets, packet->on_wire.bytes,
					  rte_rdtsc()))
				return &drop;
		} else if (!run_op(op, packet)) {
			return NULL;
		}
	}
	return &actions->ops[last];
}
