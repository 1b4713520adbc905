// SPDX-License-Identifier: BSD-3-Clause
//
// What libpodport hands out about published ports and masquerade; made as objects.c makes the others.

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "libpodport/client_private.h"

struct podport_nat {
	struct podport_published *items;
	size_t count;
	struct podport_nat_summary summary;
	struct nat_summary wire; // what the summary points into
	const char *excluded[LIMIT_NAT_EXCLUDED];
	struct podport_nat_ports ports[LIMIT_NAT_PORTS];
};

static void take_published(const struct published_row *from, struct podport_published *to)
{
	*to = (struct podport_published){
		.protocol = object_protocol_name(from->protocol),
		.family = from->is_ipv6 ? AF_INET6 : AF_INET,
		.served = from->served,
		.host_port = from->host_port,
		.container_port = from->container_port,
		.connections = from->connections,
		.opened = from->opened,
		.packets_in = from->packets_in,
		.bytes_in = from->bytes_in,
		.packets_out = from->packets_out,
		.bytes_out = from->bytes_out,
	};
	memcpy(to->host, from->host, sizeof(to->host));
	memcpy(to->pod, from->pod, sizeof(to->pod));
}

static void take_summary(struct podport_nat *nat, const struct nat_summary *from)
{
	const bool is_older = from->last_identifier == 0;

	nat->wire = *from;
	for (size_t i = 0; i < from->excluded_count; i++)
		nat->excluded[i] = nat->wire.excluded[i].text;
	for (size_t i = 0; i < from->ports_count; i++)
		nat->ports[i] = (struct podport_nat_ports){
			.protocol = object_protocol_name(from->ports[i].protocol),
			.family = from->ports[i].is_ipv6 ? AF_INET6 : AF_INET,
			.size = from->ports[i].size,
			.used = from->ports[i].used,
			.published = from->ports[i].published,
		};
	nat->summary = (struct podport_nat_summary){
		.has_ipv4 = from->has_ipv4,
		.has_ipv6 = from->has_ipv6,
		.ipv4 = from->ipv4,
		.ipv6 = from->ipv6,
		.masquerade_ipv4 = from->masquerade_ipv4,
		.masquerade_ipv6 = from->masquerade_ipv6,
		.excluded_count = from->excluded_count,
		.excluded = nat->excluded,
		.first_port = from->first_port,
		.last_port = from->last_port,
		.ports_count = from->ports_count,
		.ports = nat->ports,
		.connections = from->connections,
		.most = from->most,
		.refused_full = from->refused_full,
		.refused_ports = from->refused_ports,
		.first_identifier = is_older ? from->first_port : from->first_identifier,
		.last_identifier = is_older ? from->last_port : from->last_identifier,
	};
}

struct podport_nat *object_nat(void)
{
	return calloc(1, sizeof(struct podport_nat));
}

int object_nat_append(struct podport_nat *nat, const struct nat_reply *from)
{
	size_t count = nat->count;
	struct podport_published *items =
		reallocarray(nat->items, count + from->count + 1, sizeof(*items));

	if (items == NULL)
		return -1;
	nat->items = items;
	for (size_t i = 0; i < from->count; i++)
		take_published(&from->ports[i], &items[count + i]);
	nat->count = count + from->count;
	take_summary(nat, &from->summary);
	return 0;
}

size_t podport_nat_count(const struct podport_nat *nat)
{
	return nat->count;
}

const struct podport_published *podport_nat_get(const struct podport_nat *nat, size_t index)
{
	return index < nat->count ? &nat->items[index] : NULL;
}

const struct podport_nat_summary *podport_nat_summary(const struct podport_nat *nat)
{
	return &nat->summary;
}

void podport_nat_free(struct podport_nat *nat)
{
	if (nat == NULL)
		return;
	free(nat->items);
	free(nat);
}
