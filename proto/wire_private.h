// SPDX-License-Identifier: BSD-3-Clause
//
// What the two ends of the wire share: which URLs are allowed, TLS, times, nng's errors as ours.
//
// nng 1.5 starts its threads once a process, at the first socket: a task queue of twice the CPUs (at
// most 16), a timer per CPU, a poller and a resolver. None of it can be tuned at run time (later
// versions can), and a child of fork() must not use it.

#pragma once

#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>

#include "proto/wire_client.h"

enum {
	// What nng refuses at the transport (it drops the connection): our limit, plus the REQ/REP
	// header of 4 bytes, plus room for the codec to see a message that is a little too large
	// and answer with a reason.
	WIRE_RECV_BYTES_MAX = 2 * LIMIT_MESSAGE_BYTES,
};

// Check a URL and, if it is tls+tcp://, build nng's configuration of certificates from the files
// (NULL for the others). nng_tls_config_free releases it. Errors: -EINVAL with CODE_BAD_REQUEST,
// which name the URL or the file.
int wire_endpoint_check(const char *url, const struct wire_tls *tls, bool insecure,
			nng_tls_mode mode, nng_tls_config **ret_tls_config, struct error *err);

// The positive errno that says the same as this error of nng's; 0 for 0.
int wire_errno(int nng_error);

int64_t wire_now_ms(void); // CLOCK_MONOTONIC
