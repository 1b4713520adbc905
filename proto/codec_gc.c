// SPDX-License-Identifier: BSD-3-Clause
//
// Gc, request and reply, both ways.

#include <errno.h>
#include <string.h>

#include "proto/codec_private.h"

// ---- out of a message ----------------------------------------------------------------------------

static int decode_endpoint(const Podport__Wire__Endpoint *from, const struct where *at,
			   struct endpoint *to, struct error *err)
{
	int r = take_name(from->container_id, at, "container_id", to->container_id, err);

	if (r < 0)
		return r;
	return take_ifname(from->ifname, at, "ifname", to->ifname, err);
}

int decode_gc(const Podport__Wire__Gc *from, const struct where *at, struct gc_request *ret_gc,
	      struct error *err)
{
	struct gc_request *to = ret_gc;
	int r = take_name(from->network, at, "network", to->network, err);

	if (r < 0)
		return r;
	to->has_after = from->after != NULL;
	if (to->has_after &&
	    (r = decode_endpoint(from->after, &WHERE(at, "after"), &to->after, err)) < 0)
		return r;
	for (size_t i = 0; i < from->n_valid; i++) { // the scan has counted them: LIMIT_VALID
		const struct where here = WHERE_ITEM(at, "valid", i);
		const struct endpoint *before = i > 0           ? &to->valid[i - 1]
						: to->has_after ? &to->after
								: NULL;

		r = decode_endpoint(from->valid[i], &here, &to->valid[i], err);
		if (r < 0)
			return r;
		// What is out of order would be taken for not valid.
		if (before != NULL && endpoint_compare(before, &to->valid[i]) >= 0)
			return bad_field(err, CODE_BAD_REQUEST, &here, NULL, "is out of order");
	}
	to->count = from->n_valid;
	to->more = from->more;
	if (to->more && to->count == 0)
		return bad_field(err, CODE_BAD_REQUEST, at, "more", "without any that is valid");
	return 0;
}

static int decode_failure(const Podport__Wire__GcFailure *from, const struct where *at,
			  struct gc_failure *to, struct error *err)
{
	int r;

	if ((r = decode_key(from->key, &WHERE(at, "key"), &to->key, err)) < 0 ||
	    (r = take_range(from->code, 1, CODE_COUNT - 1, at, "code", err)) < 0)
		return r;
	to->code = (enum code)from->code;
	return take_text(from->message, at, "message", LIMIT_TEXT, to->message, err);
}

int decode_gc_reply(const Podport__Wire__GcReply *from, const struct where *at,
		    struct gc_reply *ret_gc, struct error *err)
{
	struct gc_reply *to = ret_gc;
	int r;

	to->released = from->released;
	for (size_t i = 0; i < from->n_failures; i++) {
		r = decode_failure(from->failures[i], &WHERE_ITEM(at, "failures", i),
				   &to->failures[i], err);
		if (r < 0)
			return r;
	}
	to->failure_count = from->n_failures;
	to->has_next = from->next != NULL;
	return to->has_next ? decode_endpoint(from->next, &WHERE(at, "next"), &to->next, err) : 0;
}

// ---- into a message ------------------------------------------------------------------------------

static void put_endpoint(Podport__Wire__Endpoint *to, const struct endpoint *from)
{
	podport__wire__endpoint__init(to);
	to->container_id = put_text(from->container_id);
	to->ifname = put_text(from->ifname);
}

int put_gc(struct gc_wire *wire, const struct gc_request *from, struct error *err)
{
	Podport__Wire__Gc *to = &wire->message;

	if (from->count > LIMIT_VALID)
		return error_set(err, EMSGSIZE, CODE_INTERNAL, "gc.valid: %zu are more than %d",
				 from->count, (int)LIMIT_VALID);
	podport__wire__gc__init(to);
	to->network = put_text(from->network);
	if (from->has_after) {
		put_endpoint(&wire->after, &from->after);
		to->after = &wire->after;
	}
	for (size_t i = 0; i < from->count; i++) {
		put_endpoint(&wire->valid[i], &from->valid[i]);
		wire->valid_pointers[i] = &wire->valid[i];
	}
	to->valid = wire->valid_pointers;
	to->n_valid = from->count;
	to->more = from->more;
	return 0;
}

int put_gc_reply(struct gc_reply_wire *wire, const struct gc_reply *from, struct error *err)
{
	Podport__Wire__GcReply *to = &wire->message;

	if (from->failure_count > LIMIT_FAILURES)
		return error_set(err, EMSGSIZE, CODE_INTERNAL, "gc.failures: %zu are more than %d",
				 from->failure_count, (int)LIMIT_FAILURES);
	podport__wire__gc_reply__init(to);
	to->released = from->released;
	for (size_t i = 0; i < from->failure_count; i++) {
		Podport__Wire__GcFailure *failure = &wire->failures[i];

		podport__wire__gc_failure__init(failure);
		put_key(&wire->keys[i], &from->failures[i].key);
		failure->key = &wire->keys[i];
		failure->code = from->failures[i].code;
		failure->message = put_text(from->failures[i].message);
		wire->failure_pointers[i] = failure;
	}
	to->failures = wire->failure_pointers;
	to->n_failures = from->failure_count;
	if (from->has_next) {
		put_endpoint(&wire->next, &from->next);
		to->next = &wire->next;
	}
	return 0;
}
