// SPDX-License-Identifier: BSD-3-Clause
//
// Numbered frames into netdevs and out of netdevs and ports, for tests of rules. For one file per program.

#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include "sim/simnic/test_device.h"

static int sockets[PORTS];

// Ports started, netdevs up, a raw socket on each.
static inline void begin(void)
{
	start_all(PORT_PLAIN);
	all_up();
	for (unsigned int i = 0; i < PORTS; i++)
		sockets[i] = netns_packet_socket(0, netdevs[i]);
}

static inline void end(void)
{
	for (unsigned int i = 0; i < PORTS; i++)
		close(sockets[i]);
}

// A frame out of a function.
static inline void send_frame(unsigned int from, uint32_t number)
{
	uint8_t frame[100];

	assert_int_equal(send(sockets[from], frame, make_frame(frame, sizeof(frame), number), 0),
			 sizeof(frame));
}

// The next frame that a function gets has this number.
static inline void expect_at_function(unsigned int at, uint32_t number)
{
	uint8_t sent[100], received[300];

	make_frame(sent, sizeof(sent), number);
	WAIT_FOR(read_ours(sockets[at], received, sizeof(received)) == sizeof(sent));
	assert_memory_equal(received, sent, sizeof(sent));
}

static inline void expect_at_port(unsigned int at, uint32_t number)
{
	struct rte_mbuf *mbuf = receive_ours(ports[at]);
	uint8_t sent[100];

	make_frame(sent, sizeof(sent), number);
	assert_int_equal(mbuf->pkt_len, sizeof(sent));
	assert_memory_equal(rte_pktmbuf_mtod(mbuf, uint8_t *), sent, sizeof(sent));
	rte_pktmbuf_free(mbuf);
}

// Nobody has got anything of ours that was not asked for.
static inline void expect_nothing_else(void)
{
	uint8_t frame[300];

	for (unsigned int i = 0; i < PORTS; i++) {
		assert_int_equal(read_ours(sockets[i], frame, sizeof(frame)), -1);
		assert_int_equal(count_ours(ports[i]), 0);
	}
}
