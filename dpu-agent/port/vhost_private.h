// SPDX-License-Identifier: BSD-3-Clause
//
// What the vhost-user backend's two halves share: vhost.c, where guests come and go, publishes in the
// device what vhost_worker.c uses.

#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "datapath/datapath_port.h"
#include "port/port_private.h"

enum {
	PAIRS_MAX = 128, // of queues: all that librte_vhost lets a guest have
	NO_VID = -1,
};

struct vhost_device {
	LIST_ENTRY(vhost_device) entry;
	char path[SOCKET_PATH_SIZE];
	uint32_t slot;
	struct rte_mempool *pool;

	int connection; // vhost-events' own: the vid of the guest that counts, NO_VID: none

	_Atomic int vid; // of the guest that workers may use, NO_VID: none
	_Atomic uint32_t tx_offloads;
	_Atomic bool armed;
	// Queues by pair, and one more than the highest that is enabled. A guest's transmit queue is what is
	// received from.
	_Atomic bool receive_enabled[PAIRS_MAX], send_enabled[PAIRS_MAX];
	_Atomic uint16_t receive_pairs, send_pairs;
	_Atomic int kick_fds[PAIRS_MAX]; // ours, dup()ed; -1: none
	uint16_t receive_next;           // the receiving worker's own
};

// How workers use a struct vhost_device.
extern const struct datapath_device_ops vhost_device_ops;
