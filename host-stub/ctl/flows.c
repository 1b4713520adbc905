// SPDX-License-Identifier: BSD-3-Clause
//
// podportctl flows

#include <stdio.h>

#include "ctl/command.h"
#include "ctl/format.h"
#include "ctl/lookup.h"
#include "ctl/table.h"

// Is the rule one of those asked for? Without a POD all are.
static bool is_wanted(const struct podport_flow *flow, const struct podport_pods *pods,
		      const char *name)
{
	const struct podport_attachment *pod;

	if (name == NULL)
		return true;
	pod = flow->has_key ? lookup_pod(pods, &flow->key) : NULL;
	return pod != NULL && lookup_is(pod, name);
}

static void put_rule(struct table *table, const struct podport_flow *flow,
		     const struct podport_pods *pods)
{
	struct text text;

	table_row(table);
	snprintf(text.text, sizeof(text.text), "%llu", (unsigned long long)flow->id);
	table_put(table, text.text);
	if (flow->has_key)
		lookup_name(pods, &flow->key, &text);
	else if (flow->has_function)
		format_function(&text, flow->pf, flow->vf);
	else
		snprintf(text.text, sizeof(text.text), flow->of_host ? "(host)" : "(all)");
	table_put(table, text.text);
	snprintf(text.text, sizeof(text.text), "%u", flow->group);
	table_put(table, text.text);
	snprintf(text.text, sizeof(text.text), "%u", flow->priority);
	table_put(table, text.text);
	table_put(table, flow->match);
	table_put(table, flow->actions);
	table_put(table, flow->counted ? format_count(&text, flow->packets) : "-");
	table_put(table, flow->counted ? format_bytes(&text, flow->bytes) : "-");
	table_put(table, format_duration(&text, flow->age_ms));
}

static void print_table(const struct podport_flows *flows, const struct podport_pods *pods,
			const char *name)
{
	static const struct table_column columns[] = {{.name = "ID", .right = true},
						      {.name = "POD"},
						      {.name = "GROUP", .right = true},
						      {.name = "PRIO", .right = true},
						      {.name = "MATCH"},
						      {.name = "ACTIONS"},
						      {.name = "PACKETS", .right = true},
						      {.name = "BYTES", .right = true},
						      {.name = "AGE", .right = true},
						      {.name = NULL}};
	struct table *table = table_new(columns);

	for (size_t i = 0; i < podport_flows_count(flows); i++)
		if (is_wanted(podport_flows_get(flows, i), pods, name))
			put_rule(table, podport_flows_get(flows, i), pods);
	if (table_rows(table) == 0)
		printf("the e-switch has no rule%s%s; 'podportctl offload' says why\n",
		       name != NULL ? " for " : "", name != NULL ? name : "");
	table_print(table);
}

static json_t *flow_json(const struct podport_flow *flow, const struct podport_pods *pods)
{
	json_t *attachment = json_null();
	struct text pod;

	if (flow->has_key)
		attachment =
			json_pack("{s:s, s:s, s:s, s:s}", "network", flow->key.network,
				  "container_id", flow->key.container_id, "ifname",
				  flow->key.ifname, "pod", lookup_name(pods, &flow->key, &pod));
	return json_pack(
		"{s:I, s:o, s:o, s:b, s:I, s:I, s:s, s:s, s:o, s:o, s:I}", "id",
		(json_int_t)flow->id, "attachment", attachment, "function",
		flow->has_function ? command_json_function(flow->pf, flow->vf) : json_null(),
		"host", (int)flow->of_host, "group", (json_int_t)flow->group, "priority",
		(json_int_t)flow->priority, "match", flow->match, "actions", flow->actions,
		"packets", flow->counted ? json_integer((json_int_t)flow->packets) : json_null(),
		"bytes", flow->counted ? json_integer((json_int_t)flow->bytes) : json_null(),
		"age_ms", (json_int_t)flow->age_ms);
}

static void print_json(const struct podport_flows *flows, const struct podport_pods *pods,
		       const char *name)
{
	json_t *list = json_array();

	for (size_t i = 0; i < podport_flows_count(flows); i++)
		if (is_wanted(podport_flows_get(flows, i), pods, name))
			json_array_append_new(list, flow_json(podport_flows_get(flows, i), pods));
	command_print_json(json_pack("{s:o}", "flows", list));
}

static int run(struct podport_client *client, const struct options *options,
	       struct podport_error *error)
{
	struct podport_flows *flows;
	struct podport_pods *pods;
	int r = podport_list_flows(client, &flows, error);

	if (r < 0)
		return r;
	r = podport_list_pods(client, &pods, error);
	if (r < 0) {
		podport_flows_free(flows);
		return r;
	}
	r = lookup_check(pods, options->pod, error);
	if (r == 0 && options->json)
		print_json(flows, pods, options->pod);
	else if (r == 0)
		print_table(flows, pods, options->pod);
	podport_flows_free(flows);
	podport_pods_free(pods);
	return r;
}

const struct command command_flows = {
	.name = "flows",
	.summary = "the rules in the e-switch: match, actions, hits; of all pods or of one",
	.help = "One line for each rule that the agent has put into the NIC's e-switch. A frame is "
		"looked up\n"
		"in group 0 first; what no rule of a group matches goes to the agent, untouched. "
		"POD is whom\n"
		"the rule serves, (host) one of the host's, (all) one that all share. With an "
		"argument only the rules of that\n"
		"pod: namespace/name, name, or container ID. Rules that do not count have no "
		"PACKETS and BYTES.\n"
		"The two rules of each connection are not listed: the rules that lead to them\n"
		"(group 5) and on to the pod (group 6) say how many connections it has, "
		"'podportctl connections'\n"
		"shows each, and what it has counted.\n"
		"\n"
		"--json: {\"flows\": [{\n"
		"  id                       number, ascending, never used again\n"
		"  attachment               {network, container_id, ifname, pod}; null: shared by "
		"all, or the host's\n"
		"  function                 {pf, vf}; null: shared by all, or the host's\n"
		"  host                     true: it serves the host\n"
		"  group, priority          numbers\n"
		"  match, actions           strings\n"
		"  packets, bytes           numbers, null: the rule does not count\n"
		"  age_ms                   number, since the rule was installed\n"
		"}]}\n",
	.has_pod = true,
	.run = run,
};
