// SPDX-License-Identifier: BSD-3-Clause
//
// The parts of replies that tell of the uplink: who the agent is there, and who else is. Both ways.

#include <errno.h>
#include <stdlib.h>

#include "proto/codec_private.h"

// ---- out of a message ----------------------------------------------------------------------------

int decode_uplink(const Podport__Wire__Uplink *from, const struct where *at,
		  struct uplink_status *ret_uplink, struct error *err)
{
	struct uplink_status *to = ret_uplink;
	bool has_mac;
	int r;

	if ((r = take_ipv4(from->ipv4, at, "ipv4", &to->has_ipv4, &to->ipv4, err)) < 0 ||
	    (r = take_ipv6(from->ipv6, at, "ipv6", &to->has_ipv6, &to->ipv6, err)) < 0 ||
	    (r = take_mac(from->mac, at, "mac", &has_mac, &to->mac, err)) < 0 ||
	    (r = take_range(from->ipv4_prefix_length, 0, 32, at, "ipv4_prefix_length", err)) < 0 ||
	    (r = take_range(from->ipv6_prefix_length, 0, 128, at, "ipv6_prefix_length", err)) < 0 ||
	    (r = take_range(from->vlan, 0, 4094, at, "vlan", err)) < 0)
		return r;
	if (!to->has_ipv4 && !to->has_ipv6)
		return bad_field(err, CODE_BAD_REQUEST, at, NULL, "has neither ipv4 nor ipv6");
	to->ipv4_prefix_length = (uint8_t)from->ipv4_prefix_length;
	to->ipv6_prefix_length = (uint8_t)from->ipv6_prefix_length;
	to->vlan = (uint16_t)from->vlan;
	to->mtu = from->mtu;
	to->link_up = from->link_up;
	to->routes = from->routes;
	to->neighbours = from->neighbours;
	return 0;
}

static int decode_neighbour(const Podport__Wire__Neighbour *from, const struct where *at,
			    struct neighbour_row *to, struct error *err)
{
	int r;

	// 0 asks for a list from its start: a neighbour of that number would be listed for ever.
	if (from->number == 0)
		return bad_field(err, CODE_BAD_REQUEST, at, "number", "is 0");
	if ((r = take_text(from->port, at, "port", LIMIT_ID, to->port, err)) < 0 ||
	    (r = take_text(from->state, at, "state", LIMIT_ID, to->state, err)) < 0 ||
	    (r = take_ipv4(from->ipv4, at, "ipv4", &to->has_ipv4, &to->ipv4, err)) < 0 ||
	    (r = take_ipv6(from->ipv6, at, "ipv6", &to->has_ipv6, &to->ipv6, err)) < 0 ||
	    (r = take_mac(from->mac, at, "mac", &to->has_mac, &to->mac, err)) < 0)
		return r;
	if (to->has_ipv4 == to->has_ipv6)
		return bad_field(err, CODE_BAD_REQUEST, at, NULL, "must have one of ipv4 and ipv6");
	to->number = from->number;
	to->age_ms = from->age_ms;
	return 0;
}

int decode_neighbours(const Podport__Wire__ListNeighboursReply *from, const struct where *at,
		      struct neighbours_reply *ret_neighbours, struct error *err)
{
	struct neighbour_row *rows;

	ret_neighbours->more = from->more;
	if (from->n_neighbours == 0)
		return 0;
	rows = calloc(from->n_neighbours, sizeof(*rows));
	if (rows == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "neighbours: out of memory");
	for (size_t i = 0; i < from->n_neighbours; i++) {
		int r = decode_neighbour(from->neighbours[i], &WHERE_ITEM(at, "neighbours", i),
					 &rows[i], err);

		if (r < 0) {
			free(rows);
			return r;
		}
	}
	ret_neighbours->neighbours = rows;
	ret_neighbours->count = from->n_neighbours;
	return 0;
}

// ---- into a message ------------------------------------------------------------------------------

void put_uplink(Podport__Wire__Uplink *to, const struct uplink_status *from)
{
	podport__wire__uplink__init(to);
	to->ipv4 = put_bytes(from->has_ipv4, &from->ipv4, sizeof(from->ipv4));
	to->ipv4_prefix_length = from->has_ipv4 ? from->ipv4_prefix_length : 0;
	to->ipv6 = put_bytes(from->has_ipv6, &from->ipv6, sizeof(from->ipv6));
	to->ipv6_prefix_length = from->has_ipv6 ? from->ipv6_prefix_length : 0;
	to->vlan = from->vlan;
	to->mtu = from->mtu;
	to->mac = put_mac(&from->mac);
	to->link_up = from->link_up;
	to->routes = from->routes;
	to->neighbours = from->neighbours;
}

void put_neighbour(Podport__Wire__Neighbour *to, const struct neighbour_row *from)
{
	podport__wire__neighbour__init(to);
	to->number = from->number;
	to->port = put_text(from->port);
	to->ipv4 = put_bytes(from->has_ipv4, &from->ipv4, sizeof(from->ipv4));
	to->ipv6 = put_bytes(from->has_ipv6, &from->ipv6, sizeof(from->ipv6));
	to->mac = put_bytes(from->has_mac, &from->mac, sizeof(from->mac));
	to->state = put_text(from->state);
	to->age_ms = from->age_ms;
}
