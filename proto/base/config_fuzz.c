// SPDX-License-Identifier: BSD-3-Clause
//
// libFuzzer: text into the configuration loader, with keys of every kind.

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/config.h"
#include "proto/base/log.h"
#include "proto/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct target {
	char path[LIMIT_PATH + 1];
	uint32_t number;
	bool flag;
	enum log_level level;
};

static const struct config_key keys[] = {
	{.path = "listen",
	 .parse = config_parse_path,
	 .offset = offsetof(struct target, path),
	 .required = true},
	{.path = "log_level",
	 .parse = config_parse_log_level,
	 .offset = offsetof(struct target, level)},
	{.path = "tls.ca", .parse = config_parse_path, .offset = offsetof(struct target, path)},
	{.path = "nic.deep.flag",
	 .parse = config_parse_bool,
	 .offset = offsetof(struct target, flag)},
	{.path = "uids",
	 .parse = config_parse_uint32,
	 .offset = offsetof(struct target, number),
	 .list = true},
	{0},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct target target = {0};
	struct error err = {0};

	if (config_load_text("f", (const char *)data, size, keys, &target, &err) < 0) {
		// Whatever it is, there is a line: "f:12: …".
		if (strncmp(err.message, "f:", 2) != 0 || atoi(err.message + 2) < 1)
			abort();
	} else if (target.path[0] == '\0') {
		abort(); // listen is required
	}
	return 0;
}
