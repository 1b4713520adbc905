// SPDX-License-Identifier: BSD-3-Clause
//
// The table of shapes, and how rules of them compare.

#include "offload/rule.h"

#include <string.h>

// clang-format off
const struct rule_shape rule_shapes[RULE_KINDS] = {
	[RULE_ENTRY] = {
		.name = "entry", .group = RULE_GROUP_ENTRY, .priority = 1, .opens = true,
		.match = MATCH_ANY_FUNCTION,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_DESTINATION},
	[RULE_EXPIRING_IPV4] = {
		.name = "expiring IPv4", .group = RULE_GROUP_DESTINATION, .family = RULE_IPV4,
		.match = MATCH_HOP_LIMIT,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_SLOW},
	[RULE_EXPIRING_IPV6] = {
		.name = "expiring IPv6", .group = RULE_GROUP_DESTINATION, .family = RULE_IPV6,
		.match = MATCH_HOP_LIMIT,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_SLOW},
	[RULE_NEIGHBOUR] = {
		.name = "neighbour discovery", .group = RULE_GROUP_DESTINATION, .family = RULE_IPV6,
		.match = MATCH_ICMP6_TYPE,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_SLOW},
	[RULE_ICMP6] = {
		.name = "ICMPv6", .group = RULE_GROUP_DESTINATION, .family = RULE_IPV6,
		.match = MATCH_ICMP6,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_SLOW},
	[RULE_DHCP_IPV4] = {
		.name = "DHCP answer", .group = RULE_GROUP_DESTINATION, .family = RULE_IPV4,
		.match = MATCH_UDP_PORTS,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_SLOW},
	[RULE_DHCP_IPV6] = {
		.name = "DHCPv6 answer", .group = RULE_GROUP_DESTINATION, .family = RULE_IPV6,
		.match = MATCH_UDP_PORTS,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_SLOW},
	[RULE_DESTINATION_IPV4] = {
		.name = "IPv4 destination", .group = RULE_GROUP_DESTINATION, .family = RULE_IPV4,
		.priority = 1, .opens = true,
		.match = MATCH_ETH_DST | MATCH_UNTAGGED | MATCH_INTACT | MATCH_NO_OPTIONS |
			 MATCH_IP_DST | MATCH_FITS,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_SOURCE},
	[RULE_DESTINATION_IPV6] = {
		.name = "IPv6 destination", .group = RULE_GROUP_DESTINATION, .family = RULE_IPV6,
		.priority = 1, .opens = true,
		.match = MATCH_ETH_DST | MATCH_UNTAGGED | MATCH_INTACT | MATCH_IP_DST | MATCH_FITS,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_SOURCE},
	[RULE_SOURCE_IPV4] = {
		.name = "IPv4 source", .group = RULE_GROUP_SOURCE, .family = RULE_IPV4,
		.match = MATCH_FUNCTION | MATCH_ETH_SRC | MATCH_ETH_DST | MATCH_IP_SRC,
		.actions = ACTION_COUNT | ACTION_JUMP, .jump = RULE_GROUP_OUTPUT},
	[RULE_SOURCE_IPV6] = {
		.name = "IPv6 source", .group = RULE_GROUP_SOURCE, .family = RULE_IPV6,
		.match = MATCH_FUNCTION | MATCH_ETH_SRC | MATCH_ETH_DST | MATCH_IP_SRC,
		.actions = ACTION_COUNT | ACTION_JUMP, .jump = RULE_GROUP_OUTPUT},
	[RULE_OUTPUT_IPV4] = {
		.name = "IPv4 output", .group = RULE_GROUP_OUTPUT, .family = RULE_IPV4,
		.match = MATCH_IP_DST,
		.actions = ACTION_COUNT | ACTION_REWRITE_MACS | ACTION_DECREMENT_HOP_LIMIT |
			   ACTION_TO_FUNCTION},
	[RULE_OUTPUT_IPV6] = {
		.name = "IPv6 output", .group = RULE_GROUP_OUTPUT, .family = RULE_IPV6,
		.match = MATCH_IP_DST,
		.actions = ACTION_COUNT | ACTION_REWRITE_MACS | ACTION_DECREMENT_HOP_LIMIT |
			   ACTION_TO_FUNCTION},
	[RULE_LIMIT_SENT] = {
		.name = "limit of what is sent", .group = RULE_GROUP_ENTRY, .limits = true,
		.match = MATCH_FUNCTION,
		.actions = ACTION_METER | ACTION_JUMP, .jump = RULE_GROUP_DESTINATION},
	[RULE_LIMIT_FROM_AGENT] = {
		.name = "limit of what the agent delivers", .group = RULE_GROUP_ENTRY, .limits = true,
		.match = MATCH_AGENT,
		.actions = ACTION_METER | ACTION_TO_FUNCTION},
	[RULE_LIMITED_OUTPUT_IPV4] = {
		.name = "limited IPv4 output", .group = RULE_GROUP_OUTPUT, .family = RULE_IPV4,
		.match = MATCH_IP_DST,
		.actions = ACTION_METER | ACTION_COUNT | ACTION_REWRITE_MACS |
			   ACTION_DECREMENT_HOP_LIMIT | ACTION_TO_FUNCTION},
	[RULE_LIMITED_OUTPUT_IPV6] = {
		.name = "limited IPv6 output", .group = RULE_GROUP_OUTPUT, .family = RULE_IPV6,
		.match = MATCH_IP_DST,
		.actions = ACTION_METER | ACTION_COUNT | ACTION_REWRITE_MACS |
			   ACTION_DECREMENT_HOP_LIMIT | ACTION_TO_FUNCTION},
	[RULE_CONNECTIONS_IPV4] = {
		.name = "IPv4 connections from the wire", .group = RULE_GROUP_DESTINATION,
		.family = RULE_IPV4, .priority = 2, .opens = true,
		.match = MATCH_WIRE | MATCH_UNTAGGED | MATCH_INTACT | MATCH_NO_OPTIONS,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_CONNECTION},
	[RULE_CONNECTIONS_IPV6] = {
		.name = "IPv6 connections from the wire", .group = RULE_GROUP_DESTINATION,
		.family = RULE_IPV6, .priority = 2, .opens = true,
		.match = MATCH_WIRE | MATCH_UNTAGGED | MATCH_INTACT,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_CONNECTION},
	[RULE_EXPIRING_WIRE_IPV4] = {
		.name = "expiring IPv4 from the wire", .group = RULE_GROUP_DESTINATION,
		.family = RULE_IPV4, .match = MATCH_WIRE | MATCH_HOP_LIMIT,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_SLOW},
	[RULE_EXPIRING_WIRE_IPV6] = {
		.name = "expiring IPv6 from the wire", .group = RULE_GROUP_DESTINATION,
		.family = RULE_IPV6, .match = MATCH_WIRE | MATCH_HOP_LIMIT,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_SLOW},
	[RULE_SENDER_IPV4] = {
		.name = "IPv4 connections of a pod", .group = RULE_GROUP_DESTINATION,
		.family = RULE_IPV4, .priority = 2, .opens = true,
		.match = MATCH_FUNCTION | MATCH_ETH_SRC | MATCH_ETH_DST | MATCH_UNTAGGED |
			 MATCH_INTACT | MATCH_NO_OPTIONS,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_CONNECTION},
	[RULE_SENDER_IPV6] = {
		.name = "IPv6 connections of a pod", .group = RULE_GROUP_DESTINATION,
		.family = RULE_IPV6, .priority = 2, .opens = true,
		.match = MATCH_FUNCTION | MATCH_ETH_SRC | MATCH_ETH_DST | MATCH_UNTAGGED |
			 MATCH_INTACT,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_CONNECTION},
	[RULE_RECEIVER] = {
		.name = "connections to a pod", .group = RULE_GROUP_RECEIVER,
		.match = MATCH_RECEIVER,
		.actions = ACTION_COUNT | ACTION_REWRITE_MACS | ACTION_TO_FUNCTION},
	[RULE_LIMITED_RECEIVER] = {
		.name = "limited connections to a pod", .group = RULE_GROUP_RECEIVER,
		.match = MATCH_RECEIVER,
		.actions = ACTION_METER | ACTION_COUNT | ACTION_REWRITE_MACS | ACTION_TO_FUNCTION},
	[RULE_SENT_TCP_IPV4] = {
		.name = "TCP sent over IPv4", .group = RULE_GROUP_CONNECTION, .family = RULE_IPV4,
		.match = MATCH_CONNECTION | MATCH_TCP | MATCH_ETH_SRC | MATCH_FITS,
		.actions = ACTION_COUNT | ACTION_TRANSLATE},
	[RULE_SENT_TCP_IPV6] = {
		.name = "TCP sent over IPv6", .group = RULE_GROUP_CONNECTION, .family = RULE_IPV6,
		.match = MATCH_CONNECTION | MATCH_TCP | MATCH_ETH_SRC | MATCH_FITS,
		.actions = ACTION_COUNT | ACTION_TRANSLATE},
	[RULE_SENT_UDP_IPV4] = {
		.name = "UDP sent over IPv4", .group = RULE_GROUP_CONNECTION, .family = RULE_IPV4,
		.match = MATCH_CONNECTION | MATCH_ETH_SRC | MATCH_FITS,
		.actions = ACTION_COUNT | ACTION_TRANSLATE},
	[RULE_SENT_UDP_IPV6] = {
		.name = "UDP sent over IPv6", .group = RULE_GROUP_CONNECTION, .family = RULE_IPV6,
		.match = MATCH_CONNECTION | MATCH_ETH_SRC | MATCH_FITS,
		.actions = ACTION_COUNT | ACTION_TRANSLATE},
	[RULE_RECEIVED_TCP_IPV4] = {
		.name = "TCP received over IPv4", .group = RULE_GROUP_CONNECTION, .family = RULE_IPV4,
		.match = MATCH_CONNECTION | MATCH_WIRE | MATCH_TCP | MATCH_FITS,
		.actions = ACTION_COUNT | ACTION_TRANSLATE | ACTION_JUMP,
		.jump = RULE_GROUP_RECEIVER},
	[RULE_RECEIVED_TCP_IPV6] = {
		.name = "TCP received over IPv6", .group = RULE_GROUP_CONNECTION, .family = RULE_IPV6,
		.match = MATCH_CONNECTION | MATCH_WIRE | MATCH_TCP | MATCH_FITS,
		.actions = ACTION_COUNT | ACTION_TRANSLATE | ACTION_JUMP,
		.jump = RULE_GROUP_RECEIVER},
	[RULE_RECEIVED_UDP_IPV4] = {
		.name = "UDP received over IPv4", .group = RULE_GROUP_CONNECTION, .family = RULE_IPV4,
		.match = MATCH_CONNECTION | MATCH_WIRE | MATCH_FITS,
		.actions = ACTION_COUNT | ACTION_TRANSLATE | ACTION_JUMP,
		.jump = RULE_GROUP_RECEIVER},
	[RULE_RECEIVED_UDP_IPV6] = {
		.name = "UDP received over IPv6", .group = RULE_GROUP_CONNECTION, .family = RULE_IPV6,
		.match = MATCH_CONNECTION | MATCH_WIRE | MATCH_FITS,
		.actions = ACTION_COUNT | ACTION_TRANSLATE | ACTION_JUMP,
		.jump = RULE_GROUP_RECEIVER},
	[RULE_SENT_ECHO_IPV4] = {
		.name = "pings sent over IPv4", .group = RULE_GROUP_CONNECTION, .family = RULE_IPV4,
		.match = MATCH_CONNECTION | MATCH_ECHO | MATCH_ETH_SRC | MATCH_FITS,
		.actions = ACTION_COUNT | ACTION_TRANSLATE},
	[RULE_RECEIVED_ECHO_IPV4] = {
		.name = "pings answered over IPv4", .group = RULE_GROUP_CONNECTION,
		.family = RULE_IPV4,
		.match = MATCH_CONNECTION | MATCH_WIRE | MATCH_ECHO | MATCH_FITS,
		.actions = ACTION_COUNT | ACTION_TRANSLATE | ACTION_JUMP,
		.jump = RULE_GROUP_RECEIVER},
	[RULE_SENT_ECHO_IPV6] = {
		.name = "pings sent over IPv6", .group = RULE_GROUP_CONNECTION, .family = RULE_IPV6,
		.match = MATCH_CONNECTION | MATCH_ECHO | MATCH_ETH_SRC | MATCH_FITS,
		.actions = ACTION_COUNT | ACTION_TRANSLATE},
	[RULE_RECEIVED_ECHO_IPV6] = {
		.name = "pings answered over IPv6", .group = RULE_GROUP_CONNECTION,
		.family = RULE_IPV6,
		.match = MATCH_CONNECTION | MATCH_WIRE | MATCH_ECHO | MATCH_FITS,
		.actions = ACTION_COUNT | ACTION_TRANSLATE | ACTION_JUMP,
		.jump = RULE_GROUP_RECEIVER},
	[RULE_HAIRPIN_TCP_IPV4] = {
		.name = "TCP within the node over IPv4", .group = RULE_GROUP_CONNECTION,
		.family = RULE_IPV4,
		.match = MATCH_CONNECTION | MATCH_TCP | MATCH_ETH_SRC | MATCH_FITS,
		.actions = ACTION_COUNT | ACTION_TRANSLATE | ACTION_JUMP,
		.jump = RULE_GROUP_RECEIVER},
	[RULE_HAIRPIN_TCP_IPV6] = {
		.name = "TCP within the node over IPv6", .group = RULE_GROUP_CONNECTION,
		.family = RULE_IPV6,
		.match = MATCH_CONNECTION | MATCH_TCP | MATCH_ETH_SRC | MATCH_FITS,
		.actions = ACTION_COUNT | ACTION_TRANSLATE | ACTION_JUMP,
		.jump = RULE_GROUP_RECEIVER},
	[RULE_HAIRPIN_UDP_IPV4] = {
		.name = "UDP within the node over IPv4", .group = RULE_GROUP_CONNECTION,
		.family = RULE_IPV4,
		.match = MATCH_CONNECTION | MATCH_ETH_SRC | MATCH_FITS,
		.actions = ACTION_COUNT | ACTION_TRANSLATE | ACTION_JUMP,
		.jump = RULE_GROUP_RECEIVER},
	[RULE_HAIRPIN_UDP_IPV6] = {
		.name = "UDP within the node over IPv6", .group = RULE_GROUP_CONNECTION,
		.family = RULE_IPV6,
		.match = MATCH_CONNECTION | MATCH_ETH_SRC | MATCH_FITS,
		.actions = ACTION_COUNT | ACTION_TRANSLATE | ACTION_JUMP,
		.jump = RULE_GROUP_RECEIVER},
	[RULE_FROM_WIRE_IPV4] = {
		.name = "IPv4 from the wire", .family = RULE_IPV4,
		.group = RULE_GROUP_DESTINATION, .priority = 1, .opens = true,
		.match = MATCH_WIRE | MATCH_ETH_DST | MATCH_WIRE_TAG | MATCH_INTACT |
			 MATCH_NO_OPTIONS | MATCH_IP_DST | MATCH_FITS,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_WIRE_SOURCE},
	[RULE_FROM_WIRE_IPV6] = {
		.name = "IPv6 from the wire", .family = RULE_IPV6,
		.group = RULE_GROUP_DESTINATION, .priority = 1, .opens = true,
		.match = MATCH_WIRE | MATCH_ETH_DST | MATCH_WIRE_TAG | MATCH_INTACT |
			 MATCH_IP_DST | MATCH_FITS,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_WIRE_SOURCE},
	[RULE_NOBODY_GROUP] = {
		.name = "group as sender", .group = RULE_GROUP_WIRE_SOURCE, .guards = true,
		.match = MATCH_ETH_SRC_GROUP,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_SLOW},
	[RULE_NOBODY] = {
		.name = "nobody as sender", .group = RULE_GROUP_WIRE_SOURCE, .guards = true,
		.match = MATCH_ETH_SRC,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_SLOW},
	[RULE_WIRE_EXPIRING_IPV4] = {
		.name = "expiring IPv4 from the wire", .family = RULE_IPV4,
		.group = RULE_GROUP_WIRE_SOURCE, .guards = true,
		.match = MATCH_WIRE_TAG | MATCH_HOP_LIMIT,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_SLOW},
	[RULE_WIRE_EXPIRING_IPV6] = {
		.name = "expiring IPv6 from the wire", .family = RULE_IPV6,
		.group = RULE_GROUP_WIRE_SOURCE, .guards = true,
		.match = MATCH_WIRE_TAG | MATCH_HOP_LIMIT,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_SLOW},
	[RULE_WIRE_NEIGHBOUR] = {
		.name = "neighbour discovery from the wire", .group = RULE_GROUP_WIRE_SOURCE,
		.family = RULE_IPV6, .guards = true,
		.match = MATCH_WIRE_TAG | MATCH_ICMP6_TYPE,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_SLOW},
	[RULE_WIRE_ICMP6] = {
		.name = "ICMPv6 from the wire", .group = RULE_GROUP_WIRE_SOURCE,
		.family = RULE_IPV6, .guards = true,
		.match = MATCH_WIRE_TAG | MATCH_ICMP6,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_SLOW},
	[RULE_WIRE_SOURCE_IPV4] = {
		.name = "IPv4 source on the wire", .family = RULE_IPV4,
		.group = RULE_GROUP_WIRE_SOURCE, .priority = 1,
		.match = MATCH_WIRE_TAG | MATCH_IP_SRC | MATCH_PREFIX,
		.actions = ACTION_POP_TAG | ACTION_COUNT | ACTION_JUMP, .jump = RULE_GROUP_OUTPUT},
	[RULE_WIRE_SOURCE_IPV6] = {
		.name = "IPv6 source on the wire", .family = RULE_IPV6,
		.group = RULE_GROUP_WIRE_SOURCE, .priority = 1,
		.match = MATCH_WIRE_TAG | MATCH_IP_SRC | MATCH_PREFIX,
		.actions = ACTION_POP_TAG | ACTION_COUNT | ACTION_JUMP, .jump = RULE_GROUP_OUTPUT},
	[RULE_NO_WIRE_SOURCE_IPV4] = {
		.name = "no IPv4 source on the wire", .family = RULE_IPV4,
		.group = RULE_GROUP_WIRE_SOURCE, .priority = 1, .guards = true,
		.match = MATCH_WIRE_TAG | MATCH_IP_SRC | MATCH_PREFIX,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_SLOW},
	[RULE_NO_WIRE_SOURCE_IPV6] = {
		.name = "no IPv6 source on the wire", .family = RULE_IPV6,
		.group = RULE_GROUP_WIRE_SOURCE, .priority = 1, .guards = true,
		.match = MATCH_WIRE_TAG | MATCH_IP_SRC | MATCH_PREFIX,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_SLOW},
	[RULE_ROUTES_IPV4] = {
		.name = "IPv4 routes", .family = RULE_IPV4,
		.group = RULE_GROUP_DESTINATION, .priority = 4, .opens = true,
		.match = MATCH_ETH_DST | MATCH_UNTAGGED | MATCH_INTACT | MATCH_NO_OPTIONS | MATCH_FITS,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_ROUTE},
	[RULE_ROUTES_IPV6] = {
		.name = "IPv6 routes", .family = RULE_IPV6,
		.group = RULE_GROUP_DESTINATION, .priority = 4, .opens = true,
		.match = MATCH_ETH_DST | MATCH_UNTAGGED | MATCH_INTACT | MATCH_FITS,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_ROUTE},
	[RULE_CONNECTED_IPV4] = {
		.name = "IPv4 routes beside connections", .family = RULE_IPV4,
		.group = RULE_GROUP_CONNECTION, .priority = 2, .opens = true,
		.match = MATCH_ETH_DST | MATCH_FITS,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_ROUTE},
	[RULE_CONNECTED_IPV6] = {
		.name = "IPv6 routes beside connections", .family = RULE_IPV6,
		.group = RULE_GROUP_CONNECTION, .priority = 2, .opens = true,
		.match = MATCH_ETH_DST | MATCH_FITS,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_ROUTE},
	[RULE_UNROUTED_IPV4] = {
		.name = "unrouted IPv4", .family = RULE_IPV4,
		.group = RULE_GROUP_ROUTE, .guards = true,
		.match = MATCH_FUNCTION,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_SLOW},
	[RULE_UNROUTED_IPV6] = {
		.name = "unrouted IPv6", .family = RULE_IPV6,
		.group = RULE_GROUP_ROUTE, .guards = true,
		.match = MATCH_FUNCTION,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_SLOW},
	[RULE_ROUTE_IPV4] = {
		.name = "IPv4 route", .family = RULE_IPV4,
		.group = RULE_GROUP_ROUTE, .priority = 1, .opens = true,
		.match = MATCH_IP_DST | MATCH_PREFIX,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_SOURCE},
	[RULE_ROUTE_IPV6] = {
		.name = "IPv6 route", .family = RULE_IPV6,
		.group = RULE_GROUP_ROUTE, .priority = 1, .opens = true,
		.match = MATCH_IP_DST | MATCH_PREFIX,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_SOURCE},
	[RULE_NO_ROUTE_IPV4] = {
		.name = "no IPv4 route", .family = RULE_IPV4,
		.group = RULE_GROUP_ROUTE, .priority = 2, .guards = true,
		.match = MATCH_IP_DST | MATCH_PREFIX,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_SLOW},
	[RULE_NO_ROUTE_IPV6] = {
		.name = "no IPv6 route", .family = RULE_IPV6,
		.group = RULE_GROUP_ROUTE, .priority = 2, .guards = true,
		.match = MATCH_IP_DST | MATCH_PREFIX,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_SLOW},
	[RULE_TO_WIRE_IPV4] = {
		.name = "IPv4 to the wire", .family = RULE_IPV4,
		.group = RULE_GROUP_OUTPUT, .priority = 1,
		.match = MATCH_IP_DST | MATCH_PREFIX,
		.actions = ACTION_COUNT | ACTION_PUSH_TAG | ACTION_REWRITE_MACS |
			   ACTION_DECREMENT_HOP_LIMIT | ACTION_TO_WIRE},
	[RULE_TO_WIRE_IPV6] = {
		.name = "IPv6 to the wire", .family = RULE_IPV6,
		.group = RULE_GROUP_OUTPUT, .priority = 1,
		.match = MATCH_IP_DST | MATCH_PREFIX,
		.actions = ACTION_COUNT | ACTION_PUSH_TAG | ACTION_REWRITE_MACS |
			   ACTION_DECREMENT_HOP_LIMIT | ACTION_TO_WIRE},
	[RULE_PUBLISHER_IPV4] = {
		.name = "IPv4 of a pod that publishes ports", .family = RULE_IPV4,
		.group = RULE_GROUP_DESTINATION, .priority = 3, .guards = true,
		.match = MATCH_FUNCTION | MATCH_ETH_DST | MATCH_UNTAGGED | MATCH_INTACT |
			 MATCH_NO_OPTIONS | MATCH_FITS,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_PUBLISHER},
	[RULE_PUBLISHER_IPV6] = {
		.name = "IPv6 of a pod that publishes ports", .family = RULE_IPV6,
		.group = RULE_GROUP_DESTINATION, .priority = 3, .guards = true,
		.match = MATCH_FUNCTION | MATCH_ETH_DST | MATCH_UNTAGGED | MATCH_INTACT | MATCH_FITS,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_PUBLISHER},
	[RULE_PUBLISHER_CONNECTED_IPV4] = {
		.name = "IPv4 of a pod that publishes ports beside connections", .family = RULE_IPV4,
		.group = RULE_GROUP_CONNECTION, .priority = 1, .guards = true,
		.match = MATCH_FUNCTION | MATCH_ETH_DST | MATCH_FITS,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_PUBLISHER},
	[RULE_PUBLISHER_CONNECTED_IPV6] = {
		.name = "IPv6 of a pod that publishes ports beside connections", .family = RULE_IPV6,
		.group = RULE_GROUP_CONNECTION, .priority = 1, .guards = true,
		.match = MATCH_FUNCTION | MATCH_ETH_DST | MATCH_FITS,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_PUBLISHER},
	[RULE_ANSWER_TCP_IPV4] = {
		.name = "TCP over IPv4 from a published port", .family = RULE_IPV4,
		.group = RULE_GROUP_PUBLISHER, .guards = true,
		.match = MATCH_FUNCTION | MATCH_PROTOCOL | MATCH_TCP_SOURCE,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_SLOW},
	[RULE_ANSWER_TCP_IPV6] = {
		.name = "TCP over IPv6 from a published port", .family = RULE_IPV6,
		.group = RULE_GROUP_PUBLISHER, .guards = true,
		.match = MATCH_FUNCTION | MATCH_PROTOCOL | MATCH_TCP_SOURCE,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_SLOW},
	[RULE_ANSWER_UDP_IPV4] = {
		.name = "UDP over IPv4 from a published port", .family = RULE_IPV4,
		.group = RULE_GROUP_PUBLISHER, .guards = true,
		.match = MATCH_FUNCTION | MATCH_PROTOCOL | MATCH_UDP_SOURCE,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_SLOW},
	[RULE_ANSWER_UDP_IPV6] = {
		.name = "UDP over IPv6 from a published port", .family = RULE_IPV6,
		.group = RULE_GROUP_PUBLISHER, .guards = true,
		.match = MATCH_FUNCTION | MATCH_PROTOCOL | MATCH_UDP_SOURCE,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_SLOW},
	[RULE_NO_ANSWER_IPV4] = {
		.name = "no answer over IPv4", .family = RULE_IPV4,
		.group = RULE_GROUP_PUBLISHER, .priority = 1, .opens = true,
		.match = MATCH_PROTOCOL,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_ROUTE},
	[RULE_NO_ANSWER_IPV6] = {
		.name = "no answer over IPv6", .family = RULE_IPV6,
		.group = RULE_GROUP_PUBLISHER, .priority = 1, .opens = true,
		.match = MATCH_PROTOCOL,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_ROUTE},
	[RULE_NO_ANSWER_PING_IPV4] = {
		.name = "no answer but a ping over IPv4", .family = RULE_IPV4,
		.group = RULE_GROUP_PUBLISHER, .priority = 1, .opens = true,
		.match = MATCH_PROTOCOL | MATCH_ICMP_TYPE,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_ROUTE},
	[RULE_NO_ANSWER_PING_IPV6] = {
		.name = "no answer but a ping over IPv6", .family = RULE_IPV6,
		.group = RULE_GROUP_PUBLISHER, .priority = 1, .opens = true,
		.match = MATCH_ICMP6_TYPE | MATCH_WHOLE_IPV6,
		.actions = ACTION_JUMP, .jump = RULE_GROUP_ROUTE},
};
// clang-format on

uint32_t rule_priority(const struct rule_shape *shape, const struct rule *rule)
{
	const uint32_t bits = shape->family == RULE_IPV4 ? 32 : 128;

	if (!(shape->match & MATCH_PREFIX))
		return shape->priority;
	return shape->priority + 2 * (bits - rule->prefix_length);
}

static bool same_mac(const struct mac *a, const struct mac *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

bool rule_same_match(const struct rule *a, const struct rule *b)
{
	const struct rule_shape *shape = rule_shape(a);
	uint32_t match = shape->match;

	if (a->kind != b->kind)
		return false;
	if ((match & (MATCH_FUNCTION | MATCH_AGENT | MATCH_WIRE)) && a->port_id != b->port_id)
		return false;
	if ((match & MATCH_WIRE_TAG) && a->vlan != b->vlan)
		return false;
	if ((match & MATCH_PREFIX) && a->prefix_length != b->prefix_length)
		return false;
	if ((match & MATCH_ETH_SRC) && !same_mac(&a->mac, &b->mac))
		return false;
	if ((match & MATCH_ETH_DST) && !same_mac(&a->router, &b->router))
		return false;
	if ((match & (MATCH_HOP_LIMIT | MATCH_ICMP_TYPE | MATCH_ICMP6_TYPE)) &&
	    a->number != b->number)
		return false;
	if ((match & MATCH_UDP_PORTS) &&
	    (a->udp_source != b->udp_source || a->udp_destination != b->udp_destination))
		return false;
	if ((match & MATCH_PROTOCOL) && a->protocol != b->protocol)
		return false;
	if ((match & (MATCH_TCP_SOURCE | MATCH_UDP_SOURCE)) && a->source_port != b->source_port)
		return false;
	if (!(match & (MATCH_IP_SRC | MATCH_IP_DST)))
		return true;
	if (shape->family == RULE_IPV4)
		return a->ipv4.s_addr == b->ipv4.s_addr;
	return memcmp(&a->ipv6, &b->ipv6, sizeof(a->ipv6)) == 0;
}
