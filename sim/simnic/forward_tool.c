// SPDX-License-Identifier: BSD-3-Clause
//
// A minimal application of the driver, for tests and measurements: joins VFs pairwise (0-1, 2-3,
// ...) by sending what one's representor receives by the other's. Everything before "--" is EAL's.
// Says "ready" on standard output.
//
//     simnic-forward -d librte_net_simnic.so --no-huge -m 256
//             --vdev net_simnic0,card=SOCKET,representor=vf[0-1] -- [--plain] [--poll]
//
// --plain enables no offload; --poll never sleeps.

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_interrupts.h>
#include <rte_mbuf.h>

#include "sim/simnic/test_port.h"

enum { PORTS_MAX = RTE_MAX_ETHPORTS, BURST = 32, POOL_SIZE = 16384 };

static volatile sig_atomic_t stopped;
static bool plain, poll_always;
static uint16_t ports[PORTS_MAX];
static unsigned int port_count;

static void on_signal(int signal)
{
	stopped = 1;
}

static void start_port(uint16_t port, struct rte_mempool *pool)
{
	struct rte_eth_conf config = {.intr_conf.rxq = 1};
	struct rte_eth_dev_info info;

	if (rte_eth_dev_info_get(port, &info) < 0)
		rte_exit(1, "port %u: no info\n", port);
	if (!plain) {
		config.rxmode.offloads = info.rx_offload_capa;
		config.rxmode.max_lro_pkt_size = info.max_lro_pkt_size;
		config.txmode.offloads = info.tx_offload_capa;
	}
	if (rte_eth_dev_configure(port, 1, 1, &config) < 0 ||
	    rte_eth_rx_queue_setup(port, 0, 512, 0, NULL, pool) < 0 ||
	    rte_eth_tx_queue_setup(port, 0, 512, 0, NULL) < 0 || rte_eth_dev_start(port) < 0)
		rte_exit(1, "port %u: cannot start\n", port);
	if (rte_eth_dev_rx_intr_ctl_q(port, 0, RTE_EPOLL_PER_THREAD, RTE_INTR_EVENT_ADD, NULL) < 0)
		rte_exit(1, "port %u: no Rx interrupt\n", port);
}

static unsigned int forward(unsigned int from)
{
	struct rte_mbuf *mbufs[BURST];
	uint16_t count = rte_eth_rx_burst(ports[from], 0, mbufs, BURST), sent;

	for (uint16_t i = 0; i < count; i++)
		mbuf_keep_offloads(mbufs[i]);
	sent = rte_eth_tx_burst(ports[from ^ 1], 0, mbufs, count);
	rte_pktmbuf_free_bulk(mbufs + sent, count - sent);
	return count;
}

static void interrupts(bool on)
{
	for (unsigned int i = 0; i < port_count; i++) {
		if (on)
			rte_eth_dev_rx_intr_enable(ports[i], 0);
		else
			rte_eth_dev_rx_intr_disable(ports[i], 0);
	}
}

static void loop(void)
{
	struct rte_epoll_event events[8];

	while (!stopped) {
		unsigned int work = 0;

		for (unsigned int i = 0; i < port_count; i++)
			work += forward(i);
		if (work > 0 || poll_always)
			continue;
		interrupts(true);
		rte_epoll_wait_interruptible(RTE_EPOLL_PER_THREAD, events, 8, -1);
		interrupts(false);
	}
}

int main(int argc, char **argv)
{
	struct rte_mempool *pool;
	uint16_t port;
	int used;

	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	used = rte_eal_init(argc, argv);
	if (used < 0)
		rte_exit(1, "EAL does not start\n");
	for (int i = used + 1; i < argc; i++) {
		plain |= strcmp(argv[i], "--plain") == 0;
		poll_always |= strcmp(argv[i], "--poll") == 0;
	}
	pool = rte_pktmbuf_pool_create("mbufs", POOL_SIZE, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
				       SOCKET_ID_ANY);
	if (pool == NULL)
		rte_exit(1, "no memory for mbufs\n");
	RTE_ETH_FOREACH_DEV (port) {
		struct rte_eth_dev_info info;

		if (rte_eth_dev_info_get(port, &info) == 0 &&
		    (*info.dev_flags & RTE_ETH_DEV_REPRESENTOR))
			ports[port_count++] = port;
	}
	port_count &= ~1U;
	if (port_count == 0)
		rte_exit(1, "no pair of representors\n");
	for (unsigned int i = 0; i < port_count; i++)
		start_port(ports[i], pool);
	puts("ready");
	fflush(stdout);
	loop();
	for (unsigned int i = 0; i < port_count; i++) {
		struct rte_eth_stats stats;

		rte_eth_stats_get(ports[i], &stats);
		printf("port=%u rx=%lu tx=%lu missed=%lu nombuf=%lu ierrors=%lu oerrors=%lu\n",
		       ports[i], stats.ipackets, stats.opackets, stats.imissed, stats.rx_nombuf,
		       stats.ierrors, stats.oerrors);
		rte_eth_dev_stop(ports[i]);
		rte_eth_dev_close(ports[i]);
	}
	rte_eal_cleanup();
	return 0;
}
