// SPDX-License-Identifier: BSD-3-Clause
//
// The driver's end of the connection. Everything that comes is checked before use, and descriptors
// that came with something wrong are closed. In the probing thread first, then in the pipeline's.

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "sim/simnic/card_link.h"

enum { CARD_LINK_TIMEOUT_MS = 5000 };

// One packet and the descriptors that came with it; those beyond max are closed.
static ssize_t receive(int fd, struct card_message *message, int *ret_fds,
		       unsigned int *ret_fd_count)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(CARD_BATCH_MAX * sizeof(int))];
	} control;
	struct iovec part = {.iov_base = message, .iov_len = sizeof(*message)};
	struct msghdr header = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t size;

	*ret_fd_count = 0;
	do {
		size = recvmsg(fd, &header, MSG_CMSG_CLOEXEC);
	} while (size < 0 && errno == EINTR);
	if (size <= 0)
		return size < 0 ? -errno : -ECONNRESET;
	for (struct cmsghdr *part_of = CMSG_FIRSTHDR(&header); part_of != NULL;
	     part_of = CMSG_NXTHDR(&header, part_of)) {
		if (part_of->cmsg_level != SOL_SOCKET || part_of->cmsg_type != SCM_RIGHTS)
			continue;
		*ret_fd_count = (part_of->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(ret_fds, CMSG_DATA(part_of), *ret_fd_count * sizeof(int));
	}
	if (size != sizeof(*message) || message->magic != CARD_MAGIC ||
	    (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		return -EPROTO;
	return size;
}

int card_link_greet(int fd, struct card_message *ret_hello, char *ret_why, size_t why_size)
{
	struct timeval timeout = {.tv_sec = CARD_LINK_TIMEOUT_MS / 1000};
	struct card_message hello;
	int fds[CARD_BATCH_MAX];
	unsigned int fd_count;
	ssize_t size;

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	size = receive(fd, &hello, fds, &fd_count);
	for (unsigned int i = 0; i < fd_count; i++)
		close(fds[i]);
	if (size < 0) {
		snprintf(ret_why, why_size, "the card does not answer: %s", strerror(-(int)size));
		return size;
	}
	if (hello.version != CARD_VERSION) {
		snprintf(ret_why, why_size, "the card speaks version %u, this driver %u",
			 hello.version, CARD_VERSION);
		return -EPROTO;
	}
	if (hello.type == CARD_REFUSED) {
		snprintf(ret_why, why_size, "%.*s", CARD_TEXT_SIZE - 1, hello.refused.text);
		return -EBUSY;
	}
	if (hello.type != CARD_HELLO || hello.hello.vfs > CARD_VFS_MAX ||
	    hello.hello.vnet_header_size != CARD_VNET_HEADER_SIZE) {
		snprintf(ret_why, why_size, "the card's greeting is malformed");
		return -EPROTO;
	}
	*ret_hello = hello;
	return 0;
}

int card_link_connect(const char *path, int *ret_fd, struct card_message *ret_hello, char *ret_why,
		      size_t why_size)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, error;

	if (strlen(path) >= sizeof(address.sun_path)) {
		snprintf(ret_why, why_size, "socket path %s is too long", path);
		return -ENAMETOOLONG;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		error = -errno;
		snprintf(ret_why, why_size, "no card at %s: %s", path, strerror(-error));
	} else {
		error = card_link_greet(fd, ret_hello, ret_why, why_size);
	}
	if (error < 0) {
		if (fd >= 0)
			close(fd);
		return error;
	}
	*ret_fd = fd;
	return 0;
}

// Whether every entry is one this device has, and as many are present as descriptors came.
static int validate(const struct card_message *message, uint16_t function_count,
		    unsigned int fd_count)
{
	unsigned int present = 0;

	if (message->type != CARD_FUNCTIONS || message->functions.count > CARD_BATCH_MAX)
		return -EPROTO;
	for (unsigned int i = 0; i < message->functions.count; i++) {
		if (message->functions.entries[i].index >= function_count)
			return -EPROTO;
		present += message->functions.entries[i].present != 0;
	}
	return present == fd_count ? 0 : -EPROTO;
}

int card_link_read(int fd, uint16_t function_count, card_link_function changed, void *argument)
{
	struct card_message message;
	int fds[CARD_BATCH_MAX], error;
	unsigned int fd_count, next = 0;
	ssize_t size = receive(fd, &message, fds, &fd_count);

	error = size < 0 ? (int)size : validate(&message, function_count, fd_count);
	if (error < 0) {
		for (unsigned int i = 0; i < fd_count; i++)
			close(fds[i]);
		return error;
	}
	for (unsigned int i = 0; i < message.functions.count; i++) {
		struct card_function *entry = &message.functions.entries[i];

		entry->netdev[sizeof(entry->netdev) - 1] = '\0';
		changed(argument, entry, entry->present ? fds[next++] : -1);
	}
	return 0;
}

static int tell(int fd, enum card_message_type type, uint16_t index)
{
	struct card_message message = {.magic = CARD_MAGIC, .version = CARD_VERSION, .type = type};

	message.about.index = index;
	return send(fd, &message, sizeof(message), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

void card_link_lost(int fd, uint16_t index)
{
	(void)tell(fd, CARD_LOST, index);
}

int card_link_replace(int fd, uint16_t index)
{
	return tell(fd, CARD_REPLACE, index);
}
