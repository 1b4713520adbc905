// SPDX-License-Identifier: BSD-3-Clause
//
// The parts of replies that tell of the e-switch: how far it forwards, its rules, what it can do.
// Both ways.

#include <errno.h>
#include <stdlib.h>

#include "proto/codec_private.h"

// ---- out of a message ----------------------------------------------------------------------------

int decode_attachment_offload(const Podport__Wire__AttachmentOffload *from, const struct where *at,
			      struct attachment_offload *ret_offload, struct error *err)
{
	int r = take_text(from->state, at, "state", LIMIT_ID, ret_offload->state, err);

	if (r < 0)
		return r;
	return take_text(from->reason, at, "reason", LIMIT_TEXT, ret_offload->reason, err);
}

int decode_offload_summary(const Podport__Wire__OffloadSummary *from, const struct where *at,
			   struct offload_info *ret_info, struct error *err)
{
	struct offload_info *to = ret_info;
	int r;

	if (from == NULL)
		return bad_field(err, CODE_BAD_REQUEST, at, NULL, "missing");
	if ((r = take_text(from->why_not, at, "why_not", LIMIT_TEXT, to->why_not, err)) < 0 ||
	    (r = take_text(from->api, at, "api", LIMIT_ID, to->api, err)) < 0 ||
	    (r = take_text(from->missing_reason, at, "missing_reason", LIMIT_TEXT,
			   to->missing_reason, err)) < 0)
		return r;
	to->enabled = from->enabled;
	to->usable = from->usable;
	to->rules = from->rules;
	to->rules_missing = from->rules_missing;
	to->pods_full = from->pods_full;
	to->pods_partial = from->pods_partial;
	to->pods_none = from->pods_none;
	to->inserted = from->inserted;
	to->removed = from->removed;
	to->failed = from->failed;
	return 0;
}

static int decode_flow(const Podport__Wire__Flow *from, const struct where *at,
		       struct flow_info *to, struct error *err)
{
	int r;

	// 0 asks for a list from its start: a rule of that ID would be listed for ever.
	if (from->id == 0)
		return bad_field(err, CODE_BAD_REQUEST, at, "id", "is 0");
	if ((r = take_text(from->match, at, "match", LIMIT_TEXT, to->match, err)) < 0 ||
	    (r = take_text(from->actions, at, "actions", LIMIT_TEXT, to->actions, err)) < 0)
		return r;
	to->of_host = from->of_host;
	to->has_function = from->function != NULL;
	if (to->has_function &&
	    (r = decode_function(from->function, &WHERE(at, "function"), &to->function, err)) < 0)
		return r;
	to->has_key = from->key != NULL;
	if (to->has_key && (r = decode_key(from->key, &WHERE(at, "key"), &to->key, err)) < 0)
		return r;
	to->id = from->id;
	to->group = from->group;
	to->priority = from->priority;
	to->counted = from->counted;
	to->packets = from->packets;
	to->bytes = from->bytes;
	to->age_ms = from->age_ms;
	return 0;
}

int decode_flows(const Podport__Wire__ListFlowsReply *from, const struct where *at,
		 struct flows_reply *ret_flows, struct error *err)
{
	ret_flows->more = from->more;
	if (from->n_flows == 0)
		return 0;
	struct flow_info *flows = calloc(from->n_flows, sizeof(*flows));
	if (flows == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "flows: out of memory");
	for (size_t i = 0; i < from->n_flows; i++) {
		int r = decode_flow(from->flows[i], &WHERE_ITEM(at, "flows", i), &flows[i], err);

		if (r < 0) {
			free(flows);
			return r;
		}
	}
	ret_flows->flows = flows;
	ret_flows->count = from->n_flows;
	return 0;
}

static int decode_capability(const Podport__Wire__Capability *from, const struct where *at,
			     struct capability_info *to, struct error *err)
{
	int r = take_text(from->name, at, "name", LIMIT_ID, to->name, err);

	if (r < 0)
		return r;
	to->supported = from->supported;
	to->needed = from->needed;
	return take_text(from->remark, at, "remark", LIMIT_TEXT, to->remark, err);
}

int decode_offload(const Podport__Wire__GetOffloadReply *from, const struct where *at,
		   struct offload_reply *ret_offload, struct error *err)
{
	int r = decode_offload_summary(from->summary, &WHERE(at, "summary"), &ret_offload->summary,
				       err);

	if (r < 0 || from->n_capabilities == 0)
		return r;
	struct capability_info *capabilities = calloc(from->n_capabilities, sizeof(*capabilities));
	if (capabilities == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "offload: out of memory");
	for (size_t i = 0; i < from->n_capabilities; i++) {
		r = decode_capability(from->capabilities[i], &WHERE_ITEM(at, "capabilities", i),
				      &capabilities[i], err);
		if (r < 0) {
			free(capabilities);
			return r;
		}
	}
	ret_offload->capabilities = capabilities;
	ret_offload->count = from->n_capabilities;
	return 0;
}

// ---- into a message ------------------------------------------------------------------------------

void put_attachment_offload(Podport__Wire__AttachmentOffload *to,
			    const struct attachment_offload *from)
{
	podport__wire__attachment_offload__init(to);
	to->state = put_text(from->state);
	to->reason = put_text(from->reason);
}

void put_offload_summary(Podport__Wire__OffloadSummary *to, const struct offload_info *from)
{
	podport__wire__offload_summary__init(to);
	to->enabled = from->enabled;
	to->usable = from->usable;
	to->why_not = put_text(from->why_not);
	to->api = put_text(from->api);
	to->rules = from->rules;
	to->rules_missing = from->rules_missing;
	to->missing_reason = put_text(from->missing_reason);
	to->pods_full = from->pods_full;
	to->pods_partial = from->pods_partial;
	to->pods_none = from->pods_none;
	to->inserted = from->inserted;
	to->removed = from->removed;
	to->failed = from->failed;
}

void put_flow(struct flow_wire *wire, const struct flow_info *from)
{
	Podport__Wire__Flow *to = &wire->message;

	podport__wire__flow__init(to);
	to->id = from->id;
	to->group = from->group;
	to->priority = from->priority;
	to->match = put_text(from->match);
	to->actions = put_text(from->actions);
	to->counted = from->counted;
	to->packets = from->packets;
	to->bytes = from->bytes;
	to->age_ms = from->age_ms;
	to->of_host = from->of_host;
	if (from->has_function) {
		put_function(&wire->function, &from->function);
		to->function = &wire->function;
	}
	if (from->has_key) {
		put_key(&wire->key, &from->key);
		to->key = &wire->key;
	}
}

void put_capability(Podport__Wire__Capability *to, const struct capability_info *from)
{
	podport__wire__capability__init(to);
	to->name = put_text(from->name);
	to->supported = from->supported;
	to->needed = from->needed;
	to->remark = put_text(from->remark);
}
