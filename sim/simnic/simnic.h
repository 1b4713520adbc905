// SPDX-License-Identifier: BSD-3-Clause
//
// The driver's objects. One device is one card; it has an uplink and functions (PF, VFs), and each
// of these has two sides, kept together in struct function:
//
//        netdev (TAP) ── fd ── struct function ── port (ethdev) ── rings ── application
//                                     │
//                             e-switch (pipeline thread)
//
// For the wire, the ethdev is the uplink port, which is also the e-switch manager; for the others
// it is their representor. Who may touch what: see the marks below. (P): the pipeline thread only;
// others ask it by pipeline_call(). (C): the application's control thread, with the port stopped.
// Unmarked: constant while the device exists.

#pragma once

#include <net/if.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <bus_vdev_driver.h>
#include <ethdev_driver.h>
#include <rte_ether.h>
#include <rte_interrupts.h>
#include <rte_ring.h>

#include "sim/simnic/card.h"
#include "sim/simnic/card_protocol.h"
#include "sim/simnic/counters.h"
#include "sim/simnic/fault.h"
#include "sim/simnic/meter.h"
#include "sim/simnic/pipeline.h"

enum {
	SIMNIC_TX_QUEUES_MAX = 32,
	SIMNIC_RING_MIN = 32,
	SIMNIC_RING_MAX = 8192,
	SIMNIC_RING_DEFAULT = 512,
	SIMNIC_MTU_MAX = 9000,
	SIMNIC_FRAME_MAX = 65535 + RTE_ETHER_HDR_LEN +
			   RTE_VLAN_HLEN, // the longest segmentation-offloaded frame
	SIMNIC_SEGMENTS_MAX = 256,        // mbufs in a chain
	SIMNIC_VF_PF = 65535,             // representor=vf65535 is the host PF's, as mlx5 has it
	SIMNIC_REPRESENTOR_PF = 4095,     // and this its representor ID
};

struct device;
struct eswitch;
struct flow_engine;
struct function;

struct rx_queue {
	struct rte_ring *ring; // pipeline -> application
	struct rte_mempool *pool;
	uint16_t segment_size; // data bytes in an mbuf of the pool
	int event_fd;          // -1: no interrupt asked for
	bool armed;            // atomic: the application sleeps or is about to
};

struct tx_queue {
	struct function *function;
	struct rte_ring *ring; // application -> pipeline
};

// The ethdev side.
struct port {
	struct rte_eth_dev *ethdev; // NULL: not asked for (representor=), or closed
	uint64_t rx_offloads;       // (P)
	uint32_t mtu;               // (P)
	bool started;               // (P)
	uint16_t tx_queue_count;    // (P)
	struct rx_queue rx;
	struct tx_queue tx[SIMNIC_TX_QUEUES_MAX];
	struct counters counters; // written by (P), read by all
	struct flow_engine
		*flow_engine; // (C) of the asynchronous rte_flow API; NULL: not configured
};

struct function {
	struct device *device;
	uint16_t index; // CARD_INDEX_*
	struct rte_ether_addr mac;
	char netdev[IF_NAMESIZE]; // (P)
	int fd;                   // (P), changed under fd_lock; -1: the function is gone for now
	unsigned int netdevs;     // (P) how many it has had: another descriptor, another netdev
	int closing_fd;           // atomic: a descriptor of before, for the news thread to close
	bool carrier; // written by (P), read by all: what rte_eth_dev_set_link_up/down asked for
	unsigned int down_by;  // the same: FAULT_DOWN_*, what else keeps its carrier off
	unsigned int offloads; // (P) TAP_*: what the netdev's stack may leave to us
	struct {
		unsigned int netdev; // which, as counted above
		unsigned int offloads;
		bool carrier;
	} dressed;             // under dress_lock: what the kernel was last told of it
	bool link_up;          // atomic: as last seen; see function_look()
	bool readable;         // (P) on pipeline.readable
	unsigned int expected; // (P) frames, by how many there were the last time
	TAILQ_ENTRY(function) readable_next;
	struct port port;
};

struct device {
	TAILQ_ENTRY(device) next;
	char name[RTE_ETH_NAME_MAX_LEN];
	struct rte_device *rte_device;
	uint16_t domain_id;
	uint16_t vfs;
	bool async; // as in struct device_config
	uint16_t function_count;
	struct function *functions; // by index
	unsigned int ports; // (C) ethdevs that are not closed; the last takes the device with it
	int card_fd;        // (P) -1: the card is gone
	struct card *card;  // our own, served by card_thread; NULL: another process is the card
	pthread_t card_thread;
	pthread_mutex_t fd_lock; // held for as long as it takes to look at, or change, a descriptor
	struct pipeline pipeline;
	pthread_mutex_t
		notify_lock; // recursive: held while an application is told something by a port
	pthread_mutex_t dress_lock; // from what a netdev is to look like until it does
	struct faults faults;
	struct meters meters;
	struct eswitch *eswitch;
	// Ports with news for the EAL interrupt thread: functions came or went, links changed.
	struct rte_intr_handle *news;
	uint64_t news_of[(CARD_INDEX_MAX + 63) / 64];     // atomic
	uint64_t resets_of[(CARD_INDEX_MAX + 63) / 64];   // of these: it was reset
	uint64_t removals_of[(CARD_INDEX_MAX + 63) / 64]; // and: the device is gone
	bool removed;                                     // atomic: the card is gone
};

extern int simnic_log_type;
#define SIMNIC_LOG(level, ...)                                                                     \
	rte_log(RTE_LOG_##level, (uint32_t)simnic_log_type,                                        \
		RTE_FMT("simnic: " RTE_FMT_HEAD(__VA_ARGS__, ) "\n", RTE_FMT_TAIL(__VA_ARGS__, )))

// device.c
struct device_config {
	const char *card_path; // NULL: a card of our own, as `card` says
	struct card_config card;
	bool async; // the firmware has rte_flow's asynchronous API
	bool uring; // as in struct pipeline
};
// Connect to the card (or make one), get its functions, start the pipeline. ret_why: for people.
int device_new(struct rte_device *rte_device, const struct device_config *config,
	       struct device **ret_device, char *ret_why, size_t why_size);
void device_free(struct device *device);
// By the rte_device it was probed for; NULL.
struct device *device_find(const struct rte_device *rte_device);
// The next device after this one, for telemetry; NULL is the start and the end.
struct device *device_next(const struct device *device);
// The function that representor=vf<number> means; NULL.
struct function *device_vf(struct device *device, uint16_t number);
// The card is gone, or the device is no longer on its bus: no function has a descriptor any more, and
// applications are told. Pipeline thread.
void device_lose_card(struct device *device);
void device_list_lock(void);
void device_list_unlock(void);

static inline bool function_has_carrier(const struct function *function)
{
	return __atomic_load_n(&function->carrier, __ATOMIC_RELAXED) &&
	       __atomic_load_n(&function->down_by, __ATOMIC_RELAXED) == 0;
}

static inline struct function *function_of(const struct rte_eth_dev *dev)
{
	return *(struct function **)dev->data->dev_private;
}

// queue.c: operations of struct eth_dev_ops, and bursts.
int simnic_rx_queue_setup(struct rte_eth_dev *dev, uint16_t queue, uint16_t size,
			  unsigned int socket, const struct rte_eth_rxconf *config,
			  struct rte_mempool *pool);
void simnic_rx_queue_release(struct rte_eth_dev *dev, uint16_t queue);
int simnic_rx_queue_intr_enable(struct rte_eth_dev *dev, uint16_t queue);
int simnic_rx_queue_intr_disable(struct rte_eth_dev *dev, uint16_t queue);
int simnic_tx_queue_setup(struct rte_eth_dev *dev, uint16_t queue, uint16_t size,
			  unsigned int socket, const struct rte_eth_txconf *config);
void simnic_tx_queue_release(struct rte_eth_dev *dev, uint16_t queue);
uint16_t simnic_rx_burst(void *queue, struct rte_mbuf **mbufs, uint16_t count);
uint16_t simnic_tx_burst(void *queue, struct rte_mbuf **mbufs, uint16_t count);
uint16_t simnic_tx_prepare(void *queue, struct rte_mbuf **mbufs, uint16_t count);
uint32_t simnic_rx_queue_count(void *queue);
// Free what is on a ring that nobody else uses; NULL is fine.
void simnic_ring_drain(struct rte_ring *ring);
// Whether the queue's mbufs hold a frame of this MTU.
bool simnic_rx_queue_fits(const struct rx_queue *rx, uint64_t rx_offloads, uint32_t mtu);

// stats.c: operations of struct eth_dev_ops. stats_reset is for both kinds.
int simnic_stats_get(struct rte_eth_dev *dev, struct rte_eth_stats *stats);
int simnic_stats_reset(struct rte_eth_dev *dev);
int simnic_xstats_get(struct rte_eth_dev *dev, struct rte_eth_xstat *xstats, unsigned int count);
int simnic_xstats_get_names(struct rte_eth_dev *dev, struct rte_eth_xstat_name *names,
			    unsigned int count);

// ethdev.c: fill in a fresh ethdev as this function's port. init_params of rte_eth_dev_create().
int simnic_port_init(struct rte_eth_dev *ethdev, void *function);
// Bring a function's netdev to what its port is set to. A function that is gone gets it when it comes
// back. Waits for the kernel's rtnl lock: any thread but the pipeline's.
int simnic_dress_netdev(struct function *function);
// Tell the application of an event, unless the port is closed. EAL's interrupt thread.
void simnic_port_tell(struct function *function, enum rte_eth_event_type event);
// Tell applications what happened, from the EAL interrupt thread.
void simnic_ports_notify(struct device *device);
