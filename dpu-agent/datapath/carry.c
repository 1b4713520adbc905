// SPDX-License-Identifier: BSD-3-Clause
//
// See carry.h. The rings, and both their ends.

#include "datapath/carry.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_errno.h>

#include "datapath/datapath_private.h"
#include "datapath/masquerade_private.h"

enum {
	EVENTS_MAX = 4096,
	ANSWERS_MAX = 8192,
	ANSWERS_WALK = 256, // heard in one walk
};

_Static_assert(sizeof(struct carry_event) % 4 == 0 && sizeof(struct carry_answer) % 4 == 0,
	       "elements of a ring");

struct carry {
	struct rte_ring *events, *answers;
	int event_fd;
	_Atomic bool rung; // the control thread has yet to look
	_Atomic bool accepting;
};

// ---- life: control thread ------------------------------------------------------------------------

int carry_new(struct carry **ret_carry, struct error *err)
{
	struct carry *carry = calloc(1, sizeof(*carry));

	if (carry == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "connections: out of memory");
	carry->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	carry->events = rte_ring_create_elem("carry_events", sizeof(struct carry_event), EVENTS_MAX,
					     SOCKET_ID_ANY, RING_F_SC_DEQ | RING_F_SP_ENQ);
	carry->answers =
		rte_ring_create_elem("carry_answers", sizeof(struct carry_answer), ANSWERS_MAX,
				     SOCKET_ID_ANY, RING_F_SC_DEQ | RING_F_SP_ENQ);
	if (carry->event_fd < 0 || carry->events == NULL || carry->answers == NULL) {
		error_set(err, ENOMEM, CODE_INTERNAL, "connections: %s",
			  carry->event_fd < 0 ? strerror(errno) : rte_strerror(rte_errno));
		carry_free(carry);
		return -ENOMEM;
	}
	*ret_carry = carry;
	return 0;
}

void carry_free(struct carry *carry)
{
	if (carry == NULL)
		return;
	if (carry->event_fd >= 0)
		close(carry->event_fd);
	rte_ring_free(carry->events);
	rte_ring_free(carry->answers);
	free(carry);
}

// ---- worker --------------------------------------------------------------------------------------

static bool tell(struct carry *carry, struct carry_event *event)
{
	uint64_t one = 1;

	if (rte_ring_sp_enqueue_elem(carry->events, event, sizeof(*event)) != 0)
		return false;
	if (!atomic_exchange(&carry->rung, true))
		(void)!write(carry->event_fd, &one, sizeof(one));
	return true;
}

bool carry_recall(void *context, uint32_t place)
{
	const struct masquerade *masquerade = context;
	struct carry_event event = {.kind = CARRY_RECALL, .place = place};

	return tell(masquerade->carry, &event);
}

static struct carry_tuple tuple_of(const struct conntrack_tuple *from)
{
	struct carry_tuple to = {
		.source_port_be = from->source_port,
		.destination_port_be = from->destination_port,
	};

	memcpy(to.source, &from->source, sizeof(to.source));
	memcpy(to.destination, &from->destination, sizeof(to.destination));
	return to;
}

void carry_offer(struct masquerade *masquerade, const uint8_t *next_hop, uint32_t place)
{
	const struct wire *wire = worker_self->snapshot->wire;
	struct carry *carry = masquerade->carry;
	struct conntrack_sides sides;

	// Asked before it is told, so there must be room.
	if (wire == NULL || !atomic_load_explicit(&carry->accepting, memory_order_relaxed) ||
	    rte_ring_full(carry->events))
		return;
	conntrack_carry(masquerade->table, place, &sides);
	struct carry_event event = {
		.place = place,
		.kind = CARRY_OFFERED,
		.protocol = sides.sent[0].protocol,
		.is_ipv6 = sides.sent[0].family == 6,
		.wire = wire->generation,
	};
	for (unsigned int i = 0; i < 2; i++) {
		event.slots[i] = sides.pods[i] == CONNTRACK_NO_POD ? (uint16_t)CARRY_WIRE
								   : (uint16_t)sides.pods[i];
		event.sent[i] = tuple_of(&sides.sent[i]);
	}
	if (next_hop != NULL)
		memcpy(event.next_hop, next_hop, sizeof(event.next_hop));
	tell(carry, &event);
}

static void hear(struct conntrack *table, const struct carry_answer *answer)
{
	const struct conntrack_unseen unseen = {
		.packets = {answer->packets[0], answer->packets[1]},
		.bytes = {answer->bytes[0], answer->bytes[1]},
	};

	switch (answer->kind) {
	case CARRY_BEGUN:
		conntrack_carry_begin(table, answer->place);
		break;
	case CARRY_NOTED:
		conntrack_carry_note(table, answer->place, &unseen);
		break;
	default:
		conntrack_carry_end(table, answer->place, &unseen, answer->pause_s);
		break;
	}
}

void carry_follow(struct masquerade *masquerade)
{
	struct carry_answer answer;

	for (unsigned int i = 0;
	     i < ANSWERS_WALK &&
	     rte_ring_sc_dequeue_elem(masquerade->carry->answers, &answer, sizeof(answer)) == 0;
	     i++)
		hear(masquerade->table, &answer);
	if (unlikely(!rte_ring_empty(masquerade->carry->answers)))
		masquerade->busy = true;
}

// ---- control thread ------------------------------------------------------------------------------

int carry_event_fd(void)
{
	return datapath_carry()->event_fd;
}

void carry_accept(bool accept)
{
	atomic_store(&datapath_carry()->accepting, accept);
}

bool carry_take(struct carry_event *ret_event)
{
	struct carry *carry = datapath_carry();
	uint64_t rings;

	if (rte_ring_sc_dequeue_elem(carry->events, ret_event, sizeof(*ret_event)) == 0)
		return true;
	(void)!read(carry->event_fd, &rings, sizeof(rings));
	atomic_exchange(&carry->rung, false); // and see what was told before it was set
	return rte_ring_sc_dequeue_elem(carry->events, ret_event, sizeof(*ret_event)) == 0;
}

size_t carry_room(void)
{
	return rte_ring_free_count(datapath_carry()->answers);
}

void carry_answer(const struct carry_answer *answer)
{
	struct carry_answer copy = *answer;

	rte_ring_sp_enqueue_elem(datapath_carry()->answers, &copy, sizeof(copy));
}

void carry_wake(void)
{
	const struct masquerade *masquerade = datapath_masquerade();
	const struct snapshot *s = datapath_current();

	if (masquerade != NULL && s->uplink_slot != NO_SLOT)
		worker_wake(masquerade->workers[s->uplink_slot % masquerade->worker_count]);
}
