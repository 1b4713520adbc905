// SPDX-License-Identifier: BSD-3-Clause
//
// What hostd does by itself, on the link's thread: when the agent comes, deliver what is queued,
// dress the host's port, look for what was left behind; and keep doing so while it is there.

#pragma once

#include "hostd/hostd.h"
#include "hostd/reconcile.h"

struct upkeep;

int upkeep_open(struct hostd *hostd, struct upkeep **ret_upkeep, struct error *err);
void upkeep_close(struct upkeep *upkeep); // NULL is fine

// link_config.greeted; arg: the upkeep.
int upkeep_greeted(const struct hello_reply *hello, bool fresh, void *arg, struct error *err);

// Compare attachments with sandboxes now; waits for a comparison that is under way. Worker threads.
// Errors: as reconcile_run.
int upkeep_reconcile(struct upkeep *upkeep, struct reconcile_counts *ret_counts, struct error *err);

// A function's netdev came to the host: see soon whether a running pod lacks it. Any thread.
void upkeep_function_came(struct upkeep *upkeep);

// The host port changed: dress it again at the next turn. Any thread.
void upkeep_host_port_changed(struct upkeep *upkeep);
