// SPDX-License-Identifier: BSD-3-Clause
//
// What rules cost: to insert, by the synchronous and the asynchronous API, and to look up, with 10, 1,000 and 100,000 of
// them. Needs root, for a network namespace of its own.
//
//     simnic-flow-bench
//
// Rules are exact: origin, ether type and IPv4 destination. Lookups are made in the pipeline's thread, as for frames. For
// comparison, in the same run: DPDK's own hash table (rte_hash, 16-byte keys, rte_jhash) with as many entries, and for
// inserts a call of the pipeline that does nothing, which every synchronous insert has to make.

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_hash.h>
#include <rte_jhash.h>

#include "sim/simnic/eswitch.h"
#include "sim/simnic/test_port.h"

#define DEVICE "net_simnic0"

enum { RULES_MAX = 100000, LOOKUPS = 2000000, QUEUE_SIZE = 1024 };

static const uint32_t rule_counts[] = {10, 1000, 100000};

static uint16_t uplink, vf0, vf1;
static struct device *device;
static struct rte_flow *rules[RULES_MAX];
static struct rte_flow_template_table *table;

static void die(const char *what, const struct rte_flow_error *error)
{
	fprintf(stderr, "simnic-flow-bench: %s: %s\n", what,
		error != NULL && error->message != NULL ? error->message : rte_strerror(rte_errno));
	exit(1);
}

static double seconds_since(uint64_t tsc)
{
	return (double)(rte_get_tsc_cycles() - tsc) / (double)rte_get_tsc_hz();
}

static rte_be32_t address(uint32_t number)
{
	return rte_cpu_to_be_32(0x0a000000 + number);
}

// ---- rules ----------------------------------------------------------------------------------------------

static const struct rte_flow_item_eth ipv4_only = {.hdr.ether_type = RTE_BE16(0x0800)},
				      type_mask = {.hdr.ether_type = UINT16_MAX};
static const struct rte_flow_item_ipv4 dst_mask = {.hdr.dst_addr = UINT32_MAX};
static const struct rte_flow_item_ethdev port_mask = {UINT16_MAX};

// A rule's list of items, whose values the caller holds.
struct pattern {
	struct rte_flow_item_ethdev from;
	struct rte_flow_item_ipv4 dst;
	struct rte_flow_item items[4];
};

static const struct rte_flow_item *pattern(struct pattern *pattern, uint32_t number)
{
	pattern->from.port_id = vf0;
	pattern->dst = (struct rte_flow_item_ipv4){.hdr.dst_addr = address(number)};
	pattern->items[0] = (struct rte_flow_item){RTE_FLOW_ITEM_TYPE_REPRESENTED_PORT,
						   &pattern->from, NULL, &port_mask};
	pattern->items[1] =
		(struct rte_flow_item){RTE_FLOW_ITEM_TYPE_ETH, &ipv4_only, NULL, &type_mask};
	pattern->items[2] =
		(struct rte_flow_item){RTE_FLOW_ITEM_TYPE_IPV4, &pattern->dst, NULL, &dst_mask};
	pattern->items[3] = (struct rte_flow_item){.type = RTE_FLOW_ITEM_TYPE_END};
	return pattern->items;
}

static const struct rte_flow_action *actions(void)
{
	static struct rte_flow_action_ethdev to;
	static const struct rte_flow_action list[] = {
		{RTE_FLOW_ACTION_TYPE_COUNT, NULL},
		{RTE_FLOW_ACTION_TYPE_REPRESENTED_PORT, &to},
		{RTE_FLOW_ACTION_TYPE_END, NULL},
	};

	to.port_id = vf1;
	return list;
}

static void insert_sync(uint32_t number)
{
	const struct rte_flow_attr attr = {.transfer = 1};
	struct rte_flow_error error = {0};
	struct pattern space;

	rules[number] = rte_flow_create(uplink, &attr, pattern(&space, number), actions(), &error);
	if (rules[number] == NULL)
		die("rte_flow_create", &error);
}

static void flush(void)
{
	struct rte_flow_error error = {0};

	if (rte_flow_flush(uplink, &error) < 0)
		die("rte_flow_flush", &error);
}

static void insert_all(uint32_t count)
{
	flush();
	for (uint32_t i = 0; i < count; i++)
		insert_sync(i);
}

// ---- inserts --------------------------------------------------------------------------------------------

static void make_table(void)
{
	const struct rte_flow_pattern_template_attr pattern_attr = {.transfer = 1};
	const struct rte_flow_actions_template_attr actions_attr = {.transfer = 1};
	const struct rte_flow_template_table_attr attr = {.flow_attr.transfer = 1,
							  .nb_flows = RULES_MAX};
	static const struct rte_flow_action no_masks[] = {
		{RTE_FLOW_ACTION_TYPE_COUNT, NULL},
		{RTE_FLOW_ACTION_TYPE_REPRESENTED_PORT, NULL},
		{RTE_FLOW_ACTION_TYPE_END, NULL},
	};
	struct rte_flow_pattern_template *pattern_template;
	struct rte_flow_actions_template *actions_template;
	struct rte_flow_error error = {0};
	struct pattern space;

	pattern_template =
		rte_flow_pattern_template_create(uplink, &pattern_attr, pattern(&space, 0), &error);
	actions_template =
		rte_flow_actions_template_create(uplink, &actions_attr, no_masks, no_masks, &error);
	if (pattern_template == NULL || actions_template == NULL)
		die("templates", &error);
	table = rte_flow_template_table_create(uplink, &attr, &pattern_template, 1,
					       &actions_template, 1, &error);
	if (table == NULL)
		die("rte_flow_template_table_create", &error);
}

static void push_and_pull(uint32_t count)
{
	static struct rte_flow_op_result results[QUEUE_SIZE];
	struct rte_flow_error error = {0};

	if (rte_flow_push(uplink, 0, &error) < 0)
		die("rte_flow_push", &error);
	if (rte_flow_pull(uplink, 0, results, QUEUE_SIZE, &error) != (int)count)
		die("rte_flow_pull", &error);
	for (uint32_t i = 0; i < count; i++)
		if (results[i].status != RTE_FLOW_OP_SUCCESS)
			die("an operation failed", NULL);
}

static void insert_async(uint32_t batch)
{
	const struct rte_flow_op_attr postpone = {.postpone = 1};
	struct rte_flow_error error = {0};
	struct pattern space;

	for (uint32_t i = 0; i < RULES_MAX; i++) {
		rules[i] = rte_flow_async_create(uplink, 0, &postpone, table, pattern(&space, i), 0,
						 actions(), 0, NULL, &error);
		if (rules[i] == NULL)
			die("rte_flow_async_create", &error);
		if (i % batch == batch - 1 || i == RULES_MAX - 1)
			push_and_pull(i % batch + 1);
	}
}

static void destroy_async(uint32_t batch)
{
	const struct rte_flow_op_attr postpone = {.postpone = 1};
	struct rte_flow_error error = {0};

	for (uint32_t i = 0; i < RULES_MAX; i++) {
		if (rte_flow_async_destroy(uplink, 0, &postpone, rules[i], NULL, &error) < 0)
			die("rte_flow_async_destroy", &error);
		if (i % batch == batch - 1 || i == RULES_MAX - 1)
			push_and_pull(i % batch + 1);
	}
}

static void print_rate(const char *what, double inserts_s, double destroys_s)
{
	printf("  %-38s %12.0f %12.0f\n", what, RULES_MAX / inserts_s, RULES_MAX / destroys_s);
	fflush(stdout);
}

static void nothing(void *argument)
{
}

static void measure_inserts(void)
{
	static const uint32_t batches[] = {1, 32, QUEUE_SIZE};
	double inserts_s, destroys_s;
	uint64_t begin = rte_get_tsc_cycles();

	printf("%u rules, one after the other, nothing else going on        per second\n"
	       "  %-38s %12s %12s\n",
	       RULES_MAX, "", "insert", "destroy");
	for (uint32_t i = 0; i < RULES_MAX; i++)
		pipeline_call(device, nothing, NULL);
	inserts_s = seconds_since(begin);
	print_rate("a pipeline call that does nothing", inserts_s, inserts_s);
	begin = rte_get_tsc_cycles();
	insert_all(RULES_MAX);
	inserts_s = seconds_since(begin);
	begin = rte_get_tsc_cycles();
	for (uint32_t i = 0; i < RULES_MAX; i++)
		if (rte_flow_destroy(uplink, rules[i], NULL) < 0)
			die("rte_flow_destroy", NULL);
	destroys_s = seconds_since(begin);
	print_rate("rte_flow_create, rte_flow_destroy", inserts_s, destroys_s);
	for (unsigned int i = 0; i < RTE_DIM(batches); i++) {
		char what[64];

		snprintf(what, sizeof(what), "rte_flow_async_*, %u in a push", batches[i]);
		begin = rte_get_tsc_cycles();
		insert_async(batches[i]);
		inserts_s = seconds_since(begin);
		begin = rte_get_tsc_cycles();
		destroy_async(batches[i]);
		destroys_s = seconds_since(begin);
		print_rate(what, inserts_s, destroys_s);
	}
}

// ---- lookups --------------------------------------------------------------------------------------------

// 60 bytes of Ethernet and IPv4 with UDP. All addresses are tried, so the header's checksum is not kept right: no rule asks.
static const uint8_t packet[60] = {0x02, 0, 0,  0,  0, 1, 0x02, 0,    0,  0,  0, 2,  0x08, 0x00,
				   0x45, 0, 0,  46, 0, 0, 0,    0,    64, 17, 0, 0,  192,  0,
				   2,    1, 10, 0,  0, 0, 0x12, 0x34, 0,  53, 0, 26, 0,    0};
enum { DST_AT = 30 };

struct measurement {
	uint32_t rules;
	bool random;
	struct rte_hash *hash;
	struct frame_buffer *buffer;
	uint64_t missed;
	double lookup_ns, eswitch_ns, hash_ns;
};

static uint32_t next_number(uint32_t *state, const struct measurement *measurement)
{
	if (!measurement->random)
		return 0;
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state % measurement->rules;
}

static void set_frame(struct measurement *measurement, uint32_t number)
{
	rte_be32_t dst = address(number);

	memcpy(measurement->buffer->received.data + DST_AT, &dst, sizeof(dst));
}

static double per_lookup_ns(uint64_t begin)
{
	return seconds_since(begin) * 1e9 / LOOKUPS;
}

static void measure_lookup(struct measurement *measurement)
{
	uint32_t state = 2463534242;
	struct flow_offsets offsets;
	struct flow_key key;
	uint64_t begin;

	flow_key_read(&measurement->buffer->frame, sizeof(packet), &key, &offsets);
	begin = rte_get_tsc_cycles();
	for (uint32_t i = 0; i < LOOKUPS; i++) {
		rte_be32_t dst = address(next_number(&state, measurement));

		memcpy(key.outer.ip_dst, &dst, sizeof(dst));
		measurement->missed += flow_tables_lookup(device->eswitch->tables, 0, &key) == NULL;
	}
	measurement->lookup_ns = per_lookup_ns(begin);
}

static void measure_eswitch(struct measurement *measurement)
{
	uint32_t state = 2463534242;
	uint64_t begin = rte_get_tsc_cycles();

	for (uint32_t i = 0; i < LOOKUPS; i++) {
		set_frame(measurement, next_number(&state, measurement));
		measurement->missed += !eswitch(measurement->buffer).by_rule;
	}
	measurement->eswitch_ns = per_lookup_ns(begin);
}

static void measure_hash(struct measurement *measurement)
{
	uint32_t state = 2463534242, key[4] = {0};
	uint64_t begin = rte_get_tsc_cycles();

	for (uint32_t i = 0; i < LOOKUPS; i++) {
		key[0] = address(next_number(&state, measurement));
		measurement->missed += rte_hash_lookup(measurement->hash, key) < 0;
	}
	measurement->hash_ns = per_lookup_ns(begin);
}

static void measure(void *argument)
{
	measure_lookup(argument);
	measure_eswitch(argument);
	measure_hash(argument);
}

static struct rte_hash *hash_of(uint32_t count)
{
	const struct rte_hash_parameters parameters = {.name = "bench",
						       .entries = 2 * count,
						       .key_len = 16,
						       .hash_func = rte_jhash,
						       .socket_id = SOCKET_ID_ANY};
	struct rte_hash *hash = rte_hash_create(&parameters);
	uint32_t key[4] = {0};

	for (uint32_t i = 0; hash != NULL && i < count; i++) {
		key[0] = address(i);
		if (rte_hash_add_key(hash, key) < 0)
			die("rte_hash_add_key", NULL);
	}
	if (hash == NULL)
		die("rte_hash_create", NULL);
	return hash;
}

// A frame out of VF 0.
static struct frame_buffer *make_frame_buffer(void)
{
	struct frame_buffer *buffer = aligned_alloc(64, RTE_ALIGN(sizeof(*buffer), 64));

	if (buffer == NULL)
		die("memory", NULL);
	memset(buffer, 0, sizeof(*buffer));
	memcpy(buffer->received.data, packet, sizeof(packet));
	if (frame_from_netdev(buffer, device_vf(device, 0),
			      CARD_VNET_HEADER_SIZE + sizeof(packet)) != FRAME_OK)
		die("the frame", NULL);
	return buffer;
}

static void measure_lookups(void)
{
	struct frame_buffer *buffer = make_frame_buffer();

	printf("\nns for each                               rte_hash     the table   e-switch in "
	       "all\n"
	       "                                          lookup       lookup      (read, look up, "
	       "act)\n");
	for (unsigned int i = 0; i < RTE_DIM(rule_counts); i++) {
		struct measurement measurement = {.rules = rule_counts[i], .buffer = buffer};

		insert_all(rule_counts[i]);
		measurement.hash = hash_of(rule_counts[i]);
		for (unsigned int random = 0; random < 2; random++) {
			measurement.random = random;
			pipeline_call(device, measure, &measurement);
			printf("  %6u rules, %-25s %8.0f %12.0f %12.0f\n", rule_counts[i],
			       random ? "a random one each time" : "the same one",
			       measurement.hash_ns, measurement.lookup_ns, measurement.eswitch_ns);
			fflush(stdout);
		}
		rte_hash_free(measurement.hash);
		if (measurement.missed > 0)
			die("a lookup missed", NULL);
	}
	free(buffer);
}

// ---- the device -----------------------------------------------------------------------------------------

static void begin_device(void)
{
	const struct rte_flow_queue_attr queue = {.size = QUEUE_SIZE}, *queues[] = {&queue};
	const struct rte_flow_port_attr attr = {0};
	const struct rte_eth_conf config = {0};
	struct rte_flow_error error = {0};

	if (rte_eal_hotplug_add("vdev", DEVICE, "vfs=2,representor=vf[0-1]") < 0 ||
	    rte_eth_dev_get_port_by_name(DEVICE, &uplink) < 0)
		die("the device", NULL);
	vf0 = port_of_vf(DEVICE, 0);
	vf1 = port_of_vf(DEVICE, 1);
	device = function_of(&rte_eth_devices[uplink])->device;
	if (rte_eth_dev_configure(uplink, 1, 1, &config) < 0 ||
	    rte_flow_configure(uplink, &attr, 1, queues, &error) < 0)
		die("rte_flow_configure", &error);
}

int main(void)
{
	enter_fresh_netns();
	if (!eal_start(NULL))
		die("EAL", NULL);
	begin_device();
	make_table();
	measure_inserts();
	measure_lookups();
	flush();
	rte_eal_hotplug_remove("vdev", DEVICE);
	rte_eal_cleanup();
	return 0;
}
