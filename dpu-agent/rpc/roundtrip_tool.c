// SPDX-License-Identifier: BSD-3-Clause
//
// What a round trip to the agent takes, for tests/bench: calls that need no disk, one after the other. And, to compare it with,
// a byte there and back between two threads over a bare socket.
//
//     rpc-roundtrip COUNT URL [CA CERTIFICATE KEY]
//     rpc-roundtrip COUNT bare unix|tcp
//
// Prints the microseconds of each as a list of JSON.

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "proto/wire_client.h"

enum { TIMEOUT_MS = 10000, WARM_UP = 20 };

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void die(const char *what)
{
	fprintf(stderr, "rpc-roundtrip: %s\n", what);
	exit(EXIT_FAILURE);
}

static void call_agent(void *arg)
{
	struct request request = {.timeout_ms = TIMEOUT_MS, .call = CALL_GET_STATUS};
	struct reply reply = {0};
	struct error err = {0};

	if (wire_client_call(arg, &request, TIMEOUT_MS, &reply, &err) < 0)
		die(err.message);
	if (reply.code != CODE_OK)
		die(reply.message);
	reply_clear(&reply);
}

static void *echo(void *arg)
{
	int fd = *(int *)arg;
	char byte;

	while (read(fd, &byte, 1) == 1)
		if (write(fd, &byte, 1) != 1)
			break;
	return NULL;
}

static void there_and_back(void *arg)
{
	int fd = *(int *)arg;
	char byte = 'x';

	if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1)
		die("the bare socket");
}

static void connect_tcp(int fds[2])
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&address, &size) < 0 ||
	    connect(fds[0], (struct sockaddr *)&address, size) < 0)
		die("loopback");
	fds[1] = accept(listener, NULL, NULL);
	for (int i = 0; i < 2; i++)
		setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	close(listener);
}

static void measure(unsigned int count, void (*act)(void *arg), void *arg)
{
	for (unsigned int i = 0; i < WARM_UP; i++)
		act(arg);
	for (unsigned int i = 0; i < count; i++) {
		double start = now_us();

		act(arg);
		printf("%s%.2f", i == 0 ? "[" : ", ", now_us() - start);
	}
	printf("]\n");
}

static void measure_bare(unsigned int count, const char *kind)
{
	pthread_t thread;
	int fds[2];

	if (strcmp(kind, "tcp") == 0)
		connect_tcp(fds);
	else if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
		die("socketpair");
	if (pthread_create(&thread, NULL, echo, &fds[1]) != 0)
		die("thread");
	measure(count, there_and_back, &fds[0]);
	shutdown(fds[0], SHUT_RDWR);
	pthread_join(thread, NULL);
	close(fds[0]);
	close(fds[1]);
}

int main(int argc, char **argv)
{
	struct wire_client_config config = {
		.reconnect_min_ms = 10, .reconnect_max_ms = 100, .tls = {"", "", ""}};
	struct wire_client *wire = NULL;
	struct error err = {0};
	unsigned int count = argc > 1 ? (unsigned int)strtoul(argv[1], NULL, 10) : 0;

	if (count == 0 || (argc != 3 && argc != 4 && argc != 6))
		die("usage: rpc-roundtrip COUNT URL [CA CERTIFICATE KEY] | COUNT bare unix|tcp");
	if (argc == 4) {
		measure_bare(count, argv[3]);
		return EXIT_SUCCESS;
	}
	config.url = argv[2];
	if (argc == 6)
		config.tls = (struct wire_tls){argv[3], argv[4], argv[5]};
	if (wire_client_open(&config, &wire, &err) < 0)
		die(err.message);
	measure(count, call_agent, wire);
	wire_client_close(wire);
	return EXIT_SUCCESS;
}
