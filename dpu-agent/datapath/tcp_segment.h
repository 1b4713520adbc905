// SPDX-License-Identifier: BSD-3-Clause
//
// TCP segmentation in software, for a port that cannot do it. Why not rte_gso: it has none for IPv6. Workers.

#pragma once

#include <rte_mbuf.h>

enum {
	TCP_SEGMENTS_MAX = 256, // of one packet: 64 KB in pieces of 256 bytes
};

// Cut a packet with OFFLOAD_TSO, its data at layer 3, into segments of at most tso_segsz bytes of
// TCP payload. They share its buffers and have OFFLOAD_CHECKSUM. On success the packet is used up.
// Returns how many they are; -ENOMEM; or -EMSGSIZE if they would be too many.
int tcp_segment(struct rte_mbuf *m, struct rte_mbuf *ret_segments[TCP_SEGMENTS_MAX]);
