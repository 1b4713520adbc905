// SPDX-License-Identifier: BSD-3-Clause
//
// What is routed to the wire and from there, in the e-switch: told anew to offload/ when the uplink, masquerade or a
// neighbour that packets can be sent to has changed; and neighbours that the e-switch sends to are confirmed as those
// are that the graph sends to.

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/control_private.h"
#include "control/route_plan.h"
#include "datapath/neighbour.h"

struct route_state {
	struct neighbour_info neighbours[NEIGHBOURS_MAX], before[NEIGHBOURS_MAX];
	size_t count, count_before;
	struct route_plan plan;
};

int routes_new_state(struct control *control)
{
	control->routes = calloc(1, sizeof(*control->routes));
	return control->routes != NULL ? 0 : -ENOMEM;
}

// On the wire, that have a MAC address; of each what matters, all else zeros. False: they are those from before.
static bool read_neighbours(const struct control *control)
{
	const struct port *uplink = nic_port(control->config.nic, PORT_UPLINK, 0);
	struct route_state *state = control->routes;
	size_t all = neighbours_list(0, 0, state->neighbours, NEIGHBOURS_MAX);

	state->count = 0;
	for (size_t i = 0; i < all; i++) {
		const struct neighbour_info from = state->neighbours[i];
		struct neighbour_info *to = &state->neighbours[state->count];

		if (!from.has_mac || from.slot != port_slot(uplink))
			continue;
		memset(to, 0, sizeof(*to));
		to->number = from.number;
		to->is_ipv6 = from.is_ipv6;
		memcpy(to->address, from.address, from.is_ipv6 ? 16 : 4);
		to->mac = from.mac;
		state->count++;
	}
	if (state->count == state->count_before &&
	    memcmp(state->neighbours, state->before, state->count * sizeof(state->before[0])) == 0)
		return false;
	memcpy(state->before, state->neighbours, state->count * sizeof(state->before[0]));
	state->count_before = state->count;
	return true;
}

static bool is_served(const struct control *control)
{
	return control->pods->has_network && control->wire_error.code == CODE_OK &&
	       uplink_is_configured(&control->uplink);
}

static void plan(const struct control *control)
{
	struct route_state *state = control->routes;
	struct port_state uplink = {0};

	port_read_state(nic_port(control->config.nic, PORT_UPLINK, 0), &uplink);
	route_plan_make(&control->uplink, &control->pods->network.common,
			masquerade_configuration(), state->neighbours, state->count, &state->plan);
	state->plan.wire.mac = uplink.mac;
	state->plan.wire.mtu = uplink.mtu;
}

void routes_apply(struct control *control)
{
	struct route_state *state = control->routes;

	if (!is_served(control)) {
		offload_set_wire(control->config.offload, NULL);
		offload_set_routes(control->config.offload, state->plan.routes, 0);
		return;
	}
	read_neighbours(control);
	plan(control);
	offload_set_wire(control->config.offload, &state->plan.wire);
	offload_set_routes(control->config.offload, state->plan.routes, state->plan.count);
}

void control_neighbours_changed(struct control *control)
{
	struct route_state *state = control->routes;

	rules_follow_host(control);
	if (!control->offload_begun || !is_served(control) || !read_neighbours(control))
		return;
	plan(control);
	offload_set_routes(control->config.offload, state->plan.routes, state->plan.count);
}

static void use(void *context, uint32_t next_hop)
{
	neighbours_use(next_hop);
}

void routes_watch(struct control *control)
{
	if (control->offload_begun)
		offload_routes_used(control->config.offload, use, NULL);
}
