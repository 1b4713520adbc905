// SPDX-License-Identifier: BSD-3-Clause
//
// What the NIC's e-switch forwards by itself: rte_flow transfer rules, made from what control/
// knows about pods. Everything that has no rule misses into the slow path (datapath/), which gives
// the same answer; so nothing here can fail an attachment. What is missing, and why, is status.
// Control thread; this header is free of DPDK.
//
//     group 0  from this function             -> meter of what it sends, jump 1    (limited pod)
//              from the agent to this function -> meter of what it receives, out    (limited pod)
//              every frame from a function                    -> jump 1                (shared)
//     group 1  TTL or hop limit 0 or 1, neighbour discovery   -> empty group: slow path (shared)
//              to the router's MAC, to a pod's address        -> jump 2                (pod, family)
//     group 2  from this function, with its MAC and address   -> count, jump 3         (pod, family)
//     group 3  to a pod's address           -> count, rewrite MACs, decrement TTL, out (pod, family)
//              the same with the meter before the count       (limited pod, family)
//     a miss in any of them is the slow path, with the frame untouched
//     what is between pods and the wire: routes.h, connections.h
//
// A pod's limit holds for the sum of what the e-switch forwards and what the agent does, so there is one
// place for each direction which all frames pass. What the pod sends comes in by group 0, whoever forwards
// it then. What it receives is metered where it leaves the e-switch, and what the agent has for it by a
// rule of its own in group 0. The agent's own meters (datapath/meter.h) rest meanwhile. A NIC that cannot do
// all of this gets no rules for such a pod, and then all its frames pass the agent's.
//
// So a frame is counted for its sender in group 2 only if group 3 will send it: the rule in group 3
// is installed before the one in group 1 and removed after it. Hence a pod's figures are exactly
// those of the rules plus those of the slow path.

#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "datapath/bandwidth.h"
#include "port/port.h"
#include "proto/message.h"

struct offload;

struct offload_config {
	struct nic *nic; // open; its ports not started yet
	bool enabled;    // false: no rule is ever made, state is OFFLOAD_OFF
	// The NIC sends a packet back out of the function that it came from, which it cannot be asked: connections of a pod
	// with itself may be carried.
	bool loopback;
	// It corrects the checksum of ICMPv6 when it writes an address, which it cannot be asked either: pings over IPv6 may
	// be carried.
	bool icmp6;
	// Of connections (connections.h): their places, and how many may be carried at once. 0: none.
	uint32_t places, connections;
};

// Call before the uplink port is started: the asynchronous API is configured between its
// configuration and its start, by a hook that this registers with the NIC. Also listens to the
// ports' events. A NIC that can do nothing is no error: status says so. Errors: -ENOMEM.
int offload_new(const struct offload_config *config, struct offload **ret_offload,
		struct error *err);
// Rules are removed. Before the NIC's ports are stopped. NULL is fine.
void offload_free(struct offload *offload);

// The router's MAC address is in every pod's rules, and the pod network's MTU decides which a pod
// has.
struct offload_router {
	struct mac mac;
	uint32_t mtu;  // of the pod network, bytes of layer 3
	uint16_t vlan; // that the wire is on, 0: none; for connections with it
};
// The uplink port (transfer proxy) has been started, or started again: ask the NIC what it can do
// (the preflight), choose how to program it, make the shared rules and those of the pods that were
// added.
void offload_begin(struct offload *offload, const struct offload_router *router);

// The uplink port is about to be stopped for a while: all rules go, and come back with offload_begin.
void offload_end(struct offload *offload);

enum { OFFLOAD_PUBLISHED_MAX = 16 };

// A pod whose port is started; or the host, which is to the e-switch a pod with the gateway's addresses. Nothing that is too large for
// where it goes may reach the rule that sends it there. On a NIC that cannot match a packet's length only what a pod sends is
// offloaded if its MTU is below the pod network's, and only what it receives if it is above.
struct offload_pod {
	uint32_t slot;     // port_slot(): names the pod here
	struct port *port; // its function's, or the host's
	struct mac mac;
	uint32_t mtu;
	bool has_ipv4, has_ipv6;
	struct in_addr ipv4;
	struct in6_addr ipv6;
	struct bandwidth_limit limits[BANDWIDTH_DIRECTIONS];
	// Endpoints of the pod's behind published ports: what it sends from there to the wire may be an answer to be
	// translated (routes.h). No two are the same, and what is not used is zero; a count beyond the maximum: too many to tell.
	uint32_t published_count;
	struct {
		uint8_t protocol; // TCP, UDP
		uint16_t port;
	} published[OFFLOAD_PUBLISHED_MAX];
};

// Program the rules of these pods, each pod's address family a transaction, all of them pushed
// together. A slot that
// is there already: its rules are replaced if the pod is another, and else left alone. `count` pods
// of up to all there are (restart). Blocks for 0.2 s and 2 ms a pod, or as long as the NIC takes for
// its first answer: what it has not taken by then, and what it has refused, offload_retry does. The first pod that may
// send more than anybody could so far has the rules of those of smaller MTU removed and made anew.
void offload_add(struct offload *offload, const struct offload_pod *pods, size_t count);
// Remove a pod's rules, before its port is stopped. When it returns no frame goes by them. A slot
// that is not there: no effect.
void offload_remove(struct offload *offload, uint32_t slot);
// Take a pod's rules out of the e-switch for a while, so that all its packets come to the slow path;
// they stay wanted, and out also if the pod or its rules change, until offload_restore. When it returns
// no frame goes by them, and a limit of the pod is the agent's meters' to keep. A slot that is not there: no
// effect but for a pod that comes into it.
void offload_withdraw(struct offload *offload, uint32_t slot);
// Make them again; what does not go in, offload_retry does.
void offload_restore(struct offload *offload, uint32_t slot);
// Try again what is missing: after the NIC was full, refused, or a function was reset. Cheap when
// nothing is; to be called every few seconds. Blocks for 0.1 s, or for one answer of the NIC.
void offload_retry(struct offload *offload);

// ---- what is installed --------------------------------------------------------------------------

enum offload_state {
	OFFLOAD_OFF,     // switched off, or the NIC cannot do it at all
	OFFLOAD_NONE,    // wanted, nothing installed
	OFFLOAD_PARTIAL, // one family, one direction, or not yet all
	OFFLOAD_FULL,
};
const char *offload_state_name(enum offload_state state); // "off", "none", "partial", "full"

struct offload_pod_status {
	enum offload_state state;
	// "" if full; "table full", "the NIC refuses …", "MTU 1400 is below the pod network's 1500"
	char reason[LIMIT_TEXT + 1];
	uint32_t rules, rules_wanted;
	// Forwarded by the e-switch since the slot was added, kept over changes of rules; segments
	// as on a wire.
	uint64_t rx_packets, rx_bytes; // from the function
	uint64_t tx_packets, tx_bytes; // to the function
	// The NIC meters it, also what the agent forwards; and what its meters have made of both.
	bool metered;
	struct bandwidth_count meters[BANDWIDTH_DIRECTIONS];
};
// Of a slot that is not there: off and zeros; of the uplink's, what connections and routes have sent and received.
void offload_read_pod(struct offload *offload, uint32_t slot,
		      struct offload_pod_status *ret_status);

// Does the NIC still have, for this pod, every rule that was installed? What it is known not to have
// (the state says so) is no difference. False: *ret_reason says what differs, and the pod's rules
// are made again by the next offload_retry. Asks the NIC, a few microseconds a rule.
bool offload_check(struct offload *offload, const struct offload_pod *pod,
		   char ret_reason[LIMIT_TEXT + 1]);

// One row of the preflight's table.
struct offload_capability {
	char name[LIMIT_ID + 1]; // "match IPv4 destination", "decrement TTL"
	bool supported;
	bool needed; // without it nothing is offloaded; else something is done without it
	char remark[LIMIT_TEXT + 1]; // what the NIC said, or what is done without it
};

struct offload_summary {
	bool enabled;
	bool usable;                                 // shared rules are in place
	char why_not[LIMIT_TEXT + 1];                // if enabled and not usable
	char api[LIMIT_ID + 1];                      // "asynchronous", "synchronous", "" if neither
	uint32_t rules;                              // installed, shared ones included
	uint32_t rules_missing;                      // wanted by pods and the host, not installed
	uint32_t pods_full, pods_partial, pods_none; // without the host
	uint64_t inserted, removed, failed;          // rule operations since start
	char missing_reason[LIMIT_TEXT + 1];         // of the last refusal, while rules are missing
};
void offload_read_summary(const struct offload *offload, struct offload_summary *ret_summary);

size_t offload_capability_count(const struct offload *offload);
const struct offload_capability *offload_capability(const struct offload *offload, size_t index);

// One installed rule, for people.
struct offload_rule {
	uint64_t id; // ascending, never 0, never used again
	uint32_t group, priority;
	bool has_slot;
	uint32_t slot;                // of the pod it serves
	char match[LIMIT_TEXT + 1];   // "from pf0vf3 eth src 02:… dst 02:… ipv4 src 10.88.0.4"
	char actions[LIMIT_TEXT + 1]; // "count, jump 3"
	bool counted;
	uint64_t packets, bytes; // if counted
	uint64_t age_ms;         // since it was installed
};
// The first rule whose ID is greater than `after`. False: none. Those of single connections are not among them: what leads
// to a pod's says how many it has.
bool offload_next_rule(struct offload *offload, uint64_t after, struct offload_rule *ret_rule);
