// SPDX-License-Identifier: BSD-3-Clause
//
// The host's MAC address: nobody tells it, so it is learned, and asked for when a packet needs it.
// Neighbours on the wire are in uplink_graph_test.c.

#include "datapath/graph_test.h"

#include "datapath/neighbour.h"
#include "datapath/worker.h"

static struct frame f, got;

// The host's port as after a restart: it has not been heard.
static void forget_host(void)
{
	struct datapath_port config = graph_port_config(HOST);

	graph_replace_port(&config);
}

static void host_answers(void)
{
	frame_arp(&f, HOST, 2, GATEWAY4, "169.254.1.1");
	inject(HOST, &f);
	assert_dropped(HOST, DROP_ARP_IGNORED);
}

static void assert_asked_by_arp(void)
{
	uint8_t expected[42] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

	memcpy(expected + 6, router_mac, 6);
	memcpy(expected + 12, (uint8_t[]){8, 6, 0, 1, 8, 0, 6, 4, 0, 1}, 10);
	memcpy(expected + 22, router_mac, 6);
	memcpy(expected + 28, (uint8_t[]){169, 254, 1, 1}, 4);
	inet_pton(AF_INET, GATEWAY4, expected + 38);
	assert_true(pull_frame(HOST, &got));
	assert_int_equal(sizeof(expected), got.size);
	assert_memory_equal(expected, got.bytes, sizeof(expected));
}

static void assert_asked_by_solicitation(void)
{
	struct in6_addr address;

	assert_true(pull_frame(HOST, &got));
	assert_int_equal(14 + 40 + 32, got.size);
	assert_memory_equal(((uint8_t[]){0x33, 0x33, 0xff, 0, 0, 1}), got.bytes, 6);
	assert_memory_equal(router_mac, got.bytes + 6, 6);
	assert_int_equal(255, got.bytes[got.l3 + 7]);
	inet_pton(AF_INET6, "fe80::1", &address);
	assert_memory_equal(&address, got.bytes + got.l3 + 8, 16);
	inet_pton(AF_INET6, "ff02::1:ff00:1", &address);
	assert_memory_equal(&address, got.bytes + got.l3 + 24, 16);
	assert_int_equal(135, got.bytes[got.l4]);
	inet_pton(AF_INET6, GATEWAY6, &address);
	assert_memory_equal(&address, got.bytes + got.l4 + 8, 16);
	assert_memory_equal(router_mac, got.bytes + got.l4 + 26, 6);
	assert_true(l4_checksum_good(&got));
}

// By whatever address it is known: what was heard last need not have been the host.
static void a_host_that_is_known_is_asked_all_the_same(void **state)
{
	host_answers();
	neighbours_ask_host(HOST);
	run();
	assert_asked_by_arp();
	assert_nothing_out();
}

// What came out is the frame, as the router passes it on to the host.
static void assert_released(struct frame *sent)
{
	assert_true(pull_frame(HOST, &got));
	frame_as_forwarded(sent, HOST);
	assert_int_equal(sent->size, got.size);
	assert_memory_equal(sent->bytes, got.bytes, sent->size);
}

static void assert_pod_is_told(void)
{
	assert_dropped(POD_A, DROP_NEIGHBOUR_UNREACHABLE);
	assert_true(pull_frame(POD_A, &got));
	assert_memory_equal(((uint8_t[]){3, 1}), got.bytes + got.l4, 2); // host unreachable
}

static void the_first_ipv4_packet_waits_for_the_answer(void **state)
{
	static struct frame first;

	forget_host();
	frame_udp4(&first, POD_A, A4, GATEWAY4, 10);
	inject(POD_A, &first);
	assert_asked_by_arp();
	assert_nothing_out();
	assert_no_drops(POD_A);

	host_answers();
	assert_released(&first);
	assert_nothing_out();
	assert_no_drops(POD_A);
}

static void the_first_ipv6_packet_waits_for_the_answer(void **state)
{
	static struct frame first;

	forget_host();
	frame_udp6(&first, POD_A, A6, GATEWAY6, 10);
	inject(POD_A, &first);
	assert_asked_by_solicitation();
	assert_nothing_out();
	assert_no_drops(POD_A);

	frame_solicitation(&f, HOST, GATEWAY6, "fe80::1", "fe80::1", true);
	f.bytes[f.l4] = 136; // an advertisement, as good as any frame
	frame_fix_icmp6(&f);
	inject(HOST, &f);
	assert_dropped(HOST, DROP_ND_IGNORED);
	assert_released(&first);
	assert_nothing_out();
}

static void waiting_packets_keep_their_order(void **state)
{
	enum { PACKETS = 40 };

	forget_host();
	for (unsigned int i = 0; i < PACKETS; i++) {
		frame_udp4(&f, POD_A, A4, GATEWAY4, 10 + i);
		inject(POD_A, &f);
		if (i == 0)
			assert_asked_by_arp();
	}
	host_answers();
	for (unsigned int i = 0; i < PACKETS; i++) {
		frame_udp4(&f, POD_A, A4, GATEWAY4, 10 + i);
		assert_released(&f);
	}
	assert_nothing_out();
	assert_no_drops(POD_A);
}

static void a_host_that_does_not_answer_is_not_waited_for(void **state)
{
	forget_host();
	frame_udp4(&f, POD_A, A4, GATEWAY4, 10);
	inject(POD_A, &f);
	assert_asked_by_arp();
	pass_ms(999);
	assert_nothing_out();
	for (unsigned int again = 0; again < 2; again++) {
		assert_no_drops(POD_A);
		pass_ms(again == 0 ? 1 : 1000);
		assert_asked_by_arp();
	}
	pass_ms(1000);
	assert_pod_is_told();
	assert_nothing_out();
	host_answers();
	assert_nothing_out();
}

static void a_packet_does_not_wait_for_ever(void **state)
{
	forget_host();
	frame_udp4(&f, POD_A, A4, GATEWAY4, 10);
	inject(POD_A, &f);
	assert_asked_by_arp();
	expire_waiting(); // the control thread has other things to do
	assert_pod_is_told();
	host_answers();
	assert_nothing_out();
}

// Who asks for a host that does not answer is told so at once, until it is asked again.
static void a_host_that_did_not_answer_is_asked_again_later(void **state)
{
	static struct frame ping;

	forget_host();
	frame_udp4(&ping, POD_A, A4, GATEWAY4, 10);
	inject(POD_A, &ping);
	for (unsigned int i = 0; i < 3; i++) {
		assert_asked_by_arp();
		pass_ms(1000);
	}
	assert_pod_is_told();
	inject(POD_A, &ping);
	assert_pod_is_told();
	pass_ms(3000);
	inject(POD_A, &ping);
	assert_asked_by_arp();
	host_answers();
	assert_released(&ping);
	assert_nothing_out();
}

static void no_more_wait_than_there_is_room_for(void **state)
{
	forget_host();
	frame_udp4(&f, POD_A, A4, GATEWAY4, 10);
	for (unsigned int i = 0; i < WAITING_HOST_MAX + 3; i++)
		inject(POD_A, &f);
	assert_asked_by_arp();
	assert_nothing_out();
	assert_dropped_n(POD_A, DROP_NEIGHBOUR_QUEUE, 3);
	host_answers();
	for (unsigned int i = 0; i < WAITING_HOST_MAX; i++) {
		frame_udp4(&f, POD_A, A4, GATEWAY4, 10);
		assert_released(&f);
	}
	assert_nothing_out();
}

static void what_a_gone_pod_sent_does_not_go_on(void **state)
{
	struct datapath_port config = graph_port_config(POD_A);

	forget_host();
	frame_udp4(&f, POD_A, A4, GATEWAY4, 10);
	inject(POD_A, &f);
	assert_asked_by_arp();
	graph_replace_port(&config); // another pod with the same function
	host_answers();
	assert_nothing_out();
	assert_dropped(POD_A, DROP_PORT_GONE);
}

static void what_waits_goes_when_the_hosts_port_goes(void **state)
{
	forget_host();
	frame_udp4(&f, POD_A, A4, GATEWAY4, 10);
	inject(POD_A, &f);
	assert_asked_by_arp();
	datapath_port_remove(HOST);
	run();
	assert_dropped(POD_A, DROP_PORT_GONE);
	assert_nothing_out();
}

static void what_still_waits_at_the_end_is_freed(void **state)
{
	forget_host();
	frame_udp4(&f, POD_A, A4, GATEWAY4, 10);
	inject(POD_A, &f);
	assert_asked_by_arp();
	// The tear-down looks for lost buffers.
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GRAPH_TEST(the_first_ipv4_packet_waits_for_the_answer),
		GRAPH_TEST(the_first_ipv6_packet_waits_for_the_answer),
		GRAPH_TEST(waiting_packets_keep_their_order),
		GRAPH_TEST(a_host_that_is_known_is_asked_all_the_same),
		GRAPH_TEST(a_host_that_does_not_answer_is_not_waited_for),
		GRAPH_TEST(a_packet_does_not_wait_for_ever),
		GRAPH_TEST(a_host_that_did_not_answer_is_asked_again_later),
		GRAPH_TEST(no_more_wait_than_there_is_room_for),
		GRAPH_TEST(what_a_gone_pod_sent_does_not_go_on),
		GRAPH_TEST(what_waits_goes_when_the_hosts_port_goes),
		GRAPH_TEST(what_still_waits_at_the_end_is_freed),
	};

	return cmocka_run_group_tests(tests, graph_start, graph_stop);
}
