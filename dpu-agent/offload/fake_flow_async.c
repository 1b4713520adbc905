// SPDX-License-Identifier: BSD-3-Clause
//
// The fake NIC's asynchronous API: templates, tables with a fixed room, one queue. What is enqueued
// is done at the push, told of at the pull; a few completions at a time.

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_version.h>

#include "offload/fake_flow_private.h"

enum { PARTS_MAX = 12, PULL_MAX = 7, QUEUE_ROOM = 1024 };

struct rte_flow_pattern_template {
	enum rte_flow_item_type types[PARTS_MAX];
	bool has_mask[PARTS_MAX];
	union {
		struct rte_flow_item_ethdev port;
		struct rte_flow_item_vlan vlan;
		struct rte_flow_item_eth eth;
		struct rte_flow_item_ipv4 ipv4;
		struct rte_flow_item_ipv6 ipv6;
		struct rte_flow_item_icmp icmp;
		struct rte_flow_item_icmp6 icmp6;
		struct rte_flow_item_raw raw;
		struct rte_flow_item_tcp tcp;
		struct rte_flow_item_udp udp;
		struct rte_flow_item_integrity integrity;
	} masks[PARTS_MAX];
	struct fake_lengths lengths[PARTS_MAX];
	uint8_t raw[2]; // the mask of its bytes
	size_t count;
	unsigned int users;
};

struct rte_flow_actions_template {
	enum rte_flow_action_type types[PARTS_MAX];
	struct rte_flow_action_jump jump;
	size_t count;
	unsigned int users;
};

struct rte_flow_template_table {
	struct rte_flow_attr attr;
	uint32_t room, used;
	struct rte_flow_pattern_template *pattern;
	struct rte_flow_actions_template *actions;
};

static struct {
	bool configured;
	uint32_t size;
	struct {
		struct rte_flow *rule;
		struct rte_flow_template_table *table;
		bool create, done;
		enum rte_flow_op_status status;
		void *user_data;
	} ops[QUEUE_ROOM];
	uint32_t count; // not yet pulled
	uint32_t tables;
} queue;

void fake_async_reset(void)
{
	memset(&queue, 0, sizeof(queue));
}

void fake_async_forget(void)
{
	queue.count = 0;
}

// ---- configuration ------------------------------------------------------------------------------

int __wrap_rte_flow_info_get(uint16_t port, struct rte_flow_port_info *port_info,
			     struct rte_flow_queue_info *queue_info, struct rte_flow_error *e)
{
	if (!fake.async)
		return fake_error(e, ENOTSUP, "no templates here");
	queue_info->max_size = fake.queue_max;
	return 0;
}

int __wrap_rte_flow_configure(uint16_t port, const struct rte_flow_port_attr *attr, uint16_t queues,
			      const struct rte_flow_queue_attr *queue_attr[],
			      struct rte_flow_error *e)
{
	assert_int_equal(port, FAKE_UPLINK);
	assert_false(fake_started);
	assert_int_equal(queues, 1);
	assert_in_range(queue_attr[0]->size, 1, fake.queue_max != 0 ? fake.queue_max : QUEUE_ROOM);
	assert_true(attr->nb_counters >= 4 * fake.functions);
	assert_int_equal(queue.tables, 0);
	queue.configured = true;
	queue.size = queue_attr[0]->size;
	return 0;
}

// ---- templates ----------------------------------------------------------------------------------

static size_t mask_size(enum rte_flow_item_type type)
{
	switch (type) {
	case RTE_FLOW_ITEM_TYPE_REPRESENTED_PORT:
		return sizeof(struct rte_flow_item_ethdev);
	case RTE_FLOW_ITEM_TYPE_ETH:
		return sizeof(struct rte_flow_item_eth);
	case RTE_FLOW_ITEM_TYPE_VLAN:
		return sizeof(struct rte_flow_item_vlan);
	case RTE_FLOW_ITEM_TYPE_IPV4:
		return sizeof(struct rte_flow_item_ipv4);
	case RTE_FLOW_ITEM_TYPE_IPV6:
		return sizeof(struct rte_flow_item_ipv6);
	case RTE_FLOW_ITEM_TYPE_ICMP:
		return sizeof(struct rte_flow_item_icmp);
	case RTE_FLOW_ITEM_TYPE_ICMP6:
		return sizeof(struct rte_flow_item_icmp6);
	case RTE_FLOW_ITEM_TYPE_RAW:
		return sizeof(struct rte_flow_item_raw);
#if RTE_VERSION >= RTE_VERSION_NUM(23, 3, 0, 0)
	case RTE_FLOW_ITEM_TYPE_ICMP6_ECHO_REQUEST:
	case RTE_FLOW_ITEM_TYPE_ICMP6_ECHO_REPLY:
		return sizeof(struct rte_flow_item_icmp6_echo);
#endif
	case RTE_FLOW_ITEM_TYPE_TCP:
		return sizeof(struct rte_flow_item_tcp);
	case RTE_FLOW_ITEM_TYPE_UDP:
		return sizeof(struct rte_flow_item_udp);
	case RTE_FLOW_ITEM_TYPE_INTEGRITY:
		return sizeof(struct rte_flow_item_integrity);
	default:
		return 0;
	}
}

// Does the NIC know these parts? The other half of the rule is empty.
static bool knows(const struct rte_flow_item items[], const struct rte_flow_action actions[],
		  struct rte_flow_error *e)
{
	const struct rte_flow_attr attr = {.transfer = 1};
	struct rte_flow rule = {0};

	return fake_describe(&rule, &attr, items, actions, e) == 0;
}

struct rte_flow_pattern_template *__wrap_rte_flow_pattern_template_create(
	uint16_t port, const struct rte_flow_pattern_template_attr *attr,
	const struct rte_flow_item pattern[], struct rte_flow_error *e)
{
	const struct rte_flow_action no_action = {0};
	struct rte_flow_pattern_template *template;

	assert_true(queue.configured && attr->transfer && !attr->ingress && !attr->egress);
	fake.asked++;
	if (!knows(pattern, &no_action, e))
		return NULL;
	template = calloc(1, sizeof(*template));
	for (; pattern->type != RTE_FLOW_ITEM_TYPE_END; pattern++) {
		size_t i = template->count++;

		assert_true(i < PARTS_MAX);
		template->types[i] = pattern->type;
		template->has_mask[i] = pattern->mask != NULL;
		fake_read_lengths(pattern, &template->lengths[i]);
		if (pattern->mask != NULL)
			memcpy(&template->masks[i], pattern->mask, mask_size(pattern->type));
		if (pattern->type != RTE_FLOW_ITEM_TYPE_RAW)
			continue;
		memcpy(template->raw, template->masks[i].raw.pattern, sizeof(template->raw));
		template->masks[i].raw.pattern = template->raw;
	}
	fake.templates++;
	return template;
}

int __wrap_rte_flow_pattern_template_destroy(uint16_t port,
					     struct rte_flow_pattern_template *pattern,
					     struct rte_flow_error *e)
{
	assert_int_equal(pattern->users, 0);
	free(pattern);
	fake.templates--;
	return 0;
}

static const struct rte_flow_action_modify_field *fixed(const struct rte_flow_action *mask)
{
	const struct rte_flow_action_modify_field *m = mask->conf;

	assert_int_equal(m->width, UINT32_MAX);
	assert_int_equal(m->dst.offset, UINT32_MAX);
	assert_memory_equal(&m->operation, &m->width, sizeof(m->operation));
	return m;
}

struct rte_flow_actions_template *__wrap_rte_flow_actions_template_create(
	uint16_t port, const struct rte_flow_actions_template_attr *attr,
	const struct rte_flow_action actions[], const struct rte_flow_action masks[],
	struct rte_flow_error *e)
{
	// The TTL's field is that of a family, which actions alone do not tell.
	const struct rte_flow_item no_item = {0};
	struct rte_flow_actions_template *template;

	assert_true(queue.configured && attr->transfer);
	fake.asked++;
	for (size_t i = 0; actions[i].type != RTE_FLOW_ACTION_TYPE_END; i++) {
		const struct rte_flow_action_modify_field *modify = actions[i].conf;

		assert_int_equal(actions[i].type, masks[i].type);
		if (actions[i].type == RTE_FLOW_ACTION_TYPE_MODIFY_FIELD &&
		    modify->dst.field == RTE_FLOW_FIELD_IPV6_HOPLIMIT)
			continue;
		const struct rte_flow_action one[] = {actions[i], {0}};
		if (!knows(&no_item, one, e))
			return NULL;
	}
	template = calloc(1, sizeof(*template));
	for (; actions->type != RTE_FLOW_ACTION_TYPE_END; actions++, masks++) {
		assert_true(template->count < PARTS_MAX);
		template->types[template->count++] = actions->type;
		if (actions->type == RTE_FLOW_ACTION_TYPE_MODIFY_FIELD)
			fixed(masks);
		if (actions->type != RTE_FLOW_ACTION_TYPE_JUMP)
			continue;
		assert_int_equal(((const struct rte_flow_action_jump *)masks->conf)->group,
				 UINT32_MAX);
		template->jump = *(const struct rte_flow_action_jump *)actions->conf;
	}
	fake.templates++;
	return template;
}

int __wrap_rte_flow_actions_template_destroy(uint16_t port,
					     struct rte_flow_actions_template *actions,
					     struct rte_flow_error *e)
{
	assert_int_equal(actions->users, 0);
	free(actions);
	fake.templates--;
	return 0;
}

static bool is_hairpin(const struct rte_flow_template_table_attr *attr,
		       const struct rte_flow_pattern_template *pattern,
		       const struct rte_flow_actions_template *actions)
{
	bool by_source_mac = false;

	for (size_t i = 0; i < pattern->count; i++) {
		if (pattern->types[i] == RTE_FLOW_ITEM_TYPE_ETH && pattern->has_mask[i])
			by_source_mac |= pattern->masks[i].eth.hdr.src_addr.addr_bytes[0] != 0;
	}
	return fake_is_hairpin(attr->flow_attr.group, by_source_mac, actions->jump.group);
}

struct rte_flow_template_table *__wrap_rte_flow_template_table_create(
	uint16_t port, const struct rte_flow_template_table_attr *attr,
	struct rte_flow_pattern_template *patterns[], uint8_t pattern_count,
	struct rte_flow_actions_template *actions[], uint8_t actions_count,
	struct rte_flow_error *e)
{
	struct rte_flow_template_table *table;

	assert_true(attr->flow_attr.transfer && attr->nb_flows > 0);
	assert_int_equal(pattern_count, 1);
	assert_int_equal(actions_count, 1);
	fake.asked++;
	if (is_hairpin(attr, patterns[0], actions[0])) {
		fake_error(e, ENOTSUP, "not from there to there");
		return NULL;
	}
	if (queue.tables >= fake.tables_max) {
		fake_error(e, ENOMEM, "no more tables");
		return NULL;
	}
	table = calloc(1, sizeof(*table));
	*table = (struct rte_flow_template_table){
		.attr = attr->flow_attr,
		.room = attr->nb_flows,
		.pattern = patterns[0],
		.actions = actions[0],
	};
	patterns[0]->users++;
	actions[0]->users++;
	queue.tables++;
	fake.templates++;
	return table;
}

int __wrap_rte_flow_template_table_destroy(uint16_t port, struct rte_flow_template_table *table,
					   struct rte_flow_error *e)
{
	if (fake_started)
		assert_int_equal(table->used, 0);
	table->pattern->users--;
	table->actions->users--;
	free(table);
	queue.tables--;
	fake.templates--;
	return 0;
}

// ---- the queue ----------------------------------------------------------------------------------

static void enqueue(struct rte_flow *rule, bool create, void *user_data)
{
	if (queue.count >= queue.size)
		fail_msg("the queue of %u overflows", queue.size);
	queue.ops[queue.count].rule = rule;
	queue.ops[queue.count].table = rule->table;
	queue.ops[queue.count].create = create;
	queue.ops[queue.count].done = false;
	queue.ops[queue.count++].user_data = user_data;
}

struct rte_flow *
__wrap_rte_flow_async_create(uint16_t port, uint32_t queue_id, const struct rte_flow_op_attr *attr,
			     struct rte_flow_template_table *table,
			     const struct rte_flow_item items[], uint8_t pattern_index,
			     const struct rte_flow_action actions[], uint8_t actions_index,
			     void *user_data, struct rte_flow_error *e)
{
	struct rte_flow_item whole[PARTS_MAX + 1] = {0};
	struct rte_flow_action done[PARTS_MAX + 1] = {0};
	struct rte_flow *rule;

	assert_true(fake_started && attr->postpone == 1);
	assert_int_equal(queue_id + pattern_index + actions_index, 0);
	for (size_t i = 0; i < table->pattern->count; i++) {
		struct fake_lengths lengths = {0};

		assert_int_equal(items[i].type, table->pattern->types[i]);
		fake_read_lengths(&items[i], &lengths);
		assert_memory_equal(&lengths, &table->pattern->lengths[i], sizeof(lengths));
		whole[i] = (struct rte_flow_item){
			.type = items[i].type,
			.spec = items[i].spec,
			.last = items[i].last,
			.mask = table->pattern->has_mask[i] ? &table->pattern->masks[i] : NULL,
		};
	}
	for (size_t i = 0; i < table->actions->count; i++) {
		assert_int_equal(actions[i].type, table->actions->types[i]);
		done[i] = actions[i];
		if (actions[i].type == RTE_FLOW_ACTION_TYPE_JUMP)
			done[i].conf = &table->actions->jump;
	}
	if (table->used == table->room) {
		fake_error(e, ENOSPC, NULL);
		return NULL;
	}
	if (!fake.fail_late && fake.capacity > 0 &&
	    fake_rule_count() + queue.count >= fake.capacity) {
		fake_error(e, ENOSPC, NULL);
		return NULL;
	}
	rule = fake_rule_new();
	assert_int_equal(fake_describe(rule, &table->attr, whole, done, e), 0);
	if (!fake.fail_late && (fake.fail_all || fake.fail_insert == 1)) {
		fake.fail_insert = 0;
		fake_error(e, fake.fail_errno != 0 ? fake.fail_errno : EINVAL, "made to fail");
		return NULL;
	}
	if (!fake.fail_late && fake.fail_insert > 1)
		fake.fail_insert--;
	table->used++;
	rule->state = FAKE_PENDING;
	rule->async = true;
	rule->table = table;
	enqueue(rule, true, user_data);
	return rule;
}

int __wrap_rte_flow_async_destroy(uint16_t port, uint32_t queue_id,
				  const struct rte_flow_op_attr *attr, struct rte_flow *rule,
				  void *user_data, struct rte_flow_error *e)
{
	assert_true(rule->async && attr->postpone == 1);
	assert_true(rule->state == FAKE_LIVE || rule->state == FAKE_REJECTED);
	if (fake_is_stuck(rule))
		return fake_error(e, EBUSY, NULL);
	enqueue(rule, false, user_data);
	return 0;
}

static enum rte_flow_op_status do_op(struct rte_flow *rule, bool create,
				     struct rte_flow_template_table *table)
{
	if (create) {
		unsigned int kept = fake.fail_insert;
		int error;

		if (!fake.fail_late)
			fake.fail_insert = 0;
		error = fake_rule_insert(rule);
		if (!fake.fail_late)
			fake.fail_insert = kept;
		if (error == 0)
			return RTE_FLOW_OP_SUCCESS;
		rule->state = FAKE_REJECTED;
		return RTE_FLOW_OP_ERROR;
	}
	table->used--;
	if (rule->state == FAKE_REJECTED)
		rule->state = FAKE_FREE;
	else
		assert_int_equal(fake_rule_remove(rule), 0);
	return RTE_FLOW_OP_SUCCESS;
}

int __wrap_rte_flow_push(uint16_t port, uint32_t queue_id, struct rte_flow_error *e)
{
	fake.pushes++;
	if (fake.silent)
		return 0;
	for (uint32_t n = 0; n < queue.count; n++) {
		uint32_t i = fake.backwards ? queue.count - 1 - n : n;

		if (queue.ops[i].done)
			continue;
		queue.ops[i].status =
			do_op(queue.ops[i].rule, queue.ops[i].create, queue.ops[i].table);
		queue.ops[i].done = true;
	}
	return 0;
}

int __wrap_rte_flow_pull(uint16_t port, uint32_t queue_id, struct rte_flow_op_result results[],
			 uint16_t count, struct rte_flow_error *e)
{
	int pulled = 0;

	if (fake.silent) {
		fake_wait(100);
		return 0;
	}
	while (pulled < count && pulled < PULL_MAX && queue.count > 0 &&
	       queue.ops[queue.count - 1].done) {
		queue.count--;
		results[pulled].status = queue.ops[queue.count].status;
		results[pulled++].user_data = queue.ops[queue.count].user_data;
	}
	return pulled;
}
