// SPDX-License-Identifier: BSD-3-Clause
//
// Patterns: what good ones mean, and which are refused, with which type and cause.

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim/simnic/flow_match_test.h"

// ---- good patterns --------------------------------------------------------------------------------------

EXPECT(everything)
{
}

EXPECT(from_vf0)
{
	FIELD(origin, 0xffff, 2);
	FIELD(from_port, 0xff, 0);
}

EXPECT(sent_by_port_of_pf)
{
	FIELD(origin, 0xffff, 1);
	FIELD(from_port, 0xff, 1);
}

EXPECT(from_any_entity)
{
	FIELD(from_port, 0xff, 0);
}

EXPECT(mac)
{
	LAYERS(outer, L2);
	BYTES(outer.mac_dst, "\xff\xff\xff\xff\xff\xff", "\2\0\0\0\0\1");
	// The default mask has the source, too.
	BYTES(outer.mac_src, "\xff\xff\xff\xff\xff\xff", "\0\0\0\0\0\0");
}

EXPECT(ether_type)
{
	LAYERS(outer, L2);
	FIELD(outer.outer_type, 0xffff, RTE_BE16(0x0806));
}

EXPECT(untagged)
{
	FIELD(outer.layers, L2 | FLOW_HAS_VLAN, L2);
}

EXPECT(two_tags)
{
	LAYERS(outer, L2 | FLOW_HAS_VLAN | FLOW_HAS_VLAN2);
	FIELD(outer.outer_type, 0xffff, RTE_BE16(0x88a8));
	FIELD(outer.vlan_tci[0], RTE_BE16(0x0fff), RTE_BE16(0x0065));
	FIELD(outer.vlan_tci[1], RTE_BE16(0xe000), RTE_BE16(0x6000));
	FIELD(outer.ether_type, 0xffff, RTE_BE16(0x86dd));
}

EXPECT(one_tag_only)
{
	FIELD(outer.layers, FLOW_HAS_VLAN | FLOW_HAS_VLAN2, FLOW_HAS_VLAN);
	FIELD(outer.vlan_inner_type, 0xffff, RTE_BE16(0x0800));
}

EXPECT(ipv4_default_mask)
{
	LAYERS(outer, IP);
	BYTES(outer.ip_src, "\xff\xff\xff\xff", "\x0a\x09\0\1");
	BYTES(outer.ip_dst, "\xff\xff\xff\xff", "\x0a\x09\0\2");
}

EXPECT(ipv4_all_fields)
{
	LAYERS(outer, L2 | IP);
	BYTES(outer.ip_dst, "\xff\xff\0\0", "\x0a\x09\0\0");
	FIELD(outer.ipv4_version_ihl, 0xff, 0x45);
	FIELD(outer.tos, 0xfc, 0xb8);
	FIELD(outer.length, 0xffff, RTE_BE16(1400));
	FIELD(outer.fragment, RTE_BE16(0x3fff), 0);
	FIELD(outer.ttl, 0xff, 1);
	FIELD(outer.protocol, 0xff, 17);
}

EXPECT(ipv6_all_fields)
{
	FIELD(outer.layers, IP6 | FLOW_HAS_FRAGMENT, IP6);
	FIELD(outer.ipv6_flow, RTE_BE32(0x0ff00000), RTE_BE32(0x0b800000));
	FIELD(outer.ipv6_next, 0xff, 58);
	FIELD(outer.length, RTE_BE16(0xfff8), RTE_BE16(8));
	FIELD(outer.ttl, 0xff, 64);
	BYTES(outer.ip_src, "\xff\xff", "\x20\x01");
	BYTES(outer.ip_dst, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
	      "\x20\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\7");
}

EXPECT(ipv6_fragment)
{
	LAYERS(outer, IP6 | FLOW_HAS_FRAGMENT);
	FIELD(outer.fragment, RTE_BE16(0xfff8), 0);
}

EXPECT(tcp_syn)
{
	LAYERS(outer, L2 | IP | FLOW_HAS_TCP);
	FIELD(outer.port_dst, 0xffff, RTE_BE16(80));
	FIELD(outer.tcp_flags, 0x12, 0x02);
}

EXPECT(icmp_echo)
{
	LAYERS(outer, IP | FLOW_HAS_ICMP);
	FIELD(outer.port_src, 0xffff, RTE_BE16(0x0800));
}

EXPECT(icmp6_type)
{
	LAYERS(outer, FLOW_HAS_ICMP6);
	FIELD(outer.port_src, RTE_BE16(0xff00), RTE_BE16(0x8700));
}

EXPECT(vxlan)
{
	LAYERS(outer, L2 | IP | FLOW_HAS_UDP);
	FIELD(outer.port_src, 0xffff, 0);
	FIELD(outer.port_dst, 0xffff, RTE_BE16(4789));
	FIELD(tunnel, 0xff, FLOW_TUNNEL_VXLAN);
	BYTES(vni, "\xff\xff\xff", "\0\0\x2a");
	LAYERS(inner, L2 | FLOW_HAS_VLAN | IP6 | FLOW_HAS_TCP);
	FIELD(inner.port_src, 0xffff, 0);
	FIELD(inner.port_dst, 0xffff, RTE_BE16(443));
}

EXPECT(tags_outside_and_inside)
{
	LAYERS(outer, FLOW_HAS_VLAN | FLOW_HAS_VLAN2 | IP6 | FLOW_HAS_UDP);
	FIELD(tunnel, 0xff, FLOW_TUNNEL_VXLAN);
	LAYERS(inner, L2 | FLOW_HAS_VLAN);
	FIELD(inner.vlan_tci[0], RTE_BE16(0x0fff), RTE_BE16(5));
}

EXPECT(geneve)
{
	LAYERS(outer, FLOW_HAS_UDP);
	FIELD(tunnel, 0xff, FLOW_TUNNEL_GENEVE);
	FIELD(geneve_ver_opt, RTE_BE16(0x3f00), RTE_BE16(0x0200));
	FIELD(geneve_protocol, 0xffff, RTE_BE16(0x6558));
	BYTES(vni, "\xff\xff\xff", "\1\2\3");
}

EXPECT(metadata)
{
	FIELD(metadata, 0xffff, 0x1234);
	FIELD(tags[3], UINT32_MAX, 9);
	FIELD(tags[0], 0xf0, 0x10);
}

EXPECT(integrity)
{
	LAYERS(outer, FLOW_L3_OK);
	FIELD(inner.layers, FLOW_L3_OK, 0);
}

EXPECT(ranges)
{
	LAYERS(outer, IP | FLOW_HAS_UDP);
	FIELD(outer.ttl, 0xff, 5); // last equals spec
	FIELD(outer.tos, 0xff, 7); // last is 0
	match->range_count = 2;
	match->ranges[0] = (struct flow_range){.offset = offsetof(struct flow_key, outer.ip_dst),
					       .size = 4,
					       .mask = 0xffff0000,
					       .first = 0x0a010000,
					       .last = 0x0a030000};
	match->ranges[1] = (struct flow_range){.offset = offsetof(struct flow_key, outer.port_dst),
					       .size = 2,
					       .mask = 0xffff,
					       .first = 1000,
					       .last = 2000};
}

EXPECT(meta_range)
{
	match->range_count = 1;
	match->ranges[0] = (struct flow_range){.offset = offsetof(struct flow_key, metadata),
					       .size = 4,
					       .host_order = true,
					       .mask = UINT32_MAX,
					       .first = 1,
					       .last = 256};
}

static const struct good_pattern good_patterns[] = {
	{"no item", expect_everything, {END}},
	{"only VOID", expect_everything, {ITEM(VOID), ITEM(VOID), END}},
	{"a function", expect_from_vf0, {FROM(PORT_VF0), END}},
	{"a port",
	 expect_sent_by_port_of_pf,
	 {ITEM(PORT_REPRESENTOR, .spec = OF(ethdev, PORT_PF), .mask = OF(ethdev, 0xffff)), END}},
	{"any function", expect_from_any_entity, {ITEM(REPRESENTED_PORT), END}},
	{"any function by mask",
	 expect_from_any_entity,
	 {ITEM(REPRESENTED_PORT, .spec = OF(ethdev, PORT_NONE), .mask = OF(ethdev, 0)), END}},
	{"port range that is none",
	 expect_from_vf0,
	 {ITEM(REPRESENTED_PORT, .spec = OF(ethdev, PORT_VF0), .last = OF(ethdev, PORT_VF0)), END}},
	{"ETH, default mask",
	 expect_mac,
	 {ITEM(ETH,
	       .spec = HDR(eth, .dst_addr = {{2, 0, 0, 0, 0, 1}}, .ether_type = RTE_BE16(0x0800))),
	  END}},
	{"ether type",
	 expect_ether_type,
	 {ITEM(ETH,
	       .spec = HDR(eth, .dst_addr = {{1, 1, 1, 1, 1, 1}}, .ether_type = RTE_BE16(0x0806)),
	       .mask = HDR(eth, .ether_type = 0xffff)),
	  END}},
	{"no VLAN",
	 expect_untagged,
	 {ITEM(ETH, .spec = OF(eth, .has_vlan = 0), .mask = OF(eth, .has_vlan = 1)), END}},
	{"two VLANs",
	 expect_two_tags,
	 {ITEM(ETH, .spec = HDR(eth, .ether_type = RTE_BE16(0x88a8)),
	       .mask = HDR(eth, .ether_type = 0xffff)),
	  ITEM(VLAN, .spec = HDR(vlan, .vlan_tci = RTE_BE16(0xf065))),
	  ITEM(VLAN, .spec = HDR(vlan, .vlan_tci = RTE_BE16(0x6066), .eth_proto = RTE_BE16(0x86dd)),
	       .mask = HDR(vlan, .vlan_tci = RTE_BE16(0xe000), .eth_proto = 0xffff)),
	  END}},
	{"one VLAN, at the bottom",
	 expect_one_tag_only,
	 {ITEM(VLAN, .spec = HDR(vlan, .eth_proto = RTE_BE16(0x0800)),
	       .mask = OF(vlan, .hdr.eth_proto = 0xffff, .has_more_vlan = 1)),
	  END}},
	{"IPV4, default mask",
	 expect_ipv4_default_mask,
	 {ITEM(IPV4, .spec = HDR(ipv4, .src_addr = IP4(10, 9, 0, 1), .dst_addr = IP4(10, 9, 0, 2),
				 .time_to_live = 9)),
	  END}},
	{"IPV4, all that there is",
	 expect_ipv4_all_fields,
	 {ETH_ANY,
	  ITEM(IPV4,
	       .spec = HDR(ipv4, .version_ihl = 0x45, .type_of_service = 0xbb, .time_to_live = 1,
			   .next_proto_id = 17, .dst_addr = IP4(10, 9, 8, 7), .packet_id = 5,
			   .total_length = RTE_BE16(1400)),
	       .mask = HDR(ipv4, .version_ihl = 0xff, .type_of_service = 0xfc,
			   .total_length = 0xffff, .fragment_offset = RTE_BE16(0x3fff),
			   .time_to_live = 0xff, .next_proto_id = 0xff,
			   .dst_addr = RTE_BE32(0xffff0000))),
	  END}},
	{"IPV6, all that there is",
	 expect_ipv6_all_fields,
	 {ITEM(IPV6,
	       .spec = HDR(ipv6, .vtc_flow = RTE_BE32(0x6b812345), .proto = 58, .hop_limits = 64,
			   .payload_len = RTE_BE16(15), .src_addr = IPV6(0x20, 0x01, 0xff),
			   .dst_addr = IPV6(0x20, 0x01, [15] = 7)),
	       .mask = OF(ipv6,
			  .hdr = {.vtc_flow = RTE_BE32(0x0ff00000),
				  .proto = 0xff,
				  .payload_len = RTE_BE16(0xfff8),
				  .hop_limits = 0xff,
				  .src_addr = IPV6(0xff, 0xff),
				  .dst_addr = IPV6(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
						   0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)},
			  .has_frag_ext = 1)),
	  END}},
	{"IPV6_FRAG_EXT",
	 expect_ipv6_fragment,
	 {IPV6_ANY,
	  ITEM(IPV6_FRAG_EXT, .spec = HDR(ipv6_frag_ext, .frag_data = 0),
	       .mask = HDR(ipv6_frag_ext, .frag_data = RTE_BE16(0xfff8))),
	  END}},
	{"TCP flags",
	 expect_tcp_syn,
	 {ETH_ANY, ITEM(VOID), IPV4_ANY,
	  ITEM(TCP, .spec = HDR(tcp, .dst_port = RTE_BE16(80), .tcp_flags = 0x02),
	       .mask = HDR(tcp, .dst_port = 0xffff, .tcp_flags = 0x12)),
	  END}},
	{"ICMP",
	 expect_icmp_echo,
	 {IPV4_ANY, ITEM(ICMP, .spec = HDR(icmp, .icmp_type = 8, .icmp_ident = 77)), END}},
	{"ICMP6 at the bottom",
	 expect_icmp6_type,
	 {ITEM(ICMP6, .spec = OF(icmp6, .type = 135, .code = 9), .mask = OF(icmp6, .type = 0xff)),
	  END}},
	{"VXLAN",
	 expect_vxlan,
	 {ETH_ANY, IPV4_ANY, UDP_PORT, VXLAN_VNI(42), ETH_ANY, ITEM(VLAN), IPV6_ANY,
	  ITEM(TCP, .spec = HDR(tcp, .dst_port = RTE_BE16(443))), END}},
	{"VLANs outside and inside",
	 expect_tags_outside_and_inside,
	 {ITEM(VLAN), ITEM(VLAN), IPV6_ANY, ITEM(UDP), ITEM(VXLAN), ETH_ANY,
	  ITEM(VLAN, .spec = HDR(vlan, .vlan_tci = RTE_BE16(5))), END}},
	{"GENEVE at the bottom",
	 expect_geneve,
	 {ITEM(GENEVE,
	       .spec = OF(geneve, .ver_opt_len_o_c_rsvd0 = RTE_BE16(0x0240),
			  .protocol = RTE_BE16(0x6558), .vni = {1, 2, 3}),
	       .mask = OF(geneve, .ver_opt_len_o_c_rsvd0 = RTE_BE16(0x3f00), .protocol = 0xffff,
			  .vni = {0xff, 0xff, 0xff})),
	  END}},
	{"META and TAG",
	 expect_metadata,
	 {ITEM(META, .spec = OF(meta, 0x91234), .mask = OF(meta, 0xffff)),
	  ITEM(TAG, .spec = OF(tag, .data = 9, .index = 3)),
	  ITEM(TAG, .spec = OF(tag, .data = 0x1f, .index = 0),
	       .mask = OF(tag, .data = 0xf0, .index = 0xff)),
	  END}},
	{"INTEGRITY of both levels",
	 expect_integrity,
	 {ITEM(INTEGRITY, .spec = OF(integrity, .l3_ok = 1, .l4_ok = 1),
	       .mask = OF(integrity, .l3_ok = 1)),
	  ITEM(INTEGRITY, .spec = OF(integrity, .level = 2),
	       .mask = OF(integrity, .ipv4_csum_ok = 1)),
	  END}},
	{"ranges",
	 expect_ranges,
	 {ITEM(IPV4,
	       .spec = HDR(ipv4, .dst_addr = IP4(10, 1, 2, 3), .time_to_live = 5,
			   .type_of_service = 7),
	       .last = HDR(ipv4, .dst_addr = IP4(10, 3, 4, 5), .time_to_live = 5,
			   .next_proto_id = 4),
	       .mask = HDR(ipv4, .dst_addr = RTE_BE32(0xffff0000), .time_to_live = 0xff,
			   .type_of_service = 0xff)),
	  ITEM(UDP, .spec = HDR(udp, .dst_port = RTE_BE16(1000)),
	       .last = HDR(udp, .dst_port = RTE_BE16(2000)), .mask = HDR(udp, .dst_port = 0xffff)),
	  END}},
	{"META range",
	 expect_meta_range,
	 {ITEM(META, .spec = OF(meta, 1), .last = OF(meta, 256)), END}},
};

static void good_patterns_mean_what_rte_flow_says(void **state)
{
	check_good(good_patterns, RTE_DIM(good_patterns));
}

// ---- bad patterns ---------------------------------------------------------------------------------------

static const struct bad_pattern bad_patterns[] = {
	BAD("INVERT", ENOTSUP, ITEM, 0, ITEM(INVERT), ETH_ANY),
	BAD("ANY", ENOTSUP, ITEM, 1, ETH_ANY, ITEM(ANY)),
	BAD("RAW", ENOTSUP, ITEM, 0, ITEM(RAW)),
	BAD("PORT_ID", ENOTSUP, ITEM, 0, ITEM(PORT_ID)),
	BAD("unknown", ENOTSUP, ITEM, 0, {.type = (enum rte_flow_item_type)100000}),
	BAD("negative", ENOTSUP, ITEM, 0, {.type = (enum rte_flow_item_type) - 1}),
	BAD("mask without spec", EINVAL, ITEM, 1, ETH_ANY,
	    ITEM(IPV4, .mask = &rte_flow_item_ipv4_mask)),
	BAD("last without spec", EINVAL, ITEM, 0, ITEM(UDP, .last = HDR(udp, .dst_port = 1))),
	BAD("port of another device", EINVAL, ITEM_SPEC, 0, FROM(PORT_FOREIGN)),
	BAD("port that does not exist", EINVAL, ITEM_SPEC, 0, FROM(PORT_NONE)),
	BAD("port beyond all", EINVAL, ITEM_SPEC, 0, FROM(0xffff)),
	BAD("half a port", ENOTSUP, ITEM_MASK, 0,
	    ITEM(REPRESENTED_PORT, .spec = OF(ethdev, PORT_VF0), .mask = OF(ethdev, 0xff))),
	BAD("range of ports", ENOTSUP, ITEM_LAST, 0,
	    ITEM(PORT_REPRESENTOR, .spec = OF(ethdev, PORT_PF), .last = OF(ethdev, PORT_VF0))),
	BAD("two origins", EINVAL, ITEM, 1, FROM(PORT_VF0), ITEM(PORT_REPRESENTOR)),
	BAD("ETH twice", EINVAL, ITEM, 1, ETH_ANY, ETH_ANY),
	BAD("IPV4 below ETH", EINVAL, ITEM, 1, IPV4_ANY, ETH_ANY),
	BAD("TCP on ETH", EINVAL, ITEM, 1, ETH_ANY, ITEM(TCP)),
	BAD("IP in IP", EINVAL, ITEM, 1, IPV4_ANY, IPV6_ANY),
	BAD("UDP on TCP", EINVAL, ITEM, 2, IPV4_ANY, ITEM(TCP), ITEM(UDP)),
	BAD("VLAN behind IP", EINVAL, ITEM, 1, IPV4_ANY, ITEM(VLAN)),
	BAD("three VLANs", ENOTSUP, ITEM, 3, ETH_ANY, ITEM(VLAN), ITEM(VLAN), ITEM(VLAN)),
	BAD("ICMP in IPV6", EINVAL, ITEM, 1, IPV6_ANY, ITEM(ICMP)),
	BAD("ICMP6 in IPV4", EINVAL, ITEM, 1, IPV4_ANY, ITEM(ICMP6)),
	BAD("FRAG_EXT in IPV4", EINVAL, ITEM, 1, IPV4_ANY, ITEM(IPV6_FRAG_EXT)),
	BAD("FRAG_EXT without a mask", EINVAL, ITEM_MASK, 1, IPV6_ANY,
	    ITEM(IPV6_FRAG_EXT, .spec = HDR(ipv6_frag_ext, .frag_data = 0))),
	BAD("VXLAN on TCP", EINVAL, ITEM, 2, IPV4_ANY, ITEM(TCP), ITEM(VXLAN)),
	BAD("VXLAN on IP", EINVAL, ITEM, 1, IPV4_ANY, ITEM(VXLAN)),
	BAD("IP in VXLAN without ETH", EINVAL, ITEM, 2, UDP_PORT, ITEM(VXLAN), IPV4_ANY),
	BAD("tunnel in tunnel", ENOTSUP, ITEM, 5, UDP_PORT, ITEM(VXLAN), ETH_ANY, IPV4_ANY,
	    UDP_PORT, ITEM(VXLAN)),
	BAD("tagged and not", EINVAL, ITEM, 1,
	    ITEM(ETH, .spec = OF(eth, .has_vlan = 0), .mask = OF(eth, .has_vlan = 1)), ITEM(VLAN)),
	BAD("fragment and not", EINVAL, ITEM, 1,
	    ITEM(IPV6, .spec = OF(ipv6, .has_frag_ext = 0), .mask = OF(ipv6, .has_frag_ext = 1)),
	    ITEM(IPV6_FRAG_EXT)),
	BAD("third tag by flag", ENOTSUP, ITEM_MASK, 1, ITEM(VLAN),
	    ITEM(VLAN, .spec = OF(vlan, .has_more_vlan = 1), .mask = OF(vlan, .has_more_vlan = 1))),
	BAD("reserved bits of ETH", ENOTSUP, ITEM_MASK, 0,
	    ITEM(ETH, .spec = OF(eth, .reserved = 0), .mask = OF(eth, .reserved = 2))),
	BAD("one bit of the packet ID", ENOTSUP, ITEM_MASK, 1, ETH_ANY,
	    ITEM(IPV4, .spec = HDR(ipv4, .packet_id = 0), .mask = HDR(ipv4, .packet_id = 0x8000))),
	BAD("IPv4 checksum", ENOTSUP, ITEM_MASK, 0,
	    ITEM(IPV4, .spec = HDR(ipv4, .hdr_checksum = 1), .mask = HDR(ipv4, .hdr_checksum = 1))),
	BAD("hop-by-hop header", ENOTSUP, ITEM_MASK, 0,
	    ITEM(IPV6, .spec = OF(ipv6, .has_hop_ext = 1), .mask = OF(ipv6, .has_hop_ext = 1))),
	BAD("destination options", ENOTSUP, ITEM_MASK, 0,
	    ITEM(IPV6, .spec = OF(ipv6, .has_dest_ext = 0), .mask = OF(ipv6, .has_dest_ext = 1))),
	BAD("reserved bits of IPV6", ENOTSUP, ITEM_MASK, 0,
	    ITEM(IPV6, .spec = OF(ipv6, .reserved = 0), .mask = OF(ipv6, .reserved = 1))),
	BAD("fragment ID", ENOTSUP, ITEM_MASK, 1, IPV6_ANY,
	    ITEM(IPV6_FRAG_EXT, .spec = HDR(ipv6_frag_ext, .id = 1),
		 .mask = HDR(ipv6_frag_ext, .id = 1))),
	BAD("TCP sequence", ENOTSUP, ITEM_MASK, 0,
	    ITEM(TCP, .spec = HDR(tcp, .sent_seq = 1), .mask = HDR(tcp, .sent_seq = 1))),
	BAD("TCP data offset", ENOTSUP, ITEM_MASK, 0,
	    ITEM(TCP, .spec = HDR(tcp, .data_off = 0x50), .mask = HDR(tcp, .data_off = 0xf0))),
	BAD("UDP length", ENOTSUP, ITEM_MASK, 0,
	    ITEM(UDP, .spec = HDR(udp, .dgram_len = 8), .mask = HDR(udp, .dgram_len = 0xffff))),
	BAD("ICMP checksum", ENOTSUP, ITEM_MASK, 0,
	    ITEM(ICMP, .spec = HDR(icmp, .icmp_cksum = 8),
		 .mask = HDR(icmp, .icmp_cksum = 0xffff))),
	BAD("ICMP6 checksum", ENOTSUP, ITEM_MASK, 0,
	    ITEM(ICMP6, .spec = OF(icmp6, .checksum = 8), .mask = OF(icmp6, .checksum = 0xffff))),
	BAD("VXLAN reserved", ENOTSUP, ITEM_MASK, 0,
	    ITEM(VXLAN, .spec = HDR(vxlan, .vx_vni = 0),
		 .mask = HDR(vxlan, .vx_vni = RTE_BE32(1)))),
	BAD("GENEVE reserved", ENOTSUP, ITEM_MASK, 0,
	    ITEM(GENEVE, .spec = OF(geneve, .rsvd1 = 8), .mask = OF(geneve, .rsvd1 = 0xff))),
	BAD("META twice", EINVAL, ITEM, 1, ITEM(META, .spec = OF(meta, 1)),
	    ITEM(META, .spec = OF(meta, 1))),
	BAD("TAG twice", EINVAL, ITEM, 1, ITEM(TAG, .spec = OF(tag, 1, 2)),
	    ITEM(TAG, .spec = OF(tag, 1, 2))),
	BAD("TAG twice, another between", EINVAL, ITEM, 2, ITEM(TAG, .spec = OF(tag, 1, 2)),
	    ITEM(TAG, .spec = OF(tag, 1, 3)), ITEM(TAG, .spec = OF(tag, 1, 2))),
	BAD("TAG 4", ENOTSUP, ITEM_SPEC, 0, ITEM(TAG, .spec = OF(tag, 1, 4))),
	BAD("TAG without index", ENOTSUP, ITEM_MASK, 0,
	    ITEM(TAG, .spec = OF(tag, 1, 2), .mask = OF(tag, 1, 0))),
	BAD("any TAG", EINVAL, ITEM_MASK, 0, ITEM(TAG)),
	BAD("INTEGRITY of layer 4", ENOTSUP, ITEM_MASK, 0,
	    ITEM(INTEGRITY, .spec = OF(integrity, .l4_ok = 1), .mask = OF(integrity, .l4_ok = 1))),
	BAD("INTEGRITY of level 3", ENOTSUP, ITEM_SPEC, 0,
	    ITEM(INTEGRITY, .spec = OF(integrity, .level = 3, .l3_ok = 1),
		 .mask = OF(integrity, .l3_ok = 1))),
	BAD("INTEGRITY against itself", ENOTSUP, ITEM_SPEC, 0,
	    ITEM(INTEGRITY, .spec = OF(integrity, .l3_ok = 1),
		 .mask = OF(integrity, .l3_ok = 1, .ipv4_csum_ok = 1))),
	BAD("INTEGRITY against another", EINVAL, ITEM, 1,
	    ITEM(INTEGRITY, .spec = OF(integrity, .l3_ok = 1), .mask = OF(integrity, .l3_ok = 1)),
	    ITEM(INTEGRITY, .spec = OF(integrity, .level = 1), .mask = OF(integrity, .l3_ok = 1))),
	BAD("last below spec", EINVAL, ITEM_LAST, 1, IPV4_ANY,
	    ITEM(UDP, .spec = HDR(udp, .dst_port = RTE_BE16(0x0200)),
		 .last = HDR(udp, .dst_port = RTE_BE16(0x01ff)))),
	BAD("range of MACs", ENOTSUP, ITEM_LAST, 0,
	    ITEM(ETH, .spec = HDR(eth, .dst_addr = {{2}}), .last = HDR(eth, .dst_addr = {{3}}))),
	BAD("range of IPv6 addresses", ENOTSUP, ITEM_LAST, 0,
	    ITEM(IPV6, .spec = HDR(ipv6, .dst_addr = IPV6(2)),
		 .last = HDR(ipv6, .dst_addr = IPV6(3)))),
	BAD("range of a flag", ENOTSUP, ITEM_LAST, 0,
	    ITEM(ETH, .spec = OF(eth, .has_vlan = 0), .last = OF(eth, .has_vlan = 1),
		 .mask = OF(eth, .has_vlan = 1))),
	BAD("nine ranges", ENOTSUP, ITEM_LAST, 1,
	    ITEM(IPV4, .spec = HDR(ipv4, .time_to_live = 0),
		 .last = HDR(ipv4, .version_ihl = 1, .type_of_service = 1, .fragment_offset = 1,
			     .time_to_live = 1, .next_proto_id = 1, .src_addr = 1, .dst_addr = 1),
		 .mask = HDR(ipv4, .version_ihl = 1, .type_of_service = 1, .fragment_offset = 1,
			     .time_to_live = 1, .next_proto_id = 1, .src_addr = 1, .dst_addr = 1)),
	    ITEM(TCP, .spec = HDR(tcp, .src_port = 0),
		 .last = HDR(tcp, .src_port = 1, .dst_port = 1))),
};

static void bad_patterns_are_refused_with_type_and_cause(void **state)
{
	check_bad(bad_patterns, RTE_DIM(bad_patterns));
}

static void a_pattern_without_items_or_end_in_sight_is_refused(void **state)
{
	struct rte_flow_item items[FLOW_ITEMS_MAX + 2] = {0};
	struct rte_flow_error error;
	struct flow_match match;

	check_refused("NULL", flow_match_compile(&device, NULL, &match, &error), &error, EINVAL,
		      RTE_FLOW_ERROR_TYPE_ITEM_NUM, NULL);
	for (unsigned int i = 0; i <= FLOW_ITEMS_MAX; i++)
		items[i].type = RTE_FLOW_ITEM_TYPE_INTEGRITY;
	check_refused("too many", flow_match_compile(&device, items, &match, &error), &error,
		      ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_NUM, &items[FLOW_ITEMS_MAX]);
	items[FLOW_ITEMS_MAX].type = RTE_FLOW_ITEM_TYPE_END;
	assert_int_equal(flow_match_compile(&device, items, &match, &error), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_patterns_mean_what_rte_flow_says),
		cmocka_unit_test(bad_patterns_are_refused_with_type_and_cause),
		cmocka_unit_test(a_pattern_without_items_or_end_in_sight_is_refused),
	};

	return cmocka_run_group_tests(tests, make_ports, NULL);
}
