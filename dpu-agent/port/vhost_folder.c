// SPDX-License-Identifier: BSD-3-Clause
//
// The folder of the vhost-user sockets. It is one agent's alone: of a socket that is found there at
// start-up nobody can be listening, and to find that out by connecting would cut off a guest.
// Control thread, at start-up.

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "port/port_private.h"
#include "proto/base/log.h"

enum {
	FOLDER_MODE = 0711,  // who may use a socket says the socket's own mode
	LOCK_WAIT_MS = 3000, // for a predecessor that was killed and is still being torn down
	LOCK_POLL_MS = 20,
};

static int fail(struct error *err, const char *what, const char *path)
{
	int errno_value = errno;

	return error_set(err, errno_value, CODE_NIC, "vhost.socket_dir: cannot %s %s: %s", what,
			 path, strerror(errno_value));
}

static int take_lock(const char *folder, int *ret_fd, struct error *err)
{
	char path[SOCKET_PATH_SIZE + 8];
	int fd;

	snprintf(path, sizeof(path), "%s/lock", folder);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fail(err, "open", path);
	for (int waited_ms = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; waited_ms += LOCK_POLL_MS) {
		if (errno != EWOULDBLOCK && errno != EINTR) {
			int r = fail(err, "lock", path);

			close(fd);
			return r;
		}
		if (waited_ms >= LOCK_WAIT_MS) {
			close(fd);
			return error_set(
				err, EBUSY, CODE_NIC,
				"vhost.socket_dir: %s is in use by another agent; give each "
				"agent a folder of its own",
				folder);
		}
		usleep(LOCK_POLL_MS * 1000);
	}
	*ret_fd = fd;
	return 0;
}

// Sockets only: what else somebody has put here is not ours to take away.
static int remove_stale(const char *folder, struct error *err)
{
	DIR *listing = opendir(folder);
	struct dirent *item;
	size_t removed = 0;

	if (listing == NULL)
		return fail(err, "read", folder);
	while ((item = readdir(listing)) != NULL) {
		struct stat st;

		if (fstatat(dirfd(listing), item->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISSOCK(st.st_mode) && unlinkat(dirfd(listing), item->d_name, 0) == 0)
			removed++;
	}
	closedir(listing);
	if (removed > 0)
		log_info("vhost-user sockets of an earlier agent removed", "folder=%s count=%zu",
			 folder, removed);
	return 0;
}

int vhost_open(const struct vhost_config *config, int *ret_lock_fd, struct error *err)
{
	int fd = -1, r = 0;

	if (mkdir(config->folder, FOLDER_MODE) < 0 && errno != EEXIST)
		return fail(err, "make", config->folder);
	// Whatever the umask is, or whoever made it.
	if (chmod(config->folder, FOLDER_MODE) < 0)
		return fail(err, "set the mode of", config->folder);
	r = take_lock(config->folder, &fd, err);
	if (r == 0)
		r = remove_stale(config->folder, err);
	if (r < 0) {
		if (fd >= 0)
			close(fd);
		return r;
	}
	*ret_lock_fd = fd;
	return 0;
}
