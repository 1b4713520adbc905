// SPDX-License-Identifier: BSD-3-Clause
//
// See test_port.h. Only ethdev's public functions: what works here works for any application.

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>

#include "sim/simnic/test_port.h"

bool eal_start(const char *runtime_folder)
{
	static char arguments[][32] = {"test",     "--no-huge",     "-m", "256", "--no-shconf",
				       "--no-pci", "--no-telemetry"};
	unsigned int count = RTE_DIM(arguments);
	char *pointers[RTE_DIM(arguments)];

	for (unsigned int i = 0; i < count; i++)
		pointers[i] = arguments[i];
	if (runtime_folder != NULL) {
		setenv("RUNTIME_DIRECTORY", runtime_folder, 1);
		count--;
	}
	return rte_eal_init(count, pointers) >= 0;
}

void port_start(uint16_t port, struct rte_mempool *pool, enum port_shape shape, uint16_t tx_queues)
{
	struct rte_eth_conf config = {.intr_conf = {.rxq = 1, .lsc = 1, .rmv = 1}};
	struct rte_eth_dev_info info;

	assert_int_equal(rte_eth_dev_info_get(port, &info), 0);
	if (shape == PORT_OFFLOAD) {
		config.rxmode.offloads = info.rx_offload_capa;
		config.rxmode.max_lro_pkt_size = info.max_lro_pkt_size;
		config.txmode.offloads = info.tx_offload_capa;
	}
	assert_int_equal(rte_eth_dev_configure(port, 1, tx_queues, &config), 0);
	assert_int_equal(rte_eth_rx_queue_setup(port, 0, 512, SOCKET_ID_ANY, NULL, pool), 0);
	for (uint16_t i = 0; i < tx_queues; i++)
		assert_int_equal(rte_eth_tx_queue_setup(port, i, 512, SOCKET_ID_ANY, NULL), 0);
	assert_int_equal(rte_eth_dev_start(port), 0);
}

unsigned int ports_matching(const char *arguments)
{
	struct rte_dev_iterator iterator;
	unsigned int count = 0;
	uint16_t port;

	RTE_ETH_FOREACH_MATCHING_DEV (port, arguments, &iterator)
		count++;
	return count;
}

uint16_t port_of_vf(const char *device, unsigned int number)
{
	uint16_t port, found = RTE_MAX_ETHPORTS;
	struct rte_dev_iterator iterator;
	char arguments[128];

	snprintf(arguments, sizeof(arguments), "%s,representor=vf%u", device, number);
	assert_int_equal(ports_matching(arguments), 1);
	RTE_ETH_FOREACH_MATCHING_DEV (port, arguments, &iterator)
		found = port;
	return found;
}

struct rte_mbuf *port_receive(uint16_t port)
{
	struct rte_mbuf *mbuf = NULL;

	WAIT_FOR(rte_eth_rx_burst(port, 0, &mbuf, 1) == 1);
	return mbuf;
}

void port_send(uint16_t port, uint16_t queue, struct rte_mempool *pool, const void *data,
	       uint16_t size)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(pool);
	char *to;

	assert_non_null(mbuf);
	to = rte_pktmbuf_append(mbuf, size);
	assert_non_null(to);
	memcpy(to, data, size);
	WAIT_FOR(rte_eth_tx_burst(port, queue, &mbuf, 1) == 1);
}

uint64_t port_xstat(uint16_t port, const char *name)
{
	uint64_t id, value = 0;

	assert_int_equal(rte_eth_xstats_get_id_by_name(port, name, &id), 0);
	assert_int_equal(rte_eth_xstats_get_by_id(port, &id, &value, 1), 1);
	return value;
}

struct rte_eth_stats port_stats(uint16_t port)
{
	struct rte_eth_stats stats;

	assert_int_equal(rte_eth_stats_get(port, &stats), 0);
	return stats;
}

void mbuf_keep_offloads(struct rte_mbuf *mbuf)
{
	const struct rte_ether_hdr *ether = rte_pktmbuf_mtod(mbuf, const struct rte_ether_hdr *);
	const uint8_t *l3 = (const uint8_t *)(ether + 1);
	bool segment = mbuf->ol_flags & RTE_MBUF_F_RX_LRO;
	uint8_t protocol;

	if ((mbuf->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) != RTE_MBUF_F_RX_L4_CKSUM_NONE) {
		mbuf->ol_flags = 0;
		return;
	}
	mbuf->l2_len = sizeof(*ether);
	if (ether->ether_type == htons(RTE_ETHER_TYPE_IPV4)) {
		mbuf->l3_len = rte_ipv4_hdr_len((const struct rte_ipv4_hdr *)l3);
		protocol = ((const struct rte_ipv4_hdr *)l3)->next_proto_id;
		mbuf->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
	} else {
		mbuf->l3_len = sizeof(struct rte_ipv6_hdr);
		protocol = ((const struct rte_ipv6_hdr *)l3)->proto;
		mbuf->ol_flags = RTE_MBUF_F_TX_IPV6;
	}
	mbuf->ol_flags |=
		protocol == IPPROTO_TCP ? RTE_MBUF_F_TX_TCP_CKSUM : RTE_MBUF_F_TX_UDP_CKSUM;
	if (segment) {
		mbuf->l4_len =
			(((const struct rte_tcp_hdr *)(l3 + mbuf->l3_len))->data_off >> 4) * 4;
		mbuf->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
	}
}
