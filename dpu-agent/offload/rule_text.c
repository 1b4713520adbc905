// SPDX-License-Identifier: BSD-3-Clause
//
// Rules as people read them.

#include "offload/rule.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>

struct text {
	char *start;
	size_t size, length;
	const char *separator;
};

static void text_add(struct text *text, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void text_add(struct text *text, const char *format, ...)
{
	va_list arguments;
	int n;

	if (text->length > 0)
		text->length += (size_t)snprintf(text->start + text->length,
						 text->size - text->length, "%s", text->separator);
	if (text->length >= text->size) {
		text->length = text->size - 1;
		return;
	}
	va_start(arguments, format);
	n = vsnprintf(text->start + text->length, text->size - text->length, format, arguments);
	va_end(arguments);
	text->length += (size_t)n;
	if (text->length >= text->size)
		text->length = text->size - 1;
}

static void add_mac(struct text *text, const char *before, const struct mac *mac)
{
	text_add(text, "%s%02x:%02x:%02x:%02x:%02x:%02x", before, mac->bytes[0], mac->bytes[1],
		 mac->bytes[2], mac->bytes[3], mac->bytes[4], mac->bytes[5]);
}

static void add_function(struct text *text, const char *before, const struct rule *rule)
{
	if (rule->vf == RULE_HOST)
		text_add(text, "%spf0", before);
	else
		text_add(text, "%spf0vf%u", before, rule->vf);
}

static const char *protocol_name(uint8_t protocol)
{
	return protocol == IPPROTO_TCP ? "tcp" : protocol == IPPROTO_UDP ? "udp" : "icmp";
}

static void add_ip(struct text *text, const struct rule *rule)
{
	const struct rule_shape *shape = rule_shape(rule);
	const bool v4 = shape->family == RULE_IPV4;
	const char *family = v4 ? "ipv4" : "ipv6";
	char address[INET6_ADDRSTRLEN] = "?";

	if (shape->match & MATCH_HOP_LIMIT)
		text_add(text, "%s %s %u", family, v4 ? "ttl" : "hop limit", rule->number);
	if (shape->match & MATCH_ICMP6)
		text_add(text, "ipv6 icmpv6");
	if (shape->match & MATCH_ICMP6_TYPE)
		text_add(text, "ipv6 icmpv6 type %u", rule->number);
	if (shape->match & MATCH_PROTOCOL)
		text_add(text, "%s %s", family, protocol_name(rule->protocol));
	if (shape->match & MATCH_ICMP_TYPE)
		text_add(text, "type %u", rule->number);
	if (shape->match & (MATCH_TCP_SOURCE | MATCH_UDP_SOURCE))
		text_add(text, "src %u", rule->source_port);
	if (shape->match & MATCH_UDP_PORTS)
		text_add(text, "%s udp src %u dst %u", family, rule->udp_source,
			 rule->udp_destination);
	if ((shape->match & MATCH_FITS) && rule->mtu != 0)
		text_add(text, "%s of at most %u bytes", family, rule->mtu);
	if (!(shape->match & (MATCH_IP_SRC | MATCH_IP_DST)))
		return;
	if (v4)
		inet_ntop(AF_INET, &rule->ipv4, address, sizeof(address));
	else
		inet_ntop(AF_INET6, &rule->ipv6, address, sizeof(address));
	text_add(text, "%s %s %s", family, shape->match & MATCH_IP_SRC ? "src" : "dst", address);
	if (shape->match & MATCH_PREFIX) {
		text->separator = "";
		text_add(text, "/%u", rule->prefix_length);
		text->separator = " ";
	}
}

void rule_print_match(const struct rule *rule, uint32_t left_out, char *ret_text, size_t size)
{
	const uint32_t match = rule_shape(rule)->match & ~left_out;
	struct text text = {.start = ret_text, .size = size, .separator = " "};

	ret_text[0] = '\0';
	if (match & MATCH_ANY_FUNCTION)
		text_add(&text, "from any function");
	if (match & MATCH_FUNCTION)
		add_function(&text, "from ", rule);
	if (match & MATCH_AGENT)
		add_function(&text, "from the agent for ", rule);
	if (match & MATCH_WIRE)
		text_add(&text, "from the wire");
	if (match & MATCH_RECEIVER)
		add_mac(&text, "eth dst ", &rule->receiver);
	if (match & MATCH_ETH_SRC_GROUP)
		text_add(&text, "eth src of a group");
	if (match & MATCH_ETH_SRC)
		add_mac(&text, "eth src ", &rule->mac);
	if (match & MATCH_ETH_DST)
		add_mac(&text, match & MATCH_ETH_SRC ? "dst " : "eth dst ", &rule->router);
	if ((match & (MATCH_WIRE | MATCH_WIRE_TAG)) && rule->vlan != 0)
		text_add(&text, "vlan %u", rule->vlan);
	else if ((match & MATCH_UNTAGGED) ||
		 ((match & MATCH_WIRE_TAG) && !(left_out & MATCH_UNTAGGED)))
		text_add(&text, "untagged");
	add_ip(&text, rule);
	if (match & MATCH_NO_OPTIONS)
		text_add(&text, "without options");
	if (match & MATCH_INTACT)
		text_add(&text, "intact");
}

void rule_print_actions(const struct rule *rule, char *ret_text, size_t size)
{
	const struct rule_shape *shape = rule_shape(rule);
	struct text text = {.start = ret_text, .size = size, .separator = ", "};

	ret_text[0] = '\0';
	if ((shape->actions & ACTION_POP_TAG) && rule->vlan != 0)
		text_add(&text, "pop vlan");
	if (shape->actions & ACTION_METER)
		text_add(&text, "meter");
	if (shape->actions & ACTION_COUNT)
		text_add(&text, "count");
	if ((shape->actions & ACTION_PUSH_TAG) && rule->vlan != 0)
		text_add(&text, "push vlan %u", rule->vlan);
	if (shape->actions & ACTION_REWRITE_MACS) {
		add_mac(&text, "set eth src ", &rule->router);
		add_mac(&text, "set eth dst ", &rule->mac);
	}
	if (shape->actions & ACTION_DECREMENT_HOP_LIMIT)
		text_add(&text, "decrement %s", shape->family == RULE_IPV4 ? "ttl" : "hop limit");
	if (shape->actions & ACTION_JUMP)
		text_add(&text, shape->jump == RULE_GROUP_SLOW ? "slow path" : "jump %u",
			 shape->jump);
	if (shape->actions & ACTION_TO_FUNCTION)
		add_function(&text, "to ", rule);
	if (shape->actions & ACTION_TO_WIRE)
		text_add(&text, "to the wire");
}
