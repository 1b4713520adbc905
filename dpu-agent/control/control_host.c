// SPDX-License-Identifier: BSD-3-Clause
//
// Hello: the host says who it is and which boot of it this is. Of an older boot nothing runs any
// more, so its attachments are released before the answer.

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/control_private.h"
#include "proto/base/log.h"

// Of the host that says Hello, but of an earlier boot?
static bool is_stale(const struct pod *pod, const struct hello_request *hello)
{
	return pod->record.state == STORE_ATTACHED &&
	       strcmp(pod->record.host_id, hello->host_id) == 0 &&
	       strcmp(pod->record.boot_id, hello->boot_id) != 0;
}

// Attached before any host had said Hello: it was this one, there is no other.
static bool is_unclaimed(const struct pod *pod)
{
	return pod->record.state == STORE_ATTACHED && pod->record.host_id[0] == '\0';
}

static int write_hello(struct control *control, const struct hello_request *hello,
		       struct error *err)
{
	struct store *store = control->config.store;
	int r = store_put_host(store, hello->host_id, hello->boot_id, err);

	for (size_t i = 0; r == 0 && i < control->pods->count; i++) {
		const struct pod *pod = control->pods->sorted[i];
		struct store_record changed;

		if (!is_stale(pod, hello) && !is_unclaimed(pod))
			continue;
		changed = pod->record;
		if (is_stale(pod, hello)) {
			changed.state = STORE_DETACHING;
		} else {
			memcpy(changed.host_id, hello->host_id, sizeof(changed.host_id));
			memcpy(changed.boot_id, hello->boot_id, sizeof(changed.boot_id));
		}
		r = store_update(store, &changed, err);
	}
	return r;
}

static void apply_hello(struct control *control, const struct hello_request *hello)
{
	size_t reclaimed = 0;

	for (size_t i = 0; i < control->pods->count; i++) {
		struct pod *pod = control->pods->sorted[i];

		if (is_stale(pod, hello)) {
			pod_port_stop(control, pod);
			pod->record.state = STORE_DETACHING;
			TAILQ_INSERT_TAIL(&control->leaving, pod, leaving_entry);
			reclaimed++;
		} else if (is_unclaimed(pod)) {
			memcpy(pod->record.host_id, hello->host_id, sizeof(pod->record.host_id));
			memcpy(pod->record.boot_id, hello->boot_id, sizeof(pod->record.boot_id));
		}
	}
	memcpy(control->host_id, hello->host_id, sizeof(control->host_id));
	memcpy(control->boot_id, hello->boot_id, sizeof(control->boot_id));
	log_info("host said hello", "host=%s boot=%s version=%s reclaimed=%zu", hello->host_id,
		 hello->boot_id, hello->software_version, reclaimed);
}

static int greet(struct control *control, const struct hello_request *hello, struct error *err)
{
	struct store *store = control->config.store;
	int r;

	if (strcmp(control->host_id, hello->host_id) == 0 &&
	    strcmp(control->boot_id, hello->boot_id) == 0)
		return 0; // the usual case: no word to the disk
	if (control->host_id[0] != '\0' && strcmp(control->host_id, hello->host_id) != 0)
		log_warning("another host says hello; the attachments of the one before stay",
			    "host=%s before=%s", hello->host_id, control->host_id);
	r = store_begin(store, err);
	if (r == 0)
		r = write_hello(control, hello, err);
	if (r == 0)
		r = store_commit(store, err);
	if (r < 0) {
		store_rollback(store);
		return r;
	}
	apply_hello(control, hello);
	// Recorded as leaving: if this fails they only hold what they hold until control_retry.
	if (batch_finish_leaving(control, err) < 0)
		log_error("releases could not be recorded, to be tried again", "error=\"%s\"",
			  err->message);
	return 0;
}

void hello_call(struct control *control, struct control_call *call)
{
	const struct hello_request *hello = &call->request->body.hello;
	struct reply reply = {.call = CALL_HELLO};
	struct hello_reply *body = &reply.body.hello;
	struct error err;
	int r;

	if (hello->protocol_version != PROTOCOL_VERSION)
		r = error_set(&err, EPROTONOSUPPORT, CODE_UNSUPPORTED,
			      "the host speaks protocol version %u, this agent (%s) speaks %u: use "
			      "podport of the same version on both sides",
			      hello->protocol_version, PODPORT_VERSION, PROTOCOL_VERSION);
	else
		r = greet(control, hello, &err);
	if (r < 0) {
		log_warning("hello refused", "host=%s error=\"%s\"", hello->host_id, err.message);
		answer_error(control, call, &err);
		return;
	}
	body->protocol_version = PROTOCOL_VERSION;
	snprintf(body->software_version, sizeof(body->software_version), "%s", PODPORT_VERSION);
	body->has_pod_network = control->pods->has_network;
	body->pod_network = control->pods->network.common;
	body->host_port = host_port_ready(control);
	answer(control, call, &reply);
}
