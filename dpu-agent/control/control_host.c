// SPDX-License-Identifier: BSD-3-Clause
//
// Hosts: which there are, whose attachments are whose, and their calls Hello and Reconcile. In a
// Hello the host says who it is and which boot of it this is. Of an older boot nothing runs any more,
// so its attachments are released before the answer.

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/control_private.h"
#include "proto/base/log.h"

// ---- hosts -----------------------------------------------------------------------------------------

const struct store_host *host_find(const struct control *control, const char *host_id)
{
	for (size_t i = 0; i < control->host_count; i++)
		if (strcmp(control->hosts[i].host_id, host_id) == 0)
			return &control->hosts[i];
	return NULL;
}

const char *call_host(const struct control *control, const struct control_call *call)
{
	if (call->request->host_id[0] != '\0')
		return call->request->host_id;
	return control->host_count > 0 ? control->hosts[control->last_host].host_id : "";
}

bool host_owns(const char *host_id, const struct pod *pod)
{
	return pod->record.host_id[0] == '\0' || strcmp(pod->record.host_id, host_id) == 0;
}

static bool has_pods(const struct control *control, const char *host_id)
{
	for (size_t i = 0; i < control->pods->count; i++)
		if (strcmp(control->pods->sorted[i]->record.host_id, host_id) == 0)
			return true;
	return false;
}

// Room for one more host: *ret_evicted (NULL: none) is to be forgotten, the longest known without
// attachments.
static int make_room(const struct control *control, const struct store_host **ret_evicted,
		     struct error *err)
{
	if (control->host_count < STORE_HOSTS_MAX)
		return 0;
	for (size_t i = 0; i < control->host_count; i++) {
		if (has_pods(control, control->hosts[i].host_id))
			continue;
		*ret_evicted = &control->hosts[i];
		return 0;
	}
	return error_set(err, ENOSPC, CODE_CONFLICT,
			 "this agent has attachments of %d hosts already, and serves no more",
			 (int)STORE_HOSTS_MAX);
}

static void forget_host(struct control *control, const struct store_host *host)
{
	size_t index = (size_t)(host - control->hosts);

	control->host_count--;
	memmove(&control->hosts[index], &control->hosts[index + 1],
		(control->host_count - index) * sizeof(control->hosts[0]));
}

// The last in the list, as in the store.
static void note_host(struct control *control, const struct hello_request *hello)
{
	const struct store_host *known = host_find(control, hello->host_id);
	struct store_host *host;

	if (known != NULL)
		forget_host(control, known);
	control->last_host = control->host_count;
	host = &control->hosts[control->host_count++];
	memcpy(host->host_id, hello->host_id, sizeof(host->host_id));
	memcpy(host->boot_id, hello->boot_id, sizeof(host->boot_id));
}

// ---- Hello -----------------------------------------------------------------------------------------

// Of the host that says Hello, but of an earlier boot?
static bool is_stale(const struct pod *pod, const struct hello_request *hello)
{
	return pod->record.state == STORE_ATTACHED &&
	       strcmp(pod->record.host_id, hello->host_id) == 0 &&
	       strcmp(pod->record.boot_id, hello->boot_id) != 0;
}

// Attached before any host had said Hello: the first that does has it.
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
	if (reclaimed > 0)
		publish_apply(control, NULL);
	note_host(control, hello);
	log_info("host said hello", "host=%s boot=%s version=%s reclaimed=%zu", hello->host_id,
		 hello->boot_id, hello->software_version, reclaimed);
}

static int greet(struct control *control, const struct hello_request *hello, struct error *err)
{
	const struct store_host *known = host_find(control, hello->host_id);
	struct store *store = control->config.store;
	const struct store_host *evicted = NULL;
	int r = 0;

	if (known != NULL && strcmp(known->boot_id, hello->boot_id) == 0) {
		control->last_host = (size_t)(known - control->hosts);
		return 0; // the usual case: no word to the disk
	}
	if (known == NULL)
		r = make_room(control, &evicted, err);
	if (r == 0)
		r = store_begin(store, err);
	if (r < 0)
		return r;
	if (evicted != NULL)
		r = store_delete_host(store, evicted->host_id, err);
	if (r == 0)
		r = write_hello(control, hello, err);
	if (r == 0)
		r = store_commit(store, err);
	if (r < 0) {
		store_rollback(store);
		return r;
	}
	if (evicted != NULL)
		forget_host(control, evicted);
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
	// Only what is served: else the host would send there in vain.
	if (control->pods->has_network && control->wire_error.code == CODE_OK) {
		body->has_uplink_ipv4 = control->uplink.has_ipv4;
		body->has_uplink_ipv6 = control->uplink.has_ipv6;
		body->uplink_ipv4 = control->uplink.ipv4;
		body->uplink_ipv6 = control->uplink.ipv6;
	}
	answer(control, call, &reply);
}

// ---- Reconcile -------------------------------------------------------------------------------------

void reconcile_call(struct control *control, struct control_call *call)
{
	const struct pods *pods = control->pods;
	const char *host_id = call_host(control, call);
	struct reply reply = {.call = CALL_RECONCILE};
	struct reconcile_reply *body = &reply.body.reconcile;
	struct offload_info offload;
	const struct pod *pod;

	control_retry(control);
	for (size_t i = 0; i < pods->count; i++) {
		if (pods->sorted[i]->record.state != STORE_ATTACHED ||
		    !host_owns(host_id, pods->sorted[i]))
			continue;
		body->attachments++;
		body->without_port += !pods->sorted[i]->port_started;
	}
	TAILQ_FOREACH (pod, &control->leaving, leaving_entry)
		body->leaving += host_owns(host_id, pod);
	rules_describe(control, &offload);
	body->rules_missing = offload.rules_missing;
	answer(control, call, &reply);
}
