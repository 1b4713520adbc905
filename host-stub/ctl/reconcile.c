// SPDX-License-Identifier: BSD-3-Clause
//
// podportctl reconcile

#include <stdio.h>

#include "ctl/command.h"

static const struct {
	const char *key;
	size_t offset;
	const char *text;
} rows[] = {
#define ROW(field, text_)                                                                          \
	{                                                                                          \
#field, offsetof(struct podport_reconciliation, field), text_                      \
	}
	ROW(attachments, "attachments of this host"),
	ROW(suspects, "of them look as if their sandbox were gone"),
	ROW(reclaimed, "of these released now"),
	ROW(without_port, "attachments whose port cannot be started"),
	ROW(leaving, "releases that wait for the agent's disk"),
	ROW(queued_deletes, "releases that wait on this host for the agent"),
	ROW(strays, "functions that had come home under a foreign name, named again"),
	ROW(rules_missing, "rules missing in the NIC's e-switch"),
};

static uint32_t value(const struct podport_reconciliation *told, size_t row)
{
	return *(const uint32_t *)(const void *)((const char *)told + rows[row].offset);
}

static int run(struct podport_client *client, const struct options *options,
	       struct podport_error *error)
{
	struct podport_reconciliation *told;
	int r = podport_reconcile(client, &told, error);

	if (r < 0)
		return r;
	json_t *json = json_object();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_object_set_new(json, rows[i].key, json_integer((json_int_t)value(told, i)));
		if (!options->json)
			printf("%6u  %s\n", value(told, i), rows[i].text);
	}
	if (options->json)
		command_print_json(json);
	else
		json_decref(json);
	podport_reconciliation_free(told);
	return EXIT_DONE;
}

const struct command command_reconcile = {
	.name = "reconcile",
	.summary = "compare attachments, sandboxes and ports now, and tell what is left",
	.help = "hostd and agent do this by themselves every few seconds; this is for who does not "
		"want to\n"
		"wait. What can be mended is. An attachment whose sandbox is gone is released when "
		"it "
		"has been\n"
		"gone for reclaim_grace_s.\n"
		"\n"
		"--json: an object of numbers: attachments, suspects, reclaimed, without_port, "
		"leaving,\n"
		"  queued_deletes, strays, rules_missing\n",
	.run = run,
};
