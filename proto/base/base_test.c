// SPDX-License-Identifier: BSD-3-Clause
//
// Errors, text and log lines.

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/error.h"
#include "proto/base/log.h"
#include "proto/base/text.h"

// ---- errors --------------------------------------------------------------------------------------

static void an_error_has_code_and_sentence(void **state)
{
	struct error err = {0};

	assert_int_equal(error_set(&err, EINVAL, CODE_BAD_REQUEST, "mtu: %d", 5), -EINVAL);
	assert_int_equal(err.code, CODE_BAD_REQUEST);
	assert_string_equal(err.message, "mtu: 5");
	error_prefix(&err, "line %d", 7);
	assert_string_equal(err.message, "line 7: mtu: 5");
	assert_int_equal(err.code, CODE_BAD_REQUEST);
	assert_int_equal(error_set(NULL, ENOMEM, CODE_INTERNAL, "x"), -ENOMEM);
	error_prefix(NULL, "x");
}

static void an_error_may_quote_itself(void **state)
{
	struct error err = {.code = CODE_NIC, .message = "inner"};

	error_set(&err, EIO, CODE_STORE, "outer (%s)", err.message);
	assert_string_equal(err.message, "outer (inner)");
}

static void a_long_error_is_cut_between_characters(void **state)
{
	char text[2 * ERROR_MESSAGE_SIZE];
	struct error err = {0};

	memset(text, 'a', sizeof(text));
	memcpy(text + ERROR_MESSAGE_SIZE - 3, "\xe2\x82\xac", 3); // its last byte does not fit
	text[sizeof(text) - 1] = '\0';
	error_set(&err, EINVAL, CODE_INTERNAL, "%s", text);
	assert_int_equal(strlen(err.message), ERROR_MESSAGE_SIZE - 3);
	assert_true(text_is_printable(err.message));

	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	error_set(&err, EINVAL, CODE_INTERNAL, "%s", text);
	assert_int_equal(strlen(err.message), ERROR_MESSAGE_SIZE - 1);
	error_prefix(&err, "before");
	assert_int_equal(strlen(err.message), ERROR_MESSAGE_SIZE - 1);
	assert_memory_equal(err.message, "before: aaa", 11);
	error_prefix(&err, "%s", text);
	assert_int_equal(strlen(err.message), ERROR_MESSAGE_SIZE - 1);
}

static void an_error_cannot_carry_control_characters(void **state)
{
	struct error err = {0};

	error_set(&err, EINVAL, CODE_INTERNAL, "a\nb\x1b[0m\xff%s", "\xc2\x85");
	assert_string_equal(err.message, "a?b?[0m??");
	error_prefix(&err, "c\r");
	assert_string_equal(err.message, "c?: a?b?[0m??");
}

// ---- text ----------------------------------------------------------------------------------------

static void utf8_is_what_rfc_3629_says(void **state)
{
	static const char *const good[] = {"",
					   "a",
					   "\x7f",
					   "\xc2\x80",
					   "\xdf\xbf",
					   "\xe0\xa0\x80",
					   "\xed\x9f\xbf",
					   "\xee\x80\x80",
					   "\xef\xbf\xbf",
					   "\xf0\x90\x80\x80",
					   "\xf4\x8f\xbf\xbf"};
	static const char *const bad[] = {"\x80",
					  "\xbf",
					  "\xc0\x80",         // overlong
					  "\xc1\xbf",         // overlong
					  "\xe0\x9f\xbf",     // overlong
					  "\xf0\x8f\xbf\xbf", // overlong
					  "\xed\xa0\x80",     // surrogate
					  "\xed\xbf\xbf",     // surrogate
					  "\xf4\x90\x80\x80", // past U+10FFFF
					  "\xf5\x80\x80\x80",
					  "\xff",
					  "\xc2",
					  "\xe2\x82",
					  "\xe2\x28\xa1",
					  "\xf0\x9f\x98"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (!text_is_utf8(good[i], strlen(good[i])))
			fail_msg("good %zu refused", i);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (text_is_utf8(bad[i], strlen(bad[i])))
			fail_msg("bad %zu let through", i);
	assert_true(text_is_utf8("a\0b", 3));
	assert_false(text_is_utf8("\xe2\x82\xac", 2)); // reads no further than told
}

static void cleaned_text_is_printable_and_not_longer(void **state)
{
	unsigned int seed = 1;

	for (int round = 0; round < 20000; round++) {
		char text[24];
		size_t length = (size_t)(rand_r(&seed) % (int)sizeof(text));

		for (size_t i = 0; i < length; i++) {
			// Mostly bytes that begin or continue a sequence.
			static const char bytes[] = "ab\n\x7f\x80\xa0\xbf\xc2\xe0\xed\xf0\xf4\xff";

			text[i] = bytes[rand_r(&seed) % (int)(sizeof(bytes) - 1)];
		}
		text[length] = '\0';
		bool was_printable = text_is_printable(text);
		char before[sizeof(text)];
		memcpy(before, text, sizeof(text));
		text_clean(text);
		assert_true(text_is_printable(text));
		assert_true(strlen(text) <= length);
		if (was_printable)
			assert_string_equal(text, before);
	}
}

// ---- log -----------------------------------------------------------------------------------------

static int saved_stderr = -1;
static FILE *captured;

static void capture_begin(void)
{
	fflush(stderr);
	captured = tmpfile();
	assert_non_null(captured);
	saved_stderr = dup(STDERR_FILENO);
	dup2(fileno(captured), STDERR_FILENO);
}

static size_t capture_end(char *text, size_t size)
{
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	rewind(captured);
	size_t length = fread(text, 1, size - 1, captured);
	text[length] = '\0';
	fclose(captured);
	return length;
}

static void a_log_line_has_time_level_message_fields(void **state)
{
	char text[512];

	capture_begin();
	errno = ENOENT;
	log_warning("pod attached", "network=%s mtu=%d", "n", 1500);
	int after = errno;
	log_debug("not shown", "");
	log_error("bare", "");
	capture_end(text, sizeof(text));
	assert_int_equal(after, ENOENT);

	unsigned int digits;
	char level[16], rest[400];
	// 2026-11-23T21:25:00.123Z WARNING pod attached …
	assert_int_equal(sscanf(text, "%4u-%*2u-%*2uT%*2u:%*2u:%*2u.%*3uZ %15s %399[^\n]", &digits,
				level, rest),
			 3);
	assert_string_equal(level, "WARNING");
	assert_string_equal(rest, "pod attached network=n mtu=1500");
	char *second = strchr(text, '\n') + 1;
	assert_string_equal(second + strlen("2026-11-23T21:25:00.123Z "), "ERROR   bare\n");
}

static void a_value_cannot_forge_a_log_line(void **state)
{
	char text[512];

	capture_begin();
	log_info("refused", "name=%s", "a\n<0>forged\x1b[2J\xff\xc2\x85 \xc3\xa4");
	capture_end(text, sizeof(text));
	assert_non_null(strstr(text, "name=a\\x0a<0>forged\\x1b[2J\\xff\\xc2\\x85 \xc3\xa4\n"));
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void a_long_log_line_is_cut_not_overrun(void **state)
{
	char value[4000], text[16384];

	memset(value, '\n', sizeof(value)); // each becomes four
	value[sizeof(value) - 1] = '\0';
	capture_begin();
	log_info("long", "value=%s", value);
	size_t length = capture_end(text, sizeof(text));
	assert_in_range(length, 8000, 8300);
	assert_int_equal(text[length - 1], '\n');
}

static void levels_have_names(void **state)
{
	enum log_level level = LOG_LEVEL_INFO;
	char text[256];

	assert_int_equal(log_level_parse("debug", &level), 0);
	assert_int_equal(level, LOG_LEVEL_DEBUG);
	assert_int_equal(log_level_parse("error", &level), 0);
	assert_int_equal(level, LOG_LEVEL_ERROR);
	assert_int_equal(log_level_parse("loud", &level), -EINVAL);
	assert_int_equal(level, LOG_LEVEL_ERROR);

	log_set_level(LOG_LEVEL_ERROR);
	capture_begin();
	log_warning("not shown", "");
	assert_int_equal(capture_end(text, sizeof(text)), 0);
	log_set_level(LOG_LEVEL_INFO);
}

enum { LOG_THREADS = 8, LOG_LINES = 200 };

static void *log_lines(void *arg)
{
	for (int i = 0; i < LOG_LINES; i++)
		log_info("line", "thread=%d end", *(int *)arg);
	return NULL;
}

static void lines_of_several_threads_do_not_mix(void **state)
{
	static char text[LOG_THREADS * LOG_LINES * 80];
	pthread_t threads[LOG_THREADS];
	int numbers[LOG_THREADS];
	int lines = 0;

	capture_begin();
	for (int i = 0; i < LOG_THREADS; i++) {
		numbers[i] = i;
		pthread_create(&threads[i], NULL, log_lines, &numbers[i]);
	}
	for (int i = 0; i < LOG_THREADS; i++)
		pthread_join(threads[i], NULL);
	capture_end(text, sizeof(text));
	for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"), lines++)
		assert_string_equal(line + strlen(line) - 4, " end");
	assert_int_equal(lines, LOG_THREADS * LOG_LINES);
}

static void a_peer_cannot_flood_the_log(void **state)
{
	struct log_ratelimit limit = {.interval_ms = 50, .burst = 3};
	int let_through = 0;

	for (int i = 0; i < 1000; i++)
		let_through += log_ratelimit_ok(&limit);
	assert_in_range(let_through, 3, 6); // a new window may have begun
	usleep(60 * 1000);
	assert_int_equal(log_ratelimit_ok(&limit), 1);
}

// Log one line in a child whose $JOURNAL_STREAM names its standard error, or a file that is not. In
// a child, and as the first test: where standard error leads is found out once a process.
static void log_in_child(bool is_journal, char *text, size_t size)
{
	FILE *file = tmpfile();
	struct stat st;
	int status;

	assert_non_null(file);
	assert_int_equal(fstat(fileno(file), &st), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		char stream[64];

		snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
			 (unsigned long long)st.st_ino + !is_journal);
		setenv("JOURNAL_STREAM", stream, 1);
		dup2(fileno(file), STDERR_FILENO);
		log_warning("hello", "a=1");
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	rewind(file);
	text[fread(text, 1, size - 1, file)] = '\0';
	fclose(file);
}

static void the_journal_gets_priorities_instead_of_times(void **state)
{
	char text[256];

	log_in_child(true, text, sizeof(text));
	assert_string_equal(text, "<4>hello a=1\n");
	log_in_child(false, text, sizeof(text));
	assert_string_equal(text + strlen("2026-11-23T21:25:00.123Z "), "WARNING hello a=1\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_journal_gets_priorities_instead_of_times),
		cmocka_unit_test(an_error_has_code_and_sentence),
		cmocka_unit_test(an_error_may_quote_itself),
		cmocka_unit_test(a_long_error_is_cut_between_characters),
		cmocka_unit_test(an_error_cannot_carry_control_characters),
		cmocka_unit_test(utf8_is_what_rfc_3629_says),
		cmocka_unit_test(cleaned_text_is_printable_and_not_longer),
		cmocka_unit_test(a_log_line_has_time_level_message_fields),
		cmocka_unit_test(a_value_cannot_forge_a_log_line),
		cmocka_unit_test(a_long_log_line_is_cut_not_overrun),
		cmocka_unit_test(levels_have_names),
		cmocka_unit_test(lines_of_several_threads_do_not_mix),
		cmocka_unit_test(a_peer_cannot_flood_the_log),
	};

	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
