// SPDX-License-Identifier: BSD-3-Clause
//
// What may stand in a text that travels: well-formed UTF-8 (RFC 3629: no overlong forms, no
// surrogates, nothing above U+10FFFF) without control characters. Any thread; no allocation.

#pragma once

#include <stdbool.h>
#include <stddef.h>

// Length of the well-formed UTF-8 sequence at the start of `text`, of which `size` bytes may be
// read: 1..4, or 0 if there is none. A NUL is a sequence of length 1.
size_t text_sequence(const char *text, size_t size);

// True if all `size` bytes are well-formed UTF-8.
bool text_is_utf8(const char *text, size_t size);

// True if `text` has neither control characters (C0, DEL, C1) nor broken UTF-8.
bool text_is_printable(const char *text);

// Make `text` printable in place: a '?' for each control character and each broken byte; a broken
// sequence at the very end, as cutting a string leaves it, is dropped. Never longer than before.
void text_clean(char *text);
