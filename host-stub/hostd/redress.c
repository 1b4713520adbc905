// SPDX-License-Identifier: BSD-3-Clause
//
// Running pods whose function came back without them: see redress.h.

#include "hostd/redress.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hostd/clock.h"
#include "proto/base/log.h"

// The netdev is there already, so what dressing may wait for is the kernel's own work.
enum { DRESS_MS = 500 };

// The attachment as the agent has it now: it may have been deleted, and even added anew, since it was listed.
static int ask_agent(struct hostd *hostd, const struct attachment *listed,
		     struct attachment *ret_attachment, struct error *err)
{
	struct request request = {.call = CALL_CHECK, .body.check.key = listed->key};
	struct reply reply;
	int r;

	request.body.check.sandbox = listed->sandbox;
	r = link_call(hostd->link, &request, hostd->config.timeout_ms, &reply, err);
	if (r < 0)
		return r;
	if (reply.code != CODE_OK)
		r = reply_to_error(&reply, err);
	else
		*ret_attachment = reply.body.check;
	reply_clear(&reply);
	return r;
}

static int dress(struct hostd *hostd, const struct attachment *listed, int netns_fd,
		 bool *ret_created, struct error *err)
{
	struct attachment attachment;
	int r = ask_agent(hostd, listed, &attachment, err);

	if (r < 0)
		return err->code == CODE_NOT_FOUND ? 0 : r;
	if (attachment.created_unix_ms != listed->created_unix_ms ||
	    attachment.sandbox.inode != listed->sandbox.inode ||
	    attachment.sandbox.cookie != listed->sandbox.cookie)
		return 0; // another one: for the next look
	return wiring_dress(&hostd->wiring, netns_fd, &attachment, clock_ms() + DRESS_MS,
			    ret_created, err);
}

bool redress_if_lost(struct hostd *hostd, const struct wiring_home *home,
		     const struct attachment *attachment)
{
	static struct log_ratelimit limit = {.interval_ms = 60 * 1000, .burst = 5};
	const struct attachment_key *key = &attachment->key;
	bool created = false;
	char netdev[IFNAMSIZ];
	struct error error;
	int fd, r;

	if (attachment->sandbox.inode == 0 || attachment->sandbox.path[0] == '\0' ||
	    !wiring_is_home(home, attachment) ||
	    wiring_netdev_name(&hostd->wiring, attachment, netdev, &error) < 0)
		return false;
	fd = netns_open_path(&hostd->wiring.host, attachment->sandbox.path, &attachment->sandbox);
	if (fd < 0)
		return false;
	r = dress(hostd, attachment, fd, &created, &error);
	close(fd);
	if (created)
		log_warning("a function was lost and came back, its pod is dressed again",
			    "network=%s container=%s ifname=%s function=%s", key->network,
			    key->container_id, key->ifname, netdev);
	else if (r < 0 && log_ratelimit_ok(&limit))
		log_warning("a function was lost and came back, but its pod cannot be dressed",
			    "network=%s container=%s ifname=%s function=%s error=\"%s\"",
			    key->network, key->container_id, key->ifname, netdev, error.message);
	return created;
}

// ---- watching ------------------------------------------------------------------------------------

int redress_watch_open(struct error *err)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE), r;

	if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	r = error_set(err, errno, CODE_INTERNAL, "watch the host's functions: %m");
	if (fd >= 0)
		close(fd);
	return r;
}

static bool is_function(struct nlmsghdr *header, const struct wiring *wiring)
{
	struct nlattr *name;

	if (header->nlmsg_type != RTM_NEWLINK)
		return false;
	name = nlmsg_find_attr(header, sizeof(struct ifinfomsg), IFLA_IFNAME);
	return name != NULL && wiring_is_ours_name(wiring, nla_get_string(name));
}

bool redress_watch_read(int fd, const struct wiring *wiring)
{
	char buffer[32 * 1024] __attribute__((aligned(NLMSG_ALIGNTO)));
	bool came = false;

	for (;;) {
		ssize_t size = recv(fd, buffer, sizeof(buffer), 0);
		struct nlmsghdr *header = (struct nlmsghdr *)buffer;
		int left = (int)size;

		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0 && errno != ENOBUFS)
			return came;
		came |= size < 0; // overrun: one may have come
		for (; nlmsg_ok(header, left); header = nlmsg_next(header, &left))
			came |= is_function(header, wiring);
	}
}
