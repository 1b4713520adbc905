// SPDX-License-Identifier: BSD-3-Clause
//
// Traces as workers see them. While there is one, each node's function is behind step_in(), which
// writes down every packet as it comes into the node; what the node has decided shows in what comes into
// the next one. A packet is some trace's when it has come in on the port, or is known to go to it; its
// steps until then are there already. Nothing here allocates or waits: what finds no idle record is
// counted as lost.

#include "datapath/trace_worker.h"

#include <time.h>

#include <rte_cycles.h>

#include "datapath/trace_private.h"

enum {
	SWEEP_MS = 1000, // how often to look for
	UNFINISHED_MS =
		6000, // those that have not gone on for this long: more than they wait for a neighbour
};

// ---- packets under way ---------------------------------------------------------------------------

// In a packet's metadata; 0: it was never seen.
static uint32_t make_token(const struct worker *w, uint16_t index, uint16_t generation)
{
	return (uint32_t)generation << 16 | (w->index & 0x7f) << 9 | index;
}
_Static_assert(TRACE_PACKETS <= 1 << 9, "an index has its room in a token");

static struct trace_packet *find(struct worker *w, uint32_t token)
{
	struct trace_packet *p = &w->tracer->packets[token & (TRACE_PACKETS - 1)];

	return token != 0 && p->live &&
			       token == make_token(w, token & (TRACE_PACKETS - 1), p->generation)
		       ? p
		       : NULL;
}

static struct trace_packet *begin(struct worker *w, struct rte_mbuf *m, enum trace_origin origin)
{
	struct tracer *t = w->tracer;
	struct trace_packet *p;
	uint16_t index;

	if (t->idle_count == 0)
		return NULL;
	index = t->idle[--t->idle_count];
	p = &t->packets[index];
	if (++w->trace_generation == 0)
		w->trace_generation = 1; // so that no token is 0
	memset(p, 0, offsetof(struct trace_packet, steps));
	p->live = true;
	p->layer2 = origin == TRACE_RECEIVED;
	p->origin = (uint8_t)origin;
	p->generation = w->trace_generation;
	p->in_slot = packet_meta(m)->in_slot;
	packet_meta(m)->trace = make_token(w, index, p->generation);
	return p;
}

static void add_step(struct trace_packet *p, rte_node_t node, const struct rte_mbuf *m,
		     struct trace_step *step)
{
	trace_read_step(m, p->layer2, step);
	step->node = node;
	if (p->step_count == TRACE_STEPS_MAX) {
		p->left_out++;
		return;
	}
	p->steps[p->step_count++] = *step;
}

// ---- records -------------------------------------------------------------------------------------

static uint64_t unix_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now); // no system call: vdso(7)
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

// False: the trace has all that it is to have.
static bool count_taken(struct trace *trace, uint32_t length)
{
	if (atomic_fetch_add(&trace->taken, 1) >= trace->config.packets ||
	    atomic_fetch_add(&trace->bytes, length) >= trace->config.bytes) {
		atomic_fetch_sub(&trace->taken, 1);
		atomic_store(&trace->full, true);
		return false;
	}
	if (atomic_load(&trace->taken) >= trace->config.packets ||
	    atomic_load(&trace->bytes) >= trace->config.bytes)
		atomic_store(&trace->full, true);
	return true;
}

static void keep_frame(struct trace_slot *slot, const struct trace *trace, const uint8_t *frame,
		       uint32_t size, uint32_t length)
{
	slot->record.unix_ns = unix_ns();
	slot->record.length = length;
	slot->record.frame_bytes = RTE_MIN(size, trace->config.frame_bytes);
	memcpy(slot->frame, frame, slot->record.frame_bytes);
}

// The frame as it is now into a record of the packet's, if the trace wants it.
static void take(struct worker *w, struct trace *trace, unsigned int index, struct trace_packet *p,
		 const struct rte_mbuf *m, unsigned int way)
{
	const struct graph_port *port = w->snapshot->ports[trace->config.slot];
	struct trace_slot **place = &p->slots[index][way];
	uint8_t *scratch = w->tracer->scratch;
	uint32_t length, size = trace_copy_frame(w->snapshot, port, m, p->layer2, way == TRACE_TO,
						 scratch, LIMIT_FRAME, &length);
	void *idle;

	if (*place == NULL) {
		if (!trace_filter_accepts(trace, scratch, length, size)) {
			p->refused |= 1u << index;
			return;
		}
		if (atomic_load_explicit(&trace->full, memory_order_relaxed) ||
		    atomic_load_explicit(&trace->ending, memory_order_relaxed) ||
		    !count_taken(trace, length)) {
			p->refused |= 1u << index;
			return;
		}
		if (rte_ring_mc_dequeue(trace->idle, &idle) != 0) {
			atomic_fetch_sub(&trace->taken, 1);
			atomic_fetch_add(&trace->lost, 1);
			p->refused |= 1u << index;
			return;
		}
		*place = idle;
	}
	keep_frame(*place, trace, scratch, size, length);
}

static bool is_to_port(const struct graph_port *port, const struct trace_step *step)
{
	if (step->family == TRACE_IPV4)
		return port->config.has_ipv4 &&
		       memcmp(step->destination, &port->config.ipv4, 4) == 0;
	return step->family == TRACE_IPV6 && port->config.has_ipv6 &&
	       ipv6_equal(step->destination, port->config.ipv6.s6_addr);
}

// Is the packet this trace's, as far as is known in this step?
static void look(struct worker *w, unsigned int index, struct trace_packet *p,
		 const struct rte_mbuf *m, const struct trace_step *step, bool sends)
{
	struct trace *trace = w->traces->traces[index];
	const struct graph_port *port = w->snapshot->ports[trace->config.slot];
	uint16_t slot = (uint16_t)trace->config.slot;
	bool to = sends && packet_meta(m)->out_slot == slot;

	if (port == NULL || port->generation != trace->generation ||
	    (p->refused & (1u << index)) != 0)
		return;
	if (p->in_slot == slot && p->origin != TRACE_OWN) {
		// The rest of one that has been told already is for those who want to know its way.
		if (p->slots[index][TRACE_FROM] == NULL &&
		    (p->origin == TRACE_RECEIVED || (trace->config.steps && !to)))
			take(w, trace, index, p, m, TRACE_FROM);
		// What is answered in place is one way, and two frames.
		to = to && (!trace->config.steps || p->slots[index][TRACE_FROM] == NULL);
	} else if (!to && p->slots[index][TRACE_TO] == NULL && is_to_port(port, step)) {
		take(w, trace, index, p, m, TRACE_TO);
	}
	if (to) // as the port gets it
		take(w, trace, index, p, m, TRACE_TO);
}

static void give(struct trace *trace, const struct trace_packet *p, struct trace_slot *slot,
		 bool to_port, bool unfinished)
{
	struct trace_record *record = &slot->record;

	record->to_port = to_port;
	record->dropped = p->dropped;
	record->reason = p->reason;
	record->continued = p->origin == TRACE_CONTINUED;
	record->unfinished = unfinished;
	record->in_slot = p->in_slot;
	record->steps_left_out = p->left_out;
	record->step_count = 0;
	if (trace->config.steps) {
		record->step_count = p->step_count;
		memcpy(slot->steps, p->steps, p->step_count * sizeof(p->steps[0]));
	}
	rte_ring_mp_enqueue(trace->done, slot); // it has room for all
	atomic_fetch_add(&trace->finished, 1);
}

static void finish(struct worker *w, struct trace_packet *p, bool unfinished)
{
	struct tracer *t = w->tracer;

	for (unsigned int i = 0; i < TRACES_MAX; i++) {
		for (unsigned int way = 0; way < TRACE_WAYS; way++) {
			if (p->slots[i][way] != NULL)
				give(w->traces->traces[i], p, p->slots[i][way], way == TRACE_TO,
				     unfinished);
		}
	}
	p->live = false;
	t->idle[t->idle_count++] = (uint16_t)(p - t->packets);
}

// ---- steps ---------------------------------------------------------------------------------------

// No room for it: lost, if it is known to be somebody's.
static void count_lost(struct worker *w, const struct rte_mbuf *m)
{
	for (unsigned int i = 0; i < TRACES_MAX; i++) {
		struct trace *trace = w->traces->traces[i];

		if (trace != NULL && packet_meta(m)->in_slot == trace->config.slot)
			atomic_fetch_add(&trace->lost, 1);
	}
}

static void enter(struct worker *w, rte_node_t node, struct rte_mbuf *m)
{
	struct tracer *t = w->tracer;
	const enum trace_node_kind kind = t->kinds[node];
	uint32_t token = packet_meta(m)->trace;
	struct trace_packet *p = find(w, token);
	struct trace_step step;

	// Several come of one where it was cut.
	if (p == NULL || p->leaving) {
		p = begin(w, m,
			  token != 0                 ? TRACE_CONTINUED
			  : kind == TRACE_NODE_FIRST ? TRACE_RECEIVED
						     : TRACE_OWN);
		if (p == NULL) {
			count_lost(w, m);
			return;
		}
	} else if (p->classified && kind != TRACE_NODE_DROP) {
		p->layer2 = false;
	}
	p->classified |= node == t->classify;
	p->touched_tsc = rte_rdtsc();
	add_step(p, node, m, &step);
	for (unsigned int i = 0; i < TRACES_MAX; i++) {
		if (w->traces->traces[i] != NULL)
			look(w, i, p, m, &step, kind == TRACE_NODE_SEND);
	}
	if (kind == TRACE_NODE_OTHER || kind == TRACE_NODE_FIRST)
		return;
	if (kind == TRACE_NODE_DROP) {
		p->dropped = true;
		p->reason = packet_meta(m)->reason;
	}
	p->leaving = true;
	t->leaving[t->leaving_count++] = (uint16_t)(p - t->packets);
}

static uint16_t step_in(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t count)
{
	struct worker *w = worker_self;
	struct tracer *t = w->tracer;
	uint16_t r;

	for (uint16_t i = 0; i < count; i++)
		enter(w, node->id, objs[i]);
	r = w->trace_processes[node->id](graph, node, objs, count);
	for (uint16_t i = 0; i < t->leaving_count; i++)
		finish(w, &t->packets[t->leaving[i]], false);
	t->leaving_count = 0;
	return r;
}

void trace_note_drop_slow(struct worker *w, const struct rte_mbuf *m, enum drop_reason reason)
{
	struct trace_packet *p = find(w, packet_meta(m)->trace);

	if (p == NULL)
		return;
	p->dropped = true;
	p->reason = (uint8_t)reason;
}

void trace_note_handover_slow(struct worker *w, uint32_t token)
{
	struct trace_packet *p = find(w, token);

	if (p != NULL)
		finish(w, p, false);
}

void trace_note_refusal_slow(struct worker *w, struct rte_mbuf *m, enum drop_reason reason)
{
	struct trace_packet *p = begin(w, m, TRACE_RECEIVED);
	struct trace_step step;

	if (p == NULL) {
		count_lost(w, m);
		return;
	}
	add_step(p, w->tracer->port_rx, m, &step);
	for (unsigned int i = 0; i < TRACES_MAX; i++) {
		if (w->traces->traces[i] != NULL)
			look(w, i, p, m, &step, false);
	}
	p->dropped = true;
	p->reason = (uint8_t)reason;
	finish(w, p, false);
}

// ---- between two walks ---------------------------------------------------------------------------

static void put_before_nodes(struct worker *w)
{
	struct rte_node *node;
	rte_graph_off_t offset;
	rte_node_t count;

	rte_graph_foreach_node(count, offset, w->graph, node)
	{
		if (node->id >= TRACE_NODES_MAX)
			continue;
		w->trace_processes[node->id] = node->process;
		node->process = step_in;
	}
}

static void take_away(struct worker *w)
{
	struct rte_node *node;
	rte_graph_off_t offset;
	rte_node_t count;

	rte_graph_foreach_node(count, offset, w->graph, node)
	{
		if (node->id < TRACE_NODES_MAX)
			node->process = w->trace_processes[node->id];
	}
}

static enum trace_node_kind kind_of(const struct rte_node *node)
{
	const char *name = trace_short_name(node->name);

	if (strcmp(name, "port_tx") == 0)
		return TRACE_NODE_SEND;
	if (strcmp(name, "drop") == 0)
		return TRACE_NODE_DROP;
	return node->nb_edges == 0 ? TRACE_NODE_END : TRACE_NODE_OTHER;
}

static void tell_first(const struct rte_node *port_rx, struct tracer *t)
{
	t->port_rx = port_rx->id;
	for (rte_edge_t edge = 0; edge < port_rx->nb_edges; edge++) {
		const struct rte_node *next = port_rx->nodes[edge];

		if (next->id < TRACE_NODES_MAX && t->kinds[next->id] == TRACE_NODE_OTHER)
			t->kinds[next->id] = TRACE_NODE_FIRST;
	}
}

static void tell_nodes_apart(struct worker *w, struct tracer *t)
{
	struct rte_node *node;
	rte_graph_off_t offset;
	rte_node_t count;

	rte_graph_foreach_node(count, offset, w->graph, node)
	{
		if (node->id < TRACE_NODES_MAX)
			t->kinds[node->id] = (uint8_t)kind_of(node);
		if (strcmp(trace_short_name(node->name), "eth_classify") == 0)
			t->classify = node->id;
	}
	rte_graph_foreach_node(count, offset, w->graph, node)
	{
		if (strcmp(trace_short_name(node->name), "port_rx") == 0)
			tell_first(node, t);
	}
	t->named = true;
}

// Traces have come or gone: records of those that are gone are no longer to be touched.
static void adopt(struct worker *w, struct tracer *t, const struct trace_set *set)
{
	uint32_t changed = 0;

	if (!t->named)
		tell_nodes_apart(w, t);
	for (unsigned int i = 0; i < TRACES_MAX; i++) {
		uint64_t serial = set->traces[i] != NULL ? set->traces[i]->serial : 0;

		if (t->serials[i] != serial)
			changed |= 1u << i;
		t->serials[i] = serial;
	}
	for (unsigned int packet = 0; packet < TRACE_PACKETS; packet++) {
		struct trace_packet *p = &t->packets[packet];

		for (unsigned int i = 0; p->live && i < TRACES_MAX; i++) {
			if ((changed & (1u << i)) != 0)
				memset(p->slots[i], 0, sizeof(p->slots[i]));
		}
		p->refused &= ~changed;
	}
	t->set_serial = set->serial;
}

// Of traces that end: what is under way is not waited for.
static void hand_in(struct worker *w, struct tracer *t)
{
	for (unsigned int i = 0; i < TRACES_MAX; i++) {
		struct trace *trace = w->traces->traces[i];

		if (trace == NULL ||
		    likely(!atomic_load_explicit(&trace->ending, memory_order_relaxed)))
			continue;
		for (unsigned int packet = 0; packet < TRACE_PACKETS; packet++) {
			struct trace_packet *p = &t->packets[packet];

			for (unsigned int way = 0; p->live && way < TRACE_WAYS; way++) {
				if (p->slots[i][way] != NULL)
					give(trace, p, p->slots[i][way], way == TRACE_TO, true);
				p->slots[i][way] = NULL;
			}
			p->refused |= 1u << i;
		}
	}
}

static void sweep(struct worker *w, struct tracer *t)
{
	uint64_t now = rte_rdtsc(), per_ms = rte_get_tsc_hz() / 1000;

	if (now - t->swept_tsc < per_ms * SWEEP_MS)
		return;
	t->swept_tsc = now;
	for (unsigned int i = 0; i < TRACE_PACKETS; i++) {
		struct trace_packet *p = &t->packets[i];

		if (p->live && now - p->touched_tsc > per_ms * UNFINISHED_MS)
			finish(w, p, true);
	}
}

void trace_before_walk_slow(struct worker *w)
{
	const struct trace_set *set = w->snapshot->traces;

	if (set == NULL) {
		take_away(w);
		w->traces = NULL;
		w->tracer = NULL;
		return;
	}
	if (w->traces == NULL)
		put_before_nodes(w);
	w->traces = set;
	w->tracer = set->tracers[w->index];
	if (w->tracer->set_serial != set->serial)
		adopt(w, w->tracer, set);
	hand_in(w, w->tracer);
	sweep(w, w->tracer);
}
