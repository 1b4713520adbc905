// SPDX-License-Identifier: BSD-3-Clause
//
// A daemon's YAML file into its config struct by a table of keys. Every error, also one of meaning,
// names file, line and key: "/etc/podport/agent.yaml:7: pod_network.ipv4: 10.88.0.0/33 is no IPv4
// prefix".
//
// Why libyaml's document tree and not libcyaml: libcyaml keeps no line numbers, so a value that
// parses but makes no sense could not be pointed at. Start-up only, one thread.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/error.h"

// Parse `text` (a YAML scalar, or, of a list, the items one after another) into `target`.
// Returns 0 or -EINVAL with a sentence that says what is wrong with the value; the loader puts
// file, line and key before it.
typedef int (*config_parse)(const char *text, void *target, struct error *err);

struct config_key {
	const char *path; // "pod_network.ipv4"
	config_parse parse;
	size_t offset; // of the target in the config struct
	bool required;
	bool list; // a sequence of scalars (one scalar counts as a list of one); else it is an error
};

// Load. `keys` ends with a NULL path. Unknown keys, duplicate keys, a missing required key, a
// mapping where a value should be, aliases: errors. A section with nothing in it is fine. `config`
// holds the defaults before; on error it may be partly overwritten. Errors: -EINVAL with
// CODE_BAD_REQUEST, or the errno of reading the file.
int config_load(const char *file, const struct config_key *keys, void *config, struct error *err);

// The same from memory; `file` is what errors call it. (config_load stands on it; so does the fuzzer.)
int config_load_text(const char *file, const char *text, size_t size, const struct config_key *keys,
		     void *config, struct error *err);

// The line that set `path` (a key or a section) in the file loaded last, 0: not set; for checks
// across keys (same thread, after config_load).
unsigned int config_line(const char *path);

// For those checks: fill *err with "FILE:LINE: PATH: sentence" and return -EINVAL.
int config_error(const char *file, const char *path, struct error *err, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

// Parsers for common values. Targets: bool (true/false, yes/no, on/off); uint32_t (decimal);
// char[LIMIT_PATH + 1]; enum log_level.
int config_parse_bool(const char *text, void *target, struct error *err);
int config_parse_uint32(const char *text, void *target, struct error *err);
// The same within min..max; for parsers of values that have bounds.
int config_parse_range(const char *text, uint32_t min, uint32_t max, uint32_t *ret_value,
		       struct error *err);
int config_parse_path(const char *text, void *target,
		      struct error *err); // any string of 1..LIMIT_PATH bytes
int config_parse_log_level(const char *text, void *target, struct error *err);
