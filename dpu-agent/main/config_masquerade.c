// SPDX-License-Identifier: BSD-3-Clause

#include "main/config_masquerade.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/config.h"

enum {
	// Those below are servers' by RFC 6335, and who looks at where a packet comes from may think so.
	PORT_MIN = 1024,
	PORTS_MIN = 256, // fewer are no use to more than a handful of pods
	TIMEOUT_MAX_S = 30 * 86400,
};

void masquerade_set_defaults(struct masquerade_config *config)
{
	*config = (struct masquerade_config){
		.first_port = 32768, // below are Kubernetes' node ports, and those that people map
		.last_port = UINT16_MAX,
		.connections = 65536,
		.pick_up = true,
		.timeouts = conntrack_default_timeouts,
	};
}

static bool has_host_bits(const struct masquerade_prefix *prefix)
{
	for (unsigned int bit = prefix->length; bit < (prefix->is_ipv6 ? 128u : 32u); bit++) {
		if (prefix->prefix[bit / 8] & (0x80 >> bit % 8))
			return true;
	}
	return false;
}

// "192.0.2.0/24", "2001:db8::/32"; an address alone is a prefix of its own.
int masquerade_parse_excluded(const char *text, void *target, struct error *err)
{
	struct masquerade_config *config = target;
	struct masquerade_prefix prefix = {.is_ipv6 = strchr(text, ':') != NULL};
	unsigned int length_max = prefix.is_ipv6 ? 128 : 32, length = length_max;
	char address[INET6_ADDRSTRLEN] = "", more[2];
	int fields = sscanf(text, "%45[0-9a-fA-F.:]/%3u%1s", address, &length, more);

	if (fields < 1 || fields > 2 || (fields == 1 && strcmp(text, address) != 0) ||
	    length > length_max ||
	    inet_pton(prefix.is_ipv6 ? AF_INET6 : AF_INET, address, prefix.prefix) != 1)
		return error_set(err, EINVAL, CODE_BAD_REQUEST, "'%s' is no prefix", text);
	prefix.length = (uint8_t)length;
	if (has_host_bits(&prefix))
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "'%s' has bits set behind its length", text);
	if (config->excluded_count == MASQUERADE_EXCLUDED_MAX)
		return error_set(err, EINVAL, CODE_BAD_REQUEST, "'%s' is one too many: up to %d",
				 text, MASQUERADE_EXCLUDED_MAX);
	config->excluded[config->excluded_count++] = prefix;
	return 0;
}

int masquerade_parse_ports(const char *text, void *target, struct error *err)
{
	struct masquerade_config *config = target;
	unsigned int first, last;
	char more[2];

	if (sscanf(text, "%5u-%5u%1s", &first, &last, more) != 2)
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "'%s' is no range of ports (32768-65535)", text);
	if (first < PORT_MIN || last > UINT16_MAX || last < first + PORTS_MIN - 1)
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "'%s' is not within %d-65535, or has less than %d ports", text,
				 PORT_MIN, PORTS_MIN);
	config->first_port = (uint16_t)first;
	config->last_port = (uint16_t)last;
	return 0;
}

int masquerade_parse_connections(const char *text, void *target, struct error *err)
{
	return config_parse_range(text, MASQUERADE_CONNECTIONS_MIN, MASQUERADE_CONNECTIONS_MAX,
				  target, err);
}

int masquerade_parse_timeout(const char *text, void *target, struct error *err)
{
	return config_parse_range(text, 1, TIMEOUT_MAX_S, target, err);
}

int masquerade_check(const char *file, const struct masquerade_config *config,
		     const struct uplink *uplink, struct error *err)
{
	if (config->ipv4 && !uplink->has_ipv4)
		return config_error(file, "masquerade.ipv4", err,
				    "needs uplink.ipv4: the address that pods are seen with");
	if (config->ipv6 && !uplink->has_ipv6)
		return config_error(file, "masquerade.ipv6", err,
				    "needs uplink.ipv6: the address that pods are seen with");
	return 0;
}
