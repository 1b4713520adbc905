// SPDX-License-Identifier: BSD-3-Clause
//
// The line of calls: see calls.h.
//
//      WAITING ──► RUNNING ──► done
//         ▲           │ ▲
//         └── again ──┘ └── undo: an Attach whose caller is gone
//
// There is one line in order of arrival. A call leaves it when nothing before it has its key.

#include "hostd/calls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "hostd/clock.h"
#include "hostd/work.h"
#include "proto/base/log.h"

enum {
	// The operator's questions do not wait for the agent longer than a person would.
	OPERATOR_PATIENCE_MS = 1000,
	// Of the caller's time, kept for the answer's way back.
	MARGIN_MAX_MS = 100,
	// An agent that breaks the connection on every try of a call has a problem with this call.
	TRIES_MAX = 3,
};

struct host_call {
	struct work work;
	struct calls *calls;
	TAILQ_ENTRY(host_call) entry; // in the line or among the running
	uv_work_t uv;
	uint64_t begun_ms;
	bool has_key;   // the key is in our hands
	bool undo;      // what the worker does is undoing
	bool abandoned; // nobody waits
	unsigned int tries;
	call_done done;
	void *arg;
};

TAILQ_HEAD(call_list, host_call);

struct calls {
	struct hostd *hostd;
	uv_loop_t *loop;
	uv_async_t wake;
	uv_timer_t timer; // the next deadline in the line
	struct call_list waiting, running;
	unsigned int count, threads, threads_not_detach;
	bool stopping, scanning, rescan;
	void (*idle)(void *arg);
	void *idle_arg;
};

static void schedule(struct calls *calls);

static void free_call(struct host_call *call)
{
	if (call->work.netns_fd >= 0)
		close(call->work.netns_fd);
	reply_clear(&call->work.reply);
	free(call);
}

// Two Attaches at once, and the first one's caller is gone: the second has been told that the pod
// is attached, so the first is not undone any more, and whether to undo is now up to who hears this.
static void adopt_undo(struct calls *calls, struct host_call *call)
{
	const struct attachment_key *key = work_key(&call->work.request);
	struct host_call *other, *next;

	for (other = TAILQ_FIRST(&calls->waiting); other != NULL; other = next) {
		next = TAILQ_NEXT(other, entry);
		if (!other->undo || !attachment_key_equal(work_key(&other->work.request), key))
			continue;
		TAILQ_REMOVE(&calls->waiting, other, entry);
		calls->count--;
		calls->hostd->calls_in_flight--;
		free_call(other);
		call->work.created = true;
	}
}

// The call has left both lists.
static void finish(struct host_call *call)
{
	struct calls *calls = call->calls;

	if (call->work.request.call == CALL_ATTACH && call->work.reply.code == CODE_OK &&
	    !call->undo && !call->abandoned)
		adopt_undo(calls, call);

	if (call->has_key)
		keys_release(calls->hostd->keys, work_key(&call->work.request));
	if (!call->abandoned)
		call->done(call, &call->work.reply, call->work.created, call->arg);
	calls->count--;
	calls->hostd->calls_in_flight--;
	free_call(call);
}

// ---- running -------------------------------------------------------------------------------------

static void on_worker(uv_work_t *uv)
{
	struct host_call *call = uv->data;

	if (call->undo)
		work_undo(call->calls->hostd, &call->work);
	else
		work_run(call->calls->hostd, &call->work);
}

static void after_work(uv_work_t *uv, int status);

static bool is_detach(const struct host_call *call)
{
	return call->work.request.call == CALL_DETACH || call->undo;
}

static void start(struct host_call *call)
{
	struct calls *calls = call->calls;

	calls->threads++;
	calls->threads_not_detach += !is_detach(call);
	TAILQ_INSERT_TAIL(&calls->running, call, entry);
	call->uv.data = call;
	uv_queue_work(calls->loop, &call->uv, on_worker, after_work);
}

static bool must_undo(const struct host_call *call)
{
	const struct work *work = &call->work;

	if (call->undo || work->request.call != CALL_ATTACH)
		return false;
	// Nobody will hear of it; or it will not be tried again and may have happened.
	return (call->abandoned && work->reply.code == CODE_OK && work->created) ||
	       (work->reply.code != CODE_OK && work->maybe_attached);
}

static void after_work(uv_work_t *uv, int status)
{
	struct host_call *call = uv->data;
	struct calls *calls = call->calls;
	const struct attachment_key *key = work_key(&call->work.request);
	struct error error;

	calls->threads--;
	calls->threads_not_detach -= !is_detach(call);
	TAILQ_REMOVE(&calls->running, call, entry);
	if (call->work.again && !call->undo && !call->abandoned && !calls->stopping &&
	    call->tries++ < TRIES_MAX && clock_left_ms(call->work.deadline_ms) > 0) {
		// First in line, with its key: the agent went away under it.
		TAILQ_INSERT_HEAD(&calls->waiting, call, entry);
		schedule(calls);
		return;
	}
	if (call->work.again && !call->undo) {
		link_away_error(calls->hostd->link, &error);
		work_fail(&call->work, &error);
	}
	if (must_undo(call)) {
		if (call->abandoned)
			log_warning("attachment is undone, its caller is gone",
				    "network=%s container=%s ifname=%s", key->network,
				    key->container_id, key->ifname);
		call->undo = true;
		start(call);
	} else {
		finish(call);
	}
	schedule(calls);
}

// ---- waiting -------------------------------------------------------------------------------------

static bool needs_link(const struct host_call *call)
{
	return !call->undo && call->work.request.call != CALL_DETACH &&
	       call->work.request.call != CALL_GET_STATUS;
}

static bool is_operators(const struct host_call *call)
{
	return work_key(&call->work.request) == NULL;
}

static uint64_t patience_end_ms(const struct host_call *call)
{
	uint64_t patience_ms = call->begun_ms + OPERATOR_PATIENCE_MS;

	if (is_operators(call) && needs_link(call) && patience_ms < call->work.deadline_ms)
		return patience_ms;
	return call->work.deadline_ms;
}

static bool has_thread(const struct calls *calls, const struct host_call *call)
{
	return calls->threads < CALLS_THREADS &&
	       (is_detach(call) ||
		calls->threads_not_detach < CALLS_THREADS - CALLS_THREADS_FOR_DETACH);
}

static bool is_behind_its_like(const struct calls *calls, const struct host_call *call)
{
	const struct attachment_key *key = work_key(&call->work.request);
	const struct host_call *other;

	TAILQ_FOREACH (other, &calls->waiting, entry) {
		const struct attachment_key *other_key = work_key(&other->work.request);

		if (other == call)
			return false;
		if (other_key != NULL && attachment_key_equal(key, other_key))
			return true;
	}
	return false;
}

static bool take_key(struct calls *calls, struct host_call *call)
{
	const struct attachment_key *key = work_key(&call->work.request);

	if (key == NULL || call->has_key)
		return true;
	call->has_key = !is_behind_its_like(calls, call) && keys_try_take(calls->hostd->keys, key);
	return call->has_key;
}

// It waited in vain. An undo never does: it has no deadline.
static void expire(struct calls *calls, struct host_call *call, bool link_up)
{
	struct error error;

	TAILQ_REMOVE(&calls->waiting, call, entry);
	if (needs_link(call) && !link_up)
		link_away_error(calls->hostd->link, &error);
	else
		error_set(&error, EBUSY, CODE_BUSY,
			  "%s: another call for the attachment, or too many calls, are under way",
			  call_name(call->work.request.call));
	work_fail(&call->work, &error);
	if (must_undo(call)) {
		call->undo = true;
		start(call);
	} else {
		finish(call);
	}
}

static void on_timer(uv_timer_t *timer)
{
	schedule(timer->data);
}

static void arm_timer(struct calls *calls)
{
	uint64_t next_ms = UINT64_MAX;
	struct host_call *call;

	TAILQ_FOREACH (call, &calls->waiting, entry) {
		uint64_t end_ms = patience_end_ms(call);

		if (!call->undo && end_ms < next_ms)
			next_ms = end_ms;
	}
	if (next_ms == UINT64_MAX)
		uv_timer_stop(&calls->timer);
	else
		uv_timer_start(&calls->timer, on_timer, clock_left_ms(next_ms) + 1, 0);
}

static void scan(struct calls *calls)
{
	struct host_call *call, *next;
	bool link_up;

	if (TAILQ_EMPTY(&calls->waiting))
		return; // also at the end, when there is no link any more
	link_up = link_is_up(calls->hostd->link);
	for (call = TAILQ_FIRST(&calls->waiting); call != NULL; call = next) {
		bool waits_for_link = needs_link(call) && !link_up;

		next = TAILQ_NEXT(call, entry);
		if (!waits_for_link && has_thread(calls, call) && take_key(calls, call)) {
			TAILQ_REMOVE(&calls->waiting, call, entry);
			start(call);
		} else if (!call->undo && (clock_left_ms(patience_end_ms(call)) == 0 ||
					   (calls->stopping && waits_for_link))) {
			expire(calls, call, link_up);
		}
	}
}

static void schedule(struct calls *calls)
{
	// An answer given in the scan may bring the next call, at the end of the line.
	calls->rescan = true;
	if (calls->scanning)
		return;
	calls->scanning = true;
	while (calls->rescan) {
		calls->rescan = false;
		scan(calls);
	}
	calls->scanning = false;
	arm_timer(calls);
	if (calls->stopping && calls->count == 0 && calls->idle != NULL) {
		void (*idle)(void *arg) = calls->idle;

		calls->idle = NULL;
		idle(calls->idle_arg);
	}
}

static void on_wake(uv_async_t *wake)
{
	schedule(wake->data);
}

void calls_wake(struct calls *calls)
{
	uv_async_send(&calls->wake);
}

// ---- use -----------------------------------------------------------------------------------------

static struct host_call *new_call(struct calls *calls, const struct request *request, int netns_fd)
{
	struct host_call *call = calloc(1, sizeof(*call));

	if (call == NULL)
		return NULL;
	call->calls = calls;
	call->work.request = *request;
	call->work.netns_fd = netns_fd;
	call->begun_ms = clock_ms();
	TAILQ_INSERT_TAIL(&calls->waiting, call, entry);
	calls->count++;
	calls->hostd->calls_in_flight++;
	return call;
}

static uint64_t deadline_of(const struct calls *calls, const struct request *request)
{
	uint32_t timeout_ms = request->timeout_ms;
	uint32_t margin_ms = timeout_ms / 20 < MARGIN_MAX_MS ? timeout_ms / 20 : MARGIN_MAX_MS;

	timeout_ms -= margin_ms;
	if (timeout_ms > calls->hostd->config.timeout_ms)
		timeout_ms = calls->hostd->config.timeout_ms;
	return clock_ms() + timeout_ms;
}

int calls_submit(struct calls *calls, const struct request *request, int netns_fd, call_done done,
		 void *arg, struct host_call **ret_call, struct error *err)
{
	struct host_call *call = NULL;
	int r = 0;

	if (calls->stopping)
		r = error_set(err, ESHUTDOWN, CODE_NOT_READY, "podport-hostd is stopping");
	else if (calls->count >= CALLS_MAX)
		r = error_set(err, EBUSY, CODE_BUSY, "%d calls are under way already", CALLS_MAX);
	else if ((call = new_call(calls, request, netns_fd)) == NULL)
		r = error_set(err, ENOMEM, CODE_INTERNAL, "no memory for the call");
	if (r < 0) {
		if (netns_fd >= 0)
			close(netns_fd);
		return r;
	}
	call->work.deadline_ms = deadline_of(calls, request);
	call->done = done;
	call->arg = arg;
	*ret_call = call;
	schedule(calls);
	return 0;
}

void calls_abandon(struct calls *calls, struct host_call *call)
{
	struct host_call *other;

	call->abandoned = true;
	TAILQ_FOREACH (other, &calls->waiting, entry)
		if (other == call)
			break;
	if (other == NULL)
		return; // running: after_work sees to it
	TAILQ_REMOVE(&calls->waiting, call, entry);
	if (call->work.maybe_attached) {
		call->undo = true;
		start(call);
	} else {
		finish(call);
	}
	schedule(calls);
}

void calls_undo(struct calls *calls, const struct attachment_key *key, int netns_fd)
{
	struct request request = {.call = CALL_ATTACH};
	struct host_call *call;

	request.body.attach.key = *key;
	call = new_call(calls, &request, netns_fd);
	if (call == NULL) {
		log_error("an attachment nobody waits for stays: no memory",
			  "network=%s container=%s ifname=%s", key->network, key->container_id,
			  key->ifname);
		if (netns_fd >= 0)
			close(netns_fd);
		return;
	}
	log_warning("attachment is undone, its caller did not read the answer",
		    "network=%s container=%s ifname=%s", key->network, key->container_id,
		    key->ifname);
	call->undo = call->abandoned = true;
	call->work.created = true;
	schedule(calls);
}

void calls_stop(struct calls *calls, void (*idle)(void *arg), void *arg)
{
	calls->stopping = true;
	calls->idle = idle;
	calls->idle_arg = arg;
	schedule(calls);
}

int calls_open(uv_loop_t *loop, struct hostd *hostd, struct calls **ret_calls, struct error *err)
{
	struct calls *calls = calloc(1, sizeof(*calls));
	int r;

	if (calls == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "prepare calls: no memory");
	calls->hostd = hostd;
	calls->loop = loop;
	TAILQ_INIT(&calls->waiting);
	TAILQ_INIT(&calls->running);
	r = uv_async_init(loop, &calls->wake, on_wake);
	if (r < 0) {
		free(calls);
		return error_set(err, -r, CODE_INTERNAL, "prepare calls: %s", uv_strerror(r));
	}
	calls->wake.data = calls;
	uv_timer_init(loop, &calls->timer);
	calls->timer.data = calls;
	*ret_calls = calls;
	return 0;
}

void calls_close(struct calls *calls)
{
	uv_close((uv_handle_t *)&calls->wake, NULL);
	uv_close((uv_handle_t *)&calls->timer, NULL);
}

void calls_free(struct calls *calls)
{
	free(calls);
}
