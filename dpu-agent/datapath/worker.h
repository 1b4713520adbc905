// SPDX-License-Identifier: BSD-3-Clause
//
// What a graph node works with: the worker it runs on, the snapshot of ports and router it sees
// during one walk, and the metadata each packet carries. Not for other folders.
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
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_udp.h>

#include "datapath/addresses.h"
#include "datapath/datapath.h"
#include "datapath/datapath_port.h"
#include "datapath/drop.h"
#include "datapath/masquerade.h"

_Static_assert((int)DROP_REASON_COUNT <= (int)LIMIT_DROPS,
	       "every reason has room in datapath_counters");

enum {
	TX_BATCH = 64,     // packets sent to one port at once
	WAITING_MAX = 256, // packets that wait for a neighbour's MAC address, of all neighbours
	WAITING_HOST_MAX = 128, // of these for the host: what pods send in a round trip
	WAITING_WIRE_MAX = 8,   // and for one neighbour on the wire: RFC 4861 section 7.2.2 wants 1
	WAITING_PORT_MAX = 64,  // and from one port for the wire: no pod takes all the room
	WAITING_MS = 4000,      // and for how long: a little longer than the asking takes
	TRACE_NODES_MAX = 128,  // nodes that can be traced, by their number in the process
	NO_SLOT = UINT16_MAX,
};

// A port as the graph sees it. Immutable once published, but for the learned MAC address.
struct graph_port {
	struct datapath_port config;
	struct rte_ether_addr mac;
	uint32_t
		generation; // tells two ports that had the same slot one after the other apart; never 0
	struct meter *meters[BANDWIDTH_DIRECTIONS]; // NULL: unlimited
	int interrupt_fd; // rings when a packet came and the interrupt is armed; -1: only polling helps
	// HOST: the MAC address of the last packet from the host in the low 48 bits, 0: none yet.
	_Atomic uint64_t learned_mac;
};

// A route on the wire. Prefixes and masks as they are in packets.
struct wire_route4 {
	rte_be32_t prefix, mask;
	uint16_t route; // index in wire->config.routes, or WIRE_ON_LINK
};
struct wire_route6 {
	uint64_t prefix[2], mask[2];
	uint16_t route;
};
enum {
	WIRE_ON_LINK = LIMIT_ROUTES,
	WIRE_ROUTES_MAX = LIMIT_ROUTES + 1, // with the prefix on the link
};

// Who the agent is on the wire, and its routes there, the longest prefix first. Immutable once published; replaced whole.
struct wire {
	struct uplink config;
	uint32_t generation;  // another one for each
	rte_be32_t mask_ipv4; // of the prefix on the link
	uint16_t route4_count, route6_count;
	struct wire_route4 routes4[WIRE_ROUTES_MAX];
	struct wire_route6 routes6[WIRE_ROUTES_MAX];
};

// Everything a walk looks up besides neighbours. Replaced whole.
struct snapshot {
	struct datapath_router router;
	struct datapath_limits limits;
	uint64_t packet_tsc, saved_tsc; // limits.slow_path_pps as limits.c has it; 0: none
	const struct wire *wire;        // NULL: the agent has no address there
	uint16_t uplink_slot;           // NO_SLOT: the port is not started
	struct rte_ether_addr router_mac;
	struct in_addr mask_ipv4;                     // of the pod network, network order
	struct graph_port *ports[DATAPATH_PORTS_MAX]; // by slot; NULL: none
	const struct addresses *addresses;            // of these ports
	uint16_t poll[DATAPATH_PORTS_MAX];            // slots in use
	uint16_t poll_count;
	// The same for all workers, one uses it; NULL: nothing is masqueraded or published.
	struct masquerade *masquerade;
	struct masquerade_config masquerading;   // nothing, if there is none
	const struct published_ports *published; // NULL: none
	const struct trace_set *traces;          // NULL: nobody looks
	uint64_t serial;                         // another one for each
};

// Packets on their way to one port.
struct tx_batch {
	bool active; // in the worker's list of those to send before the walk ends
	uint16_t count;
	struct rte_mbuf *packets[TX_BATCH];
};

// Packets for a neighbour whose MAC address is not known yet (RFC 1122 section 2.3.2.2), held by
// neighbour_resolve until it is, or is known not to come.
struct waiting {
	uint16_t count;
	// Of the packets from each port: how many there are, and how many of them were the first for their neighbour.
	uint16_t of_port[DATAPATH_PORTS_MAX], asked_by_port[DATAPATH_PORTS_MAX];
	uint32_t looked_epoch; // of neighbours: nothing has changed since it was looked
	uint64_t looked_tsc;
	struct waiting_packet {
		struct rte_mbuf *m;
		uint64_t since_tsc;
		uint32_t in_generation; // of the port it came in on
		uint16_t in_slot;
		bool asked; // it was the first for its neighbour
	} packets[WAITING_MAX];
};

// Tokens for what the router says on its own account because of one port.
struct icmp_budget {
	uint64_t refilled_tsc;
	uint32_t tokens;
};

// Counters of one port on one worker; written by that worker alone, read by the control thread.
struct port_counters {
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
	uint64_t
		tx_full; // to be sent here, and dropped: counted with the port they came in on, too
	uint64_t drops[DROP_REASON_COUNT];
	struct bandwidth_count metered[BANDWIDTH_DIRECTIONS];
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
	struct masquerade *masquerade; // the snapshot's
	uint64_t walk_packets;

	// poll.c. Slots that are polled, and the generation of the port that rests in a slot, or whose Rx interrupt is
	// armed; 0: none.
	uint64_t polled_serial; // of the snapshot that the list was made for
	uint64_t heard_tsc;     // when it was looked last who of them rings
	uint16_t polled_count, poll_next, resting_count;
	uint16_t polled[DATAPATH_PORTS_MAX];
	uint16_t empty_polls[DATAPATH_PORTS_MAX];
	uint32_t resting[DATAPATH_PORTS_MAX], armed[DATAPATH_PORTS_MAX];
	uint16_t batched[DATAPATH_PORTS_MAX]; // slots with an active batch
	uint16_t batched_count;
	struct tx_batch tx[DATAPATH_PORTS_MAX];
	struct waiting waiting;

	struct neighbours *neighbours;   // shared by all workers: what neighbour_private.h looks up
	struct rte_ring *control_output; // mbufs that the control thread has made
	bool ticking;                    // something expires, so it may not sleep for long
	uint64_t paid_until_tsc[DATAPATH_PORTS_MAX]; // see limits.h
	struct icmp_budget icmp[DATAPATH_PORTS_MAX];
	struct port_counters counters[DATAPATH_PORTS_MAX];

	// trace_worker.c. NULL: nobody looks.
	const struct trace_set *traces;
	struct tracer *tracer;
	uint16_t trace_generation;
	rte_node_process_t
		trace_processes[TRACE_NODES_MAX]; // what nodes do, while another is before it
};

// The worker of the calling thread; set while it walks.
extern __thread struct worker *worker_self;

// ---- a packet's metadata -------------------------------------------------------------------------

// What the sender's stack left to the NIC.
enum offload {
	OFFLOAD_NONE,
	OFFLOAD_CHECKSUM, // the TCP or UDP checksum is not filled in
	OFFLOAD_TSO,      // nor is it cut into segments, of mbuf->tso_segsz bytes of payload
};

// In the mbuf's private area. From eth_classify to port_tx the packet's data starts at layer 3.
struct packet_meta {
	uint16_t in_slot;
	uint16_t out_slot;     // for port_tx
	rte_be16_t ether_type; // for port_tx
	uint8_t reason;        // enum drop_reason, for the drop node and the error nodes
	bool link_multicast;   // came to a group address of layer 2
	bool out_group; // for port_tx: to the group that the IPv6 destination is, or ARP to all, not to the port's MAC
	uint8_t icmp_type; // for icmp4_error and icmp6_error
	uint8_t icmp_code;
	uint32_t icmp_value; // MTU, host order
	uint8_t offload; // enum offload; if not NONE, the rest is valid and its headers are contiguous
	uint8_t l4_protocol; // TCP or UDP
	uint16_t l4_offset;  // from layer 3 on, with extension headers
	uint16_t l4_size;    // of the TCP or UDP header
	bool own;            // the router's own packet, on its way to the wire
	// For port_tx, if the port out is the uplink; of a packet that came in there, who sent it.
	struct rte_ether_addr wire_mac;
	uint8_t next_hop
		[16];   // on the way to a neighbour: whom to ask for; of IPv4 the first 4 bytes
	uint32_t trace; // trace_worker.c's name for it, 0: none
};
_Static_assert(sizeof(struct packet_meta) <= DATAPATH_MBUF_PRIVATE_SIZE, "fits the private area");

static inline struct packet_meta *packet_meta(const struct rte_mbuf *m)
{
	return (struct packet_meta *)((uintptr_t)m + sizeof(struct rte_mbuf));
}

static inline const struct graph_port *packet_in_port(const struct worker *w,
						      const struct rte_mbuf *m)
{
	return w->snapshot->ports[packet_meta(m)->in_slot];
}

static inline bool from_wire(const struct worker *w, const struct rte_mbuf *m)
{
	return packet_meta(m)->in_slot == w->snapshot->uplink_slot;
}

// Of a packet whose data starts at layer 3.
static inline bool packet_is_ipv4(const struct rte_mbuf *m)
{
	return *rte_pktmbuf_mtod(m, const uint8_t *) >> 4 == 4;
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

// To an ICMP error node, by `edge`: the packet is dropped for `reason` and its sender told so, if
// that is allowed.
static inline rte_edge_t drop_and_tell(struct rte_mbuf *m, rte_edge_t edge, enum drop_reason reason,
				       uint8_t type, uint8_t code, uint32_t value)
{
	struct packet_meta *meta = packet_meta(m);

	meta->reason = (uint8_t)reason;
	meta->icmp_type = type;
	meta->icmp_code = code;
	meta->icmp_value = value;
	return edge;
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

// The one's complement sum (RFC 1071) of `size` bytes from `offset` on, which are there; folded, in the packet's byte order.
uint16_t packet_sum(const struct rte_mbuf *m, uint32_t offset, uint32_t size);

// What is behind an IPv6 header and its extension headers.
struct ipv6_upper {
	uint8_t protocol;
	uint16_t offset;     // from layer 3 on
	bool routing;        // a routing header: the destination is not the last one
	bool fragment;       // a fragment header
	bool later_fragment; // and it is not the first: the middle of something is at offset
	bool secured;        // an authentication or mobility header, which no NIC looks behind
};

// False: the chain of headers is cut off, or longer than any sane one.
bool packet_find_upper(const struct rte_mbuf *m, struct ipv6_upper *ret_upper);

// Is there a whole UDP header at `offset` from layer 3 on, from this port to that one?
static inline bool packet_is_udp(const struct rte_mbuf *m, uint32_t offset, rte_be16_t source,
				 rte_be16_t destination)
{
	struct rte_udp_hdr buffer;
	const struct rte_udp_hdr *udp = rte_pktmbuf_read(m, offset, sizeof(*udp), &buffer);

	return udp != NULL && udp->src_port == source && udp->dst_port == destination;
}

// Did the sender's stack leave something to the NIC?
static inline bool packet_has_offload(const struct rte_mbuf *m)
{
	return unlikely((m->ol_flags & RTE_MBUF_F_RX_LRO) != 0 ||
			(m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_NONE);
}

// Note in the metadata what that is. False: the flags do not fit what is in the packet.
bool packet_read_offload(struct rte_mbuf *m, uint8_t l4_protocol, uint16_t l4_offset);

// The size at layer 3 of the largest packet that this will be on a wire.
static inline uint32_t packet_wire_size(const struct rte_mbuf *m)
{
	const struct packet_meta *meta = packet_meta(m);

	if (likely(meta->offload != OFFLOAD_TSO))
		return rte_pktmbuf_pkt_len(m);
	return (uint32_t)meta->l4_offset + meta->l4_size + m->tso_segsz;
}

// The folded sum of the pseudo header of TCP or UDP of `size` bytes. Offload is not NONE.
uint16_t packet_pseudo_sum(const struct rte_mbuf *m, uint16_t size);

// Where the TCP or UDP checksum is. Offload is not NONE.
rte_be16_t *packet_l4_checksum(const struct rte_mbuf *m);

// Fill the checksum that was left to the NIC; the offload is NONE then. Not for OFFLOAD_TSO.
void packet_fill_checksum(struct rte_mbuf *m);

// A packet of the router's own because of `cause`: out of its pool, counted for its port. NULL: no buffer.
struct rte_mbuf *packet_new(const struct rte_mbuf *cause, uint16_t size);

// May an ICMP error be sent because of a packet from this slot? Takes a token if so.
bool icmp_error_allowed(struct worker *w, uint16_t slot);

static inline bool in_network_ipv4(const struct snapshot *s, rte_be32_t address)
{
	return s->router.has_ipv4 &&
	       (address & s->mask_ipv4.s_addr) == s->router.network_ipv4.s_addr;
}

bool in_network_ipv6(const struct snapshot *s, const uint8_t address[16]);

static inline bool ipv6_equal(const uint8_t a[16], const uint8_t b[16])
{
	return memcmp(a, b, 16) == 0;
}

static inline bool ipv6_is_link_local(const uint8_t address[16])
{
	return address[0] == 0xfe && (address[1] & 0xc0) == 0x80;
}

// As bytes, whether DPDK has them as an array (until 24.07) or in a struct.
static inline const uint8_t *ipv6_source(const struct rte_ipv6_hdr *ip)
{
	return (const uint8_t *)&ip->src_addr;
}

static inline const uint8_t *ipv6_destination(const struct rte_ipv6_hdr *ip)
{
	return (const uint8_t *)&ip->dst_addr;
}

// Network order.
#define ROUTER_LINK_LOCAL_IPV4_BE RTE_BE32(0xa9fe0101u)
extern const uint8_t router_link_local_ipv6[16];

// ---- the wire ------------------------------------------------------------------------------------

// The next hop to an address outside of the pod network; into the metadata, with the port out. False:
// there is none.
bool wire_route_ipv4(const struct snapshot *s, struct rte_mbuf *m, rte_be32_t destination);
bool wire_route_ipv6(const struct snapshot *s, struct rte_mbuf *m, const uint8_t destination[16]);

// The agent's own address there. False also if it has none.
static inline bool is_wire_ipv4(const struct snapshot *s, rte_be32_t address)
{
	return s->wire != NULL && s->wire->config.has_ipv4 &&
	       s->wire->config.ipv4.s_addr == address;
}

static inline bool is_wire_ipv6(const struct snapshot *s, const uint8_t *address)
{
	return s->wire != NULL && s->wire->config.has_ipv6 &&
	       ipv6_equal(s->wire->config.ipv6.s6_addr, address);
}

// ---- limits --------------------------------------------------------------------------------------

// Pods that the NIC meters, by slot.
extern _Atomic bool metered_in_nic[DATAPATH_PORTS_MAX];

// Is it for the graph to meter this direction of the pod?
static inline bool port_is_metered(const struct graph_port *port, unsigned int direction)
{
	return unlikely(port->meters[direction] != NULL) &&
	       !atomic_load_explicit(&metered_in_nic[port->config.slot], memory_order_relaxed);
}

// ---- nodes ---------------------------------------------------------------------------------------

// Node names are one space for the whole process, and DPDK's own librte_node is in it.
#define NODE(name) "podport_" name

enum { PREFETCH = 4 }; // packets ahead

// What a node does with one packet; returns the edge it leaves by.
typedef rte_edge_t (*packet_function)(struct worker *w, struct rte_mbuf *m);

// Run `function` over a node's packets and pass them on in runs of the same edge. Inlined into each
// node, so that the function is too.
static __rte_always_inline uint16_t each_packet(struct rte_graph *graph, struct rte_node *node,
						void **objs, uint16_t count,
						packet_function function)
{
	struct worker *w = worker_self;
	uint16_t run_start = 0;
	rte_edge_t run_edge = 0;

	for (uint16_t i = 0; i < count; i++) {
		if (i + PREFETCH < count)
			rte_prefetch0(
				rte_pktmbuf_mtod((struct rte_mbuf *)objs[i + PREFETCH], void *));
		rte_edge_t edge = function(w, objs[i]);

		if (edge != run_edge && i > run_start) {
			rte_node_enqueue(graph, node, run_edge, &objs[run_start],
					 (uint16_t)(i - run_start));
			run_start = i;
		}
		run_edge = edge;
	}
	if (run_start == 0) // all of them: hand over the array itself
		rte_node_next_stream_move(graph, node, run_edge);
	else
		rte_node_enqueue(graph, node, run_edge, &objs[run_start],
				 (uint16_t)(count - run_start));
	return count;
}
