// SPDX-License-Identifier: BSD-3-Clause
//
// Many attachments by the agent's own interface, without a host that wires them: for tests of what the agent does with a
// thousand pods.
//
//     rpc-attach URL attach|detach FIRST COUNT      keys many-FIRST/eth0 and so on of network "test"
//
// Prints how long it took. Status 1, and the first error, if one of them fails.

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/wire_client.h"

enum { CALLERS = 32, TIMEOUT_MS = 60000 };

static struct wire_client *wire;
static enum call call;
static unsigned int end;
static atomic_uint next;
static atomic_bool failed;

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void fail(const char *container_id, const char *why)
{
	if (!atomic_exchange(&failed, true))
		fprintf(stderr, "rpc-attach: %s: %s\n", container_id, why);
}

static void run_call(unsigned int number)
{
	struct request request = {.timeout_ms = TIMEOUT_MS, .call = call};
	struct attachment_key *key =
		call == CALL_ATTACH ? &request.body.attach.key : &request.body.detach.key;
	struct reply reply = {0};
	struct error err = {0};

	snprintf(key->network, sizeof(key->network), "test");
	snprintf(key->container_id, sizeof(key->container_id), "many-%u", number);
	snprintf(key->ifname, sizeof(key->ifname), "eth0");
	if (wire_client_call(wire, &request, TIMEOUT_MS, &reply, &err) < 0) {
		fail(key->container_id, err.message);
		return;
	}
	if (reply.code != CODE_OK)
		fail(key->container_id, reply.message);
	reply_clear(&reply);
}

static void *run_caller(void *unused)
{
	unsigned int number;

	while (!atomic_load(&failed) && (number = atomic_fetch_add(&next, 1)) < end)
		run_call(number);
	return NULL;
}

int main(int argc, char **argv)
{
	struct wire_client_config config = {
		.reconnect_min_ms = 10, .reconnect_max_ms = 100, .tls = {"", "", ""}};
	pthread_t callers[CALLERS];
	struct error err = {0};
	unsigned int count;
	double start;

	if (argc != 5 || (strcmp(argv[2], "attach") != 0 && strcmp(argv[2], "detach") != 0)) {
		fprintf(stderr, "usage: rpc-attach URL attach|detach FIRST COUNT\n");
		return EXIT_FAILURE;
	}
	config.url = argv[1];
	call = argv[2][0] == 'a' ? CALL_ATTACH : CALL_DETACH;
	atomic_store(&next, (unsigned int)strtoul(argv[3], NULL, 10));
	count = (unsigned int)strtoul(argv[4], NULL, 10);
	end = atomic_load(&next) + count;
	if (wire_client_open(&config, &wire, &err) < 0) {
		fprintf(stderr, "rpc-attach: %s\n", err.message);
		return EXIT_FAILURE;
	}
	start = now_s();
	for (int i = 0; i < CALLERS; i++) {
		if (pthread_create(&callers[i], NULL, run_caller, NULL) != 0) {
			perror("rpc-attach: thread");
			return EXIT_FAILURE;
		}
	}
	for (int i = 0; i < CALLERS; i++)
		pthread_join(callers[i], NULL);
	wire_client_close(wire);
	if (atomic_load(&failed))
		return EXIT_FAILURE;
	printf("%u calls in %.3f s\n", count, now_s() - start);
	return EXIT_SUCCESS;
}
