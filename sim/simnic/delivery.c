// SPDX-License-Identifier: BSD-3-Clause
//
// The end of a frame's way: onto a port's Rx ring, or out of a function, and counted. What goes out of functions waits until
// the burst is over, so that it is one system call; until then frames stay in their buffers.

#include <errno.h>
#include <unistd.h>

#include <rte_atomic.h>
#include <rte_mbuf.h>

#include "sim/simnic/delivery.h"
#include "sim/simnic/pipeline.h"
#include "sim/simnic/simnic.h"

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

// A frame was delivered to a function, or not. 0 or a negative errno: -ENODEV the function is gone, -EIO down.
static void count(const struct frame *frame, const struct verdict *verdict, int error)
{
	if (!verdict->by_rule) {
		count_sent(&frame->origin->port.counters, frame, error);
		return;
	}
	count_by_rule(frame, verdict, error);
	if (frame->from_port)
		count_sent(&frame->origin->port.counters, frame, 0);
}

static void deliver_to_function(struct pipeline *pipeline, struct frame_buffer *buffer,
				const struct verdict *verdict)
{
	const struct frame *frame = &buffer->frame;
	const struct function *function = verdict->target;

	if (verdict->by_rule &&
	    !frame_fits_mtu(frame, verdict->on_wire.longest, function->port.mtu))
		count(frame, verdict, -EMSGSIZE);
	else if (function->fd < 0)
		count(frame, verdict, -ENODEV);
	else if (!function_has_carrier(function))
		count(frame, verdict, -EIO);
	else
		pipeline->deliveries[pipeline->delivery_count++] =
			(struct delivery){.buffer = buffer, .verdict = *verdict};
}

void forward(struct pipeline *pipeline, struct frame_buffer *buffer)
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
		deliver_to_function(pipeline, buffer, &verdict);
		break;
	case TO_NOBODY:
		break;
	}
}

// What writing to a function's descriptor came to, as count() wants it.
static int outcome(struct function *function, const struct batch_call *call)
{
	switch (call->result) {
	case -EIO:
		function_look(function);
		return -EIO;
	case -EBADFD:
		if (function->fd == call->fd)
			function_lost(function);
		return -ENODEV;
	default:
		return RTE_MIN(call->result, 0);
	}
}

// A frame as it was read has its virtio-net header right before it.
static bool in_one_piece(const struct iovec *iov, unsigned int parts)
{
	return parts == 2 && (uint8_t *)iov[0].iov_base + iov[0].iov_len == iov[1].iov_base;
}

void delivery_flush(struct pipeline *pipeline)
{
	struct delivery *deliveries = pipeline->deliveries;
	unsigned int delivery_count = pipeline->delivery_count;
	struct batch_call calls[BATCH_MAX];
	struct iovec whole[BATCH_MAX];

	for (unsigned int i = 0; i < delivery_count; i++) {
		const struct frame *frame = &deliveries[i].buffer->frame;

		calls[i] = (struct batch_call){.fd = deliveries[i].verdict.target->fd,
					       .write = true,
					       .iov = frame->iov,
					       .parts = frame->parts};
		if (in_one_piece(frame->iov, frame->parts)) {
			whole[i] = (struct iovec){.iov_base = frame->iov[0].iov_base,
						  .iov_len = frame->iov[0].iov_len +
							     frame->iov[1].iov_len};
			calls[i].iov = &whole[i];
			calls[i].parts = 1;
		}
	}
	batch_run(&pipeline->batch, calls, delivery_count);
	for (unsigned int i = 0; i < delivery_count; i++)
		count(&deliveries[i].buffer->frame, &deliveries[i].verdict,
		      outcome(deliveries[i].verdict.target, &calls[i]));
	pipeline->delivery_count = 0;
}
