// SPDX-License-Identifier: BSD-3-Clause
//
// How rules get into the NIC and out of it: by rte_flow's synchronous or its asynchronous API.
// Control thread.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "offload/flow.h"
#include "offload/rule.h"

enum { ENGINE_WHY_SIZE = 128 };

struct engine_op {
	bool create;             // else destroy
	const struct rule *rule; // to create
	// To destroy; out: of what was created; NULL if there is nothing, or no longer a handle to
	// it.
	struct rte_flow *flow;
	int result;                // out: 0 or a negative errno
	char why[ENGINE_WHY_SIZE]; // out, of a failure
};

struct engine;

// Of the connections that there may be, one in so many may be between two pods. They are few beside those with the wire, and
// mlx5's hardware steering sets memory aside for all rules of a table when it is made (mlx5dr_matcher.c: alloc_log_sz, by
// the number of rules). Both rules of such a connection are in the same one of four tables, each half as large as the eight others.
enum { ENGINE_HAIRPIN_SHARE = 4 };
// The same of pings of one family: one in so many.
enum { ENGINE_ECHO_SHARE = 16 };

// How many pings of a family there may be of so many connections.
static inline uint32_t engine_echoes(uint32_t connections)
{
	return connections / ENGINE_ECHO_SHARE > 0 ? connections / ENGINE_ECHO_SHARE : 1;
}

struct engine_ops {
	const char *name; // "synchronous"
	// Many operations given at once take less time than one after the other.
	bool bulk;

	// Do all of these; returns when the NIC has done or refused each. Synchronous: in this
	// order; asynchronous: in any, so what must be there before something else goes into a call
	// of its own. Blocks for as long as the NIC takes, bounded if it stops answering.
	void (*run)(struct engine *engine, struct engine_op *ops, size_t count);

	// All rules have been destroyed, or are gone with the port's configuration. Frees.
	void (*free)(struct engine *engine);
};

// Embedded at the start of the engine's own struct.
struct engine {
	const struct engine_ops *ops;
	uint16_t port_id; // the transfer proxy
	struct flow_form form;
	bool connections; // it takes the rules of connections
	bool hairpin;     // also of those within the node; at most ENGINE_HAIRPIN_SHARE of all
	bool echo[2];     // and of pings over IPv4, over IPv6; at most engine_echoes() of each
};

// -ENOMEM.
int engine_sync_new(uint16_t port_id, const struct flow_form *form, struct engine **ret_engine);

// The asynchronous API's resources, from the hook between configuration and start of the port.
// functions: that rules are made for; connections: and how many of those at once, of which fewer may be granted.
// Errors: what the NIC answered, with *ret_why.
struct engine_queue {
	uint32_t size; // operations under way at once; 0: not configured
	uint32_t connections;
};
int engine_async_configure(uint16_t port_id, uint32_t functions, uint32_t connections,
			   struct engine_queue *ret_queue, char ret_why[ENGINE_WHY_SIZE]);

// Templates and tables for all shapes, with room for the rules of `functions` pods and, if the form has them, of
// queue->connections; without room for those, engine.connections is false and *ret_why says why, and the same of
// engine.hairpin. Errors:
// -ENOMEM, or what the NIC answered, with *ret_why; nothing is left behind.
int engine_async_new(uint16_t port_id, const struct flow_form *form,
		     const struct engine_queue *queue, uint32_t functions,
		     struct engine **ret_engine, char ret_why[ENGINE_WHY_SIZE]);

// What a rule with a count has counted. Errors: a negative errno.
struct engine_count {
	uint64_t packets, bytes;
};
int engine_query(uint16_t port_id, struct rte_flow *flow, struct engine_count *ret_count);
