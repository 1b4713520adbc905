// SPDX-License-Identifier: BSD-3-Clause
//
// Dress and undress a sandbox: see wiring.h. Worker threads.
//
// A dress is three netlink batches: on the host the alias, then MAC, MTU, group, move and rename; in the
// sandbox, after the IPv6 sysctls, up, addresses, neighbours, routes. Undoing any
// part of it is one thing: the netdev back to the host, which takes the rest with it.
//
// To move a netdev the kernel waits for RCU grace periods, 10 to 20 ms, and holds the lock that all of netlink takes.
// Many at once would get in each other's way there, one message after the other, and all would be ready at the end. So whoever
// changes a sandbox waits for its turn, and then does the whole of it.

#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "hostd/clock.h"
#include "hostd/wiring_private.h"
#include "proto/base/crash_point.h"
#include "proto/base/log.h"

// ---- IPv6 settings -------------------------------------------------------------------------------

// The caller is in the sandbox: /proc/sys/net shows the opener's netns.
static int write_sysctl(const char *ifname, const char *key, char value, struct error *err)
{
	char path[96], current;
	int fd, r = 0;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/%s", ifname, key);
	fd = open(path, O_RDWR | O_CLOEXEC);
	// Read first: most are right already, and a write takes the lock that all of netlink takes.
	if (fd < 0 || read(fd, &current, 1) != 1 ||
	    (current != value && pwrite(fd, &value, 1, 0) != 1))
		r = error_set(err, errno, CODE_WIRING, "set net.ipv6.conf.%s.%s to %c: %m", ifname,
			      key, value);
	if (fd >= 0)
		close(fd);
	return r;
}

// A pod with IPv6: on, also where the runtime made "off" the sandbox's default (containerd's
// enable_unprivileged and runc's pods inherit all.disable_ipv6=1), on lo too, by which a pod reaches
// its own address. Its routes are set here, so no router is listened to, and its addresses are
// given out once, so nobody is asked about duplicates. A pod without IPv6 has none at all: no
// link-local address that would answer for a service bound to [::].
static int set_ipv6(const struct wiring *wiring, int netns_fd, const char *ifname, bool on,
		    struct error *err)
{
	int r = netns_enter(netns_fd, err);

	if (r < 0)
		return r;
	if (on) {
		r = write_sysctl("lo", "disable_ipv6", '0', err);
		if (r == 0)
			r = write_sysctl(ifname, "accept_ra", '0', err);
		if (r == 0)
			r = write_sysctl(ifname, "accept_dad", '0', err);
		if (r == 0)
			r = write_sysctl(ifname, "disable_ipv6", '0', err);
	} else if (access("/proc/sys/net/ipv6", F_OK) == 0) {
		r = write_sysctl(ifname, "disable_ipv6", '1', err);
	}
	netns_leave(&wiring->host);
	return r;
}

// ---- undress -------------------------------------------------------------------------------------

// One interface of a sandbox back to the host, as the host knows it.
static int give_back(const struct wiring *wiring, struct netlink *sandbox,
		     const struct netlink_link *link, const char *function_name, struct error *err)
{
	struct netlink_batch batch = {0};
	struct netlink_link_change change = {.netns_fd = wiring->host.fd,
					     .ifname = function_name,
					     .ifalias = "",
					     .set_group = true,
					     .down = true};

	netlink_add_link_change(&batch, link->ifindex, &change, "move %s back to the host as %s",
				link->ifname, function_name);
	// A sandbox that dies meanwhile gives it back by itself.
	netlink_tolerate(&batch, ENODEV);
	return netlink_send(sandbox, &batch, err);
}

int wiring_undress(const struct wiring *wiring, int netns_fd, const struct attachment_key *key,
		   struct error *err)
{
	struct netlink sandbox;
	struct netlink_link link;
	char function_name[IFNAMSIZ];
	int r = netns_open_netlink(&wiring->host, netns_fd, &sandbox, err);

	if (r < 0)
		return r;
	r = wiring_find_ours(wiring, &sandbox, key, &link, function_name, err);
	if (r == 0) {
		bool has_turn = turn_wait(wiring->turn);

		r = give_back(wiring, &sandbox, &link, function_name, err);
		if (has_turn)
			turn_end(wiring->turn);
	}
	netlink_close(&sandbox);
	return r == -ENODEV ? 0 : r;
}

int wiring_holds(const struct wiring *wiring, int netns_fd, const struct attachment_key *key,
		 bool *ret_holds, struct error *err)
{
	struct netlink sandbox;
	struct netlink_link link;
	char function_name[IFNAMSIZ];
	int r = netns_open_netlink(&wiring->host, netns_fd, &sandbox, err);

	if (r < 0)
		return r;
	r = wiring_find_ours(wiring, &sandbox, key, &link, function_name, err);
	netlink_close(&sandbox);
	if (r < 0 && r != -ENODEV)
		return r;
	*ret_holds = r == 0;
	return 0;
}

// ---- dress ---------------------------------------------------------------------------------------

struct dress {
	const struct wiring *wiring;
	const struct attachment *attachment;
	int netns_fd;
	uint64_t deadline_ms;
	char function_name[IFNAMSIZ];
	struct netlink host, sandbox;
	struct netlink_link function; // on the host, before it is moved
	struct netlink_link link;     // the interface in the sandbox
	bool present;                 // it was there before
};

// What of MAC, MTU, group the link has not yet. (A VF may refuse to be given even the MAC it has.)
static void add_differences(const struct dress *dress, const struct netlink_link *link,
			    struct netlink_link_change *change)
{
	const struct attachment *attachment = dress->attachment;

	if (!link->has_mac || memcmp(&link->mac, &attachment->mac, sizeof(link->mac)) != 0)
		change->mac = &attachment->mac;
	if (link->mtu != attachment->mtu)
		change->mtu = attachment->mtu;
	change->set_group = link->group != attachment->link_group;
	change->group = attachment->link_group;
}

// Is the interface's name free, or ours from a call that was cut short?
static int look_into_sandbox(struct dress *dress, struct error *err)
{
	const struct attachment_key *key = &dress->attachment->key;
	char function_name[IFNAMSIZ];
	struct netlink_link link;
	int r = netlink_get_link(&dress->sandbox, key->ifname, &link, err);

	if (r < 0)
		return r == -ENODEV ? 0 : r;
	if (!wiring_alias_is(dress->wiring, link.ifalias, key, function_name))
		return error_set(err, EEXIST, CODE_INTERFACE_EXISTS,
				 "the sandbox already has an interface %s, and it is not podport's",
				 key->ifname);
	if (strcmp(function_name, dress->function_name) != 0)
		// Of an attachment the agent has forgotten since.
		return give_back(dress->wiring, &dress->sandbox, &link, function_name, err);
	dress->link = link;
	dress->present = true;
	return 0;
}

static int move_into_sandbox(struct dress *dress, struct error *err)
{
	const char *ifname = dress->attachment->key.ifname;
	struct netlink_link_change mark = {.netns_fd = -1, .down = true};
	struct netlink_link_change set = {.netns_fd = -1};
	struct netlink_link_change move = {.netns_fd = dress->netns_fd, .ifname = ifname};
	const struct netlink_link *function = &dress->function;
	struct netlink_batch batch = {0};
	char alias[IFALIAS_SIZE];
	int r;

	// The alias first, and nothing without it: with it, the netdev is found wherever the rest ends.
	wiring_format_alias(dress->function_name, &dress->attachment->key, alias);
	mark.ifalias = alias;
	netlink_add_link_change(&batch, function->ifindex, &mark, "set alias of %s",
				function->ifname);
	r = netlink_send(&dress->host, &batch, err);
	if (r < 0)
		return r;
	crash_point("hostd:add:marked");
	add_differences(dress, function, &set);
	netlink_add_link_change(&batch, function->ifindex, &set, "set MAC, MTU and group of %s",
				function->ifname);
	netlink_add_link_change(&batch, function->ifindex, &move, "move %s into the sandbox as %s",
				function->ifname, ifname);
	r = netlink_send(&dress->host, &batch, err);
	if (r < 0)
		return r;
	crash_point("hostd:add:moved");
	// Its index may be another one there.
	r = netlink_get_link(&dress->sandbox, ifname, &dress->link, err);
	if (r == -ENODEV)
		return error_set(err, ENODEV, CODE_WIRING,
				 "%s is not in the sandbox after it was moved there", ifname);
	return r;
}

// A pod may have a default route, or another interface with the same gateway, already: what was there
// first stays in use, and ours come behind it, for programs that bind to the interface. (IPv6 would
// make a multipath route of two defaults, so there is only the first.)
static void add_family(const struct dress *dress, struct netlink_batch *batch, int family,
		       const void *address, const void *gateway)
{
	struct netlink_route to_gateway = {.family = family,
					   .to = gateway,
					   .to_length = family == AF_INET ? 32 : 128,
					   .source = address,
					   .protocol = RTPROT_STATIC,
					   .flags = NLM_F_APPEND};
	struct netlink_route default_route = {
		.family = family,
		.via = gateway,
		.source = address,
		.onlink = true, // by this interface, whatever routes to the gateway there are
		.protocol = RTPROT_STATIC,
		.flags = family == AF_INET ? NLM_F_APPEND : NLM_F_EXCL};
	int ifindex = dress->link.ifindex;

	netlink_add_address(batch, ifindex, family, address);
	netlink_add_neighbour(batch, ifindex, family, gateway, &dress->attachment->gateway_mac);
	// EEXIST: also from the call before, if this is a repetition.
	netlink_add_route(batch, ifindex, &to_gateway);
	netlink_tolerate(batch, EEXIST);
	netlink_add_route(batch, ifindex, &default_route);
	netlink_tolerate(batch, EEXIST);
}

static int dress_interface(struct dress *dress, struct error *err)
{
	const struct attachment *attachment = dress->attachment;
	struct netlink_link_change up = {.netns_fd = -1, .up = true};
	struct netlink_batch batch = {0};
	int r = set_ipv6(dress->wiring, dress->netns_fd, attachment->key.ifname,
			 attachment->has_ipv6, err);

	if (r < 0)
		return r;
	if (dress->present)
		add_differences(dress, &dress->link, &up);
	netlink_add_link_change(&batch, dress->link.ifindex, &up, "set %s up",
				attachment->key.ifname);
	if (attachment->has_ipv4)
		add_family(dress, &batch, AF_INET, &attachment->ipv4, &attachment->gateway_ipv4);
	if (attachment->has_ipv6)
		add_family(dress, &batch, AF_INET6, &attachment->ipv6, &attachment->gateway_ipv6);
	return netlink_send(&dress->sandbox, &batch, err);
}

struct local_route {
	const struct in6_addr *address;
	bool found;
};

static bool note_local_route(const struct netlink_entry *entry, void *arg)
{
	struct local_route *wanted = arg;

	wanted->found = entry->family == AF_INET6 && entry->type == RTN_LOCAL &&
			entry->prefix_length == 128 &&
			memcmp(&entry->address, wanted->address, sizeof(entry->address)) == 0;
	return !wanted->found;
}

// The kernel makes the local route of an IPv6 address, also of one without duplicate address detection, from a work
// queue: what comes in before it is there is lost. Waited for shortly; a kernel that takes longer than that loses
// a packet, not the pod.
static int wait_for_ipv6(struct dress *dress, struct error *err)
{
	enum { TRIES = 100, INTERVAL_MS = 2 };
	struct local_route route = {.address = &dress->attachment->ipv6};

	for (unsigned int i = 0; i < TRIES; i++) {
		int r = netlink_each_entry(&dress->sandbox, RTM_GETROUTE, AF_INET6, 0,
					   note_local_route, &route, err);

		if (r < 0 || route.found)
			return r;
		if (clock_left_ms(dress->deadline_ms) == 0)
			break;
		poll(NULL, 0, INTERVAL_MS);
	}
	return 0;
}

// After any failure: the netdev is in one of the two, and has the alias if it got that far. On the
// host it keeps name and place; the alias must go, so that nothing reads as under way.
static void roll_back(struct dress *dress)
{
	const struct attachment_key *key = &dress->attachment->key;
	struct netlink_link_change clear = {.netns_fd = -1, .ifalias = "", .set_group = true};
	struct netlink_batch batch = {0};
	struct netlink_link link;
	char function_name[IFNAMSIZ], alias[IFALIAS_SIZE];
	struct error error;
	int r = wiring_find_ours(dress->wiring, &dress->sandbox, key, &link, function_name, &error);

	if (r == 0) {
		r = give_back(dress->wiring, &dress->sandbox, &link, function_name, &error);
	} else if (r == -ENODEV) {
		r = netlink_get_link(&dress->host, dress->function_name, &link, &error);
		wiring_format_alias(dress->function_name, key, alias);
		if (r == 0 && strcmp(link.ifalias, alias) == 0) {
			netlink_add_link_change(&batch, link.ifindex, &clear, "clear alias of %s",
						link.ifname);
			r = netlink_send(&dress->host, &batch, &error);
		}
	}
	if (r < 0 && r != -ENODEV)
		log_error("a failed ADD could not be undone in the sandbox",
			  "network=%s container=%s interface=%s error=\"%s\"", key->network,
			  key->container_id, key->ifname, error.message);
}

static int open_dress(struct dress *dress, struct error *err)
{
	int r = netns_open_netlink(&dress->wiring->host, dress->netns_fd, &dress->sandbox, err);

	if (r < 0)
		return r;
	r = netlink_open(&dress->host, err);
	if (r < 0)
		netlink_close(&dress->sandbox);
	return r;
}

static int take_turn(struct dress *dress, struct error *err)
{
	bool has_turn = turn_wait(dress->wiring->turn);
	int r = 0;

	if (!dress->present)
		r = move_into_sandbox(dress, err);
	if (r == 0)
		r = dress_interface(dress, err);
	if (has_turn)
		turn_end(dress->wiring->turn);
	return r;
}

static int change_sandbox(struct dress *dress, struct error *err)
{
	int r = 0;

	if (!dress->present) // not in our turn: the sandbox that still has it may wait for its own
		r = wiring_find_function(dress->wiring, &dress->host, dress->function_name,
					 dress->deadline_ms, &dress->function, err);
	if (r == 0)
		r = take_turn(dress, err);
	if (r == 0 && dress->attachment->has_ipv6)
		r = wait_for_ipv6(dress, err);
	// What was there before is an earlier ADD's: its pod may be running.
	if (r < 0 && !dress->present) {
		roll_back(dress);
		crash_point("hostd:add:rolled-back");
	}
	return r;
}

int wiring_dress(const struct wiring *wiring, int netns_fd, const struct attachment *attachment,
		 uint64_t deadline_ms, bool *ret_created, struct error *err)
{
	struct dress dress = {.wiring = wiring,
			      .attachment = attachment,
			      .netns_fd = netns_fd,
			      .deadline_ms = deadline_ms};
	int r = wiring_netdev_name(wiring, attachment, dress.function_name, err);

	if (r < 0)
		return r;
	r = open_dress(&dress, err);
	if (r < 0)
		return r;
	r = look_into_sandbox(&dress, err);
	if (r == 0)
		r = change_sandbox(&dress, err);
	netlink_close(&dress.host);
	netlink_close(&dress.sandbox);
	if (r < 0)
		return r;
	*ret_created = !dress.present;
	return 0;
}
