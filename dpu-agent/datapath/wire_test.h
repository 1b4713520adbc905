// SPDX-License-Identifier: BSD-3-Clause
//
// What the tests of the wire share: an uplink, two neighbours there, and what they say and hear.

#pragma once

#include "datapath/graph_test.h"
#include "datapath/uplink.h"

extern const uint8_t peer_mac[6], gate_mac[6];

int wire_set_up(void **state); // graph_set_up with graph_uplink(), announced
#define WIRE_TEST(name) cmocka_unit_test_setup_teardown(name, wire_set_up, graph_tear_down)

void settle(void); // let all announcements pass, and what else is on its way to the wire

// Make it a frame on the wire, from a MAC address there to the agent's.
void to_agent(struct frame *f, const uint8_t mac[6]);

// It came out of the uplink: what is expected, as the router passes it on, to this MAC address.
void assert_on_wire(const struct frame *sent, const uint8_t mac[6]);

// The question for an address came out of the uplink; `mac`: to that one alone, NULL: to all.
void assert_asked4(const char *target, const uint8_t *mac);
void assert_asked6(const char *target, const uint8_t *mac);

// A neighbour answers that.
void answer4(const char *address, const uint8_t mac[6]);
void answer6(const char *address, const uint8_t mac[6]);
// A pod's first packet to somebody behind a neighbour, who is asked for and answers; the packet comes out of the uplink then,
// for the caller to look at.
void meet(unsigned int slot, const char *pod, const char *peer, const char *next_hop,
	  const uint8_t mac[6]);
// The same without being asked, to all.
void tell4(const char *address, const uint8_t mac[6]);
void tell6(const char *address, const uint8_t mac[6]);
// An advertisement with these flags (RFC 4861 section 4.4), to `destination`, NULL: to the agent.
void advertise6(const char *address, const uint8_t mac[6], uint8_t flags, const char *destination);
