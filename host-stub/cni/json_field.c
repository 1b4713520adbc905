// SPDX-License-Identifier: BSD-3-Clause
//
// Looking up and checking fields of JSON objects.

#include "cni/json_field.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "proto/base/text.h"

static void append(struct field *field, const char *text)
{
	strncat(field->name, text, sizeof(field->name) - 1 - strlen(field->name));
}

struct field field_in(const struct field *parent, const char *key)
{
	struct field field = {""};

	if (parent != NULL)
		field = *parent;
	append(&field, parent != NULL ? "." : "");
	append(&field, key);
	return field;
}

struct field field_at(const struct field *parent, size_t index)
{
	struct field field = *parent;
	char text[32];

	snprintf(text, sizeof(text), "[%zu]", index);
	append(&field, text);
	return field;
}

static const char *type_name(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "a list";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "a whole number";
	case JSON_REAL:
		return "a fraction";
	case JSON_TRUE:
	case JSON_FALSE:
		return "a truth value";
	case JSON_NULL:
		return "null";
	}
	return "nothing known";
}

static const char *wanted_name(json_type type)
{
	switch (type) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "a list";
	case JSON_STRING:
		return "a string";
	default:
		return "a whole number";
	}
}

json_t *json_member(const json_t *object, const char *key)
{
	json_t *member = json_object_get(object, key), *value;
	const char *name;

	if (member == NULL) {
		// jansson's iterator takes what it does not change as if it might.
		json_t *walked = (json_t *)(uintptr_t)object;
		json_object_foreach(walked, name, value)
		{
			if (strcasecmp(name, key) == 0) {
				member = value;
				break;
			}
		}
	}
	return json_is_null(member) ? NULL : member;
}

int field_expect(const json_t *value, const struct field *field, json_type type,
		 struct cni_error *error)
{
	if (json_typeof(value) == type)
		return 0;
	return cni_error_set(error, CNI_INVALID_CONFIG, "%s: is %s, must be %s", field->name,
			     type_name(value), wanted_name(type));
}

int field_expect_string(const json_t *value, const struct field *field, const char **ret_string,
			struct cni_error *error)
{
	if (field_expect(value, field, JSON_STRING, error) < 0)
		return -1;
	if (strlen(json_string_value(value)) != json_string_length(value) ||
	    !text_is_printable(json_string_value(value)))
		return cni_error_set(error, CNI_INVALID_CONFIG, "%s: has control characters",
				     field->name);
	*ret_string = json_string_value(value);
	return 0;
}

int field_get(const json_t *object, const struct field *parent, const char *key, json_type type,
	      json_t **ret_member, struct cni_error *error)
{
	json_t *member = json_member(object, key);

	if (member != NULL) {
		struct field field = field_in(parent, key);
		if (field_expect(member, &field, type, error) < 0)
			return -1;
	}
	*ret_member = member;
	return 0;
}

int field_get_string(const json_t *object, const struct field *parent, const char *key,
		     const char **ret_string, struct cni_error *error)
{
	const json_t *member = json_member(object, key);

	if (member == NULL) {
		*ret_string = NULL;
		return 0;
	}
	struct field field = field_in(parent, key);
	return field_expect_string(member, &field, ret_string, error);
}

int field_get_integer(const json_t *object, const struct field *parent, const char *key,
		      uint32_t minimum, uint32_t maximum, uint32_t *ret_value,
		      struct cni_error *error)
{
	json_t *member;

	if (field_get(object, parent, key, JSON_INTEGER, &member, error) < 0)
		return -1;
	if (member == NULL)
		return 0;

	json_int_t value = json_integer_value(member);
	if (value < (json_int_t)minimum || value > (json_int_t)maximum)
		return cni_error_set(error, CNI_INVALID_CONFIG,
				     "%s: %" JSON_INTEGER_FORMAT " is not in %u..%u",
				     field_in(parent, key).name, value, minimum, maximum);
	*ret_value = (uint32_t)value;
	return 0;
}

int field_check_strings(const json_t *object, const struct field *parent, const char *key,
			struct cni_error *error)
{
	struct field field = field_in(parent, key);
	json_t *list, *item;
	const char *string;
	size_t i;

	if (field_get(object, parent, key, JSON_ARRAY, &list, error) < 0)
		return -1;
	json_array_foreach(list, i, item)
	{
		struct field at = field_at(&field, i);
		if (field_expect_string(item, &at, &string, error) < 0)
			return -1;
	}
	return 0;
}
