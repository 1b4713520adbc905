// SPDX-License-Identifier: BSD-3-Clause
//
// Fields of JSON objects that others wrote. Every error names the field in full
// ("runtimeConfig.ips[0]") and what it is instead. As in Go's encoding/json, which runtimes and
// other plugins use: null counts as absent, and a key is found whatever its case, an exact match
// first (containerd's capability structs have no JSON tags and arrive as "Servers", "HostPort").

#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "cni/cni_error.h"

enum { FIELD_NAME_SIZE = 128 };

// A place in the document, for errors.
struct field {
	char name[FIELD_NAME_SIZE]; // "prevResult.ips[0].address"; cut if it is longer
};

// "parent.key", or "key" if parent is NULL.
struct field field_in(const struct field *parent, const char *key);
// "parent[index]"
struct field field_at(const struct field *parent, size_t index);

// The member `key`, whatever its case; NULL if absent or null. Borrowed.
json_t *json_member(const json_t *object, const char *key);

// The member `key` of `object` checked to be of `type`. *ret_member is NULL if it is absent.
// Errors: CNI_INVALID_CONFIG.
int field_get(const json_t *object, const struct field *parent, const char *key, json_type type,
	      json_t **ret_member, struct cni_error *error);
// Likewise, of strings without control characters; NULL if absent. Borrowed.
int field_get_string(const json_t *object, const struct field *parent, const char *key,
		     const char **ret_string, struct cni_error *error);
// Likewise, of whole numbers in minimum..maximum; *ret_value is left as it is if absent.
int field_get_integer(const json_t *object, const struct field *parent, const char *key,
		      uint32_t minimum, uint32_t maximum, uint32_t *ret_value,
		      struct cni_error *error);

// `value` itself must be of `type`.
int field_expect(const json_t *value, const struct field *field, json_type type,
		 struct cni_error *error);
// `value` must be a string without control characters.
int field_expect_string(const json_t *value, const struct field *field, const char **ret_string,
			struct cni_error *error);

// The member `key` must be absent or a list of strings.
int field_check_strings(const json_t *object, const struct field *parent, const char *key,
			struct cni_error *error);
