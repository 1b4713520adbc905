// SPDX-License-Identifier: BSD-3-Clause
//
// For tests: a host netns of the test's own, sandboxes, and TAPs that stand in for functions. All of
// it goes with the process.

#pragma once

#include <stdbool.h>

#include "proto/message.h"

// The calling process (with one thread) into a new netns: the test's host. Skips the test's process
// with a loud message if this is not root.
void test_host_enter(void);

// Mounts of its own besides, for sandboxes that have a path: it is one.
void test_own_mounts(void);

// A new netns; lo is up in it. The fd is the caller's.
int test_sandbox_new(void);

// Its SO_NETNS_COOKIE; 0: the kernel has none.
uint64_t test_netns_cookie(int netns_fd);

// Run a shell command in the test's host, or in a sandbox (by fd). Returns its exit status.
int test_run(const char *format, ...) __attribute__((format(printf, 1, 2)));
int test_run_in(int netns_fd, const char *format, ...) __attribute__((format(printf, 2, 3)));

// A function's netdev "tfn0vN" on the host, if it is not there. It stays until its netns dies.
#define TEST_PATTERN "tfn0v%u"
void test_function_new(unsigned int vf);

// The netdev that an agent makes for a virtio-user port of such a pod. It stays likewise.
void test_virtio_new(const struct mac *mac);

// A whole attachment: VF vf, container "c<vf>", eth0, 10.88.0.(5+vf), fd88::(5+vf).
struct attachment test_attachment(unsigned int vf);
