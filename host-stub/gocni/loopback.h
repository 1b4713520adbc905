// SPDX-License-Identifier: BSD-3-Clause
//
// The loopback interface of a sandbox. Work in another network namespace is a thread's, so it is done
// by one that ends with it: a thread of Go's that could not be brought back would serve goroutines in
// the wrong namespace.

#pragma once

#include <stdbool.h>

struct loopback {
	bool up;
	bool has_ipv4, has_ipv6; // 127.0.0.1, ::1
};

// Look at the loopback interface of the netns at `path`, having brought it up if `bring_up`. Returns 0
// with *ret_loopback, or a negative errno with *ret_step saying what failed (static). Blocks for as
// long as the kernel needs.
int loopback_look(const char *path, bool bring_up, struct loopback *ret_loopback,
		  const char **ret_step);
