// SPDX-License-Identifier: BSD-3-Clause
//
// The network configuration, key by key.

#include "cni/netconf.h"

#include <string.h>
#include <sys/un.h>

#include "cni/json_field.h"
#include "proto/codec.h"

const char *cni_version_name(enum cni_version version)
{
	static const char *const names[] = {
		[CNI_0_3_0] = "0.3.0",
		[CNI_0_3_1] = "0.3.1",
		[CNI_0_4_0] = "0.4.0",
		[CNI_1_0_0] = "1.0.0",
		[CNI_1_1_0] = "1.1.0",
	};

	return names[version];
}

static int invalid(struct cni_error *error, const struct error *err)
{
	return cni_error_set(error, CNI_INVALID_CONFIG, "%s", err->message);
}

// ---- the document --------------------------------------------------------------------------------

static int load(const char *text, size_t size, json_t **ret_root, struct cni_error *error)
{
	json_error_t json_error;
	json_t *root = json_loadb(text, size, 0, &json_error);

	if (root == NULL)
		return cni_error_set(error, CNI_DECODING_FAILURE,
				     "the network configuration is no JSON: line %d, column %d: %s",
				     json_error.line, json_error.column, json_error.text);
	if (!json_is_object(root)) {
		json_decref(root);
		return cni_error_set(error, CNI_DECODING_FAILURE,
				     "the network configuration is no JSON object");
	}
	*ret_root = root;
	return 0;
}

static int parse_version(const json_t *root, enum cni_version *ret_version, struct cni_error *error)
{
	const char *text;

	if (field_get_string(root, NULL, "cniVersion", &text, error) < 0)
		return -1;
	for (int i = 0; text != NULL && i < CNI_VERSION_COUNT; i++) {
		if (strcmp(text, cni_version_name((enum cni_version)i)) == 0) {
			*ret_version = (enum cni_version)i;
			return 0;
		}
	}
	return cni_error_set(error, CNI_INCOMPATIBLE_VERSION,
			     "cniVersion: %s%.32s%s; podport-cni knows 0.3.0, 0.3.1, 0.4.0, 1.0.0 and "
			     "1.1.0",
			     text != NULL ? "'" : "", text != NULL ? text : "not set",
			     text != NULL ? "' is not supported" : "");
}

static int check_command(enum cni_command command, enum cni_version version,
			 struct cni_error *error)
{
	// The version that brought the command; the others were always there.
	static const enum cni_version since[] = {
		[CNI_COMMAND_CHECK] = CNI_0_4_0,
		[CNI_COMMAND_STATUS] = CNI_1_1_0,
		[CNI_COMMAND_GC] = CNI_1_1_0,
		[CNI_COMMAND_VERSION] = CNI_0_3_0,
	};

	if (version < since[command])
		return cni_error_set(error, CNI_INCOMPATIBLE_VERSION,
				     "cniVersion: '%s' has no command %s; %s has",
				     cni_version_name(version), cni_command_name(command),
				     cni_version_name(since[command]));
	// To succeed without having looked would tell the runtime that nothing is left over.
	if (command == CNI_COMMAND_GC)
		return cni_error_set(error, CNI_INVALID_ENVIRONMENT,
				     "CNI_COMMAND: 'GC' is not supported by podport-cni %s; "
				     "podport-hostd releases what dead sandboxes leave by itself",
				     PODPORT_VERSION);
	return 0;
}

// ---- keys of all commands ------------------------------------------------------------------------

static int parse_common(struct netconf *netconf, struct cni_error *error)
{
	const size_t path_max = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
	struct error err;

	if (field_get_string(netconf->root, NULL, "name", &netconf->name, error) < 0 ||
	    field_get_string(netconf->root, NULL, "socket", &netconf->socket, error) < 0 ||
	    field_get_integer(netconf->root, NULL, "timeout_ms", 1, TIMEOUT_MAX_MS,
			      &netconf->timeout_ms, error) < 0)
		return -1;
	if (netconf->name == NULL)
		return cni_error_set(error, CNI_INVALID_CONFIG, "name: missing");
	if (check_name("name", netconf->name, &err) < 0)
		return invalid(error, &err);
	if (netconf->socket != NULL &&
	    (netconf->socket[0] != '/' || strlen(netconf->socket) > path_max))
		return cni_error_set(error, CNI_INVALID_CONFIG,
				     "socket: '%s' is not an absolute path of at most %zu bytes",
				     netconf->socket, path_max);
	return 0;
}

// ---- keys of ADD and CHECK -----------------------------------------------------------------------

static int parse_dns(struct netconf *netconf, struct cni_error *error)
{
	const struct field field = {"dns"};
	const char *domain;
	json_t *dns;

	if (field_get(netconf->root, NULL, "dns", JSON_OBJECT, &dns, error) < 0)
		return -1;
	if (dns == NULL)
		return 0;
	if (field_check_strings(dns, &field, "nameservers", error) < 0 ||
	    field_get_string(dns, &field, "domain", &domain, error) < 0 ||
	    field_check_strings(dns, &field, "search", error) < 0 ||
	    field_check_strings(dns, &field, "options", error) < 0)
		return -1;
	netconf->dns = dns;
	return 0;
}

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

static int parse_args(struct netconf *netconf, struct cni_error *error)
{
	const struct field args_field = {"args"}, cni_field = {"args.cni"};
	json_t *args, *cni;

	if (field_get(netconf->root, NULL, "args", JSON_OBJECT, &args, error) < 0)
		return -1;
	if (args == NULL)
		return 0;
	if (field_get(args, &args_field, "cni", JSON_OBJECT, &cni, error) < 0)
		return -1;
	if (cni == NULL)
		return 0;
	if (parse_ips(cni, &cni_field, &netconf->wishes, error) < 0)
		return -1;
	return parse_mac(cni, &cni_field, &netconf->wishes, error);
}

static bool is_empty(const json_t *value)
{
	return (json_is_array(value) && json_array_size(value) == 0) ||
	       (json_is_object(value) && json_object_size(value) == 0) ||
	       (json_is_string(value) && json_string_length(value) == 0);
}

static int unsupported(const struct field *field, const json_t *value, const char *instead,
		       struct cni_error *error)
{
	char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

	cni_error_set(error, CNI_UNSUPPORTED_FIELD, "%s: %.200s: not supported; %s", field->name,
		      text != NULL ? text : "", instead);
	free(text);
	return -1;
}

static int parse_runtime_config(struct netconf *netconf, struct cni_error *error)
{
	// A runtime sends these only to a plugin whose `capabilities` ask for them; to do nothing
	// about them would break what the pod was promised. Others (dns, cgroupPath, labels,
	// annotations) inform.
	static const char *const must_act_on[] = {"portMappings", "bandwidth",      "ipRanges",
						  "aliases",      "infinibandGUID", "deviceID"};
	const struct field field = {"runtimeConfig"};
	json_t *runtime_config;

	if (field_get(netconf->root, NULL, "runtimeConfig", JSON_OBJECT, &runtime_config, error) <
	    0)
		return -1;
	if (runtime_config == NULL)
		return 0;
	for (size_t i = 0; i < sizeof(must_act_on) / sizeof(must_act_on[0]); i++) {
		const json_t *value = json_member(runtime_config, must_act_on[i]);
		if (value != NULL && !is_empty(value)) {
			struct field at = field_in(&field, must_act_on[i]);
			return unsupported(&at, value, "take it out of this plugin's capabilities",
					   error);
		}
	}
	if (parse_ips(runtime_config, &field, &netconf->wishes, error) < 0)
		return -1;
	return parse_mac(runtime_config, &field, &netconf->wishes, error);
}

static int parse_attachment(struct netconf *netconf, struct cni_error *error)
{
	const struct field ipam_field = {"ipam"};
	json_t *ipam;

	if (field_get_integer(netconf->root, NULL, "mtu", MTU_MIN, MTU_MAX, &netconf->mtu, error) <
		    0 ||
	    field_get(netconf->root, NULL, "ipam", JSON_OBJECT, &ipam, error) < 0)
		return -1;
	if (ipam != NULL && !is_empty(ipam))
		return unsupported(&ipam_field, ipam, "podport's agent allocates the addresses",
				   error);
	// From the weakest to the strongest source.
	if (parse_args(netconf, error) < 0 || parse_runtime_config(netconf, error) < 0)
		return -1;
	return parse_dns(netconf, error);
}

static int parse_prev_result(struct netconf *netconf, enum cni_command command,
			     struct cni_error *error)
{
	json_t *prev_result;

	if (field_get(netconf->root, NULL, "prevResult", JSON_OBJECT, &prev_result, error) < 0)
		return -1;
	if (prev_result == NULL && command == CNI_COMMAND_CHECK)
		return cni_error_set(error, CNI_INVALID_CONFIG,
				     "prevResult: missing; CHECK compares with it");
	if (prev_result == NULL)
		return 0;
	if (prev_result_parse(prev_result, &netconf->checked, error) < 0)
		return -1;
	netconf->prev_result = prev_result;
	return 0;
}

// ---- all -----------------------------------------------------------------------------------------

int netconf_parse(const char *text, size_t size, enum cni_command command,
		  struct netconf *ret_netconf, struct cni_error *error)
{
	struct netconf *netconf = ret_netconf;

	*netconf = (struct netconf){.version = CNI_VERSION_NEWEST};
	if (load(text, size, &netconf->root, error) < 0 ||
	    parse_version(netconf->root, &netconf->version, error) < 0 ||
	    check_command(command, netconf->version, error) < 0 || parse_common(netconf, error) < 0)
		return -1;
	if (command == CNI_COMMAND_ADD && parse_attachment(netconf, error) < 0)
		return -1;
	if (command == CNI_COMMAND_ADD || command == CNI_COMMAND_CHECK)
		return parse_prev_result(netconf, command, error);
	return 0;
}

int netconf_parse_version(const char *text, size_t size, json_t **ret_root,
			  const char **ret_version, struct cni_error *error)
{
	const char *version = NULL;
	json_t *root = NULL;

	if (size > 0 && (load(text, size, &root, error) < 0 ||
			 field_get_string(root, NULL, "cniVersion", &version, error) < 0)) {
		json_decref(root);
		return -1;
	}
	*ret_root = root;
	*ret_version = version != NULL ? version : cni_version_name(CNI_VERSION_NEWEST);
	return 0;
}

void netconf_clear(struct netconf *netconf)
{
	prev_result_clear(&netconf->checked);
	json_decref(netconf->root);
	*netconf = (struct netconf){0};
}
