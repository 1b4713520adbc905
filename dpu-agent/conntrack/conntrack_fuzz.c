// SPDX-License-Identifier: BSD-3-Clause
//
// libFuzzer: a table of few connections and ports, and what bytes make of it:
//
//     (operation, arguments)...
//
// Most packets are made of few addresses, ports and sequence numbers, so that they meet again; some are bytes as
// they are. What left is answered, quoted by ICMP errors and cut into pieces. After each operation the table must
// not contradict itself (conntrack_check()), and nothing may get lost: a packet that was translated is led back to
// who sent it, and two pods never share what tells their answers apart.

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_eal.h>
#include <rte_memory.h>

#include "conntrack/conntrack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PODS = 4, SENT_MAX = 8, PACKET_MAX = 600, OPERATIONS_MAX = 200, PUBLISHED_MAX = 6 };

struct input {
	const uint8_t *data;
	size_t size;
};

// A packet as it left, and as the pod had sent it.
struct sent {
	uint8_t pod;
	uint16_t size;
	struct conntrack_tuple before, after;
	uint8_t bytes[PACKET_MAX];
};

static struct conntrack *table;
static struct sent sent[SENT_MAX];
static unsigned int sent_count;
static uint32_t now_s;
static int held; // packets that the table has of ours

static void check(bool good)
{
	if (!good)
		abort();
}

static uint8_t take(struct input *input)
{
	if (input->size == 0)
		return 0;
	input->size--;
	return *input->data++;
}

static void discard(void *packet)
{
	held--;
	free(packet);
}

// ---- packets -------------------------------------------------------------------------------------

static uint32_t make_header(uint8_t *p, bool ipv4, uint8_t protocol, uint8_t from, uint8_t to,
			    uint32_t payload)
{
	uint32_t header = ipv4 ? 20 : 40;

	memset(p, 0, header);
	if (ipv4) {
		p[0] = 0x45;
		p[2] = (uint8_t)((header + payload) >> 8);
		p[3] = (uint8_t)(header + payload);
		p[9] = protocol;
		p[12] = p[16] = 10;
		p[15] = from;
		p[19] = to;
	} else {
		p[0] = 0x60;
		p[4] = (uint8_t)(payload >> 8);
		p[5] = (uint8_t)payload;
		p[6] = protocol;
		p[8] = p[24] = 0xfd;
		p[23] = from;
		p[39] = to;
	}
	return header;
}

// TCP, UDP or an echo of the pod's, to one of a few peers. Returns its size.
static uint32_t make_packet(uint8_t *p, struct input *input, uint8_t pod)
{
	static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP};
	static const uint8_t flags[] = {
		TCP_SYN,           TCP_ACK,           TCP_ACK | TCP_FIN, TCP_RST,
		TCP_SYN | TCP_ACK, TCP_RST | TCP_ACK, TCP_ACK,           TCP_ACK};
	uint8_t what = take(input), ends = take(input);
	bool ipv4 = what & 1;
	uint8_t protocol = protocols[(what >> 1) % 3];
	uint32_t payload = protocol == IPPROTO_TCP ? 20u : 8u + (what >> 4) * 8u;
	uint32_t offset =
		make_header(p, ipv4, protocol == IPPROTO_ICMP && !ipv4 ? IPPROTO_ICMPV6 : protocol,
			    1 + pod, 100 + (ends & 3), payload);
	uint8_t *l4 = p + offset;

	memset(l4, 0, payload);
	if (protocol == IPPROTO_ICMP) {
		l4[0] = ipv4 ? 8 : 128;
		l4[5] = 1 + (ends >> 4 & 7);
		return offset + payload;
	}
	l4[1] = 1 + (ends >> 4 & 7);
	l4[3] = 50 + (ends >> 2 & 3);
	if (protocol == IPPROTO_UDP) {
		l4[5] = (uint8_t)payload;
		return offset + payload;
	}
	l4[12] = 0x50;
	l4[13] = flags[what >> 3 & 7];
	l4[7] = take(input);
	l4[11] = take(input);
	l4[14] = 1;
	return offset + payload;
}

// The answer to a packet that has left: ends swapped. False: its kind has none.
static bool make_answer(uint8_t *p, const struct sent *s)
{
	struct conntrack_packet parsed;
	struct conntrack_tuple inverse = conntrack_tuple_invert(&s->after);

	memcpy(p, s->bytes, s->size);
	if (conntrack_packet_parse(p, s->size, s->size, &parsed) < 0 ||
	    parsed.kind == CONNTRACK_KIND_FRAGMENT || parsed.kind == CONNTRACK_KIND_ERROR)
		return false;
	if (parsed.kind == CONNTRACK_KIND_ECHO)
		p[parsed.l4_offset] = parsed.tuple.family == 4 ? 0 : 129;
	conntrack_packet_rewrite(p, &parsed, &inverse, NULL, false);
	return true;
}

// An ICMP error that quotes `size` bytes.
static uint32_t make_error(uint8_t *p, bool ipv4, uint8_t from, const union conntrack_address *to,
			   const uint8_t *quoted, uint32_t size)
{
	uint32_t offset =
		make_header(p, ipv4, ipv4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, from, 0, 8 + size);

	memcpy(p + (ipv4 ? 16 : 24), to, ipv4 ? 4 : 16);
	memset(p + offset, 0, 8);
	p[offset] = ipv4 ? 3 : 1;
	memcpy(p + offset + 8, quoted, size);
	return offset + 8 + size;
}

// ---- through the table ---------------------------------------------------------------------------

static void hold(const uint8_t *p, uint32_t size)
{
	uint8_t *copy = malloc(size);

	check(copy != NULL);
	memcpy(copy, p, size);
	held++;
	if (!conntrack_hold(table, copy))
		discard(copy);
}

static void release(void)
{
	void *packets[3];
	uint32_t count;

	while ((count = conntrack_released(table, packets, RTE_DIM(packets))) > 0) {
		for (uint32_t i = 0; i < count; i++)
			discard(packets[i]);
	}
}

static void check_rewritten(const uint8_t *p, uint32_t size, const struct conntrack_packet *before,
			    const struct conntrack_rewrite *rewrite)
{
	struct conntrack_packet after;

	check(conntrack_packet_parse(p, size, size, &after) == 0);
	check(after.kind == before->kind && after.length == before->length);
	if (before->kind == CONNTRACK_KIND_ERROR || before->kind == CONNTRACK_KIND_FRAGMENT) {
		check(conntrack_address_equal(&after.tuple.source, &rewrite->to.source));
		check(conntrack_address_equal(&after.tuple.destination, &rewrite->to.destination));
	} else {
		check(conntrack_tuple_equal(&after.tuple, &rewrite->to));
	}
	if (before->kind == CONNTRACK_KIND_ERROR)
		check(conntrack_tuple_equal(&after.quote.tuple, &rewrite->quote));
}

// No two of different pods may look the same from outside, as long as both live.
static void check_apart(uint32_t pod, const struct conntrack_packet *parsed)
{
	struct conntrack_entry entries[64];
	uint32_t count, cursor = 0;

	do {
		cursor = conntrack_list(table, CONNTRACK_POD_ANY, cursor, 64, entries,
					RTE_DIM(entries), &count);
		for (uint32_t i = 0; i < count; i++) {
			struct conntrack_tuple seen = conntrack_tuple_invert(&entries[i].reply);

			check(!conntrack_tuple_equal(&seen, &parsed->tuple) ||
			      entries[i].pod == pod);
		}
	} while (cursor != 0);
}

static void note(uint8_t pod, const uint8_t *p, uint32_t size, const struct conntrack_tuple *before)
{
	struct sent *s = &sent[sent_count++ % SENT_MAX];
	struct conntrack_packet parsed;

	check(conntrack_packet_parse(p, size, size, &parsed) == 0);
	s->pod = pod;
	s->size = (uint16_t)size;
	s->before = *before;
	s->after = parsed.tuple;
	memcpy(s->bytes, p, size);
	if (parsed.kind <= CONNTRACK_KIND_ECHO)
		check_apart(pod, &parsed);
}

static void go_out(uint8_t pod, uint8_t *p, uint32_t size)
{
	struct conntrack_rewrite rewrite;
	struct conntrack_packet parsed;

	if (conntrack_packet_parse(p, size, size, &parsed) < 0)
		return;
	switch (conntrack_out(table, pod, parsed.tuple.family == 4 ? 0 : 1, &parsed, &rewrite)) {
	case CONNTRACK_PASS:
		check(rewrite.pod == pod);
		conntrack_packet_rewrite(p, &parsed, &rewrite.to, &rewrite.quote, false);
		check_rewritten(p, size, &parsed, &rewrite);
		note(pod, p, size, &parsed.tuple);
		if (rewrite.release)
			release();
		break;
	case CONNTRACK_HOLD:
		hold(p, size);
		break;
	default:
		break;
	}
}

// What comes back for what was sent must reach who sent it, whatever state it is in, or nobody.
static void come_in(uint8_t *p, uint32_t size, const struct sent *s)
{
	struct conntrack_rewrite rewrite;
	struct conntrack_packet parsed;

	if (conntrack_packet_parse(p, size, size, &parsed) < 0)
		return;
	switch (conntrack_in(table, &parsed, &rewrite)) {
	case CONNTRACK_PASS:
		check(rewrite.pod < PODS);
		conntrack_packet_rewrite(p, &parsed, &rewrite.to, &rewrite.quote, false);
		check_rewritten(p, size, &parsed, &rewrite);
		if (rewrite.release)
			release();
		if (s != NULL && parsed.kind <= CONNTRACK_KIND_ECHO && rewrite.pod == s->pod)
			check(conntrack_address_equal(&rewrite.to.destination, &s->before.source));
		break;
	case CONNTRACK_HOLD:
		hold(p, size);
		break;
	default:
		break;
	}
}

// ---- operations ----------------------------------------------------------------------------------

static const struct sent *any_sent(struct input *input)
{
	unsigned int count = RTE_MIN(sent_count, (unsigned int)SENT_MAX);

	return count > 0 ? &sent[take(input) % count] : NULL;
}

static void answer(struct input *input)
{
	const struct sent *s = any_sent(input);
	uint8_t bytes[PACKET_MAX];

	if (s == NULL)
		return;
	struct sent copy = *s;
	if (make_answer(bytes, &copy)) {
		uint8_t at = take(input); // a TCP answer has its own flags and numbers
		if (copy.after.protocol == IPPROTO_TCP)
			bytes[copy.size - 20 + (at % 8) + 6] ^= take(input);
		come_in(bytes, copy.size, &copy);
	}
}

static void complain(struct input *input, bool out)
{
	const struct sent *s = any_sent(input);
	uint8_t bytes[PACKET_MAX], quote[PACKET_MAX];

	if (s == NULL)
		return;
	struct sent copy = *s;
	uint32_t quoted = RTE_MIN((uint32_t)copy.size, 20u + take(input)), size;
	bool ipv4 = copy.after.family == 4;
	if (!out) {
		size = make_error(bytes, ipv4, 200, &copy.after.source, copy.bytes, quoted);
		if (size <= PACKET_MAX / 2)
			come_in(bytes, size, NULL);
		return;
	}
	// The pod complains about the answer, as it saw that.
	if (!make_answer(quote, &copy))
		return;
	struct conntrack_packet parsed;
	if (conntrack_packet_parse(quote, copy.size, copy.size, &parsed) < 0)
		return;
	struct conntrack_tuple seen = conntrack_tuple_invert(&copy.before);
	conntrack_packet_rewrite(quote, &parsed, &seen, NULL, false);
	size = make_error(bytes, ipv4, 1 + copy.pod, &copy.after.destination, quote, quoted);
	if (size <= PACKET_MAX / 2)
		go_out(copy.pod, bytes, size);
}

// A piece of a packet that is made; `offset` in units of 8 bytes.
static void send_piece(struct input *input, uint8_t pod)
{
	uint8_t bytes[PACKET_MAX];
	uint32_t size = make_packet(bytes, input, pod);
	uint8_t where = take(input);

	if (bytes[0] >> 4 == 4) {
		bytes[5] = where >> 4;
		bytes[6] = where & 8 ? 0x20 : 0;
		bytes[7] = where & 7;
	} else {
		memmove(bytes + 48, bytes + 40, size - 40);
		bytes[40] = bytes[6];
		bytes[6] = IPPROTO_FRAGMENT;
		memset(bytes + 41, 0, 7);
		bytes[43] = (uint8_t)((where & 7) << 3 | (where >> 3 & 1));
		bytes[47] = where >> 4;
		bytes[5] += 8;
		size += 8;
	}
	go_out(pod, bytes, size);
}

static void send_bytes(struct input *input, bool out)
{
	uint32_t size = RTE_MIN((uint32_t)take(input) * 2, (uint32_t)input->size);
	uint8_t *bytes = malloc(size + 1); // exactly as long, for the sanitizer

	check(bytes != NULL);
	memcpy(bytes, input->data, size);
	input->data += size;
	input->size -= size;
	if (out && size <= PACKET_MAX)
		go_out(0, bytes, size);
	else
		come_in(bytes, size, NULL);
	free(bytes);
}

// ---- published ports -----------------------------------------------------------------------------

static bool is_same_port(const struct conntrack_publication *a,
			 const struct conntrack_publication *b)
{
	return a->pool == b->pool && a->protocol == b->protocol && a->port == b->port;
}

// Another list: some ports are of masquerade's, some endpoints such as pods send from.
static void publish(struct input *input)
{
	struct conntrack_publication list[PUBLISHED_MAX];
	uint32_t wanted = take(input) % RTE_DIM(list), count = 0;
	uint16_t by_endpoint[RTE_DIM(list)];

	for (uint32_t i = 0; i < wanted; i++) {
		uint8_t what = take(input), ends = take(input);
		struct conntrack_publication *new = &list[count];

		*new = (struct conntrack_publication){
			.owner = what >> 6,
			.pool = what & 1,
			.protocol = what & 2 ? IPPROTO_TCP : IPPROTO_UDP,
			.port = (uint16_t)((what & 4 ? 1000 : 50) + (what >> 3 & 7)),
			.pod = ends & (PODS - 1),
			.pod_port = (uint16_t)(1 + (ends >> 4 & 7)),
		};
		new->pod_address.bytes[0] = new->pool == 0 ? 10 : 0xfd;
		new->pod_address.bytes[new->pool == 0 ? 3 : 15] = (uint8_t)(1 + new->pod);
		count++;
		for (uint32_t j = 0; j + 1 < count; j++)
			count -= is_same_port(&list[j], &list[count - 1]);
	}
	conntrack_sort_publications(list, by_endpoint, count);
	conntrack_publish(table, list, by_endpoint, count);
}

// The external address in the place of the destination; a port that may be published.
static void aim_at_external(uint8_t *p, uint8_t to_port)
{
	bool ipv4 = p[0] >> 4 == 4;
	uint8_t protocol = ipv4 ? p[9] : p[6], *l4 = p + (ipv4 ? 20 : 40);
	uint16_t port = (uint16_t)((to_port & 8 ? 1000 : 50) + (to_port & 7));

	memset(p + (ipv4 ? 16 : 24), 0, ipv4 ? 4 : 16);
	memcpy(p + (ipv4 ? 16 : 24), (uint8_t[]){192, 0, 2, 1 + (to_port >> 4 & 1)}, 4);
	if (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP) {
		l4[2] = (uint8_t)(port >> 8);
		l4[3] = (uint8_t)port;
	}
}

static void take_verdict(enum conntrack_verdict verdict, uint8_t *p, uint32_t size,
			 const struct conntrack_packet *parsed,
			 const struct conntrack_rewrite *rewrite)
{
	if (verdict == CONNTRACK_HOLD)
		hold(p, size);
	if (verdict != CONNTRACK_PASS)
		return;
	check(rewrite->pod < PODS);
	conntrack_packet_rewrite(p, parsed, &rewrite->to, &rewrite->quote, false);
	check_rewritten(p, size, parsed, rewrite);
	if (rewrite->release)
		release();
}

// From within, or a client's from the wire; and what the other end answers.
static void call_published(struct input *input, uint8_t pod, bool from_wire)
{
	uint8_t bytes[PACKET_MAX];
	uint32_t size = make_packet(bytes, input, pod);
	struct conntrack_rewrite rewrite;
	struct conntrack_packet parsed;
	enum conntrack_verdict verdict;

	if (from_wire) // one of the peers that pods speak to
		bytes[bytes[0] >> 4 == 4 ? 15 : 23] = 100 + pod;
	aim_at_external(bytes, take(input));
	if (conntrack_packet_parse(bytes, size, size, &parsed) < 0)
		return;
	verdict = from_wire ? conntrack_in(table, &parsed, &rewrite)
			    : conntrack_hairpin(table, pod, &parsed, &rewrite);
	take_verdict(verdict, bytes, size, &parsed, &rewrite);
	if (verdict != CONNTRACK_PASS || parsed.kind > CONNTRACK_KIND_UDP)
		return;
	// Whoever is behind the port answers, and the answer is as if it came from there.
	struct conntrack_tuple called = parsed.tuple, back = conntrack_tuple_invert(&rewrite.to);
	for (uint32_t server = 0; server < PODS; server++) {
		struct conntrack_packet answer;
		uint8_t copy[PACKET_MAX];

		memcpy(copy, bytes, size);
		check(conntrack_packet_parse(copy, size, size, &answer) == 0);
		conntrack_packet_rewrite(copy, &answer, &back, NULL, false);
		check(conntrack_packet_parse(copy, size, size, &answer) == 0);
		verdict = from_wire ? conntrack_reply(table, server, &answer, &rewrite)
				    : conntrack_hairpin(table, server, &answer, &rewrite);
		if (verdict != CONNTRACK_PASS)
			continue;
		struct conntrack_tuple expected = conntrack_tuple_invert(&called);
		check(conntrack_tuple_equal(&expected, &rewrite.to));
	}
}

static void reply(struct input *input, uint8_t pod)
{
	uint8_t bytes[PACKET_MAX];
	uint32_t size = make_packet(bytes, input, pod);
	struct conntrack_rewrite rewrite;
	struct conntrack_packet parsed;

	if (conntrack_packet_parse(bytes, size, size, &parsed) == 0)
		take_verdict(conntrack_reply(table, pod, &parsed, &rewrite), bytes, size, &parsed,
			     &rewrite);
}

static void set_address(uint8_t which)
{
	union conntrack_address address = {.bytes = {192, 0, 2, 1 + (which & 1)}};

	conntrack_set_address(table, which >> 1 & 1, which & 2 ? 6 : 4, &address);
}

static void operate(struct input *input)
{
	uint8_t operation = take(input), pod = operation >> 4 & (PODS - 1);
	uint8_t bytes[PACKET_MAX];

	switch (operation & 15) {
	default:
		go_out(pod, bytes, make_packet(bytes, input, pod));
		break;
	case 3:
		publish(input);
		break;
	case 4:
		call_published(input, pod, false);
		break;
	case 5:
		if (take(input) & 1)
			call_published(input, pod, true);
		else
			reply(input, pod);
		break;
	case 6:
	case 7:
	case 8:
		answer(input);
		break;
	case 9:
		complain(input, false);
		break;
	case 10:
		complain(input, true);
		break;
	case 11:
		send_piece(input, pod);
		break;
	case 12:
		send_bytes(input, operation & 16);
		break;
	case 13:
		now_s += take(input) * (operation & 16 ? 60u : 1u);
		conntrack_advance(table, now_s, take(input));
		break;
	case 14:
		conntrack_forget_pod(table, pod);
		break;
	case 15:
		set_address(operation >> 4);
		break;
	}
}

static void start_eal(void)
{
	char *arguments[] = {
		(char[]){"fuzz"},     (char[]){"--no-huge"},      (char[]){"--no-shconf"},
		(char[]){"--no-pci"}, (char[]){"--no-telemetry"}, (char[]){"-m"},
		(char[]){"64"},       (char[]){"--lcores=0"},     (char[]){"--log-level=4"}};

	check(rte_eal_init(RTE_DIM(arguments), arguments) >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool started;
	struct input input = {data, size};

	if (!started)
		start_eal();
	started = true;
	sent_count = 0;
	now_s = UINT32_MAX - 300;
	const uint8_t range = take(&input) % 64;
	table = conntrack_new(
		&(struct conntrack_config){
			.connections = 64,
			.pods = PODS,
			.first_port = 1000,
			.last_port = 1000 + range,
			.first_identifier = 3, // of those that pods have some are in the range
			.last_identifier = 3 + range,
			.pick_up = take(&input) & 1,
			.timeouts = conntrack_default_timeouts,
			.fragmented = 8,
			.held = 8,
			.published = PUBLISHED_MAX,
			.discard = discard,
		},
		SOCKET_ID_ANY, now_s);
	check(table != NULL);
	set_address(0);
	set_address(2);
	for (unsigned int i = 0; input.size > 0 && i < OPERATIONS_MAX; i++) {
		operate(&input);
		conntrack_check(table);
	}
	conntrack_free(table);
	check(held == 0);
	return 0;
}
