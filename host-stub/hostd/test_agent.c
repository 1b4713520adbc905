// SPDX-License-Identifier: BSD-3-Clause
//
// An agent for tests: see test_agent.h. Usage: hostd_test_agent URL MEMORY_FD

#include "hostd/test_agent.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "hostd/test_netns.h"
#include "proto/wire_server.h"

static struct test_agent_memory *memory;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static int find(const struct attachment_key *key)
{
	for (int vf = 0; vf < TEST_AGENT_FUNCTIONS; vf++)
		if (memory->functions[vf].used &&
		    attachment_key_equal(&memory->functions[vf].attachment.key, key))
			return vf;
	return -1;
}

static void refuse(struct reply *reply, enum code code)
{
	struct error error;

	error_set(&error, 1, code, "the test's agent refuses: %s", code_name(code));
	reply_from_error(reply, &error);
}

static void attach(const struct attach_request *request, struct reply *reply)
{
	int vf = find(&request->key);

	reply->repeated = vf >= 0;
	for (int i = 0; vf < 0 && i < TEST_AGENT_FUNCTIONS; i++) {
		struct attachment attachment;

		if (memory->functions[i].used)
			continue;
		vf = i;
		attachment = test_attachment((unsigned int)vf);
		attachment.key = request->key;
		attachment.sandbox = request->sandbox;
		attachment.pod = request->pod;
		if (!memory->old_attach) {
			attachment.bandwidth = request->bandwidth;
			attachment.port_mappings = request->port_mappings;
		}
		if (request->port == PORT_CHOICE_VIRTIO_USER) {
			attachment.port = request->port;
			attachment.function = (struct function_id){0};
		}
		attachment.created_unix_ms = ++memory->created;
		memory->functions[vf].attachment = attachment;
		memory->functions[vf].used = true;
	}
	if (vf < 0) {
		refuse(reply, CODE_NO_FUNCTION);
		return;
	}
	reply->call = CALL_ATTACH;
	reply->body.attach = memory->functions[vf].attachment;
}

static void detach(const struct detach_request *request, struct reply *reply)
{
	int vf = find(&request->key);

	reply->call = CALL_DETACH;
	if (vf < 0 ||
	    (request->created_unix_ms != 0 &&
	     request->created_unix_ms != memory->functions[vf].attachment.created_unix_ms))
		return;
	memory->functions[vf].used = false;
	reply->body.detach.existed = true;
	reply->body.detach.function.vf = (uint16_t)vf;
}

static void check(const struct check_request *request, struct reply *reply)
{
	int vf = find(&request->key);

	if (vf < 0) {
		refuse(reply, CODE_NOT_FOUND);
		return;
	}
	reply->call = CALL_CHECK;
	reply->body.check = memory->functions[vf].attachment;
}

// Pages of two, so that tests meet more than one.
static void list(const struct list_request *request, struct reply *reply)
{
	struct list_reply *answer = &reply->body.list;
	const struct attachment_key *after = request->has_after ? &request->after : NULL;

	reply->call = CALL_LIST;
	answer->items = calloc(2, sizeof(*answer->items));
	for (;;) {
		const struct attachment *next = NULL;

		for (int vf = 0; vf < TEST_AGENT_FUNCTIONS; vf++) {
			const struct attachment *this = &memory->functions[vf].attachment;

			if (memory->functions[vf].used &&
			    (memory->old_lists || request->network[0] == '\0' ||
			     strcmp(request->network, this->key.network) == 0) &&
			    (after == NULL || attachment_key_compare(&this->key, after) > 0) &&
			    (next == NULL || attachment_key_compare(&this->key, &next->key) < 0))
				next = this;
		}
		if (next == NULL)
			return;
		if (answer->count == 2) {
			answer->more = true;
			return;
		}
		answer->items[answer->count].attachment = *next;
		after = &answer->items[answer->count++].attachment.key;
	}
}

static void act(const struct request *request, struct reply *reply)
{
	enum code code = (enum code)memory->refuse[request->call];

	memory->calls[request->call]++;
	snprintf(memory->host_id, sizeof(memory->host_id), "%s", request->host_id);
	if (request->call != CALL_HELLO && memory->order_count < TEST_AGENT_ORDER_MAX)
		memory->order[memory->order_count++] = (unsigned char)request->call;
	if (code != CODE_OK) {
		refuse(reply, code);
		return;
	}
	switch (request->call) {
	case CALL_HELLO:
		reply->call = CALL_HELLO;
		reply->body.hello = memory->hello;
		break;
	case CALL_ATTACH:
		attach(&request->body.attach, reply);
		break;
	case CALL_DETACH:
		detach(&request->body.detach, reply);
		break;
	case CALL_CHECK:
		check(&request->body.check, reply);
		break;
	case CALL_LIST:
		list(&request->body.list, reply);
		break;
	case CALL_GET_STATUS:
		reply->call = CALL_GET_STATUS;
		reply->body.status.has_agent = true;
		strcpy(reply->body.status.agent.instance_id, "test");
		break;
	case CALL_LIST_FLOWS:
		reply->call = CALL_LIST_FLOWS;
		reply->body.flows.flows = calloc(1, sizeof(struct flow_info));
		reply->body.flows.flows[0].id = request->body.list_flows.after + 1;
		reply->body.flows.count = 1;
		break;
	case CALL_SET_POD_NETWORK:
		reply->call = CALL_SET_POD_NETWORK;
		reply->body.set_pod_network = memory->hello.pod_network;
		break;
	case CALL_RECONCILE:
		reply->call = CALL_RECONCILE;
		reply->body.reconcile.without_port = 3;
		break;
	case CALL_GET_OFFLOAD:
		reply->call = CALL_GET_OFFLOAD;
		reply->body.offload.summary.rules = 1;
		break;
	default:
		refuse(reply, CODE_UNSUPPORTED);
		break;
	}
}

static void *answer(void *arg)
{
	struct wire_call *call = arg;
	const struct request *request = wire_call_request(call);
	struct reply *reply = calloc(1, sizeof(*reply));

	if (reply == NULL)
		abort();
	pthread_mutex_lock(&mutex);
	act(request, reply);
	pthread_mutex_unlock(&mutex);
	snprintf(reply->instance_id, sizeof(reply->instance_id), "test-%d-%u", getpid(),
		 memory->instance);
	while (memory->silent[request->call])
		usleep(10000); // until the process goes, or the call is too late for anybody
	usleep(memory->delay_ms[request->call] * 1000);
	wire_call_reply(call, reply);
	reply_clear(reply);
	free(reply);
	return NULL;
}

static void handle(struct wire_call *call, void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, answer, call) != 0)
		abort();
	pthread_detach(thread);
}

int main(int argc, char **argv)
{
	struct wire_server_config config = {
		.tls = {"", "", ""}, .contexts = 256, .socket_mode = 0600, .handler = handle};
	struct wire_server *server;
	struct error error;

	if (argc != 3)
		return 2;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	memory = mmap(NULL, sizeof(*memory), PROT_READ | PROT_WRITE, MAP_SHARED, atoi(argv[2]), 0);
	if (memory == MAP_FAILED)
		return 1;
	config.url = argv[1];
	if (wire_server_start(&config, &server, &error) < 0) {
		fprintf(stderr, "%s\n", error.message);
		return 1;
	}
	for (;;)
		pause();
}
