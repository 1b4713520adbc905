// SPDX-License-Identifier: BSD-3-Clause
//
// A podport-hostd for tests: its socket, and a thread that answers as the test says. It decodes what
// it gets with the real codec, so that a malformed request of the client's fails the test.

#pragma once

#include "proto/message.h"

enum fake_answer {
	FAKE_REPLY,    // what the handler put into the reply
	FAKE_SILENCE,  // nothing, with the connection open
	FAKE_HANG_UP,  // close it without an answer
	FAKE_GARBAGE,  // bytes that are no message
	FAKE_EMPTY,    // a message without anything in it
	FAKE_NEWER,    // a message with a body that only later versions know
	FAKE_TOO_LONG, // a packet of LIMIT_MESSAGE_BYTES + 1
};

struct fake_call {
	struct request request;
	uint64_t netns_inode;    // of the descriptor that came with it, 0: none came
	unsigned int number;     // of the call, from 1
	unsigned int connection; // it came on, from 1
};

// Runs on the fake's thread. reply: a typical good answer to the call, for the handler to change.
typedef enum fake_answer (*fake_handler)(const struct fake_call *call, struct reply *reply,
					 void *arg);

struct fake_hostd;

// Listen in a new folder, or at `path` if it is not NULL, and answer. handler NULL: all is well.
struct fake_hostd *fake_hostd_start(const char *path, fake_handler handler, void *arg);
const char *fake_hostd_path(const struct fake_hostd *fake);
// Calls so far, and the last one.
unsigned int fake_hostd_calls(struct fake_hostd *fake, struct fake_call *ret_last);
// Close everything. The socket's file goes, too; its folder only if it was made here.
void fake_hostd_stop(struct fake_hostd *fake);
