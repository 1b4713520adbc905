// SPDX-License-Identifier: BSD-3-Clause
//
// The control thread's side of the wire: route tables are made anew for each change and published
// whole; and the workers' look into them.

#include "datapath/uplink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_errno.h>

#include "datapath/carry.h"
#include "datapath/datapath_private.h"
#include "datapath/neighbour_private.h"

// A binary tree (rte_rib) behind the tables' interface: the faster kinds take 64 MB and more for what
// is a handful of routes here, and are one constant away.
#define FIB_TYPE  RTE_FIB_DUMMY
#define FIB6_TYPE RTE_FIB6_DUMMY

enum {
	ROUTES_MAX = LIMIT_ROUTES + 1, // with the prefix on the link
	NAME_SIZE = 32,                // of a table; DPDK names no limit
};

// ---- workers -------------------------------------------------------------------------------------

bool wire_route_ipv4(const struct snapshot *s, struct rte_mbuf *m, rte_be32_t destination)
{
	struct packet_meta *meta = packet_meta(m);
	const struct wire *wire = s->wire;
	uint32_t key = rte_be_to_cpu_32(destination);
	uint64_t route;

	if (wire == NULL || s->uplink_slot == NO_SLOT || wire->routes_ipv4 == NULL ||
	    rte_fib_lookup_bulk(wire->routes_ipv4, &key, &route, 1) < 0 || route == 0)
		return false;
	memset(meta->next_hop, 0, sizeof(meta->next_hop));
	memcpy(meta->next_hop,
	       route == WIRE_ON_LINK ? (const void *)&destination
				     : wire->config.routes[route - 1].next_hop,
	       sizeof(destination));
	meta->out_slot = s->uplink_slot;
	return true;
}

bool wire_route_ipv6(const struct snapshot *s, struct rte_mbuf *m, const uint8_t destination[16])
{
	struct packet_meta *meta = packet_meta(m);
	const struct wire *wire = s->wire;
	uint8_t key[1][16];
	uint64_t route;

	memcpy(key[0], destination, sizeof(key[0]));
	if (wire == NULL || s->uplink_slot == NO_SLOT || wire->routes_ipv6 == NULL ||
	    rte_fib6_lookup_bulk(wire->routes_ipv6, (void *)key, &route, 1) < 0 || route == 0)
		return false;
	memcpy(meta->next_hop,
	       route == WIRE_ON_LINK ? key[0] : wire->config.routes[route - 1].next_hop,
	       sizeof(meta->next_hop));
	meta->out_slot = s->uplink_slot;
	return true;
}

// ---- control thread ------------------------------------------------------------------------------

void wire_free(const struct wire *wire)
{
	if (wire == NULL)
		return;
	rte_fib_free(wire->routes_ipv4);
	rte_fib6_free(wire->routes_ipv6);
	free((void *)(uintptr_t)wire);
}

static struct rte_fib *make_routes_ipv4(const char *name, const struct uplink *uplink)
{
	struct rte_fib_conf conf = {.type = FIB_TYPE, .max_routes = ROUTES_MAX};
	struct rte_fib *routes = rte_fib_create(name, SOCKET_ID_ANY, &conf);
	int r = 0;

	if (routes == NULL)
		return NULL;
	// Of the same prefix the link itself goes first, so it is added last.
	for (uint32_t i = 0; r == 0 && i < uplink->route_count; i++) {
		const struct uplink_route *route = &uplink->routes[i];
		rte_be32_t prefix;

		memcpy(&prefix, route->prefix, sizeof(prefix));
		if (!route->is_ipv6)
			r = rte_fib_add(routes, rte_be_to_cpu_32(prefix), route->prefix_length,
					i + 1);
	}
	if (r == 0)
		r = rte_fib_add(routes, rte_be_to_cpu_32(uplink->ipv4.s_addr),
				uplink->ipv4_prefix_length, WIRE_ON_LINK);
	if (r == 0)
		return routes;
	rte_fib_free(routes);
	return NULL;
}

static struct rte_fib6 *make_routes_ipv6(const char *name, const struct uplink *uplink)
{
	struct rte_fib6_conf conf = {.type = FIB6_TYPE, .max_routes = ROUTES_MAX};
	struct rte_fib6 *routes = rte_fib6_create(name, SOCKET_ID_ANY, &conf);
	int r = 0;

	if (routes == NULL)
		return NULL;
	for (uint32_t i = 0; r == 0 && i < uplink->route_count; i++) {
		const struct uplink_route *route = &uplink->routes[i];

		if (route->is_ipv6)
			r = rte_fib6_add(routes, (const void *)route->prefix, route->prefix_length,
					 i + 1);
	}
	if (r == 0)
		r = rte_fib6_add(routes, (const void *)&uplink->ipv6, uplink->ipv6_prefix_length,
				 WIRE_ON_LINK);
	if (r == 0)
		return routes;
	rte_fib6_free(routes);
	return NULL;
}

static struct wire *make_wire(const struct uplink *uplink, struct error *err)
{
	static uint32_t generation; // two are there while one takes the other's place
	struct wire *wire = calloc(1, sizeof(*wire));
	char name[NAME_SIZE];

	if (wire == NULL)
		goto fail;
	generation++;
	wire->config = *uplink;
	wire->generation = generation;
	wire->mask_ipv4 = htonl(UINT32_MAX << (32 - uplink->ipv4_prefix_length) % 32);
	snprintf(name, sizeof(name), "wire4_%u", generation);
	if (uplink->has_ipv4 && (wire->routes_ipv4 = make_routes_ipv4(name, uplink)) == NULL)
		goto fail;
	snprintf(name, sizeof(name), "wire6_%u", generation);
	if (uplink->has_ipv6 && (wire->routes_ipv6 = make_routes_ipv6(name, uplink)) == NULL)
		goto fail;
	return wire;

fail:
	wire_free(wire);
	error_set(err, ENOMEM, CODE_INTERNAL, "the uplink's routes: out of memory");
	return NULL;
}

uint32_t datapath_wire_generation(void)
{
	const struct wire *wire = datapath_current()->wire;

	return wire != NULL ? wire->generation : 0;
}

void datapath_announce(void)
{
	if (datapath_current()->wire != NULL)
		neighbours_announce();
}

int datapath_set_uplink(const struct uplink *uplink, struct error *err)
{
	const struct wire *old = datapath_current()->wire;
	struct snapshot *s = datapath_copy_snapshot();
	struct wire *wire = uplink != NULL ? make_wire(uplink, err) : NULL;

	if (s == NULL || (uplink != NULL && wire == NULL)) {
		free(s);
		wire_free(wire);
		return error_set(err, ENOMEM, CODE_INTERNAL, "the uplink: out of memory");
	}
	s->wire = wire;
	datapath_publish(s);
	wire_free(old);
	if (s->uplink_slot != NO_SLOT)
		neighbours_forget(s->uplink_slot);
	if (wire != NULL)
		neighbours_announce();
	return 0;
}
