// SPDX-License-Identifier: BSD-3-Clause
//
// The card's functions and its loop; the driver's connection is card_driver.c's. What has happened
// to a function is asked of its descriptor; rtnetlink only says when to ask. One thread, that of
// card_run(), which sleeps when nothing happens.

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

#include "sim/simnic/card_private.h"

// A dying netns announces itself before its netdevs go, and the kernel takes from a millisecond to
// seconds for it. So the card looks at growing intervals after such an announcement, then rests.
enum { CHECK_FIRST_MS = 2, CHECK_FACTOR = 3, CHECK_LAST_MS = 8000 };

void card_say(const struct card *card, int level, const char *format, ...)
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

int card_watch(struct card *card, int fd)
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
	return card_watch(card, card->netlink_fd);
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
	if (card->epoll_fd < 0 || card->stop_fd < 0 || card_watch(card, card->stop_fd) < 0)
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
	return card_watch(card, card->listen_fd);
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

// ---- functions that went --------------------------------------------------------------------------------

static void replace(struct card *card, uint16_t index)
{
	struct function *function = &card->functions[index];
	char why[CARD_TEXT_SIZE];

	if (tap_create(&function->tap, &card->fds[index], why, sizeof(why)) < 0) {
		if (!function->blocked)
			card_say(card, LOG_WARNING, "function waits netdev=%s reason=\"%s\"",
				 function->tap.name, why);
		card->blocked += !function->blocked;
		function->blocked = true;
		return;
	}
	card->blocked -= function->blocked;
	function->blocked = false;
	function->lost = false;
	function->dirty = true;
	card_say(card, LOG_INFO, "function replaced netdev=%s", function->tap.name);
}

void card_give_up(struct card *card, uint16_t index)
{
	struct function *function = &card->functions[index];

	if (function->lost)
		return;
	close(card->fds[index]);
	card->fds[index] = -1;
	function->lost = true;
	function->dirty = true;
}

void card_check_one(struct card *card, uint16_t index)
{
	if (!tap_alive(card->fds[index]))
		card_give_up(card, index);
	if (card->functions[index].lost)
		replace(card, index);
}

void card_check(struct card *card)
{
	for (uint16_t i = 0; i < card->count; i++)
		card_check_one(card, i);
}

void card_check_soon(struct card *card)
{
	card->check_ms = CHECK_FIRST_MS;
	card->check_at_ms = 0;
}

static void check_if_due(struct card *card)
{
	uint64_t now = now_ms();

	if (card->check_ms == 0 || now < card->check_at_ms)
		return;
	card_check(card);
	card_driver_update(card);
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
	card_check_soon(card);
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
				card_driver_event(card);
			else if (fd == card->listen_fd)
				card_accept_driver(card);
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
