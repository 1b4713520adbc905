// SPDX-License-Identifier: BSD-3-Clause

#include "main/config_masquerade.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pod/prefix.h"
#include "proto/base/config.h"

enum {
	// Those below are servers' by RFC 6335, and who looks at where a packet comes from may think so.
	PORT_MIN = 1024,
	PORTS_MIN = 256, // fewer are no use to more than a handful of pods
	IDENTIFIER_MIN = 1,
	TIMEOUT_MAX_S = 30 * 86400,
};

void masquerade_set_defaults(struct masquerade_config *config)
{
	*config = (struct masquerade_config){
		.first_port = 32768, // below are Kubernetes' node ports, and those that people map
		.last_port = UINT16_MAX,
		.first_identifier =
			1, // small ones are common: a container's processes have low numbers
		.last_identifier = UINT16_MAX,
		.connections = 65536,
		.pick_up = true,
		.timeouts = conntrack_default_timeouts,
	};
}

// "192.0.2.0/24", "2001:db8::/32"; an address alone is a prefix of its own.
int masquerade_parse_excluded(const char *text, void *target, struct error *err)
{
	struct masquerade_config *config = target;
	struct prefix prefix;
	int r = prefix_parse(AF_UNSPEC, text, true, &prefix, err);

	if (r < 0)
		return r;
	if (prefix_has_host_bits(&prefix))
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "'%s' has bits set behind its length", text);
	if (config->excluded_count == MASQUERADE_EXCLUDED_MAX)
		return error_set(err, EINVAL, CODE_BAD_REQUEST, "'%s' is one too many: up to %d",
				 text, MASQUERADE_EXCLUDED_MAX);
	struct masquerade_prefix *excluded = &config->excluded[config->excluded_count++];
	excluded->is_ipv6 = prefix.family == AF_INET6;
	excluded->length = prefix.length;
	memcpy(excluded->prefix, prefix.address, sizeof(excluded->prefix));
	return 0;
}

// `what`: "ports"
static int parse_range(const char *text, const char *what, unsigned int min, uint16_t *ret_first,
		       uint16_t *ret_last, struct error *err)
{
	unsigned int first, last;
	char more[2];

	if (sscanf(text, "%5u-%5u%1s", &first, &last, more) != 2)
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "'%s' is no range of %s (32768-65535)", text, what);
	if (first < min || last > UINT16_MAX || last < first + PORTS_MIN - 1)
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "'%s' is not within %u-65535, or has less than %d %s", text, min,
				 PORTS_MIN, what);
	*ret_first = (uint16_t)first;
	*ret_last = (uint16_t)last;
	return 0;
}

int masquerade_parse_ports(const char *text, void *target, struct error *err)
{
	struct masquerade_config *config = target;

	return parse_range(text, "ports", PORT_MIN, &config->first_port, &config->last_port, err);
}

int masquerade_parse_identifiers(const char *text, void *target, struct error *err)
{
	struct masquerade_config *config = target;

	return parse_range(text, "identifiers", IDENTIFIER_MIN, &config->first_identifier,
			   &config->last_identifier, err);
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
