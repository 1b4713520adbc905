// SPDX-License-Identifier: BSD-3-Clause
//
// Who has which port; and the wheel that says whose time has come.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "conntrack/ports.h"
#include "conntrack/random.h"
#include "conntrack/wheel.h"

enum { FIRST = 100, LAST = 1123, SIZE = LAST - FIRST + 1, PODS = 10 };

static struct port_space *space;
static struct random numbers = {.key = {1, 2}};

static int setup(void **state)
{
	space = port_space_new(FIRST, LAST, PODS);
	return space != NULL ? 0 : -1;
}

static int teardown(void **state)
{
	port_space_free(space);
	return 0;
}

static uint32_t take_all(uint32_t pod, uint16_t *ret_ports)
{
	uint32_t count = 0;

	while (port_space_take(space, pod, random_next(&numbers), &ret_ports[count]))
		count++;
	return count;
}

static void a_reserved_port_is_given_to_nobody(void **state)
{
	uint16_t ports[SIZE], port;

	port_space_reserve(space, FIRST + 7);
	port_space_reserve(space, FIRST + 7);
	port_space_reserve(space, FIRST - 1);
	port_space_reserve(space, LAST + 1);
	assert_int_equal(1, port_space_reserved(space));
	assert_int_equal(SIZE - 1, port_space_available(space));
	assert_false(port_space_use(space, 0, FIRST + 7));
	for (uint32_t pod = 0; pod < PODS; pod++) {
		uint32_t count = take_all(pod, ports);

		for (uint32_t i = 0; i < count; i++)
			assert_int_not_equal(FIRST + 7, ports[i]);
	}
	port_space_unreserve(space, FIRST + 7);
	assert_true(port_space_use(space, 0, FIRST + 7) || port_space_available(space) > 0);
	// One that is in use stays in use, and is reserved when it is released.
	port = ports[0];
	uint32_t used = port_space_used(space), available = port_space_available(space);
	port_space_reserve(space, port);
	assert_int_equal(available, port_space_available(space));
	port_space_release(space, port);
	assert_int_equal(used - 1, port_space_used(space));
	assert_int_equal(available, port_space_available(space));
	port_space_unreserve(space, port);
	assert_int_equal(available + 1, port_space_available(space));
	assert_int_equal(0, port_space_reserved(space));
}

static void a_port_is_one_pods_until_nobody_uses_it(void **state)
{
	uint16_t port;

	assert_true(port_space_take(space, 0, random_next(&numbers), &port));
	assert_false(port_space_use(space, 1, port));
	assert_true(port_space_use(space, 0, port));
	port_space_release(space, port);
	assert_false(port_space_use(space, 1, port));
	assert_int_equal(1, port_space_held(space, 0));
	port_space_release(space, port);
	assert_int_equal(0, port_space_held(space, 0));
	assert_int_equal(SIZE, port_space_available(space));
	assert_true(port_space_use(space, 1, port));
	assert_false(port_space_use(space, 1, FIRST - 1));
	assert_false(port_space_use(space, 1, LAST + 1));
}

static void a_certain_port_is_given_if_nobody_has_it(void **state)
{
	uint16_t ports[SIZE];

	assert_true(port_space_take_this(space, 0, FIRST + 7));
	assert_int_equal(1, port_space_held(space, 0));
	assert_int_equal(SIZE - 1, port_space_available(space));
	assert_false(port_space_take_this(space, 0, FIRST + 7));
	assert_false(port_space_take_this(space, 1, FIRST + 7));
	assert_false(port_space_take_this(space, 1, FIRST - 1));
	assert_false(port_space_take_this(space, 1, LAST + 1));
	port_space_reserve(space, FIRST + 8);
	assert_false(port_space_take_this(space, 1, FIRST + 8));
	port_space_unreserve(space, FIRST + 8);
	// Nor to who has its share already.
	take_all(0, ports);
	for (uint16_t port = FIRST; port <= LAST; port++)
		assert_false(port_space_take_this(space, 0, port));
	port_space_release(space, FIRST + 7);
	assert_true(port_space_take_this(space, 1, FIRST + 7));
}

static void no_port_is_given_twice(void **state)
{
	uint16_t ports[PODS][SIZE];
	bool seen[LAST + 1] = {0};
	uint32_t total = 0;

	for (uint32_t pod = 0; pod < PODS; pod++) {
		uint32_t count = take_all(pod, ports[pod]);

		for (uint32_t i = 0; i < count; i++) {
			assert_in_range(ports[pod][i], FIRST, LAST);
			assert_false(seen[ports[pod][i]]);
			seen[ports[pod][i]] = true;
		}
		assert_int_equal(count, port_space_held(space, pod));
		total += count;
	}
	assert_int_equal(SIZE - total, port_space_available(space));
}

static void one_pod_gets_two_thirds_and_the_others_the_same_of_the_rest(void **state)
{
	uint16_t ports[SIZE];
	uint32_t left = SIZE;

	for (uint32_t pod = 0; pod < 4; pod++) {
		uint32_t count = take_all(pod, ports);

		assert_in_range(count, left * 2 / 3 - 2, left * 2 / 3 + 1);
		left -= count;
	}
}

static void the_last_port_is_for_a_pod_that_has_none(void **state)
{
	uint16_t port;

	port_space_free(space);
	space = port_space_new(1, 2, PODS);
	assert_true(port_space_take(space, 0, 0, &port));
	assert_false(port_space_take(space, 0, 0, &port));
	assert_true(port_space_take(space, 1, 0, &port));
	assert_false(port_space_take(space, 2, 0, &port));
}

static void the_whole_range_may_be_used(void **state)
{
	uint16_t port, lowest = UINT16_MAX, highest = 0;

	port_space_free(space);
	space = port_space_new(1, UINT16_MAX, PODS);
	for (uint32_t i = 0; i < UINT16_MAX; i++) {
		if (port_space_take(space, i % PODS, i % 2 ? 0 : UINT64_MAX, &port)) {
			lowest = port < lowest ? port : lowest;
			highest = port > highest ? port : highest;
		}
	}
	assert_int_equal(1, lowest);
	assert_int_equal(UINT16_MAX, highest);
}

static void every_port_is_as_likely(void **state)
{
	uint32_t hits[16] = {0};
	uint16_t port;

	for (uint32_t i = 0; i < 16000; i++) {
		assert_true(port_space_take(space, 0, random_next(&numbers), &port));
		hits[(port - FIRST) / (SIZE / 16)]++;
		port_space_release(space, port);
	}
	for (uint32_t i = 0; i < 16; i++) // by a fixed key, so always the same
		assert_in_range(hits[i], 850, 1150);
}

static void a_pods_own_ports_come_round(void **state)
{
	uint16_t port, first;
	bool seen[LAST + 1] = {0};

	assert_false(port_space_next_own(space, 3, &port));
	for (uint32_t i = 0; i < 20; i++) {
		assert_true(port_space_take(space, i % 2 ? 3 : 4, random_next(&numbers), &port));
		seen[port] = i % 2;
	}
	assert_true(port_space_next_own(space, 3, &first));
	for (uint32_t i = 1; i < 10; i++) {
		assert_true(port_space_next_own(space, 3, &port));
		assert_true(seen[port]);
		assert_int_not_equal(first, port);
		seen[port] = false;
	}
	assert_true(port_space_next_own(space, 3, &port));
	assert_int_equal(first, port);
}

static void a_pod_that_is_gone_leaves_no_claim(void **state)
{
	uint16_t ports[SIZE], port;
	uint32_t count = take_all(5, ports);

	port_space_forget(space, 5);
	assert_int_equal(0, port_space_held(space, 5));
	assert_false(port_space_next_own(space, 5, &port));
	assert_false(port_space_use(space, 5, ports[0]));
	assert_true(port_space_take(space, 5, random_next(&numbers), &port));
	for (uint32_t i = 0; i < count; i++) {
		port_space_release(space, ports[i]);
		assert_int_equal(1, port_space_held(space, 5));
	}
	assert_int_equal(SIZE - 1, port_space_available(space));
	assert_true(port_space_next_own(space, 5, &ports[0]));
	assert_int_equal(port, ports[0]);
}

// ---- the wheel -----------------------------------------------------------------------------------

static void every_turn_comes_when_it_is_due(void **state)
{
	enum { COUNT = 1500 };
	static struct wheel_link links[COUNT];
	static uint32_t due[COUNT];
	static struct wheel wheel;
	uint32_t start = UINT32_MAX - 700, ended = 0;

	srandom(7);
	wheel_init(&wheel, links, start);
	for (uint32_t i = 0; i < COUNT; i++) {
		due[i] = start + 1 + (uint32_t)random() % 2000;
		wheel_add(&wheel, i, due[i]);
		if (i % 10 == 0 && due[i] - start > 50) { // sooner, after all
			due[i] = start + 50;
			wheel_hasten(&wheel, i, due[i]);
		}
	}
	for (uint32_t i = 5; i < COUNT; i += 10) {
		wheel_remove(&wheel, i);
		due[i] = 0;
		ended++;
	}
	for (uint32_t now = start; now != start + 2001; now++) {
		uint32_t index;

		while ((index = wheel_turn(&wheel, now)) != WHEEL_NONE) {
			assert_true(due[index] - start >= now - start);
			if (due[index] != now) {
				wheel_add(&wheel, index, due[index]); // a turn on the way
			} else {
				due[index] = 0;
				ended++;
			}
		}
		for (uint32_t i = 0; i < COUNT; i++)
			assert_true(due[i] == 0 || due[i] - start > now - start);
	}
	assert_int_equal(COUNT, ended);
}

static void a_wheel_that_stood_still_catches_up(void **state)
{
	struct wheel_link links[3];
	struct wheel wheel;

	wheel_init(&wheel, links, 10);
	for (uint32_t i = 0; i < 3; i++)
		wheel_add(&wheel, i, 20 + i * 100);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(i, wheel_turn(&wheel, 1000000));
	assert_int_equal(WHEEL_NONE, wheel_turn(&wheel, 1000000));
	wheel_add(&wheel, 1, 1000005);
	assert_int_equal(WHEEL_NONE, wheel_turn(&wheel, 1000004));
	assert_int_equal(1, wheel_turn(&wheel, 1000005));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_reserved_port_is_given_to_nobody),
		TEST(a_port_is_one_pods_until_nobody_uses_it),
		TEST(a_certain_port_is_given_if_nobody_has_it),
		TEST(no_port_is_given_twice),
		TEST(one_pod_gets_two_thirds_and_the_others_the_same_of_the_rest),
		TEST(the_last_port_is_for_a_pod_that_has_none),
		TEST(the_whole_range_may_be_used),
		TEST(every_port_is_as_likely),
		TEST(a_pods_own_ports_come_round),
		TEST(a_pod_that_is_gone_leaves_no_claim),
		cmocka_unit_test(every_turn_comes_when_it_is_due),
		cmocka_unit_test(a_wheel_that_stood_still_catches_up),
	};

	return cmocka_run_group_tests_name("ports", tests, NULL, NULL);
}
