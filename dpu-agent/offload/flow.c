// SPDX-License-Identifier: BSD-3-Clause
//
// Shapes into items and actions: an item or action is put where the shape asks for it, in the order
// of the layers, with a mask that is all ones or nothing.

#include "offload/flow.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_ip.h>
#include <rte_tcp.h>

enum { IPV4_NO_OPTIONS = 0x45, MAC_BITS = 48, TTL_BITS = 8, VLAN_ID_MASK = 0xfff };

static void add_item(struct flow_words *words, enum rte_flow_item_type type, const void *spec,
		     const void *mask)
{
	words->items[words->item_count++] =
		(struct rte_flow_item){.type = type, .spec = spec, .mask = mask};
}

void flow_add_action(struct flow_words *words, enum rte_flow_action_type type, const void *conf,
		     const void *mask)
{
	size_t i = words->action_count++;

	words->actions[i] = (struct rte_flow_action){.type = type, .conf = conf};
	words->action_masks[i] = (struct rte_flow_action){.type = type, .conf = mask};
}

// ---- items --------------------------------------------------------------------------------------

static void say_port(struct flow_words *w, uint32_t match, const struct rule *rule)
{
	if (match & MATCH_ANY_FUNCTION) // no spec: whatever port it is
		add_item(w, RTE_FLOW_ITEM_TYPE_REPRESENTED_PORT, NULL, NULL);
	if (!(match & (MATCH_FUNCTION | MATCH_WIRE | MATCH_AGENT)))
		return;
	w->port.port_id = rule->port_id;
	w->port_mask.port_id = UINT16_MAX;
	add_item(w,
		 match & MATCH_AGENT ? RTE_FLOW_ITEM_TYPE_PORT_REPRESENTOR
				     : RTE_FLOW_ITEM_TYPE_REPRESENTED_PORT,
		 &w->port, &w->port_mask);
}

enum { MATCH_ETH = MATCH_ETH_SRC | MATCH_ETH_SRC_GROUP | MATCH_ETH_DST | MATCH_RECEIVER };

// The VLAN whose tag the matched frames have; 0: none. What is for connections from the wire has its own with the form.
static uint16_t tag_of(const struct rule_shape *shape, const struct rule *rule,
		       const struct flow_form *form)
{
	if (shape->match & MATCH_WIRE_TAG)
		return rule->vlan;
	return shape->match & MATCH_WIRE ? form->vlan : 0;
}

// What is behind the addresses, or the tag: of a frame without one the type.
static void say_tag(struct flow_words *w, uint16_t vlan)
{
	w->vlan.hdr.eth_proto = w->eth.hdr.ether_type;
	w->vlan_mask.hdr.eth_proto = UINT16_MAX;
	w->vlan.hdr.vlan_tci = rte_cpu_to_be_16(vlan);
	w->vlan_mask.hdr.vlan_tci = RTE_BE16(VLAN_ID_MASK);
	w->eth.hdr.ether_type = RTE_BE16(RTE_ETHER_TYPE_VLAN);
}

static void say_eth(struct flow_words *w, const struct rule_shape *shape, const struct rule *rule,
		    const struct flow_form *form)
{
	const uint16_t tag = tag_of(shape, rule, form);

	if (shape->family == RULE_NO_IP && !(shape->match & MATCH_ETH))
		return;
	if (shape->match & MATCH_ETH_SRC_GROUP)
		w->eth.hdr.src_addr.addr_bytes[0] = w->eth_mask.hdr.src_addr.addr_bytes[0] =
			RTE_ETHER_GROUP_ADDR;
	if (shape->match & MATCH_ETH_SRC) {
		memcpy(&w->eth.hdr.src_addr, rule->mac.bytes, sizeof(w->eth.hdr.src_addr));
		memset(&w->eth_mask.hdr.src_addr, 0xff, sizeof(w->eth_mask.hdr.src_addr));
	}
	if (shape->match & (MATCH_ETH_DST | MATCH_RECEIVER)) {
		const struct mac *destination =
			shape->match & MATCH_ETH_DST ? &rule->router : &rule->receiver;

		memcpy(&w->eth.hdr.dst_addr, destination->bytes, sizeof(w->eth.hdr.dst_addr));
		memset(&w->eth_mask.hdr.dst_addr, 0xff, sizeof(w->eth_mask.hdr.dst_addr));
	}
	if (shape->family != RULE_NO_IP) {
		w->eth.hdr.ether_type = rte_cpu_to_be_16(
			shape->family == RULE_IPV4 ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6);
		w->eth_mask.hdr.ether_type = UINT16_MAX;
	}
	if ((shape->match & (MATCH_UNTAGGED | MATCH_WIRE_TAG)) && tag == 0 && form->untagged)
		w->eth_mask.has_vlan = 1;
	if (tag != 0)
		say_tag(w, tag);
	add_item(w, RTE_FLOW_ITEM_TYPE_ETH, &w->eth, &w->eth_mask);
	if (tag != 0)
		add_item(w, RTE_FLOW_ITEM_TYPE_VLAN, &w->vlan, &w->vlan_mask);
}

// Its first bits, and all of it if it is no prefix.
static void say_address(uint32_t match, const struct rule *rule, const void *address, size_t size,
			void *spec, void *mask)
{
	const unsigned int bits = match & MATCH_PREFIX ? rule->prefix_length : 8 * (unsigned)size;
	uint8_t *to = mask;

	memset(to, 0xff, bits / 8);
	if (bits % 8 != 0)
		to[bits / 8] = (uint8_t)(0xff << (8 - bits % 8));
	memcpy(spec, address, size);
}

// The range is from zero.
static void say_length4(struct flow_words *w, uint16_t mtu)
{
	w->ipv4_last.hdr.total_length = rte_cpu_to_be_16(mtu);
	w->ipv4_mask.hdr.total_length = UINT16_MAX;
	w->items[w->item_count - 1].last = &w->ipv4_last;
}

static void say_length6(struct flow_words *w, uint16_t mtu)
{
	w->ipv6_last.hdr.payload_len =
		rte_cpu_to_be_16((uint16_t)(mtu - sizeof(struct rte_ipv6_hdr)));
	w->ipv6_mask.hdr.payload_len = UINT16_MAX;
	w->items[w->item_count - 1].last = &w->ipv6_last;
}

static void say_ipv4(struct flow_words *w, uint32_t match, const struct rule *rule)
{
	struct rte_ipv4_hdr *spec = &w->ipv4.hdr, *mask = &w->ipv4_mask.hdr;

	if (match & MATCH_NO_OPTIONS) {
		spec->version_ihl = IPV4_NO_OPTIONS;
		mask->version_ihl = UINT8_MAX;
	}
	if (match & MATCH_HOP_LIMIT) {
		spec->time_to_live = rule->number;
		mask->time_to_live = UINT8_MAX;
	}
	if (match & MATCH_PROTOCOL) {
		spec->next_proto_id = rule->protocol;
		mask->next_proto_id = UINT8_MAX;
		mask->fragment_offset = RTE_BE16(RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK);
	}
	if (match & MATCH_IP_SRC)
		say_address(match, rule, &rule->ipv4, sizeof(rule->ipv4), &spec->src_addr,
			    &mask->src_addr);
	if (match & MATCH_IP_DST)
		say_address(match, rule, &rule->ipv4, sizeof(rule->ipv4), &spec->dst_addr,
			    &mask->dst_addr);
	add_item(w, RTE_FLOW_ITEM_TYPE_IPV4, &w->ipv4, &w->ipv4_mask);
	if ((match & MATCH_FITS) && rule->mtu != 0)
		say_length4(w, rule->mtu);
}

// Some NICs, as mlx5, look for the protocol behind extension headers, so that of fragments must be asked.
enum { MATCH_WHOLE = MATCH_PROTOCOL | MATCH_WHOLE_IPV6 };

static void say_ipv6(struct flow_words *w, uint32_t match, const struct rule *rule)
{
	struct rte_ipv6_hdr *spec = &w->ipv6.hdr, *mask = &w->ipv6_mask.hdr;

	if (match & MATCH_HOP_LIMIT) {
		spec->hop_limits = rule->number;
		mask->hop_limits = UINT8_MAX;
	}
	if (match & (MATCH_ICMP6 | MATCH_ICMP6_TYPE)) {
		spec->proto = IPPROTO_ICMPV6;
		mask->proto = UINT8_MAX;
	}
	if (match & MATCH_PROTOCOL) {
		spec->proto = rule->protocol;
		mask->proto = UINT8_MAX;
	}
	w->ipv6_mask.has_frag_ext = (match & MATCH_WHOLE) != 0;
	if (match & MATCH_IP_SRC)
		say_address(match, rule, &rule->ipv6, sizeof(rule->ipv6), &spec->src_addr,
			    &mask->src_addr);
	if (match & MATCH_IP_DST)
		say_address(match, rule, &rule->ipv6, sizeof(rule->ipv6), &spec->dst_addr,
			    &mask->dst_addr);
	add_item(w, RTE_FLOW_ITEM_TYPE_IPV6, &w->ipv6, &w->ipv6_mask);
	if ((match & MATCH_FITS) && rule->mtu != 0)
		say_length6(w, rule->mtu);
	if (!(match & MATCH_ICMP6_TYPE))
		return;
	w->icmp6.type = rule->number;
	w->icmp6_mask.type = UINT8_MAX;
	add_item(w, RTE_FLOW_ITEM_TYPE_ICMP6, &w->icmp6, &w->icmp6_mask);
}

// ---- a connection -------------------------------------------------------------------------------

// Its packets have no tag, no options, no extension headers and are whole; RFC 9293 section 3.1: all but the first
// have an ACK.
enum {
	TCP_FLAGS_LOOKED_AT =
		RTE_TCP_SYN_FLAG | RTE_TCP_FIN_FLAG | RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG
};

static void say_connection_l3(struct flow_words *w, const struct rule_shape *shape,
			      const struct rule_side *from, uint16_t mtu)
{
	const bool v4 = shape->family == RULE_IPV4;
	const uint8_t protocol = shape->match & MATCH_TCP    ? IPPROTO_TCP
				 : shape->match & MATCH_ECHO ? (v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6)
							     : IPPROTO_UDP;

	if (shape->family == RULE_IPV4) {
		w->ipv4.hdr.next_proto_id = protocol;
		w->ipv4.hdr.src_addr = from->source.ipv4.s_addr;
		w->ipv4.hdr.dst_addr = from->destination.ipv4.s_addr;
		w->ipv4_mask.hdr.next_proto_id = UINT8_MAX;
		w->ipv4_mask.hdr.fragment_offset =
			RTE_BE16(RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK);
		w->ipv4_mask.hdr.src_addr = w->ipv4_mask.hdr.dst_addr = UINT32_MAX;
		add_item(w, RTE_FLOW_ITEM_TYPE_IPV4, &w->ipv4, &w->ipv4_mask);
		if (mtu != 0)
			say_length4(w, mtu);
		return;
	}
	w->ipv6.hdr.proto = protocol;
	memcpy(&w->ipv6.hdr.src_addr, &from->source, sizeof(w->ipv6.hdr.src_addr));
	memcpy(&w->ipv6.hdr.dst_addr, &from->destination, sizeof(w->ipv6.hdr.dst_addr));
	w->ipv6_mask.hdr.proto = UINT8_MAX;
	w->ipv6_mask.has_frag_ext = 1;
	memset(&w->ipv6_mask.hdr.src_addr, 0xff, sizeof(w->ipv6_mask.hdr.src_addr));
	memset(&w->ipv6_mask.hdr.dst_addr, 0xff, sizeof(w->ipv6_mask.hdr.dst_addr));
	add_item(w, RTE_FLOW_ITEM_TYPE_IPV6, &w->ipv6, &w->ipv6_mask);
	if (mtu != 0)
		say_length6(w, mtu);
}

static void say_connection(struct flow_words *w, const struct rule_shape *shape,
			   const struct rule *rule, const struct flow_form *form)
{
	static const struct rule_connection some; // a template has but masks
	const struct rule_side *from =
		rule->connection != NULL ? &rule->connection->from : &some.from;
	const uint16_t tag = tag_of(shape, rule, form);

	w->port.port_id = from->port_id;
	w->port_mask.port_id = UINT16_MAX;
	add_item(w, RTE_FLOW_ITEM_TYPE_REPRESENTED_PORT, &w->port, &w->port_mask);
	memcpy(&w->eth.hdr.dst_addr, from->destination_mac.bytes, sizeof(w->eth.hdr.dst_addr));
	memset(&w->eth_mask.hdr.dst_addr, 0xff, sizeof(w->eth_mask.hdr.dst_addr));
	if (shape->match & MATCH_ETH_SRC) {
		memcpy(&w->eth.hdr.src_addr, from->source_mac.bytes, sizeof(w->eth.hdr.src_addr));
		memset(&w->eth_mask.hdr.src_addr, 0xff, sizeof(w->eth_mask.hdr.src_addr));
	}
	w->eth.hdr.ether_type = rte_cpu_to_be_16(shape->family == RULE_IPV4 ? RTE_ETHER_TYPE_IPV4
									    : RTE_ETHER_TYPE_IPV6);
	w->eth_mask.hdr.ether_type = UINT16_MAX;
	w->eth_mask.has_vlan = tag == 0 && form->untagged;
	if (tag != 0)
		say_tag(w, tag);
	add_item(w, RTE_FLOW_ITEM_TYPE_ETH, &w->eth, &w->eth_mask);
	if (tag != 0)
		add_item(w, RTE_FLOW_ITEM_TYPE_VLAN, &w->vlan, &w->vlan_mask);
	say_connection_l3(w, shape, from, rule->mtu);
	if (shape->match & MATCH_ECHO) {
		const bool reply = shape->match & MATCH_WIRE;

		flow_say_echo(w, shape->family, reply,
			      reply ? from->destination_port_be : from->source_port_be);
		return;
	}
	if (shape->match & MATCH_TCP) {
		w->tcp.hdr.src_port = from->source_port_be;
		w->tcp.hdr.dst_port = from->destination_port_be;
		w->tcp.hdr.tcp_flags = RTE_TCP_ACK_FLAG;
		w->tcp_mask.hdr.src_port = w->tcp_mask.hdr.dst_port = UINT16_MAX;
		w->tcp_mask.hdr.tcp_flags = TCP_FLAGS_LOOKED_AT;
		add_item(w, RTE_FLOW_ITEM_TYPE_TCP, &w->tcp, &w->tcp_mask);
		return;
	}
	w->udp.hdr.src_port = from->source_port_be;
	w->udp.hdr.dst_port = from->destination_port_be;
	w->udp_mask.hdr.src_port = w->udp_mask.hdr.dst_port = UINT16_MAX;
	add_item(w, RTE_FLOW_ITEM_TYPE_UDP, &w->udp, &w->udp_mask);
}

static void say_l4(struct flow_words *w, uint32_t match, const struct rule *rule)
{
	if (match & MATCH_TCP_SOURCE) {
		w->tcp.hdr.src_port = rte_cpu_to_be_16(rule->source_port);
		w->tcp_mask.hdr.src_port = UINT16_MAX;
		add_item(w, RTE_FLOW_ITEM_TYPE_TCP, &w->tcp, &w->tcp_mask);
	}
	if (match & (MATCH_UDP_SOURCE | MATCH_UDP_PORTS)) {
		w->udp.hdr.src_port = rte_cpu_to_be_16(match & MATCH_UDP_PORTS ? rule->udp_source
									       : rule->source_port);
		w->udp_mask.hdr.src_port = UINT16_MAX;
		if (match & MATCH_UDP_PORTS) {
			w->udp.hdr.dst_port = rte_cpu_to_be_16(rule->udp_destination);
			w->udp_mask.hdr.dst_port = UINT16_MAX;
		}
		add_item(w, RTE_FLOW_ITEM_TYPE_UDP, &w->udp, &w->udp_mask);
	}
	if (match & MATCH_ICMP_TYPE) {
		w->icmp.hdr.icmp_type = rule->number;
		w->icmp_mask.hdr.icmp_type = UINT8_MAX;
		add_item(w, RTE_FLOW_ITEM_TYPE_ICMP, &w->icmp, &w->icmp_mask);
	}
}

static void say_items(struct flow_words *w, const struct rule_shape *shape, const struct rule *rule,
		      const struct flow_form *form)
{
	if (shape->match & MATCH_CONNECTION) {
		say_connection(w, shape, rule, form);
		return;
	}
	say_port(w, shape->match, rule);
	say_eth(w, shape, rule, form);
	if (shape->family == RULE_IPV4)
		say_ipv4(w, shape->match, rule);
	if (shape->family == RULE_IPV6)
		say_ipv6(w, shape->match, rule);
	say_l4(w, shape->match, rule);
	// Last: some drivers want to know the layers before they are asked whether those are good.
	if ((shape->match & MATCH_INTACT) && form->intact) {
		w->integrity.l3_ok = 1;
		// With mlx5's hardware steering l3_ok says nothing about this.
		w->integrity.ipv4_csum_ok = shape->family == RULE_IPV4;
		w->integrity_mask = w->integrity;
		add_item(w, RTE_FLOW_ITEM_TYPE_INTEGRITY, &w->integrity, &w->integrity_mask);
	}
}

// ---- actions ------------------------------------------------------------------------------------

// In a template's mask all is fixed; a value of zeros there says that each rule brings its own.
static void say_modify(struct flow_words *w, unsigned int index, enum rte_flow_modify_op operation,
		       enum rte_flow_field_id field, const void *value, size_t value_size,
		       uint32_t bits, bool per_rule)
{
	struct rte_flow_action_modify_field *conf = &w->fields[index],
					    *mask = &w->field_masks[index];

	conf->operation = operation;
	conf->dst.field = field;
	conf->src.field = RTE_FLOW_FIELD_VALUE;
	memcpy(conf->src.value, value, value_size);
	conf->width = bits;
	memset(mask, 0xff, sizeof(*mask));
	if (per_rule)
		memset(mask->src.value, 0, sizeof(mask->src.value));
	flow_add_action(w, RTE_FLOW_ACTION_TYPE_MODIFY_FIELD, conf, mask);
}

static void say_macs(struct flow_words *w, const struct mac *source, const struct mac *destination,
		     const struct flow_form *form)
{
	const struct mac *macs[2] = {source, destination};
	static const enum rte_flow_action_type types[2] = {RTE_FLOW_ACTION_TYPE_SET_MAC_SRC,
							   RTE_FLOW_ACTION_TYPE_SET_MAC_DST};
	static const enum rte_flow_field_id fields[2] = {RTE_FLOW_FIELD_MAC_SRC,
							 RTE_FLOW_FIELD_MAC_DST};

	for (unsigned int i = 0; i < 2; i++) {
		if (form->macs == FLOW_MACS_MODIFY) {
			say_modify(w, i, RTE_FLOW_MODIFY_SET, fields[i], macs[i]->bytes,
				   sizeof(macs[i]->bytes), MAC_BITS, true);
			continue;
		}
		memcpy(w->macs[i].mac_addr, macs[i]->bytes, sizeof(w->macs[i].mac_addr));
		flow_add_action(w, types[i], &w->macs[i], &w->no_mac);
	}
}

static void say_hop_limit(struct flow_words *w, enum rule_family family,
			  const struct flow_form *form)
{
	const bool add = form->ttl == FLOW_TTL_ADD_255;
	const uint8_t value = add ? 255 : 1;

	if (form->ttl == FLOW_TTL_DECREMENT)
		flow_add_action(w, RTE_FLOW_ACTION_TYPE_DEC_TTL, NULL, NULL);
	else
		say_modify(w, 2, add ? RTE_FLOW_MODIFY_ADD : RTE_FLOW_MODIFY_SUB,
			   family == RULE_IPV4 ? RTE_FLOW_FIELD_IPV4_TTL
					       : RTE_FLOW_FIELD_IPV6_HOPLIMIT,
			   &value, sizeof(value), TTL_BITS, false);
}

// fields[] of addresses and ports: behind those of the MAC addresses and of the time to live.
enum { FIELD_ADDRESSES = 3, FIELD_PORTS = 5, IPV4_BITS = 32, IPV6_BITS = 128, PORT_BITS = 16 };

static void say_addresses(struct flow_words *w, enum rule_family family, const struct rule_side *to,
			  const struct flow_form *form)
{
	static const enum rte_flow_action_type types[2][2] = {
		{RTE_FLOW_ACTION_TYPE_SET_IPV4_SRC, RTE_FLOW_ACTION_TYPE_SET_IPV4_DST},
		{RTE_FLOW_ACTION_TYPE_SET_IPV6_SRC, RTE_FLOW_ACTION_TYPE_SET_IPV6_DST}};
	static const enum rte_flow_field_id fields[2][2] = {
		{RTE_FLOW_FIELD_IPV4_SRC, RTE_FLOW_FIELD_IPV4_DST},
		{RTE_FLOW_FIELD_IPV6_SRC, RTE_FLOW_FIELD_IPV6_DST}};
	const void *addresses[2] = {&to->source, &to->destination};
	const bool v4 = family == RULE_IPV4;

	for (unsigned int i = 0; i < 2; i++) {
		if (form->nat == FLOW_NAT_MODIFY) {
			say_modify(w, FIELD_ADDRESSES + i, RTE_FLOW_MODIFY_SET, fields[!v4][i],
				   addresses[i], v4 ? 4 : 16, v4 ? IPV4_BITS : IPV6_BITS, true);
		} else if (v4) {
			memcpy(&w->ipv4s[i], addresses[i], sizeof(w->ipv4s[i]));
			flow_add_action(w, types[0][i], &w->ipv4s[i], &w->no_ipv4);
		} else {
			memcpy(&w->ipv6s[i], addresses[i], sizeof(w->ipv6s[i]));
			flow_add_action(w, types[1][i], &w->ipv6s[i], &w->no_ipv6);
		}
	}
}

static void say_ports(struct flow_words *w, bool tcp, const struct rule_side *to,
		      const struct flow_form *form)
{
	static const enum rte_flow_action_type types[2] = {RTE_FLOW_ACTION_TYPE_SET_TP_SRC,
							   RTE_FLOW_ACTION_TYPE_SET_TP_DST};
	static const enum rte_flow_field_id fields[2][2] = {
		{RTE_FLOW_FIELD_UDP_PORT_SRC, RTE_FLOW_FIELD_UDP_PORT_DST},
		{RTE_FLOW_FIELD_TCP_PORT_SRC, RTE_FLOW_FIELD_TCP_PORT_DST}};
	const in_port_t ports[2] = {to->source_port_be, to->destination_port_be};

	for (unsigned int i = 0; i < 2; i++) {
		if (form->nat == FLOW_NAT_MODIFY) {
			say_modify(w, FIELD_PORTS + i, RTE_FLOW_MODIFY_SET, fields[tcp][i],
				   &ports[i], sizeof(ports[i]), PORT_BITS, true);
			continue;
		}
		w->ports[i].port = ports[i];
		flow_add_action(w, types[i], &w->ports[i], &w->no_port);
	}
}

static void say_translation(struct flow_words *w, const struct rule_shape *shape,
			    const struct rule_side *to, const struct flow_form *form)
{
	say_addresses(w, shape->family, to, form);
	if (!(shape->match & MATCH_ECHO)) // an identifier is the same on both sides
		say_ports(w, shape->match & MATCH_TCP, to, form);
	say_macs(w, &to->source_mac, &to->destination_mac, form);
	say_hop_limit(w, shape->family, form);
	if (shape->actions & ACTION_JUMP)
		return;
	w->to.port_id = to->port_id;
	flow_add_action(w, RTE_FLOW_ACTION_TYPE_REPRESENTED_PORT, &w->to, &w->to_mask);
}

// Without a priority, as software sends it.
static void say_push(struct flow_words *w, uint16_t vlan)
{
	w->push.ethertype = RTE_BE16(RTE_ETHER_TYPE_VLAN);
	w->vid.vlan_vid = rte_cpu_to_be_16(vlan);
	flow_add_action(w, RTE_FLOW_ACTION_TYPE_OF_PUSH_VLAN, &w->push, &w->push);
	flow_add_action(w, RTE_FLOW_ACTION_TYPE_OF_SET_VLAN_VID, &w->vid, &w->no_vid);
	flow_add_action(w, RTE_FLOW_ACTION_TYPE_OF_SET_VLAN_PCP, &w->pcp, &w->pcp);
}

static void say_actions(struct flow_words *w, const struct rule_shape *shape,
			const struct rule *rule, const struct flow_form *form)
{
	const bool translates = shape->actions & ACTION_TRANSLATE;
	const bool pops = translates ? tag_of(shape, rule, form) != 0
				     : (shape->actions & ACTION_POP_TAG) && rule->vlan != 0;

	// This order is the one that mlx5's hardware steering takes: off, count, on, rewrite.
	if (pops)
		flow_add_action(w, RTE_FLOW_ACTION_TYPE_OF_POP_VLAN, NULL, NULL);
	if (shape->actions & ACTION_METER) {
		w->meter.mtr_id = rule->meter;
		flow_add_action(w, RTE_FLOW_ACTION_TYPE_METER, &w->meter, &w->no_meter);
	}
	if (shape->actions & ACTION_COUNT)
		flow_add_action(w, RTE_FLOW_ACTION_TYPE_COUNT, NULL, NULL);
	if (translates && !(shape->actions & ACTION_JUMP) && form->vlan != 0)
		say_push(w, form->vlan);
	if (translates) {
		static const struct rule_connection some;

		say_translation(w, shape,
				rule->connection != NULL ? &rule->connection->to : &some.to, form);
	}
	if ((shape->actions & ACTION_PUSH_TAG) && rule->vlan != 0)
		say_push(w, rule->vlan);
	if (shape->actions & ACTION_REWRITE_MACS)
		say_macs(w, &rule->router, &rule->mac, form);
	if (shape->actions & ACTION_DECREMENT_HOP_LIMIT)
		say_hop_limit(w, shape->family, form);
	if (shape->actions & ACTION_JUMP) {
		w->jump.group = shape->jump;
		w->jump_mask.group = UINT32_MAX;
		flow_add_action(w, RTE_FLOW_ACTION_TYPE_JUMP, &w->jump, &w->jump_mask);
	}
	if (shape->actions & (ACTION_TO_FUNCTION | ACTION_TO_WIRE)) {
		w->to.port_id = rule->port_id;
		flow_add_action(w, RTE_FLOW_ACTION_TYPE_REPRESENTED_PORT, &w->to, &w->to_mask);
	}
}

void flow_say(const struct rule_shape *shape, const struct rule *rule, const struct flow_form *form,
	      struct flow_words *ret_words)
{
	memset(ret_words, 0, sizeof(*ret_words));
	ret_words->attr.transfer = 1;
	ret_words->attr.group = shape->group;
	ret_words->attr.priority = rule_priority(shape, rule);
	say_items(ret_words, shape, rule, form);
	say_actions(ret_words, shape, rule, form);
}

int flow_explain(int errno_value, const struct rte_flow_error *error, char *ret_why, size_t size)
{
	if (errno_value == 0)
		errno_value = EIO; // a driver that fails and does not say why
	if (errno_value == ENOSPC)
		snprintf(ret_why, size, "table full");
	else if (error->message != NULL && error->message[0] != '\0')
		snprintf(ret_why, size, "%s", error->message);
	else
		snprintf(ret_why, size, "%s", rte_strerror(errno_value));
	return -errno_value;
}
