// SPDX-License-Identifier: BSD-3-Clause
//
// Packets for a neighbour whose MAC address is not known, as the host's after a restart of the agent,
// or anybody's on the wire: they wait, as many as there is room for, and the control thread is told
// to ask. neighbour_release lets them go on.

#include <rte_cycles.h>

#include "datapath/neighbour_private.h"
#include "datapath/worker.h"

enum { EDGES = 1 };

// Who waits already: for the same neighbour, and of those that came in on the same port.
static void count_waiting(const struct waiting *waiting, const struct rte_mbuf *m,
			  unsigned int *ret_same_neighbour, unsigned int *ret_same_port)
{
	const struct packet_meta *meta = packet_meta(m);
	unsigned int same_neighbour = 0, same_port = 0;

	for (uint16_t i = 0; i < waiting->count; i++) {
		const struct rte_mbuf *other = waiting->packets[i].m;
		const struct packet_meta *its = packet_meta(other);

		same_port += its->in_slot == meta->in_slot;
		same_neighbour +=
			its->out_slot == meta->out_slot &&
			packet_is_ipv4(other) == packet_is_ipv4(m) &&
			memcmp(its->next_hop, meta->next_hop, sizeof(meta->next_hop)) == 0;
	}
	*ret_same_neighbour = same_neighbour;
	*ret_same_port = same_port;
}

// False: there is no room.
static bool let_wait(struct worker *w, struct rte_mbuf *m)
{
	const struct graph_port *out = w->snapshot->ports[packet_meta(m)->out_slot];
	bool host = out->config.role == DATAPATH_ROLE_HOST;
	struct waiting *waiting = &w->waiting;
	unsigned int before, of_port;

	if (waiting->count == WAITING_MAX)
		return false;
	count_waiting(waiting, m, &before, &of_port);
	if (before >= (host ? WAITING_HOST_MAX : WAITING_WIRE_MAX) ||
	    (!host && of_port >= WAITING_PORT_MAX) || (before == 0 && !neighbour_want(w, m)))
		return false;
	waiting->packets[waiting->count++] = (struct waiting_packet){
		.m = m,
		.since_tsc = rte_rdtsc(),
		.in_generation = packet_in_port(w, m)->generation,
	};
	return true;
}

static uint16_t neighbour_resolve(struct rte_graph *graph, struct rte_node *node, void **objs,
				  uint16_t count)
{
	for (uint16_t i = 0; i < count; i++)
		if (!let_wait(worker_self, objs[i]))
			rte_node_enqueue_x1(graph, node, drop(objs[i], DROP_NEIGHBOUR_QUEUE),
					    objs[i]);
	return count;
}

static struct rte_node_register neighbour_resolve_node = {
	.name = NODE("neighbour_resolve"),
	.process = neighbour_resolve,
	.nb_edges = EDGES,
	.next_nodes = {[EDGE_DROP] = NODE("drop")},
};
RTE_NODE_REGISTER(neighbour_resolve_node)
