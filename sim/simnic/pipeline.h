// SPDX-License-Identifier: BSD-3-Clause
//
// The NIC's hardware: one thread that carries frames between functions and ports and blocks when
// there are none.
//
//     function ─ read ─► frame buffer ─► e-switch ─┬─► mbufs on a port's Rx ring
//     port ─ Tx ring ──► frame ────────► e-switch ─┴─► function: write
//
// A burst of reads, or of writes, is one system call where the kernel has io_uring (batch.h).
//
// Everything about functions and ports that the thread uses is its own; control threads do their
// changes in it, by pipeline_call(). So there are no locks on the way of a frame.

#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "sim/simnic/batch.h"
#include "sim/simnic/card_protocol.h"

struct delivery;
struct device;
struct function;
struct frame_buffer;
struct pipeline_call;

struct pipeline {
	pthread_t thread;
	bool running;
	bool quit; // (P)
	int epoll_fd;
	int kick_fd;
	bool sleeping;                                 // atomic
	uint64_t tx_ready[(CARD_INDEX_MAX + 63) / 64]; // atomic: ports with frames on a Tx ring
	struct pipeline_call *call;                    // atomic
	pthread_mutex_t call_lock;                     // one call at a time
	TAILQ_HEAD(function_list, function) readable;  // (P) functions that may have frames
	unsigned int readable_count;                   // (P)
	bool uring;                                    // wanted; whether there is one: batch
	struct batch batch;                            // (P)
	struct frame_buffer *buffers;                  // (P) BATCH_MAX of them
	struct delivery *deliveries;                   // (P) of this burst
	unsigned int delivery_count;                   // (P)
};

// Make ready for function_set_fd(), without the thread yet; pipeline_call() runs the call itself.
int pipeline_init(struct device *device);
// Start the thread, "simnic".
int pipeline_start(struct device *device);
// The thread, if started, has ended when it returns. To be called also after a failed pipeline_init().
void pipeline_fini(struct device *device);

// Run call(argument) in the pipeline thread, between two bursts, and wait for it. Any thread, also
// the pipeline's. The call must not block.
void pipeline_call(struct device *device, void (*call)(void *argument), void *argument);

// A port has put frames on a Tx ring. Any thread; wakes the pipeline only if it sleeps.
void pipeline_kick_tx(struct device *device, uint16_t index);

// ---- function.c: in the pipeline's thread unless said -------------------------------------------------------------

// Give a function its descriptor, or take it away with -1; the old one is closed.
void function_set_fd(struct function *function, int fd);
// Close a descriptor that was taken away. Waits for the kernel's rtnl lock: any thread but the pipeline's.
void function_close_old(struct function *function);
// See how the function's link is and have the application told if it changed. A function has a link
// when it is there, administratively up and its carrier is on. The kernel wakes us when a netdev
// goes up, but not when it goes down; so that is noticed when somebody asks (link_update) or sends.
void function_look(struct function *function);
// The same for any thread, without telling anybody, and without waiting for the pipeline.
bool function_link_now(struct function *function);
// The device is gone, and the function with it.
void function_removed(struct function *function);
// Keep its carrier off for this reason (FAULT_DOWN_*), or no longer. The netdev is not touched:
// simnic_dress_netdev().
void function_hold_down(struct function *function, unsigned int why, bool down);
// A function-level reset, from the loss of its link to the return of it, when the application is told.
void function_reset_begin(struct function *function);
void function_reset_end(struct function *function);
// Its descriptor is dead: the netns died, or somebody deleted the netdev. The card makes a new one.
void function_lost(struct function *function);
// What epoll says about its descriptor.
void function_event(struct function *function, uint32_t events);
// It has no more frames for now.
void function_rest(struct function *function);
