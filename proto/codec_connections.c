// SPDX-License-Identifier: BSD-3-Clause
//
// The part of replies that tells of masqueraded connections. Both ways.

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/codec_private.h"

static int decode_connection(const Podport__Wire__Connection *from, const struct where *at,
			     struct connection_row *to, struct error *err)
{
	int r;

	// 0 asks for a list from its start: a connection of that number would be listed for ever.
	if (from->number == 0)
		return bad_field(err, CODE_BAD_REQUEST, at, "number", "is 0");
	if ((r = take_family(from->family, at, &to->is_ipv6, err)) < 0 ||
	    (r = take_family_address(from->pod, at, "pod", to->is_ipv6, to->pod, err)) < 0 ||
	    (r = take_family_address(from->peer, at, "peer", to->is_ipv6, to->peer, err)) < 0 ||
	    (r = take_family_address(from->external, at, "external", to->is_ipv6, to->external,
				     err)) < 0 ||
	    (r = take_range(from->protocol, 0, UINT8_MAX, at, "protocol", err)) < 0 ||
	    (r = take_range(from->pod_port, 0, UINT16_MAX, at, "pod_port", err)) < 0 ||
	    (r = take_range(from->peer_port, 0, UINT16_MAX, at, "peer_port", err)) < 0 ||
	    (r = take_range(from->external_port, 0, UINT16_MAX, at, "external_port", err)) < 0 ||
	    (r = take_text(from->state, at, "state", LIMIT_ID, to->state, err)) < 0)
		return r;
	if (from->kind >= CONNECTION_KIND_COUNT)
		return bad_field(err, CODE_BAD_REQUEST, at, "kind", "%u is none", from->kind);
	to->kind = (enum connection_kind)from->kind;
	to->number = from->number;
	to->protocol = (uint8_t)from->protocol;
	to->pod_port = (uint16_t)from->pod_port;
	to->peer_port = (uint16_t)from->peer_port;
	to->external_port = (uint16_t)from->external_port;
	to->answered = from->answered;
	to->offloaded = from->offloaded;
	to->expires_s = from->expires_s;
	to->packets_sent = from->packets_sent;
	to->bytes_sent = from->bytes_sent;
	to->packets_received = from->packets_received;
	to->bytes_received = from->bytes_received;
	return 0;
}

static int decode_carried(const Podport__Wire__ConnectionsOffload *from, const struct where *at,
			  struct connections_offload *to, struct error *err)
{
	if (from == NULL) // an older agent's
		return 0;
	to->carried = from->carried;
	to->most = from->most;
	to->refused_full = from->refused_full;
	to->refused_nic = from->refused_nic;
	return take_text(from->why_not, &WHERE(at, "offload"), "why_not", LIMIT_TEXT, to->why_not,
			 err);
}

int decode_connections(const Podport__Wire__ListConnectionsReply *from, const struct where *at,
		       struct connections_reply *ret_connections, struct error *err)
{
	struct connection_row *rows;

	ret_connections->more = from->more;
	ret_connections->total = from->total;
	ret_connections->most = from->most;
	ret_connections->refused_full = from->refused_full;
	ret_connections->refused_ports = from->refused_ports;
	int offload = decode_carried(from->offload, at, &ret_connections->offload, err);
	if (offload < 0)
		return offload;
	if (from->n_connections == 0)
		return 0;
	rows = calloc(from->n_connections, sizeof(*rows));
	if (rows == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "connections: out of memory");
	for (size_t i = 0; i < from->n_connections; i++) {
		int r = decode_connection(from->connections[i], &WHERE_ITEM(at, "connections", i),
					  &rows[i], err);

		if (r < 0) {
			free(rows);
			return r;
		}
	}
	ret_connections->connections = rows;
	ret_connections->count = from->n_connections;
	return 0;
}

void put_connection(Podport__Wire__Connection *to, const struct connection_row *from)
{
	size_t size = from->is_ipv6 ? 16 : 4;

	podport__wire__connection__init(to);
	to->number = from->number;
	to->protocol = from->protocol;
	to->family = from->is_ipv6 ? 6 : 4;
	to->kind = from->kind;
	to->pod = put_bytes(true, from->pod, size);
	to->pod_port = from->pod_port;
	to->peer = put_bytes(true, from->peer, size);
	to->peer_port = from->peer_port;
	to->external = put_bytes(true, from->external, size);
	to->external_port = from->external_port;
	to->state = put_text(from->state);
	to->answered = from->answered;
	to->offloaded = from->offloaded;
	to->expires_s = from->expires_s;
	to->packets_sent = from->packets_sent;
	to->bytes_sent = from->bytes_sent;
	to->packets_received = from->packets_received;
	to->bytes_received = from->bytes_received;
}

void put_connections_offload(Podport__Wire__ConnectionsOffload *to,
			     const struct connections_offload *from)
{
	podport__wire__connections_offload__init(to);
	to->carried = from->carried;
	to->most = from->most;
	to->refused_full = from->refused_full;
	to->refused_nic = from->refused_nic;
	to->why_not = put_text(from->why_not);
}
