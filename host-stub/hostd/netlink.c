// SPDX-License-Identifier: BSD-3-Clause
//
// rtnetlink: the socket, batches and dumps. What the single messages look like is in
// netlink_message.c.

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hostd/netlink_private.h"

// The kernel puts at most 32 KiB into one part of a dump, and no single link comes near it.
enum { RECEIVE_BYTES = 32 * 1024 };

int netlink_open(struct netlink *ret_netlink, struct error *err)
{
	int one = 1;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0)
		return error_set(err, errno, CODE_INTERNAL, "open a netlink socket: %m");
	// Both only make errors better and answers shorter; an old kernel works without.
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	*ret_netlink = (struct netlink){.fd = fd, .sequence = 1};
	return 0;
}

void netlink_close(struct netlink *netlink)
{
	if (netlink->fd > 0)
		close(netlink->fd);
	netlink->fd = -1;
}

// One datagram, whole. Answers to a request are there when sendmsg returns, so this never waits;
// were it to, the time limit of the socket would be a bug's only sign.
static ssize_t receive(struct netlink *netlink, void *buffer, size_t size)
{
	for (;;) {
		ssize_t got = recv(netlink->fd, buffer, size, MSG_TRUNC);

		if (got < 0 && errno == EINTR)
			continue;
		if (got > (ssize_t)size) {
			errno = EMSGSIZE;
			return -1;
		}
		return got;
	}
}

// The kernel's own words in an error answer (NETLINK_EXT_ACK), "" if it has none.
static void extended_message(struct nlmsghdr *header, const char **ret_text, int *ret_size)
{
	struct nlmsgerr *answer = nlmsg_data(header);
	size_t skip = sizeof(*answer);
	struct nlattr *attribute;
	int left;

	*ret_text = "";
	*ret_size = 0;
	if (!(header->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(header->nlmsg_flags & NLM_F_CAPPED))
		skip += answer->msg.nlmsg_len - NLMSG_HDRLEN;
	if (nlmsg_datalen(header) <= (int)skip)
		return;
	left = nlmsg_datalen(header) - (int)skip;
	attribute = nla_find((struct nlattr *)((char *)nlmsg_data(header) + skip), left,
			     NLMSGERR_ATTR_MSG);
	if (attribute == NULL)
		return;
	*ret_text = nla_data(attribute);
	*ret_size = (int)strnlen(*ret_text, (size_t)nla_len(attribute));
}

static int change_error(struct nlmsghdr *header, int errno_value, const char *what,
			struct error *err)
{
	const char *text;
	int size;

	extended_message(header, &text, &size);
	if (size > 0)
		return error_set(err, errno_value, CODE_WIRING, "%s: %s (%.*s)", what,
				 strerror(errno_value), size, text);
	return error_set(err, errno_value, CODE_WIRING, "%s: %s", what, strerror(errno_value));
}

void netlink_batch_clear(struct netlink_batch *batch)
{
	for (unsigned int i = 0; i < batch->count; i++)
		nlmsg_free(batch->changes[i].message);
	memset(batch, 0, sizeof(*batch));
}

// Read answers until that of the last change. Returns the first error.
static int collect(struct netlink *netlink, struct netlink_batch *batch, uint32_t first_sequence,
		   struct error *err)
{
	char buffer[8192] __attribute__((aligned(NLMSG_ALIGNTO)));
	int r = 0;

	for (;;) {
		ssize_t size = receive(netlink, buffer, sizeof(buffer));
		struct nlmsghdr *header = (struct nlmsghdr *)buffer;
		int left = (int)size;

		if (size < 0)
			return error_set(err, errno, CODE_WIRING, "read netlink's answer: %m");
		for (; nlmsg_ok(header, left); header = nlmsg_next(header, &left)) {
			uint32_t index = header->nlmsg_seq - first_sequence;
			struct netlink_change *change;
			int errno_value;

			if (header->nlmsg_type != NLMSG_ERROR || index >= batch->count)
				continue; // left over from a request that was given up
			change = &batch->changes[index];
			errno_value = -((struct nlmsgerr *)nlmsg_data(header))->error;
			if (errno_value != 0 && errno_value != change->tolerated_errno && r == 0)
				r = change_error(header, errno_value, change->what, err);
			if (index == batch->count - 1)
				return r;
		}
	}
}

int netlink_send(struct netlink *netlink, struct netlink_batch *batch, struct error *err)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct iovec parts[NETLINK_BATCH_MAX];
	struct msghdr message = {.msg_name = &kernel,
				 .msg_namelen = sizeof(kernel),
				 .msg_iov = parts,
				 .msg_iovlen = batch->count};
	uint32_t first = netlink->sequence;
	int r;

	if (batch->failed) {
		netlink_batch_clear(batch);
		return error_set(err, ENOMEM, CODE_INTERNAL, "build netlink messages: no memory");
	}
	if (batch->count == 0)
		return 0;
	for (unsigned int i = 0; i < batch->count; i++) {
		struct nlmsghdr *header = nlmsg_hdr(batch->changes[i].message);

		header->nlmsg_seq = netlink->sequence++;
		header->nlmsg_flags |= NLM_F_REQUEST;
		// Errors always come; success of the last one says that all were handled.
		if (i == batch->count - 1)
			header->nlmsg_flags |= NLM_F_ACK;
		parts[i] = (struct iovec){header, NLMSG_ALIGN(header->nlmsg_len)};
	}
	do
		r = (int)sendmsg(netlink->fd, &message, 0);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		r = error_set(err, errno, CODE_WIRING, "%s: %m", batch->changes[0].what);
	else
		r = collect(netlink, batch, first, err);
	netlink_batch_clear(batch);
	return r;
}

// ---- questions -----------------------------------------------------------------------------------

// Send one request and hand every message of the answer to `visit`, until it ends. A single answer
// ends with itself, a dump with NLMSG_DONE. Returns 0, or the kernel's errno with err untouched.
int netlink_ask(struct netlink *netlink, struct nl_msg *request, bool dump,
		bool (*visit)(struct nlmsghdr *header, void *arg), void *arg)
{
	char buffer[RECEIVE_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *header = nlmsg_hdr(request);
	uint32_t sequence = netlink->sequence++;
	bool more = true;

	header->nlmsg_seq = sequence;
	header->nlmsg_flags |= NLM_F_REQUEST | (dump ? NLM_F_DUMP : 0);
	while (send(netlink->fd, header, header->nlmsg_len, 0) < 0)
		if (errno != EINTR)
			return -errno;
	for (;;) {
		ssize_t size = receive(netlink, buffer, sizeof(buffer));
		int left = (int)size;

		if (size < 0)
			return -errno;
		for (header = (struct nlmsghdr *)buffer; nlmsg_ok(header, left);
		     header = nlmsg_next(header, &left)) {
			if (header->nlmsg_seq != sequence)
				continue;
			if (header->nlmsg_type == NLMSG_DONE)
				return 0;
			if (header->nlmsg_type == NLMSG_ERROR)
				return ((struct nlmsgerr *)nlmsg_data(header))->error;
			if (more)
				more = visit(header, arg);
			if (!dump)
				return 0;
		}
	}
}
