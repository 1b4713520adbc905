// SPDX-License-Identifier: BSD-3-Clause
//
// How long connections live without a packet. Free of DPDK.

#pragma once

#include <stdint.h>

// Seconds. Each may be longer by one, as the table's clock counts whole ones.
struct conntrack_timeouts {
	uint32_t tcp_opening; // SYN_SENT, SYN_RECV, and taken up in the middle and not answered yet
	uint32_t tcp_established;
	uint32_t tcp_closing; // FIN_WAIT, CLOSE_WAIT, LAST_ACK
	uint32_t tcp_time_wait;
	uint32_t tcp_close; // after a reset
	uint32_t udp;       // before an answer
	uint32_t udp_answered;
	uint32_t udp_dns; // to port 53, after an answer: REQ-5 a) lets well-known ports have less
	uint32_t icmp;
	uint32_t fragment; // how long the first one is remembered
};

extern const struct conntrack_timeouts conntrack_default_timeouts;
