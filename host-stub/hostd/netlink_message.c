// SPDX-License-Identifier: BSD-3-Clause
//
// The rtnetlink messages podport uses: links, addresses, neighbours and routes, written and read.
// See rtnetlink(7) and the kernel's net/core/rtnetlink.c (do_setlink: the order in which one
// RTM_NEWLINK is carried out is netns, MAC, MTU, group, name, alias, flags).

#include <arpa/inet.h>
#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "hostd/netlink_private.h"

// The longest is a link change with a full alias: under 400.
enum { MESSAGE_BYTES = 512 };

static size_t address_size(int family)
{
	return family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr);
}

static uint8_t host_length(int family)
{
	return family == AF_INET ? 32 : 128;
}

static const char *address_text(int family, const void *address, char *text)
{
	return inet_ntop(family, address, text, INET6_ADDRSTRLEN);
}

// ---- writing -------------------------------------------------------------------------------------

// Begin a change. NULL if it cannot be; the batch then fails as a whole when sent.
__attribute__((format(printf, 6, 0))) static struct nl_msg *begin(struct netlink_batch *batch,
								  int type, int flags,
								  const void *header, size_t size,
								  const char *what, va_list args)
{
	struct netlink_change *change;
	struct nl_msg *message;
	char copy[sizeof(struct ifinfomsg)]; // the longest of them; libnl takes no const

	if (batch->failed)
		return NULL;
	memcpy(copy, header, size);
	message = batch->count < NETLINK_BATCH_MAX ? nlmsg_alloc_size(MESSAGE_BYTES) : NULL;
	if (message == NULL || nlmsg_put(message, 0, 0, type, 0, flags) == NULL ||
	    nlmsg_append(message, copy, size, NLMSG_ALIGNTO) < 0) {
		nlmsg_free(message);
		batch->failed = true;
		return NULL;
	}
	change = &batch->changes[batch->count++];
	change->message = message;
	vsnprintf(change->what, sizeof(change->what), what, args);
	return message;
}

__attribute__((format(printf, 6, 7))) static struct nl_msg *
begin_change(struct netlink_batch *batch, int type, int flags, const void *header, size_t size,
	     const char *what, ...)
{
	struct nl_msg *message;
	va_list args;

	va_start(args, what);
	message = begin(batch, type, flags, header, size, what, args);
	va_end(args);
	return message;
}

static void put(struct netlink_batch *batch, struct nl_msg *message, int type, const void *data,
		size_t size)
{
	if (message == NULL || nla_put(message, type, (int)size, data) < 0)
		batch->failed = true;
}

static void put_u32(struct netlink_batch *batch, struct nl_msg *message, int type, uint32_t value)
{
	put(batch, message, type, &value, sizeof(value));
}

void netlink_tolerate(struct netlink_batch *batch, int errno_value)
{
	if (batch->count > 0)
		batch->changes[batch->count - 1].tolerated_errno = errno_value;
}

void netlink_add_link_change(struct netlink_batch *batch, int ifindex,
			     const struct netlink_link_change *change, const char *what, ...)
{
	struct ifinfomsg header = {.ifi_family = AF_UNSPEC, .ifi_index = ifindex};
	struct nl_msg *message;
	va_list args;

	if (change->up || change->down)
		header.ifi_change = IFF_UP;
	if (change->up)
		header.ifi_flags = IFF_UP;
	va_start(args, what);
	message = begin(batch, RTM_NEWLINK, 0, &header, sizeof(header), what, args);
	va_end(args);
	if (change->netns_fd >= 0)
		put_u32(batch, message, IFLA_NET_NS_FD, (uint32_t)change->netns_fd);
	if (change->mac != NULL)
		put(batch, message, IFLA_ADDRESS, change->mac->bytes, sizeof(change->mac->bytes));
	if (change->mtu != 0)
		put_u32(batch, message, IFLA_MTU, change->mtu);
	if (change->set_group)
		put_u32(batch, message, IFLA_GROUP, change->group);
	if (change->ifname != NULL)
		put(batch, message, IFLA_IFNAME, change->ifname, strlen(change->ifname) + 1);
	if (change->ifalias != NULL)
		put(batch, message, IFLA_IFALIAS, change->ifalias, strlen(change->ifalias));
}

void netlink_add_address(struct netlink_batch *batch, int ifindex, int family, const void *address)
{
	struct ifaddrmsg header = {.ifa_family = (uint8_t)family,
				   .ifa_prefixlen = host_length(family),
				   .ifa_scope = RT_SCOPE_UNIVERSE,
				   .ifa_index = (uint32_t)ifindex};
	char text[INET6_ADDRSTRLEN];
	struct nl_msg *message = begin_change(
		batch, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &header, sizeof(header),
		"add address %s/%u", address_text(family, address, text), header.ifa_prefixlen);

	put(batch, message, IFA_LOCAL, address, address_size(family));
	put(batch, message, IFA_ADDRESS, address, address_size(family));
	put_u32(batch, message, IFA_FLAGS, IFA_F_NODAD);
	put(batch, message, IFA_PROTO, &(uint8_t){NETLINK_PROTOCOL_PODPORT}, 1);
}

void netlink_add_address_removal(struct netlink_batch *batch, int ifindex, int family,
				 const void *address, uint8_t prefix_length)
{
	struct ifaddrmsg header = {.ifa_family = (uint8_t)family,
				   .ifa_prefixlen = prefix_length,
				   .ifa_index = (uint32_t)ifindex};
	char text[INET6_ADDRSTRLEN];
	struct nl_msg *message =
		begin_change(batch, RTM_DELADDR, 0, &header, sizeof(header), "remove address %s/%u",
			     address_text(family, address, text), prefix_length);

	put(batch, message, IFA_LOCAL, address, address_size(family));
	netlink_tolerate(batch, EADDRNOTAVAIL);
}

void netlink_add_neighbour(struct netlink_batch *batch, int ifindex, int family,
			   const void *address, const struct mac *mac)
{
	struct ndmsg header = {
		.ndm_family = (uint8_t)family, .ndm_ifindex = ifindex, .ndm_state = NUD_PERMANENT};
	char text[INET6_ADDRSTRLEN];
	struct nl_msg *message = begin_change(batch, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE,
					      &header, sizeof(header), "add neighbour %s",
					      address_text(family, address, text));

	put(batch, message, NDA_DST, address, address_size(family));
	put(batch, message, NDA_LLADDR, mac->bytes, sizeof(mac->bytes));
}

static void add_route(struct netlink_batch *batch, int type, int flags, int ifindex,
		      const struct netlink_route *route)
{
	struct rtmsg header = {
		.rtm_family = (uint8_t)route->family,
		.rtm_dst_len = route->to == NULL ? 0 : route->to_length,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_protocol = route->protocol,
		.rtm_scope = route->via == NULL && route->family == AF_INET ? RT_SCOPE_LINK
									    : RT_SCOPE_UNIVERSE,
		.rtm_type = RTN_UNICAST,
		.rtm_flags = route->onlink ? RTNH_F_ONLINK : 0,
	};
	size_t size = address_size(route->family);
	char text[INET6_ADDRSTRLEN], via[INET6_ADDRSTRLEN];
	struct nl_msg *message = begin_change(
		batch, type, flags, &header, sizeof(header), "%s route to %s/%u%s%s",
		type == RTM_NEWROUTE ? "add" : "remove",
		address_text(route->family, route->to == NULL ? &in6addr_any : route->to, text),
		header.rtm_dst_len, route->via == NULL ? "" : " via ",
		route->via == NULL ? "" : address_text(route->family, route->via, via));

	if (route->to != NULL)
		put(batch, message, RTA_DST, route->to, size);
	if (route->via != NULL)
		put(batch, message, RTA_GATEWAY, route->via, size);
	if (route->source != NULL)
		put(batch, message, RTA_PREFSRC, route->source, size);
	put_u32(batch, message, RTA_OIF, (uint32_t)ifindex);
}

void netlink_add_route(struct netlink_batch *batch, int ifindex, const struct netlink_route *route)
{
	add_route(batch, RTM_NEWROUTE, NLM_F_CREATE | route->flags, ifindex, route);
}

void netlink_add_route_removal(struct netlink_batch *batch, int ifindex,
			       const struct netlink_route *route)
{
	add_route(batch, RTM_DELROUTE, 0, ifindex, route);
	netlink_tolerate(batch, ESRCH);
}

// ---- reading -------------------------------------------------------------------------------------

static bool read_link(struct nlmsghdr *header, struct netlink_link *link)
{
	struct nlattr *attributes[IFLA_MAX + 1];
	const struct ifinfomsg *info = nlmsg_data(header);

	if (header->nlmsg_type != RTM_NEWLINK ||
	    nlmsg_parse(header, sizeof(*info), attributes, IFLA_MAX, NULL) < 0 ||
	    attributes[IFLA_IFNAME] == NULL)
		return false;
	memset(link, 0, sizeof(*link));
	link->ifindex = info->ifi_index;
	link->flags = info->ifi_flags;
	nla_strlcpy(link->ifname, attributes[IFLA_IFNAME], sizeof(link->ifname));
	if (attributes[IFLA_IFALIAS] != NULL)
		nla_strlcpy(link->ifalias, attributes[IFLA_IFALIAS], sizeof(link->ifalias));
	if (attributes[IFLA_MTU] != NULL)
		link->mtu = nla_get_u32(attributes[IFLA_MTU]);
	if (attributes[IFLA_GROUP] != NULL)
		link->group = nla_get_u32(attributes[IFLA_GROUP]);
	if (attributes[IFLA_ADDRESS] != NULL &&
	    nla_len(attributes[IFLA_ADDRESS]) == sizeof(link->mac.bytes)) {
		link->has_mac = true;
		memcpy(link->mac.bytes, nla_data(attributes[IFLA_ADDRESS]),
		       sizeof(link->mac.bytes));
	}
	return true;
}

static bool one_link(struct nlmsghdr *header, void *arg)
{
	(void)read_link(header, arg);
	return false;
}

// A question about links; statistics are left out of the answer, they are most of it.
static struct nl_msg *link_request(const char *ifname)
{
	struct ifinfomsg header = {.ifi_family = AF_UNSPEC};
	uint32_t mask = RTEXT_FILTER_SKIP_STATS;
	struct nl_msg *message = nlmsg_alloc_size(MESSAGE_BYTES);

	if (message == NULL || nlmsg_put(message, 0, 0, RTM_GETLINK, 0, 0) == NULL ||
	    nlmsg_append(message, &header, sizeof(header), NLMSG_ALIGNTO) < 0 ||
	    nla_put(message, IFLA_EXT_MASK, sizeof(mask), &mask) < 0 ||
	    (ifname != NULL && nla_put_string(message, IFLA_IFNAME, ifname) < 0)) {
		nlmsg_free(message);
		return NULL;
	}
	return message;
}

int netlink_get_link(struct netlink *netlink, const char *ifname, struct netlink_link *ret_link,
		     struct error *err)
{
	struct netlink_link link = {0};
	struct nl_msg *request = link_request(ifname);
	int r;

	if (request == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "look for %s: no memory", ifname);
	r = netlink_ask(netlink, request, false, one_link, &link);
	nlmsg_free(request);
	if (r == 0 && link.ifindex == 0)
		r = -EBADMSG;
	if (r == -ENODEV)
		return r;
	if (r < 0)
		return error_set(err, -r, CODE_WIRING, "look for %s: %s", ifname, strerror(-r));
	*ret_link = link;
	return 0;
}

struct each_link {
	netlink_link_visitor visitor;
	void *arg;
};

static bool each_link(struct nlmsghdr *header, void *arg)
{
	struct each_link *each = arg;
	struct netlink_link link;

	return !read_link(header, &link) || each->visitor(&link, each->arg);
}

int netlink_each_link(struct netlink *netlink, netlink_link_visitor visitor, void *arg,
		      struct error *err)
{
	struct each_link each = {visitor, arg};
	struct nl_msg *request = link_request(NULL);
	int r;

	if (request == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "list interfaces: no memory");
	r = netlink_ask(netlink, request, true, each_link, &each);
	nlmsg_free(request);
	if (r < 0)
		return error_set(err, -r, CODE_WIRING, "list interfaces: %s", strerror(-r));
	return 0;
}

static void read_bytes(struct nlattr *attribute, void *target, size_t size)
{
	if (attribute != NULL)
		nla_memcpy(target, attribute, (int)size);
}

static bool read_address(struct nlmsghdr *header, struct netlink_entry *entry)
{
	struct nlattr *attributes[IFA_MAX + 1];
	const struct ifaddrmsg *info = nlmsg_data(header);

	if (nlmsg_parse(header, sizeof(*info), attributes, IFA_MAX, NULL) < 0)
		return false;
	entry->family = info->ifa_family;
	entry->ifindex = (int)info->ifa_index;
	entry->prefix_length = info->ifa_prefixlen;
	entry->scope = info->ifa_scope;
	if (attributes[IFA_PROTO] != NULL)
		entry->protocol = nla_get_u8(attributes[IFA_PROTO]);
	read_bytes(attributes[attributes[IFA_LOCAL] != NULL ? IFA_LOCAL : IFA_ADDRESS],
		   &entry->address, sizeof(entry->address));
	return true;
}

static bool read_neighbour(struct nlmsghdr *header, struct netlink_entry *entry)
{
	struct nlattr *attributes[NDA_MAX + 1];
	const struct ndmsg *info = nlmsg_data(header);

	if (nlmsg_parse(header, sizeof(*info), attributes, NDA_MAX, NULL) < 0)
		return false;
	entry->family = info->ndm_family;
	entry->ifindex = info->ndm_ifindex;
	entry->state = info->ndm_state;
	read_bytes(attributes[NDA_DST], &entry->address, sizeof(entry->address));
	entry->has_mac = attributes[NDA_LLADDR] != NULL;
	read_bytes(attributes[NDA_LLADDR], &entry->mac, sizeof(entry->mac));
	return true;
}

static bool read_route(struct nlmsghdr *header, struct netlink_entry *entry)
{
	struct nlattr *attributes[RTA_MAX + 1];
	const struct rtmsg *info = nlmsg_data(header);

	if (nlmsg_parse(header, sizeof(*info), attributes, RTA_MAX, NULL) < 0)
		return false;
	entry->family = info->rtm_family;
	entry->prefix_length = info->rtm_dst_len;
	entry->protocol = info->rtm_protocol;
	entry->table = info->rtm_table;
	entry->type = info->rtm_type;
	if (attributes[RTA_OIF] != NULL)
		entry->ifindex = (int)nla_get_u32(attributes[RTA_OIF]);
	read_bytes(attributes[RTA_DST], &entry->address, sizeof(entry->address));
	entry->has_gateway = attributes[RTA_GATEWAY] != NULL;
	read_bytes(attributes[RTA_GATEWAY], &entry->gateway, sizeof(entry->gateway));
	return true;
}

struct each_entry {
	int ifindex;
	netlink_entry_visitor visitor;
	void *arg;
};

static bool each_entry(struct nlmsghdr *header, void *arg)
{
	struct each_entry *each = arg;
	struct netlink_entry entry = {0};
	bool good = header->nlmsg_type == RTM_NEWADDR    ? read_address(header, &entry)
		    : header->nlmsg_type == RTM_NEWNEIGH ? read_neighbour(header, &entry)
		    : header->nlmsg_type == RTM_NEWROUTE ? read_route(header, &entry)
							 : false;

	if (!good || (each->ifindex != 0 && entry.ifindex != each->ifindex))
		return true;
	return each->visitor(&entry, each->arg);
}

int netlink_each_entry(struct netlink *netlink, int type, int family, int ifindex,
		       netlink_entry_visitor visitor, void *arg, struct error *err)
{
	// All three headers begin with the family, and zeroes in the rest ask for everything.
	union {
		struct ifaddrmsg address;
		struct ndmsg neighbour;
		struct rtmsg route;
		uint8_t family;
	} header = {0};
	size_t size = type == RTM_GETADDR    ? sizeof(header.address)
		      : type == RTM_GETNEIGH ? sizeof(header.neighbour)
					     : sizeof(header.route);
	struct each_entry each = {ifindex, visitor, arg};
	struct nl_msg *request = nlmsg_alloc_size(MESSAGE_BYTES);
	int r;

	header.family = (uint8_t)family;
	if (request == NULL || nlmsg_put(request, 0, 0, type, 0, 0) == NULL ||
	    nlmsg_append(request, &header, size, NLMSG_ALIGNTO) < 0) {
		nlmsg_free(request);
		return error_set(err, ENOMEM, CODE_INTERNAL, "list addresses: no memory");
	}
	r = netlink_ask(netlink, request, true, each_entry, &each);
	nlmsg_free(request);
	if (r < 0)
		return error_set(err, -r, CODE_WIRING, "list addresses and routes: %s",
				 strerror(-r));
	return 0;
}
