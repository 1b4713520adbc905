// SPDX-License-Identifier: BSD-3-Clause
//
// podportctl as an operator runs it.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl_harness.h"

static void tables_have_a_header_and_a_line_each(void **state)
{
	start(NULL);
	assert_int_equal(run("pods"), 0);
	assert_has(output, "POD");
	assert_has(output, "default/web-0");
	assert_has(output, "10.88.0.2");
	assert_has(output, "fd00:88::2");
	assert_has(output, "pf1vf7");
	assert_has(output, " partial (table full) ");
	assert_int_equal(run("ports"), 0);
	assert_has(output, "RX-PKTS");
	assert_has(output, "62.5 KiB");
	assert_has(output, "2.00k");
	assert_has(output, " 80% ");
	assert_has(output, "  15\n");
	assert_int_equal(run("ports --drops"), 0);
	assert_has(output, "REASON");
	assert_has(output, "ipv4-source");
	assert_int_equal(run("ipam"), 0);
	assert_has(output, "NEVER-USED");
	assert_has(output, "10.88.0.9");
	assert_has(output, "fd00:88::/64");
}

static void rules_are_shown_of_all_pods_or_of_one(void **state)
{
	static const char *const names[] = {"web-0", "default/web-0", "c0"};
	char arguments[64];

	start(two_rules);
	assert_int_equal(run("flows"), 0);
	assert_has(output, "MATCH");
	assert_has(output, "from pf0vf7 ipv4 src 10.88.0.2");
	assert_has(output, "count, jump 3");
	assert_has(output, "1.50k");
	assert_has(output, "123 KiB");
	assert_has(output, "1m 1s");
	assert_has(output, "(all)");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(arguments, sizeof(arguments), "flows %s", names[i]);
		assert_int_equal(run(arguments), 0);
		assert_has(output, "default/web-0");
		assert_null(strstr(output, "(all)"));
	}
	start(rule_of_host);
	assert_int_equal(run("flows"), 0);
	assert_has(output, "(host)");
	assert_null(strstr(output, "(all)"));
	assert_int_equal(run("flows web-1"), 1);
	assert_string_equal(output,
			    "podportctl: no pod is called 'web-1'; see 'podportctl pods'\n");
}

// The pod's, the uplink's, and one of a function that no pod has, but which has counted.
static enum fake_answer three_ports(const struct fake_call *call, struct reply *reply, void *arg)
{
	if (call->request.call == CALL_LIST_PORTS) {
		struct port_info *ports = reply->body.ports.ports;

		ports[1].has_key = ports[2].has_key = false;
		ports[1].slot = 1;
		strcpy(ports[1].kind, "uplink");
		strcpy(ports[0].drops[0].reason, "no-such-pod");
		ports[2].slot = 2;
		return FAKE_REPLY;
	}
	return one(call, reply, arg);
}

static void ports_that_serve_nobody_are_only_shown_when_asked_for(void **state)
{
	static const char others[] = "and 1 of functions that no pod has: --all\n";

	start(three_ports);
	assert_int_equal(run("ports"), 0);
	assert_has(output, "uplink");
	assert_has(output, others);
	assert_null(strstr(output, "\n   2 "));
	assert_int_equal(run("ports --all"), 0);
	assert_has(output, "\n   2 ");
	assert_null(strstr(output, others));
	// What was dropped there is not left out.
	assert_int_equal(run("ports --drops"), 0);
	assert_has(output, "\n   2 ");
	assert_int_equal(run("ports --json"), 0);
	assert_has(output, "\"slot\": 2");
}

static void ports_and_limits_are_shown_of_one_pod(void **state)
{
	start(three_ports);
	assert_int_equal(run("ports web-0"), 0);
	assert_has(output, "default/web-0");
	assert_null(strstr(output, "uplink"));
	assert_null(strstr(output, "--all"));
	assert_int_equal(run("ports web-0 --drops"), 0);
	assert_has(output, "the address is of the pod network, and no pod has it");
	assert_null(strstr(output, "\n   2 "));
	assert_int_equal(run("ports web-0 --json"), 0);
	assert_null(strstr(output, "\"slot\": 2"));
	assert_int_equal(run("bandwidth web-0"), 0);
	assert_has(output, "ingress");
	assert_int_equal(run("ports web-1"), 1);
	assert_int_equal(run("bandwidth web-1"), 1);
	assert_has(output, "no pod is called 'web-1'");
}

static void a_name_that_nobody_has_but_nearly_is_mended(void **state)
{
	static const char *const commands[] = {"ports",     "flows", "connections", "nat",
					       "bandwidth", "trace", "capture -w -"};
	char arguments[64];

	start(one);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		snprintf(arguments, sizeof(arguments), "%s web", commands[i]);
		assert_int_equal(run(arguments), 1);
		assert_string_equal(output, "podportctl: no pod is called 'web'; did you mean "
					    "'default/web-0'?\n");
	}
}

// From the host to the pod, from the pod to the wire, and of somebody who has gone.
static enum fake_answer callers(const struct fake_call *call, struct reply *reply, void *arg)
{
	if (call->request.call == CALL_LIST_CONNECTIONS) {
		struct connection_row *rows = reply->body.connections.connections;

		rows[0].kind = CONNECTION_WITHIN;
		memcpy(rows[0].pod, (uint8_t[]){10, 88, 0, 1}, 4);
		memcpy(rows[0].peer, (uint8_t[]){10, 88, 0, 2}, 4);
		memcpy(rows[2].pod, (uint8_t[]){10, 88, 0, 2}, 4);
		return FAKE_REPLY;
	}
	return one(call, reply, arg);
}

static void the_connections_of_a_pod_are_also_those_of_who_calls_it(void **state)
{
	start(callers);
	assert_int_equal(run("connections"), 0);
	assert_has(output, "\n(host) ");
	assert_has(output, "\n- ");
	assert_int_equal(run("connections web-0"), 0);
	assert_has(output, "\n(host) ");
	assert_has(output, "\ndefault/web-0 ");
	assert_null(strstr(output, "\n- "));
}

static enum fake_answer rules_off(const struct fake_call *call, struct reply *reply, void *arg)
{
	if (call->request.call == CALL_GET_OFFLOAD)
		reply->body.offload.summary.enabled = false;
	return FAKE_REPLY;
}

static enum fake_answer rules_unusable(const struct fake_call *call, struct reply *reply, void *arg)
{
	if (call->request.call == CALL_GET_OFFLOAD)
		reply->body.offload.summary.usable = false;
	return FAKE_REPLY;
}

static void offload_tells_what_is_missing_and_why(void **state)
{
	start(NULL);
	assert_int_equal(run("offload"), 0);
	assert_has(output, "on, 74 rules, 2 missing: table full\n");
	assert_has(output, "asynchronous");
	assert_has(output, "11 full, 1 partial, 3 none\n");
	assert_has(output, "80 inserted, 6 removed, 4 failed");
	assert_has(output, "decrement TTL");
	assert_has(output, "by MODIFY_FIELD");
	assert_has(output, "default/web-0 partial table full\n");

	start(rules_off);
	assert_int_equal(run("offload"), 0);
	assert_has(output, "off (nic.offload of the agent's configuration)\n");
	assert_null(strstr(output, "itself forwards"));

	start(rules_unusable);
	assert_int_equal(run("offload"), 0);
	assert_has(output, "NOT usable: the NIC cannot match ethernet\n");
}

// An agent that is older than offload.
static enum fake_answer older(const struct fake_call *call, struct reply *reply, void *arg)
{
	if (call->request.call == CALL_LIST)
		for (size_t i = 0; i < reply->body.list.count; i++)
			reply->body.list.items[i].has_offload = false;
	if (call->request.call == CALL_GET_STATUS)
		reply->body.status.agent.has_offload = false;
	return FAKE_REPLY;
}

static void an_older_agent_is_no_reason_to_make_something_up(void **state)
{
	start(older);
	assert_int_equal(run("pods"), 0);
	assert_has(output, " 1500 - ");
	assert_int_equal(run("status"), 0);
	assert_null(strstr(output, "offload"));
	assert_int_equal(run("status --json"), 0);
	assert_has(output, "\"offload\": null");
}

static enum fake_answer nothing(const struct fake_call *call, struct reply *reply, void *arg)
{
	enum call which = call->request.call;

	reply_clear(reply);
	reply->call = which;
	return FAKE_REPLY;
}

static void nothing_is_said_in_words(void **state)
{
	start(nothing);
	assert_int_equal(run("pods"), 0);
	assert_string_equal(output, "no pod is attached\n");
	assert_int_equal(run("ports"), 0);
	assert_string_equal(output, "the agent has no ports\n");
	assert_int_equal(run("ipam"), 0);
	assert_string_equal(output, "the agent knows no pod network yet\n");
	assert_int_equal(run("flows"), 0);
	assert_string_equal(output, "the e-switch has no rule; 'podportctl offload' says why\n");
	assert_int_equal(run("flows --json"), 0);
	assert_json(output, "{'flows':[]}");
	assert_int_equal(run("ipam --json"), 0);
	assert_json(output, "{'ipv4':null,'ipv6':null}");
	assert_int_equal(run("pods --json"), 0);
	assert_json(output, "{'pods':[]}");
}

static void status_begins_with_the_verdict(void **state)
{
	start(well);
	assert_int_equal(run("status"), 0);
	assert_true(strncmp(output, "podport is ready.\n", 18) == 0);
	assert_has(output, "connected for 12s\n");
	assert_has(output, "12 of 256 functions used");
	assert_has(output, "10.88.0.0/24, gateway 10.88.0.1, 241 addresses free");
	assert_has(output, "podport0, ready\n");
	assert_has(output, "on, 74 rules, 2 missing: table full\n");

	start(agent_away);
	assert_int_equal(run("status"), 1);
	assert_has(output, "podport is NOT ready: the agent does not answer.\n");
	assert_has(output, "NOT connected for 12s: connection refused");
	assert_has(output, "2, delivered when the agent answers");
}

static void without_hostd_it_says_what_to_start(void **state)
{

	setenv("PODPORT_SOCKET", "/tmp/no-such-folder/env.sock", 1);
	assert_int_equal(run("status"), 3);
	assert_has(output, "/tmp/no-such-folder/env.sock");
	assert_has(output, "podport-hostd");
	assert_int_equal(run("--socket /tmp/no-such-folder/option.sock pods"), 3);
	assert_has(output, "/tmp/no-such-folder/option.sock");
	// Empty is as if it were not set.
	setenv("PODPORT_SOCKET", "", 1);
	assert_int_not_equal(run("status --timeout 1"), 2);
}

static enum fake_answer silence(const struct fake_call *call, struct reply *reply, void *arg)
{
	return FAKE_SILENCE;
}

static void a_silent_hostd_is_given_up(void **state)
{
	start(silence);
	assert_int_equal(run("--timeout 0.01 status"), 3);
	assert_has(output, "has not answered");
}

static void a_wrong_command_line_is_explained(void **state)
{
	static const struct {
		const char *arguments, *says;
	} cases[] = {
		{"", "which command"},
		{"podz", "podz"},
		{"pods ports", "'ports' is one argument too many"},
		{"flows web-0 web-1", "'web-1' is one argument too many"},
		{"pods --jsom", "jsom"},
		{"pods --drops", "--drops goes with 'ports'"},
		{"pods --timeout x", "--timeout: 'x'"},
		{"pods --timeout 0", "--timeout: '0'"},
		{"pods --timeout 601", "--timeout: '601'"},
		{"pods --timeout nan", "--timeout: 'nan'"},
		{"pods --socket", "socket"},
		{"pods --count 3", "go with 'trace' or 'capture'"},
		{"pods --all", "--all goes with 'ports' or 'trace'"},
		{"trace", "trace: which pod?"},
		{"capture web-0", "POD -w FILE"},
		{"capture web-0 -w - --all", "--all goes with 'trace'"},
		{"trace web-0 --snap 100", "go with 'capture'"},
		{"help podz", "podz"},
		{"trace web-0 --count 0", "--count: '0' is not in 1.."},
		{"trace web-0 --seconds 3601", "--seconds: '3601' is not in 1..3600"},
		{"capture web-0 --snap -1", "--snap: '-1' is not in 1..9216"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(run(cases[i].arguments), 2);
		assert_has(output, cases[i].says);
	}
}

static void help_documents_every_command(void **state)
{
	static const char *const commands[] = {"status", "pods",      "ports",      "ipam",
					       "flows",  "offload",   "neighbours", "connections",
					       "nat",    "bandwidth", "trace",      "capture"};
	static char other[sizeof(output)];
	char arguments[64];

	assert_int_equal(run("help"), 0);
	strcpy(other, output);
	assert_int_equal(run("--help"), 0);
	assert_string_equal(output, other);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		assert_has(output, commands[i]);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		snprintf(arguments, sizeof(arguments), "%s --help", commands[i]);
		assert_int_equal(run(arguments), 0);
		assert_has(output, "--json: {");
		strcpy(other, output);
		snprintf(arguments, sizeof(arguments), "help %s", commands[i]);
		assert_int_equal(run(arguments), 0);
		assert_string_equal(output, other);
	}
	assert_int_equal(run("--version"), 0);
	assert_string_equal(output, "podportctl " PODPORT_VERSION "\n");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(tables_have_a_header_and_a_line_each),
		TEST(rules_are_shown_of_all_pods_or_of_one),
		TEST(ports_that_serve_nobody_are_only_shown_when_asked_for),
		TEST(ports_and_limits_are_shown_of_one_pod),
		TEST(a_name_that_nobody_has_but_nearly_is_mended),
		TEST(the_connections_of_a_pod_are_also_those_of_who_calls_it),
		TEST(offload_tells_what_is_missing_and_why),
		TEST(an_older_agent_is_no_reason_to_make_something_up),
		TEST(nothing_is_said_in_words),
		TEST(status_begins_with_the_verdict),
		TEST(without_hostd_it_says_what_to_start),
		TEST(a_silent_hostd_is_given_up),
		TEST(a_wrong_command_line_is_explained),
		TEST(help_documents_every_command),
	};

	return run_ctl_tests(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
