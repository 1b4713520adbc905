// SPDX-License-Identifier: BSD-3-Clause
//
// podportctl nat

#include <stdio.h>
#include <string.h>

#include "ctl/command.h"
#include "ctl/format.h"
#include "ctl/lookup.h"
#include "ctl/table.h"

// Whose port it is. NULL: it has just gone.
static const struct podport_attachment *find_pod(const struct podport_pods *pods,
						 const struct podport_published *p)
{
	for (size_t i = 0; i < podport_pods_count(pods); i++) {
		const struct podport_attachment *pod = podport_pods_get(pods, i);

		if (p->family == AF_INET ? pod->has_ipv4 && memcmp(&pod->ipv4, p->pod, 4) == 0
					 : pod->has_ipv6 && memcmp(&pod->ipv6, p->pod, 16) == 0)
			return pod;
	}
	return NULL;
}

static bool is_wanted(const struct podport_published *p, const struct podport_pods *pods,
		      const char *name)
{
	const struct podport_attachment *pod = name != NULL ? find_pod(pods, p) : NULL;

	return name == NULL || (pod != NULL && lookup_is(pod, name));
}

// "203.0.113.10:8080", "[2001:db8::10]:8080"; "none:8080" if the agent has no such address.
static const char *format_end(struct text *text, const struct podport_published *p, bool host)
{
	uint16_t port = host ? p->host_port : p->container_port;
	struct text alone;

	if (host && !p->served) {
		snprintf(text->text, sizeof(text->text), "none:%u", port);
		return text->text;
	}
	format_address(&alone, p->family, host ? p->host : p->pod);
	snprintf(text->text, sizeof(text->text), p->family == AF_INET6 ? "[%s]:%u" : "%s:%u",
		 alone.text, port);
	return text->text;
}

static void put_published(struct table *table, const struct podport_published *p,
			  const struct podport_pods *pods)
{
	const struct podport_attachment *pod = find_pod(pods, p);
	struct text text;

	table_row(table);
	table_put(table, pod != NULL ? format_pod(&text, pod) : "-");
	table_put(table, p->protocol);
	table_put(table, format_end(&text, p, true));
	table_put(table, format_end(&text, p, false));
	table_put(table, format_count(&text, p->connections));
	table_put(table, format_count(&text, p->opened));
	table_put(table, format_bytes(&text, p->bytes_in));
	table_put(table, format_bytes(&text, p->bytes_out));
}

// ---- masquerade ----------------------------------------------------------------------------------

static void print_masquerade(const struct podport_nat_summary *s)
{
	struct text text;

	if (!s->has_ipv4 && !s->has_ipv6) {
		printf("the agent has no address on the wire: pods and the world do not reach each "
		       "other\n");
	} else if (!s->masquerade_ipv4 && !s->masquerade_ipv6) {
		printf("pods are not masqueraded: the world sees their own addresses\n");
	} else {
		printf("pods are masqueraded as");
		if (s->masquerade_ipv4)
			printf(" %s", s->has_ipv4 ? format_address(&text, AF_INET, &s->ipv4)
						  : "nobody (no IPv4 address)");
		if (s->masquerade_ipv6)
			printf("%s %s", s->masquerade_ipv4 ? "," : "",
			       s->has_ipv6 ? format_address(&text, AF_INET6, &s->ipv6)
					   : "nobody (no IPv6 address)");
		for (size_t i = 0; i < s->excluded_count; i++)
			printf("%s%s", i == 0 ? ", but not towards " : ", ", s->excluded[i]);
		printf("; ports %u-%u, identifiers of pings %u-%u\n", s->first_port, s->last_port,
		       s->first_identifier, s->last_identifier);
	}
	for (size_t i = 0; i < s->ports_count; i++) {
		const struct podport_nat_ports *p = &s->ports[i];

		printf("  %-6s IPv%d: %u of %u ports used, %u available\n", p->protocol,
		       p->family == AF_INET ? 4 : 6, p->used, p->size,
		       p->size - p->used - p->published);
	}
	if (s->most > 0)
		printf("%u of %u connections; refused: %llu for want of room, %llu of a port\n",
		       s->connections, s->most, (unsigned long long)s->refused_full,
		       (unsigned long long)s->refused_ports);
}

static void print_table(const struct podport_nat *nat, const struct podport_pods *pods,
			const char *name)
{
	static const struct table_column columns[] = {{.name = "POD"},
						      {.name = "PROTOCOL"},
						      {.name = "HOST"},
						      {.name = "CONTAINER"},
						      {.name = "CONNECTIONS", .right = true},
						      {.name = "SO-FAR", .right = true},
						      {.name = "IN", .right = true},
						      {.name = "OUT", .right = true},
						      {.name = NULL}};
	struct table *table = table_new(columns);

	for (size_t i = 0; i < podport_nat_count(nat); i++)
		if (is_wanted(podport_nat_get(nat, i), pods, name))
			put_published(table, podport_nat_get(nat, i), pods);
	if (table_rows(table) == 0)
		printf("no port is published\n");
	table_print(table);
	print_masquerade(podport_nat_summary(nat));
}

// ---- for programs --------------------------------------------------------------------------------

static json_t *end_json(bool present, int family, const uint8_t *address, uint16_t port)
{
	return json_pack("{s:o, s:i}", "address", command_json_address(present, family, address),
			 "port", (int)port);
}

static json_t *published_json(const struct podport_published *p, const struct podport_pods *pods)
{
	const struct podport_attachment *pod = find_pod(pods, p);
	struct text name;

	return json_pack("{s:s?, s:s, s:i, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I}", "pod",
			 pod != NULL ? format_pod(&name, pod) : NULL, "protocol", p->protocol,
			 "family", p->family == AF_INET ? 4 : 6, "host",
			 end_json(p->served, p->family, p->host, p->host_port), "container",
			 end_json(true, p->family, p->pod, p->container_port), "connections",
			 (json_int_t)p->connections, "opened", (json_int_t)p->opened, "packets_in",
			 (json_int_t)p->packets_in, "bytes_in", (json_int_t)p->bytes_in,
			 "packets_out", (json_int_t)p->packets_out, "bytes_out",
			 (json_int_t)p->bytes_out);
}

static json_t *masquerade_json(const struct podport_nat_summary *s)
{
	json_t *excluded = json_array(), *ports = json_array();

	for (size_t i = 0; i < s->excluded_count; i++)
		json_array_append_new(excluded, json_string(s->excluded[i]));
	for (size_t i = 0; i < s->ports_count; i++) {
		const struct podport_nat_ports *p = &s->ports[i];

		json_array_append_new(
			ports, json_pack("{s:s, s:i, s:I, s:I, s:I, s:I}", "protocol", p->protocol,
					 "family", p->family == AF_INET ? 4 : 6, "size",
					 (json_int_t)p->size, "used", (json_int_t)p->used,
					 "published", (json_int_t)p->published, "available",
					 (json_int_t)(p->size - p->used - p->published)));
	}
	return json_pack("{s:o, s:o, s:b, s:b, s:o, s:i, s:i, s:i, s:i, s:o, s:I, s:I, s:I, s:I}",
			 "address_ipv4", command_json_address(s->has_ipv4, AF_INET, &s->ipv4),
			 "address_ipv6", command_json_address(s->has_ipv6, AF_INET6, &s->ipv6),
			 "ipv4", (int)s->masquerade_ipv4, "ipv6", (int)s->masquerade_ipv6,
			 "exclude", excluded, "first_port", (int)s->first_port, "last_port",
			 (int)s->last_port, "first_identifier", (int)s->first_identifier,
			 "last_identifier", (int)s->last_identifier, "ports", ports, "connections",
			 (json_int_t)s->connections, "most", (json_int_t)s->most, "refused_full",
			 (json_int_t)s->refused_full, "refused_ports",
			 (json_int_t)s->refused_ports);
}

static void print_json(const struct podport_nat *nat, const struct podport_pods *pods,
		       const char *name)
{
	json_t *list = json_array();

	for (size_t i = 0; i < podport_nat_count(nat); i++)
		if (is_wanted(podport_nat_get(nat, i), pods, name))
			json_array_append_new(list, published_json(podport_nat_get(nat, i), pods));
	command_print_json(json_pack("{s:o, s:o}", "published", list, "masquerade",
				     masquerade_json(podport_nat_summary(nat))));
}

static int run(struct podport_client *client, const struct options *options,
	       struct podport_error *error)
{
	struct podport_pods *pods;
	struct podport_nat *nat;
	int r = podport_list_nat(client, &nat, error);

	if (r < 0)
		return r;
	r = podport_list_pods(client, &pods, error);
	if (r < 0) {
		podport_nat_free(nat);
		return r;
	}
	r = lookup_check(pods, options->pod, error);
	if (r == 0 && options->json)
		print_json(nat, pods, options->pod);
	else if (r == 0)
		print_table(nat, pods, options->pod);
	podport_nat_free(nat);
	podport_pods_free(pods);
	return r;
}

const struct command command_nat = {
	.name = "nat",
	.summary = "ports that are published, of all or of one; and masquerade as it is in force",
	.help = "One line for each port of the agent's address on the wire that leads to a pod. "
		"HOST is "
		"'none' as long as\n"
		"the agent has no address that the mapping is for. CONNECTIONS are those of the "
		"moment, SO-FAR all since\n"
		"the port was published; IN and OUT are bytes to and from the pod.\n"
		"\n"
		"Then who pods are masqueraded as, and towards whom not; and for each family and "
		"protocol how many ports\n"
		"of that address are in use for it, and still available. Published ports are given "
		"to nobody. At the end\n"
		"the table of connections, which both share.\n"
		"\n"
		"--json: {\"published\": [{\n"
		"  pod                      string, null: it has just gone\n"
		"  protocol, family         \"tcp\" or \"udp\"; 4 or 6\n"
		"  host, container          {address, port}; the host's address is null: the agent "
		"has none for it\n"
		"  connections, opened      numbers: at present, and since it was published\n"
		"  packets_in, bytes_in, packets_out, bytes_out   numbers: to the pod, from it\n"
		"}], \"masquerade\": {\n"
		"  address_ipv4, address_ipv6   strings, null: none\n"
		"  ipv4, ipv6               true, false: is it masqueraded\n"
		"  exclude                  strings: prefixes\n"
		"  first_port, last_port    numbers\n"
		"  first_identifier, last_identifier   numbers: the same of pings\n"
		"  ports                    [{protocol, family, size, used, published, "
		"available}]\n"
		"  connections, most, refused_full, refused_ports   numbers\n"
		"}}\n",
	.has_pod = true,
	.run = run,
};
