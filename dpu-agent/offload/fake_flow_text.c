// SPDX-License-Identifier: BSD-3-Clause
//
// What a rule says, read back from rte_flow's structures: the test's own reading, not offload/'s.

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_version.h>

#include "offload/fake_flow_private.h"

struct reading {
	struct rte_flow *rule;
	size_t length;
	uint16_t family;
	int protocol; // that layer 3 is asked for; -1: whichever
};

static void say(struct reading *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct reading *r, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	r->length += (size_t)vsnprintf(r->rule->text + r->length, sizeof(r->rule->text) - r->length,
				       format, arguments);
	va_end(arguments);
	assert_true(r->length < sizeof(r->rule->text));
}

static void say_mac(struct reading *r, const char *name, const uint8_t *mac)
{
	say(r, " %s=%02x:%02x:%02x:%02x:%02x:%02x", name, mac[0], mac[1], mac[2], mac[3], mac[4],
	    mac[5]);
}

// All ones, or all zeros; nothing else is used.
static bool is_set(const void *mask, size_t size)
{
	const uint8_t *bytes = mask;

	for (size_t i = 1; i < size; i++)
		assert_int_equal(bytes[i], bytes[0]);
	assert_true(bytes[0] == 0 || bytes[0] == 0xff);
	return bytes[0] != 0;
}

static void read_port(struct reading *r, const struct rte_flow_item *item)
{
	const struct rte_flow_item_ethdev *spec = item->spec, *mask = item->mask;

	if (mask == NULL || !is_set(&mask->port_id, sizeof(mask->port_id)))
		say(r, " port=*");
	else
		say(r, " port=%u", spec->port_id);
}

static int read_eth(struct reading *r, const struct rte_flow_item *item, struct rte_flow_error *e)
{
	const struct rte_flow_item_eth *spec = item->spec, *mask = item->mask;

	if (is_set(&mask->hdr.ether_type, sizeof(mask->hdr.ether_type))) {
		r->family = ntohs(spec->hdr.ether_type);
		say(r, " type=%04x", r->family);
	}
	if (rte_is_multicast_ether_addr(&mask->hdr.src_addr) &&
	    mask->hdr.src_addr.addr_bytes[1] == 0)
		say(r, " src=group/%02x", spec->hdr.src_addr.addr_bytes[0]);
	else if (is_set(&mask->hdr.src_addr, 6))
		say_mac(r, "src", spec->hdr.src_addr.addr_bytes);
	if (is_set(&mask->hdr.dst_addr, 6))
		say_mac(r, "dst", spec->hdr.dst_addr.addr_bytes);
	if (!mask->has_vlan)
		return 0;
	assert_int_equal(spec->has_vlan, 0);
	if (fake.no_untagged)
		return fake_error(e, ENOTSUP, "has_vlan is not supported");
	say(r, " untagged");
	return 0;
}

static void read_vlan(struct reading *r, const struct rte_flow_item *item)
{
	const struct rte_flow_item_vlan *spec = item->spec, *mask = item->mask;

	assert_true(r->family == RTE_ETHER_TYPE_VLAN || r->family == 0xffff);
	assert_int_equal(ntohs(mask->hdr.vlan_tci), 0xfff);
	r->family = ntohs(spec->hdr.eth_proto);
	say(r, " vlan=%u type=%04x", ntohs(spec->hdr.vlan_tci), r->family);
}

static void say_address(struct reading *r, const char *name, int family, const void *address,
			const void *mask, size_t size)
{
	const uint8_t *bytes = mask;
	char text[INET6_ADDRSTRLEN];
	unsigned int bits = 0;

	while (bits < 8 * size && (bytes[bits / 8] & (0x80 >> bits % 8)))
		bits++;
	for (size_t i = bits; i < 8 * size; i++) // of a prefix, and of no address all
		assert_int_equal(bytes[i / 8] & (0x80 >> i % 8), 0);
	if (bits == 0)
		return;
	inet_ntop(family, address, text, sizeof(text));
	say(r, " %s=%s", name, text);
	if (bits < 8 * size)
		say(r, "/%u", bits);
	if (strcmp(name, "ip.dst") != 0 || bits < 8 * size)
		return;
	r->rule->has_destination = true;
	memcpy(r->rule->destination, address, size);
}

bool fake_read_lengths(const struct rte_flow_item *item, struct fake_lengths *ret_lengths)
{
	const struct rte_flow_item_ipv4 *ipv4 = item->spec, *ipv4_last = item->last;
	const struct rte_flow_item_ipv6 *ipv6 = item->spec, *ipv6_last = item->last;

	if (item->last == NULL)
		return false;
	*ret_lengths = item->type == RTE_FLOW_ITEM_TYPE_IPV4
			       ? (struct fake_lengths){ntohs(ipv4->hdr.total_length),
						       ntohs(ipv4_last->hdr.total_length)}
			       : (struct fake_lengths){ntohs(ipv6->hdr.payload_len),
						       ntohs(ipv6_last->hdr.payload_len)};
	return true;
}

static int read_lengths(struct reading *r, const struct rte_flow_item *item, rte_be16_t mask,
			struct rte_flow_error *e)
{
	struct fake_lengths lengths;

	if (!fake_read_lengths(item, &lengths)) {
		assert_int_equal(mask, 0);
		return 0;
	}
	assert_int_equal(mask, UINT16_MAX);
	if (fake.no_lengths)
		return fake_error(e, ENOTSUP, "no ranges of lengths");
	say(r, " len=%u-%u", lengths.first, lengths.last);
	return 0;
}

static void say_protocol(struct reading *r, uint8_t protocol)
{
	r->protocol = protocol;
	say(r, " proto=%u", protocol);
}

// mlx5 refuses an item of another protocol than the one that the item before asks for.
static bool has_protocol(const struct reading *r, enum rte_flow_item_type type)
{
	switch (type) {
	case RTE_FLOW_ITEM_TYPE_TCP:
		return r->protocol < 0 || r->protocol == IPPROTO_TCP;
	case RTE_FLOW_ITEM_TYPE_UDP:
		return r->protocol < 0 || r->protocol == IPPROTO_UDP;
	case RTE_FLOW_ITEM_TYPE_ICMP:
		return r->protocol < 0 || r->protocol == IPPROTO_ICMP;
	case RTE_FLOW_ITEM_TYPE_ICMP6:
		return r->protocol < 0 || r->protocol == IPPROTO_ICMPV6;
	default:
		return true;
	}
}

static int read_ipv4(struct reading *r, const struct rte_flow_item *item, struct rte_flow_error *e)
{
	const struct rte_flow_item_ipv4 *spec = item->spec, *mask = item->mask;

	if (r->family != 0) // a mask alone, in a template, has no type
		assert_true(r->family == RTE_ETHER_TYPE_IPV4 || r->family == 0xffff);
	if (is_set(&mask->hdr.version_ihl, 1))
		say(r, " ihl=%02x", spec->hdr.version_ihl);
	if (is_set(&mask->hdr.time_to_live, 1))
		say(r, " ttl=%u", spec->hdr.time_to_live);
	if (mask->hdr.fragment_offset != 0)
		say(r, " frag=%04x/%04x", ntohs(spec->hdr.fragment_offset),
		    ntohs(mask->hdr.fragment_offset));
	if (is_set(&mask->hdr.next_proto_id, 1))
		say_protocol(r, spec->hdr.next_proto_id);
	say_address(r, "ip.src", AF_INET, &spec->hdr.src_addr, &mask->hdr.src_addr, 4);
	say_address(r, "ip.dst", AF_INET, &spec->hdr.dst_addr, &mask->hdr.dst_addr, 4);
	return read_lengths(r, item, mask->hdr.total_length, e);
}

static int read_ipv6(struct reading *r, const struct rte_flow_item *item, struct rte_flow_error *e)
{
	const struct rte_flow_item_ipv6 *spec = item->spec, *mask = item->mask;

	if (r->family != 0)
		assert_true(r->family == RTE_ETHER_TYPE_IPV6 || r->family == 0xffff);
	if (is_set(&mask->hdr.hop_limits, 1))
		say(r, " ttl=%u", spec->hdr.hop_limits);
	if (is_set(&mask->hdr.proto, 1))
		say_protocol(r, spec->hdr.proto);
	if (mask->has_frag_ext) {
		assert_int_equal(spec->has_frag_ext, 0);
		say(r, " whole");
	}
	say_address(r, "ip.src", AF_INET6, &spec->hdr.src_addr, &mask->hdr.src_addr, 16);
	say_address(r, "ip.dst", AF_INET6, &spec->hdr.dst_addr, &mask->hdr.dst_addr, 16);
	return read_lengths(r, item, mask->hdr.payload_len, e);
}

static void read_tcp(struct reading *r, const struct rte_flow_item *item)
{
	const struct rte_flow_item_tcp *spec = item->spec, *mask = item->mask;

	assert_true(is_set(&mask->hdr.src_port, 2));
	if (!is_set(&mask->hdr.dst_port, 2)) {
		assert_int_equal(mask->hdr.tcp_flags, 0);
		say(r, " tcp=%u-*", ntohs(spec->hdr.src_port));
		return;
	}
	say(r, " tcp=%u-%u flags=%02x/%02x", ntohs(spec->hdr.src_port), ntohs(spec->hdr.dst_port),
	    spec->hdr.tcp_flags, mask->hdr.tcp_flags);
}

static void read_udp(struct reading *r, const struct rte_flow_item *item)
{
	const struct rte_flow_item_udp *spec = item->spec, *mask = item->mask;

	assert_true(is_set(&mask->hdr.src_port, 2));
	if (!is_set(&mask->hdr.dst_port, 2))
		say(r, " udp=%u-*", ntohs(spec->hdr.src_port));
	else
		say(r, " udp=%u-%u", ntohs(spec->hdr.src_port), ntohs(spec->hdr.dst_port));
}

static void read_icmp(struct reading *r, const struct rte_flow_item *item)
{
	const struct rte_flow_item_icmp *spec = item->spec, *mask = item->mask;

	assert_true(is_set(&mask->hdr.icmp_type, 1));
	say(r, " icmp=%u", spec->hdr.icmp_type);
	if (is_set(&mask->hdr.icmp_code, 1))
		say(r, "/%u", spec->hdr.icmp_code);
	if (is_set(&mask->hdr.icmp_ident, 2))
		say(r, " id=%u", ntohs(spec->hdr.icmp_ident));
}

static void read_icmp6(struct reading *r, const struct rte_flow_item *item)
{
	const struct rte_flow_item_icmp6 *spec = item->spec, *mask = item->mask;

	assert_true(is_set(&mask->type, 1));
	say(r, " icmp6=%u", spec->type);
	if (is_set(&mask->code, 1))
		say(r, "/%u", spec->code);
}

// The two bytes right behind the item before.
static void read_raw(struct reading *r, const struct rte_flow_item *item)
{
	const struct rte_flow_item_raw *spec = item->spec, *mask = item->mask;

	assert_int_equal(spec->length, 2);
	assert_true(spec->relative && !spec->search && spec->offset == 0 && spec->limit == 0);
	assert_true(mask->relative && mask->search && is_set(&mask->offset, 4));
	assert_true(is_set(&mask->limit, 2) && is_set(&mask->length, 2));
	assert_true(is_set(mask->pattern, 2));
	say(r, " id=%u", spec->pattern[0] << 8 | spec->pattern[1]);
}

#if RTE_VERSION >= RTE_VERSION_NUM(23, 3, 0, 0)
static void read_echo6(struct reading *r, const struct rte_flow_item *item)
{
	const struct rte_flow_item_icmp6_echo *spec = item->spec, *mask = item->mask;

	assert_true(is_set(&mask->hdr.identifier, 2));
	say(r, " icmp6=%u/0 id=%u", item->type == RTE_FLOW_ITEM_TYPE_ICMP6_ECHO_REQUEST ? 128 : 129,
	    ntohs(spec->hdr.identifier));
}
#endif

static int read_item(struct reading *r, const struct rte_flow_item *item, struct rte_flow_error *e)
{
	assert_in_range(item->type, 0, FAKE_ITEM_TYPES - 1);
	if (item->type != RTE_FLOW_ITEM_TYPE_IPV4 && item->type != RTE_FLOW_ITEM_TYPE_IPV6)
		assert_null(item->last);
	if (fake.no_item[item->type])
		return fake_error(e, ENOTSUP, "item is not supported");
	if (!has_protocol(r, item->type))
		return fake_error(e, EINVAL, "the item is of another protocol");
	switch (item->type) {
	case RTE_FLOW_ITEM_TYPE_REPRESENTED_PORT:
		read_port(r, item);
		return 0;
	case RTE_FLOW_ITEM_TYPE_PORT_REPRESENTOR:
		say(r, " agent=%u", ((const struct rte_flow_item_ethdev *)item->spec)->port_id);
		return 0;
	case RTE_FLOW_ITEM_TYPE_ETH:
		return read_eth(r, item, e);
	case RTE_FLOW_ITEM_TYPE_VLAN:
		read_vlan(r, item);
		return 0;
	case RTE_FLOW_ITEM_TYPE_IPV4:
		return read_ipv4(r, item, e);
	case RTE_FLOW_ITEM_TYPE_IPV6:
		return read_ipv6(r, item, e);
	case RTE_FLOW_ITEM_TYPE_ICMP:
		read_icmp(r, item);
		return 0;
	case RTE_FLOW_ITEM_TYPE_ICMP6:
		read_icmp6(r, item);
		return 0;
	case RTE_FLOW_ITEM_TYPE_RAW:
		read_raw(r, item);
		return 0;
#if RTE_VERSION >= RTE_VERSION_NUM(23, 3, 0, 0)
	case RTE_FLOW_ITEM_TYPE_ICMP6_ECHO_REQUEST:
	case RTE_FLOW_ITEM_TYPE_ICMP6_ECHO_REPLY:
		read_echo6(r, item);
		return 0;
#endif
	case RTE_FLOW_ITEM_TYPE_INTEGRITY:
		assert_int_equal(((const struct rte_flow_item_integrity *)item->mask)->l3_ok, 1);
		assert_int_equal(((const struct rte_flow_item_integrity *)item->spec)->l3_ok, 1);
		say(r, " l3_ok");
		return 0;
	case RTE_FLOW_ITEM_TYPE_TCP:
		read_tcp(r, item);
		return 0;
	case RTE_FLOW_ITEM_TYPE_UDP:
		read_udp(r, item);
		return 0;
	default:
		say(r, " item%d", item->type);
		return 0;
	}
}

static int read_modify(struct reading *r, const struct rte_flow_action_modify_field *conf,
		       struct rte_flow_error *e)
{
	assert_int_equal(conf->src.field, RTE_FLOW_FIELD_VALUE);
	if (conf->operation == RTE_FLOW_MODIFY_SET && conf->dst.field != RTE_FLOW_FIELD_MAC_SRC &&
	    conf->dst.field != RTE_FLOW_FIELD_MAC_DST) {
		say(r, " modify%d/%u=", conf->dst.field, conf->width);
		for (unsigned int i = 0; i < conf->width / 8; i++)
			say(r, "%02x", conf->src.value[i]);
		return 0;
	}
	if (conf->operation == RTE_FLOW_MODIFY_SET) {
		assert_int_equal(conf->width, 48);
		say_mac(r, conf->dst.field == RTE_FLOW_FIELD_MAC_SRC ? "modify.src" : "modify.dst",
			conf->src.value);
		return 0;
	}
	assert_int_equal(conf->dst.field, r->family == RTE_ETHER_TYPE_IPV6
						  ? RTE_FLOW_FIELD_IPV6_HOPLIMIT
						  : RTE_FLOW_FIELD_IPV4_TTL);
	assert_int_equal(conf->width, 8);
	if (conf->operation == RTE_FLOW_MODIFY_SUB && fake.no_subtract)
		return fake_error(e, ENOTSUP, "no subtraction");
	say(r, " ttl%c%u", conf->operation == RTE_FLOW_MODIFY_SUB ? '-' : '+', conf->src.value[0]);
	return 0;
}

// SET_ of addresses and ports. False: it is none of them.
static bool read_translation(struct reading *r, const struct rte_flow_action *action)
{
	char text[INET6_ADDRSTRLEN];

	switch (action->type) {
	case RTE_FLOW_ACTION_TYPE_SET_IPV4_SRC:
	case RTE_FLOW_ACTION_TYPE_SET_IPV4_DST:
		inet_ntop(AF_INET, action->conf, text, sizeof(text));
		say(r, " set.ip.%s=%s",
		    action->type == RTE_FLOW_ACTION_TYPE_SET_IPV4_SRC ? "src" : "dst", text);
		return true;
	case RTE_FLOW_ACTION_TYPE_SET_IPV6_SRC:
	case RTE_FLOW_ACTION_TYPE_SET_IPV6_DST:
		inet_ntop(AF_INET6, action->conf, text, sizeof(text));
		say(r, " set.ip.%s=%s",
		    action->type == RTE_FLOW_ACTION_TYPE_SET_IPV6_SRC ? "src" : "dst", text);
		return true;
	case RTE_FLOW_ACTION_TYPE_SET_TP_SRC:
	case RTE_FLOW_ACTION_TYPE_SET_TP_DST:
		say(r, " set.port.%s=%u",
		    action->type == RTE_FLOW_ACTION_TYPE_SET_TP_SRC ? "src" : "dst",
		    ntohs(((const struct rte_flow_action_set_tp *)action->conf)->port));
		return true;
	default:
		return false;
	}
}

static int read_action(struct reading *r, const struct rte_flow_action *action,
		       struct rte_flow_error *e)
{
	assert_in_range(action->type, 0, FAKE_ACTION_TYPES - 1);
	if (fake.no_action[action->type])
		return fake_error(e, ENOTSUP, "action is not supported");
	if (read_translation(r, action))
		return 0;
	switch (action->type) {
	case RTE_FLOW_ACTION_TYPE_SET_MAC_SRC:
		say_mac(r, "set.src",
			((const struct rte_flow_action_set_mac *)action->conf)->mac_addr);
		return 0;
	case RTE_FLOW_ACTION_TYPE_SET_MAC_DST:
		say_mac(r, "set.dst",
			((const struct rte_flow_action_set_mac *)action->conf)->mac_addr);
		return 0;
	case RTE_FLOW_ACTION_TYPE_MODIFY_FIELD:
		return read_modify(r, action->conf, e);
	case RTE_FLOW_ACTION_TYPE_OF_POP_VLAN:
		say(r, " pop");
		return 0;
	case RTE_FLOW_ACTION_TYPE_OF_PUSH_VLAN:
		say(r, " push=%04x",
		    ntohs(((const struct rte_flow_action_of_push_vlan *)action->conf)->ethertype));
		return 0;
	case RTE_FLOW_ACTION_TYPE_OF_SET_VLAN_VID:
		say(r, " vid=%u",
		    ntohs(((const struct rte_flow_action_of_set_vlan_vid *)action->conf)
				  ->vlan_vid));
		return 0;
	case RTE_FLOW_ACTION_TYPE_OF_SET_VLAN_PCP:
		say(r, " pcp=%u",
		    ((const struct rte_flow_action_of_set_vlan_pcp *)action->conf)->vlan_pcp);
		return 0;
	case RTE_FLOW_ACTION_TYPE_DEC_TTL:
		say(r, " dec_ttl");
		return 0;
	case RTE_FLOW_ACTION_TYPE_METER:
		// Of a template its mask is all that counts.
		r->rule->meter = ((const struct rte_flow_action_meter *)action->conf)->mtr_id;
		say(r, " meter=%u", r->rule->meter);
		return 0;
	case RTE_FLOW_ACTION_TYPE_COUNT:
		say(r, " count");
		return 0;
	case RTE_FLOW_ACTION_TYPE_JUMP:
		say(r, " jump=%u", ((const struct rte_flow_action_jump *)action->conf)->group);
		return 0;
	case RTE_FLOW_ACTION_TYPE_REPRESENTED_PORT:
		say(r, " to=%u", ((const struct rte_flow_action_ethdev *)action->conf)->port_id);
		return 0;
	default:
		say(r, " action%d", action->type);
		return 0;
	}
}

int fake_describe(struct rte_flow *rule, const struct rte_flow_attr *attr,
		  const struct rte_flow_item items[], const struct rte_flow_action actions[],
		  struct rte_flow_error *e)
{
	struct reading r = {.rule = rule, .protocol = -1};
	int result = 0;

	assert_true(attr->transfer && !attr->ingress && !attr->egress);
	rule->group = attr->group;
	rule->text[0] = '\0';
	say(&r, "g%u p%u", attr->group, attr->priority);
	for (; result == 0 && items->type != RTE_FLOW_ITEM_TYPE_END; items++)
		result = read_item(&r, items, e);
	say(&r, " >");
	for (; result == 0 && actions->type != RTE_FLOW_ACTION_TYPE_END; actions++)
		result = read_action(&r, actions, e);
	rule->family = r.family;
	return result;
}
