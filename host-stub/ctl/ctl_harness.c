// SPDX-License-Identifier: BSD-3-Clause
//
// See ctl_harness.h.

#include "ctl/ctl_harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <jansson.h>

char output[16384];
struct fake_hostd *fake;

static const char *program;

int run(const char *arguments)
{
	char command[512];
	size_t length;

	snprintf(command, sizeof(command), "%s %s 2>&1", program, arguments);
	FILE *pipe = popen(command, "r");
	assert_non_null(pipe);
	length = fread(output, 1, sizeof(output) - 1, pipe);
	output[length] = '\0';
	int status = pclose(pipe);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

void assert_has(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("no '%s' in:\n%s", part, text);
}

void assert_json(const char *text, const char *expected)
{
	char *json = strdup(expected);
	json_error_t error;

	for (char *c = json; *c != '\0'; c++)
		if (*c == '\'')
			*c = '"';
	json_t *is = json_loads(text, 0, &error), *want = json_loads(json, 0, NULL);
	assert_non_null(want);
	if (is == NULL)
		fail_msg("%s: %s", error.text, text);
	if (!json_equal(is, want))
		fail_msg("is %s", text);
	json_decref(is);
	json_decref(want);
	free(json);
}

int stop_fake(void **state)
{
	if (fake != NULL)
		fake_hostd_stop(fake);
	fake = NULL;
	return 0;
}

void start(fake_handler handler)
{
	stop_fake(NULL);
	fake = fake_hostd_start(NULL, handler, NULL);
	setenv("PODPORT_SOCKET", fake_hostd_path(fake), 1);
}

enum fake_answer one(const struct fake_call *call, struct reply *reply, void *arg)
{
	if (call->request.call == CALL_LIST)
		reply->body.list.count = 1;
	if (call->request.call == CALL_LIST_PORTS)
		reply->body.ports.count = 1;
	if (call->request.call == CALL_LIST_FLOWS)
		reply->body.flows.count = 2;
	if (call->request.call == CALL_GET_OFFLOAD)
		reply->body.offload.count = 1;
	return FAKE_REPLY;
}

enum fake_answer two_rules(const struct fake_call *call, struct reply *reply, void *arg)
{
	if (call->request.call == CALL_LIST_FLOWS) {
		struct flow_info *shared = &reply->body.flows.flows[1];

		shared->has_key = shared->has_function = shared->counted = false;
	}
	return one(call, reply, arg);
}

enum fake_answer rule_of_host(const struct fake_call *call, struct reply *reply, void *arg)
{
	if (call->request.call == CALL_LIST_FLOWS)
		reply->body.flows.flows[1].of_host = true;
	return two_rules(call, reply, arg);
}

enum fake_answer well(const struct fake_call *call, struct reply *reply, void *arg)
{
	struct status_reply *status = &reply->body.status;

	status->host.link_error[0] = status->host.host_port_error[0] = '\0';
	status->agent.not_ready_reason[0] = '\0';
	status->agent.notice[0] = '\0';
	return FAKE_REPLY;
}

enum fake_answer agent_away(const struct fake_call *call, struct reply *reply, void *arg)
{
	struct host_status *host = &reply->body.status.host;

	if (call->request.call != CALL_GET_STATUS) {
		const struct error err = {CODE_AGENT_AWAY, "the agent has not answered for 5 s"};
		reply_clear(reply);
		reply_from_error(reply, &err);
		return FAKE_REPLY;
	}
	reply->body.status.has_agent = false;
	host->link_up = false;
	strcpy(host->link_error, "connection refused");
	host->host_port_ready = false;
	host->host_port_error[0] = '\0';
	return FAKE_REPLY;
}

int run_ctl_tests(int argc, char **argv, const struct CMUnitTest *tests, size_t count)
{
	if (argc != 2) {
		fprintf(stderr, "usage: %s PODPORTCTL\n", argv[0]);
		return 2;
	}
	program = argv[1];
	return _cmocka_run_group_tests("podportctl", tests, count, NULL, NULL);
}
