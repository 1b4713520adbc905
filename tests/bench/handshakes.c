// SPDX-License-Identifier: BSD-3-Clause
//
// TCP connections from the first virtio-user port to the second, one after the other as fast as they can be made, for
// tests/bench, which builds it. Both ends are this program: SYN, SYN with ACK, ACK, each by way of what is measured.
//
//     handshakes EAL-OPTIONS... -- FROM-SOCKET TO-SOCKET FROM-MAC TO-MAC FROM-IPV4 TO-IPV4 COUNT IN-FLIGHT
//
//     COUNT        connections, each with ports of its own, at most 34,000 for each of the three destination ports
//     IN-FLIGHT    so many are being made at once
//
// Prints one line of JSON: how many were begun and how many made, in how many seconds, and how many of each kind of frame
// arrived. What is lost is not sent again: a connection that takes longer than GIVE_UP_MS is not made.

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_ip.h>
#include <rte_tcp.h>

#include "generator_ports.h"

enum {
	FRAME = 60,
	GIVE_UP_MS = 200,
	FIRST_TRIES = 20,
	CLIENT_SEQUENCE = 1000,
	SERVER_SEQUENCE = 5000
};

struct frame {
	struct rte_ether_hdr ether;
	struct rte_ipv4_hdr ip;
	struct rte_tcp_hdr tcp;
} __rte_packed __rte_aligned(2);

static struct ports ports;
static struct frame syn;
static uint64_t begun, made, syns, answers;
static uint64_t used; // connections before those that count: their ports are taken

static void parse_ends(char **argv)
{
	syn.ether.ether_type = htons(RTE_ETHER_TYPE_IPV4);
	syn.ip = (struct rte_ipv4_hdr){.version_ihl = 0x45,
				       .time_to_live = 64,
				       .total_length = htons(sizeof(syn.ip) + sizeof(syn.tcp)),
				       .next_proto_id = IPPROTO_TCP};
	syn.tcp = (struct rte_tcp_hdr){.sent_seq = htonl(CLIENT_SEQUENCE),
				       .data_off = sizeof(syn.tcp) / 4 << 4,
				       .tcp_flags = RTE_TCP_SYN_FLAG,
				       .rx_win = htons(UINT16_MAX)};
	if (rte_ether_unformat_addr(argv[2], &syn.ether.src_addr) < 0 ||
	    rte_ether_unformat_addr(argv[3], &syn.ether.dst_addr) < 0 ||
	    inet_pton(AF_INET, argv[4], &syn.ip.src_addr) != 1 ||
	    inet_pton(AF_INET, argv[5], &syn.ip.dst_addr) != 1)
		errx(1, "these are no MAC and IPv4 addresses");
}

static void checksums(struct frame *frame)
{
	frame->ip.hdr_checksum = 0;
	frame->tcp.cksum = 0;
	frame->ip.hdr_checksum = rte_ipv4_cksum(&frame->ip);
	frame->tcp.cksum = rte_ipv4_udptcp_cksum(&frame->ip, &frame->tcp);
}

static void make_syn(struct rte_mbuf *mbuf)
{
	struct frame *frame = rte_pktmbuf_mtod(mbuf, struct frame *);
	uint64_t number = used + begun;

	memset(frame, 0, FRAME);
	*frame = syn;
	frame->tcp.src_port = htons((uint16_t)(FIRST_PORT + number % PORTS_PER_ADDRESS));
	frame->tcp.dst_port = htons((uint16_t)(FIRST_PORT + number / PORTS_PER_ADDRESS));
	checksums(frame);
	mbuf->data_len = FRAME;
	mbuf->pkt_len = FRAME;
	begun++;
}

// From whom it came, to whom it was for: the answer to a frame, in its place.
static void turn_round(struct frame *frame, uint8_t flags, uint32_t sequence)
{
	struct frame old = *frame;

	frame->ether.src_addr = old.ether.dst_addr;
	frame->ether.dst_addr = old.ether.src_addr;
	frame->ip.src_addr = old.ip.dst_addr;
	frame->ip.dst_addr = old.ip.src_addr;
	frame->ip.time_to_live = 64;
	frame->tcp.src_port = old.tcp.dst_port;
	frame->tcp.dst_port = old.tcp.src_port;
	frame->tcp.tcp_flags = flags;
	frame->tcp.sent_seq = htonl(sequence);
	frame->tcp.recv_ack = htonl(ntohl(old.tcp.sent_seq) + 1);
	checksums(frame);
}

// True if the frame is now one to be sent.
static bool serve(struct frame *frame)
{
	if (frame->tcp.tcp_flags == RTE_TCP_SYN_FLAG) {
		syns++;
		turn_round(frame, RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG, SERVER_SEQUENCE);
		return true;
	}
	made += frame->tcp.tcp_flags == RTE_TCP_ACK_FLAG;
	return false;
}

static bool conclude(struct frame *frame)
{
	if (frame->tcp.tcp_flags != (RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG))
		return false;
	answers++;
	turn_round(frame, RTE_TCP_ACK_FLAG, CLIENT_SEQUENCE + 1);
	return true;
}

static void send_all(uint16_t port, struct rte_mbuf **mbufs, uint16_t count)
{
	uint16_t sent = rte_eth_tx_burst(port, 0, mbufs, count);

	if (sent < count)
		rte_pktmbuf_free_bulk(mbufs + sent, count - sent);
}

static void answer(uint16_t port, bool (*act)(struct frame *))
{
	struct rte_mbuf *received[BURST], *answers_to[BURST];
	uint16_t count = rte_eth_rx_burst(port, 0, received, BURST), kept = 0;

	for (uint16_t i = 0; i < count; i++) {
		struct frame *frame = rte_pktmbuf_mtod(received[i], struct frame *);

		if (received[i]->data_len >= sizeof(*frame) &&
		    frame->ether.ether_type == htons(RTE_ETHER_TYPE_IPV4) &&
		    frame->ip.next_proto_id == IPPROTO_TCP && act(frame))
			answers_to[kept++] = received[i];
		else
			rte_pktmbuf_free(received[i]);
	}
	send_all(port, answers_to, kept);
}

static void begin_some(uint16_t count)
{
	struct rte_mbuf *mbufs[BURST];

	if (count == 0 || rte_pktmbuf_alloc_bulk(ports.pool, mbufs, count) < 0)
		return;
	for (uint16_t i = 0; i < count; i++)
		make_syn(mbufs[i]);
	send_all(ports.from, mbufs, count);
}

// The first one alone, so that the far side has made up its mind about such packets before time is taken.
static void make_first(void)
{
	for (int tries = 0; made == 0 && tries < FIRST_TRIES; tries++) {
		uint64_t end = rte_rdtsc() + rte_get_tsc_hz() / 1000 * GIVE_UP_MS;

		begin_some(1);
		while (made == 0 && rte_rdtsc() < end) {
			answer(ports.to, serve);
			answer(ports.from, conclude);
		}
	}
	if (made == 0)
		errx(1, "not one connection can be made");
	used = begun;
	begun = made = syns = answers = 0;
}

static double run(uint64_t wanted, uint64_t in_flight)
{
	uint64_t hz = rte_get_tsc_hz(), start = rte_rdtsc(), last = start, now, lost = 0;

	while ((now = rte_rdtsc()) - last < hz / 1000 * GIVE_UP_MS) {
		uint64_t before = made;

		answer(ports.to, serve);
		answer(ports.from, conclude);
		if (made > before)
			last = now;
		else if (begun < wanted && now - last > hz / 1000 * GIVE_UP_MS / 2)
			lost = begun - made; // nothing comes any more: go on without these
		if (made + lost >= wanted)
			break;
		uint64_t under_way = begun - RTE_MIN(made + lost, begun);
		if (under_way < in_flight)
			begin_some((uint16_t)RTE_MIN(RTE_MIN(in_flight - under_way, wanted - begun),
						     (uint64_t)BURST));
	}
	return (double)(last - start) / (double)hz;
}

int main(int argc, char **argv)
{
	int options = rte_eal_init(argc, argv);
	double seconds;

	if (options < 0 || argc - options != 9)
		errx(1, "usage: see the head of handshakes.c");
	argv += options + 1;
	parse_ends(argv);
	ports = ports_open(argv);
	usleep(100000); // until the far side has taken both rings
	make_first();
	seconds = run(strtoul(argv[6], NULL, 10), strtoul(argv[7], NULL, 10));
	printf("{\"begun\": %lu, \"made\": %lu, \"seconds\": %.6f, \"syns\": %lu, \"answers\": "
	       "%lu}\n",
	       begun, made, seconds, syns, answers);
	fflush(stdout);
	ports_close(&ports);
	return 0;
}
