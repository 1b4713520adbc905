// SPDX-License-Identifier: BSD-3-Clause
//
// podportctl --json for tests that ask so often that starting it would be most of the work:
//
//     podportctl-loop SOCKET
//
// Each line of standard input is the name of a command. The answer is what podportctl would print, then a
// zero byte and a line with what it would exit with.

#include <err.h>
#include <stdio.h>
#include <string.h>

#include "ctl/command.h"

static int answer(struct podport_client *client, const char *name)
{
	const struct options options = {.json = true};
	const struct command *command = command_find(name);
	struct podport_error error;
	int status;

	if (command == NULL)
		errx(EXIT_USAGE, "there is no command '%s'", name);
	status = command->run(client, &options, &error);
	if (status >= 0)
		return status;
	command_print_json_error(&error);
	return error.code == PODPORT_HOSTD_AWAY ? EXIT_HOSTD_AWAY : EXIT_NOT;
}

int main(int argc, char **argv)
{
	struct podport_client *client;
	struct podport_error error;
	char line[64];

	if (argc != 2)
		errx(EXIT_USAGE, "usage: podportctl-loop SOCKET");
	if (podport_connect(argv[1], 0, &client, &error) < 0)
		errx(EXIT_HOSTD_AWAY, "%s", error.message);
	while (fgets(line, sizeof(line), stdin) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		int status = answer(client, line);

		printf("%c%d\n", '\0', status);
		if (fflush(stdout) != 0)
			err(EXIT_NOT, "standard output");
	}
	podport_free(client);
	return EXIT_DONE;
}
