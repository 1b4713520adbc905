// SPDX-License-Identifier: BSD-3-Clause
//
// podportctl connections

#include <stdio.h>
#include <string.h>

#include "ctl/command.h"
#include "ctl/format.h"
#include "ctl/lookup.h"
#include "ctl/table.h"

static bool is_address(int family, const struct podport_attachment *pod, const void *ipv4,
		       const void *ipv6, const void *address)
{
	return family == AF_INET ? pod->has_ipv4 && memcmp(ipv4, address, 4) == 0
				 : pod->has_ipv6 && memcmp(ipv6, address, 16) == 0;
}

// Whose address it is. NULL: no pod's, or nobody's any more.
static const struct podport_attachment *find_pod(const struct podport_pods *pods, int family,
						 const void *address)
{
	for (size_t i = 0; i < podport_pods_count(pods); i++) {
		const struct podport_attachment *pod = podport_pods_get(pods, i);

		if (is_address(family, pod, &pod->ipv4, &pod->ipv6, address))
			return pod;
	}
	return NULL;
}

// The gateway's address is the host's.
static bool is_host(const struct podport_pods *pods, const struct podport_connection *c)
{
	for (size_t i = 0; i < podport_pods_count(pods); i++) {
		const struct podport_attachment *pod = podport_pods_get(pods, i);

		if (is_address(c->family, pod, &pod->gateway_ipv4, &pod->gateway_ipv6, c->pod))
			return true;
	}
	return false;
}

// A connection within the node is also that of the pod which is called: its peer has the pod's address.
static bool is_wanted(const struct podport_connection *c, const struct podport_pods *pods,
		      const char *name)
{
	const struct podport_attachment *pod, *called;

	if (name == NULL)
		return true;
	pod = find_pod(pods, c->family, c->pod);
	called = find_pod(pods, c->family, c->peer);
	return (pod != NULL && lookup_is(pod, name)) || (called != NULL && lookup_is(called, name));
}

// "10.88.0.2:4000", "[fd00::2]:4000"; without the port if it is 0.
static const char *format_end(struct text *text, int family, const void *address, uint16_t port)
{
	struct text alone;
	const char *form = family == AF_INET6 ? "[%s]:%u" : "%s:%u";

	format_address(&alone, family, address);
	snprintf(text->text, sizeof(text->text), port != 0 ? form : "%s", alone.text, port);
	return text->text;
}

static void put_connection(struct table *table, const struct podport_connection *c,
			   const char *kind, bool offloaded, const struct podport_pods *pods)
{
	const struct podport_attachment *pod = find_pod(pods, c->family, c->pod);
	struct text text;

	table_row(table);
	table_put(table, pod != NULL ? format_pod(&text, pod) : is_host(pods, c) ? "(host)" : "-");
	table_put(table, c->protocol);
	table_put(table, kind);
	table_put(table, format_end(&text, c->family, c->pod, c->pod_port));
	table_put(table, format_end(&text, c->family, c->external, c->external_port));
	table_put(table, format_end(&text, c->family, c->peer, c->peer_port));
	table_put(table, c->state[0] != '\0' ? c->state : c->answered ? "answered" : "unanswered");
	table_put(table, offloaded ? "yes" : "no");
	table_put(table, format_bytes(&text, c->bytes_sent));
	table_put(table, format_bytes(&text, c->bytes_received));
	table_put(table, format_duration(&text, c->expires_s * 1000ull));
}

static void print_offload(const struct podport_connections_offload *offload)
{
	if (offload->why_not[0] != '\0')
		printf("the e-switch carries none: %s\n", offload->why_not);
	else
		printf("%u of at most %u in the e-switch; refused: %llu for want of room, %llu by "
		       "the "
		       "NIC\n",
		       offload->carried, offload->most, (unsigned long long)offload->refused_full,
		       (unsigned long long)offload->refused_nic);
}

static void print_table(const struct podport_connections *connections,
			const struct podport_pods *pods, const char *name)
{
	static const struct table_column columns[] = {{.name = "POD"},
						      {.name = "PROTOCOL"},
						      {.name = "KIND"},
						      {.name = "ENDPOINT"},
						      {.name = "SEEN-AS"},
						      {.name = "PEER"},
						      {.name = "STATE"},
						      {.name = "OFFLOAD"},
						      {.name = "SENT", .right = true},
						      {.name = "RECEIVED", .right = true},
						      {.name = "EXPIRES", .right = true},
						      {.name = NULL}};
	const struct podport_connections_summary *summary =
		podport_connections_summary(connections);
	struct table *table = table_new(columns);

	if (summary->most == 0) {
		printf("nothing is masqueraded, and nothing published\n");
		table_print(table);
		return;
	}
	for (size_t i = 0; i < podport_connections_count(connections); i++)
		if (is_wanted(podport_connections_get(connections, i), pods, name))
			put_connection(table, podport_connections_get(connections, i),
				       podport_connections_kind(connections, i),
				       podport_connections_offloaded(connections, i), pods);
	table_print(table);
	printf("%u of %u connections; refused: %llu for want of room, %llu of a port\n",
	       summary->total, summary->most, (unsigned long long)summary->refused_full,
	       (unsigned long long)summary->refused_ports);
	print_offload(podport_connections_offload(connections));
}

static json_t *end_json(int family, const uint8_t *address, uint16_t port)
{
	return json_pack("{s:o, s:i}", "address", command_json_address(true, family, address),
			 "port", (int)port);
}

static json_t *connection_json(const struct podport_connection *c, const char *kind, bool offloaded,
			       const struct podport_pods *pods)
{
	const struct podport_attachment *pod = find_pod(pods, c->family, c->pod);
	struct text name;

	return json_pack(
		"{s:s?, s:s, s:s, s:o, s:o, s:o, s:s, s:b, s:b, s:I, s:I, s:I, s:I, s:I}", "pod",
		pod != NULL ? format_pod(&name, pod) : NULL, "protocol", c->protocol, "kind", kind,
		"from", end_json(c->family, c->pod, c->pod_port), "seen_as",
		end_json(c->family, c->external, c->external_port), "to",
		end_json(c->family, c->peer, c->peer_port), "state", c->state, "answered",
		(int)c->answered, "offloaded", (int)offloaded, "expires_s",
		(json_int_t)c->expires_s, "packets_sent", (json_int_t)c->packets_sent, "bytes_sent",
		(json_int_t)c->bytes_sent, "packets_received", (json_int_t)c->packets_received,
		"bytes_received", (json_int_t)c->bytes_received);
}

static void print_json(const struct podport_connections *connections,
		       const struct podport_pods *pods, const char *name)
{
	const struct podport_connections_summary *summary =
		podport_connections_summary(connections);
	const struct podport_connections_offload *offload =
		podport_connections_offload(connections);
	json_t *list = json_array();

	for (size_t i = 0; i < podport_connections_count(connections); i++) {
		const struct podport_connection *c = podport_connections_get(connections, i);

		if (is_wanted(c, pods, name))
			json_array_append_new(
				list, connection_json(c, podport_connections_kind(connections, i),
						      podport_connections_offloaded(connections, i),
						      pods));
	}
	command_print_json(json_pack(
		"{s:o, s:I, s:I, s:I, s:I, s:{s:I, s:I, s:I, s:I, s:s}}", "connections", list,
		"total", (json_int_t)summary->total, "most", (json_int_t)summary->most,
		"refused_full", (json_int_t)summary->refused_full, "refused_ports",
		(json_int_t)summary->refused_ports, "offload", "carried",
		(json_int_t)offload->carried, "most", (json_int_t)offload->most, "refused_full",
		(json_int_t)offload->refused_full, "refused_nic", (json_int_t)offload->refused_nic,
		"why_not", offload->why_not));
}

static int run(struct podport_client *client, const struct options *options,
	       struct podport_error *error)
{
	struct podport_connections *connections;
	struct podport_pods *pods;
	int r = podport_list_connections(client, &connections, error);

	if (r < 0)
		return r;
	r = podport_list_pods(client, &pods, error);
	if (r < 0) {
		podport_connections_free(connections);
		return r;
	}
	r = lookup_check(pods, options->pod, error);
	if (r == 0 && options->json)
		print_json(connections, pods, options->pod);
	else if (r == 0)
		print_table(connections, pods, options->pod);
	podport_connections_free(connections);
	podport_pods_free(pods);
	return r;
}

const struct command command_connections = {
	.name = "connections",
	.summary = "what is translated: who speaks with whom, and seen as what; of all or of one",
	.help = "One line for each connection that is translated. Masqueraded: from a pod to the "
		"wire, seen with the\n"
		"uplink's address. Published: from the wire to a pod, by a published port, which "
		"is "
		"what SEEN-AS shows.\n"
		"Within: from a pod or the host to a published port; PEER is the endpoint behind "
		"it, whose pod's\n"
		"connections it is among as well. ENDPOINT is the pod's, SEEN-AS what the peer "
		"sees. States of TCP are those of the Linux kernel; "
		"UDP "
		"and "
		"pings are\n"
		"answered or not. EXPIRES is when the connection is forgotten if nothing more is "
		"sent. At the end:\n"
		"how full the table is, and how many new connections were refused ('podportctl "
		"ports "
		"--drops' says\n"
		"whose: nat-table-full, nat-no-port). OFFLOAD: the NIC's e-switch carries it; what "
		"it "
		"counts is\n"
		"told with a lag of some seconds. The last line says how many, and how many it was "
		"refused.\n"
		"\n"
		"--json: {\"connections\": [{\n"
		"  pod                      string, null: the host, or it has just gone\n"
		"  protocol                 \"tcp\", \"udp\", \"icmp\" or \"icmpv6\"\n"
		"  kind                     \"masqueraded\", \"published\" or \"within\"\n"
		"  from, seen_as, to        {address, port}: the pod's end, and the peer's; of a "
		"ping the port is its identifier, "
		"in to 0\n"
		"  state                    string, \"\" if the protocol has none\n"
		"  answered                 true, false\n"
		"  offloaded                true, false\n"
		"  expires_s                number\n"
		"  packets_sent, bytes_sent, packets_received, bytes_received   numbers, by the "
		"pod\n"
		"}], total, most, refused_full, refused_ports: numbers; most is 0: nothing is "
		"masqueraded,\n"
		"  offload: {carried, most, refused_full, refused_nic: numbers,\n"
		"            why_not: string, \"\" if it can}}\n",
	.has_pod = true,
	.run = run,
};
