// SPDX-License-Identifier: BSD-3-Clause
//
// A worker with nothing to do sleeps, and wakes for every packet: with Rx interrupts and without.

#include "datapath/graph_test.h"

#include <time.h>

#include <rte_cycles.h>

enum {
	PATIENCE_MS = 10000, // for a loaded machine; what is lost never comes
};

static struct frame f;

static int set_up_with_interrupts(void **state)
{
	graph_have_interrupts(true);
	return graph_set_up(state);
}

static int tear_down_with_interrupts(void **state)
{
	graph_have_interrupts(false);
	return graph_tear_down(state);
}

static uint64_t process_cpu_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void wait_for_packet(unsigned int slot)
{
	struct rte_mbuf *m;

	for (uint64_t start = now_us(); (m = pull(slot)) == NULL;) {
		if (now_us() - start > PATIENCE_MS * 1000ull)
			fail_msg("the worker sleeps over a packet");
		if (now_us() - start > 200)
			rte_delay_us_sleep(50);
	}
	rte_pktmbuf_free(m);
}

// One packet at a time, at all distances around the time that it takes to fall asleep.
static void wake_for_every_packet(void)
{
	graph_launch_worker();
	frame_udp4(&f, POD_A, A4, B4, 20);
	for (unsigned int i = 0; i < 3000; i++) {
		push(POD_A, frame_to_mbuf(&f, 0));
		wait_for_packet(POD_B);
		if (i % 2 == 0)
			rte_delay_us_block(i % 80);
		else if (i % 100 == 1)
			rte_delay_us_sleep(1000);
	}
}

static void a_worker_wakes_for_every_packet_by_interrupt(void **state)
{
	wake_for_every_packet();
}

static void a_worker_wakes_for_every_packet_by_polling(void **state)
{
	wake_for_every_packet();
}

// Packets that come while another port's traffic keeps the worker awake, or just falls silent.
static void a_worker_hears_all_of_its_ports(void **state)
{
	static struct frame other;

	graph_launch_worker();
	frame_udp4(&f, POD_A, A4, B4, 20);
	frame_udp4(&other, POD_SMALL, SMALL4, GATEWAY4, 20);
	for (unsigned int i = 0; i < 3000; i++) {
		push(POD_SMALL, frame_to_mbuf(&other, 0));
		rte_delay_us_block(i % 60);
		push(POD_A, frame_to_mbuf(&f, 0));
		wait_for_packet(POD_B);
		wait_for_packet(HOST);
	}
}

static void a_port_that_comes_while_the_worker_sleeps_is_heard(void **state)
{
	graph_launch_worker();
	frame_udp4(&f, POD_A, A4, B4, 20);
	for (unsigned int i = 0; i < 300; i++) {
		struct datapath_port config = graph_port_config(POD_A);

		graph_replace_port(&config);
		if (i % 3 == 0)
			rte_delay_us_sleep(500);
		push(POD_A, frame_to_mbuf(&f, 0));
		wait_for_packet(POD_B);
	}
}

// Ports up to SLOTS, with nobody behind them.
static void add_idle_ports(void)
{
	for (unsigned int slot = EXTRA; slot < SLOTS; slot++) {
		struct datapath_port config = graph_port_config(slot);

		graph_replace_port(&config);
	}
}

// So many that they rest: each still is heard, whether others keep the worker awake or not.
static void a_worker_hears_a_port_that_rests(void **state)
{
	static struct frame other;

	add_idle_ports();
	graph_launch_worker();
	frame_udp4(&f, POD_A, A4, B4, 20);
	frame_udp4(&other, POD_SMALL, SMALL4, GATEWAY4, 20);
	for (unsigned int i = 0; i < 60; i++) {
		// Long enough that all others rest; then one of them, which rested, has something, at odd moments.
		uint64_t until = now_us() + 3000 + i % 50;

		while (i % 3 != 0 && now_us() < until) {
			push(POD_SMALL, frame_to_mbuf(&other, 0));
			wait_for_packet(HOST);
		}
		if (i % 3 == 0)
			rte_delay_us_sleep(3000);
		push(POD_A, frame_to_mbuf(&f, 0));
		wait_for_packet(POD_B);
	}
}

static void ports_that_are_empty_for_long_are_not_polled(void **state)
{
	add_idle_ports();
	walk_once();
	assert_int_equal(TEST_PORTS + SLOTS - EXTRA, polled_ports());
	frame_udp4(&f, POD_A, A4, B4, 20);
	for (unsigned int i = 0; i < 1200; i++) {
		push(POD_A, frame_to_mbuf(&f, 0));
		assert_int_equal(1, walk_once());
		struct rte_mbuf *m = pull(POD_B);
		assert_non_null(m);
		rte_pktmbuf_free(m);
	}
	assert_in_range(polled_ports(), 1, 8);
	// A change of ports wakes none of them; the new one is polled.
	struct datapath_port config = graph_port_config(EXTRA);
	graph_replace_port(&config);
	walk_once();
	assert_in_range(polled_ports(), 1, 9);
}

static void ports_that_cannot_ring_are_polled(void **state)
{
	add_idle_ports();
	for (unsigned int i = 0; i < 1200; i++)
		walk_once();
	assert_int_equal(TEST_PORTS + SLOTS - EXTRA, polled_ports());
}

static void sleep_while_idle(uint64_t most_percent)
{
	const uint64_t span_us = 500000;

	graph_launch_worker();
	frame_udp4(&f, POD_A, A4, B4, 20);
	push(POD_A, frame_to_mbuf(&f, 0));
	wait_for_packet(POD_B);
	rte_delay_us_sleep(20000);
	uint64_t before = process_cpu_us();
	rte_delay_us_sleep((unsigned int)span_us);
	uint64_t used = process_cpu_us() - before;
	if (used > span_us * most_percent / 100)
		fail_msg("an idle worker used %lu us of %lu", used, span_us);
}

static void an_idle_worker_does_nothing_at_all(void **state)
{
	sleep_while_idle(1);
}

static void an_idle_worker_that_must_poll_sleeps_in_between(void **state)
{
	sleep_while_idle(20);
}

static void a_sleeping_worker_does_not_hold_up_control(void **state)
{
	graph_launch_worker();
	rte_delay_us_sleep(20000);
	// It sleeps without a bound: this would never return if it were waited for.
	for (unsigned int i = 0; i < 100; i++) {
		datapath_port_remove(POD_B);
		struct datapath_port config = graph_port_config(POD_B);
		graph_replace_port(&config);
	}
}

#define WITH_INTERRUPTS(name)                                                                      \
	cmocka_unit_test_setup_teardown(name, set_up_with_interrupts, tear_down_with_interrupts)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_INTERRUPTS(a_worker_wakes_for_every_packet_by_interrupt),
		GRAPH_TEST(a_worker_wakes_for_every_packet_by_polling),
		WITH_INTERRUPTS(a_worker_hears_all_of_its_ports),
		WITH_INTERRUPTS(a_worker_hears_a_port_that_rests),
		WITH_INTERRUPTS(ports_that_are_empty_for_long_are_not_polled),
		GRAPH_TEST(ports_that_cannot_ring_are_polled),
		WITH_INTERRUPTS(a_port_that_comes_while_the_worker_sleeps_is_heard),
		WITH_INTERRUPTS(an_idle_worker_does_nothing_at_all),
		GRAPH_TEST(an_idle_worker_that_must_poll_sleeps_in_between),
		WITH_INTERRUPTS(a_sleeping_worker_does_not_hold_up_control),
	};

	return cmocka_run_group_tests(tests, graph_start, graph_stop);
}
