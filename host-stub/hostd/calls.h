// SPDX-License-Identifier: BSD-3-Clause
//
// Calls from the local socket onto worker threads (libuv's pool), and back. Event loop thread only,
// but for calls_wake.
//
// A call waits here, without a thread, while an earlier call for its attachment is under way, while
// it needs the agent and the agent is away, or while all threads are busy. ADDs and what else may
// hang on the agent never get all threads: DELs find one.

#pragma once

#include <uv.h>

#include "hostd/hostd.h"

enum {
	// Threads. Moving a netdev takes the kernel 15 to 30 ms, so a node that starts 50 pods at
	// once has that many in it.
	CALLS_THREADS = 64,
	CALLS_THREADS_FOR_DETACH = 16, // of them
	// Calls waiting and under way. A request is 2 KiB. A node has a few hundred pods.
	CALLS_MAX = 512,
};

struct calls;
struct host_call;

// On the loop, once, when the answer is there; the reply is the callee's only during the call.
// created: an Attach that put an interface into the sandbox, which must be undone if the caller
// turns out to be gone.
typedef void (*call_done)(struct host_call *call, const struct reply *reply, bool created,
			  void *arg);

int calls_open(uv_loop_t *loop, struct hostd *hostd, struct calls **ret_calls, struct error *err);

// Begin a call. The fd is the call's from here on, also on failure. Errors: CODE_BUSY; CODE_NOT_READY
// after calls_stop.
int calls_submit(struct calls *calls, const struct request *request, int netns_fd, call_done done,
		 void *arg, struct host_call **ret_call, struct error *err);

// The caller is gone: `done` will not be called. A call that has not begun is dropped; one that has
// is finished, and an Attach that it made is undone.
void calls_abandon(struct calls *calls, struct host_call *call);

// The caller of an Attach that is done was gone before it read the answer: undo it, after whatever
// is under way for its key. Takes the fd.
void calls_undo(struct calls *calls, const struct attachment_key *key, int netns_fd);

// A key was released or the link changed: see who can go on. Any thread.
void calls_wake(struct calls *calls);

// Take no more; what waits for the agent fails. `idle` is called on the loop when none is left
// (perhaps at once).
void calls_stop(struct calls *calls, void (*idle)(void *arg), void *arg);

// Closes its handles on the loop, which must be run once more before calls_free.
void calls_close(struct calls *calls);
void calls_free(struct calls *calls);
