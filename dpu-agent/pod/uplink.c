// SPDX-License-Identifier: BSD-3-Clause
//
// See uplink.h.

#include "pod/uplink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pod/prefix.h"

// May a machine on a wire have it, and be spoken to by it?
static bool is_unicast4(const uint8_t address[4])
{
	return address[0] != 0 && address[0] != 127 && address[0] < 224 &&
	       !(address[0] == 169 && address[1] == 254);
}

static bool is_unicast6(const uint8_t bytes[16])
{
	struct in6_addr address;

	memcpy(&address, bytes, sizeof(address));
	return !IN6_IS_ADDR_UNSPECIFIED(&address) && !IN6_IS_ADDR_LOOPBACK(&address) &&
	       !IN6_IS_ADDR_MULTICAST(&address) && !IN6_IS_ADDR_V4MAPPED(&address);
}

int uplink_parse_ipv4(const char *text, struct uplink *uplink, struct error *err)
{
	in_addr_t network_order;
	struct prefix prefix;
	int r = prefix_parse(AF_INET, text, false, &prefix, err);

	if (r < 0)
		return r;
	const uint8_t *address = prefix.address;
	const unsigned int length = prefix.length;
	if (!is_unicast4(address))
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "'%s' is no address that a router can have", text);
	if (length < 1 || length > 31)
		return error_set(err, EINVAL, CODE_BAD_REQUEST, "'%s': the length is not in 1..31",
				 text);
	memcpy(&network_order, address, sizeof(network_order));
	uint32_t host = ntohl(network_order) & (UINT32_MAX >> length);
	if (length < 31 && (host == 0 || host == UINT32_MAX >> length)) // RFC 3021 has no such
		return error_set(
			err, EINVAL, CODE_BAD_REQUEST,
			"'%s' is the address of the network or its broadcast, and nobody's", text);
	uplink->has_ipv4 = true;
	memcpy(&uplink->ipv4, address, sizeof(uplink->ipv4));
	uplink->ipv4_prefix_length = (uint8_t)length;
	return 0;
}

int uplink_parse_ipv6(const char *text, struct uplink *uplink, struct error *err)
{
	struct prefix prefix;
	int r = prefix_parse(AF_INET6, text, false, &prefix, err);

	if (r < 0)
		return r;
	const uint8_t *address = prefix.address;
	const unsigned int length = prefix.length;
	if (!is_unicast6(address) || (address[0] == 0xfe && (address[1] & 0xc0) == 0x80))
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "'%s' is no address that can be reached from other links", text);
	if (length < 1 || length > 127)
		return error_set(err, EINVAL, CODE_BAD_REQUEST, "'%s': the length is not in 1..127",
				 text);
	uplink->has_ipv6 = true;
	memcpy(&uplink->ipv6, address, sizeof(uplink->ipv6));
	uplink->ipv6_prefix_length = (uint8_t)length;
	return 0;
}

// ---- routes --------------------------------------------------------------------------------------

static int bad_route(const char *text, const char *why, struct error *err)
{
	return error_set(err, EINVAL, CODE_BAD_REQUEST, "'%s' %s", text, why);
}

int uplink_parse_route(const char *text, struct uplink *uplink, struct error *err)
{
	static const char *const form = "is no route (PREFIX via ADDRESS, or default via ADDRESS)";
	char destination[INET6_ADDRSTRLEN + 4], next_hop[INET6_ADDRSTRLEN], more[2];
	struct uplink_route route = {0};
	struct prefix prefix = {0};

	if (sscanf(text, " %49s via %45s%1s", destination, next_hop, more) != 2)
		return bad_route(text, form, err);
	route.is_ipv6 = strchr(next_hop, ':') != NULL;
	int family = route.is_ipv6 ? AF_INET6 : AF_INET;
	if (inet_pton(family, next_hop, route.next_hop) != 1)
		return bad_route(text, form, err);
	prefix.family = family;
	if (strcmp(destination, "default") != 0) {
		struct error why;

		if (prefix_parse(family, destination, false, &prefix, &why) < 0)
			return error_set(err, EINVAL, CODE_BAD_REQUEST, "'%s': %.300s", text,
					 why.message);
	}
	if (prefix_has_host_bits(&prefix))
		return bad_route(text, "has bits set behind the prefix", err);
	if (route.is_ipv6 ? !is_unicast6(route.next_hop) : !is_unicast4(route.next_hop))
		return bad_route(text, "goes by an address that no router can have", err);
	memcpy(route.prefix, prefix.address, sizeof(route.prefix));
	route.prefix_length = prefix.length;
	for (uint32_t i = 0; i < uplink->route_count; i++) {
		const struct uplink_route *other = &uplink->routes[i];

		if (other->is_ipv6 == route.is_ipv6 && other->prefix_length == prefix.length &&
		    memcmp(other->prefix, route.prefix, sizeof(route.prefix)) == 0)
			return bad_route(text, "is the second route for this prefix", err);
	}
	if (uplink->route_count == LIMIT_ROUTES)
		return error_set(err, EINVAL, CODE_BAD_REQUEST, "more than %d routes",
				 LIMIT_ROUTES);
	uplink->routes[uplink->route_count++] = route;
	return 0;
}

void uplink_route_text(const struct uplink_route *route, char ret_text[ROUTE_TEXT_SIZE])
{
	int family = route->is_ipv6 ? AF_INET6 : AF_INET;
	char prefix[INET6_ADDRSTRLEN], next_hop[INET6_ADDRSTRLEN];

	inet_ntop(family, route->prefix, prefix, sizeof(prefix));
	inet_ntop(family, route->next_hop, next_hop, sizeof(next_hop));
	if (route->prefix_length == 0)
		snprintf(ret_text, ROUTE_TEXT_SIZE, "default via %s", next_hop);
	else
		snprintf(ret_text, ROUTE_TEXT_SIZE, "%s/%u via %s", prefix, route->prefix_length,
			 next_hop);
}

static bool is_link_local6(const uint8_t address[16])
{
	return address[0] == 0xfe && (address[1] & 0xc0) == 0x80;
}

// NULL: it can.
static const char *why_no_next_hop(const struct uplink *uplink, const struct uplink_route *route)
{
	const void *own = route->is_ipv6 ? (const void *)&uplink->ipv6 : &uplink->ipv4;
	size_t size = route->is_ipv6 ? 16 : 4;

	if (!(route->is_ipv6 ? uplink->has_ipv6 : uplink->has_ipv4))
		return route->is_ipv6 ? "needs uplink.ipv6: the agent's own address there"
				      : "needs uplink.ipv4: the agent's own address there";
	if (memcmp(route->next_hop, own, size) == 0)
		return "goes by the agent's own address";
	if (route->is_ipv6 && is_link_local6(route->next_hop))
		return NULL;
	if (!prefix_bits_equal(own, route->next_hop,
			       route->is_ipv6 ? uplink->ipv6_prefix_length
					      : uplink->ipv4_prefix_length))
		return "goes by an address that is not in the prefix of the agent's own";
	return NULL;
}

int uplink_check(const struct uplink *uplink, struct error *err)
{
	for (uint32_t i = 0; i < uplink->route_count; i++) {
		const char *why = why_no_next_hop(uplink, &uplink->routes[i]);
		char text[ROUTE_TEXT_SIZE];

		if (why == NULL)
			continue;
		uplink_route_text(&uplink->routes[i], text);
		return bad_route(text, why, err);
	}
	return 0;
}

static bool overlap(const void *a, unsigned int a_length, const void *b, unsigned int b_length)
{
	return prefix_bits_equal(a, b, a_length < b_length ? a_length : b_length);
}

int uplink_suits_network(const struct uplink *uplink, const struct pod_network *network,
			 struct error *err)
{
	char text[INET6_ADDRSTRLEN];

	if (uplink->has_ipv4 && network->has_ipv4 &&
	    overlap(&uplink->ipv4, uplink->ipv4_prefix_length, &network->ipv4,
		    network->ipv4_prefix_length)) {
		inet_ntop(AF_INET, &uplink->ipv4, text, sizeof(text));
		return error_set(err, EINVAL, CODE_CONFLICT,
				 "the uplink's %s/%u and the pod network overlap", text,
				 uplink->ipv4_prefix_length);
	}
	if (uplink->has_ipv6 && network->has_ipv6 &&
	    overlap(&uplink->ipv6, uplink->ipv6_prefix_length, &network->ipv6,
		    network->ipv6_prefix_length)) {
		inet_ntop(AF_INET6, &uplink->ipv6, text, sizeof(text));
		return error_set(err, EINVAL, CODE_CONFLICT,
				 "the uplink's %s/%u and the pod network overlap", text,
				 uplink->ipv6_prefix_length);
	}
	return 0;
}

bool uplink_equal(const struct uplink *a, const struct uplink *b)
{
	if (a->has_ipv4 != b->has_ipv4 || a->has_ipv6 != b->has_ipv6 || a->vlan != b->vlan ||
	    a->mtu != b->mtu || a->route_count != b->route_count)
		return false;
	if (a->has_ipv4 &&
	    (a->ipv4.s_addr != b->ipv4.s_addr || a->ipv4_prefix_length != b->ipv4_prefix_length))
		return false;
	if (a->has_ipv6 && (!IN6_ARE_ADDR_EQUAL(&a->ipv6, &b->ipv6) ||
			    a->ipv6_prefix_length != b->ipv6_prefix_length))
		return false;
	for (uint32_t i = 0; i < a->route_count; i++) {
		const struct uplink_route *x = &a->routes[i], *y = &b->routes[i];

		if (x->is_ipv6 != y->is_ipv6 || x->prefix_length != y->prefix_length ||
		    memcmp(x->prefix, y->prefix, sizeof(x->prefix)) != 0 ||
		    memcmp(x->next_hop, y->next_hop, sizeof(x->next_hop)) != 0)
			return false;
	}
	return true;
}
