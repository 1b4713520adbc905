// SPDX-License-Identifier: BSD-3-Clause
//
// The e-switch's parser: what it reads out of good frames, spelled out; and on everything else, cut short or scrambled, that
// it agrees with a second parser, written as plainly as possible.

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "sim/simnic/test_parser.h"

static unsigned int seed = 1;
static struct function function = {.index = 7};

// ---- building frames ------------------------------------------------------------------------------------

struct bytes {
	uint8_t data[512];
	size_t size;
};

// Append bytes written in hexadecimal; anything else is ignored.
static void add(struct bytes *to, const char *hex)
{
	unsigned int value;

	for (; *hex != '\0'; hex++) {
		if (sscanf(hex, "%2x", &value) != 1 || strchr(" :.|", *hex) != NULL)
			continue;
		to->data[to->size++] = value;
		hex++;
	}
}

static void put_u16(uint8_t *at, size_t value)
{
	at[0] = value >> 8;
	at[1] = value;
}

static void add_bytes(struct bytes *to, const struct bytes *what)
{
	memcpy(to->data + to->size, what->data, what->size);
	to->size += what->size;
}

static void add_ethernet(struct bytes *to, const char *type)
{
	add(to, "02:00:00:00:00:dd|02:00:00:00:00:55|");
	add(to, type);
}

// options: hexadecimal, a multiple of 4 bytes.
static void add_ipv4(struct bytes *to, const char *fragment, const char *protocol,
		     const char *options, const struct bytes *payload)
{
	size_t start = to->size;
	uint32_t sum = 0;

	add(to, "45.b8.0000.1234.");
	add(to, fragment);
	add(to, "40.");
	add(to, protocol);
	add(to, "0000.0a090001.0a090002");
	add(to, options);
	to->data[start] = 0x40 | (to->size - start) / 4;
	put_u16(to->data + start + 2, to->size - start + payload->size);
	for (size_t i = start; i < to->size; i += 2)
		sum += to->data[i] << 8 | to->data[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	put_u16(to->data + start + 10, ~((sum & 0xffff) + (sum >> 16)));
	add_bytes(to, payload);
}

// next: protocol of extensions, or of the payload.
static void add_ipv6(struct bytes *to, const char *next, const char *extensions,
		     const struct bytes *payload)
{
	size_t start = to->size;

	add(to, "6ab12345.0000.");
	add(to, next);
	add(to, "3f.20010db8000000000000000000000001.20010db8000000000000000000000002");
	add(to, extensions);
	put_u16(to->data + start + 4, to->size - start - 40 + payload->size);
	add_bytes(to, payload);
}

static void tcp(struct bytes *to)
{
	*to = (struct bytes){0};
	add(to, "3039.0050.00000001.00000002.6012.ffff.0000.0000|020405b4|aabbccddee");
}

static void udp(struct bytes *to, const char *port, const struct bytes *payload)
{
	*to = (struct bytes){0};
	add(to, "c000.");
	add(to, port);
	add(to, "0000.0000");
	put_u16(to->data + 4, 8 + payload->size);
	add_bytes(to, payload);
}

// ---- reading them ---------------------------------------------------------------------------------------

// With each part in memory of its own, so that a read beyond it is noticed.
static void read_input(const struct input *input, struct flow_key *ret_key,
		       struct flow_offsets *ret_offsets)
{
	size_t contiguous = input->contiguous, left = input->size - contiguous;
	struct frame frame = {
		.origin = &function, .from_port = input->from_port, .length = input->size};
	uint8_t *first = malloc(contiguous > 0 ? contiguous : 1), *second = malloc(left + 1);

	assert_non_null(first);
	assert_non_null(second);
	memcpy(first, input->data, contiguous);
	memcpy(second, input->data + contiguous, left);
	frame.iov[1] = (struct iovec){.iov_base = first, .iov_len = contiguous};
	frame.iov[2] = (struct iovec){.iov_base = second, .iov_len = left};
	frame.parts = left > 0 ? 3 : 2;
	memset(ret_key, 0xaa, sizeof(*ret_key));
	memset(ret_offsets, 0xaa, sizeof(*ret_offsets));
	flow_key_read(&frame, input->size - input->cut, ret_key, ret_offsets);
	free(first);
	free(second);
}

static void read_whole(const struct bytes *frame, struct flow_key *ret_key,
		       struct flow_offsets *ret_offsets)
{
	const struct input input = {
		.data = frame->data, .size = frame->size, .contiguous = frame->size};

	read_input(&input, ret_key, ret_offsets);
}

// ---- both parsers ---------------------------------------------------------------------------------------

static void compare(const uint8_t *data, size_t size, size_t contiguous, size_t cut, bool from_port)
{
	const struct input input = {data, size, contiguous, cut, from_port};
	struct flow_offsets offsets, naive_offsets;
	struct flow_key key, naive_key;

	read_input(&input, &key, &offsets);
	naive_read(&input, &naive_key, &naive_offsets);
	assert_memory_equal(&key, &naive_key, sizeof(key));
	assert_memory_equal(&offsets, &naive_offsets, sizeof(offsets));
}

// ---- the frames -----------------------------------------------------------------------------------------

static struct bytes frames[32];
static unsigned int frame_count;

static struct bytes *next_frame(const char *type)
{
	struct bytes *frame = &frames[frame_count++];

	assert_true(frame_count <= sizeof(frames) / sizeof(frames[0]));
	*frame = (struct bytes){0};
	add_ethernet(frame, type);
	return frame;
}

static int build_frames(void **state)
{
	const struct bytes nothing = {0};
	struct bytes data = {0}, packet, inner = {0}, tunnel = {0};

	frame_count = 0;
	add(&data, "00112233445566778899");
	tcp(&packet);
	add_ipv4(next_frame("0800"), "4000", "06", "", &packet);             // 0
	add_ipv6(next_frame("86dd"), "06", "", &packet);                     // 1
	add_ipv4(next_frame("8100.2064.0800"), "4000", "06", "", &packet);   // 2
	add_ipv6(next_frame("88a8.0065.8100.0066.86dd"), "06", "", &packet); // 3
	add_ipv4(next_frame("88a8.0065.8100.0066.8100.0067.0800"), "0000", "06", "", &packet);
	add_ipv4(next_frame("0800"), "0000", "06", "0101010194040000", &packet); // 5
	add_ipv4(next_frame("0800"), "2000", "06", "", &packet);                 // 6
	add_ipv4(next_frame("0800"), "0003", "06", "", &packet);                 // 7
	udp(&packet, "0035", &data);
	add_ipv4(next_frame("0800"), "0000", "11", "", &packet);
	// Every extension header, of 8 and 16 bytes.
	add_ipv6(next_frame("86dd"), "00",
		 "3c.00.010400000000|2b.01.0104000000000104.000000000000|3c.00.000000000000|"
		 "11.00.010400000000",
		 &packet);
	add_ipv6(next_frame("86dd"), "2c", "11.00.0001.00000001", &packet); // first fragment
	add_ipv6(next_frame("86dd"), "2c", "11.00.0008.00000001", &packet); // later fragment
	add_ipv6(next_frame("86dd"), "2c", "11.00.0000.00000001", &packet); // "atomic" fragment
	add_ipv6(next_frame("86dd"), "33", "11.04.000000000000", &packet);  // AH: not looked into
	add_ipv6(next_frame("86dd"), "3b", "", &nothing);
	packet = (struct bytes){0};
	add(&packet, "0800.0000.0001.0002.0011");
	add_ipv4(next_frame("0800"), "0000", "01", "", &packet);
	add_ipv6(next_frame("86dd"), "01", "", &packet); // ICMP in IPv6 is none
	add_ipv6(next_frame("86dd"), "3a", "", &packet);
	add_ipv4(next_frame("0800"), "0000", "3a", "", &packet);
	add_ipv4(next_frame("0800"), "0000", "2f", "", &packet);
	add(next_frame("0806"), "0001.0800.06.04.0001.020000000055.0a090001.000000000000.0a090002");
	add(next_frame("002e"), "424203"); // 802.3
	tcp(&packet);
	add_ethernet(&inner, "8100.0064.86dd");
	add_ipv6(&inner, "06", "", &packet);
	add(&tunnel, "08.000000.123456.00");
	add_bytes(&tunnel, &inner);
	udp(&packet, "12b5", &tunnel);
	add_ipv4(next_frame("0800"), "4000", "11", "", &packet);
	add_ipv6(next_frame("86dd"), "11", "", &packet);
	add_ipv4(next_frame("0800"), "2000", "11", "", &packet); // a fragment of a tunnel is none
	tunnel = (struct bytes){0};
	add(&tunnel, "02.40.6558.abcdef.00|0102.03.01.aabbccdd");
	add_bytes(&tunnel, &inner);
	udp(&packet, "17c1", &tunnel);
	add_ipv4(next_frame("8100.0064.0800"), "4000", "11", "", &packet);
	tunnel.data[2] = 0x08;
	tunnel.data[3] = 0x00; // IPv4 in GENEVE: the tunnel, but no frame
	udp(&packet, "17c1", &tunnel);
	add_ipv6(next_frame("86dd"), "11", "", &packet);
	// Nine extension headers: one too many.
	add_ipv6(next_frame("86dd"), "3c",
		 "3c00000000000000|3c00000000000000|3c00000000000000|3c00000000000000|"
		 "3c00000000000000|3c00000000000000|3c00000000000000|3c00000000000000|"
		 "1100000000000000",
		 &packet);
	return 0;
}

// ---- tests ----------------------------------------------------------------------------------------------

static void tcp_over_ipv4_is_read_to_the_last_field(void **state)
{
	const struct input input = {frames[0].data, frames[0].size, frames[0].size, 0, true};
	const uint8_t src[16] = {10, 9, 0, 1}, dst[16] = {10, 9, 0, 2};
	struct flow_offsets offsets;
	struct flow_key key;

	read_input(&input, &key, &offsets);
	assert_int_equal(key.origin, 7);
	assert_int_equal(key.from_port, 1);
	assert_int_equal(key.tunnel, FLOW_TUNNEL_NONE);
	assert_memory_equal(key.outer.mac_dst, "\2\0\0\0\0\xdd", 6);
	assert_memory_equal(key.outer.mac_src, "\2\0\0\0\0\x55", 6);
	assert_int_equal(ntohs(key.outer.ether_type), 0x0800);
	assert_int_equal(ntohs(key.outer.outer_type), 0x0800);
	assert_int_equal(key.outer.layers,
			 FLOW_HAS_ETH | FLOW_HAS_IPV4 | FLOW_HAS_TCP | FLOW_L3_OK);
	assert_memory_equal(key.outer.ip_src, src, 16);
	assert_memory_equal(key.outer.ip_dst, dst, 16);
	assert_int_equal(key.outer.tos, 0xb8);
	assert_int_equal(key.outer.ttl, 64);
	assert_int_equal(key.outer.protocol, 6);
	assert_int_equal(key.outer.ipv4_version_ihl, 0x45);
	assert_int_equal(ntohs(key.outer.fragment), 0x4000);
	assert_int_equal(ntohs(key.outer.length), 20 + 29);
	assert_int_equal(ntohs(key.outer.port_src), 12345);
	assert_int_equal(ntohs(key.outer.port_dst), 80);
	assert_int_equal(key.outer.tcp_flags, 0x12);
	assert_int_equal(offsets.l3, 14);
	assert_int_equal(offsets.l4, 34);
	assert_int_equal(offsets.payload, 34 + 24);
}

static void two_tags_are_read_and_a_third_is_payload(void **state)
{
	struct flow_offsets offsets;
	struct flow_key key;

	read_whole(&frames[3], &key, &offsets);
	assert_int_equal(ntohs(key.outer.outer_type), 0x88a8);
	assert_int_equal(ntohs(key.outer.vlan_tci[0]), 0x65);
	assert_int_equal(ntohs(key.outer.vlan_inner_type), 0x8100);
	assert_int_equal(ntohs(key.outer.vlan_tci[1]), 0x66);
	assert_int_equal(ntohs(key.outer.ether_type), 0x86dd);
	assert_int_equal(key.outer.layers, FLOW_HAS_ETH | FLOW_HAS_VLAN | FLOW_HAS_VLAN2 |
						   FLOW_HAS_IPV6 | FLOW_HAS_TCP | FLOW_L3_OK);
	assert_int_equal(key.outer.ttl, 63);
	assert_int_equal(ntohl(key.outer.ipv6_flow), 0x6ab12345);
	assert_int_equal(offsets.l3, 22);

	read_whole(&frames[4], &key, &offsets);
	assert_int_equal(ntohs(key.outer.ether_type), 0x8100);
	assert_int_equal(key.outer.layers, FLOW_HAS_ETH | FLOW_HAS_VLAN | FLOW_HAS_VLAN2);
	assert_int_equal(offsets.l3, 0);
}

static void layer_4_is_found_behind_options_and_extension_headers(void **state)
{
	struct flow_offsets offsets;
	struct flow_key key;

	read_whole(&frames[5], &key, &offsets);
	assert_int_equal(offsets.l4, 14 + 28);
	assert_int_equal(key.outer.ipv4_version_ihl, 0x47);
	assert_int_equal(ntohs(key.outer.port_dst), 80);

	read_whole(&frames[9], &key, &offsets);
	assert_int_equal(key.outer.ipv6_next, 0);
	assert_int_equal(key.outer.protocol, 17);
	assert_int_equal(offsets.l4, 14 + 40 + 40);
	assert_int_equal(ntohs(key.outer.port_dst), 53);
}

static void the_length_is_that_of_the_longest_packet_on_the_wire(void **state)
{
	struct input input = {frames[0].data, frames[0].size, frames[0].size, 3, false};
	struct flow_offsets offsets;
	struct flow_key key;

	read_input(&input, &key, &offsets);
	assert_int_equal(ntohs(key.outer.length), 20 + 29 - 3);
	assert_true(key.outer.layers & FLOW_HAS_TCP);
	read_whole(&frames[1], &key, &offsets);
	assert_int_equal(ntohs(key.outer.length), 29);
	// With extension headers, and in a tunnel.
	read_whole(&frames[9], &key, &offsets);
	assert_int_equal(ntohs(key.outer.length), 40 + 18);
	read_whole(&frames[22], &key, &offsets);
	assert_int_equal(ntohs(key.outer.length), 20 + 8 + 8 + 18 + 40 + 29);
	assert_int_equal(ntohs(key.inner.length), 29);
}

static void an_echo_has_identifier_and_sequence_if_it_is_that_long(void **state)
{
	static const struct {
		unsigned int frame;
		uint16_t icmp, l4;
	} cases[] = {{15, FLOW_HAS_ICMP, 34}, {17, FLOW_HAS_ICMP6, 54}};
	struct flow_offsets offsets;
	struct flow_key key;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bytes frame = frames[cases[i].frame];

		read_whole(&frame, &key, &offsets);
		assert_true(key.outer.layers & cases[i].icmp);
		assert_true(key.outer.layers & FLOW_HAS_ICMP_REST);
		assert_int_equal(ntohs(key.outer.port_src), 0x0800);
		assert_int_equal(key.outer.port_dst, 0);
		assert_int_equal(ntohs(key.outer.icmp_identifier), 1);
		assert_int_equal(ntohs(key.outer.icmp_sequence), 2);
		// One byte less: ICMP, but no echo.
		frame.size = cases[i].l4 + 7;
		put_u16(frame.data + (cases[i].icmp == FLOW_HAS_ICMP ? 16 : 18),
			cases[i].icmp == FLOW_HAS_ICMP ? 27 : 7);
		read_whole(&frame, &key, &offsets);
		assert_true(key.outer.layers & cases[i].icmp);
		assert_false(key.outer.layers & FLOW_HAS_ICMP_REST);
		assert_int_equal(key.outer.icmp_identifier, 0);
		assert_int_equal(offsets.l4, cases[i].l4);
	}
}

static void only_a_first_fragment_has_layer_4(void **state)
{
	static const struct {
		unsigned int frame;
		uint16_t fragment, layer4;
	} cases[] = {
		{6, 0x2000, FLOW_HAS_TCP},  {7, 0x0003, 0},
		{10, 0x0001, FLOW_HAS_UDP}, {11, 0x0008, 0},
		{12, 0x0000, FLOW_HAS_UDP},
	};
	struct flow_offsets offsets;
	struct flow_key key;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		read_whole(&frames[cases[i].frame], &key, &offsets);
		assert_int_equal(ntohs(key.outer.fragment), cases[i].fragment);
		assert_true(key.outer.layers & FLOW_HAS_FRAGMENT);
		assert_int_equal(key.outer.layers & (FLOW_HAS_TCP | FLOW_HAS_UDP), cases[i].layer4);
		assert_int_equal(offsets.l4 != 0, cases[i].layer4 != 0);
	}
}

static void the_frame_in_a_tunnel_is_read_once(void **state)
{
	struct flow_offsets offsets;
	struct flow_key key;

	read_whole(&frames[22], &key, &offsets);
	assert_int_equal(key.tunnel, FLOW_TUNNEL_VXLAN);
	assert_memory_equal(key.vni, "\x12\x34\x56", 3);
	assert_int_equal(key.vxlan_flags, 8);
	assert_int_equal(key.outer.layers,
			 FLOW_HAS_ETH | FLOW_HAS_IPV4 | FLOW_HAS_UDP | FLOW_L3_OK);
	assert_int_equal(key.inner.layers,
			 FLOW_HAS_ETH | FLOW_HAS_VLAN | FLOW_HAS_IPV6 | FLOW_HAS_TCP | FLOW_L3_OK);
	assert_int_equal(ntohs(key.inner.port_src), 12345);
	assert_int_equal(offsets.payload, 42);
	assert_int_equal(offsets.tunnel, 42);
	assert_int_equal(offsets.inner_l2, 50);
	assert_int_equal(offsets.inner_l3, 68);
	assert_int_equal(offsets.inner_l4, 108);

	read_whole(&frames[24], &key, &offsets);
	assert_int_equal(key.tunnel, FLOW_TUNNEL_NONE);

	read_whole(&frames[25], &key, &offsets);
	assert_int_equal(key.tunnel, FLOW_TUNNEL_GENEVE);
	assert_memory_equal(key.vni, "\xab\xcd\xef", 3);
	assert_int_equal(ntohs(key.geneve_ver_opt), 0x0240);
	assert_int_equal(ntohs(key.geneve_protocol), 0x6558);
	assert_int_equal(offsets.inner_l2, 46 + 16);
	assert_true(key.inner.layers & FLOW_HAS_TCP);

	read_whole(&frames[26], &key, &offsets);
	assert_int_equal(key.tunnel, FLOW_TUNNEL_GENEVE);
	assert_int_equal(key.inner.layers, 0);
	assert_int_equal(offsets.inner_l2, 0);
}

static void an_ip_header_that_lies_about_its_length_is_none(void **state)
{
	struct flow_offsets offsets;
	struct bytes frame;
	struct flow_key key;

	frame = frames[0];
	put_u16(frame.data + 16, frame.size - 14 + 1); // beyond the end
	read_whole(&frame, &key, &offsets);
	assert_int_equal(key.outer.layers, FLOW_HAS_ETH);
	assert_int_equal(offsets.l3, 0);
	put_u16(frame.data + 16, 19); // below its own header
	read_whole(&frame, &key, &offsets);
	assert_int_equal(key.outer.layers, FLOW_HAS_ETH);
	frame = frames[0];
	frame.size += 6; // Ethernet's padding is fine
	read_whole(&frame, &key, &offsets);
	assert_true(key.outer.layers & FLOW_HAS_TCP);
	put_u16(frame.data + 16, 20 + 19); // TCP would be in the padding
	read_whole(&frame, &key, &offsets);
	assert_int_equal(key.outer.layers, FLOW_HAS_ETH | FLOW_HAS_IPV4);

	frame = frames[1];
	put_u16(frame.data + 18, frame.size - 54 + 1);
	read_whole(&frame, &key, &offsets);
	assert_int_equal(key.outer.layers, FLOW_HAS_ETH);
}

static void a_wrong_checksum_is_told(void **state)
{
	struct flow_offsets offsets;
	struct bytes frame = frames[0];
	struct flow_key key;

	frame.data[24] ^= 1;
	read_whole(&frame, &key, &offsets);
	assert_int_equal(key.outer.layers, FLOW_HAS_ETH | FLOW_HAS_IPV4 | FLOW_HAS_TCP);
}

static void frames_cut_at_every_byte_are_read_as_by_the_second_parser(void **state)
{
	for (unsigned int i = 0; i < frame_count; i++) {
		compare(frames[i].data, frames[i].size, frames[i].size, 0, true);
		for (size_t size = 0; size < frames[i].size; size++) {
			struct bytes short_ip = frames[i];

			compare(frames[i].data, size, size, 0, false);
			compare(frames[i].data, frames[i].size, size, size, false);
			// The IP header agrees that it ends here.
			if (frames[i].data[12] == 0x08 && size >= 34)
				put_u16(short_ip.data + 16, size - 14);
			else if (frames[i].data[12] == 0x86 && size >= 54)
				put_u16(short_ip.data + 18, size - 54);
			compare(short_ip.data, size, size, 0, false);
			compare(short_ip.data, frames[i].size, frames[i].size, 0, false);
		}
	}
}

static void scrambled_frames_are_read_as_by_the_second_parser(void **state)
{
	enum { ROUNDS = 200000 };

	for (unsigned int i = 0; i < ROUNDS; i++) {
		struct bytes frame = frames[rand_r(&seed) % frame_count];
		size_t size;

		for (int changes = rand_r(&seed) % 4; changes >= 0; changes--) {
			uint8_t *at = &frame.data[rand_r(&seed) % frame.size];

			if (rand_r(&seed) % 2 == 0)
				*at ^= 1 << rand_r(&seed) % 8;
			else
				*at = rand_r(&seed);
		}
		size = rand_r(&seed) % 4 == 0 ? rand_r(&seed) % (frame.size + 1) : frame.size;
		compare(frame.data, size,
			rand_r(&seed) % 4 == 0 ? rand_r(&seed) % (size + 1) : size,
			rand_r(&seed) % 4 == 0 ? rand_r(&seed) % (size + 1) : 0, rand_r(&seed) % 2);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tcp_over_ipv4_is_read_to_the_last_field),
		cmocka_unit_test(two_tags_are_read_and_a_third_is_payload),
		cmocka_unit_test(layer_4_is_found_behind_options_and_extension_headers),
		cmocka_unit_test(the_length_is_that_of_the_longest_packet_on_the_wire),
		cmocka_unit_test(an_echo_has_identifier_and_sequence_if_it_is_that_long),
		cmocka_unit_test(only_a_first_fragment_has_layer_4),
		cmocka_unit_test(the_frame_in_a_tunnel_is_read_once),
		cmocka_unit_test(an_ip_header_that_lies_about_its_length_is_none),
		cmocka_unit_test(a_wrong_checksum_is_told),
		cmocka_unit_test(frames_cut_at_every_byte_are_read_as_by_the_second_parser),
		cmocka_unit_test(scrambled_frames_are_read_as_by_the_second_parser),
	};

	if (argc > 1)
		seed = strtoul(argv[1], NULL, 0);
	return cmocka_run_group_tests(tests, build_frames, NULL);
}
