// SPDX-License-Identifier: BSD-3-Clause
//
// What the kernel must do for an ADD and a DEL, and nothing else: a netdev into a network namespace, named, with addresses,
// neighbours and routes as a podport pod has them, and back. The floor that tests/bench/cni measures against; built by it.
//
//     netlink_ops add NETDEV NETNS IPV4 GATEWAY IPV6 GATEWAY     ("-": without that family)
//     netlink_ops del NETDEV NETNS
//
// NETLINK_OPS_WAIT_US in the environment: so long after its start it begins (see tests/bench/cni).

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct batch {
	size_t size;
	unsigned int count;
	char data[8192] __attribute__((aligned(NLMSG_ALIGNTO)));
};

static struct nlmsghdr *begin(struct batch *batch, int type, int flags, const void *header,
			      size_t size)
{
	struct nlmsghdr *message = (struct nlmsghdr *)(batch->data + batch->size);

	message->nlmsg_type = (unsigned short)type;
	message->nlmsg_flags = (unsigned short)(NLM_F_REQUEST | NLM_F_ACK | flags);
	message->nlmsg_seq = ++batch->count;
	message->nlmsg_len = (unsigned int)NLMSG_LENGTH(size);
	memcpy(NLMSG_DATA(message), header, size);
	return message;
}

static void put(struct nlmsghdr *message, int type, const void *data, size_t size)
{
	struct rtattr *attribute =
		(struct rtattr *)((char *)message + NLMSG_ALIGN(message->nlmsg_len));

	attribute->rta_type = (unsigned short)type;
	attribute->rta_len = (unsigned short)RTA_LENGTH(size);
	memcpy(RTA_DATA(attribute), data, size);
	message->nlmsg_len =
		(unsigned int)(NLMSG_ALIGN(message->nlmsg_len) + RTA_ALIGN(attribute->rta_len));
}

static void end(struct batch *batch, const struct nlmsghdr *message)
{
	batch->size += NLMSG_ALIGN(message->nlmsg_len);
}

static void run(struct batch *batch)
{
	char answer[16384] __attribute__((aligned(NLMSG_ALIGNTO)));
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	unsigned int left = batch->count;

	if (fd < 0 || send(fd, batch->data, batch->size, 0) < 0)
		err(1, "netlink");
	while (left > 0) {
		ssize_t size = recv(fd, answer, sizeof(answer), 0);
		struct nlmsghdr *message = (struct nlmsghdr *)answer;

		if (size < 0)
			err(1, "netlink");
		for (; NLMSG_OK(message, size); message = NLMSG_NEXT(message, size), left--) {
			const struct nlmsgerr *error = NLMSG_DATA(message);

			if (error->error != 0) {
				errno = -error->error;
				err(1, "netlink message %u", message->nlmsg_seq);
			}
		}
	}
	close(fd);
	memset(batch, 0, sizeof(*batch));
}

static int index_of(const char *name)
{
	unsigned int index = if_nametoindex(name);

	if (index == 0)
		err(1, "%s", name);
	return (int)index;
}

static void move(struct batch *batch, int index, int netns, const char *name, int down)
{
	struct ifinfomsg link = {.ifi_index = index, .ifi_change = down ? IFF_UP : 0};
	struct nlmsghdr *message = begin(batch, RTM_NEWLINK, 0, &link, sizeof(link));

	put(message, IFLA_NET_NS_FD, &netns, sizeof(netns));
	put(message, IFLA_IFNAME, name, strlen(name) + 1);
	end(batch, message);
}

static void add_route(struct batch *batch, int family, int index, const void *to, const void *via,
		      const void *source)
{
	size_t size = family == AF_INET ? 4 : 16;
	struct rtmsg route = {.rtm_family = (unsigned char)family,
			      .rtm_dst_len = (unsigned char)(to != NULL ? 8 * size : 0),
			      .rtm_table = RT_TABLE_MAIN,
			      .rtm_protocol = RTPROT_STATIC,
			      .rtm_scope = via != NULL ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
			      .rtm_type = RTN_UNICAST,
			      .rtm_flags = via != NULL ? RTNH_F_ONLINK : 0};
	struct nlmsghdr *message = begin(batch, RTM_NEWROUTE, NLM_F_CREATE, &route, sizeof(route));

	if (to != NULL)
		put(message, RTA_DST, to, size);
	if (via != NULL)
		put(message, RTA_GATEWAY, via, size);
	put(message, RTA_PREFSRC, source, size);
	put(message, RTA_OIF, &index, sizeof(index));
	end(batch, message);
}

static void add_family(struct batch *batch, int family, int index, const char *address_text,
		       const char *gateway_text)
{
	static const unsigned char mac[6] = {2, 0x70, 0x70, 0, 0, 1};
	unsigned char address[16], gateway[16];
	size_t size = family == AF_INET ? 4 : 16;
	struct ifaddrmsg header = {.ifa_family = (unsigned char)family,
				   .ifa_prefixlen = (unsigned char)(8 * size),
				   .ifa_flags = family == AF_INET6 ? IFA_F_NODAD : 0,
				   .ifa_index = (unsigned int)index};
	struct ndmsg neighbour = {.ndm_family = (unsigned char)family,
				  .ndm_ifindex = index,
				  .ndm_state = NUD_PERMANENT};
	struct nlmsghdr *message;

	if (strcmp(address_text, "-") == 0)
		return;
	if (inet_pton(family, address_text, address) != 1 ||
	    inet_pton(family, gateway_text, gateway) != 1)
		errx(1, "%s, %s: no addresses", address_text, gateway_text);
	message = begin(batch, RTM_NEWADDR, NLM_F_CREATE, &header, sizeof(header));
	put(message, IFA_LOCAL, address, size);
	put(message, IFA_ADDRESS, address, size);
	end(batch, message);
	message = begin(batch, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &neighbour,
			sizeof(neighbour));
	put(message, NDA_DST, gateway, size);
	put(message, NDA_LLADDR, mac, sizeof(mac));
	end(batch, message);
	add_route(batch, family, index, gateway, NULL, address);
	add_route(batch, family, index, NULL, gateway, address);
}

static void add(char **argv, int netns)
{
	struct ifinfomsg up = {.ifi_flags = IFF_UP, .ifi_change = IFF_UP};
	static struct batch batch;
	struct nlmsghdr *message;

	move(&batch, index_of(argv[2]), netns, "eth0", 0);
	run(&batch);
	if (setns(netns, CLONE_NEWNET) < 0)
		err(1, "setns");
	up.ifi_index = index_of("eth0");
	message = begin(&batch, RTM_NEWLINK, 0, &up, sizeof(up));
	end(&batch, message);
	add_family(&batch, AF_INET, up.ifi_index, argv[4], argv[5]);
	add_family(&batch, AF_INET6, up.ifi_index, argv[6], argv[7]);
	run(&batch);
}

static void del(char **argv, int netns)
{
	static struct batch batch;
	int host = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	if (host < 0 || setns(netns, CLONE_NEWNET) < 0)
		err(1, "setns");
	move(&batch, index_of("eth0"), host, argv[2], 1);
	run(&batch);
}

int main(int argc, char **argv)
{
	int netns = argc > 3 ? open(argv[3], O_RDONLY | O_CLOEXEC) : -1;
	const char *wait = getenv("NETLINK_OPS_WAIT_US");

	if (wait != NULL)
		usleep((useconds_t)strtoul(wait, NULL, 10));
	if (netns < 0)
		err(1, "usage: netlink_ops add|del NETDEV NETNS [IPV4 GATEWAY IPV6 GATEWAY]");
	if (strcmp(argv[1], "add") == 0 && argc == 8)
		add(argv, netns);
	else if (strcmp(argv[1], "del") == 0)
		del(argv, netns);
	else
		errx(1, "add with addresses, or del");
	return 0;
}
