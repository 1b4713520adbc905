// SPDX-License-Identifier: BSD-3-Clause
//
// The parts of requests and replies that are about looking at packets. Both ways.

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/codec_private.h"

enum { INSTRUCTION_BYTES = 8 };

// ---- requests ------------------------------------------------------------------------------------

static int decode_filter(ProtobufCBinaryData from, const struct where *at, struct watch_request *to,
			 struct error *err)
{
	if (from.len % INSTRUCTION_BYTES != 0)
		return bad_field(err, CODE_BAD_REQUEST, at, "filter",
				 "%zu bytes are no whole instructions", from.len);
	if (from.len > LIMIT_FILTER * INSTRUCTION_BYTES)
		return bad_field(err, CODE_BAD_REQUEST, at, "filter",
				 "%zu instructions are more than %d", from.len / INSTRUCTION_BYTES,
				 (int)LIMIT_FILTER);
	to->filter_size = (uint32_t)(from.len / INSTRUCTION_BYTES);
	for (uint32_t i = 0; i < to->filter_size; i++) {
		const uint8_t *p = from.data + (size_t)i * INSTRUCTION_BYTES;

		to->filter[i] = (struct filter_instruction){
			.code = (uint16_t)(p[0] << 8 | p[1]),
			.jump_true = p[2],
			.jump_false = p[3],
			.value = (uint32_t)p[4] << 24 | (uint32_t)p[5] << 16 | (uint32_t)p[6] << 8 |
				 p[7],
		};
	}
	return 0;
}

int decode_watch(const Podport__Wire__Watch *from, const struct where *at,
		 struct watch_request *ret_watch, struct error *err)
{
	struct watch_request *to = ret_watch;
	int r;

	if ((r = decode_key(from->key, &WHERE(at, "key"), &to->key, err)) < 0 ||
	    (r = take_range(from->frame_bytes, 0, LIMIT_FRAME, at, "frame_bytes", err)) < 0 ||
	    (r = take_range(from->packets, 1, UINT64_MAX, at, "packets", err)) < 0 ||
	    (r = take_range(from->bytes, 1, UINT64_MAX, at, "bytes", err)) < 0 ||
	    (r = take_range(from->seconds, 1, WATCH_SECONDS_MAX, at, "seconds", err)) < 0 ||
	    (r = decode_filter(from->filter, at, to, err)) < 0)
		return r;
	to->path = from->path;
	to->withdraw = from->withdraw;
	to->frame_bytes = from->frame_bytes;
	to->packets = from->packets;
	to->bytes = from->bytes;
	to->seconds = from->seconds;
	return 0;
}

int put_watch(struct watch_wire *wire, const struct watch_request *from, struct error *err)
{
	Podport__Wire__Watch *to = &wire->message;

	if (from->filter_size > LIMIT_FILTER)
		return error_set(err, EMSGSIZE, CODE_INTERNAL, "filter: %u are more than %d",
				 from->filter_size, (int)LIMIT_FILTER);
	podport__wire__watch__init(to);
	put_key(&wire->key, &from->key);
	to->key = &wire->key;
	to->path = from->path;
	to->withdraw = from->withdraw;
	to->frame_bytes = from->frame_bytes;
	to->packets = from->packets;
	to->bytes = from->bytes;
	to->seconds = from->seconds;
	for (uint32_t i = 0; i < from->filter_size; i++) {
		const struct filter_instruction *instruction = &from->filter[i];
		uint8_t *p = wire->filter + (size_t)i * INSTRUCTION_BYTES;

		p[0] = (uint8_t)(instruction->code >> 8);
		p[1] = (uint8_t)instruction->code;
		p[2] = instruction->jump_true;
		p[3] = instruction->jump_false;
		for (int byte = 0; byte < 4; byte++)
			p[4 + byte] = (uint8_t)(instruction->value >> (24 - 8 * byte));
	}
	to->filter = put_bytes(from->filter_size > 0, wire->filter,
			       (size_t)from->filter_size * INSTRUCTION_BYTES);
	return 0;
}

int decode_read_watch(const Podport__Wire__ReadWatch *from, const struct where *at,
		      struct read_watch_request *ret_read, struct error *err)
{
	if (from->id == 0)
		return bad_field(err, CODE_BAD_REQUEST, at, "id", "is 0");
	*ret_read =
		(struct read_watch_request){.id = from->id, .after = from->after, .end = from->end};
	return 0;
}

void put_read_watch(Podport__Wire__ReadWatch *to, const struct read_watch_request *from)
{
	podport__wire__read_watch__init(to);
	to->id = from->id;
	to->after = from->after;
	to->end = from->end;
}

// ---- replies -------------------------------------------------------------------------------------

int decode_watch_reply(const Podport__Wire__WatchReply *from, const struct where *at,
		       struct watch_reply *ret_watch, struct error *err)
{
	if (from->id == 0)
		return bad_field(err, CODE_BAD_REQUEST, at, "id", "is 0");
	ret_watch->id = from->id;
	ret_watch->withdrawn = from->withdrawn;
	return take_text(from->port, at, "port", LIMIT_ID, ret_watch->port, err);
}

void put_watch_reply(Podport__Wire__WatchReply *to, const struct watch_reply *from)
{
	podport__wire__watch_reply__init(to);
	to->id = from->id;
	to->port = put_text(from->port);
	to->withdrawn = from->withdrawn;
}

static int decode_steps(const Podport__Wire__WatchPacket *from, const struct where *at,
			struct watch_packet *to, struct watch_page *page, struct error *err)
{
	int r = 0;

	if (page->step_count + from->n_steps > LIMIT_WATCH_STEPS)
		return bad_field(err, CODE_BAD_REQUEST, at, "steps", "more than %d in one reply",
				 (int)LIMIT_WATCH_STEPS);
	to->first_step = (uint32_t)page->step_count;
	to->step_count = (uint32_t)from->n_steps;
	for (size_t i = 0; r == 0 && i < from->n_steps; i++) {
		struct watch_step *step = &page->steps[page->step_count++];
		const struct where here = WHERE_ITEM(at, "steps", i);

		r = take_text(from->steps[i]->node, &here, "node", LIMIT_ID, step->node, err);
		if (r == 0)
			r = take_text(from->steps[i]->text, &here, "text", LIMIT_STEP_TEXT,
				      step->text, err);
	}
	return r;
}

static int decode_packet(const Podport__Wire__WatchPacket *from, const struct where *at,
			 struct watch_packet *to, struct watch_page *page, struct error *err)
{
	int r;

	// 0 asks from the start: a packet of that number would be told for ever.
	if (from->number == 0)
		return bad_field(err, CODE_BAD_REQUEST, at, "number", "is 0");
	if (from->frame.len > LIMIT_WATCH_BYTES - page->byte_count)
		return bad_field(err, CODE_BAD_REQUEST, at, "frame",
				 "more than %d bytes in one reply", (int)LIMIT_WATCH_BYTES);
	if (from->frame.len > from->length)
		return bad_field(err, CODE_BAD_REQUEST, at, "frame", "%zu bytes of %u",
				 from->frame.len, from->length);
	if ((r = take_text(from->drop, at, "drop", LIMIT_ID, to->drop, err)) < 0 ||
	    (r = take_text(from->summary, at, "summary", LIMIT_STEP_TEXT, to->summary, err)) < 0 ||
	    (r = decode_steps(from, at, to, page, err)) < 0)
		return r;
	to->number = from->number;
	to->unix_ns = from->unix_ns;
	to->to_pod = from->to_pod;
	to->length = from->length;
	to->first_byte = (uint32_t)page->byte_count;
	to->byte_count = (uint32_t)from->frame.len;
	if (from->frame.len > 0)
		memcpy(page->bytes + page->byte_count, from->frame.data, from->frame.len);
	page->byte_count += from->frame.len;
	return 0;
}

int decode_read_watch_reply(const Podport__Wire__ReadWatchReply *from, const struct where *at,
			    struct read_watch_reply *ret_read, struct error *err)
{
	struct watch_page *page;
	int r = take_text(from->reason, at, "reason", LIMIT_TEXT, ret_read->reason, err);

	if (r < 0)
		return r;
	ret_read->more = from->more;
	ret_read->taken = from->taken;
	ret_read->lost = from->lost;
	ret_read->offloaded = from->offloaded;
	ret_read->ended = from->ended;
	if (from->n_packets == 0)
		return 0;
	page = calloc(1, sizeof(*page));
	if (page == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "watch: out of memory");
	for (; r == 0 && page->count < from->n_packets; page->count++)
		r = decode_packet(from->packets[page->count],
				  &WHERE_ITEM(at, "packets", page->count),
				  &page->packets[page->count], page, err);
	if (r < 0)
		free(page);
	else
		ret_read->page = page;
	return r;
}

static void put_packet(struct watch_page_wire *wire, size_t index, const struct watch_page *from)
{
	const struct watch_packet *packet = &from->packets[index];
	Podport__Wire__WatchPacket *to = &wire->packets[index];

	podport__wire__watch_packet__init(to);
	to->number = packet->number;
	to->unix_ns = packet->unix_ns;
	to->to_pod = packet->to_pod;
	to->length = packet->length;
	to->frame = put_bytes(packet->byte_count > 0, from->bytes + packet->first_byte,
			      packet->byte_count);
	to->drop = put_text(packet->drop);
	to->summary = put_text(packet->summary);
	to->n_steps = packet->step_count;
	to->steps = &wire->step_pointers[packet->first_step];
	wire->packet_pointers[index] = to;
}

int put_read_watch_reply(Podport__Wire__ReadWatchReply *to, struct watch_page_wire *wire,
			 const struct read_watch_reply *from, struct error *err)
{
	const struct watch_page *page = from->page;

	podport__wire__read_watch_reply__init(to);
	to->more = from->more;
	to->taken = from->taken;
	to->lost = from->lost;
	to->offloaded = from->offloaded;
	to->ended = from->ended;
	to->reason = put_text(from->reason);
	if (page == NULL)
		return 0;
	if (page->count > LIMIT_WATCH_PAGE || page->step_count > LIMIT_WATCH_STEPS)
		return error_set(err, EMSGSIZE, CODE_INTERNAL,
				 "watch: %zu packets with %zu steps are more than %d with %d",
				 page->count, page->step_count, (int)LIMIT_WATCH_PAGE,
				 (int)LIMIT_WATCH_STEPS);
	for (size_t i = 0; i < page->step_count; i++) {
		podport__wire__watch_step__init(&wire->steps[i]);
		wire->steps[i].node = put_text(page->steps[i].node);
		wire->steps[i].text = put_text(page->steps[i].text);
		wire->step_pointers[i] = &wire->steps[i];
	}
	for (size_t i = 0; i < page->count; i++)
		put_packet(wire, i, page);
	to->packets = wire->packet_pointers;
	to->n_packets = page->count;
	return 0;
}
