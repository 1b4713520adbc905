// SPDX-License-Identifier: BSD-3-Clause
//
// Memory the codec takes: bounded, given back, and its want is an error like any other. malloc and
// calloc are replaced (-Wl,--wrap) by ones that count and, on demand, fail.

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/codec.h"
#include "proto/test_samples.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);

static size_t bytes_allocated;
static long fail_at; // the Nth allocation from now fails; 0: none

static bool allocation_fails(size_t size)
{
	bytes_allocated += size;
	return fail_at > 0 && --fail_at == 0;
}

void *__wrap_malloc(size_t size)
{
	return allocation_fails(size) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return allocation_fails(count * size) ? NULL : __real_calloc(count, size);
}

static void the_largest_message_takes_half_the_budget_at_most(void **state)
{
	struct error err = {0};
	struct encoded encoded;
	struct reply in, out;
	size_t most = 0;

	for (enum call call = CALL_HELLO; call < CALL_COUNT; call++) {
		sample_reply(call, SAMPLE_LARGEST, &in);
		assert_int_equal(codec_encode_reply(&in, &encoded, &err), 0);
		bytes_allocated = 0;
		if (codec_decode_reply(encoded.data, encoded.size, &out, &err) < 0)
			fail_msg("%s: %s", call_name(call), err.message);
		// The plain reply itself is not the unpacker's.
		if (call == CALL_LIST)
			bytes_allocated -= out.body.list.count * sizeof(struct list_item);
		if (call == CALL_LIST_PORTS)
			bytes_allocated -= out.body.ports.count * sizeof(struct port_info);
		if (call == CALL_LIST_FLOWS)
			bytes_allocated -= out.body.flows.count * sizeof(struct flow_info);
		if (call == CALL_LIST_NEIGHBOURS)
			bytes_allocated -= out.body.neighbours.count * sizeof(struct neighbour_row);
		if (call == CALL_LIST_CONNECTIONS)
			bytes_allocated -=
				out.body.connections.count * sizeof(struct connection_row);
		if (call == CALL_READ_WATCH)
			bytes_allocated -= sizeof(struct watch_page);
		if (call == CALL_GET_OFFLOAD)
			bytes_allocated -= out.body.offload.count * sizeof(struct capability_info);
		most = bytes_allocated > most ? bytes_allocated : most;
		reply_clear(&out);
		reply_clear(&in);
		encoded_clear(&encoded);
	}
	assert_in_range(most, LIMIT_MESSAGE_BYTES / 2, 3 * LIMIT_MESSAGE_BYTES);
}

static void a_small_message_takes_little(void **state)
{
	struct error err = {0};
	struct encoded encoded;
	struct request in, out;

	sample_request(CALL_ATTACH, SAMPLE_TYPICAL, &in);
	assert_int_equal(codec_encode_request(&in, &encoded, &err), 0);
	bytes_allocated = 0;
	assert_int_equal(codec_decode_request(encoded.data, encoded.size, &out, &err), 0);
	assert_in_range(bytes_allocated, 1, 2048);
	encoded_clear(&encoded);
}

// Let the 1st, 2nd, 3rd … allocation fail until nothing fails any more. LeakSanitizer sees what is
// not given back.
static void every_allocation_may_fail(void **state)
{
	for (enum call call = CALL_HELLO; call < CALL_COUNT; call++) {
		bool done = false;

		for (long nth = 1; !done; nth++) {
			struct encoded encoded = {0};
			struct error err = {0};
			struct reply in, out;

			sample_reply(call, SAMPLE_TYPICAL, &in);
			fail_at = nth;
			int r = codec_encode_reply(&in, &encoded, &err);
			if (r == 0 &&
			    (r = codec_decode_reply(encoded.data, encoded.size, &out, &err)) == 0) {
				done = fail_at > 0; // it was not reached
				assert_true(done);
				reply_clear(&out);
			} else {
				assert_int_equal(r, -ENOMEM);
				assert_int_equal(err.code, CODE_INTERNAL);
				assert_true(err.message[0] != '\0');
			}
			fail_at = 0;
			encoded_clear(&encoded);
			reply_clear(&in);
			assert_true(nth < 10000);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_largest_message_takes_half_the_budget_at_most),
		cmocka_unit_test(a_small_message_takes_little),
		cmocka_unit_test(every_allocation_may_fail),
	};

	return cmocka_run_group_tests_name("codec, memory", tests, NULL, NULL);
}
