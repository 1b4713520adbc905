// SPDX-License-Identifier: BSD-3-Clause
//
// podportctl, the operator's command: options and the connection to podport-hostd. Tables for people,
// --json for programs.

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/command.h"

// ---- help ----------------------------------------------------------------------------------------

static const char help_options[] =
	"      --json          for programs; the keys are in COMMAND --help\n"
	"      --socket PATH   podport-hostd's (default $PODPORT_SOCKET, or\n"
	"                      " PODPORT_SOCKET_DEFAULT ")\n"
	"      --timeout SECONDS\n"
	"                      for the agent's answer (default 10); podport-hostd has\n"
	"                      two more for its own\n"
	"  -h, --help          this, or with a COMMAND more about it; also 'help COMMAND'\n"
	"      --version\n";

static void help(const struct command *command)
{
	if (command != NULL) {
		printf("Usage: podportctl %s%s%s%s [--json]%s [--socket PATH] [--timeout "
		       "SECONDS]\n\n%s",
		       command->name, command->has_pod ? " [POD]" : "",
		       command->arguments != NULL ? " " : "",
		       command->arguments != NULL ? command->arguments : "",
		       command->has_drops ? " [--drops] [--all]" : "", command->help);
		return;
	}
	printf("Usage: podportctl [OPTIONS] COMMAND\n\n"
	       "Shows what podport does on this host, by asking podport-hostd.\n\n"
	       "Commands:\n");
	for (size_t i = 0; command_at(i) != NULL; i++)
		printf("  %-11s  %s\n", command_at(i)->name, command_at(i)->summary);
	printf("\nOptions:\n"
	       "      --drops         with 'ports': dropped packets by reason\n"
	       "      --all           with 'ports': those of free functions, too\n"
	       "      --mtu BYTES     with 'network set': the pods' MTU\n"
	       "%s"
	       "\nExit status:\n"
	       "  0  done; status: pods can be attached\n"
	       "  1  the question failed; status: no pod can be attached now\n"
	       "  2  wrong usage\n"
	       "  3  podport-hostd does not answer\n"
	       "\nAn error is a line on standard error, or with --json an object on standard "
	       "output:\n"
	       "  {\"error\": {\"code\": 4, \"name\": \"agent-away\", \"message\": \"...\"}}\n",
	       help_options);
}

static int usage(void)
{
	fprintf(stderr, "Try 'podportctl --help'.\n");
	return EXIT_USAGE;
}

// ---- main ----------------------------------------------------------------------------------------

static int fail(const struct options *options, const struct podport_error *error)
{
	if (options->json)
		command_print_json_error(error);
	else
		fprintf(stderr, "podportctl: %s\n", error->message);
	return error->code == PODPORT_HOSTD_AWAY ? EXIT_HOSTD_AWAY : EXIT_NOT;
}

struct arguments {
	struct options options;
	const char *socket; // NULL or "": the default
	uint32_t timeout_ms;
	bool help;
	const struct command *command;
};

static int parse_timeout(const char *text, uint32_t *ret_timeout_ms)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end != '\0' || !(seconds >= 0.001) ||
	    !(seconds <= PODPORT_TIMEOUT_MAX_MS / 1000.0)) {
		fprintf(stderr, "podportctl: --timeout: '%s' is not in 0.001..%d seconds\n", text,
			PODPORT_TIMEOUT_MAX_MS / 1000);
		return -1;
	}
	*ret_timeout_ms = (uint32_t)(seconds * 1000 + 0.5);
	return 0;
}

static int parse_mtu(const char *text, uint32_t *ret_mtu)
{
	char *end;
	unsigned long mtu = strtoul(text, &end, 10);

	if (end == text || *end != '\0' || mtu < 1280 || mtu > 9000) {
		fprintf(stderr, "podportctl: --mtu: '%s' is not in 1280..9000\n", text);
		return -1;
	}
	*ret_mtu = (uint32_t)mtu;
	return 0;
}

// 1..most
static int parse_number(const char *name, const char *text, uint64_t most, uint64_t *ret_number)
{
	unsigned long long number;
	char *end;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number == 0 ||
	    number > most) {
		fprintf(stderr, "podportctl: %s: '%s' is not in 1..%llu\n", name, text,
			(unsigned long long)most);
		return -1;
	}
	*ret_number = number;
	return 0;
}

// What follows the options. Returns 0 or -1.
static int parse_command(int argc, char **argv, struct arguments *ret)
{
	int index = optind;

	if (index < argc && strcmp(argv[index], "help") == 0) {
		ret->help = true;
		index++;
	}
	if (index == argc)
		return 0;
	ret->command = command_find(argv[index]);
	if (ret->command == NULL) {
		fprintf(stderr, "podportctl: there is no command '%s'\n", argv[index]);
		return -1;
	}
	index++;
	if (index < argc && ret->command->has_pod)
		ret->options.pod = argv[index++];
	if (ret->command->arguments != NULL) {
		ret->options.arguments = &argv[index];
		ret->options.argument_count = argc - index;
		return 0;
	}
	if (index == argc)
		return 0;
	fprintf(stderr, "podportctl: '%s' is one argument too many\n", argv[index]);
	return -1;
}

enum {
	OPTION_JSON = 256,
	OPTION_SOCKET,
	OPTION_TIMEOUT,
	OPTION_DROPS,
	OPTION_MTU,
	OPTION_BYTES,
	OPTION_SECONDS,
	OPTION_SNAP,
	OPTION_ALL,
	OPTION_OFFLOADED,
	OPTION_VERSION
};

// Returns 0, or -1 if it is none of these, or its value is wrong, which was said then.
static int parse_watch_option(int option, const char *text, struct watch_options *watch)
{
	uint64_t number;

	switch (option) {
	case 'w':
		watch->file = text;
		return 0;
	case 'c':
		return parse_number("--count", text, UINT64_MAX, &watch->count);
	case OPTION_BYTES:
		return parse_number("--bytes", text, UINT64_MAX, &watch->bytes);
	case OPTION_SECONDS:
		if (parse_number("--seconds", text, 3600, &number) < 0)
			return -1;
		watch->seconds = (uint32_t)number;
		return 0;
	case OPTION_SNAP:
		if (parse_number("--snap", text, 9216, &number) < 0)
			return -1;
		watch->snap = (uint32_t)number;
		return 0;
	case OPTION_ALL:
		watch->all = true;
		return 0;
	case OPTION_OFFLOADED:
		watch->leave_offloaded = true;
		return 0;
	default:
		return -1;
	}
}

// Returns 0 to go on, or -1 with *ret_status to exit with.
static int parse_arguments(int argc, char **argv, struct arguments *ret, int *ret_status)
{
	static const struct option long_options[] = {
		{"json", no_argument, NULL, OPTION_JSON},
		{"socket", required_argument, NULL, OPTION_SOCKET},
		{"timeout", required_argument, NULL, OPTION_TIMEOUT},
		{"drops", no_argument, NULL, OPTION_DROPS},
		{"mtu", required_argument, NULL, OPTION_MTU},
		{"count", required_argument, NULL, 'c'},
		{"bytes", required_argument, NULL, OPTION_BYTES},
		{"seconds", required_argument, NULL, OPTION_SECONDS},
		{"snap", required_argument, NULL, OPTION_SNAP},
		{"all", no_argument, NULL, OPTION_ALL},
		{"offloaded", no_argument, NULL, OPTION_OFFLOADED},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, OPTION_VERSION},
		{NULL, 0, NULL, 0},
	};
	int option;

	*ret_status = EXIT_USAGE;
	while ((option = getopt_long(argc, argv, "hw:c:", long_options, NULL)) != -1) {
		switch (option) {
		case OPTION_JSON:
			ret->options.json = true;
			break;
		case OPTION_SOCKET:
			ret->socket = optarg;
			break;
		case OPTION_TIMEOUT:
			if (parse_timeout(optarg, &ret->timeout_ms) < 0)
				return -1;
			break;
		case OPTION_DROPS:
			ret->options.drops = true;
			break;
		case OPTION_MTU:
			if (parse_mtu(optarg, &ret->options.mtu) < 0)
				return -1;
			break;
		case 'h':
			ret->help = true;
			break;
		case OPTION_VERSION:
			printf("podportctl %s\n", PODPORT_VERSION);
			*ret_status = EXIT_DONE;
			return -1;
		default:
			if (parse_watch_option(option, optarg, &ret->options.watch) == 0)
				break;
			usage();
			return -1;
		}
	}
	if (parse_command(argc, argv, ret) == 0)
		return 0;
	usage();
	return -1;
}

static bool is_given(const struct watch_options *watch)
{
	return watch->file != NULL || watch->count != 0 || watch->bytes != 0 ||
	       watch->seconds != 0 || watch->snap != 0 || watch->leave_offloaded;
}

// Options that go with some commands only. Returns 0, or an exit status, having said why.
static int check_options(const struct command *command, const struct options *options)
{
	if (options->drops && !command->has_drops)
		return command_usage("--drops goes with 'ports'");
	if (options->mtu != 0 && command != &command_network)
		return command_usage("--mtu goes with 'network set'");
	if (options->watch.all && !command->watches && !command->has_drops)
		return command_usage("--all goes with 'ports' or 'trace'");
	if (!command->watches && is_given(&options->watch))
		return command_usage("-w, --count, --bytes, --seconds, --snap and --offloaded go "
				     "with 'trace' or 'capture'");
	return command->check != NULL ? command->check(options) : 0;
}

int main(int argc, char **argv)
{
	struct arguments arguments = {.socket = getenv("PODPORT_SOCKET")};
	struct podport_client *client;
	struct podport_error error;
	int status;

	// Names may be UTF-8. Not LC_NUMERIC: numbers have points.
	setlocale(LC_CTYPE, "");
	if (parse_arguments(argc, argv, &arguments, &status) < 0)
		return status;
	if (arguments.help) {
		help(arguments.command);
		return EXIT_DONE;
	}
	if (arguments.command == NULL)
		return command_usage("which command? status, pods, ports, ipam, flows, offload, "
				     "network,\n  neighbours, connections, nat, bandwidth, trace, "
				     "capture or reconcile");
	status = check_options(arguments.command, &arguments.options);
	if (status != 0)
		return status;
	if (arguments.socket != NULL && arguments.socket[0] == '\0')
		arguments.socket = NULL;
	if (podport_connect(arguments.socket, arguments.timeout_ms, &client, &error) < 0)
		return fail(&arguments.options, &error);
	status = arguments.command->run(client, &arguments.options, &error);
	podport_free(client);
	if (status < 0)
		return fail(&arguments.options, &error);
	if (fflush(stdout) != 0 || ferror(stdout))
		err(EXIT_NOT, "standard output");
	return status;
}
