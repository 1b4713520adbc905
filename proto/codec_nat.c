// SPDX-License-Identifier: BSD-3-Clause
//
// The part of replies that tells of published ports and of masquerade as it is in force. Both ways.

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "proto/codec_private.h"

static int decode_published(const Podport__Wire__PublishedPort *from, const struct where *at,
			    struct published_row *to, struct error *err)
{
	int r;

	// 0 asks for a list from its start: a port of that number would be listed for ever.
	if (from->number == 0)
		return bad_field(err, CODE_BAD_REQUEST, at, "number", "is 0");
	if ((r = take_family(from->family, at, &to->is_ipv6, err)) < 0)
		return r;
	to->served = from->host.len > 0;
	if (to->served &&
	    (r = take_family_address(from->host, at, "host", to->is_ipv6, to->host, err)) < 0)
		return r;
	if ((r = take_family_address(from->pod, at, "pod", to->is_ipv6, to->pod, err)) < 0 ||
	    (r = take_range(from->protocol, 0, UINT8_MAX, at, "protocol", err)) < 0 ||
	    (r = take_range(from->host_port, 1, UINT16_MAX, at, "host_port", err)) < 0 ||
	    (r = take_range(from->container_port, 1, UINT16_MAX, at, "container_port", err)) < 0)
		return r;
	to->number = from->number;
	to->protocol = (uint8_t)from->protocol;
	to->host_port = (uint16_t)from->host_port;
	to->container_port = (uint16_t)from->container_port;
	to->connections = from->connections;
	to->opened = from->opened;
	to->packets_in = from->packets_in;
	to->bytes_in = from->bytes_in;
	to->packets_out = from->packets_out;
	to->bytes_out = from->bytes_out;
	return 0;
}

static int decode_ports(const Podport__Wire__NatPorts *from, const struct where *at,
			struct nat_ports *to, struct error *err)
{
	int r;

	if ((r = take_family(from->family, at, &to->is_ipv6, err)) < 0 ||
	    (r = take_range(from->protocol, 0, UINT8_MAX, at, "protocol", err)) < 0)
		return r;
	to->protocol = (uint8_t)from->protocol;
	to->size = from->size;
	to->used = from->used;
	to->published = from->published;
	return 0;
}

// Of the lists the scan has counted: no more than there is room for.
static int decode_summary(const Podport__Wire__NatSummary *from, const struct where *at,
			  struct nat_summary *to, struct error *err)
{
	int r;

	if (from == NULL)
		return bad_field(err, CODE_BAD_REQUEST, at, "summary", "is missing");
	struct where here = WHERE(at, "summary");
	if ((r = take_ipv4(from->ipv4, &here, "ipv4", &to->has_ipv4, &to->ipv4, err)) < 0 ||
	    (r = take_ipv6(from->ipv6, &here, "ipv6", &to->has_ipv6, &to->ipv6, err)) < 0 ||
	    (r = take_range(from->first_port, 0, UINT16_MAX, &here, "first_port", err)) < 0 ||
	    (r = take_range(from->last_port, 0, UINT16_MAX, &here, "last_port", err)) < 0 ||
	    (r = take_range(from->first_identifier, 0, UINT16_MAX, &here, "first_identifier",
			    err)) < 0 ||
	    (r = take_range(from->last_identifier, 0, UINT16_MAX, &here, "last_identifier", err)) <
		    0)
		return r;
	for (size_t i = 0; i < from->n_excluded; i++) {
		r = take_text(from->excluded[i]->prefix, &WHERE_ITEM(&here, "excluded", i),
			      "prefix", LIMIT_PREFIX, to->excluded[i].text, err);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < from->n_ports; i++) {
		r = decode_ports(from->ports[i], &WHERE_ITEM(&here, "ports", i), &to->ports[i],
				 err);
		if (r < 0)
			return r;
	}
	to->excluded_count = from->n_excluded;
	to->ports_count = from->n_ports;
	to->masquerade_ipv4 = from->masquerade_ipv4;
	to->masquerade_ipv6 = from->masquerade_ipv6;
	to->first_port = (uint16_t)from->first_port;
	to->last_port = (uint16_t)from->last_port;
	to->first_identifier = (uint16_t)from->first_identifier;
	to->last_identifier = (uint16_t)from->last_identifier;
	to->connections = from->connections;
	to->most = from->most;
	to->refused_full = from->refused_full;
	to->refused_ports = from->refused_ports;
	return 0;
}

int decode_nat(const Podport__Wire__ListNatReply *from, const struct where *at,
	       struct nat_reply *ret_nat, struct error *err)
{
	struct published_row *rows;
	int r = decode_summary(from->summary, at, &ret_nat->summary, err);

	if (r < 0)
		return r;
	ret_nat->more = from->more;
	if (from->n_ports == 0)
		return 0;
	rows = calloc(from->n_ports, sizeof(*rows));
	if (rows == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "nat: out of memory");
	for (size_t i = 0; i < from->n_ports; i++) {
		r = decode_published(from->ports[i], &WHERE_ITEM(at, "ports", i), &rows[i], err);
		if (r < 0) {
			free(rows);
			return r;
		}
	}
	ret_nat->ports = rows;
	ret_nat->count = from->n_ports;
	return 0;
}

// ---- into a message ------------------------------------------------------------------------------

void put_published(Podport__Wire__PublishedPort *to, const struct published_row *from)
{
	size_t size = from->is_ipv6 ? 16 : 4;

	podport__wire__published_port__init(to);
	to->number = from->number;
	to->protocol = from->protocol;
	to->family = from->is_ipv6 ? 6 : 4;
	to->host = put_bytes(from->served, from->host, size);
	to->host_port = from->host_port;
	to->pod = put_bytes(true, from->pod, size);
	to->container_port = from->container_port;
	to->connections = from->connections;
	to->opened = from->opened;
	to->packets_in = from->packets_in;
	to->bytes_in = from->bytes_in;
	to->packets_out = from->packets_out;
	to->bytes_out = from->bytes_out;
}

static void put_ports(Podport__Wire__NatPorts *to, const struct nat_ports *from)
{
	podport__wire__nat_ports__init(to);
	to->protocol = from->protocol;
	to->family = from->is_ipv6 ? 6 : 4;
	to->size = from->size;
	to->used = from->used;
	to->published = from->published;
}

void put_nat_summary(struct nat_summary_wire *to, const struct nat_summary *from)
{
	Podport__Wire__NatSummary *message = &to->message;

	podport__wire__nat_summary__init(message);
	message->ipv4 = put_bytes(from->has_ipv4, &from->ipv4, 4);
	message->ipv6 = put_bytes(from->has_ipv6, &from->ipv6, 16);
	message->masquerade_ipv4 = from->masquerade_ipv4;
	message->masquerade_ipv6 = from->masquerade_ipv6;
	message->first_port = from->first_port;
	message->last_port = from->last_port;
	message->first_identifier = from->first_identifier;
	message->last_identifier = from->last_identifier;
	for (size_t i = 0; i < from->excluded_count && i < LIMIT_NAT_EXCLUDED; i++) {
		podport__wire__nat_prefix__init(&to->prefixes[i]);
		to->prefixes[i].prefix = put_text(from->excluded[i].text);
		to->prefix_pointers[message->n_excluded++] = &to->prefixes[i];
	}
	message->excluded = to->prefix_pointers;
	for (size_t i = 0; i < from->ports_count && i < LIMIT_NAT_PORTS; i++) {
		put_ports(&to->ports[i], &from->ports[i]);
		to->ports_pointers[message->n_ports++] = &to->ports[i];
	}
	message->ports = to->ports_pointers;
	message->connections = from->connections;
	message->most = from->most;
	message->refused_full = from->refused_full;
	message->refused_ports = from->refused_ports;
}
