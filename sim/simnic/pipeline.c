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
#include <unistd.h>

#include <rte_atomic.h>
#include <rte_mbuf.h>
#include <rte_string_fns.h>

#include "sim/simnic/card_link.h"
#include "sim/simnic/compat.h"
#include "sim/simnic/eswitch.h"
#include "sim/simnic/frame.h"
#include "sim/simnic/pipeline.h"
#include "sim/simnic/simnic.h"
#include "sim/simnic/tap.h"

enum {
	BURST = 32,  // frames of one function, or Tx queue, before it is another's turn
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

// ---- delivery -------------------------------------------------------------------------------------------

static void deliver_to_port(const struct frame *frame, struct port *port)
{
	struct counters *counters = &port->counters;
	struct rx_queue *rx = &port->rx;
	struct rte_mbuf *mbuf;
	uint64_t one = 1;

	if (!port->started) {
		counter_add(&counters->rx_dropped_stopped, 1);
		return;
	}
	switch (frame_to_mbuf(frame, port, &mbuf)) {
	case FRAME_OK:
		break;
	case FRAME_NO_MBUF:
		counter_add(&counters->rx_missed_no_mbuf, 1);
		return;
	case FRAME_OVERSIZE:
		counter_add(&counters->rx_error_oversize, 1);
		return;
	default:
		counter_add(&counters->rx_error_offload, 1);
		return;
	}
	if (rte_ring_sp_enqueue(rx->ring, mbuf) < 0) {
		rte_pktmbuf_free(mbuf);
		counter_add(&counters->rx_missed_ring_full, 1);
		return;
	}
	counter_add(&counters->rx_packets, 1);
	counter_add(&counters->rx_bytes, frame->length);
	// Pairs with the barrier in rx_queue_intr_enable: either it sees the mbuf, or this sees
	// that it is armed.
	rte_atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(&rx->armed, __ATOMIC_RELAXED) &&
	    __atomic_exchange_n(&rx->armed, false, __ATOMIC_SEQ_CST))
		(void)!write(rx->event_fd, &one, sizeof(one));
}

// 0 or a negative errno: -ENODEV it is gone, -EIO down.
static int deliver_to_function(const struct frame *frame, struct function *function)
{
	if (function->fd < 0)
		return -ENODEV;
	if (!function_has_carrier(function))
		return -EIO;
	if (writev(function->fd, frame->iov, frame->parts) >= 0)
		return 0;
	switch (errno) {
	case EIO:
		function_look(function);
		return -EIO;
	case EBADFD:
		function_lost(function);
		return -ENODEV;
	default:
		return -errno;
	}
}

static void count_sent(struct counters *counters, const struct frame *frame, int error)
{
	switch (error) {
	case 0:
		counter_add(&counters->tx_packets, 1);
		counter_add(&counters->tx_bytes, frame->length);
		break;
	case -EIO:
		counter_add(&counters->tx_error_function_down, 1);
		break;
	case -ENODEV:
		counter_add(&counters->tx_error_function_gone, 1);
		break;
	default:
		counter_add(&counters->tx_error_refused, 1);
		break;
	}
}

// What rules send out of a function is not the traffic of its port: the application knows nothing of it.
static void count_by_rule(const struct frame *frame, const struct verdict *verdict, int error)
{
	struct counters *from = &frame->origin->port.counters,
			*to = &verdict->target->port.counters;

	switch (error) {
	case 0:
		counter_add(&to->rule_to_packets, verdict->on_wire.packets);
		counter_add(&to->rule_to_bytes, verdict->on_wire.bytes);
		if (frame->from_port)
			break;
		counter_add(&from->rule_from_packets, verdict->on_wire.packets);
		counter_add(&from->rule_from_bytes, verdict->on_wire.bytes);
		break;
	case -EMSGSIZE:
		counter_add(&to->rule_error_oversize, 1);
		break;
	case -EIO:
		counter_add(&to->rule_error_function_down, 1);
		break;
	case -ENODEV:
		counter_add(&to->rule_error_function_gone, 1);
		break;
	default:
		counter_add(&to->rule_error_refused, 1);
		break;
	}
}

static void deliver_by_rule(const struct frame *frame, const struct verdict *verdict)
{
	const struct port *port = &verdict->target->port;
	int error = -EMSGSIZE;

	if (frame_fits_mtu(frame, verdict->on_wire.longest, port->mtu))
		error = deliver_to_function(frame, verdict->target);
	count_by_rule(frame, verdict, error);
	if (frame->from_port)
		count_sent(&frame->origin->port.counters, frame, 0);
}

static void forward(struct frame_buffer *buffer)
{
	const struct frame *frame = &buffer->frame;
	struct verdict verdict = eswitch(buffer);

	switch (verdict.kind) {
	case TO_PORT:
		deliver_to_port(frame, &verdict.target->port);
		if (frame->from_port)
			count_sent(&frame->origin->port.counters, frame, 0);
		break;
	case TO_FUNCTION:
		if (verdict.by_rule)
			deliver_by_rule(frame, &verdict);
		else
			count_sent(&frame->origin->port.counters, frame,
				   deliver_to_function(frame, verdict.target));
		break;
	case TO_NOBODY:
		break;
	}
}

// ---- receive, transmit ----------------------------------------------------------------------------------

static void receive_one(struct function *function, struct frame_buffer *buffer, size_t size)
{
	struct counters *counters = &function->port.counters;

	if (!function_has_carrier(function)) {
		counter_add(&counters->rx_dropped_link_down, 1);
		return;
	}
	switch (frame_from_netdev(buffer, function, size)) {
	case FRAME_OK:
		forward(buffer);
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

// A burst from one function; it leaves the list when it has no more.
static void receive_burst(struct function *function, struct frame_buffer *buffer)
{
	for (unsigned int i = 0; i < BURST && function->readable; i++) {
		ssize_t size = read(function->fd, &buffer->received, sizeof(buffer->received));

		if (size >= 0)
			receive_one(function, buffer, size);
		else if (errno == EAGAIN)
			function_rest(function);
		else if (errno == EBADFD)
			function_lost(function);
		else if (errno != EINTR)
			function_rest(
				function); // nothing that waiting for the next event would not repair
	}
}

// Every function on the list once, the served ones behind those not served yet.
static void receive(struct pipeline *pipeline)
{
	struct function *function;

	for (unsigned int left = pipeline->readable_count; left > 0; left--) {
		function = TAILQ_FIRST(&pipeline->readable);
		if (function == NULL)
			break; // those after the served one were lost meanwhile
		receive_burst(function, pipeline->buffer);
		if (!function->readable)
			continue;
		TAILQ_REMOVE(&pipeline->readable, function, readable_next);
		TAILQ_INSERT_TAIL(&pipeline->readable, function, readable_next);
	}
}

static void transmit_one(struct function *function, struct frame_buffer *buffer,
			 const struct rte_mbuf *mbuf)
{
	struct counters *counters = &function->port.counters;

	switch (frame_from_mbuf(buffer, function, mbuf)) {
	case FRAME_OK:
		forward(buffer);
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
static bool transmit_port(struct function *function, struct frame_buffer *buffer)
{
	struct rte_mbuf *mbufs[BURST];
	bool more = false;

	for (uint16_t i = 0; i < function->port.tx_queue_count; i++) {
		struct rte_ring *ring = function->port.tx[i].ring;
		unsigned int left,
			count = rte_ring_sc_dequeue_burst(ring, (void **)mbufs, BURST, &left);

		for (unsigned int j = 0; j < count; j++)
			transmit_one(function, buffer, mbufs[j]);
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

			if (transmit_port(&device->functions[index], pipeline->buffer))
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
	if (posix_memalign((void **)&pipeline->buffer, RTE_CACHE_LINE_SIZE,
			   sizeof(*pipeline->buffer)) != 0)
		return -ENOMEM;
	memset(pipeline->buffer, 0, sizeof(*pipeline->buffer));
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
	free(pipeline->buffer);
	pthread_mutex_destroy(&pipeline->call_lock);
}
