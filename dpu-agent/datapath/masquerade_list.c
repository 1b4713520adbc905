// SPDX-License-Identifier: BSD-3-Clause
//
// Connections for an operator to see. The table is the worker's, so the control thread asks, and waits for
// the worker's next walk; while no uplink is started nobody has the table, and it looks itself.

#include <errno.h>
#include <time.h>

#include "datapath/datapath_private.h"
#include "datapath/masquerade_private.h"

enum {
	LOOK = 2048,       // places of the table looked at in one walk: some hundred microseconds
	ENTRIES_MAX = 256, // told at once
	PATIENCE_MS = 2000,
	POLL_US = 50,
};

static void fill_published(const struct conntrack *table, struct masquerade_published *published)
{
	struct conntrack_published_figures figures = {0};

	conntrack_published_figures(
		table, published->is_ipv6 ? MASQUERADE_POOL_IPV6 : MASQUERADE_POOL_IPV4,
		published->protocol, published->port, &figures);
	published->connections = figures.connections;
	published->opened = figures.opened;
	published->packets_in = figures.packets_in;
	published->bytes_in = figures.bytes_in;
	published->packets_out = figures.packets_out;
	published->bytes_out = figures.bytes_out;
}

static void perform(struct masquerade *masquerade, struct masquerade_question *question)
{
	if (question->size > 0)
		question->cursor =
			conntrack_list(masquerade->table, CONNTRACK_POD_ANY, question->cursor, LOOK,
				       question->entries, question->size, &question->count);
	conntrack_figures(masquerade->table, &question->figures);
	for (size_t i = 0; i < question->published_count; i++)
		fill_published(masquerade->table, &question->published[i]);
}

void masquerade_answer(struct masquerade *masquerade)
{
	if (likely(atomic_load_explicit(&masquerade->question, memory_order_relaxed) == NULL))
		return;
	struct masquerade_question *question = atomic_exchange(&masquerade->question, NULL);
	if (question == NULL)
		return; // taken back
	perform(masquerade, question);
	atomic_store(&question->answered, true);
}

static bool wait_for(const struct masquerade_question *question, uint32_t ms)
{
	const struct timespec pause = {.tv_nsec = POLL_US * 1000L};

	for (uint32_t us = 0; us < ms * 1000; us += POLL_US) {
		if (atomic_load(&question->answered))
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

// False: the worker does not answer.
static bool ask(struct masquerade *masquerade, struct masquerade_question *question)
{
	const struct snapshot *s = datapath_current();
	struct masquerade_question *expected = question;

	if (s->uplink_slot == NO_SLOT) {
		perform(masquerade, question);
		return true;
	}
	atomic_store(&question->answered, false);
	atomic_store(&masquerade->question, question);
	worker_wake(masquerade->workers[s->uplink_slot % masquerade->worker_count]);
	if (wait_for(question, PATIENCE_MS))
		return true;
	if (atomic_compare_exchange_strong(&masquerade->question, &expected, NULL))
		return false;
	while (!wait_for(question, PATIENCE_MS)) // it has begun
		;
	return true;
}

static void describe(const struct conntrack_entry *from, struct masquerade_connection *to)
{
	// The pod's packets, those of the other end, and those of them that have the external address as their
	// destination.
	bool inward = from->kind == CONNTRACK_PUBLISHED;
	const struct conntrack_tuple *pod = inward ? &from->reply : &from->original;
	const struct conntrack_tuple *external = inward ? &from->original : &from->reply;
	const struct conntrack_tuple peer =
		from->kind == CONNTRACK_HAIRPIN ? conntrack_tuple_invert(&from->reply) : *pod;

	*to = (struct masquerade_connection){
		.number = from->place + 1,
		.kind = from->kind == CONNTRACK_MASQUERADE ? MASQUERADE_TO_WIRE
			: inward                           ? MASQUERADE_FROM_WIRE
							   : MASQUERADE_WITHIN,
		.protocol = pod->protocol,
		.is_ipv6 = pod->family == 6,
		.pod_port = rte_be_to_cpu_16(pod->source_port),
		.peer_port = rte_be_to_cpu_16(peer.destination_port),
		.external_port = rte_be_to_cpu_16(external->destination_port),
		.state = from->state,
		.answered = from->answered,
		.carried = from->carried,
		.expires_s = from->expires_s,
		.packets_sent = from->packets[inward],
		.bytes_sent = from->bytes[inward],
		.packets_received = from->packets[!inward],
		.bytes_received = from->bytes[!inward],
	};
	memcpy(to->pod, &pod->source, sizeof(to->pod));
	memcpy(to->peer, &peer.destination, sizeof(to->peer));
	memcpy(to->external, &external->destination, sizeof(to->external));
}

_Static_assert((int)CONNTRACK_STATES_MAX <= (int)MASQUERADE_STATES_MAX, "all have room");

static void take_figures(const struct conntrack_figures *from, struct masquerade_figures *to)
{
	*to = (struct masquerade_figures){
		.connections = from->connections,
		.most = from->size,
		.refused_full = from->refused_full,
		.refused_ports = from->refused_ports,
		.refused_limit = from->refused_limit,
		.opened = from->opened,
		.ended = from->ended,
		.fragments_held = from->fragments_held,
		.state_count = from->state_count,
	};
	for (uint32_t i = 0; i < from->state_count; i++)
		to->states[i] = (struct masquerade_state){
			.protocol = from->states[i].protocol,
			.state = from->states[i].state,
			.connections = from->states[i].connections,
		};
	for (uint32_t i = 0; i < 2; i++) {
		const struct conntrack_pool_figures *pool = &from->pools[i];

		for (uint32_t j = 0; j < MASQUERADE_PROTOCOLS && pool->family != 0; j++)
			to->ports[i][j] = (struct masquerade_ports){
				.size = pool->ports_size[j],
				.used = pool->ports_held[j],
				.published = pool->ports_reserved[j],
			};
	}
}

int masquerade_list(uint32_t after, struct masquerade_connection *ret_connections, size_t size,
		    size_t *ret_count, bool *ret_more, struct masquerade_figures *ret_figures,
		    struct error *err)
{
	struct masquerade *masquerade = datapath_masquerade();
	struct conntrack_entry entries[ENTRIES_MAX];
	struct masquerade_question question = {
		.cursor = after, // the place behind that of the last number
		.entries = entries,
		.size = (uint32_t)RTE_MIN(size, (size_t)ENTRIES_MAX),
	};

	*ret_count = 0;
	*ret_more = false;
	*ret_figures = (struct masquerade_figures){0};
	if (masquerade == NULL)
		return 0;
	do {
		if (!ask(masquerade, &question))
			return error_set(err, ETIMEDOUT, CODE_INTERNAL,
					 "the worker of the uplink does not answer");
	} while (question.count == 0 && question.cursor != 0);
	for (uint32_t i = 0; i < question.count; i++)
		describe(&entries[i], &ret_connections[i]);
	*ret_count = question.count;
	*ret_more = question.cursor != 0;
	take_figures(&question.figures, ret_figures);
	return 0;
}

int masquerade_look(struct masquerade_published *published, size_t count,
		    struct masquerade_figures *ret_figures, struct error *err)
{
	struct masquerade *masquerade = datapath_masquerade();
	struct masquerade_question question = {.published = published, .published_count = count};

	*ret_figures = (struct masquerade_figures){0};
	if (masquerade == NULL)
		return 0;
	if (!ask(masquerade, &question))
		return error_set(err, ETIMEDOUT, CODE_INTERNAL,
				 "the worker of the uplink does not answer");
	take_figures(&question.figures, ret_figures);
	return 0;
}
