// SPDX-License-Identifier: BSD-3-Clause
//
// The runtime's environment variables as checked values (SPEC 1.1.0, section 2, "Parameters").

#pragma once

#include "cni/cni_error.h"
#include "cni/wishes.h"

enum cni_command {
	CNI_COMMAND_ADD,
	CNI_COMMAND_DEL,
	CNI_COMMAND_CHECK,
	CNI_COMMAND_STATUS,
	CNI_COMMAND_GC,
	CNI_COMMAND_VERSION,
};

// "ADD"
const char *cni_command_name(enum cni_command command);

struct environment {
	const char *container_id; // of the process's environment, as the next two
	const char *ifname;
	const char *netns; // "": not given (DEL)
	// From CNI_ARGS, which DEL does not read.
	struct pod_name pod;
	struct wishes wishes; // IP=, MAC=, PORT_KIND=
};

// CNI_COMMAND. Errors: CNI_INVALID_ENVIRONMENT.
int environment_command(enum cni_command *ret_command, struct cni_error *error);

// The other variables, for the commands that have an attachment: ADD, DEL, CHECK. Errors:
// CNI_INVALID_ENVIRONMENT with the name of the variable.
int environment_parse(enum cni_command command, struct environment *ret_environment,
		      struct cni_error *error);
