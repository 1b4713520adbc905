// SPDX-License-Identifier: BSD-3-Clause
//
// The backend for virtio-user ports: a netdev of this machine's kernel (a TAP) behind its vhost-net, and at
// this end DPDK's net_virtio_user, made when the port starts and removed when it stops.
//
//     the graph ── net_virtio_user ══ rings ══ vhost-net (kernel) ── TAP "ppv02…" ── hostd ──► the pod's eth0
//                                                                     └── anchor: a queue of ours, detached
//
// The TAP lives as long as this process has it open; where it is, and what it is called by then, is nobody's
// business here. The anchor makes it, so that one that is there already is never joined, and tells whether it
// is still there: it ends with the netns that it was moved into, which the driver does not notice.
//
// Each worker has a queue pair: the kernel spreads over all of them, so all are received from, by the one
// worker that polls the port. Control thread, but for "workers" below.

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>

#include "datapath/datapath_port.h"
#include "port/port_private.h"
#include "proto/base/log.h"

enum {
	DESCRIPTORS = 256, // of a queue; what vhost-net is tuned to
	PAIRS_MAX = 128,   // of queues: DPDK makes no device with more
};

struct virtio_device {
	char name[RTE_DEV_NAME_MAX_LEN]; // DPDK's
	char netdev[IFNAMSIZ];
	uint32_t slot;
	uint16_t port_id;
	uint16_t pairs;
	int anchor_fd;
	bool interrupts;
	uint32_t tx_offloads;
	int watched[PAIRS_MAX]; // the driver's; -1: not watched
	// The receiving worker's own.
	bool armed;
	uint16_t receive_next;
};

// ---- workers -----------------------------------------------------------------------------------------

static void set_interrupts(struct virtio_device *device, bool on)
{
	for (uint16_t queue = 0; queue < device->pairs; queue++) {
		if (on)
			rte_eth_dev_rx_intr_enable(device->port_id, queue);
		else
			rte_eth_dev_rx_intr_disable(device->port_id, queue);
	}
	device->armed = on;
}

static void disarm(void *argument)
{
	set_interrupts(argument, false);
}

static bool arm(void *argument)
{
	struct virtio_device *device = argument;

	if (device->interrupts && !device->armed)
		set_interrupts(device, true);
	return device->interrupts;
}

static uint16_t receive(void *argument, struct rte_mbuf **packets, uint16_t count)
{
	struct virtio_device *device = argument;
	uint16_t total = 0;

	for (uint16_t i = 0; i < device->pairs && total < count; i++) {
		// Each queue is the first in turn, so that a busy one starves none.
		uint16_t queue = (uint16_t)((device->receive_next + i) % device->pairs);

		total = (uint16_t)(total + rte_eth_rx_burst(device->port_id, queue, &packets[total],
							    (uint16_t)(count - total)));
	}
	device->receive_next++;
	return total;
}

// virtio wants the length in the pseudo header of what is to be segmented, where DPDK leaves it out: that is
// what the driver's preparation does.
static uint16_t send_packets(void *argument, uint32_t worker, struct rte_mbuf **packets,
			     uint16_t count)
{
	const struct virtio_device *device = argument;
	uint16_t queue = (uint16_t)worker;

	if (device->tx_offloads != 0)
		count = rte_eth_tx_prepare(device->port_id, queue, packets, count);
	return rte_eth_tx_burst(device->port_id, queue, packets, count);
}

static uint32_t tx_offloads(const void *argument)
{
	return ((const struct virtio_device *)argument)->tx_offloads;
}

static const struct datapath_device_ops device_ops = {
	.receive = receive,
	.send = send_packets,
	.arm = arm,
	.disarm = disarm,
	.tx_offloads = tx_offloads,
};

// ---- the netdev ----------------------------------------------------------------------------------------

static int fail(struct error *err, const struct virtio_device *device, const char *step, int r)
{
	return error_set(err, -r, CODE_NIC, "virtio-user port %s: %s: %s", device->netdev, step,
			 rte_strerror(-r));
}

// A new TAP, in this process's netns, and never one that is there.
static int make_netdev(struct virtio_device *device, struct error *err)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE |
					     IFF_TUN_EXCL};
	struct ifreq detach = {.ifr_flags = IFF_DETACH_QUEUE};

	device->anchor_fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (device->anchor_fd < 0)
		return fail(err, device, "open /dev/net/tun", -errno);
	memcpy(request.ifr_name, device->netdev, sizeof(request.ifr_name));
	if (ioctl(device->anchor_fd, TUNSETIFF, &request) < 0)
		return fail(err, device, "make the netdev", -errno);
	// No packet is to wait in it.
	if (ioctl(device->anchor_fd, TUNSETQUEUE, &detach) < 0)
		return fail(err, device, "detach a queue of the netdev", -errno);
	return 0;
}

// Not by an ioctl: those of a TAP wait for whoever configures any interface of the machine.
static bool netdev_is_gone(const struct virtio_device *device)
{
	struct pollfd anchor = {.fd = device->anchor_fd, .events = POLLIN};

	return poll(&anchor, 1, 0) == 1 && (anchor.revents & POLLERR) != 0;
}

// ---- DPDK's device -------------------------------------------------------------------------------------

static int make_ethdev(struct virtio_device *device, const struct mac *mac, struct error *err)
{
	const uint8_t *b = mac->bytes;
	char arguments[256];
	int r;

	snprintf(arguments, sizeof(arguments),
		 "path=" VHOST_NET
		 ",iface=%s,queues=%u,queue_size=%d,mac=%02x:%02x:%02x:%02x:%02x:%02x",
		 device->netdev, device->pairs, DESCRIPTORS, b[0], b[1], b[2], b[3], b[4], b[5]);
	r = rte_eal_hotplug_add("vdev", device->name, arguments);
	if (r < 0)
		return error_set(err, -r, CODE_NIC,
				 "virtio-user port %s: DPDK cannot make it; its own lines in the "
				 "agent's log say why (dpdk.memory_mb may be too small)",
				 device->netdev);
	r = rte_eth_dev_get_port_by_name(device->name, &device->port_id);
	if (r < 0) {
		fail(err, device, "find DPDK's port", r);
		rte_eal_hotplug_remove("vdev", device->name);
	}
	return r;
}

static int configure(struct virtio_device *device, uint32_t mtu, struct rte_eth_conf *conf,
		     struct error *err)
{
	struct rte_eth_dev_info info;
	int r = rte_eth_dev_info_get(device->port_id, &info);

	if (r < 0)
		return fail(err, device, "read the device's properties", r);
	if (device->pairs > info.max_rx_queues || device->pairs > info.max_tx_queues)
		return error_set(err, EINVAL, CODE_NIC,
				 "virtio-user port %s: dpdk.workers: %u workers, but the kernel's "
				 "TAP has %u queues for them",
				 device->netdev, device->pairs,
				 RTE_MIN(info.max_rx_queues, info.max_tx_queues));
	if (info.max_mtu != 0 && mtu > info.max_mtu)
		return error_set(err, EINVAL, CODE_NIC, "mtu: %u is more than the %u of %s", mtu,
				 info.max_mtu, info.driver_name);
	port_choose_offloads(&info, conf);
	conf->rxmode.mtu = mtu;
	conf->intr_conf.rxq = 1;
	r = rte_eth_dev_configure(device->port_id, device->pairs, device->pairs, conf);
	return r < 0 ? fail(err, device, "configure", r) : 0;
}

static int set_up_queues(const struct virtio_device *device, const struct rte_eth_conf *conf,
			 struct rte_mempool *pool, struct error *err)
{
	const struct rte_eth_rxconf rx_conf = {.offloads = conf->rxmode.offloads};
	const struct rte_eth_txconf tx_conf = {.offloads = conf->txmode.offloads};

	for (uint16_t queue = 0; queue < device->pairs; queue++) {
		int r = rte_eth_rx_queue_setup(device->port_id, queue, DESCRIPTORS, SOCKET_ID_ANY,
					       &rx_conf, pool);

		if (r == 0)
			r = rte_eth_tx_queue_setup(device->port_id, queue, DESCRIPTORS,
						   SOCKET_ID_ANY, &tx_conf);
		if (r < 0)
			return fail(err, device, "set up a queue pair", r);
	}
	return 0;
}

static int start_ethdev(struct virtio_device *device, uint32_t mtu, struct rte_mempool *pool,
			struct error *err)
{
	struct rte_eth_conf conf = {0};
	int r = configure(device, mtu, &conf, err);

	if (r == 0)
		r = set_up_queues(device, &conf, pool, err);
	if (r < 0)
		return r;
	r = rte_eth_dev_set_mtu(device->port_id, (uint16_t)mtu);
	if (r < 0)
		return fail(err, device, "set the MTU", r);
	r = rte_eth_dev_start(device->port_id);
	if (r < 0)
		return fail(err, device, "start", r);
	device->tx_offloads = port_device_tx_offloads(conf.txmode.offloads);
	return 0;
}

// The kernel's rings wake the worker by these.
static void watch(struct virtio_device *device)
{
	device->interrupts = true;
	for (uint16_t queue = 0; queue < device->pairs; queue++) {
		int fd = rte_eth_dev_rx_intr_ctl_q_get_fd(device->port_id, queue);

		if (fd >= 0 && datapath_port_watch(device->slot, fd) == 0)
			device->watched[queue] = fd;
		else
			device->interrupts = false;
	}
	if (!device->interrupts)
		log_warning("virtio-user: a queue cannot wake its worker, the port is polled",
			    "netdev=%s", device->netdev);
	set_interrupts(device, false);
}

static void unwatch(struct virtio_device *device)
{
	for (uint16_t queue = 0; queue < device->pairs; queue++)
		if (device->watched[queue] >= 0)
			datapath_port_unwatch(device->slot, device->watched[queue]);
}

// ---- start and stop --------------------------------------------------------------------------------

static struct virtio_device *make_device(const struct port *port, const struct mac *mac)
{
	struct virtio_device *device = calloc(1, sizeof(*device));

	if (device == NULL)
		return NULL;
	virtio_netdev_name(mac, device->netdev);
	snprintf(device->name, sizeof(device->name), "net_virtio_user_%s", device->netdev);
	device->slot = port->slot;
	device->anchor_fd = -1;
	device->pairs = (uint16_t)nic_worker_count(port->nic);
	for (uint16_t pair = 0; pair < PAIRS_MAX; pair++)
		device->watched[pair] = -1;
	return device;
}

static void free_device(struct virtio_device *device)
{
	if (device->anchor_fd >= 0)
		close(device->anchor_fd);
	free(device);
}

static int hand_over(const struct port *port, const struct port_config *config, struct error *err)
{
	struct datapath_port datapath_port = {
		.slot = port->slot,
		.role = DATAPATH_ROLE_POD,
		.ops = &device_ops,
		.device = port->virtio,
		.tx_multi_segs = true,
		.pool = nic_packet_pool(port->nic),
	};

	port_describe(config, &datapath_port);
	return datapath_port_add(&datapath_port, err);
}

static void remove_ethdev(const struct virtio_device *device)
{
	int r = rte_eal_hotplug_remove("vdev", device->name);

	if (r < 0)
		log_warning("virtio-user port was not removed", "netdev=%s error=\"%s\"",
			    device->netdev, rte_strerror(-r));
}

static int virtio_start(struct port *port, const struct port_config *config, struct error *err)
{
	struct virtio_device *device;
	int r = virtio_user_probe(err);

	if (r < 0)
		return r;
	device = port->virtio = make_device(port, &config->mac);
	if (device == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "out of memory");
	r = make_netdev(device, err);
	if (r < 0)
		goto free;
	r = make_ethdev(device, &config->mac, err);
	if (r < 0)
		goto free;
	r = start_ethdev(device, config->mtu, nic_packet_pool(port->nic), err);
	if (r < 0)
		goto remove;
	watch(device);
	r = hand_over(port, config, err);
	if (r == 0) {
		log_info("virtio-user: netdev made",
			 "netdev=%s queue_pairs=%u checksum=%s segmentation=%s", device->netdev,
			 device->pairs,
			 device->tx_offloads & DATAPATH_TX_L4_CHECKSUM ? "yes" : "no",
			 device->tx_offloads & DATAPATH_TX_TSO ? "yes" : "no");
		return 0;
	}

	unwatch(device);
	rte_eth_dev_stop(device->port_id);
remove:
	remove_ethdev(device);
free:
	free_device(device);
	port->virtio = NULL;
	return r;
}

static void virtio_stop(struct port *port)
{
	struct virtio_device *device = port->virtio;
	int r;

	datapath_port_remove(port->slot);
	unwatch(device);
	r = rte_eth_dev_stop(device->port_id);
	if (r < 0)
		log_warning("port did not stop", "slot=%u error=\"%s\"", port->slot,
			    rte_strerror(-r));
	remove_ethdev(device);
	free_device(device);
	port->virtio = NULL;
}

static void virtio_read_state(const struct port *port, struct port_state *ret_state)
{
	const struct virtio_device *device = port->virtio;

	if (device == NULL)
		return;
	snprintf(ret_state->name, sizeof(ret_state->name), "%s", device->netdev);
	ret_state->link_up = !netdev_is_gone(device);
	ret_state->queue_pairs = device->pairs;
	ret_state->mtu = port->config.mtu;
	ret_state->mac = port->config.mac;
}

static bool virtio_is_lost(const struct port *port)
{
	return netdev_is_gone(port->virtio);
}

const struct port_ops port_virtio_user_ops = {
	.name = "virtio-user",
	.start = virtio_start,
	.stop = virtio_stop,
	.read_state = virtio_read_state,
	.is_lost = virtio_is_lost,
};
