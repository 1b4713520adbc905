// SPDX-License-Identifier: BSD-3-Clause
//
// Inside control/: the state, and what the families of calls give to the batch.

#pragma once

#include <sys/queue.h>

#include "control/control.h"
#include "datapath/trace.h"

TAILQ_HEAD(leaving_list, pod);

// Somebody looks at a pod's packets (control_watch.c).
struct watch {
	uint64_t id;
	char host_id[LIMIT_ID + 1];
	uint32_t slot;
	struct trace *trace; // NULL: none is here
	bool withdraws;      // the pod's rules, from the e-switch
	uint32_t seconds;
	int64_t asked_ms, ends_ms, full_ms, ending_ms; // the last two: 0, not yet
	bool over;                                     // nothing more is taken
	char reason[LIMIT_TEXT + 1];
	uint64_t offloaded_before, offloaded;
	// Told, or to be told, and not yet asked behind: LIMIT_WATCH_PAGE.
	const struct trace_record **kept;
	size_t kept_count;
	uint64_t first_number; // the first one's
	uint64_t fetched;
};

struct control {
	struct control_config config;
	struct pods *pods;
	struct store_host hosts[STORE_HOSTS_MAX]; // that have said Hello, as in the store
	size_t host_count;
	size_t last_host;            // which of them said Hello last, if there is any
	struct error restore_notice; // as struct restored has it
	int64_t started_ms;          // control_now_ms()

	// Pods whose port is stopped and whose release is not recorded yet. Their record says
	// STORE_DETACHING in memory; they hold what they hold until it is.
	struct leaving_list leaving;

	struct uplink uplink;       // as configured
	struct error wire_error;    // why it is not served as configured; CODE_OK: it is
	bool wire_down;             // the cable was out when it was last looked at
	struct error publish_error; // why what is published is not as it should be; CODE_OK: it is
	struct error host_port_error, uplink_error; // code CODE_OK: started, or not wanted
	bool offload_begun;                         // the uplink port has been started
	struct offload_pod *offload_wanted;         // room for one of each function
	bool host_offloaded;                        // as being at host_mac
	struct mac host_mac;                        // as it was heard last
	int64_t host_ms;                            // since when
	size_t retry_cursor;                        // index in pods->sorted
	// Drops are what was counted for attachments whose slots others have now.
	struct control_counts counts;
	struct next_hop *next_hops; // of carried connections; by number
	int64_t next_hops_ms;       // when they were looked at
	struct route_state *routes; // control_routes.c's
	struct watch watches[TRACES_MAX];
};

enum operation_kind {
	OPERATION_ATTACH,  // new
	OPERATION_REFRESH, // known: newer hints, or a port that did not start
	OPERATION_DETACH,
};

// A change that a call asks for, from plan to answer.
struct operation {
	struct control_call *call;
	enum operation_kind kind;
	struct pod *pod;
	struct pods_undo undo;        // OPERATION_ATTACH
	struct store_record *updated; // OPERATION_REFRESH: the record to be; heap
	struct function_id function;  // OPERATION_DETACH: for the answer, when the pod is gone
	bool started;                 // the pod's port, by this operation
	bool late, failed;
	struct error error; // if failed
};

int64_t control_now_ms(void); // CLOCK_MONOTONIC

// ---- answers (control.c) -----------------------------------------------------------------------

void answer(struct control *control, struct control_call *call, struct reply *reply);
void answer_error(struct control *control, struct control_call *call, const struct error *err);
void answer_no_memory(struct control *control, struct control_call *call);

// ---- the batch (batch.c) -----------------------------------------------------------------------

enum {
	BATCH_MAX = 64, // calls that share a commit; twice what hostd is expected to have in flight
};

// Attach and Detach calls, at most BATCH_MAX, no two with the same key.
void batch_run(struct control *control, struct control_call **calls, size_t count);

// Record the release of all that is leaving, and give back what it held.
int batch_finish_leaving(struct control *control, struct error *err);

// ---- families of calls -------------------------------------------------------------------------

// control_attach.c. Plan a call into an operation: changes memory only. False: there is nothing to
// do, and the call has been answered.
bool attach_plan(struct control *control, struct control_call *call, struct operation *ret_op);
bool detach_plan(struct control *control, struct control_call *call, struct operation *ret_op);
void check_call(struct control *control, struct control_call *call);

// control_host.c
void hello_call(struct control *control, struct control_call *call);
void reconcile_call(struct control *control, struct control_call *call);
// Whose call it is: of the host that it names, or, from a hostd that names none, of the one that said
// Hello last; "" before the first.
const char *call_host(const struct control *control, const struct control_call *call);
const struct store_host *host_find(const struct control *control, const char *host_id);
// What one host has attached no other may see, let alone release. What was attached before the first
// Hello is nobody's and anybody's.
bool host_owns(const char *host_id, const struct pod *pod);

// control_network.c
void set_pod_network_call(struct control *control, struct control_call *call);

// control_inspect.c
void list_call(struct control *control, struct control_call *call);
void status_call(struct control *control, struct control_call *call);
void list_ports_call(struct control *control, struct control_call *call);
void ipam_call(struct control *control, struct control_call *call);

// control_offload.c
void list_flows_call(struct control *control, struct control_call *call);
void offload_call(struct control *control, struct control_call *call);

// control_watch.c
void watch_call(struct control *control, struct control_call *call);
void read_watch_call(struct control *control, struct control_call *call);
// Those that nobody reads any more, and those whose time is over.
void watches_expire(struct control *control);
// The rules of the slot's pod are gone, and its port is about to be stopped.
void watches_port_stops(struct control *control, uint32_t slot);
// All of them; before the rules and ports go.
void watches_end(struct control *control);

// ---- ports (control_port.c) --------------------------------------------------------------------

// The pod's, whether started or not; NULL: the NIC has not what the record says.
struct port *pod_port(const struct control *control, const struct pod *pod);
// The pod whose port this is (index: as of nic_port()); NULL: nobody's.
const struct pod *port_pod(const struct control *control, enum port_kind kind, uint32_t index);
// A port for pods that is no part of the NIC?
bool port_kind_is_beside(enum port_kind kind);
// Every port there is, in no particular order: *cursor is 0 at first. NULL: no more. ret_index: as of nic_port().
struct port *next_port(const struct control *control, uint32_t *cursor, uint32_t *ret_index);

// What the attachment's bandwidth is to meters.
void limits_of(const struct attachment *attachment,
	       struct bandwidth_limit ret_limits[BANDWIDTH_DIRECTIONS]);

// Start the pod's port; the outcome is also kept in the pod. `fresh`: the slot's counters were
// another attachment's. Its rules are rules_add' to make, for many at once.
int pod_port_start(struct control *control, struct pod *pod, bool fresh, struct error *err);
// Its rules go first.
void pod_port_stop(struct control *control, struct pod *pod);
// Is it started, and has its device not ended since?
bool pod_port_is_well(const struct control *control, const struct pod *pod);
// If its device has ended, the port is stopped, to be started again.
void pod_port_drop_lost(struct control *control, struct pod *pod);

// Router, host port, uplink, all pods' ports, as the pod network says.
void ports_start(struct control *control);
void ports_stop(struct control *control);
// The pod network was `before`, with the same router MAC: what depends on it is started anew. Pods'
// ports do not.
void ports_change_network(struct control *control, const struct pod_network *before);
// With another MTU.
void uplink_port_restart(struct control *control);
// A few of those that should be started and are not.
void ports_retry(struct control *control);
bool host_port_ready(const struct control *control);

// ---- connections in the e-switch (control_connections.c) ---------------------------------------

// -ENOMEM.
int connections_new_state(struct control *control);
// May workers offer connections? After what could change that.
void connections_follow(struct control *control);
// The uplink has changed: none is what it was.
void connections_leave(struct control *control);
void connections_read_counts(const struct control *control, struct control_counts *counts);
void connections_describe(const struct control *control, struct connections_offload *ret_offload);

// ---- routes in the e-switch (control_routes.c) -----------------------------------------------------

// -ENOMEM.
int routes_new_state(struct control *control);
// The e-switch routes as the uplink, masquerade and neighbours are now. After any of the first two has changed, and
// before the rules begin.
void routes_apply(struct control *control);
// Neighbours that the e-switch sends to are in use.
void routes_watch(struct control *control);

// ---- the wire (control_uplink.c) ---------------------------------------------------------------

// Serve it as configured, if that goes with the pod network; what is in the way is kept in the state.
void wire_apply(struct control *control);
// Look at the cable: when it is in again, what was on its other side may not know the agent any more.
void wire_watch(struct control *control);
// False: it is not served.
bool wire_describe(const struct control *control, struct uplink_status *ret_status);
void list_neighbours_call(struct control *control, struct control_call *call);
void list_connections_call(struct control *control, struct control_call *call);

// ---- published ports (control_publish.c) -------------------------------------------------------

// May a new attachment, whose addresses are chosen, have the ports that it maps? Errors: CODE_CONFLICT with the
// port and who has it; CODE_BAD_REQUEST, CODE_NOT_READY with the reason.
int publish_check(const struct control *control, const char *host_id,
		  const struct attachment *attachment, struct error *err);
// Publish what the pods' records and the uplink say, and nothing else. `err` may be NULL. Errors:
// CODE_INTERNAL; it is as it was then, and publish_retry tries again.
int publish_apply(struct control *control, struct error *err);
void publish_retry(struct control *control);
// Is it published by the uplink's address of this family now?
bool publish_is_served(const struct control *control, const struct attachment *attachment,
		       const struct port_mapping *mapping, bool ipv6);

// control_nat.c
void list_nat_call(struct control *control, struct control_call *call);

// ---- the e-switch (control_offload.c) ----------------------------------------------------------

// Offload those of these pods whose port is started, all together. At most as many as there are
// functions. Without effect until the uplink is started, which offloads all.
void rules_add(struct control *control, struct pod *const *pods, size_t count);
// Are the rules of this pod, whose port is started, in the NIC as they were made? CODE_MISMATCH: what differs;
// they are made again by themselves.
int rules_check(struct control *control, const struct pod *pod, struct error *err);
// Shared rules, and those of all pods.
void rules_begin(struct control *control);
// The host is to the e-switch a pod with the gateway's addresses, at the MAC address that it has sent from last. Whenever
// that may be another one. False: it has no rules, nothing was heard of it or it is heard from here and there.
bool rules_follow_host(struct control *control);
// Before its port is stopped.
void rules_leave_host(struct control *control);
bool rules_slot_is_host(const struct control *control, uint32_t slot);
// Before the uplink is stopped; rules_begin makes them again.
void rules_end(struct control *control);
// Try again what the NIC has not taken.
void rules_retry(struct control *control);
// What of it the operator should know: "" if nothing.
void rules_notice(const struct control *control, char ret_text[LIMIT_TEXT + 1]);
void rules_describe_pod(const struct control *control, const struct pod *pod,
			struct attachment_offload *ret_offload);
void rules_describe(const struct control *control, struct offload_info *ret_info);
