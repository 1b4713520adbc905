// SPDX-License-Identifier: BSD-3-Clause
//
// Tables by libsmartcols.

#include "ctl/table.h"

#include <err.h>
#include <libsmartcols.h>
#include <stdlib.h>

struct table {
	struct libscols_table *scols;
	struct libscols_line *line;
	size_t next_column;
};

static void out_of_memory(void)
{
	errx(1, "out of memory");
}

struct table *table_new(const struct table_column *columns)
{
	struct table *table = calloc(1, sizeof(*table));

	if (table == NULL || (table->scols = scols_new_table()) == NULL)
		out_of_memory();
	for (; columns->name != NULL; columns++)
		if (scols_table_new_column(table->scols, columns->name, 0,
					   columns->right ? SCOLS_FL_RIGHT : 0) == NULL)
			out_of_memory();
	return table;
}

void table_row(struct table *table)
{
	table->line = scols_table_new_line(table->scols, NULL);
	table->next_column = 0;
	if (table->line == NULL)
		out_of_memory();
}

void table_put(struct table *table, const char *text)
{
	if (scols_line_set_data(table->line, table->next_column++, text) < 0)
		out_of_memory();
}

size_t table_rows(const struct table *table)
{
	return scols_table_get_nlines(table->scols);
}

void table_print(struct table *table)
{
	if (scols_print_table(table->scols) < 0)
		out_of_memory();
	scols_unref_table(table->scols);
	free(table);
}
