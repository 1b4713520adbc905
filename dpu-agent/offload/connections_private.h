// SPDX-License-Identifier: BSD-3-Clause
//
// Connections as the rest of offload/ sees them. All calls are fine if there are none (offload->connections is NULL).

#pragma once

#include "offload/connections.h"
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

// ---- between connections.c and connections_run.c -------------------------------------------------

enum { PLACE_NONE = UINT32_MAX };

enum list { LIST_FREE, LIST_WAITING, LIST_CARRIED, LIST_LEAVING, LIST_GONE, LISTS };
enum half { SENT, RECEIVED, HALVES };

struct carried {
	struct offload_connection connection;
	struct rte_flow *flows[HALVES];
	struct engine_count read[HALVES], told[HALVES];
	uint32_t next, previous;
	uint8_t list;
	bool refused;
};

struct queue {
	uint32_t first, last, count;
};

struct connections {
	struct carried *places;
	uint32_t size, most;
	struct queue lists[LISTS];
	uint32_t of_slot[OFFLOAD_SLOTS], of_next_hop[OFFLOAD_NEXT_HOPS_MAX]; // not free
	struct engine_count received[OFFLOAD_SLOTS],
		sent[OFFLOAD_SLOTS]; // by the agent's port there
	uint64_t begun, ended, refused_full, refused_nic;
	int64_t read_us;  // when the next portion of readings is due
	int64_t op_us[2]; // what a removal, an insert of one rule took lately
};

void connections_take_out(struct connections *all, struct carried *c);
void connections_put(struct connections *all, struct carried *c, enum list list);
// Remove rules of those that leave, for as long as there is time, but some at least.
void connections_remove_some(struct offload *offload, int64_t deadline_us);
