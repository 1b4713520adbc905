// SPDX-License-Identifier: BSD-3-Clause
//
// The software path: workers that walk an rte_graph over all started ports. This header is the
// control thread's side and free of DPDK. State is published to workers by pointer swap; what it
// replaces is freed after every worker has passed a quiescent state (rte_rcu_qsbr). Control thread
// only, unless said otherwise.

#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "datapath/bandwidth.h"
#include "proto/message.h"

enum { DATAPATH_PORTS_MAX = 1024 };

// Every reason a packet is dropped for; the names are what podportctl shows. DROP_REASONS in drop.h
// lists them.
size_t datapath_drop_reason_count(void);
const char *datapath_drop_reason_name(size_t reason);
// That of a packet beyond the pod's limit in this direction (BANDWIDTH_).
size_t datapath_bandwidth_drop_reason(unsigned int direction);

// Who the virtual router is. May be set again while ports run.
struct datapath_router {
	struct mac mac; // on every port
	bool has_ipv4, has_ipv6;
	// It answers ARP and neighbour solicitations for these on pod ports, and they are the source of
	// its ICMP errors. Packets to them go to the host.
	struct in_addr gateway_ipv4;
	struct in6_addr gateway_ipv6;
	// The pod network: nothing with a source outside of it is let in from a pod, and an address
	// inside it that nobody has is unreachable, not routed.
	struct in_addr network_ipv4;
	uint8_t ipv4_prefix_length;
	struct in6_addr network_ipv6;
	uint8_t ipv6_prefix_length;
};

// The router's own link-local addresses, the same on every node; the host's route to its pods
// points here. It answers ARP, neighbour solicitations and echo for them on every port.
#define ROUTER_LINK_LOCAL_IPV4 "169.254.1.1"
#define ROUTER_LINK_LOCAL_IPV6 "fe80::1"

struct masquerade_config;

struct datapath_config {
	uint32_t workers; // EAL worker lcores 1..workers run the graph
	// Copied. NULL: nothing is masqueraded, and nothing can be published.
	const struct masquerade_config *masquerade;
};

// Build tables and graphs, launch workers. EAL is initialised. Errors: CODE_INTERNAL with what DPDK
// said.
int datapath_start(const struct datapath_config *config, struct error *err);
// Workers leave; all ports must be stopped. Fine if not started.
void datapath_stop(void);

void datapath_set_router(const struct datapath_router *router);

// What one pod may have, so that others have theirs. 0: as much as there is.
struct datapath_limits {
	uint32_t
		slow_path_pps; // packets from it a second that are handled here, and not by the NIC
	uint32_t connections;  // that are masqueraded, at once
	uint32_t unresolved_neighbours; // that are asked for at once because of it, on each worker
};
// May be set again while ports run. Until then there is no limit.
void datapath_set_limits(const struct datapath_limits *limits);

// The MAC address that the host has sent from last. False: it has sent nothing, or the port in this slot is not the host's.
bool datapath_host_mac(uint32_t slot, struct mac *ret_mac);

// Counters of one port since the agent started (kept over stop and start of the port), summed over
// workers.
struct datapath_counters {
	uint64_t rx_packets, rx_bytes; // received from the function
	uint64_t tx_packets, tx_bytes; // sent to the function
	uint64_t
		tx_full; // to be sent to it, but it had no room: among the drops of those who sent them
	// Received here and dropped, by reason; but for "ingress-bandwidth": to be sent, and dropped.
	uint64_t drops[LIMIT_DROPS];
	struct bandwidth_count metered[BANDWIDTH_DIRECTIONS]; // by the graph, of a limited pod
};
void datapath_read_counters(uint32_t slot, struct datapath_counters *ret_counters);
// Zero them: a slot was given to another attachment.
void datapath_clear_counters(uint32_t slot);

// The NIC meters what the pod in this slot sends and receives, also what goes through the graph, which then
// does not do it again. True only while it does; false at once when that is over. Any thread; a slot keeps
// it until it is told otherwise, whatever its port does.
void datapath_meter_in_nic(uint32_t slot, bool in_nic);
