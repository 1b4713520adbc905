// SPDX-License-Identifier: BSD-3-Clause
//
// The table of commands, and what they share.

#include <arpa/inet.h>
#include <err.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ctl/command.h"

static const struct command *const commands[] = {
	&command_status,      &command_pods,    &command_ports,     &command_ipam,
	&command_flows,       &command_offload, &command_network,   &command_neighbours,
	&command_connections, &command_nat,     &command_bandwidth, &command_reconcile,
	&command_trace,       &command_capture,
};
enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

const struct command *command_at(size_t index)
{
	return index < COMMAND_COUNT ? commands[index] : NULL;
}

const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (strcmp(name, commands[i]->name) == 0)
			return commands[i];
	return NULL;
}

int command_usage(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "podportctl: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\nTry 'podportctl --help'.\n");
	return EXIT_USAGE;
}

void command_print_json(json_t *json)
{
	if (json == NULL)
		errx(EXIT_NOT, "out of memory");
	json_dumpf(json, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(json);
}

void command_print_json_error(const struct podport_error *error)
{
	command_print_json(json_pack("{s:{s:i, s:s, s:s}}", "error", "code", error->code, "name",
				     error->name, "message", error->message));
}

json_t *command_json_address(bool has, int family, const void *address)
{
	char text[INET6_ADDRSTRLEN];

	if (!has || inet_ntop(family, address, text, sizeof(text)) == NULL)
		return json_null();
	return json_string(text);
}

json_t *command_json_function(unsigned int pf, unsigned int vf)
{
	return json_pack("{s:i, s:i}", "pf", (int)pf, "vf", (int)vf);
}
