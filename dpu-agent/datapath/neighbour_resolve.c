// SPDX-License-Identifier: BSD-3-Clause
//
// Packets for a neighbour whose MAC address is not known, as the host's after a restart of the agent,
// or anybody's on the wire: they wait, as many as there is room for, and the control thread is told
// to ask. neighbour_release lets them go on.

#include <rte_cycles.h>

#include "conntrack/share.h"
#include "datapath/neighbour_private.h"
#include "datapath/worker.h"

enum { EDGES = 1 };

enum { WAITING_SHARE = 2 }; // a port may have this times what is free: see share.h

// How many wait already for the same neighbour?
static unsigned int count_waiting(const struct waiting *waiting, const struct rte_mbuf *m)
{
	const struct packet_meta *meta = packet_meta(m);
	unsigned int count = 0;

	for (uint16_t i = 0; i < waiting->count; i++) {
		const struct rte_mbuf *other = waiting->packets[i].m;
		const struct packet_meta *its = packet_meta(other);

		count += its->out_slot == meta->out_slot &&
			 packet_is_ipv4(other) == packet_is_ipv4(m) &&
			 memcmp(its->next_hop, meta->next_hop, sizeof(meta->next_hop)) == 0;
	}
	return count;
}

// May one more of this port wait for somebody on the wire? Looks at nobody else's packets: it is asked
// for each of a flood.
static bool has_room(const struct waiting *waiting, uint16_t slot)
{
	return waiting->of_port[slot] < WAITING_PORT_MAX &&
	       share_allows(waiting->of_port[slot], WAITING_MAX - waiting->count, WAITING_SHARE);
}

// May this port have one more neighbour asked for?
static bool may_ask(const struct worker *w, const struct graph_port *in)
{
	uint32_t limit = w->snapshot->limits.unresolved_neighbours;

	return limit == 0 || in->config.role != DATAPATH_ROLE_POD ||
	       w->waiting.asked_by_port[in->config.slot] < limit;
}

// False: there is no room, and *ret_reason says of what.
static bool let_wait(struct worker *w, struct rte_mbuf *m, enum drop_reason *ret_reason)
{
	const struct graph_port *in = packet_in_port(w, m),
				*out = w->snapshot->ports[packet_meta(m)->out_slot];
	bool host = out->config.role == DATAPATH_ROLE_HOST;
	uint16_t slot = packet_meta(m)->in_slot;
	struct waiting *waiting = &w->waiting;

	*ret_reason = DROP_NEIGHBOUR_QUEUE;
	if (waiting->count == WAITING_MAX || (!host && !has_room(waiting, slot)))
		return false;
	unsigned int before = count_waiting(waiting, m);
	if (before >= (host ? WAITING_HOST_MAX : WAITING_WIRE_MAX))
		return false;
	if (before == 0 && !may_ask(w, in)) {
		*ret_reason = DROP_NEIGHBOUR_LIMIT;
		return false;
	}
	if (before == 0 && !neighbour_want(w, m))
		return false;
	waiting->packets[waiting->count++] = (struct waiting_packet){
		.m = m,
		.since_tsc = rte_rdtsc(),
		.in_generation = in->generation,
		.in_slot = slot,
		.asked = before == 0,
	};
	waiting->of_port[slot]++;
	waiting->asked_by_port[slot] += before == 0;
	return true;
}

static uint16_t neighbour_resolve(struct rte_graph *graph, struct rte_node *node, void **objs,
				  uint16_t count)
{
	enum drop_reason reason;

	for (uint16_t i = 0; i < count; i++)
		if (!let_wait(worker_self, objs[i], &reason))
			rte_node_enqueue_x1(graph, node, drop(objs[i], reason), objs[i]);
	return count;
}

static struct rte_node_register neighbour_resolve_node = {
	.name = NODE("neighbour_resolve"),
	.process = neighbour_resolve,
	.nb_edges = EDGES,
	.next_nodes = {[EDGE_DROP] = NODE("drop")},
};
RTE_NODE_REGISTER(neighbour_resolve_node)
