// SPDX-License-Identifier: BSD-3-Clause
//
// For tests of the whole daemon: a podport-hostd of the test's own, an agent (test_agent.h), and a
// client that says exactly what the test wants said.

#pragma once

#include <sys/types.h>

#include "hostd/test_agent.h"
#include "hostd/test_netns.h"
#include "proto/message.h"

struct test_daemon {
	char folder[64]; // of everything; removed at the end
	char socket[96], url[96], queue[96];
	const char *hostd_program, *agent_program;
	pid_t hostd, agent; // 0: not running
	struct test_agent_memory *memory;
	int memory_fd;
};

// argv: of main, the two programs.
void test_daemon_prepare(struct test_daemon *daemon, char **argv);
void test_daemon_clear(struct test_daemon *daemon);

// Start hostd with these lines added to its configuration, and wait until it listens.
void test_hostd_start(struct test_daemon *daemon, const char *more);
// Signal it, wait for it; returns the status of waitpid.
int test_hostd_stop(struct test_daemon *daemon, int signal);

// Start the agent; wait until hostd, if it runs, says that the link is up.
void test_agent_up(struct test_daemon *daemon);
void test_agent_down(struct test_daemon *daemon, int signal);

// A connection to hostd.
int test_connect(const struct test_daemon *daemon);
// Send without waiting. fds: sent along. Returns what sendmsg does.
ssize_t test_send_bytes(int connection, const void *data, size_t size, const int *fds,
			size_t fd_count);
void test_send(int connection, const struct request *request, int netns_fd);
// Wait up to 20 s for an answer and decode it. Its code; 1000: hung up; 1001: nothing came.
enum { TEST_HUNG_UP = 1000, TEST_NOTHING = 1001 };
int test_receive(int connection, struct reply *ret_reply);

// All of it on a connection of its own.
int test_call(const struct test_daemon *daemon, const struct request *request, int netns_fd,
	      struct reply *ret_reply);

// Requests about container `id`, 5 s.
struct request test_attach(const char *id);
struct request test_detach(const char *id);
struct request test_check(const char *id);

// Wait up to 20 s for a condition.
#define test_wait_for(condition)                                                                   \
	do {                                                                                       \
		int tries_ = 0;                                                                    \
		while (!(condition) && tries_++ < 2000)                                            \
			usleep(10000);                                                             \
		if (!(condition))                                                                  \
			fail_msg("never: %s", #condition);                                         \
	} while (0)

// hostd's open file descriptors.
unsigned int test_hostd_fds(const struct test_daemon *daemon);
// CPU time it has used.
long test_hostd_cpu_ms(const struct test_daemon *daemon);
// Files in its delete queue.
unsigned int test_queued(const struct test_daemon *daemon);
