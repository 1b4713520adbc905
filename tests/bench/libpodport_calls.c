// SPDX-License-Identifier: BSD-3-Clause
//
// Calls by libpodport, many at once, for tests/bench/benchmarks/calls.py, which builds it. Each of the threads has a connection
// that it keeps.
//
//     libpodport_calls SOCKET
//
// Standard input: a line "ADD COUNT", "CHECK COUNT" or "DEL COUNT", then as many lines "CONTAINER NETNS". All calls of them are
// begun together; the answer is a line of JSON, a list of how many milliseconds each took.

#include <err.h>
#include <podport.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { AT_ONCE_MAX = 256, TIMEOUT_MS = 60000 };

struct caller {
	pthread_t thread;
	struct podport_client *client;
	char container[129], netns[256];
	double taken_ms;
};

static struct caller callers[AT_ONCE_MAX];
static pthread_barrier_t together;
static char command[8];

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int call(struct caller *caller, struct podport_error *error)
{
	struct podport_key key = {"bench", caller->container, "eth0"};
	struct podport_attachment *attachment = NULL;
	int r;

	if (strcmp(command, "ADD") == 0) {
		struct podport_add_request request = PODPORT_ADD_REQUEST_INIT;

		request.key = key;
		request.netns = caller->netns;
		r = podport_add(caller->client, &request, &attachment, error);
	} else if (strcmp(command, "CHECK") == 0) {
		struct podport_check_request request = PODPORT_CHECK_REQUEST_INIT;

		request.key = key;
		request.netns = caller->netns;
		r = podport_check(caller->client, &request, &attachment, error);
	} else {
		struct podport_del_request request = PODPORT_DEL_REQUEST_INIT;

		request.key = key;
		request.netns = caller->netns;
		return podport_del(caller->client, &request, error);
	}
	if (r == 0)
		podport_attachment_free(attachment);
	return r;
}

static void *run(void *argument)
{
	struct caller *caller = argument;
	struct podport_error error;
	double begin;

	pthread_barrier_wait(&together);
	begin = now_ms();
	if (call(caller, &error) < 0)
		errx(1, "%s %s: %s", command, caller->container, error.message);
	caller->taken_ms = now_ms() - begin;
	return NULL;
}

static void batch(const char *socket, unsigned int count)
{
	struct podport_error error;

	pthread_barrier_init(&together, NULL, count);
	for (unsigned int i = 0; i < count; i++) {
		struct caller *caller = &callers[i];

		if (scanf("%128s %255s", caller->container, caller->netns) != 2)
			errx(1, "a container and its network namespace are missing");
		if (caller->client == NULL &&
		    podport_connect(socket, TIMEOUT_MS, &caller->client, &error) < 0)
			errx(1, "%s", error.message);
		if (pthread_create(&caller->thread, NULL, run, caller) != 0)
			errx(1, "no thread");
	}
	for (unsigned int i = 0; i < count; i++) {
		pthread_join(callers[i].thread, NULL);
		printf("%s%.3f", i == 0 ? "[" : ", ", callers[i].taken_ms);
	}
	printf("]\n");
	fflush(stdout);
	pthread_barrier_destroy(&together);
}

int main(int argc, char **argv)
{
	unsigned int count;

	if (argc != 2)
		errx(2, "usage: libpodport_calls SOCKET");
	while (scanf("%7s %u", command, &count) == 2) {
		if (count == 0 || count > AT_ONCE_MAX)
			errx(1, "1 to %d at once", AT_ONCE_MAX);
		batch(argv[1], count);
	}
	for (unsigned int i = 0; i < AT_ONCE_MAX; i++)
		podport_free(callers[i].client);
	return 0;
}
