// SPDX-License-Identifier: BSD-3-Clause
//
// Rules of templates, and at random: that a rule meets exactly the frames that a reading of its items against the
// frame's bytes says, and that no pattern does harm.

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim/simnic/flow_match_test.h"
#include "sim/simnic/flow_table.h"
#include "sim/simnic/test_items.h"

static unsigned int seed = 1;

// ---- templates ------------------------------------------------------------------------------------------

static const struct rte_flow_item template[] = {
	ITEM(REPRESENTED_PORT, .mask = OF(ethdev, 0xffff)),
	ITEM(VOID),
	ETH_ANY,
	ITEM(IPV4, .mask = HDR(ipv4, .dst_addr = UINT32_MAX)),
	ITEM(TCP, .spec = HDR(tcp, .src_port = RTE_BE16(1024), .dst_port = RTE_BE16(7)),
	     .last = HDR(tcp, .src_port = RTE_BE16(65535)),
	     .mask = HDR(tcp, .src_port = 0xffff, .dst_port = 0xffff)),
	ITEM(TAG, .spec = OF(tag, .index = 1), .mask = OF(tag, 0xff, 0xff)),
	END,
};

static const struct rte_flow_item rule[] = {
	FROM(PORT_VF0),
	ETH_ANY,
	ITEM(IPV4, .spec = HDR(ipv4, .dst_addr = IP4(10, 9, 0, 2), .src_addr = 5),
	     .mask = HDR(ipv4, .src_addr = 5)), // not the rule's to say
	ITEM(TCP, .spec = HDR(tcp, .dst_port = RTE_BE16(80), .src_port = RTE_BE16(1))),
	ITEM(TAG, .spec = OF(tag, 0x1234, 1)),
	ITEM(VOID),
	END,
};

static void expect_template(struct flow_match *match)
{
	memset(match, 0, sizeof(*match));
	match->mask.origin = UINT16_MAX;
	match->mask.from_port = UINT8_MAX;
	LAYERS(outer, L2 | IP | FLOW_HAS_TCP);
	memset(match->mask.outer.ip_dst, 0xff, 4);
	match->mask.outer.port_dst = UINT16_MAX;
	match->mask.tags[1] = 0xff;
	match->range_count = 1;
	match->ranges[0] = (struct flow_range){.offset = offsetof(struct flow_key, outer.port_src),
					       .size = 2,
					       .mask = 0xffff,
					       .first = 1024,
					       .last = 65535};
}

static void a_template_gives_the_mask_and_its_rules_the_values(void **state)
{
	struct flow_match match, expected;
	struct rte_flow_error error;

	expect_template(&expected);
	assert_int_equal(flow_match_compile_template(&device, template, false, &match, &error), 0);
	assert_memory_equal(&match.mask, &expected.mask, sizeof(match.mask));
	assert_memory_equal(&match.value, &expected.value, sizeof(match.value));
	assert_memory_equal(match.ranges, expected.ranges, sizeof(match.ranges));

	expected.value.origin = 2;
	memcpy(expected.value.outer.ip_dst, "\x0a\x09\0\2", 4);
	expected.value.outer.port_dst = RTE_BE16(80);
	expected.value.tags[1] = 0x34;
	assert_int_equal(flow_match_compile_rule(&device, template, false, rule, &match, &error),
			 0);
	assert_memory_equal(&match.mask, &expected.mask, sizeof(match.mask));
	assert_memory_equal(&match.value, &expected.value, sizeof(match.value));
	assert_int_equal(match.range_count, 1);
	assert_memory_equal(match.ranges, expected.ranges, sizeof(match.ranges));
}

static void a_relaxed_template_skips_headers_without_mask(void **state)
{
	const struct rte_flow_item items[] = {ETH_ANY,
					      ITEM(VLAN),
					      IPV4_ANY,
					      UDP_PORT,
					      ITEM(VXLAN),
					      ETH_ANY,
					      ITEM(IPV6, .mask = HDR(ipv6, .hop_limits = 0xff)),
					      END};
	struct rte_flow_error error;
	struct flow_match match;

	assert_int_equal(flow_match_compile_template(&device, items, true, &match, &error), 0);
	assert_int_equal(match.mask.outer.layers, 0);
	assert_int_equal(match.mask.tunnel, 0);
	assert_int_equal(match.mask.inner.layers, FLOW_HAS_IPV6);
	assert_int_equal(match.mask.inner.ttl, 0xff);
	assert_int_equal(flow_match_compile_template(&device, items, false, &match, &error), 0);
	assert_int_equal(match.mask.outer.layers, L2 | FLOW_HAS_VLAN | IP | FLOW_HAS_UDP);
	assert_int_equal(match.mask.tunnel, 0xff);
	assert_int_equal(match.mask.inner.layers, L2 | IP6);
}

static void a_flag_contradicts_in_the_rule_not_in_its_template(void **state)
{
	const struct rte_flow_item items[] = {ITEM(ETH, .mask = OF(eth, .has_vlan = 1)), ITEM(VLAN),
					      END},
				   tagged[] = {ITEM(ETH, .spec = OF(eth, .has_vlan = 1)),
					       ITEM(VLAN), END},
				   untagged[] = {ITEM(ETH, .spec = OF(eth, .has_vlan = 0)),
						 ITEM(VLAN), END};
	struct rte_flow_error error;
	struct flow_match match;

	assert_int_equal(flow_match_compile_template(&device, items, false, &match, &error), 0);
	assert_int_equal(flow_match_compile_rule(&device, items, false, tagged, &match, &error), 0);
	assert_int_equal(match.value.outer.layers, L2 | FLOW_HAS_VLAN);
	check_refused("no tag, and one",
		      flow_match_compile_rule(&device, items, false, untagged, &match, &error),
		      &error, EINVAL, RTE_FLOW_ERROR_TYPE_ITEM, &untagged[1]);
}

static void a_rule_that_is_not_of_its_template_is_refused(void **state)
{
	struct rte_flow_item items[RTE_DIM(rule)];
	struct rte_flow_error error;
	struct flow_match match;

	memcpy(items, rule, sizeof(rule));
	items[3].type = RTE_FLOW_ITEM_TYPE_UDP;
	check_refused("another item",
		      flow_match_compile_rule(&device, template, false, items, &match, &error),
		      &error, EINVAL, RTE_FLOW_ERROR_TYPE_ITEM, &items[3]);
	items[3].type = RTE_FLOW_ITEM_TYPE_END;
	check_refused("too short",
		      flow_match_compile_rule(&device, template, false, items, &match, &error),
		      &error, EINVAL, RTE_FLOW_ERROR_TYPE_ITEM, &items[3]);
	memcpy(items, rule, sizeof(rule));
	items[2].spec = NULL;
	check_refused("no address",
		      flow_match_compile_rule(&device, template, false, items, &match, &error),
		      &error, EINVAL, RTE_FLOW_ERROR_TYPE_ITEM_SPEC, &items[2]);
	memcpy(items, rule, sizeof(rule));
	items[0].spec = NULL;
	check_refused("no port",
		      flow_match_compile_rule(&device, template, false, items, &match, &error),
		      &error, EINVAL, RTE_FLOW_ERROR_TYPE_ITEM_SPEC, &items[0]);
	memcpy(items, rule, sizeof(rule));
	items[4].spec = OF(tag, 0x1234, 2);
	check_refused("another TAG",
		      flow_match_compile_rule(&device, template, false, items, &match, &error),
		      &error, EINVAL, RTE_FLOW_ERROR_TYPE_ITEM_SPEC, &items[4]);
	memcpy(items, template, sizeof(template));
	items[4].spec = NULL;
	check_refused("range from nowhere",
		      flow_match_compile_template(&device, items, false, &match, &error), &error,
		      EINVAL, RTE_FLOW_ERROR_TYPE_ITEM, &items[4]);
}

static void a_range_of_lengths_is_the_templates(void **state)
{
	const struct rte_flow_item
		items[] = {ITEM(IPV4, .spec = HDR(ipv4, .total_length = RTE_BE16(1401)),
				.last = HDR(ipv4, .total_length = 0xffff),
				.mask = HDR(ipv4, .total_length = 0xffff)),
			   END},
		rule_items[] = {ITEM(IPV4, .spec = HDR(ipv4, .total_length = RTE_BE16(9))), END};
	struct rte_flow_error error;
	struct flow_match match;

	assert_int_equal(flow_match_compile_rule(&device, items, false, rule_items, &match, &error),
			 0);
	assert_int_equal(match.mask.outer.length, 0);
	assert_int_equal(match.range_count, 1);
	assert_int_equal(match.ranges[0].offset, offsetof(struct flow_key, outer.length));
	assert_int_equal(match.ranges[0].first, 1401);
	assert_int_equal(match.ranges[0].last, 65535);
}

// ---- at random ------------------------------------------------------------------------------------------

static unsigned int pick(unsigned int below)
{
	return rand_r(&seed) % below;
}

// Fields of headers that can be matched, as (offset, size).
struct header {
	enum rte_flow_item_type type;
	uint8_t size, range_max;
	uint8_t fields[9][2];
};

static const struct header headers[] = {
	{RTE_FLOW_ITEM_TYPE_ETH, 14, 4, {{0, 6}, {6, 6}, {12, 2}}},
	{RTE_FLOW_ITEM_TYPE_VLAN, 4, 4, {{0, 2}, {2, 2}}},
	{RTE_FLOW_ITEM_TYPE_IPV4,
	 20,
	 4,
	 {{0, 1}, {1, 1}, {2, 2}, {6, 2}, {8, 1}, {9, 1}, {12, 4}, {16, 4}}},
	{RTE_FLOW_ITEM_TYPE_TCP, 20, 4, {{0, 2}, {2, 2}, {13, 1}}},
};

// A tagged TCP packet of few different values; the header checksum does not matter.
enum { PACKET_SIZE = 61 };

static void random_packet(uint8_t *data)
{
	static const uint8_t pattern[PACKET_SIZE] = {
		0x02, 0,    0, 0, 0,  0, 0x02, 0,    0, 0,  0, 0, 0x81, 0x00, 0, 0, 0x08,
		0x00, 0x45, 0, 0, 40, 0, 0,    0x40, 0, 64, 6, 0, 0,    10,   9, 0, 0,
		10,   9,    0, 0, 0,  0, 0,    0,    0, 0,  0, 0, 0,    0,    0, 0, 0x50};
	static const uint8_t varying[] = {5, 11, 14, 15, 19, 21, 26, 33, 37, 38, 39, 41, 51};

	memcpy(data, pattern, sizeof(pattern));
	for (size_t i = 0; i < sizeof(varying); i++)
		data[varying[i]] += pick(4);
}

static uint32_t as_number(const uint8_t *bytes, const uint8_t *mask, unsigned int size)
{
	uint32_t number = 0;

	for (unsigned int i = 0; i < size; i++)
		number = number * 256 + (bytes[i] & mask[i]);
	return number;
}

static bool field_meets(const struct rte_flow_item *item, const uint8_t *field,
			const uint8_t *packet)
{
	const uint8_t *spec = (const uint8_t *)item->spec + field[0],
		      *mask = (const uint8_t *)item->mask + field[0],
		      *last = (const uint8_t *)item->last + field[0];

	packet += field[0];
	if (item->last != NULL && field[1] <= 4) {
		uint32_t first = as_number(spec, mask, field[1]),
			 end = as_number(last, mask, field[1]),
			 value = as_number(packet, mask, field[1]);

		if (end != 0 && end != first)
			return value >= first && value <= end;
	}
	for (unsigned int i = 0; i < field[1]; i++)
		if ((spec[i] ^ packet[i]) & mask[i])
			return false;
	return true;
}

struct random_item {
	uint8_t spec[64], mask[64], last[64];
};

// Values are a packet's, masks and ranges on some fields.
static void random_item(const struct header *header, const uint8_t *packet,
			struct random_item *storage, struct rte_flow_item *item)
{
	memset(storage, 0, sizeof(*storage));
	*item = (struct rte_flow_item){.type = header->type};
	if (pick(4) == 0)
		return;
	item->spec = storage->spec;
	item->mask = storage->mask;
	item->last = pick(2) == 0 ? storage->last : NULL;
	memcpy(storage->spec, packet, header->size);
	for (unsigned int i = 0; i < RTE_DIM(header->fields) && header->fields[i][1] != 0; i++) {
		unsigned int at = header->fields[i][0], size = header->fields[i][1];

		if (pick(3) > 0)
			continue;
		for (unsigned int j = 0; j < size; j++)
			storage->mask[at + j] = pick(3) == 0 ? pick(256) : 0xff;
		if (size > header->range_max || pick(2) == 0)
			continue;
		memcpy(storage->last + at, packet + at, size);
		storage->last[at + size - 1] += pick(3);
	}
}

static void a_rule_meets_the_frames_that_its_items_describe(void **state)
{
	enum { RULES = 20000, PACKETS = 20 };
	struct flow_tables *tables = flow_tables_new();
	static struct random_item storage[RTE_DIM(headers)];
	struct rte_flow_item items[RTE_DIM(headers) + 1];
	unsigned int met = 0, missed = 0, compiled = 0;

	for (unsigned int round = 0; round < RULES; round++) {
		uint8_t packet[PACKET_SIZE];
		struct flow_match match;
		struct flow *flow;
		size_t at = 0;

		random_packet(packet);
		for (size_t i = 0; i < RTE_DIM(headers); i++) {
			random_item(&headers[i], packet + at, &storage[i], &items[i]);
			at += headers[i].size;
		}
		items[RTE_DIM(headers)] = (struct rte_flow_item)END;
		if (flow_match_compile(&device, items, &match, NULL) != 0) {
			// last + 1 may go over to 0, or the mask may take its bits.
			assert_int_equal(rte_errno, EINVAL);
			continue;
		}
		compiled++;
		flow = calloc(1, flow_size(&match));
		assert_non_null(flow);
		flow_init(flow, &match, 0, 0);
		assert_int_equal(flow_tables_insert(tables, flow, &match), 0);
		for (unsigned int i = 0; i < PACKETS; i++) {
			struct frame frame = {
				.origin = &functions[0], .length = PACKET_SIZE, .parts = 2};
			struct flow_offsets offsets;
			struct flow_key key;
			bool expected = true;

			random_packet(packet);
			frame.iov[1] = (struct iovec){.iov_base = packet, .iov_len = PACKET_SIZE};
			flow_key_read(&frame, frame.length, &key, &offsets);
			at = 0;
			for (size_t j = 0; j < RTE_DIM(headers); j++) {
				for (unsigned int k = 0;
				     items[j].spec != NULL && k < RTE_DIM(headers[j].fields); k++)
					expected &= field_meets(&items[j], headers[j].fields[k],
								packet + at);
				at += headers[j].size;
			}
			assert_ptr_equal(flow_tables_lookup(tables, 0, &key),
					 expected ? flow : NULL);
			met += expected;
			missed += !expected;
		}
		flow_tables_remove(tables, flow);
		free(flow);
	}
	assert_true(compiled > RULES / 2 && met > RULES && missed > RULES);
	flow_tables_free(tables);
}

static void random_bytes_are_compiled_or_refused_but_do_no_harm(void **state)
{
	enum { ROUNDS = 300000, COUNT = 6 };
	static struct random_item storage[COUNT];
	struct rte_flow_item items[COUNT + 1];
	unsigned int good = 0;

	for (unsigned int round = 0; round < ROUNDS; round++) {
		struct flow_match match;
		struct rte_flow_error error = {0};
		int result;

		memset(items, 0, sizeof(items));
		for (unsigned int i = 0; i < pick(COUNT + 1); i++) {
			items[i].type = item_types[pick(RTE_DIM(item_types))];
			for (size_t j = 0; j < sizeof(storage[i]); j++)
				((uint8_t *)&storage[i])[j] = pick(8) == 0 ? pick(256) : 0;
			items[i].spec = pick(2) == 0 ? storage[i].spec : NULL;
			items[i].mask = pick(3) == 0 ? storage[i].mask : NULL;
			items[i].last = pick(5) == 0 ? storage[i].last : NULL;
			if (items[i].type == RTE_FLOW_ITEM_TYPE_RAW) {
				make_raw(storage[i].spec, pick(8));
				make_raw(storage[i].mask, pick(8));
				make_raw(storage[i].last, pick(8));
			}
		}
		rte_errno = 0;
		switch (pick(3)) {
		case 0:
			result = flow_match_compile(&device, items, &match, &error);
			break;
		case 1:
			result = flow_match_compile_template(&device, items, pick(2), &match,
							     &error);
			break;
		default:
			result = flow_match_compile_rule(&device, items, pick(2), items, &match,
							 &error);
			break;
		}
		if (result == 0) {
			const uint8_t *value = (const uint8_t *)&match.value,
				      *mask = (const uint8_t *)&match.mask;

			for (size_t i = 0; i < sizeof(match.value); i++)
				assert_int_equal(value[i] & ~mask[i], 0);
			good++;
			continue;
		}
		assert_true(result == -EINVAL || result == -ENOTSUP);
		assert_int_equal(rte_errno, -result);
		assert_true(error.type >= RTE_FLOW_ERROR_TYPE_ITEM_NUM &&
			    error.type <= RTE_FLOW_ERROR_TYPE_ITEM);
		assert_true(error.cause >= (void *)items && error.cause < (void *)(items + COUNT));
	}
	assert_true(good > ROUNDS / 100);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_template_gives_the_mask_and_its_rules_the_values),
		cmocka_unit_test(a_relaxed_template_skips_headers_without_mask),
		cmocka_unit_test(a_flag_contradicts_in_the_rule_not_in_its_template),
		cmocka_unit_test(a_rule_that_is_not_of_its_template_is_refused),
		cmocka_unit_test(a_range_of_lengths_is_the_templates),
		cmocka_unit_test(a_rule_meets_the_frames_that_its_items_describe),
		cmocka_unit_test(random_bytes_are_compiled_or_refused_but_do_no_harm),
	};

	if (argc > 1)
		seed = strtoul(argv[1], NULL, 0);
	return cmocka_run_group_tests(tests, make_ports, NULL);
}
