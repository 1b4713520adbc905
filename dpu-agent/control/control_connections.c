// SPDX-License-Identifier: BSD-3-Clause
//
// Which connections the e-switch carries. The worker that has them offers those that are worth it
// (datapath/carry.h), here is decided, offload/connections.h has the rules. What is refused goes on in software and is
// offered again later.
//
// Bounded: BUDGET_US in each round, rounds at least some milliseconds apart, whatever there is to do; so calls wait
// no longer than for one round.

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/control_private.h"
#include "datapath/carry.h"
#include "datapath/datapath.h"
#include "datapath/neighbour.h"
#include "offload/connections.h"
#include "proto/base/text.h"

enum {
	BUDGET_US = 1000,   // of a round, for the NIC
	EVENTS_ROUND = 256, // heard in a round: each costs a few lookups
	NEXT_HOPS_MS = 200, // between two looks at the next hops' MAC addresses
	PAUSE_S = 1,        // before it is offered again, if it is still steady
	PAUSE_REFUSED_S = 10,
};

_Static_assert((int)OFFLOAD_NEXT_HOPS_MAX > (int)NEIGHBOURS_MAX,
	       "a neighbour's number is a next hop's");

struct next_hop {
	bool used, is_ipv6;
	uint8_t address[16];
	struct mac mac;
};

int connections_new_state(struct control *control)
{
	control->next_hops = calloc(OFFLOAD_NEXT_HOPS_MAX, sizeof(*control->next_hops));
	return control->next_hops != NULL ? 0 : -ENOMEM;
}

// "": they may be carried at all.
static void why_none(const struct control *control, char ret_why[LIMIT_TEXT + 1])
{
	ret_why[0] = '\0';
	if (!control->offload_begun)
		snprintf(ret_why, LIMIT_TEXT + 1, "the uplink is not started");
	else
		offload_connections_usable(control->config.offload, ret_why);
}

void connections_follow(struct control *control)
{
	char why[LIMIT_TEXT + 1];

	why_none(control, why);
	carry_accept(why[0] == '\0');
}

void connections_leave(struct control *control)
{
	offload_connections_leave_all(control->config.offload);
	connections_follow(control);
}

// ---- what is offered -------------------------------------------------------------------------------

// The pod whose function this slot is; NULL: nobody's.
static const struct pod *pod_of_slot(const struct control *control, uint32_t slot)
{
	const struct pods *pods = control->pods;

	for (uint32_t vf = 0; vf < pods->functions.size; vf++) {
		const struct pod *pod = pods->by_function[vf];

		if (pod != NULL && pod->port_started &&
		    port_slot(nic_port(control->config.nic, PORT_FUNCTION, vf)) == slot)
			return pod;
	}
	return NULL;
}

// NULL: there is none of that family.
static bool is_own(const struct in_addr *ipv4, const struct in6_addr *ipv6, bool is_ipv6,
		   const uint8_t *address)
{
	if (is_ipv6)
		return ipv6 != NULL && memcmp(ipv6, address, sizeof(*ipv6)) == 0;
	return ipv4 != NULL && memcmp(ipv4, address, sizeof(*ipv4)) == 0;
}

static bool has_address(const struct attachment *a, bool is_ipv6, const uint8_t *address)
{
	return is_own(a->has_ipv4 ? &a->ipv4 : NULL, a->has_ipv6 ? &a->ipv6 : NULL, is_ipv6,
		      address);
}

static struct offload_tuple tuple_of(const struct carry_tuple *from)
{
	struct offload_tuple to = {.source_port_be = from->source_port_be,
				   .destination_port_be = from->destination_port_be};

	memcpy(to.source, from->source, sizeof(to.source));
	memcpy(to.destination, from->destination, sizeof(to.destination));
	return to;
}

static bool is_gateway(const struct pod_network *network, bool is_ipv6, const uint8_t *address)
{
	return is_own(network->has_ipv4 ? &network->gateway_ipv4 : NULL,
		      network->has_ipv6 ? &network->gateway_ipv6 : NULL, is_ipv6, address);
}

// What is for the host is what is for the gateway's address.
static bool find_host_end(struct control *control, const struct carry_event *offer,
			  unsigned int number, struct offload_end *ret_end, uint32_t *ret_mtu)
{
	const struct pod_network *network = &control->pods->network.common;
	const struct carry_tuple *sent = &offer->sent[number];

	if (!is_gateway(network, offer->is_ipv6, sent->source))
		return false;
	*ret_end = (struct offload_end){.slot = offer->slots[number], .sent = tuple_of(sent)};
	*ret_mtu = network->mtu;
	if (!rules_follow_host(control))
		return false;
	ret_end->mac = control->host_mac;
	return true;
}

// One end of what is offered. False: it is not what it was then, or no end that the e-switch reaches.
static bool find_end(struct control *control, const struct carry_event *offer, unsigned int number,
		     struct offload_end *ret_end, uint32_t *ret_mtu)
{
	const struct carry_tuple *sent = &offer->sent[number];
	const struct pod *pod = pod_of_slot(control, offer->slots[number]);

	if (rules_slot_is_host(control, offer->slots[number]))
		return find_host_end(control, offer, number, ret_end, ret_mtu);
	if (pod == NULL)
		return false;
	const struct attachment *a = &pod->record.attachment;
	if (a->port != PORT_CHOICE_FUNCTION || !has_address(a, offer->is_ipv6, sent->source))
		return false;
	*ret_end = (struct offload_end){
		.slot = offer->slots[number], .sent = tuple_of(sent), .mac = a->mac};
	*ret_mtu = a->mtu;
	return true;
}

static uint32_t find_next_hop(const struct control *control, const struct carry_event *offer,
			      struct mac *ret_mac)
{
	const struct port *uplink = nic_port(control->config.nic, PORT_UPLINK, 0);
	uint32_t number =
		neighbours_find(port_slot(uplink), offer->is_ipv6, offer->next_hop, ret_mac);
	struct next_hop *hop = &control->next_hops[number];

	if (number == 0)
		return 0;
	if (hop->used && memcmp(&hop->mac, ret_mac, sizeof(hop->mac)) != 0)
		return 0; // those that go by its old address leave first
	*hop = (struct next_hop){.used = true, .is_ipv6 = offer->is_ipv6, .mac = *ret_mac};
	memcpy(hop->address, offer->next_hop, sizeof(hop->address));
	return number;
}

// The end on the wire, but for the next hop. Returns the MTU.
static uint32_t take_wire(const struct control *control, const struct carry_event *offer,
			  struct offload_connection *connection)
{
	struct port_state uplink = {0};

	port_read_state(nic_port(control->config.nic, PORT_UPLINK, 0), &uplink);
	connection->ends[1] =
		(struct offload_end){.slot = OFFLOAD_WIRE, .sent = tuple_of(&offer->sent[1])};
	connection->wire_mac = uplink.mac;
	return uplink.mtu;
}

// Returns 0: it will be carried; or how many seconds it is not to be offered again.
static uint16_t take_on(struct control *control, const struct carry_event *offer)
{
	const bool to_wire = offer->slots[1] == CARRY_WIRE;
	struct offload_connection connection = {
		.is_ipv6 = offer->is_ipv6,
		.protocol = offer->protocol,
	};
	struct offload_end *ends = connection.ends;
	uint32_t *mtus = connection.mtus;
	char why[LIMIT_TEXT + 1];

	why_none(control, why);
	if (why[0] != '\0' || offer->wire != datapath_wire_generation())
		return PAUSE_S;
	if (!find_end(control, offer, 0, &ends[0], &mtus[0]) ||
	    (!to_wire && !find_end(control, offer, 1, &ends[1], &mtus[1])))
		return PAUSE_REFUSED_S;
	if (to_wire)
		mtus[1] = take_wire(control, offer, &connection);
	if (to_wire) {
		connection.next_hop = find_next_hop(control, offer, &ends[1].mac);
		if (connection.next_hop == 0)
			return PAUSE_S;
	}
	return offload_connection_add(control->config.offload, offer->place, &connection) < 0
		       ? PAUSE_REFUSED_S
		       : 0;
}

// Returns how many answers were given.
static size_t hear(struct control *control, size_t room)
{
	struct carry_event event;
	size_t given = 0;

	for (unsigned int i = 0; i < EVENTS_ROUND && given < room && carry_take(&event); i++) {
		if (event.kind == CARRY_RECALL) {
			offload_connection_leave(control->config.offload, event.place);
			continue;
		}
		uint16_t pause_s = take_on(control, &event);
		if (pause_s == 0)
			continue;
		carry_answer(&(struct carry_answer){
			.place = event.place, .kind = CARRY_ENDED, .pause_s = pause_s});
		given++;
	}
	return given;
}

// What was offered before counts no more.
void control_connections_reconsider(struct control *control)
{
	struct carry_event event;

	while (carry_room() > 0 && carry_take(&event)) {
		if (event.kind == CARRY_RECALL)
			offload_connection_leave(control->config.offload, event.place);
		else
			carry_answer(&(struct carry_answer){
				.place = event.place, .kind = CARRY_ENDED, .pause_s = PAUSE_S});
	}
	connections_leave(control);
	if (control->offload_begun)
		routes_apply(control);
}

// ---- rounds ----------------------------------------------------------------------------------------

static void look_at_next_hops(struct control *control)
{
	const struct port *uplink = nic_port(control->config.nic, PORT_UPLINK, 0);

	for (uint32_t number = 1; number < OFFLOAD_NEXT_HOPS_MAX; number++) {
		struct next_hop *hop = &control->next_hops[number];
		struct mac mac;

		if (!hop->used)
			continue;
		if (neighbours_find(port_slot(uplink), hop->is_ipv6, hop->address, &mac) ==
			    number &&
		    memcmp(&mac, &hop->mac, sizeof(mac)) == 0 &&
		    offload_connections_by_next_hop(control->config.offload, number)) {
			neighbours_use(number);
			continue;
		}
		offload_connections_leave_next_hop(control->config.offload, number);
		hop->used = false;
	}
}

static void give(void *context, const struct offload_answer *from)
{
	size_t *given = context;

	carry_answer(&(struct carry_answer){
		.place = from->place,
		.kind = from->kind == OFFLOAD_BEGUN   ? CARRY_BEGUN
			: from->kind == OFFLOAD_NOTED ? CARRY_NOTED
						      : CARRY_ENDED,
		.pause_s = from->refused ? PAUSE_REFUSED_S : PAUSE_S,
		.packets = {from->packets[0], from->packets[1]},
		.bytes = {from->bytes[0], from->bytes[1]},
	});
	(*given)++;
}

// What finds no room rings on, or is told by a later round.
int64_t control_connections_run(struct control *control)
{
	size_t room = carry_room(), given = hear(control, room);
	const int64_t start_ms = control_now_ms();
	int64_t again_ms;

	if (start_ms - control->next_hops_ms >= NEXT_HOPS_MS) {
		control->next_hops_ms = start_ms;
		look_at_next_hops(control);
	}
	again_ms = offload_connections_run(control->config.offload, BUDGET_US, room - given, give,
					   &given);
	if (given > 0)
		carry_wake();
	return again_ms;
}

// ---- what is told ----------------------------------------------------------------------------------

void connections_describe(const struct control *control, struct connections_offload *ret_offload)
{
	struct offload_connections_summary summary;

	offload_connections_summary(control->config.offload, &summary);
	*ret_offload = (struct connections_offload){
		.carried = summary.carried,
		.most = summary.most,
		.refused_full = summary.refused_full,
		.refused_nic = summary.refused_nic,
	};
	why_none(control, ret_offload->why_not);
	text_clean(ret_offload->why_not);
}

void connections_read_counts(const struct control *control, struct control_counts *counts)
{
	struct offload_connections_summary summary;

	offload_connections_summary(control->config.offload, &summary);
	counts->connections_carried = summary.carried;
	counts->connections_most = summary.most;
	counts->connections_begun = summary.begun;
	counts->connections_refused_full = summary.refused_full;
	counts->connections_refused_nic = summary.refused_nic;
}
