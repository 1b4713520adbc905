// SPDX-License-Identifier: BSD-3-Clause
//
// A rule as plain data: its shape (where it is, what it looks at, what it does) and the values of
// this one. All that podport says to an e-switch is made of the shapes below; flow.h turns them
// into rte_flow's words, and with the asynchronous API a shape is a template table. Pure functions,
// free of DPDK.

#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/message.h"

enum {
	RULE_GROUP_ENTRY,
	RULE_GROUP_DESTINATION,
	RULE_GROUP_SOURCE,
	RULE_GROUP_OUTPUT,
	RULE_GROUP_SLOW, // has no rule: whatever gets here misses
	RULE_GROUP_CONNECTION,
	RULE_GROUP_RECEIVER, // what connections have for pods
	RULE_GROUP_WIRE_SOURCE,
	RULE_GROUP_ROUTE,
	RULE_GROUP_PUBLISHER, // of pods that publish ports: what is no answer
};

enum rule_family { RULE_NO_IP, RULE_IPV4, RULE_IPV6 }; // the Ethernet type that is matched

// What a rule looks at, besides the Ethernet type.
enum {
	MATCH_ANY_FUNCTION = 1 << 0, // from whatever the e-switch has a port for
	MATCH_FUNCTION = 1 << 1,     // from the function of rule.port_id
	MATCH_ETH_SRC = 1 << 2,      // rule.mac
	MATCH_ETH_DST = 1 << 3,      // rule.router
	MATCH_UNTAGGED = 1 << 4,     // no VLAN tag before the Ethernet type
	MATCH_INTACT = 1 << 5,       // the NIC found the IP header's checksum and lengths good
	MATCH_NO_OPTIONS = 1 << 6,   // IPv4: a header of 20 bytes
	MATCH_IP_SRC = 1 << 7,       // rule.ipv4 or ipv6
	MATCH_IP_DST = 1 << 8,       // rule.ipv4 or ipv6
	MATCH_HOP_LIMIT = 1 << 9,    // rule.number
	MATCH_ICMP6 = 1 << 10,       // next header is ICMPv6
	MATCH_ICMP6_TYPE = 1 << 11,  // rule.number
	MATCH_UDP_PORTS = 1 << 12,   // UDP, from rule.udp_source to rule.udp_destination
	MATCH_AGENT = 1 << 13,       // sent by the agent, through the ethdev of rule.port_id
	// rule.connection->from: this port, destination MAC address and tuple, unfragmented; with MATCH_ETH_SRC its source
	// MAC address, with MATCH_TCP an ACK and none of SYN, FIN, RST; else UDP
	MATCH_CONNECTION = 1 << 14,
	MATCH_TCP = 1 << 15,
	MATCH_WIRE =
		1 << 16, // from the uplink, whose ethdev is rule.port_id; on a VLAN with its tag
	MATCH_RECEIVER = 1 << 17, // destination MAC address rule.receiver
	// As of frames on the wire: tagged with rule.vlan, or untagged if that is 0.
	MATCH_WIRE_TAG = 1 << 18,
	// With MATCH_IP_SRC or MATCH_IP_DST: only the first rule.prefix_length bits, longer prefixes first.
	MATCH_PREFIX = 1 << 19,
	MATCH_ETH_SRC_GROUP = 1 << 20, // a source MAC address that is a group's, and so nobody's
	MATCH_FITS = 1 << 21,          // if rule.mtu is not 0: a packet of no more bytes
	// With MATCH_CONNECTION, in the place of ports: a ping's identifier, which is its source port; with MATCH_WIRE its
	// reply's, which is the destination port. Code 0.
	MATCH_ECHO = 1 << 22,
	// rule.protocol, unfragmented; of IPv6 also without extension headers, unless the NIC looks behind those
	MATCH_PROTOCOL = 1 << 23,
	MATCH_TCP_SOURCE = 1 << 24, // TCP from rule.source_port
	MATCH_UDP_SOURCE = 1 << 25, // UDP likewise
	MATCH_ICMP_TYPE = 1 << 26,  // rule.number
	MATCH_WHOLE_IPV6 = 1 << 27, // unfragmented, as with MATCH_PROTOCOL
};

// What it does, in this order.
enum {
	ACTION_METER = 1 << 0, // by rule.meter; what is too much is dropped, and not counted
	ACTION_COUNT = 1 << 1,
	ACTION_REWRITE_MACS = 1 << 2, // source rule.router, destination rule.mac
	ACTION_DECREMENT_HOP_LIMIT = 1 << 3,
	ACTION_JUMP = 1 << 4,        // to shape.jump
	ACTION_TO_FUNCTION = 1 << 5, // out of the function of rule.port_id
	// Addresses, ports (but of MATCH_ECHO) and MAC addresses of rule.connection->to, time to live less 1; without a jump, out of its port.
	// The wire's VLAN tag comes off, or on.
	ACTION_TRANSLATE = 1 << 6,
	ACTION_POP_TAG = 1 << 7,  // the first of all, if rule.vlan is not 0
	ACTION_PUSH_TAG = 1 << 8, // of rule.vlan, if that is not 0
	ACTION_TO_WIRE = 1 << 9,  // out of the uplink, which is rule.port_id
};

struct rule_shape {
	const char *name; // for people: "destination ipv4"
	uint32_t group, priority;
	enum rule_family family;
	uint32_t match, actions;
	uint32_t jump;
	// Lets frames into rules that must be there before: of a set, installed last and removed
	// first.
	bool opens;
	// Limits what is let in by others, and by the default way: of a set, installed first and removed
	// last.
	bool limits;
	// Keeps frames from rules that are not for them: of a set, installed before those and removed after them.
	bool guards;
};

enum rule_kind {
	RULE_ENTRY,
	RULE_EXPIRING_IPV4,
	RULE_EXPIRING_IPV6,
	RULE_NEIGHBOUR, // neighbour discovery stays on its link, whomever it is addressed to
	RULE_ICMP6,     // in its place where the NIC cannot see the type: all of ICMPv6
	RULE_DHCP_IPV4, // what a DHCP server says to a client: no pod is one
	RULE_DHCP_IPV6,
	RULE_DESTINATION_IPV4,
	RULE_DESTINATION_IPV6,
	RULE_SOURCE_IPV4,
	RULE_SOURCE_IPV6,
	RULE_OUTPUT_IPV4,
	RULE_OUTPUT_IPV6,
	// Of pods that have a limit; only on a NIC that can meter.
	RULE_LIMIT_SENT,
	RULE_LIMIT_FROM_AGENT,
	RULE_LIMITED_OUTPUT_IPV4, // in the place of RULE_OUTPUT_
	RULE_LIMITED_OUTPUT_IPV6,
	RULE_CONNECTIONS_IPV4, // from the wire to the connections: what may be one's packet at all
	RULE_CONNECTIONS_IPV6,
	RULE_EXPIRING_WIRE_IPV4, // on a VLAN: the other rules about it are of frames without a tag
	RULE_EXPIRING_WIRE_IPV6,
	RULE_SENDER_IPV4, // the same of what a pod sends that has some, or the host
	RULE_SENDER_IPV6,
	RULE_RECEIVER, // to a pod or the host, what its connections have for it
	RULE_LIMITED_RECEIVER,
	RULE_SENT_TCP_IPV4, // by a pod
	RULE_SENT_TCP_IPV6,
	RULE_SENT_UDP_IPV4,
	RULE_SENT_UDP_IPV6,
	RULE_RECEIVED_TCP_IPV4,
	RULE_RECEIVED_TCP_IPV6,
	RULE_RECEIVED_UDP_IPV4,
	RULE_RECEIVED_UDP_IPV6,
	RULE_SENT_ECHO_IPV4, // the same of pings
	RULE_RECEIVED_ECHO_IPV4,
	RULE_SENT_ECHO_IPV6,
	RULE_RECEIVED_ECHO_IPV6,
	RULE_HAIRPIN_TCP_IPV4, // by a pod or the host, to a pod or the host
	RULE_HAIRPIN_TCP_IPV6,
	RULE_HAIRPIN_UDP_IPV4,
	RULE_HAIRPIN_UDP_IPV6,
	// What is routed between pods and the wire: see routes.h.
	RULE_FROM_WIRE_IPV4, // to a pod
	RULE_FROM_WIRE_IPV6,
	RULE_NOBODY_GROUP, // on the wire: such MAC addresses nobody has
	RULE_NOBODY,
	RULE_WIRE_EXPIRING_IPV4, // as those without WIRE, of tagged frames
	RULE_WIRE_EXPIRING_IPV6,
	RULE_WIRE_NEIGHBOUR,
	RULE_WIRE_ICMP6,
	RULE_WIRE_SOURCE_IPV4, // who may speak to pods
	RULE_WIRE_SOURCE_IPV6,
	RULE_NO_WIRE_SOURCE_IPV4, // who may not, or not without being looked at
	RULE_NO_WIRE_SOURCE_IPV6,
	RULE_ROUTES_IPV4, // to the routes: what a pod sends that is for no pod
	RULE_ROUTES_IPV6,
	RULE_CONNECTED_IPV4, // the same if the pod has connections, and it is none of theirs
	RULE_CONNECTED_IPV6,
	RULE_UNROUTED_IPV4, // not of this pod
	RULE_UNROUTED_IPV6,
	RULE_ROUTE_IPV4,
	RULE_ROUTE_IPV6,
	RULE_NO_ROUTE_IPV4, // none that the e-switch could take
	RULE_NO_ROUTE_IPV6,
	RULE_TO_WIRE_IPV4,
	RULE_TO_WIRE_IPV6,
	// In the place of RULE_UNROUTED_, on a NIC that can tell what may be an answer that is to be translated: see routes.h.
	RULE_PUBLISHER_IPV4,
	RULE_PUBLISHER_IPV6,
	RULE_PUBLISHER_CONNECTED_IPV4,
	RULE_PUBLISHER_CONNECTED_IPV6,
	RULE_ANSWER_TCP_IPV4,
	RULE_ANSWER_TCP_IPV6,
	RULE_ANSWER_UDP_IPV4,
	RULE_ANSWER_UDP_IPV6,
	RULE_NO_ANSWER_IPV4, // TCP and UDP
	RULE_NO_ANSWER_IPV6,
	RULE_NO_ANSWER_PING_IPV4,
	RULE_NO_ANSWER_PING_IPV6,
	RULE_KINDS,
	RULE_LIMITED_FIRST = RULE_LIMIT_SENT,
	RULE_CONNECTION_FIRST =
		RULE_CONNECTIONS_IPV4, // those of connections, which a NIC need not know
	RULE_ECHO_FIRST =
		RULE_SENT_ECHO_IPV4, // of these, of pings, of which it need not know the others' family
	RULE_ECHO_IPV6_FIRST = RULE_SENT_ECHO_IPV6,
	RULE_HAIRPIN_FIRST =
		RULE_HAIRPIN_TCP_IPV4, // of these, of connections within the node, nor these
	RULE_ROUTE_FIRST = RULE_FROM_WIRE_IPV4,     // the same of routes
	RULE_PUBLISHER_FIRST = RULE_PUBLISHER_IPV4, // and of these
};

extern const struct rule_shape rule_shapes[RULE_KINDS];

// How a connection's packets look at one end.
struct rule_side {
	uint16_t port_id; // of the function's ethdev, or the uplink's
	struct mac source_mac, destination_mac;
	union {
		struct in_addr ipv4;
		struct in6_addr ipv6;
	} source, destination;
	in_port_t source_port_be, destination_port_be;
};

// One direction: what comes looking like this goes on looking like that.
struct rule_connection {
	struct rule_side from, to;
};

enum { RULE_HOST = UINT16_MAX }; // for a VF's number

struct rule {
	enum rule_kind kind;
	uint16_t port_id; // of the function's ethdev
	uint16_t vf;      // the function, for people; RULE_HOST: the host's
	struct mac mac;   // the pod's
	struct mac router;
	struct mac receiver; // what the pod is addressed by within the e-switch
	struct in_addr ipv4; // the pod's
	struct in6_addr ipv6;
	uint8_t number; // hop limit, or type of ICMP or ICMPv6
	uint8_t protocol;
	uint8_t prefix_length;
	uint16_t mtu;  // bytes of layer 3; 0: whatever its length
	uint16_t vlan; // of the wire, 0: untagged
	uint16_t udp_source, udp_destination;
	uint16_t source_port;
	uint32_t meter;                           // its ID
	const struct rule_connection *connection; // of a rule of one; the caller's
};

static inline const struct rule_shape *rule_shape(const struct rule *rule)
{
	return &rule_shapes[rule->kind];
}

// It leads packets of whatever length, and could be for those that fit alone.
static inline bool rule_leads_all(const struct rule *rule)
{
	return (rule_shape(rule)->match & MATCH_FITS) && rule->mtu == 0;
}

// Of the shape, and of two prefixes the longer one's is the better.
uint32_t rule_priority(const struct rule_shape *shape, const struct rule *rule);

// Would a NIC that has both know which one a frame meets?
bool rule_same_match(const struct rule *a, const struct rule *b);

// "from pf0vf3 eth src 02:… dst 02:… ipv4 src 10.88.0.4"; cut if it does not fit. left_out: MATCH_ bits that this NIC
// cannot look at, and which the rule goes without.
void rule_print_match(const struct rule *rule, uint32_t left_out, char *ret_text, size_t size);
// "count, jump 3"
void rule_print_actions(const struct rule *rule, char *ret_text, size_t size);
