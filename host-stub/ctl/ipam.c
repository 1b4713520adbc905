// SPDX-License-Identifier: BSD-3-Clause
//
// podportctl ipam

#include <stdio.h>

#include "ctl/command.h"
#include "ctl/format.h"
#include "ctl/table.h"

static void put_number(struct table *table, uint32_t number)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", number);
	table_put(table, text);
}

static void put_pool(struct table *table, const struct podport_pool *pool)
{
	struct text text;

	table_row(table);
	table_put(table, pool->family == AF_INET ? "IPv4" : "IPv6");
	table_put(table, format_prefix(&text, pool->family, pool->network, pool->prefix_length));
	table_put(table, format_address(&text, pool->family, pool->gateway));
	put_number(table, pool->total);
	put_number(table, pool->allocated);
	put_number(table, pool->never_used);
	put_number(table, pool->released);
	table_put(table,
		  pool->has_next ? format_address(&text, pool->family, pool->next) : "none left");
}

static void print_table(const struct podport_ipam *ipam)
{
	static const struct table_column columns[] = {{.name = "FAMILY"},
						      {.name = "PREFIX"},
						      {.name = "GATEWAY"},
						      {.name = "TOTAL", .right = true},
						      {.name = "ALLOCATED", .right = true},
						      {.name = "NEVER-USED", .right = true},
						      {.name = "RELEASED", .right = true},
						      {.name = "NEXT"},
						      {.name = NULL}};
	struct table *table = table_new(columns);

	if (ipam->ipv4 != NULL)
		put_pool(table, ipam->ipv4);
	if (ipam->ipv6 != NULL)
		put_pool(table, ipam->ipv6);
	if (table_rows(table) == 0)
		printf("the agent knows no pod network yet\n");
	table_print(table);
}

static json_t *pool_json(const struct podport_pool *pool)
{
	struct text prefix;

	if (pool == NULL)
		return json_null();
	return json_pack("{s:s, s:o, s:I, s:I, s:I, s:I, s:o}", "prefix",
			 format_prefix(&prefix, pool->family, pool->network, pool->prefix_length),
			 "gateway", command_json_address(true, pool->family, pool->gateway),
			 "total", (json_int_t)pool->total, "allocated", (json_int_t)pool->allocated,
			 "never_used", (json_int_t)pool->never_used, "released",
			 (json_int_t)pool->released, "next",
			 command_json_address(pool->has_next, pool->family, pool->next));
}

static int run(struct podport_client *client, const struct options *options,
	       struct podport_error *error)
{
	struct podport_ipam *ipam;
	int r = podport_get_ipam(client, &ipam, error);

	if (r < 0)
		return r;
	if (options->json)
		command_print_json(json_pack("{s:o, s:o}", "ipv4", pool_json(ipam->ipv4), "ipv6",
					     pool_json(ipam->ipv6)));
	else
		print_table(ipam);
	podport_ipam_free(ipam);
	return EXIT_DONE;
}

const struct command command_ipam = {
	.name = "ipam",
	.summary = "the pod network's addresses: used, free, the next one",
	.help = "One line for each address family. TOTAL are the addresses that can be given to "
		"pods\n"
		"(not the network's, not the gateway's, not IPv4's last). Free ones are taken in\n"
		"this order: never used, then least recently released. NEXT is the one that the "
		"next\n"
		"pod gets.\n"
		"\n"
		"--json: {\"ipv4\": {...} or null, \"ipv6\": {...} or null}, each with\n"
		"  prefix, gateway          strings\n"
		"  total                    number: allocated + never_used + released\n"
		"  allocated, never_used, released    numbers\n"
		"  next                     string, null: none left\n",
	.run = run,
};
