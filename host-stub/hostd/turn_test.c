// SPDX-License-Identifier: BSD-3-Clause

#include "hostd/turn.h"

#include <pthread.h>
#include <stdatomic.h>

#include "hostd/test_cmocka.h"

enum { THREADS = 8, TURNS = 500, FOREVER_MS = 600000 };

static struct turn *open_turn(uint32_t max_ms)
{
	struct error error = {0};
	struct turn *turn;

	if (turn_open(max_ms, &turn, &error) < 0)
		fail_msg("%s", error.message);
	return turn;
}

static void alone_nobody_waits(void **state)
{
	struct turn *turn = open_turn(FOREVER_MS);

	for (unsigned int i = 0; i < 3; i++) {
		assert_true(turn_wait(turn));
		turn_end(turn);
	}
	turn_close(turn);
	turn_close(NULL);
}

struct crowd {
	struct turn *turn;
	atomic_uint inside, together, done;
};

static void *take_turns(void *arg)
{
	struct crowd *crowd = arg;

	for (unsigned int i = 0; i < TURNS; i++) {
		if (!turn_wait(crowd->turn))
			break;
		if (atomic_fetch_add(&crowd->inside, 1) != 0)
			atomic_fetch_add(&crowd->together, 1);
		atomic_fetch_sub(&crowd->inside, 1);
		atomic_fetch_add(&crowd->done, 1);
		turn_end(crowd->turn);
	}
	return NULL;
}

static void in_a_crowd_there_is_one_at_a_time_and_everybody_has_a_turn(void **state)
{
	struct crowd crowd = {.turn = open_turn(FOREVER_MS)};
	pthread_t threads[THREADS];

	for (unsigned int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_turns, &crowd), 0);
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(crowd.together, 0);
	assert_int_equal(crowd.done, THREADS * TURNS);
	turn_close(crowd.turn);
}

static void who_is_stuck_is_passed_by_and_may_still_end_its_turn(void **state)
{
	struct turn *turn = open_turn(20);

	assert_true(turn_wait(turn)); // and does not get on
	assert_false(turn_wait(turn));
	assert_false(turn_wait(turn));
	turn_end(turn);
	assert_true(turn_wait(turn));
	turn_end(turn);
	turn_close(turn);
}

static void *wait_once(void *arg)
{
	struct crowd *crowd = arg;

	crowd->together = turn_wait(crowd->turn);
	return NULL;
}

static void who_waits_is_not_forgotten_when_a_stuck_one_ends_its_turn(void **state)
{
	struct crowd crowd = {.turn = open_turn(FOREVER_MS), .together = 2};
	pthread_t thread;

	assert_true(turn_wait(crowd.turn));
	assert_int_equal(pthread_create(&thread, NULL, wait_once, &crowd), 0);
	turn_end(crowd.turn); // whether it is in the line already or not
	pthread_join(thread, NULL);
	assert_int_equal(crowd.together, 1);
	turn_end(crowd.turn);
	turn_close(crowd.turn);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(alone_nobody_waits),
		cmocka_unit_test(in_a_crowd_there_is_one_at_a_time_and_everybody_has_a_turn),
		cmocka_unit_test(who_is_stuck_is_passed_by_and_may_still_end_its_turn),
		cmocka_unit_test(who_waits_is_not_forgotten_when_a_stuck_one_ends_its_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
