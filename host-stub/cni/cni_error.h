// SPDX-License-Identifier: BSD-3-Clause
//
// Errors as the CNI specification wants them (SPEC 1.1.0, section 5): a number, a sentence, and more
// to read. The numbers of podport's own codes are mapped here and nowhere else.

#pragma once

#include <jansson.h>

#include "proto/base/code.h"
#include "proto/base/error.h"

enum cni_code {
	CNI_OK = 0,
	CNI_INCOMPATIBLE_VERSION = 1,
	CNI_UNSUPPORTED_FIELD = 2,   // the message has key and value
	CNI_UNKNOWN_CONTAINER = 3,   // no DEL is needed
	CNI_INVALID_ENVIRONMENT = 4, // the message names the variable
	CNI_IO_FAILURE = 5,
	CNI_DECODING_FAILURE = 6,
	CNI_INVALID_CONFIG = 7, // the message names the key
	CNI_TRY_AGAIN_LATER = 11,
	CNI_NOT_AVAILABLE = 50,        // STATUS: no ADD is possible
	CNI_LIMITED_CONNECTIVITY = 51, // STATUS: and pods that are there may have no network
	CNI_OWN_FIRST = 100,           // our own are this + enum code
};

struct cni_error {
	unsigned int code; // enum cni_code, or CNI_OWN_FIRST + enum code
	char message[ERROR_MESSAGE_SIZE + 64];
	char details[ERROR_MESSAGE_SIZE]; // what to do about it, or the numbers; or ""
};

// Fill *error. Returns -1, so that a failing function can end with it.
int cni_error_set(struct cni_error *error, enum cni_code code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

// Add to what has been filled.
void cni_error_add_details(struct cni_error *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

// Fill *error from one of podport's. Returns -1.
int cni_error_from(struct cni_error *error, enum code code, const char *message);

// The number of a code of podport's, 0 if the table has none (a bug that a test looks for).
unsigned int cni_error_number(enum code code);

// {"cniVersion", "code", "msg", "details"}; NULL: out of memory.
json_t *cni_error_json(const struct cni_error *error, const char *cni_version);
