// SPDX-License-Identifier: BSD-3-Clause
//
// See wire_test.h.

#include "datapath/wire_test.h"

#include <netinet/in.h>

const uint8_t peer_mac[6] = {0x02, 0, 0, 0, 0x02, 0x20};
const uint8_t gate_mac[6] = {0x02, 0, 0, 0, 0x02, 0x01};

static struct frame f, got;

int wire_set_up(void **state)
{
	struct uplink uplink = graph_uplink();
	struct error err;
	int r = graph_set_up(state);

	if (r < 0)
		return r;
	assert_int_equal(0, datapath_set_uplink(&uplink, &err));
	settle();
	return 0;
}

void settle(void)
{
	for (int i = 0; i < 4; i++)
		pass_ms(1000);
	while (pull_frame(UPLINK, &got))
		;
}

void to_agent(struct frame *frame, const uint8_t mac[6])
{
	memcpy(frame->bytes, port_mac(UPLINK), 6);
	memcpy(frame->bytes + 6, mac, 6);
}

void assert_on_wire(const struct frame *sent, const uint8_t mac[6])
{
	static struct frame expected;

	expected = *sent;
	frame_as_forwarded(&expected, UPLINK);
	memcpy(expected.bytes, mac, 6);
	memcpy(expected.bytes + 6, port_mac(UPLINK), 6);
	assert_true(pull_frame(UPLINK, &got));
	assert_int_equal(expected.size, got.size);
	assert_memory_equal(expected.bytes, got.bytes, got.size);
}

void assert_asked4(const char *target, const uint8_t *mac)
{
	uint8_t expected[42] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

	if (mac != NULL)
		memcpy(expected, mac, 6);
	memcpy(expected + 6, port_mac(UPLINK), 6);
	memcpy(expected + 12, (uint8_t[]){8, 6, 0, 1, 8, 0, 6, 4, 0, 1}, 10);
	memcpy(expected + 22, port_mac(UPLINK), 6);
	inet_pton(AF_INET, WIRE4, expected + 28);
	inet_pton(AF_INET, target, expected + 38);
	assert_true(pull_frame(UPLINK, &got));
	assert_int_equal(sizeof(expected), got.size);
	assert_memory_equal(expected, got.bytes, sizeof(expected));
}

void assert_asked6(const char *target, const uint8_t *mac)
{
	struct in6_addr wanted, address;

	inet_pton(AF_INET6, target, &wanted);
	assert_true(pull_frame(UPLINK, &got));
	assert_int_equal(14 + 40 + 32, got.size);
	assert_memory_equal(port_mac(UPLINK), got.bytes + 6, 6);
	const uint8_t *ip = got.bytes + got.l3, *nd = got.bytes + got.l4;
	if (mac != NULL) {
		assert_memory_equal(mac, got.bytes, 6);
		assert_memory_equal(&wanted, ip + 24, 16);
	} else {
		const uint8_t *last = wanted.s6_addr + 13;

		assert_memory_equal(((uint8_t[]){0x33, 0x33, 0xff, last[0], last[1], last[2]}),
				    got.bytes, 6);
		inet_pton(AF_INET6, "ff02::1:ff00:0", &address);
		memcpy(address.s6_addr + 13, last, 3);
		assert_memory_equal(&address, ip + 24, 16);
	}
	inet_pton(AF_INET6, WIRE6, &address);
	assert_memory_equal(&address, ip + 8, 16);
	assert_int_equal(255, ip[7]);
	assert_int_equal(135, nd[0]);
	assert_memory_equal(&wanted, nd + 8, 16);
	assert_memory_equal(port_mac(UPLINK), nd + 26, 6);
	assert_true(l4_checksum_good(&got));
}

static void say4(const char *address, const char *target, const uint8_t mac[6], bool to_all)
{
	frame_arp(&f, UPLINK, 2, address, target);
	if (!to_all)
		memcpy(f.bytes, port_mac(UPLINK), 6);
	memcpy(f.bytes + 6, mac, 6);
	memcpy(f.bytes + 22, mac, 6);
	inject(UPLINK, &f);
}

void answer4(const char *address, const uint8_t mac[6])
{
	say4(address, WIRE4, mac, false);
	assert_no_drops(UPLINK);
}

void tell4(const char *address, const uint8_t mac[6])
{
	say4(address, address, mac, true);
	assert_dropped(UPLINK, DROP_ARP_IGNORED);
}

void advertise6(const char *address, const uint8_t mac[6], uint8_t flags, const char *destination)
{
	frame_solicitation(&f, UPLINK, address, destination != NULL ? destination : WIRE6, address,
			   true);
	if (destination == NULL)
		memcpy(f.bytes, port_mac(UPLINK), 6);
	memcpy(f.bytes + 6, mac, 6);
	uint8_t *nd = f.bytes + f.l4;
	nd[0] = 136;
	nd[4] = flags;
	nd[24] = 2;
	memcpy(nd + 26, mac, 6);
	frame_fix_icmp6(&f);
	inject(UPLINK, &f);
}

void answer6(const char *address, const uint8_t mac[6])
{
	advertise6(address, mac, 0x60, NULL);
	assert_no_drops(UPLINK);
}

void tell6(const char *address, const uint8_t mac[6])
{
	advertise6(address, mac, 0x20, "ff02::1");
	assert_no_drops(UPLINK);
}

void meet(unsigned int slot, const char *pod, const char *peer, const char *next_hop,
	  const uint8_t mac[6])
{
	bool ipv6 = strchr(pod, ':') != NULL;

	(ipv6 ? frame_udp6 : frame_udp4)(&f, slot, pod, peer, 1);
	inject(slot, &f);
	(ipv6 ? assert_asked6 : assert_asked4)(next_hop, NULL);
	(ipv6 ? answer6 : answer4)(next_hop, mac);
}
