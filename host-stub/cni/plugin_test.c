// SPDX-License-Identifier: BSD-3-Clause
//
// podport-cni as a runtime runs it: environment and standard input in, JSON and exit status out, with
// a podport-hostd that answers as the test says. argv[1] is the plugin.

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "libpodport/fake_hostd.h"

static const char *plugin;
static char sandbox[64]; // path of a netns that is not ours; empty: could not be made
static pid_t sandbox_holder;

// ---- running it ----------------------------------------------------------------------------------

struct outcome {
	int status;
	char output[4096];
	json_t *json; // of the output, NULL: there was none
};

static void clear(struct outcome *outcome)
{
	json_decref(outcome->json);
	outcome->json = NULL;
}

// Write while reading: the plugin need not read all of its input.
static void exchange(int in, int out, const char *text, size_t size, struct outcome *outcome)
{
	size_t written = 0, length = 0;

	for (;;) {
		struct pollfd poll_fds[] = {{.fd = written < size ? in : -1, .events = POLLOUT},
					    {.fd = out, .events = POLLIN}};
		if (written == size && in >= 0) {
			close(in);
			in = -1;
		}
		assert_true(poll(poll_fds, 2, 20000) > 0);
		if (poll_fds[0].revents != 0) {
			ssize_t n = write(in, text + written, size - written);
			written = n < 0 ? size : written + (size_t)n;
		}
		if (poll_fds[1].revents == 0)
			continue;
		ssize_t n =
			read(out, outcome->output + length, sizeof(outcome->output) - 1 - length);
		assert_true(n >= 0);
		if (n == 0)
			break;
		length += (size_t)n;
	}
	if (in >= 0)
		close(in);
	outcome->output[length] = '\0';
}

// environment: ends with NULL.
static void run_bytes(char *const environment[], const char *text, size_t size,
		      struct outcome *outcome)
{
	int in[2], out[2], status;

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
		execle(plugin, "podport-cni", NULL, environment);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	exchange(in[1], out[0], text, size, outcome);
	close(out[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	outcome->status = WEXITSTATUS(status);
	outcome->json = NULL;
	if (outcome->output[0] != '\0') {
		outcome->json = json_loads(outcome->output, 0, NULL);
		if (outcome->json == NULL)
			fail_msg("no JSON: %s", outcome->output);
	}
}

// Run COMMAND for container c0ffee with a configuration for `fake` that has `member` besides.
static void run(const char *command, const char *netns, const struct fake_hostd *fake,
		const char *version, const char *member, struct outcome *outcome)
{
	char command_text[64], netns_text[128], text[12 * 1024];
	char container[] = "CNI_CONTAINERID=c0ffee", ifname[] = "CNI_IFNAME=eth0";
	char args[] = "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=till-7;K8S_POD_"
		      "UID=6f9d1c2e;"
		      "MAC=02:00:00:00:00:09";
	char *environment[] = {command_text, container, ifname, args, netns_text, NULL};

	snprintf(command_text, sizeof(command_text), "CNI_COMMAND=%s", command);
	snprintf(netns_text, sizeof(netns_text), "CNI_NETNS=%s", netns);
	snprintf(text, sizeof(text),
		 "{\"cniVersion\":\"%s\",\"name\":\"pods\",\"type\":\"podport-cni\","
		 "\"timeout_ms\":50,\"socket\":\"%s\"%s}",
		 version, fake != NULL ? fake_hostd_path(fake) : "/tmp/no-such-folder/x.sock",
		 member);
	run_bytes(environment, text, strlen(text), outcome);
}

static void assert_error(struct outcome *outcome, int code, const char *says)
{
	const char *version, *message, *details = "";
	int is;

	assert_int_equal(outcome->status, 1);
	assert_non_null(outcome->json);
	assert_int_equal(json_unpack(outcome->json, "{s:s, s:i, s:s, s?s !}", "cniVersion",
				     &version, "code", &is, "msg", &message, "details", &details),
			 0);
	if (is != code || strstr(message, says) == NULL)
		fail_msg("code %d, '%s'; want %d, '%s'", is, message, code, says);
	clear(outcome);
}

// A network namespace to attach to: a child's, held open by its living.
static int make_sandbox(void **state)
{
	int ready[2];
	char byte;

	assert_int_equal(pipe(ready), 0);
	sandbox_holder = fork();
	if (sandbox_holder == 0) {
		if (unshare(CLONE_NEWNET) == 0 && write(ready[1], "", 1) == 1)
			pause();
		_exit(0);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) == 1)
		snprintf(sandbox, sizeof(sandbox), "/proc/%d/ns/net", sandbox_holder);
	close(ready[0]);
	return 0;
}

static int end_sandbox(void **state)
{
	kill(sandbox_holder, SIGKILL);
	waitpid(sandbox_holder, NULL, 0);
	return 0;
}

static void need_sandbox(void)
{
	// Making one takes root.
	if (sandbox[0] == '\0')
		skip();
}

// ---- well ----------------------------------------------------------------------------------------

static void add_prints_the_result_and_passes_the_sandbox(void **state)
{
	static const char *const versions[] = {"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"};
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct outcome outcome;
	struct fake_call call;
	struct stat netns;

	need_sandbox();
	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		const char *version, *name, *path, *address;

		run("ADD", sandbox, fake, versions[i],
		    ",\"mtu\":1400,\"runtimeConfig\":{\"ips\":[\"10.88.0.2\"],"
		    "\"bandwidth\":{\"egressRate\":1000000,\"egressBurst\":9000},"
		    "\"portMappings\":[{\"hostPort\":8080,\"containerPort\":80,"
		    "\"hostIP\":\"192.0.2.9\"}]}",
		    &outcome);
		if (outcome.status != 0)
			fail_msg("%s", outcome.output);
		assert_int_equal(json_unpack(outcome.json, "{s:s, s:[{s:s, s:s}], s:[{s:s}, {}]}",
					     "cniVersion", &version, "interfaces", "name", &name,
					     "sandbox", &path, "ips", "address", &address),
				 0);
		assert_string_equal(version, versions[i]);
		assert_string_equal(name, "eth0");
		assert_string_equal(path, sandbox);
		assert_string_equal(address, "10.88.0.2/32");
		clear(&outcome);

		fake_hostd_calls(fake, &call);
		const struct attach_request *asked = &call.request.body.attach;
		assert_int_equal(stat(sandbox, &netns), 0);
		assert_int_equal(call.netns_inode, netns.st_ino);
		assert_int_equal(call.request.timeout_ms, 50);
		assert_string_equal(asked->key.network, "pods");
		assert_string_equal(asked->key.container_id, "c0ffee");
		assert_string_equal(asked->pod.namespace_, "shop");
		assert_string_equal(asked->pod.name, "till-7");
		assert_string_equal(asked->pod.uid, "6f9d1c2e");
		assert_true(asked->wants_ipv4 && !asked->wants_ipv6);
		assert_true(asked->wants_mac); // of CNI_ARGS
		assert_int_equal(asked->requested_mac.bytes[5], 9);
		assert_int_equal(asked->requested_mtu, 1400);
		assert_int_equal(asked->bandwidth.egress_rate_bps, 1000000);
		assert_int_equal(asked->bandwidth.egress_burst_bits, 9000);
		assert_int_equal(asked->bandwidth.ingress_rate_bps, 0);
		assert_int_equal(asked->port_mappings.count, 1);
		assert_int_equal(asked->port_mappings.items[0].host_port, 8080);
		assert_int_equal(asked->port_mappings.items[0].container_port, 80);
		assert_memory_equal(asked->port_mappings.items[0].host_ip, "\xc0\x00\x02\x09", 4);
	}
	fake_hostd_stop(fake);
}

static void del_prints_nothing_whatever_is_left(void **state)
{
	static const char *const sandboxes[] = {"", "/run/no/such", "/etc/hostname"};
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct outcome outcome;

	for (size_t i = 0; i < 3; i++) {
		run("DEL", sandboxes[i], fake, "1.0.0", ",\"prevResult\":7,\"mtu\":\"x\"",
		    &outcome);
		assert_int_equal(outcome.status, 0);
		assert_string_equal(outcome.output, "");
	}
	assert_int_equal(fake_hostd_calls(fake, NULL), 3);
	fake_hostd_stop(fake);
}

static void check_compares_what_add_printed(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct outcome add, check;
	char member[8192];

	need_sandbox();
	run("ADD", sandbox, fake, "1.1.0", "", &add);
	assert_int_equal(add.status, 0);
	snprintf(member, sizeof(member), ",\"prevResult\":%s", add.output);
	run("CHECK", sandbox, fake, "1.1.0", member, &check);
	if (check.status != 0)
		fail_msg("%s", check.output);
	assert_string_equal(check.output, "");

	// The runtime remembers another address.
	char *address = strstr(member, "10.88.0.2/32");
	assert_non_null(address);
	memcpy(address, "10.88.0.9/32", strlen("10.88.0.9/32"));
	run("CHECK", sandbox, fake, "1.1.0", member, &check);
	assert_error(&check, 115, "10.88.0.2");
	clear(&add);
	fake_hostd_stop(fake);
}

static void version_needs_nobody(void **state)
{
	char command[] = "CNI_COMMAND=VERSION";
	char *environment[] = {command, NULL};
	static const char input[] = "{\"cniVersion\":\"0.2.0\"}";
	const char *version, *supported[5];
	struct outcome outcome;

	run_bytes(environment, input, strlen(input), &outcome);
	assert_int_equal(outcome.status, 0);
	assert_int_equal(json_unpack(outcome.json, "{s:s, s:[s, s, s, s, s !] !}", "cniVersion",
				     &version, "supportedVersions", &supported[0], &supported[1],
				     &supported[2], &supported[3], &supported[4]),
			 0);
	assert_string_equal(version, "0.2.0");
	assert_string_equal(supported[0], "0.3.0");
	assert_string_equal(supported[1], "0.3.1");
	assert_string_equal(supported[4], "1.1.0");
	clear(&outcome);
	run_bytes(environment, "", 0, &outcome);
	assert_int_equal(outcome.status, 0);
	clear(&outcome);
}

// ---- STATUS --------------------------------------------------------------------------------------

static enum fake_answer status_of(const struct fake_call *call, struct reply *reply, void *arg)
{
	struct agent_status *agent = &reply->body.status.agent;

	switch (*(const char *)arg) {
	case 'a':
		reply->body.status.has_agent = false;
		break;
	case 'r':
		agent->ready = false;
		break;
	case 'f':
		agent->functions_used = agent->functions;
		break;
	case '4':
		agent->ipv4_free = 0;
		break;
	case '6':
		agent->ipv6_free = 0;
		break;
	case 'u':
		strcpy(agent->uplink_error, "port 0 refuses");
		break;
	case 'h':
		reply->body.status.host.host_port_ready = false;
		break;
	case 'n': // there is none to be ready
		reply->body.status.host.host_port_ready = false;
		reply->body.status.host.host_port[0] = '\0';
		break;
	case 'p':
		agent->attachments_without_port = agent->attachments;
		break;
	case 'o':
		agent->attachments_without_port = 1;
		break;
	case 'v':
		strcpy(agent->virtio_error, "the agent cannot open /dev/vhost-net");
		break;
	case 'w':
		agent->virtio_ports_used = agent->virtio_ports;
		break;
	}
	return FAKE_REPLY;
}

static void status_says_whether_add_would_work(void **state)
{
	static const struct {
		char what;
		int code;
		const char *says;
	} cases[] = {
		{'a', 50, "ipc:///run/podport/agent.sock"},
		{'r', 50, "no pod network"},
		{'f', 50, "256 of 256 in use"},
		{'4', 50, "10.88.0.0/24 has no IPv4 address left: 0 free, with 12 attachments"},
		{'6', 50, "fd00:88::/64 has no IPv6"},
		{'u', 51, "uplink is not started: port 0 refuses"},
		{'h', 51, "podport0 is not ready"},
		{'p', 51, "all 12 attachments"},
	};
	// What one pod has, or what is not wanted, is not the node's state.
	static const char fine[] = "-no";
	struct outcome outcome;
	char what;

	struct fake_hostd *fake;
	for (size_t i = 0; fine[i] != '\0'; i++) {
		what = fine[i];
		fake = fake_hostd_start(NULL, status_of, &what);
		run("STATUS", "", fake, "1.1.0", "", &outcome);
		assert_int_equal(outcome.status, 0);
		assert_string_equal(outcome.output, "");
		fake_hostd_stop(fake);
	}
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		what = cases[i].what;
		fake = fake_hostd_start(NULL, status_of, &what);
		run("STATUS", "", fake, "1.1.0", "", &outcome);
		if (what != 'a' &&
		    strstr(outcome.output, "of 256 in use; addresses free: ") == NULL)
			fail_msg("no numbers: %s", outcome.output);
		assert_error(&outcome, cases[i].code, cases[i].says);
		fake_hostd_stop(fake);
	}
	run("STATUS", "", NULL, "1.1.0", "", &outcome);
	assert_error(&outcome, 50, "/tmp/no-such-folder/x.sock");
	run("STATUS", "", NULL, "1.0.0", "", &outcome);
	assert_error(&outcome, 1, "STATUS");
}

// A network whose pods have netdevs by vhost-net is judged by these, others are not.
static void status_of_virtio_user_pods_is_about_their_ports(void **state)
{
	static const char member[] = ",\"portKind\":\"virtio-user\"";
	static const struct {
		char what;
		const char *says; // NULL: pods can be attached
	} cases[] = {
		{'-', NULL},
		{'f', NULL}, // functions are all in use
		{'v', "the agent cannot open /dev/vhost-net"},
		{'w', "no virtio-user port is left: 16 of 16 in use"},
	};
	struct outcome outcome;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char what = cases[i].what;
		struct fake_hostd *fake = fake_hostd_start(NULL, status_of, &what);

		run("STATUS", "", fake, "1.1.0", member, &outcome);
		if (cases[i].says != NULL) {
			assert_error(&outcome, 50, cases[i].says);
		} else {
			assert_int_equal(outcome.status, 0);
			clear(&outcome);
		}
		run("STATUS", "", fake, "1.1.0", "", &outcome);
		assert_int_equal(outcome.status, what == 'f' ? 1 : 0);
		clear(&outcome);
		fake_hostd_stop(fake);
	}
}

// ---- GC ------------------------------------------------------------------------------------------

static enum fake_answer without_failures(const struct fake_call *call, struct reply *reply,
					 void *arg)
{
	reply->body.gc.failure_count = 0;
	return FAKE_REPLY;
}

static void gc_passes_what_is_valid_and_tells_every_failure(void **state)
{
	static const char member[] = ",\"cni.dev/valid-attachments\":[{\"containerID\":\"b\","
				     "\"ifname\":\"eth0\"},{\"containerID\":\"a\",\"ifname\":"
				     "\"eth0\"}]";
	struct fake_hostd *fake = fake_hostd_start(NULL, without_failures, NULL);
	const struct gc_request *asked;
	struct outcome outcome;
	struct fake_call call;

	run("GC", "", fake, "1.1.0", member, &outcome);
	assert_int_equal(outcome.status, 0);
	assert_string_equal(outcome.output, "");
	fake_hostd_calls(fake, &call);
	asked = &call.request.body.gc;
	assert_string_equal(asked->network, "pods");
	assert_int_equal(asked->count, 2);
	assert_string_equal(asked->valid[0].container_id, "a");
	assert_string_equal(asked->valid[1].container_id, "b");
	assert_false(asked->more || asked->has_after);
	run("GC", "", fake, "1.0.0", member, &outcome);
	assert_error(&outcome, 1, "GC");
	run("GC", "", fake, "1.1.0", "", &outcome);
	assert_error(&outcome, 7, "cni.dev/valid-attachments");
	assert_int_equal(fake_hostd_calls(fake, NULL), 1);
	fake_hostd_stop(fake);

	fake = fake_hostd_start(NULL, NULL, NULL); // the sample has a failure
	run("GC", "", fake, "1.1.0", member, &outcome);
	assert_non_null(strstr(outcome.output, "1 attachments that are not valid"));
	assert_error(&outcome, 113, "move eth0: busy");
	fake_hostd_stop(fake);
	run("GC", "", NULL, "1.1.0", member, &outcome);
	assert_error(&outcome, 11, "/tmp/no-such-folder/x.sock");
}

// ---- badly ---------------------------------------------------------------------------------------

static enum fake_answer refuse(const struct fake_call *call, struct reply *reply, void *arg)
{
	const struct error err = {.code = *(enum code *)arg, .message = "all 253 are in use"};

	reply_clear(reply);
	reply_from_error(reply, &err);
	return FAKE_REPLY;
}

static void an_error_of_the_agent_reaches_the_runtime(void **state)
{
	static const struct {
		enum code code;
		int number;
	} cases[] = {{CODE_NO_ADDRESS, 108}, {CODE_AGENT_AWAY, 11}, {CODE_NOT_READY, 11},
		     {CODE_NETNS, 4},        {CODE_CONFLICT, 107},  {CODE_BAD_REQUEST, 7}};
	struct outcome outcome;

	need_sandbox();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enum code code = cases[i].code;
		struct fake_hostd *fake = fake_hostd_start(NULL, refuse, &code);

		run("ADD", sandbox, fake, "1.0.0", "", &outcome);
		assert_error(&outcome, cases[i].number, "all 253 are in use");
		fake_hostd_stop(fake);
	}
}

static void without_hostd_every_command_can_be_retried(void **state)
{
	static const char *const commands[] = {"ADD", "DEL", "CHECK"};
	struct outcome outcome;

	need_sandbox();
	for (size_t i = 0; i < 3; i++) {
		run(commands[i], sandbox, NULL, "1.0.0", ",\"prevResult\":{}", &outcome);
		assert_error(&outcome, 11, "/tmp/no-such-folder/x.sock");
	}
}

static enum fake_answer as_told(const struct fake_call *call, struct reply *reply, void *arg)
{
	return *(enum fake_answer *)arg;
}

static void a_hostd_gone_bad_is_an_error_and_no_hang(void **state)
{
	static const struct {
		enum fake_answer how;
		int code;
		const char *says;
	} cases[] = {{FAKE_HANG_UP, 11, "closed the connection"},
		     {FAKE_SILENCE, 11, "has not answered"},
		     {FAKE_GARBAGE, 101, "no reply"},
		     {FAKE_TOO_LONG, 101, "no reply"}};
	struct outcome outcome;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enum fake_answer how = cases[i].how;
		struct fake_hostd *fake = fake_hostd_start(NULL, as_told, &how);

		run("DEL", "", fake, "1.0.0", "", &outcome);
		assert_error(&outcome, cases[i].code, cases[i].says);
		fake_hostd_stop(fake);
	}
}

static void a_bad_sandbox_is_refused_without_asking(void **state)
{
	static const char *const paths[] = {"/run/netns/no-such", "/etc/hostname", "/dev/null",
					    "relative/path", "/proc/self/ns/mnt"};
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct outcome outcome;
	char own[64];

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		run("ADD", paths[i], fake, "1.0.0", "", &outcome);
		assert_error(&outcome, 4, "CNI_NETNS");
		run("ADD", paths[i], fake, "1.0.0", "", &outcome);
		assert_error(&outcome, 4, paths[i]);
	}
	snprintf(own, sizeof(own), "/proc/%d/ns/net", getpid());
	run("ADD", own, fake, "1.0.0", "", &outcome);
	assert_error(&outcome, 4, "CNI_NETNS");
	assert_int_equal(fake_hostd_calls(fake, NULL), 0);
	fake_hostd_stop(fake);
}

static void input_without_end_is_not_read_to_its_end(void **state)
{
	size_t size = 2 * 1024 * 1024;
	char *text = malloc(size);
	char command[] = "CNI_COMMAND=ADD";
	char *environment[] = {command, NULL};
	struct outcome outcome;

	memset(text, ' ', size);
	signal(SIGPIPE, SIG_IGN);
	run_bytes(environment, text, size, &outcome);
	assert_error(&outcome, 6, "1048576 bytes");
	free(text);
}

static void without_a_command_a_person_is_told_what_this_is(void **state)
{
	char *environment[] = {NULL};
	struct outcome outcome;

	run_bytes(environment, "{}", 2, &outcome);
	assert_error(&outcome, 4, "CNI_COMMAND");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(add_prints_the_result_and_passes_the_sandbox),
		cmocka_unit_test(del_prints_nothing_whatever_is_left),
		cmocka_unit_test(check_compares_what_add_printed),
		cmocka_unit_test(version_needs_nobody),
		cmocka_unit_test(status_says_whether_add_would_work),
		cmocka_unit_test(status_of_virtio_user_pods_is_about_their_ports),
		cmocka_unit_test(gc_passes_what_is_valid_and_tells_every_failure),
		cmocka_unit_test(an_error_of_the_agent_reaches_the_runtime),
		cmocka_unit_test(without_hostd_every_command_can_be_retried),
		cmocka_unit_test(a_hostd_gone_bad_is_an_error_and_no_hang),
		cmocka_unit_test(a_bad_sandbox_is_refused_without_asking),
		cmocka_unit_test(input_without_end_is_not_read_to_its_end),
		cmocka_unit_test(without_a_command_a_person_is_told_what_this_is),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: %s PODPORT-CNI\n", argv[0]);
		return 2;
	}
	plugin = argv[1];
	return cmocka_run_group_tests(tests, make_sandbox, end_sandbox);
}
