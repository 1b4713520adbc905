// SPDX-License-Identifier: BSD-3-Clause
//
// An agent for tests: a process of its own, so that it can be killed and stopped as one, answering
// over the real wire. What it remembers, and how it is to misbehave, is in memory shared with the
// test, so it survives the process as a store would.

#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "proto/message.h"

enum { TEST_AGENT_FUNCTIONS = 128, TEST_AGENT_ORDER_MAX = 4096 };

struct test_agent_memory {
	// How to answer each kind of call; set by the test.
	_Atomic unsigned int delay_ms[CALL_COUNT]; // between doing it and answering
	_Atomic unsigned int refuse[CALL_COUNT];   // with this code, doing nothing; 0: do it
	_Atomic bool silent[CALL_COUNT];           // do it, and never answer
	struct hello_reply hello;
	_Atomic unsigned int instance; // part of the instance ID
	_Atomic bool old_lists;        // as an agent that does not know List's network
	_Atomic bool old_attach;       // as one that knows neither bandwidth nor mapped ports

	// What it was asked.
	char host_id[LIMIT_ID + 1]; // of the last call
	uint64_t created;           // attachments so far
	_Atomic unsigned int calls[CALL_COUNT];
	_Atomic unsigned int order_count;
	unsigned char order[TEST_AGENT_ORDER_MAX]; // enum call, but for Hello, in order of arrival

	// The store, by VF.
	struct {
		_Atomic bool used;
		struct attachment attachment;
	} functions[TEST_AGENT_FUNCTIONS];
};

// Shared memory, zeroed, with a pod network; for the process's life.
struct test_agent_memory *test_agent_memory_new(int *ret_fd);

// The process: runs until it is killed. program: the executable; memory_fd: as above.
pid_t test_agent_start(const char *program, const char *url, int memory_fd);

unsigned int test_agent_count(const struct test_agent_memory *memory);
