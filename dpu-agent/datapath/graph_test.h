// SPDX-License-Identifier: BSD-3-Clause
//
// What the tests of the graph share: the real graph, with rings in the place of devices, walked on
// the test's own thread; frames built byte by byte; and checks that do their own arithmetic, not
// DPDK's.
//
//     frame ──► ring ──► port_rx … port_tx ──► ring ──► frame

#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>

#include <rte_mbuf.h>

#include "datapath/datapath.h"
#include "datapath/datapath_port.h"
#include "datapath/drop.h"

// Slots of the ports that every test finds, and their addresses.
enum {
	UPLINK = 0,
	HOST = 1,
	POD_A = 2,
	POD_B = 3,
	POD_SMALL = 4, // has an MTU of 1280
	POD_IP4_ONLY = 5,
	TEST_PORTS = 6,
	EXTRA = 10, // free, and more after it
	SLOTS = 40,
};

#define GATEWAY4    "10.88.0.1"
#define A4          "10.88.0.10"
#define B4          "10.88.0.11"
#define SMALL4      "10.88.0.12"
#define IP4_ONLY4   "10.88.0.13"
#define NOBODY4     "10.88.0.99"
#define OUTSIDE4    "192.0.2.1"
#define GATEWAY6    "fd00:88::1"
#define A6          "fd00:88::10"
#define B6          "fd00:88::11"
#define SMALL6      "fd00:88::12"
#define NOBODY6     "fd00:88::99"
#define OUTSIDE6    "2001:db8::1"
#define LINK_LOCAL6 "fe80::a"
// On the wire: the agent, its neighbours there, and who is behind these.
#define WIRE4 "203.0.113.10"
#define PEER4 "203.0.113.20"
#define GATE4 "203.0.113.1"
#define WIRE6 "2001:db8:1::10"
#define PEER6 "2001:db8:1::20"
#define GATE6 "2001:db8:1::1"

extern const uint8_t router_mac[6];
const uint8_t *port_mac(unsigned int slot);

// ---- life ----------------------------------------------------------------------------------------

int graph_start(void **state);  // group: EAL, rings, the pool
int graph_stop(void **state);   // group
int graph_set_up(void **state); // each test: datapath and ports as above; the host's MAC is known
int graph_tear_down(void **state); // each test: nothing is left over, no mbuf is lost

// The addresses above, and routes: default by the gate, 198.51.100.0/24 and 2001:db8:f::/48 by the
// peer. For datapath_set_uplink: tests begin without one.
struct uplink graph_uplink(void);

// From the next set-up on; NULL, as at first: nothing is masqueraded.
void graph_masquerade(const struct masquerade_config *config);

// Change a port as every test finds it; also adds one in a free slot.
struct datapath_port graph_port_config(unsigned int slot);
void graph_replace_port(const struct datapath_port *config);

// ---- frames --------------------------------------------------------------------------------------

enum { FRAME_MAX = 66000 };

struct frame {
	size_t size;
	size_t l3, l4, payload; // where they begin
	uint8_t bytes[FRAME_MAX];
};

// Begin with an Ethernet header from the port's MAC to the router's; the next layer sets the type.
void frame_ether(struct frame *f, unsigned int from);
void frame_ip4(struct frame *f, const char *source, const char *destination, uint8_t protocol);
void frame_ip4_options(struct frame *f, const uint8_t *options, size_t size); // after frame_ip4
void frame_ip6(struct frame *f, const char *source, const char *destination, uint8_t protocol);
// An IPv6 extension header of 8 bytes: `type` for the header before it, `protocol` for itself.
void frame_ip6_extension(struct frame *f, uint8_t type, uint8_t protocol, uint16_t value);
void frame_udp(struct frame *f, uint16_t port);
void frame_tcp(struct frame *f, uint8_t flags, uint32_t sequence);
void frame_icmp(struct frame *f, uint8_t type, uint8_t code); // with identifier and sequence
void frame_payload(struct frame *f, size_t size);             // a pattern
void frame_append(struct frame *f, const void *bytes, size_t size);
void frame_finish(struct frame *f); // lengths and checksums, as the headers say

// Shorthand: a whole packet.
void frame_udp4(struct frame *f, unsigned int from, const char *source, const char *destination,
		size_t payload);
void frame_udp6(struct frame *f, unsigned int from, const char *source, const char *destination,
		size_t payload);
void frame_echo4(struct frame *f, unsigned int from, const char *source, const char *destination,
		 size_t payload);
void frame_echo6(struct frame *f, unsigned int from, const char *source, const char *destination,
		 size_t payload);
void frame_arp(struct frame *f, unsigned int from, uint16_t operation, const char *sender,
	       const char *target);
void frame_solicitation(struct frame *f, unsigned int from, const char *source,
			const char *destination, const char *target, bool source_mac);

// After a change of its fields.
void frame_fix_ip4(struct frame *f);   // the header's checksum
void frame_fix_icmp6(struct frame *f); // the checksum, over the payload length

uint16_t reference_sum(const void *bytes, size_t size, uint32_t start);
// Is the L4 checksum of the packet (TCP, UDP, ICMP, ICMPv6 right behind the IP header or at l4) right?
bool l4_checksum_good(const struct frame *f);

// ---- sending and looking -------------------------------------------------------------------------

// An mbuf of the frame, in segments of at most `segment` bytes; 0: as large as they go.
struct rte_mbuf *frame_to_mbuf(const struct frame *f, size_t segment);
void push(unsigned int slot, struct rte_mbuf *m); // into the port's ring
// Walk, and let the control thread's part run, until nothing comes any more.
void run(void);
void inject(unsigned int slot, const struct frame *f); // push and run
uint64_t walk_once(void);                              // how many packets were taken in
unsigned int polled_ports(void);                       // by the worker, whose thread must not run

// The next packet that came out of the port, NULL: none. The caller frees.
struct rte_mbuf *pull(unsigned int slot);
bool pull_frame(unsigned int slot, struct frame *ret_frame); // with l3, l4 and payload found
void refill_icmp_budget(unsigned int slot); // ICMP errors because of this port are allowed again
void pass_ms(uint64_t ms);                  // so much time passes for neighbours; and run
void expire_waiting(void);                  // what waits for a MAC address has waited long enough
void drain(unsigned int slot);              // free what is still in the ring into the port
void assert_nothing_out(void);              // on no port

// The one thing that happened to packets from this slot since the last look is a drop for `reason`.
#define assert_dropped(slot, reason) assert_dropped_(slot, reason, 1, __FILE__, __LINE__)
#define assert_dropped_n(slot, reason, count)                                                      \
	assert_dropped_(slot, reason, count, __FILE__, __LINE__)
void assert_dropped_(unsigned int slot, enum drop_reason reason, uint64_t count, const char *file,
		     int line);
#define assert_no_drops(slot) assert_dropped_(slot, 0, 0, __FILE__, __LINE__)

// Inject, and see it dropped without a word.
void assert_drops(unsigned int slot, const struct frame *f, enum drop_reason reason);
// Inject, and see it come out of `to` byte for byte, as a router passes it on.
void assert_forwards(unsigned int from, const struct frame *f, unsigned int to);
// The same frame, as it must look when the router has passed it on to `to`.
void frame_as_forwarded(struct frame *f, unsigned int to);
// Inject, and see it dropped for `reason` and the sender told by this ICMP error from `source`;
// value: its second word.
void assert_error4(unsigned int from, const struct frame *f, enum drop_reason reason, uint8_t type,
		   uint8_t code, uint32_t value, const char *source);
void assert_error6(unsigned int from, const struct frame *f, enum drop_reason reason, uint8_t type,
		   uint8_t code, uint32_t value, const char *source);

// The worker's real thread instead of run(): for tests under traffic.
void graph_launch_worker(void);

// From the next set-up on, the ports have Rx interrupts as simnic and NICs have them: armed by the driver's function, and
// disarmed by ringing once. push() rings.
void graph_have_interrupts(bool on);

#define GRAPH_TEST(name) cmocka_unit_test_setup_teardown(name, graph_set_up, graph_tear_down)
