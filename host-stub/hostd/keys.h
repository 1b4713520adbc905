// SPDX-License-Identifier: BSD-3-Clause
//
// Which attachments are being worked on: at most one call or delivery or reclaim for a key at a
// time. There is no waiting here: the event loop keeps calls whose key is taken in their line
// (calls.c), the link thread passes over a key that is taken and comes back. Any thread.

#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "proto/message.h"

struct keys;

// `released` is called after each release, on the releasing thread; it must not block.
int keys_open(void (*released)(void *arg), void *arg, struct keys **ret_keys);
void keys_close(struct keys *keys); // NULL is fine

// true: taken, keys_release it. false: somebody else has it.
bool keys_try_take(struct keys *keys, const struct attachment_key *key);
void keys_release(struct keys *keys, const struct attachment_key *key);
