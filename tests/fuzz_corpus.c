// SPDX-License-Identifier: BSD-3-Clause
//
// The main of a fuzzer that does not fuzz: runs it on every file of the folders that are given, so that
// what a fuzzer once found is tested by every compiler and in every run.

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	struct stat status;

	if (file == NULL || fstat(fileno(file), &status) < 0) {
		perror(path);
		return -1;
	}
	// As large as the file and no larger, for the sanitizers to see the end.
	size_t size = (size_t)status.st_size;
	uint8_t *data = malloc(size > 0 ? size : 1);
	if (data == NULL || fread(data, 1, size, file) != size) {
		perror(path);
		return -1;
	}
	fclose(file);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned int files = 0;

	for (int i = 1; i < argc; i++) {
		DIR *folder = opendir(argv[i]);
		struct dirent *entry;

		if (folder == NULL) {
			perror(argv[i]);
			return 1;
		}
		while ((entry = readdir(folder)) != NULL) {
			char path[4096];

			if (entry->d_name[0] == '.')
				continue;
			snprintf(path, sizeof(path), "%s/%s", argv[i], entry->d_name);
			printf("%s\n", path);
			fflush(stdout); // the last one named is the one that crashed
			if (run_file(path) < 0)
				return 1;
			files++;
		}
		closedir(folder);
	}
	printf("%u files\n", files);
	return files > 0 ? 0 : 1;
}
