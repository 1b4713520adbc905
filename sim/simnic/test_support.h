// SPDX-License-Identifier: BSD-3-Clause
//
// What the tests of the card and the driver share: fresh network namespaces, commands, waiting.
// Everything asserts by cmocka; a missing prerequisite is a failure.

#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

// Move into a fresh network namespace; before any thread is started.
void enter_fresh_netns(void);

// Run a shell command and expect success; or tell whether it succeeded, silently.
void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool shell_succeeds(const char *format, ...) __attribute__((format(printf, 1, 2)));

// A network namespace that lives as long as the process that holds it: "ip link set X netns <pid>".
pid_t netns_new(void);
void netns_delete(pid_t netns);
// Run a shell command inside and expect success.
void netns_shell(pid_t netns, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool netns_shell_succeeds(pid_t netns, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
// A socket that lives in that namespace; netns 0 is the present one.
int netns_socket(pid_t netns, int domain, int type, int protocol);

// A raw socket on a netdev of that namespace, non-blocking: sends what the netdev sends, receives
// what it receives.
int netns_packet_socket(pid_t netns, const char *netdev);

// Number of open descriptors of a process.
unsigned int descriptor_count(pid_t pid);
// CPU time of a process so far.
uint64_t cpu_time_ms(pid_t pid);
// A line "key: value kB" of /proc/<pid>/status.
uint64_t status_kb(pid_t pid, const char *key);

// Wait for a condition for at most ten seconds (more under sanitizers), and fail with its text.
#define WAIT_FOR(condition)                                                                        \
	do {                                                                                       \
		uint64_t wait_until_ = now_ms() + 30000;                                           \
		while (!(condition)) {                                                             \
			if (now_ms() > wait_until_)                                                \
				fail_msg("waited in vain for: %s", #condition);                    \
			nap();                                                                     \
		}                                                                                  \
	} while (0)

uint64_t now_ms(void);
void nap(void); // a millisecond
