// SPDX-License-Identifier: BSD-3-Clause
//
// See crash_point.h. Whichever thread passes; the count is kept in the file, under a mutex.

#include "proto/base/crash_point.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

// Is it this passing's turn? Then the file has its other name.
static bool claim(const char *armed, const char *reached, char ret_action[8])
{
	char text[32] = "";
	unsigned int left = 0;
	bool claimed = false;
	int fd = open(armed, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return false;
	if (pread(fd, text, sizeof(text) - 1, 0) > 0 &&
	    sscanf(text, "%7s %u", ret_action, &left) == 2) {
		if (left > 1) {
			int size = snprintf(text, sizeof(text), "%s %u\n", ret_action, left - 1);

			if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)size, 0) != size)
				abort();
		} else {
			claimed = rename(armed, reached) == 0;
		}
	}
	close(fd);
	return claimed;
}

void crash_point(const char *name)
{
	const struct timespec moment = {.tv_nsec = 1000000};
	const char *folder = getenv("PODPORT_CRASH_POINTS");
	char armed[PATH_MAX], reached[PATH_MAX + 16], action[8];
	bool claimed;

	if (folder == NULL)
		return;
	snprintf(armed, sizeof(armed), "%s/%s", folder, name);
	snprintf(reached, sizeof(reached), "%s.reached", armed);
	pthread_mutex_lock(&mutex);
	claimed = claim(armed, reached, action);
	pthread_mutex_unlock(&mutex);
	if (!claimed)
		return;
	if (strcmp(action, "kill") == 0)
		kill(getpid(), SIGKILL);
	while (access(reached, F_OK) == 0)
		nanosleep(&moment, NULL);
}
