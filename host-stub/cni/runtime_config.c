// SPDX-License-Identifier: BSD-3-Clause
//
// See runtime_config.h.

#include "cni/runtime_config.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proto/codec.h"

static const struct field config_field = {"runtimeConfig"};

static int invalid(struct cni_error *error, const struct error *err)
{
	return cni_error_set(error, CNI_INVALID_CONFIG, "%s", err->message);
}

int refuse_field(const struct field *field, const json_t *value, const char *instead,
		 struct cni_error *error)
{
	char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

	cni_error_set(error, CNI_UNSUPPORTED_FIELD, "%s: %.200s: not supported; %s", field->name,
		      text != NULL ? text : "", instead);
	free(text);
	return -1;
}

// ---- addresses and MAC ---------------------------------------------------------------------------

static int parse_ips(const json_t *object, const struct field *parent, struct wishes *wishes,
		     struct cni_error *error)
{
	struct field field = field_in(parent, "ips");
	json_t *list, *item;
	struct error err;
	const char *text;
	size_t i;

	if (field_get(object, parent, "ips", JSON_ARRAY, &list, error) < 0)
		return -1;
	// The higher of two sources replaces the lower one.
	if (json_array_size(list) > 0)
		wishes->has_ipv4 = wishes->has_ipv6 = false;
	json_array_foreach(list, i, item)
	{
		struct field at = field_at(&field, i);
		if (field_expect_string(item, &at, &text, error) < 0)
			return -1;
		if (wishes_add_ip(wishes, at.name, text, &err) < 0)
			return invalid(error, &err);
	}
	return 0;
}

static int parse_mac(const json_t *object, const struct field *parent, struct wishes *wishes,
		     struct cni_error *error)
{
	struct error err;
	const char *text;

	if (field_get_string(object, parent, "mac", &text, error) < 0)
		return -1;
	if (text == NULL || text[0] == '\0')
		return 0;
	if (wishes_add_mac(wishes, field_in(parent, "mac").name, text, &err) < 0)
		return invalid(error, &err);
	return 0;
}

int wishes_parse(const json_t *object, const struct field *parent, struct wishes *wishes,
		 struct cni_error *error)
{
	if (parse_ips(object, parent, wishes, error) < 0 ||
	    parse_mac(object, parent, wishes, error) < 0)
		return -1;
	return wishes_parse_port(object, parent, wishes, error);
}

int wishes_parse_port(const json_t *object, const struct field *parent, struct wishes *wishes,
		      struct cni_error *error)
{
	struct field field;
	const char *text;
	struct error err;

	if (field_get_string(object, parent, "portKind", &text, error) < 0)
		return -1;
	if (text == NULL)
		return 0;
	field = field_in(parent, "portKind");
	if (wishes_add_port(wishes, field.name, text, &err) < 0)
		return invalid(error, &err);
	return 0;
}

// ---- dns -----------------------------------------------------------------------------------------

// The runtime's names of the lists are not those of the result.
static int take_dns_list(const json_t *from, const struct field *field, const char *runtime_key,
			 const char *result_key, json_t **dns, struct cni_error *error)
{
	const json_t *list = json_member(from, runtime_key);

	if (field_check_strings(from, field, runtime_key, error) < 0)
		return -1;
	if (json_array_size(list) == 0)
		return 0;
	if (*dns == NULL)
		*dns = json_object();
	if (json_object_set_new(*dns, result_key, json_deep_copy(list)) < 0)
		return cni_error_from(error, CODE_INTERNAL, "out of memory");
	return 0;
}

static int parse_dns(const json_t *config, json_t **dns, struct cni_error *error)
{
	const struct field field = field_in(&config_field, "dns");
	json_t *from;

	if (field_get(config, &config_field, "dns", JSON_OBJECT, &from, error) < 0)
		return -1;
	if (from == NULL)
		return 0;
	if (take_dns_list(from, &field, "servers", "nameservers", dns, error) < 0 ||
	    take_dns_list(from, &field, "searches", "search", dns, error) < 0)
		return -1;
	return take_dns_list(from, &field, "options", "options", dns, error);
}

// ---- bandwidth -----------------------------------------------------------------------------------

static int parse_number(const json_t *object, const struct field *parent, const char *key,
			uint64_t low, uint64_t high, uint64_t *ret_value, struct cni_error *error)
{
	json_t *member;

	if (field_get(object, parent, key, JSON_INTEGER, &member, error) < 0)
		return -1;
	if (member == NULL)
		return 0;

	json_int_t value = json_integer_value(member);
	if (value != 0 && (value < (json_int_t)low || value > (json_int_t)high))
		return cni_error_set(error, CNI_INVALID_CONFIG,
				     "%s: %" JSON_INTEGER_FORMAT " is not in %llu..%llu",
				     field_in(parent, key).name, value, (unsigned long long)low,
				     (unsigned long long)high);
	*ret_value = (uint64_t)value;
	return 0;
}

static int parse_bandwidth(const json_t *config, struct bandwidth *ret_bandwidth,
			   struct cni_error *error)
{
	const struct field field = field_in(&config_field, "bandwidth");
	struct bandwidth b = {0};
	json_t *from;

	if (field_get(config, &config_field, "bandwidth", JSON_OBJECT, &from, error) < 0)
		return -1;
	if (from == NULL)
		return 0;
	if (parse_number(from, &field, "ingressRate", RATE_MIN_BPS, RATE_MAX_BPS,
			 &b.ingress_rate_bps, error) < 0 ||
	    parse_number(from, &field, "ingressBurst", 1, BURST_MAX_BITS, &b.ingress_burst_bits,
			 error) < 0 ||
	    parse_number(from, &field, "egressRate", RATE_MIN_BPS, RATE_MAX_BPS, &b.egress_rate_bps,
			 error) < 0 ||
	    parse_number(from, &field, "egressBurst", 1, BURST_MAX_BITS, &b.egress_burst_bits,
			 error) < 0)
		return -1;
	// A burst without a rate limits nothing (containerd sets it always).
	if (b.ingress_rate_bps == 0)
		b.ingress_burst_bits = 0;
	if (b.egress_rate_bps == 0)
		b.egress_burst_bits = 0;
	*ret_bandwidth = b;
	return 0;
}

// ---- port mappings -------------------------------------------------------------------------------

static int parse_protocol(const json_t *object, const struct field *parent, uint8_t *ret_protocol,
			  struct cni_error *error)
{
	const struct field field = field_in(parent, "protocol");
	const char *text;

	if (field_get_string(object, parent, "protocol", &text, error) < 0)
		return -1;
	if (text == NULL || text[0] == '\0' || strcasecmp(text, "tcp") == 0)
		*ret_protocol = IPPROTO_TCP;
	else if (strcasecmp(text, "udp") == 0)
		*ret_protocol = IPPROTO_UDP;
	else if (strcasecmp(text, "sctp") == 0)
		return refuse_field(&field, json_member(object, "protocol"),
				    "podport maps ports of TCP and UDP", error);
	else
		return cni_error_set(error, CNI_INVALID_CONFIG,
				     "%s: '%.32s' is none of tcp, udp, sctp", field.name, text);
	return 0;
}

static int parse_host_ip(const json_t *object, const struct field *parent,
			 struct port_mapping *mapping, struct cni_error *error)
{
	const char *text;

	if (field_get_string(object, parent, "hostIP", &text, error) < 0)
		return -1;
	if (text == NULL || text[0] == '\0')
		return 0;
	if (inet_pton(AF_INET, text, mapping->host_ip) == 1)
		mapping->host_family = 4;
	else if (inet_pton(AF_INET6, text, mapping->host_ip) == 1)
		mapping->host_family = 6;
	else
		return cni_error_set(error, CNI_INVALID_CONFIG,
				     "%s: '%.64s' is no IPv4 or IPv6 address",
				     field_in(parent, "hostIP").name, text);
	return 0;
}

// Returns 1 if there is one, 0 if no port of the host leads to this port of the pod.
static int parse_mapping(const json_t *object, const struct field *field,
			 struct port_mapping *ret_mapping, struct cni_error *error)
{
	struct port_mapping mapping = {0};
	uint32_t host_port = 0, container_port = 0;

	if (field_expect(object, field, JSON_OBJECT, error) < 0 ||
	    field_get_integer(object, field, "hostPort", 0, UINT16_MAX, &host_port, error) < 0)
		return -1;
	if (host_port == 0)
		return 0;
	if (field_get_integer(object, field, "containerPort", 1, UINT16_MAX, &container_port,
			      error) < 0)
		return -1;
	if (container_port == 0)
		return cni_error_set(error, CNI_INVALID_CONFIG, "%s: missing",
				     field_in(field, "containerPort").name);
	mapping.host_port = (uint16_t)host_port;
	mapping.container_port = (uint16_t)container_port;
	if (parse_protocol(object, field, &mapping.protocol, error) < 0 ||
	    parse_host_ip(object, field, &mapping, error) < 0)
		return -1;
	*ret_mapping = mapping;
	return 1;
}

static int parse_mappings(const json_t *config, struct port_mappings *mappings,
			  struct cni_error *error)
{
	const struct field field = field_in(&config_field, "portMappings");
	json_t *list, *item;
	struct error err;
	size_t i;

	if (field_get(config, &config_field, "portMappings", JSON_ARRAY, &list, error) < 0)
		return -1;
	json_array_foreach(list, i, item)
	{
		struct port_mapping mapping;
		struct field at = field_at(&field, i);
		int r = parse_mapping(item, &at, &mapping, error);

		if (r < 0)
			return r;
		if (r == 0)
			continue;
		if (mappings->count == LIMIT_PORT_MAPPINGS)
			return cni_error_set(error, CNI_INVALID_CONFIG, "%s: more than %d",
					     field.name, (int)LIMIT_PORT_MAPPINGS);
		mappings->items[mappings->count++] = mapping;
	}
	return check_port_mappings(field.name, mappings, &err) < 0 ? invalid(error, &err) : 0;
}

// ---- what podport cannot do ----------------------------------------------------------------------

static bool is_empty(const json_t *value)
{
	return (json_is_array(value) && json_array_size(value) == 0) ||
	       (json_is_object(value) && json_object_size(value) == 0) ||
	       (json_is_string(value) && json_string_length(value) == 0);
}

// [[]] is what a list of no ranges can look like.
static bool ranges_over_nothing(const json_t *ranges)
{
	const json_t *range;
	size_t i;

	if (!json_is_array(ranges))
		return false;
	json_array_foreach(ranges, i, range)
	{
		if (!json_is_array(range) || json_array_size(range) > 0)
			return false;
	}
	return true;
}

static int refuse_what_cannot_be_done(const json_t *config, struct cni_error *error)
{
	static const struct {
		const char *key;
		bool (*asks_nothing)(const json_t *value);
		const char *instead;
	} table[] = {
		{"ipRanges", ranges_over_nothing,
		 "the pod network is the agent's; take it out of this plugin's capabilities"},
		{"aliases", is_empty,
		 "podport has no name service; take it out of this plugin's capabilities"},
		{"deviceID", is_empty,
		 "the agent chooses the function; take it out of this plugin's capabilities"},
		{"infinibandGUID", is_empty,
		 "podport is for Ethernet; take it out of this plugin's capabilities"},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const json_t *value = json_member(config, table[i].key);
		struct field field = field_in(&config_field, table[i].key);

		if (value != NULL && !is_empty(value) && !table[i].asks_nothing(value))
			return refuse_field(&field, value, table[i].instead, error);
	}
	return 0;
}

// ---- all -----------------------------------------------------------------------------------------

int runtime_config_parse(const json_t *netconf, struct wishes *wishes, json_t **dns,
			 struct cni_error *error)
{
	const char *ignored;
	json_t *config;

	if (field_get(netconf, NULL, "runtimeConfig", JSON_OBJECT, &config, error) < 0)
		return -1;
	if (config == NULL)
		return 0;
	if (refuse_what_cannot_be_done(config, error) < 0 ||
	    wishes_parse(config, &config_field, wishes, error) < 0 ||
	    parse_bandwidth(config, &wishes->bandwidth, error) < 0 ||
	    parse_mappings(config, &wishes->port_mappings, error) < 0 ||
	    field_get_string(config, &config_field, "cgroupPath", &ignored, error) < 0)
		return -1;
	return parse_dns(config, dns, error);
}
