// SPDX-License-Identifier: BSD-3-Clause
//
// What a pod may have besides its interface, both ways: a limited bandwidth, ports of the host.

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "proto/codec_private.h"

// ---- what is good, for all edges -----------------------------------------------------------------

// The name of the first number that is out of range. 0 (none) or -1.
static int bandwidth_problem(const struct bandwidth *b, const char **ret_name, uint64_t *ret_value,
			     uint64_t *ret_low, uint64_t *ret_high)
{
	const struct {
		const char *rate_name, *burst_name;
		uint64_t rate, burst;
	} directions[] = {
		{"ingress_rate_bps", "ingress_burst_bits", b->ingress_rate_bps,
		 b->ingress_burst_bits},
		{"egress_rate_bps", "egress_burst_bits", b->egress_rate_bps, b->egress_burst_bits},
	};

	for (int i = 0; i < 2; i++) {
		uint64_t rate = directions[i].rate, burst = directions[i].burst;
		uint64_t burst_max = rate != 0 ? BURST_MAX_BITS : 0;

		if (rate != 0 && (rate < RATE_MIN_BPS || rate > RATE_MAX_BPS)) {
			*ret_name = directions[i].rate_name;
			*ret_value = rate;
			*ret_low = RATE_MIN_BPS;
			*ret_high = RATE_MAX_BPS;
			return -1;
		}
		if (burst > burst_max) {
			*ret_name = directions[i].burst_name;
			*ret_value = burst;
			*ret_low = 0;
			*ret_high = burst_max;
			return -1;
		}
	}
	return 0;
}

int check_bandwidth(const char *field, const struct bandwidth *value, struct error *err)
{
	uint64_t number, low, high;
	const char *name;

	if (bandwidth_problem(value, &name, &number, &low, &high) == 0)
		return 0;
	return error_set(err, EINVAL, CODE_BAD_REQUEST, "%s.%s: %llu is not in %llu..%llu", field,
			 name, (unsigned long long)number, (unsigned long long)low,
			 (unsigned long long)high);
}

// What is wrong with it; NULL: nothing.
static const char *mapping_problem(const struct port_mapping *mapping, const char **ret_name)
{
	static const uint8_t none[16];
	size_t length = mapping->host_family == 4 ? 4 : mapping->host_family == 6 ? 16 : 0;

	*ret_name = "protocol";
	if (mapping->protocol != IPPROTO_TCP && mapping->protocol != IPPROTO_UDP)
		return "is neither TCP's nor UDP's";
	*ret_name = "host_port";
	if (mapping->host_port == 0)
		return "is 0";
	*ret_name = "container_port";
	if (mapping->container_port == 0)
		return "is 0";
	*ret_name = "host_family";
	if (mapping->host_family != 0 && length == 0)
		return "is none of 0, 4, 6";
	*ret_name = "host_ip";
	return memcmp(mapping->host_ip + length, none, sizeof(none) - length) != 0
		       ? "is not of host_family"
		       : NULL;
}

int check_port_mappings(const char *field, const struct port_mappings *value, struct error *err)
{
	uint32_t twice;

	if (value->count > LIMIT_PORT_MAPPINGS)
		return error_set(err, EINVAL, CODE_BAD_REQUEST, "%s: %u are more than %d", field,
				 value->count, (int)LIMIT_PORT_MAPPINGS);
	for (uint32_t i = 0; i < value->count; i++) {
		const char *name, *problem = mapping_problem(&value->items[i], &name);

		if (problem != NULL)
			return error_set(err, EINVAL, CODE_BAD_REQUEST, "%s[%u].%s: %s", field, i,
					 name, problem);
	}
	twice = port_mappings_twice(value);
	if (twice < value->count)
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "%s[%u].host_port: %u is given twice", field, twice,
				 value->items[twice].host_port);
	return 0;
}

// ---- out of a message ----------------------------------------------------------------------------

int decode_bandwidth(const Podport__Wire__Bandwidth *from, const struct where *at,
		     struct bandwidth *ret_bandwidth, struct error *err)
{
	uint64_t value, low, high;
	const char *name;

	memset(ret_bandwidth, 0, sizeof(*ret_bandwidth));
	if (from == NULL)
		return 0;
	ret_bandwidth->ingress_rate_bps = from->ingress_rate_bps;
	ret_bandwidth->ingress_burst_bits = from->ingress_burst_bits;
	ret_bandwidth->egress_rate_bps = from->egress_rate_bps;
	ret_bandwidth->egress_burst_bits = from->egress_burst_bits;
	if (bandwidth_problem(ret_bandwidth, &name, &value, &low, &high) == 0)
		return 0;
	return take_range(value, low, high, at, name, err);
}

static int decode_mapping(const Podport__Wire__PortMapping *from, const struct where *at,
			  struct port_mapping *to, struct error *err)
{
	bool has_ipv4, has_ipv6;
	struct in6_addr ipv6;
	struct in_addr ipv4;
	int r;

	if ((r = take_range(from->host_port, 1, UINT16_MAX, at, "host_port", err)) < 0 ||
	    (r = take_range(from->container_port, 1, UINT16_MAX, at, "container_port", err)) < 0 ||
	    (r = take_ipv4(from->host_ipv4, at, "host_ipv4", &has_ipv4, &ipv4, err)) < 0 ||
	    (r = take_ipv6(from->host_ipv6, at, "host_ipv6", &has_ipv6, &ipv6, err)) < 0)
		return r;
	if (from->protocol != IPPROTO_TCP && from->protocol != IPPROTO_UDP)
		return bad_field(err, CODE_BAD_REQUEST, at, "protocol",
				 "%u is neither TCP's nor UDP's", from->protocol);
	if (from->host_family != 0 && from->host_family != 4 && from->host_family != 6)
		return bad_field(err, CODE_BAD_REQUEST, at, "host_family", "%u is none of 0, 4, 6",
				 from->host_family);
	if (has_ipv4 && from->host_family != 4)
		return bad_field(err, CODE_BAD_REQUEST, at, "host_ipv4", "beside host_family %u",
				 from->host_family);
	if (has_ipv6 && from->host_family != 6)
		return bad_field(err, CODE_BAD_REQUEST, at, "host_ipv6", "beside host_family %u",
				 from->host_family);
	to->host_port = (uint16_t)from->host_port;
	to->container_port = (uint16_t)from->container_port;
	to->protocol = (uint8_t)from->protocol;
	to->host_family = (uint8_t)from->host_family;
	if (has_ipv4)
		memcpy(to->host_ip, &ipv4, sizeof(ipv4));
	if (has_ipv6)
		memcpy(to->host_ip, &ipv6, sizeof(ipv6));
	return 0;
}

int decode_port_mappings(Podport__Wire__PortMapping *const *from, size_t count,
			 const struct where *at, struct port_mappings *ret_mappings,
			 struct error *err)
{
	uint32_t twice;

	memset(ret_mappings, 0, sizeof(*ret_mappings));
	for (size_t i = 0; i < count; i++) { // the scan has counted them: LIMIT_PORT_MAPPINGS
		int r = decode_mapping(from[i], &WHERE_ITEM(at, "port_mappings", i),
				       &ret_mappings->items[i], err);

		if (r < 0)
			return r;
	}
	ret_mappings->count = (uint32_t)count;
	twice = port_mappings_twice(ret_mappings);
	if (twice < ret_mappings->count)
		return bad_field(err, CODE_BAD_REQUEST, &WHERE_ITEM(at, "port_mappings", twice),
				 "host_port", "%u is given twice",
				 ret_mappings->items[twice].host_port);
	return 0;
}

// ---- into a message ------------------------------------------------------------------------------

Podport__Wire__Bandwidth *put_bandwidth(Podport__Wire__Bandwidth *to, const struct bandwidth *from)
{
	if (!bandwidth_is_limited(from))
		return NULL;
	podport__wire__bandwidth__init(to);
	to->ingress_rate_bps = from->ingress_rate_bps;
	to->ingress_burst_bits = from->ingress_burst_bits;
	to->egress_rate_bps = from->egress_rate_bps;
	to->egress_burst_bits = from->egress_burst_bits;
	return to;
}

size_t put_port_mappings(struct port_mappings_wire *to, const struct port_mappings *from)
{
	static const uint8_t any[16];

	assert(from->count <= LIMIT_PORT_MAPPINGS);
	for (uint32_t i = 0; i < from->count; i++) {
		const struct port_mapping *mapping = &from->items[i];
		Podport__Wire__PortMapping *message = &to->items[i];
		bool has_ip = memcmp(mapping->host_ip, any, sizeof(any)) != 0;

		podport__wire__port_mapping__init(message);
		message->protocol = mapping->protocol;
		message->host_port = mapping->host_port;
		message->container_port = mapping->container_port;
		message->host_family = mapping->host_family;
		message->host_ipv4 =
			put_bytes(has_ip && mapping->host_family == 4, mapping->host_ip, 4);
		message->host_ipv6 =
			put_bytes(has_ip && mapping->host_family == 6, mapping->host_ip, 16);
		to->pointers[i] = message;
	}
	return from->count;
}
