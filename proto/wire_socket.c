// SPDX-License-Identifier: BSD-3-Clause
//
// What both ends need beside nng: its errors as ours, the clock, waiting until a time, an nng_close that
// comes back, and a peer's end that it does not take for its own.

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>

#include "proto/base/log.h"
#include "proto/wire_private.h"

enum {
	CLOSE_TIMEOUT_MS = 2000, // nng needs milliseconds, or does not finish at all
};

// ---- what a program that is linked with this calls in the place of libc's ------------------------------

// nng 1.5 makes NNG_ECLOSED of EPIPE, which means to it that it was closed itself. A listener that meets it with a connection
// that is just being made, whose peer is gone already, never accepts another one; a dialer never dials again. For all else
// that sends, these two are the same.
ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	static _Atomic(ssize_t(*)(int, const struct msghdr *, int)) next;
	ssize_t (*send)(int, const struct msghdr *, int) = atomic_load(&next);

	if (send == NULL) {
		*(void **)&send = dlsym(RTLD_NEXT, "sendmsg");
		atomic_store(&next, send);
	}
	ssize_t sent = send(fd, message, flags);
	if (sent < 0 && errno == EPIPE)
		errno = ECONNRESET;
	return sent;
}

// ---- errors and time ---------------------------------------------------------------------------------

int64_t wire_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int wire_errno(int nng_error)
{
	switch (nng_error) {
	case 0:
		return 0;
	case NNG_ETIMEDOUT:
		return ETIMEDOUT;
	case NNG_ECONNRESET:
	case NNG_ECONNSHUT:
	case NNG_ECONNABORTED:
		return ECONNRESET;
	case NNG_ECONNREFUSED:
		return ECONNREFUSED;
	case NNG_ECANCELED:
	case NNG_ECLOSED:
		return ECANCELED;
	case NNG_ENOMEM:
		return ENOMEM;
	case NNG_EADDRINUSE:
		return EADDRINUSE;
	case NNG_EADDRINVAL:
	case NNG_EINVAL:
		return EINVAL;
	case NNG_EPERM:
		return EACCES;
	case NNG_ENOENT:
		return ENOENT;
	case NNG_EMSGSIZE:
		return EMSGSIZE;
	default:
		if ((nng_error & NNG_ESYSERR) != 0)
			return nng_error & ~NNG_ESYSERR;
		return EIO;
	}
}

void wire_init_condition(pthread_cond_t *condition)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(condition, &attributes);
	pthread_condattr_destroy(&attributes);
}

int wire_wait_until(pthread_cond_t *condition, pthread_mutex_t *mutex, int64_t deadline_ms)
{
	struct timespec until = {.tv_sec = deadline_ms / 1000,
				 .tv_nsec = deadline_ms % 1000 * 1000000};

	return pthread_cond_timedwait(condition, mutex, &until);
}

// ---- statistics -----------------------------------------------------------------------------------

static uint64_t value_of(nng_stat *parent, const char *name)
{
	for (nng_stat *stat = nng_stat_child(parent); stat != NULL; stat = nng_stat_next(stat))
		if (strcmp(nng_stat_name(stat), name) == 0)
			return nng_stat_value(stat);
	return 0;
}

// nng's own nng_stat_find_dialer finds nothing in a process with a second socket.
uint64_t wire_statistic(const char *kind, int id, const char *name)
{
	uint64_t value = 0;
	nng_stat *all;

	if (nng_stats_get(&all) != 0)
		return 0;
	for (nng_stat *stat = nng_stat_child(all); stat != NULL; stat = nng_stat_next(stat))
		if (strcmp(nng_stat_name(stat), kind) == 0 && value_of(stat, "id") == (uint64_t)id)
			value = value_of(stat, name);
	nng_stats_free(all);
	return value;
}

// ---- closing -------------------------------------------------------------------------------------

// Shared by who waits and who closes; the last one frees it.
struct closing {
	nng_socket socket;
	void *owned;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool done;
	bool abandoned;
};

static void free_closing(struct closing *closing)
{
	pthread_cond_destroy(&closing->changed);
	pthread_mutex_destroy(&closing->mutex);
	free(closing);
}

static void *close_socket(void *arg)
{
	struct closing *closing = arg;

	nng_close(closing->socket);
	free(closing->owned);
	pthread_mutex_lock(&closing->mutex);
	closing->done = true;
	bool abandoned = closing->abandoned;
	pthread_cond_signal(&closing->changed);
	pthread_mutex_unlock(&closing->mutex);
	if (abandoned)
		free_closing(closing);
	return NULL;
}

static atomic_uint left_behind;

unsigned int wire_left_behind(void)
{
	return left_behind;
}

bool wire_close_socket(nng_socket socket, void *owned)
{
	struct closing *closing = calloc(1, sizeof(*closing));
	int64_t deadline_ms = wire_now_ms() + CLOSE_TIMEOUT_MS;
	pthread_t thread;
	int r = 0;

	if (closing == NULL)
		return false; // the socket is left behind
	closing->socket = socket;
	closing->owned = owned;
	pthread_mutex_init(&closing->mutex, NULL);
	wire_init_condition(&closing->changed);
	if (pthread_create(&thread, NULL, close_socket, closing) != 0) {
		free_closing(closing);
		return false;
	}
	pthread_detach(thread);
	pthread_mutex_lock(&closing->mutex);
	while (!closing->done && r == 0)
		r = wire_wait_until(&closing->changed, &closing->mutex, deadline_ms);
	bool done = closing->done;
	closing->abandoned = !done;
	pthread_mutex_unlock(&closing->mutex);
	if (done) {
		free_closing(closing);
		return true;
	}
	left_behind++;
	log_warning("nng does not close a socket, it is left behind", "waited_ms=%d",
		    (int)CLOSE_TIMEOUT_MS);
	return false;
}

bool wire_reaper_works(void)
{
	static const char url[] = "inproc://podport-reaper";
	nng_socket near, far;
	bool works;

	if (nng_pair0_open(&near) != 0)
		return false;
	if (nng_pair0_open(&far) != 0) {
		wire_close_socket(near, NULL);
		return false;
	}
	// A connection must be taken apart before its socket is closed.
	if (nng_listen(near, url, NULL, 0) == 0)
		nng_dial(far, url, NULL, 0);
	works = wire_close_socket(near, NULL);
	return wire_close_socket(far, NULL) && works;
}
