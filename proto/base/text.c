// SPDX-License-Identifier: BSD-3-Clause
//
// UTF-8, as RFC 3629 section 4 has it. Small and strict; see text.h.

#include "proto/base/text.h"

#include <string.h>

static bool is_continuation(unsigned char byte)
{
	return (byte & 0xc0) == 0x80;
}

size_t text_sequence(const char *text, size_t size)
{
	const unsigned char *byte = (const unsigned char *)text;
	size_t length;
	// The second byte's range; narrower than 80..BF after four of the lead bytes.
	unsigned char low = 0x80, high = 0xbf;

	if (size == 0)
		return 0;
	if (byte[0] < 0x80)
		return 1;
	if (byte[0] >= 0xc2 && byte[0] <= 0xdf) {
		length = 2;
	} else if (byte[0] >= 0xe0 && byte[0] <= 0xef) {
		length = 3;
		if (byte[0] == 0xe0)
			low = 0xa0; // below: overlong
		else if (byte[0] == 0xed)
			high = 0x9f; // above: surrogates
	} else if (byte[0] >= 0xf0 && byte[0] <= 0xf4) {
		length = 4;
		if (byte[0] == 0xf0)
			low = 0x90; // below: overlong
		else if (byte[0] == 0xf4)
			high = 0x8f; // above: past U+10FFFF
	} else {
		return 0;
	}
	if (size < length || byte[1] < low || byte[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++)
		if (!is_continuation(byte[i]))
			return 0;
	return length;
}

bool text_is_utf8(const char *text, size_t size)
{
	while (size > 0) {
		size_t length = text_sequence(text, size);

		if (length == 0)
			return false;
		text += length;
		size -= length;
	}
	return true;
}

static bool is_control(const char *text, size_t length)
{
	const unsigned char *byte = (const unsigned char *)text;

	if (length == 1)
		return byte[0] < 0x20 || byte[0] == 0x7f;
	return length == 2 && byte[0] == 0xc2 && byte[1] < 0xa0; // C1: U+0080..U+009F
}

bool text_is_printable(const char *text)
{
	size_t size = strlen(text);

	while (size > 0) {
		size_t length = text_sequence(text, size);

		if (length == 0 || is_control(text, length))
			return false;
		text += length;
		size -= length;
	}
	return true;
}

// True if the `size` bytes are the beginning of a sequence of which the rest is missing.
static bool is_cut_short(const char *text, size_t size)
{
	const unsigned char *byte = (const unsigned char *)text;

	if (size >= 4 || byte[0] < 0xc2 || byte[0] > 0xf4)
		return false;
	for (size_t i = 1; i < size; i++)
		if (!is_continuation(byte[i]))
			return false;
	return size < (byte[0] < 0xe0 ? 2u : byte[0] < 0xf0 ? 3u : 4u);
}

void text_clean(char *text)
{
	const char *from = text;
	char *to = text;
	size_t size = strlen(text);

	while (size > 0) {
		size_t length = text_sequence(from, size);

		if (length == 0 && is_cut_short(from, size))
			break;
		if (length == 0 || is_control(from, length)) {
			*to++ = '?';
			length = length == 0 ? 1 : length;
		} else {
			memmove(to, from, length);
			to += length;
		}
		from += length;
		size -= length;
	}
	*to = '\0';
}
