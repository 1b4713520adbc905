// SPDX-License-Identifier: BSD-3-Clause
//
// Puts a function's netdev into a sandbox, dressed as the attachment says, and takes it back:
//
// A virtio-user port's netdev likewise, which the agent has made in the host's netns: "ppv…" in the function's place.
//
//      host netns                          sandbox
//      simnic0v3  ── move, rename ──►  eth0  10.88.0.5/32  fd88::5/128
//                                            ifalias podport:simnic0v3:<network>/<container>/eth0
//                                            10.88.0.1 dev eth0, default via 10.88.0.1
//                                            10.88.0.1 lladdr <router MAC> PERMANENT
//
// The ifalias is all the state there is: whoever finds the interface knows whose it is and what to
// call it on the host, so that hostd can be killed at any instant and needs no file for it. It is
// set before the move and cleared after the move back: an interface in a sandbox without it is not
// ours and is never touched.
//
// Worker threads and the link's, any number at once (for different attachments); they take turns in changing sandboxes.

#pragma once

#include <stdbool.h>

#include "hostd/netns.h"
#include "hostd/turn.h"
#include "proto/message.h"

struct wiring {
	struct host_netns host;
	struct turn *turn;                       // who changes a sandbox
	char prefix[IFNAMSIZ], suffix[IFNAMSIZ]; // of a function's netdev, around the VF's number
};

// `function_netdev`: "simnic0v%u". Errors: CODE_BAD_REQUEST if it is no such pattern.
int wiring_open(const char *function_netdev, struct wiring *ret_wiring, struct error *err);
void wiring_close(struct wiring *wiring);

// The same check, for the configuration.
int wiring_parse_pattern(const char *function_netdev, struct wiring *wiring, struct error *err);

// The function's netdev as the host calls it. Errors: CODE_NIC, a PF that the pattern cannot name.
int wiring_function_name(const struct wiring *wiring, const struct function_id *function,
			 char ret_name[IFNAMSIZ], struct error *err);

// Of the attachment, which has one, as the host calls it: its function's, or what the agent has made. Errors: as above.
int wiring_netdev_name(const struct wiring *wiring, const struct attachment *attachment,
		       char ret_name[IFNAMSIZ], struct error *err);

// Make the sandbox as `attachment` says. What is ours already is completed. Waits for a function
// that is on its way back from another sandbox, until deadline_ms (CLOCK_MONOTONIC).
// ret_created: the interface was not there before. On failure nothing is left behind of what was
// not there before, and the sentence names the step. Errors: CODE_NETNS, CODE_INTERFACE_EXISTS,
// CODE_WIRING, CODE_NIC.
int wiring_dress(const struct wiring *wiring, int netns_fd, const struct attachment *attachment,
		 uint64_t deadline_ms, bool *ret_created, struct error *err);

// Give the function back to the host. 0 also if there is nothing of this attachment in the sandbox.
int wiring_undress(const struct wiring *wiring, int netns_fd, const struct attachment_key *key,
		   struct error *err);

// Is there anything of this attachment in the sandbox? Errors: CODE_NETNS, CODE_WIRING.
int wiring_holds(const struct wiring *wiring, int netns_fd, const struct attachment_key *key,
		 bool *ret_holds, struct error *err);

// Is the sandbox as `attachment` says? More addresses and routes than that are fine (chained
// plugins add them). Errors: -ESTALE with CODE_MISMATCH and what differs.
int wiring_check(const struct wiring *wiring, int netns_fd, const struct attachment *attachment,
		 struct error *err);

// Is this what the host calls one of the functions, or a virtio-user port's netdev?
bool wiring_is_ours_name(const struct wiring *wiring, const char *ifname);

// Which attachments' netdevs are in the host's netns: one dump for all of them. A virtio-user port's beyond
// those that there is room for counts as being elsewhere.
enum { WIRING_VIRTIO_MAX = 1024 };
struct wiring_home {
	uint8_t vfs[65536 / 8]; // of PF 0, a bit each
	uint32_t virtio_count;
	struct mac virtios[WIRING_VIRTIO_MAX]; // of the pods
};

int wiring_read_home(const struct wiring *wiring, struct wiring_home *ret_home, struct error *err);
// What has no netdev is nowhere.
bool wiring_is_home(const struct wiring_home *home, const struct attachment *attachment);

// Functions that a dying sandbox gave back to the host under a foreign name (real VFs keep the
// sandbox's "eth0" or become "dev7"): their own names back, by their ifalias. Returns how many.
unsigned int wiring_adopt_strays(const struct wiring *wiring);
