// SPDX-License-Identifier: BSD-3-Clause

#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf_common.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "sim/simnic/card.h"
#include "sim/simnic/card_protocol.h"
#include "sim/simnic/tap.h"

// A dying netns announces itself before its netdevs go, and the kernel takes from a millisecond to
// seconds for it. So the card looks at growing intervals after such an announcement, then rests.
enum { CHECK_FIRST_MS = 2, CHECK_FACTOR = 3, CHECK_LAST_MS = 8000 };

struct function {
	struct tap_config tap;
	bool dirty;   // the driver has not been told of its present state
	bool lost;    // to be replaced; fds[] says -1
	bool blocked; // replacing it failed, which has been logged
};

struct card {
	struct card_config config;
	uint16_t count; // functions, with PF and wire
	struct function *functions;
	int *fds; // of functions, -1 while lost
	int epoll_fd;
	int stop_fd;
	int netlink_fd;
	int listen_fd;
	int driver_fd; // -1: none attached
	pid_t driver_pid;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	unsigned int check_ms; // next interval; 0: resting
	uint64_t check_at_ms;  // when to look at all functions
	unsigned int blocked;  // number of functions that could not be replaced
	bool stopped;
};

__attribute__((format(printf, 3, 4))) static void say(const struct card *card, int level,
						      const char *format, ...)
{
	char text[256];
	va_list arguments;

	if (card->config.log == NULL)
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	card->config.log(level, text);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// ---- set up ---------------------------------------------------------------------------------------------

void card_config_defaults(struct card_config *config)
{
	static const uint8_t unset[6];
	uint32_t hash = 2166136261; // FNV-1a

	if (config->pf[0] == '\0')
		snprintf(config->pf, sizeof(config->pf), "podport0");
	if (config->wire[0] == '\0')
		snprintf(config->wire, sizeof(config->wire), "%.13sw", config->name);
	if (memcmp(config->mac_base, unset, sizeof(unset)) != 0)
		return;
	for (const char *c = config->name; *c != '\0'; c++)
		hash = (hash ^ (uint8_t)*c) * 16777619;
	config->mac_base[0] = 0x02; // locally administered, unicast
	config->mac_base[1] = 0x5a;
	config->mac_base[2] = hash >> 8;
	config->mac_base[3] = hash;
}

static void function_init(struct function *function, const struct card_config *config,
			  uint16_t index)
{
	struct tap_config *tap = &function->tap;
	uint16_t last, offset;

	switch (index) {
	case CARD_INDEX_WIRE:
		snprintf(tap->name, sizeof(tap->name), "%s", config->wire);
		snprintf(tap->alias, sizeof(tap->alias), "simnic:%s:wire", config->name);
		offset = 0xffff;
		break;
	case CARD_INDEX_PF:
		snprintf(tap->name, sizeof(tap->name), "%s", config->pf);
		snprintf(tap->alias, sizeof(tap->alias), "simnic:%s:pf", config->name);
		offset = 0;
		break;
	default:
		snprintf(tap->name, sizeof(tap->name), "%.11sv%u", config->name,
			 (index - CARD_INDEX_VF0) % 1000U);
		snprintf(tap->alias, sizeof(tap->alias), "simnic:%s:vf%u", config->name,
			 index - CARD_INDEX_VF0);
		offset = index - CARD_INDEX_VF0 + 1;
		break;
	}
	memcpy(tap->mac, config->mac_base, sizeof(tap->mac));
	last = (tap->mac[4] << 8 | tap->mac[5]) + offset;
	tap->mac[4] = last >> 8;
	tap->mac[5] = last;
}

// One descriptor for each function, here and, when the driver is in the same process, there.
static int raise_descriptor_limit(unsigned int count, char *ret_why, size_t why_size)
{
	rlim_t wanted = 4 * (rlim_t)count + 256;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	if (limit.rlim_cur >= wanted)
		return 0;
	limit.rlim_cur = wanted;
	if (limit.rlim_max < wanted)
		limit.rlim_max = wanted; // root may
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
		snprintf(ret_why, why_size,
			 "%u functions need a limit of %llu open files (ulimit -n): %s", count,
			 (unsigned long long)wanted, strerror(errno));
		return -EMFILE;
	}
	return 0;
}

static int watch(struct card *card, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(card->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

// Ask to be told of netdevs that go, here or in a netns one of ours was moved to, and of such a
// netns that dies. What the messages say is not needed, so the kernel is given a filter: machines
// make and move netdevs all the time.
static int netlink_watch(struct card *card)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELLINK), 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELNSID), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
	int group = RTNLGRP_NSID, on = 1;

	card->netlink_fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (card->netlink_fd < 0)
		return -errno;
	if (setsockopt(card->netlink_fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) <
		    0 ||
	    bind(card->netlink_fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    setsockopt(card->netlink_fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group,
		       sizeof(group)) < 0 ||
	    setsockopt(card->netlink_fd, SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, &on, sizeof(on)) < 0)
		return -errno;
	return watch(card, card->netlink_fd);
}

int card_new(const struct card_config *config, struct card **ret_card, char *ret_why,
	     size_t why_size)
{
	struct card *card = calloc(1, sizeof(*card));
	int error = -ENOMEM;

	snprintf(ret_why, why_size, "out of memory or descriptors");
	if (card == NULL)
		return error;
	card->config = *config;
	card->epoll_fd = card->stop_fd = card->netlink_fd = card->listen_fd = card->driver_fd = -1;
	card->functions = calloc(CARD_INDEX_VF0 + config->vfs, sizeof(*card->functions));
	card->fds = calloc(CARD_INDEX_VF0 + config->vfs, sizeof(*card->fds));
	if (card->functions == NULL || card->fds == NULL)
		goto fail;
	error = raise_descriptor_limit(CARD_INDEX_VF0 + config->vfs, ret_why, why_size);
	if (error < 0)
		goto fail;
	card->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	card->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (card->epoll_fd < 0 || card->stop_fd < 0 || watch(card, card->stop_fd) < 0)
		goto fail;
	for (; card->count < CARD_INDEX_VF0 + config->vfs; card->count++) {
		struct function *function = &card->functions[card->count];

		function_init(function, config, card->count);
		error = tap_create(&function->tap, &card->fds[card->count], ret_why, why_size);
		if (error < 0)
			goto fail;
	}
	error = netlink_watch(card);
	if (error < 0) {
		snprintf(ret_why, why_size, "listening to rtnetlink: %s", strerror(-error));
		goto fail;
	}
	*ret_card = card;
	return 0;
fail:
	card_free(card);
	return error;
}

static bool answers(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	bool connected =
		fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0;

	if (fd >= 0)
		close(fd);
	return connected;
}

int card_listen(struct card *card, const char *path, char *ret_why, size_t why_size)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX}, target = {.sun_family = AF_UNIX};
	int error, length;

	length = snprintf(address.sun_path, sizeof(address.sun_path), "%s.new", path);
	if ((size_t)length >= sizeof(address.sun_path)) {
		snprintf(ret_why, why_size, "socket path %s is too long", path);
		return -ENAMETOOLONG;
	}
	memcpy(target.sun_path, path, strlen(path) + 1);
	if (answers(&target)) {
		snprintf(ret_why, why_size, "another card answers at %s", path);
		return -EADDRINUSE;
	}
	card->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (card->listen_fd < 0)
		return -errno;
	// Made aside and renamed, so that whoever sees the path can connect to it.
	(void)unlink(address.sun_path);
	if (bind(card->listen_fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    chmod(address.sun_path, 0600) < 0 || listen(card->listen_fd, 8) < 0 ||
	    rename(address.sun_path, path) < 0) {
		error = -errno;
		snprintf(ret_why, why_size, "socket %s: %s", path, strerror(-error));
		(void)unlink(address.sun_path);
		return error;
	}
	snprintf(card->path, sizeof(card->path), "%s", path);
	return watch(card, card->listen_fd);
}

void card_free(struct card *card)
{
	if (card == NULL)
		return;
	if (card->path[0] != '\0')
		(void)unlink(card->path);
	tap_delete_many(card->fds, card->count);
	for (unsigned int i = 0; i < card->count; i++)
		if (card->fds[i] >= 0)
			close(card->fds[i]);
	const int fds[] = {card->driver_fd, card->listen_fd, card->netlink_fd, card->stop_fd,
			   card->epoll_fd};
	for (unsigned int i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(card->fds);
	free(card->functions);
	free(card);
}

// ---- the driver -----------------------------------------------------------------------------------------

static void message_init(struct card_message *message, enum card_message_type type)
{
	memset(message, 0, sizeof(*message));
	message->magic = CARD_MAGIC;
	message->version = CARD_VERSION;
	message->type = type;
}

static void driver_drop(struct card *card, const char *why)
{
	say(card, LOG_INFO, "driver detached pid=%d reason=\"%s\"", (int)card->driver_pid, why);
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

// Tell the driver what it does not know yet. When its socket is full, the rest follows once it has read.
static void driver_update(struct card *card)
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

static void check(struct card *card);

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
		error = watch(card, fd);
	if (error < 0) {
		close(fd);
		return error;
	}
	card->driver_fd = fd;
	card->driver_pid = pid;
	say(card, LOG_INFO, "driver attached pid=%d", (int)pid);
	for (unsigned int i = 0; i < card->count; i++)
		card->functions[i].dirty = true;
	check(card); // what died unseen is replaced before the driver gets it
	driver_update(card);
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

static void accept_driver(struct card *card)
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
		say(card, LOG_WARNING, "driver refused pid=%d reason=\"pid %d is attached\"",
		    (int)peer.pid, (int)card->driver_pid);
		return;
	}
	if (card->driver_fd >= 0)
		driver_drop(card, "closed");
	(void)driver_attach(card, fd, peer.pid);
}

// ---- functions that went --------------------------------------------------------------------------------

static void replace(struct card *card, uint16_t index)
{
	struct function *function = &card->functions[index];
	char why[CARD_TEXT_SIZE];

	if (tap_create(&function->tap, &card->fds[index], why, sizeof(why)) < 0) {
		if (!function->blocked)
			say(card, LOG_WARNING, "function waits netdev=%s reason=\"%s\"",
			    function->tap.name, why);
		card->blocked += !function->blocked;
		function->blocked = true;
		return;
	}
	card->blocked -= function->blocked;
	function->blocked = false;
	function->lost = false;
	function->dirty = true;
	say(card, LOG_INFO, "function replaced netdev=%s", function->tap.name);
}

static void check_one(struct card *card, uint16_t index)
{
	struct function *function = &card->functions[index];

	if (!function->lost && !tap_alive(card->fds[index])) {
		close(card->fds[index]);
		card->fds[index] = -1;
		function->lost = true;
		function->dirty = true;
	}
	if (function->lost)
		replace(card, index);
}

static void check(struct card *card)
{
	for (uint16_t i = 0; i < card->count; i++)
		check_one(card, i);
}

static void check_soon(struct card *card)
{
	card->check_ms = CHECK_FIRST_MS;
	card->check_at_ms = 0;
}

static void check_if_due(struct card *card)
{
	uint64_t now = now_ms();

	if (card->check_ms == 0 || now < card->check_at_ms)
		return;
	check(card);
	driver_update(card);
	card->check_at_ms = now + card->check_ms;
	if (card->check_ms < CHECK_LAST_MS)
		card->check_ms *= CHECK_FACTOR;
	else if (card->blocked == 0)
		card->check_ms = 0;
}

static int time_to_wait_ms(const struct card *card)
{
	uint64_t now = now_ms();

	if (card->check_ms == 0)
		return -1;
	return card->check_at_ms > now ? (int)(card->check_at_ms - now) : 0;
}

// ---- the loop -------------------------------------------------------------------------------------------

static void on_netlink(struct card *card)
{
	char buffer[8192];

	while (recv(card->netlink_fd, buffer, sizeof(buffer), 0) > 0 || errno == ENOBUFS ||
	       errno == EINTR)
		;
	check_soon(card);
}

static void on_driver(struct card *card, uint32_t events)
{
	struct card_message message;
	ssize_t size = recv(card->driver_fd, &message, sizeof(message), 0);

	if (size > 0) {
		if (size != sizeof(message) || message.magic != CARD_MAGIC ||
		    message.version != CARD_VERSION || message.type != CARD_LOST ||
		    message.lost.index >= card->count) {
			driver_drop(card, "protocol error");
			return;
		}
		check_one(card, message.lost.index);
		if (card->blocked > 0)
			check_soon(card);
	} else if (size == 0 || (errno != EAGAIN && errno != EINTR)) {
		driver_drop(card, size == 0 ? "closed" : strerror(errno));
		return;
	}
	driver_update(card);
}

void card_run(struct card *card)
{
	struct epoll_event events[8];

	while (!card->stopped) {
		int count = epoll_wait(card->epoll_fd, events, 8, time_to_wait_ms(card));

		for (int i = 0; i < count; i++) {
			int fd = events[i].data.fd;

			if (fd == card->stop_fd)
				card->stopped = true;
			else if (fd == card->netlink_fd)
				on_netlink(card);
			else if (fd == card->driver_fd)
				on_driver(card, events[i].events);
			else if (fd == card->listen_fd)
				accept_driver(card);
		}
		check_if_due(card);
	}
}

void card_stop(struct card *card)
{
	uint64_t one = 1;
	ssize_t written = write(card->stop_fd, &one, sizeof(one));

	(void)written; // fails only if it was asked to stop 2^64 times
}
