// SPDX-License-Identifier: BSD-3-Clause

#include "datapath/graph_stats.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <rte_telemetry.h>
#include <rte_version.h>

#include "datapath/worker.h"

#if RTE_VERSION < RTE_VERSION_NUM(23, 3, 0, 0)
#define add_number rte_tel_data_add_array_u64
#define NUMBER     RTE_TEL_U64_VAL
#else
#define add_number rte_tel_data_add_array_uint
#define NUMBER     RTE_TEL_UINT_VAL
#endif

// Held while an answer is made, so that no graph goes meanwhile.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct worker *const *shown;
static uint32_t shown_count;

void graph_stats_begin(struct worker *const *workers, uint32_t count)
{
	pthread_mutex_lock(&lock);
	shown = workers;
	shown_count = count;
	pthread_mutex_unlock(&lock);
}

void graph_stats_end(void)
{
	graph_stats_begin(NULL, 0);
}

// A worker writes it meanwhile.
static uint64_t read_counter(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static int add_node(struct rte_tel_data *answer, const struct rte_node *node)
{
	struct rte_tel_data *numbers = rte_tel_data_alloc();
	const char *name = node->name;

	if (numbers == NULL)
		return -ENOMEM;
	if (strncmp(name, NODE(""), strlen(NODE(""))) == 0)
		name += strlen(NODE(""));
	rte_tel_data_start_array(numbers, NUMBER);
	add_number(numbers, read_counter(&node->total_calls));
	add_number(numbers, read_counter(&node->total_objs));
	add_number(numbers, read_counter(&node->total_cycles));
	int r = rte_tel_data_add_dict_container(answer, name, numbers, 0);
	if (r < 0)
		rte_tel_data_free(numbers);
	return r;
}

static int tell_graph(const char *command, const char *parameters, struct rte_tel_data *answer)
{
	unsigned long index = parameters != NULL ? strtoul(parameters, NULL, 10) : 0;
	rte_node_t count;
	rte_graph_off_t offset;
	struct rte_node *node;
	int r = 0;

	rte_tel_data_start_dict(answer);
	pthread_mutex_lock(&lock);
	if (index >= shown_count) {
		r = -ENOENT;
	} else {
		rte_graph_foreach_node(count, offset, shown[index]->graph, node)
		{
			r = r < 0 ? r : add_node(answer, node);
		}
	}
	pthread_mutex_unlock(&lock);
	return r;
}

RTE_INIT(graph_stats_init)
{
	rte_telemetry_register_cmd(
		"/podport/graph", tell_graph,
		"What each node of a worker's graph has done: [calls, packets, cycles]. "
		"Parameters: the worker's number (default 0)");
}
