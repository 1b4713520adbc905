// SPDX-License-Identifier: BSD-3-Clause
//
// podportctl's commands: each asks one question of hostd and prints the answer.

#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "libpodport/podport.h"

// Exit statuses, as --help lists them.
enum {
	EXIT_DONE = 0,
	EXIT_NOT = 1, // the question failed, or status: not ready
	EXIT_USAGE = 2,
	EXIT_HOSTD_AWAY = 3,
};

// Of those that watch packets; 0, NULL: not given.
struct watch_options {
	const char *file;     // -w
	uint64_t count;       // -c, --count
	uint64_t bytes;       // --bytes
	uint32_t seconds;     // --seconds
	uint32_t snap;        // --snap
	bool all;             // --all
	bool leave_offloaded; // --offloaded
};

struct options {
	bool json;
	bool drops;       // ports --drops
	const char *pod;  // of a command that has_pod; NULL: all
	uint32_t mtu;     // --mtu; 0: not given
	char **arguments; // of a command that has_arguments, after its name
	int argument_count;
	struct watch_options watch;
};

struct command {
	const char *name;
	const char *summary;   // for --help
	const char *help;      // for COMMAND --help: what is printed, and the keys of --json
	bool has_drops;        // knows --drops and --all
	bool has_pod;          // takes a POD
	bool watches;          // knows struct watch_options
	const char *arguments; // as --help has them, "[set PREFIX...]"; NULL: none
	// Before anybody is asked: 0, or command_usage(). NULL: nothing to look at.
	int (*check)(const struct options *options);
	// Returns 0 or an exit status, having printed the answer; or a negative errno with *error.
	int (*run)(struct podport_client *client, const struct options *options,
		   struct podport_error *error);
};

extern const struct command command_status, command_pods, command_ports, command_ipam,
	command_flows, command_offload, command_network, command_neighbours, command_connections,
	command_nat, command_bandwidth, command_reconcile, command_trace, command_capture;

// In the order of --help; NULL past the last one.
const struct command *command_at(size_t index);
// NULL: there is none of that name.
const struct command *command_find(const char *name);

// Say what is wrong with the command line. Returns EXIT_USAGE.
int command_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Print and release; NULL (out of memory) ends the program.
void command_print_json(json_t *json);
// {"error": {...}}, as --help has it.
void command_print_json_error(const struct podport_error *error);

// "10.88.0.2" or null.
json_t *command_json_address(bool has, int family, const void *address);
// {"pf": 0, "vf": 3}
json_t *command_json_function(unsigned int pf, unsigned int vf);
// What `offload --json` documents, without the capabilities; NULL: null.
json_t *command_json_offload(const struct podport_offload_summary *summary);
