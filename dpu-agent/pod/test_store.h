// SPDX-License-Identifier: BSD-3-Clause
//
// For tests of the store: a fresh folder for each, in memory (what is slow or fails here is made to,
// by fault_vfs), sample records, and what is in a store. A "crash" is a copy of the files as they
// are at that moment, opened.

#pragma once

#include "pod/store.h"

struct fixture {
	char dir[64], crash_dir[64];
};

struct contents {
	struct store_record records[64];
	struct store_released released[64];
	size_t record_count, released_count;
};

int store_setup(void **state); // *state: a struct fixture
int store_teardown(void **state);

// A shell command, which must succeed.
void test_command(const char *format, ...) __attribute__((format(printf, 1, 2)));
void test_must(int r); // 0

struct store *test_open_store(const char *dir);

// Number n's, all different; even ones have IPv6.
struct store_record test_record(unsigned int n);
struct store_released test_released_ipv4(unsigned int n);

// One transaction that adds number n's record.
void test_add(struct store *store, unsigned int n);

// What is in the store; valid until the next of these.
struct contents *test_read(struct store *store);
// What a crash now would leave.
struct contents *test_read_after_crash(const struct fixture *fixture);
