// SPDX-License-Identifier: BSD-3-Clause
//
// The e-switch as the attachments want it, and what an operator is told of it: ListFlows, GetOffload. Offload
// is an effect that may fail without failing anything: a pod without rules is served by the slow path.

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/control_private.h"
#include "datapath/datapath.h"
#include "datapath/neighbour.h"
#include "proto/base/text.h"

enum { HOST_STAYS_MS = 1000 };

// ---- rules come and go -----------------------------------------------------------------------------

// The e-switch has a way to functions only. What other pods send to the rest finds no rule for its
// destination and goes to the agent.
static bool is_offloaded(const struct pod *pod)
{
	return pod->record.attachment.port == PORT_CHOICE_FUNCTION;
}

static bool is_published(const struct offload_pod *wanted, const struct port_mapping *mapping)
{
	for (uint32_t i = 0; i < wanted->published_count; i++) {
		if (wanted->published[i].protocol == mapping->protocol &&
		    wanted->published[i].port == mapping->container_port)
			return true;
	}
	return false;
}

// The endpoints behind them; by some several ports lead to the same.
static void set_published(const struct port_mappings *mappings, struct offload_pod *wanted)
{
	for (uint32_t i = 0; i < mappings->count; i++) {
		const struct port_mapping *mapping = &mappings->items[i];

		if (wanted->published_count == OFFLOAD_PUBLISHED_MAX + 1 ||
		    is_published(wanted, mapping))
			continue;
		if (wanted->published_count < OFFLOAD_PUBLISHED_MAX) {
			wanted->published[wanted->published_count].protocol = mapping->protocol;
			wanted->published[wanted->published_count].port = mapping->container_port;
		}
		wanted->published_count++;
	}
}

static struct offload_pod wanted_of(const struct control *control, const struct pod *pod)
{
	const struct attachment *a = &pod->record.attachment;
	struct port *port = pod_port(control, pod);

	struct offload_pod wanted = {
		.slot = port_slot(port),
		.port = port,
		.mac = a->mac,
		.mtu = a->mtu,
		.has_ipv4 = a->has_ipv4,
		.has_ipv6 = a->has_ipv6,
		.ipv4 = a->ipv4,
		.ipv6 = a->ipv6,
	};

	set_published(&a->port_mappings, &wanted);
	limits_of(a, wanted.limits);
	return wanted;
}

void rules_add(struct control *control, struct pod *const *pods, size_t count)
{
	size_t wanted = 0;

	if (!control->offload_begun)
		return;
	for (size_t i = 0; i < count; i++) {
		if (pods[i]->port_started && is_offloaded(pods[i]))
			control->offload_wanted[wanted++] = wanted_of(control, pods[i]);
	}
	if (wanted > 0)
		offload_add(control->config.offload, control->offload_wanted, wanted);
}

// False: nobody knows where it is.
static bool find_host(const struct control *control, struct offload_pod *ret_host)
{
	const struct pod_network *network = &control->pods->network.common;
	struct port *port = nic_port(control->config.nic, PORT_HOST, 0);

	if (port == NULL)
		return false;
	*ret_host = (struct offload_pod){
		.slot = port_slot(port),
		.port = port,
		.mtu = network->mtu,
		.has_ipv4 = network->has_ipv4,
		.has_ipv6 = network->has_ipv6,
		.ipv4 = network->gateway_ipv4,
		.ipv6 = network->gateway_ipv6,
	};
	return datapath_host_mac(ret_host->slot, &ret_host->mac);
}

// Not for ever: what they have counted is its port's, which stays.
static void withdraw_host(struct control *control)
{
	if (control->host_offloaded)
		offload_withdraw(control->config.offload,
				 port_slot(nic_port(control->config.nic, PORT_HOST, 0)));
	control->host_offloaded = false;
}

// One that is heard from several addresses in turn is left to the agent, who sends to the last of them at once.
bool rules_follow_host(struct control *control)
{
	const int64_t now_ms = control_now_ms();
	const bool steady = now_ms - control->host_ms >= HOST_STAYS_MS;
	struct offload_pod host;

	if (!control->offload_begun || !find_host(control, &host))
		return control->host_offloaded;
	const bool moved = memcmp(&host.mac, &control->host_mac, sizeof(host.mac)) != 0;
	if (moved) {
		control->host_mac = host.mac;
		control->host_ms = now_ms;
	}
	if (!steady && (moved || !control->host_offloaded)) {
		withdraw_host(control);
		return false;
	}
	if (moved || !control->host_offloaded) {
		offload_add(control->config.offload, &host, 1);
		offload_restore(control->config.offload, host.slot);
		control->host_offloaded = true;
		// What it says from now on the e-switch does not tell. If that was not the host, it is heard by this.
		neighbours_ask_host(host.slot);
	}
	return true;
}

void rules_leave_host(struct control *control)
{
	withdraw_host(control);
	control->host_ms = 0; // wherever the port that comes hears it is where it is
}

int rules_check(struct control *control, const struct pod *pod, struct error *err)
{
	struct offload_pod wanted;
	char reason[LIMIT_TEXT + 1];

	if (!control->offload_begun || !is_offloaded(pod))
		return 0;
	wanted = wanted_of(control, pod);
	if (offload_check(control->config.offload, &wanted, reason))
		return 0;
	text_clean(reason);
	return error_set(err, ESTALE, CODE_MISMATCH, "rules: %.300s", reason);
}

void rules_begin(struct control *control)
{
	const struct pod_network *network = &control->pods->network.common;
	const struct offload_router router = {
		.mac = network->router_mac, .mtu = network->mtu, .vlan = control->uplink.vlan};

	routes_apply(control);
	offload_begin(control->config.offload, &router);
	control->offload_begun = true;
	connections_follow(control);
	rules_follow_host(control);
	rules_add(control, control->pods->sorted, control->pods->count);
}

void rules_end(struct control *control)
{
	offload_end(control->config.offload);
	control->offload_begun = false;
	connections_follow(control);
}

void rules_retry(struct control *control)
{
	struct offload_summary summary = {0};

	if (!control->offload_begun)
		return;
	rules_follow_host(control);
	offload_read_summary(control->config.offload, &summary);
	control->counts.offload_retries += summary.rules_missing > 0;
	offload_retry(control->config.offload);
}

void rules_notice(const struct control *control, char ret_text[LIMIT_TEXT + 1])
{
	struct offload_summary summary = {0};

	ret_text[0] = '\0';
	if (!control->offload_begun) // what keeps the uplink down is told already
		return;
	offload_read_summary(control->config.offload, &summary);
	if (summary.enabled && !summary.usable)
		snprintf(ret_text, LIMIT_TEXT + 1,
			 "offload: the NIC forwards nothing by itself: %.400s", summary.why_not);
	else if (summary.rules_missing > 0)
		snprintf(ret_text, LIMIT_TEXT + 1, "offload: %u rules are missing: %.400s",
			 summary.rules_missing, summary.missing_reason);
	text_clean(ret_text);
}

// ---- what is told ----------------------------------------------------------------------------------

// Of these texts some are a driver's.
#define COPY_TEXT(to, from)                                                                        \
	do {                                                                                       \
		snprintf(to, sizeof(to), "%s", from);                                              \
		text_clean(to);                                                                    \
	} while (0)

void rules_describe_pod(const struct control *control, const struct pod *pod,
			struct attachment_offload *ret_offload)
{
	const struct port *port = pod_port(control, pod);
	struct offload_pod_status status = {0};

	if (!is_offloaded(pod)) {
		COPY_TEXT(ret_offload->state, offload_state_name(OFFLOAD_NONE));
		snprintf(ret_offload->reason, sizeof(ret_offload->reason),
			 "%s port: no part of the NIC, its packets go through the agent",
			 port_choice_name(pod->record.attachment.port));
		return;
	}
	if (port != NULL)
		offload_read_pod(control->config.offload, port_slot(port), &status);
	COPY_TEXT(ret_offload->state, offload_state_name(status.state));
	COPY_TEXT(ret_offload->reason, status.reason);
}

void rules_describe(const struct control *control, struct offload_info *ret_info)
{
	struct offload_summary summary = {0};

	offload_read_summary(control->config.offload, &summary);
	*ret_info = (struct offload_info){
		.enabled = summary.enabled,
		.usable = summary.usable,
		.rules = summary.rules,
		.rules_missing = summary.rules_missing,
		.pods_full = summary.pods_full,
		.pods_partial = summary.pods_partial,
		.pods_none = summary.pods_none,
		.inserted = summary.inserted,
		.removed = summary.removed,
		.failed = summary.failed,
	};
	COPY_TEXT(ret_info->why_not, summary.why_not);
	COPY_TEXT(ret_info->api, summary.api);
	COPY_TEXT(ret_info->missing_reason, summary.missing_reason);
}

void offload_call(struct control *control, struct control_call *call)
{
	const struct offload *offload = control->config.offload;
	struct reply reply = {.call = CALL_GET_OFFLOAD};
	struct offload_reply *body = &reply.body.offload;
	size_t count = offload_capability_count(offload);

	rules_describe(control, &body->summary);
	body->capabilities = calloc(count + 1, sizeof(*body->capabilities));
	if (body->capabilities == NULL) {
		answer_no_memory(control, call);
		return;
	}
	for (; body->count < count && body->count < LIMIT_CAPABILITIES; body->count++) {
		const struct offload_capability *from = offload_capability(offload, body->count);
		struct capability_info *to = &body->capabilities[body->count];

		to->supported = from->supported;
		to->needed = from->needed;
		COPY_TEXT(to->name, from->name);
		COPY_TEXT(to->remark, from->remark);
	}
	answer(control, call, &reply);
	reply_clear(&reply);
}

enum { NO_FUNCTION = UINT16_MAX };

// Whose ports the slots are: the VF, NO_FUNCTION for all else.
static void map_slots(const struct control *control, uint16_t functions[DATAPATH_PORTS_MAX])
{
	struct nic *nic = control->config.nic;

	for (size_t slot = 0; slot < DATAPATH_PORTS_MAX; slot++)
		functions[slot] = NO_FUNCTION;
	for (uint32_t vf = 0; vf < nic_function_count(nic); vf++) {
		const struct port *port = nic_port(nic, PORT_FUNCTION, vf);

		if (port != NULL)
			functions[port_slot(port)] = (uint16_t)vf;
	}
}

bool rules_slot_is_host(const struct control *control, uint32_t slot)
{
	const struct port *host = nic_port(control->config.nic, PORT_HOST, 0);

	return host != NULL && port_slot(host) == slot;
}

static void describe_rule(const struct control *control, const char *host_id,
			  const struct offload_rule *rule,
			  const uint16_t functions[DATAPATH_PORTS_MAX], struct flow_info *to)
{
	uint16_t vf = rule->has_slot && rule->slot < DATAPATH_PORTS_MAX ? functions[rule->slot]
									: (uint16_t)NO_FUNCTION;
	const struct pods *pods = control->pods;

	to->id = rule->id;
	to->group = rule->group;
	to->priority = rule->priority;
	to->counted = rule->counted;
	to->packets = rule->packets;
	to->bytes = rule->bytes;
	to->age_ms = rule->age_ms;
	COPY_TEXT(to->match, rule->match);
	COPY_TEXT(to->actions, rule->actions);
	to->of_host = rule->has_slot && rules_slot_is_host(control, rule->slot);
	to->has_function = vf != NO_FUNCTION;
	if (!to->has_function)
		return;
	to->function = (struct function_id){.pf = 0, .vf = vf};
	to->has_key = vf < pods->functions.size && pods->by_function[vf] != NULL &&
		      host_owns(host_id, pods->by_function[vf]);
	if (to->has_key)
		to->key = pods->by_function[vf]->record.attachment.key;
}

void list_flows_call(struct control *control, struct control_call *call)
{
	const struct list_flows_request *wanted = &call->request->body.list_flows;
	struct reply reply = {.call = CALL_LIST_FLOWS};
	struct flows_reply *body = &reply.body.flows;
	uint16_t functions[DATAPATH_PORTS_MAX];
	struct offload_rule rule;
	uint64_t after = wanted->after;

	body->flows = calloc(wanted->limit, sizeof(*body->flows));
	if (body->flows == NULL) {
		answer_no_memory(control, call);
		return;
	}
	map_slots(control, functions);
	while (!body->more && offload_next_rule(control->config.offload, after, &rule)) {
		after = rule.id;
		body->more = body->count == wanted->limit;
		if (!body->more)
			describe_rule(control, call_host(control, call), &rule, functions,
				      &body->flows[body->count++]);
	}
	answer(control, call, &reply);
	reply_clear(&reply);
}
