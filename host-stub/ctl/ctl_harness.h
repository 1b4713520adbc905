// SPDX-License-Identifier: BSD-3-Clause
//
// For tests of podportctl: the program, run as an operator or a script runs it, and a podport-hostd that
// answers as the test says. In JSON here ' stands for ", for the reader's sake.

#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "libpodport/fake_hostd.h"

// Of the last run: standard output and error.
extern char output[16384];

// Run with a shell's arguments. Returns the exit status.
int run(const char *arguments);

void assert_has(const char *text, const char *part);
void assert_json(const char *text, const char *expected);

// A hostd in place of the one before; it ends with the test.
void start(fake_handler handler);
extern struct fake_hostd *fake;

// How it answers: one of each, to keep what is expected short; the same, with the first rule for c0, a pod
// that is listed, and the second one for all; that one for the host; all is well; the agent does not answer.
enum fake_answer one(const struct fake_call *call, struct reply *reply, void *arg);
enum fake_answer two_rules(const struct fake_call *call, struct reply *reply, void *arg);
enum fake_answer rule_of_host(const struct fake_call *call, struct reply *reply, void *arg);
enum fake_answer well(const struct fake_call *call, struct reply *reply, void *arg);
enum fake_answer agent_away(const struct fake_call *call, struct reply *reply, void *arg);

// Of main: argv[1] is the program.
int run_ctl_tests(int argc, char **argv, const struct CMUnitTest *tests, size_t count);
int stop_fake(void **state);
#define TEST(name) cmocka_unit_test_setup_teardown(name, NULL, stop_fake)
