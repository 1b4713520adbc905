// SPDX-License-Identifier: BSD-3-Clause
//
// What the two ends of the wire share: which URLs are allowed, TLS, times, nng's errors as ours.
//
// What is to know of nng 1.5:
//
// Threads. They start once a process, at the first socket: a task queue of twice the CPUs (at most
// 16), a timer per CPU, a poller and resolvers. None of it can be tuned at run time (1.7 can), and a
// child of fork() must not use it.
//
// The reaper. One thread takes apart what was closed, in turn, and it can get stuck for good: a
// connection closed in the moment between "header received" and its callback leaves an operation that
// nobody ends (ipc_pipe_recv_cb begins the next read on an aio that is stopped, and no callback comes;
// the same in tcp and tls). Then no nng_close returns any more, the dialer of that connection does
// not dial again, and a listener goes on, but keeps the file descriptor of every connection that ends. Peers that die
// under load are enough: some hundred that close in the middle of a frame. Hence wire_close_socket; the client's
// keeper, which makes a new socket where the old one does not come back; and wire_is_worn, for who can be restarted.

#pragma once

#include <pthread.h>

#include <stdbool.h>

#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>

#include "proto/wire_client.h"

enum {
	// What nng refuses at the transport (it drops the connection): our limit, plus the REQ/REP
	// header of 4 bytes, plus room for the codec to see a message that is a little too large
	// and answer with a reason.
	WIRE_RECV_BYTES_MAX = 2 * LIMIT_MESSAGE_BYTES,
	WIRE_PEM_BYTES_MAX = 1024 * 1024, // a bundle of some hundred CAs
};

// Check a URL and, if it is tls+tcp://, build nng's configuration of certificates from the files
// (NULL for the others). nng_tls_config_free releases it. Errors: -EINVAL with CODE_BAD_REQUEST,
// which name the URL or the file.
int wire_endpoint_check(const char *url, const struct wire_tls *tls, bool insecure,
			nng_tls_mode mode, nng_tls_config **ret_tls_config, struct error *err);

// Do these (PEM texts of the files) belong together? -EINVAL with CODE_BAD_REQUEST and the file's name if not. What a
// peer will hold against the certificate is logged.
int wire_check_certificates(const struct wire_tls *tls, const char *ca, const char *certificate,
			    const char *key, struct error *err);

// What a peer will hold against the certificate in the file, as it is now: "/x/host.pem has expired: 2026-...". false: nothing
// that can be seen from here.
bool wire_certificate_fault(const struct wire_tls *tls, char ret_text[LIMIT_TEXT + 1]);

// One of nng's statistics of a dialer or listener (kind: "dialer", "listener"): "auth", how often TLS has failed with a
// peer; "pipes", its connections, also those that nng has not taken apart.
uint64_t wire_statistic(const char *kind, int id, const char *name);

// How many sockets nng has not closed.
unsigned int wire_left_behind(void);

// Does nng still take connections apart? Takes milliseconds if it does, seconds if not.
bool wire_reaper_works(void);

// The positive errno that says the same as this error of nng's; 0 for 0.
int wire_errno(int nng_error);

int64_t wire_now_ms(void); // CLOCK_MONOTONIC

// A condition variable that is waited for until a time of wire_now_ms. Returns 0 or ETIMEDOUT.
void wire_init_condition(pthread_cond_t *condition);
int wire_wait_until(pthread_cond_t *condition, pthread_mutex_t *mutex, int64_t deadline_ms);

// nng_close, but back within seconds, whether nng has finished or not: false, it is left behind. `owned` (NULL: none),
// what the socket's callbacks point at, is freed when it has. All operations on the socket must be over.
bool wire_close_socket(nng_socket socket, void *owned);
