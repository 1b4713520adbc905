// SPDX-License-Identifier: BSD-3-Clause
//
// What libpodport hands out about connections; made as objects.c makes the others.

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "libpodport/client_private.h"

struct connection_object {
	struct podport_connection public;
	char state[LIMIT_ID + 1];
	bool offloaded;
};

struct podport_connections {
	struct connection_object **items;
	size_t count;
	struct podport_connections_summary summary;
	struct podport_connections_offload offload;
	char why_not[LIMIT_TEXT + 1];
};

static const char *protocol_name(uint8_t protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	case IPPROTO_ICMP:
		return "icmp";
	case IPPROTO_ICMPV6:
		return "icmpv6";
	default:
		return "other";
	}
}

static struct connection_object *make_object(const struct connection_row *from)
{
	struct connection_object *object = calloc(1, sizeof(*object));

	if (object == NULL)
		return NULL;
	memcpy(object->state, from->state, sizeof(object->state));
	object->offloaded = from->offloaded;
	object->public = (struct podport_connection){
		.protocol = protocol_name(from->protocol),
		.family = from->is_ipv6 ? AF_INET6 : AF_INET,
		.pod_port = from->pod_port,
		.peer_port = from->peer_port,
		.external_port = from->external_port,
		.state = object->state,
		.answered = from->answered,
		.expires_s = from->expires_s,
		.packets_sent = from->packets_sent,
		.bytes_sent = from->bytes_sent,
		.packets_received = from->packets_received,
		.bytes_received = from->bytes_received,
	};
	memcpy(object->public.pod, from->pod, sizeof(from->pod));
	memcpy(object->public.peer, from->peer, sizeof(from->peer));
	memcpy(object->public.external, from->external, sizeof(from->external));
	return object;
}

struct podport_connections *object_connections(void)
{
	return calloc(1, sizeof(struct podport_connections));
}

int object_connections_append(struct podport_connections *connections,
			      const struct connections_reply *from)
{
	size_t count = connections->count;
	struct connection_object **items =
		reallocarray(connections->items, count + from->count + 1, sizeof(*items));

	if (items == NULL)
		return -1;
	connections->items = items;
	connections->summary = (struct podport_connections_summary){
		.total = from->total,
		.most = from->most,
		.refused_full = from->refused_full,
		.refused_ports = from->refused_ports,
	};
	memcpy(connections->why_not, from->offload.why_not, sizeof(connections->why_not));
	connections->offload = (struct podport_connections_offload){
		.carried = from->offload.carried,
		.most = from->offload.most,
		.refused_full = from->offload.refused_full,
		.refused_nic = from->offload.refused_nic,
		.why_not = connections->why_not,
	};
	for (size_t i = 0; i < from->count; i++) {
		items[count + i] = make_object(&from->connections[i]);
		if (items[count + i] == NULL) {
			while (i-- > 0)
				free(items[count + i]);
			return -1;
		}
	}
	connections->count = count + from->count;
	return 0;
}

size_t podport_connections_count(const struct podport_connections *connections)
{
	return connections->count;
}

const struct podport_connection *
podport_connections_get(const struct podport_connections *connections, size_t index)
{
	return index < connections->count ? &connections->items[index]->public : NULL;
}

bool podport_connections_offloaded(const struct podport_connections *connections, size_t index)
{
	return index < connections->count && connections->items[index]->offloaded;
}

const struct podport_connections_offload *
podport_connections_offload(const struct podport_connections *connections)
{
	return &connections->offload;
}

const struct podport_connections_summary *
podport_connections_summary(const struct podport_connections *connections)
{
	return &connections->summary;
}

void podport_connections_free(struct podport_connections *connections)
{
	if (connections == NULL)
		return;
	for (size_t i = 0; i < connections->count; i++)
		free(connections->items[i]);
	free(connections->items);
	free(connections);
}
