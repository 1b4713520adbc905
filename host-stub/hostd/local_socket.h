// SPDX-License-Identifier: BSD-3-Clause
//
// The system calls under local.c: listening safely, and receiving a packet with what comes along.

#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/base/error.h"

// Listen on `path`, making its folder (0755) if need be, with `mode`. A file that nobody listens on
// is replaced. Errors: -EADDRINUSE if somebody does; else the errno, CODE_INTERNAL, with the path.
int local_listen(const char *path, mode_t mode, int *ret_fd, struct error *err);

enum { LOCAL_FDS_MAX = 4 }; // more are closed by the kernel (MSG_CTRUNC)

struct local_fds {
	unsigned int count;
	int fds[LOCAL_FDS_MAX];
};

void local_fds_close(struct local_fds *fds);

// One packet, without waiting. Returns its size, 0: the peer closed, -1: errno. The caller owns the
// fds. ret_flags: MSG_TRUNC, MSG_CTRUNC.
ssize_t local_receive(int fd, uint8_t *packet, size_t size, int *ret_flags,
		      struct local_fds *ret_fds);
