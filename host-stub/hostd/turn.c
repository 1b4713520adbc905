// SPDX-License-Identifier: BSD-3-Clause
//
// See turn.h. Who ends its turn hands it to the first in the line, so that nobody who comes meanwhile gets ahead.

#include "hostd/turn.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <time.h>

#include "hostd/clock.h"

struct waiting {
	TAILQ_ENTRY(waiting) entry;
	pthread_cond_t called;
	bool has_turn;
};

struct turn {
	uint32_t max_ms;
	pthread_condattr_t attributes; // of the monotonic clock
	pthread_mutex_t mutex;         // of all below
	bool taken;
	uint64_t since_ms;
	TAILQ_HEAD(, waiting) line;
};

int turn_open(uint32_t max_ms, struct turn **ret_turn, struct error *err)
{
	struct turn *turn = calloc(1, sizeof(*turn));

	if (turn == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "prepare for many calls: no memory");
	turn->max_ms = max_ms;
	pthread_condattr_init(&turn->attributes);
	pthread_condattr_setclock(&turn->attributes, CLOCK_MONOTONIC);
	pthread_mutex_init(&turn->mutex, NULL);
	TAILQ_INIT(&turn->line);
	*ret_turn = turn;
	return 0;
}

void turn_close(struct turn *turn)
{
	if (turn == NULL)
		return;
	pthread_mutex_destroy(&turn->mutex);
	pthread_condattr_destroy(&turn->attributes);
	free(turn);
}

// The mutex is held. Until it is ours, or whose it is has had it for too long.
static bool stand_in_line(struct turn *turn)
{
	struct waiting self = {.has_turn = false};

	pthread_cond_init(&self.called, &turn->attributes);
	TAILQ_INSERT_TAIL(&turn->line, &self, entry);
	while (!self.has_turn && clock_ms() < turn->since_ms + turn->max_ms) {
		uint64_t until_ms = turn->since_ms + turn->max_ms;
		struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
					 .tv_nsec = (long)(until_ms % 1000) * 1000000};

		pthread_cond_timedwait(&self.called, &turn->mutex, &until);
	}
	if (!self.has_turn)
		TAILQ_REMOVE(&turn->line, &self, entry);
	pthread_cond_destroy(&self.called);
	return self.has_turn;
}

bool turn_wait(struct turn *turn)
{
	bool has_turn = true;

	pthread_mutex_lock(&turn->mutex);
	if (turn->taken) {
		has_turn = stand_in_line(turn);
	} else {
		turn->taken = true;
		turn->since_ms = clock_ms();
	}
	pthread_mutex_unlock(&turn->mutex);
	return has_turn;
}

void turn_end(struct turn *turn)
{
	struct waiting *next;

	pthread_mutex_lock(&turn->mutex);
	next = TAILQ_FIRST(&turn->line);
	turn->taken = next != NULL;
	turn->since_ms = clock_ms();
	if (next != NULL) {
		TAILQ_REMOVE(&turn->line, next, entry);
		next->has_turn = true;
		pthread_cond_signal(&next->called);
	}
	pthread_mutex_unlock(&turn->mutex);
}
