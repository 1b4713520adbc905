// SPDX-License-Identifier: BSD-3-Clause

#include "conntrack/fixture_test.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_eal.h>
#include <rte_memory.h>

struct conntrack *table;
struct conntrack_config test_config;
struct conntrack_rewrite last_rewrite;
uint32_t test_now_s;
unsigned int discarded;

union conntrack_address test_address(const char *text)
{
	union conntrack_address address = {0};

	assert_int_equal(1,
			 inet_pton(strchr(text, ':') != NULL ? AF_INET6 : AF_INET, text, &address));
	return address;
}

static void put16(uint8_t *p, uint32_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static void put32(uint8_t *p, uint32_t value)
{
	put16(p, value >> 16);
	put16(p + 2, value);
}

static uint32_t get16(const uint8_t *p)
{
	return (uint32_t)(p[0] << 8 | p[1]);
}

// ---- checksums: the slow and simple way ----------------------------------------------------------

static uint32_t sum(const uint8_t *p, uint32_t size, uint32_t start)
{
	for (uint32_t i = 0; i < size; i++)
		start += i % 2 == 0 ? (uint32_t)p[i] << 8 : p[i];
	while (start >> 16)
		start = (start & 0xffff) + (start >> 16);
	return start;
}

static bool is4(const uint8_t *p)
{
	return p[0] >> 4 == 4;
}

static uint32_t header_size(const uint8_t *p)
{
	if (is4(p))
		return (p[0] & 15u) * 4;
	return p[6] == IPPROTO_FRAGMENT ? 48 : 40;
}

static uint32_t packet_size(const uint8_t *p)
{
	return is4(p) ? get16(p + 2) : 40 + get16(p + 4);
}

static uint8_t protocol(const uint8_t *p)
{
	return is4(p) ? p[9] : p[6] == IPPROTO_FRAGMENT ? p[40] : p[6];
}

static bool is_fragment(const uint8_t *p)
{
	return is4(p) ? (get16(p + 6) & 0x3fff) != 0 : p[6] == IPPROTO_FRAGMENT;
}

static uint32_t sum_l4(const uint8_t *p)
{
	uint32_t size = packet_size(p) - header_size(p), pseudo = 0;

	if (protocol(p) != IPPROTO_ICMP)
		pseudo = sum(p + (is4(p) ? 12 : 8), is4(p) ? 8 : 32, protocol(p) + size);
	return sum(p + header_size(p), size, pseudo);
}

static uint8_t *l4_checksum(uint8_t *p)
{
	uint8_t *l4 = p + header_size(p);

	return l4 + (protocol(p) == IPPROTO_TCP ? 16 : protocol(p) == IPPROTO_UDP ? 6 : 2);
}

static bool is_icmp_error(const uint8_t *p)
{
	const uint8_t *l4 = p + header_size(p);

	return (protocol(p) == IPPROTO_ICMP && l4[0] == 3) ||
	       (protocol(p) == IPPROTO_ICMPV6 && l4[0] == 1);
}

void fix_checksums(struct test_packet *packet)
{
	uint8_t *p = packet->bytes;

	if (is4(p)) {
		put16(p + 10, 0);
		put16(p + 10, ~sum(p, header_size(p), 0));
	}
	if (is_fragment(p))
		return;
	put16(l4_checksum(p), 0);
	uint32_t value = ~sum_l4(p) & 0xffff;
	put16(l4_checksum(p), value == 0 && protocol(p) == IPPROTO_UDP ? 0xffff : value);
}

static void assert_checksums_of(const uint8_t *p, uint32_t available)
{
	uint8_t copy[PACKET_MAX];

	if (is4(p))
		assert_int_equal(0xffff, sum(p, header_size(p), 0));
	if (packet_size(p) > available || is_fragment(p))
		return;
	memcpy(copy, p, available);
	if (protocol(p) == IPPROTO_UDP && is4(p) && get16(l4_checksum(copy)) == 0)
		return;
	assert_int_equal(0xffff, sum_l4(p));
	if (is_icmp_error(p))
		assert_checksums_of(p + header_size(p) + 8, available - header_size(p) - 8);
}

void assert_checksums(const struct test_packet *packet)
{
	assert_checksums_of(packet->bytes, packet->size);
}

// ---- packets -------------------------------------------------------------------------------------

static uint8_t *make_ip(struct test_packet *packet, const char *from, const char *to,
			uint8_t next_protocol, uint32_t size)
{
	union conntrack_address source = test_address(from), destination = test_address(to);
	uint8_t *p = packet->bytes;
	bool ipv4 = strchr(from, ':') == NULL;
	uint32_t header = ipv4 ? 20 : 40;

	memset(packet, 0, sizeof(*packet));
	packet->size = header + size;
	assert_true(packet->size <= PACKET_MAX);
	p[0] = ipv4 ? 0x45 : 0x60;
	if (ipv4) {
		put16(p + 2, packet->size);
		put16(p + 4, 0x1234);
		p[8] = 64;
		p[9] = next_protocol;
		memcpy(p + 12, &source, 4);
		memcpy(p + 16, &destination, 4);
	} else {
		put16(p + 4, size);
		p[6] = next_protocol;
		p[7] = 64;
		memcpy(p + 8, &source, 16);
		memcpy(p + 24, &destination, 16);
	}
	for (uint32_t i = 0; i < size; i++)
		p[header + i] = (uint8_t)(i * 7 + 3);
	return p + header;
}

void make_tcp(struct test_packet *packet, struct test_end from, struct test_end to,
	      const struct test_tcp *tcp)
{
	uint32_t header = tcp->scale >= 0 ? 24 : 20;
	uint8_t *p = make_ip(packet, from.address, to.address, IPPROTO_TCP, header + tcp->payload);

	put16(p, from.port);
	put16(p + 2, to.port);
	put32(p + 4, tcp->sequence);
	put32(p + 8, tcp->acknowledgement);
	put16(p + 12, header / 4 << 12 | tcp->flags);
	put16(p + 14, tcp->window);
	put16(p + 18, 0);
	if (tcp->scale >= 0)
		put32(p + 20, 0x01030300u | (uint32_t)tcp->scale);
	fix_checksums(packet);
}

void make_udp(struct test_packet *packet, struct test_end from, struct test_end to,
	      uint16_t payload)
{
	uint8_t *p = make_ip(packet, from.address, to.address, IPPROTO_UDP, 8u + payload);

	put16(p, from.port);
	put16(p + 2, to.port);
	put16(p + 4, 8u + payload);
	fix_checksums(packet);
}

void make_echo(struct test_packet *packet, struct test_end from, struct test_end to,
	       uint16_t payload)
{
	bool ipv4 = strchr(from.address, ':') == NULL;
	uint8_t *p = make_ip(packet, from.address, to.address, ipv4 ? IPPROTO_ICMP : IPPROTO_ICMPV6,
			     8u + payload);

	p[0] = ipv4 ? (from.port != 0 ? 8 : 0) : (from.port != 0 ? 128 : 129);
	p[1] = 0;
	put16(p + 4, from.port | to.port);
	put16(p + 6, 1);
	fix_checksums(packet);
}

void make_error(struct test_packet *packet, const char *from, const char *to,
		const struct test_packet *about, uint32_t quoted)
{
	bool ipv4 = strchr(from, ':') == NULL;
	uint8_t *p = make_ip(packet, from, to, ipv4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, 8 + quoted);

	p[0] = ipv4 ? 3 : 1;
	p[1] = ipv4 ? 3 : 4;
	put32(p + 4, 0);
	memcpy(p + 8, about->bytes, quoted);
	fix_checksums(packet);
}

void make_fragment(struct test_packet *piece, const struct test_packet *whole, uint32_t id,
		   uint32_t offset, uint32_t size)
{
	const uint8_t *from = whole->bytes;
	bool ipv4 = is4(from);
	uint32_t header = ipv4 ? 20 : 48, base = ipv4 ? 20 : 40;
	bool more = base + offset + size < whole->size;
	uint8_t *p = piece->bytes;

	memset(piece, 0, sizeof(*piece));
	memcpy(p, from, base);
	memcpy(p + header, from + base + offset, size);
	piece->size = header + size;
	if (ipv4) {
		put16(p + 2, piece->size);
		put16(p + 4, id);
		put16(p + 6, offset / 8 | (more ? 0x2000 : 0));
	} else {
		put16(p + 4, 8 + size);
		p[40] = p[6];
		p[6] = IPPROTO_FRAGMENT;
		put16(p + 42, offset | more);
		put32(p + 44, id);
	}
	fix_checksums(piece);
}

void assert_ends(const struct test_packet *packet, struct test_end from, struct test_end to)
{
	struct conntrack_packet parsed;
	union conntrack_address source = test_address(from.address);
	union conntrack_address destination = test_address(to.address);

	assert_int_equal(
		0, conntrack_packet_parse(packet->bytes, packet->size, packet->size, &parsed));
	assert_memory_equal(&source, &parsed.tuple.source, sizeof(source));
	assert_memory_equal(&destination, &parsed.tuple.destination, sizeof(destination));
	assert_int_equal(from.port, rte_be_to_cpu_16(parsed.tuple.source_port));
	assert_int_equal(to.port, rte_be_to_cpu_16(parsed.tuple.destination_port));
}

// ---- table ---------------------------------------------------------------------------------------

int eal_setup(void **state)
{
	char prefix[64];
	char *arguments[] = {(char[]){"test"},
			     (char[]){"--no-huge"},
			     (char[]){"--no-shconf"},
			     (char[]){"--no-pci"},
			     (char[]){"-m"},
			     (char[]){"128"},
			     (char[]){"--lcores=0"},
			     (char[]){"--log-level=4"},
			     (char[]){"--no-telemetry"},
			     prefix};

	snprintf(prefix, sizeof(prefix), "--file-prefix=conntrack_test_%d", getpid());
	return rte_eal_init(RTE_DIM(arguments), arguments) < 0 ? -1 : 0;
}

int eal_teardown(void **state)
{
	return rte_eal_cleanup();
}

static void discard(void *packet)
{
	discarded++;
}

void new_table(void)
{
	union conntrack_address external4 = test_address(EXTERNAL4);
	union conntrack_address external6 = test_address(EXTERNAL6);

	conntrack_free(table);
	table = conntrack_new(&test_config, SOCKET_ID_ANY, test_now_s);
	assert_non_null(table);
	conntrack_set_address(table, 0, 4, &external4);
	conntrack_set_address(table, 1, 6, &external6);
	conntrack_advance(table, test_now_s, UINT16_MAX);
}

int table_setup(void **state)
{
	test_config = (struct conntrack_config){
		.connections = 1024,
		.pods = PODS,
		.first_port = 1024,
		.last_port = UINT16_MAX,
		.first_identifier = 1024,
		.last_identifier = UINT16_MAX,
		.pick_up = true,
		.timeouts = conntrack_default_timeouts,
		.fragmented = 64,
		.held = 16,
		.discard = discard,
	};
	test_now_s = UINT32_MAX - 100; // time goes through its wrap in every test that waits
	discarded = 0;
	new_table();
	return 0;
}

int table_teardown(void **state)
{
	conntrack_check(table);
	conntrack_free(table);
	table = NULL;
	return 0;
}

void pass_time(uint32_t seconds)
{
	test_now_s += seconds;
	while (conntrack_advance(table, test_now_s, 64))
		;
	conntrack_check(table);
}

static void parse(const struct test_packet *packet, struct conntrack_packet *ret_parsed)
{
	assert_int_equal(
		0, conntrack_packet_parse(packet->bytes, packet->size, packet->size, ret_parsed));
}

enum conntrack_verdict send_out(uint32_t pod, struct test_packet *packet)
{
	struct conntrack_rewrite rewrite;
	struct conntrack_packet parsed;

	parse(packet, &parsed);
	enum conntrack_verdict verdict =
		conntrack_out(table, pod, parsed.tuple.family == 4 ? 0 : 1, &parsed, &rewrite);
	if (verdict == CONNTRACK_PASS)
		conntrack_packet_rewrite(packet->bytes, &parsed, &rewrite.to, &rewrite.quote,
					 false);
	if (verdict == CONNTRACK_PASS)
		last_rewrite = rewrite;
	assert_checksums(packet);
	return verdict;
}

enum conntrack_verdict send_in(struct test_packet *packet, uint32_t *ret_pod)
{
	struct conntrack_rewrite rewrite;
	struct conntrack_packet parsed;

	parse(packet, &parsed);
	enum conntrack_verdict verdict = conntrack_in(table, &parsed, &rewrite);
	if (verdict == CONNTRACK_PASS) {
		conntrack_packet_rewrite(packet->bytes, &parsed, &rewrite.to, &rewrite.quote,
					 false);
		if (ret_pod != NULL)
			*ret_pod = rewrite.pod;
		last_rewrite = rewrite;
	}
	assert_checksums(packet);
	return verdict;
}

static enum conntrack_verdict rewrite_if_passed(enum conntrack_verdict verdict,
						struct test_packet *packet,
						const struct conntrack_packet *parsed,
						const struct conntrack_rewrite *rewrite)
{
	if (verdict == CONNTRACK_PASS)
		conntrack_packet_rewrite(packet->bytes, parsed, &rewrite->to, &rewrite->quote,
					 false);
	assert_checksums(packet);
	return verdict;
}

enum conntrack_verdict send_reply(uint32_t pod, struct test_packet *packet)
{
	struct conntrack_rewrite rewrite;
	struct conntrack_packet parsed;

	parse(packet, &parsed);
	return rewrite_if_passed(conntrack_reply(table, pod, &parsed, &rewrite), packet, &parsed,
				 &rewrite);
}

enum conntrack_verdict send_hairpin(uint32_t from, struct test_packet *packet)
{
	struct conntrack_rewrite rewrite;
	struct conntrack_packet parsed;

	parse(packet, &parsed);
	enum conntrack_verdict verdict = conntrack_hairpin(table, from, &parsed, &rewrite);
	if (verdict == CONNTRACK_PASS)
		last_rewrite = rewrite;
	return rewrite_if_passed(verdict, packet, &parsed, &rewrite);
}

void publish(const struct test_publication *list, size_t count)
{
	struct conntrack_publication sorted[16];
	uint16_t by_endpoint[16];

	assert_in_range(count, 0, RTE_DIM(sorted));
	for (size_t i = 0; i < count; i++) {
		char text[64];

		snprintf(text, sizeof(text), list[i].ipv6 ? "fd00::%u" : "10.0.0.%u",
			 list[i].pod + 1);
		sorted[i] = (struct conntrack_publication){
			.owner = list[i].owner,
			.pool = list[i].ipv6,
			.protocol = list[i].protocol,
			.port = list[i].port,
			.pod = list[i].pod,
			.pod_port = list[i].pod_port,
			.pod_address = test_address(text),
		};
	}
	conntrack_sort_publications(sorted, by_endpoint, (uint32_t)count);
	conntrack_publish(table, sorted, by_endpoint, (uint32_t)count);
	conntrack_check(table);
}

static struct test_end pod_end(uint32_t pod, uint16_t port, const char *peer, char text[64])
{
	snprintf(text, 64, strchr(peer, ':') != NULL ? "fd00::%u" : "10.0.0.%u", pod + 1);
	return (struct test_end){text, port};
}

uint16_t speak_udp(uint32_t pod, uint16_t port, struct test_end peer)
{
	struct conntrack_packet parsed;
	struct test_packet packet;
	char text[64];

	make_udp(&packet, pod_end(pod, port, peer.address, text), peer, 10);
	if (send_out(pod, &packet) != CONNTRACK_PASS)
		return 0;
	parse(&packet, &parsed);
	return rte_be_to_cpu_16(parsed.tuple.source_port);
}

const char *state_of(struct test_end pod, struct test_end peer)
{
	union conntrack_address source = test_address(pod.address);
	union conntrack_address destination = test_address(peer.address);
	static struct conntrack_entry entries[4096];
	uint32_t count, cursor = 0;

	do {
		cursor = conntrack_list(table, CONNTRACK_POD_ANY, cursor, UINT32_MAX, entries,
					RTE_DIM(entries), &count);
		for (uint32_t i = 0; i < count; i++) {
			const struct conntrack_tuple *original = &entries[i].original;

			if (conntrack_address_equal(&original->source, &source) &&
			    conntrack_address_equal(&original->destination, &destination) &&
			    rte_be_to_cpu_16(original->source_port) == pod.port &&
			    rte_be_to_cpu_16(original->destination_port) == peer.port)
				return entries[i].state;
		}
	} while (cursor != 0);
	return "none";
}
