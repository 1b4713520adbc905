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
#include <sys/socket.h>
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

// ---- which one -----------------------------------------------------------------------------------

uint64_t netns_cookie(const struct host_netns *host, int fd)
{
	socklen_t size = sizeof(uint64_t);
	uint64_t cookie = 0;
	struct error ignored;
	int socket_fd;

	if (netns_enter(fd, &ignored) < 0)
		return 0;
	socket_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	netns_leave(host);
	if (socket_fd < 0)
		return 0;
	if (getsockopt(socket_fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) < 0)
		cookie = 0;
	close(socket_fd);
	return cookie;
}

static int open_path(const char *path)
{
	// Not to hang on a FIFO that somebody has put there.
	return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

static bool is_sandbox(const struct host_netns *host, int fd, const struct sandbox *sandbox)
{
	struct error ignored;
	uint64_t inode, cookie;

	if (netns_verify(host, fd, &inode, &ignored) < 0 || inode != sandbox->inode)
		return false;
	if (sandbox->cookie == 0)
		return true;
	cookie = netns_cookie(host, fd);
	return cookie == 0 || cookie == sandbox->cookie;
}

int netns_open_path(const struct host_netns *host, const char *path, const struct sandbox *sandbox)
{
	int fd = open_path(path);

	if (fd < 0 || is_sandbox(host, fd, sandbox))
		return fd;
	close(fd);
	return -1;
}

bool netns_is_another(const struct host_netns *host, const char *path,
		      const struct sandbox *sandbox)
{
	bool another;
	int fd;

	if (sandbox->cookie == 0)
		return false;
	fd = open_path(path);
	if (fd < 0)
		return false;
	another = !is_sandbox(host, fd, sandbox);
	close(fd);
	return another;
}

// ---- inside --------------------------------------------------------------------------------------

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
