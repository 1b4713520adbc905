// SPDX-License-Identifier: BSD-3-Clause
//
// Bytes that no codec of ours wrote: cut, corrupted, oversized, crafted and random. Each either
// decodes to something valid or is refused with a reason; the input lies in a block of exactly its
// size, so that a sanitizer sees every byte read past it.

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "podport.pb-c.h"
#include "proto/base/text.h"
#include "proto/codec.h"
#include "proto/test_samples.h"

// Decode a copy of the bytes. What comes out must encode again: it is within all limits.
static int decode(bool is_request, const void *data, size_t size, struct error *err)
{
	struct encoded again = {0};
	struct error why = {0};
	void *copy = malloc(size > 0 ? size : 1);
	int r;

	memset(err, 0, sizeof(*err));
	memcpy(copy, data, size);
	if (is_request) {
		struct request request;

		r = codec_decode_request(copy, size, &request, err);
		if (r == 0 && codec_encode_request(&request, &again, &why) < 0)
			fail_msg("decoded, but not encodable: %s", why.message);
	} else {
		struct reply reply;

		r = codec_decode_reply(copy, size, &reply, err);
		if (r == 0 && codec_encode_reply(&reply, &again, &why) < 0)
			fail_msg("decoded, but not encodable: %s", why.message);
		if (r == 0)
			reply_clear(&reply);
	}
	encoded_clear(&again);
	free(copy);
	if (r < 0) {
		assert_true(r == -EBADMSG || r == -EMSGSIZE);
		assert_true(err->code == CODE_BAD_REQUEST || err->code == CODE_UNSUPPORTED);
		assert_true(err->message[0] != '\0' && text_is_printable(err->message));
	}
	return r;
}

static struct encoded sample(bool is_request, enum call call, enum sample kind)
{
	struct encoded encoded = {0};
	struct request request;
	struct reply reply;
	struct error err;

	if (is_request) {
		sample_request(call, kind, &request);
		assert_int_equal(codec_encode_request(&request, &encoded, &err), 0);
	} else {
		sample_reply(call, kind, &reply);
		assert_int_equal(codec_encode_reply(&reply, &encoded, &err), 0);
		reply_clear(&reply);
	}
	return encoded;
}

// ---- cut, corrupted, oversized -------------------------------------------------------------------

static void a_message_cut_at_any_byte_does_no_harm(void **state)
{
	struct error err;

	for (int is_request = 0; is_request < 2; is_request++)
		for (enum call call = CALL_HELLO; call < CALL_COUNT; call++) {
			struct encoded whole = sample(is_request, call, SAMPLE_TYPICAL);
			size_t refused = 0;

			for (size_t size = 0; size < whole.size; size++)
				refused += decode(is_request, whole.data, size, &err) < 0;
			// Between two fields of the outermost message a cut is not visible.
			assert_true(refused > 0 && refused + 3 >= whole.size);
			encoded_clear(&whole);
		}
}

static void any_byte_may_have_any_value(void **state)
{
	struct error err;

	for (int is_request = 0; is_request < 2; is_request++)
		for (enum call call = CALL_HELLO; call < CALL_COUNT; call++) {
			struct encoded bytes = sample(is_request, call, SAMPLE_TYPICAL);

			for (size_t i = 0; i < bytes.size; i++) {
				uint8_t good = bytes.data[i];

				for (unsigned int value = 0; value < 256; value++) {
					bytes.data[i] = (uint8_t)value;
					decode(is_request, bytes.data, bytes.size, &err);
				}
				bytes.data[i] = good;
			}
			encoded_clear(&bytes);
		}
}

static void an_oversized_message_is_refused_unread(void **state)
{
	struct error err = {0};
	struct request request;
	struct reply reply;

	// Unread: the pointer is not valid.
	assert_int_equal(codec_decode_request((void *)8, LIMIT_MESSAGE_BYTES + 1, &request, &err),
			 -EMSGSIZE);
	assert_string_equal(err.message, "message: 65537 bytes are more than 65536");
	assert_int_equal(codec_decode_request((void *)8, SIZE_MAX, &request, &err), -EMSGSIZE);
	assert_int_equal(codec_decode_reply((void *)8, LIMIT_MESSAGE_BYTES + 1, &reply, &err),
			 -EMSGSIZE);
}

static void ret_is_untouched_on_failure(void **state)
{
	struct request request, before;
	struct reply reply, reply_before;
	struct error err;

	memset(&request, 0x55, sizeof(request));
	memset(&reply, 0x55, sizeof(reply));
	before = request;
	reply_before = reply;
	assert_true(codec_decode_request("\xff", 1, &request, &err) < 0);
	assert_true(codec_decode_reply("\xff", 1, &reply, &err) < 0);
	assert_memory_equal(&request, &before, sizeof(before));
	assert_memory_equal(&reply, &reply_before, sizeof(reply_before));
}

// ---- crafted -------------------------------------------------------------------------------------

struct crafted {
	const char *bytes;
	size_t size;
	const char *message; // NULL: is accepted
	enum code code;
};

#define CRAFTED(bytes, message, code)                                                              \
	{                                                                                          \
		bytes, sizeof(bytes) - 1, message, code                                            \
	}

// Field tags: number << 3 | wire type. Of Request: 1 timeout_ms, 2 instance_id, 12 detach, 15
// get_status; a detach's key is 1 with network 1, container_id 2, ifname 3.
#define TIMEOUT    "\x08\x05"
#define GET_STATUS "\x7a\x00"

static const struct crafted crafted_requests[] = {
	CRAFTED(TIMEOUT GET_STATUS, NULL, CODE_OK),
	CRAFTED("", "body: missing", CODE_BAD_REQUEST),
	CRAFTED(TIMEOUT, "body: missing", CODE_BAD_REQUEST),
	CRAFTED(GET_STATUS, "timeout_ms: 0 is not in 1..600000", CODE_BAD_REQUEST),
	// A call of a newer peer (field 99), and a field of a newer peer (field 9) in a known call.
	CRAFTED(TIMEOUT "\x9a\x06\x00", "call: number 99 is not known to podport " PODPORT_VERSION,
		CODE_UNSUPPORTED),
	CRAFTED(TIMEOUT GET_STATUS "\x4a\x03new", NULL, CODE_OK),
	CRAFTED(TIMEOUT "\x7a\x05\x4a\x03new", NULL, CODE_OK),
	// Length lies.
	CRAFTED(TIMEOUT "\x7a\x05", "get_status: says it has 5 bytes where only 0 are left",
		CODE_BAD_REQUEST),
	CRAFTED(TIMEOUT "\x7a\xff\xff\xff\xff\x0f",
		"get_status: says it has 4294967295 bytes where only 0 are left", CODE_BAD_REQUEST),
	CRAFTED(TIMEOUT "\x7a\xff\xff\xff\xff\xff\x01", "get_status: length cut or too long",
		CODE_BAD_REQUEST),
	CRAFTED(TIMEOUT "\x62\x04\x0a\x09\x0a\x01", // the key is larger than the detach around it
		"detach.key: says it has 9 bytes where only 2 are left", CODE_BAD_REQUEST),
	// Numbers.
	CRAFTED("\x08\x80" GET_STATUS, // the tag goes into the number, its 0 is then a tag
		"message: field tag cut or not valid", CODE_BAD_REQUEST),
	CRAFTED("\x08\x80", "timeout_ms: number cut or too long", CODE_BAD_REQUEST),
	CRAFTED("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f" GET_STATUS,
		"timeout_ms: number cut or too long", CODE_BAD_REQUEST),
	CRAFTED("\x08\x80\x80\x80\x80\x10" GET_STATUS, // 2^32: 0 for who takes 32 bits
		"timeout_ms: number of more than 32 bits", CODE_BAD_REQUEST),
	CRAFTED("\x08\x81\x80\x80\x80\x10" GET_STATUS, // 2^32 + 1: 1
		"timeout_ms: number of more than 32 bits", CODE_BAD_REQUEST),
	// Wire types: another one than the schema's, and those that are not used any more.
	CRAFTED("\x0d\x05\x00\x00\x00" GET_STATUS, "timeout_ms: has wire type 5", CODE_BAD_REQUEST),
	CRAFTED(TIMEOUT "\x78\x00", "get_status: has wire type 0", CODE_BAD_REQUEST),
	CRAFTED(TIMEOUT "\x10\x01" GET_STATUS, "instance_id: has wire type 0", CODE_BAD_REQUEST),
	CRAFTED(TIMEOUT GET_STATUS "\x4b", "unknown field: unknown wire type 3", CODE_BAD_REQUEST),
	CRAFTED(TIMEOUT GET_STATUS "\x4e", "unknown field: unknown wire type 6", CODE_BAD_REQUEST),
	CRAFTED(TIMEOUT GET_STATUS "\x49\x01", "unknown field: number cut", CODE_BAD_REQUEST),
	CRAFTED(TIMEOUT GET_STATUS "\x4d\x01", "unknown field: number cut", CODE_BAD_REQUEST),
	// Tags.
	CRAFTED(TIMEOUT GET_STATUS "\x02\x00", "message: field tag cut or not valid",
		CODE_BAD_REQUEST),
	CRAFTED(TIMEOUT GET_STATUS "\xff\xff\xff\xff\xff\x01",
		"message: field tag cut or not valid", CODE_BAD_REQUEST),
	CRAFTED(TIMEOUT GET_STATUS "\xff\xff\xff\xff\x7f", "message: field tag cut or not valid",
		CODE_BAD_REQUEST),
	// Given twice, or two bodies.
	CRAFTED(TIMEOUT TIMEOUT GET_STATUS, "timeout_ms: given twice", CODE_BAD_REQUEST),
	CRAFTED(TIMEOUT GET_STATUS GET_STATUS, "get_status: given twice", CODE_BAD_REQUEST),
	CRAFTED(TIMEOUT GET_STATUS "\x8a\x01\x00", "get_ipam: a message can have one body only",
		CODE_BAD_REQUEST),
	// Text.
	CRAFTED(TIMEOUT "\x12\x03"
			"a\0b" GET_STATUS,
		"instance_id: contains a NUL character", CODE_BAD_REQUEST),
	CRAFTED(TIMEOUT "\x12\x02\xc3\x28" GET_STATUS, "instance_id: is not UTF-8",
		CODE_BAD_REQUEST),
	CRAFTED(TIMEOUT "\x12\x01\x1b" GET_STATUS, "instance_id: has control characters",
		CODE_BAD_REQUEST),
	// A call without what it needs.
	CRAFTED(TIMEOUT "\x62\x00", "detach.key: missing", CODE_BAD_REQUEST),
	CRAFTED(TIMEOUT "\x62\x02\x0a\x00", "detach.key.network: is empty", CODE_BAD_REQUEST),
	CRAFTED(TIMEOUT "\x62\x05\x0a\x03\x0a\x01n", "detach.key.container_id: is empty",
		CODE_BAD_REQUEST),
	CRAFTED(TIMEOUT "\x62\x08\x0a\x06\x0a\x01n\x12\x01"
			"c",
		"detach.key.ifname: is empty", CODE_BAD_REQUEST),
	CRAFTED(TIMEOUT "\x62\x0b\x0a\x09\x0a\x01n\x12\x01"
			"c\x1a\x01"
			"e",
		NULL, CODE_OK),
	CRAFTED(TIMEOUT "\x52\x00", "hello.boot_id: missing", CODE_BAD_REQUEST),
	CRAFTED(TIMEOUT "\x5a\x00", "attach.key: missing", CODE_BAD_REQUEST),
	CRAFTED(TIMEOUT "\x6a\x00", "check.key: missing", CODE_BAD_REQUEST),
};

// Of Reply: 1 code, 2 message, 3 instance_id, 11 attach, 12 detach, 14 list, 16 ports.
static const struct crafted crafted_replies[] = {
	CRAFTED("\x08\x05\x12\x03why", NULL, CODE_OK),
	CRAFTED("", "body: missing", CODE_BAD_REQUEST),
	CRAFTED("\x08\x05", "message: missing for code not-ready", CODE_BAD_REQUEST),
	CRAFTED("\x08\x05\x12\x03why\x62\x00", "body: beside error code not-ready",
		CODE_BAD_REQUEST),
	CRAFTED("\x12\x03why\x62\x00", "message: without an error code", CODE_BAD_REQUEST),
	CRAFTED("\x08\xe7\x07\x12\x03why", "code: 999 is not known here; it says: why",
		CODE_UNSUPPORTED),
	CRAFTED("\x9a\x06\x00", "call: number 99 is not known to podport " PODPORT_VERSION,
		CODE_UNSUPPORTED),
	CRAFTED("\x62\x00", NULL, CODE_OK), // detach: did not exist
	CRAFTED("\x62\x02\x08\x01", "detach.function: missing", CODE_BAD_REQUEST),
	CRAFTED("\x62\x04\x08\x01\x12\x00", NULL, CODE_OK),
	CRAFTED("\x62\x08\x08\x01\x12\x04\x10\x80\x80\x04",
		"detach.function.vf: 65536 is not in 0..65535", CODE_BAD_REQUEST),
	CRAFTED("\x5a\x00", "attach.attachment: missing", CODE_BAD_REQUEST),
	CRAFTED("\x5a\x02\x0a\x00", "attach.attachment.key: missing", CODE_BAD_REQUEST),
	CRAFTED("\x72\x02\x0a\x00", "list.attachments[0].key: missing", CODE_BAD_REQUEST),
	CRAFTED("\x82\x01\x04\x0a\x02\x6a\x00", "ports.ports[0].function: missing",
		CODE_BAD_REQUEST),
	// 18 flows, 19 offload
	CRAFTED("\x92\x01\x02\x0a\x00", "flows.flows[0].id: is 0", CODE_BAD_REQUEST),
	CRAFTED("\x92\x01\x06\x0a\x04\x08\x01\x5a\x00", "flows.flows[0].key.network: is empty",
		CODE_BAD_REQUEST),
	CRAFTED("\x9a\x01\x00", "offload.summary: missing", CODE_BAD_REQUEST),
	CRAFTED("\x9a\x01\x02\x0a\x00", NULL, CODE_OK),
	CRAFTED("\x72\x03\x0a\x01\xff", "list.attachments[0]: field tag cut or not valid",
		CODE_BAD_REQUEST),
};

static void check_crafted(bool is_request, const struct crafted *crafted, size_t index)
{
	struct error err;
	int r = decode(is_request, crafted->bytes, crafted->size, &err);

	if (crafted->message == NULL) {
		if (r < 0)
			fail_msg("%zu: refused: %s", index, err.message);
		return;
	}
	if (r == 0)
		fail_msg("%zu: let through, not: %s", index, crafted->message);
	assert_string_equal(err.message, crafted->message);
	assert_int_equal(err.code, crafted->code);
}

static void crafted_bytes_are_refused_with_the_reason(void **state)
{
	for (size_t i = 0; i < sizeof(crafted_requests) / sizeof(crafted_requests[0]); i++)
		check_crafted(true, &crafted_requests[i], i);
	for (size_t i = 0; i < sizeof(crafted_replies) / sizeof(crafted_replies[0]); i++)
		check_crafted(false, &crafted_replies[i], i);
}

// `bytes` over and over, up to the largest message there may be, inside of field `tag` of a message.
static int decode_repeated(bool is_request, const char *tag, const char *bytes, size_t size,
			   size_t count, struct error *err)
{
	uint8_t *message = malloc(LIMIT_MESSAGE_BYTES);
	size_t header = strlen(tag), length;

	if (count > (LIMIT_MESSAGE_BYTES - header - 3) / size)
		count = (LIMIT_MESSAGE_BYTES - header - 3) / size;
	length = size * count;
	memcpy(message, tag, header);
	if (header > 0) { // always 3 bytes of length, which a decoder has to take
		message[header++] = (uint8_t)(length | 0x80);
		message[header++] = (uint8_t)((length >> 7) | 0x80);
		message[header++] = (uint8_t)(length >> 14);
	}
	for (size_t i = 0; i < count; i++)
		memcpy(message + header + i * size, bytes, size);
	int r = decode(is_request, message, header + length, err);
	free(message);
	return r;
}

static void a_message_full_of_repetition_is_refused(void **state)
{
	struct error err;

	// Each of these unpacks to many times its size.
	assert_true(decode_repeated(false, "\x72", "\x0a\x00", 2, SIZE_MAX, &err) < 0);
	assert_string_equal(err.message, "list.attachments: more than 15 of them");
	assert_true(decode_repeated(false, "\x82\x01", "\x0a\x00", 2, SIZE_MAX, &err) < 0);
	assert_string_equal(err.message, "ports.ports: more than 12 of them");
	assert_true(decode_repeated(false, "\x92\x01", "\x0a\x00", 2, SIZE_MAX, &err) < 0);
	assert_string_equal(err.message, "flows.flows: more than 40 of them");
	assert_true(decode_repeated(false, "\x9a\x01", "\x12\x00", 2, SIZE_MAX, &err) < 0);
	assert_string_equal(err.message, "offload.capabilities: more than 64 of them");
	assert_true(decode_repeated(false, "", "\x48\x00", 2, SIZE_MAX, &err) < 0);
	assert_string_equal(err.message, "message: more than 128 fields that are not known");
	assert_true(decode_repeated(true, "\x7a", "\x48\x00", 2, SIZE_MAX, &err) < 0);
	assert_string_equal(err.message, "get_status: more than 128 fields that are not known");
	assert_true(decode_repeated(true, "", "\x7a\x00", 2, SIZE_MAX, &err) < 0);
	assert_true(decode_repeated(true, "", "\x0a", 1, SIZE_MAX, &err) < 0);
	assert_true(decode_repeated(true, "", "\x62\x62\x62", 3, SIZE_MAX, &err) < 0);
	assert_true(decode_repeated(true, "", "\x00", 1, SIZE_MAX, &err) < 0);
	assert_true(decode_repeated(true, "", "\xff", 1, SIZE_MAX, &err) < 0);
}

static void repeated_fields_pass_up_to_their_limit(void **state)
{
	// An attachment, a port and a drop that are as small as may be.
	static const char port[] = "\x0a\x02\x22\x00";
	struct error err;

	assert_int_equal(
		decode_repeated(false, "\x82\x01", port, sizeof(port) - 1, LIMIT_PORTS_PAGE, &err),
		0);
	assert_int_equal(decode_repeated(false, "\x82\x01", port, sizeof(port) - 1,
					 LIMIT_PORTS_PAGE + 1, &err),
			 -EBADMSG);
	assert_string_equal(err.message, "ports.ports: more than 12 of them");

	static const char flow[] = "\x0a\x02\x08\x01";
	assert_int_equal(
		decode_repeated(false, "\x92\x01", flow, sizeof(flow) - 1, LIMIT_FLOWS_PAGE, &err),
		0);
	assert_int_equal(decode_repeated(false, "\x92\x01", flow, sizeof(flow) - 1,
					 LIMIT_FLOWS_PAGE + 1, &err),
			 -EBADMSG);
	assert_string_equal(err.message, "flows.flows: more than 40 of them");

	// In an attach: a mapping comes after its key, and is looked at only if there are not too many.
	assert_int_equal(
		decode_repeated(true, "\x5a", "\x52\x00", 2, LIMIT_PORT_MAPPINGS + 1, &err),
		-EBADMSG);
	assert_string_equal(err.message, "attach.port_mappings: more than 64 of them");
	assert_int_equal(decode_repeated(true, "\x5a", "\x52\x00", 2, LIMIT_PORT_MAPPINGS, &err),
			 -EBADMSG);
	assert_string_equal(err.message, "attach.key: missing");

	char page[2 + 2 + 4 + 2 * (LIMIT_DROPS + 1)];
	for (size_t drops = LIMIT_DROPS; drops <= LIMIT_DROPS + 1; drops++) {
		size_t size = 0;

		page[size++] = '\x82'; // ports
		page[size++] = '\x01';
		page[size++] = (char)(2 + 2 + 2 * drops);
		page[size++] = '\x0a'; // one port
		page[size++] = (char)(2 + 2 * drops);
		page[size++] = '\x22'; // its function
		page[size++] = '\x00';
		for (size_t i = 0; i < drops; i++) {
			page[size++] = '\x6a';
			page[size++] = '\x00';
		}
		int r = decode(false, page, size, &err);
		assert_int_equal(r, drops == LIMIT_DROPS ? 0 : -EBADMSG);
	}
	assert_string_equal(err.message, "ports.ports[0].drops: more than 48 of them");
}

// ---- random --------------------------------------------------------------------------------------

static uint64_t random_state;

static uint32_t random_below(uint32_t limit) // xorshift64*
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (uint32_t)((random_state * 0x2545f4914f6cdd1dull) >> 32) % limit;
}

static void random_bytes_do_no_harm(void **state)
{
	uint8_t bytes[256];
	struct error err;

	random_state = 0x706f64706f7274;
	for (int round = 0; round < 100000; round++) {
		size_t size = random_below(sizeof(bytes) + 1);

		for (size_t i = 0; i < size; i++)
			bytes[i] = (uint8_t)random_below(256);
		decode(round & 1, bytes, size, &err);
	}
}

// Valid messages with some bytes changed, removed, doubled: most get past the first checks.
static void mutated_messages_do_no_harm(void **state)
{
	struct error err;
	size_t accepted = 0, refused = 0;

	random_state = 0x706f64706f7274;
	for (int round = 0; round < 40000; round++) {
		bool is_request = round & 1;
		enum call call = CALL_HELLO + random_below(CALL_COUNT - CALL_HELLO);
		struct encoded encoded = sample(is_request, call, SAMPLE_TYPICAL);
		uint8_t *bytes = malloc(encoded.size + 16);
		size_t size = encoded.size;

		memcpy(bytes, encoded.data, size);
		for (uint32_t change = random_below(4); change < 4 && size > 1; change++) {
			size_t at = random_below((uint32_t)size);
			size_t length = 1 + random_below(4);

			switch (random_below(3)) {
			case 0:
				bytes[at] ^= (uint8_t)(1u << random_below(8));
				break;
			case 1: // remove
				length = length < size - at ? length : size - at;
				memmove(bytes + at, bytes + at + length, size - at - length);
				size -= length;
				break;
			default: // double
				memmove(bytes + at + length, bytes + at, size - at);
				size += length;
				break;
			}
		}
		if (decode(is_request, bytes, size, &err) < 0)
			refused++;
		else
			accepted++;
		free(bytes);
		encoded_clear(&encoded);
	}
	assert_true(accepted > 100 && refused > 100);
}

// What the page as a whole may hold is no limit of any single field.
static void a_page_of_packets_is_bounded_as_a_whole(void **state)
{
	Podport__Wire__Reply *message;
	struct encoded encoded;
	struct reply reply;
	struct error err = {0};

	sample_reply(CALL_READ_WATCH, SAMPLE_TYPICAL, &reply);
	reply.body.read_watch.page->packets[1].length = 13; // of a frame of 14
	assert_int_equal(codec_encode_reply(&reply, &encoded, &err), 0);
	reply_clear(&reply);
	assert_int_equal(codec_decode_reply(encoded.data, encoded.size, &reply, &err), -EBADMSG);
	assert_string_equal(err.message, "read_watch.packets[1].frame: 14 bytes of 13");
	encoded_clear(&encoded);

	sample_reply(CALL_READ_WATCH, SAMPLE_LARGEST, &reply);
	assert_int_equal(codec_encode_reply(&reply, &encoded, &err), 0);
	reply_clear(&reply);
	message = podport__wire__reply__unpack(NULL, encoded.size, encoded.data);
	encoded_clear(&encoded);
	Podport__Wire__WatchPacket *last = message->read_watch->packets[LIMIT_WATCH_PAGE - 1];
	Podport__Wire__WatchStep **steps = last->steps;
	last->steps = message->read_watch->packets[0]->steps;
	last->n_steps = 1;
	uint8_t *packed = malloc(podport__wire__reply__get_packed_size(message));
	size_t size = podport__wire__reply__pack(message, packed);
	assert_int_equal(codec_decode_reply(packed, size, &reply, &err), -EBADMSG);
	assert_string_equal(err.message, "read_watch.packets[47].steps: more than 80 in one reply");
	free(packed);
	last->steps = steps;
	last->n_steps = 0;
	// The frames are as many bytes as there may be: one is too many, by one.
	size_t length = last->frame.len;
	uint8_t *frame = last->frame.data, longer[LIMIT_WATCH_BYTES] = {1};
	last->frame.data = longer;
	last->frame.len = LIMIT_WATCH_BYTES - (LIMIT_WATCH_PAGE - 1) * length + 1;
	packed = malloc(podport__wire__reply__get_packed_size(message));
	size = podport__wire__reply__pack(message, packed);
	assert_int_equal(codec_decode_reply(packed, size, &reply, &err), -EBADMSG);
	assert_string_equal(err.message,
			    "read_watch.packets[47].frame: more than 20480 bytes in one reply");
	free(packed);
	last->frame.data = frame;
	last->frame.len = length;
	podport__wire__reply__free_unpacked(message, NULL);
}

static void a_filter_is_whole_instructions_and_not_too_many(void **state)
{
	uint8_t bytes[8 * (LIMIT_FILTER + 1)] = {0};
	Podport__Wire__Request *message;
	struct encoded encoded;
	struct request request;
	struct error err = {0};

	sample_request(CALL_WATCH, SAMPLE_TYPICAL, &request);
	assert_int_equal(codec_encode_request(&request, &encoded, &err), 0);
	message = podport__wire__request__unpack(NULL, encoded.size, encoded.data);
	encoded_clear(&encoded);
	ProtobufCBinaryData good = message->watch->filter;
	message->watch->filter.data = bytes;
	for (size_t length = 0; length <= sizeof(bytes); length++) {
		message->watch->filter.len = length;
		uint8_t *packed = malloc(podport__wire__request__get_packed_size(message));
		size_t size = podport__wire__request__pack(message, packed);
		int r = codec_decode_request(packed, size, &request, &err);

		free(packed);
		if (length % 8 == 0 && length <= 8 * LIMIT_FILTER) {
			assert_int_equal(r, 0);
			assert_int_equal(request.body.watch.filter_size, length / 8);
		} else {
			assert_int_equal(r, -EBADMSG);
			assert_memory_equal(err.message, "watch.filter: ", 14);
		}
	}
	message->watch->filter = good;
	podport__wire__request__free_unpacked(message, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_cut_at_any_byte_does_no_harm),
		cmocka_unit_test(any_byte_may_have_any_value),
		cmocka_unit_test(an_oversized_message_is_refused_unread),
		cmocka_unit_test(ret_is_untouched_on_failure),
		cmocka_unit_test(crafted_bytes_are_refused_with_the_reason),
		cmocka_unit_test(a_message_full_of_repetition_is_refused),
		cmocka_unit_test(repeated_fields_pass_up_to_their_limit),
		cmocka_unit_test(random_bytes_do_no_harm),
		cmocka_unit_test(mutated_messages_do_no_harm),
		cmocka_unit_test(a_page_of_packets_is_bounded_as_a_whole),
		cmocka_unit_test(a_filter_is_whole_instructions_and_not_too_many),
	};

	return cmocka_run_group_tests_name("codec, hostile bytes", tests, NULL, NULL);
}
