// SPDX-License-Identifier: BSD-3-Clause
//
// The group commit: several changes, one transaction, then their effects.
//
// What a failure leaves at each step:
//
//     plan      memory is as before (undone in reverse); the call is answered
//     commit    as above, for all of the batch
//     port      the record is erased in the second commit, what it held goes to the end of the list
//     second    the pod stays on the list of those leaving and holds what it holds; it is tried
//               again before the next change and by control_retry
//     crash     before the first commit: nothing was done. After: the record is there, and restore
//               starts its port, or finishes its release if it says STORE_DETACHING

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/control_private.h"
#include "proto/base/crash_point.h"
#include "proto/base/log.h"

struct batch {
	struct control *control;
	struct operation operations[BATCH_MAX];
	size_t count;
};

// ---- what is written -------------------------------------------------------------------------------

// What an attachment holds, as the lists of released things name it. Returns how many.
static size_t held_by(const struct pods *pods, const struct attachment *attachment,
		      struct store_released ret_held[3])
{
	size_t count = 0;

	if (attachment->port == PORT_CHOICE_FUNCTION)
		ret_held[count++] = (struct store_released){
			.pool = STORE_POOL_FUNCTION,
			.vf = attachment->function.vf,
		};
	if (attachment->has_ipv4 && pods_ipv4_in_pool(pods, attachment->ipv4))
		ret_held[count++] = (struct store_released){
			.pool = STORE_POOL_IPV4,
			.ipv4 = attachment->ipv4,
		};
	if (attachment->has_ipv6 && pods_ipv6_in_pool(pods, &attachment->ipv6))
		ret_held[count++] = (struct store_released){
			.pool = STORE_POOL_IPV6,
			.ipv6 = attachment->ipv6,
		};
	return count;
}

static int write_attach(struct control *control, const struct pod *pod, struct error *err)
{
	struct store_released held[3];
	size_t count = held_by(control->pods, &pod->record.attachment, held);
	int r = store_add(control->config.store, &pod->record, err);

	for (size_t i = 0; r == 0 && i < count; i++)
		r = store_delete_released(control->config.store, &held[i], err);
	return r;
}

static int write_release(struct control *control, const struct pod *pod, struct error *err)
{
	struct store_released held[3];
	size_t count = held_by(control->pods, &pod->record.attachment, held);
	int r = store_delete(control->config.store, &pod->record.attachment.key, err);

	for (size_t i = 0; r == 0 && i < count; i++)
		r = store_put_released(control->config.store, &held[i], err);
	return r;
}

static int write_intent(struct control *control, const struct operation *op, struct error *err)
{
	struct store_record *leaving;
	int r;

	switch (op->kind) {
	case OPERATION_ATTACH:
		return write_attach(control, op->pod, err);
	case OPERATION_REFRESH:
		return store_update(control->config.store, op->updated, err);
	case OPERATION_DETACH:
		break;
	}
	leaving = malloc(sizeof(*leaving));
	if (leaving == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "out of memory");
	*leaving = op->pod->record;
	leaving->state = STORE_DETACHING;
	r = store_update(control->config.store, leaving, err);
	free(leaving);
	return r;
}

// ---- plan and commit -------------------------------------------------------------------------------

static void batch_plan(struct batch *batch, struct control_call **calls, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct operation *op = &batch->operations[batch->count];
		bool planned;

		memset(op, 0, sizeof(*op));
		planned = calls[i]->request->call == CALL_ATTACH
				  ? attach_plan(batch->control, calls[i], op)
				  : detach_plan(batch->control, calls[i], op);
		if (planned)
			batch->count++;
	}
}

// Memory as it was before the plan. The operations stay, without their pods.
static void batch_unplan(struct batch *batch)
{
	for (size_t i = batch->count; i-- > 0;) {
		struct operation *op = &batch->operations[i];

		if (op->kind == OPERATION_ATTACH) {
			pods_remove(batch->control->pods, op->pod);
			pods_unreserve(batch->control->pods, &op->undo);
		}
		free(op->updated);
		op->updated = NULL;
		op->pod = NULL;
	}
}

// The last moment to notice that a caller has given up: nothing is recorded yet.
static bool batch_mark_late(struct batch *batch)
{
	bool any = false;

	for (size_t i = 0; i < batch->count; i++) {
		struct operation *op = &batch->operations[i];

		op->late = op->call->remaining_ms(op->call) <= 0;
		any = any || op->late;
	}
	return any;
}

// Returns 0 when the intents are on the disk; -EAGAIN if somebody is late; else an error.
static int batch_commit(struct batch *batch, struct error *err)
{
	struct store *store = batch->control->config.store;
	int r = store_begin(store, err);

	for (size_t i = 0; r == 0 && i < batch->count; i++)
		r = write_intent(batch->control, &batch->operations[i], err);
	if (r == 0 && batch_mark_late(batch))
		r = -EAGAIN;
	if (r == 0)
		r = store_commit(store, err);
	if (r < 0)
		store_rollback(store);
	return r;
}

static void answer_all_failed(struct batch *batch, const struct error *err)
{
	log_error("changes could not be recorded", "calls=%zu error=\"%s\"", batch->count,
		  err->message);
	for (size_t i = 0; i < batch->count; i++)
		answer_error(batch->control, batch->operations[i].call, err);
	batch->count = 0;
}

// Answer those that are late; the other calls, in order, into ret_calls. Returns how many.
static size_t answer_late(struct batch *batch, struct control_call **ret_calls)
{
	struct error err;
	size_t kept = 0;

	for (size_t i = 0; i < batch->count; i++) {
		struct operation *op = &batch->operations[i];

		if (!op->late) {
			ret_calls[kept++] = op->call;
			continue;
		}
		error_set(&err, ETIMEDOUT, CODE_LATE,
			  "the %s call was not begun within its %u ms; nothing was changed",
			  call_name(op->call->request->call), op->call->request->timeout_ms);
		answer_error(batch->control, op->call, &err);
	}
	batch->count = 0;
	return kept;
}

// ---- effects ---------------------------------------------------------------------------------------

static void leave(struct control *control, struct pod *pod)
{
	if (pod->record.state == STORE_DETACHING)
		return; // is on the list
	pod->record.state = STORE_DETACHING;
	TAILQ_INSERT_TAIL(&control->leaving, pod, leaving_entry);
}

static void log_pod(const char *message, const struct attachment *a, const struct error *err)
{
	char ipv4[INET_ADDRSTRLEN] = "-", ipv6[INET6_ADDRSTRLEN] = "-";
	char netdev[VIRTIO_NETDEV_SIZE];

	virtio_netdev_name(&a->mac, netdev);
	if (err != NULL) {
		log_error(message, "network=%s container=%s ifname=%s error=\"%s\"", a->key.network,
			  a->key.container_id, a->key.ifname, err->message);
		return;
	}
	if (a->has_ipv4)
		inet_ntop(AF_INET, &a->ipv4, ipv4, sizeof(ipv4));
	if (a->has_ipv6)
		inet_ntop(AF_INET6, &a->ipv6, ipv6, sizeof(ipv6));
	if (a->port == PORT_CHOICE_FUNCTION)
		log_info(message, "network=%s container=%s ifname=%s function=%u ipv4=%s ipv6=%s",
			 a->key.network, a->key.container_id, a->key.ifname, a->function.vf, ipv4,
			 ipv6);
	else
		log_info(message, "network=%s container=%s ifname=%s %s=%s ipv4=%s ipv6=%s",
			 a->key.network, a->key.container_id, a->key.ifname,
			 a->port == PORT_CHOICE_VHOST_USER ? "socket" : "netdev",
			 a->port == PORT_CHOICE_VHOST_USER ? a->socket_path : netdev, ipv4, ipv6);
}

static void operation_apply(struct control *control, struct operation *op)
{
	const struct attachment *attachment = &op->pod->record.attachment;

	switch (op->kind) {
	case OPERATION_ATTACH:
		op->failed = pod_port_start(control, op->pod, true, &op->error) < 0;
		op->started = !op->failed;
		if (op->failed)
			leave(control, op->pod);
		crash_point("agent:add:started");
		log_pod(op->failed ? "attach failed" : "attached", attachment,
			op->failed ? &op->error : NULL);
		return;
	case OPERATION_REFRESH:
		op->pod->record = *op->updated;
		pod_port_drop_lost(control, op->pod);
		if (op->pod->port_started)
			return;
		op->failed = pod_port_start(control, op->pod, false, &op->error) < 0;
		op->started = !op->failed;
		return;
	case OPERATION_DETACH:
		op->function = op->pod->record.attachment.function;
		pod_port_stop(control, op->pod);
		crash_point("agent:del:stopped");
		leave(control, op->pod);
		log_pod("detached", attachment, NULL);
		return;
	}
}

int batch_finish_leaving(struct control *control, struct error *err)
{
	struct store *store = control->config.store;
	struct pod *pod;
	int r;

	if (TAILQ_EMPTY(&control->leaving))
		return 0;
	r = store_begin(store, err);
	TAILQ_FOREACH (pod, &control->leaving, leaving_entry) {
		if (r < 0)
			break;
		r = write_release(control, pod, err);
	}
	if (r == 0)
		r = store_commit(store, err);
	if (r < 0) {
		store_rollback(store);
		return r;
	}
	while ((pod = TAILQ_FIRST(&control->leaving)) != NULL) {
		TAILQ_REMOVE(&control->leaving, pod, leaving_entry);
		pods_release(control->pods, pod);
	}
	return 0;
}

static void operation_answer(struct control *control, struct operation *op)
{
	struct reply reply = {0};

	if (op->failed) {
		answer_error(control, op->call, &op->error);
		return;
	}
	if (op->kind == OPERATION_DETACH) {
		reply.call = CALL_DETACH;
		reply.body.detach =
			(struct detach_reply){.existed = true, .function = op->function};
	} else {
		reply.call = CALL_ATTACH;
		reply.repeated = op->kind == OPERATION_REFRESH;
		reply.body.attach = op->pod->record.attachment;
	}
	answer(control, op->call, &reply);
}

static bool batch_has(const struct batch *batch, enum operation_kind kind)
{
	for (size_t i = 0; i < batch->count; i++)
		if (batch->operations[i].kind == kind)
			return true;
	return false;
}

static bool maps_ports(const struct operation *op)
{
	return op->pod->record.attachment.port_mappings.count > 0;
}

// All that the batch has changed of published ports, at once. A new pod that cannot have its own fails.
static void batch_publish(struct batch *batch)
{
	struct control *control = batch->control;
	struct error err;
	bool any = false;

	for (size_t i = 0; i < batch->count; i++)
		any = any || maps_ports(&batch->operations[i]);
	if (!any || publish_apply(control, &err) == 0)
		return;
	for (size_t i = 0; i < batch->count; i++) {
		struct operation *op = &batch->operations[i];

		if (op->kind != OPERATION_ATTACH || op->failed || !maps_ports(op))
			continue;
		op->failed = true;
		op->started = false;
		op->error = err;
		pod_port_stop(control, op->pod);
		leave(control, op->pod);
	}
}

static void batch_apply(struct batch *batch)
{
	struct control *control = batch->control;
	struct pod *started[BATCH_MAX];
	size_t started_count = 0;
	struct error err = {0};
	int r;

	for (size_t i = 0; i < batch->count; i++) {
		struct operation *op = &batch->operations[i];

		operation_apply(control, op);
		free(op->updated);
		op->updated = NULL;
	}
	batch_publish(batch);
	for (size_t i = 0; i < batch->count; i++)
		if (batch->operations[i].started)
			started[started_count++] = batch->operations[i].pod;
	// Before the answers: a pod's first packet may go by the e-switch already.
	rules_add(control, started, started_count);
	if (started_count > 0)
		crash_point("agent:add:offloaded");
	// Those who have their pod are answered before the second commit, which is not theirs.
	for (size_t i = 0; i < batch->count; i++) {
		struct operation *op = &batch->operations[i];

		if (op->kind != OPERATION_DETACH && !op->failed)
			operation_answer(control, op);
	}
	if (started_count > 0)
		crash_point("agent:add:answered");
	r = batch_finish_leaving(control, &err);
	if (r < 0)
		log_error("releases could not be recorded, to be tried again", "error=\"%s\"",
			  err.message);
	if (batch_has(batch, OPERATION_DETACH))
		crash_point("agent:del:released");
	for (size_t i = 0; i < batch->count; i++) {
		struct operation *op = &batch->operations[i];

		if (op->kind == OPERATION_DETACH && r < 0) {
			op->failed = true;
			op->error = err;
		}
		if (op->kind == OPERATION_DETACH || op->failed)
			operation_answer(control, op);
	}
	if (batch_has(batch, OPERATION_DETACH))
		crash_point("agent:del:answered");
}

void batch_run(struct control *control, struct control_call **calls, size_t count)
{
	struct control_call *kept[BATCH_MAX];
	struct batch batch = {.control = control};
	struct error err = {0};
	int r;

	// What could not be released before may be now; if not, it only stays taken.
	batch_finish_leaving(control, NULL);
	memcpy(kept, calls, count * sizeof(kept[0]));
	do {
		batch_plan(&batch, kept, count);
		if (batch.count == 0)
			return;
		if (batch_has(&batch, OPERATION_ATTACH))
			crash_point("agent:add:planned");
		if (batch_has(&batch, OPERATION_DETACH))
			crash_point("agent:del:planned");
		r = batch_commit(&batch, &err);
		if (r < 0)
			batch_unplan(&batch);
		if (r == -EAGAIN)
			count = answer_late(&batch, kept);
		else if (r < 0)
			answer_all_failed(&batch, &err);
	} while (r == -EAGAIN);
	if (r < 0)
		return;
	if (batch_has(&batch, OPERATION_ATTACH))
		crash_point("agent:add:recorded");
	if (batch_has(&batch, OPERATION_DETACH))
		crash_point("agent:del:recorded");
	batch_apply(&batch);
}
