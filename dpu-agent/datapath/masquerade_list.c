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

static void perform(struct masquerade *masquerade, struct masquerade_question *question)
{
	question->cursor =
		conntrack_list(masquerade->table, CONNTRACK_POD_ANY, question->cursor, LOOK,
			       question->entries, question->size, &question->count);
	conntrack_figures(masquerade->table, &question->figures);
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
	const struct conntrack_tuple *original = &from->original;

	*to = (struct masquerade_connection){
		.number = from->place + 1,
		.protocol = original->protocol,
		.is_ipv6 = original->family == 6,
		.pod_port = rte_be_to_cpu_16(original->source_port),
		.peer_port = rte_be_to_cpu_16(original->destination_port),
		.external_port = rte_be_to_cpu_16(from->reply.destination_port),
		.state = from->state,
		.answered = from->answered,
		.carried = from->carried,
		.expires_s = from->expires_s,
		.packets_sent = from->packets[0],
		.bytes_sent = from->bytes[0],
		.packets_received = from->packets[1],
		.bytes_received = from->bytes[1],
	};
	memcpy(to->pod, &original->source, sizeof(to->pod));
	memcpy(to->peer, &original->destination, sizeof(to->peer));
	memcpy(to->external, &from->reply.destination, sizeof(to->external));
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
	*ret_figures = (struct masquerade_figures){
		.connections = question.figures.connections,
		.most = question.figures.size,
		.refused_full = question.figures.refused_full,
		.refused_ports = question.figures.refused_ports,
	};
	return 0;
}
