// SPDX-License-Identifier: BSD-3-Clause
//
// Reading packets' headers, whatever is in them, and writing addresses and ports into them.

#include "conntrack/fixture_test.h"

#include <errno.h>
#include <stdlib.h>

#include <rte_common.h>

#define A4  "10.0.0.1"
#define B4  "198.51.100.7"
#define A6  "fd00::1"
#define B6  "2001:db8:5::7"
#define ACK (&(struct test_tcp){.flags = TCP_ACK, .window = 100, .scale = -1, .payload = 30})
#define SYN (&(struct test_tcp){.flags = TCP_SYN, .window = 100, .scale = 7})

static struct test_packet packet, other;
static struct conntrack_packet parsed;

static int parse(void)
{
	return conntrack_packet_parse(packet.bytes, packet.size, packet.size, &parsed);
}

static unsigned int make_each(unsigned int which)
{
	const char *a = which % 2 ? A6 : A4, *b = which % 2 ? B6 : B4;

	switch (which / 2) {
	case 0:
		make_tcp(&packet, (struct test_end){a, 1000}, (struct test_end){b, 80}, ACK);
		return CONNTRACK_KIND_TCP;
	case 1:
		make_tcp(&packet, (struct test_end){a, 1000}, (struct test_end){b, 80}, SYN);
		return CONNTRACK_KIND_TCP;
	case 2:
		make_udp(&packet, (struct test_end){a, 1000}, (struct test_end){b, 80}, 33);
		return CONNTRACK_KIND_UDP;
	case 3:
		make_echo(&packet, (struct test_end){a, 1000}, (struct test_end){b, 0}, 33);
		return CONNTRACK_KIND_ECHO;
	case 4:
		make_echo(&packet, (struct test_end){a, 0}, (struct test_end){b, 1000}, 33);
		return CONNTRACK_KIND_ECHO;
	case 5:
		make_tcp(&other, (struct test_end){a, 1000}, (struct test_end){b, 80}, ACK);
		make_error(&packet, b, a, &other, other.size);
		return CONNTRACK_KIND_ERROR;
	case 6:
		make_udp(&other, (struct test_end){a, 1000}, (struct test_end){b, 80}, 40);
		make_error(&packet, b, a, &other, (which % 2 ? 40u : 20u) + 8u);
		return CONNTRACK_KIND_ERROR;
	case 7:
		make_echo(&other, (struct test_end){a, 1000}, (struct test_end){b, 0}, 40);
		make_error(&packet, b, a, &other, other.size);
		return CONNTRACK_KIND_ERROR;
	default:
		make_udp(&other, (struct test_end){a, 1000}, (struct test_end){b, 80}, 200);
		make_fragment(&packet, &other, 77, 64, 80);
		return CONNTRACK_KIND_FRAGMENT;
	}
}
enum { KINDS = 18 };

static void every_kind_of_packet_is_told_from_the_others(void **state)
{
	for (unsigned int i = 0; i < KINDS; i++) {
		unsigned int kind = make_each(i);

		assert_checksums(&packet);
		assert_int_equal(0, parse());
		assert_int_equal(kind, parsed.kind);
		assert_int_equal(i % 2 ? 6 : 4, parsed.tuple.family);
		if (kind == CONNTRACK_KIND_ERROR) {
			union conntrack_address a = test_address(i % 2 ? A6 : A4);

			assert_memory_equal(&a, &parsed.quote.tuple.source, sizeof(a));
			assert_int_equal(1000, rte_be_to_cpu_16(parsed.quote.tuple.source_port));
		}
	}
}

static void a_tcp_header_is_read_whole(void **state)
{
	make_tcp(&packet, (struct test_end){A4, 1}, (struct test_end){B4, 65535},
		 &(struct test_tcp){.flags = TCP_SYN,
				    .sequence = 0xfedcba98,
				    .acknowledgement = 0x12345678,
				    .window = 0xabcd,
				    .scale = 9,
				    .payload = 3});
	assert_int_equal(0, parse());
	assert_int_equal(0xfedcba98, parsed.tcp.sequence);
	assert_int_equal(0x12345678, parsed.tcp.acknowledgement);
	assert_int_equal(0xabcd, parsed.tcp.window);
	assert_int_equal(3, parsed.tcp.payload);
	assert_int_equal(TCP_SYN, parsed.tcp.flags);
	assert_true(parsed.tcp.has_scale);
	assert_int_equal(9, parsed.tcp.scale);
	packet.bytes[20 + 20 + 3] = 99; // RFC 7323 section 2.3: as 14
	assert_int_equal(0, parse());
	assert_int_equal(14, parsed.tcp.scale);
	packet.bytes[20 + 20 + 2] = 0; // an option that is nothing long
	assert_int_equal(0, parse());
	assert_false(parsed.tcp.has_scale);
	packet.bytes[20 + 20 + 2] = 200; // and one that is longer than all of them
	assert_int_equal(0, parse());
	assert_false(parsed.tcp.has_scale);
}

// On memory of exactly that size, for a sanitizer to see what is read behind it.
static void a_packet_may_end_anywhere(void **state)
{
	for (unsigned int i = 0; i < KINDS; i++) {
		make_each(i);
		for (uint32_t size = 0; size < packet.size; size++) {
			uint8_t *copy = malloc(size > 0 ? size : 1);

			assert_non_null(copy);
			memcpy(copy, packet.bytes, size);
			assert_int_not_equal(0, conntrack_packet_parse(copy, size, size, &parsed));
			// The rest may be there and not be contiguous: fine if no header is in it.
			int r = conntrack_packet_parse(copy, size, packet.size, &parsed);
			assert_true(r == 0 || r == -EMSGSIZE || r == -EBADMSG);
			free(copy);
		}
	}
}

static void every_bit_may_be_wrong(void **state)
{
	for (unsigned int i = 0; i < KINDS; i++) {
		make_each(i);
		for (uint32_t bit = 0; bit < packet.size * 8; bit++) {
			uint8_t *copy = malloc(packet.size);

			assert_non_null(copy);
			memcpy(copy, packet.bytes, packet.size);
			copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
			if (conntrack_packet_parse(copy, packet.size, packet.size, &parsed) == 0) {
				struct conntrack_tuple to = parsed.tuple,
						       quote = parsed.quote.tuple;

				assert_true(parsed.length <= packet.size);
				// To where it came from: nothing may change.
				if (parsed.kind != CONNTRACK_KIND_OTHER &&
				    (parsed.kind != CONNTRACK_KIND_ERROR ||
				     parsed.quote.kind != CONNTRACK_KIND_OTHER)) {
					uint8_t before = copy[bit / 8];

					conntrack_packet_rewrite(copy, &parsed, &to, &quote, false);
					assert_int_equal(before, copy[bit / 8]);
				}
			}
			free(copy);
		}
	}
}

static void flags_that_no_tcp_sends_are_refused(void **state)
{
	static const uint8_t good[] = {TCP_SYN,           TCP_SYN | TCP_ACK, TCP_ACK,
				       TCP_FIN | TCP_ACK, TCP_RST,           TCP_RST | TCP_ACK};

	for (unsigned int flags = 0; flags < 0x100; flags++) {
		bool expected = false;

		for (unsigned int i = 0; i < RTE_DIM(good); i++)
			expected |=
				(flags & 0x17) == good[i]; // PSH, URG, ECE, CWR are all the same
		make_tcp(&packet, (struct test_end){A4, 1}, (struct test_end){B4, 2},
			 &(struct test_tcp){.flags = (uint8_t)flags, .scale = -1});
		assert_int_equal(expected ? 0 : -EBADMSG, parse());
	}
}

static void fragments_that_hide_a_header_are_refused(void **state)
{
	make_tcp(&other, (struct test_end){A4, 1}, (struct test_end){B4, 2}, ACK);
	make_fragment(&packet, &other, 1, 0, 16); // less than a TCP header
	assert_int_equal(-EBADMSG, parse());
	make_fragment(&packet, &other, 1, 8, 40); // over one
	assert_int_equal(-EBADMSG, parse());
	make_fragment(&packet, &other, 1, 0, 24);
	assert_int_equal(0, parse());
	assert_true(parsed.fragment);
	assert_int_equal(CONNTRACK_KIND_TCP, parsed.kind);
	make_fragment(&packet, &other, 1, 24, 24);
	assert_int_equal(0, parse());
	assert_int_equal(CONNTRACK_KIND_FRAGMENT, parsed.kind);
	assert_int_equal(24, parsed.fragment_offset);
	make_udp(&other, (struct test_end){A6, 1}, (struct test_end){B6, 2}, 40);
	make_fragment(&packet, &other, 0x12345678, 8, 40);
	assert_int_equal(0, parse());
	assert_int_equal(0x12345678, parsed.fragment_id);
	assert_false(parsed.more_fragments);
	make_fragment(&packet, &other, 1, 0, 48); // all of it: an atomic fragment (RFC 6946)
	assert_int_equal(0, parse());
	assert_false(parsed.fragment);
	assert_int_equal(CONNTRACK_KIND_UDP, parsed.kind);
}

// Put a header of 8 bytes between IPv6 and what follows.
static void insert_extension(uint8_t type, const uint8_t rest[7])
{
	memmove(packet.bytes + 48, packet.bytes + 40, packet.size - 40);
	packet.bytes[40] = packet.bytes[6];
	memcpy(packet.bytes + 41, rest, 7);
	packet.bytes[6] = type;
	packet.size += 8;
	packet.bytes[5] += 8;
}

static void extension_headers_are_gone_through(void **state)
{
	make_udp(&packet, (struct test_end){A6, 7}, (struct test_end){B6, 9}, 10);
	for (unsigned int i = 0; i < 3; i++)
		insert_extension(IPPROTO_DSTOPTS, (uint8_t[7]){0, 1, 4});
	assert_int_equal(0, parse());
	assert_int_equal(CONNTRACK_KIND_UDP, parsed.kind);
	assert_int_equal(64, parsed.l4_offset);
	insert_extension(IPPROTO_ROUTING, (uint8_t[7]){0, 4, 1}); // one segment left
	assert_int_equal(0, parse());
	assert_int_equal(CONNTRACK_KIND_OTHER, parsed.kind);
	for (unsigned int i = 0; i < 5; i++)
		insert_extension(IPPROTO_DSTOPTS, (uint8_t[7]){0, 1, 4});
	assert_int_equal(-EBADMSG, parse());
	make_udp(&packet, (struct test_end){A6, 7}, (struct test_end){B6, 9}, 10);
	insert_extension(IPPROTO_DSTOPTS, (uint8_t[7]){200}); // longer than all of it
	assert_int_equal(-EMSGSIZE, parse());
}

static void an_error_about_what_cannot_be_translated_says_so(void **state)
{
	make_udp(&packet, (struct test_end){A4, 7}, (struct test_end){B4, 9}, 100);
	make_fragment(&other, &packet, 5, 64, 32);
	make_error(&packet, B4, A4, &other, other.size);
	assert_int_equal(0, parse());
	assert_int_equal(CONNTRACK_KIND_OTHER, parsed.quote.kind);
	make_error(&other, B4, A4, &packet, 40); // an error about an error
	make_error(&packet, B4, A4, &other, 60);
	assert_int_equal(0, parse());
	assert_int_equal(CONNTRACK_KIND_OTHER, parsed.quote.kind);
	make_udp(&other, (struct test_end){A4, 7}, (struct test_end){B4, 9}, 100);
	make_error(&packet, B4, A4, &other, 27); // one byte of the ports' 8 is missing
	assert_int_equal(-EMSGSIZE, parse());
}

// ---- writing -------------------------------------------------------------------------------------

static void checksums_are_right_after_any_rewrite(void **state)
{
	srandom(1);
	for (unsigned int round = 0; round < 20000; round++) {
		make_each(round % KINDS);
		assert_int_equal(0, parse());
		struct conntrack_tuple to = parsed.tuple, quote = parsed.quote.tuple;
		uint32_t words = to.family == 4 ? 1 : 4;

		for (uint32_t i = 0; i < words; i++) {
			to.source.words[i] = (uint32_t)random() << 1;
			to.destination.words[i] = (uint32_t)random() << 1;
			quote.source.words[i] = (uint32_t)random() << 1;
			quote.destination.words[i] = (uint32_t)random() << 1;
		}
		if (parsed.kind == CONNTRACK_KIND_ECHO) {
			rte_be16_t *port =
				to.source_port != 0 ? &to.source_port : &to.destination_port;
			*port = (rte_be16_t)(random() | 1);
		} else if (parsed.kind != CONNTRACK_KIND_ERROR &&
			   parsed.kind != CONNTRACK_KIND_FRAGMENT) {
			to.source_port = (rte_be16_t)random();
			to.destination_port = (rte_be16_t)random();
		}
		if (parsed.quote.kind == CONNTRACK_KIND_ECHO && quote.source_port != 0)
			quote.source_port = (rte_be16_t)(random() | 1);
		else if (parsed.kind == CONNTRACK_KIND_ERROR)
			quote.source_port = (rte_be16_t)random();
		conntrack_packet_rewrite(packet.bytes, &parsed, &to, &quote, false);
		assert_checksums(&packet);
		assert_int_equal(0, parse());
		assert_memory_equal(&to, &parsed.tuple, sizeof(to));
		if (parsed.kind == CONNTRACK_KIND_ERROR)
			assert_memory_equal(&quote, &parsed.quote.tuple, sizeof(quote));
	}
}

static void udp_without_a_checksum_stays_without(void **state)
{
	make_udp(&packet, (struct test_end){A4, 7}, (struct test_end){B4, 9}, 10);
	packet.bytes[26] = packet.bytes[27] = 0;
	assert_int_equal(0, parse());
	struct conntrack_tuple to = parsed.tuple;
	to.source_port = RTE_BE16(4711);
	conntrack_packet_rewrite(packet.bytes, &parsed, &to, NULL, false);
	assert_int_equal(0, packet.bytes[26] | packet.bytes[27]);
}

static void a_udp_checksum_never_becomes_none(void **state)
{
	unsigned int met = 0;

	for (unsigned int port = 0; port < 0x10000; port++) {
		make_udp(&packet, (struct test_end){A4, 7}, (struct test_end){B4, 9}, 0);
		assert_int_equal(0, parse());
		struct conntrack_tuple to = parsed.tuple;
		to.source_port = (rte_be16_t)port;
		conntrack_packet_rewrite(packet.bytes, &parsed, &to, NULL, false);
		assert_int_not_equal(0, packet.bytes[26] | packet.bytes[27]);
		met += packet.bytes[26] == 0xff && packet.bytes[27] == 0xff;
		assert_checksums(&packet);
	}
	assert_true(met > 0);
}

static void a_checksum_that_is_filled_later_is_left_alone(void **state)
{
	make_tcp(&packet, (struct test_end){A4, 7}, (struct test_end){B4, 9}, ACK);
	packet.bytes[36] = 0x12;
	packet.bytes[37] = 0x34;
	assert_int_equal(0, parse());
	struct conntrack_tuple to = parsed.tuple;
	to.source_port = RTE_BE16(4711);
	conntrack_packet_rewrite(packet.bytes, &parsed, &to, NULL, true);
	assert_int_equal(0x12, packet.bytes[36]);
	assert_int_equal(0x34, packet.bytes[37]);
	assert_int_equal(4711 >> 8, packet.bytes[20]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_packet_is_told_from_the_others),
		cmocka_unit_test(a_tcp_header_is_read_whole),
		cmocka_unit_test(a_packet_may_end_anywhere),
		cmocka_unit_test(every_bit_may_be_wrong),
		cmocka_unit_test(flags_that_no_tcp_sends_are_refused),
		cmocka_unit_test(fragments_that_hide_a_header_are_refused),
		cmocka_unit_test(extension_headers_are_gone_through),
		cmocka_unit_test(an_error_about_what_cannot_be_translated_says_so),
		cmocka_unit_test(checksums_are_right_after_any_rewrite),
		cmocka_unit_test(udp_without_a_checksum_stays_without),
		cmocka_unit_test(a_udp_checksum_never_becomes_none),
		cmocka_unit_test(a_checksum_that_is_filled_later_is_left_alone),
	};

	return cmocka_run_group_tests_name("conntrack headers", tests, NULL, NULL);
}
