// SPDX-License-Identifier: BSD-3-Clause
//
// See local_socket.h. Event loop thread.

#include "hostd/local_socket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 512 };

static int fail(struct error *err, const char *path, const char *step)
{
	return error_set(err, errno, CODE_INTERNAL, "listen on %s: %s: %m", path, step);
}

static int make_folder(const char *path, struct error *err)
{
	struct sockaddr_un address;
	char *end;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	end = strrchr(address.sun_path, '/');
	if (end == NULL || end == address.sun_path)
		return 0;
	*end = '\0';
	if (mkdir(address.sun_path, 0755) < 0 && errno != EEXIST)
		return fail(err, path, "make its folder");
	return 0;
}

// Remove what a killed hostd left. Whoever is alive answers a connect, or has a full backlog.
static int remove_stale(const struct sockaddr_un *address, struct error *err)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;
	int r = 0;

	if (fd < 0)
		return fail(err, address->sun_path, "socket");
	if (lstat(address->sun_path, &st) == 0 && !S_ISSOCK(st.st_mode))
		r = error_set(err, EEXIST, CODE_INTERNAL, "listen on %s: it is there and no socket",
			      address->sun_path);
	else if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
		 errno == EAGAIN)
		r = error_set(err, EADDRINUSE, CODE_INTERNAL,
			      "listen on %s: another podport-hostd does", address->sun_path);
	else if (errno == ECONNREFUSED && unlink(address->sun_path) < 0)
		r = fail(err, address->sun_path, "remove the stale socket");
	close(fd);
	return r;
}

int local_listen(const char *path, mode_t mode, int *ret_fd, struct error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *step = "socket";
	int fd, r;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	r = make_folder(path, err);
	if (r == 0)
		r = remove_stale(&address, err);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	// The mode before listen: nobody gets in under another one.
	if (fd < 0 || (step = "bind", bind(fd, (struct sockaddr *)&address, sizeof(address))) < 0 ||
	    (step = "chmod", chmod(path, mode)) < 0 || (step = "listen", listen(fd, BACKLOG)) < 0) {
		r = fail(err, path, step);
		if (fd >= 0)
			close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

void local_fds_close(struct local_fds *fds)
{
	for (unsigned int i = 0; i < fds->count; i++)
		close(fds->fds[i]);
	fds->count = 0;
}

static void take_fds(struct msghdr *message, struct local_fds *fds)
{
	struct cmsghdr *control;

	for (control = CMSG_FIRSTHDR(message); control != NULL;
	     control = CMSG_NXTHDR(message, control)) {
		size_t count;

		if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS)
			continue;
		count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count && fds->count < LOCAL_FDS_MAX; i++)
			memcpy(&fds->fds[fds->count++], CMSG_DATA(control) + i * sizeof(int),
			       sizeof(int));
	}
}

ssize_t local_receive(int fd, uint8_t *packet, size_t size, int *ret_flags,
		      struct local_fds *ret_fds)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * LOCAL_FDS_MAX)];
		struct cmsghdr align;
	} control;
	struct iovec part = {packet, size};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control.bytes,
				 .msg_controllen = sizeof(control.bytes)};
	ssize_t got = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (got < 0)
		return got;
	ret_fds->count = 0;
	*ret_flags = message.msg_flags;
	take_fds(&message, ret_fds);
	return got;
}
