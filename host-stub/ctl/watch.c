// SPDX-License-Identifier: BSD-3-Clause

#include "ctl/watch.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <pcap/pcap.h>

#include "ctl/format.h"
#include "ctl/lookup.h"

enum {
	PAUSE_MS = 50, // between two questions, when there was nothing more
	PATIENCE_MS =
		4000, // with hostd and the agent, when they do not answer: less than the agent's with us
	RETRY_MS = 200,
	SNAP_MAX = 65535,
};

int watch_fail(struct podport_error *error, int r, int code, const char *format, ...)
{
	va_list args;

	error->code = code;
	error->name = podport_code_name(code);
	va_start(args, format);
	vsnprintf(error->message, sizeof(error->message), format, args);
	va_end(args);
	return -r;
}

// ---- which pod -----------------------------------------------------------------------------------

static bool is_called(const struct podport_attachment *pod, const char *name, size_t length)
{
	char alone[FORMAT_SIZE];
	size_t ifname = strlen(pod->key.ifname);

	if (lookup_is(pod, name))
		return true;
	// "web:net1"
	if (length <= ifname + 1 || length >= sizeof(alone) || name[length - ifname - 1] != ':' ||
	    strcmp(name + length - ifname, pod->key.ifname) != 0)
		return false;
	snprintf(alone, sizeof(alone), "%.*s", (int)(length - ifname - 1), name);
	return lookup_is(pod, alone);
}

int watch_find_pod(const struct podport_pods *pods, const char *name,
		   const struct podport_attachment **ret_pod, struct podport_error *error)
{
	const struct podport_attachment *found = NULL;

	for (size_t i = 0; i < podport_pods_count(pods); i++) {
		const struct podport_attachment *pod = podport_pods_get(pods, i);

		if (!is_called(pod, name, strlen(name)))
			continue;
		if (found != NULL)
			return watch_fail(error, EINVAL, PODPORT_BAD_REQUEST,
					  "'%.200s' has the interfaces %s and %s: name one as "
					  "'%.200s:%s'",
					  name, found->key.ifname, pod->key.ifname, name,
					  pod->key.ifname);
		found = pod;
	}
	if (found == NULL)
		return lookup_fail(pods, name, error);
	*ret_pod = found;
	return 0;
}

// ---- which packets -------------------------------------------------------------------------------

static char *join(char *const *words, int count)
{
	size_t size = 1;
	char *text;

	for (int i = 0; i < count; i++)
		size += strlen(words[i]) + 1;
	text = calloc(1, size);
	for (int i = 0; text != NULL && i < count; i++) {
		strcat(text, i > 0 ? " " : "");
		strcat(text, words[i]);
	}
	return text;
}

static int compile(const char *text, struct bpf_program *ret_program, struct podport_error *error)
{
	pcap_t *pcap = pcap_open_dead(DLT_EN10MB, SNAP_MAX);
	int r = 0;

	if (pcap == NULL)
		return watch_fail(error, ENOMEM, PODPORT_INTERNAL, "out of memory");
	if (pcap_compile(pcap, ret_program, text, 1, PCAP_NETMASK_UNKNOWN) < 0)
		r = watch_fail(error, EINVAL, PODPORT_BAD_REQUEST,
			       "filter '%.200s': %s; see pcap-filter(7)", text, pcap_geterr(pcap));
	pcap_close(pcap);
	return r;
}

int watch_filter_compile(char *const *words, int count, struct watch_filter *ret_filter,
			 struct podport_error *error)
{
	struct watch_filter filter = {0};
	struct bpf_program program;
	int r;

	*ret_filter = filter;
	if (count == 0)
		return 0;
	filter.text = join(words, count);
	if (filter.text == NULL)
		return watch_fail(error, ENOMEM, PODPORT_INTERNAL, "out of memory");
	r = compile(filter.text, &program, error);
	if (r < 0) {
		free(filter.text);
		return r;
	}
	filter.count = program.bf_len;
	filter.instructions = calloc(filter.count, sizeof(*filter.instructions));
	for (size_t i = 0; filter.instructions != NULL && i < filter.count; i++)
		filter.instructions[i] = (struct podport_filter_instruction){
			.code = program.bf_insns[i].code,
			.jump_true = program.bf_insns[i].jt,
			.jump_false = program.bf_insns[i].jf,
			.value = program.bf_insns[i].k,
		};
	pcap_freecode(&program);
	if (filter.instructions == NULL) {
		free(filter.text);
		return watch_fail(error, ENOMEM, PODPORT_INTERNAL, "out of memory");
	}
	*ret_filter = filter;
	return 0;
}

void watch_filter_clear(struct watch_filter *filter)
{
	free(filter->text);
	free(filter->instructions);
	*filter = (struct watch_filter){0};
}

void watch_tell_begin(const char *what, const struct podport_watch_info *info,
		      const struct podport_watch_request *request)
{
	fprintf(stderr, "podportctl: %s %s: %llu packets, %u s at most, or until it is interrupted",
		what, info->port, (unsigned long long)request->packets, request->seconds);
	if (info->withdrawn)
		fprintf(stderr,
			"; its rules are taken out of the e-switch meanwhile: its packets go "
			"through the agent, more slowly");
	fprintf(stderr, "\n");
}

// ---- reading -------------------------------------------------------------------------------------

static volatile sig_atomic_t asked_to_end;

static void on_signal(int number)
{
	asked_to_end = 1;
}

// Not SA_RESTART: a pause ends at once.
static void catch_signals(void)
{
	const struct sigaction action = {.sa_handler = on_signal};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

static void wait_ms(long ms)
{
	const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&pause, NULL);
}

static bool may_pass(int code)
{
	return code == PODPORT_AGENT_AWAY || code == PODPORT_HOSTD_AWAY || code == PODPORT_BUSY ||
	       code == PODPORT_NOT_READY || code == PODPORT_LATE;
}

static int read_patiently(struct podport_client *client, struct podport_watch *watch, bool end,
			  struct podport_packets **ret_packets, struct podport_error *error)
{
	int r = podport_watch_read(client, watch, end, ret_packets, error);

	for (int ms = 0; r < 0 && may_pass(error->code) && ms < PATIENCE_MS; ms += RETRY_MS) {
		wait_ms(RETRY_MS);
		r = podport_watch_read(client, watch, end, ret_packets, error);
	}
	return r;
}

enum { PAGE_MAX = 256 };

// By time: the agent tells of them in the order in which it was done with them.
static int compare_times(const void *a, const void *b)
{
	const struct podport_packet *x = *(const struct podport_packet *const *)a,
				    *y = *(const struct podport_packet *const *)b;

	if (x->unix_ns != y->unix_ns)
		return x->unix_ns < y->unix_ns ? -1 : 1;
	return (x->number > y->number) - (x->number < y->number);
}

static size_t sort(const struct podport_packets *packets, size_t from,
		   const struct podport_packet *ret_sorted[PAGE_MAX])
{
	size_t count = 0;

	for (; count < PAGE_MAX && from + count < podport_packets_count(packets); count++)
		ret_sorted[count] = podport_packets_get(packets, from + count);
	qsort(ret_sorted, count, sizeof(*ret_sorted), compare_times);
	return count;
}

static int take(const struct podport_packets *packets, const struct watch_reader *reader,
		struct watch_outcome *outcome, struct podport_error *error)
{
	const struct podport_packets_summary *summary = podport_packets_summary(packets);
	int r = 0;

	const struct podport_packet *sorted[PAGE_MAX];

	for (size_t from = 0, count; r == 0 && (count = sort(packets, from, sorted)) > 0;
	     from += count) {
		for (size_t i = 0; r == 0 && i < count; i++) {
			r = reader->packet(reader->arg, sorted[i], error);
			outcome->read += r == 0;
		}
	}
	outcome->lost = summary->lost;
	outcome->offloaded = summary->offloaded;
	snprintf(outcome->reason, sizeof(outcome->reason), "%s", summary->reason);
	if (r == 0 && !summary->more)
		r = reader->pause(reader->arg, error);
	return r;
}

int watch_follow(struct podport_client *client, struct podport_watch *watch,
		 const struct watch_reader *reader, struct watch_outcome *ret_outcome,
		 struct podport_error *error)
{
	bool end = false, done = false;
	struct podport_error ignored;
	int r = 0;

	*ret_outcome = (struct watch_outcome){0};
	catch_signals();
	while (!done && r == 0) {
		struct podport_packets *packets;
		bool asked = end;

		r = read_patiently(client, watch, end, &packets, error);
		if (r < 0)
			return r;
		r = take(packets, reader, ret_outcome, error);
		bool ended = podport_packets_summary(packets)->ended;
		bool more = podport_packets_summary(packets)->more;
		done = asked && ended && podport_packets_count(packets) == 0;
		podport_packets_free(packets);
		if (r == 0 && !more && !ended && !(asked_to_end && !asked))
			wait_ms(PAUSE_MS);
		end = end || ended || asked_to_end;
	}
	if (r < 0) { // the reader's: nobody wants the rest
		struct podport_packets *packets;

		if (podport_watch_read(client, watch, true, &packets, &ignored) == 0)
			podport_packets_free(packets);
	}
	return r;
}
