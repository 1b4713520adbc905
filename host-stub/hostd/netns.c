// SPDX-License-Identifier: BSD-3-Clause
//
// Network namespaces by file descriptor: see netns.h. Worker threads.

#include "hostd/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "proto/base/log.h"

int host_netns_open(struct host_netns *ret_netns, struct error *err)
{
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		int r = error_set(err, errno, CODE_INTERNAL, "open /proc/self/ns/net: %m");

		if (fd >= 0)
			close(fd);
		return r;
	}
	*ret_netns = (struct host_netns){.fd = fd, .device = st.st_dev, .inode = st.st_ino};
	return 0;
}

void host_netns_close(struct host_netns *netns)
{
	if (netns->fd > 0)
		close(netns->fd);
	netns->fd = -1;
}

int netns_verify(const struct host_netns *host, int fd, uint64_t *ret_inode, struct error *err)
{
	struct statfs file_system;
	struct stat st;

	// The file system first: on a device, the ioctl's number may mean something else.
	if (fstatfs(fd, &file_system) < 0 || file_system.f_type != NSFS_MAGIC ||
	    ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET || fstat(fd, &st) < 0)
		return error_set(err, EINVAL, CODE_NETNS, "the sandbox is not a network namespace");
	if (st.st_dev == host->device && st.st_ino == host->inode)
		return error_set(err, EINVAL, CODE_NETNS,
				 "the sandbox is the host's own network namespace");
	*ret_inode = st.st_ino;
	return 0;
}

int netns_open_path(const struct host_netns *host, const char *path, uint64_t inode)
{
	// Not to hang on a FIFO that somebody has put there.
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct error ignored;
	uint64_t found;

	if (fd < 0)
		return -1;
	if (netns_verify(host, fd, &found, &ignored) == 0 && found == inode)
		return fd;
	close(fd);
	return -1;
}

int netns_enter(int fd, struct error *err)
{
	if (setns(fd, CLONE_NEWNET) < 0)
		return error_set(err, errno, CODE_NETNS, "enter the sandbox: %m");
	return 0;
}

void netns_leave(const struct host_netns *host)
{
	if (setns(host->fd, CLONE_NEWNET) < 0) {
		log_error("cannot return to the host's network namespace, giving up",
			  "error=\"%m\"");
		abort();
	}
}

int netns_open_netlink(const struct host_netns *host, int fd, struct netlink *ret_netlink,
		       struct error *err)
{
	int r = netns_enter(fd, err);

	if (r < 0)
		return r;
	r = netlink_open(ret_netlink, err);
	netns_leave(host);
	return r;
}
