// SPDX-License-Identifier: BSD-3-Clause
//
// Between the control side (datapath.c) and the workers (worker.c). Not for other folders.

#pragma once

#include <rte_rcu_qsbr.h>

#include "datapath/worker.h"

// What control publishes and workers read.
struct publication {
	struct snapshot *_Atomic snapshot;
	struct rte_rcu_qsbr *qsbr;
};

// The control thread's view of what is published, and how to change it: copy, change the copy,
// publish. After datapath_publish no worker sees what was there before, and it is freed.
const struct snapshot *datapath_current(void);
struct snapshot *datapath_copy_snapshot(void); // NULL: out of memory
void datapath_publish(struct snapshot *snapshot);
void datapath_wake_workers(void);
uint32_t datapath_worker_count(void);
// Publish the same with other traces; NULL: none.
void datapath_set_traces(const struct trace_set *set);

// Let a worker send a packet that the control thread has made: metadata as for port_tx. Consumes it.
void datapath_send(struct rte_mbuf *m);

struct carry *datapath_carry(void);
// NULL: nothing is masqueraded or published.
struct masquerade *datapath_masquerade(void);
// Make it, if it is not there yet; workers see it in the next snapshot. Errors: CODE_INTERNAL.
int datapath_make_masquerade(struct error *err);
// Of the next snapshots.
struct masquerade_config *datapath_masquerade_config(void);

// What a snapshot's `wire` holds (uplink.c); NULL is fine.
void wire_free(const struct wire *wire);

// Build the graph and what the worker sleeps on. `w` is zeroed but for index, thread_id, stride,
// lcore and tables. Errors: CODE_INTERNAL.
int worker_open(struct worker *w, struct error *err);
void worker_close(struct worker *w); // fine for one that was not opened

// One pass over all its ports on the calling thread, which must be registered and online in the
// QSBR variable. Returns the packets received.
uint64_t worker_walk(struct worker *w, struct publication *publication);

// The life of a worker's thread; returns when w->leave is set and the worker woken.
struct worker_start {
	struct worker *worker;
	struct publication *publication;
};
int worker_main(void *start);

// Wake a worker that sleeps, so that it sees what was published. Any thread.
void worker_wake(struct worker *w);

// Let the interrupt of the port in `slot` wake the worker, or no longer. Control thread. Returns 0
// or a negative errno.
int worker_watch(struct worker *w, uint32_t slot, int interrupt_fd);
void worker_unwatch(struct worker *w, int interrupt_fd);
