// SPDX-License-Identifier: BSD-3-Clause
//
// rte_flow on the ports of a device. Control threads; ethdev makes calls for one port wait for each other.
//
// Only transfer rules; groups and priorities as in flow_action.h. All ports of a device act on the same e-switch, and the
// uplink port is the one that applications should ask (rte_flow_pick_transfer_proxy). A rule belongs to the port through
// which it was made: only there can it be destroyed and queried, and it goes with it. Otherwise the port means nothing: a rule
// without an item that names the origin matches frames of any origin, as the API says for transfer rules. (mlx5, without
// its newer template API, would add the port as origin.) Rules stay in force while ports are stopped.

#pragma once

#include <rte_flow_driver.h>

#include "sim/simnic/eswitch.h"

extern const struct rte_flow_ops simnic_flow_ops;
// Of a device with async=0: what is left out is refused by ethdev, with -ENOTSUP.
extern const struct rte_flow_ops simnic_flow_synchronous_ops;

// The port is about to be closed: destroy what was made through it.
void flow_port_closed(struct function *function);

// ---- the steps of making a rule: for all APIs that make them; errors as rte_flow has them ----------------

// What of the attributes counts.
int flow_attr_check(const struct rte_flow_attr *attr, struct rte_flow_error *error);
// A rule made through the owner's port, not in force yet. Takes the actions over if it succeeds. NULL: out of memory.
struct rte_flow *flow_rule_new(const struct function *owner, const struct flow_match *match,
			       uint32_t group, uint32_t priority, struct flow_actions *actions,
			       struct rte_flow_error *error);
// What flow_rule_link() does in the pipeline's thread, for who is there already. rte_errno is the caller's to set, in its own thread.
int flow_rule_try(struct device *device, struct rte_flow *rule, const struct flow_match *match,
		  struct rte_flow_error *error);
// Put it in force; waits for the pipeline.
int flow_rule_link(struct device *device, struct rte_flow *rule, const struct flow_match *match,
		   struct rte_flow_error *error);
// Take it out of force if it is; waits for the pipeline.
void flow_rule_unlink(struct device *device, struct rte_flow *rule);
// Free a rule that was never linked, or is unlinked again.
void flow_rule_free(struct rte_flow *rule);
