// SPDX-License-Identifier: BSD-3-Clause
//
// Patterns of pings: the second half of ICMP headers, by fields, items of their own, and bytes.

#include "sim/simnic/flow_match_test.h"

// RAW items: where and how many bytes, and the bytes.
#define RAW_OF(size, ...)                                                                          \
	OF(raw, .relative = 1, .length = (size), .pattern = (const uint8_t[]){__VA_ARGS__})
#define RAW_MASK(...)                                                                              \
	OF(raw, .relative = 1, .search = 1, .offset = -1, .limit = UINT16_MAX,                     \
	   .length = UINT16_MAX, .pattern = (const uint8_t[]){__VA_ARGS__})

// ---- good patterns ----------------------------------------------------------------------------------------

EXPECT(icmp_identifier)
{
	LAYERS(outer, IP | FLOW_HAS_ICMP | FLOW_HAS_ICMP_REST);
	FIELD(outer.port_src, RTE_BE16(0xff00), 0);
	FIELD(outer.icmp_identifier, 0xffff, RTE_BE16(77));
	FIELD(outer.icmp_sequence, RTE_BE16(0xff00), RTE_BE16(0x0100));
}

EXPECT(icmp_identifier_range)
{
	LAYERS(outer, FLOW_HAS_ICMP | FLOW_HAS_ICMP_REST);
	match->range_count = 1;
	match->ranges[0] =
		(struct flow_range){.offset = offsetof(struct flow_key, outer.icmp_identifier),
				    .size = 2,
				    .mask = 0xffff,
				    .first = 0,
				    .last = 9};
}

EXPECT(icmp6_identifier)
{
	LAYERS(outer, IP6 | FLOW_HAS_ICMP6 | FLOW_HAS_ICMP_REST);
	FIELD(outer.port_src, 0xffff, RTE_BE16(0x8000));
	FIELD(outer.icmp_identifier, 0xffff, RTE_BE16(0x1234));
}

EXPECT(icmp6_identifier_and_sequence)
{
	LAYERS(outer, FLOW_HAS_UDP);
	FIELD(tunnel, 0xff, FLOW_TUNNEL_GENEVE);
	LAYERS(inner, L2 | IP6 | FLOW_HAS_ICMP6 | FLOW_HAS_ICMP_REST);
	FIELD(inner.icmp_identifier, RTE_BE16(0xff00), RTE_BE16(0x1200));
	FIELD(inner.icmp_sequence, RTE_BE16(0x00ff), RTE_BE16(0x0078));
}

#if HAS_ICMP6_ECHO_ITEMS
EXPECT(icmp6_echo_reply)
{
	LAYERS(outer, IP6 | FLOW_HAS_ICMP6 | FLOW_HAS_ICMP_REST);
	FIELD(outer.port_src, 0xffff, RTE_BE16(0x8100));
}
#endif

static const struct good_pattern good_patterns[] = {
	{"an echo reply's identifier, and half of its sequence",
	 expect_icmp_identifier,
	 {IPV4_ANY,
	  ITEM(ICMP,
	       .spec = HDR(icmp, .icmp_type = 0, .icmp_code = 3, .icmp_ident = RTE_BE16(77),
			   .icmp_seq_nb = RTE_BE16(0x0123)),
	       .mask = HDR(icmp, .icmp_type = 0xff, .icmp_ident = 0xffff,
			   .icmp_seq_nb = RTE_BE16(0xff00))),
	  END}},
	{"identifiers from 0 on",
	 expect_icmp_identifier_range,
	 {ITEM(ICMP, .spec = HDR(icmp, .icmp_ident = 0),
	       .last = HDR(icmp, .icmp_ident = RTE_BE16(9)),
	       .mask = HDR(icmp, .icmp_ident = 0xffff)),
	  END}},
	{"an ICMPv6 echo's identifier, as the bytes behind ICMP6",
	 expect_icmp6_identifier,
	 {IPV6_ANY, ITEM(ICMP6, .spec = OF(icmp6, .type = 128)), ITEM(VOID),
	  ITEM(RAW, .spec = RAW_OF(2, 0x12, 0x34)), END}},
	{"some bits of its identifier and sequence, in a tunnel",
	 expect_icmp6_identifier_and_sequence,
	 {ITEM(GENEVE), ETH_ANY, IPV6_ANY, ITEM(ICMP6), ITEM(META),
	  ITEM(RAW, .spec = RAW_OF(4, 0x12, 0x34, 0x56, 0x78), .mask = RAW_MASK(0xff, 0, 0, 0xff)),
	  END}},
	{"RAW with only what counts in its mask",
	 expect_icmp6_identifier,
	 {IPV6_ANY, ITEM(ICMP6, .spec = OF(icmp6, .type = 128)),
	  ITEM(RAW,
	       .spec = OF(raw, .relative = 1, .search = 1, .offset = 5, .length = 3,
			  .pattern = (const uint8_t[]){0x12, 0x34, 0}),
	       .mask = RAW_OF(2, 0xff, 0xff)),
	  END}},
#if HAS_ICMP6_ECHO_ITEMS
	{"ICMP6_ECHO_REQUEST",
	 expect_icmp6_identifier,
	 {IPV6_ANY,
	  ITEM(ICMP6_ECHO_REQUEST,
	       .spec = HDR(icmp6_echo, .identifier = RTE_BE16(0x1234), .sequence = 1),
	       .mask = HDR(icmp6_echo, .identifier = 0xffff)),
	  END}},
	{"ICMP6_ECHO_REPLY", expect_icmp6_echo_reply, {IPV6_ANY, ITEM(ICMP6_ECHO_REPLY), END}},
#endif
};

static void good_patterns_of_pings_mean_what_rte_flow_says(void **state)
{
	check_good(good_patterns, RTE_DIM(good_patterns));
}

// ---- bad patterns -----------------------------------------------------------------------------------------

static const struct bad_pattern bad_patterns[] = {
	BAD("RAW behind UDP", ENOTSUP, ITEM, 1, ITEM(UDP), ITEM(RAW, .spec = RAW_OF(2, 0, 1))),
	BAD("RAW behind ICMP", ENOTSUP, ITEM, 1, ITEM(ICMP), ITEM(RAW, .spec = RAW_OF(2, 0, 1))),
	BAD("RAW behind RAW", ENOTSUP, ITEM, 2, ITEM(ICMP6), ITEM(RAW, .spec = RAW_OF(2, 0, 1)),
	    ITEM(RAW, .spec = RAW_OF(2, 0, 1))),
	BAD("UDP behind RAW", EINVAL, ITEM, 2, ITEM(ICMP6), ITEM(RAW, .spec = RAW_OF(2, 0, 1)),
	    ITEM(UDP)),
	BAD("RAW of nothing", EINVAL, ITEM, 1, ITEM(ICMP6), ITEM(RAW)),
	BAD("RAW of no bytes", ENOTSUP, ITEM_SPEC, 1, ITEM(ICMP6), ITEM(RAW, .spec = RAW_OF(0, 0))),
	BAD("RAW of three bytes", ENOTSUP, ITEM_SPEC, 1, ITEM(ICMP6),
	    ITEM(RAW, .spec = RAW_OF(3, 0, 1, 2))),
	BAD("RAW of eight bytes", ENOTSUP, ITEM_SPEC, 1, ITEM(ICMP6),
	    ITEM(RAW, .spec = RAW_OF(8, 0, 1, 2, 3, 4, 5, 6, 7))),
	BAD("RAW without its bytes", EINVAL, ITEM_SPEC, 1, ITEM(ICMP6),
	    ITEM(RAW, .spec = OF(raw, .relative = 1, .length = 2))),
	BAD("RAW from the packet's start", ENOTSUP, ITEM_SPEC, 1, ITEM(ICMP6),
	    ITEM(RAW, .spec = OF(raw, .length = 2, .pattern = (const uint8_t *)"ab"))),
	BAD("RAW further on", ENOTSUP, ITEM_SPEC, 1, ITEM(ICMP6),
	    ITEM(RAW, .spec = OF(raw, .relative = 1, .offset = 4, .length = 2,
				 .pattern = (const uint8_t *)"ab"))),
	BAD("RAW before", ENOTSUP, ITEM_SPEC, 1, ITEM(ICMP6),
	    ITEM(RAW, .spec = OF(raw, .relative = 1, .offset = -2, .length = 2,
				 .pattern = (const uint8_t *)"ab"))),
	BAD("RAW by search", ENOTSUP, ITEM_SPEC, 1, ITEM(ICMP6),
	    ITEM(RAW, .spec = OF(raw, .relative = 1, .search = 1, .length = 2,
				 .pattern = (const uint8_t *)"ab"))),
	BAD("RAW with a limit", ENOTSUP, ITEM_SPEC, 1, ITEM(ICMP6),
	    ITEM(RAW, .spec = OF(raw, .relative = 1, .limit = 9, .length = 2,
				 .pattern = (const uint8_t *)"ab"))),
	BAD("RAW with reserved bits", ENOTSUP, ITEM_SPEC, 1, ITEM(ICMP6),
	    ITEM(RAW,
		 .spec = OF(raw, .relative = 1, .reserved = 1, .length = 2,
			    .pattern = (const uint8_t *)"ab"),
		 .mask = OF(raw, .relative = 1, .reserved = 1, .length = 2))),
	BAD("range of RAW", ENOTSUP, ITEM_LAST, 1, ITEM(ICMP6),
	    ITEM(RAW, .spec = RAW_OF(2, 0, 1), .last = RAW_OF(2, 0, 2))),
#if HAS_ICMP6_ECHO_ITEMS
	BAD("checksum of an echo", ENOTSUP, ITEM_MASK, 0,
	    ITEM(ICMP6_ECHO_REQUEST, .spec = HDR(icmp6_echo, .identifier = 1),
		 .mask = HDR(icmp6_echo, .base.checksum = 1))),
	BAD("RAW behind an echo", ENOTSUP, ITEM, 1, ITEM(ICMP6_ECHO_REQUEST),
	    ITEM(RAW, .spec = RAW_OF(2, 0, 1))),
#endif
};

static void other_bytes_than_those_of_pings_are_refused(void **state)
{
	check_bad(bad_patterns, RTE_DIM(bad_patterns));
}

// ---- templates --------------------------------------------------------------------------------------------

static void echoes_are_told_apart_in_rules_of_a_template(void **state)
{
	const uint8_t ping[] = {0x12, 0x34, 0, 7};
	const struct rte_flow_item_raw shapes[] = {
		{.relative = 1, .length = 2},
		{.relative = 1, .length = 4, .pattern = ping},
	};
	const struct rte_flow_item pattern[] = {
		IPV6_ANY, ITEM(ICMP6, .spec = OF(icmp6, .type = 128)),
		ITEM(RAW, .spec = OF(raw, .relative = 1, .length = 2, .pattern = ping)), END};
	struct rte_flow_item items[] = {IPV6_ANY, ITEM(ICMP6, .mask = OF(icmp6, .type = 0xff)),
					ITEM(RAW), END};
	struct rte_flow_error error;
	struct flow_match match;

	// The length by the spec, or, without one, by a mask that asks for it; the bits by the mask, all of them if it has none.
	for (unsigned int i = 0; i < 3; i++) {
		items[2].spec = i == 0 ? NULL : &shapes[i - 1];
		items[2].mask = i == 0 ? RAW_OF(2, 0xff, 0xff) : &rte_flow_item_raw_mask;
		assert_int_equal(flow_match_compile_template(&device, items, false, &match, &error),
				 0);
		assert_int_equal(match.mask.outer.icmp_identifier, 0xffff);
		assert_int_equal(match.value.outer.icmp_identifier, 0);
		assert_int_equal(match.mask.outer.icmp_sequence, i == 2 ? 0xffff : 0);
		assert_int_equal(match.value.outer.layers,
				 IP6 | FLOW_HAS_ICMP6 | FLOW_HAS_ICMP_REST);
		if (i == 2) {
			check_refused("shorter than the template's",
				      flow_match_compile_rule(&device, items, false, pattern,
							      &match, &error),
				      &error, EINVAL, RTE_FLOW_ERROR_TYPE_ITEM_SPEC, &pattern[2]);
			continue;
		}
		assert_int_equal(
			flow_match_compile_rule(&device, items, false, pattern, &match, &error), 0);
		assert_int_equal(match.value.outer.icmp_identifier, RTE_BE16(0x1234));
		assert_int_equal(match.value.outer.port_src, RTE_BE16(0x8000));
	}
}

static void a_template_of_raw_bytes_says_which(void **state)
{
	struct rte_flow_item items[] = {ITEM(ICMP6), ITEM(RAW, .spec = RAW_OF(2, 0, 0)), END};
	const struct rte_flow_item no_spec[] = {ITEM(ICMP6), ITEM(RAW), END},
				   no_bytes[] = {
					   ITEM(ICMP6),
					   ITEM(RAW, .spec = OF(raw, .relative = 1, .length = 2)),
					   END};
	struct rte_flow_error error;
	struct flow_match match;

	for (unsigned int relaxed = 0; relaxed < 2; relaxed++)
		check_refused("no mask",
			      flow_match_compile_template(&device, items, relaxed, &match, &error),
			      &error, EINVAL, RTE_FLOW_ERROR_TYPE_ITEM, &items[1]);
	items[1].mask = RAW_MASK(0xff, 0xff);
	items[1].spec = NULL;
	check_refused("no length",
		      flow_match_compile_template(&device, items, false, &match, &error), &error,
		      ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM_MASK, &items[1]);
	items[1].spec = RAW_OF(2, 0, 0);
	assert_int_equal(flow_match_compile_template(&device, items, false, &match, &error), 0);
	check_refused("no spec",
		      flow_match_compile_rule(&device, items, false, no_spec, &match, &error),
		      &error, EINVAL, RTE_FLOW_ERROR_TYPE_ITEM_SPEC, &no_spec[1]);
	check_refused("no bytes",
		      flow_match_compile_rule(&device, items, false, no_bytes, &match, &error),
		      &error, EINVAL, RTE_FLOW_ERROR_TYPE_ITEM_SPEC, &no_bytes[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_patterns_of_pings_mean_what_rte_flow_says),
		cmocka_unit_test(other_bytes_than_those_of_pings_are_refused),
		cmocka_unit_test(echoes_are_told_apart_in_rules_of_a_template),
		cmocka_unit_test(a_template_of_raw_bytes_says_which),
	};

	return cmocka_run_group_tests(tests, make_ports, NULL);
}
