// SPDX-License-Identifier: BSD-3-Clause
//
// podportctl trace

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctl/command.h"
#include "ctl/format.h"
#include "ctl/watch.h"

enum {
	PACKETS = 10,
	SECONDS = 60,
};

static void print_time(uint64_t unix_ns)
{
	const time_t seconds = (time_t)(unix_ns / 1000000000);
	struct tm local;
	char text[32];

	localtime_r(&seconds, &local);
	strftime(text, sizeof(text), "%H:%M:%S", &local);
	printf("%s.%06u", text, (unsigned int)(unix_ns / 1000 % 1000000));
}

static int print_packet(void *arg, const struct podport_packet *packet, struct podport_error *error)
{
	print_time(packet->unix_ns);
	printf(" %s the pod: %s\n", packet->to_pod ? "to" : "from", packet->summary);
	for (size_t i = 0; i < packet->step_count; i++)
		printf("    %-18s %s\n", packet->steps[i].node, packet->steps[i].text);
	return 0;
}

static int flush(void *arg, struct podport_error *error)
{
	fflush(stdout);
	return 0;
}

static int collect_packet(void *arg, const struct podport_packet *packet,
			  struct podport_error *error)
{
	json_t *steps = json_array();

	for (size_t i = 0; i < packet->step_count; i++)
		json_array_append_new(steps, json_pack("{s:s, s:s}", "node", packet->steps[i].node,
						       "text", packet->steps[i].text));
	json_array_append_new(arg, json_pack("{s:I, s:s, s:s, s:I, s:s?, s:o}", "unix_ns",
					     (json_int_t)packet->unix_ns, "direction",
					     packet->to_pod ? "to" : "from", "packet",
					     packet->summary, "length", (json_int_t)packet->length,
					     "drop", packet->drop[0] != '\0' ? packet->drop : NULL,
					     "steps", steps));
	return 0;
}

// What was not seen, and why.
static void print_outcome(const struct watch_outcome *outcome, bool withdrawn)
{
	printf("%llu packets shown (%s)", (unsigned long long)outcome->read, outcome->reason);
	if (outcome->lost > 0)
		printf("; %llu more were lost, too many came at once",
		       (unsigned long long)outcome->lost);
	if (outcome->offloaded > 0)
		printf("; meanwhile the e-switch forwarded %llu packets of the pod by itself, "
		       "which "
		       "are not seen here%s",
		       (unsigned long long)outcome->offloaded,
		       withdrawn ? "" : ": --all withdraws its rules for that long");
	else
		printf("; none were forwarded by the e-switch meanwhile");
	printf("\n");
}

static int follow(struct podport_client *client, struct podport_watch *watch,
		  const struct options *options, struct podport_error *error)
{
	const bool withdrawn = podport_watch_info(watch)->withdrawn;
	json_t *list = json_array();
	const struct watch_reader reader = {
		.packet = options->json ? collect_packet : print_packet,
		.pause = flush,
		.arg = list,
	};
	struct watch_outcome outcome;
	int r = watch_follow(client, watch, &reader, &outcome, error);

	if (r == 0 && options->json) {
		command_print_json(json_pack("{s:O, s:I, s:I, s:b, s:s}", "packets", list, "lost",
					     (json_int_t)outcome.lost, "offloaded",
					     (json_int_t)outcome.offloaded, "withdrawn",
					     (int)withdrawn, "reason", outcome.reason));
	} else if (r == 0) {
		print_outcome(&outcome, withdrawn);
	}
	json_decref(list);
	return r;
}

static int begin(struct podport_client *client, const struct podport_attachment *pod,
		 const struct options *options, struct podport_error *error)
{
	struct podport_watch_request request = PODPORT_WATCH_REQUEST_INIT;
	struct watch_filter filter;
	struct podport_watch *watch;
	int r = watch_filter_compile(options->arguments, options->argument_count, &filter, error);

	if (r < 0)
		return r;
	request.key = pod->key;
	request.path = true;
	request.withdraw = options->watch.all;
	request.packets = options->watch.count != 0 ? options->watch.count : PACKETS;
	request.seconds = options->watch.seconds != 0 ? options->watch.seconds : SECONDS;
	request.filter = filter.instructions;
	request.filter_count = filter.count;
	r = podport_watch_begin(client, &request, &watch, error);
	watch_filter_clear(&filter);
	if (r < 0)
		return r;
	watch_tell_begin("tracing", podport_watch_info(watch), &request);
	r = follow(client, watch, options, error);
	podport_watch_free(watch);
	return r;
}

static int check(const struct options *options)
{
	if (options->pod == NULL)
		return command_usage("trace: which pod?");
	if (options->watch.file != NULL || options->watch.bytes != 0 || options->watch.snap != 0 ||
	    options->watch.leave_offloaded)
		return command_usage("-w, --bytes, --snap and --offloaded go with 'capture'");
	return 0;
}

static int run(struct podport_client *client, const struct options *options,
	       struct podport_error *error)
{
	const struct podport_attachment *pod;
	struct podport_pods *pods;
	int r = podport_list_pods(client, &pods, error);

	if (r < 0)
		return r;
	r = watch_find_pod(pods, options->pod, &pod, error);
	if (r == 0)
		r = begin(client, pod, options, error);
	podport_pods_free(pods);
	return r;
}

const struct command command_trace = {
	.name = "trace",
	.summary = "the next packets of a pod, with every step of theirs and why",
	.help = "Shows the next packets from and to a pod that the agent sees: each node of its "
		"graph "
		"that they pass,\n"
		"what it decided, and why. What the e-switch forwards the agent does not see: at "
		"the "
		"end is told how many\n"
		"packets of the pod that were. POD:INTERFACE is one of a pod that has several.\n"
		"\n"
		"FILTER is as tcpdump's, see pcap-filter(7): it looks at the frame as the pod has "
		"it "
		"on its interface.\n"
		"\n"
		"  -c, --count N       so many packets (default 10)\n"
		"      --seconds N     for so long at most (default 60, at most 3600)\n"
		"      --all           also what the e-switch would forward: the pod's rules are "
		"taken "
		"out of it meanwhile,\n"
		"                      and come back at the end, in seconds also if this command "
		"is "
		"killed\n"
		"\n"
		"--json: {\"packets\": [{\n"
		"  unix_ns, length      numbers\n"
		"  direction            \"from\" the pod, or \"to\" it\n"
		"  packet               what it is, in words\n"
		"  drop                 the reason, null: it was not dropped\n"
		"  steps                [{node, text}]\n"
		"}], lost, offloaded: numbers; withdrawn: true, false; reason: why it ended}\n",
	.has_pod = true,
	.watches = true,
	.arguments = "[FILTER]",
	.check = check,
	.run = run,
};
