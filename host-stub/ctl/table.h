// SPDX-License-Identifier: BSD-3-Clause
//
// A table on standard output: libsmartcols, without its error handling in every caller. Running out
// of memory ends the program, which is a command that prints and exits.

#pragma once

#include <stdbool.h>
#include <stddef.h>

struct table;

struct table_column {
	const char *name;
	bool right; // numbers
};

// columns: ends with a NULL name.
struct table *table_new(const struct table_column *columns);
// Start a row; table_put fills its columns from the left.
void table_row(struct table *table);
void table_put(struct table *table, const char *text);
size_t table_rows(const struct table *table);
// Print and free.
void table_print(struct table *table);
