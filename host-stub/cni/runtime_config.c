// SPDX-License-Identifier: BSD-3-Clause
//
// See runtime_config.h.

#include "cni/runtime_config.h"

#include <stdlib.h>
#include <string.h>

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

// ---- what podport cannot do ----------------------------------------------------------------------

static bool is_zero(const json_t *number)
{
	return number == NULL || (json_is_number(number) && json_number_value(number) == 0);
}

static bool is_empty(const json_t *value)
{
	return (json_is_array(value) && json_array_size(value) == 0) ||
	       (json_is_object(value) && json_object_size(value) == 0) ||
	       (json_is_string(value) && json_string_length(value) == 0);
}

// A port of the pod that no port of the host leads to.
static bool maps_no_port(const json_t *mappings)
{
	const json_t *mapping;
	size_t i;

	if (!json_is_array(mappings))
		return false;
	json_array_foreach(mappings, i, mapping)
	{
		if (!json_is_object(mapping) || !is_zero(json_member(mapping, "hostPort")))
			return false;
	}
	return true;
}

// A burst without a rate limits nothing (containerd sets it always).
static bool limits_nothing(const json_t *bandwidth)
{
	return json_is_object(bandwidth) && is_zero(json_member(bandwidth, "ingressRate")) &&
	       is_zero(json_member(bandwidth, "egressRate"));
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
		{"portMappings", maps_no_port,
		 "take it out of this plugin's capabilities and let the plugin portmap follow"},
		{"bandwidth", limits_nothing,
		 "podport limits no rates yet; take it out of this plugin's capabilities"},
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
	    field_get_string(config, &config_field, "cgroupPath", &ignored, error) < 0)
		return -1;
	return parse_dns(config, dns, error);
}
