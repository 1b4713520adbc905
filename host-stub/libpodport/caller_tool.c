// SPDX-License-Identifier: BSD-3-Clause
//
// Not a test: a caller for tests/system that calls by libpodport, over one connection that it keeps, as gocni does and unlike
// podport-cni, which is a process for each call. Each line of standard input is a call, and is answered by a line:
//
//     ADD NETWORK CONTAINER IFNAME NETNS      ok 10.88.0.5 fd00::5     ("-": none)
//     CHECK NETWORK CONTAINER IFNAME NETNS    ok 10.88.0.5 fd00::5
//     DEL NETWORK CONTAINER IFNAME NETNS      ok
//                                             error CODE SENTENCE

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libpodport/podport.h"

static int answer(struct podport_attachment *attachment)
{
	char ipv4[INET_ADDRSTRLEN] = "-", ipv6[INET6_ADDRSTRLEN] = "-";

	if (attachment->has_ipv4)
		inet_ntop(AF_INET, &attachment->ipv4, ipv4, sizeof(ipv4));
	if (attachment->has_ipv6)
		inet_ntop(AF_INET6, &attachment->ipv6, ipv6, sizeof(ipv6));
	printf("ok %s %s\n", ipv4, ipv6);
	podport_attachment_free(attachment);
	return 0;
}

static int add(struct podport_client *client, const struct podport_key *key, const char *netns,
	       struct podport_error *error)
{
	struct podport_add_request request = PODPORT_ADD_REQUEST_INIT;
	struct podport_attachment *attachment;

	request.key = *key;
	request.netns = netns;
	if (podport_add(client, &request, &attachment, error) < 0)
		return -1;
	return answer(attachment);
}

static int check(struct podport_client *client, const struct podport_key *key, const char *netns,
		 struct podport_error *error)
{
	struct podport_check_request request = PODPORT_CHECK_REQUEST_INIT;
	struct podport_attachment *attachment;

	request.key = *key;
	request.netns = netns;
	if (podport_check(client, &request, &attachment, error) < 0)
		return -1;
	return answer(attachment);
}

static int del(struct podport_client *client, const struct podport_key *key, const char *netns,
	       struct podport_error *error)
{
	struct podport_del_request request = PODPORT_DEL_REQUEST_INIT;

	request.key = *key;
	request.netns = netns;
	if (podport_del(client, &request, error) < 0)
		return -1;
	puts("ok");
	return 0;
}

// The connection is made by the first call that can, and after that it is libpodport's to keep.
static int call(const char *socket, struct podport_client **client, char *line,
		struct podport_error *error)
{
	char command[8], network[129], container_id[129], ifname[16], netns[256];
	struct podport_key key = {network, container_id, ifname};

	if (sscanf(line, "%7s %128s %128s %15s %255s", command, network, container_id, ifname,
		   netns) != 5) {
		fprintf(stderr, "what is '%s'?\n", line);
		exit(EXIT_FAILURE);
	}
	if (*client == NULL && podport_connect(socket, 60000, client, error) < 0)
		return -1;
	if (strcmp(command, "ADD") == 0)
		return add(*client, &key, netns, error);
	if (strcmp(command, "CHECK") == 0)
		return check(*client, &key, netns, error);
	return del(*client, &key, netns, error);
}

int main(int argc, char **argv)
{
	struct podport_client *client = NULL;
	struct podport_error error;
	char line[1024];

	if (argc != 2) {
		fprintf(stderr, "usage: %s SOCKET\n", argv[0]);
		return 2;
	}
	while (fgets(line, sizeof(line), stdin) != NULL) {
		if (call(argv[1], &client, line, &error) < 0)
			printf("error %d %s\n", error.code, error.message);
		fflush(stdout);
	}
	podport_free(client);
	return 0;
}
