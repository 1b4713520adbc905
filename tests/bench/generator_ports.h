// SPDX-License-Identifier: BSD-3-Clause
//
// The two virtio-user ports of generator.c and handshakes.c, at the sockets of what is measured.

#pragma once

#include <err.h>
#include <stdio.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

enum {
	BURST = 32,
	DESCRIPTORS = 256, // of testpmd and Open vSwitch too
	MBUFS = 8191,
	CONNECT_MS = 20000,
	FCS = 4,
	PORTS_PER_ADDRESS =
		34000, // flows: by source port, then by destination port; within a pod's share of ports
	FIRST_PORT = 10000,
};

struct ports {
	struct rte_mempool *pool;
	uint16_t from, to;
};

static void start_port(uint16_t port, struct rte_mempool *pool)
{
	struct rte_eth_conf config = {0};

	if (rte_eth_dev_configure(port, 1, 1, &config) < 0 ||
	    rte_eth_rx_queue_setup(port, 0, DESCRIPTORS, SOCKET_ID_ANY, NULL, pool) < 0 ||
	    rte_eth_tx_queue_setup(port, 0, DESCRIPTORS, SOCKET_ID_ANY, NULL) < 0 ||
	    rte_eth_dev_start(port) < 0)
		errx(1, "port %u does not start", port);
	rte_eth_promiscuous_enable(port);
}

static void wait_for_link(uint16_t port)
{
	for (int ms = 0; ms < CONNECT_MS; ms++) {
		struct rte_eth_link link;

		if (rte_eth_link_get_nowait(port, &link) == 0 && link.link_status)
			return;
		usleep(1000);
	}
	errx(1, "port %u: nobody answers", port);
}

static uint16_t open_port(unsigned int number, const char *socket)
{
	char name[32], arguments[256];
	uint16_t port;

	snprintf(name, sizeof(name), "net_virtio_user%u", number);
	snprintf(arguments, sizeof(arguments),
		 "path=%s,queues=1,queue_size=%u,mrg_rxbuf=1,in_order=1", socket, DESCRIPTORS);
	if (rte_eal_hotplug_add("vdev", name, arguments) < 0 ||
	    rte_eth_dev_get_port_by_name(name, &port) < 0)
		errx(1, "%s: no virtio-user port", socket);
	return port;
}

// argv: FROM-SOCKET TO-SOCKET.
static struct ports ports_open(char **argv)
{
	struct ports ports = {.pool = rte_pktmbuf_pool_create("frames", MBUFS, 256, 0,
							      RTE_MBUF_DEFAULT_BUF_SIZE,
							      SOCKET_ID_ANY)};

	if (ports.pool == NULL)
		errx(1, "no memory");
	ports.from = open_port(0, argv[0]);
	ports.to = open_port(1, argv[1]);
	start_port(ports.from, ports.pool);
	start_port(ports.to, ports.pool);
	wait_for_link(ports.from);
	wait_for_link(ports.to);
	return ports;
}

static void ports_close(const struct ports *ports)
{
	rte_eth_dev_stop(ports->from);
	rte_eth_dev_stop(ports->to);
	rte_eth_dev_close(ports->from);
	rte_eth_dev_close(ports->to);
	rte_eal_cleanup();
}
