// SPDX-License-Identifier: BSD-3-Clause
//
// podportctl network: the pod network, shown or set.

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/command.h"
#include "ctl/format.h"

// ---- the answer ----------------------------------------------------------------------------------

static json_t *prefix_json(bool has, int family, const void *address, unsigned int length)
{
	struct text text;

	return has ? json_string(format_prefix(&text, family, address, length)) : json_null();
}

static json_t *network_json(const struct podport_pod_network *network)
{
	struct text mac;

	if (network == NULL)
		return json_null();
	return json_pack(
		"{s:o, s:o, s:o, s:o, s:I, s:s}", "ipv4",
		prefix_json(network->has_ipv4, AF_INET, &network->ipv4,
			    network->ipv4_prefix_length),
		"gateway_ipv4",
		command_json_address(network->has_ipv4, AF_INET, &network->gateway_ipv4), "ipv6",
		prefix_json(network->has_ipv6, AF_INET6, &network->ipv6,
			    network->ipv6_prefix_length),
		"gateway_ipv6",
		command_json_address(network->has_ipv6, AF_INET6, &network->gateway_ipv6), "mtu",
		(json_int_t)network->mtu, "router_mac", format_mac(&mac, network->router_mac));
}

static void print_network(const struct podport_pod_network *network)
{
	struct text prefix, gateway, mac;

	if (network == NULL) {
		printf("no pod network is known yet\n");
		return;
	}
	if (network->has_ipv4)
		printf("IPv4    %s, gateway %s\n",
		       format_prefix(&prefix, AF_INET, &network->ipv4, network->ipv4_prefix_length),
		       format_address(&gateway, AF_INET, &network->gateway_ipv4));
	if (network->has_ipv6)
		printf("IPv6    %s, gateway %s\n",
		       format_prefix(&prefix, AF_INET6, &network->ipv6,
				     network->ipv6_prefix_length),
		       format_address(&gateway, AF_INET6, &network->gateway_ipv6));
	printf("MTU     %u\nrouter  %s\n", network->mtu, format_mac(&mac, network->router_mac));
}

static void print(const struct options *options, const struct podport_pod_network *network)
{
	if (options->json)
		command_print_json(json_pack("{s:o}", "pod_network", network_json(network)));
	else
		print_network(network);
}

// ---- set -----------------------------------------------------------------------------------------

struct prefixes {
	bool has_ipv4, has_ipv6;
	struct in_addr ipv4;
	struct in6_addr ipv6;
	uint8_t ipv4_length, ipv6_length;
};

static int parse_prefix(const char *text, struct prefixes *to)
{
	const char *slash = strchr(text, '/');
	char address[INET6_ADDRSTRLEN], *end;
	unsigned long length;

	if (slash == NULL || (size_t)(slash - text) >= sizeof(address) || slash[1] < '0' ||
	    slash[1] > '9')
		return -1;
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = '\0';
	length = strtoul(slash + 1, &end, 10);
	if (*end != '\0' || length > 128)
		return -1;
	if (!to->has_ipv4 && length <= 32 && inet_pton(AF_INET, address, &to->ipv4) == 1) {
		to->has_ipv4 = true;
		to->ipv4_length = (uint8_t)length;
		return 0;
	}
	if (!to->has_ipv6 && inet_pton(AF_INET6, address, &to->ipv6) == 1) {
		to->has_ipv6 = true;
		to->ipv6_length = (uint8_t)length;
		return 0;
	}
	return -1;
}

static int set(struct podport_client *client, const struct options *options,
	       struct podport_error *error)
{
	struct podport_set_network_request request = PODPORT_SET_NETWORK_REQUEST_INIT;
	struct podport_pod_network *network;
	struct prefixes prefixes = {0};

	if (options->argument_count == 1) {
		fprintf(stderr, "podportctl: network set: which PREFIX?\n");
		return EXIT_USAGE;
	}
	for (int i = 1; i < options->argument_count; i++) {
		if (parse_prefix(options->arguments[i], &prefixes) == 0)
			continue;
		fprintf(stderr,
			"podportctl: network set: '%s' is no prefix (10.88.0.0/16), or the second "
			"of its family\n",
			options->arguments[i]);
		return EXIT_USAGE;
	}
	request.ipv4 = prefixes.has_ipv4 ? &prefixes.ipv4 : NULL;
	request.ipv4_prefix_length = prefixes.ipv4_length;
	request.ipv6 = prefixes.has_ipv6 ? &prefixes.ipv6 : NULL;
	request.ipv6_prefix_length = prefixes.ipv6_length;
	request.mtu = options->mtu;
	int r = podport_set_network(client, &request, &network, error);

	if (r < 0)
		return r;
	print(options, network);
	podport_pod_network_free(network);
	return EXIT_DONE;
}

static int show(struct podport_client *client, const struct options *options,
		struct podport_error *error)
{
	struct podport_status *status;
	int r = podport_get_status(client, &status, error);

	if (r < 0)
		return r;
	if (status->agent == NULL) {
		fprintf(stderr, "podportctl: the agent at %s does not answer\n",
			status->host->agent_url);
		podport_status_free(status);
		return EXIT_NOT;
	}
	print(options, status->agent->pod_network);
	podport_status_free(status);
	return EXIT_DONE;
}

static int run(struct podport_client *client, const struct options *options,
	       struct podport_error *error)
{
	if (options->argument_count == 0 && options->mtu == 0)
		return show(client, options, error);
	if (options->argument_count > 0 && strcmp(options->arguments[0], "set") == 0)
		return set(client, options, error);
	fprintf(stderr, "podportctl: network: say 'set PREFIX...', or nothing to see it\n");
	return EXIT_USAGE;
}

const struct command command_network = {
	.name = "network",
	.summary = "the pod network; 'network set PREFIX...' makes another the pods'",
	.arguments = "[set PREFIX... [--mtu BYTES]]",
	.help = "The prefixes that pods get their addresses from. With 'set', these are the "
		"prefixes "
		"from now\n"
		"on, also after a restart of the agent, until pod_network of its configuration is "
		"changed: one\n"
		"IPv4 prefix (/8 to /30), one IPv6 prefix (/48 to /126), or both; a family that is "
		"not given\n"
		"is no more. It is refused, and nothing changes, while pods have addresses that "
		"the "
		"new one\n"
		"has not; they are named. Pods that are there keep their MTU.\n"
		"\n"
		"--json: {\"pod_network\": {...}}, null: none is known yet, with\n"
		"  ipv4, ipv6                    prefixes, null where it has none\n"
		"  gateway_ipv4, gateway_ipv6    strings, null where it has none\n"
		"  mtu                           number\n"
		"  router_mac                    string\n",
	.run = run,
};
