// SPDX-License-Identifier: BSD-3-Clause
//
// A queue of operations, between one thread of the application and the e-switch. Running counters, of which the remainder by the
// size is the place:
//
//     pulled ──────────────── pushed ──────────────── enqueued
//        done, result not taken      waits for a push
//
// All of it is the application's thread's; the e-switch sees operations only while that thread waits in a push.

#pragma once

#include <stdbool.h>
#include <stdint.h>

struct device;
struct flow_actions;
struct rte_flow;
struct rte_flow_op_result;

enum { FLOW_QUEUE_SIZE_MAX = 8192, FLOW_QUEUE_SIZE_DEFAULT = 1024 };

struct flow_operation {
	enum {
		FLOW_OP_CREATE,
		FLOW_OP_DESTROY,
		FLOW_OP_UPDATE, // of a rule's actions
		FLOW_OP_DONE,   // was done when it was asked for; only the result is left
	} kind;
	bool failed;
	struct rte_flow *rule;        // NULL: gone
	struct flow_actions *actions; // UPDATE: the new ones, and then the old ones
	void *user_data;
	uint64_t done_at; // TSC: not to be pulled before
};

struct flow_queue {
	struct flow_operation *ring;
	uint32_t size;
	uint64_t enqueued, pushed, pulled;
	uint64_t busy_until; // TSC: when what is pushed by now is done
};

// 0 or -ENOMEM.
int flow_queue_init(struct flow_queue *queue, uint32_t size);
// Operations that were not pushed are given up. Rules are left alone, but for those that nothing else knows of.
void flow_queue_fini(struct flow_queue *queue);

// A free place, zeroed, that flow_queue_commit() enqueues; NULL: the queue is full.
struct flow_operation *flow_queue_reserve(struct flow_queue *queue);
void flow_queue_commit(struct flow_queue *queue);
// How many more rules there will be when what waits is pushed.
int64_t flow_queue_growth(const struct flow_queue *queue);

// Have the e-switch do what waits, all in one go, and wait until it has.
void flow_queue_push(struct flow_queue *queue, struct device *device);
// Take results of what is done, in the order of the operations; returns how many.
uint16_t flow_queue_pull(struct flow_queue *queue, struct rte_flow_op_result results[],
			 uint16_t size);
// All rules of the owner are about to be destroyed: results that are not pulled yet no longer touch them.
void flow_queue_forget_rules(struct flow_queue *queue);
static inline bool flow_queue_empty(const struct flow_queue *queue)
{
	return queue->enqueued == queue->pulled;
}
