// SPDX-License-Identifier: BSD-3-Clause
//
// Bytes in, bytes out: the gates in their order, with the allocator that bounds what protobuf-c may
// use. The single messages are in codec_request.c and codec_reply.c.

#include "proto/codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/codec_private.h"

enum {
	// Heap for one unpacked message. The largest valid one (a page of attachments with all
	// their mapped ports, strings at their limits) takes less than half (codec_memory_test.c).
	UNPACK_BYTES_MAX = 6 * LIMIT_MESSAGE_BYTES,
	BODY_FIELD_FIRST = 10, // of the oneofs in Request and Reply
};

struct budget {
	size_t left;
};

static void *budget_alloc(void *arg, size_t size)
{
	struct budget *budget = arg;

	if (size > budget->left)
		return NULL;
	budget->left -= size;
	return malloc(size);
}

static void budget_free(void *arg, void *pointer)
{
	free(pointer);
}

static int unpack(const ProtobufCMessageDescriptor *descriptor, const void *data, size_t size,
		  ProtobufCAllocator *allocator, ProtobufCMessage **ret_message, struct error *err)
{
	if (size > LIMIT_MESSAGE_BYTES)
		return error_set(err, EMSGSIZE, CODE_BAD_REQUEST,
				 "message: %zu bytes are more than %d", size,
				 (int)LIMIT_MESSAGE_BYTES);
	int r = scan_message(descriptor, data, size, err);
	if (r < 0)
		return r;
	// What passed the scan can only fail for want of memory.
	*ret_message = protobuf_c_message_unpack(descriptor, allocator, size, data);
	if (*ret_message == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL,
				 "message: out of memory unpacking %zu bytes", size);
	return 0;
}

int codec_decode_request(const void *data, size_t size, struct request *ret_request,
			 struct error *err)
{
	struct budget budget = {UNPACK_BYTES_MAX};
	ProtobufCAllocator allocator = {budget_alloc, budget_free, &budget};
	ProtobufCMessage *message;
	int r = unpack(&podport__wire__request__descriptor, data, size, &allocator, &message, err);

	if (r < 0)
		return r;
	r = decode_request((const Podport__Wire__Request *)message, ret_request, err);
	protobuf_c_message_free_unpacked(message, &allocator);
	return r;
}

int codec_decode_reply(const void *data, size_t size, struct reply *ret_reply, struct error *err)
{
	struct budget budget = {UNPACK_BYTES_MAX};
	ProtobufCAllocator allocator = {budget_alloc, budget_free, &budget};
	ProtobufCMessage *message;
	int r = unpack(&podport__wire__reply__descriptor, data, size, &allocator, &message, err);

	if (r < 0)
		return r;
	r = decode_reply((const Podport__Wire__Reply *)message, ret_reply, err);
	protobuf_c_message_free_unpacked(message, &allocator);
	return r;
}

int bad_body(const ProtobufCMessage *message, struct error *err)
{
	for (unsigned int i = 0; i < message->n_unknown_fields; i++)
		if (message->unknown_fields[i].tag >= BODY_FIELD_FIRST)
			return bad_field(err, CODE_UNSUPPORTED, NULL, "call",
					 "number %u is not known to podport %s",
					 message->unknown_fields[i].tag, PODPORT_VERSION);
	return bad_field(err, CODE_BAD_REQUEST, NULL, "body", "missing");
}

int pack_message(const ProtobufCMessage *message, const char *what, struct encoded *ret_encoded,
		 struct error *err)
{
	size_t size = protobuf_c_message_get_packed_size(message);

	if (size > LIMIT_MESSAGE_BYTES)
		return error_set(err, EMSGSIZE, CODE_INTERNAL, "%s: %zu bytes are more than %d",
				 what, size, (int)LIMIT_MESSAGE_BYTES);
	uint8_t *data = malloc(size > 0 ? size : 1);
	if (data == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "%s: out of memory", what);
	protobuf_c_message_pack(message, data);
	ret_encoded->data = data;
	ret_encoded->size = size;
	return 0;
}

void encoded_clear(struct encoded *encoded)
{
	free(encoded->data);
	*encoded = (struct encoded){0};
}
