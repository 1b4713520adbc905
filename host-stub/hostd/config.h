// SPDX-License-Identifier: BSD-3-Clause
//
// hostd's configuration, as packaging/hostd.yaml explains it key by key. Read once at start-up.

#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "proto/base/log.h"
#include "proto/message.h"

enum { ALLOWED_UIDS_MAX = 16 };

struct hostd_config {
	char agent[LIMIT_PATH + 1]; // URL
	bool insecure;
	char tls_ca[LIMIT_PATH + 1], tls_certificate[LIMIT_PATH + 1], tls_key[LIMIT_PATH + 1];
	char listen[LIMIT_PATH + 1];
	char state_dir[LIMIT_PATH + 1];
	uint32_t timeout_ms;
	char host_port[LIMIT_IFNAME + 1]; // empty: none
	char function_netdev[LIMIT_IFNAME + 1];
	uint32_t reclaim_grace_s;
	struct uid_list {
		size_t count;
		uid_t uids[ALLOWED_UIDS_MAX];
	} allowed_uids;
	char boot_id_path[LIMIT_PATH + 1];
	char host_id_path[LIMIT_PATH + 1];
	enum log_level log_level;
};

// Errors name file, line and key: -EINVAL with CODE_BAD_REQUEST, or why the file cannot be read.
int hostd_config_load(const char *file, struct hostd_config *ret_config, struct error *err);
