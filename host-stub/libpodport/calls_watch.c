// SPDX-License-Identifier: BSD-3-Clause
//
// Looking at a pod's packets: a watch is begun in the agent, then asked for what it has seen since.

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libpodport/client_private.h"
#include "proto/codec.h"

struct podport_watch {
	struct podport_watch_info info;
	char port[LIMIT_ID + 1];
	uint64_t id, after;
};

struct packet_object {
	struct podport_packet public;
	struct podport_packet_step steps[LIMIT_STEPS];
};

struct podport_packets {
	struct podport_packets_summary summary;
	struct read_watch_reply reply; // whose strings and bytes the others point at
	size_t count;
	struct packet_object items[];
};

// ---- begin ---------------------------------------------------------------------------------------

static int take_watch(const struct podport_watch_request *from, struct watch_request *to,
		      struct error *err)
{
	const char *network = from->key.network != NULL ? from->key.network : "";
	const char *container_id = from->key.container_id != NULL ? from->key.container_id : "";
	const char *ifname = from->key.ifname != NULL ? from->key.ifname : "";
	int r;

	if ((r = check_name("network", network, err)) < 0 ||
	    (r = check_name("container_id", container_id, err)) < 0 ||
	    (r = check_ifname("ifname", ifname, err)) < 0)
		return r;
	if (from->filter_count > LIMIT_FILTER)
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "filter: %zu instructions are more than %d", from->filter_count,
				 (int)LIMIT_FILTER);
	if (from->frame_bytes > LIMIT_FRAME)
		return error_set(err, EINVAL, CODE_BAD_REQUEST, "frame_bytes: %u is not in 0..%d",
				 from->frame_bytes, (int)LIMIT_FRAME);
	if (from->seconds > WATCH_SECONDS_MAX)
		return error_set(err, EINVAL, CODE_BAD_REQUEST, "seconds: %u is not in 1..%d",
				 from->seconds, (int)WATCH_SECONDS_MAX);
	strcpy(to->key.network, network);
	strcpy(to->key.container_id, container_id);
	strcpy(to->key.ifname, ifname);
	to->path = from->path;
	to->withdraw = from->withdraw;
	to->frame_bytes = from->frame_bytes;
	to->packets = from->packets != 0 ? from->packets : UINT64_MAX;
	to->bytes = from->bytes != 0 ? from->bytes : UINT64_MAX;
	to->seconds = from->seconds != 0 ? from->seconds : WATCH_SECONDS_MAX;
	to->filter_size = (uint32_t)from->filter_count;
	for (size_t i = 0; i < from->filter_count; i++)
		to->filter[i] = (struct filter_instruction){
			.code = from->filter[i].code,
			.jump_true = from->filter[i].jump_true,
			.jump_false = from->filter[i].jump_false,
			.value = from->filter[i].value,
		};
	return 0;
}

int podport_watch_begin(struct podport_client *client,
			const struct podport_watch_request *caller_request,
			struct podport_watch **ret_watch, struct podport_error *error)
{
	struct request request = {.call = CALL_WATCH};
	struct podport_watch *watch = calloc(1, sizeof(*watch));
	struct podport_watch_request from;
	struct reply reply;
	struct error err;
	int r = watch == NULL ? error_set(&err, ENOMEM, CODE_INTERNAL, "out of memory")
			      : take_request(&from, sizeof(from), caller_request, &err);

	if (r == 0)
		r = take_watch(&from, &request.body.watch, &err);
	if (r == 0)
		r = client_call(client, &request, -1, &reply, &err);
	if (r < 0) {
		free(watch);
		return client_error(error, &err, r);
	}
	watch->id = reply.body.watch.id;
	memcpy(watch->port, reply.body.watch.port, sizeof(watch->port));
	watch->info.port = watch->port;
	watch->info.withdrawn = reply.body.watch.withdrawn;
	reply_clear(&reply);
	*ret_watch = watch;
	return 0;
}

const struct podport_watch_info *podport_watch_info(const struct podport_watch *watch)
{
	return &watch->info;
}

void podport_watch_free(struct podport_watch *watch)
{
	free(watch);
}

// ---- read ----------------------------------------------------------------------------------------

static void fill_packet(struct packet_object *to, const struct watch_packet *from,
			const struct watch_page *page)
{
	to->public = (struct podport_packet){
		.number = from->number,
		.unix_ns = from->unix_ns,
		.to_pod = from->to_pod,
		.length = from->length,
		.frame = page->bytes + from->first_byte,
		.frame_bytes = from->byte_count,
		.drop = from->drop,
		.summary = from->summary,
		.step_count = from->step_count,
		.steps = to->steps,
	};
	for (uint32_t i = 0; i < from->step_count; i++)
		to->steps[i] = (struct podport_packet_step){
			.node = page->steps[from->first_step + i].node,
			.text = page->steps[from->first_step + i].text,
		};
}

// What the agent has told before is not told again; and numbers ascend.
static int check_numbers(const struct podport_watch *watch, const struct watch_page *page,
			 struct error *err)
{
	uint64_t last = watch->after;

	for (size_t i = 0; page != NULL && i < page->count; i++) {
		if (page->packets[i].number <= last)
			return error_set(
				err, EBADMSG, CODE_INTERNAL,
				"podport-hostd answered with a page that does not follow the "
				"last one");
		last = page->packets[i].number;
	}
	return 0;
}

static int make_packets(struct podport_watch *watch, struct reply *reply,
			struct podport_packets **ret_packets, struct error *err)
{
	const struct watch_page *page = reply->body.read_watch.page;
	size_t count = page != NULL ? page->count : 0;
	struct podport_packets *packets;
	int r = check_numbers(watch, page, err);

	if (r < 0)
		return r;
	packets = calloc(1, sizeof(*packets) + count * sizeof(packets->items[0]));
	if (packets == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "out of memory");
	packets->reply = reply->body.read_watch;
	reply->body.read_watch.page = NULL; // it is ours now
	packets->count = count;
	for (size_t i = 0; i < count; i++)
		fill_packet(&packets->items[i], &page->packets[i], page);
	packets->summary = (struct podport_packets_summary){
		.more = packets->reply.more,
		.ended = packets->reply.ended,
		.reason = packets->reply.reason,
		.taken = packets->reply.taken,
		.lost = packets->reply.lost,
		.offloaded = packets->reply.offloaded,
	};
	if (count > 0)
		watch->after = page->packets[count - 1].number;
	*ret_packets = packets;
	return 0;
}

int podport_watch_read(struct podport_client *client, struct podport_watch *watch, bool end,
		       struct podport_packets **ret_packets, struct podport_error *error)
{
	struct request request = {
		.call = CALL_READ_WATCH,
		.body.read_watch = {.id = watch->id, .after = watch->after, .end = end},
	};
	struct reply reply;
	struct error err;
	int r = client_call(client, &request, -1, &reply, &err);

	if (r == 0) {
		r = make_packets(watch, &reply, ret_packets, &err);
		reply_clear(&reply);
	}
	return r < 0 ? client_error(error, &err, r) : 0;
}

size_t podport_packets_count(const struct podport_packets *packets)
{
	return packets->count;
}

const struct podport_packet *podport_packets_get(const struct podport_packets *packets,
						 size_t index)
{
	return index < packets->count ? &packets->items[index].public : NULL;
}

const struct podport_packets_summary *podport_packets_summary(const struct podport_packets *packets)
{
	return &packets->summary;
}

void podport_packets_free(struct podport_packets *packets)
{
	if (packets == NULL)
		return;
	free(packets->reply.page);
	free(packets);
}
