// SPDX-License-Identifier: BSD-3-Clause
//
// Connections as the rest of offload/ sees them. All calls are fine if there are none (offload->connections is NULL).

#pragma once

#include "offload/offload_private.h"

int connections_new(uint32_t places, uint32_t most, struct connections **ret_connections,
		    struct error *err);
void connections_free(struct connections *connections);

// A pod's leave at once: when it returns no packet goes by them, unless the NIC does not let go.
void connections_remove_slot(struct offload *offload, uint32_t slot);
// They leave when there is time for it: the function was reset, and what is in the NIC is of no use.
void connections_leave_slot(struct offload *offload, uint32_t slot);
// All leave at once: the engine is about to go.
void connections_remove_all(struct offload *offload);
// All rules are gone with what the NIC was configured to.
void connections_forget(struct offload *offload);

// What the port in this slot has received and sent by connections; as of the last reading.
void connections_count(const struct offload *offload, uint32_t slot,
		       struct engine_count *ret_received, struct engine_count *ret_sent);
void connections_clear_count(struct offload *offload, uint32_t slot);
