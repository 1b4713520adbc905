// SPDX-License-Identifier: BSD-3-Clause
//
// STATUS, from what hostd and agent say of themselves.

#include "cni/status.h"

#include <arpa/inet.h>

// What an operator asks next.
static void add_numbers(const struct podport_status *status, struct cni_error *error)
{
	const struct podport_agent_status *agent = status->agent;

	if (agent != NULL)
		cni_error_add_details(
			error,
			"functions: %u of %u in use; addresses free: %u IPv4, %u IPv6; "
			"attachments: %u, %u of them without a port; vhost-user ports: %u of %u in "
			"use; virtio-user ports: %u of %u in use; ",
			agent->functions_used, agent->functions, agent->ipv4_free, agent->ipv6_free,
			agent->attachments, agent->attachments_without_port,
			agent->vhost_ports_used, agent->vhost_ports, agent->virtio_ports_used,
			agent->virtio_ports);
	cni_error_add_details(error,
			      "releases that wait for the agent: %u; 'podportctl status' shows all",
			      status->host->queued_deletes);
}

static int exhausted(int family, const void *network, unsigned int length,
		     const struct podport_agent_status *agent, struct cni_error *error)
{
	char text[INET6_ADDRSTRLEN];

	inet_ntop(family, network, text, sizeof(text));
	return cni_error_set(error, CNI_NOT_AVAILABLE,
			     "the pod network %s/%u has no IPv%d address left: 0 free, with %u "
			     "attachments",
			     text, length, family == AF_INET ? 4 : 6, agent->attachments);
}

// Is there what an attachment needs?
static int judge_ports(const struct podport_agent_status *agent, enum port_choice port,
		       struct cni_error *error)
{
	if (port == PORT_CHOICE_VHOST_USER) {
		if (agent->vhost_ports_used < agent->vhost_ports)
			return 0;
		return cni_error_set(error, CNI_NOT_AVAILABLE,
				     "no vhost-user port is left: %u of %u in use",
				     agent->vhost_ports_used, agent->vhost_ports);
	}
	if (port == PORT_CHOICE_VIRTIO_USER) {
		if (agent->virtio_error[0] != '\0')
			return cni_error_set(error, CNI_NOT_AVAILABLE, "%s", agent->virtio_error);
		if (agent->virtio_ports_used < agent->virtio_ports)
			return 0;
		return cni_error_set(error, CNI_NOT_AVAILABLE,
				     "no virtio-user port is left: %u of %u in use",
				     agent->virtio_ports_used, agent->virtio_ports);
	}
	if (agent->functions_used < agent->functions)
		return 0;
	return cni_error_set(error, CNI_NOT_AVAILABLE,
			     "no function of the NIC is left: %u of %u in use",
			     agent->functions_used, agent->functions);
}

static int judge_room(const struct podport_agent_status *agent, enum port_choice port,
		      struct cni_error *error)
{
	const struct podport_pod_network *network = agent->pod_network;

	if (judge_ports(agent, port, error) < 0)
		return -1;
	if (network != NULL && network->has_ipv4 && agent->ipv4_free == 0)
		return exhausted(AF_INET, &network->ipv4, network->ipv4_prefix_length, agent,
				 error);
	if (network != NULL && network->has_ipv6 && agent->ipv6_free == 0)
		return exhausted(AF_INET6, &network->ipv6, network->ipv6_prefix_length, agent,
				 error);
	return 0;
}

// Have the pods that are there what they need? What ails one of them alone is not the node's state.
static int judge_pods(const struct podport_host_status *host,
		      const struct podport_agent_status *agent, struct cni_error *error)
{
	if (agent->uplink_error[0] != '\0')
		return cni_error_set(error, CNI_LIMITED_CONNECTIVITY,
				     "the NIC's uplink is not started: %s", agent->uplink_error);
	if (host->host_port[0] != '\0' && !host->host_port_ready)
		return cni_error_set(error, CNI_LIMITED_CONNECTIVITY,
				     "host and pods do not reach each other, %s is not ready%s%s",
				     host->host_port, host->host_port_error[0] != '\0' ? ": " : "",
				     host->host_port_error);
	if (agent->attachments > 0 && agent->attachments_without_port == agent->attachments)
		return cni_error_set(error, CNI_LIMITED_CONNECTIVITY,
				     "the ports of all %u attachments are down: %s",
				     agent->attachments, agent->notice);
	return 0;
}

int status_judge(const struct podport_status *status, enum port_choice port,
		 struct cni_error *error)
{
	const struct podport_host_status *host = status->host;
	const struct podport_agent_status *agent = status->agent;
	int r;

	if (agent == NULL)
		r = cni_error_set(error, CNI_NOT_AVAILABLE, "the agent at %s does not answer%s%s",
				  host->agent_url, host->link_error[0] != '\0' ? ": " : "",
				  host->link_error);
	else if (!agent->ready)
		r = cni_error_set(error, CNI_NOT_AVAILABLE, "the agent is not ready: %s",
				  agent->not_ready_reason);
	else
		r = judge_room(agent, port, error);
	if (r == 0)
		r = judge_pods(host, agent, error);
	if (r < 0)
		add_numbers(status, error);
	return r;
}
