// SPDX-License-Identifier: BSD-3-Clause
//
// Valid requests and replies of every call, for the tests of codec and wire.

#pragma once

#include "proto/message.h"

enum sample {
	SAMPLE_SMALLEST, // whatever may be absent is
	SAMPLE_TYPICAL,
	SAMPLE_LARGEST, // every string, list and number at its limit, nothing absent
	SAMPLE_COUNT,
};

void sample_request(enum call call, enum sample sample, struct request *ret_request);

// The caller runs reply_clear.
void sample_reply(enum call call, enum sample sample, struct reply *ret_reply);
void sample_error_reply(enum code code, enum sample sample, struct reply *ret_reply);

// Equal in every field, also in what they own.
bool reply_equal(const struct reply *a, const struct reply *b);
