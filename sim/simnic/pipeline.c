// SPDX-License-Identifier: BSD-3-Clause
//
// The pipeline's thread: take events, do what control threads ask, send what ports have, receive
// what functions have, a burst each in turn. It announces that it sleeps before it looks a last
// time for work, and whoever brings work looks whether it sleeps after he has put it there; so no
// wakeup is lost and few are made.

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_atomic.h>
#include <rte_mbuf.h>
#include <rte_string_fns.h>

#include "sim/simnic/card_link.h"
#include "sim/simnic/compat.h"
#include "sim/simnic/delivery.h"
#include "sim/simnic/eswitch.h"
#include "sim/simnic/frame.h"
#include "sim/simnic/pipeline.h"
#include "sim/simnic/simnic.h"
#include "sim/simnic/tap.h"

enum {
	BURST = BATCH_MAX, // frames of one function, or Tx queue, before it is another's turn
	// A burst of long frames stays about in a CPU's cache, as it is copied twice.
	BURST_BYTES = 512 << 10,
	EVENTS = 64, // taken from the kernel at once
	// Who an epoll event is from: a function's index, or one of these.
	EVENT_KICK = CARD_INDEX_MAX,
	EVENT_CARD,
};

struct pipeline_call {
	void (*run)(void *argument);
	void *argument;
	sem_t done;
};

// ---- waking ---------------------------------------------------------------------------------------------

// Called after the caller has made its work visible, with a full barrier in between.
static void wake(struct pipeline *pipeline)
{
	uint64_t one = 1;

	if (__atomic_load_n(&pipeline->sleeping, __ATOMIC_SEQ_CST) &&
	    __atomic_exchange_n(&pipeline->sleeping, false, __ATOMIC_SEQ_CST))
		(void)!write(pipeline->kick_fd, &one, sizeof(one));
}

void pipeline_kick_tx(struct device *device, uint16_t index)
{
	struct pipeline *pipeline = &device->pipeline;
	uint64_t bit = UINT64_C(1) << (index % 64);

	// Whoever finds the bit unset wakes; it stays set until the pipeline looks at the ring.
	if (!(__atomic_fetch_or(&pipeline->tx_ready[index / 64], bit, __ATOMIC_SEQ_CST) & bit))
		wake(pipeline);
}

void pipeline_call(struct device *device, void (*run)(void *argument), void *argument)
{
	struct pipeline *pipeline = &device->pipeline;
	struct pipeline_call call = {.run = run, .argument = argument};

	if (!pipeline->running || pthread_equal(pthread_self(), pipeline->thread)) {
		run(argument);
		return;
	}
	sem_init(&call.done, 0, 0);
	pthread_mutex_lock(&pipeline->call_lock);
	__atomic_store_n(&pipeline->call, &call, __ATOMIC_SEQ_CST);
	wake(pipeline);
	while (sem_wait(&call.done) < 0)
		;
	pthread_mutex_unlock(&pipeline->call_lock);
	sem_destroy(&call.done);
}

static void run_call(struct pipeline *pipeline)
{
	struct pipeline_call *call;

	if (__atomic_load_n(&pipeline->call, __ATOMIC_ACQUIRE) == NULL)
		return;
	call = __atomic_exchange_n(&pipeline->call, NULL, __ATOMIC_SEQ_CST);
	call->run(call->argument);
	sem_post(&call->done);
}

// ---- receive, transmit ----------------------------------------------------------------------------------

static void receive_one(struct pipeline *pipeline, struct function *function,
			struct frame_buffer *buffer, size_t size)
{
	struct counters *counters = &function->port.counters;

	if (!function_has_carrier(function)) {
		counter_add(&counters->rx_dropped_link_down, 1);
		return;
	}
	switch (frame_from_netdev(buffer, function, size)) {
	case FRAME_OK:
		forward(pipeline, buffer);
		break;
	case FRAME_RUNT:
		counter_add(&counters->rx_error_runt, 1);
		break;
	case FRAME_OVERSIZE:
		counter_add(&counters->rx_error_oversize, 1);
		break;
	default:
		counter_add(&counters->rx_error_offload, 1);
		break;
	}
}

// What functions have, as much as there are buffers: who is read, and what came of it.
struct receipt {
	unsigned int count;
	struct function *functions[BURST];
	struct iovec iov[BURST];
	struct batch_call calls[BURST];
};

// Ask one function for as many frames as it probably has. More than one, as the call that finds nothing must be made anyway.
static void ask(struct receipt *receipt, struct function *function, struct frame_buffer *buffers)
{
	unsigned int want = RTE_MIN(RTE_MAX(function->expected, 2U), BURST - receipt->count);

	for (; want > 0; want--) {
		unsigned int i = receipt->count++;

		receipt->functions[i] = function;
		receipt->iov[i] = (struct iovec){.iov_base = &buffers[i].received,
						 .iov_len = sizeof(buffers[i].received)};
		receipt->calls[i] = (struct batch_call){
			.fd = function->fd, .iov = &receipt->iov[i], .parts = 1};
	}
}

// What one function was asked for, from receipt->calls[first] on, has come. Returns where that of the next one starts.
static unsigned int take(struct pipeline *pipeline, const struct receipt *receipt,
			 unsigned int first)
{
	struct function *function = receipt->functions[first];
	unsigned int got = 0, i;
	size_t bytes = 0;

	for (i = first; i < receipt->count && receipt->functions[i] == function; i++) {
		int result = receipt->calls[i].result;

		if (result >= 0) {
			got++;
			bytes += result;
			receive_one(pipeline, function, &pipeline->buffers[i], result);
		} else if (result == -EBADFD && function->fd == receipt->calls[i].fd) {
			function_lost(function);
		} else if (result != -EINTR) {
			function_rest(
				function); // nothing that waiting for the next event would not repair
		}
	}
	function->expected = got < i - first ? got : 2 * got;
	if (bytes > BURST_BYTES)
		function->expected = RTE_MIN(function->expected, got / 2);
	return i;
}

// Every function on the list once, the served ones behind those not served yet.
static void receive(struct pipeline *pipeline)
{
	struct function *function;
	struct receipt receipt;

	for (unsigned int left = pipeline->readable_count; left > 0;) {
		receipt.count = 0;
		while (left > 0 && receipt.count < BURST &&
		       (function = TAILQ_FIRST(&pipeline->readable)) != NULL) {
			left--;
			TAILQ_REMOVE(&pipeline->readable, function, readable_next);
			TAILQ_INSERT_TAIL(&pipeline->readable, function, readable_next);
			ask(&receipt, function, pipeline->buffers);
		}
		if (receipt.count == 0)
			break; // all were lost meanwhile
		batch_run(&pipeline->batch, receipt.calls, receipt.count);
		for (unsigned int i = 0; i < receipt.count;)
			i = take(pipeline, &receipt, i);
		delivery_flush(pipeline);
	}
}

static void transmit_one(struct pipeline *pipeline, struct function *function,
			 struct frame_buffer *buffer, const struct rte_mbuf *mbuf)
{
	struct counters *counters = &function->port.counters;

	switch (frame_from_mbuf(buffer, function, mbuf)) {
	case FRAME_OK:
		forward(pipeline, buffer);
		break;
	case FRAME_RUNT:
		counter_add(&counters->tx_error_runt, 1);
		break;
	case FRAME_OVERSIZE:
		counter_add(&counters->tx_error_oversize, 1);
		break;
	default:
		counter_add(&counters->tx_error_offload, 1);
		break;
	}
}

// A burst from each Tx queue of a port. True: there is more.
static bool transmit_port(struct pipeline *pipeline, struct function *function)
{
	struct rte_mbuf *mbufs[BURST];
	bool more = false;

	for (uint16_t i = 0; i < function->port.tx_queue_count; i++) {
		struct rte_ring *ring = function->port.tx[i].ring;
		unsigned int left,
			count = rte_ring_sc_dequeue_burst(ring, (void **)mbufs, BURST, &left);

		for (unsigned int j = 0; j < count; j++)
			transmit_one(pipeline, function, &pipeline->buffers[j], mbufs[j]);
		delivery_flush(pipeline);
		rte_pktmbuf_free_bulk(mbufs, count);
		more |= left > 0;
	}
	return more;
}

static void transmit(struct device *device)
{
	struct pipeline *pipeline = &device->pipeline;

	for (unsigned int word = 0; word < RTE_DIM(pipeline->tx_ready); word++) {
		uint64_t bits;

		if (__atomic_load_n(&pipeline->tx_ready[word], __ATOMIC_RELAXED) == 0)
			continue;
		bits = __atomic_exchange_n(&pipeline->tx_ready[word], 0, __ATOMIC_SEQ_CST);
		for (; bits != 0; bits &= bits - 1) {
			uint16_t index = word * 64 + __builtin_ctzll(bits);

			if (transmit_port(pipeline, &device->functions[index]))
				__atomic_fetch_or(&pipeline->tx_ready[word], bits & -bits,
						  __ATOMIC_SEQ_CST);
		}
	}
}

// ---- the card -------------------------------------------------------------------------------------------

static void on_replaced(void *argument, const struct card_function *entry, int fd)
{
	struct device *device = argument;
	struct function *function = &device->functions[entry->index];

	SIMNIC_LOG(INFO, "function %s netdev=%s", fd >= 0 ? "back" : "waits", entry->netdev);
	strlcpy(function->netdev, entry->netdev, sizeof(function->netdev));
	function_set_fd(function, fd);
}

static void on_card(struct device *device)
{
	int error = card_link_read(device->card_fd, device->function_count, on_replaced, device);

	if (error == 0 || error == -EAGAIN)
		return;
	SIMNIC_LOG(ERR, "the card is gone: %s", strerror(-error));
	device_lose_card(device);
}

// ---- the thread -----------------------------------------------------------------------------------------

static bool has_work(struct pipeline *pipeline)
{
	if (!TAILQ_EMPTY(&pipeline->readable) ||
	    __atomic_load_n(&pipeline->call, __ATOMIC_SEQ_CST) != NULL)
		return true;
	for (unsigned int word = 0; word < RTE_DIM(pipeline->tx_ready); word++)
		if (__atomic_load_n(&pipeline->tx_ready[word], __ATOMIC_SEQ_CST) != 0)
			return true;
	return false;
}

// Take events from the kernel; sleep if there is nothing to do.
static void take_events(struct device *device)
{
	struct pipeline *pipeline = &device->pipeline;
	struct epoll_event events[EVENTS];
	uint64_t ignored;
	int count, timeout = 0;

	if (!has_work(pipeline)) {
		// Announced first, then looked again: whoever comes in between either is seen or wakes us.
		__atomic_store_n(&pipeline->sleeping, true, __ATOMIC_SEQ_CST);
		if (!has_work(pipeline))
			timeout = -1;
	}
	count = epoll_wait(pipeline->epoll_fd, events, EVENTS, timeout);
	__atomic_store_n(&pipeline->sleeping, false, __ATOMIC_SEQ_CST);
	for (int i = 0; i < count; i++) {
		switch (events[i].data.u32) {
		case EVENT_KICK:
			(void)!read(pipeline->kick_fd, &ignored, sizeof(ignored));
			break;
		case EVENT_CARD:
			on_card(device);
			break;
		default:
			function_event(&device->functions[events[i].data.u32], events[i].events);
			break;
		}
	}
}

static control_thread_result pipeline_main(void *argument)
{
	struct device *device = argument;
	struct pipeline *pipeline = &device->pipeline;

	control_thread_begin();
	batch_init(&pipeline->batch, pipeline->uring);
	while (!pipeline->quit) {
		take_events(device);
		run_call(pipeline);
		transmit(device);
		receive(pipeline);
	}
	return CONTROL_THREAD_END;
}

static int watch(struct pipeline *pipeline, int fd, uint32_t who)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = who};

	return epoll_ctl(pipeline->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int pipeline_init(struct device *device)
{
	struct pipeline *pipeline = &device->pipeline;

	TAILQ_INIT(&pipeline->readable);
	pthread_mutex_init(&pipeline->call_lock, NULL);
	pipeline->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	pipeline->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (pipeline->epoll_fd < 0 || pipeline->kick_fd < 0)
		return -errno;
	// The kernel gives memory to what is used of it, and few frames are long.
	pipeline->buffers = mmap(NULL, BURST * sizeof(*pipeline->buffers), PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pipeline->buffers == MAP_FAILED)
		pipeline->buffers = NULL;
	pipeline->deliveries = calloc(BURST, sizeof(*pipeline->deliveries));
	if (pipeline->buffers == NULL || pipeline->deliveries == NULL)
		return -ENOMEM;
	return watch(pipeline, pipeline->kick_fd, EVENT_KICK);
}

int pipeline_start(struct device *device)
{
	struct pipeline *pipeline = &device->pipeline;
	int error = watch(pipeline, device->card_fd, EVENT_CARD);

	if (error == 0)
		error = control_thread_create(&pipeline->thread, "simnic", pipeline_main, device);
	pipeline->running = error == 0;
	return error;
}

static void quit(void *argument)
{
	struct pipeline *pipeline = argument;

	pipeline->quit = true;
}

void pipeline_fini(struct device *device)
{
	struct pipeline *pipeline = &device->pipeline;

	if (pipeline->running) {
		pipeline_call(device, quit, pipeline);
		pthread_join(pipeline->thread, NULL);
		pipeline->running = false;
	}
	if (pipeline->epoll_fd >= 0)
		close(pipeline->epoll_fd);
	if (pipeline->kick_fd >= 0)
		close(pipeline->kick_fd);
	batch_fini(&pipeline->batch);
	free(pipeline->deliveries);
	if (pipeline->buffers != NULL)
		munmap(pipeline->buffers, BURST * sizeof(*pipeline->buffers));
	pthread_mutex_destroy(&pipeline->call_lock);
}
