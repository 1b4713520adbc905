// SPDX-License-Identifier: BSD-3-Clause
//
// The NIC: one device probed with its representors, and the ports made of them. Control thread, at start-up
// and shut-down.
//
//     <device>                     the uplink, manager of the e-switch     slot 0
//     <device>,representor=vf65535 the host's PF, as mlx5 on BlueField     slot 1
//     <device>,representor=vfN     function N                              slot 2 + N
//     (no part of the NIC)         vhost-user port M                       slot 2 + functions + M
//     (likewise)                   virtio-user port K                      behind all of these

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "datapath/datapath.h"
#include "datapath/datapath_port.h"
#include "port/port_private.h"
#include "proto/base/log.h"

enum {
	HOST_PF_REPRESENTOR = 65535,
	FIXED_SLOTS = 2, // uplink and host port, before the functions
	FUNCTIONS_MAX = 1000,
	POOL_CACHE = 256, // mbufs each worker keeps to itself
	DEVARGS_SIZE = LIMIT_PATH + 64,
};

_Static_assert(FIXED_SLOTS + FUNCTIONS_MAX <= DATAPATH_PORTS_MAX, "a slot for every function");
_Static_assert(FIXED_SLOTS + FUNCTIONS_MAX <= RTE_MAX_ETHPORTS,
	       "DPDK must be built with max_ethports=1024: packaging/dpdk/build");

struct nic {
	char device[LIMIT_PATH + 1]; // with driver arguments
	char name[RTE_DEV_NAME_MAX_LEN];
	char driver[LIMIT_ID + 1];
	bool probed;
	struct rte_mempool *pool;
	uint32_t workers;
	uint32_t function_count;
	bool has_host_port;
	uint32_t vhost_count, virtio_count;
	struct vhost_config vhost; // its folder is `vhost_folder`
	char vhost_folder[SOCKET_PATH_SIZE];
	int vhost_lock_fd; // -1: none
	void (*uplink_hook)(void *argument);
	void *uplink_hook_argument;
	struct port ports[]; // by slot
};

const char *nic_driver_name(const struct nic *nic)
{
	return nic->driver;
}

uint32_t nic_function_count(const struct nic *nic)
{
	return nic->function_count;
}

bool nic_is_gone(const struct nic *nic)
{
	return rte_eth_dev_is_removed(nic->ports[0].port_id) == 1;
}

uint32_t nic_vhost_count(const struct nic *nic)
{
	return nic->vhost_count;
}

uint32_t nic_virtio_count(const struct nic *nic)
{
	return nic->virtio_count;
}

const struct vhost_config *nic_vhost_config(const struct nic *nic)
{
	return &nic->vhost;
}

struct rte_mempool *nic_packet_pool(const struct nic *nic)
{
	return nic->pool;
}

uint32_t nic_worker_count(const struct nic *nic)
{
	return nic->workers;
}

void nic_set_uplink_hook(struct nic *nic, void (*hook)(void *argument), void *argument)
{
	nic->uplink_hook = hook;
	nic->uplink_hook_argument = argument;
}

void nic_call_uplink_hook(const struct nic *nic)
{
	if (nic->uplink_hook != NULL)
		nic->uplink_hook(nic->uplink_hook_argument);
}

static uint32_t virtio_slot(const struct nic *nic, uint32_t index)
{
	return FIXED_SLOTS + nic->function_count + nic->vhost_count + index;
}

struct port *nic_port(struct nic *nic, enum port_kind kind, uint32_t index)
{
	switch (kind) {
	case PORT_UPLINK:
		return index == 0 ? &nic->ports[0] : NULL;
	case PORT_HOST:
		return index == 0 && nic->has_host_port ? &nic->ports[1] : NULL;
	case PORT_FUNCTION:
		return index < nic->function_count ? &nic->ports[FIXED_SLOTS + index] : NULL;
	case PORT_VHOST:
		return index < nic->vhost_count
			       ? &nic->ports[FIXED_SLOTS + nic->function_count + index]
			       : NULL;
	case PORT_VIRTIO:
		return index < nic->virtio_count ? &nic->ports[virtio_slot(nic, index)] : NULL;
	}
	return NULL;
}

static void make_port(struct nic *nic, enum port_kind kind, uint32_t slot, uint16_t port_id)
{
	nic->ports[slot] = (struct port){
		.ops = &representor_ops,
		.kind = kind,
		.slot = slot,
		.nic = nic,
		.port_id = port_id,
	};
}

static int make_vhost_ports(struct nic *nic, const struct nic_config *config, struct error *err)
{
	if (config->vhost.folder == NULL || config->vhost_ports == 0)
		return 0;
	snprintf(nic->vhost_folder, sizeof(nic->vhost_folder), "%s", config->vhost.folder);
	nic->vhost = config->vhost;
	nic->vhost.folder = nic->vhost_folder;
	int r = vhost_open(&nic->vhost, &nic->vhost_lock_fd, err);
	if (r < 0)
		return r;
	nic->vhost_count = config->vhost_ports;
	for (uint32_t i = 0; i < nic->vhost_count; i++) {
		uint32_t slot = FIXED_SLOTS + nic->function_count + i;

		nic->ports[slot] = (struct port){
			.ops = &vhost_ops, .kind = PORT_VHOST, .slot = slot, .nic = nic};
	}
	return 0;
}

static void make_virtio_ports(struct nic *nic, uint32_t count)
{
	nic->virtio_count = count;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t slot = virtio_slot(nic, i);

		nic->ports[slot] = (struct port){.ops = &port_virtio_user_ops,
						 .kind = PORT_VIRTIO,
						 .slot = slot,
						 .nic = nic};
	}
}

// The ethdev of one representor, by the same words it was probed with. -ENODEV if the NIC made none.
static int find_representor(const struct nic *nic, unsigned int vf, uint16_t *ret_port_id)
{
	char devargs[DEVARGS_SIZE];
	struct rte_dev_iterator iterator;
	uint16_t port_id;
	int r = -ENODEV;

	snprintf(devargs, sizeof(devargs), "%s,representor=vf%u", nic->name, vf);
	RTE_ETH_FOREACH_MATCHING_DEV (port_id, devargs, &iterator) {
		*ret_port_id = port_id;
		rte_eth_iterator_cleanup(&iterator);
		r = 0;
		break;
	}
	return r;
}

// The device's own port is the one without a representor identity.
static int find_uplink(const struct nic *nic, uint16_t *ret_port_id)
{
	uint16_t port_id;

	RTE_ETH_FOREACH_DEV (port_id) {
		struct rte_eth_dev_info info;

		if (rte_eth_dev_info_get(port_id, &info) < 0 ||
		    strcmp(rte_dev_name(info.device), nic->name) != 0)
			continue;
		if (*info.dev_flags & RTE_ETH_DEV_REPRESENTOR)
			continue;
		*ret_port_id = port_id;
		return 0;
	}
	return -ENODEV;
}

static int find_ports(struct nic *nic, struct error *err)
{
	struct rte_eth_dev_info info;
	uint16_t port_id;

	if (find_uplink(nic, &port_id) < 0 || rte_eth_dev_info_get(port_id, &info) < 0)
		return error_set(err, ENODEV, CODE_NIC,
				 "nic.device: %s has no uplink port; is it in switchdev mode?",
				 nic->device);
	snprintf(nic->driver, sizeof(nic->driver), "%s", info.driver_name);
	make_port(nic, PORT_UPLINK, 0, port_id);

	if (nic->has_host_port) {
		if (find_representor(nic, HOST_PF_REPRESENTOR, &port_id) < 0)
			return error_set(err, ENODEV, CODE_NIC,
					 "nic.host_port: %s has no representor of the host's PF "
					 "(vf65535); set nic.host_port to false to do without",
					 nic->device);
		make_port(nic, PORT_HOST, 1, port_id);
	}
	for (uint32_t vf = 0; vf < nic->function_count; vf++) {
		if (find_representor(nic, vf, &port_id) < 0)
			return error_set(
				err, ENODEV, CODE_NIC,
				"nic.functions: %s has no function vf%u, the first missing "
				"of the %u that were asked for",
				nic->device, vf, nic->function_count);
		make_port(nic, PORT_FUNCTION, FIXED_SLOTS + vf, port_id);
	}
	return 0;
}

static int probe(struct nic *nic, struct error *err)
{
	char devargs[DEVARGS_SIZE];
	struct rte_devargs parsed = {0};

	if (rte_devargs_parse(&parsed, nic->device) < 0)
		return error_set(
			err, EINVAL, CODE_NIC,
			"nic.device: DPDK cannot read \"%s\"; is the driver built in, or in "
			"dpdk.drivers?",
			nic->device);
	snprintf(nic->name, sizeof(nic->name), "%s", parsed.name);
	rte_devargs_reset(&parsed);

	// rte_dev_probe of a device that is there already says 0 and adds nothing, so look first.
	uint16_t port_id;
	if (find_uplink(nic, &port_id) == 0)
		return error_set(err, EBUSY, CODE_NIC, "nic.device: %s was probed before",
				 nic->device);

	snprintf(devargs, sizeof(devargs), "%s,representor=vf[0-%u%s]", nic->device,
		 nic->function_count - 1, nic->has_host_port ? ",65535" : "");
	int r = rte_dev_probe(devargs);
	if (r < 0)
		return error_set(err, -r, CODE_NIC, "nic.device: probing %s failed: %s", devargs,
				 rte_strerror(-r));
	nic->probed = true;
	return 0;
}

int nic_open(const struct nic_config *config, struct nic **ret_nic, struct error *err)
{
	if (config->functions < 1 || config->functions > FUNCTIONS_MAX)
		return error_set(err, EINVAL, CODE_BAD_REQUEST, "nic.functions: %u is not in 1..%d",
				 config->functions, FUNCTIONS_MAX);

	uint32_t slots =
		FIXED_SLOTS + config->functions + config->vhost_ports + config->virtio_ports;
	if (config->vhost_ports > NIC_VHOST_PORTS_MAX || slots > DATAPATH_PORTS_MAX)
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "vhost.ports: %u is more than %d, or, with %u functions and %u "
				 "virtio-user ports, "
				 "than there are slots",
				 config->vhost_ports, NIC_VHOST_PORTS_MAX, config->functions,
				 config->virtio_ports);
	struct nic *nic = calloc(1, sizeof(*nic) + slots * sizeof(nic->ports[0]));
	if (nic == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "nic: out of memory");
	snprintf(nic->device, sizeof(nic->device), "%s", config->device);
	nic->function_count = config->functions;
	nic->has_host_port = config->host_port;
	nic->workers = config->workers;
	nic->vhost_lock_fd = -1;

	nic->pool = rte_pktmbuf_pool_create("packets", config->packet_buffers, POOL_CACHE,
					    DATAPATH_MBUF_PRIVATE_SIZE, RTE_MBUF_DEFAULT_BUF_SIZE,
					    SOCKET_ID_ANY);
	if (nic->pool == NULL) {
		int r = error_set(err, rte_errno, CODE_NIC,
				  "dpdk.packet_buffers: no memory for %u buffers (%s); raise "
				  "dpdk.memory_mb",
				  config->packet_buffers, rte_strerror(rte_errno));
		nic_close(nic);
		return r;
	}
	int r = probe(nic, err);
	if (r == 0)
		r = find_ports(nic, err);
	if (r == 0)
		r = make_vhost_ports(nic, config, err);
	if (r < 0) {
		nic_close(nic);
		return r;
	}
	make_virtio_ports(nic, config->virtio_ports);
	log_info("NIC opened",
		 "device=\"%s\" driver=%s functions=%u host_port=%s vhost_ports=%u virtio_ports=%u",
		 nic->device, nic->driver, nic->function_count, nic->has_host_port ? "yes" : "no",
		 nic->vhost_count, nic->virtio_count);
	*ret_nic = nic;
	return 0;
}

static void remove_device(const struct nic *nic)
{
	struct rte_dev_iterator iterator;
	struct rte_device *device;
	char filter[DEVARGS_SIZE];

	snprintf(filter, sizeof(filter), "%s", nic->name);
	uint16_t port_id;
	RTE_ETH_FOREACH_MATCHING_DEV (port_id, filter, &iterator) {
		struct rte_eth_dev_info info;

		rte_eth_iterator_cleanup(&iterator);
		if (rte_eth_dev_info_get(port_id, &info) < 0)
			break;
		device = info.device;
		// Closes every port of the device, representors first.
		if (rte_dev_remove(device) < 0)
			log_warning("NIC could not be removed", "device=\"%s\"", nic->device);
		break;
	}
}

void nic_close(struct nic *nic)
{
	if (nic == NULL)
		return;
	if (nic->probed)
		remove_device(nic);
	if (nic->vhost_lock_fd >= 0)
		close(nic->vhost_lock_fd);
	rte_mempool_free(nic->pool);
	free(nic);
}
