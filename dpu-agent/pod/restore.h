// SPDX-License-Identifier: BSD-3-Clause
//
// From the store to the sets in memory, at start-up. Releases that a crash interrupted are finished
// on the way. Nothing of the NIC is touched; control starts the ports. Control thread.

#pragma once

#include "pod/pod.h"
#include "pod/store.h"

struct restored {
	struct pods *pods;
	char host_id[LIMIT_ID + 1]; // that said Hello last; "" before the first
	char boot_id[LIMIT_ID + 1];
	struct error notice; // what the operator should know; CODE_OK: nothing
};

// configured: the pod network of the configuration, NULL if it has none. It is taken, and
// recorded, unless attachments of the stored one are in its way: then the stored one stays, and
// the notice names them. functions: of the NIC. Errors: CODE_STORE.
int restore(struct store *store, uint32_t functions, const struct network *configured,
	    struct restored *ret_restored, struct error *err);
