// SPDX-License-Identifier: BSD-3-Clause
//
// The limits of a pod, in the units of meters, the same for the agent's and the NIC's. Pure functions,
// free of DPDK.
//
// What is limited is bytes of Ethernet frames as they are on a wire: from the destination address on, without
// the frame check sequence, each segment of what a stack leaves to be cut with headers of its own. That is
// what meters in NICs count, and what CNI's plugin bandwidth does (tc-tbf).

#pragma once

#include <stdint.h>

enum {
	BANDWIDTH_INGRESS, // to the pod
	BANDWIDTH_EGRESS,  // by the pod
	BANDWIDTH_DIRECTIONS,
};

// How much may be sent at once after a pause, if nobody says: this long at the rate. A policer keeps nothing
// back, so it is what a TCP connection has to live on while it recovers from a loss, of which there is one
// whenever it has become too fast.
enum {
	BANDWIDTH_BURST_MS = 200,
	BANDWIDTH_BURST_FRAMES = 10, // and not less than these
};
// What runtimes send for a burst that nobody gave: containerd UINT32_MAX, CRI-O and kubelet INT32_MAX. Taken at
// its word it were half a gigabyte, at 10 Mbit/s seven minutes without a limit.
#define BANDWIDTH_BURST_NOT_GIVEN(bits) ((bits) == UINT32_MAX || (bits) == INT32_MAX)

// Beyond it what gathers in a meter that nobody uses would overflow within years: 800 Gbit/s.
#define BANDWIDTH_BYTES_PER_S_MAX UINT64_C(100000000000)

struct bandwidth_limit {
	uint64_t bytes_per_s; // 0: unlimited, and the rest is 0, too
	uint64_t burst_bytes; // at least a frame of the pod's MTU
};

// The limit that rate_bps and burst_bits of struct bandwidth ask for.
struct bandwidth_limit bandwidth_limit_of(uint64_t rate_bps, uint64_t burst_bits, uint32_t mtu);

// What a meter has made of a direction's frames, counted as they would be on a wire.
struct bandwidth_count {
	uint64_t passed_packets, passed_bytes;
	uint64_t dropped_packets, dropped_bytes;
};

static inline void bandwidth_count_add(struct bandwidth_count *sum,
				       const struct bandwidth_count *count)
{
	sum->passed_packets += count->passed_packets;
	sum->passed_bytes += count->passed_bytes;
	sum->dropped_packets += count->dropped_packets;
	sum->dropped_bytes += count->dropped_bytes;
}

static inline void bandwidth_count_subtract(struct bandwidth_count *from,
					    const struct bandwidth_count *count)
{
	from->passed_packets -= count->passed_packets;
	from->passed_bytes -= count->passed_bytes;
	from->dropped_packets -= count->dropped_packets;
	from->dropped_bytes -= count->dropped_bytes;
}
