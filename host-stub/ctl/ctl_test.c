// SPDX-License-Identifier: BSD-3-Clause
//
// podportctl as an operator and a script run it, with a podport-hostd that answers as the test says.
// argv[1] is the program. In JSON here ' stands for ", for the reader's sake.

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>
#include <jansson.h>

#include "libpodport/fake_hostd.h"

static const char *program;

// Run with a shell's arguments; standard error goes with the output. Returns the exit status.
static int run(const char *arguments, char output[16384])
{
	char command[512];
	size_t length;

	snprintf(command, sizeof(command), "%s %s 2>&1", program, arguments);
	FILE *pipe = popen(command, "r");
	assert_non_null(pipe);
	length = fread(output, 1, 16383, pipe);
	output[length] = '\0';
	int status = pclose(pipe);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void assert_has(const char *output, const char *part)
{
	if (strstr(output, part) == NULL)
		fail_msg("no '%s' in:\n%s", part, output);
}

static void assert_json(const char *output, const char *expected)
{
	char *text = strdup(expected);
	json_error_t error;

	for (char *c = text; *c != '\0'; c++)
		if (*c == '\'')
			*c = '"';
	json_t *is = json_loads(output, 0, &error), *want = json_loads(text, 0, NULL);
	assert_non_null(want);
	if (is == NULL)
		fail_msg("%s: %s", error.text, output);
	if (!json_equal(is, want))
		fail_msg("is %s", output);
	json_decref(is);
	json_decref(want);
	free(text);
}

static struct fake_hostd *start(fake_handler handler, void *arg)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, handler, arg);

	setenv("PODPORT_SOCKET", fake_hostd_path(fake), 1);
	return fake;
}

// One of three, to keep what is expected short.
static enum fake_answer one(const struct fake_call *call, struct reply *reply, void *arg)
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

// ---- for programs --------------------------------------------------------------------------------

// The keys are an interface: programs read them. COMMAND --help documents them.

static void the_json_of_pods_is_as_documented(void **state)
{
	struct fake_hostd *fake = start(one, NULL);
	char output[16384];

	assert_int_equal(run("pods --json", output), 0);
	assert_json(output,
		    "{'pods':[{'namespace':'default','name':'web-0',"
		    "'uid':'6f9d1c2e-7b1a-4c55-9f0e-2d3c4b5a6978','network':'pod-network',"
		    "'container_id':'c0','ifname':'eth0','netns':'/var/run/netns/cni-1234',"
		    "'netns_inode':4026532208,'ipv4':'10.88.0.2','gateway_ipv4':'10.88.0.1',"
		    "'ipv6':'fd00:88::2','gateway_ipv6':'fd00:88::1','mac':'02:00:5e:10:20:30',"
		    "'gateway_mac':'02:00:5e:10:20:30','function':{'pf':1,'vf':7},'mtu':1500,"
		    "'link_group':42,'created_unix_ms':1795900000000,'offload':'partial',"
		    "'offload_reason':'table full'}]}");
	fake_hostd_stop(fake);
}

static void the_json_of_network_is_as_documented(void **state)
{
	static const char network[] = "{'pod_network':{'ipv4':'10.88.0.0/24',"
				      "'gateway_ipv4':'10.88.0.1','ipv6':'fd00:88::/64',"
				      "'gateway_ipv6':'fd00:88::1','mtu':1500,"
				      "'router_mac':'02:00:5e:10:20:30'}}";
	struct fake_hostd *fake = start(NULL, NULL);
	struct fake_call call;
	char output[16384];

	assert_int_equal(run("network --json", output), 0);
	assert_json(output, network);
	assert_int_equal(run("network set fd00:99::/64 10.99.0.0/20 --mtu 9000 --json", output), 0);
	assert_json(output, network); // the sample
	fake_hostd_calls(fake, &call);
	assert_int_equal(call.request.call, CALL_SET_POD_NETWORK);
	assert_true(call.request.body.set_pod_network.has_ipv4);
	assert_int_equal(call.request.body.set_pod_network.ipv4_prefix_length, 20);
	assert_int_equal(call.request.body.set_pod_network.ipv6_prefix_length, 64);
	assert_int_equal(call.request.body.set_pod_network.mtu, 9000);
	assert_int_equal(run("network set 10.99.0.0/20", output), 0);
	assert_has(output, "10.88.0.0/24, gateway 10.88.0.1");
	fake_hostd_calls(fake, &call);
	assert_false(call.request.body.set_pod_network.has_ipv6);
	fake_hostd_stop(fake);
}

static void what_is_no_network_is_wrong_usage(void **state)
{
	static const char *const wrong[] = {
		"network set",
		"network get",
		"network --mtu 1500",
		"network set 10.99.0.0",
		"network set 10.99.0.0/x",
		"network set 10.99.0.0/20 10.98.0.0/20",
		"network set 10.99.0.0/20 --mtu 100",
		"status --mtu 1500",
		"reconcile now",
	};
	struct fake_hostd *fake = start(NULL, NULL);
	char output[16384];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (run(wrong[i], output) != 2)
			fail_msg("%s: %s", wrong[i], output);
	assert_int_equal(fake_hostd_calls(fake, NULL), 0);
	fake_hostd_stop(fake);
}

static void the_json_of_reconcile_is_as_documented(void **state)
{
	struct fake_hostd *fake = start(NULL, NULL);
	char output[16384];

	assert_int_equal(run("reconcile --json", output), 0);
	assert_json(output, "{'attachments':12,'suspects':4,'reclaimed':5,'without_port':1,"
			    "'leaving':2,'queued_deletes':7,'strays':6,'rules_missing':3}");
	assert_int_equal(run("reconcile", output), 0);
	assert_has(output, "    12  attachments of this host\n");
	fake_hostd_stop(fake);
}

static void the_json_of_ports_is_as_documented(void **state)
{
	struct fake_hostd *fake = start(one, NULL);
	char output[16384];

	// The three drops of the sample have one name; JSON keeps one of them.
	assert_int_equal(run("ports --json", output), 0);
	assert_json(output,
		    "{'ports':[{'slot':0,'kind':'function','name':'net_simnic0_representor_3',"
		    "'function':{'pf':1,'vf':7},'attachment':{'network':'pod-network',"
		    "'container_id':'c0','ifname':'eth0','pod':'default/web-0'},'link_up':true,"
		    "'mtu':1500,'mac':'02:00:5e:10:20:30','rx_packets':1000,'rx_bytes':64000,"
		    "'tx_packets':2000,'tx_bytes':128000,'offloaded_rx_packets':900,"
		    "'offloaded_rx_bytes':57600,'offloaded_tx_packets':1500,"
		    "'offloaded_tx_bytes':96000,'dropped_packets':15,"
		    "'drops':{'ipv4-source':5}}]}");
	fake_hostd_stop(fake);
}

static void the_json_of_ipam_is_as_documented(void **state)
{
	struct fake_hostd *fake = start(NULL, NULL);
	char output[16384];

	assert_int_equal(run("--json ipam", output), 0);
	assert_json(output, "{'ipv4':{'prefix':'10.88.0.0/24','gateway':'10.88.0.1','total':253,"
			    "'allocated':11,'never_used':200,'released':42,'next':'10.88.0.9'},"
			    "'ipv6':{'prefix':'fd00:88::/64','gateway':'fd00:88::1','total':253,"
			    "'allocated':11,'never_used':200,'released':42,'next':'fd00:88::9'}}");
	fake_hostd_stop(fake);
}

#define SUMMARY                                                                                    \
	"'enabled':true,'usable':true,'why_not':'the NIC cannot match ethernet',"                  \
	"'api':'asynchronous','rules':74,'rules_missing':2,'missing_reason':'table full',"         \
	"'pods_full':11,'pods_partial':1,'pods_none':3,'inserted':80,'removed':6,'failed':4"

static void the_json_of_offload_is_as_documented(void **state)
{
	struct fake_hostd *fake = start(one, NULL);
	char output[16384];

	assert_int_equal(run("offload --json", output), 0);
	assert_json(output, "{" SUMMARY ",'capabilities':[{'name':'decrement TTL',"
			    "'supported':true,'needed':true,'remark':'by MODIFY_FIELD'}]}");
	fake_hostd_stop(fake);
}

// The first rule serves c0, a pod that is listed, the second one all.
static enum fake_answer two_rules(const struct fake_call *call, struct reply *reply, void *arg)
{
	if (call->request.call == CALL_LIST_FLOWS) {
		struct flow_info *shared = &reply->body.flows.flows[1];

		shared->has_key = shared->has_function = shared->counted = false;
	}
	return one(call, reply, arg);
}

#define RULE_OF_WEB                                                                                \
	"{'id':1000,'attachment':{'network':'pod-network','container_id':'c0','ifname':'eth0',"    \
	"'pod':'default/web-0'},'function':{'pf':1,'vf':7},'group':2,'priority':1,"                \
	"'match':'from pf0vf7 ipv4 src 10.88.0.2','actions':'count, jump 3','packets':1500,"       \
	"'bytes':126000,'age_ms':61000}"

static void the_json_of_flows_is_as_documented(void **state)
{
	struct fake_hostd *fake = start(two_rules, NULL);
	char output[16384];

	assert_int_equal(run("flows --json", output), 0);
	assert_json(output, "{'flows':[" RULE_OF_WEB
			    ",{'id':1001,'attachment':null,'function':null,'group':2,"
			    "'priority':1,'match':'from pf0vf7 ipv4 src 10.88.0.2',"
			    "'actions':'count, jump 3','packets':null,'bytes':null,"
			    "'age_ms':61000}]}");
	assert_int_equal(run("flows default/web-0 --json", output), 0);
	assert_json(output, "{'flows':[" RULE_OF_WEB "]}");
	assert_int_equal(run("flows --json nobody", output), 1);
	assert_has(output, "\"name\": \"not-found\"");
	assert_has(output, "no pod is called 'nobody'");
	fake_hostd_stop(fake);
}

static enum fake_answer well(const struct fake_call *call, struct reply *reply, void *arg)
{
	struct status_reply *status = &reply->body.status;

	status->host.link_error[0] = status->host.host_port_error[0] = '\0';
	status->agent.not_ready_reason[0] = '\0';
	status->agent.notice[0] = '\0';
	return FAKE_REPLY;
}

static enum fake_answer agent_away(const struct fake_call *call, struct reply *reply, void *arg)
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

static void the_json_of_status_is_as_documented(void **state)
{
	struct fake_hostd *fake = start(well, NULL);
	char output[16384];

	assert_int_equal(run("status --json", output), 0);
	assert_json(output,
		    "{'ready':true,'reason':'','host':{'version':'0.1.0',"
		    "'agent_url':'ipc:///run/podport/agent.sock','link_up':true,"
		    "'link_changed_ms_ago':12345,'link_error':'','queued_deletes':2,"
		    "'calls_in_flight':1,'host_port':'podport0','host_port_ready':true,"
		    "'host_port_error':''},'agent':{'version':'0.1.0','instance_id':'3f2504e0',"
		    "'uptime_ms':777,'ready':true,'not_ready_reason':'','notice':'',"
		    "'nic_device':'net_simnic0,card=/run/podport/card.sock',"
		    "'nic_driver':'net_simnic','functions':256,'functions_used':12,"
		    "'attachments':12,'workers':2,'pod_network':{'ipv4':'10.88.0.0/24',"
		    "'gateway_ipv4':'10.88.0.1','ipv6':'fd00:88::/64','gateway_ipv6':'fd00:88::1',"
		    "'router_mac':'02:00:5e:10:20:30','mtu':1500},'ipv4_free':241,"
		    "'ipv6_free':65000,'offload':{" SUMMARY "}}}");
	fake_hostd_stop(fake);

	fake = start(agent_away, NULL);
	assert_int_equal(run("status --json", output), 1);
	assert_json(output,
		    "{'ready':false,'reason':'the agent does not answer','host':{'version':'0.1.0',"
		    "'agent_url':'ipc:///run/podport/agent.sock','link_up':false,"
		    "'link_changed_ms_ago':12345,'link_error':'connection refused',"
		    "'queued_deletes':2,'calls_in_flight':1,'host_port':'podport0',"
		    "'host_port_ready':false,'host_port_error':''},'agent':null}");
	fake_hostd_stop(fake);
}

static void an_error_is_json_for_a_program(void **state)
{
	struct fake_hostd *fake = start(agent_away, NULL);
	char output[16384];

	assert_int_equal(run("pods --json", output), 1);
	assert_json(output, "{'error':{'code':4,'name':'agent-away',"
			    "'message':'the agent has not answered for 5 s'}}");
	assert_int_equal(run("pods", output), 1);
	assert_string_equal(output, "podportctl: the agent has not answered for 5 s\n");
	fake_hostd_stop(fake);
}

// ---- for people ----------------------------------------------------------------------------------

static void tables_have_a_header_and_a_line_each(void **state)
{
	struct fake_hostd *fake = start(NULL, NULL);
	char output[16384];

	assert_int_equal(run("pods", output), 0);
	assert_has(output, "POD");
	assert_has(output, "default/web-0");
	assert_has(output, "10.88.0.2");
	assert_has(output, "fd00:88::2");
	assert_has(output, "pf1vf7");
	assert_has(output, " partial (table full) ");
	assert_int_equal(run("ports", output), 0);
	assert_has(output, "RX-PKTS");
	assert_has(output, "62.5 KiB");
	assert_has(output, "2.00k");
	assert_has(output, " 80% ");
	assert_has(output, "  15\n");
	assert_int_equal(run("ports --drops", output), 0);
	assert_has(output, "REASON");
	assert_has(output, "ipv4-source");
	assert_int_equal(run("ipam", output), 0);
	assert_has(output, "NEVER-USED");
	assert_has(output, "10.88.0.9");
	assert_has(output, "fd00:88::/64");
	fake_hostd_stop(fake);
}

static void rules_are_shown_of_all_pods_or_of_one(void **state)
{
	static const char *const names[] = {"web-0", "default/web-0", "c0"};
	struct fake_hostd *fake = start(two_rules, NULL);
	char output[16384], arguments[64];

	assert_int_equal(run("flows", output), 0);
	assert_has(output, "MATCH");
	assert_has(output, "from pf0vf7 ipv4 src 10.88.0.2");
	assert_has(output, "count, jump 3");
	assert_has(output, "1.50k");
	assert_has(output, "123 KiB");
	assert_has(output, "1m 1s");
	assert_has(output, "(all)");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(arguments, sizeof(arguments), "flows %s", names[i]);
		assert_int_equal(run(arguments, output), 0);
		assert_has(output, "default/web-0");
		assert_null(strstr(output, "(all)"));
	}
	assert_int_equal(run("flows web-1", output), 1);
	assert_string_equal(output,
			    "podportctl: no pod is called 'web-1'; see 'podportctl pods'\n");
	fake_hostd_stop(fake);
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
	struct fake_hostd *fake = start(NULL, NULL);
	char output[16384];

	assert_int_equal(run("offload", output), 0);
	assert_has(output, "on, 74 rules, 2 missing: table full\n");
	assert_has(output, "asynchronous");
	assert_has(output, "11 full, 1 partial, 3 none\n");
	assert_has(output, "80 inserted, 6 removed, 4 failed");
	assert_has(output, "decrement TTL");
	assert_has(output, "by MODIFY_FIELD");
	assert_has(output, "default/web-0 partial table full\n");
	fake_hostd_stop(fake);

	fake = start(rules_off, NULL);
	assert_int_equal(run("offload", output), 0);
	assert_has(output, "off (nic.offload of the agent's configuration)\n");
	assert_null(strstr(output, "itself forwards"));
	fake_hostd_stop(fake);

	fake = start(rules_unusable, NULL);
	assert_int_equal(run("offload", output), 0);
	assert_has(output, "NOT usable: the NIC cannot match ethernet\n");
	fake_hostd_stop(fake);
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
	struct fake_hostd *fake = start(older, NULL);
	char output[16384];

	assert_int_equal(run("pods", output), 0);
	assert_has(output, " 1500 - ");
	assert_int_equal(run("status", output), 0);
	assert_null(strstr(output, "offload"));
	assert_int_equal(run("status --json", output), 0);
	assert_has(output, "\"offload\": null");
	fake_hostd_stop(fake);
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
	struct fake_hostd *fake = start(nothing, NULL);
	char output[16384];

	assert_int_equal(run("pods", output), 0);
	assert_string_equal(output, "no pod is attached\n");
	assert_int_equal(run("ports", output), 0);
	assert_string_equal(output, "the agent has no ports\n");
	assert_int_equal(run("ipam", output), 0);
	assert_string_equal(output, "the agent knows no pod network yet\n");
	assert_int_equal(run("flows", output), 0);
	assert_string_equal(output, "the e-switch has no rule; 'podportctl offload' says why\n");
	assert_int_equal(run("flows --json", output), 0);
	assert_json(output, "{'flows':[]}");
	assert_int_equal(run("ipam --json", output), 0);
	assert_json(output, "{'ipv4':null,'ipv6':null}");
	assert_int_equal(run("pods --json", output), 0);
	assert_json(output, "{'pods':[]}");
	fake_hostd_stop(fake);
}

static void status_begins_with_the_verdict(void **state)
{
	struct fake_hostd *fake = start(well, NULL);
	char output[16384];

	assert_int_equal(run("status", output), 0);
	assert_true(strncmp(output, "podport is ready.\n", 18) == 0);
	assert_has(output, "connected for 12s\n");
	assert_has(output, "12 of 256 functions used");
	assert_has(output, "10.88.0.0/24, gateway 10.88.0.1, 241 addresses free");
	assert_has(output, "podport0, ready\n");
	assert_has(output, "on, 74 rules, 2 missing: table full\n");
	fake_hostd_stop(fake);

	fake = start(agent_away, NULL);
	assert_int_equal(run("status", output), 1);
	assert_has(output, "podport is NOT ready: the agent does not answer.\n");
	assert_has(output, "NOT connected for 12s: connection refused");
	assert_has(output, "2, delivered when the agent answers");
	fake_hostd_stop(fake);
}

static void without_hostd_it_says_what_to_start(void **state)
{
	char output[16384];

	setenv("PODPORT_SOCKET", "/tmp/no-such-folder/env.sock", 1);
	assert_int_equal(run("status", output), 3);
	assert_has(output, "/tmp/no-such-folder/env.sock");
	assert_has(output, "podport-hostd");
	assert_int_equal(run("--socket /tmp/no-such-folder/option.sock pods", output), 3);
	assert_has(output, "/tmp/no-such-folder/option.sock");
	// Empty is as if it were not set.
	setenv("PODPORT_SOCKET", "", 1);
	assert_int_not_equal(run("status --timeout 1", output), 2);
}

static enum fake_answer silence(const struct fake_call *call, struct reply *reply, void *arg)
{
	return FAKE_SILENCE;
}

static void a_silent_hostd_is_given_up(void **state)
{
	struct fake_hostd *fake = start(silence, NULL);
	char output[16384];

	assert_int_equal(run("--timeout 0.01 status", output), 3);
	assert_has(output, "has not answered");
	fake_hostd_stop(fake);
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
	};
	char output[16384];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(run(cases[i].arguments, output), 2);
		assert_has(output, cases[i].says);
	}
}

static void help_documents_every_command(void **state)
{
	static const char *const commands[] = {"status", "pods",  "ports",
					       "ipam",   "flows", "offload"};
	char output[16384], arguments[64];

	assert_int_equal(run("--help", output), 0);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		assert_has(output, commands[i]);
		char whole[16384];
		snprintf(arguments, sizeof(arguments), "%s --help", commands[i]);
		assert_int_equal(run(arguments, whole), 0);
		assert_has(whole, "--json: {");
	}
	assert_int_equal(run("--version", output), 0);
	assert_string_equal(output, "podportctl " PODPORT_VERSION "\n");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_json_of_pods_is_as_documented),
		cmocka_unit_test(the_json_of_network_is_as_documented),
		cmocka_unit_test(what_is_no_network_is_wrong_usage),
		cmocka_unit_test(the_json_of_reconcile_is_as_documented),
		cmocka_unit_test(the_json_of_ports_is_as_documented),
		cmocka_unit_test(the_json_of_ipam_is_as_documented),
		cmocka_unit_test(the_json_of_flows_is_as_documented),
		cmocka_unit_test(the_json_of_offload_is_as_documented),
		cmocka_unit_test(the_json_of_status_is_as_documented),
		cmocka_unit_test(an_error_is_json_for_a_program),
		cmocka_unit_test(tables_have_a_header_and_a_line_each),
		cmocka_unit_test(rules_are_shown_of_all_pods_or_of_one),
		cmocka_unit_test(offload_tells_what_is_missing_and_why),
		cmocka_unit_test(an_older_agent_is_no_reason_to_make_something_up),
		cmocka_unit_test(nothing_is_said_in_words),
		cmocka_unit_test(status_begins_with_the_verdict),
		cmocka_unit_test(without_hostd_it_says_what_to_start),
		cmocka_unit_test(a_silent_hostd_is_given_up),
		cmocka_unit_test(a_wrong_command_line_is_explained),
		cmocka_unit_test(help_documents_every_command),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: %s PODPORTCTL\n", argv[0]);
		return 2;
	}
	program = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
