// SPDX-License-Identifier: BSD-3-Clause
//
// What tests of the driver need of ethdev: EAL without hugepages, a pool, ports started in one call.

#pragma once

#include <stdint.h>

#include <rte_ethdev.h>
#include <rte_mempool.h>

#include "sim/simnic/test_support.h"

// Initialise EAL for a test: no hugepages, no PCI, nothing on disk but what is in `runtime_folder`
// (NULL: no telemetry). False if it cannot.
bool eal_start(const char *runtime_folder);

enum port_shape {
	PORT_PLAIN,   // no offload
	PORT_OFFLOAD, // all the device has
};

// Configure with one Rx queue with interrupt and `tx_queues` Tx queues, and start.
void port_start(uint16_t port, struct rte_mempool *pool, enum port_shape shape, uint16_t tx_queues);
// The only port that matches "<device>,representor=vf<number>". Fails if there is none, or two.
uint16_t port_of_vf(const char *device, unsigned int number);
// How many ports match these device arguments.
unsigned int ports_matching(const char *arguments);

// Wait for a frame.
struct rte_mbuf *port_receive(uint16_t port);
// Send a copy of these bytes.
void port_send(uint16_t port, uint16_t queue, struct rte_mempool *pool, const void *data,
	       uint16_t size);
// The value of an extended statistic.
uint64_t port_xstat(uint16_t port, const char *name);
struct rte_eth_stats port_stats(uint16_t port);

// Forward what was received as it is, unfinished work included: set the Tx flags that the Rx flags ask for.
void mbuf_keep_offloads(struct rte_mbuf *mbuf);
