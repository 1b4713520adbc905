// SPDX-License-Identifier: BSD-3-Clause
//
// What went wrong, for a caller to decide by (code) and for a person to act on (message).
//
// Functions return 0 or a negative errno; those with more to say take a `struct error *` as their
// last argument, which is left untouched on success. Any thread; no allocation.

#pragma once

#include "proto/base/code.h"

enum { ERROR_MESSAGE_SIZE = 512 };

struct error {
	enum code code;
	char message[ERROR_MESSAGE_SIZE]; // one sentence, no newline at the end; cut, never overrun
};

// Fill *err (which may be NULL) and return -errno_value, so that a failing function can end with
// `return error_set(err, EINVAL, CODE_BAD_REQUEST, "mtu: %u is not in 68..9000", mtu);`
// errno_value: positive.
int error_set(struct error *err, int errno_value, enum code code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

// Put "context: " before the message that is already there. err may be NULL.
void error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
