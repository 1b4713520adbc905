// SPDX-License-Identifier: BSD-3-Clause
//
// Two virtio-user ports and the packets between them, for the benchmarks of tests/bench, which build it: sends UDP over IPv4
// from the first port's socket as fast as the far side takes it, and counts what arrives at the second. One thread does both.
//
//     generator EAL-OPTIONS... -- FROM-SOCKET TO-SOCKET FROM-MAC TO-MAC FROM-IPV4 TO-IPV4 [OPTION]...
//
//     TO-MAC         where the first port's frames go, FROM-MAC where they come from
//     --seconds N    how long, after a short warming up
//     --flows N      so many, one after the other (default 1)
//     --size N       bytes of the frame with its FCS, 64 to 1518 (default 64), or "imix": of 12 frames 7 of 64, 4 of 594 and
//                    one of 1518
//
// Prints one line of JSON: what was sent (taken by the ring), what arrived, and per second.

#include <arpa/inet.h>
#include <err.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_udp.h>

enum {
	BURST = 32,
	DESCRIPTORS = 256, // of testpmd and Open vSwitch too
	MBUFS = 8191,
	FCS = 4,
	WARM_UP_MS = 300,
	CONNECT_MS = 20000,
	PORTS_PER_ADDRESS = 50000,
	FIRST_PORT = 10000,
};

static const uint16_t imix[12] = {64, 594, 64, 64, 594, 64, 1518, 64, 594, 64, 594, 64};

struct frame {
	struct rte_ether_hdr ether;
	struct rte_ipv4_hdr ip;
	struct rte_udp_hdr udp;
} __rte_packed __rte_aligned(2);

struct generator {
	struct frame frame;
	uint32_t flows, next_flow;
	uint16_t size; // 0: IMIX
	unsigned int next_size;
	double seconds;
	struct rte_mempool *pool;
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

static struct frame make_frame(char **argv)
{
	struct frame frame = {
		.ether.ether_type = htons(RTE_ETHER_TYPE_IPV4),
		.ip = {.version_ihl = 0x45, .time_to_live = 64, .next_proto_id = IPPROTO_UDP},
		.udp.dst_port = htons(9),
	};

	if (rte_ether_unformat_addr(argv[2], &frame.ether.src_addr) < 0 ||
	    rte_ether_unformat_addr(argv[3], &frame.ether.dst_addr) < 0)
		errx(1, "%s, %s: no MAC addresses", argv[2], argv[3]);
	if (inet_pton(AF_INET, argv[4], &frame.ip.src_addr) != 1 ||
	    inet_pton(AF_INET, argv[5], &frame.ip.dst_addr) != 1)
		errx(1, "%s, %s: no IPv4 addresses", argv[4], argv[5]);
	return frame;
}

static void fill(struct generator *generator, struct rte_mbuf *mbuf)
{
	uint16_t size = generator->size != 0 ? generator->size : imix[generator->next_size];
	uint32_t flow = generator->next_flow;
	struct frame *frame;

	generator->next_size =
		generator->next_size + 1 < RTE_DIM(imix) ? generator->next_size + 1 : 0;
	generator->next_flow = flow + 1 < generator->flows ? flow + 1 : 0;
	size -= FCS;
	mbuf->data_len = size;
	mbuf->pkt_len = size;
	frame = rte_pktmbuf_mtod(mbuf, struct frame *);
	*frame = generator->frame;
	size -= sizeof(struct rte_ether_hdr);
	frame->ip.total_length = htons(size);
	frame->ip.hdr_checksum = rte_ipv4_cksum(&frame->ip);
	frame->udp.dgram_len = htons((uint16_t)(size - sizeof(struct rte_ipv4_hdr)));
	frame->udp.src_port = htons((uint16_t)(FIRST_PORT + flow % PORTS_PER_ADDRESS));
	frame->udp.dst_port = htons((uint16_t)(FIRST_PORT + flow / PORTS_PER_ADDRESS));
}

static uint64_t send_burst(struct generator *generator, uint16_t port)
{
	struct rte_mbuf *mbufs[BURST];
	uint16_t sent;

	if (rte_pktmbuf_alloc_bulk(generator->pool, mbufs, BURST) < 0)
		return 0;
	for (unsigned int i = 0; i < BURST; i++)
		fill(generator, mbufs[i]);
	sent = rte_eth_tx_burst(port, 0, mbufs, BURST);
	if (sent < BURST)
		rte_pktmbuf_free_bulk(mbufs + sent, BURST - sent);
	return sent;
}

static uint64_t receive_burst(uint16_t port)
{
	struct rte_mbuf *mbufs[BURST];
	uint16_t received = rte_eth_rx_burst(port, 0, mbufs, BURST);

	rte_pktmbuf_free_bulk(mbufs, received);
	return received;
}

static void run(struct generator *generator, uint16_t from, uint16_t to)
{
	uint64_t begin = rte_rdtsc() + rte_get_tsc_hz() / 1000 * WARM_UP_MS;
	uint64_t end = begin + (uint64_t)(generator->seconds * (double)rte_get_tsc_hz());
	uint64_t sent = 0, received = 0, taken, came, now;

	while ((now = rte_rdtsc()) < end) {
		taken = send_burst(generator, from);
		came = receive_burst(to) + receive_burst(to);
		receive_burst(from); // what the far side says on its own
		if (now >= begin) {
			sent += taken;
			received += came;
		}
	}
	printf("{\"sent\": %lu, \"received\": %lu, \"sent_per_s\": %.0f, \"received_per_s\": "
	       "%.0f}\n",
	       sent, received, (double)sent / generator->seconds,
	       (double)received / generator->seconds);
}

static void parse_options(int argc, char **argv, struct generator *generator)
{
	static const struct option known[] = {
		{"seconds", required_argument, NULL, 's'},
		{"flows", required_argument, NULL, 'f'},
		{"size", required_argument, NULL, 'z'},
		{0},
	};
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (option == 's')
			generator->seconds = strtod(optarg, NULL);
		else if (option == 'f')
			generator->flows = (uint32_t)strtoul(optarg, NULL, 10);
		else if (option == 'z')
			generator->size = strcmp(optarg, "imix") == 0
						  ? 0
						  : (uint16_t)strtoul(optarg, NULL, 10);
		else
			exit(1);
	}
	if (argc - optind != 6 || generator->flows == 0 || generator->seconds <= 0)
		errx(1, "usage: see the head of generator.c");
}

int main(int argc, char **argv)
{
	struct generator generator = {.flows = 1, .size = 64};
	uint16_t from, to;
	int used;

	used = rte_eal_init(argc, argv);
	if (used < 0)
		errx(1, "EAL does not start");
	parse_options(argc - used, argv + used, &generator);
	argv += used + optind;
	generator.frame = make_frame(argv);
	generator.pool = rte_pktmbuf_pool_create("frames", MBUFS, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
						 SOCKET_ID_ANY);
	if (generator.pool == NULL)
		errx(1, "no memory");
	from = open_port(0, argv[0]);
	to = open_port(1, argv[1]);
	start_port(from, generator.pool);
	start_port(to, generator.pool);
	wait_for_link(from);
	wait_for_link(to);
	run(&generator, from, to);
	fflush(stdout);
	rte_eth_dev_stop(from);
	rte_eth_dev_stop(to);
	rte_eth_dev_close(from);
	rte_eth_dev_close(to);
	rte_eal_cleanup();
	return 0;
}
