// SPDX-License-Identifier: BSD-3-Clause
//
// Looking at a pod's packets: Watch, ReadWatch. The datapath takes them into records of bounded number;
// here they wait to be asked for. A watch lives as long as somebody asks: an operator's command that is
// killed, or whose host has gone, leaves nothing behind, and the rules that it had withdrawn from the
// e-switch come back.

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "control/control_private.h"
#include "control/trace_text.h"
#include "datapath/datapath.h"
#include "proto/base/log.h"
#include "proto/base/text.h"

enum {
	LEASE_MS = 5000,  // not asked for this long: nobody is there any more
	LINGER_MS = 7000, // what was taken last is given this long to leave the graph
	END_MS = 2000,    // the workers this long, to hand in what is under way at an end
};

// ---- life ----------------------------------------------------------------------------------------

static struct watch *find(struct control *control, uint64_t id, const char *host_id)
{
	for (size_t i = 0; i < TRACES_MAX; i++) {
		struct watch *watch = &control->watches[i];

		if (watch->trace != NULL && watch->id == id && strcmp(watch->host_id, host_id) == 0)
			return watch;
	}
	return NULL;
}

static bool is_withdrawn_by_other(const struct control *control, const struct watch *watch)
{
	for (size_t i = 0; i < TRACES_MAX; i++) {
		const struct watch *other = &control->watches[i];

		if (other != watch && other->trace != NULL && other->withdraws &&
		    other->slot == watch->slot)
			return true;
	}
	return false;
}

// Less than before: the rules are gone with their counters.
static void count_offloaded(const struct control *control, struct watch *watch)
{
	struct offload_pod_status status = {0};

	offload_read_pod(control->config.offload, watch->slot, &status);
	if (status.rx_packets + status.tx_packets > watch->offloaded_before + watch->offloaded)
		watch->offloaded = status.rx_packets + status.tx_packets - watch->offloaded_before;
}

// Nothing more is taken; what was can still be read.
static void stop(struct control *control, struct watch *watch, const char *reason)
{
	if (watch->over)
		return;
	watch->over = true;
	if (reason != watch->reason)
		snprintf(watch->reason, sizeof(watch->reason), "%s", reason);
	trace_stop(watch->trace);
	count_offloaded(control, watch);
	if (watch->withdraws && !is_withdrawn_by_other(control, watch))
		offload_restore(control->config.offload, watch->slot);
	watch->withdraws = false;
}

static void end(struct control *control, struct watch *watch)
{
	stop(control, watch, "");
	trace_free(watch->trace);
	free(watch->kept);
	*watch = (struct watch){0};
}

void watches_end(struct control *control)
{
	for (size_t i = 0; i < TRACES_MAX; i++) {
		if (control->watches[i].trace != NULL)
			end(control, &control->watches[i]);
	}
}

void watches_port_stops(struct control *control, uint32_t slot)
{
	for (size_t i = 0; i < TRACES_MAX; i++) {
		struct watch *watch = &control->watches[i];

		if (watch->trace != NULL && watch->slot == slot)
			stop(control, watch, "the pod's port was stopped");
	}
}

static void look_after(struct control *control, struct watch *watch);

// What is under way is still to be told.
static void come_to_end(struct control *control, struct watch *watch, const char *reason)
{
	if (watch->over || watch->ending_ms != 0)
		return;
	watch->ending_ms = control_now_ms();
	snprintf(watch->reason, sizeof(watch->reason), "%s", reason);
	trace_end(watch->trace);
	look_after(control, watch);
}

// Has it come to its end?
static void look_after(struct control *control, struct watch *watch)
{
	struct trace_figures figures;
	char reason[LIMIT_TEXT + 1];

	if (watch->over)
		return;
	trace_read_figures(watch->trace, &figures);
	if (figures.full && watch->full_ms == 0)
		watch->full_ms = control_now_ms();
	if (watch->ending_ms != 0) {
		if (figures.taken == figures.done || control_now_ms() >= watch->ending_ms + END_MS)
			stop(control, watch, watch->reason);
	} else if (control_now_ms() >= watch->ends_ms) {
		snprintf(reason, sizeof(reason), "%u s are over", watch->seconds);
		come_to_end(control, watch, reason);
	} else if (figures.full && (figures.taken == figures.done ||
				    control_now_ms() >= watch->full_ms + LINGER_MS)) {
		snprintf(reason, sizeof(reason), "as many packets or bytes as were asked for");
		stop(control, watch, reason);
	}
}

void watches_expire(struct control *control)
{
	for (size_t i = 0; i < TRACES_MAX; i++) {
		struct watch *watch = &control->watches[i];

		if (watch->trace == NULL)
			continue;
		look_after(control, watch);
		if (control_now_ms() < watch->asked_ms + LEASE_MS)
			continue;
		log_info("nobody reads a capture or trace any more, it is ended", "slot=%u",
			 watch->slot);
		end(control, watch);
	}
}

// ---- Watch ---------------------------------------------------------------------------------------

static int find_pod(const struct control *control, const struct control_call *call,
		    const struct pod **ret_pod, struct error *err)
{
	const struct attachment_key *key = &call->request->body.watch.key;
	const struct pod *pod = pods_find(control->pods, key);

	if (pod == NULL || pod->record.state != STORE_ATTACHED ||
	    !host_owns(call_host(control, call), pod))
		return error_set(err, ENOENT, CODE_NOT_FOUND, "there is no attachment %s/%s/%s",
				 key->network, key->container_id, key->ifname);
	if (!pod->port_started)
		return error_set(err, EAGAIN, CODE_NOT_READY, "the pod has no port: %.400s",
				 pod->port_error.message);
	*ret_pod = pod;
	return 0;
}

static int open_trace(const struct watch_request *wanted, uint32_t slot, struct trace **ret_trace,
		      struct error *err)
{
	const struct trace_config config = {
		.slot = slot,
		.steps = wanted->path,
		.frame_bytes = wanted->frame_bytes,
		.packets = wanted->packets,
		.bytes = wanted->bytes,
		.filter = wanted->filter,
		.filter_size = wanted->filter_size,
	};

	return trace_open(&config, ret_trace, err);
}

static void name_port(const struct control *control, const struct pod *pod,
		      char ret_name[LIMIT_ID + 1])
{
	const struct attachment *a = &pod->record.attachment;
	struct port_state state = {0};

	if (a->port == PORT_CHOICE_FUNCTION) {
		snprintf(ret_name, LIMIT_ID + 1, "pf%uvf%u", a->function.pf, a->function.vf);
		return;
	}
	port_read_state(pod_port(control, pod), &state);
	snprintf(ret_name, LIMIT_ID + 1, "%.63s", state.name);
	text_clean(ret_name);
}

static struct watch *free_place(struct control *control)
{
	for (size_t i = 0; i < TRACES_MAX; i++) {
		if (control->watches[i].trace == NULL)
			return &control->watches[i];
	}
	return NULL;
}

static int begin(struct control *control, struct control_call *call, const struct pod *pod,
		 struct watch_reply *ret_reply, struct error *err)
{
	const struct watch_request *wanted = &call->request->body.watch;
	uint32_t slot = port_slot(pod_port(control, pod));
	struct watch *watch = free_place(control);
	struct offload_pod_status status = {0};
	int r;

	if (watch == NULL)
		return error_set(err, EBUSY, CODE_BUSY,
				 "%d traces and captures are running, more cannot: try again later",
				 (int)TRACES_MAX);
	*watch = (struct watch){.slot = slot, .seconds = wanted->seconds};
	// Not to be guessed, nor to be another one's after a restart.
	if (getrandom(&watch->id, sizeof(watch->id), 0) != sizeof(watch->id))
		return error_set(err, EIO, CODE_INTERNAL, "getrandom: %s", strerror(errno));
	watch->id |= 1;
	watch->first_number = 1;
	watch->kept = calloc(LIMIT_WATCH_PAGE, sizeof(*watch->kept));
	r = watch->kept == NULL ? error_set(err, ENOMEM, CODE_INTERNAL, "out of memory")
				: open_trace(wanted, slot, &watch->trace, err);
	if (r < 0) {
		free(watch->kept);
		*watch = (struct watch){0};
		return r;
	}
	snprintf(watch->host_id, sizeof(watch->host_id), "%s", call_host(control, call));
	watch->asked_ms = control_now_ms();
	watch->ends_ms = watch->asked_ms + wanted->seconds * INT64_C(1000);
	offload_read_pod(control->config.offload, slot, &status);
	watch->offloaded_before = status.rx_packets + status.tx_packets;
	watch->withdraws = wanted->withdraw && pod->record.attachment.port == PORT_CHOICE_FUNCTION;
	if (watch->withdraws)
		offload_withdraw(control->config.offload, slot);
	ret_reply->id = watch->id;
	ret_reply->withdrawn = watch->withdraws && status.state != OFFLOAD_OFF;
	name_port(control, pod, ret_reply->port);
	return 0;
}

void watch_call(struct control *control, struct control_call *call)
{
	struct reply reply = {.call = CALL_WATCH};
	const struct pod *pod = NULL;
	struct error err;
	int r;

	watches_expire(control); // there may be room
	r = find_pod(control, call, &pod, &err);
	if (r == 0)
		r = begin(control, call, pod, &reply.body.watch, &err);
	if (r < 0)
		answer_error(control, call, &err);
	else
		answer(control, call, &reply);
}

// ---- ReadWatch -----------------------------------------------------------------------------------

struct names_of {
	const struct control *control;
	const char *host_id;
};

static const struct pod *pod_of(const struct control *control, const struct port *port,
				uint32_t index)
{
	return port_pod(control, port_kind_of(port), index);
}

static void print_port(const void *arg, uint32_t slot, char *ret_text, size_t size)
{
	const struct names_of *names = arg;
	uint32_t cursor = 0, index;
	const struct port *port;
	char name[LIMIT_ID + 1];

	while ((port = next_port(names->control, &cursor, &index)) != NULL) {
		const struct pod *pod;

		if (port_slot(port) != slot)
			continue;
		pod = pod_of(names->control, port, index);
		if (port_kind_of(port) == PORT_UPLINK || port_kind_of(port) == PORT_HOST) {
			snprintf(ret_text, size, "the %s", port_kind_name(port_kind_of(port)));
		} else if (pod != NULL && host_owns(names->host_id, pod)) {
			const struct attachment *a = &pod->record.attachment;

			name_port(names->control, pod, name);
			snprintf(ret_text, size, "%s (%s)", name,
				 a->pod.name[0] != '\0' ? a->pod.name : a->key.container_id);
		} else {
			snprintf(ret_text, size, "a port that is no pod's of this host");
		}
		return;
	}
	snprintf(ret_text, size, "a port that is gone");
}

// What the caller has is forgotten.
static void forget(struct watch *watch, uint64_t after)
{
	size_t count = 0;

	while (count < watch->kept_count && watch->first_number + count <= after)
		trace_release(watch->trace, watch->kept[count++]);
	watch->kept_count -= count;
	watch->first_number += count;
	memmove(watch->kept, watch->kept + count, watch->kept_count * sizeof(*watch->kept));
}

// False: the page is full.
static bool put(const struct control *control, const struct watch *watch, size_t index,
		struct watch_page *page)
{
	const struct names_of names_of = {control, watch->host_id};
	const struct trace_names names = {print_port, &names_of};
	const struct trace_record *record = watch->kept[index];
	struct watch_packet *packet = &page->packets[page->count];

	if (page->count == LIMIT_WATCH_PAGE ||
	    page->byte_count + record->frame_bytes > LIMIT_WATCH_BYTES ||
	    page->step_count + record->step_count > LIMIT_WATCH_STEPS)
		return false;
	page->count++;
	packet->number = watch->first_number + index;
	packet->unix_ns = record->unix_ns;
	packet->to_pod = record->to_port;
	packet->length = record->length;
	if (record->dropped)
		snprintf(packet->drop, sizeof(packet->drop), "%s",
			 datapath_drop_reason_name(record->reason));
	packet->first_byte = (uint32_t)page->byte_count;
	packet->byte_count = record->frame_bytes;
	memcpy(page->bytes + page->byte_count, record->frame, record->frame_bytes);
	page->byte_count += record->frame_bytes;
	packet->first_step = (uint32_t)page->step_count;
	packet->step_count = record->step_count;
	if (record->steps == NULL)
		return true;
	trace_text_summary(record, packet->summary);
	for (uint32_t i = 0; i < record->step_count; i++) {
		struct watch_step *step = &page->steps[page->step_count++];

		snprintf(step->node, sizeof(step->node), "%s",
			 trace_node_name(record->steps[i].node));
		trace_text_step(record, i, &names, step->text);
	}
	return true;
}

static void fill(const struct control *control, struct watch *watch, struct read_watch_reply *reply)
{
	struct trace_figures figures;
	size_t told = 0;

	for (;;) {
		if (told == watch->kept_count && watch->kept_count < LIMIT_WATCH_PAGE) {
			const struct trace_record *record = trace_next(watch->trace);

			if (record == NULL)
				break;
			watch->kept[watch->kept_count++] = record;
			watch->fetched++;
		}
		if (told == watch->kept_count || !put(control, watch, told, reply->page))
			break;
		told++;
	}
	trace_read_figures(watch->trace, &figures);
	reply->taken = figures.taken;
	reply->lost = figures.lost;
	reply->more = told < watch->kept_count || watch->fetched < figures.done;
}

static void fail_unknown(struct control *control, struct control_call *call)
{
	struct error err;

	error_set(
		&err, ENOENT, CODE_NOT_FOUND,
		"the agent knows no such trace or capture (any more): it was restarted, or has not "
		"been asked for %d s",
		LEASE_MS / 1000);
	answer_error(control, call, &err);
}

void read_watch_call(struct control *control, struct control_call *call)
{
	const struct read_watch_request *wanted = &call->request->body.read_watch;
	struct watch *watch = find(control, wanted->id, call_host(control, call));
	struct reply reply = {.call = CALL_READ_WATCH};
	struct read_watch_reply *body = &reply.body.read_watch;

	if (watch == NULL) {
		fail_unknown(control, call);
		return;
	}
	body->page = calloc(1, sizeof(*body->page));
	if (body->page == NULL) {
		answer_no_memory(control, call);
		return;
	}
	watch->asked_ms = control_now_ms();
	forget(watch, wanted->after);
	if (wanted->end)
		come_to_end(control, watch, "it was ended");
	look_after(control, watch);
	fill(control, watch, body);
	if (!watch->over)
		count_offloaded(control, watch);
	body->offloaded = watch->offloaded;
	body->ended = watch->over && !body->more;
	if (body->ended)
		snprintf(body->reason, sizeof(body->reason), "%s", watch->reason);
	// Its last page may have to be asked for again.
	if (wanted->end && body->ended && body->page->count == 0)
		end(control, watch);
	answer(control, call, &reply);
	reply_clear(&reply);
}
