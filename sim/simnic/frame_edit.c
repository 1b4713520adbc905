// SPDX-License-Identifier: BSD-3-Clause
//
// Changing frames in their buffer. What is written to lies in `received`, or in front of it; mbufs are never written to.
// Pipeline thread only.

#include <stddef.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_udp.h>

#include "sim/simnic/frame.h"

static bool in_buffer(const struct frame_buffer *buffer, const void *data)
{
	return (const uint8_t *)data >= (const uint8_t *)buffer &&
	       (const uint8_t *)data < (const uint8_t *)(buffer + 1);
}

// Copy the first `size` bytes of iov[1] to where they can be written and put more in front of.
static void own(struct frame_buffer *buffer, uint32_t size)
{
	struct frame *frame = &buffer->frame;
	struct iovec *first = &frame->iov[1];
	uint8_t *data = first->iov_base;

	memcpy(buffer->received.data, data, size);
	if (size < first->iov_len) {
		// There is room: a chain of the most mbufs has no part for headers yet.
		memmove(&frame->iov[3], &frame->iov[2], (frame->parts - 2) * sizeof(frame->iov[0]));
		frame->iov[2] =
			(struct iovec){.iov_base = data + size, .iov_len = first->iov_len - size};
		frame->parts++;
	}
	*first = (struct iovec){.iov_base = buffer->received.data, .iov_len = size};
}

static uint32_t own_size(const struct frame *frame, uint32_t size)
{
	return RTE_MIN(frame->iov[1].iov_len, RTE_MAX((size_t)size, (size_t)FRAME_CONTIGUOUS_MIN));
}

uint8_t *frame_writable(struct frame_buffer *buffer, uint32_t size)
{
	struct frame *frame = &buffer->frame;

	if (!in_buffer(buffer, frame->iov[1].iov_base))
		own(buffer, own_size(frame, size));
	return frame->iov[1].iov_base;
}

// ---- the front ------------------------------------------------------------------------------------------

// The virtio-net header as it is to be written, which read(2) has put into the way of what comes in front.
static struct virtio_net_hdr *take_vnet(struct frame *frame)
{
	frame->iov[0].iov_base = &frame->vnet;
	return &frame->vnet;
}

uint8_t *frame_push(struct frame_buffer *buffer, uint32_t size)
{
	struct frame *frame = &buffer->frame;
	struct iovec *first = &frame->iov[1];
	const uint8_t *room = (uint8_t *)buffer + offsetof(struct frame_buffer, headers);
	struct virtio_net_hdr *vnet = take_vnet(frame);

	if (frame->length + size > SIMNIC_FRAME_MAX)
		return NULL;
	if (!in_buffer(buffer, first->iov_base)) {
		own(buffer, own_size(frame, 0));
	} else if (frame->from_port && (size_t)((uint8_t *)first->iov_base - room) < size) {
		// All else is in mbufs.
		memmove(buffer->received.data, first->iov_base, first->iov_len);
		first->iov_base = buffer->received.data;
	}
	if ((size_t)((uint8_t *)first->iov_base - room) < size)
		return NULL;
	first->iov_base = (uint8_t *)first->iov_base - size;
	first->iov_len += size;
	frame->length += size;
	if (vnet->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		vnet->csum_start += size;
	if (vnet->hdr_len != 0)
		vnet->hdr_len += size;
	return first->iov_base;
}

// Of a frame of mbufs: have as much of it in one piece as the parser wants. What is behind iov[1] in the buffer is free.
static void gather_again(struct frame_buffer *buffer)
{
	struct frame *frame = &buffer->frame;
	struct iovec *first = &frame->iov[1];
	uint32_t wanted = RTE_MIN(frame->length, (uint32_t)FRAME_CONTIGUOUS_MIN);

	if (first->iov_len >= wanted)
		return;
	if (!in_buffer(buffer, first->iov_base))
		own(buffer, first->iov_len);
	memmove(buffer->received.data, first->iov_base, first->iov_len);
	first->iov_base = buffer->received.data;
	while (first->iov_len < wanted) {
		struct iovec *next = &frame->iov[2];
		size_t take = RTE_MIN(next->iov_len, wanted - first->iov_len);

		memcpy((uint8_t *)first->iov_base + first->iov_len, next->iov_base, take);
		first->iov_len += take;
		next->iov_base = (uint8_t *)next->iov_base + take;
		next->iov_len -= take;
		if (next->iov_len > 0)
			continue;
		frame->parts--;
		memmove(next, next + 1, (frame->parts - 2) * sizeof(*next));
	}
}

void frame_pull(struct frame_buffer *buffer, uint32_t size)
{
	struct frame *frame = &buffer->frame;
	struct iovec *first = &frame->iov[1];
	struct virtio_net_hdr *vnet = take_vnet(frame);

	first->iov_base = (uint8_t *)first->iov_base + size;
	first->iov_len -= size;
	frame->length -= size;
	if (vnet->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		if (vnet->csum_start >= size)
			vnet->csum_start -= size;
		else
			*vnet = (struct virtio_net_hdr){0};
	}
	vnet->hdr_len = vnet->hdr_len > size ? vnet->hdr_len - size : 0;
	gather_again(buffer);
}

// ---- checksums ------------------------------------------------------------------------------------------

// Any alignment; a last odd byte is the first of its word.
static uint64_t sum_part(const uint8_t *data, uint32_t size)
{
	uint64_t sum = 0;
	uint32_t word;

	for (; size >= sizeof(word); size -= sizeof(word), data += sizeof(word)) {
		memcpy(&word, data, sizeof(word));
		sum += word;
	}
	word = 0;
	memcpy(&word, data, size);
	return sum + word;
}

static uint16_t fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

uint16_t frame_sum(const struct frame *frame, uint32_t from)
{
	uint32_t at = 0;
	uint64_t sum = 0;

	for (unsigned int i = 1; i < frame->parts; i++) {
		const uint8_t *data = frame->iov[i].iov_base;
		uint32_t length = frame->iov[i].iov_len, skip = from > at ? from - at : 0;
		uint16_t part;

		if (skip < length) {
			part = fold(sum_part(data + skip, length - skip));
			// A part that starts in the middle of a word.
			sum += (at + skip - from) % 2 != 0 ? rte_bswap16(part) : part;
		}
		at += length;
	}
	return fold(sum);
}

bool frame_finish_checksum(struct frame_buffer *buffer)
{
	struct frame *frame = &buffer->frame;
	struct virtio_net_hdr *vnet = take_vnet(frame);
	uint32_t field = (uint32_t)vnet->csum_start + vnet->csum_offset;
	uint16_t sum;

	if (!(vnet->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return true;
	if (field + sizeof(sum) > frame->iov[1].iov_len)
		return false;
	sum = ~frame_sum(frame, vnet->csum_start);
	if (sum == 0 && vnet->csum_offset == offsetof(struct rte_udp_hdr, dgram_cksum))
		sum = 0xffff; // RFC 768: zero means none
	memcpy(frame_writable(buffer, field + sizeof(sum)) + field, &sum, sizeof(sum));
	vnet->flags &= ~VIRTIO_NET_HDR_F_NEEDS_CSUM;
	vnet->csum_start = vnet->csum_offset = 0;
	return true;
}
