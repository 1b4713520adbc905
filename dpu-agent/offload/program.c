// SPDX-License-Identifier: BSD-3-Clause
//
// The program of offload.h, rule by rule.

#include "offload/program.h"

enum {
	ICMP6_ROUTER_SOLICITATION = 133, // RFC 4861 section 4
	ICMP6_REDIRECT = 137,
	DHCP_SERVER = 67, // RFC 2131 section 4.1
	DHCP_CLIENT = 68,
	DHCP6_SERVER = 547, // RFC 8415 section 7.2
	DHCP6_CLIENT = 546,
};

// To the connections. Frames with a tag are none that the rules about expiring ones know.
static size_t program_connections(const struct program_wire *wire, struct rule *ret_rules)
{
	const struct rule rule = {.port_id = wire->port_id, .vlan = wire->vlan};
	size_t count = 0;

	for (uint8_t limit = 0; wire->vlan != 0 && limit <= 1; limit++) {
		for (unsigned int family = 0; family < 2; family++) {
			ret_rules[count] = rule;
			ret_rules[count].number = limit;
			ret_rules[count++].kind = RULE_EXPIRING_WIRE_IPV4 + family;
		}
	}
	for (unsigned int family = 0; family < 2; family++) {
		ret_rules[count] = rule;
		ret_rules[count++].kind = RULE_CONNECTIONS_IPV4 + family;
	}
	return count;
}

size_t program_shared(bool by_icmp6_type, bool by_udp_ports, const struct program_wire *wire,
		      struct rule ret_rules[PROGRAM_RULES_MAX])
{
	size_t count = 0;

	for (uint8_t limit = 0; limit <= 1; limit++) {
		ret_rules[count++] = (struct rule){.kind = RULE_EXPIRING_IPV4, .number = limit};
		ret_rules[count++] = (struct rule){.kind = RULE_EXPIRING_IPV6, .number = limit};
	}
	if (!by_icmp6_type)
		ret_rules[count++] = (struct rule){.kind = RULE_ICMP6};
	for (uint8_t type = ICMP6_ROUTER_SOLICITATION; by_icmp6_type && type <= ICMP6_REDIRECT;
	     type++)
		ret_rules[count++] = (struct rule){.kind = RULE_NEIGHBOUR, .number = type};
	if (by_udp_ports) {
		ret_rules[count++] = (struct rule){.kind = RULE_DHCP_IPV4,
						   .udp_source = DHCP_SERVER,
						   .udp_destination = DHCP_CLIENT};
		ret_rules[count++] = (struct rule){.kind = RULE_DHCP_IPV6,
						   .udp_source = DHCP6_SERVER,
						   .udp_destination = DHCP6_CLIENT};
	}
	if (wire != NULL)
		count += program_connections(wire, ret_rules + count);
	ret_rules[count++] = (struct rule){.kind = RULE_ENTRY};
	return count;
}

uint32_t program_meter_id(uint32_t slot, unsigned int direction)
{
	return 1 + slot * BANDWIDTH_DIRECTIONS + direction;
}

// Where frames come in: from the pod, and for it.
static size_t program_limits(const struct offload_pod *pod, uint16_t port_id, uint16_t vf,
			     struct rule ret_rules[PROGRAM_RULES_MAX])
{
	static const enum rule_kind kinds[BANDWIDTH_DIRECTIONS] = {
		[BANDWIDTH_INGRESS] = RULE_LIMIT_FROM_AGENT,
		[BANDWIDTH_EGRESS] = RULE_LIMIT_SENT,
	};
	size_t count = 0;

	for (unsigned int direction = 0; direction < BANDWIDTH_DIRECTIONS; direction++) {
		if (pod->limits[direction].bytes_per_s == 0)
			continue;
		ret_rules[count++] = (struct rule){
			.kind = kinds[direction],
			.port_id = port_id,
			.vf = vf,
			.meter = program_meter_id(pod->slot, direction),
		};
	}
	return count;
}

// Of a pod that publishes ports: what may be an answer, which is to be translated, to the slow path, and by what it does not send from these ports
// to the routes; or, where the NIC cannot tell, nothing to the routes.
static size_t program_publisher(const struct offload_pod *pod, const struct rule *of_pod,
				int family, const struct program_node *node, struct rule *ret_rules)
{
	static const enum rule_kind entries[2] = {RULE_PUBLISHER_IPV4,
						  RULE_PUBLISHER_CONNECTED_IPV4};
	size_t count = 0;

	if (!node->publishers || pod->published_count > OFFLOAD_PUBLISHED_MAX) {
		ret_rules[count] = *of_pod;
		ret_rules[count++].kind = RULE_UNROUTED_IPV4 + family;
		return count;
	}
	for (uint32_t i = 0; i < pod->published_count; i++) {
		struct rule *rule = &ret_rules[count++];

		*rule = *of_pod;
		rule->protocol = pod->published[i].protocol;
		rule->source_port = pod->published[i].port;
		rule->kind =
			rule->protocol == IPPROTO_TCP ? RULE_ANSWER_TCP_IPV4 : RULE_ANSWER_UDP_IPV4;
		rule->kind += family;
	}
	for (unsigned int i = 0; i < (node->connections ? 2 : 1); i++) {
		struct rule *rule = &ret_rules[count++];

		*rule = *of_pod;
		rule->kind = entries[i] + family;
		rule->mtu = node->wire->mtu < node->largest ? (uint16_t)node->wire->mtu : 0;
	}
	return count;
}

// What is routed of one family: from the wire, by the rule that sends to the pod.
static size_t program_wire(const struct offload_pod *pod, const struct rule *of_pod, int family,
			   const struct program_node *node, bool receives, struct rule *ret_rules)
{
	const struct offload_wire *wire = node->wire;
	size_t count = 0;

	if (wire == NULL || !(family == 0 ? wire->ipv4 : wire->ipv6))
		return 0;
	if (node->largest != 0 || (receives && pod->mtu >= wire->mtu)) {
		struct rule *rule = &ret_rules[count++];

		*rule = *of_pod;
		rule->kind = RULE_FROM_WIRE_IPV4 + family;
		rule->port_id = node->uplink;
		rule->router = wire->mac;
		rule->vlan = wire->vlan;
	}
	if (pod->published_count > 0)
		count += program_publisher(pod, of_pod, family, node, &ret_rules[count]);
	return count;
}

size_t program_pod(const struct offload_pod *pod, uint16_t port_id, uint16_t vf,
		   const struct program_node *node, struct rule ret_rules[PROGRAM_RULES_MAX])
{
	static const enum rule_kind receiving[2][2] = {
		{RULE_OUTPUT_IPV4, RULE_OUTPUT_IPV6},
		{RULE_DESTINATION_IPV4, RULE_DESTINATION_IPV6},
	};
	static const enum rule_kind limited_output[2] = {RULE_LIMITED_OUTPUT_IPV4,
							 RULE_LIMITED_OUTPUT_IPV6};
	const bool limited = pod->limits[BANDWIDTH_INGRESS].bytes_per_s != 0;
	static const enum rule_kind sending[2] = {RULE_SOURCE_IPV4, RULE_SOURCE_IPV6};
	const bool has[2] = {pod->has_ipv4, pod->has_ipv6};
	const bool receives = node->largest != 0 || pod->mtu >= node->router->mtu;
	const bool sends = node->largest != 0 || pod->mtu <= node->router->mtu;
	size_t count = program_limits(pod, port_id, vf, ret_rules);

	for (int family = 0; family < 2; family++) {
		struct rule rule = {
			.port_id = port_id,
			.vf = vf,
			.mac = pod->mac,
			.router = node->router->mac,
			.ipv4 = pod->ipv4,
			.ipv6 = pod->ipv6,
			.mtu = pod->mtu < node->largest ? (uint16_t)pod->mtu : 0,
			.meter = program_meter_id(pod->slot, BANDWIDTH_INGRESS),
		};

		for (int i = 0; has[family] && receives && i < 2; i++) {
			rule.kind =
				i == 0 && limited ? limited_output[family] : receiving[i][family];
			ret_rules[count++] = rule;
		}
		rule.kind = sending[family];
		if (has[family] && sends)
			ret_rules[count++] = rule;
		if (has[family])
			count +=
				program_wire(pod, &rule, family, node, receives, &ret_rules[count]);
	}
	return count;
}
