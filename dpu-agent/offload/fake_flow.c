// SPDX-License-Identifier: BSD-3-Clause
//
// See fake_flow.h. Here: the list of rules, the synchronous API, ports, events and time. The
// asynchronous API is in fake_flow_async.c.

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mtr.h>

#include "offload/fake_flow_private.h"
#include "port/port_dpdk.h"

enum { HISTORY_MAX = 32768 };

struct port {
	uint32_t slot;
	uint16_t port_id;
};

struct nic {
	struct port ports[FUNCTIONS_MAX + 2]; // of functions, uplink, host
	void (*hook)(void *argument);
	void *hook_argument;
};

struct fake_nic fake;
bool fake_started;
static struct nic the_nic;
static struct rte_flow rules[RULES_MAX];
static char history[HISTORY_MAX][FAKE_TEXT];
static size_t history_count;
static int64_t clock_offset_ms;

static struct {
	rte_eth_dev_cb_fn callback;
	void *argument;
	enum rte_eth_event_type type;
} listeners[8];
static unsigned int listener_count;

const struct offload_router fake_router = {.mac = {{0x02, 0, 0, 0, 0, 1}}, .mtu = 1500};

// ---- the list of rules --------------------------------------------------------------------------

struct rte_flow *fake_rule_new(void)
{
	for (size_t i = 0; i < RULES_MAX; i++) {
		if (rules[i].state == FAKE_FREE) {
			memset(&rules[i], 0, sizeof(rules[i]));
			return &rules[i];
		}
	}
	fail_msg("more than %d rules", RULES_MAX);
	return NULL;
}

static void remember(char sign, const struct rte_flow *rule)
{
	assert_true(history_count < HISTORY_MAX);
	snprintf(history[history_count++], FAKE_TEXT, "%c %.*s", sign, FAKE_TEXT - 3, rule->text);
}

static bool same_destination(const struct rte_flow *a, const struct rte_flow *b)
{
	return a->family == b->family && a->has_destination && b->has_destination &&
	       memcmp(a->destination, b->destination, sizeof(a->destination)) == 0;
}

static unsigned int live_in_group(uint32_t group, const struct rte_flow *like)
{
	unsigned int count = 0;

	for (size_t i = 0; i < RULES_MAX; i++)
		count += rules[i].state == FAKE_LIVE && rules[i].group == group &&
			 same_destination(&rules[i], like);
	return count;
}

// 0, or the errno with which it is refused.
static int refusal(const struct rte_flow *rule)
{
	if (fake.fail_all || (fake.fail_insert > 0 && --fake.fail_insert == 0))
		return fake.fail_errno != 0 ? fake.fail_errno : EINVAL;
	if (fake.capacity > 0 && fake_rule_count() >= fake.capacity)
		return ENOSPC;
	for (size_t i = 0; i < RULES_MAX; i++) {
		if (rules[i].state == FAKE_LIVE &&
		    strncmp(rules[i].text, rule->text,
			    (size_t)(strchr(rule->text, '>') - rule->text)) == 0)
			return EEXIST;
	}
	return 0;
}

int fake_rule_insert(struct rte_flow *rule)
{
	int error = refusal(rule);

	clock_offset_ms += fake.insert_ms;
	if (error != 0)
		return error;
	if (rule->meter != 0 && !fake_has_meter(rule->meter))
		fail_msg("\"%s\" has no meter", rule->text);
	// What leads to the outputs comes after its output is there.
	if (rule->group == 1 && rule->has_destination && live_in_group(3, rule) != 1)
		fail_msg("\"%s\" leads nowhere", rule->text);
	rule->state = FAKE_LIVE;
	fake.inserts++;
	remember('+', rule);
	return 0;
}

bool fake_is_stuck(const struct rte_flow *rule)
{
	return fake.fail_removals || (fake.stuck != NULL && strstr(rule->text, fake.stuck) != NULL);
}

int fake_rule_remove(struct rte_flow *rule)
{
	if (rule->state != FAKE_LIVE)
		fail_msg("removed and not installed: \"%s\"", rule->text);
	clock_offset_ms += fake.remove_ms;
	if (fake_is_stuck(rule))
		return EBUSY;
	if (rule->group == 3 && live_in_group(1, rule) > 0)
		fail_msg("\"%s\" is removed, and a rule still leads to it", rule->text);
	rule->state = FAKE_FREE;
	fake.removals++;
	remember('-', rule);
	return 0;
}

size_t fake_rule_count(void)
{
	size_t count = 0;

	for (size_t i = 0; i < RULES_MAX; i++)
		count += rules[i].state == FAKE_LIVE;
	return count;
}

size_t fake_rules_with(const char *part)
{
	size_t count = 0;

	for (size_t i = 0; i < RULES_MAX; i++)
		count += rules[i].state == FAKE_LIVE && strstr(rules[i].text, part) != NULL;
	return count;
}

static struct rte_flow *only_rule_with(const char *part)
{
	if (fake_rules_with(part) != 1)
		fail_msg("%zu rules have \"%s\"", fake_rules_with(part), part);
	for (size_t i = 0; i < RULES_MAX; i++) {
		if (rules[i].state == FAKE_LIVE && strstr(rules[i].text, part) != NULL)
			return &rules[i];
	}
	return NULL;
}

const char *fake_rule_with(const char *part)
{
	return only_rule_with(part)->text;
}

void fake_hit(const char *part, uint64_t packets, uint64_t bytes)
{
	struct rte_flow *rule = only_rule_with(part);

	rule->packets += packets;
	rule->bytes += bytes;
}

void fake_clear_counters(void)
{
	for (size_t i = 0; i < RULES_MAX; i++)
		rules[i].packets = rules[i].bytes = 0;
}

size_t fake_history_count(void)
{
	return history_count;
}

const char *fake_history(size_t index)
{
	assert_true(index < history_count);
	return history[index];
}

void fake_forget_history(void)
{
	history_count = 0;
}

bool fake_is_hairpin(uint32_t group, bool by_source_mac, uint32_t jump)
{
	return fake.no_hairpin && group == 5 && by_source_mac && jump == 6;
}

// ---- the synchronous API ------------------------------------------------------------------------

int fake_error(struct rte_flow_error *error, int errno_value, const char *message)
{
	return rte_flow_error_set(error, errno_value, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, NULL,
				  message);
}

int __wrap_rte_flow_pick_transfer_proxy(uint16_t port, uint16_t *proxy, struct rte_flow_error *e)
{
	if (fake.no_flow)
		return fake_error(e, ENOSYS, NULL);
	*proxy = port;
	return 0;
}

int __wrap_rte_flow_validate(uint16_t port, const struct rte_flow_attr *attr,
			     const struct rte_flow_item items[],
			     const struct rte_flow_action actions[], struct rte_flow_error *e)
{
	struct rte_flow rule = {0};

	assert_int_equal(port, FAKE_UPLINK);
	fake.asked++;
	if (fake.no_sync)
		return fake_error(e, ENOTSUP, "templates only");
	if (fake_describe(&rule, attr, items, actions, e) < 0)
		return -rte_errno;
	if (fake_is_hairpin(attr->group, strstr(rule.text, " src=") != NULL,
			    strstr(rule.text, " jump=6") != NULL ? 6 : 0))
		return fake_error(e, ENOTSUP, "not from there to there");
	return 0;
}

struct rte_flow *__wrap_rte_flow_create(uint16_t port, const struct rte_flow_attr *attr,
					const struct rte_flow_item items[],
					const struct rte_flow_action actions[],
					struct rte_flow_error *e)
{
	struct rte_flow *rule = fake_rule_new();

	assert_int_equal(port, FAKE_UPLINK);
	assert_true(fake_started);
	assert_false(fake.no_sync);
	if (fake_describe(rule, attr, items, actions, e) < 0)
		return NULL;
	int error = fake_rule_insert(rule);
	if (error != 0) {
		fake_error(e, error, error == EINVAL ? "made to fail" : NULL);
		return NULL;
	}
	return rule;
}

int __wrap_rte_flow_destroy(uint16_t port, struct rte_flow *rule, struct rte_flow_error *e)
{
	int error = fake_rule_remove(rule);

	assert_false(rule->async);
	return error == 0 ? 0 : fake_error(e, error, NULL);
}

int __wrap_rte_flow_query(uint16_t port, struct rte_flow *rule,
			  const struct rte_flow_action *actions, void *data,
			  struct rte_flow_error *e)
{
	struct rte_flow_query_count *count = data;

	assert_int_equal(rule->state, FAKE_LIVE);
	assert_int_equal(actions[0].type, RTE_FLOW_ACTION_TYPE_COUNT);
	assert_int_equal(actions[1].type, RTE_FLOW_ACTION_TYPE_END);
	assert_int_equal(count->reset, 0);
	fake.queries++;
	if (fake.forgets)
		return fake_error(e, EINVAL, "no such rule");
	if (strstr(rule->text, " count") == NULL)
		return fake_error(e, EINVAL, "does not count");
	count->hits_set = count->bytes_set = 1;
	count->hits = rule->packets;
	count->bytes = rule->bytes;
	return 0;
}

struct rte_flow_action_handle *
__wrap_rte_flow_action_handle_create(uint16_t port, const struct rte_flow_indir_action_conf *conf,
				     const struct rte_flow_action *action, struct rte_flow_error *e)
{
	static int handle;

	fake.handles++;
	return (struct rte_flow_action_handle *)&handle;
}

int __wrap_rte_flow_action_handle_destroy(uint16_t port, struct rte_flow_action_handle *handle,
					  struct rte_flow_error *e)
{
	fake.handles--;
	return 0;
}

// ---- ports, events, time ------------------------------------------------------------------------

int __wrap_rte_eth_dev_info_get(uint16_t port_id, struct rte_eth_dev_info *info)
{
	memset(info, 0, sizeof(*info));
	info->dev_capa = fake.keeps ? RTE_ETH_DEV_CAPA_FLOW_RULE_KEEP : 0;
	return 0;
}

int __wrap_rte_eth_dev_callback_register(uint16_t port_id, enum rte_eth_event_type type,
					 rte_eth_dev_cb_fn callback, void *argument)
{
	assert_int_equal(port_id, RTE_ETH_ALL);
	assert_true(listener_count < RTE_DIM(listeners));
	listeners[listener_count].callback = callback;
	listeners[listener_count].argument = argument;
	listeners[listener_count++].type = type;
	return 0;
}

int __wrap_rte_eth_dev_callback_unregister(uint16_t port_id, enum rte_eth_event_type type,
					   rte_eth_dev_cb_fn callback, void *argument)
{
	for (unsigned int i = 0; i < listener_count; i++) {
		if (listeners[i].type != type || listeners[i].argument != argument)
			continue;
		listeners[i] = listeners[--listener_count];
		return 0;
	}
	return -EINVAL;
}

void fake_event(uint16_t port_id, int type)
{
	for (unsigned int i = 0; i < listener_count; i++) {
		if ((int)listeners[i].type == type)
			listeners[i].callback(port_id, listeners[i].type, listeners[i].argument,
					      NULL);
	}
}

unsigned int fake_listeners(void)
{
	return listener_count;
}

// Time goes by only when a test, or a slow NIC, lets it.
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret_time)
{
	*ret_time = (struct timespec){
		.tv_sec = 1000000 + clock_offset_ms / 1000,
		.tv_nsec = clock_offset_ms % 1000 * 1000000,
	};
	return 0;
}

void fake_wait(uint32_t ms)
{
	clock_offset_ms += ms;
}

int64_t fake_now_ms(void)
{
	return clock_offset_ms;
}

void nic_set_uplink_hook(struct nic *nic, void (*hook)(void *argument), void *argument)
{
	nic->hook = hook;
	nic->hook_argument = argument;
}

bool fake_hooked(void)
{
	return the_nic.hook != NULL;
}

void fake_start_uplink(void)
{
	assert_false(fake_started);
	if (the_nic.hook != NULL)
		the_nic.hook(the_nic.hook_argument);
	fake_started = true;
}

void fake_stop_uplink(void)
{
	fake_started = false;
	for (size_t i = 0; i < RULES_MAX && !fake.keeps; i++)
		rules[i].state = FAKE_FREE;
}

uint32_t nic_function_count(const struct nic *nic)
{
	return fake.functions;
}

struct port *nic_port(struct nic *nic, enum port_kind kind, uint32_t index)
{
	switch (kind) {
	case PORT_UPLINK:
		return &nic->ports[FUNCTIONS_MAX];
	case PORT_HOST:
		return fake.no_host ? NULL : &nic->ports[FUNCTIONS_MAX + 1];
	default:
		return &nic->ports[index];
	}
}

uint32_t port_slot(const struct port *port)
{
	return port->slot;
}

uint16_t port_ethdev_id(const struct port *port)
{
	return port->port_id;
}

struct nic *fake_handle(void)
{
	return &the_nic;
}

void fake_reset(uint32_t functions, bool async)
{
	assert_int_equal(fake_rule_count(), 0);
	assert_int_equal(fake.templates, 0);
	fake = (struct fake_nic){.functions = functions, .async = async, .tables_max = 96};
	memset(&the_nic, 0, sizeof(the_nic));
	for (uint32_t vf = 0; vf < functions; vf++)
		the_nic.ports[vf] = (struct port){.slot = FAKE_FIRST_SLOT + vf,
						  .port_id = (uint16_t)(FAKE_FIRST_FUNCTION + vf)};
	the_nic.ports[FUNCTIONS_MAX] = (struct port){.port_id = FAKE_UPLINK};
	the_nic.ports[FUNCTIONS_MAX + 1] = (struct port){.slot = FAKE_HOST, .port_id = FAKE_HOST};
	fake_started = false;
	fake_forget_history();
	fake_async_reset();
	fake_meters_reset();
}

struct offload_pod fake_pod(uint32_t vf)
{
	struct offload_pod pod = {
		.slot = FAKE_FIRST_SLOT + vf,
		.port = &the_nic.ports[vf],
		.mac = {{0x02, 0, 0, 1, (uint8_t)(vf >> 8), (uint8_t)vf}},
		.mtu = 1500,
		.has_ipv4 = true,
		.has_ipv6 = true,
		.ipv4 = {htonl(0x0a580002 + vf)},
		.ipv6 = {{{0xfd, [14] = (uint8_t)((vf + 2) >> 8), [15] = (uint8_t)(vf + 2)}}},
	};

	return pod;
}
