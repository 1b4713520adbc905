// SPDX-License-Identifier: BSD-3-Clause
//
// libpodport's fake hostd as a program, for tests in Go, which may have no C in them.
//
//     fake_hostd_main SOCKET
//
// Prints "ready", then a line for each call: "attach podport c0ffee eth0 default/web 10.88.0.9 - -".
// How it answers, the container ID says: "silent..." not at all, "hangup..." by closing, "code17..."
// by that error, anything else well. What it says of the agent, lines on standard input say ("ok",
// "away", "unready", "full"); each is confirmed with "set". Ends with its standard input.

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libpodport/fake_hostd.h"

static _Atomic char state = 'o'; // the first letter of what standard input said

static void print_key(const char *call, const struct attachment_key *key)
{
	printf("%s %s %s %s", call, key->network, key->container_id, key->ifname);
}

static void print_attach(const struct attach_request *attach)
{
	char ipv4[INET_ADDRSTRLEN] = "-", ipv6[INET6_ADDRSTRLEN] = "-";
	const uint8_t *mac = attach->requested_mac.bytes;

	if (attach->wants_ipv4)
		inet_ntop(AF_INET, &attach->requested_ipv4, ipv4, sizeof(ipv4));
	if (attach->wants_ipv6)
		inet_ntop(AF_INET6, &attach->requested_ipv6, ipv6, sizeof(ipv6));
	print_key("attach", &attach->key);
	printf(" %s/%s %s %s ", attach->pod.namespace_, attach->pod.name, ipv4, ipv6);
	if (attach->wants_mac)
		printf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
		       mac[5]);
	else
		printf("-");
	if (bandwidth_is_limited(&attach->bandwidth))
		printf(" in %" PRIu64 "/%" PRIu64 " out %" PRIu64 "/%" PRIu64,
		       attach->bandwidth.ingress_rate_bps, attach->bandwidth.ingress_burst_bits,
		       attach->bandwidth.egress_rate_bps, attach->bandwidth.egress_burst_bits);
	for (uint32_t i = 0; i < attach->port_mappings.count; i++) {
		const struct port_mapping *mapping = &attach->port_mappings.items[i];

		printf(" map %u:%u-%u/%u/%02x%02x", mapping->host_family, mapping->host_port,
		       mapping->container_port, mapping->protocol, mapping->host_ip[0],
		       mapping->host_ip[1]);
	}
}

static const struct attachment_key *print_call(const struct fake_call *call)
{
	const struct request *request = &call->request;
	const struct attachment_key *key = NULL;

	switch (request->call) {
	case CALL_ATTACH:
		key = &request->body.attach.key;
		print_attach(&request->body.attach);
		break;
	case CALL_DETACH:
		key = &request->body.detach.key;
		print_key("detach", key);
		break;
	case CALL_CHECK:
		key = &request->body.check.key;
		print_key("check", key);
		break;
	default:
		printf("%s", call_name(request->call));
		break;
	}
	printf(" timeout %" PRIu32 "\n", request->timeout_ms);
	fflush(stdout);
	return key;
}

static void set_status(struct status_reply *status)
{
	status->has_host = true;
	switch (state) {
	case 'a':
		status->has_agent = false;
		strcpy(status->host.agent_url, "ipc:///run/agent.sock");
		strcpy(status->host.link_error, "nobody listens");
		break;
	case 'u':
		status->agent.ready = false;
		strcpy(status->agent.not_ready_reason, "the pod network is not known");
		break;
	case 'f':
		status->agent.ready = true;
		status->agent.not_ready_reason[0] = '\0';
		status->agent.functions_used = status->agent.functions;
		status->agent.ipv4_free = 0;
		break;
	default:
		status->agent.ready = true;
		status->agent.not_ready_reason[0] = '\0';
		break;
	}
}

static enum fake_answer handle(const struct fake_call *call, struct reply *reply, void *arg)
{
	const struct attachment_key *key = print_call(call);
	struct error err = {.message = "because the test wants it"};
	unsigned int code;

	if (call->request.call == CALL_GET_STATUS)
		set_status(&reply->body.status);
	if (key == NULL)
		return FAKE_REPLY;
	if (strncmp(key->container_id, "silent", 6) == 0)
		return FAKE_SILENCE;
	if (strncmp(key->container_id, "hangup", 6) == 0)
		return FAKE_HANG_UP;
	if (sscanf(key->container_id, "code%u", &code) == 1) {
		err.code = (enum code)code;
		reply_clear(reply);
		reply_from_error(reply, &err);
	}
	return FAKE_REPLY;
}

int main(int argc, char **argv)
{
	char line[32];

	if (argc != 2)
		return 2;
	struct fake_hostd *fake = fake_hostd_start(argv[1], handle, NULL);
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) != NULL) {
		state = line[0];
		printf("set\n");
		fflush(stdout);
	}
	fake_hostd_stop(fake);
	return 0;
}
