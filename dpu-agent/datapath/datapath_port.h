// SPDX-License-Identifier: BSD-3-Clause
//
// Between the port backends (port/) and the graph: a backend that has brought a device up hands its
// queues over here, and takes them back before it stops the device. Control thread only.

#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/message.h"

enum {
	// Private area that every mbuf which reaches the graph must have: the pool's priv_size.
	DATAPATH_MBUF_PRIVATE_SIZE = 64,
};

enum datapath_role {
	DATAPATH_ROLE_POD, // only its own MAC and addresses may send
	DATAPATH_ROLE_HOST, // any source but pods' and the router's; packets to the gateway address go here
	DATAPATH_ROLE_UPLINK, // the wire
};

struct rte_mempool;

struct datapath_port {
	uint32_t slot; // 0..DATAPATH_PORTS_MAX-1, not in use
	enum datapath_role role;
	uint16_t port_id;   // started ethdev: one Rx queue (0), Tx queue i is worker i's
	bool rx_interrupts; // the Rx queue can wake a sleeping worker
	bool tx_ipv4_checksum, tx_l4_checksum, tx_tso,
		tx_multi_segs;    // Tx offloads enabled; the rest is done in software
	struct rte_mempool *pool; // for what the agent says of its own accord
	// Of the function, or the uplink's own; zero for HOST: learned from what it sends.
	struct mac mac;
	uint32_t mtu;
	bool has_ipv4, has_ipv6;
	struct in_addr ipv4; // routed to this port
	struct in6_addr ipv6;
};

// Publish the port: workers poll it and route to it from now on. Errors: -EEXIST (slot or address
// in use), -ENOSPC; with CODE_INTERNAL.
int datapath_port_add(const struct datapath_port *port, struct error *err);

// Take it back. When this returns no worker touches the ethdev, and nothing is routed to it. A slot
// not in use: no effect.
void datapath_port_remove(uint32_t slot);
