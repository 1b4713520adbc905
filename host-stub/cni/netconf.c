// SPDX-License-Identifier: BSD-3-Clause
//
// The network configuration, key by key.

#include "cni/netconf.h"

#include <string.h>
#include <sys/un.h>

#include "cni/json_field.h"
#include "cni/runtime_config.h"
#include "proto/codec.h"

const char *cni_version_name(enum cni_version version)
{
	static const char *const names[] = {
		[CNI_0_3_0] = "0.3.0", [CNI_0_3_1] = "0.3.1", [CNI_0_4_0] = "0.4.0",
		[CNI_1_0_0] = "1.0.0", [CNI_1_1_0] = "1.1.0",
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
	return cni_error_set(
		error, CNI_INCOMPATIBLE_VERSION,
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
	netconf->dns = json_deep_copy(dns);
	if (netconf->dns == NULL)
		return cni_error_from(error, CODE_INTERNAL, "out of memory");
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
	return wishes_parse(cni, &cni_field, &netconf->wishes, error);
}

static int parse_attachment(struct netconf *netconf, struct cni_error *error)
{
	const struct field ipam_field = {"ipam"};
	json_t *ipam;

	if (field_get_integer(netconf->root, NULL, "mtu", MTU_MIN, MTU_MAX, &netconf->mtu, error) <
		    0 ||
	    field_get(netconf->root, NULL, "ipam", JSON_OBJECT, &ipam, error) < 0)
		return -1;
	if (ipam != NULL && json_object_size(ipam) > 0)
		return refuse_field(&ipam_field, ipam, "podport's agent allocates the addresses",
				    error);
	// From the weakest to the strongest source.
	if (wishes_parse_port(netconf->root, NULL, &netconf->wishes, error) < 0 ||
	    parse_args(netconf, error) < 0 || parse_dns(netconf, error) < 0)
		return -1;
	return runtime_config_parse(netconf->root, &netconf->wishes, &netconf->dns, error);
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
	if (command == CNI_COMMAND_GC)
		return valid_parse(netconf->root, &netconf->valid, error);
	if (command == CNI_COMMAND_STATUS)
		return wishes_parse_port(netconf->root, NULL, &netconf->wishes, error);
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
	valid_clear(&netconf->valid);
	json_decref(netconf->dns);
	json_decref(netconf->root);
	*netconf = (struct netconf){0};
}
