// SPDX-License-Identifier: BSD-3-Clause
//
// Any bytes as a network configuration: accepted or refused with a sentence, never a crash; and what
// ADD then prints is what CHECK accepts.

#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cni/netconf.h"
#include "cni/result.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NETNS "/run/netns/blue"

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void print_and_check(const struct netconf *netconf)
{
	struct podport_attachment attachment = {
		.key = {netconf->name, "c0ffee", "eth0"},
		.has_ipv4 = true,
		.has_ipv6 = true,
		.mac = {2, 0, 0, 0, 0, 7},
		.mtu = 1500,
		.port_kind = "function",
		.socket_path = "",
	};
	struct prev_result checked;
	struct cni_error error;
	json_t *result;

	inet_pton(AF_INET, "10.88.0.7", &attachment.ipv4);
	inet_pton(AF_INET, "10.88.0.1", &attachment.gateway_ipv4);
	inet_pton(AF_INET6, "fd00:88::7", &attachment.ipv6);
	inet_pton(AF_INET6, "fd00:88::1", &attachment.gateway_ipv6);
	result = result_json(netconf, NETNS, &attachment);
	must(result != NULL);
	must(prev_result_parse(result, &checked, &error) == 0);
	must(checked.interface_count == netconf->checked.interface_count + 1);
	must(checked.ip_count == netconf->checked.ip_count + 2);
	// An interface of our name before us in the chain hides ours; hostd refuses that.
	bool hidden = false;
	for (size_t i = 0; i < netconf->checked.interface_count; i++)
		hidden |= strcmp(netconf->checked.interfaces[i].name, "eth0") == 0;
	must(hidden || prev_result_compare(&checked, NETNS, &attachment, &error) == 0);
	prev_result_clear(&checked);
	json_decref(result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum cni_command commands[] = {CNI_COMMAND_ADD, CNI_COMMAND_DEL,
						    CNI_COMMAND_CHECK, CNI_COMMAND_STATUS,
						    CNI_COMMAND_GC};
	const char *text = (const char *)data, *version;
	struct cni_error error;
	json_t *json;

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		struct netconf netconf;

		if (netconf_parse(text, size, commands[i], &netconf, &error) == 0) {
			if (commands[i] == CNI_COMMAND_ADD)
				print_and_check(&netconf);
		} else {
			must(error.code != 0 && error.message[0] != '\0');
			json = cni_error_json(&error, cni_version_name(netconf.version));
			must(json != NULL);
			json_decref(json);
		}
		netconf_clear(&netconf);
	}
	if (netconf_parse_version(text, size, &json, &version, &error) == 0)
		json_decref(json);
	return 0;
}
