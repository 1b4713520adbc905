// SPDX-License-Identifier: BSD-3-Clause
//
// STATUS, from what hostd and agent say of themselves.

#include "cni/status.h"

int status_judge(const struct podport_status *status, struct cni_error *error)
{
	const struct podport_host_status *host = status->host;
	const struct podport_agent_status *agent = status->agent;

	if (agent == NULL)
		return cni_error_set(error, CNI_LIMITED_CONNECTIVITY,
				     "the agent at %s does not answer%s%s", host->agent_url,
				     host->link_error[0] != '\0' ? ": " : "", host->link_error);
	if (!agent->ready)
		return cni_error_set(error, CNI_NOT_AVAILABLE, "the agent is not ready: %s",
				     agent->not_ready_reason);
	if (agent->functions_used >= agent->functions)
		return cni_error_set(error, CNI_NOT_AVAILABLE,
				     "all %u functions of the NIC are in use", agent->functions);

	const struct podport_pod_network *network = agent->pod_network;
	if (network != NULL && network->has_ipv4 && agent->ipv4_free == 0)
		return cni_error_set(error, CNI_NOT_AVAILABLE,
				     "the pod network has no IPv4 address left (%u attachments)",
				     agent->attachments);
	if (network != NULL && network->has_ipv6 && agent->ipv6_free == 0)
		return cni_error_set(error, CNI_NOT_AVAILABLE,
				     "the pod network has no IPv6 address left (%u attachments)",
				     agent->attachments);
	return 0;
}
