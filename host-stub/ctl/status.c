// SPDX-License-Identifier: BSD-3-Clause
//
// podportctl status

#include <stdio.h>
#include <string.h>

#include "ctl/command.h"
#include "ctl/format.h"

static bool is_ready(const struct podport_status *status)
{
	return status->agent != NULL && status->agent->ready;
}

static const char *reason_of(const struct podport_status *status)
{
	if (status->agent == NULL)
		return "the agent does not answer";
	return status->agent->not_ready_reason;
}

// ---- for people ----------------------------------------------------------------------------------

#define LINE "%-15s "

static void print_link(const struct podport_host_status *host)
{
	struct text since;

	printf(LINE "%s, %s for %s%s%s\n", "agent", host->agent_url,
	       host->link_up ? "connected" : "NOT connected",
	       format_duration(&since, host->link_changed_ms_ago),
	       host->link_error[0] != '\0' ? ": " : "", host->link_error);
}

static void print_network(const struct podport_agent_status *agent)
{
	const struct podport_pod_network *network = agent->pod_network;
	struct text prefix, address;

	if (network == NULL) {
		printf(LINE "not known yet\n", "pod network");
		return;
	}
	const char *label = "pod network";
	if (network->has_ipv4) {
		printf(LINE "%s, gateway %s, %u addresses free\n", label,
		       format_prefix(&prefix, AF_INET, &network->ipv4, network->ipv4_prefix_length),
		       format_address(&address, AF_INET, &network->gateway_ipv4), agent->ipv4_free);
		label = "";
	}
	if (network->has_ipv6)
		printf(LINE "%s, gateway %s, %u addresses free\n", label,
		       format_prefix(&prefix, AF_INET6, &network->ipv6,
				     network->ipv6_prefix_length),
		       format_address(&address, AF_INET6, &network->gateway_ipv6),
		       agent->ipv6_free);
	printf(LINE "MTU %u, router %s\n", "", network->mtu,
	       format_mac(&address, network->router_mac));
}

static void print_uplink(const struct podport_agent_status *agent)
{
	const struct podport_uplink *uplink = agent->uplink;
	struct text ipv4, ipv6, mac;
	char vlan[32] = "";

	if (agent->uplink_error[0] != '\0')
		printf(LINE "NOT started: %s\n", "uplink", agent->uplink_error);
	if (uplink == NULL)
		return;
	format_prefix(&ipv4, AF_INET, &uplink->ipv4, uplink->ipv4_prefix_length);
	format_prefix(&ipv6, AF_INET6, &uplink->ipv6, uplink->ipv6_prefix_length);
	printf(LINE "%s%s%s, link %s\n", "uplink", uplink->has_ipv4 ? ipv4.text : "",
	       uplink->has_ipv4 && uplink->has_ipv6 ? ", " : "", uplink->has_ipv6 ? ipv6.text : "",
	       uplink->link_up ? "up" : "DOWN");
	if (uplink->vlan != 0)
		snprintf(vlan, sizeof(vlan), "VLAN %u, ", uplink->vlan);
	printf(LINE "%sMTU %u, MAC %s, %u route%s, %u neighbour%s\n", "", vlan, uplink->mtu,
	       format_mac(&mac, uplink->mac), uplink->routes, uplink->routes == 1 ? "" : "s",
	       uplink->neighbours, uplink->neighbours == 1 ? "" : "s");
}

static void print_agent(const struct podport_agent_status *agent)
{
	struct text uptime;

	printf(LINE "version %s, up %s, %u worker%s, instance %s\n", "", agent->version,
	       format_duration(&uptime, agent->uptime_ms), agent->workers,
	       agent->workers == 1 ? "" : "s", agent->instance_id);
	printf(LINE "%s (%s), %u of %u functions used\n", "NIC", agent->nic_device,
	       agent->nic_driver, agent->functions_used, agent->functions);
	if (agent->vhost_ports > 0)
		printf(LINE "%u of %u ports used\n", "vhost-user", agent->vhost_ports_used,
		       agent->vhost_ports);
	if (agent->virtio_error[0] != '\0' && agent->virtio_ports_used > 0)
		printf(LINE "%s\n", "virtio-user", agent->virtio_error);
	else if (agent->virtio_error[0] == '\0' && agent->virtio_ports > 0)
		printf(LINE "%u of %u ports used\n", "virtio-user", agent->virtio_ports_used,
		       agent->virtio_ports);
	printf(LINE "%u\n", "attachments", agent->attachments);
	if (agent->offload != NULL)
		printf(LINE "%s\n", "offload", format_offload(&uptime, agent->offload));
	print_network(agent);
	print_uplink(agent);
}

static void print_text(const struct podport_status *status)
{
	const struct podport_host_status *host = status->host;

	if (is_ready(status))
		printf("podport is ready.\n\n");
	else
		printf("podport is NOT ready: %s.\n\n", reason_of(status));
	if (status->agent != NULL && status->agent->notice[0] != '\0')
		printf("But: %s.\n\n", status->agent->notice);
	printf(LINE "version %s, %u call%s in flight\n", "hostd", host->version,
	       host->calls_in_flight, host->calls_in_flight == 1 ? "" : "s");
	print_link(host);
	if (status->agent != NULL)
		print_agent(status->agent);
	if (host->host_port[0] == '\0')
		printf(LINE "none configured\n", "host port");
	else
		printf(LINE "%s, %s%s%s\n", "host port", host->host_port,
		       host->host_port_ready ? "ready" : "NOT ready",
		       host->host_port_error[0] != '\0' ? ": " : "", host->host_port_error);
	printf(LINE "%u%s\n", "queued deletes", host->queued_deletes,
	       host->queued_deletes > 0 ? ", delivered when the agent answers" : "");
	if (status->agent == NULL)
		printf("\nUntil the agent answers, no pod can be attached; deletes succeed and are "
		       "queued.\nIs podport-agent running, and is the URL the one it listens "
		       "at?\n");
}

// ---- for programs --------------------------------------------------------------------------------

static json_t *network_json(const struct podport_pod_network *network)
{
	struct text ipv4, ipv6, mac;

	if (network == NULL)
		return json_null();
	format_prefix(&ipv4, AF_INET, &network->ipv4, network->ipv4_prefix_length);
	format_prefix(&ipv6, AF_INET6, &network->ipv6, network->ipv6_prefix_length);
	return json_pack("{s:s?, s:o, s:s?, s:o, s:s, s:i}", "ipv4",
			 network->has_ipv4 ? ipv4.text : NULL, "gateway_ipv4",
			 command_json_address(network->has_ipv4, AF_INET, &network->gateway_ipv4),
			 "ipv6", network->has_ipv6 ? ipv6.text : NULL, "gateway_ipv6",
			 command_json_address(network->has_ipv6, AF_INET6, &network->gateway_ipv6),
			 "router_mac", format_mac(&mac, network->router_mac), "mtu",
			 (int)network->mtu);
}

static json_t *uplink_json(const struct podport_uplink *uplink)
{
	struct text ipv4, ipv6, mac;

	if (uplink == NULL)
		return json_null();
	format_prefix(&ipv4, AF_INET, &uplink->ipv4, uplink->ipv4_prefix_length);
	format_prefix(&ipv6, AF_INET6, &uplink->ipv6, uplink->ipv6_prefix_length);
	return json_pack("{s:s?, s:s?, s:i, s:i, s:s, s:b, s:I, s:I}", "ipv4",
			 uplink->has_ipv4 ? ipv4.text : NULL, "ipv6",
			 uplink->has_ipv6 ? ipv6.text : NULL, "vlan", (int)uplink->vlan, "mtu",
			 (int)uplink->mtu, "mac", format_mac(&mac, uplink->mac), "link_up",
			 (int)uplink->link_up, "routes", (json_int_t)uplink->routes, "neighbours",
			 (json_int_t)uplink->neighbours);
}

static json_t *agent_json(const struct podport_agent_status *agent)
{
	if (agent == NULL)
		return json_null();
	return json_pack(
		"{s:s, s:s, s:I, s:b, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:o, s:I, s:I, s:o, "
		"s:s, s:o, s:I, s:I, s:I, s:I, s:s}",
		"version", agent->version, "instance_id", agent->instance_id, "uptime_ms",
		(json_int_t)agent->uptime_ms, "ready", (int)agent->ready, "not_ready_reason",
		agent->not_ready_reason, "notice", agent->notice, "nic_device", agent->nic_device,
		"nic_driver", agent->nic_driver, "functions", (json_int_t)agent->functions,
		"functions_used", (json_int_t)agent->functions_used, "attachments",
		(json_int_t)agent->attachments, "workers", (json_int_t)agent->workers,
		"pod_network", network_json(agent->pod_network), "ipv4_free",
		(json_int_t)agent->ipv4_free, "ipv6_free", (json_int_t)agent->ipv6_free, "offload",
		command_json_offload(agent->offload), "uplink_error", agent->uplink_error, "uplink",
		uplink_json(agent->uplink), "vhost_ports", (json_int_t)agent->vhost_ports,
		"vhost_ports_used", (json_int_t)agent->vhost_ports_used, "virtio_ports",
		(json_int_t)agent->virtio_ports, "virtio_ports_used",
		(json_int_t)agent->virtio_ports_used, "virtio_error", agent->virtio_error);
}

static json_t *host_json(const struct podport_host_status *host)
{
	return json_pack("{s:s, s:s, s:b, s:I, s:s, s:I, s:I, s:s, s:b, s:s}", "version",
			 host->version, "agent_url", host->agent_url, "link_up", (int)host->link_up,
			 "link_changed_ms_ago", (json_int_t)host->link_changed_ms_ago, "link_error",
			 host->link_error, "queued_deletes", (json_int_t)host->queued_deletes,
			 "calls_in_flight", (json_int_t)host->calls_in_flight, "host_port",
			 host->host_port, "host_port_ready", (int)host->host_port_ready,
			 "host_port_error", host->host_port_error);
}

static void print_json(const struct podport_status *status)
{
	command_print_json(json_pack("{s:b, s:s, s:o, s:o}", "ready", (int)is_ready(status),
				     "reason", reason_of(status), "host", host_json(status->host),
				     "agent", agent_json(status->agent)));
}

// ---- the command ---------------------------------------------------------------------------------

static int run(struct podport_client *client, const struct options *options,
	       struct podport_error *error)
{
	struct podport_status *status;
	int r = podport_get_status(client, &status, error);

	if (r < 0)
		return r;
	if (options->json)
		print_json(status);
	else
		print_text(status);
	r = is_ready(status) ? EXIT_DONE : EXIT_NOT;
	podport_status_free(status);
	return r;
}

const struct command command_status = {
	.name = "status",
	.summary = "whether pods can be attached, and if not, why",
	.help = "How podport-hostd, its link to the agent, and the agent are. Exit status 0 if "
		"pods can\n"
		"be attached, 1 if not (the agent is away or not ready), 3 if podport-hostd does "
		"not\n"
		"answer.\n"
		"\n"
		"--json: {\n"
		"  ready, reason            true or false, and if false why\n"
		"  host: {\n"
		"    version, agent_url     strings\n"
		"    link_up, link_changed_ms_ago, link_error    to the agent: since when, and why "
		"not\n"
		"    queued_deletes         number, on disk until the agent answers\n"
		"    calls_in_flight        number\n"
		"    host_port, host_port_ready, host_port_error    \"\": none configured\n"
		"  }\n"
		"  agent: null if it is away, else {\n"
		"    version, instance_id, uptime_ms, ready, not_ready_reason\n"
		"    notice                 what needs attention although ready, \"\": nothing\n"
		"    nic_device, nic_driver    strings\n"
		"    functions, functions_used, attachments, workers    numbers\n"
		"    vhost_ports, vhost_ports_used, virtio_ports, virtio_ports_used    numbers\n"
		"    virtio_error           why no virtio-user port can be had, \"\": nothing is "
		"in the way\n"
		"    pod_network: null if not known yet, else {ipv4, gateway_ipv4, ipv6,\n"
		"      gateway_ipv6, router_mac, mtu}, null for a family that it does not have\n"
		"    ipv4_free, ipv6_free   numbers\n"
		"    offload                as 'offload --json' without capabilities; null: an "
		"older agent\n"
		"    uplink_error           why the port is not started, \"\": it is\n"
		"    uplink: null without an address on the wire, else {ipv4, ipv6 (with prefix "
		"length, or\n"
		"      null), vlan (0: untagged), mtu, mac, link_up, routes, neighbours (how "
		"many)}\n"
		"  }\n"
		"}\n",
	.run = run,
};
