// SPDX-License-Identifier: BSD-3-Clause
//
// One TAP netdev, the host's side of a simulated function: made, dressed and asked after by its
// descriptor, which works wherever the netdev was moved to. No state, any thread; rtnetlink
// requests block while others hold the kernel's rtnl lock.

#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tap_config {
	char name[IF_NAMESIZE];
	uint8_t mac[6];
	char alias[64]; // ifalias: what it is, for people
};

// Make a non-persistent TAP in the calling thread's netns: down, without addresses and without IPv6
// autoconfiguration as long as it stays in this netns (a moved netdev gets the defaults of its new
// one). The descriptor is non-blocking and close-on-exec; closing its last duplicate removes the
// netdev. Errors: -EEXIST the name is taken; others as open(2) and ioctl(2); ret_why, of why_size
// bytes, says it for people.
int tap_create(const struct tap_config *config, int *ret_fd, char *ret_why, size_t why_size);

// Whether the netdev still exists. It is gone after its netns died or somebody deleted it.
bool tap_alive(int fd);
// Whether the netdev exists and is administratively up.
bool tap_is_up(int fd);

// What segmentation and checksum work the netdev's stack may leave to the reader of the descriptor.
enum { TAP_CHECKSUM = 1, TAP_TSO = 2 };
// offloads: TAP_*; TAP_TSO needs TAP_CHECKSUM. Waits for the kernel's rtnl lock.
int tap_set_offloads(int fd, unsigned int offloads);
// Waits for the kernel's rtnl lock.
int tap_set_carrier(int fd, bool on);

// Remove those netdevs of fds[0..count) that are in the calling thread's netns in one go, which
// takes the kernel one grace period instead of one each. Descriptors that are -1 are skipped; all
// stay open. Best effort.
void tap_delete_many(const int *fds, unsigned int count);
