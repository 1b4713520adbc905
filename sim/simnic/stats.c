// SPDX-License-Identifier: BSD-3-Clause
//
// What counters.h counts, as ethdev shows it. Control threads; the counters are the pipeline's.

#include <stdio.h>

#include "sim/simnic/simnic.h"

enum counter_class { PACKETS, BYTES, MISSED, NO_MBUF, ERROR, OTHER };

static const struct {
	const char *name;
	enum counter_class class;
} counter_table[] = {
#define X(name, class) {#name, class},
	SIMNIC_COUNTERS(X)
#undef X
};

static const uint64_t *counter_at(const struct counters *counters, unsigned int i)
{
	return (const uint64_t *)counters + i;
}

int simnic_stats_get(struct rte_eth_dev *dev, struct rte_eth_stats *stats)
{
	const struct counters *counters = &function_of(dev)->port.counters;

	stats->ipackets = counter_read(&counters->rx_packets);
	stats->ibytes = counter_read(&counters->rx_bytes);
	stats->opackets = counter_read(&counters->tx_packets);
	stats->obytes = counter_read(&counters->tx_bytes);
	for (unsigned int i = 0; i < RTE_DIM(counter_table); i++) {
		uint64_t value = counter_read(counter_at(counters, i));

		if (counter_table[i].class == MISSED)
			stats->imissed += value;
		else if (counter_table[i].class == NO_MBUF)
			stats->rx_nombuf += value;
		else if (counter_table[i].class == ERROR && counter_table[i].name[0] == 'r')
			stats->ierrors += value;
		else if (counter_table[i].class == ERROR)
			stats->oerrors += value;
	}
	return 0;
}

static void clear(void *argument)
{
	struct function *function = argument;

	counters_clear(&function->port.counters);
}

int simnic_stats_reset(struct rte_eth_dev *dev)
{
	pipeline_call(function_of(dev)->device, clear, function_of(dev));
	return 0;
}

int simnic_xstats_get(struct rte_eth_dev *dev, struct rte_eth_xstat *xstats, unsigned int count)
{
	const struct counters *counters = &function_of(dev)->port.counters;

	for (unsigned int i = 0; count >= RTE_DIM(counter_table) && i < RTE_DIM(counter_table); i++)
		xstats[i] = (struct rte_eth_xstat){.id = i,
						   .value = counter_read(counter_at(counters, i))};
	return RTE_DIM(counter_table);
}

int simnic_xstats_get_names(struct rte_eth_dev *dev, struct rte_eth_xstat_name *names,
			    unsigned int count)
{
	for (unsigned int i = 0; names != NULL && i < RTE_DIM(counter_table) && i < count; i++)
		snprintf(names[i].name, sizeof(names[i].name), "simnic_%s", counter_table[i].name);
	return RTE_DIM(counter_table);
}
