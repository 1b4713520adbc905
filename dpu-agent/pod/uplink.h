// SPDX-License-Identifier: BSD-3-Clause
//
// The uplink's address, routes and VLAN as people write them, and what must hold between them.
// Values; no I/O.

#pragma once

#include "proto/message.h"

enum { ROUTE_TEXT_SIZE = 128 };

// The agent's own address on the wire with the length of the prefix that is on the link,
// "192.0.2.10/24" or "2001:db8::10/64", into the family's members of `uplink`. Errors: -EINVAL with
// CODE_BAD_REQUEST and what is wrong with it.
int uplink_parse_ipv4(const char *text, struct uplink *uplink, struct error *err);
int uplink_parse_ipv6(const char *text, struct uplink *uplink, struct error *err);

// Add a route: "198.51.100.0/24 via 192.0.2.7", "default via 2001:db8::1". Errors as above; also a
// prefix that has a route already, and more than LIMIT_ROUTES.
int uplink_parse_route(const char *text, struct uplink *uplink, struct error *err);
// The other way.
void uplink_route_text(const struct uplink_route *route, char ret_text[ROUTE_TEXT_SIZE]);

// Do the parts fit each other: is each route's next hop on the link, and not the agent itself?
// Errors: -EINVAL with CODE_BAD_REQUEST; the sentence begins with the route.
int uplink_check(const struct uplink *uplink, struct error *err);

// The pod network is the agent's to route, so the wire's own prefix must be outside of it. Errors:
// -EINVAL with CODE_CONFLICT.
int uplink_suits_network(const struct uplink *uplink, const struct pod_network *network,
			 struct error *err);

static inline bool uplink_is_configured(const struct uplink *uplink)
{
	return uplink->has_ipv4 || uplink->has_ipv6;
}

bool uplink_equal(const struct uplink *a, const struct uplink *b);
