// SPDX-License-Identifier: BSD-3-Clause
//
// See valid.h.

#include "cni/valid.h"

#include <stdlib.h>

#include "cni/json_field.h"
#include "proto/codec.h"

static int parse_item(const json_t *item, const struct field *at, struct podport_endpoint *ret_item,
		      struct cni_error *error)
{
	if (field_expect(item, at, JSON_OBJECT, error) < 0 ||
	    field_get_string(item, at, "containerID", &ret_item->container_id, error) < 0 ||
	    field_get_string(item, at, "ifname", &ret_item->ifname, error) < 0)
		return -1;
	if (ret_item->container_id == NULL)
		return cni_error_set(error, CNI_INVALID_CONFIG, "%s.containerID: missing",
				     at->name);
	if (ret_item->ifname == NULL)
		return cni_error_set(error, CNI_INVALID_CONFIG, "%s.ifname: missing", at->name);
	return 0;
}

// What cannot be the name of an attachment of ours (another plugin may take more) keeps none alive.
static bool can_be_ours(const struct podport_endpoint *item)
{
	struct error ignored;

	return check_name("containerID", item->container_id, &ignored) == 0 &&
	       check_ifname("ifname", item->ifname, &ignored) == 0;
}

int valid_parse(const json_t *netconf, struct valid_attachments *ret_valid, struct cni_error *error)
{
	static const char *const keys[] = {"cni.dev/valid-attachments", "cni.dev/attachments"};
	struct valid_attachments valid = {0};
	struct field field = {""};
	const json_t *list, *item;
	size_t i;

	list = json_object_get(netconf, keys[0]);
	if (list == NULL)
		list = json_object_get(netconf, keys[1]);
	if (list == NULL)
		return cni_error_set(error, CNI_INVALID_CONFIG, "%s: missing; GC needs it",
				     keys[0]);
	*ret_valid = valid;
	if (json_is_null(list))
		return 0;
	field = field_in(NULL, json_object_get(netconf, keys[0]) != NULL ? keys[0] : keys[1]);
	if (field_expect(list, &field, JSON_ARRAY, error) < 0)
		return -1;
	if (json_array_size(list) > PODPORT_GC_VALID_MAX)
		return cni_error_set(error, CNI_INVALID_CONFIG, "%s: more than %d attachments",
				     field.name, PODPORT_GC_VALID_MAX);
	valid.items = calloc(json_array_size(list) + 1, sizeof(*valid.items));
	if (valid.items == NULL)
		return cni_error_from(error, CODE_INTERNAL, "out of memory");
	json_array_foreach(list, i, item)
	{
		struct field at = field_at(&field, i);

		if (parse_item(item, &at, &valid.items[valid.count], error) < 0) {
			free(valid.items);
			return -1;
		}
		valid.count += can_be_ours(&valid.items[valid.count]);
	}
	*ret_valid = valid;
	return 0;
}

void valid_clear(struct valid_attachments *valid)
{
	free(valid->items);
	*valid = (struct valid_attachments){0};
}
