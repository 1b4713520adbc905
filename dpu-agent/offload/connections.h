// SPDX-License-Identifier: BSD-3-Clause
//
// Connections in the e-switch, between a pod and the wire, another pod or the host: two rules each, that rewrite what the agent would have
// rewritten, count and forward; and, of each pod that has some, what stands in front of them and behind.
//
//     group 1  untagged and intact, for no pod's address: from the wire              -> jump 5    (shared)
//              the same from this function, by its MAC address                       -> jump 5    (pod, family)
//     group 5  this tuple, from this function, by this MAC address -> count, rewrite, to the wire (connection)
//              this tuple, from the wire            -> count, rewrite, to the pod's number, jump 6 (connection)
//              of one within the node, twice: matched as the first, done with as the second
//              of a ping the same as of others, with the identifier, which stays what it is, in the place of ports
//     group 6  to the pod's number                  -> meter if it has a limit, count, its MAC addresses, out (pod)
//     a miss is the slow path: first packets, SYN, FIN, RST, fragments, IPv4 options, IPv6 extension headers, and what is too
//     large for the end that it is for. In group 6
//     there is one only while a pod's connections are leaving after it; it is for nobody, and the agent drops it.
//
// What is asked for is done later, by offload_connections_run(), in small portions, so that a hundred thousand
// connections never keep the control thread from its calls. Whoever asks names a connection by its place, a number
// below offload_config.places, and hears of it by a struct offload_answer. Control thread; free of DPDK.

#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "offload/offload.h"

enum { OFFLOAD_NEXT_HOPS_MAX = 1025 }; // numbers of next hops are below

// Ports and addresses in network order; of IPv4 addresses the first 4 bytes.
struct offload_tuple {
	uint8_t source[16], destination[16];
	in_port_t source_port_be, destination_port_be;
};

enum { OFFLOAD_WIRE = UINT32_MAX, OFFLOAD_ENDS = 2 };

struct offload_end {
	uint32_t
		slot; // of the pod's port, which is a function's, or of the host's; or OFFLOAD_WIRE
	struct offload_tuple sent;
	struct mac mac; // the pod's, the host's, or the next hop's
};

struct offload_connection {
	struct offload_end
		ends[OFFLOAD_ENDS];  // two within the node, or a pod and, behind it, the wire
	uint32_t mtus[OFFLOAD_ENDS]; // of the ends: bytes of layer 3
	bool is_ipv6;
	uint8_t protocol; // TCP, UDP, or of a ping ICMP or ICMPv6: a port is its identifier, and the other one 0
	// Of one with the wire: the caller's number, for offload_connections_leave_next_hop(); and the uplink's. Else zero.
	uint32_t next_hop;
	struct mac wire_mac;
};

enum offload_answer_kind {
	OFFLOAD_BEGUN, // both rules are in
	OFFLOAD_NOTED, // packets have passed
	OFFLOAD_ENDED, // no packet passes any more, or the NIC has refused: the place is free
};

struct offload_answer {
	uint32_t place;
	enum offload_answer_kind kind;
	bool refused;                                        // of ENDED: by the NIC
	uint64_t packets[OFFLOAD_ENDS], bytes[OFFLOAD_ENDS]; // by which end; since the last answer
};

// Can any connection be carried just now? False: *ret_why says why not.
bool offload_connections_usable(const struct offload *offload, char ret_why[LIMIT_TEXT + 1]);

// Carry it. Errors: -ENOSPC, there are as many as there may be, or it has no place here; -ENOTSUP, both ends are within
// the node, and the NIC carries none such, or one pod, and it sends none back, or their MTUs differ, and it cannot match lengths;
// or it is a ping, and the NIC carries none of its family, or its identifier is another one on the other side, which no NIC
// writes; -EBUSY, a pod's rules are withdrawn, or those of the pod before it in its slot are not
// yet gone, or the NIC cannot limit them as the pod is. No answer will follow then.
int offload_connection_add(struct offload *offload, uint32_t place,
			   const struct offload_connection *connection);
// Carry it no more. A place that is free, or none: no effect.
void offload_connection_leave(struct offload *offload, uint32_t place);
// The same of all that go by this next hop, or of all there are.
void offload_connections_leave_next_hop(struct offload *offload, uint32_t next_hop);
void offload_connections_leave_all(struct offload *offload);
// Are there any that go by this next hop?
bool offload_connections_by_next_hop(const struct offload *offload, uint32_t next_hop);

// Do some of what is to be done: remove, install, read counters, in this order, for about `budget_us`, but at least
// one of it. Answers are given to `answer`, at most `room` of them. Returns in how many milliseconds there is more to do,
// -1: not before something is asked for.
int64_t offload_connections_run(struct offload *offload, int64_t budget_us, size_t room,
				void (*answer)(void *context, const struct offload_answer *answer),
				void *context);

struct offload_connections_summary {
	uint32_t carried, most;       // most: 0 if none ever
	uint64_t begun, ended;        // since start
	uint64_t refused_full;        // there were as many as there may be
	uint64_t refused_nic;         // "table full" and other answers of the NIC
	char why_not[LIMIT_TEXT + 1]; // none can be carried; "" if they can
};
void offload_connections_summary(const struct offload *offload,
				 struct offload_connections_summary *ret_summary);
