// SPDX-License-Identifier: BSD-3-Clause
//
// See file.h. Read, not mapped, and in no other way sized than by the limit: it may be a pipe.

#include "proto/base/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int file_read(const char *file, size_t limit, char **ret_text, size_t *ret_size)
{
	FILE *stream = fopen(file, "re");
	char *text;
	int r = 0;

	if (stream == NULL)
		return -errno;
	text = malloc(limit + 1);
	if (text == NULL) {
		fclose(stream);
		return -ENOMEM;
	}
	errno = 0;
	size_t size = fread(text, 1, limit + 1, stream);
	if (ferror(stream)) // a folder, for one: EISDIR
		r = errno != 0 ? -errno : -EIO;
	else if (size > limit)
		r = -EFBIG;
	fclose(stream);
	if (r < 0) {
		free(text);
		return r;
	}
	text[size] = '\0';
	*ret_text = text;
	*ret_size = size;
	return 0;
}
