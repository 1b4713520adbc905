// SPDX-License-Identifier: BSD-3-Clause
//
// podportctl bandwidth

#include <stdio.h>

#include "ctl/command.h"
#include "ctl/format.h"
#include "ctl/lookup.h"
#include "ctl/table.h"

struct row {
	const struct podport_port *port;
	const char *direction;
	const struct podport_meter *meter; // NULL: unlimited
};

static struct row ingress_of(const struct podport_port *port)
{
	return (struct row){port, "ingress", port->ingress};
}

static struct row egress_of(const struct podport_port *port)
{
	return (struct row){port, "egress", port->egress};
}

// "20 Mbit/s", "1.5 Gbit/s"
static const char *format_rate(struct text *text, uint64_t bits_per_s)
{
	static const char *const units[] = {"bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"};
	double number = (double)bits_per_s;
	size_t unit = 0;

	while (number >= 1000 && unit < 4) {
		number /= 1000;
		unit++;
	}
	snprintf(text->text, sizeof(text->text), "%.4g %s", number, units[unit]);
	return text->text;
}

static void print_row(struct table *table, const struct row *row, const struct podport_pods *pods)
{
	const struct podport_meter *meter = row->meter;
	struct text text;

	if (meter == NULL)
		return;
	table_row(table);
	table_put(table, lookup_name(pods, &row->port->key, &text));
	table_put(table, row->direction);
	table_put(table, format_rate(&text, meter->rate_bps));
	table_put(table, format_bytes(&text, meter->burst_bits / 8));
	table_put(table, meter->by_nic ? "nic" : "agent");
	table_put(table, format_count(&text, meter->passed_packets));
	table_put(table, format_bytes(&text, meter->passed_bytes));
	table_put(table, format_count(&text, meter->dropped_packets));
	table_put(table, format_bytes(&text, meter->dropped_bytes));
}

static bool is_wanted(const struct podport_port *port, const struct podport_pods *pods,
		      const char *name)
{
	return port->has_key && (port->ingress != NULL || port->egress != NULL) &&
	       lookup_wants(pods, &port->key, name);
}

static void print_table(const struct podport_ports *ports, const struct podport_pods *pods,
			const char *name)
{
	static const struct table_column columns[] = {{.name = "POD"},
						      {.name = "DIRECTION"},
						      {.name = "RATE", .right = true},
						      {.name = "BURST", .right = true},
						      {.name = "BY"},
						      {.name = "PASSED", .right = true},
						      {.name = "BYTES", .right = true},
						      {.name = "DROPPED", .right = true},
						      {.name = "BYTES", .right = true},
						      {.name = NULL}};
	struct table *table = NULL;

	for (size_t i = 0; i < podport_ports_count(ports); i++) {
		const struct podport_port *port = podport_ports_get(ports, i);
		const struct row rows[] = {ingress_of(port), egress_of(port)};

		if (!is_wanted(port, pods, name))
			continue;
		if (table == NULL)
			table = table_new(columns);
		print_row(table, &rows[0], pods);
		print_row(table, &rows[1], pods);
	}
	if (table == NULL && name != NULL)
		printf("'%s' has no limit\n", name);
	else if (table == NULL)
		printf("no pod has a limit\n");
	else
		table_print(table);
}

static json_t *meter_json(const struct podport_meter *meter)
{
	if (meter == NULL)
		return json_null();
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "rate_bps",
			 (json_int_t)meter->rate_bps, "burst_bits", (json_int_t)meter->burst_bits,
			 "passed_packets", (json_int_t)meter->passed_packets, "passed_bytes",
			 (json_int_t)meter->passed_bytes, "dropped_packets",
			 (json_int_t)meter->dropped_packets, "dropped_bytes",
			 (json_int_t)meter->dropped_bytes, "by", meter->by_nic ? "nic" : "agent");
}

static void print_json(const struct podport_ports *ports, const struct podport_pods *pods,
		       const char *name)
{
	json_t *list = json_array();

	for (size_t i = 0; i < podport_ports_count(ports); i++) {
		const struct podport_port *port = podport_ports_get(ports, i);

		if (is_wanted(port, pods, name))
			json_array_append_new(
				list,
				json_pack("{s:s, s:s, s:s, s:o, s:o}", "network", port->key.network,
					  "container_id", port->key.container_id, "ifname",
					  port->key.ifname, "ingress", meter_json(port->ingress),
					  "egress", meter_json(port->egress)));
	}
	command_print_json(json_pack("{s:o}", "bandwidth", list));
}

static int run(struct podport_client *client, const struct options *options,
	       struct podport_error *error)
{
	struct podport_ports *ports;
	struct podport_pods *pods = NULL;
	int r = podport_list_ports(client, &ports, error);

	if (r < 0)
		return r;
	r = podport_list_pods(client, &pods, error);
	if (r == 0)
		r = lookup_check(pods, options->pod, error);
	if (r == 0 && options->json)
		print_json(ports, pods, options->pod);
	else if (r == 0)
		print_table(ports, pods, options->pod);
	podport_pods_free(pods);
	podport_ports_free(ports);
	return r < 0 ? r : EXIT_DONE;
}

const struct command command_bandwidth = {
	.name = "bandwidth",
	.summary = "pods whose bandwidth is limited, what passed and what was dropped; or one",
	.help = "A line for each direction that is limited: ingress is to the pod, egress by the "
		"pod. Bytes are\n"
		"those of Ethernet frames, as many as on a wire. BY: the NIC's meters, or the "
		"agent's where the NIC\n"
		"does not forward for the pod; either way the limit is that of both together.\n"
		"\n"
		"--json: {\"bandwidth\": [{\n"
		"  network, container_id, ifname    strings, together the key\n"
		"  ingress, egress          null: unlimited; or {\n"
		"    rate_bps, burst_bits   numbers, as they are kept: a burst that was not asked "
		"for is chosen\n"
		"    passed_packets, passed_bytes, dropped_packets, dropped_bytes    numbers\n"
		"    by                     \"nic\" or \"agent\"\n"
		"  }\n"
		"}]}\n",
	.has_pod = true,
	.run = run,
};
