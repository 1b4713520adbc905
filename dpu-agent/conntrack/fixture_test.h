// SPDX-License-Identifier: BSD-3-Clause
//
// What the tests of connection tracking share: packets of bytes with true checksums, a table, and
// sending a packet through it as the graph does.

#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conntrack/conntrack.h"

enum { PACKET_MAX = 2048 };

struct test_packet {
	uint8_t bytes[PACKET_MAX];
	uint32_t size;
};

// Text of either family.
union conntrack_address test_address(const char *text);

// An endpoint of a packet: address and port, or identifier.
struct test_end {
	const char *address;
	uint16_t port;
};

struct test_tcp {
	uint8_t flags;
	uint32_t sequence, acknowledgement;
	uint16_t window;
	int scale; // -1: no option
	uint16_t payload;
};

void make_tcp(struct test_packet *packet, struct test_end from, struct test_end to,
	      const struct test_tcp *tcp);
void make_udp(struct test_packet *packet, struct test_end from, struct test_end to,
	      uint16_t payload);
// Of a request the identifier is from.port, of a reply to.port; the other one is 0.
void make_echo(struct test_packet *packet, struct test_end from, struct test_end to,
	       uint16_t payload);
// Unreachable, about the first `quoted` bytes of `about`.
void make_error(struct test_packet *packet, const char *from, const char *to,
		const struct test_packet *about, uint32_t quoted);
// The piece of a packet without extension headers that begins `offset` bytes into its payload.
void make_fragment(struct test_packet *piece, const struct test_packet *whole, uint32_t id,
		   uint32_t offset, uint32_t size);

// Recompute whatever checksums a packet has, after it was changed by hand.
void fix_checksums(struct test_packet *packet);
// Of IP, of layer 4, and of what an ICMP error quotes, as far as that is whole.
void assert_checksums(const struct test_packet *packet);
// Who speaks with whom in it.
void assert_ends(const struct test_packet *packet, struct test_end from, struct test_end to);

// EAL for all tests of a program, and a table for each: pods 0..7, 10.0.0.N and fd00::N; external addresses
// EXTERNAL4 in pool 0 and EXTERNAL6 in pool 1.
#define EXTERNAL4 "192.0.2.10"
#define EXTERNAL6 "2001:db8::10"
enum { PODS = 8 };
extern struct conntrack *table;
extern struct conntrack_config test_config; // for the next new_table(); reset by table_setup()
extern uint32_t test_now_s;
extern unsigned int discarded;

int eal_setup(void **state);
int eal_teardown(void **state);
int table_setup(void **state);
int table_teardown(void **state); // checks the table before
void new_table(void);

void pass_time(uint32_t seconds);

// Through the table; the packet is rewritten if it passes. Not for held ones.
enum conntrack_verdict send_out(uint32_t pod, struct test_packet *packet);
enum conntrack_verdict send_in(struct test_packet *packet, uint32_t *ret_pod);
// What the table said of the last one that passed.
extern struct conntrack_rewrite last_rewrite;

// The pod speaks to the peer by UDP; returns the external port, 0 if it may not.
uint16_t speak_udp(uint32_t pod, uint16_t port, struct test_end peer);
const char *state_of(struct test_end pod, struct test_end peer); // "none": there is no connection
