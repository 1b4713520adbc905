// SPDX-License-Identifier: BSD-3-Clause
//
// Releases that the agent has not heard of yet, on disk: a DEL succeeds for the runtime with the
// agent away, and is delivered when the agent is back, also by the next hostd.
//
//     <state_dir>/deletes/<hash of the key>.delete    an encoded Detach request
//                                        .temporary  being written; removed at start
//                                        .corrupt    unreadable, set aside for a person
//
// One file per attachment key. A file is there whole or not at all (written aside, synced, renamed,
// directory synced). Removal is not synced: a release that comes back after a power failure meets
// an agent that has forgotten the host's old boot, and a repeated Detach succeeds anyway.
//
// Any thread; one mutex, never held while a caller waits for the agent. Who delivers a release
// holds the key's line (keys.h) for it, so that it cannot hit a newer attachment of the same key.

#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "proto/message.h"

// More pods than a node can have, many times over; an agent that is away for days while pods churn
// gets here. 4096 files of 4 KiB on disk, 80 KiB of memory.
enum { DELETE_QUEUE_MAX = 4096 };

struct delete_queue;

// Open, making the directory if need be, and look at every file in it. Errors: CODE_STORE with the
// path.
int delete_queue_open(const char *state_dir, struct delete_queue **ret_queue, struct error *err);
// NULL is fine.
void delete_queue_close(struct delete_queue *queue);

// On success it is on the disk. A key that is queued already is replaced. Errors: CODE_STORE, also
// when the queue is full; nothing changed then.
int delete_queue_put(struct delete_queue *queue, const struct detach_request *detach,
		     struct error *err);

bool delete_queue_has(struct delete_queue *queue, const struct attachment_key *key);

// Forget the release of `key`: it was delivered. One that is not there is fine.
void delete_queue_remove(struct delete_queue *queue, const struct attachment_key *key);

// Set the release of `key` aside: the agent will never take it.
void delete_queue_set_aside(struct delete_queue *queue, const struct attachment_key *key);

size_t delete_queue_count(struct delete_queue *queue);

// The next release after *cursor, oldest first; start with a cursor of 0. Others may put and remove
// meanwhile. A file that turns out corrupt is set aside and passed over. false: no more.
bool delete_queue_next(struct delete_queue *queue, uint64_t *cursor,
		       struct detach_request *ret_detach);
