// SPDX-License-Identifier: BSD-3-Clause
//
// Reads what connection tracking needs to know out of a packet's headers, and writes addresses and
// ports into them. Knows bytes only; whose packet it is, and what is to become of it, others decide.
// Nothing that a packet says of its own lengths is believed. Workers.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "conntrack/tuple.h"

enum {
	// As many bytes of a packet, or all it has, must be contiguous: IPv6 with extension headers, an ICMP
	// error, and the same again inside it.
	CONNTRACK_HEADERS_MAX = 512,
};

enum conntrack_kind {
	CONNTRACK_KIND_TCP,
	CONNTRACK_KIND_UDP,
	CONNTRACK_KIND_ECHO,     // request or reply
	CONNTRACK_KIND_ERROR,    // ICMP, with the beginning of the packet it is about
	CONNTRACK_KIND_FRAGMENT, // not the first of its packet: no ports
	CONNTRACK_KIND_OTHER,    // has nothing that could serve as a port
};

enum {
	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_ACK = 0x10,
};

struct conntrack_tcp {
	uint32_t sequence, acknowledgement;
	uint32_t payload; // bytes; of a first fragment those in this fragment
	uint16_t window;  // as in the header, not scaled
	uint8_t flags;    // TCP_FIN | ...
	bool has_scale;   // of a SYN: the window scale option (RFC 7323 section 2.2)
	uint8_t scale;    // at most 14
};

// The packet that an ICMP error is about, as far as the error has it.
struct conntrack_quote {
	struct conntrack_tuple tuple;
	uint8_t kind; // TCP, UDP or ECHO
	bool has_sequence;
	uint32_t sequence;             // TCP's
	uint16_t l3_offset, l4_offset; // from the beginning of the outer packet
	uint16_t end;                  // one past the last byte of it that is there and contiguous
};

struct conntrack_packet {
	struct conntrack_tuple tuple; // without ports if the kind has none
	uint8_t kind;
	uint8_t icmp_type;
	bool fragment; // one of several; if the kind is not FRAGMENT, the first
	bool more_fragments;
	uint32_t fragment_id;
	uint32_t fragment_offset;     // bytes
	uint32_t length;              // of the whole packet, from layer 3 on
	uint16_t l4_offset;           // from layer 3 on
	struct conntrack_tcp tcp;     // of TCP
	struct conntrack_quote quote; // of ERROR
};

// Read the packet at `data`, whose layer 3 begins there. `available`: contiguous bytes; `length`: of
// the whole packet, at least as many. Returns 0; -EMSGSIZE: cut off before the end of its headers;
// -EBADMSG: headers that contradict themselves, or flags that no TCP sends together; or a fragment
// made to get around those checks (RFC 1858, RFC 3128, RFC 5722).
int conntrack_packet_parse(const uint8_t *data, uint32_t available, uint32_t length,
			   struct conntrack_packet *ret_packet);

// Make the packet's addresses and ports those of `to`, and of an ICMP error also those of what it
// quotes those of `quote`; with all checksums, by what changes in them (RFC 1624), so that a packet
// that was damaged stays so. open_checksum: the TCP or UDP checksum will be filled later, over what is
// there then.
void conntrack_packet_rewrite(uint8_t *data, const struct conntrack_packet *packet,
			      const struct conntrack_tuple *to, const struct conntrack_tuple *quote,
			      bool open_checksum);

// Give an IPv4 packet another identification.
void conntrack_packet_renumber(uint8_t *data, uint16_t id);
