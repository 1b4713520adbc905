// SPDX-License-Identifier: BSD-3-Clause
//
// What is counted for a port. "rx" is from the function to the application, "tx" the other way, "rule" what rules of the
// e-switch did with frames of the function, and to it, besides. Written by the pipeline thread alone; others read at any time.

#pragma once

#include <stdint.h>

//	name                          class   what
#define SIMNIC_COUNTERS(X)                                                                         \
	X(rx_packets, PACKETS) /* given to the application */                                      \
	X(rx_bytes, BYTES)                                                                         \
	X(rx_missed_ring_full, MISSED) /* the application does not keep up */                      \
	X(rx_missed_no_mbuf, NO_MBUF)  /* its pool is empty */                                     \
	X(rx_error_runt, ERROR)        /* shorter than an Ethernet header */                       \
	X(rx_error_oversize, ERROR)    /* beyond the port's MTU */                                 \
	X(rx_error_offload, ERROR)     /* wants segmentation or a checksum nobody can do */        \
	X(rx_dropped_stopped, OTHER)   /* the port is not started */                               \
	X(rx_dropped_link_down, OTHER) /* the function's carrier is off: frames on their way */    \
	X(tx_packets, PACKETS)         /* written to the function */                               \
	X(tx_bytes, BYTES)                                                                         \
	X(tx_error_runt, ERROR)                                                                    \
	X(tx_error_oversize, ERROR)                                                                \
	X(tx_error_offload, ERROR)       /* offload fields that contradict the packet */           \
	X(tx_error_function_down, ERROR) /* the netdev is down, or its carrier off */              \
	X(tx_error_function_gone, ERROR) /* its netns died and it is not back yet */               \
	X(tx_error_refused, ERROR)       /* the kernel did not take the frame */                   \
	X(rule_from_packets, OTHER)      /* of the function, sent on to another, as on a wire */   \
	X(rule_from_bytes, OTHER)                                                                  \
	X(rule_to_packets, OTHER) /* written to the function, as on a wire */                      \
	X(rule_to_bytes, OTHER)                                                                    \
	X(rule_dropped, OTHER)        /* of the function or its port */                            \
	X(rule_error_loop, OTHER)     /* the same: too many jumps */                               \
	X(rule_error_encap, OTHER)    /* the same: what it wants cannot be done to the frame */    \
	X(rule_error_oversize, OTHER) /* to the function: beyond its MTU */                        \
	X(rule_error_function_down, OTHER)                                                         \
	X(rule_error_function_gone, OTHER)                                                         \
	X(rule_error_refused, OTHER)

struct counters {
#define X(name, class) uint64_t name;
	SIMNIC_COUNTERS(X)
#undef X
};

static inline void counter_add(uint64_t *counter, uint64_t value)
{
	__atomic_store_n(counter, *counter + value, __ATOMIC_RELAXED);
}

static inline void counters_clear(struct counters *counters)
{
#define X(name, class) __atomic_store_n(&counters->name, 0, __ATOMIC_RELAXED);
	SIMNIC_COUNTERS(X)
#undef X
}

static inline uint64_t counter_read(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}
