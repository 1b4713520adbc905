// SPDX-License-Identifier: BSD-3-Clause
//
// The items: which of their fields the key has, and where.

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <rte_common.h>
#include <rte_vxlan.h>

#include "sim/simnic/compat.h"
#include "sim/simnic/flow_match_private.h"

// ---- where frames come from -----------------------------------------------------------------------------

struct function *flow_port_function(const struct device *device, uint16_t port_id)
{
	const struct rte_eth_dev *ethdev;
	struct function *function;

	if (!rte_eth_dev_is_valid_port(port_id))
		return NULL;
	ethdev = &rte_eth_devices[port_id];
	if (ethdev->device != device->rte_device)
		return NULL;
	function = *(struct function **)ethdev->data->dev_private;
	return function->device == device ? function : NULL;
}

static int compile_origin(struct compiler *compiler, const struct item *item)
{
	static const struct rte_flow_item_ethdev none;
	const struct rte_flow_item_ethdev *spec = item->spec, *mask = item->mask ?: &none;
	struct flow_match *match = &compiler->match;

	if (compiler->origin)
		return refuse(compiler, EINVAL, RTE_FLOW_ERROR_TYPE_ITEM, item,
			      "a frame has one origin");
	compiler->origin = true;
	match->mask.from_port = UINT8_MAX;
	match->value.from_port = item->cause->type == RTE_FLOW_ITEM_TYPE_PORT_REPRESENTOR;
	if (mask->port_id == 0)
		return 0;
	if (mask->port_id != UINT16_MAX)
		return refuse(compiler, ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_MASK, item,
			      "port IDs are matched whole or not at all");
	if (item->last != NULL) {
		const struct rte_flow_item_ethdev *first = item->constant, *last = item->last;

		if (last->port_id != 0 && last->port_id != first->port_id)
			return refuse(compiler, ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_LAST, item,
				      "no ranges of port IDs");
	}
	match->mask.origin = UINT16_MAX;
	if (spec != NULL) {
		const struct function *function =
			flow_port_function(compiler->device, spec->port_id);

		if (function == NULL)
			return refuse(compiler, EINVAL, RTE_FLOW_ERROR_TYPE_ITEM_SPEC, item,
				      "not a port of this device");
		match->value.origin = function->index;
	} else if (compiler->mode == RULE) {
		return refuse(compiler, EINVAL, RTE_FLOW_ERROR_TYPE_ITEM_SPEC, item,
			      "the template has a mask for it");
	}
	return 0;
}

// ---- what the pipeline says about a frame ---------------------------------------------------------------

static int check_once(struct compiler *compiler, const struct item *item)
{
	if (compiler->metadata)
		return refuse(compiler, EINVAL, RTE_FLOW_ERROR_TYPE_ITEM, item,
			      "the item is there twice");
	compiler->metadata = true;
	return 0;
}

static int compile_tag(struct compiler *compiler, const struct item *item)
{
	const struct rte_flow_item_tag *spec = item->spec, *constant = item->constant,
				       *mask = item->mask;

	if (mask == NULL || mask->index != UINT8_MAX)
		return refuse(compiler, mask == NULL ? EINVAL : ENOTSUP,
			      RTE_FLOW_ERROR_TYPE_ITEM_MASK, item, "TAG needs its index, whole");
	if (constant == NULL || (spec != NULL && spec->index != constant->index))
		return refuse(compiler, EINVAL, RTE_FLOW_ERROR_TYPE_ITEM_SPEC, item,
			      "the index is the template's");
	if (constant->index >= RTE_DIM(compiler->match.mask.tags))
		return refuse(compiler, ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_SPEC, item,
			      "no such index");
	if (compiler->tag_seen & (1U << constant->index))
		return refuse(compiler, EINVAL, RTE_FLOW_ERROR_TYPE_ITEM, item,
			      "the item is there twice");
	compiler->tag_seen |= 1U << constant->index;
	return compile_field(
		compiler, item, offsetof(struct rte_flow_item_tag, data), sizeof(mask->data),
		offsetof(struct flow_key, tags) + constant->index * sizeof(uint32_t), true);
}

static int compile_integrity(struct compiler *compiler, const struct item *item)
{
	const struct rte_flow_item_integrity *spec = item->spec, *constant = item->constant,
					     *last = item->last;
	const struct rte_flow_item_integrity known = {.l3_ok = 1, .ipv4_csum_ok = 1};
	struct rte_flow_item_integrity mask, value = {0};

	if (item->mask == NULL)
		return 0;
	memcpy(&mask, item->mask, sizeof(mask));
	if (mask.value & ~known.value)
		return refuse(compiler, ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_MASK, item,
			      "only l3_ok and ipv4_csum_ok are known");
	if (mask.value == 0)
		return 0;
	if (last != NULL && (last->value & mask.value) != 0 &&
	    ((last->value ^ constant->value) & mask.value) != 0)
		return refuse(compiler, ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_LAST, item,
			      "no ranges of flags");
	if (constant == NULL || (spec == NULL && compiler->mode == RULE) ||
	    (spec != NULL && spec->level != constant->level))
		return refuse(compiler, EINVAL, RTE_FLOW_ERROR_TYPE_ITEM_SPEC, item,
			      "the level is the template's");
	if (constant->level > 2)
		return refuse(compiler, ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_SPEC, item,
			      "no such level");
	if (spec != NULL)
		value.value = spec->value & mask.value;
	// Both are the same here: an IP header that contradicts itself is no IP header.
	if (mask.l3_ok && mask.ipv4_csum_ok && value.l3_ok != value.ipv4_csum_ok)
		return refuse(compiler, ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_SPEC, item,
			      "l3_ok and ipv4_csum_ok go together");
	return require_layers(compiler, item, constant->level == 2, FLOW_L3_OK,
			      value.value != 0 ? FLOW_L3_OK : 0);
}

// ---- flags behind the headers ---------------------------------------------------------------------------

static int compile_flag(struct compiler *compiler, const struct item *item, bool value,
			uint16_t layer)
{
	if (compiler->mode == RULE && item->spec == NULL)
		return refuse(compiler, EINVAL, RTE_FLOW_ERROR_TYPE_ITEM_SPEC, item,
			      "the template has a mask for it");
	return require_layers(compiler, item, compiler->level, layer, value ? layer : 0);
}

static int compile_ethernet_flags(struct compiler *compiler, const struct item *item)
{
	const struct rte_flow_item_eth *spec = item->spec, *constant = item->constant,
				       *last = item->last, *mask = item->mask;

	if (mask == NULL || (!mask->has_vlan && mask->reserved == 0))
		return 0;
	if (mask->reserved != 0)
		return refuse(compiler, ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_MASK, item,
			      "reserved bits");
	if (last != NULL && last->has_vlan && !constant->has_vlan)
		return refuse(compiler, ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_LAST, item,
			      "no ranges of flags");
	return compile_flag(compiler, item, spec != NULL && spec->has_vlan, FLOW_HAS_VLAN);
}

static int compile_vlan_flags(struct compiler *compiler, const struct item *item)
{
	const struct rte_flow_item_vlan *spec = item->spec, *constant = item->constant,
					*last = item->last, *mask = item->mask;

	if (mask == NULL || (!mask->has_more_vlan && mask->reserved == 0))
		return 0;
	if (mask->reserved != 0 || compiler->tags == 2)
		return refuse(compiler, ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_MASK, item,
			      "reserved bits, or a third VLAN tag");
	if (last != NULL && last->has_more_vlan && !constant->has_more_vlan)
		return refuse(compiler, ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_LAST, item,
			      "no ranges of flags");
	return compile_flag(compiler, item, spec != NULL && spec->has_more_vlan, FLOW_HAS_VLAN2);
}

static int compile_ipv6_flags(struct compiler *compiler, const struct item *item)
{
	const struct rte_flow_item_ipv6 *spec = item->spec, *constant = item->constant,
					*last = item->last, *mask = item->mask;

	if (mask == NULL)
		return 0;
	if (mask->has_hop_ext || mask->has_route_ext || mask->has_auth_ext || mask->has_esp_ext ||
	    mask->has_dest_ext || mask->has_mobil_ext || mask->has_hip_ext || mask->has_shim6_ext ||
	    mask->reserved != 0)
		return refuse(compiler, ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_MASK, item,
			      "of extension headers only has_frag_ext is known");
	if (!mask->has_frag_ext)
		return 0;
	if (last != NULL && last->has_frag_ext && !constant->has_frag_ext)
		return refuse(compiler, ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_LAST, item,
			      "no ranges of flags");
	return compile_flag(compiler, item, spec != NULL && spec->has_frag_ext, FLOW_HAS_FRAGMENT);
}

// ---- the items ------------------------------------------------------------------------------------------

// The item's field, of its protocol header, and where the key has it.
#define HEADER_FIELD(type, member, to)                                                             \
	{                                                                                          \
		offsetof(struct type, member), sizeof(((struct type *)0)->member),                 \
			offsetof(struct flow_headers, to)                                          \
	}
#define KEY_BYTES(from, to)                                                                        \
	{                                                                                          \
		(from), sizeof(((struct flow_key *)0)->to), offsetof(struct flow_key, to)          \
	}
#define FIELDS(array) .fields = (array), .field_count = RTE_DIM(array)

static const struct field ethernet_fields[] = {
	HEADER_FIELD(rte_ether_hdr, dst_addr, mac_dst),
	HEADER_FIELD(rte_ether_hdr, src_addr, mac_src),
	HEADER_FIELD(rte_ether_hdr, ether_type, outer_type),
};
static const struct field vlan_fields[] = {
	HEADER_FIELD(rte_vlan_hdr, vlan_tci, vlan_tci[0]),
	HEADER_FIELD(rte_vlan_hdr, eth_proto, vlan_inner_type),
};
static const struct field vlan2_fields[] = {
	HEADER_FIELD(rte_vlan_hdr, vlan_tci, vlan_tci[1]),
	HEADER_FIELD(rte_vlan_hdr, eth_proto, ether_type),
};
static const struct field ipv4_fields[] = {
	HEADER_FIELD(rte_ipv4_hdr, version_ihl, ipv4_version_ihl),
	HEADER_FIELD(rte_ipv4_hdr, type_of_service, tos),
	HEADER_FIELD(rte_ipv4_hdr, total_length, length),
	HEADER_FIELD(rte_ipv4_hdr, fragment_offset, fragment),
	HEADER_FIELD(rte_ipv4_hdr, time_to_live, ttl),
	HEADER_FIELD(rte_ipv4_hdr, next_proto_id, protocol),
	HEADER_FIELD(rte_ipv4_hdr, src_addr, ip_src),
	HEADER_FIELD(rte_ipv4_hdr, dst_addr, ip_dst),
};
static const struct field ipv6_fields[] = {
	HEADER_FIELD(rte_ipv6_hdr, vtc_flow, ipv6_flow),
	HEADER_FIELD(rte_ipv6_hdr, payload_len, length),
	HEADER_FIELD(rte_ipv6_hdr, proto, ipv6_next),
	HEADER_FIELD(rte_ipv6_hdr, hop_limits, ttl),
	HEADER_FIELD(rte_ipv6_hdr, src_addr, ip_src),
	HEADER_FIELD(rte_ipv6_hdr, dst_addr, ip_dst),
};
static const struct field fragment_fields[] = {
	HEADER_FIELD(rte_ipv6_fragment_ext, frag_data, fragment),
};
static const struct field tcp_fields[] = {
	HEADER_FIELD(rte_tcp_hdr, src_port, port_src),
	HEADER_FIELD(rte_tcp_hdr, dst_port, port_dst),
	HEADER_FIELD(rte_tcp_hdr, tcp_flags, tcp_flags),
};
static const struct field udp_fields[] = {
	HEADER_FIELD(rte_udp_hdr, src_port, port_src),
	HEADER_FIELD(rte_udp_hdr, dst_port, port_dst),
};
static const struct field icmp_fields[] = {
	{0, 1, offsetof(struct flow_headers, port_src)},     // type
	{1, 1, offsetof(struct flow_headers, port_src) + 1}, // code
	HEADER_FIELD(rte_icmp_hdr, icmp_ident, icmp_identifier),
	HEADER_FIELD(rte_icmp_hdr, icmp_seq_nb, icmp_sequence),
};
enum { ICMP6_FIELDS = 2 }; // the item has no more of the header
#if HAS_ICMP6_ECHO_ITEMS
static const struct field echo_fields[] = {
	HEADER_FIELD(rte_icmp_echo_hdr, identifier, icmp_identifier),
	HEADER_FIELD(rte_icmp_echo_hdr, sequence, icmp_sequence),
};
#endif
static const struct field vxlan_fields[] = {KEY_BYTES(0, vxlan_flags), KEY_BYTES(4, vni)};
static const struct field geneve_fields[] = {KEY_BYTES(0, geneve_ver_opt),
					     KEY_BYTES(2, geneve_protocol), KEY_BYTES(4, vni)};
static const struct field meta_fields[] = {KEY_BYTES(0, metadata)};

static const struct item_kind vlan2 = {
	.default_mask = &rte_flow_item_vlan_mask,
	.header_size = sizeof(struct rte_vlan_hdr),
	FIELDS(vlan2_fields),
	.special = compile_vlan_flags,
};

static const struct item_kind kinds[] = {
	[RTE_FLOW_ITEM_TYPE_REPRESENTED_PORT] = {.default_mask = &rte_flow_item_ethdev_mask,
						 .special = compile_origin},
	[RTE_FLOW_ITEM_TYPE_PORT_REPRESENTOR] = {.default_mask = &rte_flow_item_ethdev_mask,
						 .special = compile_origin},
	[RTE_FLOW_ITEM_TYPE_ETH] = {.default_mask = &rte_flow_item_eth_mask,
				    .header_size = sizeof(struct rte_ether_hdr),
				    FIELDS(ethernet_fields),
				    .special = compile_ethernet_flags},
	[RTE_FLOW_ITEM_TYPE_VLAN] = {.default_mask = &rte_flow_item_vlan_mask,
				     .header_size = sizeof(struct rte_vlan_hdr),
				     FIELDS(vlan_fields),
				     .special = compile_vlan_flags},
	[RTE_FLOW_ITEM_TYPE_IPV4] = {.default_mask = &rte_flow_item_ipv4_mask,
				     .header_size = sizeof(struct rte_ipv4_hdr),
				     FIELDS(ipv4_fields)},
	[RTE_FLOW_ITEM_TYPE_IPV6] = {.default_mask = &rte_flow_item_ipv6_mask,
				     .header_size = sizeof(struct rte_ipv6_hdr),
				     FIELDS(ipv6_fields),
				     .special = compile_ipv6_flags},
	[RTE_FLOW_ITEM_TYPE_IPV6_FRAG_EXT] = {.header_size = sizeof(struct rte_ipv6_fragment_ext),
					      FIELDS(fragment_fields)},
	[RTE_FLOW_ITEM_TYPE_TCP] = {.default_mask = &rte_flow_item_tcp_mask,
				    .header_size = sizeof(struct rte_tcp_hdr),
				    FIELDS(tcp_fields)},
	[RTE_FLOW_ITEM_TYPE_UDP] = {.default_mask = &rte_flow_item_udp_mask,
				    .header_size = sizeof(struct rte_udp_hdr),
				    FIELDS(udp_fields)},
	[RTE_FLOW_ITEM_TYPE_ICMP] = {.default_mask = &rte_flow_item_icmp_mask,
				     .header_size = sizeof(struct rte_icmp_hdr),
				     FIELDS(icmp_fields),
				     .special = compile_icmp_rest},
	[RTE_FLOW_ITEM_TYPE_ICMP6] = {.default_mask = &rte_flow_item_icmp6_mask,
				      .header_size = sizeof(struct rte_flow_item_icmp6),
				      .fields = icmp_fields,
				      .field_count = ICMP6_FIELDS},
#if HAS_ICMP6_ECHO_ITEMS
	[RTE_FLOW_ITEM_TYPE_ICMP6_ECHO_REQUEST] = {.header_size =
							   sizeof(struct rte_flow_item_icmp6_echo),
						   FIELDS(echo_fields),
						   .special = compile_icmp6_echo},
	[RTE_FLOW_ITEM_TYPE_ICMP6_ECHO_REPLY] = {.header_size =
							 sizeof(struct rte_flow_item_icmp6_echo),
						 FIELDS(echo_fields),
						 .special = compile_icmp6_echo},
#endif
	[RTE_FLOW_ITEM_TYPE_RAW] = {.default_mask = &rte_flow_item_raw_mask,
				    .special = compile_raw},
	[RTE_FLOW_ITEM_TYPE_VXLAN] = {.default_mask = &rte_flow_item_vxlan_mask,
				      .header_size = sizeof(struct rte_vxlan_hdr),
				      .in_key = true,
				      FIELDS(vxlan_fields)},
	[RTE_FLOW_ITEM_TYPE_GENEVE] = {.default_mask = &rte_flow_item_geneve_mask,
				       .header_size = sizeof(struct rte_flow_item_geneve),
				       .in_key = true,
				       FIELDS(geneve_fields)},
	[RTE_FLOW_ITEM_TYPE_META] = {.default_mask = &rte_flow_item_meta_mask,
				     .header_size = sizeof(struct rte_flow_item_meta),
				     .in_key = true,
				     .host_order = true,
				     FIELDS(meta_fields),
				     .special = check_once},
	[RTE_FLOW_ITEM_TYPE_TAG] = {.default_mask = &rte_flow_item_tag_mask,
				    .special = compile_tag},
	[RTE_FLOW_ITEM_TYPE_INTEGRITY] = {.default_mask = &rte_flow_item_integrity_mask,
					  .special = compile_integrity},
};

const struct item_kind *item_kind(enum rte_flow_item_type type, unsigned int tags)
{
	const struct item_kind *kind;

	if ((unsigned int)type >= RTE_DIM(kinds))
		return NULL;
	kind = &kinds[type];
	if (type == RTE_FLOW_ITEM_TYPE_VLAN && tags > 0)
		kind = &vlan2;
	return kind->special != NULL || kind->field_count > 0 ? kind : NULL;
}
