// SPDX-License-Identifier: BSD-3-Clause
//
// podportctl offload

#include <stdio.h>
#include <string.h>

#include "ctl/command.h"
#include "ctl/format.h"
#include "ctl/table.h"

#define LINE "%-11s "

static void print_summary(const struct podport_offload_summary *summary)
{
	struct text text;

	printf(LINE "%s\n", "offload", format_offload(&text, summary));
	if (!summary->enabled)
		return;
	printf(LINE "%s\n", "API", summary->api[0] != '\0' ? summary->api : "none");
	printf(LINE "%u full, %u partial, %u none\n", "pods", summary->pods_full,
	       summary->pods_partial, summary->pods_none);
	printf(LINE "%llu inserted, %llu removed, %llu failed since the agent started\n",
	       "operations", (unsigned long long)summary->inserted,
	       (unsigned long long)summary->removed, (unsigned long long)summary->failed);
}

static void print_capabilities(const struct podport_offload *offload)
{
	static const struct table_column columns[] = {{.name = "THE NIC CAN"},
						      {.name = "ANSWER"},
						      {.name = "NEEDED"},
						      {.name = "REMARK"},
						      {.name = NULL}};
	struct table *table = table_new(columns);

	for (size_t i = 0; i < offload->capability_count; i++) {
		const struct podport_capability *capability = &offload->capabilities[i];

		table_row(table);
		table_put(table, capability->name);
		table_put(table, capability->supported ? "yes" : "no");
		table_put(table, capability->needed ? "yes" : "no");
		table_put(table, capability->remark);
	}
	if (table_rows(table) > 0)
		putchar('\n');
	table_print(table);
}

// Pods that the e-switch does not serve, or not in all.
static void print_missing(const struct podport_pods *pods)
{
	static const struct table_column columns[] = {
		{.name = "POD"}, {.name = "OFFLOAD"}, {.name = "BECAUSE"}, {.name = NULL}};
	struct table *table = table_new(columns);
	struct text text;

	for (size_t i = 0; i < podport_pods_count(pods); i++) {
		const struct podport_attachment *pod = podport_pods_get(pods, i);

		if (strcmp(pod->offload, "full") == 0)
			continue;
		table_row(table);
		table_put(table, format_pod(&text, pod));
		table_put(table, pod->offload);
		table_put(table, pod->offload_reason);
	}
	if (table_rows(table) > 0)
		printf("\nThe agent itself forwards for:\n\n");
	table_print(table);
}

json_t *command_json_offload(const struct podport_offload_summary *summary)
{
	if (summary == NULL)
		return json_null();
	return json_pack(
		"{s:b, s:b, s:s, s:s, s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "enabled",
		(int)summary->enabled, "usable", (int)summary->usable, "why_not", summary->why_not,
		"api", summary->api, "rules", (json_int_t)summary->rules, "rules_missing",
		(json_int_t)summary->rules_missing, "missing_reason", summary->missing_reason,
		"pods_full", (json_int_t)summary->pods_full, "pods_partial",
		(json_int_t)summary->pods_partial, "pods_none", (json_int_t)summary->pods_none,
		"inserted", (json_int_t)summary->inserted, "removed", (json_int_t)summary->removed,
		"failed", (json_int_t)summary->failed);
}

static void print_json(const struct podport_offload *offload)
{
	json_t *list = json_array(), *json = command_json_offload(offload->summary);

	for (size_t i = 0; i < offload->capability_count; i++) {
		const struct podport_capability *capability = &offload->capabilities[i];

		json_array_append_new(
			list, json_pack("{s:s, s:b, s:b, s:s}", "name", capability->name,
					"supported", (int)capability->supported, "needed",
					(int)capability->needed, "remark", capability->remark));
	}
	json_object_set_new(json, "capabilities", list);
	command_print_json(json);
}

static int run(struct podport_client *client, const struct options *options,
	       struct podport_error *error)
{
	struct podport_offload *offload;
	struct podport_pods *pods;
	int r = podport_get_offload(client, &offload, error);

	if (r < 0)
		return r;
	r = podport_list_pods(client, &pods, error);
	if (r < 0) {
		podport_offload_free(offload);
		return r;
	}
	if (options->json) {
		print_json(offload);
	} else {
		print_summary(offload->summary);
		print_capabilities(offload);
		if (offload->summary->enabled)
			print_missing(pods);
	}
	podport_offload_free(offload);
	podport_pods_free(pods);
	return EXIT_DONE;
}

const struct command command_offload = {
	.name = "offload",
	.summary = "what the e-switch can do, how full it is, what is missing and why",
	.help = "Whether the NIC's e-switch forwards the pods' frames by itself, what the agent "
		"found out at\n"
		"its start that the NIC can do, and the pods for which rules are missing. NEEDED: "
		"without it\n"
		"nothing is offloaded; else REMARK says what is done without it.\n"
		"\n"
		"--json: {\n"
		"  enabled                  true, false: nic.offload of the agent's configuration\n"
		"  usable, why_not          true, false; why not, if it is enabled\n"
		"  api                      \"asynchronous\", \"synchronous\", \"\": neither\n"
		"  rules, rules_missing     numbers: installed; wanted by pods and not installed\n"
		"  missing_reason           string, the NIC's last refusal while rules are "
		"missing\n"
		"  pods_full, pods_partial, pods_none    numbers; of each pod: 'pods --json'\n"
		"  inserted, removed, failed    numbers, operations since the agent started\n"
		"  capabilities: [{name, supported, needed, remark}]\n"
		"}\n",
	.run = run,
};
