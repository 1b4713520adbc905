// SPDX-License-Identifier: BSD-3-Clause
//
// What a graph node works with: the worker it runs on, the snapshot of ports and router it sees during one walk, and
// the metadata each packet carries. Not for other folders.
//
//     control thread                                worker
//     build snapshot ── publish (pointer swap) ──► read once per walk
//     wait for quiescence ◄─────────────────────── report after each walk, offline while asleep
//     free what was replaced

#pragma once

#include <stdatomic.h>
#include <string.h>

#include <rte_ether.h>
#include <rte_graph.h>
#include <rte_graph_worker.h>
#include <rte_hash.h>
#include <rte_ip.h>
#include <rte_mbuf.h>

#include "datapath/datapath.h"
#include "datapath/datapath_port.h"
#include "datapath/drop.h"

_Static_assert((int)DROP_REASON_COUNT <= (int)LIMIT_DROPS,
	       "every reason has room in datapath_counters");

// A port as the graph sees it. Immutable once published, but for the learned MAC address.
struct graph_port {
	struct datapath_port config;
	struct rte_ether_addr mac;
	// PORT_HOST: the MAC address of the last packet from the host in the low 48 bits, 0: none yet.
	_Atomic uint64_t learned_mac;
};

// Everything a walk looks up besides the route tables. Replaced whole.
struct snapshot {
	struct datapath_router router;
	struct rte_ether_addr router_mac;
	struct in_addr mask_ipv4;                     // of the pod network, network order
	struct graph_port *ports[DATAPATH_PORTS_MAX]; // by slot; NULL: none
	uint16_t poll[DATAPATH_PORTS_MAX];            // slots in use
	uint16_t poll_count;
	bool all_interrupt; // every port can wake a worker
};

struct icmp_budget {
	uint64_t refilled_tsc;
	uint32_t tokens;
};

// Counters of one port on one worker; written by that worker alone, read by the control thread.
struct port_counters {
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
	uint64_t drops[DROP_REASON_COUNT];
};

struct worker {
	uint32_t index;     // also its Tx queue on every port
	uint32_t thread_id; // of the QSBR variable
	uint32_t stride;    // number of workers: polls the slots with slot % stride == index
	unsigned int lcore;
	struct rte_graph *graph;
	int epoll_fd;
	int wake_fd;
	_Atomic bool leave;
	_Atomic bool asleep;

	// Of the walk under way.
	const struct snapshot *snapshot;
	uint64_t walk_packets;

	struct rte_hash *routes_ipv4, *routes_ipv6; // shared by all workers: address -> slot
	struct icmp_budget icmp[DATAPATH_PORTS_MAX];
	struct port_counters counters[DATAPATH_PORTS_MAX];
};

// The worker of the calling thread; set while it walks.
extern __thread struct worker *worker_self;

// ---- a packet's metadata -------------------------------------------------------------------------

// In the mbuf's private area. From eth_classify to port_tx the packet's data starts at layer 3.
struct packet_meta {
	uint16_t in_slot;
	uint16_t out_slot;     // for port_tx
	rte_be16_t ether_type; // for port_tx
	uint8_t reason;        // enum drop_reason, for the drop node and the error nodes
	bool link_multicast;   // came to a group address of layer 2
	uint8_t icmp_type;     // for icmp4_error and icmp6_error
	uint8_t icmp_code;
	uint32_t icmp_value; // MTU, host order
};
_Static_assert(sizeof(struct packet_meta) <= DATAPATH_MBUF_PRIVATE_SIZE, "fits the private area");

static inline struct packet_meta *packet_meta(struct rte_mbuf *m)
{
	return rte_mbuf_to_priv(m);
}

static inline const struct graph_port *packet_in_port(const struct worker *w, struct rte_mbuf *m)
{
	return w->snapshot->ports[packet_meta(m)->in_slot];
}

static inline void count_drop(struct worker *w, uint16_t slot, enum drop_reason reason)
{
	w->counters[slot].drops[reason]++;
}

// Edge 0 of every node is the drop node, which counts meta->reason.
enum { EDGE_DROP = 0 };

static inline rte_edge_t drop(struct rte_mbuf *m, enum drop_reason reason)
{
	packet_meta(m)->reason = (uint8_t)reason;
	return EDGE_DROP;
}

// ---- shapes of packets ---------------------------------------------------------------------------

// Make the first `length` bytes contiguous. False: the packet is shorter, or has no room for it.
bool packet_pullup_slow(struct rte_mbuf *m, uint32_t length);

static inline bool packet_pullup(struct rte_mbuf *m, uint32_t length)
{
	return likely(rte_pktmbuf_data_len(m) >= length) || packet_pullup_slow(m, length);
}

// Cut the packet to `length` bytes, which is not more than it has. Frees segments that become empty.
void packet_trim(struct rte_mbuf *m, uint32_t length);

// Where layer 4 begins and what it is; for IPv6 behind its extension headers. Layer 3 is at the start of the data.
// False: malformed, or hidden (a fragment that is not the first).
bool packet_find_l4(struct rte_mbuf *m, bool ipv6, uint8_t *ret_protocol, uint16_t *ret_offset);

// The checksum of layer 4 is still to be filled (the sender's stack left it to the NIC).
static inline bool packet_checksum_pending(const struct rte_mbuf *m)
{
	return (m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_NONE;
}

// A large TCP frame to be cut into segments of m->tso_segsz bytes.
static inline bool packet_is_large(const struct rte_mbuf *m)
{
	return (m->ol_flags & RTE_MBUF_F_RX_LRO) != 0 && m->tso_segsz != 0;
}

// Fill a pending checksum in software. False: layer 4 cannot be found.
bool packet_fill_checksum(struct rte_mbuf *m, bool ipv6);

// The size on the wire, at layer 3, of the largest packet this frame will become.
uint32_t packet_wire_size(struct rte_mbuf *m, bool ipv6);

// May an ICMP error be sent because of a packet from this slot? Takes a token if so.
bool icmp_error_allowed(struct worker *w, uint16_t slot);

// Addresses -> slot. False: nobody has it.
static inline bool route_ipv4(const struct worker *w, rte_be32_t address, uint16_t *ret_slot)
{
	void *data;

	if (rte_hash_lookup_data(w->routes_ipv4, &address, &data) < 0)
		return false;
	*ret_slot = (uint16_t)(uintptr_t)data;
	return true;
}

static inline bool route_ipv6(const struct worker *w, const void *address, uint16_t *ret_slot)
{
	void *data;

	if (rte_hash_lookup_data(w->routes_ipv6, address, &data) < 0)
		return false;
	*ret_slot = (uint16_t)(uintptr_t)data;
	return true;
}

static inline bool in_network_ipv4(const struct snapshot *s, rte_be32_t address)
{
	return s->router.has_ipv4 &&
	       (address & s->mask_ipv4.s_addr) == s->router.network_ipv4.s_addr;
}

bool in_network_ipv6(const struct snapshot *s, const uint8_t address[16]);

// Network order.
#define ROUTER_LINK_LOCAL_IPV4_BE rte_cpu_to_be_32(RTE_IPV4(169, 254, 1, 1))
extern const uint8_t router_link_local_ipv6[16];

// ---- nodes ---------------------------------------------------------------------------------------

// Node names are one space for the whole process, and DPDK's own librte_node is in it.
#define NODE(name) "podport_" name

// What a node does with one packet; returns the edge it leaves by.
typedef rte_edge_t (*packet_function)(struct worker *w, struct rte_mbuf *m);

// Run `function` over a node's packets and pass them on in runs of the same edge. Inlined into each node, so that the
// function is too.
static __rte_always_inline uint16_t each_packet(struct rte_graph *graph, struct rte_node *node,
						void **objs, uint16_t count,
						packet_function function)
{
	struct worker *w = worker_self;
	uint16_t run_start = 0;
	rte_edge_t run_edge = 0;

	for (uint16_t i = 0; i < count; i++) {
		rte_edge_t edge = function(w, objs[i]);

		if (edge != run_edge && i > run_start) {
			rte_node_enqueue(graph, node, run_edge, &objs[run_start],
					 (uint16_t)(i - run_start));
			run_start = i;
		}
		run_edge = edge;
	}
	if (count > run_start)
		rte_node_enqueue(graph, node, run_edge, &objs[run_start],
				 (uint16_t)(count - run_start));
	return count;
}
