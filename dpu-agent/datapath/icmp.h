// SPDX-License-Identifier: BSD-3-Clause
//
// Numbers of ICMP (RFC 792, RFC 1191) and ICMPv6 (RFC 4443, RFC 4861) that the graph speaks, and
// their headers.

#pragma once

#include <stdint.h>

#include <rte_byteorder.h>

enum {
	ICMP4_ECHO_REPLY = 0,
	ICMP4_UNREACHABLE = 3,
	ICMP4_NET_UNREACHABLE = 0,
	ICMP4_HOST_UNREACHABLE = 1,
	ICMP4_PORT_UNREACHABLE = 3,
	ICMP4_FRAGMENTATION_NEEDED = 4,
	ICMP4_SOURCE_QUENCH = 4,
	ICMP4_REDIRECT = 5,
	ICMP4_ECHO_REQUEST = 8,
	ICMP4_TIME_EXCEEDED = 11,
	ICMP4_PARAMETER_PROBLEM = 12,

	ICMP6_UNREACHABLE = 1,
	ICMP6_NO_ROUTE = 0,
	ICMP6_ADDRESS_UNREACHABLE = 3,
	ICMP6_PORT_UNREACHABLE = 4,
	ICMP6_PACKET_TOO_BIG = 2,
	ICMP6_TIME_EXCEEDED = 3,
	ICMP6_INFORMATIONAL = 128, // types from here on are no errors
	ICMP6_ECHO_REQUEST = 128,
	ICMP6_ECHO_REPLY = 129,
	ICMP6_ROUTER_SOLICITATION = 133, // the first of neighbour discovery, a redirect the last
	ICMP6_NEIGHBOR_SOLICITATION = 135,
	ICMP6_NEIGHBOR_ADVERTISEMENT = 136,
	ICMP6_REDIRECT = 137,
};

enum { ND_HOP_LIMIT = 255 }; // proves that no router passed it on: RFC 4861 section 7.1

struct icmp_header {
	uint8_t type;
	uint8_t code;
	rte_be16_t checksum;
	rte_be32_t value; // identifier and sequence, MTU, or unused
} __attribute__((packed));

// A neighbour solicitation or advertisement without its options (RFC 4861 sections 4.3 and 4.4).
struct nd_header {
	uint8_t type;
	uint8_t code;
	rte_be16_t checksum;
	rte_be32_t flags;
	uint8_t target[16];
} __attribute__((packed));

// A source or target link-layer address option (RFC 4861 section 4.6.1).
struct nd_option_mac {
	uint8_t type;
	uint8_t length; // in units of 8 bytes
	uint8_t mac[6];
};
