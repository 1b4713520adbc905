// SPDX-License-Identifier: BSD-3-Clause
//
// libFuzzer: bytes into the codec. The first byte says which way. What decodes must encode, decode
// again, and then be what it was.

#include <stdlib.h>
#include <string.h>

#include "proto/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
	if (!good)
		abort();
}

static void fuzz_request(const uint8_t *data, size_t size)
{
	struct request first, second;
	struct encoded encoded;
	struct error err = {0};

	if (codec_decode_request(data, size, &first, &err) < 0) {
		check(err.message[0] != '\0');
		return;
	}
	check(codec_encode_request(&first, &encoded, &err) == 0);
	check(codec_decode_request(encoded.data, encoded.size, &second, &err) == 0);
	check(memcmp(&first, &second, sizeof(first)) == 0);
	encoded_clear(&encoded);
}

static void fuzz_reply(const uint8_t *data, size_t size)
{
	struct reply first, second;
	struct encoded encoded, again;
	struct error err = {0};

	if (codec_decode_reply(data, size, &first, &err) < 0) {
		check(err.message[0] != '\0');
		return;
	}
	check(codec_encode_reply(&first, &encoded, &err) == 0);
	check(codec_decode_reply(encoded.data, encoded.size, &second, &err) == 0);
	check(codec_encode_reply(&second, &again, &err) == 0);
	check(encoded.size == again.size && memcmp(encoded.data, again.data, again.size) == 0);
	reply_clear(&first);
	reply_clear(&second);
	encoded_clear(&encoded);
	encoded_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] % 2 == 0)
		fuzz_request(data + 1, size - 1);
	else
		fuzz_reply(data + 1, size - 1);
	return 0;
}
