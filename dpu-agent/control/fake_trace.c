// SPDX-License-Identifier: BSD-3-Clause

#include "control/fake_trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fake_traces fake_traces;

static void must(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "fake_trace: %s\n", what);
	abort();
}

void fake_trace_add(uint32_t place, const struct trace_record *record)
{
	struct trace *trace = &fake_traces.traces[place];

	must(trace->open && trace->count < FAKE_RECORDS_MAX, "no room for a record");
	trace->records[trace->count++] = *record;
	trace->figures.taken++;
	trace->figures.done++;
}

uint32_t fake_trace_open_count(void)
{
	uint32_t count = 0;

	for (size_t i = 0; i < TRACES_MAX; i++)
		count += fake_traces.traces[i].open;
	return count;
}

int trace_open(const struct trace_config *config, struct trace **ret_trace, struct error *err)
{
	if (fake_traces.fail)
		return error_set(err, EINVAL, CODE_BAD_REQUEST, "filter: it has no end");
	for (size_t i = 0; i < TRACES_MAX; i++) {
		struct trace *trace = &fake_traces.traces[i];

		if (trace->open)
			continue;
		*trace = (struct trace){.open = true, .config = *config};
		*ret_trace = trace;
		return 0;
	}
	must(false, "more traces than there may be");
	return -EBUSY;
}

void trace_end(struct trace *trace)
{
	must(trace->open && !trace->stopped, "ended and not open");
	trace->ending = true;
}

void trace_stop(struct trace *trace)
{
	must(trace->open, "stopped and not open");
	trace->stopped = true;
}

void trace_free(struct trace *trace)
{
	if (trace == NULL)
		return;
	must(trace->open, "freed twice");
	trace->open = false;
}

const struct trace_record *trace_next(struct trace *trace)
{
	must(trace->open, "read and not open");
	if (trace->handed == trace->count)
		return NULL;
	trace->out[trace->handed] = true;
	return &trace->records[trace->handed++];
}

void trace_release(struct trace *trace, const struct trace_record *record)
{
	size_t index = (size_t)(record - trace->records);

	must(trace->open && index < trace->count && trace->out[index], "released and not had");
	trace->out[index] = false;
	trace->released++;
}

void trace_read_figures(const struct trace *trace, struct trace_figures *ret_figures)
{
	must(trace->open, "asked and not open");
	*ret_figures = trace->figures;
}

const char *trace_node_name(uint32_t node)
{
	return fake_traces.nodes != NULL ? fake_traces.nodes[node] : "node";
}
