// SPDX-License-Identifier: BSD-3-Clause
//
// What the two halves of the card share: card.c has the functions and the loop, card_driver.c the
// driver's connection.

#pragma once

#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>

#include "sim/simnic/card.h"
#include "sim/simnic/card_protocol.h"
#include "sim/simnic/tap.h"

struct function {
	struct tap_config tap;
	bool dirty;   // the driver has not been told of its present state
	bool lost;    // to be replaced; fds[] says -1
	bool blocked; // replacing it failed, which has been logged
};

struct card {
	struct card_config config;
	uint16_t count; // functions, with PF and wire
	struct function *functions;
	int *fds; // of functions, -1 while lost
	int epoll_fd;
	int stop_fd;
	int netlink_fd;
	int listen_fd;
	int driver_fd; // -1: none attached
	pid_t driver_pid;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	unsigned int check_ms; // next interval; 0: resting
	uint64_t check_at_ms;  // when to look at all functions
	unsigned int blocked;  // number of functions that could not be replaced
	bool stopped;
};

void card_say(const struct card *card, int level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

// Have the loop wake when this descriptor is readable.
int card_watch(struct card *card, int fd);
// Let a function go, its netdev with it. It is then one of those that went.
void card_give_up(struct card *card, uint16_t index);
// Replace functions that went, one or all, and those that could not be replaced before.
void card_check_one(struct card *card, uint16_t index);
void card_check(struct card *card);
// Look at all functions soon, and some more times after.
void card_check_soon(struct card *card);

// Somebody connected.
void card_accept_driver(struct card *card);
// The driver has sent something, can be sent something, or is gone.
void card_driver_event(struct card *card);
// Tell the driver what it does not know yet. When its socket is full, the rest follows once it has read.
void card_driver_update(struct card *card);
