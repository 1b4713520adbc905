// SPDX-License-Identifier: BSD-3-Clause
//
// Two virtio-user ports and the packets between them, for the benchmarks of tests/bench, which build it: sends UDP over IPv4
// from the first port's socket, and counts what arrives at the second. One thread does both.
//
//     generator EAL-OPTIONS... -- FROM-SOCKET TO-SOCKET FROM-MAC TO-MAC FROM-IPV4 TO-IPV4 [OPTION]...
//
//     TO-MAC         where the first port's frames go, FROM-MAC where they come from
//     --seconds N    how long, after a short warming up
//     --flows N      so many, one after the other (default 1)
//     --size N       bytes of the frame with its FCS, 64 to 1518 (default 64), or "imix": of 12 frames 7 of 64, 4 of 594 and
//                    one of 1518
//     --rate N       packets a second, evenly; default: as many as the far side takes. And how long each was under way
//
// Prints one line of JSON: what was sent (taken by the ring), what arrived, and per second; with --rate also "latency", pairs
// of a fraction of the packets and the microseconds within which they arrived.

#include <arpa/inet.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include "generator_ports.h"

enum {
	WARM_UP_MS = 300,
	DRAIN_MS = 20,
	STEPS_PER_TENTH = 20, // points of the distribution between two powers of ten
	SAMPLES_MAX = 1 << 24,
};

static const uint16_t imix[12] = {64, 594, 64, 64, 594, 64, 1518, 64, 594, 64, 594, 64};

struct frame {
	struct rte_ether_hdr ether;
	struct rte_ipv4_hdr ip;
	struct rte_udp_hdr udp;
	uint64_t sent_tsc;
} __rte_packed __rte_aligned(2);

struct generator {
	struct frame frame;
	uint32_t flows, next_flow;
	uint16_t size; // 0: IMIX
	unsigned int next_size;
	double seconds, rate;
	uint64_t begin_tsc, end_tsc;
	uint64_t sent, received; // while it counts
	uint64_t paced;          // sent at all, of --rate
	uint32_t *cycles;        // each packet's, of --rate
	size_t cycles_count;
	struct ports ports;
};

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
	if (generator->rate > 0)
		frame->sent_tsc = rte_rdtsc();
}

static uint64_t send_burst(struct generator *generator, uint16_t count)
{
	struct rte_mbuf *mbufs[BURST];
	uint16_t sent;

	if (rte_pktmbuf_alloc_bulk(generator->ports.pool, mbufs, count) < 0)
		return 0;
	for (unsigned int i = 0; i < count; i++)
		fill(generator, mbufs[i]);
	sent = rte_eth_tx_burst(generator->ports.from, 0, mbufs, count);
	if (sent < count)
		rte_pktmbuf_free_bulk(mbufs + sent, count - sent);
	return sent;
}

static void note_latency(struct generator *generator, const struct rte_mbuf *mbuf, uint64_t now)
{
	const struct frame *frame = rte_pktmbuf_mtod(mbuf, const struct frame *);

	// What the far side says on its own is shorter, or carries no time of ours.
	if (mbuf->data_len < sizeof(*frame) || frame->ip.next_proto_id != IPPROTO_UDP ||
	    frame->sent_tsc < generator->begin_tsc || frame->sent_tsc > now ||
	    generator->cycles_count >= SAMPLES_MAX)
		return;
	generator->cycles[generator->cycles_count++] =
		(uint32_t)RTE_MIN(now - frame->sent_tsc, (uint64_t)UINT32_MAX);
}

static uint64_t receive_burst(struct generator *generator, uint16_t port)
{
	struct rte_mbuf *mbufs[BURST];
	uint16_t received = rte_eth_rx_burst(port, 0, mbufs, BURST);

	if (generator->rate > 0 && port == generator->ports.to) {
		uint64_t now = rte_rdtsc();

		for (uint16_t i = 0; i < received; i++)
			note_latency(generator, mbufs[i], now);
	}
	rte_pktmbuf_free_bulk(mbufs, received);
	return received;
}

// How many packets are due; what the ring did not take is not made up for.
static uint16_t due(struct generator *generator, uint64_t start, uint64_t now)
{
	if (generator->rate <= 0)
		return BURST;
	uint64_t wanted =
		(uint64_t)((double)(now - start) / (double)rte_get_tsc_hz() * generator->rate);
	uint64_t count = RTE_MIN(wanted - generator->paced, (uint64_t)BURST);

	generator->paced = wanted;
	return (uint16_t)count;
}

static void run(struct generator *generator)
{
	uint64_t hz = rte_get_tsc_hz(), start = rte_rdtsc(), taken, came, now;
	uint64_t drain = hz / 1000 * DRAIN_MS;

	generator->begin_tsc = start + hz / 1000 * WARM_UP_MS;
	generator->end_tsc = generator->begin_tsc + (uint64_t)(generator->seconds * (double)hz);
	while ((now = rte_rdtsc()) < generator->end_tsc) {
		uint16_t count = due(generator, start, now);

		taken = count > 0 ? send_burst(generator, count) : 0;
		came = receive_burst(generator, generator->ports.to);
		came += receive_burst(generator, generator->ports.to);
		receive_burst(generator,
			      generator->ports.from); // what the far side says on its own
		if (now >= generator->begin_tsc) {
			generator->sent += taken;
			generator->received += came;
		}
	}
	generator->seconds = (double)(rte_rdtsc() - generator->begin_tsc) / (double)hz;
	if (generator->rate <= 0)
		return;
	for (uint64_t end = rte_rdtsc() + drain; rte_rdtsc() < end;) {
		came = receive_burst(generator, generator->ports.to);
		generator->received += came;
		if (came > 0)
			end = rte_rdtsc() + drain;
	}
}

// ---- what is printed ------------------------------------------------------------------------------------

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void print_latency(const struct generator *generator)
{
	size_t count = generator->cycles_count;
	double us = 1e6 / (double)rte_get_tsc_hz();

	qsort(generator->cycles, count, sizeof(*generator->cycles), compare);
	printf(", \"latency\": [");
	for (unsigned int step = 0; count > 0; step++) {
		double fraction = 1 - pow(10, -(double)step / STEPS_PER_TENTH);
		size_t at = (size_t)(fraction * (double)count);

		if ((1 - fraction) * (double)count < 1)
			break;
		printf("%s[%.7f, %.3f]", step > 0 ? ", " : "", fraction,
		       generator->cycles[at] * us);
	}
	printf("]");
}

static void print(const struct generator *generator)
{
	printf("{\"sent\": %lu, \"received\": %lu, \"sent_per_s\": %.0f, \"received_per_s\": %.0f",
	       generator->sent, generator->received, (double)generator->sent / generator->seconds,
	       (double)generator->received / generator->seconds);
	if (generator->rate > 0)
		print_latency(generator);
	printf("}\n");
	fflush(stdout);
}

// ---- what was asked for ---------------------------------------------------------------------------------

static void parse_options(int argc, char **argv, struct generator *generator)
{
	static const struct option known[] = {
		{"seconds", required_argument, NULL, 's'},
		{"flows", required_argument, NULL, 'f'},
		{"size", required_argument, NULL, 'z'},
		{"rate", required_argument, NULL, 'r'},
		{0},
	};
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (option == 's')
			generator->seconds = strtod(optarg, NULL);
		else if (option == 'f')
			generator->flows = (uint32_t)strtoul(optarg, NULL, 10);
		else if (option == 'r')
			generator->rate = strtod(optarg, NULL);
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
	int used;

	used = rte_eal_init(argc, argv);
	if (used < 0)
		errx(1, "EAL does not start");
	parse_options(argc - used, argv + used, &generator);
	argv += used + optind;
	generator.frame = make_frame(argv);
	if (generator.rate > 0)
		generator.cycles = calloc(SAMPLES_MAX, sizeof(*generator.cycles));
	if (generator.rate > 0 && generator.cycles == NULL)
		errx(1, "no memory");
	generator.ports = ports_open(argv);
	run(&generator);
	print(&generator);
	ports_close(&generator.ports);
	free(generator.cycles);
	return 0;
}
