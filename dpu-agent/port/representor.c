// SPDX-License-Identifier: BSD-3-Clause
//
// The backend for ports of the NIC: representors of functions and of the host's PF, and the uplink. An
// ethdev with one Rx queue and a Tx queue for each worker. Control thread.

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_ethdev.h>

#include "datapath/datapath_port.h"
#include "port/port_dpdk.h"
#include "port/port_private.h"
#include "proto/base/log.h"

enum {
	RX_DESCRIPTORS = 512, // a burst of one worker's sleep at 1 Mpps
	TX_DESCRIPTORS = 512,
};

#define TX_TCP_AND_UDP (RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM)
#define RX_TCP_AND_UDP (RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM)

static int fail(struct error *err, const struct port *port, const char *step, int r)
{
	char name[RTE_ETH_NAME_MAX_LEN] = "?";

	rte_eth_dev_get_name_by_port(port->port_id, name);
	return error_set(err, -r, CODE_NIC, "port %s: %s: %s", name, step, rte_strerror(-r));
}

// What to enable of what the device can do. A frame larger than the MTU (LRO) is taken only from a
// device that can also send one (TSO) and that takes chains, so that nothing must be cut up in
// software; a frame whose checksum is still to be filled only if the device fills it on the way
// out.
void port_choose_offloads(const struct rte_eth_dev_info *info, struct rte_eth_conf *conf)
{
	uint64_t tx = info->tx_offload_capa &
		      (RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | TX_TCP_AND_UDP | RTE_ETH_TX_OFFLOAD_TCP_TSO |
		       RTE_ETH_TX_OFFLOAD_MULTI_SEGS);
	uint64_t rx = info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER;

	if ((tx & TX_TCP_AND_UDP) == TX_TCP_AND_UDP) {
		rx |= info->rx_offload_capa & RX_TCP_AND_UDP;
		if ((tx & RTE_ETH_TX_OFFLOAD_TCP_TSO) && (tx & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) &&
		    (rx & RTE_ETH_RX_OFFLOAD_SCATTER))
			rx |= info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_TCP_LRO;
	}
	conf->rxmode.offloads = rx;
	conf->txmode.offloads = tx;
	if (rx & RTE_ETH_RX_OFFLOAD_TCP_LRO)
		conf->rxmode.max_lro_pkt_size = info->max_lro_pkt_size;
}

uint32_t port_device_tx_offloads(uint64_t tx_offloads)
{
	if ((tx_offloads & TX_TCP_AND_UDP) != TX_TCP_AND_UDP)
		return 0;
	return DATAPATH_TX_L4_CHECKSUM |
	       (tx_offloads & RTE_ETH_TX_OFFLOAD_TCP_TSO ? DATAPATH_TX_TSO : 0);
}

static int set_up_queues(const struct port *port, const struct rte_eth_dev_info *info,
			 const struct rte_eth_conf *conf, struct error *err)
{
	struct rte_eth_rxconf rx_conf = info->default_rxconf;
	struct rte_eth_txconf tx_conf = info->default_txconf;
	uint16_t rx_descriptors = RX_DESCRIPTORS, tx_descriptors = TX_DESCRIPTORS;
	int r = rte_eth_dev_adjust_nb_rx_tx_desc(port->port_id, &rx_descriptors, &tx_descriptors);

	if (r < 0)
		return fail(err, port, "choose descriptors", r);
	rx_conf.offloads = conf->rxmode.offloads;
	tx_conf.offloads = conf->txmode.offloads;
	r = rte_eth_rx_queue_setup(port->port_id, 0, rx_descriptors, SOCKET_ID_ANY, &rx_conf,
				   nic_packet_pool(port->nic));
	if (r < 0)
		return fail(err, port, "set up the Rx queue", r);
	for (uint16_t queue = 0; queue < nic_worker_count(port->nic); queue++) {
		r = rte_eth_tx_queue_setup(port->port_id, queue, tx_descriptors, SOCKET_ID_ANY,
					   &tx_conf);
		if (r < 0)
			return fail(err, port, "set up a Tx queue", r);
	}
	return 0;
}

// With Rx interrupts if the device has them, so that an idle worker can sleep; without if it refuses.
static int configure(const struct port *port, const struct port_config *config,
		     const struct rte_eth_dev_info *info, struct rte_eth_conf *conf,
		     struct error *err)
{
	uint16_t workers = (uint16_t)nic_worker_count(port->nic);

	if (workers > info->max_tx_queues)
		return error_set(err, EINVAL, CODE_NIC,
				 "dpdk.workers: %u workers, but %s has %u Tx queues for a port",
				 workers, info->driver_name, info->max_tx_queues);
	if (info->max_mtu != 0 && config->mtu > info->max_mtu)
		return error_set(err, EINVAL, CODE_NIC, "mtu: %u is more than the %u of %s",
				 config->mtu, info->max_mtu, info->driver_name);
	port_choose_offloads(info, conf);
	conf->rxmode.mtu = config->mtu;
	conf->intr_conf.rxq = 1;
	int r = rte_eth_dev_configure(port->port_id, 1, workers, conf);
	if (r < 0) {
		conf->intr_conf.rxq = 0;
		r = rte_eth_dev_configure(port->port_id, 1, workers, conf);
	}
	if (r < 0)
		return fail(err, port, "configure", r);
	r = rte_eth_dev_set_mtu(port->port_id, (uint16_t)config->mtu);
	if (r < 0)
		return fail(err, port, "set the MTU", r);
	return 0;
}

// Can the Rx queue really interrupt? Some drivers accept intr_conf.rxq and refuse later.
static bool probe_interrupts(const struct port *port, const struct rte_eth_conf *conf)
{
	if (conf->intr_conf.rxq == 0 || rte_eth_dev_rx_intr_enable(port->port_id, 0) < 0)
		return false;
	rte_eth_dev_rx_intr_disable(port->port_id, 0);
	return true;
}

static enum datapath_role role_of(const struct port *port)
{
	switch (port->kind) {
	case PORT_HOST:
		return DATAPATH_ROLE_HOST;
	case PORT_UPLINK:
		return DATAPATH_ROLE_UPLINK;
	case PORT_FUNCTION:
	case PORT_VHOST:
	case PORT_VIRTIO:
		break;
	}
	return DATAPATH_ROLE_POD;
}

static void read_mac(const struct port *port, struct mac *ret_mac)
{
	struct rte_ether_addr mac;

	if (rte_eth_macaddr_get(port->port_id, &mac) == 0)
		memcpy(ret_mac->bytes, mac.addr_bytes, sizeof(ret_mac->bytes));
}

static int hand_over(const struct port *port, const struct port_config *config,
		     const struct rte_eth_conf *conf, struct error *err)
{
	uint64_t tx = conf->txmode.offloads;
	struct datapath_port datapath_port = {
		.slot = port->slot,
		.role = role_of(port),
		.port_id = port->port_id,
		.rx_interrupts = probe_interrupts(port, conf),
		.tx_ipv4_checksum = (tx & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM) != 0,
		.tx_l4_checksum = (tx & TX_TCP_AND_UDP) == TX_TCP_AND_UDP,
		.tx_tso = (tx & RTE_ETH_TX_OFFLOAD_TCP_TSO) != 0,
		.tx_multi_segs = (tx & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) != 0,
		.pool = nic_packet_pool(port->nic),
	};

	port_describe(config, &datapath_port);
	// On the wire the agent goes by the device's own MAC address.
	if (port->kind == PORT_UPLINK)
		read_mac(port, &datapath_port.mac);
	return datapath_port_add(&datapath_port, err);
}

// A function's packets come with any MAC address of the pods, so the representor must take them all. Devices
// whose representors do so by nature may refuse to be told.
static void take_all(const struct port *port)
{
	rte_eth_promiscuous_enable(port->port_id);
	rte_eth_allmulticast_enable(port->port_id);
}

static int representor_start(struct port *port, const struct port_config *config, struct error *err)
{
	struct rte_eth_conf conf = {0};
	struct rte_eth_dev_info info;
	int r = rte_eth_dev_info_get(port->port_id, &info);

	if (r < 0)
		return fail(err, port, "read the device's properties", r);
	r = configure(port, config, &info, &conf, err);
	if (r < 0)
		return r;
	if (port->kind == PORT_UPLINK)
		nic_call_uplink_hook(port->nic);
	r = set_up_queues(port, &info, &conf, err);
	if (r < 0)
		return r;
	r = rte_eth_dev_start(port->port_id);
	if (r < 0)
		return fail(err, port, "start", r);
	take_all(port);
	r = rte_eth_dev_set_link_up(port->port_id);
	if (r < 0 && r != -ENOTSUP) {
		fail(err, port, "set the link up", r);
		goto stop;
	}
	r = hand_over(port, config, &conf, err);
	if (r < 0)
		goto stop;
	return 0;

stop:
	rte_eth_dev_stop(port->port_id);
	return r;
}

static void representor_stop(struct port *port)
{
	datapath_port_remove(port->slot);
	rte_eth_dev_set_link_down(port->port_id);
	int r = rte_eth_dev_stop(port->port_id);
	if (r < 0)
		log_warning("port did not stop", "slot=%u error=\"%s\"", port->slot,
			    rte_strerror(-r));
}

static void representor_read_state(const struct port *port, struct port_state *ret_state)
{
	struct rte_eth_link link = {0};
	uint16_t mtu = 0;
	char name[RTE_ETH_NAME_MAX_LEN] = "";

	rte_eth_dev_get_name_by_port(port->port_id, name);
	snprintf(ret_state->name, sizeof(ret_state->name), "%s", name);
	rte_eth_dev_get_mtu(port->port_id, &mtu);
	ret_state->mtu = port->started ? port->config.mtu : mtu;
	if (port->started && port->kind != PORT_UPLINK)
		ret_state->mac = port->config.mac;
	else
		read_mac(port, &ret_state->mac);
	ret_state->link_up = rte_eth_link_get_nowait(port->port_id, &link) == 0 &&
			     link.link_status == RTE_ETH_LINK_UP;
}

uint16_t port_ethdev_id(const struct port *port)
{
	return port->port_id;
}

const struct port_ops representor_ops = {
	.name = "representor",
	.start = representor_start,
	.stop = representor_stop,
	.read_state = representor_read_state,
};
