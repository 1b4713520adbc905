// SPDX-License-Identifier: BSD-3-Clause
//
// TAPs by ioctl, and what ioctl cannot set by rtnetlink: a few requests written out by hand, as the
// driver is loaded into programs that should not need a netlink library for it. Any thread.

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/in6.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sim/simnic/card_protocol.h"
#include "sim/simnic/tap.h"

enum {
	// Frames a function may have waiting for the pipeline, as many as a NIC's Tx ring commonly holds.
	TAP_QUEUE_LENGTH = 1000,
	REQUEST_SIZE = 512,
};

// ---- rtnetlink ------------------------------------------------------------------------------------------

struct request {
	struct nlmsghdr header;
	struct ifinfomsg link;
	uint8_t attributes[REQUEST_SIZE];
};

static void request_init(struct request *request, uint16_t type)
{
	memset(request, 0, sizeof(*request));
	request->header.nlmsg_len = NLMSG_LENGTH(sizeof(request->link));
	request->header.nlmsg_type = type;
	request->header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	request->link.ifi_family = AF_UNSPEC;
}

// All attributes of this file together are far below REQUEST_SIZE.
static struct rtattr *add(struct request *request, uint16_t type, const void *data, size_t size)
{
	struct rtattr *attribute =
		(void *)((uint8_t *)request + NLMSG_ALIGN(request->header.nlmsg_len));

	attribute->rta_type = type;
	attribute->rta_len = RTA_LENGTH(size);
	if (size > 0)
		memcpy(RTA_DATA(attribute), data, size);
	request->header.nlmsg_len =
		NLMSG_ALIGN(request->header.nlmsg_len) + RTA_ALIGN(attribute->rta_len);
	return attribute;
}

static void nest_end(struct request *request, struct rtattr *nest)
{
	nest->rta_len = (uint8_t *)request + request->header.nlmsg_len - (uint8_t *)nest;
}

static int request_send(int fd, const struct request *request)
{
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		uint8_t rest[REQUEST_SIZE + 256];
	} reply;
	ssize_t size;

	if (send(fd, request, request->header.nlmsg_len, 0) < 0)
		return -errno;
	do {
		size = recv(fd, &reply, sizeof(reply), 0);
	} while (size < 0 && errno == EINTR);
	if (size < 0)
		return -errno;
	if ((size_t)size < NLMSG_LENGTH(sizeof(reply.error)) ||
	    reply.header.nlmsg_type != NLMSG_ERROR)
		return -EPROTO;
	return reply.error.error;
}

static int netlink_open(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	return fd < 0 ? -errno : fd;
}

static int dress(const struct tap_config *config, bool with_ipv6)
{
	uint32_t queue_length = TAP_QUEUE_LENGTH;
	uint8_t mode = IN6_ADDR_GEN_MODE_NONE;
	struct rtattr *families, *ipv6;
	struct request request;
	int fd, error;

	request_init(&request, RTM_SETLINK);
	add(&request, IFLA_IFNAME, config->name, strlen(config->name) + 1);
	add(&request, IFLA_ADDRESS, config->mac, sizeof(config->mac));
	add(&request, IFLA_IFALIAS, config->alias, strlen(config->alias));
	add(&request, IFLA_TXQLEN, &queue_length, sizeof(queue_length));
	if (with_ipv6) {
		families = add(&request, IFLA_AF_SPEC, NULL, 0);
		ipv6 = add(&request, AF_INET6, NULL, 0);
		add(&request, IFLA_INET6_ADDR_GEN_MODE, &mode, sizeof(mode));
		nest_end(&request, ipv6);
		nest_end(&request, families);
	}
	fd = netlink_open();
	if (fd < 0)
		return fd;
	error = request_send(fd, &request);
	close(fd);
	return error;
}

// ---- the netdev -----------------------------------------------------------------------------------------

static int explain(int error, char *why, size_t size, const char *what, const char *name)
{
	if (error == -ENOENT || error == -ENXIO || error == -ENODEV)
		snprintf(why, size,
			 "/dev/net/tun is missing: load the kernel module 'tun', or pass the "
			 "device in");
	else if (error == -EACCES || error == -EPERM)
		snprintf(why, size, "%s %s: not permitted (needs root or CAP_NET_ADMIN)", what,
			 name);
	else if (error == -EEXIST)
		snprintf(why, size, "a network interface named %s exists already", name);
	else
		snprintf(why, size, "%s %s: %s", what, name, strerror(-error));
	return error;
}

int tap_create(const struct tap_config *config, int *ret_fd, char *ret_why, size_t why_size)
{
	int fd, error, header_size = CARD_VNET_HEADER_SIZE;
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL};

	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return explain(-errno, ret_why, why_size, "opening /dev/net/tun for", config->name);
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", config->name);
	if (ioctl(fd, TUNSETIFF, &request) < 0) {
		// A TAP of that name is EBUSY, any other netdev EINVAL: tun_set_iff() in the kernel.
		error = -errno;
		if (error == -EBUSY || if_nametoindex(config->name) != 0)
			error = -EEXIST;
		goto fail;
	}
	if (ioctl(fd, TUNSETVNETHDRSZ, &header_size) < 0) {
		error = -errno;
		goto fail;
	}
	error = dress(config, true);
	if (error < 0)
		error = dress(config, false); // a kernel without IPv6
	if (error < 0)
		goto fail;
	*ret_fd = fd;
	return 0;
fail:
	close(fd);
	return explain(error, ret_why, why_size, "creating the network interface", config->name);
}

bool tap_alive(int fd)
{
	struct pollfd poll_fd = {.fd = fd};

	return fd >= 0 && poll(&poll_fd, 1, 0) >= 0 && !(poll_fd.revents & (POLLERR | POLLNVAL));
}

bool tap_is_up(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};

	// The kernel calls a TAP writable exactly while it is up (tun_chr_poll); its send buffer is
	// unbounded.
	return fd >= 0 && poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & POLLOUT) != 0;
}

int tap_set_offloads(int fd, unsigned int offloads)
{
	unsigned long flags = 0;

	if (offloads & TAP_CHECKSUM)
		flags |= TUN_F_CSUM;
	if (offloads & TAP_TSO)
		flags |= TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
	return ioctl(fd, TUNSETOFFLOAD, flags) < 0 ? -errno : 0;
}

int tap_set_carrier(int fd, bool on)
{
	int carrier = on;

	return ioctl(fd, TUNSETCARRIER, &carrier) < 0 ? -errno : 0;
}

// Whether the netdev is in the netns with inode `home`; then its present name.
static bool tap_is_home(int fd, ino_t home, char name[IF_NAMESIZE])
{
	struct ifreq request = {0};
	struct stat status;
	int netns_fd = ioctl(fd, TUNGETDEVNETNS);
	bool same;

	if (netns_fd < 0)
		return false;
	same = fstat(netns_fd, &status) == 0 && status.st_ino == home;
	close(netns_fd);
	if (!same || ioctl(fd, TUNGETIFF, &request) < 0)
		return false;
	memcpy(name, request.ifr_name, IF_NAMESIZE);
	return true;
}

void tap_delete_many(const int *fds, unsigned int count)
{
	// Any group will do that nobody uses; interfaces outside of it are not touched.
	uint32_t group = 0x73690000 | (getpid() & 0xffff);
	struct request request;
	char name[IF_NAMESIZE];
	struct stat home;
	int netlink_fd;

	if (stat("/proc/thread-self/ns/net", &home) < 0)
		return;
	netlink_fd = netlink_open();
	if (netlink_fd < 0)
		return;
	for (unsigned int i = 0; i < count; i++) {
		if (fds[i] < 0 || !tap_is_home(fds[i], home.st_ino, name))
			continue;
		request_init(&request, RTM_SETLINK);
		add(&request, IFLA_IFNAME, name, strlen(name) + 1);
		add(&request, IFLA_GROUP, &group, sizeof(group));
		(void)request_send(netlink_fd, &request);
	}
	request_init(&request, RTM_DELLINK);
	add(&request, IFLA_GROUP, &group, sizeof(group));
	(void)request_send(netlink_fd, &request);
	close(netlink_fd);
}
