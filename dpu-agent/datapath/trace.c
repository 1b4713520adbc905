// SPDX-License-Identifier: BSD-3-Clause
//
// The control thread's side of traces: their memory, and what of them is published to the workers.

#include "datapath/trace.h"

#include <errno.h>
#include <stdlib.h>

#include <rte_errno.h>
#include <rte_lcore.h>

#include "datapath/datapath_private.h"
#include "datapath/trace_private.h"

enum {
	MEMORY_MAX = 8 << 20, // of one trace's records
	RECORDS_MIN = 64,
	RECORDS_MAX = 4096,
};

static struct {
	const struct trace_set *set; // published; NULL: no trace is open
	struct tracer **tracers;
	uint32_t tracer_count;
	uint64_t serial;
} traces;

const char *trace_short_name(const char *name)
{
	static const char prefix[] = NODE("");

	return strncmp(name, prefix, sizeof(prefix) - 1) == 0 ? name + sizeof(prefix) - 1 : name;
}

const char *trace_node_name(uint32_t node)
{
	const char *name = rte_node_id_to_name(node);

	return name != NULL ? trace_short_name(name) : "unknown";
}

// ---- what workers have ---------------------------------------------------------------------------

static void free_tracers(void)
{
	for (uint32_t i = 0; i < traces.tracer_count; i++)
		free(traces.tracers[i]);
	free(traces.tracers);
	traces.tracers = NULL;
	traces.tracer_count = 0;
}

static int make_tracers(void)
{
	uint32_t count = datapath_worker_count();

	traces.tracers = calloc(count, sizeof(struct tracer *));
	if (traces.tracers == NULL)
		return -ENOMEM;
	for (; traces.tracer_count < count; traces.tracer_count++) {
		struct tracer *tracer = calloc(1, sizeof(*tracer));

		if (tracer == NULL) {
			free_tracers();
			return -ENOMEM;
		}
		for (uint16_t i = 0; i < TRACE_PACKETS; i++)
			tracer->idle[tracer->idle_count++] = (uint16_t)(TRACE_PACKETS - 1 - i);
		traces.tracers[traces.tracer_count] = tracer;
	}
	return 0;
}

static bool is_empty(const struct trace_set *set)
{
	for (unsigned int i = 0; i < TRACES_MAX; i++) {
		if (set->traces[i] != NULL)
			return false;
	}
	return true;
}

static void publish(struct trace_set *set)
{
	const struct trace_set *old = traces.set;

	set->serial = ++traces.serial;
	traces.set = set;
	datapath_set_traces(set);
	free((void *)(uintptr_t)old);
}

static void publish_none(void)
{
	const struct trace_set *old = traces.set;

	traces.set = NULL;
	datapath_set_traces(NULL);
	free((void *)(uintptr_t)old);
	free_tracers();
}

static int add_to_set(struct trace *trace, struct error *err)
{
	struct trace_set *set = calloc(1, sizeof(*set));

	if (set == NULL || (traces.tracers == NULL && make_tracers() < 0)) {
		free(set);
		return error_set(err, ENOMEM, CODE_INTERNAL, "trace: out of memory");
	}
	if (traces.set != NULL)
		*set = *traces.set;
	set->tracers = traces.tracers;
	for (unsigned int i = 0; i < TRACES_MAX; i++) {
		if (set->traces[i] == NULL) {
			set->traces[i] = trace;
			publish(set);
			return 0;
		}
	}
	free(set);
	return error_set(err, EBUSY, CODE_BUSY,
			 "%d traces and captures are running, more cannot: try again later",
			 (int)TRACES_MAX);
}

// ---- one trace -----------------------------------------------------------------------------------

// On memory of our own: a ring by name would stay in a memory zone.
static struct rte_ring *make_ring(uint32_t count)
{
	ssize_t size = rte_ring_get_memsize_elem(sizeof(void *), rte_align32pow2(count + 1));
	struct rte_ring *ring = NULL;

	if (size < 0 || posix_memalign((void **)&ring, RTE_CACHE_LINE_SIZE, (size_t)size) != 0)
		return NULL;
	if (rte_ring_init(ring, "trace", rte_align32pow2(count + 1), 0) != 0) {
		free(ring);
		return NULL;
	}
	return ring;
}

static size_t align8(size_t size)
{
	return (size + 7) & ~(size_t)7;
}

static int make_records(struct trace *trace)
{
	size_t steps = trace->config.steps ? TRACE_STEPS_MAX * sizeof(struct trace_step) : 0;
	size_t size = align8(sizeof(struct trace_slot)) + align8(steps) +
		      align8(trace->config.frame_bytes);
	uint32_t count = (uint32_t)RTE_MIN(RTE_MAX(MEMORY_MAX / size, (size_t)RECORDS_MIN),
					   (size_t)RECORDS_MAX);

	trace->memory = calloc(count, size);
	trace->idle = make_ring(count);
	trace->done = make_ring(count);
	if (trace->memory == NULL || trace->idle == NULL || trace->done == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++) {
		uint8_t *at = (uint8_t *)trace->memory + i * size;
		struct trace_slot *slot = (void *)at;

		slot->steps = (void *)(at + align8(sizeof(*slot)));
		slot->frame = at + align8(sizeof(*slot)) + align8(steps);
		slot->record.steps = steps > 0 ? slot->steps : NULL;
		slot->record.frame = slot->frame;
		rte_ring_enqueue(trace->idle, slot);
	}
	return 0;
}

int trace_open(const struct trace_config *config, struct trace **ret_trace, struct error *err)
{
	const struct graph_port *port =
		config->slot < DATAPATH_PORTS_MAX ? datapath_current()->ports[config->slot] : NULL;
	struct trace *trace;
	int r;

	if (port == NULL)
		return error_set(err, ENOENT, CODE_NOT_FOUND, "trace: the port is not started");
	trace = calloc(1, sizeof(*trace));
	if (trace == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "trace: out of memory");
	trace->config = *config;
	trace->config.filter = NULL;
	trace->generation = port->generation;
	trace->serial = ++traces.serial;
	r = trace_filter_take(config->filter, config->filter_size, trace->filter, err);
	if (r == 0 && make_records(trace) < 0)
		r = error_set(err, ENOMEM, CODE_INTERNAL, "trace: out of memory");
	if (r == 0)
		r = add_to_set(trace, err);
	if (r < 0) {
		trace->stopped = true; // it was never in the set
		trace_free(trace);
		return r;
	}
	*ret_trace = trace;
	return 0;
}

void trace_end(struct trace *trace)
{
	atomic_store(&trace->ending, true);
	datapath_wake_workers();
}

void trace_stop(struct trace *trace)
{
	struct trace_set *set;

	if (trace->stopped)
		return;
	trace->stopped = true;
	set = malloc(sizeof(*set));
	if (set == NULL) { // no worker may touch the trace any more: then all traces end
		publish_none();
		return;
	}
	if (traces.set == NULL) {
		free(set);
		return;
	}
	*set = *traces.set;
	for (unsigned int i = 0; i < TRACES_MAX; i++) {
		if (set->traces[i] == trace)
			set->traces[i] = NULL;
	}
	if (is_empty(set)) {
		free(set);
		publish_none();
	} else {
		publish(set);
	}
}

void trace_free(struct trace *trace)
{
	if (trace == NULL)
		return;
	trace_stop(trace);
	free(trace->idle);
	free(trace->done);
	free(trace->memory);
	free(trace);
}

// ---- reading -------------------------------------------------------------------------------------

const struct trace_record *trace_next(struct trace *trace)
{
	void *slot;

	if (rte_ring_sc_dequeue(trace->done, &slot) != 0)
		return NULL;
	return &((struct trace_slot *)slot)->record;
}

void trace_release(struct trace *trace, const struct trace_record *record)
{
	rte_ring_sp_enqueue(
		trace->idle,
		(struct trace_slot *)((uintptr_t)record - offsetof(struct trace_slot, record)));
}

void trace_read_figures(const struct trace *trace, struct trace_figures *ret_figures)
{
	*ret_figures = (struct trace_figures){
		.done = atomic_load(&trace->finished),
		.taken = atomic_load(&trace->taken),
		.lost = atomic_load(&trace->lost),
		.full = atomic_load(&trace->full),
	};
}
