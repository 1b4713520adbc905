// SPDX-License-Identifier: BSD-3-Clause
//
// CHECK's share of the sandbox: is everything there that dressing put there? What is there besides
// is nobody's business (chained plugins add addresses and routes). Worker threads.

#include <arpa/inet.h>
#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "hostd/wiring_private.h"

struct expected {
	int family;
	const void *address, *gateway;
	const struct mac *gateway_mac;
	bool has_address, has_to_gateway, has_default, has_neighbour;
};

static bool same(const struct expected *expected, const struct in6_addr *a, const void *b)
{
	return memcmp(a, b, expected->family == AF_INET ? 4 : 16) == 0;
}

static int mismatch(struct error *err, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int mismatch(struct error *err, const char *format, ...)
{
	char text[ERROR_MESSAGE_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return error_set(err, ESTALE, CODE_MISMATCH, "%s", text);
}

static bool see_address(const struct netlink_entry *entry, void *arg)
{
	struct expected *expected = arg;

	if (entry->family == expected->family && same(expected, &entry->address, expected->address))
		expected->has_address = true;
	return !expected->has_address;
}

static bool see_neighbour(const struct netlink_entry *entry, void *arg)
{
	struct expected *expected = arg;

	if (entry->family == expected->family && (entry->state & NUD_PERMANENT) &&
	    same(expected, &entry->address, expected->gateway) && entry->has_mac &&
	    memcmp(&entry->mac, expected->gateway_mac, sizeof(entry->mac)) == 0)
		expected->has_neighbour = true;
	return !expected->has_neighbour;
}

// Of all interfaces: a default route by another one was there first, and dressing left it so.
static bool see_route(const struct netlink_entry *entry, void *arg)
{
	struct expected *expected = arg;

	if (entry->family != expected->family || entry->table != RT_TABLE_MAIN ||
	    entry->type != RTN_UNICAST)
		return true;
	if (entry->prefix_length == 0)
		expected->has_default = true;
	else if (entry->prefix_length == (expected->family == AF_INET ? 32 : 128) &&
		 same(expected, &entry->address, expected->gateway))
		expected->has_to_gateway = true;
	return true;
}

static int check_family(struct netlink *sandbox, const struct netlink_link *link,
			struct expected *expected, struct error *err)
{
	char address[INET6_ADDRSTRLEN], gateway[INET6_ADDRSTRLEN];
	int family = expected->family, index = link->ifindex;
	int r = netlink_each_entry(sandbox, RTM_GETADDR, family, index, see_address, expected, err);

	if (r == 0)
		r = netlink_each_entry(sandbox, RTM_GETNEIGH, family, index, see_neighbour,
				       expected, err);
	if (r == 0)
		r = netlink_each_entry(sandbox, RTM_GETROUTE, family, 0, see_route, expected, err);
	if (r < 0)
		return r;
	inet_ntop(family, expected->address, address, sizeof(address));
	inet_ntop(family, expected->gateway, gateway, sizeof(gateway));
	if (!expected->has_address)
		return mismatch(err, "%s: address %s is missing", link->ifname, address);
	if (!expected->has_to_gateway)
		return mismatch(err, "%s: the route to the gateway %s is missing", link->ifname,
				gateway);
	if (!expected->has_default)
		return mismatch(err, "%s: the default route via %s is missing", link->ifname,
				gateway);
	if (!expected->has_neighbour)
		return mismatch(err,
				"%s: the permanent neighbour entry of the gateway %s is missing "
				"or has another MAC",
				link->ifname, gateway);
	return 0;
}

static int check_link(const struct wiring *wiring, const struct netlink_link *link,
		      const struct attachment *attachment, struct error *err)
{
	const uint8_t *mac = link->mac.bytes;
	char function_name[IFNAMSIZ], expected_name[IFNAMSIZ];
	int r = wiring_netdev_name(wiring, attachment, expected_name, err);

	if (r < 0)
		return r;
	if (!wiring_alias_is(wiring, link->ifalias, &attachment->key, function_name))
		return mismatch(err, "%s: not podport's interface (its alias is \"%s\")",
				link->ifname, link->ifalias);
	if (strcmp(function_name, expected_name) != 0)
		return mismatch(err, "%s: is %s, should be %s", link->ifname, function_name,
				expected_name);
	if (!link->has_mac || memcmp(&link->mac, &attachment->mac, sizeof(link->mac)) != 0)
		return mismatch(err,
				"%s: MAC is %02x:%02x:%02x:%02x:%02x:%02x, should be "
				"%02x:%02x:%02x:%02x:%02x:%02x",
				link->ifname, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5],
				attachment->mac.bytes[0], attachment->mac.bytes[1],
				attachment->mac.bytes[2], attachment->mac.bytes[3],
				attachment->mac.bytes[4], attachment->mac.bytes[5]);
	if (link->mtu != attachment->mtu)
		return mismatch(err, "%s: MTU is %u, should be %u", link->ifname, link->mtu,
				attachment->mtu);
	if (!(link->flags & IFF_UP))
		return mismatch(err, "%s: is down", link->ifname);
	return 0;
}

static int check_sandbox(const struct wiring *wiring, struct netlink *sandbox,
			 const struct attachment *attachment, struct error *err)
{
	struct expected ipv4 = {.family = AF_INET,
				.address = &attachment->ipv4,
				.gateway = &attachment->gateway_ipv4,
				.gateway_mac = &attachment->gateway_mac};
	struct expected ipv6 = {.family = AF_INET6,
				.address = &attachment->ipv6,
				.gateway = &attachment->gateway_ipv6,
				.gateway_mac = &attachment->gateway_mac};
	struct netlink_link link;
	int r = netlink_get_link(sandbox, attachment->key.ifname, &link, err);

	if (r == -ENODEV)
		return mismatch(err, "the sandbox has no interface %s", attachment->key.ifname);
	if (r == 0)
		r = check_link(wiring, &link, attachment, err);
	if (r == 0 && attachment->has_ipv4)
		r = check_family(sandbox, &link, &ipv4, err);
	if (r == 0 && attachment->has_ipv6)
		r = check_family(sandbox, &link, &ipv6, err);
	return r;
}

int wiring_check(const struct wiring *wiring, int netns_fd, const struct attachment *attachment,
		 struct error *err)
{
	struct netlink sandbox;
	int r = netns_open_netlink(&wiring->host, netns_fd, &sandbox, err);

	if (r < 0)
		return r;
	r = check_sandbox(wiring, &sandbox, attachment, err);
	netlink_close(&sandbox);
	return r;
}
