// SPDX-License-Identifier: BSD-3-Clause

#pragma once

#include <stdint.h>

struct rte_mbuf;

// A number that all packets of a flow share: of IPv4 or IPv6 addresses and protocol, and of TCP and
// UDP ports unless the packet is a fragment. The mbuf begins with its Ethernet header, untagged; 0 for
// what is no IP, or has its headers in several segments.
uint32_t flow_hash(const struct rte_mbuf *m);
