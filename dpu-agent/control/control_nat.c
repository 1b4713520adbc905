// SPDX-License-Identifier: BSD-3-Clause
//
// ListNat: which ports pods have mapped, whether they are published now, and what goes by them; and
// masquerade as it is in force. A port's number says what it is, so that a page begins where the last one
// ended, whatever has come and gone meanwhile.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/control_private.h"
#include "datapath/masquerade.h"

// Never 0, and no two ports have the same.
static uint32_t number_of(const struct port_mapping *mapping, bool ipv6)
{
	return 1 + ((uint32_t)ipv6 << 17 | (uint32_t)(mapping->protocol == IPPROTO_UDP) << 16 |
		    mapping->host_port);
}

static void describe(const struct control *control, const struct attachment *a,
		     const struct port_mapping *mapping, bool ipv6, struct published_row *row)
{
	*row = (struct published_row){
		.number = number_of(mapping, ipv6),
		.protocol = mapping->protocol,
		.is_ipv6 = ipv6,
		.served = publish_is_served(control, a, mapping, ipv6),
		.host_port = mapping->host_port,
		.container_port = mapping->container_port,
	};
	memcpy(row->pod, ipv6 ? (const void *)&a->ipv6 : &a->ipv4, ipv6 ? 16 : 4);
	if (row->served)
		memcpy(row->host,
		       ipv6 ? (const void *)&control->uplink.ipv6 : &control->uplink.ipv4,
		       ipv6 ? 16 : 4);
}

static int compare_rows(const void *left, const void *right)
{
	const struct published_row *a = left, *b = right;

	if (a->number != b->number)
		return a->number < b->number ? -1 : 1;
	return (int)b->served - (int)a->served; // the same said twice: the one that counts is first
}

// Those after `after`, in order, none twice. NULL: no memory.
static struct published_row *collect(const struct control *control, const char *host_id,
				     uint32_t after, size_t *ret_count)
{
	const struct pods *pods = control->pods;
	size_t room = 1, count = 0, kept = 0;

	for (size_t i = 0; i < pods->count; i++)
		room += 2 * (size_t)pods->sorted[i]->record.attachment.port_mappings.count;
	struct published_row *rows = calloc(room, sizeof(*rows));
	if (rows == NULL)
		return NULL;
	for (size_t i = 0; i < pods->count; i++) {
		const struct attachment *a = &pods->sorted[i]->record.attachment;

		if (pods->sorted[i]->record.state != STORE_ATTACHED ||
		    !host_owns(host_id, pods->sorted[i]))
			continue;
		for (uint32_t j = 0; j < 2 * a->port_mappings.count; j++) {
			const struct port_mapping *mapping = &a->port_mappings.items[j / 2];
			bool ipv6 = j % 2;

			if ((ipv6 ? a->has_ipv6 : a->has_ipv4) &&
			    mapping->host_family != (ipv6 ? 4 : 6) &&
			    number_of(mapping, ipv6) > after)
				describe(control, a, mapping, ipv6, &rows[count++]);
		}
	}
	qsort(rows, count, sizeof(*rows), compare_rows);
	for (size_t i = 0; i < count; i++)
		if (kept == 0 || rows[i].number != rows[kept - 1].number)
			rows[kept++] = rows[i];
	*ret_count = kept;
	return rows;
}

// ---- figures -------------------------------------------------------------------------------------

static void describe_configuration(const struct control *control, struct nat_summary *summary)
{
	const struct masquerade_config *config = masquerade_configuration();
	const struct uplink *uplink = &control->uplink;

	if (control->pods->has_network && control->wire_error.code == CODE_OK) {
		summary->has_ipv4 = uplink->has_ipv4;
		summary->has_ipv6 = uplink->has_ipv6;
		summary->ipv4 = uplink->ipv4;
		summary->ipv6 = uplink->ipv6;
	}
	if (config == NULL)
		return;
	summary->masquerade_ipv4 = config->ipv4;
	summary->masquerade_ipv6 = config->ipv6;
	summary->first_port = config->first_port;
	summary->last_port = config->last_port;
	summary->first_identifier = config->first_identifier;
	summary->last_identifier = config->last_identifier;
	for (uint32_t i = 0; i < config->excluded_count && i < LIMIT_NAT_EXCLUDED; i++) {
		const struct masquerade_prefix *prefix = &config->excluded[i];
		char address[INET6_ADDRSTRLEN];

		inet_ntop(prefix->is_ipv6 ? AF_INET6 : AF_INET, prefix->prefix, address,
			  sizeof(address));
		snprintf(summary->excluded[i].text, sizeof(summary->excluded[i].text), "%.39s/%u",
			 address, prefix->length);
		summary->excluded_count++;
	}
}

static void describe_figures(const struct masquerade_figures *figures, struct nat_summary *summary)
{
	static const uint8_t protocols[2][MASQUERADE_PROTOCOLS] = {
		{IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP},
		{IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMPV6},
	};

	for (unsigned int ipv6 = 0; ipv6 < 2; ipv6++) {
		for (unsigned int i = 0; i < MASQUERADE_PROTOCOLS; i++) {
			const struct masquerade_ports *ports = &figures->ports[ipv6][i];

			if (ports->size == 0)
				continue;
			summary->ports[summary->ports_count++] = (struct nat_ports){
				.protocol = protocols[ipv6][i],
				.is_ipv6 = ipv6,
				.size = ports->size,
				.used = ports->used,
				.published = ports->published,
			};
		}
	}
	summary->connections = figures->connections;
	summary->most = figures->most;
	summary->refused_full = figures->refused_full;
	summary->refused_ports = figures->refused_ports;
}

// What went by these, which are a page at most.
static int count_traffic(struct published_row *rows, size_t count,
			 struct masquerade_figures *ret_figures, struct error *err)
{
	struct masquerade_published published[LIMIT_NAT_PAGE] = {0};
	int r;

	for (size_t i = 0; i < count; i++)
		published[i] = (struct masquerade_published){
			.is_ipv6 = rows[i].is_ipv6,
			.protocol = rows[i].protocol,
			.port = rows[i].host_port,
		};
	r = masquerade_look(published, count, ret_figures, err);
	for (size_t i = 0; r == 0 && i < count; i++) {
		if (!rows[i].served)
			continue;
		rows[i].connections = published[i].connections;
		rows[i].opened = published[i].opened;
		rows[i].packets_in = published[i].packets_in;
		rows[i].bytes_in = published[i].bytes_in;
		rows[i].packets_out = published[i].packets_out;
		rows[i].bytes_out = published[i].bytes_out;
	}
	return r;
}

void list_nat_call(struct control *control, struct control_call *call)
{
	const struct list_nat_request *wanted = &call->request->body.list_nat;
	struct reply reply = {.call = CALL_LIST_NAT};
	struct nat_reply *body = &reply.body.nat;
	struct masquerade_figures figures;
	struct error err;
	size_t count;

	body->ports = collect(control, call_host(control, call), wanted->after, &count);
	if (body->ports == NULL) {
		answer_no_memory(control, call);
		return;
	}
	body->count = count < wanted->limit ? count : wanted->limit;
	body->more = body->count < count;
	if (count_traffic(body->ports, body->count, &figures, &err) < 0) {
		answer_error(control, call, &err);
		reply_clear(&reply);
		return;
	}
	describe_configuration(control, &body->summary);
	describe_figures(&figures, &body->summary);
	answer(control, call, &reply);
	reply_clear(&reply);
}
