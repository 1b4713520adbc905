// SPDX-License-Identifier: BSD-3-Clause
//
// What the backends of port/ share. Not for other folders.

#pragma once

#include "port/port.h"

// A backend. The generic part (port.c) has checked the arguments and keeps the state machine, so
// start is only called on a stopped port and stop only on a started one. Called by the control
// thread; may block for milliseconds (a device's mailbox), never for an answer from the network.
struct port_ops {
	const char *name; // "representor"

	// Bring the device up as `config` says and hand its queues to the datapath. On failure the device is
	// as it was.
	int (*start)(struct port *port, const struct port_config *config, struct error *err);

	// Take the queues back (no worker touches them after), stop the device. Never fails: what refuses
	// is logged.
	void (*stop)(struct port *port);

	// Current state of the device. Never fails: a device that is gone has link_up false.
	void (*read_state)(const struct port *port, struct port_state *ret_state);

	// Of a started port: has the device ended by itself? NULL: it never does.
	bool (*is_lost)(const struct port *port);
};

struct port {
	const struct port_ops *ops;
	enum port_kind kind;
	uint32_t slot;
	bool started;
	struct port_config config; // valid while started
	struct nic *nic;
	uint16_t port_id; // the representor backend's: of the ethdev; fixed while the NIC is open
	struct vhost_device *device;  // the vhost backend's, while started
	struct virtio_device *virtio; // the virtio-user backend's, while started
};

// What the backends need of the NIC (nic.c).
struct rte_mempool;
struct rte_mempool *nic_packet_pool(const struct nic *nic);
uint32_t nic_worker_count(const struct nic *nic);
void nic_call_uplink_hook(const struct nic *nic);

#define VHOST_NET "/dev/vhost-net"

extern const struct port_ops representor_ops;
extern const struct port_ops vhost_ops;
// (virtio_user_ops is a name of DPDK's.)
extern const struct port_ops port_virtio_user_ops;

// What the backends on ethdevs enable of what a device can do, in rxmode and txmode.
struct rte_eth_dev_info;
struct rte_eth_conf;
void port_choose_offloads(const struct rte_eth_dev_info *info, struct rte_eth_conf *conf);
// DATAPATH_TX_ bits of these RTE_ETH_TX_OFFLOAD_ ones.
uint32_t port_device_tx_offloads(uint64_t tx_offloads);

// What the datapath is told of every port, whatever is behind it: the parts of ret_port that the configuration has.
struct datapath_port;
void port_describe(const struct port_config *config, struct datapath_port *ret_port);

const struct vhost_config *nic_vhost_config(const struct nic *nic);

// The folder of the sockets, ready for use: made, locked (one agent each), and rid of what a killed
// agent left. Errors: CODE_NIC. ret_lock_fd: to be closed when no port is started any more.
int vhost_open(const struct vhost_config *config, int *ret_lock_fd, struct error *err);
