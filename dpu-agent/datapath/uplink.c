// SPDX-License-Identifier: BSD-3-Clause
//
// The control thread's side of the wire: route tables are made anew for each change and published
// whole; and the workers' look into them.

#include "datapath/uplink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#include "datapath/carry.h"
#include "datapath/datapath_private.h"
#include "datapath/neighbour_private.h"

// ---- workers -------------------------------------------------------------------------------------

// Some routes, of which the first that fits is the longest: fewer instructions than a step of a tree, and none of the 16
// to 64 MB of a table of addresses.

bool wire_route_ipv4(const struct snapshot *s, struct rte_mbuf *m, rte_be32_t destination)
{
	struct packet_meta *meta = packet_meta(m);
	const struct wire *wire = s->wire;
	const struct wire_route4 *route, *end;

	if (wire == NULL || s->uplink_slot == NO_SLOT)
		return false;
	end = wire->routes4 + wire->route4_count;
	for (route = wire->routes4; route < end; route++)
		if ((destination & route->mask) == route->prefix)
			break;
	if (route == end)
		return false;
	memset(meta->next_hop, 0, sizeof(meta->next_hop));
	memcpy(meta->next_hop,
	       route->route == WIRE_ON_LINK ? (const void *)&destination
					    : wire->config.routes[route->route].next_hop,
	       sizeof(destination));
	meta->out_slot = s->uplink_slot;
	return true;
}

bool wire_route_ipv6(const struct snapshot *s, struct rte_mbuf *m, const uint8_t destination[16])
{
	struct packet_meta *meta = packet_meta(m);
	const struct wire *wire = s->wire;
	const struct wire_route6 *route, *end;
	uint64_t key[2];

	if (wire == NULL || s->uplink_slot == NO_SLOT)
		return false;
	memcpy(key, destination, sizeof(key));
	end = wire->routes6 + wire->route6_count;
	for (route = wire->routes6; route < end; route++)
		if ((key[0] & route->mask[0]) == route->prefix[0] &&
		    (key[1] & route->mask[1]) == route->prefix[1])
			break;
	if (route == end)
		return false;
	memcpy(meta->next_hop,
	       route->route == WIRE_ON_LINK ? (const uint8_t *)key
					    : wire->config.routes[route->route].next_hop,
	       sizeof(meta->next_hop));
	meta->out_slot = s->uplink_slot;
	return true;
}

// ---- control thread ------------------------------------------------------------------------------

void wire_free(const struct wire *wire)
{
	free((void *)(uintptr_t)wire);
}

static void add_route4(struct wire *wire, const void *prefix, uint16_t route)
{
	struct wire_route4 *entry = &wire->routes4[wire->route4_count++];
	uint8_t length = route == WIRE_ON_LINK ? wire->config.ipv4_prefix_length
					       : wire->config.routes[route].prefix_length;

	memcpy(&entry->prefix, prefix, sizeof(entry->prefix));
	entry->mask = length == 0 ? 0 : htonl(UINT32_MAX << (32 - length));
	entry->prefix &= entry->mask;
	entry->route = route;
}

static void add_route6(struct wire *wire, const void *prefix, uint16_t route)
{
	struct wire_route6 *entry = &wire->routes6[wire->route6_count++];
	unsigned int length = route == WIRE_ON_LINK ? wire->config.ipv6_prefix_length
						    : wire->config.routes[route].prefix_length;

	memcpy(entry->prefix, prefix, sizeof(entry->prefix));
	for (unsigned int half = 0; half < 2; half++) {
		unsigned int bits = RTE_MIN(length, 64u);

		entry->mask[half] = bits == 0 ? 0 : rte_cpu_to_be_64(UINT64_MAX << (64 - bits));
		entry->prefix[half] &= entry->mask[half];
		length -= bits;
	}
	entry->route = route;
}

// The link itself goes before a route to the same prefix, so it is added first.
static void add_routes(struct wire *wire)
{
	const struct uplink *uplink = &wire->config;

	for (int length = 128; length >= 0; length--) {
		if (uplink->has_ipv4 && uplink->ipv4_prefix_length == length)
			add_route4(wire, &uplink->ipv4, WIRE_ON_LINK);
		if (uplink->has_ipv6 && uplink->ipv6_prefix_length == length)
			add_route6(wire, &uplink->ipv6, WIRE_ON_LINK);
		for (uint32_t i = 0; i < uplink->route_count; i++) {
			const struct uplink_route *route = &uplink->routes[i];

			if (route->prefix_length != length)
				continue;
			if (!route->is_ipv6 && uplink->has_ipv4)
				add_route4(wire, route->prefix, (uint16_t)i);
			else if (route->is_ipv6 && uplink->has_ipv6)
				add_route6(wire, route->prefix, (uint16_t)i);
		}
	}
}

static struct wire *make_wire(const struct uplink *uplink, struct error *err)
{
	static uint32_t generation; // two are there while one takes the other's place
	struct wire *wire = calloc(1, sizeof(*wire));

	if (wire == NULL) {
		error_set(err, ENOMEM, CODE_INTERNAL, "the uplink's routes: out of memory");
		return NULL;
	}
	wire->config = *uplink;
	wire->generation = ++generation;
	wire->mask_ipv4 = htonl(UINT32_MAX << (32 - uplink->ipv4_prefix_length) % 32);
	add_routes(wire);
	return wire;
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
