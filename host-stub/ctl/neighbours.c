// SPDX-License-Identifier: BSD-3-Clause
//
// podportctl neighbours

#include <stdio.h>

#include "ctl/command.h"
#include "ctl/format.h"
#include "ctl/table.h"

static void print_table(const struct podport_neighbours *neighbours)
{
	static const struct table_column columns[] = {{.name = "ADDRESS"},
						      {.name = "MAC"},
						      {.name = "STATE"},
						      {.name = "PORT"},
						      {.name = "FOR", .right = true},
						      {.name = NULL}};
	struct table *table = table_new(columns);

	for (size_t i = 0; i < podport_neighbours_count(neighbours); i++) {
		const struct podport_neighbour *n = podport_neighbours_get(neighbours, i);
		struct text text;

		table_row(table);
		table_put(table, format_address(&text, n->family, n->address));
		table_put(table, n->has_mac ? format_mac(&text, n->mac) : "-");
		table_put(table, n->state);
		table_put(table, n->port);
		table_put(table, format_duration(&text, n->age_ms));
	}
	if (table_rows(table) == 0)
		printf("the agent knows no neighbour\n");
	table_print(table);
}

static void print_json(const struct podport_neighbours *neighbours)
{
	json_t *list = json_array();

	for (size_t i = 0; i < podport_neighbours_count(neighbours); i++) {
		const struct podport_neighbour *n = podport_neighbours_get(neighbours, i);
		struct text mac;

		json_array_append_new(list,
				      json_pack("{s:o, s:s?, s:s, s:s, s:I}", "address",
						command_json_address(true, n->family, n->address),
						"mac", n->has_mac ? format_mac(&mac, n->mac) : NULL,
						"state", n->state, "port", n->port, "age_ms",
						(json_int_t)n->age_ms));
	}
	command_print_json(json_pack("{s:o}", "neighbours", list));
}

static int run(struct podport_client *client, const struct options *options,
	       struct podport_error *error)
{
	struct podport_neighbours *neighbours;
	int r = podport_list_neighbours(client, &neighbours, error);

	if (r < 0)
		return r;
	if (options->json)
		print_json(neighbours);
	else
		print_table(neighbours);
	podport_neighbours_free(neighbours);
	return 0;
}

const struct command command_neighbours = {
	.name = "neighbours",
	.summary = "who is on the wire, by which MAC address, and how sure that is",
	.help = "One line for each neighbour that the agent sends packets to by itself: routers "
		"and "
		"machines\n"
		"on the wire, and the host while it is asked for. States are those of RFC 4861, "
		"also for IPv4:\n"
		"incomplete (asked for), reachable (confirmed), stale (not for a while, used all "
		"the same), delay\n"
		"and probe (being confirmed), failed (does not answer: senders are told so for "
		"some seconds). FOR\n"
		"is how long it has been in that state.\n"
		"\n"
		"--json: {\"neighbours\": [{\n"
		"  address                  string\n"
		"  mac                      string, null: not known\n"
		"  state                    string\n"
		"  port                     \"uplink\" or \"host\"\n"
		"  age_ms                   number, in this state\n"
		"}]}\n",
	.run = run,
};
