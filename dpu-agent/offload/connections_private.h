// SPDX-License-Identifier: BSD-3-Clause
//
// Connections as the rest of offload/ sees them. All calls are fine if there are none (offload->connections is NULL).

#pragma once

#include "offload/connections.h"
#include "offload/offload_private.h"

int connections_new(uint32_t places, uint32_t most, struct connections **ret_connections,
		    struct error *err);
void connections_free(struct connections *connections);

// A pod leaves: when it returns no packet goes by its connections, unless the NIC does not let go. A handful of rules,
// however many there are; those of the connections leave in rounds, and are no other pod's meanwhile.
void connections_close_slot(struct offload *offload, uint32_t slot);
// A pod that stays has none for a while: the same, but all of their rules are gone then.
void connections_remove_slot(struct offload *offload, uint32_t slot);
// The pod's meters are about to go: so must what leads through them.
void connections_remove_limited(struct offload *offload, uint32_t slot);
// They leave when there is time for it: the function was reset, and what is in the NIC is of no use.
void connections_reset_slot(struct offload *offload, uint32_t slot);
// All leave at once: the engine is about to go.
void connections_remove_all(struct offload *offload);
// All rules are gone with what the NIC was configured to.
void connections_forget(struct offload *offload);

// What the port in this slot has received and sent by connections; as of the last reading.
void connections_count(struct offload *offload, uint32_t slot, struct engine_count *ret_received,
		       struct engine_count *ret_sent);
void connections_clear_count(struct offload *offload, uint32_t slot);

// ---- between connections.c, connections_gate.c and connections_run.c ------------------------------

enum { PLACE_NONE = UINT32_MAX };

enum list { LIST_FREE, LIST_WAITING, LIST_CARRIED, LIST_LEAVING, LIST_GONE, LISTS };
enum { HALVES = OFFLOAD_ENDS }; // one is what an end sends
enum { GATE_SENT_IPV4, GATE_SENT_IPV6, GATE_RECEIVED, GATE_RULES };

struct carried {
	struct offload_connection connection;
	uint64_t since; // connections.clock
	struct rte_flow *flows[HALVES];
	struct engine_count read[HALVES], told[HALVES];
	uint32_t next, previous;
	uint8_t list;
	bool refused;
};

struct queue {
	uint32_t first, last, count;
};

// What lets packets of a pod's connections pass: one rule in front of them for each family of what it sends, and one
// behind them, that all go through which they have for the pod. None of the pod's connections has any effect without.
struct gate {
	enum gate_state {
		GATE_NONE,
		GATE_OPEN,
		GATE_CLOSING
	} state;      // CLOSING: the NIC does not let go
	bool limited; // by the pod's meter
	struct installed rules[GATE_RULES];
};

struct connections {
	struct carried *places;
	uint32_t size, most;
	uint32_t hairpins;  // within the node, not free
	uint32_t echoes[2]; // pings over IPv4, over IPv6, not free
	struct queue lists[LISTS];
	// Counts the orders to leave. A connection that is from before one that concerns it is to leave, and is found by
	// a sweep over the places, a portion in each round.
	uint64_t clock, left_all, left_slot[OFFLOAD_SLOTS], left_next_hop[OFFLOAD_NEXT_HOPS_MAX];
	uint64_t pod_since[OFFLOAD_SLOTS]; // those from before are an earlier pod's
	uint32_t sweep_next, sweep_left;
	struct gate gates[OFFLOAD_SLOTS];
	uint32_t gates_closing;
	// Not free; one within the node is of both ends, if these are two. And of those how many are an earlier pod's.
	uint32_t of_slot[OFFLOAD_SLOTS], of_next_hop[OFFLOAD_NEXT_HOPS_MAX];
	uint32_t of_earlier[OFFLOAD_SLOTS];
	struct engine_count received[OFFLOAD_SLOTS],
		sent[OFFLOAD_SLOTS]; // by the agent's port there
	uint64_t begun, ended, refused_full, refused_nic;
	int64_t read_us;  // when the next portion of readings is due
	int64_t op_us[2]; // what a removal, an insert of one rule took lately
};

void connections_take_out(struct connections *all, struct carried *c);
void connections_put(struct connections *all, struct carried *c, enum list list);
// It has been told of: its place is free.
void connections_let_go(struct connections *all, struct carried *c);
// It was told to leave, or everybody was whom it is among.
bool connections_is_outdated(const struct connections *all, const struct carried *c);
// Find those, among so many places.
void connections_sweep(struct connections *all, uint32_t places);
static inline bool connection_is_hairpin(const struct offload_connection *connection)
{
	return connection->ends[1].slot != OFFLOAD_WIRE;
}

static inline bool connection_is_echo(const struct offload_connection *connection)
{
	return connection->protocol != IPPROTO_TCP && connection->protocol != IPPROTO_UDP;
}

static inline bool connection_has_slot(const struct offload_connection *connection, uint32_t slot)
{
	return connection->ends[0].slot == slot || connection->ends[1].slot == slot;
}

// This end of it is no pod's that is there: it has left.
static inline bool connections_is_earlier(const struct connections *all, const struct carried *c,
					  unsigned int end)
{
	const uint32_t slot = c->connection.ends[end].slot;

	return slot != OFFLOAD_WIRE && c->since < all->pod_since[slot];
}

// Does it count for the slot of this end? The second end of a pod that calls itself does not.
static inline bool connection_counts(const struct offload_connection *connection, unsigned int end)
{
	return connection->ends[end].slot != OFFLOAD_WIRE &&
	       (end == 0 || connection->ends[0].slot != connection->ends[1].slot);
}

static inline bool carried_has_rules(const struct carried *c)
{
	return c->flows[0] != NULL || c->flows[1] != NULL;
}

// ---- connections_gate.c --------------------------------------------------------------------------

// What packets for the pod in this slot are addressed to between its connections and its gate.
struct mac gate_address(uint32_t slot);
// 0: it is open, or was opened. -EBUSY: it cannot be for now; or what the NIC answered. *ret_why says which.
int gate_open(struct offload *offload, uint32_t slot, char ret_why[ENGINE_WHY_SIZE]);
// It is open, or can be if the NIC takes its rules.
bool gate_may_open(const struct offload *offload, uint32_t slot);
void gate_close(struct offload *offload, uint32_t slot);
// Try again those that the NIC has not let go.
void gates_close_again(struct offload *offload);
// They are gone with what the NIC was configured to.
void gates_forget(struct offload *offload);
// How many connections the pod has there; in *ret_rule, if this is a rule of its gate.
void gate_describe(const struct offload *offload, const struct installed *installed,
		   const struct rule_set *set, struct offload_rule *ret_rule);
// What it has let through since it was opened.
void gate_read(struct offload *offload, uint32_t slot);
// Remove rules of those that leave, for as long as there is time, but some at least.
void connections_remove_some(struct offload *offload, int64_t deadline_us);
// Remove all rules of those that are in this slot, and of no others, however many are leaving.
void connections_remove_of(struct offload *offload, uint32_t slot);
