// SPDX-License-Identifier: BSD-3-Clause
//
// Between the port backends (port/) and the graph: a backend that has brought a device up hands its
// queues over here, and takes them back before it stops the device. Control thread only.

#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "datapath/bandwidth.h"
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
struct rte_mbuf;

// A port that is no ethdev: how a worker takes packets from it and gives it some. Called on the
// workers' threads, of which one receives, arms and disarms, and all send. None of it blocks.
struct datapath_device_ops {
	// Up to `count` packets with the private area above; how many.
	uint16_t (*receive)(void *device, struct rte_mbuf **packets, uint16_t count);
	// How many were taken, which are freed or the device's; the others are the last ones then.
	uint16_t (*send)(void *device, uint32_t worker, struct rte_mbuf **packets, uint16_t count);
	// Let what is received from now on wake the worker, by an fd that datapath_port_watch was told of.
	// False: it cannot now, and is to be polled. Called before each sleep.
	bool (*arm)(void *device);
	// It has rung, or packets were received while it was armed: from now on it is polled.
	void (*disarm)(void *device);
	// What may be left to it now: DATAPATH_TX_ bits. It changes only while no worker is inside of a walk
	// that has asked, or from nothing.
	uint32_t (*tx_offloads)(const void *device);
};
enum { DATAPATH_TX_L4_CHECKSUM = 1, DATAPATH_TX_TSO = 2 };

struct datapath_port {
	uint32_t slot; // 0..DATAPATH_PORTS_MAX-1, not in use
	enum datapath_role role;
	const struct datapath_device_ops
		*ops;       // NULL: an ethdev, which the next three lines are about
	void *device;       // ops' first argument
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
	struct bandwidth_limit limits[BANDWIDTH_DIRECTIONS]; // of a pod
};

// Publish the port: workers poll it and route to it from now on. Errors: -EEXIST (slot or address
// in use), -ENOSPC; with CODE_INTERNAL.
int datapath_port_add(const struct datapath_port *port, struct error *err);

// Take it back. When this returns no worker touches the ethdev, and nothing is routed to it. A slot
// not in use: no effect.
void datapath_port_remove(uint32_t slot);

// ---- for ports with ops: any thread, while the datapath runs ------------------------------------

// The fd that becomes readable when the armed device in `slot` has something; edge-triggered, never
// read. Returns 0 or a negative errno. It must be unwatched before it is closed.
int datapath_port_watch(uint32_t slot, int fd);
void datapath_port_unwatch(uint32_t slot, int fd);
// Have the worker that polls `slot` look once more, and arm again.
void datapath_port_wake(uint32_t slot);
// When this returns no worker uses what it had taken from a device before the call. Not to be called
// by a worker.
void datapath_wait(void);
