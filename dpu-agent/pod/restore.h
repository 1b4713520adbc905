// SPDX-License-Identifier: BSD-3-Clause
//
// From the store to the sets in memory, at start-up. Releases that a crash interrupted are finished
// on the way. Nothing of the NIC is touched; control starts the ports. Control thread.

#pragma once

#include "pod/pod.h"
#include "pod/store.h"

struct restored {
	struct pods *pods;
	struct store_host hosts[STORE_HOSTS_MAX]; // that have said Hello, the last one last
	size_t host_count;
	struct error notice; // what the operator should know; CODE_OK: nothing
};

// configured: the pod network of the configuration, NULL if it has none. It is taken, and
// recorded, unless one was set by a call since the configuration was last changed, or attachments of the stored one are in its way: then the stored one stays, and
// the notice names them. ports: that there are now. Errors: CODE_STORE.
int restore(struct store *store, const struct pods_ports *ports, const struct network *configured,
	    struct restored *ret_restored, struct error *err);
