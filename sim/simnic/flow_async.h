// SPDX-License-Identifier: BSD-3-Clause
//
// The asynchronous rte_flow API: operations on queues. A queue belongs to one thread of the application at a time; different
// queues of a port may be used by different threads at once.
//
// What can be refused at once is (an unknown action, a table without room, a queue that is full: -EAGAIN); what only the
// e-switch knows (there is such a rule, its table is full) comes with the result, as RTE_FLOW_OP_ERROR. Results come in
// the order of the operations. A rule that is asked to be destroyed before the result of its creation was pulled is refused,
// though it would do no harm here: on silicon it may.
//
// Indirect actions are made, changed, asked and destroyed when their operations are enqueued; the API lets operations
// overtake each other.

#pragma once

#include <rte_version.h>

#include "sim/simnic/flow_template.h"

// Members of struct rte_flow_ops, or struct rte_flow_fp_ops since DPDK 24.03.
struct rte_flow *flow_async_create(struct rte_eth_dev *dev, uint32_t queue,
				   const struct rte_flow_op_attr *attr,
				   struct rte_flow_template_table *table,
				   const struct rte_flow_item pattern[], uint8_t pattern_index,
				   const struct rte_flow_action actions[], uint8_t actions_index,
				   void *user_data, struct rte_flow_error *error);
int flow_async_actions_update(struct rte_eth_dev *dev, uint32_t queue,
			      const struct rte_flow_op_attr *attr, struct rte_flow *rule,
			      const struct rte_flow_action actions[], uint8_t actions_index,
			      void *user_data, struct rte_flow_error *error);
int flow_async_destroy(struct rte_eth_dev *dev, uint32_t queue, const struct rte_flow_op_attr *attr,
		       struct rte_flow *rule, void *user_data, struct rte_flow_error *error);
int flow_async_push(struct rte_eth_dev *dev, uint32_t queue, struct rte_flow_error *error);
int flow_async_pull(struct rte_eth_dev *dev, uint32_t queue, struct rte_flow_op_result results[],
		    uint16_t size, struct rte_flow_error *error);
struct rte_flow_action_handle *flow_async_handle_create(
	struct rte_eth_dev *dev, uint32_t queue, const struct rte_flow_op_attr *attr,
	const struct rte_flow_indir_action_conf *conf, const struct rte_flow_action *action,
	void *user_data, struct rte_flow_error *error);
int flow_async_handle_destroy(struct rte_eth_dev *dev, uint32_t queue,
			      const struct rte_flow_op_attr *attr,
			      struct rte_flow_action_handle *handle, void *user_data,
			      struct rte_flow_error *error);
int flow_async_handle_update(struct rte_eth_dev *dev, uint32_t queue,
			     const struct rte_flow_op_attr *attr,
			     struct rte_flow_action_handle *handle, const void *update,
			     void *user_data, struct rte_flow_error *error);
int flow_async_handle_query(struct rte_eth_dev *dev, uint32_t queue,
			    const struct rte_flow_op_attr *attr,
			    const struct rte_flow_action_handle *handle, void *data,
			    void *user_data, struct rte_flow_error *error);

// Have all that waits in the port's queues done, since all its rules are about to be destroyed.
void flow_async_settle(struct function *function);

#if RTE_VERSION >= RTE_VERSION_NUM(24, 3, 0, 0)
extern const struct rte_flow_fp_ops simnic_flow_fp_ops;
#endif
