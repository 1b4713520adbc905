// SPDX-License-Identifier: BSD-3-Clause
//
// Changes of headers, as the silicon makes them: the frame, its checksums, and what was read of it stay in step, so that
// what a later group looks up is what the frame is by then. Pipeline thread only.
//
// Checksums are updated incrementally (RFC 1624): one that was wrong stays wrong. A layer-4 checksum that a stack left
// undone (VIRTIO_NET_HDR_F_NEEDS_CSUM) holds the sum of the pseudo header, and only what changes that is added.

#pragma once

#include "sim/simnic/flow_key.h"

// A frame on its way through the rules.
struct flow_packet {
	struct frame_buffer *buffer;
	struct flow_key key;
	struct flow_offsets offsets;
	struct frame_on_wire on_wire;
	bool stale; // key and offsets are to be read again before they are used
};

// Read what is stale. META and TAGs stay.
void flow_packet_refresh(struct flow_packet *packet);

// Each changes the outermost header of that kind, and does nothing where the packet has none. Values in network order.
void flow_set_mac(struct flow_packet *packet, bool source, const uint8_t mac[6]);
void flow_set_ipv4(struct flow_packet *packet, bool source, const uint8_t address[4]);
void flow_set_ipv6(struct flow_packet *packet, bool source, const uint8_t address[16]);
// TTL or hop limit.
void flow_set_ttl(struct flow_packet *packet, uint8_t ttl);
// Of TCP or UDP.
void flow_set_port(struct flow_packet *packet, bool source, const uint8_t port[2]);
