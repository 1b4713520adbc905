// SPDX-License-Identifier: BSD-3-Clause
//
// The one enum of error codes. They travel in Reply.code, so numbers are never reused. CNI's codes
// are mapped from these in host-stub/cni/cni_error.c and nowhere else.

#pragma once

enum code {
	CODE_OK = 0,
	CODE_INTERNAL = 1,    // a bug, or a failing system call that nobody foresaw
	CODE_BAD_REQUEST = 2, // a field is missing, malformed or out of range; the message names it
	CODE_UNSUPPORTED = 3, // protocol version or call not known to this side
	CODE_AGENT_AWAY = 4,  // no answer in time; try again later
	CODE_NOT_READY = 5,   // e.g. no pod network yet; try again later
	CODE_NOT_FOUND = 6,   // no such attachment
	CODE_CONFLICT =
		7, // an attachment with this key exists and differs, or what was asked for is taken
	CODE_NO_ADDRESS = 8,        // the pod network is exhausted
	CODE_NO_FUNCTION = 9,       // all functions of the NIC are in use
	CODE_STORE = 10,            // the agent's (or hostd's) disk failed; nothing was changed
	CODE_NIC = 11,              // the NIC or its driver refused
	CODE_NETNS = 12,            // the sandbox is not there or not a network namespace
	CODE_WIRING = 13,           // a step in the sandbox failed and was rolled back
	CODE_INTERFACE_EXISTS = 14, // the sandbox has an interface of that name that is not ours
	CODE_MISMATCH = 15,         // CHECK: the sandbox is not as it was attached
	CODE_LATE = 16,             // the deadline had passed before work began
	CODE_PERMISSION = 17,       // the caller may not do this
	CODE_BUSY = 18, // a call for the same attachment is under way, or too many calls; try again
	CODE_HOSTD_AWAY = 19, // libpodport's own, never on the wire: podport-hostd does not answer
	CODE_COUNT,
};

// A short name ("no-address") for logs and --json. Never NULL, also for a number that is no code.
const char *code_name(unsigned int code);
