// SPDX-License-Identifier: BSD-3-Clause
//
// Both ends of the wire in one process, for its tests. The server's handler does what the container ID
// of a detach says: "now", "later" (answered when told), "huge" (with what cannot be encoded).

#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "proto/test_samples.h"
#include "proto/wire_client.h"
#include "proto/wire_server.h"

enum { LONG_MS = 20000 };

// An ipc:// URL in a folder of the test's own.
extern char harness_url[80];
extern char harness_socket[64];
extern bool harness_nng_is_stuck; // so nothing of nng's will finish any more
int harness_set_up(void **state);
int harness_tear_down(void **state);

// A TCP port of 127.0.0.1 that nobody listens on.
unsigned int harness_free_port(void);

// Wait for a condition, up to a time at which something must be wrong.
#define WAIT_FOR(condition)                                                                        \
	do {                                                                                       \
		for (int waited_ms = 0; !(condition); waited_ms++) {                               \
			if (waited_ms > LONG_MS)                                                   \
				fail_msg("waited in vain for " #condition);                        \
			usleep(1000);                                                              \
		}                                                                                  \
	} while (0)

// ---- the server's end ----------------------------------------------------------------------------

extern atomic_uint harness_handled;               // calls so far
extern _Atomic int64_t harness_seen_remaining_ms; // of the last one

struct wire_server *start_server(uint32_t contexts);
void handle(struct wire_call *call, void *arg); // arg: &harness_handled

// Calls for "later".
unsigned int count_held(void);
int64_t held_remaining_ms(void); // of the first
void answer_held(void);

// ---- the client's end ----------------------------------------------------------------------------

extern atomic_int harness_ups, harness_downs; // what on_link told

struct wire_client *open_client(void);

// A detach; its answer's function has the inode as VF.
struct request detach(const char *what, uint64_t inode);
void call_now(struct wire_client *client); // must succeed

// A call in a thread of its own. It has entered wire_client_call when start_caller returns.
struct caller {
	pthread_t thread;
	struct wire_client *client;
	struct request request;
	uint32_t timeout_ms;
	struct reply reply;
	struct error err;
	int r;
};
void start_caller(struct caller *caller, struct wire_client *client, const char *what,
		  uint64_t inode, uint32_t timeout_ms);
