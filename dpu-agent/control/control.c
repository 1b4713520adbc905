// SPDX-License-Identifier: BSD-3-Clause
//
// Life of the control object, and who answers which call. Calls that only look are answered at
// once; calls that change are gathered into batches.

#include "control/control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/control_private.h"
#include "proto/base/log.h"

int64_t control_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + (int64_t)now.tv_nsec / 1000000;
}

int control_new(const struct control_config *config, struct restored *restored,
		struct control **ret_control, struct error *err)
{
	struct control *control = calloc(1, sizeof(*control));

	if (control != NULL)
		control->offload_wanted =
			calloc(nic_function_count(config->nic), sizeof(*control->offload_wanted));
	if (control == NULL || control->offload_wanted == NULL ||
	    connections_new_state(control) < 0 || routes_new_state(control) < 0) {
		if (control != NULL) {
			free(control->offload_wanted);
			free(control->next_hops);
		}
		free(control);
		return error_set(err, ENOMEM, CODE_INTERNAL, "out of memory");
	}
	control->config = *config;
	if (config->uplink != NULL)
		control->uplink = *config->uplink;
	control->pods = restored->pods;
	restored->pods = NULL;
	memcpy(control->hosts, restored->hosts, sizeof(control->hosts));
	control->host_count = restored->host_count;
	control->last_host = restored->host_count > 0 ? restored->host_count - 1 : 0;
	control->restore_notice = restored->notice;
	control->started_ms = control_now_ms();
	TAILQ_INIT(&control->leaving);
	ports_start(control);
	*ret_control = control;
	return 0;
}

void control_free(struct control *control)
{
	if (control == NULL)
		return;
	watches_end(control);
	offload_free(control->config.offload);
	ports_stop(control);
	pods_free(control->pods);
	free(control->offload_wanted);
	free(control->next_hops);
	free(control->routes);
	free(control);
}

// ---- answers ---------------------------------------------------------------------------------------

void answer(struct control *control, struct control_call *call, struct reply *reply)
{
	snprintf(reply->instance_id, sizeof(reply->instance_id), "%s", control->config.instance_id);
	call->reply(call, reply);
}

void answer_error(struct control *control, struct control_call *call, const struct error *err)
{
	struct reply reply;

	reply_from_error(&reply, err);
	answer(control, call, &reply);
}

void answer_no_memory(struct control *control, struct control_call *call)
{
	struct error err;

	error_set(&err, ENOMEM, CODE_INTERNAL, "out of memory");
	answer_error(control, call, &err);
}

// ---- dispatch --------------------------------------------------------------------------------------

static const struct attachment_key *changed_key(const struct control_call *call)
{
	switch (call->request->call) {
	case CALL_ATTACH:
		return &call->request->body.attach.key;
	case CALL_DETACH:
		return &call->request->body.detach.key;
	default:
		return NULL;
	}
}

// What every call is asked first. False: it has been answered.
static bool admitted(struct control *control, struct control_call *call)
{
	const struct request *request = call->request;
	struct error err;

	if (call->remaining_ms(call) <= 0) {
		error_set(&err, ETIMEDOUT, CODE_LATE,
			  "the %s call waited longer than its %u ms and was not begun",
			  call_name(request->call), request->timeout_ms);
		answer_error(control, call, &err);
		return false;
	}
	// A change meant for an agent that has restarted since: the host has yet to say Hello to this one.
	if (changed_key(call) != NULL && request->instance_id[0] != '\0' &&
	    strcmp(request->instance_id, control->config.instance_id) != 0) {
		error_set(&err, ESTALE, CODE_NOT_READY,
			  "the agent has restarted: this is instance %s, not %s; say Hello first",
			  control->config.instance_id, request->instance_id);
		answer_error(control, call, &err);
		return false;
	}
	return true;
}

// Hello may end attachments, and a pod network ends or begins what can be attached: they keep their
// place among the changes.
static bool is_change_of_its_own(enum call call)
{
	return call == CALL_HELLO || call == CALL_SET_POD_NETWORK;
}

// Calls that change nothing, and those that are a change of their own.
static void single_call(struct control *control, struct control_call *call)
{
	struct error err;

	switch (call->request->call) {
	case CALL_HELLO:
		hello_call(control, call);
		return;
	case CALL_CHECK:
		check_call(control, call);
		return;
	case CALL_LIST:
		list_call(control, call);
		return;
	case CALL_GET_STATUS:
		status_call(control, call);
		return;
	case CALL_LIST_PORTS:
		list_ports_call(control, call);
		return;
	case CALL_GET_IPAM:
		ipam_call(control, call);
		return;
	case CALL_LIST_FLOWS:
		list_flows_call(control, call);
		return;
	case CALL_LIST_NAT:
		list_nat_call(control, call);
		return;
	case CALL_LIST_CONNECTIONS:
		list_connections_call(control, call);
		return;
	case CALL_LIST_NEIGHBOURS:
		list_neighbours_call(control, call);
		return;
	case CALL_WATCH:
		watch_call(control, call);
		return;
	case CALL_READ_WATCH:
		read_watch_call(control, call);
		return;
	case CALL_GET_OFFLOAD:
		offload_call(control, call);
		return;
	case CALL_SET_POD_NETWORK:
		set_pod_network_call(control, call);
		return;
	case CALL_RECONCILE:
		reconcile_call(control, call);
		return;
	case CALL_NONE:
	case CALL_ATTACH:
	case CALL_DETACH:
	case CALL_GC:
	case CALL_COUNT:
		break;
	}
	error_set(&err, ENOSYS, CODE_UNSUPPORTED, "the agent does not know the call %s",
		  call_name(call->request->call));
	answer_error(control, call, &err);
}

static bool has_key(struct control_call *const *calls, size_t count,
		    const struct attachment_key *key)
{
	for (size_t i = 0; i < count; i++)
		if (attachment_key_equal(changed_key(calls[i]), key))
			return true;
	return false;
}

void control_process(struct control *control, struct control_call **calls, size_t count)
{
	struct control_call *batch[BATCH_MAX];
	size_t batched = 0;

	for (size_t i = 0; i < count; i++) {
		const struct attachment_key *key = changed_key(calls[i]);

		// What looks, looks at what is on the disk, never at a plan: a batch is planned
		// when it runs.
		if (key == NULL) {
			if (is_change_of_its_own(calls[i]->request->call) && batched > 0) {
				batch_run(control, batch, batched);
				batched = 0;
			}
			if (admitted(control, calls[i]))
				single_call(control, calls[i]);
			continue;
		}
		if (!admitted(control, calls[i]))
			continue;
		if (batched == BATCH_MAX || has_key(batch, batched, key)) {
			batch_run(control, batch, batched);
			batched = 0;
		}
		batch[batched++] = calls[i];
	}
	if (batched > 0)
		batch_run(control, batch, batched);
}

void control_retry(struct control *control)
{
	struct error err = {0};

	if (!TAILQ_EMPTY(&control->leaving) && batch_finish_leaving(control, &err) < 0) {
		static struct log_ratelimit limit = {.interval_ms = 60000, .burst = 1};

		if (log_ratelimit_ok(&limit))
			log_warning("releases still cannot be recorded", "error=\"%s\"",
				    err.message);
	}
	ports_retry(control);
	publish_retry(control);
	rules_retry(control);
	routes_watch(control);
	wire_watch(control);
	connections_follow(control);
	watches_expire(control);
}

__attribute__((format(printf, 2, 3))) static void append(char text[LIMIT_TEXT + 1],
							 const char *format, ...)
{
	size_t length = strlen(text);
	va_list args;

	if (length > 0)
		length += (size_t)snprintf(text + length, LIMIT_TEXT + 1 - length, "; ");
	if (length >= LIMIT_TEXT)
		return;
	va_start(args, format);
	vsnprintf(text + length, LIMIT_TEXT + 1 - length, format, args);
	va_end(args);
}

void control_notice(const struct control *control, char ret_text[LIMIT_TEXT + 1])
{
	const struct pod *pod, *first = NULL;
	char offload[LIMIT_TEXT + 1];
	size_t stopped = 0, leaving = 0;

	for (size_t i = 0; i < control->pods->count; i++) {
		pod = control->pods->sorted[i];
		if (!pod->port_started && pod->record.state == STORE_ATTACHED) {
			first = first == NULL ? pod : first;
			stopped++;
		}
	}
	TAILQ_FOREACH (pod, &control->leaving, leaving_entry)
		leaving++;

	ret_text[0] = '\0';
	if (control->restore_notice.code != CODE_OK)
		append(ret_text, "%s", control->restore_notice.message);
	if (control->host_port_error.code != CODE_OK)
		append(ret_text, "host port: %s", control->host_port_error.message);
	if (control->uplink_error.code != CODE_OK)
		append(ret_text, "uplink: %s", control->uplink_error.message);
	if (control->wire_error.code != CODE_OK)
		append(ret_text, "uplink: %s", control->wire_error.message);
	else if (control->wire_down && uplink_is_configured(&control->uplink))
		append(ret_text, "uplink: its link is down");
	if (control->publish_error.code != CODE_OK)
		append(ret_text, "published ports: %s", control->publish_error.message);
	if (first != NULL)
		append(ret_text, "%zu attachments have no port, first %s/%s: %s", stopped,
		       first->record.attachment.key.container_id,
		       first->record.attachment.key.ifname, first->port_error.message);
	if (leaving > 0)
		append(ret_text, "%zu releases wait for the disk", leaving);
	rules_notice(control, offload);
	if (offload[0] != '\0')
		append(ret_text, "%s", offload);
}
