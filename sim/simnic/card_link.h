// SPDX-License-Identifier: BSD-3-Clause
//
// The driver's end of the connection to the card (card_protocol.h). No thread of its own.

#pragma once

#include <stddef.h>
#include <stdint.h>

#include "sim/simnic/card_protocol.h"

// One of the card's functions changed: fd is its descriptor, the callee's from here on, or -1 if
// the function went.
typedef void (*card_link_function)(void *argument, const struct card_function *function, int fd);

// Connect and read what the card is. Blocks for CARD_LINK_TIMEOUT_MS at most. ret_why says for
// people what failed: -ECONNREFUSED nobody there, -EBUSY another driver is attached, -EPROTO a card
// of another version.
int card_link_connect(const char *path, int *ret_fd, struct card_message *ret_hello, char *ret_why,
		      size_t why_size);

// The same for a connection that exists already; it stays the caller's on failure.
int card_link_greet(int fd, struct card_message *ret_hello, char *ret_why, size_t why_size);

// Read one message; for each function named in it, `changed` is called. Waits as long as the
// socket's receive timeout. -EAGAIN: none is there. -ECONNRESET: the card is gone. -EPROTO: it said
// nonsense.
int card_link_read(int fd, uint16_t function_count, card_link_function changed, void *argument);

// Tell the card that a descriptor is dead. Best effort: it finds out by itself, too.
void card_link_lost(int fd, uint16_t index);
// Have the card take a function's netdev away and make a fresh one; card_link_read() says when it is there. -EAGAIN: the card is
// busy, ask again.
int card_link_replace(int fd, uint16_t index);
