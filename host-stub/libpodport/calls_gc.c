// SPDX-License-Identifier: BSD-3-Clause
//
// podport_gc: what is valid, in order, a few at a time; what could not be released, from all answers.

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libpodport/client_private.h"
#include "proto/codec.h"

// The result, and behind it what it points into.
struct gc_object {
	struct podport_gc_result public;
	struct gc_failure *wires;
	struct podport_gc_failure *failures;
};

static struct gc_object *object_of(struct podport_gc_result *result)
{
	return (struct gc_object *)(void *)((char *)result - offsetof(struct gc_object, public));
}

void podport_gc_result_free(struct podport_gc_result *result)
{
	if (result == NULL)
		return;
	free(object_of(result)->wires);
	free(object_of(result)->failures);
	free(object_of(result));
}

// ---- what is valid -------------------------------------------------------------------------------

static int compare(const void *a, const void *b)
{
	return endpoint_compare(a, b);
}

// Checked, in order, each once. *ret_sorted is the caller's to free.
static int sort_valid(const struct podport_gc_request *from, struct endpoint **ret_sorted,
		      size_t *ret_count, struct error *err)
{
	struct endpoint *sorted = calloc(from->valid_count + 1, sizeof(*sorted));
	size_t count = 0;

	if (sorted == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "out of memory");
	for (size_t i = 0; i < from->valid_count; i++) {
		const char *id = from->valid[i].container_id, *ifname = from->valid[i].ifname;
		int r = check_name("valid.container_id", id != NULL ? id : "", err);

		if (r == 0)
			r = check_ifname("valid.ifname", ifname != NULL ? ifname : "", err);
		if (r < 0) {
			free(sorted);
			return r;
		}
		strcpy(sorted[i].container_id, id);
		strcpy(sorted[i].ifname, ifname);
	}
	qsort(sorted, from->valid_count, sizeof(*sorted), compare);
	for (size_t i = 0; i < from->valid_count; i++)
		if (i == 0 || endpoint_compare(&sorted[i], &sorted[count - 1]) != 0)
			sorted[count++] = sorted[i];
	*ret_sorted = sorted;
	*ret_count = count;
	return 0;
}

// ---- asking --------------------------------------------------------------------------------------

static int take_failures(struct gc_object *object, const struct gc_reply *reply, struct error *err)
{
	size_t count = object->public.failure_count;
	struct gc_failure *wires;

	if (reply->failure_count == 0)
		return 0;
	wires = reallocarray(object->wires, count + reply->failure_count, sizeof(*wires));
	if (wires == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "out of memory");
	memcpy(&wires[count], reply->failures, reply->failure_count * sizeof(*wires));
	object->wires = wires;
	object->public.failure_count = count + reply->failure_count;
	return 0;
}

// The next request: of what is valid, `count` of them, what comes after gc->after.
static void fill_request(struct gc_request *gc, const struct endpoint *valid, size_t count)
{
	while (gc->has_after && count > 0 && endpoint_compare(valid, &gc->after) <= 0) {
		valid++;
		count--;
	}
	gc->more = count > LIMIT_VALID;
	gc->count = gc->more ? LIMIT_VALID : count;
	memcpy(gc->valid, valid, gc->count * sizeof(*valid));
}

static int ask(struct podport_client *client, const char *network, const struct endpoint *valid,
	       size_t count, struct gc_object *object, struct error *err)
{
	struct request request = {.call = CALL_GC};
	struct gc_request *gc = &request.body.gc;
	bool done = false;

	strcpy(gc->network, network);
	while (!done) {
		const struct gc_reply *body;
		struct endpoint after;
		struct reply reply;
		int r;

		fill_request(gc, valid, count);
		r = client_call(client, &request, -1, &reply, err);
		if (r < 0)
			return r;
		body = &reply.body.gc;
		object->public.released += body->released;
		r = take_failures(object, body, err);
		done = !body->has_next && !gc->more;
		after = body->has_next ? body->next : done ? gc->after : gc->valid[gc->count - 1];
		reply_clear(&reply);
		if (r < 0)
			return r;
		if (!done && gc->has_after && endpoint_compare(&after, &gc->after) <= 0)
			return error_set(
				err, EBADMSG, CODE_INTERNAL,
				"podport-hostd does not get on with the garbage collection");
		gc->after = after;
		gc->has_after = true;
	}
	return 0;
}

static int point_at_failures(struct gc_object *object, struct error *err)
{
	size_t count = object->public.failure_count;

	object->failures = calloc(count + 1, sizeof(*object->failures));
	if (object->failures == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "out of memory");
	for (size_t i = 0; i < count; i++)
		object->failures[i] = (struct podport_gc_failure){
			.key = object_key(&object->wires[i].key),
			.code = (int)object->wires[i].code,
			.message = object->wires[i].message,
		};
	object->public.failures = object->failures;
	return 0;
}

static int gc(struct podport_client *client, const struct podport_gc_request *caller_request,
	      struct gc_object *object, struct error *err)
{
	struct podport_gc_request from;
	struct endpoint *sorted = NULL;
	size_t count = 0;
	int r;

	if ((r = take_request(&from, sizeof(from), caller_request, err)) < 0 ||
	    (r = check_name("network", from.network != NULL ? from.network : "", err)) < 0)
		return r;
	if (from.valid_count > PODPORT_GC_VALID_MAX)
		return error_set(err, EINVAL, CODE_BAD_REQUEST, "valid_count: %zu is more than %d",
				 from.valid_count, PODPORT_GC_VALID_MAX);
	r = sort_valid(&from, &sorted, &count, err);
	if (r == 0)
		r = ask(client, from.network, sorted, count, object, err);
	if (r == 0)
		r = point_at_failures(object, err);
	free(sorted);
	return r;
}

int podport_gc(struct podport_client *client, const struct podport_gc_request *request,
	       struct podport_gc_result **ret_result, struct podport_error *error)
{
	struct gc_object *object = calloc(1, sizeof(*object));
	struct error err = {.code = CODE_INTERNAL, .message = "out of memory"};
	int r = object == NULL ? -ENOMEM : gc(client, request, object, &err);

	if (r < 0) {
		if (object != NULL)
			podport_gc_result_free(&object->public);
		return client_error(error, &err, r);
	}
	*ret_result = &object->public;
	return 0;
}
