// SPDX-License-Identifier: BSD-3-Clause
//
// podportctl capture

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ctl/command.h"
#include "ctl/format.h"
#include "ctl/pcapng.h"
#include "ctl/watch.h"

enum {
	PACKETS = 100000,
	BYTES = 64 << 20,
	SECONDS = 60,
	SNAP = 2048,
};

static int fail_write(const char *path, int r, struct podport_error *error)
{
	return watch_fail(error, -r, PODPORT_INTERNAL, "%.300s: %s", path, strerror(-r));
}

struct file {
	FILE *stream;
	const char *path;
};

// Not for everybody's eyes.
static int open_file(const char *path, struct file *ret_file, struct podport_error *error)
{
	bool standard = strcmp(path, "-") == 0;
	int fd = standard ? dup(STDOUT_FILENO)
			  : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ret_file->path = standard ? "standard output" : path;
	ret_file->stream = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (ret_file->stream != NULL)
		return 0;
	return fail_write(ret_file->path, -errno, error);
}

static int put_packet(void *arg, const struct podport_packet *packet, struct podport_error *error)
{
	const struct file *file = arg;
	char comment[128];
	int r;

	snprintf(comment, sizeof(comment), "dropped by podport: %s", packet->drop);
	r = pcapng_put(file->stream, &(struct pcapng_packet){
					     .unix_ns = packet->unix_ns,
					     .inbound = packet->to_pod,
					     .length = packet->length,
					     .captured = packet->frame_bytes,
					     .frame = packet->frame,
					     .comment = packet->drop[0] != '\0' ? comment : NULL,
				     });
	return r < 0 ? fail_write(file->path, r, error) : 0;
}

// So that whoever reads along, or comes after a kill, finds whole packets.
static int flush(void *arg, struct podport_error *error)
{
	const struct file *file = arg;

	return fflush(file->stream) != 0 ? fail_write(file->path, -errno, error) : 0;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void print_outcome(const struct options *options, const struct watch_outcome *outcome,
			  const struct podport_watch_info *info)
{
	if (options->json) {
		json_t *json = json_pack(
			"{s:I, s:I, s:I, s:b, s:s}", "packets", (json_int_t)outcome->read, "lost",
			(json_int_t)outcome->lost, "offloaded", (json_int_t)outcome->offloaded,
			"withdrawn", (int)info->withdrawn, "reason", outcome->reason);

		json_dumpf(json, stderr, JSON_INDENT(2));
		fputc('\n', stderr);
		json_decref(json);
		return;
	}
	fprintf(stderr, "%llu packets captured (%s), %llu lost%s",
		(unsigned long long)outcome->read, outcome->reason,
		(unsigned long long)outcome->lost,
		outcome->lost > 0 ? " since they were not read fast enough" : "");
	if (outcome->offloaded > 0)
		fprintf(stderr,
			"; %llu were forwarded by the e-switch meanwhile and are not among them",
			(unsigned long long)outcome->offloaded);
	fprintf(stderr, "\n");
}

static int write_packets(struct podport_client *client, struct podport_watch *watch,
			 const struct options *options, struct file *file,
			 struct podport_error *error)
{
	const struct watch_reader reader = {.packet = put_packet, .pause = flush, .arg = file};
	struct watch_outcome outcome;
	int r = watch_follow(client, watch, &reader, &outcome, error);

	if (r < 0)
		return r;
	r = pcapng_end(file->stream, now_ns(), outcome.read + outcome.lost, outcome.lost);
	if (r < 0)
		return fail_write(file->path, r, error);
	r = flush(file, error);
	if (r == 0)
		print_outcome(options, &outcome, podport_watch_info(watch));
	return r;
}

static int write_head(const struct podport_attachment *pod, const struct podport_watch *watch,
		      const struct watch_filter *filter, uint32_t snap, const struct file *file,
		      struct podport_error *error)
{
	char description[FORMAT_SIZE + 64];
	char application[64];
	struct text name;
	int r;

	snprintf(description, sizeof(description), "pod %s, %s", format_pod(&name, pod),
		 pod->key.ifname);
	snprintf(application, sizeof(application), "podportctl %s", podport_version());
	r = pcapng_begin(file->stream, &(struct pcapng_interface){
					       .name = podport_watch_info(watch)->port,
					       .description = description,
					       .filter = filter->text,
					       .application = application,
					       .snap = snap,
				       });
	return r < 0 ? fail_write(file->path, r, error) : 0;
}

static int capture(struct podport_client *client, const struct podport_attachment *pod,
		   const struct options *options, const struct watch_filter *filter,
		   struct podport_error *error)
{
	struct podport_watch_request request = PODPORT_WATCH_REQUEST_INIT;
	struct podport_watch *watch;
	struct file file;
	int r = open_file(options->watch.file, &file, error);

	if (r < 0)
		return r;
	request.key = pod->key;
	request.withdraw = !options->watch.leave_offloaded;
	request.frame_bytes = options->watch.snap != 0 ? options->watch.snap : SNAP;
	request.packets = options->watch.count != 0 ? options->watch.count : PACKETS;
	request.bytes = options->watch.bytes != 0 ? options->watch.bytes : BYTES;
	request.seconds = options->watch.seconds != 0 ? options->watch.seconds : SECONDS;
	request.filter = filter->instructions;
	request.filter_count = filter->count;
	r = podport_watch_begin(client, &request, &watch, error);
	if (r == 0) {
		r = write_head(pod, watch, filter, request.frame_bytes, &file, error);
		if (r == 0)
			watch_tell_begin("capturing on", podport_watch_info(watch), &request);
		if (r == 0)
			r = write_packets(client, watch, options, &file, error);
		podport_watch_free(watch);
	}
	if (fclose(file.stream) != 0 && r == 0)
		r = fail_write(file.path, -errno, error);
	return r;
}

static int check(const struct options *options)
{
	if (options->pod == NULL || options->watch.file == NULL)
		return command_usage("capture: which pod, and into which file? POD -w FILE");
	if (options->watch.all)
		return command_usage("--all goes with 'trace': a capture has all packets, unless "
				     "--offloaded is given");
	return 0;
}

static int run(struct podport_client *client, const struct options *options,
	       struct podport_error *error)
{
	const struct podport_attachment *pod;
	struct watch_filter filter;
	struct podport_pods *pods;
	int r;

	r = watch_filter_compile(options->arguments, options->argument_count, &filter, error);
	if (r < 0)
		return r;
	r = podport_list_pods(client, &pods, error);
	if (r == 0) {
		r = watch_find_pod(pods, options->pod, &pod, error);
		if (r == 0)
			r = capture(client, pod, options, &filter, error);
		podport_pods_free(pods);
	}
	watch_filter_clear(&filter);
	return r;
}

const struct command command_capture = {
	.name = "capture",
	.summary = "the packets of a pod into a pcapng file, for Wireshark and tcpdump",
	.help = "Writes the packets from and to a pod into a pcapng file: as they come from its "
		"interface (outbound), and as\n"
		"they go to it (inbound). A packet that the agent dropped has the reason in its "
		"comment. Large TCP frames and\n"
		"checksums are as the pod's stack leaves them to the NIC. POD:INTERFACE is one of "
		"a pod "
		"that has several.\n"
		"\n"
		"Meanwhile the e-switch forwards nothing of the pod: its rules are taken out, so "
		"that "
		"its packets go through\n"
		"the agent and are seen, more slowly. They come back at the end, in seconds also "
		"if "
		"this command is killed.\n"
		"\n"
		"FILTER is as tcpdump's, see pcap-filter(7): it looks at the frame as the pod has "
		"it "
		"on its interface.\n"
		"\n"
		"  -w FILE             to write, - for standard output\n"
		"  -c, --count N       so many packets at most (default 100000)\n"
		"      --bytes N       frames of so many bytes in all at most (default 67108864)\n"
		"      --seconds N     for so long at most (default 60, at most 3600)\n"
		"      --snap N        keep so many bytes of each frame (default 2048, at most "
		"9216)\n"
		"      --offloaded     leave to the e-switch what it forwards: that is not seen, "
		"only "
		"counted\n"
		"\n"
		"It also ends by SIGINT and SIGTERM. What it has captured is told on standard "
		"error; "
		"--json: {packets, lost,\n"
		"offloaded: numbers; withdrawn: true, false; reason: why it ended}\n",
	.has_pod = true,
	.watches = true,
	.arguments = "[FILTER]",
	.check = check,
	.run = run,
};
