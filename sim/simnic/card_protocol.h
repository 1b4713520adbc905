// SPDX-License-Identifier: BSD-3-Clause
//
// What the card and the driver say to each other over one AF_UNIX SOCK_SEQPACKET connection; one
// packet is one struct card_message. Both ends run on the same machine, so numbers are in host byte
// order.
//
//     driver                        card
//       | ---------- connect --------> |
//       | <- HELLO, or REFUSED, close- |   REFUSED: another driver is attached
//       | <- FUNCTIONS + descriptors - |   several, until every function was named once
//       | <- FUNCTIONS + descriptors - |   later: a function went (present 0) or was replaced (present 1)
//       | -- LOST -------------------> |   a hint: the descriptor of this function is dead, look at it now
//       | -- REPLACE ----------------> |   take this function's netdev away, wherever it is, and make a fresh one. The driver
//                                          has closed its descriptor: as long as there is one, the netdev cannot go
//
// Function descriptors are TAPs with IFF_VNET_HDR and a header of CARD_VNET_HEADER_SIZE bytes,
// non-blocking. Whoever closes the connection gives up the device: the driver must then close its
// descriptors.

#pragma once

#include <net/if.h>
#include <stdint.h>

enum {
	CARD_MAGIC = 0x53494d43, // "SIMC"
	CARD_VERSION = 2,
	CARD_VNET_HEADER_SIZE = 10, // struct virtio_net_hdr
	CARD_VFS_MAX = 1000,        // with uplink and PF below DPDK's 1,024 ports
	CARD_BATCH_MAX = 128,       // descriptors in a message; the kernel takes 253 (SCM_MAX_FD)
	CARD_TEXT_SIZE = 160,
};

// A function's index on the card. VF n is CARD_INDEX_VF0 + n.
enum {
	CARD_INDEX_WIRE,
	CARD_INDEX_PF,
	CARD_INDEX_VF0,
	CARD_INDEX_MAX = CARD_INDEX_VF0 + CARD_VFS_MAX
};

enum card_message_type {
	CARD_HELLO,     // card -> driver
	CARD_REFUSED,   // card -> driver
	CARD_FUNCTIONS, // card -> driver
	CARD_LOST,      // driver -> card
	CARD_REPLACE,   // driver -> card
};

struct card_function {
	uint16_t index;
	uint8_t present; // 1: the next descriptor of the message is this function's
	uint8_t mac[6];
	char netdev[IF_NAMESIZE]; // its name in the card's netns
};

struct card_message {
	uint32_t magic;
	uint16_t version;
	uint16_t type;
	union {
		struct {
			uint16_t vfs;
			uint16_t vnet_header_size;
			char name[IF_NAMESIZE];
		} hello;
		struct {
			char text[CARD_TEXT_SIZE]; // why, for people
		} refused;
		struct {
			uint16_t count;
			struct card_function entries[CARD_BATCH_MAX];
		} functions;
		struct {
			uint16_t index;
		} about; // of LOST and REPLACE
	};
};
