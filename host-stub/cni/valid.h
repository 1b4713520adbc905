// SPDX-License-Identifier: BSD-3-Clause
//
// What GC says is valid (SPEC 1.1.0, section 2): "cni.dev/valid-attachments", or, by the name that
// an early text of the specification had, "cni.dev/attachments"; libcni sends both.

#pragma once

#include <jansson.h>
#include <stddef.h>

#include "cni/cni_error.h"
#include "libpodport/podport.h"

struct valid_attachments {
	struct podport_endpoint *items; // owned; the strings are the JSON's
	size_t count;
};

// Errors: CNI_INVALID_CONFIG with the key. null is an empty list, as Go writes it; neither key is
// an error: to take it for an empty list would release everything.
int valid_parse(const json_t *netconf, struct valid_attachments *ret_valid,
		struct cni_error *error);
void valid_clear(struct valid_attachments *valid);
