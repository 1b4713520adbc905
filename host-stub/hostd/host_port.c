// SPDX-License-Identifier: BSD-3-Clause
//
// The host's port: see host_port.h.

#include "hostd/host_port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hostd/netlink.h"
#include "proto/base/log.h"

struct host_port {
	char ifname[IFNAMSIZ];
	int watch_fd;
	_Atomic int ifindex; // when it was dressed last, 0: never

	pthread_mutex_t mutex; // of the state shown
	bool ready;
	char why[LIMIT_TEXT + 1];
};

// What of one family is to be there.
struct family {
	int family;
	bool wanted;
	struct in6_addr gateway, network, router; // IPv4 in the first 4 bytes
	uint8_t prefix_length;
	bool has_uplink;
	struct in6_addr uplink; // the agent's address on the wire: of published ports
};

static void set_families(const struct hello_reply *hello, struct family families[2])
{
	const struct pod_network *network = &hello->pod_network;

	memset(families, 0, 2 * sizeof(*families));
	families[0].family = AF_INET;
	families[0].wanted = network->has_ipv4;
	families[0].prefix_length = network->ipv4_prefix_length;
	memcpy(&families[0].gateway, &network->gateway_ipv4, 4);
	memcpy(&families[0].network, &network->ipv4, 4);
	inet_pton(AF_INET, "169.254.1.1", &families[0].router);
	families[1].family = AF_INET6;
	families[1].wanted = network->has_ipv6;
	families[1].prefix_length = network->ipv6_prefix_length;
	families[1].gateway = network->gateway_ipv6;
	families[1].network = network->ipv6;
	inet_pton(AF_INET6, "fe80::1", &families[1].router);
	families[0].has_uplink = hello->has_uplink_ipv4;
	memcpy(&families[0].uplink, &hello->uplink_ipv4, 4);
	families[1].has_uplink = hello->has_uplink_ipv6;
	families[1].uplink = hello->uplink_ipv6;
}

// ---- what is there too much ----------------------------------------------------------------------

struct leftovers {
	const struct family *family;
	struct netlink_batch batch;
	int ifindex;
};

static bool same(int family, const struct in6_addr *a, const struct in6_addr *b)
{
	return memcmp(a, b, family == AF_INET ? 4 : 16) == 0;
}

// The last few places of the batch are kept free: the rest goes the next time.
static bool has_room(const struct leftovers *leftovers)
{
	return leftovers->batch.count < NETLINK_BATCH_MAX - 1;
}

static bool note_address(const struct netlink_entry *entry, void *arg)
{
	struct leftovers *leftovers = arg;
	const struct family *family = leftovers->family;

	if (entry->family == family->family && entry->protocol == NETLINK_PROTOCOL_PODPORT &&
	    entry->prefix_length == (family->family == AF_INET ? 32 : 128) &&
	    !(family->wanted && same(entry->family, &entry->address, &family->gateway)))
		netlink_add_address_removal(&leftovers->batch, entry->ifindex, entry->family,
					    &entry->address, entry->prefix_length);
	return has_room(leftovers);
}

static bool is_to(const struct netlink_entry *entry, const struct in6_addr *to, uint8_t length)
{
	return entry->prefix_length == length && same(entry->family, &entry->address, to);
}

static bool is_route_wanted(const struct netlink_entry *entry, const struct family *family)
{
	uint8_t host_length = family->family == AF_INET ? 32 : 128;

	return family->wanted &&
	       (is_to(entry, &family->network, family->prefix_length) ||
		(family->has_uplink && is_to(entry, &family->uplink, host_length)));
}

static bool note_route(const struct netlink_entry *entry, void *arg)
{
	struct leftovers *leftovers = arg;
	const struct family *family = leftovers->family;
	struct netlink_route route = {.family = entry->family,
				      .to = &entry->address,
				      .to_length = entry->prefix_length,
				      .via = entry->has_gateway ? &entry->gateway : NULL,
				      .protocol = HOST_PORT_ROUTE_PROTOCOL};

	if (entry->family == family->family && entry->protocol == HOST_PORT_ROUTE_PROTOCOL &&
	    !is_route_wanted(entry, family))
		netlink_add_route_removal(&leftovers->batch, entry->ifindex, &route);
	return has_room(leftovers);
}

static int remove_leftovers(struct netlink *netlink, int ifindex, const struct family *family,
			    struct error *err)
{
	struct leftovers leftovers = {.family = family, .ifindex = ifindex};
	int r = netlink_each_entry(netlink, RTM_GETROUTE, family->family, ifindex, note_route,
				   &leftovers, err);

	if (r == 0)
		r = netlink_each_entry(netlink, RTM_GETADDR, family->family, ifindex, note_address,
				       &leftovers, err);
	if (r == 0)
		return netlink_send(netlink, &leftovers.batch, err);
	netlink_batch_clear(&leftovers.batch);
	return r;
}

// ---- dressing ------------------------------------------------------------------------------------

static void write_sysctl(const char *ifname, const char *key, char value)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/%s", ifname, key);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	// If it cannot be, adding the IPv6 address fails, and says so.
	if (fd >= 0 && write(fd, &value, 1) < 0)
		log_warning("a setting of the host port cannot be written", "file=%s error=\"%m\"",
			    path);
	if (fd >= 0)
		close(fd);
}

static void add_family(struct netlink_batch *batch, int ifindex, const struct family *family,
		       const struct mac *router_mac)
{
	struct netlink_route route = {.family = family->family,
				      .to = &family->network,
				      .to_length = family->prefix_length,
				      .via = &family->router,
				      .source = &family->gateway,
				      .onlink = true,
				      .protocol = HOST_PORT_ROUTE_PROTOCOL,
				      .flags = NLM_F_REPLACE};

	netlink_add_address(batch, ifindex, family->family, &family->gateway);
	netlink_add_neighbour(batch, ifindex, family->family, &family->router, router_mac);
	netlink_add_route(batch, ifindex, &route);
	if (!family->has_uplink)
		return;
	route.to = &family->uplink;
	route.to_length = family->family == AF_INET ? 32 : 128;
	netlink_add_route(batch, ifindex, &route);
}

static int dress(struct host_port *port, struct netlink *netlink, const struct hello_reply *hello,
		 struct error *err)
{
	const struct pod_network *network = &hello->pod_network;
	struct netlink_link_change up = {.netns_fd = -1, .up = true};
	struct netlink_batch batch = {0};
	struct netlink_link link;
	struct family families[2];
	int r = netlink_get_link(netlink, port->ifname, &link, err);

	if (r == -ENODEV)
		return error_set(err, ENODEV, CODE_NIC, "the host has no interface %s",
				 port->ifname);
	if (r < 0)
		return r;
	port->ifindex = link.ifindex;
	set_families(hello, families);
	if (network->has_ipv6) {
		write_sysctl(port->ifname, "accept_ra", '0');
		write_sysctl(port->ifname, "accept_dad", '0');
		write_sysctl(port->ifname, "disable_ipv6", '0');
	}
	for (int i = 0; i < 2 && r == 0; i++)
		r = remove_leftovers(netlink, link.ifindex, &families[i], err);
	if (r < 0)
		return r;
	up.mtu = link.mtu != network->mtu ? network->mtu : 0;
	netlink_add_link_change(&batch, link.ifindex, &up, "set %s up", port->ifname);
	for (int i = 0; i < 2; i++)
		if (families[i].wanted)
			add_family(&batch, link.ifindex, &families[i], &network->router_mac);
	return netlink_send(netlink, &batch, err);
}

static void set_result(struct host_port *port, bool ready, const char *why)
{
	bool news;

	pthread_mutex_lock(&port->mutex);
	news = port->ready != ready || strcmp(port->why, why) != 0;
	port->ready = ready;
	snprintf(port->why, sizeof(port->why), "%s", why);
	pthread_mutex_unlock(&port->mutex);
	if (news && ready)
		log_info("host port is ready", "interface=%s", port->ifname);
	else if (news)
		log_warning("host port is not ready", "interface=%s reason=\"%s\"", port->ifname,
			    why);
}

void host_port_dress(struct host_port *port, const struct hello_reply *hello)
{
	struct netlink netlink = {.fd = -1};
	struct error error;
	int r;

	if (!hello->has_pod_network) {
		set_result(port, false, "the agent has no pod network yet");
		return;
	}
	r = netlink_open(&netlink, &error);
	if (r == 0)
		r = dress(port, &netlink, hello, &error);
	netlink_close(&netlink);
	set_result(port, r == 0, r == 0 ? "" : error.message);
}

void host_port_not_served(struct host_port *port)
{
	set_result(port, false, "the agent does not serve the host's port");
}

void host_port_status(struct host_port *port, struct host_status *status)
{
	snprintf(status->host_port, sizeof(status->host_port), "%s", port->ifname);
	pthread_mutex_lock(&port->mutex);
	status->host_port_ready = port->ready;
	snprintf(status->host_port_error, sizeof(status->host_port_error), "%s", port->why);
	pthread_mutex_unlock(&port->mutex);
}

// ---- watching ------------------------------------------------------------------------------------

static int open_watch(struct error *err)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		int r = error_set(err, errno, CODE_INTERNAL, "watch the host's interfaces: %m");

		if (fd >= 0)
			close(fd);
		return r;
	}
	return fd;
}

int host_port_open(const char *ifname, struct host_port **ret_port, struct error *err)
{
	struct host_port *port = calloc(1, sizeof(*port));
	int fd;

	if (port == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "open the host port: no memory");
	fd = open_watch(err);
	if (fd < 0) {
		free(port);
		return fd;
	}
	snprintf(port->ifname, sizeof(port->ifname), "%s", ifname);
	snprintf(port->why, sizeof(port->why),
		 "the agent has not said yet what the pod network is");
	pthread_mutex_init(&port->mutex, NULL);
	port->watch_fd = fd;
	*ret_port = port;
	return 0;
}

void host_port_close(struct host_port *port)
{
	if (port == NULL)
		return;
	close(port->watch_fd);
	pthread_mutex_destroy(&port->mutex);
	free(port);
}

int host_port_watch_fd(struct host_port *port)
{
	return port->watch_fd;
}

// It has the name; or it had it, and was given another.
static bool is_about(const struct host_port *port, struct nlmsghdr *header)
{
	const struct ifinfomsg *info = nlmsg_data(header);
	struct nlattr *name;

	if (header->nlmsg_type != RTM_NEWLINK && header->nlmsg_type != RTM_DELLINK)
		return false;
	if (port->ifindex != 0 && info->ifi_index == port->ifindex)
		return true;
	name = nlmsg_find_attr(header, sizeof(struct ifinfomsg), IFLA_IFNAME);
	return name != NULL && nla_strcmp(name, port->ifname) == 0;
}

bool host_port_read_events(struct host_port *port)
{
	char buffer[32 * 1024] __attribute__((aligned(NLMSG_ALIGNTO)));
	bool about = false;

	for (;;) {
		ssize_t size = recv(port->watch_fd, buffer, sizeof(buffer), 0);
		struct nlmsghdr *header = (struct nlmsghdr *)buffer;
		int left = (int)size;

		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0)
			return about || errno == ENOBUFS; // overrun: it may have been about it
		for (; nlmsg_ok(header, left); header = nlmsg_next(header, &left))
			about |= is_about(port, header);
	}
}
