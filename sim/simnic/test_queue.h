// SPDX-License-Identifier: BSD-3-Clause
//
// Rules by the asynchronous API, for tests: a device whose uplink has queues, tables of rules that send frames of VF 0 on by
// their source address, and frames with a number in theirs. What is expected fails the test if it is not so.

#pragma once

#include "sim/simnic/flow_async.h"
#include "sim/simnic/test_device.h"
#include "sim/simnic/test_flow.h"

enum { QUEUES = 2, QUEUE_SIZE = 256 };

extern struct rte_flow_error refusal; // of the last call here
extern const struct rte_flow_op_attr now, postponed;
extern const struct rte_flow_attr transfer;
extern const struct rte_flow_item_ethdev any_port; // a mask
extern const struct rte_flow_item_eth source_mask;

int configure_queues(uint16_t port, uint16_t queues, uint32_t size);
// Set-up: all ports configured, the uplink with QUEUES of QUEUE_SIZE.
int begin_queues(void **state);
#define QUEUE_TEST(name) cmocka_unit_test_setup_teardown(name, begin_queues, remove_device)

// ---- templates, tables: of the uplink, and the device's ----------------------------------------------------

// By port of origin and source address.
struct rte_flow_pattern_template *pattern_template(void);
struct rte_flow_actions_template *actions_template(const struct rte_flow_action *actions,
						   const struct rte_flow_action *masks);
// Count, and on to where the rule says.
struct rte_flow_actions_template *forward_template(void);
struct rte_flow_template_table *make_table(struct rte_flow_pattern_template *patterns[],
					   uint8_t pattern_count,
					   struct rte_flow_actions_template *actions[],
					   uint8_t actions_count, uint32_t size);
// Of these two.
struct rte_flow_template_table *forward_table(uint32_t size);

// ---- operations -----------------------------------------------------------------------------------------

// The source address with this number.
struct rte_ether_addr address(uint32_t number);
// A rule of forward_table(): frames of VF 0 from address(number) go to `to`. The result's user data is the number. NULL: refused.
struct rte_flow *enqueue(uint32_t queue, const struct rte_flow_op_attr *attr,
			 struct rte_flow_template_table *table, uint32_t number, uint16_t to);
void push(uint32_t queue);
void expect_result(uint32_t queue, enum rte_flow_op_status status, uintptr_t user_data);
void expect_no_result(uint32_t queue);
// In force, or no longer, by queue 0; the result is pulled.
struct rte_flow *create(struct rte_flow_template_table *table, uint32_t number, uint16_t to);
void destroy(struct rte_flow *rule);
// rte_errno and `refusal` say so.
void expect_refusal(int code, enum rte_flow_error_type type);

// ---- frames ---------------------------------------------------------------------------------------------

extern int sockets[PORTS]; // at the netdevs, in traffic

void begin_traffic(void);
void end_traffic(void);
// From VF 0, and where it comes out.
void send_numbered(uint32_t number);
void expect_at_function(unsigned int at, uint32_t number);
void expect_at_port(unsigned int at, uint32_t number);
