// SPDX-License-Identifier: BSD-3-Clause
//
// podportctl ports

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/command.h"
#include "ctl/format.h"
#include "ctl/lookup.h"
#include "ctl/table.h"
#include "proto/base/drop_reason.h"

static const char *pod_of(const struct podport_port *port, const struct podport_pods *pods,
			  struct text *text)
{
	return port->has_key ? lookup_name(pods, &port->key, text) : "-";
}

static bool is_function(const struct podport_port *port)
{
	return strcmp(port->kind, "function") == 0;
}

// Others have no part in the e-switch.
static bool is_of_nic(const struct podport_port *port)
{
	return is_function(port) || strcmp(port->kind, "host") == 0 ||
	       strcmp(port->kind, "uplink") == 0;
}

static uint64_t drops_of(const struct podport_port *port)
{
	uint64_t packets = 0;

	for (size_t i = 0; i < port->drop_count; i++)
		packets += port->drops[i].packets;
	return packets;
}

// What part of its packets did not need the agent.
static const char *share_of(const struct podport_port *port, struct text *text)
{
	if (!is_of_nic(port))
		return "-";
	return format_share(text, port->offloaded_rx_packets + port->offloaded_tx_packets,
			    port->rx_packets + port->tx_packets);
}

// Ports of functions that no pod has are many, and tell nothing.
static bool is_left_out(const struct podport_port *port, const struct options *options)
{
	return !options->watch.all && is_function(port) && !port->has_key;
}

static bool is_wanted(const struct podport_port *port, const struct podport_pods *pods,
		      const struct options *options)
{
	return lookup_wants(pods, port->has_key ? &port->key : NULL, options->pod);
}

// ---- tables --------------------------------------------------------------------------------------

static void put_port(struct table *table, const struct podport_port *port,
		     const struct podport_pods *pods)
{
	struct text text;

	table_row(table);
	snprintf(text.text, sizeof(text.text), "%u", port->slot);
	table_put(table, text.text);
	table_put(table, port->kind);
	table_put(table, port->name);
	table_put(table, is_function(port) ? format_function(&text, port->pf, port->vf) : "-");
	table_put(table, pod_of(port, pods, &text));
	table_put(table, port->link_up ? "up" : "down");
	snprintf(text.text, sizeof(text.text), "%u", port->mtu);
	table_put(table, text.text);
	table_put(table, format_count(&text, port->rx_packets));
	table_put(table, format_bytes(&text, port->rx_bytes));
	table_put(table, format_count(&text, port->tx_packets));
	table_put(table, format_bytes(&text, port->tx_bytes));
	table_put(table, share_of(port, &text));
	table_put(table, format_count(&text, drops_of(port)));
}

static void print_table(const struct podport_ports *ports, const struct podport_pods *pods,
			const struct options *options)
{
	static const struct table_column columns[] = {{.name = "SLOT", .right = true},
						      {.name = "KIND"},
						      {.name = "NAME"},
						      {.name = "FUNCTION"},
						      {.name = "POD"},
						      {.name = "LINK"},
						      {.name = "MTU", .right = true},
						      {.name = "RX-PKTS", .right = true},
						      {.name = "RX-BYTES", .right = true},
						      {.name = "TX-PKTS", .right = true},
						      {.name = "TX-BYTES", .right = true},
						      {.name = "OFFLOADED", .right = true},
						      {.name = "DROPS", .right = true},
						      {.name = NULL}};
	struct table *table = table_new(columns);
	size_t left_out = 0;

	for (size_t i = 0; i < podport_ports_count(ports); i++) {
		const struct podport_port *port = podport_ports_get(ports, i);

		if (!is_wanted(port, pods, options))
			continue;
		if (is_left_out(port, options))
			left_out++;
		else
			put_port(table, port, pods);
	}
	table_print(table);
	if (left_out > 0)
		printf("and %zu of functions that no pod has: --all\n", left_out);
}

static void print_drops(const struct podport_ports *ports, const struct podport_pods *pods,
			const struct options *options)
{
	static const struct table_column columns[] = {{.name = "SLOT", .right = true},
						      {.name = "NAME"},
						      {.name = "POD"},
						      {.name = "REASON"},
						      {.name = "PACKETS", .right = true},
						      {.name = "MEANING"},
						      {.name = NULL}};
	struct table *table = table_new(columns);
	struct text text;

	for (size_t i = 0; i < podport_ports_count(ports); i++) {
		const struct podport_port *port = podport_ports_get(ports, i);

		for (size_t j = 0; is_wanted(port, pods, options) && j < port->drop_count; j++) {
			table_row(table);
			snprintf(text.text, sizeof(text.text), "%u", port->slot);
			table_put(table, text.text);
			table_put(table, port->name);
			table_put(table, pod_of(port, pods, &text));
			table_put(table, port->drops[j].reason);
			snprintf(text.text, sizeof(text.text), "%llu",
				 (unsigned long long)port->drops[j].packets);
			table_put(table, text.text);
			table_put(table, drop_reason_text(port->drops[j].reason));
		}
	}
	if (table_rows(table) == 0)
		printf("no packet was dropped\n");
	table_print(table);
}

// ---- JSON ----------------------------------------------------------------------------------------

static json_t *port_json(const struct podport_port *port, const struct podport_pods *pods)
{
	struct text mac, pod;
	json_t *drops = json_object();
	json_t *attachment = json_null();

	for (size_t i = 0; i < port->drop_count; i++)
		json_object_set_new(drops, port->drops[i].reason,
				    json_integer((json_int_t)port->drops[i].packets));
	if (port->has_key)
		attachment = json_pack("{s:s, s:s, s:s, s:s}", "network", port->key.network,
				       "container_id", port->key.container_id, "ifname",
				       port->key.ifname, "pod", pod_of(port, pods, &pod));
	return json_pack(
		"{s:I, s:s, s:s, s:o, s:o, s:b, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
		"s:I, s:I, s:o, s:I, s:I}",
		"slot", (json_int_t)port->slot, "kind", port->kind, "name", port->name, "function",
		is_function(port) ? command_json_function(port->pf, port->vf) : json_null(),
		"attachment", attachment, "link_up", (int)port->link_up, "mtu",
		(json_int_t)port->mtu, "mac", format_mac(&mac, port->mac), "rx_packets",
		(json_int_t)port->rx_packets, "rx_bytes", (json_int_t)port->rx_bytes, "tx_packets",
		(json_int_t)port->tx_packets, "tx_bytes", (json_int_t)port->tx_bytes,
		"offloaded_rx_packets", (json_int_t)port->offloaded_rx_packets,
		"offloaded_rx_bytes", (json_int_t)port->offloaded_rx_bytes, "offloaded_tx_packets",
		(json_int_t)port->offloaded_tx_packets, "offloaded_tx_bytes",
		(json_int_t)port->offloaded_tx_bytes, "dropped_packets", (json_int_t)drops_of(port),
		"drops", drops, "tx_full_packets", (json_int_t)port->tx_full_packets, "queue_pairs",
		(json_int_t)port->queue_pairs);
}

static void print_json(const struct podport_ports *ports, const struct podport_pods *pods,
		       const struct options *options)
{
	json_t *list = json_array();

	for (size_t i = 0; i < podport_ports_count(ports); i++)
		if (is_wanted(podport_ports_get(ports, i), pods, options))
			json_array_append_new(list, port_json(podport_ports_get(ports, i), pods));
	command_print_json(json_pack("{s:o}", "ports", list));
}

// ---- the command ---------------------------------------------------------------------------------

static int run(struct podport_client *client, const struct options *options,
	       struct podport_error *error)
{
	struct podport_ports *ports;
	struct podport_pods *pods;
	int r = podport_list_ports(client, &ports, error);

	if (r < 0)
		return r;
	r = podport_list_pods(client, &pods, error);
	if (r < 0) {
		podport_ports_free(ports);
		return r;
	}
	r = lookup_check(pods, options->pod, error);
	if (r == 0 && options->json)
		print_json(ports, pods, options);
	else if (r == 0 && podport_ports_count(ports) == 0)
		printf("the agent has no ports\n");
	else if (r == 0 && options->drops)
		print_drops(ports, pods, options);
	else if (r == 0)
		print_table(ports, pods, options);
	podport_ports_free(ports);
	podport_pods_free(pods);
	return r;
}

const struct command command_ports = {
	.name = "ports",
	.summary = "the agent's ports: whom they serve, packets, drops; of all or of one",
	.help = "One line for each port of the agent, but for those of functions that no pod has "
		"(--all). RX\n"
		"is what came from the function (what the pod sent), TX what went to it, by the "
		"e-switch and by the agent together; OFFLOADED "
		"is the share\n"
		"of these packets that the e-switch forwarded by itself. DROPS counts packets that "
		"came in on this port and "
		"were\n"
		"dropped in the software path; --drops lists them by reason. --json has all "
		"ports.\n"
		"\n"
		"--json: {\"ports\": [{\n"
		"  slot                     number, the port's place in the agent\n"
		"  kind                     \"host\", \"function\", \"uplink\", \"vhost-user\" or "
		"\"virtio-user\"\n"
		"  name                     string, of the DPDK device\n"
		"  function                 {pf, vf}; null if kind is not \"function\"\n"
		"  attachment               {network, container_id, ifname, pod}; null: serves "
		"none\n"
		"  link_up                  true, false\n"
		"  mtu, mac                 number, string\n"
		"  rx_packets, rx_bytes, tx_packets, tx_bytes    numbers, by either path; of "
		"these:\n"
		"  offloaded_rx_packets, offloaded_rx_bytes,\n"
		"  offloaded_tx_packets, offloaded_tx_bytes      numbers, by the e-switch alone\n"
		"  dropped_packets          number, the sum of:\n"
		"  drops                    {reason: packets}, only reasons that occurred\n"
		"  tx_full_packets          number, that were to go to it and found no room: among "
		"the drops of\n"
		"                           those who sent them\n"
		"  queue_pairs              number, of a vhost-user or virtio-user port that are "
		"in "
		"use\n"
		"}]}\n",
	.has_drops = true,
	.has_pod = true,
	.run = run,
};
