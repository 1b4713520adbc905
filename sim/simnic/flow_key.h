// SPDX-License-Identifier: BSD-3-Clause
//
// What a rule can look at, read out of a frame once: the key. Patterns are compiled to the same layout (flow_match.h), so
// that a lookup is a masked comparison of words. Everything is in network byte order unless said; what a frame
// does not have is zero, and `layers` says what it has. Pipeline thread only.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sim/simnic/frame.h"

enum flow_layer_bits {
	FLOW_HAS_ETH = 1 << 0,
	FLOW_HAS_VLAN = 1 << 1, // one tag at least
	FLOW_HAS_VLAN2 = 1 << 2,
	FLOW_HAS_IPV4 = 1 << 3,
	FLOW_HAS_IPV6 = 1 << 4,
	FLOW_HAS_TCP = 1 << 5,
	FLOW_HAS_UDP = 1 << 6,
	FLOW_HAS_ICMP = 1 << 7,
	FLOW_HAS_ICMP6 = 1 << 8,
	FLOW_HAS_FRAGMENT = 1 << 9,   // IPv4 fragment, or IPv6 with a fragment header
	FLOW_L3_OK = 1 << 10,         // IPv6, or IPv4 with a good header checksum
	FLOW_HAS_ICMP_REST = 1 << 11, // ICMP or ICMPv6, with all 8 bytes of its header
};

enum { FLOW_TAGS = 4 };

enum flow_tunnel { FLOW_TUNNEL_NONE, FLOW_TUNNEL_VXLAN, FLOW_TUNNEL_GENEVE };

// The headers of one frame, or of the frame inside a tunnel. No padding; the addresses are whole words of the key.
struct flow_headers {
	uint8_t mac_dst[6];
	uint8_t mac_src[6];
	uint16_t outer_type; // ether type in the Ethernet header itself
	uint16_t ether_type; // of what follows the tags (at most two are read)
	uint8_t ip_src[16];  // IPv4: the first 4 bytes
	uint8_t ip_dst[16];
	uint16_t vlan_tci[2];
	uint16_t vlan_inner_type; // ether type that the first tag announces
	uint16_t fragment;        // IPv4 fragment_offset field; IPv6 frag_data field
	uint32_t ipv6_flow;       // vtc_flow
	uint8_t tos;              // IPv4
	uint8_t ttl;              // IPv6: hop limit
	uint8_t protocol;         // of layer 4, behind the IPv6 extension headers that can be read
	uint8_t ipv4_version_ihl;
	uint16_t port_src; // TCP, UDP; ICMP: type in the first byte, code in the second
	uint16_t port_dst;
	uint8_t tcp_flags;
	uint8_t ipv6_next; // the proto field of the IPv6 header itself
	uint16_t layers;   // host order: enum flow_layer_bits
	// IPv4 total_length, IPv6 payload_len: of the packet on the wire. Of a frame that is still to be segmented, of the
	// longest of its segments.
	uint16_t length;
	// Bytes 4 to 7 of an ICMP or ICMPv6 header of any type; in an echo request or reply, these. A message that ends before
	// is ICMP nevertheless: it has zeros here, and not FLOW_HAS_ICMP_REST. Patterns that ask for one of these ask for that
	// bit, too, so that such a message does not meet them, whatever the values.
	uint16_t icmp_identifier, icmp_sequence;
	uint16_t zero; // so that these are whole words
};

struct flow_key {
	uint16_t origin; // host order: index of the function or wire the frame came from
	uint8_t from_port; // 1: a representor or the uplink port sent it; 0: it came out of the function or the wire
	uint8_t tunnel; // enum flow_tunnel
	uint8_t vni[3];
	uint8_t vxlan_flags;
	uint16_t geneve_ver_opt; // ver_opt_len_o_c_rsvd0
	uint16_t geneve_protocol;
	uint32_t metadata;        // host order: META
	uint32_t tags[FLOW_TAGS]; // host order: TAG
	struct flow_headers outer, inner;
} __attribute__((aligned(8)));

enum { FLOW_KEY_WORDS = sizeof(struct flow_key) / 8 };

_Static_assert(sizeof(struct flow_headers) == 80 && sizeof(struct flow_key) == 32 + 2 * 80,
	       "padding would be compared");

// Where the headers are in the frame, for actions. Offsets from the start of the Ethernet header; 0: not there.
struct flow_offsets {
	uint16_t l3;                           // IPv4, IPv6
	uint16_t l4;                           // TCP, UDP, ICMP, ICMPv6; not in later fragments
	uint16_t payload;                      // behind TCP and UDP headers
	uint16_t tunnel;                       // the VXLAN or GENEVE header
	uint16_t inner_l2, inner_l3, inner_l4; // of the frame in the tunnel
};

// Read a frame. Never fails: a header that is cut short or contradicts itself, and all behind it, is not there.
// Contradicting: an IP header with a wrong version, or lengths that are below the header's or beyond the frame's end; a TCP
// header whose offset is below 5 or beyond the packet. A wrong IPv4 checksum is only told (FLOW_L3_OK).
// Tunnels are looked for in whole UDP packets to ports 4789 (VXLAN with its I flag) and 6081 (GENEVE version 0).
// metadata and tags are left zero. Reads only the frame's contiguous header part (struct frame) and nothing beyond its
// length. longest: bytes of the longest packet that the frame is on the wire (struct frame_on_wire).
void flow_key_read(const struct frame *frame, uint32_t longest, struct flow_key *ret_key,
		   struct flow_offsets *ret_offsets);
