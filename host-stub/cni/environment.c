// SPDX-License-Identifier: BSD-3-Clause
//
// The environment, variable by variable.

#include "cni/environment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proto/base/text.h"
#include "proto/codec.h"

static const char *get(const char *name)
{
	const char *value = getenv(name);

	return value != NULL ? value : "";
}

static int invalid(struct cni_error *error, const struct error *err)
{
	return cni_error_set(error, CNI_INVALID_ENVIRONMENT, "%s", err->message);
}

static const char *const command_names[] = {
	[CNI_COMMAND_ADD] = "ADD",     [CNI_COMMAND_DEL] = "DEL",
	[CNI_COMMAND_CHECK] = "CHECK", [CNI_COMMAND_STATUS] = "STATUS",
	[CNI_COMMAND_GC] = "GC",       [CNI_COMMAND_VERSION] = "VERSION",
};

const char *cni_command_name(enum cni_command command)
{
	return command_names[command];
}

int environment_command(enum cni_command *ret_command, struct cni_error *error)
{
	const char *name = get("CNI_COMMAND");

	if (name[0] == '\0')
		return cni_error_set(
			error, CNI_INVALID_ENVIRONMENT,
			"CNI_COMMAND: not set; this is a CNI plugin, which a container "
			"runtime runs");
	for (size_t i = 0; i < sizeof(command_names) / sizeof(command_names[0]); i++) {
		if (strcmp(name, command_names[i]) == 0) {
			*ret_command = (enum cni_command)i;
			return 0;
		}
	}
	return cni_error_set(error, CNI_INVALID_ENVIRONMENT,
			     "CNI_COMMAND: '%.32s' is none of ADD, DEL, CHECK, STATUS, GC, VERSION",
			     name);
}

// ---- CNI_ARGS ------------------------------------------------------------------------------------

struct args {
	struct pod_name pod;
	struct wishes wishes;
	bool ignore_unknown;
	char unknown[64]; // the first one
};

static int take_text(const char *field, const char *value, char *to, size_t to_size,
		     struct cni_error *error)
{
	if (strlen(value) >= to_size)
		return cni_error_set(error, CNI_INVALID_ENVIRONMENT, "%s: longer than %zu bytes",
				     field, to_size - 1);
	if (!text_is_printable(value))
		return cni_error_set(error, CNI_INVALID_ENVIRONMENT,
				     "%s: has control characters or broken UTF-8", field);
	strcpy(to, value);
	return 0;
}

static int take_namespace(struct args *args, const char *field, char *value,
			  struct cni_error *error)
{
	return take_text(field, value, args->pod.namespace_, sizeof(args->pod.namespace_), error);
}

static int take_pod_name(struct args *args, const char *field, char *value, struct cni_error *error)
{
	return take_text(field, value, args->pod.name, sizeof(args->pod.name), error);
}

static int take_pod_uid(struct args *args, const char *field, char *value, struct cni_error *error)
{
	return take_text(field, value, args->pod.uid, sizeof(args->pod.uid), error);
}

static int take_ips(struct args *args, const char *field, char *value, struct cni_error *error)
{
	char *rest = NULL;
	struct error err;

	if (value[0] == '\0')
		return cni_error_set(error, CNI_INVALID_ENVIRONMENT, "%s: empty", field);
	for (char *ip = strtok_r(value, ",", &rest); ip != NULL; ip = strtok_r(NULL, ",", &rest))
		if (wishes_add_ip(&args->wishes, field, ip, &err) < 0)
			return invalid(error, &err);
	return 0;
}

static int take_mac(struct args *args, const char *field, char *value, struct cni_error *error)
{
	struct error err;

	return wishes_add_mac(&args->wishes, field, value, &err) < 0 ? invalid(error, &err) : 0;
}

static int take_port(struct args *args, const char *field, char *value, struct cni_error *error)
{
	struct error err;

	return wishes_add_port(&args->wishes, field, value, &err) < 0 ? invalid(error, &err) : 0;
}

static int take_ignore_unknown(struct args *args, const char *field, char *value,
			       struct cni_error *error)
{
	if (strcmp(value, "1") == 0 || strcasecmp(value, "true") == 0)
		args->ignore_unknown = true;
	else if (strcmp(value, "0") != 0 && strcasecmp(value, "false") != 0)
		return cni_error_set(error, CNI_INVALID_ENVIRONMENT,
				     "%s: '%.32s' is none of 1, true, 0, false", field, value);
	return 0;
}

static int take_nothing(struct args *args, const char *field, char *value, struct cni_error *error)
{
	return 0;
}

static int take_pair(struct args *args, const char *key, char *value, struct cni_error *error)
{
	static const struct {
		const char *key;
		int (*take)(struct args *args, const char *field, char *value,
			    struct cni_error *error);
	} known[] = {
		{"IgnoreUnknown", take_ignore_unknown},
		{"IP", take_ips},
		{"MAC", take_mac},
		{"PORT_KIND", take_port},
		{"K8S_POD_NAMESPACE", take_namespace},
		{"K8S_POD_NAME", take_pod_name},
		{"K8S_POD_INFRA_CONTAINER_ID", take_nothing}, // CNI_CONTAINERID says it
		{"K8S_POD_UID", take_pod_uid},
	};
	char field[64];

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(key, known[i].key) == 0) {
			snprintf(field, sizeof(field), "CNI_ARGS: %s", key);
			return known[i].take(args, field, value, error);
		}
	}
	if (args->unknown[0] == '\0')
		snprintf(args->unknown, sizeof(args->unknown), "%s", key);
	return 0;
}

// "K=V;K=V". As the reference library has it: a key that the plugin does not know is an error unless
// IgnoreUnknown, which may stand anywhere, says otherwise.
static int parse_args(const char *text, struct args *args, struct cni_error *error)
{
	char *copy = strdup(text), *rest = copy, *pair;
	int r = 0;

	if (copy == NULL)
		return cni_error_from(error, CODE_INTERNAL, "out of memory");
	while (r == 0 && (pair = strsep(&rest, ";")) != NULL) {
		char *equals = strchr(pair, '=');
		if (equals == NULL || equals == pair) {
			r = cni_error_set(error, CNI_INVALID_ENVIRONMENT,
					  "CNI_ARGS: '%.64s' is not KEY=VALUE", pair);
			break;
		}
		*equals = '\0';
		r = take_pair(args, pair, equals + 1, error);
	}
	free(copy);
	if (r == 0 && args->unknown[0] != '\0' && !args->ignore_unknown)
		r = cni_error_set(error, CNI_INVALID_ENVIRONMENT,
				  "CNI_ARGS: %s: not known (and no IgnoreUnknown=1)",
				  args->unknown);
	return r;
}

// ---- all -----------------------------------------------------------------------------------------

static int check_netns(const char *netns, struct cni_error *error)
{
	if (strlen(netns) > LIMIT_PATH)
		return cni_error_set(error, CNI_INVALID_ENVIRONMENT,
				     "CNI_NETNS: longer than %d bytes", (int)LIMIT_PATH);
	if (!text_is_printable(netns))
		return cni_error_set(error, CNI_INVALID_ENVIRONMENT,
				     "CNI_NETNS: has control characters or broken UTF-8");
	return 0;
}

int environment_parse(enum cni_command command, struct environment *ret_environment,
		      struct cni_error *error)
{
	struct environment environment = {
		.container_id = get("CNI_CONTAINERID"),
		.ifname = get("CNI_IFNAME"),
		.netns = get("CNI_NETNS"),
	};
	const char *text = get("CNI_ARGS");
	struct args args = {0};
	struct error err;

	if (environment.container_id[0] == '\0')
		return cni_error_set(error, CNI_INVALID_ENVIRONMENT, "CNI_CONTAINERID: not set");
	if (environment.ifname[0] == '\0')
		return cni_error_set(error, CNI_INVALID_ENVIRONMENT, "CNI_IFNAME: not set");
	if (check_name("CNI_CONTAINERID", environment.container_id, &err) < 0 ||
	    check_ifname("CNI_IFNAME", environment.ifname, &err) < 0)
		return invalid(error, &err);
	if (command == CNI_COMMAND_DEL) {
		// DEL finishes with what there is.
		if (check_netns(environment.netns, error) < 0)
			environment.netns = "";
		*ret_environment = environment;
		return 0;
	}
	if (environment.netns[0] == '\0')
		return cni_error_set(error, CNI_INVALID_ENVIRONMENT, "CNI_NETNS: not set");
	if (check_netns(environment.netns, error) < 0)
		return -1;
	if (text[0] != '\0' && parse_args(text, &args, error) < 0)
		return -1;
	environment.pod = args.pod;
	environment.wishes = args.wishes;
	*ret_environment = environment;
	return 0;
}
