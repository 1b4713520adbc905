// SPDX-License-Identifier: BSD-3-Clause
//
// The caller's view of the sandbox: its path is opened here, in the caller's mount namespace, and
// the descriptor travels to hostd.

#include "libpodport/client_private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

static int refuse(int fd, const char *path, struct error *err)
{
	close(fd);
	return error_set(err, EINVAL, CODE_NETNS, "%s is not a network namespace", path);
}

int sandbox_open(struct sandbox *sandbox, int *ret_fd, struct error *err)
{
	const char *path = sandbox->path;
	struct statfs file_system;
	struct stat status;
	int fd;

	// Not to hang on a FIFO, nor to make a terminal ours.
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return error_set(err, errno, CODE_NETNS, "%s: %s", path, strerror(errno));
	// A plain file is what is left of /run/netns/NAME when its mount is gone.
	if (fstatfs(fd, &file_system) < 0 || file_system.f_type != NSFS_MAGIC ||
	    fstat(fd, &status) < 0 || ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET)
		return refuse(fd, path, err);
	sandbox->inode = status.st_ino;
	*ret_fd = fd;
	return 0;
}
