// SPDX-License-Identifier: BSD-3-Clause
//
// What each call means. The control thread hands over calls in batches; what a batch decides is
// recorded in one transaction before the first effect, so that a durable attach under load costs a
// share of an fsync:
//
//     plan each  ─►  write intents, COMMIT  ─►  start and stop ports  ─►  write releases, COMMIT
//     (memory)       (nothing on failure)       (NIC), then the rules     (and of what failed)
//                                               of the e-switch
//        every call is answered when its own last step is done
//
// Control thread only. No protobuf, no DPDK.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "offload/offload.h"
#include "pod/restore.h"
#include "pod/uplink.h"
#include "port/port.h"
#include "proto/message.h"

// One request to be answered. The owner makes it part of a larger struct.
struct control_call {
	const struct request *request;
	// How long the caller will still wait; <= 0: late, and nothing is begun for it.
	int64_t (*remaining_ms)(const struct control_call *call);
	// Called exactly once; control does not touch the call after. The reply stays control's.
	void (*reply)(struct control_call *call, const struct reply *reply);
};

struct control_config {
	struct nic *nic;
	struct offload *offload;
	struct store *store;
	const char *instance_id; // new at each start; a caller sees by it that we restarted
	const char *nic_device;  // for status
	uint32_t workers;        // for status
	bool host_port;          // serve the PF of the host
	const char
		*vhost_socket_dir; // where sockets of new pods go, if the NIC has vhost-user ports
	// The configuration's pod network; without prefixes if it has none. A network that is set by
	// a call has the rest from it.
	const struct network *network;
	const struct uplink *uplink; // the configuration's; without addresses: no wire
};

struct control;

// Take over what was restored (restored->pods is owned by control from here) and bring the NIC to
// it: router, host port, uplink, the pods' ports. A port that cannot be started keeps its
// attachment; status tells, and control_retry tries again. Errors: -ENOMEM; restored is untouched.
// So is config->offload owned by control from here: rules must go before ports do. The strings of
// config must outlive control.
int control_new(const struct control_config *config, struct restored *restored,
		struct control **ret_control, struct error *err);

// Remove all rules, stop all ports, free. Attachments stay in the store. NULL is fine.
void control_free(struct control *control);

// Answer these calls. Any number; blocks on disk and NIC.
void control_process(struct control *control, struct control_call **calls, size_t count);

// Try again what failed and should not have: ports that did not start, releases that could not be
// recorded, rules that the NIC had no room for. Cheap when there is nothing; to be called every few seconds.
void control_retry(struct control *control);

// Connections that the e-switch is to carry: hear the workers, and do a bounded share of what is to be done. To be
// called when carry_event_fd() rings (datapath/carry.h). Returns in how many milliseconds it wants to be called again
// although nothing rings, -1: never.
int64_t control_connections_run(struct control *control);

// What becomes of packets to the wire may be another thing from now on: no connection stays in the e-switch, and
// none goes there that was offered before.
void control_connections_reconsider(struct control *control);

// A neighbour may have become another: packets to the wire, and to the host, go by those that there are now. To be called
// when neighbours_run() has been.
void control_neighbours_changed(struct control *control);

// The configuration's uplink is this from now on. Pods keep what they have. Errors: CODE_CONFLICT, it
// does not go with the pod network; CODE_INTERNAL; all stays as it was.
int control_set_uplink(struct control *control, const struct uplink *uplink, struct error *err);

// What the operator should know although the agent is up: "" if nothing.
void control_notice(const struct control *control, char ret_text[LIMIT_TEXT + 1]);

// What is counted and in no reply: since the agent started, and never less than before.
struct control_counts {
	uint64_t drops[LIMIT_DROPS]; // of all ports, by reason
	uint64_t offload_retries;    // of rules that the NIC had not taken
	// Connections in the e-switch: now, and so many as there may be; since the start.
	uint32_t connections_carried, connections_most;
	uint64_t connections_begun, connections_refused_full, connections_refused_nic;
};
void control_read_counts(const struct control *control, struct control_counts *ret_counts);
