// SPDX-License-Identifier: BSD-3-Clause
//
// Functions whose netdev was lost under a running pod: its driver was unbound and bound again, or reloaded, or the VFs were
// made anew. The kernel brings a fresh netdev on the host, which knows nothing of the pod; and no runtime will ask for
// anything. So hostd dresses the sandbox again, as ADD did, when all of these hold:
//
//   - the agent has the attachment, and says so now, with the key in hostd's hands
//   - its function's netdev is on the host
//   - its sandbox lives: the path is there, and is the netns of the inode and cookie that were recorded. Where no cookie was,
//     a process in a netns of that inode would not do: the kernel gives the inode of a dead netns to the next one
//   - nobody is working on its key, and its release is not queued
//
// What was lost with the netdev besides (what later plugins of the list, or the pod, have put on it) is not podport's to bring
// back.

#pragma once

#include "hostd/hostd.h"

// The caller holds the key, and `home` was read not long ago. True: it was lost, and is dressed again. Failures are logged:
// the next look tries again. The link's thread.
bool redress_if_lost(struct hostd *hostd, const struct wiring_home *home,
		     const struct attachment *attachment);

// ---- watching: the event loop's ------------------------------------------------------------------

// A netlink socket that becomes readable when an interface of the host comes or changes. Returns the descriptor, which is
// the caller's. Errors: CODE_INTERNAL.
int redress_watch_open(struct error *err);
// Read what is there. True if a function's netdev may have come: time to look.
bool redress_watch_read(int fd, const struct wiring *wiring);
