// SPDX-License-Identifier: BSD-3-Clause
//
// Log lines to standard error. A line is built in a buffer on the stack and leaves in one write(2),
// so that lines of several threads never mix. What a peer put into a value cannot forge a line or
// drive a terminal: control characters and broken UTF-8 are written as \xNN.

#include "proto/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/text.h"

enum {
	TEXT_SIZE = 2048,              // message and fields as formatted; more is cut
	LINE_SIZE = 64 + TEXT_SIZE * 4 // prefix, and every byte escaped
};

static const struct {
	const char *name;
	const char *label;      // of equal width
	unsigned char priority; // syslog's, for journald
} levels[] = {
	[LOG_LEVEL_ERROR] = {"error", "ERROR  ", 3},
	[LOG_LEVEL_WARNING] = {"warning", "WARNING", 4},
	[LOG_LEVEL_INFO] = {"info", "INFO   ", 6},
	[LOG_LEVEL_DEBUG] = {"debug", "DEBUG  ", 7},
};

static _Atomic int max_level = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&max_level, (int)level, memory_order_relaxed);
}

int log_level_parse(const char *name, enum log_level *ret_level)
{
	for (unsigned int i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
		if (strcmp(name, levels[i].name) == 0) {
			*ret_level = (enum log_level)i;
			return 0;
		}
	return -EINVAL;
}

// $JOURNAL_STREAM holds device:inode of the journal's stream; it says something about our standard
// error only if that is still the same file (systemd.exec(5)).
static bool stderr_is_journal(void)
{
	static _Atomic int known = -1; // 0 or 1 once found out
	int answer = atomic_load_explicit(&known, memory_order_relaxed);

	if (answer < 0) {
		const char *stream = getenv("JOURNAL_STREAM");
		unsigned long long device, inode;
		struct stat st;

		answer = stream != NULL && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
			 fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device &&
			 st.st_ino == inode;
		atomic_store_explicit(&known, answer, memory_order_relaxed);
	}
	return answer != 0;
}

static size_t write_prefix(char *line, size_t size, enum log_level level)
{
	if (stderr_is_journal())
		return (size_t)snprintf(line, size, "<%u>", (unsigned int)levels[level].priority);

	struct timespec now;
	struct tm utc;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	size_t length = strftime(line, size, "%Y-%m-%dT%H:%M:%S", &utc);
	return length + (size_t)snprintf(line + length, size - length, ".%03uZ %s ",
					 (unsigned int)(now.tv_nsec / 1000000),
					 levels[level].label);
}

// Copy `text`, escaped. `to` has room for 4 bytes per byte of it.
static size_t write_escaped(char *to, const char *text)
{
	static const char digits[] = "0123456789abcdef";
	const char *start = to;
	size_t size = strlen(text);

	while (size > 0) {
		size_t length = text_sequence(text, size);
		unsigned char byte = (unsigned char)*text;
		bool c1 = length == 2 && byte == 0xc2 && (unsigned char)text[1] < 0xa0;

		if (length == 0 || byte < 0x20 || byte == 0x7f || c1) {
			length = length == 0 ? 1 : length;
			for (size_t i = 0; i < length; i++) {
				byte = (unsigned char)text[i];
				*to++ = '\\';
				*to++ = 'x';
				*to++ = digits[byte >> 4];
				*to++ = digits[byte & 15];
			}
		} else {
			memcpy(to, text, length);
			to += length;
		}
		text += length;
		size -= length;
	}
	return (size_t)(to - start);
}

void log_write(enum log_level level, const char *message, const char *fields, ...)
{
	if ((int)level > atomic_load_explicit(&max_level, memory_order_relaxed))
		return;

	int saved_errno = errno;
	char text[TEXT_SIZE], line[LINE_SIZE];
	int length = snprintf(text, sizeof(text), "%s%s", message, fields[0] != '\0' ? " " : "");

	if (length > 0 && (size_t)length < sizeof(text)) {
		va_list args;

		va_start(args, fields);
		vsnprintf(text + length, sizeof(text) - (size_t)length, fields, args);
		va_end(args);
	}

	size_t size = write_prefix(line, sizeof(line), level);
	size += write_escaped(line + size, text);
	line[size++] = '\n';
	// Nobody to tell if standard error does not take it.
	ssize_t written = write(STDERR_FILENO, line, size);
	(void)written;
	errno = saved_errno;
}

int log_ratelimit_ok(struct log_ratelimit *limit)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	unsigned long long now_ms =
		(unsigned long long)now.tv_sec * 1000 + (unsigned long long)now.tv_nsec / 1000000;
	unsigned long long start = atomic_load(&limit->window_start_ms);

	// start is 0 before the first window. Whoever moves the window on resets the count; a line
	// more or less where threads meet does not matter.
	if ((start == 0 || now_ms - start >= limit->interval_ms) &&
	    atomic_compare_exchange_strong(&limit->window_start_ms, &start, now_ms))
		atomic_store(&limit->count, 0);
	if (atomic_load(&limit->count) >= limit->burst)
		return 0;
	return atomic_fetch_add(&limit->count, 1) < limit->burst;
}
