// SPDX-License-Identifier: BSD-3-Clause
//
// The wire at its worst: damaged frames of all kinds, and changes under traffic. What is lost or read
// out of bounds the tear-down and the sanitizers find.

#include "datapath/wire_test.h"

#include <rte_cycles.h>

#include "datapath/neighbour.h"

enum { TEMPLATES_MAX = 16 };

static struct frame templates[TEMPLATES_MAX], f, got;
static size_t template_count;
static uint32_t random_state;

// Marsaglia's xorshift32: the same packets in each run.
static uint32_t random_number(uint32_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state % below;
}

static struct frame *next_template(void)
{
	assert_true(template_count < TEMPLATES_MAX);
	return &templates[template_count++];
}

static void make_templates(void)
{
	template_count = 0;
	frame_udp4(next_template(), UPLINK, PEER4, A4, 100);
	frame_udp4(next_template(), UPLINK, PEER4, NOBODY4, 10);
	frame_udp4(next_template(), UPLINK, PEER4, WIRE4, 10);
	frame_udp6(next_template(), UPLINK, PEER6, A6, 100);
	frame_udp6(next_template(), UPLINK, PEER6, SMALL6, 1300);
	frame_echo4(next_template(), UPLINK, PEER4, WIRE4, 56);
	frame_echo6(next_template(), UPLINK, PEER6, WIRE6, 56);
	frame_arp(next_template(), UPLINK, 1, PEER4, WIRE4);
	frame_arp(next_template(), UPLINK, 2, PEER4, WIRE4);
	frame_solicitation(next_template(), UPLINK, PEER6, "ff02::1:ff00:10", WIRE6, true);
	struct frame *advertisement = next_template();
	frame_solicitation(advertisement, UPLINK, PEER6, WIRE6, PEER6, true);
	advertisement->bytes[advertisement->l4] = 136;
	advertisement->bytes[advertisement->l4 + 4] = 0x60;
	advertisement->bytes[advertisement->l4 + 24] = 2;
	frame_fix_icmp6(advertisement);
	for (size_t i = 0; i < template_count; i++) {
		memcpy(templates[i].bytes + 6, peer_mac, 6);
		if (!(templates[i].bytes[0] & 1))
			memcpy(templates[i].bytes, port_mac(UPLINK), 6);
	}
}

static void empty_rings(void)
{
	for (unsigned int slot = 0; slot < TEST_PORTS; slot++)
		while (pull_frame(slot, &got))
			;
}

static void storm(uint16_t vlan, unsigned int frames)
{
	struct uplink uplink = graph_uplink();
	struct error err;

	uplink.vlan = vlan;
	assert_int_equal(0, datapath_set_uplink(&uplink, &err));
	make_templates();
	for (unsigned int i = 0; i < frames; i++) {
		const struct frame *from = &templates[random_number((uint32_t)template_count)];
		f.size = from->size;
		memcpy(f.bytes, from->bytes, from->size);
		if (random_number(4) > 0 && vlan != 0) {
			memmove(f.bytes + 16, f.bytes + 12, f.size - 12);
			memcpy(f.bytes + 12, (uint8_t[]){0x81, 0, 0, (uint8_t)vlan}, 4);
			f.size += 4;
		}
		for (unsigned int n = random_number(4); n > 0; n--)
			f.bytes[12 + random_number((uint32_t)RTE_MIN(f.size - 12, (size_t)90))] ^=
				(uint8_t)(1 << random_number(8));
		if (random_number(8) == 0)
			f.size = 1 + random_number((uint32_t)f.size);
		push(UPLINK, frame_to_mbuf(&f, random_number(3) == 0 ? 1 + random_number(100) : 0));
		if (i % 16 == 0) {
			frame_udp4(&f, POD_A, A4, i % 32 == 0 ? PEER4 : GATE4, 10);
			push(POD_A, frame_to_mbuf(&f, 0));
			pass_ms(random_number(200));
			empty_rings();
		}
	}
	run();
	empty_rings();
}

static void a_storm_of_damaged_frames_from_the_wire_does_no_harm(void **state)
{
	random_state = 20261126;
	storm(0, 30000);
	storm(42, 30000);
	storm(0, 1000);
	// All is as it was.
	settle();
	for (int i = 0; i < 4; i++)
		pass_ms(NEIGHBOUR_STALE_MS);
	empty_rings();
	frame_udp4(&f, UPLINK, PEER4, A4, 100);
	to_agent(&f, peer_mac);
	inject(UPLINK, &f);
	frame_as_forwarded(&f, POD_A);
	assert_true(pull_frame(POD_A, &got));
	assert_memory_equal(f.bytes, got.bytes, f.size);
}

// Packets wait, come and go while what they need is taken away and given back.
static void the_uplink_changes_under_traffic(void **state)
{
	struct datapath_port port = graph_port_config(UPLINK);
	struct uplink uplink = graph_uplink();
	uint64_t now_ms = 1000 * 1000;
	struct error err;

	make_templates();
	graph_launch_worker();
	for (unsigned int i = 0; i < 600; i++) {
		frame_udp4(&f, POD_A, A4, i % 3 == 0 ? PEER4 : "192.0.2.99", 10);
		push(POD_A, frame_to_mbuf(&f, 0));
		frame_udp6(&f, POD_B, B6, PEER6, 10);
		push(POD_B, frame_to_mbuf(&f, 0));
		push(UPLINK, frame_to_mbuf(&templates[i % template_count], 0));
		if (i % 10 == 3) {
			uplink.vlan = i % 20 == 3 ? 42 : 0;
			assert_int_equal(0, datapath_set_uplink(&uplink, &err));
		}
		if (i % 50 == 20)
			assert_int_equal(0, datapath_set_uplink(NULL, &err));
		if (i % 70 == 30) {
			datapath_port_remove(UPLINK);
			drain(UPLINK);
			assert_int_equal(0, datapath_port_add(&port, &err));
		}
		now_ms += 300;
		neighbours_run(now_ms);
		empty_rings();
	}
	// The worker has nothing any more when its packets have been given up.
	for (unsigned int slot = 0; slot < TEST_PORTS; slot++)
		datapath_port_remove(slot);
	rte_delay_us_sleep(20000);
	empty_rings();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WIRE_TEST(a_storm_of_damaged_frames_from_the_wire_does_no_harm),
		WIRE_TEST(the_uplink_changes_under_traffic),
	};

	return cmocka_run_group_tests(tests, graph_start, graph_stop);
}
