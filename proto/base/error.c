// SPDX-License-Identifier: BSD-3-Clause
//
// struct error: filled once where something fails, given context on the way up. Messages end in log
// lines, JSON and protobuf strings, so what cannot travel there (control characters, broken UTF-8,
// which includes a character that was cut in half) is replaced here, at the one place all pass.

#include "proto/base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/text.h"

int error_set(struct error *err, int errno_value, enum code code, const char *format, ...)
{
	if (err != NULL) {
		va_list args;

		va_start(args, format);
		// Into a copy first: err->message itself may be among the arguments.
		char message[ERROR_MESSAGE_SIZE];
		vsnprintf(message, sizeof(message), format, args);
		va_end(args);
		text_clean(message);
		err->code = code;
		memcpy(err->message, message, sizeof(message));
	}
	return -errno_value;
}

void error_prefix(struct error *err, const char *format, ...)
{
	if (err == NULL)
		return;

	char message[2 * ERROR_MESSAGE_SIZE + 2]; // both parts whole; cut below
	va_list args;

	va_start(args, format);
	int length = vsnprintf(message, ERROR_MESSAGE_SIZE, format, args);
	va_end(args);
	if (length < 0)
		return;
	if (length >= ERROR_MESSAGE_SIZE)
		length = ERROR_MESSAGE_SIZE - 1;
	snprintf(message + length, sizeof(message) - (size_t)length, ": %s", err->message);
	message[ERROR_MESSAGE_SIZE - 1] = '\0';
	text_clean(message);
	memcpy(err->message, message, ERROR_MESSAGE_SIZE);
}
