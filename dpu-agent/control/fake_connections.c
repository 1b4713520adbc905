// SPDX-License-Identifier: BSD-3-Clause
//
// See fake_connections.h.

#include "control/fake_connections.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "datapath/datapath.h"
#include "datapath/neighbour.h"

struct fake_connections fake_connections;

void fake_connections_reset(void)
{
	fake_connections = (struct fake_connections){
		.wire = 7,
		.room = FAKE_EVENTS_MAX,
		.hop = 3,
		.hop_mac = {{2, 0, 0, 0, 0, 9}},
		.host_mac = {{2, 0, 0, 0, 0, 0x66}},
	};
}

// ---- the worker ------------------------------------------------------------------------------------

void carry_accept(bool accept)
{
	fake_connections.accepting = accept;
}

bool carry_take(struct carry_event *ret_event)
{
	if (fake_connections.event_count == 0)
		return false;
	*ret_event = fake_connections.events[0];
	fake_connections.event_count--;
	memmove(fake_connections.events, fake_connections.events + 1,
		fake_connections.event_count * sizeof(*ret_event));
	return true;
}

size_t carry_room(void)
{
	return fake_connections.room;
}

void carry_answer(const struct carry_answer *answer)
{
	fake_connections.answers[fake_connections.answer_count++ % FAKE_EVENTS_MAX] = *answer;
}

void carry_wake(void)
{
}

uint32_t datapath_wire_generation(void)
{
	return fake_connections.wire;
}

bool datapath_host_mac(uint32_t slot, struct mac *ret_mac)
{
	*ret_mac = fake_connections.host_mac;
	return fake_connections.host_heard;
}

uint32_t neighbours_find(uint32_t slot, bool is_ipv6, const uint8_t address[16],
			 struct mac *ret_mac)
{
	*ret_mac = fake_connections.hop_mac;
	return fake_connections.hop;
}

void neighbours_use(uint32_t number)
{
	fake_connections.used_hop = number;
}

void neighbours_ask_host(uint32_t slot)
{
	fake_connections.host_asked++;
}

// ---- the e-switch ----------------------------------------------------------------------------------

bool offload_connections_usable(const struct offload *offload, char ret_why[LIMIT_TEXT + 1])
{
	snprintf(ret_why, LIMIT_TEXT + 1, "%s",
		 fake_connections.unusable != NULL ? fake_connections.unusable : "");
	return fake_connections.unusable == NULL;
}

int offload_connection_add(struct offload *offload, uint32_t place,
			   const struct offload_connection *connection)
{
	if (fake_connections.add_error != 0)
		return fake_connections.add_error;
	fake_connections.add_count++;
	fake_connections.added_place = place;
	fake_connections.added = *connection;
	fake_connections.hop_is_used = true;
	return 0;
}

void offload_connection_leave(struct offload *offload, uint32_t place)
{
	fake_connections.leave_count++;
}

void offload_connections_leave_next_hop(struct offload *offload, uint32_t next_hop)
{
	fake_connections.left_hop = next_hop;
	fake_connections.hop_is_used = false;
}

void offload_connections_leave_all(struct offload *offload)
{
	fake_connections.leave_all_count++;
}

bool offload_connections_by_next_hop(const struct offload *offload, uint32_t next_hop)
{
	return fake_connections.hop_is_used;
}

int64_t offload_connections_run(struct offload *offload, int64_t budget_us, size_t room,
				void (*answer)(void *context, const struct offload_answer *answer),
				void *context)
{
	for (size_t i = 0; i < fake_connections.to_tell_count; i++)
		answer(context, &fake_connections.to_tell[i]);
	fake_connections.to_tell_count = 0;
	return -1;
}

void offload_connections_summary(const struct offload *offload,
				 struct offload_connections_summary *ret_summary)
{
	*ret_summary = (struct offload_connections_summary){
		.carried = 2, .most = 500, .refused_full = 6, .refused_nic = 7};
}
