// SPDX-License-Identifier: BSD-3-Clause
//
// What the files of the fake NIC share.

#pragma once

#include <rte_ethdev.h>
#include <rte_flow.h>
#include <rte_mtr.h>

#include "offload/fake_flow.h"

enum { FUNCTIONS_MAX = 1000, RULES_MAX = 20000 };

enum fake_state {
	FAKE_FREE,
	FAKE_PENDING,  // asked for asynchronously, not yet done
	FAKE_REJECTED, // on completion: its handle is to be given back
	FAKE_LIVE,
};

struct rte_flow {
	enum fake_state state;
	bool async;
	struct rte_flow_template_table *table;
	uint32_t group;
	uint32_t meter;  // 0: none
	uint16_t family; // Ethernet type, host order; 0: any
	bool has_destination;
	uint8_t destination[16];
	char text[FAKE_TEXT];
	uint64_t packets, bytes;
};

extern bool fake_started; // the uplink

struct rte_flow *fake_rule_new(void);
// 0, or the errno with which it is refused.
int fake_rule_insert(struct rte_flow *rule);
bool fake_is_stuck(const struct rte_flow *rule);
int fake_rule_remove(struct rte_flow *rule);

// The lengths that an item of IP matches. False: any.
struct fake_lengths {
	uint16_t first, last;
};
bool fake_read_lengths(const struct rte_flow_item *item, struct fake_lengths *ret_lengths);
// Fill in group, destination and text. 0, or as rte_flow says that it does not know a part.
int fake_describe(struct rte_flow *rule, const struct rte_flow_attr *attr,
		  const struct rte_flow_item items[], const struct rte_flow_action actions[],
		  struct rte_flow_error *e);
// Sets *e, which may be NULL, and rte_errno; returns -errno_value. message may be NULL.
int fake_error(struct rte_flow_error *e, int errno_value, const char *message);

// Group 5, the source's MAC address, and a jump to group 6.
bool fake_is_hairpin(uint32_t group, bool by_source_mac, uint32_t jump);
void fake_async_reset(void);

// What stands in for DPDK, by the linker's --wrap.
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret_time);
int __wrap_rte_eth_dev_info_get(uint16_t port_id, struct rte_eth_dev_info *info);
int __wrap_rte_eth_dev_callback_register(uint16_t port_id, enum rte_eth_event_type type,
					 rte_eth_dev_cb_fn callback, void *argument);
int __wrap_rte_eth_dev_callback_unregister(uint16_t port_id, enum rte_eth_event_type type,
					   rte_eth_dev_cb_fn callback, void *argument);
int __wrap_rte_mtr_capabilities_get(uint16_t port, struct rte_mtr_capabilities *capabilities,
				    struct rte_mtr_error *e);
int __wrap_rte_mtr_meter_profile_add(uint16_t port, uint32_t id,
				     struct rte_mtr_meter_profile *profile,
				     struct rte_mtr_error *e);
int __wrap_rte_mtr_meter_profile_delete(uint16_t port, uint32_t id, struct rte_mtr_error *e);
int __wrap_rte_mtr_meter_policy_add(uint16_t port, uint32_t id,
				    struct rte_mtr_meter_policy_params *params,
				    struct rte_mtr_error *e);
int __wrap_rte_mtr_meter_policy_delete(uint16_t port, uint32_t id, struct rte_mtr_error *e);
int __wrap_rte_mtr_create(uint16_t port, uint32_t id, struct rte_mtr_params *params, int shared,
			  struct rte_mtr_error *e);
int __wrap_rte_mtr_destroy(uint16_t port, uint32_t id, struct rte_mtr_error *e);
int __wrap_rte_mtr_stats_read(uint16_t port, uint32_t id, struct rte_mtr_stats *stats,
			      uint64_t *mask, int clear, struct rte_mtr_error *e);
// No meters, and nobody is metered.
void fake_meters_reset(void);
int __wrap_rte_flow_pick_transfer_proxy(uint16_t port, uint16_t *proxy, struct rte_flow_error *e);
int __wrap_rte_flow_validate(uint16_t port, const struct rte_flow_attr *attr,
			     const struct rte_flow_item items[],
			     const struct rte_flow_action actions[], struct rte_flow_error *e);
struct rte_flow *__wrap_rte_flow_create(uint16_t port, const struct rte_flow_attr *attr,
					const struct rte_flow_item items[],
					const struct rte_flow_action actions[],
					struct rte_flow_error *e);
int __wrap_rte_flow_destroy(uint16_t port, struct rte_flow *rule, struct rte_flow_error *e);
int __wrap_rte_flow_query(uint16_t port, struct rte_flow *rule,
			  const struct rte_flow_action *actions, void *data,
			  struct rte_flow_error *e);
struct rte_flow_action_handle *
__wrap_rte_flow_action_handle_create(uint16_t port, const struct rte_flow_indir_action_conf *conf,
				     const struct rte_flow_action *action,
				     struct rte_flow_error *e);
int __wrap_rte_flow_action_handle_destroy(uint16_t port, struct rte_flow_action_handle *handle,
					  struct rte_flow_error *e);
int __wrap_rte_flow_info_get(uint16_t port, struct rte_flow_port_info *port_info,
			     struct rte_flow_queue_info *queue_info, struct rte_flow_error *e);
int __wrap_rte_flow_configure(uint16_t port, const struct rte_flow_port_attr *attr, uint16_t queues,
			      const struct rte_flow_queue_attr *queue_attr[],
			      struct rte_flow_error *e);
struct rte_flow_pattern_template *__wrap_rte_flow_pattern_template_create(
	uint16_t port, const struct rte_flow_pattern_template_attr *attr,
	const struct rte_flow_item pattern[], struct rte_flow_error *e);
int __wrap_rte_flow_pattern_template_destroy(uint16_t port,
					     struct rte_flow_pattern_template *pattern,
					     struct rte_flow_error *e);
struct rte_flow_actions_template *__wrap_rte_flow_actions_template_create(
	uint16_t port, const struct rte_flow_actions_template_attr *attr,
	const struct rte_flow_action actions[], const struct rte_flow_action masks[],
	struct rte_flow_error *e);
int __wrap_rte_flow_actions_template_destroy(uint16_t port,
					     struct rte_flow_actions_template *actions,
					     struct rte_flow_error *e);
struct rte_flow_template_table *__wrap_rte_flow_template_table_create(
	uint16_t port, const struct rte_flow_template_table_attr *attr,
	struct rte_flow_pattern_template *patterns[], uint8_t pattern_count,
	struct rte_flow_actions_template *actions[], uint8_t actions_count,
	struct rte_flow_error *e);
int __wrap_rte_flow_template_table_destroy(uint16_t port, struct rte_flow_template_table *table,
					   struct rte_flow_error *e);
struct rte_flow *
__wrap_rte_flow_async_create(uint16_t port, uint32_t queue, const struct rte_flow_op_attr *attr,
			     struct rte_flow_template_table *table,
			     const struct rte_flow_item items[], uint8_t pattern_index,
			     const struct rte_flow_action actions[], uint8_t actions_index,
			     void *user_data, struct rte_flow_error *e);
int __wrap_rte_flow_async_destroy(uint16_t port, uint32_t queue,
				  const struct rte_flow_op_attr *attr, struct rte_flow *rule,
				  void *user_data, struct rte_flow_error *e);
int __wrap_rte_flow_push(uint16_t port, uint32_t queue, struct rte_flow_error *e);
int __wrap_rte_flow_pull(uint16_t port, uint32_t queue, struct rte_flow_op_result results[],
			 uint16_t count, struct rte_flow_error *e);
