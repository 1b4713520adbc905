// SPDX-License-Identifier: BSD-3-Clause
//
// What 'trace' and 'capture' share: whose packets, which of them, and the loop that reads them until an
// end.

#pragma once

#include "ctl/command.h"

// A pod's attachment by what the operator calls it: POD, or POD:INTERFACE of one that has several.
// Points into `pods`. Errors: PODPORT_NOT_FOUND, PODPORT_BAD_REQUEST (which of them?).
int watch_find_pod(const struct podport_pods *pods, const char *name,
		   const struct podport_attachment **ret_pod, struct podport_error *error);

struct watch_filter {
	char *text; // NULL: none
	struct podport_filter_instruction *instructions;
	size_t count;
};
// The words joined, in the syntax of pcap-filter(7), compiled by libpcap. None: everything. Errors:
// PODPORT_BAD_REQUEST with what libpcap says.
int watch_filter_compile(char *const *words, int count, struct watch_filter *ret_filter,
			 struct podport_error *error);
void watch_filter_clear(struct watch_filter *filter);

// On standard error, so that whoever waits for it knows that packets are taken from now on.
void watch_tell_begin(const char *what, const struct podport_watch_info *info,
		      const struct podport_watch_request *request);

struct watch_reader {
	// Of each packet. Returns 0, or a negative errno with *error: the watch is ended.
	int (*packet)(void *arg, const struct podport_packet *packet, struct podport_error *error);
	// When all that was there has been read: a good time to flush.
	int (*pause)(void *arg, struct podport_error *error);
	void *arg;
};

struct watch_outcome {
	uint64_t read, lost, offloaded;
	char reason[256];
};
// Read until the watch ends, or a signal (INT, TERM, HUP) asks for it; then what there is still. An
// error of the reader's ends it, too; the watch is gone afterwards in any case, or will be in seconds.
int watch_follow(struct podport_client *client, struct podport_watch *watch,
		 const struct watch_reader *reader, struct watch_outcome *ret_outcome,
		 struct podport_error *error);

// Fill *error. Returns -r.
int watch_fail(struct podport_error *error, int r, int code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
