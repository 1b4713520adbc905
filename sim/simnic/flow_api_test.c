// SPDX-License-Identifier: BSD-3-Clause
//
// rte_flow as an application sees it: what is refused, with which error; what a handle is good for, and how long. What
// rules do to frames is in flow_traffic_test.c.

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_dev.h>

#include "sim/simnic/flow_api.h"
#include "sim/simnic/test_device.h"
#include "sim/simnic/test_flow.h"

static const struct rte_flow_attr transfer = {.transfer = 1};

// ---- refusals -------------------------------------------------------------------------------------------

// By validate and create alike, and by all ports.
static void refused(const char *what, const struct rte_flow_attr *attr,
		    const struct rte_flow_item *pattern, const struct rte_flow_action *actions,
		    int code, enum rte_flow_error_type type, const void *cause)
{
	for (unsigned int i = 0; i < 2 * PORTS; i++) {
		struct rte_flow_error error = {0};

		rte_errno = 0;
		if (i % 2 == 0)
			assert_int_equal(
				rte_flow_validate(ports[i / 2], attr, pattern, actions, &error),
				-code);
		else
			assert_null(rte_flow_create(ports[i / 2], attr, pattern, actions, &error));
		if (rte_errno != code || error.type != type || error.cause != cause ||
		    error.message == NULL)
			fail_msg("%s: rte_errno %d, type %d, %s cause, message %s", what, rte_errno,
				 error.type, error.cause == cause ? "right" : "wrong",
				 error.message ?: "(none)");
	}
}

static void attributes_that_are_not_a_transfer_rules_are_refused(void **state)
{
	static const struct {
		struct rte_flow_attr attr;
		int code;
		enum rte_flow_error_type type;
	} cases[] = {
		{{.ingress = 1}, ENOTSUP, RTE_FLOW_ERROR_TYPE_ATTR_INGRESS},
		{{.egress = 1}, ENOTSUP, RTE_FLOW_ERROR_TYPE_ATTR_EGRESS},
		{{0}, EINVAL, RTE_FLOW_ERROR_TYPE_ATTR_TRANSFER},
		{{.transfer = 1, .ingress = 1}, EINVAL, RTE_FLOW_ERROR_TYPE_ATTR},
		{{.transfer = 1, .egress = 1}, EINVAL, RTE_FLOW_ERROR_TYPE_ATTR},
		{{.transfer = 1, .reserved = 1}, EINVAL, RTE_FLOW_ERROR_TYPE_ATTR},
		{{.transfer = 1, .group = 65536}, ENOTSUP, RTE_FLOW_ERROR_TYPE_ATTR_GROUP},
		{{.transfer = 1, .priority = 65536}, ENOTSUP, RTE_FLOW_ERROR_TYPE_ATTR_PRIORITY},
	};
	const struct rte_flow_attr last = {.transfer = 1, .group = 65535, .priority = 65535};
	struct rte_flow_error error;

	for (unsigned int i = 0; i < RTE_DIM(cases); i++)
		refused("attributes", &cases[i].attr, PATTERN(ITEM(ETH)), ACTIONS(ACTION(DROP)),
			cases[i].code, cases[i].type, &cases[i].attr);
	refused("no attributes", NULL, PATTERN(ITEM(ETH)), ACTIONS(ACTION(DROP)), EINVAL,
		RTE_FLOW_ERROR_TYPE_ATTR, NULL);
	assert_int_equal(rte_flow_validate(ports[UPLINK], &last, PATTERN(ITEM(ETH)),
					   ACTIONS(ACTION(DROP)), &error),
			 0);
}

static void patterns_are_refused_by_the_compilers_word(void **state)
{
	const struct rte_flow_item *higig = PATTERN(ITEM(HIGIG2)),
				   *foreign = PATTERN(FROM(RTE_MAX_ETHPORTS - 1));

	refused("unknown item", &transfer, higig, ACTIONS(ACTION(DROP)), ENOTSUP,
		RTE_FLOW_ERROR_TYPE_ITEM, higig);
	refused("no such port", &transfer, foreign, ACTIONS(ACTION(DROP)), EINVAL,
		RTE_FLOW_ERROR_TYPE_ITEM_SPEC, foreign);
	refused("no pattern", &transfer, NULL, ACTIONS(ACTION(DROP)), EINVAL,
		RTE_FLOW_ERROR_TYPE_ITEM_NUM, NULL);
}

// The action at `bad` is the cause.
static void refused_action(const char *what, const struct rte_flow_item *pattern,
			   const struct rte_flow_action *actions, unsigned int bad, int code,
			   enum rte_flow_error_type type)
{
	refused(what, &transfer, pattern, actions, code, type, &actions[bad]);
}

static void fates_that_make_no_sense_are_refused(void **state)
{
	const struct rte_flow_item *any = PATTERN(ITEM(ETH));

	refused("no actions", &transfer, any, NULL, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION_NUM, NULL);
	refused_action("an empty list", any, ACTIONS(ACTION(VOID)), 1, EINVAL,
		       RTE_FLOW_ERROR_TYPE_ACTION_NUM);
	refused_action("no fate", any, ACTIONS(COUNT), 1, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION_NUM);
	refused_action("two fates", any, ACTIONS(TO(ports[1]), ACTION(DROP)), 1, EINVAL,
		       RTE_FLOW_ERROR_TYPE_ACTION);
	refused_action("two targets", any, ACTIONS(TO(ports[1]), TO(ports[2])), 1, EINVAL,
		       RTE_FLOW_ERROR_TYPE_ACTION);
	refused_action("a change behind the fate", any,
		       ACTIONS(TO(ports[1]), ACTION(SET_MAC_SRC, .conf = DO(set_mac, {0}))), 1,
		       EINVAL, RTE_FLOW_ERROR_TYPE_ACTION);
	refused_action("to its own group", any, ACTIONS(JUMP(0)), 0, EINVAL,
		       RTE_FLOW_ERROR_TYPE_ACTION_CONF);
	refused_action("to no group", any, ACTIONS(JUMP(65536)), 0, ENOTSUP,
		       RTE_FLOW_ERROR_TYPE_ACTION_CONF);
	refused_action("to nowhere", any, ACTIONS(ACTION(JUMP)), 0, EINVAL,
		       RTE_FLOW_ERROR_TYPE_ACTION_CONF);
	refused_action("to no port", any, ACTIONS(TO(RTE_MAX_ETHPORTS - 1)), 0, EINVAL,
		       RTE_FLOW_ERROR_TYPE_ACTION_CONF);
	refused_action("to nobody", any, ACTIONS(COUNT, ACTION(REPRESENTED_PORT)), 1, EINVAL,
		       RTE_FLOW_ERROR_TYPE_ACTION_CONF);
	refused_action("to nobody's port", any, ACTIONS(ACTION(PORT_REPRESENTOR)), 0, EINVAL,
		       RTE_FLOW_ERROR_TYPE_ACTION_CONF);
	refused_action("two counters", any, ACTIONS(COUNT, COUNT, TO(ports[1])), 1, ENOTSUP,
		       RTE_FLOW_ERROR_TYPE_ACTION);
}

static void a_port_of_another_device_is_no_target(void **state)
{
	uint16_t other;

	assert_int_equal(rte_eal_hotplug_add("vdev", "net_simnic1",
					     "vfs=0,name=other,pf=otherpf,wire=otherw"),
			 0);
	assert_int_equal(rte_eth_dev_get_port_by_name("net_simnic1", &other), 0);
	refused_action("a foreign port", PATTERN(ITEM(ETH)), ACTIONS(TO(other)), 0, EINVAL,
		       RTE_FLOW_ERROR_TYPE_ACTION_CONF);
	assert_int_equal(rte_eal_hotplug_remove("vdev", "net_simnic1"), 0);
}

static void actions_of_headers_nobody_asked_for_are_refused(void **state)
{
	static const struct {
		enum rte_flow_action_type type;
		bool eth, ipv4, ipv6, tcp, udp; // a pattern with this item allows it
	} cases[] = {
		{RTE_FLOW_ACTION_TYPE_SET_MAC_SRC, .eth = true},
		{RTE_FLOW_ACTION_TYPE_SET_MAC_DST, .eth = true},
		{RTE_FLOW_ACTION_TYPE_SET_IPV4_SRC, .ipv4 = true},
		{RTE_FLOW_ACTION_TYPE_SET_IPV4_DST, .ipv4 = true},
		{RTE_FLOW_ACTION_TYPE_SET_IPV6_SRC, .ipv6 = true},
		{RTE_FLOW_ACTION_TYPE_SET_IPV6_DST, .ipv6 = true},
		{RTE_FLOW_ACTION_TYPE_SET_TP_SRC, .tcp = true, .udp = true},
		{RTE_FLOW_ACTION_TYPE_SET_TP_DST, .tcp = true, .udp = true},
		{RTE_FLOW_ACTION_TYPE_SET_TTL, .ipv4 = true, .ipv6 = true},
		{RTE_FLOW_ACTION_TYPE_DEC_TTL, .ipv4 = true, .ipv6 = true},
	};
	static const uint8_t value[16];

	for (unsigned int i = 0; i < RTE_DIM(cases); i++) {
		const struct rte_flow_action *actions = ACTIONS(
			COUNT, ((struct rte_flow_action){cases[i].type, value}), TO(ports[1]));
		const struct {
			struct rte_flow_item item;
			bool allowed;
		} patterns[] = {{ITEM(ETH), cases[i].eth},
				{ITEM(IPV4), cases[i].ipv4},
				{ITEM(IPV6), cases[i].ipv6},
				{ITEM(TCP), cases[i].tcp},
				{ITEM(UDP), cases[i].udp}};
		struct rte_flow_error error;

		for (unsigned int j = 0; j < RTE_DIM(patterns); j++) {
			if (!patterns[j].allowed)
				refused_action("no such header", PATTERN(patterns[j].item), actions,
					       1, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION);
			else
				assert_int_equal(rte_flow_validate(ports[UPLINK], &transfer,
								   PATTERN(patterns[j].item),
								   actions, &error),
						 0);
		}
		if (cases[i].type != RTE_FLOW_ACTION_TYPE_DEC_TTL)
			refused_action("no value",
				       PATTERN(cases[i].eth    ? ITEM(ETH)
					       : cases[i].ipv4 ? ITEM(IPV4)
					       : cases[i].ipv6 ? ITEM(IPV6)
							       : ITEM(UDP)),
				       ACTIONS(((struct rte_flow_action){cases[i].type, NULL}),
					       TO(ports[1])),
				       0, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION_CONF);
	}
}

static void actions_that_are_not_supported_are_refused(void **state)
{
	static const enum rte_flow_action_type types[] = {
		RTE_FLOW_ACTION_TYPE_PASSTHRU,
		RTE_FLOW_ACTION_TYPE_MARK,
		RTE_FLOW_ACTION_TYPE_FLAG,
		RTE_FLOW_ACTION_TYPE_QUEUE,
		RTE_FLOW_ACTION_TYPE_RSS,
		RTE_FLOW_ACTION_TYPE_PF,
		RTE_FLOW_ACTION_TYPE_VF,
		RTE_FLOW_ACTION_TYPE_PORT_ID,
		RTE_FLOW_ACTION_TYPE_SECURITY,
		RTE_FLOW_ACTION_TYPE_OF_POP_MPLS,
		RTE_FLOW_ACTION_TYPE_NVGRE_ENCAP,
		RTE_FLOW_ACTION_TYPE_MAC_SWAP,
		RTE_FLOW_ACTION_TYPE_SAMPLE,
		RTE_FLOW_ACTION_TYPE_CONNTRACK,
		1000,
	};

	for (unsigned int i = 0; i < RTE_DIM(types); i++) {
		const struct rte_flow_action *actions =
			ACTIONS(((struct rte_flow_action){.type = types[i]}), TO(ports[1]));

		refused_action("unknown action", PATTERN(ITEM(ETH), ITEM(IPV4)), actions, 0,
			       ENOTSUP, RTE_FLOW_ERROR_TYPE_ACTION);
	}
}

static void too_many_actions_are_refused(void **state)
{
	struct rte_flow_action actions[FLOW_OPS_MAX + 2];
	struct rte_flow_error error;

	for (unsigned int i = 0; i < FLOW_OPS_MAX; i++)
		actions[i] = ACTION(DEC_TTL);
	actions[FLOW_OPS_MAX] = ACTION(DROP);
	actions[FLOW_OPS_MAX + 1] = ACTION(END);
	refused_action("too many", PATTERN(ITEM(IPV4)), actions, FLOW_OPS_MAX - 1, ENOTSUP,
		       RTE_FLOW_ERROR_TYPE_ACTION_NUM);
	assert_int_equal(
		rte_flow_validate(ports[0], &transfer, PATTERN(ITEM(IPV4)), actions + 1, &error),
		0);
}

static void modifications_that_cannot_be_made_are_refused(void **state)
{
	const struct rte_flow_action_modify_field good = {
		.operation = RTE_FLOW_MODIFY_SET,
		.dst = {.field = RTE_FLOW_FIELD_IPV4_TTL},
		.src = {.field = RTE_FLOW_FIELD_VALUE, .value = {9}},
		.width = 8,
	};
	struct rte_flow_action_modify_field bad;
	struct rte_flow_error error;

#define REFUSED(what, code, ...)                                                                   \
	bad = good;                                                                                \
	__VA_ARGS__;                                                                               \
	refused_action(what, PATTERN(ITEM(IPV4)),                                                  \
		       ACTIONS(ACTION(MODIFY_FIELD, .conf = &bad), TO(ports[1])), 0, code,         \
		       RTE_FLOW_ERROR_TYPE_ACTION_CONF)

	assert_int_equal(
		rte_flow_validate(ports[0], &transfer, PATTERN(ITEM(IPV4)),
				  ACTIONS(ACTION(MODIFY_FIELD, .conf = &good), TO(ports[1])),
				  &error),
		0);
	REFUSED("an unknown field", ENOTSUP, bad.dst.field = RTE_FLOW_FIELD_GTP_TEID);
	REFUSED("no field", ENOTSUP, bad.dst.field = RTE_FLOW_FIELD_VALUE);
	REFUSED("from a field", ENOTSUP, bad.src.field = RTE_FLOW_FIELD_IPV6_HOPLIMIT);
	REFUSED("from nowhere", EINVAL, bad.src.field = RTE_FLOW_FIELD_POINTER;
		bad.src.pvalue = NULL);
	REFUSED("the inner header", ENOTSUP, bad.dst.level = 2);
	REFUSED("nothing", EINVAL, bad.width = 0);
	REFUSED("too much", EINVAL, bad.width = 9);
	REFUSED("beside it", EINVAL, bad.dst.offset = 1);
	REFUSED("far beside it", EINVAL, bad.dst.offset = UINT32_MAX);
	REFUSED("a part", ENOTSUP, bad.width = 4);
	REFUSED("a sum of addresses", ENOTSUP, bad.operation = RTE_FLOW_MODIFY_ADD;
		bad.dst.field = RTE_FLOW_FIELD_IPV4_SRC; bad.width = 32);
	REFUSED("an unknown operation", ENOTSUP, bad.operation = 77);
	bad = good;
	refused_action("no such header", PATTERN(ITEM(IPV6)),
		       ACTIONS(ACTION(MODIFY_FIELD, .conf = &bad), TO(ports[1])), 0, EINVAL,
		       RTE_FLOW_ERROR_TYPE_ACTION);
	refused_action("no conf", PATTERN(ITEM(IPV6)), ACTIONS(ACTION(MODIFY_FIELD), TO(ports[1])),
		       0, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION_CONF);
#undef REFUSED
}

static void isolated_mode_is_refused(void **state)
{
	struct rte_flow_error error = {0};

	assert_int_equal(rte_flow_isolate(ports[0], 1, &error), -ENOTSUP);
	assert_int_equal(error.type, RTE_FLOW_ERROR_TYPE_UNSPECIFIED);
	assert_non_null(error.message);
}

// ---- handles --------------------------------------------------------------------------------------------

static void the_uplink_port_is_the_proxy_of_all(void **state)
{
	struct rte_flow_error error;
	uint16_t proxy;

	for (unsigned int i = 0; i < PORTS; i++) {
		proxy = RTE_MAX_ETHPORTS;
		assert_int_equal(rte_flow_pick_transfer_proxy(ports[i], &proxy, &error), 0);
		assert_int_equal(proxy, ports[UPLINK]);
	}
}

// async=0: a card whose firmware knows no queues.
static void a_card_without_the_asynchronous_api_says_so_and_takes_rules(void **state)
{
	const struct rte_eth_conf config = {0};
	const struct rte_flow_queue_attr queue = {.size = 64};
	const struct rte_flow_queue_attr *queues[] = {&queue};
	struct rte_flow_port_info port_info;
	struct rte_flow_queue_info queue_info;
	struct rte_flow_error error;
	struct rte_flow *rule;

	assert_int_equal(
		rte_eal_hotplug_add("vdev", DEVICE, "vfs=4,async=0,representor=vf[0-3,65535]"), 0);
	find_ports();
	assert_int_equal(rte_eth_dev_configure(ports[UPLINK], 1, 1, &config), 0);
	assert_int_equal(rte_flow_info_get(ports[UPLINK], &port_info, &queue_info, &error),
			 -ENOTSUP);
	assert_int_equal(rte_flow_configure(ports[UPLINK], &(struct rte_flow_port_attr){0}, 1,
					    queues, &error),
			 -ENOTSUP);
	rule = rule_of(ports[UPLINK], PATTERN(FROM(ports[0])), ACTIONS(COUNT, TO(ports[1])));
	assert_int_equal(rule_count(ports[UPLINK], rule, false).hits, 0);
	rule_destroy(ports[UPLINK], rule);
}

static void the_same_rule_twice_is_refused(void **state)
{
	const struct rte_flow_attr attr = {.transfer = 1, .group = 1, .priority = 2};
	struct rte_flow_error error = {0};
	struct rte_flow *rule =
		rule_at(ports[UPLINK], 1, 2, PATTERN(ITEM(ETH)), ACTIONS(ACTION(DROP)));

	// Also through another port, and with other actions: a frame could not tell them apart.
	assert_null(rte_flow_create(ports[0], &attr, PATTERN(ITEM(ETH)), ACTIONS(TO(ports[0])),
				    &error));
	assert_int_equal(rte_errno, EEXIST);
	assert_non_null(error.message);
	rule_destroy(ports[UPLINK], rule);
	rule = rte_flow_create(ports[0], &attr, PATTERN(ITEM(ETH)), ACTIONS(TO(ports[0])), &error);
	assert_non_null(rule);
	rule_destroy(ports[0], rule);
}

static void a_handle_is_good_at_its_own_port_only(void **state)
{
	struct rte_flow *rule = rule_of(ports[0], PATTERN(ITEM(ETH)), ACTIONS(COUNT, ACTION(DROP)));
	struct rte_flow_query_count count = {0};
	struct rte_flow_error error = {0};

	assert_int_equal(rte_flow_destroy(ports[UPLINK], rule, &error), -EINVAL);
	assert_int_equal(error.type, RTE_FLOW_ERROR_TYPE_HANDLE);
	assert_int_equal(rte_flow_query(ports[1], rule, ACTIONS(COUNT), &count, &error), -EINVAL);
	assert_int_equal(error.type, RTE_FLOW_ERROR_TYPE_HANDLE);
	assert_int_equal(rte_flow_destroy(ports[0], NULL, &error), -EINVAL);
	assert_int_equal(error.type, RTE_FLOW_ERROR_TYPE_HANDLE);
	rule_destroy(ports[0], rule);
}

static void a_query_wants_what_the_rule_has(void **state)
{
	struct rte_flow *counted = rule_of(ports[0], PATTERN(ITEM(IPV4)),
					   ACTIONS(COUNT, ACTION(DROP))),
			*other = rule_of(ports[0], PATTERN(ITEM(IPV6)), ACTIONS(ACTION(DROP)));
	struct rte_flow_query_count count = {0};
	struct rte_flow_error error = {0};

	assert_int_equal(rte_flow_query(ports[0], other, ACTIONS(COUNT), &count, &error), -EINVAL);
	assert_int_equal(error.type, RTE_FLOW_ERROR_TYPE_ACTION);
	assert_int_equal(rte_flow_query(ports[0], counted, ACTIONS(ACTION(DROP)), &count, &error),
			 -ENOTSUP);
	assert_int_equal(error.type, RTE_FLOW_ERROR_TYPE_ACTION);
	assert_int_equal(rte_flow_query(ports[0], counted, ACTIONS(ACTION(VOID)), &count, &error),
			 -EINVAL);
	assert_int_equal(error.type, RTE_FLOW_ERROR_TYPE_ACTION_NUM);
	assert_int_equal(rte_flow_query(ports[0], counted, ACTIONS(COUNT), NULL, &error), -EINVAL);
	assert_int_equal(error.type, RTE_FLOW_ERROR_TYPE_UNSPECIFIED);
	assert_int_equal(rule_count(ports[0], counted, false).hits, 0);
	rule_destroy(ports[0], other);
	rule_destroy(ports[0], counted);
}

static void count_rules(void *argument)
{
	uint32_t *count = argument;
	struct device *device = function_of(&rte_eth_devices[ports[UPLINK]])->device;

	*count = flow_tables_total(device->eswitch->tables);
}

static uint32_t rules_in_force(void)
{
	uint32_t count;

	pipeline_call(function_of(&rte_eth_devices[ports[UPLINK]])->device, count_rules, &count);
	return count;
}

static void flush_takes_what_was_made_through_the_port(void **state)
{
	struct rte_flow_error error;
	struct rte_flow *rule;

	for (unsigned int i = 0; i < 10; i++) {
		rule_at(ports[0], i, 0, PATTERN(ITEM(ETH)), ACTIONS(ACTION(DROP)));
		rule = rule_at(ports[1], i, 1, PATTERN(ITEM(ETH)), ACTIONS(ACTION(DROP)));
	}
	assert_int_equal(rules_in_force(), 20);
	assert_int_equal(rte_flow_flush(ports[2], &error), 0);
	assert_int_equal(rules_in_force(), 20);
	assert_int_equal(rte_flow_flush(ports[0], &error), 0);
	assert_int_equal(rules_in_force(), 10);
	rule_destroy(ports[1], rule);
	assert_int_equal(rte_flow_flush(ports[1], &error), 0);
	assert_int_equal(rules_in_force(), 0);
}

static void a_port_takes_its_rules_with_it(void **state)
{
	for (unsigned int i = 0; i < 3; i++)
		rule_at(ports[i], 0, i, PATTERN(ITEM(ETH)), ACTIONS(TO(ports[1])));
	assert_int_equal(rte_eth_dev_close(ports[1]), 0);
	assert_int_equal(rules_in_force(), 2);
	assert_int_equal(rte_eth_dev_close(ports[0]), 0);
	assert_int_equal(rules_in_force(), 1); // and one is left for the device to end with
}

static void rules_survive_a_stop_of_their_port(void **state)
{
	struct rte_eth_dev_info info;

	assert_int_equal(rte_eth_dev_info_get(ports[0], &info), 0);
	assert_true(info.dev_capa & RTE_ETH_DEV_CAPA_FLOW_RULE_KEEP);
	port_start(ports[0], pool, PORT_PLAIN, 1);
	rule_of(ports[0], PATTERN(ITEM(ETH)), ACTIONS(ACTION(DROP)));
	assert_int_equal(rte_eth_dev_stop(ports[0]), 0);
	assert_int_equal(rules_in_force(), 1);
}

static void forget_vf1(void *argument)
{
	eswitch_forget_function(argument, CARD_INDEX_VF0 + 1);
}

static void the_rules_of_a_reset_function_keep_their_handles(void **state)
{
	struct device *device = function_of(&rte_eth_devices[ports[UPLINK]])->device;
	struct rte_flow *from = rule_of(ports[UPLINK], PATTERN(FROM(ports[1])),
					ACTIONS(COUNT, ACTION(DROP))),
			*to = rule_of(ports[UPLINK], PATTERN(FROM(ports[0])),
				      ACTIONS(COUNT, TO(ports[1]))),
			*port = rule_of(ports[UPLINK], PATTERN(FROM(ports[2])),
					ACTIONS(COUNT, TO_PORT_OF(ports[1]))),
			*other = rule_of(ports[UPLINK], PATTERN(FROM(ports[3])),
					 ACTIONS(COUNT, TO(ports[2])));

	assert_int_equal(rules_in_force(), 4);
	pipeline_call(device, forget_vf1, device);
	assert_int_equal(rules_in_force(), 1);
	assert_int_equal(rule_count(ports[UPLINK], from, false).hits, 0);
	rule_destroy(ports[UPLINK], from);
	rule_destroy(ports[UPLINK], to);
	// Again, and flushed.
	pipeline_call(device, forget_vf1, device);
	assert_int_equal(rule_count(ports[UPLINK], port, false).hits, 0);
	assert_int_equal(rule_count(ports[UPLINK], other, false).hits, 0);
	assert_int_equal(rte_flow_flush(ports[UPLINK], NULL), 0);
	assert_int_equal(rules_in_force(), 0);
}

static void a_dump_says_what_rules_do(void **state)
{
	static const char *const expected[] = {
		"group=0 priority=3 vf0: eth ipv4 mac_dst=02:01:01:01:01:01 "
		"ip_dst=10.9.0.0/255.255.0.0 -> "
		"set_mac_src=02:02:02:02:02:02 add_ttl=255 jump=1 count; hits=0 bytes=0\n",
		"group=1 priority=0 any: metadata=7 eth !vlan ipv4 udp port_dst=1024-2048 -> "
		"set_tag[2]=0x5/0xf "
		"port=pf age=9s; hits=0 bytes=0\n",
		"group=2 priority=0 not in force -> function=vf1; hits=0 "
		"bytes=0\n",
	};
	const struct rte_ether_addr mac = {{2, 1, 1, 1, 1, 1}}, other = {{2, 2, 2, 2, 2, 2}};
	struct device *device = function_of(&rte_eth_devices[ports[UPLINK]])->device;
	struct rte_flow *first;
	char *text = NULL;
	size_t size, own;
	FILE *file = open_memstream(&text, &size);
	char *at;

	first = rule_at(
		ports[UPLINK], 0, 3,
		PATTERN(FROM(ports[0]),
			ITEM(ETH, .spec = HDR(eth, .dst_addr = mac),
			     .mask = HDR(eth, .dst_addr = {{255, 255, 255, 255, 255, 255}})),
			ITEM(IPV4, .spec = HDR(ipv4, .dst_addr = RTE_BE32(0x0a090000)),
			     .mask = HDR(ipv4, .dst_addr = RTE_BE32(0xffff0000)))),
		ACTIONS(ACTION(SET_MAC_SRC, .conf = &other), ACTION(DEC_TTL), COUNT, JUMP(1)));
	rule_at(ports[UPLINK], 1, 0,
		PATTERN(ITEM(META, .spec = OF(meta, 7), .mask = OF(meta, UINT32_MAX)),
			ITEM(ETH, .spec = OF(eth, .has_vlan = 0), .mask = OF(eth, .has_vlan = 1)),
			ITEM(IPV4),
			ITEM(UDP, .spec = HDR(udp, .dst_port = RTE_BE16(1024)),
			     .last = HDR(udp, .dst_port = RTE_BE16(2048)),
			     .mask = HDR(udp, .dst_port = 0xffff))),
		ACTIONS(ACTION(SET_TAG, .conf = DO(set_tag, 5, 15, 2)),
			ACTION(AGE, .conf = DO(age, .timeout = 9)), TO_PORT_OF(ports[PF])));
	rule_at(ports[UPLINK], 2, 0, PATTERN(ITEM(ETH)), ACTIONS(TO(ports[1])));
	for (unsigned int i = 0; i < 300; i++) // of another port; more than a piece
		rule_at(ports[0], 3, i, PATTERN(ITEM(ETH)), ACTIONS(ACTION(DROP)));
	pipeline_call(device, forget_vf1, device);
	assert_int_equal(rte_flow_dev_dump(ports[UPLINK], NULL, file, NULL), 0);
	fflush(file);
	at = text;
	for (unsigned int i = 0; i < RTE_DIM(expected); i++) {
		if (strncmp(at, expected[i], strlen(expected[i])) != 0)
			fail_msg("not '%s' but '%s'", expected[i], at);
		at += strlen(expected[i]);
	}
	assert_string_equal(at, "");
	own = size;
	assert_int_equal(rte_flow_dev_dump(ports[0], NULL, file, NULL), 0);
	fflush(file);
	at = text + own; // the text has moved
	for (unsigned int i = 0; i < 300; i++) {
		unsigned int number;

		assert_int_equal(
			sscanf(at, "group=3 priority=%u any: eth -> drop; hits=0", &number), 1);
		assert_int_equal(number, i);
		at = strchr(at, '\n') + 1;
	}
	assert_string_equal(at, "");
	assert_int_equal(rte_flow_dev_dump(ports[UPLINK], first, file, NULL), 0);
	fclose(file);
	assert_string_equal(text + size - strlen(expected[0]), expected[0]);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(attributes_that_are_not_a_transfer_rules_are_refused),
		TEST(patterns_are_refused_by_the_compilers_word),
		TEST(fates_that_make_no_sense_are_refused),
		TEST(a_port_of_another_device_is_no_target),
		TEST(actions_of_headers_nobody_asked_for_are_refused),
		TEST(actions_that_are_not_supported_are_refused),
		TEST(too_many_actions_are_refused),
		TEST(modifications_that_cannot_be_made_are_refused),
		TEST(isolated_mode_is_refused),
		TEST(the_uplink_port_is_the_proxy_of_all),
		cmocka_unit_test_teardown(
			a_card_without_the_asynchronous_api_says_so_and_takes_rules, remove_device),
		TEST(the_same_rule_twice_is_refused),
		TEST(a_handle_is_good_at_its_own_port_only),
		TEST(a_query_wants_what_the_rule_has),
		TEST(flush_takes_what_was_made_through_the_port),
		TEST(a_port_takes_its_rules_with_it),
		TEST(rules_survive_a_stop_of_their_port),
		TEST(the_rules_of_a_reset_function_keep_their_handles),
		TEST(a_dump_says_what_rules_do),
	};

	return device_tests_run(tests, RTE_DIM(tests));
}
