// SPDX-License-Identifier: BSD-3-Clause
//
// See bandwidth.h.

#include "datapath/bandwidth.h"

#include <stdbool.h>

enum { ETHERNET_HEADER = 14 };

struct bandwidth_limit bandwidth_limit_of(uint64_t rate_bps, uint64_t burst_bits, uint32_t mtu)
{
	const uint64_t frame = mtu + ETHERNET_HEADER;
	const bool given = burst_bits != 0 && !BANDWIDTH_BURST_NOT_GIVEN(burst_bits);
	struct bandwidth_limit limit = {.bytes_per_s = rate_bps / 8};

	if (rate_bps == 0)
		return (struct bandwidth_limit){0};
	if (limit.bytes_per_s > BANDWIDTH_BYTES_PER_S_MAX)
		limit.bytes_per_s = BANDWIDTH_BYTES_PER_S_MAX;
	if (given) {
		limit.burst_bytes = burst_bits / 8;
	} else {
		limit.burst_bytes = limit.bytes_per_s * BANDWIDTH_BURST_MS / 1000;
		if (limit.burst_bytes < BANDWIDTH_BURST_FRAMES * frame)
			limit.burst_bytes = BANDWIDTH_BURST_FRAMES * frame;
	}
	// A frame that is larger than the bucket would never pass.
	if (limit.burst_bytes < frame)
		limit.burst_bytes = frame;
	return limit;
}
