// SPDX-License-Identifier: BSD-3-Clause
//
// Whom an attachment's key means: ports and rules have the key of what they serve, the list of pods has the
// names.

#pragma once

#include "ctl/format.h"

// The pod's name as format_pod has it. Of an attachment that went between the two questions the container ID.
const char *lookup_name(const struct podport_pods *pods, const struct podport_key *key,
			struct text *text);
// Is this the pod that someone calls `name`: "namespace/name", "name" or a container ID, whole or as it is
// shown?
bool lookup_is(const struct podport_attachment *pod, const char *name);
const struct podport_attachment *lookup_pod(const struct podport_pods *pods,
					    const struct podport_key *key);
// Is there a pod that is called so (NULL: whichever)? A name that nobody has is a mistake, not an empty list:
// PODPORT_NOT_FOUND, -ENOENT.
int lookup_check(const struct podport_pods *pods, const char *name, struct podport_error *error);
// That error, with the pod that may have been meant.
int lookup_fail(const struct podport_pods *pods, const char *name, struct podport_error *error);
// Does what serves `key` (NULL: nobody) belong to the pod that is called so (NULL: whichever, and nobody's, too)?
bool lookup_wants(const struct podport_pods *pods, const struct podport_key *key, const char *name);
