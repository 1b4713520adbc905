// SPDX-License-Identifier: BSD-3-Clause
//
// Packets for the tests of the translation between frames and mbufs, and what such a test has around it.

#pragma once

#include "sim/simnic/frame.h"
#include "sim/simnic/test_support.h"

extern struct rte_mempool *pool;
extern struct function function;
extern struct frame_buffer *buffer;

// With EAL, a pool, a buffer: run the tests. The result is main's.
int frame_tests_run(const struct CMUnitTest *tests, size_t count);

int reset(void **state);
int check_pool(void **state); // no test leaks an mbuf
#define TEST(name) cmocka_unit_test_setup_teardown(name, reset, check_pool)

struct packet {
	uint8_t data[SIMNIC_FRAME_MAX + 64];
	uint32_t length, l3, l4; // offsets
	uint8_t protocol;
	bool ipv4;
};

extern struct packet packet;

enum { EXTENSIONS = 1, TAGGED = 2, IPV6 = 4 };

// A TCP or UDP packet with this many bytes of payload and no layer-4 checksum.
void build(uint8_t protocol, uint32_t payload, unsigned int options);
// Where in layer 4 the packet's checksum is.
uint32_t checksum_offset(void);
// The one's complement sum, by the book (RFC 1071), of pseudo header and layer 4; with
// `only_pseudo`, of that alone.
uint16_t reference_sum(const uint8_t *data, bool only_pseudo);
// The mbuf is well-formed and holds the packet as it is.
void assert_same_data(const struct rte_mbuf *mbuf);

// The same at every run.
uint32_t random_below(uint32_t limit);
// A value near the edges of what is valid more often than not.
uint32_t random_near(uint32_t value, uint32_t limit);
