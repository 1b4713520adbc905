// SPDX-License-Identifier: BSD-3-Clause
//
// hostd.yaml into struct hostd_config: the table of keys, and what must hold across them. Start-up.

#include "hostd/config.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "hostd/wiring.h"
#include "proto/base/config.h"
#include "proto/codec.h"
#include "proto/wire_client.h"

// A parser below is called with one scalar, and sees only its target.
static int parse_host_port(const char *text, void *target, struct error *err)
{
	if (text[0] != '\0' && check_ifname("name", text, err) < 0)
		return -EINVAL;
	snprintf(target, LIMIT_IFNAME + 1, "%s", text);
	return 0;
}

static int parse_function_netdev(const char *text, void *target, struct error *err)
{
	struct wiring wiring;
	int r = wiring_parse_pattern(text, &wiring, err);

	if (r == 0)
		snprintf(target, LIMIT_IFNAME + 1, "%s", text);
	return r;
}

static int parse_uid(const char *text, void *target, struct error *err)
{
	struct uid_list *list = target;
	uint32_t uid;
	int r = config_parse_uint32(text, &uid, err);

	if (r < 0)
		return r;
	if (uid == UINT32_MAX)
		return error_set(err, EINVAL, CODE_BAD_REQUEST, "%u is nobody's number", uid);
	if (list->count == ALLOWED_UIDS_MAX)
		return error_set(err, EINVAL, CODE_BAD_REQUEST, "more than %d users",
				 ALLOWED_UIDS_MAX);
	list->uids[list->count++] = uid;
	return 0;
}

static int parse_timeout(const char *text, void *target, struct error *err)
{
	return config_parse_range(text, 100, TIMEOUT_MAX_MS, target, err);
}

static int parse_socket(const char *text, void *target, struct error *err)
{
	struct sockaddr_un address;

	if (text[0] != '/')
		return error_set(err, EINVAL, CODE_BAD_REQUEST, "%s: must begin with /", text);
	if (strlen(text) >= sizeof(address.sun_path))
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "%zu bytes: a socket's path has at most %zu", strlen(text),
				 sizeof(address.sun_path) - 1);
	snprintf(target, LIMIT_PATH + 1, "%s", text);
	return 0;
}

#define KEY(field) .offset = offsetof(struct hostd_config, field)

static const struct config_key keys[] = {
	{.path = "agent", .parse = config_parse_path, KEY(agent), .required = true},
	{.path = "insecure", .parse = config_parse_bool, KEY(insecure)},
	{.path = "tls.ca", .parse = config_parse_path, KEY(tls_ca)},
	{.path = "tls.certificate", .parse = config_parse_path, KEY(tls_certificate)},
	{.path = "tls.key", .parse = config_parse_path, KEY(tls_key)},
	{.path = "listen", .parse = parse_socket, KEY(listen)},
	{.path = "allowed_uids", .parse = parse_uid, KEY(allowed_uids), .list = true},
	{.path = "state_dir", .parse = config_parse_path, KEY(state_dir)},
	{.path = "timeout_ms", .parse = parse_timeout, KEY(timeout_ms)},
	{.path = "host_port", .parse = parse_host_port, KEY(host_port)},
	{.path = "function_netdev",
	 .parse = parse_function_netdev,
	 KEY(function_netdev),
	 .required = true},
	{.path = "reclaim_grace_s", .parse = config_parse_uint32, KEY(reclaim_grace_s)},
	{.path = "boot_id_path", .parse = config_parse_path, KEY(boot_id_path)},
	{.path = "host_id_path", .parse = config_parse_path, KEY(host_id_path)},
	{.path = "log_level", .parse = config_parse_log_level, KEY(log_level)},
	{0},
};

static int check_across(const char *file, const struct hostd_config *config, struct error *err)
{
	bool any = config->tls_ca[0] != '\0' || config->tls_certificate[0] != '\0' ||
		   config->tls_key[0] != '\0';
	bool all = config->tls_ca[0] != '\0' && config->tls_certificate[0] != '\0' &&
		   config->tls_key[0] != '\0';

	if (any && !all)
		return config_error(file, "tls", err,
				    "ca, certificate and key must be given together");
	if (config->state_dir[0] != '/')
		return config_error(file, "state_dir", err, "%s: must begin with /",
				    config->state_dir);
	struct error why = {0};
	if (wire_check_url(config->agent, config->insecure, &why) < 0)
		return config_error(file, "agent", err, "%.400s", why.message);
	return 0;
}

int hostd_config_load(const char *file, struct hostd_config *ret_config, struct error *err)
{
	struct hostd_config config = {
		.listen = "/run/podport/hostd.sock",
		.state_dir = "/var/lib/podport/hostd",
		.timeout_ms = 5000,
		.host_port = "podport0",
		.reclaim_grace_s = 30,
		.boot_id_path = "/proc/sys/kernel/random/boot_id",
		.host_id_path = "/etc/machine-id",
		.log_level = LOG_LEVEL_INFO,
	};
	int r = config_load(file, keys, &config, err);

	if (r == 0)
		r = check_across(file, &config, err);
	if (r < 0)
		return r;
	if (config.allowed_uids.count == 0)
		config.allowed_uids.count = 1; // root
	*ret_config = config;
	return 0;
}
