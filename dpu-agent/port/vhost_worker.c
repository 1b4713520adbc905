// SPDX-License-Identifier: BSD-3-Clause
//
// A vhost-user port as the workers use it. See vhost.c for what they may rely on.

#include "port/vhost_private.h"

#include <string.h>

#include <rte_mbuf.h>
#include <rte_vhost.h>

#include "port/flow_hash.h"

enum {
	BURST = 32, // librte_vhost takes no more at once
};

// ---- receive -----------------------------------------------------------------------------------------

static void disarm(void *argument)
{
	struct vhost_device *device = argument;
	int vid = atomic_load_explicit(&device->vid, memory_order_acquire);
	uint16_t pairs = atomic_load_explicit(&device->receive_pairs, memory_order_relaxed);

	atomic_store_explicit(&device->armed, false, memory_order_relaxed);
	for (uint16_t pair = 0; vid != NO_VID && pair < pairs; pair++)
		if (atomic_load_explicit(&device->receive_enabled[pair], memory_order_relaxed))
			rte_vhost_enable_guest_notification(vid, (uint16_t)(2 * pair + 1), 0);
}

static uint16_t receive(void *argument, struct rte_mbuf **packets, uint16_t count)
{
	struct vhost_device *device = argument;
	int vid = atomic_load_explicit(&device->vid, memory_order_acquire);
	uint16_t total = 0, pairs;

	if (vid == NO_VID)
		return 0;
	pairs = atomic_load_explicit(&device->receive_pairs, memory_order_relaxed);
	for (uint16_t i = 0; i < pairs && total < count; i++) {
		// Each queue is the first in turn, so that a busy one starves none.
		uint16_t pair = (uint16_t)((device->receive_next + i) % pairs);

		if (atomic_load_explicit(&device->receive_enabled[pair], memory_order_relaxed))
			total = (uint16_t)(total +
					   rte_vhost_dequeue_burst(vid, (uint16_t)(2 * pair + 1),
								   device->pool, &packets[total],
								   (uint16_t)(count - total)));
	}
	device->receive_next++;
	return total;
}

// ---- send --------------------------------------------------------------------------------------------

// The guest's receive queues. Each worker counts them from another one on, so that what has no flow does
// not meet in one queue. librte_vhost locks each.
static uint16_t list_queues(const struct vhost_device *device, uint32_t worker,
			    uint16_t ret_queues[PAIRS_MAX])
{
	uint16_t pairs = atomic_load_explicit(&device->send_pairs, memory_order_relaxed), count = 0;

	for (uint32_t i = 0; i < pairs; i++) {
		uint16_t pair = (uint16_t)((worker + i) % pairs);

		if (atomic_load_explicit(&device->send_enabled[pair], memory_order_relaxed))
			ret_queues[count++] = (uint16_t)(2 * pair);
	}
	return count;
}

// Those that are left are moved to the front. How many are left.
static uint16_t enqueue(int vid, uint16_t queue, struct rte_mbuf **packets, uint16_t count)
{
	uint16_t sent = 0;

	while (sent < count) {
		uint16_t some = RTE_MIN((uint16_t)(count - sent), (uint16_t)BURST);
		uint16_t taken = rte_vhost_enqueue_burst(vid, queue, &packets[sent], some);

		sent = (uint16_t)(sent + taken);
		if (taken < some)
			break;
	}
	rte_pktmbuf_free_bulk(packets, sent); // were copied
	memmove(packets, packets + sent, (size_t)(count - sent) * sizeof(*packets));
	return (uint16_t)(count - sent);
}

// By flow: a connection stays in one queue, and so in order, whoever receives it on the other side.
static uint16_t spread(int vid, const uint16_t *queues, uint16_t queue_count,
		       struct rte_mbuf **packets, uint16_t count)
{
	uint16_t choice[BURST], left = 0;
	struct rte_mbuf *group[BURST], *unsent[BURST];

	for (uint16_t i = 0; i < count; i++)
		choice[i] = (uint16_t)(flow_hash(packets[i]) % queue_count);
	for (uint16_t q = 0; q < queue_count; q++) {
		uint16_t size = 0;

		for (uint16_t i = 0; i < count; i++)
			if (choice[i] == q)
				group[size++] = packets[i];
		if (size == 0)
			continue;
		size = enqueue(vid, queues[q], group, size);
		memcpy(&unsent[left], group, size * sizeof(*group));
		left = (uint16_t)(left + size);
	}
	memcpy(packets, unsent, left * sizeof(*packets));
	return left;
}

static uint16_t send_packets(void *argument, uint32_t worker, struct rte_mbuf **packets,
			     uint16_t count)
{
	struct vhost_device *device = argument;
	int vid = atomic_load_explicit(&device->vid, memory_order_acquire);
	uint16_t queues[PAIRS_MAX], queue_count, left = 0;

	queue_count = vid == NO_VID ? 0 : list_queues(device, worker, queues);
	if (queue_count == 0)
		return 0;
	if (queue_count == 1)
		left = enqueue(vid, queues[0], packets, count);
	// What is left of each part goes to the front, where what was sent has made room.
	for (uint16_t begin = 0; queue_count > 1 && begin < count;
	     begin = (uint16_t)(begin + BURST)) {
		uint16_t size = RTE_MIN((uint16_t)(count - begin), (uint16_t)BURST);
		uint16_t some = spread(vid, queues, queue_count, &packets[begin], size);

		memmove(&packets[left], &packets[begin], some * sizeof(*packets));
		left = (uint16_t)(left + some);
	}
	memmove(&packets[count - left], packets, left * sizeof(*packets));
	return (uint16_t)(count - left);
}

// ---- sleep -------------------------------------------------------------------------------------------

static bool arm(void *argument)
{
	struct vhost_device *device = argument;
	bool rings = true;
	uint16_t pairs;
	int vid;

	// First, so that a guest that comes meanwhile, who clears it, has it armed anew.
	if (atomic_exchange(&device->armed, true))
		return true;
	vid = atomic_load(&device->vid);
	if (vid == NO_VID)
		return true; // its coming wakes the worker
	pairs = atomic_load(&device->receive_pairs);
	for (uint16_t pair = 0; pair < pairs; pair++) {
		if (!atomic_load_explicit(&device->receive_enabled[pair], memory_order_relaxed))
			continue;
		if (atomic_load_explicit(&device->kick_fds[pair], memory_order_relaxed) < 0 ||
		    rte_vhost_enable_guest_notification(vid, (uint16_t)(2 * pair + 1), 1) < 0)
			rings = false;
	}
	if (!rings)
		atomic_store_explicit(&device->armed, false, memory_order_relaxed);
	// The guest must see it before the queues are looked at for the last time.
	atomic_thread_fence(memory_order_seq_cst);
	return rings;
}

static uint32_t tx_offloads(const void *argument)
{
	return atomic_load_explicit(&((const struct vhost_device *)argument)->tx_offloads,
				    memory_order_relaxed);
}

const struct datapath_device_ops vhost_device_ops = {
	.receive = receive,
	.send = send_packets,
	.arm = arm,
	.disarm = disarm,
	.tx_offloads = tx_offloads,
};
