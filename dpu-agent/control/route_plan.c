// SPDX-License-Identifier: BSD-3-Clause
//
// See route_plan.h. One family after the other.

#include "control/route_plan.h"

#include <string.h>

#include "pod/prefix.h"

enum { APART_MAX = 16 }; // prefixes of a family that nothing is routed to or from

struct family {
	bool is_ipv6;
	const struct uplink *uplink;
	const struct masquerade_config *masquerade; // NULL: not of this family
	const struct neighbour_info *neighbours;
	size_t neighbour_count;
	struct offload_prefix link;
	struct offload_prefix apart[APART_MAX];
	size_t apart_count;
};

// ---- prefixes -------------------------------------------------------------------------------------

static struct offload_prefix prefix_of(bool is_ipv6, const void *address, unsigned int length)
{
	struct offload_prefix prefix = {.is_ipv6 = is_ipv6, .length = (uint8_t)length};

	memcpy(prefix.address, address, (length + 7) / 8);
	if (length % 8 != 0)
		prefix.address[length / 8] &= (uint8_t)(0xff << (8 - length % 8));
	return prefix;
}

static bool holds(const struct offload_prefix *a, const struct offload_prefix *b)
{
	return a->length <= b->length && prefix_bits_equal(a->address, b->address, a->length);
}

// ---- what nothing is routed to or from --------------------------------------------------------------

static void keep_apart(struct family *family, const void *address, unsigned int length)
{
	family->apart[family->apart_count++] = prefix_of(family->is_ipv6, address, length);
}

// As ip4_input and route4 have it; and what the agent answers itself.
static void keep_apart_ipv4(struct family *family, const struct pod_network *network)
{
	static const struct {
		uint8_t address[4], length;
	} never[] = {{{0}, 8}, {{127}, 8}, {{169, 254}, 16}, {{224}, 3}};
	const uint8_t length = family->uplink->ipv4_prefix_length;
	const in_addr_t own = ntohl(family->uplink->ipv4.s_addr), host = UINT32_MAX >> length;
	const in_addr_t first = htonl(own & ~host), last = htonl(own | host);

	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		keep_apart(family, never[i].address, never[i].length);
	keep_apart(family, &family->uplink->ipv4, 32);
	keep_apart(family, &network->ipv4, network->ipv4_prefix_length);
	if (length >= 31) // RFC 3021
		return;
	keep_apart(family, &first, 32); // broadcast addresses: RFC 2644
	keep_apart(family, &last, 32);
}

static void keep_apart_ipv6(struct family *family, const struct pod_network *network)
{
	static const struct {
		uint8_t address[16], length;
	} never[] = {{{0}, 128}, {{[15] = 1}, 128}, {{0xfe, 0x80}, 10}, {{0xff}, 8}};

	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		keep_apart(family, never[i].address, never[i].length);
	keep_apart(family, &family->uplink->ipv6, 128);
	keep_apart(family, &network->ipv6, network->ipv6_prefix_length);
}

// Is anything of the prefix the agent's, or nobody's? It is so as a whole then.
static bool is_apart(const struct family *family, const struct offload_prefix *prefix)
{
	for (size_t i = 0; i < family->apart_count; i++) {
		if (holds(&family->apart[i], prefix))
			return true;
	}
	return false;
}

// ---- where packets go -------------------------------------------------------------------------------

static struct offload_prefix excluded(const struct masquerade_config *masquerade, uint32_t i)
{
	const struct masquerade_prefix *from = &masquerade->excluded[i];

	return prefix_of(from->is_ipv6, from->prefix, from->length);
}

static bool is_masqueraded(const struct family *family, const struct offload_prefix *prefix)
{
	if (family->masquerade == NULL)
		return false;
	for (uint32_t i = 0; i < family->masquerade->excluded_count; i++) {
		struct offload_prefix without = excluded(family->masquerade, i);

		if (without.is_ipv6 == family->is_ipv6 && holds(&without, prefix))
			return false;
	}
	return true;
}

static const struct neighbour_info *find_neighbour(const struct family *family,
						   const uint8_t *address)
{
	for (size_t i = 0; i < family->neighbour_count; i++) {
		const struct neighbour_info *n = &family->neighbours[i];

		if (n->is_ipv6 == family->is_ipv6 &&
		    memcmp(n->address, address, family->is_ipv6 ? 16 : 4) == 0)
			return n;
	}
	return NULL;
}

// The longest route that has all of it; of the same length the link goes first. NULL: the link, or none, if it has not.
static const struct uplink_route *find_route(const struct family *family,
					     const struct offload_prefix *prefix)
{
	const int on_link = holds(&family->link, prefix) ? family->link.length : -1;
	const struct uplink_route *best = NULL;

	for (uint32_t i = 0; i < family->uplink->route_count; i++) {
		const struct uplink_route *route = &family->uplink->routes[i];

		if (route->is_ipv6 == family->is_ipv6 && route->prefix_length > on_link &&
		    route->prefix_length <= prefix->length &&
		    prefix_bits_equal(route->prefix, prefix->address, route->prefix_length) &&
		    (best == NULL || route->prefix_length > best->prefix_length))
			best = route;
	}
	return best;
}

// A prefix on the link leads to nobody; neighbours have their own.
static const struct neighbour_info *find_next_hop(const struct family *family,
						  const struct offload_prefix *prefix)
{
	if (is_apart(family, prefix) || is_masqueraded(family, prefix))
		return NULL;
	const struct uplink_route *route = find_route(family, prefix);
	return route != NULL ? find_neighbour(family, route->next_hop) : NULL;
}

// ---- the plan -----------------------------------------------------------------------------------------

static void add_route(struct route_plan *plan, const struct offload_prefix *prefix,
		      const struct neighbour_info *next_hop)
{
	struct offload_route *route = &plan->routes[plan->count++];

	*route = (struct offload_route){.to = *prefix, .forward = next_hop != NULL};
	if (next_hop == NULL)
		return;
	route->next_hop = next_hop->number;
	route->next_hop_mac = next_hop->mac;
}

static bool is_in(const struct route_plan *plan, size_t first, size_t end,
		  const struct offload_prefix *prefix)
{
	for (size_t i = first; i < end; i++) {
		if (offload_prefix_equal(&plan->routes[i].to, prefix))
			return true;
	}
	return false;
}

static void add_prefix(const struct family *family, struct route_plan *plan, size_t first,
		       const struct offload_prefix *prefix)
{
	if (!is_in(plan, first, plan->count, prefix))
		add_route(plan, prefix, find_next_hop(family, prefix));
}

static void add_neighbours(const struct family *family, struct route_plan *plan, size_t first)
{
	const size_t end = plan->count;

	for (size_t i = 0; i < family->neighbour_count && plan->count < OFFLOAD_ROUTES_MAX; i++) {
		const struct neighbour_info *n = &family->neighbours[i];
		struct offload_prefix prefix =
			prefix_of(n->is_ipv6, n->address, n->is_ipv6 ? 128 : 32);

		if (n->is_ipv6 == family->is_ipv6 && holds(&family->link, &prefix) &&
		    find_route(family, &prefix) == NULL && !is_apart(family, &prefix) &&
		    !is_masqueraded(family, &prefix) && !is_in(plan, first, end, &prefix))
			add_route(plan, &prefix, n);
	}
}

// A host route, or exclusion, of a neighbour's own address.
static void add_link_prefix(const struct family *family, struct route_plan *plan, size_t first,
			    const struct offload_prefix *prefix)
{
	const bool is_host = prefix->length == (family->is_ipv6 ? 128 : 32);

	if (is_host && holds(&family->link, prefix) && find_route(family, prefix) == NULL &&
	    !is_apart(family, prefix) && !is_masqueraded(family, prefix)) {
		if (!is_in(plan, first, plan->count, prefix))
			add_route(plan, prefix, find_neighbour(family, prefix->address));
		return;
	}
	add_prefix(family, plan, first, prefix);
}

static void add_routes(const struct family *family, struct route_plan *plan)
{
	const size_t first = plan->count;

	for (size_t i = 0; i < family->apart_count; i++)
		add_prefix(family, plan, first, &family->apart[i]);
	add_prefix(family, plan, first, &family->link);
	for (uint32_t i = 0; i < family->uplink->route_count; i++) {
		const struct uplink_route *route = &family->uplink->routes[i];
		struct offload_prefix prefix =
			prefix_of(route->is_ipv6, route->prefix, route->prefix_length);

		if (route->is_ipv6 == family->is_ipv6)
			add_prefix(family, plan, first, &prefix);
	}
	for (uint32_t i = 0; family->masquerade != NULL && i < family->masquerade->excluded_count;
	     i++) {
		struct offload_prefix prefix = excluded(family->masquerade, i);

		if (prefix.is_ipv6 == family->is_ipv6)
			add_link_prefix(family, plan, first, &prefix);
	}
	add_neighbours(family, plan, first);
}

static void add_source(struct offload_wire *wire, uint32_t first,
		       const struct offload_prefix *prefix, bool forward)
{
	for (uint32_t i = first; i < wire->source_count; i++) {
		if (offload_prefix_equal(&wire->sources[i].from, prefix))
			return;
	}
	wire->sources[wire->source_count++] =
		(struct offload_source){.from = *prefix, .forward = forward};
}

static void add_sources(const struct family *family, struct offload_wire *wire)
{
	const struct offload_prefix all = {.is_ipv6 = family->is_ipv6};
	const uint32_t first = wire->source_count;

	for (size_t i = 0; i < family->apart_count; i++)
		add_source(wire, first, &family->apart[i], false);
	if (family->masquerade == NULL) {
		add_source(wire, first, &all, true);
		return;
	}
	for (uint32_t i = 0; i < family->masquerade->excluded_count; i++) {
		struct offload_prefix prefix = excluded(family->masquerade, i);

		if (prefix.is_ipv6 == family->is_ipv6 && !is_apart(family, &prefix))
			add_source(wire, first, &prefix, true);
	}
}

// Is anybody there who sees the pods' own addresses?
static bool sees_pods(const struct family *family)
{
	if (family->masquerade == NULL)
		return true;
	for (uint32_t i = 0; i < family->masquerade->excluded_count; i++) {
		if (family->masquerade->excluded[i].is_ipv6 == family->is_ipv6)
			return true;
	}
	return false;
}

static bool plan_family(struct family *family, const struct pod_network *network,
			struct route_plan *plan)
{
	const struct uplink *uplink = family->uplink;
	const bool v6 = family->is_ipv6;

	if (!(v6 ? uplink->has_ipv6 && network->has_ipv6 : uplink->has_ipv4 && network->has_ipv4))
		return false;
	if (!sees_pods(family))
		return false;
	family->link = v6 ? prefix_of(true, &uplink->ipv6, uplink->ipv6_prefix_length)
			  : prefix_of(false, &uplink->ipv4, uplink->ipv4_prefix_length);
	if (v6)
		keep_apart_ipv6(family, network);
	else
		keep_apart_ipv4(family, network);
	add_routes(family, plan);
	add_sources(family, &plan->wire);
	return true;
}

void route_plan_make(const struct uplink *uplink, const struct pod_network *network,
		     const struct masquerade_config *masquerade,
		     const struct neighbour_info *neighbours, size_t neighbour_count,
		     struct route_plan *ret_plan)
{
	const bool masqueraded[2] = {masquerade != NULL && masquerade->ipv4,
				     masquerade != NULL && masquerade->ipv6};
	bool routed[2];

	memset(ret_plan, 0, sizeof(*ret_plan));
	for (unsigned int v6 = 0; v6 < 2; v6++) {
		struct family family = {
			.is_ipv6 = v6,
			.uplink = uplink,
			.masquerade = masqueraded[v6] ? masquerade : NULL,
			.neighbours = neighbours,
			.neighbour_count = neighbour_count,
		};

		routed[v6] = plan_family(&family, network, ret_plan);
	}
	ret_plan->wire.ipv4 = routed[0];
	ret_plan->wire.ipv6 = routed[1];
	ret_plan->wire.vlan = uplink->vlan;
}
