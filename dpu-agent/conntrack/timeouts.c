// SPDX-License-Identifier: BSD-3-Clause

#include "conntrack/timeouts.h"

const struct conntrack_timeouts conntrack_default_timeouts = {
	.tcp_opening = 240,      // RFC 5382 REQ-5: not less than 4 minutes
	.tcp_established = 7440, // and 2 hours 4 minutes
	.tcp_closing = 240,
	.tcp_time_wait = 120, // RFC 9293's 2 MSL in practice; a new SYN reopens it at once
	.tcp_close = 10,
	.udp = 120,          // RFC 4787 REQ-5: not less than 2 minutes,
	.udp_answered = 300, // 5 minutes recommended
	.udp_dns = 30,
	.icmp = 60,     // RFC 5508 REQ-2
	.fragment = 30, // RFC 791 section 3.2 has 15 seconds, RFC 8200 section 4.5 has 60
};
