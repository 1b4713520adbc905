// SPDX-License-Identifier: BSD-3-Clause
//
// podport-cni, the CNI plugin: read what the runtime says, ask podport-hostd, print the answer.
// Runs once per call and keeps nothing; all state is the agent's. It must start in about a
// millisecond: no threads, no nng.
//
// Answers go to standard output, errors too, as JSON (SPEC 1.1.0, section 5); the exit status of an
// error is 1.

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cni/cni_error.h"
#include "cni/environment.h"
#include "cni/netconf.h"
#include "cni/prev_result.h"
#include "cni/result.h"
#include "cni/status.h"
#include "libpodport/podport.h"

// How long STATUS may take at most: kubelet asks for it every 5 s, and go-cni holds a lock meanwhile.
enum { STATUS_TIMEOUT_MS = 2000 };

// One run, which is all that the process does.
struct run {
	enum cni_command command;
	struct environment environment;
	struct netconf netconf;
	const char *version; // cniVersion of what is printed
	json_t *output;      // owned; NULL: nothing to print
	struct podport_client *client;
	struct cni_error error;
};

// ---- in and out ----------------------------------------------------------------------------------

// All of standard input, on the heap. *ret_text is the caller's to free also on failure.
static int read_input(char **ret_text, size_t *ret_size, struct cni_error *error)
{
	size_t size = 0, capacity = 0;

	for (;;) {
		if (size == capacity) {
			capacity = capacity == 0 ? 16 * 1024 : 2 * capacity;
			char *larger = realloc(*ret_text, capacity);
			if (larger == NULL)
				return cni_error_from(error, CODE_INTERNAL, "out of memory");
			*ret_text = larger;
		}
		ssize_t got = read(STDIN_FILENO, *ret_text + size, capacity - size);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return cni_error_set(
				error, CNI_IO_FAILURE,
				"the network configuration on standard input cannot be "
				"read: %s",
				strerror(errno));
		if (got == 0)
			break;
		size += (size_t)got;
		if (size > NETCONF_BYTES_MAX)
			return cni_error_set(error, CNI_DECODING_FAILURE,
					     "the network configuration is longer than %d bytes",
					     (int)NETCONF_BYTES_MAX);
	}
	*ret_size = size;
	return 0;
}

// Returns 0, or -1 having said so on standard error: a runtime that cannot read our output will see
// that the exit status is not 0.
static int print(const json_t *json)
{
	char *text = json_dumps(json, JSON_INDENT(4));
	size_t size = text != NULL ? strlen(text) : 0;

	if (text == NULL) {
		fprintf(stderr, "podport-cni: out of memory\n");
		return -1;
	}
	text[size++] = '\n'; // in the place of the terminator
	for (size_t done = 0; done < size;) {
		ssize_t put = write(STDOUT_FILENO, text + done, size - done);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0) {
			fprintf(stderr, "podport-cni: standard output: %s\n", strerror(errno));
			free(text);
			return -1;
		}
		done += (size_t)put;
	}
	free(text);
	return 0;
}

// ---- commands ------------------------------------------------------------------------------------

static int failed(struct run *run, const struct podport_error *error)
{
	return cni_error_from(&run->error, (enum code)error->code, error->message);
}

static int open_client(struct run *run)
{
	struct podport_error error;

	if (podport_connect(run->netconf.socket, run->netconf.timeout_ms, &run->client, &error) < 0)
		return failed(run, &error);
	return 0;
}

static struct podport_key make_key(const struct run *run)
{
	return (struct podport_key){
		.network = run->netconf.name,
		.container_id = run->environment.container_id,
		.ifname = run->environment.ifname,
	};
}

// SPEC, CONVENTIONS: what the configuration says replaces CNI_ARGS.
static void merge_wishes(struct wishes *wishes, const struct wishes *weaker)
{
	if (!wishes->has_ipv4 && !wishes->has_ipv6) {
		wishes->has_ipv4 = weaker->has_ipv4;
		wishes->has_ipv6 = weaker->has_ipv6;
		wishes->ipv4 = weaker->ipv4;
		wishes->ipv6 = weaker->ipv6;
	}
	if (!wishes->has_mac) {
		wishes->has_mac = weaker->has_mac;
		wishes->mac = weaker->mac;
	}
	if (!wishes->has_port) {
		wishes->has_port = weaker->has_port;
		wishes->port = weaker->port;
	}
}

// As in the reference library: a "sandbox" that is the runtime's own namespace is a mistake, and an
// expensive one.
static int refuse_own_netns(struct run *run)
{
	struct stat own, sandbox;

	if (stat("/proc/self/ns/net", &own) == 0 && stat(run->environment.netns, &sandbox) == 0 &&
	    own.st_dev == sandbox.st_dev && own.st_ino == sandbox.st_ino)
		return cni_error_set(&run->error, CNI_INVALID_ENVIRONMENT,
				     "CNI_NETNS: %s is the network namespace of the caller itself",
				     run->environment.netns);
	return 0;
}

static struct podport_bandwidth make_bandwidth(const struct bandwidth *from)
{
	return (struct podport_bandwidth){from->ingress_rate_bps, from->ingress_burst_bits,
					  from->egress_rate_bps, from->egress_burst_bits};
}

static size_t make_mappings(const struct port_mappings *from, struct podport_port_mapping *to)
{
	for (uint32_t i = 0; i < from->count; i++) {
		const struct port_mapping *mapping = &from->items[i];

		to[i] = (struct podport_port_mapping){.host_port = mapping->host_port,
						      .container_port = mapping->container_port,
						      .protocol = mapping->protocol,
						      .host_family = mapping->host_family};
		memcpy(to[i].host_ip, mapping->host_ip, sizeof(to[i].host_ip));
	}
	return from->count;
}

static int run_add(struct run *run)
{
	struct podport_add_request request = PODPORT_ADD_REQUEST_INIT;
	struct podport_port_mapping mappings[LIMIT_PORT_MAPPINGS];
	struct podport_bandwidth bandwidth;
	struct wishes *wishes = &run->netconf.wishes;
	struct podport_attachment *attachment;
	struct podport_error error;

	merge_wishes(wishes, &run->environment.wishes);
	request.key = make_key(run);
	request.netns = run->environment.netns;
	request.pod_namespace = run->environment.pod.namespace_;
	request.pod_name = run->environment.pod.name;
	request.pod_uid = run->environment.pod.uid;
	request.ipv4 = wishes->has_ipv4 ? &wishes->ipv4 : NULL;
	request.ipv6 = wishes->has_ipv6 ? &wishes->ipv6 : NULL;
	request.mac = wishes->has_mac ? wishes->mac.bytes : NULL;
	request.mtu = run->netconf.mtu;
	request.port_kind = wishes->has_port ? port_choice_name(wishes->port) : NULL;
	request.port_mappings = mappings;
	request.port_mapping_count = make_mappings(&wishes->port_mappings, mappings);
	if (bandwidth_is_limited(&wishes->bandwidth)) {
		bandwidth = make_bandwidth(&wishes->bandwidth);
		request.bandwidth = &bandwidth;
	}
	if (refuse_own_netns(run) < 0 || open_client(run) < 0)
		return -1;
	if (podport_add(run->client, &request, &attachment, &error) < 0)
		return failed(run, &error);
	run->output = result_json(&run->netconf, run->environment.netns, attachment);
	podport_attachment_free(attachment);
	if (run->output == NULL)
		return cni_error_from(&run->error, CODE_INTERNAL, "out of memory");
	return 0;
}

static int run_del(struct run *run)
{
	struct podport_del_request request = PODPORT_DEL_REQUEST_INIT;
	struct podport_error error;

	request.key = make_key(run);
	request.netns = run->environment.netns;
	if (open_client(run) < 0)
		return -1;
	if (podport_del(run->client, &request, &error) < 0)
		return failed(run, &error);
	return 0;
}

static int run_check(struct run *run)
{
	struct podport_check_request request = PODPORT_CHECK_REQUEST_INIT;
	struct podport_attachment *attachment;
	struct podport_error error;

	request.key = make_key(run);
	request.netns = run->environment.netns;
	request.mtu = prev_result_mtu(&run->netconf.checked, run->environment.ifname,
				      run->environment.netns);
	if (open_client(run) < 0)
		return -1;
	if (podport_check(run->client, &request, &attachment, &error) < 0)
		return failed(run, &error);

	int r = prev_result_compare(&run->netconf.checked, run->environment.netns, attachment,
				    &run->error);
	podport_attachment_free(attachment);
	return r;
}

static int run_status(struct run *run)
{
	uint32_t timeout_ms = run->netconf.timeout_ms;
	struct podport_status *status;
	struct podport_error error;

	if (timeout_ms == 0 || timeout_ms > STATUS_TIMEOUT_MS)
		timeout_ms = STATUS_TIMEOUT_MS;
	if (podport_connect(run->netconf.socket, timeout_ms, &run->client, &error) < 0 ||
	    podport_get_status(run->client, &status, &error) < 0)
		return cni_error_set(&run->error, CNI_NOT_AVAILABLE, "%s", error.message);

	int r = status_judge(status, run->netconf.wishes.port, &run->error);
	podport_status_free(status);
	return r;
}

// "2 of 7 ..., first KEY: why", and all of them, as far as there is room, in the details.
static int tell_failures(struct run *run, const struct podport_gc_result *result)
{
	const struct podport_gc_failure *first = &result->failures[0];
	char message[ERROR_MESSAGE_SIZE];

	snprintf(message, sizeof(message),
		 "%zu attachments that are not valid could not be released (%u were), first %s/%s: "
		 "%.200s",
		 result->failure_count, result->released, first->key.container_id,
		 first->key.ifname, first->message);
	cni_error_from(&run->error, (enum code)first->code, message);
	run->error.details[0] = '\0';
	for (size_t i = 0; i < result->failure_count; i++)
		cni_error_add_details(&run->error, "%s%s/%s: %s", i > 0 ? "; " : "",
				      result->failures[i].key.container_id,
				      result->failures[i].key.ifname, result->failures[i].message);
	return -1;
}

static int run_gc(struct run *run)
{
	struct podport_gc_request request = PODPORT_GC_REQUEST_INIT;
	struct podport_gc_result *result;
	struct podport_error error;
	int r = 0;

	request.network = run->netconf.name;
	request.valid = run->netconf.valid.items;
	request.valid_count = run->netconf.valid.count;
	if (open_client(run) < 0)
		return -1;
	if (podport_gc(run->client, &request, &result, &error) < 0)
		return failed(run, &error);
	if (result->failure_count > 0)
		r = tell_failures(run, result);
	podport_gc_result_free(result);
	return r;
}

static int run_version(struct run *run, const char *text, size_t size)
{
	const char *version;
	json_t *root; // owns `version`

	if (netconf_parse_version(text, size, &root, &version, &run->error) < 0)
		return -1;
	json_t *supported = json_array();
	int r = 0;
	for (int i = 0; i < CNI_VERSION_COUNT; i++)
		r |= json_array_append_new(supported,
					   json_string(cni_version_name((enum cni_version)i)));
	run->output =
		json_pack("{s:s, s:o}", "cniVersion", version, "supportedVersions", supported);
	json_decref(root);
	if (r < 0 || run->output == NULL)
		return cni_error_from(&run->error, CODE_INTERNAL, "out of memory");
	return 0;
}

// ---- main ----------------------------------------------------------------------------------------

static int run_command(struct run *run, const char *text, size_t size)
{
	if (run->command == CNI_COMMAND_VERSION)
		return run_version(run, text, size);

	int r = netconf_parse(text, size, run->command, &run->netconf, &run->error);
	run->version = cni_version_name(run->netconf.version);
	if (r < 0)
		return -1;
	if (run->command == CNI_COMMAND_STATUS)
		return run_status(run);
	if (run->command == CNI_COMMAND_GC)
		return run_gc(run);
	if (environment_parse(run->command, &run->environment, &run->error) < 0)
		return -1;
	switch (run->command) {
	case CNI_COMMAND_ADD:
		return run_add(run);
	case CNI_COMMAND_DEL:
		return run_del(run);
	default:
		return run_check(run);
	}
}

static int run_plugin(struct run *run)
{
	size_t size = 0;
	char *text = NULL;
	int r;

	run->version = cni_version_name(CNI_VERSION_NEWEST);
	r = environment_command(&run->command, &run->error);
	if (r == 0)
		r = read_input(&text, &size, &run->error);
	if (r == 0)
		r = run_command(run, text, size);
	if (r < 0)
		run->output = cni_error_json(&run->error, run->version);
	free(text);
	podport_free(run->client);
	netconf_clear(&run->netconf);
	return r;
}

static int about(int argc, char **argv)
{
	bool help = argc == 2 && strcmp(argv[1], "--help") == 0;
	bool version = argc == 2 && strcmp(argv[1], "--version") == 0;
	FILE *to = help || version ? stdout : stderr;

	fprintf(to, "podport-cni %s, a CNI plugin (CNI 0.3.0 to 1.1.0)\n", PODPORT_VERSION);
	if (!version)
		fprintf(to,
			"Container runtimes run it with CNI_COMMAND and others in the environment "
			"and the network\nconfiguration on standard input; it takes no arguments. "
			"It asks podport-hostd, at %s\nor where the configuration's key \"socket\" "
			"says.\n",
			PODPORT_SOCKET_DEFAULT);
	return help || version ? 0 : 2;
}

int main(int argc, char **argv)
{
	static struct run run; // some KB, zeroed
	const char *command = getenv("CNI_COMMAND");

	if (argc > 1)
		return about(argc, argv);
	if (command == NULL || command[0] == '\0')
		about(argc, argv);
	signal(SIGPIPE, SIG_IGN);

	int r = run_plugin(&run);
	if (run.output != NULL && print(run.output) < 0)
		r = -1;
	json_decref(run.output);
	return r < 0 ? 1 : 0;
}
