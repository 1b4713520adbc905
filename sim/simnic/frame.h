// SPDX-License-Identifier: BSD-3-Clause
//
// A frame on its way through the pipeline, and its translation from and to mbufs. Checksum and
// segmentation state is a virtio-net header, as the functions' TAPs have it. Pipeline thread only;
// nothing here trusts a length or an offset of either side.

#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include <linux/virtio_net.h>
#include <rte_mbuf.h>

#include "sim/simnic/simnic.h"

struct frame {
	struct function *origin;
	bool from_port;  // sent by the origin's port; else received from its netdev
	uint32_t length; // bytes, without the virtio-net header
	uint16_t parts;  // of iov, with the virtio-net header
	struct iovec iov[SIMNIC_SEGMENTS_MAX +
			 2]; // [0] the virtio-net header, [1] at least the headers of layer 2 to 4
	struct virtio_net_hdr vnet;
};

enum {
	// What iov[1] holds in one piece at least, if the frame is that long: IPv6 and TCP in VXLAN over
	// IPv6, and then some.
	FRAME_CONTIGUOUS_MIN = 256,
};

// Where a frame's memory is. The data starts such that the IP header is aligned.
struct frame_buffer {
	struct frame frame;
	// Headers of a frame of mbufs whose offloads were prepared; room for what is put in front of `received`.
	uint8_t headers[1024] __attribute__((aligned(64)));
	uint8_t pad[64 - RTE_ETHER_HDR_LEN - CARD_VNET_HEADER_SIZE];
	struct {
		uint8_t vnet[CARD_VNET_HEADER_SIZE];
		uint8_t data[SIMNIC_FRAME_MAX + 1]; // one more, to notice a longer one
	} received; // by read(2); of a frame of mbufs: rewritten headers, too
};

// What can be wrong with a frame; also says where it is counted.
enum frame_result { FRAME_OK, FRAME_RUNT, FRAME_OVERSIZE, FRAME_BAD_OFFLOAD, FRAME_NO_MBUF };

// Make a frame of what read(2) put into buffer->received: size bytes.
enum frame_result frame_from_netdev(struct frame_buffer *buffer, struct function *origin,
				    size_t size);

// Make a frame of an mbuf chain sent by a port, which must stay until the frame is done with. The
// mbufs are not written to; headers that need it are rewritten in the buffer.
enum frame_result frame_from_mbuf(struct frame_buffer *buffer, struct function *origin,
				  const struct rte_mbuf *mbuf);

// Copy the frame into a new mbuf chain of the port, as its offloads allow it.
enum frame_result frame_to_mbuf(const struct frame *frame, const struct port *port,
				struct rte_mbuf **ret_mbuf);

// A frame as a wire sees it: one that is still to be segmented is its segments, each with all headers.
struct frame_on_wire {
	uint32_t packets, bytes;
	uint32_t longest; // bytes of the longest of them
};
// FRAME_BAD_OFFLOAD: it is to be segmented, and its headers cannot be read.
enum frame_result frame_measure(const struct frame *frame, struct frame_on_wire *ret_on_wire);
// Whether a packet of that length, which starts as the frame does, is within the MTU; one VLAN tag comes on top. MTU 0: the
// port was never started, and nobody has said.
bool frame_fits_mtu(const struct frame *frame, uint32_t length, uint32_t mtu);

// ---- frame_edit.c ---------------------------------------------------------------------------------------

// Make the first `size` bytes of the frame, which are in iov[1], writable; returns where they are now. Of a frame of mbufs
// they are copied, and iov[1] may become shorter, but not below `size`; whatever it held is still in the frame.
uint8_t *frame_writable(struct frame_buffer *buffer, uint32_t size);
// Put `size` bytes, of no certain content, in front of the frame; returns its new start. What of it is writable stays so, and
// the offsets in the virtio-net header move along. NULL: no room.
uint8_t *frame_push(struct frame_buffer *buffer, uint32_t size);
// Take `size` bytes, which are in iov[1], from the front of the frame. A checksum that was to be computed from there is
// no more.
void frame_pull(struct frame_buffer *buffer, uint32_t size);
// The one's complement sum of the frame from this offset on, in the order of memory.
uint16_t frame_sum(const struct frame *frame, uint32_t from);
// Compute the checksum that the stack left undone. False: its field is not in iov[1].
bool frame_finish_checksum(struct frame_buffer *buffer);

// What tx_pkt_prepare checks: 0, or a negative errno. Any thread.
int frame_check_mbuf(const struct rte_mbuf *mbuf);
