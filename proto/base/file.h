// SPDX-License-Identifier: BSD-3-Clause
//
// A small file as a whole: configuration, certificates. Start-up only; blocks.

#pragma once

#include <stddef.h>

// Read `file` and add a NUL. The caller frees *ret_text. Errors: the errno of opening or reading,
// -EFBIG if there are more than `limit` bytes.
int file_read(const char *file, size_t limit, char **ret_text, size_t *ret_size);
