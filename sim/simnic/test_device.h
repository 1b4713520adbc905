// SPDX-License-Identifier: BSD-3-Clause
//
// A device for each test of the driver: four VFs with all representors, and a card in this process.

#pragma once

#include <sys/types.h>

#include "sim/simnic/test_port.h"

#define DEVICE "net_simnic0"

enum { PORTS = 6, UPLINK = 4, PF = 5, VF_OF_PF = 65535 };

extern struct rte_mempool *pool;
extern uint16_t ports[PORTS]; // VFs 0..3, the uplink, the PF
extern const char *const netdevs[PORTS];
extern char folder[];                // for files, and EAL's
extern const char *device_arguments; // more of them, for probe()

// In a fresh netns, with EAL: run the tests. The result is main's.
int device_tests_run(const struct CMUnitTest *tests, size_t count);

// Set-up and teardown of a test; the latter fails if anything is left.
int probe(void **state);
int remove_device(void **state);
#define TEST(name) cmocka_unit_test_setup_teardown(name, probe, remove_device)

// Fill in ports[] of the device that was probed.
void find_ports(void);
void start_all(enum port_shape shape);
void all_up(void);

// An Ethernet frame with a type of its own, so that it is not taken for one of the kernel's.
uint16_t make_frame(uint8_t *frame, uint16_t size, uint32_t number);
bool is_ours(const struct rte_mbuf *mbuf);
// The next frame of ours at a port; the kernel's own chatter is thrown away.
struct rte_mbuf *receive_ours(uint16_t port);
// How many of ours wait at a port; all are thrown away.
unsigned int count_ours(uint16_t port);
// The next frame of ours at a netdev; -1.
ssize_t read_ours(int packet, uint8_t *frame, size_t size);
bool link_is_up(uint16_t port);

// What EAL's telemetry answers; good until the next question.
const char *telemetry_ask(const char *format, ...) __attribute__((format(printf, 1, 2)));
