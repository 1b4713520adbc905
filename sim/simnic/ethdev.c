// SPDX-License-Identifier: BSD-3-Clause
//
// The operations of uplink and representor ports. Control calls change what the pipeline uses in
// the pipeline's own thread; what the kernel may take long for (offloads and carrier of a netdev
// need its rtnl lock) is done here, so that no frame waits for it.

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_atomic.h>
#include <rte_malloc.h>

#include "sim/simnic/compat.h"
#include "sim/simnic/flow_async.h"
#include "sim/simnic/frame.h"
#include "sim/simnic/simnic.h"
#include "sim/simnic/tap.h"

static const uint64_t rx_offloads_known = RTE_ETH_RX_OFFLOAD_TCP_CKSUM |
					  RTE_ETH_RX_OFFLOAD_UDP_CKSUM |
					  RTE_ETH_RX_OFFLOAD_TCP_LRO | RTE_ETH_RX_OFFLOAD_SCATTER;
static const uint64_t tx_offloads_known =
	RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM |
	RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_MULTI_SEGS;

// ---- the netdev behind the port -------------------------------------------------------------------------

struct netdev_wish {
	struct function *function;
	int fd;
	unsigned int netdev;
	unsigned int offloads;
	bool carrier;
};

static void get_wish(void *argument)
{
	struct netdev_wish *wish = argument;

	wish->fd = wish->function->fd >= 0 ? dup(wish->function->fd) : -1;
	wish->netdev = wish->function->netdevs;
	wish->offloads = wish->function->offloads;
	wish->carrier = function_has_carrier(wish->function);
}

// Only what is new: each is a wait for the rtnl lock, which who moves netdevs between netns holds for 10 ms and more.
static int fulfil(const struct netdev_wish *wish)
{
	struct function *function = wish->function;
	bool all = function->dressed.netdev != wish->netdev;
	int error = 0;

	function->dressed.netdev = 0; // until it is known again
	if (all || function->dressed.offloads != wish->offloads)
		error = tap_set_offloads(wish->fd, wish->offloads);
	if (error == 0 && (all || function->dressed.carrier != wish->carrier))
		error = tap_set_carrier(wish->fd, wish->carrier);
	if (error < 0)
		return error;
	function->dressed.netdev = wish->netdev;
	function->dressed.offloads = wish->offloads;
	function->dressed.carrier = wish->carrier;
	return 0;
}

int simnic_dress_netdev(struct function *function)
{
	struct netdev_wish wish = {.function = function};
	int error = 0;

	pthread_mutex_lock(&function->device->dress_lock);
	pipeline_call(function->device, get_wish, &wish);
	if (wish.fd >= 0) {
		error = fulfil(&wish);
		close(wish.fd);
	}
	pthread_mutex_unlock(&function->device->dress_lock);
	return error == -EBADFD ? 0 : error;
}

// ---- configuration --------------------------------------------------------------------------------------

static int infos_get(struct rte_eth_dev *dev, struct rte_eth_dev_info *info)
{
	struct function *function = function_of(dev);

	info->max_rx_queues = 1;
	info->max_tx_queues = SIMNIC_TX_QUEUES_MAX;
	info->min_mtu = RTE_ETHER_MIN_MTU;
	info->max_mtu = SIMNIC_MTU_MAX;
	info->min_rx_bufsize = 256;
	info->max_rx_pktlen = SIMNIC_MTU_MAX + RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN;
	info->max_lro_pkt_size = SIMNIC_FRAME_MAX;
	info->max_mac_addrs = 1;
	info->speed_capa = RTE_ETH_LINK_SPEED_25G;
	info->rx_offload_capa = rx_offloads_known;
	info->tx_offload_capa = tx_offloads_known;
	// The e-switch does not stop with a port.
	info->dev_capa = RTE_ETH_DEV_CAPA_FLOW_RULE_KEEP | RTE_ETH_DEV_CAPA_FLOW_SHARED_OBJECT_KEEP;
	info->rx_desc_lim.nb_min = SIMNIC_RING_MIN;
	info->rx_desc_lim.nb_max = SIMNIC_RING_MAX;
	info->rx_desc_lim.nb_align = 1;
	info->tx_desc_lim = info->rx_desc_lim;
	info->tx_desc_lim.nb_seg_max = SIMNIC_SEGMENTS_MAX;
	info->tx_desc_lim.nb_mtu_seg_max = SIMNIC_SEGMENTS_MAX;
	info->default_rxportconf = (struct rte_eth_dev_portconf){
		.burst_size = 32,
		.ring_size = SIMNIC_RING_DEFAULT,
		.nb_queues = 1,
	};
	info->default_txportconf = info->default_rxportconf;
	info->switch_info.name = function->device->name;
	info->switch_info.domain_id = function->device->domain_id;
	info->switch_info.port_id = function->index;
	return 0;
}

static int configure(struct rte_eth_dev *dev)
{
	return 0;
}

// ---- start, stop, link ----------------------------------------------------------------------------------

static void start_in_pipeline(void *argument)
{
	struct rte_eth_dev *dev = argument;
	struct function *function = function_of(dev);
	uint64_t offloads = dev->data->dev_conf.rxmode.offloads;

	// An application that left max_lro_pkt_size at its default takes no frame beyond the MTU.
	if (dev->data->dev_conf.rxmode.max_lro_pkt_size < UINT16_MAX)
		offloads &= ~RTE_ETH_RX_OFFLOAD_TCP_LRO;
	function->offloads = 0;
	if ((offloads & RTE_ETH_RX_OFFLOAD_TCP_CKSUM) && (offloads & RTE_ETH_RX_OFFLOAD_UDP_CKSUM))
		function->offloads |= TAP_CHECKSUM; // the kernel has one switch for both
	if ((function->offloads & TAP_CHECKSUM) && (offloads & RTE_ETH_RX_OFFLOAD_TCP_LRO))
		function->offloads |= TAP_TSO;
	function->port.rx_offloads = offloads;
	function->port.mtu = dev->data->mtu;
	function->port.tx_queue_count = dev->data->nb_tx_queues;
	function->port.started = dev->data->nb_rx_queues > 0;
	__atomic_store_n(&function->carrier, true, __ATOMIC_RELAXED);
}

static void stop_in_pipeline(void *argument)
{
	struct function *function = argument;

	function->port.started = false;
	function->port.tx_queue_count = 0;
}

static int link_update(struct rte_eth_dev *dev, int wait);

static int dev_start(struct rte_eth_dev *dev)
{
	struct function *function = function_of(dev);
	int error;

	for (uint16_t i = 0; i < dev->data->nb_tx_queues; i++)
		if (dev->data->tx_queues[i] == NULL)
			return -EINVAL;
	if (dev->data->nb_rx_queues > 0 && dev->data->rx_queues[0] == NULL)
		return -EINVAL;
	pipeline_call(function->device, start_in_pipeline, dev);
	error = simnic_dress_netdev(function);
	if (error < 0) {
		SIMNIC_LOG(ERR, "%s: setting up netdev %s: %s", dev->data->name, function->netdev,
			   strerror(-error));
		pipeline_call(function->device, stop_in_pipeline, function);
		return error;
	}
	for (uint16_t i = 0; i < dev->data->nb_rx_queues; i++)
		dev->data->rx_queue_state[i] = RTE_ETH_QUEUE_STATE_STARTED;
	for (uint16_t i = 0; i < dev->data->nb_tx_queues; i++)
		dev->data->tx_queue_state[i] = RTE_ETH_QUEUE_STATE_STARTED;
	(void)link_update(dev, 0);
	return 0;
}

// The function keeps its carrier: a pod must not lose its link because the agent is restarted.
static int dev_stop(struct rte_eth_dev *dev)
{
	struct function *function = function_of(dev);

	pipeline_call(function->device, stop_in_pipeline, function);
	for (uint16_t i = 0; i < dev->data->nb_rx_queues; i++)
		dev->data->rx_queue_state[i] = RTE_ETH_QUEUE_STATE_STOPPED;
	for (uint16_t i = 0; i < dev->data->nb_tx_queues; i++)
		dev->data->tx_queue_state[i] = RTE_ETH_QUEUE_STATE_STOPPED;
	simnic_ring_drain(function->port.rx.ring);
	for (uint16_t i = 0; i < dev->data->nb_tx_queues; i++)
		simnic_ring_drain(function->port.tx[i].ring);
	return 0;
}

static int dev_close(struct rte_eth_dev *dev)
{
	struct function *function = function_of(dev);
	struct device *device = function->device;

	for (uint16_t i = 0; i < dev->data->nb_rx_queues; i++)
		if (dev->data->rx_queues[i] != NULL)
			simnic_rx_queue_release(dev, i);
	for (uint16_t i = 0; i < dev->data->nb_tx_queues; i++)
		if (dev->data->tx_queues[i] != NULL)
			simnic_tx_queue_release(dev, i);
	flow_port_closed(function);
	// When nobody tells anything by it just now: ethdev is about to take it apart.
	pthread_mutex_lock(&device->notify_lock);
	__atomic_store_n(&function->port.ethdev, NULL, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&device->notify_lock);
	if (--device->ports == 0)
		device_free(device);
	return 0;
}

static void look(void *argument)
{
	function_look(argument);
}

static int link_update(struct rte_eth_dev *dev, int wait)
{
	struct function *function = function_of(dev);
	struct rte_eth_link link = {
		.link_speed = RTE_ETH_SPEED_NUM_25G,
		.link_duplex = RTE_ETH_LINK_FULL_DUPLEX,
		.link_autoneg = RTE_ETH_LINK_FIXED,
	};

	link.link_status = function_link_now(function);
	// A change that the pipeline has not seen. One that it has is cheap to ask for, under any load.
	if (link.link_status != __atomic_load_n(&function->link_up, __ATOMIC_RELAXED))
		pipeline_call(function->device, look, function);
	return rte_eth_linkstatus_set(dev, &link);
}

static void carrier_on(void *argument)
{
	struct function *function = argument;

	__atomic_store_n(&function->carrier, true, __ATOMIC_RELAXED);
	function_look(function);
}

static void carrier_off(void *argument)
{
	struct function *function = argument;

	__atomic_store_n(&function->carrier, false, __ATOMIC_RELAXED);
	function_look(function);
}

static int set_link_up(struct rte_eth_dev *dev)
{
	pipeline_call(function_of(dev)->device, carrier_on, function_of(dev));
	return simnic_dress_netdev(function_of(dev));
}

static int set_link_down(struct rte_eth_dev *dev)
{
	pipeline_call(function_of(dev)->device, carrier_off, function_of(dev));
	return simnic_dress_netdev(function_of(dev));
}

static int is_removed(struct rte_eth_dev *dev)
{
	return __atomic_load_n(&function_of(dev)->device->removed, __ATOMIC_ACQUIRE);
}

static bool take_bit(uint64_t *bits, uint16_t index)
{
	uint64_t bit = UINT64_C(1) << (index % 64);

	return __atomic_fetch_and(&bits[index / 64], ~bit, __ATOMIC_SEQ_CST) & bit;
}

// The port as it is now: a callback may have closed it.
static struct rte_eth_dev *port_of(struct function *function)
{
	return __atomic_load_n(&function->port.ethdev, __ATOMIC_ACQUIRE);
}

void simnic_port_tell(struct function *function, enum rte_eth_event_type event)
{
	struct rte_eth_dev *dev;

	pthread_mutex_lock(&function->device->notify_lock);
	dev = port_of(function);
	if (dev != NULL)
		rte_eth_dev_callback_process(dev, event, NULL);
	pthread_mutex_unlock(&function->device->notify_lock);
}

static void port_notify(struct device *device, struct function *function)
{
	bool reset = take_bit(device->resets_of, function->index),
	     removed = take_bit(device->removals_of, function->index), lsc = false;
	struct rte_eth_dev *dev;

	pthread_mutex_lock(&device->notify_lock);
	dev = port_of(function);
	if ((dev != NULL && dev->data->dev_started) || !function_has_carrier(function))
		(void)simnic_dress_netdev(function);
	if (dev != NULL) {
		removed &= dev->data->dev_conf.intr_conf.rmv;
		lsc = link_update(dev, 0) == 0 && dev->data->dev_conf.intr_conf.lsc;
	}
	if (lsc)
		simnic_port_tell(function, RTE_ETH_EVENT_INTR_LSC);
	if (reset)
		simnic_port_tell(function, RTE_ETH_EVENT_INTR_RESET);
	if (removed)
		simnic_port_tell(function, RTE_ETH_EVENT_INTR_RMV);
	pthread_mutex_unlock(&device->notify_lock);
}

void simnic_ports_notify(struct device *device)
{
	for (uint16_t i = 0; i < device->function_count; i++)
		if (take_bit(device->news_of, i))
			port_notify(device, &device->functions[i]);
	for (uint16_t i = 0; i < device->function_count; i++)
		function_close_old(&device->functions[i]);
}

struct mtu_change {
	struct function *function;
	uint16_t mtu;
};

static void set_mtu(void *argument)
{
	struct mtu_change *change = argument;

	change->function->port.mtu = change->mtu;
}

static int mtu_set(struct rte_eth_dev *dev, uint16_t mtu)
{
	struct mtu_change change = {.function = function_of(dev), .mtu = mtu};
	struct rx_queue *rx = &change.function->port.rx;

	if (rx->ring != NULL &&
	    !simnic_rx_queue_fits(rx, dev->data->dev_conf.rxmode.offloads, mtu)) {
		SIMNIC_LOG(ERR, "%s: mbufs of %u bytes do not hold MTU %u, and scatter is off",
			   dev->data->name, rx->segment_size, mtu);
		return -EINVAL;
	}
	pipeline_call(change.function->device, set_mtu, &change);
	return 0;
}

// ---- what a switch port without filters need not do -------------------------------------------------------

static int nothing(struct rte_eth_dev *dev)
{
	return 0;
}

static int mac_addr_set(struct rte_eth_dev *dev, struct rte_ether_addr *address)
{
	return 0;
}

// ---- representors ---------------------------------------------------------------------------------------

static int representor_info_get(struct rte_eth_dev *dev, struct rte_eth_representor_info *info)
{
	struct device *device = function_of(dev)->device;
	struct rte_eth_representor_range range = {.type = RTE_ETH_REPRESENTOR_VF};
	unsigned int count = 0;

	if (info == NULL)
		return 2;
	info->controller = 0;
	info->pf = 0;
	if (device->vfs > 0 && count < info->nb_ranges_alloc) {
		range.vf = 0;
		range.id_base = 0;
		range.id_end = device->vfs - 1;
		snprintf(range.name, sizeof(range.name), "pf0vf");
		info->ranges[count++] = range;
	}
	if (count < info->nb_ranges_alloc) {
		range.vf = SIMNIC_VF_PF;
		range.id_base = SIMNIC_REPRESENTOR_PF;
		range.id_end = SIMNIC_REPRESENTOR_PF;
		snprintf(range.name, sizeof(range.name), "pf0vf%u", SIMNIC_VF_PF);
		info->ranges[count++] = range;
	}
	info->nb_ranges = count;
	return 2;
}

// ---- rules ----------------------------------------------------------------------------------------------

static int flow_ops_get(struct rte_eth_dev *dev, const struct rte_flow_ops **ops)
{
	*ops = function_of(dev)->device->async ? &simnic_flow_ops : &simnic_flow_synchronous_ops;
	return 0;
}

// Since DPDK 24.03 the operations of flow queues are a table of their own.
static void set_flow_fast_path(struct rte_eth_dev *dev)
{
#if RTE_VERSION >= RTE_VERSION_NUM(24, 3, 0, 0)
	if (function_of(dev)->device->async)
		dev->flow_fp_ops = &simnic_flow_fp_ops;
#endif
}

// ---- the port -------------------------------------------------------------------------------------------

static const struct eth_dev_ops operations = {
	.dev_configure = configure,
	.dev_start = dev_start,
	.dev_stop = dev_stop,
	.dev_close = dev_close,
	.dev_infos_get = infos_get,
	.dev_set_link_up = set_link_up,
	.dev_set_link_down = set_link_down,
	.is_removed = is_removed,
	.link_update = link_update,
	.mtu_set = mtu_set,
	.mac_addr_set = mac_addr_set,
	.promiscuous_enable = nothing,
	.promiscuous_disable = nothing,
	.allmulticast_enable = nothing,
	.allmulticast_disable = nothing,
	.rx_queue_setup = simnic_rx_queue_setup,
	.rx_queue_release = simnic_rx_queue_release,
	.rx_queue_intr_enable = simnic_rx_queue_intr_enable,
	.rx_queue_intr_disable = simnic_rx_queue_intr_disable,
	.tx_queue_setup = simnic_tx_queue_setup,
	.tx_queue_release = simnic_tx_queue_release,
	.stats_get = simnic_stats_get,
	.stats_reset = simnic_stats_reset,
	.xstats_get = simnic_xstats_get,
	.xstats_get_names = simnic_xstats_get_names,
	.xstats_reset = simnic_stats_reset,
	.representor_info_get = representor_info_get,
	.mtr_ops_get = meter_ops_get,
	.flow_ops_get = flow_ops_get,
};

int simnic_port_init(struct rte_eth_dev *dev, void *argument)
{
	struct function *function = argument;
	struct device *device = function->device;
	struct rte_eth_dev_data *data = dev->data;

	data->mac_addrs = rte_zmalloc("simnic", sizeof(*data->mac_addrs), 0);
	if (data->mac_addrs == NULL)
		return -ENOMEM;
	// Of its own, so that a frame tells whether function or port sent it.
	data->mac_addrs[0] = function->mac;
	data->mac_addrs[0].addr_bytes[0] ^= 0x04;
	data->dev_flags |= RTE_ETH_DEV_INTR_LSC | RTE_ETH_DEV_INTR_RMV;
	if (function->index != CARD_INDEX_WIRE) {
		data->dev_flags |= RTE_ETH_DEV_REPRESENTOR;
		data->backer_port_id =
			device->functions[CARD_INDEX_WIRE].port.ethdev->data->port_id;
		data->representor_id = function->index == CARD_INDEX_PF
					       ? SIMNIC_REPRESENTOR_PF
					       : function->index - CARD_INDEX_VF0;
	}
	data->promiscuous = 1;
	data->all_multicast = 1;
	data->dev_link.link_speed = RTE_ETH_SPEED_NUM_25G;
	*(struct function **)data->dev_private = function;
	dev->dev_ops = &operations;
	set_flow_fast_path(dev);
	dev->rx_pkt_burst = simnic_rx_burst;
	dev->tx_pkt_burst = simnic_tx_burst;
	dev->tx_pkt_prepare = simnic_tx_prepare;
	dev->rx_queue_count = simnic_rx_queue_count;
	__atomic_store_n(&function->port.ethdev, dev, __ATOMIC_RELEASE);
	device->ports++;
	return 0;
}
