// SPDX-License-Identifier: BSD-3-Clause
//
// Network namespaces by file descriptor. hostd's own is taken once at start-up; a worker thread, or the
// link's, is in another one only between netns_enter and netns_leave, and never waits there.

#pragma once

#include <stdint.h>

#include "hostd/netlink.h"
#include "proto/message.h"

// The netns that the process was started in.
struct host_netns {
	int fd;
	uint64_t device, inode;
};

int host_netns_open(struct host_netns *ret_netns, struct error *err);
void host_netns_close(struct host_netns *netns);

// Is `fd` a network namespace other than the host's? Writes its inode. Errors: -EINVAL with
// CODE_NETNS.
int netns_verify(const struct host_netns *host, int fd, uint64_t *ret_inode, struct error *err);

// What no other netns of this machine has had or will have, while an inode goes from a dead one to the next at once.
// 0: not known (a kernel before 5.14, or the netns cannot be entered).
uint64_t netns_cookie(const struct host_netns *host, int fd);

// The netns at `path`, if it is the sandbox (its inode, and as far as both are known its cookie), and not the
// host's; else -1. The caller closes it.
int netns_open_path(const struct host_netns *host, const char *path, const struct sandbox *sandbox);

// What is at `path` had the sandbox's inode: is it certainly not the sandbox? Where that cannot be told, it is not certain.
bool netns_is_another(const struct host_netns *host, const char *path,
		      const struct sandbox *sandbox);

// The calling thread into `fd`. Errors: CODE_NETNS.
int netns_enter(int fd, struct error *err);
// And back. A thread that cannot go back must not live on: it would do the next call's work in a
// pod. Aborts then; a restart finds everything from the agent and the netdevs.
void netns_leave(const struct host_netns *host);

// A netlink socket in `fd`'s netns, usable from anywhere.
int netns_open_netlink(const struct host_netns *host, int fd, struct netlink *ret_netlink,
		       struct error *err);
