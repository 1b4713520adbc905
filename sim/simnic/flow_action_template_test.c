// SPDX-License-Identifier: BSD-3-Clause
//
// Actions templates: that a rule of a template is what the same list written out would be, and which are refused.

#include <errno.h>
#include <string.h>

#include "sim/simnic/eswitch.h"
#include "sim/simnic/flow_match_test.h"

#define ACTION(kind, ...)                                                                          \
	((struct rte_flow_action){.type = RTE_FLOW_ACTION_TYPE_##kind, ##__VA_ARGS__})
#define ACTIONS(...)  ((const struct rte_flow_action[]){__VA_ARGS__, ACTION(END)})
#define DO(kind, ...) (&(const struct rte_flow_action_##kind){__VA_ARGS__})

static const struct rte_flow_action_ethdev wire = {PORT_WIRE}, vf0 = {PORT_VF0},
					   foreign = {PORT_FOREIGN}, whole_port = {UINT16_MAX};
static const struct rte_flow_action_set_mac mac1 = {{1, 2, 3, 4, 5, 6}},
					    mac2 = {{6, 5, 4, 3, 2, 1}},
					    whole_mac = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
					    part_of_mac = {{0, 0, 0, 0, 0, 1}};

// Every header was asked for.
static struct flow_match all_headers(void)
{
	struct flow_match match = {0};

	match.mask.outer.layers = match.value.outer.layers =
		FLOW_HAS_ETH | FLOW_HAS_IPV4 | FLOW_HAS_TCP;
	return match;
}

// A rule of the template is what `expected` says.
static void check_rule(const struct rte_flow_action *actions, const struct rte_flow_action *masks,
		       const struct rte_flow_action *rule, const struct rte_flow_action *expected)
{
	struct flow_actions_template *template;
	struct flow_actions *one, *other;
	const struct flow_match match = all_headers();
	struct rte_flow_error error;

	if (flow_actions_template_new(&device, actions, masks, &template, &error) < 0 ||
	    flow_actions_compile_rule(&device, template, &match, 1, rule, &one, &error) < 0 ||
	    flow_actions_compile(&device, &match, 1, expected, &other, &error) < 0)
		fail_msg("refused: %s", error.message);
	assert_int_equal(one->op_count, other->op_count);
	assert_memory_equal(one, other, sizeof(*one) + one->op_count * sizeof(one->ops[0]));
	flow_actions_free(one);
	flow_actions_free(other);
	flow_actions_template_free(template);
}

static void values_are_the_templates_where_its_mask_says_so(void **state)
{
	const struct rte_flow_action *actions =
		ACTIONS(ACTION(SET_MAC_SRC, &mac1), ACTION(SET_MAC_DST, &mac1), ACTION(DEC_TTL),
			ACTION(COUNT), ACTION(REPRESENTED_PORT, &wire));

	check_rule(actions,
		   ACTIONS(ACTION(SET_MAC_SRC, &whole_mac), ACTION(SET_MAC_DST), ACTION(VOID),
			   ACTION(DEC_TTL), ACTION(COUNT), ACTION(REPRESENTED_PORT)),
		   ACTIONS(ACTION(SET_MAC_SRC, &mac2), ACTION(SET_MAC_DST, &mac2), ACTION(DEC_TTL),
			   ACTION(COUNT), ACTION(VOID), ACTION(REPRESENTED_PORT, &vf0)),
		   ACTIONS(ACTION(SET_MAC_SRC, &mac1), ACTION(SET_MAC_DST, &mac2), ACTION(DEC_TTL),
			   ACTION(COUNT), ACTION(REPRESENTED_PORT, &vf0)));
	check_rule(actions,
		   ACTIONS(ACTION(SET_MAC_SRC), ACTION(SET_MAC_DST, &part_of_mac), ACTION(DEC_TTL),
			   ACTION(COUNT), ACTION(REPRESENTED_PORT, &whole_port)),
		   ACTIONS(ACTION(SET_MAC_SRC, &mac2), ACTION(SET_MAC_DST), ACTION(DEC_TTL),
			   ACTION(COUNT), ACTION(REPRESENTED_PORT)),
		   ACTIONS(ACTION(SET_MAC_SRC, &mac2), ACTION(SET_MAC_DST, &mac1), ACTION(DEC_TTL),
			   ACTION(COUNT), ACTION(REPRESENTED_PORT, &wire)));
	// Without a value in the template.
	check_rule(ACTIONS(ACTION(JUMP)), ACTIONS(ACTION(JUMP)), ACTIONS(ACTION(JUMP, DO(jump, 7))),
		   ACTIONS(ACTION(JUMP, DO(jump, 7))));
}

static void of_a_modification_only_the_value_is_a_rules(void **state)
{
	struct rte_flow_action_modify_field own = {.dst = {.field = RTE_FLOW_FIELD_IPV4_DST},
						   .src = {.field = RTE_FLOW_FIELD_VALUE,
							   .value = {10, 9, 0, 1}},
						   .width = 32},
					    other = {.operation = RTE_FLOW_MODIFY_ADD,
						     .dst = {.field = RTE_FLOW_FIELD_IPV4_TTL},
						     .src = {.field = RTE_FLOW_FIELD_VALUE,
							     .value = {10, 9, 0, 2}},
						     .width = 8},
					    mixed = own,
					    mask = {.operation = 3, .width = UINT32_MAX},
					    mask_of_value = {.src = {.value = {0xff}}},
					    pointing = own;
	uint8_t address[4] = {10, 9, 0, 1};

	memcpy(mixed.src.value, other.src.value, sizeof(mixed.src.value));
	check_rule(ACTIONS(ACTION(MODIFY_FIELD, &own), ACTION(DROP)),
		   ACTIONS(ACTION(MODIFY_FIELD, &mask), ACTION(DROP)),
		   ACTIONS(ACTION(MODIFY_FIELD, &other), ACTION(DROP)),
		   ACTIONS(ACTION(MODIFY_FIELD, &mixed), ACTION(DROP)));
	check_rule(ACTIONS(ACTION(MODIFY_FIELD, &own), ACTION(DROP)),
		   ACTIONS(ACTION(MODIFY_FIELD, &mask_of_value), ACTION(DROP)),
		   ACTIONS(ACTION(MODIFY_FIELD, &other), ACTION(DROP)),
		   ACTIONS(ACTION(MODIFY_FIELD, &own), ACTION(DROP)));
	memset(&pointing.src, 0, sizeof(pointing.src));
	pointing.src.field = RTE_FLOW_FIELD_POINTER;
	pointing.src.pvalue = address;
	check_rule(ACTIONS(ACTION(MODIFY_FIELD, &pointing), ACTION(DROP)),
		   ACTIONS(ACTION(MODIFY_FIELD, &mask_of_value), ACTION(DROP)),
		   ACTIONS(ACTION(MODIFY_FIELD), ACTION(DROP)),
		   ACTIONS(ACTION(MODIFY_FIELD, &own), ACTION(DROP)));
}

static void what_a_constant_pointer_points_to_is_taken_at_once(void **state)
{
	struct rte_flow_action_modify_field modify = {.dst = {.field = RTE_FLOW_FIELD_IPV4_DST},
						      .src = {.field = RTE_FLOW_FIELD_POINTER},
						      .width = 32},
					    mask = {.src = {.value = {0xff}}};
	uint8_t address[4] = {10, 9, 0, 1};
	struct flow_actions_template *template;
	const struct flow_match match = all_headers();
	struct flow_actions *actions;
	struct rte_flow_error error;

	modify.src.pvalue = address;
	assert_int_equal(flow_actions_template_new(
				 &device, ACTIONS(ACTION(MODIFY_FIELD, &modify), ACTION(DROP)),
				 ACTIONS(ACTION(MODIFY_FIELD, &mask), ACTION(DROP)), &template,
				 &error),
			 0);
	memset(address, 0, sizeof(address));
	assert_int_equal(flow_actions_compile_rule(&device, template, &match, 1,
						   ACTIONS(ACTION(MODIFY_FIELD), ACTION(DROP)),
						   &actions, &error),
			 0);
	assert_memory_equal(actions->ops[0].bytes, "\12\11\0\1", 4);
	flow_actions_free(actions);
	flow_actions_template_free(template);
}

static void template_refused(const char *what, const struct rte_flow_action *actions,
			     const struct rte_flow_action *masks, unsigned int bad, int code,
			     enum rte_flow_error_type type)
{
	struct flow_actions_template *template;
	struct rte_flow_error error = {0};
	int result = flow_actions_template_new(&device, actions, masks, &template, &error);

	check_refused(what, result, &error, code, type, actions != NULL ? &actions[bad] : NULL);
}

static void a_constant_indirect_action_stays_as_long_as_the_template(void **state)
{
	struct rte_flow_action_handle handle = {
		.device = &device, .type = RTE_FLOW_ACTION_TYPE_COUNT, .references = 1};
	struct eswitch eswitch = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct flow_actions_template *template;
	struct rte_flow_error error;

	device.eswitch = &eswitch;
	assert_int_equal(
		flow_actions_template_new(&device, ACTIONS(ACTION(INDIRECT, &handle), ACTION(DROP)),
					  ACTIONS(ACTION(COUNT, DO(count, 1)), ACTION(DROP)),
					  &template, &error),
		0);
	assert_int_equal(handle.references, 2);
	flow_actions_template_free(template);
	assert_int_equal(handle.references, 1);
	// One that is each rule's is not the template's to hold, and neither is that of a list that is refused.
	assert_int_equal(
		flow_actions_template_new(&device, ACTIONS(ACTION(INDIRECT, &handle), ACTION(DROP)),
					  ACTIONS(ACTION(COUNT), ACTION(DROP)), &template, &error),
		0);
	assert_int_equal(handle.references, 1);
	flow_actions_template_free(template);
	template_refused("without a fate", ACTIONS(ACTION(INDIRECT, &handle)),
			 ACTIONS(ACTION(COUNT, DO(count, 1))), 1, EINVAL,
			 RTE_FLOW_ERROR_TYPE_ACTION_NUM);
	assert_int_equal(handle.references, 1);
	device.eswitch = NULL;
	template_refused(
		"a definition that is none",
		ACTIONS(ACTION(VXLAN_ENCAP, DO(vxlan_encap, (struct rte_flow_item[]){END})),
			ACTION(DROP)),
		ACTIONS(ACTION(VXLAN_ENCAP, DO(vxlan_encap, (struct rte_flow_item[]){END})),
			ACTION(DROP)),
		0, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION_CONF);
}

// The definition and the bytes are gone when the rule comes.
static void a_header_is_the_templates_own(void **state)
{
	struct rte_flow_item_eth eth = {.hdr.dst_addr = {{1, 2, 3, 4, 5, 6}}};
	struct rte_flow_item_ipv4 ipv4 = {.hdr.dst_addr = RTE_BE32(0x0a090001)};
	struct rte_flow_item_udp udp = {.hdr.dst_port = RTE_BE16(4789)};
	struct rte_flow_item_vxlan vxlan = {.hdr.vx_vni = RTE_BE32(0x100)};
	struct rte_flow_item items[] = {ITEM(ETH, .spec = &eth), ITEM(IPV4, .spec = &ipv4),
					ITEM(UDP, .spec = &udp), ITEM(VXLAN, .spec = &vxlan), END};
	uint8_t l2[14] = {1};
	struct rte_flow_action_vxlan_encap tunnel = {.definition = items};
	struct rte_flow_action_raw_decap decap = {.data = l2, .size = sizeof(l2)};
	struct rte_flow_action_raw_encap encap = {.data = l2, .size = sizeof(l2)};
	const struct rte_flow_action *actions =
		ACTIONS(ACTION(RAW_DECAP, &decap), ACTION(RAW_ENCAP, &encap),
			ACTION(VXLAN_ENCAP, &tunnel), ACTION(DROP));
	const struct flow_match match = all_headers();
	struct flow_actions_template *template;
	struct flow_actions *one, *other;
	struct rte_flow_error error;

	assert_int_equal(flow_actions_compile(&device, &match, 1, actions, &one, &error), 0);
	assert_int_equal(flow_actions_template_new(&device, actions, actions, &template, &error),
			 0);
	memset(items, 0xff, sizeof(items));
	memset(l2, 0xff, sizeof(l2));
	memset(&tunnel, 0, sizeof(tunnel));
	memset(&decap, 0, sizeof(decap));
	memset(&encap, 0, sizeof(encap));
	assert_int_equal(flow_actions_compile_rule(&device, template, &match, 1,
						   ACTIONS(ACTION(RAW_DECAP), ACTION(RAW_ENCAP),
							   ACTION(VXLAN_ENCAP), ACTION(DROP)),
						   &other, &error),
			 0);
	assert_int_equal(one->op_count, other->op_count);
	for (unsigned int i = 0; i < one->op_count; i++) {
		assert_int_equal(one->ops[i].kind, other->ops[i].kind);
		if (one->ops[i].kind == FLOW_ENCAP)
			assert_memory_equal(one->ops[i].encap, other->ops[i].encap,
					    sizeof(struct flow_encap) + one->ops[i].encap->size);
	}
	flow_actions_free(one);
	flow_actions_free(other);
	flow_actions_template_free(template);
}

static void behind_a_tag_that_is_put_on_the_other_headers_are_still_there(void **state)
{
	static const struct rte_flow_action_of_push_vlan push = {RTE_BE16(RTE_ETHER_TYPE_VLAN)};
	static const struct rte_flow_action_of_set_vlan_vid vid = {RTE_BE16(42)};
	const struct rte_flow_action *rule =
		ACTIONS(ACTION(OF_PUSH_VLAN, &push), ACTION(OF_SET_VLAN_VID, &vid), ACTION(DEC_TTL),
			ACTION(REPRESENTED_PORT, &wire));

	check_rule(ACTIONS(ACTION(OF_PUSH_VLAN, &push), ACTION(OF_SET_VLAN_VID), ACTION(DEC_TTL),
			   ACTION(REPRESENTED_PORT)),
		   ACTIONS(ACTION(OF_PUSH_VLAN, &push), ACTION(OF_SET_VLAN_VID), ACTION(DEC_TTL),
			   ACTION(REPRESENTED_PORT)),
		   rule, rule);
}

static void templates_that_no_rule_could_follow_are_refused(void **state)
{
	const struct rte_flow_action *drop = ACTIONS(ACTION(DROP));

	template_refused("no actions", NULL, drop, 0, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION_NUM);
	template_refused("other masks", ACTIONS(ACTION(VOID), ACTION(COUNT), ACTION(DROP)), drop, 1,
			 EINVAL, RTE_FLOW_ERROR_TYPE_ACTION);
	template_refused("more masks", drop, ACTIONS(ACTION(DROP), ACTION(COUNT)), 1, EINVAL,
			 RTE_FLOW_ERROR_TYPE_ACTION);
	template_refused("no fate", ACTIONS(ACTION(COUNT)), ACTIONS(ACTION(COUNT)), 1, EINVAL,
			 RTE_FLOW_ERROR_TYPE_ACTION_NUM);
	template_refused("two fates", ACTIONS(ACTION(JUMP), ACTION(DROP)),
			 ACTIONS(ACTION(JUMP), ACTION(DROP)), 1, EINVAL,
			 RTE_FLOW_ERROR_TYPE_ACTION);
	template_refused("unknown", ACTIONS(ACTION(QUEUE), ACTION(DROP)),
			 ACTIONS(ACTION(QUEUE), ACTION(DROP)), 0, ENOTSUP,
			 RTE_FLOW_ERROR_TYPE_ACTION);
	template_refused("a foreign port for all rules",
			 ACTIONS(ACTION(REPRESENTED_PORT, &foreign)),
			 ACTIONS(ACTION(REPRESENTED_PORT, &whole_port)), 0, EINVAL,
			 RTE_FLOW_ERROR_TYPE_ACTION_CONF);
	template_refused("nothing for all rules", ACTIONS(ACTION(COUNT), ACTION(REPRESENTED_PORT)),
			 ACTIONS(ACTION(COUNT), ACTION(REPRESENTED_PORT, &whole_port)), 1, EINVAL,
			 RTE_FLOW_ERROR_TYPE_ACTION_CONF);
	template_refused("a modification of nothing", ACTIONS(ACTION(MODIFY_FIELD), ACTION(DROP)),
			 ACTIONS(ACTION(MODIFY_FIELD), ACTION(DROP)), 0, EINVAL,
			 RTE_FLOW_ERROR_TYPE_ACTION_CONF);
	template_refused("a group beyond", ACTIONS(ACTION(JUMP, DO(jump, 65536))),
			 ACTIONS(ACTION(JUMP, DO(jump, 1))), 0, ENOTSUP,
			 RTE_FLOW_ERROR_TYPE_ACTION_CONF);
}

static void rule_refused(const char *what, const struct rte_flow_action *rule, unsigned int bad,
			 int code, enum rte_flow_error_type type)
{
	const struct rte_flow_action *actions = ACTIONS(ACTION(SET_TP_SRC), ACTION(JUMP));
	struct flow_match match = all_headers();
	struct flow_actions_template *template;
	struct flow_actions *compiled;
	struct rte_flow_error error = {0};
	int result;

	assert_int_equal(flow_actions_template_new(&device, actions, actions, &template, &error),
			 0);
	if (bad == 0)
		match.mask.outer.layers = match.value.outer.layers = FLOW_HAS_ETH;
	result = flow_actions_compile_rule(&device, template, &match, 5, rule, &compiled, &error);
	check_refused(what, result, &error, code, type, &rule[bad]);
	flow_actions_template_free(template);
}

static void rules_that_do_not_fit_their_template_are_refused(void **state)
{
	const struct rte_flow_action set = ACTION(SET_TP_SRC, DO(set_tp, 1)),
				     jump = ACTION(JUMP, DO(jump, 1));

	rule_refused("no such header", ACTIONS(set, jump), 0, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION);
	rule_refused("another action", ACTIONS(set, ACTION(DROP)), 1, EINVAL,
		     RTE_FLOW_ERROR_TYPE_ACTION);
	rule_refused("one more", ACTIONS(set, jump, ACTION(COUNT)), 2, EINVAL,
		     RTE_FLOW_ERROR_TYPE_ACTION);
	rule_refused("one less", ACTIONS(set), 1, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION);
	rule_refused("no value", ACTIONS(ACTION(VOID), set, ACTION(JUMP)), 2, EINVAL,
		     RTE_FLOW_ERROR_TYPE_ACTION_CONF);
	rule_refused("its own group", ACTIONS(set, ACTION(JUMP, DO(jump, 5))), 1, EINVAL,
		     RTE_FLOW_ERROR_TYPE_ACTION_CONF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_the_templates_where_its_mask_says_so),
		cmocka_unit_test(of_a_modification_only_the_value_is_a_rules),
		cmocka_unit_test(what_a_constant_pointer_points_to_is_taken_at_once),
		cmocka_unit_test(a_constant_indirect_action_stays_as_long_as_the_template),
		cmocka_unit_test(a_header_is_the_templates_own),
		cmocka_unit_test(behind_a_tag_that_is_put_on_the_other_headers_are_still_there),
		cmocka_unit_test(templates_that_no_rule_could_follow_are_refused),
		cmocka_unit_test(rules_that_do_not_fit_their_template_are_refused),
	};

	return cmocka_run_group_tests_name("simnic", tests, make_ports, NULL);
}
