// SPDX-License-Identifier: BSD-3-Clause
//
// rtnetlink as wiring and the host port need it: several changes in one system call, and errors
// that say which change failed and why. Messages are built and read with libnl; sending is our own,
// because libnl waits for an answer after each message.
//
// A socket belongs to the netns its opener was in, and stays there: it is how a worker changes a
// sandbox without being in it. Sockets and batches have one user at a time; nothing is shared.

#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/message.h"

struct nl_msg;
struct nlmsghdr;

struct netlink {
	int fd;
	uint32_t sequence;
};

// Open in the calling thread's netns. Errors: the errno of socket(2), CODE_INTERNAL.
int netlink_open(struct netlink *ret_netlink, struct error *err);
// A closed or zeroed one (fd <= 0) is fine.
void netlink_close(struct netlink *netlink);

// ---- changes -------------------------------------------------------------------------------------

enum { NETLINK_BATCH_MAX = 16 };

// Changes that go to the kernel in one sendmsg(2), in order. The kernel does not stop at a change
// that fails: whoever sends a batch undoes all of it then. Zero it before use.
struct netlink_batch {
	struct netlink_change {
		struct nl_msg *message;
		int tolerated_errno; // this errno (positive) counts as success; 0: none
		char what[128];      // "add address 10.88.0.5/32", for the error
	} changes[NETLINK_BATCH_MAX];
	unsigned int count;
	bool failed; // no memory or no room while it was built; reported when it is sent
};

// What to change on a link; only what is set is sent.
struct netlink_link_change {
	const struct mac *mac;
	uint32_t mtu;        // 0: leave
	const char *ifname;  // NULL: leave
	const char *ifalias; // NULL: leave, "": clear
	int netns_fd;        // move there; < 0: stay
	bool set_group;
	uint32_t group;
	bool up, down; // at most one
};

struct netlink_route {
	int family;        // AF_INET or AF_INET6; addresses below are of this family
	const void *to;    // NULL: default
	uint8_t to_length; // prefix length
	const void *via;   // NULL: on the link itself
	const void *source;
	bool onlink;      // do not ask whether `via` is reachable
	uint8_t protocol; // RTPROT_
	uint16_t flags;   // NLM_F_REPLACE, NLM_F_APPEND or NLM_F_EXCL: what if there is one like it
};

// `what` is the sentence's subject if the change fails.
void netlink_add_link_change(struct netlink_batch *batch, int ifindex,
			     const struct netlink_link_change *change, const char *what, ...)
	__attribute__((format(printf, 4, 5)));
// The address as a host address (/32, /128), without duplicate address detection; one that is
// there already is fine.
void netlink_add_address(struct netlink_batch *batch, int ifindex, int family, const void *address);
void netlink_add_address_removal(struct netlink_batch *batch, int ifindex, int family,
				 const void *address, uint8_t prefix_length);
// A permanent neighbour; replaces what is there.
void netlink_add_neighbour(struct netlink_batch *batch, int ifindex, int family,
			   const void *address, const struct mac *mac);
void netlink_add_route(struct netlink_batch *batch, int ifindex, const struct netlink_route *route);
void netlink_add_route_removal(struct netlink_batch *batch, int ifindex,
			       const struct netlink_route *route);

// Let `errno_value` of the change added last count as success.
void netlink_tolerate(struct netlink_batch *batch, int errno_value);

// Send what was added and empty the batch. On failure: the errno of the first change that failed,
// with CODE_WIRING and "add address 10.88.0.5/32: Permission denied (the kernel's own words)".
int netlink_send(struct netlink *netlink, struct netlink_batch *batch, struct error *err);
void netlink_batch_clear(struct netlink_batch *batch);

// ---- what is there -------------------------------------------------------------------------------

struct netlink_link {
	int ifindex;
	unsigned int flags; // IFF_
	uint32_t mtu;
	uint32_t group;
	bool has_mac;
	struct mac mac;
	char ifname[IFNAMSIZ];
	char ifalias[256];
};

// -ENODEV (err untouched) if there is none of that name; else CODE_WIRING.
int netlink_get_link(struct netlink *netlink, const char *ifname, struct netlink_link *ret_link,
		     struct error *err);

// Return false to see no more. All of the dump is read all the same.
typedef bool (*netlink_link_visitor)(const struct netlink_link *link, void *arg);
int netlink_each_link(struct netlink *netlink, netlink_link_visitor visitor, void *arg,
		      struct error *err);

// Who made a route or an address (rtm_protocol, IFA_PROTO): a number of ours, so that nobody else's is taken away.
enum { NETLINK_PROTOCOL_PODPORT = 112 };

// An address, neighbour or route of one interface, as far as podport compares them.
struct netlink_entry {
	int family;
	int ifindex;
	uint8_t prefix_length;
	uint8_t protocol; // route; address: 0 if the kernel (before 5.18) does not say
	uint8_t scope;    // address: RT_SCOPE_
	uint8_t table;    // route: RT_TABLE_
	uint8_t type;     // route: RTN_
	uint16_t state;   // neighbour: NUD_
	struct in6_addr
		address; // the address; the neighbour's; the route's destination. IPv4: first 4 bytes
	bool has_gateway;
	struct in6_addr gateway; // route
	bool has_mac;
	struct mac mac; // neighbour
};

typedef bool (*netlink_entry_visitor)(const struct netlink_entry *entry, void *arg);
// type: RTM_GETADDR, RTM_GETNEIGH or RTM_GETROUTE. ifindex 0: all interfaces (routes of more than
// one next hop have ifindex 0).
int netlink_each_entry(struct netlink *netlink, int type, int family, int ifindex,
		       netlink_entry_visitor visitor, void *arg, struct error *err);
