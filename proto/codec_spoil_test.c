// SPDX-License-Identifier: BSD-3-Clause
//
// Every field of every message, spoiled: what is refused is refused with the path of that field. The
// walk follows the schema, so a new field is spoiled without being listed here.

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "podport.pb-c.h"
#include "proto/codec.h"
#include "proto/test_samples.h"

static struct encoded encode_request(const struct request *request)
{
	struct encoded encoded = {0};
	struct error err = {0};

	if (codec_encode_request(request, &encoded, &err) < 0)
		fail_msg("%s: %s", call_name(request->call), err.message);
	return encoded;
}

static struct encoded encode_reply(const struct reply *reply)
{
	struct encoded encoded = {0};
	struct error err = {0};

	if (codec_encode_reply(reply, &encoded, &err) < 0)
		fail_msg("%s: %s", call_name(reply->call), err.message);
	return encoded;
}

static const void *member(const ProtobufCMessage *message, size_t offset)
{
	return (const char *)message + offset;
}

static bool is_unset(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	const void *value = member(message, field->offset);

	if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
	    *(const uint32_t *)member(message, field->quantifier_offset) != field->id)
		return true;
	switch (field->type) {
	case PROTOBUF_C_TYPE_UINT32:
		return *(const uint32_t *)value == 0;
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		return *(const uint64_t *)value == 0;
	case PROTOBUF_C_TYPE_BOOL:
		return !*(const protobuf_c_boolean *)value;
	case PROTOBUF_C_TYPE_STRING:
		return (*(char *const *)value)[0] == '\0';
	case PROTOBUF_C_TYPE_BYTES:
		return ((const ProtobufCBinaryData *)value)->len == 0;
	default:
		return *(ProtobufCMessage *const *)value == NULL;
	}
}

// ---- every field, spoiled ------------------------------------------------------------------------
//
// Take a valid message apart, spoil one field, put it together again: refused or not, if it is
// refused then with the path of that field.

struct spoiler {
	const ProtobufCMessageDescriptor *type;
	ProtobufCMessage *root;
	bool is_request;
	size_t refused;
};

static int decode_any(bool is_request, const uint8_t *data, size_t size, struct error *err)
{
	struct request request;
	struct reply reply;
	int r;

	if (is_request)
		return codec_decode_request(data, size, &request, err);
	r = codec_decode_reply(data, size, &reply, err);
	if (r == 0)
		reply_clear(&reply);
	return r;
}

// Returns true if the message as it is now is refused.
static bool is_refused(struct spoiler *spoiler, const char *path)
{
	size_t size = protobuf_c_message_get_packed_size(spoiler->root);
	uint8_t *data = malloc(size > 0 ? size : 1);
	struct error err = {0};
	size_t length = strlen(path);

	protobuf_c_message_pack(spoiler->root, data);
	int r = decode_any(spoiler->is_request, data, size, &err);
	free(data);
	if (r == 0)
		return false;
	assert_int_equal(r, -EBADMSG);
	// "key" missing is told as "attach.key: missing", so the path must be whole.
	if (strncmp(err.message, path, length) != 0 ||
	    (err.message[length] != ':' && err.message[length] != '.'))
		fail_msg("spoiled %s, but told \"%s\"", path, err.message);
	spoiler->refused++;
	return true;
}

static void spoil_text(struct spoiler *spoiler, char **text, const char *path)
{
	static const char *const bad[] = {"bad\xff",    "cut\xe2\x82", "\xc0\x80",
					  "line\nline", "\x1b[2J",     "\xed\xa0\x80"};
	char long_text[LIMIT_TEXT + 2];
	char *good = *text;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		*text = (char *)(uintptr_t)bad[i];
		if (!is_refused(spoiler, path))
			fail_msg("%s was let through with bad text %zu", path, i);
	}
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	*text = long_text;
	if (!is_refused(spoiler, path))
		fail_msg("%s was let through with %zu bytes", path, strlen(long_text));
	// One more than the sample, which is as long as may be.
	long_text[strlen(good) + 1] = '\0';
	if (!is_refused(spoiler, path))
		fail_msg("%s was let through with %zu bytes", path, strlen(long_text));
	*text = good;
}

static void spoil_bytes(struct spoiler *spoiler, ProtobufCBinaryData *bytes, const char *path)
{
	uint8_t garbage[32];
	ProtobufCBinaryData good = *bytes;

	memset(garbage, 0x12, sizeof(garbage));
	bytes->data = garbage;
	for (bytes->len = 1; bytes->len <= sizeof(garbage); bytes->len++)
		if (bytes->len != good.len && !is_refused(spoiler, path))
			fail_msg("%s was let through with %zu bytes", path, bytes->len);
	memset(garbage, 0, sizeof(garbage));
	bytes->len = good.len;
	if (!is_refused(spoiler, path))
		fail_msg("%s was let through all zero", path);
	*bytes = good;
}

static void spoil_fields(struct spoiler *spoiler, ProtobufCMessage *message, const char *path);

static void spoil_message(struct spoiler *spoiler, ProtobufCMessage **message, const char *path)
{
	ProtobufCMessage *good = *message;

	*message = NULL;
	is_refused(spoiler, path); // may be let through: some may be absent
	*message = good;
	spoil_fields(spoiler, good, path);
}

static void spoil_field(struct spoiler *spoiler, ProtobufCMessage *message,
			const ProtobufCFieldDescriptor *field, const char *path)
{
	char *value = (char *)message + field->offset;

	switch (field->type) {
	case PROTOBUF_C_TYPE_STRING:
		spoil_text(spoiler, (char **)(void *)value, path);
		break;
	case PROTOBUF_C_TYPE_BYTES:
		// Of a frame any bytes are good, of a filter any that are whole instructions.
		if (strcmp(field->name, "frame") != 0 && strcmp(field->name, "filter") != 0)
			spoil_bytes(spoiler, (ProtobufCBinaryData *)(void *)value, path);
		break;
	case PROTOBUF_C_TYPE_MESSAGE:
		spoil_message(spoiler, (ProtobufCMessage **)(void *)value, path);
		break;
	default:
		break;
	}
}

static void spoil_fields(struct spoiler *spoiler, ProtobufCMessage *message, const char *path)
{
	for (unsigned int i = 0; i < message->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
		char name[256];

		if (field->label == PROTOBUF_C_LABEL_REPEATED) {
			ProtobufCMessage **items =
				*(ProtobufCMessage ***)(void *)((char *)message + field->offset);
			size_t count = *(const size_t *)member(message, field->quantifier_offset);

			assert_true(count > 0);
			snprintf(name, sizeof(name), "%s.%s[%zu]", path, field->name, count - 1);
			spoil_fields(spoiler, items[count - 1], name);
		} else if (!is_unset(message, field)) {
			snprintf(name, sizeof(name), "%s%s%s", path, path[0] != '\0' ? "." : "",
				 field->name);
			// Without its body a message is a different matter.
			if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0)
				spoil_fields(spoiler,
					     *(ProtobufCMessage **)(void *)((char *)message +
									    field->offset),
					     name);
			else
				spoil_field(spoiler, message, field, name);
		}
	}
}

static void spoil(bool is_request, struct encoded *encoded)
{
	struct spoiler spoiler = {.is_request = is_request};

	spoiler.type = is_request ? &podport__wire__request__descriptor
				  : &podport__wire__reply__descriptor;
	spoiler.root = protobuf_c_message_unpack(spoiler.type, NULL, encoded->size, encoded->data);
	assert_non_null(spoiler.root);
	spoil_fields(&spoiler, spoiler.root, "");
	assert_true(spoiler.refused > 0);
	protobuf_c_message_free_unpacked(spoiler.root, NULL);
	encoded_clear(encoded);
}

static void every_spoiled_field_is_named(void **state)
{
	struct encoded encoded;

	for (enum call call = CALL_HELLO; call < CALL_COUNT; call++) {
		struct request request;
		struct reply reply;

		sample_request(call, SAMPLE_LARGEST, &request);
		encoded = encode_request(&request);
		spoil(true, &encoded);
		sample_reply(call, SAMPLE_LARGEST, &reply);
		if (call == CALL_LIST) // one is like the other, and the sum would be too large
			reply.body.list.count = 2;
		if (call == CALL_LIST_PORTS)
			reply.body.ports.count = 2;
		if (call == CALL_LIST_FLOWS)
			reply.body.flows.count = 2;
		if (call == CALL_LIST_NEIGHBOURS)
			reply.body.neighbours.count = 2;
		if (call == CALL_LIST_CONNECTIONS)
			reply.body.connections.count = 2;
		if (call == CALL_READ_WATCH)
			reply.body.read_watch.page->count = 2;
		if (call == CALL_GET_OFFLOAD)
			reply.body.offload.count = 2;
		encoded = encode_reply(&reply);
		spoil(false, &encoded);
		reply_clear(&reply);
	}
}

static void a_gateway_without_an_address_is_refused(void **state)
{
	Podport__Wire__Attachment *attachment;
	Podport__Wire__Reply *message;
	struct encoded encoded;
	struct reply reply;

	sample_reply(CALL_ATTACH, SAMPLE_TYPICAL, &reply);
	encoded = encode_reply(&reply);
	message = podport__wire__reply__unpack(NULL, encoded.size, encoded.data);
	attachment = message->attach->attachment;
	struct spoiler spoiler = {.root = &message->base};

	size_t length = attachment->ipv4.len;
	attachment->ipv4.len = 0;
	assert_true(is_refused(&spoiler, "attach.attachment.gateway_ipv4"));
	attachment->ipv4.len = length;
	length = attachment->ipv6.len;
	attachment->ipv6.len = 0;
	assert_true(is_refused(&spoiler, "attach.attachment.gateway_ipv6"));
	attachment->ipv6.len = length;
	podport__wire__reply__free_unpacked(message, NULL);
	encoded_clear(&encoded);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_spoiled_field_is_named),
		cmocka_unit_test(a_gateway_without_an_address_is_refused),
	};

	return cmocka_run_group_tests_name("codec, spoiled fields", tests, NULL, NULL);
}
