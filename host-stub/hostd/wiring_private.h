// SPDX-License-Identifier: BSD-3-Clause
//
// Between wiring.c (dress, undress), wiring_function.c (functions by name and alias) and
// wiring_check.c.

#pragma once

#include "hostd/wiring.h"

enum { IFALIAS_SIZE = 256 };

// "podport:simnic0v3:pods/0123abc/eth0", cut to what the kernel holds.
void wiring_format_alias(const char *function_name, const struct attachment_key *key,
			 char ret_alias[IFALIAS_SIZE]);

// Whose is it? true if `alias` is podport's; the function's name is then written.
bool wiring_parse_alias(const struct wiring *wiring, const char *alias,
			char ret_function_name[IFNAMSIZ]);

// Is it this attachment's? (Then the function's name is written.)
bool wiring_alias_is(const struct wiring *wiring, const char *alias,
		     const struct attachment_key *key, char ret_function_name[IFNAMSIZ]);

// The attachment's interface in the sandbox: by name, or, renamed by whoever, by its alias.
// -ENODEV (err untouched) if there is none.
int wiring_find_ours(const struct wiring *wiring, struct netlink *sandbox,
		     const struct attachment_key *key, struct netlink_link *ret_link,
		     char ret_function_name[IFNAMSIZ], struct error *err);

// The function's netdev in the host's netns, waiting for it until the deadline.
int wiring_find_function(const struct wiring *wiring, struct netlink *host,
			 const char *function_name, uint64_t deadline_ms,
			 struct netlink_link *ret_link, struct error *err);
