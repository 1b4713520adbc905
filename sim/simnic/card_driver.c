// SPDX-License-Identifier: BSD-3-Clause
//
// The card's end of the connection to the driver (card_protocol.h). Each function is "dirty" until
// the driver was told of its state; that one flag serves the first attachment, a function replaced
// later, and a driver that reads slowly. In card_run()'s thread.

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <syslog.h>
#include <unistd.h>

#include "sim/simnic/card_private.h"

static void message_init(struct card_message *message, enum card_message_type type)
{
	memset(message, 0, sizeof(*message));
	message->magic = CARD_MAGIC;
	message->version = CARD_VERSION;
	message->type = type;
}

static void driver_drop(struct card *card, const char *why)
{
	card_say(card, LOG_INFO, "driver detached pid=%d reason=\"%s\"", (int)card->driver_pid,
		 why);
	close(card->driver_fd); // leaves the epoll set with it
	card->driver_fd = -1;
}

// One message with as many dirty functions as it holds. 0: none was dirty.
static unsigned int collect(struct card *card, struct card_message *message, int *ret_fds,
			    unsigned int *ret_fd_count)
{
	unsigned int count = 0, fd_count = 0;

	message_init(message, CARD_FUNCTIONS);
	for (uint16_t i = 0; i < card->count && count < CARD_BATCH_MAX; i++) {
		struct card_function *entry = &message->functions.entries[count];

		if (!card->functions[i].dirty)
			continue;
		entry->index = i;
		entry->present = card->fds[i] >= 0;
		memcpy(entry->mac, card->functions[i].tap.mac, sizeof(entry->mac));
		memcpy(entry->netdev, card->functions[i].tap.name, sizeof(entry->netdev));
		if (entry->present)
			ret_fds[fd_count++] = card->fds[i];
		count++;
	}
	message->functions.count = count;
	*ret_fd_count = fd_count;
	return count;
}

static int send_functions(int socket_fd, const struct card_message *message, const int *fds,
			  unsigned int fd_count)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(CARD_BATCH_MAX * sizeof(int))];
	} control = {0};
	struct iovec part = {.iov_base = (void *)(uintptr_t)message, .iov_len = sizeof(*message)};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};

	if (fd_count > 0) {
		header.msg_control = control.bytes;
		header.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, fd_count * sizeof(int));
	}
	return sendmsg(socket_fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

void card_driver_update(struct card *card)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = card->driver_fd};
	int fds[CARD_BATCH_MAX], error = 0;
	struct card_message message;
	unsigned int count, fd_count;

	if (card->driver_fd < 0)
		return;
	while ((count = collect(card, &message, fds, &fd_count)) > 0) {
		error = send_functions(card->driver_fd, &message, fds, fd_count);
		if (error < 0)
			break;
		for (unsigned int i = 0; i < count; i++)
			card->functions[message.functions.entries[i].index].dirty = false;
	}
	if (error < 0 && error != -EAGAIN) {
		driver_drop(card, strerror(-error));
		return;
	}
	if (error == -EAGAIN)
		event.events |= EPOLLOUT;
	(void)epoll_ctl(card->epoll_fd, EPOLL_CTL_MOD, card->driver_fd, &event);
}

static int driver_attach(struct card *card, int fd, pid_t pid)
{
	struct card_message message;
	int error;

	message_init(&message, CARD_HELLO);
	message.hello.vfs = card->config.vfs;
	message.hello.vnet_header_size = CARD_VNET_HEADER_SIZE;
	memcpy(message.hello.name, card->config.name, sizeof(message.hello.name));
	error = send_functions(fd, &message, NULL, 0);
	if (error == 0)
		error = card_watch(card, fd);
	if (error < 0) {
		close(fd);
		return error;
	}
	card->driver_fd = fd;
	card->driver_pid = pid;
	card_say(card, LOG_INFO, "driver attached pid=%d", (int)pid);
	for (unsigned int i = 0; i < card->count; i++)
		card->functions[i].dirty = true;
	card_check(card); // what died unseen is replaced before the driver gets it
	card_driver_update(card);
	return 0;
}

int card_adopt(struct card *card, int driver_fd)
{
	return driver_attach(card, driver_fd, getpid());
}

// A killed driver's successor may be here before its end was read from the socket.
static bool driver_is_alive(struct card *card)
{
	struct pollfd poll_fd = {.fd = card->driver_fd};

	return card->driver_fd >= 0 && poll(&poll_fd, 1, 0) >= 0 &&
	       !(poll_fd.revents & (POLLHUP | POLLERR));
}

void card_accept_driver(struct card *card)
{
	struct ucred peer = {0};
	socklen_t size = sizeof(peer);
	struct card_message message;
	int fd = accept4(card->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	(void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
	if (driver_is_alive(card)) {
		message_init(&message, CARD_REFUSED);
		snprintf(message.refused.text, sizeof(message.refused.text),
			 "a driver (pid %d) is attached to %s already", (int)card->driver_pid,
			 card->config.name);
		(void)send_functions(fd, &message, NULL, 0);
		close(fd);
		card_say(card, LOG_WARNING, "driver refused pid=%d reason=\"pid %d is attached\"",
			 (int)peer.pid, (int)card->driver_pid);
		return;
	}
	if (card->driver_fd >= 0)
		driver_drop(card, "closed");
	(void)driver_attach(card, fd, peer.pid);
}

void card_driver_event(struct card *card)
{
	struct card_message message;
	ssize_t size = recv(card->driver_fd, &message, sizeof(message), 0);

	if (size > 0) {
		if (size != sizeof(message) || message.magic != CARD_MAGIC ||
		    message.version != CARD_VERSION ||
		    (message.type != CARD_LOST && message.type != CARD_REPLACE) ||
		    message.about.index >= card->count) {
			driver_drop(card, "protocol error");
			return;
		}
		if (message.type == CARD_REPLACE)
			card_give_up(card, message.about.index);
		card_check_one(card, message.about.index);
		if (card->blocked > 0)
			card_check_soon(card);
	} else if (size == 0 || (errno != EAGAIN && errno != EINTR)) {
		driver_drop(card, size == 0 ? "closed" : strerror(errno));
		return;
	}
	card_driver_update(card);
}
