// SPDX-License-Identifier: BSD-3-Clause
//
// The first gate: walks the bytes of a message along protobuf-c's descriptors, before anything is
// allocated. Depth is bounded by the schema, which has no recursive type; work by the size.
//
// Wire format: https://protobuf.dev/programming-guides/encoding/. Stricter than the specification
// in one point: a field that is not repeated, or a second member of a oneof, may not occur twice.
// No encoder writes that; what it means is up to the decoder, and so is nothing to act on.

#include <errno.h>
#include <string.h>

#include "proto/base/text.h"
#include "proto/codec_private.h"

enum {
	FIELDS_MAX = 32,       // in one message type of ours
	UNKNOWN_MAX = 128,     // fields of a newer peer in one message; protobuf-c keeps them all
	TAG_BYTES_MAX = 5,     // as protobuf-c
	LENGTH_BYTES_MAX = 5,  // as protobuf-c
	VARINT_BYTES_MAX = 10, // 64 bits
};

enum wire_type { WIRE_VARINT = 0, WIRE_64BIT = 1, WIRE_LENGTH = 2, WIRE_32BIT = 5 };

struct cursor {
	const uint8_t *data;
	size_t size;
};

static bool read_varint(struct cursor *cursor, size_t bytes_max, uint64_t *ret_value)
{
	uint64_t value = 0;

	for (size_t i = 0; i < bytes_max && i < cursor->size; i++) {
		uint8_t byte = cursor->data[i];

		if (i == VARINT_BYTES_MAX - 1 && byte > 1)
			return false; // more than 64 bits
		value |= (uint64_t)(byte & 0x7f) << (7 * i);
		if ((byte & 0x80) == 0) {
			cursor->data += i + 1;
			cursor->size -= i + 1;
			*ret_value = value;
			return true;
		}
	}
	return false;
}

static bool skip(struct cursor *cursor, size_t size)
{
	if (size > cursor->size)
		return false;
	cursor->data += size;
	cursor->size -= size;
	return true;
}

// The types the schema uses; another one is a new use that this function must be taught.
static bool wire_type_of(ProtobufCType type, enum wire_type *ret_wire_type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_BOOL:
		*ret_wire_type = WIRE_VARINT;
		return true;
	case PROTOBUF_C_TYPE_FIXED64:
		*ret_wire_type = WIRE_64BIT;
		return true;
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_BYTES:
	case PROTOBUF_C_TYPE_MESSAGE:
		*ret_wire_type = WIRE_LENGTH;
		return true;
	default:
		return false;
	}
}

static unsigned int repeated_limit(const ProtobufCFieldDescriptor *field)
{
	if (field->descriptor == &podport__wire__attachment__descriptor)
		return LIMIT_PAGE;
	if (field->descriptor == &podport__wire__port__descriptor)
		return LIMIT_PORTS_PAGE;
	if (field->descriptor == &podport__wire__drop__descriptor)
		return LIMIT_DROPS;
	if (field->descriptor == &podport__wire__flow__descriptor)
		return LIMIT_FLOWS_PAGE;
	if (field->descriptor == &podport__wire__neighbour__descriptor)
		return LIMIT_NEIGHBOURS_PAGE;
	if (field->descriptor == &podport__wire__connection__descriptor)
		return LIMIT_CONNECTIONS_PAGE;
	if (field->descriptor == &podport__wire__capability__descriptor)
		return LIMIT_CAPABILITIES;
	if (field->descriptor == &podport__wire__endpoint__descriptor)
		return LIMIT_VALID;
	if (field->descriptor == &podport__wire__watch_packet__descriptor)
		return LIMIT_WATCH_PAGE;
	if (field->descriptor == &podport__wire__watch_step__descriptor)
		return LIMIT_STEPS;
	if (field->descriptor == &podport__wire__gc_failure__descriptor)
		return LIMIT_FAILURES;
	if (field->descriptor == &podport__wire__port_mapping__descriptor)
		return LIMIT_PORT_MAPPINGS;
	return 0; // a new one; nothing passes until its limit is named here
}

// What one message has shown so far.
struct seen {
	unsigned int counts[FIELDS_MAX];
	bool oneof;
};

static int count_field(struct seen *seen, unsigned int index, const ProtobufCFieldDescriptor *field,
		       const struct where *at, struct error *err)
{
	unsigned int limit = field->label == PROTOBUF_C_LABEL_REPEATED ? repeated_limit(field) : 1;

	if (++seen->counts[index] > limit) {
		if (field->label == PROTOBUF_C_LABEL_REPEATED)
			return bad_field(err, CODE_BAD_REQUEST, at, field->name,
					 "more than %u of them", limit);
		return bad_field(err, CODE_BAD_REQUEST, at, field->name, "given twice");
	}
	if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
		if (seen->oneof)
			return bad_field(err, CODE_BAD_REQUEST, at, field->name,
					 "a message can have one body only");
		seen->oneof = true;
	}
	return 0;
}

static int scan(const ProtobufCMessageDescriptor *descriptor, struct cursor cursor,
		const struct where *at, unsigned int *unknown, struct error *err);

static int scan_length(const ProtobufCFieldDescriptor *field, struct cursor value,
		       const struct where *at, unsigned int *unknown, struct error *err)
{
	const char *text = (const char *)value.data;

	switch (field->type) {
	case PROTOBUF_C_TYPE_MESSAGE:
		return scan(field->descriptor, value, at, unknown, err);
	case PROTOBUF_C_TYPE_STRING:
		if (memchr(text, '\0', value.size) != NULL)
			return bad_field(err, CODE_BAD_REQUEST, at, NULL,
					 "contains a NUL character");
		if (!text_is_utf8(text, value.size))
			return bad_field(err, CODE_BAD_REQUEST, at, NULL, "is not UTF-8");
		return 0;
	default:
		return 0;
	}
}

// The value after a tag. field: NULL if the tag is not known.
static int scan_value(const ProtobufCFieldDescriptor *field, unsigned int wire_type,
		      struct cursor *cursor, const struct where *at, unsigned int *unknown,
		      struct error *err)
{
	struct cursor value;
	uint64_t number;

	switch (wire_type) {
	case WIRE_VARINT:
		if (!read_varint(cursor, VARINT_BYTES_MAX, &number))
			return bad_field(err, CODE_BAD_REQUEST, at, NULL, "number cut or too long");
		if (field != NULL && field->type == PROTOBUF_C_TYPE_UINT32 && number > UINT32_MAX)
			return bad_field(err, CODE_BAD_REQUEST, at, NULL,
					 "number of more than 32 bits");
		return 0;
	case WIRE_64BIT:
		if (!skip(cursor, 8))
			return bad_field(err, CODE_BAD_REQUEST, at, NULL, "number cut");
		return 0;
	case WIRE_32BIT:
		if (!skip(cursor, 4))
			return bad_field(err, CODE_BAD_REQUEST, at, NULL, "number cut");
		return 0;
	case WIRE_LENGTH:
		if (!read_varint(cursor, LENGTH_BYTES_MAX, &number))
			return bad_field(err, CODE_BAD_REQUEST, at, NULL, "length cut or too long");
		value.data = cursor->data;
		value.size = (size_t)number;
		if (!skip(cursor, value.size))
			return bad_field(err, CODE_BAD_REQUEST, at, NULL,
					 "says it has %zu bytes where only %zu are left",
					 value.size, cursor->size);
		return field != NULL ? scan_length(field, value, at, unknown, err) : 0;
	default:
		return bad_field(err, CODE_BAD_REQUEST, at, NULL, "unknown wire type %u",
				 wire_type);
	}
}

static const ProtobufCFieldDescriptor *find_field(const ProtobufCMessageDescriptor *descriptor,
						  uint64_t number, unsigned int *ret_index)
{
	for (unsigned int i = 0; i < descriptor->n_fields; i++)
		if (descriptor->fields[i].id == number) {
			*ret_index = i;
			return &descriptor->fields[i];
		}
	return NULL;
}

static int scan(const ProtobufCMessageDescriptor *descriptor, struct cursor cursor,
		const struct where *at, unsigned int *unknown, struct error *err)
{
	struct seen seen = {0};

	if (descriptor->n_fields > FIELDS_MAX)
		return error_set(err, EBADMSG, CODE_INTERNAL, "FIELDS_MAX is too small for %s",
				 descriptor->name);
	while (cursor.size > 0) {
		unsigned int index = 0;
		uint64_t tag;
		int r;

		if (!read_varint(&cursor, TAG_BYTES_MAX, &tag) || tag >> 3 == 0 || tag > UINT32_MAX)
			return bad_field(err, CODE_BAD_REQUEST, at, NULL,
					 "field tag cut or not valid");

		const ProtobufCFieldDescriptor *field = find_field(descriptor, tag >> 3, &index);
		struct where here = WHERE(at, field != NULL ? field->name : "unknown field");
		enum wire_type expected;

		if (field == NULL) {
			if (++*unknown > UNKNOWN_MAX)
				return bad_field(err, CODE_BAD_REQUEST, at, NULL,
						 "more than %d fields that are not known",
						 (int)UNKNOWN_MAX);
		} else {
			if (!wire_type_of(field->type, &expected) || expected != (tag & 7))
				return bad_field(err, CODE_BAD_REQUEST, &here, NULL,
						 "has wire type %u", (unsigned int)(tag & 7));
			r = count_field(&seen, index, field, at, err);
			if (r < 0)
				return r;
			if (field->label == PROTOBUF_C_LABEL_REPEATED)
				here.index = (int)seen.counts[index] - 1;
		}
		r = scan_value(field, (unsigned int)(tag & 7), &cursor, &here, unknown, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int scan_message(const ProtobufCMessageDescriptor *descriptor, const uint8_t *data, size_t size,
		 struct error *err)
{
	unsigned int unknown = 0;

	return scan(descriptor, (struct cursor){data, size}, &WHERE_ROOT, &unknown, err);
}
