// SPDX-License-Identifier: BSD-3-Clause
//
// Log lines of both daemons: level, a short constant message, key=value pairs; to standard error,
// one write(2) a line, with journald's <N> prefix if standard error is the journal ($JOURNAL_STREAM)
// and a UTC time stamp if not. Any thread.
//
//     log_info("attachment added", "network=%s container=%s ipv4=%s", ...);

#pragma once

// An empty format is what a line without fields has.
#pragma GCC diagnostic ignored "-Wformat-zero-length"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

// Lines above this level are dropped. Default LOG_LEVEL_INFO. Set once at start-up.
void log_set_level(enum log_level level);
// "error", "warning", "info", "debug" -> level; -EINVAL.
int log_level_parse(const char *name, enum log_level *ret_level);

// fields: printf format of the key=value part, "" for none. Control characters and broken UTF-8 in
// values come out as \xNN; a line is cut at 2 KB. A value that holds spaces is the caller's to quote.
void log_write(enum log_level level, const char *message, const char *fields, ...)
	__attribute__((format(printf, 3, 4)));

#define log_error(message, ...)   log_write(LOG_LEVEL_ERROR, message, __VA_ARGS__)
#define log_warning(message, ...) log_write(LOG_LEVEL_WARNING, message, __VA_ARGS__)
#define log_info(message, ...)    log_write(LOG_LEVEL_INFO, message, __VA_ARGS__)
#define log_debug(message, ...)   log_write(LOG_LEVEL_DEBUG, message, __VA_ARGS__)

// True at most `burst` times per `interval_ms` for one place in the code; for warnings that a peer
// can trigger.
struct log_ratelimit {
	unsigned int interval_ms;
	unsigned int burst;
	_Atomic unsigned long long window_start_ms;
	_Atomic unsigned int count;
};
int log_ratelimit_ok(struct log_ratelimit *limit);
