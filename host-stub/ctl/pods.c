// SPDX-License-Identifier: BSD-3-Clause
//
// podportctl pods

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ctl/command.h"
#include "ctl/format.h"
#include "ctl/table.h"

static uint64_t age_ms(const struct podport_attachment *pod)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	uint64_t now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	return now_ms > pod->created_unix_ms ? now_ms - pod->created_unix_ms : 0;
}

// "full", "partial (table full)", "-": the agent does not tell.
static const char *offload_of(const struct podport_attachment *pod, struct text *text)
{
	snprintf(text->text, sizeof(text->text),
		 pod->offload_reason[0] != '\0' ? "%s (%.400s)" : "%s",
		 pod->offload[0] != '\0' ? pod->offload : "-", pod->offload_reason);
	return text->text;
}

static bool has_function(const struct podport_attachment *pod)
{
	return strcmp(pod->port_kind, "function") == 0;
}

// "vf3", the path of the socket, or else the kind.
static const char *port_of(const struct podport_attachment *pod, struct text *text)
{
	if (has_function(pod))
		return format_function(text, pod->pf, pod->vf);
	return pod->socket_path[0] != '\0' ? pod->socket_path : pod->port_kind;
}

static void print_table(const struct podport_pods *pods)
{
	static const struct table_column columns[] = {
		{.name = "POD"},     {.name = "NETWORK"},
		{.name = "IFNAME"},  {.name = "IPV4"},
		{.name = "IPV6"},    {.name = "MAC"},
		{.name = "PORT"},    {.name = "MTU", .right = true},
		{.name = "OFFLOAD"}, {.name = "AGE", .right = true},
		{.name = NULL}};
	struct table *table = table_new(columns);
	struct text text;

	for (size_t i = 0; i < podport_pods_count(pods); i++) {
		const struct podport_attachment *pod = podport_pods_get(pods, i);

		table_row(table);
		table_put(table, format_pod(&text, pod));
		table_put(table, pod->key.network);
		table_put(table, pod->key.ifname);
		table_put(table, pod->has_ipv4 ? format_address(&text, AF_INET, &pod->ipv4) : "-");
		table_put(table, pod->has_ipv6 ? format_address(&text, AF_INET6, &pod->ipv6) : "-");
		table_put(table, format_mac(&text, pod->mac));
		table_put(table, port_of(pod, &text));
		snprintf(text.text, sizeof(text.text), "%u", pod->mtu);
		table_put(table, text.text);
		table_put(table, offload_of(pod, &text));
		table_put(table, format_duration(&text, age_ms(pod)));
	}
	table_print(table);
}

static json_t *bandwidth_json(const struct podport_bandwidth *bandwidth)
{
	if (bandwidth->ingress_rate_bps == 0 && bandwidth->egress_rate_bps == 0)
		return json_null();
	return json_pack("{s:I, s:I, s:I, s:I}", "ingress_rate_bps",
			 (json_int_t)bandwidth->ingress_rate_bps, "ingress_burst_bits",
			 (json_int_t)bandwidth->ingress_burst_bits, "egress_rate_bps",
			 (json_int_t)bandwidth->egress_rate_bps, "egress_burst_bits",
			 (json_int_t)bandwidth->egress_burst_bits);
}

// "192.0.2.1", "0.0.0.0": each of the family; null: each of the host's.
static json_t *host_ip_json(const struct podport_port_mapping *mapping)
{
	return command_json_address(mapping->host_family != 0,
				    mapping->host_family == 4 ? AF_INET : AF_INET6,
				    mapping->host_ip);
}

static json_t *mappings_json(const struct podport_attachment *pod)
{
	json_t *list = json_array();

	for (size_t i = 0; i < pod->port_mapping_count; i++) {
		const struct podport_port_mapping *mapping = &pod->port_mappings[i];

		json_array_append_new(
			list, json_pack("{s:s, s:o, s:i, s:i}", "protocol",
					mapping->protocol == IPPROTO_UDP ? "udp" : "tcp", "host_ip",
					host_ip_json(mapping), "host_port", mapping->host_port,
					"container_port", mapping->container_port));
	}
	return list;
}

static json_t *pod_json(const struct podport_attachment *pod)
{
	struct text mac, gateway_mac;

	return json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:o, s:o, s:o, s:o, s:s, s:s, s:o, s:I, "
		"s:I, "
		"s:I, s:s, s:s, s:s, s:s, s:o, s:o}",
		"namespace", pod->pod_namespace, "name", pod->pod_name, "uid", pod->pod_uid,
		"network", pod->key.network, "container_id", pod->key.container_id, "ifname",
		pod->key.ifname, "netns", pod->netns, "netns_inode", (json_int_t)pod->netns_inode,
		"ipv4", command_json_address(pod->has_ipv4, AF_INET, &pod->ipv4), "gateway_ipv4",
		command_json_address(pod->has_ipv4, AF_INET, &pod->gateway_ipv4), "ipv6",
		command_json_address(pod->has_ipv6, AF_INET6, &pod->ipv6), "gateway_ipv6",
		command_json_address(pod->has_ipv6, AF_INET6, &pod->gateway_ipv6), "mac",
		format_mac(&mac, pod->mac), "gateway_mac",
		format_mac(&gateway_mac, pod->gateway_mac), "function",
		has_function(pod) ? command_json_function(pod->pf, pod->vf) : json_null(), "mtu",
		(json_int_t)pod->mtu, "link_group", (json_int_t)pod->link_group, "created_unix_ms",
		(json_int_t)pod->created_unix_ms, "offload", pod->offload, "offload_reason",
		pod->offload_reason, "port_kind", pod->port_kind, "socket_path", pod->socket_path,
		"bandwidth", bandwidth_json(&pod->bandwidth), "port_mappings", mappings_json(pod));
}

static void print_json(const struct podport_pods *pods)
{
	json_t *list = json_array();

	for (size_t i = 0; i < podport_pods_count(pods); i++)
		json_array_append_new(list, pod_json(podport_pods_get(pods, i)));
	command_print_json(json_pack("{s:o}", "pods", list));
}

static int run(struct podport_client *client, const struct options *options,
	       struct podport_error *error)
{
	struct podport_pods *pods;
	int r = podport_list_pods(client, &pods, error);

	if (r < 0)
		return r;
	if (options->json)
		print_json(pods);
	else if (podport_pods_count(pods) == 0)
		printf("no pod is attached\n");
	else
		print_table(pods);
	podport_pods_free(pods);
	return EXIT_DONE;
}

const struct command command_pods = {
	.name = "pods",
	.summary = "what is attached: addresses, functions, age",
	.help = "One line for each attachment, ordered by network, container and interface. POD "
		"is\n"
		"namespace/name where the runtime tells it, else the container ID, of which a "
		"long\n"
		"hexadecimal one is cut to 12 characters. PORT is the function of the NIC that the "
		"pod has, or\n"
		"the socket of its vhost-user port, or virtio-user.\n"
		"OFFLOAD is how far the NIC's e-switch forwards for it, without the agent: full, "
		"partial, none,\n"
		"off. Whatever it is, the pod has its network.\n"
		"\n"
		"--json: {\"pods\": [{\n"
		"  namespace, name, uid     strings, \"\" if the runtime does not tell\n"
		"  network, container_id, ifname    strings, together the key\n"
		"  netns, netns_inode       where the sandbox was when it was attached; \"\", 0: "
		"not known\n"
		"  ipv4, gateway_ipv4, ipv6, gateway_ipv6    strings, null where it has none\n"
		"  mac, gateway_mac         strings\n"
		"  port_kind, function, socket_path    \"function\", {pf, vf}, \"\"; or "
		"\"vhost-user\", null, a path;\n"
		"                           or \"virtio-user\", null, \"\"\n"
		"  mtu, link_group          numbers\n"
		"  bandwidth                null: unlimited; or {ingress_rate_bps, "
		"ingress_burst_bits,\n"
		"                           egress_rate_bps, egress_burst_bits}: numbers as asked "
		"for, 0: none\n"
		"  port_mappings            [{protocol, host_ip, host_port, container_port}]: "
		"\"tcp\" "
		"or \"udp\",\n"
		"                           a string or null (each of the host's), numbers\n"
		"  created_unix_ms          number\n"
		"  offload, offload_reason  strings: \"full\", \"partial\", \"none\", \"off\", "
		"\"\": not told;\n"
		"                           and why it is not full\n"
		"}]}\n",
	.run = run,
};
