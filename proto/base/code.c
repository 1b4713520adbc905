// SPDX-License-Identifier: BSD-3-Clause
//
// Names of the error codes, for people and for --json.

#include "proto/base/code.h"

#include <stddef.h>

const char *code_name(unsigned int code)
{
	static const char *const names[CODE_COUNT] = {
		[CODE_OK] = "ok",
		[CODE_INTERNAL] = "internal",
		[CODE_BAD_REQUEST] = "bad-request",
		[CODE_UNSUPPORTED] = "unsupported",
		[CODE_AGENT_AWAY] = "agent-away",
		[CODE_NOT_READY] = "not-ready",
		[CODE_NOT_FOUND] = "not-found",
		[CODE_CONFLICT] = "conflict",
		[CODE_NO_ADDRESS] = "no-address",
		[CODE_NO_FUNCTION] = "no-function",
		[CODE_STORE] = "store",
		[CODE_NIC] = "nic",
		[CODE_NETNS] = "netns",
		[CODE_WIRING] = "wiring",
		[CODE_INTERFACE_EXISTS] = "interface-exists",
		[CODE_MISMATCH] = "mismatch",
		[CODE_LATE] = "late",
		[CODE_PERMISSION] = "permission",
		[CODE_BUSY] = "busy",
		[CODE_HOSTD_AWAY] = "hostd-away",
	};

	if (code >= CODE_COUNT || names[code] == NULL)
		return "unknown";
	return names[code];
}
