// SPDX-License-Identifier: BSD-3-Clause
//
// Queues of a port: a ring each, and an event descriptor as the Rx interrupt. The application is on
// one end, the pipeline on the other; a queue is set up and released with the port stopped, when
// neither uses it.

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_atomic.h>

#include "sim/simnic/frame.h"
#include "sim/simnic/simnic.h"

static struct rte_ring *ring_new(unsigned int size)
{
	unsigned int slots = rte_align32pow2(size + 1);
	struct rte_ring *ring;

	if (posix_memalign((void **)&ring, RTE_CACHE_LINE_SIZE, rte_ring_get_memsize(slots)) != 0)
		return NULL;
	memset(ring, 0, sizeof(*ring));
	if (rte_ring_init(ring, "simnic", size, RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ) !=
	    0) {
		free(ring);
		return NULL;
	}
	return ring;
}

void simnic_ring_drain(struct rte_ring *ring)
{
	struct rte_mbuf *mbuf;

	while (ring != NULL && rte_ring_sc_dequeue(ring, (void **)&mbuf) == 0)
		rte_pktmbuf_free(mbuf);
}

static void ring_free(struct rte_ring *ring)
{
	simnic_ring_drain(ring);
	free(ring);
}

bool simnic_rx_queue_fits(const struct rx_queue *rx, uint64_t offloads, uint32_t mtu)
{
	return (offloads & (RTE_ETH_RX_OFFLOAD_SCATTER | RTE_ETH_RX_OFFLOAD_TCP_LRO)) ||
	       rx->segment_size >= mtu + RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN;
}

// ---- Rx interrupt ---------------------------------------------------------------------------------------

static void interrupt_destroy(struct rte_eth_dev *dev)
{
	struct rx_queue *rx = &function_of(dev)->port.rx;

	if (dev->intr_handle == NULL)
		return;
	rte_intr_free_epoll_fd(dev->intr_handle);
	rte_intr_vec_list_free(dev->intr_handle);
	rte_intr_instance_free(dev->intr_handle);
	dev->intr_handle = NULL;
	close(rx->event_fd);
	rx->event_fd = -1;
}

// An event fd in the place of an MSI-X vector, as rte_eth_dev_rx_intr_ctl_q() wants to find it.
static int interrupt_create(struct rte_eth_dev *dev)
{
	struct rx_queue *rx = &function_of(dev)->port.rx;
	struct rte_intr_handle *handle;

	handle = rte_intr_instance_alloc(RTE_INTR_INSTANCE_F_PRIVATE);
	if (handle == NULL)
		return -ENOMEM;
	rx->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (rx->event_fd < 0 || rte_intr_event_list_update(handle, 2) < 0 ||
	    rte_intr_vec_list_alloc(handle, "simnic", 1) < 0 ||
	    rte_intr_vec_list_index_set(handle, 0, RTE_INTR_VEC_RXTX_OFFSET) < 0 ||
	    rte_intr_efds_index_set(handle, 0, rx->event_fd) < 0 ||
	    rte_intr_nb_efd_set(handle, 1) < 0 || rte_intr_max_intr_set(handle, 2) < 0 ||
	    rte_intr_efd_counter_size_set(handle, sizeof(uint64_t)) < 0 ||
	    rte_intr_type_set(handle, RTE_INTR_HANDLE_VDEV) < 0) {
		int error = errno != 0 ? -errno : -ENOMEM;

		rte_intr_vec_list_free(handle);
		rte_intr_instance_free(handle);
		if (rx->event_fd >= 0)
			close(rx->event_fd);
		rx->event_fd = -1;
		return error;
	}
	dev->intr_handle = handle;
	return 0;
}

int simnic_rx_queue_intr_enable(struct rte_eth_dev *dev, uint16_t queue)
{
	struct rx_queue *rx = &function_of(dev)->port.rx;
	uint64_t one = 1;

	if (rx->event_fd < 0)
		return -ENOTSUP; // dev_conf.intr_conf.rxq was not set
	__atomic_store_n(&rx->armed, true, __ATOMIC_SEQ_CST);
	rte_atomic_thread_fence(__ATOMIC_SEQ_CST);
	// What came before it was armed must not wait for the next frame.
	if (!rte_ring_empty(rx->ring) && __atomic_exchange_n(&rx->armed, false, __ATOMIC_SEQ_CST))
		(void)!write(rx->event_fd, &one, sizeof(one));
	return 0;
}

int simnic_rx_queue_intr_disable(struct rte_eth_dev *dev, uint16_t queue)
{
	struct rx_queue *rx = &function_of(dev)->port.rx;

	// A signal that was given meanwhile stays: the next wait returns once for nothing, which is
	// allowed. Reading it away here could leave EAL's own read of it spinning.
	__atomic_store_n(&rx->armed, false, __ATOMIC_SEQ_CST);
	return 0;
}

// ---- queues ---------------------------------------------------------------------------------------------

void simnic_rx_queue_release(struct rte_eth_dev *dev, uint16_t queue)
{
	struct rx_queue *rx = &function_of(dev)->port.rx;

	interrupt_destroy(dev);
	ring_free(rx->ring);
	rx->ring = NULL;
	dev->data->rx_queues[queue] = NULL;
}

int simnic_rx_queue_setup(struct rte_eth_dev *dev, uint16_t queue, uint16_t size,
			  unsigned int socket, const struct rte_eth_rxconf *config,
			  struct rte_mempool *pool)
{
	struct rx_queue *rx = &function_of(dev)->port.rx;
	uint16_t room = rte_pktmbuf_data_room_size(pool);
	// ethdev passes a queue only the offloads that the port has not switched on for all of them.
	uint64_t offloads = config->offloads | dev->data->dev_conf.rxmode.offloads;
	int error = 0;

	rx->segment_size = room > RTE_PKTMBUF_HEADROOM ? room - RTE_PKTMBUF_HEADROOM : 0;
	if (!simnic_rx_queue_fits(rx, offloads, dev->data->mtu)) {
		SIMNIC_LOG(ERR, "%s: mbufs of %u bytes do not hold MTU %u, and scatter is off",
			   dev->data->name, rx->segment_size, dev->data->mtu);
		return -EINVAL;
	}
	rx->pool = pool;
	rx->ring = ring_new(size);
	if (rx->ring == NULL)
		return -ENOMEM;
	if (dev->data->dev_conf.intr_conf.rxq)
		error = interrupt_create(dev);
	if (error < 0) {
		ring_free(rx->ring);
		rx->ring = NULL;
		return error;
	}
	dev->data->rx_queues[queue] = rx;
	return 0;
}

void simnic_tx_queue_release(struct rte_eth_dev *dev, uint16_t queue)
{
	struct tx_queue *tx = &function_of(dev)->port.tx[queue];

	ring_free(tx->ring);
	tx->ring = NULL;
	dev->data->tx_queues[queue] = NULL;
}

int simnic_tx_queue_setup(struct rte_eth_dev *dev, uint16_t queue, uint16_t size,
			  unsigned int socket, const struct rte_eth_txconf *config)
{
	struct function *function = function_of(dev);
	struct tx_queue *tx = &function->port.tx[queue];

	tx->function = function;
	tx->ring = ring_new(size);
	if (tx->ring == NULL)
		return -ENOMEM;
	dev->data->tx_queues[queue] = tx;
	return 0;
}

uint16_t simnic_rx_burst(void *queue, struct rte_mbuf **mbufs, uint16_t count)
{
	struct rx_queue *rx = queue;

	return rte_ring_sc_dequeue_burst(rx->ring, (void **)mbufs, count, NULL);
}

uint16_t simnic_tx_burst(void *queue, struct rte_mbuf **mbufs, uint16_t count)
{
	struct tx_queue *tx = queue;

	count = rte_ring_sp_enqueue_burst(tx->ring, (void **)mbufs, count, NULL);
	if (count > 0)
		pipeline_kick_tx(tx->function->device, tx->function->index);
	return count;
}

uint16_t simnic_tx_prepare(void *queue, struct rte_mbuf **mbufs, uint16_t count)
{
	for (uint16_t i = 0; i < count; i++) {
		int error = frame_check_mbuf(mbufs[i]);

		if (error < 0) {
			rte_errno = -error;
			return i;
		}
	}
	return count;
}

uint32_t simnic_rx_queue_count(void *queue)
{
	struct rx_queue *rx = queue;

	return rte_ring_count(rx->ring);
}
