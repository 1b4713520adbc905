// SPDX-License-Identifier: BSD-3-Clause
//
// Who the agent is on the wire: as configured, as long as that goes with the pod network.

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/control_private.h"
#include "datapath/masquerade.h"
#include "datapath/neighbour.h"
#include "datapath/uplink.h"
#include "proto/base/log.h"

static int apply(const struct control *control, const struct uplink *uplink, struct error *err)
{
	if (!uplink_is_configured(uplink))
		return datapath_set_uplink(NULL, err);
	int r = uplink_suits_network(uplink, &control->pods->network.common, err);
	return r < 0 ? r : datapath_set_uplink(uplink, err);
}

void wire_apply(struct control *control)
{
	struct error err = {0}, ignored;

	if (apply(control, &control->uplink, &err) < 0) {
		log_error("the wire is not served", "error=\"%s\"", err.message);
		datapath_set_uplink(NULL, &ignored);
	}
	control->wire_error = err;
	connections_leave(control);
	if (control->offload_begun)
		routes_apply(control);
}

int control_set_uplink(struct control *control, const struct uplink *uplink, struct error *err)
{
	const uint32_t mtu_before = control->uplink.mtu;
	const uint16_t vlan_before = control->uplink.vlan;

	if (uplink_equal(uplink, &control->uplink) && control->wire_error.code == CODE_OK)
		return 0;
	if (control->pods->has_network) {
		int r = apply(control, uplink, err);

		if (r < 0)
			return r;
	}
	control->uplink = *uplink;
	control->wire_error = (struct error){0};
	connections_leave(control);
	if (control->offload_begun)
		routes_apply(control);
	if (control->pods->has_network)
		publish_apply(control, NULL);
	if (control->pods->has_network && uplink->mtu != mtu_before) {
		uplink_port_restart(control);
	} else if (control->offload_begun && uplink->vlan != vlan_before) {
		rules_end(control); // the tag is in what the NIC was told of connections
		rules_begin(control);
	}
	log_info("uplink set", "ipv4=%s ipv6=%s vlan=%u routes=%u", uplink->has_ipv4 ? "yes" : "no",
		 uplink->has_ipv6 ? "yes" : "no", uplink->vlan, uplink->route_count);
	return 0;
}

void wire_watch(struct control *control)
{
	const struct port *port = nic_port(control->config.nic, PORT_UPLINK, 0);
	struct port_state state = {0};

	if (port == NULL || !uplink_is_configured(&control->uplink))
		return;
	port_read_state(port, &state);
	if (state.link_up == !control->wire_down)
		return;
	control->wire_down = !state.link_up;
	if (control->wire_down) {
		log_warning("the uplink's link is down", "port=%s", state.name);
		return;
	}
	log_info("the uplink's link is up again", "port=%s", state.name);
	datapath_announce();
}

// ---- what is there -------------------------------------------------------------------------------

static uint32_t count_neighbours(uint32_t slot)
{
	static struct neighbour_info infos[NEIGHBOURS_MAX];
	size_t all = neighbours_list(0, 0, infos, NEIGHBOURS_MAX);
	uint32_t count = 0;

	for (size_t i = 0; i < all; i++)
		count += infos[i].slot == slot;
	return count;
}

bool wire_describe(const struct control *control, struct uplink_status *ret_status)
{
	const struct uplink *uplink = &control->uplink;
	const struct port *port = nic_port(control->config.nic, PORT_UPLINK, 0);
	struct port_state state = {0};

	if (!uplink_is_configured(uplink) || !control->pods->has_network ||
	    control->wire_error.code != CODE_OK || port == NULL)
		return false;
	port_read_state(port, &state);
	*ret_status = (struct uplink_status){
		.has_ipv4 = uplink->has_ipv4,
		.has_ipv6 = uplink->has_ipv6,
		.ipv4 = uplink->ipv4,
		.ipv4_prefix_length = uplink->ipv4_prefix_length,
		.ipv6 = uplink->ipv6,
		.ipv6_prefix_length = uplink->ipv6_prefix_length,
		.vlan = uplink->vlan,
		.mtu = state.mtu,
		.mac = state.mac,
		.link_up = state.link_up,
		.routes = uplink->route_count,
		.neighbours = count_neighbours(port_slot(port)),
	};
	return true;
}

static void describe(const struct control *control, const struct neighbour_info *from,
		     struct neighbour_row *to)
{
	const struct port *uplink = nic_port(control->config.nic, PORT_UPLINK, 0);
	bool on_wire = uplink != NULL && port_slot(uplink) == from->slot;

	to->number = from->number;
	snprintf(to->port, sizeof(to->port), "%s",
		 port_kind_name(on_wire ? PORT_UPLINK : PORT_HOST));
	to->has_ipv4 = !from->is_ipv6;
	to->has_ipv6 = from->is_ipv6;
	memcpy(&to->ipv4, from->address, sizeof(to->ipv4));
	memcpy(&to->ipv6, from->address, sizeof(to->ipv6));
	to->has_mac = from->has_mac;
	to->mac = from->mac;
	snprintf(to->state, sizeof(to->state), "%s", neighbour_state_name(from->state));
	to->age_ms = from->age_ms;
}

void list_neighbours_call(struct control *control, struct control_call *call)
{
	const struct list_neighbours_request *wanted = &call->request->body.list_neighbours;
	struct reply reply = {.call = CALL_LIST_NEIGHBOURS};
	struct neighbours_reply *body = &reply.body.neighbours;
	struct neighbour_info infos[LIMIT_NEIGHBOURS_PAGE + 1];
	size_t count = neighbours_list(wanted->after, control_now_ms(), infos, wanted->limit + 1);

	body->neighbours = calloc(wanted->limit, sizeof(*body->neighbours));
	if (body->neighbours == NULL) {
		answer_no_memory(control, call);
		return;
	}
	for (; body->count < count && body->count < wanted->limit; body->count++)
		describe(control, &infos[body->count], &body->neighbours[body->count]);
	body->more = body->count < count;
	answer(control, call, &reply);
	reply_clear(&reply);
}

static void describe_connection(const struct masquerade_connection *from, struct connection_row *to)
{
	*to = (struct connection_row){
		.kind = from->kind == MASQUERADE_FROM_WIRE ? CONNECTION_PUBLISHED
			: from->kind == MASQUERADE_WITHIN  ? CONNECTION_WITHIN
							   : CONNECTION_MASQUERADED,
		.number = from->number,
		.protocol = from->protocol,
		.is_ipv6 = from->is_ipv6,
		.pod_port = from->pod_port,
		.peer_port = from->peer_port,
		.external_port = from->external_port,
		.answered = from->answered,
		.offloaded = from->carried,
		.expires_s = from->expires_s,
		.packets_sent = from->packets_sent,
		.bytes_sent = from->bytes_sent,
		.packets_received = from->packets_received,
		.bytes_received = from->bytes_received,
	};
	memcpy(to->pod, from->pod, sizeof(to->pod));
	memcpy(to->peer, from->peer, sizeof(to->peer));
	memcpy(to->external, from->external, sizeof(to->external));
	snprintf(to->state, sizeof(to->state), "%s", from->state);
}

void list_connections_call(struct control *control, struct control_call *call)
{
	const struct list_connections_request *wanted = &call->request->body.list_connections;
	struct reply reply = {.call = CALL_LIST_CONNECTIONS};
	struct connections_reply *body = &reply.body.connections;
	struct masquerade_connection connections[LIMIT_CONNECTIONS_PAGE];
	struct masquerade_figures figures;
	struct error err;

	body->connections = calloc(wanted->limit, sizeof(*body->connections));
	if (body->connections == NULL) {
		answer_no_memory(control, call);
		return;
	}
	if (masquerade_list(wanted->after, connections, wanted->limit, &body->count, &body->more,
			    &figures, &err) < 0) {
		answer_error(control, call, &err);
		reply_clear(&reply);
		return;
	}
	for (size_t i = 0; i < body->count; i++)
		describe_connection(&connections[i], &body->connections[i]);
	body->total = figures.connections;
	body->most = figures.most;
	body->refused_full = figures.refused_full;
	body->refused_ports = figures.refused_ports;
	connections_describe(control, &body->offload);
	answer(control, call, &reply);
	reply_clear(&reply);
}
