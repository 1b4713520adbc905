// SPDX-License-Identifier: BSD-3-Clause
//
// The packets that neighbour_resolve keeps: they go on as soon as their neighbour's MAC address is
// known; if it does not become known, their senders are told. Looked at in each walk in which it
// may have.

#include <rte_cycles.h>

#include "datapath/icmp.h"
#include "datapath/neighbour_private.h"
#include "datapath/worker.h"

enum { EDGE_IP4 = 1, EDGE_IP6, EDGE_OWN, EDGE_ERROR4, EDGE_ERROR6, EDGES };

enum { LOOK_MS = 10 }; // also if no neighbour has changed: the host is heard without one

static bool passed(uint64_t since_tsc, uint64_t ms)
{
	return rte_rdtsc() - since_tsc > rte_get_tsc_hz() / 1000 * ms;
}

static rte_edge_t give_up(struct rte_mbuf *m)
{
	if (packet_meta(m)->own)
		return drop(m, DROP_NEIGHBOUR_UNREACHABLE);
	if (packet_is_ipv4(m))
		return drop_and_tell(m, EDGE_ERROR4, DROP_NEIGHBOUR_UNREACHABLE, ICMP4_UNREACHABLE,
				     ICMP4_HOST_UNREACHABLE, 0);
	return drop_and_tell(m, EDGE_ERROR6, DROP_NEIGHBOUR_UNREACHABLE, ICMP6_UNREACHABLE,
			     ICMP6_ADDRESS_UNREACHABLE, 0);
}

static rte_edge_t go_on(const struct rte_mbuf *m)
{
	if (packet_meta(m)->own)
		return EDGE_OWN;
	return packet_is_ipv4(m) ? EDGE_IP4 : EDGE_IP6;
}

// EDGES: it goes on waiting.
static rte_edge_t release_one(struct worker *w, const struct waiting_packet *packet)
{
	struct rte_mbuf *m = packet->m;
	const struct graph_port *in = packet_in_port(w, m),
				*out = w->snapshot->ports[packet_meta(m)->out_slot];

	// Its sender may have gone meanwhile, and another come in its place.
	if (in == NULL || in->generation != packet->in_generation || out == NULL)
		return drop(m, DROP_PORT_GONE);
	switch (neighbour_find(w, m, out)) {
	case ANSWER_KNOWN:
		return go_on(m);
	case ANSWER_UNREACHABLE:
		return give_up(m);
	case ANSWER_WAIT:
		break;
	}
	return passed(packet->since_tsc, WAITING_MS) ? give_up(m) : (rte_edge_t)EDGES;
}

// Is there a reason to look through them?
static bool is_time(struct worker *w)
{
	struct waiting *waiting = &w->waiting;
	uint32_t epoch = atomic_load(&w->neighbours->epoch);

	if (epoch == waiting->looked_epoch && !passed(waiting->looked_tsc, LOOK_MS))
		return false;
	waiting->looked_epoch = epoch;
	waiting->looked_tsc = rte_rdtsc();
	return true;
}

static uint16_t neighbour_release(struct rte_graph *graph, struct rte_node *node, void **objs,
				  uint16_t unused)
{
	struct worker *w = worker_self;
	struct waiting *waiting = &w->waiting;
	uint16_t kept = 0, count = waiting->count;

	if (likely(count == 0) || !is_time(w))
		return 0;
	for (uint16_t i = 0; i < count; i++) {
		struct waiting_packet packet = waiting->packets[i];
		rte_edge_t edge = release_one(w, &packet);

		if (edge == EDGES) {
			waiting->packets[kept++] = packet;
			continue;
		}
		waiting->of_port[packet.in_slot]--;
		waiting->asked_by_port[packet.in_slot] -= packet.asked;
		rte_node_enqueue_x1(graph, node, edge, packet.m);
	}
	waiting->count = kept;
	w->walk_packets += count - kept;
	return count - kept;
}

static struct rte_node_register neighbour_release_node = {
	.flags = RTE_NODE_SOURCE_F,
	.name = NODE("neighbour_release"),
	.process = neighbour_release,
	.nb_edges = EDGES,
	.next_nodes = {[EDGE_DROP] = NODE("drop"),
		       [EDGE_IP4] = NODE("ip4_forward"),
		       [EDGE_IP6] = NODE("ip6_forward"),
		       [EDGE_OWN] = NODE("wire_reply"),
		       [EDGE_ERROR4] = NODE("icmp4_error"),
		       [EDGE_ERROR6] = NODE("icmp6_error")},
};
RTE_NODE_REGISTER(neighbour_release_node)
